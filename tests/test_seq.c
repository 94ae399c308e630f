/* Sequences of different lengths: padding, and rows in the order of a step. (Packing is tested by test_scan.c.) */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "autograd/op.h"
#include "nn/scan.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { W = 3, MOST = 60 };

static const struct {
    long n, length[6];
} lists[] = {
    { 3, { 2, 4, 1 } }, { 1, { 1 } }, { 1, { 5 } }, { 4, { 3, 3, 3, 3 } }, { 5, { 1, 1, 4, 2, 4 } }, { 3, { 3, 2, 1 } },
};

enum { LISTS = sizeof lists / sizeof *lists };

static long rows_of(int list)
{
    long rows = 0;
    for (long i = 0; i < lists[list].n; i++)
        rows += lists[list].length[i];
    return rows;
}

/* Row k of the sequences one behind the other is 10 k + column + 1. */
static sp_seq packed(sp_tape *t, int list, sp_tensor **x)
{
    sp_real value[MOST];
    for (long i = 0; i < rows_of(list) * W; i++)
        value[i] = (sp_real)(10 * (i / W) + i % W + 1);
    *x = sp_variable(t, value, SP_SHAPE(rows_of(list), W));
    return sp_seq_pack(t, *x, lists[list].length, lists[list].n);
}

START_TEST(padding)
{
    const long n = lists[_i].n, *length = lists[_i].length;
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *x;
    sp_real got[MOST * W], mask[MOST], back[MOST], own[MOST];
    sp_seq seq = packed(t, _i, &x);
    sp_tensor *padded = sp_seq_padded(t, seq);
    const long steps = seq.layout->steps;
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(padded), SP_SHAPE(n, steps, W)));
    ck_assert(sp_read(padded, got) && sp_read(sp_seq_mask(t, seq.layout), mask) && sp_read(x, own));
    for (long i = 0, row = 0; i < n; i++)
        for (long k = 0; k < steps; k++, row += k <= length[i])
            for (long j = 0; j < W; j++) {
                const double want = k < length[i] ? (double)(10 * row + j + 1) : 0;
                ck_assert_double_eq((double)got[(i * steps + k) * W + j], want);
                ck_assert_double_eq((double)mask[i * steps + k], k < length[i]);
            }
    sp_seq again = sp_seq_of_padded(t, seq.layout, padded);
    ck_assert(again.layout == seq.layout && sp_read(sp_seq_unpack(t, again), back));
    ck_same(back, own, rows_of(_i) * W);
    ck_assert(sp_backward(t, sp_sum(t, sp_mul(t, again.rows, again.rows), SP_ALL)));
    sp_read_grad(x, back);
    for (long i = 0; i < rows_of(_i) * W; i++)
        ck_assert_double_eq((double)back[i], 2 * (double)own[i]);
    sp_tape_free(t);
}
END_TEST

/* [T,B,w] is padded without a copy, and goes back. */
START_TEST(even_padding)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[12];
    sp_seq seq = sp_seq_of(t, sp_feed(t, REALS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), SP_SHAPE(2, 3, 2)));
    sp_tensor *padded = sp_seq_padded(t, seq);
    ck_assert(padded->buffer == seq.rows->buffer && sp_seq_of_padded(t, seq.layout, padded).rows->buffer == padded->buffer);
    ck_assert(sp_read(padded, got));
    ck_same(got, REALS(1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12), 12);
    ck_assert(sp_read(sp_seq_tensor(t, sp_seq_of_padded(t, seq.layout, padded)), got));
    ck_same(got, REALS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), 12);
    sp_tape_free(t);
}
END_TEST

/* ---- rows from outside a step ---------------------------------------------------------------------------------- */

static sp_tensor *outside;

/* A product of the step's own rows with those of their sequences, which is seen before the loop, in it and behind it. */
static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    sp_tensor *rows = sp_seq_rows(t, outside, x), *before = sp_mul(t, x, sp_neg(t, rows));
    *h = sp_tanh(t, sp_add(t, sp_mul(t, *h, rows), before));
    return sp_add(t, sp_mul(t, *h, rows), x);
}

static const sp_cell cell = { .name = "outside", .step = step, .states = 1, .width = { W } };

