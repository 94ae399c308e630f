/* Recording operations, and sweeping back over them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/tape_inside.h"

/* ---- running --------------------------------------------------------------------------------------------------- */

static void run(const struct sp_node *n, void (*way)(const sp_call *c), bool back)
{
    sp_profile *p = n->output->tape->profile;
    if (n->output->tape->watch) {
        sp_watch_run(n, way, back);
        return;
    }
    if (!p) {
        way(&n->call);
        return;
    }
    const sp_cost cost = n->op->cost ? n->op->cost(&n->call, back) : (sp_cost){ 0 };
    const sp_span span = sp_profile_begin(p);
    way(&n->call);
    sp_profile_end(span, n->op->name, back, cost);
}

void sp_run_forward(const struct sp_node *n)
{
    run(n, n->op->forward, false);
}

void sp_run_backward(const struct sp_node *n)
{
    run(n, n->op->backward, true);
}

/* ---- recording ------------------------------------------------------------------------------------------------- */

bool sp_usable(sp_tape *t, const sp_tensor *x, const char *who, const char *which, int number)
{
    const char *what = !x ? "is NULL" : x->tape != t ? "belongs to another tape" : !sp_sound(x) ? "is of a call that failed"
                     : x->buffer->row == SP_ROW_GONE ? "is a value of scan's step that was not kept; return it as y" : NULL;
    if (what)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: %s %d %s", who, which, number, what);
    return !what;
}

/* The inputs as views, and whether any wants a gradient. False if one cannot be used. */
static bool gather_inputs(sp_tape *t, const sp_op *op, struct sp_node *n, sp_tensor *const *input, bool *wants_grad)
{
    sp_call *c = &n->call;
    size_t k = (size_t)c->inputs;
    c->x = sp_tape_take(t, k * (2 * sizeof *c->x + sizeof *n->input + sizeof *c->param));
    if (!c->x)
        return false;
    c->dx = c->x + k;
    n->input = (sp_tensor **)(c->dx + k);
    c->param = (const sp_param **)(n->input + k);
    *wants_grad = false;
    for (size_t i = 0; i < k; i++) {
        sp_tensor *x = input[i];
        if (!sp_usable(t, x, op->name, "input", (int)i + 1))
            return false;
        n->input[i] = x;
        c->x[i] = x->view;
        c->dx[i] = x->view;
        c->dx[i].data = NULL;
        c->param[i] = x->buffer->param;
        *wants_grad |= x->buffer->wants_grad;
    }
    return true;
}

/* " (out.weight, out.bias)": the parameters among the inputs; "" if there are none. */
static const char *name_parameters(const struct sp_node *n, char *text, size_t room)
{
    *text = '\0';
    for (int i = 0; i < n->call.inputs; i++) {
        const sp_param *p = n->input[i]->buffer->param;
        size_t at = strlen(text);
        if (p)
            snprintf(text + at, room - at, "%s%s", at ? ", " : " (", p->name);
    }
    if (*text && strlen(text) + 1 < room)
        strcat(text, ")");
    return text;
}

/* The shapes of the output and of what is saved, or an error with the operation's name in front. */
static bool infer_shapes(sp_tape *t, const sp_op *op, struct sp_node *n)
{
    sp_call *c = &n->call;
    sp_status s = { 0 };
    char text[SP_SHAPE_TEXT], names[160];
    if (!op->infer(c, &s))
        sp_tape_fail(t, s.code, "%s: %s%s", op->name, s.message, name_parameters(n, names, sizeof names));
    else if (sp_shape_size(c->y.shape) < 0 || sp_shape_size(c->saved.shape) < 0)
        sp_tape_fail(t, SP_ERR_SHAPE, "%s: the result %s is too large", op->name, sp_shape_format(text, c->y.shape));
    else
        return true;
    return false;
}

sp_key sp_tape_key(sp_tape *t)
{
    return !t ? (sp_key){ 0 } : (sp_key){ t->seed, sp_hash(t->place, t->draws++), t->step, t->time };
}

static sp_tensor *new_output(sp_tape *t, const sp_op *op, struct sp_node *n, bool wants_grad)
{
    sp_call *c = &n->call;
    sp_tensor *y;
    if (op->flags & SP_OP_VIEW) {
        y = sp_tape_take(t, sizeof *y);
        if (y)
            *y = (sp_tensor){ .tape = t, .view = c->y, .buffer = n->input[0]->buffer, .id = ++t->tensors };
        return y;
    }
    y = sp_tensor_take(t, c->y.shape);
    if (!y)
        return NULL;
    y->buffer->wants_grad = wants_grad && !t->paused && op->backward;
    c->y = y->view;
    if (c->saved.shape.rank) {
        sp_real *saved = sp_tape_take(t, (size_t)sp_shape_size(c->saved.shape) * sizeof *saved);
        if (!saved)
            return NULL;
        c->saved = sp_view_of(saved, c->saved.shape);
    }
    return y;
}

