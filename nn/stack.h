/* Cells on top of each other, to any depth: in one direction or both, with skip connections, dropout between the layers,
   zoneout and recurrent weight drop; over ragged batches; and the state that is carried from one window of a long sequence
   to the next.

       sp_stack encoder = sp_stack_make(store, "encoder", &(sp_stack_config){
           .cell = "lstm", .in = 64, .hidden = 128, .layers = 2, .dropout = 0.3, .bidirectional = true });
       sp_seq ys = sp_stack_on_seq(t, &encoder, xs, NULL); */
#ifndef SP_NN_STACK_H
#define SP_NN_STACK_H

#include "nn/bidirectional.h"

SP_BEGIN

/* From the input of a layer to its output; x is what comes before dropout. */
typedef enum sp_skip {
    SP_SKIP_NONE,
    SP_SKIP_RESIDUAL,           /* y = x + f(x)   (He et al., CVPR 2016) */
    SP_SKIP_HIGHWAY             /* y = g f(x) + (1 - g) x,  g = sigmoid(x W' + b)   (Srivastava et al., 2015) */
} sp_skip;

/* What is left out is zero, which is the plain default. Rates are 0 <= p < 1. */
typedef struct sp_stack_config {
    const char *cell;           /* a kind of nn/cell.h */
    long in, hidden;            /* the width of x; of each cell */
    int layers;                 /* 1 or more */
    long projected;             /* only for "lstm-projected": the width of its output; 0: (hidden + 1) / 2 */
    bool bidirectional;
    sp_merge merge;             /* of the two directions */
    sp_skip skip;               /* for the layers whose input is as wide as their output; others have none, often the first */
    double dropout;             /* between the layers, while training, */
    bool variational;           /* with one mask over time for each sequence (nn/locked_dropout.h) */
    double zoneout;             /* of every state of every cell (nn/zoneout_cell.h) */
    double weight_drop;         /* of every weight_hh (nn/weight_drop.h); a cell without such a matrix is refused */
} sp_stack_config;

typedef struct sp_stack_layer {
    sp_cell cell;               /* takes the output of the layer before */
    sp_cell reverse;            /* the same in the other direction; without a step there is one direction */
    sp_linear gate;             /* for SP_SKIP_HIGHWAY: [out,out] */
    const sp_param *drop[2];    /* for weight_drop; NULL: none */
} sp_stack_layer;

/* A stack of your own cells is made by hand, over layers that live as long as it does:
       sp_stack_layer layer[] = { { .cell = a }, { .cell = b } };
       sp_stack mine = { .layer = layer, .layers = 2 }; */
typedef struct sp_stack {
    sp_stack_layer *layer;      /* [layers] */
    int layers;
    sp_merge merge;
    sp_skip skip;
    double dropout, weight_drop;
    bool variational;
} sp_stack;

/* Cells of one kind, named as PyTorch names the layers of an nn.LSTM: "<scope>.weight_ih_l0",
   "<scope>.weight_hh_l0_reverse", ... A highway's gate is "<scope>.weight_highway_l0" [out,out], uniform in +-1/sqrt(out) at
   first, and "<scope>.bias_highway_l0" [out], -1 at first, so that much of x passes. The layers live as long as the store. If
   that fails the store has the error, and there are no layers. */
sp_stack sp_stack_make(sp_store *s, const char *scope, const sp_stack_config *config);

/* The width of what the last layer gives. */
long sp_stack_out(const sp_stack *stack);

/* How many states all cells have together. */
int sp_stack_states(const sp_stack *stack);

/* Sequences of any lengths. state[sp_stack_states] holds the initial states, each [batch,w] in the caller's order, where NULL
   stands for zeros, and gets the final ones, each sequence's at its own end: layer by layer; within a layer those of cell, then
   those of reverse (final at the first step). state may be NULL. Final states are tensors through which gradients flow: those
   of an encoder start a decoder. */
sp_seq sp_stack_on_seq(sp_tape *t, const sp_stack *stack, sp_seq xs, sp_tensor **state);

/* One step of all layers, x [B,in] -> [B,out], for a cell that is made of a stack (nn/decoder.h). state[sp_stack_states], none
   NULL, moves on. Not of a bidirectional stack. While training nothing may be drawn once for a whole sequence, as variational
   dropout and weight drop are. */
sp_tensor *sp_stack_step(sp_tape *t, const sp_stack *stack, sp_tensor *x, sp_tensor **state);

/* The states of all cells of a stack for a batch, outside any tape: they outlive its reset (truncated backpropagation
   through time). Zeros at first. NULL without memory, for a stack without layers, and for a batch below 1. */
typedef struct sp_state sp_state;
sp_state *sp_state_new(const sp_stack *stack, long batch);
void sp_state_free(sp_state *s);
void sp_state_zero(sp_state *s);

/* All its numbers, and in *size how many: to save, and to take back. Of NULL none. */
sp_real *sp_state_values(sp_state *s, long *size);

/* xs [T,B,in] -> [T,B,out]. With a carried state (of batch B) the sequence continues where the last one ended, no
   gradient flows into the last one, and the state moves to the end of this one. Without (NULL) it begins at zeros, and
   so does every window where sp_state_new gave NULL: check it. A bidirectional stack carries none: its reverse cells begin at
   the end of all that is to come. */
sp_tensor *sp_stack_on(sp_tape *t, const sp_stack *stack, sp_tensor *xs, sp_state *carry);

SP_END
#endif
