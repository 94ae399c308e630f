/* y = a * b, broadcast.   da += dy * b   db += dy * a   (summed over broadcast axes) */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH3(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], *y = *a * *b);
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        SP_ADD_EACH(c->y.shape, c->dx[0], dy, c->dy, a, c->x[0], b, c->x[1], *dy * *b);
    if (c->dx[1].data)
        SP_ADD_EACH(c->y.shape, c->dx[1], dy, c->dy, a, c->x[0], b, c->x[1], *dy * *a);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 2, 2 }, SP_READS_X | SP_READS_X << 1);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, -1, 1 } }, NULL },
    { "broadcast", { { { 3, { 2, 1, 4 } }, -1, 1 }, { { 2, { 3, 1 } }, -1, 1 } }, NULL },
    { "scalar", { { { 1, { 5 } }, -1, 1 }, { { 1, { 1 } }, -1, 1 } }, NULL },
    { 0 }
};

const sp_op sp_op_mul = {
    "mul", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES_Y,
    sp_infer_broadcast, forward, backward, cost, probes
};

sp_tensor *sp_mul(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    return sp_record(t, &sp_op_mul, 2, (sp_tensor *[]){ a, b }, NULL, 0);
}
