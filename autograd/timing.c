#include "autograd/timing.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "autograd/blas.h"

double sp_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double sp_median(int n, double *x)
{
    qsort(x, (size_t)n, sizeof *x, by_size);
    return x[n / 2];
}

double sp_median_seconds(void (*work)(void *context), void *context)
{
    enum { LEAST = 5, MOST = 2000 };
    double time[MOST];
    int n = 0;
    work(context);
    work(context);
    for (double began = sp_seconds(); n < MOST && (n < LEAST || sp_seconds() - began < 0.5); n++) {
        double start = sp_seconds();
        work(context);
        time[n] = sp_seconds() - start;
    }
    return sp_median(n, time);
}

/* ---- products -------------------------------------------------------------------------------------------------- */

struct product {
    sp_view a, b, c;            /* [n,n] each */
    const sp_param *weight;     /* whose transpose b is, or NULL */
};

static void multiply(void *context)
{
    struct product *p = context;
    sp_gemm_packed(1, &p->a, &p->b, p->weight, 0, &p->c);
}

/* In seconds; 0 without memory. */
static double product_seconds(long n, bool packed)
{
    sp_store *s = sp_blas_ready() ? sp_store_new(1) : NULL;
    sp_param *w = sp_store_add(s, SP_SHAPE(n, n), "weight");
    sp_real *x = calloc((size_t)(n * n), sizeof *x), *y = calloc((size_t)(n * n), sizeof *y);
    double seconds = 0;
    if (w && x && y) {
        for (long i = 0; i < n * n; i++)
            x[i] = (sp_real)0.01;
        sp_view weight = sp_view_of(sp_param_values(w), SP_SHAPE(n, n));
        struct product p = { sp_view_of(x, SP_SHAPE(n, n)), sp_transposed(&weight), sp_view_of(y, SP_SHAPE(n, n)),
                             packed ? w : NULL };
        seconds = sp_median_seconds(multiply, &p);
    }
    free(x);
    free(y);
    sp_store_free(s);
    return seconds;
}

double sp_peak_rate(void)
{
    enum { N = 1024 };
    double plain = product_seconds(N, false), packed = product_seconds(N, true);
    return plain > 0 && packed > 0 ? 2e-9 * N * N * N / fmin(plain, packed) : 0;
}
