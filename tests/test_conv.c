/* Convolutions, pools and batch normalisation beside plain loops, and what they refuse. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <stdio.h>
#include <unistd.h>

#include "autograd/gradcheck.h"
#include "autograd/parallel.h"
#include "nn/batch_norm.h"
#include "nn/conv.h"
#include "nn/optimizer.h"
#include "nn/scan.h"
#include "nn/seq.h"
#include "tests/golden.h"
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
    for (long i = 0; i < nx; i++)
        dx[i] = 0.5;
    for (long i = 0; i < nw; i++)
        dw[i] = 0.5;
    for (long i = 0; i < z->O; i++)
        db[i] = 0.5;
    seven_loops(z, x, w, bias, NULL, weight, dx, dw, db);

    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *vx = sp_variable(t, x, SP_SHAPE(z->B, z->C, z->H, z->W));
    sp_tensor *vw = sp_variable(t, w, SP_SHAPE(z->O, z->C / a->groups, z->kh, z->kw)), *vb = sp_variable(t, bias, SP_SHAPE(z->O));
    sp_tensor *in = transposed ? sp_transpose(t, sp_copy(t, sp_transpose(t, vx, 1, 3)), 1, 3) : vx;     /* channels last */
    sp_tensor *out = sp_conv(t, in, vw, vb, z->how);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(out), SP_SHAPE(z->B, z->O, P, Q)));
    sp_tensor *loss = sp_sum(t, sp_mul(t, out, sp_feed(t, weight, sp_shape_get(out))), SP_ALL);
    sp_tensor *const each[] = { in, vw, vb };
    for (int i = 0; i < 3; i++)                         /* gradients of others, which are there before those of conv */
        loss = sp_add(t, loss, sp_scale(t, sp_sum(t, each[i], SP_ALL), 0.5));
    sp_backward(t, loss);
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
        { 1, 1, 1, 1, 5, 1, 2, { .stride = { 1, 1 }, .padding = { 0, 100000 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 2, 3, 4, 9, 11, 9, 11, { .stride = { 1, 1 }, .padding = { 0, 0 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 3, 4, 6, 13, 12, 4, 3, { .stride = { 4, 5 }, .padding = { 1, 2 }, .dilation = { 2, 2 }, .groups = 2 } },
        { 5, 300, 3, 16, 16, 4, 4, { .stride = { 4, 4 }, .padding = { 0, 0 }, .dilation = { 1, 1 }, .groups = 1 } },
        { 2, 3, 6, 70, 60, 9, 8, { .stride = { 1, 1 }, .padding = { 4, 3 }, .dilation = { 1, 1 }, .groups = 3 } },
        { 2, 3, 3, 70, 60, 3, 3, { .stride = { 2, 2 }, .padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 3 } },
    };
    check_conv(&cases[_i], _i, false);
}
END_TEST

/* A stride far larger than x, and windows of which all but some taps lie in zeros: what is outside costs nothing. */
START_TEST(conv_far_outside)
{
    const long far = INT32_MAX;
    const struct { long size, kernel, padding, stride, dilation; double y, dx; } cases[] = {
        { 1, 1, 0, 1000000, 1, 2, 2 },
        { 1, 1, 0, INT32_MAX, 1, 2, 2 },
        { 3, 1, 1, INT32_MAX, INT32_MAX, 0, 0 },
        { 1, 2, 1L << 30, 1, far, 0, 0 },
        { 1, 2, 1L << 30, 7, far, 0, 0 },
        { 1, 2, 20000, 40000, 40000, 0, 0 },
        { 1, 3, 20000, 1, 20000, 2, 2 },
    };
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        const long size = cases[i].size, k = cases[i].kernel;
        const sp_slide how = { .padding = { cases[i].padding, cases[i].padding }, .stride = { cases[i].stride, cases[i].stride },
                               .dilation = { cases[i].dilation, cases[i].dilation } };
        sp_real got[16];
        sp_tape *t = sp_tape_new(NULL);
        sp_tensor *x = sp_variable(t, REALS(1, 1, 1, 1, 1, 1, 1, 1, 1), SP_SHAPE(1, 1, size, size));
        sp_tensor *w = sp_variable(t, REALS(2, 2, 2, 2, 2, 2, 2, 2, 2), SP_SHAPE(1, 1, k, k));
        sp_tensor *y = sp_conv(t, x, w, NULL, how), *sum = sp_sum(t, y, SP_ALL);
        ck_assert(sp_backward(t, sum));
        ck_tape_ok(t);
        sp_read_grad(x, got);
        ck_assert_msg((double)sp_item(sum) == cases[i].y && (double)got[0] == cases[i].dx, "case %d: %g, %g", i, (double)sp_item(sum),
                      (double)got[0]);
        sp_tape_free(t);
    }
}
END_TEST

/* ---- pools ----------------------------------------------------------------------------------------------------- */

/* y and dx for one channel of one image, [H,W]. */
static void pool_loops(bool largest, long H, long W, const sp_slide *a, const sp_real *x, const sp_real *dy, double *y, double *dx)
{
    const long P = out_size(H, a->kernel[0], a->stride[0], a->padding[0], 1);
    const long Q = out_size(W, a->kernel[1], a->stride[1], a->padding[1], 1);
    for (long p = 0; p < P; p++)
        for (long q = 0; q < Q; q++) {
            long inside = 0, best = -1;
            double sum = 0;
            for (int pass = 0; pass < 2; pass++)
                for (long i = 0; i < a->kernel[0]; i++)
                    for (long j = 0; j < a->kernel[1]; j++) {
                        const long h = p * a->stride[0] + i - a->padding[0], w = q * a->stride[1] + j - a->padding[1];
                        if (h < 0 || h >= H || w < 0 || w >= W)
                            continue;
                        if (pass && !largest)
                            dx[h * W + w] += (double)dy[p * Q + q] / (double)(a->padding_uncounted ? inside : a->kernel[0] * a->kernel[1]);
                        if (pass)
                            continue;
                        inside++;
                        sum += (double)x[h * W + w];
                        if (best < 0 || x[h * W + w] > x[best])
                            best = h * W + w;
                    }
            y[p * Q + q] = largest ? (double)x[best]
                                   : sum / (double)(a->padding_uncounted ? inside : a->kernel[0] * a->kernel[1]);
            if (largest)
                dx[best] += (double)dy[p * Q + q];
        }
}

static void check_pool(bool largest, int number)
{
    sp_random r = { .key = { .seed = 8, .place = (uint64_t)number } };
    const long B = draw(&r, 1, 3), C = draw(&r, 1, 3), H = draw(&r, 4, 9), W = draw(&r, 4, 40);
    sp_slide how = { .padding_uncounted = !largest && draw(&r, 0, 1) };
    for (int i = 0; i < 2; i++) {
        how.kernel[i] = draw(&r, 1, 4);
        how.stride[i] = draw(&r, 1, 3);
        how.padding[i] = draw(&r, 0, how.kernel[i] / 2);
    }
    const long P = out_size(H, how.kernel[0], how.stride[0], how.padding[0], 1);
    const long Q = out_size(W, how.kernel[1], how.stride[1], how.padding[1], 1), nx = B * C * H * W, ny = B * C * P * Q;
    sp_real *x = uniform(1, nx), *dy = uniform(2, ny), *got = malloc((size_t)(nx + ny) * sizeof *got);
    double *y = calloc((size_t)ny, sizeof *y), *dx = calloc((size_t)nx, sizeof *dx);
    for (long i = 0; i < nx; i += 3)
        x[i] = (sp_real)0.5;                            /* ties: the first counts */
    for (long i = 0; i < B * C; i++)
        pool_loops(largest, H, W, &how, x + i * H * W, dy + i * P * Q, y + i * P * Q, dx + i * H * W);
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *v = sp_variable(t, x, SP_SHAPE(B, C, H, W)), *out = largest ? sp_max_pool(t, v, how) : sp_avg_pool(t, v, how);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(out), SP_SHAPE(B, C, P, Q)));
    sp_backward(t, sp_sum(t, sp_mul(t, out, sp_feed(t, dy, sp_shape_get(out))), SP_ALL));
    sp_read(out, got);
    check_near("y", number, ny, got, y);
    sp_read_grad(v, got);
    check_near("dx", number, nx, got, dx);
    sp_tape_free(t);
    free(x), free(dy), free(got), free(y), free(dx);
}

START_TEST(pools_by_loops)
{
    for (int i = 0; i < CONFIGURATIONS; i++)
        check_pool(_i, i);
}
END_TEST

/* Of x [B,C,n] seen as such: y, and what comes back for dy. By the running values m and v unless training. */
static void norm_loops(long B, long C, long n, bool training, const sp_real *x, const sp_real *w, const sp_real *b,
                       const sp_real *dy, double *y, double *dx, double *dw, double *db)
{
    for (long c = 0; c < C; c++) {
        double m = 0, v = 0, h = 0, hx = 0;
        const double count = (double)(B * n);
#define EACH(statement) for (long i = 0; i < B; i++) for (long j = 0; j < n; j++) { const long e = (i * C + c) * n + j; statement; }
        EACH(m += (double)x[e] / count)
        EACH(v += ((double)x[e] - m) * ((double)x[e] - m) / count)
        m = training ? m : 0.25;
        v = training ? v : 0.5;
        const double r = 1 / sqrt(v + 0.01);
        EACH(y[e] = (double)w[c] * ((double)x[e] - m) * r + (double)b[c])
        EACH(db[c] += (double)dy[e])
        EACH(dw[c] += (double)dy[e] * ((double)x[e] - m) * r)
        h = training ? (double)w[c] * db[c] / count : 0;
        hx = training ? (double)w[c] * dw[c] / count : 0;
        EACH(dx[e] = r * ((double)dy[e] * (double)w[c] - h - ((double)x[e] - m) * r * hx))
#undef EACH
    }
}

