/* With e_j the embedding of word j, dropped out by one mask for a sentence, the logits are W v + b of

       recurrent   h = stack(e),   v = h of the last steps, mean_j h_j, max_j h_j, or sum_j a_j h_j  (nn/pool.h)
       bag         v = layers of relu(W' . + b') over mean_j e_j or sum_j e_j
       conv        v = relu(max_p (F_k * e)_p), side by side for k = 3, 4, 5 words; p wherever a filter meets a word */
#include "zoo/classifier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "nn/init.h"
#include "nn/locked_dropout.h"
#include "nn/loss.h"
#include "ops/ops.h"

static const char kind[] = "spindle.classifier 1";      /* a change that old models do not survive raises it */

static const long widths[SP_CLASSIFIER_WIDTHS] = { 3, 4, 5 };
enum { GAP = 5 };               /* rows of zeros between sentences: no filter meets two, and the widest fits in */

sp_classifier_config sp_classifier_defaults(sp_classifier_kind model)
{
    sp_classifier_config c = { .model = model, .embed = 128, .hidden = 128, .layers = 1, .cell = "lstm", .directions = 2,
                               .pool = SP_CLASSIFIER_POOL_ATTENTION, .bag = SP_CLASSIFIER_BAG_MEAN,
                               .dropout_embed = 0.5, .dropout = 0.5, .word_dropout = 0.05, .least = 1 };
    if (model == SP_CLASSIFIER_CONV)
        c.hidden = 100;
    return c;
}

/* ---- the model ------------------------------------------------------------------------------------------------- */

static void make_recurrent(sp_classifier *m)
{
    const sp_classifier_config *c = &m->config;
    m->stack = sp_stack_make(m->store, "rnn", &(sp_stack_config){ .cell = c->cell, .in = c->embed, .hidden = c->hidden,
        .layers = (int)c->layers, .bidirectional = c->directions == 2, .dropout = c->dropout, .variational = true });
    if (c->pool == SP_CLASSIFIER_POOL_ATTENTION && sp_store_ok(m->store))
        m->attention = sp_pool_attention_make(m->store, "attention", sp_stack_out(&m->stack), sp_stack_out(&m->stack));
}

static void make_bag(sp_classifier *m)
{
    char name[32];
    m->hidden = sp_store_alloc(m->store, (size_t)m->config.layers * sizeof *m->hidden);
    for (long i = 0; m->hidden && i < m->config.layers; i++) {
        snprintf(name, sizeof name, "hidden.l%ld", i);
        m->hidden[i] = sp_linear_make(m->store, name, i ? m->config.hidden : m->config.embed, m->config.hidden);
    }
}

static void make_conv(sp_classifier *m)
{
    char name[32];
    for (int k = 0; k < SP_CLASSIFIER_WIDTHS; k++) {
        snprintf(name, sizeof name, "filters.%ld", widths[k]);
        m->filters[k] = sp_conv1d_make(m->store, name, &(sp_conv_config){ .in = m->config.embed, .out = m->config.hidden,
                                                                          .kernel = { widths[k], 0 } });
    }
}

static const struct {
    void (*make)(sp_classifier *m);
} models[] = {
    [SP_CLASSIFIER_RECURRENT] = { make_recurrent }, [SP_CLASSIFIER_BAG] = { make_bag }, [SP_CLASSIFIER_CONV] = { make_conv },
};

/* Takes over what it gets, even if it fails. */
static sp_classifier *make(const sp_classifier_config *config, sp_vocabulary *words, sp_vocabulary *labels, sp_store *s,
                           sp_status *status)
{
    sp_classifier *m = words && labels && s ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory");
        sp_vocabulary_free(words);
        sp_vocabulary_free(labels);
        sp_store_free(s);
        return NULL;
    }
    *m = (sp_classifier){ .config = *config, .words = words, .labels = labels, .store = s };
    const int classes = sp_vocabulary_size(labels);
    if (classes < 2 || classes > SP_MOST_CLASSES) {
        sp_fail(status, SP_ERR_VALUE, "classifier: %d label%s, expected 2 to %d", classes, classes == 1 ? "" : "s",
                SP_MOST_CLASSES);
        sp_classifier_free(m);
        return NULL;
    }
    m->embed = sp_embed_make(s, "embed", sp_vocabulary_size(words), config->embed);
    sp_init_uniform(sp_store_find(s, "embed.weight"), -0.25, 0.25);
    models[config->model].make(m);
    const long width = config->model == SP_CLASSIFIER_RECURRENT && sp_store_ok(s) ? sp_stack_out(&m->stack)
                       : config->model == SP_CLASSIFIER_CONV ? SP_CLASSIFIER_WIDTHS * config->hidden : config->hidden;
    m->out = sp_linear_make(s, "out", width, classes);
    m->prior = sp_store_add_statistic(s, SP_SHAPE(classes), "prior");
    if (sp_store_ok(s)) {
        m->config.cell = sp_cell_kind_named(config->cell);      /* the caller's text may be gone later */
        return m;
    }
    sp_fail_with(status, sp_store_status(s));
    sp_classifier_free(m);
    return NULL;
}

