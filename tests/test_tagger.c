/* The tagger: its scores against a plain computation, losses, what it learns, its file, sentences of any kind. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/file.h"
#include "autograd/gradcheck.h"
#include "nn/scan.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/hmm.h"
#include "zoo/readers.h"
#include "zoo/tagger_inside.h"

static const char text[] =
    "The\tO\nold\tO\nLondon\tB-LOC\nBridge\tI-LOC\nfell\tO\n\n"
    "Anna\tB-PER\nsees\tO\nAnna\tB-PER\n\n"
    "fell\tO\n\n"
    "old\tO\nAnna\tB-PER\nLee\tI-PER\nlikes\tO\nthe\tO\nold\tO\nbridge\tO\n\n"
    "London\tB-LOC\nfell\tO\n";

static char directory[PATH_ROOM], path[PATH_ROOM + 2];
static sp_sentences *train;

static sp_sentences *parse(const char *lines)
{
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_parse("f", lines, strlen(lines), sp_format_named("columns"), &status);
    ck_assert_msg(s != NULL, "%s", status.message);
    return s;
}

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m", directory);
    train = parse(text);
}

static void end(void)
{
    sp_sentences_free(train);
    remove(path);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

#define SMALL .embed = 6, .least = 1, .letter_embed = 4, .letter_hidden = 3, .hidden = 5
static const sp_tagger_config configs[] = {
    { SMALL, .cell = "lstm", .layers = 1 },
    { SMALL, .cell = "lstm", .layers = 2, .letters = SP_TAGGER_LETTERS_RECURRENT, .dropout = 0.3 },
    { SMALL, .cell = "gru", .layers = 1, .letters = SP_TAGGER_LETTERS_CONV, .word_dropout = 0.4 },
    { SMALL, .cell = "rnn", .layers = 1, .letters = SP_TAGGER_LETTERS_RECURRENT, .crf = true },
    { SMALL, .cell = "lstm", .layers = 2, .letters = SP_TAGGER_LETTERS_CONV, .crf = true, .dropout = 0.2, .word_dropout = 0.1 },
};
enum { CONFIGS = sizeof configs / sizeof *configs };

static sp_tagger *new_model(const sp_tagger_config *config, const sp_sentences *s, uint64_t seed)
{
    sp_status status = { 0 };
    sp_tagger *m = sp_tagger_new(config, s, NULL, seed, &status);
    ck_assert_msg(m != NULL, "%s", status.message);
    return m;
}

static sp_tagger_data *new_data(const sp_tagger *m, const sp_sentences *s)
{
    sp_status status = { 0 };
    sp_tagger_data *d = sp_tagger_data_new(m, s, &status);
    ck_assert_msg(d != NULL, "%s", status.message);
    return d;
}

static sp_tape *evaluating(const sp_tagger *m)
{
    sp_tape *t = sp_tape_new(m->store);
    sp_tape_set_training(t, false);
    return t;
}

/* ---- scores ---------------------------------------------------------------------------------------------------- */

/* A cell step by step over [T,1,w], backwards if so wanted; outputs in the order of x. */
static sp_tensor *unrolled(sp_tape *t, const sp_cell *cell, sp_tensor *const *x, long n, bool reverse)
{
    sp_tensor *state[SP_MAX_STATES], **y = malloc((size_t)n * sizeof *y);
    for (int i = 0; i < cell->states; i++)
        state[i] = sp_full(t, 0, SP_SHAPE(1, cell->width[i]));
    for (long k = 0; k < n; k++) {
        const long at = reverse ? n - 1 - k : k;
        y[at] = cell->step(t, cell->self, x[at], state);
    }
    sp_tensor *all = sp_concat(t, (int)n, y, 0);
    free(y);
    return all;
}

/* What the letters of a word say, [1,w]. */
static sp_tensor *slow_letters(sp_tape *t, const sp_tagger *m, const char *word)
{
    sp_tensor *x[200], *y[200];
    int n = 0;
    size_t at = 0, length;
    const int edge = sp_vocabulary_id(m->letters, SP_TAGGER_EDGE, strlen(SP_TAGGER_EDGE));
    for (const char *c; (c = sp_text_next(word, strlen(word), SP_LEVEL_CHAR, &at, &length)); n++) {
        const int id = sp_vocabulary_id_in_text(m->letters, c, length);
        x[n + 1] = sp_embed_on(t, &m->letter_embed, &id, 1);
    }
    if (m->config.letters == SP_TAGGER_LETTERS_RECURRENT) {
        const sp_stack_layer *l = m->letter_stack.layer;
        sp_tensor *ends[] = { sp_slice(t, unrolled(t, &l->cell, x + 1, n, false), 0, n - 1, n),
                              sp_slice(t, unrolled(t, &l->reverse, x + 1, n, true), 0, 0, 1) };
        return sp_concat(t, 2, ends, 1);
    }
    x[0] = x[n + 1] = sp_embed_on(t, &m->letter_embed, &edge, 1);
    for (int k = 0; k < n; k++)
        y[k] = sp_relu(t, sp_linear_on(t, &m->letter_filters, sp_concat(t, 3, x + k, 1)));
    return sp_reshape(t, sp_max(t, sp_concat(t, n, y, 0), 0), SP_SHAPE(1, m->config.letter_hidden));
}

static sp_tensor *slow_scores(sp_tape *t, const sp_tagger *m, const sp_sentences *s, long i)
{
    const long n = sp_sentence_length(s, 0, i);
    sp_tensor *x[20];
    for (long j = 0; j < n; j++) {
        size_t length;
        const char *word = sp_sentence_word(s, 0, i, j, &length);
        const int id = sp_vocabulary_id_in_text(m->words, word, length);
        x[j] = sp_embed_on(t, &m->word_embed, &id, 1);
        if (m->letters)
            x[j] = sp_concat(t, 2, (sp_tensor *const[]){ x[j], slow_letters(t, m, word) }, 1);
    }
    for (int l = 0; l < m->stack.layers; l++) {
        sp_tensor *both[] = { unrolled(t, &m->stack.layer[l].cell, x, n, false),
                              unrolled(t, &m->stack.layer[l].reverse, x, n, true) };
        sp_tensor *y = sp_concat(t, 2, both, 1);
        for (long j = 0; j < n; j++)
            x[j] = sp_slice(t, y, 0, j, j + 1);
    }
    return sp_linear_on(t, &m->out, sp_concat(t, (int)n, x, 0));
}

/* Sentences in any order, each different word encoded once: as one after the other, word by word, step by step. */
START_TEST(slow_twin)
{
    const long index[] = { 3, 0, 4, 1, 2 };
    sp_tagger *m = new_model(&configs[_i], train, 1);
    sp_tagger_data *d = new_data(m, train);
    sp_tape *t = evaluating(m);
    sp_real fast[20 * 8], slow[20 * 8];
    const long tags = sp_vocabulary_size(m->tags);
    ck_assert_int_eq(tags, 5);
    ck_assert(sp_read(sp_seq_unpack(t, sp_tagger_on(t, m, d, index, 5)), fast));
    long row = 0;
    for (int i = 0; i < 5; i++) {
        const long n = sp_sentence_length(train, 0, index[i]);
        ck_assert(sp_read(slow_scores(t, m, train, index[i]), slow));
        for (long k = 0; k < n * tags; k++)
            ck_assert_double_eq_tol((double)fast[row * tags + k], (double)slow[k], WIDE(1e-12, 1e-5));
        row += n;
    }
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_tagger_data_free(d);
    sp_tagger_free(m);
}
END_TEST

