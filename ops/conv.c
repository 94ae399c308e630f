/* y[b,o,p,q] = bias_o + sum over c, i, j of w[o,c,i,j] x[b,c, p s + i d - m, q s' + j d' - m']   (strides s, dilations d,
   padding m); of group g alone, for channels o of group g.
   With the matrix of patches X[(c,i,j),(b,p,q)] = x[b,c, p s + i d - m, ...]:   Y = W X + bias   dW += dY X'   dbias += sums of dY
   dx is a convolution, too: where h = f + s u, the taps with f + m - i d = s k meet dy at u + k, so for each of the s phases f
   dx[b,c,f + s u,...] += sum over o and those i, j of w[o,c,i,j] dy[b,o, u + k, ...].
   Where y is small beside x that has mostly zeros to read: there, dX = W' dY is added up tap by tap.
   [B,C,H,W], [O,C/groups,kh,kw], [O] -> [B,O,H',W']. Nothing is saved; autograd/patches.h never forms X. */
#include <stdlib.h>
#include <string.h>

#include "autograd/blas.h"
#include "autograd/patches.h"
#include "ops/kernel.h"

#include "config.h"

#include "autograd/clones_inside.h"

/* The attr, which begins as what a slide is. */
struct conv {
    sp_slide how;               /* full, with the weight's kernel */
    int rank;                   /* of the caller's x and weight */
};

/* "[4,3,3,3]", the weight as the caller has it. */
static char *weight_text(char text[SP_SHAPE_TEXT], const sp_call *c)
{
    const struct conv *a = c->attr;
    const long taps = a->how.kernel[0] * a->how.kernel[1];
    const sp_shape maps = SP_SHAPE(c->x[1].shape.dim[0], taps ? c->x[1].shape.dim[1] / taps : 0, a->how.kernel[0], a->how.kernel[1]);
    return sp_shape_format(text, sp_maps_shape(maps, a->rank));
}

static bool infer(sp_call *c, sp_status *s)
{
    const sp_slide *a = c->attr;
    const sp_shape x = c->x[0].shape, w = c->x[1].shape;
    char x_text[SP_SHAPE_TEXT], w_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT];
    sp_shape_format(x_text, sp_maps_shape(x, ((const struct conv *)a)->rank));
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
    return sp_slide_shape(&c->y.shape, sp_maps_shape(x, ((const struct conv *)a)->rank), a, s);
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

/* What the positions of a channel of y have to do with a tap: lines of n numbers each, of which the first begin so far behind
   the channels of x and y. */
struct meeting {
    long lines, n, x, y;
};

/* How far it is in x and y from one line that a tap meets to the next, and in x from number to number. */
struct lines {
    long x, y, step;
};

static struct lines lines_by(const sp_call *c, const sp_view *x, const sp_view *y)
{
    const sp_slide *a = c->attr;
    return (struct lines){ a->stride[0] * x->stride[2], y->stride[2], a->stride[1] };
}

enum { TAPS = 64, NEAR = 2048 };        /* taps whose meetings are known at once; numbers of y that they take turns with */

/* The taps from `tap` on, at most TAPS, and the positions of lines top .. bottom-1, in x and y or their gradients. */
static int find_meetings(const sp_call *c, const sp_view *x, const sp_view *y, long tap, long top, long bottom,
                         struct meeting *m)
{
    const sp_window h = window_of(c, 0), w = window_of(c, 1);
    int taps = 0;
    for (; taps < TAPS && tap < h.taps * w.taps; taps++, tap++, m++) {
        long first, end, p, last;
        const long column = sp_window_meet(&w, tap % w.taps, &first, &end);
        long row = sp_window_meet(&h, tap / w.taps, &p, &last);
        if (p < top) {
            row += (top - p) * h.step;
            p = top;
        }
        last = last < bottom ? last : bottom;
        *m = (struct meeting){ 0 };
        if (p < last && first < end)
            *m = (struct meeting){ last - p, end - first, row * x->stride[2] + column, p * y->stride[2] + first };
    }
    return taps;
}

/* y += w x over a line, w y over x, and in lanes the sums of x y; `step` being a constant where it can. */
static inline void take_line(long n, sp_real k, const sp_real *restrict x, long step, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] += k * x[i * step];
}

static inline void give_line(long n, sp_real k, sp_real *restrict x, long step, const sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        x[i * step] += k * y[i];
}

enum { LANES = 16 };

static inline void dot_line(long n, const sp_real *restrict x, long step, const sp_real *restrict y, sp_real *restrict lane)
{
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += x[(i + k) * step] * y[i + k];
    for (int k = 0; i < n; i++, k++)
        lane[k] += x[i * step] * y[i];
}

