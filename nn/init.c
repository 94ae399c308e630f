#include "nn/init.h"

#include <math.h>
#include <stdlib.h>

static long size_of(const sp_param *p)
{
    return p ? sp_shape_size(p->shape) : 0;
}

static void fans(const sp_param *p, double *in, double *out)
{
    *out = p->shape.rank ? (double)p->shape.dim[0] : 1;
    *in = (double)size_of(p) / *out;
}

void sp_init_constant(sp_param *p, double value)
{
    sp_real *values = sp_param_values(p);
    for (long i = 0, n = size_of(p); i < n; i++)
        values[i] = (sp_real)value;
}

void sp_init_uniform(sp_param *p, double low, double high)
{
    if (p)
        sp_random_uniform(sp_param_key(p), size_of(p), sp_param_values(p), low, high);
}

void sp_init_normal(sp_param *p, double mean, double deviation)
{
    if (p)
        sp_random_normal(sp_param_key(p), size_of(p), sp_param_values(p), mean, deviation);
}

void sp_init_xavier(sp_param *p, double gain)
{
    double in, out;
    if (!p)
        return;
    fans(p, &in, &out);
    double a = gain * sqrt(6 / (in + out));
    sp_init_uniform(p, -a, a);
}

void sp_init_kaiming(sp_param *p, double gain)
{
    double in, out;
    if (!p)
        return;
    fans(p, &in, &out);
    double a = gain * sqrt(3 / in);
    sp_init_uniform(p, -a, a);
}

/* Makes row i orthogonal to those before it and of length 1 (modified Gram-Schmidt, twice, in double). A row that the
   others nearly span becomes noise again: then it is replaced by a unit vector and done over. */
static void orthogonalise(double *rows, long i, long n)
{
    double *v = rows + i * n;
    for (long attempt = 0; attempt <= n; attempt++) {
        double length = 0;
        for (int pass = 0; pass < 2; pass++)
            for (long r = 0; r < i; r++) {
                double dot = 0;
                for (long j = 0; j < n; j++)
                    dot += v[j] * rows[r * n + j];
                for (long j = 0; j < n; j++)
                    v[j] -= dot * rows[r * n + j];
            }
        for (long j = 0; j < n; j++)
            length += v[j] * v[j];
        if (length > 1e-12) {
            for (long j = 0; j < n; j++)
                v[j] /= sqrt(length);
            return;
        }
        for (long j = 0; j < n; j++)
            v[j] = j == attempt;
    }
}

bool sp_init_orthogonal(sp_param *p, double gain)
{
    if (!p)
        return false;
    long out = p->shape.rank > 1 ? p->shape.dim[0] : 1, in = size_of(p) / out;
    long m = out < in ? out : in, n = out < in ? in : out;          /* m orthogonal vectors of n numbers */
    double *rows = malloc((size_t)(m * n) * sizeof *rows);
    if (!rows)
        return sp_store_fail(p->store, SP_ERR_MEMORY, "%s: out of memory for initial values", p->name);
    sp_init_normal(p, 0, 1);
    sp_real *values = sp_param_values(p);
    for (long i = 0; i < m; i++) {
        for (long j = 0; j < n; j++)
            rows[i * n + j] = (double)values[i * n + j];
        orthogonalise(rows, i, n);
    }
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++)
            values[out < in ? i * n + j : j * m + i] = (sp_real)(gain * rows[i * n + j]);
    free(rows);
    return true;
}
