/* Attention against plain loops, its gradients, masks and memories. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "autograd/op.h"
#include "nn/attention.h"
#include "nn/init.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { Q = 4, M = 6, U = 5, MOST = 2000 };

static const struct {
    long n, length[6];
} lists[] = {
    { 3, { 2, 4, 1 } }, { 1, { 1 } }, { 1, { 5 } }, { 4, { 3, 3, 3, 3 } }, { 5, { 1, 1, 4, 2, 4 } },
};

enum { LISTS = sizeof lists / sizeof *lists };

static int kinds(void)
{
    int n = 0;
    while (sp_attention_kind(n))
        n++;
    return n;
}

static void noise(uint64_t place, long n, sp_real *x)
{
    sp_random_uniform((sp_key){ .seed = 3, .place = place }, n, x, -1, 1);
}

/* A model of one attention over the sequences of a list; queries for the steps of another. */
struct model {
    sp_store *store;
    sp_attention attention;
    sp_param *memory, *query, *queries, *coverage;
    int list, times;
    long steps;
};

static long rows_of(int list)
{
    long rows = 0;
    for (long i = 0; i < lists[list].n; i++)
        rows += lists[list].length[i];
    return rows;
}

/* The list whose sequences have the queries of one for all: of as many sequences, but other lengths. */
static long query_length(int list, long i)
{
    return 1 + (lists[list].length[i] + i) % 4;
}

static long query_rows(int list)
{
    long rows = 0;
    for (long i = 0; i < lists[list].n; i++)
        rows += query_length(list, i);
    return rows;
}

static sp_param *drawn(sp_store *s, sp_shape shape, const char *name, double low, double high)
{
    sp_param *p = sp_store_add(s, shape, "%s", name);
    sp_init_uniform(p, low, high);
    return p;
}

static bool equal_widths(int kind)
{
    return strstr(sp_attention_kind(kind), "dot") != NULL;
}

static struct model model_of(int kind, int list)
{
    struct model m = { .store = sp_store_new(5), .list = list };
    const long query = equal_widths(kind) ? M : Q;
    m.attention = sp_attention_make(m.store, sp_attention_kind(kind), "attention", query, M, U);
    for (int i = 0; i < sp_store_count(m.store); i++)
        sp_init_uniform(sp_store_at(m.store, i), -1, 1);
    m.memory = drawn(m.store, SP_SHAPE(rows_of(list), M), "memory", -1, 1);
    m.query = drawn(m.store, SP_SHAPE(lists[list].n, query), "query", -1, 1);
    m.queries = drawn(m.store, SP_SHAPE(query_rows(list), query), "queries", -1, 1);
    for (long i = 0; i < lists[list].n; i++)
        m.steps = lists[list].length[i] > m.steps ? lists[list].length[i] : m.steps;
    m.coverage = drawn(m.store, SP_SHAPE(lists[list].n, m.steps), "coverage", 0, 1);
    ck_assert_msg(sp_store_ok(m.store), "%s", sp_store_status(m.store)->message);
    return m;
}

static sp_memory memory_on(sp_tape *t, const struct model *m)
{
    return sp_memory_of(t, &m->attention, sp_seq_pack(t, sp_param_on(t, m->memory), lists[m->list].length, lists[m->list].n));
}

static sp_seq queries_on(sp_tape *t, const struct model *m)
{
    long length[6];
    for (long i = 0; i < lists[m->list].n; i++)
        length[i] = query_length(m->list, i);
    return sp_seq_pack(t, sp_param_on(t, m->queries), length, lists[m->list].n);
}

/* ---- plain loops ----------------------------------------------------------------------------------------------- */

static double at(const struct model *m, const char *name, long i)
{
    char full[64] = "attention.";
    return (double)sp_param_read(sp_store_find(m->store, strcat(full, name)))[i];
}

