/* y_s = the largest of each column among the rows of x that are of segment s; NaN if one is.   dx_i += dy_s where x_i is the
   first that is y_s */
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *status)
{
    const struct sp_segments *g = c->attr;
    if (!sp_check_segments(c, status))
        return false;
    for (long s = 0; s < g->n; s++)
        if (g->begin[s] == g->begin[s + 1])
            return sp_fail(status, SP_ERR_SHAPE, "segment %ld has no rows", s);
    c->y.shape = SP_SHAPE(g->n, c->x[0].shape.dim[1]);
    return true;
}

static void forward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const sp_view *x = &c->x[0];
    const long w = c->y.shape.dim[1];
    for (long s = 0; s < g->n; s++)
        for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
            const sp_real *from = x->data + g->row[i] * x->stride[0];
            sp_real *y = c->y.data + s * w;
            for (long j = 0; j < w; j++) {
                const sp_real v = from[j * x->stride[1]];
                if (i == g->begin[s] || (y[j] == y[j] && !(v <= y[j])))
                    y[j] = v;
            }
        }
}

/* Columns j .. j+w-1 of a segment: of each the first row that is the largest; where that is NaN, the first that is. */
static void backward_over(const sp_call *c, long s, long j, long w)
{
    const struct sp_segments *g = c->attr;
    const sp_view *x = &c->x[0], *dx = &c->dx[0], *y = &c->y, *dy = &c->dy;
    const long x_step = x->stride[1], dx_step = dx->stride[1];
    sp_real most[SP_TILE], give[SP_TILE];               /* what is still to be given */
    for (long k = 0; k < w; k++) {
        most[k] = y->data[s * y->stride[0] + (j + k) * y->stride[1]];
        give[k] = dy->data[s * dy->stride[0] + (j + k) * dy->stride[1]];
    }
    for (int i = g->begin[s]; i < g->begin[s + 1]; i++) {
        const sp_real *from = x->data + g->row[i] * x->stride[0] + j * x_step;
        sp_real *restrict to = dx->data + g->row[i] * dx->stride[0] + j * dx_step;
        for (long k = 0; k < w; k++) {
            const sp_real v = from[k * x_step];
            const bool here = v == most[k] || (v != v && most[k] != most[k]);
            to[k * dx_step] += here ? give[k] : 0;
            give[k] = here ? 0 : give[k];
        }
    }
}

static void backward(const sp_call *c)
{
    const struct sp_segments *g = c->attr;
    const long width = c->y.shape.dim[1];
    for (long s = 0; s < g->n; s++)
        for (long j = 0; j < width; j += SP_TILE)
            backward_over(c, s, j, width - j < SP_TILE ? width - j : SP_TILE);
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 1, (const double[]){ 1 }, SP_READS_Y | SP_READS_X);
}

/* Small leaves on constants that are far apart, so that no probe is near a tie. */
static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    const sp_real far[] = { 3, 1, 4, 2, 5, 0, 7, 9, 6, 8, 11, 10 };
    return sp_segment_max(t, sp_add(t, leaf[0], sp_feed(t, far, SP_SHAPE(4, 3))), (const int[]){ 1, 0, 1, 1 }, 2);
}

static sp_tensor *build_columns(sp_tape *t, sp_tensor **leaf)
{
    const sp_real far[] = { 3, 1, 4, 2, 5, 0, 7, 9, 6, 8, 11, 10 };
    sp_tensor *x = sp_transpose(t, sp_add(t, leaf[0], sp_feed(t, far, SP_SHAPE(3, 4))), 0, 1);
    return sp_segment_max(t, x, (const int[]){ 0, 0, 1, 0 }, 2);
}

static const struct sp_probe probes[] = {
    { "rows", { { { 2, { 4, 3 } }, -0.1, 0.1 } }, build },
    { "columns of a transpose", { { { 2, { 3, 4 } }, -0.1, 0.1 } }, build_columns },
    { 0 }
};

const sp_op sp_op_segment_max = { "segment_max", 0, infer, forward, backward, cost, probes };

sp_tensor *sp_segment_max(sp_tape *t, sp_tensor *x, const int *of, long n)
{
    struct sp_segments s;
    if (!sp_segments_make(t, "segment_max", x, of, n, &s))
        return sp_tape_fail(t, SP_ERR_STATE, "segment_max: failed");
    return sp_record(t, &sp_op_segment_max, 1, &x, &s, sizeof s);
}
