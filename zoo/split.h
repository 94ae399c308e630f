/* Fixed parts of data that have no split of their own, by a hash of a field's text: a sentence is always in the same part, and
   all that have the same text in that field are in one, so nothing that a model is tested on has it learned from.

       sp_shares shares = { { 90, 5, 5 } };
       sp_sentences *test = sp_shares_part(&shares, SP_PART_TEST, s, 0, status); */
#ifndef SP_ZOO_SPLIT_H
#define SP_ZOO_SPLIT_H

#include "zoo/sentences.h"

SP_BEGIN

/* The sentences whose field's text hashes into from <= u < to, where 0 <= u < 1, in their order, to be freed; there may be
   none. NULL without memory, for bounds not in 0 <= from <= to <= 1, or a field that is not there. */
sp_sentences *sp_sentences_part(const sp_sentences *s, int field, double from, double to, sp_status *status);

/* Three shares, one behind the other. */
typedef enum sp_part { SP_PART_TRAIN, SP_PART_VALID, SP_PART_TEST, SP_PART_ALL } sp_part;
#define SP_PART_CHOICES "train|valid|test|all"  /* for SP_OPTION_INDEX */

typedef struct sp_shares {
    long percent[3];            /* of 0 or more that sum to 100 */
} sp_shares;

/* "90,5,5". */
bool sp_shares_parse(sp_shares *shares, const char *text, sp_status *status);

/* The part, or all, of s, as sp_sentences_part. */
sp_sentences *sp_shares_part(const sp_shares *shares, sp_part part, const sp_sentences *s, int field, sp_status *status);

SP_END
#endif
