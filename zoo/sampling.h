/* Drawing from logits. */
#ifndef SP_ZOO_SAMPLING_H
#define SP_ZOO_SAMPLING_H

#include "autograd/random.h"

SP_BEGIN

/* How to choose the next symbol. */
typedef struct sp_sampling {
    double temperature;         /* 1: as the model says; toward 0: the likeliest; 0: always the likeliest */
    long top_k;                 /* only the k likeliest; 0: all */
    double top_p;               /* only the likeliest that have this probability together; 1: all */
    uint64_t seed;
} sp_sampling;

struct sp_choice {
    double p;
    int id;
};

/* Draws one of n symbols by the rules of `how`, but never `banned` (-1: none). room holds n choices of scratch memory.
   *log_p becomes its ln p at temperature 1 among all n. -1 if there is nothing to choose from, or a logit is not finite. */
int sp_sample(const sp_sampling *how, long n, const sp_real *logits, int banned, sp_random *random, struct sp_choice *room,
              double *log_p);

SP_END
#endif
