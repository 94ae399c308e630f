/* With a = ar az an, b = br bz bn:  r = s(ar + br),  z = s(az + bz),  n = tanh(an + r bn),  y = (1 - z) n + z h.
   Saves r z n, [B,3H]. With k = dy (1 - z) (1 - n^2):
       dan = k   dbn = k r   dar = dbr = k bn (1 - r) r   daz = dbz = dy (h - n) (1 - z) z   dh = dy z
   Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, the reset after the product. */
#include "config.h"

#include "autograd/clones_inside.h"
#include "autograd/vmath.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char a_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT], h_text[SP_SHAPE_TEXT];
    sp_shape a = c->x[0].shape, b = c->x[1].shape, h = c->x[2].shape;
    if (h.rank != 2 || !sp_shape_equal(a, SP_SHAPE(h.dim[0], 3 * h.dim[1])) || !sp_shape_equal(a, b))
        return sp_fail(s, SP_ERR_SHAPE, "gates %s and %s with state %s: needs [B,3H], [B,3H] and [B,H]",
                       sp_shape_format(a_text, a), sp_shape_format(b_text, b), sp_shape_format(h_text, h));
    c->y.shape = h;
    c->saved.shape = a;
    return true;
}

/* One row: a, b [3n], h [n] -> saved r z n [3n], y [n]. */
SP_CLONES static void forward_row(long n, const sp_real *restrict a, const sp_real *restrict b, const sp_real *restrict h,
                                  sp_real *restrict r, sp_real *restrict y)
{
    const sp_real *restrict an = a + 2 * n, *restrict bn = b + 2 * n, *z = r + n;
    sp_real *new = r + 2 * n;
    for (long j = 0; j < 2 * n; j++)
        r[j] = a[j] + b[j];
    sp_vsigmoid(2 * n, r, r);
    for (long j = 0; j < n; j++)
        new[j] = an[j] + r[j] * bn[j];
    sp_vtanh(n, new, new);
    for (long j = 0; j < n; j++)
        y[j] = (1 - z[j]) * new[j] + z[j] * h[j];
}

static void forward(const sp_call *c)
{
    const long n = c->y.shape.dim[1];
    for (long row = 0; row < c->y.shape.dim[0]; row++)
        forward_row(n, c->x[0].data + row * c->x[0].stride[0], c->x[1].data + row * c->x[1].stride[0],
                    c->x[2].data + row * c->x[2].stride[0], c->saved.data + row * 3 * n, c->y.data + row * n);
}

/* One row: saved [3n], bn, h, dy [n] -> da [3n]; or, with `reset`, db. */
SP_CLONES static void row_gates(long n, bool reset, const sp_real *restrict r, const sp_real *restrict bn,
                                const sp_real *restrict h, const sp_real *restrict dy, sp_real *restrict dr)
{
    const sp_real *restrict z = r + n, *restrict new = z + n;
    sp_real *restrict dz = dr + n, *restrict dn = dz + n;
    for (long j = 0; j < n; j++) {
        sp_real k = dy[j] * (1 - z[j]) * (1 - new[j] * new[j]);
        dr[j] += k * bn[j] * (1 - r[j]) * r[j];
        dz[j] += dy[j] * (h[j] - new[j]) * (1 - z[j]) * z[j];
        dn[j] += k * (reset ? r[j] : 1);
    }
}

SP_CLONES static void row_state(long n, const sp_real *restrict z, const sp_real *restrict dy, sp_real *restrict dh)
{
    for (long j = 0; j < n; j++)
        dh[j] += dy[j] * z[j];
}

static void backward(const sp_call *c)
{
    const long n = c->y.shape.dim[1];
    for (long row = 0; row < c->y.shape.dim[0]; row++) {
        const sp_real *r = c->saved.data + row * 3 * n, *dy = c->dy.data + row * n;
        for (int x = 0; x < 2; x++)
            if (c->dx[x].data)
                row_gates(n, x == 1, r, c->x[1].data + row * c->x[1].stride[0] + 2 * n,
                          c->x[2].data + row * c->x[2].stride[0], dy, c->dx[x].data + row * c->dx[x].stride[0]);
        if (c->dx[2].data)
            row_state(n, r + n, dy, c->dx[2].data + row * c->dx[2].stride[0]);
    }
}

/* Backward reads h, bn and what was saved. */
static sp_cost cost(const sp_call *c, bool back)
{
    const double n = sp_elements(&c->y);
    const double wanted = (c->dx[0].data ? 17 : 0) + (c->dx[1].data ? 18 : 0) + (c->dx[2].data ? 2 : 0);
    return sp_cost_of(c, back, (back ? wanted : 11) * n, 2 * n + sp_elements(&c->saved));
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_gru_gates(t, leaf[0], leaf[1], leaf[2]);
}

static const struct sp_probe probes[] = {
    { "cell", { { { 2, { 2, 9 } }, -1, 1 }, { { 2, { 2, 9 } }, -1, 1 }, { { 2, { 2, 3 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_gru_gates = {
    "gru_gates", SP_OP_ROWS | SP_OP_FREES | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_gru_gates(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *h)
{
    sp_tensor *in[] = { sp_as_rows(t, a), sp_as_rows(t, b), sp_as_rows(t, h) };
    return sp_record(t, &sp_op_gru_gates, 3, in, NULL, 0);
}
