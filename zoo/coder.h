/* A text as the numbers of a model that reads or writes it, at one of three levels:

       word    what stands between white space; words that are not in the vocabulary are <unk>
       char    UTF-8 code points (zoo/text.h)
       bpe     pieces of words; nothing is unknown (zoo/bpe.h)

   Number 0 is <unk>, 1 is <s>, which begins a sentence, 2 is </s>, which ends one; coding a text uses neither of these. */
#ifndef SP_ZOO_CODER_H
#define SP_ZOO_CODER_H

#include "zoo/bpe.h"
#include "zoo/model_file.h"

SP_BEGIN

typedef enum sp_units { SP_UNITS_WORD, SP_UNITS_CHAR, SP_UNITS_BPE } sp_units;
#define SP_UNITS_CHOICES "word|char|bpe"        /* for SP_OPTION_INDEX */

enum { SP_SENTENCE_BEGIN = 1, SP_SENTENCE_END = 2 };

typedef struct sp_coder {
    sp_units units;
    sp_vocabulary *vocabulary;  /* of words or characters; NULL for pieces */
    sp_bpe *bpe;                /* the other way round */
} sp_coder;

/* Learns from the texts of a field (sp_sentence_text): `most` symbols at most besides <unk>, <s> and </s> (0: all; of pieces all
   together, at least 259: bytes and these three; 0: 4000), of words and characters those that were met `least` times or more. To
   be freed. NULL without memory, for a size that cannot be, or a field that is not there. */
sp_coder *sp_coder_new(sp_units units, const sp_sentences *s, int field, long most, long least, sp_status *status);
void sp_coder_free(sp_coder *c);

int sp_coder_size(const sp_coder *c);

/* A text as numbers; ids->id is to be freed. Line ends are spaces between words. False without memory. */
bool sp_coder_encode(const sp_coder *c, const char *text, size_t size, sp_ids *ids, sp_status *status);

/* Numbers as text, with a 0 behind it, to be freed: words with a space between. <s> and </s> leave nothing, but <unk> is
   written. NULL without memory. */
char *sp_coder_decode(const sp_coder *c, const int *id, long n, size_t *size);

/* The same to be read: a model may write bytes in any order, and decoding gives them as they are, but pieces that were learned from
   UTF-8 (some of them are letters of several bytes) then have U+FFFD for each byte that is none of UTF-8. */
char *sp_coder_show(const sp_coder *c, const int *id, long n, size_t *size);

/* The bytes of one symbol as it stands in a text, borrowed; of a piece with the space before it. "</s>" for that, too. */
const char *sp_coder_symbol(const sp_coder *c, int id, size_t *length);

/* As JSON text, to be freed, NULL without memory; and from a part of a model's file, to be freed, NULL with the file in
   status. */
char *sp_coder_write(const sp_coder *c);
sp_coder *sp_coder_read(sp_units units, const sp_safetensors *f, const char *part, sp_status *status);

SP_END
#endif
