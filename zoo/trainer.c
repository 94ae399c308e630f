#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/file.h"
#include "autograd/timing.h"
#include "zoo/progress.h"
#include "zoo/trainer_inside.h"

static bool stopped(const struct trainer *r)
{
    return r->config->stop && *r->config->stop;
}

static sp_tape *first_tape(const struct trainer *r)
{
    return sp_parallel_tape(r->parallel, 0);
}

/* Hands the tapes' error on. */
static bool failed(struct trainer *r)
{
    return sp_fail_with(r->status, sp_tape_status(first_tape(r)));
}

/* ---- a step ---------------------------------------------------------------------------------------------------- */

static sp_tensor *loss_of_shard(sp_tape *t, void *self, int shard, double *weight)
{
    struct trainer *r = self;
    long count = 0;
    sp_tensor *loss = r->task->loss(t, r->task->self, r->training, r->batch, shard, &count);
    *weight = (double)count;
    return loss;
}

/* g = g / count, but for statistics, which are none */
static void divide_gradients(sp_tape *t, double count)
{
    sp_real *g = sp_gradients(t);
    for (long from = 0, end = 0; g && sp_store_next_learned(sp_tape_store(t), &from, &end); )
        for (long i = from; i < end; i++)
            g[i] = (sp_real)((double)g[i] / count);
}

/* The gradients of the batches from r->next up to end, which make one step; their mean loss, and over how many symbols. */
static bool gradients_of(struct trainer *r, long end, double *loss, double *count)
{
    sp_tape *t = first_tape(r);
    const bool one = !(r->config->accumulate > 1);
    double sum = 0, weight;
    *count = 0;
    sp_trainer_remember(r);
    for (r->batch = r->next; r->batch < end; r->batch++) {
        sp_parallel_seed(r->parallel, (uint64_t)r->config->seed, (uint32_t)r->batches);
        const double mean = one ? sp_parallel_backward(r->parallel, loss_of_shard, r, &weight)
                                : sp_parallel_backward_sum(r->parallel, loss_of_shard, r, &weight);
        if (!sp_ok(t))
            return failed(r);
        if (!isfinite(mean))
            return sp_trainer_blame(r, "the loss", mean, r->next, false);
        sum += mean * weight;
        *count += weight;
        r->batches++;
    }
    *loss = sum / *count;
    if (!one)
        divide_gradients(t, *count);
    return true;
}

static bool train_step(struct trainer *r, long end, double *loss, double *count)
{
    sp_tape *t = first_tape(r);
    r->steps++;
    if (!gradients_of(r, end, loss, count))
        return false;
    const double norm = sp_clip_norm(t, r->config->clip > 0 ? r->config->clip : INFINITY);
    if (!isfinite(norm)) {
        const long first = r->next;
        r->batch = end - 1;
        r->batches--;
        return sp_trainer_blame(r, "the gradient's norm", norm, first, true);
    }
    r->next = end;
    return sp_step(r->optimizer, t) || failed(r);
}

/* ---- passes over the data ------------------------------------------------------------------------------------- */

/* The schedule, once it is known how many steps there are. */
static void set_schedule(struct trainer *r, long batches)
{
    const sp_trainer_config *c = r->config;
    const long k = c->accumulate > 1 ? c->accumulate : 1;
    if (!r->per_epoch)
        r->per_epoch = (batches + k - 1) / k;
    r->optimizer->schedule = sp_trainer_schedule(c, r->per_epoch);
}

/* What is left of a pass over the training data. */
static bool train_epoch(struct trainer *r)
{
    char title[64];
    double recent = NAN, loss = NAN, count = 0;
    sp_progress bar;
    const long n = r->task->begin(r->task->self, true, r->epoch = r->result->epochs);
    const long k = r->config->accumulate > 1 ? r->config->accumulate : 1;
    const double before = r->tokens;
    bool ok = true;
    r->training = true;
    if (n < 1)
        return sp_fail(r->status, SP_ERR_VALUE, "training: there are %ld batches in epoch %ld", n, r->epoch + 1);
    set_schedule(r, n);
    if (r->next > 0)
        sp_trainer_recall(r);
    snprintf(title, sizeof title, "epoch %ld/%ld", r->result->epochs + 1, r->config->epochs);
    sp_progress_begin(&bar, r->config->progress, r->task->unit ? r->task->unit : "symbol");
    while (ok && r->next < n && !stopped(r)) {
        ok = train_step(r, r->next + k < n ? r->next + k : n, &loss, &count);
        if (!ok)
            break;                                      /* the bar has to go */
        r->sum += loss * count;
        r->tokens += count;
        recent = isnan(recent) ? loss : 0.95 * recent + 0.05 * loss;
        sp_progress_show(&bar, title, (double)r->next / (double)n, recent, (long)(r->tokens - before));
        if (r->config->checkpoint && r->config->every > 0 && r->steps % r->config->every == 0 && r->next < n)
            ok = sp_trainer_save(r);
    }
    sp_progress_end(&bar);
    r->result->tokens_per_s = (r->tokens - before) / (sp_seconds() - bar.began);
    return ok;
}

