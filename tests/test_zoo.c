/* The small parts of the zoo: streams, n-grams, drawing from logits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/ngram.h"
#include "zoo/sampling.h"
#include "zoo/stream.h"

/* ---- streams --------------------------------------------------------------------------------------------------- */

enum { MOST = 60 };

/* The parts of a stream, side by side, are the whole. */
static bool parts_fit(const sp_stream *s, long window, const int *x, const int *y)
{
    const long length = sp_stream_length(s, window);
    int px[2 * MOST], py[2 * MOST];
    for (int parts = 1; parts <= 4; parts++)
        for (long i = 0, column = 0; i < parts; i++) {
            const sp_stream p = sp_stream_part(s, (int)i, parts);
            sp_stream_read(&p, window, px, py);
            if (sp_stream_length(&p, window) != length || p.windows != s->windows)
                return false;
            for (long b = 0; b < p.batch; b++, column++)
                for (long t = 0; t < length; t++)
                    if (px[t * p.batch + b] != x[t * s->batch + column] || py[t * p.batch + b] != y[t * s->batch + column])
                        return false;
            if (i == parts - 1 && column != s->batch)
                return false;
        }
    return true;
}

/* Text i is the symbol i, so a symbol tells where it is from. */
static void check_stream(long n, long batch, long most)
{
    int id[MOST] = { 0 }, predicted[MOST] = { 0 }, x[2 * MOST], y[2 * MOST], last[MOST];
    long steps = 0;
    bool right = true;
    for (int i = 0; i < n; i++)
        id[i] = i;
    const sp_stream s = sp_stream_of(id, n, batch, most);
    for (long w = 0; w < s.windows; w++) {
        long length = sp_stream_length(&s, w), counted = 0;
        right = right && length >= 1 && length <= sp_stream_length(&s, 0) && sp_stream_length(&s, 0) <= most
                && sp_stream_length(&s, 0) - length <= 1;
        long count = sp_stream_read(&s, w, x, y);
        for (long t = 0; t < length; t++)
            for (long b = 0; b < batch; b++) {
                int in = x[t * batch + b], out = y[t * batch + b];
                if (out == SP_IGNORE) {
                    right = right && in == 0 && steps + t == s.steps - 1;   /* only the very last step may be short */
                    continue;
                }
                right = right && out == in + 1 && (steps + t == 0 || in == last[b]);    /* each goes on where it was */
                last[b] = out;
                predicted[out]++;
                counted++;
            }
        right = right && count == counted && parts_fit(&s, w, x, y);
        steps += length;
    }
    for (int i = 0; i < n; i++)
        right = right && predicted[i] == (i > 0);
    ck_assert_msg(right && steps == s.steps, "%ld symbols in %ld streams, windows of %ld at most", n, batch, most);
}

START_TEST(streams)
{
    for (long n = 2; n < 30; n++)
        for (long batch = 1; batch < n; batch++)
            for (long most = 1; most < 8; most++)
                check_stream(n, batch, most);
    check_stream(MOST, 7, 100);
    check_stream(MOST, MOST - 1, 3);
}
END_TEST

/* ---- n-grams --------------------------------------------------------------------------------------------------- */

/* The definition, without any cleverness. */
static void naive(const int *train, long n, const int *valid, long m, int symbols, double *unigram, double *bigram)
{
    *unigram = 0;
    *bigram = INFINITY;
    for (int power = 0; power <= 10; power++) {
        double k = pow(2, power), sum = 0;
        *unigram = 0;
        for (long i = 1; i < m; i++) {
            double b = 0, a = 0, ab = 0;
            for (long j = 0; j < n; j++) {
                b += train[j] == valid[i];
                a += train[j] == valid[i - 1];
                ab += j + 1 < n && train[j] == valid[i - 1] && train[j + 1] == valid[i];
            }
            double p = (b + 1) / (double)(n + symbols);
            *unigram -= log(p) / (double)(m - 1);
            sum -= log((ab + k * p) / (a + k)) / (double)(m - 1);
        }
        *bigram = fmin(*bigram, sum);
    }
}

static const struct {
    long n, m;
    int symbols, used;          /* ids are drawn below used */
} texts[] = { { 200, 100, 12, 10 }, { 50, 50, 3, 3 }, { 1, 20, 5, 5 }, { 300, 2, 40, 40 }, { 100, 60, 1, 1 } };

START_TEST(ngrams)
{
    int train[300], valid[300];
    double unigram, bigram, u, b;
    sp_random random = { .key = { .seed = (uint64_t)_i } };
    for (int i = 0; i < 300; i++) {
        train[i] = (int)(sp_random_below(&random, texts[_i].used) * sp_random_next(&random));
        valid[i] = (int)(sp_random_below(&random, texts[_i].used) * sp_random_next(&random));
    }
    naive(train, texts[_i].n, valid, texts[_i].m, texts[_i].symbols, &u, &b);
    ck_assert(sp_ngram_losses(train, texts[_i].n, valid, texts[_i].m, texts[_i].symbols, &unigram, &bigram, NULL));
    ck_assert_double_eq_tol(unigram, u, 1e-12);
    ck_assert_double_eq_tol(bigram, b, 1e-12);
}
END_TEST

/* ---- drawing --------------------------------------------------------------------------------------------------- */

enum { N = 6, DRAWS = 20000 };

static const sp_real logits[N] = { 3, 1, 2, -1, 0.5, 1.5 };     /* the likeliest: 0, then 2, 5, 1, 4, 3 */

