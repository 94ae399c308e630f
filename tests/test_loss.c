/* Losses: beside PyTorch's, beside plain loops in double, at their edges, and over nothing. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/seq.h"
#include "ops/ops.h"
#include "tests/golden.h"
#include "tests/suite.h"

/* ---- golden ---------------------------------------------------------------------------------------------------- */

/* What a file has: one to three inputs, of which each may have a gradient to compare. */
struct input {
    const char *name;
    sp_tensor *x;
};

typedef sp_tensor *builder(struct golden *g, sp_tape *t, struct input *in, bool mean);

static void compare(struct golden *g, builder *build, int inputs, const char *const *name)
{
    char gradient[64];
    for (int mean = 0; mean < 2; mean++) {
        struct input in[3];
        sp_tape *t = sp_tape_new(NULL);
        for (int i = 0; i < inputs; i++)
            in[i] = (struct input){ name[i], golden_variable(g, t, name[i]) };
        sp_tensor *y = build(g, t, in, mean);
        ck_tape_ok(t);
        golden_same(g, mean ? "mean.y" : "y", y);
        sp_backward(t, mean ? y : sp_sum(t, sp_mul(t, y, golden_constant(g, t, "dy")), SP_ALL));
        ck_tape_ok(t);
        for (int i = 0; i < inputs; i++) {
            snprintf(gradient, sizeof gradient, "%s%s", mean ? "mean.d" : "d", in[i].name);
            if (golden_has(g, gradient))
                golden_same_gradient(g, gradient, in[i].x);
        }
        sp_tape_free(t);
    }
}

static const char *const pair[] = { "x", "target" };

static sp_tensor *build_cross_entropy(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    const int *ids = golden_ids(g, "ids");
    const double smoothing = golden_number(g, "smoothing");
    const sp_real *weight = golden_has(g, "weight") ? golden_numbers(g, "weight") : NULL;
    sp_real of_row[8] = { 0 };
    if (mean)
        return weight ? sp_cross_entropy_balanced_mean(t, in[0].x, ids, SP_IGNORE, weight)
             : smoothing > 0 ? sp_cross_entropy_smooth_mean(t, in[0].x, ids, SP_IGNORE, smoothing)
                             : sp_cross_entropy_mean(t, in[0].x, ids, SP_IGNORE);
    for (long i = 0; weight && i < sp_shape_size(golden_shape(g, "ids")); i++)
        of_row[i] = ids[i] == SP_IGNORE ? 0 : weight[ids[i]];
    return sp_cross_entropy_smooth(t, in[0].x, ids, SP_IGNORE, weight ? of_row : NULL, smoothing);
}

static sp_tensor *build_bce_logits(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    return (mean ? sp_bce_logits_mean : sp_bce_logits)(t, in[0].x, in[1].x, golden_number(g, "positive_weight"));
}

static sp_tensor *build_mse(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    (void)g;
    sp_tensor *d = sp_sub(t, in[0].x, in[1].x);
    return mean ? sp_mse(t, in[0].x, in[1].x) : sp_mul(t, d, d);
}

static sp_tensor *build_mae(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    (void)g;
    return mean ? sp_mae(t, in[0].x, in[1].x) : sp_abs(t, sp_sub(t, in[0].x, in[1].x));
}

/* Times 1 / beta it is PyTorch's smooth L1. */
static sp_tensor *build_huber(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    sp_tensor *y = (mean ? sp_huber_mean : sp_huber)(t, in[0].x, in[1].x, golden_number(g, "delta"));
    return sp_scale(t, y, golden_number(g, "scale"));
}

static sp_tensor *build_gaussian(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    return (mean ? sp_gaussian_nll_mean : sp_gaussian_nll)(t, in[0].x, in[1].x, in[2].x, golden_number(g, "least"));
}

static sp_tensor *build_kl_div(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    (void)g;
    return (mean ? sp_kl_div_mean : sp_kl_div)(t, in[0].x, in[1].x);
}

static sp_tensor *build_kl_div_logits(struct golden *g, sp_tape *t, struct input *in, bool mean)
{
    (void)g;
    return (mean ? sp_kl_div_mean : sp_kl_div)(t, sp_log_softmax(t, in[0].x), sp_softmax(t, in[1].x));
}

