/* RMSprop with momentum m.   g' = g + d x    v = alpha v + (1 - alpha) g'^2    w = sqrt(v) + epsilon
                              b = m b + g' / w    x -= lr b
   Centered: u = alpha u + (1 - alpha) g',  w = sqrt(v - u^2) + epsilon.
   Sources: Hinton, "Neural networks for machine learning", lecture 6e, 2012; Graves, "Generating sequences with recurrent
   neural networks", 2013 (centered, with momentum). */
#include "config.h"

#include "autograd/clones_inside.h"
#include "nn/rule_inside.h"

SP_CLONES static void update(const sp_optimizer *o, const struct sp_run *r)
{
    const sp_real lr = (sp_real)r->lr, decay = (sp_real)r->weight_decay, epsilon = (sp_real)o->epsilon;
    const sp_real alpha = (sp_real)o->alpha, rest = (sp_real)(1 - o->alpha), m = (sp_real)o->momentum;
    const bool centered = o->centered;
    const sp_real *restrict g = r->g;
    sp_real *restrict x = r->x, *restrict v = r->slot[0], *restrict b = r->slot[1], *restrict u = r->slot[2];
    for (long i = 0; i < r->n; i++) {
        const sp_real d = g[i] + decay * x[i];
        v[i] = alpha * v[i] + rest * d * d;
        sp_real square = v[i];
        if (centered) {
            u[i] = alpha * u[i] + rest * d;
            square -= u[i] * u[i];
            square = square > 0 ? square : 0;           /* by rounding it could be below */
        }
        b[i] = m * b[i] + d / (sp_root(square) + epsilon);
        x[i] -= lr * b[i];
    }
}

const struct sp_rule sp_rule_rmsprop = { .name = "rmsprop", .slot = { "square_avg", "momentum_buffer", "grad_avg" },
                                         .flops = 17, .epsilon = 1e-8, .update = update };
