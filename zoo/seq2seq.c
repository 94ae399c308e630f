#include "zoo/seq2seq.h"

#include <stdlib.h>
#include <string.h>

#include "nn/init.h"
#include "ops/ops.h"
#include "zoo/seq2seq_inside.h"

static const char kind[] = "spindle.seq2seq 1";     /* the version of the file */

sp_seq2seq_config sp_seq2seq_defaults(void)
{
    return (sp_seq2seq_config){ .source_units = SP_UNITS_BPE, .target_units = SP_UNITS_BPE, .cell = "lstm", .embed = 256,
                                .hidden = 256, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "additive" };
}

/* ---- parameters ------------------------------------------------------------------------------------------------ */

static const sp_cell *cell_at(const sp_stack *stack, int l)
{
    return &stack->layer[l].cell;
}

static const sp_stack *decoder_cells(const sp_seq2seq *m)
{
    return sp_seq2seq_attends(m) ? &m->decoder.cells : &m->plain;
}

/* A map from the final states of a layer of the encoder, both directions side by side, to a first state of the decoder's, where
   these are not of one width. */
static bool make_bridges(sp_seq2seq *m, sp_store *s)
{
    const sp_stack *to = decoder_cells(m);
    int n = 0;
    if (!(m->bridge = sp_store_alloc(s, (size_t)sp_stack_states(to) * sizeof *m->bridge)))
        return false;
    for (int l = 0; l < to->layers; l++) {
        const sp_cell *cell = cell_at(to, l), *forward = cell_at(&m->encoder, l), *back = &m->encoder.layer[l].reverse;
        for (int i = 0; i < cell->states; i++, n++) {
            const long wide = forward->width[i] + (back->step ? back->width[i] : 0);
            char name[64];
            if (wide == cell->width[i])
                continue;
            if (cell->joint)
                return sp_store_fail(s, SP_ERR_VALUE, "cell '%s': its state of %ld numbers cannot begin as %ld of an encoder in "
                                     "both directions", m->config.cell, cell->width[i], wide);
            snprintf(name, sizeof name, "bridge.l%d.s%d", l, i);
            m->bridge[n] = sp_linear_make(s, name, wide, cell->width[i]);
        }
    }
    return true;
}

static void make_decoder(sp_seq2seq *m, sp_store *s)
{
    const sp_seq2seq_config *c = &m->config;
    const sp_stack_config cells = { .cell = c->cell, .in = c->embed, .hidden = c->hidden, .layers = (int)c->layers,
                                    .dropout = c->dropout };
    if (!strcmp(c->attention, "none")) {
        m->plain = sp_stack_make(s, "decoder", &cells);
        return;
    }
    const long memory = sp_stack_out(&m->encoder), query = strcmp(c->cell, "lstm-projected") ? c->hidden : (c->hidden + 1) / 2;
    const sp_attention attention = sp_attention_make(s, c->attention, "attention", query, memory, c->hidden);
    if (sp_store_ok(s))
        m->decoder = sp_decoder_make(s, "decoder", &attention, &cells);
}

static void make_parameters(sp_seq2seq *m, sp_store *s)
{
    const sp_seq2seq_config *c = &m->config;
    const bool both = c->encoder == SP_BOTH_WAYS;
    const long symbols = sp_coder_size(m->target);
    if (both && c->hidden % 2) {
        sp_store_fail(s, SP_ERR_VALUE, "an encoder in both directions needs an even hidden size, not %ld", c->hidden);
        return;
    }
    m->read = sp_embed_make(s, "source.embed", sp_coder_size(m->source), c->embed);
    m->written = sp_embed_make(s, "target.embed", symbols, c->embed);
    m->encoder = sp_stack_make(s, "encoder", &(sp_stack_config){ .cell = c->cell, .in = c->embed,
        .hidden = both ? c->hidden / 2 : c->hidden, .layers = (int)c->layers, .bidirectional = both, .dropout = c->dropout });
    if (sp_store_ok(s))
        make_decoder(m, s);
    if (!sp_store_ok(s) || !make_bridges(m, s))
        return;
    const long out = sp_seq2seq_attends(m) ? sp_decoder_width(&m->decoder) : sp_stack_out(&m->plain);
    const double spread = c->tied ? 0.1 : 1;    /* small vectors learn to attend much later; large logits begin wrong */
    sp_init_uniform(sp_store_find(s, "source.embed.weight"), -1, 1);
    sp_init_uniform(sp_store_find(s, "target.embed.weight"), -spread, spread);
    if (c->tied && c->embed != out)
        sp_store_fail(s, SP_ERR_VALUE, "tied weights need equal sizes, but embed is %ld and the decoder's output %ld",
                      c->embed, out);
    else
        m->out = c->tied ? sp_linear_tied_make(s, "out", m->written.weight) : sp_linear_make(s, "out", out, symbols);
}

