/* Losses that are means, ready for sp_backward. For rows that are ignored or weighted see sp_cross_entropy. */
#ifndef SP_NN_LOSS_H
#define SP_NN_LOSS_H

#include "autograd/tape.h"

SP_BEGIN

/* mean (a - b)^2 over all elements */
sp_tensor *sp_mse(sp_tape *t, sp_tensor *a, sp_tensor *b);

SP_END
#endif
