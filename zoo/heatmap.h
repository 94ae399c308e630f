/* Matrices of numbers from 0 to 1 as pictures: what an attention looked at.

       const sp_heatmap map = { .value = h->weights, .rows = h->length, .columns = h->places, .row = target, .column = source };
       sp_heatmap_draw(&map, 1, "attention.svg", &drawn, note, &status); */
#ifndef SP_ZOO_HEATMAP_H
#define SP_ZOO_HEATMAP_H

#include "zoo/plot.h"

SP_BEGIN

enum { SP_MOST_HEAT = 256, SP_MOST_MAPS = 100 };

typedef struct sp_heatmap {
    const sp_real *value;       /* [rows,columns] white at 0, dark blue from 1 on; NaN: left empty */
    long rows, columns;         /* 1 to SP_MOST_HEAT */
    const char *const *row;     /* [rows] labels left of the rows, the first on top; NULL: their numbers from 1 */
    const char *const *column;  /* [columns] labels above the columns; NULL: the same */
    const char *title;          /* or NULL */
} sp_heatmap;

/* Draws n maps, 1 to SP_MOST_MAPS, each below the one before, into an SVG file, whose size grows with them. Labels are UTF-8: bytes that
   are not become U+FFFD, control characters spaces, and a space alone U+2423; what is over 32 characters (120 in a title) is
   cut. As sp_plot_log for all else: the file is replaced whole or not at all; without gnuplot, or if it fails, *drawn is false
   and why is in note. */
bool sp_heatmap_draw(const sp_heatmap *map, long n, const char *path, bool *drawn, char note[SP_PLOT_NOTE], sp_status *status);

SP_END
#endif
