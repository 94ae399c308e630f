#include "nn/adaptive_softmax.h"

#include <math.h>
#include <stdio.h>

#include "nn/loss_inside.h"
#include "ops/kernel.h"

/* ---- making one ------------------------------------------------------------------------------------------------ */

/* in / divisor^(c+1), rounded down as PyTorch does: the quotient of exact numbers, not of rounded ones. */
static long width_of(long in, double divisor, int c)
{
    const double p = pow(divisor, c + 1);
    return (long)round(((double)in - fmod((double)in, p)) / p);
}

static bool check(sp_store *s, const char *name, long classes, int n, const long *cutoff, double divisor)
{
    if (n < 1 || n > SP_MAX_CLUSTERS || !cutoff)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: %d cutoffs%s, not 1 to %d", name, n, cutoff ? "" : " and no list",
                             SP_MAX_CLUSTERS);
    for (int i = 0; i < n; i++)
        if (cutoff[i] < (i ? cutoff[i - 1] + 1 : 1) || cutoff[i] >= classes)
            return sp_store_fail(s, SP_ERR_VALUE, "%s: cutoff %d is %ld, not in %ld..%ld", name, i, cutoff[i],
                                 i ? cutoff[i - 1] + 1 : 1, classes - 1);
    if (classes > INT32_MAX || !(divisor >= 1))
        return sp_store_fail(s, SP_ERR_VALUE, "%s: %ld classes, divisor %g: needs up to %d and 1 or more", name, classes, divisor,
                             INT32_MAX);
    return true;
}

sp_adaptive_softmax sp_adaptive_softmax_make(sp_store *s, const char *name, long in, long classes, int n, const long *cutoff,
                                             double divisor, bool head_bias)
{
    char part[256];
    sp_adaptive_softmax a = { .clusters = 0 };
    if (!check(s, name, classes, n, cutoff, divisor))
        return a;
    snprintf(part, sizeof part, "%s.head", name);
    a.head = (head_bias ? sp_linear_make : sp_linear_unbiased_make)(s, part, in, cutoff[0] + n);
    for (int i = 0; i < n; i++) {
        const long width = width_of(in, divisor, i), end = i + 1 < n ? cutoff[i + 1] : classes;
        if (width < 1)
            sp_store_fail(s, SP_ERR_VALUE, "%s: cluster %d is %ld / %g^%d wide, less than 1", name, i, in, divisor, i + 1);
        snprintf(part, sizeof part, "%s.tail.%d.0", name, i);
        a.tail[i].down = sp_linear_unbiased_make(s, part, in, width);
        snprintf(part, sizeof part, "%s.tail.%d.1", name, i);
        a.tail[i].up = sp_linear_unbiased_make(s, part, width, end - cutoff[i]);
        a.cutoff[i] = cutoff[i];
    }
    a.cutoff[n] = classes;
    a.clusters = sp_store_ok(s) ? n : 0;
    return a;
}

/* ---- using it -------------------------------------------------------------------------------------------------- */

/* Is there a layer, and an input? */
static bool made(sp_tape *t, const sp_adaptive_softmax *a, const sp_tensor *x)
{
    if (!a || !a->clusters)
        sp_tape_fail(t, SP_ERR_VALUE, "adaptive_softmax: %s", a ? "no clusters (was it made?)" : "the layer is NULL");
    else if (!sp_sound(x))
        sp_tape_fail(t, SP_ERR_VALUE, "adaptive_softmax: no input");
    return sp_ok(t);
}

/* Poison: the tape has the error already. */
static sp_tensor *failed(sp_tape *t)
{
    return sp_tape_fail(t, SP_ERR_STATE, "adaptive_softmax: a call failed");
}

/* The cluster of a class; -1: the head. */
static int cluster_of(const sp_adaptive_softmax *a, int id)
{
    int c = -1;
    while (c + 1 < a->clusters && id >= a->cutoff[c + 1])
        c++;
    return c;
}

static sp_tensor *cluster_logits(sp_tape *t, const sp_adaptive_softmax *a, int c, sp_tensor *x)
{
    return sp_linear_on(t, &a->tail[c].up, sp_linear_on(t, &a->tail[c].down, x));
}

/* Which rows are of which cluster: each list one behind the other. */
struct split {
    int *head;                  /* [rows] the class of the head, or SP_IGNORE */
    int *row, *id;              /* [rows] the rows of cluster 0, of cluster 1, ...; the class within the cluster */
    int *at;                    /* [rows] 1 + the place of a row there; 0 for one that is in none */
    long begin[SP_MAX_CLUSTERS + 1];
};

