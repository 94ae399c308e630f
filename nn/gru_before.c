/* Gated recurrent unit as first published, the reset gate before the product; one state. Order r z n in W_ih, W_hh, b.
       r = sigmoid(x W_ir' + b_ir + h W_hr' + b_hr)    z = sigmoid(x W_iz' + b_iz + h W_hz' + b_hz)
       n = tanh(x W_in' + b_in + (r h) W_hn' + b_hn)   h' = (1 - z) n + z h
   Source: Cho et al., EMNLP 2014. With the product before the reset gate (nn/gru.c) a step has one product less. */
#include "nn/cell.h"
#include "ops/ops.h"

/* y times the rows from <= i < to of a map's weight, and their biases. */
static sp_tensor *rows_on(sp_tape *t, const sp_linear *l, long from, long to, sp_tensor *y)
{
    sp_tensor *w = sp_slice(t, sp_param_on(t, l->weight), 0, from, to);
    return sp_affine(t, y, sp_transpose(t, w, 0, 1), sp_slice(t, sp_param_on(t, l->bias), 0, from, to));
}

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct sp_recurrent *m = self;
    const long n = sp_dim(*h, 1);
    sp_tensor *a = sp_linear_on(t, &m->x, x), *gate[2];
    sp_split(t, sp_sigmoid(t, sp_add(t, sp_slice(t, a, 1, 0, 2 * n), rows_on(t, &m->h, 0, 2 * n, *h))), 1, 2, gate);
    sp_tensor *reset = rows_on(t, &m->h, 2 * n, 3 * n, sp_mul(t, gate[0], *h));
    return *h = sp_lerp(t, sp_tanh(t, sp_add(t, sp_slice(t, a, 1, 2 * n, 3 * n), reset)), *h, gate[1]);
}

SP_CELL_MAKER(sp_gru_before_make)
{
    const void *self = sp_recurrent_make(s, scope, layer, in, hidden, 3);
    return (sp_cell){ .name = "gru-before", .self = self, .step = self ? step : NULL, .states = 1, .width = { hidden } };
}
