/* Random numbers: the generator against its authors' answers, the laws, and that no order matters. */
#include <math.h>
#include <string.h>

#include "autograd/random.h"
#include "tests/suite.h"

/* kat_vectors of Random123, philox4x32 with 10 rounds. */
static const struct {
    uint32_t counter[4], key[2], out[4];
} answers[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
      { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

START_TEST(philox)
{
    uint32_t out[4];
    sp_philox(answers[_i].counter, answers[_i].key, out);
    ck_assert_mem_eq(out, answers[_i].out, sizeof out);
}
END_TEST

enum { N = 100000 };

/* Mean and variance within 5 deviations: sqrt(v / n), and v sqrt((kurtosis - 1) / n), kurtosis 1.8 or 3. */
static void check_moments(const sp_real *x, double mean, double variance, double kurtosis)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        sum += x[i];
        squares += (x[i] - mean) * (x[i] - mean);
    }
    ck_assert_double_eq_tol(sum / N, mean, 5 * sqrt(variance / N));
    ck_assert_double_eq_tol(squares / N, variance, 5 * variance * sqrt((kurtosis - 1) / N));
}

START_TEST(uniform)
{
    static sp_real x[N];
    int bins[16] = { 0 };
    double square = 0;
    sp_random_uniform((sp_key){ .seed = 1, .time = 3 }, N, x, -2, 6);
    check_moments(x, 2, 64.0 / 12, 1.8);
    for (int i = 0; i < N; i++) {
        ck_each(x[i] >= -2 && x[i] < 6, "%g", (double)x[i]);
        bins[(int)((x[i] + 2) * 2)]++;
    }
    for (int i = 0; i < 16; i++)
        square += pow(bins[i] - N / 16.0, 2) / (N / 16.0);
    ck_assert_double_le(square, 45);            /* chi squared of 15 degrees of freedom: 1 in 10^4 is above */
}
END_TEST

/* Near 1000 float32 has steps of 6e-5: rounding must not reach the end, which is excluded. */
START_TEST(the_end_is_excluded)
{
    static sp_real x[N];
    for (uint32_t step = 0; step < 5; step++) {
        sp_random_uniform((sp_key){ .step = step }, N, x, 1000, 1001);
        for (int i = 0; i < N; i++)
            ck_each(x[i] >= 1000 && x[i] < 1001, "%.9g", (double)x[i]);
    }
    sp_random_uniform((sp_key){ 0 }, 5, x, 7, 7);
    ck_same(x, REALS(7, 7, 7, 7, 7), 5);
}
END_TEST

START_TEST(normal)
{
    static sp_real x[N];
    int inside = 0;
    double pairs = 0;
    sp_random_normal((sp_key){ .seed = 2 }, N, x, 3, 0.5);
    check_moments(x, 3, 0.25, 3);
    for (int i = 0; i < N; i++) {
        inside += fabs(x[i] - 3) < 0.5;
        pairs += i ? (x[i] - 3) * (x[i - 1] - 3) : 0;
    }
    ck_assert_double_eq_tol(inside / (double)N, 0.6826895, 5 * sqrt(0.6827 * 0.3173 / N));
    ck_assert_double_eq_tol(pairs / N, 0, 5 * 0.25 / sqrt(N));          /* neighbours are not correlated */
}
END_TEST

/* Each of 7 has n / 7 of n draws, within 5 deviations sqrt(n 1/7 6/7). */
START_TEST(below)
{
    sp_random r = { .key = { .seed = 4 } };
    int count[7] = { 0 };
    for (int i = 0; i < 70000; i++) {
        long k = sp_random_below(&r, 7);
        ck_each(k >= 0 && k < 7, "%ld", k);
        count[k]++;
    }
    for (int i = 0; i < 7; i++)
        ck_assert_double_eq_tol(count[i], 10000, 5 * sqrt(70000 * 6.0 / 49));
    ck_assert_uint_eq(r.drawn, 70000);
    ck_assert_int_eq(sp_random_below(&r, 1) + sp_random_below(&r, 0) + sp_random_below(&r, -5), 0);
    long most = 0;
    for (int i = 0; i < 100; i++) {
        long k = sp_random_below(&r, 1L << 50);
        ck_assert(k >= 0 && k < 1L << 50);
        most = k > most ? k : most;
    }
    ck_assert_int_gt(most, 1L << 49);
}
END_TEST

