#include "zoo/overlap_inside.h"

#include <stdlib.h>
#include <string.h>

struct gram {
    int id[SP_LONGEST_NGRAM];   /* zeros behind the n-th */
};

struct grams {
    struct gram *gram;          /* [n] sorted, in any order */
    long n, at;
};

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct gram));
}

static bool sort_grams(struct grams *g, const sp_symbols *s, int n)
{
    *g = (struct grams){ .n = s->n >= n ? s->n - n + 1 : 0 };
    g->gram = calloc((size_t)g->n + 1, sizeof *g->gram);
    for (long i = 0; g->gram && i < g->n; i++)
        memcpy(g->gram[i].id, s->id + i, (size_t)n * sizeof(int));
    if (g->gram)
        qsort(g->gram, (size_t)g->n, sizeof *g->gram, by_bytes);
    return g->gram;
}

/* How often a gram is there; to be asked for grams in sorted order. */
static long times(struct grams *g, const struct gram *of)
{
    long n = 0;
    int order = -1;
    while (g->at < g->n && (order = by_bytes(&g->gram[g->at], of)) < 0)
        g->at++;
    for (; g->at < g->n && !by_bytes(&g->gram[g->at], of); g->at++)
        n++;
    return n;
}

long sp_overlap(const sp_symbols *guess, const sp_symbols *truth, int truths, int n)
{
    struct grams g, *t = calloc((size_t)truths + 1, sizeof *t);
    bool ok = sort_grams(&g, guess, n) && t;
    long sum = 0;
    for (int r = 0; ok && r < truths; r++)
        ok = sort_grams(&t[r], &truth[r], n);
    while (ok && g.at < g.n) {
        const struct gram *of = &g.gram[g.at];
        const long mine = times(&g, of);
        long most = 0;
        for (int r = 0; r < truths; r++) {
            const long theirs = times(&t[r], of);
            most = theirs > most ? theirs : most;
        }
        sum += mine < most ? mine : most;
    }
    for (int r = 0; t && r < truths; r++)
        free(t[r].gram);
    free(t);
    free(g.gram);
    return ok ? sum : -1;
}

/* U+0009-000D 001C-0020 0085 00A0 1680 2000-200A 2028 2029 202F 205F 3000 */
size_t sp_space_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if ((s[0] >= 0x09 && s[0] <= 0x0D) || (s[0] >= 0x1C && s[0] <= 0x20))
        return 1;
    if (s[0] == 0xC2)
        return s[1] == 0x85 || s[1] == 0xA0 ? 2 : 0;
    if (s[0] == 0xE2 && s[1] == 0x80)
        return (s[2] >= 0x80 && s[2] <= 0x8A) || s[2] == 0xA8 || s[2] == 0xA9 || s[2] == 0xAF ? 3 : 0;
    return (s[0] == 0xE1 && s[1] == 0x9A && s[2] == 0x80) || (s[0] == 0xE2 && s[1] == 0x81 && s[2] == 0x9F)
           || (s[0] == 0xE3 && s[1] == 0x80 && s[2] == 0x80) ? 3 : 0;
}
