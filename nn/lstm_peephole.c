/* Long short-term memory whose gates see its cell, states h and c.   i f g o = x W_ih' + b_ih + h W_hh' + b_hh
       i = sigmoid(i + p_i c)    f = sigmoid(f + p_f c)    c' = f c + i tanh(g)
       o = sigmoid(o + p_o c')   h' = o tanh(c')           the peepholes p are "weight_ch_l0" [3,hidden], order i f o
   Source: Gers, Schmidhuber, "Recurrent nets that time and count", IJCNN 2000. */
#include <math.h>

#include "nn/cell.h"
#include "ops/ops.h"

struct peephole {
    struct sp_recurrent *maps;
    sp_param *p;                /* [3,hidden] */
};

/* sigmoid(gate + p_i c) */
static sp_tensor *looking(sp_tape *t, const struct peephole *m, long i, sp_tensor *gate, sp_tensor *c)
{
    return sp_sigmoid(t, sp_add(t, gate, sp_mul(t, c, sp_index(t, sp_param_on(t, m->p), 0, i))));
}

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct peephole *m = self;
    sp_tensor *part[4], *c = state[1];
    sp_split(t, sp_recurrent_on(t, m->maps, x, state[0]), 1, 4, part);
    sp_tensor *i = looking(t, m, 0, part[0], c), *f = looking(t, m, 1, part[1], c);
    state[1] = sp_add(t, sp_mul(t, f, c), sp_mul(t, i, sp_tanh(t, part[2])));
    return state[0] = sp_mul(t, looking(t, m, 2, part[3], state[1]), sp_tanh(t, state[1]));
}

SP_CELL_MAKER(sp_lstm_peephole_make)
{
    struct peephole *m = sp_recurrent_new(s, scope, in, hidden, sizeof *m);
    if (m) {
        m->maps = sp_recurrent_make(s, scope, layer, in, hidden, 4);
        m->p = sp_recurrent_param(s, SP_SHAPE(3, hidden), scope, "weight_ch", layer, 1 / sqrt((double)hidden));
    }
    return (sp_cell){ .name = "lstm-peephole", .self = m, .step = sp_store_ok(s) ? step : NULL, .states = 2,
                      .width = { hidden, hidden } };
}
