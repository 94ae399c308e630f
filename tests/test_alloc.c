/* Memory: a training step takes none once the second has run, nor does a step of generating once the first has; and where any
   allocation of a model's life fails, the outcome is an error: no crash, no leak, no damaged file. The method is that of Lua's
   memerr.lua: fail the first allocation, the second, the third, ... until all succeeds. Allocations inside BLIS and libc are
   not ours to fail. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "autograd/blas.h"
#include "autograd/file.h"
#include "autograd/op.h"
#include "autograd/parallel.h"
#include "config.h"
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
#include "tests/suite.h"
#include "zoo/classifier.h"
#include "zoo/batches.h"
#include "zoo/beam.h"
#include "zoo/bpe.h"
#include "zoo/dates.h"
#include "zoo/hmm.h"
#include "zoo/lm.h"
#include "zoo/lm_data.h"
#include "zoo/lm_train.h"
#include "zoo/metrics.h"
#include "zoo/model_file.h"
#include "zoo/ngram.h"
#include "zoo/readers.h"
#include "zoo/report.h"
#include "zoo/references.h"
#include "zoo/seq2seq.h"
#include "zoo/split.h"
#include "zoo/tagger.h"
#include "zoo/trainer.h"
#include "zoo/valence.h"

#ifndef HAVE_LINKER_WRAP

START_TEST(skipped)
{
    printf("skipped: the linker has no --wrap, so no allocation can be counted or refused\n");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("alloc");
    TCase *c = tcase_create("skipped");
    tcase_add_test(c, skipped);
    suite_add_tcase(all, c);
    return all;
}

#else

/* ---- every allocation passes here ------------------------------------------------------------------------------ */

static struct {
    long calls, frees, live;
    long refuse;                /* the number of the call that gets nothing; 0: none */
    bool for_good;              /* all after it get nothing either */
} memory;

