/* y = largest of x over an axis, or over all; NaN if one is.   The gradient goes to the first of equals.
   Saves its index along the axis, one for each element of y. */
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
    c->saved.shape = c->y.shape.rank ? c->y.shape : SP_SHAPE(1);
    return true;
}

static void forward(const sp_call *c)
{
    const int axis = *(const int *)c->attr;
    const long n = c->x[0].shape.dim[axis], step = c->x[0].stride[axis];
    sp_view first = sp_without_axis(&c->x[0], axis);
    SP_EACH3(c->saved.shape, where, c->saved, y, c->y, x, first, {
        long best = 0;
        for (long k = 1; k < n && x[best * step] == x[best * step]; k++)
            if (!(x[k * step] <= x[best * step]))
                best = k;
        *y = x[best * step];
        *where = (sp_real)best;
    });
}

static void backward(const sp_call *c)
{
    const int axis = *(const int *)c->attr;
    const long step = c->x[0].stride[axis];
    sp_view first = sp_without_axis(&c->dx[0], axis);
    SP_EACH3(c->saved.shape, dx, first, dy, c->dy, where, c->saved, dx[(long)*where * step] += *dy);
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

const sp_op sp_op_max = { "max", 0, infer, forward, backward, probes };

sp_tensor *sp_max(sp_tape *t, sp_tensor *x, int axis)
{
    axis = sp_axis_of(x, axis);
    if (axis == SP_ALL) {
        x = sp_reshape(t, x, SP_SHAPE(-1));
        axis = 0;
    }
    return sp_record(t, &sp_op_max, 1, &x, &axis, sizeof axis);
}
