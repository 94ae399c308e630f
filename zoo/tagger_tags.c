/* Tags by themselves: schemes of spans, how many are right, the baseline. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/tagger_inside.h"

/* ---- schemes --------------------------------------------------------------------------------------------------- */

/* The mark of a tag, 'O' for none, and its type; 0 for what is no tag of a span. */
static char mark_of(const char *tag, const char **type)
{
    *type = "";
    if (!tag || !strcmp(tag, "O"))
        return 'O';
    if (!*tag || !strchr("BIES", *tag) || tag[1] != '-')
        return 0;
    *type = tag + 2;
    return *tag;
}

bool sp_tag_may_follow(sp_tag_scheme scheme, const char *from, const char *to)
{
    const char *type, *next;
    const char a = mark_of(from, &type), b = mark_of(to, &next);
    const bool open = a == 'B' || a == 'I', goes_on = b == 'I' || (b == 'E' && scheme == SP_TAG_IOBES);
    if (goes_on && scheme != SP_TAG_NONE)
        return open && !strcmp(type, next);
    return scheme != SP_TAG_IOBES || !open;
}

/* Do the tags of a sentence keep to it? */
static bool keeps_to(const sp_sentences *s, long i, sp_tag_scheme scheme)
{
    const long n = sp_sentence_length(s, 1, i);
    const char *before = NULL, *type;
    for (long j = 0; j < n; j++) {
        const char *tag = sp_sentence_word(s, 1, i, j, NULL), mark = mark_of(tag, &type);
        if (!mark || (scheme == SP_TAG_BIO && (mark == 'E' || mark == 'S')) || !sp_tag_may_follow(scheme, before, tag))
            return false;
        before = tag;
    }
    return !n || sp_tag_may_follow(scheme, before, NULL);
}

sp_tag_scheme sp_tags_scheme(const sp_sentences *s)
{
    for (sp_tag_scheme scheme = SP_TAG_BIO; scheme <= SP_TAG_IOBES; scheme++) {
        bool all = true, any = false;
        for (long i = 0; s && all && i < s->n; i++) {
            all = keeps_to(s, i, scheme);
            for (long j = 0; all && !any && j < sp_sentence_length(s, 1, i); j++)
                any = strcmp(sp_sentence_word(s, 1, i, j, NULL), "O") != 0;
        }
        if (all && any)
            return scheme;
    }
    return SP_TAG_NONE;
}

bool sp_tags_are_spans(const sp_vocabulary *tags)
{
    const char *type;
    bool spans = false;
    for (int i = 0; tags && i < sp_vocabulary_size(tags); i++) {
        size_t length;
        const char mark = mark_of(sp_vocabulary_symbol(tags, i, &length), &type);
        if (!mark)
            return false;
        spans = spans || mark != 'O';
    }
    return spans;
}

/* ---- how good they are ----------------------------------------------------------------------------------------- */

/* Have both the same words, and as many tags? */
static bool alike(const sp_sentences *a, const sp_sentences *b)
{
    bool same = a && b && a->n == b->n && a->fields > 1 && b->fields > 1;
    for (long i = 0; same && i < a->n; i++) {
        const long n = sp_sentence_length(a, 0, i);
        same = n == sp_sentence_length(b, 0, i) && n == sp_sentence_length(a, 1, i) && n == sp_sentence_length(b, 1, i);
        for (long j = 0; same && j < n; j++)
            same = !strcmp(sp_sentence_word(a, 0, i, j, NULL), sp_sentence_word(b, 0, i, j, NULL));
    }
    return same;
}

double sp_tags_accuracy(const sp_sentences *truth, const sp_sentences *guess, long *right, long *words)
{
    long n = 0, good = 0;
    const bool same = alike(truth, guess);
    for (long i = 0; same && i < truth->n; i++)
        for (long j = 0; j < sp_sentence_length(truth, 1, i); j++, n++)
            good += !strcmp(sp_sentence_word(truth, 1, i, j, NULL), sp_sentence_word(guess, 1, i, j, NULL));
    if (right)
        *right = good;
    if (words)
        *words = n;
    return !same ? NAN : n ? (double)good / (double)n : 0;
}

sp_spans *sp_tagger_spans(const sp_sentences *truth, const sp_sentences *guess, const sp_vocabulary *tags, const int *tag,
                          sp_status *status)
{
    sp_spans *s = sp_spans_new(status);
    bool ok = s;
    size_t length;
    for (long i = 0, k = 0; ok && i < truth->n; i++) {
        for (long j = 0; ok && j < sp_sentence_length(truth, 1, i); j++, k++)
            ok = sp_spans_add(s, sp_sentence_word(truth, 1, i, j, NULL), guess ? sp_sentence_word(guess, 1, i, j, NULL)
                              : sp_vocabulary_symbol(tags, tag[k], &length), status);
        ok = ok && sp_spans_end(s, status);
    }
    if (ok)
        return s;
    sp_spans_free(s);
    return NULL;
}

