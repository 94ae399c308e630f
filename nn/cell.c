#include "nn/cell.h"

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
    { "rnn",  sp_rnn_make },
    { "relu", sp_relu_rnn_make },
    { "lstm", sp_lstm_make },
    { "gru",  sp_gru_make },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

const char *sp_cell_kind(int index)
{
    return index >= 0 && index < KINDS ? kinds[index].kind : NULL;
}

sp_cell sp_cell_make(sp_store *s, const char *kind, const char *scope, int layer, long in, long hidden)
{
    char known[128] = "";
    for (int i = 0; i < KINDS; i++) {
        if (kind && !strcmp(kinds[i].kind, kind))
            return kinds[i].make(s, scope, layer, in, hidden);
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", kinds[i].kind);
    }
    sp_store_fail(s, SP_ERR_VALUE, "cell '%s' is none of:%s", kind ? kind : "NULL", known);
    return (sp_cell){ 0 };
}

/* A linear map with PyTorch's names for recurrent layers. */
static sp_linear make_map(sp_store *s, const char *scope, const char *which, int layer, long in, long out, double a)
{
    sp_param *weight = sp_store_add(s, SP_SHAPE(out, in), "%s.weight_%s_l%d", scope, which, layer);
    sp_param *bias = sp_store_add(s, SP_SHAPE(out), "%s.bias_%s_l%d", scope, which, layer);
    sp_init_uniform(weight, -a, a);
    sp_init_uniform(bias, -a, a);
    return (sp_linear){ weight, bias };
}

struct sp_recurrent *sp_recurrent_make(sp_store *s, const char *scope, int layer, long in, long hidden, int gates)
{
    struct sp_recurrent *r = sp_store_alloc(s, sizeof *r);
    double a = 1 / sqrt((double)hidden);
    if (!r)
        return NULL;
    r->x = make_map(s, scope, "ih", layer, in, gates * hidden, a);
    r->h = make_map(s, scope, "hh", layer, hidden, gates * hidden, a);
    return sp_store_ok(s) ? r : NULL;
}
