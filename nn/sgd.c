/* Stochastic gradient descent with momentum m:   v = m v + g    x -= lr v     (PyTorch's form; m = 0 is plain descent)
   Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964. */
#include "nn/optimizer.h"

static void update(const sp_optimizer *o, long n, sp_real *restrict x, const sp_real *restrict g)
{
    const sp_real lr = (sp_real)o->lr, m = (sp_real)o->momentum;
    sp_real *restrict v = o->slot[0];
    for (long i = 0; i < n; i++) {
        v[i] = m * v[i] + g[i];
        x[i] -= lr * v[i];
    }
}

const struct sp_rule sp_rule_sgd = { "sgd", 1, 4, update };
