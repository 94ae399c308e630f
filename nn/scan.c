#include "nn/scan.h"

#include "nn/cell_inside.h"
#include "nn/scan_inside.h"
#include "ops/kernel.h"

static const sp_op scan_op = { .name = "scan" };

static bool reads(const struct scan *s, const struct sp_buffer *b)
{
    for (int i = 0; i < s->operations; i++)
        for (int j = 0; j < s->operation[i].node->call.inputs; j++)
            if (s->operation[i].x[j].buffer == b)
                return true;
    return false;
}

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
    *n = (struct sp_node){ .op = &scan_op, .output = y, .input = (sp_tensor **)(n + 1), .call.attr = s, .sweep = sp_scan_sweep,
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
    if (reads(s, k->xs->buffer))
        link_up(n, k->xs, k->x, "x(t)");
    n->each = n->links;
    for (int i = 0; i < s->states; i++) {
        link_up(n, initial[i], k->previous[i], "state(t-1)");
        link_up(n, k->next[i], k->previous[i], "state(t-1)");
    }
    sp_tape_append(t, n);
    return true;
}

/* ---- what others see ------------------------------------------------------------------------------------------- */

static struct operand all_of(const sp_tensor *x)
{
    return (struct operand){ .view = x->view, .buffer = x->buffer, .row = x->view.stride[0], .times = 1 };
}

/* A tensor for what a traced one stands for. */
static sp_tensor *result(sp_tape *t, const sp_tensor *traced, sp_view view, sp_real *data, long size)
{
    sp_tensor *x = data ? sp_scan_tensor(t, view, data, size) : NULL;
    if (!sp_sound(x))
        return NULL;
    x->buffer->wants_grad = traced->buffer->wants_grad;
    x->node = traced->node;
    return x;
}

/* The same with memory of its own, [rows,w]. */
static sp_tensor *copy(sp_tape *t, const sp_tensor *traced, long rows)
{
    const sp_shape shape = SP_SHAPE(rows, sp_dim(traced, 1));
    sp_real *data = sp_tape_take(t, (size_t)sp_shape_size(shape) * sizeof *data);
    return result(t, traced, sp_view_of(data, shape), data, sp_shape_size(shape));
}

/* Makes y and the final states, whose gradients are their own. */
static bool make_results(sp_tape *t, const struct tracing *k, struct scan *s, sp_tensor **y, sp_tensor **last)
{
    const struct sp_buffer *b = s->y.buffer;
    const long rows = s->layout->rows;
    *y = s->copied ? copy(t, k->y, rows) : result(t, k->y, sp_scan_rows(&s->y, 0, rows), b->data, b->size);
    if (!*y)
        return false;
    s->out = all_of(*y);
    for (int i = 0; i < s->states; i++) {
        if (!(last[i] = copy(t, k->next[i], s->layout->batch)))
            return false;
        s->last[i] = all_of(last[i]);
    }
    return true;
}

/* Of the values of the step only y is there for others, as the first step has it. */
static void end_trace(const struct scan *s, const struct tracing *k)
{
    for (int i = 0; i < s->operations; i++)
        s->operation[i].y.buffer->row = SP_ROW_GONE;
    for (int i = 0; i < s->states; i++)
        k->previous[i]->buffer->row = SP_ROW_GONE;
    k->x->buffer->row = SP_ROW_GONE;
    k->y->view = sp_scan_rows(&s->out, 0, s->layout->offset[1]);
    k->y->buffer = s->out.buffer;
}

/* Traces, runs and records; y and the final states in *y and state. */
static bool scan(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor **state, bool reverse, sp_tensor **y)
{
    const sp_layout *l = xs.layout;
    struct tracing k = { .xs = sp_as_rows(t, xs.rows), .carried = !sp_layout_even(l), .trace.rows = l->batch };
    sp_tensor *initial[SP_MAX_STATES], *last[SP_MAX_STATES];
    struct scan *s = sp_tape_take(t, sizeof *s);
    for (int i = 0; i < cell->states; i++)
        initial[i] = sp_state_sorted(t, l, state[i]);
    if (!s || !sp_ok(t) || !sp_scan_trace(t, cell, &k))
        return false;
    *s = (struct scan){ .layout = l, .reverse = reverse, .carried = k.carried, .states = cell->states,
                        .traced = k.taken };
    if (!sp_scan_hoist(t, &k, s) || !sp_scan_program(t, &k, s) || !make_results(t, &k, s, y, last))
        return false;
    for (int i = 0; i < s->states; i++)
        s->initial[i] = all_of(initial[i]);
    sp_scan_run(s);
    end_trace(s, &k);
    if (sp_tape_recording(t) && !record(t, s, &k, initial, *y))
        return false;
    for (int i = 0; i < s->states; i++)
        state[i] = sp_state_unsorted(t, l, last[i]);
    return sp_ok(t);
}

sp_seq sp_scan_seq(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor **state, bool reverse)
{
    sp_tensor *own[SP_MAX_STATES] = { NULL }, *y = NULL;
    if (!state)
        state = own;
    if (sp_tape_tracing(t))
        sp_tape_fail(t, SP_ERR_STATE, "scan: inside the step of a scan; use sp_unroll for one of them");
    if (!t || !sp_cell_begin(t, "scan", cell, xs, state))
        return sp_seq_like(xs, sp_tape_fail(t, SP_ERR_STATE, "scan: failed"));
    if (xs.layout->steps == 1 && !sp_tape_recording(t))
        return sp_unroll_seq(t, cell, xs, state, reverse);      /* of a generation: not worth a trace */
    if (!xs.layout->rows)
        return sp_seq_like(xs, sp_full(t, 0, SP_SHAPE(0, sp_cell_out(cell))));
    sp_scope_push(t, cell->name ? cell->name : "cell");
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    bool ok = scan(t, cell, xs, state, reverse, &y);
    sp_profile_end(span, scan_op.name, false, (sp_cost){ 0 });
    sp_scope_pop(t);
    return sp_seq_like(xs, ok ? y : sp_tape_fail(t, SP_ERR_STATE, "scan: failed"));
}

sp_tensor *sp_scan(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state)
{
    return sp_seq_tensor(t, sp_scan_seq(t, cell, sp_seq_of(t, xs), state, false));
}
