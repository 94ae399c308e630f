#include "nn/linear.h"

#include <math.h>

#include "nn/init.h"
#include "ops/ops.h"

sp_linear sp_linear_make(sp_store *s, const char *name, long in, long out)
{
    sp_param *weight = sp_store_add(s, SP_SHAPE(out, in), "%s.weight", name);
    sp_param *bias = sp_store_add(s, SP_SHAPE(out), "%s.bias", name);
    double a = 1 / sqrt((double)in);
    sp_init_uniform(weight, -a, a);
    sp_init_uniform(bias, -a, a);
    return (sp_linear){ weight, bias };
}

sp_tensor *sp_linear_on(sp_tape *t, const sp_linear *l, sp_tensor *x)
{
    if (!l)
        return sp_tape_fail(t, SP_ERR_VALUE, "linear: the layer is NULL");
    sp_tensor *w = sp_transpose(t, sp_param_on(t, l->weight), 0, 1);
    return l->bias ? sp_affine(t, x, w, sp_param_on(t, l->bias)) : sp_matmul(t, x, w);
}
