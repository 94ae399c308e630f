/* Long short-term memory with layer normalisation, states h and c. N(x; gain, bias) has mean 0 and variance 1 along a row,
   then times gain plus bias.   i f g o = N(x W_ih'; gain_ih, bias_ih) + N(h W_hh'; gain_hh, bias_hh)
       c' = sigmoid(f) c + sigmoid(i) tanh(g)      h' = sigmoid(o) tanh(N(c'; gain_ch, bias_ch))
   Source: Ba, Kiros, Hinton, "Layer normalization", 2016; its b is in the biases of the norms. */
#include <math.h>

#include "nn/cell.h"
#include "nn/init.h"
#include "ops/ops.h"

struct norm {
    sp_param *gain, *bias;      /* [n], at first 1 and within +-bound */
};

struct lstm_norm {
    sp_linear x, h;             /* no biases */
    struct norm ih, hh, ch;
};

static struct norm make_norm(sp_store *s, const char *scope, const char *gain, const char *bias, int layer, long n,
                             double bound)
{
    struct norm norm = { sp_recurrent_param(s, SP_SHAPE(n), scope, gain, layer, 0),
                         sp_recurrent_param(s, SP_SHAPE(n), scope, bias, layer, bound) };
    sp_init_constant(norm.gain, 1);
    return norm;
}

static sp_tensor *norm_on(sp_tape *t, const struct norm *n, sp_tensor *x)
{
    return sp_layer_norm(t, x, sp_param_on(t, n->gain), sp_param_on(t, n->bias), 1e-5);
}

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct lstm_norm *m = self;
    sp_tensor *a = norm_on(t, &m->ih, sp_linear_on(t, &m->x, x)), *part[4];
    sp_tensor *b = norm_on(t, &m->hh, sp_linear_on(t, &m->h, state[0]));
    sp_split(t, sp_add(t, a, b), 1, 4, part);
    sp_tensor *i = sp_sigmoid(t, part[0]), *f = sp_sigmoid(t, part[1]), *o = sp_sigmoid(t, part[3]);
    state[1] = sp_add(t, sp_mul(t, f, state[1]), sp_mul(t, i, sp_tanh(t, part[2])));
    return state[0] = sp_mul(t, o, sp_tanh(t, norm_on(t, &m->ch, state[1])));
}

SP_CELL_MAKER(sp_lstm_norm_make)
{
    const double a = 1 / sqrt((double)hidden);
    struct lstm_norm *m = sp_recurrent_new(s, scope, in, hidden, sizeof *m);
    if (m) {
        m->x.weight = sp_recurrent_param(s, SP_SHAPE(4 * hidden, in), scope, "weight_ih", layer, a);
        m->h.weight = sp_recurrent_param(s, SP_SHAPE(4 * hidden, hidden), scope, "weight_hh", layer, a);
        /* Were all biases 0, so were the states over inputs of 0, and the way back through each norm times 1 / sqrt(1e-5). */
        m->ih = make_norm(s, scope, "gain_ih", "bias_ih", layer, 4 * hidden, a);
        m->hh = make_norm(s, scope, "gain_hh", "bias_hh", layer, 4 * hidden, 0);
        m->ch = make_norm(s, scope, "gain_ch", "bias_ch", layer, hidden, 0);
    }
    return (sp_cell){ .name = "lstm-norm", .self = m, .step = sp_store_ok(s) ? step : NULL, .states = 2,
                      .width = { hidden, hidden } };
}
