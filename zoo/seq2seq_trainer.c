/* Pairs as numbers, batches of them, and what sp_train asks for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/batches_inside.h"
#include "zoo/references.h"
#include "zoo/seq2seq_inside.h"

/* Pairs that are learned from, or validated on. */
struct data {
    sp_seq2seq_counts counts;
    struct sequences side[2];   /* sources and targets */
    sp_batches *batches;
};

struct sp_seq2seq_trainer {
    sp_seq2seq *m;
    sp_seq2seq_teaching how;
    const char *out, *metric;   /* metric: NULL for the loss */
    uint64_t seed;
    long epochs, epoch, batches;        /* all, the present one, and its batches */
    struct data train, valid;
    sp_references *references;
};

double sp_rise_at(sp_rise rise, double x)
{
    return rise == SP_RISE_LINEAR ? x : rise == SP_RISE_SIGMOID ? 1 / (1 + exp(6 - 12 * x)) : 1;
}

sp_seq2seq_teaching sp_seq2seq_teaching_defaults(void)
{
    return (sp_seq2seq_teaching){ .batch = 64, .longest = 100, .judged = 1000 };
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

static void data_free(struct data *d)
{
    sp_sequences_clear(&d->side[0]);
    sp_sequences_clear(&d->side[1]);
    sp_batches_free(d->batches);
}

static bool encode_field(const sp_seq2seq *m, const sp_sentences *s, int f, long i, sp_ids *ids, sp_status *status)
{
    size_t size;
    char *text = sp_sentence_text(s, f, i, &size);
    bool ok = text || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for sentence %ld", i);
    ok = ok && (f ? sp_coder_encode(m->target, text, size, ids, status) : sp_seq2seq_read(m, text, size, ids, NULL, status));
    free(text);
    return ok;
}

/* Takes a pair, unless it is to be left out. False without memory. */
static bool take(struct data *d, const sp_ids ids[2], long longest)
{
    sp_seq2seq_counts *c = &d->counts;
    if (!ids[0].n || !ids[1].n) {
        c->empty++;
        return true;
    }
    if (ids[0].n > longest || ids[1].n > longest) {
        c->longer++;
        return true;
    }
    c->pairs++;
    c->source_symbols += ids[0].n;
    c->target_symbols += ids[1].n;
    c->unknown_source += ids[0].unknown;
    c->unknown_target += ids[1].unknown;
    return sp_sequences_add(&d->side[0], &ids[0]) && sp_sequences_add(&d->side[1], &ids[1]);
}

/* Of pairs whose sides are of about one length together. */
static bool make_batches(struct data *d, long size, const char *what, sp_status *status)
{
    const long n = d->counts.pairs;
    if (!n)
        return sp_fail(status, SP_ERR_VALUE, "there is no pair to %s (%ld are empty on a side, %ld longer than the limit): give more, or others", what,
                       d->counts.empty, d->counts.longer);
    long *first = malloc((size_t)(n + 1) * sizeof *first);
    for (long i = 0; first && i <= n; i++)
        first[i] = d->side[0].first[i] + d->side[1].first[i];
    if (first)
        d->batches = sp_batches_of(first, n, size, status);
    else
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld pairs", n);
    free(first);
    return d->batches;
}

static bool read_data(struct data *d, const sp_seq2seq *m, const sp_sentences *s, const sp_seq2seq_teaching *how,
                      const char *what, sp_status *status)
{
    if (!s || s->fields < 2)
        return sp_fail(status, SP_ERR_VALUE, "pairs to %s: sentences of %d fields, expected 2", what, s ? s->fields : 0);
    bool ok = true;
    for (long i = 0; ok && i < s->n; i++) {
        sp_ids ids[2] = { { 0 }, { 0 } };
        ok = encode_field(m, s, 0, i, &ids[0], status) && encode_field(m, s, 1, i, &ids[1], status)
             && (take(d, ids, how->longest) || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld pairs", s->n));
        free(ids[0].id);
        free(ids[1].id);
    }
    return ok && make_batches(d, how->batch, what, status);
}

static long longest_of(const struct sequences *s)
{
    long most = 0;
    for (long i = 0; i < s->n; i++)
        most = sp_sequences_length(s, i) > most ? sp_sequences_length(s, i) : most;
    return most;
}

/* ---- the task -------------------------------------------------------------------------------------------------- */

static long begin(void *self, bool training, long epoch)
{
    sp_seq2seq_trainer *x = self;
    const long n = sp_batches_arrange(training ? x->train.batches : x->valid.batches, training, x->seed, epoch);
    if (training) {
        x->epoch = epoch;
        x->batches = n;
    }
    return n;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const sp_seq2seq_trainer *x = self;
    const sp_seq2seq_teaching *how = &x->how;
    const struct data *d = training ? &x->train : &x->valid;
    struct sp_gathered side[2];
    long n;
    const long *index = sp_batches_part(d->batches, batch, shard, sp_trainer_shards(how->batch), &n);
    for (int f = 0; f < 2; f++)
        if (!sp_gather(t, d->side[f].id, d->side[f].first, index, n, &side[f]))
            return sp_tape_fail(t, SP_ERR_MEMORY, "model: out of memory for %ld pairs", n);
    const double done = ((double)x->epoch + (double)batch / (double)(x->batches > 0 ? x->batches : 1)) / (double)x->epochs;
    const sp_own_symbols own = { how->sampling * sp_rise_at(how->rise, done < 1 ? done : 1), how->drawn };
    const sp_pairs pairs = { n, side[0].id, side[1].id, side[0].length, side[1].length };
    return sp_seq2seq_loss(t, x->m, &pairs, how->smoothing, &own, count);
}

static bool save(void *self, sp_status *status)
{
    const sp_seq2seq_trainer *x = self;
    return !x->out || sp_seq2seq_save(x->m, x->out, status);
}

static double metric_of(const char *name, const sp_translation_scores *s)
{
    return !strcmp(name, "exact") ? (double)s->exact / (double)s->sentences : !strcmp(name, "bleu") ? s->bleu
           : !strcmp(name, "chrf") ? s->chrf : !strcmp(name, "error") ? s->word_error : s->letter_error;
}

static double measure(void *self, sp_status *status)
{
    const sp_seq2seq_trainer *x = self;
    const sp_references *r = x->references;
    const sp_translating how = sp_translating_defaults();
    sp_translation_scores scores;
    sp_seq2seq m = *x->m;
    m.profile = NULL;                                   /* which counts on the tapes of training */
    sp_translations *found = sp_seq2seq_translate(&m, (const char *const *)r->source, r->n, &how, status);
    const char **guess = found ? malloc((size_t)r->n * sizeof *guess) : NULL;
    bool ok = guess || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld translations", r->n);
    for (long i = 0; ok && i < r->n; i++)
        guess[i] = sp_translations_get(found, i, 0)->text;
    ok = ok && sp_references_score(r, guess, &scores, status);
    free(guess);
    sp_translations_free(found);
    return ok ? metric_of(x->metric, &scores) : NAN;
}

static void describe(void *self, sp_report *r)
{
    const sp_seq2seq_trainer *x = self;
    const sp_option rows[] = { SP_SEQ2SEQ_OPTIONS(&x->m->config), { 0 } };
    sp_seq2seq_teaching how = x->how;
    const sp_option taught[] = { SP_SEQ2SEQ_TEACHING(&how), { 0 } };
    sp_report_text(r, "task", "sequence to sequence");
    sp_options_report(rows, r);
    sp_options_report(taught, r);
    if (how.sampling > 0 && how.rise != SP_RISE_CONSTANT)
        sp_report_count(r, "epochs of the rise", x->epochs);
    sp_report_count(r, "source vocabulary", sp_coder_size(x->m->source));
    sp_report_count(r, "target vocabulary", sp_coder_size(x->m->target));
    for (int f = 0; f < 2; f++) {
        const struct data *d = f ? &x->valid : &x->train;
        const size_t sources = (size_t)d->counts.source_symbols, targets = (size_t)d->counts.target_symbols;
        sp_report_bytes(r, f ? "validation sources" : "training sources", d->side[0].id, sources * sizeof(int));
        sp_report_bytes(r, f ? "validation targets" : "training targets", d->side[1].id, targets * sizeof(int));
    }
}

/* ---- its life -------------------------------------------------------------------------------------------------- */

void sp_seq2seq_trainer_free(sp_seq2seq_trainer *x)
{
    if (!x)
        return;
    data_free(&x->train);
    data_free(&x->valid);
    sp_references_free(x->references);
    free(x);
}

static bool check(const sp_seq2seq_teaching *h, const char *metric, sp_status *status)
{
    if (h->batch < 1 || h->longest < 1 || h->longest > SP_SEQ2SEQ_LONGEST || h->judged < 0)
        return sp_fail(status, SP_ERR_VALUE, "teaching: batches of %ld, at most %ld symbols (expected 1 to %d), %ld judged",
                       h->batch, h->longest, SP_SEQ2SEQ_LONGEST, h->judged);
    if (!(h->smoothing >= 0 && h->smoothing <= 1 && h->sampling >= 0 && h->sampling <= 1))
        return sp_fail(status, SP_ERR_VALUE, "teaching: smoothing %g, sampling %g: expected 0 to 1", h->smoothing, h->sampling);
    if ((int)h->rise < SP_RISE_CONSTANT || h->rise > SP_RISE_SIGMOID)
        return sp_fail(status, SP_ERR_VALUE, "teaching: a rise of kind %d, expected 0 to %d", (int)h->rise, SP_RISE_SIGMOID);
    if (metric && sp_choice_index(SP_SEQ2SEQ_METRICS, metric) < 0)
        return sp_fail(status, SP_ERR_VALUE, "teaching: the metric '%s' is none of: %s", metric, SP_SEQ2SEQ_METRICS);
    return true;
}

sp_seq2seq_trainer *sp_seq2seq_trainer_new(sp_seq2seq *m, const sp_sentences *train, const sp_sentences *valid,
                                           const sp_seq2seq_teaching *how, const sp_trainer_config *run, const char *out,
                                           sp_status *status)
{
    if (!m || !how || !run) {
        sp_fail(status, SP_ERR_VALUE, "teaching: no %s", !m ? "model" : !how ? "settings" : "training");
        return NULL;
    }
    sp_seq2seq_trainer *x = check(how, run->metric, status) ? calloc(1, sizeof *x) : NULL;
    if (!x) {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory for a trainer");
        return NULL;
    }
    const bool measures = run->metric && strcmp(run->metric, "loss") != 0;
    *x = (sp_seq2seq_trainer){ .m = m, .how = *how, .out = out, .metric = measures ? run->metric : NULL,
                               .seed = (uint64_t)run->seed, .epochs = run->epochs > 0 ? run->epochs : 1 };
    if (read_data(&x->train, m, train, how, "train on", status) && read_data(&x->valid, m, valid, how, "validate on", status)
        && (!measures || (x->references = sp_references_new(valid, how->judged, status)))) {
        m->source_longest = longest_of(&x->train.side[0]);
        m->target_longest = longest_of(&x->train.side[1]);
        return x;
    }
    sp_seq2seq_trainer_free(x);
    return NULL;
}

sp_task sp_seq2seq_task(sp_seq2seq_trainer *x)
{
    sp_task task = { .self = x, .store = x->m->store, .shards = sp_trainer_shards(x->how.batch), .begin = begin, .loss = loss,
                     .save = save, .describe = describe };
    if (x->metric) {
        task.measure = measure;
        task.metric = x->metric;
        task.more_is_better = !strstr(x->metric, "error");
    }
    return task;
}

sp_seq2seq_counts sp_seq2seq_counted(const sp_seq2seq_trainer *x, bool training)
{
    return training ? x->train.counts : x->valid.counts;
}
