/* The tape: tensors from outside, scopes, errors, memory, and what the backward sweep must do with any operations. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nn/optimizer.h"
#include "autograd/op.h"
#include "ops/ops.h"
#include "tests/suite.h"

static sp_store *store;
static const sp_param *weight, *bias;
static sp_tape *t;

static void begin(void)
{
    store = sp_store_new(3);
    sp_param *w = sp_store_add(store, SP_SHAPE(3, 2), "weight"), *b = sp_store_add(store, SP_SHAPE(2), "bias");
    sp_random_uniform(sp_param_key(w), 6, sp_param_values(w), -1, 1);
    sp_random_uniform(sp_param_key(b), 2, sp_param_values(b), -1, 1);
    weight = w;
    bias = b;
    t = sp_tape_new(store);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(store);
}

/* mean tanh(x W + b)^2 over rows that depend on `from` */
static sp_tensor *model(sp_tape *tape, double from)
{
    sp_real x[15];
    for (int i = 0; i < 15; i++)
        x[i] = (sp_real)sin(from + i);
    sp_tensor *y = sp_feed(tape, x, SP_SHAPE(5, 3));
    y = sp_tanh(tape, sp_affine(tape, y, sp_param_on(tape, weight), sp_param_on(tape, bias)));
    return sp_mean(tape, sp_mul(tape, y, y), SP_ALL);
}

/* ---- tensors from outside -------------------------------------------------------------------------------------- */

START_TEST(feed_and_read)
{
    sp_real in[] = { 1, 2, 3, 4, 5, 6 }, out[6];
    sp_tensor *x = sp_feed(t, in, SP_SHAPE(2, 3)), *s = sp_full(t, 7, SP_SCALAR), *p = sp_param_on(t, weight);
    in[0] = 99;
    ck_assert(sp_read(x, out));
    ck_same(out, REALS(1, 2, 3, 4, 5, 6), 6);
    ck_assert(sp_read(sp_full(t, -2, SP_SHAPE(3, 1, 2)), out));
    ck_same(out, REALS(-2, -2, -2, -2, -2, -2), 6);
    ck_assert(sp_read(p, out));
    ck_same(out, sp_param_values(weight), 6);
    ck_assert_double_eq(sp_item(s), 7);
    ck_assert(isnan(sp_item(x)) && isnan(sp_item(NULL)));
    ck_assert_int_eq(sp_dim(x, 0), 2);
    ck_assert_int_eq(sp_dim(x, -1), 3);
    ck_assert_int_eq(sp_dim(x, 2) + sp_dim(x, -3) + sp_dim(s, 0) + sp_dim(s, -1) + sp_dim(NULL, 0), 0);
    ck_assert(sp_sound(sp_feed(t, NULL, SP_SHAPE(0, 3))));
    ck_tape_ok(t);
    ck_assert(!sp_sound(sp_feed(t, NULL, SP_SHAPE(1))));
    ck_assert_str_eq(sp_error(t), "feed: no data");
}
END_TEST

#define LIMITS " (at most 4 axes, none negative, at most 2^40 elements)"

static const struct {
    sp_shape shape;
    const char *error;
} bad_shapes[] = {
    { { 1, { -1 } }, "feed: [-1] is not a shape" LIMITS },
    { { 2, { 0, -3 } }, "feed: [0,-3] is not a shape" LIMITS },
    { { 5, { 1, 1, 1, 1 } }, "feed: [1,1,1,1,...] is not a shape" LIMITS },
    { { -1, { 0 } }, "feed: [] is not a shape" LIMITS },
    { { 2, { 1L << 21, 1L << 20 } }, "feed: [2097152,1048576] is not a shape" LIMITS },
    { { 4, { 1L << 62, 1L << 62, 1L << 62, 1L << 62 } },
      "feed: [4611686018427387904,4611686018427387904,4611686018427387904,4611686018427387904] is not a shape" LIMITS },
};

START_TEST(bad_shape)
{
    sp_tensor *x = sp_feed(t, REALS(0), bad_shapes[_i].shape);
    sp_real out = 5;
    ck_assert_str_eq(sp_error(t), bad_shapes[_i].error);
    ck_assert(!sp_sound(x) && !sp_read(x, &out) && !sp_read_grad(x, &out) && out == 5 && isnan(sp_item(x)));
}
END_TEST

