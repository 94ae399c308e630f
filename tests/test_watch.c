/* Where numbers stop being finite: the operation, its scope and its time step. */
#include <math.h>
#include <string.h>

#include "autograd/watch.h"
#include "nn/cell.h"
#include "nn/scan.h"
#include "ops/ops.h"
#include "tests/suite.h"

static sp_store *store;
static sp_tape *t;
static char origin[SP_ORIGIN_TEXT];

static void begin(void)
{
    store = sp_store_new(1);
    t = sp_tape_new(store);
    sp_tape_watch(t, origin);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(store);
}

static sp_tensor *total(sp_tensor *x)
{
    return sp_sum(t, sp_reshape(t, x, SP_SHAPE(sp_shape_size(sp_shape_get(x)))), 0);
}

static sp_tensor *number(double x)
{
    return sp_variable(t, REALS((sp_real)x), SP_SHAPE(1));
}

/* ---- on a tape ------------------------------------------------------------------------------------------------- */

/* exp overflows; later operations only hand on what it made. */
START_TEST(first_of_many)
{
    sp_tensor *x = sp_exp(t, number(2));
    ck_assert_str_eq(origin, "");
    sp_scope_push(t, "encoder");
    sp_scope_push(t, "l0");
    x = sp_exp(t, sp_scale(t, x, 1000));
    sp_scope_pop(t);
    ck_assert_str_eq(origin, "'exp' in encoder.l0");
    x = sp_sub(t, x, x);
    ck_assert(isnan(sp_item(x)));
    ck_assert_str_eq(origin, "'exp' in encoder.l0");
    sp_tape_watch(t, origin);
    ck_assert_str_eq(origin, "");
    sp_tape_watch(t, NULL);
    sp_exp(t, number(1e4));
    ck_assert_str_eq(origin, "");
    ck_tape_ok(t);
}
END_TEST

/* inf from inf is nobody's fault, nan from inf is. */
START_TEST(nan_from_inf)
{
    sp_tensor *x = sp_add(t, number(-INFINITY), number(1));
    x = sp_maximum(t, x, number(-INFINITY));
    ck_assert_str_eq(origin, "");
    x = sp_sub(t, x, x);
    ck_assert_str_eq(origin, "'sub'");
}
END_TEST

/* A mask of -inf that softmax takes away. */
START_TEST(masks)
{
    sp_tensor *mask = sp_feed(t, REALS(0, (sp_real)-INFINITY), SP_SHAPE(2));
    sp_tensor *x = sp_softmax(t, sp_add(t, sp_variable(t, REALS(1, 2), SP_SHAPE(2)), mask));
    ck_assert(sp_backward(t, total(sp_mul(t, x, x))));
    ck_assert_str_eq(origin, "");
    ck_tape_ok(t);
}
END_TEST

/* d sqrt(x) / dx at 0. */
START_TEST(way_back)
{
    sp_scope_push(t, "norm");
    sp_tensor *x = sp_sqrt(t, number(0));
    sp_scope_pop(t);
    ck_assert_str_eq(origin, "");
    ck_assert(sp_backward(t, x));
    ck_assert_str_eq(origin, "'sqrt' backward in norm");
}
END_TEST

/* Views with gaps: a transpose of a matrix with one number too large. */
START_TEST(strides)
{
    sp_tensor *x = sp_variable(t, REALS(1, 2, 3, 4, 5, 1e4), SP_SHAPE(2, 3));
    sp_exp(t, sp_slice(t, sp_transpose(t, x, 0, 1), 0, 0, 2));
    ck_assert_str_eq(origin, "");
    sp_exp(t, sp_slice(t, sp_transpose(t, x, 0, 1), 0, 1, 3));
    ck_assert_str_eq(origin, "'exp'");
}
END_TEST

/* ---- in a scan ------------------------------------------------------------------------------------------------- */

/* h' = f(x + h), y = g(h'), and before both k(x): one of them breaks. */
static const struct what {
    const char *name;
    bool before, loop, behind, back;
} cells[] = {
    { "before", .before = true }, { "loop", .loop = true }, { "behind", .behind = true }, { "back", .back = true },
};

