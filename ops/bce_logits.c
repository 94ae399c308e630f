/* y = w z softplus(-x) + (1 - z) softplus(x), z the target: minus the log-likelihood of z where 1 has the probability
   sigmoid(x) and, with w, counts w times.
   softplus(x) = max(x, 0) + ln(1 + e^-|x|): both terms are right, and neither overflows, for any x.
   dx += dy ((1 - z) sigmoid(x) - w z sigmoid(-x))   dz += dy (w softplus(-x) - softplus(x)) */
#include "autograd/vmath.h"
#include "ops/kernel.h"

enum { TILE = 64 };

static sp_real weight(const sp_call *c)
{
    return (sp_real)*(const double *)c->attr;
}

static bool infer(sp_call *c, sp_status *s)
{
    const double w = *(const double *)c->attr;
    if (!(w >= 0 && w <= 1e30))
        return sp_fail(s, SP_ERR_VALUE, "the positive weight is %g, not in 0..1e30", w);
    c->y.shape = c->x[0].shape;
    return true;
}

static sp_real positive(sp_real x)
{
    return x < 0 ? 0 : x;                               /* NaN stays */
}

static void forward(const sp_call *c)
{
    struct sp_walk at;
    sp_real rest[TILE];
    const sp_real w = weight(c);
    sp_walk_begin(&at, c->y.shape, 3, (const sp_view *[]){ &c->y, &c->x[0], &c->x[1] });
    while (sp_walk_next(&at))
        for (long from = 0; from < at.n; from += TILE) {
            const long n = at.n - from < TILE ? at.n - from : TILE;
            sp_real *y = at.p[0] + from * at.step[0];
            const sp_real *x = at.p[1] + from * at.step[1], *z = at.p[2] + from * at.step[2];
            for (long i = 0; i < n; i++)
                rest[i] = x[i * at.step[1]];
            sp_softplus_rest(n, rest, rest);
            for (long i = 0; i < n; i++) {
                const sp_real xi = x[i * at.step[1]], zi = z[i * at.step[2]];
                y[i * at.step[0]] = w * zi * (positive(-xi) + rest[i]) + (1 - zi) * (positive(xi) + rest[i]);
            }
        }
}

static void backward_x(const sp_call *c)
{
    struct sp_walk at;
    sp_real up[TILE], down[TILE];
    const sp_real w = weight(c);
    sp_walk_begin(&at, c->y.shape, 4, (const sp_view *[]){ &c->dx[0], &c->dy, &c->x[0], &c->x[1] });
    while (sp_walk_next(&at))
        for (long from = 0; from < at.n; from += TILE) {
            const long n = at.n - from < TILE ? at.n - from : TILE;
            sp_real *dx = at.p[0] + from * at.step[0];
            const sp_real *dy = at.p[1] + from * at.step[1], *x = at.p[2] + from * at.step[2], *z = at.p[3] + from * at.step[3];
            for (long i = 0; i < n; i++) {
                up[i] = x[i * at.step[2]];
                down[i] = -up[i];
            }
            sp_vsigmoid(n, up, up);
            sp_vsigmoid(n, down, down);
            for (long i = 0; i < n; i++) {
                const sp_real zi = z[i * at.step[3]];
                dx[i * at.step[0]] += dy[i * at.step[1]] * ((1 - zi) * up[i] - w * zi * down[i]);
            }
        }
}

/* Targets that were computed are rare: each element by itself. */
static void backward_target(const sp_call *c)
{
    const sp_real w = weight(c);
    SP_EACH3(c->y.shape, dz, c->dx[1], dy, c->dy, x, c->x[0], {
        sp_real rest = *x;
        sp_softplus_rest(1, &rest, &rest);
        *dz += *dy * (w * (positive(-*x) + rest) - (positive(*x) + rest));
    });
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        backward_x(c);
    if (c->dx[1].data)
        backward_target(c);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 10, (const double[]){ 8, 10 }, SP_READS_X | SP_READS_X << 1);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_bce_logits(t, leaf[0], leaf[1], 1);
}

static sp_tensor *build_weighted(sp_tape *t, sp_tensor **leaf)
{
    return sp_bce_logits(t, sp_transpose(t, leaf[0], 0, 1), leaf[1], 2.5);
}

static const struct sp_probe probes[] = {
    { "plain", { { { 2, { 2, 70 } }, -3, 3 }, { { 2, { 2, 70 } }, 0.1, 0.9 } }, build },
    { "weighted", { { { 2, { 4, 3 } }, -3, 3 }, { { 2, { 3, 4 } }, 0.1, 0.9 } }, build_weighted },
    { 0 }
};

const sp_op sp_op_bce_logits = { "bce_logits", SP_OP_ROWS | SP_OP_FREES_Y, infer, forward, backward, cost, probes };

sp_tensor *sp_bce_logits(sp_tape *t, sp_tensor *x, sp_tensor *target, double positive_weight)
{
    if (!sp_check_target(t, "bce_logits", x, target, 2, SP_TARGET_UNIT))
        return sp_tape_fail(t, SP_ERR_VALUE, "bce_logits: no input");
    return sp_record(t, &sp_op_bce_logits, 2, (sp_tensor *[]){ x, target }, &positive_weight, sizeof positive_weight);
}