/* ---- broadcasting ---------------------------------------------------------------------------------------------- */

static const sp_shape pairs[][3] = {
    { { 0 }, { 0 }, { 0 } },
    { { 2, { 3, 4 } }, { 0 }, { 2, { 3, 4 } } },
    { { 1, { 4 } }, { 2, { 3, 4 } }, { 2, { 3, 4 } } },
    { { 2, { 3, 1 } }, { 1, { 4 } }, { 2, { 3, 4 } } },
    { { 3, { 2, 1, 4 } }, { 2, { 3, 1 } }, { 3, { 2, 3, 4 } } },
    { { 4, { 2, 1, 3, 1 } }, { 4, { 1, 2, 1, 2 } }, { 4, { 2, 2, 3, 2 } } },
    { { 4, { 2, 3, 1, 2 } }, { 3, { 1, 2, 1 } }, { 4, { 2, 3, 2, 2 } } },
};

/* Element `at` of the result's shape, found in x's. */
static long broadcast_index(sp_shape x, sp_shape y, long at)
{
    long index = 0, step = 1;
    for (int k = y.rank - 1, i = x.rank - 1; i >= 0; at /= y.dim[k], k--, i--) {
        index += x.dim[i] == 1 ? 0 : at % y.dim[k] * step;
        step *= x.dim[i];
    }
    return index;
}

