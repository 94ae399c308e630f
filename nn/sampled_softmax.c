#include "nn/sampled_softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/loss_inside.h"
#include "ops/kernel.h"

/* ---- drawing --------------------------------------------------------------------------------------------------- */

/* A class is hit with probability 1 / classes; then it stays with probability keep, else it is `other`. */
struct sp_alias {
    double probability, keep;
    int other;
};

sp_sampler sp_sampler_log_uniform(long classes)
{
    return (sp_sampler){ .classes = classes };
}

/* Gives each class that has less than its share the rest from one that has more. */
static bool fill_table(sp_store *s, struct sp_alias *table, long n)
{
    int *few = malloc((size_t)n * sizeof *few), *many = malloc((size_t)n * sizeof *many);
    long fews = 0, manies = 0;
    if (!few || !many) {
        free(few);
        free(many);
        return sp_store_fail(s, SP_ERR_MEMORY, "sampler: out of memory for %ld classes", n);
    }
    for (long k = 0; k < n; k++) {
        table[k].keep = table[k].probability * (double)n;
        table[k].other = (int)k;
        if (table[k].keep < 1)
            few[fews++] = (int)k;
        else
            many[manies++] = (int)k;
    }
    while (fews && manies) {
        struct sp_alias *small = &table[few[--fews]], *large = &table[many[manies - 1]];
        small->other = many[manies - 1];
        large->keep -= 1 - small->keep;
        if (large->keep < 1)
            few[fews++] = many[--manies];
    }
    free(few);                                          /* what is left is 1 but for rounding, and its own other */
    free(many);
    return true;
}

sp_sampler sp_sampler_make(sp_store *s, const double *count, long classes, double power)
{
    double sum = 0;
    struct sp_alias *table = NULL;
    if (!count || classes < 1 || classes > INT32_MAX || !(power >= 0 && power <= 100))
        sp_store_fail(s, SP_ERR_VALUE, "sampler: %ld classes%s, power %g: needs 1 or more, their counts, and 0..100", classes,
                      count ? "" : " without counts", power);
    else
        table = sp_store_alloc(s, (size_t)classes * sizeof *table);
    for (long k = 0; table && k < classes; k++) {
        if (!(count[k] >= 0 && isfinite(count[k]))) {
            sp_store_fail(s, SP_ERR_VALUE, "sampler: the count %g of class %ld is not finite and 0 or more", count[k], k);
            return (sp_sampler){ 0 };
        }
        sum += table[k].probability = count[k] > 0 ? pow(count[k], power) : 0;
    }
    if (table && !(sum > 0 && isfinite(sum)))
        sp_store_fail(s, SP_ERR_VALUE, "sampler: %ld counts^%g add up to %g", classes, power, sum);
    for (long k = 0; table && k < classes; k++)
        table[k].probability /= sum;
    if (!table || !sp_store_ok(s) || !fill_table(s, table, classes))
        return (sp_sampler){ 0 };
    return (sp_sampler){ .classes = classes, .table = table };
}

double sp_sampler_probability(const sp_sampler *q, long k)
{
    if (!q || k < 0 || k >= q->classes)
        return 0;
    return q->table ? q->table[k].probability : log1p(1 / (double)(k + 1)) / log((double)q->classes + 1);
}

/* Log-uniform: e^(u ln(n + 1)) is in 1 .. n + 1, and between k + 1 and k + 2 with the probability of k. */
long sp_sampler_draw(const sp_sampler *q, sp_random *random)
{
    if (!q || q->classes < 1)
        return 0;
    if (q->table) {
        const long k = sp_random_below(random, q->classes);
        return sp_random_next(random) < q->table[k].keep ? k : q->table[k].other;
    }
    const long k = (long)exp(sp_random_next(random) * log((double)q->classes + 1)) - 1;
    return k < q->classes ? k : q->classes - 1;
}

/* The distinct classes among so many draws, ascending, and -ln pi of each. */
struct drawn {
    long n;
    int *id;                    /* [n] */
    sp_real *correction;        /* [n] */
};

static bool draw(sp_tape *t, const sp_sampler *q, long samples, struct drawn *d)
{
    const long words = (q->classes + 63) / 64;
    sp_random random = { .key = sp_tape_key(t) };
    uint64_t *seen = sp_tape_take(t, (size_t)words * sizeof *seen);     /* a bit for each class */
    d->n = 0;
    d->id = sp_tape_take(t, (size_t)samples * sizeof *d->id);
    d->correction = sp_tape_take(t, (size_t)samples * sizeof *d->correction);
    if (!seen || !d->id || !d->correction)
        return false;
    memset(seen, 0, (size_t)words * sizeof *seen);
    for (long i = 0; i < samples; i++) {
        const long k = sp_sampler_draw(q, &random);
        seen[k / 64] |= UINT64_C(1) << k % 64;
    }
    for (long w = 0; w < words; w++)
        for (long bit = 0; bit < 64 && seen[w] >> bit; bit++) {
            if (!(seen[w] >> bit & 1))
                continue;
            const double p = sp_sampler_probability(q, w * 64 + bit);
            d->correction[d->n] = (sp_real)-log(-expm1((double)samples * log1p(-p)));
            d->id[d->n++] = (int)(w * 64 + bit);
        }
    return true;
}