static void cross_entropy(struct golden *g)     { compare(g, build_cross_entropy, 1, pair); }
static void bce_logits(struct golden *g)        { compare(g, build_bce_logits, 2, pair); }
static void mse(struct golden *g)               { compare(g, build_mse, 2, pair); }
static void mae(struct golden *g)               { compare(g, build_mae, 2, pair); }
static void huber(struct golden *g)             { compare(g, build_huber, 2, pair); }
static void kl_div(struct golden *g)            { compare(g, build_kl_div, 2, pair); }
static void kl_div_logits(struct golden *g)     { compare(g, build_kl_div_logits, 2, pair); }

static void gaussian_nll(struct golden *g)
{
    compare(g, build_gaussian, 3, (const char *const[]){ "mean", "log_variance", "target" });
}

START_TEST(golden)
{
    golden_each("loss", (const struct golden_reader[]){
        { "cross_entropy", cross_entropy }, { "bce_logits", bce_logits }, { "mse", mse }, { "mae", mae }, { "huber", huber },
        { "gaussian_nll", gaussian_nll }, { "kl_div", kl_div }, { "kl_div_logits", kl_div_logits }, { 0 } });
}
END_TEST

/* ---- plain loops ----------------------------------------------------------------------------------------------- */

enum { ROWS = 6, WIDTH = 37, SIZE = ROWS * WIDTH };

static void noise(uint64_t place, long n, sp_real *out, double low, double high)
{
    sp_random_uniform((sp_key){ .seed = 3, .place = place }, n, out, low, high);
}

static double log_sum(const sp_real *x)
{
    double sum = 0;
    for (int j = 0; j < WIDTH; j++)
        sum += exp((double)x[j]);
    return log(sum);
}

/* The losses in double from the formulas of the header: x, target (ids where it says so) -> the mean. */
static double naive_smooth(const sp_real *x, const int *ids)
{
    double sum = 0, count = 0;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < WIDTH && ids[i] != SP_IGNORE; j++) {
            const double target = 0.2 / WIDTH + (j == ids[i] ? 0.8 : 0);
            sum -= target * ((double)x[i * WIDTH + j] - log_sum(x + i * WIDTH));
            count += j == 0;
        }
    return sum / count;
}

static double naive_bce(const sp_real *x, const sp_real *z)
{
    double sum = 0;
    for (int i = 0; i < SIZE; i++) {
        const double s = 1 / (1 + exp(-(double)x[i]));
        sum -= 3 * (double)z[i] * log(s) + (1 - (double)z[i]) * log(1 - s);
    }
    return sum / SIZE;
}

static double naive_huber(const sp_real *x, const sp_real *z)
{
    double sum = 0;
    for (int i = 0; i < SIZE; i++) {
        const double d = fabs((double)x[i] - (double)z[i]);
        sum += d <= 0.5 ? d * d / 2 : 0.5 * (d - 0.25);
    }
    return sum / SIZE;
}

static double naive_gaussian(const sp_real *m, const sp_real *s, const sp_real *z)
{
    double sum = 0;
    for (int i = 0; i < SIZE; i++) {
        const double v = fmax(exp((double)s[i]), 0.3), d = (double)m[i] - (double)z[i];
        sum += (log(v) + d * d / v) / 2;
    }
    return sum / SIZE;
}

static double naive_kl(const sp_real *log_q, const sp_real *p)
{
    double sum = 0;
    for (int i = 0; i < SIZE; i++)
        sum += p[i] > 0 ? (double)p[i] * (log((double)p[i]) - (double)log_q[i]) : 0;
    return sum / ROWS;
}