/* Outputs, and gradients of x and of what comes from outside, in the caller's order. */
static void run(int list, bool reverse, bool fast, sp_real out[3][MOST * W])
{
    sp_real value[MOST];
    sp_tensor *x, *state[] = { NULL };
    for (long i = 0; i < lists[list].n * W; i++)
        value[i] = (sp_real)(i * i % 7) / 7;
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *mine = sp_variable(t, value, SP_SHAPE(lists[list].n, W));
    sp_seq seq = packed(t, list, &x);
    seq = sp_seq_like(seq, sp_scale(t, seq.rows, 0.01));
    outside = sp_seq_sorted(t, seq.layout, mine);
    sp_tensor *y = sp_seq_unpack(t, (fast ? sp_scan_seq : sp_unroll_seq)(t, &cell, seq, state, reverse));
    sp_tensor *loss = sp_add(t, sp_sum(t, sp_mul(t, y, sp_mul(t, y, x)), SP_ALL), sp_sum(t, state[0], SP_ALL));
    ck_tape_ok(t);
    ck_assert(sp_backward(t, loss) && sp_read(y, out[0]) && sp_read_grad(x, out[1]) && sp_read_grad(mine, out[2]));
    sp_tape_free(t);
}

static void check_near(const char *what, const sp_real *a, const sp_real *b, long n)
{
    for (long i = 0; i < n; i++)
        ck_assert_msg(fabs((double)(a[i] - b[i])) <= WIDE(1e-12, 2e-5) * (1 + fabs((double)b[i])), "%s %ld: %.9g, %.9g", what, i,
                      (double)a[i], (double)b[i]);
}

/* Scan, unroll, and each sequence alone. */
START_TEST(sorted_rows)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        sp_real slow[3][MOST * W], fast[3][MOST * W];
        run(_i, reverse, false, slow);
        run(_i, reverse, true, fast);
        check_near("output", fast[0], slow[0], rows_of(_i) * W);
        check_near("gradient of x", fast[1], slow[1], rows_of(_i) * W);
        check_near("gradient from outside", fast[2], slow[2], lists[_i].n * W);
        for (long i = 0, at = 0; i < lists[_i].n; at += lists[_i].length[i++]) {
            sp_real x[MOST], value[W], alone[MOST];
            const long length = lists[_i].length[i];
            for (long k = 0; k < length * W; k++)
                x[k] = (sp_real)(0.01 * (double)(10 * (at + k / W) + k % W + 1));
            for (long k = 0; k < W; k++)
                value[k] = (sp_real)((i * W + k) * (i * W + k) % 7) / 7;
            sp_tape *t = sp_tape_new(NULL);
            outside = sp_feed(t, value, SP_SHAPE(1, W));
            sp_seq seq = sp_seq_of(t, sp_feed(t, x, SP_SHAPE(length, 1, W)));
            ck_assert_msg(sp_read(sp_unroll_seq(t, &cell, seq, NULL, reverse).rows, alone), "%s", sp_error(t));
            check_near("alone", fast[0] + at * W, alone, length * W);
            sp_tape_free(t);
        }
    }
}
END_TEST

/* Sees only what it makes itself of what is outside. */
static sp_tensor *derived_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    return *h = sp_add(t, sp_mul(t, x, sp_neg(t, sp_neg(t, outside))), *h);
}

static const sp_cell derived = { .name = "derived", .step = derived_step, .states = 1, .width = { W } };

/* Fewer and fewer rows of sorted ones are still sorted. */
START_TEST(fewer_rows)
{
    const long length[] = { 1, 3, 2 };
    sp_real y[W];
    sp_tape *t = sp_tape_new(NULL);
    sp_seq seq = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(6, W)), length, 3);
    sp_tensor *rows = sp_seq_sorted(t, seq.layout, sp_feed(t, REALS(1, 1, 1, 2, 2, 2, 3, 3, 3), SP_SHAPE(3, W)));
    for (long n = 3; n > 0; n--)
        rows = sp_seq_rows(t, rows, sp_full(t, 0, SP_SHAPE(n, 1)));
    ck_assert_msg(sp_read(rows, y) && y[0] == 2, "%s", sp_error(t));
    sp_tape_free(t);
}
END_TEST

