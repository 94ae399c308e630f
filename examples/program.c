#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

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

/* Is there something in it, of this run? What is written again has another time or size. */
static bool was_written(const struct program_file *f)
{
    struct stat now;
    return !stat(f->path, &now) && now.st_size > 0
           && (!f->before.st_mode || now.st_mtime != f->before.st_mtime || now.st_size != f->before.st_size);
}

static void tell_files(const struct program *p, FILE *out)
{
    bool any = false;
    for (int i = 0; i < p->files; i++)
        if (was_written(&p->file[i])) {
            fprintf(out, "%s %s %s", any ? "," : "\nWritten:", p->file[i].what, p->file[i].path);
            any = true;
        }
    if (any)
        fputs(".\n", out);
}

static int run(struct program *p)
{
    bool ok = (p->result = sp_report_new()) || sp_fail(&p->status, SP_ERR_MEMORY, "out of memory for results");
    sp_report_text(p->result, "command", p->verb->name);
    ok = ok && p->verb->run(p);
    tell_files(p, ok ? stdout : stderr);
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

/* ---- files that options name ----------------------------------------------------------------------------------- */

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

/* The i-th of the files that an option names; false from the end on. A checkpoint has more than the one given; a list has one
   behind each "label=". */
static bool name_of(const sp_option *o, int i, char name[PATH_MAX + 8])
{
    static const char *const suffix[] = { "", ".old", ".new" };
    const char *path = *(const char *const *)o->value;
    char part[PATH_MAX];
    if (!path)
        return false;
    if (o->file == SP_OPTION_READS_EACH && strchr(path, '=') && access(path, F_OK)) {
        for (; i && path; i--)
            path = strchr(path, ',') ? strchr(path, ',') + 1 : NULL;
        if (!path)
            return false;
        const size_t label = strcspn(path, "=,");
        path += path[label] == '=' ? label + 1 : 0;
        snprintf(part, sizeof part, "%.*s", (int)strcspn(path, ","), path);
        find_real(part, name);
        return true;
    }
    if (i >= (o->file == SP_OPTION_WRITES_CHECKPOINT ? 3 : 1))
        return false;
    find_real(path, name);
    strcat(name, suffix[i]);
    return true;
}

static bool writes(const sp_option *o)
{
    return o->file == SP_OPTION_WRITES || o->file == SP_OPTION_WRITES_CHECKPOINT;
}

static bool apart(const sp_option *a, const sp_option *b, sp_status *status)
{
    char x[PATH_MAX + 8], y[PATH_MAX + 8];
    for (int i = 0; name_of(a, i, x); i++)
        for (int k = 0; name_of(b, k, y); k++)
            if (same_file(x, y))
                return sp_fail(status, SP_ERR_VALUE, "--%s %s is the file of %s%s", a->name,
                               i ? x : *(const char *const *)a->value, strcmp(b->name, "MODEL") ? "--" : "", b->name);
    return true;
}

/* Of two that are written the one behind is named first. */
static bool check_files(const struct program *p, const sp_option *options, sp_status *status)
{
    const sp_option model = { "MODEL", SP_OPTION_TEXT, (void *)&p->model, .file = SP_OPTION_READS };
    struct stat there;
    for (const sp_option *a = options; a->name; a++) {
        const char *path = writes(a) ? *(const char *const *)a->value : NULL;
        if (!path)
            continue;
        if (!lstat(path, &there) && S_ISLNK(there.st_mode) && stat(path, &there))       /* to what may become another's file */
            return sp_fail(status, SP_ERR_FILE, "--%s %s: is a link to a file that is not there", a->name, path);
        for (const sp_option *b = options; b->name; b++)
            if ((writes(b) ? b < a : b->file != SP_OPTION_NO_FILE) && !apart(a, b, status))
                return false;
        if (!apart(a, &model, status) || !sp_file_writable(path, status))
            return false;
    }
    return true;
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
    if (!program_settings(p, parsed == SP_PARSED && check_files(p, options, &p->status)))
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

/* ---- demos and pictures ---------------------------------------------------------------------------------------- */

bool program_save_graph(sp_tape *t, const char *path, sp_status *status)
{
    bool ok = sp_ok(t) ? sp_dot_save(t, path, status) : sp_fail_with(status, sp_tape_status(t));
    sp_tape_free(t);
    return ok;
}

const char *program_file(struct program *p, const char *what, const char *directory, const char *name)
{
    const size_t room = strlen(directory) + strlen(name) + 4;
    if (p->files == PROGRAM_FILES) {
        sp_fail(&p->status, SP_ERR_STATE, "%s: a demo may write %d files, no more", name, PROGRAM_FILES);
        return NULL;
    }
    char *path = malloc(room);
    if (!path) {
        sp_fail(&p->status, SP_ERR_MEMORY, "%s: out of memory", name);
        return NULL;
    }
    struct program_file *f = &p->file[p->files++];
    *f = (struct program_file){ .what = what, .path = path };
    snprintf(path, room, "%s%s/%s", *directory == '-' ? "./" : "", directory, name);      /* no option for dot */
    if (mkdir(directory, 0777) && errno != EEXIST) {
        sp_fail(&p->status, SP_ERR_FILE, "%s: cannot be made: %s", directory, strerror(errno));
        return NULL;
    }
    if (stat(path, &f->before))
        f->before.st_mode = 0;
    return sp_file_writable(path, &p->status) ? path : NULL;
}

bool program_demo_files(struct program *p, const char *directory, const char *model, const char **out, sp_trainer_config *trainer,
                        const char **graph)
{
    return (*out = program_file(p, "model", directory, model))
           && (trainer->log = program_file(p, "log", directory, "log.jsonl"))
           && (trainer->plot = program_file(p, "curve", directory, "curve.svg"))
           && (!graph || (*graph = program_file(p, "graph", directory, "graph.dot")));
}

void program_draw(struct program *p, const char *directory, const char *graph)
{
    const char *svg = program_file(p, "picture", directory, "graph.svg");
    char *const command[] = { (char *)"dot", (char *)"-Tsvg", (char *)"-o", (char *)svg, (char *)graph, NULL };
    pid_t child;
    int outcome;
    const bool drawn = svg && !posix_spawnp(&child, "dot", NULL, NULL, command, environ) && waitpid(child, &outcome, 0) == child
                       && WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0;
    sp_report_text(p->result, "graph", graph);
    sp_report_text(p->result, "picture", drawn ? svg : NULL);
}
