/* How fast is it? Each row is one JSON object on its line: what was done, its sizes, the median time of a repetition in
   milliseconds, the floating-point operations of its matrix products per second, those of a 1024^3 product measured in the
   same run in turn, and the fraction of the two for each thread.

   A product of 1024^3 is large, but of a shape that caches do not like best: "kernel_gflops" is what a product of 48 rows
   by a packed parameter [2048,512] reaches in the same run, some 15 % more.

       make bench                    all rows
       make bench ROWS=lstm_train    those whose names begin so
       make bench PEER=1             each beside PyTorch: tests/bench/peer.py */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/blas.h"
#include "autograd/parallel.h"
#include "autograd/timing.h"
#include "nn/adaptive_softmax.h"
#include "nn/conv.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/sampled_softmax.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "zoo/lm.h"
#include "zoo/report.h"

/* ---- rows ------------------------------------------------------------------------------------------------------ */

struct row {
    const char *bench, *cell;
    long T, B, I, H, L;
    int threads;
};

enum { ROUNDS = 3 };
static int rounds = ROUNDS;                                 /* of measuring: 1 for tests/bench/peer.py, which has its own */

/* A product [B,I] x [I,H] with a packed right side. */
struct product {
    sp_store *store;
    sp_view a, b, c;
    const sp_param *weight;
};

static struct product new_product(long B, long I, long H)
{
    struct product p = { .store = sp_store_new(1) };
    sp_param *w = sp_store_add(p.store, SP_SHAPE(H, I), "weight");
    sp_view weight = sp_view_of(sp_param_values(w), w->shape);
    p.weight = w;
    p.a = sp_view_of(calloc((size_t)(B * I), sizeof(sp_real)), SP_SHAPE(B, I));
    p.b = sp_transposed(&weight);
    p.c = sp_view_of(calloc((size_t)(B * H), sizeof(sp_real)), SP_SHAPE(B, H));
    return p;
}

static void free_product(struct product *p)
{
    free(p->a.data);
    free(p->c.data);
    sp_store_free(p->store);
}

static void multiply(void *context)
{
    struct product *p = context;
    sp_gemm_packed(1, &p->a, &p->b, p->weight, 0, &p->c);
}

/* GFLOP/s of the kernel at its best. */
static double kernel_rate(void)
{
    struct product p = new_product(48, 512, 2048);
    double seconds = sp_median_seconds(multiply, &p);
    free_product(&p);
    return 2e-9 * 48 * 512 * 2048 / seconds;
}

/* The most memory that was resident, in MB; NaN where the system does not say. (getrusage counts the parent's, too.) */
static double resident(void)
{
    char line[128];
    double mb = NAN;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmHWM:", 6))
            mb = strtod(line + 6, NULL) / 1024;
    if (f)
        fclose(f);
    return mb;
}

/* Measures a row: the work and the peak in turn, because the machine's speed drifts. The fraction is the median of theirs. */
static void write_row(const struct row *r, void (*work)(void *context), void *context, double gflop)
{
    double seconds[ROUNDS], peak[ROUNDS], fraction[ROUNDS];
    double mb = 0;
    for (int i = 0; i < rounds; i++) {
        seconds[i] = sp_median_seconds(work, context);
        if (i == 0)
            mb = resident();                            /* before the products, which take memory of their own */
        peak[i] = sp_peak_rate();
        fraction[i] = gflop / seconds[i] / peak[i] / r->threads;
    }
    sp_report *j = sp_report_new();
    sp_report_text(j, "bench", r->bench);
    sp_report_count(j, "T", r->T);
    sp_report_count(j, "B", r->B);
    sp_report_count(j, "I", r->I);
    sp_report_count(j, "H", r->H);
    sp_report_count(j, "L", r->L);
    sp_report_count(j, "threads", r->threads);
    sp_report_number(j, "ms", 1e3 * sp_median(rounds, seconds));
    sp_report_number(j, "gflops", gflop / sp_median(rounds, seconds));
    sp_report_number(j, "peak_gflops", sp_median(rounds, peak));
    sp_report_number(j, "fraction", sp_median(rounds, fraction));
    sp_report_number(j, "kernel_gflops", kernel_rate());
    if (rounds == 1)                                    /* a process of its own */
        sp_report_number(j, "resident_mb", mb);
    sp_report_text(j, "kernels", sp_blas_kernels());
    sp_report_write(j, stdout);
    sp_report_free(j);
}

