/* Long short-term memory that forgets as much as it takes in, states h and c.   f g o = x W_ih' + b_ih + h W_hh' + b_hh
       c' = sigmoid(f) c + (1 - sigmoid(f)) tanh(g)      h' = sigmoid(o) tanh(c')
   Source: CIFG of Greff et al., "LSTM: A search space odyssey", IEEE Transactions on Neural Networks 28, 2017; no peepholes. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    sp_tensor *part[3];
    sp_split(t, sp_recurrent_on(t, self, x, state[0]), 1, 3, part);
    state[1] = sp_lerp(t, sp_tanh(t, part[1]), state[1], sp_sigmoid(t, part[0]));
    return state[0] = sp_mul(t, sp_sigmoid(t, part[2]), sp_tanh(t, state[1]));
}

SP_CELL_MAKER(sp_lstm_coupled_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 3);
    return (sp_cell){ .name = "lstm-coupled", .self = self, .step = self ? step : NULL, .states = 2,
                      .width = { hidden, hidden } };
}
