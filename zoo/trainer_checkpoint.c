/* Checkpoints of a training: parameters, optimizer and carried states are tensors, the rest is metadata. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autograd/file.h"
#include "autograd/timing.h"
#include "zoo/trainer_inside.h"

static const char version[] = "3";      /* a change that old checkpoints do not survive raises it */

/* ---- carried numbers ------------------------------------------------------------------------------------------- */

static void copy_carried(struct trainer *r, bool back)
{
    long size;
    for (int i = 0, n = sp_store_count(r->carried) - 1; i < n; i++) {
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

static void swap_numbers(long n, sp_real *x, sp_real *y)
{
    for (long i = 0; i < n; i++) {
        const sp_real kept = x[i];
        x[i] = y[i];
        y[i] = kept;
    }
}

/* ---- what is in it ---------------------------------------------------------------------------------------------- */

/* All that decides how training goes on. */
static sp_report *settings(const struct trainer *r)
{
    const sp_trainer_config *c = r->config;
    sp_report *s = sp_report_new();
    if (r->task->describe)
        r->task->describe(r->task->self, s);
    sp_report_count(s, "bits", 8 * (long)sizeof(sp_real));
    sp_report_text(s, "optimizer", c->optimizer);
    sp_report_number(s, "lr", c->lr);
    sp_report_number(s, "clip", c->clip);
    sp_report_text(s, "schedule", c->schedule ? c->schedule : "constant");
    sp_report_count(s, "warmup", c->warmup);
    sp_report_number(s, "decay", c->decay);
    sp_report_count(s, "plateau", c->plateau);
    sp_report_count(s, "epochs of the schedule", sp_schedule_ends(c->schedule) ? c->epochs : 0);
    sp_report_number(s, "average", c->average);
    sp_report_count(s, "accumulate", c->accumulate);
    sp_report_text(s, "metric", c->metric ? c->metric : "loss");
    sp_report_count(s, "seed", c->seed);
    sp_report_count(s, "shards", r->task->shards);
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

/* FILE, or what it links to; FILE.old, FILE.new. */
struct paths {
    char now[PATH_MAX], old[PATH_MAX + 8], new[PATH_MAX + 8];
};

static void find_paths(const char *checkpoint, struct paths *p)
{
    struct stat link;
    if (lstat(checkpoint, &link) || !S_ISLNK(link.st_mode) || !realpath(checkpoint, p->now))
        snprintf(p->now, sizeof p->now, "%s", checkpoint);
    snprintf(p->old, sizeof p->old, "%s.old", p->now);
    snprintf(p->new, sizeof p->new, "%s.new", p->now);
}

bool sp_trainer_check_checkpoint(const sp_trainer_config *c, sp_status *status)
{
    struct stat file;
    if (!c->checkpoint && c->resume)
        return sp_fail(status, SP_ERR_VALUE, "training: there is no checkpoint to resume from");
    if (!c->checkpoint && c->every)
        return sp_fail(status, SP_ERR_VALUE, "training: every %ld: there is no checkpoint to write", c->every);
    if (!c->checkpoint)
        return true;
    const bool there = !stat(c->checkpoint, &file);
    if (there && !S_ISREG(file.st_mode) && !S_ISDIR(file.st_mode))
        return sp_fail(status, SP_ERR_FILE, "%s: is no file, and a checkpoint must be one", c->checkpoint);
    if (!sp_file_writable(c->checkpoint, status))
        return false;
    return !there || c->resume
           || sp_fail(status, SP_ERR_FILE, "%s: is there already: resume goes on from it, remove it to begin anew", c->checkpoint);
}

static bool move(struct trainer *r, const char *from, const char *to)
{
    return !rename(from, to) || sp_fail(r->status, SP_ERR_FILE, "%s: cannot be moved to %s: %s", from, to, strerror(errno));
}

/* FILE.old becomes FILE, which stays what it is; where a file cannot have two names, it is moved. */
static bool keep_old(struct trainer *r, const struct paths *p)
{
    if (r->damaged || access(p->now, F_OK))
        return true;
    unlink(p->old);
    return !link(p->now, p->old) || move(r, p->now, p->old);
}

/* FILE.new is written whole, then FILE.old becomes FILE, and FILE FILE.new: there always is a FILE. */
bool sp_trainer_save(struct trainer *r)
{
    struct paths p;
    char place[SP_NUMBERS_TEXT(NUMBERS)];
    find_paths(r->config->checkpoint, &p);
    r->result->seconds = sp_seconds() - r->began;
    sp_report *s = settings(r);
    char *text = sp_report_string(s, 17);
    bool ok = sp_trainer_sound(r) && (text || sp_fail(r->status, SP_ERR_MEMORY, "%s: out of memory", p.now));
    place_to_text(r, place);
    sp_trainer_remember(r);
    const sp_metadata all[] = {
        { "training", version }, { "training.settings", text }, { "training.place", place },
        { "training.log", r->lines ? r->lines : "" },
    };
    ok = ok && sp_optimizer_save(r->optimizer, r->carried, p.new, sizeof all / sizeof *all, all, r->status)
         && keep_old(r, &p) && move(r, p.new, p.now);
    if (ok)
        r->damaged = false;
    sp_report_free(s);
    free(text);
    return ok;
}

/* What a file has, all of it. */
static bool take(struct trainer *r, const sp_safetensors *f, sp_status *status)
{
    const char *path = sp_safetensors_path(f), *lines = sp_safetensors_get(f, "training.log");
    sp_status differs = { 0 };
    sp_report *s = settings(r);
    bool ok = sp_report_equals(s, sp_safetensors_get(f, "training.settings"), &differs);
    if (!ok)
        sp_fail(status, differs.code, "%s: %s%s", path, differs.code == SP_ERR_VALUE ? "is of another training: " : "", differs.message);
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
    return ok;
}

/* *damaged: its bytes are not those that were written. */
static bool load_from(struct trainer *r, const char *path, bool *damaged, sp_status *status)
{
    sp_status why = { 0 };
    sp_safetensors *f = sp_safetensors_open(path, &why);
    const char *of = sp_safetensors_get(f, "training");
    if (f && (!of || strcmp(of, version)))
        sp_fail(&why, SP_ERR_VALUE, "%s: is no checkpoint of a training of version %s, but of %s", path, version, of ? of : "none");
    else if (f && !sp_safetensors_sealed(f))
        sp_fail(&why, SP_ERR_FORMAT, "%s: is damaged: its checksum is gone", path);
    *damaged = why.code == SP_ERR_FORMAT;
    const bool ok = !why.code && take(r, f, &why);
    sp_safetensors_free(f);
    return ok || sp_fail_with(status, &why);
}

static void tell(const struct trainer *r, const char *path, const char *why)
{
    if (r->config->progress)
        fprintf(r->config->progress, "%s%sgoing on from %s, epoch %ld, step %ld\n", why, *why ? "; " : "", path,
                r->result->epochs + 1, r->steps + 1);
}

/* Of a file that cannot be used: can it have been a checkpoint? It is gone, or empty, or it begins as one or with zeros. */
static bool was_checkpoint(const char *path)
{
    char head[9] = { 0 };
    FILE *f = fopen(path, "rb");
    if (!f)
        return errno == ENOENT;
    const size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    for (size_t i = 4; i < n; i++)
        if (head[i] && (i < 8 || head[i] != '{'))
            return false;
    return true;
}

/* The best model again, whatever has become of its file. */
static bool restore_model(struct trainer *r)
{
    sp_real *best = sp_param_values(r->best), *now = sp_store_values(r->task->store);
    const long n = sp_store_size(r->task->store);
    if (!r->result->saved)
        return true;
    swap_numbers(n, best, now);
    const bool ok = r->task->save(r->task->self, r->status);
    swap_numbers(n, best, now);
    return ok;
}

bool sp_trainer_load(struct trainer *r)
{
    struct paths p;
    sp_status newest = { 0 }, older = { 0 };
    find_paths(r->config->checkpoint, &p);
    bool nothing;
    const bool there = !access(p.now, F_OK), old = !access(p.old, F_OK);
    if (!there && !old)
        return true;
    const bool good = load_from(r, p.now, &r->damaged, &newest);
    r->damaged = r->damaged || !there;
    if (!good && !r->damaged)
        return sp_fail_with(r->status, &newest);
    if (!good && !was_checkpoint(p.now))
        return sp_fail(r->status, SP_ERR_FILE, "%s; it is another file, and so left as it is", newest.message);
    if (!good && !old)
        return sp_fail(r->status, newest.code, "%.300s; and there is no %s (without both, training begins anew)", newest.message, p.old);
    if (!good && !load_from(r, p.old, &nothing, &older))
        return sp_fail(r->status, older.code, "%.240s; and %.240s", newest.message, older.message);
    tell(r, good ? p.now : p.old, newest.message);
    return restore_model(r);
}
