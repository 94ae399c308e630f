/* The classifier: its three models against slow twins, that they learn what they can, its files, its training, its data. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/file.h"
#include "autograd/gradcheck.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/classifier.h"
#include "zoo/valence.h"

#define SIZES .embed = 4, .hidden = 3, .layers = 1, .cell = "lstm", .directions = 1
#define RECURRENT(kind, depth, ways, how) \
    .model = SP_CLASSIFIER_RECURRENT, .embed = 4, .hidden = 3, .layers = depth, .cell = kind, .directions = ways, .pool = how

static const sp_classifier_config configs[] = {
    { RECURRENT("gru", 1, 1, SP_CLASSIFIER_POOL_LAST) },
    { RECURRENT("lstm", 2, 2, SP_CLASSIFIER_POOL_LAST), .dropout = 0.3 },
    { RECURRENT("lstm", 1, 2, SP_CLASSIFIER_POOL_MEAN), .dropout_embed = 0.4, .smoothing = 0.1 },
    { RECURRENT("rnn", 1, 2, SP_CLASSIFIER_POOL_MAX), .word_dropout = 0.2 },
    { RECURRENT("gru", 1, 2, SP_CLASSIFIER_POOL_ATTENTION) },
    { .model = SP_CLASSIFIER_BAG, SIZES, .bag = SP_CLASSIFIER_BAG_MEAN },
    { .model = SP_CLASSIFIER_BAG, .embed = 4, .hidden = 3, .layers = 2, .cell = "lstm", .directions = 1,
      .bag = SP_CLASSIFIER_BAG_SUM, .dropout_embed = 0.2, .dropout = 0.3 },
    { .model = SP_CLASSIFIER_CONV, SIZES, .dropout = 0.3 },
};
enum { CONFIGS = sizeof configs / sizeof *configs, ATTENTION = 4, BAG = 5, CONV = 7 };

static char directory[PATH_ROOM], path[PATH_ROOM + 2], other[PATH_ROOM + 12];
static sp_sentences *texts;     /* of all lengths from 1 to 9, one of them empty */

/* A text "label<TAB>words" a line. */
static sp_sentences *of_lines(const char *lines)
{
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_new(2, &status);
    for (const char *at = lines; *at; at += strcspn(at, "\n") + 1) {
        const size_t tab = strcspn(at, "\t"), end = strcspn(at, "\n");
        ck_assert(sp_sentences_put(s, 1, at, tab, &status)
                  && sp_sentences_put_text(s, 0, at + tab + 1, end - tab - 1, SP_LEVEL_WORD, &status)
                  && sp_sentences_end(s, &status));
    }
    return s;
}

static void says(sp_status *status, const char *message)
{
    ck_assert_msg(status->code != SP_OK && strstr(status->message, message), "'%s', not '%s'", status->message, message);
    memset(status, 0, sizeof *status);
}

static sp_classifier *new_model(const sp_classifier_config *config, const sp_sentences *s, uint64_t seed)
{
    sp_status status = { 0 };
    sp_classifier *m = sp_classifier_new(config, s, seed, &status);
    ck_assert_msg(m != NULL, "%s", status.message);
    return m;
}

static sp_real *predict(const sp_classifier *m, const sp_sentences *s, sp_real *weights)
{
    sp_status status = { 0 };
    sp_real *logp = calloc((size_t)(s->n * sp_classifier_classes(m)), sizeof *logp);
    ck_assert_msg(sp_classifier_predict(m, s, logp, weights, &status), "%s", status.message);
    return logp;
}

static double accuracy(const sp_classifier *m, const sp_sentences *s)
{
    sp_real *p = predict(m, s, NULL);
    sp_confusion *c = sp_classifier_confusion(m, s, p, NULL, NULL);
    const double a = sp_confusion_accuracy(c);
    sp_confusion_free(c);
    free(p);
    return a;
}

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    texts = of_lines("a\tone two three four five six seven eight nine\nb\tone\nc\tone two three four\nb\t\na\ttwo three\nb\tnine eight\n"
                     "a\tthree two one\nb\tfive five five five five\nc\tsix seven eight nine one two\na\tseven one\n");
}