static void bench_product(const struct row *r)
{
    struct product p = new_product(r->B, r->I, r->H);
    write_row(r, multiply, &p, 2e-9 * (double)r->B * (double)r->H * (double)r->I);
    free_product(&p);
}

/* A stack of layers, forward and backward; each repetition packs its changed weights. */
struct layers {
    const struct row *row;
    sp_store *store;
    sp_stack stack;
    sp_tape *tape;
    sp_real *x;
};

static void train_layers(void *context)
{
    struct layers *k = context;
    const struct row *r = k->row;
    sp_store_values(k->store);                          /* the weights count as changed */
    sp_zero_grad(k->tape);
    sp_tape_reset(k->tape);
    sp_tensor *xs = sp_variable(k->tape, k->x, SP_SHAPE(r->T, r->B, r->I));
    sp_backward(k->tape, sp_sum(k->tape, sp_stack_on(k->tape, &k->stack, xs, NULL), SP_ALL));
}

/* An LSTM as its user would write it, from plain operations. */
static sp_tensor *plain_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **state)
{
    const struct sp_recurrent *m = self;
    sp_tensor *g[4];
    sp_split(t, sp_add(t, sp_linear_on(t, &m->x, x), sp_linear_on(t, &m->h, state[0])), 1, 4, g);
    state[1] = sp_add(t, sp_mul(t, sp_sigmoid(t, g[1]), state[1]), sp_mul(t, sp_sigmoid(t, g[0]), sp_tanh(t, g[2])));
    return state[0] = sp_mul(t, sp_sigmoid(t, g[3]), sp_tanh(t, state[1]));
}

/* 6 products of [T*B, in or H] by gates*H in each layer: forward, input gradient, weight gradient, for x and for h. */
static double layer_gflop(const struct row *r)
{
    double gates = !strcmp(r->cell, "gru") ? 3 : !strcmp(r->cell, "rnn") ? 1 : 4, sum = 0;
    for (int l = 0; l < r->L; l++)
        sum += 6e-9 * (double)(r->T * r->B) * gates * (double)r->H * (double)((l ? r->H : r->I) + r->H);
    return sum;
}

static void bench_layers(const struct row *r)
{
    struct layers k = { .row = r, .store = sp_store_new(1) };
    bool plain = !strcmp(r->cell, "plain");
    k.stack = sp_stack_make(k.store, "rnn", &(sp_stack_config){ .cell = plain ? "lstm" : r->cell, .in = r->I, .hidden = r->H,
                                                                .layers = (int)r->L });
    for (int l = 0; plain && l < r->L; l++)
        k.stack.layer[l].cell.step = plain_step;
    k.tape = sp_tape_new(k.store);
    k.x = calloc((size_t)(r->T * r->B * r->I), sizeof *k.x);
    sp_random_uniform((sp_key){ .seed = 1 }, r->T * r->B * r->I, k.x, -1, 1);
    write_row(r, train_layers, &k, layer_gflop(r));
    if (!sp_ok(k.tape))
        fprintf(stderr, "%s: %s\n", r->bench, sp_error(k.tape));
    free(k.x);
    sp_tape_free(k.tape);
    sp_store_free(k.store);
}

/* ---- convolutions ---------------------------------------------------------------------------------------------- */

/* Images [B,I,T,T] (conv1d: texts [B,I,T]) to H channels, by windows of L numbers each way: of 7 with a stride of 2 as a network
   begins, texts and windows as large as the image without padding, else with as much as keeps the size; "strided": a stride
   of 2; "depthwise": each channel alone. */
struct images {
    const struct row *row;
    sp_store *store;
    sp_conv_layer conv;
    const sp_param *x;                                      /* its gradient is wanted, but for images themselves: I == 3 */
    sp_tape *tape;
};

static sp_tensor *convolve(struct images *k)
{
    const struct row *r = k->row;
    sp_tensor *x = r->I > 3 ? sp_param_on(k->tape, k->x) : sp_feed(k->tape, sp_param_read(k->x), k->x->shape);
    return sp_conv_on(k->tape, &k->conv, x);
}

