/* CTC beside enumeration of all alignments, beside plain loops in double over long sequences, beside PyTorch, and with what is
   wrong about its input. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/ctc.h"
#include "ops/ops.h"
#include "tests/golden.h"
#include "tests/suite.h"

enum { CLASSES = 4, STEPS = 5, MOST = 1024 };

static sp_tape *t;

static void begin(void)
{
    t = sp_tape_new(NULL);
}

static void end(void)
{
    sp_tape_free(t);
}

static void noise(uint64_t place, long n, double range, sp_real *out)
{
    sp_random_uniform((sp_key){ .seed = 5, .place = place }, n, out, -range, range);
}

/* ---- all alignments -------------------------------------------------------------------------------------------- */

/* A labelling, its probability and, of its alignments, how much says which class when. */
struct labelling {
    int labels[STEPS];
    long n;
    double p, said[STEPS][CLASSES];
};

static void softmax(long classes, const sp_real *x, double *p)
{
    double m = -INFINITY, sum = 0;
    for (long k = 0; k < classes; k++)
        m = fmax(m, (double)x[k]);
    for (long k = 0; k < classes; k++)
        sum += p[k] = exp((double)x[k] - m);
    for (long k = 0; k < classes; k++)
        p[k] /= sum;
}

static int by_probability(const void *a, const void *b)
{
    const struct labelling *x = a, *y = b;
    return x->p > y->p ? -1 : x->p < y->p;
}

/* Without repeats, without blanks. */
static long collapse(const int *said, long steps, int blank, int *labels)
{
    long n = 0;
    for (long i = 0; i < steps; i++)
        if (said[i] != blank && (!i || said[i] != said[i - 1]))
            labels[n++] = said[i];
    return n;
}

/* All labellings of logits [steps,classes], the most probable first; returns how many. */
static int all_labellings(const sp_real *logits, long steps, long classes, int blank, struct labelling *list)
{
    double p[STEPS][CLASSES];
    int total = 1, found = 0;
    for (long i = 0; i < steps; i++, total *= (int)classes)
        softmax(classes, logits + i * classes, p[i]);
    for (int a = 0; a < total; a++) {
        int said[STEPS], labels[STEPS];
        double product = 1;
        for (long i = 0, rest = a; i < steps; i++, rest /= classes) {
            said[i] = (int)(rest % classes);
            product *= p[i][said[i]];
        }
        const long n = collapse(said, steps, blank, labels);
        int at = 0;
        while (at < found && (list[at].n != n || memcmp(list[at].labels, labels, (size_t)n * sizeof *labels)))
            at++;
        if (at == found) {
            list[found] = (struct labelling){ .n = n };
            memcpy(list[found++].labels, labels, (size_t)n * sizeof *labels);
        }
        list[at].p += product;
        for (long i = 0; i < steps; i++)
            list[at].said[i][said[i]] += product;
    }
    qsort(list, (size_t)found, sizeof *list, by_probability);
    return found;
}

static void near(double got, double want, const char *what)
{
    ck_assert_msg(fabs(got - want) <= WIDE(1e-11, 1e-5) * (1 + fabs(want)), "%s: %.12g, not %.12g", what, got, want);
}

/* Loss and gradient of every labelling of every length, two sequences at a time: one as it is, and one a step shorter. */
static void check_losses(long steps, long classes, int blank, double range)
{
    static struct labelling list[2][MOST];
    sp_real x[2 * STEPS * CLASSES], loss[2], dx[2 * STEPS * CLASSES];
    double p[CLASSES];
    const long length[] = { steps - 1, steps }, rows = 2 * steps - 1;
    noise((uint64_t)(steps * 10 + classes), rows * classes, range, x);
    const int few = all_labellings(x, steps - 1, classes, blank, list[0]);
    const int many = all_labellings(x + (steps - 1) * classes, steps, classes, blank, list[1]);
    for (int a = 0; a < many; a++) {
        const struct labelling *l[] = { &list[0][a % few], &list[1][a] };
        int targets[2 * STEPS];
        memcpy(targets, l[0]->labels, (size_t)l[0]->n * sizeof *targets);
        memcpy(targets + l[0]->n, l[1]->labels, (size_t)l[1]->n * sizeof *targets);
        sp_tape_reset(t);
        sp_tensor *in = sp_variable(t, x, SP_SHAPE(rows, classes));
        sp_tensor *y = sp_ctc_loss(t, (sp_ctc_options){ .blank = blank }, sp_seq_pack(t, in, length, 2), targets,
                                   (const long[]){ l[0]->n, l[1]->n });
        ck_assert(sp_backward(t, sp_sum(t, sp_mul(t, y, sp_feed(t, REALS(1, -2), SP_SHAPE(2))), 0)));
        ck_assert(sp_read(y, loss) && sp_read_grad(in, dx));
        for (int s = 0, row = 0; s < 2; s++) {
            near((double)loss[s], -log(l[s]->p), "loss");
            for (long i = 0; i < length[s]; i++, row++) {
                softmax(classes, x + row * classes, p);
                for (long k = 0; k < classes; k++)
                    near((double)dx[row * classes + k], (s ? -2 : 1) * (p[k] - l[s]->said[i][k] / l[s]->p), "gradient");
            }
        }
    }
}