static void end(void)
{
    sp_sentences_free(texts);
    remove(path);
    remove(other);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

/* ---- loss and gradient ----------------------------------------------------------------------------------------- */

enum { SENTENCES = 4 };
static const long length[SENTENCES] = { 3, 1, 6, 2 };
static const int word[] = { 1, 2, 3, 9, 5, 6, 0, 2, 2, 7, 8, 4 }, label[SENTENCES] = { 0, 2, 1, 0 };

static sp_tensor *loss_of(sp_tape *t, void *m)
{
    return sp_classifier_loss(t, m, word, length, label, SENTENCES);
}

/* Small gradients near the kinks of max and relu: float32 sees that they are about right, float64 that they are. */
START_TEST(gradient)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    sp_classifier *m = new_model(&configs[_i], texts, 3);
    ck_assert_msg(sp_gradcheck(m->store, loss_of, m, 20, &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.4), "%s: backward %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_classifier_free(m);
}
END_TEST

/* A label that does not count changes neither the mean nor the number it is taken over. */
START_TEST(ignored_labels)
{
    sp_classifier *m = new_model(&configs[_i], texts, 3);
    sp_tape *t = sp_tape_new(m->store);
    sp_tape_set_training(t, false);
    const sp_real both = sp_item(sp_classifier_loss(t, m, word, length, (const int[]){ 0, SP_IGNORE, 1, SP_IGNORE }, SENTENCES));
    const sp_real one = sp_item(sp_classifier_loss(t, m, word, length, (const int[]){ 0 }, 1));
    const sp_real two = sp_item(sp_classifier_loss(t, m, word + 4, length + 2, (const int[]){ 1 }, 1));
    ck_tape_ok(t);
    ck_assert_double_eq_tol((double)both, ((double)one + (double)two) / 2, WIDE(1e-13, 1e-6));
    sp_tape_free(t);
    sp_classifier_free(m);
}
END_TEST

/* Smoothing is for training: what is measured is the plain loss. */
START_TEST(smoothing_is_for_training)
{
    sp_classifier_config smooth = configs[BAG];
    smooth.smoothing = 0.5;
    sp_classifier *m = new_model(&smooth, texts, 3), *plain = new_model(&configs[BAG], texts, 3);
    sp_tape *t = sp_tape_new(m->store), *u = sp_tape_new(plain->store);
    ck_assert(sp_item(loss_of(t, m)) != sp_item(loss_of(u, plain)));
    sp_tape_set_training(t, false);
    sp_tape_set_training(u, false);
    ck_assert(sp_item(loss_of(t, m)) == sp_item(loss_of(u, plain)));
    sp_tape_free(t);
    sp_tape_free(u);
    sp_classifier_free(m);
    sp_classifier_free(plain);
}
END_TEST

/* ---- slow twins ------------------------------------------------------------------------------------------------ */

/* A sentence has the probabilities that it has alone, whatever stands beside it; sums are taken in another order. */
START_TEST(alone_as_in_a_batch)
{
    sp_classifier *m = new_model(&configs[_i], texts, 5);
    const int classes = sp_classifier_classes(m);
    const bool attention = configs[_i].model == SP_CLASSIFIER_RECURRENT && configs[_i].pool == SP_CLASSIFIER_POOL_ATTENTION;
    sp_real *weights = calloc((size_t)texts->field[0].strings, sizeof *weights), *p = predict(m, texts, attention ? weights : NULL);
    for (long i = 0; i < texts->n; i++) {
        sp_sentences *one = sp_sentences_choose(texts, &i, 1, NULL);
        sp_real w[9], *q = predict(m, one, attention ? w : NULL);
        double sum = 0;
        for (int k = 0; k < classes; k++) {
            ck_assert_double_eq_tol(exp((double)p[i * classes + k]), exp((double)q[k]), WIDE(1e-13, 1e-6));
            sum += exp((double)q[k]);
        }
        ck_assert_double_eq_tol(sum, 1, WIDE(1e-13, 1e-6));
        sum = 0;
        for (long j = 0; attention && j < sp_sentence_length(texts, 0, i); sum += (double)w[j++])
            ck_assert_double_eq_tol((double)weights[texts->field[0].first[i] + j], (double)w[j], WIDE(1e-13, 1e-6));
        ck_assert(!attention || !sp_sentence_length(texts, 0, i) || fabs(sum - 1) < WIDE(1e-13, 1e-6));
        free(q);
        sp_sentences_free(one);
    }
    free(weights);
    free(p);
    sp_classifier_free(m);
}
END_TEST

static const sp_real *values(const sp_classifier *m, const char *name)
{
    const sp_param *p = sp_store_find(m->store, name);
    ck_assert_msg(p != NULL, "no %s", name);
    return sp_param_read(p);
}

/* logits = W v + b */
static void logits_of(const sp_classifier *m, const double *v, int width, double *logits)
{
    for (int k = 0; k < sp_classifier_classes(m); k++) {
        logits[k] = (double)values(m, "out.bias")[k];
        for (int i = 0; i < width; i++)
            logits[k] += (double)values(m, "out.weight")[k * width + i] * v[i];
    }
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

/* v = relu(max over all places of the filter that meet a word, of F * e + b), by loops. */
static void filtered(const sp_classifier *m, const int *x, long n, double *v)
{
    static const char *const names[] = { "filters.3", "filters.4", "filters.5" };
    char name[32];
    for (int k = 0; k < 3; k++)
        for (int f = 0; f < 3; f++) {
            double most = -INFINITY;
            snprintf(name, sizeof name, "%s.weight", names[k]);
            const sp_real *weight = values(m, name), *e = values(m, "embed.weight");
            snprintf(name, sizeof name, "%s.bias", names[k]);
            for (long p = -(k + 2); p < n; p++) {
                double y = (double)values(m, name)[f];
                for (long j = 0; j < k + 3; j++)
                    for (int c = 0; c < 4 && p + j >= 0 && p + j < n; c++)
                        y += (double)weight[(f * 4 + c) * (k + 3) + j] * (double)e[x[p + j] * 4 + c];
                most = y > most ? y : most;
            }
            v[3 * k + f] = relu(most);
        }
}

/* v = relu(W' mean e + b') */
static void bagged(const sp_classifier *m, const int *x, long n, double *v)
{
    for (int i = 0; i < 3; i++) {
        v[i] = (double)values(m, "hidden.l0.bias")[i];
        for (int c = 0; c < 4; c++)
            for (long j = 0; j < n; j++)
                v[i] += (double)values(m, "hidden.l0.weight")[i * 4 + c] * (double)values(m, "embed.weight")[x[j] * 4 + c] / (double)n;
        v[i] = relu(v[i]);
    }
}

START_TEST(by_loops)
{
    const bool conv = _i;
    sp_classifier *m = new_model(&configs[conv ? CONV : BAG], texts, 7);
    sp_tape *t = sp_tape_new(m->store);
    sp_real logits[SENTENCES * 3];
    double v[9], slow[3];
    sp_tape_set_training(t, false);
    ck_assert(sp_read(sp_classifier_on(t, m, word, length, SENTENCES, NULL), logits));
    for (long i = 0, at = 0; i < SENTENCES; at += length[i++]) {
        (conv ? filtered : bagged)(m, word + at, length[i], v);
        logits_of(m, v, conv ? 9 : 3, slow);
        for (int k = 0; k < 3; k++)
            ck_assert_double_eq_tol((double)logits[i * 3 + k], slow[k], WIDE(1e-13, 1e-5));
    }
    sp_tape_free(t);
    sp_classifier_free(m);
}
END_TEST

/* Between the layers of a bag features are dropped: where the first layer has some, the second's weights get no gradient. */
START_TEST(dropout_in_a_bag)
{
    enum { HIDDEN = 32 };
    const sp_classifier_config config = { .model = SP_CLASSIFIER_BAG, .embed = 4, .hidden = HIDDEN, .layers = 2, .cell = "lstm",
                                          .directions = 1, .dropout = 0.5 };
    const long one = 3;
    sp_classifier *m = new_model(&config, texts, 3);
    sp_tape *t = sp_tape_new(m->store);
    const sp_param *second = sp_store_find(m->store, "hidden.l1.weight");
    int used[2] = { 0 };
    for (int drops = 0; drops < 2; drops++) {
        m->config.dropout = drops ? config.dropout : 0;
        sp_tape_reset(t);
        sp_zero_grad(t);
        sp_backward(t, sp_classifier_loss(t, m, word, &one, label, 1));
        ck_tape_ok(t);
        const sp_real *g = sp_gradients(t) + second->offset;
        for (int j = 0; j < HIDDEN; j++) {
            bool any = false;
            for (int i = 0; i < HIDDEN; i++)
                any |= g[i * HIDDEN + j] != 0;
            used[drops] += any;
        }
    }
    ck_assert_msg(used[1] > 0 && used[1] < 0.8 * used[0], "%d features without dropout, %d with", used[0], used[1]);
    sp_tape_free(t);
    sp_classifier_free(m);
}
END_TEST

/* Of two directions the last outputs are the final states of the top layer: each has seen the whole sentence. */
START_TEST(last_of_both)
{
    enum { FORWARD = 4, REVERSE = 6, STATES = 8 };      /* h of two layers of (h, c), (h, c) */
    sp_classifier *m = new_model(&configs[1], texts, 7);
    sp_tape *t = sp_tape_new(m->store);
    sp_tensor *state[STATES] = { NULL };
    sp_real logits[SENTENCES * 3], h[2][SENTENCES * 3];
    sp_tape_set_training(t, false);
    ck_assert_int_eq(sp_stack_states(&m->stack), STATES);
    ck_assert(sp_read(sp_classifier_on(t, m, word, length, SENTENCES, NULL), logits));
    sp_stack_on_seq(t, &m->stack, sp_seq_pack(t, sp_embed_on(t, &m->embed, word, 12), length, SENTENCES), state);
    ck_assert(sp_read(state[FORWARD], h[0]) && sp_read(state[REVERSE], h[1]));
    for (long i = 0; i < SENTENCES; i++) {
        double v[6], slow[3];
        for (int j = 0; j < 6; j++)
            v[j] = (double)h[j / 3][i * 3 + j % 3];
        logits_of(m, v, 6, slow);
        for (int k = 0; k < 3; k++)
            ck_assert_double_eq_tol((double)logits[i * 3 + k], slow[k], WIDE(1e-13, 1e-5));
    }
    sp_tape_free(t);
    sp_classifier_free(m);
}
END_TEST

/* Without words there is the share of each label in training, here 4, 4 and 2 of 10. */
START_TEST(empty_sentences)
{
    const long i = 3;
    sp_sentences *empty = sp_sentences_choose(texts, &i, 1, NULL), *none = sp_sentences_choose(texts, &i, 0, NULL);
    sp_classifier *m = new_model(&configs[_i], texts, 1);
    sp_real *p = predict(m, empty, NULL);
    ck_assert_int_eq(sp_sentence_length(empty, 0, 0), 0);
    for (int k = 0; k < 3; k++)
        ck_assert_double_eq_tol(exp((double)p[k]), !strcmp(sp_classifier_label(m, k), "c") ? 0.2 : 0.4, 1e-6);
    ck_assert(sp_classifier_predict(m, none, p, NULL, NULL));
    free(p);
    sp_sentences_free(empty);
    sp_sentences_free(none);
    sp_classifier_free(m);
}
END_TEST

/* 10,000 words, more than a batch of prediction; and what stands beside it. */
START_TEST(long_sentences)
{
    enum { LONG = 10000 };
    sp_sentences *s = sp_sentences_new(1, NULL), *one;
    const long second = 1;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < (i == 1 ? 2 : LONG); j++)
            ck_assert(sp_sentences_put(s, 0, j % 7 ? "one" : "two", 3, NULL));
        ck_assert(sp_sentences_end(s, NULL));
    }
    sp_classifier *m = new_model(&configs[_i], texts, 1);
    sp_real *p = predict(m, s, NULL), *q = predict(m, one = sp_sentences_choose(s, &second, 1, NULL), NULL);
    for (int k = 0; k < 3; k++) {
        ck_assert(isfinite(p[k]) && p[k] == p[6 + k]);
        ck_assert_double_eq_tol(exp((double)p[3 + k]), exp((double)q[k]), WIDE(1e-13, 1e-6));
    }
    free(p);
    free(q);
    sp_sentences_free(s);
    sp_sentences_free(one);
    sp_classifier_free(m);
}
END_TEST

