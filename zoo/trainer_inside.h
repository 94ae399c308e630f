/* What the files of the trainer share. */
#ifndef SP_ZOO_TRAINER_INSIDE_H
#define SP_ZOO_TRAINER_INSIDE_H

#include "autograd/parallel.h"
#include "zoo/trainer.h"

struct trainer {
    const sp_task *task;
    const sp_trainer_config *config;
    sp_training *result;
    sp_status *status;
    sp_parallel *parallel;
    sp_optimizer *optimizer;
    sp_store *carried;          /* the task's blocks, as they were at the last sp_trainer_remember; and best */
    sp_param *best;             /* the parameters of the model saved last */
    bool training;              /* or validating */
    long epoch, batch;          /* at present, from 0 */
    double began;               /* when, less the seconds that were spent before it was resumed */
    FILE *log;
    char *lines;                /* of the log, so far */
    double drawn;               /* when the picture was drawn last */

    /* With the result, where training is. */
    long next;                  /* the first batch of the epoch that is not trained on yet */
    long steps, batches;        /* taken so far; batches is the key of a batch's random numbers */
    long per_epoch;             /* steps, in the first */
    double sum, tokens;         /* in this epoch: of the losses of all symbols; symbols trained on */
    long waited;                /* validations since the best */

    bool damaged;               /* the newest checkpoint is: it must not take the place of the one before it */
};

/* Copies the task's blocks to r->carried, and back. */
void sp_trainer_remember(struct trainer *r);
void sp_trainer_recall(struct trainer *r);

/* The schedule, with so many steps an epoch; it is given what its kind has, and nothing else. */
sp_schedule sp_trainer_schedule(const sp_trainer_config *c, long per_epoch);

/* Adds a line to the log. */
bool sp_trainer_log(struct trainer *r);

/* Draws the picture: at the end, and where epochs are long after each of them. */
bool sp_trainer_draw(struct trainer *r, bool last);

/* Tells a person about the epoch. */
void sp_trainer_tell(const struct trainer *r);

/* Are all parameters finite? Before they are written. */
bool sp_trainer_sound(struct trainer *r);

bool sp_trainer_save(struct trainer *r);

/* Goes on from the checkpoint, if there is one, and saves its best model. False if it cannot be used. */
bool sp_trainer_load(struct trainer *r);

/* Can a checkpoint be written to its file, and is it of this training, if it is there? */
bool sp_trainer_check_checkpoint(const sp_trainer_config *c, sp_status *status);

/* Does the batches from first to r->batch once more, to see where the numbers of a loss (or, back, a gradient) stopped being
   finite; the error is "training: WHAT became VALUE in step N: first at ...". */
bool sp_trainer_blame(struct trainer *r, const char *what, double value, long first, bool back);

#endif
