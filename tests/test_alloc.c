/* Memory: a training step takes none once the second has run, nor does a step of generating once the first has; and where any
   allocation of a language model's life fails, the outcome is an error: no crash, no leak, no damaged file. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/blas.h"
#include "autograd/file.h"
#include "autograd/op.h"
#include "autograd/parallel.h"
#include "nn/adaptive_softmax.h"
#include "nn/crf.h"
#include "nn/ctc.h"
#include "nn/decoder.h"
#include "nn/import.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/multihead.h"
#include "nn/optimizer.h"
#include "nn/pool.h"
#include "nn/sampled_softmax.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/refusing.h"
#include "zoo/lm.h"
#include "zoo/lm_data.h"
#include "zoo/lm_train.h"
#include "zoo/ngram.h"
#include "zoo/report.h"
#include "zoo/trainer.h"

/* ---- a model's life -------------------------------------------------------------------------------------------- */

enum { BATCH = 2, STEPS = 5, HIDDEN = 64, MANY = 32 };

static const char text[] = "she sells sea shells\nby the sea shore\n";

static sp_lm *new_model(sp_ids *ids, sp_status *status)
{
    const sp_lm_config config = { .cell = "lstm", .embed = 3, .hidden = 4, .layers = 2, .dropout = 0.25, .variational = true,
                                  .embed_dropout = 0.1, .weight_drop = 0.1, .adaptive = 4 };
    sp_vocabulary *v = sp_vocabulary_of(text, sizeof text - 1, SP_LEVEL_CHAR, 0, status);
    sp_lm *m = v ? sp_lm_new(&config, v, 1, status) : NULL;
    if (!m || sp_encode(v, text, sizeof text - 1, ids, status))
        return m;
    sp_lm_free(m);
    return NULL;
}

/* One window of the text, learned or only looked at. */
static void one_window(sp_tape *t, const sp_lm *m, sp_optimizer *o, const sp_stream *s, long window, sp_state *state)
{
    int x[BATCH * STEPS], y[BATCH * STEPS];
    sp_stream_read(s, window, x, y);
    sp_tape_reset(t);
    sp_tensor *loss = sp_lm_loss(t, m, x, y, sp_stream_length(s, window), BATCH, state);
    if (o) {
        sp_backward(t, loss);
        sp_clip_norm(t, 1);
        sp_step(o, t);
    }
}

/* Two shards, on one thread: the counters above are for one. */
struct lesson {
    const sp_lm *model;
    sp_stream all;
    sp_state *state[2];
};

static sp_tensor *loss_of_shard(sp_tape *t, void *self, int shard, double *weight)
{
    const struct lesson *l = self;
    const sp_stream s = sp_stream_part(&l->all, shard, 2);
    int x[BATCH * STEPS], y[BATCH * STEPS];
    *weight = (double)sp_stream_read(&s, 0, x, y);
    return sp_lm_loss(t, l->model, x, y, sp_stream_length(&s, 0), s.batch, l->state[shard]);
}

static bool learn(const sp_lm *m, const sp_ids *ids, sp_status *status)
{
    struct lesson l = { m, sp_stream_of(ids->id, ids->n, BATCH, STEPS),
                        { sp_state_new(&m->stack, BATCH / 2), sp_state_new(&m->stack, BATCH / 2) } };
    sp_profile *profile = sp_profile_new();
    sp_optimizer *adam = sp_optimizer_new(m->store, "adam", 1e-2, status);
    const bool ready = adam && sp_optimizer_group(adam, "*bias*", 1, 0, status) && sp_optimizer_average(adam, 0.9, status);
    sp_parallel *p = sp_parallel_new(m->store, 2, 1);
    sp_tape *t = sp_parallel_tape(p, 0);
    sp_parallel_set_profile(p, profile);
    if (ready && l.state[0] && l.state[1]) {
        sp_parallel_backward(p, loss_of_shard, &l, NULL);
        sp_clip_norm(t, 1);
        sp_step(adam, t);
    }
    bool ok = ready && sp_optimizer_save(adam, NULL, "/dev/null", 0, NULL, status)
              && ((l.state[0] && l.state[1]) || sp_fail(status, SP_ERR_MEMORY, "no state"))
              && (sp_ok(t) || sp_fail(status, sp_tape_status(t)->code, "%s", sp_error(t)));
    sp_optimizer_free(adam);
    sp_parallel_free(p);
    sp_profile_free(profile);
    sp_state_free(l.state[0]);
    sp_state_free(l.state[1]);
    return ok;
}

