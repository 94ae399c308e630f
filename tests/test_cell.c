/* Recurrent cells: beside their equations in plain loops, their gradients, how they begin, learn and bear large numbers. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { T = 4, B = 3, IN = 5, H = 6, WIDEST = H * H };

static void noise(uint64_t place, long n, sp_real *out)
{
    sp_random_uniform((sp_key){ .seed = 5, .place = place }, n, out, -1, 1);
}

static sp_tensor *noise_on(sp_tape *t, uint64_t place, sp_shape shape)
{
    sp_real x[512];
    noise(place, sp_shape_size(shape), x);
    return sp_feed(t, x, shape);
}

/* y times numbers that differ, summed */
static sp_tensor *weighed(sp_tape *t, sp_tensor *y)
{
    return sp_sum(t, sp_mul(t, y, noise_on(t, 9, sp_shape_get(y))), SP_ALL);
}

/* ---- gradients ------------------------------------------------------------------------------------------------- */

struct model {
    sp_cell cell;
    sp_param *start[SP_MAX_STATES];
    long in;
};

/* Depends on all outputs, and on the final states by other weights. */
static sp_tensor *cell_loss(sp_tape *t, void *context)
{
    const struct model *m = context;
    sp_tensor *state[SP_MAX_STATES];
    for (int i = 0; i < m->cell.states; i++)
        state[i] = sp_param_on(t, m->start[i]);
    sp_tensor *loss = weighed(t, sp_unroll(t, &m->cell, noise_on(t, 1, SP_SHAPE(T, B, m->in)), state));
    for (int i = 0; i < m->cell.states; i++)
        loss = sp_add(t, loss, sp_scale(t, weighed(t, state[i]), 2 + i));
    return loss;
}

/* Of the outputs alone, from zeros. */
static sp_tensor *tied_loss(sp_tape *t, void *context)
{
    const struct model *m = context;
    return weighed(t, sp_unroll(t, &m->cell, sp_feed(t, REALS(1, -2, 3), SP_SHAPE(3, 1, 1)), NULL));
}

static void check_gradients(sp_store *s, sp_loss_fn loss, struct model *m)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(s, loss, m, 0, &r, &status), "%s", status.message);
    ck_assert_int_gt(r.checked, H);
    /* float64: h^4 of the differences and their rounding; float32 only says that nothing is far off */
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward,
                  r.numeric);
}

/* in: some take an x as wide as their state otherwise. */
static void check_cell(const char *kind, long in)
{
    struct model m = { .in = in };
    sp_store *s = sp_store_new(7);
    m.cell = sp_cell_make(s, kind, "cell", 0, in, H);
    for (int i = 0; i < m.cell.states; i++)
        sp_init_uniform(m.start[i] = sp_store_add(s, SP_SHAPE(B, m.cell.width[i]), "start%d", i), -1, 1);
    if (!strcmp(kind, "slstm")) {               /* n is 1 or more in all states that the cell has by itself */
        sp_init_uniform(m.start[2], 1, 3);
        sp_init_uniform(m.start[3], WIDE(-1, 2), WIDE(1, 3));   /* in float32 the differences would step over a kink */
    }
    ck_assert_msg(sp_store_ok(s), "%s", sp_store_status(s)->message);
    if (!strcmp(kind, "relu") || !strcmp(kind, "indrnn"))       /* half the units on, half off, none near the kink */
        for (int i = 0; i < H; i++)
            sp_param_values(sp_store_find(s, "cell.bias_ih_l0"))[i] = i % 2 ? 4 : -8;
    check_gradients(s, cell_loss, &m);
    sp_store_free(s);
}

/* An sLSTM whose exponents ln F + m and i are the same number in each step: which of the two m' takes is no matter. */
START_TEST(tied_gates)
{
    struct model m = { .in = 1 };
    sp_store *s = sp_store_new(7);
    m.cell = sp_slstm_make(s, "cell", 0, 1, 1);
    for (int i = 0; i < sp_store_count(s); i++)
        sp_init_constant(sp_store_at(s, i), 0.5);
    static const struct { const char *name; sp_real input, forget; } gates[] = {
        { "cell.weight_ih_l0", 0, 0 }, { "cell.weight_hh_l0", 0, 0 }, { "cell.bias_hh_l0", 0, 0 }, { "cell.bias_ih_l0", 1, 45 },
    };
    for (int i = 0; i < 4; i++) {
        sp_real *w = sp_param_values(sp_store_find(s, gates[i].name));
        w[0] = gates[i].input;
        w[1] = gates[i].forget;
    }
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(s, tied_loss, &m, 0, &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-7, 0.05), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(s);
}
END_TEST

START_TEST(cell_gradients)
{
    check_cell(sp_cell_kind(_i), IN);
    if (WIDE(true, false))          /* in float32 the differences may step over a kink */
        check_cell(sp_cell_kind(_i), H);
}
END_TEST

