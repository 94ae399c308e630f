/* BLIS's micro-kernel and the packing for it, for autograd/packed.c and autograd/patches_*.c. */
#ifndef SP_AUTOGRAD_BLAS_INSIDE_H
#define SP_AUTOGRAD_BLAS_INSIDE_H

#include "autograd/rows_inside.h"
#include "autograd/store.h"

/* It multiplies a panel of some rows of A by a panel of some columns of B, both stored depth by depth, into a tile of C. */
struct sp_kernel {
    bool there;                 /* false where it cannot be had */
    long rows, columns;         /* of a tile of C, row-major */
    long row_panel, column_panel;       /* their places in a panel */
    long depth;                 /* of a panel, at best */
    struct sp_rows few;         /* for fewer rows than a tile has */
};

static inline long sp_least(long a, long b)
{
    return a < b ? a : b;
}

/* So many rows are summed better without a tile. */
static inline bool sp_few(const struct sp_kernel *u, long rows)
{
    return rows <= u->few.most && rows < u->rows;
}

/* Initialises BLIS, if nobody has yet. */
const struct sp_kernel *sp_kernel(void);

/* A tile of C, with `line` numbers from row to row: alpha left right + beta C. */
void sp_kernel_run(long rows, long columns, long depth, sp_real alpha, const sp_real *left, const sp_real *right, sp_real beta,
                   sp_real *c, long line);

/* n vectors of `depth` numbers as panels of `width`, one after the other, each with `room` places depth by depth, those that
   are left over 0. Element p of vector i lies at from[i * step + p * down]. */
void sp_pack_panels(sp_real *to, long width, long room, long n, long depth, const sp_real *from, long step, long down);

/* A depth of k is cut into stretches of equal length, as near to the kernel's as can be; n things into pieces. */
long sp_stretch_of(const struct sp_kernel *u, long k);
long sp_pieces(long n, long size);

/* The panels of a side of a parameter as it is now, `size` numbers that pack writes from `from` once for all products until
   the parameter's store changes; NULL without memory. Threads may ask at once: one packs, the others wait. */
enum { SP_SIDE_PATCHES = 2, SP_SIDES };
const sp_real *sp_param_panels(const struct sp_kernel *u, const sp_param *p, int side, long size,
                               void (*pack)(const struct sp_kernel *u, sp_real *panels, const void *from), const void *from);

/* Memory to work in until the next call on this thread, aligned, not cleared; NULL if there is none. */
void *sp_scratch(size_t bytes);

#endif
