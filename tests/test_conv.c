/* Convolutions, pools and batch normalisation beside plain loops, and what they refuse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "tests/suite.h"

/* ---- plain loops ----------------------------------------------------------------------------------------------- */

struct sizes {
    long B, C, O, H, W, kh, kw;
    sp_slide how;
};

static long out_size(long size, long kernel, long stride, long padding, long dilation)
{
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

/* The seven loops. With dy: what comes back, dx, dw and db; without: y. */
static void seven_loops(const struct sizes *z, const sp_real *x, const sp_real *w, const sp_real *bias, double *y,
                        const sp_real *dy, double *dx, double *dw, double *db)
{
    const sp_slide *a = &z->how;
    const long P = out_size(z->H, z->kh, a->stride[0], a->padding[0], a->dilation[0]);
    const long Q = out_size(z->W, z->kw, a->stride[1], a->padding[1], a->dilation[1]);
    const long in = z->C / a->groups, out = z->O / a->groups;
    for (long b = 0; b < z->B; b++)
        for (long o = 0; o < z->O; o++)
            for (long p = 0; p < P; p++)
                for (long q = 0; q < Q; q++) {
                    const long at = ((b * z->O + o) * P + p) * Q + q;
                    double sum = (double)bias[o];
                    for (long c = 0; c < in; c++)
                        for (long i = 0; i < z->kh; i++)
                            for (long j = 0; j < z->kw; j++) {
                                const long h = p * a->stride[0] + i * a->dilation[0] - a->padding[0];
                                const long v = q * a->stride[1] + j * a->dilation[1] - a->padding[1];
                                if (h < 0 || h >= z->H || v < 0 || v >= z->W)
                                    continue;
                                const long n = ((b * z->C + o / out * in + c) * z->H + h) * z->W + v;
                                const long m = ((o * in + c) * z->kh + i) * z->kw + j;
                                sum += (double)x[n] * (double)w[m];
                                if (dy) {
                                    dx[n] += (double)dy[at] * (double)w[m];
                                    dw[m] += (double)dy[at] * (double)x[n];
                                }
                            }
                    if (dy)
                        db[o] += (double)dy[at];
                    else
                        y[at] = sum;
                }
}

static sp_real *uniform(uint64_t place, long n)
{
    sp_real *x = malloc((size_t)n * sizeof *x + 1);
    sp_random_uniform((sp_key){ .seed = 5, .place = place }, n, x, -1, 1);
    return x;
}

/* Sums of up to some thousand products that are below 1: rounding errors of 2^-24 or 2^-53 each add up by their root. */
static void check_near(const char *what, int number, long n, const sp_real *got, const double *want)
{
    for (long i = 0; i < n; i++)
        ck_each(fabs((double)got[i] - want[i]) <= WIDE(1e-13, 3e-5) * (1 + fabs(want[i])), "configuration %d: %s[%ld] is %.9g, not %.9g",
                number, what, i, (double)got[i], want[i]);
}

/* An operation's x, weight and bias as variables, its result, and all that loops say. */
static void check_conv(const struct sizes *z, int number, bool transposed)
{
    const sp_slide *a = &z->how;
    const long P = out_size(z->H, z->kh, a->stride[0], a->padding[0], a->dilation[0]);
    const long Q = out_size(z->W, z->kw, a->stride[1], a->padding[1], a->dilation[1]);
    const long nx = z->B * z->C * z->H * z->W, nw = z->O * (z->C / a->groups) * z->kh * z->kw, ny = z->B * z->O * P * Q;
    sp_real *x = uniform(1, nx), *w = uniform(2, nw), *bias = uniform(3, z->O), *weight = uniform(4, ny);
    double *y = calloc((size_t)ny, sizeof *y), *dx = calloc((size_t)nx, sizeof *dx), *dw = calloc((size_t)nw, sizeof *dw);
    double *db = calloc((size_t)z->O, sizeof *db);
    seven_loops(z, x, w, bias, y, NULL, NULL, NULL, NULL);
    seven_loops(z, x, w, bias, NULL, weight, dx, dw, db);

    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *vx = sp_variable(t, x, SP_SHAPE(z->B, z->C, z->H, z->W));
    sp_tensor *vw = sp_variable(t, w, SP_SHAPE(z->O, z->C / a->groups, z->kh, z->kw)), *vb = sp_variable(t, bias, SP_SHAPE(z->O));
    sp_tensor *in = transposed ? sp_transpose(t, sp_copy(t, sp_transpose(t, vx, 1, 3)), 1, 3) : vx;     /* channels last */
    sp_tensor *out = sp_conv(t, in, vw, vb, z->how);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(out), SP_SHAPE(z->B, z->O, P, Q)));
    sp_backward(t, sp_sum(t, sp_mul(t, out, sp_feed(t, weight, sp_shape_get(out))), SP_ALL));
    ck_tape_ok(t);
    sp_real *got = malloc((size_t)(nx + nw + ny + z->O) * sizeof *got);
    sp_read(out, got);
    check_near("y", number, ny, got, y);
    sp_read_grad(vx, got);
    check_near("dx", number, nx, got, dx);
    sp_read_grad(vw, got);
    check_near("dw", number, nw, got, dw);
    sp_read_grad(vb, got);
    check_near("dbias", number, z->O, got, db);
    sp_tape_free(t);
    free(x), free(w), free(bias), free(weight), free(y), free(dx), free(dw), free(db), free(got);
}

