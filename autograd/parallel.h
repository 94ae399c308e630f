/* A training step on several threads. A batch is cut into shards; each has a tape of its own over the same parameters, and
   their gradients are summed in the order of the shards.

       sp_parallel *p = sp_parallel_new(store, 4, 2);           4 shards on 2 threads
       sp_tape *t = sp_parallel_tape(p, 0);
       while (next_batch(&batch)) {
           double loss = sp_parallel_backward(p, loss_of_shard, &batch, NULL);
           sp_clip_norm(t, 5);
           sp_step(adam, t);
           if (!sp_ok(t))
               return report(sp_error(t));
       }

   The number of shards is part of what is computed, as the order of a sum is; the number of threads is not: 1, 2 and 4
   threads give the same bits. Few rows make slow products: give each shard 16 or more. Each shard takes memory for
   gradients of all parameters. A statistic (autograd/store.h) becomes the mean, by their weights, of what those shards made of
   it that moved it. */
#ifndef SP_AUTOGRAD_PARALLEL_H
#define SP_AUTOGRAD_PARALLEL_H

#include "autograd/profile.h"

SP_BEGIN

typedef struct sp_parallel sp_parallel;

/* The mean loss of a shard (from 0) of the batch, and in *weight over how many (symbols, sequences) it is taken; a shard
   without any returns NULL and weight 0. Called from several threads, on a tape that was reset: what a call writes must
   be its shard's own. */
typedef sp_tensor *sp_shard_loss(sp_tape *t, void *self, int shard, double *weight);

/* Tapes for so many shards, and threads to run them, the caller's among them; below 1 counts as 1. Where the system has
   fewer threads to give, those do the work. NULL without memory. Belongs to one thread, as a tape does. A process made by
   fork has the caller's thread alone, and goes on with that. */
sp_parallel *sp_parallel_new(sp_store *store, int shards, int threads);
void sp_parallel_free(sp_parallel *p);

/* The tape of a shard, NULL if there is none. The first has the sum of the gradients, and the first error of any. */
sp_tape *sp_parallel_tape(const sp_parallel *p, int shard);

/* The seed of everything random, and the number of the step that follows: each shard draws numbers of its own, the first
   those of a tape by itself. */
void sp_parallel_seed(sp_parallel *p, uint64_t seed, uint32_t step);

/* Counts what the tapes do, and what is done on the first between steps, in a profile; NULL, or freeing p, ends that, and
   only then the profile has all rows. Its seconds are those of all threads together, without the time they wait for each
   other. A piece of the user's (sp_profile_begin) must not enclose a step. */
void sp_parallel_set_profile(sp_parallel *p, sp_profile *profile);

/* Resets the tapes, calls loss for every shard, and adds the gradients of the mean loss of the batch to those of the first
   tape; after an error those are good for nothing until sp_tape_clear. Returns that mean,
   sum (weight loss) / sum weight, and the sum of the weights in *weight unless it is NULL; NaN after an error. */
double sp_parallel_backward(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight);

/* The same, but the gradients added are those of the sum of weight loss: for several batches that make one step. Divided by
   all their weights (sp_gradients) they are those of the mean of one large batch. */
double sp_parallel_backward_sum(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight);

/* The mean loss alone, with recording and training off meanwhile. NaN, and no error, if the weights sum to 0. */
double sp_parallel_evaluate(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight);

SP_END
#endif
