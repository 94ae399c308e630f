#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/vocabulary_inside.h"

void sp_counts_clear(sp_counts *c)
{
    for (int i = 0; i < c->size; i++)
        free(c->symbol[i].text);
    free(c->symbol);
    sp_map_free(c->ids);
}

bool sp_counts_append(sp_counts *c, const char *text, size_t length)
{
    if (c->size == c->room) {
        int room = c->room ? 2 * c->room : 256;
        struct symbol *more = realloc(c->symbol, (size_t)room * sizeof *more);
        if (!more)
            return false;
        c->symbol = more;
        c->room = room;
    }
    char *copy = malloc(length + 1);
    if (!copy || !sp_map_put(c->ids, text, length, c->size)) {
        free(copy);
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    c->symbol[c->size++] = (struct symbol){ .text = copy, .length = length };
    return true;
}

sp_counts *sp_counts_new(sp_status *status)
{
    sp_counts *c = calloc(1, sizeof *c);
    if (c && (c->ids = sp_map_new()))
        return c;
    free(c);
    sp_fail(status, SP_ERR_MEMORY, "counts: out of memory");
    return NULL;
}

void sp_counts_free(sp_counts *c)
{
    if (c)
        sp_counts_clear(c);
    free(c);
}

bool sp_counts_add(sp_counts *c, const char *symbol, size_t length, long times, sp_status *status)
{
    if (!c || !symbol || !length || times < 0)
        return sp_fail(status, SP_ERR_VALUE, "counts: a symbol of %zu bytes met %ld times", symbol ? length : 0, times);
    int id = sp_map_get(c->ids, symbol, length);
    if (id < 0) {
        id = c->size;
        if (!sp_counts_append(c, symbol, length))
            return sp_fail(status, SP_ERR_MEMORY, "counts: out of memory for %d symbols", id + 1);
    }
    if (times > LONG_MAX - c->symbol[id].count)
        return sp_fail(status, SP_ERR_VALUE, "counts: a symbol met %ld times and %ld times more, expected %ld in all at most",
                       c->symbol[id].count, times, LONG_MAX);
    c->symbol[id].count += times;
    return true;
}

bool sp_counts_add_text(sp_counts *c, const char *text, size_t size, sp_level level, sp_status *status)
{
    size_t at = 0, length;
    bool ok = true;
    for (const char *s; ok && (s = sp_text_next(text, size, level, &at, &length)); )
        ok = sp_counts_add(c, s, length, 1, status);
    return ok;
}

long sp_counts_size(const sp_counts *c)
{
    return c ? c->size : 0;
}

const char *sp_counts_symbol(const sp_counts *c, long i, size_t *length, long *times)
{
    if (i < 0 || i >= sp_counts_size(c))
        return NULL;
    *length = c->symbol[i].length;
    *times = c->symbol[i].count;
    return c->symbol[i].text;
}
