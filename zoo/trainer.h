/* One training loop for all models of the zoo: batches, loss, backward, clip, step; then validation, the best model kept,
   a line in the log. Checkpoints, from which training goes on bit for bit as if nothing had happened; a picture of it all.

       sp_trainer_config config = sp_trainer_defaults();
       const sp_option options[] = { ..., SP_TRAINER_OPTIONS(&config), { 0 } };
       ...
       const sp_task task = { .self = &run, .store = store, .begin = begin, .loss = loss, .save = save };
       sp_training result;
       if (!sp_train(&task, &config, &result, &status)) ...
*/
#ifndef SP_ZOO_TRAINER_H
#define SP_ZOO_TRAINER_H

#include <signal.h>
#include <stdio.h>

#include "autograd/profile.h"
#include "nn/optimizer.h"
#include "zoo/options.h"
#include "zoo/report.h"

SP_BEGIN

/* What a model gives the trainer. Whatever is not needed is NULL, but for begin, loss and save. */
typedef struct sp_task {
    void *self;
    sp_store *store;
    int shards;                 /* parts that a batch is cut into, for as many threads at most: sp_trainer_shards */

    /* Begins a pass over the training (or validation) data; returns the number of batches, at least one. The order of the
       data may depend on the epoch (from 0) and a seed, on nothing before: sp_trainer_shuffle. */
    long (*begin)(void *self, bool training, long epoch);

    /* The mean loss of a shard of a batch, and in *count over how many symbols it is taken: 0 and NULL where it has none.
       Called from several threads for the shards of a batch. */
    sp_tensor *(*loss)(sp_tape *t, void *self, bool training, long batch, int shard, long *count);

    /* Writes the model to its file. */
    bool (*save)(void *self, sp_status *status);

    /* The i-th block of numbers that pass from batch to batch (states carried over windows), and how many; NULL from the end
       on. Each keeps its place and its size; begin clears them. A checkpoint has them. */
    sp_real *(*carried)(void *self, int i, long *size);

    /* Another measure of the model than its loss (accuracy, F1, BLEU), called after each pass over the validation data. */
    double (*measure)(void *self, sp_status *status);           /* NaN is worse than any number */
    const char *metric;         /* what it is called */
    bool more_is_better;        /* of it */
    const char *unit;           /* what *count counts, for messages: "word"; NULL: "symbol" */

    /* Sets what the model wants of its optimizer: groups, momentum. */
    bool (*tune)(void *self, sp_optimizer *o, sp_status *status);

    /* Says of what model and data this is a training: with another a checkpoint is refused. */
    void (*describe)(void *self, sp_report *r);
} sp_task;

/* Zeros are sensible for all but optimizer, lr and epochs: a number that is 0 is what its comment says, or has no effect.
   Otherwise the bounds are those of SP_TRAINER_OPTIONS. */
typedef struct sp_trainer_config {
    const char *optimizer;      /* nn/optimizer.h */
    double lr, clip;            /* learning rate; the gradient's greatest norm, 0: no limit */
    const char *schedule;       /* nn/schedule.h, over the steps of all epochs; NULL: constant */
    long warmup;                /* steps */
    double decay;               /* step, exponential: the factor of an epoch; plateau: of each time, below 1; 0 is 0.5 */
    long plateau;               /* validations in turn whose loss may be no better before plateau lowers the rate */
    double average;             /* the model is an exponential average of the weights with this decay; 0: they themselves */
    long epochs;
    long accumulate;            /* batches that make one step together, as one large batch would; 0 is 1 */
    long patience;              /* training ends when so many validations in turn were no better than the best; 0: never */
    const char *metric;         /* what "better" means: NULL or "loss", or the task's metric, and of equals the loss */
    const char *metrics;        /* what the option of this name takes, "loss|accuracy"; NULL: any word */
    const char *checkpoint;     /* a file from which training can go on, written after each epoch; or NULL */
    long every;                 /* and after so many steps; 0: not */
    bool resume;                /* go on from it, if it is there; without this it may not be there */
    long seed;                  /* of dropout */
    long threads;               /* 0 is 1; the result does not depend on it, */
    size_t budget;              /* nor on this: sp_tape_set_budget, for the tape of each shard */
    const char *log;            /* a file that gets one JSON object per epoch, or NULL */
    const char *plot;           /* a picture of the log, made by gnuplot where that is installed; or NULL */
    FILE *progress;             /* where a person watches, or NULL */
    sp_profile *profile;        /* counts what training and validation do, or NULL */
    const volatile sig_atomic_t *stop;  /* training ends soon after this becomes non-zero; or NULL */
} sp_trainer_config;

/* Adam with a rate of 2e-3, clipping at 5, 10 epochs, one thread, seed 1, progress on standard error. */
sp_trainer_config sp_trainer_defaults(void);

/* Can training begin? What is wrong with settings, one without effect (decay without a schedule that has one, every without
   a checkpoint), a file that cannot be written, a checkpoint that is there though resume is not set, or that is a device: all
   better known before data are read. sp_train asks again. */
bool sp_trainer_check(const sp_trainer_config *config, sp_status *status);

/* Rows for the options of a program that trains; c is the address of its configuration. */
#define SP_TRAINER_OPTIONS(c) SP_TRAINER_STEP_OPTIONS(c), SP_TRAINER_FILE_OPTIONS(c)

