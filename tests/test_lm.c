/* The recurrent language model: its loss, its gradient, that it learns, what it writes, and its file. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/file.h"
#include "autograd/gradcheck.h"
#include "nn/optimizer.h"
#include "nn/safetensors.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/lm.h"

static const char text[] = "how much wood would a woodchuck chuck\nif a woodchuck could chuck wood?\n";

static const sp_lm_config small = { .cell = "lstm", .embed = 5, .hidden = 8, .layers = 2 };

static char directory[PATH_ROOM], path[PATH_ROOM + 2];
static sp_lm *model;
static sp_ids ids;

static sp_lm *new_model(const sp_lm_config *config, uint64_t seed)
{
    sp_status status = { 0 };
    sp_vocabulary *v = sp_vocabulary_of(text, sizeof text - 1, SP_LEVEL_CHAR, 0, &status);
    sp_lm *m = sp_lm_new(config, v, seed, &status);
    ck_assert_msg(m != NULL, "%s", status.message);
    return m;
}

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m", directory);
    model = new_model(&small, 1);
    ck_assert(sp_encode(model->vocabulary, text, sizeof text - 1, &ids, NULL));
}

static void end(void)
{
    sp_lm_free(model);
    free(ids.id);
    remove(path);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

static double evaluate(const sp_lm *m, const int *id, long n, long batch)
{
    sp_status status = { 0 };
    double nats = sp_lm_evaluate(m, id, n, batch, &status);
    ck_assert_msg(status.code == SP_OK && isfinite(nats), "%s", status.message);
    return nats;
}

/* ---- loss and gradient ----------------------------------------------------------------------------------------- */

static const sp_lm_config checked[] = {
    { .cell = "lstm", .embed = 5, .hidden = 8, .layers = 2 },
    { .cell = "gru", .embed = 6, .hidden = 6, .layers = 1, .tied = true },
    { .cell = "rnn", .embed = 5, .hidden = 7, .layers = 2, .dropout = 0.4 },
    { .cell = "lstm", .embed = 6, .hidden = 6, .layers = 3, .tied = true, .dropout = 0.2 },
    { .cell = "lstm", .embed = 6, .hidden = 6, .layers = 2, .tied = true, .dropout = 0.4, .variational = true,
      .embed_dropout = 0.3, .weight_drop = 0.5 },
    { .cell = "gru", .embed = 5, .hidden = 8, .layers = 1, .dropout = 0.2, .adaptive = 4 },
    { .cell = "lstm", .embed = 5, .hidden = 16, .layers = 1, .adaptive = 1 },
};
enum { CHECKED = sizeof checked / sizeof *checked };

/* It knows nothing yet: each of the V symbols is about as likely. Weights that are also the output's begin small. */
START_TEST(loss_at_start)
{
    sp_lm *m = new_model(&checked[_i], 1);
    double nats = evaluate(m, ids.id, ids.n, 1), p = 1.0 / sp_vocabulary_size(m->vocabulary);
    if (m->config.adaptive) {                           /* of the head 1 in 5; of a cluster the share of its symbols */
        p = 0;
        for (long i = 1; i < ids.n; i++)
            p += log(ids.id[i] < 4 ? 1 / 5.0 : 1 / 5.0 / (sp_vocabulary_size(m->vocabulary) - 4));
        p = exp(p / (double)(ids.n - 1));
    }
    if (m->config.adaptive != 1)
        ck_assert_double_eq_tol(nats, -log(p), 0.2);
    for (long i = 0; m->config.tied && i < sp_shape_size(m->embed.weight->shape); i++)
        ck_assert(fabs((double)sp_param_values(m->embed.weight)[i]) <= 0.1);
    sp_lm_free(m);
}
END_TEST

static sp_tensor *loss_of(sp_tape *t, void *m)
{
    enum { STEPS = 5, BATCH = 3 };
    int y[STEPS * BATCH];
    memcpy(y, ids.id + BATCH, sizeof y);
    y[4] = y[11] = SP_IGNORE;
    return sp_lm_loss(t, m, ids.id, y, STEPS, BATCH, NULL);
}

START_TEST(gradient)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    sp_lm *m = new_model(&checked[_i], 3);
    ck_assert(sp_gradcheck(m->store, loss_of, m, 20, &r, &status));
    ck_assert_msg(r.error < WIDE(1e-6, 0.05), "%s: backward %.12g, differences %.12g", r.where, r.backward, r.numeric);
    ck_assert_int_eq(r.checked, 20);
    sp_lm_free(m);
}
END_TEST

