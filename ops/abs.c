/* y = |x|.   dx += dy sign x, 0 at 0 */
#include <math.h>

#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH2(c->y.shape, y, c->y, x, c->x[0], *y = (sp_real)fabs((double)*x));
}

static void backward(const sp_call *c)
{
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, x, c->x[0], *dx += *x > 0 ? *dy : *x < 0 ? -*dy : 0);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 2 }, SP_READS_X);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, -1, 1 } }, NULL },
    { 0 }
};

const sp_op sp_op_abs = { "abs", SP_OP_ROWS | SP_OP_FREES_Y, sp_infer_same, forward, backward, cost, probes };

sp_tensor *sp_abs(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_abs, 1, &x, NULL, 0);
}