static long draw(sp_random *r, long low, long high)
{
    return low + sp_random_below(r, high - low + 1);
}

enum { CONFIGURATIONS = 100 };

/* Random ones: every way of the operation is among them. */
START_TEST(conv_by_loops)
{
    for (int i = 0; i < CONFIGURATIONS; i++) {
        sp_random r = { .key = { .seed = 7, .place = (uint64_t)i } };
        struct sizes z = { .B = draw(&r, 1, 3), .kh = draw(&r, 1, 4), .kw = draw(&r, 1, 4) };
        const long groups = draw(&r, 0, 3) ? 1 : draw(&r, 2, 3);
        z.how = (sp_slide){ .groups = groups };
        z.C = groups * (draw(&r, 0, 2) ? draw(&r, 1, 8) : 1);
        z.O = groups * draw(&r, 1, draw(&r, 0, 2) ? 6 : 40);
        for (int k = 0; k < 2; k++) {
            z.how.stride[k] = draw(&r, 0, 1) ? 1 : draw(&r, 2, 3);
            z.how.dilation[k] = draw(&r, 0, 2) ? 1 : draw(&r, 2, 3);
            z.how.padding[k] = draw(&r, 0, 1) ? draw(&r, 0, 4) : 0;
        }
        const long high = z.how.dilation[0] * (z.kh - 1) + 1 - 2 * z.how.padding[0];
        const long wide = z.how.dilation[1] * (z.kw - 1) + 1 - 2 * z.how.padding[1];
        z.H = draw(&r, high > 1 ? high : 1, 14);
        z.W = draw(&r, wide > 1 ? wide : 1, draw(&r, 0, 2) ? 14 : 60);
        check_conv(&z, i, draw(&r, 0, 4) == 0);
    }
}
END_TEST

/* Larger than a block of positions, a stretch of depth, a panel, or the band that a block has. */
START_TEST(conv_beyond_blocks)
{
    const struct sizes cases[] = {
        { 1, 2, 3, 1, 2500, 1, 5, { .stride = { 1, 1 }, .padding = { 0, 2 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 1, 2, 3, 2, 2500, 2, 3, { .stride = { 1, 2 }, .padding = { 1, 2 }, .dilation = { 1, 3 }, .groups = 1 } },
        { 2, 90, 17, 6, 5, 3, 3, { .stride = { 1, 1 }, .padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 40, 3, 5, 6, 6, 3, 3, { .stride = { 1, 1 }, .padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 5, 600, 3, 9, 9, 1, 1, { .stride = { 1, 1 }, .padding = { 0, 0 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 2, 70, 3, 64, 70, 1, 2, { .stride = { 2, 2 }, .padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 2, 4, 6, 9, 9, 9, 9, { .stride = { 1, 1 }, .padding = { 8, 8 }, .dilation = { 1, 1 }, .groups = 2 } },
        { 1, 1, 70, 3, 3, 1, 1, { .stride = { 7, 5 }, .padding = { 9, 9 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 2, 3, 4, 30, 41, 2, 2, { .stride = { 1, 1 }, .padding = { 0, 0 }, .dilation = { 20, 40 }, .groups = 1 } },
    };
    check_conv(&cases[_i], _i, false);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("conv");
    TCase *c = tcase_create("conv");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, conv_by_loops);
    tcase_add_loop_test(c, conv_beyond_blocks, 0, 9);
    suite_add_tcase(s, c);
    return s;
}
