/* Learning byte pairs. Joining a pair changes the counts of few others: those beside it. So the counts of all pairs are kept,
   with the words each occurs in, and a heap tells which is the largest. What lies in the heap may be out of date; a count is
   looked up when it comes to the top, and put back if it has become smaller. Time grows with the lengths of the words in which
   joined pairs are met, added up, and memory with the symbols of all different words. */
#include <stdlib.h>
#include <string.h>

#include "zoo/bpe_inside.h"

struct word {
    int *symbol;                /* [n] */
    int n;
    long count;
};

/* A pair of neighbours: how often, and in which words (some may have lost it since). `queued` is the count with which it came
   into the heap last, 0 if that has left it: the heap has no pair twice with one count. */
struct pair {
    int left, right;
    long count, queued;
    int *word;
    int words, room;
};

/* A pair and the count it had when it was put here. */
struct guess {
    long count;
    int pair;
};

struct learner {
    sp_bpe *b;
    struct word *word;
    int words;
    int *symbols;               /* of all words */
    struct pair *pair;
    int pairs, pair_room;
    struct pairs index;         /* (left,right) -> its place in pair[] */
    struct guess *heap;
    size_t guesses, heap_room;
};

/* ---- the heap: the larger count first, then the lower numbers -------------------------------------------------- */

