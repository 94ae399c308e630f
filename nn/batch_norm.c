#include "nn/batch_norm.h"

#include "nn/init.h"
#include "ops/ops.h"

sp_batch_norm_layer sp_batch_norm_make(sp_store *s, const char *name, long channels)
{
    if (!name || !*name) {
        sp_store_fail(s, SP_ERR_VALUE, "batch_norm: the name is %s", name ? "empty" : "NULL");
        return (sp_batch_norm_layer){ 0 };
    }
    sp_param *weight = sp_store_add(s, SP_SHAPE(channels), "%s.weight", name);
    sp_param *bias = sp_store_add(s, SP_SHAPE(channels), "%s.bias", name);
    sp_param *mean = sp_store_add_statistic(s, SP_SHAPE(channels), "%s.running_mean", name);
    sp_param *variance = sp_store_add_statistic(s, SP_SHAPE(channels), "%s.running_var", name);
    sp_param *count = sp_store_add_statistic(s, SP_SCALAR, "%s.num_batches_tracked", name);
    sp_init_constant(weight, 1);
    sp_init_constant(variance, 1);
    return (sp_batch_norm_layer){ weight, bias, mean, variance, count, .momentum = 0.1, .eps = 1e-5 };
}

sp_tensor *sp_batch_norm_on(sp_tape *t, const sp_batch_norm_layer *l, sp_tensor *x)
{
    if (!l)
        return sp_tape_fail(t, SP_ERR_VALUE, "batch_norm: the layer is NULL");
    return sp_batch_norm(t, x, sp_param_on(t, l->weight), sp_param_on(t, l->bias), sp_param_on(t, l->running_mean),
                         sp_param_on(t, l->running_var), sp_param_on(t, l->num_batches_tracked), l->momentum, l->eps);
}