/* ---- learning -------------------------------------------------------------------------------------------------- */

static const sp_trainer_config quick = { .optimizer = "adam", .lr = 1e-2, .clip = 5, .epochs = 3, .seed = 1, .threads = 1 };

static sp_training fit(sp_classifier *m, const sp_sentences *train, const sp_sentences *valid, long batch, const char *out,
                       const sp_trainer_config *config)
{
    sp_status status = { 0 };
    sp_training x;
    sp_classifier_trainer *r = sp_classifier_trainer_new(m, train, valid, batch, 1, out, &status);
    ck_assert_msg(r != NULL, "%s", status.message);
    const sp_task task = sp_classifier_trainer_task(r);
    ck_assert_msg(sp_train(&task, config, &x, &status), "%s", status.message);
    sp_classifier_trainer_free(r);
    return x;
}

/* Counting with negation: a model that sees the order of words is near the best possible, which is 1; one that does not cannot be
   (0.723 is what adding up does, tests/test_demos.c). */
START_TEST(learns_what_it_can)
{
    static const sp_classifier_config sizes[] = {
        { .embed = 12, .hidden = 16, .layers = 1, .cell = "lstm", .directions = 1, .pool = SP_CLASSIFIER_POOL_LAST },
        { .model = SP_CLASSIFIER_BAG, .embed = 12, .hidden = 16, .layers = 1, .cell = "lstm", .directions = 1 },
    };
    const sp_valence_config task = { .least = 2, .most = 8 };
    sp_sentences *train = sp_valence(&task, 3000, 1, NULL), *test = sp_valence(&task, 500, 2, NULL);
    sp_trainer_config config = quick;
    config.epochs = 10;
    config.metric = "accuracy";
    sp_classifier *m = new_model(&sizes[_i], train, 1);
    const sp_training x = fit(m, train, test, 25, NULL, &config);
    const double right = accuracy(m, test);
    ck_assert_double_eq_tol(right, x.best_metric, 1e-9);
    ck_assert_msg(_i ? right > 0.6 && right < 0.85 : right > 0.97, "%s is right for %g", _i ? "a bag" : "recurrent", right);
    sp_classifier_free(m);
    sp_sentences_free(train);
    sp_sentences_free(test);
}
END_TEST

