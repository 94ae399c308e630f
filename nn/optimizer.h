/* Optimizers. Each is one rule over the whole block of parameters.

       sp_optimizer *adam = sp_optimizer_new(store, "adamw", 2e-3, &status);
       sp_optimizer_group(adam, "*bias*", 1, 0, &status);       biases: the full learning rate, no weight decay
       adam->schedule.kind = "inverse_sqrt", adam->schedule.warmup = 500;
       ...
       sp_clip_norm(t, 5);
       sp_step(adam, t);
       ...
       sp_optimizer_validated(adam, loss);                      for "plateau" and "nt-asgd"
       sp_optimizer_save(adam, NULL, "run.safetensors", 0, NULL, &status);

   Rules, settings and defaults are those of torch.optim, and so are the numbers. Not there: dampening, amsgrad, maximize,
   initial_accumulator_value, and an epsilon of 0. sp_clip_norm divides by the norm, torch by the norm + 1e-6. */
#ifndef SP_NN_OPTIMIZER_H
#define SP_NN_OPTIMIZER_H

#include "autograd/tape.h"
#include "nn/safetensors.h"
#include "nn/schedule.h"

SP_BEGIN

enum { SP_NONMONO_MOST = 32 };

/* The settings may be changed at any time; sp_step refuses what is out of range. Make one with sp_optimizer_new, which sets
   the defaults given here. */
typedef struct sp_optimizer {
    double lr;                          /* learning rate, before the schedule and the factors of groups */
    double weight_decay;                /* 0; adamw: 0.01 */
    sp_schedule schedule;               /* constant: nn/schedule.h */
    double momentum;                    /* sgd, nt-asgd, rmsprop: 0 */
    bool nesterov;                      /* sgd, nt-asgd: false */
    double beta1, beta2;                /* adam, adamw: 0.9, 0.999 */
    double alpha;                       /* rmsprop: 0.99 */
    bool centered;                      /* rmsprop: false */
    double rho;                         /* adadelta: 0.9 */
    double lr_decay;                    /* adagrad: 0 */
    double epsilon;                     /* adam, adamw, rmsprop: 1e-8, adadelta: 1e-6, adagrad: 1e-10 */
    int nonmono;                        /* nt-asgd: 5 validations; SP_NONMONO_MOST at most */

    /* private */
    sp_store *store;
    const struct sp_rule *rule;
    long size;                          /* of the store when the optimizer was made */
    sp_store *memory;                   /* slots, then the average: each in the layout of the parameters */
    sp_real *slot[3], *average;         /* [size] in memory; NULL if not used */
    double average_decay;               /* 0: the plain mean */
    bool swapped;                       /* the store holds the averages, and average the parameters */
    double (*factor)[2];                /* [parameters] of the learning rate and the weight decay; NULL: all 1 */
    struct sp_optimizer_state {         /* doubles alone: a checkpoint has them one by one */
        double steps, averaged;         /* taken so far; weights in the average, 0 before it begins */
        double best, bad, resting, factor;      /* plateau: best loss, losses not better since, cooldown left, its factor */
        double validations, oldest, recent[SP_NONMONO_MOST];    /* nt-asgd: how many losses; the least before recent ones */
    } state;
} sp_optimizer;

/* All kinds, as a choice of zoo/options.h; each is a file that opens with its equations. */
#define SP_OPTIMIZER_KINDS "sgd|nt-asgd|adagrad|adadelta|rmsprop|adam|adamw"

/* For the parameters that the store has now. NULL without memory or for another kind: status says which. */
sp_optimizer *sp_optimizer_new(sp_store *store, const char *kind, double lr, sp_status *status);
void sp_optimizer_free(sp_optimizer *o);

/* Multiplies the learning rate and the weight decay of the parameters whose names match a pattern of the shell ("encoder.*",
   "*bias*"; fnmatch) by these factors, in place of what an earlier call gave them. A pattern that matches none, and a factor
   that is negative or not finite, are errors, and nothing is changed. */
bool sp_optimizer_group(sp_optimizer *o, const char *pattern, double lr_factor, double decay_factor, sp_status *status);

/* How many steps it has taken; those of the run before are among them after sp_optimizer_load. */
long sp_optimizer_steps(const sp_optimizer *o);

/* Changes the parameters by the gradients of the tape, then zeroes these. Does nothing, and returns false, if there is an
   error on the tape, so a failed step changes no parameter. A parameter declared after the optimizer was made, a
   setting out of its range, and a rate that schedule and groups have made infinite, are errors. Gradients are not looked at: sp_clip_norm is what refuses
   those that are not finite. */
bool sp_step(sp_optimizer *o, sp_tape *t);

/* The learning rate of the next step: lr as the schedule has it then. NaN if the schedule is wrong. */
double sp_learning_rate(const sp_optimizer *o);

/* ---- validation and averages ----------------------------------------------------------------------------------- */

/* Reports a validation loss (less is better): the schedule "plateau" and the trigger of "nt-asgd" wait for it. While a
   setting is out of its range nothing happens; sp_step says so. */
void sp_optimizer_validated(sp_optimizer *o, double loss);

/* Begins to average the weights, the present ones first: with 0 < decay < 1 exponentially, a = decay a + (1 - decay) x after
   each step; with decay 0 as the plain mean. Costs as much memory as the parameters. nt-asgd does this by itself, when it is
   time. */
bool sp_optimizer_average(sp_optimizer *o, double decay, sp_status *status);

/* Exchanges the parameters in the store with their averages; again, and they are back. Where no average has begun nothing
   happens. So: swap, validate and save the model, swap. Between the two sp_step and sp_optimizer_save refuse. */
void sp_optimizer_swap(sp_optimizer *o);

/* ---- checkpoints ----------------------------------------------------------------------------------------------- */

/* Writes the parameters and all that the optimizer remembers, steps, schedule and averages included, to one file, with the
   numbers of another store (NULL: none) and n pairs of metadata of the caller's. Slots are tensors "optimizer.exp_avg.NAME";
   "optimizer..." are keys of its own. */
bool sp_optimizer_save(const sp_optimizer *o, const sp_store *more, const char *path, int n, const sp_metadata *metadata,
                       sp_status *status);

/* Takes them back: training goes on as if it had not been interrupted, bit for bit. Settings, schedule, groups and
   sp_optimizer_average are the program's and not in the file: set them as they were. So are the tape's random numbers: where
   there is dropout, sp_tape_seed(t, seed, steps), with as many steps as sp_optimizer_steps says, goes on with them. A file of another optimizer or of other
   parameters is an error, and nothing is changed. Nests with sp_safetensors_open as sp_store_load does. */
bool sp_optimizer_load(sp_optimizer *o, sp_store *more, const sp_safetensors *f, sp_status *status);

/* ---- clipping -------------------------------------------------------------------------------------------------- */

/* Statistics (autograd/store.h) are no gradients: they are left out of norms, and left as they are.

   Scales the gradients of the tape down to the Euclidean norm `most` if theirs is larger; returns the norm before. A norm
   that is not finite, or a limit that is not over 0, is an error on the tape. */
double sp_clip_norm(sp_tape *t, double most);

/* Brings each number of the gradients of the tape into [-most, most]. One that is not a number, or a limit that is not over
   0, is an error on the tape, and nothing is changed. False after an error. A tape without a store is an error of both. */
bool sp_clip_value(sp_tape *t, double most);

SP_END
#endif
