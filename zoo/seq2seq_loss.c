/* The encoder, teacher forcing, and scheduled sampling: which symbols the decoder is given is found by a pass without gradients,
   symbol by symbol; the loss is then that of one pass over all of them. */
#include <math.h>
#include <string.h>

#include "nn/loss.h"
#include "zoo/seq2seq_inside.h"

static long sum_of(const long *length, long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += length[i];
    return sum;
}

/* Sequences behind one another, each with one more symbol in front (first >= 0) or behind (last >= 0), and the lengths they then
   have; in memory of the tape. */
struct longer {
    int *id;                    /* [sum] */
    long *length;               /* [n] */
    long sum, longest;
};

static bool lengthen(sp_tape *t, struct longer *x, int first, int last, const int *id, const long *length, long n)
{
    x->sum = sum_of(length, n) + n;
    x->longest = 0;
    x->id = sp_tape_take(t, (size_t)x->sum * sizeof *x->id);
    x->length = sp_tape_take(t, (size_t)n * sizeof *x->length);
    if (!x->id || !x->length)
        return false;
    int *to = x->id;
    for (long i = 0; i < n; i++) {
        if (first >= 0)
            *to++ = first;
        if (length[i])
            memcpy(to, id, (size_t)length[i] * sizeof *to);
        to += length[i];
        id += length[i];
        if (last >= 0)
            *to++ = last;
        x->length[i] = length[i] + 1;
        x->longest = x->longest > x->length[i] ? x->longest : x->length[i];
    }
    return true;
}

/* ---- the encoder ----------------------------------------------------------------------------------------------- */

/* First states of the decoder's cells from final ones of the encoder: those of both directions side by side. */
static void hand_over(sp_tape *t, const sp_seq2seq *m, sp_tensor **final, sp_tensor **first)
{
    const sp_stack *to = sp_seq2seq_attends(m) ? &m->decoder.cells : &m->plain;
    int n = 0;
    sp_scope_push(t, "bridge");
    for (int l = 0; l < to->layers; l++) {
        const int states = to->layer[l].cell.states;
        const bool both = m->encoder.layer[l].reverse.step;
        for (int i = 0; i < states; i++, n++) {
            sp_tensor *x = both ? sp_concat(t, 2, (sp_tensor *[]){ final[i], final[states + i] }, 1) : final[i];
            first[n] = m->bridge[n].weight ? sp_linear_on(t, &m->bridge[n], x) : x;
        }
        final += both ? 2 * states : states;
    }
    sp_scope_pop(t);
}

bool sp_seq2seq_encode(sp_tape *t, const sp_seq2seq *m, const int *id, const long *length, long n, struct encoded *e)
{
    struct longer x;
    const int states = sp_stack_states(&m->encoder);
    sp_tensor **final = sp_tape_take(t, (size_t)states * sizeof *final);
    *e = (struct encoded){ 0 };
    if (!final || !lengthen(t, &x, -1, SP_SENTENCE_END, id, length, n))
        return false;
    for (int i = 0; i < states; i++)
        final[i] = NULL;
    e->places = x.longest;
    sp_scope_push(t, "source");
    sp_tensor *rows = sp_dropout(t, sp_embed_on(t, &m->read, x.id, x.sum), m->config.dropout);
    sp_scope_pop(t);
    sp_scope_push(t, "encoder");
    const sp_seq encoded = sp_stack_on_seq(t, &m->encoder, sp_seq_pack(t, rows, x.length, n), final);
    sp_scope_pop(t);
    hand_over(t, m, final, e->state);
    if (sp_seq2seq_attends(m)) {
        sp_scope_push(t, "attention");
        e->memory = sp_memory_of(t, &m->decoder.attention, encoded);
        sp_scope_pop(t);
    }
    return sp_ok(t);
}

/* ---- its own symbols ------------------------------------------------------------------------------------------- */

/* One of n symbols by their logits: the first of the best, or, for a number u in [0,1), one drawn. <s> is none. */
static int choose(const sp_real *x, long n, bool drawn, double u)
{
    int best = 0;
    double sum = 0;
    for (int i = 1; i < n; i++)
        if (i != SP_SENTENCE_BEGIN && x[i] > x[best])
            best = i;
    if (!drawn)
        return best;
    for (int i = 0; i < n; i++)
        sum += i == SP_SENTENCE_BEGIN ? 0 : exp((double)(x[i] - x[best]));
    u *= sum;
    for (int i = 0; i < n; i++)
        if (i != SP_SENTENCE_BEGIN && (u -= exp((double)(x[i] - x[best]))) < 0)
            return i;
    return best;
}

/* The symbols before the step-th ones of all targets; at[i] is where target i begins. Where one has ended, </s>. */
static void gather(const struct longer *before, const long *at, long n, long step, int *symbol)
{
    for (long i = 0; i < n; i++)
        symbol[i] = step < before->length[i] ? before->id[at[i] + step] : SP_SENTENCE_END;
}

