/* Layers that Keras or ONNX trained. They compute what ours of the same kind compute, from the same numbers in other shapes
   and orders; this puts them where ours are. (PyTorch's need none of this: its names, shapes and orders are ours, and
   sp_store_load reads a state dict.)

       sp_foreign gru = { .library = "keras", .kind = "gru",
                          .tensor = { "gru/kernel", "gru/recurrent_kernel", "gru/bias" } };
       sp_safetensors *f = sp_safetensors_open("weights.safetensors", &status);
       if (!sp_import(store, "encoder.%s_l0", &gru, f, &status)) ...

   library   kind                       its tensors, in this order                                                 gates
   keras     rnn relu                   kernel [in,H]     recurrent_kernel [H,H]    bias [H]
             lstm                       kernel [in,4H]    recurrent_kernel [H,4H]   bias [4H]                      i f c o
             gru          reset_after   kernel [in,3H]    recurrent_kernel [H,3H]   bias [2,3H]                    z r h
             gru-before   otherwise     kernel [in,3H]    recurrent_kernel [H,3H]   bias [3H]                      z r h
             linear       (Dense)       kernel [in,out]   bias [out]
             embedding                  embeddings [ids,width]
             conv1d       (nn/conv.h)   kernel [k,in/groups,out]     bias [out]
             conv2d                     kernel [kh,kw,in/groups,out]                bias [out]
             norm         (batch)       gamma [n]         beta [n]      moving_mean [n]     moving_variance [n]
             layer-norm                 gamma [n]         beta [n]
             multihead                  kernel [E,heads,d] and bias [heads,d] of query, of key, of value; then those of
                                        attention_output [heads,d,E] and [E]
   onnx      rnn relu                   W [D,H,in]        R [D,H,H]     B [D,2H]
             lstm                       W [D,4H,in]       R [D,4H,H]    B [D,8H]                                   i o f c
             lstm-peephole              W, R, B as lstm   P [D,3H]                                                 P: i o f
             gru          linear_before_reset = 1         W [D,3H,in]   R [D,3H,H]     B [D,6H]                    z r h
             gru-before   linear_before_reset = 0         the same
             linear       (Gemm, transB = 1)              B [out,in]    C [out]
             conv                       W [out,in/groups,...]           B [out]
             norm         (batch)       scale [n]         B [n]         mean [n]       var [n]

   D, the directions of an ONNX layer, is 1 or 2. Where one library has one bias and we have two, the second becomes zeros.
   Keras' own activations must be those of the kind (GRU and LSTM: sigmoid and tanh, its defaults), and so must ONNX's
   (attribute activations: its defaults); clip and input_forget must be off.
   A norm is a batch norm (nn/batch_norm.h), whose num_batches_tracked is left alone. Set its eps, and a layer norm's, to
   theirs: Keras' is 1e-3, ONNX's and ours 1e-5. Direction 1 of an ONNX layer goes to "encoder.%s_l0_reverse".
   Sources: https://keras.io/api/layers, https://onnx.ai/onnx/operators. */
#ifndef SP_NN_IMPORT_H
#define SP_NN_IMPORT_H

#include "nn/safetensors.h"

SP_BEGIN

enum { SP_FOREIGN_TENSORS = 8 };

typedef struct sp_foreign {
    const char *library, *kind;                 /* of the table */
    const char *tensor[SP_FOREIGN_TENSORS];     /* what they are called in the file; NULL: the layer has no such bias, beta
                                                   or peepholes, and ours, where there are some, become zeros; no gamma of
                                                   Keras: ones */
    int direction;                              /* of an ONNX layer: 0, or 1 for the second of two */
} sp_foreign;

/* Copies a layer's numbers out of a file. `params` are our parameters, with %s for what a layer calls each of them:
   "encoder.%s_l0" are encoder.weight_ih_l0, encoder.bias_ih_l0, ...; "head.%s" are head.weight, head.bias. A tensor or a
   parameter that is missing or does not fit is an error, and the store is unchanged. */
bool sp_import(sp_store *s, const char *params, const sp_foreign *from, const sp_safetensors *f, sp_status *status);

SP_END
#endif
