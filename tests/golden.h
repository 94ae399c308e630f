/* Numbers that another program computed (tests/golden/make.py), in tests/golden/FOLDER/NAME.safetensors, to compare with.

       static void linear(struct golden *g)
       {
           sp_store *s = sp_store_new(0);
           sp_linear l = sp_linear_make(s, "linear", golden_count(g, "in"), golden_count(g, "out"));
           golden_params(g, s);
           sp_tape *t = sp_tape_new(s);
           sp_tensor *x = golden_variable(g, t, "x"), *y = sp_linear_on(t, &l, x);
           golden_same(g, "y", y);
           sp_backward(t, sp_sum(t, sp_mul(t, y, golden_constant(g, t, "dy")), SP_ALL));
           golden_same_gradient(g, "dx", x);
           golden_same_gradients(g, t);
           ...
       }
       golden_each("layer", (const struct golden_reader[]){ { "linear", linear }, { 0 } });

   Whatever is missing, of another shape or left unread fails the test. */
#ifndef SP_TESTS_GOLDEN_H
#define SP_TESTS_GOLDEN_H

#include "ops/ops.h"

struct golden;

struct golden_reader {
    const char *kind;           /* the files it is for: their metadata has it under "kind" */
    void (*read)(struct golden *g);
};

/* Calls the reader of each file of a folder and says how many there were. Fails on a file without reader, on a reader
   without file, and on a tensor that was not read. */
void golden_each(const char *folder, const struct golden_reader *readers);

/* What the file is called, and its metadata: a text, NULL if the file has none of that key, and a number, which must be
   there. */
const char *golden_name(const struct golden *g);
const char *golden_text(const struct golden *g, const char *key);
double golden_number(const struct golden *g, const char *key);
long golden_count(const struct golden *g, const char *key);

/* Is there a tensor of that name? Its shape, and its numbers, which live as long as g; also as whole numbers. */
bool golden_has(const struct golden *g, const char *name);
sp_shape golden_shape(const struct golden *g, const char *name);
const sp_real *golden_numbers(struct golden *g, const char *name);
const int *golden_ids(struct golden *g, const char *name);
const long *golden_longs(struct golden *g, const char *name);

/* The tensor as a constant, and as a variable whose gradient is wanted. */
sp_tensor *golden_constant(struct golden *g, sp_tape *t, const char *name);
sp_tensor *golden_variable(struct golden *g, sp_tape *t, const char *name);

/* The values of all parameters of a store: those of the tensors "param.NAME", of which there are no others. */
void golden_params(struct golden *g, sp_store *s);

/* All of the file into the parameters of a store, by their names, as a program does it. */
void golden_load(struct golden *g, sp_store *s);

/* Compare numbers, a tensor's values, its gradient, the gradients of all parameters but statistics with "grad.NAME", and all values with a
   group of tensors ("GROUP.NAME"). They may differ by 2e-5 of the largest number of the tensor, in float64 by 2e-7: the files
   have 24 bits. */
void golden_same_numbers(struct golden *g, const char *name, const sp_real *x, sp_shape shape);
void golden_same(struct golden *g, const char *name, const sp_tensor *x);
void golden_same_gradient(struct golden *g, const char *name, const sp_tensor *x);
void golden_same_gradients(struct golden *g, sp_tape *t);
void golden_same_values(struct golden *g, const char *group, sp_store *s);

#endif
