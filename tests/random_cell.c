/* A step draws its program while it runs, from its seed and so the same at each call: an operation, and what it takes out of a
   pool of values [B,w] that begins with x and the states; its result joins the pool.

   Which operations there are, the library's table says. One that needs nothing beside its inputs is used on numbers from the
   ranges of its first probe; the others have a row here that builds them. One that has neither is never drawn, which
   test_scan.c finds. */
#include "tests/random_cell.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/kernel.h"

struct value {
    sp_tensor *x;               /* [B,w], or what is broadcast to that */
    double most;                /* no |x| is larger: so that neither numbers nor their rounding grow with time */
};

/* What operations take: any value, or only one that has not grown much. */
#define LOOSE 64.0
#define TIGHT 4.0
#define NEAR 0.2

enum { OPERATIONS = 12, WIDEST = 8, INPUTS = 5 };

struct drawing {
    sp_tape *t;
    const struct random_cell *cell;
    struct random_cell *making; /* while the cell is made: notes the program and declares the parameters in */
    sp_store *store;            /* this; else NULL */
    sp_random random;
    struct value pool[1 + SP_MAX_STATES + OPERATIONS];
    int values, params;
};

static bool one_in(struct drawing *d, long n)
{
    return sp_random_below(&d->random, n) == 0;
}

/* From low to high. */
static long number(struct drawing *d, long low, long high)
{
    return low + sp_random_below(&d->random, high - low + 1);
}

static long width_of(struct value v)
{
    return sp_dim(v.x, -1);
}

/* A parameter: another, or one of that shape that the step has used before. */
static sp_tensor *weight(struct drawing *d, sp_shape shape)
{
    int i = one_in(d, 3) ? 0 : d->params;
    if (!sp_ok(d->t))                                   /* no width is known any more */
        return sp_full(d->t, 0, shape);
    while (i < d->params && !sp_shape_equal(d->cell->param[i]->shape, shape))
        i++;
    if (i == d->params && d->making)
        d->making->param[i] = sp_store_add(d->store, shape, "drawn.%d", i);
    d->params += i == d->params;
    return d->making ? sp_full(d->t, 0, shape) : sp_param_on(d->t, d->cell->param[i]);
}

static sp_tensor *matrix(struct drawing *d, long rows, long columns)
{
    return one_in(d, 3) ? sp_transpose(d->t, weight(d, SP_SHAPE(columns, rows)), 0, 1) : weight(d, SP_SHAPE(rows, columns));
}

/* A value of the pool: half the time the newest, so that programs grow long and many results are used once. */
static struct value any(struct drawing *d)
{
    return d->pool[one_in(d, 2) ? d->values - 1 : number(d, 0, d->values - 1)];
}

/* v from low to high: as it is if its bound says so. */
static struct value between(struct drawing *d, struct value v, double low, double high)
{
    const double middle = (low + high) / 2, half = (high - low) / 2, most = fmax(-low, high);
    if (v.most <= fmin(-low, high))
        return v;
    sp_tensor *x = sp_tanh(d->t, v.x);
    if (half != 1)
        x = sp_scale(d->t, x, half);
    return (struct value){ middle == 0 ? x : sp_add(d->t, x, sp_full(d->t, (sp_real)middle, SP_SCALAR)), most };
}

static struct value within(struct drawing *d, struct value v, double most)
{
    return between(d, v, -most, most);
}

/* v w */
static struct value project(struct drawing *d, struct value v, long width)
{
    v = within(d, v, TIGHT);
    return (struct value){ sp_matmul(d->t, v.x, matrix(d, width_of(v), width)), 0.7 * (double)width_of(v) * v.most };
}

static struct value columns(struct drawing *d, struct value v, long n)
{
    long from = number(d, 0, width_of(v) - n);
    return (struct value){ sp_slice(d->t, v.x, 1, from, from + n), v.most };
}

