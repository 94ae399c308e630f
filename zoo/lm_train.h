/* Training of a language model: the text as parallel streams whose states are carried from window to window.

       sp_lm_trainer *r = sp_lm_trainer_new(m, &train, &valid, 32, 35, "lm.safetensors", &status);
       sp_task task = sp_lm_trainer_task(r);
       bool ok = r && sp_train(&task, &config, &result, &status);
       sp_lm_trainer_free(r); */
#ifndef SP_ZOO_LM_TRAIN_H
#define SP_ZOO_LM_TRAIN_H

#include "zoo/lm.h"
#include "zoo/trainer.h"

SP_BEGIN

typedef struct sp_lm_trainer sp_lm_trainer;

/* Of a model, on texts as numbers, all borrowed: `batch` streams read side by side, in windows of `bptt` time steps at most,
   over which gradients go back. The best model is saved as `out` (NULL: not), and is what m is after training. NULL if a
   text is too short: one to train on needs batch * bptt + 1 symbols, one to validate on batch + 1; for sizes below 1; or
   without memory. */
sp_lm_trainer *sp_lm_trainer_new(sp_lm *m, const sp_ids *train, const sp_ids *valid, long batch, long bptt, const char *out,
                                 sp_status *status);
void sp_lm_trainer_free(sp_lm_trainer *r);

/* What sp_train takes; it lives as long as r. */
sp_task sp_lm_trainer_task(sp_lm_trainer *r);

SP_END
#endif
