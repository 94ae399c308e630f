/* y = w xn + b,  xn = (x - m) r,  r = 1 / sqrt(v + epsilon), for each channel of [B,C,H,W]. Training: m and v are the mean and
   the (biased) variance of the channel's n numbers, and with h = dy w
      dx += r (h - mean(h) - xn mean(h xn))   dw += sum dy xn   db += sum dy
   Otherwise m and v are the inputs mean and variance, constants: dx += r h.
   Statistics of a store are moved on, not learned: what their place in the gradients holds is their change until now, so
      dmean += momentum (m - (mean + dmean))   dvariance += momentum (v n / (n - 1) - (variance + dvariance))   dcount += 1
   and several sweeps before one step of an optimizer do what as many steps would.
   Training saves m, r and v, [C,3]. Source: Ioffe, Szegedy, "Batch normalization", ICML 2015. */
#include <math.h>

#include "ops/kernel.h"

#include "config.h"

#include "autograd/clones_inside.h"

enum { X, WEIGHT, BIAS, MEAN, VARIANCE, COUNT };

struct attr {
    int axis;                   /* SP_OP_AXIS: in training it is over the leading one, else over none, which 1 stands for */
    bool training;
    double momentum, epsilon;
    int rank;                   /* of the caller's x */
};

static bool infer(sp_call *c, sp_status *s)
{
    static const char *const names[] = { "", "weight", "bias", "mean", "variance" };
    const struct attr *a = c->attr;
    const sp_shape x = c->x[X].shape;
    char text[SP_SHAPE_TEXT], other[SP_SHAPE_TEXT];
    sp_shape_format(text, sp_maps_shape(x, a->rank));
    for (int i = WEIGHT; i <= VARIANCE; i++)
        if (c->x[i].shape.rank != 1 || c->x[i].shape.dim[0] != x.dim[1])
            return sp_fail(s, SP_ERR_SHAPE, "%s with the %s %s: needs [%ld]", text, names[i],
                           sp_shape_format(other, c->x[i].shape), x.dim[1]);
    if (c->inputs > COUNT && sp_shape_size(c->x[COUNT].shape) != 1)
        return sp_fail(s, SP_ERR_SHAPE, "%s with the count %s: needs one number", text, sp_shape_format(other, c->x[COUNT].shape));
    if (!(a->epsilon >= 0 && isfinite(a->epsilon)))
        return sp_fail(s, SP_ERR_VALUE, "epsilon is %g, not 0 or more", a->epsilon);
    if (!(a->momentum >= 0 && a->momentum <= 1))
        return sp_fail(s, SP_ERR_VALUE, "the momentum is %g, not in [0,1]", a->momentum);
    if (a->training && x.dim[0] * x.dim[2] * x.dim[3] == 1)
        return sp_fail(s, SP_ERR_SHAPE, "%s: training needs more than the 1 value that each of the %ld channels has", text, x.dim[1]);
    c->y.shape = x;
    if (a->training)
        c->saved.shape = SP_SHAPE(x.dim[1], 3);
    return true;
}

/* A channel in pieces of `length` numbers, `inner` of them to an image. */
struct channel {
    long pieces, inner, length;
};

static struct channel channel_of(const sp_view *v)
{
    const long height = v->shape.dim[2], width = v->shape.dim[3];
    if (height == 1 || v->stride[2] == width)
        return (struct channel){ v->shape.dim[0], 1, height * width };
    return (struct channel){ v->shape.dim[0] * height, height, width };
}

static sp_real *piece(const sp_view *v, const struct channel *k, long channel, long i)
{
    return v->data + i / k->inner * v->stride[0] + channel * v->stride[1] + i % k->inner * v->stride[2];
}

static sp_real at(const sp_view *v, long i)
{
    return v->data[i * v->stride[0]];
}

/* Sums are taken in so many sums of sp_real, which after so many numbers each are added to one of double. */
enum { LANES = 16, STRETCH = 256 };