/* e of a place, from the formulas. */
static double naive_score(const struct model *m, const double *q, const double *place, double c)
{
    const sp_attention *a = &m->attention;
    double e = 0;
    if (!strcmp(a->kind, "general"))
        for (long i = 0; i < a->query; i++)
            for (long j = 0; j < M; j++)
                e += q[i] * at(m, "memory.weight", i * M + j) * place[j];
    else if (!strcmp(a->kind, "dot") || !strcmp(a->kind, "scaled-dot"))
        for (long j = 0; j < M; j++)
            e += q[j] * place[j] / (*a->kind == 's' ? sqrt((double)M) : 1);
    else
        for (long k = 0; k < U; k++) {
            double u = at(m, "memory.bias", k) + (*a->kind == 'c' ? c * at(m, "coverage", k) : 0);
            for (long j = 0; j < a->query; j++)
                u += at(m, "query.weight", k * a->query + j) * q[j];
            for (long j = 0; j < M; j++)
                u += at(m, "memory.weight", k * M + j) * place[j];
            e += at(m, "score", k) * tanh(u);
        }
    return e;
}

/* A query to sequence i -> context [M], weights [steps]. */
static void naive(const struct model *m, long i, const sp_real *query, const sp_real *coverage, double *context, double *weights)
{
    const long length = lists[m->list].length[i];
    double q[M], place[M], sum = 0;
    long first = 0;
    for (long k = 0; k < i; k++)
        first += lists[m->list].length[k];
    for (long j = 0; j < m->attention.query; j++)
        q[j] = (double)query[j];
    for (long j = 0; j < M; j++)
        context[j] = 0;
    for (long s = 0; s < m->steps; s++) {
        for (long j = 0; s < length && j < M; j++)
            place[j] = (double)sp_param_read(m->memory)[(first + s) * M + j];
        weights[s] = s < length ? exp(naive_score(m, q, place, (double)coverage[s])) : 0;
        sum += weights[s];
    }
    for (long s = 0; s < m->steps; s++) {
        weights[s] /= sum;
        for (long j = 0; s < length && j < M; j++)
            context[j] += weights[s] * (double)sp_param_read(m->memory)[(first + s) * M + j];
    }
}

static void check_row(const struct model *m, const double *context, const double *weights, const sp_real *got, const sp_real *a)
{
    const double tolerance = WIDE(1e-13, 3e-6);         /* a dozen roundings of numbers up to 3 */
    for (long j = 0; j < M; j++)
        ck_assert_double_eq_tol((double)got[j], context[j], tolerance);
    for (long s = 0; s < m->steps; s++) {
        ck_assert_double_eq_tol((double)a[s], weights[s], tolerance);
        ck_assert(weights[s] > 0 || a[s] == 0);         /* not only small */
    }
}

static void compare_values(int kind, int list)
{
    struct model m = model_of(kind, list);
    const sp_attention *a = &m.attention;
    const bool covers = a->coverage;
    double context[M], expected[16];
    sp_real got[MOST], w[MOST], moved[MOST];
    sp_tape *t = sp_tape_new(m.store);
    sp_memory memory = memory_on(t, &m);
    sp_tensor *weights, *coverage = sp_param_on(t, m.coverage);
    ck_assert_msg(sp_read(sp_attention_on(t, a, &memory, sp_param_on(t, m.query), &coverage, &weights), got), "%s", sp_error(t));
    ck_assert(sp_read(weights, w) && sp_read(coverage, moved));
    for (long i = 0; i < lists[list].n; i++) {
        const sp_real *before = sp_param_read(m.coverage) + i * m.steps;
        naive(&m, i, sp_param_read(m.query) + i * a->query, before, context, expected);
        check_row(&m, context, expected, got + i * M, w + i * m.steps);
        for (long s = 0; s < m.steps; s++)
            ck_assert_double_eq_tol((double)moved[i * m.steps + s], (double)before[s] + expected[s], WIDE(1e-13, 3e-6));
    }
    if (!covers) {                                      /* all at once */
        sp_seq out = sp_attention_on_seq(t, a, &memory, queries_on(t, &m), &weights);
        ck_assert_msg(sp_read(sp_seq_unpack(t, out), got), "%s", sp_error(t));
        ck_assert(sp_read(sp_seq_unpack(t, sp_seq_like(out, weights)), w));
        for (long i = 0, row = 0; i < lists[list].n; i++)
            for (long k = 0; k < query_length(list, i); k++, row++) {
                naive(&m, i, sp_param_read(m.queries) + row * a->query, sp_param_read(m.coverage), context, expected);
                check_row(&m, context, expected, got + row * M, w + row * m.steps);
            }
    }
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_store_free(m.store);
}

START_TEST(values)
{
    for (int list = 0; list < LISTS; list++)
        compare_values(_i, list);
}
END_TEST

