/* Sequences of symbols. Where the rows of x are rows of a table (an embedding), what the step computes of x alone has no
   more different rows than the table has:  f(E[ids]) = f(E)[ids].  It is computed for the table, on the tape that scan is
   an entry of, and its rows are taken from there. A product of all time steps becomes one of a few rows. */
#include "nn/scan_inside.h"
#include "ops/ops.h"

/* What rows are taken from, and which. */
struct source {
    sp_tensor *table;
    const int *ids;             /* [n] */
};

/* Through views that show all of it in the same order. */
static const sp_tensor *behind_views(const sp_tensor *x)
{
    while (x->node && (x->node->op->flags & SP_OP_VIEW) && sp_view_contiguous(&x->view)
           && x->view.data == x->node->input[0]->view.data
           && sp_shape_size(x->view.shape) == sp_shape_size(x->node->input[0]->view.shape))
        x = x->node->input[0];
    return x;
}

/* Rows that were taken from rows (packed, say) are rows of the first table. False if x is not rows of a table. */
static bool find_source(sp_tape *t, const sp_tensor *x, long n, struct source *s)
{
    const int *ids;
    if (!sp_embedding_source(behind_views(x), &s->table, &s->ids))
        return false;
    while (sp_embedding_source(behind_views(s->table), &s->table, &ids)) {
        int *both = sp_tape_take(t, (size_t)n * sizeof *both);
        if (!both)
            return false;
        for (long i = 0; i < n; i++)
            both[i] = ids[s->ids[i]];
        s->ids = both;
    }
    return true;
}

/* The tensor over the table's rows that stands for an input of a traced operation; NULL if there is none. */
static sp_tensor *over_table(const struct tracing *k, const struct source *s, const struct sp_node *n, int input)
{
    sp_tensor *x = n->input[input];
    if (!x->buffer->row)
        return sp_row_constant(n, input, k->trace.rows) ? NULL : x;
    if (x == k->x)
        return s->table;
    for (int i = 0; i < k->givens; i++)
        if (k->given[i].traced == x)
            return k->given[i].table;
    return NULL;
}

/* Records an operation over the table's rows. False if it cannot be: it reads the state, or is random, or is a result of the
   step as it stands. */
static bool hoist(sp_tape *t, struct tracing *k, int states, const struct source *s, struct sp_node *n)
{
    sp_tensor *input[8];
    const int inputs = n->call.inputs;
    bool able = inputs <= 8 && n->output->view.shape.rank == 2 && n->output->view.shape.dim[0] == k->trace.rows
                && !(n->op->flags & (SP_OP_VIEW | SP_OP_RANDOM)) && k->y->buffer != n->output->buffer;
    for (int i = 0; i < states; i++)
        able = able && k->next[i]->buffer != n->output->buffer;
    for (int i = 0; able && i < inputs; i++)
        able = (input[i] = over_table(k, s, n, i)) != NULL;
    if (able)
        k->given[k->givens++] = (struct given){ .traced = n->output, .table = sp_record_again(t, n, input) };
    return able;
}

/* True if what is left of the program reads a tensor or a view of it. */
static bool is_read(const struct tracing *k, const sp_tensor *x)
{
    for (const struct sp_node *n = k->trace.last; n; n = n->previous)
        for (int i = 0; i < n->call.inputs; i++)
            if (n->input[i]->buffer == x->buffer)
                return true;
    return false;
}

/* Takes operations out of the program, first to last: they stand behind each other from the last. */
static void hoist_all(sp_tape *t, struct tracing *k, int states, const struct source *s, struct sp_node **link)
{
    struct sp_node *n = *link;
    if (!n)
        return;
    hoist_all(t, k, states, s, &n->previous);
    if (hoist(t, k, states, s, n)) {
        n->output->node = NULL;
        *link = n->previous;
        k->trace.nodes--;
    }
}

bool sp_scan_hoist(sp_tape *t, struct tracing *k, int states)
{
    struct source s;
    const long rows = k->trace.all;
    if (!find_source(t, k->xs, rows, &s) || s.table->view.shape.rank != 2 || 2 * s.table->view.shape.dim[0] > rows)
        return sp_ok(t);
    k->given = sp_tape_take(t, (size_t)k->trace.nodes * sizeof *k->given);
    if (!k->given)
        return false;
    hoist_all(t, k, states, &s, &k->trace.last);
    int kept = 0;
    for (int i = 0; i < k->givens; i++)
        if (is_read(k, k->given[i].traced)) {
            k->given[kept] = k->given[i];
            k->given[kept].rows = sp_embedding(t, k->given[i].table, s.ids, rows);
            kept++;
        }
    k->givens = kept;
    return sp_ok(t);
}
