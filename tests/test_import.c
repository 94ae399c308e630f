/* Layers of Keras and ONNX: the cells compute, from the numbers in their places, what a plain loop over the foreign arrays
   computes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/cell.h"
#include "nn/import.h"
#include "nn/init.h"
#include "tests/suite.h"

static char path[PATH_ROOM];

static void begin(void)
{
    ck_new_file(path);
}

static void end(void)
{
    remove(path);
}

/* Saves a store of foreign tensors, with numbers drawn anew, and opens the file. */
static sp_safetensors *saved(sp_store *there)
{
    sp_status status = { 0 };
    for (int i = 0; i < sp_store_count(there); i++) {
        const sp_param *p = sp_store_at(there, i);
        sp_random_uniform(sp_param_key(p), sp_shape_size(p->shape), sp_param_values(p), -1, 1);
    }
    ck_assert_msg(sp_store_save(there, path, 0, NULL, &status), "%s", status.message);
    sp_safetensors *f = sp_safetensors_open(path, &status);
    ck_assert_msg(f != NULL, "%s", status.message);
    return f;
}

static const sp_real *numbers(const sp_store *s, const char *name)
{
    return sp_param_read(sp_store_find(s, name));
}

/* ---- cells ----------------------------------------------------------------------------------------------------- */

enum { IN = 3, H = 2, B = 2, T = 3 };

static const struct cell {
    const char *library, *kind, *gates;
    int directions, direction;
    bool one_bias, bare;        /* bare: neither bias nor peepholes */
} cells[] = {
    { "keras", "rnn", "h", 0, 0, true, false },                  { "keras", "relu", "h", 0, 0, true, false },
    { "keras", "lstm", "ifgo", 0, 0, true, false },              { "keras", "gru", "zrn", 0, 0, false, false },
    { "keras", "gru-before", "zrn", 0, 0, true, false },         { "onnx", "rnn", "h", 1, 0, false, false },
    { "onnx", "relu", "h", 1, 0, false, false },                 { "onnx", "lstm", "iofg", 1, 0, false, false },
    { "onnx", "lstm", "iofg", 2, 1, false, false },              { "onnx", "lstm-peephole", "iofg", 2, 0, false, false },
    { "onnx", "lstm-peephole", "iofg", 2, 1, false, false },     { "onnx", "gru", "zrn", 1, 0, false, false },
    { "onnx", "gru", "zrn", 2, 1, false, false },                { "onnx", "gru-before", "zrn", 2, 1, false, false },
    { "onnx", "lstm-peephole", "iofg", 1, 0, false, true },      { "keras", "gru", "zrn", 0, 0, false, true },
};

/* The foreign tensors "a" to "d". */
static sp_store *foreign(const struct cell *c)
{
    sp_store *s = sp_store_new(5);
    const long n = (long)strlen(c->gates) * H;
    if (!c->directions) {
        sp_store_add(s, SP_SHAPE(IN, n), "a");
        sp_store_add(s, SP_SHAPE(H, n), "b");
        if (!c->bare)
            sp_store_add(s, c->one_bias ? SP_SHAPE(n) : SP_SHAPE(2, n), "c");
        return s;
    }
    sp_store_add(s, SP_SHAPE(c->directions, n, IN), "a");
    sp_store_add(s, SP_SHAPE(c->directions, n, H), "b");
    if (c->bare)
        return s;
    sp_store_add(s, SP_SHAPE(c->directions, 2 * n), "c");
    if (!strcmp(c->kind, "lstm-peephole"))
        sp_store_add(s, SP_SHAPE(c->directions, 3 * H), "d");
    return s;
}

/* What x [IN], or h [H], adds to a gate of unit u, with its bias. */
static double reach(const struct cell *c, const sp_store *there, bool of_state, char gate, int u, const double *x)
{
    const sp_real *w = numbers(there, of_state ? "b" : "a"), *b = c->bare ? NULL : numbers(there, "c");
    const int gates = (int)strlen(c->gates), width = of_state ? H : IN, g = (int)(strchr(c->gates, gate) - c->gates);
    double sum = 0;
    if (!c->directions) {
        for (int k = 0; k < width; k++)
            sum += (double)w[k * gates * H + g * H + u] * x[k];
        return sum + (c->bare || (c->one_bias && of_state) ? 0 : (double)b[(of_state * gates + g) * H + u]);
    }
    for (int k = 0; k < width; k++)
        sum += (double)w[((c->direction * gates + g) * H + u) * width + k] * x[k];
    return sum + (c->bare ? 0 : (double)b[(c->direction * 2 + of_state) * gates * H + g * H + u]);
}