sp_spans *sp_tags_spans(const sp_sentences *truth, const sp_sentences *guess, sp_status *status)
{
    if (alike(truth, guess))
        return sp_tagger_spans(truth, guess, NULL, NULL, status);
    sp_fail(status, SP_ERR_VALUE, "spans: these are not tags of the same sentences");
    return NULL;
}

/* ---- tagged sentences ------------------------------------------------------------------------------------------ */

sp_sentences *sp_tagger_tagged(const sp_sentences *s, const sp_vocabulary *tags, const int *tag, sp_status *status)
{
    sp_sentences *out = sp_sentences_new(2, status);
    bool ok = out;
    for (long i = 0, k = 0; ok && i < s->n; i++) {
        ok = sp_sentences_put_field(out, 0, s, 0, i, status);
        for (long j = 0; ok && j < sp_sentence_length(s, 0, i); j++, k++) {
            size_t length;
            const char *name = sp_vocabulary_symbol(tags, tag[k], &length);
            ok = sp_sentences_put(out, 1, name, length, status);
        }
        ok = ok && sp_sentences_end(out, status);
    }
    if (ok)
        return out;
    sp_sentences_free(out);
    return NULL;
}

/* ---- the baseline ---------------------------------------------------------------------------------------------- */

/* The tag of each word of a vocabulary that it has most often, of equal ones that with the lower number; [words] */
static bool most_frequent(const sp_vocabulary *words, const sp_vocabulary *tags, const sp_sentences *s, int *tag,
                          sp_status *status)
{
    const size_t k = (size_t)sp_vocabulary_size(tags), n = (size_t)sp_vocabulary_size(words);
    int *times = k && n <= SIZE_MAX / sizeof *times / k ? calloc(n * k + 1, sizeof *times) : NULL;
    sp_ids w = { 0 }, t = { 0 };
    bool ok = times || sp_fail(status, SP_ERR_MEMORY, "baseline: out of memory for %zu words with %zu tags", n, k);
    ok = ok && sp_encode_field(words, s, 0, &w, status) && sp_encode_field(tags, s, 1, &t, status);
    for (long i = 0; ok && i < w.n && i < t.n; i++)
        times[(size_t)w.id[i] * k + (size_t)t.id[i]]++;
    for (size_t i = 0; ok && i < n; i++) {
        tag[i] = 0;                             /* the most frequent of all, for what was never met */
        for (size_t j = 1; j < k; j++)
            if (times[i * k + j] > times[i * k + (size_t)tag[i]])
                tag[i] = (int)j;
    }
    free(times);
    free(w.id);
    free(t.id);
    return ok;
}

sp_sentences *sp_tags_most_frequent(const sp_sentences *train, const sp_sentences *s, sp_status *status)
{
    const sp_vocabulary_rule open = { .level = SP_LEVEL_WORD }, closed = { .level = SP_LEVEL_WORD, .closed = true };
    if (!train || !s || !sp_tagger_aligned(train, status)) {
        if (!train || !s)
            sp_fail(status, SP_ERR_VALUE, "baseline: no sentences to %s", train ? "tag" : "learn from");
        return NULL;
    }
    sp_vocabulary *words = sp_vocabulary_of_field(train, 0, &open, status);
    sp_vocabulary *tags = words ? sp_vocabulary_of_field(train, 1, &closed, status) : NULL;
    sp_ids ids = { 0 };
    sp_sentences *out = NULL;
    int *tag = tags ? malloc((size_t)sp_vocabulary_size(words) * sizeof *tag) : NULL;
    bool ok = tag;
    if (tags && !tag)
        sp_fail(status, SP_ERR_MEMORY, "baseline: out of memory for %d words", sp_vocabulary_size(words));
    else if (tags && !sp_vocabulary_size(tags))
        ok = sp_fail(status, SP_ERR_VALUE, "baseline: no tags to learn from");
    if (ok && most_frequent(words, tags, train, tag, status) && sp_encode_field(words, s, 0, &ids, status)) {
        for (long k = 0; k < ids.n; k++)
            ids.id[k] = tag[ids.id[k]];
        out = sp_tagger_tagged(s, tags, ids.id, status);
    }
    free(ids.id);
    free(tag);
    sp_vocabulary_free(words);
    sp_vocabulary_free(tags);
    return out;
}
