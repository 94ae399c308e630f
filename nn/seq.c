#include "nn/seq.h"

#include <stdlib.h>

#include "nn/seq_inside.h"
#include "ops/kernel.h"

sp_seq sp_seq_like(sp_seq seq, sp_tensor *rows)
{
    return (sp_seq){ rows, seq.layout };
}

bool sp_layout_even(const sp_layout *l)
{
    return !l->steps || l->offset[l->steps] - l->offset[l->steps - 1] == l->batch;
}

sp_seq sp_seq_of(sp_tape *t, sp_tensor *xs)
{
    char text[SP_SHAPE_TEXT];
    sp_shape s = sp_shape_get(xs);
    if (!sp_sound(xs))
        return (sp_seq){ sp_tape_fail(t, SP_ERR_VALUE, "sequence: no input"), NULL };
    if (s.rank != 3)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %s is not [T,B,in]", sp_shape_format(text, s)), NULL };
    const long steps = s.dim[0], batch = s.dim[1];
    sp_layout *l = sp_tape_take(t, sizeof *l);
    long *offset = sp_tape_take(t, (size_t)(steps + 1) * sizeof *offset), *length = sp_tape_take(t, (size_t)batch * sizeof *length);
    if (!l || !offset || !length)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_MEMORY, "sequence: out of memory"), NULL };
    for (long i = 0; i <= steps; i++)
        offset[i] = i * batch;
    for (long i = 0; i < batch; i++)
        length[i] = steps;
    *l = (sp_layout){ .steps = steps, .batch = batch, .rows = steps * batch, .offset = offset, .length = length };
    return (sp_seq){ sp_reshape(t, xs, SP_SHAPE(steps * batch, s.dim[2])), l };
}

sp_tensor *sp_seq_tensor(sp_tape *t, sp_seq seq)
{
    if (!sp_sound(seq.rows) || !seq.layout)
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: no input");
    const sp_layout *l = seq.layout;
    if (!sp_layout_even(l) || l->order)
        return sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %ld sequences of different lengths are no [T,B,w]; see sp_seq_unpack",
                            l->batch);
    return sp_reshape(t, seq.rows, SP_SHAPE(l->steps, l->batch, sp_dim(seq.rows, 1)));
}

/* A sequence of the caller's. */
struct one {
    long length;
    int number;
};

/* The longest first; among equals the caller's order. */
static int longest_first(const void *a, const void *b)
{
    const struct one *x = a, *y = b;
    return x->length != y->length ? (x->length > y->length ? -1 : 1) : x->number - y->number;
}

/* For each packed row the caller's, or (inverse) for each of the caller's rows the packed one. */
static int *row_numbers(sp_tape *t, const sp_layout *l, bool inverse)
{
    int *list = sp_tape_take(t, (size_t)(l->rows + l->batch + 1) * sizeof *list), *begin = list ? list + l->rows : NULL;
    if (!list)
        return NULL;
    for (long r = 0; r < l->batch; r++)                 /* begin[s+1] = length of the caller's sequence s */
        begin[(l->order ? l->order[r] : r) + 1] = (int)l->length[r];
    begin[0] = 0;
    for (long i = 0; i < l->batch; i++)
        begin[i + 1] += begin[i];
    for (long step = 0; step < l->steps; step++)
        for (long r = 0; r < l->offset[step + 1] - l->offset[step]; r++) {
            int packed = (int)(l->offset[step] + r), own = begin[l->order ? l->order[r] : r] + (int)step;
            list[inverse ? own : packed] = inverse ? packed : own;
        }
    return list;
}

/* Sorts the lengths and lays out the steps; NULL without memory. */
static sp_layout *lay_out(sp_tape *t, const long *length, long n, long rows)
{
    struct one *list = sp_tape_take(t, (size_t)n * sizeof *list);
    sp_layout *l = sp_tape_take(t, sizeof *l);
    long *sorted = sp_tape_take(t, (size_t)n * sizeof *sorted);
    int *order = sp_tape_take(t, (size_t)n * sizeof *order);
    if (!list || !l || !sorted || !order)
        return NULL;
    for (long i = 0; i < n; i++)
        list[i] = (struct one){ length[i], (int)i };
    qsort(list, (size_t)n, sizeof *list, longest_first);
    const long steps = list[0].length;
    long *offset = sp_tape_take(t, (size_t)(steps + 1) * sizeof *offset);
    if (!offset)
        return NULL;
    for (long i = 0; i < n; i++) {
        sorted[i] = list[i].length;
        order[i] = list[i].number;
    }
    offset[0] = 0;
    for (long step = 0, going = n; step < steps; step++) {
        while (sorted[going - 1] <= step)
            going--;
        offset[step + 1] = offset[step] + going;
    }
    *l = (sp_layout){ .steps = steps, .batch = n, .rows = rows, .offset = offset, .order = order, .length = sorted };
    return l;
}

