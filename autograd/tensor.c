/* Tensors from outside, and reading tensors. */
#include <math.h>
#include <string.h>

#include "autograd/tape_inside.h"

/* ---- tensors from outside -------------------------------------------------------------------------------------- */

sp_tensor *sp_tensor_take(sp_tape *t, sp_shape shape)
{
    struct leaf *n = sp_tape_take(t, sizeof *n);
    long size = sp_shape_size(shape);
    sp_real *data = n ? sp_tape_take(t, (size_t)size * sizeof *data) : NULL;
    if (!data)
        return NULL;
    n->buffer = (struct sp_buffer){ .data = data, .size = size };
    n->tensor = (sp_tensor){ .tape = t, .view = sp_view_of(data, shape), .buffer = &n->buffer,
                             .id = ++t->tensors };
    return &n->tensor;
}

static sp_tensor *new_checked(sp_tape *t, const char *who, sp_shape shape)
{
    char text[SP_SHAPE_TEXT];
    if (!t)
        return NULL;
    if (!sp_ok(t))
        return &t->poison;
    if (sp_shape_size(shape) < 0)
        return sp_tape_fail(t, SP_ERR_SHAPE, "%s: %s is not a shape (at most 4 axes, none negative, at most 2^40 elements)", who, sp_shape_format(text, shape));
    sp_tensor *x = sp_tensor_take(t, shape);
    return x ? x : &t->poison;
}

sp_tensor *sp_feed(sp_tape *t, const sp_real *data, sp_shape shape)
{
    sp_tensor *x = new_checked(t, "feed", shape);
    if (sp_sound(x) && x->buffer->size) {
        if (!data)
            return sp_tape_fail(t, SP_ERR_VALUE, "feed: no data");
        memcpy(x->view.data, data, (size_t)x->buffer->size * sizeof *data);
    }
    return x;
}

sp_tensor *sp_variable(sp_tape *t, const sp_real *data, sp_shape shape)
{
    sp_tensor *x = sp_feed(t, data, shape);
    if (sp_sound(x))
        x->buffer->wants_grad = true;
    return x;
}

sp_tensor *sp_full(sp_tape *t, sp_real value, sp_shape shape)
{
    sp_tensor *x = new_checked(t, "full", shape);
    if (sp_sound(x))
        for (long i = 0; i < x->buffer->size; i++)
            x->view.data[i] = value;
    return x;
}

sp_tensor *sp_param_on(sp_tape *t, const sp_param *p)
{
    if (!t)
        return NULL;
    if (!p)
        return sp_tape_fail(t, SP_ERR_VALUE, "parameter: NULL (was its layer made?)");
    if (p->store != t->store)
        return sp_tape_fail(t, SP_ERR_VALUE, "parameter '%s' belongs to another store than the tape", p->name);
    for (const struct replacement *r = t->replaced; r; r = r->older)
        if (r->param == p)
            return r->x;
    return &t->leaf[p->index].tensor;
}

void sp_param_replace(sp_tape *t, const sp_param *p, sp_tensor *x)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    if (!sp_sound(sp_param_on(t, p)) || !sp_ok(t) || !sp_usable(t, x, "replace", "tensor", 1))
        return;
    if (!sp_shape_equal(x->view.shape, p->shape)) {
        sp_tape_fail(t, SP_ERR_SHAPE, "replace: %s for parameter '%s', which is %s", sp_shape_format(have, x->view.shape),
                     p->name, sp_shape_format(want, p->shape));
        return;
    }
    struct replacement *r = sp_tape_take(t, sizeof *r);
    if (!r)
        return;
    *r = (struct replacement){ .older = t->replaced, .param = p, .x = x };
    t->replaced = r;
}

/* ---- reading tensors ------------------------------------------------------------------------------------------- */

sp_shape sp_shape_get(const sp_tensor *x)
{
    return x ? x->view.shape : SP_SCALAR;
}

long sp_dim(const sp_tensor *x, int axis)
{
    sp_shape s = sp_shape_get(x);
    if (axis < 0)
        axis += s.rank;
    return axis >= 0 && axis < s.rank ? s.dim[axis] : 0;
}

/* A value that is not there: its operation was noted down, not run. */
static bool has_value(const sp_tensor *x)
{
    if (!sp_sound(x))
        return false;
    if (x->buffer->row && x->tape->trace) {
        sp_tape_fail(x->tape, SP_ERR_STATE, "scan: the step reads a value, which is not known while it is traced; use sp_unroll");
        return false;
    }
    if (x->buffer->row == SP_ROW_GONE) {
        sp_tape_fail(x->tape, SP_ERR_STATE, "scan: a value of the step is read that was not kept; return it as y");
        return false;
    }
    return true;
}

sp_real sp_item(const sp_tensor *x)
{
    return has_value(x) && sp_shape_size(x->view.shape) == 1 ? *x->view.data : (sp_real)NAN;
}

/* Copies a view row-major into out. */
static void read_view(sp_view v, sp_real *out)
{
    while (v.shape.rank < SP_MAX_RANK) {                /* [a,b] as [1,1,a,b] */
        memmove(v.shape.dim + 1, v.shape.dim, sizeof v.shape.dim - sizeof v.shape.dim[0]);
        memmove(v.stride + 1, v.stride, sizeof v.stride - sizeof v.stride[0]);
        v.shape.dim[0] = 1;
        v.stride[0] = 0;
        v.shape.rank++;
    }
    const long *n = v.shape.dim, *s = v.stride;
    for (long i = 0; i < n[0]; i++)
        for (long j = 0; j < n[1]; j++)
            for (long k = 0; k < n[2]; k++)
                for (long l = 0; l < n[3]; l++)
                    *out++ = v.data[i * s[0] + j * s[1] + k * s[2] + l * s[3]];
}

bool sp_read(const sp_tensor *x, sp_real *out)
{
    if (!has_value(x) || !out)
        return false;
    read_view(x->view, out);
    return true;
}

bool sp_read_grad(const sp_tensor *x, sp_real *out)
{
    if (!sp_sound(x) || !out)
        return false;
    if (x->buffer->row == SP_ROW_GONE)
        return has_value(x);
    sp_view g = sp_grad_view(x);
    if (g.data)
        read_view(g, out);
    else
        memset(out, 0, (size_t)sp_shape_size(g.shape) * sizeof *out);
    return true;
}

sp_view sp_grad_view(const sp_tensor *x)
{
    sp_view g = x->view;
    const struct sp_buffer *b = x->buffer;
    g.data = b->grad ? b->grad + (x->view.data - b->data) : NULL;
    return g;
}
