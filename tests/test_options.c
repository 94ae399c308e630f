/* What a program says and reads: options, reports, the numbers beside a progress bar. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/options.h"
#include "zoo/progress.h"
#include "zoo/report.h"

/* ---- options --------------------------------------------------------------------------------------------------- */

static const char *data, *cell;
static long hidden;
static double rate;
static bool tied;

static const sp_option options[] = {
    { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .required = true, .help = "text" },
    { "hidden", SP_OPTION_WHOLE, &hidden, 1, 100, .help = "size" },
    { "rate", SP_OPTION_NUMBER, &rate, -1, 0.5, .help = "of learning" },
    { "cell", SP_OPTION_CHOICE, &cell, .argument = "rnn|lstm|g", .help = "kind" },
    { "tied", SP_OPTION_FLAG, &tied, .help = "or not" },
    { 0 }
};
static const sp_command train = { "lm train", "Trains.", options, NULL, NULL };
static const sp_command score = { "lm score", "Scores.", options + 1, "MODEL TEXT", NULL };

static const sp_need needs[] = {
    { "hidden", "cell", "rnn|g" }, { "tied", "data", NULL }, { "cell", "tied", "" }, { "rate", "hidden", NULL },
    { 0 }
};
static const sp_command needy = { "lm need", "Needs.", options, NULL, needs };

static void defaults(void)
{
    data = NULL;
    cell = "lstm";
    hidden = 10;
    rate = 0.25;
    tied = false;
}

/* Splits "a b c" at spaces; $ stands for an empty word. Returns how many. */
static int split(const char *line, char *copy, char **argv)
{
    int n = 0;
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[n++] = strcmp(word, "$") ? word : word + 1;
    return n;
}