/* Loads the model again and uses it; the text's ln p is what a success can be told by. */
static bool use(const char *path, const sp_ids *ids, double *log_p, sp_status *status)
{
    const sp_sampling how = { .temperature = 1, .top_p = 1, .seed = 1 };
    const sp_lm_dynamic dynamic = { .rate = 0.1, .window = 20, .train = ids->id, .n = ids->n };
    double unigram, bigram, sampled[2];
    int out[2 * 5];
    sp_lm *m = sp_lm_load(path, status);
    bool ok = m && sp_lm_sample_batch(m, ids->id, 3, &how, 5, 2, out, sampled, status)
              && !isnan(sp_lm_evaluate_dynamic(m, ids->id, ids->n, 1, &dynamic, status))
              && !isnan(sp_lm_evaluate(m, ids->id, ids->n, BATCH, status))
              && !isnan(*log_p = sp_lm_score(m, ids->id, ids->n, status))
              && sp_ngram_losses(ids->id, ids->n, ids->id, ids->n, sp_vocabulary_size(m->vocabulary), &unigram, &bigram,
                                 status);
    sp_lm_free(m);
    return ok;
}

/* From a text to a trained model, as a program does it. */
static bool train(sp_status *status)
{
    const sp_lm_config config = { .cell = "gru", .embed = 2, .hidden = 2, .layers = 1 };
    const sp_trainer_config how = { .optimizer = "sgd", .lr = 0.1, .epochs = 1 };
    sp_lm_data d;
    sp_training x;
    if (!sp_lm_data_read(&d, &(sp_lm_source){ .text = text, .size = sizeof text - 1, .split = "80,10,10" }, status))
        return false;
    sp_lm *m = sp_lm_new(&config, d.vocabulary, 1, status);
    d.vocabulary = NULL;
    sp_lm_trainer *r = m ? sp_lm_trainer_new(m, &d.train, &d.valid, BATCH, STEPS, NULL, status) : NULL;
    const sp_task task = sp_lm_trainer_task(r);
    const bool ok = r && sp_train(&task, &how, &x, status);
    sp_lm_trainer_free(r);
    sp_lm_free(m);
    sp_lm_data_free(&d);
    return ok;
}

static bool tell(double log_p, FILE *out, sp_status *status)
{
    sp_report *r = sp_report_new();
    sp_report_text(r, "text", text);
    sp_report_number(r, "log_p", log_p);
    bool ok = sp_report_write(r, out);
    sp_report_free(r);
    return ok || sp_fail(status, SP_ERR_MEMORY, "no report");
}

/* A stack of all that there is over sequences of different lengths, pooled; steps of training, and what 18 of them took. */
static bool stack_up(int steps, long *taken, sp_status *status)
{
    static const long lengths[][3] = { { 4, 1, 2 }, { 2, 4, 1 }, { 1, 2, 4 } };
    sp_store *s = sp_store_new(1);
    if (!s)
        return sp_fail(status, SP_ERR_MEMORY, "no store");
    sp_stack stack = sp_stack_make(s, "stack", &(sp_stack_config){ .cell = "lstm", .in = 4, .hidden = 3, .layers = 2, .dropout = 0.5,
        .bidirectional = true, .skip = SP_SKIP_HIGHWAY, .variational = true, .zoneout = 0.1, .weight_drop = 0.5 });
    sp_pool_attention pool = sp_pool_attention_make(s, "pool", 6, 3);
    sp_tape *t = sp_tape_new(s);
    for (int step = 0; step < steps; step++) {
        if (step == 2)
            memory.calls = memory.frees = 0;
        sp_tape_reset(t);
        sp_seq xs = sp_seq_pack(t, sp_full(t, (sp_real)0.1, SP_SHAPE(7, 4)), lengths[step % 3], 3);
        sp_seq ys = sp_stack_on_seq(t, &stack, sp_seq_reverse(t, xs), NULL);
        sp_tensor *y[] = { sp_pool_attention_on(t, &pool, ys, NULL), sp_pool_last(t, ys), sp_pool_mean(t, ys), sp_pool_max(t, ys) };
        sp_backward(t, sp_mean(t, sp_concat(t, 4, y, 1), SP_ALL));
        sp_zero_grad(t);
    }
    *taken = memory.calls + memory.frees;
    const bool ok = sp_ok(t) || sp_fail(status, sp_tape_status(t)->code, "%s", sp_error(t));
    sp_tape_free(t);
    sp_store_free(s);
    return ok;
}

struct home {
    char directory[PATH_ROOM], path[PATH_ROOM + 2];
    char *saved;                /* what the model's file should hold */
    size_t size;
    FILE *out;
};