static double peephole(const struct cell *c, const sp_store *there, char gate, int u)
{
    static const char order[] = "iof";
    const long at = (c->direction * 3 + (strchr(order, gate) - order)) * H + u;
    return sp_store_find(there, "d") ? (double)numbers(there, "d")[at] : 0;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One step for one row, by the equations of the kind. */
static void step(const struct cell *c, const sp_store *there, const double *x, double *h, double *cell)
{
    double before[H], reset[H];
    memcpy(before, h, sizeof before);
#define GATE(letter, state) (reach(c, there, false, letter, u, x) + reach(c, there, true, letter, u, state))
    for (int u = 0; u < H && !strncmp(c->kind, "gru", 3); u++)
        reset[u] = sigmoid(GATE('r', before)) * before[u];
    for (int u = 0; u < H; u++) {
        if (!strcmp(c->kind, "rnn")) {
            h[u] = tanh(GATE('h', before));
        } else if (!strcmp(c->kind, "relu")) {
            h[u] = fmax(0, GATE('h', before));
        } else if (!strncmp(c->kind, "lstm", 4)) {
            const double i = sigmoid(GATE('i', before) + peephole(c, there, 'i', u) * cell[u]);
            const double f = sigmoid(GATE('f', before) + peephole(c, there, 'f', u) * cell[u]);
            cell[u] = f * cell[u] + i * tanh(GATE('g', before));
            h[u] = sigmoid(GATE('o', before) + peephole(c, there, 'o', u) * cell[u]) * tanh(cell[u]);
        } else {
            const double z = sigmoid(GATE('z', before)), r = sigmoid(GATE('r', before));
            const double n = !strcmp(c->kind, "gru")
                ? tanh(reach(c, there, false, 'n', u, x) + r * reach(c, there, true, 'n', u, before)) : tanh(GATE('n', reset));
            h[u] = (1 - z) * n + z * before[u];
        }
    }
#undef GATE
}

START_TEST(recurrent)
{
    const struct cell *c = &cells[_i];
    sp_status status = { 0 };
    sp_store *there = foreign(c), *s = sp_store_new(1);
    sp_cell cell = sp_cell_make(s, c->kind, "encoder", 1, IN, H);
    sp_foreign from = { c->library, c->kind, { "a", "b", c->bare ? NULL : "c", sp_store_find(there, "d") ? "d" : NULL },
                        c->direction };
    sp_safetensors *f = saved(there);
    ck_assert_msg(sp_import(s, "encoder.%s_l1", &from, f, &status), "%s", status.message);
    sp_real xs[T * B * IN], ys[T * B * H];
    sp_random_uniform((sp_key){ .place = 3 }, T * B * IN, xs, -1, 1);
    sp_tape *t = sp_tape_new(s);
    ck_assert(sp_read(sp_unroll(t, &cell, sp_feed(t, xs, SP_SHAPE(T, B, IN)), NULL), ys));
    for (int b = 0; b < B; b++) {
        double h[H] = { 0 }, state[H] = { 0 }, x[IN];
        for (int i = 0; i < T; i++) {
            for (int k = 0; k < IN; k++)
                x[k] = (double)xs[(i * B + b) * IN + k];
            step(c, there, x, h, state);
            for (int u = 0; u < H; u++)
                ck_assert_double_eq_tol((double)ys[(i * B + b) * H + u], h[u], WIDE(1e-12, 2e-6));
        }
    }
    sp_tape_free(t);
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(there);
}
END_TEST

/* ---- other layers ---------------------------------------------------------------------------------------------- */

/* Each of our numbers, by the index it must have there. */
START_TEST(linear_and_conv)
{
    sp_status status = { 0 };
    sp_store *there = sp_store_new(2), *s = sp_store_new(1);
    sp_store_add(there, SP_SHAPE(3, 5), "dense/kernel");
    sp_store_add(there, SP_SHAPE(5), "dense/bias");
    sp_store_add(there, SP_SHAPE(2, 3, 4), "conv1/kernel");
    sp_store_add(there, SP_SHAPE(2, 3, 4, 5), "conv2/kernel");
    sp_store_add(there, SP_SHAPE(7, 3), "embeddings");
    sp_store_add(s, SP_SHAPE(5, 3), "head.weight");
    sp_store_add(s, SP_SHAPE(5), "head.bias");
    sp_store_add(s, SP_SHAPE(4, 3, 2), "one.weight");
    sp_store_add(s, SP_SHAPE(4), "one.bias");
    sp_store_add(s, SP_SHAPE(5, 4, 2, 3), "two.weight");
    sp_store_add(s, SP_SHAPE(5), "two.bias");
    sp_store_add(s, SP_SHAPE(7, 3), "embed.weight");
    sp_param_values(sp_store_find(s, "two.bias"))[1] = 4;
    sp_safetensors *f = saved(there);
    const sp_real *x = numbers(there, "dense/kernel");
    ck_assert_msg(sp_import(s, "head.%s", &(sp_foreign){ "keras", "linear", { "dense/kernel", "dense/bias" }, 0 }, f, &status)
                  && sp_import(s, "one.%s", &(sp_foreign){ "keras", "conv1d", { "conv1/kernel" }, 0 }, f, &status)
                  && sp_import(s, "two.%s", &(sp_foreign){ "keras", "conv2d", { "conv2/kernel", "dense/bias" }, 0 }, f, &status)
                  && sp_import(s, "embed.%s", &(sp_foreign){ "keras", "embedding", { "embeddings" }, 0 }, f, &status),
                  "%s", status.message);
    for (int o = 0; o < 5; o++)
        for (int i = 0; i < 3; i++)
            ck_assert(numbers(s, "head.weight")[o * 3 + i] == x[i * 5 + o]);
    ck_same(numbers(s, "head.bias"), numbers(there, "dense/bias"), 5);
    ck_same(numbers(s, "two.bias"), numbers(there, "dense/bias"), 5);
    ck_same(numbers(s, "embed.weight"), numbers(there, "embeddings"), 21);
    ck_assert(numbers(s, "one.bias")[2] == 0);
    x = numbers(there, "conv1/kernel");
    for (int o = 0; o < 4; o++)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 2; k++)
                ck_assert(numbers(s, "one.weight")[(o * 3 + i) * 2 + k] == x[(k * 3 + i) * 4 + o]);
    x = numbers(there, "conv2/kernel");
    for (int o = 0; o < 5; o++)
        for (int i = 0; i < 4; i++)
            for (int r = 0; r < 2; r++)
                for (int k = 0; k < 3; k++)
                    ck_assert(numbers(s, "two.weight")[((o * 4 + i) * 2 + r) * 3 + k] == x[((r * 3 + k) * 4 + i) * 5 + o]);
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(there);
}
END_TEST

