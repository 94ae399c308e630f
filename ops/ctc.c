/* Connectionist temporal classification: -ln p(labels), for each sequence, where p sums over all alignments: ways to put
   blanks between the labels and to repeat both, so that there is one for each step. Between equal labels stands a blank.

   With l' the labels with a blank before, between and behind, S = 2 L + 1 states, and lp = log_softmax(logits):

       alpha_0[0,1] = lp_0[l'_0,1]      alpha_t[s] = lp_t[l'_s] + ln (e^alpha_t-1[s] + e^alpha_t-1[s-1] + [skip_s] e^alpha_t-1[s-2])
       beta_T-1[S-2,S-1] = 0            beta_t[s] = ln (e^w[s] + e^w[s+1] + [skip_s+2] e^w[s+2]),  w[s] = lp_t+1[l'_s] + beta_t+1[s]

   skip_s: l'_s is not blank and not l'_s-2.   p = e^alpha_T-1[S-1] + e^alpha_T-1[S-2].
   dlogits_t[k] += dy (softmax(logits_t)_k - sum over s with l'_s = k of e^(alpha_t[s] + beta_t[s]) / p)

   Source: Graves, Fernandez, Gomez, Schmidhuber, ICML 2006. The softmax is inside, so that its gradient is a difference of
   probabilities; log-probabilities as logits give the same, because they are their own log_softmax.

   Precision. alpha and beta span thousands between states that are likely and states that lead nowhere, and which is which
   shows only at the end, so they are double; the exponentials of their differences, at most 1, are sp_real.
   At step t only states S - 2 (T - t) <= s < 2 (t + 1) begin at the first and reach the last; the others are left out.

   Saves for each step what log_softmax subtracts, [2], and alpha, [S] in double; and ln p. */
#include <math.h>
#include <string.h>

#include "config.h"

#include "autograd/clones_inside.h"
#include "autograd/vmath.h"
#include "ops/kernel.h"

struct attr {
    sp_ragged sequences;
    const int *targets;
    const long *lengths;        /* [n] labels of each sequence */
    int blank;
    bool zero_infinity;
    long steps, states, cells;  /* the sum of all T; the largest S; the sum of all T S */
};

enum { WIDE = sizeof(double) / sizeof(sp_real), MARGIN = 2 };

long sp_ctc_steps(const int *labels, long n)
{
    long steps = n;
    for (long i = 1; labels && i < n; i++)
        steps += labels[i] == labels[i - 1];
    return steps;
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

static bool check_target(const struct attr *a, long sequence, const int *labels, long classes, sp_status *s)
{
    const long n = a->lengths[sequence], steps = a->sequences.length[sequence];
    for (long i = 0; i < n; i++) {
        if (labels[i] < 0 || labels[i] >= classes)
            return sp_fail(s, SP_ERR_VALUE, "label %d at place %ld of sequence %ld is not in 0..%ld", labels[i], i, sequence,
                           classes - 1);
        if (labels[i] == a->blank)
            return sp_fail(s, SP_ERR_VALUE, "label %d at place %ld of sequence %ld is the blank", labels[i], i, sequence);
    }
    const long need = sp_ctc_steps(labels, n);
    return a->zero_infinity || steps >= need
           || sp_fail(s, SP_ERR_VALUE, "sequence %ld: %ld labels, %ld of them repeated, need %ld steps; it has %ld", sequence,
                      n, need - n, need, steps);
}

/* Numbers that are saved, and, behind them, room for one step. */
static long saved_numbers(const struct attr *a, long classes)
{
    return WIDE * (a->cells + a->sequences.n + 4 * (a->states + 2 * MARGIN)) + 2 * a->steps + classes + 4 * a->states;
}

static bool infer(sp_call *c, sp_status *s)
{
    const struct attr *a = c->attr;
    const int *labels = a->targets;
    char text[SP_SHAPE_TEXT];
    const long classes = c->x[0].shape.dim[1];
    if (c->x[0].shape.rank != 2 || classes < 1)
        return sp_fail(s, SP_ERR_SHAPE, "%s has no classes", sp_shape_format(text, c->x[0].shape));
    if (a->blank < 0 || a->blank >= classes)
        return sp_fail(s, SP_ERR_VALUE, "the blank %d is not in 0..%ld", a->blank, classes - 1);
    for (long i = 0; i < a->sequences.n; labels += a->lengths[i++])
        if (!check_target(a, i, labels, classes, s))
            return false;
    c->y.shape = SP_SHAPE(a->sequences.n);
    c->saved.shape = SP_SHAPE(saved_numbers(a, classes));
    return true;
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

/* m = max(a, b, d + skip); x, [3,n]: the three relative to m, or to 0 where all are -infinity. */
SP_CLONES static void three_relative(long n, const double *restrict a, const double *restrict b, const double *restrict d,
                                     const double *restrict skip, double *restrict m, sp_real *restrict x)
{
    for (long i = 0; i < n; i++) {
        const double e = d[i] + skip[i];
        double most = a[i] > b[i] ? a[i] : b[i];
        most = most > e ? most : e;
        most = most >= -1e300 ? most : 0;
        m[i] = most;
        x[i] = (sp_real)(a[i] - most);
        x[n + i] = (sp_real)(b[i] - most);
        x[2 * n + i] = (sp_real)(e - most);
    }
}

SP_CLONES static void add_three(long n, const sp_real *restrict x, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] = x[i] + x[n + i] + x[2 * n + i];
}

SP_CLONES static void add_log(long n, const double *restrict m, const sp_real *restrict log, double *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] = m[i] + (double)log[i];
}

