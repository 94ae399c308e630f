/* Checkpoints of an optimizer: the parameters and its slots are the tensors of one file, the rest is in its metadata. */
#include <stdlib.h>
#include <string.h>

#include "nn/rule_inside.h"

#define KIND "optimizer"
#define STATE "optimizer.state"

enum { NUMBERS = sizeof(struct sp_optimizer_state) / sizeof(double) };

/* Whether counts are whole numbers, so that none is ever an index out of range, and the rest is what losses can make of it. */
static bool is_sound(const struct sp_optimizer_state *s)
{
    const double counts[] = { s->steps, s->averaged, s->bad, s->resting, s->validations };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!(counts[i] >= 0 && counts[i] <= 1e15 && floor(counts[i]) == counts[i]))
            return false;
    return s->factor >= 0 && s->factor <= 1 && !isnan(s->best) && !isnan(s->oldest);
}

bool sp_optimizer_save(const sp_optimizer *o, const sp_store *more, const char *path, int n, const sp_metadata *metadata,
                       sp_status *status)
{
    char state[SP_NUMBERS_TEXT(NUMBERS)];
    double x[NUMBERS];
    if (!o || (n > 0 && !metadata))
        return sp_fail(status, SP_ERR_VALUE, "save: the %s is NULL", o ? "metadata" : "optimizer");
    if (o->swapped)
        return sp_fail(status, SP_ERR_STATE, "save: the averages are in the store: swap them back first");
    n = n > 0 ? n : 0;
    if (!sp_optimizer_fits(o, status))
        return false;
    if (!is_sound(&o->state))
        return sp_fail(status, SP_ERR_STATE, "save: a number of the optimizer's state is out of its range");
    for (int i = 0; i < n; i++)
        if (metadata[i].key && !strncmp(metadata[i].key, KIND, sizeof KIND - 1))
            return sp_fail(status, SP_ERR_VALUE, "save: the metadata key '%s' is the optimizer's own", metadata[i].key);
    sp_metadata *all = malloc(((size_t)n + 2) * sizeof *all);
    if (!all)
        return sp_fail(status, SP_ERR_MEMORY, "save: out of memory for %d pairs of metadata", n);
    memcpy(x, &o->state, sizeof x);
    sp_numbers_write(state, NUMBERS, x);
    all[0] = (sp_metadata){ KIND, o->rule->name };
    all[1] = (sp_metadata){ STATE, state };
    for (int i = 0; i < n; i++)
        all[i + 2] = metadata[i];
    bool ok = sp_stores_save(more ? 3 : 2, (const sp_store *[]){ o->store, o->memory, more }, path, n + 2, all, status);
    free(all);
    return ok;
}

bool sp_optimizer_load(sp_optimizer *o, sp_store *more, const sp_safetensors *f, sp_status *status)
{
    struct sp_optimizer_state state;
    double x[NUMBERS];
    const char *kind = sp_safetensors_get(f, KIND), *text = sp_safetensors_get(f, STATE);
    if (!o || !f)
        return sp_fail(status, SP_ERR_VALUE, "load: the %s is NULL", f ? "optimizer" : "file");
    if (!kind || !text)
        return sp_fail(status, SP_ERR_FORMAT, "%s: holds no optimizer", sp_safetensors_path(f));
    if (strcmp(kind, o->rule->name))
        return sp_fail(status, SP_ERR_FORMAT, "%s: the optimizer is '%s', not '%s'", sp_safetensors_path(f), kind,
                       o->rule->name);
    const bool read = sp_numbers_read(text, NUMBERS, x);
    if (read)
        memcpy(&state, x, sizeof x);
    if (!read || !is_sound(&state))
        return sp_fail(status, SP_ERR_FORMAT, "%s: the optimizer's state is not %d numbers in their ranges",
                       sp_safetensors_path(f), NUMBERS);
    if (state.averaged > 0 && !o->average && o->size)
        return sp_fail(status, SP_ERR_FORMAT, "%s: has averages of %g weights, the optimizer has none: call "
                       "sp_optimizer_average first", sp_safetensors_path(f), state.averaged);
    if (!sp_optimizer_fits(o, status)
        || !sp_stores_load(more ? 3 : 2, (sp_store *[]){ o->store, o->memory, more }, f, status))
        return false;
    o->state = state;
    o->swapped = false;
    return true;
}