START_TEST(all_small_cases)
{
    for (long steps = 2; steps <= STEPS; steps++)
        for (long classes = 1; classes <= 3; classes++)
            for (int blank = 0; blank < classes; blank++)
                check_losses(steps, classes, blank, 2);
    check_losses(4, CLASSES, 1, 8);
}
END_TEST

/* With a beam that loses nothing the search finds all labellings, in their order, with their probabilities; the most probable
   alignment is the greedy answer. */
START_TEST(wide_beams_are_exact)
{
    static struct labelling list[MOST];
    static sp_ctc_path path[MOST];
    for (int draw = 0; draw < 12; draw++) {
        const long steps = 1 + draw % STEPS, classes = 2 + draw % 3;
        const int blank = draw % (int)classes;
        sp_real x[STEPS * CLASSES];
        int said[STEPS], greedy[STEPS], labels[STEPS];
        long length;
        noise(70 + (uint64_t)draw, steps * classes, 3, x);
        const int found = all_labellings(x, steps, classes, blank, list);
        sp_tape_reset(t);
        sp_tape_set_recording(t, false);
        sp_seq seq = sp_seq_of(t, sp_feed(t, x, SP_SHAPE(steps, 1, classes)));
        ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .blank = blank, .width = 1000 }, seq, found + 1, path));
        for (int i = 0; i < found; i++) {
            ck_assert_double_eq_tol(path[i].log_p, log(list[i].p), 1e-11);
            ck_assert_double_eq(path[i].log_p, path[i].score);
            ck_assert_int_eq(path[i].length, list[i].n);
            ck_assert_mem_eq(path[i].labels, list[i].labels, (size_t)list[i].n * sizeof(int));
        }
        ck_assert(path[found].score == -INFINITY && path[found].length == 0);
        for (long i = 0; i < steps; i++) {
            said[i] = 0;
            for (int k = 1; k < classes; k++)
                said[i] = x[i * classes + k] > x[i * classes + said[i]] ? k : said[i];
        }
        const long n = collapse(said, steps, blank, labels);
        ck_assert(sp_ctc_greedy(t, seq, blank, greedy, &length));
        ck_assert_int_eq(length, n);
        ck_assert_mem_eq(greedy, labels, (size_t)n * sizeof *labels);
        sp_tape_set_recording(t, true);
    }
    ck_tape_ok(t);
}
END_TEST

/* ln p of a label depends on the two before it. */
static double model_score(void *self, const int *prefix, long n, int next)
{
    (void)self;
    const int one = n ? prefix[n - 1] : 7, two = n > 1 ? prefix[n - 2] : 5;
    return next == 2 && one == 2 ? -INFINITY : -0.3 * ((one * 3 + two + next * 5) % 7);
}

/* p(labels | logits) p_lm(labels)^weight e^(bonus n), for every labelling. */
START_TEST(language_models)
{
    static struct labelling list[MOST];
    static sp_ctc_path path[MOST];
    sp_real x[STEPS * CLASSES];
    int possible = 0;
    noise(90, STEPS * CLASSES, 2, x);
    const int found = all_labellings(x, STEPS, CLASSES, 0, list);
    for (int i = 0; i < found; i++) {
        double score = log(list[i].p);
        for (long k = 0; k < list[i].n; k++)
            score += 0.5 + 1.5 * model_score(NULL, list[i].labels, k, list[i].labels[k]);
        list[i].p = score;
        possible += score > -INFINITY;
    }
    qsort(list, (size_t)found, sizeof *list, by_probability);
    const sp_ctc_beam beam = { .width = 1000, .score = model_score, .weight = 1.5, .bonus = 0.5 };
    ck_assert(sp_ctc_search(t, beam, sp_seq_of(t, sp_feed(t, x, SP_SHAPE(STEPS, 1, CLASSES))), found, path));
    for (int i = 0; i < possible; i++) {
        ck_assert_double_eq_tol(path[i].score, list[i].p, 1e-11);
        ck_assert_int_eq(path[i].length, list[i].n);
        ck_assert_mem_eq(path[i].labels, list[i].labels, (size_t)list[i].n * sizeof(int));
    }
    ck_assert(possible < found && path[possible].score == -INFINITY);
}
END_TEST

/* ---- narrow beams ---------------------------------------------------------------------------------------------- */

enum { FAR = 14, BEAM = 6 };

/* A slow twin of the search: prefixes in a list, found by comparing them, all sorted at each step. */
struct prefix {
    int labels[FAR];
    long n;
    double b, a, extra, score;
};

