/* What a scan keeps, and a budget for it. That outputs and gradients are the same bits with one is compared for every cell
   and batch of tests/test_scan.c. */
#include <stdlib.h>
#include <string.h>

#include "autograd/parallel.h"
#include "autograd/tape_inside.h"
#include "nn/loss.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { T = 2000, IN = 3, H = 8, REAL = sizeof(sp_real) };

/* An LSTM over xs [T,1,IN]: 5 stretches of 400 rows. For each row y = [h c] and what the gates save are kept. */
enum { ROW = 7 * H * REAL, STRETCH = 400 };

static struct {
    sp_store *store, *other;
    sp_cell cell;
    sp_tape *t;
    sp_profile *profile;
    sp_real x[T * IN];
} k;

static void setup(void)
{
    k.store = sp_store_new(1);
    k.other = sp_store_new(1);
    k.cell = sp_lstm_make(k.store, "lstm", 0, IN, H);
    k.t = sp_tape_new(k.store);
    k.profile = sp_profile_new();
    sp_random_uniform((sp_key){ .seed = 1 }, T * IN, k.x, -1, 1);
}

static void teardown(void)
{
    sp_tape_free(k.t);
    sp_profile_free(k.profile);
    sp_store_free(k.store);
    sp_store_free(k.other);
}

/* There and back, twice, so that the second time all is in one piece of memory. The loss is of all y. */
static void train(size_t budget)
{
    sp_tape_set_budget(k.t, budget);
    for (int i = 0; i < 2; i++) {
        sp_tape_reset(k.t);
        const size_t held = sp_tape_bytes(k.t);
        sp_tape_set_profile(k.t, i ? k.profile : NULL);
        sp_tensor *ys = sp_scan(k.t, &k.cell, sp_feed(k.t, k.x, SP_SHAPE(T, 1, IN)), NULL);
        sp_backward(k.t, sp_sum(k.t, ys, SP_ALL));
        ck_assert(i == 0 || sp_tape_bytes(k.t) == held);
    }
    sp_tape_set_profile(k.t, NULL);
}

/* The calls that an operation's forward had. */
static long calls(const char *name)
{
    int n;
    const sp_profile_row *row = sp_profile_rows(k.profile, &n);
    for (int i = 0; i < n; i++)
        if (!row[i].backward && !strcmp(row[i].name, name))
            return row[i].calls;
    return 0;
}

/* The smallest budget, which a scan with too small a one asks for. */
static size_t least(void)
{
    unsigned long bytes = 0;
    train(1);
    ck_assert_int_eq(sscanf(sp_error(k.t), "lstm: scan: 2000 steps of 1 sequences need a budget of %lu bytes, not 1", &bytes), 1);
    sp_tape_clear(k.t);
    return bytes;
}

/* What is not in the budget: xs, y and its gradient, where each step begins; and some kilobytes. */
enum { OUTSIDE = T * (IN + H + H) * REAL + T * (int)sizeof(long), SOME = 32 << 10 };

START_TEST(stays_within)
{
    const size_t from = least(), all = from + 3 * STRETCH * ROW;
    long before = 2 * T;
    for (size_t budget = from; budget < all + 10000; budget += 10000) {
        train(budget);
        ck_tape_ok(k.t);
        const size_t used = k.t->arena.used;
        ck_assert_msg(used <= budget + OUTSIDE + SOME, "%zu bytes with a budget of %zu", used, budget);
        ck_assert_msg(used + STRETCH * ROW > budget + OUTSIDE, "%zu bytes with a budget of %zu: there was room for more", used,
                      budget);
        const long now = calls("lstm_gates");
        ck_assert_msg(now <= before && now > T && now % STRETCH == 0, "%ld steps, %ld with a smaller budget", now, before);
        before = now;
        sp_profile_free(k.profile);
        k.profile = sp_profile_new();
    }
    ck_assert_int_eq(before, T + STRETCH);                  /* all but the first stretch was there */
}
END_TEST

