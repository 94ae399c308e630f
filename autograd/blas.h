/* Matrix products, through BLIS, always on the calling thread. */
#ifndef SP_AUTOGRAD_BLAS_H
#define SP_AUTOGRAD_BLAS_H

#include "autograd/store.h"

SP_BEGIN

/* C = alpha A B + beta C for views of rank 2: A [m,k], B [k,n], C [m,n], any strides; beta = 0 ignores what C held.
   The shapes must fit: callers check (operations do in infer). C must not overlap A or B. */
void sp_gemm(sp_real alpha, const sp_view *a, const sp_view *b, sp_real beta, const sp_view *c);

/* The same, for a B that is a parameter as a whole, or its transpose, or (p is NULL) neither. The parameter is packed once
   for all products until its store changes, in BLIS's own panel format, and BLIS's micro-kernel runs over the panels;
   where that cannot be had this is sp_gemm. */
void sp_gemm_packed(sp_real alpha, const sp_view *a, const sp_view *b, const sp_param *p, sp_real beta, const sp_view *c);

/* C = A B + bias, [n], added to each row; else as sp_gemm_packed. */
void sp_gemm_bias(const sp_view *a, const sp_view *b, const sp_param *p, const sp_real *bias, const sp_view *c);

/* What a parameter keeps for that (autograd/packed.c), zeroed at first; for autograd/store.c. */
struct sp_packing;
size_t sp_packing_size(void);
void sp_packing_release(struct sp_packing *packing);

/* False if BLIS cannot get the memory it works in. It ends the process where it gets none in a product, so a tape is made
   only after this was true; one product was then computed, and BLIS keeps what it took. What remains: the first product on
   several threads at once takes as much again for each. */
bool sp_blas_ready(void);

/* The transpose of a rank-2 view. */
sp_view sp_transposed(const sp_view *v);

/* Which BLIS kernels run here: "skx", "haswell", "generic", ... BLIS older than the CPU falls back to its generic kernels,
   six times slower; if the CPU has AVX-512 or AVX2 and BLIS would not know it, the library chooses for it, unless
   BLIS_ARCH_TYPE is set in the environment. */
const char *sp_blas_kernels(void);

SP_END
#endif