/* What is sorted for one layout is refused by others, but for those of the same order; without recording as well. */
START_TEST(wrong_order)
{
    static const struct {
        long length[3];
        bool sorted, fits;
    } cases[] = {
        { { 2, 3, 1 }, true, true }, { { 4, 7, 2 }, true, true }, { { 3, 2, 1 }, true, false }, { { 2, 3, 1 }, false, false },
        { { 2, 2, 2 }, true, false }, { { 2, 2, 2 }, false, true },
    };
    const long length[] = { 2, 3, 1 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sp_tape *t = sp_tape_new(NULL);
        sp_tape_set_recording(t, _i % 2);
        sp_seq one = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(6, W)), length, 3);
        const long *l = cases[i].length;
        sp_seq other = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(l[0] + l[1] + l[2], W)), l, 3);
        outside = sp_full(t, 1, SP_SHAPE(3, W));
        if (cases[i].sorted)
            outside = sp_seq_sorted(t, one.layout, outside);
        sp_scan_seq(t, _i / 2 ? &derived : &cell, other, NULL, false);
        ck_assert_msg(sp_ok(t) == cases[i].fits, "case %zu: %s", i, sp_error(t));
        if (!cases[i].fits)
            ck_assert_msg(strstr(sp_error(t), "mul: [3,3] from outside the step has a row for each sequence, but ")
                          && strstr(sp_error(t), l[0] == l[1] ? "it was sorted for others" : "their lengths differ"), "%s",
                          sp_error(t));
        sp_tape_free(t);
    }
}
END_TEST

/* Sorted rows meet weights from outside, in the step: they have no rows, though no parameters either. The product with a weight
   and what is doubled many times are of the rows alone. */
struct weights {
    sp_tensor *number, *row, *column, *square;
};

static sp_tensor *weighing_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct weights *w = self;
    sp_tensor *rows = sp_seq_rows(t, outside, x), *y = sp_add(t, sp_matmul(t, sp_mul(t, rows, w->number), w->square), w->row);
    y = sp_affine(t, sp_mul(t, y, w->column), sp_transpose(t, w->square, 0, 1), w->row);
    for (int i = 0; i < 60; i++)
        y = sp_scale(t, sp_add(t, y, y), 0.5);
    return *h = sp_add(t, sp_mul(t, x, y), *h);
}

START_TEST(weights_from_outside)
{
    sp_real value[MOST], y[2][MOST];
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *x, *doubled[4];
    const sp_shape shape[4] = { SP_SCALAR, SP_SHAPE(W), SP_SHAPE(1, W), SP_SHAPE(W, W) };
    for (int i = 0; i < MOST; i++)
        value[i] = (sp_real)(i * i % 7) / 7;
    for (int i = 0; i < 4; i++)
        doubled[i] = sp_scale(t, sp_feed(t, value + 1, shape[i]), 2);
    const struct weights w = { doubled[0], doubled[1], doubled[2], doubled[3] };
    const sp_cell weighing = { .name = "weighing", .self = &w, .step = weighing_step, .states = 1, .width = { W } };
    sp_seq xs = packed(t, 0, &x);
    outside = sp_seq_sorted(t, xs.layout, sp_feed(t, value, SP_SHAPE(3, W)));
    for (int way = 0; way < 2; way++)
        ck_assert_msg(sp_read((way ? sp_scan_seq : sp_unroll_seq)(t, &weighing, xs, NULL, false).rows, y[way]), "%s", sp_error(t));
    check_near("output", y[1], y[0], rows_of(0) * W);
    sp_tape_free(t);
}
END_TEST

static sp_tape *t;
static sp_seq seq;

