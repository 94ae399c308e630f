/* Loops over views: see ops/kernel.h. */
#include "ops/kernel.h"

#include <math.h>
#include <string.h>

#include "config.h"

#include "autograd/clones_inside.h"
#include "autograd/vmath.h"

/* The stride of a view along an axis of a shape it is broadcast to. */
static long broadcast_stride(const sp_view *v, sp_shape shape, int axis)
{
    int own = axis - (shape.rank - v->shape.rank);
    return own < 0 || v->shape.dim[own] == 1 ? 0 : v->stride[own];
}

/* Appends an axis outside of those there are; one that continues the outermost becomes part of it. */
static void add_axis(struct sp_walk *w, long size, const long stride[4])
{
    int outer = w->axes - 1;
    bool continues = outer >= 0;
    for (int v = 0; v < w->views && continues; v++)
        continues = stride[v] == w->stride[v][outer] * w->size[outer];
    if (continues) {
        w->size[outer] *= size;
        return;
    }
    for (int v = 0; v < w->views; v++)
        w->stride[v][w->axes] = stride[v];
    w->size[w->axes++] = size;
}

void sp_walk_begin(struct sp_walk *w, sp_shape shape, int views, const sp_view *const *view)
{
    memset(w, 0, sizeof *w);
    w->views = views;
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        long stride[4];
        for (int v = 0; v < views; v++)
            stride[v] = broadcast_stride(view[v], shape, axis);
        if (shape.dim[axis] != 1)
            add_axis(w, shape.dim[axis], stride);
    }
    if (!w->axes)                               /* a single element */
        add_axis(w, 1, (const long[4]){ 1, 1, 1, 1 });
    w->n = w->size[0];
    w->unit = true;
    for (int v = 0; v < views; v++) {
        w->p[v] = view[v]->data;
        w->step[v] = w->stride[v][0];
        w->unit = w->unit && w->step[v] == 1;
    }
    for (int a = 0; a < w->axes; a++)
        if (!w->size[a])
            w->n = 0;
}

long sp_walk_rows(struct sp_walk *w)
{
    long rows = 1;
    for (int a = 1; a < w->axes && rows == 1; a++)
        if (!w->stride[0][a] && w->size[a] > 1) {
            /* Exchange it with axis 1, the innermost beside the run. */
            for (int v = 0; v < w->views; v++) {
                long s = w->stride[v][1];
                w->stride[v][1] = w->stride[v][a];
                w->stride[v][a] = s;
            }
            rows = w->size[a];
            w->size[a] = w->size[1];
            w->size[1] = 1;
        }
    return rows;
}

/* An odometer over the axes outside the run. */
bool sp_walk_next(struct sp_walk *w)
{
    if (!w->started) {
        w->started = true;
        return w->n > 0;
    }
    for (int a = 1; a < w->axes; a++) {
        for (int v = 0; v < w->views; v++)
            w->p[v] += w->stride[v][a];
        if (++w->index[a] < w->size[a])
            return w->n > 0;
        for (int v = 0; v < w->views; v++)
            w->p[v] -= w->stride[v][a] * w->size[a];
        w->index[a] = 0;
    }
    return false;
}

void sp_apply(const sp_view *y, const sp_view *x, void (*f)(long n, const sp_real *x, sp_real *y))
{
    struct sp_walk w;
    sp_walk_begin(&w, y->shape, 2, (const sp_view *[]){ y, x });
    while (sp_walk_next(&w)) {
        const sp_real *from = w.p[1];
        if (!w.unit) {                          /* y is contiguous: gather the run there, then work in place */
            for (long i = 0; i < w.n; i++)
                w.p[0][i] = from[i * w.step[1]];
            from = w.p[0];
        }
        f(w.n, from, w.p[0]);
    }
}

/* u = e^-|x| is at most 1, so nothing overflows; and with w = 1 + u as rounded, ln(1 + u) is ln(w) u / (w - 1), which keeps
   the digits of a small u that w has lost. */
