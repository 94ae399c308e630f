#include "autograd/rows_inside.h"

#if defined(__GNUC__) && defined(__x86_64__)

/* One rounding for a product and its sum, where the CPU can: these sums are compared with nothing bit by bit but themselves. */
#ifdef __clang__
#pragma STDC FP_CONTRACT ON
#else
#pragma GCC optimize("fp-contract=fast")
#endif

/* As many registers of BYTES as a panel is wide, for each of MOST rows: with rows and vectors constant, the compiler keeps
   all sums in registers. */
#define ROWS(NAME, TARGET, BYTES, VECTORS, MOST)                                                                       \
    typedef sp_real NAME##_lanes __attribute__((vector_size(BYTES)));                                                  \
                                                                                                                       \
    static inline __attribute__((always_inline, TARGET)) void NAME##_of(int rows, long depth, const sp_real *x,        \
                                                                        long line, long step, const sp_real *panel,    \
                                                                        sp_real *to)                                   \
    {                                                                                                                  \
        NAME##_lanes sum[MOST][VECTORS] = { 0 };                                                                       \
        const NAME##_lanes *b = (const NAME##_lanes *)panel;                                                           \
        for (long p = 0; p < depth; p++, b += VECTORS)                                                                 \
            for (int i = 0; i < rows; i++)                                                                             \
                for (int v = 0; v < VECTORS; v++)                                                                      \
                    sum[i][v] += x[i * line + p * step] * b[v];                                                        \
        for (int i = 0; i < rows; i++)                                                                                 \
            for (int v = 0; v < VECTORS; v++)                                                                          \
                ((NAME##_lanes *)to)[i * VECTORS + v] = sum[i][v];                                                     \
    }                                                                                                                  \
                                                                                                                       \
    __attribute__((TARGET)) static void NAME(long rows, long depth, const sp_real *x, long line, long step,            \
                                             const sp_real *panel, sp_real *sum)                                       \
    {                                                                                                                  \
        switch (rows) {                                                                                                \
            EACH_##MOST(NAME)                                                                                          \
        }                                                                                                              \
    }

#define CASE(NAME, ROWS) case ROWS: NAME##_of(ROWS, depth, x, line, step, panel, sum); break;
#define EACH_3(NAME) CASE(NAME, 1) CASE(NAME, 2) CASE(NAME, 3)
#define EACH_5(NAME) EACH_3(NAME) CASE(NAME, 4) CASE(NAME, 5)
#define EACH_11(NAME) EACH_5(NAME) CASE(NAME, 6) CASE(NAME, 7) CASE(NAME, 8) CASE(NAME, 9) CASE(NAME, 10) CASE(NAME, 11)

#ifndef SP_BASELINE             /* the tests run what a CPU without AVX would */
ROWS(rows_avx512, target("avx512f"), 64, 2, 11)
ROWS(rows_avx2, target("avx2,fma"), 32, 2, 5)
#endif
ROWS(rows_sse2, target("sse2"), 16, 4, 3)

struct sp_rows sp_rows_for(long width)
{
    const long bytes = width * (long)sizeof(sp_real);
#ifndef SP_BASELINE
    if (bytes == 128 && __builtin_cpu_supports("avx512f"))
        return (struct sp_rows){ rows_avx512, 11 };
    if (bytes == 64 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct sp_rows){ rows_avx2, 5 };
#endif
    return bytes == 64 ? (struct sp_rows){ rows_sse2, 3 } : (struct sp_rows){ 0 };
}

#else

struct sp_rows sp_rows_for(long width)
{
    (void)width;
    return (struct sp_rows){ 0 };
}

#endif
