/* Losses that are means, ready for sp_backward. */
#ifndef SP_NN_LOSS_H
#define SP_NN_LOSS_H

#include "autograd/tape.h"

SP_BEGIN

/* The mean over all rows of logits [...,n] of log sum_j e^x_j - x_id, in nats; rows whose id is `ignore` do not count, and if
   none counts it is 0. (sp_cross_entropy gives the rows, and takes weights.) */
sp_tensor *sp_cross_entropy_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore);

/* mean (a - b)^2 over all elements; the shapes are equal */
sp_tensor *sp_mse(sp_tape *t, sp_tensor *a, sp_tensor *b);

SP_END
#endif
