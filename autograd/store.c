#include "autograd/store.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/arena.h"
#include "autograd/blas.h"
#include "autograd/map.h"

struct sp_store {
    sp_map *by_name;            /* the index of each */
    sp_param **by_index;        /* [room] */
    int count, room;
    sp_real *values;            /* [capacity] */
    long size, capacity;
    uint64_t seed;
    sp_arena arena;             /* parameters with their names, layers */
    atomic_int tapes;
    atomic_ulong version;       /* of the values */
    atomic_bool abandoned;      /* freed while tapes lived */
    int statistics;
    long declared, limit;       /* numbers without padding; 0: no limit */
    sp_status status;
};

enum { ALIGN_REALS = SP_ALIGN / sizeof(sp_real) };

static const sp_status no_store = { SP_ERR_MEMORY, "store: out of memory" };

sp_store *sp_store_new(uint64_t seed)
{
    sp_store *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->seed = seed;
    s->by_name = sp_map_new();
    if (!s->by_name) {
        free(s);
        return NULL;
    }
    return s;
}

static void free_now(sp_store *s)
{
    for (int i = 0; i < s->count; i++)
        sp_packing_release(s->by_index[i]->packing);
    sp_map_free(s->by_name);
    sp_arena_free(&s->arena);
    free(s->by_index);
    free(s->values);
    free(s);
}

void sp_store_free(sp_store *s)
{
    if (!s)
        return;
    atomic_store(&s->abandoned, true);
    if (!atomic_load(&s->tapes))
        free_now(s);
}

static bool grow_values(sp_store *s, long size)
{
    if (size <= s->capacity)
        return true;
    long capacity = size > 2 * s->capacity ? size : 2 * s->capacity;
    sp_real *values = sp_aligned_calloc((size_t)capacity * sizeof *values);
    if (!values)
        return false;
    if (s->size)
        memcpy(values, s->values, (size_t)s->size * sizeof *values);
    free(s->values);
    s->values = values;
    s->capacity = capacity;
    return true;
}

static bool grow_index(sp_store *s)
{
    if (s->count < s->room)
        return true;
    int room = s->room ? 2 * s->room : 16;
    sp_param **list = realloc(s->by_index, (size_t)room * sizeof *list);
    if (!list)
        return false;
    s->by_index = list;
    s->room = room;
    return true;
}

static sp_param *add(sp_store *s, sp_shape shape, bool statistic, const char *format, va_list args)
{
    char name[256], text[SP_SHAPE_TEXT];
    if (!sp_store_ok(s))
        return NULL;
    int length = format ? vsnprintf(name, sizeof name, format, args) : 0;
    long size = sp_shape_size(shape);
    sp_param *p = NULL;
    if (length < 1 || length >= (int)sizeof name)
        sp_store_fail(s, SP_ERR_VALUE, "store: a parameter name has %d characters, not 1 to %d", length,
                      (int)sizeof name - 1);
    else if (atomic_load(&s->tapes))
        sp_store_fail(s, SP_ERR_STATE, "store: parameter '%s' added while %d tape(s) use the store", name,
                      atomic_load(&s->tapes));
    else if (size < 1)
        sp_store_fail(s, SP_ERR_SHAPE, "store: parameter '%s' has the shape %s", name, sp_shape_format(text, shape));
    else if (strstr(name, "(null)"))            /* what printf makes of NULL */
        sp_store_fail(s, SP_ERR_VALUE, "store: parameter '%s': a part of its name is NULL", name);
    else if (!strncmp(name, "__", 2))
        sp_store_fail(s, SP_ERR_VALUE, "store: parameter '%s': names that begin with __ are kept for files", name);
    else if (sp_store_find(s, name))
        sp_store_fail(s, SP_ERR_VALUE, "store: there are two parameters named '%s'", name);
    else if (s->limit && size > s->limit - s->declared)
        sp_store_fail(s, SP_ERR_VALUE, "store: parameter '%s' %s is more than the %ld numbers that are left of %ld", name,
                      sp_shape_format(text, shape), s->limit - s->declared, s->limit);
    else
        p = sp_store_alloc(s, sizeof *p + (size_t)length + 1);
    struct sp_packing *packing = p ? sp_store_alloc(s, sp_packing_size()) : NULL;
    if (!packing)
        return NULL;
    long padded = (size + ALIGN_REALS - 1) / ALIGN_REALS * ALIGN_REALS;
    *p = (sp_param){ .name = memcpy(p + 1, name, (size_t)length + 1), .shape = shape, .store = s, .index = s->count,
                     .offset = s->size, .statistic = statistic, .packing = packing };
    if (!grow_values(s, s->size + padded) || !grow_index(s) || !sp_map_put(s->by_name, name, (size_t)length, p->index)) {
        sp_store_fail(s, SP_ERR_MEMORY, "store: out of memory for parameter '%s' of %ld numbers", name, size);
        return NULL;
    }
    s->by_index[s->count++] = p;
    s->size += padded;
    s->statistics += statistic;
    s->declared += size;
    return p;
}

