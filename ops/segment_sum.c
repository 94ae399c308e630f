/* y_s = sum of the rows of x that are of segment s.   dx_i += dy_s(i)
   The sum of a segment is taken in the order of its rows, in double, and rounded once. */
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    c->y.shape = SP_SHAPE(((const struct sp_segments *)c->attr)->n, c->x[0].shape.dim[1]);
    return sp_check_segments(c, s);
}

static void forward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const sp_view *x = &c->x[0];
    const long w = c->y.shape.dim[1];
    for (long s = 0; s < g->n; s++)
        for (long j = 0; j < w; j += SP_TILE) {
            const long most = w - j < SP_TILE ? w - j : SP_TILE;
            double sum[SP_TILE] = { 0 };
            for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
                const sp_real *from = x->data + g->row[i] * x->stride[0] + j * x->stride[1];
                for (long k = 0; k < most; k++)
                    sum[k] += (double)from[k * x->stride[1]];
            }
            for (long k = 0; k < most; k++)
                c->y.data[s * w + j + k] = (sp_real)sum[k];
        }
}

static void backward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const sp_view *dx = &c->dx[0], *dy = &c->dy;
    for (long i = 0; i < dx->shape.dim[0]; i++)
        for (long j = 0; j < dx->shape.dim[1]; j++)
            dx->data[i * dx->stride[0] + j * dx->stride[1]] += dy->data[g->of[i] * dy->stride[0] + j * dy->stride[1]];
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 1 }, 0);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_segment_sum(t, leaf[0], (const int[]){ 2, 0, 0, 2, 3 }, 4);
}

static sp_tensor *build_columns(sp_tape *t, sp_tensor **leaf)
{
    return sp_segment_sum(t, sp_transpose(t, leaf[0], 0, 1), (const int[]){ 1, 0, 1 }, 2);
}

static const struct sp_probe probes[] = {
    { "rows, one segment without", { { { 2, { 5, 3 } }, -1, 1 } }, build },
    { "columns of a transpose", { { { 2, { 70, 3 } }, -1, 1 } }, build_columns },
    { 0 }
};

const sp_op sp_op_segment_sum = { "segment_sum", SP_OP_FREES_X | SP_OP_FREES_Y, infer, forward, backward, cost, probes };

sp_tensor *sp_segment_sum(sp_tape *t, sp_tensor *x, const int *of, long n)
{
    struct sp_segments s;
    if (!sp_segments_make(t, "segment_sum", x, of, n, &s))
        return sp_tape_fail(t, SP_ERR_STATE, "segment_sum: failed");
    return sp_record(t, &sp_op_segment_sum, 1, &x, &s, sizeof s);
}
