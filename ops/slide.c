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
    x = x.rank == 3 ? SP_SHAPE(x.dim[0], x.dim[1], 1, x.dim[2]) : x;
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

sp_shape sp_maps_shape(sp_shape x, int rank)
{
    return rank == 2 ? SP_SHAPE(x.dim[0], x.dim[1]) : rank == 3 ? SP_SHAPE(x.dim[0], x.dim[1], x.dim[3]) : x;
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

/* ---- pools ----------------------------------------------------------------------------------------------------- */

bool sp_pool_shape(sp_call *c, sp_status *s)
{
    static const char *const axis[] = { "height", "width" };
    const sp_slide *a = c->attr;
    const sp_shape x = c->x[0].shape;
    char text[SP_SHAPE_TEXT];
    sp_shape_format(text, x);
    c->y.shape = x;
    if (!sp_slide_shape(&c->y.shape, x, a, s))
        return false;
    for (int i = 0; i < 2; i++) {
        if (a->padding[i] > a->kernel[i] / 2)
            return sp_fail(s, SP_ERR_VALUE, "%s: the padding of %ld along the %s is over half the kernel's %ld", text,
                           a->padding[i], axis[i], a->kernel[i]);
        if (!x.dim[2 + i])
            return sp_fail(s, SP_ERR_SHAPE, "%s has no elements along the %s", text, axis[i]);
    }
    return true;
}

sp_tensor *sp_pool(sp_tape *t, const sp_op *op, sp_tensor *x, sp_slide how)
{
    char text[SP_SHAPE_TEXT];
    const int rank = sp_shape_get(x).rank;
    if (!sp_usable(t, x, op->name, "input", 1))
        return sp_tape_fail(t, SP_ERR_VALUE, "%s: no input", op->name);
    if (rank < 3)
        return sp_tape_fail(t, SP_ERR_SHAPE, "%s: %s: needs [B,C,H,W] or [B,C,L]", op->name, sp_shape_format(text, sp_shape_get(x)));
    for (int i = 0; i < 2; i++) {
        how.stride[i] = how.stride[i] ? how.stride[i] : how.kernel[i];
        how.dilation[i] = 1;
    }
    how = sp_slide_full(how, rank);
    x = sp_as_maps(t, x);
    return sp_like_maps(t, sp_record(t, op, 1, &x, &how, sizeof how), rank);
}

bool sp_pool_next(const sp_call *c, struct sp_pool_line *l)
{
    const sp_slide *a = c->attr;
    const sp_shape y = c->y.shape;
    const sp_view *x = &c->x[0], *dx = &c->dx[0], *dy = &c->dy;
    if (l->number >= y.dim[0] * y.dim[1] * y.dim[2] || !y.dim[3])
        return false;
    const long p = l->number % y.dim[2], channel = l->number / y.dim[2] % y.dim[1], b = l->number / y.dim[2] / y.dim[1];
    l->number++;
    l->row = p * a->stride[0] - a->padding[0];
    l->top = l->row < 0 ? -l->row : 0;
    l->bottom = a->kernel[0] < x->shape.dim[2] - l->row ? a->kernel[0] : x->shape.dim[2] - l->row;
    l->base = b * x->stride[0] + channel * x->stride[1];
    l->y = b * c->y.stride[0] + channel * c->y.stride[1] + p * c->y.stride[2];
    l->dbase = b * dx->stride[0] + channel * dx->stride[1];
    l->dy = b * dy->stride[0] + channel * dy->stride[1] + p * dy->stride[2];
    return true;
}

bool sp_pool_meet(const sp_call *c, struct sp_pool_line *l, long tap)
{
    const sp_slide *a = c->attr;
    const sp_view *x = &c->x[0];
    const long i = tap / a->kernel[1], at = tap % a->kernel[1] - a->padding[1], s = a->stride[1], size = x->shape.dim[3];
    l->first = at < 0 ? (-at + s - 1) / s : 0;
    l->n = at < size ? (size - at + s - 1) / s : 0;
    l->n = (l->n < c->y.shape.dim[3] ? l->n : c->y.shape.dim[3]) - l->first;
    l->x = l->base + (l->row + i) * x->stride[2] + l->first * s + at;
    return i >= l->top && i < l->bottom && l->n > 0;
}
