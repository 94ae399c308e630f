/* Sequences of different lengths as one batch, packed: sorted by length, the longest first, step after step, so that the
   rows of each step are those sequences that still go on, and nothing is computed for padding.

       lengths 2 3 1:   step 0: b0 a0 c0   step 1: b1 a1   step 2: b2        (a, b, c the sequences; rows 0 .. 5)

   Users hand over, and get back, their own order. Sequences of one length, [T,B,w], are the special case. */
#ifndef SP_NN_SEQ_H
#define SP_NN_SEQ_H

#include "autograd/tape.h"

SP_BEGIN

typedef struct sp_layout {
    long steps, batch, rows;    /* of the longest; sequences; all lengths together */
    const long *offset;         /* [steps+1] where each step's rows begin; a step has no more than the one before */
    const int *order;           /* [batch] row r of step 0 is of the caller's sequence order[r]; NULL: r itself */
    const long *length;         /* [batch] of row r */
} sp_layout;

typedef struct sp_seq {
    sp_tensor *rows;            /* [rows,w] */
    const sp_layout *layout;    /* lives as long as the tensor; NULL after an error of the tape */
} sp_seq;

/* xs [T,B,w] as a batch of B sequences of T steps; and back, for such a batch. */
sp_seq sp_seq_of(sp_tape *t, sp_tensor *xs);
sp_tensor *sp_seq_tensor(sp_tape *t, sp_seq seq);

/* n sequences that lie one behind the other in x [sum of lengths,w]; each length is at least 1. None at all, n = 0, is an
   empty batch. And back. */
sp_seq sp_seq_pack(sp_tape *t, sp_tensor *x, const long *length, long n);
sp_tensor *sp_seq_unpack(sp_tape *t, sp_seq seq);

/* Each sequence backwards, from its own last step to its first. */
sp_seq sp_seq_reverse(sp_tape *t, sp_seq seq);

/* Which of the caller's sequences each row is of, [rows], from 0: for sp_segment_sum and its kin, with layout->batch
   segments. NULL after an error of the tape. */
const int *sp_seq_numbers(sp_tape *t, sp_seq seq);

/* Other rows with the layout of seq: for what is computed from its rows, [rows,...]. */
sp_seq sp_seq_like(sp_seq seq, sp_tensor *rows);

/* With padding: [batch,steps,w] in the caller's order, 0 behind the end of a sequence; and back, the padding left out, for a
   tensor that is computed from such a one. The mask [batch,steps] is 1 where a sequence has a step and 0 behind its end. */
sp_tensor *sp_seq_padded(sp_tape *t, sp_seq seq);
sp_seq sp_seq_of_padded(sp_tape *t, const sp_layout *layout, sp_tensor *x);
sp_tensor *sp_seq_mask(sp_tape *t, const sp_layout *layout);

/* The same for lengths, each 1 to steps, of which there are n: [n,steps]. */
sp_tensor *sp_length_mask(sp_tape *t, const long *length, long n, long steps);

/* x [batch,...], a row for each sequence in the caller's order, in the order of the rows of a step: for a step function that
   reads it from outside (a memory to attend to, a speaker's vector). The result goes with sequences that have this order
   alone, which sp_scan_seq checks and sp_unroll_seq cannot; what is computed from it outside the step has to be sorted anew.
   Later steps have fewer rows. Under scan an operation sees those of its step; sp_seq_rows takes as many as another tensor
   of the step has, which is what unrolling needs and costs nothing under scan. */
sp_tensor *sp_seq_sorted(sp_tape *t, const sp_layout *layout, sp_tensor *x);
sp_tensor *sp_seq_rows(sp_tape *t, sp_tensor *sorted, const sp_tensor *like);

SP_END
#endif