/* ---- values ---------------------------------------------------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Element i of the parameter "<name>_l0" of the cell. */
static double at(const sp_store *s, const char *name, long i)
{
    char full[64];
    snprintf(full, sizeof full, "cell.%s_l0", name);
    return sp_param_read(sp_store_find(s, full))[i];
}

/* out = W v, with W [rows,in], and out = W v + b. */
static void product(const sp_store *s, const char *weight, int rows, int in, const double *v, double *out)
{
    for (int i = 0; i < rows; i++) {
        out[i] = 0;
        for (int j = 0; j < in; j++)
            out[i] += at(s, weight, i * in + j) * v[j];
    }
}

static void affine(const sp_store *s, const char *which, int rows, int in, const double *v, double *out)
{
    char name[32];
    snprintf(name, sizeof name, "weight_%s", which);
    product(s, name, rows, in, v, out);
    snprintf(name, sizeof name, "bias_%s", which);
    for (int i = 0; i < rows; i++)
        out[i] += at(s, name, i);
}

/* out = W_ih x + b_ih + W_hh h + b_hh */
static void both(const sp_store *s, int rows, const double *x, const double *h, double *out)
{
    double b[4 * H];
    affine(s, "ih", rows, IN, x, out);
    affine(s, "hh", rows, H, h, b);
    for (int i = 0; i < rows; i++)
        out[i] += b[i];
}

/* out = (x - mean) / sqrt(variance + 1e-5) gain + bias */
static void normalise(const sp_store *s, const char *gain, const char *bias, int n, const double *x, double *out)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < n; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        out[i] = (x[i] - mean) / sqrt(variance + 1e-5) * at(s, gain, i) + at(s, bias, i);
}

/* One step of each cell, one row, from the equations: x and the states -> y and the new states. */
typedef void naive_step(const sp_store *s, const double *x, double (*state)[WIDEST], double *y);

static void naive_rnn(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[H];
    both(s, H, x, state[0], a);
    for (int j = 0; j < H; j++)
        y[j] = state[0][j] = tanh(a[j]);
}

static void naive_relu(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[H];
    both(s, H, x, state[0], a);
    for (int j = 0; j < H; j++)
        y[j] = state[0][j] = fmax(a[j], 0);
}

static void naive_lstm(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H];
    both(s, 4 * H, x, state[0], a);
    for (int j = 0; j < H; j++) {
        double *c = &state[1][j];
        *c = sigmoid(a[H + j]) * *c + sigmoid(a[j]) * tanh(a[2 * H + j]);
        y[j] = state[0][j] = sigmoid(a[3 * H + j]) * tanh(*c);
    }
}

static void naive_gru(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[3 * H], b[3 * H];
    affine(s, "ih", 3 * H, IN, x, a);
    affine(s, "hh", 3 * H, H, state[0], b);
    for (int j = 0; j < H; j++) {
        double r = sigmoid(a[j] + b[j]), z = sigmoid(a[H + j] + b[H + j]);
        y[j] = state[0][j] = (1 - z) * tanh(a[2 * H + j] + r * b[2 * H + j]) + z * state[0][j];
    }
}

static void naive_gru_simple(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[2 * H];
    both(s, 2 * H, x, state[0], a);
    for (int j = 0; j < H; j++)
        y[j] = state[0][j] = sigmoid(a[j]) * tanh(a[H + j]) + (1 - sigmoid(a[j])) * state[0][j];
}

static void naive_gru_before(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[3 * H], b[3 * H], reset[H];
    affine(s, "ih", 3 * H, IN, x, a);
    affine(s, "hh", 3 * H, H, state[0], b);
    for (int j = 0; j < H; j++)
        reset[j] = sigmoid(a[j] + b[j]) * state[0][j];
    double old[3 * H];
    memcpy(old, b, sizeof old);
    affine(s, "hh", 3 * H, H, reset, b);
    for (int j = 0; j < H; j++) {
        double z = sigmoid(a[H + j] + old[H + j]);
        y[j] = state[0][j] = (1 - z) * tanh(a[2 * H + j] + b[2 * H + j]) + z * state[0][j];
    }
}

static void naive_lstm_peephole(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H];
    both(s, 4 * H, x, state[0], a);
    for (int j = 0; j < H; j++) {
        double *c = &state[1][j];
        double i = sigmoid(a[j] + at(s, "weight_ch", j) * *c), f = sigmoid(a[H + j] + at(s, "weight_ch", H + j) * *c);
        *c = f * *c + i * tanh(a[2 * H + j]);
        y[j] = state[0][j] = sigmoid(a[3 * H + j] + at(s, "weight_ch", 2 * H + j) * *c) * tanh(*c);
    }
}

