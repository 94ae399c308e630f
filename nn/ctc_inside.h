/* What the decoders of CTC share. */
#ifndef SP_NN_CTC_INSIDE_H
#define SP_NN_CTC_INSIDE_H

#include "nn/ctc.h"

struct sp_ctc_input {
    sp_ragged sequences;        /* with a list of rows */
    long longest, classes;
    sp_real *logits;            /* [rows,classes] */
};

/* Checks and reads; false after an error of the tape. */
bool sp_ctc_read(sp_tape *t, sp_seq logits, int blank, struct sp_ctc_input *in);

#endif