/* Ignored targets change neither the mean nor the number it is taken over. */
START_TEST(ignored_targets)
{
    int y[4] = { ids.id[1], SP_IGNORE, ids.id[3], SP_IGNORE };
    double sum = 0;
    sp_tape *t = sp_tape_new(model->store);
    sp_real loss = sp_item(sp_lm_loss(t, model, ids.id, y, 4, 1, NULL));
    for (int keep = 0; keep < 4; keep += 2) {
        int one[4] = { SP_IGNORE, SP_IGNORE, SP_IGNORE, SP_IGNORE };
        one[keep] = y[keep];
        sum += (double)sp_item(sp_lm_loss(t, model, ids.id, one, 4, 1, NULL));
    }
    ck_assert_double_eq_tol((double)loss, sum / 2, WIDE(1e-14, 1e-6));
    y[0] = y[2] = SP_IGNORE;
    ck_assert(sp_item(sp_lm_loss(t, model, ids.id, y, 4, 1, NULL)) == 0);
    ck_tape_ok(t);
    sp_tape_free(t);
}
END_TEST

/* ---- learning -------------------------------------------------------------------------------------------------- */

/* Steps on the whole text from zero states, until the loss is below the goal. Returns the loss of the last. */
static double learn(sp_lm *m, int steps, double goal, uint64_t seed)
{
    double loss = INFINITY;
    sp_tape *t = sp_tape_new(m->store);
    sp_optimizer *adam = sp_optimizer_new(m->store, "adam", 2e-2, NULL);
    for (int i = 0; i < steps && loss >= goal; i++) {
        sp_tape_reset(t);
        sp_tape_seed(t, seed, (uint32_t)i);
        sp_tensor *l = sp_lm_loss(t, m, ids.id, ids.id + 1, ids.n - 1, 1, NULL);
        sp_backward(t, l);
        sp_clip_norm(t, 5);
        sp_step(adam, t);
        loss = (double)sp_item(l);
    }
    ck_tape_ok(t);
    sp_optimizer_free(adam);
    sp_tape_free(t);
    return loss;
}

static const sp_lm_config learners[] = {
    { .cell = "lstm", .embed = 16, .hidden = 16, .layers = 1 },
    { .cell = "gru", .embed = 16, .hidden = 16, .layers = 1, .tied = true },
    { .cell = "rnn", .embed = 16, .hidden = 16, .layers = 2 },
    { .cell = "lstm", .embed = 16, .hidden = 20, .layers = 1, .adaptive = 6 },
};

/* It learns a text by heart, and the likeliest continuation is the text. */
START_TEST(memorises)
{
    const sp_sampling likeliest = { .temperature = 0, .top_p = 1 };
    int out[20];
    sp_lm *m = new_model(&learners[_i], 1);
    double loss = learn(m, 300, 0.05, 0);
    ck_assert_msg(loss < 0.05, "the loss is still %.3f", loss);
    ck_assert(sp_lm_sample(m, ids.id, 10, &likeliest, 20, out, NULL, NULL));
    ck_assert_mem_eq(out, ids.id + 10, sizeof out);
    sp_lm_free(m);
}
END_TEST

static char *trained_bytes(uint64_t seed, uint64_t dropout_seed, size_t *size)
{
    sp_lm *m = new_model(&checked[2], seed);
    learn(m, 5, 0, dropout_seed);
    ck_assert(sp_lm_save(m, path, NULL));
    sp_lm_free(m);
    return sp_file_read(path, size, NULL);
}

/* The same seeds: the same bits. Another seed, of the values or of dropout: others. */
START_TEST(deterministic)
{
    static const uint64_t seeds[][2] = { { 1, 1 }, { 2, 1 }, { 1, 2 } };
    size_t size, again;
    char *first = trained_bytes(1, 1, &size);
    for (int i = 0; i < 3; i++) {
        char *other = trained_bytes(seeds[i][0], seeds[i][1], &again);
        ck_assert_uint_eq(size, again);
        ck_assert_int_eq(memcmp(first, other, size) == 0, i == 0);
        free(other);
    }
    free(first);
}
END_TEST

/* ---- measuring ------------------------------------------------------------------------------------------------- */

/* The probabilities of all next symbols sum to one, and ln p of a text is the sum over its symbols. */
START_TEST(score_is_log_p)
{
    sp_lm *m = new_model(&checked[_i], 2);
    int id[4] = { ids.id[0], ids.id[1], ids.id[2] };
    double before = sp_lm_score(m, id, 3, NULL), total = 0;
    for (id[3] = 0; id[3] < sp_vocabulary_size(m->vocabulary); id[3]++)
        total += exp(sp_lm_score(m, id, 4, NULL) - before);
    ck_assert_double_eq_tol(total, 1, WIDE(1e-12, 1e-5));
    ck_assert_double_eq_tol(sp_lm_score(m, ids.id, ids.n, NULL), -evaluate(m, ids.id, ids.n, 1) * (double)(ids.n - 1), 1e-9);
    ck_assert(sp_lm_score(m, id, 1, NULL) == 0);
    sp_lm_free(m);
}
END_TEST

