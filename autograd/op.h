/* What an operation is, for those who write one. The tape knows this protocol and no operation.

   An operation is a shape rule and two pure functions of views; nothing in it knows about the tape or about time. So the
   tape calls them on whole tensors, and a scan may call the same functions on one slice of time or on all of it. */
#ifndef SP_AUTOGRAD_OP_H
#define SP_AUTOGRAD_OP_H

#include "autograd/profile.h"

SP_BEGIN

/* One use of an operation: what it reads and where it writes. */
typedef struct sp_call {
    int inputs;
    sp_view *x;                 /* [inputs] the inputs */
    sp_view *dx;                /* [inputs] their gradients, to be added to; .data is NULL where none is wanted */
    const sp_param **param;     /* [inputs] the parameter that an input is a view of, or NULL */
    sp_view y, dy;              /* the output and its gradient */
    sp_view saved;              /* [rows, columns] written by forward, read by backward; rank 0 if nothing is saved: for
                                   inputs that may be scalars see sp_as_rows in ops/kernel.h */
    const void *attr;           /* the operation's own constants */
    sp_key key;                 /* for SP_OP_RANDOM */
} sp_call;

enum {
    SP_OP_VIEW     = 1,         /* y is x[0]'s memory seen otherwise: infer sets all of y; no forward, no backward */
    SP_OP_RANDOM   = 2,         /* draws random numbers: the tape fills in the key */
    SP_OP_ROWS     = 4,         /* row i (of the leading axis) of y and saved is made of row i of the inputs alone; an input
                                   with fewer axes than y serves all rows */
    SP_OP_ELEMENTS = 8,         /* and broadcasts: inputs of lower rank, or with a leading 1, are shared by all rows */
    SP_OP_AXIS     = 16,        /* only if the axis that attr begins with, an int, is not the leading one */
    SP_OP_SUM      = 32,        /* inputs 0 and 1 enter as their sum alone: where their shapes are equal, so are their gradients */
    SP_OP_SHARED   = 64,        /* SP_OP_SHARED << i: a matrix or vector as input i is shared by all rows (a weight) */
    SP_OP_FREES    = 1 << 14,   /* SP_OP_FREES << i: backward does not read x[i], which may be gone by then */
    SP_OP_FREES_X  = 255 << 14, /* any of them */
    SP_OP_FREES_Y  = 1 << 22,   /* nor y */
    SP_OP_MOVES    = 1 << 23,   /* backward gets the places in the gradients of statistics among its inputs, and adds to them
                                   what they change by; other operations get none */
    SP_OP_LOOKUP   = 1 << 24    /* y has rows of x[0]: a graph calls it so where that is no parameter */
};

/* Is SP_OP_SHARED << i, or SP_OP_FREES << i, among an operation's flags? There is room for 8 inputs. */
#define sp_op_has(op, flag, i) ((i) < 8 && ((op)->flags & (unsigned)(flag) << (i)))

/* How an operation is tested: leaves drawn uniformly from [low, high), and what is built on them. Without build it is the
   operation on the leaves, and once more on leaves of rank 2 that are transposed views. The gradient test walks all
   operations and checks every probe. */
struct sp_probe {
    const char *name;
    struct { sp_shape shape; double low, high; } leaf[5];       /* ends at the first with rank 0 and low == high */
    sp_tensor *(*build)(sp_tape *t, sp_tensor **leaf);
};

typedef struct sp_op {
    const char *name;
    unsigned flags;

    /* Checks the inputs and sets y.shape (strides follow, unless SP_OP_VIEW) and saved.shape. The only part that may
       fail, with sp_fail and the numbers. x[i].data may not be read. */
    bool (*infer)(sp_call *c, sp_status *status);

    void (*forward)(const sp_call *c);          /* x -> y, saved */
    void (*backward)(const sp_call *c);         /* dx[i] += ..., for every i with dx[i].data; NULL: no gradient */

    /* What one call of forward, or of backward, costs; reads no values. For profiles; NULL: not known. */
    sp_cost (*cost)(const sp_call *c, bool back);

    const struct sp_probe *probes;              /* ends with a NULL name */
} sp_op;

/* A buffer of numbers, and its gradient in the same layout: a view of the one is a view of the other, which is why a
   slice or a transpose needs no backward of its own. */