/* Queries, keys and values, one below the other; E = 4, 2 heads. */
START_TEST(multihead)
{
    static const char *const names[] = { "q", "qb", "k", "kb", "v", "vb", "o", "ob" };
    enum { E = 4 };
    sp_status status = { 0 };
    sp_store *there = sp_store_new(2), *s = sp_store_new(1);
    for (int i = 0; i < 8; i++)
        sp_store_add(there, i == 7 ? SP_SHAPE(E) : i == 6 ? SP_SHAPE(2, 2, E) : i % 2 ? SP_SHAPE(2, 2) : SP_SHAPE(E, 2, 2),
                     "%s", names[i]);
    sp_store_add(s, SP_SHAPE(3 * E, E), "m.in_proj_weight");
    sp_store_add(s, SP_SHAPE(3 * E), "m.in_proj_bias");
    sp_store_add(s, SP_SHAPE(E, E), "m.out_proj.weight");
    sp_store_add(s, SP_SHAPE(E), "m.out_proj.bias");
    sp_foreign from = { .library = "keras", .kind = "multihead" };
    memcpy(from.tensor, names, sizeof names);
    sp_safetensors *f = saved(there);
    ck_assert_msg(sp_import(s, "m.%s", &from, f, &status), "%s", status.message);
    for (int part = 0; part < 3; part++)
        for (int o = 0; o < E; o++) {
            ck_assert(numbers(s, "m.in_proj_bias")[part * E + o] == numbers(there, names[2 * part + 1])[o]);
            for (int i = 0; i < E; i++)
                ck_assert(numbers(s, "m.in_proj_weight")[(part * E + o) * E + i] == numbers(there, names[2 * part])[i * E + o]);
        }
    for (int o = 0; o < E; o++)
        for (int i = 0; i < E; i++)
            ck_assert(numbers(s, "m.out_proj.weight")[o * E + i] == numbers(there, "o")[i * E + o]);
    ck_same(numbers(s, "m.out_proj.bias"), numbers(there, "ob"), E);
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(there);
}
END_TEST

