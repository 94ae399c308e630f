#include "autograd/patches.h"

#include <string.h>

#include "autograd/arena.h"
#include "autograd/blas.h"
#include "autograd/blas_inside.h"

#include "config.h"

#include "autograd/clones_inside.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")        /* no call of memcpy for some numbers of a line */
#endif

enum {
    COLUMNS = 64, ROWS = 16,    /* the largest tile of the kernel's that is served */
    TILE = ROWS * COLUMNS,
    BLOCK = 4096, SUM = 512,    /* positions that are done together: of Y, and in a sum over them */
    BAND = 1 << 19              /* numbers in their copy of x, if one line does not need more */
};

/* ---- geometry -------------------------------------------------------------------------------------------------- */

static long least(long a, long b)
{
    return a < b ? a : b;
}

static long most(long a, long b)
{
    return a > b ? a : b;
}

static long floor_div(long a, long b)
{
    return a / b - (a % b < 0);
}

static long divisor(long a, long b)
{
    for (a = a < 0 ? -a : a; b; ) {
        const long rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Tap i of position p is number p + place - lowest of the numbers that have a phase: those at phase, phase + step, ... */
struct axis {
    const sp_window *w;
    long lowest, reach;         /* the least place of a tap, and how far from there to the largest */
    long period, phases;        /* i and i + period have the same phase; how many there are */
};

static long place_of(const sp_window *w, long tap)
{
    return floor_div(tap * w->move + w->from, w->step);
}

static long phase_of(const sp_window *w, long tap)
{
    return tap * w->move + w->from - place_of(w, tap) * w->step;
}

static struct axis axis_of(const sp_window *w)
{
    const long a = place_of(w, 0), b = place_of(w, w->taps - 1), period = w->step / divisor(w->move, w->step);
    return (struct axis){ w, least(a, b), a < b ? b - a : a - b, period, least(period, w->taps) };
}

static bool inside(const sp_window *w)
{
    const long a = w->from, b = (w->taps - 1) * w->move + w->from;
    return least(a, b) >= 0 && (w->positions - 1) * w->step + most(a, b) < w->size;
}

/* Lines of positions, or a part of one, and where their patches are read. */
struct block {
    long line, lines;           /* of all images one after the other */
    long column, columns;       /* of each */
    const sp_real *base;
};

struct plan {
    const struct sp_kernel *kernel;
    const sp_patches *x;
    struct axis h, w;
    bool direct;                /* x is read as it lies */
    long depth, taps, all;      /* rows of X; those of a channel; lines of positions */
    long lines, columns;        /* of a block, at most */
    long band_size;             /* -1: most of it would be zeros around x, too many to lay out */
    sp_real *band;              /* [channels, phases, lines + reach, columns + reach] */
    long *row, *line;           /* [depth], [lines] where each row of X begins, and each line: base[row + line + column] */
};

/* So many lines that positions fill panels, if that can be. */
static long lines_of(const struct plan *p, long block)
{
    const long width = p->x->w.positions, even = p->kernel->columns / divisor(width, p->kernel->columns);
    const double line = (double)p->x->channels * (double)(p->h.phases * p->w.phases) * (double)(width + p->w.reach);
    long n = most(1, least(block / width, (long)(BAND / line) - p->h.reach));
    return n > even ? n / even * even : n;
}

static struct plan plan_of(const sp_patches *x, long block)
{
    struct plan p = { .kernel = sp_kernel(), .x = x, .h = axis_of(&x->h), .w = axis_of(&x->w), .taps = x->h.taps * x->w.taps };
    p.depth = x->channels * p.taps;
    p.all = x->images * x->h.positions;
    p.direct = x->w.step == 1 && inside(&x->h) && inside(&x->w);
    if (x->w.positions > block) {
        p.lines = 1;
        p.columns = block;
    } else {
        p.lines = least(lines_of(&p, block), p.all);
        p.columns = x->w.positions;
    }
    const long images = least(x->images, p.lines / x->h.positions + 2);
    const double size = (double)x->channels * (double)(p.h.phases * p.w.phases) * ((double)p.lines + (double)images * (double)p.h.reach)
                        * (double)(p.columns + p.w.reach);
    const double there = (double)x->images * (double)x->channels * (double)x->h.size * (double)x->w.size;
    p.band_size = p.direct ? 0 : size > 4 * BAND && size > 16 * there ? -1 : (long)size;
    return p;
}

/* The next block; false behind the last. The first has lines == 0. */
static bool next_block(const struct plan *p, struct block *b)
{
    if (b->lines)
        b->column += b->columns;
    if (!b->lines || b->column >= p->x->w.positions) {
        b->line += b->lines;
        b->column = 0;
    }
    b->lines = least(p->all - b->line, p->lines);
    b->columns = least(p->x->w.positions - b->column, p->columns);
    return b->lines > 0 && b->columns > 0;
}

/* N numbers in registers, wherever they lie. A call of memcpy for as many as a line has costs more than they do, and so do
   the narrow moves that compilers make of a memcpy of known size. */
#ifdef __GNUC__
#define COPY(N, to, from)                                                                                              \
    do {                                                                                                               \
        typedef sp_real lanes_ __attribute__((vector_size(N * sizeof(sp_real)), aligned(sizeof(sp_real)), may_alias));   \
        *(lanes_ *)(to) = *(const lanes_ *)(from);                                                                     \
    } while (0)
#else
#define COPY(N, to, from) memcpy(to, from, N * sizeof(sp_real))
#endif

/* n numbers, N <= n <= 2 N, as two pieces that may overlap. */
#define COPY_HALVES(N, n, to, from)                                                                                    \
    do {                                                                                                               \
        COPY(N, to, from);                                                                                             \
        COPY(N, (to) + (n) - (N), (from) + (n) - (N));                                                                 \
    } while (0)

#define COPY_LINE(n, to, from)                                                                                         \
    do {                                                                                                               \
        long i_ = 0;                                                                                                   \
        for (; i_ + 32 < (n); i_ += 16)                                                                                \
            COPY(16, (to) + i_, (from) + i_);                                                                          \
        if ((n) - i_ >= 16)                                                                                            \
            COPY_HALVES(16, (n) - i_, (to) + i_, (from) + i_);                                                         \
        else if ((n) - i_ >= 8)                                                                                        \
            COPY_HALVES(8, (n) - i_, (to) + i_, (from) + i_);                                                          \
        else if ((n) - i_ >= 4)                                                                                        \
            COPY_HALVES(4, (n) - i_, (to) + i_, (from) + i_);                                                          \
        else                                                                                                           \
            for (; i_ < (n); i_++)                                                                                     \
                (to)[i_] = (from)[i_];                                                                                 \
    } while (0)

/* What lines of the band hold: numbers `at`, at + step, ... of lines of x, from number `first` to that before `end`; else 0. */
struct part {
    long n, at, first, end;
};

static struct part part_of(const struct plan *p, const struct block *b, long phase)
{
    const sp_window *w = p->w.w;
    struct part k = { .n = b->columns + p->w.reach, .at = (b->column + p->w.lowest) * w->step + phase };
    k.first = least(k.n, k.at < 0 ? -floor_div(k.at, w->step) : 0);
    k.end = most(k.first, least(k.n, k.at < w->size ? (w->size - k.at + w->step - 1) / w->step : 0));
    return k;
}

/* Lines of one channel of an image, rows number `row`, row + 1, ... of those with this phase. */
SP_CLONES static sp_real *copy_lines(const struct plan *p, struct part k, sp_real *restrict to, const sp_real *restrict channel,
                                     long row, long rows, long phase)
{
    const long step = p->w.w->step, size = p->h.w->size;
    for (long r = row; r < row + rows; r++, to += k.n) {
        const long h = r * p->h.w->step + phase;
        const sp_real *x = channel + h * p->x->line + k.at;
        if (h < 0 || h >= size) {
            for (long i = 0; i < k.n; i++)
                to[i] = 0;
            continue;
        }
        for (long i = 0; i < k.first; i++)
            to[i] = 0;
        if (step == 1)
            COPY_LINE(k.end - k.first, to + k.first, x + k.first);
        else if (step == 2)
            for (long i = k.first; i < k.end; i++)
                to[i] = x[i * 2];
        else
            for (long i = k.first; i < k.end; i++)
                to[i] = x[i * step];
        for (long i = k.end; i < k.n; i++)
            to[i] = 0;
    }
    return to;
}

/* Lays out the band of a block: for each channel and phase the lines of every image in it. */
static void copy_band(const struct plan *p, const struct block *b)
{
    const sp_patches *x = p->x;
    const long end = b->line + b->lines;
    sp_real *to = p->band;
    for (long c = 0; c < x->channels; c++)
        for (long i = 0; i < p->h.phases; i++)
            for (long j = 0; j < p->w.phases; j++)
                for (long line = b->line, n; line < end; line += n) {
                    const long image = line / x->h.positions, row = line % x->h.positions;
                    n = least(x->h.positions - row, end - line);
                    to = copy_lines(p, part_of(p, b, phase_of(&x->w, j)), to, x->x + image * x->image + c * x->channel,
                                    row + p->h.lowest, n + p->h.reach, phase_of(&x->h, i));
                }
}

/* Where the rows of X begin, given that for taps and channels. */
static void place_rows(const struct plan *p, long channel)
{
    for (long k = p->taps; k < p->depth; k++)
        p->row[k] = p->row[k - p->taps] + channel;
}

static void place_direct(const struct plan *p, struct block *b)
{
    const sp_patches *x = p->x;
    b->base = x->x;
    for (long i = 0; i < p->taps; i++)
        p->row[i] = (i / x->w.taps * x->h.move + x->h.from) * x->line + i % x->w.taps * x->w.move + x->w.from;
    place_rows(p, x->channel);
    for (long r = 0; r < b->lines; r++) {
        const long line = b->line + r;
        p->line[r] = line / x->h.positions * x->image + line % x->h.positions * x->h.step * x->line + b->column;
    }
}

static void place_band(const struct plan *p, struct block *b)
{
    const sp_patches *x = p->x;
    const long columns = b->columns + p->w.reach;
    long rows = 0;
    for (long r = 0; r < b->lines; r++, rows++) {
        if (r && (b->line + r) % x->h.positions == 0)           /* the next image */
            rows += p->h.reach;
        p->line[r] = rows * columns;
    }
    rows += p->h.reach;
    for (long tap = 0; tap < p->taps; tap++) {
        const long i = tap / x->w.taps, j = tap % x->w.taps;
        p->row[tap] = ((i % p->h.period * p->w.phases + j % p->w.period) * rows + place_of(&x->h, i) - p->h.lowest) * columns
                      + place_of(&x->w, j) - p->w.lowest;
    }
    b->base = p->band;
    place_rows(p, p->h.phases * p->w.phases * rows * columns);
    copy_band(p, b);
}

static void place(const struct plan *p, struct block *b)
{
    if (p->direct)
        place_direct(p, b);
    else
        place_band(p, b);
}

/* ---- laying out ------------------------------------------------------------------------------------------------ */

/* Columns of X that lie side by side in x. */
struct run {
    long from, n;               /* behind base + tap */
    long to;                    /* of the first in the maps */
};

/* The columns of a block from `at` on as runs, n in all; returns how many. */
static int runs_of(const struct plan *p, const struct block *b, const sp_maps *y, long at, long n, struct run *run)
{
    int count = 0;
    for (long line = at / b->columns, q = at % b->columns; n > 0; line++, q = 0) {
        const long all = b->line + line, length = least(n, b->columns - q);
        run[count++] = (struct run){ p->line[line] + q, length, all / p->x->h.positions * y->image
                                     + all % p->x->h.positions * y->line + (b->column + q) * y->column };
        n -= length;
    }
    return count;
}

/* n <= 32 numbers of each of `depth` rows of X: `from` behind the row to a panel that has `room` from row to row. */
SP_CLONES static void copy_run(sp_real *restrict to, long room, const sp_real *restrict from, const long *restrict row, long depth,
                               long n)
{
    if (n >= 16)
        for (long k = 0; k < depth; k++, to += room)
            COPY_HALVES(16, n, to, from + row[k]);
    else if (n >= 8)
        for (long k = 0; k < depth; k++, to += room)
            COPY_HALVES(8, n, to, from + row[k]);
    else if (n >= 4)
        for (long k = 0; k < depth; k++, to += room)
            COPY_HALVES(4, n, to, from + row[k]);
    else
        for (long k = 0; k < depth; k++, to += room)
            for (long i = 0; i < n; i++)
                to[i] = from[row[k] + i];
}

/* Rows k .. k+depth-1 of these columns of X, as a panel. */
static void fill_panel(const struct plan *p, const struct block *b, const struct run *run, int runs, long k, long depth,
                       sp_real *restrict to)
{
    const long room = p->kernel->column_panel;
    long at = 0;
    for (int r = 0; r < runs; r++)
        for (long i = 0; i < run[r].n; i += 32) {
            const long n = least(32, run[r].n - i);
            copy_run(to + at, room, b->base + run[r].from + i, p->row + k, depth, n);
            at += n;
        }
    for (long i = 0; i < depth && at < room; i++)
        memset(to + i * room + at, 0, (size_t)(room - at) * sizeof *to);
}

/* Rows k .. k+rows-1 of all columns of a block of X, `line` numbers from row to row. */
SP_CLONES static void fill_rows(const struct plan *p, const struct block *b, long k, long rows, long line, sp_real *restrict to)
{
    const long n = b->columns;
    for (; rows > 0; rows--, k++, to += line) {
        const sp_real *from = b->base + p->row[k];
        sp_real *at = to;
        for (long r = 0; r < b->lines; r++, at += n) {
            const sp_real *x = from + p->line[r];
            COPY_LINE(n, at, x);
        }
    }
}

/* What a product reads. */
struct sides {
    const sp_weights *a;
    const sp_patches *x;
};

/* A as panels of rows, stretch by stretch. */
static void pack_weights(const struct sp_kernel *u, sp_real *to, const void *from)
{
    const struct sides *sides = from;
    const sp_weights *a = sides->a;
    const sp_patches *x = sides->x;
    const long taps = x->h.taps * x->w.taps, depth = x->channels * taps, stretch = sp_stretch_of(u, depth);
    const bool lines = a->line == a->column * x->w.taps || x->h.taps == 1;
    const bool even = lines && (a->channel == a->column * taps || x->channels == 1);
    for (long k = 0; k < depth; k += stretch) {
        const long end = least(depth, k + stretch);
        for (long o = 0; o < a->rows; o += u->rows)
            for (long at = k, n; at < end; at += n, to += n * u->row_panel) {
                const long c = at / taps, i = at % taps / x->w.taps, j = at % x->w.taps;
                const long down = taps == 1 ? a->channel : a->column;
                n = even || taps == 1 ? end - at : lines ? taps - at % taps : x->w.taps - j;
                n = least(n, end - at);
                sp_pack_panels(to, u->rows, u->row_panel, least(a->rows - o, u->rows), n,
                               a->data + o * a->row + c * a->channel + i * a->line + j * a->column, a->row, down);
            }
    }
}

/* ---- without panels -------------------------------------------------------------------------------------------- */

/* Positions from *first to the one before *end meet x with this tap. */
static void meet(const sp_window *w, long tap, long *first, long *end)
{
    const long at = tap * w->move + w->from;
    *first = at < 0 ? -floor_div(at, w->step) : 0;
    *end = least(w->positions, at < w->size ? (w->size - at + w->step - 1) / w->step : 0);
}

/* For each line of positions, tap by tap, a product of views of A, x and Y; gradient: into A. It takes no memory. */
static void multiply_plainly(const sp_weights *a, const sp_patches *x, const sp_maps *y, bool gradient)
{
    for (long line = 0; line < x->images * x->h.positions; line++)
        for (long tap = 0; tap < x->h.taps * x->w.taps; tap++) {
            const long b = line / x->h.positions, p = line % x->h.positions, i = tap / x->w.taps, j = tap % x->w.taps;
            const long row = p * x->h.step + i * x->h.move + x->h.from;
            long first, end;
            meet(&x->w, j, &first, &end);
            if (row < 0 || row >= x->h.size || first >= end)
                continue;
            const sp_real *at = x->x + b * x->image + row * x->line + first * x->w.step + j * x->w.move + x->w.from;
            sp_view va = { a->data + i * a->line + j * a->column, { 2, { a->rows, x->channels } }, { a->row, a->channel } };
            sp_view vx = { (sp_real *)(uintptr_t)at, { 2, { x->channels, end - first } }, { x->channel, x->w.step } };
            sp_view vy = { y->data + b * y->image + p * y->line + first * y->column, { 2, { a->rows, end - first } },
                           { y->channel, y->column } };
            sp_view tx = sp_transposed(&vx);
            if (gradient)
                sp_gemm(1, &vy, &tx, 1, &va);
            else
                sp_gemm(1, &va, &vx, 1, &vy);
        }
}

static void set_maps(const sp_weights *a, const sp_patches *x, const sp_real *bias, long step, const sp_maps *y)
{
    for (long b = 0; b < x->images; b++)
        for (long o = 0; o < a->rows; o++)
            for (long p = 0; p < x->h.positions; p++)
                for (long q = 0; q < x->w.positions; q++)
                    y->data[b * y->image + o * y->channel + p * y->line + q * y->column] = bias ? bias[o * step] : 0;
}

/* ---- Y = A X --------------------------------------------------------------------------------------------------- */

enum { PANELS = 4, NEAR = 1 << 16 };    /* panels that take turns where A has more numbers than stay near */

struct product {
    struct plan plan;
    const sp_weights *a;
    const sp_maps *y;
    const sp_real *bias;
    long step;                  /* of the bias */
    bool add;
    int panels;                 /* that take turns */
    const sp_real *left;
    sp_real *own, *right, *tiles;       /* A, if not the parameter's; for each panel a stretch of X, and [rows,column_panel] of Y */
};

/* Some columns of a block. */
struct panel {
    struct run run[COLUMNS];
    int runs;
    long columns;
    sp_real *right, *tile;
    sp_real *y;                 /* where its numbers of Y come to be: there, or in the tile, with `line` from row to row */
    long line;
};

/* y = sums, or += */
SP_CLONES static void put_rows(long rows, long columns, const sp_real *restrict sum, long room, bool add, sp_real *restrict y,
                               long line)
{
    for (long i = 0; i < rows; i++)
        if (add)
            for (long j = 0; j < columns; j++)
                y[i * line + j] += sum[i * room + j];
        else
            for (long j = 0; j < columns; j++)
                y[i * line + j] = sum[i * room + j];
}

static bool few(const struct sp_kernel *u, long rows)
{
    return rows <= u->few.most && rows < u->rows;
}

/* All rows of A by a stretch of some panels. */
static void multiply_stretch(const struct product *g, const struct panel *panel, int panels, const sp_real *left, long depth, bool add)
{
    const struct sp_kernel *u = g->plan.kernel;
    _Alignas(SP_ALIGN) sp_real sum[TILE];
    for (long o = 0; o < g->a->rows; o += u->rows, left += u->row_panel * depth)
        for (const struct panel *k = panel; k < panel + panels; k++) {
            const long rows = least(g->a->rows - o, u->rows);
            if (few(u, rows)) {
                u->few.sum(rows, depth, left, 1, u->row_panel, k->right, sum);
                put_rows(rows, k->columns, sum, u->column_panel, add, k->y + o * k->line, k->line);
            } else {
                sp_kernel_run(rows, k->columns, depth, 1, left, k->right, add, k->y + o * k->line, k->line);
            }
        }
}

/* Between the maps and a tile of them, run by run. */
SP_CLONES static void load_tile(const struct product *g, const struct panel *k)
{
    for (long o = 0; o < g->a->rows; o++) {
        sp_real *restrict to = k->tile + o * g->plan.kernel->column_panel;
        for (int r = 0; r < k->runs; to += k->run[r++].n) {
            const sp_real *restrict from = g->y->data + k->run[r].to + o * g->y->channel;
            for (long i = 0; i < k->run[r].n; i++)
                to[i] = from[i];
        }
    }
}

SP_CLONES static void store_tile(const struct product *g, const struct panel *k, bool add)
{
    const long step = g->y->column;
    for (long o = 0; o < g->a->rows; o++) {
        const sp_real *restrict from = k->tile + o * g->plan.kernel->column_panel;
        for (int r = 0; r < k->runs; from += k->run[r++].n) {
            sp_real *restrict to = g->y->data + k->run[r].to + o * g->y->channel;
            if (add)
                for (long i = 0; i < k->run[r].n; i++)
                    to[i * step] += from[i];
            else
                for (long i = 0; i < k->run[r].n; i++)
                    to[i * step] = from[i];
        }
    }
}

SP_CLONES static void fill_maps(long rows, long columns, const sp_real *restrict bias, long step, sp_real *restrict y, long line)
{
    for (long o = 0; o < rows; o++)
        for (long i = 0; i < columns; i++)
            y[o * line + i] = bias[o * step];
}

/* Columns of a block from `at` on, at most a panel of them. Those that lie side by side in Y need no tile. What is added to
   must be there before the products are, wherever it lies: so a sum has the same bits with a tile and without. */
static void begin_panel(const struct product *g, const struct block *b, long at, long columns, int number, struct panel *k)
{
    const struct sp_kernel *u = g->plan.kernel;
    bool whole = g->y->column == 1;
    k->columns = columns;
    k->runs = runs_of(&g->plan, b, g->y, at, columns, k->run);
    k->right = g->right + number * sp_stretch_of(u, g->plan.depth) * u->column_panel;
    k->tile = g->tiles + number * g->a->rows * u->column_panel;
    for (int r = 1; r < k->runs; r++)
        whole = whole && k->run[r].to == k->run[r - 1].to + k->run[r - 1].n;
    k->y = whole ? g->y->data + k->run->to : k->tile;
    k->line = whole ? g->y->channel : u->column_panel;
    if (!whole && g->add && g->y->column == 1)
        load_tile(g, k);
    if (g->bias)
        fill_maps(g->a->rows, columns, g->bias, g->step, k->y, k->line);
}

/* Some panels of a block, from column `at` on. */
static void multiply_columns(const struct product *g, const struct block *b, long at)
{
    const struct plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    const long all = b->lines * b->columns, stretch = sp_stretch_of(u, p->depth);
    const long padded = sp_pieces(g->a->rows, u->rows) * u->row_panel;
    const bool gaps = g->y->column != 1, add = g->bias || (g->add && !gaps);
    struct panel panel[PANELS];
    int n = 0;
    for (; n < g->panels && at < all; n++, at += u->columns)
        begin_panel(g, b, at, least(all - at, u->columns), n, &panel[n]);
    for (long k = 0; k < p->depth; k += stretch) {
        const long depth = least(p->depth - k, stretch);
        for (int i = 0; i < n; i++)
            fill_panel(p, b, panel[i].run, panel[i].runs, k, depth, panel[i].right);
        multiply_stretch(g, panel, n, g->left + k * padded, depth, k || add);
    }
    for (int i = 0; i < n; i++)
        if (panel[i].y == panel[i].tile)
            store_tile(g, &panel[i], g->add && gaps);
}

/* Places in a piece of memory that begins so aligned. */
static size_t room_for(long n, size_t size)
{
    return ((size_t)n * size + SP_ALIGN - 1) / SP_ALIGN * SP_ALIGN;
}

/* Memory for so many numbers each, and for the plan; NULL without it. */
static bool take_pieces(struct plan *p, int n, const long *size, sp_real ***piece)
{
    size_t bytes = room_for(p->band_size, sizeof *p->band) + room_for(p->depth, sizeof *p->row) + room_for(p->lines, sizeof *p->line);
    for (int i = 0; i < n; i++)
        bytes += room_for(size[i], sizeof *p->band);
    char *at = sp_scratch(bytes);
    if (!at)
        return false;
    p->row = (long *)at;
    at += room_for(p->depth, sizeof *p->row);
    p->line = (long *)at;
    at += room_for(p->lines, sizeof *p->line);
    p->band = (sp_real *)at;
    at += room_for(p->band_size, sizeof *p->band);
    for (int i = 0; i < n; i++) {
        *piece[i] = (sp_real *)at;
        at += room_for(size[i], sizeof *p->band);
    }
    return true;
}

/* False if it cannot be done so: nothing was computed. */
static bool multiply(struct product *g)
{
    struct plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    if (!u->there || u->column_panel > COLUMNS || u->row_panel > ROWS || p->band_size < 0)
        return false;
    const long left = sp_pieces(g->a->rows, u->rows) * u->row_panel * p->depth;
    const struct sides sides = { g->a, p->x };
    if (g->a->param)
        g->left = sp_param_panels(u, g->a->param, SP_SIDE_PATCHES, left, pack_weights, &sides);
    g->panels = left > NEAR ? PANELS : 1;
    const long size[] = { g->left ? 0 : left, g->panels * sp_stretch_of(u, p->depth) * u->column_panel,
                          g->panels * g->a->rows * u->column_panel };
    if (!take_pieces(p, 3, size, (sp_real **[]){ &g->own, &g->right, &g->tiles }))
        return false;
    if (!g->left) {
        pack_weights(u, g->own, &sides);
        g->left = g->own;
    }
    for (struct block b = { 0 }; next_block(p, &b); ) {
        place(p, &b);
        for (long at = 0; at < b.lines * b.columns; at += g->panels * u->columns)
            multiply_columns(g, &b, at);
    }
    return true;
}

/* Lines that follow each other without gaps, in x and in Y, are one where each position meets one number. */
static void join_lines(sp_patches *x, sp_maps *y)
{
    const sp_window one = { 1, 1, 1, 1, 1, 0 };
    const bool same = x->h.taps == 1 && x->w.taps == 1 && x->h.step == 1 && x->w.step == 1 && !x->h.from && !x->w.from
                      && x->h.positions == x->h.size && x->w.positions == x->w.size;
    if (same && x->line == x->w.size && y->line == y->column * x->w.size) {
        x->w.size = x->w.positions = x->h.size * x->w.size;
        x->h = one;
    }
}

static bool nothing(const sp_weights *a, const sp_patches *x)
{
    return !a->rows || !x->images || x->h.positions <= 0 || x->w.positions <= 0;
}

void sp_patches_multiply(const sp_weights *a, const sp_patches *x, const sp_real *bias, long step, const sp_maps *y)
{
    sp_patches lines = *x;
    sp_maps maps = *y;
    if (nothing(a, x))
        return;
    join_lines(&lines, &maps);
    if (x->channels && multiply(&(struct product){ plan_of(&lines, BLOCK), .a = a, .y = &maps, .bias = bias, .step = step }))
        return;
    set_maps(a, x, bias, step, y);
    multiply_plainly(a, x, y, false);
}

void sp_patches_add(const sp_weights *a, const sp_patches *x, const sp_maps *y)
{
    sp_patches lines = *x;
    sp_maps maps = *y;
    if (nothing(a, x) || !x->channels)
        return;
    join_lines(&lines, &maps);
    if (!multiply(&(struct product){ plan_of(&lines, BLOCK), .a = a, .y = &maps, .add = true }))
        multiply_plainly(a, x, y, false);
}

/* ---- A += Y X' ------------------------------------------------------------------------------------------------- */

enum { GROUPS = 4 };

struct gradient {
    struct plan plan;
    const sp_weights *a;
    const sp_maps *y;
    long width, group;          /* of all column panels of Y'; rows of X that the kernel takes at once */
    sp_real *panels;            /* Y' of a block: [positions, rows] */
    sp_real *rows, *left;       /* some groups of rows of a block of X, [GROUPS group,positions]; and packed */
    sp_real *sum;               /* A', [depth,width]; NULL if one block is all: then each tile goes to A */
};

/* Y' of a block. */
static void pack_maps(const struct gradient *g, const struct block *b)
{
    const struct plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    const long end = b->line + b->lines, all = b->lines * b->columns, h = p->x->h.positions;
    for (long o = 0; o < g->a->rows; o += u->columns) {
        sp_real *to = g->panels + o / u->columns * u->column_panel * all;
        for (long line = b->line, n; line < end; line += n, to += n * b->columns * u->column_panel) {
            n = least(h - line % h, end - line);
            sp_pack_panels(to, u->columns, u->column_panel, least(g->a->rows - o, u->columns), n * b->columns,
                           g->y->data + line / h * g->y->image + o * g->y->channel + line % h * g->y->line + b->column,
                           g->y->channel, 1);
        }
    }
}

/* A tile of A', [rows,columns] with `room` from row to row, into A from its row o and column k on. */
SP_CLONES static void add_transposed(const sp_weights *a, long o, long k, long rows, long columns, const sp_real *restrict tile,
                                     long room)
{
    for (long j = 0; j < columns; j++) {
        sp_real *restrict to = a->data + (o + j) * a->row + k * a->column;
        if (a->column == 1)
            for (long i = 0; i < rows; i++)
                to[i] += tile[i * room + j];
        else
            for (long i = 0; i < rows; i++)
                to[i * a->column] += tile[i * room + j];
    }
}

/* Some rows of X, in groups that the kernel takes, by all panels: a panel is read once for all of them. */
static void multiply_groups(const struct gradient *g, long k, long rows, long depth)
{
    const struct sp_kernel *u = g->plan.kernel;
    const bool packed = !few(u, least(rows, g->group));
    _Alignas(SP_ALIGN) sp_real tile[TILE];
    for (long i = 0; packed && i < rows; i += g->group)
        sp_pack_panels(g->left + i / g->group * u->row_panel * depth, u->rows, u->row_panel, least(g->group, rows - i), depth,
                       g->rows + i * depth, depth, 1);
    for (long o = 0; o < g->a->rows; o += u->columns) {
        const long columns = least(g->a->rows - o, u->columns), at = o / u->columns * u->column_panel;
        for (long i = 0, n; i < rows; i += n) {
            n = least(g->group, rows - i);
            if (packed)
                sp_kernel_run(n, u->columns, depth, 1, g->left + i / g->group * u->row_panel * depth, g->panels + at * depth, 0,
                              tile, u->column_panel);
            else
                u->few.sum(n, depth, g->rows + i * depth, depth, 1, g->panels + at * depth, tile);
            if (g->sum)
                put_rows(n, columns, tile, u->column_panel, true, g->sum + (k + i) * g->width + at, g->width);
            else
                add_transposed(g->a, o, k + i, n, columns, tile, u->column_panel);
        }
    }
}

/* A += the sums, some rows and columns at a time. */
static void add_sums(const struct gradient *g)
{
    enum { SIDE = 16 };
    const struct sp_kernel *u = g->plan.kernel;
    for (long o = 0; o < g->a->rows; o += SIDE)         /* a panel has a multiple of so many columns, or fewer */
        for (long k = 0; k < g->plan.depth; k += SIDE)
            for (long i = o, n; i < least(o + SIDE, g->a->rows); i += n) {
                n = least(least(o + SIDE, g->a->rows) - i, u->columns - i % u->columns);
                add_transposed(g->a, i, k, least(SIDE, g->plan.depth - k), n, g->sum + k * g->width
                               + i / u->columns * u->column_panel + i % u->columns, g->width);
            }
}

static bool sum_gradient(struct gradient *g)
{
    struct plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    if (!u->there || u->column_panel > COLUMNS || u->row_panel > ROWS || p->band_size < 0)
        return false;
    const long rows = u->few.most >= 4 ? least(u->few.most, u->rows - 1) : u->rows, columns = p->lines * p->columns;
    g->group = sp_pieces(p->depth, sp_pieces(p->depth, rows));
    g->width = sp_pieces(g->a->rows, u->columns) * u->column_panel;
    const long size[] = { columns * g->width, GROUPS * columns * g->group, GROUPS * columns * u->row_panel,
                          p->all * p->x->w.positions > columns ? p->depth * g->width : 0 };
    if (!take_pieces(p, 4, size, (sp_real **[]){ &g->panels, &g->rows, &g->left, &g->sum }))
        return false;
    if (size[3])
        memset(g->sum, 0, (size_t)size[3] * sizeof *g->sum);
    else
        g->sum = NULL;
    for (struct block b = { 0 }; next_block(p, &b); ) {
        const long all = b.lines * b.columns;
        place(p, &b);
        pack_maps(g, &b);
        for (long k = 0, n; k < p->depth; k += n) {
            n = least(GROUPS * g->group, p->depth - k);
            fill_rows(p, &b, k, n, all, g->rows);
            multiply_groups(g, k, n, all);
        }
    }
    if (g->sum)
        add_sums(g);
    return true;
}

void sp_patches_gradient(const sp_maps *y, const sp_patches *x, const sp_weights *a)
{
    sp_patches lines = *x;
    sp_maps maps = *y;
    if (nothing(a, x) || !x->channels)
        return;
    join_lines(&lines, &maps);
    if (!sum_gradient(&(struct gradient){ plan_of(&lines, SUM), .a = a, .y = &maps }))
        multiply_plainly(a, x, y, true);
}
