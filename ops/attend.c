/* What a query reads out of a memory of S places: y = [context a].
       e_s = q . k_s                                       (dot)
       e_s = sum_j v_j tanh(q_j + k_sj)                    (additive: with v)
       e_s = sum_j v_j tanh(q_j + k_sj + c_s w_j)          (with coverage c as well)
       a_s = m_s e^(e_s - max e) / sum_r m_r e^(e_r - max e),  m_s = 0 or 1
       context = sum_s a_s values_s
   With g the gradient of the context and h that of a:
       dvalues_s += a_s g          f_s = a_s (h_s + g . values_s - g . context - h . a)
       dq += f_s k_s   dk_s += f_s q                                                           (dot)
       with u = tanh(...), p = f_s v (1 - u^2):   dq += p   dk_s += p   dv += f_s u   dc_s += p . w   dw += c_s p
   A place with m_s = 0 is not looked at, and neither is one of weight 0 on the way back. A row all of whose places have
   m_s = 0 gets zeros. Nothing is saved: u is computed again, which takes less time than memory for all time steps.
   Sources: Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and translate", 2015; Luong,
   Pham, Manning, "Effective approaches to attention-based neural machine translation", 2015; coverage: Tu et al., "Modeling
   coverage for neural machine translation", 2016. */
#include <string.h>

#include "config.h"

#include "autograd/clones_inside.h"
#include "autograd/vmath.h"
#include "ops/kernel.h"

enum { QUERY, KEYS, VALUES, MASK, SCORE, COVERAGE, WEIGHT };

/* query [B,u] or [B,T,u], of which each row is a query of its own; keys [B,S,u]; values [B,S,w]; mask [B,S] or [B,1,S];
   score v [u]; coverage [B,S]; weight w [u] */
static bool infer(sp_call *c, sp_status *s)
{
    char q_text[SP_SHAPE_TEXT], k_text[SP_SHAPE_TEXT], v_text[SP_SHAPE_TEXT], m_text[SP_SHAPE_TEXT];
    const sp_shape q = c->x[QUERY].shape, k = c->x[KEYS].shape, v = c->x[VALUES].shape, m = c->x[MASK].shape;
    if ((q.rank != 2 && q.rank != 3) || k.rank != 3 || v.rank != 3 || m.rank != q.rank || k.dim[0] != q.dim[0]
        || v.dim[0] != q.dim[0] || k.dim[2] != q.dim[q.rank - 1] || v.dim[1] != k.dim[1] || m.dim[0] != q.dim[0]
        || m.dim[m.rank - 1] != k.dim[1] || (m.rank == 3 && m.dim[1] != 1))
        return sp_fail(s, SP_ERR_SHAPE, "query %s, keys %s, values %s, mask %s: needs [B,u], [B,S,u], [B,S,w], [B,S], or "
                       "[B,T,u] and [B,1,S]", sp_shape_format(q_text, q), sp_shape_format(k_text, k), sp_shape_format(v_text, v),
                       sp_shape_format(m_text, m));
    for (int i = SCORE; i < c->inputs; i++)
        if (i != COVERAGE && !sp_shape_equal(c->x[i].shape, SP_SHAPE(k.dim[2])))
            return sp_fail(s, SP_ERR_SHAPE, "%s %s for keys %s: needs [%ld]", i == SCORE ? "score" : "weight",
                           sp_shape_format(v_text, c->x[i].shape), sp_shape_format(k_text, k), k.dim[2]);
    if (c->inputs > COVERAGE && (q.rank != 2 || !sp_shape_equal(c->x[COVERAGE].shape, m)))
        return sp_fail(s, SP_ERR_SHAPE, "coverage %s, query %s, mask %s: needs [B,S], [B,u], [B,S]",
                       sp_shape_format(v_text, c->x[COVERAGE].shape), sp_shape_format(q_text, q), sp_shape_format(m_text, m));
    c->y.shape = q;
    c->y.shape.dim[q.rank - 1] = v.dim[2] + k.dim[1];
    return true;
}

/* ---- runs of numbers ------------------------------------------------------------------------------------------- */

enum { LANES = 16, TILE = 256 };

SP_CLONES static sp_real dot(long n, const sp_real *restrict a, const sp_real *restrict b)
{
    sp_real lane[LANES] = { 0 };
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        lane[i % LANES] += a[i] * b[i];
    for (int width = LANES / 2; width; width /= 2)
        for (int k = 0; k < width; k++)
            lane[k] += lane[k + width];
    return lane[0];
}

