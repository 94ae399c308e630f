#include "nn/conv.h"

#include <math.h>

#include "nn/init.h"

static bool check(sp_store *s, const char *name, const sp_conv_config *k, int axes, long groups)
{
    if (k->in < 1 || k->out < 1 || groups < 1 || k->in % groups || k->out % groups)
        return sp_store_fail(s, SP_ERR_VALUE, "conv '%s': %ld channels to %ld in %ld groups", name, k->in, k->out, groups);
    for (int i = 0; i < 2; i++) {
        const long most = i < axes ? INT32_MAX : 1;     /* what is along an axis that there is not, nobody meant */
        const bool fits = k->kernel[i] >= (i < axes) && k->kernel[i] <= most && k->stride[i] >= 0 && k->stride[i] <= most
                          && k->padding[i] >= 0 && k->padding[i] <= (i < axes ? most : 0)
                          && k->dilation[i] >= 0 && k->dilation[i] <= most;
        if (!fits)
            return sp_store_fail(s, SP_ERR_VALUE, "conv '%s': along axis %d%s a kernel of %ld, stride %ld, padding %ld, "
                                 "dilation %ld", name, i, i < axes ? "" : ", which there is not,", k->kernel[i], k->stride[i], k->padding[i],
                                 k->dilation[i]);
    }
    return true;
}

static sp_conv_layer make(sp_store *s, const char *name, const sp_conv_config *k, int axes)
{
    if (!k || !name) {
        sp_store_fail(s, SP_ERR_VALUE, "conv: the %s is NULL", k ? "name" : "configuration");
        return (sp_conv_layer){ 0 };
    }
    const long groups = k->groups ? k->groups : 1;
    if (!check(s, name, k, axes, groups))
        return (sp_conv_layer){ 0 };
    const long size[] = { k->out, k->in / groups, k->kernel[0], k->kernel[1] };
    sp_conv_layer l = { .how = { .groups = groups } };
    for (int i = 0; i < axes; i++) {
        l.how.stride[i] = k->stride[i];
        l.how.padding[i] = k->padding[i];
        l.how.dilation[i] = k->dilation[i];
    }
    sp_param *weight = sp_store_add(s, sp_shape_of(2 + axes, size), "%s.weight", name);
    sp_param *bias = k->no_bias ? NULL : sp_store_add(s, SP_SHAPE(k->out), "%s.bias", name);
    const double a = 1 / sqrt((double)(size[1] * size[2]) * (double)(axes > 1 ? size[3] : 1));
    sp_init_uniform(weight, -a, a);
    sp_init_uniform(bias, -a, a);
    l.weight = weight;
    l.bias = bias;
    return l;
}

sp_conv_layer sp_conv1d_make(sp_store *s, const char *name, const sp_conv_config *config)
{
    return make(s, name, config, 1);
}

sp_conv_layer sp_conv2d_make(sp_store *s, const char *name, const sp_conv_config *config)
{
    return make(s, name, config, 2);
}

sp_tensor *sp_conv_on(sp_tape *t, const sp_conv_layer *l, sp_tensor *x)
{
    if (!l)
        return sp_tape_fail(t, SP_ERR_VALUE, "conv: the layer is NULL");
    return sp_conv(t, x, sp_param_on(t, l->weight), l->bias ? sp_param_on(t, l->bias) : NULL, l->how);
}
