/* Where numbers stop being finite. After a step whose loss or gradient is not finite, that step once more:

       char origin[SP_ORIGIN_TEXT];
       sp_tape_watch(t, origin);
       sp_tape_seed(t, seed, step - 1);                         the random numbers that it drew
       sp_tape_reset(t);
       sp_backward(t, model_loss(t, &model, &batch));
       sp_tape_watch(t, NULL);
       printf("first at %s\n", origin);                         first at 'exp' in rnn.l0.lstm, time step 17

   The trainer (zoo/trainer.h) does this by itself. */
#ifndef SP_AUTOGRAD_WATCH_H
#define SP_AUTOGRAD_WATCH_H

#include "autograd/tape.h"

SP_BEGIN

enum { SP_ORIGIN_TEXT = 256 };

/* From here on every operation of the tape, those inside a scan included, looks at its numbers before and after. The first
   that makes inf of finite numbers, or nan of numbers that are none, is written to origin, with its scope and, if it runs at
   one, its time step (from 0); "" as long as there is none. Nothing that is computed changes, but it takes longer, and a
   profile counts nothing. NULL ends it. origin is borrowed until then. */
void sp_tape_watch(sp_tape *t, char origin[SP_ORIGIN_TEXT]);

SP_END
#endif