static struct value of_width(struct drawing *d, struct value v, long width)
{
    if (width_of(v) == width)
        return v;
    return width_of(v) > width && one_in(d, 2) ? columns(d, v, width) : project(d, v, width);
}

/* [B,w], other numbers in every row and the same in every step. */
static struct value row_constant(struct drawing *d, long width)
{
    const long rows = sp_dim(d->pool[0].x, 0);
    sp_real *x = sp_tape_take(d->t, (size_t)(rows * width) * sizeof *x);
    for (long i = 0; x && i < rows * width; i++)
        x[i] = (sp_real)(i % 7) / 7;
    return (struct value){ sp_feed(d->t, x, SP_SHAPE(rows, width)), 1 };
}

/* What goes with [B,w] element by element. */
static struct value beside(struct drawing *d, long width)
{
    switch (number(d, 0, 5)) {
    case 0: return of_width(d, any(d), 1);
    case 1: return row_constant(d, width);
    case 2: return (struct value){ weight(d, SP_SHAPE(width)), 0.7 };
    case 3: return (struct value){ weight(d, SP_SHAPE(1, width)), 0.7 };
    default: return of_width(d, any(d), width);
    }
}

/* Small numbers on others that are far apart and far from 0: rounding does not change which is the larger. */
static struct value apart(struct drawing *d, struct value v)
{
    static const sp_real far[WIDEST] = { 0.5, -1, 1.5, -2, 2.5, -3, 3.5, -4 };
    v = within(d, v, NEAR);
    return (struct value){ sp_add(d->t, v.x, sp_feed(d->t, far, SP_SHAPE(width_of(v)))), 4 + NEAR };
}

/* [B,w] as [B,p,w/p], [w] as [p,w/p]; w is a multiple of p, or 1. */
static sp_tensor *fold(struct drawing *d, sp_tensor *x, long parts)
{
    const sp_shape s = sp_shape_get(x);
    if (!sp_sound(x))
        return x;
    const long width = s.dim[s.rank - 1], p = width % parts ? 1 : parts;
    return sp_reshape(d->t, x, s.rank == 1 ? SP_SHAPE(p, width / p) : SP_SHAPE(s.dim[0], p, width / p));
}

static struct value folded(struct drawing *d, struct value v)
{
    return (struct value){ fold(d, v.x, width_of(v) % 2 ? 1 : 2), v.most };
}

static struct value maybe_folded(struct drawing *d, struct value v)
{
    return one_in(d, 4) ? folded(d, v) : v;
}

/* Any result as [B,w]. */
static struct value as_rows(struct drawing *d, sp_tensor *y, double most)
{
    return (struct value){ sp_shape_get(y).rank == 2 ? y : sp_reshape(d->t, y, SP_SHAPE(sp_dim(y, 0), -1)), most };
}

/* ---- operations that need more than inputs --------------------------------------------------------------------- */

/* x or a state as it is and something new, as cells have it, one way round or the other; or anything. */
static struct value build_add(struct drawing *d)
{
    struct value a = one_in(d, 2) ? any(d) : d->pool[one_in(d, 2) ? 0 : number(d, 1, d->cell->cell.states)];
    struct value b = one_in(d, 2) ? beside(d, width_of(a)) : project(d, any(d), width_of(a));
    return (struct value){ one_in(d, 2) ? sp_add(d->t, a.x, b.x) : sp_add(d->t, b.x, a.x), a.most + b.most };
}

static struct value build_scale(struct drawing *d)
{
    struct value v = any(d);
    return (struct value){ sp_scale(d->t, v.x, (double)number(d, -3, 3) / 2), 1.5 * v.most };
}

/* A mask: the same for all rows, another for each, or drawn in the step, where its zeros are exact. */
static sp_tensor *mask_for(struct drawing *d, long width)
{
    static const sp_real zeros[WIDEST] = { 1, 0, 0, 1, 0, 1, 1, 0 };
    return one_in(d, 3) ? row_constant(d, width).x
         : one_in(d, 2) ? sp_feed(d->t, zeros, SP_SHAPE(width))
                        : sp_dropout(d->t, sp_sigmoid(d->t, of_width(d, any(d), width).x), 0.5);
}

