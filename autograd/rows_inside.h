/* Sums for products with few rows. BLIS's kernel computes a whole tile of C however few rows there are; this computes no
   more than there is, at about the kernel's speed from 4 rows on. For autograd/packed.c. */
#ifndef SP_AUTOGRAD_ROWS_INSIDE_H
#define SP_AUTOGRAD_ROWS_INSIDE_H

#include "autograd/base.h"

/* sum[i,j] = sum_p x[i*line + p*step] panel[p,j] for 1 to `most` rows; panel [depth,width], sum [rows,width], both aligned to
   64 bytes. */
struct sp_rows {
    void (*sum)(long rows, long depth, const sp_real *x, long line, long step, const sp_real *panel, sp_real *sum);
    long most;                  /* 0: there is no such function */
};

/* The one for panels of that width, in numbers, on this CPU. */
struct sp_rows sp_rows_for(long width);

enum { SP_MOST_ROWS = 11, SP_ROWS_BYTES = 128 };        /* the most rows of any, and the bytes of the widest panel */

#endif
