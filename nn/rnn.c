/* The vanilla recurrent cell, one state.   h' = f(x W_ih' + b_ih + h W_hh' + b_hh),  f = tanh or relu
   Source: Elman, "Finding structure in time", Cognitive Science 14, 1990. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *tanh_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    return *h = sp_tanh(t, sp_recurrent_on(t, self, x, *h));
}

static sp_tensor *relu_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    return *h = sp_relu(t, sp_recurrent_on(t, self, x, *h));
}

SP_CELL_MAKER(sp_rnn_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 1);
    return (sp_cell){ .name = "rnn", .self = self, .step = self ? tanh_step : NULL, .states = 1, .width = { hidden } };
}

SP_CELL_MAKER(sp_relu_rnn_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 1);
    return (sp_cell){ .name = "relu", .self = self, .step = self ? relu_step : NULL, .states = 1, .width = { hidden } };
}
