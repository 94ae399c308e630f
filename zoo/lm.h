/* A recurrent language model over characters or words: embedding, a stack of cells, a softmax over the next symbol.
   Source: Mikolov et al., "Recurrent neural network based language model", Interspeech 2010; dropout as in Zaremba,
   Sutskever, Vinyals, "Recurrent neural network regularization", 2014; tied weights: Press, Wolf, EACL 2017. */
#ifndef SP_ZOO_LM_H
#define SP_ZOO_LM_H

#include "autograd/profile.h"
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
    double dropout;             /* on the embedding, between layers, and on the last layer's output */
    bool tied;                  /* the output weights are the embedding's; needs embed == the width of the cells' output */
} sp_lm_config;

/* Rows for a program's options, for a model's file, for a log; c is the address of a configuration. */
#define SP_LM_OPTIONS(c) \
    { "cell", SP_OPTION_CHOICE, &(c)->cell, .argument = SP_CELL_KINDS, .help = "kind of recurrent cell" }, \
    { "hidden", SP_OPTION_WHOLE, &(c)->hidden, 1, 65536, .help = "size of each layer" }, \
    { "layers", SP_OPTION_WHOLE, &(c)->layers, 1, 1000, .help = "cells on top of each other" }, \
    { "embed", SP_OPTION_WHOLE, &(c)->embed, 1, 65536, .help = "size of a symbol's vector" }, \
    { "tied", SP_OPTION_FLAG, &(c)->tied, .help = "output weights are the embedding's; needs --embed as wide as the output" }, \
    { "dropout", SP_OPTION_NUMBER, &(c)->dropout, 0, 0.99, .help = "probability, on all but recurrent connections" }

typedef struct sp_lm {
    sp_lm_config config;
    sp_vocabulary *vocabulary;
    sp_store *store;
    sp_embed embed;
    sp_stack stack;
    sp_linear out;
    sp_profile *profile;        /* counts what evaluate, score and sample do, then one at a time; NULL; yours to set and free */
} sp_lm;

/* A new model over a vocabulary, which it takes over even if this fails (NULL, status says why). */
sp_lm *sp_lm_new(const sp_lm_config *config, sp_vocabulary *vocabulary, uint64_t seed, sp_status *status);
void sp_lm_free(sp_lm *m);

/* Inputs time-major [steps,batch] -> logits of the next symbol, [steps*batch,symbols]. For carry see sp_stack_on. */
sp_tensor *sp_lm_on(sp_tape *t, const sp_lm *m, const int *x, long steps, long batch, sp_state *carry);

/* The mean nats per symbol of targets y; those that are SP_IGNORE do not count. */
sp_tensor *sp_lm_loss(sp_tape *t, const sp_lm *m, const int *x, const int *y, long steps, long batch, sp_state *carry);

/* The model as one safetensors file, vocabulary and configuration in its metadata. */
bool sp_lm_save(const sp_lm *m, const char *path, sp_status *status);
sp_lm *sp_lm_load(const char *path, sp_status *status);

/* Mean nats per symbol of a text, read as parallel streams from zero states. NaN if it failed. */
double sp_lm_evaluate(const sp_lm *m, const int *id, long n, long batch, sp_status *status);

/* ln p of ids 1 .. n-1, each given those before it. NaN if it failed. */
double sp_lm_score(const sp_lm *m, const int *id, long n, sp_status *status);

/* Reads the prime (at least one id), then draws `length` symbols into out, never <unk>; *log_p, if not NULL, becomes their
   ln p under the model at temperature 1. */
bool sp_lm_sample(const sp_lm *m, const int *prime, long n, const sp_sampling *how, long length, int *out, double *log_p,
                  sp_status *status);

SP_END
#endif
