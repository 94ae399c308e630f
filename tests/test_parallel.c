/* A step on several threads: the shards decide the result, the threads do not. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/parallel.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { T = 7, B = 10, IN = 6, H = 20, SHARDS = 4, STEPS = 5, ROOM = 1 << 13 };

static struct {
    sp_store *store;
    sp_stack stack;
    sp_linear out;
    sp_real x[T * B * IN], y[T * B];
    int shards, broken;                 /* the shard whose loss fails; -1: none */
    double dropout;
} model;

static void begin(void)
{
    model.store = sp_store_new(3);
    model.stack = sp_stack_make(model.store, "rnn", &(sp_stack_config){ .cell = "lstm", .in = IN, .hidden = H, .layers = 2 });
    model.out = sp_linear_make(model.store, "out", H, 1);
    model.shards = SHARDS;
    model.broken = -1;
    model.dropout = 0;
    sp_random_uniform((sp_key){ .seed = 1 }, T * B * IN, model.x, -1, 1);
    sp_random_uniform((sp_key){ .seed = 2 }, T * B, model.y, -1, 1);
}

static void end(void)
{
    sp_store_free(model.store);
}

/* The mean squared error of some of the B sequences, 2 or 3 of them in each of 4 shards. */
static sp_tensor *loss_of_shard(sp_tape *t, void *self, int shard, double *weight)
{
    const long from = B * shard / model.shards, to = B * (shard + 1) / model.shards;
    (void)self;
    *weight = (double)(T * (to - from));
    sp_tensor *x = sp_slice(t, sp_feed(t, model.x, SP_SHAPE(T, B, IN)), 1, from, to);
    sp_tensor *y = sp_slice(t, sp_feed(t, model.y, SP_SHAPE(T, B)), 1, from, to);
    sp_tensor *h = sp_dropout(t, sp_stack_on(t, &model.stack, x, NULL), model.dropout);
    sp_tensor *rows = sp_linear_on(t, &model.out, sp_reshape(t, h, SP_SHAPE(T * (to - from), H)));
    if (shard == model.broken)
        sp_add(t, x, sp_full(t, 0, SP_SHAPE(IN + 1)));
    return sp_mse(t, sp_reshape(t, rows, SP_SHAPE(T, to - from)), y);
}

/* Trains some steps from the same start; the parameters in the end, and the last loss. */
static double train(int shards, int threads, sp_real *values)
{
    double loss = NAN;
    begin();
    model.shards = shards;
    model.dropout = 0.3;
    sp_parallel *p = sp_parallel_new(model.store, shards, threads);
    sp_tape *t = sp_parallel_tape(p, 0);
    sp_optimizer *adam = sp_optimizer_new(model.store, "adam", 0.01, NULL);
    for (uint32_t i = 0; i < STEPS; i++) {
        sp_parallel_seed(p, 9, i);
        loss = sp_parallel_backward(p, loss_of_shard, NULL, NULL);
        sp_clip_norm(t, 0.1);
        sp_step(adam, t);
    }
    ck_tape_ok(t);
    ck_assert(isfinite(loss) && sp_store_size(model.store) <= ROOM);
    memcpy(values, sp_store_values(model.store), (size_t)sp_store_size(model.store) * sizeof *values);
    sp_optimizer_free(adam);
    sp_parallel_free(p);
    sp_store_free(model.store);
    return loss;
}

START_TEST(same_bits)
{
    static sp_real one[ROOM], more[ROOM];
    double loss = train(SHARDS, 1, one);
    for (int threads = 0; threads <= 8; threads++) {
        ck_assert(train(SHARDS, threads, more) == loss);
        ck_same(one, more, ROOM);
    }
    train(2, 1, more);
    ck_assert(memcmp(one, more, sizeof one));           /* another sum */
}
END_TEST

