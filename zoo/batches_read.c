#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "zoo/batches_inside.h"

sp_batches *sp_batches_of(const long *first, long n, long size, sp_status *status)
{
    long *length = malloc((size_t)(n + 1) * sizeof *length);
    if (!length) {
        sp_fail(status, SP_ERR_MEMORY, "batches: out of memory for %ld sentences", n);
        return NULL;
    }
    for (long i = 0; i < n; i++)
        length[i] = first[i + 1] - first[i];
    sp_batches *b = sp_batches_new(length, n, size, status);
    free(length);
    return b;
}

bool sp_gather(sp_tape *t, const int *id, const long *first, const long *index, long n, struct sp_gathered *g)
{
    *g = (struct sp_gathered){ .n = n, .length = sp_tape_take(t, (size_t)(n + 1) * sizeof *g->length) };
    for (long k = 0; g->length && k < n; k++)
        g->sum += g->length[k] = first[index[k] + 1] - first[index[k]];
    int *to = g->id = g->length ? sp_tape_take(t, (size_t)(g->sum + 1) * sizeof *to) : NULL;
    for (long k = 0; to && k < n; to += g->length[k++])
        memcpy(to, id + first[index[k]], (size_t)g->length[k] * sizeof *to);
    return g->id;
}

void sp_reading_begin(struct sp_reading *r, sp_store *store, sp_profile *profile, const long *first, long n, long most, long room)
{
    *r = (struct sp_reading){ .most = most, .room = room, .first = first, .tape = sp_tape_new(store) };
    sp_tape_set_recording(r->tape, false);
    sp_tape_set_training(r->tape, false);
    sp_tape_set_profile(r->tape, profile);
    sp_status why = { 0 };
    if (n && (r->order = sp_batches_of(first, n, n, &why)))
        r->index = sp_batches_part(r->order, 0, 0, 1, &r->left);
    else if (n)
        sp_tape_fail(r->tape, why.code, "%s", why.message);
}

static long length_of(const struct sp_reading *r, long k)
{
    return r->first[r->index[k] + 1] - r->first[r->index[k]];
}

bool sp_reading_next(struct sp_reading *r)
{
    r->left -= r->n;
    if (r->left)
        r->index += r->n;
    for (r->n = 0; r->left && !length_of(r, 0); r->left--)
        r->index++;
    if (!r->left || !sp_ok(r->tape))
        return false;
    for (r->n = 1; r->n < r->left && r->n < r->most && (r->n + 1) * (length_of(r, r->n) + 1) <= r->room; )
        r->n++;
    sp_tape_reset(r->tape);
    return true;
}

bool sp_reading_end(struct sp_reading *r, sp_status *status)
{
    const bool ok = sp_ok(r->tape) || sp_fail_with(status, sp_tape_status(r->tape));
    sp_tape_free(r->tape);
    sp_batches_free(r->order);
    return ok;
}
