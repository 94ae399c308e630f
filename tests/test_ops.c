/* Every operation of the table: its gradients by its probes, its costs, and what all must do with odd inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "ops/kernel.h"
#include "tests/suite.h"

/* ---- gradients ------------------------------------------------------------------------------------------------- */

struct probing {
    const sp_op *op;
    const struct sp_probe *probe;
    sp_store *store;
    bool transposed;            /* the leaves of rank 2 are transposed views */
};

static sp_tensor *build_probe(sp_tape *t, const struct probing *p)
{
    sp_tensor *leaf[5] = { NULL };
    int n = sp_store_count(p->store);
    for (int i = 0; i < n; i++) {
        leaf[i] = sp_param_on(t, sp_store_at(p->store, i));
        if (p->transposed && sp_shape_get(leaf[i]).rank == 2)
            leaf[i] = sp_transpose(t, leaf[i], 0, 1);
    }
    return p->probe->build ? p->probe->build(t, leaf) : sp_record(t, p->op, n, leaf, NULL, 0);
}

/* sum of y times fixed weights, so that every element of y counts differently */
static sp_tensor *weighted_sum(sp_tape *t, void *context)
{
    sp_tensor *y = build_probe(t, context);
    long n = sp_shape_size(sp_shape_get(y));
    sp_real *weight = malloc((size_t)n * sizeof *weight + 1);
    sp_random_uniform((sp_key){ .place = 7 }, n, weight, -1, 1);
    sp_tensor *loss = sp_sum(t, sp_mul(t, y, sp_feed(t, weight, sp_shape_get(y))), SP_ALL);
    free(weight);
    return loss;
}

static sp_store *leaves_of(const struct sp_probe *probe, bool transposed)
{
    sp_store *s = sp_store_new(11);
    for (int i = 0; i < 5 && (probe->leaf[i].shape.rank || probe->leaf[i].low < probe->leaf[i].high); i++) {
        sp_shape shape = probe->leaf[i].shape;
        if (transposed && shape.rank == 2)
            shape = SP_SHAPE(shape.dim[1], shape.dim[0]);
        sp_param *p = sp_store_add(s, shape, "leaf%d", i);
        sp_random_uniform(sp_param_key(p), sp_shape_size(p->shape), sp_param_values(p), probe->leaf[i].low,
                          probe->leaf[i].high);
    }
    return s;
}

static void check_gradient(const sp_op *op, const struct sp_probe *probe, bool transposed)
{
    struct probing p = { op, probe, leaves_of(probe, transposed), transposed };
    sp_gradcheck_report r;
    sp_status status = { 0 };
    bool ran = sp_gradcheck(p.store, weighted_sum, &p, 0, &r, &status);
    ck_assert_msg(ran, "%s, %s: %s", op->name, probe->name, status.message);
    /* float32 is only a smoke test: differences carry rounding of 2^-24 / h */
    double tolerance = WIDE(1e-6, 0.2);
    ck_assert_msg(r.error < tolerance, "%s, %s: at %s backward gives %.12g, differences %.12g: error %.2e", op->name,
                  probe->name, r.where, r.backward, r.numeric, r.error);
    sp_store_free(p.store);
}

static int operations(void)
{
    int n = 0;
    while (sp_op_table[n])
        n++;
    return n;
}

START_TEST(gradient)
{
    const sp_op *op = sp_op_table[_i];
    ck_assert_msg(op->probes && op->probes[0].name, "%s has no probe", op->name);
    for (const struct sp_probe *p = op->probes; p->name; p++) {
        check_gradient(op, p, false);
        if (!p->build)
            check_gradient(op, p, true);
    }
}
END_TEST

/* ---- what backward does not read ------------------------------------------------------------------------------- */