/* The linker sends all calls to __wrap_NAME; __real_NAME is libc's. Check's own may be among them, in every assertion: so
   what is to be compared is copied first. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static bool refused(void)
{
    memory.calls++;
    return memory.refuse && (memory.for_good ? memory.calls >= memory.refuse : memory.calls == memory.refuse);
}

static void *count(void *p)
{
    memory.live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
    if (refused())
        return NULL;
    memory.frees += p != NULL;          /* one taken, one given back */
    return p ? __real_realloc(p, size) : count(__real_malloc(size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return refused() ? NULL : count(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
    if (refused())
        return ENOMEM;
    int outcome = __real_posix_memalign(p, alignment, size);
    memory.live += !outcome;
    return outcome;
}

char *__wrap_strdup(const char *s)
{
    return refused() ? NULL : count(__real_strdup(s));
}

void __wrap_free(void *p)
{
    memory.frees += p != NULL;
    memory.live -= p != NULL;
    __real_free(p);
}

/* Jansson asks whom it is told to ask. For its text buffer, of 32, 64, 128, ... bytes, it gets what it wants: Jansson 2.14
   does not look whether it did, and loses a character or runs into an assertion. */
static void *jansson_malloc(size_t size)
{
    bool buffer = size >= 32 && (size & (size - 1)) == 0;
    return buffer ? count(__real_malloc(size)) : __wrap_malloc(size);
}

/* BLIS, and the library for each thread, take what they work in at the first product. */
static void begin(void)
{
    sp_store *s = sp_store_new(1);
    sp_linear l = sp_linear_make(s, "l", 600, 4);
    sp_tape *t = sp_tape_new(s);
    sp_linear_on(t, &l, sp_full(t, 1, SP_SHAPE(200, 600)));
    sp_tape_free(t);
    sp_store_free(s);
    json_set_alloc_funcs(jansson_malloc, __wrap_free);
    memset(&memory, 0, sizeof memory);
}

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

static bool live(const char *path, FILE *out, double *log_p, sp_status *status)
{
    sp_ids ids = { 0 };
    long taken;
    sp_lm *m = new_model(&ids, status);
    bool ok = m && stack_up(1, &taken, status) && learn(m, &ids, status) && train(status) && sp_lm_save(m, path, status) && use(path, &ids, log_p, status)
              && tell(*log_p, out, status);
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

static void put_file(const char *path, const char *bytes)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fputs(bytes, f);
    fclose(f);
}

/* _i: 0: one allocation fails, 1: all from the n-th on fail. */
START_TEST(every_failure)
{
    char directory[PATH_ROOM], path[PATH_ROOM + 2];
    size_t size;
    double right, log_p;
    sp_status status = { 0 };
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m", directory);
    FILE *out = fopen("/dev/null", "w");
    bool ok = live(path, out, &right, &status);         /* whoever takes memory once takes it now */
    begin();
    ok = ok && live(path, out, &right, &status);
    const long all = memory.calls, leak = memory.live;
    ck_assert_msg(ok && all > 100 && !leak, "%ld allocations, %ld leak: %s", all, leak, status.message);
    char *saved = sp_file_read(path, &size, NULL);
    long n = 0, errors = 0, calls = 1;
    for (ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        put_file(path, "old");
        const long before = memory.live;
        memory.calls = 0;
        memory.for_good = _i;
        memory.refuse = ++n;
        ok = live(path, out, &log_p, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live - before;
        errors += !ok;
        ck_assert_msg(ok == (status.code == SP_OK), "allocation %ld: %s, but the status is '%s'", n,
                      ok ? "went on" : "failed", status.message);
        ck_assert_msg(!ok || log_p == right, "allocation %ld: went on with a wrong result", n);
        ck_assert_msg(!ok || !_i || calls < n, "allocation %ld: no error though nothing was to be had", n);
        ck_assert_msg(ok || *status.message, "allocation %ld: no message", n);
        ck_assert_msg(!strchr(status.message, '\n'), "allocation %ld: more than a line: %s", n, status.message);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak", n, leaked);
        ck_assert_msg(holds(path, "old", 3) || holds(path, saved, size), "allocation %ld: the file is damaged (%s)", n,
                      status.message);
        ck_assert_msg(files_in(directory) == 1, "allocation %ld: half a file is left", n);
    }
    ck_assert_int_eq(n, all + 1);
    ck_assert_int_ge(errors, _i ? all : all / 2);       /* an arena that gets no large chunk makes do with a small one */
    free(saved);
    fclose(out);
    remove(path);
    ck_assert_int_eq(rmdir(directory), 0);
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
static double long_scan(sp_status *status)
{
    enum { IN = 2, LONG = 900, SHORT = 500 };
    static const long length[] = { SHORT, LONG };
    double sum = 0;
    sp_store *s = sp_store_new(1);
    sp_cell cell = sp_gru_make(s, "gru", 0, IN, HIDDEN);
    sp_tape *t = sp_tape_new(s);
    sp_tape_set_budget(t, (size_t)(1 << 20) * sizeof(sp_real));
    sp_seq xs = sp_seq_pack(t, sp_full(t, 1, SP_SHAPE(SHORT + LONG, IN)), length, 2);
    sp_tensor *state[1] = { NULL };
    sp_scan_seq(t, &cell, xs, state, false);
    if (sp_backward(t, sp_sum(t, state[0], SP_ALL)))
        for (long i = 0; i < sp_store_size(s); i++)
            sum += (double)sp_gradients(t)[i];
    if (!sp_ok(t))
        sp_fail(status, s ? sp_tape_status(t)->code : SP_ERR_MEMORY, "%s", sp_error(t));
    sp_tape_free(t);
    sp_store_free(s);
    return sum;
}

START_TEST(segments)
{
    sp_status status = { 0 };
    begin();
    const double right = long_scan(&status);
    const long all = memory.calls;
    ck_assert_msg(status.code == SP_OK && !memory.live, "%s", status.message);
    for (long n = 1, errors = 0; n <= all || errors < all / 2; n++) {
        memset(&status, 0, sizeof status);
        memory.calls = 0;
        memory.refuse = n;
        memory.for_good = _i;
        const double sum = long_scan(&status);
        memory.refuse = 0;
        const long leaked = memory.live;
        errors += status.code != SP_OK;
        ck_assert_msg(status.code == SP_ERR_MEMORY || (status.code == SP_OK && sum == right), "allocation %ld: %g, '%s'", n, sum,
                      status.message);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak", n, leaked);
        ck_assert_msg(n <= all, "%ld errors of %ld allocations", errors, all);
    }
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

/* The second of two epochs; w in the end. */
static bool go_on_training(const char *checkpoint, const char *log, long epochs, double *w, sp_status *status)
{
    struct task self = { .store = sp_store_new(1) };
    sp_training x;
    if ((self.w = sp_store_add(self.store, SP_SCALAR, "w")))
        *sp_param_values(self.w) = 1;
    const sp_task task = { .self = &self, .store = self.store, .begin = two_batches, .loss = loss_of_w, .save = save_nothing,
                           .carried = carried };
    const sp_trainer_config config = { .optimizer = "adam", .lr = 0.1, .epochs = epochs, .checkpoint = checkpoint, .log = log,
                                       .resume = epochs > 1 };
    const bool ok = (self.w || sp_fail_with(status, sp_store_status(self.store))) && sp_train(&task, &config, &x, status);
    if (ok)
        *w = (double)*sp_param_read(self.w);
    sp_store_free(self.store);
    return ok;
}

/* As above: a checkpoint there is whole, the one before or the new one. */
START_TEST(training)
{
    char directory[PATH_ROOM], path[PATH_ROOM + 2], old[PATH_ROOM + 6];
    size_t size, n_size;
    double right, w;
    long n = 0;
    sp_status status = { 0 };
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/c", directory);
    snprintf(old, sizeof old, "%s.old", path);
    ck_assert(go_on_training(path, NULL, 1, &right, &status));
    char *first = sp_file_read(path, &size, NULL);
    ck_assert_msg(go_on_training(path, "/dev/null", 2, &right, &status), "%s", status.message);
    begin();
    for (bool ok = false; !ok || memory.calls >= n; ) {
        memset(&status, 0, sizeof status);
        remove(old);
        FILE *f = fopen(path, "wb");
        ck_assert(f && fwrite(first, 1, size, f) == size && !fclose(f));
        const long before = memory.live;
        memory.calls = 0;
        memory.for_good = _i;
        memory.refuse = ++n;
        ok = go_on_training(path, "/dev/null", 2, &w, &status);
        memory.refuse = 0;
        const long calls = memory.calls, leaked = memory.live - before;
        ck_assert_msg(ok == (status.code == SP_OK) && (ok || *status.message), "allocation %ld: %s", n, status.message);
        ck_assert_msg(!ok || w == right, "allocation %ld: went on with a wrong result", n);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak: %s", n, leaked, status.message);
        ck_assert_msg(files_in(directory) <= 2, "allocation %ld: half a file is left", n);
        char *now = sp_file_read(path, &n_size, NULL), *one_before = access(old, F_OK) ? NULL : sp_file_read(old, &n_size, NULL);
        ck_assert_msg(now && (ok || !memcmp(now, first, size) || (one_before && !memcmp(one_before, first, size))),
                      "allocation %ld: the checkpoint is lost: %s", n, status.message);
        free(now);
        free(one_before);
        memory.calls = calls;
    }
    ck_assert_int_gt(n, 100);
    free(first);
    remove(path);
    remove(old);
    ck_assert_int_eq(rmdir(directory), 0);
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

static bool use_vocabulary(double *loss, sp_status *status)
{
    double count[WORDS];
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

/* _i as above. */
START_TEST(vocabulary_failures)
{
    double right = 0, loss = 0;
    sp_status status = { 0 };
    begin();
    bool ok = use_vocabulary(&right, &status);
    const long all = memory.calls, leak = memory.live;
    ck_assert_msg(ok && all > 20 && !leak, "%ld allocations, %ld leak: %s", all, leak, status.message);
    long n = 0, errors = 0, calls = 1;
    for (ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        memory.calls = memory.live = 0;
        memory.for_good = _i;
        memory.refuse = ++n;
        ok = use_vocabulary(&loss, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live;
        errors += !ok;
        ck_assert_msg(!ok || loss == right, "allocation %ld: went on with a wrong result", n);
        ck_assert_msg(ok || (status.code == SP_ERR_MEMORY && *status.message), "allocation %ld: %s", n, status.message);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak", n, leaked);
    }
    ck_assert_int_eq(n, all + 1);
    ck_assert_int_ge(errors, all / 2);                  /* products do without packed weights */
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

/* ---- the life of data ------------------------------------------------------------------------------------------ */

static bool numbered(const sp_sentences *s, sp_status *status)
{
    const sp_vocabulary_rule rule = { .lower = true, .special = (const char *const[]){ "<s>", NULL } };
    sp_vocabulary *v = sp_vocabulary_of_field(s, 0, &rule, status), *letters = sp_vocabulary_of_letters(s, 0, NULL, status);
    sp_ids ids = { 0 };
    sp_letters spelled = { 0 };
    const bool ok = v && letters && sp_encode_field(v, s, 0, &ids, status) && sp_encode_letters(letters, s, 0, &spelled, status);
    free(ids.id);
    free(spelled.id);
    free(spelled.at);
    sp_vocabulary_free(v);
    sp_vocabulary_free(letters);
    return ok;
}

static bool paired(const sp_sentences *s, sp_status *status)
{
    sp_counts *c = sp_counts_new(status);
    sp_bpe *b = c && sp_bpe_count_field(c, s, 0, status) && sp_bpe_count(c, "\xC3\xB6\xC3\xB6", 4, status)
                ? sp_bpe_new(c, &(sp_bpe_rule){ .size = 300 }, status) : NULL;
    char *json = b ? sp_bpe_write(b) : NULL;
    sp_bpe *back = json ? sp_bpe_parse(json, status) : NULL;
    sp_ids ids = { 0 };
    bool ok = back && sp_bpe_encode(back, text, sizeof text - 1, &ids, status);
    char *again = ok ? sp_bpe_decode(back, ids.id, ids.n, NULL) : NULL;
    ok = (again && !strcmp(again, text)) || (b && sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory"));
    free(again);
    free(ids.id);
    free(json);
    sp_bpe_free(b);
    sp_bpe_free(back);
    sp_counts_free(c);
    return ok;
}

static bool measured(const sp_sentences *s, sp_status *status)
{
    static const char *const truth[] = { "a b c d e.", "f" };
    sp_spans *spans = sp_spans_new(status);
    sp_confusion *c = sp_confusion_new(3, status);
    sp_bleu bleu = { .lower = true };
    sp_chrf chrf = { 0 };
    sp_edits edits = { 0 };
    bool ok = spans && c && sp_bleu_add(&bleu, "A b c, d", truth, 2, status) && sp_chrf_add(&chrf, "a b", truth, 2, status)
              && sp_edits_add_text(&edits, "a b", "b c", SP_LEVEL_WORD, status);
    for (long j = 0; ok && j < sp_sentence_length(s, 1, 0); j++)
        ok = sp_spans_add(spans, sp_sentence_word(s, 1, 0, j, NULL), "B-X", status);
    sp_spans_free(spans);
    sp_confusion_free(c);
    return ok;
}

static bool drawn(sp_status *status)
{
    double nats, error;
    sp_hmm_optimum best;
    sp_hmm *h = sp_hmm_english(status);
    sp_sentences *s = h ? sp_hmm_sentences(h, 70, 1, status) : NULL;
    bool ok = s && sp_hmm_best(h, s, &best, status) && sp_hmm_entropy(h, &nats, &error, status);
    sp_sentences *d = ok ? sp_dates(2, 1, status) : NULL, *v = d ? sp_valence(NULL, 2, 1, status) : NULL;
    ok = v;
    sp_sentences_free(s);
    sp_sentences_free(d);
    sp_sentences_free(v);
    sp_hmm_free(h);
    return ok;
}

/* Symbols 1 and 2 take turns; 0 ends. */
static bool beam_step(void *self, const sp_beam_rows *r, sp_real *logits, sp_real *weights, sp_status *status)
{
    (void)self;
    (void)status;
    for (long i = 0; i < r->n; i++) {
        logits[3 * i] = -5;
        logits[3 * i + 1] = r->symbol[i] == 2;
        logits[3 * i + 2] = r->symbol[i] == 1;
        weights[2 * i + r->step % 2] = 1;
    }
    return true;
}

static bool searched(sp_status *status)
{
    const sp_beam_config config = { .width = 3, .nbest = 2, .most = 30, .first = 1, .last = 0, .coverage_penalty = 0.1 };
    const sp_beam_model model = { .step = beam_step, .symbols = 3, .places = 2 };
    sp_beam *b = sp_beam_search(&config, &model, 2, status);
    const bool ok = b;
    sp_beam_free(b);
    return ok;
}

/* A configuration, batches and a vocabulary, to a file and back: what fails leaves the configuration as it was. */
static char filed_at[PATH_ROOM];

static bool filed(const sp_sentences *s, sp_status *status)
{
    static const long lengths[] = { 3, 1, 2 };
    const char *name = "n";
    long size = 3;
    double rate = 0.1;
    const sp_option rows[] = { { "name", SP_OPTION_TEXT, &name, .argument = "TEXT", .help = "" },
                               { "size", SP_OPTION_WHOLE, &size, 1, 9, .help = "" },
                               { "rate", SP_OPTION_NUMBER, &rate, 0, 1, .help = "" }, { 0 } };
    sp_safetensors *f = NULL;
    sp_vocabulary *v = sp_vocabulary_of_field(s, 0, NULL, status), *again = NULL;
    char *words = v ? sp_vocabulary_write(v) : NULL;
    sp_store *store = sp_store_new(1), *back = NULL;
    sp_batches *b = sp_batches_new(lengths, 3, 2, status);
    bool ok = words && store && b && sp_model_save(store, "kind", rows, 1, &(sp_metadata){ "words", words }, filed_at, status);
    size = 4;
    f = ok ? sp_model_open(filed_at, "kind", rows, status) : NULL;
    if (ok && !f && (size != 4 || rate != 0.1 || strcmp(name, "n")))
        *status = (sp_status){ .code = SP_ERR_VALUE, .message = "the rows are not as they were" };
    ok = f && size == 3 && (again = sp_model_vocabulary(f, "words", status)) && (back = sp_model_store(f, status));
    sp_store_free(store);
    sp_store_free(back);
    sp_vocabulary_free(v);
    sp_vocabulary_free(again);
    sp_batches_free(b);
    sp_safetensors_free(f);
    free(words);
    return ok || sp_fail(status, SP_ERR_MEMORY, "files: out of memory");
}

static bool live_data(int part, sp_status *status)
{
    static const char lines[] = "The\tB-D\ndog\tI-D\n\nthe\tO\nsea\tB-W\n";
    if (part == 0 || part == 4)
        return part ? searched(status) : drawn(status);
    sp_sentences *s = sp_sentences_parse("f", lines, sizeof lines - 1, sp_format_named("columns"), status);
    sp_sentences *t = s ? sp_sentences_within(s, 1, 2, status) : NULL;
    const bool ok = t && (part == 1 ? numbered(t, status) : part == 2 ? paired(t, status)
                          : part == 3 ? measured(t, status) : filed(t, status));
    sp_sentences_free(s);
    sp_sentences_free(t);
    return ok;
}

START_TEST(every_failure_of_data)
{
    sp_status status = { 0 };
    ck_new_file(filed_at);
    ck_assert_msg(live_data(_i, &status), "%s", status.message);        /* whoever takes memory once takes it now */
    begin();
    long n = 0, calls = 1, overlooked = 0;
    for (bool ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        const long before = memory.live;
        memory.calls = 0;
        memory.refuse = ++n;
        ok = live_data(_i, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live - before;
        ck_assert_msg(ok == (status.code == SP_OK), "allocation %ld: %s, but the status is '%s'", n, ok ? "went on" : "failed",
                      status.message);
        ck_assert_msg(ok || status.code == SP_ERR_MEMORY || status.code == SP_ERR_FORMAT, "allocation %ld: %s", n, status.message);
        overlooked += ok && calls >= n;
        ck_assert_msg(overlooked <= (_i == 5), "allocation %ld: no error though it failed", n);     /* leftovers are looked for */
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak", n, leaked);
    }
    ck_assert_int_gt(n, 20);
    remove(filed_at);
}
END_TEST

/* ---- the life of a tagger -------------------------------------------------------------------------------------- */

/* Its loss on the sentences it was made for, before and after it was a file, and training that saves it in place. */
static bool tagged(const char *path, const char *vectors, const sp_sentences *s, double *loss, sp_status *status)
{
    const sp_tagger_config config = { .cell = "gru", .embed = 2, .hidden = 2, .layers = 1, .letters = SP_TAGGER_LETTERS_RECURRENT,
                                      .letter_embed = 2, .letter_hidden = 1, .dropout = 0.1, .word_dropout = 0.1, .crf = true };
    const sp_trainer_config how = { .optimizer = "sgd", .lr = 0.1, .epochs = 1, .metric = "f1" };
    sp_training x;
    sp_tagger *m = sp_tagger_new(&config, s, vectors, 1, status), *back = NULL;
    sp_tagger_trainer *r = m ? sp_tagger_trainer_new(m, s, s, 2, 1, path, status) : NULL;
    sp_task task = r ? sp_tagger_trainer_task(r) : (sp_task){ 0 };
    bool ok = r && sp_train(&task, &how, &x, status) && (back = sp_tagger_load(path, status));
    sp_sentences *y = ok ? sp_tagger_tag(back, s, status) : NULL, *plain = y ? sp_tags_most_frequent(s, s, status) : NULL;
    sp_spans *spans = plain ? sp_tags_spans(y, plain, status) : NULL;
    ok = spans;
    *loss = ok ? x.valid_loss : NAN;
    sp_spans_free(spans);
    sp_sentences_free(plain);
    sp_sentences_free(y);
    sp_tagger_free(back);
    sp_tagger_trainer_free(r);
    sp_tagger_free(m);
    return ok;
}

START_TEST(tagger_failures)
{
    static const char lines[] = "The\tB-D\ndog\tI-D\n\nthe\tO\nsea\tB-W\n";
    char path[PATH_ROOM], vectors[PATH_ROOM];
    double right, loss;
    sp_status status = { 0 };
    ck_new_file(path);
    ck_new_file(vectors);
    put_file(vectors, "dog 1 2\ncat 3 4\n");
    sp_sentences *s = sp_sentences_parse("f", lines, sizeof lines - 1, sp_format_named("columns"), NULL);
    ck_assert_msg(tagged(path, vectors, s, &right, &status), "%s", status.message);
    long n = 0, errors = 0, calls = 1;
    for (bool ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        const long before = memory.live;
        memory.calls = 0;
        memory.for_good = _i;
        memory.refuse = ++n;
        ok = tagged(path, vectors, s, &loss, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live - before;
        errors += !ok;
        ck_assert_msg(ok == (status.code == SP_OK), "allocation %ld: %s, but the status is '%s'", n, ok ? "went on" : "failed", status.message);
        ck_assert_msg(ok || status.code == SP_ERR_MEMORY || status.code == SP_ERR_FORMAT, "allocation %ld: %s", n, status.message);
        ck_assert_msg(!ok || fabs(loss - right) < 1e-6, "allocation %ld: went on with a wrong result", n);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak", n, leaked);
    }
    ck_assert_int_ge(errors, 200);
    sp_sentences_free(s);
    remove(path);
    remove(vectors);
}
END_TEST

/* ---- from sequence to sequence --------------------------------------------------------------------------------- */

static const sp_seq2seq_config translators[] = {
    { SP_UNITS_CHAR, SP_UNITS_WORD, .cell = "lstm", .embed = 2, .hidden = 2, .layers = 1, .encoder = SP_BOTH_WAYS, .attention = "coverage",
      .dropout = 0.25 },
    { SP_UNITS_BPE, SP_UNITS_BPE, .vocabulary = 261, .cell = "gru", .embed = 2, .hidden = 2, .layers = 2, .attention = "none" },
};

static bool judged(const sp_seq2seq *m, const sp_sentences *s, sp_status *status)
{
    const sp_translating how = { .beam = 2, .nbest = 2, .batch = 2, .most = 3, .copy = !m->plain.layers, .weights = true };
    sp_translation_scores scores;
    sp_references *r = sp_references_new(s, 2, status);
    sp_translations *found = r ? sp_seq2seq_translate(m, (const char *const *)r->source, r->n, &how, status) : NULL;
    const char *guess[2] = { "", "" };
    for (long i = 0; found && i < r->n; i++)
        guess[i] = sp_translations_get(found, i, 0)->text;
    const bool ok = found && sp_references_score(r, guess, &scores, status);
    sp_translations_free(found);
    sp_references_free(r);
    return ok;
}

static bool taught(sp_seq2seq *m, const sp_sentences *s, const char *path, sp_status *status)
{
    const sp_seq2seq_teaching how = { .batch = 4, .longest = 9, .sampling = 0.5, .drawn = true, .judged = 2 };
    sp_trainer_config run = sp_trainer_defaults();
    sp_training result;
    run.progress = NULL;
    run.epochs = 1;
    run.metric = "exact";
    sp_seq2seq_trainer *x = sp_seq2seq_trainer_new(m, s, s, &how, &run, path, status);
    const sp_task task = x ? sp_seq2seq_task(x) : (sp_task){ 0 };
    const bool ok = x && sp_train(&task, &run, &result, status);
    sp_seq2seq_trainer_free(x);
    return ok;
}

static bool live_translator(int i, const char *path, sp_status *status)
{
    static const char pairs[] = "a b\tx y\nb\ty\nc a\tz\na b\tz\n";
    sp_sentences *all = sp_sentences_parse("pairs", pairs, sizeof pairs - 1, sp_format_named("pairs"), status);
    sp_sentences *s = all ? sp_sentences_part(all, 0, 0, 1, status) : NULL;
    sp_seq2seq *m = s ? sp_seq2seq_new(&translators[i], s, 1, status) : NULL, *back = NULL;
    const bool ok = m && taught(m, s, path, status) && (back = sp_seq2seq_load(path, status)) && judged(back, s, status);
    sp_seq2seq_free(m);
    sp_seq2seq_free(back);
    sp_sentences_free(all);
    sp_sentences_free(s);
    return ok;
}

START_TEST(translating)
{
    char path[PATH_ROOM];
    sp_status status = { 0 };
    ck_new_file(path);
    ck_assert_msg(live_translator(_i, path, &status), "%s", status.message);
    begin();
    long n = 0, calls = 1;
    for (bool ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        const long before = memory.live;
        memory.calls = 0;
        memory.refuse = ++n;
        ok = live_translator(_i, path, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live - before;
        ck_assert_msg(ok == (status.code == SP_OK), "allocation %ld: %s, but the status is '%s'", n, ok ? "went on" : "failed",
                      status.message);
        ck_assert_msg(ok || status.code == SP_ERR_MEMORY || status.code == SP_ERR_FORMAT, "allocation %ld: %s", n, status.message);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak", n, leaked);
    }
    ck_assert_int_gt(n, 100);
    remove(path);
}
END_TEST

/* ---- layers of other libraries --------------------------------------------------------------------------------- */

/* All or nothing: an import that fails has changed no number. */
START_TEST(importing)
{
    char path[PATH_ROOM];
    sp_status status = { 0 };
    const sp_foreign from = { "keras", "lstm", { "k", "r", "b" }, 0 };
    begin();
    ck_new_file(path);
    sp_store *there = sp_store_new(1), *s = sp_store_new(1);
    sp_init_constant(sp_store_add(there, SP_SHAPE(3, 8), "k"), 1);
    sp_init_constant(sp_store_add(there, SP_SHAPE(2, 8), "r"), 1);
    sp_init_constant(sp_store_add(there, SP_SHAPE(8), "b"), 1);
    sp_lstm_make(s, "lstm", 0, 3, 2);
    ck_assert(sp_store_save(there, path, 0, NULL, &status));
    sp_safetensors *f = sp_safetensors_open(path, &status);
    ck_assert_msg(f != NULL, "%s", status.message);
    const long live = memory.live;
    long n = 0;
    for (bool ok = false; !ok; ) {
        for (int i = 0; i < sp_store_count(s); i++)
            sp_init_constant(sp_store_at(s, i), 7);
        memset(&status, 0, sizeof status);
        memory.calls = 0;
        memory.for_good = false;
        memory.refuse = ++n;
        ok = sp_import(s, "lstm.%s_l0", &from, f, &status);
        memory.refuse = 0;
        const long leaked = memory.live - live;
        ck_assert_msg(!leaked && (ok || status.code == SP_ERR_MEMORY), "allocation %ld: %ld leak: %s", n, leaked, status.message);
        for (int i = 0; i < sp_store_count(s); i++)
            ck_assert_msg(ok || *sp_param_read(sp_store_at(s, i)) == 7, "allocation %ld: %s is changed", n, sp_store_at(s, i)->name);
    }
    ck_assert_int_ge(n, 2);
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(there);
    remove(path);
}
END_TEST

/* ---- a classifier's life --------------------------------------------------------------------------------------- */

static bool fit_classifier(sp_classifier *m, const sp_sentences *s, const char *path, sp_status *status)
{
    const sp_trainer_config config = { .optimizer = "adam", .lr = 0.1, .epochs = 1 };
    sp_training x;
    sp_classifier_trainer *r = sp_classifier_trainer_new(m, s, s, 4, 1, path, status);
    const sp_task task = r ? sp_classifier_trainer_task(r) : (sp_task){ 0 };
    const bool ok = r && sp_train(&task, &config, &x, status);
    sp_classifier_trainer_free(r);
    return ok;
}

/* Dealt, learned, saved, loaded, predicted. */
static bool classify(int kind, const sp_sentences *all, const char *path, double *nats, sp_status *status)
{
    const sp_classifier_config config = { .model = (sp_classifier_kind)kind, .embed = 2, .hidden = 2, .layers = 1, .cell = "gru",
        .directions = 2, .pool = SP_CLASSIFIER_POOL_ATTENTION, .dropout_embed = 0.2, .dropout = 0.2, .word_dropout = 0.2 };
    sp_real p[64], weights[64];
    int part[16];
    sp_sentences *s = sp_classifier_deal(all, 2, 1, part, status) ? sp_classifier_part(all, part, 0, false, status) : NULL;
    sp_classifier *m = s ? sp_classifier_new(&config, s, 1, status) : NULL, *back = NULL;
    const bool ok = m && fit_classifier(m, s, path, status) && (back = sp_classifier_load(path, status))
                    && sp_classifier_predict(back, all, p, kind ? NULL : weights, status);
    sp_confusion *c = ok ? sp_classifier_confusion(back, all, p, nats, status) : NULL;
    const bool counted = c;
    sp_confusion_free(c);
    sp_classifier_free(m);
    sp_classifier_free(back);
    sp_sentences_free(s);
    return counted;
}

/* _i: the kind of model. */
START_TEST(classifying)
{
    char path[PATH_ROOM];
    sp_status status = { 0 };
    double right, nats;
    ck_new_file(path);
    sp_sentences *all = sp_valence(&(sp_valence_config){ .least = 1, .most = 3 }, 16, 1, &status);
    ck_assert_msg(all && classify(_i, all, path, &right, &status), "%s", status.message);
    begin();
    long n = 0, errors = 0, calls = 1;
    for (bool ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        const long before = memory.live;
        memory.calls = 0;
        memory.for_good = false;
        memory.refuse = ++n;
        ok = classify(_i, all, path, &nats, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live - before;
        errors += !ok;
        ck_assert_msg(ok == (status.code == SP_OK), "allocation %ld: %s, but the status is '%s'", n, ok ? "went on" : "failed",
                      status.message);
        ck_assert_msg(!ok || nats == right, "allocation %ld: went on with a wrong result", n);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak: %s", n, leaked, status.message);
    }
    ck_assert_int_gt(errors, 200);
    sp_sentences_free(all);
    remove(path);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("alloc");
    TCase *c = tcase_create("alloc");
    tcase_add_test(c, importing);
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
    tcase_add_loop_test(c, every_failure_of_data, 0, 6);
    tcase_add_loop_test(c, tagger_failures, 0, 2);
    tcase_add_loop_test(c, classifying, 0, 3);
    tcase_set_timeout(c, 60);
    suite_add_tcase(all, c);
    TCase *translators_case = tcase_create("translating");
    tcase_add_loop_test(translators_case, translating, 0, 2);
    tcase_set_timeout(translators_case, 60);
    suite_add_tcase(all, translators_case);
    return all;
}

#endif
