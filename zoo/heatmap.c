#include "zoo/heatmap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/gnuplot_inside.h"
#include "zoo/text.h"

enum { CELL = 24, LETTER = 8, EDGE = 12, TITLE = 28 };          /* pixels */
enum { LONGEST_LABEL = 32, LONGEST_TITLE = 120 };

/* Where a map is in the picture, in pixels from its left and upper edge. */
struct place {
    double left, right, top, bottom, title;
};

/* ---- labels ---------------------------------------------------------------------------------------------------- */

/* The next letter as it is drawn: one that XML can have. */
static const char *letter(const char *text, size_t size, size_t *at, size_t *length)
{
    const char *c = sp_text_next(text, size, SP_LEVEL_CHAR, at, length);
    if (!c)
        return NULL;
    const unsigned char *u = (const unsigned char *)c;
    const bool control = u[0] < ' ' || u[0] == 0x7F || (*length == 2 && u[0] == 0xC2 && u[1] < 0xA0);
    const bool none = (*length == 1 && u[0] >= 0x80) || (*length == 3 && u[0] == 0xEF && u[1] == 0xBF && u[2] >= 0xBE);
    *length = control ? 1 : none ? 3 : *length;
    return control ? " " : none ? "\xEF\xBF\xBD" : c;
}

/* Between double quotes gnuplot takes octal numbers for bytes, and nothing else is left of ASCII that could mean something to
   it. The label of a place on an axis is a format. */
static void write_label(FILE *out, const char *text, int most, bool format)
{
    static const char plain[] = " ,.-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const size_t size = strlen(text);
    size_t at = 0, length = 0;
    fputc('"', out);
    if (strcmp(text, " ") == 0)
        fputs("\xE2\x90\xA3", out);
    else
        for (int i = 0; at < size && i < most; i++) {
            const char *c = letter(text, size, &at, &length);
            if (length > 1 || strchr(plain, *c))
                fwrite(c, 1, length, out);
            else
                fprintf(out, format && *c == '%' ? "%%%%" : "\\%03o", (unsigned)*c);
        }
    fputs(at < size && size > 1 ? "\xE2\x80\xA6\"" : "\"", out);
}

/* About how wide a label is drawn, in pixels: East Asian letters are twice as wide as others. */
static double label_width(const char *text, int most)
{
    const size_t size = strlen(text);
    size_t at = 0, length = 0;
    int wide = 0;
    for (int i = 0; at < size && i < most; i++) {
        const char *c = letter(text, size, &at, &length);
        wide += length == 4 || (length == 3 && (unsigned char)*c > 0xE2) ? 2 : 1;
    }
    return LETTER * (wide + (at < size));
}

static double widest(const char *const *label, long n)
{
    double most = 3 * LETTER;
    for (long i = 0; label && i < n; i++)
        most = fmax(most, label_width(label[i], LONGEST_LABEL));
    return most;
}

static void write_labels(FILE *out, const char *axis, const char *const *label, long n)
{
    fprintf(out, "set %s (", axis);
    for (long i = 0; i < n; i++) {
        if (i)
            fputs(", ", out);
        if (label)
            write_label(out, label[i], LONGEST_LABEL, true);
        else
            fprintf(out, "'%ld'", i + 1);
        fprintf(out, " %ld", i);
    }
    fputs(")\n", out);
}

/* ---- the picture ----------------------------------------------------------------------------------------------- */

/* Below a map at y; labels above it are turned by 60 degrees. */
static struct place place_of(const sp_heatmap *m, double y)
{
    const double above = widest(m->column, m->columns);
    struct place p = { .left = 2 * EDGE + widest(m->row, m->rows) };
    p.right = p.left + CELL * (double)m->columns;
    p.title = y + TITLE;
    p.top = y + (m->title ? TITLE : 0) + 2 * EDGE + 0.87 * above;
    p.bottom = p.top + CELL * (double)m->rows;
    return p;
}

