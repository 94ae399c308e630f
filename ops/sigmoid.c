/* y = 1 / (1 + e^-x).   dx += dy y (1 - y) */
#include "autograd/vmath.h"
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    sp_apply(&c->y, &c->x[0], sp_vsigmoid);
}

static void backward(const sp_call *c)
{
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, y, c->y, *dx += *dy * *y * (1 - *y));
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 4 }, SP_READS_Y);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, -3, 3 } }, NULL },
    { 0 }
};

const sp_op sp_op_sigmoid = { "sigmoid", SP_OP_ROWS | SP_OP_FREES_X, sp_infer_same, forward, backward, cost, probes };

sp_tensor *sp_sigmoid(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_sigmoid, 1, &x, NULL, 0);
}