static bool live(void *self, double *log_p, sp_status *status)
{
    const struct home *h = self;
    sp_ids ids = { 0 };
    long taken;
    sp_lm *m = new_model(&ids, status);
    bool ok = m && stack_up(1, &taken, status) && learn(m, &ids, status) && train(status) && sp_lm_save(m, h->path, status)
              && use(h->path, &ids, log_p, status) && tell(*log_p, h->out, status);
    sp_lm_free(m);
    free(ids.id);
    return ok;
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

START_TEST(steady_state)
{
    sp_ids ids = { 0 };
    sp_status status = { 0 };
    long taken[2];              /* in 18 steps of training, in 20 of evaluation; given back as well */
    begin();
    sp_lm *m = new_model(&ids, &status);
    sp_stream s = sp_stream_of(ids.id, ids.n, BATCH, STEPS);
    sp_state *state = sp_state_new(&m->stack, BATCH);
    sp_tape *t = sp_tape_new(m->store);
    sp_profile *p = sp_profile_new();
    sp_optimizer *adam = sp_optimizer_new(m->store, "adam", 1e-2, &status);
    sp_tape_set_profile(t, p);
    sp_optimizer_group(adam, "*bias*", 1, 0, &status);
    sp_optimizer_average(adam, 0.9, &status);
    bool counted = memory.calls > 0 && memory.live == memory.calls - memory.frees;
    for (int i = 0; i < 20; i++) {
        if (i == 2)
            memory.calls = memory.frees = 0;
        one_window(t, m, adam, &s, i % s.windows, state);
    }
    taken[0] = memory.calls + memory.frees;
    sp_tape_set_recording(t, false);
    sp_tape_set_training(t, false);
    one_window(t, m, NULL, &s, 0, state);       /* packs the weights that training has only seen dropped */
    memory.calls = memory.frees = 0;
    for (int i = 0; i < 20; i++)
        one_window(t, m, NULL, &s, i % s.windows, state);
    taken[1] = memory.calls + memory.frees;
    bool ok = sp_ok(t), unequal = sp_stream_length(&s, s.windows - 1) < sp_stream_length(&s, 0);
    sp_optimizer_free(adam);
    sp_tape_free(t);
    sp_profile_free(p);
    sp_state_free(state);
    sp_lm_free(m);
    free(ids.id);
    const long left = memory.live;
    ck_assert(ok && counted && unequal);
    ck_assert_int_eq(taken[0], 0);
    ck_assert_int_eq(taken[1], 0);
    ck_assert_int_eq(left, 0);
}
END_TEST

/* Sequences of different lengths, in another order at each step. */
START_TEST(ragged_steady_state)
{
    static const long lengths[][4] = { { 9, 2, 5, 5 }, { 5, 9, 2, 5 }, { 2, 5, 5, 9 } };
    sp_status status = { 0 };
    begin();
    sp_store *store = sp_store_new(1);
    sp_cell cell = sp_cell_make(store, sp_cell_kind(_i), "cell", 0, HIDDEN, HIDDEN);
    sp_tape *t = sp_tape_new(store);
    sp_optimizer *adam = sp_optimizer_new(store, "adam", 1e-2, &status);
    for (int step = 0; step < 20; step++) {
        if (step == 2)
            memory.calls = memory.frees = 0;
        sp_tape_reset(t);
        sp_seq xs = sp_seq_pack(t, sp_full(t, (sp_real)0.1, SP_SHAPE(21, HIDDEN)), lengths[step % 3], 4);
        sp_tensor *ys = sp_seq_unpack(t, sp_scan_seq(t, &cell, xs, NULL, step % 2));
        sp_backward(t, sp_mean(t, sp_mul(t, ys, ys), SP_ALL));
        sp_clip_norm(t, 1);
        sp_step(adam, t);
    }
    const long taken = memory.calls + memory.frees;
    const bool ok = sp_ok(t);
    sp_optimizer_free(adam);
    sp_tape_free(t);
    sp_store_free(store);
    ck_assert(ok);
    ck_assert_int_eq(taken, 0);
}
END_TEST

/* Losses over whole sequences, and their decoders, on what the tape has. */
static void structured_step(sp_tape *t, const sp_crf *crf)
{
    const int labels[] = { 1, 2, 1, 1, 2, 2, 1, 2 };
    const long length[] = { 3, 5 }, said[] = { 1, 3 };
    int tags[3 * 8], count[2];
    long lengths[2];
    double score[6];
    sp_real marginal[8 * 3];
    sp_ctc_path path[4];
    sp_seq x = sp_seq_pack(t, sp_full(t, (sp_real)0.1, SP_SHAPE(8, 3)), length, 2);
    sp_tensor *a = sp_crf_loss_mean(t, crf, x, labels), *b = sp_ctc_loss_mean(t, (sp_ctc_options){ 0 }, x, labels, said);
    sp_crf_nbest(t, crf, x, 3, tags, score, count);
    sp_crf_marginals(t, crf, x, marginal);
    sp_ctc_greedy(t, x, 0, tags, lengths);
    sp_ctc_search(t, (sp_ctc_beam){ 0 }, x, 2, path);
    sp_backward(t, sp_add(t, a, b));
}

/* Some steps; *later is what those behind the second took. */
static bool structured_life(long *later)
{
    sp_store *s = sp_store_new(1);
    const sp_crf crf = sp_crf_make(s, "crf", 3);
    sp_tape *t = sp_tape_new(s);
    for (int step = 0; step < 5; step++) {
        const long before = memory.calls + memory.frees;
        sp_tape_reset(t);
        structured_step(t, &crf);
        *later = step < 2 ? 0 : *later + memory.calls + memory.frees - before;
    }
    const bool ok = sp_ok(t) && sp_store_ok(s);
    sp_tape_free(t);
    sp_store_free(s);
    return ok;
}

START_TEST(structured)
{
    long later, n = 0, wrong = 0, leaked = 0, all;
    begin();
    bool ok = structured_life(&later);
    all = memory.calls;
    const long taken = later;
    ck_assert(ok && all > 5);
    ck_assert_int_eq(taken, 0);
    for (ok = false; !ok; ) {
        memory.calls = 0;
        memory.for_good = true;
        memory.refuse = ++n;
        const long before = memory.live;
        ok = structured_life(&later);
        memory.refuse = 0;
        wrong += ok && memory.calls >= n;
        leaked += memory.live - before;
    }
    ck_assert_int_eq(n, all + 1);
    ck_assert(!wrong && !leaked);
}
END_TEST

struct reader {
    sp_decoder decoder;
    sp_multihead heads;
};

static sp_store *new_reader(struct reader *r)
{
    sp_store *store = sp_store_new(1);
    sp_attention attention = sp_attention_make(store, "coverage", "attention", HIDDEN, HIDDEN, HIDDEN);
    r->decoder = sp_decoder_make(store, "decoder", &attention, &(sp_stack_config){
        .cell = "lstm", .in = HIDDEN, .hidden = HIDDEN, .layers = 2, .dropout = 0.1 });
    r->heads = sp_multihead_make(store, "heads", HIDDEN, 4, 0.1);
    return store;
}

/* A decoder reads what several heads made of what they read. */
static void read_once(sp_tape *t, const struct reader *r, const long *length)
{
    sp_tape_reset(t);
    sp_seq xs = sp_seq_pack(t, sp_full(t, (sp_real)0.1, SP_SHAPE(21, HIDDEN)), length, 4), seen;
    seen = sp_multihead_on_seq(t, &r->heads, xs, xs, true, NULL);
    sp_memory memory_of = sp_memory_of(t, &r->decoder.attention, seen);
    sp_decoded y = sp_decoder_on(t, &r->decoder, &memory_of, xs, NULL);
    sp_tensor *ys = sp_seq_unpack(t, y.out);
    sp_backward(t, sp_add(t, sp_sum(t, sp_mul(t, ys, ys), SP_ALL), sp_sum(t, y.penalty.rows, SP_ALL)));
}

/* No allocation once the first steps have run; an allocation that fails, here in turn each, is an error of the tape. */
START_TEST(attending)
{
    static const long lengths[][4] = { { 9, 2, 5, 5 }, { 5, 9, 2, 5 }, { 2, 5, 5, 9 } };
    struct reader r;
    begin();
    sp_store *store = new_reader(&r);
    sp_tape *t = sp_tape_new(store);
    for (int step = 0; step < 10; step++) {
        if (step == 2)
            memory.calls = memory.frees = 0;
        read_once(t, &r, lengths[step % 3]);
    }
    const long taken = memory.calls + memory.frees;
    const bool ok = sp_ok(t);
    bool told = true;
    long n = 0, errors = 0;
    sp_tape_free(t);
    const long before = memory.live;
    for (bool through = false; !through && n < 1000; ) {
        memory.calls = 0;
        memory.refuse = ++n;
        t = sp_tape_new(store);
        read_once(t, &r, lengths[0]);
        memory.refuse = 0;
        through = memory.calls < n;
        errors += !sp_ok(t);            /* an arena that gets no large chunk makes do with a small one */
        told = told && (through ? sp_ok(t) : sp_ok(t) || !t || *sp_error(t));
        sp_tape_free(t);
    }
    const long leaked = memory.live - before;
    sp_store_free(store);
    ck_assert(ok && told);
    ck_assert_int_eq(taken, 0);
    ck_assert_int_eq(leaked, 0);
    ck_assert_int_ge(errors, 2);
}
END_TEST

START_TEST(stack_steady_state)
{
    long taken = -1;
    sp_status status = { 0 };
    begin();
    ck_assert_msg(stack_up(20, &taken, &status), "%s", status.message);
    ck_assert_int_eq(taken, 0);
}
END_TEST

/* The cell itself, as if it were run over xs [1,B,in]. */
static sp_tensor *step_on(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state)
{
    return cell->step(t, cell->self, sp_index(t, xs, 0, 0), state);
}

static const struct {
    const char *name;
    sp_tensor *(*run)(sp_tape *t, const sp_cell *cell, sp_tensor *xs, sp_tensor **state);      /* NULL: sp_stack_on */
} ways[] = {
    { "step", step_on },
    { "scan", sp_scan },
    { "unroll", sp_unroll },
    { "stack", NULL },
};

enum { WAYS = sizeof ways / sizeof *ways };

/* One step further: the output; the states are carried outside the tape. */
static sp_tensor *go_on(sp_tape *t, int way, const sp_stack *stack, long batch, sp_state *carry,
                        sp_real (*own)[MANY * HIDDEN * HIDDEN])
{
    const sp_cell *cell = &stack->layer[0].cell;
    sp_tensor *state[SP_MAX_STATES], *x = sp_full(t, (sp_real)0.1, SP_SHAPE(1, batch, HIDDEN));
    if (!ways[way].run)
        return sp_stack_on(t, stack, x, carry);
    for (int i = 0; i < cell->states; i++)
        state[i] = sp_feed(t, own[i], SP_SHAPE(batch, cell->width[i]));
    sp_tensor *y = ways[way].run(t, cell, x, state);
    for (int i = 0; i < cell->states; i++)
        sp_read(state[i], own[i]);
    return y;
}

/* Without recording a step leaves nothing behind: no allocation once the first has run, whose pieces of memory the reset
   joins; no operation on the tape; no gradient, now or to come. */
static void generate(const char *kind, int way, long batch)
{
    static sp_real own[SP_MAX_STATES][MANY * HIDDEN * HIDDEN];
    begin();
    memset(own, 0, sizeof own);
    sp_store *store = sp_store_new(1);
    sp_stack stack = sp_stack_make(store, "cell", &(sp_stack_config){ .cell = kind, .in = HIDDEN, .hidden = HIDDEN, .layers = 1 });
    sp_state *carry = sp_state_new(&stack, batch);
    sp_tape *t = sp_tape_new(store);
    size_t bytes = 0;
    long first = 0, recorded = 0, gradients = 0;
    sp_tape_set_recording(t, false);
    memory.calls = 0;
    for (int step = 0; step < 20; step++) {
        sp_tape_reset(t);
        if (step == 1) {
            first = memory.calls;
            memory.calls = memory.frees = 0;
            bytes = sp_tape_bytes(t);
        }
        sp_tensor *y = go_on(t, way, &stack, batch, carry, own);
        recorded += sp_tape_length(t);
        gradients += y->buffer->wants_grad || sp_grad_view(y).data;
        for (int i = 0; i < sp_store_count(store); i++)
            gradients += sp_grad_view(sp_param_on(t, sp_store_at(store, i))).data != NULL;
    }
    const long taken = memory.calls + memory.frees;
    const bool ok = sp_ok(t), grown = sp_tape_bytes(t) != bytes;
    sp_tape_free(t);
    sp_state_free(carry);
    sp_store_free(store);
    ck_assert_int_gt(first, 0);
    ck_assert_msg(ok && !taken && !grown && !recorded && !gradients,
                  "%s by %s, batch of %ld: %s, %ld calls, %s, %ld operations recorded, %ld gradients", kind, ways[way].name,
                  batch, ok ? "ok" : "failed", taken, grown ? "memory grew" : "memory stayed", recorded, gradients);
}

START_TEST(generating)
{
    for (int way = 0; way < WAYS; way++) {
        generate(sp_cell_kind(_i), way, 1);
        generate(sp_cell_kind(_i), way, MANY);
    }
}
END_TEST

/* True if a file has these bytes. */
static bool holds(const char *path, const char *bytes, size_t size)
{
    size_t n;
    char *found = sp_file_read(path, &n, NULL);
    bool same = found && n == size && !memcmp(found, bytes, n);
    free(found);
    return same;
}

/* Files in a directory. */
static int files_in(const char *directory)
{
    int n = 0;
    DIR *d = opendir(directory);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;               /* . and .. */
}

static void lay_old(void *self)
{
    struct home *h = self;
    if (!h->saved && !access(h->path, F_OK))
        h->saved = sp_file_read(h->path, &h->size, NULL);
    ck_put_file(h->path, "old", 3);
}

static void look_around(void *self, long n, bool ok, const sp_status *status)
{
    const struct home *h = self;
    ck_assert_msg(holds(h->path, ok ? h->saved : "old", ok ? h->size : 3) || (!ok && holds(h->path, h->saved, h->size)),
                  "allocation %ld: the file is damaged (%s)", n, status->message);
    ck_assert_msg(files_in(h->directory) == 1, "allocation %ld: half a file is left", n);
}

/* _i, here as below: 0: one allocation fails, 1: all from the n-th on fail. */
START_TEST(every_failure)
{
    struct home h = { .out = fopen("/dev/null", "w") };
    ck_new_directory(h.directory);
    snprintf(h.path, sizeof h.path, "%s/m", h.directory);
    const struct refusals x = refuse_each(&(struct life){ live, &h, lay_old, look_around, 0 }, _i);
    ck_assert_int_gt(x.all, 100);
    ck_assert(_i ? !x.overlooked : x.errors >= x.all / 2);      /* an arena that gets no large chunk makes do with a small one */
    free(h.saved);
    fclose(h.out);
    remove(h.path);
    ck_assert_int_eq(rmdir(h.directory), 0);
}
END_TEST

/* ---- a convolution --------------------------------------------------------------------------------------------- */

enum { CONV_X = 2 * 4 * 9 * 9, CONV_W = 6 * 4 * 3 * 3, CONV_Y = 2 * 6 * 5 * 5 };

struct convolution {
    sp_tape *t;
    sp_real y[CONV_Y], dx[CONV_X], dw[CONV_W];
};

static void *convolve(void *self)
{
    static sp_real x[CONV_X], w[CONV_W];
    struct convolution *k = self;
    sp_random_uniform((sp_key){ .place = 1 }, CONV_X, x, -1, 1);
    sp_random_uniform((sp_key){ .place = 2 }, CONV_W, w, -1, 1);
    sp_tape_reset(k->t);
    sp_tensor *vx = sp_variable(k->t, x, SP_SHAPE(2, 4, 9, 9)), *vw = sp_variable(k->t, w, SP_SHAPE(6, 4, 3, 3));
    sp_tensor *bias = sp_variable(k->t, w, SP_SHAPE(6));
    sp_tensor *y = sp_conv(k->t, vx, vw, bias, (sp_slide){ .stride = { 2, 2 }, .padding = { 1, 1 } });
    sp_backward(k->t, sp_sum(k->t, sp_mul(k->t, y, y), SP_ALL));
    sp_read(y, k->y);
    sp_read_grad(vx, k->dx);
    sp_read_grad(vw, k->dw);
    return NULL;
}

/* A thread that gets no memory to work in computes the same, product by product: in another order, so up to rounding. */
START_TEST(convolution_without_memory)
{
    struct convolution *k = calloc(2, sizeof *k);
    pthread_t thread;
    begin();
    k[0].t = k[1].t = sp_tape_new(NULL);
    convolve(&k[0]);                                    /* the tape has what it needs, and so has this thread */
    memory.calls = 0;
    memory.for_good = true;
    memory.refuse = 1;
    pthread_create(&thread, NULL, convolve, &k[1]);
    pthread_join(thread, NULL);
    memory.refuse = 0;
    const long calls = memory.calls;
    ck_assert_int_gt(calls, 0);
    ck_tape_ok(k->t);
    for (int i = 0; i < CONV_Y; i++)
        ck_each(fabs((double)(k[0].y[i] - k[1].y[i])) < WIDE(1e-13, 1e-5), "y[%d]", i);
    for (int i = 0; i < CONV_X; i++)
        ck_each(fabs((double)(k[0].dx[i] - k[1].dx[i])) < WIDE(1e-13, 1e-4), "dx[%d]", i);
    for (int i = 0; i < CONV_W; i++)
        ck_each(fabs((double)(k[0].dw[i] - k[1].dw[i])) < WIDE(1e-12, 1e-4), "dw[%d]", i);
    sp_tape_free(k[0].t);
    free(k);
}
END_TEST

/* ---- a scan with a budget -------------------------------------------------------------------------------------- */

/* A scan in segments, there and back, of two sequences of different lengths; the sum of its gradients. */
static bool long_scan(void *self, double *sum, sp_status *status)
{
    enum { IN = 2, LONG = 900, SHORT = 500 };
    static const long length[] = { SHORT, LONG };
    (void)self;
    sp_store *s = sp_store_new(1);
    sp_cell cell = sp_gru_make(s, "gru", 0, IN, HIDDEN);
    sp_tape *t = sp_tape_new(s);
    sp_tape_set_budget(t, (size_t)(1 << 20) * sizeof(sp_real));
    sp_seq xs = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(SHORT + LONG, IN)), length, 2);
    sp_tensor *state[1] = { NULL };
    sp_scan_seq(t, &cell, xs, state, false);
    *sum = 0;
    if (sp_backward(t, sp_sum(t, state[0], SP_ALL)))
        for (long i = 0; i < sp_store_size(s); i++)
            *sum += (double)sp_gradients(t)[i];
    const bool ok = sp_ok(t) || sp_fail(status, s ? sp_tape_status(t)->code : SP_ERR_MEMORY, "%s", sp_error(t));
    sp_tape_free(t);
    sp_store_free(s);
    return ok;
}

