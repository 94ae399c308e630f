/* y[b,c,p,q] = sum of x[b,c, p s + i - m, q s' + j - m'] over the taps (i, j) that are inside x, divided by the taps of the
   kernel or (padding_uncounted) by how many those are.   dx += dy / that, for each of them. */
#include "ops/kernel.h"

#include "config.h"

#include "autograd/clones_inside.h"

static bool infer(sp_call *c, sp_status *s)
{
    return sp_pool_shape(c, s);
}

/* y += x, the numbers of x being `step` apart */
SP_CLONES static void take(long n, const sp_real *restrict x, long step, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] += x[i * step];
}

/* 1 / taps that count for position q of the line. */
static sp_real share(const sp_call *c, const struct sp_pool_line *l, long q)
{
    const sp_slide *a = c->attr;
    long from, end;
    sp_pool_columns(c, q, &from, &end);
    return (sp_real)1 / (sp_real)(a->padding_uncounted ? (l->bottom - l->top) * (end - from) : a->kernel[0] * a->kernel[1]);
}

static void forward(const sp_call *c)
{
    struct sp_pool_line l = { 0 };
    sp_pool_forward(c, 0, take);
    while (sp_pool_next(c, &l))
        for (long q = 0; q < c->y.shape.dim[3]; q++)
            c->y.data[l.y + q] *= share(c, &l, q);
}

static void backward(const sp_call *c)
{
    const sp_view *dx = &c->dx[0];
    struct sp_pool_line l = { 0 };
    while (sp_pool_next(c, &l))
        for (long q = 0; q < c->y.shape.dim[3]; q++) {
            const sp_real d = c->dy.data[l.dy + q] * share(c, &l, q);
            long from, end;
            sp_pool_columns(c, q, &from, &end);
            for (long h = l.top; h < l.bottom; h++)
                for (long w = from; w < end; w++)
                    dx->data[l.dx + h * dx->stride[2] + w * dx->stride[3]] += d;
        }
}

static sp_cost cost(const sp_call *c, bool back)
{
    const sp_slide *a = c->attr;
    return sp_cost_of(c, back, sp_elements(&c->y) * (double)(a->kernel[0] * a->kernel[1]), 0);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_avg_pool(t, leaf[0], (sp_slide){ .kernel = { 2, 3 }, .padding = { 1, 1 } });
}

static sp_tensor *build_uncounted(sp_tape *t, sp_tensor **leaf)
{
    return sp_avg_pool(t, leaf[0], (sp_slide){ .kernel = { 3, 2 }, .stride = { 2, 1 }, .padding = { 1, 1 }, .padding_uncounted = true });
}

static sp_tensor *build_text(sp_tape *t, sp_tensor **leaf)
{
    return sp_avg_pool(t, sp_transpose(t, leaf[0], 1, 2), (sp_slide){ .kernel = { 3 }, .stride = { 1 } });
}

static const struct sp_probe probes[] = {
    { "padded", { { { 4, { 2, 2, 4, 5 } }, -1, 1 } }, build },
    { "padding uncounted", { { { 4, { 1, 2, 5, 4 } }, -1, 1 } }, build_uncounted },
    { "1-d of a transposed view", { { { 3, { 2, 6, 2 } }, -1, 1 } }, build_text },
    { 0 }
};

const sp_op sp_op_avg_pool = { "avg_pool", SP_OP_ROWS | SP_OP_FREES_X | SP_OP_FREES_Y, infer, forward, backward, cost, probes };

sp_tensor *sp_avg_pool(sp_tape *t, sp_tensor *x, sp_slide how)
{
    return sp_pool(t, &sp_op_avg_pool, x, how);
}
