/* The tape: it records every operation of one step and plays them backwards.

       sp_tape *t = sp_tape_new(store);
       while (next_batch(&batch)) {
           sp_tape_reset(t);
           sp_tensor *loss = model_loss(t, &model, &batch);
           sp_backward(t, loss);
           sp_step(adam, t);
           if (!sp_ok(t))
               return report(sp_error(t));
       }

   Lifetimes. A function that takes a tape returns a tensor that lives until the tape is reset or rewound past it.
   What the caller hands in (data, ids) is copied and may be changed or freed at once. A tensor that is used after its end
   goes unnoticed, but in a library that was configured with --enable-sanitize, where it is reported at once.

   Errors. A failing call records the first cause on its tape ("encoder.l0: matmul: [32,64] x [100,8]: inner 64 != 100")
   and returns the poison tensor. Operations on poison return poison and do nothing, sp_backward and the optimizers
   refuse. So calls nest without checks, and one sp_ok per step is enough. The error stays until sp_tape_clear.

   Threads. A tape belongs to one thread at a time. Any number of tapes may run at once over one store. */
#ifndef SP_AUTOGRAD_TAPE_H
#define SP_AUTOGRAD_TAPE_H

#include "autograd/store.h"

SP_BEGIN

typedef struct sp_tape sp_tape;
typedef struct sp_tensor sp_tensor;

/* ---- the tape -------------------------------------------------------------------------------------------------- */

/* A tape over the parameters of a store; NULL for a tape without parameters. An error of the store is the tape's from the
   beginning. NULL without memory: every function here accepts a NULL tape, and sp_ok of it is false. */
sp_tape *sp_tape_new(sp_store *store);
void sp_tape_free(sp_tape *t);

/* Forgets all tensors and operations and begins the next step, in constant time. Gradients of parameters stay until an
   optimizer consumes them or sp_zero_grad, so several backward sweeps may be accumulated. */
void sp_tape_reset(sp_tape *t);

/* Forgets everything since the mark, so that what follows computes, and draws, what it would have there: a scope inside a
   step (a beam, an evaluation, a symbol of a long text). An error
   if sp_backward ran since the mark: tensors before it have gradients behind it. */
typedef struct sp_mark {
    uint64_t serial;
} sp_mark;
sp_mark sp_tape_mark(sp_tape *t);
void sp_tape_rewind(sp_tape *t, sp_mark mark);

/* Recording (on at first). Off, operations compute and leave nothing behind for backward. For evaluation and sampling
   switch training off too. */
void sp_tape_set_recording(sp_tape *t, bool on);
bool sp_tape_recording(const sp_tape *t);

/* Training (on at first). Off, dropout passes its input through. */
void sp_tape_set_training(sp_tape *t, bool on);
bool sp_tape_training(const sp_tape *t);

/* The seed of everything random on this tape (0 at first), and the number of the present step, which each reset
   increases by one. */
void sp_tape_seed(sp_tape *t, uint64_t seed, uint32_t step);

/* The bytes that each sp_scan may take for its way back, computing again what does not fit; 0 (at first): as many as it wants.
   See nn/scan.h for what they are. sp_unroll takes what it wants. Holds over resets. */
void sp_tape_set_budget(sp_tape *t, size_t bytes);
size_t sp_tape_budget(const sp_tape *t);

/* Operations recorded since the last reset, and bytes of memory held. */
long sp_tape_length(const sp_tape *t);
size_t sp_tape_bytes(const sp_tape *t);

/* The store it was made over. */
sp_store *sp_tape_store(const sp_tape *t);

/* ---- errors ---------------------------------------------------------------------------------------------------- */

bool sp_ok(const sp_tape *t);
const char *sp_error(const sp_tape *t);                 /* "" while all is well */
const sp_status *sp_tape_status(const sp_tape *t);
void sp_tape_clear(sp_tape *t);                         /* forgets the error, and all gradients; then reset the tape */

/* Records an error of the caller's own, the scope in front; returns the poison tensor. */
sp_tensor *sp_tape_fail(sp_tape *t, sp_code code, const char *format, ...) SP_PRINTF(3, 4);

/* ---- scopes ---------------------------------------------------------------------------------------------------- */

/* Names the part of the model that follows: it stands in errors, in the DOT picture, and in the key of random numbers.
   Scopes nest ("encoder" > "l0" reads "encoder.l0"). */
void sp_scope_push(sp_tape *t, const char *name);
void sp_scope_pushf(sp_tape *t, const char *format, ...) SP_PRINTF(2, 3);
void sp_scope_pop(sp_tape *t);

/* Within a scope: the time step of what follows. Random numbers are keyed by place and time, so a cell draws at time i
   what it draws there however it is run. A scope is for one loop over time: push another for the next. */
void sp_scope_time(sp_tape *t, long time);

/* A key for random numbers that are drawn here, another at each call: by the seed, the step, the scope, its time and how many
   were asked for in it before, the random operations among them. */
sp_key sp_tape_key(sp_tape *t);

/* ---- tensors from outside -------------------------------------------------------------------------------------- */

/* A constant with a copy of data, row-major. */
sp_tensor *sp_feed(sp_tape *t, const sp_real *data, sp_shape shape);

/* The same, but its gradient is wanted and can be read after sp_backward. */
sp_tensor *sp_variable(sp_tape *t, const sp_real *data, sp_shape shape);

/* A constant with one value everywhere. */
sp_tensor *sp_full(sp_tape *t, sp_real value, sp_shape shape);

/* A parameter as a tensor: its values are the store's, its gradient is its part of this tape's gradient block. */
sp_tensor *sp_param_on(sp_tape *t, const sp_param *p);

/* From here to the end of the present scope sp_param_on gives x [p's shape] in place of p, so that a layer or cell that knows
   nothing of it uses x: a weight with dropout, or normalised. Gradients go to x, and on to what it was made of. The latest
   counts, where there are several for p. */
void sp_param_replace(sp_tape *t, const sp_param *p, sp_tensor *x);

/* ---- reading tensors ------------------------------------------------------------------------------------------- */

sp_shape sp_shape_get(const sp_tensor *x);              /* rank 0 for NULL and poison */
long sp_dim(const sp_tensor *x, int axis);              /* a size; -1 is the last axis; 0 if there is no such axis */
sp_real sp_item(const sp_tensor *x);                    /* the value of a tensor of one element; NaN otherwise */

/* Copies the elements, or the gradient (zeros if none was computed), row-major into out, which has room for all.
   False for NULL and poison; out is then unchanged. */
bool sp_read(const sp_tensor *x, sp_real *out);
bool sp_read_grad(const sp_tensor *x, sp_real *out);

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* Adds d loss / d p to the gradient of every parameter p and variable that the loss (one element) depends on.
   Once per recording: reset before the next. False if there is an error on the tape. */
bool sp_backward(sp_tape *t, sp_tensor *loss);

/* The same for factor * loss: a part's share of a mean. */
bool sp_backward_scaled(sp_tape *t, sp_tensor *loss, double factor);

/* The gradients of all parameters, in the layout of sp_store_values, sp_store_size numbers; NULL without memory.
   All zeros before the first sp_backward. */
sp_real *sp_gradients(sp_tape *t);
void sp_zero_grad(sp_tape *t);

SP_END
#endif
