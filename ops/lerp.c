/* y = (1 - w) a + w b = a + w (b - a), broadcast.   da += dy (1 - w)   db += dy w   dw += dy (b - a) */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH4(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], w, c->x[2], *y = *a + *w * (*b - *a));
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        SP_EACH3(c->y.shape, da, c->dx[0], dy, c->dy, w, c->x[2], *da += *dy * (1 - *w));
    if (c->dx[1].data)
        SP_EACH3(c->y.shape, db, c->dx[1], dy, c->dy, w, c->x[2], *db += *dy * *w);
    if (c->dx[2].data)
        SP_EACH4(c->y.shape, dw, c->dx[2], dy, c->dy, a, c->x[0], b, c->x[1], *dw += *dy * (*b - *a));
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_lerp(t, leaf[0], leaf[1], leaf[2]);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 3, 4 } }, 0, 1 } }, build },
    { "broadcast", { { { 2, { 3, 4 } }, -1, 1 }, { { 1, { 4 } }, -1, 1 }, { { 2, { 3, 1 } }, 0, 1 } }, build },
    { 0 }
};

const sp_op sp_op_lerp = { "lerp", 0, sp_infer_broadcast, forward, backward, probes };

sp_tensor *sp_lerp(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *w)
{
    return sp_record(t, &sp_op_lerp, 3, (sp_tensor *[]){ a, b, w }, NULL, 0);
}
