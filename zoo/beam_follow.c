#include "zoo/beam_inside.h"

#include <math.h>
#include <stdlib.h>

#include "config.h"

#include "autograd/clones_inside.h"
#include "autograd/vmath.h"
#include "ops/kernel.h"

enum { LANES = 16, CHUNK = 256 };

bool sp_candidate_better(const struct sp_candidate *a, const struct sp_candidate *b)
{
    return a->log_p != b->log_p ? a->log_p > b->log_p : a->node != b->node ? a->node < b->node : a->symbol < b->symbol;
}

static int by_rank(const void *a, const void *b)
{
    return sp_candidate_better(a, b) ? -1 : 1;
}

/* Among the `width` best that go on, if it is one of them. */
static void offer(struct sp_followers *f, struct sp_candidate x)
{
    struct sp_candidate *heap = f->heap;
    long i = 0;
    if (f->n == f->width) {
        if (!sp_candidate_better(&x, heap))
            return;
        for (long c; (c = 2 * i + 1) < f->n; i = c) {
            if (c + 1 < f->n && sp_candidate_better(&heap[c], &heap[c + 1]))
                c++;
            if (sp_candidate_better(&heap[c], &x))
                break;
            heap[i] = heap[c];
        }
    } else {
        i = f->n++;
        for (long up; i && sp_candidate_better(&heap[up = (i - 1) / 2], &x); i = up)
            heap[i] = heap[up];
    }
    heap[i] = x;
}

/* In a fixed order that can be vectorised. */
SP_CLONES static double sum_of(long n, const sp_real *x)
{
    double sum[LANES] = { 0 };
    for (long i = 0; i + LANES <= n; i += LANES)
        for (long j = 0; j < LANES; j++)
            sum[j] += (double)x[i + j];
    for (long i = n - n % LANES; i < n; i++)
        sum[0] += (double)x[i];
    for (long j = 1; j < LANES; j++)
        sum[0] += sum[j];
    return sum[0];
}

SP_CLONES static bool any_from(sp_real bound, long n, const sp_real *x)
{
    int any = 0;
    for (long i = 0; i < n; i++)
        any |= x[i] >= bound;
    return any;
}

/* ln sum_k e^x_k: minus infinity where all x_k are, NaN where one is not a number below infinity. */
static double log_sum(long n, const sp_real *x)
{
    sp_real part[CHUNK];
    const sp_real m = sp_row_max(n, x);
    double sum = 0;
    if (!(m < (sp_real)INFINITY) || m == -(sp_real)INFINITY)
        return m < 0 ? -INFINITY : NAN;
    for (long at = 0; at < n; at += CHUNK) {
        const long size = n - at < CHUNK ? n - at : CHUNK;
        for (long i = 0; i < size; i++)
            part[i] = x[at + i] - m;
        sp_vexp(size, part, part);
        sum += sum_of(size, part);
    }
    return (double)m + log(sum);
}

/* What goes on from a row, with x - all as the ln p of what follows. */
static void go_on(struct sp_followers *f, int node, double log_p, long n, const sp_real *x, double all, int last)
{
    for (long at = 0; at < n; at += CHUNK) {
        const long size = n - at < CHUNK ? n - at : CHUNK;
        const double bound = f->heap->log_p - log_p + all;
        const double room = 1e-6 * (1 + fabs(bound));           /* for rounding, here and below */
        if (f->n == f->width && !any_from((sp_real)(bound - room), size, x + at))
            continue;
        for (long i = at; i < at + size; i++) {
            const double p = log_p + ((double)x[i] - all);
            if (i != last && p > -INFINITY && (f->n < f->width || p >= f->heap->log_p) && !(f->banned && f->banned[i]))
                offer(f, (struct sp_candidate){ p, node, (int)i });
        }
    }
}

bool sp_follow(struct sp_followers *f, int node, double log_p, long n, const sp_real *x, int last, bool last_only)
{
    const double all = log_sum(n, x);
    if (isnan(all))
        return false;
    if (x[last] > -(sp_real)INFINITY && !(f->banned && f->banned[last]))
        f->ending[f->ends++] = (struct sp_candidate){ log_p + ((double)x[last] - all), node, last };
    if (!last_only && all > -INFINITY)
        go_on(f, node, log_p, n, x, all, last);
    return true;
}

void sp_follow_sort(struct sp_followers *f)
{
    qsort(f->heap, (size_t)f->n, sizeof *f->heap, by_rank);
    qsort(f->ending, (size_t)f->ends, sizeof *f->ending, by_rank);
}