void sp_softplus_rest(long n, const sp_real *x, sp_real *y)
{
    sp_real log_w[SP_TILE];
    for (long at = 0; at < n; at += SP_TILE) {
        const long most = n - at < SP_TILE ? n - at : SP_TILE;
        sp_real *u = y + at;
        for (long i = 0; i < most; i++)
            u[i] = x[at + i] > 0 ? -x[at + i] : x[at + i];
        sp_vexp(most, u, u);
        for (long i = 0; i < most; i++)
            log_w[i] = 1 + u[i];
        sp_vlog(most, log_w, log_w);
        for (long i = 0; i < most; i++) {
            const sp_real v = (1 + u[i]) - 1;
            u[i] = v > 0 ? log_w[i] * (u[i] / v) : u[i];
        }
    }
}

enum { LANES = 16, LEAF = 512 };

SP_CLONES static sp_real sum_leaf(long n, const sp_real *x, long step)
{
    sp_real lane[LANES] = { 0 };
    long i = 0;
    if (step == 1)
        for (; i + LANES <= n; i += LANES)
            for (int k = 0; k < LANES; k++)
                lane[k] += x[i + k];
    for (; i < n; i++)
        lane[i % LANES] += x[i * step];
    for (int width = LANES / 2; width; width /= 2)
        for (int k = 0; k < width; k++)
            lane[k] += lane[k + width];
    return lane[0];
}

sp_real sp_sum_run(long n, const sp_real *x, long step)
{
    if (n <= LEAF)
        return sum_leaf(n, x, step);
    long half = n / 2 / LEAF * LEAF;
    half = half ? half : LEAF;
    return sp_sum_run(half, x, step) + sp_sum_run(n - half, x + half * step, step);
}

SP_CLONES void sp_add_run(long n, const sp_real *restrict x, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] += x[i];
}

/* to[k] += sum over rows of from[k], up to SP_TILE of them; summed in double, unless there is but one row. */
SP_CLONES static void add_columns(long n, long rows, const sp_real *restrict from, long step, long stride, sp_real *restrict to,
                                  long to_step)
{
    double sum[SP_TILE] = { 0 };
    if (rows == 1) {
        for (long k = 0; k < n; k++)
            to[k * to_step] += from[k * step];
        return;
    }
    for (long i = 0; i < rows; i++, from += stride)
        if (n == SP_TILE && step == 1)                  /* known to the compiler */
            for (int k = 0; k < SP_TILE; k++)
                sum[k] += (double)from[k];
        else
            for (long k = 0; k < n; k++)
                sum[k] += (double)from[k * step];
    for (long k = 0; k < n; k++)
        to[k * to_step] += (sp_real)sum[k];
}

void sp_add_sums(const sp_view *y, const sp_view *x)
{
    struct sp_walk w;
    sp_walk_begin(&w, x->shape, 2, (const sp_view *[]){ y, x });
    long rows = sp_walk_rows(&w), stride = w.stride[1][1];
    while (sp_walk_next(&w)) {
        sp_real *restrict to = w.p[0];
        const sp_real *restrict from = w.p[1];
        if (!w.step[0]) {
            double sum = 0;
            for (long i = 0; i < rows; i++)
                sum += (double)sp_sum_run(w.n, from + i * stride, w.step[1]);
            *to += (sp_real)sum;
        } else {
            for (long j = 0; j < w.n; j += SP_TILE)
                add_columns(w.n - j < SP_TILE ? w.n - j : SP_TILE, rows, from + j * w.step[1], w.step[1], stride,
                            to + j * w.step[0], w.step[0]);
        }
    }
}

SP_CLONES sp_real sp_row_max(long n, const sp_real *x)
{
    sp_real lane[LANES], largest = -INFINITY;
    bool nan = false;
    long i = 0;
    for (int k = 0; k < LANES; k++)
        lane[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
            nan |= x[i + k] != x[i + k];
        }
    for (; i < n; i++) {
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
        nan |= x[i] != x[i];
    }
    for (int k = 0; k < LANES; k++)
        largest = lane[k] > largest ? lane[k] : largest;
    return nan ? NAN : n ? largest : 0;
}

SP_CLONES static void subtract(long n, const sp_real *restrict x, sp_real m, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] = x[i] - m;
}

sp_real sp_log_sum(long n, const sp_real *x, sp_real *y, sp_real *m)
{
    *m = sp_row_max(n, x);
    subtract(n, x, *m, y);
    sp_vexp(n, y, y);
    return (sp_real)log((double)sp_sum_run(n, y, 1));
}
