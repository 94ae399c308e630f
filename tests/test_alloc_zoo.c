/* Where any allocation of data's or a model's life fails, the outcome is an error: no crash, no leak. */
#include <unistd.h>

#include "tests/refusing.h"
#include "zoo/batches.h"
#include "zoo/beam.h"
#include "zoo/bpe.h"
#include "zoo/classifier.h"
#include "zoo/dates.h"
#include "zoo/hmm.h"
#include "zoo/metrics.h"
#include "zoo/model_file.h"
#include "zoo/readers.h"
#include "zoo/references.h"
#include "zoo/seq2seq.h"
#include "zoo/split.h"
#include "zoo/tagger.h"
#include "zoo/trainer.h"
#include "zoo/valence.h"

static const char text[] = "she sells sea shells\nby the sea shore\n";

/* ---- data ------------------------------------------------------------------------------------------------------ */

static bool numbered(const sp_sentences *s, sp_status *status)
{
    const sp_vocabulary_rule rule = { .lower = true, .special = (const char *const[]){ "<s>", NULL } };
    sp_vocabulary *v = sp_vocabulary_of_field(s, 0, &rule, status), *letters = sp_vocabulary_of_letters(s, 0, NULL, status);
    sp_ids ids = { 0 };
    sp_letters spelled = { 0 };
    const bool ok = v && letters && sp_encode_field(v, s, 0, &ids, status) && sp_encode_letters(letters, s, 0, &spelled, status);
    free(ids.id);
    free(spelled.id);
    free(spelled.at);
    sp_vocabulary_free(v);
    sp_vocabulary_free(letters);
    return ok;
}

