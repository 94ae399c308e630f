/* The classifier as a task of the trainer. */
#include <stdlib.h>

#include "autograd/op.h"
#include "nn/loss.h"
#include "ops/ops.h"
#include "zoo/batches_inside.h"
#include "zoo/classifier.h"

/* Sentences as numbers. */
struct side {
    const sp_sentences *s;
    sp_ids word;                /* of field 0 */
    int *label;                 /* [n]; -1: one that training had not */
    long *full, *first;         /* [k] those with words; [k+1] where in word each of these begins */
    sp_batches *batches;        /* of them, by their place in full */
};

struct sp_classifier_trainer {
    sp_classifier *m;
    struct side train, valid;
    long batch;
    uint64_t seed;
    const char *out;
    char vectors[SP_FINGERPRINT];   /* of the embeddings before training: the checkpoint of others is another training's */
    int *guess;                 /* [n] of the validation's sentences; each shard writes its own */
};

/* ---- data ------------------------------------------------------------------------------------------------------ */

static void close_side(struct side *d)
{
    free(d->word.id);
    free(d->label);
    free(d->full);
    free(d->first);
    sp_batches_free(d->batches);
}

static bool open_side(struct side *d, const sp_classifier *m, const sp_sentences *s, long batch, const char *use, sp_status *status)
{
    const size_t n = s && s->n > 0 ? (size_t)s->n : 1;
    long k = 0, known = 0;
    if (!s || s->fields < 2)
        return sp_fail(status, SP_ERR_VALUE, "classifier: no labelled sentences to %s on", use);
    d->s = s;
    d->label = malloc(n * sizeof *d->label);
    d->full = malloc(n * sizeof *d->full);
    d->first = malloc((n + 1) * sizeof *d->first);
    bool ok = (d->label && d->full && d->first)
              || sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory for %ld sentences", s->n);
    for (long i = 0; ok && i < s->n; i++) {
        d->label[i] = sp_classifier_truth(m, s, i);
        if (!sp_sentence_length(s, 0, i))
            continue;
        known += d->label[i] >= 0;
        d->first[k] = s->field[0].first[i];
        d->full[k++] = i;
    }
    if (ok)
        d->first[k] = s->field[0].first[s->n];
    return ok && (known || sp_fail(status, SP_ERR_VALUE, "classifier: of %ld sentences to %s on none has words and a known "
                                   "label", s->n, use))
           && sp_encode_field(m->words, s, 0, &d->word, status) && (d->batches = sp_batches_of(d->first, k, batch, status));
}

sp_classifier_trainer *sp_classifier_trainer_new(sp_classifier *m, const sp_sentences *train, const sp_sentences *valid, long batch,
                                                 uint64_t seed, const char *out, sp_status *status)
{
    if (!m) {
        sp_fail(status, SP_ERR_VALUE, "classifier: no model to train");
        return NULL;
    }
    sp_classifier_trainer *r = calloc(1, sizeof *r);
    bool ok = r || sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory");
    if (ok) {
        *r = (sp_classifier_trainer){ .m = m, .batch = batch, .seed = seed, .out = out };
        sp_model_fingerprint(m->embed.weight, r->vectors);
        ok = open_side(&r->train, m, train, batch, "train", status) && open_side(&r->valid, m, valid, batch, "validate", status);
    }
    for (long i = 0; ok && i < train->n; i++)
        if (r->train.label[i] < 0)
            ok = sp_fail(status, SP_ERR_VALUE, "classifier: sentence %ld to train on has a label that the model has not: '%s'",
                         i + 1, sp_sentence_word(train, 1, i, 0, NULL));
    if (ok) {
        r->guess = malloc((size_t)valid->n * sizeof *r->guess);
        ok = r->guess || sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory for %ld sentences", valid->n);
    }
    if (ok)
        return r;
    sp_classifier_trainer_free(r);
    return NULL;
}

void sp_classifier_trainer_free(sp_classifier_trainer *r)
{
    if (r) {
        close_side(&r->train);
        close_side(&r->valid);
        free(r->guess);
        free(r);
    }
}

/* ---- the task -------------------------------------------------------------------------------------------------- */

