#include "nn/loss.h"

#include <math.h>

#include "nn/loss_inside.h"
#include "ops/kernel.h"

/* Over nothing 0, not NaN. */
static sp_tensor *mean(sp_tape *t, sp_tensor *x)
{
    return sp_sound(x) && !sp_shape_size(sp_shape_get(x)) ? sp_sum(t, x, SP_ALL) : sp_mean(t, x, SP_ALL);
}

/* ---- classes --------------------------------------------------------------------------------------------------- */

sp_tensor *sp_mean_counted(sp_tape *t, sp_tensor *losses, const int *ids, int ignore)
{
    long count = 0;
    for (long i = 0, n = sp_sound(losses) ? sp_shape_size(sp_shape_get(losses)) : 0; i < n; i++)
        count += ids[i] != ignore;
    return sp_scale(t, sp_sum(t, losses, SP_ALL), 1.0 / (double)(count ? count : 1));
}

sp_tensor *sp_cross_entropy_smooth_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, double smoothing)
{
    return sp_mean_counted(t, sp_cross_entropy_smooth(t, logits, ids, ignore, NULL, smoothing), ids, ignore);
}

sp_tensor *sp_cross_entropy_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore)
{
    return sp_cross_entropy_smooth_mean(t, logits, ids, ignore, 0);
}

sp_tensor *sp_cross_entropy_balanced_mean(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, const sp_real *weight)
{
    const long classes = sp_dim(logits, -1), n = classes ? sp_shape_size(sp_shape_get(logits)) / classes : 0;
    sp_real *of_row = sp_tape_take(t, (size_t)n * sizeof *of_row);
    double sum = 0;
    if (!of_row || !sp_sound(logits) || !ids)
        return sp_cross_entropy_mean(t, logits, ids, ignore);           /* says what is wrong */
    for (long k = 0; k < classes; k++)
        if (!weight || !(weight[k] >= 0 && isfinite((double)weight[k])))
            return sp_tape_fail(t, SP_ERR_VALUE, "cross_entropy: the weight %g of class %ld is not finite and 0 or more",
                                weight ? (double)weight[k] : (double)NAN, k);
    for (long i = 0; i < n; i++) {
        const bool known = ids[i] != ignore && ids[i] >= 0 && ids[i] < classes;
        of_row[i] = known ? weight[ids[i]] : 0;
        sum += (double)of_row[i];
    }
    return sp_scale(t, sp_sum(t, sp_cross_entropy(t, logits, ids, ignore, of_row), SP_ALL), sum > 0 ? 1 / sum : 0);
}

sp_tensor *sp_bce_logits_mean(sp_tape *t, sp_tensor *logits, sp_tensor *target, double positive_weight)
{
    return mean(t, sp_bce_logits(t, logits, target, positive_weight));
}

sp_tensor *sp_kl_div_mean(sp_tape *t, sp_tensor *log_q, sp_tensor *target)
{
    return mean(t, sp_kl_div(t, log_q, target));
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

/* x - target */
static sp_tensor *difference(sp_tape *t, const char *who, sp_tensor *x, sp_tensor *target)
{
    if (!sp_check_target(t, who, x, target, 2, SP_TARGET_FINITE))
        return sp_tape_fail(t, SP_ERR_VALUE, "%s: no input", who);
    return sp_sub(t, x, target);
}

sp_tensor *sp_mse(sp_tape *t, sp_tensor *x, sp_tensor *target)
{
    sp_tensor *d = difference(t, "mse", x, target);
    return mean(t, sp_mul(t, d, d));
}

sp_tensor *sp_mae(sp_tape *t, sp_tensor *x, sp_tensor *target)
{
    return mean(t, sp_abs(t, difference(t, "mae", x, target)));
}

sp_tensor *sp_huber_mean(sp_tape *t, sp_tensor *x, sp_tensor *target, double delta)
{
    return mean(t, sp_huber(t, x, target, delta));
}

sp_tensor *sp_gaussian_nll_mean(sp_tape *t, sp_tensor *m, sp_tensor *log_variance, sp_tensor *target, double least)
{
    return mean(t, sp_gaussian_nll(t, m, log_variance, target, least));
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* Are n the elements of some leading axes? */
static bool leads(sp_shape s, long n)
{
    long product = 1;
    bool found = n == 1;
    for (int i = 0; i < s.rank; i++)
        found |= (product *= s.dim[i]) == n;
    return found;
}

sp_tensor *sp_weighted_mean(sp_tape *t, sp_tensor *loss, const sp_real *weight, long n)
{
    char text[SP_SHAPE_TEXT];
    const sp_shape s = sp_shape_get(loss);
    double sum = 0;
    if (!sp_ok(t) || !sp_usable(t, loss, "weighted_mean", "input", 1))
        return sp_tape_fail(t, SP_ERR_VALUE, "weighted_mean: no input");
    if (n < 0 || (n && !weight) || !leads(s, n))
        return sp_tape_fail(t, SP_ERR_SHAPE, "weighted_mean: %ld weights%s for losses %s", n,
                            n && !weight ? ", and no list," : "", sp_shape_format(text, s));
    for (long i = 0; i < n; i++) {
        if (!(weight[i] >= 0 && isfinite((double)weight[i])))
            return sp_tape_fail(t, SP_ERR_VALUE, "weighted_mean: the weight %g at %ld is not finite and 0 or more",
                                (double)weight[i], i);
        sum += (double)weight[i];
    }
    const long each = n ? sp_shape_size(s) / n : 0;
    sp_tensor *parts = sp_reshape(t, loss, SP_SHAPE(n, each)), *share = sp_feed(t, weight, SP_SHAPE(n, 1));
    parts = sp_where(t, share, parts, sp_full(t, 0, SP_SCALAR));        /* 0 NaN would be NaN */
    return sp_scale(t, sp_sum(t, sp_mul(t, parts, share), SP_ALL), sum > 0 && each ? 1 / (sum * (double)each) : 0);
}
