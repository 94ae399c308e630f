#include "nn/linear.h"

#include <math.h>

#include "nn/init.h"
#include "ops/ops.h"

sp_linear sp_linear_unbiased_make(sp_store *s, const char *name, long in, long out)
{
    sp_param *weight = sp_store_add(s, SP_SHAPE(out, in), "%s.weight", name);
    double a = 1 / sqrt((double)in);
    sp_init_uniform(weight, -a, a);
    return (sp_linear){ weight, NULL };
}

sp_linear sp_linear_make(sp_store *s, const char *name, long in, long out)
{
    sp_linear l = sp_linear_unbiased_make(s, name, in, out);
    sp_param *bias = sp_store_add(s, SP_SHAPE(out), "%s.bias", name);
    double a = 1 / sqrt((double)in);
    sp_init_uniform(bias, -a, a);
    l.bias = bias;
    return l;
}

sp_linear sp_linear_tied_make(sp_store *s, const char *name, const sp_param *weight)
{
    char text[SP_SHAPE_TEXT];
    if (!weight || weight->store != s) {
        sp_store_fail(s, SP_ERR_VALUE, "linear: '%s' is tied to %s", name, weight ? "a weight of another store" : "NULL");
    } else if (weight->shape.rank != 2) {
        sp_store_fail(s, SP_ERR_SHAPE, "linear: '%s' is tied to '%s', %s, not [out,in]", name, weight->name,
                      sp_shape_format(text, weight->shape));
    } else {
        sp_param *bias = sp_store_add(s, SP_SHAPE(weight->shape.dim[0]), "%s.bias", name);
        return (sp_linear){ weight, bias };
    }
    return (sp_linear){ NULL, NULL };
}

sp_tensor *sp_linear_on(sp_tape *t, const sp_linear *l, sp_tensor *x)
{
    if (!l)
        return sp_tape_fail(t, SP_ERR_VALUE, "linear: the layer is NULL");
    sp_tensor *w = sp_transpose(t, sp_param_on(t, l->weight), 0, 1);
    return l->bias ? sp_affine(t, x, w, sp_param_on(t, l->bias)) : sp_matmul(t, x, w);
}
