/* A tagger: a tag for each word of a sentence (part of speech, named entities, slots). A word is its vector, beside what an
   encoder makes of its letters; bidirectional layers read the sentence; a linear layer scores the tags; the likeliest tag of
   each word is taken, or the likeliest sequence of tags where a conditional random field scores their neighbourhood.

       sp_sentences *train = sp_sentences_read("en-train.conllu", sp_format_named("conllu"), status);
       sp_tagger_config config = sp_tagger_defaults();
       sp_tagger *m = sp_tagger_new(&config, train, NULL, 1, status);
       sp_tagger_trainer *r = sp_tagger_trainer_new(m, train, valid, 32, 1, "model.safetensors", status);
       sp_task task = sp_tagger_trainer_task(r);
       sp_train(&task, &trainer_config, &result, status);
       ...
       sp_sentences *tagged = sp_tagger_tag(m, test, status);                  words, and the tags that the model gives them
       sp_tags_accuracy(test, tagged, &right, &words);

   Sentences have words in field 0 and tags in field 1 (zoo/sentences.h).
   Sources: Plank, Soegaard, Goldberg, "Multilingual part-of-speech tagging with bidirectional long short-term memory models and
   auxiliary loss", ACL 2016; Lample et al., "Neural architectures for named entity recognition", NAACL 2016 (recurrent letters,
   CRF); Ma, Hovy, "End-to-end sequence labeling via bi-directional LSTM-CNNs-CRF", ACL 2016 (convolved letters). */
#ifndef SP_ZOO_TAGGER_H
#define SP_ZOO_TAGGER_H

#include "autograd/profile.h"
#include "nn/crf.h"
#include "nn/embed.h"
#include "nn/stack.h"
#include "zoo/metrics.h"
#include "zoo/model_file.h"
#include "zoo/sentences.h"
#include "zoo/trainer.h"

SP_BEGIN

/* What reads the letters of a word, as it is written: nothing; a cell in both directions, of which the last outputs are taken;
   or filters over three neighbouring letters, of each of which the largest output is taken. */
#define SP_TAGGER_LETTERS "none|recurrent|conv"
typedef enum sp_tagger_letters { SP_TAGGER_LETTERS_NONE, SP_TAGGER_LETTERS_RECURRENT, SP_TAGGER_LETTERS_CONV } sp_tagger_letters;

/* Of longer words the first 32 letters and the last 32 are read. */
enum { SP_TAGGER_MOST_LETTERS = 64 };

typedef struct sp_tagger_config {
    long embed;                 /* size of a word's vector; words are lower-cased */
    long least;                 /* words and letters met fewer times in training are unknown, and share a vector */
    long vectors;               /* where there is a file of word vectors: so many of its first words are known too */
    sp_tagger_letters letters;
    long letter_embed;          /* size of a letter's vector */
    long letter_hidden;         /* of each direction, or filters */
    const char *cell;           /* a kind of nn/cell.h, for words and letters */
    long hidden, layers;        /* of each direction */
    double dropout;             /* on what goes into each layer and out of the last, one mask for a sentence */
    double word_dropout;        /* probability with which a word of a training sentence is unknown */
    bool crf;
} sp_tagger_config;

/* 100 numbers for a word, its letters by a recurrent encoder of 50 units, one layer of 200 units, in each direction; a softmax:
   half a minute for 200,000 words once. */
sp_tagger_config sp_tagger_defaults(void);

/* Rows for a program's options, for a model's file, for a log; c is the address of a configuration. */
#define SP_TAGGER_OPTIONS(c) \
    { "cell", SP_OPTION_CHOICE, &(c)->cell, .argument = SP_CELL_KINDS, .help = "kind of recurrent cell" }, \
    { "hidden", SP_OPTION_WHOLE, &(c)->hidden, 1, 65536, .help = "size of each layer, in each direction" }, \
    { "layers", SP_OPTION_WHOLE, &(c)->layers, 1, 1000, .help = "bidirectional layers on top of each other" }, \
    { "embed", SP_OPTION_WHOLE, &(c)->embed, 1, 65536, .help = "size of a word's vector" }, \
    { "least", SP_OPTION_WHOLE, &(c)->least, 1, 1e9, .help = "words and letters met fewer times are unknown" }, \
    { "vector-words", SP_OPTION_WHOLE, &(c)->vectors, 0, 1e7, .help = "so many of the first words of --vectors are known too" }, \
    { "letters", SP_OPTION_INDEX, &(c)->letters, .argument = SP_TAGGER_LETTERS, .help = "what reads the letters of a word" }, \
    { "letter-embed", SP_OPTION_WHOLE, &(c)->letter_embed, 1, 65536, .help = "size of a letter's vector" }, \
    { "letter-hidden", SP_OPTION_WHOLE, &(c)->letter_hidden, 1, 65536, .help = "size of that, in each direction, or filters" }, \
    { "crf", SP_OPTION_FLAG, &(c)->crf, .help = "the likeliest sequence of tags, not each tag by itself" }, \
    { "dropout", SP_OPTION_NUMBER, &(c)->dropout, 0, 0.99, .help = "probability, on all but recurrent connections" }, \
    { "word-dropout", SP_OPTION_NUMBER, &(c)->word_dropout, 0, 0.99, .help = "probability that a word is unknown in training" }

