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

struct pool {
    sp_slide how;               /* full; what pools see as their attr */
    int rank;                   /* of the caller's x */
};

bool sp_pool_shape(sp_call *c, sp_status *s)
{
    static const char *const axis[] = { "height", "width" };
    const struct pool *a = c->attr;
    const sp_shape x = c->x[0].shape, seen = sp_maps_shape(x, a->rank);
    char text[SP_SHAPE_TEXT];
    sp_shape_format(text, seen);
    c->y.shape = x;
    if (!sp_slide_shape(&c->y.shape, seen, &a->how, s))
        return false;
    for (int i = 0; i < 2; i++) {
        if (a->how.padding[i] > a->how.kernel[i] / 2)
            return sp_fail(s, SP_ERR_VALUE, "%s: the padding of %ld along the %s is over half the kernel's %ld", text,
                           a->how.padding[i], axis[i], a->how.kernel[i]);
        if (!x.dim[2 + i])
            return sp_fail(s, SP_ERR_SHAPE, "%s has no elements along the %s", text, axis[i]);
    }
    return true;
}

/* Fails with the number if a setting is given that a pool does not have. */
static bool check_settings(sp_tape *t, const char *who, const sp_slide *how, int rank)
{
    const struct { const char *what; const long *pair; } all[] = {
        { "kernel", how->kernel }, { "stride", how->stride }, { "padding", how->padding }, { "dilation", how->dilation }
    };
    for (int k = 0; k < 4 && rank == 3; k++)
        if (all[k].pair[1]) {
            sp_tape_fail(t, SP_ERR_VALUE, "%s: the second %s is %ld, of one axis", who, all[k].what, all[k].pair[1]);
            return false;
        }
    for (int i = 0; i < 2; i++)
        if (how->dilation[i] != 0 && how->dilation[i] != 1) {
            sp_tape_fail(t, SP_ERR_VALUE, "%s: the dilation is %ld, which pools do not have", who, how->dilation[i]);
            return false;
        }
    if (how->groups != 0 && how->groups != 1)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: %ld groups, which pools do not have", who, how->groups);
    return how->groups == 0 || how->groups == 1;
}

sp_tensor *sp_pool(sp_tape *t, const sp_op *op, sp_tensor *x, sp_slide how)
{
    char text[SP_SHAPE_TEXT];
    const int rank = sp_shape_get(x).rank;
    if (!sp_usable(t, x, op->name, "input", 1))
        return sp_tape_fail(t, SP_ERR_VALUE, "%s: no input", op->name);
    if (rank < 3)
        return sp_tape_fail(t, SP_ERR_SHAPE, "%s: %s: needs [B,C,H,W] or [B,C,L]", op->name, sp_shape_format(text, sp_shape_get(x)));
    if (!check_settings(t, op->name, &how, rank))
        return sp_tape_fail(t, SP_ERR_VALUE, "%s: settings", op->name);
    for (int i = 0; i < 2; i++)
        how.stride[i] = how.stride[i] ? how.stride[i] : how.kernel[i];
    const struct pool a = { sp_slide_full(how, rank), rank };
    x = sp_as_maps(t, x);
    return sp_like_maps(t, sp_record(t, op, 1, &x, &a, sizeof a), rank);
}

bool sp_pool_next(const sp_call *c, struct sp_pool_line *l)
{
    const sp_slide *a = c->attr;
    const sp_shape y = c->y.shape;
    const sp_view *x = &c->x[0], *dx = &c->dx[0], *dy = &c->dy;
    if (l->number >= y.dim[0] * y.dim[1] * y.dim[2] || !y.dim[3])
        return false;
    const long p = l->number % y.dim[2], channel = l->number / y.dim[2] % y.dim[1], b = l->number / y.dim[2] / y.dim[1];
    const long row = p * a->stride[0] - a->padding[0], end = row + a->kernel[0];
    l->number++;
    l->top = row > 0 ? row : 0;
    l->bottom = end < x->shape.dim[2] ? end : x->shape.dim[2];
    l->x = b * x->stride[0] + channel * x->stride[1];
    l->y = b * c->y.stride[0] + channel * c->y.stride[1] + p * c->y.stride[2];
    l->dx = b * dx->stride[0] + channel * dx->stride[1];
    l->dy = b * dy->stride[0] + channel * dy->stride[1] + p * dy->stride[2];
    return true;
}

void sp_pool_columns(const sp_call *c, long q, long *from, long *end)
{
    const sp_slide *a = c->attr;
    const long first = q * a->stride[1] - a->padding[1], behind = first + a->kernel[1], size = c->x[0].shape.dim[3];
    *from = first > 0 ? first : 0;
    *end = behind < size ? behind : size;
}

void sp_pool_forward(const sp_call *c, sp_real none, void (*take)(long n, const sp_real *x, long step, sp_real *y))
{
    const sp_slide *a = c->attr;
    const sp_view *x = &c->x[0];
    const long s = a->stride[1], size = x->shape.dim[3], positions = c->y.shape.dim[3];
    const long reach = a->padding[1] - (positions - 1) * s;     /* no tap before that is inside, nor after size + padding */
    const long last = a->kernel[1] < size + a->padding[1] ? a->kernel[1] : size + a->padding[1];
    struct sp_pool_line l = { 0 };
    while (sp_pool_next(c, &l)) {
        sp_real *y = c->y.data + l.y;
        for (long q = 0; q < positions; q++)
            y[q] = none;
        for (long row = l.top; row < l.bottom; row++)
            for (long tap = reach > 0 ? reach : 0; tap < last; tap++) {
                const long at = tap - a->padding[1];            /* of position 0 */
                const long q = at < 0 ? (-at + s - 1) / s : 0, end = (size - at + s - 1) / s;
                take((end < positions ? end : positions) - q, x->data + l.x + row * x->stride[2] + q * s + at, s, y + q);
            }
    }
}
