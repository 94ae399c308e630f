#include "program.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static const char *program = "spindle";

/* ---- commands -------------------------------------------------------------------------------------------------- */

static int usage(const struct verb *verbs, FILE *out)
{
    fprintf(out, "Usage: %s COMMAND ...    (%s COMMAND --help says more)\n\n", program, program);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(out, "  %-8s%s\n", v->name, v->about);
    return EXIT_SUCCESS;
}

int program_main(const char *name, const struct verb *verbs, int argc, char **argv)
{
    program = name;
    const char *word = argc > 1 ? argv[1] : "";
    for (const struct verb *v = verbs; v->name; v++)
        if (!strcmp(word, v->name) || (!strcmp(word, "--demo") && !strcmp(v->name, "demo")))
            return v->run(argc - 2, argv + 2);
    if (!strcmp(word, "--version")) {
        printf("spindle %s, BLIS kernels: %s\n", sp_version(), sp_blas_kernels());
        return EXIT_SUCCESS;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        return usage(verbs, stdout);
    if (argc < 2)
        fprintf(stderr, "%s: there is no command (see %s --help)\n", program, program);
    else
        fprintf(stderr, "%s: '%s' is no command (see %s --help)\n", program, word, program);
    return 2;
}

int program_error(const sp_status *status)
{
    fprintf(stderr, "%s: %s\n", program, status->message);
    return EXIT_FAILURE;
}

bool program_parse(const sp_command *command, int argc, char **argv, const char **argument, int *code)
{
    sp_status status = { 0 };
    sp_parsed parsed = sp_options_parse(command, argc, argv, argument, &status);
    if (parsed == SP_PARSED_HELP)
        sp_options_help(command, stdout);
    if (parsed == SP_PARSED_WRONG)
        program_error(&status);
    *code = parsed == SP_PARSED_WRONG ? 2 : EXIT_SUCCESS;
    return parsed == SP_PARSED;
}

int program_finish(sp_report *r)
{
    bool ok = sp_report_write(r, stdout);
    sp_report_free(r);
    if (!ok)
        fprintf(stderr, "%s: the results could not be written\n", program);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- signals, profiles ----------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

const volatile sig_atomic_t *program_stop(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &stop;
}

bool program_profile_begin(sp_profile **p, bool wanted, sp_status *status)
{
    if (wanted)
        *p = sp_profile_new();
    return !wanted || *p || sp_fail(status, SP_ERR_MEMORY, "out of memory for a profile");
}

void program_profile_end(sp_profile *p)
{
    if (sp_profile_seconds(p) > 0)
        sp_profile_write(p, sp_peak_rate(), stderr);
    sp_profile_free(p);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* A path without links, "." and ".."; of a file that is not there, its folder's. */
static void find_real(const char *path, char real[PATH_MAX])
{
    char folder[PATH_MAX], copy[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(copy, sizeof copy, "%.*s", slash ? (int)(name - path) : 1, slash ? path : ".");
    if (!realpath(path, real) && (!realpath(copy, folder) || snprintf(real, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX))
        snprintf(real, PATH_MAX, "%s", path);
}

/* By paths without links. Two may go to one device. */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (stat(a, &x))
        return !strcmp(a, b);
    return S_ISREG(x.st_mode) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The i-th name of a file: a checkpoint has more than one. NULL: there is none. */
static const char *name_of(const struct named_file *f, int i, char name[PATH_MAX + 8])
{
    static const char *const suffix[] = { "", ".old", ".new" };
    if (!f->path || i >= (strcmp(f->option, "checkpoint") ? 1 : 3))
        return NULL;
    find_real(f->path, name);
    return strcat(name, suffix[i]);
}

static bool apart(const struct named_file *a, const struct named_file *b, sp_status *status)
{
    char x[PATH_MAX + 8], y[PATH_MAX + 8];
    for (int i = 0; name_of(a, i, x); i++)
        for (int k = 0; name_of(b, k, y); k++)
            if (same_file(x, y))
                return sp_fail(status, SP_ERR_VALUE, "--%s %s is the file of %s%s", a->option, i ? x : a->path,
                               strcmp(b->option, "MODEL") ? "--" : "", b->option);
    return true;
}

bool program_check_files(const struct named_file *files, int n, int reads, sp_status *status)
{
    for (int i = reads; i < n; i++)
        for (int k = 0; k < i; k++)
            if (!apart(&files[i], &files[k], status))
                return false;
    return true;
}

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

bool program_folder(const char *directory, const char *const *names, int n, char **path, sp_status *status)
{
    bool ok = true;
    for (int i = 0; i < n; i++) {
        const size_t room = strlen(directory) + strlen(names[i]) + 2;
        if ((path[i] = malloc(room)))
            snprintf(path[i], room, "%s/%s", directory, names[i]);
        ok = path[i] && ok;
    }
    if (!ok)
        return sp_fail(status, SP_ERR_MEMORY, "out of memory");
    return !mkdir(directory, 0777) || errno == EEXIST
           || sp_fail(status, SP_ERR_FILE, "%s: cannot be made: %s", directory, strerror(errno));
}

void program_folder_free(char **path, int n)
{
    for (int i = 0; i < n; i++)
        free(path[i]);
}

/* ---- training -------------------------------------------------------------------------------------------------- */

bool program_tell_unseen(const sp_vocabulary *known, const sp_sentences *s, const char *units, const char *what, long *count,
                         sp_status *status)
{
    enum { FEW = 5 };
    long unseen = 0, kinds = 0, times;
    size_t length;
    sp_counts *c = sp_counts_new(status);
    const bool ok = c && sp_counts_add_field(c, s, 1, status);
    for (int tell = 0; ok && tell < 2 && (!tell || unseen); tell++) {
        if (tell)
            fprintf(stderr, "%s: %ld of %ld %s have a %s that training had not, and count as wrong:", program, unseen,
                    s->field[1].strings, units, what);
        kinds = 0;
        for (long i = 0; i < sp_counts_size(c); i++) {
            const char *symbol = sp_counts_symbol(c, i, &length, &times);
            if (sp_vocabulary_id(known, symbol, length) >= 0)
                continue;
            if (!tell)
                unseen += times;
            else if (kinds < FEW)
                fprintf(stderr, "%s '%s' %ld", kinds ? "," : "", symbol, times);
            kinds++;
        }
        if (tell)
            fputs(kinds > FEW ? ", ...\n" : "\n", stderr);
    }
    sp_counts_free(c);
    if (count)
        *count = unseen;
    return ok;
}

bool program_train(const sp_task *task, const sp_trainer_config *config, const char *out, sp_training *result, sp_status *status)
{
    sp_trainer_config with = *config;
    if (config->threads > task->shards)
        fprintf(stderr, "%ld threads, but a batch has work for %d\n", config->threads, task->shards > 0 ? task->shards : 1);
    with.stop = program_stop();
    if (!sp_train(task, &with, result, status))
        return false;
    if (result->interrupted)
        fprintf(stderr, "Interrupted in epoch %ld. %s holds the best model so far, valid %.3f nats per %s, %s.%s\n",
                result->epochs + 1, out, result->best_loss, task->unit ? task->unit : "symbol",
                result->best_epoch ? "from the end of an earlier epoch" : "as it is now",
                config->checkpoint ? " --resume goes on." : "");
    if (result->patience_lost)
        fprintf(stderr, "No better in %ld epochs, so that was all. %s is the model of epoch %ld.\n", config->patience, out,
                result->best_epoch);
    return true;
}

void program_report_training(sp_report *r, const sp_training *x, const char *metric, const char *out)
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

/* ---- pictures -------------------------------------------------------------------------------------------------- */

bool program_save_graph(sp_tape *t, const char *path, sp_status *status)
{
    bool ok = sp_ok(t) ? sp_dot_save(t, path, status) : sp_fail_with(status, sp_tape_status(t));
    sp_tape_free(t);
    return ok;
}

bool program_draw(const char *dot, const char *svg)
{
    char *const command[] = { (char *)"dot", (char *)"-Tsvg", (char *)"-o", (char *)svg, (char *)dot, NULL };
    pid_t child;
    int outcome;
    return !posix_spawnp(&child, "dot", NULL, NULL, command, environ) && waitpid(child, &outcome, 0) == child
           && WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0;
}
