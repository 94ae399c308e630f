#include "nn/loss.h"

#include "ops/ops.h"

sp_tensor *sp_mse(sp_tape *t, sp_tensor *a, sp_tensor *b)
{
    sp_tensor *d = sp_sub(t, a, b);
    return sp_mean(t, sp_mul(t, d, d), SP_ALL);
}
