/* A progress bar for long work, on a terminal; nothing elsewhere.

       epoch 3/10 [=========>          ]  47 %  loss 1.720   51,200 symbols/s   0:09 left
*/
#ifndef SP_ZOO_PROGRESS_H
#define SP_ZOO_PROGRESS_H

#include <stdio.h>

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_progress {
    FILE *out;                  /* NULL: silent */
    const char *unit;
    bool terminal;
    double began, drawn;        /* when the work began, and when the bar was last drawn */
} sp_progress;

/* `unit` is what is counted per second: "symbol". */
void sp_progress_begin(sp_progress *p, FILE *out, const char *unit);

/* Draws the bar for a part (0 to 1) of the work done, at most ten times a second; units of it done so far; no loss if it is NaN. */
void sp_progress_show(sp_progress *p, const char *title, double part, double loss, long units);

/* Takes the bar away. */
void sp_progress_end(sp_progress *p);

/* Writes n with commas between thousands into text, and returns it. */
char *sp_thousands(char text[32], long n);

SP_END
#endif
