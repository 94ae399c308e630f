/* Sequence to sequence: its loss against a step by step twin, its gradient, its own symbols, and translating. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/gradcheck.h"
#include "tests/suite.h"
#include "zoo/readers.h"
#include "zoo/seq2seq_inside.h"

static const char pairs[] = "a b c\tx y\nb\ty z y z\nc a b d b\tz\nd d\tx x w\na\tw\n";

static sp_sentences *sentences;

static void begin(void)
{
    sp_status status = { 0 };
    sentences = sp_sentences_parse("pairs", pairs, sizeof pairs - 1, sp_format_named("pairs"), &status);
    ck_assert_msg(sentences != NULL, "%s", status.message);
}

static void end(void)
{
    sp_sentences_free(sentences);
}

#define WORDS .source_units = SP_UNITS_WORD, .target_units = SP_UNITS_WORD

static const sp_seq2seq_config configs[] = {
    { WORDS, .cell = "lstm", .embed = 5, .hidden = 6, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "general" },
    { WORDS, .cell = "gru", .embed = 5, .hidden = 6, .layers = 2, .encoder = SP_FORWARD, .attention = "none" },
    { WORDS, .cell = "lstm", .embed = 6, .hidden = 6, .layers = 2, .encoder = SP_BOTH_WAYS, .attention = "coverage", .tied = true },
    { WORDS, .cell = "gru", .embed = 4, .hidden = 8, .layers = 1, .encoder = SP_FORWARD, .attention = "dot" },
    { WORDS, .cell = "lstm", .embed = 4, .hidden = 6, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "none" },
    { WORDS, .cell = "rnn", .embed = 4, .hidden = 6, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "scaled-dot" },
    { WORDS, .cell = "lstm-projected", .embed = 4, .hidden = 6, .layers = 2, .encoder = SP_BOTH_WAYS, .attention = "additive" },
    { SP_UNITS_CHAR, SP_UNITS_BPE, .vocabulary = 270, .cell = "gru", .embed = 4, .hidden = 6, .layers = 1, .attention = "additive" },
};
enum { CONFIGS = sizeof configs / sizeof *configs };

/* With weights a little larger than at first, so that symbols differ. */
static sp_seq2seq *new_model(const sp_seq2seq_config *config, uint64_t seed)
{
    sp_status status = { 0 };
    sp_seq2seq *m = sp_seq2seq_new(config, sentences, seed, &status);
    ck_assert_msg(m != NULL, "%s", status.message);
    sp_real *x = sp_store_values(m->store);
    for (long i = 0; i < sp_store_size(m->store); i++)
        x[i] *= 2;
    return m;
}

/* All pairs as numbers. */
struct numbered {
    sp_pairs pairs;
    int source[64], target[64];
    long source_length[8], target_length[8];
};

static void append(const sp_coder *c, int f, long i, int *to, long *length)
{
    size_t size;
    sp_ids ids;
    char *text = sp_sentence_text(sentences, f, i, &size);
    ck_assert(sp_coder_encode(c, text, size, &ids, NULL));
    memcpy(to, ids.id, (size_t)ids.n * sizeof *to);
    *length = ids.n;
    free(ids.id);
    free(text);
}

/* Pairs from .. from+n-1. */
static void number(struct numbered *x, const sp_seq2seq *m, long from, long n)
{
    long source = 0, target = 0;
    for (long i = 0; i < n; i++) {
        append(m->source, 0, from + i, x->source + source, &x->source_length[i]);
        append(m->target, 1, from + i, x->target + target, &x->target_length[i]);
        source += x->source_length[i];
        target += x->target_length[i];
    }
    x->pairs = (sp_pairs){ n, x->source, x->target, x->source_length, x->target_length };
}

static double loss_of(const sp_seq2seq *m, const sp_pairs *p, long *count)
{
    sp_tape *t = sp_tape_new(m->store);
    sp_tape_set_training(t, false);
    const double loss = (double)sp_item(sp_seq2seq_loss(t, m, p, 0.5, &(sp_own_symbols){ 1, false }, count));
    ck_tape_ok(t);
    sp_tape_free(t);
    return loss;
}

/* ---- the loss -------------------------------------------------------------------------------------------------- */

static double log_p(const sp_real *x, long n, int id)
{
    double sum = 0;
    for (long i = 0; i < n; i++)
        sum += exp((double)(x[i] - x[id]));
    return -log(sum);
}

