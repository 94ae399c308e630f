/* y = a / b, broadcast.   da += dy / b   db -= dy * y / b   (summed over broadcast axes) */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH3(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], *y = *a / *b);
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        SP_ADD_EACH(c->y.shape, c->dx[0], dy, c->dy, y, c->y, b, c->x[1], *dy / *b);
    if (c->dx[1].data)
        SP_ADD_EACH(c->y.shape, c->dx[1], dy, c->dy, y, c->y, b, c->x[1], -*dy * *y / *b);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 2, 3 }, SP_READS_Y | SP_READS_X << 1);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, 0.5, 2 } }, NULL },
    { "broadcast", { { { 3, { 2, 1, 4 } }, -1, 1 }, { { 2, { 3, 1 } }, 0.5, 2 } }, NULL },
    { "scalar", { { { 1, { 5 } }, -1, 1 }, { { 1, { 1 } }, 0.5, 2 } }, NULL },
    { 0 }
};

const sp_op sp_op_div = {
    "div", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES,
    sp_infer_broadcast, forward, backward, cost, probes
};

sp_tensor *sp_div(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    return sp_record(t, &sp_op_div, 2, (sp_tensor *[]){ a, b }, NULL, 0);
}
