#include "zoo/text.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "autograd/file.h"
#include "autograd/map.h"

/* ---- symbols --------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 code point at s, or 1 if there is none. Over-long forms, surrogates and numbers over 10FFFF are none;
   the second byte tells (Unicode standard, table 3-7). */
static size_t code_point_length(const unsigned char *s, size_t left)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t n = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : s[0] >= 0xE0 && s[0] <= 0xEF ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 1;
    if (n == 1 || n > left)
        return 1;
    if (s[0] == 0xE0)
        low = 0xA0;
    if (s[0] == 0xED)
        high = 0x9F;
    if (s[0] == 0xF0)
        low = 0x90;
    if (s[0] == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < n; i++) {
        if (s[i] < low || s[i] > high)
            return 1;
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

const char *sp_text_next(const char *text, size_t size, sp_level level, size_t *at, size_t *length)
{
    size_t begin = *at, end;
    if (level == SP_LEVEL_WORD)
        while (begin < size && blank(text[begin]))
            begin++;
    if (begin >= size)
        return NULL;
    if (level == SP_LEVEL_CHAR || text[begin] == '\n')
        end = begin + code_point_length((const unsigned char *)text + begin, size - begin);
    else
        for (end = begin; end < size && !blank(text[end]) && text[end] != '\n'; )
            end++;
    *at = end;
    *length = end - begin;
    return text + begin;
}

char *sp_text_read(const char *path, size_t *size, sp_status *status)
{
    char *text = sp_file_read(path, size, status);
    const char *zero = text ? memchr(text, 0, *size) : NULL;
    if (text && !*size)
        sp_fail(status, SP_ERR_FORMAT, "%s: is empty", path);
    else if (zero)
        sp_fail(status, SP_ERR_FORMAT, "%s: is not text: byte %zu is zero", path, (size_t)(zero - text));
    else
        return text;
    free(text);
    return NULL;
}

/* ---- vocabularies ---------------------------------------------------------------------------------------------- */

struct symbol {
    char *text;
    size_t length;
    long count;
};

struct sp_vocabulary {
    sp_level level;
    sp_map *ids;
    struct symbol *symbol;      /* [size] */
    int size, room;
};

void sp_vocabulary_free(sp_vocabulary *v)
{
    if (!v)
        return;
    for (int i = 0; i < v->size; i++)
        free(v->symbol[i].text);
    free(v->symbol);
    sp_map_free(v->ids);
    free(v);
}

static bool append(sp_vocabulary *v, const char *text, size_t length)
{
    if (v->size == v->room) {
        int room = v->room ? 2 * v->room : 256;
        struct symbol *more = realloc(v->symbol, (size_t)room * sizeof *more);
        if (!more)
            return false;
        v->symbol = more;
        v->room = room;
    }
    char *copy = malloc(length + 1);
    if (!copy || !sp_map_put(v->ids, text, length, v->size)) {
        free(copy);
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    v->symbol[v->size++] = (struct symbol){ .text = copy, .length = length };
    return true;
}

static sp_vocabulary *new_vocabulary(sp_level level)
{
    sp_vocabulary *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->level = level;
    v->ids = sp_map_new();
    if (v->ids && append(v, "<unk>", 5))
        return v;
    sp_vocabulary_free(v);
    return NULL;
}

/* The most frequent first; equal ones by their bytes. <unk> keeps its place. */
static int by_count(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    size_t least = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, least);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* Counts the symbols of a text in the order they are met. */
static bool count_symbols(sp_vocabulary *v, const char *text, size_t size)
{
    size_t at = 0, length;
    for (const char *s; (s = sp_text_next(text, size, v->level, &at, &length)); ) {
        int id = sp_map_get(v->ids, s, length);
        if (id < 0) {
            id = v->size;
            if (!append(v, s, length))
                return false;
        }
        v->symbol[id].count++;
    }
    return true;
}

sp_vocabulary *sp_vocabulary_of(const char *text, size_t size, sp_level level, long most, sp_status *status)
{
    sp_vocabulary *all = new_vocabulary(level), *v = new_vocabulary(level);
    bool ok = all && v && count_symbols(all, text, size);
    if (ok) {
        all->symbol[SP_UNKNOWN].count = 0;
        qsort(all->symbol + 1, (size_t)all->size - 1, sizeof *all->symbol, by_count);
    }
    for (int i = 1; ok && i < all->size && (!most || i <= most); i++)
        ok = append(v, all->symbol[i].text, all->symbol[i].length);
    sp_vocabulary_free(all);
    if (ok)
        return v;
    sp_vocabulary_free(v);
    sp_fail(status, SP_ERR_MEMORY, "vocabulary: out of memory");
    return NULL;
}

int sp_vocabulary_size(const sp_vocabulary *v)
{
    return v->size;
}

sp_level sp_vocabulary_level(const sp_vocabulary *v)
{
    return v->level;
}

int sp_vocabulary_id(const sp_vocabulary *v, const char *symbol, size_t length)
{
    int id = sp_map_get(v->ids, symbol, length);
    return id < 0 ? SP_UNKNOWN : id;
}

const char *sp_vocabulary_symbol(const sp_vocabulary *v, int id, size_t *length)
{
    if (id < 0 || id >= v->size)
        id = SP_UNKNOWN;
    *length = v->symbol[id].length;
    return v->symbol[id].text;
}

static bool is_utf8(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0, n; i < length; i += n)
        if ((n = code_point_length(s + i, length - i)) == 1 && s[i] >= 0x80)
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

static bool append_new(sp_vocabulary *v, const char *text, size_t length)
{
    return length && sp_map_get(v->ids, text, length) < 0 && append(v, text, length);
}

static bool append_json(sp_vocabulary *v, const json_t *item)
{
    if (json_is_string(item))
        return append_new(v, json_string_value(item), json_string_length(item));
    size_t length = json_array_size(item);
    char *bytes = malloc(length + 1);
    bool ok = bytes;
    for (size_t i = 0; ok && i < length; i++) {
        const json_t *byte = json_array_get(item, i);
        json_int_t value = json_is_integer(byte) ? json_integer_value(byte) : -1;
        ok = value >= 0 && value <= 255;
        bytes[i] = (char)value;
    }
    ok = ok && append_new(v, bytes, length);
    free(bytes);
    return ok;
}

/* {"level": "char", "symbols": ["e", "t", [255], ...]}. <unk> is not listed. */
char *sp_vocabulary_write(const sp_vocabulary *v)
{
    json_t *list = json_array();
    bool ok = list;
    for (int i = 1; ok && i < v->size; i++)
        ok = !json_array_append_new(list, symbol_json(&v->symbol[i]));
    json_t *all = ok ? json_pack("{s:s, s:O}", "level", v->level == SP_LEVEL_CHAR ? "char" : "word", "symbols", list) : NULL;
    /* Not json_dumps: where it gets no memory for a key it leaves the key out and goes on (Jansson 2.14). */
    size_t size = all ? json_dumpb(all, NULL, 0, JSON_COMPACT) : 0;
    char *text = size ? calloc(1, size + 1) : NULL;
    if (text && json_dumpb(all, text, size, JSON_COMPACT) != size) {
        free(text);
        text = NULL;
    }
    json_decref(all);
    json_decref(list);
    return text;
}

sp_vocabulary *sp_vocabulary_parse(const char *json, sp_status *status)
{
    json_t *all = json ? json_loads(json, JSON_ALLOW_NUL, NULL) : NULL, *list = json_object_get(all, "symbols"), *item;
    const char *level = json_string_value(json_object_get(all, "level"));
    const json_t *version = json_object_get(all, "version");        /* the first, this one, does not name itself */
    size_t i;
    if (version && !(json_is_integer(version) && json_integer_value(version) == 1)) {
        sp_fail(status, SP_ERR_FORMAT, "the vocabulary is of version %lld, not 1", (long long)json_integer_value(version));
        json_decref(all);
        return NULL;
    }
    bool word = level && !strcmp(level, "word"), known = word || (level && !strcmp(level, "char"));
    sp_vocabulary *v = known && json_is_array(list) ? new_vocabulary(word ? SP_LEVEL_WORD : SP_LEVEL_CHAR) : NULL;
    bool ok = v;
    json_array_foreach(list, i, item)
        ok = ok && append_json(v, item);
    json_decref(all);
    if (ok)
        return v;
    sp_vocabulary_free(v);
    sp_fail(status, SP_ERR_FORMAT, "the vocabulary cannot be read");
    return NULL;
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

bool sp_encode(const sp_vocabulary *v, const char *text, size_t size, sp_ids *ids, sp_status *status)
{
    size_t at = 0, length;
    long n = 0;
    while (sp_text_next(text, size, v->level, &at, &length))
        n++;
    *ids = (sp_ids){ .id = malloc((size_t)(n + 1) * sizeof *ids->id) };
    if (!ids->id)
        return sp_fail(status, SP_ERR_MEMORY, "text: out of memory for %ld symbols", n);
    at = 0;
    for (const char *s; (s = sp_text_next(text, size, v->level, &at, &length)); ) {
        int id = sp_vocabulary_id(v, s, length);
        ids->unknown += id == SP_UNKNOWN;
        ids->id[ids->n++] = id;
    }
    return true;
}