START_TEST(segments)
{
    const struct refusals x = refuse_each(&(struct life){ .live = long_scan }, _i);
    ck_assert_int_ge(x.errors, x.all / 2);
}
END_TEST

/* ---- the trainer ----------------------------------------------------------------------------------------------- */

struct task {
    sp_store *store;
    sp_param *w;
    sp_real carried[3];
};

static long two_batches(void *self, bool training, long epoch)
{
    (void)self, (void)training, (void)epoch;
    return 2;
}

static sp_tensor *loss_of_w(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    sp_tensor *w = sp_param_on(t, ((struct task *)self)->w);
    (void)training, (void)batch, (void)shard;
    *count = 1;
    return sp_mul(t, w, w);
}

static bool save_nothing(void *self, sp_status *status)
{
    (void)self, (void)status;
    return true;
}

static sp_real *carried(void *self, int i, long *size)
{
    *size = 3;
    return i ? NULL : ((struct task *)self)->carried;
}

struct school {
    char directory[PATH_ROOM], checkpoint[PATH_ROOM + 2], old[PATH_ROOM + 6];
    char *first, *second;       /* the checkpoint after one epoch, after two */
    size_t size[2];
    FILE *said;
};

/* One epoch, or what a checkpoint lacks of more; w in the end. */
static bool go_to(const struct school *l, long epochs, double *w, sp_status *status)
{
    struct task self = { .store = sp_store_new(1) };
    sp_training x;
    if ((self.w = sp_store_add(self.store, SP_SCALAR, "w")))
        *sp_param_values(self.w) = 1;
    const sp_task task = { .self = &self, .store = self.store, .begin = two_batches, .loss = loss_of_w, .save = save_nothing,
                           .carried = carried };
    const sp_trainer_config config = { .optimizer = "adam", .lr = 0.1, .epochs = epochs, .checkpoint = l->checkpoint,
                                       .log = epochs > 1 ? "/dev/null" : NULL, .resume = epochs > 1, .progress = l->said };
    const bool ok = (self.w || sp_fail_with(status, sp_store_status(self.store))) && sp_train(&task, &config, &x, status);
    if (ok)
        *w = (double)*sp_param_read(self.w);
    sp_store_free(self.store);
    return ok;
}

