/* BLIS's micro-kernel, for autograd/packed.c. */
#ifndef SP_AUTOGRAD_BLAS_INSIDE_H
#define SP_AUTOGRAD_BLAS_INSIDE_H

#include "autograd/rows_inside.h"

/* It multiplies a panel of some rows of A by a panel of some columns of B, both stored depth by depth, into a tile of C. */
struct sp_kernel {
    bool there;                 /* false where it cannot be had */
    long rows, columns;         /* of a tile of C, row-major */
    long row_panel, column_panel;       /* their places in a panel */
    long depth;                 /* of a panel, at best */
    struct sp_rows few;         /* for fewer rows than a tile has */
};

/* Initialises BLIS, if nobody has yet. */
const struct sp_kernel *sp_kernel(void);

/* A tile of C, with `line` numbers from row to row: alpha left right + beta C. */
void sp_kernel_run(long rows, long columns, long depth, sp_real alpha, const sp_real *left, const sp_real *right, sp_real beta,
                   sp_real *c, long line);

#endif