/* ---- tracing --------------------------------------------------------------------------------------------------- */

static bool is_traced(const struct sp_node *n)
{
    for (int i = 0; i < n->call.inputs; i++)
        if (n->input[i]->buffer->row)
            return true;
    return false;
}

/* Does a view have rows that follow each other as those of its buffer do, perhaps each cut into several? */
static bool has_rows(const sp_view *v, long rows, long row)
{
    long leading = v->shape.rank ? v->shape.dim[0] : 0;
    return rows > 0 && leading >= rows && leading % rows == 0 && v->stride[0] * (leading / rows) == row;
}

/* May it be run on any rows by themselves, on one time step as well as on all? */
static bool acts_on_rows(const struct sp_node *n)
{
    const sp_op *op = n->op;
    const sp_call *c = &n->call;
    if (!(op->flags & SP_OP_ROWS) || ((op->flags & SP_OP_AXIS) && *(const int *)c->attr == 0))
        return false;
    for (int i = 0; i < c->inputs; i++) {
        if (!n->input[i]->buffer->row)
            continue;
        const sp_shape x = c->x[i].shape, y = c->y.shape;
        if (sp_op_has(op, SP_OP_SHARED, i) && x.rank <= 2)
            return false;
        if (!y.rank || x.rank < y.rank || x.dim[0] != y.dim[0])         /* y's leading axis is another input's */
            return false;
    }
    return true;
}

/* Notes a traced operation down, with memory for the results of one step. */
static sp_tensor *note_down(sp_tape *t, struct sp_node *n, bool wants_grad)
{
    struct sp_trace *trace = t->trace;
    sp_call *c = &n->call;
    const bool view = n->op->flags & SP_OP_VIEW;
    const long width = sp_shape_size(c->y.shape) / (trace->rows ? trace->rows : 1);
    sp_view y = view ? c->y : sp_view_of(NULL, c->y.shape);
    if (view && trace->rows == 1 && y.shape.rank && y.shape.dim[0] == 1)
        y.stride[0] = n->input[0]->buffer->row;         /* an axis of one may have any stride; over time it is the rows' */
    if ((!view && !acts_on_rows(n)) || !has_rows(&y, trace->rows, view ? n->input[0]->buffer->row : width))
        return sp_tape_fail(t, SP_ERR_STATE, "scan: '%s' does not act on each row alone; use sp_unroll", n->op->name);
    sp_tensor *out = sp_tensor_take(t, view ? SP_SHAPE(0) : SP_SHAPE(trace->rows, width));
    if (!out)
        return &t->poison;
    if (view) {
        out->buffer = n->input[0]->buffer;
        out->view = y;
    } else {
        out->buffer->row = width;
        out->buffer->wants_grad = wants_grad && !t->paused && n->op->backward;
        out->view = sp_view_of(out->buffer->data, c->y.shape);
        c->y = out->view;
    }
    c->saved = sp_view_of(NULL, c->saved.shape);
    if (n->op->flags & SP_OP_RANDOM)
        c->key = sp_tape_key(t);
    n->output = out;
    out->node = n;
    n->previous = trace->last;
    trace->last = n;
    trace->nodes++;
    return out;
}

/* ---------------------------------------------------------------------------------------------------------------- */

void sp_tape_append(sp_tape *t, struct sp_node *n)
{
    n->scope = t->scope;
    n->previous = t->last;
    t->last = n;
    t->nodes++;
}

/* attr lives as long as what is recorded. */
static sp_tensor *record(sp_tape *t, const sp_op *op, int inputs, sp_tensor *const *input, const void *attr)
{
    bool wants_grad;
    struct sp_node *n = sp_tape_take(t, sizeof *n);
    if (!n)
        return &t->poison;
    *n = (struct sp_node){ .op = op, .scope = t->scope, .call.inputs = inputs, .call.attr = attr };
    if (!gather_inputs(t, op, n, input, &wants_grad) || !infer_shapes(t, op, n))
        return &t->poison;
    if (t->trace && is_traced(n))
        return note_down(t, n, wants_grad);
    sp_tensor *y = new_output(t, op, n, wants_grad);
    if (!y)
        return &t->poison;
    if (op->flags & SP_OP_RANDOM)
        n->call.key = sp_tape_key(t);
    n->output = y;
    if (op->forward)
        sp_run_forward(n);
    if (!t->paused || t->trace)
        y->node = n;            /* a trace looks for what a constant of the step is made of */
    if (!t->paused)
        sp_tape_append(t, n);
    return y;
}

