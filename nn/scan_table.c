/* Sequences of symbols. Where the rows of x are rows of a table (an embedding), what the step computes of x alone has no
   more different rows than the table has:  f(E[ids]) = f(E)[ids].  It is computed for the table, on the tape that scan is
   an entry of, and the program takes its rows from there. A product of all time steps becomes one of a few rows. */
#include <string.h>

#include "nn/scan_inside.h"
#include "ops/kernel.h"
#include "ops/ops.h"

/* ---- taking rows ----------------------------------------------------------------------------------------------- */

/* y_i = row ids_i of a table; y is rows of a stretch. */
struct attr {
    const int *ids;             /* [rows of the sequence] */
    const long *first;          /* row of the stretch */
};

static void take(const sp_call *c)
{
    const struct attr *a = c->attr;
    const long n = c->y.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++)
        memcpy(c->y.data + i * n, c->x[0].data + a->ids[*a->first + i] * n, (size_t)n * sizeof(sp_real));
}

static void give_back(const sp_call *c)
{
    const struct attr *a = c->attr;
    const long n = c->y.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++)
        sp_add_run(n, c->dy.data + i * n, c->dx[0].data + a->ids[*a->first + i] * n);
}

static sp_cost cost(const sp_call *c, bool back)
{
    const double n = (double)sp_shape_size(c->y.shape);
    return (sp_cost){ back ? n : 0, (back ? 3 : 2) * n * sizeof(sp_real) };
}

static const sp_op take_op = {
    .name = "take", .flags = SP_OP_ROWS | SP_OP_SHARED | SP_OP_FREES_X | SP_OP_FREES_Y, .forward = take, .backward = give_back,
    .cost = cost
};

/* ---- where x comes from ---------------------------------------------------------------------------------------- */

/* What rows are taken from, and which. */
struct source {
    sp_tensor *table;
    const int *ids;             /* [n] */
};

/* Through views that show all of it, row by row. */
static const sp_tensor *through_views(const sp_tensor *x)
{
    while (x->node && (x->node->op->flags & SP_OP_VIEW) && sp_view_contiguous(&x->view)
           && x->view.data == x->node->input[0]->view.data
           && sp_dim(x, -1) == sp_dim(x->node->input[0], -1)
           && sp_shape_size(x->view.shape) == sp_shape_size(x->node->input[0]->view.shape))
        x = x->node->input[0];
    return x;
}

/* Rows that were taken from rows (packed, say) are rows of the first table. False if x is not rows of a table. */
static bool find_source(sp_tape *t, const sp_tensor *x, long n, struct source *s)
{
    const int *ids;
    if (!sp_embedding_source(through_views(x), &s->table, &s->ids))
        return false;
    while (sp_embedding_source(through_views(s->table), &s->table, &ids)) {
        int *both = sp_tape_take(t, (size_t)n * sizeof *both);
        if (!both)
            return false;
        for (long i = 0; i < n; i++)
            both[i] = ids[s->ids[i]];
        s->ids = both;
    }
    return true;
}

/* Leaves of the table what occurs among n ids: the rest may be of any kind, and f not made for it. False if that is not much
   less than n, or without memory: the tape then has the error. */
static bool keep_rows(sp_tape *t, struct source *s, long n)
{
    const sp_shape table = s->table->view.shape;
    const size_t rows = table.rank == 2 ? (size_t)table.dim[0] : 0;
    int *place = sp_tape_take(t, rows * sizeof *place), count = 0;
    if (!place || !rows)
        return false;
    memset(place, -1, rows * sizeof *place);
    for (long i = 0; i < n && 2L * count <= n; i++)
        if (place[s->ids[i]] < 0)
            place[s->ids[i]] = count++;
    if (2L * count > n)
        return false;
    int *kept = sp_tape_take(t, (size_t)count * sizeof *kept), *ids = sp_tape_take(t, (size_t)n * sizeof *ids);
    if (!kept || !ids)
        return false;
    for (long i = 0; i < n; i++) {
        ids[i] = place[s->ids[i]];
        kept[ids[i]] = s->ids[i];
    }
    s->ids = ids;
    s->table = sp_embedding(t, s->table, kept, count);
    return sp_ok(t);
}

/* ---- what is computed for the table ---------------------------------------------------------------------------- */

struct hoisted {
    struct sp_node *node;       /* of the program */
    sp_tensor *table;           /* its result for the rows of the table */
};

struct hoisting {
    const struct scan *scan;
    struct source source;
    struct hoisted *list;
    int n;
};

