/* y_i = e^(x_i - m) / sum_j e^(x_j - m), m = max x, along each row.   dx_i += y_i (dy_i - sum_j dy_j y_j) */
#include "autograd/vmath.h"
#include "ops/kernel.h"

static void forward(const sp_call *c)
{
    long n = c->y.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *x = c->x[0].data + i * c->x[0].stride[0];
        sp_real *y = c->y.data + i * n;
        sp_real largest = sp_row_max(n, x);
        for (long j = 0; j < n; j++)
            y[j] = x[j] - largest;
        sp_vexp(n, y, y);
        sp_real inverse = 1 / sp_sum_run(n, y, 1);
        for (long j = 0; j < n; j++)
            y[j] *= inverse;
    }
}

static void backward(const sp_call *c)
{
    long n = c->y.shape.dim[1];
    for (long i = 0; i < c->y.shape.dim[0]; i++) {
        const sp_real *y = c->y.data + i * n, *dy = c->dy.data + i * n;
        sp_real *dx = c->dx[0].data + i * c->dx[0].stride[0];
        sp_real dot = 0;
        for (long j = 0; j < n; j++)
            dot += dy[j] * y[j];
        for (long j = 0; j < n; j++)
            dx[j] += y[j] * (dy[j] - dot);
    }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 5, (const double[]){ 5 }, SP_READS_Y);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_softmax(t, leaf[0]);
}

static sp_tensor *build_strided(sp_tape *t, sp_tensor **leaf)
{
    return sp_softmax(t, sp_transpose(t, leaf[0], 0, 2));
}

static const struct sp_probe probes[] = {
    { "matrix", { { { 2, { 3, 5 } }, -2, 2 } }, build },
    { "vector", { { { 1, { 6 } }, -2, 2 } }, build },
    { "strided", { { { 3, { 4, 2, 3 } }, -2, 2 } }, build_strided },
    { 0 }
};

const sp_op sp_op_softmax = { "softmax", SP_OP_ROWS | SP_OP_FREES_X, sp_infer_same, forward, backward, cost, probes };

sp_tensor *sp_softmax(sp_tape *t, sp_tensor *x)
{
    sp_tensor *rows = sp_as_rows(t, x);
    return sp_like_rows(t, sp_record(t, &sp_op_softmax, 1, &rows, NULL, 0), x);
}