static sp_tensor *step(sp_tape *tape, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct what *w = self;
    if (w->before)
        x = sp_exp(tape, x);
    *h = sp_add(tape, x, *h);
    if (w->loop)
        *h = sp_exp(tape, *h);
    if (w->back)
        *h = sp_sqrt(tape, *h);
    return w->behind ? sp_exp(tape, *h) : *h;
}

enum { T = 5, B = 3 };

/* One number of one sequence, at time 3, is beyond exp; or all states are 1 but that one, which is 0. */
static void fill(sp_real *x, const struct what *w)
{
    for (int i = 0; i < T * B; i++)
        x[i] = w->back ? i < B : (sp_real)-2;
    x[3 * B + 1] = w->back ? -1 : (sp_real)5e3;
    x[4 * B + 1] = w->back;
}

START_TEST(in_a_scan)
{
    const struct what *w = &cells[_i / 2];
    const bool unroll = _i % 2;
    const sp_cell cell = { .name = w->name, .self = w, .step = step, .states = 1, .width = { 1 } };
    sp_real x[T * B];
    char want[64];
    fill(x, w);
    sp_scope_push(t, "rnn");
    sp_tensor *xs = sp_variable(t, x, SP_SHAPE(T, B, 1));
    sp_tensor *ys = unroll ? sp_unroll(t, &cell, xs, NULL) : sp_scan(t, &cell, xs, NULL);
    sp_scope_pop(t);
    ck_tape_ok(t);
    if (w->back) {
        ck_assert_str_eq(origin, "");
        ck_assert(sp_backward(t, total(ys)));
    }
    snprintf(want, sizeof want, "'%s'%s in rnn.%s%s", w->back ? "sqrt" : "exp", w->back ? " backward" : "", w->name,
             w->back && unroll ? "" : ", time step 3");
    ck_assert_str_eq(origin, want);
}
END_TEST

/* Sequences of lengths 2, 5, 4 in the caller's order: the last number of the second. Also from their ends, where the state
   takes it to all steps, and what is behind the loop meets it at step 0. */
START_TEST(ragged)
{
    const struct what *w = &cells[_i / 2];
    const sp_cell cell = { .name = w->name, .self = w, .step = step, .states = 1, .width = { 1 } };
    const long length[] = { 2, 5, 4 };
    sp_real x[11];
    for (int i = 0; i < 11; i++)
        x[i] = i == 6 ? (sp_real)5e3 : (sp_real)-2;
    sp_scan_seq(t, &cell, sp_seq_pack(t, sp_variable(t, x, SP_SHAPE(11, 1)), length, 3), NULL, _i % 2);
    char want[64];
    snprintf(want, sizeof want, "'exp' in %s, time step %d", w->name, w->behind && _i % 2 ? 0 : 4);
    ck_assert_str_eq(origin, want);
}
END_TEST

/* Watching changes no number. */
START_TEST(same_numbers)
{
    sp_cell cell = { .name = "loop", .self = &cells[1], .step = step, .states = 1, .width = { 1 } };
    sp_real x[T * B], y[2][T * B], g[2][T * B];
    for (int i = 0; i < T * B; i++)
        x[i] = (sp_real)(-3 + 0.1 * i);
    for (int k = 0; k < 2; k++) {
        sp_tape_reset(t);
        sp_tape_watch(t, k ? origin : NULL);
        sp_tensor *xs = sp_variable(t, x, SP_SHAPE(T, B, 1)), *ys = sp_scan(t, &cell, xs, NULL);
        ck_assert(sp_backward(t, total(ys)) && sp_read(ys, y[k]) && sp_read_grad(xs, g[k]));
    }
    ck_same(y[0], y[1], T * B);
    ck_same(g[0], g[1], T * B);
    sp_tape_watch(NULL, origin);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("watch");
    TCase *c = tcase_create("watch");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, first_of_many);
    tcase_add_test(c, nan_from_inf);
    tcase_add_test(c, masks);
    tcase_add_test(c, way_back);
    tcase_add_test(c, strides);
    tcase_add_loop_test(c, in_a_scan, 0, 8);
    tcase_add_loop_test(c, ragged, 0, 6);
    tcase_add_test(c, same_numbers);
    suite_add_tcase(all, c);
    return all;
}