SP_CLONES static void take(const struct meeting *m, struct lines by, sp_real k, const sp_real *restrict x, sp_real *restrict y)
{
    x += m->x, y += m->y;
    for (long p = 0; p < m->lines; p++, x += by.x, y += by.y)
        if (by.step == 1)
            take_line(m->n, k, x, 1, y);
        else if (by.step == 2)
            take_line(m->n, k, x, 2, y);
        else
            take_line(m->n, k, x, by.step, y);
}

SP_CLONES static void give(const struct meeting *m, struct lines by, sp_real k, sp_real *restrict x, const sp_real *restrict y)
{
    x += m->x, y += m->y;
    for (long p = 0; p < m->lines; p++, x += by.x, y += by.y)
        if (by.step == 1)
            give_line(m->n, k, x, 1, y);
        else
            give_line(m->n, k, x, by.step, y);
}

SP_CLONES static double dot(const struct meeting *m, struct lines by, const sp_real *restrict x, const sp_real *restrict y)
{
    sp_real lane[LANES] = { 0 };
    double sum = 0;
    x += m->x, y += m->y;
    for (long p = 0; p < m->lines; p++, x += by.x, y += by.y)
        if (by.step == 1)
            dot_line(m->n, x, 1, y, lane);
        else if (by.step == 2)
            dot_line(m->n, x, 2, y, lane);
        else
            dot_line(m->n, x, by.step, y, lane);
    for (int k = 0; k < LANES; k++)
        sum += (double)lane[k];
    return sum;
}

static void set_lines(const sp_call *c, long b, long o, long top, long bottom)
{
    const sp_view *y = &c->y;
    const sp_real bias = c->inputs == 3 ? c->x[2].data[o * c->x[2].stride[0]] : 0;
    for (long p = top; p < bottom; p++)
        for (long q = 0; q < y->shape.dim[3]; q++)
            y->data[b * y->stride[0] + o * y->stride[1] + p * y->stride[2] + q] = bias;
}

static void forward_channels(const sp_call *c)
{
    const sp_view *x = &c->x[0], *w = &c->x[1], *y = &c->y;
    const struct lines by = lines_by(c, x, y);
    const long each = group_of(c).rows, lines = NEAR / y->shape.dim[3] + 1;
    struct meeting m[TAPS];
    for (long top = 0; top < y->shape.dim[2]; top += lines) {
        const long bottom = top + lines < y->shape.dim[2] ? top + lines : y->shape.dim[2];
        for (long tap = 0, taps; tap < w->shape.dim[1]; tap += taps) {
            taps = find_meetings(c, x, y, tap, top, bottom, m);
            for (long b = 0; b < y->shape.dim[0]; b++)
                for (long o = 0; o < y->shape.dim[1]; o++) {
                    if (!tap)
                        set_lines(c, b, o, top, bottom);
                    for (long k = 0; k < taps; k++)
                        take(&m[k], by, w->data[o * w->stride[0] + (tap + k) * w->stride[1]],
                             x->data + b * x->stride[0] + o / each * x->stride[1], y->data + b * y->stride[0] + o * y->stride[1]);
                }
        }
    }
}

/* Some taps of a channel of y. */
static void give_channel(const sp_call *c, long o, long tap, long taps, const struct meeting *m)
{
    const sp_view *w = &c->x[1], *dx = &c->dx[0], *dy = &c->dy;
    const struct lines by = lines_by(c, dx, dy);
    for (long b = 0; b < dy->shape.dim[0]; b++)
        for (long k = 0; k < taps; k++)
            give(&m[k], by, w->data[o * w->stride[0] + (tap + k) * w->stride[1]],
                 dx->data + b * dx->stride[0] + o / group_of(c).rows * dx->stride[1],
                 dy->data + b * dy->stride[0] + o * dy->stride[1]);
}

static void sum_channel(const sp_call *c, long o, long tap, long taps, const struct meeting *m)
{
    const sp_view *x = &c->x[0], *dw = &c->dx[1], *dy = &c->dy;
    const struct lines by = lines_by(c, x, dy);
    double sum[TAPS] = { 0 };
    for (long b = 0; b < dy->shape.dim[0]; b++)
        for (long k = 0; k < taps; k++)
            sum[k] += dot(&m[k], by, x->data + b * x->stride[0] + o / group_of(c).rows * x->stride[1],
                          dy->data + b * dy->stride[0] + o * dy->stride[1]);
    for (long k = 0; k < taps; k++)
        dw->data[o * dw->stride[0] + (tap + k) * dw->stride[1]] += (sp_real)sum[k];
}