static void infer_images(void *context)
{
    struct images *k = context;
    sp_tape_reset(k->tape);
    convolve(k);
}

static void train_images(void *context)
{
    struct images *k = context;
    sp_store_values(k->store);                              /* the weights count as changed */
    sp_zero_grad(k->tape);
    sp_tape_reset(k->tape);
    sp_backward(k->tape, sp_sum(k->tape, convolve(k), SP_ALL));
}

static void bench_images(const struct row *r)
{
    struct images k = { .row = r, .store = sp_store_new(1) };
    const bool text = !strncmp(r->bench, "conv1d", 6), train = strstr(r->bench, "train");
    const bool alone = !strncmp(r->bench, "depthwise", 9);
    const long stride = r->L == 7 || strstr(r->bench, "strided") ? 2 : 1, padding = text || r->L == r->T ? 0 : r->L / 2;
    const sp_conv_config c = { .in = r->I, .out = r->H, .kernel = { r->L, text ? 0 : r->L }, .stride = { stride, stride },
                               .padding = { padding, padding }, .groups = alone ? r->I : 1 };
    k.conv = text ? sp_conv1d_make(k.store, "conv", &c) : sp_conv2d_make(k.store, "conv", &c);
    sp_param *x = sp_store_add(k.store, text ? SP_SHAPE(r->B, r->I, r->T) : SP_SHAPE(r->B, r->I, r->T, r->T), "x");
    sp_init_uniform(x, -1, 1);
    k.x = x;
    k.tape = sp_tape_new(k.store);
    sp_tape_set_recording(k.tape, train);
    const double side = (double)((r->T + 2 * padding - r->L) / stride + 1), taps = (double)r->L * (text ? 1 : (double)r->L);
    const double one = 2e-9 * (double)r->B * side * (text ? 1 : side) * (double)r->H * (alone ? 1 : (double)r->I) * taps;
    write_row(r, train ? train_images : infer_images, &k, one * (!train ? 1 : r->I > 3 ? 3 : 2));
    if (!sp_ok(k.tape))
        fprintf(stderr, "%s: %s\n", r->bench, sp_error(k.tape));
    sp_tape_free(k.tape);
    sp_store_free(k.store);
}

/* ---- long sequences -------------------------------------------------------------------------------------------- */

/* A cell over all steps, there and back, with a budget and without, in turn. */
struct budget {
    const struct row *row;
    sp_cell cell;
    sp_tape *tape;
    sp_real *x;
};

static void train_budget(void *context)
{
    const struct budget *k = context;
    const struct row *r = k->row;
    sp_store_values(sp_tape_store(k->tape));
    sp_zero_grad(k->tape);
    sp_tape_reset(k->tape);
    sp_tensor *state[SP_MAX_STATES] = { NULL };
    sp_scan(k->tape, &k->cell, sp_feed(k->tape, k->x, SP_SHAPE(r->T, r->B, r->I)), state);
    sp_backward(k->tape, sp_sum(k->tape, state[0], SP_ALL));
}