START_TEST(as_plain_loops_say)
{
    sp_real x[SIZE], s[SIZE], z[SIZE], weight[ROWS] = { 1, 0, 0.5, 2, 0, 3 };
    const int ids[ROWS] = { 0, WIDTH - 1, SP_IGNORE, 5, SP_IGNORE, 17 };
    const sp_shape shape = SP_SHAPE(2, 3, WIDTH);
    sp_tape *t = sp_tape_new(NULL);
    noise(1, SIZE, x, -4, 4);
    noise(2, SIZE, s, -2, 2);
    noise(3, SIZE, z, 0, 1);
    z[7] = 0;
    sp_tensor *tx = sp_feed(t, x, shape), *tz = sp_feed(t, z, shape), *ts = sp_feed(t, s, shape);
    double huber_rows[ROWS] = { 0 }, weighted = 0;
    for (int i = 0; i < SIZE; i++) {
        const double d = fabs((double)x[i] - (double)z[i]);
        huber_rows[i / WIDTH] += d <= 0.5 ? d * d / 2 : 0.5 * (d - 0.25);
    }
    for (int i = 0; i < ROWS; i++)
        weighted += (double)weight[i] * huber_rows[i] / WIDTH / 6.5;
    const struct { sp_tensor *loss; double want; } all[] = {
        { sp_cross_entropy_smooth_mean(t, tx, ids, SP_IGNORE, 0.2), naive_smooth(x, ids) },
        { sp_bce_logits_mean(t, tx, tz, 3), naive_bce(x, z) },
        { sp_huber_mean(t, tx, tz, 0.5), naive_huber(x, z) },
        { sp_gaussian_nll_mean(t, tx, ts, tz, 0.3), naive_gaussian(x, s, z) },
        { sp_kl_div_mean(t, ts, tz), naive_kl(s, z) },
        { sp_weighted_mean(t, sp_huber(t, tx, tz, 0.5), weight, ROWS), weighted },
    };
    ck_tape_ok(t);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)       /* some roundings of some 200 terms, halving sums */
        ck_assert_msg(fabs((double)sp_item(all[i].loss) - all[i].want) <= WIDE(1e-12, 1e-5) * (1 + fabs(all[i].want)),
                      "loss %zu: %.12g, not %.12g", i, (double)sp_item(all[i].loss), all[i].want);
    sp_tape_free(t);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------------------------- */

struct parts {
    sp_param *x, *s, *z;
};

/* All of them together, of parameters; targets too have gradients. */
static sp_tensor *every_loss(sp_tape *t, void *context)
{
    const struct parts *p = context;
    sp_tensor *x = sp_param_on(t, p->x), *s = sp_param_on(t, p->s), *z = sp_param_on(t, p->z);
    const int ids[] = { 1, 4, SP_IGNORE, 0 };
    sp_tensor *loss = sp_cross_entropy_smooth_mean(t, x, ids, SP_IGNORE, 0.1);
    loss = sp_add(t, loss, sp_cross_entropy_balanced_mean(t, x, ids, SP_IGNORE, REALS(1, 2, 3, 0, 0.5)));
    loss = sp_add(t, loss, sp_bce_logits_mean(t, x, z, 2));
    loss = sp_add(t, loss, sp_mse(t, x, z));
    loss = sp_add(t, loss, sp_mae(t, sp_add(t, x, sp_full(t, 9, SP_SCALAR)), z));
    loss = sp_add(t, loss, sp_huber_mean(t, x, z, 8));
    loss = sp_add(t, loss, sp_gaussian_nll_mean(t, x, s, z, 1e-6));
    loss = sp_add(t, loss, sp_kl_div_mean(t, sp_log_softmax(t, x), sp_softmax(t, z)));
    return sp_add(t, loss, sp_weighted_mean(t, sp_bce_logits(t, x, z, 1), REALS(1, 0, 2, 0.5), 4));
}

START_TEST(gradients)
{
    sp_store *s = sp_store_new(2);
    struct parts p = { sp_store_add(s, SP_SHAPE(4, 5), "x"), sp_store_add(s, SP_SHAPE(5), "s"),
                       sp_store_add(s, SP_SHAPE(4, 5), "z") };
    sp_gradcheck_report r;
    sp_status status = { 0 };
    sp_init_uniform(p.x, -2, 2);
    sp_init_uniform(p.s, -1, 1);
    sp_init_uniform(p.z, 0.2, 0.8);
    ck_assert_msg(sp_gradcheck(s, every_loss, &p, 0, &r, &status), "%s", status.message);
    ck_assert_int_eq(r.checked, 45);
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(s);
}
END_TEST

/* ---- edges ----------------------------------------------------------------------------------------------------- */