static int best_of(const sp_real *x, long n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (i != SP_SENTENCE_BEGIN && x[i] > x[best])
            best = i;
    return best;
}

/* What no translation has: <s>, among pieces <unk>, and control characters. */
static bool never(const sp_coder *c, int id)
{
    size_t length;
    const char *x = sp_coder_symbol(c, id, &length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)x[i] < 0x20 || x[i] == 0x7F)
            return true;
    return id == SP_SENTENCE_BEGIN || (id == SP_UNKNOWN && c->units == SP_UNITS_BPE);
}

/* -ln p of one target, a symbol at a time; with its own best symbols before, if wanted. *uniform becomes the mean over all
   symbols, summed over the target. */
static double step_by_step(const sp_seq2seq *m, const struct numbered *x, bool own, double *uniform)
{
    const long symbols = sp_coder_size(m->target), n = x->target_length[0];
    struct writing w;
    sp_real logits[512];
    double sum = 0;
    int before = SP_SENTENCE_BEGIN;
    sp_tape *t = sp_tape_new(m->store);
    sp_tape_set_training(t, false);
    sp_tape_set_recording(t, false);
    ck_assert(sp_writing_begin(&w, t, m, x->source, x->source_length, 1, 1));
    *uniform = 0;
    for (long i = 0; i <= n; i++) {
        const int truth = i < n ? x->target[i] : SP_SENTENCE_END;
        ck_assert(sp_writing_step(&w, NULL, NULL, &before, 1, logits, NULL));
        sum -= log_p(logits, symbols, truth);
        for (int k = 0; k < symbols; k++)
            *uniform -= log_p(logits, symbols, k) / (double)symbols;
        before = own ? best_of(logits, symbols) : truth;
    }
    ck_tape_ok(t);
    sp_tape_free(t);
    return sum;
}

/* The loss of a ragged batch is the mean over the steps of its pairs one by one: with teacher forcing, smoothed, and with the
   model's own best symbols. */
START_TEST(loss_is_that_of_steps)
{
    struct numbered all, one;
    double sum = 0, own = 0, smooth = 0, uniform;
    long count;
    sp_seq2seq *m = new_model(&configs[_i], 1);
    number(&all, m, 0, sentences->n);
    for (long i = 0; i < sentences->n; i++) {
        number(&one, m, i, 1);
        const double nats = step_by_step(m, &one, false, &uniform);
        sum += nats;
        smooth += 0.9 * nats + 0.1 * uniform;
        own += step_by_step(m, &one, true, &uniform);
    }
    const double loss = loss_of(m, &all.pairs, &count);
    ck_assert_double_eq_tol(loss, sum / (double)count, WIDE(1e-12, 2e-6));
    sp_tape *t = sp_tape_new(m->store);
    double found = (double)sp_item(sp_seq2seq_loss(t, m, &all.pairs, 0.1, NULL, NULL));
    ck_assert_double_eq_tol(found, smooth / (double)count, WIDE(1e-12, 2e-6));
    found = (double)sp_item(sp_seq2seq_loss(t, m, &all.pairs, 0, &(sp_own_symbols){ 1, false }, NULL));
    ck_assert_double_eq_tol(found, own / (double)count, WIDE(1e-12, 2e-6));
    ck_assert_double_ne(found, loss);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_seq2seq_free(m);
}
END_TEST

/* Targets are counted with their ends; empty sides are possible; no pairs have no loss. */
START_TEST(counts)
{
    long count;
    const int id[1] = { 3 };
    const long none[1] = { 0 }, some[1] = { 1 };
    struct numbered all;
    sp_seq2seq *m = new_model(&configs[_i], 1);
    number(&all, m, 0, sentences->n);
    loss_of(m, &all.pairs, &count);
    ck_assert_int_eq(count, 11 + sentences->n);
    ck_assert(isfinite(loss_of(m, &(sp_pairs){ 1, id, id, none, none }, &count)));
    ck_assert_int_eq(count, 1);
    ck_assert(isfinite(loss_of(m, &(sp_pairs){ 1, id, id, none, some }, &count)));
    ck_assert_int_eq(count, 2);
    ck_assert(sp_seq2seq_loss(NULL, m, &(sp_pairs){ 0 }, 0, NULL, &count) == NULL && count == 0);
    sp_seq2seq_free(m);
}
END_TEST

struct checked {
    const sp_seq2seq *m;
    const sp_pairs *p;
};

