/* Stacks, both directions, skip connections, zoneout, weight drop: against plain loops, each sequence alone, and PyTorch. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/init.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "nn/weight_drop.h"
#include "nn/zoneout_cell.h"
#include "ops/ops.h"
#include "tests/golden.h"
#include "tests/suite.h"

enum { IN = 5, H = 6, B = 4, ROWS = 12, ROOM = 4096 };

static const long lengths[B] = { 3, 5, 1, 3 };

static sp_store *s;
static sp_tape *t;

static void begin(void)
{
    s = sp_store_new(1);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(s);
    t = NULL;
}

static sp_tensor *noise(uint64_t place, sp_shape shape)
{
    sp_real x[ROOM];
    sp_random_uniform((sp_key){ .seed = 5, .place = place }, sp_shape_size(shape), x, -1, 1);
    return sp_variable(t, x, shape);
}

static sp_seq ragged(long width)
{
    return sp_seq_pack(t, noise(1, SP_SHAPE(ROWS, width)), lengths, B);
}

/* Fails unless two tensors have one shape and nearly the same numbers: products of other sizes add in another order. */
static void same(sp_tensor *a, sp_tensor *b)
{
    static sp_real x[ROOM], y[ROOM];
    ck_tape_ok(t);
    ck_assert(sp_shape_equal(sp_shape_get(a), sp_shape_get(b)) && sp_read(a, x) && sp_read(b, y));
    for (long i = 0; i < sp_shape_size(sp_shape_get(a)); i++)
        ck_each(fabs((double)(x[i] - y[i])) <= WIDE(1e-13, 2e-6), "number %ld: %.9g is not %.9g", i, (double)x[i],
                (double)y[i]);
}

static sp_tensor *squares(sp_tensor *x)
{
    return sp_sum(t, sp_mul(t, x, x), SP_ALL);
}

/* ---- PyTorch --------------------------------------------------------------------------------------------------- */

/* State i of PyTorch's h0 or c0, [layers*directions,B,w], and back. */
static void read_states(sp_tensor *all, int i, int each, sp_tensor **state)
{
    for (long k = 0; k < sp_dim(all, 0); k++)
        state[each * k + i] = sp_index(t, all, 0, k);
}

static sp_tensor *join_states(sp_tensor *like, int i, int each, sp_tensor *const *state)
{
    sp_tensor *part[8];
    const long n = sp_dim(like, 0);
    for (long k = 0; k < n; k++)
        part[k] = state[each * k + i];
    return sp_reshape(t, sp_concat(t, (int)n, part, 0), sp_shape_get(like));
}

static void recurrent(struct golden *g)
{
    static const char *const names[2][4] = { { "h0", "dh0", "hn", "dhn" }, { "c0", "dc0", "cn", "dcn" } };
    const sp_stack_config config = {
        .cell = golden_text(g, "kind"), .in = golden_count(g, "in"), .hidden = golden_count(g, "hidden"),
        .layers = (int)golden_count(g, "layers"), .bidirectional = golden_count(g, "bidirectional"),
        .projected = golden_text(g, "projected") ? golden_count(g, "projected") : 0,
    };
    begin();
    sp_stack stack = sp_stack_make(s, "rnn", &config);
    golden_params(g, s);
    t = sp_tape_new(s);
    sp_tensor *x = golden_variable(g, t, "x"), *state[16], *start[2];
    const int each = golden_has(g, "c0") ? 2 : 1;
    ck_assert_int_eq(sp_stack_states(&stack), each * config.layers * (config.bidirectional ? 2 : 1));
    for (int i = 0; i < each; i++)
        read_states(start[i] = golden_variable(g, t, names[i][0]), i, each, state);
    sp_seq xs = sp_seq_pack(t, x, golden_longs(g, "length"), golden_shape(g, "length").dim[0]);
    sp_tensor *y = sp_seq_unpack(t, sp_stack_on_seq(t, &stack, xs, state));
    ck_tape_ok(t);
    golden_same(g, "y", y);
    sp_tensor *loss = sp_sum(t, sp_mul(t, y, golden_constant(g, t, "dy")), SP_ALL);
    for (int i = 0; i < each; i++) {
        sp_tensor *final = join_states(start[i], i, each, state);
        golden_same(g, names[i][2], final);
        loss = sp_add(t, loss, sp_sum(t, sp_mul(t, final, golden_constant(g, t, names[i][3])), SP_ALL));
    }
    ck_assert(sp_backward(t, loss));
    golden_same_gradient(g, "dx", x);
    for (int i = 0; i < each; i++)
        golden_same_gradient(g, names[i][1], start[i]);
    golden_same_gradients(g, t);
    end();
}

START_TEST(pytorch)
{
    golden_each("recurrent", (const struct golden_reader[]){ { "rnn", recurrent }, { "relu", recurrent }, { "lstm", recurrent },
                                                             { "lstm-projected", recurrent }, { "gru", recurrent }, { 0 } });
}
END_TEST

/* ---- both directions ------------------------------------------------------------------------------------------- */

static int kinds(void)
{
    int n = 0;
    while (sp_cell_kind(n))
        n++;
    return n;
}

