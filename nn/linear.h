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

/* Declares "<name>.weight" alone: y = x W'. PyTorch's nn.Linear(bias=False). */
sp_linear sp_linear_unbiased_make(sp_store *s, const char *name, long in, long out);

/* Over a weight [out,in] that the store has already, declares "<name>.bias" alone, zeros at first. An output layer that is tied
   to the embedding of its input saves the larger part of a language model's parameters, and learns better (Press, Wolf, EACL
   2017; Inan et al., ICLR 2017); the weight gets the gradients of both uses:

       embed = sp_embed_make(s, "embed", words, width);
       out = sp_linear_tied_make(s, "out", embed.weight);

   Without a bias it is (sp_linear){ embed.weight, NULL }. The standard normal of sp_embed_make is much for an output: draw less with sp_init_uniform(..., -0.1, 0.1). */
sp_linear sp_linear_tied_make(sp_store *s, const char *name, const sp_param *weight);

/* [...,in] -> [...,out] */
sp_tensor *sp_linear_on(sp_tape *t, const sp_linear *l, sp_tensor *x);

SP_END
#endif