static bool go_on_training(void *self, double *w, sp_status *status)
{
    return go_to(self, 3, w, status);
}

static void lay_both(void *self)
{
    const struct school *l = self;
    ck_put_file(l->old, l->first, l->size[0]);
    ck_put_file(l->checkpoint, l->second, l->size[1]);
    rewind(l->said);
    ck_assert(!ftruncate(fileno(l->said), 0));
}

/* A checkpoint there is whole, the one before or the new one; and it was not taken for damaged for want of memory. */
static void look_for_second(void *self, long n, bool ok, const sp_status *status)
{
    const struct school *l = self;
    char said[4096] = "";
    rewind(l->said);
    ck_assert_uint_lt(fread(said, 1, sizeof said - 1, l->said), sizeof said - 1);
    ck_assert_msg(!strstr(said, "c.old"), "allocation %ld: %s", n, said);
    ck_assert_msg(!strstr(status->message, "c.old"), "allocation %ld: %s", n, status->message);
    ck_assert_msg(files_in(l->directory) <= 2, "allocation %ld: half a file is left", n);
    ck_assert_msg(ok || holds(l->checkpoint, l->second, l->size[1]) || holds(l->old, l->second, l->size[1]),
                  "allocation %ld: the checkpoint is lost: %s", n, status->message);
}