/* Two states, much that depends on x alone, and y that is a part of what is kept. */
enum { BATCH = 3200, WIDE = 16, LENGTH = 3, ALL = LENGTH * BATCH, SYMBOLS = 7 };

static sp_linear in, on;

static sp_tensor *two_states(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    (void)self;
    for (int i = 0; i < 4; i++)
        x = sp_tanh(t, sp_linear_on(t, &in, x));
    state[0] = sp_tanh(t, sp_add(t, x, sp_linear_on(t, &on, state[0])));
    state[1] = sp_mul(t, sp_sigmoid(t, state[0]), sp_add(t, state[1], x));
    return state[1];
}

static const struct {
    bool ragged, symbols;
} batches[] = { { false, false }, { true, false }, { false, true }, { true, true } };

/* The bytes that a scan of BATCH sequences has taken there and back, in its second round; 0: there is an error. */
static size_t used_by_many(bool ragged, bool symbols, size_t budget)
{
    static const sp_cell cell = { .name = "two", .step = two_states, .states = 2, .width = { WIDE, WIDE } };
    static int ids[ALL];
    long length[BATCH];
    size_t before = 0;
    for (int i = 0; i < ALL; i++)
        ids[i] = i % SYMBOLS;
    for (int i = 0; i < BATCH; i++)
        length[i] = ragged && i + 1 == BATCH ? LENGTH - 1 : LENGTH;
    sp_tape_set_budget(k.t, budget);
    for (int round = 0; round < 2; round++) {
        sp_tape_reset(k.t);
        sp_tensor *x = sp_full(k.t, 0.5, SP_SHAPE(symbols ? SYMBOLS : ALL - ragged, WIDE));
        if (symbols)
            x = sp_embedding(k.t, x, ids, ALL - ragged);
        const sp_seq xs = ragged ? sp_seq_pack(k.t, x, length, BATCH)
                                 : sp_seq_of(k.t, sp_reshape(k.t, x, SP_SHAPE(LENGTH, BATCH, WIDE)));
        before = k.t->arena.used;
        const sp_seq ys = sp_scan_seq(k.t, &cell, xs, NULL, false);
        if (!sp_backward(k.t, sp_sum(k.t, ys.rows, SP_ALL)))
            return 0;
    }
    return k.t->arena.used - before;
}

/* Outside are y and its gradient, first and final states and ids (in two orders, if these differ); and what describes the
   step. A term of the budget that is missing, or too much, is more than that. */
START_TEST(many_stay_within)
{
    const bool ragged = batches[_i].ragged, symbols = batches[_i].symbols;
    enum { STATES = 2 * BATCH * WIDE * REAL, MORE = 160 << 10 };
    const size_t outside = 2 * ALL * WIDE * REAL + (ragged ? 4 : 2) * STATES + (symbols ? (ragged ? 2 : 1) * ALL * sizeof(int) : 0);
    unsigned long from = 0;
    in = sp_linear_make(k.other, "in", WIDE, WIDE);
    on = sp_linear_make(k.other, "on", WIDE, WIDE);
    sp_tape_free(k.t);
    k.t = sp_tape_new(k.other);
    ck_assert_uint_eq(used_by_many(ragged, symbols, 1), 0);
    const char *begin = ragged ? "two: scan: 3 steps of up to 3200 sequences, 9599 rows in all, need a budget of "
                               : "two: scan: 3 steps of 3200 sequences need a budget of ";
    ck_assert_msg(!strncmp(sp_error(k.t), begin, strlen(begin)), "%s", sp_error(k.t));
    ck_assert_int_eq(sscanf(sp_error(k.t) + strlen(begin), "%lu bytes, not 1", &from), 1);
    sp_tape_clear(k.t);
    for (size_t i = 0; i < 2; i++) {
        const size_t budget = from + i * from / 4, used = used_by_many(ragged, symbols, budget);
        ck_tape_ok(k.t);
        ck_assert_msg(used <= budget + outside + MORE, "%zu bytes with a budget of %zu and %zu outside", used, budget, outside);
        ck_assert_msg(i || used > budget + outside, "%zu bytes with a budget of %zu and %zu outside", used, budget, outside);
    }
    const size_t all = used_by_many(ragged, symbols, 0);
    ck_assert_uint_lt(used_by_many(ragged, symbols, all - outside - MORE), all);        /* there was no room for all */
    ck_assert_uint_eq(used_by_many(ragged, symbols, all - outside), all);
}
END_TEST