/* Either all values, "data hidden rate cell tied", behind the arguments if there are any, or the message; "help" is help. */
static const struct {
    const sp_command *command;
    const char *line, *outcome;
} lines[] = {
    { &train, "--data f", "f 10 0.25 lstm 0" },
    { &train, "--data=f", "f 10 0.25 lstm 0" },
    { &train, "--data a=b", "a=b 10 0.25 lstm 0" },
    { &train, "--data=a=b", "a=b 10 0.25 lstm 0" },
    { &train, "--data --hidden", "--hidden 10 0.25 lstm 0" },
    { &train, "--hidden 1 --data f", "f 1 0.25 lstm 0" },
    { &train, "--data f --hidden=100", "f 100 0.25 lstm 0" },
    { &train, "--data f --hidden 3 --hidden 4", "f 4 0.25 lstm 0" },
    { &train, "--data f --rate -1", "f 10 -1 lstm 0" },
    { &train, "--data f --rate=5e-1", "f 10 0.5 lstm 0" },
    { &train, "--data f --cell g", "f 10 0.25 g 0" },
    { &train, "--data f --cell rnn", "f 10 0.25 rnn 0" },
    { &train, "--tied --data f", "f 10 0.25 lstm 1" },
    { &train, "--help", "help" },
    { &train, "-h", "help" },
    { &train, "--data f --nonsense --hidden 0 --help", "help" },
    { &needy, "--data f", "f 10 0.25 lstm 0" },
    { &needy, "--data f --cell g --hidden 3", "f 3 0.25 g 0" },
    { &needy, "--data f --tied", "f 10 0.25 lstm 1" },
    { &needy, "--data f --rate 0", "f 10 0 lstm 0" },
    { &needy, "--data --hidden", "--hidden 10 0.25 lstm 0" },
    { &needy, "--hidden=3 --data f", "--hidden: has an effect only with --cell rnn|g, not lstm (see lm need --help)" },
    { &needy, "--data f --tied --cell=g", "--cell: has an effect only without --tied (see lm need --help)" },
    { &train, "", "--data FILE is missing (see lm train --help)" },
    { &train, "--tied", "--data FILE is missing (see lm train --help)" },
    { &train, "--data", "--data: expected a value behind it" },
    { &train, "--data f --hidden", "--hidden: expected a value behind it" },
    { &train, "--data=", "--data: expected FILE, not an empty text" },
    { &train, "--data $", "--data: expected FILE, not an empty text" },
    { &train, "--hidden 0", "--hidden 0: expected a whole number from 1 to 100" },
    { &train, "--hidden 101", "--hidden 101: expected a whole number from 1 to 100" },
    { &train, "--hidden -5", "--hidden -5: expected a whole number from 1 to 100" },
    { &train, "--hidden 5.0", "--hidden 5.0: expected a whole number from 1 to 100" },
    { &train, "--hidden 5x", "--hidden 5x: expected a whole number from 1 to 100" },
    { &train, "--hidden x", "--hidden x: expected a whole number from 1 to 100" },
    { &train, "--hidden 0x10", "--hidden 0x10: expected a whole number from 1 to 100" },
    { &train, "--hidden $", "--hidden : expected a whole number from 1 to 100" },
    { &train, "--hidden=", "--hidden : expected a whole number from 1 to 100" },
    { &train, "--hidden 18446744073709551617", "--hidden 18446744073709551617: expected a whole number from 1 to 100" },
    { &train, "--rate 0.51", "--rate 0.51: expected a number from -1 to 0.5" },
    { &train, "--rate nan", "--rate nan: expected a number from -1 to 0.5" },
    { &train, "--rate inf", "--rate inf: expected a number from -1 to 0.5" },
    { &train, "--rate 1e999", "--rate 1e999: expected a number from -1 to 0.5" },
    { &train, "--rate 0,1", "--rate 0,1: expected a number from -1 to 0.5" },
    { &train, "--cell gru", "--cell gru: expected one of rnn|lstm|g" },
    { &train, "--cell l", "--cell l: expected one of rnn|lstm|g" },
    { &train, "--cell rnn|lstm", "--cell rnn|lstm: expected one of rnn|lstm|g" },
    { &train, "--cell $", "--cell : expected one of rnn|lstm|g" },
    { &train, "--tied=1", "--tied=1: --tied takes no value" },
    { &train, "--hid 3", "--hid: no such option (see lm train --help)" },
    { &train, "--hiddenly 3", "--hiddenly: no such option (see lm train --help)" },
    { &train, "--", "--: no such option (see lm train --help)" },
    { &train, "--=3", "--=3: no such option (see lm train --help)" },
    { &train, "--data f more", "'more': unexpected (see lm train --help)" },
    { &train, "-data f", "'-data': unexpected (see lm train --help)" },
    { &score, "m t", "m t (null) 10 0.25 lstm 0" },
    { &score, "--hidden 3 m --tied t --cell g", "m t (null) 3 0.25 g 1" },
    { &score, "m", "expected MODEL TEXT (see lm score --help)" },
    { &score, "", "expected MODEL TEXT (see lm score --help)" },
    { &score, "m t u", "'u': unexpected (see lm score --help)" },
};

START_TEST(parsing)
{
    char copy[256], outcome[256] = "", *argv[16];
    const char *argument[2];
    sp_status status = { 0 };
    defaults();
    int argc = split(lines[_i].line, copy, argv);
    switch (sp_options_parse(lines[_i].command, argc, argv, argument, &status)) {
    case SP_PARSED:
        if (lines[_i].command->arguments)
            snprintf(outcome, sizeof outcome, "%s %s ", argument[0], argument[1]);
        snprintf(outcome + strlen(outcome), sizeof outcome - strlen(outcome), "%s %ld %g %s %d", data ? data : "(null)",
                 hidden, rate, cell, tied);
        ck_assert_int_eq(status.code, SP_OK);
        break;
    case SP_PARSED_HELP:
        strcpy(outcome, "help");
        break;
    case SP_PARSED_WRONG:
        strcpy(outcome, status.message);
        ck_assert_int_eq(status.code, SP_ERR_VALUE);
        break;
    }
    ck_assert_str_eq(outcome, lines[_i].outcome);
}
END_TEST

