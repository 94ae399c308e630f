/* Products by panels: BLIS's micro-kernel over both sides packed, a parameter's side packed once for all products until its
   values change. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/arena.h"
#include "autograd/blas.h"
#include "autograd/blas_inside.h"

#include "config.h"

#include "autograd/clones_inside.h"

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#ifdef __GNUC__
#define NOINLINE __attribute__((noinline))              /* only who needs so much stack takes it */
#else
#define NOINLINE
#endif

/* ---- packing --------------------------------------------------------------------------------------------------- */

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

void *sp_scratch(size_t bytes)
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

long sp_pieces(long n, long size)
{
    return (n + size - 1) / size;
}

/* The places of all column panels side by side, for n columns. */
static long panels_width(const struct sp_kernel *u, long n)
{
    return sp_pieces(n, u->columns) * u->column_panel;
}

long sp_stretch_of(const struct sp_kernel *u, long k)
{
    const long n = (k + u->depth / 2) / u->depth;
    return sp_pieces(k, n > 1 ? n : 1);
}

/* C = alpha A B + beta C, or + bias, a row for all rows, if that is not NULL. */
struct product {
    const struct sp_kernel *kernel;
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
    const long line = g->c->stride[0];
    sp_real *c = g->c->data + t->row * line + t->column;
    if (g->bias && !t->from)
        fill_rows(t->rows, t->columns, g->bias + t->column, c, line);
    sp_kernel_run(t->rows, t->columns, t->depth, g->alpha, left, right, t->from || g->bias ? 1 : g->beta, c, line);
}

/* The same for few rows, which need not be packed: row i at x + i*line, its numbers `step` apart. */
SP_CLONES static void run_rows(const struct product *g, const struct tile *t, const sp_real *x, long line, long step,
                               const sp_real *right)
{
    _Alignas(SP_ALIGN) sp_real sum[SP_MOST_ROWS * SP_ROWS_BYTES / sizeof(sp_real)];
    const sp_real alpha = g->alpha, beta = t->from ? 1 : g->beta, *bias = g->bias ? g->bias + t->column : NULL;
    g->kernel->few.sum(t->rows, t->depth, x, line, step, right, sum);
    for (long i = 0; i < t->rows; i++) {
        const sp_real *restrict s = sum + i * g->kernel->column_panel;
        sp_real *restrict y = g->c->data + (t->row + i) * g->c->stride[0] + t->column;
        if (!t->from && bias)
            for (long j = 0; j < t->columns; j++)
                y[j] = alpha * s[j] + bias[j];
        else
            for (long j = 0; j < t->columns; j++)
                y[j] = alpha * s[j] + (beta == 0 ? 0 : beta * y[j]);
    }
}

static void multiply_tile(const struct product *g, const struct tile *t, const sp_real *left, const sp_real *right)
{
    if (sp_few(g->kernel, t->rows))
        run_rows(g, t, left, 1, g->kernel->row_panel, right);
    else
        run_tile(g, t, left, right);
}

/* Few rows of A, as they lie: limited by the memory that B is read from. */
static void multiply_few(const struct product *g)
{
    const struct sp_kernel *u = g->kernel;
    const sp_view *a = g->a;
    const long n = g->c->shape.dim[1], k = a->shape.dim[1], width = panels_width(u, n), stretch = sp_stretch_of(u, k);
    struct tile t = { .rows = a->shape.dim[0] };
    for (t.from = 0; t.from < k; t.from += stretch) {
        t.depth = sp_least(k - t.from, stretch);
        for (t.column = 0; t.column < n; t.column += u->columns) {
            t.columns = sp_least(n - t.column, u->columns);
            run_rows(g, &t, a->data + t.from * a->stride[1], a->stride[0], a->stride[1],
                     g->panels + t.from * width + t.column / u->columns * u->column_panel * t.depth);
        }
    }
}

void sp_pack_panels(sp_real *to, long width, long room, long n, long depth, const sp_real *from, long step, long down)
{
    for (long i = 0; i < n; i += width)
        pack_panel(to + i / width * room * depth, room, sp_least(n - i, width), depth, from + i * step, step, down);
}

/* A stretch of B's depth as column panels. */
static void pack_columns(const struct sp_kernel *u, sp_real *to, const sp_view *b, long p, long depth)
{
    sp_pack_panels(to, u->columns, u->column_panel, b->shape.dim[1], depth, b->data + p * b->stride[0], b->stride[1],
                b->stride[0]);
}

/* Some rows of A's stretch as row panels. */
static void pack_rows(const struct sp_kernel *u, sp_real *to, const sp_view *a, long row, long rows, long p, long depth)
{
    sp_pack_panels(to, u->rows, u->row_panel, rows, depth, a->data + row * a->stride[0] + p * a->stride[1], a->stride[0],
                a->stride[1]);
}

/* All tiles of some rows, which are packed at left, by the column panels at right. */
static void multiply_rows(const struct product *g, struct tile t, long rows, const sp_real *left, const sp_real *right)
{
    const struct sp_kernel *u = g->kernel;
    const long n = g->c->shape.dim[1], first = t.row;
    for (t.column = 0; t.column < n; t.column += u->columns, right += u->column_panel * t.depth) {
        t.columns = sp_least(n - t.column, u->columns);
        for (long r = 0; r < rows; r += u->rows) {
            t.row = first + r;
            t.rows = sp_least(rows - r, u->rows);
            multiply_tile(g, &t, left + r / u->rows * u->row_panel * t.depth, right);
        }
    }
}

