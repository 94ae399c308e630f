/* A recurrent cell: the y = rnn.step(x) of every lecture. A person's own cell is a struct of layers and a step function:

       struct mgu { sp_linear xf, hf, xc, hc; };
       static sp_tensor *mgu_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h) { ...; return *h = ...; }
       sp_cell cell = { .name = "mgu", .self = &mgu, .step = mgu_step, .states = 1, .width = { 64 } };

   and goes wherever the library's own cells go. Under scan the step is called once for all time steps: what it counts,
   prints or draws by itself happens once (sp_dropout draws anew at each). Where lengths differ, rows of a step are in an
   order of their own; what has a row for each sequence comes in as a state. */
#ifndef SP_NN_CELL_H
#define SP_NN_CELL_H

#include "autograd/tape.h"
#include "nn/linear.h"
#include "nn/seq.h"

SP_BEGIN

enum { SP_MAX_STATES = 4 };

typedef struct sp_cell {
    const char *name;           /* the scope its operations stand in */
    const void *self;           /* passed to step; lives as long as the cell is used */

    /* One time step: x [B,in] and states state[i] [B,width[i]] -> y [B,out]. Replaces state[i] by the new states. */
    sp_tensor *(*step)(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state);

    long out;                   /* the width of y; 0: width[0] */
    int states;                 /* 1 to SP_MAX_STATES */
    long width[SP_MAX_STATES];  /* each begins as zeros */
} sp_cell;

/* ---- the library's cells --------------------------------------------------------------------------------------- */

/* They declare "<scope>.weight_ih_l<layer>" [gates*hidden,in], "<scope>.weight_hh_l<layer>" [gates*hidden,hidden] and two
   biases of the same naming: PyTorch's names, shapes and gate orders. All are uniform in +-1/sqrt(hidden) at first.
   The cell lives as long as the store. If that fails the store has the error, and the cell's step is NULL. */
#define SP_CELL_MAKER(name) sp_cell name(sp_store *s, const char *scope, int layer, long in, long hidden)

SP_CELL_MAKER(sp_rnn_make);     /* nn/rnn.c */
SP_CELL_MAKER(sp_relu_rnn_make);
SP_CELL_MAKER(sp_lstm_make);    /* nn/lstm.c */
SP_CELL_MAKER(sp_gru_make);     /* nn/gru.c */

/* The same by name: "rnn", "relu", "lstm", "gru". Another name is an error of the store. */
sp_cell sp_cell_make(sp_store *s, const char *kind, const char *scope, int layer, long in, long hidden);

/* The names, in the order of the table; NULL from the end on. */
const char *sp_cell_kind(int index);

/* Sets the forget gate's bias of an LSTM cell. 1 makes it remember at first, which helps on long lags (Jozefowicz et al.,
   ICML 2015); for text the uniform start that the cell is made with learns faster. A cell that is no LSTM is left alone. */
void sp_lstm_forget_bias(const sp_cell *lstm, double value);

/* For files of cells: the two linear maps of x and of h that most begin with, into `gates` parts of hidden numbers, in
   memory of the store; NULL if that fails. */
struct sp_recurrent {
    sp_linear x, h;
};
struct sp_recurrent *sp_recurrent_make(sp_store *s, const char *scope, int layer, long in, long hidden, int gates);

/* ---- running one over time ------------------------------------------------------------------------------------- */

/* Runs a cell over xs [T,B,in], one step after the other on the tape; gives all y, [T,B,out].
   state[cell->states] holds the initial states [B,width[i]], where NULL stands for zeros, and gets the final ones.
   state itself may be NULL: zeros, and the final states are not wanted. Final states are tensors and end with the tape's
   step; to carry them to the next see sp_state in nn/stack.h. */
sp_tensor *sp_unroll(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state);

/* The same for sequences of different lengths, and (reverse) from their last step to their first. States are [batch,w] in
   the caller's order; a sequence's final state is the one at its own end (in reverse: its beginning). The result has the layout of xs. */
sp_seq sp_unroll_seq(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor **state, bool reverse);

SP_END
#endif