static sp_tensor *loss_of(sp_tape *t, void *self)
{
    const long index[] = { 1, 0, 3 };
    sp_tagger *m = self;
    long count;
    sp_tagger_data *d = new_data(m, train);
    sp_tensor *loss = sp_tagger_loss(t, m, sp_tagger_on(t, m, d, index, 3), d, index, 3, &count);
    ck_assert_int_eq(count, 15);
    sp_tagger_data_free(d);
    return loss;
}

START_TEST(gradient)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    sp_tagger *m = new_model(&configs[_i], train, 3);
    ck_assert_msg(sp_gradcheck(m->store, loss_of, m, 25, &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.1), "%s: backward %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_tagger_free(m);
}
END_TEST

/* Dropout is for training; a word that is dropped is <unk>, and so <unk> learns though no word of the training is unknown. */
START_TEST(dropout_in_training)
{
    sp_real unknown[2];
    for (int drops = 0; drops < 2; drops++) {
        sp_tagger_config config = configs[0];
        config.word_dropout = drops ? 0.5 : 0;
        sp_tagger *m = new_model(&config, train, 3);
        sp_tape *t = sp_tape_new(m->store);
        sp_backward(t, loss_of(t, m));
        unknown[drops] = 0;
        for (long k = 0; k < config.embed; k++)
            unknown[drops] += (sp_real)fabs((double)sp_gradients(t)[m->word_embed.weight->offset + k]);
        sp_tape_reset(t);
        sp_tape_set_training(t, false);
        const sp_real first = sp_item(loss_of(t, m)), again = sp_item(loss_of(t, m));
        ck_assert(first == again);
        ck_tape_ok(t);
        sp_tape_free(t);
        sp_tagger_free(m);
    }
    ck_assert(unknown[0] == 0 && unknown[1] > 0);
}
END_TEST

/* ---- letters --------------------------------------------------------------------------------------------------- */

/* Of long words the first 32 letters and the last 32 count. Each different word is there once. */
START_TEST(long_words)
{
    enum { LONG = 10000 };
    static const struct { int length, at, place; } changes[] = {            /* where the letter is that is changed; -1: nowhere */
        { 1, 0, 0 }, { 64, 31, 31 }, { 64, 32, 32 }, { 65, 31, 31 }, { 65, 32, -1 }, { 65, 33, 32 }, { LONG, 31, 31 },
        { LONG, 32, -1 }, { LONG, LONG - 33, -1 }, { LONG, LONG - 32, 32 }, { LONG, LONG - 1, 63 },
    };
    static char word[LONG];
    const long index[] = { 0 };
    sp_tagger *m = new_model(&configs[1], train, 1);
    const int e = sp_vocabulary_id(m->letters, "e", 1), L = sp_vocabulary_id(m->letters, "L", 1);
    for (size_t k = 0; k < sizeof changes / sizeof *changes; k++) {
        struct sp_tagger_batch b;
        int *letter;
        long *length, count;
        sp_sentences *s = sp_sentences_new(2, NULL);
        for (int i = 0; i < 3; i++) {
            memset(word, 'e', LONG);
            word[changes[k].at] = i == 1 ? 'L' : 'e';
            ck_assert(sp_sentences_put(s, 0, word, (size_t)changes[k].length, NULL) && sp_sentences_put(s, 1, "O", 1, NULL));
        }
        ck_assert(sp_sentences_end(s, NULL));
        sp_tagger_data *d = new_data(m, s);
        sp_tape *t = evaluating(m);
        ck_assert(sp_tagger_gather(t, d, index, 1, &b) && sp_tagger_letters_of(t, d, &b, &letter, &length, &count));
        const long n = changes[k].length < 64 ? changes[k].length : 64;
        ck_assert(b.rows == 3 && b.different == 2 && b.place[0] == b.place[2] && b.place[0] != b.place[1]);
        ck_assert(length[0] == n && length[1] == n && count == 2 * n);
        for (long j = 0; j < n; j++)
            ck_assert(letter[b.place[0] * n + j] == e && letter[b.place[1] * n + j] == (j == changes[k].place ? L : e));
        sp_tape_free(t);
        sp_tagger_data_free(d);
        sp_sentences_free(s);
    }
    sp_tagger_free(m);
}
END_TEST

/* ---- schemes --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *tags;           /* sentences apart by | */
    sp_tag_scheme scheme;
} schemes[] = {
    { "O B-x I-x I-x O|B-y B-x|O", SP_TAG_BIO },
    { "B-x I-x B-x", SP_TAG_BIO },
    { "O I-x", SP_TAG_NONE },                           /* IOB1 */
    { "I-x", SP_TAG_NONE },
    { "B-x I-y", SP_TAG_NONE },
    { "B-x O I-x", SP_TAG_NONE },
    { "B-x|I-x", SP_TAG_NONE },
    { "B-x E-x O S-y B-x I-x E-x", SP_TAG_IOBES },
    { "O S-x", SP_TAG_IOBES },
    { "B-x E-x|O B-x", SP_TAG_NONE },                   /* not closed */
    { "S-x I-x", SP_TAG_NONE },
    { "B-x S-x", SP_TAG_NONE },
    { "B-x E-y", SP_TAG_NONE },
    { "O O", SP_TAG_NONE },
    { "NOUN O", SP_TAG_NONE },
    { "B I O", SP_TAG_NONE },
    { "B- I- O", SP_TAG_BIO },
    { "X-x O", SP_TAG_NONE },
};

static sp_sentences *tagged(const char *tags)
{
    char copy[200], *sentence = copy;
    sp_sentences *s = sp_sentences_new(2, NULL);
    strcpy(copy, tags);
    for (char *next; sentence; sentence = next) {
        if ((next = strchr(sentence, '|')))
            *next++ = '\0';
        ck_assert(sp_sentences_put_text(s, 0, sentence, strlen(sentence), SP_LEVEL_WORD, NULL)
                  && sp_sentences_put_text(s, 1, sentence, strlen(sentence), SP_LEVEL_WORD, NULL) && sp_sentences_end(s, NULL));
    }
    return s;
}

START_TEST(scheme_of_tags)
{
    sp_sentences *s = tagged(schemes[_i].tags);
    ck_assert_int_eq(sp_tags_scheme(s), schemes[_i].scheme);
    sp_sentences_free(s);
}
END_TEST

/* A CRF gives no sequence that the scheme rules out, whatever the scores; and all others. */
START_TEST(impossible_transitions)
{
    enum { WORDS = 300 };
    static const char *const learnt[] = { "O B-x I-x O|B-y I-y", "O B-x I-x E-x S-x|S-y B-y E-y I-y", "NOUN VERB|DET" };
    sp_sentences *s = tagged(learnt[_i]);
    sp_tagger_config config = configs[3];
    config.embed = 30;
    sp_tagger *m = new_model(&config, s, 5);
    ck_assert_int_eq(m->scheme, _i == 0 ? SP_TAG_BIO : SP_TAG_NONE);
    sp_sentences_free(s);
    sp_sentences *x = sp_sentences_new(1, NULL);
    for (int i = 0; i < WORDS; i++)
        ck_assert(sp_sentences_put(x, 0, &"abcdefghijklmnop"[i * i % 17 % 16], 1, NULL) && (i % 7 || sp_sentences_end(x, NULL)));
    for (long k = 0; k < sp_shape_size(m->out.weight->shape); k++)
        sp_param_values(m->out.weight)[k] *= 20;
    sp_sentences *y = sp_tagger_tag(m, x, NULL);
    ck_assert(y && y->n == x->n);
    if (m->scheme)
        ck_assert_int_eq(sp_tags_scheme(y), m->scheme);
    sp_sentences_free(x);
    sp_sentences_free(y);
    sp_tagger_free(m);
}
END_TEST

