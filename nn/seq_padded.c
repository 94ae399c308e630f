/* Sequences with padding, [batch,steps,w], and masks that tell it. */
#include "nn/seq_inside.h"
#include "ops/kernel.h"

/* For each place of [batch,steps] the packed row, or (inverse) for each packed row the place; `none` where there is no row. */
static int *place_numbers(sp_tape *t, const sp_layout *l, bool inverse, long none)
{
    const long places = sp_shape_size(SP_SHAPE(l->batch, l->steps));
    if (places < 0 || places >= INT32_MAX) {
        sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %ld sequences of up to %ld steps are too many places", l->batch, l->steps);
        return NULL;
    }
    int *list = sp_tape_take(t, (size_t)(inverse ? l->rows : places) * sizeof *list);
    for (long r = 0; list && r < l->batch; r++)
        for (long step = 0; step < l->steps; step++) {
            const long place = (l->order ? l->order[r] : r) * l->steps + step;
            if (step < l->length[r] && inverse)
                list[l->offset[step] + r] = (int)place;
            else if (!inverse)
                list[place] = (int)(step < l->length[r] ? l->offset[step] + r : none);
        }
    return list;
}

sp_tensor *sp_seq_padded(sp_tape *t, sp_seq seq)
{
    const sp_layout *l = seq.layout;
    if (!sp_seq_check(t, "sequence", seq))
        return sp_tape_fail(t, SP_ERR_STATE, "sequence: failed");
    const long width = sp_dim(seq.rows, 1);
    if (sp_layout_even(l) && !l->order)
        return sp_transpose(t, sp_reshape(t, seq.rows, SP_SHAPE(l->steps, l->batch, width)), 0, 1);
    sp_tensor *rows = seq.rows;
    if (!sp_layout_even(l))
        rows = sp_concat(t, 2, (sp_tensor *[]){ rows, sp_full(t, 0, SP_SHAPE(1, width)) }, 0);
    const int *ids = place_numbers(t, l, false, l->rows);
    if (!ids)
        return sp_tape_fail(t, SP_ERR_MEMORY, "sequence: out of memory");
    return sp_reshape(t, sp_embedding(t, rows, ids, l->batch * l->steps), SP_SHAPE(l->batch, l->steps, width));
}

sp_seq sp_seq_of_padded(sp_tape *t, const sp_layout *layout, sp_tensor *x)
{
    char text[SP_SHAPE_TEXT];
    const sp_shape s = sp_shape_get(x);
    if (!sp_sound(x) || !layout)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_VALUE, "sequence: no %s", layout ? "input" : "layout"), NULL };
    if (s.rank != 3 || s.dim[0] != layout->batch || s.dim[1] != layout->steps)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %s is not [%ld,%ld,w], as the layout has it",
                                      sp_shape_format(text, s), layout->batch, layout->steps), NULL };
    if (sp_layout_even(layout) && !layout->order)
        return (sp_seq){ sp_reshape(t, sp_transpose(t, x, 0, 1), SP_SHAPE(layout->rows, s.dim[2])), layout };
    const int *ids = place_numbers(t, layout, true, 0);
    sp_tensor *flat = sp_reshape(t, x, SP_SHAPE(s.dim[0] * s.dim[1], s.dim[2]));
    if (!ids)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_MEMORY, "sequence: out of memory"), NULL };
    return (sp_seq){ sp_embedding(t, flat, ids, layout->rows), layout };
}

sp_tensor *sp_seq_mask(sp_tape *t, const sp_layout *layout)
{
    if (!layout)
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: no layout");
    sp_tensor *mask = sp_full(t, 0, SP_SHAPE(layout->batch, layout->steps));
    for (long r = 0; sp_sound(mask) && r < layout->batch; r++)
        for (long step = 0; step < layout->length[r]; step++)
            mask->view.data[(layout->order ? layout->order[r] : r) * layout->steps + step] = 1;
    return mask;
}

sp_tensor *sp_length_mask(sp_tape *t, const long *length, long n, long steps)
{
    if (n < 0 || (n && !length))
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: %ld lengths%s", n, length ? "" : ", and no list");
    for (long i = 0; i < n; i++)
        if (length[i] < 1 || length[i] > steps)
            return sp_tape_fail(t, SP_ERR_VALUE, "sequence: length %ld of sequence %ld is not in 1..%ld", length[i], i, steps);
    sp_tensor *mask = sp_full(t, 1, SP_SHAPE(n, steps));
    for (long i = 0; sp_sound(mask) && i < n; i++)
        for (long step = length[i]; step < steps; step++)
            mask->view.data[i * steps + step] = 0;
    return mask;
}
