/* What validation changes, and averages of the weights.   a = a + c (x - a)   with c = 1 - decay, or 1 / (n + 1) for the mean
   of n + 1 weights.
   Sources: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992; for the trigger nn/nt_asgd.c. */
#include "config.h"

#include <string.h>

#include "autograd/clones_inside.h"
#include "nn/rule_inside.h"

SP_CLONES void sp_average_step(sp_optimizer *o, const sp_real *restrict x)
{
    if (!(o->state.averaged > 0))
        return;
    const sp_real c = (sp_real)(o->average_decay > 0 ? 1 - o->average_decay : 1 / (o->state.averaged + 1));
    sp_real *restrict a = o->average;
    for (long i = 0; i < o->size; i++)
        a[i] += c * (x[i] - a[i]);
    for (int i = 0; sp_store_has_statistics(o->store) && i < sp_store_count(o->store); i++) {
        const sp_param *p = sp_store_at(o->store, i);
        if (p->statistic)               /* is an average already */
            memcpy(o->average + p->offset, x + p->offset, (size_t)sp_shape_size(p->shape) * sizeof *x);
    }
    o->state.averaged++;
}

/* The average of the present weights alone. */
static void begin(sp_optimizer *o)
{
    if (o->average)
        memcpy(o->average, sp_param_read(sp_store_at(o->store, 0)), (size_t)o->size * sizeof *o->average);
    o->state.averaged = o->average != NULL;
}

bool sp_optimizer_average(sp_optimizer *o, double decay, sp_status *status)
{
    if (!o)
        return sp_fail(status, SP_ERR_VALUE, "average: the optimizer is NULL");
    if (!(decay >= 0 && decay < 1))
        return sp_fail(status, SP_ERR_VALUE, "average: the decay is %g, not in [0,1)", decay);
    if (o->swapped)
        return sp_fail(status, SP_ERR_STATE, "average: the averages are in the store: swap them back first");
    if (!sp_optimizer_fits(o, status) || (!o->average && !sp_optimizer_remember(o, true, status)))
        return false;
    o->average_decay = decay;
    begin(o);
    return true;
}

void sp_optimizer_swap(sp_optimizer *o)
{
    if (!o || !(o->state.averaged > 0) || !sp_optimizer_fits(o, NULL))
        return;
    sp_real *x = sp_store_values(o->store), *a = o->average;
    for (long i = 0; i < o->size; i++) {
        const sp_real kept = x[i];
        x[i] = a[i];
        a[i] = kept;
    }
    o->swapped = !o->swapped;
}

/* ReduceLROnPlateau. */
static void wait_for_better(sp_optimizer *o, double loss)
{
    struct sp_optimizer_state *s = &o->state;
    const sp_schedule *plan = &o->schedule;
    s->bad++;
    if (loss < s->best * (1 - plan->threshold)) {
        s->best = loss;
        s->bad = 0;
    }
    if (s->resting > 0) {
        s->resting--;
        s->bad = 0;
    }
    if (s->bad > (double)plan->patience) {
        s->factor = fmax(s->factor * plan->factor, plan->end_factor);
        s->resting = (double)plan->cooldown;
        s->bad = 0;
    }
}

/* Whether the loss is above the least of all but the last nonmono before it; then remembers it. */
static bool pulled(sp_optimizer *o, double loss)
{
    struct sp_optimizer_state *s = &o->state;
    const long n = (long)s->validations;
    double least = s->oldest;
    for (long i = n > SP_NONMONO_MOST ? n - SP_NONMONO_MOST : 0; i < n - o->nonmono; i++)
        least = fmin(least, s->recent[i % SP_NONMONO_MOST]);
    double *place = &s->recent[n % SP_NONMONO_MOST];
    if (n >= SP_NONMONO_MOST)
        s->oldest = fmin(s->oldest, *place);
    *place = loss;
    s->validations++;
    return loss > least;                /* infinity while there are too few */
}

void sp_optimizer_validated(sp_optimizer *o, double loss)
{
    if (!o || !sp_optimizer_check(o, NULL))
        return;
    if (o->schedule.kind && !strcmp(o->schedule.kind, "plateau"))
        wait_for_better(o, loss);
    if (pulled(o, loss) && o->rule->averages && !(o->state.averaged > 0) && sp_optimizer_fits(o, NULL))
        begin(o);
}
