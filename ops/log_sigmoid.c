/* y = ln(1 / (1 + e^-x)) = min(x, 0) - ln(1 + e^-|x|).   dx += dy / (1 + e^x)
   So y is right where 1 - sigmoid x is far below rounding, as sigmoid x is. */
#include "autograd/vmath.h"
#include "ops/kernel.h"

enum { TILE = 64 };

static void log_sigmoid(long n, const sp_real *x, sp_real *y)
{
    sp_real rest[TILE];
    for (long at = 0; at < n; at += TILE) {
        const long most = n - at < TILE ? n - at : TILE;
        sp_softplus_rest(most, x + at, rest);
        for (long i = 0; i < most; i++)
            y[at + i] = (x[at + i] > 0 ? 0 : x[at + i]) - rest[i];
    }
}

static void forward(const sp_call *c)
{
    sp_apply(&c->y, &c->x[0], log_sigmoid);
}

/* 1 / (1 + e^x) = sigmoid(-x) */
static void backward(const sp_call *c)
{
    struct sp_walk w;
    sp_real slope[TILE];
    sp_walk_begin(&w, c->y.shape, 3, (const sp_view *[]){ &c->dx[0], &c->dy, &c->x[0] });
    while (sp_walk_next(&w))
        for (long at = 0; at < w.n; at += TILE) {
            const long most = w.n - at < TILE ? w.n - at : TILE;
            for (long i = 0; i < most; i++)
                slope[i] = -w.p[2][(at + i) * w.step[2]];
            sp_vsigmoid(most, slope, slope);
            for (long i = 0; i < most; i++)
                w.p[0][(at + i) * w.step[0]] += w.p[1][(at + i) * w.step[1]] * slope[i];
        }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 6, (const double[]){ 4 }, SP_READS_X);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 3, 5 } }, -3, 3 } }, NULL },
    { "more than a tile", { { { 2, { 2, 70 } }, -3, 3 } }, NULL },
    { 0 }
};

const sp_op sp_op_log_sigmoid = { "log_sigmoid", SP_OP_ROWS | SP_OP_FREES_Y, sp_infer_same, forward, backward, cost, probes };

sp_tensor *sp_log_sigmoid(sp_tape *t, sp_tensor *x)
{
    return sp_record(t, &sp_op_log_sigmoid, 1, &x, NULL, 0);
}
