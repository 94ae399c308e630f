/* Batches of sentences of about one length: every sentence once, as the plain way makes them. */
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "autograd/op.h"
#include "zoo/batches_inside.h"
#include "zoo/trainer.h"

enum { MOST = 3000 };

static const struct {
    long n, size, longest;
} sizes[] = {
    { 1, 1, 5 }, { 1, 64, 5 }, { 7, 3, 1 }, { 64, 64, 20 }, { 65, 64, 20 }, { 1000, 7, 30 }, { 999, 10, 30 }, { 1000, 10, 30 },
    { 1009, 10, 30 },    { 2999, 1, 100 }, { 3000, 8, 40 }, { 300, 1000, 9 },
};

static sp_batches *drawn(int i, long *length)
{
    sp_random random = { .key = { .seed = 4, .place = (uint64_t)i } };
    for (long k = 0; k < sizes[i].n; k++)
        length[k] = sp_random_below(&random, sizes[i].longest);
    sp_batches *b = sp_batches_new(length, sizes[i].n, sizes[i].size, NULL);
    ck_assert_ptr_nonnull(b);
    return b;
}

/* All sentences as they come, batch by batch, each batch in so many parts; its number of sentences in size[]. */
static void collect(const sp_batches *b, long batches, int parts, long *sentence, long *size)
{
    long n = 0;
    for (long k = 0; k < batches; k++) {
        size[k] = 0;
        for (int part = 0; part < parts; part++) {
            long count = -1;
            const long *index = sp_batches_part(b, k, part, parts, &count);
            ck_assert(index && count >= 0);
            memcpy(sentence + n, index, (size_t)count * sizeof *index);
            n += count;
            size[k] += count;
        }
    }
}

/* Insertion: what is equally long keeps its order. */
static void sort(long *sentence, long n, const long *length)
{
    for (long i = 1; i < n; i++)
        for (long k = i; k > 0 && length[sentence[k]] < length[sentence[k - 1]]; k--) {
            const long kept = sentence[k];
            sentence[k] = sentence[k - 1];
            sentence[k - 1] = kept;
        }
}

/* The plain way: shuffled, cut into pools of a hundred batches (one pool where there are fewer), each pool sorted and cut into
   batches, which are put into a shuffled order. */
static void plainly(int i, const long *length, bool shuffle, uint64_t seed, long epoch, long *sentence)
{
    static long sorted[MOST], slot[MOST];
    const long n = sizes[i].n, size = sizes[i].size, batches = (n + size - 1) / size;
    const long pool = shuffle && n >= 100 * size ? 100 * size : n;
    for (long k = 0; k < n; k++)
        sorted[k] = k;
    for (long k = 0; k < batches; k++)
        slot[k] = k;
    if (shuffle) {
        sp_trainer_shuffle(n, sorted, seed, epoch);
        sp_trainer_shuffle(batches, slot, ~seed, epoch);
    }
    for (long k = 0; k < n; k += pool)
        sort(sorted + k, n - k < pool ? n - k : pool, length);
    for (long k = 0; k < batches; k++)
        for (long j = slot[k] * size; j < (slot[k] + 1) * size && j < n; j++)
            *sentence++ = sorted[j];
}

START_TEST(as_plainly)
{
    static long length[MOST], found[MOST], want[MOST], size[MOST];
    sp_batches *b = drawn(_i, length);
    const long n = sizes[_i].n, batches = (n + sizes[_i].size - 1) / sizes[_i].size;
    for (int k = 0; k < 6; k++) {
        const bool shuffle = k % 3 > 0;
        ck_assert_int_eq(sp_batches_arrange(b, shuffle, 9, k), batches);
        collect(b, batches, 1 + k % 4, found, size);
        plainly(_i, length, shuffle, 9, k, want);
        ck_assert_mem_eq(found, want, (size_t)n * sizeof *found);
    }
    sp_batches_free(b);
}
END_TEST

/* Each sentence is once in an epoch; all batches but one are full; within a batch lengths rise, and the parts differ by a
   sentence at most. */
