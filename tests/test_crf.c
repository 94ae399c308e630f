/* The linear-chain CRF beside enumeration of all paths, beside plain loops in double over long sequences, and with what is
   wrong about its input. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/crf.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/optimizer.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { MOST_LABELS = 4, MOST_STEPS = 5, MOST_PATHS = 1024 };

static void noise(uint64_t place, long n, double range, sp_real *out)
{
    sp_random_uniform((sp_key){ .seed = 5, .place = place }, n, out, -range, range);
}

/* ---- all paths ------------------------------------------------------------------------------------------------- */

struct path {
    double score;
    int tags[MOST_STEPS];
};

struct model {
    sp_store *store;
    sp_crf crf;
    sp_tape *t;
};

static struct model make(long labels, double range)
{
    struct model m = { .store = sp_store_new(3) };
    m.crf = sp_crf_make(m.store, "crf", labels);
    for (int i = 0; i < 3; i++)
        sp_init_uniform(sp_store_at(m.store, i), -range, range);
    m.t = sp_tape_new(m.store);
    ck_assert_msg(sp_store_ok(m.store), "%s", sp_store_status(m.store)->message);
    return m;
}

static void destroy(struct model m)
{
    sp_tape_free(m.t);
    sp_store_free(m.store);
}

static double at(const sp_param *p, long i)
{
    return (double)sp_param_read(p)[i];
}

static bool cannot(const sp_crf *c, long from, long to)
{
    return c->forbidden[from * (c->labels + 1) + to];
}

/* -infinity if it is forbidden */
static double path_score(const sp_crf *c, const sp_real *scores, long steps, const int *tags)
{
    const long k = c->labels;
    double sum = at(c->start_transitions, tags[0]) + at(c->end_transitions, tags[steps - 1]);
    bool bad = cannot(c, k, tags[0]) || cannot(c, tags[steps - 1], k);
    for (long t = 0; t < steps; t++) {
        sum += (double)scores[t * k + tags[t]];
        if (t) {
            sum += at(c->transitions, tags[t - 1] * k + tags[t]);
            bad |= cannot(c, tags[t - 1], tags[t]);
        }
    }
    return bad ? -INFINITY : sum;
}

static long longest_path;

/* By score; among equals the lower label where they last differ. */
static int by_rank(const void *a, const void *b)
{
    const struct path *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    for (long t = longest_path - 1; t >= 0; t--)
        if (x->tags[t] != y->tags[t])
            return x->tags[t] - y->tags[t];
    return 0;
}

/* All that are not forbidden, the best first; returns how many. */
static int all_paths(const sp_crf *c, const sp_real *scores, long steps, struct path *path)
{
    int total = 1, n = 0;
    for (long t = 0; t < steps; t++)
        total *= (int)c->labels;
    for (int i = 0; i < total; i++) {
        for (long t = 0, rest = i; t < steps; t++, rest /= c->labels)
            path[n].tags[t] = (int)(rest % c->labels);
        path[n].score = path_score(c, scores, steps, path[n].tags);
        n += path[n].score > -INFINITY;
    }
    longest_path = steps;
    qsort(path, (size_t)n, sizeof *path, by_rank);
    return n;
}

static double log_sum(const struct path *path, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp(path[i].score - path[0].score);
    return path[0].score + log(sum);
}

/* A batch of three lengths, the caller's order not the sorted one. */
struct batch {
    long length[3], rows;
    sp_real scores[3 * MOST_STEPS * MOST_LABELS];
    int tags[3 * MOST_STEPS];
};

static sp_seq seq_of(struct model m, const struct batch *b)
{
    return sp_seq_pack(m.t, sp_variable(m.t, b->scores, SP_SHAPE(b->rows, m.crf.labels)), b->length, 3);
}

/* range: of the scores; whole: they are whole numbers, so that many paths have one score. */
static struct batch make_batch(struct model m, long steps, double range, bool whole)
{
    struct batch b = { .length = { steps > 1 ? steps - 1 : 1, steps, 1 } };
    struct path path[MOST_PATHS];
    b.rows = b.length[0] + b.length[1] + b.length[2];
    noise(17, b.rows * m.crf.labels, range, b.scores);
    for (long i = 0; i < b.rows * m.crf.labels && whole; i++)
        b.scores[i] = (sp_real)floor((double)b.scores[i]);
    int *tags = b.tags;
    for (long i = 0, row = 0; i < 3; row += b.length[i++]) {
        const int n = all_paths(&m.crf, b.scores + row * m.crf.labels, b.length[i], path);
        ck_assert_int_gt(n, 0);
        memcpy(tags + row, path[(n - 1) / 2].tags, (size_t)b.length[i] * sizeof *tags);
    }
    return b;
}

/* What brute force says of one sequence. */
struct expected {
    double nll, marginal[MOST_STEPS][MOST_LABELS], pair[MOST_LABELS][MOST_LABELS];
};

static struct expected expect(const sp_crf *c, const sp_real *scores, long steps, const int *tags)
{
    struct path path[MOST_PATHS];
    struct expected e = { 0 };
    const int n = all_paths(c, scores, steps, path);
    const double log_z = log_sum(path, n);
    e.nll = log_z - path_score(c, scores, steps, tags);
    for (int i = 0; i < n; i++) {
        const double p = exp(path[i].score - log_z);
        for (long t = 0; t < steps; t++) {
            e.marginal[t][path[i].tags[t]] += p;
            if (t)
                e.pair[path[i].tags[t - 1]][path[i].tags[t]] += p;
        }
    }
    return e;
}

static void near(double got, double want, const char *what)
{
    /* sums of exponentials of differences, relative to 1 */
    ck_assert_msg(fabs(got - want) <= WIDE(1e-11, 3e-5) * (1 + fabs(want)), "%s: %.12g, not %.12g", what, got, want);
}