START_TEST(training)
{
    struct school l = { 0 };
    double w;
    sp_status status = { 0 };
    ck_new_directory(l.directory);
    snprintf(l.checkpoint, sizeof l.checkpoint, "%s/c", l.directory);
    snprintf(l.old, sizeof l.old, "%s.old", l.checkpoint);
    ck_assert_msg(go_to(&l, 1, &w, &status), "%s", status.message);
    l.first = sp_file_read(l.checkpoint, &l.size[0], NULL);
    ck_assert_msg(go_to(&l, 2, &w, &status), "%s", status.message);
    l.second = sp_file_read(l.checkpoint, &l.size[1], NULL);
    l.said = tmpfile();
    ck_assert_int_gt(refuse_each(&(struct life){ go_on_training, &l, lay_both, look_for_second, 0 }, _i).all, 100);
    fclose(l.said);
    free(l.first);
    free(l.second);
    remove(l.checkpoint);
    remove(l.old);
    ck_assert_int_eq(rmdir(l.directory), 0);
}
END_TEST

/* ---- large vocabularies ---------------------------------------------------------------------------------------- */

enum { WORDS = 200, WIDTH = 8 };

static sp_tensor *vocabulary_loss(sp_tape *t, const sp_linear *out, const sp_adaptive_softmax *a, const sp_sampler *q)
{
    static const int ids[] = { 3, 199, SP_IGNORE, 60 };
    sp_tensor *x = sp_full(t, (sp_real)0.5, SP_SHAPE(4, WIDTH));
    int best[4];
    sp_adaptive_best(t, a, x, best);
    sp_tensor *loss = sp_add(t, sp_adaptive_cross_entropy_mean(t, a, x, ids, SP_IGNORE),
                             sp_sampled_cross_entropy_mean(t, out, q, x, ids, SP_IGNORE, 50));
    return sp_add(t, loss, sp_cross_entropy_balanced_mean(t, sp_slice(t, x, 0, 0, 1), ids, SP_IGNORE,
                                                          (const sp_real[WIDTH]){ 1, 1, 1, 2 }));
}

