#include <stdlib.h>
#include <string.h>

#include "zoo/metrics.h"
#include "zoo/overlap_inside.h"

/* The letters of a text without white space; a byte that is not UTF-8 is a letter of its own. */
static bool letters(const sp_chrf *c, const char *text, sp_symbols *out)
{
    size_t size = strlen(text), at = 0, length;
    char *copy = strdup(text);
    *out = (sp_symbols){ .id = malloc((size + 1) * sizeof *out->id) };
    if (copy && c->lower)
        sp_text_lower(copy, size);
    const bool ok = copy && out->id;
    for (const char *s; ok && (s = sp_text_next(copy, size, SP_LEVEL_CHAR, &at, &length)); )
        if (!sp_space_length(s)) {
            unsigned id = 0;                            /* its bytes: another for each letter */
            for (size_t i = 0; i < length; i++)
                id = id << 8 | (unsigned char)s[i];
            out->id[out->n++] = (int)id;
        }
    free(copy);
    return ok;
}

static double share(long part, long of)
{
    return of ? (double)part / (double)of : 0;
}

double sp_chrf_score(const sp_chrf *c)
{
    double precision = 0, recall = 0;
    int orders = 0;
    for (int n = 0; n < 6; n++)
        if (c->guessed[n] && c->truth[n]) {
            precision += share(c->right[n], c->guessed[n]);
            recall += share(c->right[n], c->truth[n]);
            orders++;
        }
    if (!(precision + recall > 0))
        return 0;
    precision /= orders;
    recall /= orders;
    return 100 * 5 * precision * recall / (4 * precision + recall);
}

/* Counts of one sentence with one reference; n-grams of a length that the reference has not are not counted as guessed. */
static bool count(sp_chrf *c, const sp_symbols *guess, const sp_symbols *truth)
{
    for (int n = 1; n <= 6; n++) {
        const long right = sp_overlap(guess, truth, 1, n);
        if (right < 0)
            return false;
        c->right[n - 1] = right;
        c->truth[n - 1] = truth->n >= n ? truth->n - n + 1 : 0;
        c->guessed[n - 1] = truth->n >= n && guess->n >= n ? guess->n - n + 1 : 0;
    }
    return true;
}

bool sp_chrf_add(sp_chrf *c, const char *guess, const char *const *truth, int truths, sp_status *status)
{
    if (!c || !guess || !truth || truths < 1)
        return sp_fail(status, SP_ERR_VALUE, "chrF: %d references, or no guess", truths);
    sp_chrf best = { 0 }, one = { 0 };
    sp_symbols g = { 0 }, t;
    double most = -1;
    bool ok = letters(c, guess, &g);
    for (int r = 0; ok && r < truths; r++) {
        if (!truth[r]) {
            ok = sp_fail(status, SP_ERR_VALUE, "chrF: reference %d of %d is missing", r, truths);
            break;
        }
        ok = letters(c, truth[r], &t) && count(&one, &g, &t);
        free(t.id);
        if (ok && sp_chrf_score(&one) > most) {
            best = one;
            most = sp_chrf_score(&one);
        }
    }
    free(g.id);
    for (int n = 0; ok && n < 6; n++) {
        c->right[n] += best.right[n];
        c->guessed[n] += best.guessed[n];
        c->truth[n] += best.truth[n];
    }
    return ok || sp_fail(status, SP_ERR_MEMORY, "chrF: out of memory");
}
