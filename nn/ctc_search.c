/* Prefix beam search. Of each prefix that is kept, two sums over alignments of the steps so far: those that end with a blank,
   b, and those that end with its last label, a. One step, with its log-probabilities lp, gives

       b'(prefix)     = lp[blank] (b + a)(prefix)
       a'(prefix)     = lp[last] a(prefix) + lp[last] (b + a)(prefix without last), or b alone if that ends with last, too

   All prefixes are nodes of one tree for each sequence, so that each is there once, also one that left the beam and came
   back. */
#include <math.h>
#include <stdlib.h>

#include "nn/ctc_inside.h"

struct node {
    int32_t parent, label;      /* of the root -1, -1 */
    int32_t child, sibling;     /* the first of its children, the next of its parent's; -1 */
    int32_t entry;              /* where it is in the beam, or -1 */
    int32_t length;
    double extra;               /* what the language model and the bonus add to ln p */
};

struct entry {
    int32_t node, slot;
    double blank, label, all;   /* ln b, ln a, ln (b + a) */
};

/* What may come into the next beam: entry `from` itself (label -1), or with a label behind it. */
struct candidate {
    double score, extra, blank, label;
    int32_t from, next;
    long order;                 /* among equals the first that was found */
};

struct search {
    const sp_ctc_beam *beam;
    long classes, width, entries, nodes, chosen, found;
    struct node *node;          /* [1 + longest width] */
    struct entry *entry, *old;  /* [width] */
    struct candidate *best;     /* [width] a heap, the worst on top */
    double *lp;                 /* [classes] */
    long *seen;                 /* [classes] the number of the last entry with this child in the beam */
    double *model;              /* [width,classes] what the language model said */
    bool *asked;                /* [width] if it did, by slot */
    int32_t *spare;             /* [width] slots that no entry has */
    long spares;
    int *prefix;                /* [longest] */
};

static double known(double x)
{
    return isnan(x) ? -INFINITY : x;
}

static double log_add(double a, double b)
{
    const double m = a > b ? a : b, d = a > b ? b - a : a - b;
    return m == -INFINITY || m == INFINITY ? m : m + log1p(exp(d));
}

/* lp = log_softmax(x) */
static void log_probabilities(long n, const sp_real *x, double *lp)
{
    double m = -INFINITY, sum = 0;
    for (long k = 0; k < n; k++)
        m = (double)x[k] > m ? (double)x[k] : m;
    for (long k = 0; k < n; k++)
        sum += m == -INFINITY ? 0 : exp(known((double)x[k] - m));
    const double log_sum = log(sum);
    for (long k = 0; k < n; k++)
        lp[k] = m == -INFINITY ? m : known((double)x[k] - m - log_sum);
}

/* ---- the best candidates --------------------------------------------------------------------------------------- */

static bool better(const struct candidate *a, const struct candidate *b)
{
    return a->score != b->score ? a->score > b->score : a->order < b->order;
}

static int by_rank(const void *a, const void *b)
{
    return better(a, b) ? -1 : 1;
}

/* Puts x at place i of the heap, or, where children are worse, below those. */
static void sift_down(struct search *s, long i, struct candidate x)
{
    for (long c; (c = 2 * i + 1) < s->chosen; i = c) {
        if (c + 1 < s->chosen && better(&s->best[c], &s->best[c + 1]))
            c++;
        if (better(&s->best[c], &x))
            break;
        s->best[i] = s->best[c];
    }
    s->best[i] = x;
}

static void offer(struct search *s, struct candidate x)
{
    x.order = s->found++;
    x.score = known(x.score);
    if (x.score == -INFINITY)
        return;
    if (s->chosen == s->width) {
        if (better(&x, &s->best[0]))
            sift_down(s, 0, x);
        return;
    }
    long i = s->chosen++;
    for (long up; i && better(&s->best[up = (i - 1) / 2], &x); i = up)
        s->best[i] = s->best[up];
    s->best[i] = x;
}

/* ---- one step -------------------------------------------------------------------------------------------------- */

/* What the language model says of each label behind a prefix. */
static const double *scores_behind(struct search *s, const struct entry *e)
{
    double *scores = s->model + e->slot * s->classes;
    const struct node *n = &s->node[e->node];
    if (s->asked[e->slot])
        return scores;
    for (long i = n->length - 1; i >= 0; i--, n = &s->node[n->parent])
        s->prefix[i] = n->label;
    for (int k = 0; k < s->classes; k++)
        scores[k] = k == s->beam->blank ? 0 : s->beam->score(s->beam->self, s->prefix, s->node[e->node].length, k);
    s->asked[e->slot] = true;
    return scores;
}

