#include "nn/cell.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/init.h"
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

/* ---- running one over time ------------------------------------------------------------------------------------- */

/* Zeros for the states that were not given; false if one has the wrong shape. */
static bool begin(sp_tape *t, const sp_cell *cell, long rows, sp_tensor **state)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    for (int i = 0; i < cell->states; i++) {
        sp_shape shape = SP_SHAPE(rows, cell->width[i]);
        if (!state[i])
            state[i] = sp_full(t, 0, shape);
        if (!sp_sound(state[i]))
            return false;
        if (!sp_shape_equal(sp_shape_get(state[i]), shape)) {
            sp_tape_fail(t, SP_ERR_SHAPE, "unroll: state %d of cell '%s' is %s, not %s", i, cell->name ? cell->name : "",
                         sp_shape_format(have, sp_shape_get(state[i])), sp_shape_format(want, shape));
            return false;
        }
    }
    return true;
}

/* What a step has given must be y [B,out] and the states it was asked for. */
static bool check_step(sp_tape *t, const sp_cell *cell, long rows, const sp_tensor *y, sp_tensor *const *state)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    long out = cell->out ? cell->out : cell->width[0];
    for (int i = -1; sp_ok(t) && i < cell->states; i++) {
        sp_shape shape = SP_SHAPE(rows, i < 0 ? out : cell->width[i]), given = sp_shape_get(i < 0 ? y : state[i]);
        if (!sp_shape_equal(given, shape))
            sp_tape_fail(t, SP_ERR_SHAPE, "step: %s is %s, not %s", i < 0 ? "y" : "a new state",
                         sp_shape_format(have, given), sp_shape_format(want, shape));
    }
    return sp_ok(t);
}

sp_tensor *sp_unroll(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state)
{
    sp_tensor *own[SP_MAX_STATES] = { NULL };
    char text[SP_SHAPE_TEXT];
    sp_shape shape = sp_shape_get(xs);
    if (!cell || !cell->step)
        return sp_tape_fail(t, SP_ERR_VALUE, "unroll: the cell %s", cell ? "has no step (was it made?)" : "is NULL");
    if (cell->states < 1 || cell->states > SP_MAX_STATES)
        return sp_tape_fail(t, SP_ERR_VALUE, "unroll: the cell has %d states, not 1 to %d", cell->states, SP_MAX_STATES);
    if (!sp_sound(xs))
        return sp_tape_fail(t, SP_ERR_VALUE, "unroll: no input");
    if (shape.rank != 3)
        return sp_tape_fail(t, SP_ERR_SHAPE, "unroll: the input is %s, not [T,B,in]", sp_shape_format(text, shape));
    if (!state)
        state = own;
    const long steps = shape.dim[0];
    sp_tensor **ys = sp_tape_take(t, (size_t)steps * sizeof *ys);
    if (!ys || !begin(t, cell, shape.dim[1], state))
        return sp_tape_fail(t, SP_ERR_VALUE, "unroll: no state");
    if (!steps)
        return sp_full(t, 0, SP_SHAPE(0, shape.dim[1], cell->out ? cell->out : cell->width[0]));
    sp_scope_push(t, "%s", cell->name ? cell->name : "cell");
    for (long i = 0; i < steps; i++) {
        sp_scope_time(t, i);
        ys[i] = cell->step(t, cell->self, sp_index(t, xs, 0, i), state);
        if (!check_step(t, cell, shape.dim[1], ys[i], state))
            break;
    }
    sp_tensor *all = sp_concat(t, (int)steps, ys, 0);
    sp_scope_pop(t);
    return sp_reshape(t, all, SP_SHAPE(steps, shape.dim[1], sp_dim(all, 1)));
}