/* A view of the same shape and strides on memory of its own, all of it one value; its memory is to be freed. */
static sp_view elsewhere(sp_view v, sp_real value)
{
    long low = 0, high = 0;
    for (int i = 0; i < v.shape.rank; i++) {
        const long reach = (v.shape.dim[i] - 1) * v.stride[i];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    ck_assert_int_eq(low, 0);
    v.data = malloc((size_t)(high + 1) * sizeof *v.data);
    for (long i = 0; i <= high; i++)
        v.data[i] = value;
    return v;
}

/* Runs a node's backward into fresh gradients, where asked for with NaN in all that it says it does not read. */
static void run_back(const struct sp_node *n, bool spoiled, sp_view *dx)
{
    sp_view x[8];
    sp_call c = n->call;
    ck_assert_int_le(c.inputs, 8);
    c.x = x;
    c.dx = dx;
    for (int i = 0; i < c.inputs; i++) {
        const bool gone = spoiled && sp_op_has(n->op, SP_OP_FREES, i);
        x[i] = gone ? elsewhere(n->call.x[i], (sp_real)NAN) : n->call.x[i];
        dx[i] = elsewhere(n->call.x[i], 0);
    }
    const bool y_gone = spoiled && (n->op->flags & SP_OP_FREES_Y);
    if (y_gone)
        c.y = elsewhere(c.y, (sp_real)NAN);
    c.dy = elsewhere(c.y, (sp_real)0.75);
    n->op->backward(&c);
    for (int i = 0; i < c.inputs; i++)
        if (x[i].data != n->call.x[i].data)
            free(x[i].data);
    if (y_gone)
        free(c.y.data);
    free(c.dy.data);
}

static bool same_elements(sp_view a, sp_view b)
{
    bool same = true;
    SP_EACH2(a.shape, p, a, q, b, same = same && *p == *q);
    return same;
}

START_TEST(freed_values)
{
    const sp_op *op = sp_op_table[_i];
    for (const struct sp_probe *probe = op->probes; probe->name; probe++) {
        struct probing p = { op, probe, leaves_of(probe, false), false };
        sp_tape *t = sp_tape_new(p.store);
        build_probe(t, &p);
        ck_tape_ok(t);
        for (const struct sp_node *n = sp_tape_last(t); n; n = n->previous) {
            sp_view dx[2][8];
            if (n->op != op || !op->backward)
                continue;
            run_back(n, false, dx[0]);
            run_back(n, true, dx[1]);
            for (int i = 0; i < n->call.inputs; i++) {
                ck_assert_msg(same_elements(dx[0][i], dx[1][i]), "%s, %s: the gradient of input %d reads what is freed",
                              op->name, probe->name, i);
                free(dx[0][i].data);
                free(dx[1][i].data);
            }
        }
        sp_tape_free(t);
        sp_store_free(p.store);
    }
}
END_TEST

/* ---- costs ----------------------------------------------------------------------------------------------------- */

/* Every operation that runs says what that costs: it moves something, and backward at least adds. */
START_TEST(costs)
{
    const sp_op *op = sp_op_table[_i];
    ck_assert_msg(!op->cost == !op->forward, "%s has %s cost", op->name, op->cost ? "a" : "no");
    for (const struct sp_probe *probe = op->probes; op->cost && probe->name; probe++) {
        struct probing p = { op, probe, leaves_of(probe, false), false };
        sp_tape *t = sp_tape_new(p.store);
        ck_assert(sp_backward(t, weighted_sum(t, &p)));
        int seen = 0;
        for (const struct sp_node *n = sp_tape_last(t); n; n = n->previous) {
            if (n->op != op)
                continue;
            const sp_cost there = op->cost(&n->call, false), back = op->cost(&n->call, true);
            ck_assert_msg(there.bytes > 0 && there.flops >= 0, "%s, %s: forward", op->name, probe->name);
            ck_assert_msg(back.bytes > 0 && back.flops > 0, "%s, %s: backward", op->name, probe->name);
            seen++;
        }
        ck_assert_msg(seen, "%s, %s: is not what it probes", op->name, probe->name);
        sp_tape_free(t);
        sp_store_free(p.store);
    }
}
END_TEST

static sp_tensor *variable(sp_tape *t, sp_shape shape)
{
    return sp_add(t, sp_full(t, 0, shape), sp_variable(t, REALS(1), SP_SHAPE(1)));
}

/* The cost of the last operation, forward, and backward with these gradients wanted. */
static void check_cost(const sp_tape *t, double flops, double numbers, unsigned wanted, double back_flops,
                       double back_numbers)
{
    sp_call c = sp_tape_last(t)->call;
    const sp_op *op = sp_tape_last(t)->op;
    sp_real somewhere;
    sp_view dx[3];
    c.dx = dx;
    for (int i = 0; i < c.inputs; i++) {
        dx[i] = c.x[i];
        dx[i].data = wanted & 1U << i ? &somewhere : NULL;
    }
    const sp_cost there = op->cost(&c, false), back = op->cost(&c, true);
    ck_tape_ok(t);
    ck_assert_double_eq(there.flops, flops);
    ck_assert_double_eq(there.bytes, numbers * sizeof(sp_real));
    ck_assert_double_eq(back.flops, back_flops);
    ck_assert_double_eq(back.bytes, back_numbers * sizeof(sp_real));
}

/* By hand; an input's gradient is read and written. */
START_TEST(costs_by_hand)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *a = variable(t, SP_SHAPE(3, 4)), *b = variable(t, SP_SHAPE(4, 5)), *row = variable(t, SP_SHAPE(5));
    sp_tensor *y = sp_matmul(t, a, b);
    check_cost(t, 2 * 3 * 4 * 5, 12 + 20 + 15, 1, 120, 15 + 20 + 24);          /* dA = dY B' */
    check_cost(t, 2 * 3 * 4 * 5, 12 + 20 + 15, 2, 120, 15 + 12 + 40);          /* dB = A' dY */
    check_cost(t, 2 * 3 * 4 * 5, 12 + 20 + 15, 3, 240, 15 + 20 + 12 + 24 + 40);
    sp_matmul(t, variable(t, SP_SHAPE(7, 2, 3, 4)), variable(t, SP_SHAPE(7, 2, 4, 5)));
    check_cost(t, 14 * 120, 14 * 47, 3, 14 * 240, 14 * 111);
    sp_affine(t, a, b, row);
    check_cost(t, 120, 12 + 20 + 5 + 15, 7, 240 + 15, 15 + 20 + 12 + 24 + 40 + 10);
    check_cost(t, 120, 12 + 20 + 5 + 15, 4, 15, 15 + 10);                      /* db = column sums of dY */
    sp_add(t, y, row);
    check_cost(t, 15, 15 + 5 + 15, 3, 30, 15 + 30 + 10);
    check_cost(t, 15, 15 + 5 + 15, 2, 15, 15 + 10);
    sp_tanh(t, y);
    check_cost(t, 15, 15 + 15, 1, 60, 15 + 15 + 30);                           /* dy (1 - y y), added */
    sp_sum(t, y, 0);
    check_cost(t, 15, 15 + 5, 1, 15, 5 + 30);
    sp_concat(t, 2, (sp_tensor *[]){ y, y }, 0);
    check_cost(t, 0, 15 + 15 + 30, 2, 15, 30 + 30);
    sp_embedding(t, a, (const int[]){ 2, 2, 0, 1, 2 }, 5);
    check_cost(t, 0, 20 + 20, 1, 20, 20 + 40);
    sp_lstm_gates(t, variable(t, SP_SHAPE(2, 12)), variable(t, SP_SHAPE(2, 12)), variable(t, SP_SHAPE(2, 3)));
    check_cost(t, 13 * 6, 24 + 24 + 6 + 12 + 30, 7, (25 + 4 + 7) * 6, 12 + 30 + 6 + 48 + 48 + 12);
    check_cost(t, 13 * 6, 24 + 24 + 6 + 12 + 30, 2, 25 * 6, 12 + 30 + 6 + 48);
    sp_tape_free(t);
}
END_TEST

/* ---- values ---------------------------------------------------------------------------------------------------- */

/* Each do_NAME uses the operation with what it needs beside its inputs x[0], x[1], ... */
#define DO(name, expression)                                                                                           \
    static sp_tensor *do_##name(sp_tape *t, sp_tensor **x)                                                             \
    {                                                                                                                  \
        return expression;                                                                                             \
    }

DO(add, sp_add(t, x[0], x[1]))
DO(sub, sp_sub(t, x[0], x[1]))
DO(mul, sp_mul(t, x[0], x[1]))
DO(div, sp_div(t, x[0], x[1]))
DO(maximum, sp_maximum(t, x[0], x[1]))
DO(lerp, sp_lerp(t, x[0], x[1], x[2]))
DO(where, sp_where(t, x[0], x[1], x[2]))
DO(scale, sp_scale(t, x[0], -1.5))
DO(neg, sp_neg(t, x[0]))
DO(sigmoid, sp_sigmoid(t, x[0]))
DO(log_sigmoid, sp_log_sigmoid(t, x[0]))
DO(tanh, sp_tanh(t, x[0]))
DO(relu, sp_relu(t, x[0]))
DO(exp, sp_exp(t, x[0]))
DO(log, sp_log(t, x[0]))
DO(sqrt, sp_sqrt(t, x[0]))
DO(abs, sp_abs(t, x[0]))
DO(dropout, sp_dropout(t, x[0], 1e-15))         /* keeps all: a word is 24 bits */
DO(dropout_all, sp_dropout(t, x[0], 1))
DO(matmul, sp_matmul(t, x[0], x[1]))
DO(affine, sp_affine(t, x[0], x[1], x[2]))
DO(conv, sp_conv(t, x[0], x[1], NULL, (sp_slide){ .padding = { 1 } }))
DO(conv_bias, sp_conv(t, x[0], x[1], x[2], (sp_slide){ .stride = { 2 } }))
DO(max_pool, sp_max_pool(t, x[0], (sp_slide){ .kernel = { 2 }, .stride = { 1 } }))
DO(avg_pool, sp_avg_pool(t, x[0], (sp_slide){ .kernel = { 3 }, .padding = { 1 } }))
DO(batch_norm, sp_batch_norm(t, x[0], x[1], x[2], x[2], x[2], NULL, 0.1, 0.75))
DO(softmax, sp_softmax(t, x[0]))
DO(masked_softmax, sp_masked_softmax(t, x[0], x[1]))
DO(log_softmax, sp_log_softmax(t, x[0]))
DO(layer_norm, sp_layer_norm(t, x[0], x[1], x[2], 0.5))
DO(cross_entropy, sp_cross_entropy(t, x[0], ((const int[]){ 2, 0, 1 }), 0, REALS(1, 9, 0.5)))
DO(one_loss, sp_cross_entropy(t, x[0], ((const int[]){ 1 }), SP_IGNORE, NULL))
DO(no_ids, sp_cross_entropy(t, x[0], NULL, SP_IGNORE, NULL))
DO(cross_entropy_smooth, sp_cross_entropy_smooth(t, x[0], ((const int[]){ 2 }), SP_IGNORE, NULL, 0.3))
DO(cross_entropy_among, sp_cross_entropy_among(t, x[0], x[1], ((const int[]){ SP_OMIT_NONE, 0 })))
DO(kl_div, sp_kl_div(t, x[0], x[1]))
DO(bce_logits, sp_bce_logits(t, x[0], x[1], 2))
DO(huber, sp_huber(t, x[0], x[1], 2))
DO(gaussian_nll, sp_gaussian_nll(t, x[0], x[1], x[2], 1e-3))
DO(linear_chain, sp_linear_chain(t, x[0], x[1], x[2], x[1], ((const int[]){ 1, 0, 1 }), NULL,
                                 &((sp_ragged){ 2, (const long[]){ 2, 1 }, NULL })))
