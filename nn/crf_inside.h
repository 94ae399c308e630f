/* What the decoders of nn/crf_decode.c need of nn/crf.c. */
#ifndef SP_NN_CRF_INSIDE_H
#define SP_NN_CRF_INSIDE_H

#include "nn/crf.h"
#include "ops/chain_inside.h"
#include "ops/ops.h"

/* What is decoded. */
struct sp_crf_input {
    sp_ragged sequences;
    long steps, longest;
    struct sp_steps scores;     /* of the first sequence; its rows are those of `sequences` */
};

/* Checks and reads; false after an error of the tape. */
bool sp_crf_read(sp_tape *t, const sp_crf *c, sp_seq scores, struct sp_crf_input *in);

/* If what is forbidden leaves no path through sequence i, of n steps, records that and returns true. */
bool sp_crf_blocked(sp_tape *t, const sp_crf *c, long i, long n);

#endif
