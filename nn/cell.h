/* A recurrent cell: the y = rnn.step(x) of every lecture. A person's own cell is a struct of layers and a step function:

       struct mgu { sp_linear xf, hf, xc, hc; };
       static sp_tensor *mgu_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h) { ...; return *h = ...; }
       sp_cell cell = { .name = "mgu", .self = &mgu, .step = mgu_step, .states = 1, .width = { 64 } };

   and goes wherever the library's own cells go. Under scan the step is called once for all time steps: what it counts,
   prints or draws by itself happens once (sp_dropout draws anew at each). Where lengths differ, rows of a step are in an
   order of their own; what has a row for each sequence comes in as a state, or in that order: sp_seq_sorted. */
#ifndef SP_NN_CELL_H
#define SP_NN_CELL_H

#include "autograd/tape.h"
#include "nn/linear.h"
#include "nn/seq.h"

SP_BEGIN

enum { SP_MAX_STATES = 16 };         /* a decoder has those of all its layers */

typedef struct sp_cell {
    const char *name;           /* the scope its operations stand in */
    const void *self;           /* passed to step; lives as long as the cell is used */

    /* One time step: x [B,in] and states state[i] [B,width[i]] -> y [B,out]. Replaces state[i] by the new states. */
    sp_tensor *(*step)(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state);

    long out;                   /* the width of y; 0: width[0] */
    int states;                 /* 1 to SP_MAX_STATES */
    long width[SP_MAX_STATES];  /* 1 or more; each begins as zeros */
    bool joint;                 /* they mean something only together, as where one scales others: none is kept by itself (zoneout) */
} sp_cell;

/* ---- the library's cells --------------------------------------------------------------------------------------- */

/* They declare "<scope>.weight_ih_l<layer>" [gates*hidden,in], "<scope>.weight_hh_l<layer>" [gates*hidden,hidden] and two
   biases of the same naming: PyTorch's names, shapes and gate orders. All are uniform in +-1/sqrt(hidden) at first. Where a
   cell has other parameters or other values, its file says so, with its equations. A cell for the second direction of a
   layer is one of sp_reverse_layer(layer).
   The cell lives as long as the store. If that fails the store has the error, and the cell's step is NULL. */
#define SP_CELL_MAKER(name) sp_cell name(sp_store *s, const char *scope, int layer, long in, long hidden)

/* Products of the state in every step */
SP_CELL_MAKER(sp_rnn_make);             /* "rnn": one tanh layer (Elman 1990) */
SP_CELL_MAKER(sp_relu_rnn_make);        /* "relu": one relu layer */
SP_CELL_MAKER(sp_lstm_make);            /* "lstm": input, forget, output gate (Hochreiter, Schmidhuber 1997; Gers et al. 2000) */
SP_CELL_MAKER(sp_gru_make);             /* "gru": reset and update gate, the reset after the product (Cho et al. 2014; cuDNN) */
SP_CELL_MAKER(sp_gru_simple_make);      /* "gru-simple": the update gate alone, as lectures begin */
SP_CELL_MAKER(sp_gru_before_make);      /* "gru-before": the reset before the product (Cho et al. 2014) */
SP_CELL_MAKER(sp_lstm_peephole_make);   /* "lstm-peephole": the gates see the cell (Gers, Schmidhuber 2000) */
SP_CELL_MAKER(sp_lstm_coupled_make);    /* "lstm-coupled": the input gate is 1 - the forget gate (CIFG; Greff et al. 2017) */
SP_CELL_MAKER(sp_lstm_projected_make);  /* "lstm-projected": a narrower output, (hidden + 1) / 2 wide (Sak et al. 2014) */
SP_CELL_MAKER(sp_lstm_norm_make);       /* "lstm-norm": layer normalisation within (Ba et al. 2016) */
SP_CELL_MAKER(sp_slstm_make);           /* "slstm": exponential gates, scalar memory (xLSTM; Beck et al. 2024) */

