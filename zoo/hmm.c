#include "zoo/hmm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"
#include "autograd/random.h"

/* ---- making ---------------------------------------------------------------------------------------------------- */

void sp_hmm_free(sp_hmm *h)
{
    if (!h)
        return;
    for (int i = 0; h->state && i < h->states; i++)
        free(h->state[i]);
    for (int i = 0; h->word && i < h->words; i++)
        free(h->word[i]);
    free(h->state);
    free(h->word);
    free(h->start);
    free(h->move);
    free(h->stop);
    free(h->emit);
    free(h);
}

static double *copy(const double *x, size_t n)
{
    double *out = malloc((n + 1) * sizeof *out);
    if (out)
        memcpy(out, x, n * sizeof *out);
    return out;
}

static char **copy_names(const char *const *name, int n)
{
    char **out = calloc((size_t)n + 1, sizeof *out);
    bool ok = out;
    for (int i = 0; ok && i < n; i++)
        ok = (out[i] = strdup(name[i])) != NULL;
    for (int i = 0; !ok && out && i < n; i++)
        free(out[i]);
    if (!ok)
        free(out);
    return ok ? out : NULL;
}

/* The sum of n probabilities; NaN if one is none. */
static double sum_of(const double *p, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += p[i] >= 0 && p[i] <= 1 ? p[i] : (double)NAN;
    return sum;
}

static bool one(const char *what, int row, double sum, bool less, sp_status *status)
{
    if (fabs(sum - 1) <= 1e-9 || (less && sum < 1))
        return true;
    return sp_fail(status, SP_ERR_VALUE, "grammar: the probabilities of %s %d sum to %g, expected %s1", what, row, sum,
                   less ? "at most " : "");
}

/* States from which a sentence may come to its end, one step further in each round. */
static bool all_end(const sp_hmm *h, sp_status *status)
{
    bool ends[SP_MOST_STATES] = { false };
    for (int round = 0; round < h->states; round++)
        for (int s = 0; s < h->states; s++) {
            ends[s] = ends[s] || h->stop[s] > 1e-9;
            for (int t = 0; t < h->states; t++)
                ends[s] = ends[s] || (ends[t] && h->move[s * h->states + t] > 0);
        }
    for (int s = 0; s < h->states; s++)
        if (!ends[s])
            return sp_fail(status, SP_ERR_VALUE, "grammar: a sentence in state %d (%s) never ends", s, h->state[s]);
    return true;
}

/* Words are told apart by their names; "" is no word. False without memory. */
static bool all_named(const sp_hmm *h, sp_status *status)
{
    sp_map *ids = sp_map_new();
    bool ok = ids;
    for (int w = 0; ok && w < h->words; w++) {
        const size_t n = strlen(h->word[w]);
        if (!n || sp_map_get(ids, h->word[w], n) >= 0) {
            ok = sp_fail(status, SP_ERR_VALUE, "grammar: word %d, '%s', is empty or there already", w, h->word[w]);
            break;
        }
        ok = sp_map_put(ids, h->word[w], n, w);
    }
    for (int s = 0; ok && s < h->states; s++)
        ok = *h->state[s] || sp_fail(status, SP_ERR_VALUE, "grammar: state %d has no name", s);
    sp_map_free(ids);
    return ok || sp_fail(status, SP_ERR_MEMORY, "grammar: out of memory for %d words", h->words);
}

static bool sound(const sp_hmm *h, sp_status *status)
{
    bool ok = all_named(h, status) && one("start", 0, sum_of(h->start, h->states), false, status);
    for (int s = 0; ok && s < h->states; s++)
        ok = one("words of state", s, sum_of(h->emit + (size_t)s * (size_t)h->words, h->words), false, status)
             && one("moves of state", s, sum_of(h->move + s * h->states, h->states), true, status);
    return ok && all_end(h, status);
}

sp_hmm *sp_hmm_new(int states, int words, const double *start, const double *move, const double *emit, const char *const *state,
                   const char *const *word, sp_status *status)
{
    if (states < 1 || states > SP_MOST_STATES || words < 1 || words > SP_MOST_HMM_WORDS || !start || !move || !emit
        || !state || !word) {
        sp_fail(status, SP_ERR_VALUE, "grammar: %d states, %d words, expected 1 to %d and %d, and all tables", states, words,
                SP_MOST_STATES, SP_MOST_HMM_WORDS);
        return NULL;
    }
    sp_hmm *h = calloc(1, sizeof *h);
    if (h) {
        const size_t s = (size_t)states, w = (size_t)words;
        *h = (sp_hmm){ states, words, copy(start, s), copy(move, s * s), calloc(s, sizeof(double)), copy(emit, s * w),
                       copy_names(state, states), copy_names(word, words) };
    }
    if (!h || !h->start || !h->move || !h->stop || !h->emit || !h->state || !h->word) {
        sp_hmm_free(h);
        sp_fail(status, SP_ERR_MEMORY, "grammar: out of memory for %d states, %d words", states, words);
        return NULL;
    }
    for (int i = 0; i < states; i++)
        h->stop[i] = fmax(0, 1 - sum_of(h->move + i * states, states));
    if (sound(h, status))
        return h;
    sp_hmm_free(h);
    return NULL;
}

