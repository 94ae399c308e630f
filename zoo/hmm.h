/* A probabilistic grammar, as a source of text whose best possible model is known: a hidden Markov model. A sentence begins in
   state s with probability start[s]; a state writes word w with probability emit[s,w]; then the sentence goes on in state t
   with probability move[s,t], or ends. States are the tags of the words.

       task                    best possible                                        by
       language model          nats per symbol (words and one end per sentence)     sp_hmm_best: forward algorithm, of these sentences
                                                                                    sp_hmm_entropy: of all sentences
       tagger                  share of right tags                                  sp_hmm_best: forward and backward algorithm

   Source: Rabiner, "A tutorial on hidden Markov models", Proceedings of the IEEE 77, 1989. */
#ifndef SP_ZOO_HMM_H
#define SP_ZOO_HMM_H

#include "zoo/sentences.h"

SP_BEGIN

enum { SP_MOST_STATES = 64, SP_MOST_HMM_WORDS = 65536, SP_LONGEST_HMM_SENTENCE = 10000 };

typedef struct sp_hmm {
    int states, words;
    double *start;              /* [S] */
    double *move;               /* [S,S] from state to state; what a row lacks to 1 ends the sentence */
    double *stop;               /* [S] that lack */
    double *emit;               /* [S,W] */
    char **state, **word;       /* [S], [W] their names */
} sp_hmm;

/* A copy of these, to be freed. NULL if two words have one name or a name is empty, if probabilities are not from 0 to 1, start or
   a row of emit do not sum to 1 (within 1e-9), a row of move sums to more, a sentence that has begun may never end, or without
   memory; status says which. */
sp_hmm *sp_hmm_new(int states, int words, const double *start, const double *move, const double *emit, const char *const *state,
                   const char *const *word, sp_status *status);
void sp_hmm_free(sp_hmm *h);

/* A little English: 9 tags, 60 words, of which 15 have more than one tag ("light", "run", "that"); 9.6 words a sentence;
   entropy 2.955 nats per symbol. Of 20,000 sentences, seed 1: at best 2.9598 nats per symbol, and 97.99 % of the tags
   right; who gives each word its most frequent tag has 88.20 % right. (tests/test_demos.c computes these.) NULL without
   memory. */
sp_hmm *sp_hmm_english(sp_status *status);

/* n sentences drawn, to be freed: field 0 the words, field 1 the states. Sentence i depends on the seed and i alone. One of
   more than SP_LONGEST_HMM_SENTENCE words is cut there. */
sp_sentences *sp_hmm_sentences(const sp_hmm *h, long n, uint64_t seed, sp_status *status);

/* ln p of a sentence of n words (numbers) and its end; -infinity if it cannot be. posterior, if not NULL, gets the
   probabilities of the states given all words, [n,S], zeros if the sentence cannot be. NaN without memory, or for numbers
   that are no words. */
double sp_hmm_log_p(const sp_hmm *h, const int *word, long n, double *posterior, sp_status *status);

typedef struct sp_hmm_optimum {
    double nats;                /* -ln p of all sentences by their symbols, an end each: what a language model reaches at best */
    double accuracy;            /* mean over words of the largest probability of a state given the sentence: what a tagger reaches at
                                   best, on average over the tags that these words may have had */
    long words, sentences;
} sp_hmm_optimum;

/* The optimum for the words of field 0. False for a word that the grammar has not, or without memory. */
bool sp_hmm_best(const sp_hmm *h, const sp_sentences *s, sp_hmm_optimum *best, sp_status *status);

/* The entropy of sentences in nats per symbol, E[-ln p] / E[symbols], and a bound on its error: exact (0) if each word is of
   one state; else from all runs of words of several states that have a probability of 1e-7 or more, and of the others what
   they can be at least and at most (zoo/hmm_entropy.c); where a grammar is so large that this would take long, from as many
   runs as take some seconds at most, and the error says how much is missing. False without memory. */
bool sp_hmm_entropy(const sp_hmm *h, double *nats, double *error, sp_status *status);

SP_END
#endif
