/* Texts into classes (many to one): sentiment and its like. Three models with one interface:

       recurrent   embedding, a stack of cells in one direction or both, pooled over time, softmax
       bag         embedding, mean or sum over the words, a perceptron of some layers, softmax: no order
       conv        embedding, filters over 3, 4 and 5 words, relu, the largest of each over time, softmax

   Sentences are those of zoo/sentences.h: field 0 the words, field 1 the label.

       sp_classifier_config config = sp_classifier_defaults(SP_CLASSIFIER_RECURRENT);
       sp_classifier *m = sp_classifier_new(&config, train, 1, &status);
       sp_classifier_trainer *r = sp_classifier_trainer_new(m, train, valid, 50, 1, "m.safetensors", &status);
       sp_task task = sp_classifier_trainer_task(r);
       sp_train(&task, &trainer, &result, &status);
       ...
       sp_classifier_predict(m, test, logp, NULL, &status);

   Sources: Yang et al., "Hierarchical attention networks for document classification", NAACL 2016 (attention over time); Kim,
   "Convolutional neural networks for sentence classification", EMNLP 2014; Iyyer et al., "Deep unordered composition rivals
   syntactic methods for text classification", ACL 2015 (bag, word dropout); Gal, Ghahramani, NeurIPS 2016 (the dropout of
   embeddings). */
#ifndef SP_ZOO_CLASSIFIER_H
#define SP_ZOO_CLASSIFIER_H

#include "autograd/profile.h"
#include "nn/conv.h"
#include "nn/embed.h"
#include "nn/pool.h"
#include "nn/stack.h"
#include "zoo/metrics.h"
#include "zoo/model_file.h"
#include "zoo/sentences.h"
#include "zoo/trainer.h"

SP_BEGIN

typedef enum sp_classifier_kind { SP_CLASSIFIER_RECURRENT, SP_CLASSIFIER_BAG, SP_CLASSIFIER_CONV } sp_classifier_kind;
#define SP_CLASSIFIER_KINDS "recurrent|bag|conv"

/* What a recurrent one makes of the outputs of its last layer. LAST: of each direction the last that it computes. */
typedef enum sp_classifier_pool {
    SP_CLASSIFIER_POOL_LAST, SP_CLASSIFIER_POOL_MEAN, SP_CLASSIFIER_POOL_MAX, SP_CLASSIFIER_POOL_ATTENTION
} sp_classifier_pool;
#define SP_CLASSIFIER_POOLS "last|mean|max|attention"

typedef enum sp_classifier_bag { SP_CLASSIFIER_BAG_MEAN, SP_CLASSIFIER_BAG_SUM } sp_classifier_bag;
#define SP_CLASSIFIER_BAGS "mean|sum"

typedef struct sp_classifier_config {
    sp_classifier_kind model;
    long embed, hidden, layers; /* of a conv hidden are the filters of each width, and layers mean nothing */
    const char *cell;           /* recurrent: a kind of nn/cell.h, */
    long directions;            /* 1, or 2: bidirectional, hidden is the size of each, */
    sp_classifier_pool pool;
    sp_classifier_bag bag;      /* bag */
    double dropout_embed;       /* of the features of an embedding, the same ones for all words of a sentence */
    double dropout;             /* between layers, and before the softmax */
    double word_dropout;        /* how likely a word is taken for an unknown one while training, which teaches what <unk> means */
    double smoothing;           /* sp_cross_entropy_smooth_mean, while training */
    long vocabulary, least;     /* most words, 0: all; words that the training data have fewer times are <unk> */
    bool lower;                 /* words are lower-cased */
} sp_classifier_config;

/* Sizes and rates that suit some ten thousand sentences. */
sp_classifier_config sp_classifier_defaults(sp_classifier_kind model);

/* Rows for a program's options, for a model's file, for a log; c is the address of a configuration. */
#define SP_CLASSIFIER_OPTIONS(c) \
    { "model", SP_OPTION_INDEX, &(c)->model, .argument = SP_CLASSIFIER_KINDS, \
      .help = "what reads the words; defaults below are its own" }, \
    { "embed", SP_OPTION_WHOLE, &(c)->embed, 1, 65536, .help = "size of a word's vector" }, \
    { "hidden", SP_OPTION_WHOLE, &(c)->hidden, 1, 65536, .help = "size of each layer; conv: filters of each width" }, \
    { "layers", SP_OPTION_WHOLE, &(c)->layers, 1, 1000, .help = "recurrent: cells on top of each other; bag: hidden layers" }, \
    { "cell", SP_OPTION_CHOICE, &(c)->cell, .argument = SP_CELL_KINDS, .help = "recurrent: kind of cell" }, \
    { "directions", SP_OPTION_WHOLE, &(c)->directions, 1, 2, \
      .help = "recurrent: 1, from the first word on; 2, also from the last" }, \
    { "pool", SP_OPTION_INDEX, &(c)->pool, .argument = SP_CLASSIFIER_POOLS, .help = "recurrent: one vector of all words'" }, \
    { "bag", SP_OPTION_INDEX, &(c)->bag, .argument = SP_CLASSIFIER_BAGS, .help = "bag: one vector of all words'" }, \
    { "dropout-embed", SP_OPTION_NUMBER, &(c)->dropout_embed, 0, 0.99, .help = "of embeddings, one mask for a whole sentence" }, \
    { "dropout", SP_OPTION_NUMBER, &(c)->dropout, 0, 0.99, .help = "between layers and before the softmax" }, \
    { "word-dropout", SP_OPTION_NUMBER, &(c)->word_dropout, 0, 0.99, .help = "words taken for unknown ones while training" }, \
    { "smoothing", SP_OPTION_NUMBER, &(c)->smoothing, 0, 0.99, .help = "share of the target that all labels get" }, \
    { "vocab", SP_OPTION_WHOLE, &(c)->vocabulary, 0, 1e8, .help = "most words; rarer ones are <unk>; 0: all" }, \
    { "least", SP_OPTION_WHOLE, &(c)->least, 0, 1e9, .help = "words met fewer times are <unk>" }, \
    { "lower", SP_OPTION_FLAG, &(c)->lower, .help = "capitals are small letters" }

