#include "autograd/blas.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/arena.h"
#include "autograd/rows_inside.h"
#include "autograd/store.h"

#include "config.h"

#include "autograd/clones_inside.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif
#ifdef __SSE__
#include <xmmintrin.h>
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

/* The kernel multiplies a panel of some rows of A by a panel of some columns of B, both stored depth by depth. It likes the
   tile of C contiguous one way; where it is not ours (C row-major), it computes the transpose, and the panels trade places. */
typedef void run_kernel(dim_t m, dim_t n, dim_t k, const void *alpha, const void *a, const void *b, const void *beta, void *c,
                        inc_t rs, inc_t cs, auxinfo_t *aux, const cntx_t *context);

static struct kernel {
    run_kernel *run;            /* NULL where it cannot be had */
    const cntx_t *context;
    bool row_major;             /* it likes C row-major */
    long rows, columns;         /* of a tile of C as we see it, row-major */
    long row_panel, column_panel;       /* their places in a panel */
    long depth;                 /* of a panel */
    struct sp_rows few;         /* for fewer rows than a tile has */
} kernel;

static void find_kernel(void)
{
#ifdef SP_BLIS_UKR
    const num_t type = sizeof(sp_real) == sizeof(double) ? BLIS_DOUBLE : BLIS_FLOAT;
    cntx_t *c = (cntx_t *)(uintptr_t)bli_gks_query_cntx();
    kernel.context = c;
    kernel.row_major = SP_BLIS_ROWS(type, c);
    const bszid_t rows = kernel.row_major ? BLIS_MR : BLIS_NR, columns = kernel.row_major ? BLIS_NR : BLIS_MR;
    kernel.rows = bli_cntx_get_blksz_def_dt(type, rows, c);
    kernel.columns = bli_cntx_get_blksz_def_dt(type, columns, c);
    kernel.row_panel = bli_cntx_get_blksz_max_dt(type, rows, c);
    kernel.column_panel = bli_cntx_get_blksz_max_dt(type, columns, c);
    kernel.depth = bli_cntx_get_blksz_def_dt(type, BLIS_KC, c);
    kernel.few = sp_rows_for(kernel.column_panel);
    void *address = SP_BLIS_UKR(type, c);
    memcpy(&kernel.run, &address, sizeof kernel.run);   /* ISO C has no conversion to a function */
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

/* ---- packed products ------------------------------------------------------------------------------------------- */

#if defined(__SSE__) && !defined(SP_FLOAT64)
/* Four vectors that each lie in one piece, as many at a time as are left: transposed in registers. Returns how many. */
static long pack_fours(sp_real *to, long room, long width, long depth, const sp_real *from, long step)
{
    long i = 0;
    for (; i + 4 <= width; i += 4) {
        const float *a = from + i * step, *b = a + step, *c = b + step, *d = c + step;
        long p = 0;
        for (; p + 4 <= depth; p += 4) {
            __m128 w = _mm_loadu_ps(a + p), x = _mm_loadu_ps(b + p), y = _mm_loadu_ps(c + p), z = _mm_loadu_ps(d + p);
            _MM_TRANSPOSE4_PS(w, x, y, z);
            _mm_storeu_ps(to + p * room + i, w);
            _mm_storeu_ps(to + (p + 1) * room + i, x);
            _mm_storeu_ps(to + (p + 2) * room + i, y);
            _mm_storeu_ps(to + (p + 3) * room + i, z);
        }
        for (; p < depth; p++) {
            to[p * room + i] = a[p];
            to[p * room + i + 1] = b[p];
            to[p * room + i + 2] = c[p];
            to[p * room + i + 3] = d[p];
        }
    }
    return i;
}
#else
static long pack_fours(sp_real *to, long room, long width, long depth, const sp_real *from, long step)
{
    (void)to, (void)room, (void)width, (void)depth, (void)from, (void)step;
    return 0;
}
#endif

/* A call of memcpy for each row of a panel costs as much as the row; of a size that the compiler knows it is a few moves. */
static inline void copy_row(sp_real *to, const sp_real *from, long n)
{
#define COPY(N) case N: memcpy(to, from, N * sizeof *to); break;
    switch (n) {
    COPY(4) COPY(6) COPY(8) COPY(12) COPY(14) COPY(16) COPY(24) COPY(32)
    default: memcpy(to, from, (size_t)n * sizeof *to);
    }
#undef COPY
}

/* Up to `width` vectors of `depth` numbers, side by side, depth by depth; the panel has room for `room`, the rest is 0.
   Element p of vector i lies at from[i * step + p * down]. */
SP_CLONES static void pack_panel(sp_real *restrict to, long room, long width, long depth, const sp_real *restrict from, long step,
                                 long down)
{
    long done = down == 1 ? pack_fours(to, room, width, depth, from, step) : 0;
    if (step == 1 && width == room) {
        for (long p = 0; p < depth; p++)
            copy_row(to + p * room, from + p * down, room);
        return;
    }
    for (long p = 0; p < depth; p++) {
        for (long i = done; i < width; i++)
            to[p * room + i] = from[i * step + p * down];
        for (long i = width; i < room; i++)
            to[p * room + i] = 0;
    }
}

/* Memory for packing, one piece per thread, freed with the thread. */
static pthread_key_t scratch_key;
static bool scratch_usable;

static void make_scratch_key(void)
{
    scratch_usable = !pthread_key_create(&scratch_key, free);
}

static void *scratch(size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_scratch_key);
    size_t *have = scratch_usable ? pthread_getspecific(scratch_key) : NULL;
    if (scratch_usable && (!have || *have < bytes)) {
        size_t *more = sp_aligned_calloc(SP_ALIGN + bytes);
        if (!more || pthread_setspecific(scratch_key, more)) {
            free(more);
            return NULL;
        }
        free(have);
        have = more;
        *have = bytes;
    }
    return have ? (char *)have + SP_ALIGN : NULL;
}

