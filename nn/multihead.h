/* Attention of several heads (Vaswani et al., "Attention is all you need", NIPS 2017): PyTorch's nn.MultiheadAttention.

       head_h = softmax(q_h k_h' / sqrt(d)) v_h,  d = embed / heads,  q_h, k_h, v_h the h-th d columns of
       q = query Wq' + bq,  k = key Wk' + bk,  v = value Wv' + bv
       y = [head_0 ... head_last] Wo' + bo

   Parameters have PyTorch's names and shapes: "<name>.in_proj_weight" [3 embed,embed], which is Wq, Wk, Wv on top of each other,
   "<name>.in_proj_bias" [3 embed], "<name>.out_proj.weight" [embed,embed], "<name>.out_proj.bias" [embed]; where keys or values
   have a width of their own, "<name>.q_proj_weight" [embed,embed], "<name>.k_proj_weight" [embed,kdim] and "<name>.v_proj_weight"
   [embed,vdim] in place of the first. They begin as PyTorch's do.

   The batch comes first, [B,L,embed], as with PyTorch's batch_first=True, because the places of one sequence are what is
   multiplied with each other. Sequences of different lengths come as sp_seq. */
#ifndef SP_NN_MULTIHEAD_H
#define SP_NN_MULTIHEAD_H

#include "nn/linear.h"
#include "nn/seq.h"

SP_BEGIN

typedef struct sp_multihead {
    const sp_param *in_weight;          /* NULL where there are the next three */
    const sp_param *q_weight, *k_weight, *v_weight;
    const sp_param *in_bias;
    sp_linear out;
    long embed, kdim, vdim;
    int heads;
    double dropout;                     /* of weights, while training */
} sp_multihead;

/* heads must divide embed. If that fails the store has the error and the layer is poison. */
sp_multihead sp_multihead_make(sp_store *s, const char *name, long embed, int heads, double dropout);

/* With keys kdim and values vdim wide. */
sp_multihead sp_multihead_make_of(sp_store *s, const char *name, long embed, long kdim, long vdim, int heads, double dropout);

/* query [B,L,embed], key [B,S,kdim], value [B,S,vdim] -> [B,L,embed]; for self-attention all three are the same tensor.
   mask, unless NULL, is 0 where a query may not look: [B,S] for all queries of a sequence (sp_seq_mask, sp_length_mask), or
   [B,L,S]. Causal: query i sees the keys 0 to i alone. What is not seen has the weight 0 exactly, and so has its gradient; its
   numbers must be finite. A query that sees nothing gets the bias of the output.
   weights, unless NULL, gets what the softmax gave, before dropout, [B,heads,L,S]; sp_mean(t, weights, 1) is the mean over
   heads, which is what PyTorch gives. Inside a step, keys, values and mask are sorted ones (sp_seq_sorted) and B may shrink. */
sp_tensor *sp_multihead_on(sp_tape *t, const sp_multihead *m, sp_tensor *query, sp_tensor *key, sp_tensor *value, sp_tensor *mask,
                           bool causal, sp_tensor **weights);

/* The same for sequences of different lengths: sequence i of the queries, [rows,embed], looks at sequence i of the memory, which
   gives keys and values. For self-attention both are the same. Sequences in weights are in the caller's order. */
sp_seq sp_multihead_on_seq(sp_tape *t, const sp_multihead *m, sp_seq query, sp_seq memory, bool causal, sp_tensor **weights);

SP_END
#endif