static long begin(void *self, bool training, long epoch)
{
    sp_classifier_trainer *r = self;
    const int common = sp_classifier_best(r->m, sp_param_read(r->m->prior));
    for (long i = 0; !training && i < r->valid.s->n; i++)
        r->guess[i] = common;                           /* stays for those without words */
    return sp_batches_arrange(training ? r->train.batches : r->valid.batches, training, r->seed, epoch);
}

/* The labels of some sentences, in memory of the tape: SP_IGNORE where it is not known; and how many are. */
static int *labels_of(sp_tape *t, const struct side *d, const long *index, long n, long *known)
{
    int *label = sp_tape_take(t, (size_t)n * sizeof *label);
    for (long k = 0; label && k < n; k++) {
        const int truth = d->label[d->full[index[k]]];
        label[k] = truth < 0 ? SP_IGNORE : truth;
        *known += truth >= 0;
    }
    return label;
}

/* The guesses that logits [n,classes] are. */
static void note(sp_tape *t, sp_classifier_trainer *r, sp_tensor *logits, const long *index, long n)
{
    const int classes = sp_classifier_classes(r->m);
    sp_real *all = sp_tape_take(t, (size_t)(n * classes) * sizeof *all);
    if (!all || !sp_read(logits, all))
        return;
    for (long k = 0; k < n; k++)
        r->guess[r->valid.full[index[k]]] = sp_classifier_best(r->m, all + k * classes);
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    sp_classifier_trainer *r = self;
    struct side *d = training ? &r->train : &r->valid;
    struct sp_gathered p;
    long n;
    const long *index = sp_batches_part(d->batches, batch, shard, sp_trainer_shards(r->batch), &n);
    *count = 0;
    if (!n)
        return NULL;
    const int *label = labels_of(t, d, index, n, count);
    if (!label || !sp_gather(t, d->word.id, d->first, index, n, &p))
        return sp_tape_fail(t, SP_ERR_MEMORY, "classifier: out of memory for a batch");
    if (training)
        return sp_classifier_loss(t, r->m, p.id, p.length, label, n);
    sp_tensor *logits = sp_classifier_on(t, r->m, p.id, p.length, n, NULL);
    note(t, r, logits, index, n);
    return sp_cross_entropy_mean(t, logits, label, SP_IGNORE);
}

static double measure(void *self, sp_status *status)
{
    const sp_classifier_trainer *r = self;
    long right = 0;
    (void)status;
    for (long i = 0; i < r->valid.s->n; i++)
        right += r->guess[i] == r->valid.label[i];
    return (double)right / (double)r->valid.s->n;
}

static bool save(void *self, sp_status *status)
{
    const sp_classifier_trainer *r = self;
    return !r->out || sp_classifier_save(r->m, r->out, status);
}

static void describe_side(const struct side *d, const char *what, sp_report *r)
{
    char key[64];
    snprintf(key, sizeof key, "%s text", what);
    sp_report_bytes(r, key, d->word.id, (size_t)d->word.n * sizeof *d->word.id);
    snprintf(key, sizeof key, "%s sentences", what);
    sp_report_bytes(r, key, d->s->field[0].first, (size_t)(d->s->n + 1) * sizeof *d->s->field[0].first);
    snprintf(key, sizeof key, "%s labels", what);
    sp_report_bytes(r, key, d->label, (size_t)d->s->n * sizeof *d->label);
}

static void describe(void *self, sp_report *report)
{
    const sp_classifier_trainer *r = self;
    const sp_option rows[] = { SP_CLASSIFIER_OPTIONS(&r->m->config), { 0 } };
    sp_report_text(report, "task", "classifier");
    sp_options_report(rows, report);
    sp_report_count(report, "batch", r->batch);
    sp_report_count(report, "words", sp_vocabulary_size(r->m->words));
    sp_report_count(report, "labels", sp_vocabulary_size(r->m->labels));
    sp_report_count(report, "order", (long)r->seed);
    sp_report_text(report, "initial word vectors", r->vectors);
    describe_side(&r->train, "training", report);
    describe_side(&r->valid, "validation", report);
}

sp_task sp_classifier_trainer_task(sp_classifier_trainer *r)
{
    return (sp_task){ .self = r, .store = r->m->store, .shards = sp_trainer_shards(r->batch), .begin = begin, .loss = loss,
                      .save = save, .measure = measure, .metric = "accuracy", .more_is_better = true, .unit = "sentence",
                      .describe = describe };
}
