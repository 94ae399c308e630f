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
};

enum phase { BEFORE, LOOP, BEHIND };    /* the loop over time */

/* When the gradient of a result is cleared: as late as can be, so that it is still in the cache when it is added to. */
enum clearing { AT_ONCE, BY_STRETCH, BY_STEP };

struct operation {
    struct sp_node *node;
    struct operand y, saved, *x;        /* [node->call.inputs] */
    enum phase phase;
    bool by_step;               /* runs step by step in any phase: random by time, or with a constant for each row */
    bool twins;                 /* inputs 0 and 1 share one gradient: see find_twins */
    int lender;                 /* the one of them that has it; the other's is a part of it */
};

/* Something the program computes or is given, whose gradient is nobody else's. */
struct result {
    struct operand y;
    bool behind;                /* the loop */
    enum clearing clearing;
};

struct scan {
    const sp_layout *layout;
    bool reverse;               /* from the last step to the first */
    bool carried;               /* the states before each step are copies, because the lengths differ */
    int operations, states, results;
    struct operation *operation;
    struct result *result;
    struct operand y, initial[SP_MAX_STATES];
    struct operand previous[SP_MAX_STATES], next[SP_MAX_STATES];        /* the states before and behind each step */
};

/* What was taken out of the program, because it is computed beforehand: nn/scan_table.c. */
struct given {
    sp_tensor *traced;          /* in the program it is this, */
    sp_tensor *table, *rows;    /* and on the tape rows of a table; all of the sequence's */
};

/* The step function's view of the world while it is traced. */
struct tracing {
    sp_tensor *xs;              /* all rows, [rows,in] */
    sp_tensor *x, *y;           /* placeholder, result */
    sp_tensor *previous[SP_MAX_STATES], *next[SP_MAX_STATES];
    struct sp_trace trace;
    bool carried;
    struct given *given;
    int givens;
};

/* Calls the step function on placeholders: nn/scan_trace.c. k->xs and k->trace are set. False: the tape has the error. */
bool sp_scan_trace(sp_tape *t, const sp_cell *cell, struct tracing *k);

/* Takes out what depends on x alone, where x is rows of a small table: nn/scan_table.c. False: the tape has the error. */
bool sp_scan_hoist(sp_tape *t, struct tracing *k, int states);

/* Where its rows begin in its buffer. */
long sp_operand_offset(const struct operand *o);

/* Is an input a constant [B,...] whose rows go with those of the batch? */
bool sp_row_constant(const struct sp_node *n, int input, long batch);

/* Makes the program of what was noted down; the layout and the number of states of s are set. False without memory. */
bool sp_scan_program(sp_tape *t, const struct tracing *k, struct scan *s);

/* A tensor that sees some memory; a buffer of its own if there is none for it. */
sp_tensor *sp_scan_tensor(sp_tape *t, sp_view view, struct sp_buffer *buffer);

#endif
