/* Demonstration tasks: what their headers say is the best possible, is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/dates.h"
#include "zoo/hmm.h"
#include "zoo/valence.h"

static bool same_sentence(const sp_sentences *a, long i, const sp_sentences *b, long j)
{
    for (int f = 0; f < a->fields; f++) {
        if (sp_sentence_length(a, f, i) != sp_sentence_length(b, f, j))
            return false;
        for (long k = 0; k < sp_sentence_length(a, f, i); k++)
            if (strcmp(sp_sentence_word(a, f, i, k, NULL), sp_sentence_word(b, f, j, k, NULL)))
                return false;
    }
    return true;
}

/* The same from the same seed, however many are drawn; others from another. */
static void check_draws(sp_sentences *many, sp_sentences *few, sp_sentences *other)
{
    int differ = 0;
    ck_assert(many && few && other && many->n > few->n && few->n == other->n);
    for (long i = 0; i < few->n; i++) {
        ck_each(same_sentence(many, i, few, i), "sentence %ld", i);
        differ += !same_sentence(few, i, other, i);
    }
    ck_assert_int_gt(differ, few->n / 2);
    sp_sentences_free(many);
    sp_sentences_free(few);
    sp_sentences_free(other);
}

/* ---- grammars -------------------------------------------------------------------------------------------------- */

enum { S = 3, W = 4, LONG = 6 };

static const char *const names[] = { "a", "b", "c", "d" };

static double weight(sp_random *random, long zero_in)
{
    return sp_random_below(random, zero_in) ? 0.05 + sp_random_next(random) : 0;
}

static void divide(double *row, int n, double by)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += row[i];
    for (int i = 0; i < n; i++)
        row[i] *= by / sum;
}

/* A grammar in which words have one state (kind 0), or several. */
static sp_hmm *drawn(uint64_t seed, int kind)
{
    sp_random random = { .key = { .seed = seed, .place = 3 } };
    double start[S], move[S][S], emit[S][W];
    for (int s = 0; s < S; s++) {
        start[s] = 0.1 + sp_random_next(&random);
        for (int t = 0; t < S; t++)
            move[s][t] = weight(&random, 4);
        move[s][(s + 1) % S] += 0.1;
        divide(move[s], S, 0.1 + 0.15 * sp_random_next(&random));
        for (int w = 0; w < W; w++)
            emit[s][w] = kind ? weight(&random, 3) : w % S == s ? 1 + w : 0;
        emit[s][s] += 0.1;
        divide(emit[s], W, 1);
    }
    divide(start, S, 1);
    sp_status status = { 0 };
    sp_hmm *h = sp_hmm_new(S, W, start, *move, *emit, names, names, &status);
    ck_assert_msg(h != NULL, "%s", status.message);
    return h;
}

/* p of words and states together, and the end. */
static double together(const sp_hmm *h, const int *word, const int *state, long n)
{
    double p = h->start[state[0]];
    for (long i = 0; i < n; i++)
        p *= h->emit[state[i] * W + word[i]] * (i + 1 < n ? h->move[state[i] * S + state[i + 1]] : h->stop[state[i]]);
    return p;
}

/* Over all states there can be: p of the words, and of each state at each place. */
static double all_states(const sp_hmm *h, const int *word, long n, double *posterior)
{
    long paths = 1;
    double sum = 0;
    memset(posterior, 0, (size_t)(n * S) * sizeof *posterior);
    for (long i = 0; i < n; i++)
        paths *= S;
    for (long path = 0; path < paths; path++) {
        int state[LONG];
        long rest = path;
        for (long i = 0; i < n; i++, rest /= S)
            state[i] = (int)(rest % S);
        const double p = together(h, word, state, n);
        sum += p;
        for (long i = 0; i < n; i++)
            posterior[i * S + state[i]] += p;
    }
    for (long i = 0; i < n * S && sum > 0; i++)
        posterior[i] /= sum;
    return sum;
}