static void naive_lstm_coupled(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[3 * H];
    both(s, 3 * H, x, state[0], a);
    for (int j = 0; j < H; j++) {
        double *c = &state[1][j], f = sigmoid(a[j]);
        *c = f * *c + (1 - f) * tanh(a[H + j]);
        y[j] = state[0][j] = sigmoid(a[2 * H + j]) * tanh(*c);
    }
}

static void naive_lstm_projected(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H], b[4 * H], wide[H];
    affine(s, "ih", 4 * H, IN, x, a);
    affine(s, "hh", 4 * H, H / 2, state[0], b);
    for (int j = 0; j < 4 * H; j++)
        a[j] += b[j];
    for (int j = 0; j < H; j++) {
        double *c = &state[1][j];
        *c = sigmoid(a[H + j]) * *c + sigmoid(a[j]) * tanh(a[2 * H + j]);
        wide[j] = sigmoid(a[3 * H + j]) * tanh(*c);
    }
    product(s, "weight_hr", H / 2, H, wide, y);
    memcpy(state[0], y, H / 2 * sizeof *y);
}

static void naive_lstm_norm(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H], b[4 * H], c[H];
    product(s, "weight_ih", 4 * H, IN, x, a);
    normalise(s, "gain_ih", "bias_ih", 4 * H, a, a);
    product(s, "weight_hh", 4 * H, H, state[0], b);
    normalise(s, "gain_hh", "bias_hh", 4 * H, b, b);
    for (int j = 0; j < 4 * H; j++)
        a[j] += b[j];
    for (int j = 0; j < H; j++)
        state[1][j] = sigmoid(a[H + j]) * state[1][j] + sigmoid(a[j]) * tanh(a[2 * H + j]);
    normalise(s, "gain_ch", "bias_ch", H, state[1], c);
    for (int j = 0; j < H; j++)
        y[j] = state[0][j] = sigmoid(a[3 * H + j]) * tanh(c[j]);
}

static void naive_indrnn(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[H];
    affine(s, "ih", H, IN, x, a);
    for (int j = 0; j < H; j++)
        y[j] = state[0][j] = fmax(a[j] + at(s, "weight_hh", j) * state[0][j], 0);
}

static void naive_sru(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H];
    product(s, "weight_ih", 4 * H, IN, x, a);
    for (int j = 0; j < H; j++) {
        double *c = &state[0][j];
        double f = sigmoid(a[H + j] + at(s, "weight_ch", j) * *c + at(s, "bias_ih", j));
        double r = sigmoid(a[2 * H + j] + at(s, "weight_ch", H + j) * *c + at(s, "bias_ih", H + j));
        *c = f * *c + (1 - f) * a[j];
        y[j] = r * *c + (1 - r) * a[3 * H + j];
    }
}

static void naive_qrnn(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[3 * H];
    affine(s, "ih", 3 * H, IN, x, a);
    for (int j = 0; j < H; j++) {
        double *c = &state[0][j], f = sigmoid(a[H + j]);
        *c = f * *c + (1 - f) * tanh(a[j]);
        y[j] = sigmoid(a[2 * H + j]) * *c;
    }
}

static void naive_mingru(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[2 * H];
    affine(s, "ih", 2 * H, IN, x, a);
    for (int j = 0; j < H; j++)
        y[j] = state[0][j] = (1 - sigmoid(a[j])) * state[0][j] + sigmoid(a[j]) * a[H + j];
}

static void naive_minlstm(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[3 * H];
    affine(s, "ih", 3 * H, IN, x, a);
    for (int j = 0; j < H; j++) {
        double f = sigmoid(a[j]), i = sigmoid(a[H + j]);
        y[j] = state[0][j] = f / (f + i) * state[0][j] + i / (f + i) * a[2 * H + j];
    }
}

/* Without a stabiliser; the states that are given, and given back, have one. */
static void naive_slstm(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H];
    both(s, 4 * H, x, state[0], a);
    for (int j = 0; j < H; j++) {
        double old = exp(state[3][j]), c = state[1][j] * old, n = state[2][j] * old;
        double i = a[j], f = sigmoid(a[H + j]), m = n == 0 ? i : fmax(log(f) + state[3][j], i);
        c = f * c + exp(i) * tanh(a[2 * H + j]);
        n = f * n + exp(i);
        y[j] = state[0][j] = sigmoid(a[3 * H + j]) * c / n;
        state[1][j] = c * exp(-m);
        state[2][j] = n * exp(-m);
        state[3][j] = m;
    }
}

