#include "nn/optimizer.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/profile.h"
#include "nn/rule_inside.h"

static const struct sp_rule *const rules[] = {
    &sp_rule_sgd, &sp_rule_nt_asgd, &sp_rule_adagrad, &sp_rule_adadelta, &sp_rule_rmsprop, &sp_rule_adam, &sp_rule_adamw,
};

enum { RULES = sizeof rules / sizeof *rules };

static const struct sp_rule *find(const char *kind, sp_status *status)
{
    char names[128] = "";
    for (int i = 0; i < RULES; i++) {
        if (kind && !strcmp(rules[i]->name, kind))
            return rules[i];
        strcat(strcat(names, " "), rules[i]->name);
    }
    sp_fail(status, SP_ERR_VALUE, "optimizer '%s' is none of:%s", kind ? kind : "NULL", names);
    return NULL;
}

static int slots_of(const struct sp_rule *rule)
{
    int n = 0;
    while (n < SP_SLOTS && rule->slot[n])
        n++;
    return n;
}

/* ---- making one ------------------------------------------------------------------------------------------------ */

/* What the rule remembers is a store of its own, so that a checkpoint is two stores. Each slot declares the parameters
   again, in their order, and so has their layout. */
bool sp_optimizer_remember(sp_optimizer *o, bool average, sp_status *status)
{
    const int slots = slots_of(o->rule), blocks = slots + average;
    sp_store *m = sp_store_new(0);
    sp_store_reserve(m, blocks * o->size);
    for (int k = 0; k < blocks; k++)
        for (int i = 0; i < sp_store_count(o->store); i++) {
            const sp_param *p = sp_store_at(o->store, i);
            sp_store_add(m, p->shape, "optimizer.%s.%s", k < slots ? o->rule->slot[k] : "average", p->name);
        }
    if (!sp_store_ok(m)) {
        sp_fail_with(status, sp_store_status(m));
        sp_store_free(m);
        return false;
    }
    sp_real *values = sp_store_values(m);
    const bool any = o->size > 0;
    if (o->memory && any)
        memcpy(values, sp_store_values(o->memory), (size_t)(slots * o->size) * sizeof *values);
    for (int k = 0; k < slots; k++)
        o->slot[k] = any ? values + k * o->size : NULL;
    o->average = average && any ? values + slots * o->size : NULL;
    sp_store_free(o->memory);
    o->memory = m;
    return true;
}

sp_optimizer *sp_optimizer_new(sp_store *store, const char *kind, double lr, sp_status *status)
{
    if (!store) {
        sp_fail(status, SP_ERR_VALUE, "optimizer '%s': the store is NULL", kind ? kind : "NULL");
        return NULL;
    }
    const struct sp_rule *rule = find(kind, status);
    sp_optimizer *o = rule ? calloc(1, sizeof *o) : NULL;
    if (!o) {
        if (rule)
            sp_fail(status, SP_ERR_MEMORY, "optimizer: out of memory");
        return NULL;
    }
    *o = (sp_optimizer){ .lr = lr, .weight_decay = rule->weight_decay, .schedule = sp_schedule_of("constant"), .beta1 = 0.9,
                         .beta2 = 0.999, .alpha = 0.99, .rho = 0.9, .epsilon = rule->epsilon, .nonmono = 5, .store = store,
                         .rule = rule, .size = sp_store_size(store),
                         .state = { .factor = 1, .best = INFINITY, .oldest = INFINITY } };
    if (sp_optimizer_remember(o, rule->averages, status))
        return o;
    sp_optimizer_free(o);
    return NULL;
}

void sp_optimizer_free(sp_optimizer *o)
{
    if (o) {
        sp_store_free(o->memory);
        free(o->factor);
        free(o);
    }
}

bool sp_optimizer_group(sp_optimizer *o, const char *pattern, double lr_factor, double decay_factor, sp_status *status)
{
    const double factors[2] = { lr_factor, decay_factor };
    int matches = 0;
    if (!o || !pattern)
        return sp_fail(status, SP_ERR_VALUE, "group: the %s is NULL", o ? "pattern" : "optimizer");
    for (int k = 0; k < 2; k++)
        if (!(factors[k] >= 0 && isfinite(factors[k])))
            return sp_fail(status, SP_ERR_VALUE, "group '%s': the factor of the %s is %g", pattern,
                           k ? "weight decay" : "learning rate", factors[k]);
    if (!sp_optimizer_fits(o, status))
        return false;
    const int n = sp_store_count(o->store);
    for (int i = 0; i < n; i++)
        matches += !fnmatch(pattern, sp_store_at(o->store, i)->name, 0);
    if (!matches)
        return sp_fail(status, SP_ERR_VALUE, "group '%s': none of the %d parameters has such a name", pattern, n);
    if (!o->factor) {
        o->factor = malloc((size_t)n * sizeof *o->factor);
        if (!o->factor)
            return sp_fail(status, SP_ERR_MEMORY, "group '%s': out of memory for %d parameters", pattern, n);
        for (int i = 0; i < n; i++)
            o->factor[i][0] = o->factor[i][1] = 1;
    }
    for (int i = 0; i < n; i++)
        if (!fnmatch(pattern, sp_store_at(o->store, i)->name, 0))
            memcpy(o->factor[i], factors, sizeof factors);
    return true;
}

/* ---- a step ---------------------------------------------------------------------------------------------------- */

bool sp_optimizer_fits(const sp_optimizer *o, sp_status *status)
{
    return sp_store_size(o->store) == o->size
           || sp_fail(status, SP_ERR_STATE, "optimizer: made for %ld numbers, the store now has %ld", o->size,
                      sp_store_size(o->store));
}

