/* Stochastic gradient descent with momentum m and weight decay d (PyTorch's form; m = 0 is plain descent):
       g' = g + d x    v = m v + g'    x -= lr v,  with nesterov  x -= lr (g' + m v)
   Sources: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever, Martens, Dahl,
   Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013 (Nesterov's). */
#include "config.h"

#include "autograd/clones_inside.h"
#include "nn/rule_inside.h"

SP_CLONES void sp_sgd_update(const sp_optimizer *o, const struct sp_run *r)
{
    const sp_real lr = (sp_real)r->lr, decay = (sp_real)r->weight_decay, m = (sp_real)o->momentum;
    const sp_real fresh = o->nesterov ? 1 : 0, old = o->nesterov ? m : 1;
    const sp_real *restrict g = r->g;
    sp_real *restrict x = r->x, *restrict v = r->slot[0];
    for (long i = 0; i < r->n; i++) {
        const sp_real d = g[i] + decay * x[i];
        v[i] = m * v[i] + d;
        x[i] -= lr * (fresh * d + old * v[i]);
    }
}

const struct sp_rule sp_rule_sgd = { .name = "sgd", .slot = { "momentum_buffer" }, .flops = 9, .epsilon = 1,
                                     .update = sp_sgd_update };
