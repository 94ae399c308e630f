/* y = (s + (m - target)^2 e^-s) / 2,  s = max(log variance, ln least): minus the log-likelihood of a normal distribution
   without its constant ln(2 pi) / 2, the logarithm of the variance being what a model gives.
   With z = (m - target) e^-s:  dm += dy z   dlog_variance += dy (1 - (m - target) z) / 2   dtarget -= dy z
   The gradient of the log variance is the same below ln least, where y is constant: so a variance that has become too
   small can grow again. Saves z and (1 - (m - target) z) / 2, one behind the other for each row. Source: Nix, Weigend, "Estimating the mean and variance of
   the target probability distribution", ICNN 1994. */
#include <math.h>

#include "autograd/vmath.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    const double least = *(const double *)c->attr;
    char m_text[SP_SHAPE_TEXT], s_text[SP_SHAPE_TEXT];
    const sp_shape m = c->x[0].shape;
    const double lowest = sizeof(sp_real) == sizeof(double) ? 1e-300 : 1e-38;       /* 1 / least is a number, too */
    if (!(least >= lowest && least <= 1e30))
        return sp_fail(s, SP_ERR_VALUE, "the least variance is %g, not in %g..1e+30", least, lowest);
    if (!sp_infer_broadcast(c, s) || !sp_shape_equal(c->y.shape, m))
        return sp_fail(s, SP_ERR_SHAPE, "the log variance %s does not broadcast to the mean %s",
                       sp_shape_format(s_text, c->x[1].shape), sp_shape_format(m_text, m));
    const long rows = m.rank ? m.dim[0] : 1;
    c->saved.shape = SP_SHAPE(rows, 2, rows ? sp_shape_size(m) / rows : 0);
    return true;
}

/* The two halves of what is saved, in the shape of y. */
static sp_view half(const sp_call *c, int which)
{
    sp_view v = sp_view_of(c->saved.data + which * c->saved.shape.dim[2], c->y.shape);
    v.stride[0] = 2 * c->saved.shape.dim[2];
    return v;
}

static void forward(const sp_call *c)
{
    const sp_real low = (sp_real)log(*(const double *)c->attr);
    const sp_view z_view = half(c, 0), q_view = half(c, 1);
    SP_EACH2(c->y.shape, q, q_view, s, c->x[1], *q = *s < low ? -low : -*s);
    for (long i = 0; i < c->saved.shape.dim[0]; i++)
        sp_vexp(c->saved.shape.dim[2], q_view.data + i * q_view.stride[0], q_view.data + i * q_view.stride[0]);
    SP_EACH4(c->y.shape, z, z_view, m, c->x[0], x, c->x[2], q, q_view, *z = (*m - *x) * *q);
    SP_EACH4(c->y.shape, q, q_view, m, c->x[0], x, c->x[2], z, z_view, *q = (*m - *x) * *z / 2);
    SP_EACH3(c->y.shape, y, c->y, s, c->x[1], q, q_view, {
        *y = (*s < low ? low : *s) / 2 + *q;
        *q = (sp_real)0.5 - *q;
    });
}

static void backward(const sp_call *c)
{
    const sp_view z_view = half(c, 0), q_view = half(c, 1);
    if (c->dx[0].data)
        SP_EACH3(c->y.shape, dm, c->dx[0], dy, c->dy, z, z_view, *dm += *dy * *z);
    if (c->dx[1].data)
        SP_ADD_EACH(c->y.shape, c->dx[1], dy, c->dy, q, q_view, unused, c->dy, *dy * *q);
    if (c->dx[2].data)
        SP_EACH3(c->y.shape, dx, c->dx[2], dy, c->dy, z, z_view, *dx -= *dy * *z);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 10, (const double[]){ 2, 2, 2 }, SP_READS_SAVED);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_gaussian_nll(t, leaf[0], leaf[1], leaf[2], 1e-6);
}

static const struct sp_probe probes[] = {
    { "equal shapes", { { { 2, { 3, 5 } }, -1, 1 }, { { 2, { 3, 5 } }, -2, 2 }, { { 2, { 3, 5 } }, -1, 1 } }, build },
    { "one for all rows", { { { 2, { 3, 5 } }, -1, 1 }, { { 1, { 5 } }, -2, 2 }, { { 2, { 3, 5 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_gaussian_nll = {
    "gaussian_nll", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES_X | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_gaussian_nll(sp_tape *t, sp_tensor *mean, sp_tensor *log_variance, sp_tensor *target, double least)
{
    if (!sp_check_target(t, "gaussian_nll", mean, target, 3, SP_TARGET_FINITE))
        return sp_tape_fail(t, SP_ERR_VALUE, "gaussian_nll: no input");
    return sp_record(t, &sp_op_gaussian_nll, 3, (sp_tensor *[]){ mean, log_variance, target }, &least, sizeof least);
}
