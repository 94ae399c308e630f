/* Y = X W + b.   dX += dY W'   dW += X' dY   db += column sums of dY
   [...,k] x [k,n] + [n] -> [...,n]. W may be a transposed view. */
#include "autograd/blas.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char x_text[SP_SHAPE_TEXT], w_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT];
    sp_shape x = c->x[0].shape, w = c->x[1].shape, b = c->x[2].shape;
    if (x.rank != 2 || w.rank != 2 || b.rank != 1)
        return sp_fail(s, SP_ERR_SHAPE, "%s x %s + %s: needs [...,k] x [k,n] + [n]", sp_shape_format(x_text, x),
                       sp_shape_format(w_text, w), sp_shape_format(b_text, b));
    if (x.dim[1] != w.dim[0])
        return sp_fail(s, SP_ERR_SHAPE, "%s x %s: inner %ld != %ld", sp_shape_format(x_text, x), sp_shape_format(w_text, w),
                       x.dim[1], w.dim[0]);
    if (b.dim[0] != w.dim[1])
        return sp_fail(s, SP_ERR_SHAPE, "%s x %s + %s: bias %ld != %ld", sp_shape_format(x_text, x), sp_shape_format(w_text, w),
                       sp_shape_format(b_text, b), b.dim[0], w.dim[1]);
    c->y.shape = SP_SHAPE(x.dim[0], w.dim[1]);
    return true;
}

static void forward(const sp_call *c)
{
    const sp_view *b = &c->x[2];
    if (b->stride[0] == 1) {
        sp_gemm_bias(&c->x[0], &c->x[1], c->param[1], b->data, &c->y);
        return;
    }
    SP_EACH2(c->y.shape, y, c->y, each, *b, *y = *each);
    sp_gemm_packed(1, &c->x[0], &c->x[1], c->param[1], 1, &c->y);
}

static void backward(const sp_call *c)
{
    sp_view x = sp_transposed(&c->x[0]), w = sp_transposed(&c->x[1]);
    if (c->dx[0].data)
        sp_gemm_packed(1, &c->dy, &w, c->param[1], 1, &c->dx[0]);
    if (c->dx[1].data)
        sp_gemm_packed(1, &x, &c->dy, NULL, 1, &c->dx[1]);
    if (c->dx[2].data)
        sp_add_sums(&c->dx[2], &c->dy);
}

static sp_cost cost(const sp_call *c, bool back)
{
    sp_cost all = sp_cost_product(c, back);
    if (back && c->dx[2].data)
        all.flops += sp_elements(&c->y);
    return all;
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_affine(t, leaf[0], leaf[1], leaf[2]);
}

static sp_tensor *build_transposed(sp_tape *t, sp_tensor **leaf)
{
    return sp_affine(t, leaf[0], sp_transpose(t, leaf[1], 0, 1), leaf[2]);
}

static const struct sp_probe probes[] = {
    { "matrices", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 4, 5 } }, -1, 1 }, { { 1, { 5 } }, -1, 1 } }, build },
    { "transposed", { { { 2, { 3, 4 } }, -1, 1 }, { { 2, { 5, 4 } }, -1, 1 }, { { 1, { 5 } }, -1, 1 } }, build_transposed },
    { "vector", { { { 1, { 4 } }, -1, 1 }, { { 2, { 4, 5 } }, -1, 1 }, { { 1, { 5 } }, -1, 1 } }, build },
    { "rank 3", { { { 3, { 2, 3, 4 } }, -1, 1 }, { { 2, { 4, 2 } }, -1, 1 }, { { 1, { 2 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_affine = {
    "affine", SP_OP_ROWS | SP_OP_SHARED << 1 | SP_OP_SHARED << 2 | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_affine(sp_tape *t, sp_tensor *x, sp_tensor *w, sp_tensor *b)
{
    sp_tensor *rows = sp_as_rows(t, x);
    return sp_like_rows(t, sp_record(t, &sp_op_affine, 3, (sp_tensor *[]){ rows, w, b }, NULL, 0), x);
}
