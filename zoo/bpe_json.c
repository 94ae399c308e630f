#include <stdlib.h>
#include <string.h>

#include "zoo/bpe_inside.h"
#include "nn/json_inside.h"

enum { VERSION = 1 };

static bool add_number(json_t *list, int number)
{
    return !json_array_append_new(list, json_integer(number));
}

/* {"kind": "byte pairs", "version": 1, "special": ["<s>"], "letters": ["\u00e9", ...], "joins": [left, right, left, ...]} */
char *sp_bpe_write(const sp_bpe *b)
{
    json_t *special = json_array(), *letters = json_array(), *joins = json_array(), *all = NULL;
    bool ok = special && letters && joins;
    size_t length;
    for (int i = 1; ok && i < b->specials + SP_BPE_BYTES + b->letters; i++) {
        const char *s = sp_bpe_symbol(b, i, &length);
        if (i < b->specials || i >= b->specials + SP_BPE_BYTES)
            ok = !json_array_append_new(i < b->specials ? special : letters, json_stringn(s, length));
    }
    for (int i = 0; ok && i < b->joins; i++)
        ok = add_number(joins, b->join[i].left) && add_number(joins, b->join[i].right);
    if (ok)
        all = json_pack("{s:s, s:i, s:O, s:O, s:O}", "kind", "byte pairs", "version", VERSION, "special", special, "letters",
                        letters, "joins", joins);
    json_decref(special);
    json_decref(letters);
    json_decref(joins);
    return sp_json_text(all);
}

/* A number below `size`; -1 for what is none. */
static int number(const json_t *item, int size)
{
    const json_int_t value = json_is_integer(item) ? json_integer_value(item) : -1;
    return value >= 0 && value < size ? (int)value : -1;
}

static sp_bpe *from_lists(const json_t *special, const json_t *letters, const json_t *joins, sp_status *why)
{
    const size_t n = json_array_size(special);
    const char **names = calloc(n + 1, sizeof *names);
    bool ok = (names || sp_fail(why, SP_ERR_MEMORY, "out of memory")) && json_is_array(special) && json_is_array(letters)
              && json_is_array(joins) && json_array_size(joins) % 2 == 0;
    for (size_t i = 0; ok && i < n; i++)
        ok = (names[i] = json_string_value(json_array_get(special, i))) != NULL;
    sp_bpe *b = ok ? sp_bpe_empty(names, why) : NULL;
    free(names);
    ok = b;
    for (size_t i = 0; ok && i < json_array_size(letters); i++) {
        const json_t *letter = json_array_get(letters, i);
        size_t at = 0, length = 0;
        const char *s = json_string_value(letter);
        ok = s && sp_text_next(s, json_string_length(letter), SP_LEVEL_CHAR, &at, &length)
             && length == json_string_length(letter) && sp_bpe_add_letter(b, s, length, why);
    }
    for (size_t i = 0; ok && i < json_array_size(joins); i += 2)
        ok = sp_bpe_add_join(b, number(json_array_get(joins, i), b->size), number(json_array_get(joins, i + 1), b->size), why);
    if (ok)
        return b;
    sp_bpe_free(b);
    return NULL;
}

sp_bpe *sp_bpe_parse(const char *json, sp_status *status)
{
    sp_status why = { 0 };
    json_t *all = sp_json_value(json, 0, &why);
    const char *kind = json_string_value(json_object_get(all, "kind"));
    const json_t *version = json_object_get(all, "version");
    const bool ours = kind && !strcmp(kind, "byte pairs") && json_is_integer(version);
    sp_bpe *b = NULL;
    if (ours && json_integer_value(version) != VERSION)
        sp_fail(status, SP_ERR_FORMAT, "the byte pairs are of version %lld, expected %d", (long long)json_integer_value(version),
                VERSION);
    else if (ours)
        b = from_lists(json_object_get(all, "special"), json_object_get(all, "letters"), json_object_get(all, "joins"), &why);
    json_decref(all);
    if (!b)
        sp_json_refuse("the byte pairs", &why, status);
    return b;
}
