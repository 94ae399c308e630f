/* Texts and sentences as numbers. */
#include <stdlib.h>
#include <string.h>

#include "zoo/sentences.h"

/* What is not there has the number of what cannot be there. */
static int unknown_of(const sp_vocabulary *v)
{
    return sp_vocabulary_id_in_text(v, "", 0);
}

bool sp_encode(const sp_vocabulary *v, const char *text, size_t size, sp_ids *ids, sp_status *status)
{
    const sp_level level = sp_vocabulary_level(v);
    const int unknown = unknown_of(v);
    size_t at = 0, length;
    long n = 0;
    while (sp_text_next(text, size, level, &at, &length))
        n++;
    *ids = (sp_ids){ .id = malloc((size_t)(n + 1) * sizeof *ids->id) };
    if (!ids->id)
        return sp_fail(status, SP_ERR_MEMORY, "text: out of memory for %ld symbols", n);
    at = 0;
    for (const char *s; (s = sp_text_next(text, size, level, &at, &length)); ) {
        const int id = sp_vocabulary_id_in_text(v, s, length);
        ids->unknown += id == unknown && !(length == 5 && !memcmp(s, "<unk>", 5));
        ids->id[ids->n++] = id;
    }
    return true;
}

/* ---- sentences ------------------------------------------------------------------------------------------------- */

/* The field, or NULL with an error. */
static const sp_field *field_of(const sp_sentences *s, int f, sp_status *status)
{
    if (s && f >= 0 && f < s->fields)
        return &s->field[f];
    sp_fail(status, SP_ERR_VALUE, "sentences: no field %d of %d", f, s ? s->fields : 0);
    return NULL;
}

static size_t length_of(const sp_field *field, long k)
{
    return field->at[k + 1] - field->at[k] - 1;
}

bool sp_counts_add_field(sp_counts *c, const sp_sentences *s, int f, sp_status *status)
{
    const sp_field *field = field_of(s, f, status);
    bool ok = field;
    for (long k = 0; ok && k < field->first[s->n]; k++)
        ok = sp_counts_add(c, field->text + field->at[k], length_of(field, k), 1, status);
    return ok;
}

bool sp_counts_add_letters(sp_counts *c, const sp_sentences *s, int f, sp_status *status)
{
    const sp_field *field = field_of(s, f, status);
    bool ok = field;
    for (long k = 0; ok && k < field->first[s->n]; k++)
        ok = sp_counts_add_text(c, field->text + field->at[k], length_of(field, k), SP_LEVEL_CHAR, status);
    return ok;
}

static sp_vocabulary *vocabulary(const sp_sentences *s, int f, const sp_vocabulary_rule *rule,
                                 bool (*add)(sp_counts *, const sp_sentences *, int, sp_status *), sp_status *status)
{
    sp_counts *c = sp_counts_new(status);
    sp_vocabulary *v = c && add(c, s, f, status) ? sp_vocabulary_new(c, rule, status) : NULL;
    sp_counts_free(c);
    return v;
}

sp_vocabulary *sp_vocabulary_of_field(const sp_sentences *s, int f, const sp_vocabulary_rule *rule, sp_status *status)
{
    return vocabulary(s, f, rule, sp_counts_add_field, status);
}

sp_vocabulary *sp_vocabulary_of_letters(const sp_sentences *s, int f, const sp_vocabulary_rule *rule, sp_status *status)
{
    return vocabulary(s, f, rule, sp_counts_add_letters, status);
}

bool sp_encode_field(const sp_vocabulary *v, const sp_sentences *s, int f, sp_ids *ids, sp_status *status)
{
    const sp_field *field = field_of(s, f, status);
    *ids = (sp_ids){ 0 };
    if (!field || !v)
        return sp_fail(status, SP_ERR_VALUE, "sentences: no vocabulary");
    const long n = field->first[s->n];
    if (!(ids->id = malloc(((size_t)n + 1) * sizeof *ids->id)))
        return sp_fail(status, SP_ERR_MEMORY, "sentences: out of memory for %ld symbols", n);
    for (const int unknown = unknown_of(v); ids->n < n; ids->n++) {
        const int id = sp_vocabulary_id_in_text(v, field->text + field->at[ids->n], length_of(field, ids->n));
        ids->id[ids->n] = id;
        ids->unknown += id == unknown;
    }
    return true;
}

bool sp_encode_letters(const sp_vocabulary *v, const sp_sentences *s, int f, sp_letters *letters, sp_status *status)
{
    const sp_field *field = field_of(s, f, status);
    *letters = (sp_letters){ 0 };
    if (!field || !v)
        return sp_fail(status, SP_ERR_VALUE, "sentences: no vocabulary");
    const long n = field->first[s->n];
    letters->id = malloc((field->at[n] + 1) * sizeof *letters->id);     /* a letter is a byte or more */
    letters->at = malloc(((size_t)n + 1) * sizeof *letters->at);
    if (!letters->id || !letters->at) {
        free(letters->id);
        free(letters->at);
        *letters = (sp_letters){ 0 };
        return sp_fail(status, SP_ERR_MEMORY, "sentences: out of memory for %zu letters", field->at[n]);
    }
    const int unknown = unknown_of(v);
    long count = 0;
    for (long k = 0; k < n; k++) {
        size_t at = 0, length;
        letters->at[k] = count;
        for (const char *c; (c = sp_text_next(field->text + field->at[k], length_of(field, k), SP_LEVEL_CHAR, &at, &length)); ) {
            letters->id[count] = sp_vocabulary_id_in_text(v, c, length);
            letters->unknown += letters->id[count++] == unknown;
        }
    }
    letters->at[n] = count;
    letters->n = n;
    return true;
}
