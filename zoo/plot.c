#include "zoo/plot.h"

#include <string.h>

#include <jansson.h>

#include "zoo/gnuplot_inside.h"

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
    "set lmargin at screen 0.16\n"
    "set format x ''\n"
    "set tmargin at screen 0.94; set bmargin at screen 0.36\n"
    "set key at screen 0.55, screen 0.97 center center horizontal noenhanced\n"
    "set ylabel 'loss, nats'\n";

/* Inside single quotes. */
static void write_name(FILE *out, const char *name)
{
    for (; *name; name++)
        fputc(*name == '\'' || *name == '\\' || (unsigned char)*name < ' ' ? '?' : *name, out);
}

/* Both losses over the metric's own axis; below them the learning rate. */
static void write_script(FILE *out, const char *lines, const char *metric)
{
    fputs(style, out);
    const int rows = write_data(out, lines, metric);
    fprintf(out, "set xrange [0.5:%d.5]; set xtics %s; set rmargin at screen %s\n", rows > 1 ? rows : 2,
            rows < 12 ? "1" : "auto", metric ? "0.84" : "0.97");
    if (metric) {
        fputs("set ytics nomirror; set y2tics; set y2label '", out);
        write_name(out, metric);
        fputs("' noenhanced offset 1\n", out);
    }
    fputs("plot $log using 1:2 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#4477aa' title 'training', "
          "$log using 1:3 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#ee6677' title 'validation'", out);
    if (metric) {
        fputs(", $log using 1:5 axes x1y2 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#228833' title '", out);
        write_name(out, metric);
        fputs("'", out);
    }
    fputs("\nset tmargin at screen 0.32; set bmargin at screen 0.1\n"
          "unset y2tics; unset y2label; unset key; set format x '%g'; set xlabel 'epoch'; set ylabel 'learning rate'\n"
          "set yrange [0:*]; set ytics auto mirror\n"
          "plot $log using 1:4 with linespoints pt 7 ps 0.4 lw 2 lc rgb '#444444'\n"
          "unset multiplot\n", out);
}

bool sp_plot_log(const char *lines, const char *metric, const char *path, bool *drawn, char note[SP_PLOT_NOTE],
                 sp_status *status)
{
    *note = '\0';
    *drawn = false;
    if (!lines || !path)
        return sp_fail(status, SP_ERR_VALUE, "plot: the %s is NULL", lines ? "path" : "log");
    FILE *script = sp_gnuplot_begin(status);
    if (!script)
        return false;
    write_script(script, lines, metric);
    return sp_gnuplot_end(script, path, drawn, note, status);
}
