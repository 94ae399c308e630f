#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"
#include "zoo/metrics.h"
#include "zoo/overlap_inside.h"

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

/* First these, one after the other: so "&amp;lt;" becomes "<". */
static const struct { const char *from, *to; } replaced[] = {
    { "<skipped>", "" }, { "-\n", "" }, { "\n", " " }, { "&quot;", "\"" }, { "&amp;", "&" }, { "&lt;", "<" }, { "&gt;", ">" },
};

static void replace(char *text, const char *from, const char *to)
{
    const size_t n = strlen(from);
    char *out = text;
    for (const char *s = text; *s; )
        if (strncmp(s, from, n)) {
            *out++ = *s++;
        } else {
            memcpy(out, to, strlen(to));
            out += strlen(to);
            s += n;
        }
    *out = '\0';
}

/* Then spaces are put between tokens, by rules each of which goes over the whole text: what to write (at most 4 bytes and a
   zero) for what stands at s; how many bytes that takes, which no other match of the same rule takes. */
typedef size_t spacing(const char *s, char *out);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t plain(const char *s, char *out)
{
    memcpy(out, (char[]){ *s, 0 }, 2);
    return 1;
}

/* Every sign of ASCII but ' , - . is a token. */
static size_t signs(const char *s, char *out)
{
    const unsigned char c = (unsigned char)*s;
    if (c <= ' ' || c >= 0x7F || is_digit(*s) || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("',-.", *s))
        return plain(s, out);
    memcpy(out, (char[]){ ' ', *s, ' ', 0 }, 4);
    return 1;
}

/* A full stop or comma is one behind what is no digit, ... */
static size_t stops_behind(const char *s, char *out)
{
    if (is_digit(s[0]) || (s[1] != '.' && s[1] != ','))
        return plain(s, out);
    memcpy(out, (char[]){ s[0], ' ', s[1], ' ', 0 }, 5);
    return 2;
}

/* ... and before what is no digit, ... */
static size_t stops_before(const char *s, char *out)
{
    if ((s[0] != '.' && s[0] != ',') || !s[1] || is_digit(s[1]))
        return plain(s, out);
    memcpy(out, (char[]){ ' ', s[0], ' ', s[1], 0 }, 5);
    return 2;
}

/* ... and a hyphen behind a digit. */
static size_t hyphens(const char *s, char *out)
{
    if (!is_digit(s[0]) || s[1] != '-')
        return plain(s, out);
    memcpy(out, (char[]){ s[0], ' ', '-', ' ', 0 }, 5);
    return 2;
}

/* The text with its spaces, to be freed; the text before is. */
static char *spaced(char *text, spacing *rule)
{
    char *out = text ? malloc(4 * strlen(text) + 8) : NULL, *at = out;
    for (const char *s = text; out && *s; at += strlen(at))
        s += rule(s, at);
    if (out)
        *at = '\0';
    free(text);
    return out;
}

/* White space becomes single spaces, none at the ends; in place. */
static void squeeze(char *text)
{
    char *to = text;
    bool space = false;
    for (const char *s = text; *s; ) {
        const size_t n = sp_space_length(s);
        if (n) {
            space = true;
            s += n;
            continue;
        }
        if (space && to > text)
            *to++ = ' ';
        space = false;
        *to++ = *s++;
    }
    *to = '\0';
}

/* A copy of the text with spaces around it, what white space it ends with taken away. */
static char *framed(const char *text)
{
    size_t end = 0;
    for (size_t i = 0, n; text[i]; i += n ? n : 1)
        if (!(n = sp_space_length(text + i)))
            end = i + 1;
    char *out = malloc(end + 3);
    if (out) {
        out[0] = ' ';
        memcpy(out + 1, text, end);
        strcpy(out + 1 + end, " ");
    }
    return out;
}

char *sp_tokens_13a(const char *text)
{
    static spacing *const rules[] = { signs, stops_behind, stops_before, hyphens };
    char *all = framed(text);
    for (size_t i = 0; all && i < sizeof replaced / sizeof *replaced; i++)
        replace(all, replaced[i].from, replaced[i].to);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        all = spaced(all, rules[i]);
    if (all)
        squeeze(all);
    return all;
}

