/* A cell over a whole sequence, as one entry of the tape. See nn/cell.h for cells and for sp_unroll, the same step by step.

   The step function is called once, on placeholders that have shapes and no values; what it asks for becomes a small
   program. What does not depend on the states then runs once over all time steps, what the next states do not need runs
   once behind the loop, and the gradients of weights are one product over all rows of all time steps. Where x are rows of a
   table with fewer rows (symbols by their embedding), what depends on x alone is computed for the table. Outputs and
   gradients are those of sp_unroll.

   Of the step's own values those are kept that the way back needs; to use another behind the scan, return it as (part of)
   y. One that was not kept says so when it is used. */
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
