#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program = "spindle";

/* ---- commands -------------------------------------------------------------------------------------------------- */

static void usage(const struct verb *verbs)
{
    printf("Usage: %s COMMAND ...    (%s COMMAND --help says more)\n\n", program, program);
    for (const struct verb *v = verbs; v->name; v++)
        printf("  %-8s%s\n", v->name, v->about);
    printf("\nExit status: 0, or 1 if something failed, 2 if the command is wrong.\n");
}

static bool print_result(struct program *p)
{
    return sp_report_write(p->result, stdout) || sp_fail(&p->status, SP_ERR_FILE, "the results could not be written");
}

static int run(struct program *p)
{
    bool ok = (p->result = sp_report_new()) || sp_fail(&p->status, SP_ERR_MEMORY, "out of memory for results");
    sp_report_text(p->result, "command", p->verb->name);
    ok = ok && p->verb->run(p);
    program_tell_files(p, ok ? stdout : stderr);
    ok = ok && print_result(p);
    if (!ok && p->status.code != SP_OK)
        fprintf(stderr, "%s: %s\n", program, p->status.message);
    if (sp_profile_seconds(p->profile) > 0)
        sp_profile_write(p->profile, sp_peak_rate(), stderr);
    sp_profile_free(p->profile);
    sp_report_free(p->result);
    for (int i = 0; i < p->files; i++)
        free(p->file[i].path);
    return ok || p->helped ? EXIT_SUCCESS : p->wrong ? 2 : EXIT_FAILURE;
}

/* What is closed is opened, so that no file gets its number; but reading from it, or writing, fails. */
static void hold_closed(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
            _exit(EXIT_FAILURE);
}

static int end_of_help(void)
{
    if (!fflush(stdout) && !ferror(stdout))
        return EXIT_SUCCESS;
    fprintf(stderr, "%s: standard output: writing failed\n", program);
    return EXIT_FAILURE;
}

int program_main(const char *name, const struct verb *verbs, int argc, char **argv)
{
    hold_closed();
    program = name;
    const char *word = argc > 1 ? argv[1] : "";
    for (const struct verb *v = verbs; v->name; v++)
        if (!strcmp(word, v->name) || (!strcmp(word, "--demo") && !strcmp(v->name, "demo")))
            return run(&(struct program){ .verb = v, .argc = argc - 2, .argv = argv + 2 });
    if (!strcmp(word, "--version")) {
        printf("spindle %s, BLIS kernels: %s\n", sp_version(), sp_blas_kernels());
        return end_of_help();
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
        usage(verbs);
        return end_of_help();
    }
    if (argc < 2)
        fprintf(stderr, "%s: there is no command (see %s --help)\n", program, program);
    else
        fprintf(stderr, "%s: '%s' is no command (see %s --help)\n", program, word, program);
    return 2;
}

/* ---- options --------------------------------------------------------------------------------------------------- */

bool program_settings(struct program *p, bool right)
{
    p->wrong = !right && p->status.code == SP_ERR_VALUE;
    return right;
}

bool program_parse(struct program *p, const sp_option *options, const sp_need *needs)
{
    char name[64];
    snprintf(name, sizeof name, "%s %s", program, p->verb->name);
    const sp_command command = { name, p->verb->help, options, p->verb->arguments, needs };
    const sp_parsed parsed = sp_options_parse(&command, p->argc, p->argv, &p->model, &p->status);
    if (parsed == SP_PARSED_HELP) {
        sp_options_help(&command, stdout);
        p->helped = (!fflush(stdout) && !ferror(stdout)) || sp_fail(&p->status, SP_ERR_FILE, "standard output: writing failed");
        return false;
    }
    if (!program_settings(p, parsed == SP_PARSED && program_check_files(p, options, &p->status)))
        return false;
    if (p->profiled && !p->profile && !(p->profile = sp_profile_new()))
        return sp_fail(&p->status, SP_ERR_MEMORY, "out of memory for a profile");
    return true;
}

/* ---- training -------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static bool watching;

/* Takes the signals, or gives them back as they were. One that is ignored stays so. */
static void watch(bool on)
{
    static const int number[] = { SIGINT, SIGTERM };
    static struct sigaction before[2];
    const struct sigaction ours = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    for (int i = 0; i < 2; i++) {
        if (!on)
            sigaction(number[i], &before[i], NULL);
        else if (!sigaction(number[i], NULL, &before[i]) && before[i].sa_handler != SIG_IGN)
            sigaction(number[i], &ours, NULL);
    }
    watching = on;
}

const volatile sig_atomic_t *program_stop(void)
{
    if (!watching)
        watch(true);
    return &stop;
}

static void report_training(sp_report *r, const sp_training *x, const char *metric, const char *out)
{
    char best[64];
    sp_report_text(r, "model", out);
    sp_report_count(r, "epochs", x->epochs);
    sp_report_number(r, "train_loss", x->train_loss);
    sp_report_number(r, "valid_loss", x->valid_loss);
    sp_report_number(r, "best_valid_loss", x->best_loss);
    if (metric) {
        snprintf(best, sizeof best, "best_valid_%.40s", metric);
        sp_report_number(r, best, x->best_metric);
    }
    sp_report_count(r, "best_epoch", x->best_epoch);
    sp_report_number(r, "tokens_per_s", x->tokens_per_s);
    sp_report_number(r, "seconds", x->seconds);
    sp_report_flag(r, "interrupted", x->interrupted);
}

