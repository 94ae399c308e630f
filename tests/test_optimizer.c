/* Optimizers and schedules beside PyTorch's numbers (tests/golden/make.py wrote them), and what is theirs alone: groups,
   averages, checkpoints, errors. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/optimizer.h"
#include "tests/golden.h"
#include "tests/suite.h"

static const char *const kinds[] = { "sgd", "nt-asgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw" };
static const char *const schedules[] = { "constant", "linear", "step", "exponential", "cosine", "inverse_sqrt", "one_cycle",
                                         "plateau" };

enum { KINDS = sizeof kinds / sizeof *kinds, SCHEDULES = sizeof schedules / sizeof *schedules };

/* ---- golden numbers -------------------------------------------------------------------------------------------- */

enum { STEPS = 20, RATES = 50, WEIGHT = 4, BIAS = 2, ALL = WEIGHT + BIAS };

enum type { REAL, WHOLE, FLAG, COUNT };

#define SETTING(type, name)   { #name, type, offsetof(sp_optimizer, name) }
#define SCHEDULED(type, name) { #name, type, offsetof(sp_optimizer, schedule) + offsetof(sp_schedule, name) }

/* What a file may set. */
static const struct {
    const char *name;
    enum type type;
    size_t at;
} settings[] = {
    SETTING(REAL, weight_decay), SETTING(REAL, momentum), SETTING(FLAG, nesterov), SETTING(REAL, beta1), SETTING(REAL, beta2),
    SETTING(REAL, alpha), SETTING(FLAG, centered), SETTING(REAL, rho), SETTING(REAL, lr_decay), SETTING(REAL, epsilon),
    SETTING(COUNT, nonmono),
    SCHEDULED(WHOLE, warmup), SCHEDULED(WHOLE, total_steps), SCHEDULED(REAL, start_factor), SCHEDULED(REAL, end_factor),
    SCHEDULED(REAL, gamma), SCHEDULED(WHOLE, step_size), SCHEDULED(REAL, pct_start), SCHEDULED(REAL, div_factor),
    SCHEDULED(REAL, final_div_factor), SCHEDULED(REAL, factor), SCHEDULED(REAL, threshold), SCHEDULED(WHOLE, patience),
    SCHEDULED(WHOLE, cooldown),
};

static void set(sp_optimizer *o, const struct golden *g)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        void *at = (char *)o + settings[i].at;
        if (!golden_text(g, settings[i].name))
            continue;
        const double x = golden_number(g, settings[i].name);
        switch (settings[i].type) {
        case REAL:  *(double *)at = x; break;
        case WHOLE: *(long *)at = (long)x; break;
        case FLAG:  *(bool *)at = x > 0; break;
        case COUNT: *(int *)at = (int)x; break;
        }
    }
}

/* Within 2e-5 of the largest of the row: 20 steps of float32, each a few roundings. The files have 24 bits. */
static void compare(const char *name, const char *what, int step, const sp_real *have, const sp_real *want, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs((double)want[i]));
    for (int i = 0; i < n; i++)
        ck_each(fabs((double)have[i] - (double)want[i]) <= WIDE(2e-7, 2e-5) * most, "%s: step %d: %s[%d] is %.8g, not %.8g",
                name, step + 1, what, i, (double)have[i], (double)want[i]);
}

static sp_store *two(void)
{
    sp_store *s = sp_store_new(1);
    sp_store_add(s, SP_SHAPE(WEIGHT), "cell.weight");
    sp_store_add(s, SP_SHAPE(BIAS), "cell.bias");
    return s;
}

/* Parameters of `two` to one array and back. */
static void gather(sp_real out[ALL], const sp_store *s)
{
    memcpy(out, sp_param_read(sp_store_at(s, 0)), WEIGHT * sizeof *out);
    memcpy(out + WEIGHT, sp_param_read(sp_store_at(s, 1)), BIAS * sizeof *out);
}

static void scatter(sp_store *s, const sp_real in[ALL])
{
    memcpy(sp_param_values(sp_store_at(s, 0)), in, WEIGHT * sizeof *in);
    memcpy(sp_param_values(sp_store_at(s, 1)), in + WEIGHT, BIAS * sizeof *in);
}

