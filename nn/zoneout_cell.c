#include "nn/zoneout_cell.h"

#include "ops/ops.h"

struct zoneout {
    sp_cell cell;
    double p[SP_MAX_STATES];
};

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct zoneout *z = self;
    sp_tensor *old[SP_MAX_STATES];
    for (int i = 0; i < z->cell.states; i++)
        old[i] = state[i];
    sp_tensor *y = z->cell.step(t, z->cell.self, x, state), *given = y;
    for (int i = 0; i < z->cell.states; i++) {
        const bool is_y = state[i] == given;
        state[i] = sp_zoneout(t, old[i], state[i], z->p[i]);
        if (is_y)
            y = state[i];
    }
    return y;
}

sp_cell sp_zoneout_make(sp_store *s, const sp_cell *cell, const double *p)
{
    if (!cell || !cell->step || cell->states < 1 || cell->states > SP_MAX_STATES || !p) {
        const bool made = cell && cell->step && cell->states > 0;
        sp_store_fail(s, SP_ERR_VALUE, "zoneout: no %s", made ? "rates" : "cell (was it made?)");
        return (sp_cell){ 0 };
    }
    if (cell->joint) {
        sp_store_fail(s, SP_ERR_VALUE, "zoneout: the states of cell '%s' mean something only together: one scales others",
                      cell->name ? cell->name : "");
        return (sp_cell){ 0 };
    }
    for (int i = 0; i < cell->states; i++)
        if (!(p[i] >= 0 && p[i] < 1)) {
            sp_store_fail(s, SP_ERR_VALUE, "zoneout: the rate of state %d is %g, not in 0 <= p < 1", i, p[i]);
            return (sp_cell){ 0 };
        }
    struct zoneout *z = sp_store_alloc(s, sizeof *z);
    if (!z)
        return (sp_cell){ 0 };
    z->cell = *cell;
    for (int i = 0; i < cell->states; i++)
        z->p[i] = p[i];
    sp_cell zoned = *cell;
    zoned.self = z;
    zoned.step = step;
    return zoned;
}
