/* Connectionist temporal classification: labels for a sequence when nobody knows at which steps they are said. At each step
   the network says a label or blank; repeated labels are one, blanks are nothing. A recogniser in a few lines:

       sp_seq logits = sp_seq_like(h, sp_linear_on(t, &head, h.rows));     h out of a recurrent layer; head: width -> labels + 1
       sp_ctc_options ctc = { .blank = 0, .zero_infinity = true, .infeasible = &skipped };
       sp_tensor *loss = sp_ctc_loss_mean(t, ctc, logits, targets, lengths);    to train
       sp_ctc_greedy(t, logits, 0, labels, lengths);                       to recognise; sp_ctc_search is better

   Graves, Fernandez, Gomez, Schmidhuber, ICML 2006. Inputs are logits, the softmax is inside (ops/ctc.c); log-probabilities
   give the same, so what PyTorch computes as ctc_loss(log_softmax(x), ...) is sp_ctc_loss of x.

   The labels of all sequences lie one behind the other in the caller's order, lengths [batch] says how many are of each;
   there may be none. A sequence can be said if it has a step for each label, and one more for each that repeats the label
   before it: sp_ctc_steps. */
#ifndef SP_NN_CTC_H
#define SP_NN_CTC_H

#include "autograd/tape.h"
#include "nn/seq.h"
#include "ops/ops.h"

SP_BEGIN

/* Zeros are PyTorch's defaults. */
typedef struct sp_ctc_options {
    int blank;                  /* any class */
    bool zero_infinity;         /* a sequence that cannot be said, or has probability 0, gives loss 0 and no gradient;
                                   else the first is an error, and the second the loss +infinity with a gradient of NaN
                                   for all its logits */
    long *infeasible;           /* if not NULL: how many sequences of the batch cannot be said; also if that is an error */
    bool *which;                /* [batch] if not NULL: is it this one? */
} sp_ctc_options;

/* logits [rows,classes] -> [batch], in the caller's order: -ln p(labels) of each sequence, in nats. An error: a label that is
   no class or is the blank, a sequence that cannot be said (see zero_infinity). */
sp_tensor *sp_ctc_loss(sp_tape *t, sp_ctc_options options, sp_seq logits, const int *labels, const long *lengths);

/* The mean over sequences of loss / max(labels, 1): PyTorch's 'mean'. 0 for an empty batch. */
sp_tensor *sp_ctc_loss_mean(sp_tape *t, sp_ctc_options options, sp_seq logits, const int *labels, const long *lengths);

/* ---- decoding: reads values, records nothing, takes a NaN for -infinity --------------------------------------------- */

/* The labels of the most probable alignment: the best class of each step (the first of equals), without repeats, without
   blanks. labels has room for a label each step; they lie as those above, lengths [batch]. */
bool sp_ctc_greedy(sp_tape *t, sp_seq logits, int blank, int *labels, long *lengths);

/* Prefix beam search: the most probable labels, all their alignments together (Hannun, Maas, Jurafsky, Ng, "First-pass large
   vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014). What it looks for is

       ln p(labels | logits) + weight sum_i ln p_lm(label i | those before it) + bonus (number of labels) */
typedef struct sp_ctc_beam {
    int blank;
    int width;                  /* prefixes that are kept at each step; 0: 16. Wide enough, the search is exact */

    /* A language model: ln p(next | prefix), or any score; NULL: none. It is asked once for each label behind each prefix that
       comes into the beam, with self. A model of words scores 0 but behind a word, and may add a bonus of its own.
       -infinity: not this label here, whatever the weight. */
    double (*score)(void *self, const int *prefix, long n, int next);
    void *self;
    double weight, bonus;       /* finite */
} sp_ctc_beam;

typedef struct sp_ctc_path {
    const int *labels;          /* [length] on the tape, until it is reset or rewound */
    long length;
    double log_p;               /* ln p(labels | logits) of the alignments that stayed in the beam; -infinity: no such path */
    double score;               /* what was looked for */
} sp_ctc_path;

/* The n best of each sequence, the best first: path [batch,n], n at most the beam's width. Of equals at a step prefixes as they
   were come before those with a label more; then in the order of the step before; then the lower label first. Where fewer were found, or
   probable at all, the rest are empty with a score of -infinity. */
bool sp_ctc_search(sp_tape *t, sp_ctc_beam beam, sp_seq logits, int n, sp_ctc_path *path);

SP_END
#endif
