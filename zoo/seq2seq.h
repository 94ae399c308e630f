/* From one sequence to another of any length (translation, transliteration, pronunciation, summaries, answers): an encoder of
   recurrent cells, in both directions, and a decoder that looks at what the encoder gave for each symbol and writes one symbol
   after the other.

       sp_seq2seq *m = sp_seq2seq_new(&config, train, 1, status);                   vocabularies are made from train
       sp_seq2seq_trainer *trainer = sp_seq2seq_trainer_new(m, train, valid, &teaching, &run, "m.safetensors", status);
       const sp_task task = sp_seq2seq_task(trainer);
       sp_train(&task, &run, &result, status);

       sp_translations *r = sp_seq2seq_translate(m, texts, n, &how, status);
       puts(sp_translations_get(r, 0, 0)->text);                                    the best of text 0

       encoder         h_1 .. h_S, both directions side by side; the source ends with </s>
       decoder         begins at the encoder's final states, then nn/decoder.h: input feeding, attention
       output          softmax over the next symbol of W h~ + b

   Sources: Sutskever, Vinyals, Le, "Sequence to sequence learning with neural networks", NIPS 2014; Bahdanau, Cho, Bengio, ICLR
   2015; Luong, Pham, Manning, EMNLP 2015 (nn/attention.h has them in full); scheduled sampling: Bengio, Vinyals, Jaitly, Shazeer,
   NIPS 2015; label smoothing: Szegedy et al., CVPR 2016; copying by attention: Jean et al., ACL 2015, Luong et al., ACL 2015. */
#ifndef SP_ZOO_SEQ2SEQ_H
#define SP_ZOO_SEQ2SEQ_H

#include "autograd/profile.h"
#include "nn/decoder.h"
#include "nn/embed.h"
#include "zoo/coder.h"
#include "zoo/trainer.h"

SP_BEGIN

/* ---- the model ------------------------------------------------------------------------------------------------- */

typedef enum sp_directions { SP_FORWARD, SP_BOTH_WAYS } sp_directions;

typedef struct sp_seq2seq_config {
    sp_units source_units, target_units;
    long vocabulary, least;     /* of each side: sp_coder_new */
    const char *cell;           /* a kind of nn/cell.h */
    long embed;                 /* the width of a symbol's vector */
    long hidden;                /* of the decoder's cells; the encoder's in both directions are half as wide */
    long layers;                /* of the encoder, and of the decoder: 1 to 8, there of SP_MAX_STATES states at most */
    sp_directions encoder;
    const char *attention;      /* a kind of nn/attention.h, or "none" */
    bool tied;                  /* the output weights are the target's embedding; needs embed == hidden */
    double dropout;             /* on embeddings, between layers, and on what the output is made of */
} sp_seq2seq_config;

#define SP_SEQ2SEQ_ATTENTIONS "none|dot|scaled-dot|general|additive|coverage"

/* Pieces on both sides, an LSTM of 256 in both directions, additive attention. */
sp_seq2seq_config sp_seq2seq_defaults(void);

/* Rows for a program's options, for a model's file, for a log; c is the address of a configuration. */
#define SP_SEQ2SEQ_OPTIONS(c) \
    { "source-units", SP_OPTION_INDEX, &(c)->source_units, .argument = SP_UNITS_CHOICES, .help = "what a source is cut into" }, \
    { "target-units", SP_OPTION_INDEX, &(c)->target_units, .argument = SP_UNITS_CHOICES, .help = "and a target" }, \
    { "vocab", SP_OPTION_WHOLE, &(c)->vocabulary, 0, 1e6, .help = "most symbols of each side; 0: all, of pieces 4000" }, \
    { "least", SP_OPTION_WHOLE, &(c)->least, 0, 1e6, .help = "symbols met fewer times are <unk>" }, \
    { "cell", SP_OPTION_CHOICE, &(c)->cell, .argument = SP_CELL_KINDS, .help = "kind of recurrent cell" }, \
    { "embed", SP_OPTION_WHOLE, &(c)->embed, 1, 65536, .help = "size of a symbol's vector" }, \
    { "hidden", SP_OPTION_WHOLE, &(c)->hidden, 1, 65536, .help = "size of the decoder's layers, and of what it reads" }, \
    { "layers", SP_OPTION_WHOLE, &(c)->layers, 1, 8, .help = "cells on top of each other, in encoder and decoder; LSTMs with attention: at most 7" }, \
    { "encoder", SP_OPTION_INDEX, &(c)->encoder, .argument = "forward|both", .help = "in which directions it reads" }, \
    { "attention", SP_OPTION_CHOICE, &(c)->attention, .argument = SP_SEQ2SEQ_ATTENTIONS, .help = "how the decoder looks at the source" }, \
    { "tied", SP_OPTION_FLAG, &(c)->tied, .help = "output weights are the target's embedding; needs --embed equal to --hidden" }, \
    { "dropout", SP_OPTION_NUMBER, &(c)->dropout, 0, 0.99, .help = "probability, on all but recurrent connections" }