static sp_tensor *checked_loss(sp_tape *t, void *self)
{
    const struct checked *c = self;
    return sp_seq2seq_loss(t, c->m, c->p, 0.1, &(sp_own_symbols){ 0.5, true }, NULL);
}

/* Of what is drawn, too: a key of a tape that begins anew is the same. */
START_TEST(gradient)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    struct numbered all;
    sp_seq2seq_config config = configs[_i];
    config.dropout = 0.2;
    sp_seq2seq *m = new_model(&config, 3);
    number(&all, m, 0, sentences->n);
    ck_assert_msg(sp_gradcheck(m->store, checked_loss, &(struct checked){ m, &all.pairs }, 20, &r, &status), "%s", status.message);
    const bool near = fabs(r.backward - r.numeric) < WIDE(0, 5e-3);     /* what float32 can tell of a direction that hardly matters */
    ck_assert_msg(r.error < WIDE(1e-6, 0.1) || near, "%s: backward %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_seq2seq_free(m);
}
END_TEST

/* How often its own symbols are taken: at a probability of 0 never, and of a drawn kind by its key alone. */
START_TEST(own_symbols)
{
    struct numbered all;
    sp_seq2seq *m = new_model(&configs[0], 1);
    number(&all, m, 0, sentences->n);
    sp_tape *t = sp_tape_new(m->store);
    double loss[4][2];
    static const sp_own_symbols own[4] = { { 0, false }, { 0.5, false }, { 1, false }, { 1, true } };
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            sp_tape_reset(t);
            sp_tape_seed(t, 7, 1);
            loss[i][k] = (double)sp_item(sp_seq2seq_loss(t, m, &all.pairs, 0, &own[i], NULL));
        }
    for (int i = 0; i < 4; i++) {
        ck_assert(loss[i][0] == loss[i][1]);
        for (int k = 0; k < i; k++)
            ck_assert(loss[i][0] != loss[k][0]);
    }
    ck_assert(loss[0][0] == loss_of(m, &all.pairs, NULL));
    ck_assert(sp_rise_at(SP_RISE_CONSTANT, 0) == 1 && sp_rise_at(SP_RISE_LINEAR, 0.25) == 0.25);
    ck_assert(sp_rise_at(SP_RISE_SIGMOID, 0.5) == 0.5 && sp_rise_at(SP_RISE_SIGMOID, 0) < 0.0025);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_seq2seq_free(m);
}
END_TEST

/* ---- translating ----------------------------------------------------------------------------------------------- */

static const char *const texts[] = { "a b c", "", "d d d a", "b", "unseen b", " ", "c a b d b a" };
enum { TEXTS = sizeof texts / sizeof *texts };

static sp_translations *translate(const sp_seq2seq *m, const char *const *text, long n, const sp_translating *how)
{
    sp_status status = { 0 };
    sp_translations *r = sp_seq2seq_translate(m, text, n, how, &status);
    ck_assert_msg(r != NULL, "%s", status.message);
    return r;
}

/* Greedy: the best symbol at each step. */
static long greedy(const sp_seq2seq *m, const char *text, long most, int *out, double *sum)
{
    struct writing w;
    sp_real logits[512];
    sp_ids ids;
    int before = SP_SENTENCE_BEGIN;
    long n = 0;
    const long symbols = sp_coder_size(m->target);
    sp_tape *t = sp_tape_new(m->store);
    sp_tape_set_training(t, false);
    sp_tape_set_recording(t, false);
    ck_assert(sp_coder_encode(m->source, text, strlen(text), &ids, NULL));
    ck_assert(sp_writing_begin(&w, t, m, ids.id, &ids.n, 1, 1));
    for (*sum = 0; before != SP_SENTENCE_END; ) {
        ck_assert(sp_writing_step(&w, NULL, NULL, &before, 1, logits, NULL));
        before = SP_SENTENCE_END;
        for (int k = 0; k < symbols && n < most; k++)
            before = !never(m->target, k) && logits[k] > logits[before] ? k : before;
        *sum += log_p(logits, symbols, before);
        if (before != SP_SENTENCE_END)
            out[n++] = before;
    }
    free(ids.id);
    sp_tape_free(t);
    return n;
}

