/* What sp_unroll and sp_scan share. */
#ifndef SP_NN_CELL_INSIDE_H
#define SP_NN_CELL_INSIDE_H

#include "nn/cell.h"

/* Checks a cell and its input, and puts zeros where an initial state is not given. False: the tape has the error, `who` in
   front. */
bool sp_cell_begin(sp_tape *t, const char *who, const sp_cell *cell, sp_seq xs, sp_tensor **state);

/* Checks what a step has given: y [B,out] and the new states. */
bool sp_cell_check(sp_tape *t, const sp_cell *cell, long batch, const sp_tensor *y, sp_tensor *const *state);

#endif
