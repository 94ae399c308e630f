/* A softmax over very many classes, most of them rare: the frequent ones are in a head, the others in clusters that are each
   one class of the head, with narrower layers of their own. A row is charged for the head and, at most, one cluster.
   PyTorch's nn.AdaptiveLogSoftmaxWithLoss. Source: Grave et al., "Efficient softmax approximation for GPUs", ICML 2017.

       sp_adaptive_softmax out = sp_adaptive_softmax_make(s, "out", hidden, words, 2, (long[]){ 2000, 10000 }, 4, false);
       loss = sp_adaptive_cross_entropy_mean(t, &out, h, ids, SP_IGNORE);          training, and exact evaluation
       log_p = sp_adaptive_log_softmax(t, &out, h);                                all of [rows,words]
       sp_adaptive_best(t, &out, h, id);                                           the most likely of each row

   Classes are numbered by frequency, 0 the most frequent. ln p(k) = ln p_head(k) for k < cutoff 0; else, in cluster c,
   ln p_head(cutoff 0 + c) + ln p_c(k - where c begins). It is a distribution as exact as any: nothing is sampled. */
#ifndef SP_NN_ADAPTIVE_SOFTMAX_H
#define SP_NN_ADAPTIVE_SOFTMAX_H

#include "nn/linear.h"

SP_BEGIN

enum { SP_MAX_CLUSTERS = 16 };

typedef struct sp_adaptive_softmax {
    sp_linear head;                             /* [cutoff[0] + clusters, in] */
    struct {
        sp_linear down, up;                     /* [width_c, in], [classes of c, width_c]; neither has a bias */
    } tail[SP_MAX_CLUSTERS];
    long cutoff[SP_MAX_CLUSTERS + 1];           /* cluster c has the classes cutoff[c] .. cutoff[c+1] - 1 */
    int clusters;                               /* 0 after an error */
} sp_adaptive_softmax;

/* n cutoffs, 1 or more of them, rise from at least 1 to less than `classes`; after each begins a cluster. Its width is
   in / divisor^(c+1), rounded down, 1 or more (PyTorch's div_value, 4 there; 1: all as wide as the input), of the divisor as a
   double is: 8 / 1.6 gives 4, since that is a little more than 1.6. Declares
   "<name>.head.weight", with head_bias "<name>.head.bias", and for each cluster "<name>.tail.<c>.0.weight" and
   "<name>.tail.<c>.1.weight". */
sp_adaptive_softmax sp_adaptive_softmax_make(sp_store *s, const char *name, long in, long classes, int n, const long *cutoff,
                                             double divisor, bool head_bias);

/* x [...,in], ids one for each row, 0 .. classes-1 or `ignore` -> -ln p(id), [...]; 0 where it is `ignore`. Each cluster
   works on its own rows alone. And the mean over the rows that count, 0 if none does. */
sp_tensor *sp_adaptive_cross_entropy(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, const int *ids, int ignore);
sp_tensor *sp_adaptive_cross_entropy_mean(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, const int *ids, int ignore);

/* [...,in] -> ln p of all classes, [...,classes] */
sp_tensor *sp_adaptive_log_softmax(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x);

/* The most likely class of each row of x into id [rows], the first of equals. All classes are looked at only where the head
   does not know. Reads values, records nothing. False if there is an error on the tape. */
bool sp_adaptive_best(sp_tape *t, const sp_adaptive_softmax *a, sp_tensor *x, int *id);

SP_END
#endif