START_TEST(greedy_translation)
{
    sp_translating how = sp_translating_defaults();
    sp_seq2seq *m = new_model(&configs[_i], 5);
    how.most = 6;
    sp_translations *r = translate(m, texts, TEXTS, &how);
    for (int i = 0; i < TEXTS; i++) {
        const sp_translation *x = sp_translations_get(r, i, 0);
        int id[8];
        double sum;
        if (i == 1 || i == 5) {
            ck_assert(x->length == 0 && x->places == 0 && !*x->text);
            continue;
        }
        const long n = greedy(m, texts[i], 6, id, &sum);
        ck_assert_int_eq(x->length, n);
        ck_assert_mem_eq(x->id, id, (size_t)n * sizeof *id);
        ck_assert_double_eq_tol(x->log_p, sum, WIDE(1e-10, 1e-4));
        ck_assert(x->score == x->log_p);
    }
    ck_assert_ptr_null(sp_translations_get(r, TEXTS, 0));
    ck_assert_ptr_null(sp_translations_get(r, 0, 1));
    sp_translations_free(r);
    sp_seq2seq_free(m);
}
END_TEST

/* -ln p of a translation as the loss has it. */
static double nats_of(const sp_seq2seq *m, const char *text, const sp_translation *x)
{
    sp_ids ids;
    long count;
    ck_assert(sp_coder_encode(m->source, text, strlen(text), &ids, NULL));
    const double nats = loss_of(m, &(sp_pairs){ 1, ids.id, x->id, &ids.n, &x->length }, &count);
    free(ids.id);
    return nats * (double)count;
}

/* A beam side by side with others is the same as by itself; scores fall; ln p is that of the loss. */
START_TEST(beams)
{
    sp_translating how = { .beam = 4, .nbest = 3, .batch = 4, .most = 5, .length_penalty = 0.6 };
    sp_seq2seq *m = new_model(&configs[_i], 5);
    sp_param_values(m->out.bias)[SP_SENTENCE_BEGIN] = 1;        /* what is never written has its share of the probability */
    if (sp_seq2seq_attends(m)) {
        how.coverage_penalty = 0.2;
        how.weights = true;
    }
    sp_translations *r = translate(m, texts, TEXTS, &how);
    for (int i = 0; i < TEXTS; i++) {
        sp_translations *one = translate(m, &texts[i], 1, &how);
        double last = INFINITY;
        for (long k = 0; k < 3; k++) {
            const sp_translation *x = sp_translations_get(r, i, k), *y = sp_translations_get(one, 0, k);
            ck_assert((x == NULL) == (y == NULL));
            if (!x)
                continue;
            ck_assert_str_eq(x->text, y->text);
            ck_assert_double_eq_tol(x->score, y->score, WIDE(1e-10, 1e-4));
            ck_assert(x->score <= last);
            last = x->score;
            if (x->places)
                ck_assert_double_eq_tol(-x->log_p, nats_of(m, texts[i], x), WIDE(1e-10, 1e-4));
            for (long j = 0; x->weights && j < x->length; j++) {
                double sum = 0;
                for (long s = 0; s < x->places; s++)
                    sum += (double)x->weights[j * x->places + s];
                ck_assert_double_eq_tol(sum, 1, 1e-5);
            }
            ck_assert((x->weights != NULL) == (how.weights && x->places > 0));
        }
        sp_translations_free(one);
    }
    sp_translations_free(r);
    sp_seq2seq_free(m);
}
END_TEST

/* One that would never end ends at the limit, which is each source's own though they are of one batch. */
START_TEST(limits)
{
    static const char *const said[] = { "b", "c a b d b a", "a b", "a b c" };
    static const long expected[] = { 4 + 10, 12 + 10, 4 + 10, 6 + 10 };
    sp_seq2seq *m = new_model(&configs[0], 5);
    sp_param_values(m->out.bias)[SP_SENTENCE_END] = -1000;
    m->source_longest = 2;
    m->target_longest = 4;
    for (long beam = 1; beam <= 3; beam += 2) {
        sp_translations *r = translate(m, said, 4, &(sp_translating){ .beam = beam, .nbest = 1, .batch = 4 });
        for (long i = 0; i < 4; i++)
            ck_assert_int_eq(sp_translations_get(r, i, 0)->length, expected[i]);
        sp_translations_free(r);
    }
    sp_seq2seq_free(m);
}
END_TEST

