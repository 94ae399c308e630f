/* What learning and coding of byte pairs share. */
#ifndef SP_ZOO_BPE_INSIDE_H
#define SP_ZOO_BPE_INSIDE_H

#include "autograd/map.h"
#include "zoo/bpe.h"

/* A map from pairs of numbers to a number: open addressing, a power of two of places, half of them empty or more. */
struct pairs {
    uint64_t *key;              /* [room] left << 32 | right, plus 1; 0: empty */
    int *value;                 /* [room] */
    size_t room, used;
};

void sp_pairs_free(struct pairs *p);
int sp_pairs_get(const struct pairs *p, int left, int right);                   /* -1: not there */
bool sp_pairs_put(struct pairs *p, int left, int right, int value);             /* false without memory */

enum {
    SP_BPE_BYTES = 256,
    SP_BPE_WORD = 256           /* the longest word, and so the longest piece, in bytes */
};

struct join {
    int left, right, result;
};

struct sp_bpe {
    int specials, letters;      /* numbers: specials, bytes, letters, results of joins */
    int size, room;
    size_t *at;                 /* [size+1] symbol i is text + at[i], of at[i+1] - at[i] bytes */
    char *text;
    size_t text_room;
    sp_map *ids;                /* of symbols but the special ones, by their bytes */
    struct join *join;          /* [joins] in the order learned */
    int joins, join_room;
    struct pairs rank;          /* (left,right) -> its place among the joins */
};

/* Special symbols and bytes, and nothing else. NULL without memory, or if special symbols are not distinct. */
sp_bpe *sp_bpe_empty(const char *const *special, sp_status *status);

/* A letter more (before the first join); a join more, whose result may be there already. False: no memory, or, an error of the
   format, it cannot be. */
bool sp_bpe_add_letter(sp_bpe *b, const char *text, size_t length, sp_status *status);
bool sp_bpe_add_join(sp_bpe *b, int left, int right, sp_status *status);

/* The next word of a text at or after *at, as sp_text_next. */
const char *sp_bpe_next(const char *text, size_t size, size_t *at, size_t *length);

/* A word of at most SP_BPE_WORD bytes as its letters and bytes: how many. */
int sp_bpe_spell(const sp_bpe *b, const char *word, size_t length, int *symbol);

#endif
