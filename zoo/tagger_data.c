/* Sentences as numbers, and batches of them. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"
#include "autograd/op.h"
#include "zoo/batches_inside.h"
#include "zoo/tagger_inside.h"

/* ---- all sentences --------------------------------------------------------------------------------------------- */

void sp_tagger_data_free(sp_tagger_data *d)
{
    if (d) {
        free(d->words.id);
        free(d->tags.id);
        free(d->letters.id);
        free(d->letters.at);
        free(d->same);
        free(d->counts);
        free(d);
    }
}

/* The first word that is written as each is. */
static bool find_same(sp_tagger_data *d, sp_status *status)
{
    sp_map *seen = sp_map_new();
    d->same = malloc(((size_t)d->strings + 1) * sizeof *d->same);
    bool ok = seen && d->same;
    const sp_field *f = &d->s->field[0];
    for (long k = 0; ok && k < d->strings; k++) {
        const char *word = f->text + f->at[k];
        const size_t length = f->at[k + 1] - f->at[k] - 1;
        d->same[k] = sp_map_get(seen, word, length);
        if (d->same[k] < 0) {
            d->same[k] = (int)k;
            ok = sp_map_put(seen, word, length, (int)k);
        }
    }
    sp_map_free(seen);
    return ok || sp_fail(status, SP_ERR_MEMORY, "tagger: out of memory for %ld words", d->strings);
}

/* Are all tags of a sentence known, and none where it cannot be? */
static bool possible(const sp_tagger *m, const sp_tagger_data *d, long i)
{
    const long from = d->s->field[0].first[i], to = d->s->field[0].first[i + 1];
    const char *before = NULL;
    size_t length;
    for (long k = from; k < to; k++) {
        const char *tag = d->tags.id[k] >= 0 ? sp_vocabulary_symbol(m->tags, d->tags.id[k], &length) : NULL;
        if (!tag || !sp_tag_may_follow(m->scheme, before, tag))
            return false;
        before = tag;
    }
    return sp_tag_may_follow(m->scheme, before, NULL);
}

bool sp_tagger_aligned(const sp_sentences *s, sp_status *status)
{
    for (long i = 0; i < s->n; i++) {
        const long words = sp_sentence_length(s, 0, i), tags = sp_sentence_length(s, 1, i);
        if (words != tags)
            return sp_fail(status, SP_ERR_VALUE, "tagger: sentence %ld has %ld words and %ld tags", i + 1, words, tags);
    }
    return true;
}

static bool take_tags(const sp_tagger *m, sp_tagger_data *d, sp_status *status)
{
    if (!sp_tagger_aligned(d->s, status))
        return false;
    d->counts = malloc((size_t)d->n + 1);
    if (!d->counts)
        return sp_fail(status, SP_ERR_MEMORY, "tagger: out of memory for %ld sentences", d->n);
    if (!sp_encode_field(m->tags, d->s, 1, &d->tags, status))
        return false;
    for (long i = 0; i < d->n; i++)
        d->counts[i] = possible(m, d, i);
    return true;
}

/* Without tags where tags are what is sought. */
static sp_tagger_data *data_new(const sp_tagger *m, const sp_sentences *s, bool tags, sp_status *status)
{
    if (!m || !s) {
        sp_fail(status, SP_ERR_VALUE, "tagger: no %s", m ? "sentences" : "model");
        return NULL;
    }
    sp_tagger_data *d = calloc(1, sizeof *d);
    if (!d) {
        sp_fail(status, SP_ERR_MEMORY, "tagger: out of memory");
        return NULL;
    }
    d->s = s;
    d->n = s->n;
    d->strings = s->field[0].first[s->n];
    bool ok = d->strings < INT_MAX
              || sp_fail(status, SP_ERR_VALUE, "tagger: %ld words, expected fewer than %d", d->strings, INT_MAX);
    ok = ok && sp_encode_field(m->words, s, 0, &d->words, status);
    if (ok && m->letters)
        ok = sp_encode_letters(m->letters, s, 0, &d->letters, status) && find_same(d, status);
    if (ok && tags && take_tags(m, d, status))
        return d;
    if (ok && !tags)
        return d;
    sp_tagger_data_free(d);
    return NULL;
}