/* Likelihood, its gradients with a weight for each sequence, and marginals. */
static void check_sums(struct model m, const struct batch *b)
{
    const sp_real weight[] = { (sp_real)0.5, -2, 3 };
    const long k = m.crf.labels;
    sp_real nll[3], dscores[3 * MOST_STEPS * MOST_LABELS], marginal[3 * MOST_STEPS * MOST_LABELS];
    double pair[MOST_LABELS][MOST_LABELS] = { { 0 } }, first[MOST_LABELS] = { 0 }, last[MOST_LABELS] = { 0 };
    sp_tape_reset(m.t);
    sp_zero_grad(m.t);
    sp_seq seq = seq_of(m, b);
    ck_assert(sp_crf_marginals(m.t, &m.crf, seq, marginal));
    sp_tensor *x = sp_tape_last(m.t)->input[0], *y = sp_crf_loss(m.t, &m.crf, seq, b->tags);
    ck_assert(sp_backward(m.t, sp_sum(m.t, sp_mul(m.t, y, sp_feed(m.t, weight, SP_SHAPE(3))), 0)));
    ck_assert(sp_read(y, nll) && sp_read_grad(x, dscores));
    const sp_real *gradient = sp_gradients(m.t);
    for (long i = 0, row = 0; i < 3; row += b->length[i++]) {
        const long n = b->length[i];
        const int *tags = b->tags + row;
        const struct expected e = expect(&m.crf, b->scores + row * k, n, tags);
        const double w = (double)weight[i];
        near((double)nll[i], e.nll, "likelihood");
        for (long t = 0; t < n; t++)
            for (long j = 0; j < k; j++) {
                near((double)marginal[(row + t) * k + j], e.marginal[t][j], "marginal");
                near((double)dscores[(row + t) * k + j], w * (e.marginal[t][j] - (tags[t] == j)), "gradient of a score");
            }
        for (long j = 0; j < k; j++) {
            first[j] += w * (e.marginal[0][j] - (tags[0] == j));
            last[j] += w * (e.marginal[n - 1][j] - (tags[n - 1] == j));
            for (long l = 0; l < k; l++)
                pair[j][l] += w * e.pair[j][l];
        }
        for (long t = 1; t < n; t++)
            pair[tags[t - 1]][tags[t]] -= w;
    }
    for (long j = 0; j < k; j++) {
        near((double)gradient[m.crf.start_transitions->offset + j], first[j], "gradient of a start");
        near((double)gradient[m.crf.end_transitions->offset + j], last[j], "gradient of an end");
        for (long l = 0; l < k; l++)
            near((double)gradient[m.crf.transitions->offset + j * k + l], pair[j][l], "gradient of a transition");
    }
    ck_tape_ok(m.t);
}

/* The best path, and the n best in their order, more than there are. */
static void check_best(struct model m, const struct batch *b, int n)
{
    struct path path[MOST_PATHS];
    const long k = m.crf.labels;
    int *tags = malloc((size_t)(n * b->rows) * sizeof *tags), best[3 * MOST_STEPS], count[3];
    double *score = malloc((size_t)(n * 3) * sizeof *score), top[3];
    sp_tape_reset(m.t);
    sp_tape_set_recording(m.t, false);
    sp_seq seq = seq_of(m, b);
    ck_assert(sp_crf_nbest(m.t, &m.crf, seq, n, tags, score, count));
    ck_assert(sp_crf_viterbi(m.t, &m.crf, seq, best, top));
    sp_tape_set_recording(m.t, true);
    for (long i = 0, row = 0; i < 3; row += b->length[i++]) {
        const int all = all_paths(&m.crf, b->scores + row * k, b->length[i], path);
        ck_assert_int_eq(count[i], n < all ? n : all);
        ck_assert_mem_eq(best + row, path[0].tags, (size_t)b->length[i] * sizeof *best);
        ck_assert_double_eq(top[i], score[i]);
        for (int w = 0; w < n; w++) {
            const int *got = tags + w * b->rows + row;
            if (w >= all) {
                ck_assert(score[w * 3 + i] == -INFINITY && got[0] == 0 && got[b->length[i] - 1] == 0);
                continue;
            }
            ck_assert_double_eq_tol(score[w * 3 + i], path[w].score, 1e-10);       /* double, in another order */
            ck_assert_msg(!memcmp(got, path[w].tags, (size_t)b->length[i] * sizeof *got), "path %d of sequence %ld", w, i);
        }
    }
    free(tags);
    free(score);
}

START_TEST(all_small_cases)
{
    for (long labels = 1; labels <= MOST_LABELS; labels++)
        for (long steps = 1; steps <= MOST_STEPS; steps++)
            for (int range = 2; range <= 50; range += 48) {
                struct model m = make(labels, range);
                const struct batch b = make_batch(m, steps, range, false);
                check_sums(m, &b);
                check_best(m, &b, 1 + (int)steps * 3);
                destroy(m);
            }
}
END_TEST

/* Half of all transitions are forbidden, differently each time; where no path is left there is nothing to compare. */
START_TEST(forbidden_transitions)
{
    int checked = 0;
    for (int draw = 0; draw < 60; draw++) {
        struct model m = make(2 + draw % 3, 2 + draw % 2 * 30);
        struct path path[MOST_PATHS];
        const long k = m.crf.labels, steps = 1 + draw % MOST_STEPS;
        const sp_real zero[MOST_STEPS * MOST_LABELS] = { 0 };
        sp_real chance[(MOST_LABELS + 1) * (MOST_LABELS + 1)];
        noise(100 + (uint64_t)draw, (k + 1) * (k + 1), 1, chance);
        bool possible = true;
        for (int from = 0; from <= k; from++)
            for (int to = 0; to <= k; to++)
                if (chance[from * (k + 1) + to] > (sp_real)0.3 && (from < k || to < k))
                    ck_assert(sp_crf_forbid(&m.crf, from < k ? from : SP_CRF_START, to < k ? to : SP_CRF_END));
        for (int i = 0; i < 3; i++)
            possible &= all_paths(&m.crf, zero, i == 2 ? 1 : i == 1 ? steps : steps > 1 ? steps - 1 : 1, path) > 0;
        if (possible) {
            const struct batch b = make_batch(m, steps, 2 + draw % 2 * 30, false);
            check_sums(m, &b);
            check_best(m, &b, 7);
            for (long i = 0; i < k * k; i++)            /* no gradient at all, not a small one */
                ck_assert(!cannot(&m.crf, i / k, i % k) || sp_gradients(m.t)[m.crf.transitions->offset + i] == 0);
            for (long i = 0; i < k; i++) {
                ck_assert(!cannot(&m.crf, k, i) || sp_gradients(m.t)[m.crf.start_transitions->offset + i] == 0);
                ck_assert(!cannot(&m.crf, i, k) || sp_gradients(m.t)[m.crf.end_transitions->offset + i] == 0);
            }
            checked++;
        }
        destroy(m);
    }
    ck_assert_int_gt(checked, 20);
}
END_TEST