/* For each stretch of depth, all column panels of B, which are packed on the way if they are not. The rows of A are packed
   some at a time, few enough to stay in the second-level cache. False without memory: nothing was computed. */
static bool multiply_panels(const struct product *g)
{
    const struct sp_kernel *u = g->kernel;
    const long m = g->c->shape.dim[0], n = g->c->shape.dim[1], k = g->a->shape.dim[1], stretch = sp_stretch_of(u, k);
    const long block = sp_pieces(160, u->rows) * u->rows, width = panels_width(u, n);
    const long left_size = sp_pieces(block, u->rows) * u->row_panel * stretch, right_size = g->panels ? 0 : width * stretch;
    sp_real *packed = sp_scratch((size_t)(left_size + right_size) * sizeof *packed);
    if (!packed)
        return false;
    sp_real *left = packed + right_size;
    struct tile t = { 0 };
    for (t.from = 0; t.from < k; t.from += stretch) {
        t.depth = sp_least(k - t.from, stretch);
        if (!g->panels)
            pack_columns(u, packed, g->b, t.from, t.depth);
        for (t.row = 0; t.row < m; t.row += block) {
            const long rows = sp_least(m - t.row, block);
            pack_rows(u, left, g->a, t.row, rows, t.from, t.depth);
            multiply_rows(g, t, rows, left, g->panels ? g->panels + t.from * width : packed);
        }
    }
    return true;
}

/* The same sums in the same order without any memory, tile by tile on the stack: slow, but a failed allocation then changes
   no bit. False if a panel is too large for that. */
NOINLINE static bool multiply_tiles(const struct product *g)
{
    enum { LEFT = 1 << 13, RIGHT = 3 << 13 };
    const struct sp_kernel *u = g->kernel;
    const long m = g->c->shape.dim[0], n = g->c->shape.dim[1], k = g->a->shape.dim[1], stretch = sp_stretch_of(u, k);
    _Alignas(SP_ALIGN) sp_real left[LEFT], right[RIGHT];
    if (stretch * u->column_panel > RIGHT || stretch * u->row_panel > LEFT)
        return false;
    struct tile t = { 0 };
    for (t.from = 0; t.from < k; t.from += stretch) {
        t.depth = sp_least(k - t.from, stretch);
        for (t.column = 0; t.column < n; t.column += u->columns) {
            t.columns = sp_least(n - t.column, u->columns);
            pack_panel(right, u->column_panel, t.columns, t.depth, g->b->data + t.from * g->b->stride[0]
                       + t.column * g->b->stride[1], g->b->stride[1], g->b->stride[0]);
            for (t.row = 0; t.row < m; t.row += u->rows) {
                t.rows = sp_least(m - t.row, u->rows);
                pack_rows(u, left, g->a, t.row, t.rows, t.from, t.depth);
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
    } side[SP_SIDES];           /* the parameter [a,b] as B [b,a], as B [a,b], and as it is for autograd/patches_multiply.c */
};

size_t sp_packing_size(void)
{
    return sizeof(struct sp_packing);
}

void sp_packing_release(struct sp_packing *packing)
{
    for (int i = 0; i < SP_SIDES; i++)
        free(packing->side[i].panels);
}

static void pack_matrix(const struct sp_kernel *u, sp_real *panels, const void *view)
{
    const sp_view *b = view;
    const long k = b->shape.dim[0], width = panels_width(u, b->shape.dim[1]), stretch = sp_stretch_of(u, k);
    for (long p = 0; p < k; p += stretch)
        pack_columns(u, panels + p * width, b, p, sp_least(k - p, stretch));
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

const sp_real *sp_param_panels(const struct sp_kernel *u, const sp_param *p, int side, long size,
                               void (*pack)(const struct sp_kernel *u, sp_real *panels, const void *from), const void *from)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const unsigned long version = sp_store_version(p->store) + 1;
    struct sp_packing *packing = p->packing;
    bool ok = true;
    if (atomic_load(&packing->side[side].version) != version) {
        pthread_mutex_lock(&lock);
        if (atomic_load(&packing->side[side].version) != version) {
            sp_real **panels = &packing->side[side].panels;
            ok = *panels || (*panels = sp_aligned_calloc((size_t)size * sizeof **panels));
            if (ok) {
                pack(u, *panels, from);
                atomic_store(&packing->side[side].version, version);
            }
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
    g->kernel = sp_kernel();
    if (!g->kernel->there || g->c->stride[1] != 1 || !any) {
        multiply_plainly(g);
        return;
    }
    const int side = p ? side_of(p, g->b) : -1;
    g->panels = side < 0 ? NULL
                         : sp_param_panels(g->kernel, p, side, panels_width(g->kernel, g->b->shape.dim[1]) * g->b->shape.dim[0],
                                           pack_matrix, g->b);
    if (g->panels && sp_few(g->kernel, g->a->shape.dim[0]))
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
