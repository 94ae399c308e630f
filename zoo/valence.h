/* A task for classification, in which the order of words matters: is a text more often good or bad?

       the film was not quite awful and never dull  ->  positive       (awful and dull count -1 each, but are turned round)

   20 words count +1 or -1, 6 negators turn round the next word that counts, whatever stands between them (two of them cancel),
   other words count for nothing. The label is the sign of the sum, "positive" or "negative"; texts whose sum is 0 are drawn
   again. With a probability `noise` the label is the other one.
   Best possible: accuracy 1 - noise, loss -(1 - noise) ln(1 - noise) - noise ln noise nats (noise below 1/2), because the words say
   the sum (sp_valence_sum). A model that does not see order does worse: with the sizes below and no noise, adding up the words
   without negators is right for 72.3 % of the texts (20,000 of them, seed 1; tests/test_demos.c computes it). */
#ifndef SP_ZOO_VALENCE_H
#define SP_ZOO_VALENCE_H

#include "zoo/sentences.h"

SP_BEGIN

typedef struct sp_valence_config {
    long least, most;           /* words of a text, each length equally likely; 0: 4 and 20; least at least 1 */
    double noise;               /* below 0.5 */
} sp_valence_config;

/* n texts drawn, to be freed: field 0 the words, field 1 the label. Text i depends on the seed and i alone. NULL without
   memory, or for sizes that cannot be. */
sp_sentences *sp_valence(const sp_valence_config *config, long n, uint64_t seed, sp_status *status);

/* The sum of text i by the rule above; with negators false, as if there were none. Words that are not of the task count
   nothing. */
long sp_valence_sum(const sp_sentences *s, long i, bool negators);

SP_END
#endif
