/* Layers, stacks of cells, and what is said of wrong ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/gradcheck.h"
#include "nn/embed.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/suite.h"

enum { T = 4, B = 3, IN = 5, H = 6 };

static void noise(uint64_t place, long n, sp_real *out)
{
    sp_random_uniform((sp_key){ .seed = 5, .place = place }, n, out, -1, 1);
}

static sp_tensor *noise_on(sp_tape *t, uint64_t place, sp_shape shape)
{
    sp_real x[512];
    noise(place, sp_shape_size(shape), x);
    return sp_feed(t, x, shape);
}

static int kinds(void)
{
    int n = 0;
    while (sp_cell_kind(n))
        n++;
    return n;
}

/* ---- gradients ------------------------------------------------------------------------------------------------- */

struct model {
    sp_linear linear;
    sp_embed embed;
};

static sp_tensor *layers_loss(sp_tape *t, void *context)
{
    const struct model *m = context;
    sp_tensor *x = sp_embed_on(t, &m->embed, (const int[]){ 3, 1, 3, 0 }, 4);
    sp_tensor *y = sp_linear_on(t, &m->linear, sp_reshape(t, x, SP_SHAPE(2, 2, IN)));
    return sp_mse(t, y, noise_on(t, 2, SP_SHAPE(2, 2, H)));
}

static void check_gradients(sp_store *s, sp_loss_fn loss, struct model *m)
{
    sp_gradcheck_report r;
    sp_status status = { 0 };
    ck_assert_msg(sp_gradcheck(s, loss, m, 0, &r, &status), "%s", status.message);
    ck_assert_int_gt(r.checked, H);
    /* float64: h^4 of the differences and their rounding; float32 only says that nothing is far off */
    ck_assert_msg(r.error < WIDE(1e-6, 0.2), "at %s backward gives %.12g, differences %.12g", r.where, r.backward,
                  r.numeric);
}

START_TEST(layer_gradients)
{
    sp_store *s = sp_store_new(7);
    struct model m = { .embed = sp_embed_make(s, "embed", 4, IN), .linear = sp_linear_make(s, "linear", IN, H) };
    check_gradients(s, layers_loss, &m);
    sp_store_free(s);
}
END_TEST

/* ---- stacks ---------------------------------------------------------------------------------------------------- */

START_TEST(carried_state)
{
    sp_store *s = sp_store_new(8);
    sp_stack stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = sp_cell_kind(_i), .in = IN, .hidden = H, .layers = 2 });
    sp_tape *t = sp_tape_new(s);
    sp_state *carry = sp_state_new(&stack, B);
    sp_real whole[5 * B * H], part[5 * B * H];
    const long out = sp_stack_out(&stack);
    ck_assert_int_eq(sp_store_find(s, "rnn.weight_ih_l1")->shape.dim[1], sp_cell_out(&stack.layer[0].cell));
    sp_read(sp_stack_on(t, &stack, noise_on(t, 1, SP_SHAPE(5, B, IN)), NULL), whole);
    for (int round = 0; round < 2; round++) {
        sp_tape_reset(t);
        sp_tensor *xs = noise_on(t, 1, SP_SHAPE(5, B, IN));
        sp_read(sp_stack_on(t, &stack, sp_slice(t, xs, 0, 0, 2), carry), part);
        sp_tape_reset(t);
        xs = noise_on(t, 1, SP_SHAPE(5, B, IN));
        sp_read(sp_stack_on(t, &stack, sp_slice(t, xs, 0, 2, 5), carry), part + 2 * B * out);
        ck_tape_ok(t);
        for (int i = 0; i < 5 * B * out; i++)     /* products of other sizes add in another order */
            ck_assert(fabs((double)(part[i] - whole[i])) < WIDE(1e-14, 1e-6));
        sp_state_zero(carry);
    }
    sp_state_free(carry);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* Zeros are nowhere but where dropout put them: in the input of the second layer. */