static bool before(const struct learner *l, struct guess a, struct guess b)
{
    const struct pair *p = &l->pair[a.pair], *q = &l->pair[b.pair];
    if (a.count != b.count)
        return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static bool push(struct learner *l, struct guess g)
{
    if (l->guesses == l->heap_room) {
        const size_t room = l->heap_room ? 2 * l->heap_room : 1024;
        struct guess *more = realloc(l->heap, room * sizeof *more);
        if (!more)
            return false;
        l->heap = more;
        l->heap_room = room;
    }
    size_t i = l->guesses++;
    for (; i && before(l, g, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = g;
    return true;
}

static struct guess pop(struct learner *l)
{
    const struct guess top = l->heap[0], last = l->heap[--l->guesses];
    size_t i = 0;
    for (size_t next; (next = 2 * i + 1) < l->guesses; i = next) {
        next += next + 1 < l->guesses && before(l, l->heap[next + 1], l->heap[next]);
        if (!before(l, l->heap[next], last))
            break;
        l->heap[i] = l->heap[next];
    }
    l->heap[i] = last;
    return top;
}

/* ---- pairs of words -------------------------------------------------------------------------------------------- */

/* The pair's place, a new one if need be; -1 without memory. */
static int place_of(struct learner *l, int left, int right)
{
    int at = sp_pairs_get(&l->index, left, right);
    if (at >= 0)
        return at;
    if (l->pairs == l->pair_room) {
        const int room = l->pair_room ? 2 * l->pair_room : 1024;
        struct pair *more = realloc(l->pair, (size_t)room * sizeof *more);
        if (!more)
            return -1;
        l->pair = more;
        l->pair_room = room;
    }
    if (!sp_pairs_put(&l->index, left, right, l->pairs))
        return -1;
    l->pair[l->pairs] = (struct pair){ .left = left, .right = right };
    return l->pairs++;
}

static bool occurs_in(struct pair *p, int word)
{
    if (p->words && p->word[p->words - 1] == word)
        return true;
    if (p->words == p->room) {
        const int room = p->room ? 2 * p->room : 4;
        int *more = realloc(p->word, (size_t)room * sizeof *more);
        if (!more)
            return false;
        p->word = more;
        p->room = room;
    }
    p->word[p->words++] = word;
    return true;
}

/* Counts the pairs of a word that have a symbol which is new to it (made NULL: all of them), and says that they occur in it. */
static bool count_in(struct learner *l, int word, const bool *made)
{
    const struct word *w = &l->word[word];
    for (int i = 0; i + 1 < w->n; i++) {
        if (made && !made[i] && !made[i + 1])
            continue;
        const int at = place_of(l, w->symbol[i], w->symbol[i + 1]);
        if (at < 0)
            return false;
        l->pair[at].count += w->count;
        if (!occurs_in(&l->pair[at], word))
            return false;
    }
    return true;
}

/* Puts a pair on the heap, unless it is there with this count. */
static bool hope(struct learner *l, int at)
{
    struct pair *p = &l->pair[at];
    if (p->count < 2 || p->count == p->queued)
        return true;
    p->queued = p->count;
    return push(l, (struct guess){ p->count, at });
}

/* Joins a pair in a word, from left to right, and takes the counts of pairs away that it had there; made[i]: its symbol i is a
   joined one. False where the word has lost the pair. */
static bool join_in(struct learner *l, struct word *w, const struct pair *p, int result, bool made[SP_BPE_WORD])
{
    bool gone[SP_BPE_WORD] = { false }, any = false;
    for (int i = 0; i + 1 < w->n; i++)
        if (w->symbol[i] == p->left && w->symbol[i + 1] == p->right) {
            any = gone[i] = gone[i + 1] = true;
            i++;
        }
    for (int i = 0; any && i + 1 < w->n; i++)
        if (gone[i] || gone[i + 1])
            l->pair[sp_pairs_get(&l->index, w->symbol[i], w->symbol[i + 1])].count -= w->count;
    int m = 0;
    for (int i = 0; any && i < w->n; m++) {
        made[m] = gone[i];
        w->symbol[m] = gone[i] ? result : w->symbol[i];
        i += 1 + gone[i];
    }
    w->n = any ? m : w->n;
    return any;
}

/* Joins a pair in all words. Its own list is given up: it may occur again only beside what is made later. New pairs come to the
   heap when all words are done. */
static bool join(struct learner *l, int at, int result)
{
    const struct pair p = l->pair[at];
    bool made[SP_BPE_WORD], ok = true;
    l->pair[at].word = NULL;
    l->pair[at].words = l->pair[at].room = 0;
    for (int k = 0; ok && k < p.words; k++)
        if (join_in(l, &l->word[p.word[k]], &p, result, made))
            ok = count_in(l, p.word[k], made);
    for (int k = 0; ok && k < p.words; k++) {
        const struct word *w = &l->word[p.word[k]];
        for (int i = 0; ok && i + 1 < w->n; i++)
            if (w->symbol[i] == result || w->symbol[i + 1] == result)
                ok = hope(l, sp_pairs_get(&l->index, w->symbol[i], w->symbol[i + 1]));
    }
    free(p.word);
    return ok;
}

/* ---- learning -------------------------------------------------------------------------------------------------- */

/* Letters of several bytes, counted over all words. */
static bool add_letters(sp_bpe *b, const sp_counts *c, const sp_bpe_rule *rule, sp_status *status)
{
    const sp_vocabulary_rule most_frequent = { .level = SP_LEVEL_CHAR, .least = rule->least ? rule->least : 2, .closed = true };
    sp_counts *letters = sp_counts_new(status);
    bool ok = letters;
    size_t length, n;
    long times;
    for (long i = 0; ok && i < sp_counts_size(c); i++) {
        const char *word = sp_counts_symbol(c, i, &length, &times);
        size_t at = 0;
        for (const char *s; ok && (s = sp_text_next(word, length, SP_LEVEL_CHAR, &at, &n)); )
            ok = n == 1 || sp_counts_add(letters, s, n, times, status);
    }
    sp_vocabulary *v = ok ? sp_vocabulary_new(letters, &most_frequent, status) : NULL;
    for (int i = 0; v && ok && i < sp_vocabulary_size(v) && b->size < rule->size; i++) {
        const char *s = sp_vocabulary_symbol(v, i, &n);
        ok = sp_bpe_add_letter(b, s, n, status);
    }
    ok = ok && v;
    sp_vocabulary_free(v);
    sp_counts_free(letters);
    return ok;
}

/* The words of the counts, those that are too long cut. */
static bool spell_all(struct learner *l, const sp_counts *c)
{
    size_t length, bytes = 0, n;
    long times, words = 0;
    for (long i = 0; i < sp_counts_size(c); i++) {
        sp_counts_symbol(c, i, &length, &times);
        bytes += length;
        words += (long)(length / (SP_BPE_WORD - 3)) + 1;
    }
    l->word = malloc((size_t)(words + 1) * sizeof *l->word);
    l->symbols = malloc((bytes + 1) * sizeof *l->symbols);
    int *next = l->symbols;
    for (long i = 0; l->word && next && i < sp_counts_size(c); i++) {
        const char *word = sp_counts_symbol(c, i, &length, &times);
        for (size_t at = 0, from = 0; at < length; from = at) {
            for (size_t end = at; end < length && end - from <= SP_BPE_WORD; sp_text_next(word, length, SP_LEVEL_CHAR, &end, &n))
                at = end;
            if (length - from <= SP_BPE_WORD)
                at = length;
            l->word[l->words] = (struct word){ .symbol = next, .count = times };
            l->word[l->words].n = sp_bpe_spell(l->b, word + from, at - from, next);
            next += l->word[l->words++].n;
        }
    }
    return l->word && l->symbols;
}

static bool learn(struct learner *l, const sp_counts *c, long size)
{
    bool ok = spell_all(l, c);
    for (int i = 0; ok && i < l->words; i++)
        ok = count_in(l, i, NULL);
    for (int i = 0; ok && i < l->pairs; i++)
        ok = hope(l, i);
    while (ok && l->b->size < size && l->guesses) {
        const struct guess g = pop(l);
        const struct pair p = l->pair[g.pair];
        const bool latest = p.queued == g.count;
        if (latest)
            l->pair[g.pair].queued = 0;
        if (p.count != g.count) {
            ok = !latest || hope(l, g.pair);
            continue;
        }
        int rank = sp_pairs_get(&l->b->rank, p.left, p.right);
        if (rank < 0) {
            rank = l->b->joins;
            ok = sp_bpe_add_join(l->b, p.left, p.right, NULL);
        }
        ok = ok && join(l, g.pair, l->b->join[rank].result);
    }
    return ok;
}

sp_bpe *sp_bpe_new(const sp_counts *c, const sp_bpe_rule *rule, sp_status *status)
{
    struct learner l = { .b = NULL };
    sp_bpe_rule r = rule ? *rule : (sp_bpe_rule){ 0 };
    r.size = r.size ? r.size : 4000;
    if (!c) {
        sp_fail(status, SP_ERR_VALUE, "byte pairs: nothing was counted");
        return NULL;
    }
    if (!(l.b = sp_bpe_empty(r.special, status)))
        return NULL;
    bool ok = r.size >= l.b->size && r.size < 1L << 30;
    if (!ok)
        sp_fail(status, SP_ERR_VALUE, "byte pairs: %ld symbols, expected %d (special ones and bytes) to %ld", r.size, l.b->size,
                1L << 30);
    ok = ok && add_letters(l.b, c, &r, status) && learn(&l, c, r.size);
    for (int i = 0; i < l.pairs; i++)
        free(l.pair[i].word);
    free(l.pair);
    free(l.heap);
    free(l.word);
    free(l.symbols);
    sp_pairs_free(&l.index);
    if (ok)
        return l.b;
    sp_bpe_free(l.b);
    sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory");
    return NULL;
}