/* Streams side by side are texts of their own, each from a zero state, however many windows they take. */
START_TEST(evaluate_in_streams)
{
    enum { N = 500, BATCH = 3 };
    int id[N];
    double sum = 0;
    for (int i = 0; i < N; i++)
        id[i] = ids.id[i * i % ids.n];
    for (long b = 0; b < BATCH; b++) {
        long from = (N - 1) * b / BATCH, to = (N - 1) * (b + 1) / BATCH;
        sum += evaluate(model, id + from, to - from + 1, 1) * (double)(to - from);
    }
    ck_assert_double_eq_tol(evaluate(model, id, N, BATCH), sum / (N - 1), WIDE(1e-12, 1e-5));
    ck_assert_double_ne(evaluate(model, id, N, BATCH), evaluate(model, id, N, 1));
    ck_assert(evaluate(model, id, 3, 100) == evaluate(model, id, 3, 2));    /* no more streams than pairs */
}
END_TEST

/* Dropout is for training: evaluation neither drops nor depends on a seed. */
START_TEST(no_dropout_in_evaluation)
{
    sp_lm *with = new_model(&checked[_i], 3);
    sp_lm_config config = checked[_i];
    config.dropout = config.embed_dropout = config.weight_drop = 0;
    sp_lm *without = new_model(&config, 3);
    ck_assert(evaluate(with, ids.id, ids.n, 2) == evaluate(without, ids.id, ids.n, 2));
    sp_lm_free(with);
    sp_lm_free(without);
}
END_TEST

/* ---- what is dropped ------------------------------------------------------------------------------------------- */

enum { WIDTH = 12 };

/* How many columns (or rows) of the gradient of a parameter [n,m] are all zeros. */
static int zeros(sp_tape *t, const sp_lm *m, const char *name, bool columns)
{
    const sp_param *p = sp_store_find(m->store, name);
    const sp_real *g = sp_gradients(t) + p->offset;
    const long n = p->shape.dim[0], w = p->shape.dim[1];
    int count = 0;
    for (long i = 0; i < (columns ? w : n); i++) {
        bool zero = true;
        for (long j = 0; j < (columns ? n : w); j++)
            zero = zero && (columns ? g[j * w + i] : g[i * w + j]) == 0;
        count += zero;
    }
    return count;
}

/* The gradients of the whole text, read as one stream. */
static sp_tape *gradients(const sp_lm *m)
{
    sp_tape *t = sp_tape_new(m->store);
    sp_backward(t, sp_lm_loss(t, m, ids.id, ids.id + 1, ids.n - 1, 1, NULL));
    ck_tape_ok(t);
    return t;
}

/* A feature that is dropped at all times leaves no gradient where it is read; one that is dropped now and then does. */
START_TEST(variational_dropout)
{
    static const char *const read[] = { "out.weight", "rnn.weight_ih_l1", "rnn.weight_ih_l0" };
    for (int way = 0; way < 4; way++) {
        const bool variational = way % 2, adaptive = way / 2;
        sp_lm *m = new_model(&(sp_lm_config){ .cell = "lstm", .embed = WIDTH, .hidden = WIDTH, .layers = 2, .dropout = 0.5,
                                              .variational = variational, .adaptive = adaptive ? 4 : 0 }, 1);
        sp_tape *t = gradients(m);
        for (int i = 0; i < 3; i++) {
            const char *name = adaptive && !i ? "out.head.weight" : read[i];
            const int none = zeros(t, m, name, true);
            ck_assert_msg(variational ? none > 0 && none < WIDTH : !none, "%s: %d columns", name, none);
        }
        sp_tape_free(t);
        sp_lm_free(m);
    }
}
END_TEST

/* A symbol that is dropped is dropped wherever it stands: of those that are there often some have no gradient. */
START_TEST(embed_dropout)
{
    int often = 0, none = 0;
    sp_lm *m = new_model(&(sp_lm_config){ .cell = "lstm", .embed = WIDTH, .hidden = WIDTH, .layers = 1, .embed_dropout = 0.5 }, 1);
    sp_tape *t = gradients(m);
    for (int id = 0; id < sp_vocabulary_size(m->vocabulary); id++) {
        int there = 0;
        bool zero = true;
        for (long i = 0; i + 1 < ids.n; i++)
            there += ids.id[i] == id;
        for (int j = 0; j < WIDTH; j++)
            zero = zero && sp_gradients(t)[m->embed.weight->offset + id * WIDTH + j] == 0;
        often += there >= 5;
        none += there >= 5 && zero;
    }
    ck_assert_msg(often > 5 && none > 0 && none < often, "%d of %d", none, often);
    sp_tape_free(t);
    sp_lm_free(m);
}
END_TEST

/* Of 16 symbols some are in the head; then 4 times as many are in the first cluster, 16 times in the second, or what is left. */
START_TEST(clusters)
{
    static const struct { long head, clusters, cutoff[3]; } want[] = {
        { 1, 2, { 1, 5, 16 } }, { 2, 2, { 2, 10, 16 } }, { 3, 2, { 3, 15, 16 } }, { 4, 1, { 4, 16 } },
    };
    for (int i = 0; i < 4; i++) {
        sp_lm *m = new_model(&(sp_lm_config){ .cell = "lstm", .embed = 4, .hidden = 16, .layers = 1, .adaptive = want[i].head }, 1);
        ck_assert_int_eq(m->adaptive.clusters, want[i].clusters);
        ck_assert_mem_eq(m->adaptive.cutoff, want[i].cutoff, (size_t)(want[i].clusters + 1) * sizeof(long));
        sp_lm_free(m);
    }
}
END_TEST

