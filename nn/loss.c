#include "nn/loss.h"

#include "ops/ops.h"

sp_tensor *sp_cross_entropy_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore)
{
    sp_tensor *rows = sp_cross_entropy(t, logits, ids, ignore, NULL);
    long count = 0;
    for (long i = 0, n = sp_sound(rows) ? sp_shape_size(sp_shape_get(rows)) : 0; i < n; i++)
        count += ids[i] != ignore;
    return sp_scale(t, sp_sum(t, rows, SP_ALL), 1.0 / (double)(count ? count : 1));
}

sp_tensor *sp_mse(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    char a_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT];
    if (sp_sound(a) && sp_sound(b) && !sp_shape_equal(sp_shape_get(a), sp_shape_get(b)))
        return sp_tape_fail(t, SP_ERR_SHAPE, "mse: %s and %s differ", sp_shape_format(a_text, sp_shape_get(a)),
                            sp_shape_format(b_text, sp_shape_get(b)));
    sp_tensor *d = sp_sub(t, a, b);
    return sp_mean(t, sp_mul(t, d, d), SP_ALL);
}
