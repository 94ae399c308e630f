/* y = w (ln sum_j e^(x_j - m) - (x_id - m)), m = max x, for each row of logits; 0 where the id is the ignored one.
   dx_j += dy w (p_j - [j = id]), p = softmax(x).   Saves p, [rows, n].
   With smoothing s, (1 - s) (x_id - m) + s mean_j (x_j - m) stands for x_id - m, and (1 - s) [j = id] + s / n for [j = id]. */
#include <string.h>

#include "autograd/vmath.h"
#include "ops/kernel.h"

struct attr {
    const int *ids;             /* [rows] */
    const sp_real *weight;      /* [rows] or NULL */
    int ignore;
    double smoothing;
};

static bool infer(sp_call *c, sp_status *s)
{
    const struct attr *a = c->attr;
    char text[SP_SHAPE_TEXT];
    sp_shape x = c->x[0].shape;
    if (x.rank != 2 || x.dim[1] < 1)
        return sp_fail(s, SP_ERR_SHAPE, "%s has no classes", sp_shape_format(text, x));
    if (!(a->smoothing >= 0 && a->smoothing <= 1))
        return sp_fail(s, SP_ERR_VALUE, "the smoothing is %g, not in 0..1", a->smoothing);
    for (long i = 0; i < x.dim[0]; i++)
        if (a->ids[i] != a->ignore && (a->ids[i] < 0 || a->ids[i] >= x.dim[1]))
            return sp_fail(s, SP_ERR_VALUE, "id %d in row %ld is not in 0..%ld", a->ids[i], i, x.dim[1] - 1);
    c->y.shape = SP_SHAPE(x.dim[0]);
    c->saved.shape = x;
    return true;
}

/* What stands for x_id - m: its mean under the smoothed target. */
static sp_real smoothed(double smoothing, long n, const sp_real *x, sp_real m, int id)
{
    double sum = 0;
    for (long j = 0; j < n; j++)
        sum += (double)(x[j] - m);
    return (sp_real)((1 - smoothing) * (double)(x[id] - m) + smoothing * sum / (double)n);
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    long n = c->saved.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *x = c->x[0].data + i * c->x[0].stride[0];
        sp_real *p = c->saved.data + i * n;
        if (a->ids[i] == a->ignore) {
            c->y.data[i] = 0;
            continue;
        }
        sp_real m, log_sum = sp_log_sum(n, x, p, &m);   /* leaves e^(x - m) in p */
        sp_real inverse = 1 / sp_sum_run(n, p, 1);
        for (long j = 0; j < n; j++)
            p[j] *= inverse;
        sp_real own = a->smoothing > 0 ? smoothed(a->smoothing, n, x, m, a->ids[i]) : x[a->ids[i]] - m;
        c->y.data[i] = (a->weight ? a->weight[i] : 1) * (log_sum - own);
    }
}

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    long n = c->saved.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *p = c->saved.data + i * n;
        sp_real *dx = c->dx[0].data + i * c->dx[0].stride[0];
        sp_real g = c->dy.data[i * c->dy.stride[0]] * (a->weight ? a->weight[i] : 1);
        if (a->ids[i] == a->ignore)
            continue;
        const sp_real all = (sp_real)(a->smoothing / (double)n);
        if (all > 0)
            for (long j = 0; j < n; j++)
                dx[j] += g * (p[j] - all);
        else
            for (long j = 0; j < n; j++)
                dx[j] += g * p[j];
        dx[a->ids[i]] -= (sp_real)(1 - a->smoothing) * g;
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 6, (const double[]){ 2 }, SP_READS_SAVED);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_cross_entropy(t, leaf[0], (const int[]){ 4, 0, 2, 2, 1, 3 }, SP_IGNORE, NULL);
}

static sp_tensor *build_weighted(sp_tape *t, sp_tensor **leaf)
{
    return sp_cross_entropy(t, leaf[0], (const int[]){ 4, 9, 2 }, 9, (const sp_real[]){ 0.5, 1, -2 });
}

static sp_tensor *build_smooth(sp_tape *t, sp_tensor **leaf)
{
    return sp_cross_entropy_smooth(t, leaf[0], (const int[]){ 4, 9, 2 }, 9, (const sp_real[]){ 0.5, 1, -2 }, 0.3);
}

static const struct sp_probe probes[] = {
    { "rows", { { { 3, { 2, 3, 5 } }, -2, 2 } }, build },
    { "ignored and weighted", { { { 2, { 3, 5 } }, -2, 2 } }, build_weighted },
    { "smoothed", { { { 2, { 3, 5 } }, -2, 2 } }, build_smooth },
    { 0 }
};

const sp_op sp_op_cross_entropy = { "cross_entropy", 0, infer, forward, backward, cost, probes };

sp_tensor *sp_cross_entropy_smooth(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, const sp_real *weight,
                                   double smoothing)
{
    sp_tensor *rows = sp_as_rows(t, logits);
    if (!sp_sound(rows))
        return rows ? rows : sp_tape_fail(t, SP_ERR_VALUE, "cross_entropy: input 1 is NULL");
    size_t n = (size_t)sp_dim(rows, 0);
    if (n && !ids)
        return sp_tape_fail(t, SP_ERR_VALUE, "cross_entropy: no ids");
    struct attr a = { .ids = sp_tape_copy(t, ids, n * sizeof *ids), .ignore = ignore, .smoothing = smoothing };
    if (weight)
        a.weight = sp_tape_copy(t, weight, n * sizeof *weight);
    return sp_one_each_row(t, sp_record(t, &sp_op_cross_entropy, 1, &rows, &a, sizeof a), logits);
}

sp_tensor *sp_cross_entropy(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, const sp_real *weight)
{
    return sp_cross_entropy_smooth(t, logits, ids, ignore, weight, 0);
}
