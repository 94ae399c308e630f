/* sp_scan against its slow twin sp_unroll: the same outputs, final states and gradients, for every cell. */
#include <math.h>
#include <stdlib.h>

#include "nn/linear.h"
#include "nn/scan.h"
#include "nn/zoneout_cell.h"
#include "ops/ops.h"
#include "tests/random_cell.h"
#include "tests/suite.h"

enum { IN = 5, H = 6, MOST = 40 };

static sp_store *s;

/* ---- cells of a user's ----------------------------------------------------------------------------------------- */

static struct mine {
    sp_linear a, b, c, d;
    sp_param *gain;
} mine;

/* An LSTM from plain operations. */
static sp_tensor *plain_lstm(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct mine *m = self;
    sp_tensor *g[4], *sum = sp_add(t, sp_linear_on(t, &m->a, x), sp_linear_on(t, &m->b, state[0]));
    sp_split(t, sum, -1, 4, g);
    state[1] = sp_add(t, sp_mul(t, sp_sigmoid(t, g[1]), state[1]), sp_mul(t, sp_sigmoid(t, g[0]), sp_tanh(t, g[2])));
    return state[0] = sp_mul(t, sp_sigmoid(t, g[3]), sp_tanh(t, state[1]));
}

/* The minimal gated unit: the state goes through a product before a product. */
static sp_tensor *mgu(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    sp_tensor *f = sp_sigmoid(t, sp_add(t, sp_linear_on(t, &m->c, x), sp_linear_on(t, &m->d, *h)));
    sp_tensor *c = sp_tanh(t, sp_add(t, sp_linear_on(t, &m->c, x), sp_linear_on(t, &m->d, sp_mul(t, f, *h))));
    return *h = sp_lerp(t, *h, c, f);
}

/* What y needs and the state does not: an output of another width behind the loop, from the old state and the new. */
static sp_tensor *projecting(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    sp_tensor *old = *h;
    *h = sp_tanh(t, sp_add(t, sp_linear_on(t, &m->c, x), sp_mul(t, old, sp_param_on(t, m->gain))));
    return sp_softmax(t, sp_linear_on(t, &m->b, sp_sub(t, *h, old)));
}

/* Random numbers before the loop, in it, and behind it. */
static sp_tensor *dropping(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    sp_tensor *in = sp_linear_on(t, &m->c, sp_dropout(t, x, 0.3));
    *h = sp_tanh(t, sp_add(t, in, sp_linear_on(t, &m->d, sp_dropout(t, *h, 0.5))));
    return sp_dropout(t, *h, 0.25);
}

/* A constant with a row for each of the batch. */
static sp_tensor *row_constants(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    sp_real rows[MOST * H];
    for (int i = 0; i < MOST * H; i++)
        rows[i] = (sp_real)(i % 7) / 7;
    sp_tensor *c = sp_mul(t, sp_feed(t, rows, SP_SHAPE(sp_dim(x, 0), H)), sp_param_on(t, m->gain));
    sp_tensor *in = sp_concat(t, 2, (sp_tensor *[]){ sp_slice(t, sp_linear_on(t, &m->c, x), 1, 0, 2), sp_slice(t, c, 1, 2, H) }, 1);
    return *h = sp_tanh(t, sp_add(t, sp_mul(t, c, *h), in));
}

/* States that are not columns of something computed: the input itself, the other state, the same thing twice. */
static sp_tensor *odd_states(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct mine *m = self;
    sp_tensor *h = sp_tanh(t, sp_add(t, sp_linear_on(t, &m->c, x), sp_linear_on(t, &m->d, state[1])));
    sp_tensor *input = x;
    state[0] = sp_slice(t, state[3], 1, 0, IN);
    state[1] = h;
    state[2] = h;
    state[3] = sp_concat(t, 2, (sp_tensor *[]){ input, sp_slice(t, state[2], 1, 0, 1) }, 1);
    return state[0];
}

/* Rows cut into several and put together again; reductions and normalisation along them. */
static sp_tensor *folding(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    const long batch = sp_dim(x, 0);
    sp_tensor *parts = sp_softmax(t, sp_reshape(t, sp_linear_on(t, &m->d, *h), SP_SHAPE(batch, 2, H / 2)));
    sp_tensor *sum = sp_sum(t, sp_transpose(t, parts, 1, 2), 2), *mean = sp_mean(t, x, 1);
    sp_tensor *wide = sp_concat(t, 2, (sp_tensor *[]){ sum, sp_max(t, parts, 1) }, 1);
    return *h = sp_tanh(t, sp_mul(t, wide, sp_add(t, sp_linear_on(t, &m->c, x), sp_reshape(t, mean, SP_SHAPE(batch, 1)))));
}

/* Products of rows with rows, as attention has them; scaled, or rounding would grow with time. */
static sp_tensor *outer(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    const sp_shape down = SP_SHAPE(sp_dim(x, 0), H, 1), across = SP_SHAPE(sp_dim(x, 0), 1, H);
    sp_tensor *column = sp_reshape(t, *h, down), *row = sp_reshape(t, sp_linear_on(t, &m->c, x), across);
    sp_tensor *product = sp_matmul(t, sp_matmul(t, column, row), sp_reshape(t, sp_linear_on(t, &m->d, *h), down));
    sp_tensor *sum = sp_scale(t, sp_reshape(t, product, SP_SHAPE(-1, H)), 1.0 / H);
    return *h = sp_tanh(t, sp_add(t, sp_linear_on(t, &m->c, x), sum));
}

