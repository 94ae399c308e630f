/* Many texts at once: batches of texts of about one length, a beam search for each, results in the caller's order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "zoo/batches_inside.h"
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

/* All that a call works with. */
struct work {
    const sp_seq2seq *m;
    const sp_translating *how;
    sp_translations *result;
    sp_status *status;
    bool *banned;               /* [symbols of the target] what is never written */
    char **text;                /* [n] the words of each source with a space between, */
    struct sequences source;    /* [n] and as numbers */
    struct writing writing;
};

static bool step(void *self, const sp_beam_rows *rows, sp_real *logits, sp_real *weights, sp_status *status)
{
    struct work *w = self;
    return sp_writing_step(&w->writing, rows->sentence, rows->parent, rows->symbol, rows->n, logits, weights)
           || sp_fail_with(status, sp_tape_status(w->writing.t));
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

/* What a hypothesis for source i says. */
static char *text_of(const struct work *w, long i, const sp_hypothesis *h)
{
    const sp_coder *c = w->m->target;
    size_t size;
    if (!w->how->copy)
        return sp_coder_show(c, h->symbol, h->length, &size);
    char **symbol = sp_seq2seq_symbols(w->m, w->text[i], NULL);
    char *text = symbol ? malloc(write_copied(c, symbol, sp_sequences_length(&w->source, i), h, NULL) + 1) : NULL;
    if (text)
        write_copied(c, symbol, sp_sequences_length(&w->source, i), h, text);
    free(symbol);
    return text;
}

static bool keep(struct work *w, long i, const sp_hypothesis *h, long rank)
{
    sp_translation *x = &w->result->item[i * w->result->nbest + rank];
    const size_t symbols = (size_t)h->length, places = (size_t)sp_sequences_length(&w->source, i) + 1;
    *x = (sp_translation){ .score = h->score, .log_p = h->log_p, .length = h->length, .places = (long)places };
    x->id = malloc((symbols + 1) * sizeof *x->id);
    x->text = text_of(w, i, h);
    if (w->how->weights && h->weights)
        x->weights = malloc((symbols * places + 1) * sizeof *x->weights);
    if (!x->id || !x->text || (w->how->weights && h->weights && !x->weights))
        return sp_fail(w->status, SP_ERR_MEMORY, "model: out of memory for a translation");
    if (symbols)
        memcpy(x->id, h->symbol, symbols * sizeof *x->id);
    for (size_t k = 0; x->weights && k < symbols; k++)
        memcpy(x->weights + k * places, h->weights + k * (size_t)h->places, places * sizeof *x->weights);
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

/* Translates some sources together; used and most are of length [n]. */
static bool search(struct work *w, const struct sp_reading *r, const struct sp_gathered *from, const long *used,
                   const long *most)
{
    const long n = r->n;
    const bool looks = sp_seq2seq_attends(w->m) && (w->how->weights || w->how->copy || w->how->coverage_penalty > 0);
    const sp_beam_config config = { .width = w->how->beam, .nbest = w->how->nbest, .longest = most, .first = SP_SENTENCE_BEGIN,
                                    .last = SP_SENTENCE_END, .length_penalty = w->how->length_penalty,
                                    .coverage_penalty = w->how->coverage_penalty };
    if (!sp_writing_begin(&w->writing, r->tape, w->m, from->id, from->length, n, n * w->how->beam))
        return false;
    const sp_beam_model model = { .self = w, .step = step, .symbols = sp_coder_size(w->m->target), .banned = w->banned,
                                  .places = looks ? w->writing.encoded.places : 0, .used = looks ? used : NULL };
    sp_beam *found = sp_beam_search(&config, &model, n, w->status);
    bool ok = found;
    for (long i = 0; ok && i < n; i++) {
        const long count = sp_beam_count(found, i);
        ok = count > 0 || sp_fail(w->status, SP_ERR_VALUE, "model: nothing can follow");
        for (long k = 0; ok && k < count; k++)
            ok = keep(w, r->index[i], sp_beam_best(found, i, k), k);
    }
    sp_beam_free(found);
    return ok;
}

static bool translate_part(struct work *w, const struct sp_reading *r)
{
    struct sp_gathered from;
    long *used = sp_tape_take(r->tape, (size_t)r->n * sizeof *used), *most = sp_tape_take(r->tape, (size_t)r->n * sizeof *most);
    if (!used || !most || !sp_gather(r->tape, w->source.id, w->source.first, r->index, r->n, &from))
        return false;
    for (long i = 0; i < r->n; i++) {
        used[i] = from.length[i] + 1;
        most[i] = most_of(w, from.length[i]);
    }
    return search(w, r, &from, used, most);
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
    bool ok = true;
    for (long i = 0; ok && i < n; i++) {
        sp_ids ids = { 0 };
        ok = sp_seq2seq_read(w->m, text[i], strlen(text[i]), &ids, &w->text[i], w->status)
             && (sp_sequences_add(&w->source, &ids)
                 || sp_fail(w->status, SP_ERR_MEMORY, "model: out of memory for %ld texts", n));
        free(ids.id);
    }
    return ok;
}

static bool keep_empty(struct work *w, long i)
{
    sp_translation *x = &w->result->item[i * w->result->nbest];
    x->text = calloc(1, 1);
    return x->text || sp_fail(w->status, SP_ERR_MEMORY, "model: out of memory for a translation");
}

static bool translate_all(struct work *w, long n)
{
    struct sp_reading r;
    long symbols = 0;
    bool ok = true;
    sp_progress bar;
    for (long i = 0; ok && i < n; i++)
        ok = sp_sequences_length(&w->source, i) || keep_empty(w, i);
    sp_progress_begin(&bar, w->how->progress, "symbol");
    sp_reading_begin(&r, w->m->store, w->m->profile, w->source.first, n, w->how->batch, ROOM / w->how->beam);
    while (ok && sp_reading_next(&r)) {
        ok = translate_part(w, &r);
        for (long i = 0; i < r.n; i++)
            symbols += sp_sequences_length(&w->source, r.index[i]);
        sp_progress_show(&bar, "translating", (double)(n - r.left + r.n) / (double)n, NAN, symbols);
    }
    sp_progress_end(&bar);
    return sp_reading_end(&r, w->status) && ok;
}

sp_translations *sp_seq2seq_translate(const sp_seq2seq *m, const char *const *text, long n, const sp_translating *how,
                                      sp_status *status)
{
    struct work w = { .m = m, .how = how, .status = status };
    if (!check(m, text, n, how, status))
        return NULL;
    w.result = calloc(1, sizeof *w.result);
    w.text = calloc((size_t)n + 1, sizeof *w.text);
    w.banned = find_banned(m->target);
    if (w.result)
        *w.result = (sp_translations){ n, how->nbest, calloc((size_t)(n * how->nbest) + 1, sizeof *w.result->item) };
    const bool ok = w.result && w.result->item && w.text && w.banned
                    ? read_sources(&w, text, n) && translate_all(&w, n)
                    : sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld texts", n);
    for (long i = 0; w.text && i < n; i++)
        free(w.text[i]);
    free(w.text);
    sp_sequences_clear(&w.source);
    free(w.banned);
    if (ok)
        return w.result;
    sp_translations_free(w.result);
    return NULL;
}
