/* What may follow the rows of a beam: the best of all their symbols. */
#ifndef SP_ZOO_BEAM_INSIDE_H
#define SP_ZOO_BEAM_INSIDE_H

#include "autograd/base.h"

/* A row with a symbol behind it, and its ln p. */
struct sp_candidate {
    double log_p;
    int node, symbol;
};

struct sp_followers {
    long width, n, ends;
    struct sp_candidate *heap;          /* [width] the n best that go on, the worst on top */
    struct sp_candidate *ending;        /* [width] with the last symbol, one for each row */
    const bool *banned;                 /* [symbols] those that are no candidates; NULL: none */
};

/* The likelier; of equals that of the row before, then of the smaller symbol. */
bool sp_candidate_better(const struct sp_candidate *a, const struct sp_candidate *b);

/* All symbols behind one more row, of ln p so far, by its logits x [n]; or the last symbol alone. False if a logit is not a
   number below infinity. */
bool sp_follow(struct sp_followers *f, int node, double log_p, long n, const sp_real *x, int last, bool last_only);

/* Both lists, the best first. */
void sp_follow_sort(struct sp_followers *f);

#endif