/* The input itself in a sum; the terms of a sum share a gradient where nobody else adds to it. */
static sp_tensor *adding(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    return *h = sp_tanh(t, sp_add(t, x, sp_scale(t, *h, 0.5)));
}

/* Rows of a state and of columns of x cut into parts; the new states are columns of something wider, side by side and every
   second. */
static sp_tensor *cutting(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct mine *m = self;
    const long batch = sp_dim(x, 0);
    sp_tensor *parts = sp_softmax(t, sp_reshape(t, state[0], SP_SHAPE(batch, 2, H / 2)));
    sp_tensor *shares = sp_softmax(t, sp_reshape(t, sp_slice(t, x, 1, 1, IN), SP_SHAPE(batch, 2, (IN - 1) / 2)));
    sp_tensor *in = sp_add(t, sp_linear_on(t, &m->c, x), sp_linear_on(t, &m->d, state[1]));
    sp_tensor *all[] = { sp_index(t, shares, 2, 0), sp_reshape(t, parts, SP_SHAPE(batch, H)), in };
    sp_tensor *wide = sp_tanh(t, sp_concat(t, 3, all, 1));
    state[1] = sp_index(t, sp_reshape(t, sp_slice(t, wide, 1, 0, 2 * H), SP_SHAPE(batch, H, 2)), 2, 0);
    return state[0] = sp_slice(t, sp_tanh(t, wide), 1, 1, 1 + H);
}

/* What depends on x alone in several steps, seen whole and in parts; some of it is read behind the loop only. */
static sp_tensor *embedding(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    sp_tensor *in = sp_tanh(t, sp_linear_on(t, &m->c, x)), *gate = sp_sigmoid(t, sp_linear_on(t, &m->d, in));
    sp_tensor *wide = sp_linear_on(t, &m->a, x), *part = sp_slice(t, wide, 1, H, 2 * H);
    *h = sp_tanh(t, sp_add(t, sp_mul(t, part, *h), sp_mul(t, in, sp_linear_on(t, &m->d, *h))));
    return sp_add(t, sp_mul(t, gate, *h), sp_slice(t, wide, 1, 3 * H, 4 * H));
}

/* Constants with a row for each sequence: keys of three axes to attend to, and one whose rows are cut as those of x are. */
static sp_tensor *attending(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    const long batch = sp_dim(x, 0);
    sp_real number[MOST * 3 * H];
    for (int i = 0; i < MOST * 3 * H; i++)
        number[i] = (sp_real)(i % 11) / 11;
    sp_tensor *keys = sp_mul(t, sp_feed(t, number, SP_SHAPE(batch, H, 3)), sp_full(t, (sp_real)0.5, SP_SCALAR));
    sp_tensor *query = sp_reshape(t, sp_linear_on(t, &m->d, *h), SP_SHAPE(batch, 1, H));
    sp_tensor *weights = sp_softmax(t, sp_matmul(t, query, keys));
    sp_tensor *seen = sp_reshape(t, sp_matmul(t, weights, sp_transpose(t, keys, 1, 2)), SP_SHAPE(batch, H));
    sp_tensor *parts = sp_mul(t, sp_reshape(t, sp_linear_on(t, &m->c, x), SP_SHAPE(2 * batch, H / 2)),
                              sp_feed(t, number, SP_SHAPE(2 * batch, H / 2)));
    return *h = sp_tanh(t, sp_add(t, seen, sp_reshape(t, parts, SP_SHAPE(batch, H))));
}

/* The new state is the input, which may have no gradient; the old one is used once. */
static sp_tensor *shifting(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct mine *m = self;
    sp_tensor *old = *h;
    *h = x;
    return sp_tanh(t, sp_linear_on(t, &m->c, old));
}

static sp_cell listed(int i)
{
    static const struct sp_cell own[] = {
        { .name = "plain_lstm", .step = plain_lstm, .states = 2, .width = { H, H } },
        { .name = "mgu", .step = mgu, .states = 1, .width = { H } },
        { .name = "projecting", .step = projecting, .out = 4 * H, .states = 1, .width = { H } },
        { .name = "dropping", .step = dropping, .states = 1, .width = { H } },
        { .name = "row_constants", .step = row_constants, .states = 1, .width = { H } },
        { .name = "odd_states", .step = odd_states, .out = IN, .states = 4, .width = { IN, H, H, H } },
        { .name = "folding", .step = folding, .states = 1, .width = { H } },
        { .name = "outer", .step = outer, .states = 1, .width = { H } },
        { .name = "adding", .step = adding, .states = 1, .width = { IN } },
        { .name = "embedding", .step = embedding, .states = 1, .width = { H } },
        { .name = "attending", .step = attending, .states = 1, .width = { H } },
        { .name = "shifting", .step = shifting, .out = H, .states = 1, .width = { IN } },
        { .name = "cutting", .step = cutting, .states = 2, .width = { H, H } },
    };
    static const char *const zoned[] = { "rnn", "lstm", "gru-before", "sru", "lstm-projected" };
    static const double rates[] = { 0.4, 0.7, 0.1, 0.2 };
    if (sp_cell_kind(i))
        return sp_cell_make(s, sp_cell_kind(i), "cell", 0, IN, H);
    for (int k = 0; sp_cell_kind(k); k++)
        i--;
    if (i < 5) {
        sp_cell inner = sp_cell_make(s, zoned[i], "cell", 0, IN, H);
        return sp_zoneout_make(s, &inner, rates);
    }
    i -= 5;
    sp_cell cell = i < (int)(sizeof own / sizeof *own) ? own[i] : (sp_cell){ 0 };
    mine = (struct mine){ sp_linear_make(s, "a", IN, 4 * H), sp_linear_make(s, "b", H, 4 * H), sp_linear_make(s, "c", IN, H),
                          sp_linear_make(s, "d", H, H), sp_store_add(s, SP_SHAPE(H), "gain") };
    cell.self = &mine;
    return cell;
}