static int by_score(const void *a, const void *b)
{
    const struct prefix *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

/* The prefix with a label (-1: none) behind it, in the list. */
static struct prefix *found_in(struct prefix *list, int *n, const struct prefix *p, int label, double extra)
{
    struct prefix x = *p;
    x.b = x.a = 0;
    if (label >= 0) {
        x.labels[x.n++] = label;
        x.extra += extra;
    }
    for (int i = 0; i < *n; i++)
        if (list[i].n == x.n && !memcmp(list[i].labels, x.labels, (size_t)x.n * sizeof *x.labels))
            return &list[i];
    list[*n] = x;
    return &list[(*n)++];
}

static int slow_search(const sp_real *x, const sp_ctc_beam *beam, struct prefix *kept)
{
    struct prefix list[BEAM * CLASSES + BEAM];
    double p[CLASSES];
    int entries = 1;
    kept[0] = (struct prefix){ .b = 1 };
    for (int step = 0; step < FAR; step++) {
        int n = 0;
        softmax(CLASSES, x + step * CLASSES, p);
        for (int i = 0; i < entries; i++) {
            const struct prefix *e = &kept[i];
            const int last = e->n ? e->labels[e->n - 1] : -1;
            struct prefix *same = found_in(list, &n, e, -1, 0);
            same->b += p[beam->blank] * (e->a + e->b);
            same->a += last >= 0 ? p[last] * e->a : 0;
            for (int k = 0; k < CLASSES; k++)
                if (k != beam->blank) {
                    const double extra = beam->bonus + beam->weight * beam->score(beam->self, e->labels, e->n, k);
                    found_in(list, &n, e, k, extra)->a += p[k] * (k == last ? e->b : e->a + e->b);
                }
        }
        for (int i = 0; i < n; i++)
            list[i].score = log(list[i].a + list[i].b) + list[i].extra;
        qsort(list, (size_t)n, sizeof *list, by_score);
        entries = n < beam->width ? n : beam->width;
        while (entries && list[entries - 1].score == -INFINITY)
            entries--;
        memcpy(kept, list, (size_t)entries * sizeof *list);
    }
    return entries;
}

/* Prefixes leave the beam and come back, and what they leave behind is used again. */
START_TEST(narrow_beams)
{
    for (int draw = 0; draw < 300; draw++) {
        sp_real x[FAR * CLASSES];
        sp_ctc_path path[BEAM];
        struct prefix want[BEAM];
        const int width = 1 + draw % BEAM;
        const sp_ctc_beam beam = { .blank = draw % CLASSES, .width = width, .score = model_score,
                                   .weight = draw % 2 ? 0.7 : 0.1, .bonus = draw % 3 * 0.2 };
        noise(200 + (uint64_t)draw, FAR * CLASSES, 1.5, x);
        sp_tape_reset(t);
        sp_seq seq = sp_seq_of(t, sp_feed(t, x, SP_SHAPE(FAR, 1, CLASSES)));
        ck_assert(sp_ctc_search(t, beam, seq, width, path));
        const int found = slow_search(x, &beam, want);
        for (int i = 0; i < found; i++) {
            ck_assert_msg(fabs(path[i].score - want[i].score) < 1e-9, "draw %d, path %d: %.12g, not %.12g", draw, i, path[i].score,
                          want[i].score);
            ck_assert_double_eq_tol(path[i].log_p, log(want[i].a + want[i].b), 1e-9);
            ck_assert_int_eq(path[i].length, want[i].n);
            ck_assert_mem_eq(path[i].labels, want[i].labels, (size_t)want[i].n * sizeof(int));
        }
    }
    ck_tape_ok(t);
}
END_TEST

static double indifferent(void *self, const int *prefix, long n, int next)
{
    (void)prefix, (void)n, (void)next;
    ++*(int *)self;
    return 0;
}

/* Once for each label behind each prefix that is in the beam before the last step, not at each step again. */
START_TEST(models_are_asked_once)
{
    static struct labelling list[MOST];
    sp_ctc_path path;
    sp_real x[STEPS * CLASSES];
    int asked = 0;
    noise(91, STEPS * CLASSES, 2, x);
    const sp_ctc_beam beam = { .width = 1000, .score = indifferent, .self = &asked, .weight = 1 };
    ck_assert(sp_ctc_search(t, beam, sp_seq_of(t, sp_feed(t, x, SP_SHAPE(STEPS, 1, CLASSES))), 1, &path));
    ck_assert_int_eq(asked, all_labellings(x, STEPS - 1, CLASSES, 0, list) * (CLASSES - 1));
}
END_TEST

/* ---- batches --------------------------------------------------------------------------------------------------- */

/* Each sequence of a ragged batch is decoded as it is alone. */
START_TEST(ragged_decoding)
{
    const long length[] = { 3, 5, 1, 4 };
    sp_real x[13 * CLASSES];
    int labels[13], alone[5];
    long lengths[4], one;
    sp_ctc_path path[4][2], single[2];
    noise(31, 13 * CLASSES, 3, x);
    sp_seq seq = sp_seq_pack(t, sp_feed(t, x, SP_SHAPE(13, CLASSES)), length, 4);
    ck_assert(sp_ctc_greedy(t, seq, 0, labels, lengths));
    ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .width = 4 }, seq, 2, path[0]));
    for (int i = 0, row = 0, at = 0; i < 4; row += (int)length[i], at += (int)lengths[i], i++) {
        sp_seq only = sp_seq_of(t, sp_feed(t, x + row * CLASSES, SP_SHAPE(length[i], 1, CLASSES)));
        ck_assert(sp_ctc_greedy(t, only, 0, alone, &one));
        ck_assert_int_eq(one, lengths[i]);
        ck_assert_mem_eq(alone, labels + at, (size_t)one * sizeof *alone);
        ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .width = 4 }, only, 2, single));
        for (int k = 0; k < 2; k++) {
            ck_assert_double_eq(single[k].score, path[i][k].score);
            ck_assert_int_eq(single[k].length, path[i][k].length);
            ck_assert_mem_eq(single[k].labels, path[i][k].labels, (size_t)single[k].length * sizeof(int));
        }
    }
    ck_tape_ok(t);
}
END_TEST

