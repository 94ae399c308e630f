/* y = ln x.   dx += dy / x */
#include "autograd/vmath.h"
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    sp_apply(&c->y, &c->x[0], sp_vlog);
}

static void backward(const sp_call *c)
{
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, x, c->x[0], *dx += *dy / *x);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 2 }, SP_READS_X);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, 0.3, 3 } }, NULL },
    { 0 }
};

const sp_op sp_op_log = { "log", SP_OP_ROWS | SP_OP_FREES_Y, sp_infer_same, forward, backward, cost, probes };

sp_tensor *sp_log(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_log, 1, &x, NULL, 0);
}
