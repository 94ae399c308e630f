/* A program over time, there and back. */
#include "nn/scan_inside.h"

#include <string.h>

#include "ops/kernel.h"

/* ---- one operation --------------------------------------------------------------------------------------------- */

static sp_view of_rows(const struct operand *o, sp_real *data, long n)
{
    sp_view v = o->view;
    v.data = data;
    if (o->row || o->prefix)
        v.shape.dim[0] = n * o->times;
    return v;
}

static long since(long first, const long *from)
{
    return first - (from ? *from : 0);
}

sp_view sp_scan_rows(const struct operand *o, long first, long n)
{
    return of_rows(o, o->view.data + since(first, o->from) * o->row, n);
}

/* The gradient of rows; no data if there is none. */
static sp_view gradient_of(const struct operand *o, long first, long n)
{
    const struct operation *by = o->by;
    if (by)
        return of_rows(o, by->grad ? by->grad + (o->view.data - by->y.view.data) + since(first, by->since) * o->row : NULL, n);
    sp_real *grad = o->buffer->grad;
    return of_rows(o, grad ? grad + (o->view.data - o->buffer->data) + since(first, o->since) * o->row : NULL, n);
}

static void place(struct operation *o, long first, long n, long time)
{
    sp_call *c = &o->node->call;
    for (int i = 0; i < c->inputs; i++)
        c->x[i] = sp_scan_rows(&o->x[i], first, n);
    c->y = sp_scan_rows(&o->y, first, n);
    if (o->saved.row)
        c->saved = sp_scan_rows(&o->saved, first, n);
    c->key.time = (uint32_t)time;
    o->node->first = first;
    o->node->rows = n;
}

static void forward(struct operation *o, long first, long n, long time)
{
    place(o, first, n, time);
    sp_run_forward(o->node);
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
            c->dx[i] = gradient_of(&o->x[i], first, n);
        any |= c->dx[i].data != NULL;
    }
    if (o->twins)
        c->dx[1].data = NULL;
    c->dy = gradient_of(&o->y, first, n);
    if (any)
        sp_run_backward(o->node);
}

/* The rows of one step. */
static long first_of(const struct scan *s, long step)
{
    return s->layout->offset[step];
}

static long rows_at(const struct scan *s, long step)
{
    return first_of(s, step + 1) - first_of(s, step);
}

enum { STRETCH_ROWS = 400 };            /* about the depth to which BLIS blocks products (autograd/packed.c) */

long sp_scan_stretches(const struct scan *s)
{
    const long n = (s->layout->rows + STRETCH_ROWS / 2) / STRETCH_ROWS, steps = s->layout->steps;
    return n < 1 ? 1 : n < steps ? n : steps;
}

/* They are of equal length. */
struct stretch sp_scan_stretch(const struct scan *s, long k)
{
    const long all = s->layout->steps, n = sp_scan_stretches(s), i = s->reverse ? n - 1 - k : k;
    return (struct stretch){ all * i / n, all * (i + 1) / n };
}

long sp_scan_rows_of(const struct scan *s, struct stretch x)
{
    return first_of(s, x.to) - first_of(s, x.from);
}

/* The k-th step of a stretch in the order of the loop. */
static long step_at(const struct scan *s, struct stretch x, long k)
{
    return s->reverse ? x.to - 1 - k : x.from + k;
}

/* Runs an operation over a stretch, all its rows at once where that can be. */
static void forward_over(const struct scan *s, struct operation *o, struct stretch x)
{
    if (!o->by_step)
        forward(o, first_of(s, x.from), sp_scan_rows_of(s, x), 0);
    for (long step = x.from; o->by_step && step < x.to; step++)
        forward(o, first_of(s, step), rows_at(s, step), step);
}

static void backward_over(const struct scan *s, struct operation *o, struct stretch x, int which)
{
    if (!o->by_step)
        backward(o, first_of(s, x.from), sp_scan_rows_of(s, x), 0, which);
    for (long step = x.to - 1; o->by_step && step >= x.from; step--)
        backward(o, first_of(s, step), rows_at(s, step), step, which);
}

/* ---- states between steps -------------------------------------------------------------------------------------- */

/* The step that the loop does before some steps, or behind them. */
static long step_before(const struct scan *s, struct stretch x)
{
    return s->reverse ? x.to : x.from - 1;
}

static long step_behind(const struct scan *s, struct stretch x)
{
    return s->reverse ? x.from - 1 : x.to;
}