/* Two of five cannot be said: one for a repeated label. Their loss and gradient are 0, and the caller is told. */
START_TEST(infeasible_sequences)
{
    const long length[] = { 2, 3, 2, 1, 4 }, lengths[] = { 2, 1, 2, 2, 0 };
    const int targets[] = { 1, 2, 1, 1, 1, 1, 2 };
    sp_real x[12 * 3], loss[5], dx[12 * 3];
    bool which[5];
    long infeasible = -1;
    noise(3, 36, 2, x);
    sp_tensor *in = sp_variable(t, x, SP_SHAPE(12, 3));
    const sp_ctc_options o = { .zero_infinity = true, .infeasible = &infeasible, .which = which };
    sp_tensor *y = sp_ctc_loss(t, o, sp_seq_pack(t, in, length, 5), targets, lengths);
    ck_assert(sp_backward(t, sp_sum(t, y, 0)));
    ck_assert(sp_read(y, loss) && sp_read_grad(in, dx));
    ck_assert_int_eq(infeasible, 2);
    for (int i = 0, row = 0; i < 5; row += (int)length[i++]) {
        ck_assert_int_eq(which[i], i == 2 || i == 3);
        ck_assert(which[i] ? loss[i] == 0 : loss[i] > 0);
        for (long k = row * 3; k < (row + length[i]) * 3; k++)
            ck_assert((dx[k] == 0) == which[i]);
    }
    ck_assert_int_eq(sp_ctc_steps((const int[]){ 1, 1, 2, 2, 2, 1 }, 6), 9);
    ck_assert_int_eq(sp_ctc_steps(NULL, 0), 0);
    ck_tape_ok(t);
}
END_TEST

/* ---- long sequences -------------------------------------------------------------------------------------------- */

enum { LONG = 2000, WORDS = 6, SAID = 300, STATES = 2 * SAID + 1 };

static double log_add(double a, double b)
{
    const double m = fmax(a, b);
    return m == -INFINITY ? m : m + log(exp(a - m) + exp(b - m));
}

/* Plain loops in double: ln p, and how probable each class is at each step. */
static double plain(const sp_real *x, const int *target, double (*posterior)[WORDS])
{
    static double a[LONG][STATES], b[LONG][STATES], lp[LONG][WORDS];
    int state[STATES];
    for (int s = 0; s < STATES; s++)
        state[s] = s % 2 ? target[s / 2] : 0;
    for (int i = 0; i < LONG; i++) {
        softmax(WORDS, x + i * WORDS, lp[i]);
        double m = -INFINITY, sum = 0;
        for (int k = 0; k < WORDS; k++)
            m = fmax(m, (double)x[i * WORDS + k]);
        for (int k = 0; k < WORDS; k++)
            sum += exp((double)x[i * WORDS + k] - m);
        for (int k = 0; k < WORDS; k++)
            lp[i][k] = (double)x[i * WORDS + k] - m - log(sum);
    }
    for (int i = 0; i < LONG; i++)
        for (int s = 0; s < STATES; s++) {
            double sum = i ? a[i - 1][s] : s < 2 ? 0 : -INFINITY;
            if (i && s)
                sum = log_add(sum, a[i - 1][s - 1]);
            if (i && s > 1 && state[s] && state[s] != state[s - 2])
                sum = log_add(sum, a[i - 1][s - 2]);
            a[i][s] = sum + lp[i][state[s]];
        }
    for (int i = LONG - 1; i >= 0; i--)
        for (int s = 0; s < STATES; s++) {
            double sum = i + 1 < LONG ? b[i + 1][s] + lp[i + 1][state[s]] : s > STATES - 3 ? 0 : -INFINITY;
            if (i + 1 < LONG && s + 1 < STATES)
                sum = log_add(sum, b[i + 1][s + 1] + lp[i + 1][state[s + 1]]);
            if (i + 1 < LONG && s + 2 < STATES && state[s + 2] && state[s + 2] != state[s])
                sum = log_add(sum, b[i + 1][s + 2] + lp[i + 1][state[s + 2]]);
            b[i][s] = sum;
        }
    const double p = log_add(a[LONG - 1][STATES - 1], a[LONG - 1][STATES - 2]);
    for (int i = 0; i < LONG; i++)
        for (int s = 0; s < STATES; s++)
            posterior[i][state[s]] += exp(a[i][s] + b[i][s] - p);
    return p;
}