/* What an IOBES model forbids, of all pairs. */
START_TEST(iobes_transitions)
{
    static const char *const tag[] = { NULL, "O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y" };
    sp_sentences *s = tagged("O B-x I-x E-x S-x|S-y B-y I-y E-y");
    sp_tagger *m = new_model(&configs[3], s, 5);
    const long n = sp_vocabulary_size(m->tags);
    ck_assert_int_eq(m->scheme, SP_TAG_IOBES);
    ck_assert_int_eq(n, 9);
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            const char *a = tag[i], *b = tag[j];
            const bool open = a && strchr("BI", *a), on = b && strchr("IE", *b);
            const bool may = open ? on && a[2] == b[2] : !on;
            const long from = a ? sp_vocabulary_id(m->tags, a, strlen(a)) : n, to = b ? sp_vocabulary_id(m->tags, b, strlen(b)) : n;
            if (a || b)
                ck_assert_msg(m->crf.forbidden[from * (n + 1) + to] == !may, "%s to %s", a ? a : "-", b ? b : "-");
        }
    sp_tagger_free(m);
    sp_sentences_free(s);
}
END_TEST

/* ---- tags and scores by hand ----------------------------------------------------------------------------------- */

START_TEST(baseline_and_scores)
{
    sp_sentences *more = parse("fell\tX\n\nfell\tX\n\nAnna\tO\n"), *s = parse("fell\tB-LOC\nAnna\tB-PER\nnobody\tO\nanna\tO\n");
    sp_sentences *y = sp_tags_most_frequent(train, s, NULL);
    long right, words;
    ck_assert_str_eq(sp_sentence_word(y, 1, 0, 0, NULL), "O");
    ck_assert_str_eq(sp_sentence_word(y, 1, 0, 1, NULL), "B-PER");
    ck_assert_str_eq(sp_sentence_word(y, 1, 0, 2, NULL), "O");         /* never met: the most frequent tag */
    ck_assert_str_eq(sp_sentence_word(y, 1, 0, 3, NULL), "O");
    ck_assert(sp_tags_accuracy(s, y, &right, &words) == 0.75 && right == 3 && words == 4);
    ck_assert(isnan(sp_tags_accuracy(s, more, NULL, NULL)) && isnan(sp_tags_accuracy(NULL, s, NULL, NULL)));
    sp_status status = { 0 };
    ck_assert(!sp_tags_spans(s, more, &status));
    ck_assert_str_eq(status.message, "spans: these are not tags of the same sentences");
    sp_spans *spans = sp_tags_spans(s, y, NULL);
    ck_assert(sp_spans_total(spans).right == 1 && sp_spans_total(spans).truth == 2);
    sp_spans_free(spans);
    sp_sentences_free(y);
    sp_sentences_free(s);
    sp_sentences_free(more);
}
END_TEST

/* The loss of one sentence; NAN if nothing counts. */
static double loss_on(const sp_tagger *m, const sp_sentences *s, const long *index, long n, long *count)
{
    sp_tagger_data *d = new_data(m, s);
    sp_tape *t = evaluating(m);
    sp_tensor *loss = sp_tagger_loss(t, m, sp_tagger_on(t, m, d, index, n), d, index, n, count);
    ck_tape_ok(t);
    const double x = loss ? (double)sp_item(loss) : NAN;
    sp_tape_free(t);
    sp_tagger_data_free(d);
    return x;
}

/* Tags that are not known, and with a CRF sequences that cannot be, count for nothing: the mean is that of the rest. */
START_TEST(what_counts)
{
    const long all[] = { 0, 1, 2, 3 };
    long count, one[2];
    sp_sentences *s = parse("old\tO\nLee\tB-PER\n\nold\tWHAT\nLee\tO\n\nLee\tI-PER\n\nAnna\tB-PER\nsees\tO\nLee\tB-LOC\n");
    sp_tagger *m = new_model(&configs[_i ? 3 : 0], train, 1);
    const double mean = loss_on(m, s, all, 4, &count);
    const double a = loss_on(m, s, all, 1, &one[0]), d = loss_on(m, s, all + 3, 1, &one[1]);
    ck_assert(one[0] == 2 && one[1] == 3);
    if (_i) {
        ck_assert_int_eq(count, 5);
        ck_assert_double_eq_tol(mean, (2 * a + 3 * d) / 5, WIDE(1e-12, 1e-5));
        ck_assert(isnan(loss_on(m, s, all + 1, 2, &count)) && count == 0);
    } else {
        long b_count, c_count;
        const double b = loss_on(m, s, all + 1, 1, &b_count), c = loss_on(m, s, all + 2, 1, &c_count);
        ck_assert(count == 7 && b_count == 1 && c_count == 1);
        ck_assert_double_eq_tol(mean, (2 * a + b + c + 3 * d) / 7, WIDE(1e-12, 1e-5));
    }
    sp_tagger_free(m);
    sp_sentences_free(s);
}
END_TEST

/* Where a scheme closes its spans, an end within one cannot be. */
START_TEST(open_end)
{
    long count;
    const long index[] = { 0, 1 };
    sp_sentences *s = tagged("O B-x E-x|S-x"), *open = tagged("O B-x|S-x");
    sp_tagger *m = new_model(&configs[3], s, 1);
    ck_assert(isnan(loss_on(m, open, index, 1, &count)) && count == 0);
    ck_assert(isfinite(loss_on(m, open, index, 2, &count)) && count == 1);
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_sentences_free(open);
}
END_TEST

/* The tags are those of the highest scores; a batch of any sentences has those that each has alone. */
START_TEST(tags_of_scores)
{
    sp_hmm *grammar = sp_hmm_english(NULL);
    sp_sentences *s = sp_hmm_sentences(grammar, 150, 1, NULL);
    sp_tagger *m = new_model(&configs[_i], s, 1);
    sp_tagger_data *d = new_data(m, s);
    sp_sentences *y = sp_tagger_tag(m, s, NULL);
    sp_tape *t = evaluating(m);
    int *tag = malloc((size_t)s->field[0].strings * sizeof *tag);
    sp_real x[100 * 9];
    ck_assert(y && y->n == s->n && tag);
    for (long i = 0; i < s->n; i++) {
        sp_tape_reset(t);
        const long n = sp_sentence_length(s, 0, i);
        const sp_seq scores = sp_tagger_on(t, m, d, &i, 1);
        ck_assert(sp_tagger_decode(t, m, scores, d, &i, 1, tag) && n < 100 && sp_read(sp_seq_unpack(t, scores), x));
        ck_assert_int_eq(sp_sentence_length(y, 1, i), n);
        for (long j = 0; j < n; j++) {
            const int best = tag[s->field[0].first[i] + j];
            ck_assert_str_eq(sp_sentence_word(y, 0, i, j, NULL), sp_sentence_word(s, 0, i, j, NULL));
            ck_assert_str_eq(sp_sentence_word(y, 1, i, j, NULL), sp_vocabulary_symbol(m->tags, best, &(size_t){ 0 }));
            for (int k = 0; k < 9 && !m->config.crf; k++)
                ck_assert(x[j * 9 + best] >= x[j * 9 + k]);
        }
    }
    free(tag);
    sp_tape_free(t);
    sp_tagger_data_free(d);
    sp_sentences_free(y);
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_hmm_free(grammar);
}
END_TEST

