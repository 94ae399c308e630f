#include "nn/stack.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/init.h"
#include "nn/locked_dropout.h"
#include "nn/scan.h"
#include "nn/weight_drop.h"
#include "nn/zoneout_cell.h"
#include "ops/ops.h"

/* ---- making ---------------------------------------------------------------------------------------------------- */

static bool check_config(sp_store *s, const char *scope, const sp_stack_config *c)
{
    if (!scope || !c)
        return sp_store_fail(s, SP_ERR_VALUE, "stack: no %s", scope ? "configuration" : "name");
    if (c->layers < 1)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: %d layers, not 1 or more", scope, c->layers);
    if (c->in < 1 || c->hidden < 1 || c->projected < 0 || c->in > INT32_MAX || c->hidden > INT32_MAX || c->projected > INT32_MAX)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: in %ld, hidden %ld, projected %ld", scope, c->in, c->hidden, c->projected);
    if (c->merge != SP_MERGE_CONCAT && c->merge != SP_MERGE_SUM)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: a merge %d, which is no sp_merge", scope, (int)c->merge);
    if (c->skip != SP_SKIP_NONE && c->skip != SP_SKIP_RESIDUAL && c->skip != SP_SKIP_HIGHWAY)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: a skip %d, which is no sp_skip", scope, (int)c->skip);
    const struct { const char *name; double p; } rates[] = {
        { "dropout", c->dropout }, { "zoneout", c->zoneout }, { "weight drop", c->weight_drop },
    };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (!(rates[i].p >= 0 && rates[i].p < 1))
            return sp_store_fail(s, SP_ERR_VALUE, "%s: %s %g, not in 0 <= p < 1", scope, rates[i].name, rates[i].p);
    const char *cell = c->cell ? c->cell : "NULL";
    if (c->projected && strcmp(cell, "lstm-projected") != 0)
        return sp_store_fail(s, SP_ERR_VALUE, "%s: a cell '%s' has no output that is %ld wide", scope, cell, c->projected);
    return true;
}

/* The matrix "<scope>.weight_hh_l..." among the parameters from the given one on; an IndRNN's is a vector, which is none. */
static const sp_param *find_recurrent(const sp_store *s, const char *scope, int from)
{
    static const char name[] = ".weight_hh_l";
    for (int i = from; i < sp_store_count(s); i++)
        if (!strncmp(sp_store_at(s, i)->name + strlen(scope), name, sizeof name - 1) && sp_store_at(s, i)->shape.rank == 2)
            return sp_store_at(s, i);
    return NULL;
}

static sp_cell make_cell(sp_store *s, const char *scope, const sp_stack_config *c, int layer, long in, const sp_param **drop)
{
    const int before = sp_store_count(s);
    double p[SP_MAX_STATES];
    for (int i = 0; i < SP_MAX_STATES; i++)
        p[i] = c->zoneout;
    sp_cell cell = c->projected ? sp_lstm_projected_to(s, scope, layer, in, c->hidden, c->projected)
                                : sp_cell_make(s, c->cell, scope, layer, in, c->hidden);
    if (cell.step && c->weight_drop > 0 && !(*drop = find_recurrent(s, scope, before)))
        sp_store_fail(s, SP_ERR_VALUE, "%s: weight drop %g, but a cell '%s' has no matrix weight_hh", scope, c->weight_drop, c->cell);
    return sp_store_ok(s) && c->zoneout > 0 ? sp_zoneout_make(s, &cell, p) : cell;
}

static sp_linear make_gate(sp_store *s, const char *scope, int layer, long width)
{
    const double a = 1 / sqrt((double)width);
    sp_param *weight = sp_recurrent_param(s, SP_SHAPE(width, width), scope, "weight_highway", layer, a);
    sp_param *bias = sp_recurrent_param(s, SP_SHAPE(width), scope, "bias_highway", layer, 0);
    sp_init_constant(bias, -1);
    return (sp_linear){ weight, bias };
}

static bool is_bidirectional(const sp_stack_layer *layer)
{
    return layer->reverse.step;
}

static sp_bidirectional pair_of(const sp_stack *stack, const sp_stack_layer *layer)
{
    return (sp_bidirectional){ layer->cell, layer->reverse, stack->merge };
}

static long layer_out(const sp_stack *stack, const sp_stack_layer *layer)
{
    const sp_bidirectional pair = pair_of(stack, layer);
    return is_bidirectional(layer) ? sp_bidirectional_out(&pair) : sp_cell_out(&layer->cell);
}

