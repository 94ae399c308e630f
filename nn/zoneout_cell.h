/* Zoneout: a state keeps some of its elements from the step before, drawn anew at each step.
       s' = m s + (1 - m) step(s),   m = 1 with probability p, else 0; when not training m = p
   Source: Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017; for an LSTM
   they keep h at 0.05 and c at 0.5. */
#ifndef SP_NN_ZONEOUT_CELL_H
#define SP_NN_ZONEOUT_CELL_H

#include "nn/cell.h"

SP_BEGIN

/* A cell like another; p[states] for each state, 0 <= p < 1. y is the new state where it was that of the cell (in most it is
   state 0), else what the cell gives. The cell is copied and lives as long as the store. A cell whose states mean something
   only together ("slstm", "mlstm") is an error. If that fails the store has the error, and the step is NULL. */
sp_cell sp_zoneout_make(sp_store *s, const sp_cell *cell, const double *p);

SP_END
#endif
