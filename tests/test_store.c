/* Stores of parameters, their initial values, and the map they are found with. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "autograd/arena.h"
#include "autograd/map.h"
#include "autograd/tape.h"
#include "nn/init.h"
#include "tests/suite.h"

/* ---- declarations ---------------------------------------------------------------------------------------------- */

START_TEST(parameters)
{
    enum { N = 100 };
    sp_store *s = sp_store_new(1);
    sp_param *p[N];
    for (int i = 0; i < N; i++) {
        p[i] = sp_store_add(s, SP_SHAPE(1 + i % 7, 3), "layer%d.weight", i);
        sp_init_constant(p[i], i + 1);
    }
    ck_assert(sp_store_ok(s));
    ck_assert_str_eq(sp_store_status(s)->message, "");
    ck_assert_int_eq(sp_store_count(s), N);
    ck_assert_str_eq(p[42]->name, "layer42.weight");
    ck_assert(sp_shape_equal(p[42]->shape, SP_SHAPE(1, 3)));
    ck_assert_ptr_eq(sp_store_find(s, "layer99.weight"), p[99]);
    ck_assert(!sp_store_find(s, "layer100.weight") && !sp_store_find(s, "") && !sp_store_find(s, "layer9"));
    ck_assert(!sp_store_at(s, -1) && !sp_store_at(s, N));
    double sum = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(sp_store_at(s, i) == p[i] && p[i]->index == i && p[i]->store == s);
        ck_assert_uint_eq((uintptr_t)sp_param_values(p[i]) % SP_ALIGN, 0);
        ck_assert_ptr_eq(sp_param_values(p[i]), sp_store_values(s) + p[i]->offset);
        for (long k = 0; k < sp_shape_size(p[i]->shape); k++)
            ck_assert(sp_param_values(p[i])[k] == (sp_real)(i + 1));
        sum += (i + 1) * (double)sp_shape_size(p[i]->shape);
    }
    for (long i = 0; i < sp_store_size(s); i++)         /* so all between them is zero */
        sum -= (double)sp_store_values(s)[i];
    ck_assert_double_eq(sum, 0);
    sp_store_free(s);
}
END_TEST

static const struct {
    sp_shape shape;
    const char *name, *error;
    sp_code code;
} bad[] = {
    { { 1, { 2 } }, "", "store: a parameter name has 0 characters, not 1 to 255", SP_ERR_VALUE },
    { { 1, { 2 } }, "here", "store: there are two parameters named 'here'", SP_ERR_VALUE },
    { { 1, { 2 } }, NULL, "store: parameter '(null)': a part of its name is NULL", SP_ERR_VALUE },
    { { 2, { 2, 0 } }, "x", "store: parameter 'x' has the shape [2,0]", SP_ERR_SHAPE },
    { { 1, { -1 } }, "x", "store: parameter 'x' has the shape [-1]", SP_ERR_SHAPE },
    { { 5, { 1, 1, 1, 1 } }, "x", "store: parameter 'x' has the shape [1,1,1,1,...]", SP_ERR_SHAPE },
    { { 2, { 1L << 30, 1L << 30 } }, "x", "store: parameter 'x' has the shape [1073741824,1073741824]", SP_ERR_SHAPE },
};

START_TEST(bad_parameter)
{
    sp_store *unnamed = sp_store_new(1);
    ck_assert(!sp_store_add(unnamed, SP_SHAPE(2), NULL) && strstr(sp_store_status(unnamed)->message, "has 0 characters"));
    sp_store_free(unnamed);
    sp_store *s = sp_store_new(1);
    sp_param *here = sp_store_add(s, SP_SHAPE(2), "here");
    ck_assert(!sp_store_add(s, bad[_i].shape, "%s", bad[_i].name));
    ck_assert_str_eq(sp_store_status(s)->message, bad[_i].error);
    ck_assert_int_eq(sp_store_status(s)->code, bad[_i].code);
    ck_assert(!sp_store_add(s, SP_SHAPE(2), "later") && !sp_store_alloc(s, 8) && !sp_store_ok(s));
    ck_assert_str_eq(sp_store_status(s)->message, bad[_i].error);
    ck_assert(sp_store_count(s) == 1 && sp_store_find(s, "here") == here);
    sp_store_free(s);
}
END_TEST

START_TEST(long_names)
{
    for (int length = 255; length <= 256; length++) {
        sp_store *s = sp_store_new(1);
        sp_param *p = sp_store_add(s, SP_SCALAR, "%*s", length, "x");
        if (length == 255)
            ck_assert(p && strlen(p->name) == 255 && sp_store_find(s, p->name) == p);
        else
            ck_assert(!p && !sp_store_ok(s));
        sp_store_free(s);
    }
}
END_TEST

