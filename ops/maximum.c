/* y = max(a, b), broadcast; NaN if either is.   The gradient goes to the larger; a tie gives each half. */
#include "ops/kernel.h"

/* d max(a, b) / d a */
static sp_real share(sp_real a, sp_real b)
{
    return a > b ? 1 : a < b ? 0 : (sp_real)0.5;
}

static void forward(const sp_call *c)
{
    SP_EACH3(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], *y = *a > *b || *a != *a ? *a : *b);
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        SP_ADD_EACH(c->y.shape, c->dx[0], dy, c->dy, a, c->x[0], b, c->x[1], *dy * share(*a, *b));
    if (c->dx[1].data)
        SP_ADD_EACH(c->y.shape, c->dx[1], dy, c->dy, a, c->x[0], b, c->x[1], *dy * share(*b, *a));
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 3, 3 }, SP_READS_X | SP_READS_X << 1);
}

/* Every second a is lifted over b, so that no probe is near a tie. */
static sp_tensor *lift(sp_tape *t, sp_tensor *a)
{
    return sp_add(t, a, sp_feed(t, (const sp_real[]){ 0, 1, 0, 1 }, SP_SHAPE(4)));
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_maximum(t, lift(t, leaf[0]), leaf[1]);
}

static sp_tensor *build_tie(sp_tape *t, sp_tensor **leaf)
{
    return sp_maximum(t, leaf[0], leaf[0]);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 4 } }, -0.2, 0.2 }, { { 2, { 3, 4 } }, 0.4, 0.6 } }, build },
    { "broadcast", { { { 3, { 2, 1, 4 } }, -0.2, 0.2 }, { { 2, { 3, 1 } }, 0.4, 0.6 } }, build },
    { "tie", { { { 1, { 3 } }, -1, 1 } }, build_tie },
    { 0 }
};

const sp_op sp_op_maximum = {
    "maximum", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES_Y,
    sp_infer_broadcast, forward, backward, cost, probes
};

sp_tensor *sp_maximum(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    return sp_record(t, &sp_op_maximum, 2, (sp_tensor *[]){ a, b }, NULL, 0);
}
