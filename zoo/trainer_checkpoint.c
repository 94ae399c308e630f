/* Checkpoints of a training: parameters, optimizer and carried states are tensors, the rest is metadata. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/timing.h"
#include "zoo/trainer_inside.h"

static const char version[] = "1";      /* a change that old checkpoints do not survive raises it */

/* ---- carried numbers ------------------------------------------------------------------------------------------- */

static void copy_carried(struct trainer *r, bool back)
{
    long size;
    for (int i = 0; i < sp_store_count(r->carried); i++) {
        sp_real *block = r->task->carried(r->task->self, i, &size), *kept = sp_param_values(sp_store_at(r->carried, i));
        memcpy(back ? block : kept, back ? kept : block, (size_t)size * sizeof *block);
    }
}

void sp_trainer_remember(struct trainer *r)
{
    copy_carried(r, false);
}

void sp_trainer_recall(struct trainer *r)
{
    copy_carried(r, true);
}

/* ---- what is in it ---------------------------------------------------------------------------------------------- */

/* All that decides how training goes on. */
static sp_report *settings(const struct trainer *r)
{
    const sp_trainer_config *c = r->config;
    sp_report *s = sp_report_new();
    sp_report_count(s, "bits", 8 * (long)sizeof(sp_real));
    sp_report_text(s, "optimizer", c->optimizer);
    sp_report_number(s, "lr", c->lr);
    sp_report_number(s, "clip", c->clip);
    sp_report_text(s, "schedule", c->schedule ? c->schedule : "constant");
    sp_report_count(s, "warmup", c->warmup);
    sp_report_number(s, "decay", c->decay);
    sp_report_count(s, "plateau", c->plateau);
    sp_report_count(s, "epochs", sp_schedule_ends(c->schedule) ? c->epochs : 0);
    sp_report_number(s, "average", c->average);
    sp_report_count(s, "accumulate", c->accumulate);
    sp_report_text(s, "metric", c->metric ? c->metric : "loss");
    sp_report_count(s, "seed", c->seed);
    sp_report_count(s, "shards", r->task->shards);
    if (r->task->describe)
        r->task->describe(r->task->self, s);
    return s;
}

/* Where training is, as numbers: one list for the way out and the way in, counts first. */
#define COUNTS(X) X(result->epochs) X(result->best_epoch) X(result->saved) X(next) X(steps) X(batches) X(per_epoch) X(waited)
#define PLACE(X) COUNTS(X) X(result->train_loss) X(result->valid_loss) X(result->metric) X(result->best_loss) \
    X(result->best_metric) X(result->tokens_per_s) X(result->seconds) X(sum) X(tokens)
#define ONE(field) + 1
#define OUT(field) (double)r->field,
#define IN(field) r->field = *x++;

enum { NUMBERS = 0 PLACE(ONE) };

static void place_to_text(const struct trainer *r, char text[SP_NUMBERS_TEXT(NUMBERS)])
{
    const double x[NUMBERS] = { PLACE(OUT) };
    sp_numbers_write(text, NUMBERS, x);
}

