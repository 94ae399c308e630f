/* exp, sigmoid, tanh and log over arrays against libm in long double, over the whole range of numbers. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/random.h"
#include "autograd/vmath.h"
#include "tests/suite.h"

static long double sigmoidl(long double x)
{
    long double e = expl(-fabsl(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static const struct {
    const char *name;
    void (*many)(long n, const sp_real *x, sp_real *y);
    long double (*one)(long double x);
} functions[] = {
    { "exp", sp_vexp, expl },
    { "sigmoid", sp_vsigmoid, sigmoidl },
    { "tanh", sp_vtanh, tanhl },
    { "log", sp_vlog, logl },
};

enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* The distance in units of the last place, which among denormals is the smallest number. */
static double ulps(sp_real got, long double want)
{
    const int digits = WIDE(DBL_MANT_DIG, FLT_MANT_DIG), least = WIDE(DBL_MIN_EXP, FLT_MIN_EXP) - digits;
    int exponent;
    sp_real rounded = (sp_real)want;
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (isinf(rounded) || isinf(got))
        return rounded == got ? 0 : INFINITY;
    if (want == 0)
        return got == 0 && !signbit(got) == !signbit(want) ? 0 : INFINITY;
    frexpl(want, &exponent);
    exponent -= digits;
    return (double)ldexpl(fabsl((long double)got - want), -(exponent > least ? exponent : least));
}

static void check(int k, long n, const sp_real *x)
{
    sp_real *y = malloc((size_t)n * sizeof *y);
    functions[k].many(n, x, y);
    for (long i = 0; i < n; i++) {
        double off = ulps(y[i], functions[k].one(x[i]));
        ck_each(off <= 4, "%s(%a) = %a, not %La: %g ulp", functions[k].name, (double)x[i], (double)y[i],
                functions[k].one(x[i]), off);
    }
    free(y);
}

static sp_real from_bits(uint64_t bits)
{
    sp_real x;
#ifdef SP_FLOAT64
    memcpy(&x, &bits, sizeof x);
#else
    uint32_t half = (uint32_t)(bits >> 32);
    memcpy(&x, &half, sizeof x);
#endif
    return x;
}

/* Evenly through all bit patterns: every exponent and sign, 2^20 numbers. */
START_TEST(whole_range)
{
    enum { N = 1 << 20 };
    sp_real *x = malloc(N * sizeof *x);
    for (uint64_t i = 0; i < N; i++)
        x[i] = from_bits(i << 44 | (i * 0x9E3779B97F4A7C15u) >> 20);
    check(_i, N, x);
    free(x);
}
END_TEST

/* Where results change; exp passes its denormals and its end in 3 and 4 (float32), 5 and 6 (float64). */
START_TEST(middle_range)
{
    enum { N = 100000 };
    const double ranges[][2] = { { -1, 1 }, { -50, 50 }, { -110, -80 }, { 80, 100 }, { -750, -700 }, { 700, 712 } };
    sp_real *x = malloc(N * sizeof *x);
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        for (int i = 0; i < N; i++)
            x[i] = (sp_real)(ranges[r][0] + (ranges[r][1] - ranges[r][0]) * i / N);
        check(_i, N, x);
    }
    free(x);
}
END_TEST

static const sp_real odd[] = { 0, -0.0, INFINITY, -INFINITY, NAN, 1e4, -1e4, 1, -1, 1e-30, -1e-30, 88.7f, -103.9f,
                               WIDE(DBL_MAX, FLT_MAX), -WIDE(DBL_MAX, FLT_MAX),
                               WIDE(DBL_MIN, FLT_MIN), -WIDE(DBL_MIN, FLT_MIN),
                               WIDE(0x1p-1074, 0x1p-149f), -WIDE(0x1p-1074, 0x1p-149f) };

START_TEST(odd_values)
{
    check(_i, sizeof odd / sizeof *odd, odd);
}
END_TEST

/* Vectorised loops have a body and a rest: both must give the same bits, in place too. */
START_TEST(position_does_not_matter)
{
    enum { N = 80 };
    sp_real x[N], one[N], y[N];
    sp_random_uniform((sp_key){ .place = 1 }, N, x, -20, 20);
    for (int i = 0; i < N; i += 4)
        x[i] = odd[i % (sizeof odd / sizeof *odd)];
    for (int i = 0; i < N; i++) {
        if (isnan(x[i]))
            x[i] = 100;
        functions[_i].many(1, &x[i], &one[i]);
    }
    for (long n = 1; n <= 40; n++)
        for (long from = 0; from + n <= N; from++) {
            memset(y, 0, sizeof y);
            functions[_i].many(n, x + from, y);
            ck_same(y, one + from, n);
            ck_assert(y[n] == 0);
            memcpy(y, x, sizeof y);
            functions[_i].many(n, y + from, y + from);
            ck_same(y + from, one + from, n);
        }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("vmath");
    TCase *c = tcase_create("vmath");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, whole_range, 0, FUNCTIONS);
    tcase_add_loop_test(c, middle_range, 0, FUNCTIONS);
    tcase_add_loop_test(c, odd_values, 0, FUNCTIONS);
    tcase_add_loop_test(c, position_does_not_matter, 0, FUNCTIONS);
    suite_add_tcase(s, c);
    return s;
}
