/* y = sum_j p_j (ln p_j - log_q_j) for each row, p the target; where p_j is 0 the term is 0, whatever q_j is.
   dlog_q_j -= dy p_j   dp_j += dy (ln p_j + 1 - log_q_j), 0 where p_j is 0
   Source: Kullback, Leibler, "On information and sufficiency", 1951. */
#include "autograd/vmath.h"
#include "ops/kernel.h"

enum { TILE = 64 };

static bool infer(sp_call *c, sp_status *s)
{
    (void)s;
    c->y.shape = SP_SHAPE(c->x[0].shape.dim[0]);
    return true;
}

static void forward(const sp_call *c)
{
    sp_real log_p[TILE];
    const long n = c->x[0].shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *q = c->x[0].data + i * c->x[0].stride[0], *p = c->x[1].data + i * c->x[1].stride[0];
        double sum = 0;
        for (long at = 0; at < n; at += TILE) {
            const long most = n - at < TILE ? n - at : TILE;
            sp_vlog(most, p + at, log_p);
            for (long j = 0; j < most; j++)
                sum += p[at + j] == 0 ? 0 : (double)(p[at + j] * (log_p[j] - q[at + j]));
        }
        c->y.data[i] = (sp_real)sum;
    }
}

static void backward(const sp_call *c)
{
    sp_real log_p[TILE];
    const long n = c->x[0].shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *q = c->x[0].data + i * c->x[0].stride[0], *p = c->x[1].data + i * c->x[1].stride[0];
        const sp_real dy = c->dy.data[i * c->dy.stride[0]];
        sp_real *dq = c->dx[0].data ? c->dx[0].data + i * c->dx[0].stride[0] : NULL;
        sp_real *dp = c->dx[1].data ? c->dx[1].data + i * c->dx[1].stride[0] : NULL;
        for (long j = 0; j < n && dq; j++)
            dq[j] -= dy * p[j];
        for (long at = 0; at < n && dp; at += TILE) {
            const long most = n - at < TILE ? n - at : TILE;
            sp_vlog(most, p + at, log_p);
            for (long j = 0; j < most; j++)
                dp[at + j] += p[at + j] == 0 ? 0 : dy * (log_p[j] + 1 - q[at + j]);
        }
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 4, (const double[]){ 2, 5 }, SP_READS_X | SP_READS_X << 1);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_kl_div(t, leaf[0], leaf[1]);
}

static const struct sp_probe probes[] = {
    { "rows", { { { 3, { 2, 2, 5 } }, -3, 0 }, { { 3, { 2, 2, 5 } }, 0.1, 0.9 } }, build },
    { "more than a tile", { { { 1, { 70 } }, -3, 0 }, { { 1, { 70 } }, 0.1, 0.9 } }, build },
    { 0 }
};

const sp_op sp_op_kl_div = { "kl_div", SP_OP_ROWS | SP_OP_FREES_Y, infer, forward, backward, cost, probes };

sp_tensor *sp_kl_div(sp_tape *t, sp_tensor *log_q, sp_tensor *target)
{
    if (!sp_check_target(t, "kl_div", log_q, target, 2, SP_TARGET_POSITIVE))   /* as they are, not as rows */
        return sp_tape_fail(t, SP_ERR_VALUE, "kl_div: no input");
    sp_tensor *y = sp_record(t, &sp_op_kl_div, 2, (sp_tensor *[]){ sp_as_rows(t, log_q), sp_as_rows(t, target) }, NULL, 0);
    return sp_one_each_row(t, y, log_q);
}