/* A budget of L megabytes and none, in turn: "time_ratio" is the median of their ratios; and what the tapes hold. */
static void bench_budget(const struct row *r)
{
    enum { TURNS = 11 };
    double seconds[2][TURNS], ratio[TURNS];
    size_t bytes[2];
    struct budget k[2];
    sp_store *s = sp_store_new(1);
    sp_real *x = calloc((size_t)(r->T * r->B * r->I), sizeof *x);
    sp_random_uniform((sp_key){ .seed = 1 }, r->T * r->B * r->I, x, -1, 1);
    const bool plain = !strcmp(r->cell, "plain");
    sp_cell cell = sp_cell_make(s, plain ? "lstm" : r->cell, "cell", 0, r->I, r->H);
    if (plain)
        cell.step = plain_step;
    for (int i = 0; i < 2; i++) {
        k[i] = (struct budget){ .row = r, .cell = cell, .tape = sp_tape_new(s), .x = x };
        sp_tape_set_budget(k[i].tape, i ? 0 : (size_t)r->L << 20);
    }
    for (int i = -2; i < TURNS; i++)                        /* two that do not count */
        for (int j = 0; j < 2; j++) {
            const double began = sp_seconds();
            train_budget(&k[j]);
            seconds[j][i < 0 ? 0 : i] = sp_seconds() - began;
        }
    for (int i = 0; i < TURNS; i++)
        ratio[i] = seconds[0][i] / seconds[1][i];
    for (int j = 0; j < 2; j++) {
        if (!sp_ok(k[j].tape))
            fprintf(stderr, "%s: %s\n", r->bench, sp_error(k[j].tape));
        sp_tape_reset(k[j].tape);
        bytes[j] = sp_tape_bytes(k[j].tape);
        sp_tape_free(k[j].tape);
    }
    sp_report *j = sp_report_new();
    sp_report_text(j, "bench", r->bench);
    sp_report_text(j, "cell", r->cell);
    sp_report_count(j, "T", r->T);
    sp_report_count(j, "B", r->B);
    sp_report_count(j, "I", r->I);
    sp_report_count(j, "H", r->H);
    sp_report_count(j, "budget_mb", r->L);
    sp_report_number(j, "ms", 1e3 * sp_median(TURNS, seconds[0]));
    sp_report_number(j, "ms_without", 1e3 * sp_median(TURNS, seconds[1]));
    sp_report_number(j, "time_ratio", sp_median(TURNS, ratio));
    sp_report_number(j, "tape_mb", (double)bytes[0] / (1 << 20));
    sp_report_number(j, "tape_mb_without", (double)bytes[1] / (1 << 20));
    sp_report_write(j, stdout);
    sp_report_free(j);
    free(x);
    sp_store_free(s);
}

/* ---- different lengths ----------------------------------------------------------------------------------------- */

/* Two directions over sequences of 5 to T steps, packed; or (even) all of T steps, as padding would have it. */
struct ragged {
    const struct row *row;
    sp_store *store;
    sp_cell cell[2];
    sp_tape *tape;
    sp_real *x;
    long *length, rows;
};

static void train_ragged(void *context)
{
    struct ragged *k = context;
    sp_tape *t = k->tape;
    sp_store_values(k->store);
    sp_zero_grad(t);
    sp_tape_reset(t);
    sp_seq xs = sp_seq_pack(t, sp_variable(t, k->x, SP_SHAPE(k->rows, k->row->I)), k->length, k->row->B);
    sp_seq one = sp_scan_seq(t, &k->cell[0], xs, NULL, false), two = sp_scan_seq(t, &k->cell[1], xs, NULL, true);
    sp_tensor *both = sp_concat(t, 2, (sp_tensor *[]){ one.rows, two.rows }, 1);
    sp_backward(t, sp_sum(t, sp_seq_unpack(t, sp_seq_like(xs, both)), SP_ALL));
}

static void bench_ragged(const struct row *r)
{
    struct ragged k = { .row = r, .store = sp_store_new(1), .length = calloc((size_t)r->B, sizeof *k.length) };
    bool even = !strcmp(r->cell, "padded");
    for (long i = 0; i < r->B; i++)                     /* 5 to T, as in tests/bench/peer.py */
        k.rows += k.length[i] = even ? r->T : 5 + i * 37 % (r->T - 4);
    k.cell[0] = sp_lstm_make(k.store, "forward", 0, r->I, r->H);
    k.cell[1] = sp_lstm_make(k.store, "backward", 0, r->I, r->H);
    k.tape = sp_tape_new(k.store);
    k.x = calloc((size_t)(k.rows * r->I), sizeof *k.x);
    sp_random_uniform((sp_key){ .seed = 1 }, k.rows * r->I, k.x, -1, 1);
    struct row one_row = { .cell = "lstm", .T = 1, .B = k.rows, .I = r->I, .H = r->H, .L = 1, .threads = 1 };
    write_row(r, train_ragged, &k, 2 * layer_gflop(&one_row));
    if (!sp_ok(k.tape))
        fprintf(stderr, "%s: %s\n", r->bench, sp_error(k.tape));
    free(k.x);
    free(k.length);
    sp_tape_free(k.tape);
    sp_store_free(k.store);
}

/* ---- the language model ---------------------------------------------------------------------------------------- */

enum { SYMBOLS = 64, MOST_SHARDS = 8 };                 /* and <unk>: 65 */