/* The reverse is a pass over the sequences turned round, turned back. */
START_TEST(both_directions)
{
    sp_bidirectional b = { sp_cell_make(s, sp_cell_kind(_i), "rnn", 0, IN, H),
                           sp_cell_make(s, sp_cell_kind(_i), "rnn", sp_reverse_layer(0), IN, H), SP_MERGE_CONCAT };
    ck_assert(sp_store_find(s, "rnn.weight_ih_l0_reverse"));
    t = sp_tape_new(s);
    for (int even = 0; even < 2; even++) {
        sp_tensor *state[2 * SP_MAX_STATES] = { NULL }, *one[SP_MAX_STATES] = { NULL }, *two[SP_MAX_STATES] = { NULL };
        sp_seq xs = even ? sp_seq_of(t, noise(2, SP_SHAPE(3, B, IN))) : ragged(IN);
        sp_tensor *forward = sp_unroll_seq(t, &b.forward, xs, one, false).rows;
        sp_tensor *back = sp_seq_reverse(t, sp_unroll_seq(t, &b.reverse, sp_seq_reverse(t, xs), two, false)).rows;
        b.merge = SP_MERGE_CONCAT;
        same(sp_bidirectional_on(t, &b, xs, state).rows, sp_concat(t, 2, (sp_tensor *[]){ forward, back }, 1));
        for (int i = 0; i < b.forward.states; i++) {
            same(state[i], one[i]);
            same(state[b.forward.states + i], two[i]);
        }
        b.merge = SP_MERGE_SUM;
        same(sp_bidirectional_on(t, &b, xs, NULL).rows, sp_add(t, forward, back));
        ck_assert_int_eq(sp_bidirectional_out(&b), sp_cell_out(&b.forward));
    }
}
END_TEST

/* ---- stacks ---------------------------------------------------------------------------------------------------- */

/* What a stack can be. */
static const sp_stack_config configs[] = {
    { .cell = "gru", .layers = 3 },
    { .cell = "lstm", .layers = 2, .bidirectional = true },
    { .cell = "lstm", .layers = 3, .bidirectional = true, .merge = SP_MERGE_SUM, .skip = SP_SKIP_RESIDUAL },
    { .cell = "gru", .layers = 3, .skip = SP_SKIP_HIGHWAY, .variational = true, .dropout = 0.4 },
    { .cell = "lstm", .layers = 2, .bidirectional = true, .skip = SP_SKIP_HIGHWAY, .zoneout = 0.3, .weight_drop = 0.4 },
    { .cell = "lstm-projected", .projected = IN, .layers = 3, .skip = SP_SKIP_RESIDUAL, .zoneout = 0.2, .weight_drop = 0.5 },
    { .cell = "indrnn", .layers = 2, .dropout = 0.3, .zoneout = 0.1 },
};

enum { CONFIGS = sizeof configs / sizeof *configs };

static sp_stack make(int i)
{
    sp_stack_config c = configs[i];
    c.in = IN;
    c.hidden = H;
    return sp_stack_make(s, "rnn", &c);
}

/* Without training a ragged batch gives each sequence what it gets alone, final states too; and [T,B,in] is a special case. */
START_TEST(alone)
{
    sp_real x[ROWS * IN];
    sp_stack stack = make(_i);
    sp_tensor *state[16] = { NULL }, *one[16];
    t = sp_tape_new(s);
    sp_tape_set_training(t, false);
    sp_seq xs = ragged(IN);
    sp_read(noise(1, SP_SHAPE(ROWS, IN)), x);
    sp_tensor *all = sp_seq_unpack(t, sp_stack_on_seq(t, &stack, xs, state));
    ck_assert_int_eq(sp_dim(all, 1), sp_stack_out(&stack));
    for (long i = 0, at = 0; i < B; at += lengths[i++]) {
        memset(one, 0, sizeof one);
        sp_tensor *own = sp_feed(t, x + at * IN, SP_SHAPE(lengths[i], 1, IN));
        sp_tensor *y = sp_stack_on_seq(t, &stack, sp_seq_of(t, own), one).rows;
        same(y, sp_slice(t, all, 0, at, at + lengths[i]));
        same(sp_reshape(t, sp_stack_on(t, &stack, own, NULL), SP_SHAPE(lengths[i], -1)), y);
        for (int k = 0; k < sp_stack_states(&stack); k++)
            same(one[k], sp_slice(t, state[k], 0, i, i + 1));
    }
}
END_TEST

struct checked {
    sp_stack stack;
    sp_param *start[16];
};

static sp_tensor *stack_loss(sp_tape *tape, void *context)
{
    struct checked *c = context;
    sp_tensor *state[16];
    t = tape;
    for (int i = 0; i < sp_stack_states(&c->stack); i++)
        state[i] = sp_param_on(t, c->start[i]);
    sp_seq ys = sp_stack_on_seq(t, &c->stack, ragged(IN), state);
    sp_tensor *loss = sp_sum(t, sp_mul(t, ys.rows, noise(3, sp_shape_get(ys.rows))), SP_ALL);
    for (int i = 0; i < sp_stack_states(&c->stack); i++)
        loss = sp_add(t, loss, sp_scale(t, squares(state[i]), 1 + i));
    return loss;
}

/* Through whatever there is, with the same masks each time; along some directions, of all parameters. */
START_TEST(gradients)
{
    struct checked c = { .stack = make(_i) };
    sp_gradcheck_report r;
    sp_status status = { 0 };
    for (int i = 0; i < sp_stack_states(&c.stack); i++) {
        const sp_stack_layer *l = &c.stack.layer[0];
        const long width = i % l->cell.states ? l->cell.width[1] : l->cell.width[0];
        sp_init_uniform(c.start[i] = sp_store_add(s, SP_SHAPE(B, width), "start%d", i), -1, 1);
    }
    if (!strcmp(configs[_i].cell, "indrnn"))            /* no unit near the kink of the relu */
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < H; i++)
                sp_param_values(sp_store_find(s, k ? "rnn.bias_ih_l1" : "rnn.bias_ih_l0"))[i] = i % 2 ? 9 : -30;
    ck_assert_msg(sp_gradcheck(s, stack_loss, &c, WIDE(20, 3), &r, &status), "%s", status.message);
    ck_assert_msg(r.error < WIDE(1e-6, 0.7), "at %s backward gives %.12g, differences %.12g", r.where, r.backward, r.numeric);
    t = NULL;
}
END_TEST

