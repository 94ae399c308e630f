/* How good a model's answers are. Throughout, the truth is what the data say, a guess is what the model says. */
#ifndef SP_ZOO_METRICS_H
#define SP_ZOO_METRICS_H

#include <stdio.h>

#include "zoo/text.h"

SP_BEGIN

/* Of a loss in nats per symbol: e^nats, and nats / ln 2. */
double sp_perplexity(double nats);
double sp_bits(double nats);

/* precision = right / guessed, recall = right / truth, f1 = 2 right / (truth + guessed), from 0 to 1; 0 for 0 / 0. */
typedef struct sp_score {
    long truth, guessed, right;
    double precision, recall, f1;
} sp_score;

sp_score sp_score_of(long truth, long guessed, long right);

/* ---- classes --------------------------------------------------------------------------------------------------- */

enum { SP_MOST_CLASSES = 4096 };

typedef struct sp_confusion {
    int classes;
    long *count;                /* [classes+1,classes] a row for each truth, the last for truths that are no class; a column for each
                                   guess */
    long outside;               /* how often the truth was no class */
} sp_confusion;

/* Nothing counted, for 1 to SP_MOST_CLASSES classes; to be freed. NULL with a status. */
sp_confusion *sp_confusion_new(int classes, sp_status *status);
void sp_confusion_free(sp_confusion *c);

/* One answer more: classes from 0. A truth of -1 (a label that training had not) is no class: the answer is wrong, and counts
   among those guessed of its class. False for other numbers that are none. */
bool sp_confusion_add(sp_confusion *c, int truth, int guess, sp_status *status);

/* The share of right answers (0 without answers); a class's score; the mean f1 of the classes that occur. */
double sp_confusion_accuracy(const sp_confusion *c);
sp_score sp_confusion_class(const sp_confusion *c, int k);
double sp_confusion_macro_f1(const sp_confusion *c);

/* A table: for each class that occurs its counts, precision, recall and f1 in percent, and where there are 12 classes or
   fewer the guesses for it. Names are from a vocabulary whose numbers are the classes, or the numbers if NULL. False if it
   could not be written. */
bool sp_confusion_write(const sp_confusion *c, const sp_vocabulary *names, FILE *out);

/* ---- spans ----------------------------------------------------------------------------------------------------- */

/* Named entities and chunks: a span is right if its words and its type are. Spans are read from tags as the program conlleval
   of the CoNLL shared tasks reads them (Tjong Kim Sang, Buchholz, CoNLL 2000; Tjong Kim Sang, De Meulder, CoNLL 2003), so any
   sequence of tags has spans. A tag is "O", or a mark, "-" and a type (the mark ends at the first "-"; without one the type is
   ""). Between two words of a sentence, at the edges of which stands an O,
       a span ends    behind marks E S [ ]; behind B or I, before B S O; and where the type changes behind what is not O or "."
       a span begins  with marks B S [ ]; with I or E, behind O E S; and where the type changes before what is not O or "."
   which is right for IOB1, IOB2 and IOBES. (The program of 2000 knew no S; for it, E and B follow as in its successors.) */
typedef struct sp_spans sp_spans;

sp_spans *sp_spans_new(sp_status *status);      /* to be freed; NULL without memory */
void sp_spans_free(sp_spans *s);

/* The next word's tags; and the end of a sentence. False without memory: the counts are then of no use. */
bool sp_spans_add(sp_spans *s, const char *truth, const char *guess, sp_status *status);
bool sp_spans_end(sp_spans *s, sp_status *status);

/* After the last end: all spans; those of the i-th type that occurs, by name (borrowed), of so many; the share of words
   whose tags are right. */
sp_score sp_spans_total(const sp_spans *s);
int sp_spans_types(const sp_spans *s);
sp_score sp_spans_type(const sp_spans *s, int i, const char **name);
double sp_spans_accuracy(const sp_spans *s);

/* What conlleval prints. False if it could not be written. */
bool sp_spans_write(const sp_spans *s, FILE *out);

/* ---- translations ---------------------------------------------------------------------------------------------- */

/* BLEU of a corpus, 0 to 100, as sacreBLEU computes it ("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"; Papineni et al., ACL 2002;
   Post, "A call for clarity in reporting BLEU scores", WMT 2018):

       BLEU = BP exp(mean over n = 1 .. 4 of ln p_n),   p_n = 100 right n-grams / guessed n-grams, clipped,
       BP = exp(1 - truth length / guess length) where the guesses are shorter

   over all sentences together; the k-th p_n whose right n-grams are none is 100 / (2^k guessed n-grams) (exp smoothing). Begin
   with sp_bleu b = { 0 }; sums of two are those of both corpora. */
typedef struct sp_bleu {
    bool lower;                 /* yours to set: compare without case (sp_text_lower); */
    bool tokenised;             /* and take words as they are between white space, without 13a */
    long right[4], guessed[4];  /* [n-1] n-grams */
    long length, truth_length;  /* words */
} sp_bleu;

/* A sentence more with one or more references; of several the length closest to the guess counts, the shorter of two. */
bool sp_bleu_add(sp_bleu *b, const char *guess, const char *const *truth, int truths, sp_status *status);
double sp_bleu_score(const sp_bleu *b);
double sp_bleu_precision(const sp_bleu *b, int n);              /* p_n, smoothed; 0 where no n-gram was guessed or none is right */
double sp_bleu_brevity(const sp_bleu *b);                       /* BP */

/* The tokens of mteval-v13a, joined by single spaces, to be freed; NULL without memory. */
char *sp_tokens_13a(const char *text);

/* chrF2, 0 to 100, as sacreBLEU computes it ("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"; Popovic, "chrF: character n-gram
   F-score for automatic MT evaluation", WMT 2015): precisions P and recalls R of character n-grams without white space are
   averaged over those n from 1 to 6 of which both sides have some;  chrF = 5 P R / (4 P + R). */
typedef struct sp_chrf {
    bool lower;
    long right[6], guessed[6], truth[6];        /* [n-1] n-grams */
} sp_chrf;

/* A sentence more; of several references the one that suits the guess best counts. */
bool sp_chrf_add(sp_chrf *c, const char *guess, const char *const *truth, int truths, sp_status *status);
double sp_chrf_score(const sp_chrf *c);

/* ---- edits ----------------------------------------------------------------------------------------------------- */

/* What turns the truth into the guess at the least cost, each edit costing 1 (Levenshtein, 1966): symbols put in, left out,
   replaced. Where several ways cost the least, a symbol is rather replaced than left out, and rather left out than another put
   in, seen from the end. Sums over all sequences added. */
typedef struct sp_edits {
    long insertions, deletions, substitutions;
    long length;                /* symbols of the truths */
    long sequences, wrong;      /* added, and those among them with an edit */
} sp_edits;

/* A sequence of numbers more, guess [n], truth [m]; or of the words or letters of texts, letters without white space at the
   ends. Time n m, memory n. False without memory. */
bool sp_edits_add(sp_edits *e, const int *guess, long n, const int *truth, long m, sp_status *status);
bool sp_edits_add_text(sp_edits *e, const char *guess, const char *truth, sp_level level, sp_status *status);

/* Edits by symbols of the truth: the word, character or phone error rate, which may be over 1. 0 for 0 / 0, else infinite
   without symbols. */
double sp_error_rate(const sp_edits *e);

SP_END
#endif
