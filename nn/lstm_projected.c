/* Long short-term memory with a narrow output, states h [B,projected] and c [B,hidden].
       i f g o = x W_ih' + b_ih + h W_hh' + b_hh,  W_hh [4 hidden,projected]
       c' = sigmoid(f) c + sigmoid(i) tanh(g)      h' = (sigmoid(o) tanh(c')) W_hr',  W_hr [projected,hidden]
   Source: Sak, Senior, Beaufays, Interspeech 2014, without its peepholes: PyTorch's nn.LSTM(proj_size). */
#include <math.h>

#include "nn/cell.h"
#include "ops/ops.h"

struct projected {
    struct sp_recurrent maps;
    sp_linear out;              /* no bias */
};

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct projected *m = self;
    sp_tensor *half[2], *a = sp_linear_on(t, &m->maps.x, x), *b = sp_linear_on(t, &m->maps.h, state[0]);
    sp_split(t, sp_lstm_gates(t, a, b, state[1]), 1, 2, half);
    state[1] = half[1];
    return state[0] = sp_linear_on(t, &m->out, half[0]);
}

sp_cell sp_lstm_projected_to(sp_store *s, const char *scope, int layer, long in, long hidden, long projected)
{
    const double a = 1 / sqrt((double)hidden);
    struct projected *m = sp_recurrent_new(s, scope, in, hidden, sizeof *m);
    if (m) {
        m->maps.x = sp_recurrent_map(s, scope, "ih", layer, in, 4 * hidden, a);
        m->maps.h = sp_recurrent_map(s, scope, "hh", layer, projected, 4 * hidden, a);
        m->out.weight = sp_recurrent_param(s, SP_SHAPE(projected, hidden), scope, "weight_hr", layer, a);
    }
    return (sp_cell){ .name = "lstm-projected", .self = m, .step = sp_store_ok(s) ? step : NULL, .states = 2,
                      .width = { projected, hidden } };
}

SP_CELL_MAKER(sp_lstm_projected_make)
{
    return sp_lstm_projected_to(s, scope, layer, in, hidden, hidden / 2 + hidden % 2);
}