START_TEST(weight_drop)
{
    for (int dropped = 0; dropped < 2; dropped++) {
        sp_lm *m = new_model(&(sp_lm_config){ .cell = "lstm", .embed = 4, .hidden = WIDTH, .layers = 1, .weight_drop = dropped * 0.5 }, 1);
        sp_tape *t = gradients(m);
        const sp_param *p = sp_store_find(m->store, "rnn.weight_hh_l0");
        int none = 0;
        for (long i = 0; i < 4 * WIDTH * WIDTH; i++)
            none += sp_gradients(t)[p->offset + i] == 0;
        ck_assert_int_le(abs(none - dropped * 2 * WIDTH * WIDTH), dropped * 60);
        sp_tape_free(t);
        sp_lm_free(m);
    }
}
END_TEST

/* ---- writing --------------------------------------------------------------------------------------------------- */

START_TEST(sampling)
{
    sp_sampling how = { .temperature = 3, .top_p = 1, .seed = 5 };
    int out[60], again[60], whole[64];
    double log_p;
    ck_assert(sp_lm_sample(model, ids.id, 4, &how, 60, out, &log_p, NULL));
    ck_assert(sp_lm_sample(model, ids.id, 4, &how, 60, again, NULL, NULL));
    ck_assert_mem_eq(out, again, sizeof out);
    how.seed = 6;
    ck_assert(sp_lm_sample(model, ids.id, 4, &how, 60, again, NULL, NULL));
    ck_assert_int_ne(memcmp(out, again, sizeof out), 0);
    memcpy(whole, ids.id, 4 * sizeof *whole);
    memcpy(whole + 4, out, sizeof out);
    for (int i = 0; i < 60; i++)
        ck_assert_int_ne(out[i], SP_UNKNOWN);
    ck_assert_double_eq_tol(log_p, sp_lm_score(model, whole, 64, NULL) - sp_lm_score(model, whole, 4, NULL),
                            WIDE(1e-10, 1e-3));
}
END_TEST

/* Text i is the same however many are written, and no two are the same. */
START_TEST(sample_batch)
{
    enum { MOST = 70, LENGTH = 20 };
    const sp_sampling how = { .temperature = 2, .top_p = 1, .seed = 5 };
    static int all[MOST][LENGTH], some[MOST][LENGTH], whole[4 + LENGTH];
    double all_log_p[MOST], log_p[MOST], one;
    sp_lm *m = new_model(&checked[_i], 1);
    ck_assert(sp_lm_sample_batch(m, ids.id, 4, &how, LENGTH, MOST, *all, all_log_p, NULL));
    for (int n = 1; n < MOST; n += n < 3 ? 1 : 30) {
        ck_assert(sp_lm_sample_batch(m, ids.id, 4, &how, LENGTH, n, *some, log_p, NULL));
        ck_assert_mem_eq(all, some, (size_t)n * sizeof *all);
        ck_assert_mem_eq(all_log_p, log_p, (size_t)n * sizeof *log_p);
    }
    ck_assert(sp_lm_sample(m, ids.id, 4, &how, LENGTH, *some, &one, NULL));
    ck_assert_mem_eq(all, some, sizeof *all);
    ck_assert(one == all_log_p[0]);
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < i; j++)
            ck_each(memcmp(all[i], all[j], sizeof *all), "texts %d and %d are the same", i, j);
    memcpy(whole, ids.id, 4 * sizeof *whole);
    memcpy(whole + 4, all[MOST - 1], sizeof *all);
    ck_assert_double_eq_tol(all_log_p[MOST - 1], sp_lm_score(m, whole, 4 + LENGTH, NULL) - sp_lm_score(m, whole, 4, NULL),
                            WIDE(1e-10, 1e-3));
    sp_lm_free(m);
}
END_TEST

/* ---- dynamic evaluation ---------------------------------------------------------------------------------------- */

static double dynamic(sp_lm *m, const int *id, long n, long batch, const sp_lm_dynamic *how)
{
    sp_status status = { 0 };
    const size_t bytes = (size_t)sp_store_size(m->store) * sizeof(sp_real);
    sp_real *before = malloc(bytes);
    memcpy(before, sp_store_values(m->store), bytes);
    const double nats = sp_lm_evaluate_dynamic(m, id, n, batch, how, &status);
    ck_assert_msg(isfinite(nats), "%s", status.message);
    ck_assert_mem_eq(before, sp_store_values(m->store), bytes);
    free(before);
    return nats;
}

