#include "nn/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/arena.h"
#include "autograd/profile.h"

static const struct sp_rule *const rules[] = { &sp_rule_sgd, &sp_rule_adam };

enum { RULES = sizeof rules / sizeof *rules };

sp_optimizer *sp_optimizer_new(sp_store *store, const char *kind, double lr, sp_status *status)
{
    const struct sp_rule *rule = NULL;
    for (int i = 0; i < RULES; i++)
        if (kind && !strcmp(rules[i]->name, kind))
            rule = rules[i];
    if (!rule || !store) {
        sp_fail(status, SP_ERR_VALUE, store ? "optimizer '%s' is none of: sgd adam" : "optimizer '%s': the store is NULL",
                kind ? kind : "NULL");
        return NULL;
    }
    sp_optimizer *o = calloc(1, sizeof *o);
    bool ok = o;
    if (o)
        *o = (sp_optimizer){ .lr = lr, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .store = store, .rule = rule,
                             .size = sp_store_size(store) };
    for (int i = 0; ok && i < rule->slots; i++)
        ok = (o->slot[i] = sp_aligned_calloc((size_t)sp_store_size(store) * sizeof *o->slot[i])) != NULL;
    if (ok)
        return o;
    sp_fail(status, SP_ERR_MEMORY, "optimizer: out of memory for %ld parameters", sp_store_size(store));
    sp_optimizer_free(o);
    return NULL;
}

void sp_optimizer_free(sp_optimizer *o)
{
    if (o) {
        free(o->slot[0]);
        free(o->slot[1]);
        free(o);
    }
}

/* Parameters, gradients and slots, each read and written. */
static sp_cost cost_of(const sp_optimizer *o)
{
    const double n = (double)o->size;
    return (sp_cost){ o->rule->flops * n, 2 * (2 + o->rule->slots) * n * sizeof(sp_real) };
}

bool sp_step(sp_optimizer *o, sp_tape *t)
{
    if (!sp_ok(t))
        return false;
    if (!o || sp_tape_store(t) != o->store) {
        sp_tape_fail(t, SP_ERR_VALUE, "optimizer: %s", o ? "made for another store than the tape's" : "NULL (could it be made?)");
        return false;
    }
    if (sp_store_size(o->store) != o->size) {
        sp_tape_fail(t, SP_ERR_STATE, "optimizer: made for %ld numbers, the store now has %ld", o->size,
                     sp_store_size(o->store));
        return false;
    }
    if (!(o->lr >= 0 && isfinite(o->lr))) {
        sp_tape_fail(t, SP_ERR_VALUE, "optimizer: the learning rate is %g", o->lr);
        return false;
    }
    const sp_real *gradients = sp_gradients(t);
    if (!gradients)
        return false;
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    o->steps++;
    o->rule->update(o, o->size, sp_store_values(o->store), gradients);
    sp_zero_grad(t);
    sp_profile_end(span, o->rule->name, false, cost_of(o));
    return true;
}

/* The sum of squares in double; eight partial sums, so that it vectorises. */
static double squared_norm(long n, const sp_real *g)
{
    double sum[8] = { 0 };
    for (long i = 0; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += (double)g[i + k] * (double)g[i + k];
    for (long i = n / 8 * 8; i < n; i++)
        sum[0] += (double)g[i] * (double)g[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

double sp_clip_norm(sp_tape *t, double most)
{
    sp_real *g = sp_ok(t) ? sp_gradients(t) : NULL;
    long n = sp_store_size(sp_tape_store(t));
    if (!g)
        return NAN;
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    sp_cost cost = { 2 * (double)n, (double)n * sizeof *g };
    double norm = sqrt(squared_norm(n, g));
    if (!(most > 0))
        sp_tape_fail(t, SP_ERR_VALUE, "clip: the greatest norm is %g, not over 0", most);
    else if (!isfinite(norm))
        sp_tape_fail(t, SP_ERR_VALUE, "clip: the gradient has the norm %g", norm);
    else if (norm > most) {
        sp_real k = (sp_real)(most / norm);
        for (long i = 0; i < n; i++)
            g[i] *= k;
        cost.flops += (double)n;
        cost.bytes *= 3;
    }
    sp_profile_end(span, "clip_norm", false, cost);
    return norm;
}
