/* What has a row for each sequence, in the order of the rows of a step. */
#include "nn/seq_inside.h"
#include "ops/kernel.h"

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
