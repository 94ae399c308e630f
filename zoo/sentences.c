#include "zoo/sentences.h"

#include <stdlib.h>
#include <string.h>

sp_sentences *sp_sentences_new(int fields, sp_status *status)
{
    if (fields < 1 || fields > SP_MOST_FIELDS) {
        sp_fail(status, SP_ERR_VALUE, "sentences: %d fields, expected 1 to %d", fields, SP_MOST_FIELDS);
        return NULL;
    }
    sp_sentences *s = calloc(1, sizeof *s);
    bool ok = s;
    if (s) {
        *s = (sp_sentences){ .fields = fields, .room = 64 };
        for (int f = 0; f < fields; f++) {
            s->field[f] = (sp_field){ .level = SP_LEVEL_WORD, .room = 256, .text_room = 1024 };
            s->field[f].first = calloc((size_t)s->room + 1, sizeof(long));
            s->field[f].at = calloc((size_t)s->field[f].room + 1, sizeof(size_t));
            s->field[f].text = calloc(1, s->field[f].text_room);
            ok = ok && s->field[f].first && s->field[f].at && s->field[f].text;
        }
    }
    if (ok)
        return s;
    sp_sentences_free(s);
    sp_fail(status, SP_ERR_MEMORY, "sentences: out of memory");
    return NULL;
}

void sp_sentences_free(sp_sentences *s)
{
    if (!s)
        return;
    for (int f = 0; f < s->fields; f++) {
        free(s->field[f].first);
        free(s->field[f].at);
        free(s->field[f].text);
    }
    free(s);
}

static bool no_memory(const sp_sentences *s, sp_status *status)
{
    return sp_fail(status, SP_ERR_MEMORY, "sentences: out of memory behind sentence %ld", s->n);
}

/* Room for one string more, of `length` bytes. */
static bool reserve(sp_field *f, size_t length)
{
    const size_t used = f->at[f->strings];
    if (f->strings == f->room) {
        size_t *more = realloc(f->at, (2 * (size_t)f->room + 1) * sizeof *more);
        if (!more)
            return false;
        f->at = more;
        f->room *= 2;
    }
    if (length >= f->text_room - used) {
        size_t room = 2 * f->text_room > used + length + 1 ? 2 * f->text_room : used + length + 1;
        char *more = length < SIZE_MAX / 4 ? realloc(f->text, room) : NULL;
        if (!more)
            return false;
        f->text = more;
        f->text_room = room;
    }
    return true;
}

bool sp_sentences_put(sp_sentences *s, int field, const char *string, size_t length, sp_status *status)
{
    if (!s || !string || field < 0 || field >= s->fields)
        return sp_fail(status, SP_ERR_VALUE, "sentences: no field %d of %d, or no string", field, s ? s->fields : 0);
    if (!length || memchr(string, 0, length))
        return sp_fail(status, SP_ERR_VALUE, "sentences: a string of %zu bytes%s", length, length ? " with a zero" : "");
    sp_field *f = &s->field[field];
    if (!reserve(f, length))
        return no_memory(s, status);
    char *at = f->text + f->at[f->strings];
    memcpy(at, string, length);
    at[length] = '\0';
    f->at[f->strings + 1] = f->at[f->strings] + length + 1;
    f->strings++;
    return true;
}

bool sp_sentences_put_text(sp_sentences *s, int field, const char *text, size_t size, sp_level level, sp_status *status)
{
    size_t at = 0, length;
    bool ok = true;
    if (!s || !text || field < 0 || field >= s->fields)
        return sp_fail(status, SP_ERR_VALUE, "sentences: no field %d of %d, or no text", field, s ? s->fields : 0);
    const long before = s->field[field].strings;
    for (const char *w; ok && (w = sp_text_next(text, size, level, &at, &length)); )
        if (level == SP_LEVEL_CHAR || *w != '\n')
            ok = sp_sentences_put(s, field, w, length, status);
    if (ok)
        s->field[field].level = level;
    else
        s->field[field].strings = before;
    return ok;
}

bool sp_sentences_end(sp_sentences *s, sp_status *status)
{
    if (!s)
        return sp_fail(status, SP_ERR_VALUE, "sentences: there are none");
    if (s->n == s->room) {
        for (int f = 0; f < s->fields; f++) {
            long *more = realloc(s->field[f].first, (2 * (size_t)s->room + 1) * sizeof *more);
            if (!more)
                return no_memory(s, status);
            s->field[f].first = more;
        }
        s->room *= 2;
    }
    s->n++;
    for (int f = 0; f < s->fields; f++)
        s->field[f].first[s->n] = s->field[f].strings;
    return true;
}

long sp_sentence_length(const sp_sentences *s, int f, long i)
{
    return s && f >= 0 && f < s->fields && i >= 0 && i < s->n ? s->field[f].first[i + 1] - s->field[f].first[i] : 0;
}

