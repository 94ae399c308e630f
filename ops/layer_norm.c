/* y = g xn + b,  xn = (x - mean) r,  r = 1 / sqrt(variance + epsilon), over each row; the variance is that of the
   population.   With h = dy g:  dx += r (h - mean(h) - xn mean(h xn))   dg += dy xn   db += dy
   Saves mean and r, [rows, 2]. Source: Ba, Kiros, Hinton, "Layer normalization", 2016. */
#include <math.h>

#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char x_text[SP_SHAPE_TEXT], g_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT];
    sp_shape x = c->x[0].shape, g = c->x[1].shape, b = c->x[2].shape;
    if (g.rank != 1 || b.rank != 1 || g.dim[0] != x.dim[1] || b.dim[0] != x.dim[1])
        return sp_fail(s, SP_ERR_SHAPE, "%s with gain %s and bias %s: they need the %ld of the last axis",
                       sp_shape_format(x_text, x), sp_shape_format(g_text, g), sp_shape_format(b_text, b), x.dim[1]);
    c->y.shape = x;
    c->saved.shape = SP_SHAPE(x.dim[0], 2);
    return true;
}

static void forward(const sp_call *c)
{
    const double epsilon = *(const double *)c->attr;
    const long n = c->y.shape.dim[1], gs = c->x[1].stride[0], bs = c->x[2].stride[0];
    const sp_real *g = c->x[1].data, *b = c->x[2].data;
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *x = c->x[0].data + i * c->x[0].stride[0];
        sp_real *y = c->y.data + i * n, *saved = c->saved.data + 2 * i;
        sp_real mean = sp_sum_run(n, x, 1) / (sp_real)n;
        for (long j = 0; j < n; j++)
            y[j] = (x[j] - mean) * (x[j] - mean);
        double variance = (double)sp_sum_run(n, y, 1) / (double)n;
        sp_real r = (sp_real)(1 / sqrt(variance + epsilon));
        for (long j = 0; j < n; j++)
            y[j] = g[j * gs] * ((x[j] - mean) * r) + b[j * bs];
        saved[0] = mean;
        saved[1] = r;
    }
}

static void backward(const sp_call *c)
{
    const long n = c->y.shape.dim[1], gs = c->x[1].stride[0], bs = c->x[2].stride[0];
    const sp_real *g = c->x[1].data;
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *x = c->x[0].data + i * c->x[0].stride[0], *dy = c->dy.data + i * n;
        const sp_real mean = c->saved.data[2 * i], r = c->saved.data[2 * i + 1];
        if (c->dx[0].data) {
            sp_real *dx = c->dx[0].data + i * c->dx[0].stride[0];
            sp_real sum_h = 0, sum_hx = 0;
            for (long j = 0; j < n; j++) {
                sum_h += dy[j] * g[j * gs];
                sum_hx += dy[j] * g[j * gs] * (x[j] - mean) * r;
            }
            for (long j = 0; j < n; j++)
                dx[j] += r * (dy[j] * g[j * gs] - (sum_h + (x[j] - mean) * r * sum_hx) / (sp_real)n);
        }
    }
    for (long j = 0; j < n && (c->dx[1].data || c->dx[2].data); j++) {
        double sum_g = 0, sum_b = 0;
        for (long i = 0; i < c->y.shape.dim[0]; i++) {
            const sp_real x = c->x[0].data[i * c->x[0].stride[0] + j], dy = c->dy.data[i * n + j];
            sum_g += (double)dy * (double)(x - c->saved.data[2 * i]) * (double)c->saved.data[2 * i + 1];
            sum_b += (double)dy;
        }
        if (c->dx[1].data)
            c->dx[1].data[j * gs] += (sp_real)sum_g;
        if (c->dx[2].data)
            c->dx[2].data[j * bs] += (sp_real)sum_b;
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 8, (const double[]){ 16, 4, 1 }, SP_READS_X | SP_READS_X << 1 | SP_READS_SAVED);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_layer_norm(t, leaf[0], leaf[1], leaf[2], 1e-5);
}

static const struct sp_probe probes[] = {
    { "matrix", { { { 2, { 3, 5 } }, -1, 1 }, { { 1, { 5 } }, 0.5, 1.5 }, { { 1, { 5 } }, -1, 1 } }, build },
    { "rank 3", { { { 3, { 2, 2, 4 } }, -1, 1 }, { { 1, { 4 } }, 0.5, 1.5 }, { { 1, { 4 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_layer_norm = {
    "layer_norm", SP_OP_ROWS | SP_OP_SHARED << 1 | SP_OP_SHARED << 2 | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_layer_norm(sp_tape *t, sp_tensor *x, sp_tensor *gain, sp_tensor *bias, double epsilon)
{
    sp_tensor *rows = sp_as_rows(t, x), *in[] = { rows, gain, bias };
    return sp_like_rows(t, sp_record(t, &sp_op_layer_norm, 3, in, &epsilon, sizeof epsilon), x);
}