/* The mean loss and its gradients are those of the whole batch on one tape, accumulated over two sweeps. */
START_TEST(gradients)
{
    double weight = 0, whole = NAN, mean = NAN;
    begin();
    sp_parallel *p = sp_parallel_new(model.store, SHARDS, 2);
    for (int i = 0; i < 2; i++)
        mean = sp_parallel_backward(p, loss_of_shard, NULL, &weight);
    ck_tape_ok(sp_parallel_tape(p, 0));
    ck_assert(weight == T * B);
    model.shards = 1;
    sp_tape *t = sp_tape_new(model.store);
    for (int i = 0; i < 2; i++) {
        sp_tape_reset(t);
        sp_tensor *loss = loss_of_shard(t, NULL, 0, &weight);
        whole = (double)sp_item(loss);
        sp_backward(t, loss);
    }
    ck_tape_ok(t);
    ck_assert_double_eq_tol(mean, whole, WIDE(1e-14, 1e-6));
    const sp_real *a = sp_gradients(t), *b = sp_gradients(sp_parallel_tape(p, 0));
    double most = 0;
    for (long i = 0; i < sp_store_size(model.store); i++)
        most = fmax(most, fabs((double)a[i]));
    for (long i = 0; i < sp_store_size(model.store); i++)
        ck_each(fabs((double)(a[i] - b[i])) <= WIDE(1e-14, 1e-6) * most, "gradient %ld: %g, but %g in shards", i, (double)a[i],
                (double)b[i]);
    for (int k = 1; k < SHARDS; k++)
        for (long i = 0; i < sp_store_size(model.store); i++)
            ck_each(sp_gradients(sp_parallel_tape(p, k))[i] == 0, "shard %d keeps a gradient", k);
    sp_tape_free(t);
    sp_parallel_free(p);
    end();
}
END_TEST

START_TEST(evaluation)
{
    begin();
    sp_parallel *p = sp_parallel_new(model.store, SHARDS, 2);
    double weight = 0, before = sp_parallel_evaluate(p, loss_of_shard, NULL, &weight);
    ck_assert(weight == T * B);
    model.dropout = 0.5;
    ck_assert(sp_parallel_evaluate(p, loss_of_shard, NULL, NULL) == before);
    ck_assert_int_eq(sp_tape_length(sp_parallel_tape(p, 1)), 0);
    sp_tape_set_training(sp_parallel_tape(p, 1), false);        /* it stays as it was */
    sp_parallel_evaluate(p, loss_of_shard, NULL, NULL);
    ck_assert(!sp_tape_training(sp_parallel_tape(p, 1)) && sp_tape_training(sp_parallel_tape(p, 0)));
    ck_assert(sp_tape_recording(sp_parallel_tape(p, 0)));
    sp_tape_set_training(sp_parallel_tape(p, 1), true);
    ck_assert(sp_parallel_backward(p, loss_of_shard, NULL, NULL) != before);
    ck_tape_ok(sp_parallel_tape(p, 0));
    sp_parallel_free(p);
    end();
}
END_TEST

/* A block of gradients of several pieces and a bit. */
enum { LARGE = 50001 };

static sp_tensor *sum_of_all(sp_tape *t, void *self, int shard, double *weight)
{
    *weight = 1 + shard;
    return sp_sum(t, sp_scale(t, sp_param_on(t, self), 1 + shard), SP_ALL);
}

START_TEST(large_blocks)
{
    sp_store *s = sp_store_new(1);
    sp_param *w = sp_store_add(s, SP_SHAPE(LARGE), "w");
    sp_parallel *p = sp_parallel_new(s, 3, 2);
    for (int round = 1; round <= 2; round++) {          /* (1 1 + 2 2 + 3 3) / 6 each time */
        sp_parallel_backward(p, sum_of_all, w, NULL);
        ck_tape_ok(sp_parallel_tape(p, 0));
        for (long i = 0; i < LARGE; i++)
            ck_each(fabs((double)sp_gradients(sp_parallel_tape(p, 0))[i] - round * 14 / 6.0) < 1e-5, "gradient %ld", i);
    }
    sp_parallel_free(p);
    sp_store_free(s);
}
END_TEST

/* Each shard waits until both have begun, which takes two threads. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t begun;
    int count;
    pthread_t thread[2];
} meeting = { .lock = PTHREAD_MUTEX_INITIALIZER, .begun = PTHREAD_COND_INITIALIZER };

static sp_tensor *meets(sp_tape *t, void *self, int shard, double *weight)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 20;
    pthread_mutex_lock(&meeting.lock);
    meeting.thread[shard] = pthread_self();
    meeting.count++;
    pthread_cond_broadcast(&meeting.begun);
    while (meeting.count < 2 && !pthread_cond_timedwait(&meeting.begun, &meeting.lock, &limit))
        ;
    pthread_mutex_unlock(&meeting.lock);
    return sum_of_all(t, self, shard, weight);
}

START_TEST(several_threads)
{
    begin();
    sp_parallel *p = sp_parallel_new(model.store, 2, 2);
    sp_parallel_evaluate(p, meets, sp_store_find(model.store, "out.bias"), NULL);
    ck_tape_ok(sp_parallel_tape(p, 0));
    ck_assert_int_eq(meeting.count, 2);
    ck_assert(!pthread_equal(meeting.thread[0], meeting.thread[1]));
    sp_parallel_free(p);
    end();
}
END_TEST

/* Every shard drops other elements. */
static sp_tensor *dropped(sp_tape *t, void *self, int shard, double *weight)
{
    sp_real (*out)[64] = self;
    sp_read(sp_dropout(t, sp_full(t, 1, SP_SHAPE(64)), 0.5), out[shard]);
    *weight = 1;
    return sp_sum(t, sp_param_on(t, model.out.bias), SP_ALL);
}