enum { SP_SEQ2SEQ_LONGEST = 1000000 };          /* symbols of a source or target of training */

typedef struct sp_seq2seq {
    sp_seq2seq_config config;
    long source_longest, target_longest;        /* symbols of what it was trained on, 0 before: they bound what it writes */
    sp_coder *source, *target;
    sp_store *store;
    sp_embed read, written;     /* vectors of source and target symbols */
    sp_stack encoder;
    sp_stack plain;             /* the decoder without attention, */
    sp_decoder decoder;         /* and with */
    sp_linear *bridge;          /* [states of the decoder's cells] from final states to first; without a weight: as they are */
    sp_linear out;
    sp_profile *profile;        /* counts what translating does; NULL; yours to set and free */
} sp_seq2seq;

/* A new model with vocabularies of fields 0 and 1 of the sentences. NULL with a status. An encoder in both directions needs an
   even hidden size, and cells whose states side by side are one of twice the size (not "mlstm"). */
sp_seq2seq *sp_seq2seq_new(const sp_seq2seq_config *config, const sp_sentences *train, uint64_t seed, sp_status *status);
void sp_seq2seq_free(sp_seq2seq *m);

/* The model as one safetensors file, vocabularies and configuration in its metadata. */
bool sp_seq2seq_save(const sp_seq2seq *m, const char *path, sp_status *status);
sp_seq2seq *sp_seq2seq_load(const char *path, sp_status *status);

/* ---- teaching -------------------------------------------------------------------------------------------------- */

/* n pairs as numbers, one behind the other, without <s> and </s>. Each source and each target may be empty. */
typedef struct sp_pairs {
    long n;
    const int *source, *target;
    const long *source_length, *target_length;  /* [n] */
} sp_pairs;

/* What the decoder is given as the symbol before, with this probability: its own instead of the true one. */
typedef struct sp_own_symbols {
    double probability;         /* 0: teacher forcing */
    bool drawn;                 /* drawn from its distribution; otherwise its best */
} sp_own_symbols;

/* The mean nats per target symbol, a </s> for each target among them; *count, unless NULL, is how many. While training labels
   are smoothed, and its own symbols fed (own may be NULL), which it writes without dropout; no gradient flows through the
   choice. NULL, and no symbols, of no pairs. An error of the tape: a length below 0, a smoothing or a probability that is not
   from 0 to 1, a symbol that is none. */
sp_tensor *sp_seq2seq_loss(sp_tape *t, const sp_seq2seq *m, const sp_pairs *p, double smoothing, const sp_own_symbols *own,
                           long *count);

/* ---- training -------------------------------------------------------------------------------------------------- */

/* How p, the probability of its own symbols, rises to `sampling`; x from 0 to 1 is how much of all training is done.
       constant   p = sampling       linear   p = sampling x       sigmoid   p = sampling / (1 + e^(6 - 12 x)) */
typedef enum sp_rise { SP_RISE_CONSTANT, SP_RISE_LINEAR, SP_RISE_SIGMOID } sp_rise;
double sp_rise_at(sp_rise rise, double x);

typedef struct sp_seq2seq_teaching {
    long batch;                 /* pairs */
    long longest;               /* symbols of a source or target; pairs with a longer one, or an empty one, are left out */
    double smoothing;           /* the share of the target that all symbols have alike, 0 to 1 */
    double sampling;
    sp_rise rise;
    bool drawn;
    long judged;                /* so many different validation sources are translated for the metric; 0: all */
} sp_seq2seq_teaching;

/* What sp_trainer_config.metric may be. It is measured by translations as sp_translating_defaults() has them.
   "loss", or NULL: nothing. exact: the share that is right; bleu, chrf; error: edits by words; letter-error: by letters. */
#define SP_SEQ2SEQ_METRICS "loss|exact|bleu|chrf|error|letter-error"

/* 64 pairs, 100 symbols, no smoothing, no sampling, 1000 judged. */
sp_seq2seq_teaching sp_seq2seq_teaching_defaults(void);

#define SP_SEQ2SEQ_TEACHING(c) \
    { "batch", SP_OPTION_WHOLE, &(c)->batch, 1, 65536, .help = "pairs of a step" }, \
    { "longest", SP_OPTION_WHOLE, &(c)->longest, 1, 1e6, .help = "symbols; longer pairs are not trained on" }, \
    { "smoothing", SP_OPTION_NUMBER, &(c)->smoothing, 0, 1, .help = "of labels: the share of all symbols alike" }, \
    { "sampling", SP_OPTION_NUMBER, &(c)->sampling, 0, 1, .help = "how often it gets its own symbol before, not the true one" }, \
    { "rise", SP_OPTION_INDEX, &(c)->rise, .argument = "constant|linear|sigmoid", .help = "of --sampling from 0 over all epochs" }, \
    { "drawn", SP_OPTION_FLAG, &(c)->drawn, .help = "--sampling draws its own symbol; else it is the best" }, \
    { "judged", SP_OPTION_WHOLE, &(c)->judged, 0, 1e9, .help = "validation sources translated for --metric; 0: all" }

