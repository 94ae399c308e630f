#include "nn/schedule.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* From a at x = 0 to b at x = 1, level at both ends. */
static double half_cosine(double a, double b, double x)
{
    return b + (a - b) * (1 + cos(pi * x)) / 2;
}

static double flat(const sp_schedule *s, double j)
{
    (void)s, (void)j;
    return 1;
}

/* j / n, no more than 1 */
static double progress(const sp_schedule *s, double j)
{
    return fmin(j / (double)(s->total_steps - s->warmup), 1);
}

static double linear(const sp_schedule *s, double j)
{
    return 1 + (s->end_factor - 1) * progress(s, j);
}

static double stairs(const sp_schedule *s, double j)
{
    return pow(s->gamma, floor(j / (double)s->step_size));
}

static double exponential(const sp_schedule *s, double j)
{
    return pow(s->gamma, j);
}

static double cosine(const sp_schedule *s, double j)
{
    return half_cosine(1, s->end_factor, progress(s, j));
}

static double inverse_sqrt(const sp_schedule *s, double j)
{
    return 1 / sqrt(1 + j / (double)(s->warmup > 0 ? s->warmup : 1));
}

static double one_cycle(const sp_schedule *s, double j)
{
    const double last = (double)s->total_steps - 1, top = s->pct_start * (double)s->total_steps - 1;
    if (top > 0 && j <= top)
        return half_cosine(1 / s->div_factor, 1, j / top);
    return half_cosine(1, 1 / (s->div_factor * s->final_div_factor), j < last ? (j - top) / (last - top) : 1);
}

static const struct kind {
    const char *name;
    double (*at)(const sp_schedule *s, double j);
    bool ends;                          /* it needs total_steps */
} kinds[] = {
    { "constant", flat, false },
    { "linear", linear, true },
    { "step", stairs, false },
    { "exponential", exponential, false },
    { "cosine", cosine, true },
    { "inverse_sqrt", inverse_sqrt, false },
    { "one_cycle", one_cycle, true },
    { "plateau", flat, false },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *find(const sp_schedule *s)
{
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i].name, s->kind ? s->kind : "constant"))
            return &kinds[i];
    return NULL;
}

bool sp_schedule_ends(const char *kind)
{
    const struct kind *k = find(&(sp_schedule){ .kind = kind });
    return k && k->ends;
}

sp_schedule sp_schedule_of(const char *kind)
{
    return (sp_schedule){ .kind = kind, .start_factor = 1.0 / 3, .gamma = 0.1, .step_size = 1, .pct_start = 0.3,
                          .div_factor = 25, .final_div_factor = 1e4, .factor = 0.1, .threshold = 1e-4, .patience = 10 };
}

/* Every setting has a range, whether the kind uses it or not. */
static bool in_range(const sp_schedule *s, sp_status *status)
{
    const struct { const char *name; double value, least, most; } settings[] = {
        { "warmup", (double)s->warmup, 0, 1e15 },
        { "total_steps", (double)s->total_steps, 0, 1e15 },
        { "start_factor", s->start_factor, 0, 1 },
        { "end_factor", s->end_factor, 0, 1 },
        { "gamma", s->gamma, 0, 1e3 },
        { "step_size", (double)s->step_size, 1, 1e15 },
        { "pct_start", s->pct_start, 0, 1 - 1e-9 },
        { "div_factor", s->div_factor, 1, 1e15 },
        { "final_div_factor", s->final_div_factor, 1, 1e15 },
        { "factor", s->factor, 0, 1 - 1e-9 },
        { "threshold", s->threshold, 0, 1 },
        { "patience", (double)s->patience, 0, 1e15 },
        { "cooldown", (double)s->cooldown, 0, 1e15 },
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (!(settings[i].value >= settings[i].least && settings[i].value <= settings[i].most))
            return sp_fail(status, SP_ERR_VALUE, "schedule: %s is %g, not from %g to %g", settings[i].name,
                           settings[i].value, settings[i].least, settings[i].most);
    return true;
}

bool sp_schedule_check(const sp_schedule *s, sp_status *status)
{
    if (!s)
        return sp_fail(status, SP_ERR_VALUE, "schedule: NULL");
    const struct kind *kind = find(s);
    if (!kind) {
        char names[128] = "";
        for (int i = 0; i < KINDS; i++)
            strcat(strcat(names, " "), kinds[i].name);
        return sp_fail(status, SP_ERR_VALUE, "schedule '%s' is none of:%s", s->kind, names);
    }
    if (!in_range(s, status))
        return false;
    if (kind->ends && s->total_steps <= s->warmup)
        return sp_fail(status, SP_ERR_VALUE, "schedule '%s': total_steps is %ld, not over the %ld of warmup", kind->name,
                       s->total_steps, s->warmup);
    if (kind->at == one_cycle && s->warmup > 0)
        return sp_fail(status, SP_ERR_VALUE, "schedule 'one_cycle' has a warm-up of its own, pct_start: warmup is %ld, not 0",
                       s->warmup);
    return true;
}

double sp_schedule_at(const sp_schedule *s, long step)
{
    if (!sp_schedule_check(s, NULL) || step < 0)
        return NAN;
    if (step < s->warmup)
        return s->start_factor + (1 - s->start_factor) * (double)step / (double)s->warmup;
    return find(s)->at(s, (double)(step - s->warmup));
}
