/* Rows and columns of the matrix of patches, laid out. */
#include <string.h>

#include "autograd/copy_inside.h"
#include "autograd/patches_inside.h"

#include "config.h"

#include "autograd/clones_inside.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")        /* no call of memcpy for some numbers of a line */
#endif

int sp_patches_runs(const struct sp_plan *p, const struct sp_block *b, const sp_maps *y, long at, long n,
                    struct sp_stripe *run)
{
    int count = 0;
    for (long line = at / b->columns, q = at % b->columns; n > 0; line++, q = 0) {
        const long all = b->line + line, length = sp_least(n, b->columns - q);
        run[count++] = (struct sp_stripe){ p->line[line] + q, length, all / p->x->h.positions * y->image
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
            SP_COPY_HALVES(16, n, to, from + row[k]);
    else if (n >= 8)
        for (long k = 0; k < depth; k++, to += room)
            SP_COPY_HALVES(8, n, to, from + row[k]);
    else if (n >= 4)
        for (long k = 0; k < depth; k++, to += room)
            SP_COPY_HALVES(4, n, to, from + row[k]);
    else
        for (long k = 0; k < depth; k++, to += room)
            for (long i = 0; i < n; i++)
                to[i] = from[row[k] + i];
}

void sp_patches_panel(const struct sp_plan *p, const struct sp_block *b, const struct sp_stripe *run, int runs, long k, long depth,
                      sp_real *restrict to)
{
    const long room = p->kernel->column_panel;
    long at = 0;
    for (int r = 0; r < runs; r++)
        for (long i = 0; i < run[r].n; i += 32) {
            const long n = sp_least(32, run[r].n - i);
            copy_run(to + at, room, b->base + run[r].from + i, p->row + k, depth, n);
            at += n;
        }
    for (long i = 0; i < depth && at < room; i++)
        memset(to + i * room + at, 0, (size_t)(room - at) * sizeof *to);
}

SP_CLONES void sp_patches_rows(const struct sp_plan *p, const struct sp_block *b, long k, long rows, long line,
                               sp_real *restrict to)
{
    const long n = b->columns;
    for (; rows > 0; rows--, k++, to += line) {
        const sp_real *from = b->base + p->row[k];
        sp_real *at = to;
        for (long r = 0; r < b->lines; r++, at += n) {
            const sp_real *x = from + p->line[r];
            SP_COPY_LINE(n, at, x);
        }
    }
}
