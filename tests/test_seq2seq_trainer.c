/* Sequence to sequence: what it learns, its file, and its training: interrupted, on several threads, on data with gaps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/file.h"
#include "autograd/random.h"
#include "tests/suite.h"
#include "zoo/dates.h"
#include "zoo/readers.h"
#include "zoo/references.h"
#include "zoo/seq2seq.h"

static char directory[PATH_ROOM], path[PATH_ROOM + 16], checkpoint[PATH_ROOM + 16], older[PATH_ROOM + 16];

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m", directory);
    snprintf(checkpoint, sizeof checkpoint, "%s/c", directory);
    snprintf(older, sizeof older, "%s/c.old", directory);
}

static void end(void)
{
    remove(path);
    remove(checkpoint);
    remove(older);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

static sp_sentences *parse(const char *text)
{
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_parse("pairs", text, strlen(text), sp_format_named("pairs"), &status);
    ck_assert_msg(s != NULL, "%s", status.message);
    return s;
}

static sp_trainer_config silent(long epochs)
{
    sp_trainer_config c = sp_trainer_defaults();
    c.epochs = epochs;
    c.progress = NULL;
    return c;
}

/* Trains a model that is new; it has the best epoch's values. */
static sp_seq2seq *train(const sp_seq2seq_config *config, const sp_sentences *train, const sp_sentences *valid,
                         const sp_seq2seq_teaching *how, const sp_trainer_config *run, sp_training *result)
{
    sp_status status = { 0 };
    sp_seq2seq *m = sp_seq2seq_new(config, train, (uint64_t)run->seed, &status);
    sp_seq2seq_trainer *x = m ? sp_seq2seq_trainer_new(m, train, valid, how, run, path, &status) : NULL;
    ck_assert_msg(x != NULL, "%s", status.message);
    const sp_task task = sp_seq2seq_task(x);
    ck_assert_msg(sp_train(&task, run, result, &status), "%s", status.message);
    sp_seq2seq_trainer_free(x);
    return m;
}

/* ---- what it learns -------------------------------------------------------------------------------------------- */

/* Dates that it has not seen; the best possible is all of them. */
START_TEST(dates)
{
    const sp_seq2seq_config config = { SP_UNITS_CHAR, SP_UNITS_CHAR, .cell = "lstm", .embed = 32, .hidden = 64, .layers = 1,
                                       .encoder = SP_BOTH_WAYS, .attention = "general" };
    sp_seq2seq_teaching how = sp_seq2seq_teaching_defaults();
    sp_trainer_config run = silent(10);
    sp_training result;
    sp_sentences *seen = sp_dates(2500, 1, NULL), *unseen = sp_dates(200, 2, NULL);
    run.metric = "exact";
    how.judged = 0;
    run.lr = 1e-2;
    run.schedule = "cosine";
    sp_seq2seq *m = train(&config, seen, unseen, &how, &run, &result);
    ck_assert_msg(result.best_metric >= 0.95, "%.3f of the dates are right", result.best_metric);
    ck_assert_msg(result.best_loss < 0.1, "%.3f nats", result.best_loss);
    sp_seq2seq_free(m);
    sp_sentences_free(seen);
    sp_sentences_free(unseen);
}
END_TEST

/* Small letters to capitals, word by word, among them names that stand once in the data and so are unknown: only the attention
   says of which word an <unk> is the translation. */