/* What is done to the numbers of a channel is done to a piece, or to the rows of some channels, [rows,n], whose numbers lie
   side by side: those of x are then xs apart from row to row, those of y ys. */
enum { TILE = 64 };

/* Adds the sum of x - m, and of its square. */
SP_CLONES static void sums(long n, const sp_real *restrict x, sp_real m, double *sum, double *square)
{
    for (long from = 0, end; from < n; from = end) {
        sp_real lane[LANES] = { 0 }, lane2[LANES] = { 0 };
        end = n - from < LANES * STRETCH ? n : from + LANES * STRETCH;
        for (long i = from; i < end; i += LANES)
            for (int k = 0; k < (end - i < LANES ? end - i : LANES); k++) {
                const sp_real d = x[i + k] - m;
                lane[k] += d;
                lane2[k] += d * d;
            }
        for (int k = 0; k < LANES; k++) {
            *sum += (double)lane[k];
            *square += (double)lane2[k];
        }
    }
}

SP_CLONES static void row_sums(long rows, long n, const sp_real *restrict x, long xs, const sp_real *restrict m,
                               double *sum, double *square)
{
    for (long from = 0, end; from < rows; from = end) {
        sp_real lane[TILE] = { 0 }, lane2[TILE] = { 0 };
        end = rows - from < STRETCH ? rows : from + STRETCH;
        for (long i = from; i < end; i++)
            for (long k = 0; k < n; k++) {
                const sp_real d = x[i * xs + k] - m[k];
                lane[k] += d;
                lane2[k] += d * d;
            }
        for (long k = 0; k < n; k++) {
            sum[k] += (double)lane[k];
            square[k] += (double)lane2[k];
        }
    }
}

/* Adds the sum of dy, and of dy (x - m). */
SP_CLONES static void products(long n, const sp_real *restrict dy, const sp_real *restrict x, sp_real m, double *sum, double *product)
{
    for (long from = 0, end; from < n; from = end) {
        sp_real lane[LANES] = { 0 }, lane2[LANES] = { 0 };
        end = n - from < LANES * STRETCH ? n : from + LANES * STRETCH;
        for (long i = from; i < end; i += LANES)
            for (int k = 0; k < (end - i < LANES ? end - i : LANES); k++) {
                lane[k] += dy[i + k];
                lane2[k] += dy[i + k] * (x[i + k] - m);
            }
        for (int k = 0; k < LANES; k++) {
            *sum += (double)lane[k];
            *product += (double)lane2[k];
        }
    }
}

SP_CLONES static void row_products(long rows, long n, const sp_real *restrict dy, long ys, const sp_real *restrict x, long xs,
                                   const sp_real *restrict m, double *sum, double *product)
{
    for (long from = 0, end; from < rows; from = end) {
        sp_real lane[TILE] = { 0 }, lane2[TILE] = { 0 };
        end = rows - from < STRETCH ? rows : from + STRETCH;
        for (long i = from; i < end; i++)
            for (long k = 0; k < n; k++) {
                lane[k] += dy[i * ys + k];
                lane2[k] += dy[i * ys + k] * (x[i * xs + k] - m[k]);
            }
        for (long k = 0; k < n; k++) {
            sum[k] += (double)lane[k];
            product[k] += (double)lane2[k];
        }
    }
}

/* y = scale (x - m) + shift */
SP_CLONES static void normalise(long n, const sp_real *restrict x, sp_real m, sp_real scale, sp_real shift, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] = (x[i] - m) * scale + shift;
}

SP_CLONES static void row_normalise(long rows, long n, const sp_real *restrict x, long xs, const sp_real *restrict m,
                                    const sp_real *restrict scale, const sp_real *restrict shift, sp_real *restrict y, long ys)
{
    for (long i = 0; i < rows; i++)
        for (long k = 0; k < n; k++)
            y[i * ys + k] = (x[i * xs + k] - m[k]) * scale[k] + shift[k];
}