static int cells(void)
{
    int n = 0;
    s = sp_store_new(1);
    while (listed(n).name) {
        n++;
        sp_store_free(s);
        s = sp_store_new(1);
    }
    sp_store_free(s);
    return n;
}

static sp_cell drawn(int seed)
{
    static struct random_cell cell;
    return random_cell(&cell, s, (uint64_t)seed, IN);
}

/* ---- both ways ------------------------------------------------------------------------------------------------- */

typedef sp_seq runner(sp_tape *t, const sp_cell *cell, sp_seq xs, sp_tensor **state, bool reverse);

/* Outputs, final states and all gradients, one after the other. */
struct result {
    sp_real *value;
    long n, values;             /* all, and those that are no gradients */
};

static void add_tensor(struct result *r, const sp_tensor *x, bool grad)
{
    long n = sp_shape_size(sp_shape_get(x));
    r->value = realloc(r->value, (size_t)(r->n + n + 1) * sizeof *r->value);
    ck_assert(grad ? sp_read_grad(x, r->value + r->n) : sp_read(x, r->value + r->n));
    r->n += n;
}

/* A batch of B sequences of T steps or, where lengths are given, of those lengths. */
struct batch {
    long T, B;
    const long *length;
    bool reverse;
    unsigned zeros;             /* bit i: state i is not given */
    long symbols;               /* the inputs are rows of a table of so many; 0: all are different */
    bool fixed;                 /* the inputs have no gradient */
    bool states_only;           /* the loss is one of final states */
    size_t budget;              /* of the tape */
    bool forward;               /* without recording */
};

static long rows_of(struct batch b)
{
    long rows = b.length ? 0 : b.T * b.B;
    for (long i = 0; b.length && i < b.B; i++)
        rows += b.length[i];
    return rows;
}

/* [rows,IN], or one more where xs has that. */
static sp_tensor *inputs(sp_tape *t, struct batch b, const sp_param *xs)
{
    const long rows = rows_of(b);
    sp_tensor *x = sp_slice(t, sp_param_on(t, xs), 0, 0, (b.symbols ? b.symbols : rows) * IN);
    int *id = malloc((size_t)(rows + 1) * sizeof *id);
    x = sp_reshape(t, x, SP_SHAPE(-1, IN));
    if (b.fixed) {
        sp_real *copy = malloc((size_t)((b.symbols ? b.symbols : rows) * IN + 1) * sizeof *copy);
        sp_read(x, copy);
        x = sp_feed(t, copy, sp_shape_get(x));
        free(copy);
    }
    for (long i = 0; i < rows && b.symbols; i++)
        id[i] = (int)((i * i + i / 3) % b.symbols);
    if (b.symbols)
        x = sp_embedding(t, x, id, rows);
    free(id);
    return x;
}

/* A loss that feels every output differently, and the final states, and one output twice. */
static sp_tensor *loss_of(sp_tape *t, sp_tensor *ys, int states, sp_tensor *const *state)
{
    long n = sp_shape_size(sp_shape_get(ys));
    sp_real *weight = malloc((size_t)(n + 1) * sizeof *weight);
    sp_random_uniform((sp_key){ .place = 5 }, n, weight, -1, 1);
    sp_tensor *loss = sp_sum(t, sp_mul(t, ys, sp_feed(t, weight, sp_shape_get(ys))), SP_ALL);
    for (int i = 0; i < states; i++)
        loss = sp_add(t, loss, sp_sum(t, sp_mul(t, state[i], state[i]), SP_ALL));
    free(weight);
    return n ? sp_add(t, loss, sp_sum(t, sp_index(t, ys, 0, -1), SP_ALL)) : loss;
}

/* A tape with the input x and the initial states of a batch on it. */
static sp_tape *start(const sp_cell *cell, struct batch b, const sp_param *xs, sp_param *const *initial, sp_tensor **x,
                      sp_seq *seq, sp_tensor **state)
{
    sp_tape *t = sp_tape_new(s);
    sp_tape_seed(t, 3, 1);
    sp_tape_set_budget(t, b.budget);
    sp_tape_set_recording(t, !b.forward);
    for (int i = 0; i < cell->states; i++)
        state[i] = b.zeros >> i & 1 ? NULL : sp_param_on(t, initial[i]);
    *x = inputs(t, b, xs);
    *seq = b.length ? sp_seq_pack(t, *x, b.length, b.B) : sp_seq_of(t, sp_reshape(t, *x, SP_SHAPE(b.T, b.B, IN)));
    return t;
}

