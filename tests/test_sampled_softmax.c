/* The sampled softmax: its samplers, its loss beside plain loops, what it is on average, and what it costs to be wrong. */
#include "nn/sampled_softmax.h"

#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/embed.h"
#include "nn/loss.h"
#include "ops/ops.h"
#include "tests/suite.h"

/* ---- samplers -------------------------------------------------------------------------------------------------- */

enum { CLASSES = 40 };

/* the rest 0 */
static const double counts[CLASSES] = { 500, 3, 0, 17, 1, 1, 80, 4, 0, 9, 200, 1, 2, 33, 5, 6, 7, 8, 150, 10 };

/* 0: log-uniform; 1 .. 3: of the counts */
static sp_sampler sampler(sp_store *s, int kind)
{
    static const double power[] = { 0, 0, 0.75, 1 };
    sp_sampler q = kind ? sp_sampler_make(s, counts, CLASSES, power[kind]) : sp_sampler_log_uniform(CLASSES);
    ck_assert_msg(sp_store_ok(s), "%s", sp_store_status(s)->message);
    return q;
}

/* q_k from the formulas of the header. */
static double naive_probability(int kind, int k)
{
    double sum = 0;
    if (!kind)
        return log((k + 2.0) / (k + 1.0)) / log(CLASSES + 1.0);
    for (int i = 0; i < CLASSES; i++)
        sum += counts[i] > 0 ? pow(counts[i], kind == 1 ? 0 : kind == 2 ? 0.75 : 1) : 0;
    return counts[k] > 0 ? pow(counts[k], kind == 1 ? 0 : kind == 2 ? 0.75 : 1) / sum : 0;
}

START_TEST(draws)
{
    enum { DRAWS = 100000 };
    sp_store *s = sp_store_new(1);
    sp_sampler q = sampler(s, _i);
    sp_random random = { .key = { .seed = 2, .place = (uint64_t)_i } };
    long seen[CLASSES] = { 0 };
    double sum = 0;
    for (long i = 0; i < DRAWS; i++) {
        const long k = sp_sampler_draw(&q, &random);
        ck_each(k >= 0 && k < CLASSES, "drew %ld", k);
        seen[k]++;
    }
    for (int k = 0; k < CLASSES; k++) {
        const double p = naive_probability(_i, k), deviation = sqrt(DRAWS * p * (1 - p));
        ck_assert_double_eq_tol(sp_sampler_probability(&q, k), p, 1e-14);
        /* 5 standard deviations: once in 10^4 tables by chance, and these draws are always the same */
        ck_assert_msg(fabs((double)seen[k] - DRAWS * p) <= 5 * deviation, "class %d: %ld times, not %.0f", k, seen[k], DRAWS * p);
        sum += p;
    }
    ck_assert_double_eq_tol(sum, 1, 1e-12);
    ck_assert(sp_sampler_probability(&q, -1) == 0 && sp_sampler_probability(&q, CLASSES) == 0);
    sp_store_free(s);
}
END_TEST

/* A class that never occurs stays out, whatever shares the others have and rounding leaves over. */
START_TEST(never_drawn)
{
    enum { MOST = 100 };
    double count[MOST] = { 0 };
    for (long n = 2; n <= MOST; n++) {
        sp_store *s = sp_store_new(1);
        for (int k = 1; k < n; k++)
            count[k] = 0.1 + 0.037 * (k % 11);
        sp_sampler q = sp_sampler_make(s, count, n, 1);
        sp_random random = { .key = { .seed = 9 } };
        for (long i = 0; i < 10 * n; i++)
            ck_each(sp_sampler_draw(&q, &random), "of %ld classes drew 0, which never occurs", n);
        sp_store_free(s);
    }
}
END_TEST