/* ---- learning -------------------------------------------------------------------------------------------------- */

static const sp_tagger_config learners[] = {
    { .cell = "lstm", .embed = 16, .hidden = 16, .layers = 1 },
    { .cell = "gru", .embed = 16, .hidden = 16, .layers = 1, .least = 1, .crf = true, .letters = SP_TAGGER_LETTERS_CONV,
      .letter_embed = 6, .letter_hidden = 8 },
};

/* From a little grammar, beyond what the words alone say and near to what can be known at all. */
START_TEST(learns)
{
    sp_status status = { 0 };
    sp_hmm_optimum best;
    sp_training x;
    sp_hmm *grammar = sp_hmm_english(NULL);
    sp_sentences *s = sp_hmm_sentences(grammar, 1500, 1, NULL), *valid = sp_hmm_sentences(grammar, 300, 2, NULL);
    sp_sentences *plain = sp_tags_most_frequent(s, valid, NULL);
    ck_assert(sp_hmm_best(grammar, valid, &best, NULL));
    sp_tagger *m = new_model(&learners[_i], s, 1);
    sp_tagger_trainer *r = sp_tagger_trainer_new(m, s, valid, 16, 1, path, &status);
    ck_assert_msg(r != NULL, "%s", status.message);
    const sp_task task = sp_tagger_trainer_task(r);
    ck_assert_str_eq(task.metric, "accuracy");
    const sp_trainer_config how = { .optimizer = "adam", .lr = 1e-2, .clip = 5, .epochs = 6, .schedule = "linear", .threads = 1,
                                    .metric = "accuracy" };
    ck_assert_msg(sp_train(&task, &how, &x, &status), "%s", status.message);
    const double baseline = sp_tags_accuracy(valid, plain, NULL, NULL);
    ck_assert_msg(x.best_metric > best.accuracy - 0.012 && x.best_metric > baseline + 0.05,
                  "%.4f, best possible %.4f, baseline %.4f", x.best_metric, best.accuracy, baseline);
    sp_tagger *back = sp_tagger_load(path, &status);            /* the best one is in the file, and what was measured is so */
    ck_assert_msg(back != NULL, "%s", status.message);
    sp_sentences *y = sp_tagger_tag(back, valid, NULL);
    ck_assert_double_eq_tol(sp_tags_accuracy(valid, y, NULL, NULL), x.best_metric, 1e-3);
    sp_sentences_free(y);
    sp_tagger_free(back);
    sp_tagger_trainer_free(r);
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_sentences_free(valid);
    sp_sentences_free(plain);
    sp_hmm_free(grammar);
}
END_TEST

/* Spans are measured by their F1, which is 1 when all is learnt by heart. */
START_TEST(learns_spans)
{
    sp_status status = { 0 };
    sp_training x;
    sp_tagger_config config = configs[_i ? 3 : 0];
    config.hidden = 16;
    sp_tagger *m = new_model(&config, train, 1);
    sp_tagger_trainer *r = sp_tagger_trainer_new(m, train, train, 2, 1, path, &status);
    const sp_task task = sp_tagger_trainer_task(r);
    ck_assert_str_eq(task.metric, "f1");
    const sp_trainer_config how = { .optimizer = "adam", .lr = 2e-2, .clip = 5, .epochs = 100, .threads = 1, .metric = "f1" };
    ck_assert_msg(sp_train(&task, &how, &x, &status), "%s", status.message);
    ck_assert_msg(x.best_metric == 1 && x.valid_loss < 0.05, "F1 %g, loss %g", x.best_metric, x.valid_loss);
    sp_sentences *y = sp_tagger_tag(m, train, NULL);
    ck_assert(sp_tags_accuracy(train, y, NULL, NULL) == 1);
    sp_sentences_free(y);
    sp_tagger_trainer_free(r);
    sp_tagger_free(m);
}
END_TEST

/* Trains on grammatical sentences; the bytes of the model. */
static char *trained(long threads, const char *checkpoint, long epochs, bool resume, size_t *size)
{
    sp_status status = { 0 };
    sp_training x;
    sp_hmm *grammar = sp_hmm_english(NULL);
    sp_sentences *s = sp_hmm_sentences(grammar, 70, 1, NULL), *valid = sp_hmm_sentences(grammar, 40, 2, NULL);
    sp_tagger *m = new_model(&configs[4], s, 1);
    sp_tagger_trainer *r = sp_tagger_trainer_new(m, s, valid, 32, 1, path, &status);
    const sp_task task = sp_tagger_trainer_task(r);
    const sp_trainer_config how = { .optimizer = "adam", .lr = 1e-2, .clip = 5, .epochs = epochs, .threads = threads, .seed = 3,
                                    .metric = "accuracy", .checkpoint = checkpoint, .resume = resume };
    ck_assert_int_eq(task.shards, 2);
    ck_assert_msg(sp_train(&task, &how, &x, &status), "%s", status.message);
    ck_assert_msg(sp_tagger_save(m, path, &status), "%s", status.message);
    sp_tagger_trainer_free(r);
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_sentences_free(valid);
    sp_hmm_free(grammar);
    return sp_file_read(path, size, NULL);
}

/* One thread or two, at once or in two runs: the same bits. */
START_TEST(same_bits)
{
    size_t size[3];
    char check[PATH_ROOM + 8], old[PATH_ROOM + 16];
    snprintf(check, sizeof check, "%s/c", directory);
    snprintf(old, sizeof old, "%s.old", check);
    char *one = trained(1, NULL, 4, false, &size[0]), *two = trained(2, NULL, 4, false, &size[1]);
    free(trained(1, check, 2, false, &size[2]));
    char *resumed = trained(1, check, 4, true, &size[2]);
    ck_assert(size[0] == size[1] && !memcmp(one, two, size[0]));
    ck_assert(size[0] == size[2] && !memcmp(one, resumed, size[0]));
    free(one);
    free(two);
    free(resumed);
    remove(check);
    remove(old);
}
END_TEST

/* Training goes on from the word vectors that it began with. */
START_TEST(resumed_with_other_vectors)
{
    char check[PATH_ROOM + 8], old[PATH_ROOM + 16];
    sp_status status = { 0 };
    sp_training x;
    sp_hmm *grammar = sp_hmm_english(NULL);
    sp_sentences *s = sp_hmm_sentences(grammar, 10, 1, NULL);
    snprintf(check, sizeof check, "%s/c", directory);
    snprintf(old, sizeof old, "%s.old", check);
    for (int i = 0; i < 3; i++) {
        sp_tagger *m = new_model(&configs[4], s, 1);
        sp_param_values(sp_store_find(m->store, "words.weight"))[5] += (sp_real)(i / 2);
        sp_tagger_trainer *r = sp_tagger_trainer_new(m, s, s, 32, 1, path, &status);
        const sp_task task = sp_tagger_trainer_task(r);
        const sp_trainer_config how = { .optimizer = "adam", .lr = 1e-2, .epochs = i + 1, .threads = 1, .checkpoint = check,
                                        .resume = true };
        ck_assert_msg(sp_train(&task, &how, &x, &status) == (i < 2), "run %d: %s", i, status.message);
        sp_tagger_trainer_free(r);
        sp_tagger_free(m);
    }
    ck_assert_msg(strstr(status.message, "is of another training: initial word vectors is "), "%s", status.message);
    sp_sentences_free(s);
    sp_hmm_free(grammar);
    remove(check);
    remove(old);
}
END_TEST