static bool validate(struct trainer *r)
{
    double sum = 0, all = 0, count;
    const sp_task *task = r->task;
    const long n = task->begin(task->self, false, r->epoch);
    sp_tape *t = first_tape(r);
    r->training = false;
    for (r->batch = 0; r->batch < n; r->batch++) {
        sp_trainer_remember(r);
        const double loss = sp_parallel_evaluate(r->parallel, loss_of_shard, r, &count);
        if (!sp_ok(t))
            return failed(r);
        if (count > 0 && !isfinite(loss))
            return sp_trainer_blame(r, "the validation loss", loss, r->batch, false);
        sum += count > 0 ? loss * count : 0;
        all += count;
    }
    r->result->valid_loss = sum / all;
    if (!isfinite(r->result->valid_loss))
        return sp_fail(r->status, SP_ERR_VALUE, "training: the validation loss became %g in step %ld, of %g symbols in %ld "
                       "batches", r->result->valid_loss, r->steps, all, n);
    if (!task->measure)
        return true;
    sp_status status = { 0 };
    r->result->metric = task->measure(task->self, &status);
    return status.code == SP_OK || sp_fail_with(r->status, &status);
}

/* ---- after a pass ---------------------------------------------------------------------------------------------- */

/* Is this validation the best so far? A metric that is NaN is worse than any other; of equals the smaller loss is better. */
static bool better(const struct trainer *r)
{
    const sp_training *x = r->result;
    const char *name = r->config->metric;
    const bool by_metric = name && strcmp(name, "loss"), none = isnan(x->metric), none_yet = isnan(x->best_metric);
    if (!x->saved)
        return true;
    if (by_metric && none != none_yet)
        return none_yet;
    if (by_metric && !none && x->metric != x->best_metric)
        return (x->metric > x->best_metric) == r->task->more_is_better;
    return x->valid_loss < x->best_loss;
}

/* The model's values become the best ones, or, back, these the model's. */
static void copy_best(struct trainer *r, bool back)
{
    sp_real *best = sp_param_values(r->best), *now = sp_store_values(r->task->store);
    memcpy(back ? now : best, back ? best : now, (size_t)sp_store_size(r->task->store) * sizeof *now);
}

/* Saves the model if it is the best so far. */
static bool keep_best(struct trainer *r)
{
    sp_training *x = r->result;
    r->waited++;
    if (!better(r))
        return true;
    r->waited = 0;
    x->best_loss = x->valid_loss;
    x->best_metric = x->metric;
    x->best_epoch = x->interrupted ? 0 : x->epochs;
    x->saved = sp_trainer_sound(r) && r->task->save(r->task->self, r->status);
    if (x->saved)
        copy_best(r, false);
    return x->saved;
}

/* Validates, with the averages of the weights if there are any, and keeps the model if it is good. */
static bool judge(struct trainer *r)
{
    sp_optimizer_swap(r->optimizer);
    const bool ok = validate(r) && keep_best(r);
    sp_optimizer_swap(r->optimizer);
    if (ok)
        sp_optimizer_validated(r->optimizer, r->result->valid_loss);
    r->result->seconds = sp_seconds() - r->began;
    return ok;
}

/* In an unfinished epoch. A checkpoint has the model as it is; to save that as the best would make what --resume leads to
   another than what would have been. */
static bool interrupt(struct trainer *r)
{
    sp_training *x = r->result;
    const double valid = x->valid_loss, metric = x->metric;
    x->interrupted = true;
    x->seconds = sp_seconds() - r->began;
    if (r->config->checkpoint && !sp_trainer_save(r))
        return false;
    const bool ok = (r->config->checkpoint && x->saved) || judge(r);
    x->valid_loss = valid;              /* the best model's own are best_loss, best_metric */
    x->metric = metric;
    return ok;
}