static void pad_nothing(void)       { sp_seq_padded(t, (sp_seq){ NULL, NULL }); }
static void pad_rows(void)          { sp_seq_padded(t, sp_seq_like(seq, sp_full(t, 0, SP_SHAPE(6, 3)))); }
static void pad_rank(void)          { sp_seq_padded(t, sp_seq_like(seq, sp_full(t, 0, SP_SHAPE(7, 3, 1)))); }
static void unpack_rows(void)       { sp_seq_unpack(t, sp_seq_like(seq, sp_full(t, 0, SP_SHAPE(8, 3)))); }
static void unpack_rank(void)       { sp_seq_unpack(t, sp_seq_like(seq, sp_full(t, 0, SP_SHAPE(7)))); }
static void many_rows(void)         { sp_seq_pack(t, sp_full(t, 0, SP_SHAPE(2, 3)), (const long[]){ 2, LONG_MAX }, 2); }
static void even_rows(void)
{
    sp_seq_tensor(t, sp_seq_like(sp_seq_of(t, sp_full(t, 0, SP_SHAPE(3, 2, 2))), sp_full(t, 0, SP_SHAPE(4, 2))));
}
static void mask_nothing(void)      { sp_seq_mask(t, NULL); }
static void unpad_shape(void)       { sp_seq_of_padded(t, seq.layout, sp_full(t, 0, SP_SHAPE(3, 5, 2))); }
static void unpad_rank(void)        { sp_seq_of_padded(t, seq.layout, sp_full(t, 0, SP_SHAPE(3, 4))); }
static void unpad_nothing(void)     { sp_seq_of_padded(t, seq.layout, NULL); }
static void unpad_layout(void)      { sp_seq_of_padded(t, NULL, seq.rows); }
static void sort_batch(void)        { sp_seq_sorted(t, seq.layout, sp_full(t, 0, SP_SHAPE(4, 2))); }
static void sort_scalar(void)       { sp_seq_sorted(t, seq.layout, sp_full(t, 0, SP_SCALAR)); }
static void sort_nothing(void)      { sp_seq_sorted(t, seq.layout, NULL); }
static void sort_layout(void)       { sp_seq_sorted(t, NULL, seq.rows); }
static void fewer_unsorted(void)    { sp_seq_rows(t, sp_full(t, 0, SP_SHAPE(3, 2)), sp_full(t, 0, SP_SHAPE(2, 5))); }
static void more_rows(void)         { sp_seq_rows(t, sp_full(t, 0, SP_SHAPE(3, 2)), sp_full(t, 0, SP_SHAPE(4, 5))); }
static void rows_of_nothing(void)   { sp_seq_rows(t, NULL, seq.rows); }

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { pad_nothing, "sequence: no input" },
    { pad_rows, "sequence: the rows are [6,3], but the layout has 7" },
    { pad_rank, "sequence: the rows are [7,3,1], but the layout has 7" },
    { unpack_rows, "sequence: the rows are [8,3], but the layout has 7" },
    { unpack_rank, "sequence: the rows are [7], but the layout has 7" },
    { even_rows, "sequence: the rows are [4,2], but the layout has 6" },
    { many_rows, "sequence: 2 rows and length 9223372036854775807 of sequence 1 are more than 2147483647" },
    { mask_nothing, "sequence: no layout" },
    { unpad_shape, "sequence: [3,5,2] is not [3,4,w], as the layout has it" },
    { unpad_rank, "sequence: [3,4] is not [3,4,w], as the layout has it" },
    { unpad_nothing, "sequence: no input" },
    { unpad_layout, "sequence: no layout" },
    { sort_batch, "sequence: [4,2] does not have a row for each of 3 sequences" },
    { sort_scalar, "sequence: [] does not have a row for each of 3 sequences" },
    { sort_nothing, "sequence: no input" },
    { sort_layout, "sequence: no layout" },
    { fewer_unsorted, "sequence: [3,2] for the 2 rows of [2,5]; where sequences have different lengths it must be sorted: "
                      "sp_seq_sorted" },
    { more_rows, "sequence: [3,2] for the 4 rows of [4,5]" },
    { rows_of_nothing, "sequence: no input" },
};

START_TEST(bad_use)
{
    sp_tensor *x;
    t = sp_tape_new(NULL);
    seq = packed(t, 0, &x);
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    sp_tape_free(t);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("seq");
    TCase *c = tcase_create("seq");
    tcase_add_loop_test(c, padding, 0, LISTS);
    tcase_add_test(c, even_padding);
    tcase_add_loop_test(c, sorted_rows, 0, LISTS);
    tcase_add_test(c, fewer_rows);
    tcase_add_loop_test(c, wrong_order, 0, 4);
    tcase_add_test(c, weights_from_outside);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(s, c);
    return s;
}