DO(ctc, sp_ctc(t, x[0], ((const int[]){ 0 }), ((const long[]){ 1, 0 }), 1, false, &((sp_ragged){ 2, (const long[]){ 2, 1 }, NULL })))
DO(odd_rows, sp_ctc(t, x[0], NULL, ((const long[]){ 0 }), 0, false, &((sp_ragged){ 1, (const long[]){ 2 }, (const int[]){ 0, 3 } })))
DO(no_lengths, sp_ctc(t, x[0], NULL, NULL, 0, false, &((sp_ragged){ .n = 2 })))
DO(sum, sp_sum(t, x[0], 0))
DO(sum_all, sp_sum(t, x[0], SP_ALL))
DO(sum_axis3, sp_sum(t, x[0], 3))
DO(mean, sp_mean(t, x[0], -1))
DO(mean_all, sp_mean(t, x[0], SP_ALL))
DO(max, sp_max(t, x[0], -1))
DO(max_all, sp_max(t, x[0], SP_ALL))
DO(slice, sp_slice(t, x[0], 1, 0, 2))
DO(slice_reversed, sp_slice(t, x[0], 0, 2, 1))
DO(index, sp_index(t, x[0], -1, 0))
DO(index4, sp_index(t, x[0], 0, 4))
DO(transpose, sp_transpose(t, x[0], 0, 1))
DO(reshape, sp_reshape(t, sp_transpose(t, x[0], 0, 1), SP_SHAPE(3, -1)))
DO(reshape_two, sp_reshape(t, x[0], SP_SHAPE(-1, -1)))
DO(reshape_huge, sp_reshape(t, x[0], SP_SHAPE(1L << 40, 1L << 40, -1)))
DO(reshape_rank5, sp_reshape(t, x[0], SP_SHAPE(1, 1, 1, 1, 6)))
DO(copy, sp_copy(t, x[0]))
DO(concat, sp_concat(t, 2, x, 0))
DO(concat_none, sp_concat(t, 0, x, 0))
DO(embedding, sp_embedding(t, x[0], ((const int[]){ 1, 0 }), 2))
DO(embed_none, sp_embedding(t, x[0], NULL, 0))
DO(lstm_gates, sp_lstm_gates(t, x[0], x[1], x[2]))
DO(gru_gates, sp_gru_gates(t, x[0], x[1], x[2]))
DO(attend, sp_attend(t, x[0], x[1], x[1], x[2], NULL, NULL, NULL))
DO(attend_unmasked, sp_attend(t, x[0], x[1], x[2], sp_full(t, 1, SP_SHAPE(2, 3)), NULL, NULL, NULL))
DO(attend_score, sp_attend(t, x[0], x[1], x[1], sp_full(t, 1, SP_SHAPE(2, 3)), x[2], NULL, NULL))
DO(attend_covering, sp_attend(t, x[0], x[1], x[1], sp_full(t, 1, SP_SHAPE(2, 3)), sp_full(t, 1, SP_SHAPE(4)), x[2], sp_full(t, 1, SP_SHAPE(4))))
DO(attend_no_score, sp_attend(t, x[0], x[1], x[1], x[2], NULL, x[2], NULL))

/* Shapes in tables. */
#define S1(a) { 1, { a } }
#define S2(a, b) { 2, { a, b } }
#define S3(a, b, c) { 3, { a, b, c } }
#define S4(a, b, c, d) { 4, { a, b, c, d } }

struct numbers {
    sp_shape shape;
    sp_real value[6];
};