/* How tags say where a span begins and ends, if they do (SP_TAG_BIO: IOB2). */
#define SP_TAG_SCHEMES "none|bio|iobes"
typedef enum sp_tag_scheme { SP_TAG_NONE, SP_TAG_BIO, SP_TAG_IOBES } sp_tag_scheme;

typedef struct sp_tagger {
    sp_tagger_config config;
    sp_tag_scheme scheme;       /* the first that the training sentences keep to without exception */
    sp_vocabulary *words, *letters, *tags;      /* letters: NULL where none are read */
    sp_store *store;
    sp_embed word_embed, letter_embed;
    sp_stack letter_stack, stack;
    sp_linear letter_filters, out;
    sp_crf crf;                 /* transitions that the scheme rules out are forbidden */
    long found;                 /* words that got a vector of the file; -1: there was none */
    sp_profile *profile;        /* counts what sp_tagger_tag does, then one at a time; NULL; yours to set and free */
} sp_tagger;

/* A new model for the words, letters and tags of sentences. vectors: a file of word vectors of the size `embed`
   (zoo/vectors.h), with which training begins, or NULL. NULL, and status says why, for a configuration that cannot be, without
   sentences, with a sentence of unequally many words and tags, for vectors of another size. */
sp_tagger *sp_tagger_new(const sp_tagger_config *config, const sp_sentences *train, const char *vectors, uint64_t seed,
                         sp_status *status);
void sp_tagger_free(sp_tagger *m);

/* The model as one safetensors file, vocabularies and configuration in its metadata. */
bool sp_tagger_save(const sp_tagger *m, const char *path, sp_status *status);
sp_tagger *sp_tagger_load(const char *path, sp_status *status);

/* The same words, and in field 1 the tags that the model gives them; to be freed. s may have any fields beside field 0. A
   sentence may have any length, also 0. */
sp_sentences *sp_tagger_tag(const sp_tagger *m, const sp_sentences *s, sp_status *status);

/* ---- training -------------------------------------------------------------------------------------------------- */

/* Sentences as numbers, which a loss wants. They are borrowed: free them later than this. NULL for sentences of unequally many
   words and tags ("sentence 3 has 5 words and 4 tags"), or without memory. */
typedef struct sp_tagger_data sp_tagger_data;
sp_tagger_data *sp_tagger_data_new(const sp_tagger *m, const sp_sentences *s, sp_status *status);
void sp_tagger_data_free(sp_tagger_data *d);

/* The scores of all tags for the words of the sentences index[0] .. index[n-1], those without words left out: [rows,tags].
   Logits; with a CRF its scores. */
sp_seq sp_tagger_on(sp_tape *t, const sp_tagger *m, const sp_tagger_data *d, const long *index, long n);

/* Of such scores the mean loss of a tag in nats, and in *count over how many tags: tags that the model does not know count for
   nothing, nor with a CRF do sentences that have one, or a transition that cannot be. NULL if none counts. */
sp_tensor *sp_tagger_loss(sp_tape *t, const sp_tagger *m, sp_seq scores, const sp_tagger_data *d, const long *index, long n,
                          long *count);

/* And the tags: of word j of sentence i into tag[s->field[0].first[i] + j], for these sentences alone. A CRF gives a sentence
   for whose length its scheme has no sequence (a single word, where training had none that is "O" or "S-...") the best one that
   the scheme does not allow. For reading: nothing that it computes has a gradient. */
bool sp_tagger_decode(sp_tape *t, const sp_tagger *m, sp_seq scores, const sp_tagger_data *d, const long *index, long n,
                      int *tag);

/* A model in training by sp_train, on batches of so many sentences of about one length; after each epoch measured on those to
   validate on, whose metric is "f1" (of spans) for tags that are such (sp_tags_are_spans), else "accuracy". All is borrowed.
   The best model is saved as `out` (NULL: not), and is what m is after training. The seed is that of the order of sentences. NULL
   for sentences of which none counts (sp_tagger_loss). */
typedef struct sp_tagger_trainer sp_tagger_trainer;
sp_tagger_trainer *sp_tagger_trainer_new(sp_tagger *m, const sp_sentences *train, const sp_sentences *valid, long batch,
                                         uint64_t seed, const char *out, sp_status *status);
sp_task sp_tagger_trainer_task(sp_tagger_trainer *r);
void sp_tagger_trainer_free(sp_tagger_trainer *r);

/* ---- how good tags are ----------------------------------------------------------------------------------------- */

/* The share of words whose tags (field 1) are the same in both: 0 without words, NaN if these are not the same words. right
   and words get the counts, unless NULL. */
double sp_tags_accuracy(const sp_sentences *truth, const sp_sentences *guess, long *right, long *words);

/* The spans that the tags are, to be freed; NULL without memory, or if these are not the same words. */
sp_spans *sp_tags_spans(const sp_sentences *truth, const sp_sentences *guess, sp_status *status);

/* Are all tags "O", or a mark B, I, E or S, "-" and a type, and not all of them "O"? */
bool sp_tags_are_spans(const sp_vocabulary *tags);

/* Which scheme the tags of sentences keep to. */
sp_tag_scheme sp_tags_scheme(const sp_sentences *s);

/* The baseline: each word has the tag that it has most often in training, other words the most frequent tag; the same words with
   these tags, to be freed. NULL where training has unequally many words and tags in a sentence, or no tags. */
sp_sentences *sp_tags_most_frequent(const sp_sentences *train, const sp_sentences *s, sp_status *status);

SP_END
#endif
