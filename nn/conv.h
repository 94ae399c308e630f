/* Convolutions.   y[b,o,p,q] = bias_o + sum over c, i, j of weight[o,c,i,j] x[b,c, p stride + i dilation - padding, ...]
   PyTorch's nn.Conv1d and nn.Conv2d: weight [out,in/groups,k] or [out,in/groups,kh,kw], bias [out], both uniform in
   +-1/sqrt(in/groups kh kw) at first.

       sp_conv_layer c = sp_conv2d_make(store, "features.0", &(sp_conv_config){ .in = 3, .out = 64, .kernel = { 7, 7 },
                                                                                .stride = { 2, 2 }, .padding = { 3, 3 } });
       x = sp_max_pool(t, sp_relu(t, sp_conv_on(t, &c, x)), (sp_slide){ .kernel = { 3, 3 }, .stride = { 2, 2 } });

   Pools are operations: sp_max_pool and sp_avg_pool (ops/table.h); over a whole axis sp_max and sp_mean. For texts of
   different lengths (nn/seq.h), each as if it were alone with zeros around it, a kernel of 3 and a padding of 1:

       sp_tensor *x = sp_transpose(t, sp_seq_padded(t, words), 1, 2);                  [B,in,T]
       sp_tensor *y = sp_transpose(t, sp_conv_on(t, &filters, x), 1, 2);
       sp_seq each = sp_seq_of_padded(t, words.layout, y);                             [rows,out], at each word */
#ifndef SP_NN_CONV_H
#define SP_NN_CONV_H

#include "ops/ops.h"

SP_BEGIN

/* Pairs of { height, width }, of which a convolution over one axis has the first, the second being 0, or 1 but in padding.
   All are below 2^31; 0 stands for 1 but in kernel and padding. */
typedef struct sp_conv_config {
    long in, out;               /* channels */
    long kernel[2], stride[2], padding[2], dilation[2];
    long groups;                /* divide in and out; output channels of a group see its input channels alone */
    bool no_bias;
} sp_conv_config;

typedef struct sp_conv_layer {
    const sp_param *weight, *bias;      /* owned by the store; no bias is NULL */
    sp_slide how;
} sp_conv_layer;

/* Declares "<name>.weight" and "<name>.bias". If that fails the store has the error and the layer is poison. */
sp_conv_layer sp_conv1d_make(sp_store *s, const char *name, const sp_conv_config *config);
sp_conv_layer sp_conv2d_make(sp_store *s, const char *name, const sp_conv_config *config);

/* [B,in,L] -> [B,out,L'] and [B,in,H,W] -> [B,out,H',W'], where L' = (L + 2 padding - dilation (kernel - 1) - 1) / stride + 1,
   rounded down. x may be a view of any strides: one whose last axis has gaps is copied. */
sp_tensor *sp_conv_on(sp_tape *t, const sp_conv_layer *l, sp_tensor *x);

SP_END
#endif