/* Computed by hand, or in double where they are not round. The first value of every input reaches the result. */
static const struct value_case {
    sp_tensor *(*build)(sp_tape *t, sp_tensor **x);
    struct numbers in[3], out;
} value_cases[] = {
    { do_add, { { S2(2, 2), { 1, 2, 3, 4 } }, { S1(2), { 10, 20 } } }, { S2(2, 2), { 11, 22, 13, 24 } } },
    { do_sub, { { S2(2, 1), { 1, 2 } }, { S1(2), { 10, 20 } } }, { S2(2, 2), { -9, -19, -8, -18 } } },
    { do_mul, { { S1(3), { 1, -2, 3 } }, { { 0 }, { -4 } } }, { S1(3), { -4, 8, -12 } } },
    { do_div, { { S1(3), { 1, -2, 3 } }, { S1(1), { -4 } } }, { S1(3), { -0.25, 0.5, -0.75 } } },
    { do_maximum, { { S1(3), { 1, -2, 3 } }, { S1(3), { 0, 5, 3 } } }, { S1(3), { 1, 5, 3 } } },
    { do_lerp, { { S1(3), { 1, 2, 3 } }, { S1(3), { 5, 4, 9 } }, { S1(3), { 0.25, 1, 0 } } },
      { S1(3), { 2, 4, 3 } } },
    { do_where, { { S1(3), { 1, 0, -2 } }, { S1(3), { 5, 6, 7 } }, { S1(3), { 8, 9, 10 } } },
      { S1(3), { 5, 9, 7 } } },
    { do_scale, { { S1(2), { 2, -4 } } }, { S1(2), { -3, 6 } } },
    { do_neg, { { S1(2), { 2, -4 } } }, { S1(2), { -2, 4 } } },
    { do_sigmoid, { { S1(3), { -1, 0, 2 } } }, { S1(3), { 0.2689414213699951, 0.5, 0.8807970779778823 } } },
    { do_log_sigmoid, { { S1(3), { -200, 0, 2 } } }, { S1(3), { -200, -0.6931471805599453, -0.1269280110429725 } } },
    { do_tanh, { { S1(3), { -1, 0, 2 } } }, { S1(3), { -0.7615941559557649, 0, 0.9640275800758169 } } },
    { do_relu, { { S1(3), { -1, 0, 2 } } }, { S1(3), { 0, 0, 2 } } },
    { do_exp, { { S1(3), { -1, 0, 2 } } }, { S1(3), { 0.36787944117144233, 1, 7.38905609893065 } } },
    { do_log, { { S1(3), { 1, 2, 10 } } }, { S1(3), { 0, 0.6931471805599453, 2.302585092994046 } } },
    { do_sqrt, { { S1(3), { 0, 2, 9 } } }, { S1(3), { 0, 1.4142135623730951, 3 } } },
    { do_abs, { { S1(3), { -1, 0, 2 } } }, { S1(3), { 1, 0, 2 } } },
    { do_dropout, { { S1(3), { -1, 0, 2 } } }, { S1(3), { -1, 0, 2 } } },
    { do_matmul, { { S2(2, 3), { 1, 2, 3, 4, 5, 6 } }, { S2(3, 1), { 1, 0, -1 } } },
      { S2(2, 1), { -2, -2 } } },
    { do_affine, { { S1(2), { 1, 2 } }, { S2(2, 2), { 1, 2, 3, 4 } }, { S1(2), { 10, 20 } } },
      { S1(2), { 17, 30 } } },
    { do_conv, { { S3(1, 1, 3), { 1, 2, 3 } }, { S3(1, 1, 2), { 10, 1 } } }, { S3(1, 1, 4), { 1, 12, 23, 30 } } },
    { do_max_pool, { { S3(1, 1, 4), { 1, 2, 4, 3 } } }, { S3(1, 1, 3), { 2, 4, 4 } } },
    { do_avg_pool, { { S3(1, 1, 4), { 1, 2, 4, 3 } } }, { S3(1, 1, 2), { 1, (sp_real)(7 / 3.0) } } },
    { do_batch_norm, { { S2(2, 2), { 1, 2, 2, 4 } }, { S1(2), { 4, 1 } }, { S1(2), { 0.5, 0.5 } } },
      { S2(2, 2), { -1.5, 0.5 - 1 / 1.3228756555322953, 2.5, 0.5 + 1 / 1.3228756555322953 } } },
    { do_softmax, { { S1(3), { 1, 2, 3 } } },
      { S1(3), { 0.09003057317038046, 0.24472847105479767, 0.6652409557748219 } } },
    { do_softmax, { { S1(3), { 1e4, -1e4, 0 } } }, { S1(3), { 1, 0, 0 } } },
    { do_masked_softmax, { { S1(3), { -2e30, 0, -3e30 } }, { S1(3), { 1, 0, 1 } } }, { S1(3), { 1, 0, 0 } } },
    { do_masked_softmax, { { S1(3), { 1e30, 0, -1e30 } }, { S1(3), { 0, 0.5, 0 } } }, { S1(3), { 0, 1, 0 } } },
    { do_masked_softmax, { { S2(3, 2), { NAN, 9, 7, 7, 1, 2 } }, { S2(3, 2), { 0, INFINITY, -1, 1, 0, 0 } } },
      { S2(3, 2), { 0, 1, 0.5, 0.5, 0, 0 } } },
    { do_masked_softmax, { { S3(2, 1, 2), { 9, 9, 8, 3 } }, { S3(2, 1, 1), { 1, 0 } } }, { S3(2, 1, 2), { 0.5, 0.5, 0, 0 } } },
    { do_masked_softmax, { { S3(1, 2, 3), { 9, 1, 1, 9, 9, 9 } }, { S2(1, 3), { 0, 1, 1 } } },
      { S3(1, 2, 3), { 0, 0.5, 0.5, 0, 0.5, 0.5 } } },
    { do_log_softmax, { { S1(3), { 1, 2, 3 } } },
      { S1(3), { -2.40760596444438, -1.4076059644443801, -0.40760596444438013 } } },
    { do_log_softmax, { { S1(3), { 1e4, -1e4, 0 } } }, { S1(3), { 0, -2e4, -1e4 } } },
    { do_layer_norm, { { S1(4), { 1, 2, 3, 6 } }, { S1(4), { 1, 2, 1, 2 } }, { S1(4), { 0, 0, 1, 0 } } },
      { S1(4), { -1, -1, 1, 3 } } },
    { do_cross_entropy, { { S2(3, 3), { 1, 2, 3, NAN, 0, 0 } } },
      { S1(3), { 0.40760596444438013, 0, 0.5493061443340549 } } },
    { do_one_loss, { { S1(3), { 1e4, -1e4, 0 } } }, { { 0 }, { 2e4 } } },
    { do_cross_entropy_smooth, { { S2(1, 3), { 1, 2, 3 } } }, { S1(1), { 0.7076059644443804 } } },
    { do_cross_entropy_among, { { S1(2), { 1, 3 } }, { S2(2, 1), { 1, 1e4 } } }, { S1(2), { 0.6931471805599453, 0 } } },
    { do_kl_div, { { S2(2, 2), { -1, -2, 0, 0 } }, { S2(2, 2), { 0.5, 0.5, 0, 1 } } }, { S1(2), { 0.8068528194400547, 0 } } },
    { do_bce_logits, { { S1(3), { 0, -1e4, 1e4 } }, { S1(3), { 0.5, 1, 0 } } }, { S1(3), { 1.0397207708399179, 2e4, 1e4 } } },
    { do_huber, { { S1(4), { 1, -1, 9, -9 } }, { S1(4), { 1, 1, 1, 1 } } }, { S1(4), { 0, 2, 14, 18 } } },
    { do_gaussian_nll, { { S2(2, 1), { 1, 2 } }, { S1(1), { 0 } }, { S2(2, 1), { 3, 2 } } }, { S2(2, 1), { 2, 0 } } },
    { do_linear_chain, { { S2(3, 2), { 1, 2, 3, -1, 0.5, 1 } }, { S1(2), { 0.25, -0.5 } }, { S2(2, 2), { 1, 2, -1, 0.5 } } },
      { S1(2), { 1.9356739614553993, 1.3132616875182228 } } },
    { do_ctc, { { S2(3, 2), { 1, 2, 3, -1, 0.5, 1 } } }, { S1(2), { 0.0132361861885784, 0.4740769841801068 } } },
    { do_sum, { { S2(2, 2), { 1, 2, 3, 4 } } }, { S1(2), { 4, 6 } } },
    { do_sum_all, { { S2(2, 2), { 1, 2, 3, 4 } } }, { { 0 }, { 10 } } },
    { do_mean, { { S2(2, 2), { 1, 2, 3, 4 } } }, { S1(2), { 1.5, 3.5 } } },
    { do_mean_all, { { S2(2, 2), { 1, 2, 3, 4 } } }, { { 0 }, { 2.5 } } },
    { do_max, { { S2(2, 2), { 1, 2, 4, 3 } } }, { S1(2), { 2, 4 } } },
    { do_max_all, { { S2(2, 2), { 1, 2, 4, 3 } } }, { { 0 }, { 4 } } },
    { do_slice, { { S2(2, 3), { 1, 2, 3, 4, 5, 6 } } }, { S2(2, 2), { 1, 2, 4, 5 } } },
    { do_index, { { S2(2, 3), { 1, 2, 3, 4, 5, 6 } } }, { S1(2), { 1, 4 } } },
    { do_transpose, { { S2(2, 3), { 1, 2, 3, 4, 5, 6 } } }, { S2(3, 2), { 1, 4, 2, 5, 3, 6 } } },
    { do_reshape, { { S2(2, 3), { 1, 2, 3, 4, 5, 6 } } }, { S2(3, 2), { 1, 4, 2, 5, 3, 6 } } },
    { do_copy, { { S1(2), { 1, 2 } } }, { S1(2), { 1, 2 } } },
    { do_concat, { { S2(1, 2), { 1, 2 } }, { S2(2, 2), { 3, 4, 5, 6 } } }, { S2(3, 2), { 1, 2, 3, 4, 5, 6 } } },
    { do_embedding, { { S2(2, 2), { 1, 2, 3, 4 } } }, { S2(2, 2), { 3, 4, 1, 2 } } },
    { do_lstm_gates, { { S2(1, 4), { 0.5, -1, 2, 0.25 } }, { S2(1, 4), { 0.5, 1, -1, 0.75 } }, { S2(1, 1), { 2 } } },
      { S2(1, 2), { 0.6688422910638563, 1.5567699411459397 } } },
    { do_gru_gates, { { S2(1, 3), { 1, -1, 0.5 } }, { S2(1, 3), { -0.5, 2, 0.25 } }, { S2(1, 1), { -2 } } },
      { S2(1, 1), { -1.3073581239464263 } } },
    { do_attend, { { S2(1, 2), { 0.5, 1 } }, { S3(1, 3, 2), { 2, 1, 4, -2, 0, 1 } }, { S2(1, 3), { 1, 0, 1 } } },
      { S2(1, 5), { 1.4621171572600098, 1, 0.7310585786300049, 0, 0.2689414213699951 } } },
    { do_attend, { { S2(1, 2), { 0.5, 1 } }, { S3(1, 2, 2), { 2, 1, 4, -2 } }, { S2(1, 2), { 0, 0 } } }, { S2(1, 4), { 0 } } },
};