static bool paired(const sp_sentences *s, sp_status *status)
{
    sp_counts *c = sp_counts_new(status);
    sp_bpe *b = c && sp_bpe_count_field(c, s, 0, status) && sp_bpe_count(c, "\xC3\xB6\xC3\xB6", 4, status)
                ? sp_bpe_new(c, &(sp_bpe_rule){ .size = 300 }, status) : NULL;
    char *json = b ? sp_bpe_write(b) : NULL;
    sp_bpe *back = json ? sp_bpe_parse(json, status) : NULL;
    sp_ids ids = { 0 };
    bool ok = back && sp_bpe_encode(back, text, sizeof text - 1, &ids, status);
    char *again = ok ? sp_bpe_decode(back, ids.id, ids.n, NULL) : NULL;
    ok = (again && !strcmp(again, text)) || (b && sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory"));
    free(again);
    free(ids.id);
    free(json);
    sp_bpe_free(b);
    sp_bpe_free(back);
    sp_counts_free(c);
    return ok;
}

static bool measured(const sp_sentences *s, sp_status *status)
{
    static const char *const truth[] = { "a b c d e.", "f" };
    sp_spans *spans = sp_spans_new(status);
    sp_confusion *c = sp_confusion_new(3, status);
    sp_bleu bleu = { .lower = true };
    sp_chrf chrf = { 0 };
    sp_edits edits = { 0 };
    bool ok = spans && c && sp_bleu_add(&bleu, "A b c, d", truth, 2, status) && sp_chrf_add(&chrf, "a b", truth, 2, status)
              && sp_edits_add_text(&edits, "a b", "b c", SP_LEVEL_WORD, status);
    for (long j = 0; ok && j < sp_sentence_length(s, 1, 0); j++)
        ok = sp_spans_add(spans, sp_sentence_word(s, 1, 0, j, NULL), "B-X", status);
    sp_spans_free(spans);
    sp_confusion_free(c);
    return ok;
}

static bool drawn(sp_status *status)
{
    double nats, error;
    sp_hmm_optimum best;
    sp_hmm *h = sp_hmm_english(status);
    sp_sentences *s = h ? sp_hmm_sentences(h, 70, 1, status) : NULL;
    bool ok = s && sp_hmm_best(h, s, &best, status) && sp_hmm_entropy(h, &nats, &error, status);
    sp_sentences *d = ok ? sp_dates(2, 1, status) : NULL, *v = d ? sp_valence(NULL, 2, 1, status) : NULL;
    ok = v;
    sp_sentences_free(s);
    sp_sentences_free(d);
    sp_sentences_free(v);
    sp_hmm_free(h);
    return ok;
}

/* Symbols 1 and 2 take turns; 0 ends. */
static bool beam_step(void *self, const sp_beam_rows *r, sp_real *logits, sp_real *weights, sp_status *status)
{
    (void)self;
    (void)status;
    for (long i = 0; i < r->n; i++) {
        logits[3 * i] = -5;
        logits[3 * i + 1] = r->symbol[i] == 2;
        logits[3 * i + 2] = r->symbol[i] == 1;
        weights[2 * i + r->step % 2] = 1;
    }
    return true;
}

static bool searched(sp_status *status)
{
    const sp_beam_config config = { .width = 3, .nbest = 2, .most = 30, .first = 1, .last = 0, .coverage_penalty = 0.1 };
    const sp_beam_model model = { .step = beam_step, .symbols = 3, .places = 2 };
    sp_beam *b = sp_beam_search(&config, &model, 2, status);
    const bool ok = b;
    sp_beam_free(b);
    return ok;
}

/* Symbols 1 and 2 take turns; not to do so costs less with each step, so that the best differ in the last ones only. */
static bool late_step(void *self, const sp_beam_rows *r, sp_real *logits, sp_real *weights, sp_status *status)
{
    (void)weights, (void)status;
    for (long i = 0; i < r->n; i++) {
        logits[3 * i] = r->step == *(const long *)self ? 0 : -(sp_real)INFINITY;
        logits[3 * i + 1] = (r->symbol[i] == 2) * 10 / (sp_real)(r->step + 10);
        logits[3 * i + 2] = (r->symbol[i] == 1) * 10 / (sp_real)(r->step + 10);
    }
    return true;
}

/* Twice what lives, which is here about one node for each step of a sentence, and not one for each row. */
START_TEST(beam_lets_go)
{
    enum { WIDTH = 6, SENTENCES = 2, NODE = 2 * sizeof(int) };
    long most = _i ? 7000 : 700;
    const sp_beam_config config = { .width = WIDTH, .most = most, .first = 1, .last = 0 };
    begin();
    sp_beam *b = sp_beam_search(&config, &(sp_beam_model){ .self = &most, .step = late_step, .symbols = 3 }, SENTENCES, NULL);
    const size_t largest = memory.largest, bound = (size_t)(2 * SENTENCES * (most + 30 * WIDTH)) * NODE;
    const long grown = memory.grown, length = sp_beam_best(b, 1, 0)->length;
    sp_beam_free(b);
    ck_assert_int_eq(length, most);
    ck_assert_uint_le(largest, bound);
    ck_assert_uint_ge(largest, bound / 4);
    ck_assert_int_le(grown, 100);
}
END_TEST

/* What differs is said, or that there is no memory to say it. */
START_TEST(difference)
{
    sp_report *r = sp_report_new();
    sp_report_number(r, "lr", 0.1);
    bool went_on = false;
    int without = 0;
    begin();
    for (long n = 1; !went_on; n++) {
        sp_status status = { 0 };
        memory.calls = 0;
        memory.refuse = n;
        sp_report_equals(r, "{\"lr\": 0.3}", &status);
        memory.refuse = 0;
        went_on = memory.calls < n && status.code == SP_ERR_VALUE;
        without += status.code == SP_ERR_MEMORY;
        ck_assert_msg(status.code == SP_ERR_VALUE ? !strcmp(status.message, "lr is 0.3, not 0.1")
                      : status.code == SP_ERR_MEMORY || status.code == SP_ERR_FORMAT, "allocation %ld: %s", n, status.message);
    }
    ck_assert_int_gt(without, 3);
    sp_report_free(r);
}
END_TEST

/* A configuration, batches and a vocabulary, to a file and back: what fails leaves the configuration as it was. */
static char filed_at[PATH_ROOM];

static bool filed(const sp_sentences *s, sp_status *status)
{
    static const long lengths[] = { 3, 1, 2 };
    const char *name = "n";
    long size = 3;
    double rate = 0.1;
    const sp_option rows[] = { { "name", SP_OPTION_TEXT, &name, .argument = "TEXT", .help = "" },
                               { "size", SP_OPTION_WHOLE, &size, 1, 9, .help = "" },
                               { "rate", SP_OPTION_NUMBER, &rate, 0, 1, .help = "" }, { 0 } };
    sp_safetensors *f = NULL;
    sp_vocabulary *v = sp_vocabulary_of_field(s, 0, NULL, status), *again = NULL;
    char *words = v ? sp_vocabulary_write(v) : NULL;
    sp_store *store = sp_store_new(1), *back = NULL;
    sp_batches *b = sp_batches_new(lengths, 3, 2, status);
    bool ok = words && store && b && sp_model_save(store, "kind", rows, 1, &(sp_metadata){ "words", words }, filed_at, status);
    size = 4;
    f = ok ? sp_model_open(filed_at, "kind", rows, status) : NULL;
    if (ok && !f && (size != 4 || rate != 0.1 || strcmp(name, "n")))
        *status = (sp_status){ .code = SP_ERR_VALUE, .message = "the rows are not as they were" };
    ok = f && size == 3 && (again = sp_model_vocabulary(f, "words", status)) && (back = sp_model_store(f, status));
    sp_store_free(store);
    sp_store_free(back);
    sp_vocabulary_free(v);
    sp_vocabulary_free(again);
    sp_batches_free(b);
    sp_safetensors_free(f);
    free(words);
    return ok || sp_fail(status, SP_ERR_MEMORY, "files: out of memory");
}

static bool live_data(void *self, double *result, sp_status *status)
{
    static const char lines[] = "The\tB-D\ndog\tI-D\n\nthe\tO\nsea\tB-W\n";
    const int part = *(const int *)self;
    *result = 0;
    if (part == 0 || part == 4)
        return part ? searched(status) : drawn(status);
    sp_sentences *s = sp_sentences_parse("f", lines, sizeof lines - 1, sp_format_named("columns"), status);
    sp_sentences *t = s ? sp_sentences_within(s, 1, 2, status) : NULL;
    const bool ok = t && (part == 1 ? numbered(t, status) : part == 2 ? paired(t, status)
                          : part == 3 ? measured(t, status) : filed(t, status));
    sp_sentences_free(s);
    sp_sentences_free(t);
    return ok;
}

/* _i: twice the part of it; 1 more: all allocations from the n-th on fail. */
START_TEST(data)
{
    const int part = _i / 2;
    ck_new_file(filed_at);
    const struct refusals x = refuse_each(&(struct life){ .live = live_data, .self = &(int){ part } }, _i % 2);
    ck_assert_int_gt(x.all, 20);
    ck_assert_int_le(x.overlooked, part == 5);            /* a file's leftovers are looked for */
    remove(filed_at);
}
END_TEST

/* ---- the life of a tagger -------------------------------------------------------------------------------------- */

/* Its loss on the sentences it was made for, before and after it was a file, and training that saves it in place. */
struct tagged {
    char path[PATH_ROOM], vectors[PATH_ROOM];
    sp_sentences *s;
};

static bool live_tagger(void *self, double *loss, sp_status *status)
{
    const struct tagged *d = self;
    const sp_sentences *s = d->s;
    const sp_tagger_config config = { .cell = "gru", .embed = 2, .hidden = 2, .layers = 1, .letters = SP_TAGGER_LETTERS_RECURRENT,
                                      .letter_embed = 2, .letter_hidden = 1, .dropout = 0.1, .word_dropout = 0.1, .crf = true };
    const sp_trainer_config how = { .optimizer = "sgd", .lr = 0.1, .epochs = 1, .metric = "f1" };
    sp_training x;
    sp_tagger *m = sp_tagger_new(&config, s, d->vectors, 1, status), *back = NULL;
    sp_tagger_trainer *r = m ? sp_tagger_trainer_new(m, s, s, 2, 1, d->path, status) : NULL;
    sp_task task = r ? sp_tagger_trainer_task(r) : (sp_task){ 0 };
    bool ok = r && sp_train(&task, &how, &x, status) && (back = sp_tagger_load(d->path, status));
    sp_sentences *y = ok ? sp_tagger_tag(back, s, status) : NULL, *plain = y ? sp_tags_most_frequent(s, s, status) : NULL;
    sp_spans *spans = plain ? sp_tags_spans(y, plain, status) : NULL;
    ok = spans;
    *loss = ok ? x.valid_loss : NAN;
    sp_spans_free(spans);
    sp_sentences_free(plain);
    sp_sentences_free(y);
    sp_tagger_free(back);
    sp_tagger_trainer_free(r);
    sp_tagger_free(m);
    return ok;
}

/* _i: 0: one allocation fails, 1: all from the n-th on fail. */
START_TEST(tagger)
{
    static const char lines[] = "The\tB-D\ndog\tI-D\n\nthe\tO\nsea\tB-W\n";
    struct tagged d;
    ck_new_file(d.path);
    ck_new_file(d.vectors);
    ck_put_file(d.vectors, "dog 1 2\ncat 3 4\n", strlen("dog 1 2\ncat 3 4\n"));
    d.s = sp_sentences_parse("f", lines, sizeof lines - 1, sp_format_named("columns"), NULL);
    ck_assert_int_ge(refuse_each(&(struct life){ .live = live_tagger, .self = &d, .tolerance = 1e-6 }, _i).errors, 200);
    sp_sentences_free(d.s);
    remove(d.path);
    remove(d.vectors);
}
END_TEST

/* ---- from sequence to sequence --------------------------------------------------------------------------------- */

static const sp_seq2seq_config translators[] = {
    { SP_UNITS_CHAR, SP_UNITS_WORD, .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "coverage",
      .dropout = 0.25 },
    { SP_UNITS_BPE, SP_UNITS_BPE, .vocabulary = 261, .cell = "gru", .embed = 2, .hidden = 2, .layers = 2, .attention = "none" },
};

/* How the best translations are scored by the model: the result. */
static bool judged(const sp_seq2seq *m, const sp_sentences *s, double *log_p, sp_status *status)
{
    const sp_translating how = { .beam = 2, .nbest = 2, .batch = 2, .most = 3, .copy = !m->plain.layers, .weights = true };
    sp_translation_scores scores;
    sp_references *r = sp_references_new(s, 2, status);
    sp_translations *found = r ? sp_seq2seq_translate(m, (const char *const *)r->source, r->n, &how, status) : NULL;
    const char *guess[2] = { "", "" };
    for (long i = 0; found && i < r->n; i++)
        guess[i] = sp_translations_get(found, i, 0)->text;
    const bool ok = found && sp_references_score(r, guess, &scores, status);
    if (ok)
        *log_p = sp_translations_get(found, 0, 0)->log_p;
    sp_translations_free(found);
    sp_references_free(r);
    return ok;
}

static bool taught(sp_seq2seq *m, const sp_sentences *s, const char *path, sp_status *status)
{
    const sp_seq2seq_teaching how = { .batch = 4, .longest = 9, .sampling = 0.5, .drawn = true, .judged = 2 };
    sp_trainer_config run = sp_trainer_defaults();
    sp_training result;
    run.progress = NULL;
    run.epochs = 1;
    run.metric = "exact";
    sp_seq2seq_trainer *x = sp_seq2seq_trainer_new(m, s, s, &how, &run, path, status);
    const sp_task task = x ? sp_seq2seq_task(x) : (sp_task){ 0 };
    const bool ok = x && sp_train(&task, &run, &result, status);
    sp_seq2seq_trainer_free(x);
    return ok;
}

struct translator {
    char path[PATH_ROOM];
    int kind;
};

static bool live_translator(void *self, double *result, sp_status *status)
{
    static const char pairs[] = "a b\tx y\nb\ty\nc a\tz\na b\tz\n";
    const struct translator *d = self;
    sp_sentences *all = sp_sentences_parse("pairs", pairs, sizeof pairs - 1, sp_format_named("pairs"), status);
    sp_sentences *s = all ? sp_sentences_part(all, 0, 0, 1, status) : NULL;
    sp_seq2seq *m = s ? sp_seq2seq_new(&translators[d->kind], s, 1, status) : NULL, *back = NULL;
    const bool ok = m && taught(m, s, d->path, status) && (back = sp_seq2seq_load(d->path, status)) && judged(back, s, result, status);
    sp_seq2seq_free(m);
    sp_seq2seq_free(back);
    sp_sentences_free(all);
    sp_sentences_free(s);
    return ok;
}

/* _i: as for data. */
START_TEST(translator)
{
    struct translator d = { .kind = _i / 2 };
    ck_new_file(d.path);
    ck_assert_int_gt(refuse_each(&(struct life){ .live = live_translator, .self = &d }, _i % 2).all, 100);
    remove(d.path);
}
END_TEST

/* ---- a classifier's life --------------------------------------------------------------------------------------- */

static bool fit_classifier(sp_classifier *m, const sp_sentences *s, const char *path, sp_status *status)
{
    const sp_trainer_config config = { .optimizer = "adam", .lr = 0.1, .epochs = 1 };
    sp_training x;
    sp_classifier_trainer *r = sp_classifier_trainer_new(m, s, s, 4, 1, path, status);
    const sp_task task = r ? sp_classifier_trainer_task(r) : (sp_task){ 0 };
    const bool ok = r && sp_train(&task, &config, &x, status);
    sp_classifier_trainer_free(r);
    return ok;
}

struct classified {
    char path[PATH_ROOM];
    sp_sentences *all;
    int kind;
};

/* Dealt, learned, saved, loaded, predicted. */
static bool live_classifier(void *self, double *nats, sp_status *status)
{
    const struct classified *d = self;
    const sp_classifier_config config = { .model = (sp_classifier_kind)d->kind, .embed = 2, .hidden = 2, .layers = 1, .cell = "gru",
        .directions = 2, .pool = SP_CLASSIFIER_POOL_ATTENTION, .dropout_embed = 0.2, .dropout = 0.2, .word_dropout = 0.2 };
    sp_real p[64], weights[64];
    int part[16];
    sp_sentences *s = sp_classifier_deal(d->all, 2, 1, part, status) ? sp_classifier_part(d->all, part, 0, false, status) : NULL;
    sp_classifier *m = s ? sp_classifier_new(&config, s, 1, status) : NULL, *back = NULL;
    const bool ok = m && fit_classifier(m, s, d->path, status) && (back = sp_classifier_load(d->path, status))
                    && sp_classifier_predict(back, d->all, p, d->kind ? NULL : weights, status);
    sp_confusion *c = ok ? sp_classifier_confusion(back, d->all, p, nats, status) : NULL;
    const bool counted = c;
    sp_confusion_free(c);
    sp_classifier_free(m);
    sp_classifier_free(back);
    sp_sentences_free(s);
    return counted;
}

/* _i: as for data. */
START_TEST(classifier)
{
    struct classified d = { .kind = _i / 2 };
    ck_new_file(d.path);
    d.all = sp_valence(&(sp_valence_config){ .least = 1, .most = 3 }, 16, 1, NULL);
    ck_assert_int_gt(refuse_each(&(struct life){ .live = live_classifier, .self = &d }, _i % 2).errors, 200);
    sp_sentences_free(d.all);
    remove(d.path);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("alloc_zoo");
    TCase *c = tcase_create("alloc_zoo");
    tcase_add_loop_test(c, data, 0, 12);
    tcase_add_loop_test(c, beam_lets_go, 0, 2);
    tcase_add_test(c, difference);
    tcase_add_loop_test(c, tagger, 0, 2);
    tcase_add_loop_test(c, translator, 0, 4);
    tcase_add_loop_test(c, classifier, 0, 6);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