/* How often each label stands there, as shares. */
static void count_labels(sp_classifier *m, const sp_sentences *s)
{
    sp_real *prior = sp_param_values(m->prior);
    for (long i = 0; i < s->n; i++)
        prior[sp_classifier_truth(m, s, i)] += 1;
    for (int k = 0; k < sp_classifier_classes(m); k++)
        prior[k] /= (sp_real)s->n;
}

sp_classifier *sp_classifier_new(const sp_classifier_config *config, const sp_sentences *train, uint64_t seed, sp_status *status)
{
    sp_classifier_config c = config ? *config : (sp_classifier_config){ 0 };
    if (!config || !train || train->fields < 2 || train->n < 1) {
        sp_fail(status, SP_ERR_VALUE, "classifier: no %s", config ? "labelled sentences" : "configuration");
        return NULL;
    }
    if (!sp_options_check((const sp_option[]){ SP_CLASSIFIER_OPTIONS(&c), { 0 } }, status))
        return NULL;
    for (long i = 0; i < train->n; i++)
        if (sp_sentence_length(train, 1, i) != 1) {
            sp_fail(status, SP_ERR_VALUE, "classifier: sentence %ld has %ld labels, expected 1", i + 1,
                    sp_sentence_length(train, 1, i));
            return NULL;
        }
    const sp_vocabulary_rule of_words = { .level = SP_LEVEL_WORD, .least = c.least, .most = c.vocabulary, .lower = c.lower };
    const sp_vocabulary_rule of_labels = { .level = SP_LEVEL_WORD, .closed = true };
    sp_vocabulary *labels = sp_vocabulary_of_field(train, 1, &of_labels, status);
    sp_vocabulary *words = labels ? sp_vocabulary_of_field(train, 0, &of_words, status) : NULL;
    sp_classifier *m = make(&c, words, labels, sp_store_new(seed), status);
    if (m)
        count_labels(m, train);
    return m;
}

void sp_classifier_free(sp_classifier *m)
{
    if (m) {
        sp_store_free(m->store);
        sp_vocabulary_free(m->words);
        sp_vocabulary_free(m->labels);
        free(m);
    }
}

int sp_classifier_classes(const sp_classifier *m)
{
    return sp_vocabulary_size(m->labels);
}

const char *sp_classifier_label(const sp_classifier *m, int class_number)
{
    size_t length;
    return sp_vocabulary_symbol(m->labels, class_number, &length);
}

/* ---- from words to logits -------------------------------------------------------------------------------------- */

/* The words, of which each is an unknown one with the probability p. */
static const int *drop_words(sp_tape *t, const int *word, long n, double p)
{
    const bool drops = p > 0 && sp_tape_training(t);
    int *dropped = drops ? sp_tape_take(t, (size_t)n * sizeof *dropped) : NULL;
    sp_real *drop = dropped ? sp_tape_take(t, (size_t)n * sizeof *drop) : NULL;
    if (!drop)
        return word;
    const sp_key key = sp_tape_key(t);
    sp_random_mask(&key, n, 1, p, 1, 0, drop);
    for (long i = 0; i < n; i++)
        dropped[i] = drop[i] > 0 ? SP_UNKNOWN : word[i];
    return dropped;
}

/* How many words the sentences have, which with the gaps between them are counted in int; 0 is an error. */
static long words_of(sp_tape *t, const int *word, const long *length, long n)
{
    long rows = 0;
    if (!word || !length || n < 1 || n > INT32_MAX / (GAP + 1) - 1) {
        sp_tape_fail(t, SP_ERR_VALUE, "classifier: %ld sentences%s, expected 1 to %d", n,
                     !word ? " without words" : !length ? " without lengths" : "", INT32_MAX / (GAP + 1) - 1);
        return 0;
    }
    for (long i = 0; i < n; rows += length[i++])
        if (length[i] < 1 || length[i] > INT32_MAX - (n + 1) * GAP - rows) {
            sp_tape_fail(t, SP_ERR_SHAPE, "classifier: sentence %ld has %ld words, expected 1 to %ld", i + 1, length[i],
                         INT32_MAX - (n + 1) * GAP - rows);
            return 0;
        }
    return rows;
}