/* The batch in as many shards as threads. */
struct model {
    const struct row *row;
    sp_lm *lm;
    sp_parallel *parallel;
    sp_optimizer *adam;
    sp_state *state[MOST_SHARDS];
    int *x;
};

static long batch_of(const struct row *r, int shard)
{
    return r->B * (shard + 1) / r->threads - r->B * shard / r->threads;
}

static sp_tensor *loss_of_shard(sp_tape *t, void *self, int shard, double *weight)
{
    const struct model *k = self;
    const long batch = batch_of(k->row, shard);
    *weight = (double)batch;
    return sp_lm_loss(t, k->lm, k->x, k->x, k->row->T, batch, k->state[shard]);
}

static void train_model(void *context)
{
    struct model *k = context;
    sp_tape *t = sp_parallel_tape(k->parallel, 0);
    sp_parallel_backward(k->parallel, loss_of_shard, k, NULL);
    sp_clip_norm(t, 5);
    sp_step(k->adam, t);
}

static void decode_symbol(void *context)
{
    struct model *k = context;
    sp_tape *t = sp_parallel_tape(k->parallel, 0);
    sp_tape_reset(t);
    sp_lm_on(t, k->lm, k->x, 1, 1, k->state[0]);
}

static void bench_model(const struct row *r)
{
    char text[SYMBOLS];
    sp_status status = { 0 };
    struct model k = { .row = r };
    bool decode = !strcmp(r->bench, "lm_decode");
    for (int i = 0; i < SYMBOLS; i++)
        text[i] = (char)(' ' + i);
    const sp_lm_config config = { .cell = "lstm", .embed = r->H, .hidden = r->H, .layers = (int)r->L };
    k.lm = sp_lm_new(&config, sp_vocabulary_of(text, SYMBOLS, SP_LEVEL_CHAR, 0, &status), 1, &status);
    if (!k.lm) {
        fprintf(stderr, "%s: %s\n", r->bench, status.message);
        return;
    }
    k.parallel = sp_parallel_new(k.lm->store, r->threads, r->threads);
    k.adam = sp_optimizer_new(k.lm->store, "adam", 1e-3, &status);
    k.x = calloc((size_t)(r->T * r->B), sizeof *k.x);
    for (int i = 0; i < r->threads; i++)
        k.state[i] = sp_state_new(&k.lm->stack, batch_of(r, i));
    for (long i = 0; i < r->T * r->B; i++)
        k.x[i] = (int)(i * 7 % SYMBOLS);
    sp_tape_set_recording(sp_parallel_tape(k.parallel, 0), !decode);
    struct row cells = *r;
    cells.cell = "lstm";
    /* The first layer multiplies the table of embeddings instead of the inputs of all steps (nn/scan_table.c). */
    const double rows = (double)(r->T * r->B), spared = decode ? 0 : rows - r->threads * (SYMBOLS + 1);
    double gflop = layer_gflop(&cells) - 6e-9 * spared * 4 * (double)(r->H * r->H)
                   + 6e-9 * rows * (double)r->H * (SYMBOLS + 1);
    write_row(r, decode ? decode_symbol : train_model, &k, decode ? gflop / 3 : gflop);
    if (!sp_ok(sp_parallel_tape(k.parallel, 0)))
        fprintf(stderr, "%s: %s\n", r->bench, sp_error(sp_parallel_tape(k.parallel, 0)));
    free(k.x);
    for (int i = 0; i < r->threads; i++)
        sp_state_free(k.state[i]);
    sp_optimizer_free(k.adam);
    sp_parallel_free(k.parallel);
    sp_lm_free(k.lm);
}

/* ---- large vocabularies ---------------------------------------------------------------------------------------- */

/* The output layer alone, forward and backward: B rows of H to I classes, that are drawn as words are. */
struct vocabulary {
    const struct row *row;
    sp_store *store;
    sp_linear full;
    sp_adaptive_softmax adaptive;
    sp_sampler sampler;
    sp_tape *tape;
    sp_real *x;
    int *ids;
};

enum { SAMPLES = 2000 };

