/* Elementary functions over arrays. In float32 they are polynomials that the compiler vectorises for the CPU it meets at
   run time, at most 4 ulp off, over the whole range (infinities, NaN and denormals included); in float64 they are libm's.
   The same input gives the same bits at any position of an array and on any CPU. y may be x. */
#ifndef SP_AUTOGRAD_VMATH_H
#define SP_AUTOGRAD_VMATH_H

#include "autograd/base.h"

SP_BEGIN

void sp_vexp(long n, const sp_real *x, sp_real *y);         /* e^x */
void sp_vsigmoid(long n, const sp_real *x, sp_real *y);     /* 1 / (1 + e^-x) */
void sp_vtanh(long n, const sp_real *x, sp_real *y);
void sp_vlog(long n, const sp_real *x, sp_real *y);         /* natural; NaN below 0, -infinity at 0 */

SP_END
#endif