/* Takes coders and store over, even if it fails. */
static sp_seq2seq *make(const sp_seq2seq_config *config, sp_coder *source, sp_coder *target, sp_store *s, sp_status *status)
{
    sp_seq2seq *m = source && target && s ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        sp_fail(status, SP_ERR_MEMORY, "model: out of memory");
        sp_coder_free(source);
        sp_coder_free(target);
        sp_store_free(s);
        return NULL;
    }
    *m = (sp_seq2seq){ .config = *config, .source = source, .target = target, .store = s };
    if (sp_store_ok(s))
        make_parameters(m, s);
    if (sp_store_ok(s)) {
        m->config.cell = sp_cell_kind_named(config->cell);      /* the caller's text may be gone later */
        m->config.attention = sp_seq2seq_attends(m) ? m->decoder.attention.kind : "none";
        return m;
    }
    sp_fail_with(status, sp_store_status(s));
    sp_seq2seq_free(m);
    return NULL;
}

sp_seq2seq *sp_seq2seq_new(const sp_seq2seq_config *config, const sp_sentences *train, uint64_t seed, sp_status *status)
{
    if (!config) {
        sp_fail(status, SP_ERR_VALUE, "model: no configuration");
        return NULL;
    }
    sp_seq2seq_config c = *config;
    if (!sp_options_check((const sp_option[]){ SP_SEQ2SEQ_OPTIONS(&c), { 0 } }, status))
        return NULL;
    sp_coder *source = sp_coder_new(config->source_units, train, 0, config->vocabulary, config->least, status);
    sp_coder *target = source ? sp_coder_new(config->target_units, train, 1, config->vocabulary, config->least, status) : NULL;
    if (target)
        return make(config, source, target, sp_store_new(seed), status);
    sp_coder_free(source);
    return NULL;
}

void sp_seq2seq_free(sp_seq2seq *m)
{
    if (m) {
        sp_store_free(m->store);
        sp_coder_free(m->source);
        sp_coder_free(m->target);
        free(m);
    }
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

#define FILE_ROWS(c, source, target) \
    SP_SEQ2SEQ_OPTIONS(c), \
    { "source-longest", SP_OPTION_WHOLE, source, 0, SP_SEQ2SEQ_LONGEST, .help = "" }, \
    { "target-longest", SP_OPTION_WHOLE, target, 0, SP_SEQ2SEQ_LONGEST, .help = "" }

bool sp_seq2seq_save(const sp_seq2seq *m, const char *path, sp_status *status)
{
    if (!m)
        return sp_fail(status, SP_ERR_VALUE, "model: there is none to save");
    sp_seq2seq_config config = m->config;
    long source_longest = m->source_longest, target_longest = m->target_longest;
    const sp_option rows[] = { FILE_ROWS(&config, &source_longest, &target_longest), { 0 } };
    char *source = sp_coder_write(m->source), *target = sp_coder_write(m->target);
    const sp_metadata parts[] = { { "source", source }, { "target", target } };
    const bool ok = source && target ? sp_model_save(m->store, kind, rows, 2, parts, path, status)
                                     : sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the vocabularies", path);
    free(source);
    free(target);
    return ok;
}

sp_seq2seq *sp_seq2seq_load(const char *path, sp_status *status)
{
    sp_status inner = { 0 };
    sp_seq2seq_config config;
    long source_longest, target_longest;
    const sp_option rows[] = { FILE_ROWS(&config, &source_longest, &target_longest), { 0 } };
    sp_safetensors *f = sp_model_open(path, kind, rows, status);
    sp_coder *source = f ? sp_coder_read(config.source_units, f, "source", status) : NULL;
    sp_coder *target = source ? sp_coder_read(config.target_units, f, "target", status) : NULL;
    sp_seq2seq *m = target ? make(&config, source, target, sp_model_store(f, &inner), &inner) : NULL;
    if (!target)
        sp_coder_free(source);
    else if (!m)
        sp_model_refuse(f, &inner, status);
    if (m && !sp_model_read(m->store, f, status)) {
        sp_seq2seq_free(m);
        m = NULL;
    }
    if (m) {
        m->source_longest = source_longest;
        m->target_longest = target_longest;
    }
    sp_safetensors_free(f);
    return m;
}
