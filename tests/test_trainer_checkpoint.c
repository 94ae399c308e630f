/* A training that is interrupted anywhere and resumed ends with the bits it would have ended with. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autograd/file.h"
#include "nn/loss.h"
#include "nn/safetensors.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/trainer.h"

/* ---- a small training ------------------------------------------------------------------------------------------ */

enum { EPOCHS = 3, BATCHES = 4, ALL = EPOCHS * BATCHES, T = 3, B = 2, H = 3, SHARDS = 2 };

/* An LSTM that carries its state, over windows that come in another order in each epoch, with dropout. */
static struct run {
    sp_store *store;
    sp_stack stack;
    sp_linear head;
    sp_state *state[SHARDS];
    long order[BATCHES], epoch;
    int trained, halt;          /* batches so far; behind how many of them: */
    enum { GO_ON, STOP, FAIL, BURST } how;
    const char *data;           /* what describe says */
    sp_optimizer *optimizer;
    sp_real last[256];
} run;

/* What is kept of a training; the model survives an end of the program. */
struct outcome {
    sp_real saved[256], last[256];      /* the model that was saved; the parameters validated last */
    char log[2048];                     /* without times */
    sp_training result;
};
static sp_real model_file[256];

static volatile sig_atomic_t stop;
static char directory[PATH_ROOM], checkpoint[PATH_ROOM + 16], old[PATH_ROOM + 16], log_path[PATH_ROOM + 16];

/* One less in each second epoch. */
static long batches_in(long epoch)
{
    return BATCHES - epoch % 2;
}

static long begin_pass(void *self, bool training, long epoch)
{
    struct run *r = self;
    r->epoch = epoch;
    sp_trainer_shuffle(BATCHES, r->order, 7, epoch);
    for (int i = 0; i < SHARDS; i++)
        sp_state_zero(r->state[i]);
    return training ? batches_in(epoch) : 2;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    struct run *r = self;
    sp_real x[T * B], y[T * B];
    const long window = training ? r->order[batch] : BATCHES + batch;
    if (training && shard == 0 && r->how != GO_ON && r->trained++ == r->halt) {
        stop = r->how == STOP;
        if (r->how == BURST)                    /* this step makes parameters inf */
            r->optimizer->lr = WIDE(1e308, 3e38);
        if (r->how == FAIL)
            return sp_tape_fail(t, SP_ERR_STATE, "the power is gone");
    }
    sp_random_uniform((sp_key){ .seed = 3, .place = (uint64_t)(window * SHARDS + shard) }, T * B, x, -1, 1);
    for (int i = 0; i < T * B; i++)
        y[i] = i >= B ? x[i - B] : 0;
    *count = T * B;
    sp_tensor *h = sp_stack_on(t, &r->stack, sp_feed(t, x, SP_SHAPE(T, B, 1)), r->state[shard]);
    return sp_mse(t, sp_linear_on(t, &r->head, sp_dropout(t, h, 0.25)), sp_feed(t, y, SP_SHAPE(T, B, 1)));
}

static bool save(void *self, sp_status *status)
{
    const struct run *r = self;
    (void)status;
    memcpy(model_file, sp_store_values(r->store), (size_t)sp_store_size(r->store) * sizeof(sp_real));
    return true;
}

static sp_real *carried(void *self, int i, long *size)
{
    const struct run *r = self;
    return i < SHARDS ? sp_state_values(r->state[i], size) : NULL;
}

/* The second epoch is the best, but what an interruption leaves seems better still. */
static double measure(void *self, sp_status *status)
{
    const long epoch = ((struct run *)self)->epoch;
    (void)status;
    memcpy(run.last, sp_store_values(run.store), (size_t)sp_store_size(run.store) * sizeof(sp_real));
    return stop ? 100 : epoch == 1 ? 5 : -(double)epoch;
}

/* Averaging, where it waits for a loss that is worse, begins early. */
static bool tune(void *self, sp_optimizer *o, sp_status *status)
{
    (void)status;
    o->nonmono = 0;
    ((struct run *)self)->optimizer = o;
    return true;
}

static void describe(void *self, sp_report *r)
{
    sp_report_text(r, "data", ((struct run *)self)->data);
}

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(checkpoint, sizeof checkpoint, "%s/c", directory);
    snprintf(old, sizeof old, "%s/c.old", directory);
    snprintf(log_path, sizeof log_path, "%s/log", directory);
    memset(&run, 0, sizeof run);
    run.data = "numbers";
}

