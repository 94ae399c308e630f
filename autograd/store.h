/* Parameters. A store owns the values of all parameters of a model in one aligned block; each has a unique dotted name
   ("encoder.weight_ih_l0"). While tapes run over a store its values are read-only, so threads share it.

   Declare every parameter first, then make tapes: adding one while a tape lives is an error, because the block may move. */
#ifndef SP_AUTOGRAD_STORE_H
#define SP_AUTOGRAD_STORE_H

#include "autograd/base.h"
#include "autograd/random.h"

SP_BEGIN

typedef struct sp_store sp_store;

/* Read it, never change it; it belongs to its store. */
typedef struct sp_param {
    const char *name;
    sp_shape shape;
    sp_store *store;
    int index;          /* the how-manieth of its store, from 0 */
    long offset;        /* where its values begin in the store's block, in numbers; row-major without gaps */
    bool statistic;     /* see sp_store_add_statistic */
    struct sp_packing *packing;         /* private: autograd/packed.c */
} sp_param;

/* An empty store; the seed decides every initial value. NULL without memory. */
sp_store *sp_store_new(uint64_t seed);

/* Frees it with all its parameters and values; while tapes live, the last of them does that. NULL is fine. */
void sp_store_free(sp_store *s);

/* Declares a parameter, all zeros (before tapes and optimizers are made over the store); the name is a printf format. NULL on
   a repeated or empty name, a NULL in it, a bad shape, a live tape, no memory: the store then holds the error (sp_store_ok).
   Initialise it with nn/init.h. */
sp_param *sp_store_add(sp_store *s, sp_shape shape, const char *name, ...) SP_PRINTF(3, 4);

/* Declares a statistic: values that training moves on but does not learn, as the running mean of a batch normalisation
   (PyTorch calls them buffers). They are saved, loaded and checkpointed with the parameters. No operation has a gradient for
   them. Their place in the gradients of a tape holds what they change by, which an optimizer adds as it is, without rate,
   decay or memory; several backward sweeps before that are as several steps, the shards of a batch (autograd/parallel.h) that
   move one count by their weights, norms and clipping leave them out, and averages of the weights take their latest values. */
sp_param *sp_store_add_statistic(sp_store *s, sp_shape shape, const char *name, ...) SP_PRINTF(3, 4);

/* Has it any? And the numbers from offset *from to the one before *end, which belong to one or more parameters that are no
   statistics, the first at or after *end; false if there are no more. Begin with *end == 0. */
bool sp_store_has_statistics(const sp_store *s);
bool sp_store_next_learned(const sp_store *s, long *from, long *end);

/* Declaring more than so many numbers in all is an error, before memory is taken for them: for sizes that a file claims. */
void sp_store_set_limit(sp_store *s, long numbers);

/* Memory for so many numbers in all, so that declaring them takes none: their block then is as long as it must be. False
   without memory: the store then holds that error. */
bool sp_store_reserve(sp_store *s, long size);

/* The parameter of that name, or NULL. */
sp_param *sp_store_find(const sp_store *s, const char *name);

int sp_store_count(const sp_store *s);
sp_param *sp_store_at(const sp_store *s, int index);

/* The block of all values and its length. Between parameters lie zeros that keep each aligned; whatever works on the
   block as a whole (optimizer, norm) must leave zeros zero. Asking for it counts as a change, which makes products pack
   their weights anew: ask each time before you write, and only while no tape computes. */
sp_real *sp_store_values(sp_store *s);
long sp_store_size(const sp_store *s);

/* The values of one parameter; NULL if p is NULL: to write, which counts as a change too, and to read. */
sp_real *sp_param_values(const sp_param *p);
const sp_real *sp_param_read(const sp_param *p);

/* How often the values were changed. */
unsigned long sp_store_version(const sp_store *s);

/* A key for drawing p's initial values: it depends on the seed and the name alone, so adding a layer changes no other. */
sp_key sp_param_key(const sp_param *p);

/* Cleared memory that is freed with the store, for the struct of a layer. NULL without memory (then the store holds it). */
void *sp_store_alloc(sp_store *s, size_t bytes);

/* The first error of this store. A NULL store is "out of memory". */
bool sp_store_ok(const sp_store *s);
const sp_status *sp_store_status(const sp_store *s);
bool sp_store_fail(sp_store *s, sp_code code, const char *format, ...) SP_PRINTF(3, 4);

/* Forgets the error: what failed is not there, all else is as it was. */
void sp_store_clear(sp_store *s);

/* How tapes announce themselves; for autograd/tape.c only. */
void sp_store_attach(sp_store *s, int tapes);

SP_END
#endif