static long least(long a, long b)
{
    return a < b ? a : b;
}

static long panels_of(long n, long width)
{
    return (n + width - 1) / width;
}

/* The places of all column panels side by side, for n columns. */
static long panels_width(long n)
{
    return panels_of(n, kernel.columns) * kernel.column_panel;
}

/* A depth of k is cut into stretches of equal length, as near to the kernel's as can be. */
static long stretch_of(long k)
{
    const long n = (k + kernel.depth / 2) / kernel.depth;
    return panels_of(k, n > 1 ? n : 1);
}

/* C = alpha A B + beta C, or + bias, a row for all rows, if that is not NULL. */
struct product {
    sp_real alpha, beta;
    const sp_view *a, *b, *c;
    const sp_real *bias;        /* [n] */
    const sp_real *panels;      /* of B; NULL: not packed yet */
};

/* A part of it: the tile of C at (row, column), and some of the depth. */
struct tile {
    long row, column, rows, columns;
    long from, depth;
};

SP_CLONES static void fill_rows(long rows, long columns, const sp_real *restrict row, sp_real *restrict c, long line)
{
    for (long i = 0; i < rows; i++)
        copy_row(c + i * line, row, columns);
}

/* alpha left right + beta tile, both sides packed. */
static void run_tile(const struct product *g, const struct tile *t, const sp_real *left, const sp_real *right)
{
    const struct kernel *u = &kernel;
    const long line = g->c->stride[0];
    const sp_real beta = t->from || g->bias ? 1 : g->beta;
    sp_real *c = g->c->data + t->row * line + t->column;
    auxinfo_t aux;
    memset(&aux, 0, sizeof aux);
    if (g->bias && !t->from)
        fill_rows(t->rows, t->columns, g->bias + t->column, c, line);
    if (u->row_major)
        u->run(t->rows, t->columns, t->depth, &g->alpha, left, right, &beta, c, line, 1, &aux, u->context);
    else
        u->run(t->columns, t->rows, t->depth, &g->alpha, right, left, &beta, c, 1, line, &aux, u->context);
}

/* The same for few rows, which need not be packed: row i at x + i*line, its numbers `step` apart. */
SP_CLONES static void run_rows(const struct product *g, const struct tile *t, const sp_real *x, long line, long step,
                               const sp_real *right)
{
    _Alignas(SP_ALIGN) sp_real sum[SP_MOST_ROWS * SP_ROWS_BYTES / sizeof(sp_real)];
    const sp_real alpha = g->alpha, beta = t->from ? 1 : g->beta, *bias = g->bias ? g->bias + t->column : NULL;
    kernel.few.sum(t->rows, t->depth, x, line, step, right, sum);
    for (long i = 0; i < t->rows; i++) {
        const sp_real *restrict s = sum + i * kernel.column_panel;
        sp_real *restrict y = g->c->data + (t->row + i) * g->c->stride[0] + t->column;
        if (!t->from && bias)
            for (long j = 0; j < t->columns; j++)
                y[j] = alpha * s[j] + bias[j];
        else
            for (long j = 0; j < t->columns; j++)
                y[j] = alpha * s[j] + (beta == 0 ? 0 : beta * y[j]);
    }
}

static bool few(long rows)
{
    return rows <= kernel.few.most && rows < kernel.rows;
}

static void multiply_tile(const struct product *g, const struct tile *t, const sp_real *left, const sp_real *right)
{
    if (few(t->rows))
        run_rows(g, t, left, 1, kernel.row_panel, right);
    else
        run_tile(g, t, left, right);
}

