/* Two cells over the same sequences, one from the first step to the last, one from the last to the first; the two outputs of
   each step side by side, or their sum.   Source: Schuster, Paliwal, IEEE Transactions on Signal Processing 45, 1997. */
#ifndef SP_NN_BIDIRECTIONAL_H
#define SP_NN_BIDIRECTIONAL_H

#include "nn/cell.h"

SP_BEGIN

typedef enum sp_merge {
    SP_MERGE_CONCAT,            /* the forward's, then the reverse's: [out + out'] */
    SP_MERGE_SUM                /* both are [out] */
} sp_merge;

typedef struct sp_bidirectional {
    sp_cell forward, reverse;   /* any two that take the same x */
    sp_merge merge;
} sp_bidirectional;

/* The width of y; 0 where a cell is missing. */
long sp_bidirectional_out(const sp_bidirectional *b);

/* Each by sp_scan_seq. state: first those of forward, then those of reverse, each [batch,w] in the caller's order; initial
   ones, where NULL stands for zeros, become final ones, which for reverse are those at the first step. state may be NULL. */
sp_seq sp_bidirectional_on(sp_tape *t, const sp_bidirectional *b, sp_seq xs, sp_tensor **state);

SP_END
#endif