/* [T,B,q] as a sequence, for a memory [T,B,m]: no ragged thing in sight. */
START_TEST(even_queries)
{
    sp_store *s = sp_store_new(1);
    sp_attention a = sp_attention_make(s, "additive", "a", Q, M, U);
    sp_real x[MOST], all[MOST], one[MOST], weights[2][MOST];
    noise(1, MOST, x);
    sp_tape *t = sp_tape_new(s);
    sp_memory memory = sp_memory_of(t, &a, sp_seq_of(t, sp_feed(t, x, SP_SHAPE(7, 3, M))));
    sp_tensor *queries = sp_feed(t, x + 300, SP_SHAPE(5, 3, Q)), *w;
    sp_seq out = sp_attention_on_seq(t, &a, &memory, sp_seq_of(t, queries), &w);
    ck_assert_msg(sp_read(sp_seq_tensor(t, out), all), "%s", sp_error(t));
    ck_assert(sp_read(w, weights[0]));
    for (long k = 0; k < 5; k++) {
        ck_assert(sp_read(sp_attention_on(t, &a, &memory, sp_index(t, queries, 0, k), NULL, &w), one) && sp_read(w, weights[1]));
        /* products of 3 rows and of 15 may be summed in another order */
        for (long i = 0; i < 3 * M; i++)
            ck_assert_double_eq_tol((double)one[i], (double)all[k * 3 * M + i], WIDE(1e-14, 1e-6));
        for (long i = 0; i < 3 * 7; i++)
            ck_assert_double_eq_tol((double)weights[1][i], (double)weights[0][k * 3 * 7 + i], WIDE(1e-14, 1e-6));
    }
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------------------------- */

static sp_tensor *weighed(sp_tape *t, sp_tensor *y)
{
    sp_real x[MOST];
    noise(9, sp_shape_size(sp_shape_get(y)), x);
    return sp_sum(t, sp_mul(t, y, sp_feed(t, x, sp_shape_get(y))), SP_ALL);
}

static sp_tensor *loss_once(sp_tape *t, void *context)
{
    const struct model *m = context;
    sp_memory memory = memory_on(t, m);
    sp_tensor *weights, *before = sp_param_on(t, m->coverage), *coverage = before;
    sp_tensor *y = sp_attention_on(t, &m->attention, &memory, sp_param_on(t, m->query), &coverage, &weights);
    sp_tensor *loss = sp_add(t, weighed(t, y), sp_scale(t, weighed(t, coverage), 2));
    return sp_add(t, loss, weighed(t, sp_coverage_loss(t, weights, before)));
}

static sp_tensor *loss_of_all(sp_tape *t, void *context)
{
    const struct model *m = context;
    sp_memory memory = memory_on(t, m);
    sp_tensor *weights;
    sp_seq y = sp_attention_on_seq(t, &m->attention, &memory, queries_on(t, m), &weights);
    return sp_add(t, weighed(t, y.rows), sp_scale(t, weighed(t, weights), 2));
}

static void check_gradients(struct model *m, sp_loss_fn loss)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(m->store, loss, m, 0, &r, &status), "%s", status.message);
    /* in float32 the differences may step over a kink of min(a, c): that it runs is all that is checked */
    ck_assert_msg(r.error < WIDE(1e-6, 2), "%s: at %s backward gives %.12g, differences %.12g", m->attention.kind, r.where,
                  r.backward, r.numeric);
    ck_assert_int_gt(r.checked, M);
}

START_TEST(gradients)
{
    for (int list = 0; list < LISTS; list++) {
        struct model m = model_of(_i, list);
        check_gradients(&m, loss_once);
        if (!m.attention.coverage)
            check_gradients(&m, loss_of_all);
        sp_store_free(m.store);
    }
}
END_TEST

/* ---- masks ----------------------------------------------------------------------------------------------------- */