enum { SP_CLASSIFIER_WIDTHS = 3 };      /* of filters: 3, 4 and 5 words */

typedef struct sp_classifier {
    sp_classifier_config config;
    sp_vocabulary *words, *labels;      /* labels is closed: its numbers are the classes */
    sp_store *store;
    sp_embed embed;
    sp_stack stack;                     /* recurrent, */
    sp_pool_attention attention;        /* with SP_CLASSIFIER_POOL_ATTENTION */
    sp_linear *hidden;                  /* bag: [layers] */
    sp_conv_layer filters[SP_CLASSIFIER_WIDTHS];    /* conv */
    sp_linear out;
    const sp_param *prior;              /* [classes] the share of each class in the training data */
    sp_profile *profile;                /* counts what predict does; NULL; yours to set and free */
} sp_classifier;

/* A new model, its vocabularies made of the training data, which have 2 or more labels: an error says how many they have. */
sp_classifier *sp_classifier_new(const sp_classifier_config *config, const sp_sentences *train, uint64_t seed, sp_status *status);
void sp_classifier_free(sp_classifier *m);

int sp_classifier_classes(const sp_classifier *m);

/* The label of a class, borrowed; "<unk>" for a number that is none. */
const char *sp_classifier_label(const sp_classifier *m, int class_number);

/* n sentences, 1 or more and none of them empty, one behind the other: word [sum of lengths] -> logits [n,classes]. The words and
   5 more for each sentence are to be fewer than 2^31. *weights,
   unless NULL, gets the attention of each word, [sum of lengths,1]; NULL of a model that has none. */
sp_tensor *sp_classifier_on(sp_tape *t, const sp_classifier *m, const int *word, const long *length, long n, sp_tensor **weights);

/* The mean nats per sentence of classes label [n]; those that are SP_IGNORE do not count. Smoothed while training. */
sp_tensor *sp_classifier_loss(sp_tape *t, const sp_classifier *m, const int *word, const long *length, const int *label, long n);

/* The model as one safetensors file. */
bool sp_classifier_save(const sp_classifier *m, const char *path, sp_status *status);
sp_classifier *sp_classifier_load(const char *path, sp_status *status);

/* ---- using it -------------------------------------------------------------------------------------------------- */

/* The natural logarithms of the probabilities of all classes for each sentence, logp [n,classes]. An empty sentence has those of
   the training data: the best guess of one who has read nothing. weights, unless NULL, gets the attention of each word of field 0,
   [strings], which sums to 1 over a sentence; a model without it is an error. Only field 0 is looked at. */
bool sp_classifier_predict(const sp_classifier *m, const sp_sentences *s, sp_real *logp, sp_real *weights, sp_status *status);

/* The class of the largest of score [classes] (logits, or probabilities, or their logarithms), the first of equals. */
int sp_classifier_best(const sp_classifier *m, const sp_real *score);

/* The class of sentence i of s by its field 1; -1 for a label that training had not. */
int sp_classifier_truth(const sp_classifier *m, const sp_sentences *s, long i);

/* Counts predictions logp [n,classes] of labelled sentences, to be freed; *nats, unless NULL, gets the mean nats per sentence of
   those whose label is known, NaN without any. */
sp_confusion *sp_classifier_confusion(const sp_classifier *m, const sp_sentences *s, const sp_real *logp, double *nats,
                                      sp_status *status);

/* ---- training it ----------------------------------------------------------------------------------------------- */

typedef struct sp_classifier_trainer sp_classifier_trainer;

/* What sp_train needs, for batches of so many sentences, shuffled by the seed; model and sentences are borrowed. The best model is
   saved as `out` (NULL: not), and is what m is after training. Empty sentences are no use and left out. A label of the validation
   data that training had not counts as wrong, and not in the loss. The metric is "accuracy". The checkpoint of a training that
   began with other embeddings than the model has now is another's. NULL, with a status, if the data do not suit. */
sp_classifier_trainer *sp_classifier_trainer_new(sp_classifier *m, const sp_sentences *train, const sp_sentences *valid, long batch,
                                                 uint64_t seed, const char *out, sp_status *status);
void sp_classifier_trainer_free(sp_classifier_trainer *r);
sp_task sp_classifier_trainer_task(sp_classifier_trainer *r);

/* ---- data ------------------------------------------------------------------------------------------------------ */

/* "FILE": label<TAB>text on each line. "pos=FILE,neg=FILE": a file for each label, with a text on each line. A file that has this
   whole name is the first, whatever is in its name. Errors are those of zoo/readers.h. */
sp_sentences *sp_classifier_read(const char *data, sp_status *status);

/* Deals n sentences into so many parts, part[i] from 0: each part gets as many of each label as any other, or one more
   (stratified), at random. The sizes of parts differ by 1 at most. */
bool sp_classifier_deal(const sp_sentences *s, int parts, uint64_t seed, int *part, sp_status *status);

/* The sentences of one part, or (others) of all others, to be freed. */
sp_sentences *sp_classifier_part(const sp_sentences *s, const int *part, int which, bool others, sp_status *status);

SP_END
#endif
