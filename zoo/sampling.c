#include "zoo/sampling.h"

#include <math.h>
#include <stdlib.h>

static int likeliest_first(const void *a, const void *b)
{
    const struct sp_choice *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p ? -1 : 1) : x->id - y->id;
}

int sp_sample(const sp_sampling *how, long n, const sp_real *logits, int banned, sp_random *random, struct sp_choice *room,
              double *log_p)
{
    double largest = -INFINITY, all = 0, kept = 0;
    long m = 0;
    for (long i = 0; i < n; i++)
        largest = fmax(largest, (double)logits[i]);
    for (long i = 0; i < n; i++)
        all += exp((double)logits[i] - largest);
    for (long i = 0; i < n; i++)
        if (i != banned)
            room[m++] = (struct sp_choice){ (double)logits[i] - largest, (int)i };
    if (!m || !isfinite(all))
        return -1;
    qsort(room, (size_t)m, sizeof *room, likeliest_first);
    if (how->temperature <= 0)
        m = 1;
    if (how->top_k > 0 && how->top_k < m)
        m = how->top_k;
    const double top = room[0].p, temperature = how->temperature > 0 ? how->temperature : 1;
    for (long i = 0; i < m; i++)
        kept += room[i].p = exp((room[i].p - top) / temperature);
    if (how->top_p < 1) {
        double sum = 0;
        long enough = 0;
        while (enough < m && sum < how->top_p * kept)
            sum += room[enough++].p;
        m = enough;
        kept = sum;
    }
    double at = sp_random_next(random) * kept;
    long chosen = 0;
    while (chosen + 1 < m && at >= room[chosen].p)
        at -= room[chosen++].p;
    *log_p = (double)logits[room[chosen].id] - largest - log(all);
    return room[chosen].id;
}
