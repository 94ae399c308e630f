/* What a tape is made of. For the files of autograd/ that share it, and nobody else. */
#ifndef SP_AUTOGRAD_TAPE_INSIDE_H
#define SP_AUTOGRAD_TAPE_INSIDE_H

#include "autograd/arena.h"
#include "autograd/op.h"

/* A parameter as a tensor; one for each, for as long as the tape lives. */
struct leaf {
    sp_tensor tensor;
    struct sp_buffer buffer;
    bool moved;                 /* a statistic, by a sweep since the last reset */
};

/* A tensor in place of a parameter, from the newest to older ones; in the arena. */
struct replacement {
    const struct replacement *older;
    const sp_param *param;
    sp_tensor *x;
};

/* Where the tape was at a mark. It lies in the arena, so a rewind to before it takes it away. */
struct bookmark {
    struct bookmark *older;
    uint64_t serial;
    sp_arena_mark arena;
    struct sp_node *last;
    struct sp_scope *scope;
    const struct replacement *replaced;
    long nodes, depth;
    uint64_t draws;
    uint32_t time;
    bool timed, swept;
};

struct sp_tape {
    sp_arena arena;
    sp_store *store;
    struct leaf *leaf;          /* [sp_store_count] */
    sp_real *gradients;         /* [sp_store_size], once a backward sweep asked for them */
    struct sp_node *last;
    long nodes, tensors;        /* how many so far */
    struct sp_scope *scope;
    long scopes, depth;
    uint64_t place, draws;      /* of the present scope: its hash, and the random operations in it so far */
    const struct replacement *replaced;         /* of the present scope and those around it */
    uint64_t seed;
    uint32_t step, time;
    bool timed;                 /* the present scope has set its time */
    struct bookmark *bookmark;  /* the newest; only those that can be rewound to are in the list */
    uint64_t serials;           /* marks made so far */
    bool paused, evaluating, swept;
    sp_tensor poison;
    struct sp_buffer nothing;   /* what poison is a view of */
    sp_status status;
    size_t budget;              /* bytes of each sp_scan; 0: any */
    struct sp_trace *trace;     /* while a step function is traced */
    sp_profile *profile;        /* what every operation that runs is counted in, or NULL */
    char *watch;                /* where an operation that makes numbers that are not finite writes its name, or NULL */
};

/* Writes "encoder.l0" into text. */
char *sp_scope_path(const struct sp_scope *s, char *text, size_t room);

/* Runs an operation of a tape that is watched: autograd/watch.c. */
void sp_watch_run(const struct sp_node *n, void (*way)(const sp_call *c), bool back);

/* A tensor with a buffer of its own, its values not set; NULL without memory: the tape then has the error. */
sp_tensor *sp_tensor_take(sp_tape *t, sp_shape shape);

#endif
