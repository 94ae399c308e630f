/* Schedules: the factor by which the learning rate is multiplied at each step. An optimizer has one, which is set like this:

       adam->schedule.kind = "cosine";
       adam->schedule.warmup = 500;
       adam->schedule.total_steps = 20000;

   Before step `warmup`, counted from 0, the factor at step k is a line up to 1, as PyTorch's LinearLR has it:

       f(k) = start_factor + (1 - start_factor) k / warmup

   From there on, with j = k - warmup and n = total_steps - warmup:

       constant        1
       linear          1 + (end_factor - 1) min(j / n, 1)                                              LinearLR
       step            gamma^floor(j / step_size)                                                      StepLR
       exponential     gamma^j                                                                         ExponentialLR
       cosine          end_factor + (1 - end_factor) (1 + cos(pi min(j / n, 1))) / 2                   CosineAnnealingLR
       inverse_sqrt    1 / sqrt(1 + j / max(warmup, 1)), which is sqrt(warmup / k): Vaswani et al. 2017
       one_cycle       up from 1 / div_factor to 1 until step pct_start total_steps - 1, down from there to
                       1 / (div_factor final_div_factor) at the last step, each half a cosine          OneCycleLR
       plateau         1, times `factor` whenever more than `patience` validation losses in turn were not below
                       (1 - threshold) of the best; then `cooldown` more do not count. Not below end_factor.
                       sp_optimizer_validated reports the losses.                                      ReduceLROnPlateau

   Beyond total_steps the factor stays what it was there. Sources: Loshchilov, Hutter, "SGDR", 2017 (cosine); Smith, Topin,
   "Super-convergence", 2018 (one_cycle). */
#ifndef SP_NN_SCHEDULE_H
#define SP_NN_SCHEDULE_H

#include "autograd/base.h"

SP_BEGIN

/* All counts are steps of the optimizer, but those of plateau, which are validations. */
typedef struct sp_schedule {
    const char *kind;                   /* not copied; NULL: constant */
    long warmup, total_steps;           /* 0; 0, which linear, cosine and one_cycle do not take */
    double start_factor, end_factor;    /* 1/3, 0 */
    double gamma;                       /* step, exponential: 0.1 */
    long step_size;                     /* step: 1 */
    double pct_start, div_factor, final_div_factor;     /* one_cycle: 0.3, 25, 1e4 */
    double factor, threshold;           /* plateau: 0.1, 1e-4 */
    long patience, cooldown;            /* plateau: 10, 0 */
} sp_schedule;

/* All kinds, as a choice of zoo/options.h. */
#define SP_SCHEDULE_KINDS "constant|linear|step|exponential|cosine|inverse_sqrt|one_cycle|plateau"

/* A schedule with the defaults above, which are PyTorch's. */
sp_schedule sp_schedule_of(const char *kind);

/* False, with the reason in status, if no rate can be had from it: an unknown kind, a setting out of its range. */
bool sp_schedule_check(const sp_schedule *s, sp_status *status);

/* Does a kind need total_steps? */
bool sp_schedule_ends(const char *kind);

/* The factor at a step, counted from 0; of plateau, without what validation has done to it. NaN where sp_schedule_check is
   false. */
double sp_schedule_at(const sp_schedule *s, long step);

SP_END
#endif