const char *sp_sentence_word(const sp_sentences *s, int f, long i, long j, size_t *length)
{
    if (j < 0 || j >= sp_sentence_length(s, f, i)) {
        if (length)
            *length = 0;
        return "";
    }
    const sp_field *field = &s->field[f];
    const long k = field->first[i] + j;
    if (length)
        *length = field->at[k + 1] - field->at[k] - 1;
    return field->text + field->at[k];
}

/* Writes a sentence, or, where out is NULL, nothing. Its bytes. */
static size_t write_text(const sp_sentences *s, int f, long i, char *out)
{
    const long n = sp_sentence_length(s, f, i);
    const bool letters = n && s->field[f].level == SP_LEVEL_CHAR;
    size_t bytes = 0, length;
    for (long j = 0; j < n; j++) {
        const char *w = sp_sentence_word(s, f, i, j, &length);
        if (!letters && j) {
            if (out)
                out[bytes] = ' ';
            bytes++;
        }
        if (out)
            memcpy(out + bytes, w, length);
        bytes += length;
    }
    return bytes;
}

char *sp_sentence_text(const sp_sentences *s, int f, long i, size_t *size)
{
    const size_t bytes = write_text(s, f, i, NULL);
    char *text = malloc(bytes + 1);
    if (!text)
        return NULL;
    text[write_text(s, f, i, text)] = '\0';
    if (size)
        *size = bytes;
    return text;
}

char *sp_sentences_lines(const sp_sentences *s, int f, size_t *size)
{
    size_t bytes = 0;
    for (long i = 0; s && i < s->n; i++)
        bytes += write_text(s, f, i, NULL) + 1;
    char *text = malloc(bytes + 1), *at = text;
    if (!text)
        return NULL;
    for (long i = 0; s && i < s->n; i++) {
        at += write_text(s, f, i, at);
        *at++ = '\n';
    }
    *at = '\0';
    if (size)
        *size = bytes;
    return text;
}

bool sp_sentences_put_field(sp_sentences *s, int field, const sp_sentences *from, int f, long i, sp_status *status)
{
    bool ok = true;
    if (!s || field < 0 || field >= s->fields)
        return sp_fail(status, SP_ERR_VALUE, "sentences: no field %d of %d", field, s ? s->fields : 0);
    if (!from || f < 0 || f >= from->fields || i < 0 || i >= from->n)
        return sp_fail(status, SP_ERR_VALUE, "sentences: no field %d of %d in sentence %ld of %ld", f, from ? from->fields : 0, i,
                       from ? from->n : 0);
    if (s == from && field == f)
        return sp_fail(status, SP_ERR_VALUE, "sentences: field %d cannot be put into itself", f);
    const long before = s->field[field].strings;
    for (long j = 0; ok && j < sp_sentence_length(from, f, i); j++) {
        size_t length;
        const char *w = sp_sentence_word(from, f, i, j, &length);
        ok = sp_sentences_put(s, field, w, length, status);
    }
    if (!ok)
        s->field[field].strings = before;
    return ok;
}

static bool copy(sp_sentences *to, const sp_sentences *from, long i, sp_status *status)
{
    bool ok = true;
    for (int f = 0; ok && f < from->fields; f++)
        ok = sp_sentences_put_field(to, f, from, f, i, status);
    return ok && sp_sentences_end(to, status);
}

static sp_sentences *like(const sp_sentences *s, sp_status *status)
{
    sp_sentences *to = s ? sp_sentences_new(s->fields, status) : NULL;
    if (!s)
        sp_fail(status, SP_ERR_VALUE, "sentences: there are none");
    for (int f = 0; to && f < s->fields; f++)
        to->field[f].level = s->field[f].level;
    return to;
}

sp_sentences *sp_sentences_choose(const sp_sentences *s, const long *index, long n, sp_status *status)
{
    sp_sentences *to = like(s, status);
    bool ok = to;
    for (long k = 0; ok && k < n; k++)
        ok = index[k] >= 0 && index[k] < s->n ? copy(to, s, index[k], status)
             : sp_fail(status, SP_ERR_VALUE, "sentences: there is no %ld among %ld", index[k], s->n);
    if (ok)
        return to;
    sp_sentences_free(to);
    return NULL;
}

sp_sentences *sp_sentences_within(const sp_sentences *s, long least, long most, sp_status *status)
{
    sp_sentences *to = like(s, status);
    bool ok = to;
    for (long i = 0; ok && i < s->n; i++) {
        bool within = true;
        for (int f = 0; f < s->fields; f++)
            within = within && sp_sentence_length(s, f, i) >= least && sp_sentence_length(s, f, i) <= most;
        ok = !within || copy(to, s, i, status);
    }
    if (ok)
        return to;
    sp_sentences_free(to);
    return NULL;
}
