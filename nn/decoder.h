/* A recurrent decoder that attends to a memory, with input feeding (Luong et al. 2015), as one cell:

       x'      = [x, h~ of the step before]             what it saw is fed to the next step
       h       = cells(x')                              one cell or several on top of each other
       context = attention(h, memory)
       h~      = tanh(Wc [context, h])                  the output

   The first cell's product takes x' as one, in every step: what it makes of x is not computed before the loop.

   An encoder and a decoder, from parameters to the loss; text[i] and out[i] are ids, sequence behind sequence, and lengths
   count them:

       sp_embed words = sp_embed_make(store, "words", vocabulary, 16);
       sp_cell encoder = sp_gru_make(store, "encoder", 0, 16, 24);
       sp_attention attention = sp_attention_make(store, "general", "attention", 24, 24, 0);
       sp_decoder decoder = sp_decoder_make(store, "decoder", &attention,
                                            &(sp_stack_config){ .cell = "gru", .in = 16, .hidden = 24, .layers = 1 });
       sp_linear head = sp_linear_make(store, "head", 24, vocabulary);
       ...
       sp_seq in = sp_seq_pack(t, sp_embed_on(t, &words, text, letters), text_length, batch);
       sp_seq encoded = sp_scan_seq(t, &encoder, in, NULL, false);
       sp_memory memory = sp_memory_of(t, &attention, encoded);
       sp_seq before = sp_seq_pack(t, sp_embed_on(t, &words, out_before, out_letters), out_length, batch);
       sp_decoded y = sp_decoder_on(t, &decoder, &memory, before, NULL);
       sp_tensor *logits = sp_linear_on(t, &head, sp_seq_unpack(t, y.out));
       sp_backward(t, sp_cross_entropy_mean(t, logits, out, SP_IGNORE));

   where out_before is out with a first symbol in front of each sequence and without its last. Greedy decoding, a symbol of
   every sequence at a time, last[batch] being the first symbols and then the best ones (a beam also chooses among rows: of
   states by sp_embedding, of the memory by sp_memory_rows):

       sp_tape_set_recording(t, false);                                and training, if there is dropout
       sp_cell cell = sp_decoder_cell(t, &decoder, &memory, NULL);
       sp_tensor *state[SP_MAX_STATES] = { NULL };                     zeros at first, then from step to step
       for (int i = 0; i < most; i++) {
           sp_tensor *x = sp_reshape(t, sp_embed_on(t, &words, last, batch), SP_SHAPE(1, batch, 16));
           sp_seq step = sp_scan_seq(t, &cell, sp_seq_of(t, x), state, false);
           sp_read(sp_linear_on(t, &head, sp_decoder_split(t, &cell, step).out.rows), scores);     [batch,vocabulary]
           ...
       } */
#ifndef SP_NN_DECODER_H
#define SP_NN_DECODER_H

#include "nn/attention.h"
#include "nn/stack.h"

SP_BEGIN

typedef struct sp_decoder {
    sp_stack cells;             /* the first takes x', in + width wide; by hand it may be any that sp_stack_step takes */
    sp_attention attention;     /* its query is what the last of the cells gives */
    sp_linear combine;          /* Wc [width, memory + query], no bias */
} sp_decoder;

/* A stack by a configuration, whose in is the width of x: "<name>.weight_ih_l0" and so on, of which the first takes in + hidden
   numbers; and "<name>.combine.weight" [hidden, memory + query], so that h~ is hidden wide. The attention is copied; its query
   must be as wide as what the stack gives. What sp_stack_step does not take is an error, as are more than SP_MAX_STATES
   states (an LSTM's layers have two each) and all else: of the store. */
sp_decoder sp_decoder_make(sp_store *s, const char *name, const sp_attention *attention, const sp_stack_config *config);

/* The states, in this order: those of the cells, layer by layer; h~; and the coverage [B,S], which a decoder with the attention
   "coverage" has. All begin as zeros; an encoder's final states may be given for those of the cells. */
int sp_decoder_states(const sp_decoder *d);

/* The width of h~. */
long sp_decoder_width(const sp_decoder *d);

/* The decoder over one memory, which is in the caller's order, as a cell for sequences of this layout; NULL: for one step
   at a time, [1,B,in], or for sequences of one length. It lives until the tape is reset, and the decoder must as well.
   Its y is [h~, weights, penalty]: the weights are S wide, the penalty 1 with the attention "coverage", 0 otherwise. */
sp_cell sp_decoder_cell(sp_tape *t, const sp_decoder *d, const sp_memory *m, const sp_layout *layout);

/* What such a cell's y [rows, ...] is made of. */
typedef struct sp_decoded {
    sp_seq out;                 /* h~ [rows,width] */
    sp_seq weights;             /* of the attention [rows,S], to be plotted: sp_seq_unpack puts them into the caller's order */
    sp_seq penalty;             /* [rows,1] sum_s min(a_s, c_s) (sp_coverage_loss); no rows without coverage */
} sp_decoded;
sp_decoded sp_decoder_split(sp_tape *t, const sp_cell *cell, sp_seq y);

/* The three together: the cell under sp_scan_seq over xs [rows,in]; states as there. Sequence i of xs reads sequence i of the
   memory. */
sp_decoded sp_decoder_on(sp_tape *t, const sp_decoder *d, const sp_memory *m, sp_seq xs, sp_tensor **state);

SP_END
#endif