/* y = x + f(x) and y = g f(x) + (1 - g) x, and nothing where widths differ. */
START_TEST(skips)
{
    const sp_skip kind = _i ? SP_SKIP_HIGHWAY : SP_SKIP_RESIDUAL;
    const sp_stack_config config = { .cell = "gru", .in = IN, .hidden = H, .layers = 2, .skip = kind };
    sp_stack stack = sp_stack_make(s, "rnn", &config);
    ck_assert(!sp_store_find(s, "rnn.weight_highway_l0") && !sp_store_find(s, "rnn.weight_highway_l1") == !_i);
    t = sp_tape_new(s);
    sp_seq xs = ragged(IN), one = sp_scan_seq(t, &stack.layer[0].cell, xs, NULL, false);
    sp_tensor *y = sp_scan_seq(t, &stack.layer[1].cell, one, NULL, false).rows;
    if (_i) {
        ck_assert(sp_param_read(sp_store_find(s, "rnn.bias_highway_l1"))[H - 1] == -1);
        sp_tensor *w = sp_param_on(t, sp_store_find(s, "rnn.weight_highway_l1"));
        sp_tensor *b = sp_param_on(t, sp_store_find(s, "rnn.bias_highway_l1"));
        sp_tensor *g = sp_sigmoid(t, sp_add(t, sp_matmul(t, one.rows, sp_transpose(t, w, 0, 1)), b));
        y = sp_add(t, sp_mul(t, g, y), sp_sub(t, one.rows, sp_mul(t, g, one.rows)));
    } else {
        y = sp_add(t, one.rows, y);
    }
    same(sp_stack_on_seq(t, &stack, xs, NULL).rows, y);
}
END_TEST

/* The final states of one pass start another, with gradients: two halves are the whole. */
START_TEST(goes_on)
{
    sp_stack stack = make(0);
    sp_tensor *state[16] = { NULL }, *whole[16] = { NULL };
    t = sp_tape_new(s);
    sp_tensor *xs = noise(2, SP_SHAPE(5, B, IN)), *y[2];
    sp_tensor *all = sp_seq_tensor(t, sp_stack_on_seq(t, &stack, sp_seq_of(t, xs), whole));
    y[0] = sp_seq_tensor(t, sp_stack_on_seq(t, &stack, sp_seq_of(t, sp_slice(t, xs, 0, 0, 2)), state));
    y[1] = sp_seq_tensor(t, sp_stack_on_seq(t, &stack, sp_seq_of(t, sp_slice(t, xs, 0, 2, 5)), state));
    same(sp_concat(t, 2, y, 0), all);
    for (int i = 0; i < sp_stack_states(&stack); i++)
        same(state[i], whole[i]);
    sp_real dx[5 * B * IN];
    ck_assert(sp_backward(t, squares(y[1])) && sp_read_grad(xs, dx) && dx[0] != 0);
}
END_TEST

/* A step of all layers is a sequence of one step. */
START_TEST(one_step)
{
    sp_stack stack = sp_stack_make(s, "rnn", &(sp_stack_config){
        .cell = _i % 2 ? "lstm" : "gru", .in = IN, .hidden = H, .layers = 3, .skip = (sp_skip)(_i / 2) });
    sp_tensor *whole[16] = { NULL }, *state[16];
    t = sp_tape_new(s);
    sp_tensor *x = noise(2, SP_SHAPE(B, IN)), *xs = sp_reshape(t, x, SP_SHAPE(1, B, IN));
    for (int i = 0; i < sp_stack_states(&stack); i++)
        whole[i] = state[i] = noise((uint64_t)(3 + i), SP_SHAPE(B, H));
    sp_tensor *y = sp_stack_step(t, &stack, x, state);
    same(y, sp_stack_on_seq(t, &stack, sp_seq_of(t, xs), whole).rows);
    for (int i = 0; i < sp_stack_states(&stack); i++)
        same(state[i], whole[i]);
}
END_TEST

START_TEST(deep)
{
    enum { LAYERS = 60 };
    sp_stack stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = "gru", .in = H, .hidden = H, .layers = LAYERS,
                                                                 .skip = SP_SKIP_RESIDUAL });
    sp_tensor *state[LAYERS] = { NULL };
    ck_assert(stack.layers == LAYERS && sp_stack_states(&stack) == LAYERS && sp_store_find(s, "rnn.weight_hh_l59"));
    t = sp_tape_new(s);
    sp_state *carry = sp_state_new(&stack, B);
    sp_tensor *xs = noise(2, SP_SHAPE(4, B, H)), *y = sp_seq_tensor(t, sp_stack_on_seq(t, &stack, sp_seq_of(t, xs), state));
    sp_stack_on(t, &stack, sp_slice(t, xs, 0, 0, 3), carry);
    same(sp_stack_on(t, &stack, sp_slice(t, xs, 0, 3, 4), carry), sp_slice(t, y, 0, 3, 4));
    ck_assert(sp_backward(t, squares(y)));
    sp_state_free(carry);
}
END_TEST

