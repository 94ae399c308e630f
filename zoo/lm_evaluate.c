/* Measuring a language model: as it is, and while it goes on learning. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/lm_inside.h"

bool sp_lm_open(struct sp_lm_session *s, const sp_lm *m, long batch, long window, bool recording, sp_status *status)
{
    s->tape = sp_tape_new(m->store);
    s->state = sp_state_new(&m->stack, batch);
    s->x = malloc((size_t)(2 * window * batch) * sizeof *s->x);
    s->y = s->x ? s->x + window * batch : NULL;
    sp_tape_set_recording(s->tape, recording);
    sp_tape_set_training(s->tape, false);
    sp_tape_set_profile(s->tape, m->profile);
    return (s->tape && s->state && s->x)
           || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for a batch of %ld", batch);
}

bool sp_lm_close(struct sp_lm_session *s, sp_status *status)
{
    const bool ok = sp_ok(s->tape);
    if (!ok)
        sp_fail_with(status, sp_tape_status(s->tape));
    sp_tape_free(s->tape);
    sp_state_free(s->state);
    free(s->x);
    return ok;
}

double sp_lm_read(const sp_lm *m, const int *id, long n, long batch, long window, sp_lm_after *after, void *self,
                  sp_status *status)
{
    struct sp_lm_session o;
    double sum = 0, count = 0;
    if (n < 2)
        sp_fail(status, SP_ERR_VALUE, "evaluation needs 2 symbols or more, there are %ld", n);
    else if (batch < 1)
        sp_fail(status, SP_ERR_VALUE, "evaluation: %ld streams", batch);
    if (n < 2 || batch < 1)
        return NAN;
    const sp_stream s = sp_stream_of(id, n, batch < n - 1 ? batch : n - 1, window);
    bool ok = sp_lm_open(&o, m, s.batch, sp_stream_length(&s, 0), after, status);
    for (long w = 0; ok && w < s.windows && sp_ok(o.tape); w++) {
        const long counted = sp_stream_read(&s, w, o.x, o.y);
        sp_tape_reset(o.tape);
        sp_tensor *loss = sp_lm_loss(o.tape, m, o.x, o.y, sp_stream_length(&s, w), s.batch, o.state);
        sum += (double)sp_item(loss) * (double)counted;
        count += (double)counted;
        ok = !after || after(self, o.tape, loss);
    }
    ok = sp_lm_close(&o, status) && ok && (isfinite(sum) || sp_fail(status, SP_ERR_VALUE, "model: its loss is not finite"));
    return ok ? sum / count : NAN;
}

enum { WINDOW = 64 };

double sp_lm_evaluate(const sp_lm *m, const int *id, long n, long batch, sp_status *status)
{
    return sp_lm_read(m, id, n, batch, WINDOW, NULL, NULL, status);
}

double sp_lm_score(const sp_lm *m, const int *id, long n, sp_status *status)
{
    if (n < 2)
        return 0;
    return -sp_lm_evaluate(m, id, n, 1, status) * (double)(n - 1);
}

/* ---- dynamic evaluation ---------------------------------------------------------------------------------------- */

enum { GATHERED = 20 };         /* streams that the text it was trained on is read as */

struct dynamic {
    const sp_lm_dynamic *how;
    sp_store *store;
    sp_real *trained;           /* [size] */
    double *scale, mean;        /* [size] sums of g^2, then their root mean squares s, and the mean of these; NULL: none */
    double epsilon;
    long windows;
};

/* The gradient of this window alone; NULL after an error. */
static sp_real *gradient(sp_tape *t, sp_tensor *loss)
{
    sp_zero_grad(t);
    return sp_backward(t, loss) ? sp_gradients(t) : NULL;
}

static bool add_squares(void *self, sp_tape *t, sp_tensor *loss)
{
    struct dynamic *d = self;
    const sp_real *g = gradient(t, loss);
    for (long i = 0; g && i < sp_store_size(d->store); i++)
        d->scale[i] += (double)g[i] * (double)g[i];
    d->windows++;
    return g;
}

static bool gather(struct dynamic *d, const sp_lm *m, sp_status *status)
{
    const long size = sp_store_size(d->store);
    if (!(d->scale = calloc((size_t)size, sizeof *d->scale)))
        return sp_fail(status, SP_ERR_MEMORY, "dynamic evaluation: out of memory for %ld numbers", size);
    if (isnan(sp_lm_read(m, d->how->train, d->how->n, GATHERED, d->how->window, add_squares, d, status)))
        return false;
    for (long i = 0; i < size; i++) {
        d->scale[i] = sqrt(d->scale[i] / (double)d->windows);
        d->mean += d->scale[i] / (double)size;
    }
    return d->mean > 0 || sp_fail(status, SP_ERR_VALUE, "dynamic evaluation: the text trained on has no gradient");
}

static bool learn(void *self, sp_tape *t, sp_tensor *loss)
{
    const struct dynamic *d = self;
    const sp_real *g = gradient(t, loss);
    sp_real *w = g ? sp_store_values(d->store) : NULL;
    for (long i = 0; w && i < sp_store_size(d->store); i++) {
        const double divisor = d->scale ? d->scale[i] + d->epsilon : 1;
        const double back = d->scale ? fmin(1, d->how->decay * d->scale[i] / d->mean) : d->how->decay;
        w[i] = (sp_real)((double)w[i] - d->how->rate * (double)g[i] / divisor + back * ((double)d->trained[i] - (double)w[i]));
    }
    return w;
}

double sp_lm_evaluate_dynamic(sp_lm *m, const int *id, long n, long batch, const sp_lm_dynamic *how, sp_status *status)
{
    struct dynamic d = { .how = how, .store = m->store, .epsilon = how->epsilon > 0 ? how->epsilon : SP_LM_EPSILON };
    const size_t bytes = (size_t)sp_store_size(m->store) * sizeof *d.trained;
    double nats = NAN;
    if (!(how->rate >= 0 && isfinite(how->rate) && how->decay >= 0 && how->decay <= 1 && how->window > 0 && how->epsilon >= 0
          && isfinite(how->epsilon))) {
        sp_fail(status, SP_ERR_VALUE, "dynamic evaluation: rate %g, decay %g, window %ld, epsilon %g: expected 0 or more, 0 to 1, "
                "1 or more, 0 or more", how->rate, how->decay, how->window, how->epsilon);
        return NAN;
    }
    if ((d.trained = malloc(bytes)))
        memcpy(d.trained, sp_store_values(m->store), bytes);
    else
        sp_fail(status, SP_ERR_MEMORY, "dynamic evaluation: out of memory for %zu bytes", bytes);
    if (d.trained && (!how->train || gather(&d, m, status)))
        nats = sp_lm_read(m, id, n, batch, how->window, learn, &d, status);
    if (d.trained)
        memcpy(sp_store_values(m->store), d.trained, bytes);
    free(d.trained);
    free(d.scale);
    return nats;
}
