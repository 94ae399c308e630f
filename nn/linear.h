/* y = x W' + b. PyTorch's nn.Linear: weight [out,in], bias [out], both uniform in +-1/sqrt(in) at first. */
#ifndef SP_NN_LINEAR_H
#define SP_NN_LINEAR_H

#include "autograd/tape.h"

SP_BEGIN

typedef struct sp_linear {
    const sp_param *weight, *bias;      /* owned by the store; no bias is NULL */
} sp_linear;

/* Declares "<name>.weight" and "<name>.bias". If that fails the store has the error and the layer is poison. */
sp_linear sp_linear_make(sp_store *s, const char *name, long in, long out);

/* [...,in] -> [...,out] */
sp_tensor *sp_linear_on(sp_tape *t, const sp_linear *l, sp_tensor *x);

SP_END
#endif