/* Cells of the caller's, of different kinds, by hand. */
START_TEST(by_hand)
{
    sp_stack_layer layer[] = { { .cell = sp_lstm_make(s, "a", 0, IN, H), .reverse = sp_gru_make(s, "b", 0, IN, 3) },
                               { .cell = sp_gru_make(s, "c", 0, H + 3, 2) } };
    const sp_stack mine = { .layer = layer, .layers = 2 };
    ck_assert(sp_stack_out(&mine) == 2 && sp_stack_states(&mine) == 4);
    t = sp_tape_new(s);
    sp_seq xs = ragged(IN), y = sp_scan_seq(t, &layer[0].cell, xs, NULL, false);
    sp_seq r = sp_scan_seq(t, &layer[0].reverse, xs, NULL, true);
    sp_seq both = sp_seq_like(xs, sp_concat(t, 2, (sp_tensor *[]){ y.rows, r.rows }, 1));
    same(sp_stack_on_seq(t, &mine, xs, NULL).rows, sp_scan_seq(t, &layer[1].cell, both, NULL, false).rows);
    sp_tensor *state[4] = { noise(2, SP_SHAPE(B, H)), noise(3, SP_SHAPE(B, H)), noise(4, SP_SHAPE(B, 3)), noise(5, SP_SHAPE(B, 2)) };
    sp_tensor *one[4] = { state[0], state[1], state[2], state[3] };         /* the LSTM's, the GRU's, those of the next layer */
    y = sp_scan_seq(t, &layer[0].cell, xs, one, false);
    r = sp_scan_seq(t, &layer[0].reverse, xs, one + 2, true);
    both = sp_seq_like(xs, sp_concat(t, 2, (sp_tensor *[]){ y.rows, r.rows }, 1));
    y = sp_scan_seq(t, &layer[1].cell, both, one + 3, false);
    same(sp_stack_on_seq(t, &mine, xs, state).rows, y.rows);
    for (int i = 0; i < 4; i++)
        same(state[i], one[i]);
}
END_TEST

static sp_tensor *passes(sp_tape *tape, const void *self, sp_tensor *x, sp_tensor **state)
{
    (void)self;
    return *state = sp_add(tape, x, sp_scale(tape, *state, 0));
}

/* Dropout between layers has one mask over time where it is variational, and one for each step where not. */
START_TEST(dropout_between)
{
    sp_real y[3 * 2 * H], *first = y, *third = y + 2 * 2 * H;
    const sp_stack_config config = { .cell = "gru", .in = IN, .hidden = H, .layers = 2, .dropout = 0.5, .variational = _i };
    sp_stack stack = sp_stack_make(s, "rnn", &config);
    stack.layer[1].cell = (sp_cell){ .name = "passes", .step = passes, .states = 1, .width = { H } };
    t = sp_tape_new(s);
    ck_assert(sp_read(sp_stack_on(t, &stack, noise(2, SP_SHAPE(3, 2, IN)), NULL), y));
    int zeros = 0, equal = 0;
    for (int i = 0; i < 2 * H; i++) {
        zeros += first[i] == 0;
        equal += (first[i] == 0) == (third[i] == 0);
    }
    ck_assert(zeros > 0 && zeros < 2 * H && (equal == 2 * H) == _i);
}
END_TEST

/* What is skipped past a layer is what comes before dropout, and the first layer sees all of x: sequences and single steps. */
START_TEST(dropout_and_skip)
{
    enum { N = 40 };
    sp_real y[2 * N], x[2 * N];
    const sp_cell one = { .name = "passes", .step = passes, .states = 1, .width = { N } };
    sp_stack_layer layer[] = { { .cell = one }, { .cell = one } };
    const sp_stack stack = { .layer = layer, .layers = 2, .skip = SP_SKIP_RESIDUAL, .dropout = 0.5 };
    t = sp_tape_new(s);
    sp_tensor *in = noise(2, SP_SHAPE(2, N)), *state[2] = { sp_full(t, 0, SP_SHAPE(2, N)), sp_full(t, 0, SP_SHAPE(2, N)) };
    sp_tensor *out = _i ? sp_stack_step(t, &stack, in, state) : sp_stack_on(t, &stack, sp_reshape(t, in, SP_SHAPE(1, 2, N)), NULL);
    ck_assert(sp_read(out, y) && sp_read(in, x));
    int kept = 0;
    for (int i = 0; i < 2 * N; i++) {                   /* 2 x after the first layer; then that and, of half of them, twice it */
        const double ratio = (double)(y[i] / x[i]);
        kept += ratio > 4;
        ck_assert_msg(fabs(ratio - 2) < 1e-5 || fabs(ratio - 6) < 1e-5, "%g", ratio);
    }
    ck_assert(kept > 0 && kept < 2 * N);
}
END_TEST

/* Where something fails no carried state moves on. */
START_TEST(all_or_none)
{
    sp_stack stack = make(0);
    sp_real before[ROOM];
    long n;
    t = sp_tape_new(s);
    sp_state *carry = sp_state_new(&stack, B);
    sp_stack_on(t, &stack, noise(2, SP_SHAPE(3, B, IN)), carry);
    const sp_real *values = sp_state_values(carry, &n);
    memcpy(before, values, (size_t)n * sizeof *before);
    stack.layer[2].cell.step = NULL;
    sp_stack_on(t, &stack, noise(2, SP_SHAPE(3, B, IN)), carry);
    ck_assert(!sp_ok(t));
    ck_same(values, before, n);
    sp_state_zero(carry);
    for (long i = 0; i < n; i++)
        ck_assert(values[i] == 0);
    sp_state_free(carry);
    sp_state_zero(NULL);
    ck_assert(!sp_state_values(NULL, &n) && n == 0);
}
END_TEST