/* ---- BLEU ------------------------------------------------------------------------------------------------------ */

/* The tokens of a text as numbers, the same for the same token. */
static bool number_tokens(const sp_bleu *b, const char *text, sp_map *ids, int *known, sp_symbols *out)
{
    char *copy = strdup(text), *tokens = copy;
    if (copy && b->lower)
        sp_text_lower(copy, strlen(copy));
    if (copy && !b->tokenised) {
        tokens = sp_tokens_13a(copy);
        free(copy);
    }
    if (tokens)
        squeeze(tokens);
    *out = (sp_symbols){ .id = tokens ? malloc((strlen(tokens) / 2 + 1) * sizeof *out->id) : NULL };
    bool ok = out->id;
    for (const char *s = tokens; ok && *s; s += strspn(s, " ")) {
        const size_t n = strcspn(s, " ");
        int id = sp_map_get(ids, s, n);
        if (id < 0)
            ok = sp_map_put(ids, s, n, id = ++*known);
        out->id[out->n++] = id;
        s += n;
    }
    free(tokens);
    return ok;
}

static long closest(long length, const sp_symbols *truth, int truths)
{
    long best = truth[0].n;
    for (int r = 1; r < truths; r++) {
        const long near = labs(truth[r].n - length), nearest = labs(best - length);
        if (near < nearest || (near == nearest && truth[r].n < best))
            best = truth[r].n;
    }
    return best;
}

bool sp_bleu_add(sp_bleu *b, const char *guess, const char *const *truth, int truths, sp_status *status)
{
    if (!b || !guess || !truth || truths < 1)
        return sp_fail(status, SP_ERR_VALUE, "BLEU: %d references, or no guess", truths);
    sp_map *ids = sp_map_new();
    sp_symbols g = { 0 }, *t = calloc((size_t)truths, sizeof *t);
    long right[4] = { 0 };
    int known = 0;
    bool ok = ids && t && number_tokens(b, guess, ids, &known, &g);
    for (int r = 0; ok && r < truths; r++)
        ok = truth[r] ? number_tokens(b, truth[r], ids, &known, &t[r])
                      : sp_fail(status, SP_ERR_VALUE, "BLEU: reference %d of %d is missing", r, truths);
    for (int n = 1; ok && n <= 4; n++)
        ok = (right[n - 1] = sp_overlap(&g, t, truths, n)) >= 0;
    for (int n = 1; ok && n <= 4; n++) {
        b->right[n - 1] += right[n - 1];
        b->guessed[n - 1] += g.n >= n ? g.n - n + 1 : 0;
    }
    if (ok) {
        b->length += g.n;
        b->truth_length += closest(g.n, t, truths);
    }
    for (int r = 0; t && r < truths; r++)
        free(t[r].id);
    free(t);
    free(g.id);
    sp_map_free(ids);
    return ok || sp_fail(status, SP_ERR_MEMORY, "BLEU: out of memory");
}

double sp_bleu_precision(const sp_bleu *b, int n)
{
    double smoothed = 1;
    if (n < 1 || n > 4 || !b->right[0] || !b->guessed[n - 1])
        return 0;
    for (int i = 0; i < n; i++)
        smoothed *= b->right[i] ? 1 : 2;
    return b->right[n - 1] ? 100 * (double)b->right[n - 1] / (double)b->guessed[n - 1]
                           : 100 / (smoothed * (double)b->guessed[n - 1]);
}

double sp_bleu_brevity(const sp_bleu *b)
{
    if (b->length >= b->truth_length)
        return 1;
    return b->length ? exp(1 - (double)b->truth_length / (double)b->length) : 0;
}

double sp_bleu_score(const sp_bleu *b)
{
    double sum = 0;
    for (int n = 1; n <= 4; n++) {
        const double p = sp_bleu_precision(b, n);
        if (!(p > 0))
            return 0;
        sum += log(p);
    }
    return sp_bleu_brevity(b) * exp(sum / 4);
}
