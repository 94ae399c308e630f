/* Pairs as numbers, batches of them, and what sp_train asks for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/batches.h"
#include "zoo/references.h"
#include "zoo/seq2seq_inside.h"

/* Pairs that are learned from, or validated on. */
struct data {
    sp_seq2seq_counts counts;
    int *id[2];                 /* source and target symbols, pair behind pair */
    long *at[2];                /* [pairs+1] where each pair's begin */
    sp_batches *batches;
};

/* The pairs of a shard, gathered. */
struct shard {
    int *id[2];
    long *length[2];
    long room[2], pairs;        /* symbols and pairs that there is memory for */
};

struct sp_seq2seq_trainer {
    sp_seq2seq *m;
    sp_seq2seq_teaching how;
    const char *path, *metric;  /* metric: NULL for the loss */
    uint64_t seed;
    long epochs, epoch, batches;        /* all, the present one, and its batches */
    struct data train, valid;
    sp_references *references;
    struct shard shard[SP_MOST_SHARDS];
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
    for (int f = 0; f < 2; f++) {
        free(d->id[f]);
        free(d->at[f]);
    }
    sp_batches_free(d->batches);
}

/* Room for n numbers more behind `used` ones. */
static bool reserve(int **id, long *room, long used, long n)
{
    if (used + n <= *room)
        return true;
    const long more = 2 * (used + n);
    int *grown = realloc(*id, (size_t)more * sizeof *grown);
    if (!grown)
        return false;
    *id = grown;
    *room = more;
    return true;
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
static bool take(struct data *d, long room[2], const sp_ids ids[2], long longest)
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
    for (int f = 0; f < 2; f++) {
        if (!reserve(&d->id[f], &room[f], d->at[f][c->pairs], ids[f].n))
            return false;
        memcpy(d->id[f] + d->at[f][c->pairs], ids[f].id, (size_t)ids[f].n * sizeof *ids[f].id);
        d->at[f][c->pairs + 1] = d->at[f][c->pairs] + ids[f].n;
    }
    c->pairs++;
    c->unknown_source += ids[0].unknown;
    c->unknown_target += ids[1].unknown;
    return true;
}

static bool make_batches(struct data *d, long size, const char *what, sp_status *status)
{
    const long n = d->counts.pairs;
    if (!n)
        return sp_fail(status, SP_ERR_VALUE, "there is no pair to %s (%ld are empty on a side, %ld longer than the limit): give more, or others", what,
                       d->counts.empty, d->counts.longer);
    long *length = malloc((size_t)n * sizeof *length);
    for (long i = 0; length && i < n; i++)
        length[i] = d->at[0][i + 1] - d->at[0][i] + d->at[1][i + 1] - d->at[1][i];
    if (length)
        d->batches = sp_batches_new(length, n, size, status);
    else
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld pairs", n);
    free(length);
    return d->batches;
}