/* Whole scores: many paths are equally good, and their order is still the documented one. */
START_TEST(ties)
{
    for (long labels = 2; labels <= MOST_LABELS; labels++) {
        struct model m = make(labels, 1);
        for (int i = 0; i < 3; i++) {
            const sp_param *p = sp_store_at(m.store, i);
            for (long j = 0; j < sp_shape_size(p->shape); j++)
                sp_param_values(p)[j] = (sp_real)(j * j % 2);
        }
        const struct batch b = make_batch(m, 4, 1.9, true);
        check_best(m, &b, 40);
        destroy(m);
    }
}
END_TEST

/* ---- gradients by differences ---------------------------------------------------------------------------------- */

struct gradients {
    sp_crf crf;
    sp_linear head;
};

static sp_tensor *loss_of(sp_tape *t, void *context)
{
    const struct gradients *g = context;
    sp_real x[9 * 3];
    noise(4, 27, 1, x);
    sp_seq in = sp_seq_pack(t, sp_feed(t, x, SP_SHAPE(9, 3)), (const long[]){ 2, 4, 1, 2 }, 4);
    sp_seq scores = sp_seq_like(in, sp_linear_on(t, &g->head, in.rows));
    return sp_crf_loss_mean(t, &g->crf, scores, (const int[]){ 4, 0, 1, 2, 2, 0, 3, 4, 4 });
}

START_TEST(gradients_by_differences)
{
    sp_store *s = sp_store_new(7);
    struct gradients g = { sp_crf_make(s, "crf", 5), sp_linear_make(s, "head", 3, 5) };
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert(sp_crf_forbid(&g.crf, 1, 1) && sp_crf_forbid(&g.crf, SP_CRF_START, 2) && sp_crf_forbid(&g.crf, 3, SP_CRF_END));
    ck_assert(!sp_gradcheck(s, loss_of, &g, 0, &r, &status));           /* the third sequence ends with 3 */
    ck_assert_ptr_nonnull(strstr(status.message, "ends with tag 3"));
    g.crf.forbidden[3 * 6 + 5] = false;
    status = (sp_status){ 0 };
    ck_assert_msg(sp_gradcheck(s, loss_of, &g, 0, &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(s);
}
END_TEST

/* ---- long sequences -------------------------------------------------------------------------------------------- */

enum { LONG = 2000, LABELS = 5 };

/* Plain loops in double: ln Z, and the probability of each label. */
static double plain_sums(const sp_crf *c, const sp_real *scores, double (*marginal)[LABELS])
{
    static double a[LONG][LABELS], b[LONG][LABELS];
    for (int t = 0; t < LONG; t++)
        for (int j = 0; j < LABELS; j++) {
            double m = -INFINITY, sum = 0, x[LABELS];
            for (int i = 0; i < LABELS; i++) {
                x[i] = t ? a[t - 1][i] + (cannot(c, i, j) ? -INFINITY : at(c->transitions, i * LABELS + j)) : 0;
                m = fmax(m, x[i]);
            }
            for (int i = 0; i < LABELS; i++)
                sum += exp(x[i] - m);
            a[t][j] = (double)scores[t * LABELS + j] + (t ? m == -INFINITY ? m : m + log(sum) : at(c->start_transitions, j));
        }
    for (int t = LONG - 1; t >= 0; t--)
        for (int i = 0; i < LABELS; i++) {
            double m = -INFINITY, sum = 0, x[LABELS];
            for (int j = 0; j < LABELS; j++) {
                x[j] = t + 1 == LONG ? 0 : b[t + 1][j] + (double)scores[(t + 1) * LABELS + j]
                                           + (cannot(c, i, j) ? -INFINITY : at(c->transitions, i * LABELS + j));
                m = fmax(m, x[j]);
            }
            for (int j = 0; j < LABELS; j++)
                sum += exp(x[j] - m);
            b[t][i] = t + 1 == LONG ? at(c->end_transitions, i) : m == -INFINITY ? m : m + log(sum);
        }
    double m = -INFINITY, sum = 0;
    for (int j = 0; j < LABELS; j++)
        m = fmax(m, a[LONG - 1][j] + b[LONG - 1][j]);
    for (int j = 0; j < LABELS; j++)
        sum += exp(a[LONG - 1][j] + b[LONG - 1][j] - m);
    for (int t = 0; t < LONG; t++)
        for (int j = 0; j < LABELS; j++)
            marginal[t][j] = exp(a[t][j] + b[t][j] - m - log(sum));
    return m + log(sum);
}

/* Scores and transitions in +-range, over which e^score has long left the range of numbers; _i: with some forbidden. */
static void check_long(double range, bool mask, double tolerance)
{
    static double want[LONG][LABELS];
    static sp_real scores[LONG * LABELS], got[LONG * LABELS];
    static int tags[LONG];
    struct model m = make(LABELS, range);
    noise(8, LONG * LABELS, range, scores);
    if (mask)                                           /* a ladder: one may only stay, or go up by one */
        for (int i = 0; i < LABELS; i++)
            for (int j = 0; j < LABELS; j++)
                if (j != i && j != i + 1)
                    sp_crf_forbid(&m.crf, i, j);
    const double log_z = plain_sums(&m.crf, scores, want);
    sp_tensor *x = sp_variable(m.t, scores, SP_SHAPE(LONG, 1, LABELS));
    ck_assert(sp_crf_viterbi(m.t, &m.crf, sp_seq_of(m.t, x), tags, NULL));
    sp_tensor *nll = sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, x), tags);
    double score = path_score(&m.crf, scores, LONG, tags);
    ck_assert(sp_backward(m.t, sp_sum(m.t, nll, 0)));
    ck_assert_double_eq_tol((double)sp_item(nll), log_z - score, tolerance * (1 + log_z - score));
    sp_read_grad(x, got);
    for (long i = 0; i < LONG * LABELS; i++)
        ck_each(fabs((double)got[i] + (tags[i / LABELS] == i % LABELS) - want[i / LABELS][i % LABELS]) < tolerance,
                "range %g, mask %d, %ld: %.9g, not %.9g", range, mask, i, (double)got[i] + (tags[i / LABELS] == i % LABELS),
                want[i / LABELS][i % LABELS]);
    ck_tape_ok(m.t);
    destroy(m);
}