/* The operation from others: scores, a number that is far below them where masked, softmax, a product. */
static sp_tensor *composed(sp_tape *t, sp_tensor **x, bool additive)
{
    const long batch = sp_dim(x[1], 0), places = sp_dim(x[1], 1), units = sp_dim(x[1], 2);
    sp_tensor *q = sp_reshape(t, x[0], SP_SHAPE(batch, 1, units)), *e = NULL;
    if (additive) {
        sp_tensor *c = sp_mul(t, sp_reshape(t, x[4], SP_SHAPE(batch, places, 1)), x[5]);
        sp_tensor *u = sp_tanh(t, sp_add(t, sp_add(t, x[1], q), c));
        e = sp_transpose(t, sp_matmul(t, u, sp_reshape(t, x[3], SP_SHAPE(units, 1))), 1, 2);
    } else {
        e = sp_matmul(t, q, sp_transpose(t, x[1], 1, 2));
    }
    e = sp_where(t, sp_reshape(t, x[6], SP_SHAPE(batch, 1, places)), e, sp_full(t, (sp_real)-1e30, SP_SCALAR));
    sp_tensor *a = sp_softmax(t, e), *context = sp_matmul(t, a, x[2]);
    return sp_concat(t, 2, (sp_tensor *[]){ sp_reshape(t, context, SP_SHAPE(batch, -1)), sp_reshape(t, a, SP_SHAPE(batch, places)) },
                     1);
}

/* sizes: batch, places, units, width */
static const long sizes[][4] = { { 3, 7, 5, 4 }, { 1, 1, 1, 1 }, { 2, 40, 300, 33 }, { 5, 17, 64, 128 }, { 1, 9, 257, 16 } };

/* The fast path and its slow twin, values and gradients; and what stands in masked places, NaN, is not looked at. */
START_TEST(twin)
{
    const long B = sizes[_i / 2][0], S = sizes[_i / 2][1], u = sizes[_i / 2][2], w = sizes[_i / 2][3], outputs = B * (w + S);
    const bool additive = _i % 2;
    const sp_shape shape[] = { SP_SHAPE(B, u), SP_SHAPE(B, S, u), SP_SHAPE(B, S, w), SP_SHAPE(u), SP_SHAPE(B, S), SP_SHAPE(u) };
    sp_real *result[2], *x[6], *mask = malloc((size_t)(B * S) * sizeof *mask);
    long n[6], all = outputs;
    for (int i = 0; i < 6; i++)
        all += n[i] = sp_shape_size(shape[i]);
    for (long i = 0; i < B * S; i++)
        mask[i] = i % S == 0 || (i * i + i / 3) % 5 < 3;
    for (int way = 0; way < 2; way++) {
        sp_tape *t = sp_tape_new(NULL);
        sp_tensor *in[7];
        sp_real *to = result[way] = malloc((size_t)all * sizeof *to);
        for (int i = 0; i < 6; i++) {
            x[i] = malloc((size_t)n[i] * sizeof *x[i]);
            noise((uint64_t)i, n[i], x[i]);
            for (long j = 0; way && (i == 1 || i == 2 || i == 4) && j < n[i]; j++)
                if (!mask[j / (n[i] / (B * S))])
                    x[i][j] = (sp_real)NAN;
            in[i] = sp_variable(t, x[i], shape[i]);
        }
        in[6] = sp_feed(t, mask, SP_SHAPE(B, S));
        sp_tensor *y = !way ? composed(t, in, additive)
                     : sp_attend(t, in[0], in[1], in[2], in[6], additive ? in[3] : NULL, additive ? in[4] : NULL,
                                 additive ? in[5] : NULL);
        sp_real *weight = malloc((size_t)outputs * sizeof *weight);
        noise(8, outputs, weight);
        ck_assert_msg(sp_backward(t, sp_sum(t, sp_mul(t, y, sp_feed(t, weight, SP_SHAPE(B, w + S))), SP_ALL)), "%s", sp_error(t));
        sp_read(y, to);
        to += outputs;
        for (int i = 0; i < 6; to += n[i++]) {
            sp_read_grad(in[i], to);
            free(x[i]);
        }
        free(weight);
        sp_tape_free(t);
    }
    for (long i = 0; i < all; i++)
        ck_each(fabs((double)(result[0][i] - result[1][i])) <= WIDE(1e-12, 2e-5) * (1 + fabs((double)result[0][i])),
                "%ld of %ld (%ld outputs): %.9g, %.9g", i, all, outputs, (double)result[0][i], (double)result[1][i]);
    for (long i = 0; i < B * S; i++)            /* exactly 0 */
        for (long j = 0; !mask[i] && j < u; j++)
            ck_each(result[1][outputs + n[0] + i * u + j] == 0, "a masked key has a gradient");
    free(result[0]);
    free(result[1]);
    free(mask);
}
END_TEST

