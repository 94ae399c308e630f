/* Multi-head attention against PyTorch's numbers and plain loops; masks, sequences, and as a part of a step. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/init.h"
#include "nn/multihead.h"
#include "nn/scan.h"
#include "nn/weight_drop.h"
#include "ops/ops.h"
#include "tests/golden.h"
#include "tests/suite.h"

enum { E = 6, HEADS = 2, D = E / HEADS, MOST = 4000 };

static void noise(uint64_t place, long n, sp_real *x)
{
    sp_random_uniform((sp_key){ .seed = 3, .place = place }, n, x, -1, 1);
}

static sp_tensor *weighed(sp_tape *t, sp_tensor *y)
{
    sp_real x[MOST];
    noise(9, sp_shape_size(sp_shape_get(y)), x);
    return sp_sum(t, sp_mul(t, y, sp_feed(t, x, sp_shape_get(y))), SP_ALL);
}

/* ---- PyTorch's numbers ----------------------------------------------------------------------------------------- */

static void read_multihead(struct golden *g)
{
    sp_store *s = sp_store_new(1);
    const long embed = golden_count(g, "embed"), kdim = golden_count(g, "kdim"), vdim = golden_count(g, "vdim");
    sp_multihead m = sp_multihead_make_of(s, "m", embed, kdim, vdim, (int)golden_count(g, "heads"), 0);
    ck_assert_msg(sp_store_ok(s), "%s", sp_store_status(s)->message);
    golden_params(g, s);
    sp_tape *t = sp_tape_new(s);
    const bool itself = !golden_has(g, "key");
    sp_tensor *query = golden_variable(g, t, "query"), *weights, *mask = NULL;
    sp_tensor *key = itself ? query : golden_variable(g, t, "key"), *value = itself ? query : golden_variable(g, t, "value");
    if (golden_has(g, "length"))
        mask = sp_length_mask(t, golden_longs(g, "length"), sp_dim(key, 0), sp_dim(key, 1));
    sp_tensor *y = sp_multihead_on(t, &m, query, key, value, mask, golden_count(g, "causal"), &weights);
    ck_tape_ok(t);
    golden_same(g, "y", y);
    golden_same(g, "weights", weights);
    golden_same(g, "mean", sp_mean(t, weights, 1));
    sp_tensor *loss = sp_sum(t, sp_mul(t, y, golden_constant(g, t, "dy")), SP_ALL);
    loss = sp_add(t, loss, sp_sum(t, sp_mul(t, weights, golden_constant(g, t, "dweights")), SP_ALL));
    ck_assert_msg(sp_backward(t, loss), "%s", sp_error(t));
    golden_same_gradient(g, "dquery", query);
    if (!itself) {
        golden_same_gradient(g, "dkey", key);
        golden_same_gradient(g, "dvalue", value);
    }
    golden_same_gradients(g, t);
    sp_tape_free(t);
    sp_store_free(s);
}

START_TEST(golden)
{
    golden_each("attention", (const struct golden_reader[]){ { "multihead", read_multihead }, { 0 } });
}
END_TEST

/* ---- plain loops ----------------------------------------------------------------------------------------------- */

/* Row `row` of part 0 to 2 of the projections of x [E]. */
static double projected(const sp_store *s, int part, long row, const sp_real *x)
{
    const sp_real *w = sp_param_read(sp_store_find(s, "m.in_proj_weight")), *b = sp_param_read(sp_store_find(s, "m.in_proj_bias"));
    double y = (double)b[part * E + row];
    for (long j = 0; j < E; j++)
        y += (double)w[(part * E + row) * E + j] * (double)x[j];
    return y;
}

