#include "nn/locked_dropout.h"

#include "nn/seq_inside.h"
#include "ops/ops.h"

sp_seq sp_locked_dropout_seq(sp_tape *t, sp_seq x, double p)
{
    const bool known = p >= 0 && p < 1;
    if (!sp_seq_check(t, "locked dropout", x) || (known && (p == 0 || !sp_tape_training(t))))
        return sp_seq_like(x, sp_ok(t) ? x.rows : sp_tape_fail(t, SP_ERR_STATE, "locked dropout: failed"));
    if (!known)
        return sp_seq_like(x, sp_tape_fail(t, SP_ERR_VALUE, "locked dropout: the rate is %g, not in 0 <= p < 1", p));
    const int *number = sp_seq_numbers(t, x);
    sp_tensor *mask = sp_dropout(t, sp_full(t, 1, SP_SHAPE(x.layout->batch, sp_dim(x.rows, 1))), p);
    return sp_seq_like(x, sp_mul(t, x.rows, number ? sp_embedding(t, mask, number, x.layout->rows) : mask));
}

sp_tensor *sp_locked_dropout(sp_tape *t, sp_tensor *x, double p)
{
    return sp_seq_tensor(t, sp_locked_dropout_seq(t, sp_seq_of(t, x), p));
}