static void forget(void)
{
    remove(checkpoint);
    remove(old);
}

static void end(void)
{
    forget();
    remove(log_path);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

/* The log, without what a clock says. */
static void read_log(char *text, size_t room)
{
    FILE *f = fopen(log_path, "r");
    text[f ? fread(text, 1, room - 1, f) : 0] = '\0';
    if (f)
        fclose(f);
    for (char *at = text; (at = strstr(at, ", \"tokens_per_s\"")); )
        memmove(at, at + strcspn(at, "\n"), strlen(at + strcspn(at, "\n")) + 1);
}

/* One life of the program: all is made anew but the files. */
static bool train(const sp_trainer_config *config, struct outcome *out, sp_status *status)
{
    sp_store *s = run.store = sp_store_new(1);
    run.stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = "lstm", .in = 1, .hidden = H, .layers = 1 });
    run.head = sp_linear_make(s, "head", H, 1);
    run.trained = 0;
    stop = 0;
    for (int i = 0; i < SHARDS; i++)
        run.state[i] = sp_state_new(&run.stack, B);
    const sp_task task = { .self = &run, .store = s, .shards = SHARDS, .begin = begin_pass, .loss = loss, .save = save,
                           .carried = carried, .measure = measure, .metric = "merit", .more_is_better = true,
                           .tune = tune, .describe = describe };
    const bool ok = sp_train(&task, config, &out->result, status);
    ck_assert_int_le(sp_store_size(s), 256);
    memcpy(out->last, run.last, sizeof run.last);
    memcpy(out->saved, model_file, sizeof model_file);
    if (ok && out->result.saved)
        ck_same(sp_store_values(s), model_file, sp_store_size(s));
    read_log(out->log, sizeof out->log);
    for (int i = 0; i < SHARDS; i++)
        sp_state_free(run.state[i]);
    sp_store_free(s);
    return ok;
}

static sp_trainer_config config_of(void)
{
    return (sp_trainer_config){ .optimizer = "adam", .lr = 0.05, .epochs = EPOCHS, .stop = &stop, .log = log_path, .seed = 5,
                                .checkpoint = checkpoint };
}

/* Resumed until it is done; the same as what was not interrupted. */
static void resume_and_compare(sp_trainer_config config, const struct outcome *whole)
{
    struct outcome o;
    sp_status status = { 0 };
    run.how = GO_ON;
    config.resume = true;
    memset(model_file, 0, sizeof model_file);           /* and that of the model is lost */
    ck_assert_msg(train(&config, &o, &status), "%s", status.message);
    ck_same(o.last, whole->last, 256);
    ck_same(o.saved, whole->saved, 256);
    ck_assert_str_eq(o.log, whole->log);
    const sp_training *a = &o.result, *b = &whole->result;
    ck_assert(a->epochs == b->epochs && a->best_epoch == b->best_epoch && a->train_loss == b->train_loss
              && a->valid_loss == b->valid_loss && a->metric == b->metric && a->best_loss == b->best_loss
              && a->best_metric == b->best_metric && a->saved && a->patience_lost == b->patience_lost);
}

/* ---- interrupted anywhere --------------------------------------------------------------------------------------- */

static const sp_trainer_config settings[] = {
    { .optimizer = "sgd" },
    { .optimizer = "adam", .schedule = "cosine", .warmup = 2, .every = 3 },
    { .optimizer = "adamw", .schedule = "one_cycle", .accumulate = 2, .clip = 0.5, .every = 2 },
    { .optimizer = "rmsprop", .schedule = "plateau", .decay = 0.5, .average = 0.9, .every = 3 },
    { .optimizer = "nt-asgd", .schedule = "step", .decay = 0.5, .metric = "merit" },
    { .optimizer = "adagrad", .schedule = "exponential", .decay = 0.5, .metric = "merit", .patience = 2, .epochs = 9 },
};

static sp_trainer_config with_settings(int i)
{
    sp_trainer_config c = settings[i];
    const sp_trainer_config base = config_of();
    c.epochs = c.epochs ? c.epochs : EPOCHS;
    c.lr = base.lr, c.stop = base.stop, c.log = base.log, c.seed = base.seed;
    c.checkpoint = base.checkpoint;
    return c;
}

