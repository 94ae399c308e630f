/* The matrix memory of the xLSTM, states C [B,d d], n [B,d] and m [B,1], d = hidden; no product with a weight in the loop.
       q k v o = x W_ih' + b_ih,  i f = x W_gate' + b_gate: one number each
       C' = F C + I v k'    n' = F n + I k    y = sigmoid(o) C' q / max(|n' q|, 1),   F = sigmoid(f), I = e^i, k / sqrt(d)
   The states hold C e^-m and n e^-m, where m' = max(ln F + m, i, 0) keeps all exponents at 0 or below:
       C' = e^(ln F + m - m') C + v (e^(i - m') k)'    y = sigmoid(o) C' q / max(|n' q|, e^-m', 1e-6)
   y is the same for any m. The 0 in m' (the paper has none) is for gates that are all closed: without it e^-m' overflows; 1e-6
   is for n' = 0 where e^-m' vanishes. The forget gate's bias begins as 3: it remembers for 20 steps. C has d^2 numbers, and so
   have the values of each step that are kept for the way back.
   Source: Beck et al., "xLSTM: Extended long short-term memory", NeurIPS 2024, equations 19 to 27; one head. */
#include <math.h>

#include "nn/cell.h"
#include "ops/ops.h"

struct mlstm {
    sp_linear x, gate;
};

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct mlstm *p = self;
    const long batch = sp_dim(x, 0), d = sp_dim(state[1], 1);
    const sp_shape column = SP_SHAPE(batch, d, 1), row = SP_SHAPE(batch, 1, d), square = SP_SHAPE(batch, d, d);
    sp_tensor *part[4], *gate[2];
    sp_split(t, sp_linear_on(t, &p->x, x), 1, 4, part);
    sp_split(t, sp_linear_on(t, &p->gate, x), 1, 2, gate);
    sp_tensor *q = sp_reshape(t, part[0], column), *k = sp_scale(t, part[1], 1 / sqrt((double)d));

    sp_tensor *f = sp_add(t, sp_log_sigmoid(t, gate[1]), state[2]);
    sp_tensor *m = sp_relu(t, sp_maximum(t, f, gate[0]));
    sp_tensor *keep = sp_exp(t, sp_sub(t, f, m)), *taken = sp_mul(t, sp_exp(t, sp_sub(t, gate[0], m)), k);
    sp_tensor *outer = sp_matmul(t, sp_reshape(t, part[2], column), sp_reshape(t, taken, row));
    state[0] = sp_add(t, sp_mul(t, keep, state[0]), sp_reshape(t, outer, SP_SHAPE(batch, d * d)));
    state[1] = sp_add(t, sp_mul(t, keep, state[1]), taken);
    state[2] = m;

    sp_tensor *y = sp_reshape(t, sp_matmul(t, sp_reshape(t, state[0], square), q), SP_SHAPE(batch, d));
    sp_tensor *nq = sp_reshape(t, sp_matmul(t, sp_reshape(t, state[1], row), q), SP_SHAPE(batch, 1));
    sp_tensor *least = sp_maximum(t, sp_exp(t, sp_neg(t, m)), sp_full(t, (sp_real)1e-6, SP_SHAPE(1)));
    return sp_mul(t, sp_sigmoid(t, part[3]), sp_div(t, y, sp_maximum(t, sp_abs(t, nq), least)));
}

SP_CELL_MAKER(sp_mlstm_make)
{
    const double a = 1 / sqrt((double)hidden);
    struct mlstm *m = sp_recurrent_new(s, scope, in, hidden, sizeof *m);
    if (m) {
        m->x = sp_recurrent_map(s, scope, "ih", layer, in, 4 * hidden, a);
        m->gate = sp_recurrent_map(s, scope, "gate", layer, in, 2, a);
        if (m->gate.bias)
            sp_param_values(m->gate.bias)[1] = 3;
    }
    return (sp_cell){ .name = "mlstm", .self = m, .step = sp_store_ok(s) ? step : NULL, .out = hidden, .states = 3,
                      .width = { m ? hidden * hidden : 0, hidden, 1 }, .joint = true };
}
