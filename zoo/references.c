#include "zoo/references.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"

void sp_references_free(sp_references *r)
{
    if (!r)
        return;
    for (long i = 0; r->source && i < r->n; i++)
        free(r->source[i]);
    for (long i = 0; r->target && r->first && i < r->first[r->n]; i++)
        free(r->target[i]);
    free(r->source);
    free(r->target);
    free(r->first);
    free(r);
}

/* Numbers the sources: of[i] becomes the item of sentence i, and r has the sources and in first[k+1] how many targets
   item k has. */
static bool number(sp_references *r, const sp_sentences *s, int *of)
{
    sp_map *map = sp_map_new();
    bool ok = map;
    for (long i = 0; ok && i < s->n; i++) {
        size_t size;
        char *text = sp_sentence_text(s, 0, i, &size);
        of[i] = text ? sp_map_get(map, text, size) : -1;
        if (text && of[i] < 0) {
            ok = sp_map_put(map, text, size, of[i] = (int)r->n);
            r->source[r->n++] = text;
            text = NULL;
        } else {
            ok = text;
        }
        if (ok)
            r->first[of[i] + 1]++;
        free(text);
    }
    sp_map_free(map);
    return ok;
}

static bool fill(sp_references *r, const sp_sentences *s, int *of, long *next)
{
    if (!number(r, s, of))
        return false;
    for (long k = 0; k < r->n; k++)
        r->first[k + 1] += next[k] = r->first[k];
    for (long i = 0; i < s->n; i++)
        if (!(r->target[next[of[i]]++] = sp_sentence_text(s, 1, i, NULL)))
            return false;
    return true;
}

/* Keeps `most` of the items, as far from each other as can be: data are often sorted by length. */
static void thin(sp_references *r, long most)
{
    long kept = 0, targets = 0;
    for (long i = 0; i < r->n; i++) {
        const long from = r->first[i], end = r->first[i + 1];
        const bool keep = kept < most && i == kept * r->n / most;
        if (keep) {
            r->source[kept] = r->source[i];
            r->first[kept++] = targets;
        } else {
            free(r->source[i]);
        }
        for (long k = from; k < end; k++) {
            if (keep)
                r->target[targets++] = r->target[k];
            else
                free(r->target[k]);
        }
    }
    r->n = kept;
    r->first[kept] = targets;
}

sp_references *sp_references_new(const sp_sentences *s, long most, sp_status *status)
{
    if (!s || s->n < 1 || s->fields < 2) {
        sp_fail(status, SP_ERR_VALUE, "references: %ld sentences of %d fields", s ? s->n : 0, s ? s->fields : 0);
        return NULL;
    }
    const size_t room = (size_t)s->n + 1;
    sp_references *r = calloc(1, sizeof *r);
    int *of = malloc(room * sizeof *of);
    long *next = malloc(room * sizeof *next);
    if (r) {
        r->source = calloc(room, sizeof *r->source);
        r->target = calloc(room, sizeof *r->target);
        r->first = calloc(room, sizeof *r->first);
    }
    const bool ok = r && of && next && r->source && r->target && r->first && fill(r, s, of, next);
    free(of);
    free(next);
    if (ok && most > 0 && most < r->n)
        thin(r, most);
    if (ok)
        return r;
    sp_references_free(r);
    sp_fail(status, SP_ERR_MEMORY, "references: out of memory for %ld sentences", s->n);
    return NULL;
}

/* Adds the edits to the closest reference. */
static bool add_edits(sp_edits *sum, const char *guess, char *const *truth, long n, sp_level level, sp_status *status)
{
    sp_edits best = { 0 };
    long least = -1;
    for (long k = 0; k < n; k++) {
        sp_edits e = { 0 };
        if (!sp_edits_add_text(&e, guess, truth[k], level, status))
            return false;
        const long edits = e.insertions + e.deletions + e.substitutions;
        if (least < 0 || edits < least) {
            least = edits;
            best = e;
        }
    }
    sum->insertions += best.insertions;
    sum->deletions += best.deletions;
    sum->substitutions += best.substitutions;
    sum->length += best.length;
    sum->sequences += best.sequences;
    sum->wrong += best.wrong;
    return true;
}

bool sp_references_score(const sp_references *r, const char *const *guess, sp_translation_scores *scores, sp_status *status)
{
    sp_bleu bleu = { 0 };
    sp_chrf chrf = { 0 };
    sp_edits words = { 0 }, letters = { 0 };
    *scores = (sp_translation_scores){ .sentences = r->n };
    for (long i = 0; i < r->n; i++) {
        char *const *truth = r->target + r->first[i];
        const long n = r->first[i + 1] - r->first[i];
        bool right = false;
        for (long k = 0; k < n; k++)
            right = right || !strcmp(guess[i], truth[k]);
        scores->exact += right;
        if (!sp_bleu_add(&bleu, guess[i], (const char *const *)truth, (int)n, status)
            || !sp_chrf_add(&chrf, guess[i], (const char *const *)truth, (int)n, status)
            || !add_edits(&words, guess[i], truth, n, SP_LEVEL_WORD, status)
            || !add_edits(&letters, guess[i], truth, n, SP_LEVEL_CHAR, status))
            return false;
    }
    scores->bleu = sp_bleu_score(&bleu);
    scores->chrf = sp_chrf_score(&chrf);
    scores->sequence_error = 1 - (double)scores->exact / (double)r->n;
    scores->word_error = sp_error_rate(&words);
    scores->letter_error = sp_error_rate(&letters);
    return true;
}

void sp_references_report(const sp_references *r, const sp_translation_scores *scores, bool phones, sp_report *report)
{
    sp_report_count(report, "sentences", r->n);
    sp_report_count(report, "references", r->first[r->n]);
    sp_report_number(report, "exact", (double)scores->exact / (double)r->n);
    sp_report_number(report, phones ? "word_error_rate" : "sequence_error_rate", scores->sequence_error);
    if (phones) {
        sp_report_number(report, "phone_error_rate", scores->word_error);
        return;
    }
    sp_report_number(report, "bleu", scores->bleu);
    sp_report_number(report, "chrf", scores->chrf);
    sp_report_number(report, "word_error_rate", scores->word_error);
    sp_report_number(report, "letter_error_rate", scores->letter_error);
}
