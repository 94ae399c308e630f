/* Adadelta.   g' = g + d x    v = rho v + (1 - rho) g'^2    e = sqrt(u + epsilon) / sqrt(v + epsilon) g'
               u = rho u + (1 - rho) e^2    x -= lr e
   Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012 (where lr is 1). */
#include "config.h"

#include "autograd/clones_inside.h"
#include "nn/rule_inside.h"

SP_CLONES static void update(const sp_optimizer *o, const struct sp_run *r)
{
    const sp_real lr = (sp_real)r->lr, decay = (sp_real)r->weight_decay, epsilon = (sp_real)o->epsilon;
    const sp_real rho = (sp_real)o->rho, rest = (sp_real)(1 - o->rho);
    const sp_real *restrict g = r->g;
    sp_real *restrict x = r->x, *restrict v = r->slot[0], *restrict u = r->slot[1];
    for (long i = 0; i < r->n; i++) {
        const sp_real d = g[i] + decay * x[i];
        v[i] = rho * v[i] + rest * d * d;
        const sp_real e = sp_root(u[i] + epsilon) / sp_root(v[i] + epsilon) * d;
        u[i] = rho * u[i] + rest * e * e;
        x[i] -= lr * e;
    }
}

const struct sp_rule sp_rule_adadelta = { .name = "adadelta", .slot = { "square_avg", "acc_delta" }, .flops = 18,
                                          .epsilon = 1e-6, .update = update };
