/* Linear-chain conditional random field: labels for all steps of a sequence at once, where neighbours depend on each other.
   A tagger in a few lines:

       sp_crf crf = sp_crf_make(store, "crf", labels);
       sp_crf_forbid(&crf, O, I_PER);                                      and so on, if some transitions cannot be
       sp_seq scores = sp_seq_like(h, sp_linear_on(t, &head, h.rows));     h out of a recurrent layer; head: width -> labels
       sp_tensor *loss = sp_crf_loss_mean(t, &crf, scores, tags);           to train
       sp_crf_viterbi(t, &crf, scores, tags, NULL);                        to tag

   The score of a path y_0 .. y_T-1 is start[y_0] + sum_t scores[t,y_t] + sum_t transitions[y_t-1,y_t] + end[y_T-1], and its
   probability is e^score over the sum of that over all paths. Lafferty, McCallum, Pereira, ICML 2001.

   Tags lie one sequence behind the other in the caller's order, as the rows that sp_seq_pack takes do; this is also so for a
   sequence made by sp_seq_of. They are labels 0 .. labels-1.

   All is computed in logarithms, and holds for any finite scores, also for a label that is far behind for long and catches up
   later (ops/chain.c). A score of -infinity is a label that
   cannot be. A NaN makes the likelihood, its gradient and the marginals of its sequence NaN; decoding takes it for
   -infinity. */
#ifndef SP_NN_CRF_H
#define SP_NN_CRF_H

#include "autograd/tape.h"
#include "nn/seq.h"

SP_BEGIN

enum {
    SP_CRF_START = -1,                  /* as the label that a transition is from: the first label of a sequence */
    SP_CRF_END = -2                     /* as the label that it is to: the last one */
};

typedef struct sp_crf {
    long labels;
    const sp_param *start_transitions;  /* [labels] owned by the store, as all of it */
    const sp_param *transitions;        /* [labels,labels] from,to */
    const sp_param *end_transitions;    /* [labels] */
    bool *forbidden;                    /* [labels+1,labels+1] from,to; index `labels` is outside the sequence */
} sp_crf;

/* Declares "<name>.start_transitions", "<name>.transitions" and "<name>.end_transitions", uniform in +-0.1 at first, nothing
   forbidden. If that fails the store has the error and the layer is poison. */
sp_crf sp_crf_make(sp_store *s, const char *name, long labels);

/* A transition that cannot be: `to` never follows `from` (or never begins, SP_CRF_START, or `from` never ends, SP_CRF_END). No
   path has it, its parameter has no effect and no gradient. It holds for all copies of the layer; it is not stored with the
   parameters. Not while a tape computes. False, and the store has the error, if there are no such labels. */
bool sp_crf_forbid(const sp_crf *c, int from, int to);

/* scores [rows,labels] -> [batch], in the caller's order: -ln p(tags) of each sequence, in nats. An error: a tag that is no
   label, a path of tags that is forbidden. */
sp_tensor *sp_crf_loss(sp_tape *t, const sp_crf *c, sp_seq scores, const int *tags);

/* Their sum over the number of all steps: the mean for one tag. 0 for an empty batch. (sp_mean of sp_crf_loss is that for one
   sequence.) */
sp_tensor *sp_crf_loss_mean(sp_tape *t, const sp_crf *c, sp_seq scores, const int *tags);

/* ---- decoding: reads values, records nothing, gives them in the caller's order ------------------------------------- */

/* An error of the tape (false) is what is one for sp_crf_loss, and a sequence of a length for which all paths are forbidden. */

/* Does what is forbidden leave a path of n steps? Also false without memory: then the tape has the error. */
bool sp_crf_possible(sp_tape *t, const sp_crf *c, long n);

/* The best path of each sequence: its tags [sum of lengths], and its score [batch], unless that is NULL. Of paths with one
   score it is the one with the lower label where they last differ. If no path has a score above -infinity, that is the score,
   and the tags are 0. */
bool sp_crf_viterbi(sp_tape *t, const sp_crf *c, sp_seq scores, int *tags, double *score);

/* The n best paths of each sequence, the best first, ordered as there. tags [n,sum of lengths]: a path of every sequence, and
   then the next; score [n,batch]; count [batch]: how many paths there are, n or fewer. Beyond those tags are 0 and scores
   -infinity. tags, score or count may be NULL. Seshadri, Sundberg, "List Viterbi decoding algorithms", 1994. */
bool sp_crf_nbest(sp_tape *t, const sp_crf *c, sp_seq scores, int n, int *tags, double *score, int *count);

/* The probability of each label at each step: [sum of lengths, labels]. */
bool sp_crf_marginals(sp_tape *t, const sp_crf *c, sp_seq scores, sp_real *probability);

SP_END
#endif