START_TEST(copies_unknown_words)
{
    enum { PAIRS = 400, MOST = 6 };
    const sp_seq2seq_config config = { SP_UNITS_WORD, SP_UNITS_WORD, .least = 2, .cell = "gru", .embed = 16, .hidden = 24, .layers = 1,
                                       .encoder = SP_BOTH_WAYS, .attention = "general" };
    sp_seq2seq_teaching how = sp_seq2seq_teaching_defaults();
    sp_trainer_config run = silent(16);
    sp_training result;
    sp_random random = { .key = { .seed = 1 } };
    sp_sentences *s = sp_sentences_new(2, NULL);
    for (int i = 0; i < PAIRS; i++) {
        const long words = 2 + sp_random_below(&random, MOST - 1), unknown = sp_random_below(&random, words);
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        for (long k = 0; k < words; k++) {
            const char letter[2] = { (char)('a' + sp_random_below(&random, 5)), '\0' }, capital[2] = { (char)(letter[0] - 32), '\0' };
            sp_sentences_put(s, 0, k == unknown ? name : letter, k == unknown ? strlen(name) : 1, NULL);
            sp_sentences_put(s, 1, k == unknown ? name : capital, k == unknown ? strlen(name) : 1, NULL);
        }
        sp_sentences_end(s, NULL);
    }
    how.batch = 16;
    how.judged = 10;
    run.lr = 1e-2;
    run.schedule = "cosine";
    run.metric = "exact";
    sp_seq2seq *m = train(&config, s, s, &how, &run, &result);
    ck_assert(result.metric == 0);                      /* as measured by default: without copying */
    sp_translating plain = sp_translating_defaults(), copying = plain;
    copying.copy = true;
    static const char *const said[] = { "c  Zoë a d", "Zoë b b", "b a e  c Zoë " };
    static const char *const expected[][2] = { { "C <unk> A D", "C Zoë A D" }, { "<unk> B B", "Zoë B B" }, { "B A E C <unk>", "B A E C Zoë" } };
    sp_translations *x = sp_seq2seq_translate(m, said, 3, &plain, NULL), *y = sp_seq2seq_translate(m, said, 3, &copying, NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(sp_translations_get(x, i, 0)->text, expected[i][0]);
        ck_assert_str_eq(sp_translations_get(y, i, 0)->text, expected[i][1]);
    }
    sp_translations_free(x);
    sp_translations_free(y);
    sp_seq2seq_free(m);
    sp_sentences_free(s);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

static const char text[] = "a b c\tx y\nb\ty z y z\nc a b d b\tz\nd d\tx x w\na\tw\nb c a\ty\nd a\tz w\nb d\ty x\n";

static const sp_seq2seq_config small[] = {
    { SP_UNITS_WORD, SP_UNITS_CHAR, .cell = "gru", .embed = 4, .hidden = 4, .layers = 2, .attention = "none", .dropout = 0.25 },
    { SP_UNITS_BPE, SP_UNITS_BPE, .vocabulary = 263, .cell = "lstm", .embed = 4, .hidden = 4, .layers = 1, .encoder = SP_BOTH_WAYS,
      .attention = "coverage", .tied = true },
    { SP_UNITS_CHAR, SP_UNITS_WORD, .cell = "lstm", .embed = 4, .hidden = 6, .layers = 1, .attention = "additive" },
};

START_TEST(save_and_load)
{
    static const char *const said[] = { "a b", "d d d d a", "\xff e" };
    sp_status status = { 0 };
    sp_translating how = sp_translating_defaults();
    sp_sentences *s = parse(text);
    sp_seq2seq *m = sp_seq2seq_new(&small[_i], s, 5, &status);
    ck_assert_msg(m != NULL, "%s", status.message);
    m->source_longest = 7;
    m->target_longest = 9;
    ck_assert_msg(sp_seq2seq_save(m, path, &status), "%s", status.message);
    sp_seq2seq *back = sp_seq2seq_load(path, &status);
    ck_assert_msg(back != NULL, "%s", status.message);
    ck_same(sp_store_values(m->store), sp_store_values(back->store), sp_store_size(m->store));
    ck_assert(back->source_longest == 7 && back->target_longest == 9 && back->config.dropout == m->config.dropout);
    ck_assert_str_eq(back->config.attention, m->config.attention);
    how.beam = how.nbest = 3;
    sp_translations *x = sp_seq2seq_translate(m, said, 3, &how, NULL), *y = sp_seq2seq_translate(back, said, 3, &how, NULL);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            ck_assert_str_eq(sp_translations_get(x, i, k)->text, sp_translations_get(y, i, k)->text);
            ck_assert(sp_translations_get(x, i, k)->score == sp_translations_get(y, i, k)->score);
        }
    sp_translations_free(x);
    sp_translations_free(y);
    sp_seq2seq_free(m);
    sp_seq2seq_free(back);
    sp_sentences_free(s);
}
END_TEST

/* The metadata of a sound file, with one of them replaced (or, by NULL, left out). */
static const struct {
    const char *key, *value, *error;
} wrongs[] = {
    { "kind", "spindle.lm 1", "is a model of the kind 'spindle.lm 1', not 'spindle.seq2seq 1'" },
    { "kind", "spindle.seq2seq 2", "is a model of the kind 'spindle.seq2seq 2'" },
    { "hidden", "5", "an encoder in both directions needs an even hidden size, not 5" },
    { "hidden", "6", "" },
    { "hidden", "60000", "is more than the " },
    { "attention", "hard", "its attention is hard: expected one of none|dot" },
    { "attention", NULL, "its attention is missing" },
    { "source-units", "bpe", "" },
    { "target-units", "char", "its vocabulary is not one of sentences with <s> and </s>" },
    { "source-longest", "-1", "its source-longest is -1: expected" },
    { "target-longest", "1000001", "its target-longest is 1000001: expected" },
    { "source", "{}", "" },
    { "target", NULL, "" },
};

