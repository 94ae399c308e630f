/* A += Y X'. */
#include <string.h>

#include "autograd/arena.h"
#include "autograd/patches_inside.h"

#include "config.h"

#include "autograd/clones_inside.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")        /* no call of memcpy for some numbers of a line */
#endif

enum {
    SUM = 512,                  /* positions that are summed together */
    GROUPS = 4
};

struct gradient {
    struct sp_plan plan;
    const sp_weights *a;
    const sp_maps *y;
    long width, group;          /* of all column panels of Y'; rows of X that the kernel takes at once */
    sp_real *panels;            /* Y' of a block: [positions, rows] */
    sp_real *rows, *left;       /* some groups of rows of a block of X, [GROUPS group,positions]; and packed */
    sp_real *sum;               /* A', [depth,width]; NULL if one block is all: then each tile goes to A */
};

/* Y' of a block. */
static void pack_maps(const struct gradient *g, const struct sp_block *b)
{
    const struct sp_plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    const long end = b->line + b->lines, all = b->lines * b->columns, h = p->x->h.positions;
    for (long o = 0; o < g->a->rows; o += u->columns) {
        sp_real *to = g->panels + o / u->columns * u->column_panel * all;
        for (long line = b->line, n; line < end; line += n, to += n * b->columns * u->column_panel) {
            n = sp_least(h - line % h, end - line);
            sp_pack_panels(to, u->columns, u->column_panel, sp_least(g->a->rows - o, u->columns), n * b->columns,
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
    const bool packed = !sp_few(u, sp_least(rows, g->group));
    _Alignas(SP_ALIGN) sp_real tile[SP_TILE];
    for (long i = 0; packed && i < rows; i += g->group)
        sp_pack_panels(g->left + i / g->group * u->row_panel * depth, u->rows, u->row_panel, sp_least(g->group, rows - i), depth,
                       g->rows + i * depth, depth, 1);
    for (long o = 0; o < g->a->rows; o += u->columns) {
        const long columns = sp_least(g->a->rows - o, u->columns), at = o / u->columns * u->column_panel;
        for (long i = 0, n; i < rows; i += n) {
            n = sp_least(g->group, rows - i);
            if (packed)
                sp_kernel_run(n, u->columns, depth, 1, g->left + i / g->group * u->row_panel * depth, g->panels + at * depth, 0,
                              tile, u->column_panel);
            else
                u->few.sum(n, depth, g->rows + i * depth, depth, 1, g->panels + at * depth, tile);
            if (g->sum)
                sp_patches_put(n, columns, tile, u->column_panel, true, g->sum + (k + i) * g->width + at, g->width);
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
            for (long i = o, n; i < sp_least(o + SIDE, g->a->rows); i += n) {
                n = sp_least(sp_least(o + SIDE, g->a->rows) - i, u->columns - i % u->columns);
                add_transposed(g->a, i, k, sp_least(SIDE, g->plan.depth - k), n, g->sum + k * g->width
                               + i / u->columns * u->column_panel + i % u->columns, g->width);
            }
}

static bool sum_gradient(struct gradient *g)
{
    struct sp_plan *p = &g->plan;
    const struct sp_kernel *u = p->kernel;
    if (!u->there || u->column_panel > SP_TILE_COLUMNS || u->row_panel > SP_TILE_ROWS || p->band_size < 0)
        return false;
    const long rows = u->few.most >= 4 ? sp_least(u->few.most, u->rows - 1) : u->rows, columns = p->lines * p->columns;
    g->group = sp_pieces(p->depth, sp_pieces(p->depth, rows));
    g->width = sp_pieces(g->a->rows, u->columns) * u->column_panel;
    const long size[] = { columns * g->width, GROUPS * columns * g->group, GROUPS * columns * u->row_panel,
                          p->all * p->x->w.positions > columns ? p->depth * g->width : 0 };
    if (!sp_patches_take(p, 4, size, (sp_real **[]){ &g->panels, &g->rows, &g->left, &g->sum }))
        return false;
    if (size[3])
        memset(g->sum, 0, (size_t)size[3] * sizeof *g->sum);
    else
        g->sum = NULL;
    for (struct sp_block b = { 0 }; sp_patches_next(p, &b); ) {
        const long all = b.lines * b.columns;
        sp_patches_place(p, &b);
        pack_maps(g, &b);
        for (long k = 0, n; k < p->depth; k += n) {
            n = sp_least(GROUPS * g->group, p->depth - k);
            sp_patches_rows(p, &b, k, n, all, g->rows);
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
    if (sp_patches_nothing(a, x) || !x->channels)
        return;
    sp_patches_join(&lines, &maps);
    if (!sum_gradient(&(struct gradient){ sp_patches_plan(&lines, SUM), .a = a, .y = &maps }))
        sp_patches_plainly(a, x, y, true);
}
