/* Cells on top of each other, and the state they carry from one window of a long sequence to the next. */
#ifndef SP_NN_STACK_H
#define SP_NN_STACK_H

#include "nn/cell.h"

SP_BEGIN

enum { SP_MAX_LAYERS = 16 };

typedef struct sp_stack {
    sp_cell cell[SP_MAX_LAYERS];        /* each takes the output of the one before */
    int layers;
    double dropout;                     /* between the layers, while training */
} sp_stack;

/* A stack of your own cells is made by hand: sp_stack mine = { .cell = { a, b }, .layers = 2 }. */

/* Cells of one kind named as PyTorch names the layers of an nn.LSTM: "<scope>.weight_ih_l0", ... */
sp_stack sp_stack_make(sp_store *s, const char *kind, const char *scope, long in, long hidden, int layers, double dropout);

/* The width of what the last of them gives. */
long sp_stack_out(const sp_stack *stack);

/* The states of all cells of a stack for a batch, outside any tape: they outlive its reset (truncated backpropagation
   through time). Zeros at first. NULL without memory. */
typedef struct sp_state sp_state;
sp_state *sp_state_new(const sp_stack *stack, long batch);
void sp_state_free(sp_state *s);
void sp_state_zero(sp_state *s);

/* All its numbers, and in *size how many: to save, and to take back. */
sp_real *sp_state_values(sp_state *s, long *size);

/* xs [T,B,in] -> [T,B,out]. With a carried state (of batch B) the sequence continues where the last one ended, no
   gradient flows into the last one, and the state moves to the end of this one. Without (NULL) it begins at zeros. */
sp_tensor *sp_stack_on(sp_tape *t, const sp_stack *stack, sp_tensor *xs, sp_state *carry);

SP_END
#endif