static void backward_channels(const sp_call *c)
{
    struct meeting m[TAPS];
    for (long tap = 0, taps; tap < c->x[1].shape.dim[1]; tap += taps) {
        taps = find_meetings(c, &c->dx[0], &c->dy, tap, 0, c->dy.shape.dim[2], m);
        for (long o = 0; o < c->dy.shape.dim[1] && c->dx[0].data; o++)
            give_channel(c, o, tap, taps, m);
        taps = find_meetings(c, &c->x[0], &c->dy, tap, 0, c->dy.shape.dim[2], m);
        for (long o = 0; o < c->dy.shape.dim[1] && c->dx[1].data; o++)
            sum_channel(c, o, tap, taps, m);
    }
}

static bool by_channels(const sp_call *c)
{
    return ((const sp_slide *)c->attr)->groups > 1 && group_of(c).channels == 1;
}

enum { SCATTERED = 1 << 18 };           /* numbers that scatter_x has at once, if one position needs no more */

/* ---- products -------------------------------------------------------------------------------------------------- */

static void forward(const sp_call *c)
{
    const struct group n = group_of(c);
    const sp_view *bias = c->inputs == 3 ? &c->x[2] : NULL;
    if (!sp_elements(&c->y))
        return;
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
    long i = 0, n = s;
    for (long rest = d % s; rest; ) {                   /* the greatest common divisor */
        const long next = n % rest;
        n = rest;
        rest = next;
    }
    n = s / n;
    while (i < k && i < n && (at - i * d) % s)
        i++;
    *tap = i;
    *period = n;
    if (i == k || i == n)
        return false;
    *w = (sp_window){ .size = c->dy.shape.dim[2 + axis], .positions = (c->x[0].shape.dim[2 + axis] - phase + s - 1) / s,
                      .taps = (k - i + n - 1) / n, .step = 1, .move = -(n * d / s), .from = (at - i * d) / s };
    return true;
}

/* There are numbers of x with so many phases. */
static long phases_of(const sp_call *c, int axis)
{
    const long s = ((const sp_slide *)c->attr)->stride[axis], size = c->x[0].shape.dim[2 + axis];
    return s < size ? s : size;
}

static void gather_x(const sp_call *c, struct group n, long g)
{
    const sp_slide *a = c->attr;
    const sp_view *w = &c->x[1], *dx = &c->dx[0], *dy = &c->dy;
    const sp_real *from = dy->data + g * n.rows * dy->stride[1];
    sp_patches patches = { from, dy->shape.dim[0], n.rows, dy->stride[0], dy->stride[1], dy->stride[2], { 0 }, { 0 } };
    for (long f = 0, i, down; f < phases_of(c, 0); f++) {
        if (!window_of_phase(c, 0, f, &i, &down, &patches.h))
            continue;
        for (long e = 0, j, right; e < phases_of(c, 1); e++) {
            if (!window_of_phase(c, 1, e, &j, &right, &patches.w))
                continue;
            const long step = w->stride[1];
            const sp_weights t = { w->data + g * n.rows * w->stride[0] + (i * a->kernel[1] + j) * step, n.channels, n.taps * step,
                                   w->stride[0], down * a->kernel[1] * step, right * step, NULL };
            const sp_maps to = { dx->data + g * n.channels * dx->stride[1] + f * dx->stride[2] + e * dx->stride[3],
                                 dx->stride[0], dx->stride[1], a->stride[0] * dx->stride[2], a->stride[1] * dx->stride[3] };
            sp_patches_add(&t, &patches, &to);
        }
    }
}

/* Where positions are few beside the numbers of x, or phases many: [positions, channels taps] = dY' W, what each position
   gives each tap, added to x. */
static bool scatters(const sp_call *c)
{
    double cells = 1, positions = 1, phases = 1;
    for (int i = 0; i < 2; i++) {
        const long s = ((const sp_slide *)c->attr)->stride[i];
        cells *= (double)(c->x[0].shape.dim[2 + i] / s + 1);
        positions *= (double)c->dy.shape.dim[2 + i];
        phases *= (double)phases_of(c, i);
    }
    return 2 * positions <= cells || phases > 4;
}