static void naive_mlstm(const sp_store *s, const double *x, double (*state)[WIDEST], double *y)
{
    double a[4 * H], gate[2], *q = a, *k = a + H, *v = k + H, *o = v + H, *m = state[2], nq = 0;
    affine(s, "ih", 4 * H, IN, x, a);
    affine(s, "gate", 2, IN, x, gate);
    const double i = exp(gate[0]), f = sigmoid(gate[1]), old = exp(*m);
    *m = fmax(fmax(log(f) + *m, gate[0]), 0);
    for (int r = 0; r < H; r++) {
        y[r] = 0;
        for (int c = 0; c < H; c++) {
            double *one = &state[0][r * H + c];
            *one = f * *one * old + i * v[r] * k[c] / sqrt(H);
            y[r] += *one * q[c];
            *one *= exp(-*m);
        }
        double *n = &state[1][r];
        *n = f * *n * old + i * k[r] / sqrt(H);
        nq += *n * q[r];
        *n *= exp(-*m);
    }
    for (int r = 0; r < H; r++)
        y[r] *= sigmoid(o[r]) / fmax(fabs(nq), 1);
}

static const struct {
    const char *kind;
    naive_step *step;
} naive[] = {
    { "rnn", naive_rnn },
    { "relu", naive_relu },
    { "lstm", naive_lstm },
    { "gru", naive_gru },
    { "gru-simple", naive_gru_simple },
    { "gru-before", naive_gru_before },
    { "lstm-peephole", naive_lstm_peephole },
    { "lstm-coupled", naive_lstm_coupled },
    { "lstm-projected", naive_lstm_projected },
    { "lstm-norm", naive_lstm_norm },
    { "indrnn", naive_indrnn },
    { "sru", naive_sru },
    { "qrnn", naive_qrnn },
    { "mingru", naive_mingru },
    { "minlstm", naive_minlstm },
    { "slstm", naive_slstm },
    { "mlstm", naive_mlstm },
};

static naive_step *naive_of(const char *kind)
{
    for (size_t i = 0; i < sizeof naive / sizeof *naive; i++)
        if (!strcmp(naive[i].kind, kind))
            return naive[i].step;
    ck_abort_msg("'%s' has no equations here", kind);
    return NULL;
}

static int kinds(void)
{
    int n = 0;
    while (sp_cell_kind(n))
        n++;
    return n;
}

/* States as a cell may have them: the n of an sLSTM is 1 or more. */
static void draw_states(const sp_cell *cell, sp_real (*start)[B * WIDEST])
{
    for (int i = 0; i < cell->states; i++) {
        noise(2 + (uint64_t)i, B * cell->width[i], start[i]);
        for (long k = 0; i == 2 && !strcmp(cell->name, "slstm") && k < B * H; k++)
            start[i][k] += 2;
    }
}

/* From drawn states, and from zeros. */
static void compare_values(const char *kind, bool zeros)
{
    sp_store *s = sp_store_new(8);
    sp_cell cell = sp_cell_make(s, kind, "cell", 0, IN, H);
    const long out = sp_cell_out(&cell);
    sp_real xs[T * B * IN], start[SP_MAX_STATES][B * WIDEST] = { { 0 } }, ys[T * B * H], last[SP_MAX_STATES][B * WIDEST];
    sp_tensor *state[SP_MAX_STATES] = { NULL };
    for (int i = 0; i < sp_store_count(s); i++) {               /* none is 0 or 1, as some begin */
        sp_param *p = sp_store_at(s, i);
        sp_random_uniform(sp_param_key(p), sp_shape_size(p->shape), sp_param_values(p), -0.5, 0.5);
    }
    sp_tape *t = sp_tape_new(s);
    noise(1, T * B * IN, xs);
    if (!zeros)
        draw_states(&cell, start);
    for (int i = 0; !zeros && i < cell.states; i++)
        state[i] = sp_feed(t, start[i], SP_SHAPE(B, cell.width[i]));
    sp_tensor *y = sp_unroll(t, &cell, sp_feed(t, xs, SP_SHAPE(T, B, IN)), state);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(y), SP_SHAPE(T, B, out)));
    sp_read(y, ys);
    for (int i = 0; i < cell.states; i++)
        sp_read(state[i], last[i]);
    const double tolerance = WIDE(1e-14, 4e-6);         /* sums of 12 products in a row of 4 steps: some 30 roundings */
    for (int row = 0; row < B; row++) {
        double expected[SP_MAX_STATES][WIDEST], x[IN], out_of[H];
        for (int i = 0; i < cell.states; i++)
            for (long j = 0; j < cell.width[i]; j++)
                expected[i][j] = start[i][row * cell.width[i] + j];
        for (int k = 0; k < T; k++) {
            for (int j = 0; j < IN; j++)
                x[j] = xs[(k * B + row) * IN + j];
            naive_of(kind)(s, x, expected, out_of);
            for (long j = 0; j < out; j++)
                ck_assert_double_eq_tol(ys[(k * B + row) * out + j], out_of[j], tolerance);
        }
        for (int i = 0; i < cell.states; i++)
            for (long j = 0; j < cell.width[i]; j++)
                ck_assert_double_eq_tol(last[i][row * cell.width[i] + j], expected[i][j], tolerance);
    }
    sp_tape_free(t);
    sp_store_free(s);
}

