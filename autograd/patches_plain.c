/* The products without memory, tap by tap. */
#include "autograd/blas.h"
#include "autograd/patches_inside.h"

long sp_window_meet(const sp_window *w, long tap, long *first, long *end)
{
    const long at = tap * w->move + w->from;
    *first = at < 0 ? (-at + w->step - 1) / w->step : 0;
    *end = sp_least(w->positions, at < w->size ? (w->size - at + w->step - 1) / w->step : 0);
    return at + *first * w->step;
}

void sp_patches_plainly(const sp_weights *a, const sp_patches *x, const sp_maps *y, bool gradient)
{
    for (long line = 0; line < x->images * x->h.positions; line++)
        for (long tap = 0; tap < x->h.taps * x->w.taps; tap++) {
            const long b = line / x->h.positions, p = line % x->h.positions, i = tap / x->w.taps, j = tap % x->w.taps;
            const long row = p * x->h.step + i * x->h.move + x->h.from;
            long first, end;
            const long column = sp_window_meet(&x->w, j, &first, &end);
            if (row < 0 || row >= x->h.size || first >= end)
                continue;
            const sp_real *at = x->x + b * x->image + row * x->line + column;
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

void sp_patches_set(const sp_weights *a, const sp_patches *x, const sp_real *bias, long step, const sp_maps *y)
{
    for (long b = 0; b < x->images; b++)
        for (long o = 0; o < a->rows; o++)
            for (long p = 0; p < x->h.positions; p++)
                for (long q = 0; q < x->w.positions; q++)
                    y->data[b * y->image + o * y->channel + p * y->line + q * y->column] = bias ? bias[o * step] : 0;
}
