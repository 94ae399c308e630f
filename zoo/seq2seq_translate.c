/* Many texts at once: batches of texts of about one length, a beam search for each, results in the caller's order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/beam.h"
#include "zoo/progress.h"
#include "zoo/seq2seq_inside.h"

enum {
    ROOM = 16384,               /* source symbols of a batch, padding counted, times the beam */
    SLACK = 10                  /* symbols that a translation may have beyond proportion */
};

struct sp_translations {
    long n, nbest;
    sp_translation *item;       /* [n,nbest], those that are not there without text */
};

sp_translating sp_translating_defaults(void)
{
    return (sp_translating){ .beam = 1, .nbest = 1, .batch = 32 };
}

void sp_translations_free(sp_translations *r)
{
    if (!r)
        return;
    for (long i = 0; r->item && i < r->n * r->nbest; i++) {
        free(r->item[i].text);
        free(r->item[i].id);
        free(r->item[i].weights);
    }
    free(r->item);
    free(r);
}

const sp_translation *sp_translations_get(const sp_translations *r, long i, long k)
{
    if (!r || i < 0 || i >= r->n || k < 0 || k >= r->nbest)
        return NULL;
    const sp_translation *x = &r->item[i * r->nbest + k];
    return x->text ? x : NULL;
}

/* ---- one batch ------------------------------------------------------------------------------------------------- */

struct source {
    long index;                 /* of the text */
    char *text;                 /* its words with a space between */
    sp_ids ids;
};

/* All that a call works with. */
struct work {
    const sp_seq2seq *m;
    const sp_translating *how;
    sp_translations *result;
    sp_status *status;
    sp_tape *tape;
    bool *banned;               /* [symbols of the target] what is never written */
    struct source *source;      /* [n] by length */
    struct writing writing;
};

static bool step(void *self, const sp_beam_rows *rows, sp_real *logits, sp_real *weights, sp_status *status)
{
    struct work *w = self;
    return sp_writing_step(&w->writing, rows->sentence, rows->parent, rows->symbol, rows->n, logits, weights)
           || sp_fail_with(status, sp_tape_status(w->tape));
}

/* The text of a translation in which each <unk> is copied from the source; or, where out is NULL, nothing. Its bytes. */
static size_t write_copied(const sp_coder *c, char *const *symbol, long symbols, const sp_hypothesis *h, char *out)
{
    size_t bytes = 0, length;
    for (long i = 0; i < h->length; i++) {
        const char *x = sp_coder_symbol(c, h->symbol[i], &length);
        if (h->symbol[i] == SP_UNKNOWN) {
            x = symbol[sp_hypothesis_place(h, i, symbols)];
            length = strlen(x);
        }
        const bool space = bytes && c->units == SP_UNITS_WORD;
        if (out && space)
            out[bytes] = ' ';
        if (out)
            memcpy(out + bytes + space, x, length);
        bytes += length + space;
    }
    if (out)
        out[bytes] = '\0';
    return bytes;
}

static char *text_of(const struct work *w, const struct source *s, const sp_hypothesis *h)
{
    const sp_coder *c = w->m->target;
    size_t size;
    if (!w->how->copy)
        return sp_coder_decode(c, h->symbol, h->length, &size);
    char **symbol = sp_seq2seq_symbols(w->m, s->text, NULL);
    char *text = symbol ? malloc(write_copied(c, symbol, s->ids.n, h, NULL) + 1) : NULL;
    if (text)
        write_copied(c, symbol, s->ids.n, h, text);
    free(symbol);
    return text;
}

static bool keep(struct work *w, const struct source *s, const sp_hypothesis *h, long rank)
{
    sp_translation *x = &w->result->item[s->index * w->result->nbest + rank];
    const size_t symbols = (size_t)h->length, places = (size_t)s->ids.n + 1;
    *x = (sp_translation){ .score = h->score, .log_p = h->log_p, .length = h->length, .places = (long)places };
    x->id = malloc((symbols + 1) * sizeof *x->id);
    x->text = text_of(w, s, h);
    if (w->how->weights && h->weights)
        x->weights = malloc((symbols * places + 1) * sizeof *x->weights);
    if (!x->id || !x->text || (w->how->weights && h->weights && !x->weights))
        return sp_fail(w->status, SP_ERR_MEMORY, "model: out of memory for a translation");
    if (symbols)
        memcpy(x->id, h->symbol, symbols * sizeof *x->id);
    for (size_t i = 0; x->weights && i < symbols; i++)
        memcpy(x->weights + i * places, h->weights + i * (size_t)h->places, places * sizeof *x->weights);
    return true;
}

