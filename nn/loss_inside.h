/* What the losses of classes share. */
#ifndef SP_NN_LOSS_INSIDE_H
#define SP_NN_LOSS_INSIDE_H

#include "autograd/tape.h"

/* The mean of losses, one for each id, over those whose id is not `ignore`; 0 if there is none. */
sp_tensor *sp_mean_counted(sp_tape *t, sp_tensor *losses, const int *ids, int ignore);

#endif