/* dx += scale dy - shift - factor (x - m) */
SP_CLONES static void spread(long n, const sp_real *restrict dy, const sp_real *restrict x, sp_real m, sp_real scale,
                             sp_real shift, sp_real factor, sp_real *restrict dx)
{
    for (long i = 0; i < n; i++)
        dx[i] += scale * dy[i] - shift - factor * (x[i] - m);
}

SP_CLONES static void row_spread(long rows, long n, const sp_real *restrict dy, long ys, const sp_real *restrict x, long xs,
                                 const sp_real *restrict m, const sp_real *restrict scale, const sp_real *restrict shift,
                                 const sp_real *restrict factor, sp_real *restrict dx)
{
    for (long i = 0; i < rows; i++)
        for (long k = 0; k < n; k++)
            dx[i * xs + k] += scale[k] * dy[i * ys + k] - shift[k] - factor[k] * (x[i * xs + k] - m[k]);
}

/* Channels `from` to that before from + n: as many as are done at once; none before the first. */
struct some {
    bool rows;                  /* one number of each to an image */
    long from, n;
};

static bool next(const sp_view *x, struct some *k)
{
    k->rows = x->shape.dim[2] * x->shape.dim[3] == 1;
    k->from += k->n;
    k->n = k->rows ? TILE : 1;
    if (k->n > x->shape.dim[1] - k->from)
        k->n = x->shape.dim[1] - k->from;
    return k->n > 0;
}

/* [n] sums of x - m and of its square. */
static void sums_of(const sp_view *x, const struct some *k, const sp_real *m, double *sum, double *square)
{
    for (long i = 0; i < k->n; i++)
        sum[i] = square[i] = 0;
    if (k->rows) {
        row_sums(x->shape.dim[0], k->n, x->data + k->from, x->stride[0], m, sum, square);
        return;
    }
    const struct channel c = channel_of(x);
    for (long i = 0; i < c.pieces; i++)
        sums(c.length, piece(x, &c, k->from, i), *m, sum, square);
}

static double numbers(const sp_view *x)
{
    return (double)(x->shape.dim[0] * x->shape.dim[2] * x->shape.dim[3]);
}

/* The mean of a channel, and its variance: a first mean from sums about the first number, which may lie far off, then both
   from sums about that mean. */
static void moments(const sp_view *x, const struct some *k, double *mean, double *variance)
{
    const double n = numbers(x);
    sp_real about[TILE];
    double sum[TILE];
    for (long i = 0; i < k->n; i++)
        about[i] = x->data[(k->from + i) * x->stride[1]];
    sums_of(x, k, about, sum, variance);
    for (long i = 0; i < k->n; i++)
        about[i] = (sp_real)((double)about[i] + sum[i] / n);
    sums_of(x, k, about, sum, variance);
    for (long i = 0; i < k->n; i++) {
        const double rest = sum[i] / n;
        mean[i] = (double)about[i] + rest;
        variance[i] = variance[i] / n - rest * rest;
    }
}

/* m and r of some channels: what training has saved, or from the inputs. */
static void constants(const sp_call *c, const struct some *k, sp_real *m, sp_real *r)
{
    const struct attr *a = c->attr;
    for (long i = 0, channel = k->from; i < k->n; i++, channel++) {
        m[i] = a->training ? c->saved.data[3 * channel] : at(&c->x[MEAN], channel);
        r[i] = a->training ? c->saved.data[3 * channel + 1]
                           : (sp_real)(1 / sqrt((double)at(&c->x[VARIANCE], channel) + a->epsilon));
    }
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const sp_view *x = &c->x[X], *y = &c->y;
    sp_real m[TILE], r[TILE], scale[TILE], shift[TILE];
    double mean[TILE], variance[TILE];
    if (!(numbers(x) > 0))
        return;
    for (struct some k = { 0 }; next(x, &k); ) {
        if (a->training)
            moments(x, &k, mean, variance);
        for (long i = 0; a->training && i < k.n; i++) {
            sp_real *saved = c->saved.data + 3 * (k.from + i);
            saved[0] = (sp_real)mean[i];
            saved[1] = (sp_real)(1 / sqrt(variance[i] + a->epsilon));
            saved[2] = (sp_real)variance[i];
        }
        constants(c, &k, m, r);
        for (long i = 0; i < k.n; i++) {
            scale[i] = r[i] * at(&c->x[WEIGHT], k.from + i);
            shift[i] = at(&c->x[BIAS], k.from + i);
        }
        const struct channel l = channel_of(x);
        if (k.rows)
            row_normalise(x->shape.dim[0], k.n, x->data + k.from, x->stride[0], m, scale, shift, y->data + k.from, y->stride[0]);
        for (long i = 0; !k.rows && i < l.pieces; i++)
            normalise(l.length, piece(x, &l, k.from, i), *m, *scale, *shift, piece(y, &l, k.from, i));
    }
}

