/* The trainer, by a task whose losses are written down beforehand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/trainer.h"

enum { EPOCHS = 5, BATCHES = 4 };

/* One parameter w, at 0. The loss of a training batch is w + 3 over 2 symbols, so each step of descent with the rate 1
   takes 1 from w; but where the plan says otherwise, it is what that says. */
static struct plan {
    double valid[EPOCHS];       /* the validation loss of each epoch */
    int odd_epoch;              /* from 1; in its second batch: */
    enum { NOTHING, NOT_FINITE, WRONG_SHAPE, STOP, SAVE_FAILS } odd;
} plan;

static struct {
    sp_param *w;
    int epoch, validations, saves, trained;
    sp_real saved;              /* w as it was saved last */
    sp_real drawn[EPOCHS * BATCHES];    /* what dropout made of 24 ones in each step, as one number */
} seen;

static volatile sig_atomic_t stop;
static sp_store *store;
static char directory[PATH_ROOM], path[PATH_ROOM + 4];

static bool odd(int what)
{
    return (int)plan.odd == what && seen.epoch == plan.odd_epoch;
}

static long begin_pass(void *self, bool training, long epoch)
{
    ck_assert_ptr_eq(self, &plan);
    seen.epoch += training;
    ck_assert_int_eq(epoch, seen.epoch - 1);
    return training ? BATCHES : 2;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    (void)self, (void)shard;
    ck_assert(training == sp_tape_training(t));
    *count = 2;
    if (!training) {
        seen.validations++;
        *count = batch ? 3 : 1;         /* a mean over symbols: 1/4 and 3/4 */
        return sp_full(t, (sp_real)(plan.valid[seen.epoch - 1] * (batch ? 4 / 3.0 : 0)), SP_SCALAR);
    }
    sp_real ones[24], bits = 0;
    sp_read(sp_dropout(t, sp_full(t, 1, SP_SHAPE(24)), 0.5), ones);
    for (int i = 0; i < 24; i++)
        bits = 2 * bits + (ones[i] > 0);
    if (seen.trained < EPOCHS * BATCHES)
        seen.drawn[seen.trained] = bits;
    seen.trained++;
    if (batch == 1 && odd(STOP))
        stop = 1;
    if (batch == 1 && odd(WRONG_SHAPE))
        return sp_add(t, sp_full(t, 0, SP_SHAPE(2)), sp_full(t, 0, SP_SHAPE(3)));
    sp_tensor *l = sp_add(t, sp_param_on(t, seen.w), sp_full(t, 3, SP_SCALAR));
    return batch == 1 && odd(NOT_FINITE) ? sp_scale(t, l, INFINITY) : l;
}

static bool save(void *self, sp_status *status)
{
    (void)self;
    if (odd(SAVE_FAILS))
        return sp_fail(status, SP_ERR_FILE, "the disk is full");
    seen.saves++;
    seen.saved = *sp_param_values(seen.w);
    return true;
}

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/log", directory);
    store = sp_store_new(1);
    memset(&seen, 0, sizeof seen);
    seen.w = sp_store_add(store, SP_SCALAR, "w");
    stop = 0;
}

static void end(void)
{
    sp_store_free(store);
    remove(path);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

static sp_trainer_config config_of(void)
{
    return (sp_trainer_config){ .optimizer = "sgd", .lr = 1, .epochs = EPOCHS, .stop = &stop, .log = path };
}

static bool train(const struct plan *p, const sp_trainer_config *config, sp_training *result, sp_status *status)
{
    const sp_task task = { .self = &plan, .store = store, .begin = begin_pass, .loss = loss, .save = save };
    plan = *p;
    return sp_train(&task, config, result, status);
}

/* The lines of the log are JSON objects, one an epoch; returns how many. */
static int check_log(const struct plan *p)
{
    static const char *const keys[] = { "epoch", "train_loss", "valid_loss", "tokens_per_s", "seconds" };
    char line[512];
    int lines = 0;
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(json_is_object(object) && strchr(line, '\n'), "%s", line);
        for (int i = 0; i < 5; i++) {
            const json_t *value = json_object_get(object, keys[i]);
            /* a clock that did not move gives an infinite rate, which is null */
            ck_assert_msg(json_is_number(value) || (i == 3 && json_is_null(value)), "%s: %s", keys[i], line);
        }
        ck_assert_int_eq(json_integer_value(json_object_get(object, "epoch")), lines + 1);
        ck_assert_double_eq_tol(json_number_value(json_object_get(object, "valid_loss")), p->valid[lines], 1e-5);
        ck_assert_double_eq_tol(json_number_value(json_object_get(object, "train_loss")), 1.5 - 4 * lines, 1e-5);
        ck_assert_double_ge(json_number_value(json_object_get(object, "seconds")), 0);
        json_decref(object);
        lines++;
    }
    fclose(f);
    return lines;
}

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