/* What was written to a file, as text. */
static const char *contents(FILE *f)
{
    static char text[2048];
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* ---- choices that are numbers, and rows one by one ------------------------------------------------------------- */

typedef enum colour { RED, DEEP_BLUE, B } colour;
#define COLOURS "red|deep-blue|b"

/* A word, and its place; a place, and its word. */
static const struct {
    const char *choices, *word;
    int index;
} choices[] = {
    { COLOURS, "red", 0 }, { COLOURS, "deep-blue", 1 }, { COLOURS, "b", 2 }, { COLOURS, "", -1 }, { COLOURS, "re", -1 },
    { COLOURS, "blue", -1 }, { COLOURS, "deep", -1 }, { COLOURS, "red|deep-blue", -1 }, { COLOURS, "RED", -1 }, { COLOURS, "bb", -1 },
    { "one", "one", 0 }, { "one", "two", -1 }, { "a|aa|aaa", "aa", 1 }, { "", "a", -1 },
};

START_TEST(choice)
{
    char word[SP_CHOICE_ROOM];
    const int at = sp_choice_index(choices[_i].choices, choices[_i].word);
    ck_assert_int_eq(at, choices[_i].index);
    ck_assert_str_eq(sp_choice_word(choices[_i].choices, at, word), at < 0 ? "" : choices[_i].word);
    for (int beyond = 3; beyond < 6; beyond++)
        ck_assert_str_eq(sp_choice_word(choices[_i].choices, beyond, word), "");
}
END_TEST

START_TEST(long_choice)
{
    char lengthy[200] = "x|", word[SP_CHOICE_ROOM];
    memset(lengthy + 2, 'y', 100);
    ck_assert_uint_eq(strlen(sp_choice_word(lengthy, 1, word)), SP_CHOICE_ROOM - 1);
    ck_assert_ptr_eq(sp_choice_word(lengthy, 0, word), word);
    ck_assert_str_eq(word, "x");
}
END_TEST

/* An enum by its word, as value, default and in a report; its neighbours in memory stay. */
START_TEST(by_word)
{
    struct { colour before, of, behind; } c = { B, DEEP_BLUE, B };
    const sp_option rows[] = { { "colour", SP_OPTION_INDEX, &c.of, .argument = COLOURS, .help = "of it" }, { 0 } };
    const sp_command command = { "paint", "Paints.", rows, NULL, NULL };
    sp_status status = { 0 };
    FILE *f = tmpfile();
    sp_options_help(&command, f);
    ck_assert_ptr_nonnull(strstr(contents(f), "  --colour red|deep-blue|b    of it [deep-blue]\n"));
    ck_assert_int_eq(sp_options_parse(&command, 2, (char *[]){ "--colour", "b" }, NULL, &status), SP_PARSED);
    ck_assert_int_eq(c.of, B);
    ck_assert_int_eq(sp_options_parse(&command, 1, (char *[]){ "--colour=red" }, NULL, &status), SP_PARSED);
    ck_assert(c.of == RED && c.before == B && c.behind == B);
    ck_assert_int_eq(sp_options_parse(&command, 1, (char *[]){ "--colour=blue" }, NULL, &status), SP_PARSED_WRONG);
    ck_assert_str_eq(status.message, "--colour blue: expected one of red|deep-blue|b");
}
END_TEST

/* Choices that have no room beside their option stand below its help, in lines of 100 letters at most. */
START_TEST(many_choices)
{
    static const char words[] = "alpha-alpha|beta-beta|gamma-gamma|delta-delta|epsilon-epsilon|zeta-zeta|eta-eta|theta-theta|last";
    int at = 8, first = 0;
    const sp_option rows[] = { { "letter", SP_OPTION_INDEX, &at, .argument = words, .help = "of Greek" },
                               { "cell", SP_OPTION_INDEX, &first, .argument = "abcde|fghij|klmno|pq", .help = "fits" },
                               { "cell", SP_OPTION_INDEX, &first, .argument = "abcde|fghij|klmno|pqr", .help = "does not" },
                               { "a-name-longer-than-the-column", SP_OPTION_INDEX, &at, .argument = "a|b", .help = "x" }, { 0 } };
    FILE *f = tmpfile();
    sp_options_help(&(sp_command){ "greek", "Writes.", rows, NULL, NULL }, f);
    ck_assert_str_eq(contents(f), "Usage: greek [--option value ...]\nWrites.\n\n"
                     "  --letter NAME               of Greek [last]\n"
                     "                              alpha-alpha beta-beta gamma-gamma delta-delta epsilon-epsilon\n"
                     "                              zeta-zeta eta-eta theta-theta last\n"
                     "  --cell abcde|fghij|klmno|pq fits [abcde]\n"
                     "  --cell NAME                 does not [abcde]\n"
                     "                              abcde fghij klmno pqr\n"
                     "  --a-name-longer-than-the-column NAME x []\n"
                     "                              a b\n");
}
END_TEST

/* What a row may hold, wherever it came from. */
START_TEST(checking)
{
    long whole = 0;
    double number = 0;
    const char *words = "b";
    bool flag = true;
    const sp_option rows[] = { { "n", SP_OPTION_WHOLE, &whole, -2, 7, .help = "" },
                               { "x", SP_OPTION_NUMBER, &number, 0, 1e-3, .help = "" },
                               { "w", SP_OPTION_CHOICE, &words, .argument = "a|b" },
                               { "t", SP_OPTION_TEXT, &words, .argument = "FILE" }, { "f", SP_OPTION_FLAG, &flag, .help = "" } };
    const struct { int row; double value; const char *given, *message; } cases[] = {
        { 0, -2, "-2", NULL }, { 0, 7, "7", NULL }, { 0, 8, "8", "its n is 8: expected a whole number from -2 to 7" },
        { 0, -3, "?", "its n is ?: expected a whole number from -2 to 7" }, { 1, 0, "0", NULL }, { 1, 1e-3, "x", NULL },
        { 1, 1.1e-3, "x", "its n is x: expected a number from 0 to 0.001" },
        { 1, NAN, "nan", "its n is nan: expected a number from 0 to 0.001" },
        { 2, 0, "a", NULL }, { 2, 0, "c", "its n is c: expected one of a|b" }, { 3, 0, "any", NULL },
        { 3, 0, "", "its n is: expected FILE, not an empty text" }, { 4, 0, "", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sp_status status = { 0 };
        whole = cases[i].row == 0 ? (long)cases[i].value : 0;
        number = cases[i].value;
        const bool ok = sp_option_check(&rows[cases[i].row], "its n is", cases[i].given, &status);
        ck_assert_msg(ok == !cases[i].message, "case %zu: %s", i, status.message);
        if (cases[i].message)
            ck_assert_str_eq(status.message, cases[i].message);
    }
}
END_TEST

START_TEST(checking_all)
{
    long whole = 3;
    double number = 0.5;
    const char *word = "b", *file = NULL;
    int index = 1;
    bool flag = false;
    const sp_option rows[] = { { "n", SP_OPTION_WHOLE, &whole, 1, 7, .help = "" }, { "x", SP_OPTION_NUMBER, &number, 0, 1, .help = "" },
                               { "w", SP_OPTION_CHOICE, &word, .argument = "a|b" }, { "i", SP_OPTION_INDEX, &index, .argument = "a|b" },
                               { "t", SP_OPTION_TEXT, &file, .argument = "FILE" }, { "f", SP_OPTION_FLAG, &flag, .help = "" }, { 0 } };
    sp_status status = { 0 };
    ck_assert_msg(sp_options_check(rows, &status), "%s", status.message);
#define WRONG(set, back, said) do { \
        status = (sp_status){ 0 }; \
        set; \
        ck_assert(!sp_options_check(rows, &status)); \
        ck_assert_str_eq(status.message, said); \
        back; \
    } while (0)
    WRONG(whole = 8, whole = 7, "n 8: expected a whole number from 1 to 7");
    WRONG(whole = LONG_MIN, whole = 1, "n -9223372036854775808: expected a whole number from 1 to 7");
    WRONG(number = NAN, number = 1, "x nan: expected a number from 0 to 1");
    WRONG(word = "c", word = "a", "w c: expected one of a|b");
    WRONG(word = NULL, word = "a", "w NULL: expected one of a|b");
    WRONG(index = 2, index = 0, "i 2: expected one of a|b");
    WRONG(index = -1, index = 0, "i -1: expected one of a|b");
    WRONG(file = "", file = "any", "t: expected FILE, not an empty text");
#undef WRONG
    ck_assert_msg(sp_options_check(rows, &status), "%s", status.message);
}
END_TEST

START_TEST(reporting)
{
    colour c = DEEP_BLUE;
    const sp_option more[] = { { "colour", SP_OPTION_INDEX, &c, .argument = COLOURS }, { 0 } };
    sp_report *r = sp_report_new();
    defaults();
    sp_options_report(options, r);
    sp_options_report(more, r);
    char *text = sp_report_string(r, 6);
    ck_assert_str_eq(text, "{\"data\": null, \"hidden\": 10, \"rate\": 0.25, \"cell\": \"lstm\", \"tied\": false, "
                     "\"colour\": \"deep-blue\"}");
    free(text);
    sp_report_free(r);
}
END_TEST

/* Only a text can be missing: what else is required has a value. */
START_TEST(required)
{
    struct { bool flag, others[15]; } flag = { false, { true } };
    long number = 0;
    const sp_option rows[] = { { "flag", SP_OPTION_FLAG, &flag.flag, .required = true, .help = "" },
                               { "number", SP_OPTION_WHOLE, &number, 0, 1, .required = true, .help = "" },
                               { "cell", SP_OPTION_CHOICE, &cell, .argument = "a|b", .required = true, .help = "" }, { 0 } };
    const sp_command command = { "go", "Goes.", rows, NULL, NULL };
    sp_status status = { 0 };
    cell = NULL;
    ck_assert_int_eq(sp_options_parse(&command, 0, NULL, NULL, &status), SP_PARSED_WRONG);
    ck_assert_str_eq(status.message, "--cell a|b is missing (see go --help)");
    cell = "a";
    ck_assert_int_eq(sp_options_parse(&command, 0, NULL, NULL, NULL), SP_PARSED);
}
END_TEST

START_TEST(help)
{
    FILE *f = tmpfile();
    defaults();
    sp_options_help(&train, f);
    ck_assert_str_eq(contents(f),
                     "Usage: lm train [--option value ...]\n"
                     "Trains.\n"
                     "\n"
                     "  --data FILE                 text (required)\n"
                     "  --hidden N                  size [10]\n"
                     "  --rate X                    of learning [0.25]\n"
                     "  --cell rnn|lstm|g           kind [lstm]\n"
                     "  --tied                      or not\n");
    f = tmpfile();
    sp_options_help(&score, f);
    ck_assert_ptr_nonnull(strstr(contents(f), "Usage: lm score MODEL TEXT [--option value ...]\n"));
}
END_TEST

/* ---- reports --------------------------------------------------------------------------------------------------- */

START_TEST(report)
{
    FILE *f = tmpfile();
    sp_report *r = sp_report_new();
    sp_report_text(r, "text", "a \"b\"\n\xC3\xB6");
    sp_report_text(r, "none", NULL);
    sp_report_count(r, "count", -123456789012);
    sp_report_number(r, "third", 1 / 3.0);
    sp_report_number(r, "nan", NAN);
    sp_report_number(r, "inf", -INFINITY);
    sp_report_flag(r, "yes", true);
    sp_report_flag(r, "no", false);
    sp_report_count(r, "count", 7);             /* the last one counts */
    ck_assert(sp_report_write(r, f));
    ck_assert_str_eq(contents(f), "{\"text\": \"a \\\"b\\\"\\n\xC3\xB6\", \"none\": null, \"count\": 7, \"third\": 0.333333, "
                     "\"nan\": null, \"inf\": null, \"yes\": true, \"no\": false}\n");
    sp_report_free(r);
}
END_TEST

/* Exact text, what it says of bytes, and what differs. */
START_TEST(report_text)
{
    static const struct { const char *json, *difference; } others[] = {
        { "{\"n\": 3, \"x\": 0.1, \"s\": \"a\"}", NULL }, { "{\"s\": \"a\", \"x\": 0.10000000000000001, \"n\": 3}", NULL },
        { "{\"n\": 4, \"x\": 0.1, \"s\": \"a\"}", "n is 4, not 3" }, { "{\"n\": 3, \"s\": \"a\"}", "x is missing, not 0.1" },
        { "{\"n\": 3, \"x\": 0.1, \"s\": \"a\", \"y\": true}", "y is true, not missing" },
        { "{\"n\": 3, \"x\": 0.1000000000000001, \"s\": \"a\"}", "x is 0.1000000000000001, not 0.10000000000000001" },
        { "{\"n\": 3", "is no JSON object" }, { "[]", "is no JSON object" }, { NULL, "is no JSON object" },
    };
    sp_report *r = sp_report_new();
    sp_report_count(r, "n", 3);
    sp_report_number(r, "x", 0.1);
    sp_report_text(r, "s", "a");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        sp_status status = { 0 };
        ck_assert(sp_report_equals(r, others[i].json, &status) == !others[i].difference);
        ck_assert_str_eq(status.message, others[i].difference ? others[i].difference : "");
        ck_assert_int_eq(status.code, !others[i].difference ? SP_OK : *status.message == 'i' ? SP_ERR_FORMAT : SP_ERR_VALUE);
    }
    char *exact = sp_report_string(r, 17);
    ck_assert(sp_report_equals(r, exact, NULL));
    free(exact);
    sp_report_free(r);
    r = sp_report_new();
    sp_report_bytes(r, "b", "foobar", 6);       /* FNV-1a of it is known */
    char *line = sp_report_string(r, 6);
    ck_assert_str_eq(line, "{\"b\": \"6:85944171f73967e8\"}");
    free(line);
    sp_report_free(r);
    ck_assert(!sp_report_string(NULL, 6) && !sp_report_equals(NULL, "{}", NULL));
}
END_TEST

