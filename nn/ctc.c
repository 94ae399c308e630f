#include "nn/ctc.h"

#include <math.h>

#include "nn/ctc_inside.h"
#include "nn/seq_inside.h"
#include "ops/kernel.h"

/* Which sequences have too few steps; nothing if the lists are wrong, which is found later. */
static void report(const sp_ragged *r, const sp_ctc_options *o, const int *labels, const long *lengths)
{
    long count = 0, all = 0;
    for (long i = 0; i < r->n; all += lengths[i++])
        if (!lengths || lengths[i] < 0 || lengths[i] > INT32_MAX - all || (lengths[i] && !labels))
            return;
    for (long i = 0; i < r->n; i++) {
        const bool cannot = r->length[i] < sp_ctc_steps(labels, lengths[i]);
        count += cannot;
        labels += labels ? lengths[i] : 0;
        if (o->which)
            o->which[i] = cannot;
    }
    if (o->infeasible)
        *o->infeasible = count;
}

sp_tensor *sp_ctc_loss(sp_tape *t, sp_ctc_options options, sp_seq logits, const int *labels, const long *lengths)
{
    sp_ragged r;
    if (!sp_ok(t) || !sp_seq_ragged(t, "ctc", logits, &r))
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: no input");
    report(&r, &options, labels, lengths);
    return sp_ctc(t, logits.rows, labels, lengths, options.blank, options.zero_infinity, &r);
}

sp_tensor *sp_ctc_loss_mean(sp_tape *t, sp_ctc_options options, sp_seq logits, const int *labels, const long *lengths)
{
    sp_tensor *loss = sp_ctc_loss(t, options, logits, labels, lengths);
    const long batch = sp_dim(loss, 0);
    sp_real *share = sp_sound(loss) ? sp_tape_take(t, (size_t)batch * sizeof *share) : NULL;
    if (!share)
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: no input");
    for (long i = 0; i < batch; i++)
        share[i] = 1 / (sp_real)(batch * (lengths[i] > 1 ? lengths[i] : 1));
    return sp_sum(t, sp_mul(t, loss, sp_feed(t, share, SP_SHAPE(batch))), 0);
}

/* ---- greedy decoding ------------------------------------------------------------------------------------------- */

bool sp_ctc_read(sp_tape *t, sp_seq logits, int blank, struct sp_ctc_input *in)
{
    sp_ragged r;
    long steps;
    if (!sp_ok(t) || !sp_seq_ragged(t, "ctc", logits, &r)
        || !sp_ragged_take(t, "ctc", logits.rows, &r, 0, &in->sequences, &steps, &in->longest))
        return false;
    in->classes = sp_dim(logits.rows, 1);
    if (blank < 0 || blank >= in->classes)
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: the blank %d is not in 0..%ld", blank, in->classes - 1), false;
    in->logits = sp_tape_take(t, (size_t)(steps * in->classes) * sizeof *in->logits);
    return in->logits && sp_read(logits.rows, in->logits);
}

/* The first largest of n, or otherwise if none is above -infinity. */
static int best_of(long n, const sp_real *x, int otherwise)
{
    sp_real largest = -(sp_real)INFINITY;
    int best = otherwise;
    for (long k = 0; k < n; k++)
        if (x[k] > largest) {
            largest = x[k];
            best = (int)k;
        }
    return best;
}

static bool greedy(sp_tape *t, sp_seq logits, int blank, int *labels, long *lengths)
{
    struct sp_ctc_input in;
    if (!sp_ctc_read(t, logits, blank, &in))
        return false;
    const int *row = in.sequences.row;
    for (long i = 0; i < in.sequences.n; i++) {
        int before = blank;
        lengths[i] = 0;
        for (long step = 0; step < in.sequences.length[i]; step++) {
            const int best = best_of(in.classes, in.logits + *row++ * in.classes, blank);
            if (best != blank && best != before) {
                *labels++ = best;
                lengths[i]++;
            }
            before = best;
        }
    }
    return true;
}

bool sp_ctc_greedy(sp_tape *t, sp_seq logits, int blank, int *labels, long *lengths)
{
    if (!labels || !lengths)
        return sp_tape_fail(t, SP_ERR_VALUE, "ctc: no room for labels"), false;
    const sp_mark mark = sp_tape_mark(t);
    const bool ok = greedy(t, logits, blank, labels, lengths);
    sp_tape_rewind(t, mark);
    return ok && sp_ok(t);
}