/* What one sequence is computed with. */
struct lattice {
    long steps, labels, states;
    const int *target;          /* [labels] */
    int blank;
    long classes;
    sp_real *normal;            /* [steps,2] of each step the largest logit m and ln sum e^(x - m) */
    double *alpha;              /* [steps,states] */
    double *skip;               /* [states] 0, or -infinity where a state may not be reached from two before; margins */
    double *near, *emit, *most; /* [states] with margins: alpha or beta of the step beside; lp; room */
    sp_real *three, *room;      /* [4,states], [classes] */
};

static int label_at(const struct lattice *l, long s)
{
    return s % 2 ? l->target[s / 2] : l->blank;
}

/* y[s] = ln (e^a[s] + e^b[s] + e^(d[s] + skip[s])) for n states */
static void log_three(const struct lattice *l, long n, const double *a, const double *b, const double *d, const double *skip,
                      double *y)
{
    three_relative(n, a, b, d, skip, l->most, l->three);
    sp_vexp(3 * n, l->three, l->three);
    add_three(n, l->three, l->three + 3 * n);
    sp_vlog(n, l->three + 3 * n, l->three + 3 * n);
    add_log(n, l->most, l->three + 3 * n, y);
}

/* The states between which a path is at step t. */
static long first_state(const struct lattice *l, long t)
{
    const long s = l->states - 2 * (l->steps - t);
    return s > 0 ? s : 0;
}

static long end_state(const struct lattice *l, long t)
{
    return 2 * (t + 1) < l->states ? 2 * (t + 1) : l->states;
}

static void fill(long n, double value, double *x)
{
    for (long i = 0; i < n; i++)
        x[i] = value;
}

/* emit[s] = lp[l'_s], from the logits of one step */
static void log_emissions(const struct lattice *l, long t, const sp_real *x)
{
    const double m = (double)l->normal[2 * t], log_sum = (double)l->normal[2 * t + 1];
    const long end = end_state(l, t);
    for (long s = first_state(l, t); s < end; s++)
        l->emit[s] = ((double)x[label_at(l, s)] - m) - log_sum;
}

/* ---- there ----------------------------------------------------------------------------------------------------- */

static void make_skips(const struct lattice *l)
{
    fill(l->states + MARGIN, -INFINITY, l->skip);
    for (long s = 3; s < l->states; s += 2)
        if (l->target[s / 2] != l->target[s / 2 - 1])
            l->skip[s] = 0;
}