/* g = scale (x - target) + noise, set on the tape. */
static void descend(sp_optimizer *o, sp_tape *t, const sp_real *scale, const sp_real *target, const sp_real *noise)
{
    const sp_store *s = sp_tape_store(t);
    sp_real x[ALL], *g = sp_gradients(t);
    gather(x, s);
    for (int i = 0; i < ALL; i++) {
        const sp_param *p = sp_store_at(s, i >= WEIGHT);
        g[p->offset + (i < WEIGHT ? i : i - WEIGHT)] = scale[i] * (x[i] - target[i]) + noise[i];
    }
    sp_step(o, t);
    ck_tape_ok(t);
}

/* Between parameters, and behind them. */
static void check_gaps(sp_store *s)
{
    const sp_real *x = sp_store_values(s);
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i), *next = sp_store_at(s, i + 1);
        for (long k = p->offset + sp_shape_size(p->shape); k < (next ? next->offset : sp_store_size(s)); k++)
            ck_each(x[k] == 0, "the gap at %ld is %g", k, (double)x[k]);
    }
}

/* A row of a tensor [STEPS,ALL]. */
static void same_row(struct golden *g, const char *name, int row, const sp_real *have, int n)
{
    compare(golden_name(g), name, row, have, golden_numbers(g, name) + row * n, n);
}

static bool met[KINDS + SCHEDULES];

/* Marks what the file is of, which it says under key. */
static const char *kind_of(const struct golden *g, const char *key, bool *marks, const char *const *names, int n)
{
    const char *kind = golden_text(g, key);
    for (int i = 0; kind && i < n; i++)
        marks[i] = marks[i] || !strcmp(names[i], kind);
    return kind;
}

static void read_optimizer(struct golden *g)
{
    sp_status status = { 0 };
    sp_store *s = two();
    const sp_real *scale = golden_numbers(g, "scale"), *target = golden_numbers(g, "target");
    sp_optimizer *o = sp_optimizer_new(s, kind_of(g, "optimizer", met, kinds, KINDS), golden_number(g, "lr"), &status);
    ck_assert_msg(o != NULL, "%s", status.message);
    set(o, g);
    if (golden_text(g, "lr_factor"))
        ck_assert(sp_optimizer_group(o, "*.bias", golden_number(g, "lr_factor"), golden_number(g, "decay_factor"), &status));
    scatter(s, golden_numbers(g, "start"));
    if (golden_text(g, "average"))
        ck_assert(sp_optimizer_average(o, golden_number(g, "average"), &status));
    sp_tape *t = sp_tape_new(s);
    for (int k = 0; k < STEPS; k++) {
        sp_real x[ALL];
        descend(o, t, scale, target, golden_numbers(g, "noise") + k * ALL);
        gather(x, s);
        same_row(g, "x", k, x, ALL);
        check_gaps(s);
        sp_optimizer_validated(o, (double)golden_numbers(g, "loss")[k]);
        sp_optimizer_swap(o);
        gather(x, s);
        same_row(g, "mean", k, x, ALL);
        check_gaps(s);
        sp_optimizer_swap(o);
    }
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
}

static void read_schedule(struct golden *g)
{
    sp_status status = { 0 };
    sp_store *s = two();
    sp_optimizer *o = sp_optimizer_new(s, "sgd", 1, &status);
    sp_tape *t = sp_tape_new(s);
    o->schedule.kind = kind_of(g, "schedule", met + KINDS, schedules, SCHEDULES);
    set(o, g);
    for (int k = 0; k < RATES; k++) {
        const sp_real have = (sp_real)sp_learning_rate(o);
        same_row(g, "rate", k, &have, 1);
        sp_step(o, t);
        ck_tape_ok(t);
        sp_optimizer_validated(o, (double)golden_numbers(g, "loss")[k]);
    }
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
}

START_TEST(golden)
{
    memset(met, 0, sizeof met);
    golden_each("optimizer", (const struct golden_reader[]){ { "optimizer", read_optimizer }, { "schedule", read_schedule },
                                                             { 0 } });
    for (int i = 0; i < KINDS + SCHEDULES; i++)
        ck_assert_msg(met[i], "no file is of %s", i < KINDS ? kinds[i] : schedules[i - KINDS]);
}
END_TEST