static bool use_vocabulary(void *self, double *loss, sp_status *status)
{
    double count[WORDS];
    (void)self;
    for (int i = 0; i < WORDS; i++)
        count[i] = i % 7;
    sp_store *s = sp_store_new(1);
    if (!s)
        return sp_fail(status, SP_ERR_MEMORY, "no store");
    sp_linear out = sp_linear_make(s, "out", WIDTH, WORDS), tied = sp_linear_tied_make(s, "tied", out.weight);
    sp_adaptive_softmax a = sp_adaptive_softmax_make(s, "a", WIDTH, WORDS, 2, (const long[]){ 10, 50 }, 2, true);
    sp_sampler q = sp_sampler_make(s, count, WORDS, 0.75);
    sp_tape *t = sp_tape_new(s);
    sp_tensor *y = vocabulary_loss(t, &tied, &a, &q);
    *loss = (double)sp_item(y);
    sp_backward(t, y);
    const bool ok = sp_ok(t) || sp_fail(status, sp_tape_status(t)->code, "%s", sp_error(t));
    sp_tape_free(t);
    sp_store_free(s);
    return ok;
}

START_TEST(vocabulary_failures)
{
    const struct refusals x = refuse_each(&(struct life){ .live = use_vocabulary }, _i);
    ck_assert_int_gt(x.all, 20);
    ck_assert_int_ge(x.errors, x.all / 2);              /* products do without packed weights */
}
END_TEST

