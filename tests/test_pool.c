/* What is done to ragged batches as a whole: time reversal, one mask over time, pooling; against plain loops. */
#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/init.h"
#include "nn/locked_dropout.h"
#include "nn/pool.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { W = 5, B = 4, ROWS = 12, H = 3 };

static const long lengths[B] = { 3, 5, 1, 3 };          /* row begin[i] + k is step k of sequence i */
static const long begins[B] = { 0, 3, 8, 9 };

static sp_store *s;
static sp_param *xs;
static sp_pool_attention attention;
static sp_tape *t;
static sp_real x[ROWS][W];

static void begin(void)
{
    s = sp_store_new(1);
    sp_init_uniform(xs = sp_store_add(s, SP_SHAPE(ROWS, W), "xs"), -1, 1);
    attention = sp_pool_attention_make(s, "pool", W, H);
    memcpy(x, sp_param_read(xs), sizeof x);
    t = sp_tape_new(s);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(s);
}

static sp_seq ragged(void)
{
    return sp_seq_pack(t, sp_param_on(t, xs), lengths, B);
}

static void near(sp_real a, double b)
{
    ck_each(fabs((double)a - b) <= WIDE(1e-14, 1e-6), "%.9g is not %.9g", (double)a, b);
}

/* ---- time reversal --------------------------------------------------------------------------------------------- */

START_TEST(reversal)
{
    sp_real y[ROWS][W], again[ROWS][W];
    sp_seq seq = ragged(), back = sp_seq_reverse(t, seq);
    ck_assert(sp_read(sp_seq_unpack(t, back), y[0]) && sp_read(sp_seq_reverse(t, back).rows, again[0]));
    for (int i = 0; i < B; i++)
        for (long k = 0; k < lengths[i]; k++)
            ck_same(y[begins[i] + k], x[begins[i] + lengths[i] - 1 - k], W);
    sp_real rows[ROWS][W];
    ck_assert(sp_read(seq.rows, rows[0]));
    ck_same(again, rows, ROWS * W);
    sp_tensor *even = sp_reshape(t, sp_param_on(t, xs), SP_SHAPE(3, B, W));
    ck_assert(sp_read(sp_seq_tensor(t, sp_seq_reverse(t, sp_seq_of(t, even))), y[0]));
    ck_same(y, x[2 * B], B * W);
    ck_same(y[2 * B], x, B * W);
}
END_TEST

START_TEST(numbers)
{
    sp_seq seq = ragged();
    sp_real rows[ROWS][W];
    const int *number = sp_seq_numbers(t, seq);
    ck_assert(sp_read(seq.rows, rows[0]));
    for (long step = 0; step < 5; step++)
        for (long r = seq.layout->offset[step]; r < seq.layout->offset[step + 1]; r++)
            ck_same(rows[r], x[begins[number[r]] + step], W);
}
END_TEST

/* ---- one mask over time ---------------------------------------------------------------------------------------- */

/* Each sequence and feature is kept, at 1 / (1 - p), or lost as a whole; and not all alike. */
START_TEST(locked)
{
    const double p = 0.4;
    sp_real y[ROWS][W];
    sp_seq seq = ragged();
    ck_assert(sp_read(sp_seq_unpack(t, sp_locked_dropout_seq(t, seq, p)), y[0]));
    int lost = 0;
    for (int i = 0; i < B; i++)
        for (int j = 0; j < W; j++) {
            const bool gone = y[begins[i]][j] == 0;
            lost += gone;
            for (long k = begins[i]; k < begins[i] + lengths[i]; k++)
                near(y[k][j], gone ? 0 : (double)x[k][j] / (1 - p));
        }
    ck_assert(lost > 0 && lost < B * W);
    sp_tape_set_training(t, false);
    ck_assert_ptr_eq(sp_locked_dropout_seq(t, seq, p).rows, seq.rows);
    sp_tape_set_training(t, true);
    ck_assert_ptr_eq(sp_locked_dropout_seq(t, seq, 0).rows, seq.rows);
}
END_TEST

