/* The profile: every operation is counted where it runs, once; the clock's numbers are only checked against each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/blas.h"
#include "autograd/op.h"
#include "autograd/timing.h"
#include "nn/optimizer.h"
#include "nn/scan.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/lm.h"
#include "zoo/trainer.h"

enum { T = 30, B = 40, IN = 3, H = 4 };         /* 30 steps of 40 rows: the scan cuts them into 3 stretches */

static sp_store *store;
static sp_cell lstm;
static sp_tape *t;
static sp_profile *p;

static void begin(void)
{
    store = sp_store_new(1);
    lstm = sp_lstm_make(store, "lstm", 0, IN, H);
    t = sp_tape_new(store);
    p = sp_profile_new();
    sp_tape_set_profile(t, p);
}

static void end(void)
{
    sp_tape_free(t);
    sp_profile_free(p);
    sp_store_free(store);
}

/* A row, all zeros if there is none. */
static sp_profile_row row_of(sp_profile *profile, const char *name, bool backward)
{
    int n;
    const sp_profile_row *row = sp_profile_rows(profile, &n);
    for (int i = 0; i < n; i++)
        if (!strcmp(row[i].name, name) && row[i].backward == backward)
            return row[i];
    return (sp_profile_row){ 0 };
}

static void check_row(const char *name, bool backward, long calls, double flops)
{
    const sp_profile_row r = row_of(p, name, backward);
    ck_assert_msg(r.calls == calls && r.flops == flops, "%s%s: %ld calls of %g operations, not %ld of %g", name,
                  backward ? " backward" : "", r.calls, r.flops, calls, flops);
}

/* No time is negative, the longest is first, and together they are not longer than the profile was attached. */
static void check_times(sp_profile *profile)
{
    int n;
    double sum = 0, all = sp_profile_seconds(profile);
    const sp_profile_row *row = sp_profile_rows(profile, &n);
    for (int i = 0; i < n; i++) {
        ck_assert(row[i].seconds >= 0 && row[i].calls > 0 && row[i].flops >= 0 && row[i].bytes >= 0);
        ck_assert(!i || row[i].seconds <= row[i - 1].seconds);
        sum += row[i].seconds;
    }
    ck_assert_msg(sum <= all * (1 + 1e-9), "%g s in rows, %g s in all", sum, all);
}

static int rows(sp_profile *profile)
{
    int n;
    sp_profile_rows(profile, &n);
    return n;
}

static void graph(sp_tape *tape)
{
    sp_tensor *a = sp_variable(tape, REALS(1, 2, 3, 4, 5, 6), SP_SHAPE(2, 3)), *b = sp_full(tape, 1, SP_SHAPE(3, 5));
    sp_tensor *y = sp_tanh(tape, sp_matmul(tape, a, b));
    sp_backward(tape, sp_sum(tape, sp_matmul(tape, y, sp_transpose(tape, y, 0, 1)), SP_ALL));
}

/* One training step of an LSTM. */
static sp_tensor *train_step(sp_tape *tape, sp_optimizer *o, bool scan)
{
    sp_real x[T * B * IN];
    sp_random_uniform((sp_key){ .seed = 2 }, T * B * IN, x, -1, 1);
    sp_tape_reset(tape);
    sp_tensor *xs = sp_feed(tape, x, SP_SHAPE(T, B, IN));
    sp_tensor *ys = scan ? sp_scan(tape, &lstm, xs, NULL) : sp_unroll(tape, &lstm, xs, NULL);
    sp_tensor *loss = sp_mean(tape, sp_mul(tape, ys, ys), SP_ALL);
    sp_backward(tape, loss);
    sp_clip_norm(tape, 1e-3);
    sp_step(o, tape);
    return loss;
}

/* ---- what is counted ------------------------------------------------------------------------------------------- */

START_TEST(on_the_tape)
{
    graph(t);
    ck_tape_ok(t);
    check_row("matmul", false, 2, 2 * 2 * 3 * 5 + 2 * 2 * 5 * 2);
    check_row("matmul", true, 2, 2 * 2 * 3 * 5 + 2 * (2 * 2 * 5 * 2));      /* b wants none */
    check_row("tanh", false, 1, 10);
    check_row("tanh", true, 1, 40);
    check_row("sum", false, 1, 4);
    check_row("sum", true, 1, 4);
    ck_assert_double_eq(row_of(p, "tanh", false).bytes, 20 * sizeof(sp_real));
    ck_assert_int_eq(rows(p), 6);               /* the views that transpose and SP_ALL make do not run */
    check_times(p);
}
END_TEST