static struct value build_where(struct drawing *d)
{
    struct value a = any(d), b = beside(d, width_of(a));
    sp_tensor *mask = mask_for(d, width_of(a));
    sp_tensor *y = one_in(d, 2) ? sp_where(d->t, mask, a.x, b.x) : sp_where(d->t, mask, b.x, a.x);
    return (struct value){ y, fmax(a.most, b.most) };
}

static struct value build_dropout(struct drawing *d)
{
    struct value v = maybe_folded(d, any(d));
    return as_rows(d, sp_dropout(d->t, v.x, 0.5), 2 * v.most);
}

static struct value build_zoneout(struct drawing *d)
{
    struct value v = any(d), old = of_width(d, any(d), width_of(v));
    sp_tensor *a = old.x, *b = v.x;
    if (one_in(d, 4)) {
        a = folded(d, old).x;
        b = folded(d, v).x;
    }
    return as_rows(d, sp_zoneout(d->t, a, b, 0.4), fmax(v.most, old.most));
}

/* By a weight on the right, also of rows in parts, or on the left; or of rows with rows, as attention has it. */
static struct value build_matmul(struct drawing *d)
{
    struct value a = within(d, any(d), TIGHT), b;
    const long width = number(d, 1, WIDEST / 2);
    sp_tensor *parts = folded(d, a).x;
    switch (number(d, 0, 4)) {
    case 0:
        return as_rows(d, sp_matmul(d->t, parts, matrix(d, sp_dim(parts, 2), width)), 0.7 * a.most * (double)sp_dim(parts, 2));
    case 1:
        return as_rows(d, sp_matmul(d->t, matrix(d, width, sp_dim(parts, 1)), parts), 0.7 * a.most * (double)sp_dim(parts, 1));
    case 2:
        a = within(d, a, 1);
        b = within(d, any(d), 1);
        parts = sp_matmul(d->t, fold(d, a.x, width_of(a)), fold(d, b.x, 1));
        return as_rows(d, sp_matmul(d->t, parts, fold(d, b.x, width_of(b))), (double)width_of(b));
    default:
        return project(d, a, width);
    }
}

static struct value build_affine(struct drawing *d)
{
    struct value v = maybe_folded(d, within(d, any(d), TIGHT));
    const long width = number(d, 1, WIDEST / 2);
    sp_tensor *w = matrix(d, width_of(v), width), *b = weight(d, SP_SHAPE(width));
    return as_rows(d, sp_affine(d->t, v.x, w, b), 0.7 * (double)width_of(v) * v.most + 0.7);
}

static struct value build_softmax(struct drawing *d)
{
    return as_rows(d, sp_softmax(d->t, maybe_folded(d, any(d)).x), 1);
}

/* Some rows may have no place left. */
static struct value build_masked_softmax(struct drawing *d)
{
    struct value v = any(d);
    return (struct value){ sp_masked_softmax(d->t, v.x, mask_for(d, width_of(v))), 1 };
}

static struct value build_log_softmax(struct drawing *d)
{
    struct value v = maybe_folded(d, within(d, any(d), TIGHT));
    return as_rows(d, sp_log_softmax(d->t, v.x), 2 * v.most + log((double)width_of(v)));
}

static struct value build_layer_norm(struct drawing *d)
{
    struct value v = maybe_folded(d, any(d));
    sp_tensor *gain = weight(d, SP_SHAPE(width_of(v))), *bias = weight(d, SP_SHAPE(width_of(v)));
    return as_rows(d, sp_layer_norm(d->t, v.x, gain, bias, 0.1), 0.7 * sqrt((double)width_of(v)) + 0.7);
}

