#include <math.h>

#include "autograd/profile.h"
#include "nn/optimizer.h"

/* The sum of squares in double; eight partial sums, so that it vectorises. n is a multiple of 8, as parameters lie. */
static double squared_norm(long n, const sp_real *g, double scale)
{
    double sum[8] = { 0 };
    for (long i = 0; i < n; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += scale * (double)g[i + k] * (scale * (double)g[i + k]);
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* Over what is learned. */
static double norm_of(const sp_store *store, const sp_real *g, double scale)
{
    double sum = 0;
    for (long from = 0, end = 0; sp_store_next_learned(store, &from, &end); )
        sum += squared_norm(end - from, g + from, scale);
    return sqrt(sum) / scale;
}

/* The same where squares overflow, which in float64 those above 1e154 do. */
static double large_norm_of(const sp_store *store, const sp_real *g)
{
    double largest = 0;
    for (long from = 0, end = 0; sp_store_next_learned(store, &from, &end); )
        for (long i = from; i < end; i++)
            largest = fmax(largest, fabs((double)g[i]));
    return isfinite(largest) ? norm_of(store, g, 1 / largest) : INFINITY;
}

/* The tape's gradients, NULL after an error. */
static sp_real *gradients_of(sp_tape *t)
{
    if (sp_ok(t) && !sp_tape_store(t))
        sp_tape_fail(t, SP_ERR_VALUE, "clip: the tape has no store");
    return sp_ok(t) ? sp_gradients(t) : NULL;
}

double sp_clip_norm(sp_tape *t, double most)
{
    sp_real *g = gradients_of(t);
    const sp_store *store = sp_tape_store(t);
    const long n = sp_store_size(store);
    if (!g)
        return NAN;
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    sp_cost cost = { 2 * (double)n, (double)n * sizeof *g };
    double norm = norm_of(store, g, 1);
    if (isinf(norm))
        norm = large_norm_of(store, g);
    if (!(most > 0))
        sp_tape_fail(t, SP_ERR_VALUE, "clip: the greatest norm is %g, not over 0", most);
    else if (!isfinite(norm))
        sp_tape_fail(t, SP_ERR_VALUE, "clip: the gradient has the norm %g", norm);
    else if (norm > most) {
        sp_real k = (sp_real)(most / norm);
        for (long from = 0, end = 0; sp_store_next_learned(store, &from, &end); )
            for (long i = from; i < end; i++)
                g[i] *= k;
        cost.flops += (double)n;
        cost.bytes *= 3;
    }
    sp_profile_end(span, "clip_norm", false, cost);
    return norm;
}

bool sp_clip_value(sp_tape *t, double most)
{
    sp_real *g = gradients_of(t);
    const sp_store *store = sp_tape_store(t);
    const long n = sp_store_size(store);
    if (!g)
        return false;
    if (!(most > 0)) {
        sp_tape_fail(t, SP_ERR_VALUE, "clip: the greatest value is %g, not over 0", most);
        return false;
    }
    for (long from = 0, end = 0; sp_store_next_learned(store, &from, &end); )
        for (long i = from; i < end; i++)
            if (isnan(g[i])) {
                sp_tape_fail(t, SP_ERR_VALUE, "clip: number %ld of the gradient's %ld is nan", i, n);
                return false;
            }
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    const sp_real k = (sp_real)most;
    for (long from = 0, end = 0; sp_store_next_learned(store, &from, &end); )
        for (long i = from; i < end; i++)
            g[i] = g[i] < -k ? -k : g[i] > k ? k : g[i];
    sp_profile_end(span, "clip_value", false, (sp_cost){ 2 * (double)n, 2 * (double)n * sizeof *g });
    return true;
}
