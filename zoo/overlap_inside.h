/* N-grams that two texts have in common, for BLEU and chrF. */
#ifndef SP_ZOO_OVERLAP_INSIDE_H
#define SP_ZOO_OVERLAP_INSIDE_H

#include "autograd/base.h"

enum { SP_LONGEST_NGRAM = 6 };

typedef struct sp_symbols {
    int *id;                    /* [n] */
    long n;
} sp_symbols;

/* The sum over the different n-grams of `guess` of how often it has them, but no more often than the text of `truth` [truths]
   that has them most. -1 without memory. */
long sp_overlap(const sp_symbols *guess, const sp_symbols *truth, int truths, int n);

/* Bytes of the white space at text, 0 if there is none; of what Python's str.split() takes for it. */
size_t sp_space_length(const char *text);

#endif