/* Shapes around the sizes of tiles and stretches, and x as it is, transposed, and with gaps. */
static void check_norm(int number, sp_shape shape, bool training, int view)
{
    const long B = shape.dim[0], C = shape.dim[1], all = sp_shape_size(shape), n = all / B / C;
    const int last = shape.rank - 1;
    sp_real *x = uniform(1, all), *dy = uniform(2, all), *w = uniform(3, C), *b = uniform(4, C), *got = malloc((size_t)all * sizeof *got);
    double *y = calloc((size_t)all, sizeof *y), *dx = calloc((size_t)all, sizeof *dx), *dw = calloc((size_t)C, sizeof *dw);
    double *db = calloc((size_t)C, sizeof *db);
    norm_loops(B, C, n, training, x, w, b, dy, y, dx, dw, db);
    sp_tape *t = sp_tape_new(NULL);
    sp_tape_set_training(t, training);
    sp_tensor *vx = sp_variable(t, x, shape), *vw = sp_variable(t, w, SP_SHAPE(C)), *vb = sp_variable(t, b, SP_SHAPE(C)), *in = vx;
    if (view == 1)
        in = sp_transpose(t, sp_copy(t, sp_transpose(t, vx, 0, 1)), 0, 1);
    if (view == 2)
        in = sp_slice(t, sp_concat(t, 2, (sp_tensor *[]){ vx, vx }, last), last, 0, shape.dim[last]);
    if (view == 3)
        in = sp_transpose(t, sp_copy(t, sp_transpose(t, vx, 1, last)), 1, last);
    sp_tensor *out = sp_batch_norm(t, in, vw, vb, sp_full(t, (sp_real)0.25, SP_SHAPE(C)), sp_full(t, (sp_real)0.5, SP_SHAPE(C)),
                                   NULL, 0.1, 0.01);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(out), shape));
    sp_backward(t, sp_sum(t, sp_mul(t, out, sp_feed(t, dy, shape)), SP_ALL));
    ck_tape_ok(t);
    sp_read(out, got);
    check_near("y", number, all, got, y);
    sp_read_grad(vx, got);
    check_near("dx", number, all, got, dx);
    sp_read_grad(vw, got);
    check_near("dw", number, C, got, dw);
    sp_read_grad(vb, got);
    check_near("db", number, C, got, db);
    sp_tape_free(t);
    free(x), free(dy), free(w), free(b), free(got), free(y), free(dx), free(dw), free(db);
}

START_TEST(norms_by_loops)
{
    const sp_shape shapes[] = { SP_SHAPE(5, 3), SP_SHAPE(257, 64), SP_SHAPE(520, 130), SP_SHAPE(300, 1), SP_SHAPE(9, 65, 1),
                                SP_SHAPE(4, 70, 1, 1), SP_SHAPE(3, 4, 5), SP_SHAPE(2, 3, 4, 17), SP_SHAPE(2, 3, 50, 90),
                                SP_SHAPE(3, 2, 1, 6), SP_SHAPE(3, 2, 6, 1), SP_SHAPE(1, 2, 4100) };
    for (int i = 0; i < (int)(sizeof shapes / sizeof *shapes); i++)
        for (int view = 0; view < 4; view++)
            check_norm(10 * i + view, shapes[i], _i, view);
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------------------------- */

static sp_tensor *zeros(sp_tape *t, sp_shape shape)
{
    return sp_full(t, 0, shape);
}

#define S3(a, b, c) { 3, { a, b, c } }
#define S4(a, b, c, d) { 4, { a, b, c, d } }

static const struct refused {
    sp_shape x, w;
    long bias;                  /* 0: none */
    sp_slide how;
    const char *error;
} refused[] = {
    { S4(2, 3, 8, 8), S4(4, 2, 3, 3), 0, { .groups = 1 }, "conv: [2,3,8,8] by [4,2,3,3]: 3 channels in 1 groups are not 2 each" },
    { S4(2, 3, 8, 8), S4(4, 1, 3, 3), 0, { .groups = 2 }, "conv: [2,3,8,8] by [4,1,3,3]: 2 groups do not divide 3 and 4 channels" },
    { S4(2, 4, 8, 8), S4(3, 2, 3, 3), 0, { .groups = 2 }, "conv: [2,4,8,8] by [3,2,3,3]: 2 groups do not divide 4 and 3 channels" },
    { S4(2, 4, 8, 8), S4(3, 2, 3, 3), 0, { .groups = -2 }, "conv: [2,4,8,8] by [3,2,3,3]: -2 groups do not divide 4 and 3 channels" },
    { S4(2, 3, 8, 8), S4(4, 3, 3, 3), 5, { .groups = 1 }, "conv: [2,3,8,8] by [4,3,3,3]: the bias is [5], not [4]" },
    { S4(2, 3, 8, 8), S3(4, 3, 3), 0, { .groups = 1 },
      "conv: [2,3,8,8] by [4,3,3]: needs [B,C,H,W] by [O,C/groups,kh,kw] or [B,C,L] by [O,C/groups,k]" },
    { { 2, { 2, 3 } }, { 2, { 4, 3 } }, 0, { .groups = 1 },
      "conv: [2,3] by [4,3]: needs [B,C,H,W] by [O,C/groups,kh,kw] or [B,C,L] by [O,C/groups,k]" },
    { S4(2, 3, 4, 8), S4(4, 3, 5, 3), 0, { .groups = 1 },
      "conv: [2,3,4,8]: a kernel of 5 along the height is larger than the 4 there are" },
    { S4(2, 3, 8, 2), S4(4, 3, 3, 3), 0, { .padding = { 1, 1 }, .dilation = { 1, 2 } },
      "conv: [2,3,8,2]: a kernel of 5 (dilated) along the width is larger than the 4 there are with the padding" },
    { S3(2, 3, 2), S3(4, 3, 3), 0, { .groups = 1 }, "conv: [2,3,2]: a kernel of 3 along the width is larger than the 2 there are" },
    { S4(2, 3, 8, 8), S4(4, 3, 3, 3), 0, { .stride = { -1, 1 } }, "conv: [2,3,8,8]: the stride is -1 along the height, not 1 or more" },
    { S4(2, 3, 8, 8), S4(4, 3, 3, 3), 0, { .padding = { 0, -1 } },
      "conv: [2,3,8,8]: the padding is -1 along the width, not 0 or more" },
    { S4(2, 3, 8, 8), S4(4, 3, 3, 3), 0, { .dilation = { 0, -2 } },
      "conv: [2,3,8,8]: the dilation is -2 along the width, not 1 or more" },
    { S4(2, 3, 8, 8), S4(4, 3, 3, 3), 0, { .padding = { 1L << 40, 1L << 40 } },
      "conv: [2,3,8,8]: the padding is 1099511627776 along the height, not 0 or more, below 2^31" },
    { S4(2, 3, 8, 8), S4(4, 3, 3, 3), 0, { .padding = { 1L << 30, 1L << 30 } },
      "conv: the result [2,4,2147483654,2147483654] is too large" },
    { S3(2, 3, 8), S3(4, 2, 3), 0, { .groups = 1 }, "conv: [2,3,8] by [4,2,3]: 3 channels in 1 groups are not 2 each" },
    { S3(2, 3, 8), S3(4, 3, 3), 0, { .stride = { 1, -5 } },
      "conv: [2,3,8] by [4,3,3]: along a second axis, which there is not, a kernel of 0, stride -5, padding 0, dilation 0" },
    { S3(2, 3, 8), S3(4, 3, 3), 0, { .kernel = { 3, 3 }, .stride = { 1, 1 } },
      "conv: [2,3,8] by [4,3,3]: along a second axis, which there is not, a kernel of 3, stride 1, padding 0, dilation 0" },
    { S3(2, 3, 8), S3(4, 3, 3), 0, { .padding = { 1, 1 }, .dilation = { 2, 2 } },
      "conv: [2,3,8] by [4,3,3]: along a second axis, which there is not, a kernel of 0, stride 0, padding 1, dilation 2" },
    { S3(2, 3, 8), S3(4, 3, 3), 0, { .padding = { 1, 1 } },
      "conv: [2,3,8] by [4,3,3]: along a second axis, which there is not, a kernel of 0, stride 0, padding 1, dilation 0" },
    { S3(2, 3, 8), S3(4, 3, 3), 0, { .kernel = { 2 } }, "conv: [2,3,8] by [4,3,3]: a kernel of 2 along axis 0 is not the weight's" },
    { S4(2, 3, 8, 8), S4(4, 3, 2, 2), 0, { .kernel = { 0, 3 } },
      "conv: [2,3,8,8] by [4,3,2,2]: a kernel of 3 along axis 1 is not the weight's" },
    { S4(2, 3, 8, 8), S4(4, 3, 0, 3), 0, { .groups = 1 }, "conv: [2,3,8,8]: the kernel is 0 along the height, not 1 or more" },
};

START_TEST(refused_conv)
{
    const struct refused *k = &refused[_i];
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *y = sp_conv(t, zeros(t, k->x), zeros(t, k->w), k->bias ? zeros(t, SP_SHAPE(k->bias)) : NULL, k->how);
    ck_assert(!sp_sound(y));
    ck_assert_str_eq(sp_error(t), k->error);
    sp_tape_free(t);
}
END_TEST

static const struct refused refused_pools[] = {
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 3, 3 }, .padding = { 2, 1 } },
      .error = "max_pool: [1,2,4,4]: the padding of 2 along the height is over half the kernel's 3" },
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 5, 1 } },
      .error = "max_pool: [1,2,4,4]: a kernel of 5 along the height is larger than the 4 there are" },
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 0, 2 } },
      .error = "max_pool: [1,2,4,4]: the kernel is 0 along the height, not 1 or more" },
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 2, 2 }, .stride = { 1, -1 } },
      .error = "max_pool: [1,2,4,4]: the stride is -1 along the width, not 1 or more" },
    { .x = S4(1, 2, 0, 4), .how = { .kernel = { 2, 2 }, .padding = { 1, 1 } }, .error = "max_pool: [1,2,0,4] has no elements along the height" },
    { .x = S3(1, 2, 4), .how = { .kernel = { 5 } },
      .error = "max_pool: [1,2,4]: a kernel of 5 along the width is larger than the 4 there are" },
    { .x = S3(1, 2, 4), .how = { .kernel = { 3 }, .padding = { 2 } },
      .error = "max_pool: [1,2,4]: the padding of 2 along the width is over half the kernel's 3" },
    { .x = S3(1, 2, 0), .how = { .kernel = { 2 }, .padding = { 1 } }, .error = "max_pool: [1,2,0] has no elements along the width" },
    { .x = S3(1, 2, 4), .how = { .kernel = { 2, 3 } }, .error = "max_pool: the second kernel is 3, of one axis" },
    { .x = S3(1, 2, 4), .how = { .kernel = { 2 }, .stride = { 2, 1 } }, .error = "max_pool: the second stride is 1, of one axis" },
    { .x = S3(1, 2, 4), .how = { .kernel = { 2 }, .padding = { 0, 1 } }, .error = "max_pool: the second padding is 1, of one axis" },
    { .x = S3(1, 2, 4), .how = { .kernel = { 2 }, .dilation = { 0, 1 } }, .error = "max_pool: the second dilation is 1, of one axis" },
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 2, 2 }, .dilation = { 1, 2 } },
      .error = "max_pool: the dilation is 2, which pools do not have" },
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 2, 2 }, .groups = 7 }, .error = "max_pool: 7 groups, which pools do not have" },
    { .x = S4(1, 2, 4, 4), .how = { .kernel = { 2, 2 }, .padding_uncounted = true },
      .error = "max_pool: padding_uncounted, which is for averages" },
    { .x = { 2, { 3, 4 } }, .how = { .kernel = { 2, 2 } }, .error = "max_pool: [3,4]: needs [B,C,H,W] or [B,C,L]" },
};