static bool split_rows(sp_tape *t, const sp_adaptive_softmax *a, const int *ids, long n, int ignore, struct split *s)
{
    const long classes = a->cutoff[a->clusters];
    if (n && !ids)
        return sp_tape_fail(t, SP_ERR_VALUE, "adaptive_softmax: no ids"), false;
    s->head = sp_tape_take(t, (size_t)(4 * n) * sizeof *s->head);
    if (!s->head)
        return false;
    s->row = s->head + n;
    s->id = s->row + n;
    s->at = s->id + n;
    for (long i = 0; i < n; i++) {
        if (ids[i] != ignore && (ids[i] < 0 || ids[i] >= classes))
            return sp_tape_fail(t, SP_ERR_VALUE, "adaptive_softmax: id %d in row %ld is not in 0..%ld", ids[i], i, classes - 1),
                   false;
        const int c = ids[i] == ignore ? -1 : cluster_of(a, ids[i]);
        s->head[i] = ids[i] == ignore ? SP_IGNORE : c < 0 ? ids[i] : (int)a->cutoff[0] + c;
        s->at[i] = 0;
    }
    long filled = 0;
    for (int c = 0; c < a->clusters; c++) {
        s->begin[c] = filled;
        for (long i = 0; i < n; i++)
            if (s->head[i] == a->cutoff[0] + c) {
                s->row[filled] = (int)i;
                s->id[filled] = ids[i] - (int)a->cutoff[c];
                s->at[i] = (int)++filled;
            }
    }
    s->begin[a->clusters] = filled;
    return true;
}

/* The losses of the rows of all clusters, behind a 0; then, for each row, its own. */
sp_tensor *sp_adaptive_cross_entropy(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, const int *ids, int ignore)
{
    struct split s = { .head = NULL };
    sp_tensor *part[SP_MAX_CLUSTERS + 1], *rows = sp_as_rows(t, x);
    const long n = sp_dim(rows, 0);
    int parts = 0;
    if (!made(t, a, x) || !split_rows(t, a, ids, n, ignore, &s))
        return failed(t);
    sp_tensor *loss = sp_cross_entropy(t, sp_linear_on(t, &a->head, rows), s.head, SP_IGNORE, NULL);
    if (!sp_sound(loss))
        return loss;
    part[parts++] = sp_full(t, 0, SP_SHAPE(1));
    for (int c = 0; c < a->clusters; c++) {
        const long count = s.begin[c + 1] - s.begin[c];
        if (count) {
            sp_tensor *own = sp_embedding(t, rows, s.row + s.begin[c], count);
            part[parts++] = sp_cross_entropy(t, cluster_logits(t, a, c, own), s.id + s.begin[c], SP_IGNORE, NULL);
        }
    }
    if (parts > 1) {
        sp_tensor *all = sp_reshape(t, sp_concat(t, parts, part, 0), SP_SHAPE(-1, 1));
        loss = sp_add(t, loss, sp_reshape(t, sp_embedding(t, all, s.at, n), SP_SHAPE(n)));
    }
    return sp_one_each_row(t, loss, x);
}

sp_tensor *sp_adaptive_cross_entropy_mean(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, const int *ids, int ignore)
{
    return sp_mean_counted(t, sp_adaptive_cross_entropy(t, a, x, ids, ignore), ids, ignore);
}

sp_tensor *sp_adaptive_log_softmax(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x)
{
    sp_tensor *part[SP_MAX_CLUSTERS + 1], *rows = sp_as_rows(t, x);
    if (!made(t, a, x))
        return failed(t);
    const long first = a->cutoff[0];
    sp_tensor *head = sp_log_softmax(t, sp_linear_on(t, &a->head, rows));
    part[0] = sp_slice(t, head, 1, 0, first);
    for (int c = 0; c < a->clusters; c++)
        part[1 + c] = sp_add(t, sp_log_softmax(t, cluster_logits(t, a, c, rows)), sp_slice(t, head, 1, first + c, first + c + 1));
    return sp_like_rows(t, sp_concat(t, 1 + a->clusters, part, 1), x);
}

/* The first of the largest of each row of x [n,w]. */
static bool best_of_rows(sp_tape *t, const sp_tensor *x, int *best)
{
    const long n = sp_dim(x, 0), w = sp_dim(x, 1);
    if (!sp_sound(x) || !sp_ok(t))
        return false;
    for (long i = 0; i < n; i++) {
        const sp_real *row = x->view.data + i * x->view.stride[0];
        best[i] = 0;
        for (long j = 1; j < w; j++)
            if (row[j] > row[best[i]])
                best[i] = (int)j;
    }
    return true;
}

static bool find_best(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, int *id)
{
    sp_tensor *rows = sp_as_rows(t, x);
    const long n = sp_dim(rows, 0);
    int *row = sp_tape_take(t, (size_t)n * sizeof *row), *found = sp_tape_take(t, (size_t)n * sizeof *found);
    long unknown = 0;
    if (!row || !found || !made(t, a, x))
        return false;
    if (n && !id)
        return sp_tape_fail(t, SP_ERR_VALUE, "adaptive_softmax: no list for %ld classes", n), false;
    if (!best_of_rows(t, sp_linear_on(t, &a->head, rows), id))
        return false;
    for (long i = 0; i < n; i++)
        if (id[i] >= a->cutoff[0])              /* a cluster is likelier than each class of the head, but its classes? */
            row[unknown++] = (int)i;
    if (unknown && !best_of_rows(t, sp_adaptive_log_softmax(t, a, sp_embedding(t, rows, row, unknown)), found))
        return false;
    for (long i = 0; i < unknown; i++)
        id[row[i]] = found[i];
    return true;
}

bool sp_adaptive_best(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, int *id)
{
    if (!sp_ok(t))
        return false;
    const sp_mark mark = sp_tape_mark(t);
    const bool recording = sp_tape_recording(t);
    sp_tape_set_recording(t, false);
    const bool ok = find_best(t, a, x, id);
    sp_tape_set_recording(t, recording);
    sp_tape_rewind(t, mark);
    return ok && sp_ok(t);
}
