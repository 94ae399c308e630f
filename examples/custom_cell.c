/* A cell of your own: the minimal gated unit (Zhou et al., "Minimal gated unit for recurrent neural networks", 2016).

       f  = sigmoid(x Wf + h Uf)
       c  = tanh(x Wc + (f h) Uc)          each product with its bias
       h' = (1 - f) h + f c

   The struct and the function below are all of it. The rest of this file checks its gradient and trains it on the adding
   problem: of a sequence of random numbers two are marked, and their sum is wanted at the end (Hochreiter, Schmidhuber,
   1997). Always answering 1 has an error of 0.167. Built in float64, where the gradient check is sharp. */
#include <stdio.h>
#include <stdlib.h>

#include <spindle/spindle.h>

struct mgu { sp_linear xf, hf, xc, hc; };

static sp_tensor *mgu_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mgu *m = self;
    sp_tensor *f = sp_sigmoid(t, sp_add(t, sp_linear_on(t, &m->xf, x), sp_linear_on(t, &m->hf, *h)));
    sp_tensor *c = sp_tanh(t, sp_add(t, sp_linear_on(t, &m->xc, x), sp_linear_on(t, &m->hc, sp_mul(t, f, *h))));
    return *h = sp_lerp(t, *h, c, f);
}

/* ---- a model with it ------------------------------------------------------------------------------------------- */

enum { T = 24, B = 32, H = 32 };        /* time steps, sequences of a batch, hidden size */

struct model {
    struct mgu mgu;
    sp_cell cell;
    sp_linear out;
    sp_real x[T * B * 2];               /* [T,B,2]: a number in 0..1, and 1 where it is marked */
    sp_real y[B];                       /* [B,1]: the sum of the two marked */
};

static void make_batch(struct model *m, sp_random *r)
{
    for (int b = 0; b < B; b++) {
        long first = sp_random_below(r, T / 2), second = T / 2 + sp_random_below(r, T / 2);
        m->y[b] = 0;
        for (int i = 0; i < T; i++) {
            sp_real *x = m->x + (i * B + b) * 2;
            x[0] = (sp_real)sp_random_next(r);
            x[1] = i == first || i == second;
            m->y[b] += x[0] * x[1];
        }
    }
}

static sp_tensor *loss(sp_tape *t, void *model)
{
    struct model *m = model;
    sp_tensor *ys = sp_scan(t, &m->cell, sp_feed(t, m->x, SP_SHAPE(T, B, 2)), NULL);
    return sp_mse(t, sp_linear_on(t, &m->out, sp_index(t, ys, 0, -1)), sp_feed(t, m->y, SP_SHAPE(B, 1)));
}

static bool train(struct model *m, sp_store *store, sp_random *random, sp_status *status)
{
    sp_tape *t = sp_tape_new(store);
    sp_optimizer *adam = sp_optimizer_new(store, "adam", 5e-3, status);
    double error = 1;
    for (int step = 1; adam && sp_ok(t) && error >= 0.01 && step <= 10000; step++) {
        make_batch(m, random);
        sp_tape_reset(t);
        sp_tensor *l = loss(t, m);
        sp_backward(t, l);
        sp_clip_norm(t, 1);
        sp_step(adam, t);
        error = step == 1 ? (double)sp_item(l) : 0.95 * error + 0.05 * (double)sp_item(l);
        if (step % 100 == 0 || error < 0.01)
            printf("step %4d  error %.4f\n", step, error);
    }
    bool ok = adam && (sp_ok(t) || sp_fail_with(status, sp_tape_status(t)))
              && (error < 0.01 || sp_fail(status, SP_ERR_VALUE, "the error is still %.4f", error));
    sp_optimizer_free(adam);
    sp_tape_free(t);
    return ok;
}

int main(void)
{
    static struct model m;
    sp_gradcheck_report report;
    sp_status status = { 0 };
    sp_random random = { .key = { .seed = 1 } };
    sp_store *s = sp_store_new(1);

    m.mgu = (struct mgu){ sp_linear_make(s, "mgu.xf", 2, H), sp_linear_make(s, "mgu.hf", H, H),
                          sp_linear_make(s, "mgu.xc", 2, H), sp_linear_make(s, "mgu.hc", H, H) };
    m.cell = (sp_cell){ .name = "mgu", .self = &m.mgu, .step = mgu_step, .states = 1, .width = { H } };
    m.out = sp_linear_make(s, "out", H, 1);
    make_batch(&m, &random);

    bool ok = sp_gradcheck(s, loss, &m, 20, &report, &status);
    if (ok)
        printf("gradient  largest relative error %.1e along %ld random directions\n", report.error, report.checked);
    ok = ok && train(&m, s, &random, &status);
    if (!ok)
        fprintf(stderr, "custom_cell: %s\n", status.message);
    sp_store_free(s);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
