/* The adaptive softmax: beside PyTorch's, beside plain loops, and its three ways beside each other. */
#include "nn/adaptive_softmax.h"

#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/loss.h"
#include "ops/ops.h"
#include "tests/golden.h"
#include "tests/suite.h"

static void noise(uint64_t place, long n, sp_real *out, double bound)
{
    sp_random_uniform((sp_key){ .seed = 6, .place = place }, n, out, -bound, bound);
}

/* ---- golden ---------------------------------------------------------------------------------------------------- */

/* The gradients that PyTorch has of sum log_p weight. */
static void same_gradients_of_all(struct golden *g, sp_tape *t, sp_store *s)
{
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i);
        char name[200];
        snprintf(name, sizeof name, "log_p.grad.%s", p->name);
        golden_same_gradient(g, name, sp_param_on(t, p));
    }
}

static void adaptive(struct golden *g)
{
    const long in = golden_count(g, "in"), classes = golden_count(g, "classes"), rows = golden_shape(g, "x").dim[0];
    sp_store *s = sp_store_new(0);
    sp_adaptive_softmax a = sp_adaptive_softmax_make(s, "out", in, classes, (int)golden_shape(g, "cutoffs").dim[0],
                                                     golden_longs(g, "cutoffs"), golden_number(g, "divisor"),
                                                     golden_count(g, "head_bias"));
    golden_params(g, s);
    sp_tape *t = sp_tape_new(s);
    const int *ids = golden_ids(g, "ids"), *want = golden_ids(g, "best");
    sp_tensor *x = golden_variable(g, t, "x");
    golden_same(g, "y", sp_adaptive_cross_entropy(t, &a, x, ids, SP_IGNORE));
    sp_tensor *mean = sp_adaptive_cross_entropy_mean(t, &a, x, ids, SP_IGNORE);
    golden_same(g, "mean", mean);
    int best[64];
    ck_assert(sp_adaptive_best(t, &a, x, best));
    for (long i = 0; i < rows; i++)
        ck_assert_msg(best[i] == want[i], "row %ld: %d, not %d", i, best[i], want[i]);
    sp_backward(t, mean);
    golden_same_gradient(g, "dx", x);
    golden_same_gradients(g, t);
    sp_tape_reset(t);
    sp_zero_grad(t);
    x = golden_variable(g, t, "x");
    sp_tensor *log_p = sp_adaptive_log_softmax(t, &a, x);
    golden_same(g, "log_p", log_p);
    sp_backward(t, sp_sum(t, sp_mul(t, log_p, golden_constant(g, t, "log_p.weight")), SP_ALL));
    golden_same_gradient(g, "log_p.dx", x);
    same_gradients_of_all(g, t, s);
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_store_free(s);
}

START_TEST(golden)
{
    golden_each("adaptive_softmax", (const struct golden_reader[]){ { "adaptive_softmax", adaptive }, { 0 } });
}
END_TEST

/* ---- plain loops ----------------------------------------------------------------------------------------------- */

enum { IN = 9, CLASSES = 23, ROWS = 12, CLUSTERS = 3 };
static const long cutoffs[CLUSTERS] = { 4, 5, 13 };
static const int ids[ROWS] = { 0, 22, 4, 3, SP_IGNORE, 5, 12, 13, 21, SP_IGNORE, 7, 3 };

struct model {
    sp_store *store;
    sp_adaptive_softmax out;
    sp_param *x;                                /* [ROWS,IN] */
};

static struct model make_model(bool head_bias)
{
    struct model m = { .store = sp_store_new(3) };
    m.out = sp_adaptive_softmax_make(m.store, "out", IN, CLASSES, CLUSTERS, cutoffs, 2, head_bias);
    m.x = sp_store_add(m.store, SP_SHAPE(ROWS, IN), "x");
    ck_assert_msg(sp_store_ok(m.store), "%s", sp_store_status(m.store)->message);
    for (int i = 0; i < sp_store_count(m.store); i++)
        noise((uint64_t)i, sp_shape_size(sp_store_at(m.store, i)->shape), sp_param_values(sp_store_at(m.store, i)), 1.2);
    return m;
}

