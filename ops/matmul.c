/* Y = A B.   dA += dY B'   dB += A' dY
   [...,m,k] x [...,k,n] -> [...,m,n]; one side may have no leading axes and then serves every product. A transposed
   view costs nothing: BLIS takes any strides. */
#include "autograd/blas.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char a_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT];
    sp_shape a = c->x[0].shape, b = c->x[1].shape, y = a.rank >= b.rank ? a : b;
    if (a.rank < 2 || b.rank < 2)
        return sp_fail(s, SP_ERR_SHAPE, "%s x %s: both need two axes", sp_shape_format(a_text, a), sp_shape_format(b_text, b));
    if (a.dim[a.rank - 1] != b.dim[b.rank - 2])
        return sp_fail(s, SP_ERR_SHAPE, "%s x %s: inner %ld != %ld", sp_shape_format(a_text, a), sp_shape_format(b_text, b),
                       a.dim[a.rank - 1], b.dim[b.rank - 2]);
    if (a.rank > 2 && b.rank > 2 && a.rank != b.rank)
        return sp_fail(s, SP_ERR_SHAPE, "%s x %s: %d and %d leading axes", sp_shape_format(a_text, a), sp_shape_format(b_text, b),
                       a.rank - 2, b.rank - 2);
    for (int i = 0; a.rank == b.rank && i < a.rank - 2; i++)
        if (a.dim[i] != b.dim[i])
            return sp_fail(s, SP_ERR_SHAPE, "%s x %s: leading %ld != %ld", sp_shape_format(a_text, a), sp_shape_format(b_text, b),
                           a.dim[i], b.dim[i]);
    y.dim[y.rank - 2] = a.dim[a.rank - 2];
    y.dim[y.rank - 1] = b.dim[b.rank - 1];
    c->y.shape = y;
    return true;
}

/* The matrix of v at the index (i, j) of two leading axes, the ones v lacks skipped. */
static sp_view matrix_at(const sp_view *v, long i, long j)
{
    const long index[2] = { i, j };
    int lead = v->shape.rank - 2;
    sp_view m = *v;
    for (int k = 0; k < lead; k++)
        m.data += index[2 - lead + k] * v->stride[k];
    m.shape = sp_shape_of(2, v->shape.dim + lead);
    m.stride[0] = v->stride[lead];
    m.stride[1] = v->stride[lead + 1];
    return m;
}

/* Y = A B + beta Y at every leading index of a shape, that of the result. */
static void multiply(sp_shape all, const sp_view *a, bool transpose_a, const sp_view *b, bool transpose_b,
                     const sp_param *weight, sp_real beta, const sp_view *y)
{
    long rows = all.rank > 3 ? all.dim[all.rank - 4] : 1, columns = all.rank > 2 ? all.dim[all.rank - 3] : 1;
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j++) {
            sp_view ma = matrix_at(a, i, j), mb = matrix_at(b, i, j), my = matrix_at(y, i, j);
            if (transpose_a)
                ma = sp_transposed(&ma);
            if (transpose_b)
                mb = sp_transposed(&mb);
            sp_gemm_packed(1, &ma, &mb, weight, beta, &my);
        }
}

static void forward(const sp_call *c)
{
    multiply(c->y.shape, &c->x[0], false, &c->x[1], false, c->param[1], 0, &c->y);
}

static void backward(const sp_call *c)
{
    if (c->dx[0].data)
        multiply(c->y.shape, &c->dy, false, &c->x[1], true, c->param[1], 1, &c->dx[0]);
    if (c->dx[1].data)
        multiply(c->y.shape, &c->x[0], true, &c->dy, false, NULL, 1, &c->dx[1]);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_matmul(t, leaf[0], leaf[1]);
}

static sp_tensor *build_transposed(sp_tape *t, sp_tensor **leaf)
{
    return sp_matmul(t, sp_transpose(t, leaf[0], -1, -2), sp_transpose(t, leaf[1], -1, -2));
}

static const struct sp_probe probes[] = {
    { "matrices", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 4, 5 } }, -1, 1 } }, build },
    { "transposed", { { { 2, { 4, 3 } }, -1, 1 }, { { 2, { 5, 4 } }, -1, 1 } }, build_transposed },
    { "batched", { { { 4, { 2, 3, 2, 4 } }, -1, 1 }, { { 4, { 2, 3, 4, 2 } }, -1, 1 } }, build },
    { "batched, transposed", { { { 3, { 3, 4, 2 } }, -1, 1 }, { { 3, { 3, 5, 4 } }, -1, 1 } }, build_transposed },
    { "shared right", { { { 3, { 3, 2, 4 } }, -1, 1 }, { { 2, { 4, 2 } }, -1, 1 } }, build },
    { "shared left", { { { 2, { 2, 4 } }, -1, 1 }, { { 3, { 3, 4, 2 } }, -1, 1 } }, build },
    { "row", { { { 2, { 1, 4 } }, -1, 1 }, { { 2, { 4, 1 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_matmul = {
    "matmul", SP_OP_ROWS | SP_OP_SHARED << 1 | SP_OP_FREES_Y,
    infer, forward, backward, sp_cost_product, probes
};

sp_tensor *sp_matmul(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    sp_shape sa = sp_shape_get(a), sb = sp_shape_get(b);
    bool one_product = sa.rank > 2 && sb.rank == 2 && sp_dim(a, -1) == sp_dim(b, 0);    /* [l,m,k] as [l*m,k] */
    sp_tensor *rows = one_product ? sp_as_rows(t, a) : a;
    sp_tensor *y = sp_record(t, &sp_op_matmul, 2, (sp_tensor *[]){ rows, b }, NULL, 0);
    return one_product ? sp_like_rows(t, y, a) : y;
}