START_TEST(cell_values)
{
    compare_values(sp_cell_kind(_i), false);
    compare_values(sp_cell_kind(_i), true);
}
END_TEST

/* 5 steps at once are 2 steps and then 3, bit for bit. */
START_TEST(unroll_in_parts)
{
    sp_store *s = sp_store_new(8);
    sp_cell cell = sp_cell_make(s, sp_cell_kind(_i), "cell", 0, IN, H);
    const long out = sp_cell_out(&cell);
    sp_tape *t = sp_tape_new(s);
    sp_real whole[5 * B * H], part[5 * B * H], last[2][B * WIDEST];
    sp_tensor *one[SP_MAX_STATES] = { NULL }, *two[SP_MAX_STATES] = { NULL }, *xs = noise_on(t, 1, SP_SHAPE(5, B, IN));
    sp_read(sp_unroll(t, &cell, xs, one), whole);
    sp_read(sp_unroll(t, &cell, sp_slice(t, xs, 0, 0, 2), two), part);
    sp_read(sp_unroll(t, &cell, sp_slice(t, xs, 0, 2, 5), two), part + 2 * B * out);
    ck_tape_ok(t);
    ck_same(part, whole, 5 * B * out);
    for (int i = 0; i < cell.states; i++) {
        sp_read(one[i], last[0]);
        sp_read(two[i], last[1]);
        ck_same(last[0], last[1], B * cell.width[i]);
    }
    sp_read(sp_unroll(t, &cell, xs, NULL), part);
    ck_same(part, whole, 5 * B * out);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* An x as wide as the state: y = r c' + (1 - r) sqrt(3) x. With W = 0 and v = 0, c' is c / 2 and y the mean of c' and that. */
START_TEST(sru_highway)
{
    sp_store *s = sp_store_new(8);
    sp_cell cell = sp_sru_make(s, "cell", 0, 2, 2);
    ck_assert(sp_shape_equal(sp_store_find(s, "cell.weight_ih_l0")->shape, SP_SHAPE(6, 2)));
    sp_init_constant(sp_store_find(s, "cell.weight_ih_l0"), 0);
    sp_init_constant(sp_store_find(s, "cell.weight_ch_l0"), 0);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *state[] = { sp_feed(t, REALS(8, -4), SP_SHAPE(1, 2)) };
    sp_real y[2];
    sp_read(sp_unroll(t, &cell, sp_feed(t, REALS(1, 3), SP_SHAPE(1, 1, 2)), state), y);
    ck_tape_ok(t);
    ck_assert_double_eq_tol(y[0], 2 + sqrt(3) / 2, WIDE(1e-14, 1e-6));
    ck_assert_double_eq_tol(y[1], -1 + 3 * sqrt(3) / 2, WIDE(1e-14, 1e-6));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* A state that was handed in may have an n below 1; y is the mean c / n all the same. */
START_TEST(small_divisor)
{
    sp_store *s = sp_store_new(8);
    sp_cell cell = sp_slstm_make(s, "cell", 0, 1, 1);
    for (int i = 0; i < sp_store_count(s); i++)
        sp_init_constant(sp_store_at(s, i), 0);
    sp_real *bias = sp_param_values(sp_store_find(s, "cell.bias_ih_l0")), y;
    bias[0] = -200;
    bias[1] = 60;
    sp_tape *t = sp_tape_new(s);
    sp_tensor *state[] = { NULL, sp_full(t, (sp_real)0.025, SP_SHAPE(1, 1)), sp_full(t, (sp_real)0.0625, SP_SHAPE(1, 1)), NULL };
    sp_read(sp_unroll(t, &cell, sp_full(t, 1, SP_SHAPE(1, 1, 1)), state), &y);
    ck_tape_ok(t);
    ck_assert_double_eq_tol((double)y, 0.5 * 0.4, 1e-6);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* An mLSTM that takes nothing in, n' = 0, at an m' whose e^-m' is 0: y is 0. */
START_TEST(nothing_remembered)
{
    sp_store *s = sp_store_new(8);
    sp_cell cell = sp_mlstm_make(s, "cell", 0, 1, 2);
    for (int i = 0; i < sp_store_count(s); i++)
        sp_init_constant(sp_store_at(s, i), 0);
    sp_param_values(sp_store_find(s, "cell.bias_gate_l0"))[0] = 2000;
    sp_tape *t = sp_tape_new(s);
    sp_real y[2];
    sp_read(sp_unroll(t, &cell, sp_full(t, 1, SP_SHAPE(1, 1, 1)), NULL), y);
    ck_tape_ok(t);
    ck_assert(y[0] == 0 && y[1] == 0);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* A projection of the width asked for; a stack hands that on. */
START_TEST(projection)
{
    sp_store *s = sp_store_new(8);
    sp_cell cell = sp_lstm_projected_to(s, "own", 0, IN, H, 2), one = sp_cell_make(s, "lstm-projected", "one", 0, IN, 1);
    sp_stack stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = "lstm-projected", .in = IN, .hidden = H + 1, .layers = 3 });
    ck_assert(sp_cell_out(&cell) == 2 && sp_cell_out(&one) == 1 && sp_stack_out(&stack) == (H + 2) / 2);
    ck_assert(sp_shape_equal(sp_store_find(s, "own.weight_hh_l0")->shape, SP_SHAPE(4 * H, 2)));
    ck_assert(sp_shape_equal(sp_store_find(s, "own.weight_hr_l0")->shape, SP_SHAPE(2, H)));
    sp_tape *t = sp_tape_new(s);
    sp_tensor *y = sp_stack_on(t, &stack, noise_on(t, 1, SP_SHAPE(T, B, IN)), NULL);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(y), SP_SHAPE(T, B, (H + 2) / 2)));
    sp_tape_free(t);
    sp_lstm_projected_to(s, "none", 0, IN, H, 0);
    ck_assert(!sp_store_ok(s));
    sp_store_free(s);
}
END_TEST

