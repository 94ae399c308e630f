/* Heat maps: what gnuplot is given to draw, by programs of that name that hand it on, fail, or are not there; and pictures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/own_gnuplot.h"
#include "zoo/heatmap.h"

static bool draw(const sp_heatmap *map, long n, char note[SP_PLOT_NOTE])
{
    sp_status status = { 0 };
    bool drawn;
    ck_assert_msg(sp_heatmap_draw(map, n, picture, &drawn, note, &status), "%s", status.message);
    return drawn;
}

static const char *const source[] = { "le", "chat", "dort" }, *const target[] = { "the", "cat" };

static sp_heatmap cats(void)
{
    static const sp_real value[] = { 1, (sp_real)0.25, 0, (sp_real)-0.5, 7, (sp_real)NAN };
    return (sp_heatmap){ value, 2, 3, target, source, NULL };
}

/* What a label, above the second column of a map, is in gnuplot's words. */
static const char *written(const char *label)
{
    static char out[1000];
    char note[SP_PLOT_NOTE];
    const char *const labels[] = { "a", label };
    ck_assert(draw(&(sp_heatmap){ .value = REALS(0, 1), .rows = 1, .columns = 2, .column = labels }, 1, note));
    const char *at = strstr(read_picture(), "x2tics (\"a\" 0, "), *stop = at ? strstr(at, " 1)\n") : NULL;
    ck_assert_ptr_nonnull(stop);
    at += strlen("x2tics (\"a\" 0, ");
    snprintf(out, sizeof out, "%.*s", (int)(stop - at), at);
    return out;
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

START_TEST(script)
{
    static const char *const always[] = {
        "set terminal svg size ", "\n0 0 1000\n1 0 250\n2 0 0\n0 1 0\n1 1 1000\n2 1 NaN\nEND\n", "set xrange [-0.5:2.5]",
        "set yrange [1.5:-0.5]", "set x2tics (\"le\" 0, \"chat\" 1, \"dort\" 2)", "set ytics (\"the\" 0, \"cat\" 1)",
        "\nunset multiplot\n",
    };
    char note[SP_PLOT_NOTE];
    sp_heatmap map = cats();
    install_gnuplot("exec /bin/cat");
    ck_assert(draw(&map, 1, note) && !*note);
    read_picture();
    for (size_t k = 0; k < sizeof always / sizeof *always; k++)
        ck_assert_msg(strstr(text, always[k]), "no '%s' in %s", always[k], text);
    ck_assert(!strstr(text, "set label \""));
    map.title = "it's 100%";
    map.row = map.column = NULL;
    ck_assert(draw(&map, 1, note) && strstr(read_picture(), "set label \"it\\047s 100\\045\" at screen "));
    ck_assert(strstr(text, "set x2tics ('1' 0, '2' 1, '3' 2)") && strstr(text, "set ytics ('1' 0, '2' 1)"));
}
END_TEST

START_TEST(words)
{
    static const char *const labels[][2] = {
        { "plain words, 1.5-2", "\"plain words, 1.5-2\"" },
        { "", "\"\"" },
        { "'", "\"\\047\"" },
        { "\"\\`$@#{}", "\"\\042\\134\\140\\044\\100\\043\\173\\175\"" },
        { "50% %s", "\"50%% %%s\"" },
        { "l\u00E0 \u65E5\u672C \U0001F600", "\"l\u00E0 \u65E5\u672C \U0001F600\"" },
        { " ", "\"\u2423\"" },
        { "a\nb\r\x7F\xC2\x85", "\"a b   \"" },
        { "\xFF" "a\xC3", "\"\uFFFD" "a\uFFFD\"" },
        { "\xED\xA0\x80", "\"\uFFFD\uFFFD\uFFFD\"" },                   /* half of a pair of UTF-16 */
        { "\xC0\x80\xF5\x80", "\"\uFFFD\uFFFD\uFFFD\uFFFD\"" },        /* too long, too large */
        { "\uFFFF", "\"\uFFFD\"" },
        { "12345678901234567890123456789012", "\"12345678901234567890123456789012\"" },
        { "1234567890123456789012345678901\u00E03", "\"1234567890123456789012345678901\u00E0\u2026\"" },
    };
    install_gnuplot("exec /bin/cat");
    for (size_t k = 0; k < sizeof labels / sizeof *labels; k++)
        ck_assert_str_eq(written(labels[k][0]), labels[k][1]);
}
END_TEST

/* The picture grows with the map and with its labels; several are below each other, without overlap. */
START_TEST(sizes)
{
    static sp_real zeros[200 * 200];
    const char *const long_word[] = { "incomprehensibilities", "a" };
    const sp_heatmap maps[] = {
        { .value = zeros, .rows = 1, .columns = 1 }, { .value = zeros, .rows = 200, .columns = 1 },
        { .value = zeros, .rows = 1, .columns = 200 }, { .value = zeros, .rows = 2, .columns = 1, .row = long_word },
        { .value = zeros, .rows = 1, .columns = 2, .column = long_word },
        { .value = zeros, .rows = 1, .columns = 1, .title = long_word[0] },
    };
    int width[6], height[6], all[2], tallest = 0, widest = 0;
    char note[SP_PLOT_NOTE];
    install_gnuplot("exec /bin/cat");
    for (int i = 0; i < 6; i++) {
        ck_assert(draw(&maps[i], 1, note));
        ck_assert_int_eq(sscanf(strstr(read_picture(), "svg size "), "svg size %d,%d", &width[i], &height[i]), 2);
        tallest += height[i];
        widest = width[i] > widest ? width[i] : widest;
    }
    ck_assert(height[1] - height[0] == 199 * 24 && width[1] == width[0]);
    ck_assert(width[2] - width[0] == 199 * 24 && height[2] == height[0]);
    ck_assert(width[3] > width[0] + 100 && height[4] > height[0] + 100 && width[4] > width[0] + 50);
    ck_assert(height[5] > height[0] && width[5] > width[0]);
    ck_assert(draw(maps, 6, note));
    ck_assert_int_eq(sscanf(strstr(read_picture(), "svg size "), "svg size %d,%d", &all[0], &all[1]), 2);
    ck_assert_int_eq(all[0], widest);
    ck_assert_int_eq(all[1], tallest);
    double before = 1;
    int n = 0;
    for (const char *at = text; (at = strstr(at, "set tmargin at screen ")); n++) {
        double top, bottom, of[2];
        ck_assert_int_eq(sscanf(at, "set tmargin at screen %lf/%lf; set bmargin at screen %lf/%lf", &top, &of[0], &bottom,
                                &of[1]), 4);
        ck_assert(top / of[0] < before && bottom < top && bottom > 0 && of[0] == all[1] && of[1] == all[1]);
        before = bottom / of[1];
        at++;
    }
    ck_assert_int_eq(n, 6);
}
END_TEST

/* The picture that was there stays. */
START_TEST(fails)
{
    const sp_heatmap map = cats();
    char note[SP_PLOT_NOTE];
    install_gnuplot("exec /bin/cat");
    ck_assert(draw(&map, 1, note));
    const size_t n = strlen(read_picture());
    install_gnuplot("echo half; exit 3");
    ck_assert(!draw(&map, 1, note));
    ck_assert_str_eq(note, "no picture: gnuplot failed");
    ck_assert_uint_eq(strlen(read_picture()), n);
    remove_gnuplot();
    ck_assert(!draw(&map, 1, note));
    ck_assert_str_eq(note, "no picture: gnuplot is not installed");
    ck_assert_uint_eq(strlen(read_picture()), n);
}
END_TEST

START_TEST(wrong_calls)
{
    const char *const labels[] = { "a", NULL, "c" };
    const struct {
        sp_heatmap map;
        long n;
        const char *message;
    } calls[] = {
        { cats(), 0, "heat map: 0 maps, there must be 1 to 100" },
        { cats(), 101, "heat map: 101 maps, there must be 1 to 100" },
        { { .value = REALS(0), .rows = 0, .columns = 3 }, 1, "heat map: 0 rows and 3 columns, each must be 1 to 256" },
        { { .value = REALS(0), .rows = 2, .columns = 257 }, 1, "heat map: 2 rows and 257 columns, each must be 1 to 256" },
        { { .rows = 2, .columns = 2 }, 1, "heat map: there are no values" },
        { { .value = REALS(0, 0, 0), .rows = 3, .columns = 1, .row = labels }, 1, "heat map: the label of row 1 is NULL" },
        { { .value = REALS(0, 0, 0), .rows = 1, .columns = 3, .column = labels }, 1, "heat map: the label of column 1 is NULL" },
    };
    char note[SP_PLOT_NOTE];
    bool drawn = true;
    install_gnuplot("exec /bin/cat");
    for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
        sp_status status = { 0 };
        ck_assert(!sp_heatmap_draw(&calls[k].map, calls[k].n, picture, &drawn, note, &status) && !drawn && !*note);
        ck_assert_str_eq(status.message, calls[k].message);
    }
    sp_status status[3] = { 0 };
    ck_assert(!sp_heatmap_draw(NULL, 1, picture, &drawn, note, &status[0]));
    ck_assert(!sp_heatmap_draw(&calls[0].map, 1, NULL, &drawn, note, &status[1]));
    ck_assert(!sp_heatmap_draw(&calls[0].map, 1, directory, &drawn, note, &status[2]));
    ck_assert_str_eq(status[0].message, "heat map: the map is NULL");
    ck_assert_str_eq(status[1].message, "heat map: the path is NULL");
    ck_assert_ptr_nonnull(strstr(status[2].message, "cannot be written: Is a directory"));
    ck_assert(access(picture, F_OK));
}
END_TEST