enum { VALUE_CASES = sizeof value_cases / sizeof *value_cases };

static int inputs_of(const struct value_case *c)
{
    static const struct numbers none;
    int n = 0;
    while (n < 3 && memcmp(&c->in[n], &none, sizeof none))
        n++;
    return n;
}

static sp_tensor *build_case(sp_tape *t, const struct value_case *c, sp_tensor **x)
{
    for (int i = 0; i < inputs_of(c); i++) {
        sp_real all[9] = { 0 };
        memcpy(all, c->in[i].value, sizeof c->in[i].value);
        x[i] = sp_variable(t, all, c->in[i].shape);
    }
    return c->build(t, x);
}

START_TEST(values)
{
    const struct value_case *c = &value_cases[_i];
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *x[3], *y = build_case(t, c, x);
    ck_tape_ok(t);
    sp_real got[6];
    const char *name = sp_tape_last(t)->op->name;
    ck_assert_msg(sp_shape_equal(sp_shape_get(y), c->out.shape), "case %d, %s: shape", _i, name);
    sp_read(y, got);
    for (long i = 0; i < sp_shape_size(c->out.shape); i++) {
        double want = (double)c->out.value[i];      /* a few roundings of 2^-53 or 2^-24 */
        ck_assert_msg(fabs((double)got[i] - want) <= WIDE(1e-14, 4e-7) * (1 + fabs(want)),
                      "case %d, %s[%ld]: %.17g, not %.17g", _i, name, i, (double)got[i], want);
    }
    sp_tape_free(t);
}
END_TEST

/* A NaN is never hidden, but for the masks of where, masked_softmax and attend and what those do not choose; nothing crashes. */
START_TEST(odd_values)
{
    const double odd[] = { NAN, INFINITY, -INFINITY };
    struct value_case c = value_cases[_i];
    for (int i = 0; i < inputs_of(&value_cases[_i]); i++)
        for (int k = 0; k < 3; k++) {
            c = value_cases[_i];
            c.in[i].value[0] = (sp_real)odd[k];
            sp_tape *t = sp_tape_new(NULL);
            sp_tensor *x[3], *y = build_case(t, &c, x), *loss = sp_sum(t, y, SP_ALL);
            ck_tape_ok(t);
            bool chosen = (c.build != do_where || i == 1) && (c.build != do_attend || (i != 2 && c.in[2].value[0] != 0))
                          && (c.build != do_masked_softmax || (i != 1 && c.in[1].value[0] != 0));
            ck_assert_msg(k || !chosen || isnan(sp_item(loss)), "case %d: a NaN in input %d is hidden", _i, i);
            ck_assert(sp_backward(t, loss));
            sp_tape_free(t);
        }
}
END_TEST

START_TEST(null_inputs)
{
    const struct value_case *c = &value_cases[_i];
    for (int i = 0; i < inputs_of(c); i++) {
        sp_tape *t = sp_tape_new(NULL);
        sp_tensor *x[3];
        build_case(t, c, x);
        ck_tape_ok(t);
        x[i] = NULL;
        ck_assert_msg(!sp_sound(c->build(t, x)) && !sp_ok(t), "case %d: input %d may be NULL", _i, i);
        ck_assert_ptr_nonnull(strstr(sp_error(t), "NULL"));
        ck_assert_ptr_null(c->build(NULL, x));
        sp_tape_free(t);
    }
}
END_TEST

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

#define NEEDED "[B,u], [B,S,u], [B,S,w], [B,S], or [B,T,u] and [B,1,S]"