/* ---- how they begin -------------------------------------------------------------------------------------------- */

enum { WIDE_IN = 48, UNITS_AT = 64 };

/* Numbers from <= i < to of a parameter are between the two, and some near to both. */
static void check_begin(const sp_param *p, long from, long to, double low, double high)
{
    double least = INFINITY, most = -INFINITY;
    for (long i = from; i < to; i++) {
        least = fmin(least, (double)sp_param_read(p)[i]);
        most = fmax(most, (double)sp_param_read(p)[i]);
    }
    const double near = to - from < 32 ? high - low : 0.1 * (high - low), e = 1e-6 * (high - low);
    ck_assert_msg(least >= low - e && most <= high + e && least <= low + near && most >= high - near,
                  "%s[%ld..%ld] is from %g to %g, not from %g to %g", p->name, from, to, least, most, low, high);
}

/* What begins otherwise than in +-1/sqrt(hidden): parts `from` to `to` of so many. */
static const struct {
    const char *kind, *param;
    int from, to, parts;
    double low, high;
} beginnings[] = {
    { "lstm-norm", "gain_ih", 0, 1, 1, 1, 1 }, { "lstm-norm", "gain_hh", 0, 1, 1, 1, 1 }, { "lstm-norm", "gain_ch", 0, 1, 1, 1, 1 },
    { "lstm-norm", "bias_hh", 0, 1, 1, 0, 0 }, { "lstm-norm", "bias_ch", 0, 1, 1, 0, 0 },
    { "indrnn", "weight_hh", 0, 1, 1, 0, 1 },
    { "sru", "weight_ih", 0, 1, 1, -0.25, 0.25 },       /* sqrt(3 / 48) */
    { "sru", "bias_ih", 0, 1, 1, 0, 0 },
    { "slstm", "bias_ih", 1, 2, 4, 3, 6 },
    { "mlstm", "bias_gate", 1, 2, 2, 3, 3 },
};

START_TEST(begins)
{
    const double a = 1 / sqrt(UNITS_AT);
    const char *kind = sp_cell_kind(_i);
    char name[64];
    sp_store *s = sp_store_new(8);
    sp_cell_make(s, kind, "cell", 0, WIDE_IN, UNITS_AT);
    for (int k = 0; k < sp_store_count(s); k++) {
        const sp_param *p = sp_store_at(s, k);
        const long n = sp_shape_size(p->shape);
        long from = 0, to = 0;
        for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
            snprintf(name, sizeof name, "cell.%s_l0", beginnings[i].param);
            if (!strcmp(beginnings[i].kind, kind) && !strcmp(name, p->name)) {
                from = n * beginnings[i].from / beginnings[i].parts;
                to = n * beginnings[i].to / beginnings[i].parts;
                check_begin(p, from, to, beginnings[i].low, beginnings[i].high);
            }
        }
        if (from > 0)
            check_begin(p, 0, from, -a, a);
        if (to < n)
            check_begin(p, to, n, -a, a);
    }
    sp_store_free(s);
}
END_TEST

