#include "autograd/blas.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/blas_inside.h"

#include "config.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include SP_BLIS_HEADER

#ifdef SP_FLOAT64
#define GEMM bli_dgemm_ex
#else
#define GEMM bli_sgemm_ex
#endif

/* ---- the choice of kernels ------------------------------------------------------------------------------------- */

#if defined(__x86_64__) && defined(__GNUC__) && defined(BLIS_CONFIG_SKX) && defined(BLIS_CONFIG_HASWELL)

/* BLIS tells Intel CPUs by their features but AMD ones by family, and takes a family it does not know for generic.
   It knows 17h (Zen, Zen 2) and of 19h those without AVX-512 (Zen 3). */
static bool blis_knows_cpu(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return true;
    if (b == signature_INTEL_ebx)
        return true;
    if (b != signature_AMD_ebx || !__get_cpuid(1, &a, &b, &c, &d))
        return false;
    unsigned family = ((a >> 8) & 15) + ((a >> 20) & 255);
    return family == 0x17 || (family == 0x19 && !__builtin_cpu_supports("avx512f"));
}

static int better_arch(void)
{
    if (blis_knows_cpu())
        return -1;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl"))
        return BLIS_ARCH_SKX;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? BLIS_ARCH_HASWELL : -1;
}

#else
static int better_arch(void) { return -1; }
#endif

/* ---- its micro-kernel ------------------------------------------------------------------------------------------ */

typedef void run_kernel(dim_t m, dim_t n, dim_t k, const void *alpha, const void *a, const void *b, const void *beta, void *c,
                        inc_t rs, inc_t cs, auxinfo_t *aux, const cntx_t *context);

static struct sp_kernel kernel;
static run_kernel *kernel_function;
static const cntx_t *kernel_context;
static bool row_major;                  /* the kernel likes C row-major */

static void find_kernel(void)
{
#ifdef SP_BLIS_UKR
    const num_t type = sizeof(sp_real) == sizeof(double) ? BLIS_DOUBLE : BLIS_FLOAT;
    cntx_t *c = (cntx_t *)(uintptr_t)bli_gks_query_cntx();
    kernel_context = c;
    row_major = SP_BLIS_ROWS(type, c);
    const bszid_t rows = row_major ? BLIS_MR : BLIS_NR, columns = row_major ? BLIS_NR : BLIS_MR;
    kernel.rows = bli_cntx_get_blksz_def_dt(type, rows, c);
    kernel.columns = bli_cntx_get_blksz_def_dt(type, columns, c);
    kernel.row_panel = bli_cntx_get_blksz_max_dt(type, rows, c);
    kernel.column_panel = bli_cntx_get_blksz_max_dt(type, columns, c);
    kernel.depth = bli_cntx_get_blksz_def_dt(type, BLIS_KC, c);
    kernel.few = sp_rows_for(kernel.column_panel);
    void *address = SP_BLIS_UKR(type, c);
    memcpy(&kernel_function, &address, sizeof kernel_function);         /* ISO C has no conversion to a function */
    kernel.there = kernel_function;
#endif
}

/* ---- initialising ---------------------------------------------------------------------------------------------- */

/* BLIS reads the variable once, when it initialises, and offers no other way in. */
static void init(void)
{
    int arch = getenv("BLIS_ARCH_TYPE") ? -1 : better_arch();
    if (arch >= 0) {
        char text[12];
        snprintf(text, sizeof text, "%d", arch);
        setenv("BLIS_ARCH_TYPE", text, 0);
    }
    bli_init();
    if (arch >= 0)
        unsetenv("BLIS_ARCH_TYPE");
    find_kernel();
}

static void init_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
}

const struct sp_kernel *sp_kernel(void)
{
    init_once();
    return &kernel;
}

/* The kernel likes the tile of C contiguous one way; where it is not ours, it computes the transpose, and the panels trade
   places. */
void sp_kernel_run(long rows, long columns, long depth, sp_real alpha, const sp_real *left, const sp_real *right, sp_real beta,
                   sp_real *c, long line)
{
    auxinfo_t aux;
    memset(&aux, 0, sizeof aux);
    if (row_major)
        kernel_function(rows, columns, depth, &alpha, left, right, &beta, c, line, 1, &aux, kernel_context);
    else
        kernel_function(columns, rows, depth, &alpha, right, left, &beta, c, 1, line, &aux, kernel_context);
}