/* What comes of zeros of these shapes: a shape, or an error. */
static const struct shape_case {
    sp_tensor *(*build)(sp_tape *t, sp_tensor **x);
    sp_shape in[3], out;
    const char *error;
} shape_cases[] = {
    { do_add, { S2(0, 3), S1(3) }, S2(0, 3), NULL },
    { do_add, { S2(1, 3), S2(0, 3) }, S2(0, 3), NULL },
    { do_where, { S1(0), S1(0), S1(0) }, S1(0), NULL },
    { do_exp, { S2(3, 0) }, S2(3, 0), NULL },
    { do_dropout, { S2(0, 3) }, S2(0, 3), NULL },
    { do_matmul, { S2(0, 3), S2(3, 2) }, S2(0, 2), NULL },
    { do_matmul, { S2(2, 0), S2(0, 2) }, S2(2, 2), NULL },
    { do_affine, { S3(2, 0, 3), S2(3, 2), S1(2) }, S3(2, 0, 2), NULL },
    { do_conv, { S3(0, 2, 3), S3(4, 2, 2) }, S3(0, 4, 4), NULL },
    { do_conv_bias, { S4(2, 3, 5, 7), S4(4, 3, 3, 3), S1(4) }, S4(2, 4, 2, 5), NULL },
    { do_max_pool, { S3(2, 0, 3) }, S3(2, 0, 2), NULL },
    { do_avg_pool, { S3(0, 2, 3) }, S3(0, 2, 1), NULL },
    { do_batch_norm, { S2(0, 3), S1(3), S1(3) }, S2(0, 3), NULL },
    { do_softmax, { S2(0, 3) }, S2(0, 3), NULL },
    { do_softmax, { S2(2, 0) }, S2(2, 0), NULL },
    { do_masked_softmax, { S2(0, 3), S1(3) }, S2(0, 3), NULL },
    { do_masked_softmax, { S2(2, 0), S2(2, 0) }, S2(2, 0), NULL },
    { do_masked_softmax, { { 0 }, { 0 } }, { 0 }, NULL },
    { do_log_softmax, { S3(2, 0, 3) }, S3(2, 0, 3), NULL },
    { do_log_softmax, { S2(2, 0) }, S2(2, 0), NULL },
    { do_layer_norm, { S2(0, 3), S1(3), S1(3) }, S2(0, 3), NULL },
    { do_layer_norm, { S2(2, 0), S1(0), S1(0) }, S2(2, 0), NULL },
    { do_no_ids, { S2(0, 3) }, S1(0), NULL },
    { do_sum, { S2(0, 3) }, S1(3), NULL },
    { do_sum_all, { S2(0, 3) }, { 0 }, NULL },
    { do_mean, { S2(3, 0) }, S1(3), NULL },
    { do_max, { S2(0, 3) }, S1(0), NULL },
    { do_slice, { S2(0, 3) }, S2(0, 2), NULL },
    { do_index, { S2(0, 3) }, S1(0), NULL },
    { do_transpose, { S2(0, 3) }, S2(3, 0), NULL },
    { do_reshape, { S2(0, 3) }, S2(3, 0), NULL },
    { do_copy, { S2(0, 3) }, S2(0, 3), NULL },
    { do_concat, { S2(0, 3), S2(2, 3) }, S2(2, 3), NULL },
    { do_embed_none, { S2(4, 3) }, S2(0, 3), NULL },
    { do_lstm_gates, { S2(0, 8), S2(0, 8), S2(0, 2) }, S2(0, 4), NULL },
    { do_gru_gates, { S2(0, 6), S2(0, 6), S2(0, 2) }, S2(0, 2), NULL },
    { do_attend, { S2(0, 4), S3(0, 3, 4), S2(0, 3) }, S2(0, 7), NULL },
    { do_attend, { S2(2, 4), S3(2, 0, 4), S2(2, 0) }, S2(2, 4), NULL },
    { do_attend, { S2(2, 0), S3(2, 3, 0), S2(2, 3) }, S2(2, 3), NULL },
    { do_attend, { S3(2, 0, 4), S3(2, 3, 4), S2(2, 3) }, S3(2, 0, 7), NULL },

    { do_add, { S2(2, 3), S1(4) }, { 0 }, "add: [2,3] and [4] do not broadcast: 3 != 4" },
    { do_sub, { S1(3), S2(2, 2) }, { 0 }, "sub: [3] and [2,2] do not broadcast: 3 != 2" },
    { do_mul, { S1(3), S1(0) }, { 0 }, "mul: [3] and [0] do not broadcast: 3 != 0" },
    { do_div, { S1(3), S1(2) }, { 0 }, "div: [3] and [2] do not broadcast: 3 != 2" },
    { do_maximum, { S1(3), S1(2) }, { 0 }, "maximum: [3] and [2] do not broadcast: 3 != 2" },
    { do_lerp, { S1(1), S1(3), S1(2) }, { 0 }, "lerp: [3] and [2] do not broadcast: 3 != 2" },
    { do_masked_softmax, { S2(2, 3), S1(2) }, { 0 }, "masked_softmax: [2,3] with the mask [2]: it does not broadcast" },
    { do_masked_softmax, { S2(1, 3), S2(2, 3) }, { 0 }, "masked_softmax: [1,3] with the mask [2,3]: it does not broadcast" },
    { do_masked_softmax, { S2(1, 3), S3(1, 1, 3) }, { 0 }, "masked_softmax: [1,3] with the mask [1,1,3]: it does not broadcast" },
    { do_where, { S1(2), S1(3), S1(3) }, { 0 }, "where: [2] and [3] do not broadcast: 2 != 3" },
    { do_mul, { S2(1 << 21, 1), S1(1 << 21) }, { 0 }, "mul: the result [2097152,2097152] is too large" },
    { do_dropout_all, { S1(3) }, { 0 }, "dropout: the rate is 1, not in 0 <= p < 1" },
    { do_matmul, { S2(32, 64), S2(100, 8) }, { 0 }, "matmul: [32,64] x [100,8]: inner 64 != 100" },
    { do_matmul, { S3(2, 3, 4), S3(5, 4, 3) }, { 0 }, "matmul: [2,3,4] x [5,4,3]: leading 2 != 5" },
    { do_matmul, { S4(2, 2, 3, 4), S3(2, 4, 3) }, { 0 }, "matmul: [2,2,3,4] x [2,4,3]: 2 and 1 leading axes" },
    { do_matmul, { S1(3), S2(3, 4) }, { 0 }, "matmul: [3] x [3,4]: both need two axes" },
    { do_affine, { S2(2, 3), S2(4, 5), S1(5) }, { 0 }, "affine: [2,3] x [4,5]: inner 3 != 4" },
    { do_affine, { S2(2, 3), S2(3, 5), S1(4) }, { 0 }, "affine: [2,3] x [3,5] + [4]: bias 4 != 5" },
    { do_affine, { S2(2, 3), S1(3), S1(4) }, { 0 }, "affine: [2,3] x [3] + [4]: needs [...,k] x [k,n] + [n]" },
    { do_layer_norm, { S2(2, 3), S1(4), S1(3) }, { 0 },
      "layer_norm: [2,3] with gain [4] and bias [3]: they need the 3 of the last axis" },
    { do_cross_entropy, { S2(3, 2) }, { 0 }, "cross_entropy: id 2 in row 0 is not in 0..1" },
    { do_cross_entropy, { S2(3, 0) }, { 0 }, "cross_entropy: [3,0] has no classes" },
    { do_no_ids, { S2(3, 2) }, { 0 }, "cross_entropy: no ids" },
    { do_linear_chain, { S2(3, 2), S1(2), S2(2, 3) }, { 0 },
      "linear_chain: scores [3,2], start [2], transitions [2,3], end [2]: needs [rows,k], [k], [k,k] and [k]" },
    { do_linear_chain, { S2(4, 2), S1(2), S2(2, 2) }, { 0 }, "linear_chain: 4 rows for 3 steps" },
    { do_linear_chain, { S2(3, 1), S1(1), S2(1, 1) }, { 0 }, "linear_chain: tag 1 at step 0 of sequence 0 is not in 0..0" },
    { do_ctc, { S2(3, 1) }, { 0 }, "ctc: the blank 1 is not in 0..0" },
    { do_odd_rows, { S2(3, 2) }, { 0 }, "ctc: row 3 at place 1 is not in 0..2" },
    { do_no_lengths, { S2(3, 2) }, { 0 }, "ctc: 2 sequences, and no lengths" },
    { do_sum, { { 0 } }, { 0 }, "sum: [] has no axis 0" },
    { do_sum_axis3, { S2(2, 3) }, { 0 }, "sum: [2,3] has no axis 3" },
    { do_mean, { { 0 } }, { 0 }, "mean: [] has no axis -1" },
    { do_max, { S2(3, 0) }, { 0 }, "max: [3,0] has no elements along axis 1" },
    { do_max_all, { S2(3, 0) }, { 0 }, "max: [0] has no elements along axis 0" },
    { do_slice, { S2(2, 1) }, { 0 }, "slice: [2,1] has no indices 0 to 2 along axis 1" },
    { do_slice, { S1(3) }, { 0 }, "slice: [3] has no axis 1" },
    { do_slice_reversed, { S1(3) }, { 0 }, "slice: [3] has no indices 2 to 1 along axis 0" },
    { do_index, { S2(2, 0) }, { 0 }, "index: [2,0] has no index 0 along axis 1" },
    { do_index4, { S1(4) }, { 0 }, "index: [4] has no index 4 along axis 0" },
    { do_transpose, { S1(3) }, { 0 }, "transpose: [3] has no axis 1" },
    { do_reshape, { S2(2, 2) }, { 0 }, "reshape: [2,2] to [3,-1]: no size fits for -1" },
    { do_reshape_two, { S2(2, 2) }, { 0 }, "reshape: [2,2] to [-1,-1]: more than one -1" },
    { do_reshape_huge, { S1(2) }, { 0 }, "reshape: [2] to [1099511627776,1099511627776,-1]: no size fits for -1" },
    { do_reshape_rank5, { S1(6) }, { 0 }, "reshape: [6] to [1,1,1,1,...]: 6 elements are not -1" },
    { do_concat, { S2(2, 3), S2(2, 4) }, { 0 }, "concat: [2,3] and [2,4] (number 2) differ beside axis 0" },
    { do_concat, { S2(2, 3), S1(3) }, { 0 }, "concat: [2,3] and [3] (number 2) differ beside axis 0" },
    { do_concat_none, { { 0 } }, { 0 }, "concat: 0 inputs" },
    { do_embedding, { S2(1, 2) }, { 0 }, "embedding: id 1 at position 0 is not in 0..0" },
    { do_embedding, { S1(2) }, { 0 }, "embedding: the table has the shape [2], not [ids,width]" },
    { do_lstm_gates, { S2(2, 8), S2(2, 8), S2(2, 3) }, { 0 },
      "lstm_gates: gates [2,8] and [2,8] with state [2,3]: needs [B,4H], [B,4H] and [B,H]" },
    { do_gru_gates, { S2(2, 6), S2(2, 9), S2(2, 2) }, { 0 },
      "gru_gates: gates [2,6] and [2,9] with state [2,2]: needs [B,3H], [B,3H] and [B,H]" },
    { do_attend, { S2(2, 4), S3(2, 3, 5), S2(2, 3) }, { 0 },
      "attend: query [2,4], keys [2,3,5], values [2,3,5], mask [2,3]: needs " NEEDED },
    { do_attend, { S2(3, 4), S3(2, 3, 4), S2(2, 3) }, { 0 },
      "attend: query [3,4], keys [2,3,4], values [2,3,4], mask [2,3]: needs " NEEDED },
    { do_attend, { S2(2, 4), S3(2, 3, 4), S2(2, 4) }, { 0 },
      "attend: query [2,4], keys [2,3,4], values [2,3,4], mask [2,4]: needs " NEEDED },
    { do_attend, { S1(4), S3(2, 3, 4), S2(2, 3) }, { 0 },
      "attend: query [4], keys [2,3,4], values [2,3,4], mask [2,3]: needs " NEEDED },
    { do_attend_unmasked, { S2(2, 4), S3(2, 3, 4), S3(2, 2, 4) }, { 0 },
      "attend: query [2,4], keys [2,3,4], values [2,2,4], mask [2,3]: needs " NEEDED },
    { do_attend_score, { S2(2, 4), S3(2, 3, 4), S1(3) }, { 0 }, "attend: score [3] for keys [2,3,4]: needs [4]" },
    { do_attend_covering, { S2(2, 4), S3(2, 3, 4), S2(2, 2) }, { 0 },
      "attend: coverage [2,2], query [2,4], mask [2,3]: needs [B,S], [B,u], [B,S]" },
    { do_attend_no_score, { S2(2, 4), S3(2, 3, 4), S2(2, 3) }, { 0 },
      "attend: coverage needs a score and a weight, and a weight needs coverage" },
};

