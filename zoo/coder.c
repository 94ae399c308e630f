#include "zoo/coder.h"

#include <stdlib.h>
#include <string.h>

static const char *const special[] = { "<s>", "</s>", NULL };

void sp_coder_free(sp_coder *c)
{
    if (c) {
        sp_vocabulary_free(c->vocabulary);
        sp_bpe_free(c->bpe);
        free(c);
    }
}

static sp_coder *new_coder(sp_units units, sp_status *status)
{
    sp_coder *c = calloc(1, sizeof *c);
    if (c)
        c->units = units;
    else
        sp_fail(status, SP_ERR_MEMORY, "coder: out of memory");
    return c;
}

static sp_level level_of(sp_units units)
{
    return units == SP_UNITS_CHAR ? SP_LEVEL_CHAR : SP_LEVEL_WORD;
}

/* ---- learning -------------------------------------------------------------------------------------------------- */

static bool count(sp_counts *counts, sp_units units, const sp_sentences *s, int field, sp_status *status)
{
    bool ok = true;
    for (long i = 0; ok && i < s->n; i++) {
        size_t size;
        char *text = sp_sentence_text(s, field, i, &size);
        ok = (text || sp_fail(status, SP_ERR_MEMORY, "coder: out of memory for sentence %ld", i))
             && (units == SP_UNITS_BPE ? sp_bpe_count(counts, text, size, status)
                                       : sp_counts_add_text(counts, text, size, level_of(units), status));
        free(text);
    }
    return ok;
}

sp_coder *sp_coder_new(sp_units units, const sp_sentences *s, int field, long most, long least, sp_status *status)
{
    if (!s || field < 0 || field >= s->fields) {
        sp_fail(status, SP_ERR_VALUE, "coder: there is no field %d of %d", field, s ? s->fields : 0);
        return NULL;
    }
    const sp_vocabulary_rule rule = { .level = level_of(units), .most = most, .least = least, .special = special };
    const sp_bpe_rule pieces = { .size = most, .least = least > 1 ? least : 0, .special = special };
    sp_coder *c = new_coder(units, status);
    sp_counts *counts = c ? sp_counts_new(status) : NULL;
    if (counts && count(counts, units, s, field, status)) {
        if (units == SP_UNITS_BPE)
            c->bpe = sp_bpe_new(counts, &pieces, status);
        else
            c->vocabulary = sp_vocabulary_new(counts, &rule, status);
    }
    sp_counts_free(counts);
    if (c && (c->bpe || c->vocabulary))
        return c;
    sp_coder_free(c);
    return NULL;
}

/* ---- coding ---------------------------------------------------------------------------------------------------- */

int sp_coder_size(const sp_coder *c)
{
    return c->bpe ? sp_bpe_size(c->bpe) : sp_vocabulary_size(c->vocabulary);
}

bool sp_coder_encode(const sp_coder *c, const char *text, size_t size, sp_ids *ids, sp_status *status)
{
    size_t at = 0, length;
    long room = 0;
    const sp_level level = level_of(c->units);
    *ids = (sp_ids){ 0 };
    if (c->bpe)
        return sp_bpe_encode(c->bpe, text, size, ids, status);
    while (sp_text_next(text, size, level, &at, &length))
        room++;
    if (!(ids->id = malloc((size_t)(room + 1) * sizeof *ids->id)))
        return sp_fail(status, SP_ERR_MEMORY, "coder: out of memory for %ld symbols", room);
    at = 0;
    for (const char *w; (w = sp_text_next(text, size, level, &at, &length)); ) {
        if (level == SP_LEVEL_WORD && *w == '\n')
            continue;
        ids->id[ids->n] = sp_vocabulary_id_in_text(c->vocabulary, w, length);
        ids->unknown += ids->id[ids->n++] == SP_UNKNOWN;
    }
    return true;
}

