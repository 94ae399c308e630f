/* Symbols by number and by name, for counts and vocabularies. */
#ifndef SP_ZOO_VOCABULARY_INSIDE_H
#define SP_ZOO_VOCABULARY_INSIDE_H

#include "autograd/map.h"
#include "zoo/text.h"

struct symbol {
    char *text;
    size_t length;
    long count;
};

struct sp_counts {
    sp_map *ids;
    struct symbol *symbol;      /* [size] */
    int size, room;
};

/* Frees what is in it. */
void sp_counts_clear(sp_counts *c);

/* A symbol that is not there yet gets the next number. False without memory. */
bool sp_counts_append(sp_counts *c, const char *text, size_t length);

#endif
