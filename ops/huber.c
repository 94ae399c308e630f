/* y = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); d = x - target.   dx += dy d, cut to +-delta   dtarget -= that
   Source: Huber, "Robust estimation of a location parameter", 1964. */
#include "ops/kernel.h"

static sp_real delta(const sp_call *c)
{
    return (sp_real)*(const double *)c->attr;
}

static bool infer(sp_call *c, sp_status *s)
{
    const double d = *(const double *)c->attr;
    const double least = sizeof(sp_real) == sizeof(double) ? 1e-300 : 1e-37;
    if (!(d >= least))
        return sp_fail(s, SP_ERR_VALUE, "delta is %g, not %g or more", d, least);
    c->y.shape = c->x[0].shape;
    return true;
}

static sp_real loss(sp_real d, sp_real most)
{
    const sp_real size = d < 0 ? -d : d;
    return size > most ? most * (size - most / 2) : d * d / 2;
}

static sp_real slope(sp_real d, sp_real most)
{
    return d > most ? most : d < -most ? -most : d;
}

static void forward(const sp_call *c)
{
    const sp_real most = delta(c);
    SP_EACH3(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], *y = loss(*a - *b, most));
}

static void backward(const sp_call *c)
{
    const sp_real most = delta(c);
    if (c->dx[0].data)
        SP_EACH4(c->y.shape, dx, c->dx[0], dy, c->dy, a, c->x[0], b, c->x[1], *dx += *dy * slope(*a - *b, most));
    if (c->dx[1].data)
        SP_EACH4(c->y.shape, dx, c->dx[1], dy, c->dy, a, c->x[0], b, c->x[1], *dx -= *dy * slope(*a - *b, most));
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 4, (const double[]){ 4, 4 }, SP_READS_X | SP_READS_X << 1);
}

/* Neither steps over the kink of the slope. */
static sp_tensor *build_near(sp_tape *t, sp_tensor **leaf)
{
    return sp_huber(t, leaf[0], leaf[1], 2.5);
}

static sp_tensor *build_far(sp_tape *t, sp_tensor **leaf)
{
    return sp_huber(t, leaf[0], sp_neg(t, leaf[1]), 0.7);
}

static const struct sp_probe probes[] = {
    { "within delta", { { { 2, { 3, 5 } }, -1, 1 }, { { 2, { 3, 5 } }, -1, 1 } }, build_near },
    { "beyond delta", { { { 2, { 3, 5 } }, 0.5, 1 }, { { 2, { 3, 5 } }, 0.5, 1 } }, build_far },
    { 0 }
};

const sp_op sp_op_huber = { "huber", SP_OP_ROWS | SP_OP_FREES_Y, infer, forward, backward, cost, probes };

sp_tensor *sp_huber(sp_tape *t, sp_tensor *x, sp_tensor *target, double delta)
{
    if (!sp_check_target(t, "huber", x, target, 2, SP_TARGET_FINITE))
        return sp_tape_fail(t, SP_ERR_VALUE, "huber: no input");
    return sp_record(t, &sp_op_huber, 2, (sp_tensor *[]){ x, target }, &delta, sizeof delta);
}