bool sp_optimizer_check(const sp_optimizer *o, sp_status *status)
{
    const struct { const char *name; double value; bool below_1; } settings[] = {
        { "weight_decay", o->weight_decay, false }, { "momentum", o->momentum, false }, { "beta1", o->beta1, true },
        { "beta2", o->beta2, true }, { "alpha", o->alpha, true }, { "rho", o->rho, true },
        { "lr_decay", o->lr_decay, false },
    };
    if (!(o->lr >= 0 && isfinite(o->lr)))
        return sp_fail(status, SP_ERR_VALUE, "optimizer: the learning rate is %g", o->lr);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (!(settings[i].value >= 0 && settings[i].value < (settings[i].below_1 ? 1 : INFINITY)
              && isfinite((sp_real)settings[i].value)))
            return sp_fail(status, SP_ERR_VALUE, "optimizer: %s is %g, not in [0,%s)", settings[i].name, settings[i].value,
                           settings[i].below_1 ? "1" : "inf");
    if (!((sp_real)o->epsilon > 0 && isfinite((sp_real)o->epsilon)))    /* 0 / 0 between the parameters */
        return sp_fail(status, SP_ERR_VALUE, "optimizer: epsilon is %g, not over 0 and finite", o->epsilon);
    if (o->nesterov && !(o->momentum > 0))
        return sp_fail(status, SP_ERR_VALUE, "optimizer: nesterov with a momentum of %g, not over 0", o->momentum);
    if (o->nonmono < 0 || o->nonmono > SP_NONMONO_MOST)
        return sp_fail(status, SP_ERR_VALUE, "optimizer: nonmono is %d, not from 0 to %d", o->nonmono, SP_NONMONO_MOST);
    return sp_schedule_check(&o->schedule, status);
}

/* Whether a step can be taken: 0 times a rate that is infinite would be no number. */
static bool ready(const sp_optimizer *o, double lr, sp_status *status)
{
    if (!sp_optimizer_fits(o, status) || !sp_optimizer_check(o, status))
        return false;
    if (o->swapped)
        return sp_fail(status, SP_ERR_STATE, "optimizer: the averages are in the store: swap them back first");
    for (int i = 0; i < (o->factor ? sp_store_count(o->store) : 1); i++) {
        const double *factor = o->factor ? o->factor[i] : (const double[]){ 1, 1 };
        const double rate = lr * factor[0], decay = o->weight_decay * factor[1];
        if (!isfinite((sp_real)rate) || !isfinite((sp_real)decay) || !isfinite((sp_real)(rate * decay)))
            return sp_fail(status, SP_ERR_VALUE, "optimizer: step %.0f: a learning rate of %g with a weight decay of %g: "
                           "too large", o->state.steps, rate, decay);
    }
    return true;
}

/* Parameters, gradients, slots and the average, each read and written. */
static sp_cost cost_of(const sp_optimizer *o)
{
    const double n = (double)o->size;
    const int blocks = 2 + slots_of(o->rule) + (o->state.averaged > 0);
    return (sp_cost){ (o->rule->flops + (o->state.averaged > 0 ? 3 : 0)) * n, 2 * blocks * n * sizeof(sp_real) };
}

/* Index behind the last parameter from `first` on that has the same factors, or is a statistic as it is. */
static int run_end(const sp_optimizer *o, int first)
{
    const int n = sp_store_count(o->store);
    const bool statistic = sp_store_at(o->store, first)->statistic;
    int i = first + 1;
    while (i < n && sp_store_at(o->store, i)->statistic == statistic
           && (!o->factor || !memcmp(o->factor[i], o->factor[first], sizeof *o->factor)))
        i++;
    return i;
}

static void update(const sp_optimizer *o, double lr, sp_real *values, const sp_real *gradients)
{
    const int n = sp_store_count(o->store);
    for (int first = 0, end; first < n; first = end) {
        end = run_end(o, first);
        const bool statistic = sp_store_at(o->store, first)->statistic;
        const double *factor = o->factor ? o->factor[first] : (const double[]){ 1, 1 };
        const long at = sp_store_at(o->store, first)->offset;
        struct sp_run r = { .n = (end < n ? sp_store_at(o->store, end)->offset : o->size) - at, .x = values + at,
                            .g = gradients + at, .lr = lr * factor[0], .weight_decay = o->weight_decay * factor[1] };
        for (int k = 0; k < SP_SLOTS; k++)
            r.slot[k] = o->slot[k] ? o->slot[k] + at : NULL;
        if (!statistic)
            o->rule->update(o, &r);
        for (long i = 0; statistic && i < r.n; i++)
            r.x[i] += r.g[i];
    }
}

long sp_optimizer_steps(const sp_optimizer *o)
{
    return o ? (long)o->state.steps : 0;
}

double sp_learning_rate(const sp_optimizer *o)
{
    return o ? o->lr * o->state.factor * sp_schedule_at(&o->schedule, (long)o->state.steps) : NAN;
}

bool sp_step(sp_optimizer *o, sp_tape *t)
{
    sp_status status = { 0 };
    if (!sp_ok(t))
        return false;
    if (!o || sp_tape_store(t) != o->store) {
        sp_tape_fail(t, SP_ERR_VALUE, "optimizer: %s",
                     o ? "made for another store than the tape's" : "NULL (could it be made?)");
        return false;
    }
    const double lr = sp_learning_rate(o);
    if (!ready(o, lr, &status)) {
        sp_tape_fail(t, status.code, "%s", status.message);
        return false;
    }
    const sp_real *gradients = sp_gradients(t);
    if (!gradients)
        return false;
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    sp_real *values = sp_store_values(o->store);
    o->state.steps++;
    update(o, lr, values, gradients);
    sp_average_step(o, values);
    sp_zero_grad(t);
    sp_profile_end(span, o->rule->name, false, cost_of(o));
    return true;
}
