/* y = w xn + b,  xn = (x - m) r,  r = 1 / sqrt(v + epsilon), for each channel of [B,C,H,W]. Training: m and v are the mean and
   the (biased) variance of the channel's n numbers, and with h = dy w
      dx += r (h - mean(h) - xn mean(h xn))   dw += sum dy xn   db += sum dy
   Otherwise m and v are the inputs mean and variance, constants: dx += r h.
   Statistics of a store are moved on, not learned: what their place in the gradients holds is their change until now, so
      dmean += momentum (m - (mean + dmean))   dvariance += momentum (v n / (n - 1) - (variance + dvariance))   dcount += 1
   and several sweeps before one step of an optimizer do what as many steps would.
   Saves m, r and v, [C,3]. Source: Ioffe, Szegedy, "Batch normalization", ICML 2015. */
#include <math.h>

#include "ops/kernel.h"

#include "config.h"

#include "autograd/clones_inside.h"

enum { X, WEIGHT, BIAS, MEAN, VARIANCE, COUNT };

struct attr {
    double momentum, epsilon;
    bool training;
};

static bool infer(sp_call *c, sp_status *s)
{
    static const char *const names[] = { "", "weight", "bias", "mean", "variance" };
    const struct attr *a = c->attr;
    const sp_shape x = c->x[X].shape;
    char text[SP_SHAPE_TEXT], other[SP_SHAPE_TEXT];
    sp_shape_format(text, x);
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
    c->saved.shape = SP_SHAPE(x.dim[1], 3);
    return true;
}

/* A channel in pieces of `length` numbers that are a step apart, `inner` of them to an image. */
struct channel {
    long pieces, inner, length;
    bool rows;                  /* one number to an image: the piece is all of them, and its step from image to image */
};

static struct channel channel_of(const sp_view *v)
{
    const long height = v->shape.dim[2], width = v->shape.dim[3];
    if (height * width == 1)
        return (struct channel){ 1, 1, v->shape.dim[0], true };
    if (height == 1 || v->stride[2] == width)
        return (struct channel){ v->shape.dim[0], 1, height * width, false };
    return (struct channel){ v->shape.dim[0] * height, height, width, false };
}

static long step(const sp_view *v, const struct channel *k)
{
    return k->rows ? v->stride[0] : 1;
}

static sp_real *piece(const sp_view *v, const struct channel *k, long channel, long i)
{
    return v->data + i / k->inner * v->stride[0] + channel * v->stride[1] + i % k->inner * v->stride[2];
}

enum { LANES = 16 };

#ifdef __GNUC__
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE inline
#endif

/* Where both steps are 1 the compiler sees that. */
#define UNIT(unit, call, ...) do { if (unit) call(1, 1, __VA_ARGS__); else call(xs, ys, __VA_ARGS__); } while (0)

static INLINE void sums_by(long xs, long ys, long n, const sp_real *restrict x, sp_real m, double *sum, double *square)
{
    sp_real lane[LANES] = { 0 }, lane2[LANES] = { 0 };
    (void)ys;
    for (long i = 0; i < n; i += LANES)
        for (int k = 0; k < (n - i < LANES ? n - i : LANES); k++) {
            const sp_real d = x[(i + k) * xs] - m;
            lane[k] += d;
            lane2[k] += d * d;
        }
    for (int k = 0; k < LANES; k++) {
        *sum += (double)lane[k];
        *square += (double)lane2[k];
    }
}

static INLINE void products_by(long xs, long ys, long n, const sp_real *restrict dy, const sp_real *restrict x, sp_real m,
                               double *sum, double *product)
{
    sp_real lane[LANES] = { 0 }, lane2[LANES] = { 0 };
    for (long i = 0; i < n; i += LANES)
        for (int k = 0; k < (n - i < LANES ? n - i : LANES); k++) {
            lane[k] += dy[(i + k) * ys];
            lane2[k] += dy[(i + k) * ys] * (x[(i + k) * xs] - m);
        }
    for (int k = 0; k < LANES; k++) {
        *sum += (double)lane[k];
        *product += (double)lane2[k];
    }
}

static INLINE void normalise_by(long xs, long ys, long n, const sp_real *restrict x, sp_real m, sp_real scale, sp_real shift,
                                sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i * ys] = (x[i * xs] - m) * scale + shift;
}

static INLINE void spread_by(long xs, long ys, long n, const sp_real *restrict dy, const sp_real *restrict x, sp_real m,
                             sp_real scale, sp_real shift, sp_real factor, sp_real *restrict dx)
{
    for (long i = 0; i < n; i++)
        dx[i * xs] += scale * dy[i * ys] - shift - factor * (x[i * xs] - m);
}

/* Adds the sum of x - m, and of its square. */
SP_CLONES static void sums(long xs, long n, const sp_real *x, sp_real m, double *sum, double *square)
{
    const long ys = 1;
    UNIT(xs == 1, sums_by, n, x, m, sum, square);
}

/* Adds the sum of dy, and of dy (x - m). */
SP_CLONES static void products(long xs, long ys, long n, const sp_real *dy, const sp_real *x, sp_real m, double *sum, double *product)
{
    UNIT(xs == 1 && ys == 1, products_by, n, dy, x, m, sum, product);
}

/* y = scale (x - m) + shift */
SP_CLONES static void normalise(long xs, long ys, long n, const sp_real *x, sp_real m, sp_real scale, sp_real shift, sp_real *y)
{
    UNIT(xs == 1 && ys == 1, normalise_by, n, x, m, scale, shift, y);
}

