/* The trainer, by a task whose losses are written down beforehand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "nn/batch_norm.h"
#include "nn/loss.h"
#include "nn/stack.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/trainer.h"

enum { EPOCHS = 5, BATCHES = 4 };

/* One parameter w, at 0. The loss of a training batch is w + 3 over 2 symbols, so each step of descent with the rate 1
   takes 1 from w; but where the plan says otherwise, it is what that says. */
static struct plan {
    double valid[EPOCHS];       /* the validation loss of each epoch */
    int odd_epoch;              /* from 1; in its second batch: */
    enum { NOTHING, NOT_FINITE, WRONG_SHAPE, STOP, SAVE_FAILS, GRADIENT, NO_BATCHES } odd;
    double metric[EPOCHS];      /* what is measured in each epoch; NaN: that fails; below 0: NaN is measured */
    bool more_is_better;
} plan;

static struct {
    sp_param *w;
    int epoch, validations, saves, trained;
    sp_real saved, last;        /* w as it was saved last, and validated last */
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
    return !training ? 2 : odd(NO_BATCHES) ? 0 : BATCHES;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    (void)self, (void)shard;
    ck_assert(training == sp_tape_training(t));
    *count = 2;
    if (!training) {
        seen.validations++;
        seen.last = *sp_param_values(seen.w);
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
    if (batch == 1 && odd(GRADIENT))            /* 0, but its slope is not finite */
        return sp_sqrt(t, sp_scale(t, sp_param_on(t, seen.w), 0));
    return batch == 1 && odd(NOT_FINITE) ? sp_scale(t, l, INFINITY) : l;
}

static double measure(void *self, sp_status *status)
{
    (void)self;
    const double metric = plan.metric[seen.epoch - 1];
    if (isnan(metric))
        sp_fail(status, SP_ERR_VALUE, "nothing to measure");
    return metric < 0 ? NAN : metric;
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
    sp_task task = { .self = &plan, .store = store, .begin = begin_pass, .loss = loss, .save = save,
                     .more_is_better = p->more_is_better };
    if (p->metric[0]) {
        task.measure = measure;
        task.metric = "accuracy";
    }
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
    ck_assert(*sp_param_values(seen.w) == seen.saved);
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
    if (x.epochs)                       /* of the epoch that was finished, whatever the interruption measures */
        ck_assert(fabs(x.train_loss - 1.5) < 1e-5 && fabs(x.valid_loss - stops[_i].plan.valid[0]) < 1e-5);
    else
        ck_assert(isnan(x.train_loss) && isnan(x.valid_loss) && fabs(x.best_loss - stops[_i].plan.valid[0]) < 1e-5);
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

/* ---- when it ends, and how fast it goes ------------------------------------------------------------------------- */

static const struct {
    struct plan plan;
    const char *metric;
    long patience;
    int epochs, best;
} ends[] = {
    { { .valid = { 5, 3, 4, 6, 7 } }, NULL, 0, 5, 2 },
    { { .valid = { 5, 3, 4, 6, 7 } }, NULL, 1, 3, 2 },
    { { .valid = { 5, 3, 4, 6, 7 } }, "loss", 2, 4, 2 },
    { { .valid = { 5, 5, 4, 6, 3 } }, NULL, 2, 5, 5 },
    { { .valid = { 5, 5, 4, 6, 3 } }, NULL, 1, 2, 1 },
    { { .valid = { 5, 4, 3, 2, 1 }, .metric = { 2, 3, 3, 1, 4 }, .more_is_better = true }, "accuracy", 0, 5, 5 },
    { { .valid = { 5, 4, 3, 2, 1 }, .metric = { 2, 3, 3, 1, 4 }, .more_is_better = true }, "accuracy", 1, 4, 3 },
    { { .valid = { 1, 2, 3, 4, 5 }, .metric = { 2, 3, 3, 1, 4 } }, "accuracy", 3, 5, 4 },
    { { .valid = { 1, 2, 3, 4, 5 }, .metric = { 2, 3, 3, 1, 4 } }, "loss", 0, 5, 1 },
    { { .valid = { 1, 2, 3, 4, 5 }, .metric = { 2, 3, 3, 1, 4 } }, NULL, 0, 5, 1 },
    /* of equals the smaller loss is better */
    { { .valid = { 5, 4, 5, 4, 3 }, .metric = { 2, 3, 3, 3, 3 }, .more_is_better = true }, "accuracy", 0, 5, 5 },
    { { .valid = { 5, 4, 5, 4, 6 }, .metric = { 2, 3, 3, 3, 3 }, .more_is_better = true }, "accuracy", 3, 5, 2 },
    { { .valid = { 3, 2, 1, 4, 0 }, .metric = { 1, 1, 1, 1, 2 } }, "accuracy", 0, 5, 3 },
    { { .valid = { 3, 2, 4, 1, 2 }, .metric = { -1, -1, -1, -1, -1 } }, "accuracy", 0, 5, 4 },
    /* what cannot be measured is worse than what can */
    { { .valid = { 5, 4, 3, 2, 1 }, .metric = { -1, 3, 4, -1, 3 }, .more_is_better = true }, "accuracy", 0, 5, 3 },
    { { .valid = { 5, 4, 3, 2, 1 }, .metric = { -1, -1, 3, 4, 5 } }, "accuracy", 0, 5, 3 },
};

static bool measured(double x, double planned)
{
    return planned < 0 ? isnan(x) : x == planned;
}

START_TEST(patience)
{
    sp_training x;
    sp_status status = { 0 };
    sp_trainer_config config = config_of();
    config.patience = ends[_i].patience;
    config.metric = ends[_i].metric;
    ck_assert_msg(train(&ends[_i].plan, &config, &x, &status), "%s", status.message);
    ck_assert_int_eq(x.epochs, ends[_i].epochs);
    ck_assert_int_eq(x.best_epoch, ends[_i].best);
    ck_assert(seen.saved == -BATCHES * ends[_i].best && x.patience_lost == (x.epochs < EPOCHS));
    ck_assert_int_eq(check_log(&ends[_i].plan), ends[_i].epochs);
    ck_assert_double_eq_tol(x.best_loss, ends[_i].plan.valid[x.best_epoch - 1], 1e-5);
    if (ends[_i].plan.metric[0])
        ck_assert(measured(x.metric, ends[_i].plan.metric[x.epochs - 1])
                  && measured(x.best_metric, ends[_i].plan.metric[x.best_epoch - 1]));
    else
        ck_assert(isnan(x.metric) && isnan(x.best_metric));
}
END_TEST

/* Each step takes the schedule's factor from w. Counts are in steps of the run, here 20. */
START_TEST(schedules)
{
    static const sp_schedule kinds[] = {
        { .kind = "constant", .warmup = 3 }, { .kind = "linear", .warmup = 3, .total_steps = 20 },
        { .kind = "cosine", .total_steps = 20 }, { .kind = "one_cycle", .total_steps = 20 },
        { .kind = "inverse_sqrt", .warmup = 4 }, { .kind = "step", .gamma = 0.5, .step_size = 4 },
        { .kind = "exponential", .gamma = 0.84089641525371454 },        /* the fourth root of 1/2 */
    };
    sp_training x;
    double w = 0;
    sp_trainer_config config = config_of();
    sp_schedule s = sp_schedule_of(kinds[_i].kind);
    s.warmup = config.warmup = kinds[_i].warmup;
    s.total_steps = kinds[_i].total_steps;
    s.gamma = kinds[_i].gamma;
    s.step_size = kinds[_i].step_size > 0 ? kinds[_i].step_size : 1;
    config.schedule = s.kind;
    config.decay = 0.5;
    ck_assert(train(&runs[0].plan, &config, &x, NULL));
    for (int i = 0; i < EPOCHS * BATCHES; i++)
        w -= sp_schedule_at(&s, i);
    ck_assert_double_eq_tol((double)*sp_param_values(seen.w), w, WIDE(1e-12, 1e-5));
}
END_TEST

/* After a second validation that is no better the rate is a half: 4 (1 + 1 + 1 + 1/2 + 1/2). */
START_TEST(plateau)
{
    sp_training x;
    sp_trainer_config config = config_of();
    config.schedule = "plateau";
    config.decay = 0.5;
    config.plateau = 1;
    ck_assert(train(&runs[3].plan, &config, &x, NULL));
    ck_assert(seen.last == -16);
}
END_TEST

/* a = (a + w) / 2 after each step is what is validated and saved; training goes on with w. */
START_TEST(averages)
{
    sp_training x;
    double a = 0;
    sp_trainer_config config = config_of();
    config.average = 0.5;
    ck_assert(train(&runs[0].plan, &config, &x, NULL));
    for (int i = 1; i <= EPOCHS * BATCHES; i++)
        a = (a - i) / 2;
    ck_assert_double_eq_tol((double)seen.saved, a, WIDE(1e-12, 1e-5));
    ck_assert(*sp_param_values(seen.w) == seen.saved);
    ck_assert_double_eq_tol(x.train_loss, -17.5 + 3, 1e-5);
}
END_TEST

/* Every row of the options is a setting that can be made. */
START_TEST(option_rows)
{
    char text[256], *word;
    sp_status status = { 0 };
    sp_trainer_config c = sp_trainer_defaults();
    const sp_option options[] = { SP_TRAINER_OPTIONS(&c), { 0 } };
    const sp_command command = { "train", "Trains.", options, NULL, NULL };
    const char *words[] = { "--optimizer=sgd", "--schedule", "cosine", "--every=3", "--resume", "--threads=2", "--seed", "9",
                            "--plot=x.svg", "--metric", "F1" };
    for (word = strtok(strcpy(text, SP_OPTIMIZER_KINDS), "|"); word; word = strtok(NULL, "|")) {
        sp_optimizer *o = sp_optimizer_new(store, word, 1, &status);
        ck_assert_msg(o, "%s", status.message);
        sp_optimizer_free(o);
    }
    for (word = strtok(strcpy(text, SP_SCHEDULE_KINDS), "|"); word; word = strtok(NULL, "|")) {
        sp_schedule s = sp_schedule_of(word);
        s.total_steps = sp_schedule_ends(word) ? 9 : 0;
        ck_assert_msg(sp_schedule_check(&s, &status), "%s", status.message);
    }
    ck_assert_int_eq(sp_options_parse(&command, sizeof words / sizeof *words, (char **)(uintptr_t)words, NULL, &status), SP_PARSED);
    ck_assert(!strcmp(c.optimizer, "sgd") && !strcmp(c.schedule, "cosine") && c.every == 3 && c.resume && c.threads == 2
              && c.seed == 9 && !strcmp(c.plot, "x.svg") && !strcmp(c.metric, "F1") && c.epochs == 10 && c.lr == 2e-3);
}
END_TEST

/* All permutations of three are drawn alike; an epoch's order depends on nothing else. */
START_TEST(shuffles)
{
    long order[3], again[3], seen_times[27] = { 0 };
    for (long epoch = 0; epoch < 6000; epoch++) {
        sp_trainer_shuffle(3, order, 1, epoch);
        sp_trainer_shuffle(3, again, 1, epoch);
        ck_assert_mem_eq(order, again, sizeof order);
        seen_times[9 * order[0] + 3 * order[1] + order[2]]++;
    }
    for (int i = 0; i < 27; i++) {
        const int a = i / 9, b = i / 3 % 3, c = i % 3;
        if (a != b && b != c && a != c)         /* 1000, with a standard deviation of 29 */
            ck_assert(seen_times[i] > 850 && seen_times[i] < 1150);
        else
            ck_assert_int_eq(seen_times[i], 0);
    }
    sp_trainer_shuffle(0, NULL, 1, 0);
}
END_TEST

/* ---- several batches a step ------------------------------------------------------------------------------------- */

/* Least squares over 12 rows, as batches of 3, 1, 2, 4, 2 rows, three of them a step, or as two batches of 6. */
enum { ROWS = 12, WIDE_ROWS = 3 };
struct squares {
    sp_param *w;
    bool large;
};
static const long small_batches[] = { 0, 3, 4, 6, 10, 12 };

static long begin_squares(void *self, bool training, long epoch)
{
    (void)epoch;
    return !training ? 1 : ((struct squares *)self)->large ? 2 : 5;
}

static sp_tensor *loss_squares(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const struct squares *s = self;
    sp_real x[ROWS * WIDE_ROWS], y[ROWS];
    const long first = !training ? 0 : s->large ? 6 * batch : small_batches[batch];
    const long all = !training ? ROWS : s->large ? 6 : small_batches[batch + 1] - first;
    const long from = first + all * shard / 2, n = *count = first + all * (shard + 1) / 2 - from;   /* a shard may have none */
    if (!n)
        return NULL;
    sp_random_uniform((sp_key){ .seed = 1 }, ROWS * WIDE_ROWS, x, -1, 1);
    sp_random_uniform((sp_key){ .seed = 2 }, ROWS, y, -1, 1);
    return sp_mse(t, sp_matmul(t, sp_feed(t, x + from * WIDE_ROWS, SP_SHAPE(n, WIDE_ROWS)), sp_param_on(t, s->w)),
                  sp_feed(t, y + from, SP_SHAPE(n, 1)));
}

static bool save_nothing(void *self, sp_status *status)
{
    (void)self, (void)status;
    return true;
}

static long begin_norm(void *self, bool training, long epoch)
{
    (void)self, (void)epoch;
    return training ? 5 : 1;
}

static sp_tensor *loss_norm(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const sp_real x[4] = { (sp_real)batch, (sp_real)batch + 2, (sp_real)batch, (sp_real)batch + 2 };
    (void)training, (void)shard;
    *count = 4;
    return sp_mean(t, sp_batch_norm_on(t, self, sp_feed(t, x, SP_SHAPE(4, 1))), SP_ALL);
}

/* Sums in another order: a few times the precision of a number, over 8 steps. */
START_TEST(accumulated)
{
    sp_real w[2][WIDE_ROWS];
    sp_training x[2];
    for (int large = 0; large < 2; large++) {
        sp_store *s = sp_store_new(1);
        struct squares self = { sp_store_add(s, SP_SHAPE(WIDE_ROWS, 1), "w"), large };
        const sp_task task = { .self = &self, .store = s, .shards = 2, .begin = begin_squares, .loss = loss_squares,
                               .save = save_nothing };
        const sp_trainer_config config = { .optimizer = "sgd", .lr = 0.3, .clip = 0.5, .epochs = 4,
                                           .accumulate = large ? 1 : 3 };
        sp_status status = { 0 };
        ck_assert_msg(sp_train(&task, &config, &x[large], &status), "%s", status.message);
        memcpy(w[large], sp_param_values(self.w), sizeof w[large]);
        sp_store_free(s);
    }
    for (int i = 0; i < WIDE_ROWS; i++) {
        ck_assert(w[1][i] != 0);
        ck_assert_double_eq_tol((double)w[0][i], (double)w[1][i], WIDE(1e-15, 1e-6));
    }
    ck_assert_double_eq_tol(x[0].train_loss, x[1].train_loss, WIDE(1e-15, 1e-6));
    ck_assert_double_eq_tol(x[0].valid_loss, x[1].valid_loss, WIDE(1e-15, 1e-6));
}
END_TEST

/* What is moved on and not learned is moved by each batch of a step, and not divided with the gradients. */
START_TEST(accumulated_statistics)
{
    sp_real mean[2];
    for (int k = 0; k < 2; k++) {
        sp_training x;
        sp_status status = { 0 };
        sp_store *s = sp_store_new(1);
        sp_batch_norm_layer norm = sp_batch_norm_make(s, "norm", 1);
        const sp_task task = { .self = &norm, .store = s, .begin = begin_norm, .loss = loss_norm, .save = save_nothing };
        const sp_trainer_config config = { .optimizer = "sgd", .lr = 1e-9, .epochs = 2, .accumulate = k ? 3 : 1 };
        ck_assert_msg(sp_train(&task, &config, &x, &status), "%s", status.message);
        mean[k] = *sp_param_values((sp_param *)(uintptr_t)norm.running_mean);
        ck_assert(*sp_param_values((sp_param *)(uintptr_t)norm.num_batches_tracked) == 10);
        sp_store_free(s);
    }
    /* the mean of batch i, from 1, is i */
    double want = 0;
    for (int i = 0; i < 10; i++)
        want = 0.9 * want + 0.1 * (i % 5 + 1);
    ck_assert_double_eq_tol((double)mean[0], want, WIDE(1e-14, 1e-6));
    ck_assert_double_eq_tol((double)mean[1], want, WIDE(1e-14, 1e-6));
}
END_TEST

/* ---- where numbers stop being finite ---------------------------------------------------------------------------- */

/* A cell that counts its steps, h' = h + 1, over windows of four; y = w exp(k h) is too large from the 12th on. */
struct counter {
    sp_param *w;
    sp_stack stack;
    sp_state *state;
    long bad;                   /* in training or in validation, begin says how many batches there are */
};

static sp_tensor *count_step(sp_tape *t, const void *self, sp_tensor *x, sp_tensor **h)
{
    const struct counter *c = self;
    *h = sp_add(t, x, *h);
    return sp_mul(t, sp_exp(t, sp_scale(t, *h, WIDE(64, 8))), sp_param_on(t, c->w));
}

static long begin_counter(void *self, bool training, long epoch)
{
    const struct counter *c = self;
    (void)epoch;
    sp_state_zero(c->state);
    return training == (c->bad > 0) ? 5 : 2;
}

static sp_tensor *loss_counter(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const struct counter *c = self;
    (void)training, (void)batch, (void)shard;
    *count = 4;
    sp_tensor *y = sp_stack_on(t, &c->stack, sp_full(t, 1, SP_SHAPE(4, 1, 1)), c->state);
    /* so small that squares of gradients are finite */
    return sp_scale(t, sp_mean(t, sp_reshape(t, y, SP_SHAPE(4)), 0), WIDE(1e-250, 1));
}

static sp_real *carried_by_counter(void *self, int i, long *size)
{
    return i ? NULL : sp_state_values(((struct counter *)self)->state, size);
}

/* The batch is done again from where its state was. */
START_TEST(origin)
{
    sp_training x;
    sp_status status = { 0 };
    sp_store *s = sp_store_new(1);
    struct counter c = { .w = sp_store_add(s, SP_SHAPE(1), "w"), .bad = _i };
    *sp_param_values(c.w) = 1;
    sp_stack_layer layer = { .cell = { .name = "counter", .self = &c, .step = count_step, .states = 1, .width = { 1 } } };
    c.stack = (sp_stack){ .layer = &layer, .layers = 1 };
    c.state = sp_state_new(&c.stack, 1);
    const sp_task task = { .self = &c, .store = s, .begin = begin_counter, .loss = loss_counter, .save = save_nothing,
                           .carried = carried_by_counter };
    const sp_trainer_config config = { .optimizer = "sgd", .lr = 1e-9, .clip = 1e-9, .epochs = 1,
                                       .accumulate = _i == 2 ? 3 : 0 };
    ck_assert(!sp_train(&task, &config, &x, &status));
    char want[160];
    snprintf(want, sizeof want, "training: the %sloss became inf in step %d: first at 'exp' in l0.counter, time step 3",
             _i ? "" : "validation ", _i == 0 ? 2 : _i == 1 ? 3 : 1);
    ck_assert_str_eq(status.message, want);
    sp_state_free(c.state);
    sp_store_free(s);
}
END_TEST

/* ---- what goes wrong ------------------------------------------------------------------------------------------- */

static const struct {
    struct plan plan;
    const char *error;
    int saves, trained, lines;
} failures[] = {
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 3, .odd = NOT_FINITE },
      "training: the loss became -inf in step 10: first at 'scale'", 2, 11, 2 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 1, .odd = NOT_FINITE },
      "training: the loss became inf in step 2: first at 'scale'", 0, 3, 0 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 2, .odd = WRONG_SHAPE }, "add: [2] and [3] do not broadcast: 2 != 3", 1, 6, 1 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 2, .odd = SAVE_FAILS }, "the disk is full", 1, 8, 1 },
    { { .valid = { 5, NAN, 3, 2, 1 } }, "in step 8: no operation made that of finite numbers, so it is in the data", 1, 8, 1 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 2, .odd = GRADIENT }, "in step 6: first at 'sqrt' backward", 1, 7, 1 },
    { { .valid = { 5, 4, 3, 2, 1 }, .metric = { 1, NAN } }, "nothing to measure", 1, 8, 1 },
    { { .valid = { 5, 4, 3, 2, 1 }, .odd_epoch = 2, .odd = NO_BATCHES }, "training: there are 0 batches in epoch 2", 1, 4, 1 },
    { { .valid = { INFINITY } }, "in step 4: no operation made that of finite numbers, so it is in the data", 0, 4, 0 },
};