/* 2000 steps of logits in +-range: probabilities down to e^-60000. What float32 loses are the exponentials of differences, a
   few 2^-24 a step, and of logits of 50, 2^-18. */
static void check_long(double range, double tolerance)
{
    static double posterior[LONG][WORDS];
    static sp_real x[LONG * WORDS], dx[LONG * WORDS];
    int target[SAID];
    double p[WORDS];
    memset(posterior, 0, sizeof posterior);
    noise(5, LONG * WORDS, range, x);
    for (int i = 0; i < SAID; i++)
        target[i] = 1 + i * i % (WORDS - 1);
    const double want = -plain(x, target, posterior);
    sp_tape_reset(t);
    sp_tensor *in = sp_variable(t, x, SP_SHAPE(LONG, 1, WORDS));
    sp_tensor *y = sp_ctc_loss(t, (sp_ctc_options){ 0 }, sp_seq_of(t, in), target, (const long[]){ SAID });
    ck_assert(sp_backward(t, sp_sum(t, y, 0)));
    ck_assert_double_eq_tol((double)sp_item(y) / want, 1, WIDE(1e-13, 1e-6));
    sp_read_grad(in, dx);
    for (int i = 0; i < LONG; i++) {
        softmax(WORDS, x + i * WORDS, p);
        for (int k = 0; k < WORDS; k++)
            ck_each(fabs((double)dx[i * WORDS + k] - (p[k] - posterior[i][k])) < tolerance, "range %g, step %d, class %d: %.9g, not %.9g",
                    range, i, k, (double)dx[i * WORDS + k], p[k] - posterior[i][k]);
    }
    ck_tape_ok(t);
}

START_TEST(long_sequences)
{
    check_long(1, WIDE(1e-9, 1e-4));
    check_long(50, WIDE(1e-9, 1e-3));
}
END_TEST

/* ---- odd values ------------------------------------------------------------------------------------------------ */

START_TEST(odd_values)
{
    const sp_real none = -(sp_real)INFINITY, nan = (sp_real)NAN;
    const sp_real x[] = { 0, 1, 2, nan, 0, 5,   nan, nan, nan, nan, nan, nan,   none, 0, 0, none, none, 3,   0, none, 0, 0, none, 0 };
    const long length[] = { 2, 2, 2, 2 };
    sp_real loss[4], dx[24];
    int labels[8];
    long lengths[4];
    sp_ctc_path path[4][2];
    sp_tensor *in = sp_variable(t, x, SP_SHAPE(8, 3));
    sp_seq seq = sp_seq_pack(t, in, length, 4);
    sp_tensor *y = sp_ctc_loss(t, (sp_ctc_options){ 0 }, seq, (const int[]){ 1, 1, 1, 2, 1 }, (const long[]){ 1, 1, 2, 1 });
    ck_assert(sp_backward(t, sp_sum(t, y, 0)) && sp_read(y, loss) && sp_read_grad(in, dx));
    ck_assert(isnan((double)loss[0]) && isnan((double)loss[1]) && isnan((double)dx[0]) && isnan((double)dx[6]));
    near((double)loss[2], log(2), "loss");
    ck_assert(loss[3] == (sp_real)INFINITY && isnan((double)dx[18]) && fabs((double)dx[12]) < 1e-6);
    ck_assert(sp_ctc_greedy(t, seq, 0, labels, lengths));
    ck_assert(lengths[0] == 1 && labels[0] == 2 && lengths[1] == 0 && lengths[2] == 2 && labels[1] == 1 && labels[2] == 2);
    ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .width = 8 }, seq, 2, path[0]));
    ck_assert(path[0][0].length == 1 && path[0][0].labels[0] == 2 && isfinite(path[0][0].log_p));
    ck_assert(path[1][0].length == 0 && path[1][0].score == -INFINITY);
    ck_assert(path[2][0].length > 0 && isfinite(path[2][1].log_p));
    sp_tape_reset(t);
    in = sp_variable(t, x + 18, SP_SHAPE(2, 1, 3));
    y = sp_ctc_loss(t, (sp_ctc_options){ .zero_infinity = true }, sp_seq_of(t, in), (const int[]){ 1 }, (const long[]){ 1 });
    ck_assert(sp_backward(t, sp_sum(t, y, 0)) && sp_read_grad(in, dx));
    ck_assert(sp_item(y) == 0 && dx[0] == 0 && dx[5] == 0);
    ck_tape_ok(t);
}
END_TEST