/* ln p */
static double run_forward(const struct lattice *l, const sp_view *x, const int *row, long first_row)
{
    const long states = l->states;
    fill(states + 2 * MARGIN, -INFINITY, l->near - MARGIN);
    l->near[0] = 0;                                     /* before the first step: the first states are reached from here */
    for (long t = 0; t < l->steps; t++) {
        const sp_real *logits = x->data + (row ? row[t] : first_row + t) * x->stride[0];
        const long from = first_state(l, t), n = end_state(l, t) - from;
        double *alpha = l->alpha + t * states;
        l->normal[2 * t + 1] = sp_log_sum(l->classes, logits, l->room, &l->normal[2 * t]);
        log_emissions(l, t, logits);
        fill(states, -INFINITY, alpha);
        const double *near = l->near + from;
        if (n > 0)
            log_three(l, n, near, near - 1, near - 2, l->skip + from, alpha + from);
        for (long s = from; s < from + n; s++)
            alpha[s] += l->emit[s];
        memcpy(l->near, alpha, (size_t)states * sizeof *alpha);
    }
    const double a1 = l->near[states - 1], a2 = states > 1 ? l->near[states - 2] : -INFINITY, m = a1 > a2 ? a1 : a2;
    return m == -INFINITY ? m : m + log(exp(a1 - m) + exp(a2 - m));
}

/* ---- and back -------------------------------------------------------------------------------------------------- */

/* near: beta of this step. dlogits += dy (softmax - posterior) */
static void add_gradient(const struct lattice *l, long t, const sp_real *x, sp_real dy, sp_real *dx)
{
    const long from = first_state(l, t), n = end_state(l, t) - from;
    const double *alpha = l->alpha + t * l->states;
    sp_real *p = l->room, *q = l->three;
    const sp_real m = l->normal[2 * t], log_sum = l->normal[2 * t + 1];
    for (long k = 0; k < l->classes; k++)
        p[k] = (x[k] - m) - log_sum;
    sp_vexp(l->classes, p, p);
    for (long k = 0; k < l->classes; k++)
        dx[k] += dy * p[k];
    double most = -INFINITY;
    for (long s = from; s < from + n; s++) {
        const double both = alpha[s] + l->near[s];
        most = both > most || isnan(both) ? both : most;
    }
    for (long s = 0; s < n; s++)
        q[s] = (sp_real)(alpha[from + s] + l->near[from + s] - most);
    sp_vexp(n, q, q);
    const sp_real scale = dy / sp_sum_run(n, q, 1);
    for (long s = 0; s < n; s++)
        dx[label_at(l, from + s)] -= scale * q[s];
}

static void run_back(const struct lattice *l, const sp_view *x, const sp_view *dx, const int *row, long first_row, sp_real dy)
{
    const long states = l->states;
    fill(states + 2 * MARGIN, -INFINITY, l->near - MARGIN);
    l->near[states - 1] = 0;
    if (states > 1)
        l->near[states - 2] = 0;
    for (long t = l->steps - 1; t >= 0; t--) {
        const long at = row ? row[t] : first_row + t, from = first_state(l, t), n = end_state(l, t) - from;
        if (t + 1 < l->steps) {
            const double *after = l->emit + from;       /* lp + beta of the step behind */
            log_three(l, n, after, after + 1, after + 2, l->skip + from + 2, l->near + from);
        }
        const sp_real *logits = x->data + at * x->stride[0];
        add_gradient(l, t, logits, dy, dx->data + at * dx->stride[0]);
        fill(states + 2 * MARGIN, -INFINITY, l->emit - MARGIN);
        log_emissions(l, t, logits);
        for (long s = from; s < from + n; s++)
            l->emit[s] += l->near[s];
    }
}

/* ---- sequence after sequence ----------------------------------------------------------------------------------- */

static struct lattice first_lattice(const sp_call *c, double **log_p)
{
    const struct attr *a = c->attr;
    struct lattice l = { .blank = a->blank, .classes = c->x[0].shape.dim[1], .target = a->targets };
    const long room = a->states + 2 * MARGIN;
    double *wide = (void *)c->saved.data;
    *log_p = wide;
    l.skip = wide + a->sequences.n;
    l.near = l.skip + room + MARGIN;
    l.emit = l.near + room;
    l.most = l.emit + room;
    l.alpha = wide + a->sequences.n + 4 * room;
    l.normal = c->saved.data + WIDE * (a->cells + a->sequences.n + 4 * room);
    l.room = l.normal + 2 * a->steps;
    l.three = l.room + l.classes;
    return l;
}

/* Sequence i; l holds the one before. */
static void set_lattice(const struct attr *a, long i, struct lattice *l)
{
    if (i) {
        l->alpha += l->steps * l->states;
        l->normal += 2 * l->steps;
        l->target += l->labels;
    }
    l->steps = a->sequences.length[i];
    l->labels = a->lengths[i];
    l->states = 2 * l->labels + 1;
    make_skips(l);
}

