/* The negative log-likelihood of a linear-chain conditional random field, for each sequence:

       score(y) = start[y_0] + sum_t scores[t,y_t] + sum_t transitions[y_t-1,y_t] + end[y_T-1]
       nll      = ln Z - score(tags),   Z = sum over all paths y of e^score(y)

   By the forward algorithm, all in logarithms:

       alpha_0[j] = start[j] + scores[0,j]             alpha_t[j] = scores[t,j] + ln sum_i e^(alpha_t-1[i] + A[i,j])
       beta_T-1[i] = end[i]                            beta_t[i] = ln sum_j e^(A[i,j] + scores[t+1,j] + beta_t+1[j])

   dscores[t,j] += dy (p(y_t = j) - [tags_t = j])      p(y_t = j) = e^(alpha_t[j] + beta_t[j]) / Z
   dA[i,j]      += dy sum_t (p(y_t-1 = i, y_t = j) - [tags_t-1 = i, tags_t = j]); start and end likewise

   What is forbidden is A = -infinity: no path, no gradient. Source: Lafferty, McCallum, Pereira, ICML 2001; the recursions
   are those of Rabiner, Proc. IEEE 77, 1989.

   The sums are those of ops/chain.c, which says how. Saves the memory of a struct sp_chain. */
#include <string.h>

#include "ops/chain_inside.h"
#include "ops/kernel.h"

struct attr {
    sp_ragged sequences;
    const int *tags;            /* [steps] */
    const bool *forbidden;      /* [K+1,K+1] or NULL */
    long steps, longest;
};

/* The n tags of one sequence are labels, and their path is not forbidden. */
static bool check_tags(const int *tags, long n, long sequence, long labels, const bool *forbidden, sp_status *s)
{
    for (long t = 0; t < n; t++)
        if (tags[t] < 0 || tags[t] >= labels)
            return sp_fail(s, SP_ERR_VALUE, "tag %d at step %ld of sequence %ld is not in 0..%ld", tags[t], t, sequence,
                           labels - 1);
    if (!forbidden)
        return true;
    if (forbidden[labels * (labels + 1) + tags[0]])
        return sp_fail(s, SP_ERR_VALUE, "sequence %ld begins with tag %d, which is forbidden", sequence, tags[0]);
    for (long t = 1; t < n; t++)
        if (forbidden[tags[t - 1] * (labels + 1) + tags[t]])
            return sp_fail(s, SP_ERR_VALUE, "sequence %ld goes from tag %d to %d at step %ld, which is forbidden", sequence,
                           tags[t - 1], tags[t], t);
    return !forbidden[tags[n - 1] * (labels + 1) + labels]
           || sp_fail(s, SP_ERR_VALUE, "sequence %ld ends with tag %d at step %ld, which is forbidden", sequence, tags[n - 1],
                      n - 1);
}

bool sp_chain_check_tags(const int *tags, const sp_ragged *r, long labels, const bool *forbidden, sp_status *s)
{
    if (r->n && !tags)
        return sp_fail(s, SP_ERR_VALUE, "no tags");
    for (long i = 0; i < r->n; tags += r->length[i++])
        if (!check_tags(tags, r->length[i], i, labels, forbidden, s))
            return false;
    return true;
}

static bool infer(sp_call *c, sp_status *s)
{
    const struct attr *a = c->attr;
    char text[4][SP_SHAPE_TEXT];
    const long k = c->x[0].shape.dim[1];
    if (c->x[0].shape.rank != 2 || k < 1 || !sp_shape_equal(c->x[1].shape, SP_SHAPE(k))
        || !sp_shape_equal(c->x[2].shape, SP_SHAPE(k, k)) || !sp_shape_equal(c->x[3].shape, SP_SHAPE(k)))
        return sp_fail(s, SP_ERR_SHAPE, "scores %s, start %s, transitions %s, end %s: needs [rows,k], [k], [k,k] and [k]",
                       sp_shape_format(text[0], c->x[0].shape), sp_shape_format(text[1], c->x[1].shape),
                       sp_shape_format(text[2], c->x[2].shape), sp_shape_format(text[3], c->x[3].shape));
    if (!sp_chain_check_tags(a->tags, &a->sequences, k, a->forbidden, s))
        return false;
    c->y.shape = SP_SHAPE(a->sequences.n);
    c->saved.shape = SP_SHAPE(sp_chain_size(k, a->longest, a->steps));
    return true;
}

