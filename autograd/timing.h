/* How long work takes, and how fast a large matrix product is on this machine. */
#ifndef SP_AUTOGRAD_TIMING_H
#define SP_AUTOGRAD_TIMING_H

#include "autograd/base.h"

SP_BEGIN

/* Seconds since some fixed moment. */
double sp_seconds(void);

/* The middle one of n numbers, at least 1, which it sorts. */
double sp_median(int n, double *x);

/* The median time in seconds of work(context), of at least 5 repetitions and about half a second in all, behind two that
   do not count. */
double sp_median_seconds(void (*work)(void *context), void *context);

/* GFLOP/s of a product of 1024^3, packed or not, whichever is faster: what others are compared to, though products of a shape
   that suits the caches are some 15 % faster. Takes a second.
   0 without memory. */
double sp_peak_rate(void);

SP_END
#endif
