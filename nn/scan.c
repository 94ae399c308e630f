#include "nn/scan.h"

#include <string.h>

#include "nn/cell_inside.h"
#include "ops/kernel.h"

/* An input or output of an operation of the program: rows of a buffer, or (row == 0) the same for all rows. */
struct operand {
    sp_view view;               /* its rows at the first step */
    struct sp_buffer *buffer;
    long row;                   /* numbers from row to row */
    long times;                 /* leading indices of the view per row */
};

enum phase { BEFORE, LOOP, BEHIND };    /* the loop over time */

struct operation {
    struct sp_node *node;
    struct operand y, saved, *x;        /* [node->call.inputs] */
    enum phase phase;
    bool by_step;               /* runs step by step in any phase: random by time, or with a constant for each row */
    bool twins;                 /* inputs 0 and 1 share one gradient: see find_twins */
};

struct scan {
    long steps, batch;          /* row r of step i is row i * batch + r of all */
    int operations, states;
    struct operation *operation;
    struct operand y, initial[SP_MAX_STATES], next[SP_MAX_STATES];
};

/* The step function's view of the world while it is traced. */
struct tracing {
    sp_tensor *xs;              /* all rows, [T*B,in] */
    sp_tensor *x, *y;           /* placeholder, result */
    sp_tensor *previous[SP_MAX_STATES], *next[SP_MAX_STATES];
    struct sp_trace trace;
};

/* ---- tracing --------------------------------------------------------------------------------------------------- */

/* A tensor that sees some memory. */
static sp_tensor *tensor_over(sp_tape *t, sp_view view, struct sp_buffer *buffer)
{
    sp_tensor *x = sp_feed(t, NULL, SP_SHAPE(0));
    if (sp_sound(x)) {
        x->view = view;
        if (buffer)
            x->buffer = buffer;
    }
    return x;
}

