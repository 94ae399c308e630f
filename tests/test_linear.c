/* Linear layers, of which one shares its weight with an embedding; and, beside PyTorch's, the simplest layers and functions. */
#include <math.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/embed.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "ops/ops.h"
#include "tests/golden.h"
#include "tests/suite.h"

/* ---- golden ---------------------------------------------------------------------------------------------------- */

/* y, and the gradients of sum dy y. */
static void compare(struct golden *g, sp_tape *t, sp_tensor *x, sp_tensor *y)
{
    ck_tape_ok(t);
    golden_same(g, "y", y);
    sp_backward(t, sp_sum(t, sp_mul(t, y, golden_constant(g, t, "dy")), SP_ALL));
    ck_tape_ok(t);
    if (x)
        golden_same_gradient(g, "dx", x);
    golden_same_gradients(g, t);
}

static void embedding(struct golden *g)
{
    sp_store *s = sp_store_new(0);
    sp_embed e = sp_embed_make(s, "embedding", golden_count(g, "ids"), golden_count(g, "width"));
    golden_params(g, s);
    sp_tape *t = sp_tape_new(s);
    compare(g, t, NULL, sp_embed_on(t, &e, golden_ids(g, "x"), golden_shape(g, "x").dim[0]));
    sp_tape_free(t);
    sp_store_free(s);
}

static void linear(struct golden *g)
{
    sp_store *s = sp_store_new(0);
    const long in = golden_count(g, "in"), out = golden_count(g, "out");
    sp_linear l = (golden_count(g, "bias") ? sp_linear_make : sp_linear_unbiased_make)(s, "linear", in, out);
    golden_params(g, s);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *x = golden_variable(g, t, "x");
    compare(g, t, x, sp_linear_on(t, &l, x));
    sp_tape_free(t);
    sp_store_free(s);
}

static void layer_norm(struct golden *g)
{
    sp_store *s = sp_store_new(0);
    const sp_param *gain = sp_store_add(s, SP_SHAPE(golden_count(g, "width")), "layer_norm.weight");
    const sp_param *bias = sp_store_add(s, SP_SHAPE(golden_count(g, "width")), "layer_norm.bias");
    golden_params(g, s);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *x = golden_variable(g, t, "x");
    compare(g, t, x, sp_layer_norm(t, x, sp_param_on(t, gain), sp_param_on(t, bias), golden_number(g, "epsilon")));
    sp_tape_free(t);
    sp_store_free(s);
}

static void function(struct golden *g)
{
    static const struct { const char *name; sp_tensor *(*of)(sp_tape *t, sp_tensor *x); } all[] = {
        { "softmax", sp_softmax }, { "log_softmax", sp_log_softmax }, { "sigmoid", sp_sigmoid },
        { "log_sigmoid", sp_log_sigmoid }, { "tanh", sp_tanh }, { "relu", sp_relu }, { "exp", sp_exp }, { "log", sp_log },
        { "sqrt", sp_sqrt }, { "abs", sp_abs },
    };
    size_t i = 0;
    while (i < sizeof all / sizeof *all && strcmp(all[i].name, golden_text(g, "name")))
        i++;
    ck_assert_uint_lt(i, sizeof all / sizeof *all);
    sp_store *s = sp_store_new(0);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *x = golden_variable(g, t, "x");
    compare(g, t, x, all[i].of(t, x));
    sp_tape_free(t);
    sp_store_free(s);
}

START_TEST(golden)
{
    golden_each("layer", (const struct golden_reader[]){
        { "embedding", embedding }, { "linear", linear }, { "layer_norm", layer_norm }, { "function", function }, { 0 } });
}
END_TEST

/* ---- tied ------------------------------------------------------------------------------------------------------ */

enum { WORDS = 7, WIDTH = 4, ROWS = 3 };

struct tied {
    sp_store *store;
    sp_embed embed;
    sp_linear out;
};

static struct tied make_tied(void)
{
    struct tied m = { .store = sp_store_new(4) };
    m.embed = sp_embed_make(m.store, "embed", WORDS, WIDTH);
    m.out = sp_linear_tied_make(m.store, "out", m.embed.weight);
    ck_assert(sp_store_ok(m.store));
    return m;
}