START_TEST(failing)
{
    sp_training x;
    sp_status status = { 0 };
    const sp_trainer_config config = config_of();
    ck_assert(!train(&failures[_i].plan, &config, &x, &status));
    /* the sign of what is not a number is not told alike everywhere */
    ck_assert_msg(strstr(status.message, failures[_i].error), "%s", status.message);
    if (!strncmp(failures[_i].error, "in step", 7))
        ck_assert_msg(strstr(status.message, failures[_i].plan.odd == GRADIENT ? "training: the gradient's norm became "
                                                                            : "training: the validation loss became "), "%s",
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
    config.schedule = "cosinus";
    ck_assert(!train(&runs[0].plan, &config, &x, &status));
    ck_assert_str_eq(status.message, "schedule 'cosinus' is none of: constant linear step exponential cosine inverse_sqrt "
                     "one_cycle plateau");
    status = (sp_status){ 0 };
    config = config_of();
    config.metric = "F1";
    ck_assert(!train(&runs[0].plan, &config, &x, &status));
    ck_assert_str_eq(status.message, "training: the metric 'F1' is none of: loss");
    status = (sp_status){ 0 };
    ck_assert(!train(&ends[5].plan, &config, &x, &status));
    ck_assert_str_eq(status.message, "training: the metric 'F1' is none of: loss accuracy");
    status = (sp_status){ 0 };
    config = config_of();
    config.plot = directory;
    ck_assert(!train(&runs[0].plan, &config, &x, &status));
    ck_assert_ptr_nonnull(strstr(status.message, "cannot be written: Is a directory"));
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

/* Out of bounds, or without effect: said before anything is trained. */
static const struct {
    sp_trainer_config config;
    const char *error;
} nonsense[] = {
    { { .epochs = 0, .lr = 1 }, "epochs 0: expected a whole number from 1 to 1000000" },
    { { .epochs = -3, .lr = 1 }, "epochs -3: expected" },
    { { .epochs = 1 }, "lr 0: expected a number from 1e-09 to 100" },
    { { .epochs = 1, .lr = 1, .clip = NAN }, "clip nan: expected" },
    { { .epochs = 1, .lr = 1, .accumulate = -5 }, "accumulate -5: expected" },
    { { .epochs = 1, .lr = 1, .average = NAN }, "average nan: expected" },
    { { .epochs = 1, .lr = 1, .average = -1 }, "average -1: expected" },
    { { .epochs = 1, .lr = 1, .patience = -1 }, "patience -1: expected" },
    { { .epochs = 1, .lr = 1, .every = -1 }, "every -1: expected" },
    { { .epochs = 1, .lr = 1, .seed = -1 }, "seed -1: expected" },
    { { .epochs = 1, .lr = 1, .threads = -1 }, "threads -1: expected a whole number from 1 to 64" },
    { { .epochs = 1, .lr = 1, .warmup = -1 }, "warmup -1: expected" },
    { { .epochs = 1, .lr = 1, .plateau = -1 }, "plateau -1: expected" },
    { { .epochs = 1, .lr = 1, .decay = NAN }, "decay nan: expected" },
    { { .epochs = 1, .lr = 1, .every = 3 }, "every 3: there is no checkpoint to write" },
    { { .epochs = 1, .lr = 1, .decay = 0.25 }, "decay 0.25: the schedule 'constant' has none, but step, exponential and plateau" },
    { { .epochs = 1, .lr = 1, .plateau = 7, .schedule = "step" }, "plateau 7: the schedule is not plateau, but 'step'" },
    { { .epochs = 1, .lr = 1, .decay = 1, .schedule = "plateau" }, "decay 1: plateau lowers the rate by a factor below 1" },
};

START_TEST(bad_settings)
{
    sp_training x;
    sp_status status = { 0 };
    sp_trainer_config config = nonsense[_i].config;
    config.optimizer = "sgd";
    ck_assert(!sp_trainer_check(&config, &status));
    ck_assert_msg(!strncmp(status.message, "training: ", 10) && !strncmp(status.message + 10, nonsense[_i].error, strlen(nonsense[_i].error)),
                  "%s", status.message);
    ck_assert(!train(&runs[0].plan, &config, &x, NULL));
    ck_assert_int_eq(seen.epoch, 0);
}
END_TEST

/* A factor of 1 is a decay, and what the schedule does not have is not checked; zeros are sensible. */
START_TEST(good_settings)
{
    static const char *const kinds[] = { "step", "exponential", "cosine", "one_cycle", "plateau", NULL };
    sp_status status = { 0 };
    sp_trainer_config config = sp_trainer_defaults(), zeros = { .optimizer = "sgd", .lr = 1, .epochs = 1 };
    for (int i = 0; i < 6; i++) {
        config.schedule = zeros.schedule = kinds[i];
        config.decay = i < 2 ? 1 : 0.5;
        ck_assert_msg(sp_trainer_check(&config, &status) && sp_trainer_check(&zeros, &status), "%s", status.message);
    }
    config.schedule = "one_cycle";
    config.warmup = 3;
    ck_assert(!sp_trainer_check(&config, &status));
    ck_assert_str_eq(status.message, "schedule 'one_cycle' has a warm-up of its own, pct_start: warmup is 3, not 0");
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
        config.accumulate = seed == 3 ? 2 : 0;          /* they are those of the batch */
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
    tcase_add_loop_test(c, patience, 0, sizeof ends / sizeof *ends);
    tcase_add_loop_test(c, schedules, 0, 7);
    tcase_add_test(c, plateau);
    tcase_add_test(c, averages);
    tcase_add_test(c, option_rows);
    tcase_add_test(c, shuffles);
    tcase_add_test(c, accumulated);
    tcase_add_test(c, accumulated_statistics);
    tcase_add_loop_test(c, origin, 0, 3);
    tcase_add_loop_test(c, failing, 0, sizeof failures / sizeof *failures);
    tcase_add_test(c, bad_config);
    tcase_add_loop_test(c, bad_settings, 0, sizeof nonsense / sizeof *nonsense);
    tcase_add_test(c, good_settings);
    tcase_add_test(c, clipping);
    tcase_add_test(c, seeds);
    tcase_add_test(c, progress);
    suite_add_tcase(all, c);
    return all;
}
