/* A ragged batch as one vector for each sequence: [batch,w], in the caller's order. Each sequence has a step at least. */
#ifndef SP_NN_POOL_H
#define SP_NN_POOL_H

#include "nn/linear.h"
#include "nn/seq.h"

SP_BEGIN

sp_tensor *sp_pool_last(sp_tape *t, sp_seq xs);         /* the vector of its last step */
sp_tensor *sp_pool_first(sp_tape *t, sp_seq xs);        /* and of its first: where a reverse cell has read all of it */
sp_tensor *sp_pool_mean(sp_tape *t, sp_seq xs);         /* the mean over its steps */
sp_tensor *sp_pool_max(sp_tape *t, sp_seq xs);          /* the largest of each feature; the first of equals has its gradient */

/* A mean with weights that are learned.   e_t = v . tanh(W x_t + b)    a = softmax(e) over the sequence    y = sum_t a_t x_t
   Source: Yang et al., "Hierarchical attention networks for document classification", NAACL 2016. */
typedef struct sp_pool_attention {
    sp_linear project;          /* owned by the store */
    const sp_param *v;
} sp_pool_attention;

/* Declares "<name>.project.weight" [hidden,in], "<name>.project.bias" [hidden] and "<name>.v" [hidden], uniform in
   +-1/sqrt(hidden) at first. If that fails the store has the error. */
sp_pool_attention sp_pool_attention_make(sp_store *s, const char *name, long in, long hidden);

/* Where weights is not NULL it gets the a_t, [rows,1]. */
sp_tensor *sp_pool_attention_on(sp_tape *t, const sp_pool_attention *pool, sp_seq xs, sp_seq *weights);

SP_END
#endif