/* Without a rate it is static evaluation. */
START_TEST(dynamic_without_a_step)
{
    enum { STATIC_WINDOW = 64 };
    for (long batch = 1; batch < 3; batch++) {
        const double still = evaluate(model, ids.id, ids.n, batch);
        ck_assert(dynamic(model, ids.id, ids.n, batch, &(sp_lm_dynamic){ .window = STATIC_WINDOW }) == still);
        ck_assert(dynamic(model, ids.id, ids.n, batch, &(sp_lm_dynamic){ .window = STATIC_WINDOW, .decay = 0.5, .train = ids.id,
                                                                         .n = ids.n }) == still);
        ck_assert_double_eq_tol(dynamic(model, ids.id, ids.n, batch, &(sp_lm_dynamic){ .window = 7 }), still, WIDE(1e-13, 1e-5));
    }
}
END_TEST

enum { GATHERED = 20 };         /* streams of the text trained on, here of two windows of LATER symbols each */
enum { LATER = 10, LEARNED = 2 * LATER * GATHERED + 1 };

/* The root mean squares of the gradients of the two windows. */
static void scales(const sp_lm *m, const int *id, double *s)
{
    sp_tape *t = sp_tape_new(m->store);
    sp_state *state = sp_state_new(&m->stack, GATHERED);
    int x[LATER][GATHERED], y[LATER][GATHERED];
    sp_tape_set_training(t, false);
    for (int w = 0; w < 2; w++) {
        for (int i = 0; i < LATER; i++)
            for (int b = 0; b < GATHERED; b++) {
                const int at = (2 * b + w) * LATER + i;
                x[i][b] = id[at];
                y[i][b] = id[at + 1];
            }
        sp_tape_reset(t);
        sp_zero_grad(t);
        sp_backward(t, sp_lm_loss(t, m, *x, *y, LATER, GATHERED, state));
        for (long k = 0; k < sp_store_size(m->store); k++)
            s[k] += pow((double)sp_gradients(t)[k], 2) / 2;
    }
    for (long k = 0; k < sp_store_size(m->store); k++)
        s[k] = sqrt(s[k]);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_state_free(state);
}

/* Three windows by hand: each but the first is predicted by the weights that those before have left. */
static double three_windows(const sp_lm_dynamic *how)
{
    sp_lm *m = new_model(&small, 1);
    const long w = how->window;
    sp_tape *t = sp_tape_new(m->store);
    sp_state *state = sp_state_new(&m->stack, 1);
    double loss[3];
    double *s = calloc((size_t)sp_store_size(m->store), sizeof *s), mean = 0;
    sp_tape_set_training(t, false);
    if (how->train)
        scales(m, how->train, s);
    for (long k = 0; k < sp_store_size(m->store); k++)
        mean += s[k] / (double)sp_store_size(m->store);
    sp_real *trained = malloc((size_t)sp_store_size(m->store) * sizeof *trained);
    memcpy(trained, sp_store_values(m->store), (size_t)sp_store_size(m->store) * sizeof *trained);
    for (long i = 0; i < 3; i++) {
        sp_tape_reset(t);
        sp_zero_grad(t);
        sp_tensor *l = sp_lm_loss(t, m, ids.id + i * w, ids.id + i * w + 1, w, 1, state);
        loss[i] = (double)sp_item(l);
        sp_backward(t, l);
        const sp_real *g = sp_gradients(t);
        sp_real *v = sp_store_values(m->store);
        for (long k = 0; k < sp_store_size(m->store); k++) {
            const double back = fmin(1, how->train ? how->decay * s[k] / mean : how->decay);
            const double step = how->rate * (double)g[k] / (how->train ? s[k] + (how->epsilon > 0 ? how->epsilon : 1e-4) : 1);
            v[k] = (sp_real)((double)v[k] - step + back * ((double)trained[k] - (double)v[k]));
        }
    }
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_state_free(state);
    sp_lm_free(m);
    free(s);
    free(trained);
    return (loss[0] + loss[1] + loss[2]) / 3;
}

START_TEST(dynamic_twin)
{
    int learned[LEARNED];
    for (int i = 0; i < LEARNED; i++)
        learned[i] = ids.id[i * i % (ids.n / 2)];       /* without some symbols */
    const sp_lm_dynamic ways[] = {
        { .window = 10, .rate = 0.7 }, { .window = 10, .rate = 0.7, .decay = 0.3 },
        { .window = 10, .rate = 0.05, .train = learned, .n = LEARNED },
        { .window = 10, .rate = 0.05, .decay = 0.3, .train = learned, .n = LEARNED },
        { .window = 10, .rate = 0.05, .decay = 0.3, .train = learned, .n = LEARNED, .epsilon = 0.01 },
    };
    double nats[5];
    for (int i = 0; i < 5; i++) {
        nats[i] = dynamic(model, ids.id, 31, 1, &ways[i]);
        ck_assert_double_eq_tol(nats[i], three_windows(&ways[i]), WIDE(1e-12, 1e-5));
        ck_assert(fabs(nats[i] - evaluate(model, ids.id, 31, 1)) > 1e-4 && (!i || fabs(nats[i] - nats[i - 1]) > 1e-4));
    }
}
END_TEST