START_TEST(forward_backward)
{
    sp_hmm *h = drawn((uint64_t)_i, _i % 3);
    for (long n = 1; n <= 5; n++) {
        long texts = 1;
        for (long i = 0; i < n; i++)
            texts *= W;
        for (long text = 0; text < texts; text += n < 4 ? 1 : 7) {
            int word[LONG];
            double want[LONG * S], posterior[LONG * S];
            long rest = text;
            for (long i = 0; i < n; i++, rest /= W)
                word[i] = (int)(rest % W);
            const double p = all_states(h, word, n, want), log_p = sp_hmm_log_p(h, word, n, posterior, NULL);
            if (!(p > 0)) {
                ck_each(isinf(log_p) && log_p < 0, "ln p %g, not ln 0", log_p);
                continue;
            }
            ck_each(fabs(log_p - log(p)) < 1e-10, "ln p %g, not %g", log_p, log(p));
            ck_each(log_p == sp_hmm_log_p(h, word, n, NULL, NULL), "another ln p without posterior");
            for (long i = 0; i < n * S; i++)
                ck_each(fabs(posterior[i] - want[i]) < 1e-10, "posterior %g, not %g", posterior[i], want[i]);
        }
    }
    ck_assert(isinf(sp_hmm_log_p(h, NULL, 0, NULL, NULL)));     /* no sentence is empty */
    sp_hmm_free(h);
}
END_TEST

/* All texts: their probabilities sum to 1, -p ln p to the entropy, and the probabilities of the likeliest states to what
   the best tagger reaches. What is longer than DEEP words is of no weight here. */
enum { DEEP = 8 };

struct sums {
    double p, nats, symbols;
};

static void all_texts(const sp_hmm *h, int *word, long n, struct sums *sum)
{
    if (n) {
        const double log_p = sp_hmm_log_p(h, word, n, NULL, NULL);
        if (isfinite(log_p)) {
            sum->p += exp(log_p);
            sum->nats -= log_p * exp(log_p);
            sum->symbols += (double)(n + 1) * exp(log_p);
        }
    }
    for (word[n] = 0; n < DEEP && word[n] < W; word[n]++)
        all_texts(h, word, n + 1, sum);
}

START_TEST(entropy)
{
    int word[DEEP + 1];
    double nats, error;
    struct sums sum = { 0 };
    sp_hmm *h = drawn((uint64_t)_i + 10, _i % 3);
    all_texts(h, word, 0, &sum);
    ck_assert(sp_hmm_entropy(h, &nats, &error, NULL));
    const double left = 1 - sum.p;                      /* what is longer than DEEP: few nats a word */
    ck_assert_msg(left >= -1e-12 && left < 1e-5, "%g is longer", left);
    ck_assert_msg(fabs(nats - sum.nats / sum.symbols) < error + 40 * left, "%.9f +- %.2g, not %.9f +- %.2g", nats, error,
                  sum.nats / sum.symbols, 40 * left);
    ck_assert(_i % 3 ? error < 1e-3 : error == 0);
    sp_hmm_free(h);
}
END_TEST

/* A grammar in which every word may be of every state: there are far too many runs of words for all to be followed. The entropy is
   within its error of what texts say. */
