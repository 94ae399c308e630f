/* Losses: means, ready for sp_backward. A prediction comes first, the target it is compared with last.

       loss = sp_cross_entropy_mean(t, logits, ids, SP_IGNORE);                    one class of several
       loss = sp_bce_logits_mean(t, logits, sp_feed(t, tags, shape), 1);           yes or no, for each element
       loss = sp_huber_mean(t, y, sp_feed(t, target, shape), 1);                   a number

   A target is a tensor of the prediction's shape; classes are ids, one for each row of logits (a row is the last axis). The
   gradient goes into the prediction and, if it is wanted there, into the target.

   Each is the mean, over all elements or all rows, of an operation of ops/table.h, which has the same name without _mean; but
   sp_mse and sp_mae are of sp_sub and sp_abs, smooth is of sp_cross_entropy_smooth (ops/ops.h), and balanced of
   sp_cross_entropy with the weight of each row's class. Use those for PyTorch's reduction='none', or the sum of it for 'sum',
   or sp_weighted_mean.

   Sequences of different lengths have no padding, so a mean over their rows needs no mask. But the rows of an sp_seq are in an
   order of their own (nn/seq.h), targets in yours: unpack what is compared with them, or nothing is learned, and no error says so.

       loss = sp_cross_entropy_mean(t, sp_linear_on(t, &head, sp_seq_unpack(t, ys)), ids, SP_IGNORE);

   Over nothing (no rows, or none that counts) a loss is 0, and so is its gradient: an empty batch changes nothing.
   Shapes that differ are an error, with both. So is a number in a target that cannot be right, with its place: one that is not
   finite, outside 0..1 where it is a probability (of sp_kl_div_mean: below 0). That is looked for in targets of which no
   gradient is wanted, so in all while the tape does not record; for another the loss is what the formula gives. Predictions
   are not looked at: NaN gives NaN. */
#ifndef SP_NN_LOSS_H
#define SP_NN_LOSS_H

#include "autograd/tape.h"

SP_BEGIN

/* ---- classes --------------------------------------------------------------------------------------------------- */

/* The mean over all rows of logits [...,n] of log sum_j e^x_j - x_id, in nats; rows whose id is `ignore` do not count.
   ids: one for each row, 0..n-1 or `ignore`. For weights of rows see sp_cross_entropy. */
sp_tensor *sp_cross_entropy_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore);

/* The same where the target gives the share `smoothing` (0.1, say) to all classes alike and the rest to the id.
   PyTorch's CrossEntropyLoss(label_smoothing=...). Szegedy et al., CVPR 2016. */
sp_tensor *sp_cross_entropy_smooth_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, double smoothing);

/* The same where a row of class k counts weight[k] times, weight [n] of numbers that are 0 or more, as when some classes are
   rare: sum of weight and loss / sum of weights. PyTorch's CrossEntropyLoss(weight=...). */
sp_tensor *sp_cross_entropy_balanced_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, const sp_real *weight);

/* The mean over all elements of -(w z log s(x) + (1 - z) log(1 - s(x))): x logits, z targets in 0..1, s the sigmoid. For any
   x, where a sigmoid and a logarithm would overflow. w, `positive_weight`, 0..1e30, is how often the positive counts: 1 plainly,
   more where it is rare. PyTorch's BCEWithLogitsLoss(pos_weight=...) with one number. */
sp_tensor *sp_bce_logits_mean(sp_tape *t, sp_tensor *logits, sp_tensor *target, double positive_weight);

/* The mean over all rows of sum_j p_j (log p_j - log q_j), in nats: the divergence of the distribution p (the target,
   probabilities) from q, of which the logarithms come in. Terms with p_j = 0 are 0. PyTorch's KLDivLoss(reduction='batchmean')
   of [rows,n]; its 'mean' is that / n. To learn from another model's logits z (distillation; Hinton et al. 2015):

       sp_kl_div_mean(t, sp_log_softmax(t, logits), sp_softmax(t, z)) */
sp_tensor *sp_kl_div_mean(sp_tape *t, sp_tensor *log_q, sp_tensor *target);

/* ---- numbers --------------------------------------------------------------------------------------------------- */

/* mean (x - target)^2 and mean |x - target| over all elements. PyTorch's MSELoss and L1Loss. */
sp_tensor *sp_mse(sp_tape *t, sp_tensor *x, sp_tensor *target);
sp_tensor *sp_mae(sp_tape *t, sp_tensor *x, sp_tensor *target);

/* The mean over all elements of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = x - target: squared for small
   errors, not more than linear for outliers. delta > 0 (1e-37 or more; 1e-300 of float64), in units of the target. PyTorch's HuberLoss; its SmoothL1Loss(beta) is
   this with delta = beta, / beta. */
sp_tensor *sp_huber_mean(sp_tape *t, sp_tensor *x, sp_tensor *target, double delta);

/* The mean over all elements of (s + (mean - target)^2 e^-s) / 2: minus the log-likelihood under normal distributions, in nats,
   but for the constant log(2 pi) / 2 = 0.9189. A model gives the mean and s, the logarithm of the variance, which may be any
   number and so needs nothing to stay positive; it is [...] like the mean, or broadcasts to that (one for all rows).
   Variances below `least` (1e-6, say, in units of the target squared; 1e-38..1e30, of float64 1e-300..1e30) count as that, so the loss is bounded where a target is met
   exactly; the gradient of s passes as if they did not. PyTorch's GaussianNLLLoss(eps=least) has the same values, and the same
   gradients of the mean and the target; where the model gives a variance v as for that, s is sp_log(t, v). */
sp_tensor *sp_gaussian_nll_mean(sp_tape *t, sp_tensor *mean, sp_tensor *log_variance, sp_tensor *target, double least);

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* sum_i weight_i loss_i / sum_i weight_i: weights, 0 or more, for n elements, or n parts of equally many elements along the
   leading axes (n rows; n = T*B sequences' steps of [T,B,w]). A mask is weights of 0 and 1: a part of weight 0 has no effect on
   the mean, even if it is NaN, and its own gradient is 0 (an operation that multiplies 0 with a NaN farther back still gives
   NaN). 0 where all weights are 0.

       sp_weighted_mean(t, sp_huber(t, y, target, 1), mask, rows) */
sp_tensor *sp_weighted_mean(sp_tape *t, sp_tensor *loss, const sp_real *weight, long n);

SP_END
#endif