START_TEST(refused_pool)
{
    const struct refused *k = &refused_pools[_i];
    sp_tape *t = sp_tape_new(NULL);
    ck_assert(!sp_sound(sp_max_pool(t, zeros(t, k->x), k->how)));
    ck_assert_str_eq(sp_error(t), k->error);
    sp_tape_free(t);
}
END_TEST

static const struct refused refused_norms[] = {
    { .x = S4(1, 3, 1, 1), .bias = 3, .error = "batch_norm: [1,3,1,1]: training needs more than the 1 value that each of the 3 channels has" },
    { .x = { 2, { 1, 3 } }, .bias = 3, .error = "batch_norm: [1,3]: training needs more than the 1 value that each of the 3 channels has" },
    { .x = S3(1, 3, 1), .bias = 3, .error = "batch_norm: [1,3,1]: training needs more than the 1 value that each of the 3 channels has" },
    { .x = S3(2, 3, 4), .bias = 4, .error = "batch_norm: [2,3,4] with the weight [4]: needs [3]" },
    { .x = { 1, { 3 } }, .bias = 3, .error = "batch_norm: [3]: needs [B,C], [B,C,L] or [B,C,H,W]" },
};

START_TEST(refused_norm)
{
    const struct refused *k = &refused_norms[_i];
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *one = zeros(t, SP_SHAPE(k->bias));
    ck_assert(!sp_sound(sp_batch_norm(t, zeros(t, k->x), one, one, one, one, NULL, 0.1, 1e-5)));
    ck_assert_str_eq(sp_error(t), k->error);
    sp_tape_free(t);
}
END_TEST

/* What all pools have and lack. */
START_TEST(settings_that_say_nothing)
{
    sp_tape *t = sp_tape_new(NULL);
    const sp_slide how = { .kernel = { 2, 2 }, .dilation = { 1, 1 }, .groups = 1 };
    ck_assert(sp_sound(sp_max_pool(t, zeros(t, SP_SHAPE(1, 1, 4, 4)), how)));
    ck_assert(!sp_sound(sp_avg_pool(t, zeros(t, SP_SHAPE(1, 1, 4, 4)), (sp_slide){ .kernel = { 2, 2 }, .dilation = { 3, 1 } })));
    ck_assert_str_eq(sp_error(t), "avg_pool: the dilation is 3, which pools do not have");
    sp_tape_free(t);
}
END_TEST

/* Only the taps inside are looked at. The windows are all of x, and the last all but its first line and column. */
START_TEST(vast_kernels)
{
    const long k = INT32_MAX, half = k / 2;
    const sp_slide how = { .kernel = { k, k }, .stride = { 1, 1 }, .padding = { half, half }, .padding_uncounted = true };
    sp_slide plain = how;
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[4];
    plain.padding_uncounted = false;
    sp_tensor *x = sp_variable(t, REALS(4, 2, 3, 1), SP_SHAPE(1, 1, 2, 2)), *largest = sp_max_pool(t, x, plain);
    sp_tensor *mean = sp_avg_pool(t, x, how);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(mean), SP_SHAPE(1, 1, 2, 2)));
    sp_read(largest, got);
    ck_same(got, REALS(4, 4, 4, 4), 4);
    sp_read(mean, got);
    ck_same(got, REALS(2.5, 2.5, 2.5, 2.5), 4);
    sp_backward(t, sp_add(t, sp_sum(t, largest, SP_ALL), sp_sum(t, mean, SP_ALL)));
    sp_read_grad(x, got);
    ck_same(got, REALS(5, 1, 1, 1), 4);
    sp_tape_free(t);
}
END_TEST

/* The gradient of a largest that is NaN goes to the first NaN. */
START_TEST(gradient_of_nan)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[4];
    sp_tensor *x = sp_variable(t, REALS(4, NAN, NAN, 1), SP_SHAPE(1, 1, 2, 2));
    sp_backward(t, sp_sum(t, sp_max_pool(t, x, (sp_slide){ .kernel = { 2, 2 } }), SP_ALL));
    ck_assert(sp_read_grad(x, got));
    ck_same(got, REALS(0, 1, 0, 0), 4);
    sp_tape_free(t);
}
END_TEST

START_TEST(missing_inputs)
{
    sp_tape *t = sp_tape_new(NULL);
    const sp_slide how = { .kernel = { 2, 2 } };
    sp_tensor *x = zeros(t, SP_SHAPE(1, 1, 3, 3)), *one = zeros(t, SP_SHAPE(1));
    sp_tensor *(*const pool[])(sp_tape *, sp_tensor *, sp_slide) = { sp_max_pool, sp_avg_pool };
#define REFUSES(call, text)                                                                                            \
    do {                                                                                                               \
        ck_assert(!sp_sound(call));                                                                                    \
        ck_assert_str_eq(sp_error(t), text);                                                                           \
        sp_tape_clear(t);                                                                                              \
    } while (0)
    REFUSES(sp_conv(t, NULL, x, NULL, how), "conv: input 1 is NULL");
    REFUSES(sp_conv(t, x, NULL, NULL, how), "conv: input 2 is NULL");
    REFUSES(pool[0](t, NULL, how), "max_pool: input 1 is NULL");
    REFUSES(pool[1](t, NULL, how), "avg_pool: input 1 is NULL");
    REFUSES(sp_batch_norm(t, NULL, one, one, one, one, NULL, 0.1, 1e-5), "batch_norm: input 1 is NULL");
    REFUSES(sp_batch_norm(t, x, one, one, NULL, one, NULL, 0.1, 1e-5), "batch_norm: input 4 is NULL");
    REFUSES(sp_batch_norm(t, x, one, one, one, one, NULL, 1.5, 1e-5), "batch_norm: the momentum is 1.5, not in [0,1]");
    REFUSES(sp_batch_norm(t, x, one, one, one, one, NULL, 0.1, -1), "batch_norm: epsilon is -1, not 0 or more");
    REFUSES(sp_batch_norm(t, x, one, one, one, one, sp_full(t, 0, SP_SHAPE(2)), 0.1, 1e-5),
            "batch_norm: [1,1,3,3] with the count [2]: needs one number");
    REFUSES(sp_conv_on(t, NULL, x), "conv: the layer is NULL");
    REFUSES(sp_batch_norm_on(t, NULL, x), "batch_norm: the layer is NULL");
    sp_tape_free(t);
    ck_assert_ptr_null(sp_conv(NULL, NULL, NULL, NULL, how));
    ck_assert_ptr_null(sp_batch_norm(NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0.1, 1e-5));
    ck_assert_ptr_null(sp_max_pool(NULL, NULL, how));
}
END_TEST