/* Views of any strides in place of the numbers one after the other: keys, values, mask, coverage, score and weight turned round. */
START_TEST(strided)
{
    enum { B = 3, S = 4, N = 5, V = 2, ALL = 2 * B * S + B * N + B * S * N + B * S * V + 2 * N };
    const sp_shape shape[] = { SP_SHAPE(B, N), SP_SHAPE(B, S, N), SP_SHAPE(B, S, V), SP_SHAPE(N), SP_SHAPE(B, S), SP_SHAPE(N) };
    sp_real x[MOST], y[3][MOST], grad[3][ALL];
    const sp_real mask[B * S] = { 1, 0, 1, 1, 1, 1, 0, 1, 0, 0, 1, 1 };
    noise(1, MOST, x);
    for (int way = 0; way < 3; way++) {
        sp_tape *t = sp_tape_new(NULL);
        sp_tensor *leaf[6], *in[6], *seen = sp_feed(t, mask, SP_SHAPE(B, S));
        for (int i = 0, at = 0; i < 6; at += (int)sp_shape_size(shape[i++])) {
            leaf[i] = in[i] = sp_variable(t, x + at, shape[i]);
            if (way && shape[i].rank > way)
                in[i] = sp_transpose(t, sp_copy(t, sp_transpose(t, in[i], 0, way)), 0, way);
            if (way && shape[i].rank == 1)                              /* the first column of two */
                in[i] = sp_index(t, sp_concat(t, 2, (sp_tensor *[]){ sp_reshape(t, in[i], SP_SHAPE(N, 1)),
                                                                     sp_full(t, 9, SP_SHAPE(N, 1)) }, 1), 1, 0);
        }
        if (way)
            seen = sp_transpose(t, sp_copy(t, sp_transpose(t, seen, 0, 1)), 0, 1);
        sp_tensor *out = _i ? sp_attend(t, in[0], in[1], in[2], seen, in[3], in[4], in[5])
                            : sp_attend(t, in[0], in[1], in[2], seen, in[3], NULL, NULL);
        ck_assert_msg(sp_backward(t, weighed(t, out)) && sp_read(out, y[way]), "%s", sp_error(t));
        for (int i = 0, at = 0; i < 6; at += (int)sp_shape_size(shape[i++]))
            sp_read_grad(leaf[i], grad[way] + at);
        sp_tape_free(t);
    }
    for (int way = 1; way < 3; way++) {
        ck_same(y[way], y[0], B * (V + S));
        ck_same(grad[way], grad[0], B * N + B * S * N + B * S * V + N + (_i ? B * S + N : 0));
    }
}
END_TEST

/* Scores whose exponentials overflow, or all vanish: what counts is how far apart they are. */
START_TEST(far_scores)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real y[2 * 4];
    sp_tensor *keys = sp_feed(t, REALS(2000, 1999, 5000, -3000, -2999, 0), SP_SHAPE(2, 3, 1));
    sp_tensor *first = sp_feed(t, REALS(1, 0, 0, 1, 0, 0), SP_SHAPE(2, 3, 1));
    sp_tensor *mask = sp_feed(t, REALS(1, 1, 0, 1, 1, 0), SP_SHAPE(2, 3));
    ck_assert(sp_read(sp_attend(t, sp_full(t, 1, SP_SHAPE(2, 1)), keys, first, mask, NULL, NULL, NULL), y));
    const double more = 1 / (1 + exp(-1)), want[] = { more, more, 1 - more, 0, 1 - more, 1 - more, more, 0 };
    for (int i = 0; i < 8; i++)
        ck_assert_double_eq_tol((double)y[i], want[i], WIDE(1e-14, 1e-6));
    sp_tape_free(t);
}
END_TEST

/* Uniform in +-1 / sqrt(width of what they multiply) at first: within it, and near it. */
START_TEST(first_values)
{
    static const struct {
        const char *name;
        double in;
    } params[] = { { "a.query.weight", 30 }, { "a.memory.weight", 50 }, { "a.memory.bias", 50 }, { "a.score", 70 }, { "a.coverage", 70 } };
    sp_store *s = sp_store_new(1);
    sp_attention_make(s, "coverage", "a", 30, 50, 70);
    for (int i = 0; i < 5; i++) {
        const sp_param *p = sp_store_find(s, params[i].name);
        const double bound = 1 / sqrt(params[i].in);
        double low = 1, high = -1;
        for (long k = 0; k < sp_shape_size(p->shape); k++) {
            low = fmin(low, (double)sp_param_read(p)[k]);
            high = fmax(high, (double)sp_param_read(p)[k]);
        }
        ck_assert_msg(low >= -bound * 1.000001 && low < -0.8 * bound && high <= bound * 1.000001 && high > 0.8 * bound, "%s: %g to %g",
                      p->name, low, high);
    }
    sp_store_free(s);
}
END_TEST