static sp_seq embedded(sp_tape *t, const sp_classifier *m, const int *word, const long *length, long n)
{
    const long rows = words_of(t, word, length, n);
    if (!rows)
        return (sp_seq){ NULL, NULL };
    sp_tensor *e = sp_embed_on(t, &m->embed, drop_words(t, word, rows, m->config.word_dropout), rows);
    return sp_locked_dropout_seq(t, sp_seq_pack(t, e, length, n), m->config.dropout_embed);
}

/* Of each direction what has seen the whole sentence. */
static sp_tensor *last_of_both(sp_tape *t, sp_seq h)
{
    const long out = sp_dim(h.rows, 1) / 2;
    sp_tensor *both[] = { sp_slice(t, sp_pool_last(t, h), 1, 0, out), sp_slice(t, sp_pool_first(t, h), 1, out, 2 * out) };
    return sp_concat(t, 2, both, 1);
}

static sp_tensor *recurrent_on(sp_tape *t, const sp_classifier *m, sp_seq e, sp_tensor **weights)
{
    sp_scope_push(t, "rnn");
    const sp_seq h = sp_stack_on_seq(t, &m->stack, e, NULL);
    sp_scope_pop(t);
    sp_seq a;
    switch (m->config.pool) {
    case SP_CLASSIFIER_POOL_MEAN:
        return sp_pool_mean(t, h);
    case SP_CLASSIFIER_POOL_MAX:
        return sp_pool_max(t, h);
    case SP_CLASSIFIER_POOL_ATTENTION: {
        sp_tensor *y = sp_pool_attention_on(t, &m->attention, h, &a);
        if (weights)
            *weights = sp_seq_unpack(t, a);
        return y;
    }
    default:
        return m->config.directions == 2 ? last_of_both(t, h) : sp_pool_last(t, h);
    }
}

static sp_tensor *bag_on(sp_tape *t, const sp_classifier *m, sp_seq e)
{
    const int *number = m->config.bag == SP_CLASSIFIER_BAG_SUM ? sp_seq_numbers(t, e) : NULL;
    sp_tensor *x = number ? sp_segment_sum(t, e.rows, number, e.layout->batch) : sp_pool_mean(t, e);
    for (long i = 0; i < m->config.layers; i++)
        x = sp_relu(t, sp_linear_on(t, &m->hidden[i], i ? sp_dropout(t, x, m->config.dropout) : x));
    return x;
}

/* All sentences behind each other, GAP rows of zeros before, between and behind, as one signal [1,width,rows]: nothing is
   computed for the padding of short ones. */
static sp_tensor *as_signal(sp_tape *t, sp_seq e, const long *length, long n, long rows)
{
    const long width = sp_dim(e.rows, 1), zeros = sp_dim(e.rows, 0);
    int *from = sp_tape_take(t, (size_t)rows * sizeof *from);
    sp_tensor *parts[] = { sp_seq_unpack(t, e), sp_full(t, 0, SP_SHAPE(1, width)) };
    sp_tensor *table = sp_concat(t, 2, parts, 0);
    if (!from)
        return table;
    long row = 0, word = 0;
    for (long i = 0; i <= n; i++) {
        for (int k = 0; k < GAP; k++)
            from[row++] = (int)zeros;
        for (long j = 0; i < n && j < length[i]; j++)
            from[row++] = (int)word++;
    }
    sp_tensor *x = sp_embedding(t, table, from, rows);
    return sp_reshape(t, sp_transpose(t, x, 0, 1), SP_SHAPE(1, width, rows));
}

static sp_tensor *conv_on(sp_tape *t, const sp_classifier *m, sp_seq e, const long *length, long n)
{
    sp_tensor *y[SP_CLASSIFIER_WIDTHS];
    long rows = GAP;
    for (long i = 0; i < n; i++)
        rows += length[i] + GAP;
    sp_tensor *x = as_signal(t, e, length, n, rows);
    int *of = sp_tape_take(t, (size_t)rows * sizeof *of);
    if (!of)
        return x;
    for (int k = 0; k < SP_CLASSIFIER_WIDTHS; k++) {
        const long places = rows - widths[k] + 1;
        long row = GAP;
        for (long p = 0; p < places; p++)
            of[p] = (int)n;                             /* where a filter meets zeros alone: no sentence */
        for (long i = 0; i < n; row += length[i++] + GAP)
            for (long p = row - widths[k] + 1; p < row + length[i]; p++)
                of[p] = (int)i;
        sp_tensor *f = sp_reshape(t, sp_conv_on(t, &m->filters[k], x), SP_SHAPE(m->config.hidden, places));
        y[k] = sp_slice(t, sp_segment_max(t, sp_transpose(t, f, 0, 1), of, n + 1), 0, 0, n);
    }
    return sp_relu(t, sp_concat(t, SP_CLASSIFIER_WIDTHS, y, 1));
}

