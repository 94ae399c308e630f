/* Adam.   g' = g + d x    m = b1 m + (1 - b1) g'    v = b2 v + (1 - b2) g'^2    x -= lr mc / (sqrt(vc) + epsilon)
   with mc = m / (1 - b1^k) and vc = v / (1 - b2^k) at the k-th step.
   Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015. */
#include "config.h"

#include "autograd/clones_inside.h"
#include "nn/rule_inside.h"

/* The step above, from kept x instead of x. */
SP_CLONES void sp_adam_update(const sp_optimizer *o, const struct sp_run *r, double weight_decay, double kept)
{
    const double steps = o->state.steps;
    const sp_real b1 = (sp_real)o->beta1, b2 = (sp_real)o->beta2, epsilon = (sp_real)o->epsilon;
    const sp_real c1 = (sp_real)(1 - o->beta1), c2 = (sp_real)(1 - o->beta2);   /* 1 - 0.999f would be 1e-5 off */
    const sp_real rate = (sp_real)(r->lr / (1 - pow(o->beta1, steps)));
    const sp_real unbias = (sp_real)(1 / sqrt(1 - pow(o->beta2, steps)));
    const sp_real decay = (sp_real)weight_decay, keep = (sp_real)kept;
    const sp_real *restrict g = r->g;
    sp_real *restrict x = r->x, *restrict m = r->slot[0], *restrict v = r->slot[1];
    for (long i = 0; i < r->n; i++) {
        const sp_real d = g[i] + decay * x[i];
        m[i] = b1 * m[i] + c1 * d;
        v[i] = b2 * v[i] + c2 * d * d;
        x[i] = keep * x[i] - rate * m[i] / (sp_root(v[i]) * unbias + epsilon);
    }
}

static void update(const sp_optimizer *o, const struct sp_run *r)
{
    sp_adam_update(o, r, r->weight_decay, 1);
}

const struct sp_rule sp_rule_adam = { .name = "adam", .slot = { "exp_avg", "exp_avg_sq" }, .flops = 16, .epsilon = 1e-8,
                                      .update = update };
