/* Optimizers. Each is one rule over the whole block of parameters.

       sp_optimizer *adam = sp_optimizer_new(store, "adam", 2e-3, &status);
       ...
       sp_clip_norm(t, 5);
       sp_step(adam, t);
*/
#ifndef SP_NN_OPTIMIZER_H
#define SP_NN_OPTIMIZER_H

#include "autograd/tape.h"

SP_BEGIN

struct sp_rule;

/* The settings may be changed at any time. Make one with sp_optimizer_new, which sets the defaults given here. */
typedef struct sp_optimizer {
    double lr;                          /* learning rate */
    double momentum;                    /* sgd: 0 */
    double beta1, beta2, epsilon;       /* adam: 0.9, 0.999, 1e-8 */

    /* private */
    sp_store *store;
    const struct sp_rule *rule;
    long size;                          /* of the store when the optimizer was made */
    long steps;                         /* taken so far */
    sp_real *slot[2];                   /* what the rule remembers, in the layout of the parameters; NULL if not used */
} sp_optimizer;

/* A rule is a file and a row in nn/optimizer.c. update reads g, changes the parameters x and the slots; all have n
   numbers. Zeros in x and g must stay zeros in x. */
struct sp_rule {
    const char *name;
    int slots;
    int flops;                          /* of update, for each number */
    void (*update)(const sp_optimizer *o, long n, sp_real *x, const sp_real *g);
};
extern const struct sp_rule sp_rule_sgd, sp_rule_adam;

/* "sgd" or "adam", for the parameters that the store has now. NULL without memory or for another name: status says which. */
sp_optimizer *sp_optimizer_new(sp_store *store, const char *kind, double lr, sp_status *status);
void sp_optimizer_free(sp_optimizer *o);

/* Changes the parameters by the gradients of the tape, then zeroes these. Does nothing, and returns false, if there is an
   error on the tape, so a failed step changes no parameter. A parameter declared after the optimizer was made, and a
   learning rate that is negative or not finite, are errors. */
bool sp_step(sp_optimizer *o, sp_tape *t);

/* Scales the gradients of the tape down to the Euclidean norm `most` if theirs is larger; returns the norm before. A norm
   that is not finite, or a limit that is not over 0, is an error on the tape. */
double sp_clip_norm(sp_tape *t, double most);

SP_END
#endif