static const struct {
    long classes;
    double count, power;
    const char *error;
} declarations[] = {
    { 0, 1, 1, "sampler: 0 classes, power 1: needs 1 or more, their counts, and 0..100" },
    { -1, 1, 1, "sampler: -1 classes, power 1: needs 1 or more, their counts, and 0..100" },
    { 2, 1, -1, "sampler: 2 classes, power -1: needs 1 or more, their counts, and 0..100" },
    { 2, 1, NAN, "sampler: 2 classes, power nan: needs 1 or more, their counts, and 0..100" },
    { 2, -3, 1, "sampler: the count -3 of class 1 is not finite and 0 or more" },
    { 2, NAN, 1, "sampler: the count nan of class 1 is not finite and 0 or more" },
    { 2, 0, 1, "sampler: 2 counts^1 add up to 0" },
    { 2, 1e300, 2, "sampler: 2 counts^2 add up to inf" },
};

START_TEST(bad_sampler)
{
    const double count[2] = { 0, declarations[_i].count };
    sp_store *s = sp_store_new(1);
    sp_sampler q = sp_sampler_make(s, count, declarations[_i].classes, declarations[_i].power);
    ck_assert_str_eq(sp_store_status(s)->message, declarations[_i].error);
    ck_assert_int_eq(q.classes, 0);
    ck_assert_int_eq(sp_sampler_draw(&q, &(sp_random){ .drawn = 0 }), 0);
    sp_store_free(s);
}
END_TEST

/* ---- the loss beside plain loops ------------------------------------------------------------------------------- */

enum { IN = 5, ROWS = 6, SAMPLES = 12 };
static const int ids[ROWS] = { 0, 39, 10, SP_IGNORE, 18, 0 };

struct model {
    sp_store *store;
    sp_linear out;
    sp_sampler q;
    sp_param *x;                                /* [ROWS,IN] */
};

static struct model make_model(int kind, bool bias)
{
    struct model m = { .store = sp_store_new(3) };
    m.out = (bias ? sp_linear_make : sp_linear_unbiased_make)(m.store, "out", IN, CLASSES);
    m.x = sp_store_add(m.store, SP_SHAPE(ROWS, IN), "x");
    m.q = sampler(m.store, kind);
    for (int i = 0; i < sp_store_count(m.store); i++) {
        const sp_param *p = sp_store_at(m.store, i);
        sp_random_uniform((sp_key){ .seed = 4, .place = (uint64_t)i }, sp_shape_size(p->shape), sp_param_values(p), -1, 1);
    }
    return m;
}

static double logit(const struct model *m, int row, int k)
{
    double x = m->out.bias ? (double)sp_param_read(m->out.bias)[k] : 0;
    for (int j = 0; j < IN; j++)
        x += (double)sp_param_read(m->out.weight)[k * IN + j] * (double)sp_param_read(m->x)[row * IN + j];
    return x;
}

/* The distinct classes that a tape draws next, as the header says it: by its key, one call after the other. */
static void mark_drawn(sp_tape *t, const sp_sampler *q, bool drawn[CLASSES])
{
    sp_random random = { .key = sp_tape_key(t) };
    memset(drawn, 0, CLASSES * sizeof *drawn);
    for (int i = 0; i < SAMPLES; i++)
        drawn[sp_sampler_draw(q, &random)] = true;
}

static double naive_loss(const struct model *m, const bool drawn[CLASSES], int row)
{
    double sum = exp(logit(m, row, ids[row]));
    for (int j = 0; j < CLASSES; j++)
        if (drawn[j] && j != ids[row])
            sum += exp(logit(m, row, j)) / (1 - pow(1 - sp_sampler_probability(&m->q, j), SAMPLES));
    return log(sum) - logit(m, row, ids[row]);
}

static sp_tensor *sampled_loss(sp_tape *t, void *context)
{
    const struct model *m = context;
    return sp_sampled_cross_entropy_mean(t, &m->out, &m->q, sp_param_on(t, m->x), ids, SP_IGNORE, SAMPLES);
}

