/* Minimal gated recurrent unit whose gate and candidate see x alone; one state.
       z n = x W_ih' + b_ih      h' = (1 - sigmoid(z)) h + sigmoid(z) n
   Source: Feng et al., "Were RNNs all we needed?", 2024. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    sp_tensor *part[2];
    sp_split(t, sp_linear_on(t, self, x), 1, 2, part);
    return *h = sp_lerp(t, *h, part[1], sp_sigmoid(t, part[0]));
}

SP_CELL_MAKER(sp_mingru_make)
{
    const void *self = sp_recurrent_input_make(s, scope, layer, in, hidden, 2);
    return (sp_cell){ .name = "mingru", .self = self, .step = self ? step : NULL, .states = 1, .width = { hidden } };
}