START_TEST(entropy_of_many)
{
    enum { STATES = 4, WORDS = 600 };
    double first[STATES], next[STATES * STATES], *emit = malloc(STATES * WORDS * sizeof *emit), nats, error;
    char text[WORDS][16];
    const char *word[WORDS];
    sp_random random = { .key = { .seed = 12 } };
    sp_hmm_optimum best;
    for (int s = 0; s < STATES; s++) {
        double sum = 0;
        first[s] = 1.0 / STATES;
        for (int t = 0; t < STATES; t++)
            next[s * STATES + t] = (s == t ? 0.6 : 0.1) * 0.9;
        for (int w = 0; w < WORDS; w++)
            sum += emit[s * WORDS + w] = sp_random_next(&random);
        for (int w = 0; w < WORDS; w++)
            emit[s * WORDS + w] /= sum;
    }
    for (int w = 0; w < WORDS; w++) {
        snprintf(text[w], sizeof text[w], "%d", w);
        word[w] = text[w];
    }
    sp_hmm *h = sp_hmm_new(STATES, WORDS, first, next, emit, word, word, NULL);
    ck_assert(h && sp_hmm_entropy(h, &nats, &error, NULL));
    sp_sentences *s = sp_hmm_sentences(h, 2000, 1, NULL);
    ck_assert(sp_hmm_best(h, s, &best, NULL));
    ck_assert_msg(error > 0 && error < 1 && fabs(best.nats - nats) < error, "%g nats, +- %g, of texts %g", nats, error, best.nats);
    sp_sentences_free(s);
    sp_hmm_free(h);
    free(emit);
}
END_TEST

/* Where each word is of one state: by hand. It begins with a, 1/4, or b, 3/4: ln 4 - 3/4 ln 3 nats; behind a it ends or
   goes on with b, 1/2 each; behind b it ends. */
START_TEST(entropy_by_hand)
{
    static const double start[] = { 0.25, 0.75 }, move[] = { 0, 0.5, 0, 0 }, emit[] = { 1, 0, 0, 1 };
    double nats, error;
    sp_hmm *h = sp_hmm_new(2, 2, start, move, emit, names, names, NULL);
    ck_assert(sp_hmm_entropy(h, &nats, &error, NULL) && error == 0);
    const double sentence = log(4) - 0.75 * log(3) + 0.25 * log(2), symbols = 0.75 * 2 + 0.125 * 2 + 0.125 * 3;
    ck_assert_double_eq_tol(nats, sentence / symbols, 1e-12);
    double p[4];
    ck_assert_double_eq_tol(sp_hmm_log_p(h, (const int[]){ 0, 1 }, 2, p, NULL), log(0.125), 1e-12);
    ck_assert(isinf(sp_hmm_log_p(h, (const int[]){ 1, 0 }, 2, p, NULL)) && p[0] == 0 && p[3] == 0);
    sp_hmm_free(h);
}
END_TEST

/* Drawn texts: the likeliest states are right as often as is said, and nats per symbol are near the entropy. */
START_TEST(drawing)
{
    enum { N = 4000 };
    sp_hmm *h = drawn((uint64_t)_i + 20, 1);
    sp_sentences *s = sp_hmm_sentences(h, N, 7, NULL);
    sp_hmm_optimum best;
    double nats, error, right = 0;
    ck_assert(sp_hmm_best(h, s, &best, NULL) && sp_hmm_entropy(h, &nats, &error, NULL));
    for (long i = 0; i < N; i++) {
        int word[64];
        double p[64 * S];
        const long n = sp_sentence_length(s, 0, i);
        ck_each(n > 0 && n < 64 && n == sp_sentence_length(s, 1, i), "%ld words", n);
        for (long j = 0; j < n; j++)
            word[j] = *sp_sentence_word(s, 0, i, j, NULL) - 'a';
        sp_hmm_log_p(h, word, n, p, NULL);
        for (long j = 0; j < n; j++) {
            int likeliest = 0;
            for (int t = 1; t < S; t++)
                likeliest = p[j * S + t] > p[j * S + likeliest] ? t : likeliest;
            right += *sp_sentence_word(s, 1, i, j, NULL) == 'a' + likeliest;
        }
    }
    ck_assert_int_eq(best.sentences, N);
    ck_assert_double_eq_tol(right / (double)best.words, best.accuracy, 5 * 0.5 / sqrt((double)best.words));
    ck_assert_double_eq_tol(best.nats, nats, 0.05);
    sp_sentences_free(s);
    check_draws(sp_hmm_sentences(h, 60, 1, NULL), sp_hmm_sentences(h, 40, 1, NULL), sp_hmm_sentences(h, 40, 2, NULL));
    sp_hmm_free(h);
}
END_TEST