sp_stack sp_stack_make(sp_store *s, const char *scope, const sp_stack_config *c)
{
    sp_stack k = { 0 };
    if (!check_config(s, scope, c) || !(k.layer = sp_store_alloc(s, (size_t)c->layers * sizeof *k.layer)))
        return (sp_stack){ 0 };
    k.merge = c->merge;
    k.skip = c->skip;
    k.dropout = c->dropout;
    k.weight_drop = c->weight_drop;
    k.variational = c->variational;
    for (long in = c->in; k.layers < c->layers && sp_store_ok(s); in = sp_stack_out(&k)) {
        const int l = k.layers++;
        sp_stack_layer *layer = &k.layer[l];
        layer->cell = make_cell(s, scope, c, l, in, &layer->drop[0]);
        if (c->bidirectional)
            layer->reverse = make_cell(s, scope, c, sp_reverse_layer(l), in, &layer->drop[1]);
        if (c->skip == SP_SKIP_HIGHWAY && in == sp_stack_out(&k))
            layer->gate = make_gate(s, scope, l, in);
    }
    return sp_store_ok(s) ? k : (sp_stack){ 0 };
}

long sp_stack_out(const sp_stack *stack)
{
    return stack && stack->layers > 0 ? layer_out(stack, &stack->layer[stack->layers - 1]) : 0;
}

static int layer_states(const sp_stack_layer *layer)
{
    return layer->cell.states + (is_bidirectional(layer) ? layer->reverse.states : 0);
}