/* [T,B,n]; n draws lose p n of them within 5 deviations. */
START_TEST(locked_even)
{
    enum { N = 1000 };
    static sp_real y[3][2][N];
    const double p = 0.3, n = 2 * N;
    ck_assert(sp_read(sp_locked_dropout(t, sp_full(t, 1, SP_SHAPE(3, 2, N)), p), y[0][0]));
    ck_same(y[0], y[1], 2 * N);
    ck_same(y[0], y[2], 2 * N);
    ck_assert(memcmp(y[0][0], y[0][1], sizeof y[0][0]));
    int lost = 0;
    for (int i = 0; i < N; i++)
        lost += (y[0][0][i] == 0) + (y[0][1][i] == 0);
    ck_assert_double_eq_tol(lost, p * n, 5 * sqrt(p * (1 - p) * n));
}
END_TEST

/* ---- pooling --------------------------------------------------------------------------------------------------- */

START_TEST(last_mean_max)
{
    sp_real first[B][W], last[B][W], mean[B][W], max[B][W];
    ck_assert(sp_read(sp_pool_first(t, ragged()), first[0]) && sp_read(sp_pool_last(t, ragged()), last[0]) && sp_read(sp_pool_mean(t, ragged()), mean[0])
              && sp_read(sp_pool_max(t, ragged()), max[0]));
    for (int i = 0; i < B; i++)
        for (int j = 0; j < W; j++) {
            double sum = 0, most = -2;
            for (long k = begins[i]; k < begins[i] + lengths[i]; k++) {
                sum += (double)x[k][j];
                most = fmax(most, (double)x[k][j]);
            }
            ck_assert(last[i][j] == x[begins[i] + lengths[i] - 1][j] && first[i][j] == x[begins[i]][j]);
            ck_assert((double)max[i][j] == most);
            near(mean[i][j], sum / (double)lengths[i]);
        }
}
END_TEST

static double score(long row)
{
    const sp_real *w = sp_param_read(attention.project.weight), *b = sp_param_read(attention.project.bias);
    const sp_real *v = sp_param_read(attention.v);
    double e = 0;
    for (int i = 0; i < H; i++) {
        double a = (double)b[i];
        for (int j = 0; j < W; j++)
            a += (double)w[i * W + j] * (double)x[row][j];
        e += (double)v[i] * tanh(a);
    }
    return e;
}

/* v 1000 times as large: e^e would be infinite. */
START_TEST(attends)
{
    sp_real y[B][W], a[ROWS];
    sp_seq weights;
    for (int i = 0; i < H && _i; i++)
        sp_param_values(attention.v)[i] *= 1000;
    ck_assert(sp_read(sp_pool_attention_on(t, &attention, ragged(), &weights), y[0]));
    ck_assert(sp_read(sp_seq_unpack(t, weights), a));
    for (int i = 0; i < B; i++) {
        double sum = 0, most = -INFINITY, mean[W] = { 0 };
        for (long k = begins[i]; k < begins[i] + lengths[i]; k++)
            most = fmax(most, score(k));
        for (long k = begins[i]; k < begins[i] + lengths[i]; k++)
            sum += exp(score(k) - most);
        for (long k = begins[i]; k < begins[i] + lengths[i]; k++) {
            const double share = exp(score(k) - most) / sum;
            ck_each(fabs((double)a[k] - share) <= WIDE(1e-11, _i ? 1e-3 : 1e-6), "%.9g is not %.9g", (double)a[k], share);
            for (int j = 0; j < W; j++)
                mean[j] += share * (double)x[k][j];
        }
        for (int j = 0; j < W; j++)
            ck_each(fabs((double)y[i][j] - mean[j]) <= WIDE(1e-11, _i ? 1e-3 : 1e-6), "%.9g is not %.9g", (double)y[i][j],
                    mean[j]);
    }
}
END_TEST