/* ---- memories -------------------------------------------------------------------------------------------------- */

/* Rows chosen, some twice, see what they saw. */
START_TEST(chosen_rows)
{
    struct model m = model_of(_i, 0);
    const int row[] = { 1, 1, 2, 0, 1 };
    sp_real all[MOST], some[MOST];
    sp_tape *t = sp_tape_new(m.store);
    sp_memory memory = memory_on(t, &m), chosen = sp_memory_rows(t, &memory, row, 5);
    sp_tensor *query = sp_param_on(t, m.query), *coverage = sp_param_on(t, m.coverage);
    sp_tensor *few = sp_embedding(t, query, row, 5), *covered = sp_embedding(t, coverage, row, 5);
    ck_assert_msg(sp_read(sp_attention_on(t, &m.attention, &memory, query, &coverage, NULL), all), "%s", sp_error(t));
    ck_assert_msg(sp_read(sp_attention_on(t, &m.attention, &chosen, few, &covered, NULL), some), "%s", sp_error(t));
    for (int i = 0; i < 5; i++)
        ck_same(some + i * M, all + row[i] * M, M);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* No steps at all: nothing to see. */
START_TEST(empty)
{
    sp_store *s = sp_store_new(1);
    sp_attention a = sp_attention_make(s, "general", "a", Q, M, 0);
    sp_tape *t = sp_tape_new(s);
    sp_real y[2 * M];
    sp_memory memory = sp_memory_of(t, &a, sp_seq_of(t, sp_full(t, 1, SP_SHAPE(0, 2, M))));
    ck_assert_msg(sp_read(sp_attention_on(t, &a, &memory, sp_full(t, 1, SP_SHAPE(2, Q)), NULL, NULL), y), "%s", sp_error(t));
    for (int i = 0; i < 2 * M; i++)
        ck_assert(y[i] == 0);
    memory = sp_memory_of(t, &a, sp_seq_of(t, sp_full(t, 1, SP_SHAPE(3, 0, M))));
    sp_tensor *none = sp_attention_on(t, &a, &memory, sp_full(t, 1, SP_SHAPE(0, Q)), NULL, NULL);
    ck_assert(sp_ok(t) && sp_shape_equal(sp_shape_get(none), SP_SHAPE(0, M)));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    long query, memory, units;
    const char *error;
} declarations[] = {
    { "dott", 2, 2, 2, "a: attention 'dott' is none of: dot scaled-dot general additive coverage" },
    { NULL, 2, 2, 2, "a: attention 'NULL' is none of: dot scaled-dot general additive coverage" },
    { "dot", 2, 3, 0, "a: attention 'dot' of a query 2 wide on a memory 3 wide: they must be equal" },
    { "scaled-dot", 4, 3, 0, "a: attention 'scaled-dot' of a query 4 wide on a memory 3 wide: they must be equal" },
    { "general", 0, 3, 0, "a: attention of a query 0 wide on a memory 3 wide" },
    { "general", 3, -1, 0, "a: attention of a query 3 wide on a memory -1 wide" },
    { "additive", 3, 3, 0, "a: attention 'additive' of 0 units" },
    { "coverage", 3, 3, -2, "a: attention 'coverage' of -2 units" },
};

START_TEST(bad_declaration)
{
    sp_store *s = sp_store_new(1);
    sp_attention a = sp_attention_make(s, declarations[_i].kind, "a", declarations[_i].query, declarations[_i].memory,
                                       declarations[_i].units);
    ck_assert_str_eq(sp_store_status(s)->message, declarations[_i].error);
    ck_assert_ptr_null(a.kind);
    sp_store_free(s);
}
END_TEST

START_TEST(no_name)
{
    sp_store *s = sp_store_new(1);
    ck_assert_ptr_null(sp_attention_make(s, "general", NULL, 2, 2, 0).kind);
    ck_assert_str_eq(sp_store_status(s)->message, "attention: no name");
    sp_store_free(s);
}
END_TEST

/* What a call that fails gives is poison, the weights too. */
START_TEST(poison)
{
    sp_store *s = sp_store_new(1);
    sp_attention a = sp_attention_make(s, "general", "a", Q, M, 0);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *weights[2] = { NULL };
    ck_assert(!sp_sound(sp_attention_on(t, &a, NULL, sp_full(t, 0, SP_SHAPE(3, Q)), NULL, &weights[0])));
    sp_attention_on_seq(t, &a, NULL, sp_seq_of(t, sp_full(t, 0, SP_SHAPE(1, 3, Q))), &weights[1]);
    ck_assert(weights[0] && !sp_sound(weights[0]) && weights[1] && !sp_sound(weights[1]));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

static sp_tape *t;
static sp_attention general, coverage;
static sp_memory memory;

static sp_tensor *zeros(long a, long b) { return sp_full(t, 0, SP_SHAPE(a, b)); }
static sp_seq sequence(long steps, long batch, long width) { return sp_seq_of(t, sp_full(t, 0, SP_SHAPE(steps, batch, width))); }

static void memory_width(void)      { sp_memory_of(t, &general, sequence(2, 3, M + 1)); }
static void memory_nothing(void)    { sp_memory_of(t, &general, (sp_seq){ NULL, NULL }); }
static void memory_unmade(void)     { sp_memory_of(t, &(sp_attention){ 0 }, sequence(2, 3, M)); }
static void memory_null(void)       { sp_memory_of(t, NULL, sequence(2, 3, M)); }
static void memory_row(void)        { sp_memory_rows(t, &memory, (const int[]){ 0, 3 }, 2); }
static void sorted_batch(void)      { sp_memory_sorted(t, &memory, sequence(2, 4, 1).layout); }
static void sorted_null(void)       { sp_memory_sorted(t, NULL, sequence(2, 4, 1).layout); }
static void query_width(void)       { sp_attention_on(t, &general, &memory, zeros(3, Q + 1), NULL, NULL); }
static void query_batch(void)       { sp_attention_on(t, &general, &memory, zeros(4, Q), NULL, NULL); }
static void query_fewer(void)       { sp_attention_on(t, &general, &memory, zeros(2, Q), NULL, NULL); }
static void query_null(void)        { sp_attention_on(t, &general, &memory, NULL, NULL, NULL); }
static void no_memory(void)         { sp_attention_on(t, &general, NULL, zeros(3, Q), NULL, NULL); }
static void no_coverage(void)       { sp_attention_on(t, &coverage, &memory, zeros(3, Q), NULL, NULL); }
static void seq_width(void)         { sp_attention_on_seq(t, &general, &memory, sequence(2, 3, Q + 2), NULL); }
static void seq_batch(void)         { sp_attention_on_seq(t, &general, &memory, sequence(2, 4, Q), NULL); }
static void seq_nothing(void)       { sp_attention_on_seq(t, &general, &memory, (sp_seq){ NULL, NULL }, NULL); }

static void coverage_width(void)
{
    sp_tensor *c = zeros(3, 3);
    sp_attention_on(t, &coverage, &memory, zeros(3, Q), &c, NULL);
}

static void coverage_short(void)
{
    sp_tensor *c = sp_full(t, 0, SP_SHAPE(2));
    sp_attention_on(t, &general, &memory, zeros(3, Q), &c, NULL);
}

static void seq_layout(void)        { sp_attention_on_seq(t, &general, &memory, sp_seq_like(sequence(4, 3, Q), zeros(6, Q)), NULL); }
static void seq_rank(void)
{
    sp_attention_on_seq(t, &general, &memory, sp_seq_like(sequence(2, 3, Q), sp_full(t, 0, SP_SHAPE(6, Q, 1))), NULL);
}

static void key_width(void)
{
    const sp_memory odd = { .keys = sp_full(t, 0, SP_SHAPE(3, 2, Q + 1)), .values = memory.values, .mask = memory.mask };
    sp_attention_on(t, &general, &odd, zeros(3, Q), NULL, NULL);
}

static void no_mask(void)
{
    const sp_memory bare = { .keys = memory.keys, .values = memory.values };
    sp_attention_on(t, &general, &bare, zeros(3, Q), NULL, NULL);
}

static void mask_shape(void)
{
    const sp_memory odd = { .keys = memory.keys, .values = memory.values, .mask = zeros(3, 1) };
    sp_attention_on_seq(t, &general, &odd, sequence(2, 3, Q), NULL);
}

static void coverage_null(void)
{
    sp_tensor *c = NULL;
    sp_attention_on(t, &coverage, &memory, zeros(3, Q), &c, NULL);
}

static void coverage_seq(void)
{
    sp_memory own = sp_memory_of(t, &coverage, sequence(2, 3, M));
    sp_attention_on_seq(t, &coverage, &own, sequence(2, 3, Q), NULL);
}

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { memory_width, "attention: a memory of [6,7], not [6,6]" },
    { memory_nothing, "attention: no memory" },
    { memory_unmade, "attention: it is NULL, or was not made" },
    { memory_null, "attention: it is NULL, or was not made" },
    { memory_row, "embedding: id 3 at position 1 is not in 0..2" },
    { sorted_batch, "sequence: [3,2,6] does not have a row for each of 4 sequences" },
    { sorted_null, "attention: no memory" },
    { query_width, "attention 'general' of a query 4 wide on a memory 6 wide with keys 4 wide: the query is [3,5], the memory [3,2,6], "
                   "its keys [3,2,4], its mask [3,2]" },
    { query_batch, "sequence: [3,2,4] for the 4 rows of [4,4]" },
    { query_fewer, "sequence: [3,2,4] for the 2 rows of [2,4]; where sequences have different lengths it must be sorted: sp_seq_sorted" },
    { query_null, "attention: no query" },
    { no_memory, "attention: no memory" },
    { no_coverage, "attention 'coverage': no coverage; see sp_attention_on" },
    { coverage_width, "attention 'coverage': the coverage is [3,3], not [3,2]" },
    { coverage_null, "attention 'coverage': no coverage; see sp_attention_on" },
    { coverage_seq, "attention 'coverage': its queries come one after the other" },
    { seq_width, "attention 'general' of a query 4 wide on a memory 6 wide with keys 4 wide: the query is [6,6], the memory [3,2,6], "
                 "its keys [3,2,4], its mask [3,2]" },
    { seq_batch, "attention: queries of 4 sequences, a memory of 3" },
    { seq_nothing, "attention: no input" },
    { coverage_short, "attention 'general': the coverage is [2], not [3,2]" },
    { seq_layout, "attention: the rows are [6,4], but the layout has 12" },
    { seq_rank, "attention: the rows are [6,4,1], but the layout has 6" },
    { key_width, "attention 'general' of a query 4 wide on a memory 6 wide with keys 4 wide: the query is [3,4], the memory [3,2,6], "
                 "its keys [3,2,5], its mask [3,2]" },
    { no_mask, "attention: no mask in the memory" },
    { mask_shape, "attention 'general' of a query 4 wide on a memory 6 wide with keys 4 wide: the query is [6,4], the memory [3,2,6], "
                  "its keys [3,2,4], its mask [3,1]" },
};

START_TEST(bad_use)
{
    sp_store *s = sp_store_new(1);
    general = sp_attention_make(s, "general", "a", Q, M, 0);
    coverage = sp_attention_make(s, "coverage", "b", Q, M, Q);
    t = sp_tape_new(s);
    memory = sp_memory_of(t, &general, sequence(2, 3, M));
    ck_tape_ok(t);
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    ck_assert_ptr_null(sp_attention_on(NULL, &general, &memory, NULL, NULL, NULL));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("attention");
    TCase *c = tcase_create("attention");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, values, 0, kinds());
    tcase_add_test(c, even_queries);
    tcase_add_loop_test(c, gradients, 0, kinds());
    tcase_add_loop_test(c, twin, 0, 2 * (int)(sizeof sizes / sizeof *sizes));
    tcase_add_loop_test(c, strided, 0, 2);
    tcase_add_test(c, far_scores);
    tcase_add_test(c, first_values);
    tcase_add_loop_test(c, chosen_rows, 0, kinds());
    tcase_add_test(c, empty);
    suite_add_tcase(s, c);
    c = tcase_create("errors");
    tcase_add_loop_test(c, bad_declaration, 0, sizeof declarations / sizeof *declarations);
    tcase_add_test(c, no_name);
    tcase_add_test(c, poison);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(s, c);
    return s;
}
