#include "zoo/trainer.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "autograd/parallel.h"
#include "autograd/timing.h"
#include "nn/optimizer.h"
#include "zoo/progress.h"
#include "zoo/report.h"

struct trainer {
    const sp_task *task;
    const sp_trainer_config *config;
    sp_training *result;
    sp_status *status;
    sp_parallel *parallel;
    sp_optimizer *optimizer;
    bool training;              /* or validating */
    long batch;                 /* at present */
    FILE *log;
    uint32_t steps;             /* taken so far: the key of this step's random numbers */
    double tokens;              /* trained on in this epoch */
};

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

static sp_tensor *loss_of_shard(sp_tape *t, void *self, int shard, double *weight)
{
    struct trainer *r = self;
    long count = 0;
    sp_tensor *loss = r->task->loss(t, r->task->self, r->training, r->batch, shard, &count);
    *weight = (double)count;
    return loss;
}

/* One step. Its mean loss and over how many symbols it is taken. */
static bool train_batch(struct trainer *r, double *loss, double *count)
{
    sp_tape *t = first_tape(r);
    sp_parallel_seed(r->parallel, r->config->seed, r->steps++);
    *loss = sp_parallel_backward(r->parallel, loss_of_shard, r, count);
    if (sp_ok(t) && !isfinite(*loss))
        sp_tape_fail(t, SP_ERR_VALUE, "training: the loss became %g in step %lu", *loss, (unsigned long)r->steps);
    if (r->config->clip > 0)
        sp_clip_norm(t, r->config->clip);
    return sp_step(r->optimizer, t) || failed(r);
}

/* One pass over the training data. */
static bool train_epoch(struct trainer *r)
{
    char title[64];
    double sum = 0, recent = NAN, loss, count;
    sp_progress bar;
    const long n = r->task->begin(r->task->self, true);
    r->training = true;
    snprintf(title, sizeof title, "epoch %ld/%ld", r->result->epochs + 1, r->config->epochs);
    r->tokens = 0;
    sp_progress_begin(&bar, r->config->progress);
    for (r->batch = 0; r->batch < n && !stopped(r); r->batch++) {
        if (!train_batch(r, &loss, &count)) {
            sp_progress_end(&bar);
            return false;
        }
        sum += loss * count;
        r->tokens += count;
        recent = isnan(recent) ? loss : 0.95 * recent + 0.05 * loss;
        sp_progress_show(&bar, title, (double)(r->batch + 1) / (double)n, recent, (long)r->tokens);
    }
    sp_progress_end(&bar);
    r->result->train_loss = r->tokens > 0 ? sum / r->tokens : NAN;
    r->result->tokens_per_s = r->tokens / (sp_seconds() - bar.began);
    return true;
}

static bool validate(struct trainer *r)
{
    double sum = 0, all = 0, count;
    const long n = r->task->begin(r->task->self, false);
    sp_tape *t = first_tape(r);
    r->training = false;
    for (r->batch = 0; r->batch < n && sp_ok(t); r->batch++) {
        double loss = sp_parallel_evaluate(r->parallel, loss_of_shard, r, &count);
        sum += count > 0 ? loss * count : 0;
        all += count;
    }
    r->result->valid_loss = sum / all;
    if (!isfinite(r->result->valid_loss))
        sp_tape_fail(t, SP_ERR_VALUE, "training: the validation loss became %g in step %lu", r->result->valid_loss,
                     (unsigned long)r->steps);
    return sp_ok(t) || failed(r);
}

/* Saves the model if it is the best so far. */
static bool keep_best(struct trainer *r)
{
    sp_training *x = r->result;
    if (x->saved && !(x->valid_loss < x->best_loss))
        return true;
    x->best_loss = x->valid_loss;
    x->best_epoch = x->interrupted ? 0 : x->epochs;
    return x->saved = r->task->save(r->task->self, r->status);
}

static bool write_log(struct trainer *r)
{
    if (!r->log)
        return true;
    sp_report *line = sp_report_new();
    sp_report_count(line, "epoch", r->result->epochs);
    sp_report_number(line, "train_loss", r->result->train_loss);
    sp_report_number(line, "valid_loss", r->result->valid_loss);
    sp_report_number(line, "tokens_per_s", r->result->tokens_per_s);
    sp_report_number(line, "seconds", r->result->seconds);
    bool ok = sp_report_write(line, r->log);
    sp_report_free(line);
    return ok || sp_fail(r->status, SP_ERR_FILE, "%s: writing failed: %s", r->config->log, strerror(errno));
}

static void tell(const struct trainer *r)
{
    char rate[32];
    const sp_training *x = r->result;
    if (r->config->progress)
        fprintf(r->config->progress, "epoch %ld/%ld: train %.3f, valid %.3f nats per symbol, %s symbols/s, %.0f s%s\n",
                x->epochs, r->config->epochs, x->train_loss, x->valid_loss,
                sp_thousands(rate, (long)x->tokens_per_s), x->seconds, x->best_epoch == x->epochs ? ", saved" : "");
}

static bool run(struct trainer *r)
{
    const double began = sp_seconds();
    sp_training *x = r->result;
    while (x->epochs < r->config->epochs) {
        if (!train_epoch(r))
            return false;
        x->interrupted = stopped(r);
        x->epochs += !x->interrupted;
        sp_optimizer_swap(r->optimizer);        /* the averages, if there are any, are the model */
        bool ok = validate(r) && keep_best(r);
        sp_optimizer_swap(r->optimizer);
        if (!ok)
            return false;
        sp_optimizer_validated(r->optimizer, x->valid_loss);
        x->seconds = sp_seconds() - began;
        if (x->interrupted)
            return true;
        if (!write_log(r))
            return false;
        tell(r);
    }
    return true;
}

int sp_trainer_shards(long batch)
{
    return batch >= 256 ? SP_MOST_SHARDS : batch >= 128 ? 4 : batch >= 32 ? 2 : 1;
}

bool sp_train(const sp_task *task, const sp_trainer_config *config, sp_training *result, sp_status *status)
{
    struct trainer r = { .task = task, .config = config, .result = result, .status = status };
    bool ok = true;
    *result = (sp_training){ .train_loss = NAN, .valid_loss = NAN, .best_loss = NAN };
    if (config->log && !(r.log = fopen(config->log, "w")))
        ok = sp_fail(status, SP_ERR_FILE, "%s: cannot be written: %s", config->log, strerror(errno));
    if (ok) {
        r.parallel = sp_parallel_new(task->store, task->shards, config->threads);
        sp_parallel_set_profile(r.parallel, config->profile);
        for (int i = 0; i < task->shards; i++)
            sp_tape_set_budget(sp_parallel_tape(r.parallel, i), config->budget);
        r.optimizer = sp_optimizer_new(task->store, config->optimizer, config->lr, status);
        ok = r.optimizer && (r.parallel || sp_fail(status, SP_ERR_MEMORY, "training: out of memory")) && run(&r);
    }
    if (r.log && fclose(r.log) && ok)
        ok = sp_fail(status, SP_ERR_FILE, "%s: writing failed: %s", config->log, strerror(errno));
    sp_optimizer_free(r.optimizer);
    sp_parallel_free(r.parallel);
    return ok;
}
