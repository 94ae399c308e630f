/* y = sum of x over an axis, or over all.   dx += dy, broadcast back */
#include <string.h>

#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    return sp_infer_reduced(c, *(const int *)c->attr, s);
}

static void forward(const sp_call *c)
{
    sp_view y = sp_broadcast_back(&c->y, &c->x[0], *(const int *)c->attr);
    memset(c->y.data, 0, (size_t)sp_shape_size(c->y.shape) * sizeof *c->y.data);
    sp_add_sums(&y, &c->x[0]);
}

static void backward(const sp_call *c)
{
    sp_view dy = sp_broadcast_back(&c->dy, &c->x[0], *(const int *)c->attr);
    SP_EACH2(c->x[0].shape, dx, c->dx[0], d, dy, *dx += *d);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 1 }, 0);
}

static sp_tensor *build_rows(sp_tape *t, sp_tensor **leaf)
{
    return sp_sum(t, leaf[0], -1);
}

static sp_tensor *build_middle(sp_tape *t, sp_tensor **leaf)
{
    return sp_sum(t, leaf[0], 1);
}

static sp_tensor *build_all(sp_tape *t, sp_tensor **leaf)
{
    return sp_sum(t, sp_transpose(t, leaf[0], 0, 2), SP_ALL);
}

static const struct sp_probe probes[] = {
    { "last axis", { { { 2, { 3, 5 } }, -1, 1 } }, build_rows },
    { "middle axis", { { { 3, { 2, 3, 4 } }, -1, 1 } }, build_middle },
    { "all", { { { 3, { 2, 3, 4 } }, -1, 1 } }, build_all },
    { 0 }
};

const sp_op sp_op_sum = {
    "sum", SP_OP_ROWS | SP_OP_AXIS | SP_OP_FREES_X | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_sum(sp_tape *t, sp_tensor *x, int axis)
{
    axis = sp_axis_of(x, axis);
    return sp_record(t, &sp_op_sum, 1, &x, &axis, sizeof axis);
}