/* Uniform in +-1/sqrt(out) at first: within it, and near it. One name is one parameter, in every kind of cell. */
START_TEST(highway_begins)
{
    const sp_stack_config config = { .cell = sp_cell_kind(_i), .in = H, .hidden = H, .layers = 1, .skip = SP_SKIP_HIGHWAY };
    sp_stack_make(s, "rnn", &config);
    ck_assert_msg(sp_store_ok(s), "%s", sp_store_status(s)->message);
    const sp_param *w = sp_store_find(s, "rnn.weight_highway_l0");
    double low = 1, high = -1;
    for (int i = 0; w && i < H * H; i++) {
        low = fmin(low, (double)sp_param_read(w)[i]);
        high = fmax(high, (double)sp_param_read(w)[i]);
    }
    const double bound = 1 / sqrt(H);
    ck_assert(!w || (low >= -bound * 1.000001 && low < -0.7 * bound && high <= bound * 1.000001 && high > 0.7 * bound));
    ck_assert(w || sp_cell_out(&sp_stack_make(s, "other", &config).layer[0].cell) != H);
}
END_TEST

/* ---- zoneout and weight drop ----------------------------------------------------------------------------------- */

/* Not training it is the mean; with a rate of 0 the cell itself; near 1 the state does not move. */
START_TEST(zoneout)
{
    const double p[3][2] = { { 0, 0 }, { 0.25, 0.5 }, { 1 - 1e-9, 1 - 1e-9 } };
    const sp_cell lstm = sp_lstm_make(s, "lstm", 0, IN, H);
    sp_cell zoned[3];
    for (int i = 0; i < 3; i++)
        zoned[i] = sp_zoneout_make(s, &lstm, p[i]);
    t = sp_tape_new(s);
    sp_seq xs = ragged(IN);
    ck_assert(sp_ok(t));
    same(sp_scan_seq(t, &zoned[0], xs, NULL, false).rows, sp_scan_seq(t, &lstm, xs, NULL, false).rows);
    sp_tensor *start[2] = { noise(2, SP_SHAPE(B, H)), noise(3, SP_SHAPE(B, H)) }, *state[2] = { start[0], start[1] };
    sp_scan_seq(t, &zoned[2], xs, state, false);
    same(state[0], start[0]);
    same(state[1], start[1]);
    sp_tape_set_training(t, false);
    sp_tensor *x = noise(4, SP_SHAPE(B, IN)), *fresh[2] = { start[0], start[1] };
    lstm.step(t, lstm.self, x, fresh);
    sp_tensor *y = sp_scan(t, &zoned[1], sp_reshape(t, x, SP_SHAPE(1, B, IN)), state);
    same(sp_reshape(t, y, SP_SHAPE(B, H)), state[0]);
    for (int i = 0; i < 2; i++)
        same(state[i], sp_add(t, sp_scale(t, start[i], p[1][i]), sp_scale(t, fresh[i], 1 - p[1][i])));
}
END_TEST

/* Its y is its state 1; or, where `own` is set, twice that. */
static sp_tensor *second(sp_tape *tape, const void *own, sp_tensor *x, sp_tensor **state)
{
    state[0] = sp_add(tape, state[0], x);
    state[1] = sp_sub(tape, state[1], x);
    return own ? sp_scale(tape, state[1], 2) : state[1];
}

/* y is the new state where it was that of the cell, whichever; else what the cell gives. */
START_TEST(zoneout_y)
{
    const double p[] = { 0.25, 0.5 };
    const sp_cell cell = { .name = "second", .self = _i ? &p : NULL, .step = second, .states = 2, .width = { H, H } };
    const sp_cell zoned = sp_zoneout_make(s, &cell, p);
    t = sp_tape_new(s);
    sp_tape_set_training(t, false);
    sp_tensor *x = noise(1, SP_SHAPE(B, H)), *start[2] = { noise(2, SP_SHAPE(B, H)), noise(3, SP_SHAPE(B, H)) };
    sp_tensor *state[2] = { start[0], start[1] }, *y = zoned.step(t, zoned.self, x, state);
    same(state[0], sp_add(t, start[0], sp_scale(t, x, 0.75)));
    same(state[1], sp_sub(t, start[1], sp_scale(t, x, 0.5)));
    same(y, _i ? sp_scale(t, sp_sub(t, start[1], x), 2) : state[1]);
}
END_TEST

/* A share p of the elements stays, other ones at each step: n draws are within 5 deviations, sqrt(p (1 - p) n). */
START_TEST(zoneout_rate)
{
    enum { T = 50, N = 40 };
    static sp_real h[T][N];
    const double p = 0.3;
    const sp_cell rnn = sp_rnn_make(s, "rnn", 0, 1, N), zoned = sp_zoneout_make(s, &rnn, &p);
    int stay = 0, again = 0;
    t = sp_tape_new(s);
    ck_assert(sp_read(sp_scan(t, &zoned, noise(2, SP_SHAPE(T, 1, 1)), NULL), h[0]));
    for (int k = 1; k < T; k++)
        for (int i = 0; i < N; i++) {
            stay += h[k][i] == h[k - 1][i];
            again += k > 1 && h[k][i] == h[k - 1][i] && h[k - 1][i] == h[k - 2][i];
        }
    const double n = (T - 1) * N;
    ck_assert_double_eq_tol(stay, p * n, 5 * sqrt(p * (1 - p) * n));
    ck_assert_double_eq_tol(again, p * p * n, 5 * sqrt(p * p * n));
}
END_TEST