static struct value build_batch_norm(struct drawing *d)
{
    struct value v = any(d);
    const bool training = sp_tape_training(d->t);
    sp_tensor *gain = weight(d, SP_SHAPE(width_of(v))), *bias = weight(d, SP_SHAPE(width_of(v)));
    sp_tensor *mean = sp_full(d->t, (sp_real)0.1, SP_SHAPE(width_of(v))), *variance = sp_full(d->t, 1, SP_SHAPE(width_of(v)));
    sp_tape_set_training(d->t, false);
    sp_tensor *y = sp_batch_norm(d->t, v.x, gain, bias, mean, variance, NULL, 0.1, 0.1);
    sp_tape_set_training(d->t, training);
    return (struct value){ y, 0.7 * (v.most + 0.1) + 0.7 };
}

/* Over all columns, or the parts, or within each. */
static struct value reduced(struct drawing *d, sp_tensor *(*reduce)(sp_tape *t, sp_tensor *x, int axis), struct value v)
{
    const double most = v.most * (double)width_of(v);
    v = one_in(d, 2) ? folded(d, v) : v;
    return as_rows(d, reduce(d->t, v.x, one_in(d, 2) ? 1 : -1), most);
}

static struct value build_sum(struct drawing *d)
{
    return reduced(d, sp_sum, any(d));
}

static struct value build_mean(struct drawing *d)
{
    return reduced(d, sp_mean, any(d));
}

static struct value build_max(struct drawing *d)
{
    return reduced(d, sp_max, apart(d, any(d)));
}

static struct value build_slice(struct drawing *d)
{
    struct value v = any(d);
    return columns(d, v, number(d, 1, width_of(v)));
}

static struct value build_index(struct drawing *d)
{
    struct value v = one_in(d, 2) ? folded(d, any(d)) : any(d);
    const int axis = one_in(d, 2) ? 1 : -1;
    return as_rows(d, sp_index(d->t, v.x, axis, number(d, 0, sp_dim(v.x, axis) - 1)), v.most);
}

static struct value build_transpose(struct drawing *d)
{
    struct value v = folded(d, any(d));
    sp_tensor *y = sp_transpose(d->t, v.x, 1, -1);
    return as_rows(d, one_in(d, 2) ? sp_neg(d->t, y) : y, v.most);
}

static struct value build_reshape(struct drawing *d)
{
    struct value v = folded(d, any(d));
    return as_rows(d, v.x, v.most);
}

static struct value build_concat(struct drawing *d)
{
    struct value v[3];
    sp_tensor *x[3];
    const int n = (int)number(d, 1, 3), constant = (int)number(d, 1, 6);
    double most = 0;
    for (int i = 0; i < n; i++) {
        v[i] = i == constant ? row_constant(d, 2) : any(d);
        x[i] = v[i].x;
        most = fmax(most, v[i].most);
    }
    return (struct value){ sp_concat(d->t, n, x, one_in(d, 2) ? 1 : -1), most };
}

static struct value build_lstm_gates(struct drawing *d)
{
    const long n = number(d, 1, WIDEST / 4);
    struct value c = of_width(d, any(d), n), a = of_width(d, any(d), 4 * n), b = of_width(d, any(d), 4 * n);
    return (struct value){ sp_lstm_gates(d->t, a.x, b.x, c.x), c.most + 1 };
}

static struct value build_gru_gates(struct drawing *d)
{
    const long n = number(d, 1, WIDEST / 3);
    struct value h = of_width(d, any(d), n), a = of_width(d, any(d), 3 * n), b = of_width(d, any(d), 3 * n);
    return (struct value){ sp_gru_gates(d->t, a.x, b.x, h.x), h.most + 1 };
}

/* A value and a target as wide, both whole or in parts, for what compares them. */
static struct value pair(struct drawing *d, double low, double high, struct value *target)
{
    struct value v = within(d, any(d), 1);
    *target = between(d, of_width(d, any(d), width_of(v)), low, high);
    if (!one_in(d, 4))
        return v;
    *target = folded(d, *target);
    return folded(d, v);
}

