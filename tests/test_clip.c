/* Clipping of gradients by their norm and by value. */
#include <math.h>
#include <string.h>

#include "nn/optimizer.h"
#include "ops/ops.h"
#include "tests/suite.h"

static const struct {
    sp_real gradient[2];
    double most, norm;
    sp_real clipped[2];
} clips[] = {
    { { 3, 4 }, 6, 5, { 3, 4 } },
    { { 3, 4 }, 5, 5, { 3, 4 } },
    { { 3, 4 }, 2.5, 5, { 1.5, 2 } },
    { { 0, 0 }, 1, 0, { 0, 0 } },
    { { 3, INFINITY }, 1, INFINITY, { 3, INFINITY } },
    { { NAN, 0 }, 1, NAN, { NAN, 0 } },
};

START_TEST(clipping)
{
    sp_store *s = sp_store_new(0);
    sp_param *a = sp_store_add(s, SP_SCALAR, "a"), *b = sp_store_add(s, SP_SHAPE(1, 1), "b");
    sp_tape *t = sp_tape_new(s);
    sp_real *g = sp_gradients(t);
    g[a->offset] = clips[_i].gradient[0];
    g[b->offset] = clips[_i].gradient[1];
    double norm = sp_clip_norm(t, clips[_i].most);
    ck_assert(norm == clips[_i].norm || (isnan(norm) && isnan(clips[_i].norm)));
    ck_assert(sp_ok(t) == (bool)isfinite(norm));
    ck_assert_mem_eq(&g[a->offset], &clips[_i].clipped[0], sizeof *g);
    ck_assert_mem_eq(&g[b->offset], &clips[_i].clipped[1], sizeof *g);
    if (_i == 5)
        ck_assert_str_eq(sp_error(t), "clip: the gradient has the norm nan");
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

START_TEST(clip_value)
{
    enum { WEIGHT = 4 };
    sp_store *s = sp_store_new(1);
    sp_store_add(s, SP_SHAPE(WEIGHT), "weight");
    sp_tape *t = sp_tape_new(s);
    sp_real *g = sp_gradients(t);
    const sp_real before[WEIGHT] = { -3, (sp_real)0.5, INFINITY, 2 }, after[WEIGHT] = { -2, (sp_real)0.5, 2, 2 };
    memcpy(g, before, sizeof before);
    ck_assert(sp_clip_value(t, 2));
    ck_same(g, after, WEIGHT);
    ck_assert(!sp_clip_value(t, 0));
    ck_assert_str_eq(sp_error(t), "clip: the greatest value is 0, not over 0");
    sp_tape_clear(t);
    sp_tape_reset(t);
    g[1] = NAN;
    ck_assert(!sp_clip_value(t, 1));
    ck_assert_ptr_nonnull(strstr(sp_error(t), "clip: number 1 of the gradient's "));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* Squares that the build's type does not have, and parameters with gaps between them. */
START_TEST(wide_range)
{
    const sp_real size = (sp_real)WIDE(1e200, 1e30);
    sp_store *s = sp_store_new(0);
    sp_param *a = sp_store_add(s, SP_SHAPE(19), "a"), *b = sp_store_add(s, SP_SHAPE(3), "b");
    sp_tape *t = sp_tape_new(s);
    sp_real *g = sp_gradients(t);
    g[a->offset + 18] = 3 * size;
    g[b->offset + 2] = -4 * size;
    ck_assert_double_eq_tol(sp_clip_norm(t, 1e40) / (double)size, 5, 1e-6);
    ck_tape_ok(t);
    if (WIDE(true, false))
        ck_assert_double_eq_tol((double)g[a->offset + 18], 0.6e40, 1e34);
    ck_assert_double_eq_tol(sp_clip_norm(t, 1), WIDE(1e40, 5e30), WIDE(1e34, 5e24));
    ck_assert_double_eq_tol((double)g[a->offset + 18], 0.6, 1e-6);
    ck_assert_double_eq_tol((double)g[b->offset + 2], -0.8, 1e-6);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* Squares of which a sum in float32 would lose all but the first eight. */
START_TEST(summed_in_double)
{
    enum { N = 1 << 20 };
    sp_store *s = sp_store_new(0);
    sp_store_add(s, SP_SHAPE(N), "a");
    sp_tape *t = sp_tape_new(s);
    sp_real *g = sp_gradients(t);
    for (long i = 0; i < N; i++)
        g[i] = i % 8 ? (sp_real)0x1p-13 : 0;
    g[0] = g[1] = g[2] = g[3] = g[4] = g[5] = g[6] = g[7] = 1;
    ck_assert_double_eq_tol(sp_clip_norm(t, 100), sqrt(8 + (N - 8) * 0.875 * 0x1p-26), 1e-9);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

START_TEST(bad_use)
{
    sp_store *s = sp_store_new(0);
    sp_store_add(s, SP_SCALAR, "a");
    sp_tape *t = sp_tape_new(s);
    sp_real *g = sp_gradients(t);
    *g = 3;
    sp_clip_norm(t, _i ? NAN : 0);
    ck_assert_str_eq(sp_error(t), _i ? "clip: the greatest norm is nan, not over 0" : "clip: the greatest norm is 0, not over 0");
    ck_assert(*g == 3);
    sp_tape_free(t);
    sp_store_free(s);
    t = sp_tape_new(NULL);
    if (_i)
        ck_assert(!sp_clip_value(t, 1));
    else
        ck_assert(isnan(sp_clip_norm(t, 1)));
    ck_assert_msg(strstr(sp_error(t), "store") != NULL, "%s", sp_error(t));
    sp_tape_free(t);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("clip");
    TCase *c = tcase_create("clip");
    tcase_add_loop_test(c, clipping, 0, sizeof clips / sizeof *clips);
    tcase_add_test(c, clip_value);
    tcase_add_test(c, wide_range);
    tcase_add_test(c, summed_in_double);
    tcase_add_loop_test(c, bad_use, 0, 2);
    suite_add_tcase(all, c);
    return all;
}