START_TEST(refused_layers)
{
    const struct { sp_conv_config config; const char *error; } cases[] = {
        { { .in = 3, .out = 4, .kernel = { 3, 3 }, .groups = 2 }, "conv 'c': 3 channels to 4 in 2 groups" },
        { { .in = 0, .out = 4, .kernel = { 3, 3 } }, "conv 'c': 0 channels to 4 in 1 groups" },
        { { .in = 3, .out = 4, .kernel = { 3 } }, "conv 'c': along axis 1 a kernel of 0, stride 0, padding 0, dilation 0" },
        { { .in = 3, .out = 4, .kernel = { 3, 3 }, .stride = { -1 } },
          "conv 'c': along axis 0 a kernel of 3, stride -1, padding 0, dilation 0" },
        { { .in = 3, .out = 4, .kernel = { 3, 3 }, .padding = { 0, 1L << 40 } },
          "conv 'c': along axis 1 a kernel of 3, stride 0, padding 1099511627776, dilation 0" },
        { { .in = 3, .out = 4, .kernel = { 3, 3 }, .stride = { 1L << 31 } },
          "conv 'c': along axis 0 a kernel of 3, stride 2147483648, padding 0, dilation 0" },
    };
    for (int i = 0; i < 6; i++) {
        sp_store *s = sp_store_new(1);
        sp_conv_layer l = sp_conv2d_make(s, "c", &cases[i].config);
        ck_assert_ptr_null(l.weight);
        ck_assert_str_eq(sp_store_status(s)->message, cases[i].error);
        sp_store_free(s);
    }
    const struct { sp_conv_config config; const char *numbers; } second[] = {
        { { .in = 3, .out = 4, .kernel = { 3, 3 } }, "a kernel of 3, stride 0, padding 0, dilation 0" },
        { { .in = 3, .out = 4, .kernel = { 3 }, .stride = { 1, -5 } }, "a kernel of 0, stride -5, padding 0, dilation 0" },
        { { .in = 3, .out = 4, .kernel = { 3 }, .padding = { 1, 77 } }, "a kernel of 0, stride 0, padding 77, dilation 0" },
        { { .in = 3, .out = 4, .kernel = { 3, 1 }, .stride = { 2, 1 }, .dilation = { 1, 2 } }, "a kernel of 1, stride 1, padding 0, dilation 2" },
    };
    for (int i = 0; i < 4; i++) {
        sp_store *s = sp_store_new(1);
        ck_assert_ptr_null(sp_conv1d_make(s, "c", &second[i].config).weight);
        ck_assert_ptr_nonnull(strstr(sp_store_status(s)->message, "conv 'c': along axis 1, which there is not, "));
        ck_assert_ptr_nonnull(strstr(sp_store_status(s)->message, second[i].numbers));
        sp_store_free(s);
    }
    ck_assert_ptr_null(sp_conv1d_make(NULL, "c", &(sp_conv_config){ .in = 1, .out = 1, .kernel = { 1 } }).weight);
    ck_assert_ptr_null(sp_conv1d_make(NULL, "c", NULL).weight);
    for (int i = 0; i < 2; i++) {
        sp_store *s = sp_store_new(1);
        ck_assert_ptr_null(sp_batch_norm_make(s, i ? "" : NULL, 2).weight);
        ck_assert_str_eq(sp_store_status(s)->message, i ? "batch_norm: the name is empty" : "batch_norm: the name is NULL");
        sp_store_free(s);
    }
}
END_TEST

/* No images, no channels, and numbers that are none. */
START_TEST(odd_inputs)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[16];
    const sp_slide how = { .kernel = { 2, 2 }, .padding = { 1, 1 } };
    sp_tensor *w = sp_variable(t, REALS(1, 2, 3, 4), SP_SHAPE(1, 1, 2, 2)), *b = sp_variable(t, REALS(5), SP_SHAPE(1));
    sp_tensor *none = sp_mul(t, zeros(t, SP_SHAPE(0, 1, 3, 3)), sp_variable(t, REALS(1), SP_SCALAR));
    sp_tensor *y = sp_conv(t, none, w, b, how), *channels = sp_conv(t, zeros(t, SP_SHAPE(1, 0, 3, 3)), zeros(t, SP_SHAPE(1, 0, 2, 2)), b, how);
    ck_assert(sp_shape_equal(sp_shape_get(y), SP_SHAPE(0, 1, 4, 4)));
    ck_assert(sp_shape_equal(sp_shape_get(sp_max_pool(t, none, how)), SP_SHAPE(0, 1, 2, 2)));
    ck_assert(sp_shape_equal(sp_shape_get(sp_avg_pool(t, none, how)), SP_SHAPE(0, 1, 2, 2)));
    sp_tensor *norm = sp_batch_norm(t, none, b, b, b, b, NULL, 0.1, 1e-5);
    sp_tensor *nothing = sp_conv(t, zeros(t, SP_SHAPE(1, 0, 4, 4)), zeros(t, SP_SHAPE(0, 0, 3, 3)), NULL, (sp_slide){ .groups = LONG_MAX });
    ck_assert(sp_shape_equal(sp_shape_get(nothing), SP_SHAPE(1, 0, 2, 2)));
    ck_tape_ok(t);
    sp_read(channels, got);
    for (int i = 0; i < 16; i++)
        ck_assert_double_eq((double)got[i], 5);
    sp_tensor *sum = sp_add(t, sp_sum(t, y, SP_ALL), sp_sum(t, sp_max_pool(t, y, how), SP_ALL));
    sum = sp_add(t, sum, sp_add(t, sp_sum(t, sp_avg_pool(t, y, how), SP_ALL), sp_sum(t, norm, SP_ALL)));
    ck_assert(sp_backward(t, sum));
    sp_read_grad(w, got);
    ck_same(got, REALS(0, 0, 0, 0), 4);
    for (int k = 0; k < 3; k++) {
        const sp_real odd = (sp_real)(double[]){ NAN, INFINITY, -INFINITY }[k];
        sp_tape_reset(t);
        sp_tensor *x = sp_variable(t, REALS(1, odd, 3, 4, 5, 6, 7, 8, 9), SP_SHAPE(1, 1, 3, 3));
        w = sp_variable(t, REALS(1, 2, 3, 4), SP_SHAPE(1, 1, 2, 2));
        b = sp_variable(t, REALS(5), SP_SHAPE(1));
        sp_tensor *all[] = { sp_conv(t, x, w, b, how), sp_max_pool(t, x, how), sp_avg_pool(t, x, how),
                             sp_batch_norm(t, x, b, b, b, b, NULL, 0.1, 1e-5) };
        sp_tensor *loss = sp_full(t, 0, SP_SCALAR);
        for (int i = 0; i < 4; i++) {
            sp_tensor *one = sp_sum(t, all[i], SP_ALL);
            ck_assert_msg(k || isnan(sp_item(one)), "operation %d hides a NaN", i);
            loss = sp_add(t, loss, one);
        }
        ck_assert(sp_backward(t, loss));
    }
    sp_tape_free(t);
}
END_TEST

/* ---- layers ---------------------------------------------------------------------------------------------------- */

START_TEST(initial_values)
{
    sp_store *s = sp_store_new(3);
    sp_conv_layer a = sp_conv2d_make(s, "a", &(sp_conv_config){ .in = 8, .out = 50, .kernel = { 3, 2 }, .groups = 2 });
    sp_conv_layer b = sp_conv1d_make(s, "b", &(sp_conv_config){ .in = 8, .out = 5, .kernel = { 3 }, .no_bias = true });
    sp_batch_norm_layer n = sp_batch_norm_make(s, "n", 4);
    ck_assert(sp_store_ok(s));
    ck_assert(sp_shape_equal(a.weight->shape, SP_SHAPE(50, 4, 3, 2)) && sp_shape_equal(a.bias->shape, SP_SHAPE(50)));
    ck_assert(sp_shape_equal(b.weight->shape, SP_SHAPE(5, 8, 3)) && !b.bias);
    ck_assert_str_eq(sp_store_at(s, 0)->name, "a.weight");
    double most = 0, bound = 1 / sqrt(24);
    for (long i = 0; i < 1200; i++)
        most = fmax(most, fabs((double)sp_param_read(a.weight)[i]));
    ck_assert(most <= bound * (1 + 1e-6) && most > 0.98 * bound);
    for (int i = 0; i < 4; i++)
        ck_assert(sp_param_read(n.weight)[i] == 1 && sp_param_read(n.bias)[i] == 0 && sp_param_read(n.running_mean)[i] == 0
                  && sp_param_read(n.running_var)[i] == 1);
    ck_assert(*sp_param_read(n.num_batches_tracked) == 0 && n.running_mean->statistic && !n.weight->statistic);
    sp_store_free(s);
}
END_TEST

