/* From a step function to a program. */
#include "nn/scan_inside.h"

#include "nn/cell_inside.h"
#include "ops/kernel.h"

/* ---- tracing --------------------------------------------------------------------------------------------------- */

sp_tensor *sp_scan_tensor(sp_tape *t, sp_view view, sp_real *data, long size)
{
    sp_tensor *x = sp_feed(t, NULL, SP_SHAPE(0));
    if (sp_sound(x)) {
        x->view = view;
        x->buffer->data = data;
        x->buffer->size = size;
    }
    return x;
}

static sp_tensor *placeholder(sp_tape *t, sp_view rows, bool wants_grad)
{
    sp_tensor *x = sp_scan_tensor(t, rows, rows.data, 0);
    if (sp_sound(x)) {
        x->buffer->row = rows.stride[0];
        x->buffer->wants_grad = wants_grad;
    }
    return x;
}

/* True for what an operation of the program computes, and views of it; not for views of placeholders. */
static bool computed(const sp_tensor *x)
{
    while (x->buffer->row && x->node && (x->node->op->flags & SP_OP_VIEW))
        x = x->node->input[0];
    return x->buffer->row && x->node;
}

/* Do two tensors of [B,w] share columns of one buffer? */
static bool overlap(const sp_tensor *a, const sp_tensor *b)
{
    if (a->buffer != b->buffer)
        return false;
    const sp_view *low = a->view.data <= b->view.data ? &a->view : &b->view, *high = low == &a->view ? &b->view : &a->view;
    return low->stride[1] != 1 || high->stride[1] != 1 || low->data + low->shape.dim[1] > high->data;
}

/* Does an operation see the rows of a state cut into several? */
static bool cut(const struct tracing *k, const sp_tensor *state)
{
    for (const struct sp_node *n = k->trace.last; n; n = n->previous)
        for (int i = 0; i < n->call.inputs; i++)
            if (n->input[i]->buffer == state->buffer && n->input[i]->view.shape.dim[0] != k->trace.rows)
                return true;
    return false;
}

/* Each new state, and y, must be columns of something the program computes; those of a state side by side, and of different
   things, because each is found again at the next step where the program left it; and all columns there are if its rows are
   cut, because the parts then follow each other from row to row. A copy makes it so. */
static void separate(sp_tape *t, const sp_cell *cell, struct tracing *k)
{
    for (int i = 0; i < cell->states && sp_ok(t); i++) {
        const sp_view *v = &k->next[i]->view;
        const long row = k->next[i]->buffer->row;
        bool alone = computed(k->next[i]) && v->stride[0] == row && (v->stride[1] == 1 || v->shape.dim[1] == 1)
                     && (v->shape.dim[1] == row || !cut(k, k->previous[i]));
        for (int j = 0; alone && j < i; j++)
            alone = !overlap(k->next[i], k->next[j]);
        alone = alone && (k->next[i]->buffer->wants_grad || !sp_tape_recording(t));
        if (alone)
            continue;
        k->next[i] = sp_copy(t, k->next[i]);
        if (sp_ok(t) && sp_tape_recording(t))       /* where the state before is found, whose gradient may be wanted */
            k->next[i]->buffer->wants_grad = true;
    }
    if (sp_ok(t) && !(computed(k->y) && k->y->view.stride[0] == k->y->buffer->row))
        k->y = sp_copy(t, k->y);
    for (int i = -1; i < cell->states && sp_ok(t); i++)
        if (!computed(i < 0 ? k->y : k->next[i]))
            sp_tape_fail(t, SP_ERR_STATE, "scan: %s does not depend on the sequence; use sp_unroll", i < 0 ? "y" : "a new state");
}

bool sp_scan_trace(sp_tape *t, const sp_cell *cell, struct tracing *k)
{
    const long batch = k->trace.rows;
    sp_view x = k->xs->view;
    x.shape.dim[0] = batch;
    k->x = placeholder(t, x, k->xs->buffer->wants_grad);
    for (int i = 0; i < cell->states; i++) {
        sp_real *room = sp_tape_take(t, (size_t)(batch * cell->width[i]) * sizeof *room);
        if (!room)
            return false;
        k->previous[i] = placeholder(t, sp_view_of(room, SP_SHAPE(batch, cell->width[i])), sp_tape_recording(t));
        if (!sp_sound(k->previous[i]))
            return false;
        k->next[i] = k->previous[i];
        k->taken += batch * cell->width[i];
    }
    sp_scope_time(t, 0);
    sp_tape_trace(t, &k->trace);
    k->y = cell->step(t, cell->self, k->x, k->next);
    if (sp_cell_check(t, cell, batch, k->y, k->next))
        separate(t, cell, k);
    sp_tape_trace(t, NULL);
    for (const struct sp_node *n = k->trace.last; n; n = n->previous)
        k->taken += n->op->flags & SP_OP_VIEW ? 0 : batch * n->output->buffer->row;
    return sp_ok(t);
}

/* ---- the program ----------------------------------------------------------------------------------------------- */

