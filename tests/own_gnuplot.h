/* A gnuplot of our own in an otherwise empty PATH, and the picture it leaves. */
#ifndef SP_TESTS_OWN_GNUPLOT_H
#define SP_TESTS_OWN_GNUPLOT_H

#include "tests/suite.h"

/* Around each test: `directory` is all of the PATH; `picture` is a path in it with signs that must be quoted; in the end nothing
   else may be left there. */
extern char directory[PATH_ROOM], picture[PATH_ROOM + 16];
void begin_own_gnuplot(void);
void end_own_gnuplot(void);

/* A program named gnuplot that is this script of sh, none, or the user's own, if there is one. */
void install_gnuplot(const char *script);
void remove_gnuplot(void);
void use_real_gnuplot(void);

/* Reads the picture into text, at most 1 MB of it, "" if there is none; and returns that. */
extern char text[1 << 20];
const char *read_picture(void);

#endif