/* The product with x runs once over a stretch, that with h at each step; back their weights' gradients once each, too. */
START_TEST(inside_a_scan)
{
    const double x = 2.0 * T * B * IN * 4 * H, h = 2.0 * T * B * H * 4 * H, bias = T * B * 4 * H, gates = T * B * H;
    sp_optimizer *adam = sp_optimizer_new(store, "adam", 1e-2, NULL);
    const double n = (double)sp_store_size(store);
    train_step(t, adam, true);
    ck_tape_ok(t);
    check_row("affine", false, 3 + T, x + h);
    check_row("affine", true, 3 + T + 3, x + 2 * h + 2 * bias);             /* x wants none */
    check_row("lstm_gates", false, T, 13 * gates);
    check_row("lstm_gates", true, T, (25 + 7) * gates);                     /* both sums share a gradient */
    check_row("mul", false, 1, gates);
    check_row("scan", false, 1, 0);
    check_row("scan", true, 1, 0);
    check_row("clip_norm", false, 1, 3 * n);
    check_row("adam", false, 1, 16 * n);
    check_times(p);

    /* Step by step on the tape the same products come to the same. */
    sp_profile *twin = sp_profile_new();
    sp_tape_set_profile(t, twin);
    train_step(t, adam, false);
    ck_tape_ok(t);
    ck_assert_double_eq(row_of(twin, "affine", false).flops, x + h);
    ck_assert_double_eq(row_of(twin, "affine", true).flops, x + (2 - 1.0 / T) * h + 2 * bias);     /* h_0 wants none */
    ck_assert_int_eq(row_of(twin, "affine", false).calls, 2 * T);
    ck_assert_int_eq(row_of(twin, "scan", false).calls + row_of(twin, "scan", true).calls, 0);
    sp_profile_free(twin);
    sp_optimizer_free(adam);
}
END_TEST

/* Nothing recorded, and something that fails. */
START_TEST(recording_off)
{
    sp_real x[T * B * IN] = { 0 };
    sp_tape_set_recording(t, false);
    sp_scan(t, &lstm, sp_feed(t, x, SP_SHAPE(T, B, IN)), NULL);
    ck_tape_ok(t);
    ck_assert_int_eq(row_of(p, "affine", false).calls, 3 + T);
    ck_assert_int_eq(row_of(p, "scan", false).calls, 1);
    const int n = rows(p);
    sp_matmul(t, sp_full(t, 0, SP_SHAPE(2, 3)), sp_full(t, 0, SP_SHAPE(2, 3)));
    sp_tanh(t, sp_full(t, 0, SP_SHAPE(2, 3)));
    ck_assert(!sp_ok(t));
    ck_assert_int_eq(rows(p), n);
}
END_TEST

/* y = x, with no word of what it costs */
static void forward(const sp_call *c)
{
    memcpy(c->y.data, c->x[0].data, sizeof *c->y.data);
}

static bool infer(sp_call *c, sp_status *status)
{
    (void)status;
    c->y.shape = c->x[0].shape;
    return true;
}

START_TEST(without_cost)
{
    static const sp_op op = { .name = "mine", .infer = infer, .forward = forward };
    sp_tensor *x = sp_full(t, 3, SP_SCALAR);
    ck_assert(sp_item(sp_record(t, &op, 1, &x, NULL, 0)) == 3);
    check_row("mine", false, 1, 0);
}
END_TEST

