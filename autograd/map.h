/* A map from byte strings to numbers 0 .. 2^31-1. */
#ifndef SP_AUTOGRAD_MAP_H
#define SP_AUTOGRAD_MAP_H

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_map sp_map;

sp_map *sp_map_new(void);                                       /* NULL without memory */
void sp_map_free(sp_map *m);                                    /* NULL is fine */

/* The number of a key of length bytes (any bytes), or -1. */
int sp_map_get(const sp_map *m, const void *key, size_t length);

/* Gives a key its number, new or changed; the key is copied. False without memory: the map is then as before. */
bool sp_map_put(sp_map *m, const void *key, size_t length, int value);

SP_END
#endif