/* y += f x */
SP_CLONES static void add_scaled(long n, sp_real f, const sp_real *restrict x, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] += f * x[i];
}

/* u = q + k, or q + k + c w */
SP_CLONES static void add_two(long n, const sp_real *restrict q, const sp_real *restrict k, sp_real *restrict u)
{
    for (long i = 0; i < n; i++)
        u[i] = q[i] + k[i];
}

SP_CLONES static void add_three(long n, const sp_real *restrict q, const sp_real *restrict k, sp_real c,
                                const sp_real *restrict w, sp_real *restrict u)
{
    for (long i = 0; i < n; i++)
        u[i] = q[i] + k[i] + c * w[i];
}

/* p = f v (1 - u^2) */
SP_CLONES static void through_tanh(long n, sp_real f, const sp_real *restrict v, const sp_real *restrict u, sp_real *restrict p)
{
    for (long i = 0; i < n; i++)
        p[i] = f * v[i] * (1 - u[i] * u[i]);
}

/* ---- one query ------------------------------------------------------------------------------------------------- */

/* One query of one row of the batch; dq, dk, ... are NULL where no gradient is wanted. */
struct query {
    long places, units, width;
    const sp_real *q, *k, *values, *mask, *v, *c, *w;   /* v, c, w NULL: not there */
    long k_step, value_step, mask_step, c_step;         /* from place to place */
    const sp_real *context, *a, *dcontext, *da;         /* of y and dy */
    sp_real *dq, *dk, *dvalues, *dv, *dc, *dw;
};

static sp_real *row(const sp_view *v, long b)
{
    return v->data ? v->data + b * v->stride[0] : NULL;
}

static struct query query_of(const sp_call *c, long b, long i)
{
    const bool many = c->x[QUERY].shape.rank == 3, score = c->inputs > SCORE, covers = c->inputs > COVERAGE;
    const sp_view *x = c->x, *dx = c->dx;
    struct query q = { .places = x[KEYS].shape.dim[1], .units = x[KEYS].shape.dim[2], .width = x[VALUES].shape.dim[2] };
    const long q_at = many ? i * x[QUERY].stride[1] : 0, y_at = many ? i * c->y.stride[1] : 0;
    const long dy_at = many ? i * c->dy.stride[1] : 0;
    q.q = row(&x[QUERY], b) + q_at;
    q.k = row(&x[KEYS], b), q.k_step = x[KEYS].stride[1];
    q.values = row(&x[VALUES], b), q.value_step = x[VALUES].stride[1];
    q.mask = row(&x[MASK], b), q.mask_step = x[MASK].stride[many ? 2 : 1];
    q.v = score ? x[SCORE].data : NULL;
    q.c = covers ? row(&x[COVERAGE], b) : NULL, q.c_step = covers ? x[COVERAGE].stride[1] : 0;
    q.w = covers ? x[WEIGHT].data : NULL;
    q.context = row(&c->y, b) + y_at, q.a = q.context + q.width;
    q.dcontext = row(&c->dy, b), q.dcontext = q.dcontext ? q.dcontext + dy_at : NULL;
    q.da = q.dcontext ? q.dcontext + q.width : NULL;
    q.dq = row(&dx[QUERY], b), q.dq = q.dq ? q.dq + q_at : NULL;
    q.dk = row(&dx[KEYS], b);
    q.dvalues = row(&dx[VALUES], b);
    q.dv = score ? dx[SCORE].data : NULL;
    q.dc = covers ? row(&dx[COVERAGE], b) : NULL;
    q.dw = covers ? dx[WEIGHT].data : NULL;
    return q;
}

/* u = tanh(q + k_s + c_s w) of so many units from one on */
static void hidden(const struct query *q, long s, long from, long n, sp_real *u)
{
    const sp_real *k = q->k + s * q->k_step + from;
    if (q->c)
        add_three(n, q->q + from, k, q->c[s * q->c_step], q->w + from, u);
    else
        add_two(n, q->q + from, k, u);
    sp_vtanh(n, u, u);
}

static long tile(long left)
{
    return left < TILE ? left : TILE;
}

