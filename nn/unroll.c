/* A cell over time, one step after the other on the tape. */
#include "autograd/op.h"
#include "nn/cell_inside.h"
#include "nn/seq_inside.h"
#include "ops/ops.h"

long sp_cell_out(const sp_cell *cell)
{
    return !cell ? 0 : cell->out ? cell->out : cell->width[0];
}

bool sp_cell_begin(sp_tape *t, const char *who, const sp_cell *cell, sp_seq xs, sp_tensor **state)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    if (!cell || !cell->step)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: the cell %s", who, cell ? "has no step (was it made?)" : "is NULL");
    else if (cell->states < 1 || cell->states > SP_MAX_STATES)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: the cell has %d states, not 1 to %d", who, cell->states, SP_MAX_STATES);
    else
        sp_seq_check(t, who, xs);
    for (int i = 0; sp_ok(t) && i < cell->states; i++)
        if (cell->width[i] < 1)
            sp_tape_fail(t, SP_ERR_VALUE, "%s: state %d of cell '%s' is %ld wide", who, i, cell->name ? cell->name : "",
                         cell->width[i]);
    for (int i = 0; sp_ok(t) && i < cell->states; i++) {
        if (state[i] && !sp_usable(t, state[i], who, "state", i))
            break;
        sp_shape one = SP_SHAPE(xs.layout->batch, cell->width[i]);
        if (!state[i])
            state[i] = sp_full(t, 0, one);
        else if (sp_sound(state[i]) && !sp_shape_equal(sp_shape_get(state[i]), one))
            sp_tape_fail(t, SP_ERR_SHAPE, "%s: state %d of cell '%s' is %s, not %s", who, i, cell->name ? cell->name : "",
                         sp_shape_format(have, sp_shape_get(state[i])), sp_shape_format(want, one));
    }
    return sp_ok(t);
}

bool sp_cell_check(sp_tape *t, const sp_cell *cell, long batch, const sp_tensor *y, sp_tensor *const *state)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    for (int i = -1; sp_ok(t) && i < cell->states; i++) {
        sp_shape shape = SP_SHAPE(batch, i < 0 ? sp_cell_out(cell) : cell->width[i]);
        const sp_tensor *x = i < 0 ? y : state[i];
        sp_shape given = sp_shape_get(x);
        if (!x)
            sp_tape_fail(t, SP_ERR_VALUE, "step: %s is NULL", i < 0 ? "y" : "a new state");
        if (!sp_shape_equal(given, shape))
            sp_tape_fail(t, SP_ERR_SHAPE, "step: %s is %s, not %s", i < 0 ? "y" : "a new state",
                         sp_shape_format(have, given), sp_shape_format(want, shape));
    }
    return sp_ok(t);
}

/* The states as rows of the next step: fewer, or (in reverse) more, which begin with their initial states. */
static void fit_states(sp_tape *t, const sp_cell *cell, long rows, sp_tensor **state, sp_tensor *const *initial)
{
    for (int i = 0; i < cell->states && sp_ok(t); i++) {
        long have = sp_dim(state[i], 0);
        if (have > rows)
            state[i] = sp_slice(t, state[i], 0, 0, rows);
        else if (have < rows)
            state[i] = sp_concat(t, 2, (sp_tensor *[]){ state[i], sp_slice(t, initial[i], 0, have, rows) }, 0);
    }
}

/* All steps; y and the states behind each step, in the order of time, in list[0] and list[1 ...], [steps] each. */
static bool run(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor *const *initial, bool reverse, sp_tensor **list)
{
    const sp_layout *l = xs.layout;
    sp_tensor *state[SP_MAX_STATES];
    for (int i = 0; i < cell->states; i++)
        state[i] = initial[i];
    for (long k = 0; k < l->steps; k++) {
        const long step = reverse ? l->steps - 1 - k : k, rows = l->offset[step + 1] - l->offset[step];
        fit_states(t, cell, rows, state, initial);
        sp_scope_time(t, step);
        list[step] = cell->step(t, cell->self, sp_slice(t, xs.rows, 0, l->offset[step], l->offset[step + 1]), state);
        if (!sp_cell_check(t, cell, rows, list[step], state))
            return false;
        for (int i = 0; i < cell->states; i++)
            list[(i + 1) * l->steps + step] = state[i];
    }
    return sp_ok(t);
}

sp_seq sp_unroll_seq(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor **state, bool reverse)
{
    sp_tensor *own[SP_MAX_STATES] = { NULL }, *initial[SP_MAX_STATES], *all = NULL;
    if (!state)
        state = own;
    if (!t || !sp_cell_begin(t, "unroll", cell, xs, state))
        return sp_seq_like(xs, sp_tape_fail(t, SP_ERR_STATE, "unroll: failed"));
    const sp_layout *l = xs.layout;
    if (!l->rows)
        return sp_seq_like(xs, sp_full(t, 0, SP_SHAPE(0, sp_cell_out(cell))));
    sp_tensor **list = sp_tape_take(t, (size_t)(l->steps * (cell->states + 1)) * sizeof *list);
    sp_scope_push(t, cell->name ? cell->name : "cell");
    for (int i = 0; i < cell->states; i++)
        initial[i] = sp_state_sorted(t, l, state[i]);
    if (list && run(t, cell, xs, initial, reverse, list)) {
        all = l->steps > 1 ? sp_concat(t, (int)l->steps, list, 0) : list[0];
        for (int i = 0; i < cell->states; i++)
            state[i] = sp_layout_even(l) && !l->order
                     ? list[(i + 1) * l->steps + (reverse ? 0 : l->steps - 1)]
                     : sp_state_of_rows(t, l, sp_concat(t, (int)l->steps, list + (i + 1) * l->steps, 0), reverse);
    }
    sp_scope_pop(t);
    return sp_seq_like(xs, all ? all : sp_tape_fail(t, SP_ERR_STATE, "unroll: failed"));
}

sp_tensor *sp_unroll(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state)
{
    return sp_seq_tensor(t, sp_unroll_seq(t, cell, sp_seq_of(t, xs), state, false));
}
