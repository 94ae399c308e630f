/* A cell over a whole sequence, as one entry of the tape. See nn/cell.h for cells and for sp_unroll, the same step by step.

   The step function is called once, on placeholders that have shapes and no values; what it asks for becomes a small
   program. What does not depend on the states then runs once over all time steps, what the next states do not need runs
   once behind the loop, and the gradients of weights are one product over all rows of all time steps. Where x are rows of a
   table with fewer rows (symbols by their embedding), what depends on x alone is computed for the table. Outputs and
   gradients are those of sp_unroll.

   Of the step's own values only y is there behind the scan; to use another, return it as part of y. One that is gone says so
   when it is used. The gradient of y, and that of a final state, is what comes from behind the scan alone.

   Long sequences. For its way back a scan keeps values of every step, of an LSTM 7 numbers for each unit: 358 MB for a layer
   of 128 over 100,000 steps. On a tape with a budget (sp_tape_set_budget in autograd/tape.h) it takes no more bytes than that:

       sp_tape_set_budget(t, 64 << 20);

   It then keeps the values of a segment of the sequence, and the states at the borders of the others, which the way back
   computes again, one after the other. Outputs and gradients are the same, bit for bit; the time of one more way forward,
   less what fits, is what it costs, at most about a third. With a budget that is large enough nothing is computed again.

   In the budget are values of the step, what its operations save for the way back, gradients of these, and states at borders.
   Not in it are xs, y, first and final states and the gradients of those, constants, what is computed for a table and which of its
   rows those of xs are, all of which are there whole; and what describes the step, some kilobytes, and 8 bytes for some 400 rows.
   Each scan on the tape has all of the budget for itself. The tape gets its memory in chunks and keeps them, so that
   sp_tape_bytes may be more. A segment has some 400 rows (steps times sequences) or more: where they do not fit, that is an
   error with the bytes that would do. Without recording nothing is kept for a way back, and the budget does not matter. */
#ifndef SP_NN_SCAN_H
#define SP_NN_SCAN_H

#include "nn/cell.h"

SP_BEGIN

/* As sp_unroll. A cell whose step cannot be traced (it reads values, or mixes the rows of a batch) is an error that says
   to use sp_unroll. */
sp_tensor *sp_scan(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state);

/* As sp_unroll_seq. */
sp_seq sp_scan_seq(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor **state, bool reverse);

SP_END
#endif
