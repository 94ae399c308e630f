/* y = factor x.   dx += factor dy */
#include "ops/kernel.h"

static sp_real factor(const sp_call *c)
{
    return (sp_real)*(const double *)c->attr;
}

static void forward(const sp_call *c)
{
    const sp_real k = factor(c);
    SP_EACH2(c->y.shape, y, c->y, x, c->x[0], *y = k * *x);
}

static void backward(const sp_call *c)
{
    const sp_real k = factor(c);
    SP_EACH2(c->y.shape, dx, c->dx[0], dy, c->dy, *dx += k * *dy);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 2 }, 0);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_scale(t, leaf[0], -2.5);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_scale = {
    "scale", SP_OP_ROWS | SP_OP_FREES_X | SP_OP_FREES_Y,
    sp_infer_same, forward, backward, cost, probes
};

sp_tensor *sp_scale(sp_tape *t, sp_tensor *x, double k)
{
    return sp_record(t, &sp_op_scale, 1, &x, &k, sizeof k);
}