/* What must hold of the probabilities: among the `kept` likeliest, not the banned one, p is e^(logit / temperature). */
static const struct rule {
    sp_sampling how;
    int banned, kept;
} rules[] = {
    { { .temperature = 1, .top_p = 1 }, -1, 6 },
    { { .temperature = 1, .top_p = 1 }, 0, 5 },
    { { .temperature = 1, .top_p = 1 }, 2, 5 },
    { { .temperature = 0.5, .top_p = 1 }, -1, 6 },
    { { .temperature = 3, .top_p = 1 }, 0, 5 },
    { { .temperature = 1, .top_p = 1, .top_k = 3 }, -1, 3 },
    { { .temperature = 1, .top_p = 1, .top_k = 3 }, 0, 3 },
    { { .temperature = 1, .top_p = 1, .top_k = 100 }, -1, 6 },
    { { .temperature = 1, .top_p = 0.7 }, -1, 2 },      /* 0.547, then 0.749 */
    { { .temperature = 1, .top_p = 0.54 }, -1, 1 },
    { { .temperature = 1, .top_p = 0.995 }, -1, 6 },    /* 0.990 without the last */
    { { .temperature = 1, .top_p = 0.9, .top_k = 2 }, -1, 2 },
    { { .temperature = 0, .top_p = 1 }, -1, 1 },
    { { .temperature = 0, .top_p = 1 }, 0, 1 },
    { { .temperature = 5, .top_p = 1, .top_k = 1 }, -1, 1 },
    { { .temperature = 5, .top_p = 1, .top_k = 1 }, 0, 1 },
    { { .temperature = 5, .top_p = 1e-6 }, -1, 1 },
    { { .temperature = 1e-3, .top_p = 1 }, -1, 6 },
};

static void probabilities(const struct rule *r, double *p)
{
    static const int order[N] = { 0, 2, 5, 1, 4, 3 };
    double sum = 0, temperature = r->how.temperature > 0 ? r->how.temperature : 1;
    memset(p, 0, N * sizeof *p);
    for (int i = 0, kept = 0; i < N && kept < r->kept; i++)
        if (order[i] != r->banned) {
            sum += p[order[i]] = exp(((double)logits[order[i]] - 3) / temperature);
            kept++;
        }
    for (int i = 0; i < N; i++)
        p[i] /= sum;
}

/* A count of n draws deviates by sqrt(n p (1 - p)) or less; by five of these once in 1.7 million, and the seed is fixed. */
START_TEST(frequencies)
{
    const struct rule *r = &rules[_i];
    long count[N] = { 0 };
    double p[N], log_p, all = 0;
    bool right = true;
    struct sp_choice room[N];
    sp_random random = { .key = { .seed = 1, .place = 9 } };
    probabilities(r, p);
    for (int i = 0; i < N; i++)
        all += exp((double)logits[i]);
    for (int i = 0; i < DRAWS; i++) {
        int id = sp_sample(&r->how, N, logits, r->banned, &random, room, &log_p);
        if (id < 0 || id >= N)
            ck_abort_msg("drew %d", id);
        right = right && fabs(log_p - ((double)logits[id] - log(all))) < 1e-12;
        count[id]++;
    }
    ck_assert_msg(right, "log_p is not that of the symbol drawn");
    for (int i = 0; i < N; i++) {
        double bound = 5 * sqrt(DRAWS * p[i] * (1 - p[i]));
        ck_assert_msg(fabs((double)count[i] - DRAWS * p[i]) <= bound + 1e-9, "symbol %d: %ld of %d draws, p %.4f", i,
                      count[i], DRAWS, p[i]);
    }
}
END_TEST

/* The same place of the same stream: the same symbols. Equal logits: the first. Huge ones: no overflow. */
START_TEST(draws)
{
    const sp_sampling how = { .temperature = 1, .top_p = 1 }, likeliest = { .temperature = 0, .top_p = 1 };
    static const sp_real equal[] = { -5, 2, 2, 2 }, huge[] = { -1e30f, 1e30f, -INFINITY, 0 };
    sp_random a = { .key = { .seed = 3 } }, b = a, other = { .key = { .seed = 4 } };
    struct sp_choice room[N];
    double log_p;
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        int id = sp_sample(&how, N, logits, -1, &a, room, &log_p);
        ck_assert_int_eq(id, sp_sample(&how, N, logits, -1, &b, room, &log_p));
        differ += id != sp_sample(&how, N, logits, -1, &other, room, &log_p);
    }
    ck_assert_int_gt(differ, 10);
    ck_assert_int_eq(sp_sample(&likeliest, 4, equal, -1, &a, room, &log_p), 1);
    ck_assert_int_eq(sp_sample(&likeliest, 4, equal, 1, &a, room, &log_p), 2);
    ck_assert_int_eq(sp_sample(&how, 4, huge, -1, &a, room, &log_p), 1);
    ck_assert(log_p == 0);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("zoo");
    TCase *c = tcase_create("data");
    tcase_add_test(c, streams);
    tcase_add_loop_test(c, ngrams, 0, sizeof texts / sizeof *texts);
    suite_add_tcase(all, c);
    c = tcase_create("sampling");
    tcase_add_loop_test(c, frequencies, 0, sizeof rules / sizeof *rules);
    tcase_add_test(c, draws);
    suite_add_tcase(all, c);
    return all;
}
