#include "nn/crf.h"

#include <math.h>
#include <string.h>

#include "nn/crf_inside.h"
#include "nn/init.h"
#include "nn/seq_inside.h"
#include "ops/kernel.h"

sp_crf sp_crf_make(sp_store *s, const char *name, long labels)
{
    if (labels < 1 || labels > INT16_MAX) {
        sp_store_fail(s, SP_ERR_SHAPE, "crf '%s': %ld labels, not 1..%d", name ? name : "", labels, INT16_MAX);
        return (sp_crf){ 0 };
    }
    sp_param *start = sp_store_add(s, SP_SHAPE(labels), "%s.start_transitions", name);
    sp_param *between = sp_store_add(s, SP_SHAPE(labels, labels), "%s.transitions", name);
    sp_param *end = sp_store_add(s, SP_SHAPE(labels), "%s.end_transitions", name);
    bool *forbidden = sp_store_alloc(s, (size_t)((labels + 1) * (labels + 1)) * sizeof *forbidden);
    sp_init_uniform(start, -0.1, 0.1);
    sp_init_uniform(between, -0.1, 0.1);
    sp_init_uniform(end, -0.1, 0.1);
    return (sp_crf){ labels, start, between, end, forbidden };
}

static bool complete(const sp_crf *c)
{
    return c && c->start_transitions && c->transitions && c->end_transitions && c->forbidden;
}

bool sp_crf_forbid(const sp_crf *c, int from, int to)
{
    if (!complete(c))
        return false;
    const long k = c->labels, row = from == SP_CRF_START ? k : from, column = to == SP_CRF_END ? k : to;
    if (row < 0 || row > k || from == k || column < 0 || column > k || to == k || (row == k && column == k))
        return sp_store_fail(c->transitions->store, SP_ERR_VALUE, "crf: no transition from %d to %d among %ld labels", from, to,
                             k);
    c->forbidden[row * (k + 1) + column] = true;
    return true;
}

/* NULL if nothing is forbidden. */
static const bool *forbidden_of(const sp_crf *c)
{
    return memchr(c->forbidden, true, (size_t)((c->labels + 1) * (c->labels + 1))) ? c->forbidden : NULL;
}

/* A layer, scores as wide as it is, and sequences of one step or more. */
static bool check(sp_tape *t, const sp_crf *c, sp_seq scores, sp_ragged *r)
{
    if (!complete(c))
        return sp_tape_fail(t, SP_ERR_VALUE, "crf: the layer is NULL (was it made?)"), false;
    if (sp_sound(scores.rows) && sp_dim(scores.rows, -1) != c->labels)
        return sp_tape_fail(t, SP_ERR_SHAPE, "crf: scores for %ld labels, not %ld", sp_dim(scores.rows, -1), c->labels), false;
    const sp_param *part[] = { c->start_transitions, c->transitions, c->end_transitions };
    for (int i = 0; i < 3; i++)
        if (!sp_sound(sp_param_on(t, part[i])))
            return false;
    if (!sp_ok(t) || !sp_seq_ragged(t, "crf", scores, r))
        return false;
    for (long i = 0; i < r->n; i++)
        if (r->length[i] < 1)
            return sp_tape_fail(t, SP_ERR_SHAPE, "crf: length %ld of sequence %ld is not 1 or more", r->length[i], i), false;
    return true;
}

sp_tensor *sp_crf_loss(sp_tape *t, const sp_crf *c, sp_seq scores, const int *tags)
{
    sp_ragged r;
    sp_status status = { 0 };
    if (!check(t, c, scores, &r))
        return sp_tape_fail(t, SP_ERR_VALUE, "crf: no input");
    if (!sp_chain_check_tags(tags, &r, c->labels, forbidden_of(c), &status))
        return sp_tape_fail(t, status.code, "crf: %s", status.message);
    return sp_linear_chain(t, scores.rows, sp_param_on(t, c->start_transitions), sp_param_on(t, c->transitions),
                           sp_param_on(t, c->end_transitions), tags, forbidden_of(c), &r);
}