int sp_stack_states(const sp_stack *stack)
{
    int n = 0;
    for (int l = 0; stack && l < stack->layers; l++)
        n += layer_states(&stack->layer[l]);
    return n;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static sp_tensor *skip(sp_tape *t, const sp_stack *stack, const sp_stack_layer *layer, sp_tensor *x, sp_tensor *y)
{
    if (stack->skip == SP_SKIP_NONE || sp_dim(x, 1) != sp_dim(y, 1))
        return y;
    if (stack->skip == SP_SKIP_RESIDUAL)
        return sp_add(t, x, y);
    return sp_lerp(t, x, y, sp_sigmoid(t, sp_linear_on(t, &layer->gate, x)));
}

static sp_seq layer_on(sp_tape *t, const sp_stack *stack, int l, sp_seq xs, sp_tensor **state)
{
    const sp_stack_layer *layer = &stack->layer[l];
    sp_tensor *x = xs.rows;
    sp_scope_pushf(t, "l%d", l);
    if (l)
        xs = stack->variational ? sp_locked_dropout_seq(t, xs, stack->dropout)
                                : sp_seq_like(xs, sp_dropout(t, xs.rows, stack->dropout));
    for (int i = 0; i < 2; i++)
        if (layer->drop[i])
            sp_weight_drop(t, layer->drop[i], stack->weight_drop);
    if (is_bidirectional(layer)) {
        const sp_bidirectional pair = pair_of(stack, layer);
        xs = sp_bidirectional_on(t, &pair, xs, state);
    } else {
        xs = sp_scan_seq(t, &layer->cell, xs, state, false);
    }
    xs = sp_seq_like(xs, skip(t, stack, layer, x, xs.rows));
    sp_scope_pop(t);
    return xs;
}

sp_seq sp_stack_on_seq(sp_tape *t, const sp_stack *stack, sp_seq xs, sp_tensor **state)
{
    if (!stack || !stack->layer || stack->layers < 1)
        return sp_seq_like(xs, sp_tape_fail(t, SP_ERR_VALUE, "stack: no layers (was it made?)"));
    for (int l = 0; l < stack->layers; l++) {
        xs = layer_on(t, stack, l, xs, state);
        if (state)
            state += layer_states(&stack->layer[l]);
    }
    return xs;
}

/* Why a layer cannot go step by step; NULL: it can. */
static const char *not_a_step(const sp_tape *t, const sp_stack *stack, int l)
{
    const sp_stack_layer *layer = &stack->layer[l];
    const bool training = sp_tape_training(t);
    if (!layer->cell.step)
        return "has no step (was its cell made?)";
    if (is_bidirectional(layer))
        return "is bidirectional";
    if (l && training && stack->variational && stack->dropout > 0)
        return "has variational dropout, which is drawn once for a whole sequence";
    if (training && layer->drop[0] && stack->weight_drop > 0)
        return "has weight drop, which is drawn once for a whole sequence";
    return NULL;
}

sp_tensor *sp_stack_step(sp_tape *t, const sp_stack *stack, sp_tensor *x, sp_tensor **state)
{
    if (!stack || !stack->layer || stack->layers < 1 || !state)
        return sp_tape_fail(t, SP_ERR_VALUE, "stack: no %s", state ? "layers (was it made?)" : "states");
    for (int l = 0; l < stack->layers; l++) {
        const sp_stack_layer *layer = &stack->layer[l];
        const char *why = not_a_step(t, stack, l);
        if (why)
            return sp_tape_fail(t, SP_ERR_STATE, "stack: layer %d %s", l, why);
        for (int i = 0; i < layer->cell.states; i++)
            if (!state[i])
                return sp_tape_fail(t, SP_ERR_VALUE, "stack: state %d of layer %d is NULL", i, l);
        sp_tensor *in = l ? sp_dropout(t, x, stack->dropout) : x;
        x = skip(t, stack, layer, x, layer->cell.step(t, layer->cell.self, in, state));
        state += layer->cell.states;
    }
    return x;
}

/* ---- states that are carried ----------------------------------------------------------------------------------- */

struct sp_state {
    long batch, size;
    int layers, states;
    sp_real *value;             /* [size], behind the list */
    struct {
        sp_shape shape;
        int layer;
    } state[];                  /* [states] */
};

/* Of a stack in one direction; the reverse cells' are none that could be carried. */
static int carried_states(const sp_stack *stack)
{
    int n = 0;
    for (int l = 0; stack && l < stack->layers; l++)
        n += stack->layer[l].cell.states;
    return n;
}

sp_state *sp_state_new(const sp_stack *stack, long batch)
{
    const int states = carried_states(stack);
    long size = 0;
    for (int l = 0; stack && l < stack->layers; l++)
        for (int i = 0; i < stack->layer[l].cell.states; i++) {
            long one = sp_shape_size(SP_SHAPE(batch, stack->layer[l].cell.width[i]));
            if (one < 1 || one > (1L << 40) - size)
                return NULL;
            size += one;
        }
    sp_state *s = NULL;
    const size_t list = sizeof *s + (size_t)states * sizeof s->state[0];
    s = size ? calloc(1, list + (size_t)size * sizeof *s->value) : NULL;
    if (!s)
        return NULL;
    s->batch = batch;
    s->size = size;
    s->layers = stack->layers;
    s->value = (sp_real *)((char *)s + list);
    for (int l = 0; l < stack->layers; l++)
        for (int i = 0; i < stack->layer[l].cell.states; i++) {
            s->state[s->states].shape = SP_SHAPE(batch, stack->layer[l].cell.width[i]);
            s->state[s->states++].layer = l;
        }
    return s;
}

void sp_state_free(sp_state *s)
{
    free(s);
}

void sp_state_zero(sp_state *s)
{
    if (s)
        memset(s->value, 0, (size_t)s->size * sizeof *s->value);
}

sp_real *sp_state_values(sp_state *s, long *size)
{
    *size = s ? s->size : 0;
    return s ? s->value : NULL;
}

/* True if a carried state is one of this stack's, for this batch. */
static bool fits(const sp_state *carry, const sp_stack *stack, long batch)
{
    int n = 0;
    bool ok = carry->batch == batch && carry->states == carried_states(stack);
    for (int l = 0; ok && l < stack->layers; l++)
        for (int i = 0; ok && i < stack->layer[l].cell.states; i++, n++)
            ok = carry->state[n].layer == l && carry->state[n].shape.dim[1] == stack->layer[l].cell.width[i];
    return ok;
}

/* From the state where the last sequence ended to the one where this does. */
static sp_tensor *carry_on(sp_tape *t, const sp_stack *stack, sp_seq xs, sp_state *carry)
{
    sp_tensor **state = sp_tape_take(t, (size_t)carry->states * sizeof *state);
    long at = 0;
    for (int i = 0; state && i < carry->states; at += sp_shape_size(carry->state[i++].shape))
        state[i] = sp_feed(t, carry->value + at, carry->state[i].shape);
    if (!state || !sp_ok(t))
        return sp_tape_fail(t, SP_ERR_STATE, "stack: failed");
    sp_tensor *ys = sp_seq_tensor(t, sp_stack_on_seq(t, stack, xs, state));
    at = 0;                                             /* all of them move on, or none */
    for (int i = 0; sp_ok(t) && i < carry->states; at += sp_shape_size(carry->state[i++].shape))
        sp_read(state[i], carry->value + at);
    return ys;
}

sp_tensor *sp_stack_on(sp_tape *t, const sp_stack *stack, sp_tensor *xs, sp_state *carry)
{
    if (!stack || !stack->layer || stack->layers < 1)
        return sp_tape_fail(t, SP_ERR_VALUE, "stack: no layers (was it made?)");
    const sp_seq seq = sp_seq_of(t, xs);
    if (!carry)
        return sp_seq_tensor(t, sp_stack_on_seq(t, stack, seq, NULL));
    for (int l = 0; l < stack->layers; l++)
        if (is_bidirectional(&stack->layer[l]))
            return sp_tape_fail(t, SP_ERR_STATE, "stack: layer %d is bidirectional and carries no state: its reverse cell "
                                "begins at the end of all that is to come", l);
    if (seq.layout && !fits(carry, stack, seq.layout->batch))
        return sp_tape_fail(t, SP_ERR_SHAPE, "stack: the carried state, of %d layers and a batch of %ld, does not fit %d "
                            "layers and a batch of %ld, or is of other cells", carry->layers, carry->batch, stack->layers,
                            seq.layout->batch);
    return carry_on(t, stack, seq, carry);
}