/* Numbers that differ, times y, summed. */
static sp_tensor *weighed(sp_tape *tape, sp_tensor *y, uint64_t place)
{
    sp_real w[ROWS * W];
    sp_random_uniform((sp_key){ .place = place }, sp_shape_size(sp_shape_get(y)), w, -1, 1);
    return sp_sum(tape, sp_mul(tape, y, sp_feed(tape, w, sp_shape_get(y))), SP_ALL);
}

static sp_tensor *everything(sp_tape *tape, void *context)
{
    sp_tape *before = t;
    sp_seq weights;
    (void)context;
    t = tape;
    sp_seq seq = sp_locked_dropout_seq(tape, sp_seq_reverse(tape, ragged()), 0.3);
    sp_tensor *loss = weighed(tape, sp_pool_attention_on(tape, &attention, ragged(), &weights), 1);
    loss = sp_add(tape, loss, weighed(tape, weights.rows, 2));
    loss = sp_add(tape, loss, weighed(tape, sp_pool_last(tape, seq), 3));
    loss = sp_add(tape, loss, weighed(tape, sp_pool_first(tape, seq), 6));
    loss = sp_add(tape, loss, weighed(tape, sp_pool_mean(tape, seq), 4));
    loss = sp_add(tape, loss, weighed(tape, sp_pool_max(tape, ragged()), 5));
    t = before;
    return loss;
}

START_TEST(gradients)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(s, everything, NULL, 0, &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
}
END_TEST

/* No sequences give no rows. */
START_TEST(no_batch)
{
    sp_seq none = _i ? sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(0, W)), NULL, 0) : sp_seq_of(t, sp_full(t, 1, SP_SHAPE(3, 0, W)));
    sp_tensor *y[] = { sp_pool_last(t, none), sp_pool_mean(t, none), sp_pool_max(t, none),
                       sp_pool_attention_on(t, &attention, none, NULL), sp_locked_dropout_seq(t, none, 0.5).rows,
                       sp_seq_reverse(t, none).rows, sp_pool_first(t, none) };
    ck_tape_ok(t);
    for (int i = 0; i < 7; i++)
        ck_assert(sp_shape_equal(sp_shape_get(y[i]), SP_SHAPE(0, W)));
    ck_assert(sp_shape_equal(sp_shape_get(sp_seq_unpack(t, none)), SP_SHAPE(0, W)));
}
END_TEST

/* ---- segments -------------------------------------------------------------------------------------------------- */

/* Long sums are taken in double: a float would stop growing. No rows sum to 0, and no columns are fine. */
START_TEST(segments)
{
    enum { N = 100000 };
    static sp_real many[N], y[2];
    static int of[N];
    for (int i = 0; i < N; i++) {
        many[i] = i ? (sp_real)0.25 : (sp_real)4194304;         /* 2^22: in float, + 0.25 is lost */
        of[i] = 1;
    }
    ck_assert(sp_read(sp_segment_sum(t, sp_feed(t, many, SP_SHAPE(N, 1)), of, 2), y));
    ck_assert(y[0] == 0 && (double)y[1] == 4194304 + (N - 1) / 4.0 + WIDE(0, 0.25));     /* the nearest float */
    sp_tensor *none = sp_segment_max(t, sp_full(t, 1, SP_SHAPE(2, 0)), (const int[]){ 1, 0 }, 2);
    ck_assert(sp_shape_equal(sp_shape_get(none), SP_SHAPE(2, 0)));
    none = sp_segment_softmax(t, sp_full(t, 1, SP_SHAPE(0, 3)), NULL, 0);
    ck_assert(sp_shape_equal(sp_shape_get(none), SP_SHAPE(0, 3)));
    ck_tape_ok(t);
}
END_TEST