/* ---- sentences of any kind ------------------------------------------------------------------------------------- */

START_TEST(odd_sentences)
{
    enum { LONG = 10000 };
    static const char *const word[] = { "Anna", "\xFF\xFE", "Ж" };
    sp_status status = { 0 };
    sp_tagger *m = new_model(&configs[_i], train, 1);
    sp_sentences *s = sp_sentences_new(2, NULL);
    ck_assert(sp_sentences_end(s, NULL));                               /* empty */
    for (int i = 0; i < LONG; i++)
        ck_assert(sp_sentences_put(s, 0, word[i % 3], strlen(word[i % 3]), NULL)
                  && sp_sentences_put(s, 1, "O", 1, NULL));
    ck_assert(sp_sentences_end(s, NULL) && sp_sentences_end(s, NULL));
    ck_assert(sp_sentences_put(s, 0, "x", 1, NULL) && sp_sentences_put(s, 1, "O", 1, NULL) && sp_sentences_end(s, NULL));
    sp_sentences *y = sp_tagger_tag(m, s, &status);
    ck_assert_msg(y != NULL, "%s", status.message);
    ck_assert(y->n == 4 && sp_sentence_length(y, 1, 0) == 0 && sp_sentence_length(y, 1, 1) == LONG
              && sp_sentence_length(y, 1, 3) == 1);
    sp_sentences_free(y);
    sp_tagger_trainer *r = sp_tagger_trainer_new(m, s, s, 4, 1, path, &status);
    sp_training x;
    const sp_task task = sp_tagger_trainer_task(r);
    const sp_trainer_config how = { .optimizer = "adam", .lr = 1e-3, .epochs = 1 };
    ck_assert_msg(sp_train(&task, &how, &x, &status) && isfinite(x.valid_loss), "%s", status.message);
    sp_tagger_trainer_free(r);
    sp_sentences_free(s);
    s = sp_sentences_new(1, NULL);                                      /* none at all */
    y = sp_tagger_tag(m, s, &status);
    ck_assert(y && y->n == 0);
    sp_sentences_free(y);
    sp_sentences_free(s);
    sp_tagger_free(m);
}
END_TEST

/* ---- word vectors ---------------------------------------------------------------------------------------------- */

