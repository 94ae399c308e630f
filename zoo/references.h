/* What counts as right for a text that is to be translated: all that the data give for it. Sentences with the same source are
   one item with several references (the pronunciations of a word; the ways to say a sentence), in the order of their first. */
#ifndef SP_ZOO_REFERENCES_H
#define SP_ZOO_REFERENCES_H

#include "zoo/metrics.h"
#include "zoo/report.h"
#include "zoo/sentences.h"

SP_BEGIN

typedef struct sp_references {
    long n;                     /* different sources */
    char **source;              /* [n] */
    char **target;              /* [first[n]] those of source i are target[first[i]] .. target[first[i+1]-1] */
    long *first;                /* [n+1] */
} sp_references;

/* Fields 0 and 1 of the sentences, copied, to be freed: of `most` different sources, evenly spread (0: of all). NULL without memory
   or sentences. */
sp_references *sp_references_new(const sp_sentences *s, long most, sp_status *status);
void sp_references_free(sp_references *r);

/* How good guesses are. Where there are several references, an error rate counts the one with the fewest edits (of
   equals the first), BLEU and chrF as zoo/metrics.h says. */
typedef struct sp_translation_scores {
    long sentences, exact;      /* and how many guesses are one of the references */
    double bleu, chrf;          /* 0 to 100 */
    double sequence_error, word_error, letter_error;    /* 1 - exact / sentences; edits by words or letters of the references */
} sp_translation_scores;

/* guess[i] is for source i. False without memory. */
bool sp_references_score(const sp_references *r, const char *const *guess, sp_translation_scores *scores, sp_status *status);

/* Into a report: "sentences", "references", "exact", "sequence_error_rate", "bleu", "chrf", "word_error_rate",
   "letter_error_rate"; all but BLEU and chrF as shares. Where sources are words and the words of targets are phones, names are
   those of that field: "sentences", "references", "exact", "word_error_rate" (sequence_error), "phone_error_rate" (word_error). */
void sp_references_report(const sp_references *r, const sp_translation_scores *scores, bool phones, sp_report *report);

SP_END
#endif