/* A NaN is the largest, wherever it is; the first of equals has the gradient. Columns i hold 2 2 1, NaN 1 NaN, 3 NaN 4 and so on. */
START_TEST(largest)
{
    enum { COLUMNS = 70, KINDS = 4 };                   /* more than are worked on together */
    const sp_real in[3][KINDS] = { { 2, NAN, 3, -INFINITY }, { 2, 1, NAN, -INFINITY }, { 1, NAN, 4, NAN } };
    const int first[] = { 0, 0, 1, 2 };
    sp_real values[3][COLUMNS], y[COLUMNS], dx[3][COLUMNS];
    for (int i = 0; i < 3 * COLUMNS; i++)
        values[i / COLUMNS][i % COLUMNS] = in[i / COLUMNS][i % COLUMNS % KINDS];
    sp_tensor *v = sp_variable(t, values[0], SP_SHAPE(3, COLUMNS)), *max = sp_segment_max(t, v, (const int[]){ 0, 0, 0 }, 1);
    ck_assert(sp_read(max, y) && sp_backward(t, sp_sum(t, max, SP_ALL)) && sp_read_grad(v, dx[0]));
    for (int j = 0; j < COLUMNS; j++) {
        ck_assert(j % KINDS ? isnan(y[j]) : y[j] == 2);
        for (int i = 0; i < 3; i++)
            ck_assert(dx[i][j] == (i == first[j % KINDS]));
    }
}
END_TEST

/* A NaN among the rows of a segment is in all their shares, and in no others. */
START_TEST(shares)
{
    const sp_real in[] = { 1, NAN, 5, 1, 2, 2 };
    sp_real y[6];
    ck_assert(sp_read(sp_segment_softmax(t, sp_feed(t, in, SP_SHAPE(6, 1)), (const int[]){ 0, 0, 0, 1, 1, 1 }, 2), y));
    const double e = exp(-1), want[] = { e / (2 + e), 1 / (2 + e), 1 / (2 + e) };
    for (int i = 0; i < 3; i++) {
        ck_assert(isnan(y[i]));
        ck_assert_double_eq_tol((double)y[3 + i], want[i], WIDE(1e-14, 1e-6));
    }
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static const int two[] = { 0, 2 };

static void no_input(void)          { sp_pool_mean(t, (sp_seq){ 0 }); }
static void no_steps(void)          { sp_pool_last(t, sp_seq_of(t, sp_full(t, 1, SP_SHAPE(0, 3, 2)))); }
static void no_steps_max(void)      { sp_pool_max(t, sp_seq_of(t, sp_full(t, 1, SP_SHAPE(0, 3, 2)))); }
static void wrong_rows(void)        { sp_pool_max(t, sp_seq_like(ragged(), sp_full(t, 1, SP_SHAPE(5, W)))); }
static void no_attention(void)      { sp_pool_attention_on(t, NULL, ragged(), &(sp_seq){ 0 }); }
static void wrong_width(void)
{
    sp_pool_attention_on(t, &attention, sp_seq_of(t, sp_full(t, 1, SP_SHAPE(2, 3, W + 1))), NULL);
}
static void turn_none(void)         { sp_seq_reverse(t, (sp_seq){ 0 }); }
static void turn_wrong(void)        { sp_seq_reverse(t, sp_seq_like(ragged(), sp_full(t, 1, SP_SHAPE(ROWS)))); }
static void rate_one(void)          { sp_locked_dropout_seq(t, ragged(), 1); }
static void rate_nan(void)          { sp_tape_set_training(t, false), sp_locked_dropout_seq(t, ragged(), NAN); }
static void locked_rank(void)       { sp_locked_dropout(t, sp_full(t, 1, SP_SHAPE(2, 3)), 0.5); }
static void segment_high(void)      { sp_segment_sum(t, sp_full(t, 1, SP_SHAPE(2, 3)), two, 2); }
static void segment_low(void)       { sp_segment_softmax(t, sp_full(t, 1, SP_SHAPE(2, 3)), (const int[]){ 0, -1 }, 2); }
static void segment_empty(void)     { sp_segment_max(t, sp_full(t, 1, SP_SHAPE(2, 3)), two, 3); }
static void segment_rank(void)      { sp_segment_sum(t, sp_full(t, 1, SP_SHAPE(2)), two, 3); }
static void segment_none(void)      { sp_segment_sum(t, NULL, two, 3); }
static void segment_list(void)      { sp_segment_sum(t, sp_full(t, 1, SP_SHAPE(2, 3)), NULL, -3); }
static void zone_rate(void)         { sp_zoneout(t, sp_full(t, 1, SP_SHAPE(2)), sp_full(t, 1, SP_SHAPE(2)), 1); }
static void zone_shape(void)        { sp_zoneout(t, sp_full(t, 1, SP_SHAPE(2, 3)), sp_full(t, 1, SP_SHAPE(2, 4)), 0); }

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { no_input, "pool: no input" },
    { no_steps, "pool: 3 sequences of 0 steps" },
    { no_steps_max, "pool: 3 sequences of 0 steps" },
    { wrong_rows, "pool: the rows are [5,5], but the layout has 12" },
    { no_attention, "pool: the attention is NULL" },
    { wrong_width, "affine: [6,6] x [5,3]: inner 6 != 5 (pool.project.weight, pool.project.bias)" },
    { turn_none, "reverse: no input" },
    { turn_wrong, "reverse: the rows are [12], but the layout has 12" },
    { rate_one, "locked dropout: the rate is 1, not in 0 <= p < 1" },
    { rate_nan, "locked dropout: the rate is nan, not in 0 <= p < 1" },
    { locked_rank, "sequence: [2,3] is not [T,B,in]" },
    { segment_high, "segment_sum: segment 2 of row 1 is not in 0..1" },
    { segment_low, "segment_softmax: segment -1 of row 1 is not in 0..1" },
    { segment_empty, "segment_max: segment 1 has no rows" },
    { segment_rank, "segment_sum: [2] is not [rows,w]" },
    { segment_none, "segment_sum: input 1 is NULL" },
    { segment_list, "segment_sum: -3 segments of 2 rows, and no list" },
    { zone_rate, "zoneout: the rate is 1, not in 0 <= p < 1" },
    { zone_shape, "zoneout: [2,3] and [2,4] differ" },
};

