/* SP_CLONES before a function: it is compiled for several instruction sets, and the loader picks the one that the CPU has.
   No clone contracts a*b+c into one rounding (-ffp-contract=off), so all give the same bits. For .c files that include
   "config.h" first. SP_BASELINE leaves the clones out: the tests run what a CPU without AVX would. */
#ifndef SP_AUTOGRAD_CLONES_INSIDE_H
#define SP_AUTOGRAD_CLONES_INSIDE_H

#if defined(HAVE_TARGET_CLONES) && !defined(SP_BASELINE)
#define SP_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SP_CLONES
#endif

#endif