/* Each step takes 1 from w, so the model after epoch e has w = -4e. */
static const struct {
    struct plan plan;
    int best, saves;
} runs[] = {
    { { .valid = { 5, 4, 3, 2, 1 } }, 5, 5 },
    { { .valid = { 5, 3, 4, 6, 7 } }, 2, 2 },
    { { .valid = { 1, 2, 3, 4, 5 } }, 1, 1 },
    { { .valid = { 3, 3, 3, 3, 3 } }, 1, 1 },
    { { .valid = { 5, 3, 4, 2, 7 } }, 4, 3 },
};

START_TEST(best_is_kept)
{
    sp_training x;
    sp_status status = { 0 };
    const sp_trainer_config config = config_of();
    ck_assert_msg(train(&runs[_i].plan, &config, &x, &status), "%s", status.message);
    ck_assert(x.epochs == EPOCHS && x.best_epoch == runs[_i].best && x.saved && !x.interrupted);
    ck_assert_int_eq(seen.saves, runs[_i].saves);
    ck_assert(seen.saved == -BATCHES * runs[_i].best);
    ck_assert(*sp_param_values(seen.w) == -BATCHES * EPOCHS);
    ck_assert_double_eq_tol(x.best_loss, runs[_i].plan.valid[runs[_i].best - 1], 1e-5);
    ck_assert_double_eq_tol(x.valid_loss, runs[_i].plan.valid[EPOCHS - 1], 1e-5);
    /* in the last epoch w goes from -16 to -19, and 3 is added */
    ck_assert_double_eq_tol(x.train_loss, -14.5, 1e-5);
    ck_assert_int_eq(seen.trained, EPOCHS * BATCHES);
    ck_assert_int_eq(seen.validations, EPOCHS * 2);
    ck_assert_int_eq(check_log(&runs[_i].plan), EPOCHS);
}
END_TEST

/* Stopped in the second batch of an epoch: that batch is finished, the model is judged as it is. */
static const struct {
    struct plan plan;
    int epochs, best, saves;
} stops[] = {
    { { .valid = { 5, 4 }, .odd_epoch = 1, .odd = STOP }, 0, 0, 1 },
    { { .valid = { 5, 4 }, .odd_epoch = 2, .odd = STOP }, 1, 0, 2 },
    { { .valid = { 5, 6 }, .odd_epoch = 2, .odd = STOP }, 1, 1, 1 },
};

START_TEST(stopped)
{
    sp_training x;
    sp_status status = { 0 };
    const sp_trainer_config config = config_of();
    ck_assert_msg(train(&stops[_i].plan, &config, &x, &status), "%s", status.message);
    ck_assert(x.interrupted && x.saved);
    ck_assert_int_eq(x.epochs, stops[_i].epochs);
    ck_assert_int_eq(x.best_epoch, stops[_i].best);
    ck_assert_int_eq(seen.saves, stops[_i].saves);
    ck_assert_int_eq(seen.trained, stops[_i].epochs * BATCHES + 2);
    ck_assert(seen.saved == (stops[_i].best ? -BATCHES * stops[_i].best : -seen.trained));
    ck_assert_int_eq(check_log(&stops[_i].plan), stops[_i].epochs);
}
END_TEST

/* Stopped before the first batch: the model as it is, once. */
START_TEST(stopped_at_once)
{
    sp_training x;
    const sp_trainer_config config = config_of();
    stop = 1;
    ck_assert(train(&runs[0].plan, &config, &x, NULL));
    ck_assert(x.interrupted && x.saved && x.epochs == 0 && isnan(x.train_loss));
    ck_assert(seen.trained == 0 && seen.saves == 1 && seen.saved == 0);
}
END_TEST

/* ---- what goes wrong ------------------------------------------------------------------------------------------- */

static const struct {
    struct plan plan;
    const char *error;
    int saves, trained, lines;
} failures[] = {
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 3, .odd = NOT_FINITE }, "training: the loss became -inf in step 10: first at 'scale'", 2, 11, 2 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 1, .odd = NOT_FINITE }, "training: the loss became inf in step 2: first at 'scale'", 0, 3, 0 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 2, .odd = WRONG_SHAPE }, "add: [2] and [3] do not broadcast: 2 != 3", 1, 6, 1 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 2, .odd = SAVE_FAILS }, "the disk is full", 1, 8, 1 },
    { { .valid = { 5, NAN, 3, 2, 1 } }, "in step 8: no operation made that of finite numbers, so it is in the data", 1, 8, 1 },
    { { .valid = { INFINITY } }, "in step 4: no operation made that of finite numbers, so it is in the data", 0, 4, 0 },
};

