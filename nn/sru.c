/* Simple recurrent unit, one state c; no product in the loop.   z f r = x W_ih'
       f = sigmoid(f + v_f c + b_f)    r = sigmoid(r + v_r c + b_r)
       c' = f c + (1 - f) z            y = r c' + (1 - r) sqrt(3) x
   v is "weight_ch_l0" [2,hidden], b is "bias_ih_l0" [2,hidden], both in the order f r. Where x is not hidden wide, a fourth
   part of x W_ih' stands for sqrt(3) x. sqrt(3) is the paper's scale for b = 0, and at first b is 0 and W uniform in
   +-sqrt(3 / in): y varies as x does. v begins uniform in +-1/sqrt(hidden).
   Source: Lei et al., "Simple recurrent units for highly parallelizable recurrence", EMNLP 2018. */
#include <math.h>

#include "nn/cell.h"
#include "ops/ops.h"

struct sru {
    sp_linear x;                /* [3 or 4 hidden,in], no bias */
    sp_param *v, *b;            /* [2,hidden] */
};

/* sigmoid(gate + v_i c + b_i) */
static sp_tensor *gate_on(sp_tape *t, const struct sru *m, long i, sp_tensor *gate, sp_tensor *c)
{
    sp_tensor *v = sp_index(t, sp_param_on(t, m->v), 0, i), *b = sp_index(t, sp_param_on(t, m->b), 0, i);
    return sp_sigmoid(t, sp_add(t, sp_add(t, gate, b), sp_mul(t, c, v)));
}

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct sru *m = self;
    sp_tensor *c = *state, *part[4];
    const bool direct = sp_dim(x, 1) == sp_dim(c, 1);
    sp_split(t, sp_linear_on(t, &m->x, x), 1, direct ? 3 : 4, part);
    *state = sp_lerp(t, part[0], c, gate_on(t, m, 0, part[1], c));
    return sp_lerp(t, direct ? sp_scale(t, x, sqrt(3)) : part[3], *state, gate_on(t, m, 1, part[2], c));
}

SP_CELL_MAKER(sp_sru_make)
{
    const double a = sqrt(3 / (double)in);      /* of variance 1 / in */
    struct sru *m = sp_recurrent_new(s, scope, in, hidden, sizeof *m);
    if (m) {
        m->x.weight = sp_recurrent_param(s, SP_SHAPE((in == hidden ? 3 : 4) * hidden, in), scope, "weight_ih", layer, a);
        m->v = sp_recurrent_param(s, SP_SHAPE(2, hidden), scope, "weight_ch", layer, 1 / sqrt((double)hidden));
        m->b = sp_recurrent_param(s, SP_SHAPE(2, hidden), scope, "bias_ih", layer, 0);
    }
    return (sp_cell){ .name = "sru", .self = m, .step = sp_store_ok(s) ? step : NULL, .states = 1, .width = { hidden } };
}
