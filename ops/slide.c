/* Windows that slide over the last two axes, for conv.c, max_pool.c and avg_pool.c: see ops/kernel.h. */
#include "ops/kernel.h"

sp_slide sp_slide_full(sp_slide how, int rank)
{
    long *pair[] = { how.kernel, how.stride, how.padding, how.dilation };
    for (int k = 0; k < 4 && rank == 3; k++) {          /* the one axis is the last */
        pair[k][1] = pair[k][0];
        pair[k][0] = k == 2 ? 0 : 1;
    }
    for (int i = 0; i < 2; i++) {
        how.stride[i] = how.stride[i] ? how.stride[i] : 1;
        how.dilation[i] = how.dilation[i] ? how.dilation[i] : 1;
    }
    how.groups = how.groups ? how.groups : 1;
    return how;
}

bool sp_slide_shape(sp_shape *y, sp_shape x, const sp_slide *how, sp_status *s)
{
    static const char *const axis[] = { "height", "width" };
    char text[SP_SHAPE_TEXT];
    sp_shape_format(text, x);
    for (int i = 0; i < 2; i++) {
        const struct { const char *what; long value, least; } all[] = {
            { "kernel", how->kernel[i], 1 }, { "stride", how->stride[i], 1 }, { "padding", how->padding[i], 0 },
            { "dilation", how->dilation[i], 1 },
        };
        for (int k = 0; k < 4; k++)
            if (all[k].value < all[k].least || all[k].value > INT32_MAX)
                return sp_fail(s, SP_ERR_VALUE, "%s: the %s is %ld along the %s, not %ld or more%s", text, all[k].what,
                               all[k].value, axis[i], all[k].least, all[k].value > 0 ? ", below 2^31" : "");
        const long size = x.dim[2 + i] + 2 * how->padding[i], reach = how->dilation[i] * (how->kernel[i] - 1) + 1;
        if (reach > size)
            return sp_fail(s, SP_ERR_SHAPE, "%s: a kernel of %ld%s along the %s is larger than the %ld there are%s", text, reach,
                           how->dilation[i] > 1 ? " (dilated)" : "", axis[i], size, how->padding[i] ? " with the padding" : "");
        y->dim[2 + i] = (size - reach) / how->stride[i] + 1;
    }
    return true;
}

sp_tensor *sp_as_maps(sp_tape *t, sp_tensor *x)
{
    if (!sp_sound(x))
        return x;
    const sp_shape s = x->view.shape;
    if (x->view.stride[s.rank - 1] != 1 && s.dim[s.rank - 1] != 1)
        x = sp_copy(t, x);
    return s.rank == 3 ? sp_reshape(t, x, SP_SHAPE(s.dim[0], s.dim[1], 1, s.dim[2])) : x;
}

sp_tensor *sp_like_maps(sp_tape *t, sp_tensor *y, int rank)
{
    return rank == 3 && sp_sound(y) ? sp_reshape(t, y, SP_SHAPE(sp_dim(y, 0), sp_dim(y, 1), sp_dim(y, 3))) : y;
}
