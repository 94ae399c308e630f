/* Adagrad.   g' = g + d x    s = s + g'^2    x -= lr / (1 + (k - 1) lr_decay) g' / (sqrt(s) + epsilon)   at the k-th step
   Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011. */
#include "config.h"

#include "autograd/clones_inside.h"
#include "nn/rule_inside.h"

SP_CLONES static void update(const sp_optimizer *o, const struct sp_run *r)
{
    const sp_real lr = (sp_real)(r->lr / (1 + (o->state.steps - 1) * o->lr_decay));
    const sp_real decay = (sp_real)r->weight_decay, epsilon = (sp_real)o->epsilon;
    const sp_real *restrict g = r->g;
    sp_real *restrict x = r->x, *restrict s = r->slot[0];
    for (long i = 0; i < r->n; i++) {
        const sp_real d = g[i] + decay * x[i];
        s[i] += d * d;
        x[i] -= lr * d / (sp_root(s[i]) + epsilon);
    }
}

const struct sp_rule sp_rule_adagrad = { .name = "adagrad", .slot = { "sum" }, .flops = 9, .epsilon = 1e-10,
                                         .update = update };
