/* y = weight (x - m) / sqrt(v + eps) + bias for each channel. In training m and v are the mean and the variance of the batch,
   otherwise (sp_tape_set_training) the running ones. Ioffe, Szegedy, "Batch normalization", ICML 2015.
   PyTorch's nn.BatchNorm1d and nn.BatchNorm2d: weight [channels], ones at first, and bias [channels], zeros; running_mean and
   running_var [channels], zeros and ones, and num_batches_tracked, a scalar, which are statistics of the store
   (autograd/store.h says what becomes of them).

   The running values are moved on by sp_backward and taken over by sp_step:
   running = (1 - momentum) running + momentum batch, the batch's variance being the unbiased one. So a forward pass alone
   changes nothing, nor does a norm that the loss does not depend on; a layer used several times on a tape is moved in the
   order in which gradients flow, by its last use first; and shards of a batch (autograd/parallel.h), which are normalised each
   by itself, agree on one value. num_batches_tracked is an sp_real: in float32 it stays at 2^24 once it is there.

   A step of sp_scan may have one that does not train; in training it is refused there, and sp_unroll takes it. */
#ifndef SP_NN_BATCH_NORM_H
#define SP_NN_BATCH_NORM_H

#include "autograd/tape.h"

SP_BEGIN

typedef struct sp_batch_norm_layer {
    const sp_param *weight, *bias, *running_mean, *running_var, *num_batches_tracked;    /* owned by the store */
    double momentum, eps;               /* 0.1, 1e-5; may be changed */
} sp_batch_norm_layer;

/* Declares "<name>.weight", "<name>.bias", "<name>.running_mean", "<name>.running_var", "<name>.num_batches_tracked". A name
   that is NULL or empty is an error of the store, and the layer is poison. */
sp_batch_norm_layer sp_batch_norm_make(sp_store *s, const char *name, long channels);

/* [B,channels], [B,channels,L] or [B,channels,H,W], and the same. One number to a channel is an error in training. */
sp_tensor *sp_batch_norm_on(sp_tape *t, const sp_batch_norm_layer *l, sp_tensor *x);

SP_END
#endif
