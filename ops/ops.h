/* The operations. ops/table.h lists them, each with its formula and shapes; this header says what holds for all.

   Every operation takes the tape first and returns a tensor that lives until the tape is reset or rewound. Where shapes
   do not fit, or an input is NULL or poison, the result is poison and the tape holds the first cause (autograd/tape.h).
   Elementwise operations broadcast: shapes are aligned at the last axis, sizes must be equal or 1. An axis may be
   negative: -1 is the last. Non-finite inputs give non-finite outputs, never a crash. */
#ifndef SP_OPS_OPS_H
#define SP_OPS_OPS_H

#include "autograd/op.h"

SP_BEGIN

enum {
    SP_ALL = 1000,              /* as an axis: over all elements */
    SP_IGNORE = -100,           /* a class id that counts for nothing (the value PyTorch uses) */
    SP_OMIT_NONE = -1,          /* for sp_cross_entropy_among */
    SP_OMIT_ROW = -2
};

/* How a window slides over the last two axes of [B,C,H,W]: pairs of { height, width }. Over [B,C,L] the first of each pair
   counts; the second of a pool is 0, of a convolution 0, or 1 but in padding. A stride or a dilation of 0 stands for 1, groups 0
   for 1; a pool's stride of 0 for its kernel, as in PyTorch. */
typedef struct sp_slide {
    long kernel[2];             /* of a pool; a convolution has its weight's, this being 0 or the same */
    long stride[2], padding[2], dilation[2];    /* pools: no dilation, 0 or 1 */
    long groups;                /* of a convolution; pools: 0 or 1 */
    bool padding_uncounted;     /* an average is of what is inside alone: PyTorch's count_include_pad=False; max_pool: false */
} sp_slide;

/* Sequences of different lengths in the rows of a tensor. The steps of sequence 0 are the first length[0] rows of the list
   `row`, those of sequence 1 the next length[1], ...; without a list they are the tensor's rows as they lie. */
typedef struct sp_ragged {
    long n;                     /* sequences */
    const long *length;         /* [n] steps of each */
    const int *row;             /* [sum of lengths] or NULL */
} sp_ragged;

#define SP_OP(name, prototype) prototype;
#include "ops/table.h"
#undef SP_OP

/* sp_cross_entropy where the target is spread: 1 - smoothing + smoothing / n for the id, smoothing / n for the other classes.
   0 <= smoothing <= 1. Szegedy et al., "Rethinking the Inception architecture", 2016; PyTorch's label_smoothing. */
sp_tensor *sp_cross_entropy_smooth(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, const sp_real *weight,
                                   double smoothing);

/* Cuts x along an axis into n equal parts; part[0..n-1] are views. */
void sp_split(sp_tape *t, sp_tensor *x, int axis, int n, sp_tensor **part);

/* If x was made by sp_embedding: its table, and the id of each row. */
bool sp_embedding_source(const sp_tensor *x, sp_tensor **table, const int **ids);

/* The fewest steps in which sp_ctc can say n labels: one each, and a blank between a label and the same again. */
long sp_ctc_steps(const int *labels, long n);

/* All operations, NULL at the end. */
extern const sp_op *const sp_op_table[];

SP_END
#endif
