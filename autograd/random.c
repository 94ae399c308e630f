#include "autograd/random.h"

#include <math.h>

#include "config.h"

#include "autograd/clones_inside.h"

#define GOLDEN 0x9E3779B9u              /* the golden ratio and sqrt(3) - 1, in 32 bits */
#define ROOT 0xBB67AE85u

/* A round: two 32x32 -> 64 products; high halves are mixed with the key and the other words, low halves pass. */
static void philox_round(uint32_t c[4], const uint32_t k[2])
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t hi0 = (uint32_t)(p0 >> 32), hi1 = (uint32_t)(p1 >> 32);
    c[0] = hi1 ^ c[1] ^ k[0];
    c[2] = hi0 ^ c[3] ^ k[1];
    c[1] = (uint32_t)p1;
    c[3] = (uint32_t)p0;
}

void sp_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t k[2] = { key[0], key[1] };
    for (int i = 0; i < 4; i++)
        out[i] = counter[i];
    for (int r = 0; r < 10; r++) {
        philox_round(out, k);
        k[0] += GOLDEN;
        k[1] += ROOT;
    }
}

uint64_t sp_hash(uint64_t hash, uint64_t value)
{
    uint64_t z = hash + 0x9E3779B97F4A7C15u * (value + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t sp_hash_text(uint64_t hash, const char *text)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        h = (h ^ *p) * 0x100000001B3u;
    return sp_hash(hash, h);
}

static uint64_t key_of(const sp_key *key)
{
    return sp_hash(sp_hash(key->seed, key->place), key->step);
}

void sp_random_words(const sp_key *key, uint64_t row, uint32_t block, uint32_t out[4])
{
    uint64_t k = key_of(key);
    uint32_t words[2] = { (uint32_t)k, (uint32_t)(k >> 32) };
    uint32_t counter[4] = { block, (uint32_t)row, (uint32_t)(row >> 32), key->time };
    sp_philox(counter, words, out);
}

/* Philox for as many blocks of a row as fill vectors, side by side. */
enum { LANES = 16 };

static inline void philox_lanes(const uint32_t counter[4], uint64_t key, uint32_t word[LANES][4])
{
    uint32_t c[4][LANES], k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (uint32_t l = 0; l < LANES; l++) {
        c[0][l] = counter[0] + l;
        c[1][l] = counter[1];
        c[2][l] = counter[2];
        c[3][l] = counter[3];
    }
    for (int r = 0; r < 10; r++, k0 += GOLDEN, k1 += ROOT)
        for (int l = 0; l < LANES; l++) {
            const uint64_t p0 = (uint64_t)0xD2511F53u * c[0][l], p1 = (uint64_t)0xCD9E8D57u * c[2][l];
            c[0][l] = (uint32_t)(p1 >> 32) ^ c[1][l] ^ k0;
            c[2][l] = (uint32_t)(p0 >> 32) ^ c[3][l] ^ k1;
            c[1][l] = (uint32_t)p1;
            c[3][l] = (uint32_t)p0;
        }
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < 4; i++)
            word[l][i] = c[i][l];
}

SP_CLONES void sp_random_mask(const sp_key *key, long rows, long columns, double p, sp_real yes, sp_real no, sp_real *out)
{
    const uint64_t k = key_of(key);
    const uint32_t limit = (uint32_t)ceil(p * 0x1p24);          /* unit < p: 24 bits of a word < p 2^24 */
    for (long i = 0; i < rows; i++, out += columns)
        for (long j = 0; j < columns; j += 4 * LANES) {
            const uint32_t counter[4] = { (uint32_t)(j / 4), (uint32_t)i, (uint32_t)((uint64_t)i >> 32), key->time };
            const long most = columns - j < 4 * LANES ? columns - j : 4 * LANES;
            uint32_t word[LANES][4];
            philox_lanes(counter, k, word);
            for (long e = 0; e < most; e++)
                out[j + e] = (word[e / 4][e % 4] >> 8) < limit ? yes : no;
        }
}

void sp_random_uniform(sp_key key, long n, sp_real *out, double low, double high)
{
    uint32_t w[4];
    for (long i = 0; i < n; i++) {
        if (i % 4 == 0)
            sp_random_words(&key, (uint64_t)(i / 4), 0, w);
        sp_real x = (sp_real)(low + (high - low) * sp_word_unit(w[i % 4]));
        out[i] = (double)x < high ? x : (sp_real)low;   /* what rounds up to the end is low's other half */
    }
}

/* Box-Muller: two uniforms u, v give r cos(2 pi v) and r sin(2 pi v) with r = sqrt(-2 ln u); u is kept off 0. */
void sp_random_normal(sp_key key, long n, sp_real *out, double mean, double deviation)
{
    const double two_pi = 6.283185307179586;
    uint32_t w[4];
    for (long i = 0; i < n; i++) {
        if (i % 4 == 0)
            sp_random_words(&key, (uint64_t)(i / 4), 0, w);
        int pair = (int)(i % 4) & 2;
        double r = sqrt(-2.0 * log(((double)w[pair] + 0.5) * 0x1p-32));
        double angle = two_pi * (double)w[pair + 1] * 0x1p-32;
        out[i] = (sp_real)(mean + deviation * r * (i % 2 ? sin(angle) : cos(angle)));
    }
}

double sp_random_next(sp_random *r)
{
    uint32_t w[4];
    sp_random_words(&r->key, r->drawn++, 0, w);
    return (double)((((uint64_t)w[0] << 32) | w[1]) >> 11) * 0x1p-53;
}

long sp_random_below(sp_random *r, long n)
{
    return n < 1 ? 0 : (long)(sp_random_next(r) * (double)n);
}
