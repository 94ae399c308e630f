/* Dropout whose mask is drawn once for each sequence and feature and stays the same over its time ("variational").
       y_t = x_t m / (1 - p),   m = 1 with probability 1 - p, else 0
   Source: Gal, Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NeurIPS 2016;
   the name is of Merity et al., ICLR 2018. */
#ifndef SP_NN_LOCKED_DROPOUT_H
#define SP_NN_LOCKED_DROPOUT_H

#include "nn/seq.h"

SP_BEGIN

/* x itself when not training; 0 <= p < 1. */
sp_seq sp_locked_dropout_seq(sp_tape *t, sp_seq x, double p);
sp_tensor *sp_locked_dropout(sp_tape *t, sp_tensor *x, double p);       /* [T,B,n] */

SP_END
#endif
