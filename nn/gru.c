/* Gated recurrent unit, one state.   r z n = x W_ih' + b_ih  (a)    and  h W_hh' + b_hh  (b)
       r = sigmoid(ar + br)    z = sigmoid(az + bz)    n = tanh(an + r bn)    h' = (1 - z) n + z h
   Source: Cho et al., EMNLP 2014; the reset gate after the product, as in cuDNN and PyTorch. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct sp_recurrent *m = self;
    return *h = sp_gru_gates(t, sp_linear_on(t, &m->x, x), sp_linear_on(t, &m->h, *h), *h);
}

SP_CELL_MAKER(sp_gru_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 3);
    return (sp_cell){ .name = "gru", .self = self, .step = self ? step : NULL, .states = 1, .width = { hidden } };
}