/* One query [E] to n keys, which are the values, seen where mask is not 0: y [E] and weights [HEADS,n]. */
static void naive(const sp_store *s, const sp_real *query, const sp_real *keys, long n, const sp_real *mask, double *y, double *weights)
{
    const sp_real *wo = sp_param_read(sp_store_find(s, "m.out_proj.weight")), *bo = sp_param_read(sp_store_find(s, "m.out_proj.bias"));
    double heads[E] = { 0 };
    for (int h = 0; h < HEADS; h++) {
        double sum = 0, *a = weights + h * n;
        for (long k = 0; k < n; k++) {
            double e = 0;
            for (int j = h * D; j < (h + 1) * D; j++)
                e += projected(s, 0, j, query) * projected(s, 1, j, keys + k * E) / sqrt((double)D);
            sum += a[k] = mask[k] != 0 ? exp(e) : 0;
        }
        for (long k = 0; k < n; k++) {
            a[k] = sum > 0 ? a[k] / sum : 0;
            for (int j = h * D; j < (h + 1) * D; j++)
                heads[j] += a[k] * projected(s, 2, j, keys + k * E);
        }
    }
    for (int i = 0; i < E; i++) {
        y[i] = (double)bo[i];
        for (int j = 0; j < E; j++)
            y[i] += (double)wo[i * E + j] * heads[j];
    }
}

static sp_store *drawn(sp_multihead *m)
{
    sp_store *s = sp_store_new(1);
    *m = sp_multihead_make(s, "m", E, HEADS, 0);
    ck_assert_msg(sp_store_ok(s), "%s", sp_store_status(s)->message);
    for (int i = 0; i < sp_store_count(s); i++)
        sp_init_uniform(sp_store_at(s, i), -1, 1);
    return s;
}

