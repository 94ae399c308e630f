/* y = a + b, broadcast.   da += dy   db += dy   (summed over broadcast axes) */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH3(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], *y = *a + *b);
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        sp_add_sums(&c->dx[0], &c->dy);
    if (c->dx[1].data)
        sp_add_sums(&c->dx[1], &c->dy);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 1, 1 }, 0);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, -1, 1 } }, NULL },
    { "broadcast", { { { 3, { 2, 1, 4 } }, -1, 1 }, { { 2, { 3, 1 } }, -1, 1 } }, NULL },
    { "scalar", { { { 1, { 5 } }, -1, 1 }, { { 1, { 1 } }, -1, 1 } }, NULL },
    { 0 }
};

const sp_op sp_op_add = {
    "add", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_SUM | SP_OP_FREES_X | SP_OP_FREES_Y,
    sp_infer_broadcast, forward, backward, cost, probes
};

sp_tensor *sp_add(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    return sp_record(t, &sp_op_add, 2, (sp_tensor *[]){ a, b }, NULL, 0);
}