/* Every row of the table that computes nothing in time: what ours are called and where each comes from. */
static const struct {
    const char *library, *kind;
    int ours;                                   /* parameters; each is [4] or [4,3,2] as theirs */
    const char *param[4];
} plain[] = {
    { "keras", "norm", 4, { "weight", "bias", "running_mean", "running_var" } },
    { "keras", "layer-norm", 2, { "weight", "bias" } },
    { "keras", "embedding", 1, { "weight" } },
    { "onnx", "norm", 4, { "weight", "bias", "running_mean", "running_var" } },
    { "onnx", "linear", 2, { "weight", "bias" } },
    { "onnx", "conv", 2, { "weight", "bias" } },
};

static sp_store *plain_store(int row, const char *prefix, int count)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    const char *kind = plain[row].kind;
    const bool wide = !strcmp(kind, "linear") || !strcmp(kind, "conv") || !strcmp(kind, "embedding");
    sp_store *s = sp_store_new(2);
    for (int i = 0; i < count; i++)
        sp_store_add(s, i || !wide ? SP_SHAPE(4) : strcmp(kind, "conv") ? SP_SHAPE(4, 4) : SP_SHAPE(4, 4, 4), "%s%s", prefix,
                     *prefix ? plain[row].param[i] : names[i]);
    return s;
}

START_TEST(as_they_are)
{
    sp_status status = { 0 };
    sp_store *there = plain_store(_i, "", plain[_i].ours), *s = plain_store(_i, "x.", plain[_i].ours);
    sp_safetensors *f = saved(there);
    sp_foreign from = { plain[_i].library, plain[_i].kind, { "a", "b", "c", "d" }, 0 };
    ck_assert_msg(sp_import(s, "x.%s", &from, f, &status), "%s", status.message);
    for (int i = 0; i < plain[_i].ours; i++)
        ck_same(sp_param_read(sp_store_at(s, i)), sp_param_read(sp_store_at(there, i)), sp_shape_size(sp_store_at(s, i)->shape));
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(there);
}
END_TEST

/* Where Keras has no gamma ours is 1, without a beta 0; neither side needs a bias; ONNX' norm has both. */
START_TEST(missing)
{
    sp_status status = { 0 };
    sp_store *there = sp_store_new(2), *s = sp_store_new(1);
    sp_store_add(there, SP_SHAPE(4), "mean");
    sp_store_add(there, SP_SHAPE(4, 4), "k");
    static const char *const ours[] = { "n.weight", "n.bias", "n.running_mean", "n.running_var", "l.weight", "l.bias" };
    for (int i = 0; i < 6; i++)
        sp_init_constant(sp_store_add(s, SP_SHAPE(4), "%s", ours[i]), 7);
    sp_store_add(s, SP_SHAPE(4, 4), "head.weight");
    sp_safetensors *f = saved(there);
    ck_assert_msg(sp_import(s, "n.%s", &(sp_foreign){ "keras", "norm", { NULL, NULL, "mean", "mean" }, 0 }, f, &status)
                  && sp_import(s, "l.%s", &(sp_foreign){ "keras", "layer-norm", { NULL, "mean" }, 0 }, f, &status)
                  && sp_import(s, "head.%s", &(sp_foreign){ "keras", "linear", { "k" }, 0 }, f, &status), "%s", status.message);
    for (int i = 0; i < 4; i++) {
        ck_assert(numbers(s, "n.weight")[i] == 1 && numbers(s, "n.bias")[i] == 0 && numbers(s, "l.weight")[i] == 1);
        ck_assert(numbers(s, "l.bias")[i] == numbers(there, "mean")[i]);
        for (int k = 0; k < 4; k++)
            ck_assert(numbers(s, "head.weight")[i * 4 + k] == numbers(there, "k")[k * 4 + i]);
    }
    ck_assert(!sp_import(s, "n.%s", &(sp_foreign){ "onnx", "norm", { NULL, "mean", "mean", "mean" }, 0 }, f, &status));
    ck_assert(!sp_import(s, "head.%s", &(sp_foreign){ "keras", "linear", { "k", "mean" }, 0 }, f, &(sp_status){ 0 }));
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(there);
}
END_TEST