/* Both biases add up to the value; no other gate's, and no other kind's, is changed. */
START_TEST(forget_bias)
{
    for (int k = 0; k < 2; k++) {
        sp_store *s = sp_store_new(8);
        sp_cell cell = sp_cell_make(s, k ? "lstm-coupled" : "lstm", "cell", 0, IN, H);
        const sp_real *a = sp_param_read(sp_store_find(s, "cell.bias_ih_l0")), *b = sp_param_read(sp_store_find(s, "cell.bias_hh_l0"));
        sp_real before[3 * H], first[2 * H];
        memcpy(before, sp_param_read(sp_store_find(s, "cell.bias_ih_l0")), sizeof before);
        memcpy(first, b, sizeof first);
        sp_lstm_forget_bias(&cell, 1);
        sp_lstm_forget_bias(NULL, 1);
        for (int i = 0; i < 3 * H; i++) {
            const bool forgets = !k && i / H == 1;
            ck_assert(forgets ? a[i] + b[i] == 1 : a[i] == before[i] && (i >= 2 * H || b[i] == first[i]));
        }
        sp_store_free(s);
    }
}
END_TEST

/* Over inputs that are all 0, as where dropout takes them all, the way back stays finite. */
START_TEST(nothing_seen)
{
    enum { LONG = 60, UNITS = 8 };
    for (uint64_t seed = 0; seed < 5; seed++) {
        sp_store *s = sp_store_new(seed);
        sp_cell cell = sp_cell_make(s, sp_cell_kind(_i), "cell", 0, IN, UNITS);
        sp_tape *t = sp_tape_new(s);
        sp_tensor *state[SP_MAX_STATES] = { NULL };
        sp_tensor *ys = sp_scan(t, &cell, sp_full(t, 0, SP_SHAPE(LONG, 1, IN)), state);
        sp_backward(t, weighed(t, ys));
        ck_tape_ok(t);
        for (long i = 0; i < sp_store_size(s); i++)
            ck_each(isfinite(sp_gradients(t)[i]), "%s, seed %d: gradient %ld is %g", sp_cell_kind(_i), (int)seed, i,
                    (double)sp_gradients(t)[i]);
        sp_tape_free(t);
        sp_store_free(s);
    }
}
END_TEST

/* ---- learning -------------------------------------------------------------------------------------------------- */

enum { LAG = 6, ROWS = 16, UNITS = 8 };

/* [LAG,ROWS,2]: a number of -1 or 1 in each step, and 1 beside the one to be remembered, which is y [ROWS,1]. */
static void draw_task(uint64_t place, sp_real *x, sp_real *y)
{
    noise(place, LAG * ROWS * 2, x);
    for (int r = 0; r < ROWS; r++) {
        const int marked = (int)((1 + x[2 * r + 1]) / 2 * (LAG - 1));
        for (int k = 0; k < LAG; k++) {
            sp_real *at = x + (k * ROWS + r) * 2;
            at[0] = *at < 0 ? -1 : 1;
            at[1] = k == marked;
            if (k == marked)
                y[r] = at[0];
        }
    }
}

/* Every cell learns to keep one number among others. Guessing costs 1. */
START_TEST(learns)
{
    sp_store *s = sp_store_new(3);
    sp_cell cell = sp_cell_make(s, sp_cell_kind(_i), "cell", 0, 2, UNITS);
    sp_linear head = sp_linear_make(s, "head", sp_cell_out(&cell), 1);
    sp_tape *t = sp_tape_new(s);
    sp_optimizer *adam = sp_optimizer_new(s, "adam", 0.02, NULL);
    double mean = 0;
    for (uint64_t step = 0; step < 500; step++) {
        sp_real x[LAG * ROWS * 2], y[ROWS];
        draw_task(1 + step, x, y);
        sp_tape_reset(t);
        sp_tensor *out = sp_scan(t, &cell, sp_feed(t, x, SP_SHAPE(LAG, ROWS, 2)), NULL);
        sp_tensor *loss = sp_mse(t, sp_linear_on(t, &head, sp_index(t, out, 0, -1)), sp_feed(t, y, SP_SHAPE(ROWS, 1)));
        sp_backward(t, loss);
        sp_clip_norm(t, 1);
        sp_step(adam, t);
        ck_tape_ok(t);
        mean += step < 480 ? 0 : (double)sp_item(loss) / 20;
    }
    ck_assert_msg(mean < 0.2, "%s still has a loss of %g", cell.name, mean);
    sp_optimizer_free(adam);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* Numbers stay numbers, forward and backward, over 2000 steps of inputs of each size: with gates wide open, shut, and either in
   turn. */
static const double sizes[] = { 1e-6, 1, 100, 3e4 };

static void check_stable(const char *kind, double size, double shift)
{
    enum { LONG = 2000, FEW = 2, SMALL = 4 };
    static sp_real x[LONG * FEW * IN];
    sp_store *s = sp_store_new(3);
    sp_cell cell = sp_cell_make(s, kind, "cell", 0, IN, SMALL);
    noise(1, LONG * FEW * IN, x);
    for (long i = 0; i < LONG * FEW * IN; i++)
        x[i] = (sp_real)(size * ((double)x[i] + shift));
    sp_tape *t = sp_tape_new(s);
    sp_tensor *state[SP_MAX_STATES] = { NULL };
    sp_tensor *y = sp_scan(t, &cell, sp_feed(t, x, SP_SHAPE(LONG, FEW, IN)), state);
    sp_tensor *loss = sp_sum(t, y, SP_ALL);
    ck_assert_msg(sp_backward(t, loss), "%s: %s", kind, sp_error(t));
    ck_assert_msg(isfinite(sp_item(loss)), "%s: inputs of %g (%+g): y is no number", kind, size, shift);
    for (int i = 0; i < cell.states; i++)
        ck_assert_msg(isfinite(sp_item(sp_sum(t, state[i], SP_ALL))), "%s: inputs of %g (%+g): state %d", kind, size, shift, i);
    for (long i = 0; i < sp_store_size(s); i++)
        ck_assert_msg(isfinite(sp_gradients(t)[i]), "%s: inputs of %g (%+g): a gradient is no number", kind, size, shift);
    sp_tape_free(t);
    sp_store_free(s);
}

START_TEST(stable)
{
    const char *kind = sp_cell_kind(_i);
    if (strcmp(kind, "relu") && strcmp(kind, "indrnn"))         /* which may grow without bound */
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int shift = -1; shift <= 1; shift++)
                check_stable(kind, sizes[i], shift);
}
END_TEST

