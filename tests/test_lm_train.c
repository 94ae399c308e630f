/* Training of language models: that it learns what can be learned, threads, checkpoints, errors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/file.h"
#include "tests/suite.h"
#include "zoo/hmm.h"
#include "zoo/lm_data.h"
#include "zoo/lm_train.h"
#include "zoo/ngram.h"

static char directory[PATH_ROOM], model[PATH_ROOM + 2], checkpoint[PATH_ROOM + 2], older[PATH_ROOM + 6];
static sp_hmm *grammar;

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(model, sizeof model, "%s/m", directory);
    snprintf(checkpoint, sizeof checkpoint, "%s/c", directory);
    snprintf(older, sizeof older, "%s/c.old", directory);
    grammar = sp_hmm_english(NULL);
}

static void end(void)
{
    sp_hmm_free(grammar);
    remove(model);
    remove(checkpoint);
    remove(older);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

/* Sentences of the grammar to train on and others to validate on; the least loss there can be of these. */
static sp_lm_data sentences(long n, double *best)
{
    sp_lm_data d;
    sp_lm_source from = { .level = SP_LEVEL_WORD };
    sp_status status = { 0 };
    sp_hmm_optimum optimum;
    sp_sentences *train = sp_hmm_sentences(grammar, n, 1, NULL), *valid = sp_hmm_sentences(grammar, n / 4, 2, NULL);
    char *text = sp_sentences_lines(train, 0, &from.size), *other = sp_sentences_lines(valid, 0, &from.valid_size);
    from.text = text;
    from.valid_text = other;
    ck_assert_msg(sp_lm_data_read(&d, &from, &status) && sp_hmm_best(grammar, valid, &optimum, &status), "%s", status.message);
    *best = optimum.nats;
    sp_sentences_free(train);
    sp_sentences_free(valid);
    free(text);
    free(other);
    return d;
}

static sp_trainer_config settings(long epochs)
{
    sp_trainer_config c = sp_trainer_defaults();
    c.epochs = epochs;
    c.progress = NULL;
    return c;
}

/* Trains a new model; the data's vocabulary is gone. */
static sp_lm *trained(sp_lm_data *d, const sp_lm_config *config, long batch, long bptt, const char *out,
                      const sp_trainer_config *how, sp_training *result)
{
    sp_status status = { 0 };
    sp_lm *m = sp_lm_new(config, d->vocabulary, 1, &status);
    d->vocabulary = NULL;
    sp_lm_trainer *r = m ? sp_lm_trainer_new(m, &d->train, &d->valid, batch, bptt, out, &status) : NULL;
    const sp_task task = sp_lm_trainer_task(r);
    ck_assert_msg(r && sp_train(&task, how, result, &status), "%s", status.message);
    sp_lm_trainer_free(r);
    return m;
}

/* ---- learning -------------------------------------------------------------------------------------------------- */

static const sp_lm_config learners[] = {
    { .cell = "lstm", .embed = 16, .hidden = 32, .layers = 1 },
    { .cell = "gru", .embed = 32, .hidden = 32, .layers = 1, .tied = true },
    { .cell = "lstm", .embed = 16, .hidden = 32, .layers = 1, .adaptive = 20 },
};

/* Within 3 % of the entropy of the sentences, and better than a bigram model; the file has the model that was best. */
START_TEST(learns_a_grammar)
{
    double best, unigram, bigram;
    sp_training x;
    sp_lm_data d = sentences(3000, &best);
    sp_trainer_config how = settings(4);
    how.lr = 1e-2;
    how.schedule = "cosine";
    ck_assert(sp_ngram_losses(d.train.id, d.train.n, d.valid.id, d.valid.n, sp_vocabulary_size(d.vocabulary), &unigram, &bigram, NULL));
    sp_lm_free(trained(&d, &learners[_i], 20, 20, model, &how, &x));
    ck_assert_msg(x.best_loss < 1.03 * best && x.best_loss > best && x.best_loss < bigram, "%.4f of %.4f, bigram %.4f", x.best_loss,
                  best, bigram);
    sp_lm *m = sp_lm_load(model, NULL);
    ck_assert_double_eq_tol(sp_lm_evaluate(m, d.valid.id, d.valid.n, 20, NULL), x.best_loss, 1e-4);
    sp_lm_free(m);
    sp_lm_data_free(&d);
}
END_TEST

/* Everything that is dropped at once still learns. */
START_TEST(learns_while_dropping)
{
    double best;
    sp_training x;
    sp_lm_data d = sentences(2000, &best);
    sp_trainer_config how = settings(4);
    how.lr = 5e-3;
    sp_lm_free(trained(&d, &(sp_lm_config){ .cell = "lstm", .embed = 48, .hidden = 48, .layers = 2, .tied = true, .dropout = 0.1,
        .variational = true, .embed_dropout = 0.05, .weight_drop = 0.2 }, 10, 20, NULL, &how, &x));
    ck_assert_msg(x.best_loss < 1.06 * best, "%.4f of %.4f", x.best_loss, best);
    sp_lm_data_free(&d);
}
END_TEST

/* ---- the same bits --------------------------------------------------------------------------------------------- */

static const sp_lm_config dropping = { .cell = "lstm", .embed = 8, .hidden = 8, .layers = 2, .tied = true, .dropout = 0.2,
                                       .variational = true, .embed_dropout = 0.1, .weight_drop = 0.2 };