/* Asked to stop, and killed (what follows the last checkpoint is lost), behind batches; all of them between the settings. */
START_TEST(interrupted)
{
    struct outcome whole, part;
    long all = 0;
    sp_trainer_config config = with_settings(_i);
    run.how = GO_ON;
    ck_assert(train(&config, &whole, NULL));
    for (long epoch = 0; epoch < whole.result.epochs; epoch++)
        all += batches_in(epoch);
    ck_assert(whole.result.epochs == (config.patience ? 4 : EPOCHS) && whole.result.patience_lost == (config.patience > 0));
    for (int halt = _i % 4; halt < all; halt += 4)
        for (int how = STOP; how <= FAIL; how++) {
            forget();
            memset(model_file, 0, sizeof model_file);
            run.halt = halt;
            run.how = how;
            config.resume = how == FAIL;        /* there is none yet: as without it */
            config.threads = 1 + halt % 3;
            ck_assert(train(&config, &part, NULL) == (how == STOP));
            ck_assert(part.result.interrupted == (how == STOP));
            /* what was asked to stop leaves a model: the best so far, or in the first epoch the present one */
            if (how == STOP && halt < batches_in(0) && config.average == 0 && strcmp(config.optimizer, "nt-asgd"))
                ck_same(part.saved, part.last, 256);
            ck_assert(how != STOP || part.result.saved);
            resume_and_compare(config, &whole);
        }
}
END_TEST

/* Again and again, three batches farther each time. */
START_TEST(many_times)
{
    struct outcome whole, part;
    sp_trainer_config config = with_settings(_i);
    ck_assert(train(&config, &whole, NULL));
    forget();
    config.resume = true;
    config.every = 2;
    run.halt = 3;
    run.how = _i % 2 ? STOP : FAIL;
    for (int i = 0; i < ALL && (!train(&config, &part, NULL) || part.result.interrupted); i++)
        ;
    resume_and_compare(config, &whole);
}
END_TEST

/* When all is done there is nothing to go on with; more epochs are as if they had been asked for at once. */
START_TEST(more_epochs)
{
    struct outcome three, five;
    sp_trainer_config config = config_of();
    ck_assert(train(&config, &three, NULL));
    run.how = FAIL;
    run.halt = 0;                               /* no batch is trained on */
    resume_and_compare(config, &three);
    run.how = GO_ON;
    config.epochs = 5;
    forget();
    ck_assert(train(&config, &five, NULL));
    config.epochs = EPOCHS;
    forget();
    ck_assert(train(&config, &three, NULL));
    config.epochs = 5;
    resume_and_compare(config, &five);
}
END_TEST

/* ---- files that are not what they should be ------------------------------------------------------------------- */

static long size_of(const char *path)
{
    struct stat s;
    return stat(path, &s) ? -1 : (long)s.st_size;
}

/* Cut short anywhere, or gone: the one before it is used, and that is said. */
START_TEST(cut_short)
{
    static const double parts[] = { 0, 0.001, 0.3, 0.9, 0.9999, -1 };
    struct outcome whole, part;
    char text[1024] = "";
    sp_trainer_config config = config_of();
    config.every = 2;
    ck_assert(train(&config, &whole, NULL));
    forget();
    run.how = FAIL;
    run.halt = 7;
    ck_assert(!train(&config, &part, NULL));
    if (parts[_i] < 0)
        remove(checkpoint);
    else
        ck_assert(!truncate(checkpoint, (off_t)(parts[_i] * (double)size_of(checkpoint))));
    config.progress = tmpfile();
    const long good = size_of(old);
    /* it is stopped at once: what is damaged must not take the place of what is good */
    run.how = STOP;
    run.halt = 0;
    config.resume = true;
    ck_assert(train(&config, &part, NULL));
    ck_assert_int_eq(size_of(old), good);
    rewind(config.progress);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, config.progress), 0);
    fclose(config.progress);
    config.progress = NULL;
    char want[2 * PATH_ROOM];
    snprintf(want, sizeof want, "; going on from %s, epoch 2, step 7\n", old);
    ck_assert_msg(!strncmp(text, checkpoint, strlen(checkpoint)) && strstr(text, want), "%s", text);
    resume_and_compare(config, &whole);
}
END_TEST

START_TEST(both_damaged)
{
    struct outcome o;
    sp_status status = { 0 };
    sp_trainer_config config = config_of();
    ck_assert(train(&config, &o, NULL));
    ck_assert(!truncate(checkpoint, 100) && !truncate(old, 3));
    config.resume = true;
    ck_assert(!train(&config, &o, &status));
    char want[2 * PATH_ROOM + 64];
    snprintf(want, sizeof want, "; and %s: 3 bytes are no safetensors file", old);
    ck_assert_msg(!strncmp(status.message, checkpoint, strlen(checkpoint)) && strstr(status.message, want), "%s", status.message);
    ck_assert_int_eq(size_of(checkpoint), 100);
    ck_assert_int_eq(size_of(old), 3);
    ck_assert(strlen(o.log) > 0);               /* nor is the log touched */
}
END_TEST

