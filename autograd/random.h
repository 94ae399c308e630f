/* Random numbers from a counter-based generator: a number is a pure function of a key and an index, so the order of
   evaluation, the number of threads and a resumed run cannot change it.
   Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox 4x32-10). */
#ifndef SP_AUTOGRAD_RANDOM_H
#define SP_AUTOGRAD_RANDOM_H

#include "autograd/base.h"

SP_BEGIN

/* Who asks: the run's seed, the place in the program (a hash), the training step, and the time within a sequence. */
typedef struct sp_key {
    uint64_t seed, place;
    uint32_t step, time;
} sp_key;

/* One block: four 32-bit words from a 128-bit counter and a 64-bit key. */
void sp_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The four words at (row, block) under a key. */
void sp_random_words(const sp_key *key, uint64_t row, uint32_t block, uint32_t out[4]);

/* Mixes a value or a text into a hash (SplitMix64 finaliser; FNV-1a over the text). */
uint64_t sp_hash(uint64_t hash, uint64_t value);
uint64_t sp_hash_text(uint64_t hash, const char *text);

/* A word as a number in [0, 1): 24 bits, so that it is exact in float. */
static inline double sp_word_unit(uint32_t word)
{
    return (double)(word >> 8) * 0x1p-24;
}

/* A mask: element (i, j) of out [rows,columns] becomes `yes` with probability p, else `no`: where the unit of word j % 4 at
   (i, j / 4) is below p. */
void sp_random_mask(const sp_key *key, long rows, long columns, double p, sp_real yes, sp_real no, sp_real *out);

/* n numbers into out: uniform in [low, high), or normal (Box-Muller). */
void sp_random_uniform(sp_key key, long n, sp_real *out, double low, double high);
void sp_random_normal(sp_key key, long n, sp_real *out, double mean, double deviation);

/* A stream for sequential use (shuffling, sampling): the i-th call gives the i-th number of its key. */
typedef struct sp_random {
    sp_key key;
    uint64_t drawn;
} sp_random;

double sp_random_next(sp_random *r);                    /* in [0, 1), 53 bits */
long sp_random_below(sp_random *r, long n);             /* in 0 .. n-1, each equally likely; 0 if n < 1 */

SP_END
#endif