/* A recurrence without products of a weight: nearly all of it is computed before the loop */
SP_CELL_MAKER(sp_indrnn_make);          /* "indrnn": a relu layer in which each unit sees itself alone (Li et al. 2018) */
SP_CELL_MAKER(sp_sru_make);             /* "sru": forget gate, and a highway from x to y (Lei et al. 2018) */
SP_CELL_MAKER(sp_qrnn_make);            /* "qrnn": forget and output gate of x alone (fo-pooling; Bradbury et al. 2017) */
SP_CELL_MAKER(sp_mingru_make);          /* "mingru": update gate of x alone (Feng et al. 2024) */
SP_CELL_MAKER(sp_minlstm_make);         /* "minlstm": input and forget gate of x alone, that sum to 1 (Feng et al. 2024) */
SP_CELL_MAKER(sp_mlstm_make);           /* "mlstm": exponential gates, a memory of hidden^2 numbers (xLSTM; Beck et al. 2024) */

/* The layer, for its second direction: names then end in "_reverse", as PyTorch's do. */
static inline int sp_reverse_layer(int layer)
{
    return -1 - layer;
}

/* The same by the name in quotes. Another name is an error of the store. */
sp_cell sp_cell_make(sp_store *s, const char *kind, const char *scope, int layer, long in, long hidden);

/* "lstm-projected" with an output of any width. */
sp_cell sp_lstm_projected_to(sp_store *s, const char *scope, int layer, long in, long hidden, long projected);

/* The width of y; 0 for NULL. */
long sp_cell_out(const sp_cell *cell);

/* The names, in the order of the table; NULL from the end on. */
const char *sp_cell_kind(int index);

/* The table's own text of a name, which lives for ever; NULL if there is none. */
const char *sp_cell_kind_named(const char *kind);

/* All of them: the choices of an option. */
#define SP_CELL_KINDS \
    "rnn|relu|lstm|gru|gru-simple|gru-before|lstm-peephole|lstm-coupled|lstm-projected|lstm-norm|indrnn|sru|qrnn|mingru|minlstm|" \
    "slstm|mlstm"

/* Sets the forget gate's bias of an LSTM cell. 1 makes it remember at first, which helps on long lags (Jozefowicz et al.,
   ICML 2015); for text the uniform start that the cell is made with learns faster. A cell of another kind than "lstm" is left alone. */
void sp_lstm_forget_bias(const sp_cell *lstm, double value);

/* ---- for files of cells ---------------------------------------------------------------------------------------- */

/* Cleared memory of the store for the struct of a cell, once its sizes are known to be from 1 to 2^30, so that no product of
   two overflows: what a maker begins with. NULL if that fails; the store then has the error. */
void *sp_recurrent_new(sp_store *s, const char *scope, long in, long hidden, size_t bytes);

/* The two linear maps of x and of h that most begin with, "ih" and "hh", into `gates` parts of hidden numbers, in memory of
   the store; NULL if that fails. The second is the map of x alone. */
struct sp_recurrent {
    sp_linear x, h;
};
struct sp_recurrent *sp_recurrent_make(sp_store *s, const char *scope, int layer, long in, long hidden, int gates);
sp_linear *sp_recurrent_input_make(sp_store *s, const char *scope, int layer, long in, long hidden, int gates);

/* x W_ih' + b_ih + h W_hh' + b_hh */
sp_tensor *sp_recurrent_on(sp_tape *t, const struct sp_recurrent *r, sp_tensor *x, sp_tensor *h);

/* "<scope>.weight_<which>_l<layer>" [out,in] and "<scope>.bias_<which>_l<layer>" [out], and "<scope>.<name>_l<layer>", uniform
   in +-bound at first. */
sp_linear sp_recurrent_map(sp_store *s, const char *scope, const char *which, int layer, long in, long out, double bound);
sp_param *sp_recurrent_param(sp_store *s, sp_shape shape, const char *scope, const char *name, int layer, double bound);

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
