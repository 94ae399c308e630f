/* Independently recurrent network: each unit sees itself alone; one state.   h' = relu(x W_ih' + b_ih + u h)
   u is "weight_hh_l0" [hidden], uniform in 0..1 at first. A |u| far above 1 explodes; the paper keeps it below 2^(1/T) for
   sequences of T steps.
   Source: Li et al., "Independently recurrent neural network (IndRNN)", CVPR 2018. */
#include <math.h>

#include "nn/cell.h"
#include "nn/init.h"
#include "ops/ops.h"

struct indrnn {
    sp_linear x;
    sp_param *u;                /* [hidden] */
};

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct indrnn *m = self;
    return *h = sp_relu(t, sp_add(t, sp_linear_on(t, &m->x, x), sp_mul(t, *h, sp_param_on(t, m->u))));
}

SP_CELL_MAKER(sp_indrnn_make)
{
    struct indrnn *m = sp_recurrent_new(s, scope, in, hidden, sizeof *m);
    if (m) {
        m->x = sp_recurrent_map(s, scope, "ih", layer, in, hidden, 1 / sqrt((double)hidden));
        m->u = sp_recurrent_param(s, SP_SHAPE(hidden), scope, "weight_hh", layer, 0);
        sp_init_uniform(m->u, 0, 1);
    }
    return (sp_cell){ .name = "indrnn", .self = m, .step = sp_store_ok(s) ? step : NULL, .states = 1, .width = { hidden } };
}
