/* The gradient check itself: it passes what is right, finds what is wrong, and says where. */
#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "ops/kernel.h"
#include "ops/ops.h"
#include "tests/suite.h"

/* y = x^2.   dx += 2 dy x, but for one element, where it is off by a factor; a negative index spoils none. */
struct flaw {
    int at;
    double factor;
};

static void square(const sp_call *c)
{
    SP_EACH2(c->y.shape, y, c->y, x, c->x[0], *y = *x * *x);
}

static void square_backward(const sp_call *c)
{
    const struct flaw *f = c->attr;
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, x, c->x[0], *dx += 2 * *dy * *x);
    if (f->at >= 0)
        c->dx[0].data[f->at] *= (sp_real)f->factor;
}

static const sp_op op_square = { 
    .name = "square", .infer = sp_infer_same, .forward = square, .backward = square_backward
};

static sp_store *store;

static void begin(void)
{
    store = sp_store_new(1);
    for (int i = 0; i < 2; i++) {
        sp_param *p = sp_store_add(store, SP_SHAPE(4 + i), i ? "second" : "first");
        sp_random_uniform(sp_param_key(p), 4 + i, sp_param_values(p), 0.5, 1);
    }
}

static void end(void)
{
    sp_store_free(store);
}

/* sum first^2 + sum of second^2, flawed */
static sp_tensor *loss(sp_tape *t, void *flaw)
{
    sp_tensor *a = sp_param_on(t, sp_store_at(store, 0)), *b = sp_param_on(t, sp_store_at(store, 1));
    b = sp_record(t, &op_square, 1, &b, flaw, sizeof(struct flaw));
    return sp_add(t, sp_sum(t, sp_mul(t, a, a), SP_ALL), sp_sum(t, b, SP_ALL));
}

static const struct {
    struct flaw flaw;
    int directions;
    long checked;
    bool right;
    const char *where;
} cases[] = {
    { { -1, 1 }, 0, 9, true, "" },
    { { -1, 1 }, 3, 3, true, "direction " },
    { { 3, 1.5 }, 0, 9, false, "second[3]" },
    { { 4, -1 }, 0, 9, false, "second[4]" },
    { { 0, 0 }, 0, 9, false, "second[0]" },
    { { 3, 1.5 }, 8, 8, false, "direction " },
};

START_TEST(finds_it)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    struct flaw flaw = cases[_i].flaw;
    sp_real before[64];
    ck_assert_int_le(sp_store_size(store), 64);
    memcpy(before, sp_store_values(store), (size_t)sp_store_size(store) * sizeof *before);
    ck_assert_msg(sp_gradcheck(store, loss, &flaw, cases[_i].directions, &r, &status), "%s", status.message);
    ck_same(before, sp_store_values(store), sp_store_size(store));
    ck_assert_int_eq(r.checked, cases[_i].checked);
    ck_assert_msg(!strncmp(r.where, cases[_i].where, strlen(cases[_i].where)), "at %s", r.where);
    double error = fabs(r.backward - r.numeric) / fmax(fabs(r.backward), fabs(r.numeric));
    ck_assert_double_le(fabs(r.error - error), 1e-3 * error);
    /* the differences of a parabola are exact but for the rounding of a loss around 5, over a step of 1e-3 or 3e-2 */
    if (cases[_i].right)
        ck_assert_double_lt(r.error, WIDE(1e-10, 1e-3));
    else
        ck_assert_double_gt(r.error, 0.01);
    if (!cases[_i].right && !cases[_i].directions) {
        double x = sp_param_values(sp_store_at(store, 1))[flaw.at];
        ck_assert_double_eq_tol(r.backward, 2 * x * flaw.factor, 1e-6);
        ck_assert_double_eq_tol(r.numeric, 2 * x, WIDE(1e-10, 1e-3));
    }
}
END_TEST

/* sum tanh(100 x), which differences over 1e-3 take for something else. */
static sp_tensor *sharp(sp_tape *t, void *flaw)
{
    sp_tensor *x = sp_tanh(t, sp_scale(t, sp_param_on(t, sp_store_at(store, 0)), 100));
    return sp_sum(t, sp_record(t, &op_square, 1, &x, flaw, sizeof(struct flaw)), SP_ALL);
}

START_TEST(sharp_bends)
{
    sp_gradcheck_report r;
    for (long i = 0; i < 4; i++)
        sp_param_values(sp_store_at(store, 0))[i] = (sp_real)0.002 * (sp_real)(i + 1);
    ck_assert(sp_gradcheck(store, sharp, &(struct flaw){ -1, 1 }, 0, &r, NULL));
    ck_assert_double_lt(r.error, WIDE(1e-7, 2));
    ck_assert(sp_gradcheck(store, sharp, &(struct flaw){ 2, 1.001 }, 0, &r, NULL));
    ck_assert_double_gt(r.error, 9e-4);
}
END_TEST

/* 1e9 + sum x^2: the differences lose 7 digits of what is there, which is no error of the gradient. */
static sp_tensor *swamped(sp_tape *t, void *context)
{
    (void)context;
    sp_tensor *x = sp_param_on(t, sp_store_at(store, 0));
    return sp_add(t, sp_sum(t, sp_mul(t, x, x), SP_ALL), sp_full(t, (sp_real)1e9, SP_SCALAR));
}