/* y of a 1 x 1 convolution without bias, by the sums that it is. */
static void check_mixed(sp_tensor *y, long positions, const sp_real *x, long channel, const sp_real *w, long row, long column, long n)
{
    sp_real got[64];
    sp_read(y, got);
    for (long o = 0; o < n; o++)
        for (long p = 0; p < positions; p++) {
            double sum = 0;
            for (long c = 0; c < n; c++)
                sum += (double)w[o * row + c * column] * (double)x[c * channel + p / 2 * 5 + p % 2 + 1];
            ck_assert_double_eq_tol((double)got[o * positions + p], sum, WIDE(1e-14, 1e-6));
        }
}

/* A 1 x 1 convolution: its lines of a slice do not follow each other, and its weight is the parameter's transpose. */
START_TEST(views_of_one_tap)
{
    enum { N = 4, H = 3, W = 5 };
    sp_store *s = sp_store_new(1);
    sp_param *p = sp_store_add(s, SP_SHAPE(N, N), "w");
    sp_random_uniform((sp_key){ .place = 3 }, N * N, sp_param_values(p), -1, 1);
    sp_real *x = uniform(1, N * H * W);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *slice = sp_slice(t, sp_feed(t, x, SP_SHAPE(1, N, H, W)), 3, 1, 3), *w = sp_param_on(t, p);
    for (int way = 0; way < 2; way++) {
        sp_tensor *filter = sp_reshape(t, way ? sp_transpose(t, w, 0, 1) : w, SP_SHAPE(N, N, 1, 1));
        sp_tensor *y = sp_conv(t, slice, filter, NULL, (sp_slide){ 0 });
        ck_tape_ok(t);
        check_mixed(y, H * 2, x, H * W, sp_param_read(p), way ? 1 : N, way ? N : 1, N);
    }
    sp_tape_free(t);
    sp_store_free(s);
    free(x);
}
END_TEST

/* A layer's weights are packed for many products, and again when they change. */
START_TEST(packed_weights)
{
    sp_real *x = uniform(1, 2 * 3 * 49), y[2][2 * 70 * 49];
    for (int change = 0; change < 3; change++) {
        for (int way = 0; way < 2; way++) {
            sp_store *s = sp_store_new(1);
            sp_conv_layer l = sp_conv2d_make(s, "c", &(sp_conv_config){ .in = 3, .out = 70, .kernel = { 3, 3 }, .padding = { 1, 1 } });
            sp_tape *t = sp_tape_new(s);
            for (int k = way ? change : 0; k <= change; k++) {
                sp_random_uniform((sp_key){ .place = (uint64_t)k }, 70 * 27, sp_param_values(l.weight), -1, 1);
                sp_tensor *out = sp_conv_on(t, &l, sp_feed(t, x, SP_SHAPE(2, 3, 7, 7)));
                out = sp_conv_on(t, &l, sp_feed(t, x, SP_SHAPE(2, 3, 7, 7)));
                sp_read(out, y[way]);
            }
            ck_tape_ok(t);
            sp_tape_free(t);
            sp_store_free(s);
        }
        ck_same(y[0], y[1], 2 * 70 * 49);
    }
    free(x);
}
END_TEST

/* h' = tanh(pool(W_h * h) + conv of x): windows over the features of a state. */
struct window_cell {
    sp_conv_layer h, x;
};

static sp_tensor *window_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct window_cell *m = self;
    const long rows = sp_dim(x, 0);
    sp_tensor *a = sp_conv_on(t, &m->x, sp_reshape(t, x, SP_SHAPE(rows, 1, 6)));
    sp_tensor *b = sp_conv_on(t, &m->h, sp_reshape(t, *h, SP_SHAPE(rows, 2, 6)));
    b = sp_avg_pool(t, sp_max_pool(t, b, (sp_slide){ .kernel = { 3 }, .stride = { 1 }, .padding = { 1 } }),
                    (sp_slide){ .kernel = { 3 }, .stride = { 1 }, .padding = { 1 } });
    return *h = sp_reshape(t, sp_tanh(t, sp_add(t, a, b)), SP_SHAPE(rows, 12));
}

/* They act on each row alone, as scan is told. */
START_TEST(windows_in_scan)
{
    enum { T = 5, B = 3, SIZE = T * B * 12 };
    sp_store *s = sp_store_new(4);
    struct window_cell m = {
        sp_conv1d_make(s, "h", &(sp_conv_config){ .in = 2, .out = 2, .kernel = { 3 }, .padding = { 1 } }),
        sp_conv1d_make(s, "x", &(sp_conv_config){ .in = 1, .out = 2, .kernel = { 5 }, .padding = { 2 }, .no_bias = true }),
    };
    sp_cell cell = { .name = "window", .self = &m, .step = window_step, .states = 1, .width = { 12 } };
    sp_real *x = uniform(1, T * B * 6), *weight = uniform(2, SIZE), y[2][SIZE], g[2][500];
    ck_assert(sp_store_ok(s) && sp_store_size(s) <= 500);
    for (int way = 0; way < 2; way++) {
        sp_tape *t = sp_tape_new(s);
        sp_tensor *xs = sp_feed(t, x, SP_SHAPE(T, B, 6));
        sp_tensor *out = way ? sp_unroll(t, &cell, xs, NULL) : sp_scan(t, &cell, xs, NULL);
        ck_tape_ok(t);
        sp_read(out, y[way]);
        sp_backward(t, sp_sum(t, sp_mul(t, out, sp_feed(t, weight, sp_shape_get(out))), SP_ALL));
        ck_tape_ok(t);
        memcpy(g[way], sp_gradients(t), (size_t)sp_store_size(s) * sizeof(sp_real));
        sp_tape_free(t);
    }
    for (int i = 0; i < SIZE; i++)
        ck_each(fabs((double)(y[0][i] - y[1][i])) < WIDE(1e-13, 1e-6), "y[%d]: %g, not %g", i, (double)y[0][i], (double)y[1][i]);
    for (long i = 0; i < sp_store_size(s); i++)
        ck_each(fabs((double)(g[0][i] - g[1][i])) < WIDE(1e-13, 1e-5), "gradient %ld: %g, not %g", i, (double)g[0][i], (double)g[1][i]);
    sp_store_free(s);
    free(x), free(weight);
}
END_TEST

static sp_tensor *norm_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    return *h = sp_tanh(t, sp_add(t, *h, sp_batch_norm_on(t, self, x)));
}

/* Where it does not train it acts on rows. */
START_TEST(norms_in_scan)
{
    enum { T = 4, B = 3, W = 5, SIZE = T * B * W };
    sp_store *s = sp_store_new(4);
    const sp_batch_norm_layer l = sp_batch_norm_make(s, "n", W);
    sp_random_uniform((sp_key){ .place = 8 }, W, sp_param_values(l.running_mean), -1, 1);
    const sp_cell cell = { .name = "norm", .self = &l, .step = norm_step, .states = 1, .width = { W } };
    sp_real *x = uniform(1, SIZE), y[2][SIZE], g[2][200];
    ck_assert(sp_store_ok(s) && sp_store_size(s) <= 200);
    for (int way = 0; way < 3; way++) {
        sp_tape *t = sp_tape_new(s);
        sp_tape_set_training(t, way == 2);
        sp_tensor *xs = sp_feed(t, x, SP_SHAPE(T, B, W)), *out = way ? sp_scan(t, &cell, xs, NULL) : sp_unroll(t, &cell, xs, NULL);
        if (way == 2) {
            ck_assert_ptr_nonnull(strstr(sp_error(t), "'batch_norm' does not act on each row alone; use sp_unroll"));
        } else {
            ck_assert(sp_backward(t, sp_sum(t, sp_mul(t, out, out), SP_ALL)));
            sp_read(out, y[way]);
            memcpy(g[way], sp_gradients(t), (size_t)sp_store_size(s) * sizeof(sp_real));
        }
        sp_tape_free(t);
    }
    for (int i = 0; i < SIZE; i++)
        ck_each(fabs((double)(y[0][i] - y[1][i])) < WIDE(1e-13, 1e-6), "y[%d]: %g, not %g", i, (double)y[1][i], (double)y[0][i]);
    for (long i = 0; i < sp_store_size(s); i++)
        ck_each(fabs((double)(g[0][i] - g[1][i])) < WIDE(1e-13, 1e-5), "gradient %ld: %g, not %g", i, (double)g[1][i], (double)g[0][i]);
    sp_store_free(s);
    free(x);
}
END_TEST