sp_tagger_data *sp_tagger_data_new(const sp_tagger *m, const sp_sentences *s, sp_status *status)
{
    return data_new(m, s, true, status);
}

sp_tagger_data *sp_tagger_words_new(const sp_tagger *m, const sp_sentences *s, sp_status *status)
{
    return data_new(m, s, false, status);
}

long sp_tagger_words(const sp_tagger_data *d, const long *index, long n)
{
    long words = 0;
    for (long i = 0; i < n; i++)
        words += sp_sentence_length(d->s, 0, index[i]);
    return words;
}

/* ---- batches --------------------------------------------------------------------------------------------------- */

bool sp_tagger_there(sp_tape *t, const sp_tagger_data *d, const long *index, long n)
{
    if (n < 0)
        sp_tape_fail(t, SP_ERR_VALUE, "tagger: %ld sentences", n);
    for (long i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= d->n) {
            sp_tape_fail(t, SP_ERR_VALUE, "tagger: there is no sentence %ld among %ld, counted from 0", index[i], d->n);
            return false;
        }
    return sp_ok(t);
}

static int by_number(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* The different words: the numbers of the first that are written so, in order; and each word's place among them. */
static bool find_different(sp_tape *t, const sp_tagger_data *d, struct sp_tagger_batch *b)
{
    b->place = sp_tape_take(t, (size_t)(b->rows + 1) * sizeof *b->place);
    b->first = sp_tape_take(t, (size_t)(b->rows + 1) * sizeof *b->first);
    if (!b->place || !b->first)
        return false;
    long row = 0;
    for (long i = 0; i < b->n; i++)
        for (long j = 0; j < b->length[i]; j++)
            b->place[row++] = d->same[d->s->field[0].first[b->index[i]] + j];
    memcpy(b->first, b->place, (size_t)b->rows * sizeof *b->first);
    qsort(b->first, (size_t)b->rows, sizeof *b->first, by_number);
    for (long k = 0; k < b->rows; k++)
        if (!k || b->first[k] != b->first[b->different - 1])
            b->first[b->different++] = b->first[k];
    for (long k = 0; k < b->rows; k++) {
        const int *at = bsearch(&b->place[k], b->first, (size_t)b->different, sizeof *b->first, by_number);
        b->place[k] = (int)(at - b->first);
    }
    return true;
}

bool sp_tagger_gather(sp_tape *t, const sp_tagger_data *d, const long *index, long n, struct sp_tagger_batch *b)
{
    if (!sp_tagger_there(t, d, index, n))
        return false;
    struct sp_gathered g;
    *b = (struct sp_tagger_batch){ .index = sp_tape_take(t, (size_t)(n + 1) * sizeof *b->index) };
    for (long i = 0; b->index && i < n; i++)
        if (sp_sentence_length(d->s, 0, index[i]))
            b->index[b->n++] = index[i];
    if (!b->index || !sp_gather(t, d->words.id, d->s->field[0].first, b->index, b->n, &g))
        return false;
    b->rows = g.sum;
    b->length = g.length;
    b->word = g.id;
    return !d->same || find_different(t, d, b);
}

bool sp_tagger_letters_of(sp_tape *t, const sp_tagger_data *d, const struct sp_tagger_batch *b, int **letter, long **length,
                          long *count)
{
    enum { HALF = SP_TAGGER_MOST_LETTERS / 2 };
    *count = 0;
    *length = sp_tape_take(t, (size_t)(b->different + 1) * sizeof **length);
    for (long k = 0; *length && k < b->different; k++) {
        const long n = d->letters.at[b->first[k] + 1] - d->letters.at[b->first[k]];
        (*length)[k] = n < 2 * HALF ? n : 2 * HALF;
        *count += (*length)[k];
    }
    int *to = *letter = *length ? sp_tape_take(t, (size_t)(*count + 1) * sizeof **letter) : NULL;
    for (long k = 0; to && k < b->different; to += (*length)[k++]) {
        const int *from = d->letters.id + d->letters.at[b->first[k]], *end = d->letters.id + d->letters.at[b->first[k] + 1];
        const long n = (*length)[k], head = n < HALF ? n : HALF;
        memcpy(to, from, (size_t)head * sizeof *to);
        memcpy(to + head, end - (n - head), (size_t)(n - head) * sizeof *to);
    }
    return *letter;
}