/* How long the translation of so many symbols may be. */
static long most_of(const struct work *w, long length)
{
    const double longest = (double)(w->m->source_longest > 0 ? w->m->source_longest : 1);
    const double share = (double)length > longest ? (double)length / longest : 1;
    const double most = (double)w->m->target_longest * share + SLACK;
    return w->how->most > 0 ? w->how->most : most < SP_SEQ2SEQ_LONGEST ? (long)most : SP_SEQ2SEQ_LONGEST;
}

static bool search(struct work *w, const struct source *s, long n, const int *id, const long *length, const long *used,
                   const long *most)
{
    const bool looks = sp_seq2seq_attends(w->m) && (w->how->weights || w->how->copy || w->how->coverage_penalty > 0);
    const sp_beam_config config = { .width = w->how->beam, .nbest = w->how->nbest, .longest = most, .first = SP_SENTENCE_BEGIN,
                                    .last = SP_SENTENCE_END, .length_penalty = w->how->length_penalty,
                                    .coverage_penalty = w->how->coverage_penalty };
    sp_tape_reset(w->tape);
    if (!sp_writing_begin(&w->writing, w->tape, w->m, id, length, n, n * w->how->beam))
        return sp_fail_with(w->status, sp_tape_status(w->tape));
    const sp_beam_model model = { .self = w, .step = step, .symbols = sp_coder_size(w->m->target), .banned = w->banned,
                                  .places = looks ? w->writing.encoded.places : 0, .used = looks ? used : NULL };
    sp_beam *found = sp_beam_search(&config, &model, n, w->status);
    bool ok = found;
    for (long i = 0; ok && i < n; i++) {
        const long count = sp_beam_count(found, i);
        ok = count > 0 || sp_fail(w->status, SP_ERR_VALUE, "model: nothing can follow");
        for (long k = 0; ok && k < count; k++)
            ok = keep(w, &s[i], sp_beam_best(found, i, k), k);
    }
    sp_beam_free(found);
    return ok;
}

