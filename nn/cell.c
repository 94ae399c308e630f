#include "nn/cell.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/init.h"
#include "nn/cell_inside.h"
#include "ops/ops.h"

static const struct {
    const char *kind;
    SP_CELL_MAKER((*make));
} kinds[] = {
    { "rnn",            sp_rnn_make },
    { "relu",           sp_relu_rnn_make },
    { "lstm",           sp_lstm_make },
    { "gru",            sp_gru_make },
    { "gru-simple",     sp_gru_simple_make },
    { "gru-before",     sp_gru_before_make },
    { "lstm-peephole",  sp_lstm_peephole_make },
    { "lstm-coupled",   sp_lstm_coupled_make },
    { "lstm-projected", sp_lstm_projected_make },
    { "lstm-norm",      sp_lstm_norm_make },
    { "indrnn",         sp_indrnn_make },
    { "sru",            sp_sru_make },
    { "qrnn",           sp_qrnn_make },
    { "mingru",         sp_mingru_make },
    { "minlstm",        sp_minlstm_make },
    { "slstm",          sp_slstm_make },
    { "mlstm",          sp_mlstm_make },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

const char *sp_cell_kind(int index)
{
    return index >= 0 && index < KINDS ? kinds[index].kind : NULL;
}

const char *sp_cell_kind_named(const char *kind)
{
    for (int i = 0; kind && i < KINDS; i++)
        if (!strcmp(kinds[i].kind, kind))
            return kinds[i].kind;
    return NULL;
}

sp_cell sp_cell_make(sp_store *s, const char *kind, const char *scope, int layer, long in, long hidden)
{
    char known[] = SP_CELL_KINDS;
    for (int i = 0; i < KINDS; i++)
        if (kind && !strcmp(kinds[i].kind, kind))
            return kinds[i].make(s, scope, layer, in, hidden);
    for (char *p = known; (p = strchr(p, '|')); )
        *p = ' ';
    sp_store_fail(s, SP_ERR_VALUE, "cell '%s' is none of: %s", kind ? kind : "NULL", known);
    return (sp_cell){ 0 };
}

void *sp_recurrent_new(sp_store *s, const char *scope, long in, long hidden, size_t bytes)
{
    const long most = 1L << 30;
    if (in >= 1 && in <= most && hidden >= 1 && hidden <= most)
        return sp_store_alloc(s, bytes);
    sp_store_fail(s, SP_ERR_SHAPE, "%s: in is %ld and hidden %ld, not each from 1 to %ld", scope ? scope : "NULL", in, hidden,
                  most);
    return NULL;
}

sp_param *sp_recurrent_param(sp_store *s, sp_shape shape, const char *scope, const char *name, int layer, double bound)
{
    const char *end = layer < 0 ? "_reverse" : "";
    sp_param *p = sp_store_add(s, shape, "%s.%s_l%d%s", scope, name, layer < 0 ? sp_reverse_layer(layer) : layer, end);
    sp_init_uniform(p, -bound, bound);
    return p;
}

sp_linear sp_recurrent_map(sp_store *s, const char *scope, const char *which, int layer, long in, long out, double bound)
{
    char weight[32], bias[32];
    snprintf(weight, sizeof weight, "weight_%s", which);
    snprintf(bias, sizeof bias, "bias_%s", which);
    sp_linear l = { .weight = sp_recurrent_param(s, SP_SHAPE(out, in), scope, weight, layer, bound) };
    l.bias = sp_recurrent_param(s, SP_SHAPE(out), scope, bias, layer, bound);
    return l;
}

sp_linear *sp_recurrent_input_make(sp_store *s, const char *scope, int layer, long in, long hidden, int gates)
{
    sp_linear *x = sp_recurrent_new(s, scope, in, hidden, sizeof *x);
    if (x)
        *x = sp_recurrent_map(s, scope, "ih", layer, in, gates * hidden, 1 / sqrt((double)hidden));
    return sp_store_ok(s) ? x : NULL;
}

struct sp_recurrent *sp_recurrent_make(sp_store *s, const char *scope, int layer, long in, long hidden, int gates)
{
    struct sp_recurrent *r = sp_recurrent_new(s, scope, in, hidden, sizeof *r);
    double a = 1 / sqrt((double)hidden);
    if (!r)
        return NULL;
    r->x = sp_recurrent_map(s, scope, "ih", layer, in, gates * hidden, a);
    r->h = sp_recurrent_map(s, scope, "hh", layer, hidden, gates * hidden, a);
    return sp_store_ok(s) ? r : NULL;
}

sp_tensor *sp_recurrent_on(sp_tape *t, const struct sp_recurrent *r, sp_tensor *x, sp_tensor *h)
{
    return sp_add(t, sp_linear_on(t, &r->x, x), sp_linear_on(t, &r->h, h));
}
