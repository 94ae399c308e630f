#include "nn/pool.h"

#include <math.h>

#include "nn/init.h"
#include "nn/seq_inside.h"
#include "ops/ops.h"

/* The rows' sequences; NULL: the tape has the error. */
static const int *begin(sp_tape *t, sp_seq xs)
{
    if (!sp_seq_check(t, "pool", xs))
        return NULL;
    if (xs.layout->batch && !xs.layout->steps) {
        sp_tape_fail(t, SP_ERR_SHAPE, "pool: %ld sequences of 0 steps", xs.layout->batch);
        return NULL;
    }
    return sp_seq_numbers(t, xs);
}

static sp_tensor *failed(sp_tape *t)
{
    return sp_tape_fail(t, SP_ERR_STATE, "pool: failed");
}

sp_tensor *sp_pool_last(sp_tape *t, sp_seq xs)
{
    return begin(t, xs) ? sp_state_of_rows(t, xs.layout, xs.rows, false) : failed(t);
}

sp_tensor *sp_pool_first(sp_tape *t, sp_seq xs)
{
    return begin(t, xs) ? sp_state_of_rows(t, xs.layout, xs.rows, true) : failed(t);
}

sp_tensor *sp_pool_max(sp_tape *t, sp_seq xs)
{
    const int *number = begin(t, xs);
    return number ? sp_segment_max(t, xs.rows, number, xs.layout->batch) : failed(t);
}

sp_tensor *sp_pool_mean(sp_tape *t, sp_seq xs)
{
    const int *number = begin(t, xs);
    const sp_layout *l = xs.layout;
    sp_real *share = number ? sp_tape_take(t, (size_t)l->batch * sizeof *share) : NULL;         /* 1 / length */
    if (!share)
        return failed(t);
    for (long r = 0; r < l->batch; r++)
        share[l->order ? l->order[r] : r] = 1 / (sp_real)l->length[r];
    return sp_mul(t, sp_segment_sum(t, xs.rows, number, l->batch), sp_feed(t, share, SP_SHAPE(l->batch, 1)));
}

sp_pool_attention sp_pool_attention_make(sp_store *s, const char *name, long in, long hidden)
{
    if (!name)
        sp_store_fail(s, SP_ERR_VALUE, "pool: no name");
    else if (in < 1 || hidden < 1)
        sp_store_fail(s, SP_ERR_VALUE, "%s: in %ld, hidden %ld", name, in, hidden);
    if (!sp_store_ok(s))
        return (sp_pool_attention){ 0 };
    const double a = 1 / sqrt((double)hidden);
    sp_param *weight = sp_store_add(s, SP_SHAPE(hidden, in), "%s.project.weight", name);
    sp_param *bias = sp_store_add(s, SP_SHAPE(hidden), "%s.project.bias", name);
    sp_param *v = sp_store_add(s, SP_SHAPE(hidden), "%s.v", name);
    sp_init_uniform(weight, -a, a);
    sp_init_uniform(bias, -a, a);
    sp_init_uniform(v, -a, a);
    return (sp_pool_attention){ { weight, bias }, v };
}

sp_tensor *sp_pool_attention_on(sp_tape *t, const sp_pool_attention *pool, sp_seq xs, sp_seq *weights)
{
    const int *number = pool ? begin(t, xs) : NULL;
    if (!number) {
        sp_tensor *poison = pool ? failed(t) : sp_tape_fail(t, SP_ERR_VALUE, "pool: the attention is NULL");
        if (weights)
            *weights = sp_seq_like(xs, poison);
        return poison;
    }
    sp_tensor *v = sp_reshape(t, sp_param_on(t, pool->v), SP_SHAPE(-1, 1));
    sp_tensor *e = sp_matmul(t, sp_tanh(t, sp_linear_on(t, &pool->project, xs.rows)), v);       /* [rows,1] */
    sp_tensor *a = sp_segment_softmax(t, e, number, xs.layout->batch);
    if (weights)
        *weights = sp_seq_like(xs, a);
    return sp_segment_sum(t, sp_mul(t, xs.rows, a), number, xs.layout->batch);
}
