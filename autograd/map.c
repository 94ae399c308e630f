#include "autograd/map.h"

#include <stdlib.h>
#include <string.h>

/* On a failed allocation uthash leaves the element out and says so, instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->left_out = true)
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    int value;
    bool left_out;
    char key[];
};

struct sp_map {
    struct entry *entries;
};

sp_map *sp_map_new(void)
{
    return calloc(1, sizeof(sp_map));
}

void sp_map_free(sp_map *m)
{
    struct entry *e, *next;
    if (!m)
        return;
    HASH_ITER(hh, m->entries, e, next) {
        HASH_DEL(m->entries, e);
        free(e);
    }
    free(m);
}

static struct entry *find(const sp_map *m, const void *key, size_t length)
{
    struct entry *e;
    HASH_FIND(hh, m->entries, key, (unsigned)length, e);
    return e;
}

int sp_map_get(const sp_map *m, const void *key, size_t length)
{
    const struct entry *e = find(m, key, length);
    return e ? e->value : -1;
}

bool sp_map_put(sp_map *m, const void *key, size_t length, int value)
{
    struct entry *e = find(m, key, length);
    if (e) {
        e->value = value;
        return true;
    }
    if (!(e = calloc(1, sizeof *e + length)))
        return false;
    memcpy(e->key, key, length);
    e->value = value;
    HASH_ADD_KEYPTR(hh, m->entries, e->key, (unsigned)length, e);
    if (e->left_out) {
        free(e);
        return false;
    }
    return true;
}