/* Right to the last digits where sigmoid(x) is 0 or 1 to rounding, loss and gradient. */
START_TEST(far_logits)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[6], gradient[6];
    const sp_real x[] = { 20, -20, 1e4, -1e4, 1e4, -1e4 }, z[] = { 1, 0, 1, 0, 0, 1 };
    const double tiny = log1p(exp(-20)), small = 1 / (1 + exp(20));
    const double want[] = { tiny, tiny, 0, 0, 1e4, 1e4 }, slope[] = { -small, small, 0, 0, 1, -1 };
    sp_tensor *in = sp_variable(t, x, SP_SHAPE(6)), *y = sp_bce_logits(t, in, sp_feed(t, z, SP_SHAPE(6)), 1);
    ck_assert(sp_backward(t, sp_sum(t, y, SP_ALL)));
    sp_read(y, got);
    sp_read_grad(in, gradient);
    for (int i = 0; i < 6; i++) {
        ck_assert_double_le(fabs((double)got[i] - want[i]), WIDE(1e-14, 1e-6) * want[i]);
        ck_assert_double_le(fabs((double)gradient[i] - slope[i]), WIDE(1e-14, 1e-6) * fabs(slope[i]));
    }
    sp_tape_free(t);
}
END_TEST

/* A variance at the least it counts as can grow again, and a target that is met exactly costs a finite sum. */
START_TEST(least_variance)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real gradient[2];
    sp_tensor *s = sp_variable(t, REALS(-1e4, -1e4), SP_SHAPE(2));
    sp_tensor *y = sp_gaussian_nll(t, sp_feed(t, REALS(1, 1), SP_SHAPE(2)), s, sp_feed(t, REALS(1, 2), SP_SHAPE(2)), 0.01);
    sp_real got[2];
    sp_read(y, got);
    ck_assert_double_eq_tol((double)got[0], log(0.01) / 2, 1e-6);
    ck_assert_double_eq_tol((double)got[1], log(0.01) / 2 + 50, 1e-4);
    ck_assert(sp_backward(t, sp_sum(t, y, SP_ALL)));
    sp_read_grad(s, gradient);
    ck_assert_double_eq_tol((double)gradient[0], 0.5, 1e-6);
    ck_assert_double_eq_tol((double)gradient[1], 0.5 - 50, 1e-4);
    sp_tape_free(t);
}
END_TEST

/* 0 log 0 = 0, even where q is 0 too; where p is not, the divergence is infinite. */
START_TEST(no_probability)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real got[2], gradient[4];
    sp_tensor *q = sp_variable(t, REALS(0, -INFINITY, -INFINITY, 0), SP_SHAPE(2, 2));
    sp_tensor *p = sp_variable(t, REALS(1, 0, 1, 0), SP_SHAPE(2, 2)), *y = sp_kl_div(t, q, p);
    sp_read(y, got);
    ck_assert_double_eq((double)got[0], 0);
    ck_assert(isinf((double)got[1]) && got[1] > 0);
    ck_assert(sp_backward(t, sp_index(t, y, 0, 0)));
    sp_read_grad(q, gradient);
    ck_same(gradient, REALS(-1, 0, 0, 0), 4);
    sp_read_grad(p, gradient);
    ck_same(gradient, REALS(1, 0), 2);
    sp_tape_free(t);
}
END_TEST

/* The rows of sequences of different lengths: the mean is over those there are, in whatever order. */
START_TEST(ragged)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real x[12], z[12];
    noise(4, 12, x, -1, 1);
    noise(5, 12, z, -1, 1);
    const long length[] = { 2, 3, 1 };
    sp_tensor *tx = sp_variable(t, x, SP_SHAPE(6, 2)), *tz = sp_feed(t, z, SP_SHAPE(6, 2));
    sp_seq xs = sp_seq_pack(t, tx, length, 3), zs = sp_seq_pack(t, tz, length, 3);
    sp_tensor *packed = sp_huber_mean(t, xs.rows, zs.rows, 0.5), *plain = sp_huber_mean(t, tx, tz, 0.5);
    ck_tape_ok(t);
    ck_assert_double_eq_tol((double)sp_item(packed), (double)sp_item(plain), 1e-6);
    sp_tape_free(t);
}
END_TEST

/* A common offset of the logits changes nothing but their own last digits. */
START_TEST(smoothing_far_from_zero)
{
    enum { N = 64 };
    sp_tape *t = sp_tape_new(NULL);
    sp_real x[2 * N];
    for (int i = 0; i < N; i++) {
        x[i] = (sp_real)(i % 5);
        x[N + i] = (sp_real)(1e7 + i % 5);              /* both as they are, in float32 too */
    }
    sp_tensor *y = sp_cross_entropy_smooth(t, sp_feed(t, x, SP_SHAPE(2, N)), (const int[]){ 3, 3 }, SP_IGNORE, NULL, 0.5);
    sp_real got[2];
    sp_read(y, got);
    ck_assert_double_eq((double)got[0], (double)got[1]);
    sp_tape_free(t);
}
END_TEST