/* dx += scale dy - shift - factor (x - m) */
SP_CLONES static void spread(long xs, long ys, long n, const sp_real *dy, const sp_real *x, sp_real m, sp_real scale,
                             sp_real shift, sp_real factor, sp_real *dx)
{
    UNIT(xs == 1 && ys == 1, spread_by, n, dy, x, m, scale, shift, factor, dx);
}

static sp_real at(const sp_view *v, long i)
{
    return v->data[i * v->stride[0]];
}

/* The mean of a channel, and its variance: the mean from sums about the first number, the variance from those about it. */
static void moments(const sp_view *x, long channel, double *mean, double *variance)
{
    const struct channel k = channel_of(x);
    const double n = (double)(k.pieces * k.length);
    double sum = 0, square = 0, rest = 0;
    const sp_real first = *piece(x, &k, channel, 0);
    for (long i = 0; i < k.pieces; i++)
        sums(step(x, &k), k.length, piece(x, &k, channel, i), first, &sum, &square);
    *mean = (double)first + sum / n;
    square = 0;
    for (long i = 0; i < k.pieces; i++)
        sums(step(x, &k), k.length, piece(x, &k, channel, i), (sp_real)*mean, &rest, &square);
    *variance = square / n - (rest / n) * (rest / n);           /* about a mean that was rounded */
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const sp_view *x = &c->x[X];
    const struct channel k = channel_of(x);
    const bool any = k.pieces * k.length > 0;
    for (long channel = 0; channel < x->shape.dim[1]; channel++) {
        double mean = (double)at(&c->x[MEAN], channel), variance = (double)at(&c->x[VARIANCE], channel);
        if (a->training && any)
            moments(x, channel, &mean, &variance);
        const sp_real m = (sp_real)mean, r = (sp_real)(1 / sqrt(variance + a->epsilon));
        c->saved.data[3 * channel] = m;
        c->saved.data[3 * channel + 1] = r;
        c->saved.data[3 * channel + 2] = (sp_real)variance;
        for (long i = 0; i < k.pieces; i++)
            normalise(step(x, &k), step(&c->y, &k), k.length, piece(x, &k, channel, i), m, r * at(&c->x[WEIGHT], channel),
                      at(&c->x[BIAS], channel), piece(&c->y, &k, channel, i));
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

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const sp_view *x = &c->x[X], *dx = &c->dx[X], *dy = &c->dy;
    const struct channel k = channel_of(x);
    const long xs = step(x, &k), ys = step(dy, &k);
    const double n = (double)(k.pieces * k.length);
    if (!(n > 0))
        return;
    for (long channel = 0; channel < x->shape.dim[1]; channel++) {
        const sp_real m = c->saved.data[3 * channel], r = c->saved.data[3 * channel + 1], w = at(&c->x[WEIGHT], channel);
        double sum = 0, product = 0;
        for (long i = 0; i < k.pieces; i++)
            products(xs, ys, k.length, piece(dy, &k, channel, i), piece(x, &k, channel, i), m, &sum, &product);
        if (c->dx[WEIGHT].data)
            c->dx[WEIGHT].data[channel * c->dx[WEIGHT].stride[0]] += (sp_real)(product * (double)r);
        if (c->dx[BIAS].data)
            c->dx[BIAS].data[channel * c->dx[BIAS].stride[0]] += (sp_real)sum;
        const sp_real shift = a->training ? (sp_real)((double)(r * w) * sum / n) : 0;
        const sp_real factor = a->training ? (sp_real)((double)(r * w) * (double)r * (double)r * product / n) : 0;
        for (long i = 0; dx->data && i < k.pieces; i++)
            spread(xs, ys, k.length, piece(dy, &k, channel, i), piece(x, &k, channel, i), m, r * w, shift, factor,
                   piece(dx, &k, channel, i));
        if (a->training) {
            move(c, MEAN, channel, a->momentum, (double)m);
            move(c, VARIANCE, channel, a->momentum, (double)c->saved.data[3 * channel + 2] * n / (n - 1));
        }
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
    "batch_norm", SP_OP_MOVES | SP_OP_FREES << BIAS | SP_OP_FREES_Y, infer, forward, backward, cost, probes
};

sp_tensor *sp_batch_norm(sp_tape *t, sp_tensor *x, sp_tensor *weight, sp_tensor *bias, sp_tensor *mean, sp_tensor *variance,
                         sp_tensor *count, double momentum, double epsilon)
{
    char text[SP_SHAPE_TEXT];
    const sp_shape s = sp_shape_get(x);
    const struct attr a = { momentum, epsilon, sp_tape_training(t) };
    if (!sp_usable(t, x, "batch_norm", "input", 1))
        return sp_tape_fail(t, SP_ERR_VALUE, "batch_norm: no input");
    if (s.rank < 2)
        return sp_tape_fail(t, SP_ERR_SHAPE, "batch_norm: %s: needs [B,C], [B,C,L] or [B,C,H,W]", sp_shape_format(text, s));
    sp_tensor *maps = s.rank == 2 ? sp_reshape(t, x, SP_SHAPE(s.dim[0], s.dim[1], 1, 1)) : sp_as_maps(t, x);
    sp_tensor *in[] = { maps, weight, bias, mean, variance, count };
    sp_tensor *y = sp_record(t, &sp_op_batch_norm, count ? 6 : 5, in, &a, sizeof a);
    return s.rank == 2 && sp_sound(y) ? sp_reshape(t, y, s) : sp_like_maps(t, y, s.rank);
}
