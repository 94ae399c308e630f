#include "autograd/arena.h"

#include <stdlib.h>
#include <string.h>

/* Under the address sanitizer, memory that is not handed out may not be touched: it finds tensors kept over a reset. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZED)
#include <sanitizer/asan_interface.h>
#define CLOSE(from, bytes) ASAN_POISON_MEMORY_REGION(from, bytes)
#define OPEN(from, bytes) ASAN_UNPOISON_MEMORY_REGION(from, bytes)
#else
#define CLOSE(from, bytes) ((void)(from), (void)(bytes))
#define OPEN(from, bytes) ((void)(from), (void)(bytes))
#endif

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

static struct sp_chunk *new_chunk(sp_arena *a, size_t size)
{
    struct sp_chunk *c = aligned_alloc(SP_ALIGN, HEADER + size + SP_SLACK);
    if (!c)
        return NULL;
    c->size = size;
    a->total += size;
    CLOSE(body(c), size);
    return c;
}

/* The first spare chunk of that size or more. */
static struct sp_chunk *take_spare(sp_arena *a, size_t size)
{
    struct sp_chunk **link = &a->spare, *c;
    while (*link && (*link)->size < size)
        link = &(*link)->older;
    c = *link;
    if (c)
        *link = c->older;
    return c;
}

/* A chunk for at least that many bytes, preferably as many again as there are. */
static bool add_chunk(sp_arena *a, size_t bytes)
{
    size_t size = a->total > FIRST_CHUNK ? a->total : FIRST_CHUNK;
    struct sp_chunk *c = take_spare(a, bytes);
    if (!c && size > bytes)
        c = new_chunk(a, size);
    if (!c && !(c = new_chunk(a, bytes)))
        return false;
    c->older = a->chunk;
    a->chunk = c;
    a->used = 0;
    return true;
}

static void free_chunks(struct sp_chunk *c)
{
    for (struct sp_chunk *older; c; c = older) {
        older = c->older;
        OPEN(body(c), c->size);
        free(c);
    }
}

void *sp_arena_take(sp_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = round_up(bytes ? bytes : 1);
    if ((!a->chunk || a->chunk->size - a->used < bytes) && !add_chunk(a, bytes))
        return NULL;
    void *p = body(a->chunk) + a->used;
    OPEN(p, bytes);
    a->used += bytes;
    return p;
}

sp_arena_mark sp_arena_here(const sp_arena *a)
{
    return (sp_arena_mark){ .chunk = a->chunk, .used = a->used };
}

void sp_arena_rewind(sp_arena *a, sp_arena_mark mark)
{
    while (a->chunk && a->chunk != mark.chunk) {
        struct sp_chunk *c = a->chunk;
        a->chunk = c->older;
        c->older = a->spare;
        a->spare = c;
        CLOSE(body(c), c->size);
    }
    a->used = a->chunk ? mark.used : 0;
    if (a->chunk)
        CLOSE(body(a->chunk) + a->used, a->chunk->size - a->used);
}

void sp_arena_reset(sp_arena *a)
{
    size_t total = a->total;
    if (a->spare || (a->chunk && a->chunk->older)) {
        sp_arena_free(a);
        a->chunk = new_chunk(a, total);         /* if there is none, the next take asks again and reports it */
        if (a->chunk)
            a->chunk->older = NULL;
    }
    a->used = 0;
    if (a->chunk)
        CLOSE(body(a->chunk), a->chunk->size);
}

void sp_arena_free(sp_arena *a)
{
    free_chunks(a->chunk);
    free_chunks(a->spare);
    *a = (sp_arena){ 0 };
}

void *sp_aligned_calloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = round_up(bytes) + SP_SLACK;
    void *p = aligned_alloc(SP_ALIGN, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}