/* The extremes that are allowed. */
START_TEST(bounds)
{
    sp_tape *t = sp_tape_new(NULL);
    const double least = WIDE(1e-300, 1e-38), delta = WIDE(1e-300, 1e-37);
    sp_tensor *zero = sp_full(t, 0, SP_SHAPE(1)), *one = sp_full(t, 1, SP_SHAPE(1)), *far = sp_full(t, -(sp_real)1e4, SP_SHAPE(1));
    const double got[] = {
        (double)sp_item(sp_gaussian_nll_mean(t, zero, far, zero, least)) / (log(least) / 2),
        (double)sp_item(sp_gaussian_nll_mean(t, zero, far, one, 1e30)) / (log(1e30) / 2),
        (double)sp_item(sp_huber_mean(t, one, zero, delta)) / delta,
        (double)sp_item(sp_bce_logits_mean(t, zero, one, 1e30)) / (1e30 * log(2)),
    };
    ck_tape_ok(t);
    for (int i = 0; i < 4; i++)
        ck_assert_msg(fabs(got[i] - 1) < WIDE(1e-12, 1e-6), "%d: %.9g", i, got[i]);
    ck_assert(sp_item(sp_bce_logits_mean(t, zero, one, 0)) == 0);
    sp_tape_free(t);
}
END_TEST

/* A weight of 0 leaves out what has no number, and one weight is for all. */
START_TEST(masks)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real gradient[4];
    sp_tensor *x = sp_variable(t, REALS(1, NAN, 3, INFINITY), SP_SHAPE(2, 2));
    sp_tensor *y = sp_weighted_mean(t, x, REALS(2, 0, 6, 0), 4);
    ck_assert(sp_backward(t, y) && sp_read_grad(x, gradient));
    ck_assert_double_eq((double)sp_item(y), 2.5);
    ck_same(gradient, REALS(0.25, 0, 0.75, 0), 4);
    y = sp_weighted_mean(t, sp_feed(t, REALS(1, 2, 3, 6), SP_SHAPE(2, 2)), REALS(7), 1);
    ck_assert_double_eq_tol((double)sp_item(y), 3, 1e-6);
    y = sp_weighted_mean(t, sp_full(t, 5, SP_SCALAR), REALS(7), 1);
    ck_assert_double_eq_tol((double)sp_item(y), 5, 1e-6);
    ck_tape_ok(t);
    sp_tape_free(t);
}
END_TEST

/* The gradient of one that is as good as certain is what is left over, to all digits. */
START_TEST(certain_among)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real gradient[1];
    sp_tensor *own = sp_variable(t, REALS(30), SP_SHAPE(1));
    ck_assert(sp_backward(t, sp_sum(t, sp_cross_entropy_among(t, own, sp_full(t, 0, SP_SHAPE(1, 2)), (const int[]){ SP_OMIT_NONE }), 0)));
    sp_read_grad(own, gradient);
    ck_assert_double_eq_tol((double)gradient[0] / (-2 * exp(-30)), 1, WIDE(1e-12, 1e-5));
    sp_tape_free(t);
}
END_TEST

/* Over nothing each is 0, and the gradient of what there is stays 0. */
START_TEST(nothing)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_real gradient[4];
    sp_tensor *w = sp_variable(t, REALS(1, 2, 3, 4), SP_SHAPE(2, 2)), *x = sp_matmul(t, sp_full(t, 0, SP_SHAPE(0, 2)), w);
    sp_tensor *z = sp_full(t, 0, SP_SHAPE(0, 2)), *one = sp_matmul(t, sp_full(t, 1, SP_SHAPE(1, 2)), w);
    sp_tensor *losses[] = {
        sp_cross_entropy_mean(t, x, NULL, SP_IGNORE), sp_cross_entropy_smooth_mean(t, x, NULL, SP_IGNORE, 0.1),
        sp_cross_entropy_mean(t, one, (const int[]){ SP_IGNORE }, SP_IGNORE),
        sp_cross_entropy_balanced_mean(t, one, (const int[]){ 1 }, SP_IGNORE, REALS(1, 0)),
        sp_bce_logits_mean(t, x, z, 1), sp_mse(t, x, z), sp_mae(t, x, z), sp_huber_mean(t, x, z, 1),
        sp_gaussian_nll_mean(t, x, z, z, 1e-6), sp_kl_div_mean(t, x, z), sp_weighted_mean(t, x, NULL, 0),
        sp_weighted_mean(t, one, REALS(0), 1), sp_mse(t, sp_seq_pack(t, x, NULL, 0).rows, z),
    };
    sp_tensor *sum = sp_sum(t, sp_scale(t, w, 0), SP_ALL);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        ck_tape_ok(t);
        ck_assert_msg(sp_item(losses[i]) == 0, "loss %zu is %g", i, (double)sp_item(losses[i]));
        sum = sp_add(t, sum, losses[i]);
    }
    ck_assert(sp_backward(t, sum));
    sp_read_grad(w, gradient);
    ck_same(gradient, REALS(0, 0, 0, 0), 4);
    sp_tape_free(t);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static sp_tape *t;
