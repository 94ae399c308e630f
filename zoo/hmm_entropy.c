/* Entropy of the sentences of a hidden Markov model. What is known of the state is a belief: probabilities of the states after
   the words so far. After a word that one state alone can have written the belief is that state, whatever went before. So with
   E[s] the expected nats to the end of the sentence from the belief "s",
       E[s] = A[s] + sum over t of M[s,t] E[t]
   where A[s] is what is paid before the next such word, M[s,t] the probability that it is of state t: sums over the tree of
   words behind s, whose beliefs are of more states. The root of a sentence is a state more. The tree is cut where it is of no
   weight; there, for a belief b,
       sum of b[t] E[t]  <=  E[b]  <=  sum of b[t] E[t] + H(b)
   because to be told the state takes at most H(b) away. So half of H(b) is paid, and the other half is the error. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/hmm.h"

enum { ROOM = SP_MOST_STATES + 1, DEEPEST = 200, LOGARITHM = 8, MOST_WORK = 50000000 };     /* products; so many to a logarithm */
static const double NEGLIGIBLE = 1e-7;

struct tree {
    const sp_hmm *h;
    long work;                          /* so far, about */
    double nats, symbols, unsure;       /* of the root that is walked: A, words and ends to expect, and the error of A */
    double to[SP_MOST_STATES];          /* M */
};

/* Cuts the tree at a belief of weight p. */
static void cut(struct tree *t, const double *belief, double p, double weight)
{
    for (int s = 0; s < t->h->states; s++)
        if (belief[s] > 0) {
            t->work += LOGARITHM;
            t->to[s] += weight * belief[s];
            t->nats -= weight * belief[s] * log(belief[s] / p) / 2;
            t->unsure -= weight * belief[s] * log(belief[s] / p) / 2;
        }
}

/* Walks from what is known before a word: q[t], the probabilities that the next state is t, and `end`, that there is none. */
static void walk(struct tree *t, const double *q, double end, double weight, int depth)
{
    const sp_hmm *h = t->h;
    const int S = h->states;
    t->work += (long)h->words * (S + LOGARITHM);
    t->symbols += weight;
    t->nats -= end > 0 ? weight * end * log(end) : 0;
    for (int w = 0; w < h->words; w++) {
        double belief[SP_MOST_STATES], p = 0, next[SP_MOST_STATES], stop = 0;
        int states = 0;
        for (int s = 0; s < S; s++) {
            p += belief[s] = q[s] * h->emit[(size_t)s * (size_t)h->words + (size_t)w];
            states += belief[s] > 0;
        }
        if (!states)
            continue;
        t->nats -= weight * p * log(p);
        if (states == 1 || weight * p < NEGLIGIBLE || depth >= DEEPEST || t->work >= MOST_WORK) {
            cut(t, belief, p, weight);
            continue;
        }
        t->work += S * S;
        for (int s = 0; s < S; s++) {
            next[s] = 0;
            stop += belief[s] / p * h->stop[s];
            for (int r = 0; r < S; r++)
                next[s] += belief[r] / p * h->move[r * S + s];
        }
        walk(t, next, stop, weight * p, depth + 1);
    }
}

/* Solves x = b + M x for the columns of b [n,3], with a pivot in each column. */
static void solve(double (*m)[ROOM], double (*b)[3], int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            m[i][j] = (i == j) - m[i][j];
    for (int k = 0; k < n; k++) {
        int pivot = k;
        for (int i = k + 1; i < n; i++)
            pivot = fabs(m[i][k]) > fabs(m[pivot][k]) ? i : pivot;
        for (int j = 0; j < n; j++) {
            const double swap = m[k][j];
            m[k][j] = m[pivot][j];
            m[pivot][j] = swap;
        }
        for (int c = 0; c < 3; c++) {
            const double swap = b[k][c];
            b[k][c] = b[pivot][c];
            b[pivot][c] = swap;
        }
        for (int i = 0; i < n; i++) {
            const double factor = i == k ? 0 : m[i][k] / m[k][k];
            for (int j = k; j < n; j++)
                m[i][j] -= factor * m[k][j];
            for (int c = 0; c < 3; c++)
                b[i][c] -= factor * b[k][c];
        }
    }
    for (int k = 0; k < n; k++)
        for (int c = 0; c < 3; c++)
            b[k][c] /= m[k][k];
}

bool sp_hmm_entropy(const sp_hmm *h, double *nats, double *error, sp_status *status)
{
    if (!h)
        return sp_fail(status, SP_ERR_VALUE, "grammar: there is none");
    const int S = h->states;
    double (*m)[ROOM] = calloc(ROOM, sizeof *m), (*b)[3] = calloc(ROOM, sizeof *b);
    const bool ok = m && b;
    for (int s = 0; ok && s <= S; s++) {                /* S: the root */
        struct tree t = { .h = h };
        walk(&t, s < S ? h->move + s * S : h->start, s < S ? h->stop[s] : 0, 1, 0);
        memcpy(m[s], t.to, sizeof t.to);
        b[s][0] = t.nats;
        b[s][1] = t.symbols;
        b[s][2] = t.unsure;
    }
    if (ok) {
        solve(m, b, S + 1);
        *nats = b[S][0] / b[S][1];
        *error = b[S][2] / b[S][1];
    }
    free(m);
    free(b);
    return ok || sp_fail(status, SP_ERR_MEMORY, "grammar: out of memory");
}
