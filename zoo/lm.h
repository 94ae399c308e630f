/* A recurrent language model over characters or words: embedding, a stack of cells, a softmax over the next symbol.

       sp_lm_data d;
       sp_lm_data_read(&d, &(sp_lm_source){ .train = "train.txt", .level = SP_LEVEL_WORD }, &status);      zoo/lm_data.h
       sp_lm *m = sp_lm_new(&config, d.vocabulary, 1, &status);
       sp_lm_trainer *r = sp_lm_trainer_new(m, &d.train, &d.valid, 32, 35, "lm.safetensors", &status);     zoo/lm_train.h
       sp_task task = sp_lm_trainer_task(r);
       sp_train(&task, &trainer, &result, &status);

   Source: Mikolov et al., "Recurrent neural network based language model", Interspeech 2010; dropout as in Zaremba,
   Sutskever, Vinyals, "Recurrent neural network regularization", 2014, or variational as in Gal, Ghahramani, NeurIPS 2016;
   weight drop: Merity, Keskar, Socher, ICLR 2018; tied weights: Press, Wolf, EACL 2017; adaptive softmax: Grave et al., ICML
   2017. */
#ifndef SP_ZOO_LM_H
#define SP_ZOO_LM_H

#include "autograd/profile.h"
#include "nn/adaptive_softmax.h"
#include "nn/embed.h"
#include "nn/stack.h"
#include "zoo/model_file.h"
#include "zoo/sampling.h"
#include "zoo/stream.h"
#include "zoo/text.h"

SP_BEGIN

typedef struct sp_lm_config {
    const char *cell;           /* a kind of nn/cell.h */
    long embed, hidden, layers;
    double dropout;             /* on the embedding, between layers, and on the last layer's output, */
    bool variational;           /* with one mask over the time of a window (nn/locked_dropout.h) */
    double embed_dropout;       /* of a symbol's whole vector, wherever it stands in a window */
    double weight_drop;         /* of the recurrent weights (nn/weight_drop.h) */
    long adaptive;              /* so many of the most frequent symbols in the head of an adaptive softmax, and then 4 times as
                                   many, 16 times as many, ... in clusters; 0: a plain softmax. Not with tied weights */
    bool tied;                  /* the output weights are the embedding's; needs embed == the width of the cells' output */
} sp_lm_config;

/* Rows for a program's options, for a model's file, for a log; c is the address of a configuration. */
#define SP_LM_OPTIONS(c) \
    { "cell", SP_OPTION_CHOICE, &(c)->cell, .argument = SP_CELL_KINDS, .help = "kind of recurrent cell" }, \
    { "hidden", SP_OPTION_WHOLE, &(c)->hidden, 1, 65536, .help = "size of each layer" }, \
    { "layers", SP_OPTION_WHOLE, &(c)->layers, 1, 1000, .help = "cells on top of each other" }, \
    { "embed", SP_OPTION_WHOLE, &(c)->embed, 1, 65536, .help = "size of a symbol's vector" }, \
    { "tied", SP_OPTION_FLAG, &(c)->tied, .help = "output weights are the embedding's; needs --embed as wide as the output" }, \
    { "dropout", SP_OPTION_NUMBER, &(c)->dropout, 0, 0.99, .help = "probability, on all but recurrent connections" }, \
    { "variational", SP_OPTION_FLAG, &(c)->variational, .help = "dropout has one mask over the time of a window" }, \
    { "embed-dropout", SP_OPTION_NUMBER, &(c)->embed_dropout, 0, 0.99, .help = "probability, of a symbol's whole vector" }, \
    { "weight-drop", SP_OPTION_NUMBER, &(c)->weight_drop, 0, 0.99, .help = "probability, of recurrent weights" }, \
    { "adaptive", SP_OPTION_WHOLE, &(c)->adaptive, 0, 1e6, \
      .help = "adaptive softmax: symbols in its head, of many thousand in all; 0: none" }

typedef struct sp_lm {
    sp_lm_config config;
    sp_vocabulary *vocabulary;
    sp_store *store;
    sp_embed embed;
    sp_stack stack;
    sp_linear out;
    sp_adaptive_softmax adaptive;       /* instead of out, if it has clusters */
    sp_profile *profile;        /* counts what evaluate, score and sample do, then one at a time; NULL; yours to set and free */
} sp_lm;

/* A new model over a vocabulary, which it takes over even if this fails (NULL, status says why). */
sp_lm *sp_lm_new(const sp_lm_config *config, sp_vocabulary *vocabulary, uint64_t seed, sp_status *status);
void sp_lm_free(sp_lm *m);

/* Inputs time-major [steps,batch] -> logits of the next symbol, [steps*batch,symbols]; those of an adaptive softmax are ln p.
   For carry see sp_stack_on. */
sp_tensor *sp_lm_on(sp_tape *t, const sp_lm *m, const int *x, long steps, long batch, sp_state *carry);

/* The mean nats per symbol of targets y; those that are SP_IGNORE do not count. */
sp_tensor *sp_lm_loss(sp_tape *t, const sp_lm *m, const int *x, const int *y, long steps, long batch, sp_state *carry);

/* The model as one safetensors file, vocabulary and configuration in its metadata. */
bool sp_lm_save(const sp_lm *m, const char *path, sp_status *status);
sp_lm *sp_lm_load(const char *path, sp_status *status);

/* ---- measuring ------------------------------------------------------------------------------------------------- */

/* Mean nats per symbol of a text, read as parallel streams from zero states; the first symbol of each is not predicted. NaN if
   it failed. The perplexity is exp(nats), bits are nats / ln 2. */
double sp_lm_evaluate(const sp_lm *m, const int *id, long n, long batch, sp_status *status);

/* ln p of ids 1 .. n-1, each given those before it. NaN if it failed. */
double sp_lm_score(const sp_lm *m, const int *id, long n, sp_status *status);

/* Dynamic evaluation: the model goes on learning from what it has read, each symbol being predicted before it is learned
   from. After each window w -= rate g, then w += decay (w0 - w), for the gradient g of the window's mean loss and the trained
   weights w0. With a text they were trained on, whose windows have gradients of root mean square s: w -= rate g / (s + mean s),
   and the decay is min(1, decay s / mean s).
   Source: Krause, Kahembwe, Murray, Renals, "Dynamic evaluation of neural sequence models", ICML 2018. */
typedef struct sp_lm_dynamic {
    double rate, decay;         /* not negative; rate 0 is static evaluation */
    long window;                /* symbols between steps, of each stream; 1 or more */
    const int *train;           /* [n] a text it was trained on, or NULL */
    long n;
} sp_lm_dynamic;

/* As sp_lm_evaluate. When it returns the weights are what they were; meanwhile nobody else may use the model. */
double sp_lm_evaluate_dynamic(sp_lm *m, const int *id, long n, long batch, const sp_lm_dynamic *how, sp_status *status);

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* Reads the prime (at least one id), then draws `length` symbols into out, never <unk>; *log_p, if not NULL, becomes their
   ln p under the model at temperature 1. */
bool sp_lm_sample(const sp_lm *m, const int *prime, long n, const sp_sampling *how, long length, int *out, double *log_p,
                  sp_status *status);

/* The same for `count` texts side by side: out [count,length], log_p [count] or NULL. Text i depends on the seed and i alone,
   however many there are; text 0 is that of sp_lm_sample. They are computed eight at once, which fewer take too. */
bool sp_lm_sample_batch(const sp_lm *m, const int *prime, long n, const sp_sampling *how, long length, long count, int *out,
                        double *log_p, sp_status *status);

SP_END
#endif