/* start[y_0] + sum_t scores[t,y_t] + transitions[y_t-1,y_t] + end[y_T-1], rounded once */
static double path_score(const struct sp_chain *c, long n, const struct sp_steps *scores, const int *tags)
{
    double sum = c->start[tags[0]] + c->end[tags[n - 1]];
    for (long t = 0; t < n; t++) {
        sum += (double)sp_step(scores, t)[tags[t]];
        if (t)
            sum += (double)c->transitions[tags[t - 1] * c->wide + tags[t]];
    }
    return sum;
}

/* Sequence after sequence: its length, tags, rows of scores, of their gradient, and of alpha. */
struct walk {
    long number, n;
    const int *tags;
    struct sp_steps scores, dscores;
    double *alpha;              /* [n,wide] */
};

static bool next(const sp_call *c, const struct sp_chain *chain, struct walk *w)
{
    const struct attr *a = c->attr;
    const long done = w->n, number = w->tags ? w->number + 1 : 0;
    if (number >= a->sequences.n)
        return false;
    if (!number) {
        *w = (struct walk){ .tags = a->tags, .scores = { c->x[0].data, c->x[0].stride[0], a->sequences.row },
                            .alpha = chain->alpha };
        if (c->dx && c->dx[0].data)
            w->dscores = (struct sp_steps){ c->dx[0].data, c->dx[0].stride[0], a->sequences.row };
    } else {
        w->tags += done;
        w->alpha += done * chain->wide;
        for (int i = 0; i < 2; i++) {
            struct sp_steps *s = i ? &w->dscores : &w->scores;
            if (s->row)
                s->row += done;
            else if (s->data)
                s->data += done * s->stride;
        }
    }
    w->number = number;
    w->n = a->sequences.length[number];
    return true;
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    struct sp_chain chain = sp_chain_in(c->saved.data, c->x[0].shape.dim[1], a->longest, a->steps);
    sp_chain_fill(&chain, &c->x[1], &c->x[2], &c->x[3], a->forbidden);
    for (struct walk w = { 0 }; next(c, &chain, &w);) {
        const double log_z = sp_chain_forward(&chain, w.n, &w.scores, w.alpha);
        c->y.data[w.number] = (sp_real)(log_z - path_score(&chain, w.n, &w.scores, w.tags));
    }
}

/* Less what was observed. */
static void subtract_path(const sp_call *c, const struct walk *w, sp_real dy)
{
    const sp_view *first = &c->dx[1], *pair = &c->dx[2], *last = &c->dx[3];
    for (long t = 0; t < w->n; t++) {
        if (w->dscores.data)
            sp_step(&w->dscores, t)[w->tags[t]] -= dy;
        if (t && pair->data)
            pair->data[w->tags[t - 1] * pair->stride[0] + w->tags[t] * pair->stride[1]] -= dy;
    }
    if (first->data)
        first->data[w->tags[0] * first->stride[0]] -= dy;
    if (last->data)
        last->data[w->tags[w->n - 1] * last->stride[0]] -= dy;
}

