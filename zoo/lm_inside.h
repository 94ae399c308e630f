/* A pass over a text with a model: a tape, and the states of its streams. */
#ifndef SP_ZOO_LM_INSIDE_H
#define SP_ZOO_LM_INSIDE_H

#include "zoo/lm.h"

struct sp_lm_session {
    sp_tape *tape;
    sp_state *state;            /* zeros at first */
    int *x, *y;                 /* [window,batch] */
};

/* For streams of `batch` that are read `window` steps at once. False without memory. Close it in either case: that hands the
   tape's error on. */
bool sp_lm_open(struct sp_lm_session *s, const sp_lm *m, long batch, long window, bool recording, sp_status *status);
bool sp_lm_close(struct sp_lm_session *s, sp_status *status);

/* Called after each window of a text, with its loss on the tape. False if it failed. */
typedef bool sp_lm_after(void *self, sp_tape *t, sp_tensor *loss);

/* Reads a text as parallel streams, in windows of `window` steps at most; the mean loss, in nats per symbol. NaN if it failed. */
double sp_lm_read(const sp_lm *m, const int *id, long n, long batch, long window, sp_lm_after *after, void *self,
                  sp_status *status);

#endif