static char *trained(const sp_trainer_config *config, const sp_classifier_config *c, const sp_sentences *s, uint64_t seed, size_t *size)
{
    sp_classifier *m = new_model(c, s, seed);
    fit(m, s, s, 32, path, config);
    sp_classifier_free(m);
    return sp_file_read(path, size, NULL);
}

/* The same from the same seeds, whatever the number of threads; interrupted and resumed the same, too. */
START_TEST(deterministic)
{
    size_t size, n[4];
    sp_sentences *s = sp_valence(NULL, 200, 1, NULL);
    sp_trainer_config threads = quick, seed = quick, first = quick, rest = quick;
    threads.threads = 2;
    seed.seed = 2;
    first.epochs = 1;
    first.checkpoint = rest.checkpoint = other;
    rest.resume = true;
    char *right = trained(&quick, &configs[_i], s, 1, &size);
    free(trained(&first, &configs[_i], s, 1, &n[0]));
    char *by[4] = { trained(&threads, &configs[_i], s, 1, &n[0]), trained(&rest, &configs[_i], s, 1, &n[1]),
                    trained(&quick, &configs[_i], s, 2, &n[2]), trained(&seed, &configs[_i], s, 1, &n[3]) };
    const bool random = configs[_i].dropout > 0 || configs[_i].dropout_embed > 0 || configs[_i].word_dropout > 0;
    for (int i = 0; i < 4; i++) {
        const bool same = n[i] == size && !memcmp(by[i], right, size);
        ck_assert_msg(same == (i < 2 || (i == 3 && !random)), "run %d of config %d", i, _i);
        free(by[i]);
    }
    free(right);
    remove(other);
    snprintf(other, sizeof other, "%s/other.old", directory);
    sp_sentences_free(s);
}
END_TEST

/* Labels that training had not count as wrong and not in the loss; empty sentences are guessed. */
START_TEST(strange_validation)
{
    sp_classifier *m = new_model(&configs[BAG], texts, 1);
    sp_sentences *valid = of_lines("new\tone two\na\t\nother\t\nc\tnine\n"), *known = of_lines("c\tnine\n");
    sp_trainer_config config = quick;
    config.epochs = 1;
    const sp_training x = fit(m, texts, valid, 2, NULL, &config);
    sp_classifier *again = new_model(&configs[BAG], texts, 1);
    const sp_training y = fit(again, texts, known, 2, NULL, &config);
    sp_confusion *c;
    sp_real *p = predict(m, valid, NULL);
    double nats;
    ck_assert_double_eq_tol(x.valid_loss, y.valid_loss, WIDE(1e-13, 1e-6));
    ck_assert_ptr_nonnull(c = sp_classifier_confusion(m, valid, p, &nats, NULL));
    ck_assert_int_eq(c->outside, 2);
    ck_assert_double_eq_tol(sp_confusion_accuracy(c), x.metric, 1e-9);
    ck_assert_double_eq_tol(nats, (y.valid_loss + log(1 / 0.4)) / 2, 1e-5);     /* of "a" without words and of "c" */
    free(p);
    sp_confusion_free(c);
    sp_sentences_free(valid);
    sp_sentences_free(known);
    sp_classifier_free(m);
    sp_classifier_free(again);
}
END_TEST