/* Pixels, and thousandths: whole numbers, which every locale writes alike. */
static void write_map(FILE *out, const sp_heatmap *m, const struct place *p, double width, double height)
{
    fputs("$map << END\n", out);
    for (long i = 0; i < m->rows; i++)
        for (long j = 0; j < m->columns; j++) {
            const double v = (double)m->value[i * m->columns + j];
            if (isnan(v))
                fprintf(out, "%ld %ld NaN\n", j, i);
            else
                fprintf(out, "%ld %ld %d\n", j, i, (int)lround(1000 * fmin(1, fmax(0, v))));
        }
    fputs("END\n", out);
    fprintf(out, "set lmargin at screen %.0f/%.0f.; set rmargin at screen %.0f/%.0f.\n", p->left, width, p->right, width);
    fprintf(out, "set tmargin at screen %.0f/%.0f.; set bmargin at screen %.0f/%.0f.\n", height - p->top, height,
            height - p->bottom, height);
    fprintf(out, "set xrange [-0.5:%ld.5]; set x2range [-0.5:%ld.5]; set yrange [%ld.5:-0.5]\n", m->columns - 1, m->columns - 1,
            m->rows - 1);
    write_labels(out, "x2tics", m->column, m->columns);
    write_labels(out, "ytics", m->row, m->rows);
    fputs("unset label\n", out);
    if (m->title) {
        fputs("set label ", out);
        write_label(out, m->title, LONGEST_TITLE, false);
        fprintf(out, " at screen %d/%.0f., screen %.0f/%.0f. noenhanced\n", EDGE, width, height - p->title + EDGE, height);
    }
    fputs("plot $map using 1:2:(0.5):(0.5):3 with boxxyerror fs solid border lc rgb '#e8e8e8' fc palette notitle\n", out);
}

static void write_script(FILE *out, const sp_heatmap *map, const struct place *place, long n)
{
    double width = 0;
    const double height = place[n - 1].bottom + EDGE;
    for (long i = 0; i < n; i++) {
        width = fmax(width, place[i].right + 2 * EDGE + 0.5 * widest(map[i].column, map[i].columns));
        width = fmax(width, map[i].title ? 2 * EDGE + label_width(map[i].title, LONGEST_TITLE) : 0);
    }
    fprintf(out, "set encoding utf8\nset terminal svg size %.0f,%.0f dynamic noenhanced background rgb 'white' font 'sans,12'\n",
            width, height);
    fputs("set multiplot\nunset key; unset colorbox; set tics scale 0 noenhanced textcolor rgb '#222222'; unset xtics\n"
          "set border lc rgb '#888888'\nset palette defined (0 '#ffffff', 350 '#92b4d8', 700 '#3f73ac', 1000 '#10305c')\n"
          "set cbrange [0:1000]; set x2tics rotate by 60 left; set ytics right\n", out);
    for (long i = 0; i < n; i++)
        write_map(out, &map[i], &place[i], width, height);
    fputs("unset multiplot\n", out);
}

static bool check(const sp_heatmap *map, long n, const char *path, sp_status *status)
{
    if (!map || !path || n < 1 || n > SP_MOST_MAPS)
        return map && path ? sp_fail(status, SP_ERR_VALUE, "heat map: %ld maps, there must be 1 to %d", n, SP_MOST_MAPS)
                           : sp_fail(status, SP_ERR_VALUE, "heat map: the %s is NULL", path ? "map" : "path");
    for (long i = 0; i < n; i++) {
        const sp_heatmap *m = &map[i];
        if (m->rows < 1 || m->rows > SP_MOST_HEAT || m->columns < 1 || m->columns > SP_MOST_HEAT)
            return sp_fail(status, SP_ERR_SHAPE, "heat map: %ld rows and %ld columns, each must be 1 to %d", m->rows, m->columns,
                           SP_MOST_HEAT);
        if (!m->value)
            return sp_fail(status, SP_ERR_VALUE, "heat map: there are no values");
        for (long k = 0; m->row && k < m->rows; k++)
            if (!m->row[k])
                return sp_fail(status, SP_ERR_VALUE, "heat map: the label of row %ld is NULL", k);
        for (long k = 0; m->column && k < m->columns; k++)
            if (!m->column[k])
                return sp_fail(status, SP_ERR_VALUE, "heat map: the label of column %ld is NULL", k);
    }
    return true;
}

bool sp_heatmap_draw(const sp_heatmap *map, long n, const char *path, bool *drawn, char note[SP_PLOT_NOTE], sp_status *status)
{
    struct place place[SP_MOST_MAPS] = { { 0 } };
    *note = '\0';
    *drawn = false;
    if (!check(map, n, path, status))
        return false;
    for (long i = 0; i < n; i++)
        place[i] = place_of(&map[i], i ? place[i - 1].bottom + EDGE : 0);
    FILE *script = sp_gnuplot_begin(status);
    if (!script)
        return false;
    write_script(script, map, place, n);
    return sp_gnuplot_end(script, path, drawn, note, status);
}