/* What cannot be written is not passed over. */
START_TEST(report_fails)
{
    FILE *f = tmpfile(), *full = fopen("/dev/full", "w");
    sp_report *r = sp_report_new();
    sp_report_count(r, "count", 1);
    ck_assert(!full || !sp_report_write(r, full));
    sp_report_text(r, "text", "a\xFF");         /* no UTF-8 */
    ck_assert(sp_report_write(r, f));
    ck_assert(!sp_report_write(NULL, f));
    ck_assert_str_eq(contents(f), "{\"count\": 1, \"text\": \"a?\"}\n");
    sp_report_text(NULL, "text", "x");
    sp_report_free(NULL);
    sp_report_free(r);
    if (full)
        fclose(full);
}
END_TEST

/* ---- progress -------------------------------------------------------------------------------------------------- */

static const struct {
    long n;
    const char *text;
} thousands[] = {
    { 0, "0" }, { 7, "7" }, { 999, "999" }, { 1000, "1,000" }, { 12345, "12,345" }, { 123456, "123,456" },
    { 1234567, "1,234,567" }, { -1, "-1" }, { -999, "-999" }, { -1000, "-1,000" }, { -123456, "-123,456" },
};

START_TEST(commas)
{
    char text[32];
    ck_assert_str_eq(sp_thousands(text, thousands[_i].n), thousands[_i].text);
    ck_assert_int_le(strlen(sp_thousands(text, -9223372036854775807 - 1)), 31);
}
END_TEST

