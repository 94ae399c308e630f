#include "zoo/batches.h"

#include <stdlib.h>
#include <string.h>

#include "zoo/trainer.h"

enum { POOL = 100 };                /* batches whose sentences are sorted together */

struct place {
    long index, length, turn;       /* a sentence; its length; its turn in the order it was sorted from */
};

struct sp_batches {
    long n, size, batches;
    long *length;                   /* [n] */
    struct place *sorted;           /* [n] scratch memory */
    long *order;                    /* [n] the sentences, batch behind batch */
    long *slot;                     /* [batches] which of these each batch is */
};

void sp_batches_free(sp_batches *b)
{
    if (b) {
        free(b->length);
        free(b->sorted);
        free(b->order);
        free(b->slot);
        free(b);
    }
}

sp_batches *sp_batches_new(const long *length, long n, long size, sp_status *status)
{
    if (!length || n < 1 || size < 1) {
        sp_fail(status, SP_ERR_VALUE, "batches: %ld sentences in batches of %ld%s", n, size, length ? "" : ", without lengths");
        return NULL;
    }
    for (long i = 0; i < n; i++)
        if (length[i] < 0) {
            sp_fail(status, SP_ERR_VALUE, "batches: sentence %ld has the length %ld", i, length[i]);
            return NULL;
        }
    const size_t count = (size_t)n;
    sp_batches *b = calloc(1, sizeof *b);
    if (b) {
        *b = (sp_batches){ .n = n, .size = size, .batches = (n - 1) / size + 1 };
        b->length = malloc(count * sizeof *b->length);
        b->sorted = malloc(count * sizeof *b->sorted);
        b->order = malloc(count * sizeof *b->order);
        b->slot = malloc((size_t)b->batches * sizeof *b->slot);
    }
    if (!b || !b->length || !b->sorted || !b->order || !b->slot) {
        sp_fail(status, SP_ERR_MEMORY, "batches: out of memory for %ld sentences", n);
        sp_batches_free(b);
        return NULL;
    }
    memcpy(b->length, length, count * sizeof *b->length);
    sp_batches_arrange(b, false, 0, 0);
    return b;
}

static int by_length(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->length != y->length ? (x->length > y->length) - (x->length < y->length) : (x->turn > y->turn) - (x->turn < y->turn);
}

long sp_batches_arrange(sp_batches *b, bool shuffle, uint64_t seed, long epoch)
{
    const long pool = shuffle && b->size <= b->n / POOL ? POOL * b->size : b->n;
    if (shuffle) {
        sp_trainer_shuffle(b->n, b->order, seed, epoch);
        sp_trainer_shuffle(b->batches, b->slot, ~seed, epoch);
    }
    for (long i = 0; i < b->n; i++) {
        const long index = shuffle ? b->order[i] : i;
        b->sorted[i] = (struct place){ index, b->length[index], i };
    }
    for (long i = 0; i < b->n; i += pool)
        qsort(b->sorted + i, (size_t)(b->n - i < pool ? b->n - i : pool), sizeof *b->sorted, by_length);
    for (long i = 0; i < b->n; i++)
        b->order[i] = b->sorted[i].index;
    for (long i = 0; i < b->batches && !shuffle; i++)
        b->slot[i] = i;
    return b->batches;
}

const long *sp_batches_part(const sp_batches *b, long batch, int part, int parts, long *count)
{
    *count = 0;
    if (batch < 0 || batch >= b->batches || part < 0 || part >= parts)
        return NULL;
    const long first = b->slot[batch] * b->size, n = b->n - first < b->size ? b->n - first : b->size;
    const long from = n * part / parts, end = n * (part + 1) / parts;
    *count = end - from;
    return b->order + first + from;
}
