/* y = |x|.   dx += dy sign x, 0 at 0 */
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    SP_EACH2(c->y.shape, y, c->y, x, c->x[0], *y = *x < 0 ? -*x : *x);
}

static void backward(const sp_call *c)
{
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, x, c->x[0], *dx += *x > 0 ? *dy : *x < 0 ? -*dy : 0);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_abs(t, leaf[0]);
}

static sp_tensor *build_strided(sp_tape *t, sp_tensor **leaf)
{
    return sp_abs(t, sp_transpose(t, sp_slice(t, leaf[0], 1, 1, 3), 0, 1));
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, -1, 1 } }, build },
    { "strided", { { { 2, { 3, 5 } }, -1, 1 } }, build_strided },
    { 0 }
};

const sp_op sp_op_abs = { "abs", 0, sp_infer_same, forward, backward, probes };

sp_tensor *sp_abs(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_abs, 1, &x, NULL, 0);
}
