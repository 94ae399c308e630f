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

struct dynamic {
    const sp_lm_dynamic *how;
    sp_store *store;
    sp_real *trained;           /* [size] */
    double *square, mean;       /* [size] sums of g^2, then their root mean squares s, and the mean of these; NULL: none */
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
        d->square[i] += (double)g[i] * (double)g[i];
    d->windows++;
    return g;
}

static bool gather(struct dynamic *d, const sp_lm *m, sp_status *status)
{
    const long size = sp_store_size(d->store);
    long numbers = 0;
    if (!(d->square = calloc((size_t)size, sizeof *d->square)))
        return sp_fail(status, SP_ERR_MEMORY, "dynamic evaluation: out of memory for %ld numbers", size);
    if (isnan(sp_lm_read(m, d->how->train, d->how->n, 1, d->how->window, add_squares, d, status)))
        return false;
    for (long i = 0; i < size; i++) {
        d->square[i] = sqrt(d->square[i] / (double)d->windows);
        d->mean += d->square[i];
        numbers += d->square[i] > 0;
    }
    d->mean /= numbers ? (double)numbers : 1;
    return d->mean > 0 || sp_fail(status, SP_ERR_VALUE, "dynamic evaluation: the text trained on has no gradient");
}

static bool learn(void *self, sp_tape *t, sp_tensor *loss)
{
    const struct dynamic *d = self;
    const sp_real *g = gradient(t, loss);
    sp_real *w = g ? sp_store_values(d->store) : NULL;
    for (long i = 0; w && i < sp_store_size(d->store); i++) {
        const double s = d->square ? d->square[i] : 0, divisor = d->square ? s + d->mean : 1;
        const double back = d->square ? fmin(1, d->how->decay * s / d->mean) : d->how->decay;
        const double moved = (double)w[i] - d->how->rate * (double)g[i] / divisor;
        w[i] = (sp_real)(moved + back * ((double)d->trained[i] - moved));
    }
    return w;
}

double sp_lm_evaluate_dynamic(sp_lm *m, const int *id, long n, long batch, const sp_lm_dynamic *how, sp_status *status)
{
    struct dynamic d = { .how = how, .store = m->store };
    const size_t bytes = (size_t)sp_store_size(m->store) * sizeof *d.trained;
    double nats = NAN;
    if (!(how->rate >= 0 && isfinite(how->rate) && how->decay >= 0 && how->decay <= 1 && how->window > 0)) {
        sp_fail(status, SP_ERR_VALUE, "dynamic evaluation: rate %g, decay %g, window %ld: expected 0 or more, 0 to 1, 1 or more",
                how->rate, how->decay, how->window);
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
    free(d.square);
    return nats;
}