START_TEST(bad_attention)
{
    static const struct {
        const char *name;
        long in, hidden;
        const char *error;
    } bad[] = { { NULL, 2, 3, "pool: no name" }, { "p", 0, 3, "p: in 0, hidden 3" }, { "p", 2, -1, "p: in 2, hidden -1" } };
    sp_store *own = sp_store_new(1);
    ck_assert_ptr_null(sp_pool_attention_make(own, bad[_i].name, bad[_i].in, bad[_i].hidden).v);
    ck_assert_str_eq(sp_store_status(own)->message, bad[_i].error);
    sp_store_free(own);
}
END_TEST

/* All uniform in +-1/sqrt(hidden) at first: within it, and near it. */
START_TEST(first_values)
{
    static const char *const names[] = { "p.project.weight", "p.project.bias", "p.v" };
    const double bound = 1 / sqrt(60);
    sp_store *own = sp_store_new(1);
    sp_pool_attention_make(own, "p", 4, 60);
    for (int i = 0; i < 3; i++) {
        const sp_param *p = sp_store_find(own, names[i]);
        double low = 1, high = -1;
        for (long k = 0; k < sp_shape_size(p->shape); k++) {
            low = fmin(low, (double)sp_param_read(p)[k]);
            high = fmax(high, (double)sp_param_read(p)[k]);
        }
        ck_assert(low >= -bound * 1.000001 && low < -0.8 * bound && high <= bound * 1.000001 && high > 0.8 * bound);
    }
    sp_store_free(own);
}
END_TEST

START_TEST(bad_use)
{
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("pool");
    TCase *c = tcase_create("pool");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, reversal);
    tcase_add_test(c, numbers);
    tcase_add_test(c, locked);
    tcase_add_test(c, locked_even);
    tcase_add_test(c, last_mean_max);
    tcase_add_loop_test(c, attends, 0, 2);
    tcase_add_test(c, gradients);
    tcase_add_loop_test(c, no_batch, 0, 2);
    tcase_add_test(c, segments);
    tcase_add_test(c, largest);
    tcase_add_test(c, shares);
    tcase_add_loop_test(c, bad_attention, 0, 3);
    tcase_add_test(c, first_values);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(all, c);
    return all;
}
