/* y[b,o,p,q] = bias_o + sum over c, i, j of w[o,c,i,j] x[b,c, p s + i d - m, q s' + j d' - m']   (strides s, dilations d,
   padding m); of group g alone, for channels o of group g.
   With the matrix of patches X[(c,i,j),(b,p,q)] = x[b,c, p s + i d - m, ...]:   Y = W X + bias   dW += dY X'   dbias += sums of dY
   dx is a convolution, too: where h = f + s u, the taps with f + m - i d = s k meet dy at u + k, so for each of the s phases f
   dx[b,c,f + s u,...] += sum over o and those i, j of w[o,c,i,j] dy[b,o, u + k, ...].
   [B,C,H,W], [O,C/groups,kh,kw], [O] -> [B,O,H',W']. Nothing is saved; autograd/patches.c never forms X. */
#include <string.h>

#include "autograd/patches.h"
#include "ops/kernel.h"

#include "config.h"

#include "autograd/clones_inside.h"

/* "[4,3,3,3]", the weight as the caller has it. */
static char *weight_text(char text[SP_SHAPE_TEXT], const sp_call *c)
{
    const sp_slide *a = c->attr;
    const long taps = a->kernel[0] * a->kernel[1];
    return sp_shape_format(text, SP_SHAPE(c->x[1].shape.dim[0], taps ? c->x[1].shape.dim[1] / taps : 0, a->kernel[0], a->kernel[1]));
}

static bool infer(sp_call *c, sp_status *s)
{
    const sp_slide *a = c->attr;
    const sp_shape x = c->x[0].shape, w = c->x[1].shape;
    char x_text[SP_SHAPE_TEXT], w_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT];
    sp_shape_format(x_text, x);
    weight_text(w_text, c);
    const long taps = a->kernel[0] * a->kernel[1];
    if (a->groups < 1 || x.dim[1] % a->groups || w.dim[0] % a->groups)
        return sp_fail(s, SP_ERR_SHAPE, "%s by %s: %ld groups do not divide %ld and %ld channels", x_text, w_text, a->groups,
                       x.dim[1], w.dim[0]);
    if (x.dim[1] / a->groups * taps != w.dim[1])
        return sp_fail(s, SP_ERR_SHAPE, "%s by %s: %ld channels in %ld groups are not %ld each", x_text, w_text, x.dim[1],
                       a->groups, w.dim[1] / taps);
    if (c->inputs == 3 && (c->x[2].shape.rank != 1 || c->x[2].shape.dim[0] != w.dim[0]))
        return sp_fail(s, SP_ERR_SHAPE, "%s by %s: the bias is %s, not [%ld]", x_text, w_text,
                       sp_shape_format(b_text, c->x[2].shape), w.dim[0]);
    c->y.shape = SP_SHAPE(x.dim[0], w.dim[0], 0, 0);
    return sp_slide_shape(&c->y.shape, x, a, s);
}

/* Sizes of a group. */
struct group {
    long channels, rows, taps;  /* of x; of y; of a channel */
};

static struct group group_of(const sp_call *c)
{
    const sp_slide *a = c->attr;
    return (struct group){ c->x[0].shape.dim[1] / a->groups, c->x[1].shape.dim[0] / a->groups, a->kernel[0] * a->kernel[1] };
}

static sp_window window_of(const sp_call *c, int axis)
{
    const sp_slide *a = c->attr;
    return (sp_window){ c->x[0].shape.dim[2 + axis], c->y.shape.dim[2 + axis], a->kernel[axis], a->stride[axis],
                        a->dilation[axis], -a->padding[axis] };
}

static sp_patches patches_of(const sp_call *c, struct group n, long g)
{
    const sp_view *x = &c->x[0];
    return (sp_patches){ x->data + g * n.channels * x->stride[1], x->shape.dim[0], n.channels, x->stride[0], x->stride[1],
                         x->stride[2], window_of(c, 0), window_of(c, 1) };
}

static sp_maps maps_of(const sp_view *y, struct group n, long g)
{
    return (sp_maps){ y->data + g * n.rows * y->stride[1], y->stride[0], y->stride[1], y->stride[2], y->stride[3] };
}

static sp_weights weights_of(const sp_call *c, const sp_view *w, struct group n, long g)
{
    const sp_slide *a = c->attr;
    const long step = w->stride[1];
    const sp_param *p = c->param[1];
    const bool whole = p && a->groups == 1 && w->data == sp_param_read(p) && sp_view_contiguous(w)
                       && p->shape.rank && p->shape.dim[0] == w->shape.dim[0] && sp_shape_size(w->shape) == sp_shape_size(p->shape);
    return (sp_weights){ w->data + g * n.rows * w->stride[0], n.rows, w->stride[0], n.taps * step, a->kernel[1] * step, step,
                         whole ? p : NULL };
}