static void train_vocabulary(void *context)
{
    struct vocabulary *k = context;
    const struct row *r = k->row;
    sp_tape *t = k->tape;
    sp_store_values(k->store);
    sp_tape_reset(t);                                   /* gradients add up: clearing them is the optimizer's */
    sp_tensor *x = sp_variable(t, k->x, SP_SHAPE(r->B, r->H)), *loss;
    if (!strcmp(r->cell, "adaptive"))
        loss = sp_adaptive_cross_entropy_mean(t, &k->adaptive, x, k->ids, SP_IGNORE);
    else if (!strcmp(r->cell, "sampled"))
        loss = sp_sampled_cross_entropy_mean(t, &k->full, &k->sampler, x, k->ids, SP_IGNORE, SAMPLES);
    else
        loss = sp_cross_entropy_mean(t, sp_linear_on(t, &k->full, x), k->ids, SP_IGNORE);
    sp_backward(t, loss);
}

/* The three products of each layer, on the rows and classes that it is for. */
static double vocabulary_gflop(const struct vocabulary *k)
{
    const struct row *r = k->row;
    double classes = 0, sum = 0;
    if (!strcmp(r->cell, "sampled"))
        for (long j = 0; j < r->I; j++)                 /* the distinct ones, on average */
            classes += 1 - pow(1 - sp_sampler_probability(&k->sampler, j), SAMPLES);
    if (strcmp(r->cell, "adaptive"))
        return 6e-9 * (double)r->B * (double)r->H * (classes > 0 ? classes : (double)r->I);
    const sp_adaptive_softmax *a = &k->adaptive;
    for (long i = 0; i < r->B; i++) {
        sum += (double)(r->H * (a->cutoff[0] + a->clusters));
        for (int c = 0; c < a->clusters; c++)
            if (k->ids[i] >= a->cutoff[c] && k->ids[i] < a->cutoff[c + 1])
                sum += (double)(a->tail[c].down.weight->shape.dim[0] * (r->H + a->cutoff[c + 1] - a->cutoff[c]));
    }
    return 6e-9 * sum;
}

