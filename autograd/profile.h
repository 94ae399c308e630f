/* What the time of a tape goes into, operation by operation.

       sp_profile *p = sp_profile_new();
       sp_tape_set_profile(t, p);
       ...                                      training, or whatever else the tape is for
       sp_tape_set_profile(t, NULL);
       sp_profile_write(p, sp_peak_rate(), stderr);
       sp_profile_free(p);

   Every operation that runs is counted under its name, its forward and its backward in rows of their own, on the tape as
   well as inside a scan. Work beside operations (an optimizer's step, a user's own) has rows, too: see sp_profile_begin.
   "take" are rows of a table that a scan computed with (nn/scan_table.c), "gather" sums the gradients of shards.
   The seconds of a row are its own: what runs inside it and has a row is not in them, so rows may be summed.

   Nothing that is computed changes. An operation takes some 0.1 microseconds longer; without a profile, one branch.

   Threads. A profile is attached to one tape and belongs to its thread; give each its own, and sum them with
   sp_profile_add. NULL is accepted for every profile here, and nothing is counted. */
#ifndef SP_AUTOGRAD_PROFILE_H
#define SP_AUTOGRAD_PROFILE_H

#include <stdio.h>

#include "autograd/tape.h"

SP_BEGIN

typedef struct sp_profile sp_profile;

/* What work comes to: floating-point operations, a function such as e^x being one; and bytes, of what is read or written,
   each number once however often the cache serves it. Exact for products, close for the rest. */
typedef struct sp_cost {
    double flops, bytes;
} sp_cost;

typedef struct sp_profile_row {
    const char *name;           /* of the operation or the piece of work; "others": what found no row of its own */
    bool backward;
    long calls;
    double seconds, flops, bytes;       /* of all calls together */
} sp_profile_row;

/* Yours to free. NULL without memory. */
sp_profile *sp_profile_new(void);
void sp_profile_free(sp_profile *p);

/* Attaches a profile to a tape in place of what was attached there; NULL only detaches, as freeing either of them does.
   Time runs while it is attached, and goes on where it stopped if it is attached again. An error of the tape if it is
   attached to another. */
void sp_tape_set_profile(sp_tape *t, sp_profile *p);

/* What is attached, or NULL. */
sp_profile *sp_tape_profile(const sp_tape *t);

/* ---- reading it ------------------------------------------------------------------------------------------------ */

/* The rows, the longest first, and in *n how many; they stay as they are until the profile is used again. */
const sp_profile_row *sp_profile_rows(sp_profile *p, int *n);

/* Seconds for which it was attached so far. */
double sp_profile_seconds(const sp_profile *p);

/* Adds the rows and the seconds of another: those of several threads are then the sum of theirs. */
void sp_profile_add(sp_profile *to, const sp_profile *from);

/* Writes the rows as a table, each with its share of the seconds, GFLOP/s and GB/s; below them the time that is in no row,
   the sum, and what that is of the peak, in GFLOP/s: sp_peak_rate (autograd/timing.h) measures it, 0 leaves it out. Seconds
   of several threads are summed, and what they wait for a processor is in them. False
   if writing fails. */
bool sp_profile_write(sp_profile *p, double peak, FILE *out);

/* ---- work beside operations ------------------------------------------------------------------------------------ */

typedef struct sp_span {
    sp_profile *profile;        /* NULL: nothing is measured */
    double began, counted;
} sp_span;

/* Around a piece of work on the profile's thread; the name is not copied. Pieces may enclose operations and other pieces.

       const sp_span span = sp_profile_begin(sp_tape_profile(t));
       ...
       sp_profile_end(span, "read batch", false, (sp_cost){ 0 }); */
sp_span sp_profile_begin(sp_profile *p);
void sp_profile_end(sp_span span, const char *name, bool backward, sp_cost cost);

SP_END
#endif