START_TEST(randomness)
{
    sp_real out[SHARDS][64], again[SHARDS][64];
    begin();
    sp_parallel *p = sp_parallel_new(model.store, SHARDS, 2);
    sp_parallel_seed(p, 5, 11);
    sp_parallel_backward(p, dropped, out, NULL);
    for (int i = 1; i < SHARDS; i++)
        ck_assert(memcmp(out[0], out[i], sizeof out[0]));
    sp_parallel_backward(p, dropped, again, NULL);      /* the next step */
    ck_assert(memcmp(out, again, sizeof out));
    sp_tape *t = sp_tape_new(model.store);              /* the first shard's are those of a tape by itself */
    sp_tape_seed(t, 5, 11);
    dropped(t, again, 0, &(double){ 0 });
    ck_assert_mem_eq(out[0], again[0], sizeof out[0]);
    sp_tape_free(t);
    sp_parallel_seed(p, 5, 11);
    sp_parallel_backward(p, dropped, again, NULL);
    ck_assert_mem_eq(out, again, sizeof out);
    ck_tape_ok(sp_parallel_tape(p, 0));
    sp_parallel_free(p);
    end();
}
END_TEST

static sp_tensor *all_fail(sp_tape *t, void *self, int shard, double *weight)
{
    (void)self;
    *weight = 1;
    return sp_tape_fail(t, SP_ERR_VALUE, "shard %d", shard);
}

/* In one shard only the way back fails: nothing of the others' gradients is left for the next step. */
static sp_tensor *no_way_back(sp_tape *t, void *self, int shard, double *weight)
{
    *weight = 1;
    return shard == *(int *)self ? sp_full(t, 1, SP_SCALAR) : sp_sum(t, sp_param_on(t, model.out.bias), SP_ALL);
}

START_TEST(errors_on_the_way_back)
{
    begin();
    sp_parallel *p = sp_parallel_new(model.store, 3, 2);
    sp_tape *t = sp_parallel_tape(p, 0);
    for (int shard = 0; shard < 3; shard++) {
        ck_assert(isnan(sp_parallel_backward(p, no_way_back, &shard, NULL)));
        ck_assert(!sp_ok(t));
        sp_tape_clear(t);
        ck_assert(isfinite(sp_parallel_backward(p, no_way_back, &(int){ -1 }, NULL)));
        ck_assert(fabs((double)sp_gradients(t)[model.out.bias->offset] - 1) < 1e-6);
        sp_zero_grad(t);
    }
    sp_parallel_free(p);
    end();
}
END_TEST

/* The first error of the lowest shard is the first tape's, and ends with it. */
START_TEST(errors)
{
    begin();
    sp_parallel *p = sp_parallel_new(model.store, SHARDS, 2);
    sp_tape *t = sp_parallel_tape(p, 0);
    for (int shard = 0; shard < SHARDS; shard++) {
        model.broken = shard;
        ck_assert(isnan(sp_parallel_backward(p, loss_of_shard, NULL, NULL)));
        char place[32] = "";
        if (shard)
            snprintf(place, sizeof place, "shard %d: ", shard);
        ck_assert_msg(strstr(sp_error(t), place) && strstr(sp_error(t), "add: "), "%s", sp_error(t));
        ck_assert(!sp_step(NULL, t));
        model.broken = -1;
        ck_assert(isnan(sp_parallel_backward(p, loss_of_shard, NULL, NULL)));
        ck_assert(isnan(sp_parallel_evaluate(p, loss_of_shard, NULL, NULL)));
        sp_tape_clear(t);
        ck_assert(isfinite(sp_parallel_backward(p, loss_of_shard, NULL, NULL)));
    }
    ck_assert(isnan(sp_parallel_evaluate(p, all_fail, NULL, NULL)));
    ck_assert_str_eq(sp_error(t), "shard 0");
    sp_tape_clear(t);
    ck_assert(isnan(sp_parallel_backward(p, NULL, NULL, NULL)));
    ck_assert_str_eq(sp_error(t), "parallel: the loss is NULL");
    sp_parallel_free(p);
    end();
}
END_TEST

