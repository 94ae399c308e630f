#include "autograd/watch.h"

#include <math.h>
#include <stdio.h>

#include "autograd/tape_inside.h"

void sp_tape_watch(sp_tape *t, char origin[SP_ORIGIN_TEXT])
{
    if (origin)
        *origin = '\0';
    if (t)
        t->watch = origin;
}

enum { FINITE, INFINITE, NO_NUMBER };

static int kind_of(sp_real x)
{
    return isfinite(x) ? FINITE : isnan(x) ? NO_NUMBER : INFINITE;
}

/* The worst kind of number that was seen, and where first. */
struct sight {
    int kind;
    const sp_view *view;
    long row;                   /* index of the leading axis */
};

static void look(struct sight *s, const sp_view *v)
{
    long dim[SP_MAX_RANK] = { 1, 1, 1, 1 };
    for (int i = 0; i < v->shape.rank; i++)
        dim[i] = v->shape.dim[i];
    for (long i = 0; v->data && i < dim[0]; i++)
        for (long j = 0; j < dim[1]; j++)
            for (long k = 0; k < dim[2]; k++)
                for (long l = 0; l < dim[3]; l++) {
                    const long at[SP_MAX_RANK] = { i, j, k, l };
                    const sp_real *x = v->data;
                    for (int a = 0; a < v->shape.rank; a++)
                        x += at[a] * v->stride[a];
                    if (kind_of(*x) > s->kind)
                        *s = (struct sight){ kind_of(*x), v, i };
                }
}

/* What goes in. On the way back that is also what the gradients have already, but no input that may be gone by then. */
static struct sight look_before(const struct sp_node *n, bool back)
{
    struct sight s = { 0 };
    for (int i = 0; i < n->call.inputs; i++) {
        if (!back || !sp_op_has(n->op, SP_OP_FREES, i))
            look(&s, &n->call.x[i]);
        if (back)
            look(&s, &n->call.dx[i]);
    }
    if (back)
        look(&s, &n->call.dy);
    return s;
}

static struct sight look_after(const struct sp_node *n, bool back)
{
    struct sight s = { 0 };
    for (int i = 0; back && i < n->call.inputs; i++)
        look(&s, &n->call.dx[i]);
    if (!back)
        look(&s, &n->call.y);
    return s;
}

/* The time step of what was seen; -1: of none, or of several. */
static long time_of(const struct sp_node *n, const struct sight *s)
{
    const sp_tape *t = n->output->tape;
    long step = 0, row = n->first;
    if (!n->offset)
        return t->timed ? (long)t->time : -1;
    while (n->offset[step + 1] <= row)
        step++;
    if (row + n->rows <= n->offset[step + 1])
        return step;
    const long leading = s->view->shape.rank ? s->view->shape.dim[0] : 0;
    if (s->view != &n->call.y || leading < n->rows || leading % n->rows)
        return -1;
    for (row += s->row / (leading / n->rows); n->offset[step + 1] <= row; )
        step++;
    return step;
}

void sp_watch_run(const struct sp_node *n, void (*way)(const sp_call *c), bool back)
{
    char *origin = n->output->tape->watch, path[SP_ORIGIN_TEXT / 2];
    if (*origin) {
        way(&n->call);
        return;
    }
    const struct sight before = look_before(n, back);
    way(&n->call);
    const struct sight after = look_after(n, back);
    if (after.kind <= before.kind)
        return;
    const long time = time_of(n, &after);
    sp_scope_path(n->scope, path, sizeof path);
    int at = snprintf(origin, SP_ORIGIN_TEXT, "'%s'%s%s%s", n->op->name, back ? " backward" : "", *path ? " in " : "", path);
    if (time >= 0 && at < SP_ORIGIN_TEXT)
        snprintf(origin + at, (size_t)(SP_ORIGIN_TEXT - at), ", time step %ld", time);
}