START_TEST(dropout_between_layers)
{
    sp_store *s = sp_store_new(8);
    sp_stack with = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = "rnn", .in = IN, .hidden = H, .layers = 2, .dropout = 0.5 });
    sp_stack without = with;
    sp_tape *t = sp_tape_new(s);
    sp_real y[3][T * B * H];
    without.dropout = 0;
    for (int i = 0; i < 3; i++) {
        sp_tape_reset(t);
        sp_tape_set_training(t, i == 2);
        sp_read(sp_stack_on(t, i ? &with : &without, noise_on(t, 1, SP_SHAPE(T, B, IN)), NULL), y[i]);
    }
    ck_tape_ok(t);
    ck_same(y[0], y[1], T * B * H);
    ck_assert(memcmp(y[0], y[2], sizeof y[0]));
    for (int i = 0; i < T * B * H; i++)
        ck_assert(y[2][i] != 0);
    with.layers = without.layers = 1;
    for (int i = 0; i < 2; i++)
        sp_read(sp_stack_on(t, i ? &with : &without, noise_on(t, 1, SP_SHAPE(T, B, IN)), NULL), y[i]);
    ck_same(y[0], y[1], T * B * H);
    sp_tape_free(t);
    sp_store_free(s);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

/* Each declares or runs something wrong; s is the store of t, with the cell `lstm` and the stack `two`. */
static sp_store *s;
static sp_tape *t;
static sp_cell lstm;
static sp_stack two;
static sp_linear linear;
static sp_embed embed;

static void begin(void)
{
    s = sp_store_new(1);
    lstm = sp_lstm_make(s, "lstm", 0, IN, H);
    two = sp_stack_make(s, "two", &(sp_stack_config){ .cell = "gru", .in = IN, .hidden = H, .layers = 2 });
    linear = sp_linear_make(s, "linear", IN, H);
    embed = sp_embed_make(s, "embed", 4, IN);
}

static void end(void)
{
    sp_tape_free(t);
    sp_store_free(s);
    t = NULL;
}

static void no_kind(void)       { sp_cell_make(s, "lstn", "x", 0, IN, H); }
static void no_layers(void)     { sp_stack_make(s, "x", &(sp_stack_config){ .cell = "lstm", .in = IN, .hidden = H, .layers = 0 }); }
static void all_dropped(void)   { sp_stack_make(s, "x", &(sp_stack_config){ .cell = "lstm", .in = IN, .hidden = H, .layers = 2, .dropout = 1 }); }
static void no_width(void)      { sp_gru_make(s, "x", 1, IN, 0); }
static void no_input(void)      { sp_linear_make(s, "x", 0, H); }
static void twice(void)         { sp_lstm_make(s, "lstm", 0, IN, H); }

static const struct {
    void (*declare)(void);
    const char *error;
} declarations[] = {
    { no_kind, "cell 'lstn' is none of: rnn relu lstm gru gru-simple gru-before lstm-peephole lstm-coupled lstm-projected "
               "lstm-norm indrnn sru qrnn mingru minlstm slstm mlstm" },
    { no_layers, "x: 0 layers, not 1 or more" },
    { all_dropped, "x: dropout 1, not in 0 <= p < 1" },
    { no_width, "x: in is 5 and hidden 0, not each from 1 to 1073741824" },
    { no_input, "store: parameter 'x.weight' has the shape [6,0]" },
    { twice, "store: there are two parameters named 'lstm.weight_ih_l0'" },
};

START_TEST(bad_declaration)
{
    declarations[_i].declare();
    ck_assert_str_eq(sp_store_status(s)->message, declarations[_i].error);
    sp_cell cell = sp_cell_make(s, "gru", "later", 0, IN, H);
    ck_assert(!cell.step && !sp_store_find(s, "later.weight_ih_l0"));
    t = sp_tape_new(s);
    ck_assert_str_eq(sp_error(t), declarations[_i].error);
}
END_TEST

static sp_tensor *zeros(long a, long b, long c) { return sp_full(t, 0, SP_SHAPE(a, b, c)); }