START_TEST(nothing_changes)
{
    sp_real *values[2], losses[2];
    for (int profiled = 0; profiled < 2; profiled++) {
        end();
        begin();
        sp_tape_set_profile(t, profiled ? p : NULL);
        sp_optimizer *adam = sp_optimizer_new(store, "adam", 1e-2, NULL);
        for (int i = 0; i < 3; i++)
            losses[profiled] = sp_item(train_step(t, adam, true));
        ck_tape_ok(t);
        ck_assert_int_eq(row_of(p, "adam", false).calls, 3 * profiled);
        values[profiled] = malloc((size_t)sp_store_size(store) * sizeof **values);
        memcpy(values[profiled], sp_store_values(store), (size_t)sp_store_size(store) * sizeof **values);
        sp_optimizer_free(adam);
    }
    ck_same(values[0], values[1], sp_store_size(store));
    ck_same(&losses[0], &losses[1], 1);
    free(values[0]);
    free(values[1]);
}
END_TEST

/* ---- attaching ------------------------------------------------------------------------------------------------- */

START_TEST(detached)
{
    graph(t);
    sp_tape_set_profile(t, NULL);
    ck_assert_ptr_null(sp_tape_profile(t));
    const double stopped = sp_profile_seconds(p);
    sp_tape_reset(t);
    graph(t);
    sp_profile_end(sp_profile_begin(p), "piece", false, (sp_cost){ 1, 1 });
    ck_assert_int_eq(row_of(p, "matmul", false).calls, 2);
    ck_assert_int_eq(row_of(p, "piece", false).calls, 0);
    ck_assert_double_eq(sp_profile_seconds(p), stopped);
    sp_tape_set_profile(t, p);
    sp_tape_reset(t);
    graph(t);
    ck_assert_ptr_eq(sp_tape_profile(t), p);
    ck_assert_int_eq(row_of(p, "matmul", false).calls, 4);
    ck_assert_double_gt(sp_profile_seconds(p), stopped);
    check_times(p);
}
END_TEST

/* One tape at a time; each may be freed first. */
START_TEST(one_tape)
{
    sp_tape *other = sp_tape_new(NULL);
    sp_profile *second = sp_profile_new();
    sp_tape_set_profile(t, p);
    ck_tape_ok(t);
    sp_tape_set_profile(other, p);
    ck_assert_str_eq(sp_error(other), "profile: it is attached to another tape");
    ck_assert_ptr_eq(sp_tape_profile(t), p);
    sp_tape_clear(other);
    sp_tape_set_profile(t, second);
    sp_tape_set_profile(other, p);
    ck_tape_ok(other);
    graph(other);
    ck_assert_int_eq(row_of(p, "matmul", false).calls, 2);
    ck_assert_int_eq(rows(second), 0);
    sp_tape_free(other);
    sp_profile_free(second);
    ck_assert_ptr_null(sp_tape_profile(t));
    sp_tape_set_profile(t, p);
    graph(t);
    ck_tape_ok(t);
    ck_assert_int_eq(row_of(p, "matmul", false).calls, 4);
}
END_TEST

START_TEST(no_profile)
{
    int n = 1;
    FILE *out = tmpfile();
    sp_tape_set_profile(t, NULL);
    sp_tape_set_profile(NULL, p);
    sp_profile_end(sp_profile_begin(NULL), "piece", false, (sp_cost){ 0 });
    sp_profile_add(NULL, p);
    sp_profile_add(p, NULL);
    ck_assert(!sp_profile_rows(NULL, &n) && !n && sp_profile_seconds(NULL) == 0 && !sp_tape_profile(NULL));
    ck_assert(sp_profile_write(NULL, 0, out));
    sp_profile_free(NULL);
    fclose(out);
    graph(t);
    ck_tape_ok(t);
    ck_assert_int_eq(rows(p), 0);
}
END_TEST

/* ---- pieces, sums ---------------------------------------------------------------------------------------------- */

/* A piece leaves out what is counted inside it. */
START_TEST(pieces)
{
    const sp_span outer = sp_profile_begin(p);
    graph(t);
    const sp_span inner = sp_profile_begin(p);
    graph(t);
    sp_profile_end(inner, "inner", false, (sp_cost){ 0 });
    sp_profile_end(outer, "outer", false, (sp_cost){ 5, 7 });
    check_row("inner", false, 1, 0);
    check_row("outer", false, 1, 5);
    ck_assert_double_eq(row_of(p, "outer", false).bytes, 7);
    ck_assert_int_eq(row_of(p, "matmul", false).calls, 4);
    check_times(p);
}
END_TEST