/* A label that is next to impossible costs what the loss says, though its probability is 0 as a number. */
START_TEST(sure_and_wrong)
{
    sp_classifier *m = new_model(&configs[BAG], texts, 1);
    sp_sentences *one = of_lines("a\tone\n");
    const int truth = sp_classifier_truth(m, one, 0);
    double nats;
    for (int k = 0; k < 3; k++)
        sp_param_values(sp_store_find(m->store, "out.bias"))[k] = k == truth ? -2000 : 0;
    sp_real *logp = predict(m, one, NULL);
    sp_confusion *c = sp_classifier_confusion(m, one, logp, &nats, NULL);
    sp_tape *t = sp_tape_new(m->store);
    const int id = sp_vocabulary_id(m->words, "one", 3);
    sp_tape_set_training(t, false);
    const double loss = (double)sp_item(sp_classifier_loss(t, m, &id, (const long[]){ 1 }, &truth, 1));
    ck_assert_double_gt(loss, 1990);
    ck_assert_double_eq_tol(nats, loss, WIDE(1e-9, 1e-3));
    sp_tape_free(t);
    sp_confusion_free(c);
    free(logp);
    sp_sentences_free(one);
    sp_classifier_free(m);
}
END_TEST

/* Training goes on from the word vectors that it began with. */
START_TEST(resumed_with_other_vectors)
{
    sp_status status = { 0 };
    sp_trainer_config config = quick;
    sp_training x;
    config.epochs = 1;
    config.checkpoint = other;
    config.resume = true;
    for (int i = 0; i < 3; i++) {
        sp_classifier *m = new_model(&configs[BAG], texts, 1);
        sp_param_values(sp_store_find(m->store, "embed.weight"))[5] += (sp_real)(i / 2);
        sp_classifier_trainer *r = sp_classifier_trainer_new(m, texts, texts, 4, 1, NULL, &status);
        const sp_task task = sp_classifier_trainer_task(r);
        ck_assert_msg(sp_train(&task, &config, &x, &status) == (i < 2), "run %d: %s", i, status.message);
        sp_classifier_trainer_free(r);
        sp_classifier_free(m);
        config.epochs++;
    }
    says(&status, "is of another training: initial word vectors is ");
    remove(other);
    snprintf(other, sizeof other, "%s/other.old", directory);
}
END_TEST

