/* With a = ar az an, b = br bz bn:  r = s(ar + br),  z = s(az + bz),  n = tanh(an + r bn),  y = (1 - z) n + z h.
   Saves r z n, [B,3H]. With k = dy (1 - z) (1 - n^2):
       dan = k   dbn = k r   dar = dbr = k bn (1 - r) r   daz = dbz = dy (h - n) (1 - z) z   dh = dy z
   Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, the reset after the product. */
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

static void forward(const sp_call *c)
{
    const long n = c->y.shape.dim[1];
    for (long row = 0; row < c->y.shape.dim[0]; row++) {
        const sp_real *a = c->x[0].data + row * c->x[0].stride[0], *b = c->x[1].data + row * c->x[1].stride[0];
        const sp_real *h = c->x[2].data + row * c->x[2].stride[0], *an = a + 2 * n, *bn = b + 2 * n;
        sp_real *r = c->saved.data + row * 3 * n, *z = r + n, *new = z + n, *y = c->y.data + row * n;
        for (long j = 0; j < 2 * n; j++)
            r[j] = a[j] + b[j];
        sp_vsigmoid(2 * n, r, r);
        for (long j = 0; j < n; j++)
            new[j] = an[j] + r[j] * bn[j];
        sp_vtanh(n, new, new);
        for (long j = 0; j < n; j++)
            y[j] = (1 - z[j]) * new[j] + z[j] * h[j];
    }
}

static void backward(const sp_call *c)
{
    const long n = c->y.shape.dim[1];
    for (long row = 0; row < c->y.shape.dim[0]; row++) {
        const sp_real *r = c->saved.data + row * 3 * n, *z = r + n, *new = z + n, *dy = c->dy.data + row * n;
        const sp_real *h = c->x[2].data + row * c->x[2].stride[0];
        const sp_real *bn = c->x[1].data + row * c->x[1].stride[0] + 2 * n;
        for (int x = 0; x < 2; x++) {
            if (!c->dx[x].data)
                continue;
            sp_real *restrict dr = c->dx[x].data + row * c->dx[x].stride[0];
            sp_real *restrict dz = dr + n, *restrict dn = dz + n;
            for (long j = 0; j < n; j++) {
                sp_real k = dy[j] * (1 - z[j]) * (1 - new[j] * new[j]);
                dr[j] += k * bn[j] * (1 - r[j]) * r[j];
                dz[j] += dy[j] * (h[j] - new[j]) * (1 - z[j]) * z[j];
                dn[j] += x == 0 ? k : k * r[j];
            }
        }
        if (c->dx[2].data) {
            sp_real *restrict dh = c->dx[2].data + row * c->dx[2].stride[0];
            for (long j = 0; j < n; j++)
                dh[j] += dy[j] * z[j];
        }
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

const sp_op sp_op_gru_gates = { "gru_gates", SP_OP_ROWS, infer, forward, backward, cost, probes };

sp_tensor *sp_gru_gates(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *h)
{
    sp_tensor *in[] = { sp_as_rows(t, a), sp_as_rows(t, b), sp_as_rows(t, h) };
    return sp_record(t, &sp_op_gru_gates, 3, in, NULL, 0);
}
