#include "zoo/lm.h"

#include <stdlib.h>

#include "nn/init.h"
#include "nn/locked_dropout.h"
#include "nn/loss.h"
#include "ops/ops.h"

static const char kind[] = "spindle.lm 2";      /* the version of the file; a change that old models do not survive raises it */

/* ---- the model ------------------------------------------------------------------------------------------------- */

/* Cutoffs N, 5 N, 21 N, ...: each cluster has four times the symbols of what is before it, and vectors a quarter as wide. */
static sp_adaptive_softmax make_adaptive(sp_store *s, long in, long symbols, long head)
{
    enum { GROWTH = 4 };
    long cutoff[SP_MAX_CLUSTERS], size = head, end = head, width = in / GROWTH;
    int n = 0;
    if (head >= symbols) {
        sp_store_fail(s, SP_ERR_VALUE, "adaptive softmax: %ld symbols in the head, but there are %ld in all", head, symbols);
        return (sp_adaptive_softmax){ 0 };
    }
    for (; n < SP_MAX_CLUSTERS && end < symbols && (n == 0 || width > 0); width /= GROWTH) {
        cutoff[n++] = end;
        size *= GROWTH;
        end += size;
    }
    return sp_adaptive_softmax_make(s, "out", in, symbols, n, cutoff, GROWTH, true);
}

static void make_output(sp_lm *m, sp_store *s, long symbols)
{
    const sp_lm_config *c = &m->config;
    const long out = sp_stack_out(&m->stack);
    if (c->tied && c->adaptive)
        sp_store_fail(s, SP_ERR_VALUE, "tied weights and an adaptive softmax (%ld symbols in its head) exclude each other",
                      c->adaptive);
    if (c->tied && c->embed != out)
        sp_store_fail(s, SP_ERR_VALUE, "tied weights need equal sizes, but embed is %ld and the cells' output %ld",
                      c->embed, out);
    if (!sp_store_ok(s))
        return;
    if (c->tied) {
        sp_init_uniform(sp_store_find(s, "embed.weight"), -0.1, 0.1);
        m->out = sp_linear_tied_make(s, "out", m->embed.weight);
    } else if (c->adaptive) {
        m->adaptive = make_adaptive(s, out, symbols, c->adaptive);
    } else {
        m->out = sp_linear_make(s, "out", out, symbols);
    }
}

/* Takes vocabulary and store over, even if it fails. */
static sp_lm *make(const sp_lm_config *config, sp_vocabulary *vocabulary, sp_store *s, sp_status *status)
{
    sp_lm *m = vocabulary && s ? calloc(1, sizeof *m) : NULL;
    if (!vocabulary)
        sp_fail(status, SP_ERR_VALUE, "model: there is no vocabulary");
    if (!m) {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory");
        sp_vocabulary_free(vocabulary);
        sp_store_free(s);
        return NULL;
    }
    const sp_lm_config *c = &m->config;
    long symbols = sp_vocabulary_size(vocabulary);
    *m = (sp_lm){ .config = *config, .vocabulary = vocabulary, .store = s };
    m->embed = sp_embed_make(s, "embed", symbols, c->embed);
    m->stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = c->cell, .in = c->embed, .hidden = c->hidden,
                                                           .layers = (int)c->layers, .dropout = c->dropout,
                                                           .variational = c->variational, .weight_drop = c->weight_drop });
    make_output(m, s, symbols);
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
    sp_lm_config c = config ? *config : (sp_lm_config){ 0 };
    if (!config)
        sp_fail(status, SP_ERR_VALUE, "model: no configuration");
    else if (sp_options_check((const sp_option[]){ SP_LM_OPTIONS(&c), { 0 } }, status))
        return make(config, vocabulary, sp_store_new(seed), status);
    sp_vocabulary_free(vocabulary);
    return NULL;
}

void sp_lm_free(sp_lm *m)
{
    if (m) {
        sp_store_free(m->store);
        sp_vocabulary_free(m->vocabulary);
        free(m);
    }
}

/* ---- running it ------------------------------------------------------------------------------------------------ */

/* rows [steps*batch,n] */
static sp_tensor *drop(sp_tape *t, const sp_lm *m, sp_tensor *rows, long steps, long batch)
{
    if (!m->config.variational)
        return sp_dropout(t, rows, m->config.dropout);
    const long width = sp_dim(rows, 1);
    sp_tensor *x = sp_locked_dropout(t, sp_reshape(t, rows, SP_SHAPE(steps, batch, width)), m->config.dropout);
    return sp_reshape(t, x, SP_SHAPE(steps * batch, width));
}

/* The vectors of n symbols, while training some symbols without: what is drawn is drawn for a symbol, not for a place. */
static sp_tensor *embed(sp_tape *t, const sp_lm *m, const int *x, long n)
{
    sp_tensor *e = sp_embed_on(t, &m->embed, x, n);
    if (m->config.embed_dropout == 0 || !sp_tape_training(t))
        return e;
    sp_tensor *kept = sp_dropout(t, sp_full(t, 1, SP_SHAPE(sp_vocabulary_size(m->vocabulary), 1)), m->config.embed_dropout);
    return sp_mul(t, e, sp_embedding(t, kept, x, n));
}

/* What the output layer reads, [steps*batch,width]. */
static sp_tensor *hidden_on(sp_tape *t, const sp_lm *m, const int *x, long steps, long batch, sp_state *carry)
{
    sp_scope_push(t, "embed");
    sp_tensor *e = drop(t, m, embed(t, m, x, steps * batch), steps, batch);
    sp_scope_pop(t);
    sp_scope_push(t, "rnn");
    sp_tensor *h = sp_stack_on(t, &m->stack, sp_reshape(t, e, SP_SHAPE(steps, batch, m->config.embed)), carry);
    sp_scope_pop(t);
    return sp_reshape(t, h, SP_SHAPE(steps * batch, sp_stack_out(&m->stack)));
}

sp_tensor *sp_lm_on(sp_tape *t, const sp_lm *m, const int *x, long steps, long batch, sp_state *carry)
{
    sp_tensor *h = hidden_on(t, m, x, steps, batch, carry);
    sp_scope_push(t, "out");
    sp_tensor *rows = drop(t, m, h, steps, batch);
    sp_tensor *logits = m->adaptive.clusters ? sp_adaptive_log_softmax(t, &m->adaptive, rows)
                                             : sp_linear_on(t, &m->out, rows);
    sp_scope_pop(t);
    return logits;
}

sp_tensor *sp_lm_loss(sp_tape *t, const sp_lm *m, const int *x, const int *y, long steps, long batch, sp_state *carry)
{
    if (!m->adaptive.clusters)
        return sp_cross_entropy_mean(t, sp_lm_on(t, m, x, steps, batch, carry), y, SP_IGNORE);
    sp_tensor *h = hidden_on(t, m, x, steps, batch, carry);
    sp_scope_push(t, "out");
    sp_tensor *loss = sp_adaptive_cross_entropy_mean(t, &m->adaptive, drop(t, m, h, steps, batch), y, SP_IGNORE);
    sp_scope_pop(t);
    return loss;
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
    if (m && !sp_model_read(m->store, f, status)) {
        sp_lm_free(m);
        m = NULL;
    }
    sp_safetensors_free(f);
    return m;
}
