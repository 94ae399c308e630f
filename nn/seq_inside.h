/* What the files of sequences, and those that work on them, share. */
#ifndef SP_NN_SEQ_INSIDE_H
#define SP_NN_SEQ_INSIDE_H

#include "nn/seq.h"
#include "ops/ops.h"

/* Checks that there are rows [rows,w] for a layout. False: the tape has the error, `who` in front. */
bool sp_seq_check(sp_tape *t, const char *who, sp_seq seq);

/* True if all sequences have one length. */
bool sp_layout_even(const sp_layout *l);

/* The sequences of seq in the caller's order, as the lists of rows that operations take; false as sp_seq_check. */
bool sp_seq_ragged(sp_tape *t, const char *who, sp_seq seq, sp_ragged *r);
/* True if the sequences stand in the same order in both. */
bool sp_layout_same_order(const sp_layout *a, const sp_layout *b);

/* A state [batch,w] in the caller's order as the rows of step 0, and back. */
sp_tensor *sp_state_sorted(sp_tape *t, const sp_layout *l, sp_tensor *state);
sp_tensor *sp_state_unsorted(sp_tape *t, const sp_layout *l, sp_tensor *state);

/* The final state [batch,w], in the caller's order, out of the states behind every step, [rows,w]: each row's at its own
   last step or, in reverse time, at its first. */
sp_tensor *sp_state_of_rows(sp_tape *t, const sp_layout *l, sp_tensor *rows, bool reverse);

#endif