/* Where p is 0 all logits of the sequence have a NaN as gradient; where nothing comes back, nothing does. */
START_TEST(probability_zero)
{
    const sp_real none = -(sp_real)INFINITY, nan = (sp_real)NAN, x[] = { 0, none, 0, 1, none, 2, 0, nan, 0, 0, 1, 2 };
    sp_real dx[12];
    sp_tensor *in = sp_variable(t, x, SP_SHAPE(4, 3));
    sp_seq seq = sp_seq_pack(t, in, (const long[]){ 2, 1, 1 }, 3);
    sp_tensor *y = sp_ctc_loss(t, (sp_ctc_options){ 0 }, seq, (const int[]){ 1, 2, 1 }, (const long[]){ 1, 1, 1 });
    sp_tensor *mask = sp_feed(t, REALS(1, 0, 1), SP_SHAPE(3));
    ck_assert(sp_backward(t, sp_sum(t, sp_where(t, mask, y, sp_full(t, 0, SP_SCALAR)), 0)) && sp_read_grad(in, dx));
    for (int i = 0; i < 12; i++)
        ck_assert(i < 6 ? isnan((double)dx[i]) : i < 9 ? dx[i] == 0 : isfinite((double)dx[i]) && dx[i] != 0);
    ck_tape_ok(t);
}
END_TEST

/* Who is told which cannot be said: also where all can, and where it is an error. */
START_TEST(reports)
{
    bool which[2] = { true, true };
    long infeasible = 9;
    const sp_ctc_options o = { .infeasible = &infeasible, .which = which };
    sp_seq seq = sp_seq_pack(t, sp_full(t, 0, SP_SHAPE(3, 3)), (const long[]){ 1, 2 }, 2);
    ck_assert(sp_sound(sp_ctc_loss(t, o, seq, (const int[]){ 1, 1, 2 }, (const long[]){ 1, 2 })));
    ck_assert(infeasible == 0 && !which[0] && !which[1]);
    ck_assert(!sp_sound(sp_ctc_loss(t, o, seq, (const int[]){ 1, 1, 1 }, (const long[]){ 1, 2 })));
    ck_assert(infeasible == 1 && !which[0] && which[1]);
    ck_assert_ptr_nonnull(strstr(sp_error(t), "ctc: sequence 1: 2 labels, 1 of them repeated, need 3 steps; it has 2"));
}
END_TEST

START_TEST(decoding_leaves_nothing)
{
    sp_seq seq = sp_seq_of(t, sp_full(t, 0, SP_SHAPE(300, 1, 3)));
    int labels[300];
    long lengths[1];
    const long length = sp_tape_length(t);
    size_t held = 0;
    for (int i = 0; i < 100; i++) {
        ck_assert(sp_ctc_greedy(t, seq, 0, labels, lengths));
        held = i ? held : sp_tape_bytes(t);
    }
    ck_assert_uint_eq(sp_tape_bytes(t), held);
    for (int i = 0; i < 100; i++) {                     /* paths stay, 300 numbers each */
        sp_ctc_path path;
        ck_assert(sp_ctc_search(t, (sp_ctc_beam){ 0 }, seq, 1, &path));
        held = i == 50 ? sp_tape_bytes(t) : held;
    }
    ck_assert_uint_le(sp_tape_bytes(t), held + 50 * 300 * sizeof(int) * 2);
    ck_assert_int_eq(sp_tape_length(t), length);
    ck_tape_ok(t);
}
END_TEST

/* All of the first step are equally probable. */
START_TEST(equals)
{
    sp_ctc_path path[4];
    ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .blank = 1 }, sp_seq_of(t, sp_full(t, 0, SP_SHAPE(1, 1, 4))), 4, path));
    ck_assert_int_eq(path[0].length, 0);
    for (int i = 1; i < 4; i++)
        ck_assert(path[i].length == 1 && path[i].labels[0] == (i == 1 ? 0 : i));
    ck_tape_ok(t);
}
END_TEST

static double never(void *self, const int *prefix, long n, int next)
{
    (void)self, (void)prefix, (void)n;
    return next == 1 ? NAN : -INFINITY;
}

START_TEST(a_model_that_says_no)
{
    sp_ctc_path path[2];
    sp_seq seq = sp_seq_of(t, sp_full(t, 1, SP_SHAPE(3, 1, 3)));
    ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .score = never, .weight = 1 }, seq, 2, path));
    ck_assert(path[0].length == 0 && path[1].score == -INFINITY);
    ck_assert_double_eq_tol(path[0].log_p, -3 * log(3), 1e-12);
    for (double weight = -1; weight <= 0; weight++) {
        ck_assert(sp_ctc_search(t, (sp_ctc_beam){ .score = never, .weight = weight }, seq, 2, path));
        ck_assert(path[0].length == 0 && path[1].score == -INFINITY);
    }
    ck_tape_ok(t);
}
END_TEST