static char *read_all(const char *path, size_t *size)
{
    char *text = sp_file_read(path, size, NULL);
    ck_assert_ptr_nonnull(text);
    return text;
}

/* One bit is another, in the learning rate, anywhere from the second byte of the header on: the one before it is used. */
START_TEST(bit_changed)
{
    struct outcome whole, part;
    size_t size, older, rate = 0;
    sp_trainer_config config = config_of();
    ck_assert(train(&config, &whole, NULL));
    forget();
    run.how = FAIL;
    run.halt = BATCHES + BATCHES;
    ck_assert(!train(&config, &part, NULL));
    char *text = read_all(checkpoint, &size), *kept = read_all(old, &older);
    for (size_t i = 0; i + 16 < size; i++)
        rate = !memcmp(text + i, "\"lr\\\": 0.05", 11) ? i + 9 : rate;
    ck_assert(rate);
    for (size_t i = 0; i < size; i = i ? i + 17 : 9) {
        const size_t at = i ? i : rate;
        char said[1024] = "";
        text[at] ^= 1;
        ck_put_file(checkpoint, text, size);
        text[at] ^= 1;
        config.progress = tmpfile();
        resume_and_compare(config, &whole);
        rewind(config.progress);
        ck_assert_uint_gt(fread(said, 1, sizeof said - 1, config.progress), 0);
        fclose(config.progress);
        ck_assert_msg(strstr(said, "; going on from "), "%zu: %s", at, said);
        ck_assert_msg(at < 64 || strstr(said, ": is damaged: its checksum is "), "%zu: %s", at, said);  /* before it, its key */
        ck_put_file(old, kept, older);
    }
    free(kept);
    free(text);
}
END_TEST

/* A file that was never a checkpoint stays, though there is one before it. */
START_TEST(another_file)
{
    static const char text[] = "A text that took a year to write.\n";
    struct outcome o;
    sp_status status = { 0 };
    size_t size;
    sp_trainer_config config = config_of();
    ck_assert(train(&config, &o, NULL));
    ck_put_file(checkpoint, text, sizeof text);
    config.resume = true;
    ck_assert(!train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, "it is another file, and so left as it is"), "%s", status.message);
    char *now = read_all(checkpoint, &size);
    ck_assert(size == sizeof text && !memcmp(now, text, size));
    free(now);
    status = (sp_status){ 0 };
    remove(old);
    ck_put_file(checkpoint, "", 0);
    ck_assert(!train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, "; and there is no "), "%s", status.message);
}
END_TEST

/* Of another training that is not resumed; a pipe; a link stays one. */
START_TEST(what_is_there)
{
    char target[PATH_ROOM + 16], behind[PATH_ROOM + 16];
    struct outcome o;
    sp_status status = { 0 };
    struct stat s;
    sp_trainer_config config = config_of();
    ck_assert(train(&config, &o, NULL));
    const long size = size_of(checkpoint);
    ck_assert(!train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, ": is there already: resume goes on from it, remove it to begin anew"), "%s", status.message);
    ck_assert(size_of(checkpoint) == size && o.result.epochs == 0);
    forget();
    status = (sp_status){ 0 };
    ck_assert(!mkfifo(checkpoint, 0600) && !train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, ": is no file, and a checkpoint must be one"), "%s", status.message);
    ck_assert(!lstat(checkpoint, &s) && S_ISFIFO(s.st_mode));
    forget();
    snprintf(target, sizeof target, "%s/t", directory);
    snprintf(behind, sizeof behind, "%s/t.old", directory);
    ck_put_file(target, "", 0);
    ck_assert(!symlink("t", checkpoint));
    config.resume = true;
    ck_assert(!train(&config, &o, &status));            /* an empty file is no checkpoint */
    remove(target);
    ck_assert(!rename(checkpoint, old));
    config.checkpoint = target;
    ck_assert(train(&config, &o, NULL) && !rename(old, checkpoint));
    config.checkpoint = checkpoint;
    config.epochs++;
    ck_assert(train(&config, &o, NULL));
    ck_assert(!lstat(checkpoint, &s) && S_ISLNK(s.st_mode) && size_of(old) < 0 && size_of(behind) > 0);
    remove(target);
    remove(behind);
}
END_TEST