START_TEST(vectors)
{
    sp_status status = { 0 };
    sp_tagger_config config = configs[0];
    config.embed = 2;
    config.vectors = 2;
    static const char lines[] = "paris 1 2\nold 3 4\nRome 5 6\nanna 7 8\n";
    ck_put_file(path, lines, sizeof lines - 1);
    sp_tagger *m = sp_tagger_new(&config, train, path, 1, &status);
    ck_assert_msg(m != NULL, "%s", status.message);
    const int paris = sp_vocabulary_id(m->words, "Paris", 5), anna = sp_vocabulary_id(m->words, "Anna", 4);
    ck_assert(paris > 0 && anna > 0 && sp_vocabulary_id(m->words, "rome", 4) == SP_UNKNOWN && m->found == 3);
    const sp_real *w = sp_param_read(m->word_embed.weight);
    ck_assert((double)w[2 * paris] == 1 && (double)w[2 * anna + 1] == 8);
    sp_tagger_free(m);
    m = new_model(&config, train, 1);
    ck_assert(m->found == -1);
    sp_tagger_free(m);
    config.embed = 3;
    ck_assert(!sp_tagger_new(&config, train, path, 1, &status));
    ck_assert_msg(strstr(status.message, ":1: 2 numbers, expected 3"), "%s", status.message);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static const struct {
    sp_tagger_config config;
    const char *error;
} wrong_configs[] = {
    { { SMALL, .cell = "lsdm", .layers = 1 }, "cell lsdm: expected one of rnn|" },
    { { SMALL, .cell = "lstm", .layers = 0 }, "layers 0: expected a whole number from 1 to 1000" },
    { { SMALL, .cell = "lstm", .layers = LONG_MAX }, "layers 9223372036854775807: expected a whole number from 1 to 1000" },
    { { .embed = 70000, .hidden = 2, .cell = "lstm", .layers = 1 }, "embed 70000: expected a whole number from 1 to 65536" },
    { { .embed = 2, .hidden = 2, .cell = "lstm", .layers = 1, .letters = SP_TAGGER_LETTERS_CONV, .letter_embed = LONG_MAX / 2,
        .letter_hidden = 3 }, "letter-embed 4611686018427387903: expected" },
    { { .embed = 0, .hidden = 2, .cell = "lstm", .layers = 1 }, "embed 0: expected a whole number from 1 to 65536" },
    { { .embed = 2, .hidden = -2, .cell = "lstm", .layers = 1 }, "hidden -2: expected a whole" },
    { { SMALL, .cell = "lstm", .layers = 1, .dropout = 1 }, "dropout 1: expected a number from 0 to 0.99" },
    { { SMALL, .cell = "lstm", .layers = 1, .word_dropout = 1 }, "word-dropout 1: expected a number from 0 to 0.99" },
    { { SMALL, .cell = "lstm", .layers = 1, .word_dropout = NAN }, "word-dropout nan: expected a number from 0 to 0.99" },
    { { SMALL, .cell = "lstm", .layers = 1, .letters = (sp_tagger_letters)3 }, "letters 3: expected one of none|recurrent|conv" },
    { { .embed = 2, .hidden = 2, .cell = "lstm", .layers = 1, .letters = SP_TAGGER_LETTERS_CONV, .letter_hidden = 3 },
      "letter-embed 0: expected a whole number from 1 to 65536" },
};

START_TEST(bad_config)
{
    sp_status status = { 0 };
    ck_assert_ptr_null(sp_tagger_new(&wrong_configs[_i].config, train, NULL, 1, &status));
    ck_assert_msg(strstr(status.message, wrong_configs[_i].error), "%s", status.message);
}
END_TEST

START_TEST(bad_use)
{
    sp_status status = { 0 };
    sp_tagger *m = new_model(&configs[0], train, 1);
    sp_sentences *s = sp_sentences_new(2, NULL), *words = sp_sentences_new(1, NULL);
    ck_assert(!sp_tagger_new(&configs[0], s, NULL, 1, &status));
    ck_assert_str_eq(status.message, "tagger: no sentences with tags to learn from");
    status = (sp_status){ 0 };
    ck_assert(!sp_tagger_trainer_new(m, train, s, 2, 1, path, &status));
    ck_assert_str_eq(status.message, "tagger: no sentences to validate on");
    ck_assert(sp_sentences_put_text(s, 0, "a b c", 5, SP_LEVEL_WORD, NULL) && sp_sentences_put_text(s, 1, "O O", 3, SP_LEVEL_WORD, NULL)
              && sp_sentences_end(s, NULL));
    status = (sp_status){ 0 };
    ck_assert(!sp_tagger_data_new(m, s, &status));
    ck_assert_str_eq(status.message, "tagger: sentence 1 has 3 words and 2 tags");
    status = (sp_status){ 0 };
    ck_assert(!sp_tagger_trainer_new(m, s, train, 2, 1, path, &status) && status.code == SP_ERR_VALUE);
    status = (sp_status){ 0 };
    ck_assert(!sp_tagger_trainer_new(m, train, train, 0, 1, path, &status));
    ck_assert_str_eq(status.message, "batches: 5 sentences in batches of 0");
    status = (sp_status){ 0 };
    ck_assert(!sp_tagger_new(NULL, train, NULL, 1, &status) && !sp_tagger_tag(m, NULL, NULL) && !sp_tagger_tag(NULL, s, NULL));
    const long index[] = { 0, 5 };
    long count;
    int tag[20];
    sp_tagger_data *d = new_data(m, train);
    sp_tape *t = sp_tape_new(m->store);
    sp_tagger_on(t, m, d, index, 2);
    ck_assert_str_eq(sp_error(t), "tagger: there is no sentence 5 among 5, counted from 0");
    sp_tape_clear(t);
    sp_tape_reset(t);
    const sp_seq one = sp_tagger_on(t, m, d, index, 1);
    ck_assert(!sp_tagger_decode(t, m, one, d, (const long[]){ 0, 1 }, 2, tag));
    ck_assert_str_eq(sp_error(t), "tagger: scores of 5 tags for 5 words, not of 5 for 8");
    ck_assert(sp_tagger_loss(t, m, one, d, index, 1, &count) && count == 0);
    sp_tape_free(t);
    sp_tagger_data_free(d);
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_sentences_free(words);
}
END_TEST

/* Scores are those of the sentences: neither loss nor tags look beyond them. */
START_TEST(other_scores)
{
    static const long bad[][2] = { { 0, 1000000 }, { 0, 5 }, { 0, -1 }, { LONG_MIN, 0 } };
    long count;
    int tag[20];
    sp_tagger *m = new_model(&configs[_i ? 3 : 0], train, 1);
    sp_tagger_data *d = new_data(m, train);
    sp_tape *t = sp_tape_new(m->store);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        for (int decode = 0; decode < 2; decode++) {
            const sp_seq one = sp_tagger_on(t, m, d, (const long[]){ 0 }, 1);
            const bool ok = decode ? sp_tagger_decode(t, m, one, d, bad[k], 2, tag) : !sp_tagger_loss(t, m, one, d, bad[k], 2, &count);
            ck_assert(!ok);
            ck_assert_msg(strstr(sp_error(t), "tagger: there is no sentence "), "%s", sp_error(t));
            sp_tape_clear(t);
            sp_tape_reset(t);
        }
    ck_assert(!sp_tagger_decode(t, m, (sp_seq){ 0 }, d, (const long[]){ 0 }, 1, tag));
    ck_assert_str_eq(sp_error(t), "tagger: scores of 0 tags for 0 words, not of 5 for 5");
    sp_tape_clear(t);
    sp_tape_reset(t);
    ck_assert(!sp_tagger_decode(t, m, sp_tagger_on(t, m, d, (const long[]){ 0 }, 1), d, (const long[]){ 0 }, -1, tag));
    ck_assert_str_eq(sp_error(t), "tagger: -1 sentences");
    sp_tape_clear(t);
    sp_tape_reset(t);
    const sp_seq h = sp_tagger_on(t, m, d, (const long[]){ 0 }, 1);
    ck_assert(!sp_tagger_decode(t, m, sp_seq_like(h, sp_slice(t, h.rows, 1, 0, 4)), d, (const long[]){ 0 }, 1, tag));
    ck_assert_str_eq(sp_error(t), "tagger: scores of 4 tags for 5 words, not of 5 for 5");
    sp_tape_free(t);
    sp_tagger_data_free(d);
    sp_tagger_free(m);
}
END_TEST

/* Three words and two tags, or sentences to validate on of which none counts: errors before anything is done. */
START_TEST(nothing_to_learn)
{
    static const char *const said[] = {
        "tagger: of the 2 sentences to validate on with 3 words, 0 words have a tag that the model knows",
        "tagger: none of the 2 sentences to validate on has only known tags in an order that can be: of 3 words 1 have one",
    };
    sp_status status = { 0 };
    sp_sentences *odd = sp_sentences_new(2, NULL), *other = parse(_i ? "fell\tI-LOC\n\na\tX\nb\tY\n" : "fell\tVERB\n\na\tX\nb\tY\n");
    ck_assert(sp_sentences_put_text(odd, 0, "a b c", 5, SP_LEVEL_WORD, NULL) && sp_sentences_put_text(odd, 1, "O O", 3, SP_LEVEL_WORD, NULL)
              && sp_sentences_end(odd, NULL));
    ck_assert(!sp_tagger_new(&configs[0], odd, NULL, 1, &status));
    ck_assert_str_eq(status.message, "tagger: sentence 1 has 3 words and 2 tags");
    status = (sp_status){ 0 };
    ck_assert(!sp_tags_most_frequent(odd, train, &status));
    ck_assert_str_eq(status.message, "tagger: sentence 1 has 3 words and 2 tags");
    status = (sp_status){ 0 };
    ck_assert(!sp_tags_most_frequent(train, NULL, &status));
    ck_assert_str_eq(status.message, "baseline: no sentences to tag");
    status = (sp_status){ 0 };
    ck_assert(!sp_tags_most_frequent(NULL, train, &status));
    ck_assert_str_eq(status.message, "baseline: no sentences to learn from");
    ck_assert(isnan(sp_tags_accuracy(odd, odd, NULL, NULL)));
    sp_tagger *m = new_model(&configs[_i ? 3 : 0], train, 1);
    status = (sp_status){ 0 };
    ck_assert(!sp_tagger_trainer_new(m, train, other, 2, 1, path, &status));
    ck_assert_str_eq(status.message, said[_i]);
    sp_tagger_free(m);
    sp_sentences_free(other);
    sp_sentences_free(odd);
}
END_TEST

/* Where the scheme has no sequence of a length the sentence still gets tags, and the others of its batch those that they have
   without it. */
START_TEST(no_path)
{
    sp_status status = { 0 };
    sp_sentences *s = tagged(_i ? "B-x E-x|B-x E-x B-x E-x" : "B-x E-x|B-x I-x E-x");
    sp_tagger *m = new_model(&configs[3], s, 5);
    ck_assert_int_eq(m->scheme, SP_TAG_IOBES);
    sp_sentences *x = parse("one\tO\n\na\tO\nb\tO\n\na\tO\nb\tO\nc\tO\n"), *two = parse("a\tO\nb\tO\n");
    sp_sentences *y = sp_tagger_tag(m, x, &status), *alone = sp_tagger_tag(m, two, &status);
    ck_assert_msg(y && alone, "%s", status.message);
    for (long i = 0; i < 3; i++)
        ck_assert_int_eq(sp_sentence_length(y, 1, i), i + 1);
    for (long j = 0; j < 2; j++)
        ck_assert_str_eq(sp_sentence_word(y, 1, 1, j, NULL), sp_sentence_word(alone, 1, 0, j, NULL));
    ck_assert_str_eq(sp_sentence_word(alone, 1, 0, 0, NULL), "B-x");
    ck_assert_str_eq(sp_sentence_word(alone, 1, 0, 1, NULL), "E-x");
    if (!_i) {
        ck_assert_str_eq(sp_sentence_word(y, 1, 2, 0, NULL), "B-x");
        ck_assert_str_eq(sp_sentence_word(y, 1, 2, 1, NULL), "I-x");
    }
    const long index[] = { 0 };                                 /* what no sequence is allowed for: the best of all, here of one step */
    const int best = sp_vocabulary_id(m->tags, "E-x", 3);
    for (int k = 0; k < sp_vocabulary_size(m->tags); k++)
        sp_param_values(m->out.bias)[k] = k == best ? 100 : 0;
    sp_tagger_data *d = new_data(m, x);
    sp_tape *t = evaluating(m);
    int tag[6];
    ck_assert(sp_tagger_decode(t, m, sp_tagger_on(t, m, d, index, 1), d, index, 1, tag) && tag[0] == best);
    sp_tape_free(t);
    sp_tagger_data_free(d);
    sp_sentences_free(x);
    sp_sentences_free(two);
    sp_sentences_free(y);
    sp_sentences_free(alone);
    sp_tagger_free(m);
    sp_sentences_free(s);
}
END_TEST

/* ---- what no score shows --------------------------------------------------------------------------------------- */

/* Scores become the first outputs of the stack. */
static void show_stack(const sp_tagger *m)
{
    const long tags = sp_vocabulary_size(m->tags), width = sp_stack_out(&m->stack);
    for (long i = 0; i < tags; i++) {
        sp_param_values(m->out.bias)[i] = 0;
        for (long j = 0; j < width; j++)
            sp_param_values(m->out.weight)[i * width + j] = i == j;
    }
}

/* One mask for a sentence before the stack and one behind it: of a sentence of one word, whose vector is one number, each output
   is that for nothing read or for the number doubled, and is 0 or doubled. Not so in evaluation. */
START_TEST(where_dropout_is)
{
    enum { N = 64, WORDS = 3 };
    const sp_tagger_config config = { .embed = 1, .hidden = 3, .cell = "rnn", .layers = 1, .dropout = 0.5 };
    sp_sentences *s = sp_sentences_new(2, NULL);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < WORDS; j++)
            ck_assert(sp_sentences_put(s, 0, "a", 1, NULL) && sp_sentences_put(s, 1, j ? "X" : "Y", 1, NULL));
        ck_assert(sp_sentences_end(s, NULL));
    }
    sp_tagger *m = new_model(&config, s, 1);
    sp_tagger_data *d = new_data(m, s);
    ck_assert(m->stack.variational && (double)m->stack.dropout == 0.5);
    show_stack(m);
    sp_tape *t = sp_tape_new(m->store);
    long index[N], kept = 0, read = 0;
    sp_real with[WORDS * 2], without[WORDS * 2], x[N * WORDS * 2];
    for (int i = 0; i < N; i++)
        index[i] = i;
    sp_real *w = sp_param_values(m->word_embed.weight) + sp_vocabulary_id(m->words, "a", 1), was = *w;
    sp_tape_set_training(t, false);
    for (int k = 0; k < 2; k++) {
        *w = k ? 2 * was : 0;
        sp_tape_reset(t);
        ck_assert(sp_read(sp_seq_unpack(t, sp_tagger_on(t, m, d, index, 1)), k ? with : without));
    }
    *w = was;
    sp_tape_set_training(t, true);
    sp_tape_reset(t);
    ck_assert(sp_read(sp_seq_unpack(t, sp_tagger_on(t, m, d, index, N)), x));
    for (int i = 0; i < N; i++)
        for (int c = 0; c < 2; c++) {
            const sp_real *a = x + i * WORDS * 2 + c;
            if (a[0] == 0) {
                for (int j = 0; j < WORDS; j++)
                    ck_assert(a[2 * j] == 0);
                continue;
            }
            const bool seen = fabs((double)(a[0] - 2 * with[c])) < 1e-5;
            for (int j = 0; j < WORDS; j++)
                ck_assert_double_eq_tol((double)a[2 * j], 2 * (double)(seen ? with : without)[2 * j + c], 1e-5);
            kept++;
            read += seen;
        }
    ck_assert_msg(kept > 40 && kept < 88 && read > kept / 4 && read < 3 * kept / 4, "%ld kept, %ld of them read", kept, read);
    sp_tape_free(t);
    sp_tagger_data_free(d);
    sp_tagger_free(m);
    sp_sentences_free(s);
}
END_TEST

