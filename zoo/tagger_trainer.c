/* The tagger as a task of the trainer. */
#include <math.h>
#include <stdlib.h>

#include "ops/ops.h"
#include "zoo/batches_inside.h"
#include "zoo/tagger_inside.h"

struct part {
    const sp_sentences *s;
    sp_tagger_data *data;
    sp_batches *batches;
};

struct sp_tagger_trainer {
    sp_tagger *m;
    struct part train, valid;
    long batch;
    uint64_t seed;
    const char *out;
    int shards;
    char vectors[SP_FINGERPRINT];   /* of the words' embeddings before training */
    int *guess;                 /* [words to validate on] */
    bool spans;
};

static long begin(void *self, bool training, long epoch)
{
    const sp_tagger_trainer *r = self;
    return sp_batches_arrange(training ? r->train.batches : r->valid.batches, training, r->seed, epoch);
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const sp_tagger_trainer *r = self;
    const struct part *p = training ? &r->train : &r->valid;
    long n;
    const long *index = sp_batches_part(p->batches, batch, shard, r->shards, &n);
    *count = 0;
    if (!sp_tagger_words(p->data, index, n))
        return NULL;
    const sp_seq scores = sp_tagger_on(t, r->m, p->data, index, n);
    if (!training && !sp_tagger_decode(t, r->m, scores, p->data, index, n, r->guess))
        return sp_tape_fail(t, SP_ERR_STATE, "tagger: failed");
    return sp_tagger_loss(t, r->m, scores, p->data, index, n, count);
}

static double accuracy(const sp_tagger_trainer *r)
{
    const sp_ids *tags = &r->valid.data->tags;
    long right = 0;
    for (long k = 0; k < tags->n; k++)
        right += r->guess[k] == tags->id[k];
    return tags->n ? (double)right / (double)tags->n : 0;
}

static double f1(const sp_tagger_trainer *r, sp_status *status)
{
    sp_spans *spans = sp_tagger_spans(r->valid.s, NULL, r->m->tags, r->guess, status);
    const double f = spans ? sp_spans_total(spans).f1 : NAN;
    sp_spans_free(spans);
    return f;
}

static double measure(void *self, sp_status *status)
{
    const sp_tagger_trainer *r = self;
    return r->spans ? f1(r, status) : accuracy(r);
}

static bool save(void *self, sp_status *status)
{
    const sp_tagger_trainer *r = self;
    return !r->out || sp_tagger_save(r->m, r->out, status);
}

/* A field as it is written, and where its sentences end. */
static void describe_field(sp_report *report, const char *part, const char *what, const sp_sentences *s, int f)
{
    char key[64];
    snprintf(key, sizeof key, "%s %s", part, what);
    sp_report_bytes(report, key, s->field[f].text, s->field[f].at[s->field[f].strings]);
    snprintf(key, sizeof key, "%s sentences", part);
    if (!f)
        sp_report_bytes(report, key, s->field[f].first, (size_t)(s->n + 1) * sizeof *s->field[f].first);
}

static void describe(void *self, sp_report *report)
{
    const sp_tagger_trainer *r = self;
    const sp_option rows[] = { SP_TAGGER_OPTIONS(&r->m->config), { 0 } };
    sp_report_text(report, "task", "tagger");
    sp_options_report(rows, report);
    sp_report_count(report, "batch", r->batch);
    sp_report_count(report, "known words", sp_vocabulary_size(r->m->words));
    sp_report_text(report, "initial word vectors", r->vectors);
    for (int f = 0; f < 2; f++) {
        describe_field(report, "training", f ? "tags" : "words", r->train.s, f);
        describe_field(report, "validation", f ? "tags" : "words", r->valid.s, f);
    }
}

/* Is there anything that has a loss? */
static bool any_counts(const sp_tagger *m, const sp_tagger_data *d, const char *what, sp_status *status)
{
    long known = 0, possible = 0;
    for (long k = 0; k < d->strings; k++)
        known += d->tags.id[k] >= 0;
    for (long i = 0; i < d->n; i++)
        possible += d->counts[i] && sp_sentence_length(d->s, 0, i);
    if (m->config.crf ? possible : known)
        return true;
    return sp_fail(status, SP_ERR_VALUE, m->config.crf
                   ? "tagger: none of the %ld sentences to %s has only known tags in an order that can be: "
                     "of %ld words %ld have one"
                   : "tagger: of the %ld sentences to %s with %ld words, %ld words have a tag that the model knows",
                   d->n, what, d->strings, known);
}

static bool open_part(const sp_tagger *m, struct part *p, const sp_sentences *s, const char *what, long batch, sp_status *status)
{
    p->s = s;
    if (!s || !s->n || !s->field[0].strings)
        return sp_fail(status, SP_ERR_VALUE, "tagger: no sentences to %s", what);
    return (p->data = sp_tagger_data_new(m, s, status)) && any_counts(m, p->data, what, status)
           && (p->batches = sp_batches_of(s->field[0].first, s->n, batch, status));
}

sp_tagger_trainer *sp_tagger_trainer_new(sp_tagger *m, const sp_sentences *train, const sp_sentences *valid, long batch,
                                         uint64_t seed, const char *out, sp_status *status)
{
    sp_tagger_trainer *r = m ? calloc(1, sizeof *r) : NULL;
    if (!r) {
        sp_fail(status, m ? SP_ERR_MEMORY : SP_ERR_VALUE, "tagger: %s", m ? "out of memory" : "no model");
        return NULL;
    }
    *r = (sp_tagger_trainer){ .m = m, .batch = batch, .seed = seed, .out = out, .shards = sp_trainer_shards(batch),
                              .spans = sp_tags_are_spans(m->tags) };
    sp_model_fingerprint(m->word_embed.weight, r->vectors);
    bool ok = open_part(m, &r->train, train, "learn from", batch, status)
              && open_part(m, &r->valid, valid, "validate on", batch, status);
    if (ok && !(r->guess = calloc((size_t)r->valid.data->strings + 1, sizeof *r->guess)))
        ok = sp_fail(status, SP_ERR_MEMORY, "tagger: out of memory for %ld words", r->valid.data->strings);
    if (ok)
        return r;
    sp_tagger_trainer_free(r);
    return NULL;
}

sp_task sp_tagger_trainer_task(sp_tagger_trainer *r)
{
    return (sp_task){ .self = r, .store = r->m->store, .shards = r->shards, .begin = begin, .loss = loss, .save = save,
                      .measure = measure, .metric = r->spans ? "f1" : "accuracy", .more_is_better = true, .unit = "word",
                      .describe = describe };
}

void sp_tagger_trainer_free(sp_tagger_trainer *r)
{
    if (r) {
        struct part *part[] = { &r->train, &r->valid };
        for (int i = 0; i < 2; i++) {
            sp_tagger_data_free(part[i]->data);
            sp_batches_free(part[i]->batches);
        }
        free(r->guess);
        free(r);
    }
}