/* Few rows of A, as they lie: limited by the memory that B is read from. */
static void multiply_few(const struct product *g)
{
    const struct kernel *u = &kernel;
    const sp_view *a = g->a;
    const long n = g->c->shape.dim[1], k = a->shape.dim[1], width = panels_width(n), stretch = stretch_of(k);
    struct tile t = { .rows = a->shape.dim[0] };
    for (t.from = 0; t.from < k; t.from += stretch) {
        t.depth = least(k - t.from, stretch);
        for (t.column = 0; t.column < n; t.column += u->columns) {
            t.columns = least(n - t.column, u->columns);
            run_rows(g, &t, a->data + t.from * a->stride[1], a->stride[0], a->stride[1],
                     g->panels + t.from * width + t.column / u->columns * u->column_panel * t.depth);
        }
    }
}

/* n vectors as panels, one after the other. */
static void pack_panels(sp_real *to, long width, long room, long n, long depth, const sp_real *from, long step, long down)
{
    for (long i = 0; i < n; i += width)
        pack_panel(to + i / width * room * depth, room, least(n - i, width), depth, from + i * step, step, down);
}

/* A stretch of B's depth as column panels. */
static void pack_columns(sp_real *to, const sp_view *b, long p, long depth)
{
    pack_panels(to, kernel.columns, kernel.column_panel, b->shape.dim[1], depth, b->data + p * b->stride[0], b->stride[1],
                b->stride[0]);
}

/* Some rows of A's stretch as row panels. */
static void pack_rows(sp_real *to, const sp_view *a, long row, long rows, long p, long depth)
{
    pack_panels(to, kernel.rows, kernel.row_panel, rows, depth, a->data + row * a->stride[0] + p * a->stride[1], a->stride[0],
                a->stride[1]);
}

/* All tiles of some rows, which are packed at left, by the column panels at right. */
static void multiply_rows(const struct product *g, struct tile t, long rows, const sp_real *left, const sp_real *right)
{
    const struct kernel *u = &kernel;
    const long n = g->c->shape.dim[1], first = t.row;
    for (t.column = 0; t.column < n; t.column += u->columns, right += u->column_panel * t.depth) {
        t.columns = least(n - t.column, u->columns);
        for (long r = 0; r < rows; r += u->rows) {
            t.row = first + r;
            t.rows = least(rows - r, u->rows);
            multiply_tile(g, &t, left + r / u->rows * u->row_panel * t.depth, right);
        }
    }
}

/* For each stretch of depth, all column panels of B, which are packed on the way if they are not. The rows of A are packed
   some at a time, few enough to stay in the second-level cache. False without memory: nothing was computed. */
static bool multiply_panels(const struct product *g)
{
    const struct kernel *u = &kernel;
    const long m = g->c->shape.dim[0], n = g->c->shape.dim[1], k = g->a->shape.dim[1], stretch = stretch_of(k);
    const long block = panels_of(160, u->rows) * u->rows, width = panels_width(n);
    const long left_size = panels_of(block, u->rows) * u->row_panel * stretch, right_size = g->panels ? 0 : width * stretch;
    sp_real *packed = scratch((size_t)(left_size + right_size) * sizeof *packed), *left = packed + right_size;
    if (!packed)
        return false;
    struct tile t = { 0 };
    for (t.from = 0; t.from < k; t.from += stretch) {
        t.depth = least(k - t.from, stretch);
        if (!g->panels)
            pack_columns(packed, g->b, t.from, t.depth);
        for (t.row = 0; t.row < m; t.row += block) {
            const long rows = least(m - t.row, block);
            pack_rows(left, g->a, t.row, rows, t.from, t.depth);
            multiply_rows(g, t, rows, left, g->panels ? g->panels + t.from * width : packed);
        }
    }
    return true;
}

/* The same sums in the same order without any memory, tile by tile on the stack: slow, but a failed allocation then changes
   no bit. False if a panel is too large for that. */
static bool multiply_tiles(const struct product *g)
{
    enum { ROOM = 1 << 14 };
    const struct kernel *u = &kernel;
    const long m = g->c->shape.dim[0], n = g->c->shape.dim[1], k = g->a->shape.dim[1], stretch = stretch_of(k);
    _Alignas(SP_ALIGN) sp_real left[ROOM], right[ROOM];
    if (stretch * u->column_panel > ROOM || stretch * u->row_panel > ROOM)
        return false;
    struct tile t = { 0 };
    for (t.from = 0; t.from < k; t.from += stretch) {
        t.depth = least(k - t.from, stretch);
        for (t.column = 0; t.column < n; t.column += u->columns) {
            t.columns = least(n - t.column, u->columns);
            pack_panel(right, u->column_panel, t.columns, t.depth, g->b->data + t.from * g->b->stride[0]
                       + t.column * g->b->stride[1], g->b->stride[1], g->b->stride[0]);
            for (t.row = 0; t.row < m; t.row += u->rows) {
                t.rows = least(m - t.row, u->rows);
                pack_rows(left, g->a, t.row, t.rows, t.from, t.depth);
                multiply_tile(g, &t, left, right);
            }
        }
    }
    return true;
}

