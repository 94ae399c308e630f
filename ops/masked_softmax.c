/* Along the last axis y_i = m_i e^(x_i - max x) / sum_j m_j e^(x_j - max x), the largest of those with m_j = 1; zeros where all
   m_j are 0. The mask is broadcast to x; what is not 0 in it is 1.   dx_i += y_i (dy_i - sum_j dy_j y_j)   It has no gradient.
   A place with m_i = 0 is not looked at. */
#include <math.h>

#include "autograd/vmath.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char x_text[SP_SHAPE_TEXT], m_text[SP_SHAPE_TEXT];
    const sp_shape x = c->x[0].shape, m = c->x[1].shape;
    bool fits = m.rank <= x.rank;
    for (int i = 1; fits && i <= m.rank; i++)
        fits = m.dim[m.rank - i] == x.dim[x.rank - i] || m.dim[m.rank - i] == 1;
    c->y.shape = x;
    return fits || sp_fail(s, SP_ERR_SHAPE, "%s with the mask %s: it does not broadcast", sp_shape_format(x_text, x),
                           sp_shape_format(m_text, m));
}

bool sp_masked_softmax_row(long n, sp_real *a, const sp_real *mask, long step)
{
    bool any = false;
    for (long i = 0; i < n; i++) {
        a[i] = mask[i * step] != 0 ? a[i] : (sp_real)-INFINITY;
        any |= mask[i * step] != 0;
    }
    const sp_real most = sp_row_max(n, a);
    for (long i = 0; i < n; i++)
        a[i] -= most;
    sp_vexp(n, a, a);
    for (long i = 0; i < n; i++)
        a[i] = mask[i * step] != 0 ? a[i] : 0;
    const sp_real inverse = any ? 1 / sp_sum_run(n, a, 1) : 0;
    for (long i = 0; i < n; i++)
        a[i] *= inverse;
    return any;
}

/* Where row `row` of shape [...,n] begins in a view that is broadcast to it. */
static long begin(const sp_view *v, sp_shape shape, long row)
{
    long at = 0;
    for (int axis = shape.rank - 2; axis >= 0; row /= shape.dim[axis--]) {
        const int own = axis - (shape.rank - v->shape.rank);
        at += own >= 0 && v->shape.dim[own] > 1 ? row % shape.dim[axis] * v->stride[own] : 0;
    }
    return at;
}

static long last_step(const sp_view *v)
{
    const int last = v->shape.rank - 1;
    return last >= 0 && v->shape.dim[last] > 1 ? v->stride[last] : 0;
}

static long rows_of(sp_shape shape, long n)
{
    return n ? sp_shape_size(shape) / n : 0;
}

static void forward(const sp_call *c)
{
    const sp_view *x = &c->x[0], *mask = &c->x[1];
    const long n = c->y.shape.dim[c->y.shape.rank - 1], x_step = last_step(x), m_step = last_step(mask);
    for (long row = 0; row < rows_of(c->y.shape, n); row++) {
        const sp_real *from = x->data + begin(x, c->y.shape, row);
        sp_real *y = c->y.data + begin(&c->y, c->y.shape, row);
        for (long i = 0; i < n; i++)
            y[i] = from[i * x_step];
        sp_masked_softmax_row(n, y, mask->data + begin(mask, c->y.shape, row), m_step);
    }
}

static void backward(const sp_call *c)
{
    const sp_view *y = &c->y, *dy = &c->dy, *dx = &c->dx[0];
    const long n = y->shape.dim[y->shape.rank - 1], y_step = last_step(y), dy_step = last_step(dy), dx_step = last_step(dx);
    for (long row = 0; dx->data && row < rows_of(y->shape, n); row++) {
        const sp_real *a = y->data + begin(y, y->shape, row), *from = dy->data + begin(dy, y->shape, row);
        sp_real *to = dx->data + begin(dx, y->shape, row), dot = 0;
        for (long i = 0; i < n; i++)
            dot += from[i * dy_step] * a[i * y_step];
        for (long i = 0; i < n; i++)
            to[i * dx_step] += a[i * y_step] * (from[i * dy_step] - dot);
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 5, (const double[]){ 5, 0 }, SP_READS_Y);
}

static sp_tensor *mask(sp_tape *t, sp_shape shape)
{
    return sp_feed(t, (const sp_real[]){ 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1 }, shape);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_masked_softmax(t, leaf[0], mask(t, SP_SHAPE(3, 4)));
}

static sp_tensor *build_vector(sp_tape *t, sp_tensor **leaf)
{
    return sp_masked_softmax(t, leaf[0], mask(t, SP_SHAPE(6)));
}

static sp_tensor *build_broadcast(sp_tape *t, sp_tensor **leaf)
{
    return sp_masked_softmax(t, leaf[0], mask(t, SP_SHAPE(3, 1, 4)));
}

static sp_tensor *build_strided(sp_tape *t, sp_tensor **leaf)
{
    return sp_masked_softmax(t, sp_transpose(t, leaf[0], 0, 2), sp_transpose(t, mask(t, SP_SHAPE(4, 3)), 0, 1));
}

static const struct sp_probe probes[] = {
    { "matrix", { { { 2, { 3, 4 } }, -2, 2 } }, build },
    { "vector", { { { 1, { 6 } }, -2, 2 } }, build_vector },
    { "a mask for several rows", { { { 4, { 2, 3, 2, 4 } }, -2, 2 } }, build_broadcast },
    { "strided", { { { 3, { 4, 3, 2 } }, -2, 2 } }, build_strided },
    { 0 }
};

const sp_op sp_op_masked_softmax = {
    "masked_softmax", SP_OP_ROWS | SP_OP_ELEMENTS | SP_OP_FREES_X, infer, forward, backward, cost, probes
};

sp_tensor *sp_masked_softmax(sp_tape *t, sp_tensor *x, sp_tensor *mask)
{
    const bool vector = sp_shape_get(x).rank < 2;       /* its one axis has no rows */
    sp_tensor *in[] = { vector ? sp_as_rows(t, x) : x, mask };
    sp_tensor *y = sp_record(t, &sp_op_masked_softmax, 2, in, NULL, 0);
    return vector ? sp_like_rows(t, y, x) : y;
}