/* Texts of different lengths, in one batch: each is as if it were alone. */
START_TEST(padded_sequences)
{
    enum { IN = 2, OUT = 3, N = 3, ALL = 7 };
    const long length[N] = { 2, 4, 1 };
    sp_store *s = sp_store_new(1);
    const sp_conv_layer l = sp_conv1d_make(s, "c", &(sp_conv_config){ .in = IN, .out = OUT, .kernel = { 3 }, .padding = { 1 } });
    sp_tape *t = sp_tape_new(s);
    sp_real *x = uniform(1, ALL * IN), got[ALL * OUT], alone[ALL * OUT];
    sp_seq words = sp_seq_pack(t, sp_feed(t, x, SP_SHAPE(ALL, IN)), length, N);
    sp_tensor *y = sp_transpose(t, sp_conv_on(t, &l, sp_transpose(t, sp_seq_padded(t, words), 1, 2)), 1, 2);
    sp_read(sp_seq_unpack(t, sp_seq_of_padded(t, words.layout, y)), got);
    for (long i = 0, at = 0; i < N; at += length[i++]) {
        sp_tensor *one = sp_transpose(t, sp_feed(t, x + at * IN, SP_SHAPE(1, length[i], IN)), 1, 2);
        sp_read(sp_transpose(t, sp_conv_on(t, &l, one), 1, 2), alone + at * OUT);
    }
    ck_tape_ok(t);
    for (int i = 0; i < ALL * OUT; i++)
        ck_assert_double_eq_tol((double)got[i], (double)alone[i], WIDE(1e-14, 1e-6));
    sp_tape_free(t);
    sp_store_free(s);
    free(x);
}
END_TEST

/* ---- statistics ------------------------------------------------------------------------------------------------ */

enum { CHANNELS = 3, ROWS = 40 };

struct model {
    sp_store *store;
    sp_batch_norm_layer norm;
    const sp_real *x;           /* [ROWS,CHANNELS] of the present batch */
    int rows;
};

static struct model new_model(void)
{
    struct model m = { .store = sp_store_new(1), .rows = ROWS };
    m.norm = sp_batch_norm_make(m.store, "norm", CHANNELS);
    ck_assert(sp_store_ok(m.store));
    return m;
}

/* Numbers of batch k. */
static const sp_real *batch(int k)
{
    static sp_real x[ROWS * CHANNELS];
    sp_random_normal((sp_key){ .seed = 2, .place = (uint64_t)k }, ROWS * CHANNELS, x, k, 2);
    return x;
}

static sp_tensor *loss_of(sp_tape *t, const struct model *m)
{
    sp_tensor *x = sp_feed(t, m->x, SP_SHAPE(m->rows, CHANNELS)), *y = sp_batch_norm_on(t, &m->norm, x);
    return sp_sum(t, sp_mul(t, sp_mul(t, y, y), y), SP_ALL);
}

static void learn(struct model *m, sp_tape *t, int k)
{
    sp_tape_reset(t);
    m->x = batch(k);
    sp_backward(t, loss_of(t, m));
}

/* running = 0.9 running + 0.1 batch, in double. */
static void move_running(double running[2][CHANNELS], int k)
{
    const sp_real *x = batch(k);
    for (int c = 0; c < CHANNELS; c++) {
        double mean = 0, square = 0;
        for (int i = 0; i < ROWS; i++)
            mean += (double)x[i * CHANNELS + c] / ROWS;
        for (int i = 0; i < ROWS; i++)
            square += ((double)x[i * CHANNELS + c] - mean) * ((double)x[i * CHANNELS + c] - mean);
        running[0][c] += 0.1 * (mean - running[0][c]);
        running[1][c] += 0.1 * (square / (ROWS - 1) - running[1][c]);
    }
}

static void check_running(const struct model *m, double running[2][CHANNELS], double count)
{
    for (int c = 0; c < CHANNELS; c++) {
        ck_assert_double_eq_tol((double)sp_param_read(m->norm.running_mean)[c], running[0][c], WIDE(1e-12, 2e-6));
        ck_assert_double_eq_tol((double)sp_param_read(m->norm.running_var)[c], running[1][c], WIDE(1e-12, 4e-6));
    }
    ck_assert_double_eq((double)*sp_param_read(m->norm.num_batches_tracked), count);
}

/* Neither rates, nor decay, nor clipping, nor the memory of an optimizer has a part in it. */
START_TEST(statistics_are_moved)
{
    const char *const kinds[] = { "sgd", "adam", "adamw", "adagrad", "adadelta", "rmsprop", "nt-asgd" };
    struct model m = new_model();
    double running[2][CHANNELS] = { { 0 }, { 1, 1, 1 } };
    sp_status status = { 0 };
    sp_optimizer *o = sp_optimizer_new(m.store, kinds[_i], 0.01, &status);
    ck_assert_msg(o != NULL, "%s", status.message);
    o->weight_decay = 0.3;
    o->momentum = 0.5;
    ck_assert(sp_optimizer_average(o, 0.5, &status));
    if (_i == 1)
        ck_assert(sp_optimizer_group(o, "*running*", 7, 7, &status));
    sp_tape *t = sp_tape_new(m.store);
    for (int k = 0; k < 5; k++) {
        learn(&m, t, k);
        sp_clip_norm(t, 1e-3);
        sp_clip_value(t, 1e-5);
        ck_assert(sp_step(o, t));
        move_running(running, k);
    }
    check_running(&m, running, 5);
    sp_optimizer_swap(o);                               /* the averages have the latest */
    check_running(&m, running, 5);
    sp_optimizer_swap(o);
    sp_tape_set_training(t, false);
    learn(&m, t, 9);
    ck_assert(sp_step(o, t));
    check_running(&m, running, 5);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(m.store);
}
END_TEST

/* The norm is that of the learned alone, and clipping leaves the rest. */
START_TEST(norms_leave_statistics_out)
{
    struct model m = new_model();
    sp_store_add(m.store, SP_SCALAR, "last");           /* learned, behind statistics */
    sp_tape *t = sp_tape_new(m.store);
    learn(&m, t, 3);
    sp_real *g = sp_gradients(t), kept[CHANNELS];
    double sum = 0;
    memcpy(kept, g + m.norm.running_mean->offset, sizeof kept);
    ck_assert(kept[0] != 0 && kept[1] != 0);
    for (int i = 0; i < CHANNELS; i++) {
        const double w = (double)g[m.norm.weight->offset + i], b = (double)g[m.norm.bias->offset + i];
        sum += w * w + b * b;
    }
    ck_assert_double_eq_tol(sp_clip_norm(t, 1e-3), sqrt(sum), 1e-5 * sqrt(sum));
    ck_assert(sp_clip_value(t, 1e-6));
    ck_same(g + m.norm.running_mean->offset, kept, CHANNELS);
    g[m.norm.running_mean->offset] = NAN;
    ck_assert(sp_clip_value(t, 1e-6) && sp_clip_norm(t, 1) < 1);
    g[m.norm.bias->offset] = NAN;
    ck_assert(!sp_clip_value(t, 1e-6));
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* Several sweeps before one step are as several steps. */
START_TEST(accumulated_statistics)
{
    struct model m = new_model();
    double running[2][CHANNELS] = { { 0 }, { 1, 1, 1 } };
    sp_optimizer *o = sp_optimizer_new(m.store, "sgd", 0, NULL);
    sp_tape *t = sp_tape_new(m.store);
    for (int k = 0; k < 20; k++) {
        learn(&m, t, k % 5);
        move_running(running, k % 5);
    }
    ck_assert(sp_step(o, t));
    check_running(&m, running, 20);
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(m.store);
}
END_TEST

/* What is no statistic is not moved, though it has a gradient. */
START_TEST(others_are_not_moved)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[3];
    sp_tensor *w = sp_full(t, 1, SP_SHAPE(2)), *mean = sp_variable(t, REALS(1, 2), SP_SHAPE(2));
    sp_tensor *variance = sp_variable(t, REALS(3, 4), SP_SHAPE(2)), *count = sp_variable(t, REALS(5), SP_SCALAR);
    sp_tensor *y = sp_batch_norm(t, sp_feed(t, REALS(1, 2, 3, 5), SP_SHAPE(2, 2)), w, w, mean, variance, count, 0.1, 0);
    sp_tensor *sum = sp_add(t, sp_add(t, sp_sum(t, mean, SP_ALL), sp_sum(t, variance, SP_ALL)), count);
    ck_assert(sp_backward(t, sp_add(t, sum, sp_sum(t, y, SP_ALL))));
    ck_assert(sp_read_grad(mean, got) && sp_read_grad(variance, got + 1) && got[0] == 1 && got[1] == 1);
    ck_assert(sp_read_grad(count, got) && got[0] == 1);
    sp_tape_free(t);
}
END_TEST

