/* The texts that a language model is made from, as numbers. At word level a sentence is a line, and each line end is a symbol
   that is predicted as words are, the end of the sentence, as the literature does with the Penn Treebank: of its files of
   9,999 different words, "<unk>" among them, the vocabulary has 10,000. A last line without an end gets one. At character
   level a text is what it is. */
#ifndef SP_ZOO_LM_DATA_H
#define SP_ZOO_LM_DATA_H

#include "zoo/text.h"

SP_BEGIN

/* What is left out is not there. */
typedef struct sp_lm_source {
    const char *train, *valid, *test;   /* files */
    const char *text, *valid_text;      /* instead of train, valid: texts in memory, of so many bytes */
    size_t size, valid_size;
    sp_level level;
    long most;                          /* symbols of the vocabulary, <unk> not among them; 0: all */
    const char *split;                  /* whole percents of the symbols of train, in their order, to train, validate and (three
                                           numbers) test on: "80,10,10"; NULL: "90,10", or nothing if there is a text to validate on */
} sp_lm_source;

typedef struct sp_lm_data {
    sp_vocabulary *vocabulary;          /* of the text to train on; NULL it when sp_lm_new has taken it over */
    sp_ids train, valid, test;          /* test: none of it, n is 0 */
} sp_lm_data;

/* Reads, splits, counts and numbers. False, and there are no data, if a file cannot be read, a split is none ("split 80,30: ...")
   or there is a text for what it splits off already, a text has fewer than 2 symbols, or without memory. */
bool sp_lm_data_read(sp_lm_data *d, const sp_lm_source *from, sp_status *status);

/* One more file as numbers, read as those above are. False if it cannot be read, or without memory. */
bool sp_lm_data_encode(const sp_vocabulary *v, const char *path, sp_ids *ids, sp_status *status);

/* Frees what there is, the vocabulary too. */
void sp_lm_data_free(sp_lm_data *d);

SP_END
#endif