START_TEST(bad_file)
{
    const sp_seq2seq_config config = { SP_UNITS_WORD, SP_UNITS_WORD, .cell = "gru", .embed = 4, .hidden = 4, .layers = 1,
                                       .encoder = SP_BOTH_WAYS, .attention = "general" };
    sp_status status = { 0 };
    sp_metadata m[40];
    int n = 0;
    sp_sentences *s = parse(text);
    sp_seq2seq *model = sp_seq2seq_new(&config, s, 1, NULL);
    ck_assert(sp_seq2seq_save(model, path, NULL));
    sp_safetensors *f = sp_safetensors_open(path, NULL);
    const sp_option rows[] = { SP_SEQ2SEQ_OPTIONS(&model->config), { 0 } };
    const char *key[40] = { "kind", "source", "target", "source-longest", "target-longest" };
    int keys = 5;
    for (const sp_option *o = rows; o->name; o++)
        key[keys++] = o->name;
    for (int i = 0; i < keys; i++) {
        const char *value = strcmp(key[i], wrongs[_i].key) ? sp_safetensors_get(f, key[i]) : wrongs[_i].value;
        if (value)
            m[n++] = (sp_metadata){ key[i], value };
    }
    ck_assert(sp_store_save(model->store, path, n, m, NULL));
    ck_assert_ptr_null(sp_seq2seq_load(path, &status));
    ck_assert_msg(strstr(status.message, wrongs[_i].error) && strstr(status.message, path), "%s", status.message);
    sp_safetensors_free(f);
    sp_seq2seq_free(model);
    sp_sentences_free(s);
}
END_TEST

/* ---- training -------------------------------------------------------------------------------------------------- */

static sp_seq2seq_teaching teaching(void)
{
    sp_seq2seq_teaching how = sp_seq2seq_teaching_defaults();
    how.batch = 32;
    how.smoothing = 0.1;
    how.sampling = 0.5;
    how.rise = SP_RISE_LINEAR;
    how.drawn = true;
    return how;
}

static char *trained(long epochs, long threads, bool resume, long all, size_t *size)
{
    const sp_seq2seq_teaching how = teaching();
    sp_seq2seq_config config = small[2];
    sp_training result;
    sp_sentences *s = sp_dates(80, 3, NULL);
    sp_trainer_config run = silent(all);
    config.source_units = config.target_units = SP_UNITS_CHAR;
    config.dropout = 0.3;
    run.threads = threads;
    run.checkpoint = checkpoint;
    run.resume = resume;
    if (epochs < all) {
        run.epochs = all;
        run.patience = 0;
    }
    volatile sig_atomic_t stop = epochs < all;          /* as if Ctrl-C was pressed in the first step */
    run.stop = &stop;
    if (!resume)
        remove(checkpoint);
    sp_seq2seq_free(train(&config, s, s, &how, &run, &result));
    sp_sentences_free(s);
    return sp_file_read(path, size, NULL);
}

/* The model is the same on any number of threads, and however often training was interrupted. */
START_TEST(same_bits)
{
    size_t size, other;
    char *first = trained(3, 1, false, 3, &size), *again = trained(3, 2, false, 3, &other);
    ck_assert_uint_eq(size, other);
    ck_assert_mem_eq(first, again, size);
    free(again);
    free(trained(0, 1, false, 3, &other));
    again = trained(3, 1, true, 3, &other);
    ck_assert_uint_eq(size, other);
    ck_assert_mem_eq(first, again, size);
    free(first);
    free(again);
}
END_TEST

/* Another schedule of its own symbols, another training: a checkpoint is refused. */
START_TEST(other_training)
{
    sp_status status = { 0 };
    size_t size;
    free(trained(1, 1, false, 1, &size));
    sp_sentences *s = sp_dates(80, 3, NULL);
    sp_seq2seq_config config = small[2];
    sp_seq2seq_teaching how = teaching();
    sp_trainer_config run = silent(1);
    sp_training result;
    config.source_units = config.target_units = SP_UNITS_CHAR;
    config.dropout = 0.3;
    how.sampling = 0.25;
    run.checkpoint = checkpoint;
    run.resume = true;
    sp_seq2seq *m = sp_seq2seq_new(&config, s, 1, NULL);
    sp_seq2seq_trainer *x = sp_seq2seq_trainer_new(m, s, s, &how, &run, path, NULL);
    const sp_task task = sp_seq2seq_task(x);
    ck_assert(!sp_train(&task, &run, &result, &status));
    ck_assert_msg(strstr(status.message, "sampling is 0.5, not 0.25") != NULL, "%s", status.message);
    sp_seq2seq_trainer_free(x);
    sp_seq2seq_free(m);
    sp_sentences_free(s);
}
END_TEST