/* In memory, too, the model is that of the best validation, not of the last. */
START_TEST(best_is_kept)
{
    sp_status status = { 0 };
    sp_sentences *train = sp_valence(NULL, 60, 1, NULL), *valid = sp_valence(NULL, 60, 2, NULL);
    sp_classifier *m = new_model(&configs[ATTENTION], train, 1), *loaded;
    sp_classifier_trainer *r = sp_classifier_trainer_new(m, train, valid, 10, 1, path, &status);
    const sp_task task = sp_classifier_trainer_task(r);
    sp_trainer_config config = quick;
    sp_training x;
    config.epochs = 12;
    config.lr = 0.1;
    ck_assert_msg(sp_train(&task, &config, &x, &status), "%s", status.message);
    ck_assert_int_lt(x.best_epoch, 12);
    ck_assert_ptr_nonnull(loaded = sp_classifier_load(path, &status));
    const long size = sp_store_size(m->store);
    ck_same(sp_store_values(m->store), sp_store_values(loaded->store), size);
    sp_classifier_trainer_free(r);
    sp_classifier_free(m);
    sp_classifier_free(loaded);
    sp_sentences_free(train);
    sp_sentences_free(valid);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* Words and labels that are not UTF-8, too. */
START_TEST(save_and_load)
{
    sp_status status = { 0 };
    sp_sentences *s = of_lines("gr\xC3\xBCn\tcaf\xE9 \xFF\xFE one\nb\xE9\tone two\n");
    sp_classifier *m = new_model(&configs[_i], s, 5), *back;
    ck_assert_msg(sp_classifier_save(m, path, &status), "%s", status.message);
    ck_assert_msg((back = sp_classifier_load(path, &status)) != NULL, "%s", status.message);
    sp_real *p = predict(m, s, NULL), *q = predict(back, s, NULL);
    ck_same(p, q, s->n * 2);
    ck_assert_str_eq(back->config.cell, m->config.cell);
    ck_assert(back->config.model == m->config.model && back->config.pool == m->config.pool && back->config.bag == m->config.bag);
    for (int k = 0; k < 2; k++)
        ck_assert_str_eq(sp_classifier_label(m, k), sp_classifier_label(back, k));
    for (long i = 0; i < 2; i++)
        ck_assert_int_ge(sp_classifier_truth(back, s, i), 0);
    free(p);
    free(q);
    sp_classifier_free(m);
    sp_classifier_free(back);
    sp_sentences_free(s);
}
END_TEST

/* The metadata of a sound file, with one of them replaced. */
static const struct {
    const char *key, *value, *error;
} wrongs[] = {
    { "kind", "spindle.classifier 1", NULL },
    { "kind", "spindle.lm 1", "is a model of the kind 'spindle.lm 1', not 'spindle.classifier 1'" },
    { "kind", "spindle.classifier 2", "is a model of the kind 'spindle.classifier 2', not 'spindle.classifier 1'" },
    { "model", "forest", "its model is forest: expected one of recurrent|bag|conv" },
    { "model", "bag", "there is no tensor 'hidden.l0.weight'" },
    { "pool", "sum", "its pool is sum: expected one of last|mean|max|attention" },
    { "pool", "max", "tensor 'attention.project.weight' is no parameter of the model" },
    { "directions", "3", "its directions is 3: expected a whole number from 1 to 2" },
    { "embed", "65536", "is more than the " },
    { "hidden", "-1", "its hidden is -1: expected" },
    { "dropout-embed", "1", "its dropout-embed is 1: expected" },
    { "labels", "{}", "the vocabulary cannot be read" },
    { "words", "[", "the vocabulary cannot be read" },
    { "labels", "{\"version\": 2, \"level\": \"word\", \"closed\": true, \"symbols\": [\"a\"]}", "1 label, expected 2 to 4096" },
};

START_TEST(wrong_files)
{
    sp_status status = { 0 };
    sp_classifier *m = new_model(&configs[ATTENTION], texts, 1);
    sp_classifier_config c = m->config;
    const sp_option rows[] = { SP_CLASSIFIER_OPTIONS(&c), { 0 } };
    char *words = sp_vocabulary_write(m->words), *labels = sp_vocabulary_write(m->labels);
    static char value[sizeof rows / sizeof *rows][64];
    sp_metadata all[sizeof rows / sizeof *rows + 3] = { { "kind", "spindle.classifier 1" }, { "words", words }, { "labels", labels } };
    int n = 3;
    for (const sp_option *o = rows; o->name; o++, n++) {
        char *text = value[n - 3];
        all[n] = (sp_metadata){ o->name, text };
        if (o->kind == SP_OPTION_INDEX)
            sp_choice_word(o->argument, *(const int *)o->value, text);
        else if (o->kind == SP_OPTION_CHOICE)
            all[n].value = *(const char *const *)o->value;
        else
            snprintf(text, sizeof value[0], "%g", o->kind == SP_OPTION_WHOLE ? (double)*(const long *)o->value : 0.0);
    }
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].key, wrongs[_i].key))
            all[i].value = wrongs[_i].value;
    ck_assert(sp_store_save(m->store, path, n, all, &status));
    sp_classifier *back = sp_classifier_load(path, &status);
    ck_assert((back != NULL) == !wrongs[_i].error);
    ck_assert_msg(back || (strstr(status.message, wrongs[_i].error) && !strncmp(status.message, path, strlen(path))), "%s",
                  status.message);
    sp_classifier_free(back);
    sp_classifier_free(m);
    free(words);
    free(labels);
}
END_TEST

