/* Which sentences make a batch: those of one batch are of about the same length.

       sp_batches *b = sp_batches_new(lengths, n, 64, status);
       long count = sp_batches_arrange(b, true, seed, epoch);              in a task's begin
       const long *index = sp_batches_part(b, batch, shard, shards, &k);   in its loss: the sentences index[0] .. index[k-1]
*/
#ifndef SP_ZOO_BATCHES_H
#define SP_ZOO_BATCHES_H

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_batches sp_batches;

/* n sentences of these lengths (copied), `size` of them to a batch. NULL without memory or sentences, or for a size below 1 or a
   length below 0. */
sp_batches *sp_batches_new(const long *length, long n, long size, sp_status *status);
void sp_batches_free(sp_batches *b);

/* Sets the batches of an epoch and returns how many there are; of equal settings they are equal. Shuffled: at random, but of
   each hundred batches those of about one length come together, and the batches are in random order. Otherwise: by length.
   Every sentence is in one batch; one batch may be smaller than the others. What was arranged before does not matter. */
long sp_batches_arrange(sp_batches *b, bool shuffle, uint64_t seed, long epoch);

/* The sentences of one of so many parts (shards) of a batch, batches and parts from 0, the shortest first; *count may be 0. They
   are valid until batches are arranged anew. NULL, and 0 of them, for a batch or a part that is none. */
const long *sp_batches_part(const sp_batches *b, long batch, int part, int parts, long *count);

SP_END
#endif