START_TEST(a_live_tape_forbids_more)
{
    sp_store *s = sp_store_new(1);
    sp_tape *t = sp_tape_new(s);
    sp_tape_free(t);
    ck_assert_ptr_nonnull(sp_store_add(s, SP_SHAPE(2), "first"));
    t = sp_tape_new(s);
    ck_assert_ptr_null(sp_store_add(s, SP_SHAPE(2), "second"));
    ck_assert_str_eq(sp_store_status(s)->message, "store: parameter 'second' added while 1 tape(s) use the store");
    ck_assert_int_eq(sp_store_status(s)->code, SP_ERR_STATE);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

START_TEST(no_store)
{
    sp_store_free(NULL);
    ck_assert(!sp_store_ok(NULL) && !sp_store_add(NULL, SP_SHAPE(2), "x"));
    ck_assert(!sp_store_find(NULL, "x") && !sp_store_at(NULL, 0));
    ck_assert(!sp_store_count(NULL) && !sp_store_size(NULL) && !sp_store_values(NULL) && !sp_param_values(NULL));
    ck_assert(!sp_store_alloc(NULL, 8) && !sp_store_fail(NULL, SP_ERR_VALUE, "x"));
    ck_assert_str_eq(sp_store_status(NULL)->message, "store: out of memory");
    sp_init_constant(NULL, 1);
    sp_init_uniform(NULL, 0, 1);
    sp_init_normal(NULL, 0, 1);
    sp_init_xavier(NULL, 1);
    sp_init_kaiming(NULL, 1);
    ck_assert(!sp_init_orthogonal(NULL, 1));
}
END_TEST

/* ---- initial values -------------------------------------------------------------------------------------------- */

static void draw(uint64_t seed, int others, const char *name, sp_real out[8])
{
    sp_store *s = sp_store_new(seed);
    for (int i = 0; i < others; i++)
        sp_init_normal(sp_store_add(s, SP_SHAPE(5), "other%d", i), 0, 1);
    sp_param *p = sp_store_add(s, SP_SHAPE(8), "%s", name);
    sp_init_normal(p, 0, 1);
    memcpy(out, sp_param_values(p), 8 * sizeof *out);
    sp_store_free(s);
}

/* What is asked of NULL, and an error that is forgotten. */
START_TEST(nulls)
{
    sp_store *s = sp_store_new(1);
    ck_assert(!sp_store_find(s, NULL) && !sp_store_find(NULL, "a") && !sp_store_version(NULL) && !sp_param_key(NULL).seed);
    ck_assert_int_eq(sp_shape_size(sp_shape_of(2, NULL)), -1);
    ck_assert(!sp_store_add(s, sp_shape_of(2, NULL), "a") && !sp_store_ok(s) && !sp_store_add(s, SP_SHAPE(2), "b"));
    sp_tape *t = sp_tape_new(s);
    ck_assert_str_eq(sp_error(t), sp_store_status(s)->message);
    sp_tape_free(t);
    sp_store_clear(s);
    sp_store_clear(NULL);
    ck_assert(sp_store_ok(s) && sp_store_add(s, SP_SHAPE(2), "b") && sp_store_count(s) == 1);
    sp_store_free(s);
}
END_TEST

START_TEST(values_depend_on_seed_and_name)
{
    sp_real a[8], b[8];
    draw(1, 0, "weight", a);
    draw(1, 9, "weight", b);
    ck_same(a, b, 8);
    draw(2, 0, "weight", b);
    ck_assert(memcmp(a, b, sizeof a));
    draw(1, 0, "weighu", b);
    ck_assert(memcmp(a, b, sizeof a));
}
END_TEST

static void constant(sp_param *p)   { sp_init_constant(p, -3); }
static void uniform(sp_param *p)    { sp_init_uniform(p, 1, 4); }
static void normal(sp_param *p)     { sp_init_normal(p, 2, 0.5); }
static void xavier(sp_param *p)     { sp_init_xavier(p, 2); }
static void kaiming(sp_param *p)    { sp_init_kaiming(p, 2); }

/* Of a weight [out,in] = [100,300], or [100,15,20]. A uniform number in low .. high has the variance
   (high - low)^2 / 12. */
static const struct {
    void (*init)(sp_param *p);
    double mean, variance, low, high;
} laws[] = {
    { constant, -3, 0, -3, -3 },
    { uniform, 2.5, 0.75, 1, 4 },
    { normal, 2, 0.25, -INFINITY, INFINITY },
    { xavier, 0, 0.02, -0.24494897427831781, 0.24494897427831781 },    /* 2 sqrt(6 / 400), 2^2 2 / 400 */
    { kaiming, 0, 4.0 / 300, -0.2, 0.2 },                              /* 2 sqrt(3 / 300), 2^2 / 300 */
};

/* Over n numbers a mean has the deviation sqrt(v / n), a variance at most v sqrt(2 / n) (a normal's): 5 of them. The
   float32 of the low and high is off by 6e-8 of them. */
START_TEST(laws_hold)
{
    const long n = 30000;
    const sp_shape shapes[] = { { 2, { 100, 300 } }, { 3, { 100, 15, 20 } } };
    for (int k = 0; k < 2; k++) {
        sp_store *s = sp_store_new(4);
        sp_param *p = sp_store_add(s, shapes[k], "weight");
        laws[_i].init(p);
        double sum = 0, squares = 0, low = INFINITY, high = -INFINITY, v = laws[_i].variance;
        for (long i = 0; i < n; i++) {
            double x = sp_param_values(p)[i];
            sum += x;
            squares += (x - laws[_i].mean) * (x - laws[_i].mean);
            low = fmin(low, x);
            high = fmax(high, x);
        }
        ck_assert_double_le(fabs(sum / (double)n - laws[_i].mean), 5 * sqrt(v / (double)n));
        ck_assert_double_le(fabs(squares / (double)n - v), 5 * v * sqrt(2 / (double)n));
        ck_assert_double_ge(low, laws[_i].low - 1e-7);
        ck_assert_double_le(high, laws[_i].high + 1e-7);
        if (isfinite(laws[_i].low))             /* and the range is used to its ends */
            ck_assert_double_le(laws[_i].high - high + low - laws[_i].low, 0.001 * (laws[_i].high - laws[_i].low));
        sp_store_free(s);
    }
}
END_TEST

static const sp_shape orthogonal_shapes[] = {
    { 2, { 20, 7 } }, { 2, { 7, 20 } }, { 2, { 16, 16 } }, { 2, { 64, 64 } }, { 2, { 1, 1 } },
    { 3, { 3, 2, 4 } }, { 3, { 9, 2, 2 } }, { 1, { 5 } }, { 0 },
};

/* The rows, or the columns where there are fewer, have the product gain^2 I with each other. */
START_TEST(orthogonal)
{
    const double gain = 1.5;
    sp_shape shape = orthogonal_shapes[_i];
    sp_store *s = sp_store_new(4);
    sp_param *p = sp_store_add(s, shape, "weight");
    ck_assert(sp_init_orthogonal(p, gain));
    long out = shape.rank > 1 ? shape.dim[0] : 1, in = sp_shape_size(shape) / out;
    long vectors = out < in ? out : in, length = out < in ? in : out;
    long next = out < in ? in : 1, step = out < in ? 1 : in;
    const sp_real *values = sp_param_values(p);
    for (long a = 0; a < vectors; a++)
        for (long b = 0; b < vectors; b++) {
            double dot = 0;
            for (long k = 0; k < length; k++)
                dot += (double)values[a * next + k * step] * (double)values[b * next + k * step];
            /* values of length gain rounded to 2^-53 or 2^-24 */
            ck_assert_double_eq_tol(dot, a == b ? gain * gain : 0, WIDE(1e-14, 5e-7));
        }
    sp_store_free(s);
}
END_TEST

/* ---- map ------------------------------------------------------------------------------------------------------- */

START_TEST(map)
{
    enum { N = 3000 };
    sp_map *m = sp_map_new();
    char key[16];
    for (int i = 0; i < N; i++)
        ck_assert(sp_map_put(m, key, (size_t)snprintf(key, sizeof key, "key%d", i), i));
    ck_assert(sp_map_put(m, "key7", 4, INT32_MAX));
    ck_assert(sp_map_put(m, "a\0b", 3, 1) && sp_map_put(m, "a\0c", 3, 2));
    ck_assert(sp_map_put(m, "a", 1, 3) && sp_map_put(m, "", 0, 4));
    memset(key, 0, sizeof key);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(sp_map_get(m, key, (size_t)snprintf(key, sizeof key, "key%d", i)), i == 7 ? INT32_MAX : i);
    ck_assert_int_eq(sp_map_get(m, "a\0b", 3), 1);
    ck_assert_int_eq(sp_map_get(m, "a\0c", 3), 2);
    ck_assert_int_eq(sp_map_get(m, "a", 1), 3);
    ck_assert_int_eq(sp_map_get(m, "", 0), 4);
    ck_assert_int_eq(sp_map_get(m, "key", 3), -1);
    ck_assert_int_eq(sp_map_get(m, "key3000", 7), -1);
    sp_map_free(m);
    sp_map_free(NULL);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("store");
    TCase *c = tcase_create("store");
    tcase_add_test(c, parameters);
    tcase_add_loop_test(c, bad_parameter, 0, sizeof bad / sizeof *bad);
    tcase_add_test(c, long_names);
    tcase_add_test(c, a_live_tape_forbids_more);
    tcase_add_test(c, no_store);
    tcase_add_test(c, nulls);
    tcase_add_test(c, values_depend_on_seed_and_name);
    tcase_add_loop_test(c, laws_hold, 0, sizeof laws / sizeof *laws);
    tcase_add_loop_test(c, orthogonal, 0, sizeof orthogonal_shapes / sizeof *orthogonal_shapes);
    tcase_add_test(c, map);
    suite_add_tcase(s, c);
    return s;
}
