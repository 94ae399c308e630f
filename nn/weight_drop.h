/* Dropout on a recurrent weight, drawn once for all time steps of a pass (DropConnect).   W m / (1 - p),
   m = 1 with probability 1 - p, else 0, for each weight.

       sp_scope_push(t, "encoder");
       sp_weight_drop(t, sp_store_find(store, "encoder.weight_hh_l0"), 0.5);
       sp_seq ys = sp_scan_seq(t, &lstm, xs, NULL, false);
       sp_scope_pop(t);

   A cell knows nothing of it, and a stack does it by itself (nn/stack.h). The weight is packed anew at every step, where a
   parameter is packed once: a layer takes about a sixth longer.
   Source: Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models", ICLR 2018. */
#ifndef SP_NN_WEIGHT_DROP_H
#define SP_NN_WEIGHT_DROP_H

#include "autograd/tape.h"

SP_BEGIN

/* For what follows in the present scope; nothing when not training. 0 <= p < 1 */
void sp_weight_drop(sp_tape *t, const sp_param *weight, double p);

SP_END
#endif