typedef struct sp_seq2seq_trainer sp_seq2seq_trainer;

/* Numbers the sentences (fields 0 and 1). The best model is saved as `out` (NULL: not), and is what m is after training; both must
   live as long, the sentences need not. `run` is what sp_train will get; its seed, epochs and metric count here, too. To be freed.
   NULL for a setting out of its range, or without a pair that is neither too long nor empty on either side. */
sp_seq2seq_trainer *sp_seq2seq_trainer_new(sp_seq2seq *m, const sp_sentences *train, const sp_sentences *valid,
                                           const sp_seq2seq_teaching *how, const sp_trainer_config *run, const char *out,
                                           sp_status *status);
void sp_seq2seq_trainer_free(sp_seq2seq_trainer *x);
sp_task sp_seq2seq_task(sp_seq2seq_trainer *x);

/* What was taken, and what was not. */
typedef struct sp_seq2seq_counts {
    long pairs, source_symbols, target_symbols, empty, longer, unknown_source, unknown_target;
} sp_seq2seq_counts;
sp_seq2seq_counts sp_seq2seq_counted(const sp_seq2seq_trainer *x, bool training);

/* ---- translating ----------------------------------------------------------------------------------------------- */

typedef struct sp_translating {
    long beam;                  /* hypotheses side by side; 1: always the likeliest symbol */
    long nbest;                 /* of each text, at most beam */
    long batch;                 /* texts at a time, fewer where they are long */
    long most;                  /* symbols of a translation; 0: 10 more than the longest target of training had, and where a source
                                   is longer than all of training, in proportion more; never more than SP_SEQ2SEQ_LONGEST */
    double length_penalty, coverage_penalty;    /* zoo/beam.h */
    bool copy;                  /* an <unk> becomes the source's symbol that is looked at most, be it a word, a piece or a letter;
                                   needs attention, and targets of words or letters: among pieces there is no <unk> */
    bool weights;               /* keep those of the attention: memory in proportion to source and translation, as for a copy and a
                                   coverage penalty */
    FILE *progress;             /* where a person watches, or NULL */
} sp_translating;

/* Greedy, 32 at a time. */
sp_translating sp_translating_defaults(void);

#define SP_TRANSLATING_OPTIONS(c) \
    { "beam", SP_OPTION_WHOLE, &(c)->beam, 1, 1000, .help = "hypotheses side by side; 1: greedy" }, \
    { "length-penalty", SP_OPTION_NUMBER, &(c)->length_penalty, 0, 10, .help = "alpha of Wu et al.; 0: none" }, \
    { "coverage-penalty", SP_OPTION_NUMBER, &(c)->coverage_penalty, 0, 10, .help = "beta of Wu et al.; 0: none" }, \
    { "copy", SP_OPTION_FLAG, &(c)->copy, .help = "an unknown word is copied from the source, by the attention" }, \
    { "most", SP_OPTION_WHOLE, &(c)->most, 0, 1e6, .help = "symbols of a translation; 0: 10 more than training had" }, \
    { "batch", SP_OPTION_WHOLE, &(c)->batch, 1, 65536, .help = "texts at a time" }

typedef struct sp_translation {
    char *text;                 /* sp_coder_show, an <unk> copied where that is wanted; with a 0 behind it */
    double score, log_p;        /* what it was ranked by; ln p of the model, its </s> included: what sp_seq2seq_loss has */
    long length, places;        /* symbols without </s>; of the source, its </s> included */
    int *id;                    /* [length] */
    sp_real *weights;           /* [length,places] of the attention, or NULL */
} sp_translation;

typedef struct sp_translations sp_translations;

/* Texts -> their translations, to be freed. White space is what readers of words make of it: none at the ends of a text, one
   space between words; so is a source in training. A text without a word becomes "". Never written are <s> and symbols with a
   control character (a line end, a tab), nor, of pieces, <unk>. NULL with a status. */
sp_translations *sp_seq2seq_translate(const sp_seq2seq *m, const char *const *text, long n, const sp_translating *how,
                                      sp_status *status);
void sp_translations_free(sp_translations *r);

/* The symbols of a source as they stand in it, not as the vocabulary has them: those that weights are of, </s> at the end, then
   NULL. All in one piece of memory, to be freed. NULL without memory. */
char **sp_seq2seq_symbols(const sp_seq2seq *m, const char *text, sp_status *status);

/* The k-th best of text i, from 0, borrowed; NULL if there is none. */
const sp_translation *sp_translations_get(const sp_translations *r, long i, long k);

SP_END
#endif