sp_seq sp_seq_pack(sp_tape *t, sp_tensor *x, const long *length, long n)
{
    char text[SP_SHAPE_TEXT];
    sp_shape s = sp_shape_get(x);
    long rows = 0;
    if (!sp_sound(x) || !length || n < 1)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_VALUE, "sequence: %ld lengths, %s", n, sp_sound(x) ? "or no list of them" : "no input"),
                         NULL };
    for (long i = 0; i < n; i++) {
        if (length[i] < 1)
            return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: length %ld of sequence %ld is not 1 or more", length[i], i),
                             NULL };
        rows += length[i];
    }
    if (s.rank != 2 || s.dim[0] != rows || rows > INT32_MAX)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %s does not have the %ld rows of the lengths",
                                      sp_shape_format(text, s), rows), NULL };
    sp_layout *l = lay_out(t, length, n, rows);
    int *ids = l ? row_numbers(t, l, false) : NULL;
    return (sp_seq){ ids ? sp_embedding(t, x, ids, rows) : sp_tape_fail(t, SP_ERR_MEMORY, "sequence: out of memory"), l };
}

sp_tensor *sp_seq_unpack(sp_tape *t, sp_seq seq)
{
    if (!sp_sound(seq.rows) || !seq.layout)
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: no input");
    int *ids = row_numbers(t, seq.layout, true);
    return ids ? sp_embedding(t, seq.rows, ids, seq.layout->rows) : seq.rows;
}

/* ---- padding --------------------------------------------------------------------------------------------------- */

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
    if (!sp_sound(seq.rows) || !seq.layout)
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: no input");
    const sp_layout *l = seq.layout;
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

/* ---- rows in the order of a step ------------------------------------------------------------------------------- */

bool sp_layout_same_order(const sp_layout *a, const sp_layout *b)
{
    bool same = a->batch == b->batch;
    for (long r = 0; same && r < a->batch; r++)
        same = (a->order ? a->order[r] : r) == (b->order ? b->order[r] : r);
    return same;
}

sp_tensor *sp_seq_sorted(sp_tape *t, const sp_layout *layout, sp_tensor *x)
{
    char text[SP_SHAPE_TEXT];
    const sp_shape s = sp_shape_get(x);
    if (!sp_sound(x) || !layout)
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: no %s", layout ? "input" : "layout");
    if (!s.rank || s.dim[0] != layout->batch)
        return sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %s does not have a row for each of %ld sequences",
                            sp_shape_format(text, s), layout->batch);
    bool sorted = true;
    for (long r = 0; layout->order && r < layout->batch; r++)
        sorted = sorted && layout->order[r] == r;
    const long width = s.dim[0] ? sp_shape_size(s) / s.dim[0] : 0;
    sp_tensor *y = sp_slice(t, x, 0, 0, s.dim[0]);
    if (!sorted)
        y = sp_reshape(t, sp_embedding(t, sp_reshape(t, x, SP_SHAPE(s.dim[0], width)), layout->order, s.dim[0]), s);
    if (sp_sound(y))
        y->order = layout;
    return y;
}

sp_tensor *sp_seq_rows(sp_tape *t, sp_tensor *sorted, const sp_tensor *like)
{
    char text[SP_SHAPE_TEXT], of_like[SP_SHAPE_TEXT];
    const long rows = sp_dim(like, 0), have = sp_dim(sorted, 0);
    if (!sp_sound(sorted) || !sp_sound(like))
        return sp_tape_fail(t, SP_ERR_VALUE, "sequence: no input");
    if (rows > have || (rows < have && !sorted->order))
        return sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %s for the %ld rows of %s%s", sp_shape_format(text, sp_shape_get(sorted)),
                            rows, sp_shape_format(of_like, sp_shape_get(like)),
                            rows < have ? "; where sequences have different lengths it must be sorted: sp_seq_sorted" : "");
    if (rows == have)
        return sorted;
    sp_tensor *y = sp_slice(t, sorted, 0, 0, rows);
    if (sp_sound(y))
        y->order = sorted->order;
    return y;
}

/* ---- states ---------------------------------------------------------------------------------------------------- */

sp_tensor *sp_state_sorted(sp_tape *t, const sp_layout *l, sp_tensor *state)
{
    return l->order ? sp_embedding(t, state, l->order, l->batch) : state;
}

sp_tensor *sp_state_of_rows(sp_tape *t, const sp_layout *l, sp_tensor *rows, bool reverse)
{
    int *ids = sp_tape_take(t, (size_t)l->batch * sizeof *ids);
    if (!ids)
        return sp_tape_fail(t, SP_ERR_MEMORY, "sequence: out of memory");
    for (long r = 0; r < l->batch; r++)
        ids[l->order ? l->order[r] : r] = (int)(reverse ? r : l->offset[l->length[r] - 1] + r);
    return sp_embedding(t, rows, ids, l->batch);
}
