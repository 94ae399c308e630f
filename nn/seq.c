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
    const sp_layout *l = seq.layout;
    if (!sp_seq_check(t, "sequence", seq))
        return sp_tape_fail(t, SP_ERR_STATE, "sequence: failed");
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
    const long steps = n ? list[0].length : 0;
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
    if (!sp_sound(x) || (n && !length) || n < 0)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_VALUE, "sequence: %ld lengths, %s", n, sp_sound(x) ? "or no list of them" : "no input"),
                         NULL };
    for (long i = 0; i < n; i++) {
        if (length[i] < 1)
            return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: length %ld of sequence %ld is not 1 or more", length[i], i),
                             NULL };
        if (length[i] > INT32_MAX - rows)
            return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %ld rows and length %ld of sequence %ld are more than %d", rows,
                                          length[i], i, INT32_MAX), NULL };
        rows += length[i];
    }
    if (s.rank != 2 || s.dim[0] != rows)
        return (sp_seq){ sp_tape_fail(t, SP_ERR_SHAPE, "sequence: %s does not have the %ld rows of the lengths",
                                      sp_shape_format(text, s), rows), NULL };
    sp_layout *l = lay_out(t, length, n, rows);
    int *ids = l ? row_numbers(t, l, false) : NULL;
    return (sp_seq){ ids ? sp_embedding(t, x, ids, rows) : sp_tape_fail(t, SP_ERR_MEMORY, "sequence: out of memory"), l };
}

sp_tensor *sp_seq_unpack(sp_tape *t, sp_seq seq)
{
    int *ids = sp_seq_check(t, "sequence", seq) ? row_numbers(t, seq.layout, true) : NULL;
    return ids ? sp_embedding(t, seq.rows, ids, seq.layout->rows) : sp_tape_fail(t, SP_ERR_STATE, "sequence: failed");
}

bool sp_seq_check(sp_tape *t, const char *who, sp_seq seq)
{
    char text[SP_SHAPE_TEXT];
    if (!sp_sound(seq.rows) || !seq.layout)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: no input", who);
    else if (sp_shape_get(seq.rows).rank != 2 || sp_dim(seq.rows, 0) != seq.layout->rows)
        sp_tape_fail(t, SP_ERR_SHAPE, "%s: the rows are %s, but the layout has %ld", who,
                     sp_shape_format(text, sp_shape_get(seq.rows)), seq.layout->rows);
    return sp_ok(t) && sp_usable(t, seq.rows, who, "input", 1);
}

sp_seq sp_seq_reverse(sp_tape *t, sp_seq seq)
{
    const sp_layout *l = seq.layout;
    int *ids = sp_seq_check(t, "reverse", seq) ? sp_tape_take(t, (size_t)l->rows * sizeof *ids) : NULL;
    if (!ids)
        return sp_seq_like(seq, sp_tape_fail(t, SP_ERR_STATE, "reverse: failed"));
    for (long step = 0; step < l->steps; step++)
        for (long r = 0; r < l->offset[step + 1] - l->offset[step]; r++)
            ids[l->offset[step] + r] = (int)(l->offset[l->length[r] - 1 - step] + r);
    return sp_seq_like(seq, sp_embedding(t, seq.rows, ids, l->rows));
}

const int *sp_seq_numbers(sp_tape *t, sp_seq seq)
{
    const sp_layout *l = seq.layout;
    int *ids = sp_seq_check(t, "sequence", seq) ? sp_tape_take(t, (size_t)l->rows * sizeof *ids) : NULL;
    for (long step = 0; ids && step < l->steps; step++)
        for (long r = 0; r < l->offset[step + 1] - l->offset[step]; r++)
            ids[l->offset[step] + r] = l->order ? l->order[r] : (int)r;
    return ids;
}

bool sp_seq_ragged(sp_tape *t, const char *who, sp_seq seq, sp_ragged *r)
{
    const sp_layout *l = seq.layout;
    if (!sp_seq_check(t, who, seq))
        return false;
    if (l->rows > INT32_MAX)
        return sp_tape_fail(t, SP_ERR_SHAPE, "%s: %ld rows are more than %d", who, l->rows, INT32_MAX), false;
    long *length = sp_tape_take(t, (size_t)l->batch * sizeof *length);
    int *row = length ? row_numbers(t, l, true) : NULL;
    for (long i = 0; i < l->batch && row; i++)
        length[l->order ? l->order[i] : i] = l->length[i];
    *r = (sp_ragged){ .n = l->batch, .length = length, .row = row };
    return row;
}

/* ---- states ---------------------------------------------------------------------------------------------------- */

sp_tensor *sp_state_sorted(sp_tape *t, const sp_layout *l, sp_tensor *state)
{
    return l->order ? sp_embedding(t, state, l->order, l->batch) : state;
}

sp_tensor *sp_state_unsorted(sp_tape *t, const sp_layout *l, sp_tensor *state)
{
    int *ids = l->order ? sp_tape_take(t, (size_t)l->batch * sizeof *ids) : NULL;
    for (long r = 0; ids && r < l->batch; r++)
        ids[l->order[r]] = (int)r;
    return l->order ? sp_embedding(t, state, ids, l->batch) : state;
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
