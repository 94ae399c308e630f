#include "nn/weight_drop.h"

#include "ops/ops.h"

void sp_weight_drop(sp_tape *t, const sp_param *weight, double p)
{
    sp_tensor *w = sp_param_on(t, weight);
    if (sp_sound(w) && !(p >= 0 && p < 1))
        sp_tape_fail(t, SP_ERR_VALUE, "weight drop: the rate of '%s' is %g, not in 0 <= p < 1", weight->name, p);
    else if (sp_sound(w) && p > 0 && sp_tape_training(t))
        sp_param_replace(t, weight, sp_dropout(t, w, p));
}