/* Its own symbols come as the schedule says: with the same key other losses than teacher forcing's, from the second batch on. */
START_TEST(rises)
{
    double loss[4];
    sp_sentences *s = sp_dates(64, 3, NULL);
    for (int i = 0; i < 4; i++) {
        sp_seq2seq_config config = small[2];
        sp_seq2seq_teaching how = sp_seq2seq_teaching_defaults();
        sp_trainer_config run = silent(1);
        sp_training result;
        config.source_units = config.target_units = SP_UNITS_CHAR;
        how.batch = 16;
        how.sampling = i == 3 ? 0 : 0.9;
        how.rise = (sp_rise)(i % 3);
        sp_seq2seq_free(train(&config, s, s, &how, &run, &result));
        loss[i] = result.train_loss;
        for (int k = 0; k < i; k++)
            ck_assert_double_ne(loss[i], loss[k]);
    }
    sp_sentences_free(s);
}
END_TEST

/* The best model, which is not the last, is what is in memory, also without a file. */
START_TEST(without_file)
{
    const sp_seq2seq_teaching how = teaching();
    sp_trainer_config run = silent(8);
    sp_training result;
    sp_status status = { 0 };
    sp_sentences *s = sp_dates(60, 3, NULL), *valid = sp_dates(30, 4, NULL);
    run.lr = 0.2;
    sp_seq2seq *filed = NULL;
    do {                                                /* rounding decides for which seed the last epoch is not the best */
        run.seed++;
        sp_seq2seq_free(filed);
        filed = train(&small[2], s, valid, &how, &run, &result);
    } while (result.best_epoch == result.epochs && run.seed < 20);
    ck_assert_int_lt(result.best_epoch, result.epochs);
    sp_seq2seq *m = sp_seq2seq_new(&small[2], s, (uint64_t)run.seed, NULL);
    sp_seq2seq *loaded = sp_seq2seq_load(path, &status);
    sp_seq2seq_trainer *x = sp_seq2seq_trainer_new(m, s, valid, &how, &run, NULL, &status);
    ck_assert_msg(loaded && x, "%s", status.message);
    const sp_task task = sp_seq2seq_task(x);
    ck_assert_msg(sp_train(&task, &run, &result, &status), "%s", status.message);
    ck_same(sp_store_values(filed->store), sp_store_values(loaded->store), sp_store_size(m->store));
    ck_same(sp_store_values(m->store), sp_store_values(loaded->store), sp_store_size(m->store));
    sp_seq2seq_trainer_free(x);
    sp_seq2seq_free(filed);
    sp_seq2seq_free(loaded);
    sp_seq2seq_free(m);
    sp_sentences_free(s);
    sp_sentences_free(valid);
}
END_TEST

/* Empty sides and long sentences are left out, and counted. */
START_TEST(gaps)
{
    static const char some[] = "a b\tx\n\ty\na\t\na a a a\tx\na\tx x x x\nb new\ty strange\n";
    const sp_seq2seq_config config = { SP_UNITS_WORD, SP_UNITS_WORD, .least = 2, .cell = "gru", .embed = 2, .hidden = 2, .layers = 1,
                                       .attention = "dot" };
    sp_seq2seq_teaching how = sp_seq2seq_teaching_defaults();
    const sp_trainer_config run = silent(1);
    sp_status status = { 0 };
    sp_sentences *s = parse(some);
    sp_seq2seq *m = sp_seq2seq_new(&config, s, 1, NULL);
    how.longest = 3;
    sp_seq2seq_trainer *x = sp_seq2seq_trainer_new(m, s, s, &how, &run, path, &status);
    ck_assert_msg(x != NULL, "%s", status.message);
    for (int i = 0; i < 2; i++) {
        const sp_seq2seq_counts c = sp_seq2seq_counted(x, i);
        ck_assert(c.pairs == 2 && c.empty == 2 && c.longer == 2 && c.source_symbols == 4 && c.target_symbols == 3);
        ck_assert(c.unknown_source == 1 && c.unknown_target == 1);
    }
    ck_assert(m->source_longest == 2 && m->target_longest == 2);
    sp_seq2seq_trainer_free(x);
    how.longest = 1;
    ck_assert_ptr_null(sp_seq2seq_trainer_new(m, s, s, &how, &run, path, &status));
    ck_assert_str_eq(status.message, "there is no pair to train on (2 are empty on a side, 4 longer than the limit): give more, or others");
    sp_seq2seq_free(m);
    sp_sentences_free(s);
}
END_TEST