/* In float32 rounding is that of exponentials, 2^-22 a step, and of differences of up to 100, 2^-18, which add up as a random
   walk: 2000 steps. In double the plain loops themselves lose 1e5 times 2^-53. */
START_TEST(long_sequences)
{
    check_long(1, false, WIDE(1e-10, 1e-4));
    check_long(50, false, WIDE(1e-9, 1e-3));
    check_long(50, true, WIDE(1e-9, 1e-3));
    check_long(1, true, WIDE(1e-9, 1e-3));
}
END_TEST

/* Two labels that never follow each other: two paths through all steps, of which one falls behind by `gap` a step and catches
   up again. They end equal, so the loss is ln 2 and the probabilities are 1/2, however far behind it was. */
START_TEST(late_comers)
{
    static const double gaps[] = { 0.0613, 10.1, 100.3, 1000.7 };
    static sp_real scores[LONG * 2], got[LONG * 2], marginal[LONG * 2];
    static const int tags[LONG];
    struct model m = make(2, 0);
    const double tolerance = WIDE(1e-10, 1e-4);
    ck_assert(sp_crf_forbid(&m.crf, 0, 1) && sp_crf_forbid(&m.crf, 1, 0));
    for (int i = 0; i < LONG; i++) {
        scores[2 * i] = (sp_real)(i < LONG / 2 ? gaps[_i] : 0);
        scores[2 * i + 1] = (sp_real)(i < LONG / 2 ? 0 : gaps[_i]);
    }
    sp_tensor *x = sp_variable(m.t, scores, SP_SHAPE(LONG, 1, 2)), *nll = sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, x), tags);
    ck_assert(sp_backward(m.t, sp_sum(m.t, nll, 0)));
    ck_assert_double_eq_tol((double)sp_item(nll), log(2), tolerance);
    ck_assert(sp_crf_marginals(m.t, &m.crf, sp_seq_of(m.t, x), marginal) && sp_read_grad(x, got));
    for (int i = 0; i < 2 * LONG; i++)
        ck_each(fabs((double)marginal[i] - 0.5) < tolerance && fabs((double)got[i] - (i % 2 ? 0.5 : -0.5)) < tolerance,
                "gap %g, %d: %.9g, gradient %.9g", gaps[_i], i, (double)marginal[i], (double)got[i]);
    const double pairs[] = { 0.5 * (LONG - 1) - (LONG - 1), 0, 0, 0.5 * (LONG - 1) };
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol((double)sp_gradients(m.t)[m.crf.transitions->offset + i], pairs[i], tolerance * LONG);
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

/* One label has one path: nothing is lost on the way. And scores whose sums are no numbers of the build. */
START_TEST(one_path)
{
    static sp_real scores[LONG];
    static const int tags[LONG];
    struct model m = make(1, 1);
    noise(9, LONG, 5, scores);
    ck_assert_double_eq_tol((double)sp_item(sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, sp_feed(m.t, scores, SP_SHAPE(LONG, 1, 1))), tags)),
                            0, 1e-10);
    destroy(m);
    m = make(2, 0);
    const sp_real large = (sp_real)0x1p127, far[] = { large, -large, large, 0, large, 0 };
    sp_param_values(m.crf.start_transitions)[0] = large;
    sp_param_values(m.crf.transitions)[0] = large;
    sp_tensor *x = sp_variable(m.t, far, SP_SHAPE(3, 1, 2)), *nll = sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, x), tags);
    ck_assert(sp_backward(m.t, sp_sum(m.t, nll, 0)));
    ck_assert(sp_item(nll) == 0);
    for (int i = 0; i < 4; i++)
        ck_assert(sp_gradients(m.t)[m.crf.transitions->offset + i] == 0);
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