/* ---- checkpoints ----------------------------------------------------------------------------------------------- */

static char path[PATH_ROOM];

static void begin(void)
{
    ck_new_file(path);
}

static void end(void)
{
    remove(path);
}

static sp_optimizer *equipped(sp_store *s, const char *kind)
{
    sp_optimizer *o = sp_optimizer_new(s, kind, 0.05, NULL);
    o->momentum = 0.5;
    o->weight_decay = 0.01;
    o->centered = true;
    o->nonmono = 3;
    o->schedule.kind = "plateau";
    o->schedule.warmup = 4;
    o->schedule.patience = 2;
    o->schedule.cooldown = 1;
    ck_assert(sp_optimizer_group(o, "*.bias", 0.5, 0, NULL));
    if (strcmp(kind, "nt-asgd"))
        ck_assert(sp_optimizer_average(o, 0.8, NULL));
    return o;
}

/* Steps first to last with losses that rise and fall; the weights, averages and rate after each go to seen. */
static void train(sp_optimizer *o, sp_store *s, int first, int last, sp_real seen[][2 * ALL + 1])
{
    static const sp_real scale[ALL] = { 1, 2, 1, (sp_real)0.5, 1, 3 }, target[ALL] = { 1, -1, 2, 0, (sp_real)0.5, 1 };
    sp_tape *t = sp_tape_new(s);
    for (int k = first; k < last; k++) {
        sp_real noise[ALL];
        sp_random_normal((sp_key){ .place = (uint64_t)k }, ALL, noise, 0, 1);
        descend(o, t, scale, target, noise);
        sp_optimizer_validated(o, 3 + cos(k));
        gather(seen[k], s);
        sp_optimizer_swap(o);
        gather(seen[k] + ALL, s);
        sp_optimizer_swap(o);
        seen[k][2 * ALL] = (sp_real)sp_learning_rate(o);
    }
    sp_tape_free(t);
}

START_TEST(resume)
{
    enum { PART = 11, WHOLE_RUN = 60 };
    sp_real once[WHOLE_RUN][2 * ALL + 1], again[WHOLE_RUN][2 * ALL + 1];
    sp_status status = { 0 };
    sp_store *s = two(), *other = two();
    sp_optimizer *o = equipped(s, kinds[_i]);
    train(o, s, 0, WHOLE_RUN, once);
    sp_optimizer_free(o);
    memset(sp_store_values(s), 0, (size_t)sp_store_size(s) * sizeof(sp_real));
    ck_assert_msg(memcmp(once[WHOLE_RUN - 1], once[WHOLE_RUN - 1] + ALL, ALL * sizeof(sp_real)), "nothing was averaged");
    ck_assert(once[WHOLE_RUN - 1][2 * ALL] < once[5][2 * ALL]);
    for (int from = 0; from < WHOLE_RUN; from += PART) {
        sp_store *in = from / PART % 2 ? s : other;
        o = equipped(in, kinds[_i]);
        if (from) {
            sp_safetensors *f = sp_safetensors_open(path, &status);
            ck_assert_msg(sp_optimizer_load(o, NULL, f, &status), "%s", status.message);
            ck_assert_pstr_eq(sp_safetensors_get(f, "epoch"), "7");
            ck_assert_int_eq(sp_optimizer_steps(o), from);
            sp_safetensors_free(f);
        }
        train(o, in, from, from + PART < WHOLE_RUN ? from + PART : WHOLE_RUN, again);
        ck_assert_msg(sp_optimizer_save(o, NULL, path, 1, &(sp_metadata){ "epoch", "7" }, &status), "%s", status.message);
        sp_optimizer_free(o);
        memset(sp_store_values(in), 0, (size_t)sp_store_size(in) * sizeof(sp_real));
    }
    ck_same(once, again, WHOLE_RUN * (2 * ALL + 1));
    sp_store_free(s);
    sp_store_free(other);
}
END_TEST

/* ---- errors, and nothing changed ------------------------------------------------------------------------------- */

static sp_optimizer *o;

