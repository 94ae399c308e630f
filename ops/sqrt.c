/* y = sqrt x.   dx += dy / 2y */
#include <math.h>

#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH2(c->y.shape, y, c->y, x, c->x[0], *y = (sp_real)sqrt((double)*x));
}

static void backward(const sp_call *c)
{
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, y, c->y, *dx += *dy / (2 * *y));
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 3 }, SP_READS_Y);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, 0.3, 3 } }, NULL },
    { 0 }
};

const sp_op sp_op_sqrt = { "sqrt", SP_OP_ROWS | SP_OP_FREES_X, sp_infer_same, forward, backward, cost, probes };

sp_tensor *sp_sqrt(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_sqrt, 1, &x, NULL, 0);
}
