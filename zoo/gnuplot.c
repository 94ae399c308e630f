#include "zoo/gnuplot_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/file.h"

extern char **environ;

FILE *sp_gnuplot_begin(sp_status *status)
{
    FILE *script = tmpfile();
    if (!script)
        sp_fail(status, SP_ERR_FILE, "plot: a temporary file cannot be made: %s", strerror(errno));
    return script;
}

/* Runs gnuplot from one file to another. */
static bool run(FILE *script, FILE *out, char note[SP_PLOT_NOTE])
{
    char *const command[] = { (char *)"gnuplot", NULL };
    posix_spawn_file_actions_t actions;
    pid_t child;
    int outcome = 0, error = posix_spawn_file_actions_init(&actions);
    if (!error) {
        posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        error = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    while (!error && waitpid(child, &outcome, 0) < 0)
        if (errno != EINTR)
            error = errno;
    const int code = !error && WIFEXITED(outcome) ? WEXITSTATUS(outcome) : -1;
    if (error == ENOENT || code == 127)
        snprintf(note, SP_PLOT_NOTE, "no picture: gnuplot is not installed");
    else if (error || code)
        snprintf(note, SP_PLOT_NOTE, "no picture: gnuplot failed%s%s", error ? ": " : "", error ? strerror(error) : "");
    return !error && !code;
}

bool sp_gnuplot_end(FILE *script, const char *path, bool *drawn, char note[SP_PLOT_NOTE], sp_status *status)
{
    sp_file f;
    *note = '\0';
    *drawn = false;
    bool ok = (!fflush(script) && !ferror(script) && !fseek(script, 0, SEEK_SET))
              || sp_fail(status, SP_ERR_FILE, "plot: a temporary file cannot be written: %s", strerror(errno));
    if (ok && (ok = sp_file_begin(&f, path, status))) {
        *drawn = run(script, f.out, note);
        ok = sp_file_end(&f, *drawn, status) || !*drawn;
    }
    fclose(script);
    return ok;
}
