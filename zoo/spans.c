#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"
#include "zoo/metrics.h"

/* A tag: the letter of its mark ('?': a mark that is none) and the number of its type. */
struct tag {
    char mark;
    int type;
};

struct type {
    char *name;
    long truth, guessed, right;
};

struct sp_spans {
    sp_map *ids;
    struct type *type;          /* [types] as met; number 0 is "" */
    int *order;                 /* [types] their numbers by name */
    int types, room;
    long words, right;          /* words, and those whose tags are right */
    bool open;                  /* a span began on both sides at one word with one type, and has ended on neither */
    struct tag truth, guess;    /* of the word before */
};

static int add_type(sp_spans *s, const char *name)
{
    const int known = sp_map_get(s->ids, name, strlen(name));
    if (known >= 0)
        return known;
    if (s->types == s->room) {
        const int room = s->room ? 2 * s->room : 16;
        struct type *more = realloc(s->type, (size_t)room * sizeof *more);
        s->type = more ? more : s->type;
        int *order = realloc(s->order, (size_t)room * sizeof *order);
        s->order = order ? order : s->order;
        if (!more || !order)
            return -1;
        s->room = room;
    }
    char *copy = strdup(name);
    if (!copy || !sp_map_put(s->ids, name, strlen(name), s->types)) {
        free(copy);
        return -1;
    }
    int at = s->types;
    for (; at && strcmp(s->type[s->order[at - 1]].name, name) > 0; at--)
        s->order[at] = s->order[at - 1];
    s->order[at] = s->types;
    s->type[s->types] = (struct type){ .name = copy };
    return s->types++;
}

sp_spans *sp_spans_new(sp_status *status)
{
    sp_spans *s = calloc(1, sizeof *s);
    if (s) {
        s->truth = s->guess = (struct tag){ 'O', 0 };
        if ((s->ids = sp_map_new()) && add_type(s, "") == 0)
            return s;
    }
    sp_spans_free(s);
    sp_fail(status, SP_ERR_MEMORY, "spans: out of memory");
    return NULL;
}

void sp_spans_free(sp_spans *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->types; i++)
        free(s->type[i].name);
    free(s->type);
    free(s->order);
    sp_map_free(s->ids);
    free(s);
}

static bool is(char mark, const char *among)
{
    return strchr(among, mark) != NULL;
}

static bool ends(struct tag before, struct tag now)
{
    return is(before.mark, "ES[]") || (is(before.mark, "BI") && is(now.mark, "BSO"))
           || (!is(before.mark, "O.") && before.type != now.type);
}

static bool begins(struct tag before, struct tag now)
{
    return is(now.mark, "BS[]") || (is(now.mark, "IE") && is(before.mark, "OES"))
           || (!is(now.mark, "O.") && before.type != now.type);
}

/* A span is right if it began right and ends on both sides between the same two words. */
static void step(sp_spans *s, struct tag truth, struct tag guess)
{
    const bool truth_ends = ends(s->truth, truth), guess_ends = ends(s->guess, guess);
    const bool truth_begins = begins(s->truth, truth), guess_begins = begins(s->guess, guess);
    if (s->open && truth_ends && guess_ends)
        s->type[s->truth.type].right++;
    if (truth_ends || guess_ends || truth.type != guess.type)
        s->open = false;
    if (truth_begins && guess_begins && truth.type == guess.type)
        s->open = true;
    s->type[truth.type].truth += truth_begins;
    s->type[guess.type].guessed += guess_begins;
    s->truth = truth;
    s->guess = guess;
}

static bool read_tag(sp_spans *s, const char *text, struct tag *tag, sp_status *status)
{
    const size_t n = strcspn(text, "-");
    *tag = (struct tag){ n == 1 && is(*text, "OBIES[].") ? *text : '?', 0 };
    tag->type = text[n] ? add_type(s, text + n + 1) : 0;
    return tag->type >= 0 || sp_fail(status, SP_ERR_MEMORY, "spans: out of memory for %d types", s->types + 1);
}

/* "B-" and "B" are the same tag. */
static bool same(const char *a, const char *b)
{
    const size_t n = strcspn(a, "-"), m = strcspn(b, "-");
    return n == m && !memcmp(a, b, n) && !strcmp(a[n] ? a + n + 1 : "", b[m] ? b + m + 1 : "");
}

bool sp_spans_add(sp_spans *s, const char *truth, const char *guess, sp_status *status)
{
    struct tag t, g;
    if (!s || !truth || !guess)
        return sp_fail(status, SP_ERR_VALUE, "spans: a tag is missing");
    if (!read_tag(s, truth, &t, status) || !read_tag(s, guess, &g, status))
        return false;
    step(s, t, g);
    s->words++;
    s->right += same(truth, guess);
    return true;
}

bool sp_spans_end(sp_spans *s, sp_status *status)
{
    if (!s)
        return sp_fail(status, SP_ERR_VALUE, "spans: there are none");
    step(s, (struct tag){ 'O', 0 }, (struct tag){ 'O', 0 });
    return true;
}

static sp_score score_of(const struct type *t)
{
    return sp_score_of(t->truth, t->guessed, t->right);
}

sp_score sp_spans_total(const sp_spans *s)
{
    struct type all = { .name = NULL };
    for (int i = 0; i < s->types; i++) {
        all.truth += s->type[i].truth;
        all.guessed += s->type[i].guessed;
        all.right += s->type[i].right;
    }
    return score_of(&all);
}

int sp_spans_types(const sp_spans *s)
{
    int n = 0;
    for (int i = 0; i < s->types; i++)
        n += s->type[i].truth || s->type[i].guessed;
    return n;
}

sp_score sp_spans_type(const sp_spans *s, int i, const char **name)
{
    for (int k = 0; k < s->types; k++) {
        const struct type *t = &s->type[s->order[k]];
        if ((t->truth || t->guessed) && i-- == 0) {
            *name = t->name;
            return score_of(t);
        }
    }
    *name = "";
    return (sp_score){ 0 };
}

double sp_spans_accuracy(const sp_spans *s)
{
    return s->words ? (double)s->right / (double)s->words : 0;
}

bool sp_spans_write(const sp_spans *s, FILE *out)
{
    sp_score a = sp_spans_total(s);
    fprintf(out, "processed %ld tokens with %ld phrases; found: %ld phrases; correct: %ld.\n", s->words, a.truth,
            a.guessed, a.right);
    fprintf(out, "accuracy: %6.2f%%; precision: %6.2f%%; recall: %6.2f%%; FB1: %6.2f\n", 100 * sp_spans_accuracy(s),
            100 * a.precision, 100 * a.recall, 100 * a.f1);
    for (int i = 0; i < sp_spans_types(s); i++) {
        const char *name;
        a = sp_spans_type(s, i, &name);
        fprintf(out, "%17s: precision: %6.2f%%; recall: %6.2f%%; FB1: %6.2f  %ld\n", name, 100 * a.precision, 100 * a.recall,
                100 * a.f1, a.guessed);
    }
    return !fflush(out) && !ferror(out);
}
