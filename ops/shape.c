/* Shape rules: see ops/kernel.h. */
#include <math.h>

#include "ops/kernel.h"

bool sp_infer_same(sp_call *c, sp_status *s)
{
    (void)s;
    c->y.shape = c->x[0].shape;
    return true;
}

bool sp_infer_broadcast(sp_call *c, sp_status *s)
{
    char a[SP_SHAPE_TEXT], b[SP_SHAPE_TEXT];
    sp_shape y = c->x[0].shape;
    for (int i = 1; i < c->inputs; i++) {
        sp_shape x = c->x[i].shape, wide = y.rank >= x.rank ? y : x;
        int shift_y = wide.rank - y.rank, shift_x = wide.rank - x.rank;
        for (int k = 0; k < wide.rank; k++) {
            long m = k < shift_y ? 1 : y.dim[k - shift_y], n = k < shift_x ? 1 : x.dim[k - shift_x];
            if (m != n && m != 1 && n != 1)
                return sp_fail(s, SP_ERR_SHAPE, "%s and %s do not broadcast: %ld != %ld", sp_shape_format(a, y),
                               sp_shape_format(b, x), m, n);
            wide.dim[k] = m == 1 ? n : m;
        }
        y = wide;
    }
    c->y.shape = y;
    return true;
}

int sp_axis_of(const sp_tensor *x, int axis)
{
    int rank = sp_shape_get(x).rank;
    return axis < 0 && axis + rank >= 0 ? axis + rank : axis;
}

bool sp_check_axis(sp_shape shape, int axis, sp_status *s)
{
    char text[SP_SHAPE_TEXT];
    return (axis >= 0 && axis < shape.rank)
           || sp_fail(s, SP_ERR_SHAPE, "%s has no axis %d", sp_shape_format(text, shape), axis);
}

bool sp_check_target(sp_tape *t, const char *who, const sp_tensor *x, const sp_tensor *target, int number, enum sp_target kind)
{
    static const struct { double low, high; const char *text; } allowed[] = {
        [SP_TARGET_FINITE] = { -HUGE_VAL, HUGE_VAL, "finite" },
        [SP_TARGET_POSITIVE] = { 0, HUGE_VAL, "finite and 0 or more" },
        [SP_TARGET_UNIT] = { 0, 1, "in 0..1" },
    };
    char x_text[SP_SHAPE_TEXT], y_text[SP_SHAPE_TEXT];
    if (!sp_ok(t) || !sp_usable(t, x, who, "input", 1) || !sp_usable(t, target, who, "input", number))
        return false;
    if (!sp_shape_equal(x->view.shape, target->view.shape))
        return sp_tape_fail(t, SP_ERR_SHAPE, "%s: %s and the target %s differ", who, sp_shape_format(x_text, x->view.shape),
                            sp_shape_format(y_text, target->view.shape)), false;
    if (target->buffer->wants_grad || target->buffer->row)
        return true;
    const sp_real low = (sp_real)allowed[kind].low, high = (sp_real)allowed[kind].high;
    struct sp_walk w;
    long before = 0;
    sp_walk_begin(&w, target->view.shape, 1, (const sp_view *[]){ &target->view });
    for (; sp_walk_next(&w); before += w.n) {
        bool right = true;
        for (long i = 0; i < w.n; i++) {
            const sp_real z = w.p[0][i * w.step[0]];
            right &= (z >= low) & (z <= high) & (z - z == 0);
        }
        for (long i = 0; i < w.n && !right; i++) {
            const sp_real z = w.p[0][i * w.step[0]];
            if (!(z >= low && z <= high && isfinite((double)z)))
                return sp_tape_fail(t, SP_ERR_VALUE, "%s: the target %g at %ld is not %s", who, (double)z, before + i,
                                    allowed[kind].text), false;
        }
    }
    return true;
}

bool sp_infer_reduced(sp_call *c, int axis, sp_status *s)
{
    if (axis == SP_ALL) {
        c->y.shape = SP_SCALAR;
        return true;
    }
    if (!sp_check_axis(c->x[0].shape, axis, s))
        return false;
    c->y.shape = sp_without_axis(&c->x[0], axis).shape;
    return true;
}

sp_view sp_broadcast_back(const sp_view *y, const sp_view *x, int axis)
{
    sp_view b = { .data = y->data, .shape = x->shape };
    for (int i = 0, k = 0; i < x->shape.rank && axis != SP_ALL; i++)
        b.stride[i] = i == axis ? 0 : y->stride[k++];
    return b;
}

sp_view sp_without_axis(const sp_view *v, int axis)
{
    sp_view w = *v;
    w.shape.rank--;
    for (int i = axis; i < w.shape.rank; i++) {
        w.shape.dim[i] = w.shape.dim[i + 1];
        w.stride[i] = w.stride[i + 1];
    }
    return w;
}

/* Takes the axes of both shapes from the last on. A block of x's axes that lie without gaps in each other is cut into
   y's axes; a y axis that would reach over the end of a block cannot be had without a copy. */
bool sp_view_reshape(const sp_view *x, sp_shape shape, sp_view *y)
{
    *y = sp_view_of(x->data, shape);
    if (sp_shape_size(shape) == 0)
        return true;
    int i = x->shape.rank - 1;
    long left = 1, step = 1;                    /* of the present block: elements not yet used, and their stride */
    for (int k = shape.rank - 1; k >= 0; k--) {
        long want = shape.dim[k];
        if (want == 1)
            continue;
        if (left == 1) {
            while (i >= 0 && x->shape.dim[i] == 1)
                i--;
            if (i < 0)
                return false;
            step = x->stride[i];
            left = x->shape.dim[i--];
        }
        while (left < want || left % want) {    /* take in the next axis, if it continues this one */
            while (i >= 0 && x->shape.dim[i] == 1)
                i--;
            if (i < 0 || x->stride[i] != step * left)
                return false;
            left *= x->shape.dim[i--];
        }
        y->stride[k] = step;
        step *= want;
        left /= want;
    }
    return true;
}

sp_tensor *sp_as_rows(sp_tape *t, sp_tensor *x)
{
    if (!sp_sound(x))
        return x;
    const sp_view *v = &x->view;
    int last = v->shape.rank - 1;
    long rows = 1;
    for (int i = 0; i < last; i++)
        rows *= v->shape.dim[i];
    if (last >= 0 && v->shape.dim[last] != 1 && v->stride[last] != 1)
        x = sp_copy(t, x);
    return last == 1 ? x : sp_reshape(t, x, SP_SHAPE(rows, last < 0 ? 1 : sp_dim(x, -1)));
}

sp_tensor *sp_like_rows(sp_tape *t, sp_tensor *y, const sp_tensor *x)
{
    if (!sp_sound(y) || !sp_sound(x) || x->view.shape.rank == 2)
        return y;
    sp_shape shape = x->view.shape;
    if (!shape.rank)
        return sp_reshape(t, y, SP_SCALAR);
    shape.dim[shape.rank - 1] = sp_dim(y, -1);
    return sp_reshape(t, y, shape);
}

sp_tensor *sp_one_each_row(sp_tape *t, sp_tensor *y, const sp_tensor *x)
{
    sp_shape shape = sp_shape_get(x);
    shape.rank -= shape.rank > 0;
    return shape.rank == 1 ? y : sp_reshape(t, y, shape);
}