/* Nothing to add up: no alignment exists. */
static bool impossible(const struct lattice *l)
{
    return l->steps < sp_ctc_steps(l->target, l->labels);
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    double *log_p;
    struct lattice l = first_lattice(c, &log_p);
    const int *row = a->sequences.row;
    for (long i = 0, begin = 0; i < a->sequences.n; begin += l.steps, i++) {
        set_lattice(a, i, &l);
        log_p[i] = impossible(&l) ? -INFINITY : run_forward(&l, &c->x[0], row ? row + begin : NULL, begin);
        c->y.data[i] = log_p[i] == -INFINITY && a->zero_infinity ? 0 : (sp_real)-log_p[i];
    }
}

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    double *log_p;
    struct lattice l = first_lattice(c, &log_p);
    const int *row = a->sequences.row;
    for (long i = 0, begin = 0; i < a->sequences.n; begin += l.steps, i++) {
        const sp_real dy = c->dy.data[i * c->dy.stride[0]];
        set_lattice(a, i, &l);
        if (dy != 0 && !(log_p[i] == -INFINITY && a->zero_infinity))
            run_back(&l, &c->x[0], &c->dx[0], row ? row + begin : NULL, begin, dy);
    }
}

/* Three exponentials and a logarithm for each state of each step, and the softmax. */
static sp_cost cost(const sp_call *c, bool back)
{
    const struct attr *a = c->attr;
    const double logits = sp_elements(&c->x[0]), cells = (double)a->cells;
    return sp_cost_of(c, back, (back ? 17 : 12) * cells + 6 * logits, logits + 2 * cells);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_ctc(t, leaf[0], (const int[]){ 1, 1, 2, 3 }, (const long[]){ 2, 0, 2 }, 0, false,
                  &(sp_ragged){ 3, (const long[]){ 4, 2, 3 }, NULL });
}

/* Rows in another order, the last class as the blank, and a sequence that cannot be said. */
static sp_tensor *build_zeroed(sp_tape *t, sp_tensor **leaf)
{
    return sp_ctc(t, sp_transpose(t, leaf[0], 0, 1), (const int[]){ 0, 0, 1, 1, 1 }, (const long[]){ 3, 2 }, 2, true,
                  &(sp_ragged){ 2, (const long[]){ 4, 2 }, (const int[]){ 5, 1, 0, 2, 4, 3 } });
}

static const struct sp_probe probes[] = {
    { "ragged", { { { 2, { 9, 4 } }, -2, 2 } }, build },
    { "zeroed", { { { 2, { 3, 6 } }, -2, 2 } }, build_zeroed },
    { 0 }
};

const sp_op sp_op_ctc = { "ctc", 0, infer, forward, backward, cost, probes };

sp_tensor *sp_ctc(sp_tape *t, sp_tensor *logits, const int *targets, const long *lengths, int blank, bool zero_infinity,
                  const sp_ragged *sequences)
{
    struct attr a = { .blank = blank, .zero_infinity = zero_infinity };
    sp_tensor *rows = sp_as_rows(t, logits);
    long longest, labels = 0;
    if (!sp_ragged_take(t, "ctc", rows, sequences, 0, &a.sequences, &a.steps, &longest))
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: no input");
    if (a.sequences.n && !lengths)
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: no lengths of targets");
    for (long i = 0; i < a.sequences.n; i++) {
        if (lengths[i] < 0 || lengths[i] > INT32_MAX - labels)
            return sp_tape_fail(t, SP_ERR_SHAPE, "ctc: length %ld of the target of sequence %ld is not in 0..%ld", lengths[i],
                                i, INT32_MAX - labels);
        labels += lengths[i];
        a.states = 2 * lengths[i] + 1 > a.states ? 2 * lengths[i] + 1 : a.states;
        a.cells += a.sequences.length[i] * (2 * lengths[i] + 1);
    }
    if (labels && !targets)
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: no targets");
    a.targets = sp_tape_copy(t, targets, (size_t)labels * sizeof *targets);
    a.lengths = sp_tape_copy(t, lengths, (size_t)a.sequences.n * sizeof *lengths);
    return sp_record(t, &sp_op_ctc, 1, &rows, &a, sizeof a);
}