START_TEST(each_once)
{
    static long length[MOST], found[MOST], size[MOST], times[MOST];
    sp_batches *b = drawn(_i, length);
    const long n = sizes[_i].n, batches = sp_batches_arrange(b, true, 3, 5);
    long smaller = 0, at = 0;
    memset(times, 0, sizeof times);
    collect(b, batches, 3, found, size);
    for (long k = 0; k < n; k++)
        times[found[k]]++;
    for (long k = 0; k < n; k++)
        ck_each(times[k] == 1, "sentence %ld is there %ld times", k, times[k]);
    for (long k = 0; k < batches; at += size[k++]) {
        smaller += size[k] < sizes[_i].size;
        ck_each(size[k] > 0 && size[k] <= sizes[_i].size, "batch %ld has %ld", k, size[k]);
        for (long j = 1; j < size[k]; j++)
            ck_each(length[found[at + j]] >= length[found[at + j - 1]], "batch %ld", k);
        for (int part = 0; part < 3; part++) {
            long count;
            sp_batches_part(b, k, part, 3, &count);
            ck_each(count == size[k] / 3 || count == size[k] / 3 + 1, "part of %ld of %ld", count, size[k]);
        }
    }
    ck_assert(at == n && smaller == (n % sizes[_i].size > 0));
    sp_batches_free(b);
}
END_TEST

/* Batches are of about one length, in no order, and others in each epoch and of each seed; what was arranged before does not
   matter, nor what becomes of the lengths that were handed in. */
START_TEST(orders)
{
    enum { N = 3000, SIZE = 8, BATCHES = 375 };
    static long length[MOST], first[MOST], again[MOST], size[MOST];
    sp_batches *b = drawn(10, length);
    long spread = 0, rises = 0, last = 0;
    sp_batches_arrange(b, true, 1, 0);
    collect(b, BATCHES, 1, first, size);
    for (long k = 0; k < BATCHES; k++) {
        const long low = length[first[k * SIZE]], high = length[first[k * SIZE + SIZE - 1]];
        spread += high - low;
        rises += low > last;
        last = low;
    }
    ck_assert_msg(spread < BATCHES, "%ld in all", spread);               /* at random: about 30 of each batch */
    ck_assert_msg(rises > BATCHES / 3 && rises < 2 * BATCHES / 3, "%ld batches are longer than those before", rises);
    const struct { bool shuffle; uint64_t seed; long epoch; bool same; } others[] = {
        { true, 1, 1, false }, { true, 2, 0, false }, { false, 1, 0, false }, { true, 1, 0, true } };
    memset(length, 0, sizeof length);
    for (int i = 0; i < 4; i++) {
        sp_batches_arrange(b, others[i].shuffle, others[i].seed, others[i].epoch);
        collect(b, BATCHES, 1, again, size);
        ck_assert_msg(!memcmp(first, again, N * sizeof *first) == others[i].same, "order %d", i);
    }
    sp_batches_free(b);
}
END_TEST

/* Without being arranged they are by length. */
START_TEST(at_first)
{
    long count;
    sp_batches *b = sp_batches_new((const long[]){ 5, 2, 9, 2, 0 }, 5, 2, NULL);
    static const long want[][2] = { { 4, 1 }, { 3, 0 }, { 2 } };
    for (int k = 0; k < 3; k++) {
        const long *index = sp_batches_part(b, k, 0, 1, &count);
        ck_assert(count == (k < 2 ? 2 : 1) && !memcmp(index, want[k], (size_t)count * sizeof *index));
    }
    sp_batches_free(b);
}
END_TEST

START_TEST(wrong)
{
    static const struct { int has; long n, size; const char *message; } bad[] = {
        { true, 0, 4, "batches: 0 sentences in batches of 4" },
        { true, 3, 0, "batches: 3 sentences in batches of 0" },
        { false, 3, 2, "batches: 3 sentences in batches of 2, without lengths" },
        { true, 3, 2, "batches: sentence 2 has the length -7" },
    };
    static const long lengths[] = { 1, 0, -7 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sp_status status = { 0 };
        ck_assert(!sp_batches_new(bad[i].has ? lengths : NULL, bad[i].n, bad[i].size, &status));
        ck_assert_str_eq(status.message, bad[i].message);
        ck_assert_int_eq(status.code, SP_ERR_VALUE);
    }
    sp_batches *b = sp_batches_new(lengths, 2, 1, NULL);
    static const struct { long batch; int part, parts; } none[] = { { -1, 0, 1 }, { 2, 0, 1 }, { 0, 1, 1 }, { 0, -1, 1 }, { 0, 0, 0 } };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        long count = 5;
        ck_assert(!sp_batches_part(b, none[i].batch, none[i].part, none[i].parts, &count) && count == 0);
    }
    sp_batches_free(b);
    sp_batches_free(NULL);
}
END_TEST

/* ---- sequences of numbers -------------------------------------------------------------------------------------- */

/* Lengths as drawn, and where each begins. */
static void draw_first(int i, long *length, long *first)
{
    sp_batches_free(drawn(i, length));
    first[0] = 0;
    for (long k = 0; k < sizes[i].n; k++)
        first[k + 1] = first[k] + length[k];
}