/* Once the second step has run, a step takes no memory, however many classes are drawn. */
START_TEST(vocabulary_steady_state)
{
    begin();
    sp_store *s = sp_store_new(1);
    sp_linear out = sp_linear_make(s, "out", WIDTH, WORDS);
    sp_adaptive_softmax a = sp_adaptive_softmax_make(s, "a", WIDTH, WORDS, 2, (const long[]){ 10, 50 }, 2, true);
    sp_sampler q = sp_sampler_log_uniform(WORDS);
    sp_tape *t = sp_tape_new(s);
    for (int step = 0; step < 20; step++) {
        if (step == 4)
            memory.calls = memory.frees = 0;
        sp_tape_reset(t);
        sp_backward(t, vocabulary_loss(t, &out, &a, &q));
    }
    const long taken = memory.calls + memory.frees;
    const bool ok = sp_ok(t);
    sp_tape_free(t);
    sp_store_free(s);
    ck_assert(ok);
    ck_assert_int_eq(taken, 0);
}
END_TEST

/* ---- layers of other libraries --------------------------------------------------------------------------------- */

struct import {
    sp_store *s;
    sp_safetensors *f;
};

static bool import(void *self, double *sum, sp_status *status)
{
    const struct import *m = self;
    const sp_foreign from = { "keras", "lstm", { "k", "r", "b" }, 0 };
    *sum = 0;
    return sp_import(m->s, "lstm.%s_l0", &from, m->f, status);
}

static void set_to_seven(void *self)
{
    const struct import *m = self;
    for (int i = 0; i < sp_store_count(m->s); i++)
        sp_init_constant(sp_store_at(m->s, i), 7);
}

/* All or nothing: an import that fails has changed no number. */
static void look_for_seven(void *self, long n, bool ok, const sp_status *status)
{
    const struct import *m = self;
    for (int i = 0; i < sp_store_count(m->s); i++)
        ck_assert_msg((*sp_param_read(sp_store_at(m->s, i)) == 7) == !ok, "allocation %ld: %s is %s (%s)", n,
                      sp_store_at(m->s, i)->name, ok ? "as it was" : "changed", status->message);
}

START_TEST(importing)
{
    char path[PATH_ROOM];
    sp_status status = { 0 };
    struct import m = { .s = sp_store_new(1) };
    ck_new_file(path);
    sp_store *there = sp_store_new(1);
    sp_init_constant(sp_store_add(there, SP_SHAPE(3, 8), "k"), 1);
    sp_init_constant(sp_store_add(there, SP_SHAPE(2, 8), "r"), 1);
    sp_init_constant(sp_store_add(there, SP_SHAPE(8), "b"), 1);
    sp_lstm_make(m.s, "lstm", 0, 3, 2);
    ck_assert(sp_store_save(there, path, 0, NULL, &status));
    ck_assert_msg((m.f = sp_safetensors_open(path, &status)) != NULL, "%s", status.message);
    ck_assert_int_ge(refuse_each(&(struct life){ import, &m, set_to_seven, look_for_seven, 0 }, _i).errors, 1);
    sp_safetensors_free(m.f);
    sp_store_free(m.s);
    sp_store_free(there);
    remove(path);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("alloc");
    TCase *c = tcase_create("alloc");
    tcase_add_loop_test(c, importing, 0, 2);
    tcase_add_test(c, convolution_without_memory);
    tcase_add_loop_test(c, training, 0, 2);
    tcase_add_test(c, steady_state);
    tcase_add_loop_test(c, segments, 0, 2);
    tcase_add_test(c, stack_steady_state);
    tcase_add_loop_test(c, vocabulary_failures, 0, 2);
    tcase_add_test(c, vocabulary_steady_state);
    int kinds = 0;
    while (sp_cell_kind(kinds))
        kinds++;
    tcase_add_loop_test(c, ragged_steady_state, 0, kinds);
    tcase_add_test(c, structured);
    tcase_add_test(c, attending);
    tcase_add_loop_test(c, generating, 0, kinds);
    tcase_add_loop_test(c, every_failure, 0, 2);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    return all;
}
