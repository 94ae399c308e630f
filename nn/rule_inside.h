/* What a rule of nn/optimizer.c is: a file and a row. */
#ifndef SP_NN_RULE_INSIDE_H
#define SP_NN_RULE_INSIDE_H

#include <math.h>

#include "nn/optimizer.h"

enum { SP_SLOTS = 3 };

/* Parameters that lie side by side and have the same rates. */
struct sp_run {
    long n;
    sp_real *x;                         /* [n] parameters */
    const sp_real *g;                   /* [n] their gradients */
    sp_real *slot[SP_SLOTS];            /* [n] each: what the rule remembers, zeros before the first step */
    double lr, weight_decay;
};

/* update changes x and the slots. Between parameters lie zeros, in x and g: they must stay zeros in x. */
struct sp_rule {
    const char *name;
    const char *slot[SP_SLOTS];         /* their names, PyTorch's; NULL behind the last */
    int flops;                          /* of update, for each number */
    double epsilon, weight_decay;       /* the defaults; those without effect are 1 and 0 */
    bool averages;                      /* after a trigger: nt-asgd */
    void (*update)(const sp_optimizer *o, const struct sp_run *r);
};

extern const struct sp_rule sp_rule_sgd, sp_rule_nt_asgd, sp_rule_adagrad, sp_rule_adadelta, sp_rule_rmsprop, sp_rule_adam,
                            sp_rule_adamw;

static inline sp_real sp_root(sp_real x)
{
#ifdef SP_FLOAT64
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

/* Whether the store is as large as when the optimizer was made. */
bool sp_optimizer_fits(const sp_optimizer *o, sp_status *status);

/* Whether the settings and the schedule can be used. */
bool sp_optimizer_check(const sp_optimizer *o, sp_status *status);

/* Makes room for the slots, and for an average; slots there already stay. */
bool sp_optimizer_remember(sp_optimizer *o, bool average, sp_status *status);

/* Takes the present weights x [size] into the average, if one has begun. */
void sp_average_step(sp_optimizer *o, const sp_real *x);

/* The steps that rules share. */
void sp_sgd_update(const sp_optimizer *o, const struct sp_run *r);
void sp_adam_update(const sp_optimizer *o, const struct sp_run *r, double weight_decay, double kept);

#endif
