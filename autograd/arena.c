#include "autograd/arena.h"

#include <stdlib.h>
#include <string.h>

struct sp_chunk {
    struct sp_chunk *older;
    size_t size;                /* bytes after the header */
};

enum {
    HEADER = SP_ALIGN,          /* keeps what follows the header aligned */
    FIRST_CHUNK = 1 << 16
};

static size_t round_up(size_t bytes)
{
    return (bytes + SP_ALIGN - 1) & ~(size_t)(SP_ALIGN - 1);
}

static char *body(struct sp_chunk *c)
{
    return (char *)c + HEADER;
}

static bool add_chunk(sp_arena *a, size_t size)
{
    struct sp_chunk *c = aligned_alloc(SP_ALIGN, HEADER + size);
    if (!c)
        return false;
    c->older = a->chunk;
    c->size = size;
    a->chunk = c;
    a->used = 0;
    a->total += size;
    return true;
}

static void drop_chunk(sp_arena *a)
{
    struct sp_chunk *c = a->chunk;
    a->total -= c->size;
    a->chunk = c->older;
    free(c);
}

void *sp_arena_take(sp_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = round_up(bytes ? bytes : 1);
    if (!a->chunk || a->chunk->size - a->used < bytes) {
        size_t size = a->total > FIRST_CHUNK ? round_up(a->total) : FIRST_CHUNK;
        if (!add_chunk(a, size > bytes ? size : bytes) && !add_chunk(a, bytes))
            return NULL;
    }
    void *p = body(a->chunk) + a->used;
    a->used += bytes;
    return p;
}

sp_arena_mark sp_arena_here(const sp_arena *a)
{
    return (sp_arena_mark){ .chunk = a->chunk, .used = a->used };
}

bool sp_arena_holds(const sp_arena *a, sp_arena_mark mark)
{
    const struct sp_chunk *c = a->chunk;
    while (c && c != mark.chunk)
        c = c->older;
    return c == mark.chunk;
}

void sp_arena_rewind(sp_arena *a, sp_arena_mark mark)
{
    if (!mark.chunk) {          /* the mark was set before anything was taken */
        sp_arena_reset(a);
        return;
    }
    while (a->chunk && a->chunk != mark.chunk)
        drop_chunk(a);
    a->used = a->chunk ? mark.used : 0;
}

void sp_arena_reset(sp_arena *a)
{
    size_t total = a->total;
    if (a->chunk && a->chunk->older) {
        sp_arena_free(a);
        add_chunk(a, total);    /* if this fails, the next take asks again and reports it */
    }
    a->used = 0;
}

void sp_arena_free(sp_arena *a)
{
    while (a->chunk)
        drop_chunk(a);
    a->used = 0;
}

void *sp_aligned_calloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = round_up(bytes ? bytes : 1);
    void *p = aligned_alloc(SP_ALIGN, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}