/* The figures of zoo/hmm.h. */
START_TEST(english)
{
    enum { N = 20000, TAGS = 9 };
    sp_hmm *h = sp_hmm_english(NULL);
    sp_sentences *s = sp_hmm_sentences(h, N, 1, NULL);
    sp_hmm_optimum best;
    double nats, error;
    long likeliest = 0;
    ck_assert(h->states == TAGS && h->words == 60 && sp_hmm_best(h, s, &best, NULL) && sp_hmm_entropy(h, &nats, &error, NULL));
    const sp_vocabulary_rule closed = { .closed = true };
    sp_vocabulary *words = sp_vocabulary_of_field(s, 0, &closed, NULL), *tags = sp_vocabulary_of_field(s, 1, &closed, NULL);
    long count[60][TAGS] = { 0 };
    int several = 0;
    sp_ids x, y;
    ck_assert(sp_encode_field(words, s, 0, &x, NULL) && sp_encode_field(tags, s, 1, &y, NULL)
              && sp_vocabulary_size(words) == 60);
    for (long k = 0; k < x.n; k++)
        count[x.id[k]][y.id[k]]++;
    for (int w = 0; w < 60; w++) {
        int states = 0;
        long most = 0;
        for (int t = 0; t < TAGS; t++) {
            states += count[w][t] > 0;
            most = count[w][t] > most ? count[w][t] : most;
        }
        several += states > 1;
        likeliest += most;
    }
    free(x.id);
    free(y.id);
    sp_vocabulary_free(words);
    sp_vocabulary_free(tags);
    ck_assert_msg(several == 15, "%d words of several tags", several);
    ck_assert_msg(fabs((double)best.words / N - 9.6) < 0.05, "%.3f words", (double)best.words / N);
    ck_assert_msg(fabs(best.nats - 2.9598) < 5e-5 && fabs(best.accuracy - 0.9799) < 5e-5, "%.5f nats, %.5f", best.nats,
                  best.accuracy);
    ck_assert_msg(fabs((double)likeliest / (double)best.words - 0.8820) < 5e-5, "%.5f by word",
                  (double)likeliest / (double)best.words);
    ck_assert_msg(fabs(nats - 2.9551) < 5e-5 && error < 5e-4, "%.5f +- %.5f nats", nats, error);
    sp_sentences_free(s);
    sp_hmm_free(h);
}
END_TEST