static sp_tensor *weighs(sp_tape *t, void *self, int shard, double *weight)
{
    *weight = ((double *)self)[shard];
    return *weight == 0 || *weight == 7 ? NULL : sp_sum(t, sp_param_on(t, model.out.bias), SP_ALL);
}

START_TEST(weights)
{
    begin();
    sp_parallel *p = sp_parallel_new(model.store, 2, 2);
    sp_tape *t = sp_parallel_tape(p, 0);
    const sp_real *g = sp_gradients(t) + model.out.bias->offset;
    sp_parallel_backward(p, weighs, (double[]){ 0, 3 }, NULL);          /* the first shard has nothing */
    ck_tape_ok(t);
    ck_assert(*g == 1);
    ck_assert(isnan(sp_parallel_evaluate(p, weighs, (double[]){ 0, 0 }, NULL)));
    ck_tape_ok(t);
    static const struct { double weight[2]; const char *error; } wrong[] = {
        { { 0, 0 }, "parallel: the weights of 2 shards sum to 0" },
        { { 1, -2 }, "parallel: shard 1 has the weight -2" },
        { { NAN, 1 }, "parallel: shard 0 has the weight nan" },
        { { 1, INFINITY }, "parallel: shard 1 has the weight inf" },
        { { 1e308, 1e308 }, "parallel: the weights of 2 shards sum to inf" },
        { { 1, 7 }, "parallel: the loss of shard 1 is NULL, its weight 7" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert(isnan(sp_parallel_backward(p, weighs, (void *)(uintptr_t)wrong[i].weight, NULL)));
        ck_assert_msg(strstr(sp_error(t), wrong[i].error), "%s", sp_error(t));
        sp_tape_clear(t);
    }
    ck_assert_ptr_null(sp_parallel_tape(p, 2));
    ck_assert_ptr_null(sp_parallel_tape(NULL, 0));
    ck_assert(isnan(sp_parallel_backward(NULL, weighs, NULL, NULL)));
    sp_parallel_free(p);
    sp_parallel_free(NULL);
    end();
}
END_TEST

/* A profile may be freed first; so may the tapes. */
START_TEST(freed_profile)
{
    begin();
    sp_parallel *p = sp_parallel_new(model.store, 2, 2);
    sp_profile *profile = sp_profile_new();
    sp_parallel_set_profile(p, profile);
    sp_parallel_backward(p, loss_of_shard, NULL, NULL);
    sp_profile_free(profile);
    ck_assert(isfinite(sp_parallel_backward(p, loss_of_shard, NULL, NULL)));
    profile = sp_profile_new();
    sp_parallel_set_profile(p, profile);
    sp_parallel_free(p);
    sp_profile_free(profile);
    end();
}
END_TEST

/* A child has no helpers; it computes the same by itself, and frees what it has. */
START_TEST(forked)
{
    begin();
    sp_parallel *alone = sp_parallel_new(model.store, SHARDS, 1), *p = sp_parallel_new(model.store, SHARDS, 3);
    double loss = sp_parallel_evaluate(alone, loss_of_shard, NULL, NULL);
    sp_parallel_free(alone);
    pid_t child = fork();
    if (!child) {
        alarm(30);
        bool same = sp_parallel_evaluate(p, loss_of_shard, NULL, NULL) == loss;
        sp_parallel_free(p);
        _exit(same ? 0 : 1);
    }
    int outcome;
    ck_assert(waitpid(child, &outcome, 0) == child);
    ck_assert_msg(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0, "the child ended with %x", (unsigned)outcome);
    sp_parallel_free(p);
    end();
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("parallel");
    TCase *c = tcase_create("parallel");
    tcase_add_test(c, same_bits);
    tcase_add_test(c, gradients);
    tcase_add_test(c, evaluation);
    tcase_add_test(c, randomness);
    tcase_add_test(c, large_blocks);
    tcase_add_test(c, several_threads);
    tcase_add_test(c, errors_on_the_way_back);
    tcase_add_test(c, errors);
    tcase_add_test(c, weights);
    tcase_add_test(c, freed_profile);
    tcase_add_test(c, forked);
    suite_add_tcase(all, c);
    return all;
}
