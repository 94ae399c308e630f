/* y = x, without gaps in memory.   dx += dy */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH2(c->y.shape, y, c->y, x, c->x[0], *y = *x);
}

static void backward(const sp_call *c)
{
    sp_add_sums(&c->dx[0], &c->dy);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 0, (const double[]){ 1 }, 0);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, -1, 1 } }, NULL },
    { 0 }
};

const sp_op sp_op_copy = {
    "copy", SP_OP_ROWS | SP_OP_FREES_X | SP_OP_FREES_Y,
    sp_infer_same, forward, backward, cost, probes
};

sp_tensor *sp_copy(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_copy, 1, &x, NULL, 0);
}
