/* Every operation of the table: its gradients by its probes, and what all must do with odd inputs. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "autograd/gradcheck.h"
#include "ops/kernel.h"

/* ---- gradients ------------------------------------------------------------------------------------------------- */

struct probing {
    const struct sp_probe *probe;
    sp_store *store;
};

static sp_tensor *build_probe(sp_tape *t, const struct probing *p)
{
    sp_tensor *leaf[5] = { NULL };
    for (int i = 0; i < sp_store_count(p->store); i++)
        leaf[i] = sp_param_on(t, sp_store_at(p->store, i));
    return p->probe->build(t, leaf);
}

/* sum of y times fixed weights, so that every element of y counts differently */
static sp_tensor *weighted_sum(sp_tape *t, void *context)
{
    sp_tensor *y = build_probe(t, context);
    long n = sp_shape_size(sp_shape_get(y));
    sp_real *weight = malloc((size_t)n * sizeof *weight + 1);
    sp_random_uniform((sp_key){ .place = 7 }, n, weight, -1, 1);
    sp_tensor *loss = sp_sum(t, sp_mul(t, y, sp_feed(t, weight, sp_shape_get(y))), SP_ALL);
    free(weight);
    return loss;
}

static sp_store *leaves_of(const struct sp_probe *probe)
{
    sp_store *s = sp_store_new(11);
    for (int i = 0; i < 5 && (probe->leaf[i].shape.rank || probe->leaf[i].low < probe->leaf[i].high); i++) {
        sp_param *p = sp_store_add(s, probe->leaf[i].shape, "leaf%d", i);
        sp_random_uniform(sp_param_key(p), sp_shape_size(p->shape), sp_param_values(p), probe->leaf[i].low,
                          probe->leaf[i].high);
    }
    return s;
}

static void check_gradient(const sp_op *op, const struct sp_probe *probe)
{
    struct probing p = { probe, leaves_of(probe) };
    sp_gradcheck_report r;
    sp_status status = { 0 };
    bool ran = sp_gradcheck(p.store, weighted_sum, &p, 0, &r, &status);
    ck_assert_msg(ran, "%s, %s: %s", op->name, probe->name, status.message);
    /* float32 is only a smoke test: differences carry rounding of 2^-24 / h */
    double tolerance = sizeof(sp_real) == sizeof(double) ? 1e-6 : 0.2;
    ck_assert_msg(r.error < tolerance, "%s, %s: at %s backward gives %.12g, differences %.12g: error %.2e", op->name,
                  probe->name, r.where, r.backward, r.numeric, r.error);
    sp_store_free(p.store);
}

static int operations(void)
{
    int n = 0;
    while (sp_op_table[n])
        n++;
    return n;
}

START_TEST(gradient)
{
    const sp_op *op = sp_op_table[_i];
    ck_assert_msg(op->probes && op->probes[0].name, "%s has no probe", op->name);
    for (const struct sp_probe *p = op->probes; p->name; p++)
        check_gradient(op, p);
}
END_TEST

Suite *suite(void);
Suite *suite(void)
{
    Suite *s = suite_create("ops");
    TCase *c = tcase_create("gradients");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, gradient, 0, operations());
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