static bool place_from_text(struct trainer *r, const char *text)
{
    double number[NUMBERS], *x = number;
    bool ok = sp_numbers_read(text, NUMBERS, number);
    for (int i = 0; ok && i < 0 COUNTS(ONE); i++)
        ok = number[i] >= 0 && number[i] < 1e15;
    if (ok) {
        PLACE(IN)
    }
    return ok;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static char *with_suffix(const struct trainer *r, const char *suffix)
{
    const char *path = r->config->checkpoint;
    char *text = malloc(strlen(path) + strlen(suffix) + 1);
    if (text)
        strcat(strcpy(text, path), suffix);
    else
        sp_fail(r->status, SP_ERR_MEMORY, "%s: out of memory", path);
    return text;
}

static bool move(struct trainer *r, const char *from, const char *to)
{
    return !rename(from, to) || sp_fail(r->status, SP_ERR_FILE, "%s: cannot be moved to %s: %s", from, to, strerror(errno));
}

/* FILE.new is written whole, then FILE becomes FILE.old, and FILE.new FILE. */
bool sp_trainer_save(struct trainer *r)
{
    const char *path = r->config->checkpoint;
    char place[SP_NUMBERS_TEXT(NUMBERS)], *new = with_suffix(r, ".new"), *old = with_suffix(r, ".old");
    r->result->seconds = sp_seconds() - r->began;
    sp_report *s = settings(r);
    char *text = sp_report_string(s, 17);
    bool ok = new && old && sp_trainer_sound(r) && (text || sp_fail(r->status, SP_ERR_MEMORY, "%s: out of memory", path));
    place_to_text(r, place);
    sp_trainer_remember(r);
    const sp_metadata all[] = {
        { "training", version }, { "training.settings", text }, { "training.place", place },
        { "training.log", r->lines ? r->lines : "" },
    };
    ok = ok && sp_optimizer_save(r->optimizer, r->carried, new, sizeof all / sizeof *all, all, r->status)
         && (r->damaged || access(path, F_OK) || move(r, path, old)) && move(r, new, path);
    if (ok)
        r->damaged = false;
    sp_report_free(s);
    free(text);
    free(new);
    free(old);
    return ok;
}

/* SP_ERR_FORMAT and SP_ERR_FILE: it is damaged; another error: it is of another training. */
static bool load_from(struct trainer *r, const char *path, sp_status *status)
{
    char difference[SP_DIFFERENCE_TEXT];
    sp_safetensors *f = sp_safetensors_open(path, status);
    const char *found = sp_safetensors_get(f, "training"), *lines = sp_safetensors_get(f, "training.log");
    sp_report *s = settings(r);
    bool ok = f;
    if (ok && (!found || strcmp(found, version)))
        ok = sp_fail(status, SP_ERR_VALUE, "%s: is no checkpoint of a training of version %s, but of %s", path, version,
                     found ? found : "none");
    if (ok && !sp_report_equals(s, sp_safetensors_get(f, "training.settings"), difference))
        ok = sp_fail(status, SP_ERR_VALUE, "%s: is of another training: %s", path, difference);
    r->lines = ok && lines ? strdup(lines) : NULL;
    ok = ok && (r->lines || sp_fail(status, SP_ERR_MEMORY, "%s: out of memory, or without a log", path))
         && sp_optimizer_load(r->optimizer, r->carried, f, status)
         && (place_from_text(r, sp_safetensors_get(f, "training.place"))
             || sp_fail(status, SP_ERR_FORMAT, "%s: does not say where training is", path));
    if (!ok) {
        free(r->lines);
        r->lines = NULL;
    }
    sp_report_free(s);
    sp_safetensors_free(f);
    return ok;
}

static void tell(const struct trainer *r, const char *path, const char *why)
{
    if (r->config->progress)
        fprintf(r->config->progress, "%s%sgoing on from %s, epoch %ld, step %ld\n", why, *why ? "; " : "", path,
                r->result->epochs + 1, r->steps + 1);
}

bool sp_trainer_load(struct trainer *r)
{
    const char *path = r->config->checkpoint;
    sp_status newest = { 0 };
    char *old = with_suffix(r, ".old");
    bool ok = old;
    if (ok && (!access(path, F_OK) || !access(old, F_OK))) {
        const bool good = load_from(r, path, &newest);
        r->damaged = newest.code == SP_ERR_FORMAT || newest.code == SP_ERR_FILE;
        if (!good && (!r->damaged || access(old, F_OK)))
            ok = sp_fail_with(r->status, &newest);
        else
            ok = good || load_from(r, old, r->status);
        if (ok)
            tell(r, good ? path : old, newest.message);
    }
    free(old);
    return ok;
}
