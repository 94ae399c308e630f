/* Long short-term memory, states h and c.   i f g o = x W_ih' + b_ih + h W_hh' + b_hh
       c' = sigmoid(f) c + sigmoid(i) tanh(g)      h' = sigmoid(o) tanh(c')
   The forget gate's bias begins at 1, so that at first the cell remembers (Jozefowicz et al., ICML 2015).
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
    struct sp_recurrent *m = sp_recurrent_make(s, scope, layer, in, hidden, 4);
    for (long i = hidden; m && i < 2 * hidden; i++) {
        sp_param_values(m->x.bias)[i] = 1;
        sp_param_values(m->h.bias)[i] = 0;
    }
    return (sp_cell){ .name = "lstm", .self = m, .step = m ? step : NULL, .states = 2, .width = { hidden, hidden } };
}