/* Not on a terminal: nothing. */
START_TEST(no_bar)
{
    sp_progress bar;
    FILE *f = tmpfile();
    sp_progress_begin(&bar, f, "symbol");
    sp_progress_show(&bar, "epoch", 0.5, 1, 100);
    sp_progress_end(&bar);
    ck_assert_str_eq(contents(f), "");
    sp_progress_begin(&bar, NULL, "symbol");
    sp_progress_show(&bar, "epoch", 1, 1, 100);
    sp_progress_end(&bar);
}
END_TEST

START_TEST(given)
{
    static const struct { const char *line, *name, *value; } rows[] = {
        { "--hidden 3 --data f", "hidden", "3" }, { "--hidden=3 --hidden 4", "hidden", "4" }, { "--data --hidden", "hidden", NULL },
        { "f --tied", "tied", "" }, { "--nonsense --cell no", "cell", "no" }, { "--cell", "cell", "" }, { "--cellar g", "cell", NULL },
        { "--data=--cell", "cell", NULL }, { "", "cell", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char copy[256], *argv[16];
        const char *value = sp_option_given(options, split(rows[i].line, copy, argv), argv, rows[i].name);
        ck_assert_msg(rows[i].value ? value && !strcmp(value, rows[i].value) : !value, "%s: '%s'", rows[i].line,
                      value ? value : "NULL");
    }
}
END_TEST

/* What a need may ask for, of all kinds. */
START_TEST(needed)
{
    static long whole;
    static double number;
    static bool flag;
    static int index;
    static const char *text, *word;
    static const sp_option rows[] = {
        { "whole", SP_OPTION_WHOLE, &whole, 0, 9, .help = "" }, { "number", SP_OPTION_NUMBER, &number, 0, 9, .help = "" },
        { "flag", SP_OPTION_FLAG, &flag, .help = "" }, { "text", SP_OPTION_TEXT, &text, .argument = "T", .help = "" },
        { "choice", SP_OPTION_CHOICE, &word, .argument = "a|b", .help = "" },
        { "index", SP_OPTION_INDEX, &index, .argument = "a|b", .help = "" }, { "x", SP_OPTION_FLAG, &tied, .help = "" }, { 0 }
    };
    static const struct { const char *other, *words, *with; bool before, after; } all[] = {
        { "whole", NULL, "--whole=1", false, true }, { "number", NULL, "--number=1", false, true },
        { "flag", NULL, "--flag", false, true }, { "text", NULL, "--text=1", false, true },
        { "choice", NULL, "--choice=a", false, true }, { "index", NULL, "--index=a", true, true },
        { "choice", "b", "--choice=b", false, true }, { "index", "b", "--index=b", false, true },
        { "index", "a", "--index=b", true, false }, { "flag", "", "--flag", true, false }, { "whole", "", "--whole=0", true, true },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const sp_need need[] = { { "x", all[i].other, all[i].words }, { 0 } };
        const sp_command command = { "go", "Goes.", rows, NULL, need };
        char *argv[] = { (char *)"--x", (char *)all[i].with };
        whole = index = 0;
        number = 0;
        flag = false;
        text = word = NULL;
        ck_assert_msg((sp_options_parse(&command, 1, argv, NULL, NULL) == SP_PARSED) == all[i].before, "row %zu without", i);
        ck_assert_msg((sp_options_parse(&command, 2, argv, NULL, NULL) == SP_PARSED) == all[i].after, "row %zu with", i);
    }
}
END_TEST

/* A table of needs that speaks of what is not there is wrong, whatever is given. */
START_TEST(needed_of_nothing)
{
    static const struct { sp_need need; const char *message; } rows[] = {
        { { "tied", "none", NULL }, "lm need: options have no such need: 'tied' of 'none' " },
        { { "tie", "cell", "rnn" }, "lm need: options have no such need: 'tie' of 'cell' rnn" },
        { { "tied", "cell", "rnn|lsdm" }, "lm need: options have no such need: 'tied' of 'cell' rnn|lsdm" },
        { { "tied", "hidden", "3" }, "lm need: options have no such need: 'tied' of 'hidden' 3" },
        { { "tied", "data", "f" }, "lm need: options have no such need: 'tied' of 'data' f" },
    };
    char *argv[] = { (char *)"--data", (char *)"f" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const sp_need need[] = { rows[i].need, { 0 } };
        const sp_command command = { "lm need", "Needs.", options, NULL, need };
        sp_status status = { 0 };
        defaults();
        ck_assert_int_eq(sp_options_parse(&command, 2, argv, NULL, &status), SP_PARSED_WRONG);
        ck_assert_int_eq(status.code, SP_ERR_STATE);
        ck_assert_str_eq(status.message, rows[i].message);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("options");
    TCase *c = tcase_create("options");
    tcase_add_test(c, given);
    tcase_add_test(c, needed);
    tcase_add_test(c, needed_of_nothing);
    tcase_add_loop_test(c, parsing, 0, sizeof lines / sizeof *lines);
    tcase_add_test(c, help);
    tcase_add_loop_test(c, choice, 0, sizeof choices / sizeof *choices);
    tcase_add_test(c, long_choice);
    tcase_add_test(c, by_word);
    tcase_add_test(c, many_choices);
    tcase_add_test(c, checking);
    tcase_add_test(c, checking_all);
    tcase_add_test(c, reporting);
    tcase_add_test(c, required);
    tcase_add_test(c, report);
    tcase_add_test(c, report_text);
    tcase_add_test(c, report_fails);
    tcase_add_loop_test(c, commas, 0, sizeof thousands / sizeof *thousands);
    tcase_add_test(c, no_bar);
    suite_add_tcase(all, c);
    return all;
}
