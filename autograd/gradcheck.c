#include "autograd/gradcheck.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The steps h of the differences, the largest first: at 1e-3 the error h^4 = 1e-12 is beside rounding, 1e-16 / h = 1e-13; a
   loss that bends sharply needs smaller ones. */
#ifdef SP_FLOAT64
static const double steps[] = { 1e-3, 1e-4, 1e-5 }, rounding = 0x1p-53;
#else
static const double steps[] = { 3e-2 }, rounding = 0;   /* a figure to look at, not to trust */
#endif

static const double good = 1e-7;        /* an error that needs no smaller step */

struct check {
    sp_store *store;
    sp_tape *tape;
    sp_loss_fn loss;
    void *context;
    sp_real *values, *saved, *direction, *gradient;     /* [size] */
    long size;
    double value;               /* of the loss */
    sp_status *status;
};

static sp_tensor *run(struct check *c)
{
    sp_tape_reset(c->tape);
    sp_tape_seed(c->tape, 1, 0);
    return c->loss(c->tape, c->context);
}

/* The loss at saved + distance * direction. */
static double loss_at(struct check *c, double distance)
{
    c->values = sp_store_values(c->store);
    for (long i = 0; i < c->size; i++)
        c->values[i] = (sp_real)(c->saved[i] + distance * c->direction[i]);
    sp_tape_set_recording(c->tape, false);
    double y = (double)sp_item(run(c));
    sp_tape_set_recording(c->tape, true);
    return y;
}

/* f' = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h */
static double numeric_derivative(struct check *c, double h)
{
    return (8 * (loss_at(c, h) - loss_at(c, -h)) - (loss_at(c, 2 * h) - loss_at(c, -2 * h))) / (12 * h);
}

static double along_direction(const struct check *c)
{
    double sum = 0;
    for (long i = 0; i < c->size; i++)
        sum += (double)c->gradient[i] * (double)c->direction[i];
    return sum;
}

static bool compare(struct check *c, double scale, const char *where, sp_gradcheck_report *r)
{
    double a = along_direction(c), n = 0, e = INFINITY;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && e > good; i++) {
        const double h = steps[i], floor = fmax(1e-4 * scale, 1e7 * rounding * fabs(c->value) / h);
        const double at_h = numeric_derivative(c, h);
        if (!sp_ok(c->tape))
            return sp_fail_with(c->status, sp_tape_status(c->tape));
        if (!isfinite(a) || !isfinite(at_h))
            return sp_fail(c->status, SP_ERR_VALUE, "gradcheck: %s: backward %g, numeric %g", where, a, at_h);
        const double e_at_h = fabs(a - at_h) / fmax(fmax(fabs(a), fabs(at_h)), fmax(floor, 1e-300));
        if (e_at_h < e) {
            e = e_at_h;
            n = at_h;
        }
    }
    if (e > r->error || !r->checked) {
        r->error = e;
        r->backward = a;
        r->numeric = n;
        snprintf(r->where, sizeof r->where, "%s", where);
    }
    r->checked++;
    return true;
}

static bool check_elements(struct check *c, sp_gradcheck_report *r)
{
    char where[160];
    double scale = 0;
    for (long i = 0; i < c->size; i++)
        scale = fmax(scale, fabs((double)c->gradient[i]));
    memset(c->direction, 0, (size_t)c->size * sizeof *c->direction);
    for (int k = 0; k < sp_store_count(c->store); k++) {
        const sp_param *p = sp_store_at(c->store, k);
        for (long i = 0, n = p->statistic ? 0 : sp_shape_size(p->shape); i < n; i++) {
            snprintf(where, sizeof where, "%s[%ld]", p->name, i);
            c->direction[p->offset + i] = 1;
            if (!compare(c, scale, where, r))
                return false;
            c->direction[p->offset + i] = 0;
        }
    }
    return true;
}

/* Each direction has length 1; the gaps between parameters stay zero. */
static bool check_directions(struct check *c, int directions, sp_gradcheck_report *r)
{
    char where[160];
    double scale = 0;
    for (int d = 0; d < directions; d++) {
        double length = 0;
        memset(c->direction, 0, (size_t)c->size * sizeof *c->direction);
        for (int k = 0; k < sp_store_count(c->store); k++) {
            const sp_param *p = sp_store_at(c->store, k);
            sp_key key = sp_param_key(p);
            key.step = (uint32_t)d + 1;
            if (!p->statistic)
                sp_random_normal(key, sp_shape_size(p->shape), c->direction + p->offset, 0, 1);
        }
        for (long i = 0; i < c->size; i++)
            length += (double)c->direction[i] * (double)c->direction[i];
        for (long i = 0; i < c->size; i++)
            c->direction[i] = (sp_real)((double)c->direction[i] / sqrt(length));
        scale = fmax(scale, fabs(along_direction(c)));
        snprintf(where, sizeof where, "direction %d", d + 1);
        if (!compare(c, scale, where, r))
            return false;
    }
    return true;
}

bool sp_gradcheck(sp_store *store, sp_loss_fn loss, void *context, int directions, sp_gradcheck_report *report,
                  sp_status *status)
{
    struct check c = { .store = store, .loss = loss, .context = context, .values = sp_store_values(store),
                       .size = sp_store_size(store), .status = status };
    size_t bytes = (size_t)c.size * sizeof *c.values;
    bool ok = false;
    if (!loss || !report)
        return sp_fail(status, SP_ERR_VALUE, "gradcheck: the %s is NULL", loss ? "report" : "loss");
    *report = (sp_gradcheck_report){ 0 };
    if (!c.size)
        return sp_fail(status, SP_ERR_VALUE, "gradcheck: the store has no parameters");
    if (directions < 0)
        return sp_fail(status, SP_ERR_VALUE, "gradcheck: %d directions", directions);
    c.tape = sp_tape_new(store);
    c.saved = malloc(bytes);
    c.direction = malloc(bytes);
    c.gradient = malloc(bytes);
    if (!c.tape || !c.saved || !c.direction || !c.gradient) {
        sp_fail(status, SP_ERR_MEMORY, "gradcheck: out of memory for %ld numbers", c.size);
    } else {
        memcpy(c.saved, c.values, bytes);
        sp_tensor *l = run(&c);
        c.value = (double)sp_item(l);
        if (sp_backward(c.tape, l)) {
            memcpy(c.gradient, sp_gradients(c.tape), bytes);
            ok = directions ? check_directions(&c, directions, report) : check_elements(&c, report);
        } else {
            sp_fail_with(status, sp_tape_status(c.tape));
        }
        memcpy(sp_store_values(store), c.saved, bytes);
    }
    sp_tape_free(c.tape);
    free(c.saved);
    free(c.direction);
    free(c.gradient);
    return ok;
}
