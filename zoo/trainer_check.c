/* The settings of a training: what is wrong with them, and the schedule that they mean. */
#include <math.h>
#include <string.h>

#include "autograd/file.h"
#include "zoo/trainer_inside.h"

static bool is(const char *schedule, const char *kind)
{
    return schedule && !strcmp(schedule, kind);
}

sp_schedule sp_trainer_schedule(const sp_trainer_config *c, long per_epoch)
{
    sp_schedule s = sp_schedule_of(c->schedule);
    const double decay = c->decay > 0 ? c->decay : 0.5;
    s.warmup = c->warmup;
    if (sp_schedule_ends(c->schedule))
        s.total_steps = per_epoch * c->epochs;
    if (is(c->schedule, "step")) {
        s.step_size = per_epoch;
        s.gamma = decay;
    } else if (is(c->schedule, "exponential")) {
        s.gamma = pow(decay, 1 / (double)per_epoch);
    } else if (is(c->schedule, "plateau")) {
        s.factor = decay;
        s.patience = c->plateau;
    }
    return s;
}

/* Each row has its bounds, but zeros are allowed where they mean something. */
static bool check_rows(const sp_trainer_config *config, sp_status *status)
{
    sp_trainer_config c = *config;
    const sp_trainer_config usual = sp_trainer_defaults();
    const sp_option rows[] = { SP_TRAINER_OPTIONS(&c), { 0 } };
    char name[64], given[32];
    c.decay = c.decay == 0 ? usual.decay : c.decay;
    c.accumulate = c.accumulate == 0 ? 1 : c.accumulate;
    c.threads = c.threads == 0 ? 1 : c.threads;
    for (const sp_option *o = rows; o->name; o++) {
        snprintf(name, sizeof name, "training: %s", o->name);
        if (o->kind == SP_OPTION_WHOLE)
            snprintf(given, sizeof given, "%ld", *(const long *)o->value);
        else if (o->kind == SP_OPTION_NUMBER)
            snprintf(given, sizeof given, "%g", *(const double *)o->value);
        else
            continue;
        if (!sp_option_check(o, name, given, status))
            return false;
    }
    return true;
}

/* The schedule, and that nothing is set which it does not have. */
static bool check_schedule(const sp_trainer_config *c, sp_status *status)
{
    const sp_trainer_config usual = sp_trainer_defaults();
    const bool plateau = is(c->schedule, "plateau"), decays = plateau || is(c->schedule, "step") || is(c->schedule, "exponential");
    sp_schedule s = sp_trainer_schedule(c, 1);
    s.total_steps = sp_schedule_ends(c->schedule) ? c->warmup + 1 : 0;      /* how many there are is not known yet */
    if (!decays && c->decay != 0 && c->decay != usual.decay)
        return sp_fail(status, SP_ERR_VALUE, "training: decay %g: the schedule '%s' has none, but step, exponential and plateau",
                       c->decay, s.kind ? s.kind : "constant");
    if (!plateau && c->plateau != 0 && c->plateau != usual.plateau)
        return sp_fail(status, SP_ERR_VALUE, "training: plateau %ld: the schedule is not plateau, but '%s'", c->plateau,
                       s.kind ? s.kind : "constant");
    if (plateau && c->decay >= 1)
        return sp_fail(status, SP_ERR_VALUE, "training: decay %g: plateau lowers the rate by a factor below 1", c->decay);
    return sp_schedule_check(&s, status);
}

bool sp_trainer_check(const sp_trainer_config *c, sp_status *status)
{
    const char *const files[] = { c->log, c->plot };
    if (!check_rows(c, status) || !check_schedule(c, status) || !sp_trainer_check_checkpoint(c, status))
        return false;
    for (int i = 0; i < 2; i++)
        if (files[i] && !sp_file_writable(files[i], status))
            return false;
    return true;
}