START_TEST(nothing)
{
    sp_ctc_path path[2];
    long lengths[2];
    int labels[1];
    sp_seq none = sp_seq_of(t, sp_full(t, 0, SP_SHAPE(4, 0, 3)));
    ck_assert(sp_shape_equal(sp_shape_get(sp_ctc_loss(t, (sp_ctc_options){ 0 }, none, NULL, NULL)), SP_SHAPE(0)));
    ck_assert(sp_item(sp_ctc_loss_mean(t, (sp_ctc_options){ 0 }, none, NULL, NULL)) == 0);
    ck_assert(sp_ctc_greedy(t, none, 0, labels, lengths) && sp_ctc_search(t, (sp_ctc_beam){ 0 }, none, 1, path));
    sp_seq packed = sp_seq_pack(t, sp_variable(t, NULL, SP_SHAPE(0, 3)), NULL, 0);
    sp_tensor *mean = sp_ctc_loss_mean(t, (sp_ctc_options){ 0 }, packed, NULL, NULL);
    ck_assert(sp_item(mean) == 0 && sp_backward(t, mean));
    ck_assert(sp_ctc_greedy(t, packed, 0, labels, lengths) && sp_ctc_search(t, (sp_ctc_beam){ 0 }, packed, 1, path));
    sp_seq still = sp_seq_of(t, sp_full(t, 0, SP_SHAPE(0, 2, 3)));      /* no steps say no labels for certain */
    sp_tensor *y = sp_ctc_loss(t, (sp_ctc_options){ 0 }, still, NULL, (const long[]){ 0, 0 });
    ck_assert(sp_item(sp_sum(t, y, 0)) == 0);
    ck_assert(sp_ctc_search(t, (sp_ctc_beam){ 0 }, still, 1, path) && path[1].log_p == 0 && path[1].length == 0);
    ck_assert(sp_ctc_greedy(t, still, 0, labels, lengths) && lengths[0] == 0 && lengths[1] == 0);
    ck_tape_ok(t);
}
END_TEST

/* Each line fails with these words. */
#define FAILS(words, call)                                                                                             \
    do {                                                                                                               \
        sp_tape_clear(t);                                                                                              \
        sp_tape_reset(t);                                                                                              \
        seq = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(5, 3)), (const long[]){ 2, 3 }, 2);                                \
        ck_tape_ok(t);                                                                                                 \
        (void)(call);                                                                                                  \
        ck_assert_msg(strstr(sp_error(t), words), "'%s', not '%s'", sp_error(t), words);                               \
    } while (0)

#define LOSS(options, labels, ...) sp_ctc_loss(t, (sp_ctc_options){ options }, seq, labels, (const long[]){ __VA_ARGS__ })

START_TEST(bad_input)
{
    sp_seq seq;
    int labels[] = { 1, 2, 2, 1, 1, 2 }, odd[] = { 1, 3, 1, -1, 0 };
    long lengths[2];
    sp_ctc_path path[40];
    const sp_ctc_beam beam = { .width = 4 };
    FAILS("sequence 1: 3 labels, 1 of them repeated, need 4 steps; it has 3", LOSS(0, labels, 1, 3));
    FAILS("label 3 at place 1 of sequence 0 is not in 0..2", LOSS(0, odd, 2, 1));
    FAILS("label -1 at place 1 of sequence 1 is not in 0..2", LOSS(0, odd, 1, 0) && LOSS(0, odd + 2, 0, 2));
    FAILS("label 0 at place 0 of sequence 1 is the blank", LOSS(0, odd + 4, 0, 1));
    FAILS("label 1 at place 0 of sequence 0 is the blank", LOSS(.blank = 1, labels, 1, 1));
    FAILS("the blank 3 is not in 0..2", LOSS(.blank = 3, labels, 1, 1));
    FAILS("the blank -1 is not in 0..2", LOSS(.blank = -1, labels, 1, 1));
    FAILS("length -1 of the target of sequence 1", LOSS(0, labels, 1, -1));
    FAILS("no targets", LOSS(0, NULL, 1, 1));
    FAILS("no lengths of targets", sp_ctc_loss(t, (sp_ctc_options){ 0 }, seq, labels, NULL));
    FAILS("ctc: no input", sp_ctc_loss(t, (sp_ctc_options){ 0 }, (sp_seq){ 0 }, labels, lengths));
    FAILS("ctc: no input", sp_ctc_loss_mean(t, (sp_ctc_options){ 0 }, (sp_seq){ 0 }, labels, lengths));
    FAILS("ctc: the rows are [4,3], but the layout has 5", sp_ctc_loss(t, (sp_ctc_options){ 0 }, sp_seq_like(seq, sp_full(t, 0, SP_SHAPE(4, 3))), labels, lengths));
    FAILS("has no classes", sp_ctc_loss(t, (sp_ctc_options){ 0 }, sp_seq_like(seq, sp_full(t, 0, SP_SHAPE(5, 0))), NULL, (const long[]){ 0, 0 }));
    FAILS("the blank 5 is not in 0..2", sp_ctc_greedy(t, seq, 5, labels, lengths));
    FAILS("no room", sp_ctc_greedy(t, seq, 0, NULL, lengths));
    FAILS("the blank 5 is not in 0..2", sp_ctc_search(t, (sp_ctc_beam){ .blank = 5 }, seq, 1, path));
    FAILS("the 5 best of a beam of 4", sp_ctc_search(t, beam, seq, 5, path));
    FAILS("the 17 best of a beam of 16", sp_ctc_search(t, (sp_ctc_beam){ 0 }, seq, 17, path));
    FAILS("the 0 best of a beam of 4", sp_ctc_search(t, beam, seq, 0, path));
    FAILS("the 1 best of a beam of -2", sp_ctc_search(t, (sp_ctc_beam){ .width = -2 }, seq, 1, path));
    FAILS("and no room", sp_ctc_search(t, beam, seq, 1, NULL));
    FAILS("ctc: the weight nan and the bonus 0 are not both finite", sp_ctc_search(t, (sp_ctc_beam){ .weight = NAN }, seq, 1, path));
    FAILS("ctc: the weight inf and the bonus 0 are", sp_ctc_search(t, (sp_ctc_beam){ .weight = INFINITY }, seq, 1, path));
    FAILS("ctc: the weight 1 and the bonus nan are", sp_ctc_search(t, (sp_ctc_beam){ .weight = 1, .bonus = NAN }, seq, 1, path));
    const sp_ragged wrong[] = { { -1, NULL, NULL }, { 2, NULL, NULL }, { 1, (const long[]){ 2 }, (const int[]){ 0, -1 } },
                                { 1, (const long[]){ 2 }, (const int[]){ 5, 0 } }, { 2, (const long[]){ INT32_MAX, 1 }, NULL } };
    FAILS("ctc: no sequences (NULL)", sp_ctc(t, seq.rows, labels, lengths, 0, false, NULL));
    FAILS("ctc: -1 sequences", sp_ctc(t, seq.rows, labels, lengths, 0, false, &wrong[0]));
    FAILS("ctc: 2 sequences, and no lengths", sp_ctc(t, seq.rows, labels, lengths, 0, false, &wrong[1]));
    FAILS("ctc: row -1 at place 1 is not in 0..4", sp_ctc(t, seq.rows, labels, (const long[]){ 1 }, 0, false, &wrong[2]));
    FAILS("ctc: row 5 at place 0 is not in 0..4", sp_ctc(t, seq.rows, labels, (const long[]){ 1 }, 0, false, &wrong[3]));
    FAILS("ctc: length 1 of sequence 1 makes more than 2147483647 steps", sp_ctc(t, seq.rows, labels, (const long[]){ 1, 1 }, 0, false, &wrong[4]));
    FAILS("ctc: length 1 of the target of sequence 1 is not in 0..0", LOSS(0, labels, INT32_MAX, 1));
    FAILS("is too wide", sp_ctc_search(t, (sp_ctc_beam){ .width = 2000000000 }, seq, 1, path));
    ck_assert(!sp_ctc_greedy(NULL, seq, 0, labels, lengths) && !sp_ctc_search(NULL, beam, seq, 1, path));
    ck_assert_ptr_null(sp_ctc_loss(NULL, (sp_ctc_options){ 0 }, seq, labels, lengths));
    sp_tape_clear(t);
}
END_TEST