#undef NEEDED

START_TEST(shapes)
{
    const struct shape_case *c = &shape_cases[_i];
    char text[SP_SHAPE_TEXT];
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *x[3];
    for (int i = 0; i < 3; i++)
        x[i] = sp_mul(t, sp_full(t, 0, c->in[i]), sp_variable(t, REALS(0), SP_SCALAR));
    sp_tensor *y = c->build(t, x);
    if (c->error) {
        ck_assert_str_eq(sp_error(t), c->error);
    } else {
        ck_tape_ok(t);
        ck_assert_msg(sp_shape_equal(sp_shape_get(y), c->out), "case %d, %s: the shape %s", _i,
                      sp_tape_last(t)->op->name, sp_shape_format(text, sp_shape_get(y)));
        sp_tensor *loss = sp_add(t, sp_sum(t, y, SP_ALL), sp_variable(t, REALS(0), SP_SCALAR));
        ck_assert(sp_backward(t, loss));
    }
    sp_tape_free(t);
}
END_TEST

/* Ways to get a tensor of 24 elements whose memory is not in order. */
static sp_tensor *disordered(sp_tape *t, int way)
{
    sp_real number[96];
    for (int i = 0; i < 96; i++)
        number[i] = (sp_real)i;
    sp_tensor *plain = sp_feed(t, number, SP_SHAPE(2, 3, 4)), *large = sp_feed(t, number, SP_SHAPE(4, 4, 6));
    switch (way) {
    case 0:  return plain;
    case 1:  return sp_transpose(t, plain, 0, 2);
    case 2:  return sp_transpose(t, plain, 1, 2);
    case 3:  return sp_slice(t, sp_slice(t, large, 1, 1, 3), 2, 0, 3);
    case 4:  return sp_slice(t, large, 0, 2, 3);
    case 5:  return sp_transpose(t, sp_index(t, large, 0, 1), 0, 1);
    case 6:  return sp_index(t, large, 1, 2);
    case 7:  return sp_slice(t, sp_slice(t, large, 1, 0, 1), 2, 0, 6);
    default: return NULL;
    }
}

