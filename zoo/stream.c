#include "zoo/stream.h"

#include "ops/ops.h"

/* Where stream b begins. There are n - 1 pairs of a symbol and the next. */
static long begin_of(const sp_stream *s, long b)
{
    return (s->n - 1) * b / s->streams;
}

sp_stream sp_stream_of(const int *id, long n, long batch, long most)
{
    sp_stream s = { .id = id, .n = n > 1 ? n : 1, .streams = batch > 1 ? batch : 1 };
    s.batch = s.streams;
    most = most > 1 ? most : 1;
    for (long b = 0; b < s.batch; b++) {
        long steps = begin_of(&s, b + 1) - begin_of(&s, b);
        s.steps = steps > s.steps ? steps : s.steps;
    }
    s.windows = (s.steps + most - 1) / most;
    return s;
}

sp_stream sp_stream_part(const sp_stream *s, int part, int parts)
{
    sp_stream p = *s;
    parts = parts > 1 ? parts : 1;
    p.first = s->first + s->batch * part / parts;
    p.batch = s->first + s->batch * (part + 1) / parts - p.first;
    return p;
}

/* steps = windows * q + r: the first r windows have q + 1 steps, the others q. */
long sp_stream_length(const sp_stream *s, long window)
{
    return s->windows ? s->steps / s->windows + (window < s->steps % s->windows) : 0;
}

static long window_begin(const sp_stream *s, long window)
{
    long q = s->steps / s->windows, r = s->steps % s->windows;
    return window * q + (window < r ? window : r);
}

long sp_stream_read(const sp_stream *s, long window, int *x, int *y)
{
    long from = window_begin(s, window), steps = sp_stream_length(s, window), count = 0;
    for (long b = 0; b < s->batch; b++) {
        long begin = begin_of(s, s->first + b) + from, end = begin_of(s, s->first + b + 1);
        for (long t = 0; t < steps; t++) {
            bool there = begin + t < end;
            x[t * s->batch + b] = there ? s->id[begin + t] : 0;
            y[t * s->batch + b] = there ? s->id[begin + t + 1] : SP_IGNORE;
            count += there;
        }
    }
    return count;
}
