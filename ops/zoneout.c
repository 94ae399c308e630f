/* y = m old + (1 - m) fresh, m = 1 with probability p, else 0; when not training m = p.   dold += m dy   dfresh += (1 - m) dy
   Saves m, [rows, n], which depends on what that of dropout depends on (ops/dropout.c).
   Source: Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017. */
#include "ops/kernel.h"

static double rate(const sp_call *c)
{
    return *(const double *)c->attr;
}

static bool infer(sp_call *c, sp_status *s)
{
    char a[SP_SHAPE_TEXT], b[SP_SHAPE_TEXT];
    const sp_shape old = c->x[0].shape, fresh = c->x[1].shape;
    if (!(rate(c) >= 0 && rate(c) < 1))
        return sp_fail(s, SP_ERR_VALUE, "the rate is %g, not in 0 <= p < 1", rate(c));
    if (!sp_shape_equal(old, fresh))
        return sp_fail(s, SP_ERR_SHAPE, "%s and %s differ", sp_shape_format(a, old), sp_shape_format(b, fresh));
    c->y.shape = c->saved.shape = old;
    return true;
}

/* A row of [rows,n], whose numbers have no gaps between them (sp_as_rows). */
static sp_real *row_of(const sp_view *v, long i)
{
    return v->data + i * v->stride[0];
}

static void forward(const sp_call *c)
{
    sp_random_mask(&c->key, c->saved.shape.dim[0], c->saved.shape.dim[1], rate(c), 1, 0, c->saved.data);
    for (long i = 0; i < c->saved.shape.dim[0]; i++) {
        const sp_real *old = row_of(&c->x[0], i), *fresh = row_of(&c->x[1], i), *m = row_of(&c->saved, i);
        sp_real *restrict y = row_of(&c->y, i);
        for (long j = 0; j < c->saved.shape.dim[1]; j++)
            y[j] = m[j] != 0 ? old[j] : fresh[j];
    }
}

static void backward(const sp_call *c)
{
    for (int k = 0; k < 2; k++)
        for (long i = 0; c->dx[k].data && i < c->saved.shape.dim[0]; i++) {
            const sp_real *dy = row_of(&c->dy, i), *m = row_of(&c->saved, i), own = k == 0;
            sp_real *restrict dx = row_of(&c->dx[k], i);
            for (long j = 0; j < c->saved.shape.dim[1]; j++)
                dx[j] += m[j] == own ? dy[j] : 0;
        }
}

static sp_cost cost(const sp_call *c, bool back)
{
    return sp_cost_each(c, back, 2, (const double[]){ 2, 3 }, SP_READS_SAVED);
}

static sp_tensor *build(sp_tape *t, sp_tensor **leaf)
{
    return sp_zoneout(t, leaf[0], leaf[1], 0.4);
}

static const struct sp_probe probes[] = {
    { "matrix", { { { 2, { 5, 7 } }, -1, 1 }, { { 2, { 5, 7 } }, -1, 1 } }, build },
    { "three axes", { { { 3, { 2, 3, 2 } }, -1, 1 }, { { 3, { 2, 3, 2 } }, -1, 1 } }, build },
    { 0 }
};

const sp_op sp_op_zoneout = {
    "zoneout", SP_OP_RANDOM | SP_OP_ROWS | SP_OP_FREES_X | SP_OP_FREES_Y,
    infer, forward, backward, cost, probes
};

sp_tensor *sp_zoneout(sp_tape *t, sp_tensor *old, sp_tensor *fresh, double p)
{
    if (sp_sound(old) && sp_sound(fresh) && sp_shape_equal(sp_shape_get(old), sp_shape_get(fresh))) {
        if (p == 0)
            return fresh;
        if (!sp_tape_training(t) && p > 0 && p < 1)
            return sp_lerp(t, fresh, old, sp_full(t, (sp_real)p, SP_SHAPE(1)));
    }
    sp_tensor *rows[] = { sp_as_rows(t, old), sp_as_rows(t, fresh) };
    return sp_like_rows(t, sp_record(t, &sp_op_zoneout, 2, rows, &p, sizeof p), old);
}