/* ---- one channel to a group ------------------------------------------------------------------------------------ */

/* Positions from *first to the one before *end meet the input with a tap; returns where the first does. */
static long meet(const sp_window *w, long tap, long *first, long *end)
{
    const long at = tap * w->move + w->from;
    *first = at < 0 ? (-at + w->step - 1) / w->step : 0;
    *end = at < w->size ? (w->size - at + w->step - 1) / w->step : 0;
    *end = *end < w->positions ? *end : w->positions;
    return at + *first * w->step;
}

/* y += k x; x += k y; the sum of x y: for n numbers that are `step` apart in x. */
SP_CLONES static void take(long n, sp_real k, const sp_real *restrict x, long step, sp_real *restrict y)
{
    if (step == 1)
        for (long i = 0; i < n; i++)
            y[i] += k * x[i];
    else
        for (long i = 0; i < n; i++)
            y[i] += k * x[i * step];
}

SP_CLONES static void give(long n, sp_real k, sp_real *restrict x, long step, const sp_real *restrict y)
{
    if (step == 1)
        for (long i = 0; i < n; i++)
            x[i] += k * y[i];
    else
        for (long i = 0; i < n; i++)
            x[i * step] += k * y[i];
}

SP_CLONES static double dot(long n, const sp_real *restrict x, long step, const sp_real *restrict y)
{
    enum { LANES = 16 };
    sp_real lane[LANES] = { 0 };
    double sum = 0;
    long i = 0;
    if (step == 1)
        for (; i + LANES <= n; i += LANES)
            for (int k = 0; k < LANES; k++)
                lane[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        sum += (double)(x[i * step] * y[i]);
    for (int k = 0; k < LANES; k++)
        sum += (double)lane[k];
    return sum;
}

/* What a line of y, of one channel, has to do with a tap. */
struct meeting {
    long n;                     /* numbers */
    long x, y;                  /* where they begin */
};

static bool lines_meet(const sp_call *c, long b, long o, long p, long tap, struct meeting *m)
{
    const sp_slide *a = c->attr;
    const sp_window h = window_of(c, 0), w = window_of(c, 1);
    const sp_view *x = &c->x[0], *y = &c->y;
    const long row = p * h.step + tap / a->kernel[1] * h.move + h.from, channel = o / (y->shape.dim[1] / a->groups);
    long first, end;
    const long column = meet(&w, tap % a->kernel[1], &first, &end);
    m->n = end - first;
    m->x = b * x->stride[0] + channel * x->stride[1] + row * x->stride[2] + column;
    m->y = b * y->stride[0] + o * y->stride[1] + p * y->stride[2] + first;
    return row >= 0 && row < h.size && m->n > 0;
}

static void forward_channels(const sp_call *c)
{
    const sp_view *w = &c->x[1], *y = &c->y;
    const long step = ((const sp_slide *)c->attr)->stride[1];
    struct meeting m;
    for (long b = 0; b < y->shape.dim[0]; b++)
        for (long o = 0; o < y->shape.dim[1]; o++)
            for (long p = 0; p < y->shape.dim[2]; p++) {
                sp_real *line = y->data + b * y->stride[0] + o * y->stride[1] + p * y->stride[2];
                for (long q = 0; q < y->shape.dim[3]; q++)
                    line[q] = c->inputs == 3 ? c->x[2].data[o * c->x[2].stride[0]] : 0;
                for (long tap = 0; tap < w->shape.dim[1]; tap++)
                    if (lines_meet(c, b, o, p, tap, &m))
                        take(m.n, w->data[o * w->stride[0] + tap * w->stride[1]], c->x[0].data + m.x, step, y->data + m.y);
            }
}

static void backward_channels(const sp_call *c)
{
    const sp_view *w = &c->x[1], *dy = &c->dy, *dw = &c->dx[1];
    const long step = ((const sp_slide *)c->attr)->stride[1];
    struct meeting m;
    for (long o = 0; o < dy->shape.dim[1]; o++)
        for (long tap = 0; tap < w->shape.dim[1]; tap++) {
            double sum = 0;
            for (long b = 0; b < dy->shape.dim[0]; b++)
                for (long p = 0; p < dy->shape.dim[2]; p++) {
                    if (!lines_meet(c, b, o, p, tap, &m))
                        continue;
                    if (c->dx[0].data)
                        give(m.n, w->data[o * w->stride[0] + tap * w->stride[1]], c->dx[0].data + m.x, step, dy->data + m.y);
                    if (dw->data)
                        sum += dot(m.n, c->x[0].data + m.x, step, dy->data + m.y);
                }
            if (dw->data)
                dw->data[o * dw->stride[0] + tap * dw->stride[1]] += (sp_real)sum;
        }
}

static bool by_channels(const sp_call *c)
{
    return ((const sp_slide *)c->attr)->groups > 1 && group_of(c).channels == 1;
}

/* ---- products -------------------------------------------------------------------------------------------------- */

static void forward(const sp_call *c)
{
    const struct group n = group_of(c);
    const sp_view *bias = c->inputs == 3 ? &c->x[2] : NULL;
    if (by_channels(c)) {
        forward_channels(c);
        return;
    }
    for (long g = 0; g < ((const sp_slide *)c->attr)->groups; g++) {
        const sp_patches x = patches_of(c, n, g);
        const sp_weights w = weights_of(c, &c->x[1], n, g);
        const sp_maps y = maps_of(&c->y, n, g);
        sp_patches_multiply(&w, &x, bias ? bias->data + g * n.rows * bias->stride[0] : NULL, bias ? bias->stride[0] : 0, &y);
    }
}

/* For the indices phase, phase + stride, ... of an axis of x: the taps that meet dy there, *tap being the first, *period from
   one to the next; and where. False if there are none. */
static bool window_of_phase(const sp_call *c, int axis, long phase, long *tap, long *period, sp_window *w)
{
    const sp_slide *a = c->attr;
    const long s = a->stride[axis], d = a->dilation[axis], at = phase + a->padding[axis], k = a->kernel[axis];
    long i = 0, n = 1;
    while (i < k && i < s && (at - i * d) % s)
        i++;
    while (n * d % s)
        n++;
    *tap = i;
    *period = n;
    if (i == k || (at - i * d) % s || phase >= c->x[0].shape.dim[2 + axis])
        return false;
    *w = (sp_window){ .size = c->dy.shape.dim[2 + axis], .positions = (c->x[0].shape.dim[2 + axis] - phase + s - 1) / s,
                      .taps = (k - i + n - 1) / n, .step = 1, .move = -(n * d / s), .from = (at - i * d) / s };
    return true;
}

static void backward_x(const sp_call *c, struct group n, long g)
{
    const sp_slide *a = c->attr;
    const sp_view *w = &c->x[1], *dx = &c->dx[0], *dy = &c->dy;
    const sp_real *from = dy->data + g * n.rows * dy->stride[1];
    sp_patches patches = { from, dy->shape.dim[0], n.rows, dy->stride[0], dy->stride[1], dy->stride[2], { 0 }, { 0 } };
    for (long f = 0; f < a->stride[0]; f++)
        for (long e = 0; e < a->stride[1]; e++) {
            long i, j, down, right;
            if (!window_of_phase(c, 0, f, &i, &down, &patches.h) || !window_of_phase(c, 1, e, &j, &right, &patches.w))
                continue;
            const sp_weights t = { w->data + g * n.rows * w->stride[0] + (i * a->kernel[1] + j) * w->stride[1], n.channels,
                                   n.taps * w->stride[1], w->stride[0], down * a->kernel[1] * w->stride[1], right * w->stride[1], NULL };
            const sp_maps to = { dx->data + g * n.channels * dx->stride[1] + f * dx->stride[2] + e * dx->stride[3],
                                 dx->stride[0], dx->stride[1], a->stride[0] * dx->stride[2], a->stride[1] * dx->stride[3] };
            sp_patches_add(&t, &patches, &to);
        }
}

static void backward_bias(const sp_call *c)
{
    const sp_view *dy = &c->dy, *db = &c->dx[2];
    for (long o = 0; o < dy->shape.dim[1]; o++) {
        double sum = 0;
        for (long b = 0; b < dy->shape.dim[0]; b++)
            sum += (double)sp_sum_run(dy->shape.dim[2] * dy->shape.dim[3], dy->data + b * dy->stride[0] + o * dy->stride[1], 1);
        db->data[o * db->stride[0]] += (sp_real)sum;
    }
}

static void backward(const sp_call *c)
{
    const struct group n = group_of(c);
    if (c->inputs == 3 && c->dx[2].data)
        backward_bias(c);
    if (by_channels(c)) {
        backward_channels(c);
        return;
    }
    for (long g = 0; g < ((const sp_slide *)c->attr)->groups; g++) {
        const sp_patches x = patches_of(c, n, g);
        const sp_weights dw = weights_of(c, &c->dx[1], n, g);
        const sp_maps dy = maps_of(&c->dy, n, g);
        if (c->dx[0].data)
            backward_x(c, n, g);
        if (c->dx[1].data)
            sp_patches_gradient(&dy, &x, &dw);
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    const double y = sp_elements(&c->y), product = 2 * y * (double)c->x[1].shape.dim[1];
    const bool dx = c->dx[0].data, dw = c->dx[1].data, bias = c->inputs == 3 && (!back || c->dx[2].data);
    return sp_cost_of(c, back, product * (back ? dx + dw : 1) + (bias ? y : 0),
                      (dx ? sp_elements(&c->x[1]) : 0) + (dw ? sp_elements(&c->x[0]) : 0));
}

/* ---- probes ---------------------------------------------------------------------------------------------------- */

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_conv(t, leaf[0], leaf[1], leaf[2], (sp_slide){ 0 });
}

static sp_tensor *build_padded(sp_tape *t, sp_tensor **leaf)
{
    return sp_conv(t, leaf[0], leaf[1], leaf[2], (sp_slide){ .stride = { 2, 3 }, .padding = { 1, 2 } });
}

static sp_tensor *build_dilated(sp_tape *t, sp_tensor **leaf)
{
    return sp_conv(t, leaf[0], leaf[1], NULL, (sp_slide){ .stride = { 3, 2 }, .padding = { 2, 3 }, .dilation = { 2, 4 }, .groups = 2 });
}

static sp_tensor *build_channels(sp_tape *t, sp_tensor **leaf)
{
    return sp_conv(t, leaf[0], leaf[1], leaf[2], (sp_slide){ .stride = { 1, 2 }, .padding = { 1, 1 }, .groups = 2 });
}

static sp_tensor *build_transposed(sp_tape *t, sp_tensor **leaf)
{
    return sp_conv(t, sp_transpose(t, leaf[0], 1, 2), sp_transpose(t, leaf[1], 1, 2), leaf[2], (sp_slide){ .padding = { 1 } });
}

static const struct sp_probe probes[] = {
    { "plain", { { { 4, { 2, 3, 4, 3 } }, -1, 1 }, { { 4, { 2, 3, 2, 3 } }, -1, 1 }, { { 1, { 2 } }, -1, 1 } }, build },
    { "stride and padding", { { { 4, { 2, 2, 5, 4 } }, -1, 1 }, { { 4, { 3, 2, 3, 2 } }, -1, 1 }, { { 1, { 3 } }, -1, 1 } },
      build_padded },
    { "dilation and groups", { { { 4, { 1, 4, 5, 6 } }, -1, 1 }, { { 4, { 2, 2, 3, 2 } }, -1, 1 } }, build_dilated },
    { "a group for each channel", { { { 4, { 2, 2, 4, 5 } }, -1, 1 }, { { 4, { 4, 1, 3, 2 } }, -1, 1 }, { { 1, { 4 } }, -1, 1 } },
      build_channels },
    { "1-d of transposed views", { { { 3, { 2, 5, 3 } }, -1, 1 }, { { 3, { 2, 4, 3 } }, -1, 1 }, { { 1, { 2 } }, -1, 1 } },
      build_transposed },
    { "1 x 1", { { { 4, { 2, 3, 2, 2 } }, -1, 1 }, { { 4, { 2, 3, 1, 1 } }, -1, 1 }, { { 1, { 2 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_conv = {
    "conv", SP_OP_ROWS | SP_OP_SHARED << 1 | SP_OP_SHARED << 2 | SP_OP_FREES << 2 | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_conv(sp_tape *t, sp_tensor *x, sp_tensor *w, sp_tensor *bias, sp_slide how)
{
    char x_text[SP_SHAPE_TEXT], w_text[SP_SHAPE_TEXT];
    const sp_shape sx = sp_shape_get(x), sw = sp_shape_get(w);
    sp_tensor *in[] = { x, w, bias };
    const bool sound = sp_usable(t, x, "conv", "input", 1) && sp_usable(t, w, "conv", "input", 2);
    if (!sound)
        return sp_tape_fail(t, SP_ERR_VALUE, "conv: no input");
    if (sx.rank != sw.rank || sx.rank < 3)
        return sp_tape_fail(t, SP_ERR_SHAPE, "conv: %s by %s: needs [B,C,H,W] by [O,C/groups,kh,kw] or [B,C,L] by [O,C/groups,k]",
                            sp_shape_format(x_text, sx), sp_shape_format(w_text, sw));
    how = sp_slide_full(how, sx.rank);
    how.kernel[0] = sx.rank == 4 ? sw.dim[2] : 1;
    how.kernel[1] = sw.dim[sw.rank - 1];
    in[0] = sp_as_maps(t, x);
    in[1] = sp_reshape(t, w, SP_SHAPE(sw.dim[0], sw.dim[1] * how.kernel[0] * how.kernel[1]));
    return sp_like_maps(t, sp_record(t, &sp_op_conv, bias ? 3 : 2, in, &how, sizeof how), sx.rank);
}