/* y = W x, [out] */
static void product(const sp_param *w, const double *x, double *y)
{
    const long out = w->shape.dim[0], in = w->shape.dim[1];
    for (long i = 0; i < out; i++) {
        y[i] = 0;
        for (long j = 0; j < in; j++)
            y[i] += (double)sp_param_read(w)[i * in + j] * x[j];
    }
}

static void log_softmax(long n, double *x)
{
    double sum = 0;
    for (long i = 0; i < n; i++)
        sum += exp(x[i]);
    for (long i = 0; i < n; i++)
        x[i] -= log(sum);
}

/* ln p of all classes, from the header's formula. */
static void naive(const struct model *m, long row, double log_p[CLASSES])
{
    double x[IN], head[4 + CLUSTERS], down[IN], up[CLASSES];
    for (int j = 0; j < IN; j++)
        x[j] = (double)sp_param_read(m->x)[row * IN + j];
    product(m->out.head.weight, x, head);
    for (int i = 0; m->out.head.bias && i < 4 + CLUSTERS; i++)
        head[i] += (double)sp_param_read(m->out.head.bias)[i];
    log_softmax(4 + CLUSTERS, head);
    for (int k = 0; k < 4; k++)
        log_p[k] = head[k];
    for (int c = 0; c < CLUSTERS; c++) {
        const long from = cutoffs[c], to = c + 1 < CLUSTERS ? cutoffs[c + 1] : CLASSES;
        product(m->out.tail[c].down.weight, x, down);
        product(m->out.tail[c].up.weight, down, up);
        log_softmax(to - from, up);
        for (long k = from; k < to; k++)
            log_p[k] = head[4 + c] + up[k - from];
    }
}

START_TEST(as_plain_loops_say)
{
    struct model m = make_model(_i);
    sp_real loss[ROWS], log_p[ROWS * CLASSES];
    int best[ROWS];
    double sum = 0;
    ck_assert_int_eq(m.out.tail[0].down.weight->shape.dim[0], 4);       /* 9 / 2, 9 / 4, 9 / 8, rounded down */
    ck_assert_int_eq(m.out.tail[2].down.weight->shape.dim[0], 1);
    ck_assert_int_eq(sp_store_count(m.store), 1 + 2 * CLUSTERS + 1 + _i);
    sp_tape *t = sp_tape_new(m.store);
    sp_tensor *x = sp_reshape(t, sp_param_on(t, m.x), SP_SHAPE(3, 4, IN));
    sp_tensor *rows = sp_adaptive_cross_entropy(t, &m.out, x, ids, SP_IGNORE), *all = sp_adaptive_log_softmax(t, &m.out, x);
    ck_assert(sp_adaptive_best(t, &m.out, x, best));
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(rows), SP_SHAPE(3, 4)) && sp_shape_equal(sp_shape_get(all), SP_SHAPE(3, 4, CLASSES)));
    sp_read(rows, loss);
    sp_read(all, log_p);
    for (long i = 0; i < ROWS; i++) {
        double want[CLASSES], mass = 0;
        int likeliest = 0;
        naive(&m, i, want);
        for (int k = 0; k < CLASSES; k++) {
            ck_assert_double_eq_tol((double)log_p[i * CLASSES + k], want[k], WIDE(1e-13, 1e-5));
            mass += exp((double)log_p[i * CLASSES + k]);
            likeliest = want[k] > want[likeliest] ? k : likeliest;
        }
        ck_assert_double_eq_tol(mass, 1, WIDE(1e-13, 1e-5));
        ck_assert_double_eq_tol((double)loss[i], ids[i] == SP_IGNORE ? 0 : -want[ids[i]], WIDE(1e-13, 1e-5));
        ck_assert_int_eq(best[i], likeliest);
        sum += ids[i] == SP_IGNORE ? 0 : -want[ids[i]];
    }
    sp_tensor *mean = sp_adaptive_cross_entropy_mean(t, &m.out, x, ids, SP_IGNORE);
    ck_assert_double_eq_tol((double)sp_item(mean), sum / (ROWS - 2), WIDE(1e-13, 1e-5));
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------------------------- */

