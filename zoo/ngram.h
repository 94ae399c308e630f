/* Unigram and bigram models: what a language model must beat. */
#ifndef SP_ZOO_NGRAM_H
#define SP_ZOO_NGRAM_H

#include "autograd/base.h"

SP_BEGIN

/* The mean nats per symbol of the text `valid` under counts of the text `train`, ids in 0 .. symbols-1:
       unigram   p(b)   = (count(b) + 1) / (n + symbols)
       bigram    p(b|a) = (count(ab) + k p(b)) / (count(a) + k)
   with the k of 1, 2, 4, ... 1024 that suits `valid` best, so the bigram's figure is if anything too good. The first
   symbol of valid is not predicted. False without memory. */
bool sp_ngram_losses(const int *train, long n, const int *valid, long m, int symbols, double *unigram, double *bigram,
                     sp_status *status);

SP_END
#endif