static int state_of(const struct tracing *k, int states, const struct sp_buffer *b)
{
    for (int i = 0; i < states; i++)
        if (k->previous[i]->buffer == b)
            return i;
    return -1;
}

/* All of an operand but its address, which is known once its buffer has its memory. */
static struct operand operand_of(const struct tracing *k, const struct scan *s, const sp_tensor *x)
{
    struct operand o = { .view = x->view, .buffer = x->buffer, .row = x->buffer->row };
    int state = state_of(k, s->states, x->buffer);
    if (!o.row)
        return o;
    o.times = x->view.shape.dim[0] / s->layout->batch;
    if (x->buffer == k->x->buffer)
        o.buffer = k->xs->buffer;
    if (state >= 0 && !s->carried) {            /* the new state of the step before */
        const struct operand *next = &s->next[state];
        o.view.stride[0] = next->row / o.times;
        o.buffer = next->buffer;
        o.row = next->row;
    }
    return o;
}

static void find_address(const struct tracing *k, const struct scan *s, const sp_tensor *x, struct operand *o)
{
    int state = o->row && !s->carried ? state_of(k, s->states, x->buffer) : -1;
    o->view.data = x->view.data;
    if (state >= 0) {
        const struct operand *next = &s->next[state];
        const long back = (s->reverse ? s->layout->batch : -s->layout->batch) * next->row;
        o->view.data = next->view.data + back + (x->view.data - k->previous[state]->view.data);
    }
}

static void find_addresses(const struct tracing *k, struct scan *s)
{
    for (int i = 0; i < s->states; i++)
        find_address(k, s, k->next[i], &s->next[i]);
    for (int i = 0; i < s->states; i++)
        find_address(k, s, k->previous[i], &s->previous[i]);
    find_address(k, s, k->y, &s->y);
    for (struct operation *o = s->operation; o < s->operation + s->operations; o++) {
        find_address(k, s, o->node->output, &o->y);
        for (int i = 0; i < o->node->call.inputs; i++)
            find_address(k, s, o->node->input[i], &o->x[i]);
    }
}

bool sp_row_constant(const struct sp_node *n, int input)
{
    const sp_shape x = n->call.x[input].shape, y = n->call.y.shape;
    return !n->input[input]->buffer->row && !(sp_op_has(n->op, SP_OP_SHARED, input) && x.rank <= 2) && x.rank
           && x.rank >= y.rank && x.dim[0] == y.dim[0] && (x.dim[0] > 1 || !(n->op->flags & SP_OP_ELEMENTS));
}

enum { ON_X = 1, ON_STATE = 2, REACHES = 4, SEEN = 8 };     /* marks of nodes */

/* Are rows that a step finds outside, or makes of what is there without x and the states, in another order than its own? What
   was sorted knows its order; the rest is in the caller's, which is the step's where all lengths are equal. Parameters, whose
   id is 0, have no such rows, and neither has what serves all rows alike: a weight, a number. */
static bool in_other_order(const struct tracing *k, const sp_layout *l, const sp_tensor *x)
{
    struct sp_node *n = x->node;
    if (x->order)
        return !sp_layout_same_order(l, x->order);
    if (x->id < k->x->id)
        return x->id > 0 && !sp_layout_even(l);
    if (!n || (n->mark & SEEN))
        return false;
    n->mark |= SEEN;
    for (int i = 0; i < n->call.inputs; i++) {
        const bool shared = (n->op->flags & SP_OP_ROWS) && !sp_row_constant(n, i);
        if (!shared && in_other_order(k, l, n->input[i]))
            return true;
    }
    return false;
}

static void fail_order(sp_tape *t, const sp_layout *l, const struct sp_node *n, int input)
{
    char text[SP_SHAPE_TEXT];
    const char *why = sp_layout_even(l) ? "it was sorted for others; see sp_seq_sorted"
                                        : "their lengths differ; pass it as a state, or see sp_seq_sorted";
    sp_tape_fail(t, SP_ERR_STATE, "scan: %s: %s from outside the step has a row for each sequence, but %s", n->op->name,
                 sp_shape_format(text, n->call.x[input].shape), why);
}

static bool make_operation(sp_tape *t, const struct tracing *k, const struct scan *s, struct sp_node *n, struct operation *o)
{
    const sp_call *c = &n->call;
    *o = (struct operation){ .node = n, .y = operand_of(k, s, n->output), .by_step = n->op->flags & SP_OP_RANDOM };
    o->x = sp_tape_take(t, (size_t)c->inputs * sizeof *o->x);
    for (int i = 0; o->x && i < c->inputs; i++) {
        o->x[i] = operand_of(k, s, n->input[i]);
        o->x[i].prefix = sp_row_constant(n, i);
        if (o->x[i].prefix)
            o->x[i].times = c->x[i].shape.dim[0] / s->layout->batch;
        if (o->x[i].prefix && in_other_order(k, s->layout, n->input[i])) {
            fail_order(t, s->layout, n, i);
            return false;
        }
        o->by_step |= o->x[i].prefix;
    }
    if (c->saved.shape.rank) {
        long leading = c->saved.shape.dim[0];
        o->saved = (struct operand){ .view = c->saved, .times = leading / s->layout->batch };
        o->saved.row = c->saved.stride[0] * o->saved.times;
    }
    return o->x;
}