START_TEST(bad_teaching)
{
    static const struct {
        sp_seq2seq_teaching how;
        const char *metric, *error;
    } wrong[] = {
        { { .batch = 0, .longest = 1 }, NULL, "teaching: batches of 0, at most 1 symbols (expected 1 to 1000000), 0 judged" },
        { { .batch = 1, .longest = 0 }, NULL, "teaching: batches of 1, at most 0 symbols" },
        { { .batch = 1, .longest = 1000001 }, NULL, "at most 1000001 symbols (expected 1 to 1000000)" },
        { { .batch = 1, .longest = 9, .smoothing = 1.5 }, NULL, "smoothing 1.5, sampling 0: expected 0 to 1" },
        { { .batch = 1, .longest = 9, .sampling = NAN }, NULL, "sampling nan: expected 0 to 1" },
        { { .batch = 1, .longest = 9, .rise = (sp_rise)3 }, NULL, "teaching: a rise of kind 3, expected 0 to 2" },
        { { .batch = 1, .longest = 9 }, "fun", "the metric 'fun' is none of: loss|exact" },
    };
    sp_trainer_config run = silent(1);
    sp_sentences *s = parse(text);
    sp_seq2seq *m = sp_seq2seq_new(&small[0], s, 1, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sp_status status = { 0 };
        run.metric = wrong[i].metric;
        ck_assert_ptr_null(sp_seq2seq_trainer_new(m, s, s, &wrong[i].how, &run, path, &status));
        ck_assert_msg(strstr(status.message, wrong[i].error) != NULL, "%s", status.message);
    }
    sp_seq2seq_free(m);
    sp_sentences_free(s);
}
END_TEST

/* ---- long sentences -------------------------------------------------------------------------------------------- */

/* 10,000 words beside short ones; what is written is bounded: in proportion to what training had, and by `most`. */
START_TEST(long_sentence)
{
    enum { WORDS = 10000 };
    sp_status status = { 0 };
    sp_translating how = sp_translating_defaults();
    const sp_seq2seq_config config = { SP_UNITS_WORD, SP_UNITS_WORD, .cell = "gru", .embed = 2, .hidden = 2, .layers = 1, .attention = "dot" };
    char *words = malloc(2 * WORDS + 1);
    for (int i = 0; i < WORDS; i++)
        memcpy(words + (size_t)(2 * i), "a ", 2);
    words[2 * WORDS] = '\0';
    const char *const said[] = { "b", words, "a" };
    sp_sentences *s = parse(text);
    sp_seq2seq *m = sp_seq2seq_new(&config, s, 1, NULL);
    sp_real *bias = sp_param_values(m->out.bias);
    bias[SP_SENTENCE_END] = -50;                        /* it never ends by itself */
    bias[3] = 50;
    m->source_longest = 1000;
    m->target_longest = 50;
    sp_translations *r = sp_seq2seq_translate(m, said, 3, &how, &status);
    ck_assert_msg(r != NULL, "%s", status.message);
    ck_assert_int_eq(sp_translations_get(r, 0, 0)->length, 60);
    ck_assert_int_eq(sp_translations_get(r, 1, 0)->length, 510);
    sp_translations_free(r);
    how.most = 4;
    r = sp_seq2seq_translate(m, said, 3, &how, &status);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sp_translations_get(r, i, 0)->length, 4);
    sp_translations_free(r);
    sp_seq2seq_free(m);
    sp_sentences_free(s);
    free(words);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("seq2seq_trainer");
    TCase *c = tcase_create("seq2seq_trainer");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, dates);
    tcase_add_test(c, copies_unknown_words);
    tcase_add_loop_test(c, save_and_load, 0, sizeof small / sizeof *small);
    tcase_add_loop_test(c, bad_file, 0, sizeof wrongs / sizeof *wrongs);
    tcase_add_test(c, same_bits);
    tcase_add_test(c, other_training);
    tcase_add_test(c, rises);
    tcase_add_test(c, without_file);
    tcase_add_test(c, gaps);
    tcase_add_test(c, bad_teaching);
    tcase_add_test(c, long_sentence);
    tcase_set_timeout(c, 120);
    suite_add_tcase(all, c);
    return all;
}