sp_tensor *sp_record(sp_tape *t, const sp_op *op, int inputs, sp_tensor *const *input, const void *attr, size_t bytes)
{
    if (!t)
        return NULL;
    if (!sp_ok(t))
        return &t->poison;
    if (bytes && !(attr = sp_tape_copy(t, attr, bytes)))
        return &t->poison;
    return record(t, op, inputs, input, bytes ? attr : NULL);
}

sp_tensor *sp_record_again(sp_tape *t, const struct sp_node *n, sp_tensor *const *input)
{
    return sp_ok(t) ? record(t, n->op, n->call.inputs, input, n->call.attr) : &t->poison;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

sp_real *sp_gradients(sp_tape *t)
{
    if (!t || t->gradients)
        return t ? t->gradients : NULL;
    t->gradients = sp_aligned_calloc((size_t)sp_store_size(t->store) * sizeof *t->gradients);
    if (!t->gradients)
        sp_tape_fail(t, SP_ERR_MEMORY, "backward: out of memory for %ld gradients", sp_store_size(t->store));
    else
        for (int i = 0; i < sp_store_count(t->store); i++)
            t->leaf[i].buffer.grad = t->gradients + sp_store_at(t->store, i)->offset;
    return t->gradients;
}

void sp_zero_grad(sp_tape *t)
{
    if (t && t->gradients)
        memset(t->gradients, 0, (size_t)sp_store_size(t->store) * sizeof *t->gradients);
}

bool sp_need_grad(sp_tape *t, struct sp_buffer *b)
{
    size_t bytes = (size_t)b->size * sizeof *b->grad;
    if (!b->grad && (b->grad = sp_tape_take(t, bytes)))
        memset(b->grad, 0, bytes);
    return b->grad;
}

static bool sweep_program(sp_tape *t, struct sp_node *n)
{
    const sp_span span = sp_profile_begin(t->profile);
    bool ok = n->sweep(t, n);
    sp_profile_end(span, n->op->name, true, (sp_cost){ 0 });
    return ok;
}

static bool sweep_node(sp_tape *t, struct sp_node *n)
{
    sp_call *c = &n->call;
    if (n->sweep)
        return sweep_program(t, n);
    if (!n->op->backward || !n->output->buffer->wants_grad || !n->output->buffer->grad)
        return true;
    for (int i = 0; i < c->inputs; i++) {
        sp_tensor *x = n->input[i];
        if (x->buffer->wants_grad) {
            if (!sp_need_grad(t, x->buffer))
                return false;
            c->dx[i] = sp_grad_view(x);
        } else if ((n->op->flags & SP_OP_MOVES) && x->buffer->param && x->buffer->param->statistic) {
            c->dx[i] = sp_grad_view(x);
            t->leaf[x->buffer->param->index].moved = true;
        }
    }
    c->dy = sp_grad_view(n->output);
    sp_run_backward(n);
    return true;
}

bool sp_backward(sp_tape *t, sp_tensor *loss)
{
    return sp_backward_scaled(t, loss, 1);
}

bool sp_backward_scaled(sp_tape *t, sp_tensor *loss, double factor)
{
    char text[SP_SHAPE_TEXT];
    if (!sp_ok(t))
        return false;
    if (!loss || loss->tape != t)
        sp_tape_fail(t, SP_ERR_VALUE, "backward: the loss %s", loss ? "belongs to another tape" : "is NULL");
    else if (sp_shape_size(loss->view.shape) != 1)
        sp_tape_fail(t, SP_ERR_SHAPE, "backward: the loss has the shape %s, not one element",
                     sp_shape_format(text, loss->view.shape));
    else if (!isfinite(factor))
        sp_tape_fail(t, SP_ERR_VALUE, "backward: the factor is %g", factor);
    else if (t->swept)
        sp_tape_fail(t, SP_ERR_STATE, "backward: ran already on this recording; reset the tape first");
    else if (!loss->buffer->wants_grad)
        sp_tape_fail(t, SP_ERR_STATE, "backward: the loss depends on no parameter or variable, or recording was off");
    if (!sp_ok(t) || !sp_gradients(t) || !sp_need_grad(t, loss->buffer))
        return false;
    t->swept = true;
    *sp_grad_view(loss).data += (sp_real)factor;
    for (struct sp_node *n = t->last; n; n = n->previous)
        if (!sweep_node(t, n))
            return false;
    return true;
}