static char *model_bytes(const sp_trainer_config *how, size_t *size)
{
    double best;
    sp_training x;
    sp_lm_data d = sentences(300, &best);
    sp_lm_free(trained(&d, &dropping, 32, 10, model, how, &x));
    sp_lm_data_free(&d);
    return sp_file_read(model, size, NULL);
}

START_TEST(threads)
{
    size_t size[2];
    sp_trainer_config how = settings(2);
    char *one = model_bytes(&how, &size[0]);
    how.threads = 3;
    char *three = model_bytes(&how, &size[1]);
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(one, three, size[0]);
    free(one);
    free(three);
}
END_TEST

/* Resumed in the middle of the first epoch of three: states, masks and weights are those of a run without a stop. The
   checkpoint before the last is that one. */
START_TEST(resume)
{
    size_t size[2];
    sp_trainer_config how = settings(3);
    char *whole = model_bytes(&how, &size[0]);
    how.checkpoint = checkpoint;
    how.every = 3;
    how.epochs = 1;
    free(model_bytes(&how, &size[1]));
    ck_assert(!rename(older, checkpoint));
    how.epochs = 3;
    how.resume = true;
    char *resumed = model_bytes(&how, &size[1]);
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(whole, resumed, size[0]);
    free(whole);
    free(resumed);
}
END_TEST

/* The symbols of a vocabulary in the order of their bytes; or their letters. */
static sp_vocabulary *sorted(const sp_vocabulary *v, sp_level level)
{
    char text[4000];
    size_t at = 0, length;
    for (int i = 1; i < sp_vocabulary_size(v); i++) {
        const char *s = sp_vocabulary_symbol(v, i, &length);
        ck_assert_uint_lt(at + length + 1, sizeof text);
        memcpy(text + at, s, length);
        at += length;
        text[at++] = ' ';
    }
    return sp_vocabulary_of(text, at, level, 0, NULL);
}

/* A checkpoint is of a model and of texts: with others, and with equal ids of other symbols, it is refused. */
START_TEST(other_training)
{
    static const char *const errors[] = { "variational is true, not false", "embed-dropout is 0.1, not 0.3", "bptt is 10, not 11",
                                          "training text is ", "validation text is ", "vocabulary is ", "level is \"word\", not \"char\"",
                                          "batch is 32, not 33" };
    double best;
    size_t size;
    sp_training x;
    sp_trainer_config how = settings(1);
    how.checkpoint = checkpoint;
    free(model_bytes(&how, &size));
    how.resume = true;
    for (int i = 0; i < 8; i++) {
        sp_status status = { 0 };
        sp_lm_data d = sentences(300, &best);
        (i == 4 ? d.valid.id : d.train.id)[1] += i == 3 || i == 4;
        sp_lm_config config = dropping;
        config.variational = i != 0;
        config.embed_dropout = i == 1 ? 0.3 : 0.1;
        sp_vocabulary *v = i == 5 || i == 6 ? sorted(d.vocabulary, i == 5 ? SP_LEVEL_WORD : SP_LEVEL_CHAR) : d.vocabulary;
        if (v == d.vocabulary)
            d.vocabulary = NULL;
        sp_lm *m = sp_lm_new(&config, v, 1, &status);
        sp_lm_trainer *r = sp_lm_trainer_new(m, &d.train, &d.valid, i == 7 ? 33 : 32, i == 2 ? 11 : 10, NULL, &status);
        const sp_task task = sp_lm_trainer_task(r);
        ck_assert(!sp_train(&task, &how, &x, &status));
        ck_assert_msg(strstr(status.message, errors[i]) != NULL, "%s", status.message);
        sp_lm_trainer_free(r);
        sp_lm_free(m);
        sp_lm_data_free(&d);
    }
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

START_TEST(bad_sizes)
{
    static const struct {
        long train, valid, batch, bptt;
        const char *error;
    } wrong[] = {
        { 100, 20, 10, 10, "100 symbols to train on, but one window of a batch of 10 streams over bptt 10 steps needs 101" },
        { 101, 10, 10, 10, "10 symbols to validate on, but a batch of 10 streams needs 11" },
        { 101, 20, 0, 10, "training: batch 0, bptt 10: expected 1 to 16777216" },
        { 101, 20, 10, -1, "training: batch 10, bptt -1: expected" },
        { 101, 20, 1L << 40, 1L << 40, "batch 1099511627776, bptt 1099511627776: expected" },
    };
    double best;
    sp_lm_data d = sentences(300, &best);
    sp_lm *m = sp_lm_new(&dropping, d.vocabulary, 1, NULL);
    d.vocabulary = NULL;
    for (int i = 0; i < 5; i++) {
        sp_status status = { 0 };
        const sp_ids train = { d.train.id, wrong[i].train, 0 }, valid = { d.valid.id, wrong[i].valid, 0 };
        ck_assert_ptr_null(sp_lm_trainer_new(m, &train, &valid, wrong[i].batch, wrong[i].bptt, NULL, &status));
        ck_assert_msg(strstr(status.message, wrong[i].error) != NULL, "%s", status.message);
    }
    sp_lm_trainer_free(NULL);
    ck_assert_ptr_null(sp_lm_trainer_task(NULL).self);
    sp_lm_free(m);
    sp_lm_data_free(&d);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("lm_train");
    TCase *c = tcase_create("lm_train");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, learns_a_grammar, 0, sizeof learners / sizeof *learners);
    tcase_add_test(c, learns_while_dropping);
    tcase_add_test(c, threads);
    tcase_add_test(c, resume);
    tcase_add_test(c, other_training);
    tcase_add_test(c, bad_sizes);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