/* Outputs and gradients, unrolled and scanned, of a cell whose recurrent weight has lost some of its elements for all steps. */
START_TEST(weight_drop)
{
    const bool reverse = _i % 2;
    const sp_cell cell = sp_cell_make(s, sp_cell_kind(_i / 2), "rnn", 0, IN, H);
    const sp_param *w = sp_store_find(s, "rnn.weight_hh_l0");
    sp_real y[4][ROWS * H * H];
    double grad[2][ROOM];
    if (!w)
        return;
    t = sp_tape_new(s);
    for (int way = 0; way < 4; way++) {                 /* unrolled, scanned, without training, without */
        sp_tape_reset(t);
        sp_tape_seed(t, 3, 1);
        sp_zero_grad(t);
        sp_tape_set_training(t, way != 2);
        sp_scope_push(t, "rnn");
        if (way < 3)
            sp_weight_drop(t, w, 0.5);
        sp_seq ys = (way == 0 ? sp_unroll_seq : sp_scan_seq)(t, &cell, ragged(IN), NULL, reverse);
        sp_scope_pop(t);
        ck_assert(sp_read(ys.rows, y[way]) && sp_backward(t, squares(ys.rows)));
        for (long i = 0; i < sp_shape_size(w->shape) && way < 2; i++)
            grad[way][i] = (double)sp_gradients(t)[w->offset + i];
    }
    long zeros = 0, n = sp_shape_size(w->shape);
    for (long i = 0; i < ROWS * sp_cell_out(&cell); i++)
        ck_each(fabs((double)(y[0][i] - y[1][i])) <= WIDE(1e-12, 2e-5) && y[2][i] == y[3][i], "output %ld", i);
    ck_assert(memcmp(y[1], y[2], sizeof(sp_real) * (size_t)(ROWS * sp_cell_out(&cell))));
    for (long i = 0; i < n; i++) {
        ck_each(fabs(grad[0][i] - grad[1][i]) <= WIDE(1e-10, 1e-3), "gradient %ld: %g, %g", i, grad[0][i], grad[1][i]);
        zeros += grad[1][i] == 0;
    }
    ck_assert(zeros > 0 && zeros < n);
}
END_TEST

/* What the configuration asks for is done in every cell. */
START_TEST(stack_draws)
{
    enum { T = 6 };
    static const char *const weights[] = { "rnn.weight_hh_l0", "rnn.weight_hh_l0_reverse", "rnn.weight_hh_l1",
                                           "rnn.weight_hh_l1_reverse" };
    sp_stack_config c = { .cell = "rnn", .in = IN, .hidden = H, .layers = 2, .bidirectional = true, .weight_drop = 0.5 };
    sp_stack stack = sp_stack_make(s, "rnn", &c);
    c = (sp_stack_config){ .cell = "gru", .in = IN, .hidden = H, .layers = 1, .bidirectional = true, .zoneout = 0.4 };
    sp_stack zoned = sp_stack_make(s, "zoned", &c);
    sp_real y[T][B][2 * H];
    t = sp_tape_new(s);
    sp_tensor *xs = noise(2, SP_SHAPE(T, B, IN));
    ck_assert(sp_read(sp_stack_on(t, &zoned, xs, NULL), y[0][0]));
    ck_assert(sp_backward(t, squares(sp_stack_on(t, &stack, xs, NULL))));
    for (int i = 0; i < 4; i++) {
        const sp_param *w = sp_store_find(s, weights[i]);
        int zeros = 0;
        for (int k = 0; k < H * H; k++)
            zeros += sp_gradients(t)[w->offset + k] == 0;
        ck_assert_msg(zeros > 5 && zeros < H * H - 5, "%s: %d zeros", weights[i], zeros);
    }
    for (int half = 0; half < 2; half++) {
        int stay = 0;
        for (int k = 1; k < T; k++)
            for (int i = 0; i < B * H; i++)
                stay += y[k][i / H][half * H + i % H] == y[k - 1][i / H][half * H + i % H];
        ck_assert_msg(stay > (T - 1) * B * H / 5 && stay < (T - 1) * B * H * 3 / 5, "direction %d: %d stay", half, stay);
    }
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static const struct {
    sp_stack_config config;
    const char *error;
} bad[] = {
    { { .cell = "lstm", .in = 2, .hidden = 3 }, "x: 0 layers, not 1 or more" },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = -1 }, "x: -1 layers, not 1 or more" },
    { { .cell = "lstm", .in = 0, .hidden = 3, .layers = 1 }, "x: in 0, hidden 3, projected 0" },
    { { .cell = "lstm", .in = 2, .hidden = -3, .layers = 1 }, "x: in 2, hidden -3, projected 0" },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = 1, .projected = 2 }, "x: a cell 'lstm' has no output that is 2 wide" },
    { { .in = 2, .hidden = 3, .layers = 1 }, "cell 'NULL' is none of: " },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = 1, .dropout = 1 }, "x: dropout 1, not in 0 <= p < 1" },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = 1, .zoneout = -0.5 }, "x: zoneout -0.5, not in 0 <= p < 1" },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = 1, .weight_drop = NAN }, "x: weight drop nan, not in 0 <= p < 1" },
    { { .cell = "qrnn", .in = 2, .hidden = 3, .layers = 1, .weight_drop = 0.5 },
      "x: weight drop 0.5, but a cell 'qrnn' has no matrix weight_hh" },
    { { .cell = "indrnn", .in = 2, .hidden = 3, .layers = 1, .weight_drop = 0.5 },
      "x: weight drop 0.5, but a cell 'indrnn' has no matrix weight_hh" },
    { { .cell = "slstm", .in = 2, .hidden = 3, .layers = 1, .zoneout = 0.5 }, "zoneout: the states of cell 'slstm' mean" },
    { { .cell = "mlstm", .in = 2, .hidden = 3, .layers = 1, .zoneout = 0.5 }, "zoneout: the states of cell 'mlstm' mean" },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = 1, .skip = (sp_skip)7 }, "x: a skip 7, which is no sp_skip" },
    { { .cell = "lstm", .in = 2, .hidden = 3, .layers = 1, .merge = (sp_merge)9 }, "x: a merge 9, which is no sp_merge" },
    { { .cell = "lstm", .in = 2, .hidden = LONG_MAX, .layers = 1 }, "x: in 2, hidden 9223372036854775807, projected 0" },
    { { .cell = "mlstm", .in = 2, .hidden = 1L << 32, .layers = 1 }, "x: in 2, hidden 4294967296, projected 0" },
    { { .cell = "lstm", .in = LONG_MAX, .hidden = 2, .layers = 1 }, "x: in 9223372036854775807, hidden 2, projected 0" },
    { { .cell = "lstm-projected", .in = 2, .hidden = 2, .layers = 1, .projected = LONG_MAX },
      "x: in 2, hidden 2, projected 9223372036854775807" },
};

