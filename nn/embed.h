/* A vector for each id. PyTorch's nn.Embedding: weight [ids,width], standard normal at first. */
#ifndef SP_NN_EMBED_H
#define SP_NN_EMBED_H

#include "autograd/tape.h"

SP_BEGIN

typedef struct sp_embed {
    const sp_param *weight;             /* owned by the store */
} sp_embed;

/* Declares "<name>.weight". */
sp_embed sp_embed_make(sp_store *s, const char *name, long ids, long width);

/* n ids, each 0 .. ids-1 -> [n,width] */
sp_tensor *sp_embed_on(sp_tape *t, const sp_embed *e, const int *ids, long n);

SP_END
#endif