/* Batches by where sequences begin are those by their lengths. */
START_TEST(by_first)
{
    static long length[MOST], first[MOST + 1];
    draw_first(_i, length, first);
    sp_batches *a = drawn(_i, length), *b = sp_batches_of(first, sizes[_i].n, sizes[_i].size, NULL);
    const long n = sp_batches_arrange(a, true, 3, 1);
    ck_assert_int_eq(sp_batches_arrange(b, true, 3, 1), n);
    for (long k = 0; k < n; k++) {
        long x, y;
        const long *of_a = sp_batches_part(a, k, 0, 1, &x), *of_b = sp_batches_part(b, k, 0, 1, &y);
        ck_assert(x == y && !memcmp(of_a, of_b, (size_t)x * sizeof *of_a));
    }
    sp_batches_free(a);
    sp_batches_free(b);
}
END_TEST

START_TEST(gathers)
{
    static const int id[] = { 5, 6, 7, 8, 9 }, want[] = { 7, 8, 9, 5, 6, 7, 8, 9 };
    static const long first[] = { 0, 2, 2, 5 }, index[] = { 2, 1, 0, 2 };
    struct sp_gathered g;
    sp_tape *t = sp_tape_new(NULL);
    ck_assert(sp_gather(t, id, first, index, 4, &g));
    ck_assert(g.n == 4 && g.sum == 8 && g.length[0] == 3 && g.length[1] == 0 && g.length[2] == 2 && g.length[3] == 3);
    ck_assert(!memcmp(g.id, want, sizeof want));
    ck_assert(sp_gather(t, NULL, NULL, NULL, 0, &g) && g.n == 0 && g.sum == 0);
    ck_assert(!sp_gather(NULL, id, first, index, 4, &g));
    sp_tape_free(t);
}
END_TEST

/* Each sequence with numbers once, the shortest first, as many at a time as the limits have room for. */
START_TEST(readings)
{
    static long length[MOST], first[MOST + 1];
    static bool seen[MOST];
    const long most = _i % 2 ? 5 : 1000, room = 60;
    struct sp_reading r;
    sp_status status = { 0 };
    long before = 1, parts = 0, left = 0;
    draw_first(_i, length, first);
    memset(seen, 0, sizeof seen);
    for (long k = 0; k < sizes[_i].n; k++)
        left += length[k] > 0;
    sp_reading_begin(&r, NULL, NULL, first, sizes[_i].n, most, room);
    for (; sp_reading_next(&r); parts++) {
        ck_assert(r.n >= 1 && r.n <= most && !sp_tape_recording(r.tape) && !sp_tape_training(r.tape));
        for (long k = 0; k < r.n; k++) {
            const long i = r.index[k];
            ck_assert(!seen[i] && length[i] >= before);
            seen[i] = true;
            before = length[i];
        }
        ck_assert(r.n == 1 || r.n * (before + 1) <= room);
        ck_assert(r.n == r.left || r.n == most || (r.n + 1) * (length[r.index[r.n]] + 1) > room);
        left -= r.n;
    }
    ck_assert(left == 0 && (parts > 1 || sizes[_i].n < 70));
    ck_assert_msg(sp_reading_end(&r, &status) && status.code == SP_OK, "%s", status.message);
}
END_TEST

START_TEST(reading_ends)
{
    static const long first[] = { 0, 0, 0, 0 }, four[] = { 0, 1, 2, 3, 4 };
    struct sp_reading r;
    sp_status status = { 0 };
    for (long n = 0; n <= 3; n += 3) {                  /* nothing to read */
        sp_reading_begin(&r, NULL, NULL, n ? first : NULL, n, 2, 9);
        ck_assert(!sp_reading_next(&r) && sp_reading_end(&r, &status) && status.code == SP_OK);
    }
    sp_reading_begin(&r, NULL, NULL, four, 4, 2, 9);
    ck_assert(sp_reading_next(&r) && r.n == 2);
    sp_tape_fail(r.tape, SP_ERR_SHAPE, "it fell");
    ck_assert(!sp_reading_next(&r) && !sp_reading_end(&r, &status));
    ck_assert_str_eq(status.message, "it fell");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("batches");
    TCase *c = tcase_create("batches");
    tcase_add_loop_test(c, as_plainly, 0, sizeof sizes / sizeof *sizes);
    tcase_add_loop_test(c, each_once, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(c, orders);
    tcase_add_test(c, at_first);
    tcase_add_test(c, wrong);
    tcase_add_loop_test(c, by_first, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(c, gathers);
    tcase_add_loop_test(c, readings, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(c, reading_ends);
    suite_add_tcase(all, c);
    return all;
}
