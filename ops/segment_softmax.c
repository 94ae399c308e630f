/* y_i = e^(x_i - m) / sum_k e^(x_k - m), k over the rows of the segment of i, m the largest of these; for each column.
   dx_i += y_i (dy_i - sum_k dy_k y_k). Sums are taken in double. */
#include "autograd/vmath.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    c->y.shape = c->x[0].shape;
    return sp_check_segments(c, s);
}

static sp_real *row_of(const sp_view *v, long row, long column)
{
    return v->data + row * v->stride[0] + column * v->stride[1];
}

/* Columns j .. j+w-1 of one segment: y is the exponentials, then their shares. */
static void forward_over(const struct sp_segments *g, long s, long j, long w, const sp_view *x, const sp_view *y)
{
    const int from = g->begin[s], to = g->begin[s + 1];
    const long step = x->stride[1];
    sp_real most[SP_TILE] = { 0 };
    double sum[SP_TILE] = { 0 };
    for (int i = from; i < to; i++) {
        const sp_real *in = row_of(x, g->row[i], j);
        for (long k = 0; k < w; k++)
            most[k] = i == from || in[k * step] > most[k] ? in[k * step] : most[k];
    }
    for (int i = from; i < to; i++) {
        const sp_real *in = row_of(x, g->row[i], j);
        sp_real *out = row_of(y, g->row[i], j);
        for (long k = 0; k < w; k++)
            out[k] = in[k * step] - most[k];
        sp_vexp(w, out, out);
        for (long k = 0; k < w; k++)
            sum[k] += (double)out[k];
    }
    for (int i = from; i < to; i++) {
        sp_real *out = row_of(y, g->row[i], j);
        for (long k = 0; k < w; k++)
            out[k] *= (sp_real)(1 / sum[k]);
    }
}

static long tile(long left)
{
    return left < SP_TILE ? left : SP_TILE;
}

static void forward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const long width = c->y.shape.dim[1];
    for (long s = 0; s < g->n; s++)
        for (long j = 0; j < width; j += SP_TILE)
            forward_over(g, s, j, tile(width - j), &c->x[0], &c->y);
}

static void backward_over(const sp_call *c, long s, long j, long w)
{
    const struct sp_segments *g = c->attr;
    const sp_view *y = &c->y, *dy = &c->dy, *dx = &c->dx[0];
    double dot[SP_TILE] = { 0 };
    for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
        const sp_real *a = row_of(y, g->row[i], j), *from = row_of(dy, g->row[i], j);
        for (long k = 0; k < w; k++)
            dot[k] += (double)a[k * y->stride[1]] * (double)from[k * dy->stride[1]];
    }
    for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
        const sp_real *a = row_of(y, g->row[i], j), *from = row_of(dy, g->row[i], j);
        sp_real *to = row_of(dx, g->row[i], j);
        for (long k = 0; k < w; k++)
            to[k * dx->stride[1]] += a[k * y->stride[1]] * (from[k * dy->stride[1]] - (sp_real)dot[k]);
    }
}

static void backward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const long width = c->y.shape.dim[1];
    for (long s = 0; s < g->n; s++)
        for (long j = 0; j < width; j += SP_TILE)
            backward_over(c, s, j, tile(width - j));
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

/* More columns than a tile has. */
static sp_tensor *build_wide(sp_tape *t, sp_tensor **leaf)
{
    return sp_segment_softmax(t, leaf[0], (const int[]){ 1, 0, 1 }, 2);
}

static const struct sp_probe probes[] = {
    { "wide", { { { 2, { 3, 70 } }, -1, 1 } }, build_wide },
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
