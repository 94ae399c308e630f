#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"
#include "zoo/metrics.h"

/* The best way from the truth so far to the guess so far. */
struct way {
    long cost, insertions, deletions;
};

/* A row for each symbol of the truth, a place for each of the guess:
       D[i][j] = min(D[i-1][j-1] + (guess j != truth i), D[i-1][j] + 1 (left out), D[i][j-1] + 1 (put in)) */
static struct way align(const int *guess, long n, const int *truth, long m, struct way *row)
{
    for (long j = 0; j <= n; j++)
        row[j] = (struct way){ j, j, 0 };
    for (long i = 1; i <= m; i++) {
        struct way corner = row[0];
        row[0] = (struct way){ i, 0, i };
        for (long j = 1; j <= n; j++) {
            const struct way above = row[j];
            struct way best = corner;
            best.cost += guess[j - 1] != truth[i - 1];
            if (above.cost + 1 < best.cost)
                best = (struct way){ above.cost + 1, above.insertions, above.deletions + 1 };
            if (row[j - 1].cost + 1 < best.cost)
                best = (struct way){ row[j - 1].cost + 1, row[j - 1].insertions + 1, row[j - 1].deletions };
            corner = above;
            row[j] = best;
        }
    }
    return row[n];
}

bool sp_edits_add(sp_edits *e, const int *guess, long n, const int *truth, long m, sp_status *status)
{
    if (!e || n < 0 || m < 0 || (n && !guess) || (m && !truth))
        return sp_fail(status, SP_ERR_VALUE, "edits: a guess of %ld and a truth of %ld symbols", n, m);
    const long length = m;
    for (; n && m && guess[n - 1] == truth[m - 1]; n--)         /* what is the same at the ends costs nothing */
        m--;
    for (; n && m && *guess == *truth; guess++, truth++, n--)
        m--;
    struct way *row = malloc(((size_t)n + 1) * sizeof *row);
    if (!row)
        return sp_fail(status, SP_ERR_MEMORY, "edits: out of memory for %ld symbols", n);
    const struct way best = align(guess, n, truth, m, row);
    free(row);
    e->insertions += best.insertions;
    e->deletions += best.deletions;
    e->substitutions += best.cost - best.insertions - best.deletions;
    e->length += length;
    e->sequences++;
    e->wrong += best.cost > 0;
    return true;
}

/* Symbols as numbers, the same for the same symbol. Line ends are no words. */
static bool number(const char *text, size_t size, sp_level level, sp_map *ids, int *known, int *out, long *n)
{
    size_t at = 0, length;
    *n = 0;
    for (const char *s; (s = sp_text_next(text, size, level, &at, &length)); ) {
        if (level == SP_LEVEL_WORD && *s == '\n')
            continue;
        int id = sp_map_get(ids, s, length);
        if (id < 0 && !sp_map_put(ids, s, length, id = ++*known))
            return false;
        out[(*n)++] = id;
    }
    return true;
}

static const char *trimmed(const char *text, size_t *size)
{
    text += strspn(text, " \t\r\n\v\f");
    for (*size = strlen(text); *size && strchr(" \t\r\n\v\f", text[*size - 1]); )
        --*size;
    return text;
}

bool sp_edits_add_text(sp_edits *e, const char *guess, const char *truth, sp_level level, sp_status *status)
{
    if (!e || !guess || !truth)
        return sp_fail(status, SP_ERR_VALUE, "edits: a text is missing");
    size_t sizes[2];
    const char *text[2] = { trimmed(guess, &sizes[0]), trimmed(truth, &sizes[1]) };
    sp_map *ids = sp_map_new();
    int *id = malloc((sizes[0] + sizes[1] + 1) * sizeof *id), known = 0;
    long n = 0, m = 0;
    bool ok = ids && id && number(text[0], sizes[0], level, ids, &known, id, &n)
              && number(text[1], sizes[1], level, ids, &known, id ? id + sizes[0] : NULL, &m);
    ok = ok ? sp_edits_add(e, id, n, id + sizes[0], m, status) : sp_fail(status, SP_ERR_MEMORY, "edits: out of memory");
    free(id);
    sp_map_free(ids);
    return ok;
}

double sp_error_rate(const sp_edits *e)
{
    const long edits = e->insertions + e->deletions + e->substitutions;
    if (!e->length)
        return edits ? INFINITY : 0;
    return (double)edits / (double)e->length;
}