START_TEST(wrong_grammars)
{
    const double good[] = { 0.5, 0.5 }, moves[] = { 0.5, 0, 0, 0.5 }, much[] = { 0.5, 0.6 }, never[] = { 0, 1, 1, 0 },
        minus[] = { -0.5, 1.5 };
    const double words[] = { 1, 0, 0.5, 0.5 }, few[] = { 1, 0, 0.5, 0.25 }, nan[] = { NAN, 1 };
    const struct { const double *start, *move, *emit; const char *message; } cases[] = {
        { much, moves, words, "grammar: the probabilities of start 0 sum to 1.1, expected 1" },
        { minus, moves, words, "grammar: the probabilities of start 0 sum to nan, expected 1" },
        { nan, moves, words, "grammar: the probabilities of start 0 sum to nan, expected 1" },
        { good, moves, few, "grammar: the probabilities of words of state 1 sum to 0.75, expected 1" },
        { good, never, words, "grammar: a sentence in state 0 (a) never ends" },
        { good, words, words, "grammar: a sentence in state 0 (a) never ends" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sp_status status = { 0 };
        ck_assert(!sp_hmm_new(2, 2, cases[i].start, cases[i].move, cases[i].emit, names, names, &status));
        char *minus_nan = strstr(status.message, "-nan");
        if (minus_nan)
            memmove(minus_nan, minus_nan + 1, strlen(minus_nan));
        ck_assert_str_eq(status.message, cases[i].message);
    }
    static const char *const twice[] = { "a", "a" }, *const empty[] = { "a", "" };
    sp_status named = { 0 }, unnamed = { 0 };
    ck_assert(!sp_hmm_new(2, 2, good, moves, words, names, twice, &named)
              && !sp_hmm_new(2, 2, good, moves, words, empty, names, &unnamed)
              && !sp_hmm_new(2, 2, good, moves, words, names, empty, NULL));
    ck_assert_str_eq(named.message, "grammar: word 1, 'a', is empty or there already");
    ck_assert_str_eq(unnamed.message, "grammar: state 1 has no name");
    sp_status status = { 0 };
    ck_assert(!sp_hmm_new(65, 2, good, moves, words, names, names, &status)
              && !sp_hmm_new(2, 2, NULL, moves, words, names, names, NULL));
    ck_assert_str_eq(status.message, "grammar: 65 states, 2 words, expected 1 to 64 and 65536, and all tables");
    sp_hmm *h = sp_hmm_new(2, 2, good, moves, words, names, names, NULL);
    status = (sp_status){ 0 };
    ck_assert(isnan(sp_hmm_log_p(h, (const int[]){ 1, 2 }, 2, NULL, &status)));
    ck_assert_str_eq(status.message, "grammar: word 1 is 2, expected 0 to 1");
    sp_sentences *s = sp_sentences_new(1, NULL);
    sp_hmm_optimum best;
    ck_assert(sp_hmm_best(h, s, &best, NULL) && best.nats == 0);
    ck_assert(sp_sentences_put(s, 0, "zebra", 5, NULL) && sp_sentences_end(s, NULL));
    status = (sp_status){ 0 };
    ck_assert(!sp_hmm_best(h, s, &best, &status));
    ck_assert_str_eq(status.message, "grammar: sentence 0 has the word 'zebra', which it does not know");
    ck_assert(!sp_hmm_sentences(h, -1, 0, NULL) && !sp_hmm_sentences(NULL, 1, 0, NULL)
              && !sp_hmm_entropy(NULL, NULL, NULL, NULL));
    sp_sentences_free(s);
    sp_hmm_free(h);
    sp_hmm_free(NULL);
}
END_TEST

/* ---- dates ----------------------------------------------------------------------------------------------------- */

static const struct {
    int format, letters;
    const char *text;
} written[] = {
    { -1, 0, "1999-05-03" }, { 0, 0, "3 May 1999" }, { 2, 0, "3rd May 1999" }, { 9, 0, "Monday, May 3rd 1999" },
    { 8, 2, "3-MAY-99" },
    { 13, 0, "05/03/1999" }, { 14, 0, "03.05.1999" }, { 16, 0, "19990503" }, { 21, 1, "mon, 03 may 99" },
    { 18, 0, "May. 3, '99" },
};

START_TEST(date_formats)
{
    char text[SP_DATE_ROOM];
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        ck_assert_str_eq(sp_date_write(text, written[i].format, written[i].letters, 1999, 5, 3), written[i].text);
    ck_assert_int_eq(sp_date_formats(), 22);
    static const struct { int day; const char *text; } ordinals[] = { { 1, "1st" }, { 2, "2nd" }, { 11, "11th" },
                                                                      { 12, "12th" }, { 13, "13th" },
                                                                      { 21, "21st" }, { 22, "22nd" }, { 23, "23rd" },
                                                                      { 30, "30th" } };
    for (size_t i = 0; i < sizeof ordinals / sizeof *ordinals; i++)
        ck_assert(!strncmp(sp_date_write(text, 2, 0, 2000, 1, ordinals[i].day), ordinals[i].text, strlen(ordinals[i].text)));
    ck_assert(sp_date_write(text, 9, 0, 2000, 2, 29) && !strncmp(text, "Tuesday", 7));
    ck_assert(!sp_date_write(text, 0, 0, 1999, 2, 29) && !sp_date_write(text, 0, 0, 1949, 1, 1)
              && !sp_date_write(text, 0, 0, 2050, 1, 1));
    ck_assert(!sp_date_write(text, 22, 0, 2000, 1, 1) && !sp_date_write(text, -2, 0, 2000, 1, 1)
              && !sp_date_write(text, 0, 3, 2000, 1, 1));
    ck_assert(!sp_date_write(text, 0, 0, 2000, 13, 1) && !sp_date_write(text, 0, 0, 2000, 0, 1)
              && !sp_date_write(text, 0, 0, 2000, 1, 0));
}
END_TEST

/* Whatever the text, one date: all days in all ways are told apart by what is written, even if all of it is in small
   letters. */
struct pair {
    uint64_t text;              /* a hash: 800,000 of them would share one of 64 bits with a probability of 1e-8 */
    int date;
};

static int by_text(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return (x->text > y->text) - (x->text < y->text);
}

START_TEST(one_meaning)
{
    enum { MOST = 36525 * 22 };
    struct pair *all = malloc(MOST * sizeof *all);
    char text[SP_DATE_ROOM];
    long n = 0, days = 0;
    for (int year = SP_DATE_FIRST; year <= SP_DATE_LAST; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= 31; day++) {
                days += sp_date_write(text, -1, 0, year, month, day) != NULL;
                for (int f = 0; f < sp_date_formats(); f++)
                    if (sp_date_write(text, f, 1, year, month, day))
                        all[n++] = (struct pair){ sp_hash_text(0, text), year * 10000 + month * 100 + day };
            }
    ck_assert(n == MOST && days == 36525);
    qsort(all, MOST, sizeof *all, by_text);
    for (long i = 1; i < n; i++)
        ck_each(all[i].text != all[i - 1].text || all[i].date == all[i - 1].date, "%d and %d are written alike",
                all[i - 1].date, all[i].date);
    free(all);
}
END_TEST

START_TEST(date_pairs)
{
    sp_sentences *s = sp_dates(3000, 5, NULL);
    bool used[22] = { false };
    char want[SP_DATE_ROOM];
    for (long i = 0; i < s->n; i++) {
        char *source = sp_sentence_text(s, 0, i, NULL), *target = sp_sentence_text(s, 1, i, NULL);
        bool found = false;
        const int year = atoi(target), month = atoi(target + 5), day = atoi(target + 8);
        for (int f = 0; f < 22; f++)
            for (int l = 0; l < 3; l++)
                if (sp_date_write(want, f, l, year, month, day) && !strcmp(want, source))
                    found = used[f] = true;
        ck_each(found, "%s -> %s", source, target);
        free(source);
        free(target);
    }
    for (int f = 0; f < 22; f++)
        ck_assert(used[f]);
    sp_sentences_free(s);
    check_draws(sp_dates(60, 1, NULL), sp_dates(40, 1, NULL), sp_dates(40, 2, NULL));
    sp_status status = { 0 };
    ck_assert(!sp_dates(-1, 1, &status) && (s = sp_dates(0, 1, NULL)) && s->n == 0);
    ck_assert_str_eq(status.message, "dates: -1 pairs");
    sp_sentences_free(s);
}
END_TEST

/* ---- valence --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    long sum, bag;
} valences[] = {
    { "", 0, 0 }, { "the film was good", 1, 1 }, { "not good", -1, 1 }, { "never the film good bad", -2, 0 },
    { "not never good", 1, 1 }, { "good not", 1, 1 }, { "not quite awful and never dull", 2, -2 },
    { "zebra not zebra bad", 1, -1 },
};

START_TEST(valence_rule)
{
    for (size_t i = 0; i < sizeof valences / sizeof *valences; i++) {
        sp_sentences *s = sp_sentences_new(2, NULL);
        ck_assert(sp_sentences_put_text(s, 0, valences[i].text, strlen(valences[i].text), SP_LEVEL_WORD, NULL)
                  && sp_sentences_end(s, NULL));
        ck_assert_int_eq(sp_valence_sum(s, 0, true), valences[i].sum);
        ck_assert_int_eq(sp_valence_sum(s, 0, false), valences[i].bag);
        sp_sentences_free(s);
    }
}
END_TEST

/* The label is the sign of the sum, but for the noise; and what those reach who do not see negators. */
START_TEST(valence_texts)
{
    enum { N = 20000 };
    static const double noise[] = { 0, 0.1 };
    const sp_valence_config config = { .noise = noise[_i] };
    sp_sentences *s = sp_valence(&config, N, 1, NULL);
    long right = 0, twice = 0, positive = 0, least = 1000, most = 0;
    for (long i = 0; i < N; i++) {
        const bool label = !strcmp(sp_sentence_word(s, 1, i, 0, NULL), "positive");
        const long sum = sp_valence_sum(s, i, true), bag = sp_valence_sum(s, i, false), n = sp_sentence_length(s, 0, i);
        ck_each(sum != 0 && (label || !strcmp(sp_sentence_word(s, 1, i, 0, NULL), "negative")), "text %ld", i);
        right += (sum > 0) == label;
        twice += bag ? 2 * ((bag > 0) == label) : 1;        /* where the words say nothing one of two guesses is right */
        positive += label;
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    ck_assert(least == 4 && most == 20);
    ck_assert_double_eq_tol((double)right / N, 1 - noise[_i], noise[_i] > 0 ? 5 * sqrt(0.09 / N) : 1e-12);
    ck_assert_double_eq_tol((double)positive / N, 0.5, 5 * 0.5 / sqrt(N));
    ck_assert_msg(_i || fabs((double)twice / (2 * N) - 0.7232) < 5e-5, "%.5f without negators", (double)twice / (2 * N));
    sp_sentences_free(s);
}
END_TEST

START_TEST(valence_sizes)
{
    sp_status status = { 0 };
    ck_assert(!sp_valence(&(sp_valence_config){ 3, 2, 0 }, 1, 0, &status)
              && !sp_valence(&(sp_valence_config){ 0, 2, 0 }, 1, 0, NULL)
              && !sp_valence(&(sp_valence_config){ .noise = 0.5 }, 1, 0, NULL)
              && !sp_valence(&(sp_valence_config){ .noise = NAN }, 1, 0, NULL));
    ck_assert_str_eq(status.message, "valence: 3 to 2 words, noise 0, expected 1 to 1000000 and below 0.5");
    status = (sp_status){ 0 };
    ck_assert(!sp_valence(NULL, -2, 0, &status));
    ck_assert_str_eq(status.message, "valence: -2 texts");
    sp_sentences *s = sp_valence(&(sp_valence_config){ 1, 1, 0 }, 30, 0, NULL);
    for (long i = 0; i < 30; i++)
        ck_assert_int_eq(sp_sentence_length(s, 0, i), 1);
    sp_sentences_free(s);
    check_draws(sp_valence(NULL, 60, 1, NULL), sp_valence(NULL, 40, 1, NULL), sp_valence(NULL, 40, 2, NULL));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("demos");
    TCase *c = tcase_create("hmm");
    tcase_add_loop_test(c, forward_backward, 0, 9);
    tcase_add_loop_test(c, entropy, 0, 6);
    tcase_add_test(c, entropy_of_many);
    tcase_add_test(c, entropy_by_hand);
    tcase_add_loop_test(c, drawing, 0, 3);
    tcase_add_test(c, english);
    tcase_add_test(c, wrong_grammars);
    suite_add_tcase(all, c);
    c = tcase_create("dates");
    tcase_add_test(c, date_formats);
    tcase_add_test(c, one_meaning);
    tcase_add_test(c, date_pairs);
    suite_add_tcase(all, c);
    c = tcase_create("valence");
    tcase_add_test(c, valence_rule);
    tcase_add_loop_test(c, valence_texts, 0, 2);
    tcase_add_test(c, valence_sizes);
    suite_add_tcase(all, c);
    return all;
}