static struct result run(runner *way, const sp_cell *cell, struct batch b, const sp_param *xs, sp_param *const *initial)
{
    struct result r = { 0 };
    sp_tensor *state[SP_MAX_STATES], *x;
    sp_seq seq;
    sp_tape *t = start(cell, b, xs, initial, &x, &seq, state);
    sp_tensor *ys = sp_seq_unpack(t, way(t, cell, seq, state, b.reverse));
    sp_tensor *loss = loss_of(t, ys, cell->states, state);
    loss = sp_add(t, loss, sp_sum(t, sp_mul(t, x, x), SP_ALL));         /* x is used elsewhere, too */
    if (b.states_only)
        loss = sp_sum(t, sp_mul(t, state[0], state[0]), SP_ALL);
    ck_assert_msg(sp_ok(t), "%s: %s", cell->name, sp_error(t));
    if (loss->buffer->wants_grad)       /* else no state is given, and the cell looks at neither x nor a parameter */
        ck_assert_msg(sp_backward(t, loss), "%s: %s", cell->name, sp_error(t));
    add_tensor(&r, ys, false);
    for (int i = 0; i < cell->states; i++)
        add_tensor(&r, state[i], false);
    r.values = r.n;
    for (int i = 0; i < sp_store_count(s) && !b.forward; i++)
        add_tensor(&r, sp_param_on(t, sp_store_at(s, i)), true);
    sp_tape_free(t);
    return r;
}

/* The smallest budget that a scan says it can do with; 0 if nothing is to be computed. */
static size_t least_budget(const sp_cell *cell, struct batch b, const sp_param *xs, sp_param *const *initial)
{
    unsigned long least = 0;
    sp_tensor *state[SP_MAX_STATES], *x;
    sp_seq seq;
    b.budget = 1;
    sp_tape *t = start(cell, b, xs, initial, &x, &seq, state);
    sp_scan_seq(t, cell, seq, state, b.reverse);
    const char *number = strstr(sp_error(t), "need a budget of ");
    ck_assert_msg(number || sp_ok(t), "%s: %s", cell->name, sp_error(t));
    if (number)
        ck_assert_int_eq(sscanf(number, "need a budget of %lu bytes, not 1", &least), 1);
    sp_tape_free(t);
    return least;
}

static void check_same(const sp_cell *cell, struct batch b, const char *what, struct result one, struct result other)
{
    const long n = b.forward ? one.values : one.n;
    ck_assert_int_eq(n, other.n);
    for (long i = 0; i < n; i++)
        if (memcmp(&one.value[i], &other.value[i], sizeof *one.value))
            ck_abort_msg("%s\nT = %ld, B = %ld%s%s, %ld symbols, %s, %zu bytes: %s %ld is %.9g, not %.9g", cell->name, b.T, b.B,
                         b.length ? ", lengths" : "", b.reverse ? ", reverse" : "", b.symbols, what, b.budget,
                         i < one.values ? "value" : "gradient", i, (double)other.value[i], (double)one.value[i]);
}

/* The same bits without recording, and with budgets, of which the first is the least. */
static void check_bits(const sp_cell *cell, struct batch b, const sp_param *xs, sp_param *const *initial, struct result free_of_it)
{
    const size_t least = least_budget(cell, b, xs, initial);
    const int budgets = rows_of(b) < 600 ? 1 : 3;               /* up to there a scan is one stretch */
    struct result r;
    for (int i = 0; i < budgets && least; i++) {
        b.budget = least + least * (size_t)i / 3;
        r = run(sp_scan_seq, cell, b, xs, initial);
        check_same(cell, b, "budget", free_of_it, r);
        free(r.value);
    }
    if (b.symbols)              /* without recording products are those of all rows, which may round otherwise */
        return;
    b.forward = true;
    r = run(sp_scan_seq, cell, b, xs, initial);
    check_same(cell, b, "no recording", free_of_it, r);
    free(r.value);
}

static void check_near(const sp_cell *cell, struct batch b, const char *what, double tolerance, long n, const sp_real *slow,
                       const sp_real *fast)
{
    double worst = 0, largest = 1;
    for (long i = 0; i < n; i++) {
        double off = fabs((double)slow[i] - (double)fast[i]);
        largest = fmax(largest, fabs((double)slow[i]));
        worst = isnan(off) || off > worst ? off : worst;
    }
    ck_assert_msg(worst <= tolerance * largest, "%s\nT = %ld, B = %ld%s%s, %ld symbols: %s differ by %.2e of %.2e", cell->name,
                  b.T, b.B, b.length ? ", lengths" : "", b.reverse ? ", reverse" : "", b.symbols, what, worst, largest);
}

