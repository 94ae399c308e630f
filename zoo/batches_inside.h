/* What models do with many sequences of numbers, some of them at a time. Of n sequences the i-th is id[first[i]] ..
   id[first[i+1]-1], as the sentences of a field are (zoo/sentences.h). */
#ifndef SP_ZOO_BATCHES_INSIDE_H
#define SP_ZOO_BATCHES_INSIDE_H

#include "autograd/profile.h"
#include "autograd/tape.h"
#include "zoo/batches.h"

/* As sp_batches_new. */
sp_batches *sp_batches_of(const long *first, long n, long size, sp_status *status);

/* Some sequences one behind the other, in memory of the tape. */
struct sp_gathered {
    long n, sum;
    long *length;               /* [n] */
    int *id;                    /* [sum] */
};

/* Those of the numbers index[0] .. index[n-1]; n may be 0. False: the tape has the error. */
bool sp_gather(sp_tape *t, const int *id, const long *first, const long *index, long n, struct sp_gathered *g);

/* All sequences that are not empty, to be read and not learned from, the shortest first, so that those of about one length come
   together: at most so many at a time, and no more numbers than there is room for, counting one more for each and what pads the
   shorter ones. A sequence that is longer comes alone.

       struct sp_reading r;
       for (sp_reading_begin(&r, m->store, m->profile, s->field[0].first, s->n, 64, 4096); sp_reading_next(&r); )
           ... r.index [r.n], on r.tape
       return sp_reading_end(&r, status); */
struct sp_reading {
    sp_tape *tape;              /* reset for each part */
    const long *index;          /* [n] what is to be read now, */
    long n;
    long left, most, room;      /* it and all behind it; the limits */
    const long *first;
    sp_batches *order;
};

void sp_reading_begin(struct sp_reading *r, sp_store *store, sp_profile *profile, const long *first, long n, long most, long room);

/* The next part; false at the end, and after an error. */
bool sp_reading_next(struct sp_reading *r);

/* False after an error of the tape, which status then has, or without memory. */
bool sp_reading_end(struct sp_reading *r, sp_status *status);

#endif