/* What a product takes from the system: a packed block of A and a packed panel of B, for the largest of BLIS's types. */
static size_t working_bytes(void)
{
    static const struct { num_t type; size_t bytes; } types[] = {
        { BLIS_FLOAT, 4 }, { BLIS_DOUBLE, 8 }, { BLIS_SCOMPLEX, 8 }, { BLIS_DCOMPLEX, 16 }
    };
    cntx_t *c = (cntx_t *)(uintptr_t)bli_gks_query_cntx();
    size_t a = 0, b = 0;
    for (int i = 0; i < 4; i++) {
        size_t depth = (size_t)bli_cntx_get_blksz_max_dt(types[i].type, BLIS_KC, c) * types[i].bytes;
        size_t rows = (size_t)bli_cntx_get_blksz_max_dt(types[i].type, BLIS_MC, c) * depth;
        size_t columns = (size_t)bli_cntx_get_blksz_max_dt(types[i].type, BLIS_NC, c) * depth;
        a = rows > a ? rows : a;
        b = columns > b ? columns : b;
    }
    return a + b + ((size_t)1 << 20);
}

/* One product that is large enough for BLIS's packing, if there is memory for it. */
static bool warm_up(void)
{
    enum { N = 512 };
    init_once();
    sp_real *m = calloc(3 * N * N, sizeof *m);
    void *room = malloc(working_bytes());
    bool ok = m && room;
    free(room);
    if (ok) {
        sp_view a = sp_view_of(m, SP_SHAPE(N, N)), b = sp_view_of(m + N * N, SP_SHAPE(N, N));
        sp_view c = sp_view_of(m + 2 * N * N, SP_SHAPE(N, N));
        sp_gemm(1, &a, &b, 0, &c);
    }
    free(m);
    return ok;
}

bool sp_blas_ready(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool ready;
    pthread_mutex_lock(&lock);
    if (!ready)
        ready = warm_up();
    bool ok = ready;
    pthread_mutex_unlock(&lock);
    return ok;
}

const char *sp_blas_kernels(void)
{
    init_once();
    return bli_arch_string(bli_arch_query_id());
}

/* ---- products -------------------------------------------------------------------------------------------------- */

sp_view sp_transposed(const sp_view *v)
{
    sp_view t = *v;
    t.shape.dim[0] = v->shape.dim[1];
    t.shape.dim[1] = v->shape.dim[0];
    t.stride[0] = v->stride[1];
    t.stride[1] = v->stride[0];
    return t;
}

/* The stride of an axis of size 1 is never used, but BLIS checks it and aborts on one that would overlap. */
static void plain_strides(const sp_view *v, inc_t *rows, inc_t *columns)
{
    long m = v->shape.dim[0], n = v->shape.dim[1];
    *rows = v->stride[0];
    *columns = v->stride[1];
    if (m == 1)
        *rows = *columns * n;
    if (n == 1)
        *columns = *rows * m;
    if (m == 1 && n == 1)
        *rows = *columns = 1;
}

void sp_gemm(sp_real alpha, const sp_view *a, const sp_view *b, sp_real beta, const sp_view *c)
{
    long m = c->shape.dim[0], n = c->shape.dim[1], k = a->shape.dim[1];
    inc_t rsa, csa, rsb, csb, rsc, csc;
    rntm_t one_thread = BLIS_RNTM_INITIALIZER;
    if (!m || !n)
        return;
    if (!k) {                                   /* an empty sum */
        for (long i = 0; i < m; i++)
            for (long j = 0; j < n; j++) {
                sp_real *p = c->data + i * c->stride[0] + j * c->stride[1];
                *p = beta == 0 ? 0 : beta * *p;
            }
        return;
    }
    init_once();
    bli_rntm_set_num_threads(1, &one_thread);
    plain_strides(a, &rsa, &csa);
    plain_strides(b, &rsb, &csb);
    plain_strides(c, &rsc, &csc);
    GEMM(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, a->data, rsa, csa, b->data, rsb, csb, &beta,
         c->data, rsc, csc, NULL, &one_thread);
}
