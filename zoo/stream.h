/* A long text as parallel streams: cut into `batch` pieces that are read side by side, a window of time steps at once, each
   continuing where the last one ended. So a recurrent state can be carried from window to window (truncated
   backpropagation through time), and every symbol but the first is predicted exactly once. */
#ifndef SP_ZOO_STREAM_H
#define SP_ZOO_STREAM_H

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_stream {
    const int *id;              /* [n], borrowed */
    long n, streams;            /* ids, and the pieces they are cut into */
    long first, batch;          /* the streams that are read: first .. first+batch-1 */
    long steps;                 /* time steps in all */
    long windows;
} sp_stream;

/* n ids as `batch` streams, in windows of nearly equal length, at most `most` time steps each. Sizes below 1 count as 1;
   fewer than 2 ids make no window. */
sp_stream sp_stream_of(const int *id, long n, long batch, long most);

/* The part-th of so many parts (from 0) of a batch, as a stream of its own with the same windows; it has no stream where
   there are more parts than streams. */
sp_stream sp_stream_part(const sp_stream *s, int part, int parts);

/* The length T of a window; windows are numbered from 0, and none is longer than the first. */
long sp_stream_length(const sp_stream *s, long window);

/* Inputs x and targets y of a window, both time-major [T,batch]. Returns how many targets count: streams may differ by
   one in length, and where one has ended x is 0 and y is SP_IGNORE. */
long sp_stream_read(const sp_stream *s, long window, int *x, int *y);

SP_END
#endif
