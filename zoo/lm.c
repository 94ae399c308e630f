#include "zoo/lm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/init.h"
#include "nn/loss.h"
#include "ops/ops.h"
#include "zoo/sampling.h"

static const char kind[] = "spindle.lm 1";      /* the version of the file; a change that old models do not survive raises it */

/* ---- the model ------------------------------------------------------------------------------------------------- */

/* Takes vocabulary and store over, even if it fails. */
static sp_lm *make(const sp_lm_config *config, sp_vocabulary *vocabulary, sp_store *s, sp_status *status)
{
    sp_lm *m = vocabulary && s ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory");
        sp_vocabulary_free(vocabulary);
        sp_store_free(s);
        return NULL;
    }
    long symbols = sp_vocabulary_size(vocabulary);
    *m = (sp_lm){ .config = *config, .vocabulary = vocabulary, .store = s };
    m->embed = sp_embed_make(s, "embed", symbols, config->embed);
    m->stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = config->cell, .in = config->embed, .hidden = config->hidden,
                                                           .layers = (int)config->layers, .dropout = config->dropout });
    const long out = sp_stack_out(&m->stack);
    if (config->tied) {
        if (config->embed != out)
            sp_store_fail(s, SP_ERR_VALUE, "tied weights need equal sizes, but embed is %ld and the cells' output %ld",
                          config->embed, out);
        sp_init_uniform(sp_store_find(s, "embed.weight"), -0.1, 0.1);
        m->out = sp_linear_tied_make(s, "out", m->embed.weight);
    } else {
        m->out = sp_linear_make(s, "out", out, symbols);
    }
    if (sp_store_ok(s)) {
        m->config.cell = sp_cell_kind_named(config->cell);      /* the caller's text may be gone later */
        return m;
    }
    sp_fail_with(status, sp_store_status(s));
    sp_lm_free(m);
    return NULL;
}

sp_lm *sp_lm_new(const sp_lm_config *config, sp_vocabulary *vocabulary, uint64_t seed, sp_status *status)
{
    return make(config, vocabulary, sp_store_new(seed), status);
}

void sp_lm_free(sp_lm *m)
{
    if (m) {
        sp_store_free(m->store);
        sp_vocabulary_free(m->vocabulary);
        free(m);
    }
}

sp_tensor *sp_lm_on(sp_tape *t, const sp_lm *m, const int *x, long steps, long batch, sp_state *carry)
{
    sp_scope_push(t, "embed");
    sp_tensor *e = sp_dropout(t, sp_embed_on(t, &m->embed, x, steps * batch), m->config.dropout);
    sp_scope_pop(t);
    sp_scope_push(t, "rnn");
    sp_tensor *h = sp_stack_on(t, &m->stack, sp_reshape(t, e, SP_SHAPE(steps, batch, m->config.embed)), carry);
    sp_scope_pop(t);
    sp_scope_push(t, "out");
    sp_tensor *rows = sp_dropout(t, sp_reshape(t, h, SP_SHAPE(steps * batch, sp_stack_out(&m->stack))), m->config.dropout);
    sp_tensor *logits = sp_linear_on(t, &m->out, rows);
    sp_scope_pop(t);
    return logits;
}

