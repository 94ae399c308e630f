/* Y = A X + bias, and Y += A X. */
#include "autograd/arena.h"
#include "autograd/patches_inside.h"

#include "config.h"

#include "autograd/clones_inside.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")        /* no call of memcpy for some numbers of a line */
#endif

enum { BLOCK = 4096 };                  /* positions of Y that are done together */

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
        const long end = sp_least(depth, k + stretch);
        for (long o = 0; o < a->rows; o += u->rows)
            for (long at = k, n; at < end; at += n, to += n * u->row_panel) {
                const long c = at / taps, i = at % taps / x->w.taps, j = at % x->w.taps;
                const long down = taps == 1 ? a->channel : a->column;
                n = even || taps == 1 ? end - at : lines ? taps - at % taps : x->w.taps - j;
                n = sp_least(n, end - at);
                sp_pack_panels(to, u->rows, u->row_panel, sp_least(a->rows - o, u->rows), n,
                               a->data + o * a->row + c * a->channel + i * a->line + j * a->column, a->row, down);
            }
    }
}

enum { PANELS = 4, NEAR = 1 << 16 };    /* panels that take turns where A has more numbers than stay near */

struct product {
    struct sp_plan plan;
    const sp_weights *a;
    const sp_maps *y;
    const sp_real *bias;
    long step;                  /* of the bias */
    bool add;
    int panels;                 /* that take turns */
    const sp_real *left;
    sp_real *own, *right, *tiles;       /* A, if not the parameter's; for each panel a stretch of X, [rows,column_panel] of Y */
};

/* Some columns of a block. */
struct panel {
    struct sp_stripe run[SP_TILE_COLUMNS];
    int runs;
    long columns;
    sp_real *right, *tile;
    sp_real *y;                 /* where its numbers of Y come to be: there, or in the tile, with `line` from row to row */
    long line;
};

SP_CLONES void sp_patches_put(long rows, long columns, const sp_real *restrict sum, long room, bool add, sp_real *restrict y,
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

/* All rows of A by a stretch of some panels. */
static void multiply_stretch(const struct product *g, const struct panel *panel, int panels, const sp_real *left, long depth,
                             bool add)
{
    const struct sp_kernel *u = g->plan.kernel;
    _Alignas(SP_ALIGN) sp_real sum[SP_TILE];
    for (long o = 0; o < g->a->rows; o += u->rows, left += u->row_panel * depth)
        for (const struct panel *k = panel; k < panel + panels; k++) {
            const long rows = sp_least(g->a->rows - o, u->rows);
            if (sp_few(u, rows)) {
                u->few.sum(rows, depth, left, 1, u->row_panel, k->right, sum);
                sp_patches_put(rows, k->columns, sum, u->column_panel, add, k->y + o * k->line, k->line);
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
static void begin_panel(const struct product *g, const struct sp_block *b, long at, long columns, int number, struct panel *k)
{
    const struct sp_kernel *u = g->plan.kernel;
    bool whole = g->y->column == 1;
    k->columns = columns;
    k->runs = sp_patches_runs(&g->plan, b, g->y, at, columns, k->run);
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
static void multiply_columns(const struct product *g, const struct sp_block *b, long at)
{
    const struct sp_plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    const long all = b->lines * b->columns, stretch = sp_stretch_of(u, p->depth);
    const long padded = sp_pieces(g->a->rows, u->rows) * u->row_panel;
    const bool gaps = g->y->column != 1, add = g->bias || (g->add && !gaps);
    struct panel panel[PANELS];
    int n = 0;
    for (; n < g->panels && at < all; n++, at += u->columns)
        begin_panel(g, b, at, sp_least(all - at, u->columns), n, &panel[n]);
    for (long k = 0; k < p->depth; k += stretch) {
        const long depth = sp_least(p->depth - k, stretch);
        for (int i = 0; i < n; i++)
            sp_patches_panel(p, b, panel[i].run, panel[i].runs, k, depth, panel[i].right);
        multiply_stretch(g, panel, n, g->left + k * padded, depth, k || add);
    }
    for (int i = 0; i < n; i++)
        if (panel[i].y == panel[i].tile)
            store_tile(g, &panel[i], g->add && gaps);
}

/* False if it cannot be done so: nothing was computed. */
static bool multiply(struct product *g)
{
    struct sp_plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    if (!u->there || u->column_panel > SP_TILE_COLUMNS || u->row_panel > SP_TILE_ROWS || p->band_size < 0)
        return false;
    const long left = sp_pieces(g->a->rows, u->rows) * u->row_panel * p->depth;
    const struct sides sides = { g->a, p->x };
    if (g->a->param)
        g->left = sp_param_panels(u, g->a->param, SP_SIDE_PATCHES, left, pack_weights, &sides);
    g->panels = left > NEAR ? PANELS : 1;
    const long size[] = { g->left ? 0 : left, g->panels * sp_stretch_of(u, p->depth) * u->column_panel,
                          g->panels * g->a->rows * u->column_panel };
    if (!sp_patches_take(p, 3, size, (sp_real **[]){ &g->own, &g->right, &g->tiles }))
        return false;
    if (!g->left) {
        pack_weights(u, g->own, &sides);
        g->left = g->own;
    }
    for (struct sp_block b = { 0 }; sp_patches_next(p, &b); ) {
        sp_patches_place(p, &b);
        for (long at = 0; at < b.lines * b.columns; at += g->panels * u->columns)
            multiply_columns(g, &b, at);
    }
    return true;
}

void sp_patches_multiply(const sp_weights *a, const sp_patches *x, const sp_real *bias, long step, const sp_maps *y)
{
    sp_patches lines = *x;
    sp_maps maps = *y;
    if (sp_patches_nothing(a, x))
        return;
    sp_patches_join(&lines, &maps);
    struct product g = { .a = a, .y = &maps, .bias = bias, .step = step };
    if (x->channels)
        g.plan = sp_patches_plan(&lines, BLOCK);
    if (x->channels && multiply(&g))
        return;
    sp_patches_set(a, x, bias, step, y);
    sp_patches_plainly(a, x, y, false);
}

void sp_patches_add(const sp_weights *a, const sp_patches *x, const sp_maps *y)
{
    sp_patches lines = *x;
    sp_maps maps = *y;
    if (sp_patches_nothing(a, x) || !x->channels)
        return;
    sp_patches_join(&lines, &maps);
    if (!multiply(&(struct product){ sp_patches_plan(&lines, BLOCK), .a = a, .y = &maps, .add = true }))
        sp_patches_plainly(a, x, y, false);
}
