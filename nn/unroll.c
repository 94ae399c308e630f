/* A cell over time, one step after the other on the tape. */
#include "autograd/op.h"
#include "nn/cell_inside.h"
#include "ops/ops.h"

long sp_cell_out(const sp_cell *cell)
{
    return cell->out ? cell->out : cell->width[0];
}

bool sp_cell_begin(sp_tape *t, const char *who, const sp_cell *cell, const sp_tensor *xs, sp_tensor **state)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    sp_shape shape = sp_shape_get(xs);
    if (!cell || !cell->step)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: the cell %s", who, cell ? "has no step (was it made?)" : "is NULL");
    else if (cell->states < 1 || cell->states > SP_MAX_STATES)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: the cell has %d states, not 1 to %d", who, cell->states, SP_MAX_STATES);
    else if (!sp_sound(xs))
        sp_tape_fail(t, SP_ERR_VALUE, "%s: no input", who);
    else if (shape.rank != 3)
        sp_tape_fail(t, SP_ERR_SHAPE, "%s: the input is %s, not [T,B,in]", who, sp_shape_format(have, shape));
    for (int i = 0; sp_ok(t) && i < cell->states; i++) {
        sp_shape one = SP_SHAPE(shape.dim[1], cell->width[i]);
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
        sp_shape given = sp_shape_get(i < 0 ? y : state[i]);
        if (!sp_shape_equal(given, shape))
            sp_tape_fail(t, SP_ERR_SHAPE, "step: %s is %s, not %s", i < 0 ? "y" : "a new state",
                         sp_shape_format(have, given), sp_shape_format(want, shape));
    }
    return sp_ok(t);
}

sp_tensor *sp_unroll(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state)
{
    sp_tensor *own[SP_MAX_STATES] = { NULL };
    if (!state)
        state = own;
    if (!t)
        return NULL;
    if (!sp_cell_begin(t, "unroll", cell, xs, state))
        return sp_tape_fail(t, SP_ERR_STATE, "unroll: failed");
    const long steps = sp_dim(xs, 0), batch = sp_dim(xs, 1);
    if (!steps)
        return sp_full(t, 0, SP_SHAPE(0, batch, sp_cell_out(cell)));
    sp_tensor **ys = sp_tape_take(t, (size_t)steps * sizeof *ys);
    sp_scope_push(t, "%s", cell->name ? cell->name : "cell");
    for (long i = 0; ys && i < steps; i++) {
        sp_scope_time(t, i);
        ys[i] = cell->step(t, cell->self, sp_index(t, xs, 0, i), state);
        if (!sp_cell_check(t, cell, batch, ys[i], state))
            break;
    }
    sp_tensor *all = sp_ok(t) ? sp_concat(t, (int)steps, ys, 0) : NULL;
    sp_scope_pop(t);
    return sp_reshape(t, all, SP_SHAPE(steps, batch, sp_cell_out(cell)));
}