/* Of other settings, other data: said, and nothing is changed. */
START_TEST(of_another)
{
    static const char *const expected[] = {
        "lr is 0.05, not 0.1", "optimizer is \"adam\", not \"sgd\"", "seed is 5, not 6", "clip is 0.0, not 1.0",
        "schedule is \"constant\", not \"inverse_sqrt\"", "accumulate is 0, not 3", "metric is \"loss\", not \"merit\"",
        "average is 0.0, not 0.5", "data is \"numbers\", not \"others\"", "epochs of the schedule is 3, not 4",
        "warmup is 0, not 2", "plateau is 0, not 1", "decay is 0.0, not 0.25",
    };
    struct outcome o;
    sp_status status = { 0 };
    sp_trainer_config c = config_of();
    c.schedule = _i == 9 ? "cosine" : _i > 10 ? "plateau" : NULL;
    ck_assert(train(&c, &o, NULL));
    const long size = size_of(checkpoint);
    c.resume = true;
    switch (_i) {
    case 0: c.lr = 0.1; break;
    case 1: c.optimizer = "sgd"; break;
    case 2: c.seed = 6; break;
    case 3: c.clip = 1; break;
    case 4: c.schedule = "inverse_sqrt"; break;
    case 5: c.accumulate = 3; break;
    case 6: c.metric = "merit"; break;
    case 7: c.average = 0.5; break;
    case 8: run.data = "others"; break;
    case 9: c.epochs = 4; break;
    case 10: c.warmup = 2; break;
    case 11: c.plateau = 1; break;
    case 12: c.decay = 0.25; break;
    }
    ck_assert(!train(&c, &o, &status));
    ck_assert_msg(!strncmp(status.message, checkpoint, strlen(checkpoint)), "%s", status.message);
    ck_assert_msg(strstr(status.message, ": is of another training: ") && strstr(status.message, expected[_i]), "%s",
                  status.message);
    ck_assert(size_of(checkpoint) == size && strlen(o.log) > 0);
}
END_TEST

START_TEST(no_checkpoint)
{
    struct outcome o;
    sp_status status = { 0 };
    sp_trainer_config config = config_of();
    sp_store *s = sp_store_new(1);
    sp_store_add(s, SP_SHAPE(2), "w");
    ck_assert(sp_store_save(s, checkpoint, 0, NULL, NULL));
    sp_store_free(s);
    config.resume = true;
    ck_assert(!train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, ": is no checkpoint of a training of version 3, but of none"), "%s", status.message);
    status = (sp_status){ 0 };
    config.checkpoint = NULL;
    ck_assert(!train(&config, &o, &status));
    ck_assert_str_eq(status.message, "training: there is no checkpoint to resume from");
    status = (sp_status){ 0 };
    config = config_of();
    config.checkpoint = directory;
    ck_assert(!train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, "cannot be written: Is a directory"), "%s", status.message);
    ck_assert_int_eq(o.result.epochs, 0);
}
END_TEST

/* A step of the optimizer that makes parameters inf: no checkpoint of them is written. */
START_TEST(last_good_stays)
{
    struct outcome whole, o;
    sp_status status = { 0 };
    sp_trainer_config config = config_of();
    config.optimizer = "rmsprop";
    config.every = 1;
    ck_assert(train(&config, &whole, NULL));
    forget();
    run.how = BURST;
    run.halt = 2;
    ck_assert(!train(&config, &o, &status));
    ck_assert_msg(strstr(status.message, "training: a number of parameter 'rnn."), "%s", status.message);
    resume_and_compare(config, &whole);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("trainer_checkpoint");
    TCase *c = tcase_create("checkpoint");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, interrupted, 0, sizeof settings / sizeof *settings);
    tcase_add_loop_test(c, many_times, 1, 4);
    tcase_add_test(c, more_epochs);
    tcase_add_loop_test(c, cut_short, 0, 6);
    tcase_add_test(c, both_damaged);
    tcase_add_test(c, bit_changed);
    tcase_add_test(c, another_file);
    tcase_add_test(c, what_is_there);
    tcase_add_loop_test(c, of_another, 0, 13);
    tcase_add_test(c, no_checkpoint);
    tcase_add_test(c, last_good_stays);
    suite_add_tcase(all, c);
    return all;
}