static struct value build_huber(struct drawing *d)
{
    struct value z, v = pair(d, -1, 1, &z);
    return as_rows(d, sp_huber(d->t, v.x, z.x, 0.75), 1.5);
}

static struct value build_bce_logits(struct drawing *d)
{
    struct value z, v = pair(d, 0.1, 0.9, &z);
    return as_rows(d, sp_bce_logits(d->t, v.x, z.x, 1.5), 4);
}

static struct value build_kl_div(struct drawing *d)
{
    struct value z, v = pair(d, 0.1, 0.9, &z);
    return as_rows(d, sp_kl_div(d->t, v.x, z.x), 2 * WIDEST);
}

/* The logarithm of the variance is as wide, or one for all rows or columns. */
static struct value build_gaussian_nll(struct drawing *d)
{
    struct value v = within(d, any(d), 1), z = within(d, of_width(d, any(d), width_of(v)), 1);
    struct value s = within(d, beside(d, width_of(v)), 1);
    return as_rows(d, sp_gaussian_nll(d->t, v.x, s.x, z.x, 0.5), 5);
}

/* [B,places,width]: the same in every step, or made of a value. */
static struct value memory(struct drawing *d, long places, long width)
{
    struct value v = one_in(d, 2) ? row_constant(d, places * width) : within(d, project(d, any(d), places * width), 1);
    return (struct value){ sp_reshape(d->t, v.x, SP_SHAPE(-1, places, width)), v.most };
}

/* Keys that are the values or others; rows of the mask may be all zeros. */
static struct value build_attend(struct drawing *d)
{
    struct value query = within(d, any(d), 1);
    const long units = width_of(query), places = number(d, 1, 3), kind = number(d, 0, 2);
    struct value keys = memory(d, places, units), values = one_in(d, 2) ? keys : memory(d, places, number(d, 1, 4));
    sp_tensor *mask = one_in(d, 2) ? row_constant(d, places).x
                                   : sp_dropout(d->t, sp_sigmoid(d->t, of_width(d, any(d), places).x), 0.5);
    sp_tensor *score = NULL, *coverage = NULL, *by = NULL;
    if (kind > 0)
        score = weight(d, SP_SHAPE(units));
    if (kind > 1) {
        coverage = of_width(d, any(d), places).x;
        by = weight(d, SP_SHAPE(units));
    }
    return (struct value){ sp_attend(d->t, query.x, keys.x, values.x, mask, score, coverage, by), fmax(1, values.most) };
}

/* The parts of a value as channels. */
static struct value build_conv(struct drawing *d)
{
    struct value v = within(d, any(d), TIGHT);
    sp_tensor *x = folded(d, v).x;
    const long channels = sp_dim(x, 1), groups = one_in(d, 3) ? channels : 1, kernel = one_in(d, 2) ? 3 : 1;
    const sp_slide how = { .stride = { number(d, 1, 2) }, .padding = { kernel / 2 }, .groups = groups };
    sp_tensor *w = weight(d, SP_SHAPE(channels, channels / groups, kernel));
    sp_tensor *bias = one_in(d, 2) ? NULL : weight(d, SP_SHAPE(channels));
    return as_rows(d, sp_conv(d->t, x, w, bias, how), 0.7 * (double)(channels / groups * kernel) * v.most + 0.7);
}

static struct value pooled(struct drawing *d, sp_tensor *(*pool)(sp_tape *t, sp_tensor *x, sp_slide how), struct value v)
{
    const sp_slide how = { .kernel = { 3 }, .stride = { number(d, 1, 2) }, .padding = { 1 } };
    return as_rows(d, pool(d->t, folded(d, v).x, how), v.most);
}