static sp_tensor *x, *wide;                     /* [2,3], [2,4] */

static void begin(void)
{
    t = sp_tape_new(NULL);
    x = sp_variable(t, REALS(1, 2, 3, 4, 5, 6), SP_SHAPE(2, 3));
    wide = sp_full(t, 0, SP_SHAPE(2, 4));
}

static void end(void)
{
    sp_tape_free(t);
}

/* [2,3] with one number that is not 0.5, at a place */
static sp_tensor *with(int at, double number)
{
    sp_real z[6] = { 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 };
    z[at] = (sp_real)number;
    return sp_feed(t, z, SP_SHAPE(2, 3));
}

#define USE(name, call) static void name(void) { (void)call; }
USE(bce_shapes, sp_bce_logits_mean(t, x, wide, 1))
USE(huber_shapes, sp_huber_mean(t, x, wide, 1))
USE(mae_shapes, sp_mae(t, x, wide))
USE(kl_shapes, sp_kl_div_mean(t, x, sp_full(t, 0, SP_SHAPE(3, 2))))
USE(kl_rank, sp_kl_div_mean(t, x, sp_full(t, 0, SP_SHAPE(1, 2, 3))))
USE(gaussian_shapes, sp_gaussian_nll_mean(t, x, x, wide, 1))
USE(gaussian_variance, sp_gaussian_nll_mean(t, x, sp_full(t, 0, SP_SHAPE(2)), with(0, 0), 1))
USE(gaussian_wider, sp_gaussian_nll_mean(t, x, sp_full(t, 0, SP_SHAPE(4, 2, 3)), with(0, 0), 1))
USE(bce_above, sp_bce_logits_mean(t, x, with(4, 1.5), 1))
USE(bce_below, sp_bce_logits_mean(t, x, with(0, -0.25), 1))
USE(bce_nan, sp_bce_logits_mean(t, x, with(5, NAN), 1))
USE(bce_view, sp_bce_logits_mean(t, sp_transpose(t, x, 0, 1), sp_transpose(t, with(4, 2), 0, 1), 1))
USE(bce_weight, sp_bce_logits_mean(t, x, with(0, 0), -1))
USE(bce_weight_nan, sp_bce_logits_mean(t, x, with(0, 0), NAN))
USE(kl_negative, sp_kl_div_mean(t, x, with(3, -0.125)))
USE(kl_infinite, sp_kl_div_mean(t, x, with(3, INFINITY)))
USE(mse_infinite, sp_mse(t, x, with(2, -INFINITY)))
USE(mae_nan, sp_mae(t, x, with(1, NAN)))
USE(huber_nan, sp_huber_mean(t, x, with(1, NAN), 1))
USE(huber_delta, sp_huber_mean(t, x, with(0, 0), 0))
USE(huber_delta_nan, sp_huber_mean(t, x, with(0, 0), NAN))
USE(gaussian_nan, sp_gaussian_nll_mean(t, x, x, with(2, NAN), 1))
USE(gaussian_least_tiny, sp_gaussian_nll_mean(t, x, x, with(2, 0), 1e-310))
USE(gaussian_least_huge, sp_gaussian_nll_mean(t, x, x, with(2, 0), 1e31))
USE(bce_weight_huge, sp_bce_logits_mean(t, x, with(0, 0), 1e31))
USE(huber_delta_tiny, sp_huber_mean(t, x, with(0, 0), 1e-310))
USE(null_list, sp_linear_chain(t, x, x, x, x, NULL, NULL, NULL))
USE(null_gaussian, sp_gaussian_nll_mean(t, x, x, NULL, 1))
USE(among_below, sp_cross_entropy_among(t, sp_full(t, 0, SP_SHAPE(2)), x, ((const int[]){ -1, -3 })))
USE(among_nobody, sp_cross_entropy_among(t, sp_full(t, 0, SP_SHAPE(1)), sp_full(t, 0, SP_SHAPE(1, 0)), ((const int[]){ 0 })))
USE(gaussian_least, sp_gaussian_nll_mean(t, x, x, with(2, 0), 0))
USE(smoothing_high, sp_cross_entropy_smooth_mean(t, x, ((const int[]){ 0, 1 }), SP_IGNORE, 1.5))
USE(smoothing_nan, sp_cross_entropy_smooth_mean(t, x, ((const int[]){ 0, 1 }), SP_IGNORE, NAN))
USE(no_such_id, sp_cross_entropy_smooth_mean(t, x, ((const int[]){ 0, 3 }), SP_IGNORE, 0.1))
USE(balanced_id, sp_cross_entropy_balanced_mean(t, x, ((const int[]){ 0, -1 }), SP_IGNORE, REALS(1, 1, 1)))
USE(balanced_weight, sp_cross_entropy_balanced_mean(t, x, ((const int[]){ 0, 1 }), SP_IGNORE, REALS(1, -2, 1)))
USE(balanced_none, sp_cross_entropy_balanced_mean(t, x, ((const int[]){ 0, 1 }), SP_IGNORE, NULL))
USE(balanced_ids, sp_cross_entropy_balanced_mean(t, x, NULL, SP_IGNORE, REALS(1, 1, 1)))
USE(weights_number, sp_weighted_mean(t, x, REALS(1, 1, 1), 3))
USE(weights_none, sp_weighted_mean(t, x, NULL, 2))
USE(weights_nan, sp_weighted_mean(t, x, REALS(1, NAN), 2))
USE(null_x, sp_bce_logits_mean(t, NULL, wide, 1))
USE(null_target, sp_huber_mean(t, x, NULL, 1))
USE(null_kl, sp_kl_div_mean(t, NULL, x))
USE(null_mse, sp_mse(t, x, NULL))
USE(null_mean, sp_weighted_mean(t, NULL, REALS(1), 1))
USE(among_shapes, sp_cross_entropy_among(t, sp_full(t, 0, SP_SHAPE(3)), x, ((const int[]){ -1, -1, -1 })))
USE(among_omit, sp_cross_entropy_among(t, sp_full(t, 0, SP_SHAPE(2)), x, ((const int[]){ -1, 3 })))
USE(among_none, sp_cross_entropy_among(t, sp_full(t, 0, SP_SHAPE(2)), x, NULL))