/* That packed rows are those of no smaller table is found out without a trace. */
START_TEST(packed)
{
    enum { LONG_ONE = 50000 };
    sp_real *x = calloc(LONG_ONE + 1, sizeof *x);
    k.cell = sp_rnn_make(k.other, "rnn", 0, 1, 1);
    sp_tape_free(k.t);
    k.t = sp_tape_new(k.other);
    sp_tape_set_budget(k.t, SOME);
    size_t before = 0;
    for (int i = 0; i < 2; i++) {
        sp_tape_reset(k.t);
        const sp_seq xs = sp_seq_pack(k.t, sp_feed(k.t, x, SP_SHAPE(LONG_ONE + 1, 1)), (const long[]){ LONG_ONE, 1 }, 2);
        before = k.t->arena.used;
        sp_scan_seq(k.t, &k.cell, xs, NULL, false);
        ck_tape_ok(k.t);
    }
    ck_assert_uint_lt(k.t->arena.used - before, LONG_ONE * REAL + 2 * SOME);
    free(x);
}
END_TEST

/* With room for all nothing is computed again, and no byte is taken that is not without a budget. */
START_TEST(enough)
{
    train(0);
    const size_t used = k.t->arena.used;
    train(used - OUTSIDE);
    ck_tape_ok(k.t);
    ck_assert_int_eq(calls("lstm_gates"), 2 * T);           /* of two trainings */
    ck_assert_uint_eq(k.t->arena.used, used);
    train(used - OUTSIDE - SOME - STRETCH * ROW);
    ck_assert_int_gt(calls("lstm_gates"), 3 * T);
}
END_TEST

/* The least that is asked for does; a budget below it leaves no gradient, and the next may be larger. */
START_TEST(too_small)
{
    const size_t from = least();
    train(from);
    ck_tape_ok(k.t);
    ck_assert_int_eq(calls("lstm_gates"), 2 * T - STRETCH);
    train(from - 1);
    ck_assert_int_eq(sp_tape_status(k.t)->code, SP_ERR_BUDGET);
    ck_assert_msg(strstr(sp_error(k.t), "bytes, not "), "%s", sp_error(k.t));
    sp_tape_clear(k.t);
    for (int i = 0; i < sp_store_size(k.store); i++)
        ck_assert(sp_gradients(k.t)[i] == 0);
    train(from);
    ck_tape_ok(k.t);
}
END_TEST