/* The next word from the last, by one table both ways. */
static sp_tensor *tied_loss(sp_tape *t, void *context)
{
    const struct tied *m = context;
    sp_tensor *x = sp_embed_on(t, &m->embed, (const int[]){ 2, 5, 2 }, ROWS);
    return sp_cross_entropy_mean(t, sp_linear_on(t, &m->out, x), (const int[]){ 5, 2, 0 }, SP_IGNORE);
}

START_TEST(tied_values_and_gradients)
{
    struct tied m = make_tied();
    sp_gradcheck_report r;
    sp_status status = { 0 };
    sp_real got[WORDS];
    ck_assert_int_eq(sp_store_count(m.store), 2);
    ck_assert_ptr_eq(m.out.weight, m.embed.weight);
    sp_param_values(sp_store_find(m.store, "out.bias"))[3] = 2;
    sp_tape *t = sp_tape_new(m.store);
    ck_assert(sp_read(sp_linear_on(t, &m.out, sp_embed_on(t, &m.embed, (const int[]){ 3 }, 1)), got));
    sp_tape_free(t);
    const sp_real *w = sp_param_read(m.embed.weight);
    for (int i = 0; i < WORDS; i++) {
        double want = i == 3 ? 2 : 0;
        for (int j = 0; j < WIDTH; j++)
            want += (double)w[i * WIDTH + j] * (double)w[3 * WIDTH + j];
        ck_assert_double_eq_tol((double)got[i], want, 1e-5);
    }
    ck_assert_msg(sp_gradcheck(m.store, tied_loss, &m, 0, &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    sp_store_free(m.store);
}
END_TEST

/* Neither draw of the weight moves when a bias is there or not. */
START_TEST(unbiased_values)
{
    sp_store *a = sp_store_new(1), *b = sp_store_new(1);
    sp_linear with = sp_linear_make(a, "x", 3, 2), without = sp_linear_unbiased_make(b, "x", 3, 2);
    ck_same(sp_param_read(with.weight), sp_param_read(without.weight), 6);
    ck_assert(with.bias && !without.bias && !sp_store_find(b, "x.bias"));
    sp_store_free(a);
    sp_store_free(b);
}
END_TEST

/* Both uniform in +-1/sqrt(in). */
START_TEST(first_values)
{
    sp_store *s = sp_store_new(1);
    sp_linear l = sp_linear_make(s, "x", 100, 200);
    const sp_param *part[] = { l.weight, l.bias };
    for (int i = 0; i < 2; i++) {
        double most = 0;
        for (long j = 0; j < sp_shape_size(part[i]->shape); j++)
            most = fmax(most, fabs((double)sp_param_read(part[i])[j]));
        ck_assert(most <= 0.1 && most > 0.09);
    }
    sp_store_free(s);
}
END_TEST

static const char *const tied_errors[] = {
    "linear: 'out' is tied to NULL",
    "linear: 'out' is tied to a weight of another store",
    "linear: 'out' is tied to 'flat', [5], not [out,in]",
    "store: there are two parameters named 'out.bias'",
};

START_TEST(bad_ties)
{
    sp_store *s = sp_store_new(1), *other = sp_store_new(1);
    const sp_param *flat = sp_store_add(s, SP_SHAPE(5), "flat"), *square = sp_store_add(s, SP_SHAPE(2, 2), "square");
    const sp_param *weight[] = { NULL, sp_store_add(other, SP_SHAPE(2, 2), "square"), flat, square };
    sp_store_add(s, SP_SHAPE(1), "out.bias");
    sp_linear l = sp_linear_tied_make(s, "out", weight[_i]);
    ck_assert_str_eq(sp_store_status(s)->message, tied_errors[_i]);
    sp_tape *t = sp_tape_new(s);
    ck_assert(!sp_read(sp_linear_on(t, &l, sp_full(t, 0, SP_SHAPE(1, 2))), (sp_real[2]){ 0 }));
    ck_assert_str_eq(sp_error(t), tied_errors[_i]);
    sp_tape_free(t);
    sp_store_free(s);
    sp_store_free(other);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("linear");
    TCase *c = tcase_create("all");
    tcase_add_test(c, golden);
    tcase_add_test(c, tied_values_and_gradients);
    tcase_add_test(c, unbiased_values);
    tcase_add_test(c, first_values);
    tcase_add_loop_test(c, bad_ties, 0, sizeof tied_errors / sizeof *tied_errors);
    suite_add_tcase(all, c);
    return all;
}
