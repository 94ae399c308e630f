/* The best paths:  best_0[j] = start[j] + scores[0,j]   best_t[j] = scores[t,j] + max_i (best_t-1[i] + transitions[i,j])

   (Viterbi 1967), and the n best: for each step and label the n best ways to come there, each a label before it and the
   how-manieth way to come there. Scores are added up in double. A NaN is never better than anything. */
#include <math.h>
#include <string.h>

#include "config.h"

#include "autograd/clones_inside.h"
#include "nn/crf_inside.h"
#include "ops/kernel.h"

/* Room for one sequence. */
struct search {
    long labels, n;             /* n: ways that are kept; with one, `way` is not used */
    double *transitions;        /* [K,K], -infinity where forbidden, as in start and end */
    double *start, *end;        /* [K] */
    double *best, *next;        /* [K,n] the best first */
    int64_t *from;              /* [K] the label before */
    int32_t *label, *way;       /* [longest,K,n] the label before and which of its ways */
    int *used;                  /* [K] */
};

static bool make_search(sp_tape *t, const sp_crf *c, long longest, long n, struct search *s)
{
    const long k = s->labels = c->labels;
    const sp_view start = sp_param_on(t, c->start_transitions)->view, end = sp_param_on(t, c->end_transitions)->view;
    const sp_view between = sp_param_on(t, c->transitions)->view;
    s->n = n;
    s->transitions = sp_tape_take(t, (size_t)(k * k + 2 * k + 2 * k * n) * sizeof(double));
    s->from = sp_tape_take(t, (size_t)k * sizeof *s->from);
    s->label = sp_tape_take(t, (size_t)(longest * k * n) * sizeof *s->label);
    s->way = sp_tape_take(t, n > 1 ? (size_t)(longest * k * n) * sizeof *s->way : 0);
    s->used = sp_tape_take(t, (size_t)k * sizeof *s->used);
    if (!s->transitions || !s->from || !s->label || !s->way || !s->used)
        return false;
    s->start = s->transitions + k * k;
    s->end = s->start + k;
    s->best = s->end + k;
    s->next = s->best + k * n;
    for (long i = 0; i < k; i++) {
        s->start[i] = c->forbidden[k * (k + 1) + i] ? -INFINITY : (double)start.data[i * start.stride[0]];
        s->end[i] = c->forbidden[i * (k + 1) + k] ? -INFINITY : (double)end.data[i * end.stride[0]];
        for (long j = 0; j < k; j++)
            s->transitions[i * k + j] = c->forbidden[i * (k + 1) + j]
                                        ? -INFINITY : (double)between.data[i * between.stride[0] + j * between.stride[1]];
    }
    return true;
}

/* next[j] = max_i best[i] + transitions[i,j], from[j] the first such i */
SP_CLONES static void best_before(long k, const double *restrict best, const double *restrict transitions,
                                  double *restrict next, int64_t *restrict from)
{
    for (long j = 0; j < k; j++) {
        next[j] = -INFINITY;
        from[j] = 0;
    }
    for (long i = 0; i < k; i++)
        for (long j = 0; j < k; j++) {
            const double x = best[i] + transitions[i * k + j];
            from[j] = x > next[j] ? i : from[j];
            next[j] = x > next[j] ? x : next[j];
        }
}

/* The n best of best[i,...] + arrow[i * step]: their scores, and which they are. Of equals the lower label, and its better way,
   comes first. */
static void merge(const struct search *s, const double *arrow, long step, double *next, int32_t *label, int32_t *way)
{
    memset(s->used, 0, (size_t)s->labels * sizeof *s->used);
    for (long w = 0; w < s->n; w++) {
        next[w] = -INFINITY;
        label[w] = way[w] = 0;
        for (long i = 0; i < s->labels; i++) {
            const double x = s->used[i] < s->n ? s->best[i * s->n + s->used[i]] + arrow[i * step] : -INFINITY;
            if (x > next[w]) {
                next[w] = x;
                label[w] = (int32_t)i;
            }
        }
        if (next[w] > -INFINITY)
            way[w] = s->used[label[w]]++;
    }
}

