/* y_i = row ids_i of a table [v,e].   dtable_id += dy_i, in the order of the rows */
#include <string.h>

#include "ops/kernel.h"

struct attr {
    const int *ids;
    long n;
};

static bool infer(sp_call *c, sp_status *s)
{
    const struct attr *a = c->attr;
    char text[SP_SHAPE_TEXT];
    sp_shape table = c->x[0].shape;
    if (table.rank != 2)
        return sp_fail(s, SP_ERR_SHAPE, "the table has the shape %s, not [ids,width]", sp_shape_format(text, table));
    for (long i = 0; i < a->n; i++)
        if (a->ids[i] < 0 || a->ids[i] >= table.dim[0])
            return sp_fail(s, SP_ERR_VALUE, "id %d at position %ld is not in 0..%ld", a->ids[i], i, table.dim[0] - 1);
    c->y.shape = SP_SHAPE(a->n, table.dim[1]);
    return true;
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const sp_view *table = &c->x[0];
    const long n = c->y.shape.dim[1];
    for (long i = 0; i < a->n; i++) {
        const sp_real *from = table->data + a->ids[i] * table->stride[0];
        sp_real *to = c->y.data + i * n;
        if (table->stride[1] == 1)
            memcpy(to, from, (size_t)n * sizeof *to);
        else
            for (long j = 0; j < n; j++)
                to[j] = from[j * table->stride[1]];
    }
}

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const sp_view *dy = &c->dy, *table = &c->dx[0];
    const long n = dy->shape.dim[1];
    for (long i = 0; i < a->n; i++) {
        const sp_real *from = dy->data + i * dy->stride[0];
        sp_real *to = table->data + a->ids[i] * table->stride[0];
        if (dy->stride[1] == 1 && table->stride[1] == 1)
            sp_add_run(n, from, to);
        else
            for (long j = 0; j < n; j++)
                to[j * table->stride[1]] += from[j * dy->stride[1]];
    }
}

/* Of the table only the rows that are looked up are touched. */
static sp_cost cost(const sp_call *c, bool back)
{
    const double n = sp_elements(&c->y);
    return back ? (sp_cost){ n, 3 * n * sizeof(sp_real) } : (sp_cost){ 0, 2 * n * sizeof(sp_real) };
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_embedding(t, leaf[0], (const int[]){ 3, 0, 3, 1 }, 4);
}

static const struct sp_probe probes[] = {
    { "repeated id", { { { 2, { 5, 3 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_embedding = { "embedding", SP_OP_LOOKUP, infer, forward, backward, cost, probes };

sp_tensor *sp_embedding(sp_tape *t, sp_tensor *table, const int *ids, long n)
{
    if (n < 0 || (n && !ids))
        return sp_tape_fail(t, SP_ERR_VALUE, "embedding: %ld ids%s", n, ids ? "" : ", and no list");
    struct attr a = { sp_tape_copy(t, ids, (size_t)n * sizeof *ids), n };
    return sp_record(t, &sp_op_embedding, 1, &table, &a, sizeof a);
}

bool sp_embedding_source(const sp_tensor *x, sp_tensor **table, const int **ids)
{
    if (!x || !x->node || x->node->op != &sp_op_embedding || x->node->output != x)
        return false;
    *table = x->node->input[0];
    *ids = ((const struct attr *)x->node->call.attr)->ids;
    return true;
}