sp_tensor *sp_lm_loss(sp_tape *t, const sp_lm *m, const int *x, const int *y, long steps, long batch, sp_state *carry)
{
    return sp_cross_entropy_mean(t, sp_lm_on(t, m, x, steps, batch, carry), y, SP_IGNORE);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

bool sp_lm_save(const sp_lm *m, const char *path, sp_status *status)
{
    sp_lm_config config = m->config;
    const sp_option rows[] = { SP_LM_OPTIONS(&config), { 0 } };
    char *vocabulary = sp_vocabulary_write(m->vocabulary);
    const bool ok = vocabulary ? sp_model_save(m->store, kind, rows, 1, &(sp_metadata){ "vocabulary", vocabulary }, path, status)
                               : sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the vocabulary", path);
    free(vocabulary);
    return ok;
}

sp_lm *sp_lm_load(const char *path, sp_status *status)
{
    sp_status inner = { 0 };
    sp_lm_config config;
    const sp_option rows[] = { SP_LM_OPTIONS(&config), { 0 } };
    sp_safetensors *f = sp_model_open(path, kind, rows, status);
    sp_vocabulary *v = f ? sp_model_vocabulary(f, "vocabulary", status) : NULL;
    sp_lm *m = v ? make(&config, v, sp_model_store(f, &inner), &inner) : NULL;
    if (v && !m)
        sp_model_refuse(f, &inner, status);
    if (m && !sp_store_load(m->store, f, status)) {
        sp_lm_free(m);
        m = NULL;
    }
    sp_safetensors_free(f);
    return m;
}

/* ---- using it -------------------------------------------------------------------------------------------------- */

/* A tape that only computes, and a state of zeros. */
static bool open_session(const sp_lm *m, long batch, sp_tape **t, sp_state **state, sp_status *status)
{
    *t = sp_tape_new(m->store);
    *state = sp_state_new(&m->stack, batch);
    sp_tape_set_recording(*t, false);
    sp_tape_set_training(*t, false);
    sp_tape_set_profile(*t, m->profile);
    return (*t && *state) || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for a batch of %ld", batch);
}

/* Hands the tape's error on. */
static bool close_session(sp_tape *t, sp_state *state, sp_status *status)
{
    bool ok = sp_ok(t);
    if (!ok)
        sp_fail_with(status, sp_tape_status(t));
    sp_tape_free(t);
    sp_state_free(state);
    return ok;
}

double sp_lm_evaluate(const sp_lm *m, const int *id, long n, long batch, sp_status *status)
{
    enum { WINDOW = 64 };
    sp_tape *t;
    sp_state *state;
    double sum = 0, count = 0;
    if (batch > n - 1)
        batch = n - 1;
    if (n < 2) {
        sp_fail(status, SP_ERR_VALUE, "evaluation needs 2 symbols or more, there are %ld", n);
        return NAN;
    }
    sp_stream s = sp_stream_of(id, n, batch, WINDOW);
    int *x = malloc((size_t)(2 * WINDOW * batch) * sizeof *x);
    bool ok = open_session(m, batch, &t, &state, status)
              && (x || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for a batch of %ld", batch));
    for (long w = 0; ok && w < s.windows && sp_ok(t); w++) {
        long counted = sp_stream_read(&s, w, x, x + WINDOW * batch);
        sp_tape_reset(t);
        sp_tensor *loss = sp_lm_loss(t, m, x, x + WINDOW * batch, sp_stream_length(&s, w), batch, state);
        sum += (double)sp_item(loss) * (double)counted;
        count += (double)counted;
    }
    ok = close_session(t, state, status) && ok
         && (isfinite(sum) || sp_fail(status, SP_ERR_VALUE, "model: its loss is not finite"));
    free(x);
    return ok ? sum / count : NAN;
}

double sp_lm_score(const sp_lm *m, const int *id, long n, sp_status *status)
{
    if (n < 2)
        return 0;
    return -sp_lm_evaluate(m, id, n, 1, status) * (double)(n - 1);
}

/* Feeds one symbol; its logits into p. */
static bool step(sp_tape *t, const sp_lm *m, int id, sp_state *state, sp_real *p)
{
    sp_tape_reset(t);
    return sp_read(sp_lm_on(t, m, &id, 1, 1, state), p);
}

bool sp_lm_sample(const sp_lm *m, const int *prime, long n, const sp_sampling *how, long length, int *out, double *log_p,
                  sp_status *status)
{
    sp_tape *t;
    sp_state *state;
    long symbols = sp_vocabulary_size(m->vocabulary);
    sp_random random = { .key = { .seed = how->seed, .place = sp_hash_text(0, "sample") } };
    sp_real *logits = malloc((size_t)symbols * sizeof *logits);
    struct sp_choice *room = malloc((size_t)symbols * sizeof *room);
    double sum = 0;
    bool ok = open_session(m, 1, &t, &state, status)
              && ((logits && room) || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld symbols", symbols))
              && (n > 0 || sp_fail(status, SP_ERR_VALUE, "sampling needs a prime of one symbol or more"))
              && (symbols > 1 || sp_fail(status, SP_ERR_VALUE, "sampling needs a symbol other than <unk>"));
    for (long i = 0; ok && i < n; i++)
        ok = step(t, m, prime[i], state, logits);
    for (long i = 0; ok && i < length; i++) {
        double one = 0;
        out[i] = sp_sample(how, symbols, logits, SP_UNKNOWN, &random, room, &one);
        sum += one;
        ok = (out[i] >= 0 || sp_fail(status, SP_ERR_VALUE, "model: it has no symbols, or its logits are not finite"))
             && (i + 1 == length || step(t, m, out[i], state, logits));
    }
    if (log_p)
        *log_p = sum;
    free(logits);
    free(room);
    return close_session(t, state, status) && ok;
}