/* What is in a float and has an inverse there. */
#ifdef SP_FLOAT64
#define LEAST "1e-300"
#define DELTA "1e-300"
#else
#define LEAST "1e-38"
#define DELTA "1e-37"
#endif

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { bce_shapes, "bce_logits: [2,3] and the target [2,4] differ" },
    { huber_shapes, "huber: [2,3] and the target [2,4] differ" },
    { mae_shapes, "mae: [2,3] and the target [2,4] differ" },
    { kl_shapes, "kl_div: [2,3] and the target [3,2] differ" },
    { kl_rank, "kl_div: [2,3] and the target [1,2,3] differ" },
    { gaussian_shapes, "gaussian_nll: [2,3] and the target [2,4] differ" },
    { gaussian_variance, "gaussian_nll: [2,3] and [2] do not broadcast: 3 != 2" },
    { gaussian_wider, "gaussian_nll: the log variance [4,2,3] does not broadcast to the mean [2,3]" },
    { bce_above, "bce_logits: the target 1.5 at 4 is not in 0..1" },
    { bce_below, "bce_logits: the target -0.25 at 0 is not in 0..1" },
    { bce_nan, "bce_logits: the target nan at 5 is not in 0..1" },
    { bce_view, "bce_logits: the target 2 at 3 is not in 0..1" },
    { bce_weight, "bce_logits: the positive weight is -1, not in 0..1e30" },
    { bce_weight_nan, "bce_logits: the positive weight is nan, not in 0..1e30" },
    { kl_negative, "kl_div: the target -0.125 at 3 is not finite and 0 or more" },
    { kl_infinite, "kl_div: the target inf at 3 is not finite and 0 or more" },
    { mse_infinite, "mse: the target -inf at 2 is not finite" },
    { mae_nan, "mae: the target nan at 1 is not finite" },
    { huber_nan, "huber: the target nan at 1 is not finite" },
    { huber_delta, "huber: delta is 0, not " DELTA " or more" },
    { huber_delta_nan, "huber: delta is nan, not " DELTA " or more" },
    { gaussian_nan, "gaussian_nll: the target nan at 2 is not finite" },
    { gaussian_least, "gaussian_nll: the least variance is 0, not in " LEAST "..1e+30" },
    { gaussian_least_tiny, "gaussian_nll: the least variance is 1e-310, not in " LEAST "..1e+30" },
    { gaussian_least_huge, "gaussian_nll: the least variance is 1e+31, not in " LEAST "..1e+30" },
    { bce_weight_huge, "bce_logits: the positive weight is 1e+31, not in 0..1e30" },
    { huber_delta_tiny, "huber: delta is 1e-310, not " DELTA " or more" },
    { smoothing_high, "cross_entropy: the smoothing is 1.5, not in 0..1" },
    { smoothing_nan, "cross_entropy: the smoothing is nan, not in 0..1" },
    { no_such_id, "cross_entropy: id 3 in row 1 is not in 0..2" },
    { balanced_id, "cross_entropy: id -1 in row 1 is not in 0..2" },
    { balanced_weight, "cross_entropy: the weight -2 of class 1 is not finite and 0 or more" },
    { balanced_none, "cross_entropy: the weight nan of class 0 is not finite and 0 or more" },
    { balanced_ids, "cross_entropy: no ids" },
    { weights_number, "weighted_mean: 3 weights for losses [2,3]" },
    { weights_none, "weighted_mean: 2 weights, and no list, for losses [2,3]" },
    { weights_nan, "weighted_mean: the weight nan at 1 is not finite and 0 or more" },
    { null_x, "bce_logits: input 1 is NULL" },
    { null_target, "huber: input 2 is NULL" },
    { null_list, "linear_chain: no sequences (NULL)" },
    { null_gaussian, "gaussian_nll: input 3 is NULL" },
    { among_below, "cross_entropy_among: row 1 omits -3, which is none of 3" },
    { among_nobody, "cross_entropy_among: row 0 omits 0, which is none of 0" },
    { null_kl, "kl_div: input 1 is NULL" },
    { null_mse, "mse: input 2 is NULL" },
    { null_mean, "weighted_mean: input 1 is NULL" },
    { among_shapes, "cross_entropy_among: [3] among [2,3]: needs [rows] and [rows,n]" },
    { among_omit, "cross_entropy_among: row 1 omits 3, which is none of 3" },
    { among_none, "cross_entropy_among: no list of what is omitted" },
};