/* The tensor over the table's rows that stands for an input of a traced operation; NULL if there is none. */
static sp_tensor *over_table(const struct tracing *k, const struct hoisting *h, const struct sp_node *n, int input)
{
    sp_tensor *x = n->input[input];
    if (!x->buffer->row)
        return sp_row_constant(n, input) ? NULL : x;
    if (x == k->x)
        return h->source.table;
    for (int i = 0; i < h->n; i++)
        if (h->list[i].node->output == x)
            return h->list[i].table;
    return NULL;
}

/* Records an operation over the table's rows, unless it reads the state, or is random, or is a result of the step as it
   stands. */
static void hoist(sp_tape *t, const struct tracing *k, struct hoisting *h, struct sp_node *n)
{
    sp_tensor *input[8];
    const int inputs = n->call.inputs;
    const sp_shape y = n->call.y.shape;
    bool able = inputs <= 8 && y.rank == 2 && y.dim[0] == k->trace.rows && !(n->op->flags & (SP_OP_VIEW | SP_OP_RANDOM))
                && k->y->buffer != n->output->buffer;
    for (int i = 0; i < h->scan->states; i++)
        able = able && k->next[i]->buffer != n->output->buffer;
    for (int i = 0; able && i < inputs; i++)
        able = (input[i] = over_table(k, h, n, i)) != NULL;
    if (!able)
        return;
    const bool recording = sp_tape_recording(t);
    sp_tape_set_recording(t, recording && n->output->buffer->wants_grad);       /* as it was where the step asked for it */
    h->list[h->n++] = (struct hoisted){ n, sp_record_again(t, n, input) };
    sp_tape_set_recording(t, recording);
}

/* Hoists what can be, first to last: the nodes stand behind each other from the last. */
static void hoist_all(sp_tape *t, const struct tracing *k, struct hoisting *h, struct sp_node *n)
{
    if (n) {
        hoist_all(t, k, h, n->previous);
        hoist(t, k, h, n);
    }
}

static bool is_hoisted(const struct hoisting *h, const struct sp_node *n)
{
    for (int i = 0; i < h->n; i++)
        if (h->list[i].node == n)
            return true;
    return false;
}

/* True if what is left of the program reads what a node computes, or a view of it. */
static bool is_read(const struct tracing *k, const struct hoisting *h, const sp_tensor *y)
{
    for (const struct sp_node *n = k->trace.last; n; n = n->previous)
        for (int i = 0; i < n->call.inputs; i++)
            if (n->input[i]->buffer == y->buffer && !is_hoisted(h, n))
                return true;
    return false;
}

/* Makes a hoisted operation one that takes the rows from the table. */
static bool take_instead(sp_tape *t, const struct hoisting *h, const struct hoisted *x)
{
    const struct attr attr = { h->source.ids, &h->scan->stretch };
    struct sp_node *n = x->node;
    n->op = &take_op;
    n->input[0] = x->table;
    n->call.inputs = 1;
    n->call.attr = sp_tape_copy(t, &attr, sizeof attr);
    n->call.x[0] = x->table->view;
    n->call.param[0] = NULL;
    n->call.saved = (sp_view){ 0 };
    return n->call.attr;
}

/* Takes operations out of the program. */
static void remove_unread(struct tracing *k, const struct hoisting *h)
{
    for (struct sp_node **link = &k->trace.last; *link; ) {
        struct sp_node *n = *link;
        if (n->op == &take_op || !is_hoisted(h, n)) {
            link = &n->previous;
            continue;
        }
        n->output->buffer->row = SP_ROW_GONE;
        *link = n->previous;
        k->trace.nodes--;
    }
}

bool sp_scan_hoist(sp_tape *t, struct tracing *k, struct scan *s)
{
    struct hoisting h = { .scan = s };
    const sp_mark mark = sp_tape_mark(t);
    if (!find_source(t, k->xs, s->layout->rows, &h.source) || !keep_rows(t, &h.source, s->layout->rows)) {
        sp_tape_rewind(t, mark);
        return sp_ok(t);
    }
    h.list = sp_tape_take(t, (size_t)k->trace.nodes * sizeof *h.list);
    if (!h.list)
        return false;
    hoist_all(t, k, &h, k->trace.last);
    for (int i = 0; sp_ok(t) && i < h.n; i++)
        if (is_read(k, &h, h.list[i].node->output) && !take_instead(t, &h, &h.list[i]))
            return false;
    remove_unread(k, &h);
    return sp_ok(t);
}
