/* Attention: a query looks at all places of a memory and gets their mean, weighted by how well each fits.

       e_s = score(query, memory_s)     a = softmax(e)     context = sum_s a_s memory_s

   The kinds, with q [query] and m [memory] wide:
       "dot"           e_s = q . m_s                                           Luong et al. 2015; query = memory
       "scaled-dot"    e_s = q . m_s / sqrt(memory)                            Vaswani et al. 2017; query = memory
       "general"       e_s = q . W m_s                                         Luong et al. 2015
       "additive"      e_s = v . tanh(W q + U m_s + b)                         Bahdanau et al. 2015
       "coverage"      e_s = v . tanh(W q + U m_s + b + c_s w)                 See et al. 2017, Tu et al. 2016
   In the last c_s is the coverage of a place: the sum of the weights that it has had so far.

   A memory is what an encoder gave for a batch of sequences of different lengths: it is padded, masked and projected once,
   outside the decoder's loop. The weight of padding is exactly 0, and so is its gradient.

       sp_memory memory = sp_memory_of(t, &attention, encoded);
       sp_tensor *weights, *context = sp_attention_on(t, &attention, &memory, query, NULL, &weights);

   nn/decoder.h has a ready decoder cell; nn/multihead.h the attention of several heads.

   Sources: Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015;
   Luong, Pham, Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015; Tu et al.,
   "Modeling coverage for neural machine translation", ACL 2016; See, Liu, Manning, "Get to the point: summarization with
   pointer-generator networks", ACL 2017; Vaswani et al., "Attention is all you need", NIPS 2017. */
#ifndef SP_NN_ATTENTION_H
#define SP_NN_ATTENTION_H

#include "nn/linear.h"
#include "nn/seq.h"

SP_BEGIN

typedef struct sp_attention {
    const char *kind;                   /* NULL: it was not made */
    long query, memory, units;          /* widths of a query, of a place of the memory, and of what a score is made of */
    sp_linear query_map, memory_map;    /* W and U, b; no weight where the kind has none */
    const sp_param *score, *coverage;   /* v, w [units]; NULL where the kind has none */
} sp_attention;

/* Declares what the kind has. "general": "<name>.memory.weight" [query,memory], which is W. "additive", "coverage":
   "<name>.query.weight" [units,query], "<name>.memory.weight" [units,memory], "<name>.memory.bias" [units], "<name>.score"
   [units]; "coverage" also "<name>.coverage" [units]. All uniform in +-1/sqrt(width of what they multiply) at first. units
   counts for the last two alone. On another kind, and on widths that it cannot have, the store has the error and the
   attention's kind is NULL. */
sp_attention sp_attention_make(sp_store *s, const char *kind, const char *name, long query, long memory, long units);

/* The kinds in the order of the table; NULL from the end on. */
const char *sp_attention_kind(int index);

/* A batch of sequences to attend to. S is the length of the longest. Keys, values and mask may be made by hand as well: a
   mask may leave out any places, whose numbers must be finite. */
typedef struct sp_memory {
    sp_tensor *keys;                    /* [B,S,u], what queries are compared with */
    sp_tensor *values;                  /* [B,S,memory], what contexts are made of */
    sp_tensor *mask;                    /* [B,S]: 1, or 0 for padding */
} sp_memory;

/* The memory of a batch [rows,memory], its sequences in the caller's order; padding is 0. */
sp_memory sp_memory_of(sp_tape *t, const sp_attention *a, sp_seq encoded);

/* The same, with the sequences in the order of the steps of a decoder whose layout this is: for a step function under
   sp_scan_seq and sp_unroll_seq. */
sp_memory sp_memory_sorted(sp_tape *t, const sp_memory *m, const sp_layout *layout);

/* Chosen sequences, in this order, any of them repeatedly: row i is of sequence row[i]. For a beam. */
sp_memory sp_memory_rows(sp_tape *t, const sp_memory *m, const int *row, long n);

/* A query for each sequence, [B,query] -> the contexts [B,memory]. weights, unless NULL, gets a, [B,S] (poison if that fails). coverage, unless NULL,
   is the coverage so far, [B,S], and gets what it is now, with a added; the kind "coverage" needs it, zeros at first.
   Inside a step the memory is a sorted one and B may shrink. A sequence all of whose places are masked gets zeros. */
sp_tensor *sp_attention_on(sp_tape *t, const sp_attention *a, const sp_memory *m, sp_tensor *query, sp_tensor **coverage,
                           sp_tensor **weights);

/* All queries at once, [rows,query], of a decoder that does not feed back what it has seen -> contexts [rows,memory]. Sequence
   i of the queries looks at sequence i of the memory, which is in the caller's order. weights, unless NULL, gets a in the rows
   of the queries, [rows,S]. Not for the kind "coverage". (For queries [T,B,query] see sp_seq_of and sp_seq_tensor.) */
sp_seq sp_attention_on_seq(sp_tape *t, const sp_attention *a, const sp_memory *m, sp_seq queries, sp_tensor **weights);

/* sum_s min(a_s, c_s) for weights and the coverage before them, [...,S] -> [...]: what looking twice costs (See et al.). */
sp_tensor *sp_coverage_loss(sp_tape *t, sp_tensor *weights, sp_tensor *coverage);

SP_END
#endif
