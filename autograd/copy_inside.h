/* Copies of some numbers of a line. */
#ifndef SP_AUTOGRAD_COPY_INSIDE_H
#define SP_AUTOGRAD_COPY_INSIDE_H

#include <string.h>

#include "autograd/base.h"

/* N numbers in registers, wherever they lie. A call of memcpy for as many as a line has costs more than they do, and so do
   the narrow moves that compilers make of a memcpy of known size. */
#ifdef __GNUC__
#define SP_COPY(N, to, from)                                                                                           \
    do {                                                                                                               \
        typedef sp_real lanes_ __attribute__((vector_size(N * sizeof(sp_real)), aligned(sizeof(sp_real)), may_alias)); \
        *(lanes_ *)(to) = *(const lanes_ *)(from);                                                                     \
    } while (0)
#else
#define SP_COPY(N, to, from) memcpy(to, from, N * sizeof(sp_real))
#endif

/* n numbers, N <= n <= 2 N, as two pieces that may overlap. */
#define SP_COPY_HALVES(N, n, to, from)                                                                                 \
    do {                                                                                                               \
        SP_COPY(N, to, from);                                                                                          \
        SP_COPY(N, (to) + (n) - (N), (from) + (n) - (N));                                                              \
    } while (0)

#define SP_COPY_LINE(n, to, from)                                                                                      \
    do {                                                                                                               \
        long i_ = 0;                                                                                                   \
        for (; i_ + 32 < (n); i_ += 16)                                                                                \
            SP_COPY(16, (to) + i_, (from) + i_);                                                                       \
        if ((n) - i_ >= 16)                                                                                            \
            SP_COPY_HALVES(16, (n) - i_, (to) + i_, (from) + i_);                                                      \
        else if ((n) - i_ >= 8)                                                                                        \
            SP_COPY_HALVES(8, (n) - i_, (to) + i_, (from) + i_);                                                       \
        else if ((n) - i_ >= 4)                                                                                        \
            SP_COPY_HALVES(4, (n) - i_, (to) + i_, (from) + i_);                                                       \
        else                                                                                                           \
            for (; i_ < (n); i_++)                                                                                     \
                (to)[i_] = (from)[i_];                                                                                 \
    } while (0)

#endif