static void bad_lr(void)        { o->lr = -0.5; }
static void bad_decay(void)     { o->weight_decay = -1; }
static void bad_beta(void)      { o->beta2 = 1.5; }
static void bad_epsilon(void)   { o->epsilon = 0; }
static void bad_nesterov(void)  { o->nesterov = true; }
static void bad_nonmono(void)   { o->nonmono = 33; }
static void negative_nonmono(void) { o->nonmono = -5; }
static void bad_momentum(void)  { o->momentum = -0.5; }
static void huge_momentum(void) { o->momentum = WIDE((double)INFINITY, 1e39); }
static void bad_beta1(void)     { o->beta1 = 1; }
static void bad_alpha(void)     { o->alpha = -1; }
static void bad_rho(void)       { o->rho = 1.5; }
static void bad_lr_decay(void)  { o->lr_decay = -1; }
static void tiny_epsilon(void)  { o->epsilon = WIDE(0, 1e-60); }
static void huge_epsilon(void)  { o->epsilon = WIDE((double)INFINITY, 1e60); }
static void bad_gamma(void)     { o->schedule.gamma = 2e3; }
static void bad_end(void)       { o->schedule.end_factor = -1; }
static void bad_div(void)       { o->schedule.div_factor = 0.5; }
static void bad_factor(void)    { o->schedule.factor = 5; }
static void bad_patience(void)  { o->schedule.patience = -2; }
static void bad_schedule(void)  { o->schedule.kind = "cosin"; }
static void no_total(void)      { o->schedule.kind = "cosine"; }
static void bad_warmup(void)    { o->schedule.warmup = -3; }
static void zeroed(void)   { o->schedule = (sp_schedule){ 0 }; }
static void own_warmup(void)
{
    o->schedule.kind = "one_cycle";
    o->schedule.warmup = 5;
    o->schedule.total_steps = 9;
}
static void long_warmup(void)
{
    o->schedule.kind = "linear";
    o->schedule.warmup = o->schedule.total_steps = 9;
}
static void swapped(void)
{
    sp_optimizer_average(o, 0, NULL);
    sp_optimizer_swap(o);
}

#ifdef SP_FLOAT64
#define HUGE_TEXT    "inf"
#define TINY_EPSILON "0"
#define HUGE_EPSILON "inf"
#else
#define HUGE_TEXT    "1e+39"
#define TINY_EPSILON "1e-60"
#define HUGE_EPSILON "1e+60"
#endif

static const struct {
    void (*set)(void);
    const char *error;
} wrong[] = {
    { bad_lr, "optimizer: the learning rate is -0.5" },
    { bad_decay, "optimizer: weight_decay is -1, not in [0,inf)" },
    { bad_beta, "optimizer: beta2 is 1.5, not in [0,1)" },
    { bad_epsilon, "optimizer: epsilon is 0, not over 0 and finite" },
    { bad_nesterov, "optimizer: nesterov with a momentum of 0, not over 0" },
    { bad_nonmono, "optimizer: nonmono is 33, not from 0 to 32" },
    { negative_nonmono, "optimizer: nonmono is -5, not from 0 to 32" },
    { bad_momentum, "optimizer: momentum is -0.5, not in [0,inf)" },
    { huge_momentum, "optimizer: momentum is " HUGE_TEXT ", not in [0,inf)" },
    { bad_beta1, "optimizer: beta1 is 1, not in [0,1)" },
    { bad_alpha, "optimizer: alpha is -1, not in [0,1)" },
    { bad_rho, "optimizer: rho is 1.5, not in [0,1)" },
    { bad_lr_decay, "optimizer: lr_decay is -1, not in [0,inf)" },
    { tiny_epsilon, "optimizer: epsilon is " TINY_EPSILON ", not over 0 and finite" },
    { huge_epsilon, "optimizer: epsilon is " HUGE_EPSILON ", not over 0 and finite" },
    { bad_gamma, "schedule: gamma is 2000, not from 0 to 1000" },
    { bad_end, "schedule: end_factor is -1, not from 0 to 1" },
    { bad_div, "schedule: div_factor is 0.5, not from 1 to 1e+15" },
    { bad_factor, "schedule: factor is 5, not from 0 to 1" },
    { bad_patience, "schedule: patience is -2, not from 0 to 1e+15" },
    { bad_schedule, "schedule 'cosin' is none of: constant linear step exponential cosine inverse_sqrt one_cycle plateau" },
    { no_total, "schedule 'cosine': total_steps is 0, not over the 0 of warmup" },
    { bad_warmup, "schedule: warmup is -3, not from 0 to 1e+15" },
    { zeroed, "schedule: step_size is 0, not from 1 to 1e+15" },
    { own_warmup, "schedule 'one_cycle' has a warm-up of its own, pct_start: warmup is 5, not 0" },
    { long_warmup, "schedule 'linear': total_steps is 9, not over the 9 of warmup" },
    { swapped, "optimizer: the averages are in the store: swap them back first" },
};