/* ln p of an entry with a label behind it */
static double extended(const struct search *s, const struct entry *e, int label)
{
    return s->lp[label] + (s->node[e->node].label == label ? e->blank : e->all);
}

static void offer_itself(struct search *s, int32_t i)
{
    const struct entry *e = &s->entry[i];
    const struct node *n = &s->node[e->node];
    const int32_t before = n->parent < 0 ? -1 : s->node[n->parent].entry;
    struct candidate x = { .from = i, .next = -1, .extra = n->extra, .label = -INFINITY };
    x.blank = s->lp[s->beam->blank] + e->all;
    if (n->label >= 0)
        x.label = s->lp[n->label] + e->label;
    if (before >= 0)
        x.label = log_add(x.label, extended(s, &s->entry[before], n->label));
    x.score = log_add(x.blank, x.label) + x.extra;
    offer(s, x);
}

static void offer_longer(struct search *s, int32_t i)
{
    const struct entry *e = &s->entry[i];
    const double *model = s->beam->score ? scores_behind(s, e) : NULL;
    for (int32_t c = s->node[e->node].child; c >= 0; c = s->node[c].sibling)
        if (s->node[c].entry >= 0)
            s->seen[s->node[c].label] = i;
    for (int k = 0; k < s->classes; k++) {
        struct candidate x = { .from = i, .next = k, .blank = -INFINITY, .label = extended(s, e, k) };
        if (k == s->beam->blank || s->seen[k] == i)
            continue;
        x.extra = s->node[e->node].extra + s->beam->bonus + (model ? s->beam->weight * model[k] : 0);
        x.score = x.label == -INFINITY || (model && model[k] == -INFINITY) ? -INFINITY : x.label + x.extra;
        offer(s, x);
    }
}

/* The node of a label behind another node. */
static int32_t node_behind(struct search *s, int32_t parent, int label, double extra)
{
    int32_t c = s->node[parent].child;
    while (c >= 0 && s->node[c].label != label)
        c = s->node[c].sibling;
    if (c >= 0)
        return c;
    c = (int32_t)s->nodes++;
    s->node[c] = (struct node){ .parent = parent, .label = label, .child = -1, .sibling = s->node[parent].child, .entry = -1,
                                .length = s->node[parent].length + 1, .extra = extra };
    return s->node[parent].child = c;
}

/* The chosen ones become the beam. */
static void next_beam(struct search *s)
{
    struct entry *old = s->entry;
    const long before = s->entries;
    for (long i = 0; i < before; i++)
        s->node[old[i].node].entry = -1;
    qsort(s->best, (size_t)s->chosen, sizeof *s->best, by_rank);
    s->entry = s->old;
    s->old = old;
    s->entries = s->chosen;
    for (int32_t i = 0; i < s->entries; i++) {
        const struct candidate *x = &s->best[i];
        struct entry *e = &s->entry[i];
        *e = (struct entry){ .slot = -1, .blank = x->blank, .label = x->label, .all = log_add(x->blank, x->label) };
        e->node = x->next < 0 ? old[x->from].node : node_behind(s, old[x->from].node, x->next, x->extra);
        s->node[e->node].entry = i;
        if (x->next < 0) {
            e->slot = old[x->from].slot;
            old[x->from].slot = -1;
        }
    }
    for (long i = 0; i < before; i++)
        if (old[i].slot >= 0)
            s->spare[s->spares++] = old[i].slot;
    for (long i = 0; i < s->entries; i++)
        if (s->entry[i].slot < 0) {
            s->entry[i].slot = s->spare[--s->spares];
            s->asked[s->entry[i].slot] = false;
        }
}

static void step(struct search *s, const sp_real *logits)
{
    log_probabilities(s->classes, logits, s->lp);
    s->chosen = s->found = 0;
    for (long k = 0; k < s->classes; k++)
        s->seen[k] = -1;
    for (int32_t i = 0; i < s->entries; i++)
        offer_itself(s, i);
    for (int32_t i = 0; i < s->entries; i++)
        offer_longer(s, i);
    next_beam(s);
}