/* Where gnuplot is installed it understands all that, and writes labels as they are, escaped for XML. */
START_TEST(real)
{
    static const char *const rows[] = { "'", "\"`date`\\", "50%", "{x}_2^3", "<&>", "\xFF", "\u65E5" };
    static const char *const drawn[] = { ">'<", "`date`\\<", ">50%<", ">{x}_2^3<", "&lt;&amp;", ">\uFFFD<", ">\u65E5<", "svg>" };
    sp_heatmap maps[] = { cats(), { .value = REALS(0, 1, 0, 1, 0, 1, 0), .rows = 7, .columns = 1, .row = rows } };
    char note[SP_PLOT_NOTE];
    use_real_gnuplot();
    if (!draw(maps, 2, note)) {
        ck_assert_str_eq(note, "no picture: gnuplot is not installed");
        return;
    }
    read_picture();
    for (size_t k = 0; k < sizeof drawn / sizeof *drawn; k++)
        ck_assert_msg(strstr(text, drawn[k]), "no '%s'", drawn[k]);
    for (int k = 0; k < 3; k++)
        ck_assert(strstr(text, source[k]));
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("heatmap");
    TCase *c = tcase_create("heatmap");
    tcase_add_checked_fixture(c, begin_own_gnuplot, end_own_gnuplot);
    tcase_add_test(c, script);
    tcase_add_test(c, words);
    tcase_add_test(c, sizes);
    tcase_add_test(c, fails);
    tcase_add_test(c, wrong_calls);
    tcase_add_test(c, real);
    suite_add_tcase(all, c);
    return all;
}