static void compare_batch(sp_cell (*make)(int), int which, struct batch b)
{
    sp_param *initial[SP_MAX_STATES], *xs;
    s = sp_store_new(7);
    sp_cell cell = make(which);
    xs = sp_store_add(s, SP_SHAPE((b.symbols ? b.symbols : rows_of(b)) * IN + 1), "xs");
    for (int i = 0; i < cell.states; i++)
        initial[i] = sp_store_add(s, SP_SHAPE(b.B, cell.width[i]), "initial%d", i);
    for (int i = 0; i < sp_store_count(s); i++) {
        sp_param *p = sp_store_at(s, i);
        sp_random_uniform(sp_param_key(p), sp_shape_size(p->shape), sp_param_values(p), -0.7, 0.7);
    }
    for (int i = 0; cell.joint && i < cell.states; i++)         /* where one divides another, none may be near 0 later on */
        sp_random_uniform(sp_param_key(initial[i]), sp_shape_size(initial[i]->shape), sp_param_values(initial[i]), 0, 0.7);
    struct result slow = run(sp_unroll_seq, &cell, b, xs, initial), fast = run(sp_scan_seq, &cell, b, xs, initial);
    /* the same products in another order of summation: rounding only, which some of the drawn cells carry far */
    const double tolerance = WIDE(1e-10, make == drawn ? 1e-4 : 1e-5);
    ck_assert_int_eq(slow.n, fast.n);
    check_near(&cell, b, "outputs and states", tolerance, slow.values, slow.value, fast.value);
    check_near(&cell, b, "gradients", tolerance, slow.n - slow.values, slow.value + slow.values, fast.value + slow.values);
    check_bits(&cell, b, xs, initial, fast);
    free(slow.value);
    free(fast.value);
    sp_store_free(s);
}

/* There and back. */
static void compare(sp_cell (*make)(int), int which, struct batch b)
{
    compare_batch(make, which, b);
    b.reverse = true;
    compare_batch(make, which, b);
}

START_TEST(twins)
{
    const long T[] = { 0, 1, 2, 37 }, B[] = { 1, 2, 5, 6 };
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            compare(listed, _i, (struct batch){ .T = T[i], .B = B[k] });
    compare(listed, _i, (struct batch){ .T = 190, .B = 5 });      /* in three stretches */
    compare(listed, _i, (struct batch){ .T = 41, .B = 30 });
    compare(listed, _i, (struct batch){ .T = 9, .B = 4, .fixed = true });
    compare(listed, _i, (struct batch){ .T = 190, .B = 5, .states_only = true });
}
END_TEST

/* Different lengths: repeated, single, sorted either way, one sequence, and enough for several stretches. */
static const long lengths[][8] = {
    { 3, 1, 2 }, { 1, 1, 2, 2, 2, 7 }, { 7, 5, 5, 3, 1 }, { 4 }, { 2, 2, 2 }, { 1, 37, 5, 37, 2, 9, 37, 1 }, { 300, 90, 200, 1, 90 },
};

enum { LENGTHS = sizeof lengths / sizeof *lengths };

static struct batch ragged_batch(int list)
{
    struct batch b = { .length = lengths[list] };
    while (b.B < 8 && lengths[list][b.B])
        b.B++;
    return b;
}

START_TEST(ragged)
{
    for (int k = 0; k < LENGTHS; k++)
        compare(listed, _i, ragged_batch(k));
}
END_TEST

/* Inputs that are rows of a table, smaller and larger than would pay. */
START_TEST(symbols)
{
    static const long length[] = { 3, 9, 2, 9, 1 };
    for (long n = 1; n <= 60; n += n < 5 ? 1 : 55) {
        compare(listed, _i, (struct batch){ .T = 1, .B = 4, .symbols = n });
        compare(listed, _i, (struct batch){ .T = 90, .B = 6, .symbols = n });
        compare(listed, _i, (struct batch){ .B = 5, .length = length, .symbols = n });
        compare(listed, _i, (struct batch){ .T = 30, .B = 6, .symbols = n, .fixed = true });
    }
}
END_TEST

static sp_tensor *squaring(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    return *h = sp_tanh(t, sp_add(t, *h, sp_mul(t, x, x)));
}

/* Two symbols side by side make an input: its rows are no rows of the table. A row that does not occur may hold anything. */
START_TEST(odd_tables)
{
    const int id[] = { 0, 2, 1, 1, 2, 2, 0, 1, 1, 0, 0, 2, 1, 0, 2, 2, 1, 0, 0, 1, 2, 0, 1, 2 };
    const sp_cell cell = { .name = "squaring", .step = squaring, .states = 1, .width = { _i ? 2 : 4 } };
    const sp_real start[] = { 1, 2, 3, 4, 5, 6, (sp_real)NAN, (sp_real)INFINITY };
    sp_real y[2][24 * 2], table[2][4 * 2];
    for (int way = 0; way < 2; way++) {
        sp_tape *t = sp_tape_new(NULL);
        sp_tensor *e = sp_variable(t, start, SP_SHAPE(4, 2)), *x = sp_embedding(t, e, id, 24);
        sp_tensor *xs = sp_reshape(t, x, _i ? SP_SHAPE(6, 4, 2) : SP_SHAPE(6, 2, 4));
        sp_tensor *ys = way ? sp_scan(t, &cell, xs, NULL) : sp_unroll(t, &cell, xs, NULL);
        sp_backward(t, sp_sum(t, ys, SP_ALL));
        ck_tape_ok(t);
        ck_assert(sp_read(ys, y[way]) && sp_read_grad(e, table[way]));
        sp_tape_free(t);
    }
    for (int i = 0; i < 24 * 2; i++)
        ck_assert(fabs((double)(y[0][i] - y[1][i])) < 1e-6);
    for (int i = 0; i < 4 * 2; i++)
        ck_assert(fabs((double)(table[0][i] - table[1][i])) < 1e-5);
}
END_TEST

