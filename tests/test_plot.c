/* What gnuplot is given to draw, by programs of that name that hand it on, fail, or are not there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/own_gnuplot.h"
#include "zoo/plot.h"

static const char lines[] =
    "{\"epoch\": 1, \"train_loss\": 2.5, \"valid_loss\": 2.25, \"F1\": 0.5, \"lr\": 0.002, \"seconds\": 1.5}\n"
    "{\"epoch\": 2, \"train_loss\": null, \"valid_loss\": 2.125, \"F1\": 0.75, \"lr\": 0.001, \"seconds\": 3}\n";

static bool plot(const char *metric, bool *drawn, char note[SP_PLOT_NOTE])
{
    sp_status status = { 0 };
    bool ok = sp_plot_log(lines, metric, picture, drawn, note, &status);
    ck_assert_msg(ok, "%s", status.message);
    return ok;
}

START_TEST(script)
{
    static const char *const always[] = {
        "\n 1 2.5 2.25 0.002 ", "\n 2 NaN 2.125 0.001 ", "set terminal svg", "title 'training'", "title 'validation'",
        "set xrange [0.5:2.5]", "unset multiplot\n",
    };
    char note[SP_PLOT_NOTE];
    bool drawn;
    install_gnuplot("exec /bin/cat");
    for (int i = 0; i < 2; i++) {
        ck_assert(plot(i ? "F1" : NULL, &drawn, note) && drawn && !*note);
        read_picture();
        for (size_t k = 0; k < sizeof always / sizeof *always; k++)
            ck_assert_msg(strstr(text, always[k]), "no '%s' in %s", always[k], text);
        ck_assert(!strstr(text, "title 'F1'") == !i && !strstr(text, " 0.75\n") == !i && !strstr(text, "axes x1y2") == !i
                  && !strstr(text, "set y2label 'F1'") == !i);
    }
    /* a name that would end the text it stands in */
    ck_assert(plot("a'\nb", &drawn, note) && strstr(read_picture(), "title 'a??b'\n"));
}
END_TEST

/* The picture that was there stays. */
START_TEST(fails)
{
    char note[SP_PLOT_NOTE];
    bool drawn;
    install_gnuplot("exec /bin/cat");
    ck_assert(plot(NULL, &drawn, note) && drawn);
    const size_t n = strlen(read_picture());
    install_gnuplot("echo half; exit 3");
    ck_assert(plot(NULL, &drawn, note) && !drawn);
    ck_assert_str_eq(note, "no picture: gnuplot failed");
    ck_assert_uint_eq(strlen(read_picture()), n);
    remove_gnuplot();
    ck_assert(plot(NULL, &drawn, note) && !drawn);
    ck_assert_str_eq(note, "no picture: gnuplot is not installed");
    ck_assert_uint_eq(strlen(read_picture()), n);
}
END_TEST

START_TEST(wrong_calls)
{
    char note[SP_PLOT_NOTE];
    bool drawn = true;
    sp_status status = { 0 };
    ck_assert(!sp_plot_log(NULL, NULL, picture, &drawn, note, &status) && !drawn);
    ck_assert_str_eq(status.message, "plot: the log is NULL");
    status = (sp_status){ 0 };
    ck_assert(!sp_plot_log(lines, NULL, directory, &drawn, note, &status) && !drawn);
    ck_assert_ptr_nonnull(strstr(status.message, "cannot be written: Is a directory"));
    install_gnuplot("exec /bin/cat");
    ck_assert(sp_plot_log("no JSON\n{\"epoch\": ", NULL, picture, &drawn, note, NULL) && drawn);
    ck_assert_ptr_nonnull(strstr(read_picture(), "$log << END\nEND\n"));
}
END_TEST

/* Where gnuplot is installed it understands all that. */
START_TEST(real)
{
    char note[SP_PLOT_NOTE];
    bool drawn;
    use_real_gnuplot();
    for (int i = 0; i < 2; i++) {
        ck_assert(plot(i ? "F1" : NULL, &drawn, note));
        if (!drawn) {
            ck_assert_str_eq(note, "no picture: gnuplot is not installed");
            return;
        }
        read_picture();
        ck_assert(strstr(text, "<svg") && strstr(text, "</svg>") && strstr(text, "validation") && strstr(text, "learning rate"));
        ck_assert(!strstr(text, "F1") == !i);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("plot");
    TCase *c = tcase_create("plot");
    tcase_add_checked_fixture(c, begin_own_gnuplot, end_own_gnuplot);
    tcase_add_test(c, script);
    tcase_add_test(c, fails);
    tcase_add_test(c, wrong_calls);
    tcase_add_test(c, real);
    suite_add_tcase(all, c);
    return all;
}