static sp_real score(const struct query *q, long s)
{
    sp_real u[TILE], e = 0;
    if (!q->v)
        return dot(q->units, q->q, q->k + s * q->k_step);
    for (long at = 0; at < q->units; at += TILE) {
        const long n = tile(q->units - at);
        hidden(q, s, at, n, u);
        e += dot(n, q->v + at, u);
    }
    return e;
}

static void forward(const sp_call *c)
{
    const bool many = c->y.shape.rank == 3;
    for (long b = 0; b < c->y.shape.dim[0]; b++)
        for (long i = 0; i < (many ? c->y.shape.dim[1] : 1); i++) {
            sp_real *context = row(&c->y, b) + (many ? i * c->y.stride[1] : 0);
            const struct query q = query_of(c, b, i);
            sp_real *a = context + q.width;
            memset(context, 0, (size_t)(q.width + q.places) * sizeof *context);
            for (long s = 0; s < q.places; s++)
                if (q.mask[s * q.mask_step] != 0)
                    a[s] = score(&q, s);
            sp_masked_softmax_row(q.places, a, q.mask, q.mask_step);
            for (long s = 0; s < q.places; s++)
                if (q.mask[s * q.mask_step] != 0)
                    add_scaled(q.width, q.a[s], q.values + s * q.value_step, context);
        }
}

/* The way back through the score of a place, whose gradient is f. */
static void back_score(const struct query *q, long s, sp_real f)
{
    sp_real u[TILE], p[TILE];
    if (!q->v) {
        if (q->dq)
            add_scaled(q->units, f, q->k + s * q->k_step, q->dq);
        if (q->dk)
            add_scaled(q->units, f, q->q, q->dk + s * q->k_step);
        return;
    }
    for (long at = 0; at < q->units; at += TILE) {
        const long n = tile(q->units - at);
        hidden(q, s, at, n, u);
        through_tanh(n, f, q->v + at, u, p);
        if (q->dq)
            sp_add_run(n, p, q->dq + at);
        if (q->dk)
            sp_add_run(n, p, q->dk + s * q->k_step + at);
        if (q->dv)
            add_scaled(n, f, u, q->dv + at);
        if (q->dc)
            q->dc[s * q->c_step] += dot(n, p, q->w + at);
        if (q->dw)
            add_scaled(n, q->c[s * q->c_step], p, q->dw + at);
    }
}

static void backward(const sp_call *c)
{
    const bool many = c->y.shape.rank == 3;
    for (long b = 0; b < c->y.shape.dim[0]; b++)
        for (long i = 0; i < (many ? c->y.shape.dim[1] : 1); i++) {
            const struct query q = query_of(c, b, i);
            const sp_real mean = dot(q.width, q.dcontext, q.context) + dot(q.places, q.da, q.a);
            const bool scores = q.dq || q.dk || q.dv || q.dc || q.dw;
            for (long s = 0; s < q.places; s++) {
                if (q.a[s] == 0)
                    continue;
                if (scores)
                    back_score(&q, s, q.a[s] * (q.da[s] + dot(q.width, q.dcontext, q.values + s * q.value_step) - mean));
                if (q.dvalues)
                    add_scaled(q.width, q.a[s], q.dcontext, q.dvalues + s * q.value_step);
            }
        }
}

/* A tanh is counted as 10 operations, as elsewhere an exponential with what belongs to it. */
static sp_cost cost(const sp_call *c, bool back)
{
    const sp_shape k = c->x[KEYS].shape;
    const double queries = sp_elements(&c->x[QUERY]) / (double)(k.dim[2] ? k.dim[2] : 1);
    const double units = (double)k.dim[2], width = (double)c->x[VALUES].shape.dim[2];
    const bool additive = c->inputs > SCORE;
    double each = (additive ? 13 : 2) * units + 2 * width + 5, read = 0;
    if (back) {
        each = 5 + 2 * width + (c->dx[VALUES].data ? 2 * width : 0) + (additive ? 15 : 0) * units;
        for (int i = 0; i < c->inputs; i++) {
            each += c->dx[i].data && i != VALUES && i != MASK ? 2 * units : 0;
            read += i == MASK ? 0 : sp_elements(&c->x[i]);
        }
        read += sp_elements(&c->y);
    }
    return sp_cost_of(c, back, each * queries * (double)k.dim[1], read);
}

/* ---------------------------------------------------------------------------------------------------------------- */

static sp_tensor *mask(sp_tape *t)
{
    return sp_feed(t, (const sp_real[]){ 1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1 }, SP_SHAPE(3, 4));
}

