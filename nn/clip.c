#include <math.h>

#include "autograd/profile.h"
#include "nn/optimizer.h"

/* The sum of squares in double; eight partial sums, so that it vectorises. */
static double squared_norm(long n, const sp_real *g)
{
    double sum[8] = { 0 };
    for (long i = 0; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += (double)g[i + k] * (double)g[i + k];
    for (long i = n / 8 * 8; i < n; i++)
        sum[0] += (double)g[i] * (double)g[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

double sp_clip_norm(sp_tape *t, double most)
{
    sp_real *g = sp_ok(t) ? sp_gradients(t) : NULL;
    const sp_store *store = sp_tape_store(t);
    const long n = sp_store_size(store);
    if (!g)
        return NAN;
    const sp_span span = sp_profile_begin(sp_tape_profile(t));
    sp_cost cost = { 2 * (double)n, (double)n * sizeof *g };
    double norm = 0;
    for (long from = 0, end = 0; sp_store_next_learned(store, &from, &end); )
        norm += squared_norm(end - from, g + from);
    norm = sqrt(norm);
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
    sp_real *g = sp_ok(t) ? sp_gradients(t) : NULL;
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
