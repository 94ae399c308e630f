/* Beam search: the likeliest sequences of symbols of a model that gives them one symbol at a time, for many sentences side by
   side. Only some hypotheses of a sentence go on: after each step the `width` likeliest.

       score(y) = ln p(y) / ((5 + |y|) / 6)^alpha  +  beta sum over places s of ln min(1, sum_j a_js)

   |y| counts the symbols of y and the last one, of which p(y) is the product, and a_j are the attention's weights for each of
   these. alpha makes up for long hypotheses being less likely, beta for those that leave places of the source out: a place
   that was looked at less than 1e-10 in all counts as that.
   Source: Wu et al., "Google's neural machine translation system", 2016, equation 14.

   What a model does is one step for many rows, and it knows nothing of beams. With a decoder (nn/decoder.h), whose tape does
   not record:

       static bool step(void *self, const sp_beam_rows *r, sp_real *logits, sp_real *weights, sp_status *status)
       {
           struct translator *m = self;
           sp_memory memory = sp_memory_rows(m->t, &m->memory, r->sentence, r->n);
           sp_cell cell = sp_decoder_cell(m->t, &m->decoder, &memory, NULL);
           for (int i = 0; r->step && i < sp_decoder_states(&m->decoder); i++)
               m->state[i] = sp_embedding(m->t, m->state[i], r->parent, r->n);         rows of the step before
           sp_tensor *x = sp_reshape(m->t, sp_embed_on(m->t, &m->words, r->symbol, r->n), SP_SHAPE(1, r->n, EMBED));
           sp_decoded y = sp_decoder_split(m->t, &cell, sp_scan_seq(m->t, &cell, sp_seq_of(m->t, x), m->state, false));
           return (sp_read(sp_linear_on(m->t, &m->head, y.out.rows), logits) && sp_read(y.weights.rows, weights))
                  || sp_fail_with(status, sp_tape_status(m->t));
       }
       ...
       const sp_beam_model model = { .self = &m, .step = step, .symbols = 4000, .places = longest_source, .used = lengths };
       const sp_beam_config config = { .width = 5, .most = 100, .first = BEGIN, .last = END, .length_penalty = 0.6 };
       sp_beam *found = sp_beam_search(&config, &model, batch, &status);
       for (long i = 0; i < batch; i++)
           use(sp_beam_best(found, i, 0));
       sp_beam_free(found);

   A hypothesis ends when the last symbol comes to be among the `width` likeliest, whatever came of the others; up to `width`
   others go on without it. The longest ones end where they are: only the last symbol may follow them. The search for a
   sentence ends when no hypothesis is left. One that cannot come among the n best any more is dropped: with ln p(y) so far
   that is where even without another factor, at the greatest length and with every place looked at,

       ln p(y) / ((5 + longest + 1) / 6)^alpha <= score of the n-th best

   and all are dropped when patience * width have ended. Sentences that are done take no part in steps any more. Among equals
   the one that was found first counts as better: shorter ones, then those of the better hypothesis before, then those of the
   smaller symbol. A sentence's hypotheses do not depend on what else is in the batch, as far as the model's logits do not.
   Symbols and weights are kept of what lives and of the n best, from time to time more. */
#ifndef SP_ZOO_BEAM_H
#define SP_ZOO_BEAM_H

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_beam_config {
    long width;                 /* hypotheses of a sentence that go on; 1: greedy search */
    long nbest;                 /* how many are wanted, up to width; 0: 1 */
    long most;                  /* symbols of a hypothesis at most, the last one not counted; 0: only the empty one */
    const long *longest;        /* [sentences] such a limit for each, instead of `most`; or NULL */
    int first, last;            /* the symbol that is given to the first step, and the one that ends a hypothesis */
    double length_penalty;      /* alpha; 0: none */
    double coverage_penalty;    /* beta, for models with places; 0: none */
    double patience;            /* 1 or more; 0: 1; INFINITY: nothing but the scores ends a search (Kasai et al. 2022) */
} sp_beam_config;

/* The live hypotheses of all sentences that are not done: those of a sentence together, the likeliest first, and the sentences
   in their order. Row r continues what row parent[r] of the step before was, and gets symbol[r]; in the first step there is a
   row for each sentence, and parent[r] is r. */
typedef struct sp_beam_rows {
    long step, n;               /* from 0; rows */
    const int *sentence, *parent, *symbol;      /* [n] */
} sp_beam_rows;

typedef struct sp_beam_model {
    void *self;                 /* handed to step */
    long symbols, places;       /* how many there are; no places: no weights */
    const long *used;           /* [sentences] how many of the places each sentence has, the others being padding; NULL: all */
    const bool *banned;         /* [symbols] true: must not follow, and yet has its share of the probability; NULL: none */

    /* What may follow each row: logits [n,symbols], normalised or not (softmax makes them probabilities, here), -INFINITY for
       what must not; and where the model looked for that, weights [n,places], zeros before; NULL without places.
       False, with a status, ends the search. */
    bool (*step)(void *self, const sp_beam_rows *rows, sp_real *logits, sp_real *weights, sp_status *status);
} sp_beam_model;

typedef struct sp_hypothesis {
    const int *symbol;          /* [length] without the first and the last one */
    long length, places;
    const sp_real *weights;     /* [length,places] for each symbol, of its sentence's places; NULL without places */
    double score, log_p;        /* penalised; ln p */
} sp_hypothesis;

typedef struct sp_beam sp_beam;

/* The n best of each sentence, to be freed. NULL with a status: for a setting out of its range, a logit that is not a number
   or plus infinite, a weight that is not finite, without memory, and if a step fails. */
sp_beam *sp_beam_search(const sp_beam_config *config, const sp_beam_model *model, long sentences, sp_status *status);
void sp_beam_free(sp_beam *b);

/* How many were found for a sentence: fewer than wanted where no more are possible. At least one, unless logits of -INFINITY,
   or what is banned, left none. */
long sp_beam_count(const sp_beam *b, long sentence);

/* The best (rank 0), the second best ... of a sentence, borrowed. NULL for what is not there. */
const sp_hypothesis *sp_beam_best(const sp_beam *b, long sentence, long rank);

/* Of the first `places` the one that symbol i looked at most, the first of equals: whose word may be copied for an unknown one
   (Jean et al., "On using very large target vocabulary for neural machine translation", ACL 2015). -1 without weights, without
   such a symbol, or without places. */
long sp_hypothesis_place(const sp_hypothesis *h, long i, long places);

SP_END
#endif