/* A mask of every query's own, in which one query sees nothing. */
START_TEST(masks)
{
    enum { B = 3, L = 4, S = 5 };
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_real q[B * L * E], k[B * S * E], mask[B * L * S], y[B * L * E], a[B * HEADS * L * S], dk[B * S * E];
    double want[E], weights[HEADS * S];
    noise(1, B * L * E, q);
    noise(2, B * S * E, k);
    for (int i = 0; i < B * L * S; i++)
        mask[i] = (i / S != 6) && (i * i + i / 7) % 3 && i % S != 4;
    sp_tape *t = sp_tape_new(s);
    sp_tensor *key = sp_variable(t, k, SP_SHAPE(B, S, E)), *w;
    sp_tensor *out = sp_multihead_on(t, &m, sp_feed(t, q, SP_SHAPE(B, L, E)), key, key, sp_feed(t, mask, SP_SHAPE(B, L, S)), false, &w);
    ck_assert_msg(sp_read(out, y) && sp_read(w, a), "%s", sp_error(t));
    for (int i = 0; i < B * L; i++) {
        naive(s, q + i * E, k + i / L * S * E, S, mask + i * S, want, weights);
        for (int j = 0; j < E; j++)
            ck_assert_double_eq_tol((double)y[i * E + j], want[j], WIDE(1e-13, 5e-6));
        for (int h = 0; h < HEADS; h++)
            for (int j = 0; j < S; j++) {
                const sp_real got = a[((i / L * HEADS + h) * L + i % L) * S + j];
                ck_assert_double_eq_tol((double)got, weights[h * S + j], WIDE(1e-13, 5e-6));
                ck_assert(mask[i * S + j] != 0 || got == 0);
            }
    }
    ck_assert(sp_backward(t, sp_add(t, weighed(t, out), weighed(t, w))) && sp_read_grad(key, dk));
    for (int i = 0; i < B * S * E; i++)                 /* nobody sees the last key */
        ck_assert((dk[i] == 0) == (i / E % S == 4));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* Sequences of different lengths in the caller's order: what each gets alone, causal or not, of itself and of others. */
START_TEST(sequences)
{
    const long from[] = { 2, 5, 1, 5 }, to[] = { 3, 1, 4, 1 };
    const bool causal = _i % 2, itself = _i / 2;
    const long *own = itself ? from : to, rows = itself ? 13 : 9, longest = 5;
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_real k[13 * E], q[13 * E], y[13 * E], a[4 * HEADS * 5 * 5];
    double want[E], weights[HEADS * 5];
    noise(1, 13 * E, k);
    noise(itself ? 1 : 2, rows * E, q);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *w;
    sp_seq memory = sp_seq_pack(t, sp_feed(t, k, SP_SHAPE(13, E)), from, 4);
    sp_seq query = itself ? memory : sp_seq_pack(t, sp_feed(t, q, SP_SHAPE(rows, E)), own, 4);
    sp_tensor *out = sp_seq_unpack(t, sp_multihead_on_seq(t, &m, query, memory, causal, &w));
    ck_assert_msg(sp_read(out, y) && sp_read(w, a), "%s", sp_error(t));
    ck_assert(sp_shape_equal(sp_shape_get(w), SP_SHAPE(4, HEADS, itself ? 5 : 4, 5)));
    for (long i = 0, row = 0, at = 0; i < 4; at += from[i++])
        for (long n = 0; n < own[i]; n++, row++) {
            const long seen = causal && n + 1 < from[i] ? n + 1 : from[i];
            naive(s, q + row * E, k + at * E, seen, REALS(1, 1, 1, 1, 1), want, weights);
            for (int j = 0; j < E; j++)
                ck_assert_double_eq_tol((double)y[row * E + j], want[j], WIDE(1e-13, 5e-6));
            for (int h = 0; h < HEADS; h++)
                for (long j = 0; j < longest; j++) {
                    const double got = (double)a[((i * HEADS + h) * (itself ? 5 : 4) + n) * 5 + j];
                    ck_assert_double_eq_tol(got, j < seen ? weights[h * seen + j] : 0, j < seen ? WIDE(1e-13, 5e-6) : 1e-300);
                }
        }
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------------------------- */

struct model {
    sp_multihead m;
    sp_param *query, *key, *value;
    bool causal, itself;
};

static sp_tensor *loss(sp_tape *t, void *context)
{
    const struct model *m = context;
    sp_tensor *q = sp_param_on(t, m->query), *w, *mask = sp_length_mask(t, (const long[]){ 3, 1 }, 2, 3);
    sp_tensor *y = m->itself ? sp_multihead_on(t, &m->m, q, q, q, mask, m->causal, &w)
                             : sp_multihead_on(t, &m->m, q, sp_param_on(t, m->key), sp_param_on(t, m->value), mask, m->causal, &w);
    return sp_add(t, weighed(t, y), weighed(t, w));
}

START_TEST(gradients)
{
    sp_store *s = sp_store_new(2);
    sp_gradcheck_report r;
    sp_status status = { 0 };
    struct model m = { .causal = _i % 2, .itself = _i / 2 % 2 };
    const double dropout = _i / 4 ? 0.4 : 0;
    m.m = m.itself ? sp_multihead_make(s, "m", E, HEADS, dropout) : sp_multihead_make_of(s, "m", E, 5, 4, 3, dropout);
    m.query = sp_store_add(s, SP_SHAPE(2, 3, E), "query");
    m.key = sp_store_add(s, SP_SHAPE(2, 3, 5), "key");
    m.value = sp_store_add(s, SP_SHAPE(2, 3, 4), "value");
    for (int i = 0; i < sp_store_count(s); i++)
        sp_init_uniform(sp_store_at(s, i), -1, 1);
    ck_assert_msg(sp_gradcheck(s, loss, &m, WIDE(0, 5), &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.3), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(s);
}
END_TEST

/* Dropout is one of weights while training, and none otherwise; the weights that are given are those before it. */
START_TEST(dropout)
{
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_real x[8 * E], y[3][8 * E], a[3][HEADS * 8 * 8];
    noise(1, 8 * E, x);
    m.dropout = 0.5;
    for (int way = 0; way < 3; way++) {                 /* training twice, and not */
        sp_tape *t = sp_tape_new(s);
        sp_tape_set_training(t, way < 2);
        sp_tensor *in = sp_feed(t, x, SP_SHAPE(1, 8, E)), *w;
        ck_assert(sp_read(sp_multihead_on(t, &m, in, in, in, NULL, false, &w), y[way]) && sp_read(w, a[way]));
        sp_tape_free(t);
    }
    ck_same(y[0], y[1], 8 * E);
    ck_same(a[0], a[2], HEADS * 8 * 8);
    ck_assert(memcmp(y[0], y[2], sizeof y[0]) != 0);
    sp_store_free(s);
}
END_TEST

/* Query and key one tensor and the value another, or key and value one: as three of equal numbers. NaN in what no one sees of a
   mask stays out. */
START_TEST(shared_inputs)
{
    enum { B = 2, L = 3 };
    static const int which[][3] = { { 0, 0, 1 }, { 0, 1, 1 }, { 0, 1, 0 }, { 0, 0, 0 } };
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_real x[2][B * L * E], y[2][B * L * E];
    for (int i = 0; i < 2; i++)
        noise((uint64_t)i, B * L * E, x[i]);
    for (int way = 0; way < 2; way++) {
        sp_tape *t = sp_tape_new(s);
        sp_tensor *in[3], *two[2];
        for (int i = 0; i < 2; i++)
            two[i] = sp_feed(t, x[i], SP_SHAPE(B, L, E));
        for (int i = 0; i < 3; i++)
            in[i] = way ? sp_feed(t, x[which[_i][i]], SP_SHAPE(B, L, E)) : two[which[_i][i]];
        ck_assert_msg(sp_read(sp_multihead_on(t, &m, in[0], in[1], in[2], NULL, false, NULL), y[way]), "%s", sp_error(t));
        sp_tape_free(t);
    }
    for (int i = 0; i < B * L * E; i++)
        ck_assert_double_eq_tol((double)y[0][i], (double)y[1][i], WIDE(1e-13, 5e-6));
    sp_store_free(s);
}
END_TEST

/* What is not 0 in a mask is seen, if it is the past, infinity too. */
START_TEST(infinite_mask)
{
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_real x[3 * E], y[2][3 * E];
    noise(1, 3 * E, x);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *in = sp_feed(t, x, SP_SHAPE(1, 3, E));
    for (int way = 0; way < 2; way++) {
        const sp_real seen = way ? 1 : (sp_real)INFINITY;
        ck_assert(sp_read(sp_multihead_on(t, &m, in, in, in, sp_feed(t, REALS(seen, 1, seen), SP_SHAPE(1, 3)), true, NULL), y[way]));
    }
    ck_same(y[0], y[1], 3 * E);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* The same rows in another layout are another memory. */
START_TEST(other_layout)
{
    const long one[] = { 2, 3 }, other[] = { 3, 2 };
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_real x[5 * E], y[2][5 * E];
    noise(1, 5 * E, x);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *rows = sp_feed(t, x, SP_SHAPE(5, E));
    sp_seq query = sp_seq_pack(t, rows, one, 2), memory = sp_seq_like(sp_seq_pack(t, rows, other, 2), query.rows);
    sp_seq copy = sp_seq_like(memory, sp_copy(t, memory.rows));
    ck_assert_msg(sp_read(sp_multihead_on_seq(t, &m, query, memory, false, NULL).rows, y[0]), "%s", sp_error(t));
    ck_assert(sp_read(sp_multihead_on_seq(t, &m, query, copy, false, NULL).rows, y[1]));
    ck_same(y[0], y[1], 5 * E);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* As PyTorch's: the input maps by Xavier, in +-sqrt(6 / (in + out)) of the three together; the output in +-1/sqrt(embed); no biases. */
START_TEST(first_values)
{
    static const struct {
        const char *name;
        double bound;
    } params[] = { { "a.in_proj_weight", 0.19364916731037085 }, { "a.out_proj.weight", 0.15811388300841897 },
                   { "b.q_proj_weight", 0.27386127875258304 }, { "b.k_proj_weight", 0.31622776601683794 },
                   { "b.v_proj_weight", 0.34641016151377546 }, { "a.in_proj_bias", 0 }, { "a.out_proj.bias", 0 } };
    sp_store *s = sp_store_new(1);
    sp_multihead_make(s, "a", 40, 2, 0);
    sp_multihead_make_of(s, "b", 40, 20, 10, 2, 0);
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        const sp_param *p = sp_store_find(s, params[i].name);
        const double bound = params[i].bound;
        double low = 1, high = -1;
        for (long k = 0; k < sp_shape_size(p->shape); k++) {
            low = fmin(low, (double)sp_param_read(p)[k]);
            high = fmax(high, (double)sp_param_read(p)[k]);
        }
        ck_assert_msg(low >= -bound * 1.000001 && low <= -0.9 * bound && high <= bound * 1.000001 && high >= 0.9 * bound, "%s: %g to %g",
                      p->name, low, high);
    }
    sp_store_free(s);
}
END_TEST

/* ---- inside a step --------------------------------------------------------------------------------------------- */

/* h' = tanh(attention(x + h, memory)) */
struct looking {
    sp_multihead m;
    sp_tensor *memory, *mask;
};

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct looking *l = self;
    sp_tensor *query = sp_reshape(t, sp_add(t, x, *h), SP_SHAPE(sp_dim(x, 0), 1, E));
    sp_tensor *y = sp_multihead_on(t, &l->m, query, l->memory, l->memory, l->mask, false, NULL);
    return *h = sp_tanh(t, sp_reshape(t, y, SP_SHAPE(sp_dim(x, 0), E)));
}

START_TEST(as_a_step)
{
    static const struct {
        long n, from[4], to[4];
    } batches[] = { { 4, { 2, 5, 1, 3 }, { 1, 4, 3, 1 } }, { 1, { 3 }, { 2 } }, { 2, { 1, 1 }, { 2, 2 } } };
    for (int b = 0; b < 3; b++) {
        struct looking l;
        sp_store *s = drawn(&l.m);
        const sp_cell cell = { .name = "looking", .self = &l, .step = step, .states = 1, .width = { E } };
        sp_real k[11 * E], x[9 * E], out[2][MOST];
        long from = 0, to = 0, n = 0;
        for (long i = 0; i < batches[b].n; i++) {
            from += batches[b].from[i];
            to += batches[b].to[i];
        }
        noise(1, from * E, k);
        noise(2, to * E, x);
        for (int way = 0; way < 2; way++) {
            sp_tape *t = sp_tape_new(s);
            sp_tensor *memory = sp_variable(t, k, SP_SHAPE(from, E)), *xs = sp_variable(t, x, SP_SHAPE(to, E));
            sp_seq encoded = sp_seq_pack(t, memory, batches[b].from, batches[b].n), in = sp_seq_pack(t, xs, batches[b].to, batches[b].n);
            l.memory = sp_seq_sorted(t, in.layout, sp_seq_padded(t, encoded));
            l.mask = sp_seq_sorted(t, in.layout, sp_seq_mask(t, encoded.layout));
            sp_tensor *y = sp_seq_unpack(t, (way ? sp_scan_seq : sp_unroll_seq)(t, &cell, in, NULL, _i));
            ck_assert_msg(sp_backward(t, weighed(t, y)), "%s", sp_error(t));
            sp_read(y, out[way]);
            sp_read_grad(memory, out[way] + to * E);
            sp_read_grad(xs, out[way] + (to + from) * E);
            n = (2 * to + from) * E;
            for (int i = 0; i < sp_store_count(s); n += sp_shape_size(sp_store_at(s, i++)->shape))
                sp_read_grad(sp_param_on(t, sp_store_at(s, i)), out[way] + n);
            sp_tape_free(t);
        }
        for (long i = 0; i < n; i++)
            ck_assert_msg(fabs((double)(out[0][i] - out[1][i])) <= WIDE(1e-12, 2e-5) * (1 + fabs((double)out[0][i])),
                          "batch %d, number %ld: %.9g, %.9g", b, i, (double)out[0][i], (double)out[1][i]);
        sp_store_free(s);
    }
}
END_TEST

/* Scan takes a sorted memory beside a weight that is no parameter. */
START_TEST(dropped_weight)
{
    const long from[] = { 2, 4, 1 }, to[] = { 2, 4, 1 };
    struct looking l;
    sp_store *s = drawn(&l.m);
    const sp_cell cell = { .name = "looking", .self = &l, .step = step, .states = 1, .width = { E } };
    sp_real k[7 * E], y[2][7 * E];
    noise(1, 7 * E, k);
    for (int way = 0; way < 2; way++) {
        sp_tape *t = sp_tape_new(s);
        sp_seq encoded = sp_seq_pack(t, sp_feed(t, k, SP_SHAPE(7, E)), from, 3), in = sp_seq_pack(t, sp_feed(t, k, SP_SHAPE(7, E)), to, 3);
        l.memory = sp_seq_sorted(t, in.layout, sp_seq_padded(t, encoded));
        l.mask = sp_seq_sorted(t, in.layout, sp_seq_mask(t, encoded.layout));
        sp_scope_push(t, "dropped");
        sp_weight_drop(t, l.m.in_weight, 0.5);
        ck_assert_msg(sp_read((way ? sp_scan_seq : sp_unroll_seq)(t, &cell, in, NULL, false).rows, y[way]), "%s", sp_error(t));
        sp_scope_pop(t);
        sp_tape_free(t);
    }
    for (int i = 0; i < 7 * E; i++)
        ck_assert_double_eq_tol((double)y[0][i], (double)y[1][i], WIDE(1e-12, 2e-5));
    sp_store_free(s);
}
END_TEST

/* ---- errors and edges ------------------------------------------------------------------------------------------ */

START_TEST(empty)
{
    sp_multihead m;
    sp_store *s = drawn(&m);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *none = sp_full(t, 0, SP_SHAPE(0, 3, E)), *no_places = sp_full(t, 0, SP_SHAPE(2, 0, E)), *w;
    ck_assert(sp_shape_equal(sp_shape_get(sp_multihead_on(t, &m, none, none, none, NULL, true, &w)), SP_SHAPE(0, 3, E)));
    ck_assert(sp_shape_equal(sp_shape_get(w), SP_SHAPE(0, HEADS, 3, 3)));
    ck_assert(sp_shape_equal(sp_shape_get(sp_multihead_on(t, &m, no_places, no_places, no_places, NULL, true, &w)), SP_SHAPE(2, 0, E)));
    sp_tensor *bias = sp_multihead_on(t, &m, sp_full(t, 1, SP_SHAPE(2, 1, E)), no_places, no_places, NULL, false, &w);
    sp_real y[2 * E];
    ck_assert_msg(sp_read(bias, y), "%s", sp_error(t));
    ck_same(y, sp_param_read(sp_store_find(s, "m.out_proj.bias")), E);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

static const struct {
    long embed, kdim, vdim;
    int heads;
    double dropout;
    const char *error;
} declarations[] = {
    { 6, 6, 6, 4, 0, "m: 4 heads do not divide an embedding 6 wide" },
    { 6, 6, 6, 0, 0, "m: 0 heads do not divide an embedding 6 wide" },
    { 0, 6, 6, 2, 0, "m: 2 heads do not divide an embedding 0 wide" },
    { 6, 0, 6, 2, 0, "m: keys 0 wide, values 6 wide" },
    { 6, 6, -1, 2, 0, "m: keys 6 wide, values -1 wide" },
    { 6, 6, 6, 2, 1, "m: dropout 1, not in 0 <= p < 1" },
    { 6, 6, 6, 2, NAN, "m: dropout nan, not in 0 <= p < 1" },
    { LONG_MAX - 1, 6, 6, 2, 0, "m: an embedding 9223372036854775806 wide" },
};

START_TEST(bad_declaration)
{
    sp_store *s = sp_store_new(1);
    sp_multihead m = sp_multihead_make_of(s, "m", declarations[_i].embed, declarations[_i].kdim, declarations[_i].vdim,
                                          declarations[_i].heads, declarations[_i].dropout);
    ck_assert_str_eq(sp_store_status(s)->message, declarations[_i].error);
    ck_assert_ptr_null(m.out.weight);
    sp_store_free(s);
}
END_TEST

static sp_tape *t;
static sp_multihead m;

static sp_tensor *zeros(long a, long b, long c) { return sp_full(t, 0, SP_SHAPE(a, b, c)); }

static void use(sp_tensor *q, sp_tensor *k, sp_tensor *v, sp_tensor *mask) { sp_multihead_on(t, &m, q, k, v, mask, false, NULL); }
static void query_width(void)   { use(zeros(2, 3, E + 1), zeros(2, 4, E), zeros(2, 4, E), NULL); }
static void query_rank(void)    { use(sp_full(t, 0, SP_SHAPE(2, E)), zeros(2, 4, E), zeros(2, 4, E), NULL); }
static void key_width(void)     { use(zeros(2, 3, E), zeros(2, 4, 5), zeros(2, 4, E), NULL); }
static void value_places(void)  { use(zeros(2, 3, E), zeros(2, 4, E), zeros(2, 5, E), NULL); }
static void other_batch(void)   { use(zeros(2, 3, E), zeros(3, 4, E), zeros(3, 4, E), NULL); }
static void mask_shape(void)    { use(zeros(2, 3, E), zeros(2, 4, E), zeros(2, 4, E), sp_full(t, 1, SP_SHAPE(2, 3))); }
static void mask_places(void)   { use(zeros(2, 3, E), zeros(2, 4, E), zeros(2, 4, E), zeros(2, 4, 4)); }
static void no_query(void)      { use(NULL, zeros(2, 4, E), zeros(2, 4, E), NULL); }
static void no_value(void)      { use(zeros(2, 4, E), zeros(2, 4, E), NULL, NULL); }
static void no_layer(void)      { sp_multihead_on(t, NULL, zeros(2, 4, E), zeros(2, 4, E), zeros(2, 4, E), NULL, false, NULL); }
static void not_made(void)      { sp_multihead_on(t, &(sp_multihead){ 0 }, zeros(2, 4, E), zeros(2, 4, E), zeros(2, 4, E), NULL, false, NULL); }
static void no_sequence(void)   { sp_multihead_on_seq(t, &m, (sp_seq){ NULL, NULL }, (sp_seq){ NULL, NULL }, false, NULL); }
static void no_length(void)     { sp_length_mask(t, (const long[]){ 2, 0 }, 2, 3); }
static void long_length(void)   { sp_length_mask(t, (const long[]){ 4, 1 }, 2, 3); }
static void negative(void)      { sp_length_mask(t, (const long[]){ 1, -2 }, 2, 3); }
static void no_lengths(void)    { sp_length_mask(t, NULL, 2, 3); }

static void sequences_apart(void)
{
    sp_multihead_on_seq(t, &m, sp_seq_of(t, zeros(3, 2, E)), sp_seq_of(t, zeros(4, 3, E)), false, NULL);
}

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { query_width, "multihead: query [2,3,7], key [2,4,6], value [2,4,6]: needs [B,L,6], [B,S,6], [B,S,6]" },
    { query_rank, "multihead: query [2,6], key [2,4,6], value [2,4,6]: needs [B,L,6], [B,S,6], [B,S,6]" },
    { key_width, "multihead: query [2,3,6], key [2,4,5], value [2,4,6]: needs [B,L,6], [B,S,6], [B,S,6]" },
    { value_places, "multihead: query [2,3,6], key [2,4,6], value [2,5,6]: needs [B,L,6], [B,S,6], [B,S,6]" },
    { other_batch, "multihead: query [2,3,6] of 2 sequences, key [3,4,6] of 3: inside a step, where there are fewer and fewer, keys are "
                   "sorted ones (sp_seq_sorted)" },
    { mask_shape, "multihead: mask [2,3] for query [2,3,6] and key [2,4,6]: needs [B,S] or [B,L,S]" },
    { mask_places, "multihead: mask [2,4,4] for query [2,3,6] and key [2,4,6]: needs [B,S] or [B,L,S]" },
    { no_query, "multihead: no query" },
    { no_value, "multihead: no value" },
    { no_layer, "multihead: it is NULL, or was not made" },
    { not_made, "multihead: it is NULL, or was not made" },
    { no_sequence, "sequence: no input" },
    { no_length, "sequence: length 0 of sequence 1 is not in 1..3" },
    { long_length, "sequence: length 4 of sequence 0 is not in 1..3" },
    { negative, "sequence: length -2 of sequence 1 is not in 1..3" },
    { no_lengths, "sequence: 2 lengths, and no list" },
    { sequences_apart, "multihead: queries of 2 sequences, a memory of 3" },
};

START_TEST(bad_use)
{
    sp_store *s = drawn(&m);
    t = sp_tape_new(s);
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    ck_assert_ptr_null(sp_multihead_on(NULL, &m, NULL, NULL, NULL, NULL, false, NULL));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("multihead");
    TCase *c = tcase_create("multihead");
    tcase_add_test(c, golden);
    tcase_add_test(c, masks);
    tcase_add_loop_test(c, sequences, 0, 4);
    tcase_add_loop_test(c, gradients, 0, 8);
    tcase_add_test(c, dropout);
    tcase_add_loop_test(c, shared_inputs, 0, 4);
    tcase_add_test(c, infinite_mask);
    tcase_add_test(c, other_layout);
    tcase_add_test(c, first_values);
    tcase_add_loop_test(c, as_a_step, 0, 2);
    tcase_add_test(c, dropped_weight);
    tcase_add_test(c, empty);
    suite_add_tcase(s, c);
    c = tcase_create("errors");
    tcase_add_loop_test(c, bad_declaration, 0, sizeof declarations / sizeof *declarations);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(s, c);
    return s;
}
