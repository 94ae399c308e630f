/* Sources as texts: with white space as readers have it, and cut into the symbols that the model reads; and sequences of numbers. */
#include <stdlib.h>
#include <string.h>

#include "zoo/seq2seq_inside.h"

/* The words of a text with a space between, in place of at most as many bytes. Its bytes. */
static size_t join_words(const char *text, size_t size, char *out)
{
    size_t at = 0, length, bytes = 0;
    for (const char *w; (w = sp_text_next(text, size, SP_LEVEL_WORD, &at, &length)); ) {
        if (*w == '\n')
            continue;
        if (bytes)
            out[bytes++] = ' ';
        memcpy(out + bytes, w, length);
        bytes += length;
    }
    out[bytes] = '\0';
    return bytes;
}

bool sp_seq2seq_read(const sp_seq2seq *m, const char *text, size_t size, sp_ids *ids, char **joined, sp_status *status)
{
    char *words = malloc(size + 1);
    *ids = (sp_ids){ 0 };
    if (!words)
        return sp_fail(status, SP_ERR_MEMORY, "model: out of memory for a source of %zu bytes", size);
    const bool ok = sp_coder_encode(m->source, words, join_words(text, size, words), ids, status);
    if (joined)
        *joined = words;
    else
        free(words);
    return ok;
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

void sp_sequences_clear(struct sequences *s)
{
    free(s->first);
    free(s->id);
    *s = (struct sequences){ 0 };
}

bool sp_sequences_add(struct sequences *s, const sp_ids *ids)
{
    const long used = sp_sequences_sum(s);
    if (s->n == s->room) {
        const long room = 2 * s->n + 16;
        long *first = realloc(s->first, (size_t)(room + 1) * sizeof *first);
        if (!first)
            return false;
        s->first = first;
        s->room = room;
    }
    if (!s->id || used + ids->n > s->ids_room) {
        const long room = 2 * (used + ids->n) + 16;
        int *id = realloc(s->id, (size_t)room * sizeof *id);
        if (!id)
            return false;
        s->id = id;
        s->ids_room = room;
    }
    if (ids->n)
        memcpy(s->id + used, ids->id, (size_t)ids->n * sizeof *s->id);
    s->first[s->n++] = used;
    s->first[s->n] = used + ids->n;
    return true;
}

/* ---- their symbols --------------------------------------------------------------------------------------------- */

/* The i-th symbol of a source, whose text before it ends at *at. */
static const char *symbol_at(const sp_coder *c, const char *text, size_t size, const sp_ids *ids, long i, size_t *at,
                             size_t *length)
{
    const sp_level level = c->units == SP_UNITS_CHAR ? SP_LEVEL_CHAR : SP_LEVEL_WORD;
    if (i == ids->n)
        return sp_coder_symbol(c, SP_SENTENCE_END, length);
    if (c->units != SP_UNITS_BPE)
        return sp_text_next(text, size, level, at, length);
    const char *piece = sp_coder_symbol(c, ids->id[i], length);
    const bool space = *length > 1 && *piece == ' ';
    *length -= space;
    return piece + space;
}

char **sp_seq2seq_symbols(const sp_seq2seq *m, const char *text, sp_status *status)
{
    sp_ids ids;
    char *words = NULL;
    if (!m || !text) {
        sp_fail(status, SP_ERR_VALUE, "model: no %s to cut into symbols", m ? "text" : "model");
        return NULL;
    }
    if (!sp_seq2seq_read(m, text, strlen(text), &ids, &words, status)) {
        free(words);
        return NULL;
    }
    const size_t n = (size_t)ids.n + 1, size = strlen(words);
    size_t at = 0, length = 0, bytes = 0;
    for (long i = 0; i <= ids.n; i++, bytes += length + 1)
        symbol_at(m->source, words, size, &ids, i, &at, &length);
    char **symbol = malloc((n + 1) * sizeof *symbol + bytes);
    if (symbol) {
        char *to = (char *)(symbol + n + 1);
        at = 0;
        for (long i = 0; i <= ids.n; i++, to += length + 1) {
            const char *x = symbol_at(m->source, words, size, &ids, i, &at, &length);
            symbol[i] = memcpy(to, x, length);
            to[length] = '\0';
        }
        symbol[n] = NULL;
    } else {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld symbols", ids.n);
    }
    free(ids.id);
    free(words);
    return symbol;
}
