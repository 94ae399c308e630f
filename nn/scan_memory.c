/* Which values of a program are kept, for how long, and where.

   What the way back reads is kept for all steps; the rest is always in the same few rows of memory. Where that does not fit
   into the tape's budget, it is kept for one segment after the other, and of each segment but the last only the states
   before it are left when the next begins. The way back restores these and computes the segment again, operation by
   operation as before. The longest segment that fits is taken, from the end on: what is still there when the way back
   begins is not computed again. Segments are made of whole stretches, whose length does not depend on the budget, so that
   all sums are those without one.

   Gradients of values are there for a stretch at a time, with a budget or without. */
#include "nn/scan_inside.h"

#include <stdio.h>

#include "ops/kernel.h"

/* ---- for how long ---------------------------------------------------------------------------------------------- */

static const long *keep_from(const struct scan *s, const struct operation *by)
{
    const struct sp_buffer *b = by->y.buffer;
    const long *kept = s->apart ? &s->segment : NULL;
    const bool is_y = b == s->y.buffer;
    if (is_y && !s->copied)
        return NULL;
    if (sp_scan_is_state(s, b) || (s->recording && !(by->node->op->flags & SP_OP_FREES_Y)))
        return kept;
    bool in_loop = by->phase == LOOP && !is_y;
    for (const struct operation *o = s->operation; o < s->operation + s->operations; o++)
        for (int i = 0; i < o->node->call.inputs; i++)
            if (o->x[i].buffer == b) {
                if (s->recording && !sp_op_has(o->node->op, SP_OP_FREES, i))
                    return kept;
                in_loop &= o->phase == LOOP;
            }
    return in_loop ? &s->step : &s->stretch;
}

/* States before each step that are copies. */
static bool is_carried(const struct scan *s, const struct operand *x)
{
    for (int i = 0; s->carried && i < s->states; i++)
        if (x->buffer == s->previous[i].buffer)
            return true;
    return false;
}

static void keep(const struct scan *s, struct operand *x)
{
    if (x->by)
        x->from = x->by->y.from;
    else if (is_carried(s, x)) {
        x->from = !s->recording ? &s->stretch : s->apart ? &s->segment : NULL;
        x->since = &s->back;
    }
}

static void keep_all(struct scan *s)
{
    for (struct operation *o = s->operation; o < s->operation + s->operations; o++) {
        o->y.from = keep_from(s, o);
        o->saved.from = s->recording ? s->apart ? &s->segment : NULL : o->phase == LOOP ? &s->step : &s->stretch;
        o->since = &s->back;
    }
    for (struct operation *o = s->operation; o < s->operation + s->operations; o++)
        for (int i = 0; i < o->node->call.inputs; i++)
            keep(s, &o->x[i]);
    keep(s, &s->y);
    for (int i = 0; i < s->states; i++) {
        keep(s, &s->next[i]);
        keep(s, &s->previous[i]);
    }
}

/* ---- how much -------------------------------------------------------------------------------------------------- */

/* The rows that are there at a time, if those of a segment are so many. */
static long rows_kept(const struct scan *s, const long *from, long segment_rows)
{
    return !from ? s->layout->rows : from == &s->step ? s->layout->batch : from == &s->stretch ? s->stretch_rows : segment_rows;
}

/* Beside them, for a new state, those of the step before. */
static long room(const struct scan *s, const struct sp_buffer *b)
{
    return sp_scan_is_state(s, b) ? s->layout->batch : 0;
}

static bool is_twin(const struct scan *s, const struct operation *o)
{
    for (const struct operation *u = s->operation; u < s->operation + s->operations; u++)
        if (u->twins && u->x[1].by == o)
            return true;
    return false;
}

long sp_scan_gradient_rows(const struct scan *s, const struct operation *o)
{
    const struct sp_buffer *b = o->y.buffer;
    return !b->wants_grad || is_twin(s, o) ? 0 : s->stretch_rows + (sp_scan_is_result(s, b) ? s->layout->batch : 0);
}

long sp_scan_state_numbers(const struct scan *s, int j)
{
    long n = 0;
    for (int i = 0; i < j; i++)
        n += s->next[i].view.shape.dim[1];
    return n;
}

/* Bytes for segments of so many rows, without those for borders: what sp_scan_place takes, what the trace took for one step,
   and what the way back will take. */
static long bytes_for(const struct scan *s, long segment_rows)
{
    long n = s->traced;
    for (const struct operation *o = s->operation; o < s->operation + s->operations; o++) {
        if (o->y.from != &s->step)
            n += (rows_kept(s, o->y.from, segment_rows) + room(s, o->y.buffer)) * o->y.row;
        n += rows_kept(s, o->saved.from, segment_rows) * o->saved.row;
        n += sp_scan_gradient_rows(s, o) * o->y.row;
    }
    for (int i = 0; s->carried && i < s->states; i++)
        n += (s->stretch_rows + rows_kept(s, s->previous[i].from, segment_rows)) * s->previous[i].row;
    return n * (long)sizeof(sp_real);
}

/* ---- segments -------------------------------------------------------------------------------------------------- */

/* Puts the stretches into segments of at most so many rows, or of one stretch, from the last on, which begin at
   begin[s->segments - how many]. Returns how many. */
static long divide(const struct scan *s, long most, long *begin)
{
    const long n = sp_scan_stretches(s);
    long count = 0, rows = 0;
    for (long k = n - 1; k >= 0; k--) {
        const long more = sp_scan_rows_of(s, sp_scan_stretch(s, k));
        if (!count || rows + more > most) {
            count++;
            rows = 0;
        }
        rows += more;
        begin[n - count] = k;
    }
    return count;
}

