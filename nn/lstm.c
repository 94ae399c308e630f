/* Long short-term memory, states h and c.   i f g o = x W_ih' + b_ih + h W_hh' + b_hh
       c' = sigmoid(f) c + sigmoid(i) tanh(g)      h' = sigmoid(o) tanh(c')
   Source: Hochreiter, Schmidhuber, Neural Computation 9, 1997; forget gate: Gers et al., Neural Computation 12, 2000. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct sp_recurrent *m = self;
    sp_tensor *half[2];
    sp_split(t, sp_lstm_gates(t, sp_linear_on(t, &m->x, x), sp_linear_on(t, &m->h, state[0]), state[1]), 1, 2, half);
    state[0] = half[0];
    state[1] = half[1];
    return state[0];
}

SP_CELL_MAKER(sp_lstm_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 4);
    return (sp_cell){ .name = "lstm", .self = self, .step = self ? step : NULL, .states = 2, .width = { hidden, hidden } };
}

void sp_lstm_forget_bias(const sp_cell *lstm, double value)
{
    if (!lstm || lstm->step != step)
        return;
    const struct sp_recurrent *m = lstm->self;
    for (long i = lstm->width[0]; i < 2 * lstm->width[0]; i++) {
        sp_param_values(m->x.bias)[i] = (sp_real)value;
        sp_param_values(m->h.bias)[i] = 0;
    }
}
