/* Costs: see ops/kernel.h. */
#include "ops/kernel.h"

double sp_elements(const sp_view *v)
{
    return (double)sp_shape_size(v->shape);
}

static double saved(const sp_call *c)
{
    return c->saved.shape.rank ? sp_elements(&c->saved) : 0;
}

sp_cost sp_cost_of(const sp_call *c, bool back, double flops, double read)
{
    double moved = sp_elements(&c->y) + (back ? read : saved(c));
    for (int i = 0; i < c->inputs; i++)
        moved += !back ? sp_elements(&c->x[i]) : c->dx[i].data ? 2 * sp_elements(&c->dx[i]) : 0;
    return (sp_cost){ flops, moved * sizeof(sp_real) };
}

sp_cost sp_cost_each(const sp_call *c, bool back, double flops, const double *each, unsigned reads)
{
    const double y = sp_elements(&c->y), x = sp_elements(&c->x[0]);
    double wanted = 0, read = (reads & SP_READS_Y ? y : 0) + (reads & SP_READS_SAVED ? saved(c) : 0);
    for (int i = 0; i < c->inputs; i++) {
        wanted += c->dx[i].data ? each[i] : 0;
        read += reads & (unsigned)SP_READS_X << i ? sp_elements(&c->x[i]) : 0;
    }
    return sp_cost_of(c, back, (back ? wanted : flops) * (x > y ? x : y), read);
}

/* dA reads B, and dB reads A. */
sp_cost sp_cost_product(const sp_call *c, bool back)
{
    const double product = 2 * sp_elements(&c->y) * (double)c->x[0].shape.dim[c->x[0].shape.rank - 1];
    const bool da = c->dx[0].data, db = c->dx[1].data;
    return sp_cost_of(c, back, product * (back ? da + db : 1),
                      (da ? sp_elements(&c->x[1]) : 0) + (db ? sp_elements(&c->x[0]) : 0));
}
