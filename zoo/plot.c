#include "zoo/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "autograd/file.h"

extern char **environ;

/* A number as gnuplot reads it, with a point in every locale: jansson's; NaN where there is none. */
static void write_number(FILE *out, const json_t *value)
{
    char text[40] = "";
    size_t n = json_is_number(value) ? json_dumpb(value, text, sizeof text - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : 0;
    fprintf(out, " %s", n && n < sizeof text ? text : "NaN");
}

/* The lines as columns: epoch, training loss, validation loss, learning rate, metric. */
static int write_data(FILE *out, const char *lines, const char *metric)
{
    const char *const keys[] = { "epoch", "train_loss", "valid_loss", "lr", metric ? metric : "" };
    int rows = 0;
    fputs("$log << END\n", out);
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        json_t *row = json_loadb(lines, n, 0, NULL);
        for (int i = 0; row && i < 5; i++)
            write_number(out, json_object_get(row, keys[i]));
        if (row)
            fputc('\n', out);
        rows += row != NULL;
        json_decref(row);
        lines += n + (lines[n] == '\n');
    }
    fputs("END\n", out);
    return rows;
}

static const char style[] =
    "set terminal svg size 720,600 dynamic enhanced background rgb 'white' font 'sans,12'\n"
    "set multiplot\n"
    "set grid lc rgb '#dddddd'\n"
    "set border lc rgb '#888888'\n"
    "set tics textcolor rgb '#444444'\n"
    "set lmargin at screen 0.14\n"
    "set format x ''\n"
    "set tmargin at screen 0.94; set bmargin at screen 0.36\n"
    "set key at screen 0.55, screen 0.97 center center horizontal noenhanced\n"
    "set ylabel 'loss, nats'\n";

/* Both losses over the metric's own axis; below them the learning rate. */
static void write_script(FILE *out, const char *lines, const char *metric)
{
    fputs(style, out);
    const int rows = write_data(out, lines, metric);
    fprintf(out, "set xrange [0.5:%d.5]; set xtics %s; set rmargin at screen %s\n", rows > 1 ? rows : 2,
            rows < 12 ? "1" : "auto", metric ? "0.88" : "0.97");
    if (metric)
        fputs("set ytics nomirror; set y2tics; set y2label 'metric'\n", out);
    fputs("plot $log using 1:2 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#4477aa' title 'training', "
          "$log using 1:3 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#ee6677' title 'validation'", out);
    if (metric) {
        fputs(", $log using 1:5 axes x1y2 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#228833' title '", out);
        for (const char *p = metric; *p; p++)
            fputc(*p == '\'' || *p == '\\' || (unsigned char)*p < ' ' ? '?' : *p, out);
        fputs("'", out);
    }
    fputs("\nset tmargin at screen 0.32; set bmargin at screen 0.1\n"
          "unset y2tics; unset y2label; unset key; set format x '%g'; set xlabel 'epoch'; set ylabel 'learning rate'\n"
          "set yrange [0:*]; set ytics auto mirror\n"
          "plot $log using 1:4 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#444444'\n"
          "unset multiplot\n", out);
}

/* Runs gnuplot from one file to another. */
static bool run_gnuplot(FILE *script, FILE *out, char note[SP_PLOT_NOTE])
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

bool sp_plot_log(const char *lines, const char *metric, const char *path, bool *drawn, char note[SP_PLOT_NOTE],
                 sp_status *status)
{
    sp_file f;
    *note = '\0';
    *drawn = false;
    if (!lines || !path)
        return sp_fail(status, SP_ERR_VALUE, "plot: the %s is NULL", lines ? "path" : "log");
    FILE *script = tmpfile();
    if (!script)
        return sp_fail(status, SP_ERR_FILE, "plot: a temporary file cannot be made: %s", strerror(errno));
    write_script(script, lines, metric);
    bool ok = (!fflush(script) && !ferror(script) && !fseek(script, 0, SEEK_SET))
              || sp_fail(status, SP_ERR_FILE, "plot: a temporary file cannot be written: %s", strerror(errno));
    if (ok && (ok = sp_file_begin(&f, path, status))) {
        *drawn = run_gnuplot(script, f.out, note);
        ok = sp_file_end(&f, *drawn, status) || !*drawn;
    }
    fclose(script);
    return ok;
}
