/* Which operation a number that is not finite comes from. */
#include <math.h>

#include "autograd/watch.h"
#include "zoo/trainer_inside.h"

/* The first parameter with such a number; NULL if there is none. */
static const sp_param *spoiled(const sp_store *s, sp_real *value)
{
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i);
        const sp_real *x = sp_param_read(p);
        for (long k = 0, n = sp_shape_size(p->shape); k < n; k++)
            if (!isfinite(x[k])) {
                *value = x[k];
                return p;
            }
    }
    return NULL;
}

bool sp_trainer_sound(struct trainer *r)
{
    sp_real value;
    const sp_param *p = spoiled(r->task->store, &value);
    return !p || sp_fail(r->status, SP_ERR_VALUE, "training: a number of parameter '%s' became %g in step %ld", p->name,
                         (double)value, r->steps);
}

/* A shard of a batch once more. */
static void repeat(struct trainer *r, sp_tape *t, long batch, int shard, bool back, char *origin)
{
    long count;
    sp_tape_clear(t);
    sp_tape_set_recording(t, r->training);
    sp_tape_set_training(t, r->training);
    sp_tape_reset(t);
    sp_tape_watch(t, origin);
    sp_tensor *loss = r->task->loss(t, r->task->self, r->training, batch, shard, &count);
    if (back && count > 0)
        sp_backward(t, loss);
    sp_tape_watch(t, NULL);
}

bool sp_trainer_blame(struct trainer *r, const char *what, double value, long first, bool back)
{
    char origin[SP_ORIGIN_TEXT] = "";
    sp_real bad;
    const sp_param *p = spoiled(r->task->store, &bad);
    const int shards = r->task->shards > 1 ? r->task->shards : 1;
    const long last = r->batch, keys = r->batches - (last - first);
    sp_trainer_recall(r);
    for (r->batch = first; !p && r->batch <= last && !*origin; r->batch++) {
        sp_parallel_seed(r->parallel, (uint64_t)r->config->seed, (uint32_t)(keys + r->batch - first));
        for (int i = 0; i < shards && !*origin; i++)
            repeat(r, sp_parallel_tape(r->parallel, i), r->batch, i, back, origin);
    }
    if (p)
        return sp_fail(r->status, SP_ERR_VALUE, "training: %s became %g in step %ld: a number of parameter '%s' was %g "
                       "before", what, value, r->steps, p->name, (double)bad);
    return sp_fail(r->status, SP_ERR_VALUE, "training: %s became %g in step %ld: %s%s", what, value, r->steps,
                   *origin ? "first at " : "no operation made that of finite numbers, so it is in the data", origin);
}