/* The i-th number of a stream, and of an array, is the same however one gets there. */
START_TEST(order_does_not_matter)
{
    sp_key key = { 1, 2, 3, 4 };
    sp_random whole = { .key = key }, jump = { .key = key, .drawn = 57 };
    double at57 = 0;
    for (int i = 0; i <= 57; i++)
        at57 = sp_random_next(&whole);
    ck_assert(at57 == sp_random_next(&jump) && at57 >= 0 && at57 < 1);
    sp_real few[10], many[37];
    for (int k = 0; k < 2; k++) {
        void (*law)(sp_key, long, sp_real *, double, double) = k ? sp_random_normal : sp_random_uniform;
        law(key, 37, many, 0, 1);
        law(key, 10, few, 0, 1);
        ck_same(few, many, 10);
    }
    uint32_t forth[50][4], back[4];
    for (uint64_t i = 0; i < 50; i++)
        sp_random_words(&key, i, 1, forth[i]);
    for (uint64_t i = 50; i-- > 0;) {
        sp_random_words(&key, i, 1, back);
        ck_assert_mem_eq(back, forth[i], sizeof back);
    }
}
END_TEST

/* Each part of a key counts, and so do the row, its upper half, and the block. */
START_TEST(every_part_counts)
{
    const struct { sp_key key; uint64_t row; uint32_t block; } asked[] = {
        { { 0, 0, 0, 0 }, 0, 0 }, { { 1, 0, 0, 0 }, 0, 0 }, { { 0, 1, 0, 0 }, 0, 0 }, { { 0, 0, 1, 0 }, 0, 0 },
        { { 0, 0, 0, 1 }, 0, 0 }, { { 0, 0, 0, 0 }, 1, 0 }, { { 0, 0, 0, 0 }, 1ull << 32, 0 }, { { 0, 0, 0, 0 }, 0, 1 },
        { { 1ull << 32, 0, 0, 0 }, 0, 0 }, { { 0, 1ull << 32, 0, 0 }, 0, 0 },
    };
    enum { ASKED = sizeof asked / sizeof *asked };
    uint32_t got[ASKED][4];
    for (int i = 0; i < ASKED; i++) {
        sp_random_words(&asked[i].key, asked[i].row, asked[i].block, got[i]);
        for (int k = 0; k < i; k++)
            ck_assert_msg(memcmp(got[i], got[k], sizeof got[i]), "keys %d and %d give the same", i, k);
    }
    ck_assert(sp_hash(1, 2) != sp_hash(2, 1) && sp_hash(0, 0) != 0 && sp_hash_text(0, "ab") != sp_hash_text(0, "ba"));
    ck_assert(sp_hash_text(0, "a") != sp_hash_text(1, "a"));
    ck_assert(sp_word_unit(0) == 0 && sp_word_unit(0xffffffff) == 1 - 0x1p-24);
}
END_TEST

/* Masks are the words one by one, whatever their size. */
START_TEST(masks)
{
    static const long columns[] = { 0, 1, 3, 4, 63, 64, 65, 130 };
    static const double rates[] = { 0, 0.5, 0.3, 1 - 0x1p-24, 0.99999999 };
    const sp_key key = { .seed = 3, .place = 4, .step = 5, .time = 6 };
    sp_real mask[3 * 130];
    uint32_t word[4];
    for (size_t n = 0; n < sizeof columns / sizeof *columns; n++)
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            sp_random_mask(&key, 3, columns[n], rates[r], 2, -1, mask);
            for (long i = 0; i < 3 * columns[n]; i++) {
                const long row = i / columns[n], column = i % columns[n];
                sp_random_words(&key, (uint64_t)row, (uint32_t)(column / 4), word);
                ck_each(mask[i] == (sp_word_unit(word[column % 4]) < rates[r] ? 2 : -1), "row %ld, column %ld, p %g", row,
                        column, rates[r]);
            }
        }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("random");
    TCase *c = tcase_create("random");
    tcase_add_loop_test(c, philox, 0, sizeof answers / sizeof *answers);
    tcase_add_test(c, uniform);
    tcase_add_test(c, the_end_is_excluded);
    tcase_add_test(c, normal);
    tcase_add_test(c, below);
    tcase_add_test(c, order_does_not_matter);
    tcase_add_test(c, every_part_counts);
    tcase_add_test(c, masks);
    suite_add_tcase(s, c);
    return s;
}
