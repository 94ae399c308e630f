/* y = x m / (1 - p), m = 1 with probability 1 - p, else 0 (inverted dropout).   dx += dy m / (1 - p)
   Saves m / (1 - p), [rows, n]. The mask depends on the run's seed, the step, the place in the model, the time and the
   element's row and column, on nothing else. Source: Srivastava et al., "Dropout", JMLR 15, 2014. */
#include "ops/kernel.h"

static double rate(const sp_call *c)
{
    return *(const double *)c->attr;
}

static bool infer(sp_call *c, sp_status *s)
{
    if (!(rate(c) >= 0 && rate(c) < 1))
        return sp_fail(s, SP_ERR_VALUE, "the rate is %g, not in 0 <= p < 1", rate(c));
    c->y.shape = c->saved.shape = c->x[0].shape;
    return true;
}

static void forward(const sp_call *c)
{
    const double p = rate(c);
    const sp_real kept = (sp_real)(1 / (1 - p));
    sp_random_mask(&c->key, c->saved.shape.dim[0], c->saved.shape.dim[1], p, 0, kept, c->saved.data);
    SP_EACH3(c->y.shape, y, c->y, x, c->x[0], m, c->saved, *y = *x * *m);
}

static void backward(const sp_call *c)
{
    SP_EACH3(c->y.shape, dx, c->dx[0], dy, c->dy, m, c->saved, *dx += *dy * *m);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 2, (const double[]){ 2 }, SP_READS_SAVED);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_dropout(t, leaf[0], 0.4);
}

static const struct sp_probe probes[] = {
    { "matrix", { { { 2, { 5, 7 } }, -1, 1 } }, build },
    { "vector", { { { 1, { 9 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_dropout = {
    "dropout", SP_OP_RANDOM | SP_OP_ROWS | SP_OP_FREES_X | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_dropout(sp_tape *t, sp_tensor *x, double p)
{
    if (x && (p == 0 || (!sp_tape_training(t) && p > 0 && p < 1)))
        return x;
    sp_tensor *rows = sp_as_rows(t, x);
    return sp_like_rows(t, sp_record(t, &sp_op_dropout, 1, &rows, &p, sizeof p), x);
}
