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
    if (by && by->grad)
        return of_rows(o, by->grad + (o->view.data - by->y.view.data) + (first - *by->stretch) * o->row, n);
    sp_real *grad = o->buffer->grad;
    return of_rows(o, grad ? grad + (o->view.data - o->buffer->data) + first * o->row : NULL, n);
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

/* Some time steps that are worked on together, so that what one phase leaves is still in the cache for the next. */
struct stretch {
    long from, to;
};

enum { STRETCH_ROWS = 400 };            /* about the depth to which BLIS blocks products (autograd/packed.c) */

static long stretches(const struct scan *s)
{
    const long n = (s->layout->rows + STRETCH_ROWS / 2) / STRETCH_ROWS, steps = s->layout->steps;
    return n < 1 ? 1 : n < steps ? n : steps;
}

/* The k-th in the order of the loop; they are of equal length. */
static struct stretch stretch_at(const struct scan *s, long k)
{
    const long all = s->layout->steps, n = stretches(s), i = s->reverse ? n - 1 - k : k;
    return (struct stretch){ all * i / n, all * (i + 1) / n };
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
        forward(o, first_of(s, x.from), first_of(s, x.to) - first_of(s, x.from), 0);
    for (long step = x.from; o->by_step && step < x.to; step++)
        forward(o, first_of(s, step), rows_at(s, step), step);
}

static void backward_over(const struct scan *s, struct operation *o, struct stretch x, int which)
{
    if (!o->by_step)
        backward(o, first_of(s, x.from), first_of(s, x.to) - first_of(s, x.from), 0, which);
    for (long step = x.to - 1; o->by_step && step >= x.from; step--)
        backward(o, first_of(s, step), rows_at(s, step), step, which);
}

/* ---- states between steps -------------------------------------------------------------------------------------- */

/* Even lengths: the rows beside those of the first step of the loop, where it finds the initial state. */
static long room_row(const struct scan *s)
{
    return s->reverse ? s->layout->rows : -s->layout->batch;
}

/* Different lengths: a step's states are those that the loop's step before left, and the initial ones for rows that begin
   here. do_rows is called for each of the two parts. */
static void carry(const struct scan *s, long step, void (*do_rows)(sp_view before, sp_view from),
                  sp_view (*part)(const struct operand *o, long first, long n))
{
    const long last = s->reverse ? step + 1 : step - 1, n = rows_at(s, step);
    const bool begins = last < 0 || last >= s->layout->steps;
    long going = begins ? 0 : rows_at(s, last);
    going = going < n ? going : n;
    for (int i = 0; i < s->states; i++) {
        if (going)
            do_rows(part(&s->previous[i], first_of(s, step), going), part(&s->next[i], first_of(s, last), going));
        if (n > going)
            do_rows(part(&s->previous[i], first_of(s, step) + going, n - going), part(&s->initial[i], going, n - going));
    }
}

static void copy_rows(sp_view before, sp_view from)
{
    SP_EACH2(before.shape, y, before, x, from, *y = *x);
}

static void add_rows(sp_view before, sp_view from)
{
    if (before.data && from.data)
        sp_add_sums(&from, &before);
}

/* ---- the way there and back ------------------------------------------------------------------------------------ */

static void run_stretch(struct scan *s, struct stretch x)
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
    for (struct operation *o = first; o < end; o++)
        if (o->phase == BEHIND)
            forward_over(s, o, x);
}

void sp_scan_run(struct scan *s)
{
    for (int i = 0; i < s->states && !s->carried; i++)
        copy_rows(sp_scan_rows(&s->next[i], room_row(s), s->layout->batch), s->initial[i].view);
    for (long k = 0; k < stretches(s); k++)
        run_stretch(s, stretch_at(s, k));
}

static void clear_gradients(const struct scan *s, enum clearing when, long first, long n)
{
    for (const struct operation *o = s->operation; o < s->operation + s->operations; o++)
        if (o->clearing == when)
            memset(gradient_of(&o->y, first, n).data, 0, (size_t)(n * o->y.row) * sizeof(sp_real));
}

/* The way back: what is behind the loop, the loop, its weights over all rows of the stretch at once, what is before it. */
static void back_stretch(struct scan *s, struct stretch x)
{
    struct operation *first = s->operation, *end = first + s->operations;
    s->stretch = first_of(s, x.from);
    clear_gradients(s, BY_STRETCH, first_of(s, x.from), first_of(s, x.to) - first_of(s, x.from));
    for (struct operation *o = end; o-- > first && s->y.buffer->grad; )         /* nothing else is behind the loop but y */
        if (o->phase == BEHIND)
            backward_over(s, o, x, TO_ROWS | TO_CONSTANTS);
    for (long k = x.to - x.from - 1; k >= 0; k--) {
        const long step = step_at(s, x, k);
        s->step = first_of(s, step);
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

/* The most rows of a stretch. */
static long stretch_rows(const struct scan *s)
{
    long most = 0;
    for (long k = 0; k < stretches(s); k++) {
        const struct stretch x = stretch_at(s, k);
        const long rows = first_of(s, x.to) - first_of(s, x.from);
        most = rows > most ? rows : most;
    }
    return most;
}

/* A gradient that nobody outside adds to is cleared on the way; one that nobody outside reads either is kept for as long as a
   stretch takes. */
static bool need_result(sp_tape *t, const struct scan *s, struct operation *o)
{
    struct sp_buffer *b = o->y.buffer;
    o->clearing = AT_ONCE;
    o->grad = NULL;
    if (!b->wants_grad)
        return true;
    for (const struct operation *u = s->operation; u < s->operation + s->operations; u++)
        if (u->twins && u->x[1].by == o)        /* it gets the other's */
            return true;
    bool at_once = b->grad;
    for (int i = 0; i < s->states; i++)
        at_once |= s->next[i].buffer == b;      /* steps add to the gradients of their neighbours */
    if (at_once)
        return sp_need_grad(t, b);
    o->clearing = o->phase != BEHIND && read_in_loop(s, b) ? BY_STEP : BY_STRETCH;
    o->grad = sp_tape_take(t, (size_t)(stretch_rows(s) * o->y.row) * sizeof *o->grad);
    return o->grad;
}

static bool need_gradients(sp_tape *t, struct scan *s)
{
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
        if ((s->initial[i].buffer->wants_grad && !sp_need_grad(t, s->initial[i].buffer))
            || (s->carried && !sp_need_grad(t, s->previous[i].buffer)))
            return false;
    return true;
}

bool sp_scan_sweep(sp_tape *t, struct sp_node *n)
{
    struct scan *s = (struct scan *)(uintptr_t)n->call.attr;
    bool reached = s->y.buffer->grad;
    for (int i = 0; i < s->states; i++)
        reached |= s->next[i].buffer->grad != NULL;
    if (!reached)
        return true;
    if (!need_gradients(t, s))
        return false;
    for (long k = stretches(s) - 1; k >= 0; k--)
        back_stretch(s, stretch_at(s, k));
    for (int i = 0; i < s->states && !s->carried; i++)
        add_rows(gradient_of(&s->next[i], room_row(s), s->layout->batch), gradient_of(&s->initial[i], 0, s->layout->batch));
    return true;
}