/* ---------------------------------------------------------------------------------------------------------------- */

static bool make_search(sp_tape *t, const struct sp_ctc_input *in, struct search *s)
{
    const size_t width = (size_t)s->width, classes = (size_t)in->classes;
    const double nodes = 1 + (double)in->longest * (double)s->width;
    if (nodes > INT32_MAX)
        return sp_tape_fail(t, SP_ERR_SHAPE, "ctc: a beam of %ld prefixes over %ld steps is too wide", s->width, in->longest),
               false;
    s->classes = in->classes;
    s->node = sp_tape_take(t, (size_t)nodes * sizeof *s->node);
    s->entry = sp_tape_take(t, width * sizeof *s->entry);
    s->old = sp_tape_take(t, width * sizeof *s->old);
    s->best = sp_tape_take(t, width * sizeof *s->best);
    s->lp = sp_tape_take(t, classes * sizeof *s->lp);
    s->seen = sp_tape_take(t, classes * sizeof *s->seen);
    s->model = sp_tape_take(t, s->beam->score ? width * classes * sizeof *s->model : 0);
    s->asked = sp_tape_take(t, width * sizeof *s->asked);
    s->spare = sp_tape_take(t, width * sizeof *s->spare);
    s->prefix = sp_tape_take(t, (size_t)in->longest * sizeof *s->prefix);
    return s->node && s->entry && s->old && s->best && s->lp && s->seen && s->model && s->asked && s->spare && s->prefix;
}

/* The empty prefix alone, of probability 1. */
static void begin(struct search *s)
{
    s->node[0] = (struct node){ .parent = -1, .label = -1, .child = -1, .sibling = -1 };
    s->entry[0] = (struct entry){ .label = -INFINITY };
    s->asked[0] = false;
    s->entries = s->nodes = 1;
    s->spares = 0;
    for (long i = s->width - 1; i > 0; i--)
        s->spare[s->spares++] = (int32_t)i;
}

/* The n first of the beam, their labels in memory of n times as many as there are steps. */
static void give(const struct search *s, long n, long steps, int *memory, sp_ctc_path *path)
{
    for (long i = 0; i < n; i++, memory += steps) {
        path[i] = (sp_ctc_path){ .labels = memory, .log_p = -INFINITY, .score = -INFINITY };
        if (i >= s->entries)
            continue;
        const struct node *node = &s->node[s->entry[i].node];
        path[i].length = node->length;
        path[i].log_p = s->entry[i].all;
        path[i].score = s->entry[i].all + node->extra;
        for (long k = node->length - 1; k >= 0; k--, node = &s->node[node->parent])
            memory[k] = node->label;
    }
}

static bool search(sp_tape *t, const sp_ctc_beam *beam, sp_seq logits, long n, int *memory, sp_ctc_path *path)
{
    struct sp_ctc_input in;
    struct search s = { .beam = beam, .width = beam->width ? beam->width : 16 };
    if (!sp_ctc_read(t, logits, beam->blank, &in) || !make_search(t, &in, &s))
        return false;
    const int *row = in.sequences.row;
    for (long i = 0; i < in.sequences.n; i++) {
        const long steps = in.sequences.length[i];
        begin(&s);
        for (long k = 0; k < steps; k++)
            step(&s, in.logits + row[k] * in.classes);
        give(&s, n, steps, memory, path);
        row += steps;
        memory += n * steps;
        path += n;
    }
    return true;
}

bool sp_ctc_search(sp_tape *t, sp_ctc_beam beam, sp_seq logits, int n, sp_ctc_path *path)
{
    const long rows = logits.layout ? logits.layout->rows : 0;
    if (beam.width < 0 || n < 1 || n > (beam.width ? beam.width : 16) || !path)
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: the %d best of a beam of %d%s", n, beam.width ? beam.width : 16,
                            path ? "" : ", and no room"), false;
    if (!isfinite(beam.weight) || !isfinite(beam.bonus))
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: the weight %g and the bonus %g are not both finite", beam.weight, beam.bonus),
               false;
    int *memory = sp_tape_take(t, (size_t)n * (size_t)rows * sizeof *memory);
    const sp_mark mark = sp_tape_mark(t);
    const bool ok = memory && search(t, &beam, logits, n, memory, path);
    sp_tape_rewind(t, mark);
    return ok && sp_ok(t);
}