/* Every number, and that gradients reach the rows of the drawn and of the targets alone. */
START_TEST(as_plain_loops_say)
{
    struct model m = make_model(_i / 2, _i % 2);
    bool drawn[CLASSES];
    sp_real got[ROWS];
    double sum = 0;
    int hits = 0;
    sp_tape *t = sp_tape_new(m.store);
    mark_drawn(t, &m.q, drawn);
    sp_tape_reset(t);
    sp_tape_seed(t, 0, 0);
    sp_tensor *x = sp_reshape(t, sp_param_on(t, m.x), SP_SHAPE(2, 3, IN));
    sp_tensor *rows = sp_sampled_cross_entropy(t, &m.out, &m.q, x, ids, SP_IGNORE, SAMPLES);
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(rows), SP_SHAPE(2, 3)));
    sp_read(rows, got);
    for (int i = 0; i < ROWS; i++) {
        const double want = ids[i] == SP_IGNORE ? 0 : naive_loss(&m, drawn, i);
        ck_assert_double_eq_tol((double)got[i], want, WIDE(1e-12, 1e-5));
        sum += want;
        hits += ids[i] != SP_IGNORE && drawn[ids[i]];
    }
    ck_assert_int_gt(hits, 0);                          /* some class is its own again */
    sp_tape_reset(t);
    sp_tape_seed(t, 0, 0);
    sp_tensor *mean = sampled_loss(t, &m);
    ck_assert_double_eq_tol((double)sp_item(mean), sum / (ROWS - 1), WIDE(1e-12, 1e-5));
    ck_assert(sp_backward(t, mean));
    for (int k = 0; k < CLASSES; k++) {
        bool target = false, touched = false;
        for (int i = 0; i < ROWS; i++)
            target |= ids[i] == k;
        for (int j = 0; j < IN; j++)
            touched |= sp_gradients(t)[m.out.weight->offset + k * IN + j] != 0;
        ck_assert_msg(touched == (drawn[k] || target), "class %d: gradient %d, drawn %d, target %d", k, touched, drawn[k],
                      target);
    }
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

START_TEST(gradients)
{
    struct model m = make_model(_i, true);
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(m.store, sampled_loss, &m, 0, &r, &status), "%s", status.message);
    ck_assert_int_eq(r.checked, ROWS * IN + CLASSES * (IN + 1));
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(m.store);
}
END_TEST

/* ---- what is exact --------------------------------------------------------------------------------------------- */