/* Transitions of -10000 are how some say forbidden: then the only path counts, however improbable it is. */
START_TEST(transitions_beyond_all_numbers)
{
    struct model m = make(3, 0);
    sp_real *a = sp_param_values(m.crf.transitions), got[12];
    const sp_real scores[12] = { 0, 500, 0, 0, 500, 0, 500, 0, 0, 0, 0, 500 };
    for (int i = 0; i < 9; i++)
        a[i] = -10000;
    a[0 * 3 + 1] = a[1 * 3 + 2] = a[2 * 3 + 0] = -20000;
    for (int i = 0; i < 3; i++)                         /* from 2 every end is far off */
        sp_param_values(m.crf.end_transitions)[i] = (sp_real)(-30000 * i);
    struct path path[MOST_PATHS];
    all_paths(&m.crf, scores, 4, path);
    sp_tensor *x = sp_variable(m.t, scores, SP_SHAPE(4, 1, 3));
    sp_tensor *nll = sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, x), path[1].tags);
    ck_assert(sp_backward(m.t, sp_sum(m.t, nll, 0)));
    near((double)sp_item(nll), log_sum(path, 81) - path[1].score, "likelihood");
    sp_read_grad(x, got);
    struct expected e = expect(&m.crf, scores, 4, path[1].tags);
    for (int i = 0; i < 12; i++)
        near((double)got[i], e.marginal[i / 3][i % 3] - (path[1].tags[i / 3] == i % 3), "gradient");
    for (int i = 0; i < 9; i++) {
        double want = e.pair[i / 3][i % 3];
        for (int t = 1; t < 4; t++)
            want -= path[1].tags[t - 1] * 3 + path[1].tags[t] == i;
        near((double)sp_gradients(m.t)[m.crf.transitions->offset + i], want, "gradient of a transition");
    }
    destroy(m);
}
END_TEST

/* ---- odd values ------------------------------------------------------------------------------------------------ */

/* A NaN is seen in its own sequence alone, and decoding goes round it. */
START_TEST(nan_scores)
{
    struct model m = make(3, 1);
    struct batch b = make_batch(m, 3, 1, false);
    sp_real nll[3], marginal[3 * MOST_STEPS * MOST_LABELS];
    struct path path[MOST_PATHS];
    int tags[9];
    double score[3];
    b.scores[3 * 3 + 1] = (sp_real)NAN;                 /* sequence 1, step 1, label 1 */
    b.tags[3] = 0;
    sp_seq seq = seq_of(m, &b);
    sp_tensor *y = sp_crf_loss(m.t, &m.crf, seq, b.tags);
    ck_assert(sp_read(y, nll) && sp_backward(m.t, sp_sum(m.t, y, 0)));
    ck_assert(isfinite((double)nll[0]) && isnan((double)nll[1]) && isfinite((double)nll[2]));
    ck_assert(sp_crf_marginals(m.t, &m.crf, seq, marginal));
    ck_assert(isfinite((double)marginal[0]) && isnan((double)marginal[2 * 3]) && isfinite((double)marginal[5 * 3]));
    ck_assert(sp_crf_viterbi(m.t, &m.crf, seq, tags, score));
    b.scores[3 * 3 + 1] = -1000;
    all_paths(&m.crf, b.scores + 2 * 3, 3, path);
    ck_assert_mem_eq(tags + 2, path[0].tags, sizeof path[0].tags / MOST_STEPS * 3);
    ck_assert_double_eq_tol(score[1], path[0].score, 1e-6);
    destroy(m);
}
END_TEST

/* ... even where no other path leads to a label, and without a weight it does not matter. */
START_TEST(nan_paths)
{
    struct model m = make(2, 1);
    const sp_real nan = (sp_real)NAN, scores[] = { 1, 0, nan, 1, 0, 1, 0, 2, 1, 0 };
    const int tags[] = { 0, 1, 1, 1, 0 };
    sp_real dx[10], loss[3];
    ck_assert(sp_crf_forbid(&m.crf, 0, 1) && sp_crf_forbid(&m.crf, 1, 0));
    sp_tensor *x = sp_variable(m.t, scores, SP_SHAPE(5, 2));
    sp_tensor *y = sp_crf_loss(m.t, &m.crf, sp_seq_pack(m.t, x, (const long[]){ 1, 3, 1 }, 3), tags);
    ck_assert(sp_read(y, loss) && isfinite((double)loss[0]) && isnan((double)loss[1]) && isfinite((double)loss[2]));
    ck_assert(sp_backward(m.t, sp_sum(m.t, sp_where(m.t, sp_feed(m.t, REALS(1, 0, 1), SP_SHAPE(3)), y, sp_full(m.t, 0, SP_SCALAR)), 0)));
    sp_read_grad(x, dx);
    for (int i = 0; i < 10; i++)
        ck_assert(i < 2 || i > 7 ? isfinite((double)dx[i]) && dx[i] != 0 : dx[i] == 0);
    for (long i = 0; i < sp_store_size(m.store); i++)
        ck_assert(isfinite((double)sp_gradients(m.t)[i]));
    for (int i = 0; i < 3; i++) {                       /* and NaN parameters */
        sp_real *p = sp_param_values(sp_store_at(m.store, i)), kept = *p;
        *p = nan;
        sp_tape_reset(m.t);
        y = sp_crf_loss(m.t, &m.crf, sp_seq_pack(m.t, sp_full(m.t, 0, SP_SHAPE(3, 2)), (const long[]){ 3 }, 1), tags + 1);
        ck_assert(isnan((double)sp_item(sp_sum(m.t, y, 0))));
        *p = kept;
    }
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

START_TEST(infinite_scores)
{
    struct model m = make(2, 1);
    const sp_real none = -(sp_real)INFINITY;
    const sp_real scores[] = { 1, 0, none, 2, none, none, 1, (sp_real)INFINITY };
    sp_real marginal[8], nll[2];
    int tags[4], count[2];
    double score[2];
    sp_seq seq = sp_seq_pack(m.t, sp_feed(m.t, scores, SP_SHAPE(4, 2)), (const long[]){ 2, 2 }, 2);
    ck_assert(sp_crf_nbest(m.t, &m.crf, seq, 1, tags, score, count));
    ck_assert(tags[1] == 1 && count[0] == 1 && isfinite(score[0]));
    ck_assert(tags[2] == 0 && tags[3] == 0 && count[1] == 0 && score[1] == -INFINITY);
    ck_assert(sp_crf_marginals(m.t, &m.crf, seq, marginal));
    ck_assert(marginal[2] == 0 && marginal[3] == 1 && fabs((double)(marginal[0] + marginal[1]) - 1) < 1e-6);
    sp_tensor *y = sp_crf_loss(m.t, &m.crf, seq, (const int[]){ 0, 1, 0, 0 });
    ck_assert(sp_read(y, nll) && isfinite((double)nll[0]) && !isfinite((double)nll[1]));
    y = sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, sp_feed(m.t, scores, SP_SHAPE(2, 1, 2))), (const int[]){ 0, 0 });
    ck_assert(sp_item(y) == (sp_real)INFINITY);
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