/* The products of x are computed for the table alone. */
START_TEST(few_products)
{
    const long length[] = { 5, 2 };
    s = sp_store_new(1);
    sp_cell lstm = sp_lstm_make(s, "lstm", 0, IN, H);
    sp_param *table = sp_store_add(s, SP_SHAPE(3, IN), "table");
    sp_tape *t = sp_tape_new(s);
    sp_tensor *x = sp_embedding(t, sp_param_on(t, table), (const int[]){ 0, 1, 2, 1, 0, 2, 2 }, 7);
    sp_scan_seq(t, &lstm, sp_seq_pack(t, x, length, 2), NULL, _i);
    ck_tape_ok(t);
    int products = 0;
    for (const struct sp_node *n = sp_tape_last(t); n; n = n->previous)
        if (!strcmp(n->op->name, "affine")) {
            ck_assert(sp_shape_equal(n->output->view.shape, SP_SHAPE(3, 4 * H)));
            products++;
        }
    ck_assert_int_eq(products, 1);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* ---- cells that nobody wrote ----------------------------------------------------------------------------------- */

enum { CELLS = 500, TOGETHER = 25 };

/* Some batches for each cell, all kinds of them for every few cells. */
START_TEST(random_cells)
{
    for (int seed = _i * TOGETHER + 1; seed <= (_i + 1) * TOGETHER; seed++) {
        const long T[] = { 0, 1, 2, 9, 37 };
        for (int i = 0; i < 7; i++) {
            /* the longest is left out: gradients may overflow in it */
            struct batch b = i > 4 ? ragged_batch((seed + 3 * i) % (LENGTHS - 1))
                                   : (struct batch){ .T = T[i], .B = i == 3 ? 50 : 1 + (seed + i) % 6 };
            b.reverse = (seed / 2 + i) % 2;
            b.zeros = (unsigned)(seed / 4 + i) % 8;
            b.symbols = i % 2 ? 0 : 1 + seed % 9;
            b.fixed = seed % 5 == i;
            compare_batch(drawn, seed, b);
        }
    }
}
END_TEST

/* Every operation that acts on rows stands in the program of a random cell. */
START_TEST(all_are_drawn)
{
    enum { ROOM = 200 };
    bool seen[ROOM] = { false };
    for (int seed = 1; seed <= CELLS; seed++) {
        s = sp_store_new(1);
        sp_cell cell = drawn(seed);
        sp_tape *t = sp_tape_new(s);
        sp_scan(t, &cell, sp_full(t, 1, SP_SHAPE(1, 1, IN)), NULL);
        ck_assert_msg(sp_ok(t), "%s: %s", cell.name, sp_error(t));
        for (const struct sp_node *n = sp_tape_last(t); n; n = n->previous)
            for (const struct sp_node *o = n->program; o; o = o->previous)
                for (int i = 0; i < ROOM && sp_op_table[i]; i++)
                    seen[i] |= sp_op_table[i] == o->op;
        sp_tape_free(t);
        sp_store_free(s);
    }
    for (int i = 0; sp_op_table[i]; i++)
        ck_assert_msg(i < ROOM && (seen[i] || !(sp_op_table[i]->flags & (SP_OP_ROWS | SP_OP_VIEW))),
                      "no random cell has '%s': it needs a row in tests/random_cell.c", sp_op_table[i]->name);
}
END_TEST

/* ---- batches --------------------------------------------------------------------------------------------------- */

/* A ragged batch gives each sequence what it would get alone. */
START_TEST(alone)
{
    const long length[] = { 2, 5, 1, 3 };
    sp_real x[11 * IN], together[11 * H], one[5 * H];
    s = sp_store_new(1);
    sp_cell gru = sp_gru_make(s, "gru", 0, IN, H);
    sp_tape *t = sp_tape_new(s);
    sp_random_uniform((sp_key){ .seed = 1 }, 11 * IN, x, -1, 1);
    for (int reverse = 0; reverse < 2; reverse++) {
        sp_seq seq = sp_seq_pack(t, sp_feed(t, x, SP_SHAPE(11, IN)), length, 4);
        ck_assert_msg(sp_read(sp_seq_unpack(t, sp_scan_seq(t, &gru, seq, NULL, reverse)), together), "%s", sp_error(t));
        for (long i = 0, at = 0; i < 4; at += length[i++]) {
            sp_tensor *own = sp_feed(t, x + at * IN, SP_SHAPE(length[i], 1, IN));
            ck_assert(sp_read(sp_unroll_seq(t, &gru, sp_seq_of(t, own), NULL, reverse).rows, one));
            for (long k = 0; k < length[i] * H; k++)    /* products of other sizes add in another order */
                ck_assert(fabs((double)(together[at * H + k] - one[k])) < WIDE(1e-14, 1e-6));
        }
    }
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

static const struct {
    long length[4], n, rows;
    const char *error;
} bad_lengths[] = {
    { { 2, 0, 1 }, 3, 3, "sequence: length 0 of sequence 1 is not 1 or more" },
    { { 2, -1, 2 }, 3, 3, "sequence: length -1 of sequence 1 is not 1 or more" },
    { { 2, 2 }, 2, 3, "sequence: [3,1] does not have the 4 rows of the lengths" },
    { { 1 }, 0, 1, "sequence: [1,1] does not have the 0 rows of the lengths" },
};

START_TEST(wrong_lengths)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_seq seq = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(bad_lengths[_i].rows, 1)), bad_lengths[_i].length, bad_lengths[_i].n);
    ck_assert(!sp_sound(seq.rows) && !sp_sound(sp_seq_unpack(t, seq)) && !sp_sound(sp_seq_tensor(t, seq)));
    ck_assert_str_eq(sp_error(t), bad_lengths[_i].error);
    sp_tape_free(t);
}
END_TEST