/* Position (p,q) of dy, [channels,taps], to the channels of an image. */
SP_CLONES static void scatter(const sp_call *c, long channels, const sp_real *restrict from, long p, long q,
                              sp_real *restrict image)
{
    const sp_window h = window_of(c, 0), w = window_of(c, 1);
    const sp_window rows = { h.size, h.taps, 1, h.move, 0, p * h.step + h.from };
    const sp_window columns = { w.size, w.taps, 1, w.move, 0, q * w.step + w.from };
    const sp_view *dx = &c->dx[0];
    long i, bottom, j, end;
    const long row = sp_window_meet(&rows, 0, &i, &bottom), column = sp_window_meet(&columns, 0, &j, &end);
    for (long k = 0; k < channels; k++)
        for (long tap = i; tap < bottom; tap++) {
            sp_real *restrict to = image + k * dx->stride[1] + (row + (tap - i) * h.move) * dx->stride[2] + column;
            const sp_real *restrict line = from + (k * h.taps + tap) * w.taps + j;
            if (w.move == 1)
                give_line(end - j, 1, to, 1, line);
            else
                give_line(end - j, 1, to, w.move, line);
        }
}

/* False without memory: nothing was added. */
static bool scatter_x(const sp_call *c, struct group n, long g)
{
    const sp_view *w = &c->x[1], *dx = &c->dx[0], *dy = &c->dy;
    const long width = n.channels * n.taps, lines = dy->shape.dim[2], line = dy->shape.dim[3];
    const long all = dy->shape.dim[0] * lines * line;
    const long most = SCATTERED / (width + n.rows) + 1, block = most < all ? most : all;
    sp_real *taps = malloc((size_t)block * (size_t)(width + n.rows) * sizeof *taps);
    if (!taps)
        return false;
    sp_real *rows = taps + block * width;
    const sp_view right = { w->data + g * n.rows * w->stride[0], { 2, { n.rows, width } }, { w->stride[0], w->stride[1] } };
    for (long at = 0; at < all; at += block) {
        const long count = all - at < block ? all - at : block;
        const sp_view left = { rows, { 2, { count, n.rows } }, { n.rows, 1 } };
        const sp_view out = { taps, { 2, { count, width } }, { width, 1 } };
        for (long i = 0; i < count; i++)
            for (long o = 0; o < n.rows; o++)
                rows[i * n.rows + o] = dy->data[(at + i) / line / lines * dy->stride[0] + (g * n.rows + o) * dy->stride[1]
                                                + (at + i) / line % lines * dy->stride[2] + (at + i) % line * dy->stride[3]];
        sp_gemm(1, &left, &right, 0, &out);
        for (long i = at; i < at + count; i++)
            scatter(c, n.channels, taps + (i - at) * width, i / line % lines, i % line,
                    dx->data + i / line / lines * dx->stride[0] + g * n.channels * dx->stride[1]);
    }
    free(taps);
    return true;
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
    const bool scattered = scatters(c);
    if (!sp_elements(&c->y))
        return;
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
        if (c->dx[0].data && n.channels && !(scattered && scatter_x(c, n, g)))
            gather_x(c, n, g);
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

/* What a slide says of axes that are not there, or of a kernel that is not the weight's, nobody meant. */
static bool meant(sp_tape *t, sp_slide how, sp_shape x, sp_shape w)
{
    char x_text[SP_SHAPE_TEXT], w_text[SP_SHAPE_TEXT];
    sp_shape_format(x_text, x), sp_shape_format(w_text, w);
    const bool one = how.kernel[1] < 2 && how.stride[1] < 2 && how.dilation[1] < 2
                     && how.kernel[1] >= 0 && how.stride[1] >= 0 && how.dilation[1] >= 0 && !how.padding[1];
    if (x.rank == 3 && !one) {
        sp_tape_fail(t, SP_ERR_VALUE, "conv: %s by %s: along a second axis, which there is not, a kernel of %ld, stride %ld, "
                     "padding %ld, dilation %ld", x_text, w_text, how.kernel[1], how.stride[1], how.padding[1], how.dilation[1]);
        return false;
    }
    for (int i = 0; i < x.rank - 2; i++)
        if (how.kernel[i] && how.kernel[i] != w.dim[2 + i]) {
            sp_tape_fail(t, SP_ERR_VALUE, "conv: %s by %s: a kernel of %ld along axis %d is not the weight's", x_text, w_text,
                         how.kernel[i], i);
            return false;
        }
    return true;
}

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
    if (!meant(t, how, sx, sw))
        return sp_tape_fail(t, SP_ERR_VALUE, "conv: no input");
    struct conv a = { sp_slide_full(how, sx.rank), sx.rank };
    a.how.kernel[0] = sx.rank == 4 ? sw.dim[2] : 1;
    a.how.kernel[1] = sw.dim[sw.rank - 1];
    in[0] = sp_as_maps(t, x);
    in[1] = sp_reshape(t, w, SP_SHAPE(sw.dim[0], sw.dim[1] * a.how.kernel[0] * a.how.kernel[1]));
    return sp_like_maps(t, sp_record(t, &sp_op_conv, bias ? 3 : 2, in, &a, sizeof a), sx.rank);
}
