#include "nn/stack.h"

#include <stdlib.h>
#include <string.h>

#include "nn/scan.h"
#include "ops/ops.h"

sp_stack sp_stack_make(sp_store *s, const char *kind, const char *scope, long in, long hidden, int layers, double dropout)
{
    sp_stack k = { .dropout = dropout };
    if (layers < 1 || layers > SP_MAX_LAYERS)
        sp_store_fail(s, SP_ERR_VALUE, "%s: %d layers, not 1 to %d", scope, layers, SP_MAX_LAYERS);
    else if (!(dropout >= 0 && dropout < 1))
        sp_store_fail(s, SP_ERR_VALUE, "%s: dropout %g, not in 0 <= p < 1", scope, dropout);
    else
        while (k.layers < layers) {
            k.cell[k.layers] = sp_cell_make(s, kind, scope, k.layers, k.layers ? sp_stack_out(&k) : in, hidden);
            k.layers++;
        }
    return k;
}

long sp_stack_out(const sp_stack *stack)
{
    return stack && stack->layers > 0 ? sp_cell_out(&stack->cell[stack->layers - 1]) : 0;
}

struct sp_state {
    long batch;
    int layers;
    struct {
        int states;
        sp_shape shape[SP_MAX_STATES];
        sp_real *values[SP_MAX_STATES];         /* in block */
    } layer[SP_MAX_LAYERS];
    long size;
    sp_real block[];
};

sp_state *sp_state_new(const sp_stack *stack, long batch)
{
    long size = 0;
    for (int l = 0; stack && l < stack->layers; l++)
        for (int i = 0; i < stack->cell[l].states; i++) {
            long one = sp_shape_size(SP_SHAPE(batch, stack->cell[l].width[i]));
            if (one < 1)
                return NULL;
            size += one;
        }
    sp_state *s = size ? calloc(1, sizeof *s + (size_t)size * sizeof *s->block) : NULL;
    if (!s)
        return NULL;
    s->batch = batch;
    s->layers = stack->layers;
    s->size = size;
    sp_real *at = s->block;
    for (int l = 0; l < stack->layers; l++) {
        s->layer[l].states = stack->cell[l].states;
        for (int i = 0; i < stack->cell[l].states; i++) {
            s->layer[l].shape[i] = SP_SHAPE(batch, stack->cell[l].width[i]);
            s->layer[l].values[i] = at;
            at += batch * stack->cell[l].width[i];
        }
    }
    return s;
}

void sp_state_free(sp_state *s)
{
    free(s);
}

void sp_state_zero(sp_state *s)
{
    memset(s->block, 0, (size_t)s->size * sizeof *s->block);
}

sp_real *sp_state_values(sp_state *s, long *size)
{
    *size = s->size;
    return s->block;
}

/* True if a carried state is one of this stack's, for this batch. */
static bool fits(const sp_state *carry, const sp_stack *stack, long batch)
{
    bool ok = carry->batch == batch && carry->layers == stack->layers;
    for (int l = 0; ok && l < stack->layers; l++) {
        ok = carry->layer[l].states == stack->cell[l].states;
        for (int i = 0; ok && i < stack->cell[l].states; i++)
            ok = carry->layer[l].shape[i].dim[1] == stack->cell[l].width[i];
    }
    return ok;
}

sp_tensor *sp_stack_on(sp_tape *t, const sp_stack *stack, sp_tensor *xs, sp_state *carry)
{
    sp_tensor *state[SP_MAX_LAYERS][SP_MAX_STATES] = { { NULL } };
    if (!stack || stack->layers < 1)
        return sp_tape_fail(t, SP_ERR_VALUE, "stack: no layers (was it made?)");
    if (carry && sp_sound(xs) && !fits(carry, stack, sp_dim(xs, 1)))
        return sp_tape_fail(t, SP_ERR_SHAPE, "stack: the carried state, of %d layers and a batch of %ld, does not fit %d layers "
                            "and a batch of %ld, or is of other cells", carry->layers, carry->batch, stack->layers,
                            sp_dim(xs, 1));
    for (int l = 0; l < stack->layers; l++) {
        sp_scope_pushf(t, "l%d", l);
        for (int i = 0; carry && i < carry->layer[l].states; i++)
            state[l][i] = sp_feed(t, carry->layer[l].values[i], carry->layer[l].shape[i]);
        if (l)
            xs = sp_dropout(t, xs, stack->dropout);
        xs = sp_scan(t, &stack->cell[l], xs, state[l]);
        sp_scope_pop(t);
    }
    for (int l = 0; carry && sp_ok(t) && l < stack->layers; l++)        /* all of them move on, or none */
        for (int i = 0; i < carry->layer[l].states; i++)
            sp_read(state[l][i], carry->layer[l].values[i]);
    return xs;
}
