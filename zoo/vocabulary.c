#include "zoo/vocabulary_inside.h"

#include <stdlib.h>
#include <string.h>

#include "nn/json_inside.h"

struct sp_vocabulary {
    sp_level level;
    bool lower, closed;
    int reserved;               /* <unk>, unless closed, and special symbols: the first numbers */
    sp_counts all;              /* the symbols by their numbers; their counts are not kept */
};

/* A longer symbol cannot be lower-cased where no memory is taken, so it is in no lower-case vocabulary. */
enum { LONGEST_LOWER = 1024 };

void sp_vocabulary_free(sp_vocabulary *v)
{
    if (v)
        sp_counts_clear(&v->all);
    free(v);
}

/* A symbol that is not there yet. */
static bool append_new(sp_vocabulary *v, const char *text, size_t length, sp_status *why)
{
    if (!length || sp_map_get(v->all.ids, text, length) >= 0)
        return sp_fail(why, SP_ERR_FORMAT, "a symbol is empty, or there twice");
    return sp_counts_append(&v->all, text, length) || sp_fail(why, SP_ERR_MEMORY, "out of memory");
}

/* A vocabulary without symbols, but <unk>. */
static sp_vocabulary *new_vocabulary(const sp_vocabulary_rule *rule)
{
    sp_vocabulary *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->level = rule->level;
    v->lower = rule->lower;
    v->closed = rule->closed;
    v->all.ids = sp_map_new();
    if (v->all.ids && (rule->closed || sp_counts_append(&v->all, "<unk>", 5))) {
        v->reserved = v->all.size;
        return v;
    }
    sp_vocabulary_free(v);
    return NULL;
}

/* The most frequent first; equal ones by their bytes. */
static int by_count(const void *a, const void *b)
{
    const struct symbol *x = *(const struct symbol *const *)a, *y = *(const struct symbol *const *)b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    size_t least = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, least);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static sp_counts *lowered(const sp_counts *c, sp_status *status)
{
    sp_counts *low = sp_counts_new(status);
    bool ok = low;
    char text[LONGEST_LOWER];
    for (int i = 0; ok && i < c->size; i++)
        if (c->symbol[i].length <= sizeof text) {
            memcpy(text, c->symbol[i].text, c->symbol[i].length);
            sp_text_lower(text, c->symbol[i].length);
            ok = sp_counts_add(low, text, c->symbol[i].length, c->symbol[i].count, status);
        }
    if (ok)
        return low;
    sp_counts_free(low);
    return NULL;
}

/* Appends the symbols that the rule takes; those reserved keep their places. */
static bool take(sp_vocabulary *v, const sp_counts *c, const sp_vocabulary_rule *rule)
{
    const struct symbol **order = malloc(((size_t)c->size + 1) * sizeof *order);
    bool ok = order;
    long taken = 0;
    for (int i = 0; ok && i < c->size; i++)
        order[i] = &c->symbol[i];
    if (ok)
        qsort(order, (size_t)c->size, sizeof *order, by_count);
    for (int i = 0; ok && i < c->size && order[i]->count >= rule->least && (!rule->most || taken < rule->most); i++)
        if (sp_map_get(v->all.ids, order[i]->text, order[i]->length) < 0) {
            ok = sp_counts_append(&v->all, order[i]->text, order[i]->length);
            taken++;
        }
    free(order);
    return ok;
}

sp_vocabulary *sp_vocabulary_new(const sp_counts *c, const sp_vocabulary_rule *rule, sp_status *status)
{
    static const sp_vocabulary_rule everything = { 0 };
    if (!c) {
        sp_fail(status, SP_ERR_VALUE, "vocabulary: nothing was counted");
        return NULL;
    }
    rule = rule ? rule : &everything;
    sp_counts *low = rule->lower ? lowered(c, status) : NULL;
    sp_vocabulary *v = rule->lower && !low ? NULL : new_vocabulary(rule);
    bool ok = v;
    for (const char *const *s = rule->special; ok && s && *s; s++) {
        if (!**s || sp_map_get(v->all.ids, *s, strlen(*s)) >= 0) {
            ok = sp_fail(status, SP_ERR_VALUE, "vocabulary: the special symbol '%s' is there already, or empty", *s);
            break;
        }
        ok = sp_counts_append(&v->all, *s, strlen(*s));
        v->reserved = v->all.size;
    }
    ok = ok && take(v, low ? low : c, rule);
    sp_counts_free(low);
    if (ok)
        return v;
    sp_vocabulary_free(v);
    sp_fail(status, SP_ERR_MEMORY, "vocabulary: out of memory");
    return NULL;
}

sp_vocabulary *sp_vocabulary_of(const char *text, size_t size, sp_level level, long most, sp_status *status)
{
    const sp_vocabulary_rule rule = { .level = level, .most = most };
    sp_counts *c = sp_counts_new(status);
    sp_vocabulary *v = c && sp_counts_add_text(c, text, size, level, status) ? sp_vocabulary_new(c, &rule, status) : NULL;
    sp_counts_free(c);
    return v;
}

int sp_vocabulary_size(const sp_vocabulary *v)
{
    return v->all.size;
}

sp_level sp_vocabulary_level(const sp_vocabulary *v)
{
    return v->level;
}