const char *sp_coder_symbol(const sp_coder *c, int id, size_t *length)
{
    static const char *const first[] = { "<unk>", "<s>", "</s>" };
    if (id >= 0 && id <= SP_SENTENCE_END) {
        *length = strlen(first[id]);
        return first[id];
    }
    return c->bpe ? sp_bpe_symbol(c->bpe, id, length) : sp_vocabulary_symbol(c->vocabulary, id, length);
}

/* Writes the text, or, where out is NULL, nothing. Its bytes. */
static size_t write_text(const sp_coder *c, const int *id, long n, char *out)
{
    size_t bytes = 0, length;
    for (long i = 0; i < n; i++) {
        if (id[i] == SP_SENTENCE_BEGIN || id[i] == SP_SENTENCE_END)
            continue;
        const char *w = sp_coder_symbol(c, id[i], &length);
        const bool space = bytes && c->units == SP_UNITS_WORD;
        if (out && space)
            out[bytes] = ' ';
        if (out)
            memcpy(out + bytes + space, w, length);
        bytes += length + space;
    }
    return bytes;
}

char *sp_coder_decode(const sp_coder *c, const int *id, long n, size_t *size)
{
    if (c->bpe)
        return sp_bpe_decode(c->bpe, id, n, size);
    const size_t bytes = write_text(c, id, n, NULL);
    char *text = malloc(bytes + 1);
    if (!text)
        return NULL;
    text[write_text(c, id, n, text)] = '\0';
    *size = bytes;
    return text;
}

/* Writes a text with U+FFFD for each byte that is none of UTF-8, or, where out is NULL, nothing. Its bytes. */
static size_t write_valid(const char *text, size_t size, char *out)
{
    static const char none[] = "\xEF\xBF\xBD";
    size_t bytes = 0, at = 0, length;
    for (const char *c; (c = sp_text_next(text, size, SP_LEVEL_CHAR, &at, &length)); bytes += length) {
        if (length == 1 && (unsigned char)*c >= 0x80) {
            c = none;
            length = sizeof none - 1;
        }
        if (out)
            memcpy(out + bytes, c, length);
    }
    return bytes;
}

char *sp_coder_show(const sp_coder *c, const int *id, long n, size_t *size)
{
    char *text = sp_coder_decode(c, id, n, size);
    const size_t bytes = text && c->bpe && sp_bpe_letters(c->bpe) ? write_valid(text, *size, NULL) : 0;
    if (!text || bytes <= *size)                        /* each that is none is two more */
        return text;
    char *valid = malloc(bytes + 1);
    if (valid) {
        valid[write_valid(text, *size, valid)] = '\0';
        *size = bytes;
    }
    free(text);
    return valid;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

char *sp_coder_write(const sp_coder *c)
{
    return c->bpe ? sp_bpe_write(c->bpe) : sp_vocabulary_write(c->vocabulary);
}

/* The three symbols have their numbers. */
static bool sound(const sp_coder *c)
{
    return c->bpe ? sp_bpe_special(c->bpe, special[0]) == SP_SENTENCE_BEGIN
                    && sp_bpe_special(c->bpe, special[1]) == SP_SENTENCE_END
                  : sp_vocabulary_id(c->vocabulary, special[0], 3) == SP_SENTENCE_BEGIN
                    && sp_vocabulary_id(c->vocabulary, special[1], 4) == SP_SENTENCE_END
                    && sp_vocabulary_level(c->vocabulary) == level_of(c->units);
}

sp_coder *sp_coder_read(sp_units units, const sp_safetensors *f, const char *part, sp_status *status)
{
    sp_coder *c = new_coder(units, status);
    bool ok = c;
    if (ok && units == SP_UNITS_BPE)
        ok = (c->bpe = sp_model_bpe(f, part, status));
    else if (ok)
        ok = (c->vocabulary = sp_model_vocabulary(f, part, status));
    if (ok && !sound(c)) {
        const sp_status why = { SP_ERR_FORMAT, "its vocabulary is not one of sentences with <s> and </s>" };
        sp_model_refuse(f, &why, status);
        ok = false;
    }
    if (ok)
        return c;
    sp_coder_free(c);
    return NULL;
}