struct sp_buffer {
    sp_real *data, *grad;       /* [size]; grad is NULL until the backward sweep reaches it */
    long size;
    bool wants_grad;
    const sp_param *param;      /* the parameter whose values they are, or NULL */
    long row;                   /* of a traced value: numbers from row to row; SP_ROW_GONE; else 0 */
};

enum { SP_ROW_GONE = -1 };      /* of a value of a step that scan did not keep */

struct sp_node;
struct replacement;

struct sp_tensor {
    sp_tape *tape;
    sp_view view;
    struct sp_buffer *buffer;   /* what it is a view of */
    struct sp_node *node;       /* what computed it; NULL for a leaf */
    long id;                    /* numbered from 1 since the last reset; 0 for a parameter */
    const char *label;          /* what a leaf is called in pictures; NULL: the parameter's name, or "input" */
    const void *order;          /* the sp_layout in whose order its rows are (sp_seq_sorted in nn/seq.h); NULL: the caller's */
};

struct sp_scope {
    struct sp_scope *parent;
    const char *name;
    long id;                    /* numbered from 1; 0 is the tape itself */
    struct { uint64_t place, draws; uint32_t time; bool timed; const struct replacement *replaced; } outer;  /* for pop */
};

/* A recorded operation. */
struct sp_node {
    struct sp_node *previous;
    const sp_op *op;
    sp_tensor *output;
    sp_tensor **input;          /* [call.inputs] */
    const struct sp_scope *scope;
    int mark;                   /* for whoever walks over nodes */
    sp_call call;

    /* A node that stands for many (nn/scan.c) has its own way back, and the operations it stands for. */
    bool (*sweep)(sp_tape *t, struct sp_node *n);
    const struct sp_node *program;

    /* A node of such a program: the call is on so many rows, from `first` on, of which those from offset[i] to offset[i+1]
       are of time step i. NULL for any other. */
    const long *offset;
    long first, rows;
    sp_tensor **link;           /* [2 links] for its picture: from where to where values go that no operation carries */
    int links, each;            /* the first of them, a row at each time step */
};

/* A step function that is being traced: operations on placeholders are noted down instead of run. Placeholders, and what
   depends on them, have rows; their memory is for one time step, none for what is saved: who runs them gives them more. */
struct sp_trace {
    long rows;                  /* of a placeholder: the leading axis */
    struct sp_node *last;       /* what was noted down, newest first */
    int nodes;
};

/* Begins (NULL: ends) a trace. Reading a traced value is an error of the tape. */
void sp_tape_trace(sp_tape *t, struct sp_trace *trace);
bool sp_tape_tracing(const sp_tape *t);

/* Puts a node of the caller's on the tape, with one output or more that point to it. */
void sp_tape_append(sp_tape *t, struct sp_node *n);

/* The gradient of a buffer, made and cleared at the first call. False without memory. */
bool sp_need_grad(sp_tape *t, struct sp_buffer *b);

/* Has a sweep since the last reset reached an operation that moves this statistic (SP_OP_MOVES)? */
bool sp_tape_moved(const sp_tape *t, const sp_param *p);

/* Runs an operation on inputs and records it; attr is copied. The way every constructor ends. */
sp_tensor *sp_record(sp_tape *t, const sp_op *op, int inputs, sp_tensor *const *input, const void *attr, size_t bytes);

/* The same operation as a node's, with its attr, on other inputs. */
sp_tensor *sp_record_again(sp_tape *t, const struct sp_node *n, sp_tensor *const *input);

/* Runs the operation of a node, its call filled in. Nobody runs one otherwise: here it is counted in the tape's profile. */
void sp_run_forward(const struct sp_node *n);
void sp_run_backward(const struct sp_node *n);

/* Memory of the tape, not cleared (or a copy of data), until it is rewound. NULL without memory: the tape has the error. */
void *sp_tape_take(sp_tape *t, size_t bytes);
void *sp_tape_copy(sp_tape *t, const void *data, size_t bytes);

/* The gradient of x as a view; .data is NULL if it has none. */
sp_view sp_grad_view(const sp_tensor *x);

/* The last recorded operation; follow ->previous. */
const struct sp_node *sp_tape_last(const sp_tape *t);

/* True if x may be used: not NULL, not poison. */
bool sp_sound(const sp_tensor *x);

/* True if x may be an input on this tape; else the tape has the error, with who and which in front ("add", "input", 1). */
bool sp_usable(sp_tape *t, const sp_tensor *x, const char *who, const char *which, int number);

SP_END
#endif