/* ---- drawing --------------------------------------------------------------------------------------------------- */

/* One of n by their probabilities; n if it falls into what they lack to 1. The last that has any catches rounding. */
static int draw(const double *p, int n, double lack, sp_random *random)
{
    double u = sp_random_next(random);
    int last = n;
    for (int i = 0; i < n; i++)
        if (p[i] > 0) {
            if (u < p[i])
                return i;
            u -= p[i];
            last = i;
        }
    return lack > 0 ? n : last;
}

static bool draw_sentence(const sp_hmm *h, sp_random *random, sp_sentences *to, sp_status *status)
{
    bool ok = true;
    int s = draw(h->start, h->states, 0, random);
    for (long n = 0; ok && s < h->states && n < SP_LONGEST_HMM_SENTENCE; n++) {
        const char *word = h->word[draw(h->emit + (size_t)s * (size_t)h->words, h->words, 0, random)];
        ok = sp_sentences_put(to, 0, word, strlen(word), status)
             && sp_sentences_put(to, 1, h->state[s], strlen(h->state[s]), status);
        s = draw(h->move + s * h->states, h->states, h->stop[s], random);
    }
    return ok && sp_sentences_end(to, status);
}

sp_sentences *sp_hmm_sentences(const sp_hmm *h, long n, uint64_t seed, sp_status *status)
{
    if (!h || n < 0) {
        sp_fail(status, SP_ERR_VALUE, "grammar: %ld sentences of %s", n, h ? "a grammar" : "none");
        return NULL;
    }
    sp_sentences *to = sp_sentences_new(2, status);
    bool ok = to;
    for (long i = 0; ok && i < n; i++) {
        sp_random random = { .key = { .seed = seed, .place = sp_hash(sp_hash_text(0, "sp_hmm"), (uint64_t)i) } };
        ok = draw_sentence(h, &random, to, status);
    }
    if (ok)
        return to;
    sp_sentences_free(to);
    return NULL;
}

/* ---- probabilities --------------------------------------------------------------------------------------------- */

/* a[0,s] = start[s] emit[s,w0], a[i,t] = sum over s of a[i-1,s] move[s,t] emit[t,wi], each row divided by its sum c[i];
   ln p = sum of ln c[i] + ln sum over s of a[n-1,s] stop[s]. False where a row is all zero. */
static bool forward(const sp_hmm *h, const int *word, long n, double *a, double *c, double *log_p)
{
    const int S = h->states;
    double ends = 0;
    *log_p = 0;
    for (long i = 0; i < n; i++) {
        c[i] = 0;
        for (int t = 0; t < S; t++) {
            double before = i ? 0 : h->start[t];
            for (int s = 0; i && s < S; s++)
                before += a[(i - 1) * S + s] * h->move[s * S + t];
            c[i] += a[i * S + t] = before * h->emit[(size_t)t * (size_t)h->words + (size_t)word[i]];
        }
        if (!(c[i] > 0))
            return false;
        for (int t = 0; t < S; t++)
            a[i * S + t] /= c[i];
        *log_p += log(c[i]);
    }
    for (int s = 0; n && s < S; s++)
        ends += a[(n - 1) * S + s] * h->stop[s];
    *log_p += log(ends);
    return ends > 0;
}

/* b[n-1,s] = stop[s], b[i,s] = sum over t of move[s,t] emit[t,w(i+1)] b[i+1,t], up to a factor; the posterior is a b by its
   sum. */
static void backward(const sp_hmm *h, const int *word, long n, double *posterior)
{
    const int S = h->states;
    double b[SP_MOST_STATES], next[SP_MOST_STATES];
    memcpy(b, h->stop, (size_t)S * sizeof *b);
    for (long i = n; i-- > 0; ) {
        double sum = 0, most = 0;
        for (int s = 0; s < S; s++)
            sum += posterior[i * S + s] *= b[s];
        for (int s = 0; s < S; s++) {
            posterior[i * S + s] /= sum;
            next[s] = 0;
            for (int t = 0; t < S; t++)
                next[s] += h->move[s * S + t] * h->emit[(size_t)t * (size_t)h->words + (size_t)word[i]] * b[t];
            most = fmax(most, next[s]);
        }
        for (int s = 0; s < S; s++)
            b[s] = next[s] / most;
    }
}