static void wrong_width(void)   { sp_unroll(t, &lstm, zeros(T, B, IN + 2), NULL); }
static void wrong_rank(void)    { sp_unroll(t, &lstm, sp_full(t, 0, SP_SHAPE(B, IN)), NULL); }
static void no_sequence(void)   { sp_unroll(t, &lstm, NULL, NULL); }
static void no_cell(void)       { sp_unroll(t, &(sp_cell){ .name = "x" }, zeros(T, B, IN), NULL); }
static void no_stack(void)      { sp_stack_on(t, &(sp_stack){ .layers = 0 }, zeros(T, B, IN), NULL); }
static void linear_width(void)  { sp_linear_on(t, &linear, zeros(T, B, IN + 2)); }
static void linear_none(void)   { sp_linear_on(t, &(sp_linear){ NULL, NULL }, zeros(T, B, IN)); }
static void embed_id(void)      { sp_embed_on(t, &embed, (const int[]){ 0, 4 }, 2); }
static void mse_shapes(void)    { sp_mse(t, zeros(2, 3, 4), zeros(2, 3, 5)); }
static void stack_width(void)   { sp_stack_on(t, &two, zeros(T, B, IN + 2), NULL); }

static void wrong_state(void)
{
    sp_tensor *state[] = { NULL, sp_full(t, 0, SP_SHAPE(B, H + 1)) };
    sp_unroll(t, &lstm, zeros(T, B, IN), state);
}

static void no_state(void)
{
    sp_cell cell = lstm;
    cell.width[1] = 0;
    sp_unroll(t, &cell, zeros(T, B, IN), NULL);
}

static void scan_no_state(void)
{
    sp_cell cell = lstm;
    cell.width[1] = 0;
    sp_scan(t, &cell, zeros(T, B, IN), NULL);
}

static void wrong_batch(void)
{
    sp_state *carry = sp_state_new(&two, B);
    sp_stack_on(t, &two, zeros(T, B + 1, IN), carry);
    sp_state_free(carry);
}

/* The state of a stack of GRUs for a stack of LSTMs: one state too few. */
static void wrong_cells(void)
{
    sp_state *carry = sp_state_new(&two, B);
    sp_stack lstms = { .layer = (sp_stack_layer[]){ { .cell = lstm }, { .cell = lstm } }, .layers = 2 };
    sp_stack_on(t, &lstms, zeros(T, B, IN), carry);
    sp_state_free(carry);
}

#ifdef SP_FLOAT64
#define WIDE_TEXT "16 numbers, the store now has 120"      /* each parameter rounded up to 64 bytes */
#else
#define WIDE_TEXT "32 numbers, the store now has 144"
#endif

static void null_layers(void)   { sp_linear_on(t, NULL, zeros(T, B, IN)); }
static void null_cell(void)     { sp_unroll(t, NULL, zeros(T, B, IN), NULL); }
static void null_stack(void)    { sp_stack_on(t, NULL, zeros(T, B, IN), NULL); }

/* A step that gives y of another width than it says, and one that forgets its new state's width. */
static sp_tensor *wide_step(sp_tape *tape, const void *self, sp_tensor *x, sp_tensor **state)
{
    (void)self;
    return sp_concat(tape, 2, (sp_tensor *[]){ state[0], x }, 1);
}

static sp_tensor *drifting_step(sp_tape *tape, const void *self, sp_tensor *x, sp_tensor **state)
{
    (void)tape, (void)self;
    sp_tensor *y = state[0];
    state[0] = x;
    return y;
}

static void wide_cell(void)
{
    sp_unroll(t, &(sp_cell){ .name = "wide", .step = wide_step, .states = 1, .width = { H } }, zeros(T, B, IN), NULL);
}

static void drifting_cell(void)
{
    sp_unroll(t, &(sp_cell){ .name = "drift", .step = drifting_step, .states = 1, .width = { H } }, zeros(T, B, IN), NULL);
}

