/* Sums over all paths through one sequence (ops/chain.c), for the likelihood (ops/linear_chain.c) and for marginals
   (nn/crf.c). */
#ifndef SP_OPS_CHAIN_INSIDE_H
#define SP_OPS_CHAIN_INSIDE_H

#include "ops/ops.h"

/* What the transitions are made into, and room to work in. Rows of K labels are `wide` numbers apart, K rounded up, so that
   loops over them run in whole registers; the numbers behind the K-th are without meaning. */
struct sp_chain {
    long labels, wide;
    double *term;               /* [2 wide] */
    double *carry, *next;       /* [wide] beta, from step to step */
    double *start, *end;        /* [wide] */
    double *alpha;              /* [steps,wide] for all sequences, the caller's to divide */
    sp_real *transitions;       /* [K,wide] from,to; -infinity where forbidden, as in start and end */
    sp_real *largest;           /* [wide] of each column of transitions; 0 where that is not finite */
    sp_real *into, *from;       /* [K,wide] e^(transitions - largest), and its transpose */
    sp_real *expected, *paired; /* [K,wide] of backward: sums over steps of u v', and of what those cannot hold */
    sp_real *u, *v;             /* [longest,wide] */
    sp_real *row[3];            /* [wide] */
};

/* The steps of one sequence in somebody's rows. */
struct sp_steps {
    sp_real *data;              /* NULL: none are wanted */
    long stride;
    const int *row;             /* where each step lies, or NULL */
};

static inline sp_real *sp_step(const struct sp_steps *s, long t)
{
    return s->data + (s->row ? s->row[t] : t) * s->stride;
}

/* Each of the sequences' tags, one behind the other, is a label, and no path of them is forbidden; else fails with the numbers.
   Lengths are 1 or more. */
bool sp_chain_check_tags(const int *tags, const sp_ragged *r, long labels, const bool *forbidden, sp_status *s);

/* A row of so many labels in memory. */
long sp_chain_wide(long labels);

/* Numbers that a chain needs for sequences of up to `longest` steps, and alpha of `steps`; and one in that memory, aligned to
   SP_ALIGN. */
long sp_chain_size(long labels, long longest, long steps);
struct sp_chain sp_chain_in(sp_real *memory, long labels, long longest, long steps);

/* Fills it from start [K], transitions [K,K], end [K] and what is forbidden, [K+1,K+1] or NULL. */
void sp_chain_fill(struct sp_chain *c, const sp_view *start, const sp_view *transitions, const sp_view *end,
                   const bool *forbidden);

/* The logarithm of the sum of e^score over all paths of n steps; alpha [n,wide] is kept for the way back. */
double sp_chain_forward(const struct sp_chain *c, long n, const struct sp_steps *scores, double *alpha);

/* Adds weight times the probability of each label at each step to `marginals`, of each first and last label to first and
   last [K] (NULL: not wanted), and, if pairs is true, of each transition to what sp_chain_expected then gives. */
void sp_chain_backward(const struct sp_chain *c, long n, const struct sp_steps *scores, const double *alpha, sp_real weight,
                       const struct sp_steps *marginals, sp_real *first, sp_real *last, bool pairs);

/* Before the first sequence; and after the last: adds what was expected of each transition to y [K,K]. */
void sp_chain_expect(const struct sp_chain *c);
void sp_chain_expected(const struct sp_chain *c, const sp_view *y);

#endif