START_TEST(bad_config)
{
    sp_stack stack = sp_stack_make(s, "x", &bad[_i].config);
    const char *error = sp_store_status(s)->message;
    ck_assert_msg(!strncmp(error, bad[_i].error, strlen(bad[_i].error)), "%s", error);
    ck_assert(!stack.layers && !sp_stack_out(&stack) && !sp_stack_states(&stack) && !sp_state_new(&stack, 2));
    t = sp_tape_new(s);
    sp_stack_on_seq(t, &stack, (sp_seq){ 0 }, NULL);
    ck_assert(!sp_ok(t));
}
END_TEST

static sp_stack two, both;
static sp_cell wide;

static void no_sequence(void)       { sp_stack_on_seq(t, &two, (sp_seq){ 0 }, NULL); }
static void no_stack(void)          { sp_stack_on_seq(t, NULL, ragged(IN), NULL); }
static void wrong_width(void)       { sp_stack_on_seq(t, &two, ragged(IN + 1), NULL); }
static void carries_both(void)
{
    sp_state *carry = sp_state_new(&both, 2);
    sp_stack_on(t, &both, sp_full(t, 1, SP_SHAPE(3, 2, IN)), carry);
    sp_state_free(carry);
}
static void wrong_state(void)
{
    sp_tensor *state[4] = { NULL, NULL, sp_full(t, 1, SP_SHAPE(B, H + 1)) };
    sp_stack_on_seq(t, &both, ragged(IN), state);
}
static void one_cell(void)          { sp_bidirectional_on(t, &(sp_bidirectional){ .forward = wide }, ragged(IN), NULL); }
static void unequal(void)
{
    sp_bidirectional_on(t, &(sp_bidirectional){ wide, two.layer[0].cell, SP_MERGE_SUM }, ragged(IN), NULL);
}
static void step_both(void)
{
    sp_tensor *state[4] = { NULL };
    sp_stack_step(t, &both, sp_full(t, 1, SP_SHAPE(B, IN)), state);
}
static void step_null_state(void)
{
    sp_tensor *state[2] = { sp_full(t, 1, SP_SHAPE(B, H)) };
    sp_stack_step(t, &two, sp_full(t, 1, SP_SHAPE(B, IN)), state);
}
/* A step of the stack of two, which draws as it may not; but for training it may. */
static void step_drawing(sp_stack drawing)
{
    sp_tensor *state[2] = { sp_full(t, 1, SP_SHAPE(B, H)), sp_full(t, 1, SP_SHAPE(B, H)) };
    sp_tape_set_training(t, false);
    sp_stack_step(t, &drawing, sp_full(t, 1, SP_SHAPE(B, IN)), state);
    ck_tape_ok(t);
    sp_tape_set_training(t, true);
    sp_stack_step(t, &drawing, sp_full(t, 1, SP_SHAPE(B, IN)), state);
}
static void step_variational(void)
{
    sp_stack drawing = two;
    drawing.variational = true;
    drawing.dropout = 0.5;
    step_drawing(drawing);
}
static void step_drops(void)
{
    sp_stack drawing = two;
    drawing.weight_drop = 0.5;
    drawing.layer[0].drop[0] = sp_store_find(s, "two.weight_hh_l0");
    step_drawing(drawing);
}
/* A state of a stack of such cells carried by the stack of two. */
static void carry_of(int layers, sp_cell a, sp_cell b, long batch)
{
    sp_stack_layer layer[] = { { .cell = a }, { .cell = b } };
    sp_state *carry = sp_state_new(&(sp_stack){ .layer = layer, .layers = layers }, B);
    ck_assert(carry);
    sp_stack_on(t, &two, sp_full(t, 1, SP_SHAPE(3, batch, IN)), carry);
    sp_state_free(carry);
}
static sp_cell like(int states, long width)
{
    return (sp_cell){ .name = "like", .step = two.layer[0].cell.step, .states = states, .width = { width, width } };
}
static void carry_rank(void)
{
    sp_state *carry = sp_state_new(&two, B);
    sp_stack_on(t, &two, sp_full(t, 1, SP_SHAPE(B, IN)), carry);
    sp_state_free(carry);
}
static void carry_batch(void)       { carry_of(2, like(1, H), like(1, H), B - 1); }
static void carry_layers(void)      { carry_of(1, like(2, H), like(1, H), B); }
static void carry_width(void)       { carry_of(2, like(1, H), like(1, H + 1), B); }
static void carry_states(void)      { carry_of(2, like(1, H), like(2, H), B); }
static void carry_moved(void)       { carry_of(2, like(2, H), (sp_cell){ .step = two.layer[0].cell.step }, B); }
static void step_nothing(void)      { sp_stack_step(t, NULL, sp_full(t, 1, SP_SHAPE(B, IN)), (sp_tensor *[1]){ NULL }); }
static void step_no_states(void)    { sp_stack_step(t, &two, sp_full(t, 1, SP_SHAPE(B, IN)), NULL); }
static void drop_rate(void)         { sp_weight_drop(t, sp_store_find(s, "two.weight_hh_l0"), 1); }
static void drop_none(void)         { sp_weight_drop(t, NULL, 0.5); }
static void ungated(void)
{
    sp_stack_layer layer = { .cell = two.layer[1].cell };
    sp_stack_on_seq(t, &(sp_stack){ .layer = &layer, .layers = 1, .skip = SP_SKIP_HIGHWAY }, ragged(H), NULL);
}

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { no_sequence, "l0: scan: no input" },
    { no_stack, "stack: no layers (was it made?)" },
    { wrong_width, "l0.gru: affine: [4,6] x [5,18]: inner 6 != 5 (two.weight_ih_l0, two.bias_ih_l0)" },
    { carries_both,
      "stack: layer 0 is bidirectional and carries no state: its reverse cell begins at the end of all that is to come" },
    { wrong_state, "l0.reverse: scan: state 0 of cell 'lstm' is [4,7], not [4,6]" },
    { one_cell, "bidirectional: a cell is missing (was it made?)" },
    { unequal, "bidirectional: a sum of widths 9 and 6" },
    { step_both, "stack: layer 0 is bidirectional" },
    { step_null_state, "stack: state 0 of layer 1 is NULL" },
    { step_variational, "stack: layer 1 has variational dropout, which is drawn once for a whole sequence" },
    { step_drops, "stack: layer 0 has weight drop, which is drawn once for a whole sequence" },
    { carry_rank, "sequence: [4,5] is not [T,B,in]" },
    { carry_batch, "stack: the carried state, of 2 layers and a batch of 4, does not fit 2 layers and a batch of 3, or is of other cells" },
    { carry_layers, "stack: the carried state, of 1 layers and a batch of 4, does not fit 2 layers and a batch of 4, or is of other cells" },
    { carry_width, "stack: the carried state, of 2 layers and a batch of 4, does not fit 2 layers and a batch of 4, or is of other cells" },
    { carry_states, "stack: the carried state, of 2 layers and a batch of 4, does not fit 2 layers and a batch of 4, or is of other cells" },
    { carry_moved, "stack: the carried state, of 2 layers and a batch of 4, does not fit 2 layers and a batch of 4, or is of other cells" },
    { step_nothing, "stack: no layers (was it made?)" },
    { step_no_states, "stack: no states" },
    { drop_rate, "weight drop: the rate of 'two.weight_hh_l0' is 1, not in 0 <= p < 1" },
    { drop_none, "parameter: NULL (was its layer made?)" },
    { ungated, "l0: parameter: NULL (was its layer made?)" },
};

