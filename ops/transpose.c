/* y = x with two axes exchanged. A view: gradients of y are gradients of x. */
#include "ops/kernel.h"

struct attr {
    int a, b;
};

static bool infer(sp_call *c, sp_status *s)
{
    struct attr k = *(const struct attr *)c->attr;
    if (!sp_check_axis(c->x[0].shape, k.a, s) || !sp_check_axis(c->x[0].shape, k.b, s))
        return false;
    c->y = c->x[0];
    c->y.shape.dim[k.a] = c->x[0].shape.dim[k.b];
    c->y.shape.dim[k.b] = c->x[0].shape.dim[k.a];
    c->y.stride[k.a] = c->x[0].stride[k.b];
    c->y.stride[k.b] = c->x[0].stride[k.a];
    return true;
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_mul(t, sp_transpose(t, leaf[0], 0, -1), leaf[1]);
}

static const struct sp_probe probes[] = {
    { "rank 3", { { { 3, { 4, 3, 2 } }, -1, 1 }, { { 3, { 2, 3, 4 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_transpose = { "transpose", SP_OP_VIEW, infer, NULL, NULL, NULL, probes };

sp_tensor *sp_transpose(sp_tape *t, sp_tensor *x, int a, int b)
{
    struct attr k = { sp_axis_of(x, a), sp_axis_of(x, b) };
    return sp_record(t, &sp_op_transpose, 1, &x, &k, sizeof k);
}