sp_tensor *sp_classifier_on(sp_tape *t, const sp_classifier *m, const int *word, const long *length, long n, sp_tensor **weights)
{
    if (weights)
        *weights = NULL;
    sp_scope_push(t, "embed");
    const sp_seq e = embedded(t, m, word, length, n);
    sp_scope_pop(t);
    if (!e.layout)
        return sp_tape_fail(t, SP_ERR_STATE, "classifier: failed");
    sp_tensor *v = m->config.model == SP_CLASSIFIER_RECURRENT ? recurrent_on(t, m, e, weights)
                   : m->config.model == SP_CLASSIFIER_BAG ? bag_on(t, m, e) : conv_on(t, m, e, length, n);
    sp_scope_push(t, "out");
    sp_tensor *logits = sp_linear_on(t, &m->out, sp_dropout(t, v, m->config.dropout));
    sp_scope_pop(t);
    return logits;
}

sp_tensor *sp_classifier_loss(sp_tape *t, const sp_classifier *m, const int *word, const long *length, const int *label, long n)
{
    sp_tensor *logits = sp_classifier_on(t, m, word, length, n, NULL);
    const double smoothing = sp_tape_training(t) ? m->config.smoothing : 0;
    return sp_cross_entropy_smooth_mean(t, logits, label, SP_IGNORE, smoothing);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

bool sp_classifier_save(const sp_classifier *m, const char *path, sp_status *status)
{
    sp_classifier_config config = m->config;
    const sp_option rows[] = { SP_CLASSIFIER_OPTIONS(&config), { 0 } };
    char *words = sp_vocabulary_write(m->words), *labels = sp_vocabulary_write(m->labels);
    const sp_metadata parts[] = { { "words", words }, { "labels", labels } };
    const bool ok = words && labels ? sp_model_save(m->store, kind, rows, 2, parts, path, status)
                                    : sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the vocabularies", path);
    free(words);
    free(labels);
    return ok;
}

/* Is what an empty sentence gets a distribution, as far as a file of 16 bits can say it? */
static bool check_prior(const sp_classifier *m, const sp_safetensors *f, sp_status *status)
{
    const sp_real *prior = sp_param_read(m->prior);
    sp_status inner = { 0 };
    double sum = 0;
    bool ok = true;
    for (int k = 0; ok && k < sp_classifier_classes(m); k++) {
        ok = (prior[k] > 0 && prior[k] < 1)
             || sp_fail(&inner, SP_ERR_FORMAT, "the share of label %d is %g, not between 0 and 1", k + 1, (double)prior[k]);
        sum += (double)prior[k];
    }
    ok = ok && (fabs(sum - 1) < 0.01 || sp_fail(&inner, SP_ERR_FORMAT, "the shares of the labels are %g together, not 1", sum));
    if (!ok)
        sp_model_refuse(f, &inner, status);
    return ok;
}

sp_classifier *sp_classifier_load(const char *path, sp_status *status)
{
    sp_status inner = { 0 };
    sp_classifier_config config = { 0 };
    const sp_option rows[] = { SP_CLASSIFIER_OPTIONS(&config), { 0 } };
    sp_safetensors *f = sp_model_open(path, kind, rows, status);
    sp_vocabulary *words = f ? sp_model_vocabulary(f, "words", status) : NULL;
    sp_vocabulary *labels = words ? sp_model_vocabulary(f, "labels", status) : NULL;
    sp_classifier *m = NULL;
    if (labels)
        m = make(&config, words, labels, sp_model_store(f, &inner), &inner);
    else
        sp_vocabulary_free(words);
    if (labels && !m)
        sp_model_refuse(f, &inner, status);
    if (m && !(sp_model_read(m->store, f, status) && check_prior(m, f, status))) {
        sp_classifier_free(m);
        m = NULL;
    }
    sp_safetensors_free(f);
    return m;
}