static struct value build_max_pool(struct drawing *d)
{
    return pooled(d, sp_max_pool, apart(d, any(d)));
}

static struct value build_avg_pool(struct drawing *d)
{
    return pooled(d, sp_avg_pool, any(d));
}

#define BUILT(operation) { #operation, .build = build_##operation }

static const struct row {
    const char *name;
    struct value (*build)(struct drawing *d);   /* NULL: the operation itself, on values that are */
    double takes;                               /* within this, */
    bool apart;                                 /* the first of them apart from the others; */
    double gives;                               /* a bound of the result, 0: as much as the inputs together */
} table[] = {
    BUILT(add),
    { "sub", .takes = LOOSE },
    { "neg", .takes = LOOSE },
    { "copy", .takes = LOOSE },
    { "sigmoid", .takes = LOOSE, .gives = 1 },
    { "log_sigmoid", .takes = LOOSE, .gives = LOOSE + 1 },
    { "tanh", .takes = LOOSE, .gives = 1 },
    { "relu", .takes = NEAR, .apart = true },
    { "abs", .takes = NEAR, .apart = true },
    { "maximum", .takes = NEAR, .apart = true },
    BUILT(scale),
    BUILT(where),
    BUILT(dropout),
    BUILT(zoneout),
    BUILT(matmul),
    BUILT(affine),
    BUILT(softmax),
    BUILT(masked_softmax),
    BUILT(log_softmax),
    BUILT(layer_norm),
    BUILT(batch_norm),
    BUILT(sum),
    BUILT(mean),
    BUILT(max),
    BUILT(slice),
    BUILT(index),
    BUILT(transpose),
    BUILT(reshape),
    BUILT(concat),
    BUILT(lstm_gates),
    BUILT(gru_gates),
    BUILT(attend),
    BUILT(huber),
    BUILT(bce_logits),
    BUILT(kl_div),
    BUILT(gaussian_nll),
    BUILT(conv),
    BUILT(max_pool),
    BUILT(avg_pool),
};

static const struct row *row_of(const sp_op *op)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, op->name))
            return &table[i];
    return NULL;
}

/* ---- operations that are their inputs -------------------------------------------------------------------------- */

/* What input i of an operation takes, out of v. */
static struct value input(struct drawing *d, const sp_op *op, const struct row *row, int i, struct value v)
{
    if (!row)
        return between(d, v, op->probes->leaf[i].low, op->probes->leaf[i].high);
    return row->apart && i == 0 ? apart(d, v) : within(d, v, row->takes);
}

static struct value plain(struct drawing *d, const sp_op *op, const struct row *row)
{
    struct value first = any(d);
    sp_tensor *x[INPUTS];
    double most = 0;
    int n = 0;
    while (n < INPUTS && op->probes->leaf[n].shape.rank)
        n++;
    const long width = width_of(first), parts = width % 2 || !one_in(d, 4) ? 1 : 2, place = number(d, 0, n - 1);
    for (int i = 0; i < n; i++) {
        struct value v = i == place ? first : op->flags & SP_OP_ELEMENTS ? beside(d, width) : of_width(d, any(d), width);
        v = input(d, op, row, i, v);
        most += v.most;
        x[i] = parts == 1 ? v.x : fold(d, v.x, parts);
    }
    return as_rows(d, sp_record(d->t, op, n, x, NULL, 0), row && row->gives > 0 ? row->gives : row ? most : TIGHT);
}

/* ---- the step -------------------------------------------------------------------------------------------------- */

static void note(struct drawing *d, const char *name)
{
    const size_t at = d->making ? strlen(d->making->name) : 0;
    if (d->making)
        snprintf(d->making->name + at, sizeof d->making->name - at, " %s", name);
}