START_TEST(sums)
{
    sp_profile *all = sp_profile_new();
    graph(t);
    sp_tape_set_profile(t, NULL);
    const sp_profile_row one = row_of(p, "matmul", true);
    for (int i = 0; i < 3; i++)
        sp_profile_add(all, p);
    const sp_profile_row three = row_of(all, "matmul", true);
    ck_assert(three.calls == 3 * one.calls && three.flops == 3 * one.flops && three.bytes == 3 * one.bytes);
    ck_assert_double_eq_tol(three.seconds, 3 * one.seconds, 1e-12);
    ck_assert_double_eq_tol(sp_profile_seconds(all), 3 * sp_profile_seconds(p), 1e-12);
    ck_assert_int_eq(rows(all), rows(p));
    check_times(all);
    sp_profile_free(all);
}
END_TEST

/* Names are told apart by what they say. More than there is room for share a row. */
START_TEST(many_names)
{
    enum { MANY = 300 };
    static char name[MANY][16];
    long calls = 0;
    int n;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < MANY; i++) {
            snprintf(name[i], sizeof name[i], "n%d", i / 2);
            sp_profile_end(sp_profile_begin(p), name[i], i % 2, (sp_cost){ 1, 1 });
        }
    const sp_profile_row *row = sp_profile_rows(p, &n);
    for (int i = 0; i < n; i++)
        calls += row[i].calls;
    ck_assert_int_eq(calls, 2 * MANY);
    ck_assert(n > 100 && n < MANY);
    check_row("n0", true, 2, 2);
    check_row("others", false, 2 * (MANY - n + 1), 2 * (MANY - n + 1));
    check_times(p);
}
END_TEST

/* ---- what others attach it to ---------------------------------------------------------------------------------- */

static long begin_pass(void *self, bool training, long epoch)
{
    (void)self, (void)epoch;
    return training ? 3 : 2;
}

static sp_tensor *weights_squared(sp_tape *tape, void *self, bool training, long batch, int shard, long *count)
{
    (void)training, (void)batch, (void)shard;
    *count = 1;
    sp_tensor *w = sp_param_on(tape, sp_store_at(self, 0));
    return sp_mean(tape, sp_mul(tape, w, w), SP_ALL);
}

static bool save(void *self, sp_status *status)
{
    (void)self, (void)status;
    return true;
}

/* In one shard, and in three on two threads. */
START_TEST(of_a_training)
{
    sp_training x;
    const int shards = _i ? 3 : 1;
    const sp_task task = { .self = store, .store = store, .shards = shards, .begin = begin_pass, .loss = weights_squared, .save = save };
    const sp_trainer_config config = { .optimizer = "sgd", .lr = 0.1, .clip = 1, .epochs = 2, .threads = 2, .profile = p };
    sp_tape_set_profile(t, NULL);
    ck_assert(sp_train(&task, &config, &x, NULL));
    ck_assert_int_eq(row_of(p, "mul", false).calls, 2 * (3 + 2) * shards);
    ck_assert_int_eq(row_of(p, "mul", true).calls, 2 * 3 * shards);
    ck_assert_int_eq(row_of(p, "sgd", false).calls, 2 * 3);
    ck_assert_int_eq(row_of(p, "clip_norm", false).calls, 2 * 3);
    ck_assert_int_eq(row_of(p, "gather", true).calls, shards > 1 ? 2 * 3 : 0);
    check_times(p);
}
END_TEST