/* Letters met fewer times are unknown too. */
START_TEST(rare_letters)
{
    for (long least = 1; least < 3; least++) {
        sp_tagger_config config = configs[1];
        config.least = least;
        sp_tagger *m = new_model(&config, train, 1);
        ck_assert((sp_vocabulary_id(m->letters, "k", 1) != SP_UNKNOWN) == (least == 1));        /* "likes" */
        ck_assert(sp_vocabulary_id(m->letters, "L", 1) != SP_UNKNOWN && sp_vocabulary_id(m->letters, SP_TAGGER_EDGE, 6) > SP_UNKNOWN);
        sp_tagger_free(m);
    }
}
END_TEST

START_TEST(are_spans)
{
    static const struct { const char *tags; bool spans; } cases[] = {
        { "O", false }, { "O B-x", true }, { "B-x I-x", true }, { "NOUN O B-x", false }, { "S-x O", true }, { "B O", false },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const sp_vocabulary_rule rule = { .level = SP_LEVEL_WORD, .closed = true };
        sp_sentences *s = tagged(cases[k].tags);
        sp_vocabulary *v = sp_vocabulary_of_field(s, 1, &rule, NULL);
        ck_assert_msg(sp_tags_are_spans(v) == cases[k].spans, "%s", cases[k].tags);
        sp_vocabulary_free(v);
        sp_sentences_free(s);
    }
    ck_assert(!sp_tags_are_spans(NULL));
}
END_TEST

/* What a checkpoint is of: other words, tags or known words are another training. */
static char *description(const sp_sentences *known, const sp_sentences *s, const sp_sentences *valid)
{
    sp_status status = { 0 };
    sp_report *report = sp_report_new();
    sp_tagger *m = new_model(&configs[0], known, 1);
    sp_tagger_trainer *r = sp_tagger_trainer_new(m, s, valid, 2, 1, NULL, &status);
    ck_assert_msg(r != NULL, "%s", status.message);
    const sp_task task = sp_tagger_trainer_task(r);
    task.describe(task.self, report);
    ck_assert(task.save(task.self, &status));                   /* to nowhere */
    char *text_of = sp_report_string(report, 17);
    sp_report_free(report);
    sp_tagger_trainer_free(r);
    sp_tagger_free(m);
    return text_of;
}

START_TEST(described)
{
    sp_sentences *tags = parse("The\tO\nold\tO\nLondon\tB-LOC\n"), *other = parse("The\tO\nold\tB-LOC\nLondon\tO\n");
    sp_sentences *words = parse("The\tO\nbig\tO\nLondon\tB-LOC\n");
    char *all[] = { description(train, tags, tags), description(train, tags, tags), description(train, other, tags),
                    description(train, tags, other), description(train, words, tags), description(train, tags, words),
                    description(tags, tags, tags) };
    ck_assert_str_eq(all[0], all[1]);
    for (size_t k = 2; k < sizeof all / sizeof *all; k++)
        ck_assert_msg(strcmp(all[0], all[k]) != 0, "%zu: %s", k, all[k]);
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        free(all[k]);
    sp_sentences_free(tags);
    sp_sentences_free(other);
    sp_sentences_free(words);
}
END_TEST