/* All ways to all labels of all steps. */
static void run(struct search *s, long steps, const struct sp_steps *scores)
{
    const long k = s->labels, n = s->n;
    for (long t = 0; t < steps; t++) {
        const sp_real *x = scores->data + scores->row[t] * scores->stride;
        int32_t *label = s->label + t * k * n;
        if (!t) {
            for (long j = 0; j < k * n; j++)
                s->next[j] = j % n ? -INFINITY : s->start[j / n];
        } else if (n == 1) {
            best_before(k, s->best, s->transitions, s->next, s->from);
            for (long j = 0; j < k; j++)
                label[j] = (int32_t)s->from[j];
        } else {
            for (long j = 0; j < k; j++)
                merge(s, s->transitions + j, k, s->next + j * n, label + j * n, s->way + (t * k + j) * n);
        }
        for (long j = 0; j < k * n; j++)
            s->next[j] += (double)x[j / n];
        double *old = s->best;
        s->best = s->next;
        s->next = old;
    }
}

/* The path that comes to a label of the last step in a way. */
static void follow(const struct search *s, long steps, long label, long way, int *tags)
{
    for (long t = steps - 1; t >= 0; t--) {
        const long at = (t * s->labels + label) * s->n + way;
        tags[t] = (int)label;
        label = s->label[at];
        way = s->n > 1 ? s->way[at] : 0;
    }
}

/* How many of n paths there can be, of so many steps. */
static long paths(long n, long labels, long steps)
{
    double all = 1;
    for (long t = 0; t < steps && all < (double)n && labels > 1; t++)
        all *= (double)labels;
    return all < (double)n ? (long)all : n;
}

/* out: place i of tags, score and count is that of sequence i; a path after the other is so far behind. */
static bool decode(sp_tape *t, const sp_crf *c, sp_seq seq, int n, int *tags, double *score, int *count)
{
    struct sp_crf_input in;
    struct search s;
    if (!sp_crf_read(t, c, seq, &in))
        return false;
    const long kept = paths(n, c->labels, in.longest);
    if ((double)in.longest * (double)c->labels * (double)kept > 1e12)
        return sp_tape_fail(t, SP_ERR_SHAPE, "crf: the %d best of %ld steps and %ld labels are too many", n, in.longest,
                            c->labels), false;
    if (!make_search(t, c, in.longest, kept, &s))
        return false;
    double *total = sp_tape_take(t, (size_t)kept * sizeof *total);
    int32_t *label = sp_tape_take(t, 2 * (size_t)kept * sizeof *label), *way = label ? label + kept : NULL;
    if (!total || !label)
        return false;
    for (long i = 0; i < in.sequences.n; i++) {
        const long steps = in.sequences.length[i];
        int found = 0;
        run(&s, steps, &in.scores);
        merge(&s, s.end, 1, total, label, way);
        if (total[0] == -INFINITY && sp_crf_blocked(t, c, i, steps))
            return false;
        for (int w = 0; w < n && (score || tags || w < kept); w++) {
            const bool there = w < kept && total[w] > -INFINITY;
            found += there;
            if (score)
                score[w * in.sequences.n + i] = there ? total[w] : -INFINITY;
            if (tags && there)
                follow(&s, steps, label[w], way[w], tags + w * in.steps);
            else if (tags)
                memset(tags + w * in.steps, 0, (size_t)steps * sizeof *tags);
        }
        if (count)
            count[i] = found;
        tags += tags ? steps : 0;
        in.scores.row += steps;
    }
    return true;
}

bool sp_crf_nbest(sp_tape *t, const sp_crf *c, sp_seq scores, int n, int *tags, double *score, int *count)
{
    if (n < 1)
        return sp_tape_fail(t, SP_ERR_VALUE, "crf: the %d best paths, not 1 or more", n), false;
    const sp_mark mark = sp_tape_mark(t);
    const bool ok = decode(t, c, scores, n, tags, score, count);
    sp_tape_rewind(t, mark);
    return ok && sp_ok(t);
}

bool sp_crf_viterbi(sp_tape *t, const sp_crf *c, sp_seq scores, int *tags, double *score)
{
    return sp_crf_nbest(t, c, scores, 1, tags, score, NULL);
}
