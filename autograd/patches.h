/* Products with a matrix of patches, which is what a convolution is. The matrix is never formed: stretches of it are laid
   out as the panels that BLIS's micro-kernel reads, from a copy of some lines of x that has its padding around it and,
   for a step of more than 1, the numbers that are met together side by side.
   Without memory for that, or where nearly all of it would be padding, the sums are made tap by tap: in another order, so
   with other roundings. */
#ifndef SP_AUTOGRAD_PATCHES_H
#define SP_AUTOGRAD_PATCHES_H

#include "autograd/store.h"

SP_BEGIN

/* Along one axis of x: tap i of position p lies at p step + i move + from; what lies outside of 0 .. size-1 is 0. */
typedef struct sp_window {
    long size, positions, taps;
    long step, move, from;              /* step >= 1, move != 0 */
} sp_window;

/* Positions from *first to the one before *end meet numbers of x with this tap; returns the number that *first meets. */
long sp_window_meet(const sp_window *w, long tap, long *first, long *end);

/* X [channels*h.taps*w.taps, images*h.positions*w.positions]. Its row (c,i,j) has in column (b,p,q) the number
   x[b, c, tap i of position p, tap j of position q]. */
typedef struct sp_patches {
    const sp_real *x;                   /* [images,channels,h.size,w.size] */
    long images, channels;
    long image, channel, line;          /* strides of x; 1 along its last axis */
    sp_window h, w;
} sp_patches;

/* A [rows, channels*h.taps*w.taps]: element (o,(c,i,j)) is data[o row + c channel + i line + j column]. */
typedef struct sp_weights {
    sp_real *data;
    long rows, row, channel, line, column;
    const sp_param *param;              /* the parameter that they are as a whole, row by row, or NULL: it is then packed once
                                           for all products until its store changes */
} sp_weights;

/* Y [rows, images*h.positions*w.positions]: element (o,(b,p,q)) is data[b image + o channel + p line + q column]. */
typedef struct sp_maps {
    sp_real *data;
    long image, channel, line, column;
} sp_maps;

/* Y = A X + bias, bias[o * step] for each row o; NULL: without. Or Y += A X. */
void sp_patches_multiply(const sp_weights *a, const sp_patches *x, const sp_real *bias, long step, const sp_maps *y);
void sp_patches_add(const sp_weights *a, const sp_patches *x, const sp_maps *y);

/* A += Y X'. Here y.column is 1 and y.line w.positions; a.channel, a.line and a.column are those of a row without gaps, times
   a.column. */
void sp_patches_gradient(const sp_maps *y, const sp_patches *x, const sp_weights *a);

SP_END
#endif
