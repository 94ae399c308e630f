#include "zoo/bpe_inside.h"

#include <stdlib.h>

#include "autograd/random.h"

void sp_pairs_free(struct pairs *p)
{
    free(p->key);
    free(p->value);
    *p = (struct pairs){ 0 };
}

/* The place of a key, or the empty one where it would be. */
static size_t place_of(const struct pairs *p, uint64_t key)
{
    size_t i = (size_t)sp_hash(0, key) & (p->room - 1);
    while (p->key[i] && p->key[i] != key)
        i = (i + 1) & (p->room - 1);
    return i;
}

static uint64_t key_of(int left, int right)
{
    return ((uint64_t)left << 32 | (uint64_t)right) + 1;
}

int sp_pairs_get(const struct pairs *p, int left, int right)
{
    const uint64_t key = key_of(left, right);
    const size_t i = p->room ? place_of(p, key) : 0;
    return p->room && p->key[i] == key ? p->value[i] : -1;
}

bool sp_pairs_put(struct pairs *p, int left, int right, int value)
{
    if (2 * (p->used + 1) > p->room) {
        struct pairs more = { .room = p->room ? 2 * p->room : 256, .used = p->used };
        more.key = calloc(more.room, sizeof *more.key);
        more.value = calloc(more.room, sizeof *more.value);
        if (!more.key || !more.value) {
            sp_pairs_free(&more);
            return false;
        }
        for (size_t i = 0; i < p->room; i++)
            if (p->key[i]) {
                const size_t to = place_of(&more, p->key[i]);
                more.key[to] = p->key[i];
                more.value[to] = p->value[i];
            }
        sp_pairs_free(p);
        *p = more;
    }
    const size_t i = place_of(p, key_of(left, right));
    p->used += !p->key[i];
    p->key[i] = key_of(left, right);
    p->value[i] = value;
    return true;
}