static bool read_data(struct data *d, const sp_seq2seq *m, const sp_sentences *s, const sp_seq2seq_teaching *how,
                      const char *what, sp_status *status)
{
    long room[2] = { 0, 0 };
    if (!s || s->fields < 2)
        return sp_fail(status, SP_ERR_VALUE, "pairs to %s: sentences of %d fields, expected 2", what, s ? s->fields : 0);
    for (int f = 0; f < 2; f++)
        if (!(d->at[f] = calloc((size_t)s->n + 1, sizeof(long))))
            return sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld pairs", s->n);
    bool ok = true;
    for (long i = 0; ok && i < s->n; i++) {
        sp_ids ids[2] = { { 0 }, { 0 } };
        ok = encode_field(m, s, 0, i, &ids[0], status) && encode_field(m, s, 1, i, &ids[1], status)
             && (take(d, room, ids, how->longest) || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld pairs", s->n));
        free(ids[0].id);
        free(ids[1].id);
    }
    d->counts.source_symbols = d->at[0][d->counts.pairs];
    d->counts.target_symbols = d->at[1][d->counts.pairs];
    return ok && make_batches(d, how->batch, what, status);
}

static long longest_of(const struct data *d, int f)
{
    long most = 0;
    for (long i = 0; i < d->counts.pairs; i++)
        most = d->at[f][i + 1] - d->at[f][i] > most ? d->at[f][i + 1] - d->at[f][i] : most;
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

/* Copies the pairs of a shard to its own memory. */
static bool gather(struct shard *s, const struct data *d, const long *index, long n)
{
    if (n > s->pairs) {
        for (int f = 0; f < 2; f++) {
            long *more = realloc(s->length[f], (size_t)n * sizeof *more);
            if (!more)
                return false;
            s->length[f] = more;
        }
        s->pairs = n;
    }
    for (int f = 0; f < 2; f++) {
        long used = 0;
        for (long k = 0; k < n; k++) {
            const long from = d->at[f][index[k]], length = d->at[f][index[k] + 1] - from;
            if (!reserve(&s->id[f], &s->room[f], used, length))
                return false;
            memcpy(s->id[f] + used, d->id[f] + from, (size_t)length * sizeof *s->id[f]);
            s->length[f][k] = length;
            used += length;
        }
    }
    return true;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int number, long *count)
{
    sp_seq2seq_trainer *x = self;
    const sp_seq2seq_teaching *how = &x->how;
    const struct data *d = training ? &x->train : &x->valid;
    struct shard *s = &x->shard[number];
    long n;
    const long *index = sp_batches_part(d->batches, batch, number, sp_trainer_shards(how->batch), &n);
    if (!gather(s, d, index, n))
        return sp_tape_fail(t, SP_ERR_MEMORY, "model: out of memory for %ld pairs", n);
    const double done = ((double)x->epoch + (double)batch / (double)(x->batches > 0 ? x->batches : 1)) / (double)x->epochs;
    const sp_own_symbols own = { how->sampling * sp_rise_at(how->rise, done < 1 ? done : 1), how->drawn };
    const sp_pairs pairs = { n, s->id[0], s->id[1], s->length[0], s->length[1] };
    return sp_seq2seq_loss(t, x->m, &pairs, how->smoothing, &own, count);
}

static bool save(void *self, sp_status *status)
{
    const sp_seq2seq_trainer *x = self;
    return sp_seq2seq_save(x->m, x->path, status);
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
    sp_options_report(rows, r);
    sp_options_report(taught, r);
    if (how.sampling > 0 && how.rise != SP_RISE_CONSTANT)
        sp_report_count(r, "epochs of the rise", x->epochs);
    sp_report_count(r, "source vocabulary", sp_coder_size(x->m->source));
    sp_report_count(r, "target vocabulary", sp_coder_size(x->m->target));
    for (int f = 0; f < 2; f++) {
        const struct data *d = f ? &x->valid : &x->train;
        const size_t sources = (size_t)d->counts.source_symbols, targets = (size_t)d->counts.target_symbols;
        sp_report_bytes(r, f ? "validation sources" : "training sources", d->id[0], sources * sizeof(int));
        sp_report_bytes(r, f ? "validation targets" : "training targets", d->id[1], targets * sizeof(int));
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
    for (int i = 0; i < SP_MOST_SHARDS; i++)
        for (int f = 0; f < 2; f++) {
            free(x->shard[i].id[f]);
            free(x->shard[i].length[f]);
        }
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
                                           const sp_seq2seq_teaching *how, const sp_trainer_config *run, const char *path,
                                           sp_status *status)
{
    if (!m || !how || !run || !path) {
        sp_fail(status, SP_ERR_VALUE, "teaching: no %s", !m ? "model" : !how ? "settings" : !run ? "training" : "path");
        return NULL;
    }
    sp_seq2seq_trainer *x = check(how, run->metric, status) ? calloc(1, sizeof *x) : NULL;
    if (!x) {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory for a trainer");
        return NULL;
    }
    const bool measures = run->metric && strcmp(run->metric, "loss") != 0;
    *x = (sp_seq2seq_trainer){ .m = m, .how = *how, .path = path, .metric = measures ? run->metric : NULL,
                               .seed = (uint64_t)run->seed, .epochs = run->epochs > 0 ? run->epochs : 1 };
    if (read_data(&x->train, m, train, how, "train on", status) && read_data(&x->valid, m, valid, how, "validate on", status)
        && (!measures || (x->references = sp_references_new(valid, how->judged, status)))) {
        m->source_longest = longest_of(&x->train, 0);
        m->target_longest = longest_of(&x->train, 1);
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
