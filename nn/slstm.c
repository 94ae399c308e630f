/* The scalar memory of the xLSTM, with an exponential input gate; states h, c, n, m.
       i f z o = x W_ih' + b_ih + h W_hh' + b_hh
       c' = F c + I tanh(z)    n' = F n + I    h' = sigmoid(o) c' / n',   F = sigmoid(f), I = e^i
   The states hold c e^-m and n e^-m, where m' = max(ln F + m, i) keeps all exponents at 0 or below, and at 0 one of the two:
       c' = e^(ln F + m - m') c + e^(i - m') tanh(z)    n' = e^(ln F + m - m') n + e^(i - m')
   so that from the first step on n' is 1 or more. Before it n is 0: nothing is remembered, and m' is i. y is the same for any
   m, forward and backward. The forget gates' biases b_ih begin spread over 3 to 6: units remember for 20 to 400 steps.
   Source: Beck et al., "xLSTM: Extended long short-term memory", NeurIPS 2024, equations 8 to 17; one head. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    sp_tensor *part[4], *n = state[2];
    sp_split(t, sp_recurrent_on(t, self, x, state[0]), 1, 4, part);
    sp_tensor *i = part[0], *f = sp_where(t, n, sp_add(t, sp_log_sigmoid(t, part[1]), state[3]), i);
    sp_tensor *m = sp_maximum(t, f, i), *keep = sp_exp(t, sp_sub(t, f, m)), *take = sp_exp(t, sp_sub(t, i, m));
    state[1] = sp_add(t, sp_mul(t, keep, state[1]), sp_mul(t, take, sp_tanh(t, part[2])));
    state[2] = sp_add(t, sp_mul(t, keep, n), take);
    state[3] = m;
    return state[0] = sp_mul(t, sp_sigmoid(t, part[3]), sp_div(t, state[1], state[2]));
}

SP_CELL_MAKER(sp_slstm_make)
{
    const struct sp_recurrent *m = sp_recurrent_make(s, scope, layer, in, hidden, 4);
    for (long i = 0; m && i < hidden; i++)
        sp_param_values(m->x.bias)[hidden + i] = (sp_real)(3 + 3.0 * (double)i / (double)hidden);
    return (sp_cell){ .name = "slstm", .self = m, .step = m ? step : NULL, .states = 4, .joint = true,
                      .width = { hidden, hidden, hidden, hidden } };
}
