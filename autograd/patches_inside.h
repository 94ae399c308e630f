/* What the products with a matrix of patches share. */
#ifndef SP_AUTOGRAD_PATCHES_INSIDE_H
#define SP_AUTOGRAD_PATCHES_INSIDE_H

#include "autograd/blas_inside.h"
#include "autograd/patches.h"

enum {
    SP_TILE_COLUMNS = 64, SP_TILE_ROWS = 16,    /* the largest tile of the kernel's that is served */
    SP_TILE = SP_TILE_ROWS * SP_TILE_COLUMNS
};

/* Tap i of position p is number p + place - lowest of the numbers that have a phase: those at phase, phase + step, ... */
struct sp_axis {
    const sp_window *w;
    long lowest, reach;         /* the least place of a tap, and how far from there to the largest */
    long period, phases;        /* i and i + period have the same phase; how many there are */
};

/* Lines of positions, or a part of one, and where their patches are read. */
struct sp_block {
    long line, lines;           /* of all images one after the other */
    long column, columns;       /* of each */
    const sp_real *base;
};

struct sp_plan {
    const struct sp_kernel *kernel;
    const sp_patches *x;
    struct sp_axis h, w;
    bool direct;                /* x is read as it lies */
    long depth, taps, all;      /* rows of X; those of a channel; lines of positions */
    long lines, columns;        /* of a block, at most */
    long band_size;             /* -1: most of it would be zeros around x, too many to lay out */
    sp_real *band;              /* [channels, phases, lines + reach, columns + reach] */
    long *row, *line;           /* [depth], [lines] where each row of X begins, and each line: base[row + line + column] */
};

/* The plan for blocks of at most so many positions, if one line is not cut. sp_patches_take gives it its memory. */
struct sp_plan sp_patches_plan(const sp_patches *x, long block);

/* Memory for so many numbers each, and for the plan, as sp_scratch; false without it. */
bool sp_patches_take(struct sp_plan *p, int n, const long *size, sp_real ***piece);

/* The next block; false behind the last. The first has lines == 0. */
bool sp_patches_next(const struct sp_plan *p, struct sp_block *b);

/* Says where the patches of a block are, and copies what must be. */
void sp_patches_place(const struct sp_plan *p, struct sp_block *b);

/* Columns of X that lie side by side in x. */
struct sp_stripe {
    long from, n;               /* behind base + tap */
    long to;                    /* of the first in the maps */
};

/* The columns of a block from `at` on as runs, n in all; returns how many. */
int sp_patches_runs(const struct sp_plan *p, const struct sp_block *b, const sp_maps *y, long at, long n,
                    struct sp_stripe *run);

/* Rows k .. k+depth-1 of these columns of X, as a panel. */
void sp_patches_panel(const struct sp_plan *p, const struct sp_block *b, const struct sp_stripe *run, int runs, long k, long depth,
                      sp_real *restrict to);

/* Rows k .. k+rows-1 of all columns of a block of X, `line` numbers from row to row. */
void sp_patches_rows(const struct sp_plan *p, const struct sp_block *b, long k, long rows, long line, sp_real *restrict to);

/* Lines that follow each other without gaps, in x and in Y, are one where each position meets one number. */
void sp_patches_join(sp_patches *x, sp_maps *y);

/* No number of the result is changed. */
bool sp_patches_nothing(const sp_weights *a, const sp_patches *x);

/* y = sums, or +=, for [rows,columns] with `room` and `line` numbers from row to row. */
void sp_patches_put(long rows, long columns, const sp_real *restrict sum, long room, bool add, sp_real *restrict y, long line);

/* For each line of positions, tap by tap, a product of views of A, x and Y; gradient: into A. It takes no memory. */
void sp_patches_plainly(const sp_weights *a, const sp_patches *x, const sp_maps *y, bool gradient);

/* Y = bias, or 0. */
void sp_patches_set(const sp_weights *a, const sp_patches *x, const sp_real *bias, long step, const sp_maps *y);

#endif
