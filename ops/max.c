/* y = largest of x over an axis, or over all; NaN if one is.   The gradient goes to the first element that is y. */
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char text[SP_SHAPE_TEXT];
    sp_shape x = c->x[0].shape;
    int axis = *(const int *)c->attr;
    if (!sp_infer_reduced(c, axis, s))
        return false;
    if (!x.dim[axis])
        return sp_fail(s, SP_ERR_SHAPE, "%s has no elements along axis %d", sp_shape_format(text, x), axis);
    return true;
}

static void forward(const sp_call *c)
{
    const int axis = *(const int *)c->attr;
    const long n = c->x[0].shape.dim[axis], step = c->x[0].stride[axis];
    sp_view first = sp_without_axis(&c->x[0], axis);
    SP_EACH2(c->y.shape, y, c->y, x, first, {
        *y = x[0];
        for (long k = 1; k < n && *y == *y; k++)
            if (!(x[k * step] <= *y))
                *y = x[k * step];
    });
}

static void backward(const sp_call *c)
{
    const int axis = *(const int *)c->attr;
    const long n = c->x[0].shape.dim[axis], step = c->x[0].stride[axis];
    sp_view x0 = sp_without_axis(&c->x[0], axis), dx0 = sp_without_axis(&c->dx[0], axis);
    SP_EACH4(c->y.shape, dx, dx0, x, x0, y, c->y, dy, c->dy, {
        long k = 0;
        while (k + 1 < n && x[k * step] != *y && *y == *y)
            k++;
        dx[k * step] += *dy;
    });
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 1 }, SP_READS_Y | SP_READS_X);
}

/* Small leaves on constants that are far apart, so that no probe is near a tie. */
static sp_tensor *spread(sp_tape *t, sp_tensor *x)
{
    const sp_real far[] = { 3, 1, 4, 2, 5, 0, 7, 9, 6, 8, 11, 10 };
    return sp_add(t, x, sp_feed(t, far, SP_SHAPE(3, 4)));
}

static sp_tensor *build_rows(sp_tape *t, sp_tensor **leaf)
{
    return sp_max(t, spread(t, leaf[0]), -1);
}

static sp_tensor *build_middle(sp_tape *t, sp_tensor **leaf)
{
    return sp_max(t, spread(t, leaf[0]), 1);
}

static sp_tensor *build_all(sp_tape *t, sp_tensor **leaf)
{
    return sp_max(t, sp_transpose(t, spread(t, leaf[0]), 0, 1), SP_ALL);
}

static const struct sp_probe probes[] = {
    { "last axis", { { { 2, { 3, 4 } }, -0.1, 0.1 } }, build_rows },
    { "middle axis", { { { 3, { 2, 3, 4 } }, -0.1, 0.1 } }, build_middle },
    { "all", { { { 2, { 3, 4 } }, -0.1, 0.1 } }, build_all },
    { 0 }
};

const sp_op sp_op_max = { "max", SP_OP_ROWS | SP_OP_AXIS, infer, forward, backward, cost, probes };

sp_tensor *sp_max(sp_tape *t, sp_tensor *x, int axis)
{
    axis = sp_axis_of(x, axis);
    if (axis == SP_ALL) {
        x = sp_reshape(t, x, SP_SHAPE(-1));
        axis = 0;
    }
    return sp_record(t, &sp_op_max, 1, &x, &axis, sizeof axis);
}
