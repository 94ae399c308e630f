/* AdamW: Adam whose weight decay d does not pass through the gradient,   x = (1 - lr d) x,   then Adam's step with d = 0.
   Source: Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019. */
#include "nn/rule_inside.h"

static void update(const sp_optimizer *o, const struct sp_run *r)
{
    sp_adam_update(o, r, 0, 1 - r->lr * r->weight_decay);
}

const struct sp_rule sp_rule_adamw = { .name = "adamw", .slot = { "exp_avg", "exp_avg_sq" }, .flops = 16, .epsilon = 1e-8,
                                       .weight_decay = 1e-2, .update = update };