static bool translate_batch(struct work *w, const struct source *s, long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += s[i].ids.n;
    int *id = malloc((size_t)(sum + 1) * sizeof *id), *to = id;
    long *length = malloc(3 * (size_t)n * sizeof *length);
    bool ok = id && length;
    for (long i = 0; ok && i < n; i++) {
        memcpy(to, s[i].ids.id, (size_t)s[i].ids.n * sizeof *to);
        to += s[i].ids.n;
        length[i] = s[i].ids.n;
        length[n + i] = s[i].ids.n + 1;
        length[2 * n + i] = most_of(w, s[i].ids.n);
    }
    ok = ok ? search(w, s, n, id, length, length + n, length + 2 * n)
            : sp_fail(w->status, SP_ERR_MEMORY, "model: out of memory for a batch of %ld", n);
    free(id);
    free(length);
    return ok;
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

static bool check(const sp_seq2seq *m, const char *const *text, long n, const sp_translating *how, sp_status *status)
{
    if (!m || !how || n < 0 || (n > 0 && !text))
        return sp_fail(status, SP_ERR_VALUE, "translating: no %s, or %ld texts", !m ? "model" : !how ? "settings" : "texts", n);
    for (long i = 0; i < n; i++)
        if (!text[i])
            return sp_fail(status, SP_ERR_VALUE, "translating: text %ld is NULL", i);
    if (how->beam < 1 || how->nbest < 1 || how->nbest > how->beam || how->batch < 1 || how->most < 0)
        return sp_fail(status, SP_ERR_VALUE, "translating: a beam of %ld, the %ld best, batches of %ld, %ld symbols at most",
                       how->beam, how->nbest, how->batch, how->most);
    if (!sp_seq2seq_attends(m) && (how->copy || how->coverage_penalty > 0))
        return sp_fail(status, SP_ERR_VALUE, "translating: %s needs a model with attention",
                       how->copy ? "copying" : "a coverage penalty");
    if (how->copy && m->target->units == SP_UNITS_BPE)
        return sp_fail(status, SP_ERR_VALUE, "translating: copying needs targets of words or letters: among pieces nothing is "
                       "unknown");
    return true;
}

static int by_length(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    return x->ids.n != y->ids.n ? (x->ids.n > y->ids.n) - (x->ids.n < y->ids.n) : (x->index > y->index) - (x->index < y->index);
}

/* <s>; among pieces <unk>, which no target has; and what would break lines or columns. */
static bool *find_banned(const sp_coder *c)
{
    const int n = sp_coder_size(c);
    bool *banned = calloc((size_t)n, sizeof *banned);
    for (int i = 0; banned && i < n; i++) {
        size_t length;
        const char *x = sp_coder_symbol(c, i, &length);
        banned[i] = i == SP_SENTENCE_BEGIN || (i == SP_UNKNOWN && c->units == SP_UNITS_BPE);
        for (size_t k = 0; k < length; k++)
            banned[i] = banned[i] || (unsigned char)x[k] < ' ' || x[k] == 0x7F;
    }
    return banned;
}

static bool read_sources(struct work *w, const char *const *text, long n)
{
    for (long i = 0; i < n; i++) {
        w->source[i].index = i;
        if (!sp_seq2seq_read(w->m, text[i], strlen(text[i]), &w->source[i].ids, &w->source[i].text, w->status))
            return false;
    }
    qsort(w->source, (size_t)n, sizeof *w->source, by_length);
    return true;
}

static bool keep_empty(struct work *w, const struct source *s)
{
    sp_translation *x = &w->result->item[s->index * w->result->nbest];
    x->text = calloc(1, 1);
    return x->text || sp_fail(w->status, SP_ERR_MEMORY, "model: out of memory for a translation");
}

static bool translate_all(struct work *w, long n)
{
    long done = 0, symbols = 0, count;
    bool ok = true;
    sp_progress bar;
    sp_progress_begin(&bar, w->how->progress, "symbol");
    for (; ok && done < n && !w->source[done].ids.n; done++)
        ok = keep_empty(w, &w->source[done]);
    for (; ok && done < n; done += count) {
        for (count = 1; count < w->how->batch && done + count < n; count++)
            if ((count + 1) * w->how->beam * (w->source[done + count].ids.n + 1) > ROOM)
                break;
        ok = translate_batch(w, w->source + done, count);
        for (long i = 0; i < count; i++)
            symbols += w->source[done + i].ids.n;
        sp_progress_show(&bar, "translating", (double)(done + count) / (double)n, NAN, symbols);
    }
    sp_progress_end(&bar);
    return ok;
}

sp_translations *sp_seq2seq_translate(const sp_seq2seq *m, const char *const *text, long n, const sp_translating *how,
                                      sp_status *status)
{
    struct work w = { .m = m, .how = how, .status = status };
    if (!check(m, text, n, how, status))
        return NULL;
    w.result = calloc(1, sizeof *w.result);
    w.source = calloc((size_t)n + 1, sizeof *w.source);
    w.tape = sp_tape_new(m->store);
    w.banned = find_banned(m->target);
    if (w.result) {
        *w.result = (sp_translations){ n, how->nbest, calloc((size_t)(n * how->nbest) + 1, sizeof *w.result->item) };
        sp_tape_set_recording(w.tape, false);
        sp_tape_set_training(w.tape, false);
        sp_tape_set_profile(w.tape, m->profile);
    }
    const bool ok = w.result && w.result->item && w.source && w.tape && w.banned
                    ? read_sources(&w, text, n) && translate_all(&w, n)
                    : sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld texts", n);
    for (long i = 0; w.source && i < n; i++) {
        free(w.source[i].ids.id);
        free(w.source[i].text);
    }
    free(w.source);
    free(w.banned);
    sp_tape_free(w.tape);
    if (ok)
        return w.result;
    sp_translations_free(w.result);
    return NULL;
}
