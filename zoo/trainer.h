/* One training loop for all models of the zoo: batches, loss, backward, clip, step; then validation, the best model kept,
   a line in the log. */
#ifndef SP_ZOO_TRAINER_H
#define SP_ZOO_TRAINER_H

#include <signal.h>
#include <stdio.h>

#include "autograd/profile.h"

SP_BEGIN

/* What a model gives the trainer. */
typedef struct sp_task {
    void *self;
    sp_store *store;
    int shards;                 /* parts that a batch is cut into, for as many threads at most: sp_trainer_shards */

    /* Begins a pass over the training (or validation) data; returns the number of batches. */
    long (*begin)(void *self, bool training);

    /* The mean loss of a shard of a batch, and in *count over how many symbols it is taken: 0 and NULL where it has none.
       Called from several threads for the shards of a batch. */
    sp_tensor *(*loss)(sp_tape *t, void *self, bool training, long batch, int shard, long *count);

    /* Writes the model to its file. */
    bool (*save)(void *self, sp_status *status);
} sp_task;

typedef struct sp_trainer_config {
    const char *optimizer;      /* nn/optimizer.h */
    double lr, clip;            /* learning rate; the gradient's greatest norm, 0: no limit */
    long epochs;
    uint64_t seed;              /* of dropout */
    int threads;                /* the result does not depend on it, */
    size_t budget;              /* nor on this: sp_tape_set_budget, for the tape of each shard */
    const char *log;            /* a file that gets one JSON object per epoch, or NULL */
    FILE *progress;             /* where a person watches, or NULL */
    sp_profile *profile;        /* counts what training and validation do, or NULL */
    const volatile sig_atomic_t *stop;  /* training ends soon after this becomes non-zero; or NULL */
} sp_trainer_config;

typedef struct sp_training {
    long epochs;                /* finished */
    double train_loss, valid_loss;      /* of the last epoch, mean nats per symbol */
    double best_loss;           /* the lowest valid_loss: that model is the one saved */
    long best_epoch;            /* from 1; 0: the model as the interruption found it, in its unfinished epoch */
    double tokens_per_s, seconds;       /* training symbols per second in the last epoch; all the time taken */
    bool interrupted, saved;
} sp_training;

/* Into how many shards to cut a batch of so many rows: 2 from 32 on, 4 from 128 on, 8 from 256 on. More make a step slower on
   one thread, and each takes memory for all gradients. It does not depend on the number of threads, so neither does the
   result. */
enum { SP_MOST_SHARDS = 8 };
int sp_trainer_shards(long batch);

/* Trains. The model is saved after every epoch whose validation loss is the best so far. When stopped it is validated as
   it is, and saved if it is the best so far. False if something failed, a loss that is not finite included; the model
   saved last stays. */
bool sp_train(const sp_task *task, const sp_trainer_config *config, sp_training *result, sp_status *status);

SP_END
#endif