/* Where the elements lie, row-major. */
static void offsets(const sp_tensor *x, long out[24])
{
    sp_view v = x->view;
    for (long n = 0; n < 24; n++) {
        long rest = n;
        out[n] = 0;
        for (int k = v.shape.rank - 1; k >= 0; rest /= v.shape.dim[k--])
            out[n] += rest % v.shape.dim[k] * v.stride[k];
    }
}

/* Are there strides with which offsets are reached in this shape? Each would have to be the way of one step. */
static bool strides_exist(const long at[24], sp_shape shape)
{
    for (long n = 0; n < 24; n++) {
        long reached = 0, rest = n, step = 1;
        for (int k = shape.rank - 1; k >= 0; k--) {
            long index = rest % shape.dim[k];
            rest /= shape.dim[k];
            reached += shape.dim[k] > 1 ? index * (at[step] - at[0]) : 0;
            step *= shape.dim[k];
        }
        if (reached != at[n] - at[0])
            return false;
    }
    return true;
}

/* The right elements, and a copy exactly where strides cannot do it. */
START_TEST(reshape_views)
{
    const sp_shape to[] = { S1(24), S2(24, 1), S2(2, 12), S2(12, 2), S2(4, 6), S2(6, 4),
                            S2(3, 8), S2(8, 3), S3(2, 3, 4), S3(4, 3, 2), S3(4, 2, 3),
                            S4(2, 2, 2, 3), S4(4, 1, 6, 1), S4(1, 2, 1, 12), S4(2, 3, 2, 2) };
    int views = 0, copies = 0;
    for (size_t k = 0; k < sizeof to / sizeof *to; k++)
        for (int way = 0; way < 8; way++) {
            sp_tape *t = sp_tape_new(NULL);
            sp_tensor *x = disordered(t, way);
            sp_real want[24], got[24];
            long at[24], before = sp_tape_length(t);
            sp_tensor *y = sp_reshape(t, x, to[k]);
            ck_tape_ok(t);
            ck_assert(sp_shape_equal(sp_shape_get(y), to[k]));
            sp_read(x, want);
            sp_read(y, got);
            ck_same(got, want, 24);
            offsets(x, at);
            bool copied = sp_tape_length(t) == before + 2;
            ck_assert_msg(copied != strides_exist(at, to[k]), "way %d to shape %zu: copied %d", way, k, copied);
            views += !copied;
            copies += copied;
            sp_tape_free(t);
        }
    ck_assert_int_gt(views, 20);
    ck_assert_int_gt(copies, 20);
}
END_TEST

/* ---- single operations ----------------------------------------------------------------------------------------- */

START_TEST(huge_logits_have_gradients)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[6];
    sp_tensor *x = sp_variable(t, REALS(1e4, -1e4, 0, -1e4, 1e4, 1e4), SP_SHAPE(2, 3));
    sp_backward(t, sp_sum(t, sp_cross_entropy(t, x, (const int[]){ 1, 2 }, SP_IGNORE, NULL), SP_ALL));
    ck_tape_ok(t);
    sp_read_grad(x, got);
    ck_same(got, REALS(1, -1, 0, 0, 0.5, -0.5), 6);
    sp_tape_free(t);
}
END_TEST

START_TEST(ignored_rows_have_no_gradient)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[4];
    sp_tensor *x = sp_variable(t, REALS(NAN, INFINITY, 0, 0), SP_SHAPE(2, 2));
    sp_backward(t, sp_sum(t, sp_cross_entropy(t, x, (const int[]){ SP_IGNORE, 1 }, SP_IGNORE, REALS(1, 3)), SP_ALL));
    ck_tape_ok(t);
    sp_read_grad(x, got);
    ck_same(got, REALS(0, 0, 1.5, -1.5), 4);
    sp_tape_free(t);
}
END_TEST

/* The caller may change ids and weights as soon as the call returns. */
START_TEST(ids_are_copied)
{
    sp_tape *t = sp_tape_new(NULL);
    int ids[] = { 1, 0 };
    sp_real weight[] = { 1, 2 }, got[4];
    sp_tensor *x = sp_variable(t, REALS(0, 0, 0, 0), SP_SHAPE(2, 2));
    sp_tensor *loss = sp_sum(t, sp_cross_entropy(t, sp_embedding(t, x, ids, 2), ids, SP_IGNORE, weight), SP_ALL);
    ids[0] = ids[1] = 99;
    weight[0] = weight[1] = 99;
    ck_assert(sp_backward(t, loss));
    sp_read_grad(x, got);
    ck_same(got, REALS(-1, 1, 0.5, -0.5), 4);
    sp_tape_free(t);
}
END_TEST

/* Adding one after the other in float32 gives 100958, 1 % off; by halves the error grows with log n: about 1e-7. */
START_TEST(long_sums)
{
    const long n = 1000000;
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *x = sp_full(t, (sp_real)0.1f, SP_SHAPE(n));
    double want = (double)n * (double)0.1f;
    ck_assert_double_eq_tol((double)sp_item(sp_sum(t, x, 0)) / want, 1, 1e-6);
    ck_assert_double_eq_tol((double)sp_item(sp_sum(t, x, SP_ALL)) / want, 1, 1e-6);
    ck_assert_double_eq_tol((double)sp_item(sp_mean(t, x, SP_ALL)) / (double)0.1f, 1, 1e-6);
    sp_tensor *table = sp_reshape(t, x, SP_SHAPE(1000, 1000));
    ck_assert_double_eq_tol((double)sp_item(sp_sum(t, sp_transpose(t, table, 0, 1), SP_ALL)) / want, 1, 1e-6);
    ck_tape_ok(t);
    sp_tape_free(t);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("ops");
    TCase *c = tcase_create("gradients");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, gradient, 0, operations());
    tcase_add_loop_test(c, freed_values, 0, operations());
    suite_add_tcase(s, c);
    c = tcase_create("costs");
    tcase_add_loop_test(c, costs, 0, operations());
    tcase_add_test(c, costs_by_hand);
    suite_add_tcase(s, c);
    c = tcase_create("values");
    tcase_add_loop_test(c, values, 0, VALUE_CASES);
    tcase_add_loop_test(c, odd_values, 0, VALUE_CASES);
    tcase_add_loop_test(c, null_inputs, 0, VALUE_CASES);
    suite_add_tcase(s, c);
    c = tcase_create("shapes");
    tcase_add_loop_test(c, shapes, 0, sizeof shape_cases / sizeof *shape_cases);
    tcase_add_test(c, reshape_views);
    suite_add_tcase(s, c);
    c = tcase_create("single");
    tcase_add_test(c, huge_logits_have_gradients);
    tcase_add_test(c, ignored_rows_have_no_gradient);
    tcase_add_test(c, ids_are_copied);
    tcase_add_test(c, long_sums);
    suite_add_tcase(s, c);
    return s;
}