/* False for the one before the first, and the one behind the last. */
static bool exists(const struct scan *s, long step)
{
    return step >= 0 && step < s->layout->steps;
}

/* The rows beside some steps' where these find their states: those of the step before or, at the beginning and for even
   lengths, as many where the initial state is put. */
struct room {
    long first, n;
};

static struct room room_before(const struct scan *s, struct stretch x)
{
    const long step = step_before(s, x), n = exists(s, step) ? rows_at(s, step) : s->carried ? 0 : s->layout->batch;
    return (struct room){ s->reverse ? first_of(s, x.to) : first_of(s, x.from) - n, n };
}

/* Different lengths: a step's states are those that the loop's step before left, and the initial ones for rows that begin
   here. do_rows is called for each of the two parts. */
static void carry(const struct scan *s, long step, void (*do_rows)(sp_view copy, sp_view from),
                  sp_view (*part)(const struct operand *o, long first, long n))
{
    const long last = step_before(s, (struct stretch){ step, step + 1 }), n = rows_at(s, step);
    long going = exists(s, last) ? rows_at(s, last) : 0;
    going = going < n ? going : n;
    for (int i = 0; i < s->states; i++) {
        if (going)
            do_rows(part(&s->previous[i], first_of(s, step), going), part(&s->next[i], first_of(s, last), going));
        if (n > going)
            do_rows(part(&s->previous[i], first_of(s, step) + going, n - going), part(&s->initial[i], going, n - going));
    }
}

static void copy_rows(sp_view to, sp_view from)
{
    SP_EACH2(to.shape, y, to, x, from, *y = *x);
}

/* The gradient of a copy goes to what was copied. */
static void add_rows(sp_view copy, sp_view from)
{
    if (copy.data && from.data)
        sp_add_sums(&from, &copy);
}

/* The rows of a step that have come to their end: from .. to-1. */
static struct stretch ending(const struct scan *s, long step)
{
    const struct stretch one = { step, step + 1 };
    const long behind = step_behind(s, one), n = rows_at(s, step);
    const long going = exists(s, behind) ? rows_at(s, behind) : 0;
    return (struct stretch){ going < n ? going : n, n };
}