START_TEST(bad_use)
{
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    uses[_i].use();
}
END_TEST

/* A target that has a gradient is not looked at: the formula holds. */
START_TEST(computed_targets)
{
    sp_tensor *z = sp_variable(t, REALS(2, 0, 0, 0, 0, 0), SP_SHAPE(2, 3));
    const double want = 2 * log1p(exp(-1)) - log1p(exp(1));     /* x = 1, z = 2 */
    sp_tensor *y = sp_bce_logits(t, x, z, 1);
    ck_tape_ok(t);
    ck_assert_double_eq_tol((double)sp_item(sp_slice(t, sp_slice(t, y, 0, 0, 1), 1, 0, 1)), want, 1e-6);
    ck_assert(isnan((double)sp_item(sp_mse(t, x, sp_scale(t, z, NAN)))));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("loss");
    TCase *c = tcase_create("values");
    tcase_add_test(c, golden);
    tcase_add_test(c, as_plain_loops_say);
    tcase_add_test(c, gradients);
    tcase_add_test(c, far_logits);
    tcase_add_test(c, least_variance);
    tcase_add_test(c, no_probability);
    tcase_add_test(c, ragged);
    tcase_add_test(c, smoothing_far_from_zero);
    tcase_add_test(c, bounds);
    tcase_add_test(c, masks);
    tcase_add_test(c, certain_among);
    tcase_add_test(c, nothing);
    suite_add_tcase(all, c);
    c = tcase_create("errors");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    tcase_add_test(c, computed_targets);
    suite_add_tcase(all, c);
    return all;
}