/* Many sequences make borders dear: the least budget is then that of segments of several stretches, and it does. */
START_TEST(dear_borders)
{
    enum { STEPS = 400, MANY = 100, EACH = STRETCH / MANY };
    unsigned long need = 0;
    sp_store *s = sp_store_new(1);
    const sp_cell cell = sp_lstm_make(s, "lstm", 0, 1, 2);
    sp_tape *t = sp_tape_new(s);
    for (int i = 0; i < 2; i++) {
        sp_tape_reset(t);
        sp_tape_set_budget(t, i ? need : 1);
        sp_tape_set_profile(t, i ? k.profile : NULL);
        sp_tensor *ys = sp_scan(t, &cell, sp_full(t, 1, SP_SHAPE(STEPS, MANY, 1)), NULL);
        if (i) {
            ck_assert_msg(sp_backward(t, sp_sum(t, ys, SP_ALL)), "%s", sp_error(t));
        } else {
            ck_assert_int_eq(sscanf(sp_error(t), "lstm: scan: 400 steps of 100 sequences need a budget of %lu bytes", &need), 1);
            sp_tape_clear(t);
        }
    }
    /* Of 100 stretches k in a segment: ceil(100 / k - 1) borders of 2 numbers for each of MANY and unit, k STRETCH rows of 7:
       19800 + 2800, 9800 + 5600, 6600 + 8400, 4800 + 11200, ...; 3 are the fewest */
    ck_assert_int_eq(calls("lstm_gates"), 2 * STEPS - 3 * EACH);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* Where segments would take more than the whole, the least is the whole. */
START_TEST(no_segments)
{
    k.cell = sp_rnn_make(k.other, "rnn", 0, IN, H);
    unsigned long bytes = 0;
    sp_tape_free(k.t);
    k.t = sp_tape_new(k.other);
    train(1);
    ck_assert_int_eq(sscanf(sp_error(k.t), "rnn: scan: 2000 steps of 1 sequences need a budget of %lu bytes", &bytes), 1);
    sp_tape_clear(k.t);
    train(bytes);
    ck_tape_ok(k.t);
    ck_assert_int_eq(calls("tanh"), T);
    train(bytes - 1);
    ck_assert(!sp_ok(k.t));
}
END_TEST

/* Without recording a budget does not matter, and what is not y is there for a stretch at most: what x enters as in the
   gates, h and c, and for different lengths these before each step. */
START_TEST(not_recording)
{
    sp_real y[2][T * H];
    const long length[] = { T - 1, 1 };
    const size_t stretch = STRETCH * (4 * H + 2 * H + (_i ? 2 * H : 0)) * REAL;
    sp_tape_set_recording(k.t, false);
    for (int i = 0; i < 3; i++) {
        sp_tape_reset(k.t);
        sp_tape_set_budget(k.t, i == 1);
        sp_tensor *x = sp_feed(k.t, k.x, SP_SHAPE(T, IN));
        const sp_seq xs = _i ? sp_seq_pack(k.t, x, length, 2) : sp_seq_of(k.t, sp_reshape(k.t, x, SP_SHAPE(T, 1, IN)));
        const size_t before = k.t->arena.used;
        ck_assert_msg(sp_read(sp_scan_seq(k.t, &k.cell, xs, NULL, false).rows, y[i % 2]), "%s", sp_error(k.t));
        if (i == 2)
            ck_assert_uint_lt(k.t->arena.used - before, T * H * REAL + stretch + SOME);
    }
    ck_same(y[0], y[1], T * H);
}
END_TEST

/* What is taken back is taken again; the next scan is what it would have been. */
START_TEST(rewinding)
{
    sp_real *g[2] = { malloc((size_t)sp_store_size(k.store) * REAL), malloc((size_t)sp_store_size(k.store) * REAL) };
    const size_t budget = least() + STRETCH * ROW;
    sp_tape_set_budget(k.t, budget);
    for (int i = 0; i < 2; i++) {
        sp_tape_reset(k.t);
        sp_zero_grad(k.t);
        sp_tensor *xs = sp_feed(k.t, k.x, SP_SHAPE(T, 1, IN)), *state[2] = { NULL };
        const sp_mark mark = sp_tape_mark(k.t);
        for (int j = 0; j < i; j++) {
            sp_scan(k.t, &k.cell, xs, state);
            sp_tape_rewind(k.t, mark);
            state[0] = state[1] = NULL;
        }
        sp_scan(k.t, &k.cell, xs, state);
        ck_assert_msg(sp_backward(k.t, sp_sum(k.t, state[0], SP_ALL)), "%s", sp_error(k.t));
        memcpy(g[i], sp_gradients(k.t), (size_t)sp_store_size(k.store) * REAL);
    }
    ck_same(g[0], g[1], sp_store_size(k.store));
    free(g[0]);
    free(g[1]);
}
END_TEST

/* ---- several scans, several tapes ------------------------------------------------------------------------------ */

/* Two layers with dropout over B sequences, in shards of two. */
enum { LONG = 480, B = 4, SHARDS = 2 };

struct model {
    sp_store *store;
    sp_stack stack;
    sp_state *carry[SHARDS];
};

static sp_tensor *loss_of_shard(sp_tape *t, void *self, int shard, double *weight)
{
    const struct model *m = self;
    *weight = B;
    sp_tensor *xs = sp_feed(t, k.x + shard * LONG * B, SP_SHAPE(LONG, B, 1));
    sp_tensor *ys = sp_stack_on(t, &m->stack, xs, m->carry[shard]);
    return sp_mean(t, sp_mul(t, ys, ys), SP_ALL);
}

/* The gradients of the second of two steps, n numbers, and the bytes on a tape. */
static sp_real *learn(size_t budget, size_t *n, size_t *used)
{
    struct model m = { .store = sp_store_new(1) };
    m.stack = sp_stack_make(m.store, "stack", &(sp_stack_config){ .cell = "gru", .in = 1, .hidden = H, .layers = 2, .dropout = 0.3,
                                                                  .zoneout = 0.1, .weight_drop = 0.2 });
    sp_parallel *p = sp_parallel_new(m.store, SHARDS, 2);
    for (int i = 0; i < SHARDS; i++) {
        m.carry[i] = sp_state_new(&m.stack, B);
        sp_tape_set_budget(sp_parallel_tape(p, i), budget);
    }
    for (int i = 0; i < 2; i++) {
        sp_zero_grad(sp_parallel_tape(p, 0));
        sp_parallel_backward(p, loss_of_shard, &m, NULL);
    }
    ck_tape_ok(sp_parallel_tape(p, 0));
    *n = (size_t)sp_store_size(m.store);
    sp_real *g = malloc(*n * REAL);
    memcpy(g, sp_gradients(sp_parallel_tape(p, 0)), *n * REAL);
    *used = sp_parallel_tape(p, 1)->arena.used;
    for (int i = 0; i < SHARDS; i++)
        sp_state_free(m.carry[i]);
    sp_parallel_free(p);
    sp_store_free(m.store);
    return g;
}

START_TEST(shards_of_stacks)
{
    size_t n, all, some;
    sp_real *without = learn(0, &n, &all), *with = learn(all / 6, &n, &some);
    ck_assert_uint_lt(some, all * 9 / 10);
    ck_same(without, with, n);
    free(without);
    free(with);
}
END_TEST

/* The gradient of a final state, and of y, is what comes from behind the scan. */
START_TEST(gradients_of_results)
{
    for (int i = 0; i < 2; i++) {
        sp_real g[T * H], c[H];
        sp_tensor *state[2] = { NULL };
        sp_tape_reset(k.t);
        sp_tape_set_budget(k.t, i ? 200000 * REAL : 0);
        sp_tensor *ys = sp_scan(k.t, &k.cell, sp_feed(k.t, k.x, SP_SHAPE(T, 1, IN)), state);
        sp_tensor *loss = sp_add(k.t, sp_sum(k.t, ys, SP_ALL), sp_scale(k.t, sp_sum(k.t, state[1], SP_ALL), 3));
        ck_assert_msg(sp_backward(k.t, loss), "%s", sp_error(k.t));
        ck_assert(sp_read_grad(ys, g) && sp_read_grad(state[1], c));
        for (int j = 0; j < T * H; j++)
            ck_each(g[j] == 1, "gradient %d of y is %g", j, (double)g[j]);
        for (int j = 0; j < H; j++)
            ck_assert(c[j] == 3);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("scan_memory");
    TCase *c = tcase_create("budget");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, stays_within);
    tcase_add_loop_test(c, many_stay_within, 0, sizeof batches / sizeof *batches);
    tcase_add_test(c, packed);
    tcase_add_test(c, enough);
    tcase_add_test(c, too_small);
    tcase_add_test(c, dear_borders);
    tcase_add_test(c, no_segments);
    tcase_add_loop_test(c, not_recording, 0, 2);
    tcase_add_test(c, rewinding);
    tcase_add_test(c, shards_of_stacks);
    tcase_add_test(c, gradients_of_results);
    suite_add_tcase(all, c);
    return all;
}
