#include "zoo/valence.h"

#include <string.h>

#include "autograd/random.h"

enum kind { GOOD, BAD, NEGATOR, OTHER, KINDS };

/* How likely a kind is, in percent, and its words, each equally likely. */
static const struct {
    int percent;
    const char *word[32];
} kinds[KINDS] = {
    [GOOD] = { 17, { "good", "fine", "lovely", "bright", "clever", "funny", "warm", "brilliant", "fresh", "moving" } },
    [BAD] = { 17, { "bad", "awful", "dull", "slow", "clumsy", "boring", "cold", "empty", "stale", "silly" } },
    [NEGATOR] = { 16, { "not", "never", "hardly", "neither", "nor", "without" } },
    [OTHER] = { 50, { "the", "film", "was", "quite", "and", "a", "story", "actors", "music", "with", "very", "scene",
                      "of", "it", "is",
                      "rather", "picture", "in", "end", "this", "an", "evening", "people", "screen" } },
};

static long words_of(enum kind k)
{
    long n = 0;
    while (kinds[k].word[n])
        n++;
    return n;
}

static enum kind kind_of(const char *word)
{
    for (int k = 0; k < OTHER; k++)
        for (long i = 0; kinds[k].word[i]; i++)
            if (!strcmp(kinds[k].word[i], word))
                return (enum kind)k;
    return OTHER;
}

/* The sum so far, and whether the next word that counts is turned round. */
struct state {
    long sum;
    bool turned;
};

static void step(struct state *s, enum kind k, bool negators)
{
    if (k == GOOD || k == BAD) {
        s->sum += (k == GOOD) != s->turned ? 1 : -1;
        s->turned = false;
    }
    if (k == NEGATOR && negators)
        s->turned = !s->turned;
}

long sp_valence_sum(const sp_sentences *s, long i, bool negators)
{
    struct state state = { 0 };
    for (long j = 0; j < sp_sentence_length(s, 0, i); j++)
        step(&state, kind_of(sp_sentence_word(s, 0, i, j, NULL)), negators);
    return state.sum;
}

static const char *draw_word(sp_random *random, enum kind *kind)
{
    long u = sp_random_below(random, 100);
    int k = 0;
    while (k < OTHER && u >= kinds[k].percent)
        u -= kinds[k++].percent;
    *kind = (enum kind)k;
    return kinds[k].word[sp_random_below(random, words_of(*kind))];
}

/* Texts are drawn until one has a sum; then the stream is set back to where that began, and it is drawn again. */
static bool draw_text(const sp_valence_config *c, sp_random random, sp_sentences *to, sp_status *status)
{
    static const char *const label[] = { "negative", "positive" };
    struct state s;
    sp_random begin;
    enum kind k;
    long n;
    do {
        n = c->least + sp_random_below(&random, c->most - c->least + 1);
        begin = random;
        s = (struct state){ 0 };
        for (long j = 0; j < n; j++) {
            draw_word(&random, &k);
            step(&s, k, true);
        }
    } while (!s.sum);
    bool ok = true;
    for (long j = 0; ok && j < n; j++) {
        const char *word = draw_word(&begin, &k);
        ok = sp_sentences_put(to, 0, word, strlen(word), status);
    }
    const bool wrong = sp_random_next(&random) < c->noise;
    const char *is = label[(s.sum > 0) != wrong];
    return ok && sp_sentences_put(to, 1, is, strlen(is), status) && sp_sentences_end(to, status);
}

sp_sentences *sp_valence(const sp_valence_config *config, long n, uint64_t seed, sp_status *status)
{
    sp_valence_config c = config ? *config : (sp_valence_config){ 0 };
    if (!c.least && !c.most)
        c = (sp_valence_config){ 4, 20, c.noise };
    if (c.least < 1 || c.most < c.least || c.most > 1000000 || !(c.noise >= 0 && c.noise < 0.5)) {
        sp_fail(status, SP_ERR_VALUE, "valence: %ld to %ld words, noise %g, expected 1 to 1000000 and below 0.5", c.least,
                c.most, c.noise);
        return NULL;
    }
    if (n < 0) {
        sp_fail(status, SP_ERR_VALUE, "valence: %ld texts", n);
        return NULL;
    }
    sp_sentences *to = sp_sentences_new(2, status);
    bool ok = to;
    for (long i = 0; ok && i < n; i++) {
        const sp_key key = { .seed = seed, .place = sp_hash(sp_hash_text(0, "sp_valence"), (uint64_t)i) };
        ok = draw_text(&c, (sp_random){ .key = key }, to, status);
    }
    if (ok)
        return to;
    sp_sentences_free(to);
    return NULL;
}
