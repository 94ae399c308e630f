/* Minimal long short-term memory whose gates and candidate see x alone; one state.   f i n = x W_ih' + b_ih
       h' = F / (F + I) h + I / (F + I) n,  F = sigmoid(f), I = sigmoid(i)
   F / (F + I) is sigmoid(ln F - ln I), which is a number where F and I are both too small for one.
   Source: Feng et al., "Were RNNs all we needed?", 2024. */
#include "nn/cell.h"
#include "ops/ops.h"

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    sp_tensor *part[3];
    sp_split(t, sp_linear_on(t, self, x), 1, 3, part);
    sp_tensor *keep = sp_sigmoid(t, sp_sub(t, sp_log_sigmoid(t, part[0]), sp_log_sigmoid(t, part[1])));
    return *h = sp_lerp(t, part[2], *h, keep);
}

SP_CELL_MAKER(sp_minlstm_make)
{
    const void *self = sp_recurrent_input_make(s, scope, layer, in, hidden, 3);
    return (sp_cell){ .name = "minlstm", .self = self, .step = self ? step : NULL, .states = 1, .width = { hidden } };
}