/* What an empty sentence gets has to be a distribution; and all numbers are finite. */
START_TEST(wrong_numbers)
{
    static const struct {
        const char *name;
        sp_real value[3];
        const char *error;
    } wrong[] = {
        { "prior", { (sp_real)0.4, (sp_real)0.4, (sp_real)0.2 }, NULL },
        { "prior", { (sp_real)1e38, (sp_real)0.4, (sp_real)0.2 }, ": the share of label 1 is 1e+38, not between 0 and 1" },
        { "prior", { (sp_real)0.5, (sp_real)0.5, 0 }, ": the share of label 3 is 0, not between 0 and 1" },
        { "prior", { (sp_real)0.5, (sp_real)0.25, (sp_real)0.5 }, ": the shares of the labels are 1.25 together, not 1" },
        { "out.bias", { 0, 0, NAN }, ": number 2 of tensor 'out.bias' is nan" },
    };
    for (int i = 0; i < (int)(sizeof wrong / sizeof *wrong); i++) {
        sp_status status = { 0 };
        sp_classifier *m = new_model(&configs[BAG], texts, 1), *back;
        memcpy(sp_param_values(sp_store_find(m->store, wrong[i].name)), wrong[i].value, sizeof wrong[i].value);
        ck_assert_msg(sp_classifier_save(m, path, &status), "%s", status.message);
        back = sp_classifier_load(path, &status);
        ck_assert_msg((back != NULL) == !wrong[i].error, "%s", status.message);
        ck_assert_msg(back || (!strncmp(status.message, path, strlen(path)) && !strcmp(status.message + strlen(path), wrong[i].error)),
                      "%s", status.message);
        sp_classifier_free(m);
        sp_classifier_free(back);
    }
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static const struct {
    sp_classifier_config config;
    const char *error;
} bad_configs[] = {
    { { .model = (sp_classifier_kind)7, SIZES }, "model 7: expected one of recurrent|bag|conv" },
    { { .pool = (sp_classifier_pool)4, SIZES }, "pool 4: expected one of last|mean|max|attention" },
    { { .embed = 0, .hidden = 1, .layers = 1, .cell = "lstm", .directions = 1 }, "embed 0: expected a whole number from 1 to 65536" },
    { { .embed = 1, .hidden = 1, .layers = 1, .cell = "lsdm", .directions = 1 }, "cell lsdm: expected one of rnn|" },
    { { .embed = 1, .hidden = 1, .layers = 1, .cell = NULL, .directions = 1 }, "cell NULL: expected one of rnn|" },
    { { SIZES, .dropout = 1 }, "dropout 1: expected a number from 0 to 0.99" },
    { { SIZES, .word_dropout = NAN }, "word-dropout nan: expected a number from 0 to 0.99" },
    { { .embed = 1, .hidden = 1, .layers = 1, .cell = "lstm", .directions = 3 }, "directions 3: expected a whole number from 1 to 2" },
};

START_TEST(bad_config)
{
    sp_status status = { 0 };
    ck_assert_ptr_null(sp_classifier_new(&bad_configs[_i].config, texts, 1, &status));
    says(&status, bad_configs[_i].error);
}
END_TEST

START_TEST(bad_data)
{
    sp_status status = { 0 };
    sp_sentences *same = of_lines("a\tone\na\ttwo\n"), *empty = of_lines("a\t\nb\t\n"), *unseen = of_lines("x\tone\n");
    sp_sentences *none = sp_sentences_new(2, NULL), *bare = sp_sentences_new(1, NULL), *two = sp_sentences_new(2, NULL);
    ck_assert(sp_sentences_put(two, 1, "a", 1, NULL) && sp_sentences_put(two, 1, "b", 1, NULL) && sp_sentences_end(two, NULL));
    ck_assert_ptr_null(sp_classifier_new(&configs[BAG], same, 1, &status));
    says(&status, "classifier: 1 label, expected 2 to 4096");
    ck_assert_ptr_null(sp_classifier_new(&configs[BAG], none, 1, &status));
    says(&status, "classifier: no labelled sentences");
    ck_assert_ptr_null(sp_classifier_new(&configs[BAG], bare, 1, &status));
    says(&status, "classifier: no labelled sentences");
    ck_assert_ptr_null(sp_classifier_new(&configs[BAG], two, 1, &status));
    says(&status, "classifier: sentence 1 has 2 labels, expected 1");
    sp_classifier *m = new_model(&configs[BAG], texts, 1);
    ck_assert_ptr_null(sp_classifier_trainer_new(m, empty, texts, 2, 1, NULL, &status));
    says(&status, "of 2 sentences to train on none has words and a known label");
    ck_assert_ptr_null(sp_classifier_trainer_new(m, texts, unseen, 2, 1, NULL, &status));
    says(&status, "of 1 sentences to validate on none has words and a known label");
    ck_assert_ptr_null(sp_classifier_trainer_new(m, texts, bare, 2, 1, NULL, &status));
    says(&status, "no labelled sentences to validate on");
    sp_sentences *mixed = of_lines("a\tone\nx\tone\n");
    ck_assert_ptr_null(sp_classifier_trainer_new(m, mixed, texts, 2, 1, NULL, &status));
    says(&status, "sentence 2 to train on has a label that the model has not: 'x'");
    ck_assert_ptr_null(sp_classifier_trainer_new(m, texts, texts, 0, 1, NULL, &status));
    says(&status, "9 sentences in batches of 0");
    sp_real p[64];
    ck_assert(!sp_classifier_predict(m, texts, p, p, &status));
    says(&status, "the model has no attention");
    ck_assert(!sp_classifier_predict(m, NULL, p, NULL, &status));
    says(&status, "classifier: no sentences");
    ck_assert_ptr_null(sp_classifier_part(NULL, (const int[]){ 0 }, 0, false, &status));
    says(&status, "classifier: no sentences");
    ck_assert_ptr_null(sp_classifier_part(texts, NULL, 0, false, &status));
    says(&status, "classifier: no parts of the sentences");
    sp_classifier_free(m);
    sp_sentences *all[] = { same, empty, unseen, none, bare, two, mixed };
    for (int i = 0; i < 7; i++)
        sp_sentences_free(all[i]);
}
END_TEST

/* Lengths that cannot be. */
static const struct {
    long length[2], n;
    const char *error;
} bad_lengths[] = {
    { { 1, -1 }, 2, "classifier: sentence 2 has -1 words, expected 1 to 2147483631" },
    { { 0, 1 }, 2, "classifier: sentence 1 has 0 words, expected 1 to 2147483632" },
    { { LONG_MAX, 1 }, 2, "expected 1 to 2147483632" },
    { { 1, LONG_MAX }, 2, "expected 1 to 2147483631" },
    { { 1, 1 }, -1, "classifier: -1 sentences, expected 1 to 357913940" },
    { { 1, 1 }, 0, "classifier: 0 sentences, expected 1 to 357913940" },
    { { 1, 1 }, LONG_MAX, "sentences, expected 1 to 357913940" },
};

START_TEST(wrong_lengths)
{
    static const int of_model[] = { ATTENTION, BAG, CONV };
    for (int k = 0; k < 3; k++) {
        sp_classifier *m = new_model(&configs[of_model[k]], texts, 1);
        sp_tape *t = sp_tape_new(m->store);
        sp_status status;
        ck_assert(!sp_sound(sp_classifier_on(t, m, word, bad_lengths[_i].length, bad_lengths[_i].n, NULL)));
        status = *sp_tape_status(t);
        says(&status, bad_lengths[_i].error);
        sp_tape_free(t);
        sp_classifier_free(m);
    }
}
END_TEST

/* ---- data ------------------------------------------------------------------------------------------------------ */

START_TEST(reading)
{
    char spec[4 * PATH_ROOM];
    sp_status status = { 0 };
    ck_put_file(path, "pos\tone two\r\nneg\t\r\n\r\nneg\tthree\r\n", strlen("pos\tone two\r\nneg\t\r\n\r\nneg\tthree\r\n"));
    sp_sentences *s = sp_classifier_read(path, &status);
    ck_assert_msg(s && s->n == 3, "%s", status.message);
    ck_assert_int_eq(sp_sentence_length(s, 0, 1), 0);
    ck_assert_str_eq(sp_sentence_word(s, 0, 2, 0, NULL), "three");
    ck_assert_str_eq(sp_sentence_word(s, 1, 2, 0, NULL), "neg");
    sp_sentences_free(s);
    ck_put_file(other, "only words here\n\nand = here\n", strlen("only words here\n\nand = here\n"));
    snprintf(spec, sizeof spec, "x=%s,y z=%s", other, other);
    ck_assert_ptr_nonnull(s = sp_classifier_read(spec, &status));
    ck_assert_int_eq(s->n, 4);
    ck_assert_str_eq(sp_sentence_word(s, 1, 1, 0, NULL), "x");
    ck_assert_str_eq(sp_sentence_word(s, 1, 3, 0, NULL), "y z");
    ck_assert_str_eq(sp_sentence_word(s, 0, 3, 1, NULL), "=");
    sp_sentences_free(s);
    ck_assert_ptr_null(sp_classifier_read(other, &status));
    says(&status, "other:1: 1 column between tabs, expected 2");
    snprintf(spec, sizeof spec, "x=%s,y", other);
    ck_assert_ptr_null(sp_classifier_read(spec, &status));
    says(&status, "y: expected label=FILE");
    snprintf(spec, sizeof spec, "=%s", other);
    ck_assert_ptr_null(sp_classifier_read(spec, &status));
    says(&status, ": expected label=FILE");
    snprintf(spec, sizeof spec, "a=%s/none", directory);
    ck_assert_ptr_null(sp_classifier_read(spec, &status));
    says(&status, "none: cannot be read");
    ck_assert_ptr_null(sp_classifier_read(NULL, &status));
    says(&status, "no path");
}
END_TEST

/* Each part has its share of each label; parts are disjoint and together all; another seed deals otherwise. */
START_TEST(dealing)
{
    enum { N = 103, PARTS = 10 };
    int part[N], again[N], share[PARTS][3] = { { 0 } }, size[PARTS] = { 0 };
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_new(2, NULL);
    static const char *const names[] = { "a", "b", "c" };
    for (int i = 0; i < N; i++)
        ck_assert(sp_sentences_put(s, 1, names[i % 7 % 3], 1, NULL) && sp_sentences_end(s, NULL));
    ck_assert(sp_classifier_deal(s, PARTS, 1, part, &status) && sp_classifier_deal(s, PARTS, 1, again, &status));
    ck_assert_mem_eq(part, again, sizeof part);
    for (int i = 0; i < N; i++) {
        share[part[i]][i % 7 % 3]++;
        size[part[i]]++;
    }
    for (int k = 0; k < 3; k++)
        for (int i = 1; i < PARTS; i++) {
            ck_assert_int_le(abs(share[i][k] - share[0][k]), 1);
            ck_assert_int_le(abs(size[i] - size[0]), 1);
        }
    ck_assert(sp_classifier_deal(s, PARTS, 2, again, &status));
    ck_assert_int_ne(memcmp(part, again, sizeof part), 0);
    sp_sentences *one = sp_classifier_part(s, part, 3, false, &status), *rest = sp_classifier_part(s, part, 3, true, &status);
    ck_assert_int_eq(one->n, size[3]);
    ck_assert_int_eq(rest->n, N - size[3]);
    ck_assert(!sp_classifier_deal(s, N + 1, 1, part, &status));
    says(&status, "classifier: 103 labelled sentences for 104 parts");
    sp_sentences_free(s);
    sp_sentences_free(one);
    sp_sentences_free(rest);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("classifier");
    TCase *c = tcase_create("classifier");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, gradient, 0, CONFIGS);
    tcase_add_loop_test(c, ignored_labels, 0, CONFIGS);
    tcase_add_test(c, smoothing_is_for_training);
    tcase_add_loop_test(c, alone_as_in_a_batch, 0, CONFIGS);
    tcase_add_loop_test(c, by_loops, 0, 2);
    tcase_add_test(c, dropout_in_a_bag);
    tcase_add_test(c, last_of_both);
    tcase_add_loop_test(c, empty_sentences, 0, CONFIGS);
    tcase_add_loop_test(c, long_sentences, 0, CONFIGS);
    tcase_add_loop_test(c, learns_what_it_can, 0, 2);
    tcase_add_loop_test(c, deterministic, 0, CONFIGS);
    tcase_add_test(c, strange_validation);
    tcase_add_test(c, sure_and_wrong);
    tcase_add_test(c, resumed_with_other_vectors);
    tcase_add_test(c, best_is_kept);
    tcase_add_loop_test(c, save_and_load, 0, CONFIGS);
    tcase_add_test(c, wrong_numbers);
    tcase_add_loop_test(c, wrong_files, 0, sizeof wrongs / sizeof *wrongs);
    tcase_add_loop_test(c, bad_config, 0, sizeof bad_configs / sizeof *bad_configs);
    tcase_add_test(c, bad_data);
    tcase_add_loop_test(c, wrong_lengths, 0, sizeof bad_lengths / sizeof *bad_lengths);
    tcase_add_test(c, reading);
    tcase_add_test(c, dealing);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
