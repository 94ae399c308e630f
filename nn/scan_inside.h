/* What the files of scan share: a program traced from a cell's step function. */
#ifndef SP_NN_SCAN_INSIDE_H
#define SP_NN_SCAN_INSIDE_H

#include "autograd/op.h"
#include "nn/cell.h"
#include "nn/seq_inside.h"

/* An input or output of an operation of the program: rows of a buffer, or (row == 0) the same for all rows. */
struct operand {
    sp_view view;               /* its rows at the first step */
    struct sp_buffer *buffer;
    long row;                   /* numbers from row to row */
    long times;                 /* leading indices of the view per row */
    bool prefix;                /* a constant with a row for each sequence: a step takes as many as still go on */
    const long *from;           /* the row that comes first in its memory now; NULL: row 0, all are kept */
    const long *since;          /* the same for its gradient, where that is not an operation's */
    struct operation *by;       /* that computes it; NULL: none of the program */
};

enum phase { BEFORE, LOOP, BEHIND };    /* the loop over time */

/* When a gradient is cleared: as late as can be, so that it is still in the cache when it is added to. That of results, of y
   and of new states, begins with what comes from outside. */
enum clearing { NEVER, BY_STEP, BY_STRETCH, RESULT };

struct operation {
    struct sp_node *node;
    struct operand y, saved, *x;        /* [node->call.inputs] */
    enum phase phase;
    bool by_step;               /* runs step by step in any phase: random by time, or with a constant for each row */
    bool twins;                 /* inputs 0 and 1 share one gradient: see find_twins */

    /* The gradient of y, for the rows of a stretch; of a result also for those of the step before. NULL: there is none. */
    enum clearing clearing;
    sp_real *grad;
    const long *since;          /* the first row of the stretch */
};

/* Time steps from .. to-1. */
struct stretch {
    long from, to;
};

struct scan {
    const sp_layout *layout;
    bool reverse;               /* from the last step to the first */
    bool carried;               /* the states before each step are copies, because the lengths differ */
    int operations, states;
    struct operation *operation;
    struct operand initial[SP_MAX_STATES];
    struct operand y, out;      /* in the program, and where it is found outside: in the same memory, or apart */
    struct operand last[SP_MAX_STATES];         /* the final states, in the order of the rows */
    struct operand previous[SP_MAX_STATES], next[SP_MAX_STATES];        /* the states before and behind each step */

    /* The first rows of those that are worked on: of a segment, a stretch and a step forward, of a stretch back (nothing on
       the way back reads what is there for a step). */
    long segment, stretch, step, back;
    long stretch_rows;          /* the most rows of a stretch */
    long traced;                /* numbers that the trace took memory for */

    /* Values are kept for a segment, some stretches: nn/scan_memory.c. */
    bool recording;             /* there may be a way back */
    bool apart;                 /* not all are kept: segments are computed again on the way back */
    bool copied;                /* y has memory of its own: it is a part of what the program computes, or not all is kept */
    long segments, segment_rows;                /* how many, and the most rows of one */
    const long *begin;          /* [segments+1] the first stretch of each, in the order of the loop */
    sp_real *border;            /* [segments-1, width of all states * batch] the states before each but the first */
};

/* The step function's view of the world while it is traced. */
struct tracing {
    sp_tensor *xs;              /* all rows, [rows,in] */
    sp_tensor *x, *y;           /* placeholder, result */
    sp_tensor *previous[SP_MAX_STATES], *next[SP_MAX_STATES];
    struct sp_trace trace;
    bool carried;
    long taken;                 /* numbers that there is memory for: states, and results of operations, at one step */
};

/* Calls the step function on placeholders: nn/scan_trace.c. k->xs and k->trace are set. False: the tape has the error. */
bool sp_scan_trace(sp_tape *t, const sp_cell *cell, struct tracing *k);

/* Takes out of the program what depends on x alone, where x is rows of a small table: nn/scan_table.c. False: the tape has
   the error. */
bool sp_scan_hoist(sp_tape *t, struct tracing *k, struct scan *s);

/* Is an input a constant whose rows, [B,...] or cut into several, go with those of the batch? */
bool sp_row_constant(const struct sp_node *n, int input);

/* Makes the program of what was noted down; the layout and the number of states of s are set. False: the tape has the
   error. */
bool sp_scan_program(sp_tape *t, const struct tracing *k, struct scan *s);

/* Decides what is kept for how long, and gives it memory: nn/scan_memory.c. Addresses are to be found anew. False: the tape
   has the error. */
bool sp_scan_place(sp_tape *t, const struct tracing *k, struct scan *s);

/* Is a buffer that of a new state? */
bool sp_scan_is_state(const struct scan *s, const struct sp_buffer *b);

/* Is it that of y or of a new state? */
bool sp_scan_is_result(const struct scan *s, const struct sp_buffer *b);

/* The rows of memory for the gradient of what an operation computes: those of a stretch and, of a result, as many as a step
   has beside them. 0: it has none, or that of its twin. */
long sp_scan_gradient_rows(const struct scan *s, const struct operation *o);

/* The numbers of a row of the states before state j. */
long sp_scan_state_numbers(const struct scan *s, int j);

/* How many stretches there are, and the k-th in the order of the loop. A stretch is worked on together, so that what one
   phase leaves is still in the cache for the next. */
long sp_scan_stretches(const struct scan *s);
struct stretch sp_scan_stretch(const struct scan *s, long k);

/* The rows of some steps. */
long sp_scan_rows_of(const struct scan *s, struct stretch x);

/* Runs a program: nn/scan_run.c. */
void sp_scan_run(struct scan *s);

/* The way back, as the sweep of the entry whose attr the program is. */
bool sp_scan_sweep(sp_tape *t, struct sp_node *n);

/* Rows first .. first+n-1 of an operand. */
sp_view sp_scan_rows(const struct operand *o, long first, long n);

/* A tensor that sees a buffer of its own, of so many numbers at data. */
sp_tensor *sp_scan_tensor(sp_tape *t, sp_view view, sp_real *data, long size);

#endif