START_TEST(no_sequences)
{
    struct model m = make(3, 1);
    sp_seq none = sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(4, 0, 3)));
    sp_tensor *y = sp_crf_loss(m.t, &m.crf, none, NULL);
    ck_assert(sp_shape_equal(sp_shape_get(y), SP_SHAPE(0)));
    ck_assert(sp_item(sp_crf_loss_mean(m.t, &m.crf, none, NULL)) == 0);
    ck_assert(sp_crf_viterbi(m.t, &m.crf, none, NULL, NULL));
    none = sp_seq_pack(m.t, sp_full(m.t, 0, SP_SHAPE(0, 3)), NULL, 0);
    y = sp_crf_loss_mean(m.t, &m.crf, none, NULL);
    ck_assert(sp_item(y) == 0 && sp_crf_viterbi(m.t, &m.crf, none, NULL, NULL));
    ck_assert(sp_backward(m.t, y) && sp_gradients(m.t)[0] == 0);
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

/* The mean for one tag, whatever the lengths. */
START_TEST(mean_of_tags)
{
    struct model m = make(3, 1);
    const struct batch b = make_batch(m, 4, 1, false);
    sp_real loss[3];
    sp_seq seq = seq_of(m, &b);
    ck_assert(sp_read(sp_crf_loss(m.t, &m.crf, seq, b.tags), loss));
    const double sum = (double)loss[0] + (double)loss[1] + (double)loss[2];
    ck_assert_double_eq_tol((double)sp_item(sp_crf_loss_mean(m.t, &m.crf, seq, b.tags)), sum / 8, WIDE(1e-13, 1e-6));
    destroy(m);
}
END_TEST

/* Decoding takes what stands for a parameter, as the loss does. */
START_TEST(replaced_parameters)
{
    struct model m = make(3, 0), other = make(3, 3);
    const struct batch b = make_batch(other, 4, 1, false);
    int tags[8], want[8];
    double score[3], wanted[3];
    sp_real marginal[24], wanted_marginal[24];
    sp_seq seq = seq_of(other, &b);
    ck_assert(sp_crf_viterbi(other.t, &other.crf, seq, want, wanted) && sp_crf_marginals(other.t, &other.crf, seq, wanted_marginal));
    seq = seq_of(m, &b);
    sp_scope_push(m.t, "instead");
    for (int i = 0; i < 3; i++) {
        const sp_param *p = sp_store_at(m.store, i);
        sp_real x[9], turned[9];
        const bool square = p->shape.rank == 2;
        for (int j = 0; j < 9; j++)
            turned[j % 3 * 3 + j / 3] = x[j] = j < 3 || square ? sp_param_read(sp_store_at(other.store, i))[j] : 0;
        sp_param_replace(m.t, p, square ? sp_transpose(m.t, sp_feed(m.t, turned, p->shape), 0, 1) : sp_feed(m.t, x, p->shape));
    }
    ck_assert(sp_crf_viterbi(m.t, &m.crf, seq, tags, score) && sp_crf_marginals(m.t, &m.crf, seq, marginal));
    sp_scope_pop(m.t);
    ck_assert_mem_eq(tags, want, sizeof tags);
    ck_assert_mem_eq(score, wanted, sizeof score);
    ck_same(marginal, wanted_marginal, 24);
    ck_tape_ok(m.t);
    destroy(m);
    destroy(other);
}
END_TEST

/* No operations, and no memory but what one call takes. */
START_TEST(decoding_leaves_nothing)
{
    struct model m = make(3, 1);
    int tags[600];
    sp_real marginal[600 * 3];
    size_t held = 0;
    sp_seq seq = sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(600, 1, 3)));
    ck_assert(sp_crf_viterbi(m.t, &m.crf, seq, tags, NULL) && sp_crf_marginals(m.t, &m.crf, seq, marginal));
    const long length = sp_tape_length(m.t);
    for (int i = 0; i < 200; i++) {
        ck_assert(i % 2 ? sp_crf_viterbi(m.t, &m.crf, seq, tags, NULL) : sp_crf_marginals(m.t, &m.crf, seq, marginal));
        held = i > 1 ? held : sp_tape_bytes(m.t);
    }
    ck_assert_int_eq(sp_tape_length(m.t), length);
    ck_assert_uint_eq(sp_tape_bytes(m.t), held);
    destroy(m);
}
END_TEST

/* More than there can be is no reason to take more memory. */
START_TEST(all_there_are)
{
    struct model m = make(2, 1);
    int count;
    ck_assert(sp_crf_nbest(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(5, 1, 2))), INT32_MAX, NULL, NULL, &count));
    ck_assert_int_eq(count, 32);
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

/* Each line fails with these words. */
#define FAILS(words, call)                                                                                             \
    do {                                                                                                               \
        sp_tape_clear(m.t);                                                                                            \
        sp_tape_reset(m.t);                                                                                            \
        seq = sp_seq_pack(m.t, sp_full(m.t, 1, SP_SHAPE(5, 3)), (const long[]){ 2, 3 }, 2);                            \
        ck_tape_ok(m.t);                                                                                               \
        (void)(call);                                                                                                  \
        ck_assert_msg(strstr(sp_error(m.t), words), "'%s', not '%s'", sp_error(m.t), words);                           \
    } while (0)