/* Who watches on a terminal sees how much of all is done. */
START_TEST(watched)
{
    char seen[4096] = "";
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        return;                                                 /* no terminals here */
    FILE *slave = fopen(ptsname(master), "w");
    ck_assert_ptr_nonnull(slave);
    sp_seq2seq *m = new_model(&configs[0], 5);
    static const char *const said[] = { "b", "a b", "a b c", "c a b d" };
    sp_translations_free(translate(m, said, 4, &(sp_translating){ .beam = 1, .nbest = 1, .batch = 1, .progress = slave }));
    ck_assert(!fclose(slave));
    size_t size = 0;
    for (ssize_t n; size < sizeof seen - 1 && (n = read(master, seen + size, sizeof seen - 1 - size)) > 0; )    /* it comes in parts */
        size += (size_t)n;
    const char *first = strstr(seen, "  25 %");
    ck_assert_msg(first && strstr(first, " 100 %"), "%s", seen);
    close(master);
    sp_seq2seq_free(m);
}
END_TEST

/* Rows may come to be of other sources while their number stays. */
START_TEST(rows_change_sources)
{
    struct numbered two, one;
    struct writing w, v;
    sp_real logits[2][2 * 512], single[512];
    const int first[2] = { SP_SENTENCE_BEGIN, SP_SENTENCE_BEGIN }, of[2] = { 1, 1 }, parent[2] = { 1, 0 }, symbol[2] = { 3, 4 };
    sp_seq2seq *m = new_model(&configs[_i], 5);
    const long symbols = sp_coder_size(m->target);
    number(&two, m, 0, 2);
    number(&one, m, 1, 1);
    sp_tape *t = sp_tape_new(m->store), *u = sp_tape_new(m->store);
    sp_tape_set_recording(t, false);
    sp_tape_set_training(t, false);
    ck_assert(sp_writing_begin(&w, t, m, two.source, two.source_length, 2, 2));
    ck_assert(sp_writing_begin(&v, u, m, one.source, one.source_length, 1, 1));
    ck_assert(sp_writing_step(&w, NULL, NULL, first, 2, logits[0], NULL));
    ck_assert(sp_writing_step(&w, of, parent, symbol, 2, logits[1], NULL));     /* row 0 is what row 1 was */
    ck_assert(sp_writing_step(&v, NULL, NULL, first, 1, single, NULL) && sp_writing_step(&v, NULL, NULL, symbol, 1, single, NULL));
    for (long k = 0; k < symbols; k++)
        ck_assert_double_eq_tol((double)logits[1][k], (double)single[k], WIDE(1e-12, 1e-5));
    sp_tape_free(t);
    sp_tape_free(u);
    sp_seq2seq_free(m);
}
END_TEST

