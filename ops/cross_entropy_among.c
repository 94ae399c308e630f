/* y = ln(e^own + sum_(j != omit) e^others_j) - own for each row: the cross entropy of one logit among others that all rows
   share, where one of them may be its own again. A row that is omitted as a whole has y = 0 and no gradient.
   With p = softmax(own, others):  dothers_j += dy p_j, not where j is omitted   down += dy (p_own - 1)
   Saves p, [rows, n + 1], own last. */
#include <math.h>
#include <string.h>

#include "autograd/vmath.h"
#include "ops/kernel.h"

struct attr {
    const int *omit;            /* [rows] 0 .. n-1, SP_OMIT_NONE or SP_OMIT_ROW */
};

static bool infer(sp_call *c, sp_status *s)
{
    const struct attr *a = c->attr;
    char own_text[SP_SHAPE_TEXT], others_text[SP_SHAPE_TEXT];
    const sp_shape own = c->x[0].shape, others = c->x[1].shape;
    if (own.rank != 1 || others.rank != 2 || own.dim[0] != others.dim[0])
        return sp_fail(s, SP_ERR_SHAPE, "%s among %s: needs [rows] and [rows,n]", sp_shape_format(own_text, own),
                       sp_shape_format(others_text, others));
    for (long i = 0; i < own.dim[0]; i++)
        if (a->omit[i] < SP_OMIT_ROW || a->omit[i] >= others.dim[1])
            return sp_fail(s, SP_ERR_VALUE, "row %ld omits %d, which is none of %ld", i, a->omit[i], others.dim[1]);
    c->y.shape = own;
    c->saved.shape = SP_SHAPE(own.dim[0], others.dim[1] + 1);
    return true;
}

static void forward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const long n = c->saved.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *x = c->x[1].data + i * c->x[1].stride[0], own = c->x[0].data[i * c->x[0].stride[0]];
        sp_real *p = c->saved.data + i * n;
        if (a->omit[i] == SP_OMIT_ROW) {
            c->y.data[i] = 0;
            continue;
        }
        memcpy(p, x, (size_t)(n - 1) * sizeof *p);
        p[n - 1] = own;
        if (a->omit[i] != SP_OMIT_NONE)
            p[a->omit[i]] = -INFINITY;
        const sp_real m = sp_row_max(n, p);
        for (long j = 0; j < n; j++)
            p[j] -= m;
        sp_vexp(n, p, p);
        const sp_real sum = sp_sum_run(n, p, 1), inverse = 1 / sum;
        for (long j = 0; j < n; j++)
            p[j] *= inverse;
        c->y.data[i] = (sp_real)log((double)sum) - (own - m);
    }
}

static void backward(const sp_call *c)
{
    const struct attr *a = c->attr;
    const long n = c->saved.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *p = c->saved.data + i * n, dy = c->dy.data[i * c->dy.stride[0]];
        sp_real *dx = c->dx[1].data ? c->dx[1].data + i * c->dx[1].stride[0] : NULL;
        if (a->omit[i] == SP_OMIT_ROW)
            continue;
        if (c->dx[0].data)
            c->dx[0].data[i * c->dx[0].stride[0]] -= dy * sp_sum_run(n - 1, p, 1);      /* 1 - p_own, where that is small */
        for (long j = 0; j < n - 1 && dx; j++)
            dx[j] += dy * p[j];
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    const double n = sp_elements(&c->saved);
    return sp_cost_of(c, back, back ? (c->dx[0].data ? n : 0) + (c->dx[1].data ? 2 * n : 0) : 6 * n, n);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_cross_entropy_among(t, leaf[0], leaf[1], (const int[]){ 2, SP_OMIT_NONE, SP_OMIT_ROW, 0 });
}

static const struct sp_probe probes[] = {
    { "rows", { { { 1, { 4 } }, -2, 2 }, { { 2, { 4, 5 } }, -2, 2 } }, build },
    { 0 }
};

const sp_op sp_op_cross_entropy_among = {
    "cross_entropy_among", SP_OP_FREES_X | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_cross_entropy_among(sp_tape *t, sp_tensor *own, sp_tensor *others, const int *omit)
{
    const long rows = sp_dim(own, 0);
    if (rows && !omit)
        return sp_tape_fail(t, SP_ERR_VALUE, "cross_entropy_among: no list of what is omitted");
    struct attr a = { sp_tape_copy(t, omit, (size_t)rows * sizeof *omit) };
    return sp_record(t, &sp_op_cross_entropy_among, 2, (sp_tensor *[]){ own, sp_as_rows(t, others) }, &a, sizeof a);
}