/* With as many samples as classes, and where the tape does not train: the full softmax, to the bit, gradients too. */
START_TEST(exact)
{
    struct model m = make_model(_i, true);
    sp_tape *t = sp_tape_new(m.store);
    const long n = sp_store_size(m.store);
    sp_real want[600], loss[2];
    ck_assert_int_le(n, 600);
    sp_tensor *full = sp_cross_entropy_mean(t, sp_linear_on(t, &m.out, sp_param_on(t, m.x)), ids, SP_IGNORE);
    sp_read(full, &loss[0]);
    ck_assert(sp_backward(t, full));
    memcpy(want, sp_gradients(t), (size_t)n * sizeof *want);
    sp_zero_grad(t);
    sp_tape_reset(t);
    if (_i)
        sp_tape_set_training(t, false);
    sp_tensor *sampled = sp_sampled_cross_entropy_mean(t, &m.out, &m.q, sp_param_on(t, m.x), ids, SP_IGNORE,
                                                       _i ? SAMPLES : CLASSES);
    sp_read(sampled, &loss[1]);
    ck_assert(sp_backward(t, sampled));
    ck_same(&loss[0], &loss[1], 1);
    ck_same(want, sp_gradients(t), n);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* ---- what it is on average ------------------------------------------------------------------------------------- */

enum { MANY = 300, STEPS = 2000 };

struct logits {
    sp_store *store;
    sp_linear out;              /* of inputs 0: the logits are the bias, and so are their gradients */
    double z, p[MANY];          /* sum e^x, softmax x */
};

static struct logits make_logits(void)
{
    struct logits m = { .store = sp_store_new(5) };
    m.out = sp_linear_make(m.store, "out", 1, MANY);
    sp_real *x = sp_param_values(m.out.bias);
    sp_random_uniform((sp_key){ .seed = 8 }, MANY, x, -1, 1);
    for (int k = 0; k < MANY; k++)
        x[k] -= (sp_real)(0.5 * log(k + 1.0));          /* rarer classes are less likely, but not as the sampler thinks */
    for (int k = 0; k < MANY; k++)
        m.z += exp((double)x[k]);
    for (int k = 0; k < MANY; k++)
        m.p[k] = exp((double)x[k]) / m.z;
    return m;
}

/* Estimates Z^ of Z = sum e^x are right on average: within 5 standard errors of STEPS of them. The gradient of the logits,
   p^ - [j = id], is not quite, but with a_j = e^x_j / Z / pi_j if j is drawn, R = Z^ / Z and d = R - 1:
       E p^_j - p_j = E (a_j - p_j)(-d) + E a_j d^2 / R
   where sum_j a_j <= R, and |E (a_j - p_j) d| adds up to 2 sum Var a at most, because draws exclude each other; so the whole is
   off by 4 sum_j Var a_j = 4 sum_j p_j^2 (1 / pi_j - 1) at most, which vanishes with the number of samples. */
START_TEST(on_average)
{
    static const long samples[] = { 30, 100, 295 };
    static const double bound[] = { 0.5, 0.1, 0.03 };
    const int id = 20;
    struct logits m = make_logits();
    sp_sampler q = sp_sampler_log_uniform(MANY);
    double most = 0, sum = 0, squares = 0, mean[MANY] = { 0 }, square[MANY] = { 0 };
    sp_tape *t = sp_tape_new(m.store);
    for (int step = 0; step < STEPS; step++) {
        sp_tape_reset(t);
        sp_zero_grad(t);
        sp_tensor *x = sp_full(t, 0, SP_SHAPE(1, 1));
        sp_tensor *loss = sp_sampled_cross_entropy_mean(t, &m.out, &q, x, &id, SP_IGNORE, samples[_i]);
        ck_assert(sp_backward(t, loss));
        const double r = exp((double)sp_item(loss)) * m.p[id];          /* Z^ / Z */
        sum += r;
        squares += r * r;
        for (int k = 0; k < MANY; k++) {
            const double g = (double)sp_gradients(t)[m.out.bias->offset + k];
            mean[k] += g / STEPS;
            square[k] += g * g / STEPS;
        }
    }
    const double average = sum / STEPS, error = sqrt((squares / STEPS - average * average) / STEPS);
    ck_assert_msg(fabs(average - 1) <= 5 * error + 1e-6, "%ld samples: Z is %.4f of what it is, +- %.4f", samples[_i], average,
                  error);
    double off = 0, noise = 0;
    for (int k = 0; k < MANY; k++) {
        const double pi = 1 - pow(1 - sp_sampler_probability(&q, k), (double)samples[_i]);
        most += k == id ? 0 : 4 * m.p[k] * m.p[k] * (1 / pi - 1);
        off += fabs(mean[k] - (m.p[k] - (k == id)));
        noise += sqrt(fmax(square[k] - mean[k] * mean[k], 0) / STEPS);
    }
    /* the mean |error| of a normal number is 0.8 of its deviation, and 300 of them hardly differ from that; 1.2 is 6 of its own
       deviations more */
    ck_assert_msg(off <= most + 1.2 * noise, "%ld samples: gradients are off by %.4f, not at most %.4f + %.4f", samples[_i], off,
                  most, noise);
    ck_assert_double_lt(most, bound[_i]);
    ck_assert_double_lt(noise, 0.1);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* ---- what it depends on ---------------------------------------------------------------------------------------- */

START_TEST(keys)
{
    struct model m = make_model(0, true);
    sp_tape *t = sp_tape_new(m.store);
    sp_real a, b, other;
    sp_tape_seed(t, 5, 3);
    sp_read(sampled_loss(t, &m), &a);
    sp_read(sampled_loss(t, &m), &other);
    ck_assert(a != other);                              /* another call */
    sp_tape_reset(t);
    sp_read(sampled_loss(t, &m), &other);
    ck_assert(a != other);                              /* another step */
    sp_tape_reset(t);
    sp_tape_seed(t, 5, 3);
    sp_read(sampled_loss(t, &m), &b);
    ck_same(&a, &b, 1);
    sp_mark mark = sp_tape_mark(t);
    sp_read(sampled_loss(t, &m), &a);
    sp_tape_rewind(t, mark);
    sp_read(sampled_loss(t, &m), &b);
    ck_same(&a, &b, 1);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* Tied to the embedding of its input it learns which word follows which. */
START_TEST(learns)
{
    enum { WORDS = 30, WIDTH = 16 };
    sp_store *s = sp_store_new(1);
    sp_embed embed = sp_embed_make(s, "embed", WORDS, WIDTH);
    sp_linear out = sp_linear_tied_make(s, "out", embed.weight), turn = sp_linear_make(s, "turn", WIDTH, WIDTH);
    sp_sampler q = sp_sampler_log_uniform(WORDS);
    sp_tape *t = sp_tape_new(s);
    int from[WORDS], to[WORDS];
    for (int i = 0; i < WORDS; i++) {
        from[i] = i;
        to[i] = (7 * i + 3) % WORDS;
    }
    double loss[2];
    for (int step = 0; step < 200; step++) {
        sp_tape_reset(t);
        sp_tensor *h = sp_linear_on(t, &turn, sp_embed_on(t, &embed, from, WORDS));
        sp_backward(t, sp_sampled_cross_entropy_mean(t, &out, &q, h, to, SP_IGNORE, 12));
        sp_real *x = sp_store_values(s);
        for (long i = 0; i < sp_store_size(s); i++)
            x[i] -= (sp_real)0.1 * sp_gradients(t)[i];
        sp_zero_grad(t);
        if (step == 0 || step == 199) {
            sp_tape_reset(t);
            sp_tape_set_training(t, false);
            h = sp_linear_on(t, &turn, sp_embed_on(t, &embed, from, WORDS));
            loss[step > 0] = (double)sp_item(sp_sampled_cross_entropy_mean(t, &out, &q, h, to, SP_IGNORE, 12));
            sp_tape_set_training(t, true);
        }
    }
    ck_tape_ok(t);
    ck_assert_msg(loss[1] < 0.3 && loss[0] > 2, "%.3f to %.3f nats", loss[0], loss[1]);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* A row that is ignored reads nothing that is not read anyway: a NaN of a class that is not drawn stays where it is. */
START_TEST(ignored_rows)
{
    sp_store *s = sp_store_new(1);
    const sp_linear out = sp_linear_make(s, "out", 2, 4);
    const sp_sampler q = sp_sampler_make(s, (const double[]){ 0, 1, 1, 1 }, 4, 1);
    sp_real gradient[4];
    sp_param_values(out.weight)[0] = (sp_real)NAN;
    sp_tape *t = sp_tape_new(s);
    sp_tensor *x = sp_variable(t, REALS(1, 2, 3, 4), SP_SHAPE(2, 2));
    sp_tensor *y = sp_sampled_cross_entropy_mean(t, &out, &q, x, (const int[]){ SP_IGNORE, 2 }, SP_IGNORE, 3);
    ck_assert(sp_backward(t, y) && sp_read_grad(x, gradient));
    ck_assert(gradient[0] == 0 && gradient[1] == 0 && isfinite((double)gradient[2]) && isfinite((double)sp_item(y)));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* ---- nothing, and errors --------------------------------------------------------------------------------------- */

static struct model model;
static sp_tape *t;

static void begin(void)
{
    model = make_model(0, true);
    t = sp_tape_new(model.store);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(model.store);
}

START_TEST(nothing)
{
    int none[ROWS];
    for (int i = 0; i < ROWS; i++)
        none[i] = 9;
    sp_tensor *x = sp_param_on(t, model.x);
    sp_tensor *loss = sp_sampled_cross_entropy_mean(t, &model.out, &model.q, x, none, 9, SAMPLES);
    loss = sp_add(t, loss, sp_sampled_cross_entropy_mean(t, &model.out, &model.q, sp_slice(t, x, 0, 0, 0), NULL, 9, SAMPLES));
    ck_tape_ok(t);
    ck_assert(sp_item(loss) == 0 && sp_backward(t, loss));
    for (long i = 0; i < sp_store_size(model.store); i++)
        ck_each(sp_gradients(t)[i] == 0, "gradient %ld", i);
}
END_TEST

static sp_tensor *on(const sp_linear *out, const sp_sampler *q, long width, const int *id, long samples)
{
    return sp_sampled_cross_entropy_mean(t, out, q, sp_full(t, 0, SP_SHAPE(2, width)), id, SP_IGNORE, samples);
}

static const int zeros[2], high[2] = { 0, CLASSES }, low[2] = { -1, 0 };
static const sp_sampler fewer = { .classes = CLASSES - 1 };

#define USE(name, ...) static void name(void) { on(__VA_ARGS__); }
USE(high_id, &model.out, &model.q, IN, high, 4)
USE(low_id, &model.out, &model.q, IN, low, 4)
USE(all_id, &model.out, &model.q, IN, high, CLASSES)
USE(no_ids, &model.out, &model.q, IN, NULL, 4)
USE(width, &model.out, &model.q, IN + 1, zeros, 4)
USE(no_samples, &model.out, &model.q, IN, zeros, 0)
USE(too_many, &model.out, &model.q, IN, zeros, 1L << 40)
USE(other_classes, &model.out, &fewer, IN, zeros, 4)
USE(no_sampler, &model.out, NULL, IN, zeros, 4)
USE(unmade, &model.out, &(sp_sampler){ .classes = 0 }, IN, zeros, 4)
USE(no_layer, NULL, &model.q, IN, zeros, 4)
USE(no_weight, &(sp_linear){ NULL, NULL }, &model.q, IN, zeros, 4)

static void no_x(void)
{
    sp_sampled_cross_entropy(t, &model.out, &model.q, NULL, zeros, SP_IGNORE, 4);
}

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { high_id, "sampled_softmax: id 40 in row 1 is not in 0..39" },
    { low_id, "sampled_softmax: id -1 in row 0 is not in 0..39" },
    { all_id, "cross_entropy: id 40 in row 1 is not in 0..39" },
    { no_ids, "sampled_softmax: no ids" },
    { width, "sampled_softmax: [2,6] is not [...,5], as the layer takes it" },
    { no_samples, "sampled_softmax: 0 samples of 40 classes for a layer of 40 outputs" },
    { too_many, "sampled_softmax: 1099511627776 samples of 40 classes for a layer of 40 outputs" },
    { other_classes, "sampled_softmax: 4 samples of 39 classes for a layer of 40 outputs" },
    { no_sampler, "sampled_softmax: no sampler (was it made?)" },
    { unmade, "sampled_softmax: no sampler (was it made?)" },
    { no_layer, "sampled_softmax: no layer (was it made?)" },
    { no_weight, "sampled_softmax: no layer (was it made?)" },
    { no_x, "sampled_softmax: no input" },
};

START_TEST(bad_use)
{
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    ck_assert(!sp_sampled_cross_entropy(NULL, &model.out, &model.q, NULL, NULL, SP_IGNORE, 4));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("sampled_softmax");
    TCase *c = tcase_create("samplers");
    tcase_add_loop_test(c, draws, 0, 4);
    tcase_add_test(c, never_drawn);
    tcase_add_loop_test(c, bad_sampler, 0, sizeof declarations / sizeof *declarations);
    suite_add_tcase(all, c);
    c = tcase_create("loss");
    tcase_add_loop_test(c, as_plain_loops_say, 0, 8);
    tcase_add_loop_test(c, gradients, 0, 4);
    tcase_add_loop_test(c, exact, 0, 2);
    tcase_add_loop_test(c, on_average, 0, 3);
    tcase_add_test(c, ignored_rows);
    tcase_add_test(c, keys);
    tcase_add_test(c, learns);
    suite_add_tcase(all, c);
    c = tcase_create("use");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, nothing);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(all, c);
    return all;
}