/* A text whose symbols have been exchanged, many times over: it learns that, where a model that stays as it is cannot. */
START_TEST(dynamic_helps)
{
    enum { N = 600 };
    int other[N];
    sp_lm *m = new_model(&learners[0], 1);
    learn(m, 60, 0, 0);
    const int symbols = sp_vocabulary_size(m->vocabulary);
    for (int i = 0; i < N; i++)
        other[i] = 1 + (ids.id[i % ids.n] + 4) % (symbols - 1);
    const double still = evaluate(m, other, N, 1);
    const double plain = dynamic(m, other, N, 1, &(sp_lm_dynamic){ .window = 10, .rate = 0.3, .decay = 0.001 });
    const double scaled = dynamic(m, other, N, 1, &(sp_lm_dynamic){ .window = 10, .rate = 0.02, .decay = 0.001, .train = ids.id,
                                                                     .n = ids.n });
    ck_assert_msg(plain < 0.7 * still && scaled < 0.7 * still, "static %.3f, dynamic %.3f, scaled %.3f", still, plain, scaled);
    sp_lm_free(m);
}
END_TEST

START_TEST(dynamic_errors)
{
    static const sp_lm_dynamic wrong[] = {
        { .window = 0, .rate = 0.25 }, { .window = 5, .rate = -1 }, { .window = 5, .rate = NAN }, { .window = 5, .decay = 1.5 },
        { .window = 5, .epsilon = -1 },
    };
    for (int i = 0; i < 5; i++) {
        sp_status status = { 0 };
        ck_assert(isnan(sp_lm_evaluate_dynamic(model, ids.id, ids.n, 1, &wrong[i], &status)));
        ck_assert_msg(strstr(status.message, "rate ") && strstr(status.message, ": expected 0 or more, 0 to 1, 1 or more, 0 or more"), "%s",
                      status.message);
    }
    const double before = evaluate(model, ids.id, ids.n, 1);
    sp_status status = { 0 };
    ck_assert(isnan(sp_lm_evaluate_dynamic(model, ids.id, ids.n, 1, &(sp_lm_dynamic){ .window = 5, .rate = 1.7e308 }, &status)));
    ck_assert_str_eq(status.message, "model: its loss is not finite");
    ck_assert(evaluate(model, ids.id, ids.n, 1) == before);     /* though the weights were not finite meanwhile */
    status = (sp_status){ 0 };
    ck_assert(isnan(sp_lm_evaluate_dynamic(model, ids.id, 1, 1, &(sp_lm_dynamic){ .window = 5 }, &status)));
    ck_assert_str_eq(status.message, "evaluation needs 2 symbols or more, there are 1");
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

START_TEST(bad_use)
{
    sp_lm_config config = { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1 };
    const sp_sampling how = { .temperature = 1, .top_p = 1 };
    sp_status status = { 0 }, other = { 0 };
    int out;
    ck_assert(isnan(sp_lm_evaluate(model, ids.id, 1, 1, &status)));
    ck_assert_str_eq(status.message, "evaluation needs 2 symbols or more, there are 1");
    status = other;
    ck_assert(!sp_lm_sample(model, ids.id, 0, &how, 1, &out, NULL, &status));
    ck_assert_str_eq(status.message, "sampling needs a prime of one symbol or more");
    status = other;
    ck_assert(isnan(sp_lm_score(model, (const int[]){ 1, 2, 1000 }, 3, &status)));
    ck_assert_str_eq(status.message, "cross_entropy: id 1000 in row 1 is not in 0..15");
    status = other;
    ck_assert(isnan(sp_lm_evaluate(model, ids.id, ids.n, 0, &status)));
    ck_assert_str_eq(status.message, "evaluation: 0 streams");
    status = other;
    ck_assert(!sp_lm_sample_batch(model, ids.id, 1, &how, 3, 0, &out, NULL, &status));
    ck_assert_str_eq(status.message, "sampling 0 texts of 3 symbols");
    status = other;
    sp_lm *none = sp_lm_new(&config, sp_vocabulary_of("", 0, SP_LEVEL_CHAR, 0, NULL), 1, NULL);
    ck_assert(!sp_lm_sample(none, (const int[]){ SP_UNKNOWN }, 1, &how, 1, &out, NULL, &status));
    ck_assert_str_eq(status.message, "sampling needs a symbol other than <unk>");
    sp_lm_free(none);
    status = other;
    ck_assert_ptr_null(sp_lm_new(&config, NULL, 1, &status));
    ck_assert_str_eq(status.message, "model: there is no vocabulary");
    ck_assert_int_eq(status.code, SP_ERR_VALUE);
}
END_TEST

static const struct {
    sp_lm_config config;
    const char *error;
} configs[] = {
    { { .cell = "lsdm", .embed = 2, .hidden = 2, .layers = 1 }, "cell lsdm: expected one of rnn|relu|lstm|gru" },
    { { .cell = "lstm", .embed = 0, .hidden = 2, .layers = 1 }, "embed 0: expected a whole number from 1 to 65536" },
    { { .cell = "lstm", .embed = 2, .hidden = -2, .layers = 1 }, "hidden -2: expected a whole number from 1 to 65536" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 0 }, "layers 0: expected a whole number from 1 to 1000" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = LONG_MAX }, "layers 9223372036854775807: expected" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .dropout = 1 }, "dropout 1: expected a number from 0 to 0.99" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .dropout = NAN }, "dropout nan: expected a number from 0 to 0.99" },
    { { .cell = "lstm", .embed = 2, .hidden = 3, .layers = 1, .tied = true }, "embed is 2 and the cells' output 3" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .tied = true, .adaptive = 5 }, "an adaptive softmax (5 symbols in its head) exclude" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .adaptive = 16 }, "16 symbols in the head, but there are 16 in all" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .adaptive = -1 }, "adaptive -1: expected a whole number from 0 to 1000000" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .adaptive = 5 }, "out: cluster 0 is 2 / 4^1 wide, less than 1" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .embed_dropout = 1 }, "embed-dropout 1: expected a number from 0 to 0.99" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .embed_dropout = NAN }, "embed-dropout nan: expected a number from 0 to 0.99" },
    { { .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .weight_drop = -1 }, "weight-drop -1: expected a number from 0 to 0.99" },
    { { .cell = "sru", .embed = 2, .hidden = 2, .layers = 1, .weight_drop = 0.5 }, "weight drop 0.5, but a cell 'sru' has no matrix weight_hh" },
    { { .cell = "indrnn", .embed = 2, .hidden = 2, .layers = 1, .weight_drop = 0.5 }, "but a cell 'indrnn' has no matrix weight_hh" },
};