/* ---- the tape -------------------------------------------------------------------------------------------------- */

START_TEST(entries_do_not_depend_on_time)
{
    long length[2];
    for (int i = 0; i < 2; i++) {
        s = sp_store_new(1);
        sp_cell lstm = sp_lstm_make(s, "lstm", 0, 2, 3);
        sp_tape *t = sp_tape_new(s);
        sp_scan(t, &lstm, sp_full(t, 1, SP_SHAPE(i ? 10000 : 10, 2, 2)), NULL);
        ck_assert_msg(sp_ok(t), "%s", sp_error(t));
        length[i] = sp_tape_length(t);
        sp_tape_free(t);
        sp_store_free(s);
    }
    ck_assert_int_eq(length[0], length[1]);
    ck_assert_int_lt(length[0], 20);
}
END_TEST

START_TEST(no_time)
{
    s = sp_store_new(1);
    sp_cell lstm = sp_lstm_make(s, "lstm", 0, 2, 3);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *ys = sp_scan(t, &lstm, sp_full(t, 1, SP_SHAPE(0, 4, 2)), NULL);
    ck_assert(sp_ok(t) && sp_shape_equal(sp_shape_get(ys), SP_SHAPE(0, 4, 3)));
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

static sp_tensor *reads(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    return *h = sp_item(sp_sum(t, x, 1)) > 0 ? sp_neg(t, *h) : sp_tanh(t, *h);
}

static sp_tensor *mixes(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self, (void)x;
    return *h = sp_sub(t, *h, sp_mean(t, *h, 0));
}

static sp_tensor *transposes(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self, (void)x;
    return *h = sp_add(t, *h, sp_transpose(t, *h, 0, 1));
}

/* Each row of h into all rows of y: h [3,3] by 3 matrices. */
static sp_tensor *spreads(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self, (void)x;
    return *h = sp_sum(t, sp_matmul(t, *h, sp_full(t, 1, SP_SHAPE(3, 3, 3))), 1);
}

/* Two rows out of one, and back: h [1,3]. */
static sp_tensor *doubles(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self, (void)x;
    sp_tensor *two = sp_add(t, *h, sp_full(t, 1, SP_SHAPE(2, 3)));
    return *h = sp_slice(t, sp_reshape(t, two, SP_SHAPE(1, 6)), 1, 0, 3);
}

static sp_tensor *inner_time(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    sp_scope_push(t, "inner");
    sp_scope_time(t, 1);
    sp_scope_pop(t);
    return *h = sp_add(t, x, *h);
}

static sp_tensor *inner_scan(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const sp_cell cell = { .name = "inner", .step = squaring, .states = 1, .width = { 1 } };
    (void)self, (void)x;
    return *h = sp_add(t, sp_reshape(t, sp_scan(t, &cell, sp_full(t, 1, SP_SHAPE(1, 3, 1)), NULL), SP_SHAPE(3, 1)), *h);
}

static sp_tensor *forgets(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self, (void)x;
    return *h = sp_full(t, 1, SP_SHAPE(3, 3));
}

static sp_tensor *outside;

static sp_tensor *adds_outside(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    return *h = sp_tanh(t, sp_add(t, sp_add(t, *h, x), sp_neg(t, outside)));
}

/* What has a row for each sequence, in the caller's order, cannot be added to rows in another. */
START_TEST(rows_from_outside)
{
    const long length[] = { 2, 3, 1 };
    sp_cell cell = { .name = "adds", .step = adds_outside, .states = 1, .width = { 2 } };
    sp_tape *t = sp_tape_new(NULL);
    outside = sp_full(t, 1, SP_SHAPE(3, 2));
    sp_scan(t, &cell, sp_full(t, 1, SP_SHAPE(4, 3, 2)), NULL);
    ck_tape_ok(t);
    sp_scan_seq(t, &cell, sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(6, 2)), length, 3), NULL, false);
    ck_assert_msg(strstr(sp_error(t), "add: [3,2] from outside the step has a row for each sequence"), "%s", sp_error(t));
    sp_tape_free(t);
}
END_TEST

static sp_tensor *taken[2];

