#include "nn/bidirectional.h"

#include "nn/scan.h"
#include "ops/ops.h"

long sp_bidirectional_out(const sp_bidirectional *b)
{
    if (!b || !b->forward.step || !b->reverse.step)
        return 0;
    return sp_cell_out(&b->forward) + (b->merge == SP_MERGE_SUM ? 0 : sp_cell_out(&b->reverse));
}

sp_seq sp_bidirectional_on(sp_tape *t, const sp_bidirectional *b, sp_seq xs, sp_tensor **state)
{
    if (!sp_bidirectional_out(b))
        return sp_seq_like(xs, sp_tape_fail(t, SP_ERR_VALUE, "bidirectional: a cell is missing (was it made?)"));
    const long out = sp_cell_out(&b->forward), back = sp_cell_out(&b->reverse);
    if (b->merge == SP_MERGE_SUM && out != back)
        return sp_seq_like(xs, sp_tape_fail(t, SP_ERR_SHAPE, "bidirectional: a sum of widths %ld and %ld", out, back));
    sp_tensor *y = sp_scan_seq(t, &b->forward, xs, state, false).rows;
    sp_scope_push(t, "reverse");
    sp_tensor *r = sp_scan_seq(t, &b->reverse, xs, state ? state + b->forward.states : NULL, true).rows;
    sp_scope_pop(t);
    return sp_seq_like(xs, b->merge == SP_MERGE_SUM ? sp_add(t, y, r) : sp_concat(t, 2, (sp_tensor *[]){ y, r }, 1));
}
