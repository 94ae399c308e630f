/* With i f g o = a + b:  c' = s(f) c + s(i) tanh(g),  h' = s(o) tanh(c'),  y = [h' c'].
   Saves s(i) s(f) tanh(g) s(o) tanh(c'), [B,5H]. With k = dc' + dh' s(o) (1 - tanh(c')^2):
       di = k g (1 - i) i   df = k c (1 - f) f   dg = k i (1 - g^2)   do = dh' tanh(c') (1 - o) o   dc = k f
   Source: Hochreiter, Schmidhuber, "Long short-term memory", 1997; the forget gate: Gers et al., 2000. */
#include "config.h"

#include "autograd/clones_inside.h"
#include "autograd/vmath.h"
#include "ops/kernel.h"

static bool infer(sp_call *c, sp_status *s)
{
    char a_text[SP_SHAPE_TEXT], b_text[SP_SHAPE_TEXT], c_text[SP_SHAPE_TEXT];
    sp_shape a = c->x[0].shape, b = c->x[1].shape, state = c->x[2].shape;
    if (state.rank != 2 || !sp_shape_equal(a, SP_SHAPE(state.dim[0], 4 * state.dim[1])) || !sp_shape_equal(a, b))
        return sp_fail(s, SP_ERR_SHAPE, "gates %s and %s with state %s: needs [B,4H], [B,4H] and [B,H]",
                       sp_shape_format(a_text, a), sp_shape_format(b_text, b), sp_shape_format(c_text, state));
    c->y.shape = SP_SHAPE(state.dim[0], 2 * state.dim[1]);
    c->saved.shape = SP_SHAPE(state.dim[0], 5 * state.dim[1]);
    return true;
}

/* i = a + b, the gates before their functions. */
SP_CLONES static void add_rows(long n, const sp_real *restrict a, const sp_real *restrict b, sp_real *restrict i)
{
    for (long j = 0; j < n; j++)
        i[j] = a[j] + b[j];
}

/* c' = f c + i g */
SP_CLONES static void new_state(long n, const sp_real *restrict i, const sp_real *restrict old, sp_real *restrict new)
{
    const sp_real *restrict f = i + n, *restrict g = f + n;
    for (long j = 0; j < n; j++)
        new[j] = f[j] * old[j] + i[j] * g[j];
}

/* h' = o tanh(c') */
SP_CLONES static void new_output(long n, const sp_real *restrict o, const sp_real *restrict tc, sp_real *restrict h)
{
    for (long j = 0; j < n; j++)
        h[j] = o[j] * tc[j];
}

static void forward(const sp_call *c)
{
    const long n = c->x[2].shape.dim[1];
    for (long r = 0; r < c->y.shape.dim[0]; r++) {
        const sp_real *a = c->x[0].data + r * c->x[0].stride[0], *b = c->x[1].data + r * c->x[1].stride[0];
        const sp_real *old = c->x[2].data + r * c->x[2].stride[0];
        sp_real *i = c->saved.data + r * 5 * n, *g = i + 2 * n, *o = g + n, *tc = o + n;
        sp_real *h = c->y.data + r * c->y.stride[0], *new = h + n;
        add_rows(4 * n, a, b, i);
        sp_vsigmoid(2 * n, i, i);
        sp_vtanh(n, g, g);
        sp_vsigmoid(n, o, o);
        new_state(n, i, old, new);
        sp_vtanh(n, new, tc);
        new_output(n, o, tc, h);
    }
}

/* One row: saved [5n], c [n], dy [2n] -> da [4n], which is db as well: a and b enter as their sum. */
SP_CLONES static void row_gates(long n, const sp_real *restrict i, const sp_real *restrict old, const sp_real *restrict dh,
                                sp_real *restrict da)
{
    const sp_real *restrict f = i + n, *restrict g = f + n, *restrict o = g + n, *restrict tc = o + n;
    const sp_real *restrict dnew = dh + n;
    sp_real *restrict df = da + n, *restrict dg = df + n, *restrict d_o = dg + n;
    for (long j = 0; j < n; j++) {
        sp_real k = dnew[j] + dh[j] * o[j] * (1 - tc[j] * tc[j]);
        da[j] += k * g[j] * (1 - i[j]) * i[j];
        df[j] += k * old[j] * (1 - f[j]) * f[j];
        dg[j] += k * i[j] * (1 - g[j] * g[j]);
        d_o[j] += dh[j] * tc[j] * (1 - o[j]) * o[j];
    }
}

SP_CLONES static void row_state(long n, const sp_real *restrict i, const sp_real *restrict dh, sp_real *restrict dc)
{
    const sp_real *restrict f = i + n, *restrict o = i + 3 * n, *restrict tc = o + n, *restrict dnew = dh + n;
    for (long j = 0; j < n; j++)
        dc[j] += (dnew[j] + dh[j] * o[j] * (1 - tc[j] * tc[j])) * f[j];
}

static void backward(const sp_call *c)
{
    const long n = c->x[2].shape.dim[1];
    for (long r = 0; r < c->y.shape.dim[0]; r++) {
        const sp_real *saved = c->saved.data + r * 5 * n, *dy = c->dy.data + r * c->dy.stride[0];
        for (int i = 0; i < 2; i++)
            if (c->dx[i].data)
                row_gates(n, saved, c->x[2].data + r * c->x[2].stride[0], dy, c->dx[i].data + r * c->dx[i].stride[0]);
        if (c->dx[2].data)
            row_state(n, saved, dy, c->dx[2].data + r * c->dx[2].stride[0]);
    }
}

/* For each element of the state; the second of da and db only adds what the first computed. */
static sp_cost cost(const sp_call *c, bool back)
{
    const double n = sp_elements(&c->x[2]);
    const bool da = c->dx[0].data, db = c->dx[1].data, dc = c->dx[2].data;
    const double flops = !back ? 13 : (da || db ? 25 : 0) + (da && db ? 4 : 0) + (dc ? 7 : 0);
    return sp_cost_of(c, back, flops * n, n + sp_elements(&c->saved));
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    sp_tensor *y = sp_lstm_gates(t, leaf[0], leaf[1], leaf[2]);
    return sp_mul(t, y, y);
}

static const struct sp_probe probes[] = {
    { "cell", { { { 2, { 2, 12 } }, -1, 1 }, { { 2, { 2, 12 } }, -1, 1 }, { { 2, { 2, 3 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_lstm_gates = {
    "lstm_gates", SP_OP_ROWS | SP_OP_SUM | SP_OP_FREES | SP_OP_FREES << 1 | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_lstm_gates(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *c)
{
    sp_tensor *in[] = { sp_as_rows(t, a), sp_as_rows(t, b), sp_as_rows(t, c) };
    return sp_record(t, &sp_op_lstm_gates, 3, in, NULL, 0);
}