sp_tensor *sp_crf_loss_mean(sp_tape *t, const sp_crf *c, sp_seq scores, const int *tags)
{
    const long steps = scores.layout ? scores.layout->rows : 0;
    return sp_scale(t, sp_sum(t, sp_crf_loss(t, c, scores, tags), 0), 1.0 / (double)(steps ? steps : 1));
}

/* ---- decoding -------------------------------------------------------------------------------------------------- */

bool sp_crf_read(sp_tape *t, const sp_crf *c, sp_seq scores, struct sp_crf_input *in)
{
    sp_ragged r;
    if (!check(t, c, scores, &r) || !sp_ragged_take(t, "crf", scores.rows, &r, 1, &in->sequences, &in->steps, &in->longest))
        return false;
    in->scores = (struct sp_steps){ sp_tape_take(t, (size_t)(in->steps * c->labels) * sizeof(sp_real)), c->labels, r.row };
    return in->scores.data && sp_read(scores.rows, in->scores.data);
}

/* Marks the labels in which a path of n steps may end. Where a step changes nothing, no later one does. */
static void reach(const sp_crf *c, long n, bool *now, bool *next)
{
    const long k = c->labels, wide = k + 1;
    for (long j = 0; j < k; j++)
        now[j] = !c->forbidden[k * wide + j];
    for (long t = 1; t < n; t++) {
        memset(next, 0, (size_t)k * sizeof *next);
        for (long i = 0; i < k; i++)
            for (long j = 0; j < k && now[i]; j++)
                next[j] |= !c->forbidden[i * wide + j];
        if (!memcmp(now, next, (size_t)k * sizeof *next))
            break;
        memcpy(now, next, (size_t)k * sizeof *next);
    }
    for (long j = 0; j < k; j++)
        now[j] &= !c->forbidden[j * wide + k];
}

bool sp_crf_possible(sp_tape *t, const sp_crf *c, long n)
{
    bool *now = sp_tape_take(t, 2 * (size_t)c->labels * sizeof *now);
    if (!now)
        return false;
    reach(c, n, now, now + c->labels);
    return n < 1 || memchr(now, true, (size_t)c->labels);
}

bool sp_crf_blocked(sp_tape *t, const sp_crf *c, long i, long n)
{
    if (sp_crf_possible(t, c, n))
        return false;
    sp_tape_fail(t, SP_ERR_VALUE, "crf: sequence %ld: what is forbidden leaves no path of %ld steps through %ld labels", i, n,
                 c->labels);
    return true;
}

static bool marginals(sp_tape *t, const sp_crf *c, sp_seq scores, sp_real *probability)
{
    struct sp_crf_input in;
    if (!sp_crf_read(t, c, scores, &in))
        return false;
    sp_real *memory = sp_tape_take(t, (size_t)sp_chain_size(c->labels, in.longest, in.longest) * sizeof *memory);
    if (!memory)
        return false;
    struct sp_chain chain = sp_chain_in(memory, c->labels, in.longest, in.longest);
    sp_view start = sp_param_on(t, c->start_transitions)->view, end = sp_param_on(t, c->end_transitions)->view;
    sp_view between = sp_param_on(t, c->transitions)->view;
    sp_chain_fill(&chain, &start, &between, &end, forbidden_of(c));
    memset(probability, 0, (size_t)(in.steps * c->labels) * sizeof *probability);
    for (long i = 0; i < in.sequences.n; i++) {
        const long n = in.sequences.length[i];
        const struct sp_steps out = { probability, c->labels, NULL };
        if (!isfinite(sp_chain_forward(&chain, n, &in.scores, chain.alpha)) && sp_crf_blocked(t, c, i, n))
            return false;
        sp_chain_backward(&chain, n, &in.scores, chain.alpha, 1, &out, NULL, NULL, false);
        probability += n * c->labels;
        in.scores.row += n;
    }
    return true;
}

bool sp_crf_marginals(sp_tape *t, const sp_crf *c, sp_seq scores, sp_real *probability)
{
    if (!probability)
        return sp_tape_fail(t, SP_ERR_VALUE, "crf: no room for marginals"), false;
    const sp_mark mark = sp_tape_mark(t);
    const bool ok = marginals(t, c, scores, probability);
    sp_tape_rewind(t, mark);
    return ok && sp_ok(t);
}
