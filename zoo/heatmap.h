/* Matrices of numbers from 0 to 1 as pictures: what an attention looked at.

       const sp_heatmap map = { .value = h->weights, .rows = h->length, .columns = h->places, .row = target, .column = source };
       sp_heatmap_draw(&map, 1, "attention.svg", &drawn, note, &status); */
#ifndef SP_ZOO_HEATMAP_H
#define SP_ZOO_HEATMAP_H

#include "zoo/plot.h"

SP_BEGIN

enum { SP_MOST_HEAT = 256 };

typedef struct sp_heatmap {
    const sp_real *value;       /* [rows,columns] 0: white, 1 and more: dark blue; NaN is grey */
    long rows, columns;         /* 1 to SP_MOST_HEAT */
    const char *const *row;     /* [rows] labels left of the rows, the first on top; NULL: their numbers from 1 */
    const char *const *column;  /* [columns] labels above the columns; NULL: the same */
    const char *title;          /* or NULL */
} sp_heatmap;

/* Draws n maps, 1 to 100, each below the one before, into an SVG file, whose size grows with them. Labels are UTF-8: bytes that
   are not become U+FFFD, a space alone U+2423, control characters spaces, and what is over 32 characters (a title: 120) is cut. As sp_plot_log
   for all else: it replaces the file whole or not at all; without gnuplot *drawn is false and why is in note. */
bool sp_heatmap_draw(const sp_heatmap *map, long n, const char *path, bool *drawn, char note[SP_PLOT_NOTE], sp_status *status);

SP_END
#endif