static int ascending(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* ---- the loss -------------------------------------------------------------------------------------------------- */

/* Some rows of the bias, [n]. */
static sp_tensor *bias_of(sp_tape *t, const sp_linear *out, const int *ids, long n)
{
    sp_tensor *column = sp_reshape(t, sp_param_on(t, out->bias), SP_SHAPE(-1, 1));
    return sp_reshape(t, sp_embedding(t, column, ids, n), SP_SHAPE(n));
}

/* x_id of each row: one product of vectors each. */
static sp_tensor *own_logits(sp_tape *t, const sp_linear *out, sp_tensor *x, const int *ids, long n)
{
    sp_tensor *y = sp_sum(t, sp_mul(t, x, sp_embedding(t, sp_param_on(t, out->weight), ids, n)), 1);
    return out->bias ? sp_add(t, y, bias_of(t, out, ids, n)) : y;
}

/* x_j - ln pi_j of the classes that were drawn. */
static sp_tensor *drawn_logits(sp_tape *t, const sp_linear *out, sp_tensor *x, const struct drawn *d)
{
    sp_tensor *w = sp_transpose(t, sp_embedding(t, sp_param_on(t, out->weight), d->id, d->n), 0, 1);
    sp_tensor *b = sp_feed(t, d->correction, SP_SHAPE(d->n));
    return sp_affine(t, x, w, out->bias ? sp_add(t, b, bias_of(t, out, d->id, d->n)) : b);
}

static sp_tensor *sampled(sp_tape *t, const sp_linear *out, const sp_sampler *q, sp_tensor *x, const int *ids, int ignore,
                          long samples)
{
    struct drawn d;
    const long n = sp_dim(x, 0);
    int *own = sp_tape_take(t, (size_t)n * sizeof *own), *omit = sp_tape_take(t, (size_t)n * sizeof *omit);
    if (!own || !omit || !draw(t, q, samples, &d))
        return sp_tape_fail(t, SP_ERR_MEMORY, "sampled_softmax: out of memory for %ld samples", samples);
    for (long i = 0; i < n; i++) {
        if (ids[i] != ignore && (ids[i] < 0 || ids[i] >= q->classes))
            return sp_tape_fail(t, SP_ERR_VALUE, "sampled_softmax: id %d in row %ld is not in 0..%ld", ids[i], i, q->classes - 1);
        const int *hit = bsearch(&ids[i], d.id, (size_t)d.n, sizeof *d.id, ascending);
        own[i] = ids[i] == ignore ? d.id[0] : ids[i];           /* any that is read anyway */
        omit[i] = ids[i] == ignore ? SP_OMIT_ROW : hit ? (int)(hit - d.id) : SP_OMIT_NONE;
    }
    return sp_cross_entropy_among(t, own_logits(t, out, x, own, n), drawn_logits(t, out, x, &d), omit);
}

sp_tensor *sp_sampled_cross_entropy(sp_tape *t, const sp_linear *out, const sp_sampler *q, sp_tensor *x, const int *ids,
                                    int ignore, long samples)
{
    char text[SP_SHAPE_TEXT];
    sp_tensor *rows = sp_as_rows(t, x);
    if (!out || !out->weight || !q || q->classes < 1)
        return sp_tape_fail(t, SP_ERR_VALUE, "sampled_softmax: no %s (was it made?)", q && q->classes > 0 ? "layer" : "sampler");
    if (out->weight->shape.rank != 2 || out->weight->shape.dim[0] != q->classes || samples < 1 || samples > INT32_MAX)
        return sp_tape_fail(t, SP_ERR_VALUE, "sampled_softmax: %ld samples of %ld classes for a layer of %ld outputs", samples,
                            q->classes, out->weight->shape.dim[0]);
    if (sp_sound(rows) && sp_dim(rows, 1) != out->weight->shape.dim[1])
        return sp_tape_fail(t, SP_ERR_SHAPE, "sampled_softmax: %s is not [...,%ld], as the layer takes it",
                            sp_shape_format(text, sp_shape_get(x)), out->weight->shape.dim[1]);
    if (!sp_tape_training(t) || samples >= q->classes)
        return sp_cross_entropy(t, sp_linear_on(t, out, x), ids, ignore, NULL);
    if (!sp_sound(rows) || (sp_dim(rows, 0) && !ids))
        return sp_tape_fail(t, SP_ERR_VALUE, "sampled_softmax: no %s", sp_sound(rows) ? "ids" : "input");
    return sp_one_each_row(t, sampled(t, out, q, rows, ids, ignore, samples), x);
}

sp_tensor *sp_sampled_cross_entropy_mean(sp_tape *t, const sp_linear *out, const sp_sampler *q, sp_tensor *x, const int *ids,
                                         int ignore, long samples)
{
    return sp_mean_counted(t, sp_sampled_cross_entropy(t, out, q, x, ids, ignore, samples), ids, ignore);
}