START_TEST(bad_use)
{
    static const struct {
        sp_translating how;
        int config;
        const char *error;
    } wrong[] = {
        { { .beam = 0, .nbest = 1, .batch = 1 }, 0, "a beam of 0, the 1 best, batches of 1" },
        { { .beam = 2, .nbest = 3, .batch = 1 }, 0, "a beam of 2, the 3 best" },
        { { .beam = 2, .nbest = 1, .batch = 0 }, 0, "batches of 0" },
        { { .beam = 1, .nbest = 1, .batch = 1, .most = -1 }, 0, "-1 symbols at most" },
        { { .beam = 1, .nbest = 1, .batch = 1, .copy = true }, 1, "copying needs a model with attention" },
        { { .beam = 1, .nbest = 1, .batch = 1, .coverage_penalty = 1 }, 1, "a coverage penalty needs a model with attention" },
        { { .beam = 1, .nbest = 1, .batch = 1, .length_penalty = -1 }, 0, "length" },
        { { .beam = 1, .nbest = 1, .batch = 1, .copy = true }, 7, "copying needs targets of words or letters" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sp_status status = { 0 };
        sp_seq2seq *m = new_model(&configs[wrong[i].config], 1);
        ck_assert_ptr_null(sp_seq2seq_translate(m, texts, 2, &wrong[i].how, &status));
        ck_assert_msg(strstr(status.message, wrong[i].error) != NULL, "%s", status.message);
        sp_seq2seq_free(m);
    }
}
END_TEST

START_TEST(nothing)
{
    sp_status status = { 0 };
    const sp_translating how = sp_translating_defaults();
    sp_seq2seq *m = new_model(&configs[0], 1);
    sp_translations *r = translate(m, NULL, 0, &how);
    ck_assert_ptr_null(sp_translations_get(r, 0, 0));
    sp_translations_free(r);
    ck_assert_ptr_null(sp_seq2seq_translate(m, (const char *const[]){ "a", NULL }, 2, &how, &status));
    ck_assert_str_eq(status.message, "translating: text 1 is NULL");
    ck_assert_ptr_null(sp_seq2seq_translate(NULL, texts, 1, &how, NULL));
    ck_assert_ptr_null(sp_seq2seq_translate(m, texts, 1, NULL, NULL));
    ck_assert_ptr_null(sp_seq2seq_translate(m, NULL, 1, &how, NULL));
    ck_assert_ptr_null(sp_seq2seq_new(NULL, sentences, 1, NULL));
    ck_assert_ptr_null(sp_seq2seq_new(&configs[0], NULL, 1, NULL));
    ck_assert(!sp_seq2seq_save(NULL, "/dev/null", NULL));
    ck_assert_ptr_null(sp_seq2seq_load(NULL, NULL));
    ck_assert_ptr_null(sp_translations_get(NULL, 0, 0));
    sp_seq2seq_free(m);
    sp_seq2seq_free(NULL);
    sp_translations_free(NULL);
}
END_TEST

static const struct {
    sp_seq2seq_config config;
    const char *error;
} bad_configs[] = {
    { { WORDS, .cell = "lsdm", .embed = 2, .hidden = 2, .layers = 1, .attention = "dot" }, "cell lsdm: expected one of " },
    { { WORDS, .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .attention = "hard" }, "attention hard: expected one of " },
    { { WORDS, .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1 }, "attention NULL: expected one of " },
    { { WORDS, .cell = "lstm", .embed = 2, .hidden = 2, .layers = 9, .attention = "dot" }, "layers 9: expected a whole number from 1 to 8" },
    { { WORDS, .cell = "lstm", .embed = 2, .hidden = 2, .layers = 8, .attention = "dot" }, "17 states of 8 layers, more than 16" },
    { { WORDS, .cell = "lstm", .embed = 2, .hidden = 3, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "dot" }, "not 3" },
    { { WORDS, .cell = "lstm", .embed = 2, .hidden = 4, .layers = 1, .attention = "dot", .tied = true },
      "embed is 2 and the decoder's output 4" },
    { { WORDS, .cell = "mlstm", .embed = 2, .hidden = 4, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "dot" },
      "cell 'mlstm': its state of 16 numbers cannot begin as 8 of an encoder in both directions" },
    { { SP_UNITS_WORD, SP_UNITS_BPE, .vocabulary = 20, .cell = "lstm", .embed = 2, .hidden = 4, .layers = 1, .attention = "dot" },
      "20 symbols, expected 259" },
};

START_TEST(bad_config)
{
    sp_status status = { 0 };
    ck_assert_ptr_null(sp_seq2seq_new(&bad_configs[_i].config, sentences, 1, &status));
    ck_assert_msg(strstr(status.message, bad_configs[_i].error) != NULL, "%s", status.message);
}
END_TEST

/* However likely control characters are, none is written, and among pieces no <unk>. */
START_TEST(safe_text)
{
    const sp_translating how = { .beam = 3, .nbest = 3, .batch = 4, .most = 8 };
    sp_seq2seq *m = new_model(&configs[7], 5);
    long unsafe = 0;
    for (int k = 0; k < sp_coder_size(m->target); k++)
        if (never(m->target, k)) {
            sp_param_values(m->out.bias)[k] = 20;
            unsafe++;
        }
    ck_assert_int_eq(unsafe, 2 + 33);
    sp_translations *r = translate(m, texts, TEXTS, &how);
    for (int i = 0; i < TEXTS; i++)
        for (long k = 0; sp_translations_get(r, i, k); k++) {
            const sp_translation *x = sp_translations_get(r, i, k);
            size_t bytes;
            char *text = sp_coder_decode(m->target, x->id, x->length, &bytes);
            ck_assert_str_eq(text, x->text);
            ck_assert_uint_eq(bytes, strlen(x->text));
            for (const char *c = x->text; *c; c++)
                ck_assert((unsigned char)*c >= ' ' && *c != 0x7F);
            for (long j = 0; j < x->length; j++)
                ck_assert(!never(m->target, x->id[j]));
            free(text);
        }
    sp_translations_free(r);
    sp_seq2seq_free(m);
}
END_TEST

/* White space at the ends, and more than one between words, are nothing, whatever a source is cut into; training is as
   translating. And its symbols are those of the text. */
START_TEST(white_space)
{
    static const sp_units units[] = { SP_UNITS_WORD, SP_UNITS_CHAR, SP_UNITS_BPE };
    static const char *const said[] = { "c unseen a", " c\t\t unseen  a ", "\n", "  " };
    static const char *const symbols[][13] = { { "c", "unseen", "a", "</s>" }, { "c", " ", "u", "n", "s", "e", "e", "n", " ", "a", "</s>" },
                                               { "c", " ", "u", "n", "s", "e", "e", "n", "a", "</s>" } };
    const sp_translating how = { .beam = 2, .nbest = 2, .batch = 4, .most = 8, .weights = true };
    sp_seq2seq_config config = configs[0];
    config.source_units = units[_i];
    sp_seq2seq *m = new_model(&config, 5);
    sp_translations *r = translate(m, said, 4, &how);
    for (long k = 0; k < 2; k++) {
        const sp_translation *x = sp_translations_get(r, 0, k), *y = sp_translations_get(r, 1, k);
        ck_assert_str_eq(x->text, y->text);
        ck_assert(x->score == y->score && x->places == y->places);
    }
    ck_assert(sp_translations_get(r, 2, 0)->places == 0 && sp_translations_get(r, 3, 0)->places == 0);
    for (int i = 0; i < 2; i++) {
        char **symbol = sp_seq2seq_symbols(m, said[i], NULL);
        long n = 0;
        for (; symbol[n]; n++)
            if (_i < 2 || n == 0)
                ck_assert_str_eq(symbol[n], symbols[_i][n]);
        ck_assert_int_eq(n, sp_translations_get(r, i, 0)->places);
        ck_assert_str_eq(symbol[n - 1], "</s>");
        free(symbol);
    }
    sp_translations_free(r);
    sp_seq2seq_free(m);
}
END_TEST

/* Each first state of the decoder is that of the same layer of the encoder, those of both directions side by side, by the
   bridge where there is one. */
START_TEST(first_states)
{
    for (int kind = 0; kind < 4; kind++) {
        const bool both = kind & 1;
        const sp_seq2seq_config config = { WORDS, .cell = sp_cell_kind(_i), .embed = 4, .hidden = 6, .layers = 2,
                                           .encoder = both ? SP_BOTH_WAYS : SP_FORWARD, .attention = kind & 2 ? "general" : "none" };
        static const int id[] = { 3, 4, 5, SP_SENTENCE_END, 4, SP_SENTENCE_END, SP_SENTENCE_END }, without[] = { 3, 4, 5, 4 };
        static const long length[] = { 4, 2, 1 }, shorter[] = { 3, 1, 0 };
        struct encoded e;
        sp_real final[2 * SP_MAX_STATES][3 * 64], wide[3 * 64], state[3 * 64];
        sp_tensor *end[2 * SP_MAX_STATES] = { NULL };
        if (both && !strcmp(config.cell, "mlstm"))
            continue;
        sp_seq2seq *m = new_model(&config, 1);
        sp_tape *t = sp_tape_new(m->store);
        sp_tape_set_training(t, false);
        sp_stack_on_seq(t, &m->encoder, sp_seq_pack(t, sp_embed_on(t, &m->read, id, 7), length, 3), end);
        for (int i = 0; i < sp_stack_states(&m->encoder); i++)
            ck_assert(sp_read(end[i], final[i]));
        ck_assert(sp_seq2seq_encode(t, m, without, shorter, 3, &e));
        const sp_stack *to = sp_seq2seq_attends(m) ? &m->decoder.cells : &m->plain;
        const int states = to->layer[0].cell.states;
        for (int n = 0; n < 2 * states; n++) {
            const int l = n / states, first = (l * (both ? 2 : 1)) * states + n % states;
            const long half = m->encoder.layer[l].cell.width[n % states], width = both ? 2 * half : half;
            const long out = to->layer[l].cell.width[n % states];
            for (int r = 0; r < 3; r++) {
                memcpy(wide + r * width, final[first] + r * half, (size_t)half * sizeof *wide);
                if (both)
                    memcpy(wide + r * width + half, final[first + states] + r * half, (size_t)half * sizeof *wide);
            }
            ck_assert((m->bridge[n].weight != NULL) == (width != out));
            sp_tensor *x = sp_feed(t, wide, SP_SHAPE(3, width));
            ck_assert(sp_read(m->bridge[n].weight ? sp_linear_on(t, &m->bridge[n], x) : x, wide) && sp_read(e.state[n], state));
            double sum = 0;
            for (long i = 0; i < 3 * out; i++) {
                ck_assert_double_eq_tol((double)state[i], (double)wide[i], WIDE(1e-12, 1e-6));
                sum += fabs((double)state[i]);
            }
            ck_assert_double_gt(sum, 1e-4);
        }
        ck_tape_ok(t);
        sp_tape_free(t);
        sp_seq2seq_free(m);
    }
}
END_TEST

START_TEST(bad_pairs)
{
    static const int id[] = { 3, 4, 99 };
    static const long one[] = { 1, 1 }, minus[] = { 1, -2 };
    static const struct {
        sp_pairs pairs;
        double smoothing, probability;
        const char *error;
    } wrong[] = {
        { { -1, id, id, one, one }, 0, 0, "model: no symbols of pairs, or -1 pairs" },
        { { 1, id, NULL, one, one }, 0, 0, "model: no symbols of pairs, or 1 pairs" },
        { { 2, id, id, one, minus }, 0, 0, "model: pair 1 is of 1 and -2 symbols" },
        { { 2, id, id, minus, one }, 0, 0, "model: pair 1 is of -2 and 1 symbols" },
        { { 1, id, id, one, one }, 1.5, 0, "model: a smoothing of 1.5, expected 0 to 1" },
        { { 1, id, id, one, one }, NAN, 0, "model: a smoothing of nan" },
        { { 1, id, id, one, one }, 0, -1, "model: its own symbols with a probability of -1, expected 0 to 1" },
        { { 1, id + 2, id, one, one }, 0, 0, "99" },
        { { 1, id, id + 2, one, one }, 0, 0, "99" },
    };
    sp_seq2seq *m = new_model(&configs[0], 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        long count = 7;
        sp_tape *t = sp_tape_new(m->store);
        ck_assert(!sp_sound(sp_seq2seq_loss(t, m, &wrong[i].pairs, wrong[i].smoothing, &(sp_own_symbols){ wrong[i].probability, false },
                                            &count)));
        ck_assert_msg(strstr(sp_error(t), wrong[i].error) != NULL, "%s", sp_error(t));
        ck_assert(count == 0 || i > 6);
        sp_tape_free(t);
    }
    sp_tape *t = sp_tape_new(m->store);
    ck_assert(!sp_sound(sp_seq2seq_loss(t, m, NULL, 0, NULL, NULL)));
    ck_assert_str_eq(sp_error(t), "model: no pairs, or 0 pairs");
    sp_tape_free(t);
    sp_seq2seq_free(m);
}
END_TEST

/* Every cell, in one direction and, where its states allow that, in both. */
START_TEST(every_cell)
{
    const sp_translating how = sp_translating_defaults();
    for (int both = 0; both < 2; both++) {
        sp_seq2seq_config config = { WORDS, .cell = sp_cell_kind(_i), .embed = 4, .hidden = 4, .layers = 2, .encoder = both,
                                     .attention = both ? "general" : "none" };
        struct numbered all;
        if (both && !strcmp(config.cell, "mlstm"))
            continue;
        sp_seq2seq *m = new_model(&config, 1);
        number(&all, m, 0, sentences->n);
        ck_assert(isfinite(loss_of(m, &all.pairs, NULL)));
        sp_translations_free(translate(m, texts, TEXTS, &how));
        sp_seq2seq_free(m);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("seq2seq");
    TCase *c = tcase_create("seq2seq");
    int cells = 0;
    while (sp_cell_kind(cells))
        cells++;
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, loss_is_that_of_steps, 0, CONFIGS);
    tcase_add_loop_test(c, counts, 0, CONFIGS);
    tcase_add_loop_test(c, gradient, 0, CONFIGS);
    tcase_add_test(c, own_symbols);
    tcase_add_loop_test(c, greedy_translation, 0, CONFIGS);
    tcase_add_loop_test(c, beams, 0, CONFIGS);
    tcase_add_test(c, limits);
    tcase_add_test(c, watched);
    tcase_add_loop_test(c, rows_change_sources, 0, CONFIGS);
    tcase_add_test(c, bad_use);
    tcase_add_test(c, nothing);
    tcase_add_loop_test(c, bad_config, 0, sizeof bad_configs / sizeof *bad_configs);
    tcase_add_test(c, safe_text);
    tcase_add_loop_test(c, white_space, 0, 3);
    tcase_add_loop_test(c, first_states, 0, cells);
    tcase_add_test(c, bad_pairs);
    tcase_add_loop_test(c, every_cell, 0, cells);
    suite_add_tcase(all, c);
    return all;
}
