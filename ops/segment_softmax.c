/* y_i = e^(x_i - m) / sum_k e^(x_k - m), k over the rows of the segment of i, m the largest of these; for each column.
   dx_i += y_i (dy_i - sum_k dy_k y_k). Sums are taken in double. */
#include <math.h>

#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    c->y.shape = c->x[0].shape;
    return sp_check_segments(c, s);
}

/* One column of one segment. */
static void forward_over(const struct sp_segments *g, long s, long j, const sp_view *x, const sp_view *y)
{
    const int from = g->begin[s], to = g->begin[s + 1];
    sp_real most = from < to ? x->data[g->row[from] * x->stride[0] + j * x->stride[1]] : 0;
    double sum = 0;
    for (int i = from; i < to; i++) {
        const sp_real v = x->data[g->row[i] * x->stride[0] + j * x->stride[1]];
        most = most == most && !(v <= most) ? v : most;
    }
    for (int i = from; i < to; i++) {
        sp_real *out = y->data + g->row[i] * y->stride[0] + j * y->stride[1];
        *out = (sp_real)exp((double)(x->data[g->row[i] * x->stride[0] + j * x->stride[1]] - most));
        sum += (double)*out;
    }
    for (int i = from; i < to; i++)
        y->data[g->row[i] * y->stride[0] + j * y->stride[1]] *= (sp_real)(1 / sum);
}

static void forward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    for (long s = 0; s < g->n; s++)
        for (long j = 0; j < c->y.shape.dim[1]; j++)
            forward_over(g, s, j, &c->x[0], &c->y);
}

static void backward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const sp_view *y = &c->y, *dy = &c->dy, *dx = &c->dx[0];
    for (long s = 0; s < g->n; s++)
        for (long j = 0; j < y->shape.dim[1]; j++) {
            double dot = 0;
            for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
                const long row = g->row[i];
                dot += (double)y->data[row * y->stride[0] + j * y->stride[1]]
                     * (double)dy->data[row * dy->stride[0] + j * dy->stride[1]];
            }
            for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
                const long row = g->row[i];
                dx->data[row * dx->stride[0] + j * dx->stride[1]] += y->data[row * y->stride[0] + j * y->stride[1]]
                    * (dy->data[row * dy->stride[0] + j * dy->stride[1]] - (sp_real)dot);
            }
        }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 5, (const double[]){ 5 }, SP_READS_Y);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_segment_softmax(t, leaf[0], (const int[]){ 2, 0, 0, 2, 0 }, 3);
}

static sp_tensor *build_columns(sp_tape *t, sp_tensor **leaf)
{
    return sp_segment_softmax(t, sp_transpose(t, leaf[0], 0, 1), (const int[]){ 1, 0, 1 }, 2);
}

static const struct sp_probe probes[] = {
    { "rows, one segment without", { { { 2, { 5, 2 } }, -1, 1 } }, build },
    { "columns of a transpose", { { { 2, { 2, 3 } }, -1, 1 } }, build_columns },
    { 0 }
};

const sp_op sp_op_segment_softmax = { "segment_softmax", SP_OP_FREES_X, infer, forward, backward, cost, probes };

sp_tensor *sp_segment_softmax(sp_tape *t, sp_tensor *x, const int *of, long n)
{
    struct sp_segments s;
    if (!sp_segments_make(t, "segment_softmax", x, of, n, &s))
        return sp_tape_fail(t, SP_ERR_STATE, "segment_softmax: failed");
    return sp_record(t, &sp_op_segment_softmax, 1, &x, &s, sizeof s);
}
