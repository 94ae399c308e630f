/* The gated recurrent unit that lectures begin with: an update gate, no reset gate. One state, also called c.
       u n = x W_ih' + b_ih + h W_hh' + b_hh      h' = u tanh(n) + (1 - u) h,  u = sigmoid(u)
   Source: Cho et al., EMNLP 2014, without its reset gate; in this form Ng, "Sequence models", 2018. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    sp_tensor *part[2];
    sp_split(t, sp_recurrent_on(t, self, x, *h), 1, 2, part);
    return *h = sp_lerp(t, *h, sp_tanh(t, part[1]), sp_sigmoid(t, part[0]));
}

SP_CELL_MAKER(sp_gru_simple_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 2);
    return (sp_cell){ .name = "gru-simple", .self = self, .step = self ? step : NULL, .states = 1, .width = { hidden } };
}