START_TEST(order_by_seed)
{
    sp_tagger *m = new_model(&configs[0], train, 1);
    double first[4];
    for (int k = 0; k < 4; k++) {
        long count;
        sp_tagger_trainer *r = sp_tagger_trainer_new(m, train, train, 1, k < 2 ? 1 : (uint64_t)k, NULL, NULL);
        const sp_task task = sp_tagger_trainer_task(r);
        sp_tape *t = evaluating(m);
        first[k] = 0;
        task.begin(task.self, true, 1);
        for (int batch = 0; batch < 5; batch++) {
            sp_tape_reset(t);
            first[k] = 3 * first[k] + (double)sp_item(task.loss(t, task.self, true, batch, 0, &count));
        }
        sp_tape_free(t);
        sp_tagger_trainer_free(r);
    }
    ck_assert(first[0] == first[1]);
    ck_assert_msg(first[0] != first[2] && first[2] != first[3], "%.17g %.17g %.17g", first[0], first[2], first[3]);
    sp_tagger_free(m);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

START_TEST(save_and_load)
{
    sp_status status = { 0 };
    long count[2];
    const long index[] = { 0, 1, 2, 3, 4 };
    sp_tagger *m = new_model(&configs[_i], train, 5);
    ck_assert(sp_tagger_save(m, path, NULL));
    sp_tagger *back = sp_tagger_load(path, &status);
    ck_assert_msg(back != NULL, "%s", status.message);
    ck_same(sp_store_values(m->store), sp_store_values(back->store), sp_store_size(m->store));
    ck_assert(loss_on(m, train, index, 5, &count[0]) == loss_on(back, train, index, 5, &count[1]) && count[0] == count[1]);
    ck_assert(back->scheme == SP_TAG_BIO && back->config.letters == m->config.letters && back->config.crf == m->config.crf);
    ck_assert_str_eq(back->config.cell, m->config.cell);
    if (m->config.crf)
        ck_assert_mem_eq(m->crf.forbidden, back->crf.forbidden, 36);
    sp_tagger_free(m);
    sp_tagger_free(back);
}
END_TEST

/* The metadata of a sound file, with one of them replaced (or, by NULL, left out). */
static const struct {
    const char *key, *value, *error;
} wrongs[] = {
    { "kind", "spindle.tagger 1", NULL },
    { "kind", "spindle.lm 1", "is a model of the kind 'spindle.lm 1', not 'spindle.tagger 1'" },
    { "kind", "spindle.tagger 2", "is a model of the kind 'spindle.tagger 2', not 'spindle.tagger 1'" },
    { "scheme", "bilou", "its scheme is bilou: expected one of none|bio|iobes" },
    { "scheme", NULL, "its scheme is missing" },
    { "letters", "none", "tensor 'rnn.weight_ih_l0' is [5,12], not [5,6]" },
    { "letters", "conv", "there is no tensor 'letter_filters.weight'" },
    { "letters", "some", "its letters is some: expected one of none|recurrent|conv" },
    { "letter-hidden", "4", "tensor 'letter_rnn.weight_ih_l0' is [3,4], not [4,4]" },
    { "letter-hidden", "60000", "numbers that are left of" },
    { "embed", "7", "tensor 'words.weight' is [10,6], not [10,7]" },
    { "hidden", "0", "its hidden is 0: expected a whole number from 1 to 65536" },
    { "layers", "2", "there is no tensor 'rnn.weight_ih_l1'" },
    { "crf", "0", "tensor 'crf.start_transitions' is no parameter of the model" },
    { "crf", "2", "its crf is 2: expected 0 or 1" },
    { "word-dropout", "1", "its word-dropout is 1: expected a number from 0 to 0.99" },
    { "words", "{}", "the vocabulary cannot be read" },
    { "words", NULL, "the vocabulary cannot be read" },
    { "alphabet", NULL, "the vocabulary cannot be read" },
    { "alphabet", "{\"level\":\"char\",\"symbols\":[\"a\"]}", "tagger: the letters have no <edge>" },
    { "tags", "{\"level\":\"word\",\"symbols\":[\"a\"]}", "tagger: 2 tags, not 1 or more, or <unk> among them" },
};

START_TEST(wrong_metadata)
{
    sp_status status = { 0 };
    sp_tagger *m = new_model(&configs[3], train, 1);
    char *words = sp_vocabulary_write(m->words), *tags = sp_vocabulary_write(m->tags), *letters = sp_vocabulary_write(m->letters);
    sp_metadata metadata[] = {
        { "kind", "spindle.tagger 1" }, { "cell", "rnn" }, { "hidden", "5" }, { "layers", "1" }, { "embed", "6" }, { "least", "1" },
        { "vector-words", "0" }, { "letters", "recurrent" }, { "letter-embed", "4" }, { "letter-hidden", "3" }, { "crf", "1" },
        { "dropout", "0" }, { "word-dropout", "0" }, { "scheme", "bio" }, { "words", words }, { "tags", tags }, { "alphabet", letters },
    };
    enum { N = sizeof metadata / sizeof *metadata };
    for (int i = 0; i < N; i++)
        if (!strcmp(metadata[i].key, wrongs[_i].key))
            metadata[i] = wrongs[_i].value ? (sp_metadata){ wrongs[_i].key, wrongs[_i].value } : (sp_metadata){ "x", "" };
    ck_assert(sp_store_save(m->store, path, N, metadata, NULL));
    sp_tagger *back = sp_tagger_load(path, &status);
    if (wrongs[_i].error) {
        ck_assert_ptr_null(back);
        ck_assert_int_eq(status.code, SP_ERR_FORMAT);
        ck_assert_msg(strstr(status.message, wrongs[_i].error) && !strncmp(status.message, path, strlen(path))
                      && !strchr(status.message, '\n'), "%s", status.message);
    } else {
        ck_assert_msg(back != NULL, "%s", status.message);
    }
    sp_tagger_free(back);
    sp_tagger_free(m);
    free(words);
    free(tags);
    free(letters);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("tagger");
    TCase *c = tcase_create("tagger");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, slow_twin, 0, CONFIGS);
    tcase_add_loop_test(c, gradient, 0, CONFIGS);
    tcase_add_test(c, dropout_in_training);
    tcase_add_test(c, long_words);
    tcase_add_loop_test(c, scheme_of_tags, 0, sizeof schemes / sizeof *schemes);
    tcase_add_loop_test(c, impossible_transitions, 0, 3);
    tcase_add_test(c, iobes_transitions);
    tcase_add_test(c, baseline_and_scores);
    tcase_add_loop_test(c, what_counts, 0, 2);
    tcase_add_test(c, open_end);
    tcase_add_loop_test(c, tags_of_scores, 0, CONFIGS);
    tcase_add_loop_test(c, learns, 0, sizeof learners / sizeof *learners);
    tcase_add_loop_test(c, learns_spans, 0, 2);
    tcase_add_test(c, same_bits);
    tcase_add_test(c, resumed_with_other_vectors);
    tcase_add_loop_test(c, odd_sentences, 0, CONFIGS);
    tcase_add_test(c, vectors);
    tcase_add_loop_test(c, bad_config, 0, sizeof wrong_configs / sizeof *wrong_configs);
    tcase_add_test(c, bad_use);
    tcase_add_loop_test(c, other_scores, 0, 2);
    tcase_add_loop_test(c, nothing_to_learn, 0, 2);
    tcase_add_loop_test(c, no_path, 0, 2);
    tcase_add_test(c, where_dropout_is);
    tcase_add_test(c, rare_letters);
    tcase_add_test(c, are_spans);
    tcase_add_test(c, described);
    tcase_add_test(c, order_by_seed);
    tcase_add_loop_test(c, save_and_load, 0, CONFIGS);
    tcase_add_loop_test(c, wrong_metadata, 0, sizeof wrongs / sizeof *wrongs);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