double sp_hmm_log_p(const sp_hmm *h, const int *word, long n, double *posterior, sp_status *status)
{
    bool ok = h && n >= 0 && (word || !n);
    for (long i = 0; ok && i < n; i++)
        if (word[i] < 0 || word[i] >= h->words) {
            sp_fail(status, SP_ERR_VALUE, "grammar: word %ld is %d, expected 0 to %d", i, word[i], h->words - 1);
            return (double)NAN;
        }
    if (!ok) {
        sp_fail(status, SP_ERR_VALUE, "grammar: a sentence of %ld words", n);
        return (double)NAN;
    }
    const size_t size = (size_t)n * (size_t)h->states;
    double log_p = 0, *a = posterior ? posterior : malloc((size + 1) * sizeof *a), *c = malloc(((size_t)n + 1) * sizeof *c);
    if (a && c) {
        if (!forward(h, word, n, a, c, &log_p)) {
            log_p = -INFINITY;
            memset(a, 0, size * sizeof *a);
        } else if (posterior) {
            backward(h, word, n, posterior);
        }
    } else {
        sp_fail(status, SP_ERR_MEMORY, "grammar: out of memory for %ld words", n);
        log_p = (double)NAN;
    }
    if (a != posterior)
        free(a);
    free(c);
    return log_p;
}

/* The words of a sentence as numbers of the grammar. */
static bool number(const sp_vocabulary *v, const sp_sentences *s, long i, int *word, sp_status *status)
{
    size_t length;
    for (long j = 0; j < sp_sentence_length(s, 0, i); j++) {
        const char *w = sp_sentence_word(s, 0, i, j, &length);
        if ((word[j] = sp_vocabulary_id(v, w, length)) < 0)
            return sp_fail(status, SP_ERR_VALUE, "grammar: sentence %ld has the word '%.40s', which it does not know", i, w);
    }
    return true;
}

/* A vocabulary in the order of the grammar's words: the more often counted come first. */
static sp_vocabulary *vocabulary_of(const sp_hmm *h, sp_status *status)
{
    const sp_vocabulary_rule rule = { .level = SP_LEVEL_WORD, .closed = true };
    sp_counts *c = sp_counts_new(status);
    bool ok = c;
    for (int w = 0; ok && w < h->words; w++)
        ok = sp_counts_add(c, h->word[w], strlen(h->word[w]), h->words - w, status);
    sp_vocabulary *v = ok ? sp_vocabulary_new(c, &rule, status) : NULL;
    sp_counts_free(c);
    return v;
}

bool sp_hmm_best(const sp_hmm *h, const sp_sentences *s, sp_hmm_optimum *best, sp_status *status)
{
    long longest = 0;
    *best = (sp_hmm_optimum){ 0 };
    if (!h || !s)
        return sp_fail(status, SP_ERR_VALUE, "grammar: no sentences");
    for (long i = 0; i < s->n; i++)
        longest = sp_sentence_length(s, 0, i) > longest ? sp_sentence_length(s, 0, i) : longest;
    sp_vocabulary *v = vocabulary_of(h, status);
    int *word = malloc(((size_t)longest + 1) * sizeof *word);
    double *posterior = malloc(((size_t)longest * (size_t)h->states + 1) * sizeof *posterior), nats = 0, right = 0;
    bool ok = v && ((word && posterior) || sp_fail(status, SP_ERR_MEMORY, "grammar: out of memory for %ld words", longest));
    for (long i = 0; ok && i < s->n; i++) {
        const long n = sp_sentence_length(s, 0, i);
        double log_p = 0;
        ok = number(v, s, i, word, status) && !isnan(log_p = sp_hmm_log_p(h, word, n, posterior, status));
        nats -= log_p;
        for (long j = 0; ok && j < n; j++) {
            double most = 0;
            for (int t = 0; t < h->states; t++)
                most = fmax(most, posterior[j * h->states + t]);
            right += most;
        }
        best->words += n;
        best->sentences++;
    }
    sp_vocabulary_free(v);
    free(word);
    free(posterior);
    best->nats = best->sentences ? nats / (double)(best->words + best->sentences) : 0;
    best->accuracy = best->words ? right / (double)best->words : 0;
    return ok;
}