/* Exchanges symbols before the next for the model's own: w is at the beginning. */
static bool exchange(struct writing *w, struct longer *before, long n, const sp_own_symbols *own, sp_random *random)
{
    sp_tape *t = w->t;
    const long symbols = sp_coder_size(w->m->target);
    long *at = sp_tape_take(t, (size_t)n * sizeof *at);
    int *symbol = sp_tape_take(t, (size_t)n * sizeof *symbol);
    sp_real *logits = sp_tape_take(t, (size_t)(n * symbols) * sizeof *logits);
    if (!at || !symbol || !logits)
        return false;
    at[0] = 0;
    for (long i = 1; i < n; i++)
        at[i] = at[i - 1] + before->length[i - 1];
    w->base = w->step = sp_tape_mark(t);
    for (long step = 0; step + 1 < before->longest; step++) {
        gather(before, at, n, step, symbol);
        if (!sp_writing_step(w, NULL, NULL, symbol, n, logits, NULL))
            return false;
        for (long i = 0; i < n; i++) {
            const double yes = sp_random_next(random), u = sp_random_next(random);
            if (step + 1 < before->length[i] && yes < own->probability)
                before->id[at[i] + step + 1] = choose(logits + i * symbols, symbols, own->drawn, u);
        }
    }
    return true;
}

static bool sample(sp_tape *t, const sp_seq2seq *m, const sp_pairs *p, struct longer *before, const sp_own_symbols *own)
{
    struct writing w;
    sp_random random = { .key = sp_tape_key(t) };
    const bool recording = sp_tape_recording(t), training = sp_tape_training(t);
    const sp_mark mark = sp_tape_mark(t);
    sp_tape_set_recording(t, false);
    sp_tape_set_training(t, false);
    sp_scope_push(t, "own");
    const bool ok = sp_writing_begin(&w, t, m, p->source, p->source_length, p->n, p->n)
                    && exchange(&w, before, p->n, own, &random);
    sp_scope_pop(t);
    sp_tape_rewind(t, mark);
    sp_tape_set_recording(t, recording);
    sp_tape_set_training(t, training);
    return ok;
}

/* ---- the loss -------------------------------------------------------------------------------------------------- */

/* What the output is made of, [symbols,width], in the caller's order. */
static sp_tensor *decode(sp_tape *t, const sp_seq2seq *m, struct encoded *e, const struct longer *before, long n)
{
    sp_scope_push(t, "target");
    sp_tensor *rows = sp_dropout(t, sp_embed_on(t, &m->written, before->id, before->sum), m->config.dropout);
    sp_scope_pop(t);
    sp_scope_push(t, "decoder");
    const sp_seq xs = sp_seq_pack(t, rows, before->length, n);
    const sp_seq out = sp_seq2seq_attends(m) ? sp_decoder_on(t, &m->decoder, &e->memory, xs, e->state).out
                                             : sp_stack_on_seq(t, &m->plain, xs, e->state);
    sp_scope_pop(t);
    return sp_seq_unpack(t, out);
}

static bool check(const sp_seq2seq *m, const sp_pairs *p, double smoothing, const sp_own_symbols *own, sp_status *status)
{
    if (!m || !p || p->n < 0 || (p->n > 0 && (!p->source || !p->target || !p->source_length || !p->target_length)))
        return sp_fail(status, SP_ERR_VALUE, "model: no %s, or %ld pairs", !m ? "model" : !p ? "pairs" : "symbols of pairs",
                       p ? p->n : 0);
    if (!(smoothing >= 0 && smoothing <= 1))
        return sp_fail(status, SP_ERR_VALUE, "model: a smoothing of %g, expected 0 to 1", smoothing);
    if (own && !(own->probability >= 0 && own->probability <= 1))
        return sp_fail(status, SP_ERR_VALUE, "model: its own symbols with a probability of %g, expected 0 to 1",
                       own->probability);
    for (long i = 0; i < p->n; i++)
        if (p->source_length[i] < 0 || p->target_length[i] < 0)
            return sp_fail(status, SP_ERR_VALUE, "model: pair %ld is of %ld and %ld symbols", i, p->source_length[i],
                           p->target_length[i]);
    return true;
}

sp_tensor *sp_seq2seq_loss(sp_tape *t, const sp_seq2seq *m, const sp_pairs *p, double smoothing, const sp_own_symbols *own,
                           long *count)
{
    struct longer before, after;
    struct encoded e;
    sp_status status = { 0 };
    if (count)
        *count = 0;
    if (!check(m, p, smoothing, own, &status))
        return sp_tape_fail(t, status.code, "%s", status.message);
    if (!p->n)
        return NULL;
    if (count)
        *count = sum_of(p->target_length, p->n) + p->n;
    if (!lengthen(t, &before, SP_SENTENCE_BEGIN, -1, p->target, p->target_length, p->n)
        || !lengthen(t, &after, -1, SP_SENTENCE_END, p->target, p->target_length, p->n))
        return sp_tape_fail(t, SP_ERR_MEMORY, "model: out of memory for %ld pairs", p->n);
    if ((sp_tape_training(t) && own && own->probability > 0 && !sample(t, m, p, &before, own))
        || !sp_seq2seq_encode(t, m, p->source, p->source_length, p->n, &e))
        return sp_tape_fail(t, SP_ERR_MEMORY, "model: out of memory for %ld pairs", p->n);
    sp_tensor *h = decode(t, m, &e, &before, p->n);
    sp_scope_push(t, "out");
    sp_tensor *logits = sp_linear_on(t, &m->out, sp_dropout(t, h, m->config.dropout));
    sp_scope_pop(t);
    return sp_tape_training(t) && smoothing > 0 ? sp_cross_entropy_smooth_mean(t, logits, after.id, SP_IGNORE, smoothing)
                                                : sp_cross_entropy_mean(t, logits, after.id, SP_IGNORE);
}
