/* Files that are replaced whole or not at all: what is written goes beside the old file, and takes its name only when
   every byte is on the disk. A full disk leaves the old file as it was. What is no file (a pipe, a device) is written to
   directly. What a program that was killed while it wrote has left beside a file is removed when the file is written next. */
#ifndef SP_AUTOGRAD_FILE_H
#define SP_AUTOGRAD_FILE_H

#include <stdio.h>

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_file {
    FILE *out;                  /* write here */
    char *path, *beside;        /* what is replaced; where it is written, "" if directly */
} sp_file;

/* Begins to replace path. False if the file beside it cannot be made. */
bool sp_file_begin(sp_file *f, const char *path, sp_status *status);

/* Ends it: with keep, the new file takes the place of the old; without, or if anything failed to be written, it is
   removed. False if the new file did not take its place though it should have. Call it once after every begin that was true. */
bool sp_file_end(sp_file *f, bool keep, sp_status *status);

/* Can it be written when the time comes? Better known before long work. */
bool sp_file_writable(const char *path, sp_status *status);

/* All bytes of a file, with a 0 behind them; to be freed. NULL if it cannot be read. */
char *sp_file_read(const char *path, size_t *size, sp_status *status);

SP_END
#endif