/* do_rows is called for the final states of rows that end, and for the new ones that they are. */
static void finish(const struct scan *s, struct stretch x, void (*do_rows)(sp_view last, sp_view next),
                   sp_view (*part)(const struct operand *o, long first, long n))
{
    for (long step = x.from; step < x.to; step++) {
        const struct stretch rows = ending(s, step);
        const long n = rows.to - rows.from;
        for (int i = 0; i < s->states && n; i++)
            do_rows(part(&s->last[i], rows.from, n), part(&s->next[i], first_of(s, step) + rows.from, n));
    }
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* The steps of a segment. */
static struct stretch segment_at(const struct scan *s, long i)
{
    const struct stretch a = sp_scan_stretch(s, s->begin[i]), z = sp_scan_stretch(s, s->begin[i + 1] - 1);
    return s->reverse ? (struct stretch){ z.from, a.to } : (struct stretch){ a.from, z.to };
}

/* Kept states before segment i, which is not the first: state j of n rows. */
static sp_view border(const struct scan *s, long i, int j, long n)
{
    const long at = (i - 1) * sp_scan_state_numbers(s, s->states) + sp_scan_state_numbers(s, j);
    return sp_view_of(s->border + at * s->layout->batch, SP_SHAPE(n, s->next[j].view.shape.dim[1]));
}

static void save_border(const struct scan *s, long i)
{
    const struct room before = room_before(s, segment_at(s, i));
    for (int j = 0; j < s->states; j++)
        copy_rows(border(s, i, j, before.n), sp_scan_rows(&s->next[j], before.first, before.n));
}

/* Makes some steps those whose values are in memory, with the states before them: those of segment i or (0) those that are
   there, as the step before left them, or the initial ones. */
static void enter(struct scan *s, struct stretch x, long i)
{
    const struct room before = room_before(s, x);
    sp_view from[SP_MAX_STATES];
    for (int j = 0; j < s->states && before.n; j++)
        from[j] = i ? border(s, i, j, before.n) : exists(s, step_before(s, x)) ? sp_scan_rows(&s->next[j], before.first, before.n)
                                                                              : s->initial[j].view;
    s->segment = first_of(s, x.from);
    for (int j = 0; j < s->states && before.n; j++)
        copy_rows(sp_scan_rows(&s->next[j], before.first, before.n), from[j]);
}

/* Again: on the way back, where y and the final states are there. */
static void run_stretch(struct scan *s, struct stretch x, bool again)
{
    struct operation *first = s->operation, *end = first + s->operations;
    s->stretch = first_of(s, x.from);
    for (struct operation *o = first; o < end; o++)
        if (o->phase == BEFORE)
            forward_over(s, o, x);
    for (long k = 0; k < x.to - x.from; k++) {
        const long step = step_at(s, x, k);
        s->step = first_of(s, step);
        if (s->carried)
            carry(s, step, copy_rows, sp_scan_rows);
        for (struct operation *o = first; o < end; o++)
            if (o->phase == LOOP)
                forward(o, first_of(s, step), rows_at(s, step), step);
    }
    for (struct operation *o = first; o < end && !(again && !s->out.buffer->grad); o++)
        if (o->phase == BEHIND)
            forward_over(s, o, x);
    if (again)
        return;
    finish(s, x, copy_rows, sp_scan_rows);
    if (s->copied)
        copy_rows(sp_scan_rows(&s->out, s->stretch, sp_scan_rows_of(s, x)), sp_scan_rows(&s->y, s->stretch, sp_scan_rows_of(s, x)));
}

/* A segment that will be computed again, or needs no way back, leaves nothing but the states behind it: its stretches take
   turns in the same rows of memory, in the cache. */
void sp_scan_run(struct scan *s)
{
    for (long i = 0; i < s->segments; i++) {
        const bool last = i + 1 == s->segments && (s->recording || !s->apart);
        for (long k = s->begin[i]; k < s->begin[i + 1]; k++) {
            const struct stretch x = sp_scan_stretch(s, k);
            if (!last || k == s->begin[i])
                enter(s, last ? segment_at(s, i) : x, 0);
            run_stretch(s, x, false);
        }
        if (i + 1 < s->segments)
            save_border(s, i + 1);
    }
}

static void run_again(struct scan *s, long i)
{
    enter(s, segment_at(s, i), i);
    for (long k = s->begin[i]; k < s->begin[i + 1]; k++)
        run_stretch(s, sp_scan_stretch(s, k), true);
}

/* ---- back ------------------------------------------------------------------------------------------------------ */

static void clear_gradients(const struct scan *s, enum clearing when, long first, long n)
{
    for (const struct operation *o = s->operation; o < s->operation + s->operations; o++)
        if (o->clearing == when)
            memset(gradient_of(&o->y, first, n).data, 0, (size_t)(n * o->y.row) * sizeof(sp_real));
}

/* The gradients of the results of some steps, as they come from outside. */
static void take_outside(const struct scan *s, struct stretch x)
{
    const long first = first_of(s, x.from), n = sp_scan_rows_of(s, x);
    clear_gradients(s, RESULT, first, n);
    if (s->out.buffer->grad)
        copy_rows(gradient_of(&s->y, first, n), gradient_of(&s->out, first, n));
    finish(s, x, add_rows, gradient_of);
}

/* Steps add to the gradients of the states that they find: those of the step before a stretch are there with it, and move
   into their place when that step's turn comes. */
static void begin_gradients(struct scan *s, struct stretch x)
{
    const long old = s->back, behind = step_behind(s, x), before = step_before(s, x);
    struct stretch own = x;
    s->back = s->stretch = first_of(s, x.from);
    if (exists(s, behind)) {
        const long step = s->reverse ? own.from++ : --own.to, first = first_of(s, step);
        for (const struct operation *o = s->operation; o < s->operation + s->operations; o++)
            if (o->clearing == RESULT) {
                sp_real *to = gradient_of(&o->y, first, 1).data;
                memmove(to, to + (s->back - old) * o->y.row, (size_t)(rows_at(s, step) * o->y.row) * sizeof *to);
            }
    }
    take_outside(s, own);
    if (exists(s, before))
        take_outside(s, (struct stretch){ before, before + 1 });
    else
        clear_gradients(s, RESULT, room_before(s, x).first, room_before(s, x).n);
    for (int i = 0; i < s->states && s->carried; i++)
        memset(s->previous[i].buffer->grad, 0, (size_t)(sp_scan_rows_of(s, x) * s->previous[i].row) * sizeof(sp_real));
    clear_gradients(s, BY_STRETCH, s->back, sp_scan_rows_of(s, x));
}

/* The way back: what is behind the loop, the loop, its weights over all rows of the stretch at once, what is before it. */
static void back_stretch(struct scan *s, struct stretch x)
{
    struct operation *first = s->operation, *end = first + s->operations;
    begin_gradients(s, x);
    for (struct operation *o = end; o-- > first && s->out.buffer->grad; )       /* nothing else is behind the loop but y */
        if (o->phase == BEHIND)
            backward_over(s, o, x, TO_ROWS | TO_CONSTANTS);
    for (long k = x.to - x.from - 1; k >= 0; k--) {
        const long step = step_at(s, x, k);
        clear_gradients(s, BY_STEP, first_of(s, step), rows_at(s, step));
        for (struct operation *o = end; o-- > first; )
            if (o->phase == LOOP)
                backward(o, first_of(s, step), rows_at(s, step), step, o->by_step ? TO_ROWS | TO_CONSTANTS : TO_ROWS);
        if (s->carried)
            carry(s, step, add_rows, gradient_of);
    }
    for (struct operation *o = end; o-- > first; )
        if (o->phase == LOOP && !o->by_step)
            backward_over(s, o, x, TO_CONSTANTS);
    for (struct operation *o = end; o-- > first; )
        if (o->phase == BEFORE)
            backward_over(s, o, x, TO_ROWS | TO_CONSTANTS);
}

/* True for a buffer that only operations of the loop read, so that only they add to its gradient. */
static bool read_in_loop(const struct scan *s, const struct sp_buffer *b)
{
    for (int i = 0; i < s->operations; i++)
        for (int j = 0; j < s->operation[i].node->call.inputs; j++)
            if (s->operation[i].x[j].buffer == b && s->operation[i].phase != LOOP)
                return false;
    return true;
}

/* Memory for the gradient of what an operation computes. */
static bool need_result(sp_tape *t, const struct scan *s, struct operation *o)
{
    const struct sp_buffer *b = o->y.buffer;
    const long rows = sp_scan_gradient_rows(s, o);
    o->clearing = NEVER;
    o->grad = NULL;
    if (!rows)
        return true;
    o->clearing = sp_scan_is_result(s, b) ? RESULT : o->phase != BEHIND && read_in_loop(s, b) ? BY_STEP : BY_STRETCH;
    o->grad = sp_tape_take(t, (size_t)(rows * o->y.row) * sizeof *o->grad);
    if (!o->grad)
        return false;
    o->grad += s->reverse ? 0 : (rows - s->stretch_rows) * o->y.row;
    return true;
}

static bool need_gradients(sp_tape *t, struct scan *s)
{
    for (int i = 0; i < s->states && s->carried; i++) {
        struct sp_buffer *b = s->previous[i].buffer;
        b->grad = sp_tape_take(t, (size_t)(s->stretch_rows * s->previous[i].row) * sizeof *b->grad);
        if (!b->grad)
            return false;
    }
    for (int i = 0; i < s->operations; i++)
        if (!need_result(t, s, &s->operation[i]))
            return false;
    for (int i = 0; i < s->operations; i++) {
        struct operation *o = &s->operation[i];
        if (o->twins)
            o->x[1].by->grad = o->x[0].by->grad;
        for (int j = 0; j < o->node->call.inputs; j++)
            if (o->x[j].buffer->wants_grad && !o->x[j].by && !sp_need_grad(t, o->x[j].buffer))
                return false;
    }
    for (int i = 0; i < s->states; i++)
        if (s->initial[i].buffer->wants_grad && !sp_need_grad(t, s->initial[i].buffer))
            return false;
    return true;
}

bool sp_scan_sweep(sp_tape *t, struct sp_node *n)
{
    struct scan *s = (struct scan *)(uintptr_t)n->call.attr;
    bool reached = s->out.buffer->grad;
    for (int i = 0; i < s->states; i++)
        reached |= s->last[i].buffer->grad != NULL;
    if (!reached)
        return true;
    if (!need_gradients(t, s))
        return false;
    for (long i = s->segments - 1; i >= 0; i--) {
        if (i < s->segments - 1)
            run_again(s, i);
        for (long k = s->begin[i + 1] - 1; k >= s->begin[i]; k--)
            back_stretch(s, sp_scan_stretch(s, k));
    }
    const struct room before = room_before(s, segment_at(s, 0));
    for (int i = 0; i < s->states && !s->carried; i++)
        add_rows(gradient_of(&s->next[i], before.first, before.n), gradient_of(&s->initial[i], 0, before.n));
    return true;
}
