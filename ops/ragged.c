/* Sequences in the rows of a tensor: see ops/kernel.h. */
#include "ops/kernel.h"

/* Adds up the lengths. */
static bool count_steps(sp_tape *t, const char *who, const sp_ragged *r, long shortest, long *steps, long *longest)
{
    const long n = r ? r->n : 0;
    *steps = *longest = 0;
    if (!r)
        sp_tape_fail(t, SP_ERR_VALUE, "%s: no sequences (NULL)", who);
    else if (n < 0 || (n && !r->length))
        sp_tape_fail(t, SP_ERR_VALUE, "%s: %ld sequences%s", who, n, n > 0 ? ", and no lengths" : "");
    for (long i = 0; i < n && sp_ok(t); i++) {
        const long length = r->length[i];
        if (length < shortest)
            sp_tape_fail(t, SP_ERR_SHAPE, "%s: length %ld of sequence %ld is not %ld or more", who, length, i, shortest);
        else if (length > INT32_MAX - *steps)
            sp_tape_fail(t, SP_ERR_SHAPE, "%s: length %ld of sequence %ld makes more than %d steps", who, length, i, INT32_MAX);
        *steps += length;
        *longest = length > *longest ? length : *longest;
    }
    return sp_ok(t);
}

bool sp_ragged_take(sp_tape *t, const char *who, const sp_tensor *rows, const sp_ragged *r, long shortest, sp_ragged *copy,
                    long *steps, long *longest)
{
    if (!sp_ok(t) || !sp_usable(t, rows, who, "input", 1) || !count_steps(t, who, r, shortest, steps, longest))
        return false;
    const long there = sp_dim(rows, 0);
    if (r->row ? *steps > there : *steps != there)
        sp_tape_fail(t, SP_ERR_SHAPE, "%s: %ld rows for %ld steps", who, there, *steps);
    for (long i = 0; i < *steps && r->row && sp_ok(t); i++)
        if (r->row[i] < 0 || r->row[i] >= there)
            sp_tape_fail(t, SP_ERR_VALUE, "%s: row %d at place %ld is not in 0..%ld", who, r->row[i], i, there - 1);
    if (!sp_ok(t))
        return false;
    *copy = (sp_ragged){ .n = r->n, .length = sp_tape_copy(t, r->length, (size_t)r->n * sizeof *r->length) };
    if (r->row)
        copy->row = sp_tape_copy(t, r->row, (size_t)*steps * sizeof *r->row);
    return sp_ok(t);
}