START_TEST(wrong_setting)
{
    sp_store *s = two();
    sp_real before[ALL] = { 1, 2, 3, 4, 5, 6 }, after[ALL];
    scatter(s, before);
    sp_tape *t = sp_tape_new(s);
    o = sp_optimizer_new(s, "adam", 0.1, NULL);
    sp_gradients(t)[0] = 1;
    wrong[_i].set();
    if (wrong[_i].set != swapped) {             /* what sp_step refuses counts no validation */
        const struct sp_optimizer_state state = o->state;
        for (int i = 0; i < 40; i++)
            sp_optimizer_validated(o, i);
        ck_assert_mem_eq(&state, &o->state, sizeof state);
    }
    ck_assert(!sp_step(o, t));
    ck_assert_str_eq(sp_error(t), wrong[_i].error);
    gather(after, s);
    ck_same(before, after, ALL);
    ck_assert(sp_gradients(t)[0] == 1);
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

START_TEST(optimizer_errors)
{
    sp_status status = { 0 };
    sp_store *s = sp_store_new(0), *other = sp_store_new(0);
    ck_assert(!sp_optimizer_new(s, "newton", 0.1, &status));
    ck_assert_str_eq(status.message, "optimizer 'newton' is none of: sgd nt-asgd adagrad adadelta rmsprop adam adamw");
    o = sp_optimizer_new(other, "sgd", 0.1, NULL);
    sp_tape *t = sp_tape_new(s);
    ck_assert(!sp_step(o, t));
    ck_assert_str_eq(sp_error(t), "optimizer: made for another store than the tape's");
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
    sp_store_free(other);
}
END_TEST

START_TEST(wrong_group)
{
    static const struct { const char *pattern; double lr, decay; const char *error; } groups[] = {
        { "*gain", 1, 1, "group '*gain': none of the 2 parameters has such a name" },
        { "*", -1, 1, "group '*': the factor of the learning rate is -1" },
        { "*", 1, NAN, "group '*': the factor of the weight decay is nan" },
        { NULL, 1, 1, "group: the pattern is NULL" },
    };
    sp_store *s = two();
    o = sp_optimizer_new(s, "adam", 0.1, NULL);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        sp_status status = { 0 };
        ck_assert(!sp_optimizer_group(o, groups[i].pattern, groups[i].lr, groups[i].decay, &status));
        ck_assert_str_eq(status.message, groups[i].error);
    }
    sp_status status = { 0 };
    ck_assert(!sp_optimizer_average(o, 1, &status));
    ck_assert_str_eq(status.message, "average: the decay is 1, not in [0,1)");
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

/* Files that do not fit, and what is said; %s is the path. */
START_TEST(wrong_file)
{
    char error[PATH_ROOM + 512];
    sp_store *s = two(), *wide = sp_store_new(1);
    sp_param *bias = sp_store_add(wide, SP_SHAPE(BIAS + 1), "cell.bias");
    sp_store_add(wide, SP_SHAPE(WEIGHT), "cell.weight");
    sp_param_values(bias)[0] = 7;
    sp_optimizer *from = sp_optimizer_new(s, "adam", 0.1, NULL);
    const struct {
        sp_store *store;
        const char *kind, *error;
        bool plain, average;
    } files[] = {
        { s, "adamw", "%s: the optimizer is 'adam', not 'adamw'", false, false },
        { wide, "adam", "%s: tensor 'cell.bias' is [2], not [3]", false, false },
        { s, "adam", "%s: holds no optimizer", true, false },
        { s, "adam", "%s: there is no tensor 'optimizer.average.cell.weight'", false, true },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        sp_status status = { 0 };
        ck_assert(files[i].plain ? sp_store_save(s, path, 0, NULL, NULL) : sp_optimizer_save(from, NULL, path, 0, NULL, NULL));
        sp_safetensors *f = sp_safetensors_open(path, NULL);
        o = sp_optimizer_new(files[i].store, files[i].kind, 0.1, NULL);
        if (files[i].average)
            sp_optimizer_average(o, 0.9, NULL);
        ck_assert(!sp_optimizer_load(o, NULL, f, &status));
        const char *text = strstr(files[i].error, "%s") + 2;
        snprintf(error, sizeof error, "%s%s", path, text);
        ck_assert_str_eq(status.message, error);
        sp_optimizer_free(o);
        sp_safetensors_free(f);
    }
    ck_assert(sp_param_read(bias)[0] == 7);
    sp_status status = { 0 };
    ck_assert(!sp_optimizer_save(from, NULL, path, 1, &(sp_metadata){ NULL, "" }, &status) && strstr(status.message, "is NULL"));
    status = (sp_status){ 0 };
    ck_assert(!sp_optimizer_save(from, NULL, path, 1, &(sp_metadata){ "optimizer.x", "" }, &status));
    ck_assert_str_eq(status.message, "save: the metadata key 'optimizer.x' is the optimizer's own");
    status = (sp_status){ 0 };
    ck_assert(!sp_optimizer_load(from, NULL, sp_safetensors_open("/no/such/file", &status), &status));
    ck_assert_ptr_nonnull(strstr(status.message, "/no/such/file: cannot be read"));
    sp_optimizer_free(from);
    sp_store_free(s);
    sp_store_free(wide);
}
END_TEST

/* States that no optimizer gets into, in a file and out of it. */
START_TEST(hostile_state)
{
    static const struct { size_t at; double x; } hostile[] = {
#define STATE(name, value) { offsetof(struct sp_optimizer_state, name), value }
        STATE(steps, 0.5), STATE(steps, -1), STATE(steps, NAN), STATE(steps, 1e16), STATE(averaged, INFINITY), STATE(averaged, 1.5),
        STATE(averaged, -1), STATE(bad, -7), STATE(bad, 0.5), STATE(resting, INFINITY), STATE(resting, -1), STATE(validations, 2.5),
        STATE(validations, 1e300), STATE(factor, 25), STATE(factor, -0.5), STATE(best, NAN), STATE(oldest, NAN),
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        enum { NUMBERS = sizeof(struct sp_optimizer_state) / sizeof(double) };
        char text[SP_NUMBERS_TEXT(NUMBERS)];
        sp_status status = { 0 };
        sp_store *s = two();
        o = sp_optimizer_new(s, "nt-asgd", 0.1, NULL);
        const struct sp_optimizer_state sound = o->state;
        memcpy((char *)&o->state + hostile[i].at, &hostile[i].x, sizeof hostile[i].x);
        ck_assert(!sp_optimizer_save(o, NULL, path, 0, NULL, &status));
        ck_assert_ptr_nonnull(strstr(status.message, "state is out of its range"));
        sp_numbers_write(text, NUMBERS, (const double *)&o->state);
        const sp_metadata pairs[] = { { "optimizer", "nt-asgd" }, { "optimizer.state", text } };
        ck_assert(sp_stores_save(2, (const sp_store *[]){ s, o->memory }, path, 2, pairs, NULL));
        o->state = sound;
        status = (sp_status){ 0 };
        sp_safetensors *f = sp_safetensors_open(path, NULL);
        ck_assert_msg(!sp_optimizer_load(o, NULL, f, &status), "%zu is loaded", i);
        ck_assert_ptr_nonnull(strstr(status.message, "numbers in their ranges"));
        ck_assert_mem_eq(&o->state, &sound, sizeof sound);
        sp_safetensors_free(f);
        sp_optimizer_free(o);
        sp_store_free(s);
    }
}
END_TEST

/* What settings in their ranges come to: by the schedule, and by a group. */
START_TEST(infinite_rate)
{
    sp_store *s = two();
    sp_real before[ALL] = { 1, 2, 3, 4, 5, 6 }, after[ALL];
    scatter(s, before);
    o = sp_optimizer_new(s, "sgd", 0.1, NULL);
    if (_i == 0) {
        o->schedule.kind = "exponential";
        o->schedule.gamma = 1000;
    } else if (_i == 1) {
        ck_assert(sp_optimizer_group(o, "*.bias", 1e300, 1, NULL));
        o->lr = 1e10;
    } else if (_i == 2) {                       /* the decay alone, in float32 */
        ck_assert(sp_optimizer_group(o, "*.bias", 1, WIDE(1e308, 1e38), NULL));
        o->weight_decay = 10;
        o->lr = 1e-10;
    } else {                                    /* the two together */
        o->weight_decay = WIDE(1e160, 1e20);
        o->lr = WIDE(1e160, 1e20);
    }
    sp_tape *t = sp_tape_new(s);
    int steps = 0;
    while (steps < 120 && sp_step(o, t))
        steps++;
    ck_assert(_i ? steps == 0 : steps < 120 && steps > 10);
    if (_i)
        ck_assert_ptr_nonnull(strstr(sp_error(t), "optimizer: step 0: a learning rate of "));
    ck_assert_msg(strstr(sp_error(t), "too large") != NULL, "%s", sp_error(t));
    gather(after, s);
    ck_same(before, after, ALL);
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

/* The checks that come before an average, and before what would read a store that has grown. */
START_TEST(wrong_average)
{
    sp_status status = { 0 };
    sp_store *s = two();
    o = sp_optimizer_new(s, "nt-asgd", 0.1, NULL);
    ck_assert(!sp_optimizer_average(o, -0.5, &status));
    ck_assert_str_eq(status.message, "average: the decay is -0.5, not in [0,1)");
    ck_assert(sp_optimizer_average(o, 0, &status));
    sp_optimizer_swap(o);
    status = (sp_status){ 0 };
    ck_assert(!sp_optimizer_average(o, 0, &status));
    ck_assert_str_eq(status.message, "average: the averages are in the store: swap them back first");
    status = (sp_status){ 0 };
    ck_assert(!sp_optimizer_save(o, NULL, path, 0, NULL, &status));
    ck_assert_str_eq(status.message, "save: the averages are in the store: swap them back first");
    sp_optimizer_swap(o);
    sp_store_add(s, SP_SHAPE(99), "late");
    status = (sp_status){ 0 };
    ck_assert(!sp_optimizer_average(o, 0, &status) && strstr(status.message, "optimizer: made for "));
    const sp_real kept = *sp_param_read(sp_store_at(s, 0));
    o->average[0] = kept + 1;
    sp_optimizer_swap(o);
    ck_assert(*sp_param_read(sp_store_at(s, 0)) == kept && !o->swapped);
    sp_optimizer_free(o);
    o = sp_optimizer_new(s, "nt-asgd", 0.1, NULL);
    sp_store_add(s, SP_SHAPE(99), "later");
    for (int i = 0; i < 40; i++)
        sp_optimizer_validated(o, i);
    ck_assert(!(o->state.averaged > 0));
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

/* A rate before the first step is none; a cycle stays at its last rate; one whose rise has no steps begins at 1. */
START_TEST(ends_of_schedules)
{
    sp_schedule p = sp_schedule_of("one_cycle");
    p.total_steps = 10;
    ck_assert(isnan(sp_schedule_at(&p, -1)));
    ck_assert_double_eq_tol(sp_schedule_at(&p, 2), 1, 1e-12);
    for (int k = 9; k < 15; k++)
        ck_assert_double_eq_tol(sp_schedule_at(&p, k), 1 / (25 * 1e4), 1e-12);
    p.pct_start = 0.1;                          /* it rises until step 0 */
    ck_assert_double_eq_tol(sp_schedule_at(&p, 0), 1, 1e-12);
}
END_TEST

/* By rounding the centered square may come out below 0, of which there is no root. */
START_TEST(centered_rounding)
{
    enum { MANY = 512 };
    sp_store *s = sp_store_new(1);
    const sp_param *p = sp_store_add(s, SP_SHAPE(MANY), "many");
    o = sp_optimizer_new(s, "rmsprop", 1e-3, NULL);
    o->centered = true;
    o->alpha = 0.9;
    sp_tape *t = sp_tape_new(s);
    for (int k = 0; k < 400; k++) {
        sp_random_uniform((sp_key){ .seed = 1 }, MANY, sp_gradients(t), 0.5, 1);
        ck_assert(sp_step(o, t));
    }
    for (int i = 0; i < MANY; i++)
        ck_each(isfinite(sp_param_read(p)[i]), "%d: %g", i, (double)sp_param_read(p)[i]);
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

/* The file's averages need a place. */
START_TEST(unasked_average)
{
    sp_status status = { 0 };
    sp_store *s = two();
    sp_optimizer *from = sp_optimizer_new(s, "sgd", 0.1, NULL), *to = sp_optimizer_new(s, "sgd", 0.1, NULL);
    sp_optimizer_average(from, 0, NULL);
    ck_assert(sp_optimizer_save(from, NULL, path, 0, NULL, &status));
    sp_safetensors *f = sp_safetensors_open(path, NULL);
    ck_assert(!sp_optimizer_load(to, NULL, f, &status));
    ck_assert_ptr_nonnull(strstr(status.message, "has averages of 1 weights, the optimizer has none"));
    sp_safetensors_free(f);
    sp_optimizer_free(from);
    sp_optimizer_free(to);
    sp_store_free(s);
}
END_TEST

/* The trigger by its definition, over more losses than are remembered one by one. */
START_TEST(trigger)
{
    enum { MANY = 120 };
    double losses[MANY];
    sp_store *s = two();
    o = sp_optimizer_new(s, "nt-asgd", 0.1, NULL);
    o->nonmono = _i;
    for (int k = 0; k < MANY; k++) {
        bool pulled = false, was = o->state.averaged > 0;
        losses[k] = 100 - k + (k == 80 ? 1000 : 0) + (double)_i / 2 * sin(k);
        for (int i = 0; i < k - _i; i++)
            pulled = pulled || losses[k] > losses[i];
        sp_optimizer_validated(o, losses[k]);
        ck_assert_msg((o->state.averaged > 0) == (was || pulled), "after %d losses", k + 1);
    }
    ck_assert(o->state.averaged > 0);
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

/* NULLs, and a store without parameters. */
START_TEST(nothing)
{
    sp_status status = { 0 };
    sp_store *s = sp_store_new(1);
    sp_optimizer_validated(NULL, 1);
    sp_optimizer_swap(NULL);
    sp_optimizer_free(NULL);
    ck_assert(isnan(sp_learning_rate(NULL)));
    ck_assert(!sp_optimizer_average(NULL, 0, &status) && !sp_optimizer_save(NULL, NULL, path, 0, NULL, NULL));
    ck_assert(!sp_schedule_check(NULL, NULL) && isnan(sp_schedule_at(NULL, 0)));
    o = sp_optimizer_new(s, "nt-asgd", 0.1, NULL);
    sp_tape *t = sp_tape_new(s);
    ck_assert(sp_optimizer_average(o, 0.5, NULL));
    sp_optimizer_swap(o);
    for (int i = 0; i < 10; i++)
        sp_optimizer_validated(o, i);
    ck_assert(!sp_optimizer_group(o, "*", 1, 1, NULL));
    sp_tape_free(t);
    sp_optimizer_free(o);
    sp_store_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("optimizer");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, golden);
    tcase_add_loop_test(c, resume, 0, KINDS);
    tcase_add_loop_test(c, wrong_setting, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(c, wrong_group);
    tcase_add_test(c, wrong_file);
    tcase_add_test(c, unasked_average);
    tcase_add_test(c, hostile_state);
    tcase_add_loop_test(c, infinite_rate, 0, 4);
    tcase_add_test(c, wrong_average);
    tcase_add_test(c, ends_of_schedules);
    tcase_add_test(c, centered_rounding);
    tcase_add_loop_test(c, trigger, 0, SP_NONMONO_MOST + 1);
    tcase_add_test(c, optimizer_errors);
    tcase_add_test(c, nothing);
    suite_add_tcase(all, c);
    return all;
}