/* ---- packed parameters ----------------------------------------------------------------------------------------- */

struct sp_packing {
    struct {
        atomic_ulong version;   /* of the store when it was packed, plus 1; 0: never */
        sp_real *panels;
    } side[2];                  /* the parameter [a,b] as B [b,a], and as B [a,b] */
};

size_t sp_packing_size(void)
{
    return sizeof(struct sp_packing);
}

void sp_packing_release(struct sp_packing *packing)
{
    free(packing->side[0].panels);
    free(packing->side[1].panels);
}

static bool pack(sp_real **panels, const sp_view *b)
{
    const long k = b->shape.dim[0], width = panels_width(b->shape.dim[1]), stretch = stretch_of(k);
    if (!*panels && !(*panels = sp_aligned_calloc((size_t)(width * k) * sizeof **panels)))
        return false;
    for (long p = 0; p < k; p += stretch)
        pack_columns(*panels + p * width, b, p, least(k - p, stretch));
    return true;
}

/* Which side of a parameter b is; -1 if it is not the whole of it. */
static int side_of(const sp_param *p, const sp_view *b)
{
    const sp_shape s = p->shape, v = b->shape;
    if (s.rank != 2 || b->data != sp_param_read(p))
        return -1;
    if (v.dim[0] == s.dim[1] && v.dim[1] == s.dim[0] && b->stride[0] == 1 && b->stride[1] == s.dim[1])
        return 0;
    return v.dim[0] == s.dim[0] && v.dim[1] == s.dim[1] && b->stride[0] == s.dim[1] && b->stride[1] == 1 ? 1 : -1;
}

/* The panels of a side of a parameter as it is now; NULL without memory. Threads may ask at once: one packs, the others
   wait. */
static const sp_real *panels_for(const sp_param *p, const sp_view *b, int side)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const unsigned long version = sp_store_version(p->store) + 1;
    struct sp_packing *packing = p->packing;
    bool ok = true;
    if (atomic_load(&packing->side[side].version) != version) {
        pthread_mutex_lock(&lock);
        if (atomic_load(&packing->side[side].version) != version) {
            ok = pack(&packing->side[side].panels, b);
            if (ok)
                atomic_store(&packing->side[side].version, version);
        }
        pthread_mutex_unlock(&lock);
    }
    return ok ? packing->side[side].panels : NULL;
}

/* For a C that is not row-major, and where there is no kernel. */
static void multiply_plainly(const struct product *g)
{
    for (long i = 0; g->bias && i < g->c->shape.dim[0]; i++)
        for (long j = 0; j < g->c->shape.dim[1]; j++)
            g->c->data[i * g->c->stride[0] + j * g->c->stride[1]] = g->bias[j];
    sp_gemm(g->alpha, g->a, g->b, g->bias ? 1 : g->beta, g->c);
}

static void multiply(struct product *g, const sp_param *p)
{
    const bool any = g->a->shape.dim[0] && g->a->shape.dim[1] && g->b->shape.dim[1];
    init_once();
    if (!kernel.run || g->c->stride[1] != 1 || !any) {
        multiply_plainly(g);
        return;
    }
    const int side = p ? side_of(p, g->b) : -1;
    g->panels = side >= 0 ? panels_for(p, g->b, side) : NULL;
    if (g->panels && few(g->a->shape.dim[0]))
        multiply_few(g);
    else if (!multiply_panels(g) && !multiply_tiles(g))
        multiply_plainly(g);
}

void sp_gemm_packed(sp_real alpha, const sp_view *a, const sp_view *b, const sp_param *p, sp_real beta, const sp_view *c)
{
    if (c->stride[0] == 1 && c->stride[1] != 1) {       /* C' = B' A', which is row-major */
        const sp_view ta = sp_transposed(a), tb = sp_transposed(b), tc = sp_transposed(c);
        multiply(&(struct product){ .alpha = alpha, .a = &tb, .b = &ta, .beta = beta, .c = &tc }, NULL);
    } else {
        multiply(&(struct product){ .alpha = alpha, .a = a, .b = b, .beta = beta, .c = c }, p);
    }
}

void sp_gemm_bias(const sp_view *a, const sp_view *b, const sp_param *p, const sp_real *bias, const sp_view *c)
{
    multiply(&(struct product){ .alpha = 1, .a = a, .b = b, .c = c, .bias = bias }, p);
}