/* Enough bytes, and the fewest where stretches are equal; without segments it is so many. */
static long least_bytes(const struct scan *s, long fixed, long row, long border, long whole, long *begin)
{
    long least = whole;
    for (long most = s->stretch_rows; fixed + most * row < least; most += s->stretch_rows) {
        const long bytes = fixed + most * row + (divide(s, most, begin) - 1) * border;
        least = bytes < least ? bytes : least;
    }
    return least;
}

static void fail_budget(sp_tape *t, const sp_layout *l, long least, long budget)
{
    char rows[40] = "";
    if (!sp_layout_even(l))
        snprintf(rows, sizeof rows, ", %ld rows in all,", l->rows);
    sp_tape_fail(t, SP_ERR_BUDGET, "scan: %ld steps of %s%ld sequences%s need a budget of %ld bytes, not %ld", l->steps,
                 *rows ? "up to " : "", l->batch, rows, least, budget);
}

/* The longest segments within the budget, where the whole does not fit: the more there are, the less is left for each. */
static bool find_segments(sp_tape *t, struct scan *s, long budget, long whole, long *begin)
{
    const long fixed = bytes_for(s, 0), row = bytes_for(s, 1) - fixed, n = sp_scan_stretches(s);
    const long border = s->layout->batch * sp_scan_state_numbers(s, s->states) * (long)sizeof(sp_real);
    long count = 1, most;
    for (;;) {
        most = (budget - fixed - (count - 1) * border) / (row ? row : 1);
        if (most < s->stretch_rows) {
            fail_budget(t, s->layout, least_bytes(s, fixed, row, border, whole, begin), budget);
            return false;
        }
        const long now = divide(s, most, begin);
        if (now <= count)
            break;
        count = now;
    }
    s->segments = divide(s, most, begin);
    s->begin = begin + n - s->segments;
    s->border = sp_tape_take(t, (size_t)((s->segments - 1) * border));
    return s->border;
}

static bool choose(sp_tape *t, struct scan *s)
{
    const long n = sp_scan_stretches(s);
    const size_t budget = sp_tape_budget(t);
    long *begin = sp_tape_take(t, (size_t)(n + 1) * sizeof *begin);
    if (!begin)
        return false;
    begin[0] = 0;
    begin[n] = n;
    for (long k = 0; k < n; k++) {
        const long rows = sp_scan_rows_of(s, sp_scan_stretch(s, k));
        s->stretch_rows = rows > s->stretch_rows ? rows : s->stretch_rows;
    }
    const long width = s->y.view.shape.dim[1];
    s->recording = sp_tape_recording(t);
    s->copied = width < s->y.row;
    s->apart = !s->recording && (s->copied || !sp_scan_is_state(s, s->y.buffer));
    keep_all(s);
    s->segments = 1;
    s->begin = begin;
    s->segment_rows = s->apart ? s->stretch_rows : s->layout->rows;
    begin[1] = n;
    if (!s->recording || !budget)
        return true;
    /* y is not in it, but what is beside its rows, and its gradient's, if these are where the program has them */
    const long out = s->copied ? 0 : (s->layout->rows - room(s, s->y.buffer)) * width * (long)sizeof(sp_real);
    const long whole = bytes_for(s, s->layout->rows) - out;
    if ((size_t)whole <= budget)
        return true;
    s->apart = s->copied = true;
    keep_all(s);
    if (!find_segments(t, s, (long)budget, whole, begin))
        return false;
    s->segment_rows = 0;
    for (long i = 0; i < s->segments; i++) {
        long rows = 0;
        for (long k = s->begin[i]; k < s->begin[i + 1]; k++)
            rows += sp_scan_rows_of(s, sp_scan_stretch(s, k));
        s->segment_rows = rows > s->segment_rows ? rows : s->segment_rows;
    }
    return true;
}

/* ---- where ----------------------------------------------------------------------------------------------------- */

/* Gives a buffer other memory, with row 0 behind some; what is a view of it moves along. */
static bool move(sp_tape *t, const struct tracing *k, struct sp_buffer *b, long rows, long before)
{
    sp_real *data = sp_tape_take(t, (size_t)(rows * b->row) * sizeof *data);
    if (!data)
        return false;
    for (struct sp_node *n = k->trace.last; n; n = n->previous)
        if (n->output->buffer == b)
            n->output->view.data = data + before * b->row + (n->output->view.data - b->data);
    b->data = data;
    b->size = rows * b->row;
    return true;
}

bool sp_scan_place(sp_tape *t, const struct tracing *k, struct scan *s)
{
    if (!choose(t, s))
        return false;
    for (struct operation *o = s->operation; o < s->operation + s->operations; o++) {
        const long rows = rows_kept(s, o->y.from, s->segment_rows), beside = room(s, o->y.buffer);
        if (o->y.from != &s->step && !move(t, k, o->y.buffer, rows + beside, s->reverse ? 0 : beside))
            return false;
        const long saved = rows_kept(s, o->saved.from, s->segment_rows) * o->saved.row;
        if (o->saved.row && !(o->saved.view.data = sp_tape_take(t, (size_t)saved * sizeof(sp_real))))
            return false;
    }
    for (int i = 0; s->carried && i < s->states; i++) {
        if (!move(t, k, s->previous[i].buffer, rows_kept(s, s->previous[i].from, s->segment_rows), 0))
            return false;
        k->previous[i]->view.data = s->previous[i].buffer->data;
    }
    return true;
}