/* What a statistic changes by, added to its place in the gradients. */
static void move(const sp_call *c, int input, long i, double rate, double value)
{
    const sp_view *d = &c->dx[input];
    if (d->data && c->param[input] && c->param[input]->statistic) {
        sp_real *change = d->data + (d->shape.rank ? i * d->stride[0] : 0);
        const double now = (double)c->x[input].data[d->shape.rank ? i * d->stride[0] : 0] + (double)*change;
        *change += (sp_real)(rate * (value - now));
    }
}

/* sum dy and sum dy (x - m) of each channel. */
static void products_of(const sp_call *c, const struct some *k, const sp_real *m, double *sum, double *product)
{
    const sp_view *x = &c->x[X], *dy = &c->dy;
    for (long i = 0; i < k->n; i++)
        sum[i] = product[i] = 0;
    if (k->rows) {
        row_products(x->shape.dim[0], k->n, dy->data + k->from, dy->stride[0], x->data + k->from, x->stride[0], m, sum, product);
        return;
    }
    const struct channel l = channel_of(x);
    for (long i = 0; i < l.pieces; i++)
        products(l.length, piece(dy, &l, k->from, i), piece(x, &l, k->from, i), *m, sum, product);
}

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const sp_view *x = &c->x[X], *dx = &c->dx[X], *dy = &c->dy;
    const double n = numbers(x);
    sp_real m[TILE], r[TILE], scale[TILE], shift[TILE], factor[TILE];
    double sum[TILE], product[TILE];
    if (!(n > 0))
        return;
    for (struct some k = { 0 }; next(x, &k); ) {
        constants(c, &k, m, r);
        products_of(c, &k, m, sum, product);
        for (long i = 0; i < k.n; i++) {
            const long channel = k.from + i;
            if (c->dx[WEIGHT].data)
                c->dx[WEIGHT].data[channel * c->dx[WEIGHT].stride[0]] += (sp_real)(product[i] * (double)r[i]);
            if (c->dx[BIAS].data)
                c->dx[BIAS].data[channel * c->dx[BIAS].stride[0]] += (sp_real)sum[i];
            scale[i] = r[i] * at(&c->x[WEIGHT], channel);
            shift[i] = a->training ? (sp_real)((double)scale[i] * sum[i] / n) : 0;
            factor[i] = a->training ? (sp_real)((double)scale[i] * (double)r[i] * (double)r[i] * product[i] / n) : 0;
            if (a->training) {
                move(c, MEAN, channel, a->momentum, (double)m[i]);
                move(c, VARIANCE, channel, a->momentum, (double)c->saved.data[3 * channel + 2] * n / (n - 1));
            }
        }
        const struct channel l = channel_of(x);
        if (k.rows && dx->data)
            row_spread(x->shape.dim[0], k.n, dy->data + k.from, dy->stride[0], x->data + k.from, x->stride[0], m, scale, shift,
                       factor, dx->data + k.from);
        for (long i = 0; !k.rows && dx->data && i < l.pieces; i++)
            spread(l.length, piece(dy, &l, k.from, i), piece(x, &l, k.from, i), *m, *scale, *shift, *factor,
                   piece(dx, &l, k.from, i));
    }
    if (a->training && c->inputs > COUNT && c->dx[COUNT].data && c->param[COUNT] && c->param[COUNT]->statistic)
        *c->dx[COUNT].data += 1;
}