/* How it learns; and, where training is one run, what it writes beside the model. */
#define SP_TRAINER_STEP_OPTIONS(c) \
    { "epochs", SP_OPTION_WHOLE, &(c)->epochs, 1, 1e6, .help = "times through the data" }, \
    { "optimizer", SP_OPTION_CHOICE, &(c)->optimizer, .argument = SP_OPTIMIZER_KINDS, .help = "rule of the steps" }, \
    { "lr", SP_OPTION_NUMBER, &(c)->lr, 1e-9, 100, .help = "learning rate" }, \
    { "clip", SP_OPTION_NUMBER, &(c)->clip, 0, 1e9, .help = "greatest norm of the gradient; 0: no limit" }, \
    { "schedule", SP_OPTION_CHOICE, &(c)->schedule, .argument = SP_SCHEDULE_KINDS, .help = "of the learning rate" }, \
    { "warmup", SP_OPTION_WHOLE, &(c)->warmup, 0, 1e9, .help = "steps in which the rate rises, from a third" }, \
    { "decay", SP_OPTION_NUMBER, &(c)->decay, 1e-9, 1, .help = "factor of the rate: step, exponential: an epoch; plateau" }, \
    { "plateau", SP_OPTION_WHOLE, &(c)->plateau, 0, 1e6, .help = "validations that may be no better before plateau acts" }, \
    { "average", SP_OPTION_NUMBER, &(c)->average, 0, 1 - 1e-9, .help = "decay of an average that is the model; 0: none" }, \
    { "accumulate", SP_OPTION_WHOLE, &(c)->accumulate, 1, 1e6, .help = "batches that make one step" }, \
    { "patience", SP_OPTION_WHOLE, &(c)->patience, 0, 1e6, .help = "validations in vain before the end; 0: no limit" }, \
    { "metric", (c)->metrics ? SP_OPTION_CHOICE : SP_OPTION_TEXT, &(c)->metric, .argument = (c)->metrics ? (c)->metrics : "NAME", \
      .help = "by which the best model is chosen" }, \
    { "seed", SP_OPTION_WHOLE, &(c)->seed, 0, 2147483647, .help = "of initial values and dropout" }, \
    { "threads", SP_OPTION_WHOLE, &(c)->threads, 1, 64, \
      .help = "that share the work: of a batch of 32 two, of 128 four, of 256 eight" }

#define SP_TRAINER_FILE_OPTIONS(c) \
    { "checkpoint", SP_OPTION_TEXT, &(c)->checkpoint, .argument = "FILE", .help = "what --resume needs, each epoch", \
      .file = SP_OPTION_WRITES_CHECKPOINT }, \
    { "every", SP_OPTION_WHOLE, &(c)->every, 0, 1e9, .help = "and each so many steps; 0: not" }, \
    { "resume", SP_OPTION_FLAG, &(c)->resume, .help = "go on from the checkpoint, if there is one" }, \
    { "log", SP_OPTION_TEXT, &(c)->log, .argument = "FILE", .help = "JSON Lines, an object per epoch", .file = SP_OPTION_WRITES }, \
    { "plot", SP_OPTION_TEXT, &(c)->plot, .argument = "FILE.svg", .help = "learning curves, by gnuplot", .file = SP_OPTION_WRITES }

typedef struct sp_training {
    long epochs;                /* finished */
    double train_loss, valid_loss;      /* of the last epoch finished, mean nats per symbol; NaN: none was */
    double metric;              /* the same validation's; NaN without one */
    double best_loss, best_metric;      /* of the best validation: that model is the one saved */
    long best_epoch;            /* from 1; 0: the model as the interruption found it, in its unfinished epoch */
    double tokens_per_s, seconds;       /* training symbols per second in the last epoch, finished or not; all the time taken */
    bool interrupted, saved, patience_lost;
} sp_training;

/* Into how many shards to cut a batch of so many rows: 2 from 32 on, 4 from 128 on, 8 from 256 on. More make a step slower on
   one thread, and each takes memory for all gradients. It does not depend on the number of threads, so neither does the
   result. */
enum { SP_MOST_SHARDS = 8 };
int sp_trainer_shards(long batch);

/* The order of n things in an epoch: a permutation of 0 .. n-1, each equally likely, that depends on nothing else. */
void sp_trainer_shuffle(long n, long *order, uint64_t seed, long epoch);

/* Trains. The model is saved after every epoch whose validation is the best so far; after training, resumed or not, the store
   has the values that were saved last, and after an error those where it ended. When stopped it is validated as it is, and saved
   if it is the best so far; with a checkpoint only if nothing was saved, so that what --resume leads to is what would have been.
   False if something failed, a file that cannot be written included; the model and the checkpoint saved last stay.

   A loss or gradient that is not finite ends training. The step is done once more, watched (autograd/watch.h): "training:
   the loss became nan in step 812: first at 'exp' in rnn.l0.lstm, time step 17".

   A checkpoint replaces the file whole or not at all, and the one before it stays as FILE.old; FILE.new is there while it is
   written. It has the best model too, which is saved again when training goes on from it: whatever became of the model's file,
   or if the task has another one now, it is as it was. Where the file is gone or damaged (its checksum shows every
   change), FILE.old is taken, and progress says so. Where it is of other settings or data, that is an error which says what
   differs; epochs (unless the schedule depends on them), patience, threads and files may be others. */
bool sp_train(const sp_task *task, const sp_trainer_config *config, sp_training *result, sp_status *status);

SP_END
#endif