START_TEST(of_a_model)
{
    const char text[] = "abcabcabc";
    const int id[] = { 1, 2, 3, 1, 2, 3, 1 };
    const sp_sampling how = { .temperature = 1, .top_p = 1 };
    const sp_lm_config config = { .cell = "gru", .embed = 2, .hidden = 3, .layers = 1 };
    int out[5];
    sp_lm *m = sp_lm_new(&config, sp_vocabulary_of(text, sizeof text - 1, SP_LEVEL_CHAR, 0, NULL), 1, NULL);
    const double nats = sp_lm_evaluate(m, id, 7, 1, NULL);
    sp_tape_set_profile(t, NULL);
    m->profile = p;
    ck_assert(sp_lm_evaluate(m, id, 7, 1, NULL) == nats);
    check_row("gru_gates", false, 6, 6 * 11 * 3);
    check_row("gru_gates", true, 0, 0);
    ck_assert(sp_lm_sample(m, id, 2, &how, 5, out, NULL, NULL));
    check_row("gru_gates", false, 6 + 2 + 4, (6 + 6 * 8) * 11 * 3);      /* texts are computed eight at once, one as well */
    check_times(p);
    sp_lm_free(m);
}
END_TEST

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* The words of a line from the last on: GB/s, GFLOP/s, "%", share, seconds, calls. */
static void split(char *line, const char *word[6])
{
    for (int i = 0; i < 6; i++) {
        char *space = strrchr(line, ' ');
        ck_assert_ptr_nonnull(space);
        word[i] = space + 1;
        while (space > line && space[-1] == ' ')
            space--;
        *space = '\0';
    }
}

/* All lines are as wide as the first, what they say adds up, and the last names the kernels. _i: with a peak. */
START_TEST(table)
{
    char line[256], last[128];
    const char *word[6];
    double seconds = 0, share = 0;
    int lines = 0, n;
    size_t width = 0;
    FILE *out = tmpfile();
    sp_optimizer *adam = sp_optimizer_new(store, "adam", 1e-2, NULL);
    train_step(t, adam, true);
    sp_tape_set_profile(t, NULL);
    ck_assert(sp_profile_write(p, _i ? 1e-6 : 0, out));
    const sp_profile_row *row = sp_profile_rows(p, &n);
    rewind(out);
    for (; fgets(line, sizeof line, out) && lines < n + 3; lines++) {
        width = lines ? width : strlen(line);
        ck_assert_msg(strlen(line) == width, "another width: %s", line);
        if (!lines)
            continue;
        split(line, word);
        if (lines < n + 1) {
            const sp_profile_row *r = &row[lines - 1];
            ck_assert_msg(!strncmp(line, r->name, strlen(r->name)) && atol(word[5]) == r->calls, "not %s: %s", r->name, line);
        }
        if (lines < n + 2) {
            seconds += atof(word[4]);
            share += atof(word[3]);
        } else {
            ck_assert_str_eq(line, "total");
            ck_assert_double_eq_tol(atof(word[4]), seconds, 5e-5 * (n + 2));        /* rounded to four places, and one */
            ck_assert_double_eq_tol(share, 100, 0.05 * (n + 2));
        }
    }
    snprintf(last, sizeof last, "%s; BLIS kernels: %s\n", _i ? " of the peak, the 0.0 of a product of 1024^3" : " a thread", sp_blas_kernels());
    ck_assert_msg(strstr(line, " GFLOP/s a thread") && strstr(line, last), "the last line is: %s", line);
    ck_assert_ptr_null(fgets(line, sizeof line, out));
    sp_optimizer_free(adam);
    fclose(out);
}
END_TEST

START_TEST(write_fails)
{
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        ck_assert(!sp_profile_write(p, 0, full));
        fclose(full);
    }
}
END_TEST

static void work(void *calls)
{
    ++*(int *)calls;
}

START_TEST(timing)
{
    const double before = sp_seconds();
    int calls = 0;
    ck_assert_double_ge(sp_median_seconds(work, &calls), 0);
    ck_assert_int_ge(calls, 2 + 5);
    ck_assert_double_ge(sp_seconds(), before);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("profile");
    TCase *c = tcase_create("counts");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, on_the_tape);
    tcase_add_test(c, inside_a_scan);
    tcase_add_test(c, recording_off);
    tcase_add_test(c, without_cost);
    tcase_add_test(c, nothing_changes);
    tcase_add_test(c, detached);
    tcase_add_test(c, one_tape);
    tcase_add_test(c, no_profile);
    tcase_add_test(c, pieces);
    tcase_add_test(c, sums);
    tcase_add_test(c, many_names);
    tcase_add_loop_test(c, of_a_training, 0, 2);
    tcase_add_test(c, of_a_model);
    tcase_add_loop_test(c, table, 0, 2);
    tcase_add_test(c, write_fails);
    tcase_add_test(c, timing);
    suite_add_tcase(s, c);
    return s;
}
