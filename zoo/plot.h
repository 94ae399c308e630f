/* Learning curves as a picture. */
#ifndef SP_ZOO_PLOT_H
#define SP_ZOO_PLOT_H

#include "autograd/base.h"

SP_BEGIN

/* Draws the lines of a trainer's log (JSON objects with "epoch", "train_loss", "valid_loss", "lr" and, if there is one, the
   metric of that name) into an SVG file, which is replaced whole or not at all. gnuplot does it: without it, or if it fails,
   *drawn is false and why is in note, and nothing is written. False if the file cannot be written, or without memory. */
enum { SP_PLOT_NOTE = 128 };
bool sp_plot_log(const char *lines, const char *metric, const char *path, bool *drawn, char note[SP_PLOT_NOTE],
                 sp_status *status);

SP_END
#endif
