/* An arena: memory that is handed out piece by piece and taken back all at once.
   A step of training takes the same memory every time, so after the first step no chunk is ever asked for again. */
#ifndef SP_AUTOGRAD_ARENA_H
#define SP_AUTOGRAD_ARENA_H

#include "autograd/base.h"

SP_BEGIN

enum {
    SP_ALIGN = 64,              /* one cache line, one AVX-512 register */
    SP_SLACK = SP_ALIGN         /* behind every block: BLIS 0.9's haswell kernels read past the end of a small C */
};

struct sp_chunk;

typedef struct sp_arena {
    struct sp_chunk *chunk;     /* the newest chunk; older ones are linked behind it */
    struct sp_chunk *spare;     /* given up by a rewind, kept for the next that fits */
    size_t used;                /* bytes taken from the newest chunk */
    size_t total;               /* bytes of all chunks, the spare ones too */
} sp_arena;

/* A place to rewind to. */
typedef struct sp_arena_mark {
    struct sp_chunk *chunk;
    size_t used;
} sp_arena_mark;

/* bytes of memory aligned to SP_ALIGN, not cleared; NULL if there is none. Lives until the arena is rewound past it. */
void *sp_arena_take(sp_arena *a, size_t bytes);

sp_arena_mark sp_arena_here(const sp_arena *a);

/* Takes back everything since the mark, which must hold. Its memory is kept for the next round. */
void sp_arena_rewind(sp_arena *a, sp_arena_mark mark);

/* Takes back everything. Several chunks become one of their total size, so that the next round fits into it. */
void sp_arena_reset(sp_arena *a);

void sp_arena_free(sp_arena *a);

/* bytes of memory aligned to SP_ALIGN and cleared, to be given back with free(); NULL if there is none. */
void *sp_aligned_calloc(size_t bytes);

SP_END
#endif
