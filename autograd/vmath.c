#include "autograd/vmath.h"

#include <float.h>
#include <math.h>

#include "config.h"

#include "autograd/clones_inside.h"

#ifdef SP_FLOAT64

static inline double exp1(double x) { return exp(x); }
static inline double tanh1(double x) { return tanh(x); }
static inline double log1(double x) { return log(x); }

#else

typedef union { float f; uint32_t u; } bits;

/* x = n ln2 + r with |r| <= ln2 / 2. Returns e^r - 1 = r + r^2 q(r), q a polynomial of degree 5, relative error 2^-29.
   n comes from adding 1.5 * 2^23, which leaves the rounded integer in the low bits. */
static inline float reduced_expm1(float x, int32_t *n)
{
    const float magic = 12582912.0f;
    bits t = { .f = x * 1.44269504f + magic };
    float k = t.f - magic;
    float r = (x - k * 0x1.62p-1f) - k * 0x1.c85fdep-10f;       /* ln2 in two parts; k times the first is exact */
    float q = 1.9891247314e-4f;
    q = q * r + 1.3933880963e-3f;
    q = q * r + 8.3333106938e-3f;
    q = q * r + 4.1666462839e-2f;
    q = q * r + 1.6666666682e-1f;
    q = q * r + 5.0000000137e-1f;
    *n = (int32_t)(t.u - 0x4B400000u);
    return r + r * r * q;
}

static inline float two_to(int32_t n)
{
    bits b = { .u = ((uint32_t)n + 127u) << 23 };
    return b.f;
}

/* e^x = 2^n (1 + (e^r - 1)). 2^n in two factors, so that the result may be denormal or overflow. A NaN passes. */
static inline float exp1(float x)
{
    int32_t n;
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float e = 1.0f + reduced_expm1(x, &n);
    int32_t half = n / 2;
    return e * two_to(half) * two_to(n - half);
}

/* tanh|x| = m / (m + 2) with m = e^2|x| - 1 = 2^n (e^r - 1) + (2^n - 1), which keeps its digits near 0. */
static inline float tanh1(float x)
{
    int32_t n;
    float a = fabsf(x);
    a = a > 10.0f ? 10.0f : a;
    float p = reduced_expm1(2 * a, &n);
    float f = two_to(n);
    float m = f * p + (f - 1);
    return copysignf(m / (m + 2), x);
}

/* x = 2^n m with m between sqrt(1/2) and sqrt(2), f = m - 1: ln x = n ln2 + f - f^2/2 + f^3 p(f), p a polynomial of
   degree 9, relative error 2^-27. A denormal is lifted by 2^25 first. */
static inline float log1(float x)
{
    const float lifted = x < 0x1p-126f ? x * 0x1p25f : x;
    bits b = { .f = lifted };
    const uint32_t above = b.u - 0x3F3504F3u;                   /* from the bits of sqrt(1/2) on */
    const float n = (float)((int32_t)above >> 23) - (x < 0x1p-126f ? 25.0f : 0.0f);
    b.u = (above & 0x007FFFFFu) + 0x3F3504F3u;
    const float f = b.f - 1;
    float p = -6.20150012e-2f;
    p = p * f + 1.05308647e-1f;
    p = p * f - 1.06461916e-1f;
    p = p * f + 1.10377834e-1f;
    p = p * f - 1.24507433e-1f;
    p = p * f + 1.42865245e-1f;
    p = p * f - 1.66680015e-1f;
    p = p * f + 2.0000010e-1f;
    p = p * f - 2.49999903e-1f;
    p = p * f + 3.33333333e-1f;
    float y = f * f * f * p + n * -0x1.bd0106p-13f;             /* ln2 in two parts; n times the first is exact */
    y = (y - 0.5f * f * f) + f + n * 0x1.63p-1f;
    y = x <= FLT_MAX ? y : x;                                   /* infinity and NaN */
    return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}

#endif

SP_CLONES void sp_vexp(long n, const sp_real *x, sp_real *y)
{
    for (long i = 0; i < n; i++)
        y[i] = exp1(x[i]);
}

/* With e = e^-|x|, which does not overflow: 1 / (1 + e) for x >= 0, else e / (1 + e). */
SP_CLONES void sp_vsigmoid(long n, const sp_real *x, sp_real *y)
{
    for (long i = 0; i < n; i++) {
        sp_real e = exp1(x[i] < 0 ? x[i] : -x[i]);
        y[i] = (x[i] < 0 ? e : 1) / (1 + e);
    }
}

SP_CLONES void sp_vtanh(long n, const sp_real *x, sp_real *y)
{
    for (long i = 0; i < n; i++)
        y[i] = tanh1(x[i]);
}

SP_CLONES void sp_vlog(long n, const sp_real *x, sp_real *y)
{
    for (long i = 0; i < n; i++)
        y[i] = log1(x[i]);
}
