/* The pooling of a quasi-recurrent network ("fo"), one state c; no product in the loop.
       z f o = x W_ih' + b_ih      c' = sigmoid(f) c + (1 - sigmoid(f)) tanh(z)      y = sigmoid(o) c'
   Source: Bradbury et al., "Quasi-recurrent neural networks", ICLR 2017, with a window of one step. A wider window is
   an x that has the steps before it in its row. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **c)
{
    sp_tensor *part[3];
    sp_split(t, sp_linear_on(t, self, x), 1, 3, part);
    *c = sp_lerp(t, sp_tanh(t, part[0]), *c, sp_sigmoid(t, part[1]));
    return sp_mul(t, sp_sigmoid(t, part[2]), *c);
}

SP_CELL_MAKER(sp_qrnn_make)
{
    const void *self = sp_recurrent_input_make(s, scope, layer, in, hidden, 3);
    return (sp_cell){ .name = "qrnn", .self = self, .step = self ? step : NULL, .states = 1, .width = { hidden } };
}