static sp_tensor *hands_out(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    (void)self;
    taken[0] = sp_add(t, x, *h);                        /* not needed on the way back */
    return *h = taken[1] = sp_tanh(t, taken[0]);
}

/* What a step lets others keep of its values: those that scan keeps may be used, the others say that they are gone. */
START_TEST(values_of_a_step)
{
    sp_cell cell = { .name = "hands out", .step = hands_out, .states = 1, .width = { 3 } };
    sp_real value[3 * 3];
    sp_tape *t = sp_tape_new(NULL);
    sp_tensor *x = sp_variable(t, (const sp_real[9]){ 1, 2, 3 }, SP_SHAPE(1, 3, 3));
    sp_tensor *ys = sp_scan(t, &cell, x, NULL);
    ck_assert(sp_read(taken[1], value) && fabs((double)value[0] - tanh(1)) < 1e-6);
    if (_i == 0)
        ck_assert(!sp_read(taken[0], value));
    else if (_i == 1)
        sp_tanh(t, taken[0]);
    else
        ck_assert(!sp_read_grad(taken[0], value));
    ck_assert_msg(strstr(sp_error(t), "not kept; return"), "%s", sp_error(t));
    sp_tape_clear(t);
    sp_scan(t, &cell, sp_reshape(t, ys, SP_SHAPE(1, 3, 3)), NULL);
    ck_tape_ok(t);
    sp_tape_free(t);
}
END_TEST

/* What the step returned is y as the first step has it, for whoever kept it: gradients go the same way. */
START_TEST(first_y)
{
    sp_cell cell = { .name = "hands out", .step = hands_out, .states = 1, .width = { 3 } };
    sp_real grad[2][4 * 2 * 3];
    for (int i = 0; i < 2; i++) {
        sp_tape *t = sp_tape_new(NULL);
        sp_tensor *x = sp_variable(t, (const sp_real[24]){ 1, 2, 3, 4 }, SP_SHAPE(4, 2, 3));
        sp_tape_set_budget(t, _i ? 1200 * sizeof(sp_real) / 4 : 0);
        sp_tensor *ys = sp_scan(t, &cell, x, NULL);
        sp_backward(t, sp_sum(t, i ? sp_index(t, ys, 0, 0) : taken[1], SP_ALL));
        ck_tape_ok(t);
        ck_assert(sp_read_grad(x, grad[i]) && grad[i][0] > 0 && grad[i][3] > 0 && grad[i][6] == 0);
        sp_tape_free(t);
    }
    ck_same(grad[0], grad[1], 24);
}
END_TEST

static const struct {
    const char *name;
    sp_tensor *(*step)(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h);
    long batch;
    const char *error;
} cannot[] = {
    { "reads", reads, 3, "reads: scan: the step reads a value, which is not known while it is traced; use sp_unroll" },
    { "mixes", mixes, 3, "mixes: scan: 'mean' does not act on each row alone; use sp_unroll" },
    { "transposes", transposes, 3, "transposes: scan: 'transpose' does not act on each row alone; use sp_unroll" },
    { "spreads", spreads, 3, "spreads: scan: 'matmul' does not act on each row alone; use sp_unroll" },
    { "doubles", doubles, 1, "doubles: scan: 'add' does not act on each row alone; use sp_unroll" },
    { "inner time", inner_time, 3, "inner time.inner: scan: the step has a loop over time of its own; use sp_unroll" },
    { "inner scan", inner_scan, 3, "inner scan: scan: inside the step of a scan; use sp_unroll for one of them" },
    { "forgets", forgets, 3, "forgets: scan: y does not depend on the sequence; use sp_unroll" },
};

START_TEST(cannot_be_traced)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_cell cell = { .name = cannot[_i].name, .step = cannot[_i].step, .states = 1, .width = { 3 } };
    sp_tensor *ys = sp_scan(t, &cell, sp_full(t, 1, SP_SHAPE(4, cannot[_i].batch, 1)), NULL);
    ck_assert(!sp_sound(ys));
    ck_assert_str_eq(sp_error(t), cannot[_i].error);
    sp_tape_free(t);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("scan");
    TCase *c = tcase_create("twins");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, twins, 0, cells());
    tcase_add_loop_test(c, ragged, 0, cells());
    tcase_add_loop_test(c, symbols, 0, cells());
    tcase_add_loop_test(c, few_products, 0, 2);
    tcase_add_loop_test(c, odd_tables, 0, 2);
    tcase_add_loop_test(c, random_cells, 0, CELLS / TOGETHER);
    tcase_add_test(c, all_are_drawn);
    tcase_add_test(c, alone);
    tcase_add_loop_test(c, wrong_lengths, 0, sizeof bad_lengths / sizeof *bad_lengths);
    suite_add_tcase(all, c);
    c = tcase_create("tape");
    tcase_add_test(c, entries_do_not_depend_on_time);
    tcase_add_test(c, no_time);
    tcase_add_loop_test(c, values_of_a_step, 0, 3);
    tcase_add_loop_test(c, first_y, 0, 2);
    tcase_add_test(c, rows_from_outside);
    tcase_add_loop_test(c, cannot_be_traced, 0, sizeof cannot / sizeof *cannot);
    suite_add_tcase(all, c);
    return all;
}
