/* Training a softmax over very many classes on some of them: each row's own class and others that are drawn anew at each step,
   the same for all rows. Only their rows of the weight are read, and get gradients.

       sp_sampler frequent = sp_sampler_log_uniform(words);                 or sp_sampler_make, from counts
       ...
       loss = sp_sampled_cross_entropy_mean(t, &out, &frequent, h, ids, SP_IGNORE, 2000);

   `out` is the layer of the full softmax (nn/linear.h, which may be tied to an embedding), so evaluation is exact: where the tape
   does not train, the same call gives the full cross entropy, and sp_cross_entropy_mean of sp_linear_on is that at any time.

   The loss of a row is ln(e^x_id + sum_j e^x_j / pi_j) - x_id: j runs over the distinct classes among `samples` draws, without
   id, and pi_j = 1 - (1 - q_j)^samples is how probable it is that j is among them. So the sum in the logarithm has the
   expectation of the full one, whatever q is, and the loss is on average a little below the full one (the logarithm is
   concave); the more samples, the less.

   Sources: Bengio, Senecal, "Adaptive importance sampling to accelerate training of a neural probabilistic language model",
   2008; Jean et al., "On using very large target vocabulary", ACL 2015; Horvitz, Thompson, "A generalization of sampling
   without replacement", 1952. */
#ifndef SP_NN_SAMPLED_SOFTMAX_H
#define SP_NN_SAMPLED_SOFTMAX_H

#include "nn/linear.h"

SP_BEGIN

/* From what distribution q classes are drawn. */
typedef struct sp_sampler {
    long classes;
    const struct sp_alias *table;       /* [classes] in memory of a store; NULL: log-uniform */
} sp_sampler;

/* q_k = ln((k + 2) / (k + 1)) / ln(classes + 1), nearly Zipf's law, for classes that are numbered by frequency, 0 the most
   frequent. */
sp_sampler sp_sampler_log_uniform(long classes);

/* q_k = count_k^power / sum, in constant time for each draw by an alias table that lives as long as the store; power 1 are the
   counts' own frequencies, 0.75 those of word2vec (Mikolov et al. 2013), 0 is uniform over what occurs. A class that never
   occurs is never drawn: nothing but its own rows teaches it. Counts are finite and 0 or more, one of them more.
   Sources: Walker, 1977; Vose, "A linear algorithm for generating random numbers with a given distribution", 1991. */
sp_sampler sp_sampler_make(sp_store *s, const double *count, long classes, double power);

/* q_k, and one draw. */
double sp_sampler_probability(const sp_sampler *q, long k);
long sp_sampler_draw(const sp_sampler *q, sp_random *random);

/* x [...,in], ids one for each row, 0 .. classes-1 or `ignore` -> [...]: the loss above, 0 where the id is `ignore`. With as many
   samples as classes all are taken, and the loss is the full one. What is drawn depends on the tape's seed and step and
   on the place alone (sp_tape_key). And the mean over the rows that count, 0 if none does. */
sp_tensor *sp_sampled_cross_entropy(sp_tape *t, const sp_linear *out, const sp_sampler *q, sp_tensor *x, const int *ids,
                                    int ignore, long samples);
sp_tensor *sp_sampled_cross_entropy_mean(sp_tape *t, const sp_linear *out, const sp_sampler *q, sp_tensor *x, const int *ids,
                                         int ignore, long samples);

SP_END
#endif
