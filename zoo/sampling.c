#include "zoo/sampling.h"

#include <math.h>

static bool likelier(const struct sp_choice *a, const struct sp_choice *b)
{
    return a->p > b->p || (a->p == b->p && a->id < b->id);
}

/* Mends a heap [m], whose root is the likeliest, below place i. */
static void sift(struct sp_choice *heap, long m, long i)
{
    const struct sp_choice moved = heap[i];
    for (long child; (child = 2 * i + 1) < m; i = child) {
        child += child + 1 < m && likelier(&heap[child + 1], &heap[child]);
        if (!likelier(&heap[child], &moved))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static void make_heap(struct sp_choice *room, long m)
{
    for (long i = m / 2; i-- > 0; )
        sift(room, m, i);
}

/* The likeliest of a heap [m] moves behind those that are left, to m - 1. Returns its p. */
static double pop(struct sp_choice *heap, long m)
{
    const struct sp_choice best = heap[0];
    heap[0] = heap[m - 1];
    sift(heap, m - 1, 0);
    heap[m - 1] = best;
    return best.p;
}

/* The choices are room[first .. m-1] then, and *sum their p. Only those that are kept are sorted, the likeliest last. */
static long keep(const sp_sampling *how, struct sp_choice *room, long m, double *sum)
{
    const bool some = how->top_k > 0 && how->top_k < m;
    long first = some ? m : 0;
    if (some || how->top_p < 1)
        make_heap(room, m);
    if (some)
        for (*sum = 0; first > m - how->top_k; first--)
            *sum += pop(room, first);
    if (how->top_p < 1) {
        const long end = first;
        const double enough = how->top_p * *sum;
        for (*sum = 0, first = m; first > end && *sum < enough; first--)
            *sum += some ? room[first - 1].p : pop(room, first);
    }
    return first;
}

int sp_sample(const sp_sampling *how, long n, const sp_real *logits, int banned, sp_random *random, struct sp_choice *room,
              double *log_p)
{
    double largest = -INFINITY, all = 0, kept = 0;
    int chosen = -1;
    long m = 0;
    for (long i = 0; i < n; i++) {
        largest = fmax(largest, (double)logits[i]);
        if (i != banned && (chosen < 0 || logits[i] > logits[chosen]))
            chosen = (int)i;
    }
    for (long i = 0; i < n; i++)
        all += exp((double)logits[i] - largest);
    if (chosen < 0 || !isfinite(all) || !isfinite((double)logits[chosen]))
        return -1;
    if (how->temperature > 0) {
        const double top = (double)logits[chosen];
        for (long i = 0; i < n; i++)
            if (i != banned) {
                room[m] = (struct sp_choice){ exp(((double)logits[i] - top) / how->temperature), (int)i };
                kept += room[m++].p;
            }
        const long first = keep(how, room, m, &kept);
        double at = sp_random_next(random) * kept;
        for (long i = m; i-- > first; at -= room[i].p)  /* rounding may leave none: then it is the likeliest */
            if (at < room[i].p) {
                chosen = room[i].id;
                break;
            }
    }
    *log_p = (double)logits[chosen] - largest - log(all);
    return chosen;
}