/* One that acts on each row alone; a view does so, or the trace says that it does not. */
static const sp_op *any_operation(struct drawing *d)
{
    const sp_op *op;
    long n = 0;
    while (sp_op_table[n])
        n++;
    do
        op = sp_op_table[number(d, 0, n - 1)];
    while (!(op->flags & (SP_OP_ROWS | SP_OP_VIEW)) || !(row_of(op) || (op->probes && !op->probes->build)));
    return op;
}

static void operate(struct drawing *d)
{
    const sp_op *op = any_operation(d);
    const struct row *row = row_of(op);
    struct value y = row && row->build ? row->build(d) : plain(d, op, row);
    note(d, op->name);
    d->pool[d->values++] = width_of(y) > WIDEST ? columns(d, y, WIDEST) : y;
}

/* Some columns of something wider, side by side or every second. */
static struct value part(struct drawing *d, struct value v, long width)
{
    v = within(d, project(d, v, 2 * width), 1);
    if (one_in(d, 2))
        return columns(d, v, width);
    return (struct value){ sp_index(d->t, fold(d, v.x, width), 2, number(d, 0, 1)), v.most };
}

/* The new state i, behind those before it in state: one of these again, the input or a state as it was, part of something new,
   all of it, or a gated mean of that and the old. */
static sp_tensor *new_state(struct drawing *d, int i, sp_tensor *const *state)
{
    enum { AGAIN, OLD, PART, ALL, GATED };
    const long width = d->cell->cell.width[i], kind = number(d, i ? AGAIN : OLD, GATED);
    struct value v = kind == AGAIN ? (struct value){ state[number(d, 0, i - 1)], 1 }
                   : kind == OLD ? d->pool[number(d, 0, d->cell->cell.states)] : any(d);
    v = kind == PART ? part(d, v, width) : within(d, of_width(d, v, width), 1);
    if (kind != GATED)
        return v.x;
    struct value gate = between(d, of_width(d, any(d), width), 0, 1);
    return sp_lerp(d->t, d->pool[1 + i].x, v.x, gate.x);
}

static sp_tensor *run(struct drawing *d, sp_tensor *x, sp_tensor **state)
{
    const sp_cell *c = &d->cell->cell;
    d->pool[d->values++] = (struct value){ x, 1 };
    for (int i = 0; i < c->states; i++)
        d->pool[d->values++] = (struct value){ state[i], 1 };
    for (long n = number(d, 3, number(d, 3, OPERATIONS)); n > 0; n--)
        operate(d);
    for (int i = 0; i < c->states; i++)
        state[i] = new_state(d, i, state);
    return (one_in(d, 4) ? part(d, any(d), c->out) : within(d, of_width(d, any(d), c->out), TIGHT)).x;
}

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct random_cell *c = self;
    struct drawing d = { .t = t, .cell = c, .random.key.seed = c->seed };
    return run(&d, x, state);
}

sp_cell random_cell(struct random_cell *memory, sp_store *s, uint64_t seed, long in)
{
    const long widths[] = { 1, 2, 3, 4, 6, in };
    struct random_cell *c = memory;
    sp_tensor *state[SP_MAX_STATES];
    sp_tape *t = sp_tape_new(NULL);
    struct drawing d = { .t = t, .cell = c, .making = c, .store = s, .random.key = { .seed = seed, .place = 1 } };
    *c = (struct random_cell){ .seed = seed };
    c->cell = (sp_cell){ .name = c->name, .self = c, .step = step };
    c->cell.out = widths[number(&d, 0, 5)];
    c->cell.states = (int)number(&d, 1, 3);
    snprintf(c->name, sizeof c->name, "random cell %llu:", (unsigned long long)seed);
    for (int i = 0; i < c->cell.states; i++) {
        c->cell.width[i] = widths[number(&d, 0, 5)];
        state[i] = sp_full(t, 0, SP_SHAPE(2, c->cell.width[i]));
    }
    d.random = (sp_random){ .key.seed = seed };
    run(&d, sp_full(t, 0, SP_SHAPE(2, in)), state);
    sp_tape_free(t);
    return c->cell;
}