START_TEST(broadcasting)
{
    sp_shape a = pairs[_i][0], b = pairs[_i][1], y = pairs[_i][2];
    sp_real va[24], vb[24], vy[24], want[24];
    sp_random_uniform((sp_key){ .place = 1 }, 24, va, -1, 1);
    sp_random_uniform((sp_key){ .place = 2 }, 24, vb, -1, 1);
    sp_tensor *ta = sp_feed(t, va, a), *tb = sp_feed(t, vb, b), *ty = sp_sub(t, ta, tb);
    ck_assert(sp_shape_equal(sp_shape_get(ty), y));
    for (long i = 0; i < sp_shape_size(y); i++)
        want[i] = va[broadcast_index(a, y, i)] - vb[broadcast_index(b, y, i)];
    sp_read(ty, vy);
    ck_same(vy, want, sp_shape_size(y));
    ty = sp_where(t, ta, sp_relu(t, tb), tb);
    for (long i = 0; i < sp_shape_size(y); i++)
        want[i] = fmax(vb[broadcast_index(b, y, i)], 0);
    sp_read(ty, vy);
    ck_same(vy, want, sp_shape_size(y));
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

START_TEST(error_names_the_scope)
{
    sp_scope_push(t, "encoder");
    sp_scope_push(t, "gone");
    sp_scope_pop(t);
    sp_scope_pushf(t, "l%d", 0);
    ck_assert(!sp_sound(sp_matmul(t, sp_full(t, 0, SP_SHAPE(32, 64)), sp_full(t, 0, SP_SHAPE(100, 8)))));
    ck_assert_str_eq(sp_error(t), "encoder.l0: matmul: [32,64] x [100,8]: inner 64 != 100");
    ck_assert_int_eq(sp_tape_status(t)->code, SP_ERR_SHAPE);
    sp_tape_clear(t);
    sp_scope_pop(t);
    sp_scope_pop(t);
    sp_scope_pop(t);
    sp_tape_fail(t, SP_ERR_VALUE, "mine: %d", 5);
    ck_assert_str_eq(sp_error(t), "mine: 5");
}
END_TEST

/* Poison passes, the first cause survives, and nothing that follows changes a number. */
START_TEST(error_stops_everything)
{
    sp_optimizer *o = sp_optimizer_new(store, "sgd", 0.1, NULL);
    long n = sp_store_size(store);
    sp_real values[64], gradients[64];
    ck_assert_int_le(n, 64);
    ck_assert(sp_backward(t, model(t, 0)));
    memcpy(values, sp_store_values(store), (size_t)n * sizeof *values);
    memcpy(gradients, sp_gradients(t), (size_t)n * sizeof *gradients);
    sp_tape_reset(t);
    sp_tensor *good = model(t, 0);
    long length = sp_tape_length(t);
    sp_tensor *first = sp_feed(t, NULL, SP_SHAPE(2));
    sp_tensor *bad = sp_add(t, sp_matmul(t, first, sp_param_on(t, bias)), sp_full(t, 0, SP_SHAPE(-3)));
    ck_assert(!sp_sound(sp_exp(t, bad)) && !sp_sound(sp_exp(t, good)) && !sp_sound(sp_full(t, 0, SP_SCALAR)));
    ck_assert(!sp_sound(sp_reshape(t, sp_dropout(t, sp_softmax(t, bad), 0.5), SP_SHAPE(3, 3))));
    ck_assert(!sp_backward(t, good) && !sp_backward(t, bad) && !sp_step(o, t) && isnan(sp_clip_norm(t, 0.001)));
    ck_assert_str_eq(sp_error(t), "feed: no data");
    ck_assert_int_eq(sp_tape_length(t), length);
    ck_same(values, sp_store_values(store), n);
    ck_same(gradients, sp_gradients(t), n);
    sp_tape_reset(t);
    ck_assert_msg(!sp_ok(t), "a reset forgets the error");
    sp_tape_clear(t);
    ck_assert(sp_backward(t, model(t, 0)));
    sp_optimizer_free(o);
}
END_TEST

START_TEST(no_tape)
{
    sp_real out = 5;
    sp_optimizer *o = sp_optimizer_new(store, "sgd", 0.1, NULL);
    sp_tensor *x = sp_full(t, 1, SP_SHAPE(1));
    sp_tape_free(NULL);
    sp_tape_reset(NULL);
    sp_tape_rewind(NULL, sp_tape_mark(NULL));
    sp_tape_set_recording(NULL, false);
    sp_tape_set_training(NULL, false);
    sp_tape_seed(NULL, 1, 1);
    sp_tape_clear(NULL);
    sp_scope_push(NULL, "scope");
    sp_scope_time(NULL, 1);
    sp_scope_pop(NULL);
    sp_zero_grad(NULL);
    ck_assert(!sp_ok(NULL) && !sp_tape_training(NULL) && !sp_tape_store(NULL));
    ck_assert(!sp_tape_length(NULL) && !sp_tape_bytes(NULL));
    ck_assert_int_eq(sp_tape_status(NULL)->code, SP_ERR_MEMORY);
    ck_assert_str_eq(sp_error(NULL), "tape: out of memory");
    ck_assert(!sp_feed(NULL, &out, SP_SCALAR) && !sp_variable(NULL, &out, SP_SCALAR) && !sp_full(NULL, 0, SP_SCALAR));
    ck_assert(!sp_param_on(NULL, weight) && !sp_tape_fail(NULL, SP_ERR_VALUE, "x") && !sp_add(NULL, x, x));
    ck_assert(!sp_backward(NULL, x) && !sp_gradients(NULL) && !sp_step(o, NULL) && isnan(sp_clip_norm(NULL, 1)));
    ck_assert(!sp_read(NULL, &out) && !sp_read_grad(NULL, &out) && out == 5);
    sp_optimizer_free(o);
}
END_TEST

/* Each breaks a rule on a fresh tape; foreign is a vector [2] on a tape over another store. */
static sp_tensor *foreign;
static const sp_param *theirs;

static sp_tensor *zero(void)            { return sp_full(t, 0, SP_SCALAR); }
static void add_null(void)              { sp_add(t, NULL, zero()); }
static void add_foreign(void)           { sp_add(t, zero(), foreign); }
static void param_null(void)            { sp_param_on(t, NULL); }
static void param_foreign(void)         { sp_param_on(t, theirs); }
static void backward_null(void)         { sp_backward(t, NULL); }
static void backward_foreign(void)      { sp_backward(t, foreign); }
static void backward_vector(void)       { sp_backward(t, sp_param_on(t, bias)); }
static void backward_nothing(void)      { sp_backward(t, zero()); }

static void add_failed(void)
{
    sp_tensor *bad = sp_full(t, 0, SP_SHAPE(-1));
    sp_tape_clear(t);
    sp_neg(t, bad);
}

static void backward_twice(void)
{
    sp_tensor *loss = model(t, 0);
    sp_backward(t, loss);
    sp_backward(t, loss);
}

static void backward_unrecorded(void)
{
    sp_tape_set_recording(t, false);
    sp_backward(t, model(t, 0));
}

static void split_unequal(void)
{
    sp_tensor *half[2];
    sp_split(t, sp_full(t, 0, SP_SHAPE(4, 5)), 1, 2, half);
    ck_assert(!sp_sound(half[0]) && !sp_sound(half[1]));
}

static const char no_gradient[] = "backward: the loss depends on no parameter or variable, or recording was off";

static const struct {
    void (*break_rule)(void);
    sp_code code;
    const char *error;
} rules[] = {
    { add_null, SP_ERR_VALUE, "add: input 1 is NULL" },
    { add_foreign, SP_ERR_VALUE, "add: input 2 belongs to another tape" },
    { add_failed, SP_ERR_VALUE, "neg: input 1 is of a call that failed" },
    { param_null, SP_ERR_VALUE, "parameter: NULL (was its layer made?)" },
    { param_foreign, SP_ERR_VALUE, "parameter 'theirs' belongs to another store than the tape" },
    { backward_null, SP_ERR_VALUE, "backward: the loss is NULL" },
    { backward_foreign, SP_ERR_VALUE, "backward: the loss belongs to another tape" },
    { backward_vector, SP_ERR_SHAPE, "backward: the loss has the shape [2], not one element" },
    { backward_nothing, SP_ERR_STATE, no_gradient },
    { backward_twice, SP_ERR_STATE, "backward: ran already on this recording; reset the tape first" },
    { backward_unrecorded, SP_ERR_STATE, no_gradient },
    { split_unequal, SP_ERR_SHAPE, "split: axis 1 of [4,5] is not 2 equal parts" },
};

START_TEST(broken_rule)
{
    sp_store *other = sp_store_new(0);
    theirs = sp_store_add(other, SP_SHAPE(2), "theirs");
    sp_tape *u = sp_tape_new(other);
    foreign = sp_full(u, 0, SP_SHAPE(2));
    rules[_i].break_rule();
    ck_assert_str_eq(sp_error(t), rules[_i].error);
    ck_assert_int_eq(sp_tape_status(t)->code, rules[_i].code);
    ck_tape_ok(u);
    sp_tape_free(u);
    sp_store_free(other);
}
END_TEST

/* ---- modes and memory ------------------------------------------------------------------------------------------ */

START_TEST(recording_off)
{
    sp_real recorded = sp_item(model(t, 1));
    long length = sp_tape_length(t);
    ck_assert_int_gt(length, 3);
    sp_tape_set_recording(t, false);
    sp_tensor *constant = model(t, 1);
    ck_same(&recorded, &(sp_real){ sp_item(constant) }, 1);
    ck_assert_int_eq(sp_tape_length(t), length);
    sp_tape_set_recording(t, true);
    sp_tensor *x = sp_variable(t, REALS(3), SP_SCALAR);
    ck_assert(sp_backward(t, sp_mul(t, x, constant)));
    sp_read_grad(x, &recorded);
    ck_same(&recorded, &(sp_real){ sp_item(constant) }, 1);
    for (long i = 0; i < sp_store_size(store); i++)
        ck_assert(sp_gradients(t)[i] == 0);
}
END_TEST

START_TEST(memory_stops_growing)
{
    size_t second = 0;
    for (int step = 1; step <= 20; step++) {
        sp_tape_reset(t);
        sp_tensor *x = sp_full(t, 1, SP_SHAPE(100, 50));
        for (int i = 0; i < 30; i++) {
            sp_mark m = sp_tape_mark(t);
            sp_exp(t, x);
            sp_tape_rewind(t, m);
            x = sp_tanh(t, x);
        }
        ck_assert(sp_backward(t, sp_add(t, sp_sum(t, x, SP_ALL), model(t, step))));
        if (step == 2)
            second = sp_tape_bytes(t);
    }
    ck_tape_ok(t);
    ck_assert_uint_gt(second, 30 * 5000 * sizeof(sp_real));
    ck_assert_uint_eq(sp_tape_bytes(t), second);
}
END_TEST

START_TEST(rewinding)
{
    sp_real first, again;
    sp_tensor *x = sp_feed(t, REALS(1, 2, 3, 4), SP_SHAPE(4)), *kept = sp_exp(t, x);
    long length = sp_tape_length(t);
    sp_scope_push(t, "beam");
    sp_mark m = sp_tape_mark(t);
    first = sp_item(sp_sum(t, kept, SP_ALL));
    sp_scope_push(t, "deeper");
    for (int i = 0; i < 3; i++)
        sp_full(t, 0, SP_SHAPE(1 << 16));       /* a chunk of memory each, given back */
    sp_tape_rewind(t, m);
    again = sp_item(sp_sum(t, kept, SP_ALL));
    ck_same(&first, &again, 1);
    sp_tape_rewind(t, m);
    ck_tape_ok(t);
    ck_assert_int_eq(sp_tape_length(t), length);
    sp_tape_fail(t, SP_ERR_VALUE, "here");
    ck_assert_str_eq(sp_error(t), "beam: here");
}
END_TEST

static void after_reset(void)
{
    sp_mark m = sp_tape_mark(t);
    sp_tape_reset(t);
    sp_tape_rewind(t, m);
}

static void after_backward(void)
{
    sp_tensor *loss = model(t, 0);
    sp_mark m = sp_tape_mark(t);
    sp_backward(t, loss);
    sp_tape_rewind(t, m);
}

static void after_earlier(void)
{
    sp_tensor *x = sp_full(t, 1, SP_SHAPE(4));
    sp_mark early = sp_tape_mark(t);
    sp_exp(t, x);
    sp_mark late = sp_tape_mark(t);
    sp_tape_rewind(t, early);
    sp_full(t, 1, SP_SHAPE(50));
    sp_exp(t, sp_exp(t, x));
    sp_tape_rewind(t, late);
}

static void after_pop(void)
{
    sp_scope_push(t, "one");
    sp_mark m = sp_tape_mark(t);
    sp_scope_pop(t);
    sp_scope_push(t, "two");
    sp_tape_rewind(t, m);
}

static void after_memory_went(void)
{
    sp_tape_set_recording(t, false);
    sp_full(t, 1, SP_SHAPE(1));
    sp_mark early = sp_tape_mark(t);
    sp_full(t, 1, SP_SHAPE(1 << 16));
    sp_mark late = sp_tape_mark(t);
    sp_tape_rewind(t, early);
    sp_tape_rewind(t, late);
}

static void (*const stale[])(void) = { after_reset, after_backward, after_earlier, after_pop, after_memory_went };

START_TEST(stale_mark)
{
    stale[_i]();
    ck_assert_int_eq(sp_tape_status(t)->code, SP_ERR_STATE);
    ck_assert_msg(strstr(sp_error(t), "rewind: "), "%s", sp_error(t));
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------------------------- */

/* The gradients of model(from), alone. */
static void gradients_of(double from, sp_real out[64])
{
    sp_tape *u = sp_tape_new(store);
    ck_assert(sp_backward(u, model(u, from)));
    memcpy(out, sp_gradients(u), (size_t)sp_store_size(store) * sizeof *out);
    sp_tape_free(u);
}

START_TEST(accumulation)
{
    sp_real one[64], two[64];
    gradients_of(1, one);
    gradients_of(2, two);
    for (long i = 0; i < sp_store_size(store); i++)
        ck_assert(sp_gradients(t)[i] == 0);
    ck_assert(sp_backward(t, model(t, 1)));
    sp_tape_reset(t);
    ck_assert(sp_backward(t, model(t, 2)));
    ck_assert(one[0] != 0 && two[0] != 0);
    for (long i = 0; i < sp_store_size(store); i++)     /* the sums of 5 rows in another order: a few roundings */
        ck_assert_double_eq_tol(sp_gradients(t)[i], (double)one[i] + (double)two[i], WIDE(1e-15, 3e-7));
    sp_zero_grad(t);
    sp_tape_reset(t);
    ck_assert(sp_backward(t, model(t, 1)));
    ck_same(sp_gradients(t), one, sp_store_size(store));
}
END_TEST

static void *many_gradients(void *out)
{
    sp_tape *u = sp_tape_new(store);
    for (int i = 0; i < 200; i++) {
        sp_tape_reset(u);
        sp_backward(u, model(u, i));
    }
    if (sp_ok(u))
        memcpy(out, sp_gradients(u), (size_t)sp_store_size(store) * sizeof(sp_real));
    sp_tape_free(u);
    return NULL;
}

START_TEST(threads)
{
    sp_real alone[64] = { 0 }, beside[2][64] = { { 0 } };
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, many_gradients, beside[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    many_gradients(alone);
    ck_assert(alone[0] != 0);
    ck_same(beside[0], alone, 64);
    ck_same(beside[1], alone, 64);
}
END_TEST

#define DO(name, expression)                                                                                           \
    static sp_tensor *name(sp_tensor *x)                                                                               \
    {                                                                                                                  \
        return expression;                                                                                             \
    }

static sp_tensor *halves(sp_tensor *x)
{
    sp_tensor *half[2];
    sp_split(t, x, 1, 2, half);
    return sp_mul(t, half[0], half[1]);
}

static sp_tensor *doubled20(sp_tensor *x)
{
    for (int i = 0; i < 20; i++)
        x = sp_add(t, x, x);
    return x;
}

DO(itself, x)
DO(cube, sp_add(t, sp_mul(t, x, sp_mul(t, x, x)), x))
DO(sliced, sp_mul(t, sp_slice(t, x, 1, 0, 2), sp_slice(t, x, 1, 1, 3)))
DO(indexed, sp_mul(t, sp_index(t, x, 0, 1), sp_index(t, x, 0, 0)))
DO(transposed, sp_mul(t, sp_transpose(t, x, 0, 1), sp_feed(t, REALS(1, 2, 3, 4, 5, 6, 7, 8), SP_SHAPE(4, 2))))
DO(reshaped_slice, sp_mul(t, sp_reshape(t, sp_slice(t, x, 1, 1, 3), SP_SHAPE(4)),
                          sp_feed(t, REALS(1, 2, 3, 4), SP_SHAPE(4))))
DO(view_of_view, sp_index(t, sp_transpose(t, sp_slice(t, x, 1, 1, 4), 0, 1), 1, 1))
DO(unused, sp_mul(t, sp_index(t, sp_index(t, x, 0, 0), 0, 0), sp_full(t, 1, SP_SCALAR)))

/* The gradient of the sum of what is built on x = 1 2 3 4 / 5 6 7 8. */
static const struct {
    sp_tensor *(*build)(sp_tensor *x);
    sp_real gradient[8];
} sharing[] = {
    { itself, { 1, 1, 1, 1, 1, 1, 1, 1 } },
    { cube, { 4, 13, 28, 49, 76, 109, 148, 193 } },
    { doubled20, { 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20 } },
    { sliced, { 2, 4, 2, 0, 6, 12, 6, 0 } },
    { indexed, { 5, 6, 7, 8, 1, 2, 3, 4 } },
    { transposed, { 1, 3, 5, 7, 2, 4, 6, 8 } },
    { reshaped_slice, { 0, 1, 2, 0, 0, 3, 4, 0 } },
    { view_of_view, { 0, 0, 0, 0, 0, 1, 1, 1 } },
    { halves, { 3, 4, 1, 2, 7, 8, 5, 6 } },
    { unused, { 1, 0, 0, 0, 0, 0, 0, 0 } },
};

/* Of a variable, and again of a tensor that was computed. */
START_TEST(gradients_meet)
{
    sp_real got[8];
    sp_tensor *x = sp_variable(t, REALS(1, 2, 3, 4, 5, 6, 7, 8), SP_SHAPE(2, 4)), *y = sp_copy(t, x);
    sp_tensor *idle = sp_variable(t, REALS(1), SP_SCALAR), *fixed = sp_full(t, 1, SP_SCALAR);
    sp_tensor *of_x = sp_sum(t, sharing[_i].build(x), SP_ALL), *of_y = sp_sum(t, sharing[_i].build(y), SP_ALL);
    ck_assert(sp_backward(t, sp_add(t, of_x, of_y)));
    ck_assert(sp_read_grad(y, got));
    ck_same(got, sharing[_i].gradient, 8);
    ck_assert(sp_read_grad(x, got));
    for (int i = 0; i < 8; i++)
        ck_assert_double_eq(got[i], 2 * sharing[_i].gradient[i]);
    ck_assert(sp_read_grad(idle, got) && got[0] == 0);
    got[0] = 9;
    ck_assert(sp_read_grad(fixed, got) && got[0] == 0);
}
END_TEST

/* ---- dropout --------------------------------------------------------------------------------------------------- */

static const struct draw {
    uint64_t seed;
    uint32_t step;
    const char *place;
    long time;
    int before;                 /* dropouts in the same scope before */
} draws[] = {
    { 1, 2, "a", 3, 0 }, { 2, 2, "a", 3, 0 }, { 1, 3, "a", 3, 0 },
    { 1, 2, "b", 3, 0 }, { 1, 2, "a", 4, 0 }, { 1, 2, "a", 3, 1 },
};

enum { DRAWS = sizeof draws / sizeof *draws, MASK = 5 * 13 };

static void draw_mask(const struct draw *d, sp_real out[MASK])
{
    sp_tape_reset(t);
    sp_tape_seed(t, d->seed, d->step);
    sp_tensor *ones = sp_full(t, 1, SP_SHAPE(5, 13));
    sp_scope_push(t, d->place);
    sp_scope_time(t, d->time);
    for (int i = 0; i < d->before; i++)
        sp_dropout(t, ones, 0.5);
    sp_read(sp_dropout(t, ones, 0.5), out);
}

START_TEST(dropout_is_keyed)
{
    sp_real mask[DRAWS][MASK], again[MASK];
    for (int i = 0; i < DRAWS; i++)
        draw_mask(&draws[i], mask[i]);
    for (int i = 0; i < DRAWS; i++) {
        draw_mask(&draws[i], again);
        ck_same(again, mask[i], MASK);
        for (int k = 0; k < i; k++)
            ck_assert_msg(memcmp(mask[i], mask[k], sizeof again), "draws %d and %d are the same", i, k);
    }
    draw_mask(&draws[0], again);
    sp_tape_reset(t);                           /* the next step, by itself */
    sp_tensor *ones = sp_full(t, 1, SP_SHAPE(5, 13));
    sp_scope_push(t, "a");
    sp_scope_time(t, 3);
    sp_read(sp_dropout(t, ones, 0.5), again);
    ck_same(again, mask[2], MASK);
}
END_TEST

/* The time and place of an inner scope end with it. */
START_TEST(scopes_end)
{
    sp_real mask[2][MASK];
    for (int i = 0; i < 2; i++) {
        sp_tape_reset(t);
        sp_tape_seed(t, 1, 1);
        sp_tensor *ones = sp_full(t, 1, SP_SHAPE(5, 13));
        sp_scope_push(t, "a");
        sp_scope_time(t, 3);
        sp_scope_push(t, i ? "inner" : "other");
        sp_scope_time(t, 7 * i);
        for (int k = 0; k < i; k++)
            sp_dropout(t, ones, 0.5);
        sp_scope_pop(t);
        sp_read(sp_dropout(t, ones, 0.5), mask[i]);
    }
    ck_same(mask[0], mask[1], MASK);
}
END_TEST

/* Kept elements are 1 / (1 - p); n = 1e5 draws have a mean of 1 within 5 deviations, sqrt(p / (1 - p) / n). */
START_TEST(dropout_keeps_the_mean)
{
    const double p = 0.3, n = 1e5;
    sp_tensor *x = sp_full(t, 1, SP_SHAPE(100, 1000)), *y = sp_dropout(t, x, p);
    ck_assert_double_eq_tol(sp_item(sp_mean(t, y, SP_ALL)), 1, 5 * sqrt(p / (1 - p) / n));
    ck_assert_double_eq(sp_item(sp_max(t, y, SP_ALL)), (sp_real)(1 / (1 - p)));
    ck_assert(sp_tape_training(t));
    sp_tape_set_training(t, false);
    ck_assert(!sp_tape_training(t));
    ck_assert_ptr_eq(sp_dropout(t, x, p), x);
    sp_tape_set_training(t, true);
    ck_assert_ptr_eq(sp_dropout(t, x, 0), x);
    sp_tape_set_training(t, false);
    sp_dropout(t, x, NAN);
    ck_assert_msg(!sp_ok(t), "a bad rate passes when not training");
}
END_TEST

/* ---- parameters replaced --------------------------------------------------------------------------------------- */

/* In a scope a tensor stands for a parameter, and gradients flow through it; the scope's end, a rewind and a reset end that. */
START_TEST(replaced_parameters)
{
    sp_tensor *own = sp_param_on(t, weight), *twice = sp_scale(t, own, 2), *thrice = sp_scale(t, own, 3);
    sp_scope_push(t, "a");
    const sp_mark mark = sp_tape_mark(t);
    sp_param_replace(t, weight, twice);
    ck_assert(sp_param_on(t, weight) == twice && sp_param_on(t, bias) != twice);
    sp_scope_push(t, "b");
    sp_param_replace(t, weight, thrice);
    sp_tensor *y = sp_sum(t, sp_param_on(t, weight), SP_ALL);
    sp_scope_pop(t);
    ck_assert_ptr_eq(sp_param_on(t, weight), twice);
    sp_scope_push(t, "c");
    sp_tape_rewind(t, mark);
    ck_assert_ptr_eq(sp_param_on(t, weight), own);
    y = sp_sum(t, thrice, SP_ALL);
    sp_param_replace(t, weight, thrice);
    ck_assert_ptr_eq(sp_param_on(t, weight), thrice);
    sp_scope_pop(t);
    ck_assert_ptr_eq(sp_param_on(t, weight), own);
    ck_assert(sp_backward(t, y) && sp_gradients(t)[weight->offset] == 3);
    sp_param_replace(t, weight, thrice);        /* outside of all scopes */
    ck_assert_ptr_eq(sp_param_on(t, weight), thrice);
    sp_tape_reset(t);
    ck_assert_ptr_eq(sp_param_on(t, weight), own);
    sp_param_replace(t, weight, sp_full(t, 1, SP_SHAPE(2, 3)));
    ck_assert_str_eq(sp_error(t), "replace: [2,3] for parameter 'weight', which is [3,2]");
    ck_assert_ptr_eq(sp_param_on(t, weight), own);
}
END_TEST

static void replace_none(void)      { sp_param_replace(t, NULL, sp_full(t, 1, SP_SCALAR)); }
static void replace_by_none(void)   { sp_param_replace(t, weight, NULL); }

static const struct {
    void (*call)(void);
    const char *error;
} bad_replacements[] = {
    { replace_none, "parameter: NULL (was its layer made?)" },
    { replace_by_none, "replace: tensor 1 is NULL" },
};

START_TEST(bad_replacement)
{
    bad_replacements[_i].call();
    ck_assert_str_eq(sp_error(t), bad_replacements[_i].error);
    sp_param_replace(NULL, weight, NULL);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("tape");
    TCase *c = tcase_create("tape");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, feed_and_read);
    tcase_add_loop_test(c, bad_shape, 0, sizeof bad_shapes / sizeof *bad_shapes);
    tcase_add_loop_test(c, broadcasting, 0, sizeof pairs / sizeof *pairs);
    tcase_add_test(c, error_names_the_scope);
    tcase_add_test(c, error_stops_everything);
    tcase_add_test(c, no_tape);
    tcase_add_loop_test(c, broken_rule, 0, sizeof rules / sizeof *rules);
    tcase_add_test(c, recording_off);
    tcase_add_test(c, memory_stops_growing);
    tcase_add_test(c, rewinding);
    tcase_add_loop_test(c, stale_mark, 0, sizeof stale / sizeof *stale);
    tcase_add_test(c, accumulation);
    tcase_add_test(c, threads);
    tcase_add_loop_test(c, gradients_meet, 0, sizeof sharing / sizeof *sharing);
    tcase_add_test(c, dropout_is_keyed);
    tcase_add_test(c, scopes_end);
    tcase_add_test(c, dropout_keeps_the_mean);
    tcase_add_test(c, replaced_parameters);
    tcase_add_loop_test(c, bad_replacement, 0, sizeof bad_replacements / sizeof *bad_replacements);
    suite_add_tcase(s, c);
    return s;
}