static sp_cost cost(const sp_call *c, bool back)
{
    const struct attr *a = c->attr;
    return sp_cost_each(c, back, a->training ? 10 : 2, (const double[]){ 6, 5, 1, 0, 0, 0 }, SP_READS_X | SP_READS_SAVED);
}

/* ---- probes ---------------------------------------------------------------------------------------------------- */

static sp_tensor *constant(sp_tape *t, long n, double value)
{
    return sp_full(t, (sp_real)value, SP_SHAPE(n));
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    const long n = sp_dim(leaf[1], 0);
    return sp_batch_norm(t, leaf[0], leaf[1], leaf[2], constant(t, n, 0.25), constant(t, n, 2), NULL, 0.1, 1e-2);
}

static sp_tensor *build_evaluated(sp_tape *t, sp_tensor **leaf)
{
    const bool training = sp_tape_training(t);
    sp_tape_set_training(t, false);
    sp_tensor *y = build(t, leaf);
    sp_tape_set_training(t, training);
    return y;
}

static sp_tensor *build_transposed(sp_tape *t, sp_tensor **leaf)
{
    return build(t, (sp_tensor *[]){ sp_transpose(t, leaf[0], 1, 2), leaf[1], leaf[2] });
}

#define CHANNELS(n) { { 1, { n } }, 0.5, 1.5 }, { { 1, { n } }, -1, 1 }
static const struct sp_probe probes[] = {
    { "images", { { { 4, { 2, 3, 2, 3 } }, -1, 1 }, CHANNELS(3) }, build },
    { "matrix", { { { 2, { 5, 3 } }, -1, 1 }, CHANNELS(3) }, build },
    { "transposed", { { { 3, { 2, 4, 3 } }, -1, 1 }, CHANNELS(3) }, build_transposed },
    { "evaluated", { { { 3, { 2, 3, 4 } }, -1, 1 }, CHANNELS(3) }, build_evaluated },
    { 0 }
};

const sp_op sp_op_batch_norm = {
    "batch_norm", SP_OP_ROWS | SP_OP_AXIS | SP_OP_SHARED << WEIGHT | SP_OP_SHARED << BIAS | SP_OP_SHARED << MEAN
    | SP_OP_SHARED << VARIANCE | SP_OP_SHARED << COUNT | SP_OP_MOVES | SP_OP_FREES << BIAS | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_batch_norm(sp_tape *t, sp_tensor *x, sp_tensor *weight, sp_tensor *bias, sp_tensor *mean, sp_tensor *variance,
                         sp_tensor *count, double momentum, double epsilon)
{
    char text[SP_SHAPE_TEXT];
    const sp_shape s = sp_shape_get(x);
    const bool training = sp_tape_training(t);
    const struct attr a = { training ? 0 : 1, training, momentum, epsilon, s.rank };
    if (!sp_usable(t, x, "batch_norm", "input", 1))
        return sp_tape_fail(t, SP_ERR_VALUE, "batch_norm: no input");
    if (s.rank < 2)
        return sp_tape_fail(t, SP_ERR_SHAPE, "batch_norm: %s: needs [B,C], [B,C,L] or [B,C,H,W]", sp_shape_format(text, s));
    const bool rows = s.rank == 2 || s.dim[2] * s.dim[s.rank - 1] == 1;         /* of 1 or 1 x 1 number each */
    if (rows)
        x = sp_reshape(t, sp_as_rows(t, sp_reshape(t, x, SP_SHAPE(s.dim[0], s.dim[1]))), SP_SHAPE(s.dim[0], s.dim[1], 1, 1));
    sp_tensor *in[] = { rows ? x : sp_as_maps(t, x), weight, bias, mean, variance, count };
    sp_tensor *y = sp_record(t, &sp_op_batch_norm, count ? 6 : 5, in, &a, sizeof a);
    return rows && sp_sound(y) ? sp_reshape(t, y, s) : sp_like_maps(t, y, s.rank);
}