/* ---- PyTorch --------------------------------------------------------------------------------------------------- */

/* logits of sequences one behind the other; torch's loss of each, its mean, and the gradient of the mean, or of the sum. */
static void read_ctc(struct golden *g)
{
    const long *length = golden_longs(g, "input_lengths"), *lengths = golden_longs(g, "target_lengths");
    const long n = golden_shape(g, "input_lengths").dim[0];
    const int *targets = golden_ids(g, "targets");
    long infeasible;
    const sp_ctc_options o = { .blank = (int)golden_count(g, "blank"), .zero_infinity = golden_count(g, "zero_infinity"),
                               .infeasible = &infeasible };
    sp_tensor *x = golden_variable(g, t, "logits");
    sp_seq seq = sp_seq_pack(t, x, length, n);
    golden_same(g, "loss", sp_ctc_loss(t, o, seq, targets, lengths));
    ck_assert_int_eq(infeasible, golden_count(g, "infeasible"));
    sp_tensor *mean = sp_ctc_loss_mean(t, o, seq, targets, lengths);
    golden_same(g, "mean", mean);
    ck_assert(sp_backward(t, mean));
    golden_same_gradient(g, "grad", x);
    sp_seq normal = sp_seq_like(seq, sp_log_softmax(t, seq.rows));      /* log-probabilities give the same */
    golden_same(g, "loss", sp_ctc_loss(t, o, normal, targets, lengths));
    sp_tape_reset(t);
}

START_TEST(golden)
{
    golden_each("ctc", (const struct golden_reader[]){ { "ctc", read_ctc }, { 0 } });
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("ctc");
    TCase *c = tcase_create("ctc");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, all_small_cases);
    tcase_add_test(c, wide_beams_are_exact);
    tcase_add_test(c, language_models);
    tcase_add_test(c, narrow_beams);
    tcase_add_test(c, models_are_asked_once);
    tcase_add_test(c, ragged_decoding);
    tcase_add_test(c, infeasible_sequences);
    tcase_add_test(c, long_sequences);
    tcase_add_test(c, odd_values);
    tcase_add_test(c, a_model_that_says_no);
    tcase_add_test(c, probability_zero);
    tcase_add_test(c, reports);
    tcase_add_test(c, decoding_leaves_nothing);
    tcase_add_test(c, equals);
    tcase_add_test(c, nothing);
    tcase_add_test(c, bad_input);
    tcase_add_test(c, golden);
    suite_add_tcase(s, c);
    return s;
}