sp_param *sp_store_add(sp_store *s, sp_shape shape, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    sp_param *p = add(s, shape, false, format, args);
    va_end(args);
    return p;
}

sp_param *sp_store_add_statistic(sp_store *s, sp_shape shape, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    sp_param *p = add(s, shape, true, format, args);
    va_end(args);
    return p;
}

bool sp_store_has_statistics(const sp_store *s)
{
    return s && s->statistics > 0;
}

bool sp_store_next_learned(const sp_store *s, long *from, long *end)
{
    if (!sp_store_has_statistics(s)) {
        *from = *end;
        *end = sp_store_size(s);
        return *from < *end;
    }
    int i = 0;
    while (i < s->count && (s->by_index[i]->offset < *end || s->by_index[i]->statistic))
        i++;
    if (i == s->count)
        return false;
    *from = s->by_index[i]->offset;
    while (i < s->count && !s->by_index[i]->statistic)
        i++;
    *end = i < s->count ? s->by_index[i]->offset : s->size;
    return true;
}

void sp_store_set_limit(sp_store *s, long numbers)
{
    if (s)
        s->limit = numbers;
}

bool sp_store_reserve(sp_store *s, long size)
{
    return sp_store_ok(s)
           && (grow_values(s, size) || sp_store_fail(s, SP_ERR_MEMORY, "store: out of memory for %ld numbers", size));
}

sp_param *sp_store_find(const sp_store *s, const char *name)
{
    return s && name ? sp_store_at(s, sp_map_get(s->by_name, name, strlen(name))) : NULL;
}

int sp_store_count(const sp_store *s)
{
    return s ? s->count : 0;
}

sp_param *sp_store_at(const sp_store *s, int index)
{
    return s && index >= 0 && index < s->count ? s->by_index[index] : NULL;
}

sp_real *sp_store_values(sp_store *s)
{
    if (s)
        atomic_fetch_add(&s->version, 1);
    return s ? s->values : NULL;
}

unsigned long sp_store_version(const sp_store *s)
{
    return s ? atomic_load(&s->version) : 0;
}

long sp_store_size(const sp_store *s)
{
    return s ? s->size : 0;
}

sp_real *sp_param_values(const sp_param *p)
{
    return p ? sp_store_values(p->store) + p->offset : NULL;
}

const sp_real *sp_param_read(const sp_param *p)
{
    return p ? p->store->values + p->offset : NULL;
}

sp_key sp_param_key(const sp_param *p)
{
    return p ? (sp_key){ .seed = p->store->seed, .place = sp_hash_text(0, p->name) } : (sp_key){ 0 };
}

void *sp_store_alloc(sp_store *s, size_t bytes)
{
    if (!sp_store_ok(s))
        return NULL;
    void *p = sp_arena_take(&s->arena, bytes);
    if (!p)
        sp_store_fail(s, SP_ERR_MEMORY, "store: out of memory for %zu bytes", bytes);
    else
        memset(p, 0, bytes);
    return p;
}

bool sp_store_ok(const sp_store *s)
{
    return s && s->status.code == SP_OK;
}

const sp_status *sp_store_status(const sp_store *s)
{
    return s ? &s->status : &no_store;
}

bool sp_store_fail(sp_store *s, sp_code code, const char *format, ...)
{
    char message[sizeof s->status.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return sp_fail(s ? &s->status : NULL, code, "%s", message);
}

void sp_store_clear(sp_store *s)
{
    if (s)
        s->status = (sp_status){ 0 };
}

void sp_store_attach(sp_store *s, int tapes)
{
    if (s && atomic_fetch_add(&s->tapes, tapes) + tapes == 0 && atomic_load(&s->abandoned))
        free_now(s);
}
