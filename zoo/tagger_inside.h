/* What the files of the tagger share. */
#ifndef SP_ZOO_TAGGER_INSIDE_H
#define SP_ZOO_TAGGER_INSIDE_H

#include "zoo/tagger.h"

/* Letters of the vocabulary of letters that are none: what stands before a word and behind it. */
#define SP_TAGGER_EDGE "<edge>"

struct sp_tagger_data {
    const sp_sentences *s;      /* borrowed */
    long n, strings;            /* sentences, and their words */
    sp_ids words, tags;         /* [strings]; tags: -1 for one that is not known; none without field 1 */
    sp_letters letters;         /* of each word */
    int *same;                  /* [strings] the first word that is written the same */
    bool *counts;               /* [n] whether a CRF can give the tags of a sentence a probability */
};

/* As sp_tagger_data_new, without tags. */
sp_tagger_data *sp_tagger_words_new(const sp_tagger *m, const sp_sentences *s, sp_status *status);

/* Has each sentence as many tags as words? */
bool sp_tagger_aligned(const sp_sentences *s, sp_status *status);

/* How many words these sentences have. */
long sp_tagger_words(const sp_tagger_data *d, const long *index, long n);

/* Are there sentences index[0] .. index[n-1]? If not, the tape has the error. */
bool sp_tagger_there(sp_tape *t, const sp_tagger_data *d, const long *index, long n);

/* Some sentences, one behind the other, without those that are empty; on a tape. */
struct sp_tagger_batch {
    long n, rows;               /* sentences, words */
    long *index, *length;       /* [n] */
    int *word;                  /* [rows] */
    long different;             /* words, as they are written, */
    int *place;                 /* [rows] and which of these each is, */
    int *first;                 /* [different] and where it is first among all words of the data */
};

/* False: the tape has the error. */
bool sp_tagger_gather(sp_tape *t, const sp_tagger_data *d, const long *index, long n, struct sp_tagger_batch *b);

/* The letters of the different words of a batch: letters [*count] one word behind the other, and how many of each. */
bool sp_tagger_letters_of(sp_tape *t, const sp_tagger_data *d, const struct sp_tagger_batch *b, int **letter, long **length,
                          long *count);

/* The words of sentences, and in field 1 the tags of these numbers, one for each word; to be freed. NULL without memory. */
sp_sentences *sp_tagger_tagged(const sp_sentences *s, const sp_vocabulary *tags, const int *tag, sp_status *status);

/* The spans that tags are, to be freed: those of guess or, where that is NULL, by their numbers, one for each word. NULL without
   memory. */
sp_spans *sp_tagger_spans(const sp_sentences *truth, const sp_sentences *guess, const sp_vocabulary *tags, const int *tag,
                          sp_status *status);

/* Whether a word may have the tag `to` behind one with the tag `from`; NULL is outside the sentence. */
bool sp_tag_may_follow(sp_tag_scheme scheme, const char *from, const char *to);

#endif