START_TEST(bad_input)
{
    struct model m = make(3, 1), other = make(3, 1);
    sp_seq seq;
    sp_real room[15];
    int tags[15], ok[] = { 0, 0, 0, 0, 0 };
    sp_crf missing = { 0 };
    FAILS("crf: tag 3 at step 1 of sequence 1 is not in 0..2", sp_crf_loss(m.t, &m.crf, seq, (const int[]){ 0, 0, 0, 3, 0 }));
    FAILS("crf: tag -1 at step 0 of sequence 0 is not in 0..2", sp_crf_loss(m.t, &m.crf, seq, (const int[]){ -1, 0, 0, 0, 0 }));
    FAILS("crf: no tags", sp_crf_loss(m.t, &m.crf, seq, NULL));
    FAILS("crf: the layer is NULL", sp_crf_loss(m.t, NULL, seq, ok));
    FAILS("crf: the layer is NULL", sp_crf_loss(m.t, &missing, seq, ok));
    FAILS("another store", sp_crf_loss(m.t, &other.crf, seq, ok));
    FAILS("another store", sp_crf_marginals(m.t, &other.crf, seq, room));
    FAILS("crf: no input", sp_crf_loss(m.t, &m.crf, (sp_seq){ NULL, seq.layout }, ok));
    FAILS("crf: no input", sp_crf_loss(m.t, &m.crf, (sp_seq){ seq.rows, NULL }, ok));
    FAILS("crf: scores for 4 labels, not 3", sp_crf_loss(m.t, &m.crf, sp_seq_like(seq, sp_full(m.t, 0, SP_SHAPE(5, 4))), ok));
    FAILS("crf: scores for 4 labels, not 3", sp_crf_viterbi(m.t, &m.crf, sp_seq_like(seq, sp_full(m.t, 0, SP_SHAPE(5, 4))), tags, NULL));
    FAILS("crf: the rows are [6,3], but the layout has 5", sp_crf_loss(m.t, &m.crf, sp_seq_like(seq, sp_full(m.t, 0, SP_SHAPE(6, 3))), ok));
    FAILS("crf: length 0 of sequence 0 is not 1 or more", sp_crf_loss(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(0, 2, 3))), ok));
    FAILS("crf: length 0 of sequence 0 is not 1 or more", sp_crf_viterbi(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(0, 2, 3))), tags, NULL));
    FAILS("crf: the 0 best paths, not 1 or more", sp_crf_nbest(m.t, &m.crf, seq, 0, tags, NULL, NULL));
    FAILS("crf: the 2000000000 best of 500 steps and 3 labels are too many", sp_crf_nbest(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(500, 1, 3))), 2000000000, tags, NULL, NULL));
    FAILS("crf: no room", sp_crf_marginals(m.t, &m.crf, seq, NULL));
    ck_assert(sp_crf_forbid(&m.crf, 0, 1) && sp_crf_forbid(&m.crf, SP_CRF_START, 2) && sp_crf_forbid(&m.crf, 2, SP_CRF_END));
    FAILS("crf: sequence 1 goes from tag 0 to 1 at step 2", sp_crf_loss(m.t, &m.crf, seq, (const int[]){ 0, 0, 0, 0, 1 }));
    FAILS("crf: sequence 0 begins with tag 2", sp_crf_loss(m.t, &m.crf, seq, (const int[]){ 2, 0, 0, 0, 0 }));
    FAILS("crf: sequence 1 ends with tag 2 at step 2", sp_crf_loss(m.t, &m.crf, seq, (const int[]){ 0, 0, 1, 1, 2 }));
    ck_assert(!sp_crf_viterbi(NULL, &m.crf, seq, tags, NULL));
    ck_assert_ptr_null(sp_crf_loss(NULL, &m.crf, seq, ok));
    destroy(m);
    destroy(other);
}
END_TEST

/* From 0 to 1 to 2 and no further: sequences of three steps have one path, longer and shorter ones none. */
START_TEST(masks_that_leave_no_path)
{
    struct model m = make(3, 1);
    sp_real room[15];
    sp_seq seq;
    int tags[15];
    for (int i = 0; i < 9; i++)
        ck_assert(i % 3 == i / 3 + 1 || sp_crf_forbid(&m.crf, i / 3, i % 3));
    ck_assert(sp_crf_forbid(&m.crf, SP_CRF_START, 1) && sp_crf_forbid(&m.crf, SP_CRF_START, 2));
    ck_assert(sp_crf_forbid(&m.crf, 0, SP_CRF_END) && sp_crf_forbid(&m.crf, 1, SP_CRF_END));
    FAILS("crf: sequence 0: what is forbidden leaves no path of 2 steps through 3 labels", sp_crf_viterbi(m.t, &m.crf, seq, tags, NULL));
    FAILS("crf: sequence 0: what is forbidden leaves no path of 2 steps", sp_crf_marginals(m.t, &m.crf, seq, room));
    FAILS("crf: sequence 0: what is forbidden leaves no path of 5 steps",
          sp_crf_nbest(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(5, 1, 3))), 2, tags, NULL, NULL));
    sp_tape_clear(m.t);
    ck_assert(sp_crf_viterbi(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, 0, SP_SHAPE(3, 1, 3))), tags, NULL));
    ck_assert(tags[0] == 0 && tags[1] == 1 && tags[2] == 2);
    m.crf.forbidden[2 * 4 + 0] = false;                 /* round and round: that scores leave no path is no error */
    const sp_real none = -(sp_real)INFINITY;
    double score;
    ck_assert(sp_crf_viterbi(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, none, SP_SHAPE(6, 1, 3))), tags, &score));
    ck_assert(score == -INFINITY);
    FAILS("leaves no path of 7 steps",
          sp_crf_viterbi(m.t, &m.crf, sp_seq_of(m.t, sp_full(m.t, none, SP_SHAPE(7, 1, 3))), tags, &score));
    sp_tape_clear(m.t);
    destroy(m);
}
END_TEST