static void late_parameter(void)
{
    sp_status status = { 0 };
    sp_store *own = sp_store_new(1);
    sp_linear_make(own, "first", 2, 2);
    sp_optimizer *o = sp_optimizer_new(own, "adam", 0.1, &status);
    sp_linear_make(own, "second", 9, 9);
    sp_tape_free(t);
    t = sp_tape_new(own);
    sp_store_free(own);                 /* lives on until the tape goes */
    sp_step(o, t);
    sp_optimizer_free(o);
}

static void bad_rate(void)
{
    sp_optimizer *o = sp_optimizer_new(s, "sgd", NAN, NULL);
    sp_step(o, t);
    sp_optimizer_free(o);
}

static void no_optimizer(void)  { sp_step(NULL, t); }

static const struct {
    void (*use)(void);
    const char *error;
} uses[] = {
    { wrong_width, "lstm: affine: [3,7] x [5,24]: inner 7 != 5 (lstm.weight_ih_l0, lstm.bias_ih_l0)" },
    { wrong_rank, "sequence: [3,5] is not [T,B,in]" },
    { no_sequence, "sequence: no input" },
    { no_cell, "unroll: the cell has no step (was it made?)" },
    { no_state, "unroll: state 1 of cell 'lstm' is 0 wide" },
    { scan_no_state, "scan: state 1 of cell 'lstm' is 0 wide" },
    { wrong_state, "unroll: state 1 of cell 'lstm' is [3,7], not [3,6]" },
    { no_stack, "stack: no layers (was it made?)" },
    { null_layers, "linear: the layer is NULL" },
    { null_cell, "unroll: the cell is NULL" },
    { null_stack, "stack: no layers (was it made?)" },
    { wide_cell, "wide: step: y is [3,11], not [3,6]" },
    { drifting_cell, "drift: step: a new state is [3,5], not [3,6]" },
    { late_parameter, "optimizer: made for " WIDE_TEXT },
    { bad_rate, "optimizer: the learning rate is nan" },
    { no_optimizer, "optimizer: NULL (could it be made?)" },
    { wrong_batch, "stack: the carried state, of 2 layers and a batch of 3, does not fit 2 layers and a batch of 4, or is of other cells" },
    { wrong_cells, "stack: the carried state, of 2 layers and a batch of 3, does not fit 2 layers and a batch of 3, or is of other cells" },
    { stack_width, "l0.gru: affine: [3,7] x [5,18]: inner 7 != 5 (two.weight_ih_l0, two.bias_ih_l0)" },
    { linear_width, "affine: [12,7] x [5,6]: inner 7 != 5 (linear.weight, linear.bias)" },
    { linear_none, "parameter: NULL (was its layer made?)" },
    { embed_id, "embedding: id 4 at position 1 is not in 0..3 (embed.weight)" },
    { mse_shapes, "mse: [2,3,4] and the target [2,3,5] differ" },
};

START_TEST(bad_use)
{
    t = sp_tape_new(s);
    uses[_i].use();
    ck_assert_str_eq(sp_error(t), uses[_i].error);
    ck_assert_ptr_null(sp_unroll(NULL, &lstm, NULL, NULL));
    ck_assert(sp_state_new(&two, 0) == NULL);
    ck_assert(sp_state_new(&two, 1L << 60) == NULL);
    sp_tape_clear(t);
    sp_tensor *nothing = sp_unroll(t, &lstm, zeros(0, B, IN), NULL);
    ck_assert(sp_ok(t) && sp_shape_equal(sp_shape_get(nothing), SP_SHAPE(0, B, H)));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("nn");
    TCase *c = tcase_create("layers");
    tcase_add_test(c, layer_gradients);
    tcase_add_loop_test(c, carried_state, 0, kinds());
    tcase_add_test(c, dropout_between_layers);
    suite_add_tcase(all, c);
    c = tcase_create("errors");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, bad_declaration, 0, sizeof declarations / sizeof *declarations);
    tcase_add_loop_test(c, bad_use, 0, sizeof uses / sizeof *uses);
    suite_add_tcase(all, c);
    return all;
}