static sp_tensor *placeholder(sp_tape *t, sp_view rows, bool wants_grad)
{
    sp_tensor *x = tensor_over(t, rows, NULL);
    if (sp_sound(x)) {
        x->buffer->data = rows.data;
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

/* Each new state, and y, must be columns of something the program computes; the states of different things, because each
   is found again at the next step where the program left it. A copy makes it so. */
static void separate(sp_tape *t, const sp_cell *cell, struct tracing *k)
{
    for (int i = 0; i < cell->states && sp_ok(t); i++) {
        bool alone = computed(k->next[i]) && k->next[i]->view.stride[0] == k->next[i]->buffer->row;
        for (int j = 0; alone && j < i; j++)
            alone = !overlap(k->next[i], k->next[j]);
        if (!alone)
            k->next[i] = sp_copy(t, k->next[i]);
    }
    if (sp_ok(t) && !(computed(k->y) && k->y->view.stride[0] == k->y->buffer->row))
        k->y = sp_copy(t, k->y);
    for (int i = -1; i < cell->states && sp_ok(t); i++)
        if (!computed(i < 0 ? k->y : k->next[i]))
            sp_tape_fail(t, SP_ERR_STATE, "scan: %s does not depend on the sequence; use sp_unroll", i < 0 ? "y" : "a new state");
}

/* Calls the step function on placeholders. */
static bool trace_step(sp_tape *t, const sp_cell *cell, struct tracing *k)
{
    const long batch = k->trace.rows;
    sp_view x = k->xs->view;
    x.shape.dim[0] = batch;
    k->x = placeholder(t, x, k->xs->buffer->wants_grad);
    for (int i = 0; i < cell->states; i++) {
        sp_real *nothing = sp_tape_take(t, (size_t)(batch * cell->width[i]) * sizeof *nothing);
        if (!nothing)
            return false;
        k->previous[i] = placeholder(t, sp_view_of(nothing, SP_SHAPE(batch, cell->width[i])), sp_tape_recording(t));
        k->next[i] = k->previous[i];
    }
    sp_scope_time(t, 0);
    sp_tape_trace(t, &k->trace);
    k->y = cell->step(t, cell->self, k->x, k->next);
    if (sp_cell_check(t, cell, batch, k->y, k->next))
        separate(t, cell, k);
    sp_tape_trace(t, NULL);
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

static struct operand operand_of(const struct tracing *k, const struct scan *s, const sp_tensor *x)
{
    struct operand o = { .view = x->view, .buffer = x->buffer, .row = x->buffer->row };
    int state = state_of(k, s->states, x->buffer);
    if (!o.row)
        return o;
    o.times = x->view.shape.dim[0] / s->batch;
    if (x->buffer == k->x->buffer)
        o.buffer = k->xs->buffer;
    if (state >= 0) {           /* the new state, one step back */
        const struct operand *next = &s->next[state];
        o.view.data = next->view.data - s->batch * next->row + (x->view.data - k->previous[state]->view.data);
        o.view.stride[0] = next->row / o.times;
        o.buffer = next->buffer;
        o.row = next->row;
    }
    return o;
}

/* A constant [B,...] whose rows go with those of the batch. */
static bool row_constant(const struct sp_node *n, int input, long batch)
{
    const sp_shape x = n->call.x[input].shape, y = n->call.y.shape;
    return !n->input[input]->buffer->row && !(n->op->flags & SP_OP_SHARED << input) && x.rank == y.rank && x.dim[0] == batch
           && (batch > 1 || !(n->op->flags & SP_OP_ELEMENTS));
}

static bool make_operation(sp_tape *t, const struct tracing *k, const struct scan *s, struct sp_node *n, struct operation *o)
{
    const sp_call *c = &n->call;
    *o = (struct operation){ .node = n, .y = operand_of(k, s, n->output), .by_step = n->op->flags & SP_OP_RANDOM };
    o->x = sp_tape_take(t, (size_t)c->inputs * sizeof *o->x);
    for (int i = 0; o->x && i < c->inputs; i++) {
        o->x[i] = operand_of(k, s, n->input[i]);
        o->by_step |= row_constant(n, i, s->batch);
    }
    if (c->saved.shape.rank) {
        long leading = c->saved.shape.dim[0];
        o->saved = (struct operand){ .view = c->saved, .times = leading / s->batch };
        o->saved.row = c->saved.stride[0] * o->saved.times;
    }
    return o->x;
}

enum { ON_X = 1, ON_STATE = 2, REACHES = 4 };

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

/* True if an operand is all of what an operation computed, and nothing else uses that. */
static bool used_once(const struct scan *s, const struct operand *x)
{
    int uses = x->buffer == s->y.buffer;
    for (int i = 0; i < s->states; i++)
        uses += x->buffer == s->next[i].buffer;
    for (int i = 0; i < s->operations; i++)
        for (int j = 0; j < s->operation[i].node->call.inputs; j++)
            uses += x->buffer == s->operation[i].x[j].buffer;
    return uses == 1 && x->row && x->times == 1 && sp_view_contiguous(&x->view) && x->view.stride[0] == x->row
           && sp_shape_size(x->view.shape) == s->batch * x->row;
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

static bool make_program(sp_tape *t, const struct tracing *k, struct scan *s)
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
    s->y = operand_of(k, s, k->y);
    for (int i = 0; i < n; i++) {
        struct operation *o = &s->operation[s->operations];
        if (list[i]->op->flags & SP_OP_VIEW)
            continue;
        if (!make_operation(t, k, s, list[i], o))
            return false;
        o->phase = !(list[i]->mark & ON_STATE) ? BEFORE : list[i]->mark & REACHES ? LOOP : BEHIND;
        s->operations++;
    }
    find_twins(s);
    return true;
}

/* ---- running it ------------------------------------------------------------------------------------------------ */

/* Rows first .. first+n-1 of an operand. */
static sp_view rows_of(const struct operand *o, long first, long n)
{
    sp_view v = o->view;
    if (o->row) {
        v.data += first * o->row;
        v.shape.dim[0] = n * o->times;
    }
    return v;
}

static sp_view gradient_of(const struct operand *o, sp_view v)
{
    v.data = o->buffer->grad ? o->buffer->grad + (v.data - o->buffer->data) : NULL;
    return v;
}

static void place(struct operation *o, long first, long n, long time)
{
    sp_call *c = &o->node->call;
    for (int i = 0; i < c->inputs; i++)
        c->x[i] = rows_of(&o->x[i], first, n);
    c->y = rows_of(&o->y, first, n);
    if (o->saved.row)
        c->saved = rows_of(&o->saved, first, n);
    c->key.time = (uint32_t)time;
}

static void forward(struct operation *o, long first, long n, long time)
{
    place(o, first, n, time);
    o->node->op->forward(&o->node->call);
}

enum { TO_ROWS = 1, TO_CONSTANTS = 2 };         /* which inputs get their gradients */

static void backward(struct operation *o, long first, long n, long time, int which)
{
    sp_call *c = &o->node->call;
    bool any = false;
    if (!o->node->op->backward || !o->y.buffer->wants_grad)
        return;
    place(o, first, n, time);
    for (int i = 0; i < c->inputs; i++) {
        c->dx[i] = c->x[i];
        c->dx[i].data = NULL;
        if (o->x[i].buffer->wants_grad && (which & (o->x[i].row ? TO_ROWS : TO_CONSTANTS)))
            c->dx[i] = gradient_of(&o->x[i], c->x[i]);
        any |= c->dx[i].data != NULL;
    }
    if (o->twins)
        c->dx[1].data = NULL;
    c->dy = gradient_of(&o->y, c->y);
    if (any)
        o->node->op->backward(c);
}

/* Some time steps that are worked on together, so that what one phase leaves is still in the cache for the next. */
struct stretch {
    long from, to;
};

enum { STRETCH_ROWS = 400 };            /* about the depth to which BLIS blocks products */

static long stretch_steps(const struct scan *s)
{
    return s->batch < STRETCH_ROWS ? STRETCH_ROWS / s->batch : 1;
}

/* Runs an operation over a stretch, all its rows at once where that can be. */
static void forward_over(const struct scan *s, struct operation *o, struct stretch k)
{
    if (!o->by_step)
        forward(o, k.from * s->batch, (k.to - k.from) * s->batch, 0);
    for (long step = k.from; o->by_step && step < k.to; step++)
        forward(o, step * s->batch, s->batch, step);
}

static void backward_over(const struct scan *s, struct operation *o, struct stretch k, int which)
{
    if (!o->by_step)
        backward(o, k.from * s->batch, (k.to - k.from) * s->batch, 0, which);
    for (long step = k.to - 1; o->by_step && step >= k.from; step--)
        backward(o, step * s->batch, s->batch, step, which);
}

/* The rows in front of the first step's: where it finds the initial state. */
static sp_view room_of(const struct scan *s, int state)
{
    return rows_of(&s->next[state], -s->batch, s->batch);
}

static void run_stretch(struct scan *s, struct stretch k)
{
    struct operation *first = s->operation, *end = first + s->operations;
    for (struct operation *o = first; o < end; o++)
        if (o->phase == BEFORE)
            forward_over(s, o, k);
    for (long step = k.from; step < k.to; step++)
        for (struct operation *o = first; o < end; o++)
            if (o->phase == LOOP)
                forward(o, step * s->batch, s->batch, step);
    for (struct operation *o = first; o < end; o++)
        if (o->phase == BEHIND)
            forward_over(s, o, k);
}

static void run(struct scan *s)
{
    const long steps = stretch_steps(s);
    for (int i = 0; i < s->states; i++) {
        sp_view room = room_of(s, i), from = s->initial[i].view;
        SP_EACH2(room.shape, y, room, x, from, *y = *x);
    }
    for (long step = 0; step < s->steps; step += steps)
        run_stretch(s, (struct stretch){ step, step + steps < s->steps ? step + steps : s->steps });
}

/* The way back: what is behind the loop, the loop, its weights over all rows of the stretch at once, what is before it. */
static void back_stretch(struct scan *s, struct stretch k)
{
    struct operation *first = s->operation, *end = first + s->operations;
    for (struct operation *o = end; o-- > first; )
        if (o->phase == BEHIND)
            backward_over(s, o, k, TO_ROWS | TO_CONSTANTS);
    for (long step = k.to - 1; step >= k.from; step--)
        for (struct operation *o = end; o-- > first; )
            if (o->phase == LOOP)
                backward(o, step * s->batch, s->batch, step, o->by_step ? TO_ROWS | TO_CONSTANTS : TO_ROWS);
    for (struct operation *o = end; o-- > first; )
        if (o->phase == LOOP && !o->by_step)
            backward_over(s, o, k, TO_CONSTANTS);
    for (struct operation *o = end; o-- > first; )
        if (o->phase == BEFORE)
            backward_over(s, o, k, TO_ROWS | TO_CONSTANTS);
}

static bool need_gradients(sp_tape *t, struct scan *s)
{
    for (int i = 0; i < s->operations; i++)
        if (s->operation[i].twins) {
            if (!sp_need_grad(t, s->operation[i].x[0].buffer))
                return false;
            s->operation[i].x[1].buffer->grad = s->operation[i].x[0].buffer->grad;
        }
    for (int i = 0; i < s->operations; i++) {
        struct operation *o = &s->operation[i];
        if (o->y.buffer->wants_grad && !sp_need_grad(t, o->y.buffer))
            return false;
        for (int j = 0; j < o->node->call.inputs; j++)
            if (o->x[j].buffer->wants_grad && !sp_need_grad(t, o->x[j].buffer))
                return false;
    }
    for (int i = 0; i < s->states; i++)
        if (s->initial[i].buffer->wants_grad && !sp_need_grad(t, s->initial[i].buffer))
            return false;
    return true;
}

static bool sweep(sp_tape *t, struct sp_node *n)
{
    struct scan *s = (struct scan *)(uintptr_t)n->call.attr;
    bool reached = s->y.buffer->grad;
    for (int i = 0; i < s->states; i++)
        reached |= s->next[i].buffer->grad != NULL;
    if (!reached)
        return true;
    if (!need_gradients(t, s))
        return false;
    const long steps = stretch_steps(s);
    for (long step = (s->steps - 1) / steps * steps; step >= 0; step -= steps)
        back_stretch(s, (struct stretch){ step, step + steps < s->steps ? step + steps : s->steps });
    for (int i = 0; i < s->states; i++)
        if (s->initial[i].buffer->wants_grad) {
            sp_view room = gradient_of(&s->next[i], room_of(s, i));
            sp_view to = gradient_of(&s->initial[i], s->initial[i].view);
            if (room.data)
                sp_add_sums(&to, &room);
        }
    return true;
}

/* ---- the entry of the tape ------------------------------------------------------------------------------------- */

static const sp_op scan_op = { .name = "scan" };

static void link_up(struct sp_node *n, sp_tensor *from, sp_tensor *to, const char *label)
{
    to->label = label;
    n->link[2 * n->links] = from;
    n->link[2 * n->links++ + 1] = to;
}

/* Puts one entry on the tape: inputs are the sequence, the initial states, and every constant of the program. */
static bool record(sp_tape *t, struct scan *s, const struct tracing *k, sp_tensor **initial, sp_tensor *y)
{
    int most = 1 + s->states;
    for (int i = 0; i < s->operations; i++)
        most += s->operation[i].node->call.inputs;
    struct sp_node *n = sp_tape_take(t, sizeof *n + (size_t)most * sizeof *n->input);
    if (!n)
        return false;
    *n = (struct sp_node){ .op = &scan_op, .output = y, .input = (sp_tensor **)(n + 1), .call.attr = s, .sweep = sweep,
                           .program = k->trace.last };
    n->input[n->call.inputs++] = k->xs;
    for (int i = 0; i < s->states; i++)
        n->input[n->call.inputs++] = initial[i];
    for (int i = 0; i < s->operations; i++)
        for (int j = 0; j < s->operation[i].node->call.inputs; j++)
            if (!s->operation[i].x[j].row)
                n->input[n->call.inputs++] = s->operation[i].node->input[j];
    n->link = sp_tape_take(t, (size_t)(2 + 4 * s->states) * sizeof *n->link);
    if (!n->link)
        return false;
    link_up(n, k->xs, k->x, "x(t)");
    for (int i = 0; i < s->states; i++) {
        link_up(n, initial[i], k->previous[i], "state(t-1)");
        link_up(n, k->next[i], k->previous[i], "state(t-1)");
    }
    sp_tape_append(t, n);
    return true;
}

/* Traces, runs and records; y and the final states in *y and state. */
static bool scan(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state, sp_tensor **y)
{
    const long steps = sp_dim(xs, 0), batch = sp_dim(xs, 1), all = steps * batch;
    struct tracing k = { .trace = { .rows = batch, .all = all, .before = batch } };
    struct scan *s = sp_tape_take(t, sizeof *s);
    k.xs = sp_reshape(t, xs, SP_SHAPE(all, sp_dim(xs, 2)));
    if (!s || !sp_ok(t) || !trace_step(t, cell, &k))
        return false;
    *s = (struct scan){ .steps = steps, .batch = batch, .states = cell->states };
    if (!make_program(t, &k, s))
        return false;
    for (int i = 0; i < s->states; i++)
        s->initial[i] = (struct operand){ .view = state[i]->view, .buffer = state[i]->buffer };
    run(s);
    for (int i = 0; i < s->operations; i++)     /* traced no more: from now on they are tensors like others */
        s->operation[i].y.buffer->row = 0;
    *y = tensor_over(t, rows_of(&s->y, 0, all), s->y.buffer);
    if (sp_sound(*y))
        (*y)->node = k.y->node;
    if (!sp_sound(*y) || (sp_tape_recording(t) && !record(t, s, &k, state, *y)))
        return false;
    for (int i = 0; i < s->states; i++) {
        state[i] = tensor_over(t, rows_of(&s->next[i], all - batch, batch), s->next[i].buffer);
        if (sp_sound(state[i]))
            state[i]->node = k.next[i]->node;
    }
    return sp_ok(t);
}

sp_tensor *sp_scan(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state)
{
    sp_tensor *own[SP_MAX_STATES] = { NULL }, *y = NULL;
    if (!state)
        state = own;
    if (!t)
        return NULL;
    if (!sp_cell_begin(t, "scan", cell, xs, state))
        return sp_tape_fail(t, SP_ERR_STATE, "scan: failed");
    const long steps = sp_dim(xs, 0), batch = sp_dim(xs, 1);
    if (!steps || !batch)
        return sp_full(t, 0, SP_SHAPE(steps, batch, sp_cell_out(cell)));
    sp_scope_push(t, "%s", cell->name ? cell->name : "cell");
    bool ok = scan(t, cell, xs, state, &y);
    sp_scope_pop(t);
    return ok ? sp_reshape(t, y, SP_SHAPE(steps, batch, sp_cell_out(cell))) : sp_tape_fail(t, SP_ERR_STATE, "scan: failed");
}
