/* Is a gradient right? Compares the backward sweep with differences of the loss, for any model over a store.

       sp_gradcheck_report r;
       if (!sp_gradcheck(store, my_loss, &my_model, 0, &r, &status)) ...   the check could not run: status says why
       printf("largest relative error %.1e at %s\n", r.error, r.where);

   Compile with SP_FLOAT64 (pkg-config spindle64): a right gradient then has an error below 1e-6, a wrong one is far above.
   In float32 rounding spoils the differences: a right gradient may show 0.6. */
#ifndef SP_AUTOGRAD_GRADCHECK_H
#define SP_AUTOGRAD_GRADCHECK_H

#include "autograd/tape.h"

SP_BEGIN

/* A loss of one element, built on the tape from parameters of its store; the same for the same values. */
typedef sp_tensor *(*sp_loss_fn)(sp_tape *t, void *context);

typedef struct sp_gradcheck_report {
    double error;               /* the largest |backward - numeric| / max(|backward|, |numeric|, floor); the floor is
                                   the largest gradient / 10^4 or, where that is more, 10^7 times what rounding does
                                   to the differences */
    double backward, numeric;   /* the two figures there */
    char where[160];            /* "cell.weight[17]", or "direction 3" */
    long checked;               /* derivatives compared */
} sp_gradcheck_report;

/* Checks every element of every parameter (directions = 0), or the derivative along that many random directions; statistics
   are left out. Numeric derivatives are central differences of fourth order, 4 losses each; where they differ from the
   gradient, over 1/10 and 1/100 of the distance too, and the nearest counts. The values of the store are as before afterwards.
   False if the loss failed or is not finite. */
bool sp_gradcheck(sp_store *store, sp_loss_fn loss, void *context, int directions, sp_gradcheck_report *report,
                  sp_status *status);

SP_END
#endif
