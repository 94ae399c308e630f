/* y = a where mask != 0, else b, broadcast.   da += dy where mask != 0   db += dy elsewhere   The mask has no gradient. */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH4(c->y.shape, y, c->y, m, c->x[0], a, c->x[1], b, c->x[2], *y = *m != 0 ? *a : *b);
}

static void backward(const sp_call *c)
{
    if (c->dx[1].data)
        SP_ADD_EACH(c->y.shape, c->dx[1], dy, c->dy, m, c->x[0], u, c->dy, *m != 0 ? *dy : 0);
    if (c->dx[2].data)
        SP_ADD_EACH(c->y.shape, c->dx[2], dy, c->dy, m, c->x[0], u, c->dy, *m != 0 ? 0 : *dy);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 0, 2, 2 }, SP_READS_X);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    sp_tensor *mask = sp_feed(t, (const sp_real[]){ 1, 0, 0, 1 }, SP_SHAPE(4));
    return sp_where(t, mask, leaf[0], leaf[1]);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, -1, 1 } }, build },
    { "broadcast", { { { 2, { 3, 1 } }, -1, 1 }, { { 1, { 4 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_where = {
    "where", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES << 1 | SP_OP_FREES << 2 | SP_OP_FREES_Y,
    sp_infer_broadcast, forward, backward, cost, probes
};

sp_tensor *sp_where(sp_tape *t, sp_tensor *mask, sp_tensor *a, sp_tensor *b)
{
    return sp_record(t, &sp_op_where, 3, (sp_tensor *[]){ mask, a, b }, NULL, 0);
}
