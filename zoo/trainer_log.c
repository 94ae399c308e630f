/* What a training leaves for people: a line an epoch in the log and on the terminal, a picture of them all. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/timing.h"
#include "zoo/plot.h"
#include "zoo/progress.h"
#include "zoo/trainer_inside.h"

bool sp_trainer_log(struct trainer *r)
{
    const sp_training *x = r->result;
    sp_report *line = sp_report_new();
    sp_report_count(line, "epoch", x->epochs);
    sp_report_number(line, "train_loss", x->train_loss);
    sp_report_number(line, "valid_loss", x->valid_loss);
    if (r->task->measure)
        sp_report_number(line, r->task->metric, x->metric);
    sp_report_number(line, "lr", sp_learning_rate(r->optimizer));
    sp_report_number(line, "tokens_per_s", x->tokens_per_s);
    sp_report_number(line, "seconds", x->seconds);
    char *text = sp_report_string(line, 6);
    const size_t old = r->lines ? strlen(r->lines) : 0;
    char *all = text ? realloc(r->lines, old + strlen(text) + 2) : NULL;
    bool ok = all || sp_fail(r->status, SP_ERR_MEMORY, "training: out of memory for the log");
    if (all) {
        r->lines = all;
        sprintf(all + old, "%s\n", text);
    }
    if (ok && r->log && (fputs(all + old, r->log) < 0 || fflush(r->log)))
        ok = sp_fail(r->status, SP_ERR_FILE, "%s: writing failed: %s", r->config->log, strerror(errno));
    free(text);
    sp_report_free(line);
    return ok;
}

bool sp_trainer_draw(struct trainer *r, bool last)
{
    enum { SECONDS = 10 };
    char note[SP_PLOT_NOTE];
    bool drawn;
    if (!r->config->plot || !r->lines || (!last && sp_seconds() - r->drawn < SECONDS))
        return true;
    r->drawn = sp_seconds();
    if (!sp_plot_log(r->lines, r->task->measure ? r->task->metric : NULL, r->config->plot, &drawn, note, r->status))
        return false;
    if (!drawn && last && r->config->progress)
        fprintf(r->config->progress, "%s: %s\n", r->config->plot, note);
    return true;
}

void sp_trainer_tell(const struct trainer *r)
{
    char rate[32], metric[64] = "";
    const sp_training *x = r->result;
    const char *unit = r->task->unit ? r->task->unit : "symbol";
    if (r->task->measure)
        snprintf(metric, sizeof metric, ", %.32s %.4g", r->task->metric, x->metric);
    if (r->config->progress)
        fprintf(r->config->progress, "epoch %ld/%ld: train %.3f, valid %.3f nats per %s%s, %s %ss/s, %.0f s%s\n",
                x->epochs, r->config->epochs, x->train_loss, x->valid_loss, unit, metric,
                sp_thousands(rate, (long)x->tokens_per_s), unit, x->seconds, x->best_epoch == x->epochs ? ", saved" : "");
}
