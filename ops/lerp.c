/* y = (1 - w) a + w b, broadcast.   da += dy (1 - w)   db += dy w   dw += dy (b - a) */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH4(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], w, c->x[2], *y = (1 - *w) * *a + *w * *b);
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        SP_ADD_EACH(c->y.shape, c->dx[0], dy, c->dy, w, c->x[2], u, c->dy, *dy * (1 - *w));
    if (c->dx[1].data)
        SP_ADD_EACH(c->y.shape, c->dx[1], dy, c->dy, w, c->x[2], u, c->dy, *dy * *w);
    if (c->dx[2].data)
        SP_ADD_EACH(c->y.shape, c->dx[2], dy, c->dy, a, c->x[0], b, c->x[1], *dy * (*b - *a));
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 4, (const double[]){ 3, 2, 3 }, SP_READS_X | SP_READS_X << 1 | SP_READS_X << 2);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, 0, 1 } }, NULL },
    { "broadcast", { { { 2, { 3, 4 } }, -1, 1 }, { { 1, { 4 } }, -1, 1 }, { { 2, { 3, 1 } }, 0, 1 } }, NULL },
    { 0 }
};

const sp_op sp_op_lerp = {
    "lerp", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES_Y,
    sp_infer_broadcast, forward, backward, cost, probes
};

sp_tensor *sp_lerp(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *w)
{
    return sp_record(t, &sp_op_lerp, 3, (sp_tensor *[]){ a, b, w }, NULL, 0);
}