/* ---- sizes and names ------------------------------------------------------------------------------------------- */

/* Each kind refuses sizes that are none, with the numbers; and the list of kinds is whole. */
START_TEST(bad_sizes)
{
    static const long size[][2] = { { 0, H }, { -1, H }, { IN, 0 }, { IN, -1 }, { IN, LONG_MAX }, { LONG_MAX, H }, { IN, LONG_MIN },
                                   { IN, 1L << 61 }, { IN, 1L << 40 }, { 1L << 31, H }, { IN, LONG_MAX / 3 * 2 + 2 } };
    char text[256];
    for (int i = 0; sp_cell_kind(i); i++)
        for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
            sp_store *own = sp_store_new(1);
            sp_cell cell = sp_cell_make(own, sp_cell_kind(i), "x", 0, size[k][0], size[k][1]);
            ck_assert_msg(!cell.step, "%s [%ld,%ld] has a step", sp_cell_kind(i), size[k][0], size[k][1]);
            snprintf(text, sizeof text, "x: in is %ld and hidden %ld, not each from 1 to 1073741824", size[k][0], size[k][1]);
            ck_assert_str_eq(sp_store_status(own)->message, text);
            sp_store_free(own);
        }
    size_t length = 0;
    strcpy(text, SP_CELL_KINDS);
    for (int i = 0; sp_cell_kind(i); i++) {
        ck_assert(!strncmp(text + length, sp_cell_kind(i), strlen(sp_cell_kind(i))));
        length += strlen(sp_cell_kind(i)) + 1;
    }
    ck_assert_int_eq(strlen(text), length - 1);
}
END_TEST

/* A scope that is NULL is an error; so are sizes that no memory has. */
START_TEST(bad_names)
{
    for (int i = 0; sp_cell_kind(i); i++) {
        sp_store *own = sp_store_new(1);
        ck_assert(!sp_cell_make(own, sp_cell_kind(i), NULL, 0, IN, H).step);
        ck_assert_msg(strstr(sp_store_status(own)->message, "a part of its name is NULL"), "%s", sp_store_status(own)->message);
        sp_store_free(own);
        own = sp_store_new(1);
        ck_assert(!sp_cell_make(own, sp_cell_kind(i), "x", 0, 1L << 30, 1L << 30).step && !sp_store_ok(own));
        sp_store_free(own);
    }
    ck_assert_int_eq(sp_cell_out(NULL), 0);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("cell");
    TCase *c = tcase_create("cells");
    tcase_add_loop_test(c, cell_gradients, 0, kinds());
    tcase_add_loop_test(c, cell_values, 0, kinds());
    tcase_add_loop_test(c, unroll_in_parts, 0, kinds());
    tcase_add_test(c, sru_highway);
    tcase_add_test(c, projection);
    tcase_add_loop_test(c, learns, 0, kinds());
    tcase_add_loop_test(c, stable, 0, kinds());
    tcase_add_test(c, tied_gates);
    tcase_add_test(c, small_divisor);
    tcase_add_test(c, nothing_remembered);
    tcase_add_loop_test(c, begins, 0, kinds());
    tcase_add_test(c, forget_bias);
    tcase_add_loop_test(c, nothing_seen, 0, kinds());
    tcase_add_test(c, bad_sizes);
    tcase_add_test(c, bad_names);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