/* ---- what does not fit ----------------------------------------------------------------------------------------- */

static const struct {
    const char *params;
    sp_foreign from;
    const char *message;
} wrong[] = {
    { "encoder.%s_l0", { "keras", "lstm", { "a", "b", "c" }, 0 }, "tensor 'a' is [3,6], not [3,8], for 'encoder.weight_ih_l0'" },
    { "encoder.%s_l0", { "onnx", "lstm", { "w", "w", "w" }, 2 }, "tensor 'w' has 2 directions; direction 2 (from 0)" },
    { "encoder.%s_l0", { "onnx", "lstm", { "w", "w", "w" }, -1 }, "direction -1" },
    { "encoder.%s_l0", { "onnx", "lstm", { "w", "w", "w" }, 0 }, "'w' is [8,2] for each direction, not [8,3]" },
    { "encoder.%s_l0", { "keras", "lstm", { "none", "b", "c" }, 0 }, "there is no tensor 'none'" },
    { "encoder.%s_l0", { "keras", "lstm", { NULL, "b", "c" }, 0 }, "tensor 0, for 'encoder.weight_ih_l0', has no name" },
    { "encoder.%s_l1", { "keras", "lstm", { "a", "b", "c" }, 0 }, "no parameter 'encoder.weight_ih_l1'" },
    { "encoder_l1", { "keras", "lstm", { "a", "b", "c" }, 0 }, "'encoder_l1', has no %s in it" },
    { "encoder.%s_l0", { "keras", "lstmm", { "a", "b", "c" }, 0 }, "there is no 'lstmm' of 'keras'" },
    { "encoder.%s_l0", { "keras", "gru", { "a", "b", "c" }, 0 }, "'encoder.weight_ih_l0' is [8,3], which no 'gru' has" },
    { "encoder.%s_l0", { NULL, "gru", { "a", "b", "c" }, 0 }, "the library is NULL" },
    { "encoder.%s_l0", { "keras", "lstm", { "good", "b", "c" }, 0 }, "tensor 'b' is [2,6], not [2,8]" },
};

START_TEST(mismatch)
{
    sp_status status = { 0 };
    sp_store *there = sp_store_new(2), *s = sp_store_new(1), *before = sp_store_new(1);
    sp_store_add(there, SP_SHAPE(3, 6), "a");
    sp_store_add(there, SP_SHAPE(2, 6), "b");
    sp_store_add(there, SP_SHAPE(6), "c");
    sp_store_add(there, SP_SHAPE(2, 8, 2), "w");
    sp_store_add(there, SP_SHAPE(3, 8), "good");
    sp_lstm_make(s, "encoder", 0, IN, H);
    sp_lstm_make(before, "encoder", 0, IN, H);
    sp_safetensors *f = saved(there);
    ck_assert(!sp_import(s, wrong[_i].params, &wrong[_i].from, f, &status));
    ck_assert_msg(strstr(status.message, wrong[_i].message) != NULL, "%s", status.message);
    ck_same(sp_store_values(s), sp_store_values(before), sp_store_size(s));
    ck_assert(!sp_import(NULL, wrong[_i].params, &wrong[_i].from, f, NULL) && !sp_import(s, NULL, &wrong[_i].from, f, NULL));
    ck_assert(!sp_import(s, "a.%s", NULL, f, NULL) && !sp_import(s, "a.%s", &wrong[0].from, NULL, NULL));
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(before);
    sp_store_free(there);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("import");
    TCase *c = tcase_create("layers");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, recurrent, 0, sizeof cells / sizeof *cells);
    tcase_add_test(c, linear_and_conv);
    tcase_add_test(c, multihead);
    tcase_add_loop_test(c, as_they_are, 0, sizeof plain / sizeof *plain);
    tcase_add_test(c, missing);
    tcase_add_loop_test(c, mismatch, 0, sizeof wrong / sizeof *wrong);
    suite_add_tcase(all, c);
    return all;
}
