/* Cells drawn from the table of operations, for whoever compares ways to run a cell. */
#ifndef SP_TESTS_RANDOM_CELL_H
#define SP_TESTS_RANDOM_CELL_H

#include "nn/cell.h"

struct random_cell {
    uint64_t seed;
    sp_cell cell;
    sp_param *param[100];       /* as the step comes to need them */
    char name[400];             /* the seed, and the operations in the order of the step */
};

/* The cell of a seed, for x [B,in], with parameters in s; it lives in *memory. Values stay within bounds if those of x, of
   the parameters and of the initial states are within +-0.7. */
sp_cell random_cell(struct random_cell *memory, sp_store *s, uint64_t seed, long in);

#endif