int sp_vocabulary_id(const sp_vocabulary *v, const char *symbol, size_t length)
{
    char low[LONGEST_LOWER];
    int id = sp_map_get(v->all.ids, symbol, length);
    if (id < 0 && v->lower && length <= sizeof low) {
        memcpy(low, symbol, length);
        sp_text_lower(low, length);
        id = sp_map_get(v->all.ids, low, length);
    }
    return id >= 0 ? id : v->closed ? -1 : SP_UNKNOWN;
}

int sp_vocabulary_id_in_text(const sp_vocabulary *v, const char *symbol, size_t length)
{
    const int id = sp_vocabulary_id(v, symbol, length);
    return id >= v->reserved ? id : v->closed ? -1 : SP_UNKNOWN;
}

const char *sp_vocabulary_symbol(const sp_vocabulary *v, int id, size_t *length)
{
    if (id < 0 || id >= v->all.size) {
        *length = 5;
        return "<unk>";
    }
    *length = v->all.symbol[id].length;
    return v->all.symbol[id].text;
}

/* ---- vocabularies as JSON -------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text, size_t length)
{
    size_t at = 0, n;
    for (const char *s; (s = sp_text_next(text, length, SP_LEVEL_CHAR, &at, &n)); )
        if (n == 1 && (unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* A symbol as a JSON text or, where it is not UTF-8, as the list of its bytes; and back. */
static json_t *symbol_json(const struct symbol *s)
{
    if (is_utf8(s->text, s->length))
        return json_stringn(s->text, s->length);
    json_t *bytes = json_array();
    for (size_t i = 0; bytes && i < s->length; i++)
        if (json_array_append_new(bytes, json_integer((unsigned char)s->text[i]))) {
            json_decref(bytes);
            return NULL;
        }
    return bytes;
}

static bool append_json(sp_vocabulary *v, const json_t *item, sp_status *why)
{
    if (json_is_string(item))
        return append_new(v, json_string_value(item), json_string_length(item), why);
    size_t length = json_array_size(item);
    char *bytes = malloc(length + 1);
    bool ok = bytes || sp_fail(why, SP_ERR_MEMORY, "out of memory");
    for (size_t i = 0; ok && i < length; i++) {
        const json_t *byte = json_array_get(item, i);
        json_int_t value = json_is_integer(byte) ? json_integer_value(byte) : -1;
        ok = (value >= 0 && value <= 255) || sp_fail(why, SP_ERR_FORMAT, "a number of a symbol is no byte");
        bytes[i] = (char)value;
    }
    ok = ok && append_new(v, bytes, length, why);
    free(bytes);
    return ok;
}

/* Version 1: {"level": "char", "symbols": ["e", "t", [255], ...]}. <unk> is not listed.
   Version 2, where that does not say all: {"level": ..., "symbols": [...], "version": 2, "special": 2, "lower": true,
   "closed": false}, the special symbols being the first of those listed. */
enum { VERSION = 2 };

char *sp_vocabulary_write(const sp_vocabulary *v)
{
    const int unknown = !v->closed;
    json_t *list = json_array();
    bool ok = list;
    for (int i = unknown; ok && i < v->all.size; i++)
        ok = !json_array_append_new(list, symbol_json(&v->all.symbol[i]));
    json_t *all = ok ? json_pack("{s:s, s:O}", "level", v->level == SP_LEVEL_CHAR ? "char" : "word", "symbols", list) : NULL;
    if (all && (v->lower || v->closed || v->reserved > unknown))
        if (json_object_set_new(all, "version", json_integer(VERSION))
            || json_object_set_new(all, "special", json_integer(v->reserved - unknown))
            || json_object_set_new(all, "lower", json_boolean(v->lower))
            || json_object_set_new(all, "closed", json_boolean(v->closed))) {
            json_decref(all);
            all = NULL;
        }
    json_decref(list);
    return sp_json_text(all);
}

sp_vocabulary *sp_vocabulary_parse(const char *json, sp_status *status)
{
    sp_status why = { 0 };
    json_t *all = sp_json_value(json, JSON_ALLOW_NUL, &why), *list = json_object_get(all, "symbols"), *item;
    const json_t *of = json_object_get(all, "version");
    const char *level = json_string_value(json_object_get(all, "level"));
    const json_int_t version = of ? json_integer_value(of) : 1;
    json_int_t special = json_integer_value(json_object_get(all, "special"));
    bool known = level && (!strcmp(level, "word") || !strcmp(level, "char")) && (version == 1 || version == VERSION);
    const sp_vocabulary_rule rule = { .level = level && !strcmp(level, "word") ? SP_LEVEL_WORD : SP_LEVEL_CHAR,
                                      .lower = json_is_true(json_object_get(all, "lower")),
                                      .closed = json_is_true(json_object_get(all, "closed")) };
    if (json_is_integer(of) && version != 1 && version != VERSION)
        sp_fail(status, SP_ERR_FORMAT, "the vocabulary is of version %lld, expected 1 or %d", (long long)version, VERSION);
    const bool sound = known && json_is_array(list);
    sp_vocabulary *v = sound ? new_vocabulary(&rule) : NULL;
    size_t i;
    if (sound && !v)
        sp_fail(&why, SP_ERR_MEMORY, "out of memory");
    bool ok = v && special >= 0 && special <= (json_int_t)json_array_size(list);
    json_array_foreach(list, i, item)
        ok = ok && append_json(v, item, &why);
    json_decref(all);
    if (ok) {
        v->reserved += (int)special;
        return v;
    }
    sp_vocabulary_free(v);
    sp_json_refuse("the vocabulary", &why, status);
    return NULL;
}