/* What each node depends on, and whether a next state depends on it; nodes lie in list in the order of the step. */
static void mark_nodes(const struct tracing *k, int states, struct sp_node **list, int n)
{
    for (int i = 0; i < n; i++) {
        list[i]->mark = 0;
        for (int j = 0; j < list[i]->call.inputs; j++) {
            const sp_tensor *x = list[i]->input[j];
            if (x->buffer->row)
                list[i]->mark |= x->node ? x->node->mark & (ON_X | ON_STATE)
                                         : state_of(k, states, x->buffer) >= 0 ? ON_STATE : ON_X;
        }
    }
    for (int i = 0; i < states; i++)
        k->next[i]->node->mark |= REACHES;
    for (int i = n - 1; i >= 0; i--)
        for (int j = 0; (list[i]->mark & REACHES) && j < list[i]->call.inputs; j++)
            if (list[i]->input[j]->buffer->row && list[i]->input[j]->node)
                list[i]->input[j]->node->mark |= REACHES;
}

bool sp_scan_is_state(const struct scan *s, const struct sp_buffer *b)
{
    for (int i = 0; i < s->states; i++)
        if (b == s->next[i].buffer)
            return true;
    return false;
}

bool sp_scan_is_result(const struct scan *s, const struct sp_buffer *b)
{
    return b == s->y.buffer || sp_scan_is_state(s, b);
}

/* True if an operand is all of what an operation of the program computes, and nothing else uses that. */
static bool used_once(const struct scan *s, const struct operand *x)
{
    int uses = sp_scan_is_result(s, x->buffer);
    for (int i = 0; i < s->operations; i++)
        for (int j = 0; j < s->operation[i].node->call.inputs; j++)
            uses += x->buffer == s->operation[i].x[j].buffer;
    return x->by && uses == 1 && x->times == 1 && sp_view_contiguous(&x->view) && x->view.stride[0] == x->row
           && sp_shape_size(x->view.shape) == s->layout->batch * x->row;
}

/* What enters an operation as the sum of two has one gradient, not two: where nobody else adds to either, it is computed
   and kept once. */
static void find_twins(struct scan *s)
{
    for (int i = 0; i < s->operations; i++) {
        struct operation *o = &s->operation[i];
        o->twins = (o->node->op->flags & SP_OP_SUM) && used_once(s, &o->x[0]) && used_once(s, &o->x[1])
                   && o->x[0].buffer->wants_grad && o->x[1].buffer->wants_grad
                   && sp_shape_equal(o->x[0].view.shape, o->x[1].view.shape);
    }
}

static void connect(const struct scan *s, struct operand *x)
{
    for (struct operation *o = s->operation; o < s->operation + s->operations; o++)
        if (o->y.buffer == x->buffer)
            x->by = o;
}

/* Lets every operand know what it is a part of. */
static void connect_all(struct scan *s)
{
    for (struct operation *o = s->operation; o < s->operation + s->operations; o++) {
        o->y.by = o;
        for (int i = 0; i < o->node->call.inputs; i++)
            connect(s, &o->x[i]);
    }
    connect(s, &s->y);
    for (int i = 0; i < s->states; i++) {
        connect(s, &s->next[i]);
        connect(s, &s->previous[i]);
    }
}

bool sp_scan_program(sp_tape *t, const struct tracing *k, struct scan *s)
{
    int n = k->trace.nodes, at = n;
    struct sp_node **list = sp_tape_take(t, (size_t)n * sizeof *list);
    s->operation = sp_tape_take(t, (size_t)n * sizeof *s->operation);
    if (!list || !s->operation)
        return false;
    for (struct sp_node *node = k->trace.last; node; node = node->previous)
        list[--at] = node;
    mark_nodes(k, s->states, list, n);
    for (int i = 0; i < s->states; i++)
        s->next[i] = operand_of(k, s, k->next[i]);
    for (int i = 0; i < s->states; i++)
        s->previous[i] = operand_of(k, s, k->previous[i]);
    s->y = operand_of(k, s, k->y);
    for (int i = 0; i < n; i++) {
        struct operation *o = &s->operation[s->operations];
        if (list[i]->op->flags & SP_OP_VIEW)
            continue;
        if (!make_operation(t, k, s, list[i], o))
            return false;
        list[i]->offset = s->layout->offset;
        o->phase = !(list[i]->mark & ON_STATE) ? BEFORE : list[i]->mark & REACHES ? LOOP : BEHIND;
        s->operations++;
    }
    connect_all(s);
    find_twins(s);
    if (!sp_scan_place(t, k, s))
        return false;
    find_addresses(k, s);
    return true;
}
