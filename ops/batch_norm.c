/* y = w xn + b,  xn = (x - m) r,  r = 1 / sqrt(v + epsilon), for each channel of [B,C,H,W]. Training: m and v are the mean and
   the (biased) variance of the channel's n numbers, and with h = dy w
      dx += r (h - mean(h) - xn mean(h xn))   dw += sum dy xn   db += sum dy
   Otherwise m and v are the inputs mean and variance, constants: dx += r h.
   Statistics of a store are moved on, not learned: what their place in the gradients holds is their change until now, so
      dmean += momentum (m - (mean + dmean))   dvariance += momentum (v n / (n - 1) - (variance + dvariance))   dcount += 1
   and several sweeps before one step of an optimizer do what as many steps would.
   Training saves m, r and v, [C,3]. Source: Ioffe, Szegedy, "Batch normalization", ICML 2015. */
#include <math.h>
#include <string.h>

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

static sp_real at(const sp_view *v, long i)
{
    return v->data[i * v->stride[0]];
}

/* What is done at once: channels `from` to that before from + n, none before the first. Either those of [B,C], whose numbers
   lie side by side, TILE of them row by row; or one, whose pieces are cut into rows of TILE numbers. So a kernel has rows of up
   to TILE numbers, and an m, a sum and so on for each column. */
enum { TILE = 64 };

struct some {
    bool side;                  /* side by side */
    long from, n;
};

static bool next(const sp_view *x, struct some *k)
{
    k->side = x->shape.dim[2] * x->shape.dim[3] == 1 && x->shape.dim[1] > 1;
    k->from += k->n;
    k->n = k->side ? TILE : 1;
    if (k->n > x->shape.dim[1] - k->from)
        k->n = x->shape.dim[1] - k->from;
    return k->n > 0;
}

/* One channel's value for all columns. */
static void spread_out(const struct some *k, sp_real *value)
{
    for (int i = 1; !k->side && i < TILE; i++)
        value[i] = value[0];
}

/* The sums of columns are those of channels. */
static void gather(const struct some *k, double *sum)
{
    for (int i = 1; !k->side && i < TILE; i++)
        sum[0] += sum[i];
}

/* Rows of numbers, which begin at those places in x and y. */
struct strip {
    long number;                /* 0 before the first */
    long rows, n, x, y, xs, ys; /* steps from row to row */
};

/* A channel is in pieces of `length` numbers, `inner` of them to an image; each is a strip, and another of what is left. */
static bool strip(const sp_view *x, const sp_view *y, const struct some *k, struct strip *s)
{
    const long height = x->shape.dim[2], width = x->shape.dim[3], B = x->shape.dim[0];
    if (k->side) {
        *s = (struct strip){ s->number + 1, B, k->n, k->from, k->from, x->stride[0], y->stride[0] };
        return s->number == 1;
    }
    const bool line = height * width == 1 && x->stride[0] == 1;         /* of all images */
    const bool whole = height == 1 || x->stride[2] == width;
    const long inner = whole ? 1 : height, length = line ? B : whole ? height * width : width;
    const long i = s->number / 2, left = s->number % 2, at = left ? length / TILE * TILE : 0, row = i % inner;
    s->number++;
    s->rows = left ? 1 : length / TILE;
    s->n = left ? length % TILE : TILE;
    s->x = i / inner * x->stride[0] + k->from * x->stride[1] + row * x->stride[2] + at;
    s->y = i / inner * y->stride[0] + k->from * y->stride[1] + row * y->stride[2] + at;
    s->xs = s->ys = TILE;
    return i < (line ? 1 : B * inner);
}

/* Sums are taken in sp_real over so many rows, and those of them in double. */
enum { STRETCH = 256 };

/* Adds the sum of x - m, and of its square. */
SP_CLONES static void sums(const struct strip *s, const sp_real *restrict x, const sp_real *restrict m,
                           double *sum, double *square)
{
    const long n = s->n, xs = s->xs;
    for (long from = 0, end; from < s->rows; from = end) {
        sp_real lane[TILE] = { 0 }, lane2[TILE] = { 0 };
        end = s->rows - from < STRETCH ? s->rows : from + STRETCH;
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
SP_CLONES static void products(const struct strip *s, const sp_real *restrict dy, const sp_real *restrict x,
                               const sp_real *restrict m, double *sum, double *product)
{
    const long n = s->n, xs = s->xs, ys = s->ys;
    for (long from = 0, end; from < s->rows; from = end) {
        sp_real lane[TILE] = { 0 }, lane2[TILE] = { 0 };
        end = s->rows - from < STRETCH ? s->rows : from + STRETCH;
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
SP_CLONES static void normalise(const struct strip *s, const sp_real *restrict x, const sp_real *restrict m,
                                const sp_real *restrict scale, const sp_real *restrict shift, sp_real *restrict y)
{
    const long n = s->n, xs = s->xs, ys = s->ys;
    for (long i = 0; i < s->rows; i++)
        for (long k = 0; k < n; k++)
            y[i * ys + k] = (x[i * xs + k] - m[k]) * scale[k] + shift[k];
}

/* dx += scale dy - shift - factor (x - m) */
SP_CLONES static void spread(const struct strip *s, const sp_real *restrict dy, const sp_real *restrict x,
                             const sp_real *restrict m, const sp_real *restrict scale, const sp_real *restrict shift,
                             const sp_real *restrict factor, sp_real *restrict dx, long ds)
{
    const long n = s->n, xs = s->xs, ys = s->ys;
    for (long i = 0; i < s->rows; i++)
        for (long k = 0; k < n; k++)
            dx[i * ds + k] += scale[k] * dy[i * ys + k] - shift[k] - factor[k] * (x[i * xs + k] - m[k]);
}

static void sums_of(const sp_view *x, const struct some *k, sp_real *m, double *sum, double *square)
{
    memset(sum, 0, TILE * sizeof *sum);
    memset(square, 0, TILE * sizeof *square);
    spread_out(k, m);
    for (struct strip s = { 0 }; strip(x, x, k, &s); )
        sums(&s, x->data + s.x, m, sum, square);
    gather(k, sum);
    gather(k, square);
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
        spread_out(&k, m);
        spread_out(&k, scale);
        spread_out(&k, shift);
        for (struct strip l = { 0 }; strip(x, y, &k, &l); )
            normalise(&l, x->data + l.x, m, scale, shift, y->data + l.y);
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
    const double n = numbers(x);
    sp_real m[TILE], r[TILE], scale[TILE], shift[TILE], factor[TILE];
    if (!(n > 0))
        return;
    for (struct some k = { 0 }; next(x, &k); ) {
        double sum[TILE] = { 0 }, product[TILE] = { 0 };
        constants(c, &k, m, r);
        spread_out(&k, m);
        for (struct strip l = { 0 }; strip(x, dy, &k, &l); )
            products(&l, dy->data + l.y, x->data + l.x, m, sum, product);
        gather(&k, sum);
        gather(&k, product);
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
        spread_out(&k, scale);
        spread_out(&k, shift);
        spread_out(&k, factor);
        for (struct strip l = { 0 }, d = { 0 }; dx->data && strip(x, dy, &k, &l) && strip(x, dx, &k, &d); )
            spread(&l, dy->data + l.y, x->data + l.x, m, scale, shift, factor, dx->data + d.y, d.ys);
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
