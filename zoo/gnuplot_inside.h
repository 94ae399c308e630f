/* Pictures by gnuplot, if it is there when it is wanted. */
#ifndef SP_ZOO_GNUPLOT_INSIDE_H
#define SP_ZOO_GNUPLOT_INSIDE_H

#include <stdio.h>

#include "zoo/plot.h"

/* A temporary file for gnuplot's commands. NULL if it cannot be made. */
FILE *sp_gnuplot_begin(sp_status *status);

/* Runs the commands and closes their file. What gnuplot writes to its standard output replaces the file at path, whole or not
   at all; without gnuplot, or if it fails, *drawn is false and why is in note. False if a file cannot be written. */
bool sp_gnuplot_end(FILE *script, const char *path, bool *drawn, char note[SP_PLOT_NOTE], sp_status *status);

#endif
