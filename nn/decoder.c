/* Equations and the source stand in nn/decoder.h. */
#include "nn/decoder.h"

#include <math.h>

#include "nn/init.h"
#include "nn/scan.h"
#include "ops/ops.h"

#define MOST (1L << 40)         /* more than fits into a shape, and sums of them into a long */

static bool check_config(sp_store *s, const char *name, const sp_attention *a, const sp_stack_config *c)
{
    if (!name || !c)
        return sp_store_fail(s, SP_ERR_VALUE, "decoder: no %s", name ? "configuration" : "name");
    if (!a || !a->kind)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: the attention is NULL, or was not made", name);
    if (c->in < 1 || c->hidden < 1 || c->in > MOST || c->hidden > MOST)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: in %ld, hidden %ld", name, c->in, c->hidden);
    if (a->memory > MOST)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: a memory %ld wide", name, a->memory);
    if (c->bidirectional || c->variational || c->weight_drop > 0)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: a decoder goes step by step: it is not bidirectional, and has neither "
                             "variational dropout nor weight drop", name);
    return true;
}

sp_decoder sp_decoder_make(sp_store *s, const char *name, const sp_attention *attention, const sp_stack_config *config)
{
    sp_decoder d = { 0 };
    if (!check_config(s, name, attention, config))
        return d;
    sp_stack_config fed = *config;
    fed.in += config->hidden;
    d.cells = sp_stack_make(s, name, &fed);
    const long query = sp_stack_out(&d.cells), wide = attention->memory + query;
    if (!sp_store_ok(s))
        return (sp_decoder){ 0 };
    if (query != attention->query)
        sp_store_fail(s, SP_ERR_VALUE, "%s: a stack that gives %ld numbers, and an attention whose query is %ld wide", name,
                      query, attention->query);
    d.attention = *attention;
    if (sp_decoder_states(&d) > SP_MAX_STATES)
        sp_store_fail(s, SP_ERR_VALUE, "%s: %d states of %d layers, more than %d", name, sp_decoder_states(&d), d.cells.layers,
                      SP_MAX_STATES);
    sp_param *combine = sp_store_add(s, SP_SHAPE(config->hidden, wide), "%s.combine.weight", name);
    sp_init_uniform(combine, -1 / sqrt((double)wide), 1 / sqrt((double)wide));
    d.combine.weight = combine;
    return sp_store_ok(s) ? d : (sp_decoder){ 0 };
}

int sp_decoder_states(const sp_decoder *d)
{
    return d ? sp_stack_states(&d->cells) + 1 + (d->attention.coverage != NULL) : 0;
}

long sp_decoder_width(const sp_decoder *d)
{
    return d && d->combine.weight ? d->combine.weight->shape.dim[0] : 0;
}

/* A decoder over a memory. */
struct reading {
    const sp_decoder *decoder;
    sp_memory memory;
    long places;
};

static sp_tensor *step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct reading *r = self;
    const sp_decoder *d = r->decoder;
    const bool covers = d->attention.coverage;
    sp_tensor **fed = state + sp_stack_states(&d->cells), **coverage = covers ? fed + 1 : NULL;
    sp_tensor *before = covers ? *coverage : NULL, *weights;
    sp_tensor *h = sp_stack_step(t, &d->cells, sp_concat(t, 2, (sp_tensor *[]){ x, *fed }, 1), state);
    sp_tensor *context = sp_attention_on(t, &d->attention, &r->memory, h, coverage, &weights);
    *fed = sp_tanh(t, sp_linear_on(t, &d->combine, sp_concat(t, 2, (sp_tensor *[]){ context, h }, 1)));
    sp_tensor *parts[3] = { *fed, weights };
    if (covers)
        parts[2] = sp_reshape(t, sp_coverage_loss(t, weights, before), SP_SHAPE(sp_dim(x, 0), 1));
    return sp_concat(t, covers ? 3 : 2, parts, 1);
}

/* Whether a struct that was made by hand fits together. */
static bool sound(sp_tape *t, const sp_decoder *d)
{
    const int states = sp_decoder_states(d);
    if (!d || !d->combine.weight || !d->attention.kind || !d->cells.layer || d->cells.layers < 1)
        sp_tape_fail(t, SP_ERR_VALUE, "decoder: it is NULL, or was not made");
    for (int l = 0; sp_ok(t) && l < d->cells.layers; l++)
        if (!d->cells.layer[l].cell.step || d->cells.layer[l].reverse.step)
            sp_tape_fail(t, SP_ERR_VALUE, "decoder: layer %d %s", l, d->cells.layer[l].cell.step ? "is bidirectional"
                                                                         : "has no step (was its cell made?)");
    if (sp_ok(t) && states > SP_MAX_STATES)
        sp_tape_fail(t, SP_ERR_VALUE, "decoder: %d states, more than %d", states, SP_MAX_STATES);
    return sp_ok(t);
}

sp_cell sp_decoder_cell(sp_tape *t, const sp_decoder *d, const sp_memory *m, const sp_layout *layout)
{
    struct reading *r = sound(t, d) ? sp_tape_take(t, sizeof *r) : NULL;
    if (!r || !m) {
        sp_tape_fail(t, SP_ERR_VALUE, "decoder: no memory");
        return (sp_cell){ .name = "decoder" };
    }
    *r = (struct reading){ d, layout ? sp_memory_sorted(t, m, layout) : *m, sp_dim(m->mask, 1) };
    const bool covers = d->attention.coverage;
    sp_cell cell = { .name = "decoder", .self = r, .step = step, .out = sp_decoder_width(d) + r->places + covers };
    for (int l = 0; l < d->cells.layers; l++)
        for (int i = 0; i < d->cells.layer[l].cell.states; i++)
            cell.width[cell.states++] = d->cells.layer[l].cell.width[i];
    cell.width[cell.states++] = sp_decoder_width(d);
    if (covers)
        cell.width[cell.states++] = r->places;
    return cell;
}

sp_decoded sp_decoder_split(sp_tape *t, const sp_cell *cell, sp_seq y)
{
    if (!cell || cell->step != step || !sp_sound(y.rows)) {
        const sp_seq none = sp_seq_like(y, sp_tape_fail(t, SP_ERR_VALUE, "decoder: no y of a decoder's cell"));
        return (sp_decoded){ none, none, none };
    }
    const struct reading *r = cell->self;
    const long width = sp_decoder_width(r->decoder), behind = width + r->places;
    sp_decoded d = { sp_seq_like(y, sp_slice(t, y.rows, 1, 0, width)), sp_seq_like(y, sp_slice(t, y.rows, 1, width, behind)),
                     { NULL, NULL } };
    if (r->decoder->attention.coverage)
        d.penalty = sp_seq_like(y, sp_slice(t, y.rows, 1, behind, behind + 1));
    return d;
}

sp_decoded sp_decoder_on(sp_tape *t, const sp_decoder *d, const sp_memory *m, sp_seq xs, sp_tensor **state)
{
    const sp_cell cell = sp_decoder_cell(t, d, m, xs.layout);
    return sp_decoder_split(t, &cell, sp_scan_seq(t, &cell, xs, state, false));
}