START_TEST(failing)
{
    sp_training x;
    sp_status status = { 0 };
    const sp_trainer_config config = config_of();
    ck_assert(!train(&failures[_i].plan, &config, &x, &status));
    if (failures[_i].plan.valid[0] < INFINITY && !isnan(failures[_i].plan.valid[1]))
        ck_assert_str_eq(status.message, failures[_i].error);
    else                        /* the sign of what is not a number is not told alike everywhere */
        ck_assert_msg(strstr(status.message, "the validation loss became") && strstr(status.message, failures[_i].error), "%s",
                      status.message);
    ck_assert_int_eq(seen.saves, failures[_i].saves);
    ck_assert_int_eq(seen.trained, failures[_i].trained);
    ck_assert(seen.saved == -BATCHES * failures[_i].saves);
    ck_assert_int_eq(check_log(&failures[_i].plan), failures[_i].lines);
}
END_TEST

/* Before anything is trained. */
START_TEST(bad_config)
{
    sp_training x;
    sp_status status = { 0 };
    sp_trainer_config config = config_of();
    config.optimizer = "adams";
    ck_assert(!train(&runs[0].plan, &config, &x, &status));
    ck_assert_str_eq(status.message, "optimizer 'adams' is none of: sgd nt-asgd adagrad adadelta rmsprop adam adamw");
    status = (sp_status){ 0 };
    config = config_of();
    config.log = directory;
    ck_assert(!train(&runs[0].plan, &config, &x, &status));
    ck_assert_ptr_nonnull(strstr(status.message, "cannot be written: Is a directory"));
    ck_assert_int_eq(seen.epoch, 0);
    if (access("/dev/full", W_OK))
        return;
    status = (sp_status){ 0 };
    config.log = "/dev/full";
    ck_assert(!train(&runs[0].plan, &config, &x, &status));
    ck_assert_str_eq(status.message, "/dev/full: writing failed: No space left on device");
}
END_TEST

/* The gradient of w is 1: clipped to 0.25, a step takes 0.25. */
START_TEST(clipping)
{
    sp_training x;
    sp_trainer_config config = config_of();
    config.clip = 0.25;
    config.epochs = 1;
    ck_assert(train(&runs[0].plan, &config, &x, NULL));
    ck_assert(*sp_param_values(seen.w) == -1);
}
END_TEST

/* Every step draws its own random numbers, the same for the same seed. */
START_TEST(seeds)
{
    sp_training x;
    sp_real first[EPOCHS * BATCHES];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        sp_trainer_config config = config_of();
        config.seed = seed / 2;                         /* 0, 1, 1 */
        seen.trained = seen.epoch = 0;
        memcpy(first, seen.drawn, sizeof first);
        ck_assert(train(&runs[0].plan, &config, &x, NULL));
        for (int i = 0; i < EPOCHS * BATCHES; i++) {
            ck_assert((first[i] == seen.drawn[i]) == (seed == 3));
            for (int j = 0; j < i; j++)
                ck_assert(seen.drawn[i] != seen.drawn[j]);
        }
    }
}
END_TEST

/* On a stream that is no terminal: one line an epoch, no bar. */
START_TEST(progress)
{
    char line[256];
    int lines = 0, saved = 0;
    sp_training x;
    sp_trainer_config config = config_of();
    config.progress = tmpfile();
    ck_assert(train(&runs[1].plan, &config, &x, NULL));
    rewind(config.progress);
    while (fgets(line, sizeof line, config.progress)) {
        ck_assert_msg(!strncmp(line, "epoch ", 6) && line[6] == '1' + lines && strchr(line, '\n'), "%s", line);
        ck_assert(!strchr(line, '\r') && !strchr(line, '\033'));
        saved += strstr(line, ", saved\n") != NULL;
        lines++;
    }
    ck_assert_int_eq(lines, EPOCHS);
    ck_assert_int_eq(saved, runs[1].saves);
    fclose(config.progress);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("trainer");
    TCase *c = tcase_create("trainer");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, best_is_kept, 0, sizeof runs / sizeof *runs);
    tcase_add_loop_test(c, stopped, 0, sizeof stops / sizeof *stops);
    tcase_add_test(c, stopped_at_once);
    tcase_add_loop_test(c, failing, 0, sizeof failures / sizeof *failures);
    tcase_add_test(c, bad_config);
    tcase_add_test(c, clipping);
    tcase_add_test(c, seeds);
    tcase_add_test(c, progress);
    suite_add_tcase(all, c);
    return all;
}