static sp_tensor *build_dot(sp_tape *t, sp_tensor **leaf)
{
    return sp_attend(t, leaf[0], leaf[1], leaf[2], mask(t), NULL, NULL, NULL);
}

static sp_tensor *build_additive(sp_tape *t, sp_tensor **leaf)
{
    return sp_attend(t, leaf[0], leaf[1], leaf[2], mask(t), leaf[3], NULL, NULL);
}

/* Keys and values are the same. */
static sp_tensor *build_covering(sp_tape *t, sp_tensor **leaf)
{
    return sp_attend(t, leaf[0], leaf[1], leaf[1], mask(t), leaf[2], leaf[3], leaf[4]);
}

static sp_tensor *build_transposed(sp_tape *t, sp_tensor **leaf)
{
    return sp_attend(t, sp_transpose(t, leaf[0], 0, 1), sp_transpose(t, leaf[1], 0, 2), sp_transpose(t, leaf[2], 0, 1), mask(t),
                     NULL, NULL, NULL);
}

static const struct sp_probe probes[] = {
    { "dot", { { { 2, { 3, 5 } }, -1, 1 }, { { 3, { 3, 4, 5 } }, -1, 1 }, { { 3, { 3, 4, 2 } }, -1, 1 } }, build_dot },
    { "dot, several queries", { { { 3, { 3, 2, 5 } }, -1, 1 }, { { 3, { 3, 4, 5 } }, -1, 1 }, { { 3, { 3, 4, 2 } }, -1, 1 } },
      build_dot },
    { "additive", { { { 2, { 3, 5 } }, -1, 1 }, { { 3, { 3, 4, 5 } }, -1, 1 }, { { 3, { 3, 4, 2 } }, -1, 1 },
      { { 1, { 5 } }, -1, 1 } }, build_additive },
    { "additive, several queries", { { { 3, { 3, 2, 5 } }, -1, 1 }, { { 3, { 3, 4, 5 } }, -1, 1 },
      { { 3, { 3, 4, 2 } }, -1, 1 }, { { 1, { 5 } }, -1, 1 } }, build_additive },
    { "additive, wide", { { { 2, { 3, 260 } }, -1, 1 }, { { 3, { 3, 4, 260 } }, -1, 1 }, { { 3, { 3, 4, 2 } }, -1, 1 },
      { { 1, { 260 } }, -0.2, 0.2 } }, build_additive },
    { "coverage", { { { 2, { 3, 5 } }, -1, 1 }, { { 3, { 3, 4, 5 } }, -1, 1 }, { { 1, { 5 } }, -1, 1 },
      { { 2, { 3, 4 } }, 0, 2 }, { { 1, { 5 } }, -1, 1 } }, build_covering },
    { "transposed", { { { 2, { 5, 3 } }, -1, 1 }, { { 3, { 5, 4, 3 } }, -1, 1 }, { { 3, { 4, 3, 2 } }, -1, 1 } },
      build_transposed },
    { 0 }
};

const sp_op sp_op_attend = {
    "attend", SP_OP_ROWS | SP_OP_FREES << MASK,
    infer, forward, backward, cost, probes
};

/* x with numbers side by side along the last axis. */
static sp_tensor *dense(sp_tape *t, sp_tensor *x)
{
    const int last = sp_shape_get(x).rank - 1;
    return sp_sound(x) && last >= 0 && x->view.stride[last] != 1 ? sp_copy(t, x) : x;
}

sp_tensor *sp_attend(sp_tape *t, sp_tensor *query, sp_tensor *keys, sp_tensor *values, sp_tensor *mask, sp_tensor *score,
                     sp_tensor *coverage, sp_tensor *weight)
{
    const sp_shape m = sp_shape_get(mask);
    if ((coverage || weight) && !(score && coverage && weight))
        return sp_tape_fail(t, SP_ERR_VALUE, "attend: coverage needs a score and a weight, and a weight needs coverage");
    if (sp_shape_get(query).rank == 3 && m.rank == 2)
        mask = sp_reshape(t, mask, SP_SHAPE(m.dim[0], 1, m.dim[1]));
    sp_tensor *in[] = { dense(t, query), dense(t, keys), dense(t, values), mask, score ? dense(t, score) : NULL, coverage,
                        weight ? dense(t, weight) : NULL };
    return sp_record(t, &sp_op_attend, coverage ? 7 : score ? 5 : 4, in, NULL, 0);
}
