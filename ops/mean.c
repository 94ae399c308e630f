/* y = mean of x over an axis, or over all n.   dx += dy / n, broadcast back */
#include <string.h>

#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    return sp_infer_reduced(c, *(const int *)c->attr, s);
}

/* How many elements one mean is taken of. */
static sp_real count(const sp_call *c)
{
    int axis = *(const int *)c->attr;
    sp_shape x = c->x[0].shape;
    return (sp_real)(axis == SP_ALL ? sp_shape_size(x) : x.dim[axis]);
}

static void forward(const sp_call *c)
{
    const sp_real n = count(c);
    const long size = sp_shape_size(c->y.shape);
    sp_view y = sp_broadcast_back(&c->y, &c->x[0], *(const int *)c->attr);
    memset(c->y.data, 0, (size_t)size * sizeof *c->y.data);
    sp_add_sums(&y, &c->x[0]);
    for (long i = 0; i < size; i++)
        c->y.data[i] /= n;
}

static void backward(const sp_call *c)
{
    const sp_real n = count(c);
    sp_view dy = sp_broadcast_back(&c->dy, &c->x[0], *(const int *)c->attr);
    SP_EACH2(c->x[0].shape, dx, c->dx[0], d, dy, *dx += *d / n);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 2 }, 0);
}

static sp_tensor *build_rows(sp_tape *t, sp_tensor **leaf)
{
    return sp_mean(t, leaf[0], -1);
}

static sp_tensor *build_middle(sp_tape *t, sp_tensor **leaf)
{
    return sp_mean(t, leaf[0], 1);
}

static sp_tensor *build_all(sp_tape *t, sp_tensor **leaf)
{
    return sp_mean(t, sp_transpose(t, leaf[0], 0, 2), SP_ALL);
}

static const struct sp_probe probes[] = {
    { "last axis", { { { 2, { 3, 5 } }, -1, 1 } }, build_rows },
    { "middle axis", { { { 3, { 2, 3, 4 } }, -1, 1 } }, build_middle },
    { "all", { { { 3, { 2, 3, 4 } }, -1, 1 } }, build_all },
    { 0 }
};

const sp_op sp_op_mean = {
    "mean", SP_OP_ROWS | SP_OP_AXIS | SP_OP_FREES_X | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_mean(sp_tape *t, sp_tensor *x, int axis)
{
    axis = sp_axis_of(x, axis);
    return sp_record(t, &sp_op_mean, 1, &x, &axis, sizeof axis);
}