/* Of a batch of nothing nothing is learned. */
START_TEST(no_batch_moves_nothing)
{
    struct model m = new_model();
    sp_tape *t = sp_tape_new(m.store);
    m.rows = 0;
    m.x = batch(0);
    ck_assert(sp_backward(t, loss_of(t, &m)));
    for (long i = 0; i < sp_store_size(m.store); i++)
        ck_assert(sp_gradients(t)[i] == 0);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* Numbers about 1000 that begin with one far off, beside sums in double: as rows, and as one map of each channel. */
START_TEST(outlier_first)
{
    enum { N = 200000, C = 2 };
    sp_real *x = malloc(N * C * sizeof *x), *dy = malloc(N * C * sizeof *dy);
    sp_random_normal((sp_key){ .seed = 6 }, N * C, x, 1000, 1);
    sp_random_normal((sp_key){ .seed = 7 }, N * C, dy, 0, 1);
    x[0] = (sp_real)-1e7;
    sp_store *s = sp_store_new(1);
    const sp_batch_norm_layer l = sp_batch_norm_make(s, "n", C);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *in = sp_feed(t, x, _i ? SP_SHAPE(1, C, N) : SP_SHAPE(N, C)), *y = sp_batch_norm_on(t, &l, in);
    ck_assert(sp_backward(t, sp_sum(t, sp_mul(t, y, sp_feed(t, dy, sp_shape_get(in))), SP_ALL)));
    for (int c = 0; c < C; c++) {
        double mean = 0, square = 0, dw = 0, db = 0;
        const long step = _i ? 1 : C, from = _i ? c * N : c;
        for (long i = 0; i < N; i++)
            mean += (double)x[from + i * step] / N;
        for (long i = 0; i < N; i++)
            square += pow((double)x[from + i * step] - mean, 2) / N;
        for (long i = 0; i < N; i++) {
            db += (double)dy[from + i * step];
            dw += (double)dy[from + i * step] * ((double)x[from + i * step] - mean) / sqrt(square + l.eps);
        }
        const sp_real *g = sp_gradients(t);
        ck_assert_double_eq_tol((double)g[l.running_mean->offset + c], 0.1 * mean, WIDE(1e-9, 1e-5));
        const double moved = 0.1 * (square * N / (N - 1) - 1);
        ck_assert_double_eq_tol((double)g[l.running_var->offset + c], moved, WIDE(1e-13, 4e-7) * square);
        ck_assert_double_eq_tol((double)g[l.weight->offset + c], dw, WIDE(1e-8, 0.1));
        ck_assert_double_eq_tol((double)g[l.bias->offset + c], db, WIDE(1e-8, 0.01));
    }
    sp_tape_free(t);
    sp_store_free(s);
    free(x), free(dy);
}
END_TEST

/* Numbers whose sum is infinite have a mean. */
START_TEST(vast_numbers)
{
    sp_real x[30], y[30];
    sp_tape *t = sp_tape_new(NULL);
    for (int i = 0; i < 30; i++)
        x[i] = (sp_real)WIDE(1e308, 2e38);
    sp_tensor *w = sp_full(t, 1, SP_SHAPE(3));
    ck_assert(sp_read(sp_batch_norm(t, sp_feed(t, x, SP_SHAPE(10, 3)), w, w, w, w, NULL, 0.1, 1e-5), y));
    for (int i = 0; i < 30; i++)
        ck_assert(y[i] == 1);
    sp_tape_free(t);
}
END_TEST

/* Two neighbouring numbers, whose mean lies between them: what a channel varies by is less than its mean is rounded by. */
START_TEST(neighbours)
{
    enum { N = 20000 };
    sp_real x[N];
    const double apart = ldexp(1, (int)WIDE(-33, -4));
    for (int i = 0; i < N; i++)
        x[i] = (sp_real)(1000003 + i % 2 * apart);
    sp_store *s = sp_store_new(1);
    const sp_batch_norm_layer l = sp_batch_norm_make(s, "n", 1);
    *sp_param_values(l.running_var) = 0;
    sp_tape *t = sp_tape_new(s);
    ck_assert(sp_backward(t, sp_sum(t, sp_batch_norm_on(t, &l, sp_feed(t, x, SP_SHAPE(N, 1))), SP_ALL)));
    const double want = 0.1 * apart * apart / 4 * N / (N - 1);
    ck_assert_double_eq_tol((double)sp_gradients(t)[l.running_var->offset], want, WIDE(1e-10, 1e-6) * want);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

static sp_tensor *shard_loss(sp_tape *t, void *self, int shard, double *weight)
{
    const struct model *m = self;
    struct model part = { m->store, m->norm, m->x + shard * ROWS / 2 * CHANNELS, ROWS / 2 };
    *weight = shard == 2 ? 0 : ROWS / 2;
    return shard == 2 ? NULL : loss_of(t, &part);
}

/* Shards: the mean of what each does, also on top of an earlier sweep; a shard without anything does not count. */
START_TEST(statistics_of_shards)
{
    struct model m = new_model();
    sp_parallel *p = sp_parallel_new(m.store, 3, _i);
    sp_optimizer *o = sp_optimizer_new(m.store, "sgd", 0, NULL);
    double want = 0;
    for (int sweep = 0; sweep < 2; sweep++) {
        double mean = 0;
        m.x = batch(3 + sweep);
        sp_parallel_backward(p, shard_loss, &m, NULL);
        for (int i = 0; i < ROWS; i++)
            mean += (double)m.x[i * CHANNELS] / ROWS;
        want += 0.1 * (mean - want);
    }
    ck_tape_ok(sp_parallel_tape(p, 0));
    ck_assert(sp_step(o, sp_parallel_tape(p, 0)));
    ck_assert_double_eq_tol((double)sp_param_read(m.norm.running_mean)[0], want, WIDE(1e-12, 2e-6));
    ck_assert_double_eq((double)*sp_param_read(m.norm.num_batches_tracked), 2);
    for (int i = 1; i < 3; i++)
        for (long k = 0; k < sp_store_size(m.store); k++)
            ck_assert(sp_gradients(sp_parallel_tape(p, i))[k] == 0);
    sp_optimizer_free(o);
    sp_parallel_free(p);
    sp_store_free(m.store);
}
END_TEST

/* Shard 0 does not use the norm, 1 has the weight 1 and 2 the weight 99; 3 has none. Where rows is 1, 2 does not use it
   either, where it is 0, nor does 1. */
static sp_tensor *unlike_loss(sp_tape *t, void *self, int shard, double *weight)
{
    const struct model *m = self;
    struct model part = { m->store, m->norm, m->x + (shard == 2) * 10 * CHANNELS, shard == 1 ? 10 : 30 };
    *weight = (double[]){ 7, 1, 99, 0 }[shard];
    if (shard == 3)
        return NULL;
    return shard && shard <= m->rows ? loss_of(t, &part) : sp_sum(t, sp_param_on(t, m->norm.weight), SP_ALL);
}

START_TEST(shards_of_unlike_weights)
{
    struct model m = new_model();
    sp_parallel *p = sp_parallel_new(m.store, 4, 1);
    sp_tape *t = sp_parallel_tape(p, 0);
    double want = 0;
    for (int sweep = 0; sweep < 2; sweep++) {
        double mean[2] = { 0 };
        m.x = batch(3 + sweep);
        sp_parallel_backward(p, unlike_loss, &m, NULL);
        for (int i = 0; i < ROWS; i++)
            mean[i >= 10] += (double)m.x[i * CHANNELS] / (i < 10 ? 10 : 30);
        want += 0.1 * (0.01 * mean[0] + 0.99 * mean[1] - want);
    }
    for (m.rows = 1; m.rows >= 0; m.rows--) {
        double mean = 0;
        m.x = batch(7);
        sp_parallel_backward(p, unlike_loss, &m, NULL);
        for (int i = 0; i < 10; i++)
            mean += (double)m.x[i * CHANNELS] / 10;
        want += m.rows * 0.1 * (mean - want);
    }
    ck_tape_ok(t);
    ck_assert_double_eq_tol((double)sp_gradients(t)[m.norm.running_mean->offset], want, WIDE(1e-12, 2e-6));
    ck_assert_double_eq((double)sp_gradients(t)[m.norm.num_batches_tracked->offset], 3);
    for (int i = 1; i < 4; i++)
        for (long k = 0; k < sp_store_size(m.store); k++)
            ck_assert(sp_gradients(sp_parallel_tape(p, i))[k] == 0);
    sp_parallel_free(p);
    sp_store_free(m.store);
}
END_TEST

/* An operation that is not told has no gradient for them, and no check of gradients changes them. */
START_TEST(statistics_have_no_gradient)
{
    struct model m = new_model();
    sp_tape *t = sp_tape_new(m.store);
    sp_tensor *mean = sp_param_on(t, m.norm.running_mean), *w = sp_param_on(t, m.norm.weight);
    sp_backward(t, sp_sum(t, sp_mul(t, w, sp_add(t, mean, w)), SP_ALL));
    ck_tape_ok(t);
    for (int i = 0; i < CHANNELS; i++)
        ck_assert(sp_gradients(t)[m.norm.running_mean->offset + i] == 0 && sp_gradients(t)[m.norm.weight->offset + i] == 2);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

static sp_tensor *checked_loss(sp_tape *t, void *context)
{
    return loss_of(t, context);
}

START_TEST(gradients_beside_statistics)
{
    struct model m = new_model();
    sp_gradcheck_report r;
    sp_status status = { 0 };
    m.x = batch(1);
    for (int directions = 0; directions < 5; directions += 4) {
        ck_assert_msg(sp_gradcheck(m.store, checked_loss, &m, directions, &r, &status), "%s", status.message);
        ck_assert_msg(r.error < WIDE(1e-6, 0.3), "%s: %g", r.where, r.error);
        ck_assert_int_eq(r.checked, directions ? directions : 2 * CHANNELS);
    }
    sp_store_free(m.store);
}
END_TEST

/* A run that is interrupted and goes on from its checkpoint ends with the same bits. */
START_TEST(statistics_in_checkpoints)
{
    char path[PATH_ROOM];
    sp_status status = { 0 };
    sp_real end[2][200];
    ck_new_file(path);
    for (int way = 0; way < 2; way++) {
        struct model m = new_model();
        sp_optimizer *o = sp_optimizer_new(m.store, "adam", 0.1, &status);
        sp_tape *t = sp_tape_new(m.store);
        for (int k = 0; k < 6; k++) {
            if (way && k == 3) {
                ck_assert_msg(sp_optimizer_save(o, NULL, path, 0, NULL, &status), "%s", status.message);
                sp_tape_free(t);
                sp_optimizer_free(o);
                sp_store_free(m.store);
                m = new_model();
                o = sp_optimizer_new(m.store, "adam", 0.1, &status);
                sp_safetensors *f = sp_safetensors_open(path, &status);
                ck_assert_msg(sp_optimizer_load(o, NULL, f, &status), "%s", status.message);
                sp_safetensors_free(f);
                remove(path);
                t = sp_tape_new(m.store);
            }
            learn(&m, t, k);
            ck_assert(sp_step(o, t));
        }
        ck_assert_int_lt(sp_store_size(m.store), 200);
        memcpy(end[way], sp_store_values(m.store), (size_t)sp_store_size(m.store) * sizeof(sp_real));
        if (way)
            ck_same(end[0], end[1], sp_store_size(m.store));
        sp_tape_free(t);
        sp_optimizer_free(o);
        sp_store_free(m.store);
    }
}
END_TEST

/* A state dict as PyTorch writes it has its counts as I64; for a parameter that is an error. */
START_TEST(whole_numbers_of_files)
{
    static const char format[] = "{\"%s\":{\"dtype\":\"%s\",\"shape\":[],\"data_offsets\":[0,8]}}";
    char path[PATH_ROOM], header[200];
    ck_new_file(path);
    for (int k = 0; k < 3; k++) {
        const bool statistic = k;
        sp_status status = { 0 };
        sp_store *s = sp_store_new(1);
        sp_param *p = statistic ? sp_store_add_statistic(s, SP_SCALAR, "n") : sp_store_add(s, SP_SCALAR, "n");
        const int length = snprintf(header, sizeof header, format, "n", k < 2 ? "I64" : "U64");
        FILE *out = fopen(path, "wb");
        const unsigned char size[8] = { (unsigned char)length }, data[8] = { 0x39, 0x30 };
        fwrite(size, 1, 8, out);
        fputs(header, out);
        fwrite(data, 1, 8, out);
        fclose(out);
        sp_safetensors *f = sp_safetensors_open(path, &status);
        ck_assert_msg(f != NULL, "%s", status.message);
        ck_assert_int_eq(sp_store_load(s, f, &status), k == 1);
        ck_assert_double_eq((double)*sp_param_read(p), k == 1 ? 12345 : 0);
        if (k != 1)
            ck_assert_ptr_nonnull(strstr(status.message, k ? "U64, not I64, F64, F32, F16 or BF16" : "I64, not F64, F32, F16 or BF16"));
        sp_safetensors_free(f);
        remove(path);
        sp_store_free(s);
    }
}
END_TEST

/* ---- beside PyTorch -------------------------------------------------------------------------------------------- */

static void pair_of(struct golden *g, const char *name, long pair[2])
{
    char key[40];
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%s%d", name, i);
        pair[i] = golden_text(g, key) ? golden_count(g, key) : 0;
    }
}

/* The results and gradients of y made from "x". */
static void check_golden(struct golden *g, sp_tape *t, sp_tensor *x, sp_tensor *y)
{
    golden_same(g, "y", y);
    sp_backward(t, sp_sum(t, sp_mul(t, y, golden_constant(g, t, "dy")), SP_ALL));
    golden_same_gradient(g, "dx", x);
    golden_same_gradients(g, t);
}

static void read_conv(struct golden *g)
{
    sp_store *s = sp_store_new(0);
    sp_conv_config c = { .in = golden_count(g, "in"), .out = golden_count(g, "out"), .groups = golden_count(g, "groups"),
                         .no_bias = golden_count(g, "no_bias") };
    pair_of(g, "kernel", c.kernel);
    pair_of(g, "stride", c.stride);
    pair_of(g, "padding", c.padding);
    pair_of(g, "dilation", c.dilation);
    const bool line = golden_shape(g, "x").rank == 3;
    sp_conv_layer l = line ? sp_conv1d_make(s, "layer", &c) : sp_conv2d_make(s, "layer", &c);
    golden_params(g, s);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *x = golden_variable(g, t, "x");
    check_golden(g, t, x, sp_conv_on(t, &l, x));
    sp_tape_free(t);
    sp_store_free(s);
}

static void read_pool(struct golden *g)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_slide how = { .padding_uncounted = golden_text(g, "padding_uncounted0") };
    pair_of(g, "kernel", how.kernel);
    pair_of(g, "stride", how.stride);
    pair_of(g, "padding", how.padding);
    sp_tensor *x = golden_variable(g, t, "x");
    check_golden(g, t, x, golden_count(g, "max") ? sp_max_pool(t, x, how) : sp_avg_pool(t, x, how));
    sp_tape_free(t);
}

/* Steps of training with plain SGD, then an evaluation. */
static void read_batch_norm(struct golden *g)
{
    char name[80];
    sp_store *s = sp_store_new(0);
    sp_batch_norm_layer l = sp_batch_norm_make(s, "layer", golden_shape(g, "x").dim[1]);
    l.momentum = golden_number(g, "momentum");
    l.eps = golden_number(g, "eps");
    golden_params(g, s);
    sp_optimizer *sgd = sp_optimizer_new(s, "sgd", golden_number(g, "lr"), NULL);
    sp_tape *t = sp_tape_new(s);
#define AT(what) (snprintf(name, sizeof name, what ".%ld", k), name)
    for (long k = 0; k < golden_count(g, "steps"); k++) {
        sp_tape_reset(t);
        sp_tensor *x = golden_variable(g, t, AT("x")), *y = sp_batch_norm_on(t, &l, x);
        golden_same(g, AT("y"), y);
        sp_backward(t, sp_sum(t, sp_mul(t, y, golden_constant(g, t, AT("dy"))), SP_ALL));
        golden_same_gradient(g, AT("dx"), x);
        for (int i = 0; i < 2; i++) {
            const sp_param *p = sp_store_at(s, i);
            snprintf(name, sizeof name, "grad.%ld.%s", k, p->name);
            golden_same_numbers(g, name, sp_gradients(t) + p->offset, p->shape);
        }
        ck_assert(sp_step(sgd, t));
        golden_same_values(g, AT("after"), s);
    }
#undef AT
    sp_tape_reset(t);
    sp_tape_set_training(t, false);
    sp_tensor *x = golden_variable(g, t, "x");
    check_golden(g, t, x, sp_batch_norm_on(t, &l, x));
    sp_tape_free(t);
    sp_optimizer_free(sgd);
    sp_store_free(s);
}

START_TEST(golden)
{
    golden_each("conv", (const struct golden_reader[]){
        { "conv", read_conv }, { "pool", read_pool }, { "batch_norm", read_batch_norm }, { 0 }
    });
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("conv");
    TCase *c = tcase_create("loops");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, conv_by_loops);
    tcase_add_loop_test(c, conv_beyond_blocks, 0, 15);
    tcase_add_test(c, conv_far_outside);
    tcase_add_loop_test(c, pools_by_loops, 0, 2);
    tcase_add_loop_test(c, norms_by_loops, 0, 2);
    suite_add_tcase(s, c);
    c = tcase_create("inputs");
    tcase_add_loop_test(c, refused_conv, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(c, refused_pool, 0, sizeof refused_pools / sizeof *refused_pools);
    tcase_add_loop_test(c, refused_norm, 0, sizeof refused_norms / sizeof *refused_norms);
    tcase_add_test(c, settings_that_say_nothing);
    tcase_add_test(c, vast_kernels);
    tcase_add_test(c, gradient_of_nan);
    tcase_add_test(c, missing_inputs);
    tcase_add_test(c, refused_layers);
    tcase_add_test(c, odd_inputs);
    suite_add_tcase(s, c);
    c = tcase_create("layers");
    tcase_add_test(c, initial_values);
    tcase_add_test(c, views_of_one_tap);
    tcase_add_test(c, packed_weights);
    tcase_add_test(c, windows_in_scan);
    tcase_add_test(c, norms_in_scan);
    tcase_add_test(c, padded_sequences);
    suite_add_tcase(s, c);
    c = tcase_create("statistics");
    tcase_add_loop_test(c, statistics_are_moved, 0, 7);
    tcase_add_test(c, norms_leave_statistics_out);
    tcase_add_test(c, accumulated_statistics);
    tcase_add_test(c, others_are_not_moved);
    tcase_add_test(c, no_batch_moves_nothing);
    tcase_add_loop_test(c, outlier_first, 0, 2);
    tcase_add_test(c, neighbours);
    tcase_add_test(c, vast_numbers);
    tcase_add_loop_test(c, statistics_of_shards, 1, 4);
    tcase_add_test(c, shards_of_unlike_weights);
    tcase_add_test(c, statistics_have_no_gradient);
    tcase_add_test(c, gradients_beside_statistics);
    tcase_add_test(c, statistics_in_checkpoints);
    tcase_add_test(c, whole_numbers_of_files);
    suite_add_tcase(s, c);
    c = tcase_create("golden");
    tcase_add_test(c, golden);
    suite_add_tcase(s, c);
    return s;
}