START_TEST(bad_use)
{
    two = sp_stack_make(s, "two", &(sp_stack_config){ .cell = "gru", .in = IN, .hidden = H, .layers = 2 });
    both = sp_stack_make(s, "both", &(sp_stack_config){ .cell = "lstm", .in = IN, .hidden = H, .layers = 1,
                                                        .bidirectional = true });
    wide = sp_gru_make(s, "wide", 0, IN, 9);
    t = sp_tape_new(s);
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
}
END_TEST

START_TEST(bad_zoneout)
{
    const double p[] = { 0.5, NAN };
    const sp_cell lstm = sp_lstm_make(s, "lstm", 0, IN, H);
    const sp_cell *cell[] = { NULL, &(sp_cell){ 0 }, &lstm, NULL, &lstm };
    static const char *const error[] = { "zoneout: no cell (was it made?)", "zoneout: no cell (was it made?)",
                                         "zoneout: no rates", "zoneout: no cell (was it made?)", "zoneout: the rate of state 1 is nan, not in 0 <= p < 1" };
    ck_assert(!sp_zoneout_make(s, cell[_i], _i == 2 || _i == 3 ? NULL : p).step);
    ck_assert_str_eq(sp_store_status(s)->message, error[_i]);
}
END_TEST

/* No time, and no sequences. */
START_TEST(nothing)
{
    sp_stack stack = make(_i);
    t = sp_tape_new(s);
    for (int k = 0; k < 2; k++) {
        const sp_shape shape = k ? SP_SHAPE(3, 0, IN) : SP_SHAPE(0, 3, IN);
        sp_tensor *y = sp_stack_on(t, &stack, sp_full(t, 1, shape), NULL);
        ck_tape_ok(t);
        ck_assert(sp_shape_equal(sp_shape_get(y), SP_SHAPE(shape.dim[0], shape.dim[1], sp_stack_out(&stack))));
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("stack");
    TCase *c = tcase_create("stack");
    tcase_add_test(c, pytorch);
    suite_add_tcase(all, c);
    c = tcase_create("values");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, both_directions, 0, kinds());
    tcase_add_loop_test(c, alone, 0, CONFIGS);
    tcase_add_loop_test(c, gradients, 0, CONFIGS);
    tcase_add_loop_test(c, skips, 0, 2);
    tcase_add_test(c, goes_on);
    tcase_add_loop_test(c, one_step, 0, 6);
    tcase_add_test(c, deep);
    tcase_add_test(c, by_hand);
    tcase_add_loop_test(c, dropout_between, 0, 2);
    tcase_add_loop_test(c, dropout_and_skip, 0, 2);
    tcase_add_test(c, all_or_none);
    tcase_add_loop_test(c, highway_begins, 0, kinds());
    tcase_add_test(c, zoneout);
    tcase_add_loop_test(c, zoneout_y, 0, 2);
    tcase_add_test(c, zoneout_rate);
    tcase_add_loop_test(c, weight_drop, 0, 2 * kinds());
    tcase_add_test(c, stack_draws);
    tcase_add_loop_test(c, bad_config, 0, sizeof bad / sizeof *bad);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    tcase_add_loop_test(c, bad_zoneout, 0, 5);
    tcase_add_loop_test(c, nothing, 0, CONFIGS);
    suite_add_tcase(all, c);
    return all;
}