static sp_tensor *loss_of(sp_tape *t, void *context)
{
    const struct model *m = context;
    sp_real weight[ROWS];
    noise(70, ROWS, weight, 1);
    sp_tensor *rows = sp_adaptive_cross_entropy(t, &m->out, sp_param_on(t, m->x), ids, SP_IGNORE);
    return sp_sum(t, sp_mul(t, rows, sp_feed(t, weight, SP_SHAPE(ROWS))), SP_ALL);
}

START_TEST(gradients)
{
    struct model m = make_model(true);
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(m.store, loss_of, &m, 0, &r, &status), "%s", status.message);
    ck_assert_int_gt(r.checked, 200);
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(m.store);
}
END_TEST

/* A cluster without a row is not touched; without any row the loss is 0. */
START_TEST(clusters_without_rows)
{
    struct model m = make_model(false);
    sp_tape *t = sp_tape_new(m.store);
    sp_tensor *x = sp_slice(t, sp_param_on(t, m.x), 0, 0, 2);
    ck_assert(sp_backward(t, sp_adaptive_cross_entropy_mean(t, &m.out, x, (const int[]){ 2, 20 }, SP_IGNORE)));
    for (int c = 0; c < CLUSTERS; c++) {
        const sp_param *p = m.out.tail[c].up.weight;
        double sum = 0;
        for (long i = 0; i < sp_shape_size(p->shape); i++)
            sum += fabs((double)sp_gradients(t)[p->offset + i]);
        ck_assert_msg((sum > 0) == (c == 2), "cluster %d: %g", c, sum);
    }
    sp_tape_reset(t);
    sp_zero_grad(t);
    x = sp_param_on(t, m.x);
    sp_tensor *none = sp_slice(t, x, 0, 0, 0);
    int ignored[ROWS], best[1] = { 7 };
    for (int i = 0; i < ROWS; i++)
        ignored[i] = 5;
    sp_tensor *loss = sp_add(t, sp_adaptive_cross_entropy_mean(t, &m.out, none, NULL, SP_IGNORE),
                             sp_adaptive_cross_entropy_mean(t, &m.out, x, ignored, 5));
    ck_assert(sp_adaptive_best(t, &m.out, none, best) && best[0] == 7);
    ck_assert(sp_shape_equal(sp_shape_get(sp_adaptive_log_softmax(t, &m.out, none)), SP_SHAPE(0, CLASSES)));
    ck_tape_ok(t);
    ck_assert(sp_item(loss) == 0 && sp_backward(t, loss));
    for (long i = 0; i < sp_store_size(m.store); i++)
        ck_each(sp_gradients(t)[i] == 0, "gradient %ld", i);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static const struct {
    long in, classes;
    int n;
    long cutoff[3];
    double divisor;
    const char *error;
} declarations[] = {
    { 8, 20, 0, { 4 }, 2, "out: 0 cutoffs, not 1 to 16" },
    { 8, 20, 17, { 4 }, 2, "out: 17 cutoffs, not 1 to 16" },
    { 8, 20, 2, { 4, 4 }, 2, "out: cutoff 1 is 4, not in 5..19" },
    { 8, 20, 1, { 0 }, 2, "out: cutoff 0 is 0, not in 1..19" },
    { 8, 20, 2, { 4, 20 }, 2, "out: cutoff 1 is 20, not in 5..19" },
    { 8, 20, 1, { -3 }, 2, "out: cutoff 0 is -3, not in 1..19" },
    { 8, 20, 1, { 4 }, 0, "out: 20 classes, divisor 0: needs up to 2147483647 and 1 or more" },
    { 8, 20, 1, { 4 }, NAN, "out: 20 classes, divisor nan: needs up to 2147483647 and 1 or more" },
    { 8, 1L << 40, 1, { 4 }, 2, "out: 1099511627776 classes, divisor 2: needs up to 2147483647 and 1 or more" },
    { 8, 20, 1, { 4 }, 0.99, "out: 20 classes, divisor 0.99: needs up to 2147483647 and 1 or more" },
    { 8, 20, 2, { 4, 10 }, 4, "out: cluster 1 is 8 / 4^2 wide, less than 1" },
    { 0, 20, 1, { 4 }, 2, "store: parameter 'out.head.weight' has the shape [5,0]" },
};

START_TEST(bad_declaration)
{
    sp_store *s = sp_store_new(1);
    sp_adaptive_softmax a = sp_adaptive_softmax_make(s, "out", declarations[_i].in, declarations[_i].classes, declarations[_i].n,
                                                     declarations[_i].cutoff, declarations[_i].divisor, false);
    ck_assert_str_eq(sp_store_status(s)->message, declarations[_i].error);
    ck_assert_int_eq(a.clusters, 0);
    sp_tape *t = sp_tape_new(NULL);
    ck_assert(!sp_adaptive_best(t, &a, sp_full(t, 0, SP_SHAPE(1, 8)), (int[1]){ 0 }));
    ck_assert_str_eq(sp_error(t), "adaptive_softmax: no clusters (was it made?)");
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* in / divisor^(c+1) as PyTorch has it: Python's in // divisor**(c+1). */
START_TEST(widths)
{
    static const struct { long in; double divisor; int cluster; long width; } all[] = {
        { 512, 1.6, 0, 319 }, { 80, 1.6, 0, 49 }, { 11, 1.1, 0, 9 }, { 8, 1.6, 0, 4 }, { 512, 1.6, 1, 199 }, { 64, 4, 2, 1 },
        { 8, 1, 1, 8 }, { 9, 2, 1, 2 },
    };
    sp_store *s = sp_store_new(1);
    sp_adaptive_softmax a = sp_adaptive_softmax_make(s, "out", all[_i].in, 20, all[_i].cluster + 1, (const long[]){ 4, 8, 12 },
                                                     all[_i].divisor, false);
    ck_assert_int_eq(a.tail[all[_i].cluster].down.weight->shape.dim[0], all[_i].width);
    sp_store_free(s);
}
END_TEST

/* No operations and no memory, and whether the tape records is as it was. */
START_TEST(best_leaves_nothing)
{
    struct model m = make_model(false);
    int best[ROWS];
    sp_tape *t = sp_tape_new(m.store);
    sp_tensor *x = sp_param_on(t, m.x);
    size_t held = 0;
    for (int i = 0; i < 200; i++) {
        sp_tape_set_recording(t, i % 2);
        const long length = sp_tape_length(t);
        ck_assert(sp_adaptive_best(t, &m.out, x, best));
        ck_assert(sp_tape_length(t) == length && sp_tape_recording(t) == i % 2);
        held = i > 1 ? held : sp_tape_bytes(t);
    }
    ck_assert_uint_eq(sp_tape_bytes(t), held);
    sp_tape_free(t);
    sp_store_free(m.store);
}
END_TEST

/* Of equals the first: in the head a class before a cluster, and among all the lowest. */
START_TEST(ties)
{
    sp_store *s = sp_store_new(1);
    sp_adaptive_softmax a = sp_adaptive_softmax_make(s, "out", 1, 8, 1, (const long[]){ 4 }, 1, true);
    sp_tape *t = sp_tape_new(s);
    sp_real *bias = sp_param_values(a.head.bias);
    int best[2];
    sp_tensor *x = sp_full(t, 0, SP_SHAPE(2, 1));
    for (int i = 0; i < 5; i++)
        bias[i] = (sp_real)(i == 1 || i > 2);
    ck_assert(sp_adaptive_best(t, &a, x, best));
    ck_assert_int_eq(best[0], 1);
    bias[1] = bias[3] = 0;
    bias[4] = 9;
    ck_assert(sp_adaptive_best(t, &a, x, best));
    ck_assert(best[0] == 4 && best[1] == 4);
    bias[4] = (sp_real)0.5;                     /* the cluster is likeliest, but none of its four classes is */
    ck_assert(sp_adaptive_best(t, &a, x, best));
    ck_assert(best[0] == 0 && best[1] == 0);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

static struct model model;
static sp_tape *t;

static void begin(void)
{
    model = make_model(false);
    t = sp_tape_new(model.store);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(model.store);
}

#define ON(...) sp_full(t, 0, SP_SHAPE(__VA_ARGS__))
#define USE(name, call) static void name(void) { (void)call; }
USE(high_id, sp_adaptive_cross_entropy(t, &model.out, ON(2, IN), ((const int[]){ 0, 23 }), SP_IGNORE))
USE(low_id, sp_adaptive_cross_entropy_mean(t, &model.out, ON(2, IN), ((const int[]){ -1, 0 }), SP_IGNORE))
USE(no_ids, sp_adaptive_cross_entropy(t, &model.out, ON(2, IN), NULL, SP_IGNORE))
USE(width, sp_adaptive_cross_entropy(t, &model.out, ON(1, IN + 1), ((const int[]){ 0 }), SP_IGNORE))
USE(all_width, sp_adaptive_log_softmax(t, &model.out, ON(1, IN + 1)))
USE(no_layer, sp_adaptive_cross_entropy(t, NULL, ON(1, IN), ((const int[]){ 0 }), SP_IGNORE))
USE(no_x, sp_adaptive_cross_entropy(t, &model.out, NULL, ((const int[]){ 0 }), SP_IGNORE))
USE(no_x_for_all, sp_adaptive_log_softmax(t, &model.out, NULL))
USE(no_list, sp_adaptive_best(t, &model.out, ON(2, IN), NULL))

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { high_id, "adaptive_softmax: id 23 in row 1 is not in 0..22" },
    { low_id, "adaptive_softmax: id -1 in row 0 is not in 0..22" },
    { no_ids, "adaptive_softmax: no ids" },
    { width, "matmul: [1,10] x [9,7]: inner 10 != 9 (out.head.weight)" },
    { all_width, "matmul: [1,10] x [9,7]: inner 10 != 9 (out.head.weight)" },
    { no_layer, "adaptive_softmax: the layer is NULL" },
    { no_x, "adaptive_softmax: no input" },
    { no_x_for_all, "adaptive_softmax: no input" },
    { no_list, "adaptive_softmax: no list for 2 classes" },
};

START_TEST(bad_use)
{
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    ck_assert(!sp_adaptive_cross_entropy(NULL, &model.out, NULL, NULL, SP_IGNORE));
    ck_assert(!sp_adaptive_best(NULL, &model.out, NULL, NULL));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("adaptive_softmax");
    TCase *c = tcase_create("values");
    tcase_add_test(c, golden);
    tcase_add_loop_test(c, as_plain_loops_say, 0, 2);
    tcase_add_test(c, gradients);
    tcase_add_test(c, clusters_without_rows);
    suite_add_tcase(all, c);
    c = tcase_create("errors");
    tcase_add_loop_test(c, widths, 0, 8);
    tcase_add_test(c, best_leaves_nothing);
    tcase_add_test(c, ties);
    tcase_add_loop_test(c, bad_declaration, 0, sizeof declarations / sizeof *declarations);
    suite_add_tcase(all, c);
    c = tcase_create("use");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(all, c);
    return all;
}