START_TEST(bad_config)
{
    sp_status status = { 0 };
    sp_vocabulary *v = sp_vocabulary_of(text, sizeof text - 1, SP_LEVEL_CHAR, 0, NULL);
    ck_assert_ptr_null(sp_lm_new(&configs[_i].config, v, 1, &status));
    ck_assert_msg(strstr(status.message, configs[_i].error) != NULL, "%s", status.message);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void there_and_back(const sp_lm_config *config)
{
    sp_status status = { 0 };
    sp_lm *m = new_model(config, 5), *back;
    ck_assert(sp_lm_save(m, path, NULL));
    back = sp_lm_load(path, &status);
    ck_assert_msg(back != NULL, "%s", status.message);
    ck_same(sp_store_values(m->store), sp_store_values(back->store), sp_store_size(m->store));
    ck_assert(evaluate(m, ids.id, ids.n, 2) == evaluate(back, ids.id, ids.n, 2));
    ck_assert_str_eq(back->config.cell, m->config.cell);
    ck_assert(back->config.dropout == m->config.dropout && back->config.tied == m->config.tied
              && back->config.variational == m->config.variational && back->config.embed_dropout == m->config.embed_dropout
              && back->config.weight_drop == m->config.weight_drop && back->config.adaptive == m->config.adaptive);
    sp_lm_free(m);
    sp_lm_free(back);
}

START_TEST(save_and_load)
{
    for (int i = 0; i < CHECKED; i++)
        there_and_back(&checked[i]);
}
END_TEST

/* Also with cells of few parameters, and with an output of another width than the hidden size. */
START_TEST(every_cell)
{
    for (int i = 0; sp_cell_kind(i); i++)
        for (int layers = 1; layers <= 3; layers += 2)
            there_and_back(&(sp_lm_config){ .cell = sp_cell_kind(i), .embed = 2, .hidden = 40, .layers = layers });
    there_and_back(&(sp_lm_config){ .cell = "lstm-projected", .embed = 4, .hidden = 8, .layers = 2, .tied = true });
}
END_TEST

/* The metadata of a sound file, with one of them replaced (or, by NULL, left out). */
static const struct {
    const char *key, *value, *error;
} wrongs[] = {
    { "kind", "spindle.lm 2", NULL },
    { "kind", "spindle.lm 1", "is a model of the kind 'spindle.lm 1', not 'spindle.lm 2'" },
    { "kind", "spindle.tagger 1", "is a model of the kind 'spindle.tagger 1', not 'spindle.lm 2'" },
    { "kind", NULL, "is a model of the kind 'unknown', not 'spindle.lm 2'" },
    { "cell", "gru", "tensor 'rnn.weight_ih_l0' is [32,5], not [24,5]" },
    { "cell", "none", "its cell is none: expected one of rnn|relu|lstm" },
    { "cell", NULL, "its cell is missing" },
    { "embed", "6", "tensor 'embed.weight' is [16,5], not [16,6]" },
    { "embed", "0", "its embed is 0: expected a whole number from 1 to 65536" },
    { "embed", "five", "its embed is five: expected a whole number" },
    { "embed", NULL, "its embed is missing" },
    { "embed", "5.5", "its embed is 5.5: expected a whole number from 1 to 65536" },
    { "hidden", "9", "tensor 'rnn.weight_ih_l0' is [32,5], not [36,5]" },
    { "hidden", "-8", "its hidden is -8: expected a whole number from 1" },
    { "hidden", "nan", "its hidden is nan: expected" },
    { "hidden", "1e300", "its hidden is 1e300: expected" },
    { "hidden", "60000", "store: parameter 'rnn.weight_ih_l0' [240000,5] is more than the " },
    { "embed", "65536", "store: parameter 'embed.weight' [16,65536] is more than the " },
    { "layers", "1", "tensor 'rnn.weight_ih_l1' is no parameter of the model" },
    { "layers", "3", "there is no tensor 'rnn.weight_ih_l2'" },
    { "layers", "17", " numbers that are left of " },
    { "layers", "1000000", "its layers is 1000000: expected a whole number from 1 to 1000" },
    { "layers", NULL, "its layers is missing" },
    { "dropout", "2", "its dropout is 2: expected a number from 0 to 0.99" },
    { "dropout", "nan", "its dropout is nan: expected" },
    { "dropout", "0,5", "its dropout is 0,5: expected" },
    { "dropout", NULL, "its dropout is missing" },
    { "tied", "2", "its tied is 2: expected 0 or 1" },
    { "tied", "1", "tied weights need equal sizes, but embed is 5 and the cells' output 8" },
    { "variational", "yes", "its variational is yes: expected 0 or 1" },
    { "embed-dropout", "1", "its embed-dropout is 1: expected a number from 0 to 0.99" },
    { "weight-drop", NULL, "its weight-drop is missing" },
    { "adaptive", "2.5", "its adaptive is 2.5: expected a whole number from 0" },
    { "adaptive", "4", "there is no tensor 'out.head.weight'" },
    { "adaptive", "99", "99 symbols in the head, but there are 16 in all" },
    { "vocabulary", "{\"version\":3,\"level\":\"char\",\"symbols\":[]}", "the vocabulary is of version 3, expected 1 or 2" },
    { "vocabulary", "{}", "the vocabulary cannot be read" },
    { "vocabulary", "{\"level\":\"char\",\"symbols\":[\"a\"]}", "tensor 'embed.weight' is [16,5], not [2,5]" },
    { "vocabulary", NULL, "the vocabulary cannot be read" },
};

START_TEST(wrong_metadata)
{
    sp_status status = { 0 };
    char *vocabulary = sp_vocabulary_write(model->vocabulary);
    sp_metadata metadata[] = { { "kind", "spindle.lm 2" }, { "cell", "lstm" }, { "embed", "5" }, { "hidden", "8" },
                               { "layers", "2" }, { "dropout", "0" }, { "tied", "0" }, { "variational", "0" },
                               { "embed-dropout", "0" }, { "weight-drop", "0" }, { "adaptive", "0" }, { "vocabulary", vocabulary } };
    enum { PAIRS = sizeof metadata / sizeof *metadata };
    for (int i = 0; i < PAIRS; i++)
        if (!strcmp(metadata[i].key, wrongs[_i].key))
            metadata[i] = wrongs[_i].value ? (sp_metadata){ wrongs[_i].key, wrongs[_i].value } : (sp_metadata){ "x", "" };
    ck_assert(sp_store_save(model->store, path, PAIRS, metadata, NULL));
    sp_lm *m = sp_lm_load(path, &status);
    if (wrongs[_i].error) {
        ck_assert_ptr_null(m);
        ck_assert_int_eq(status.code, SP_ERR_FORMAT);
        ck_assert_msg(strstr(status.message, wrongs[_i].error) && !strncmp(status.message, path, strlen(path))
                      && !strchr(status.message, '\n'), "%s", status.message);
    } else {
        ck_assert_msg(m != NULL, "%s", status.message);
    }
    sp_lm_free(m);
    free(vocabulary);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("lm");
    TCase *c = tcase_create("lm");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, loss_at_start, 0, CHECKED);
    tcase_add_loop_test(c, gradient, 0, CHECKED);
    tcase_add_test(c, ignored_targets);
    tcase_add_loop_test(c, memorises, 0, sizeof learners / sizeof *learners);
    tcase_add_test(c, deterministic);
    tcase_add_loop_test(c, score_is_log_p, 0, CHECKED);
    tcase_add_test(c, evaluate_in_streams);
    tcase_add_loop_test(c, no_dropout_in_evaluation, 0, CHECKED);
    tcase_add_test(c, variational_dropout);
    tcase_add_test(c, embed_dropout);
    tcase_add_test(c, clusters);
    tcase_add_test(c, weight_drop);
    tcase_add_loop_test(c, sample_batch, 0, CHECKED);
    tcase_add_test(c, dynamic_without_a_step);
    tcase_add_test(c, dynamic_twin);
    tcase_add_test(c, dynamic_helps);
    tcase_add_test(c, dynamic_errors);
    tcase_add_test(c, sampling);
    tcase_add_test(c, bad_use);
    tcase_add_loop_test(c, bad_config, 0, sizeof configs / sizeof *configs);
    tcase_add_test(c, save_and_load);
    tcase_add_test(c, every_cell);
    tcase_add_loop_test(c, wrong_metadata, 0, sizeof wrongs / sizeof *wrongs);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
