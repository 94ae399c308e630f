/* Sentences in memory, of whatever task: every example has one or more fields, and each field is a list of strings.

       task             field 0                 field 1
       tagging          words                   tags, as many
       classification   words                   the label, one string
       translation      words (or letters)      words (or letters) of the other language
       pronunciation    letters                 phones

       for (long i = 0; i < s->n; i++)
           for (long j = 0; j < sp_sentence_length(s, 0, i); j++)
               puts(sp_sentence_word(s, 0, i, j, NULL));

   Readers (zoo/readers.h) and generators (zoo/hmm.h, zoo/dates.h, zoo/valence.h) make them, vocabularies (zoo/text.h) count
   and number them. A field may be empty, unless its maker says otherwise: what takes packed batches must refuse it, or
   leave it out by sp_sentences_within. */
#ifndef SP_ZOO_SENTENCES_H
#define SP_ZOO_SENTENCES_H

#include "zoo/text.h"

SP_BEGIN

enum { SP_MOST_FIELDS = 4 };

/* All strings of a field, one behind the other. String j of sentence i is number k = first[i] + j; it is at text + at[k], of
   at[k+1] - at[k] - 1 bytes without a zero among them, and ends with one. */
typedef struct sp_field {
    sp_level level;             /* SP_LEVEL_CHAR: the strings are the letters of a text, which is they without space between */
    long *first;                /* [n+1] */
    size_t *at;                 /* [first[n]+1] */
    char *text;
    long strings, room;         /* put so far, and what there is memory for */
    size_t text_room;
} sp_field;

typedef struct sp_sentences {
    long n, room;
    int fields;
    sp_field field[SP_MOST_FIELDS];
} sp_sentences;

/* No sentences yet, of 1 to SP_MOST_FIELDS fields. NULL with a status if it cannot be. */
sp_sentences *sp_sentences_new(int fields, sp_status *status);
void sp_sentences_free(sp_sentences *s);

/* A string more for the sentence that is being built, copied; or a text cut into its words or letters (a line end in it is no
   word here; the field has that level from now on); or the strings of field f of sentence i of others, or of these but
   not of the same field. Then the sentence is done. False: no memory, a zero byte, an empty string, no such field or sentence;
   what was there stays, and nothing of the text or of the strings is added. */
bool sp_sentences_put(sp_sentences *s, int field, const char *string, size_t length, sp_status *status);
bool sp_sentences_put_text(sp_sentences *s, int field, const char *text, size_t size, sp_level level, sp_status *status);
bool sp_sentences_put_field(sp_sentences *s, int field, const sp_sentences *from, int f, long i, sp_status *status);
bool sp_sentences_end(sp_sentences *s, sp_status *status);

/* How many strings field f of sentence i has; 0 for what is not there. */
long sp_sentence_length(const sp_sentences *s, int f, long i);

/* String j of field f of sentence i, borrowed; its bytes in *length, unless NULL. "" for what is not there. */
const char *sp_sentence_word(const sp_sentences *s, int f, long i, long j, size_t *length);

/* The text of a field of a sentence, to be freed: words with a space between, letters as they are. NULL without memory. */
char *sp_sentence_text(const sp_sentences *s, int f, long i, size_t *size);

/* All sentences of a field as a text of lines, to be freed: what a language model reads. NULL without memory. */
char *sp_sentences_lines(const sp_sentences *s, int f, size_t *size);

/* The n sentences index[0], index[1], ... as sentences of their own, to be freed: a part, a split, an order. */
sp_sentences *sp_sentences_choose(const sp_sentences *s, const long *index, long n, sp_status *status);

/* Those whose every field has `least` to `most` strings, in their order, to be freed. */
sp_sentences *sp_sentences_within(const sp_sentences *s, long least, long most, sp_status *status);

/* ---- as numbers ------------------------------------------------------------------------------------------------ */

/* The strings of a field as symbols, or the letters of these: counted, made a vocabulary of. False, NULL: as for texts. */
bool sp_counts_add_field(sp_counts *c, const sp_sentences *s, int f, sp_status *status);
bool sp_counts_add_letters(sp_counts *c, const sp_sentences *s, int f, sp_status *status);
sp_vocabulary *sp_vocabulary_of_field(const sp_sentences *s, int f, const sp_vocabulary_rule *rule, sp_status *status);
sp_vocabulary *sp_vocabulary_of_letters(const sp_sentences *s, int f, const sp_vocabulary_rule *rule, sp_status *status);

/* A field as numbers: string j of sentence i is ids->id[s->field[f].first[i] + j]. False without memory. */
bool sp_encode_field(const sp_vocabulary *v, const sp_sentences *s, int f, sp_ids *ids, sp_status *status);

/* The letters of all strings of a field, each at least one: string k = first[i] + j has id[at[k]] .. id[at[k+1]-1]. */
typedef struct sp_letters {
    int *id;                    /* [at[n]], to be freed */
    long *at;                   /* [n+1], to be freed */
    long n, unknown;            /* strings; letters that are not in the vocabulary */
} sp_letters;

bool sp_encode_letters(const sp_vocabulary *v, const sp_sentences *s, int f, sp_letters *letters, sp_status *status);

SP_END
#endif