/* Random numbers are the same in every run, or the differences would be of different losses. */
static sp_tensor *noisy(sp_tape *t, void *context)
{
    (void)context;
    sp_tensor *x = sp_dropout(t, sp_param_on(t, sp_store_at(store, 0)), 0.5);
    return sp_sum(t, sp_mul(t, x, x), SP_ALL);
}

/* The derivative along a direction is one along a line of length 1: no larger than the gradient, and of its size. */
START_TEST(swamped_and_noisy)
{
    sp_gradcheck_report r;
    if (WIDE(true, false)) {
        ck_assert(sp_gradcheck(store, swamped, NULL, 0, &r, NULL));
        ck_assert_double_lt(r.error, 1e-6);
        ck_assert(sp_gradcheck(store, noisy, NULL, 0, &r, NULL));
        ck_assert_double_lt(r.error, 1e-8);
    }
    for (uint64_t seed = 1; seed <= 30; seed++) {
        sp_store_free(store);
        store = sp_store_new(seed);
        double length = 0;
        for (int k = 0; k < 2; k++) {
            sp_param *p = sp_store_add(store, SP_SHAPE(4 + k), k ? "second" : "first");
            for (int i = 0; i < 4 + k; i++) {
                const double x = (double)(sp_param_values(p)[i] = 1 + (sp_real)i / 4);
                length += 4 * x * x;
            }
        }
        ck_assert(sp_gradcheck(store, loss, &(struct flaw){ -1, 1 }, 1, &r, NULL));
        ck_assert_double_le(fabs(r.backward), 1.001 * sqrt(length));
    }
    sp_status status = { 0 };
    ck_assert(!sp_gradcheck(store, loss, &(struct flaw){ -1, 1 }, 0, NULL, &status));
    ck_assert_str_eq(status.message, "gradcheck: the report is NULL");
}
END_TEST

static sp_tensor *no_number(sp_tape *t, void *context)
{
    (void)context;
    return sp_sum(t, sp_log(t, sp_neg(t, sp_param_on(t, sp_store_at(store, 0)))), SP_ALL);
}

/* Infinite at the values themselves: the test puts the last at 1. */
static sp_tensor *edge(sp_tape *t, void *context)
{
    (void)context;
    sp_tensor *x = sp_param_on(t, sp_store_at(store, 0)), *here = sp_feed(t, REALS(1, 1, 1, 1), SP_SHAPE(4));
    return sp_sum(t, sp_div(t, here, sp_sub(t, x, sp_feed(t, REALS(0, 0, 0, 1), SP_SHAPE(4)))), SP_ALL);
}

static sp_tensor *wrong_shape(sp_tape *t, void *context)
{
    (void)context;
    return sp_add(t, sp_param_on(t, sp_store_at(store, 0)), sp_param_on(t, sp_store_at(store, 1)));
}

/* Fails after the first call. */
static sp_tensor *fails_later(sp_tape *t, void *calls)
{
    int call = ++*(int *)calls;
    return call > 3 ? sp_tape_fail(t, SP_ERR_VALUE, "call %d", call)
                    : sp_sum(t, sp_param_on(t, sp_store_at(store, 0)), SP_ALL);
}

static sp_tensor *constant(sp_tape *t, void *context)
{
    (void)context;
    return sp_full(t, 1, SP_SCALAR);
}

static sp_tensor *vector(sp_tape *t, void *context)
{
    (void)context;
    return sp_param_on(t, sp_store_at(store, 0));
}

static const struct {
    sp_loss_fn loss;
    const char *error;
} failures[] = {
    { no_number, "gradcheck: first[0]: backward " },
    { edge, "gradcheck: first[0]: backward " },
    { wrong_shape, "add: [4] and [5] do not broadcast: 4 != 5" },
    { fails_later, "call 4" },
    { constant, "backward: the loss depends on no parameter or variable" },
    { vector, "backward: the loss has the shape [4], not one element" },
};

START_TEST(fails)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    int calls = 0;
    sp_real before[64];
    sp_param_values(sp_store_at(store, 0))[3] = 1;
    memcpy(before, sp_store_values(store), (size_t)sp_store_size(store) * sizeof *before);
    ck_assert(!sp_gradcheck(store, failures[_i].loss, &calls, 0, &r, &status));
    ck_assert_msg(!strncmp(status.message, failures[_i].error, strlen(failures[_i].error)), "%s", status.message);
    ck_same(before, sp_store_values(store), sp_store_size(store));
    ck_assert(!sp_gradcheck(store, failures[_i].loss, &calls, 2, &r, NULL));
}
END_TEST

START_TEST(nothing_to_check)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    sp_store *none = sp_store_new(0);
    ck_assert(!sp_gradcheck(none, loss, NULL, 0, &r, &status));
    ck_assert_str_eq(status.message, "gradcheck: the store has no parameters");
    sp_store_free(none);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("gradcheck");
    TCase *c = tcase_create("gradcheck");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, finds_it, 0, sizeof cases / sizeof *cases);
    tcase_add_test(c, sharp_bends);
    tcase_add_test(c, swamped_and_noisy);
    tcase_add_loop_test(c, fails, 0, sizeof failures / sizeof *failures);
    tcase_add_test(c, nothing_to_check);
    suite_add_tcase(s, c);
    return s;
}