START_TEST(bad_layers)
{
    sp_store *s = sp_store_new(1);
    ck_assert_ptr_null(sp_crf_make(s, "crf", 0).transitions);
    ck_assert_ptr_nonnull(strstr(sp_store_status(s)->message, "crf 'crf': 0 labels, not 1..32767"));
    sp_store_free(s);
    s = sp_store_new(1);
    ck_assert_ptr_null(sp_crf_make(s, "crf", INT16_MAX + 1).transitions);
    ck_assert_ptr_nonnull(strstr(sp_store_status(s)->message, "crf 'crf': 32768 labels, not 1..32767"));
    sp_store_free(s);
    const int bad[][2] = { { 3, 0 }, { 0, 3 }, { -2, 0 }, { 0, -1 }, { SP_CRF_START, SP_CRF_END }, { 0, -3 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s = sp_store_new(1);
        sp_crf c = sp_crf_make(s, "crf", 3);
        ck_assert(!sp_crf_forbid(&c, bad[i][0], bad[i][1]) && !sp_store_ok(s));
        ck_assert_ptr_nonnull(strstr(sp_store_status(s)->message, "among 3 labels"));
        sp_store_free(s);
    }
    ck_assert(!sp_crf_forbid(NULL, 0, 0) && !sp_crf_forbid(&(sp_crf){ 0 }, 0, 0));
    s = sp_store_new(1);
    sp_crf_make(s, "a", 2);
    ck_assert_ptr_nonnull(sp_store_find(s, "a.start_transitions"));
    ck_assert_ptr_nonnull(sp_store_find(s, "a.transitions"));
    ck_assert_ptr_nonnull(sp_store_find(s, "a.end_transitions"));
    for (int i = 0; i < 3; i++)
        for (long j = 0; j < sp_shape_size(sp_store_at(s, i)->shape); j++)
            ck_assert(at(sp_store_at(s, i), j) != 0 && fabs(at(sp_store_at(s, i), j)) <= 0.1);
    ck_assert_ptr_null(sp_crf_make(s, "a", 2).transitions);             /* the names are there already */
    sp_store_free(s);
}
END_TEST

/* ---- as it is used --------------------------------------------------------------------------------------------- */

/* Observations say nothing about two of three labels; only the transitions 0 1 2 0 1 2 ... can tell. */
START_TEST(learns_transitions)
{
    struct model m = make(3, 0.1);
    sp_optimizer *o = sp_optimizer_new(m.store, "adam", 0.1, NULL);
    const int gold[] = { 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1 };
    sp_real scores[11 * 3] = { 0 };
    int tags[11];
    for (int i = 0; i < 11; i++)
        scores[i * 3] = i % 3 == 0;
    for (int step = 0; step < 60; step++) {
        sp_tape_reset(m.t);
        sp_seq seq = sp_seq_pack(m.t, sp_feed(m.t, scores, SP_SHAPE(11, 3)), (const long[]){ 3, 8 }, 2);
        ck_assert(sp_backward(m.t, sp_crf_loss_mean(m.t, &m.crf, seq, gold)));
        sp_step(o, m.t);
    }
    sp_tape_reset(m.t);
    sp_tape_set_recording(m.t, false);
    sp_seq seq = sp_seq_pack(m.t, sp_feed(m.t, scores, SP_SHAPE(11, 3)), (const long[]){ 3, 8 }, 2);
    ck_assert_double_lt((double)sp_item(sp_crf_loss_mean(m.t, &m.crf, seq, gold)), 0.1);
    ck_assert(sp_crf_viterbi(m.t, &m.crf, seq, tags, NULL));
    ck_assert_mem_eq(tags, gold, sizeof gold);
    sp_optimizer_free(o);
    destroy(m);
}
END_TEST

/* [T,B,K] is the special case: tags still lie one sequence behind the other. */
START_TEST(even_sequences)
{
    struct model m = make(3, 1);
    sp_real x[4 * 2 * 3], y[8 * 3], a[2], b[2];
    const int tags[] = { 0, 2, 1, 1, 2, 2, 0, 1 };
    int best[2][8];
    noise(6, 24, 2, x);
    for (int t = 0; t < 4; t++)
        for (int i = 0; i < 2; i++)
            memcpy(y + (i * 4 + t) * 3, x + (t * 2 + i) * 3, 3 * sizeof *x);
    sp_seq even = sp_seq_of(m.t, sp_feed(m.t, x, SP_SHAPE(4, 2, 3)));
    sp_seq packed = sp_seq_pack(m.t, sp_feed(m.t, y, SP_SHAPE(8, 3)), (const long[]){ 4, 4 }, 2);
    ck_assert(sp_read(sp_crf_loss(m.t, &m.crf, even, tags), a) && sp_read(sp_crf_loss(m.t, &m.crf, packed, tags), b));
    ck_same(a, b, 2);
    ck_assert(sp_crf_viterbi(m.t, &m.crf, even, best[0], NULL) && sp_crf_viterbi(m.t, &m.crf, packed, best[1], NULL));
    ck_assert_mem_eq(best[0], best[1], sizeof best[0]);
    ck_tape_ok(m.t);
    destroy(m);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("crf");
    TCase *c = tcase_create("crf");
    tcase_add_test(c, all_small_cases);
    tcase_add_test(c, forbidden_transitions);
    tcase_add_test(c, ties);
    tcase_add_test(c, gradients_by_differences);
    tcase_add_test(c, long_sequences);
    tcase_add_loop_test(c, late_comers, 0, 4);
    tcase_add_test(c, one_path);
    tcase_add_test(c, transitions_beyond_all_numbers);
    tcase_add_test(c, nan_scores);
    tcase_add_test(c, infinite_scores);
    tcase_add_test(c, mean_of_tags);
    tcase_add_test(c, replaced_parameters);
    tcase_add_test(c, decoding_leaves_nothing);
    tcase_add_test(c, all_there_are);
    tcase_add_test(c, nan_paths);
    tcase_add_test(c, no_sequences);
    tcase_add_test(c, bad_input);
    tcase_add_test(c, masks_that_leave_no_path);
    tcase_add_test(c, bad_layers);
    tcase_add_test(c, learns_transitions);
    tcase_add_test(c, even_sequences);
    suite_add_tcase(s, c);
    return s;
}
