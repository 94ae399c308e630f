/* y = x at indices from <= i < to of an axis. A view: gradients of y are gradients of x. */
#include "ops/kernel.h"

struct attr {
    int axis;
    long from, to;
};

static bool infer(sp_call *c, sp_status *s)
{
    const struct attr *a = c->attr;
    char text[SP_SHAPE_TEXT];
    const int axis = a->axis;
    if (!sp_check_axis(c->x[0].shape, axis, s))
        return false;
    if (a->from < 0 || a->from > a->to || a->to > c->x[0].shape.dim[axis])
        return sp_fail(s, SP_ERR_SHAPE, "%s has no indices %ld to %ld along axis %d",
                       sp_shape_format(text, c->x[0].shape), a->from, a->to, axis);
    c->y = c->x[0];
    c->y.shape.dim[axis] = a->to - a->from;
    c->y.data += a->from * c->y.stride[axis];
    return true;
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_mul(t, sp_slice(t, leaf[0], 0, 1, 3), sp_slice(t, leaf[0], -2, 0, 2));
}

static const struct sp_probe probes[] = {
    { "overlapping", { { { 2, { 4, 3 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_slice = { "slice", SP_OP_VIEW, infer, NULL, NULL, NULL, probes };

sp_tensor *sp_slice(sp_tape *t, sp_tensor *x, int axis, long from, long to)
{
    struct attr a = { sp_axis_of(x, axis), from, to };
    return sp_record(t, &sp_op_slice, 1, &x, &a, sizeof a);
}

void sp_split(sp_tape *t, sp_tensor *x, int axis, int n, sp_tensor **part)
{
    char text[SP_SHAPE_TEXT];
    long size = sp_dim(x, axis);
    if (n < 1 || !part)
        sp_tape_fail(t, SP_ERR_VALUE, "split: %d parts%s", n, part ? "" : ", and no place for them");
    if (n < 1 || !part)
        return;
    if (sp_sound(x) && size % n)
        x = sp_tape_fail(t, SP_ERR_SHAPE, "split: axis %d of %s is not %d equal parts", axis,
                         sp_shape_format(text, sp_shape_get(x)), n);
    for (int i = 0; i < n; i++)
        part[i] = sp_slice(t, x, axis, i * (size / n), (i + 1) * (size / n));
}