/* A vector's gradient, added up elsewhere. */
static void add_vector(const sp_view *y, const sp_real *x)
{
    for (long j = 0; j < y->shape.dim[0] && y->data; j++)
        y->data[j * y->stride[0]] += x[j];
}

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const long k = c->x[0].shape.dim[1];
    struct sp_chain chain = sp_chain_in(c->saved.data, k, a->longest, a->steps);
    const bool pairs = c->dx[2].data;
    sp_real *first = chain.v, *last = chain.u;          /* their row 0 belongs to no pair */
    memset(first, 0, (size_t)(a->longest ? k : 0) * sizeof *first);
    memset(last, 0, (size_t)(a->longest ? k : 0) * sizeof *last);
    sp_chain_expect(&chain);
    for (struct walk w = { 0 }; next(c, &chain, &w);) {
        const sp_real dy = c->dy.data[w.number * c->dy.stride[0]];
        if (dy == 0)
            continue;
        sp_chain_backward(&chain, w.n, &w.scores, w.alpha, dy, &w.dscores, first, last, pairs);
        subtract_path(c, &w, dy);
    }
    if (pairs)
        sp_chain_expected(&chain, &c->dx[2]);
    if (a->longest) {
        add_vector(&c->dx[1], first);
        add_vector(&c->dx[3], last);
    }
}

/* Each step multiplies with a matrix [K,K]; on the way back once more, and once for the pairs. */
static sp_cost cost(const sp_call *c, bool back)
{
    const struct attr *a = c->attr;
    const double k = (double)c->x[0].shape.dim[1], n = (double)a->steps;
    return sp_cost_of(c, back, n * (back ? 4 * k * k + 20 * k : 2 * k * k + 12 * k), sp_elements(&c->x[0]) + n * k + 2 * k * k);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_linear_chain(t, leaf[0], leaf[1], leaf[2], leaf[3], (const int[]){ 2, 0, 0, 1, 1, 2 }, NULL,
                           &(sp_ragged){ 3, (const long[]){ 2, 1, 3 }, NULL });
}

/* Rows in another order, a view as transitions, and no way from 0 to 0, to begin with 2, to end with 1. */
static sp_tensor *build_masked(sp_tape *t, sp_tensor **leaf)
{
    bool forbidden[16] = { false };
    forbidden[0 * 4 + 0] = forbidden[3 * 4 + 2] = forbidden[1 * 4 + 3] = true;
    return sp_linear_chain(t, sp_transpose(t, leaf[0], 0, 1), leaf[1], sp_transpose(t, leaf[2], 0, 1), leaf[3],
                           (const int[]){ 1, 0, 1, 2 }, forbidden,
                           &(sp_ragged){ 2, (const long[]){ 2, 2 }, (const int[]){ 3, 1, 0, 2 } });
}

static const struct sp_probe probes[] = {
    { "ragged", { { { 2, { 6, 3 } }, -2, 2 }, { { 1, { 3 } }, -2, 2 }, { { 2, { 3, 3 } }, -2, 2 }, { { 1, { 3 } }, -2, 2 } },
      build },
    { "masked", { { { 2, { 3, 4 } }, -2, 2 }, { { 1, { 3 } }, -2, 2 }, { { 2, { 3, 3 } }, -2, 2 }, { { 1, { 3 } }, -2, 2 } },
      build_masked },
    { 0 }
};

const sp_op sp_op_linear_chain = { "linear_chain", 0, infer, forward, backward, cost, probes };

sp_tensor *sp_linear_chain(sp_tape *t, sp_tensor *scores, sp_tensor *start, sp_tensor *transitions, sp_tensor *end,
                           const int *tags, const bool *forbidden, const sp_ragged *sequences)
{
    sp_tensor *in[] = { sp_as_rows(t, scores), start, transitions, end };
    const size_t k = (size_t)sp_dim(in[0], -1);
    struct attr a = { 0 };
    if (!sp_ragged_take(t, "linear_chain", in[0], sequences, 1, &a.sequences, &a.steps, &a.longest))
        return sp_tape_fail(t, SP_ERR_VALUE, "linear_chain: no input");
    if (a.steps && !tags)
        return sp_tape_fail(t, SP_ERR_VALUE, "linear_chain: no tags");          /* before they are copied */
    a.tags = sp_tape_copy(t, tags, (size_t)a.steps * sizeof *tags);
    if (forbidden)
        a.forbidden = sp_tape_copy(t, forbidden, (k + 1) * (k + 1) * sizeof *forbidden);
    return sp_record(t, &sp_op_linear_chain, 4, in, &a, sizeof a);
}