static bool run(struct trainer *r)
{
    sp_training *x = r->result;
    const long patience = r->config->patience;
    while (x->epochs < r->config->epochs && !(x->patience_lost = patience > 0 && r->waited >= patience)) {
        if (!train_epoch(r))
            return false;
        if (stopped(r))
            return interrupt(r);
        x->epochs++;
        x->train_loss = r->tokens > 0 ? r->sum / r->tokens : NAN;
        if (!judge(r) || !sp_trainer_log(r))
            return false;
        r->next = 0;
        r->sum = r->tokens = 0;
        if ((r->config->checkpoint && !sp_trainer_save(r)) || !sp_trainer_draw(r, false))
            return false;
        sp_trainer_tell(r);
    }
    return true;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

int sp_trainer_shards(long batch)
{
    return batch >= 256 ? SP_MOST_SHARDS : batch >= 128 ? 4 : batch >= 32 ? 2 : 1;
}

/* Fisher, Yates: the i-th from the end is exchanged with one of those up to it. */
void sp_trainer_shuffle(long n, long *order, uint64_t seed, long epoch)
{
    sp_random random = { .key = { seed, sp_hash_text((uint64_t)epoch, "shuffle"), 0, 0 } };
    for (long i = 0; i < n; i++)
        order[i] = i;
    for (long i = n - 1; i > 0; i--) {
        const long k = sp_random_below(&random, i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
}

sp_trainer_config sp_trainer_defaults(void)
{
    return (sp_trainer_config){ .optimizer = "adam", .lr = 2e-3, .clip = 5, .schedule = "constant", .decay = 0.5,
                                .plateau = 2, .epochs = 10, .accumulate = 1, .seed = 1, .threads = 1, .progress = stderr };
}

/* The settings, also with the task. */
static bool check(const sp_task *task, const sp_trainer_config *c, sp_status *status)
{
    if (c->metric && strcmp(c->metric, "loss") && (!task->measure || strcmp(c->metric, task->metric)))
        return sp_fail(status, SP_ERR_VALUE, "training: the metric '%s' is none of: loss%s%s", c->metric,
                       task->measure ? " " : "", task->measure ? task->metric : "");
    return sp_trainer_check(c, status);
}

/* Room for the numbers that the task carries from batch to batch, and for the best model. */
static bool open_carried(struct trainer *r)
{
    const sp_task *task = r->task;
    long size;
    r->carried = sp_store_new(0);
    for (int i = 0; task->carried && task->carried(task->self, i, &size); i++)
        sp_store_add(r->carried, SP_SHAPE(size), "carried.%d", i);
    r->best = sp_store_add(r->carried, SP_SHAPE(sp_store_size(task->store)), "carried.best");
    return sp_store_ok(r->carried);
}

/* All that is needed, training resumed, the log as it was. */
static bool open_run(struct trainer *r)
{
    const sp_task *task = r->task;
    const sp_trainer_config *c = r->config;
    r->began = r->drawn = sp_seconds();
    r->parallel = sp_parallel_new(task->store, task->shards, c->threads > 0 ? (int)c->threads : 1);
    if (!r->parallel || !open_carried(r))
        return sp_fail(r->status, SP_ERR_MEMORY, "training: out of memory");
    sp_parallel_set_profile(r->parallel, c->profile);
    for (int i = 0; i < task->shards; i++)
        sp_tape_set_budget(sp_parallel_tape(r->parallel, i), c->budget);
    r->optimizer = sp_optimizer_new(task->store, c->optimizer, c->lr, r->status);
    if (!r->optimizer || (c->average > 0 && !sp_optimizer_average(r->optimizer, c->average, r->status))
        || (task->tune && !task->tune(task->self, r->optimizer, r->status)) || (c->resume && !sp_trainer_load(r)))
        return false;
    r->began -= r->result->seconds;
    if (c->log && (!(r->log = fopen(c->log, "w")) || (r->lines && (fputs(r->lines, r->log) < 0 || fflush(r->log)))))
        return sp_fail(r->status, SP_ERR_FILE, "%s: cannot be written: %s", c->log, strerror(errno));
    return true;
}

bool sp_train(const sp_task *task, const sp_trainer_config *config, sp_training *result, sp_status *status)
{
    struct trainer r = { .task = task, .config = config, .result = result, .status = status };
    *result = (sp_training){ .train_loss = NAN, .valid_loss = NAN, .metric = NAN, .best_loss = NAN, .best_metric = NAN };
    bool ok = check(task, config, status) && open_run(&r) && run(&r) && sp_trainer_draw(&r, true);
    if (r.log && fclose(r.log) && ok)
        ok = sp_fail(status, SP_ERR_FILE, "%s: writing failed: %s", config->log, strerror(errno));
    if (ok && result->saved)
        copy_best(&r, true);
    sp_optimizer_free(r.optimizer);
    sp_parallel_free(r.parallel);
    sp_store_free(r.carried);
    free(r.lines);
    return ok;
}
