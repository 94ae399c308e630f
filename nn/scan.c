#include "nn/scan.h"

#include "nn/cell_inside.h"
#include "nn/scan_inside.h"
#include "ops/kernel.h"

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
    if (!s || !sp_ok(t) || !sp_scan_trace(t, cell, &k))
        return false;
    *s = (struct scan){ .steps = steps, .batch = batch, .states = cell->states };
    if (!sp_scan_program(t, &k, s))
        return false;
    for (int i = 0; i < s->states; i++)
        s->initial[i] = (struct operand){ .view = state[i]->view, .buffer = state[i]->buffer };
    run(s);
    for (int i = 0; i < s->operations; i++)     /* traced no more: from now on they are tensors like others */
        s->operation[i].y.buffer->row = 0;
    *y = sp_scan_tensor(t, rows_of(&s->y, 0, all), s->y.buffer);
    if (sp_sound(*y))
        (*y)->node = k.y->node;
    if (!sp_sound(*y) || (sp_tape_recording(t) && !record(t, s, &k, state, *y)))
        return false;
    for (int i = 0; i < s->states; i++) {
        state[i] = sp_scan_tensor(t, rows_of(&s->next[i], all - batch, batch), s->next[i].buffer);
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