bool program_train(struct program *p, const sp_task *task, const sp_trainer_config *config, const char *out,
                   sp_training *training)
{
    sp_trainer_config with = *config;
    const bool watched = watching;
    if (config->threads > task->shards)
        fprintf(stderr, "%ld threads, but a batch has work for %d\n", config->threads, task->shards > 0 ? task->shards : 1);
    with.stop = program_stop();
    with.profile = p->profile;
    const bool ok = sp_train(task, &with, training, &p->status);
    if (!watched)
        watch(false);
    if (!ok)
        return false;
    if (training->interrupted)
        fprintf(stderr, "Interrupted in epoch %ld. %s holds the best model so far, valid %.3f nats per %s, %s.%s\n",
                training->epochs + 1, out, training->best_loss, task->unit ? task->unit : "symbol",
                training->best_epoch ? "from the end of an earlier epoch" : "as it is now",
                config->checkpoint ? " --resume goes on." : "");
    if (training->patience_lost)
        fprintf(stderr, "No better in %ld epochs, so that was all. %s is the model of epoch %ld.\n", config->patience, out,
                training->best_epoch);
    report_training(p->result, training, task->metric, out);
    return true;
}

bool program_tell_unseen(struct program *p, const sp_vocabulary *known, const sp_sentences *s, const char *units, const char *what,
                         long *count)
{
    enum { FEW = 5 };
    const char *name[FEW];
    long unseen = 0, kinds = 0, times[FEW], n;
    size_t length;
    sp_counts *c = sp_counts_new(&p->status);
    const bool ok = c && sp_counts_add_field(c, s, 1, &p->status);
    for (long i = 0; ok && i < sp_counts_size(c); i++) {
        const char *symbol = sp_counts_symbol(c, i, &length, &n);
        if (sp_vocabulary_id(known, symbol, length) >= 0)
            continue;
        if (kinds < FEW) {
            name[kinds] = symbol;
            times[kinds] = n;
        }
        unseen += n;
        kinds++;
    }
    if (unseen)
        fprintf(stderr, "%s: %ld of %ld %s have a %s that training had not, and count as wrong:", program, unseen, s->field[1].strings,
                units, what);
    for (long i = 0; i < kinds && i < FEW; i++)
        fprintf(stderr, "%s '%s' %ld", i ? "," : "", name[i], times[i]);
    if (unseen)
        fputs(kinds > FEW ? ", ...\n" : "\n", stderr);
    sp_counts_free(c);
    if (count)
        *count = unseen;
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

char *program_input(size_t *size, sp_status *status)
{
    size_t n = 0, room = 1 << 16, got;
    char *text = malloc(room + 1);
    while (text && (got = fread(text + n, 1, room - n, stdin)) > 0)
        if ((n += got) == room) {
            char *more = room < SIZE_MAX / 4 ? realloc(text, 2 * room + 1) : NULL;
            if (!more)
                free(text);
            text = more;
            room *= 2;
        }
    if (!text) {
        sp_fail(status, SP_ERR_MEMORY, "standard input: out of memory");
        return NULL;
    }
    if (ferror(stdin)) {
        sp_fail(status, SP_ERR_FILE, "standard input: cannot be read: %s", strerror(errno));
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *size = n;
    return text;
}

/* Up to `most` lines; a byte-order mark at the beginning of one is no part of it. */
static bool read_lines(FILE *in, const char *name, struct program_lines *l, long most, sp_status *status)
{
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    for (ssize_t n; ok && l->n < most && (n = getline(&line, &room, in)) >= 0; l->n += ok) {
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        line[n] = '\0';
        const char *from = n >= 3 && !memcmp(line, "\xEF\xBB\xBF", 3) ? line + 3 : line;
        ok = strlen(line) == (size_t)n
             || sp_fail(status, SP_ERR_FORMAT, "%s:%ld: is not text: a byte is zero", name, l->before + l->n + 1);
        ok = ok && ((l->text[l->n] = strdup(from))
                    || sp_fail(status, SP_ERR_MEMORY, "%s:%ld: out of memory", name, l->before + l->n + 1));
    }
    free(line);
    return ok && (!ferror(in) || stop || sp_fail(status, SP_ERR_FILE, "%s: cannot be read: %s", name, strerror(errno)));
}

bool program_answer(struct program *p, const char *path, long at_once,
                    bool (*answer)(void *self, const struct program_lines *l, sp_status *status), void *self)
{
    FILE *in = path ? fopen(path, "rb") : stdin;
    if (!in)
        return sp_fail(&p->status, SP_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
    struct program_lines l = { .text = calloc((size_t)at_once, sizeof *l.text) };
    bool ok = l.text || sp_fail(&p->status, SP_ERR_MEMORY, "out of memory for %ld lines", at_once);
    for (bool more = ok; more; l.n = 0) {
        sp_status later = { 0 };
        const bool read = read_lines(in, path ? path : "standard input", &l, isatty(fileno(in)) ? 1 : at_once, &later);
        ok = !stop && (!l.n || answer(self, &l, &p->status)) && (read || sp_fail_with(&p->status, &later));
        fflush(stdout);
        more = ok && l.n > 0;
        for (long i = 0; i < l.n; i++)
            free(l.text[i]);
        l.before += l.n;
    }
    sp_report_count(p->result, "lines", l.before);
    free(l.text);
    if (in != stdin)
        fclose(in);
    return ok;
}
