/* Where the patches of a block of positions are read: in x as it lies, or in a copy of some lines with zeros around. */
#include "autograd/arena.h"
#include "autograd/copy_inside.h"
#include "autograd/patches_inside.h"

#include "config.h"

#include "autograd/clones_inside.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")        /* no call of memcpy for some numbers of a line */
#endif

enum { BAND = 1 << 19 };                /* numbers in the copy, if one line does not need more */

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

static long place_of(const sp_window *w, long tap)
{
    return floor_div(tap * w->move + w->from, w->step);
}

static long phase_of(const sp_window *w, long tap)
{
    return tap * w->move + w->from - place_of(w, tap) * w->step;
}

static struct sp_axis axis_of(const sp_window *w)
{
    const long a = place_of(w, 0), b = place_of(w, w->taps - 1), period = w->step / divisor(w->move, w->step);
    return (struct sp_axis){ w, sp_least(a, b), a < b ? b - a : a - b, period, sp_least(period, w->taps) };
}

static bool inside(const sp_window *w)
{
    const long a = w->from, b = (w->taps - 1) * w->move + w->from;
    return sp_least(a, b) >= 0 && (w->positions - 1) * w->step + most(a, b) < w->size;
}

/* So many lines that positions fill panels, if that can be. */
static long lines_of(const struct sp_plan *p, long block)
{
    const long width = p->x->w.positions, even = p->kernel->columns / divisor(width, p->kernel->columns);
    const double line = (double)p->x->channels * (double)(p->h.phases * p->w.phases) * (double)(width + p->w.reach);
    long n = most(1, sp_least(block / width, (long)(BAND / line) - p->h.reach));
    return n > even ? n / even * even : n;
}

struct sp_plan sp_patches_plan(const sp_patches *x, long block)
{
    struct sp_plan p = { .kernel = sp_kernel(), .x = x, .h = axis_of(&x->h), .w = axis_of(&x->w), .taps = x->h.taps * x->w.taps };
    p.depth = x->channels * p.taps;
    p.all = x->images * x->h.positions;
    p.direct = x->w.step == 1 && inside(&x->h) && inside(&x->w);
    if (x->w.positions > block) {
        p.lines = 1;
        p.columns = block;
    } else {
        p.lines = sp_least(lines_of(&p, block), p.all);
        p.columns = x->w.positions;
    }
    const long images = sp_least(x->images, p.lines / x->h.positions + 2);
    const double size = (double)x->channels * (double)(p.h.phases * p.w.phases) * (double)(p.columns + p.w.reach)
                        * ((double)p.lines + (double)images * (double)p.h.reach);
    const double there = (double)x->images * (double)x->channels * (double)x->h.size * (double)x->w.size;
    p.band_size = p.direct ? 0 : size > 4 * BAND && size > 16 * there ? -1 : (long)size;
    return p;
}

bool sp_patches_next(const struct sp_plan *p, struct sp_block *b)
{
    if (b->lines)
        b->column += b->columns;
    if (!b->lines || b->column >= p->x->w.positions) {
        b->line += b->lines;
        b->column = 0;
    }
    b->lines = sp_least(p->all - b->line, p->lines);
    b->columns = sp_least(p->x->w.positions - b->column, p->columns);
    return b->lines > 0 && b->columns > 0;
}

/* What lines of the band hold: numbers `at`, at + step, ... of lines of x, from `first` to that before `end`; else 0. */
struct part {
    long n, at, first, end;
};

static struct part part_of(const struct sp_plan *p, const struct sp_block *b, long phase)
{
    const sp_window *w = p->w.w;
    struct part k = { .n = b->columns + p->w.reach, .at = (b->column + p->w.lowest) * w->step + phase };
    k.first = sp_least(k.n, k.at < 0 ? -floor_div(k.at, w->step) : 0);
    k.end = most(k.first, sp_least(k.n, k.at < w->size ? (w->size - k.at + w->step - 1) / w->step : 0));
    return k;
}

/* Lines of one channel of an image, rows number `row`, row + 1, ... of those with this phase. */
SP_CLONES static sp_real *copy_lines(const struct sp_plan *p, struct part k, sp_real *restrict to, const sp_real *restrict channel,
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
            SP_COPY_LINE(k.end - k.first, to + k.first, x + k.first);
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
static void copy_band(const struct sp_plan *p, const struct sp_block *b)
{
    const sp_patches *x = p->x;
    const long end = b->line + b->lines;
    sp_real *to = p->band;
    for (long c = 0; c < x->channels; c++)
        for (long i = 0; i < p->h.phases; i++)
            for (long j = 0; j < p->w.phases; j++)
                for (long line = b->line, n; line < end; line += n) {
                    const long image = line / x->h.positions, row = line % x->h.positions;
                    n = sp_least(x->h.positions - row, end - line);
                    to = copy_lines(p, part_of(p, b, phase_of(&x->w, j)), to, x->x + image * x->image + c * x->channel,
                                    row + p->h.lowest, n + p->h.reach, phase_of(&x->h, i));
                }
}

/* Where the rows of X begin, given that for taps and channels. */
static void place_rows(const struct sp_plan *p, long channel)
{
    for (long k = p->taps; k < p->depth; k++)
        p->row[k] = p->row[k - p->taps] + channel;
}

static void place_direct(const struct sp_plan *p, struct sp_block *b)
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

static void place_band(const struct sp_plan *p, struct sp_block *b)
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

void sp_patches_place(const struct sp_plan *p, struct sp_block *b)
{
    if (p->direct)
        place_direct(p, b);
    else
        place_band(p, b);
}

void sp_patches_join(sp_patches *x, sp_maps *y)
{
    const sp_window one = { 1, 1, 1, 1, 1, 0 };
    const bool same = x->h.taps == 1 && x->w.taps == 1 && x->h.step == 1 && x->w.step == 1 && !x->h.from && !x->w.from
                      && x->h.positions == x->h.size && x->w.positions == x->w.size;
    if (same && x->line == x->w.size && y->line == y->column * x->w.size) {
        x->w.size = x->w.positions = x->h.size * x->w.size;
        x->h = one;
    }
}

bool sp_patches_nothing(const sp_weights *a, const sp_patches *x)
{
    return !a->rows || !x->images || x->h.positions <= 0 || x->w.positions <= 0;
}

/* Places in a piece of memory that begins so aligned. */
static size_t room_for(long n, size_t size)
{
    return ((size_t)n * size + SP_ALIGN - 1) / SP_ALIGN * SP_ALIGN;
}

bool sp_patches_take(struct sp_plan *p, int n, const long *size, sp_real ***piece)
{
    size_t bytes = room_for(p->depth, sizeof *p->row) + room_for(p->lines, sizeof *p->line)
                   + room_for(p->band_size, sizeof *p->band);
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