static void bench_vocabulary(const struct row *r)
{
    struct vocabulary k = { .row = r, .store = sp_store_new(1), .sampler = sp_sampler_log_uniform(r->I) };
    sp_random random = { .key = { .seed = 2 } };
    if (!strcmp(r->cell, "adaptive"))
        k.adaptive = sp_adaptive_softmax_make(k.store, "out", r->H, r->I, 2, (const long[]){ r->I / 25, r->I / 5 }, 4, false);
    else
        k.full = sp_linear_make(k.store, "out", r->H, r->I);
    k.tape = sp_tape_new(k.store);
    k.x = calloc((size_t)(r->B * r->H), sizeof *k.x);
    k.ids = calloc((size_t)r->B, sizeof *k.ids);
    sp_random_uniform((sp_key){ .seed = 1 }, r->B * r->H, k.x, -1, 1);
    for (long i = 0; i < r->B; i++)
        k.ids[i] = (int)sp_sampler_draw(&k.sampler, &random);
    write_row(r, train_vocabulary, &k, vocabulary_gflop(&k));
    if (!sp_ok(k.tape))
        fprintf(stderr, "%s: %s\n", r->bench, sp_error(k.tape));
    free(k.x);
    free(k.ids);
    sp_tape_free(k.tape);
    sp_store_free(k.store);
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct {
        struct row row;
        void (*run)(const struct row *r);
    } rows[] = {
        { { "gemm_packed", "", 1, 12, 512, 2048, 1, 1 }, bench_product },
        { { "gemm_packed", "", 1, 24, 512, 2048, 1, 1 }, bench_product },
        { { "gemm_packed", "", 1, 48, 512, 2048, 1, 1 }, bench_product },
        { { "gemm_packed", "", 1, 60, 512, 2048, 1, 1 }, bench_product },
#define SIZES(bench, cell)                                    \
        { { bench, cell, 50, 50, 128, 128, 1, 1 }, bench_layers }, \
        { { bench, cell, 50, 50, 256, 256, 1, 1 }, bench_layers }, \
        { { bench, cell, 50, 50, 512, 512, 1, 1 }, bench_layers }, \
        { { bench, cell, 35, 20, 200, 200, 2, 1 }, bench_layers }, \
        { { bench, cell, 35, 20, 650, 650, 2, 1 }, bench_layers },
        SIZES("lstm_train", "lstm") SIZES("gru_train", "gru") SIZES("rnn_train", "rnn") SIZES("custom_train", "plain")
#define IMAGES(bench, B)                                      \
        { { bench, "", 224, B, 3, 64, 7, 1 }, bench_images }, \
        { { bench, "", 56, B, 64, 64, 3, 1 }, bench_images }, \
        { { bench, "", 28, B, 128, 128, 3, 1 }, bench_images }, \
        { { bench, "", 14, B, 256, 256, 3, 1 }, bench_images }, \
        { { bench, "", 7, B, 512, 512, 3, 1 }, bench_images }, \
        { { bench, "", 56, B, 256, 64, 1, 1 }, bench_images },
#define TEXTS(bench)                                          \
        { { bench, "", 50, 50, 128, 100, 3, 1 }, bench_images }, \
        { { bench, "", 50, 50, 128, 100, 4, 1 }, bench_images }, \
        { { bench, "", 50, 50, 128, 100, 5, 1 }, bench_images },
        IMAGES("conv_infer", 1) IMAGES("conv_infer", 8) IMAGES("conv_train", 1) IMAGES("conv_train", 8)
        TEXTS("conv1d_infer") TEXTS("conv1d_train")
#define OTHERS(way)                                                       \
        { { "depthwise_" way, "", 7, 8, 512, 512, 3, 1 }, bench_images }, \
        { { "depthwise_" way, "", 56, 8, 64, 64, 3, 1 }, bench_images },  \
        { { "depthwise_strided_" way, "", 56, 8, 64, 64, 3, 1 }, bench_images }, \
        { { "conv_strided_" way, "", 56, 8, 64, 64, 3, 1 }, bench_images }, \
        { { "conv_whole_" way, "", 28, 8, 16, 16, 28, 1 }, bench_images },
        OTHERS("infer") OTHERS("train")
        { { "ragged_train", "ragged", 50, 32, 128, 128, 1, 1 }, bench_ragged },
        { { "ragged_padded", "padded", 50, 32, 128, 128, 1, 1 }, bench_ragged },
        { { "scan_budget", "lstm", 100000, 1, 32, 128, 64, 1 }, bench_budget },     /* so many megabytes, not layers */
        { { "scan_budget", "lstm", 500, 50, 128, 128, 24, 1 }, bench_budget },
        { { "scan_budget", "lstm", 500, 50, 128, 128, 9, 1 }, bench_budget },
        { { "scan_budget", "plain", 500, 50, 128, 128, 24, 1 }, bench_budget },
        { { "lm_train", "", 50, 50, 128, 128, 2, 1 }, bench_model },
        { { "lm_train", "", 50, 50, 256, 256, 2, 1 }, bench_model },
        { { "lm_train", "", 50, 50, 512, 512, 2, 1 }, bench_model },
        { { "lm_train", "", 50, 50, 256, 256, 2, 2 }, bench_model },
        { { "lm_decode", "", 1, 1, 128, 128, 2, 1 }, bench_model },
        { { "lm_decode", "", 1, 1, 256, 256, 2, 1 }, bench_model },
        { { "lm_decode", "", 1, 1, 512, 512, 2, 1 }, bench_model },
        { { "vocabulary_full", "full", 1, 700, 50000, 256, 1, 1 }, bench_vocabulary },
        { { "vocabulary_adaptive", "adaptive", 1, 700, 50000, 256, 1, 1 }, bench_vocabulary },
        { { "vocabulary_sampled", "sampled", 1, 700, 50000, 256, 1, 1 }, bench_vocabulary },
        { { "tiny_train", "lstm", 20, 1, 64, 64, 1, 1 }, bench_layers },
    };
    const size_t n = sizeof rows / sizeof *rows;
    const char *wanted = argc > 1 ? argv[1] : "";
    if (!strcmp(wanted, "-i")) {                        /* one row by its number, for tests/bench/peer.py */
        rounds = 1;
        size_t i = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : n;
        if (i < n && argc > 3 && strncmp(rows[i].row.bench, argv[3], strlen(argv[3])) != 0)
            puts("{}");                                 /* not wanted */
        else if (i < n)
            rows[i].run(&rows[i].row);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (!strncmp(rows[i].row.bench, wanted, strlen(wanted)))
            rows[i].run(&rows[i].row);
    return 0;
}
