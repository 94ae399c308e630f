/* Adam.   m = b1 m + (1 - b1) g    v = b2 v + (1 - b2) g^2    x -= lr mc / (sqrt(vc) + epsilon)
   with mc = m / (1 - b1^k) and vc = v / (1 - b2^k) at the k-th step.
   Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015. */
#include <math.h>

#include "nn/optimizer.h"

static void update(const sp_optimizer *o, long n, sp_real *restrict x, const sp_real *restrict g)
{
    const double steps = (double)o->steps;
    const sp_real b1 = (sp_real)o->beta1, b2 = (sp_real)o->beta2, epsilon = (sp_real)o->epsilon;
    const sp_real c1 = (sp_real)(1 - o->beta1), c2 = (sp_real)(1 - o->beta2);   /* 1 - 0.999f would be 1e-5 off */
    const sp_real rate = (sp_real)(o->lr / (1 - pow(o->beta1, steps)));
    const sp_real unbias = (sp_real)(1 / sqrt(1 - pow(o->beta2, steps)));
    sp_real *restrict m = o->slot[0], *restrict v = o->slot[1];
    for (long i = 0; i < n; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * g[i] * g[i];
#ifdef SP_FLOAT64
        x[i] -= rate * m[i] / (sqrt(v[i]) * unbias + epsilon);
#else
        x[i] -= rate * m[i] / (sqrtf(v[i]) * unbias + epsilon);
#endif
    }
}

const struct sp_rule sp_rule_adam = { "adam", 2, 13, update };
