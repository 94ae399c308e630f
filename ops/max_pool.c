/* y[b,c,p,q] = largest of x[b,c, p s + i - m, q s' + j - m'] over the taps (i, j) that are inside x; NaN if one is.
   The gradient goes to the first tap that is y. */
#include <math.h>

#include "ops/kernel.h"

#include "config.h"

#include "autograd/clones_inside.h"

static bool infer(sp_call *c, sp_status *s)
{
    return sp_pool_shape(c, s);
}

/* y = max(y, x), the numbers of x being `step` apart */
SP_CLONES static void larger(long n, const sp_real *restrict x, long step, sp_real *restrict y)
{
    if (step == 1)
        for (long i = 0; i < n; i++)
            y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
    else
        for (long i = 0; i < n; i++)
            y[i] = x[i * step] > y[i] || x[i * step] != x[i * step] ? x[i * step] : y[i];
}

static void forward(const sp_call *c)
{
    sp_pool_forward(c, (sp_real)-INFINITY, larger);
}

static void backward(const sp_call *c)
{
    const sp_view *x = &c->x[0], *dx = &c->dx[0];
    struct sp_pool_line l = { 0 };
    while (sp_pool_next(c, &l))
        for (long q = 0; q < c->y.shape.dim[3]; q++) {
            const sp_real y = c->y.data[l.y + q];
            bool found = false;
            long from, end;
            sp_pool_columns(c, q, &from, &end);
            for (long h = l.top; h < l.bottom && !found; h++)
                for (long w = from; w < end && !found; w++) {
                    const sp_real v = x->data[l.x + h * x->stride[2] + w * x->stride[3]];
                    found = v == y || (v != v && y != y);
                    if (found)
                        dx->data[l.dx + h * dx->stride[2] + w * dx->stride[3]] += c->dy.data[l.dy + q];
                }
        }
}

static sp_cost cost(const sp_call *c, bool back)
{
    const sp_slide *a = c->attr;
    return sp_cost_of(c, back, sp_elements(&c->y) * (double)(a->kernel[0] * a->kernel[1]),
                      sp_elements(&c->y) + sp_elements(&c->x[0]));
}

/* Leaves far from a tie. */
static sp_tensor *spread(sp_tape *t, sp_tensor *x)
{
    sp_real far[64];
    for (int i = 0; i < 64; i++)
        far[i] = (sp_real)(i * 29 % 64);
    return sp_add(t, x, sp_reshape(t, sp_slice(t, sp_feed(t, far, SP_SHAPE(64)), 0, 0, sp_shape_size(sp_shape_get(x))),
                                   sp_shape_get(x)));
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_max_pool(t, spread(t, leaf[0]), (sp_slide){ .kernel = { 2, 2 } });
}

static sp_tensor *build_padded(sp_tape *t, sp_tensor **leaf)
{
    return sp_max_pool(t, spread(t, leaf[0]), (sp_slide){ .kernel = { 3, 2 }, .stride = { 2, 1 }, .padding = { 1, 1 } });
}

static sp_tensor *build_text(sp_tape *t, sp_tensor **leaf)
{
    return sp_max_pool(t, sp_transpose(t, spread(t, leaf[0]), 1, 2), (sp_slide){ .kernel = { 3 }, .stride = { 1 } });
}

static const struct sp_probe probes[] = {
    { "2 x 2", { { { 4, { 2, 2, 4, 4 } }, -0.1, 0.1 } }, build },
    { "overlapping and padded", { { { 4, { 1, 2, 5, 4 } }, -0.1, 0.1 } }, build_padded },
    { "1-d of a transposed view", { { { 3, { 2, 6, 2 } }, -0.1, 0.1 } }, build_text },
    { 0 }
};

const sp_op sp_op_max_pool = { "max_pool", SP_OP_ROWS, infer, forward, backward, cost, probes };

sp_tensor *sp_max_pool(sp_tape *t, sp_tensor *x, sp_slide how)
{
    if (how.padding_uncounted)
        return sp_tape_fail(t, SP_ERR_VALUE, "max_pool: padding_uncounted, which is for averages");
    return sp_pool(t, &sp_op_max_pool, x, how);
}
