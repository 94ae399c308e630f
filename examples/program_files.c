/* The files that a program writes: what options name must be apart, and what demos make is told. */
#include "program.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

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
bool program_check_files(const struct program *p, const sp_option *options, sp_status *status)
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

/* Is there something in it, of this run? What is written again has another time or size. */
static bool was_written(const struct program_file *f)
{
    struct stat now;
    return !stat(f->path, &now) && now.st_size > 0
           && (!f->before.st_mode || now.st_mtime != f->before.st_mtime || now.st_size != f->before.st_size);
}

void program_tell_files(const struct program *p, FILE *out)
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
