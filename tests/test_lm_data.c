/* Texts for language models: how they are split, cut into symbols and numbered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"
#include "zoo/lm_data.h"

static char directory[PATH_ROOM], path[3][PATH_ROOM + 16];

static void begin(void)
{
    ck_new_directory(directory);
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof path[i], "%s/%d", directory, i);
}

static void end(void)
{
    for (int i = 0; i < 3; i++)
        remove(path[i]);
    ck_assert_int_eq(rmdir(directory), 0);
}

static sp_lm_data read_text(const char *text, sp_level level, const char *split)
{
    sp_lm_data d;
    sp_status status = { 0 };
    const bool ok = sp_lm_data_read(&d, &(sp_lm_source){ .text = text, .size = strlen(text), .level = level, .split = split }, &status);
    ck_assert_msg(ok, "%s", status.message);
    return d;
}

/* The symbols as text, to compare. */
static void ck_symbols(const sp_vocabulary *v, const sp_ids *ids, const char *text)
{
    size_t length, at = 0;
    for (long i = 0; i < ids->n; i++) {
        const char *s = sp_vocabulary_symbol(v, ids->id[i], &length);
        ck_assert_msg(!strncmp(text + at, s, length), "'%.*s' in place of '%s'", (int)length, s, text + at);
        at += length;
    }
    ck_assert_int_eq((int)at, (int)strlen(text));
}

/* ---- splits ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    sp_level level;
    const char *split, *train, *valid, *test;
} splits[] = {
    { "abcdefghijklmnopqrst", SP_LEVEL_CHAR, NULL, "abcdefghijklmnopqr", "<unk><unk>", "" },
    { "ababababababababababa", SP_LEVEL_CHAR, NULL, "ababababababababab" "a", "ba", "" },
    { "ababababababababababa", SP_LEVEL_CHAR, "80,10,10", "ababababababababa", "ba", "ba" },
    { "aaaaaaaaab", SP_LEVEL_CHAR, "50,50", "aaaaa", "aaaa<unk>", "" },
    { "a a\na a \r\n b a\nb a", SP_LEVEL_WORD, "40,30,30", "aa\naa", "\n<unk>a\n", "<unk>a\n" },
};

START_TEST(split)
{
    sp_lm_data d = read_text(splits[_i].text, splits[_i].level, splits[_i].split);
    ck_symbols(d.vocabulary, &d.train, splits[_i].train);
    ck_symbols(d.vocabulary, &d.valid, splits[_i].valid);
    ck_symbols(d.vocabulary, &d.test, splits[_i].test);
    sp_lm_data_free(&d);
    ck_assert(!d.vocabulary && !d.train.id && !d.train.n);
}
END_TEST

/* ---- files, as of the Penn Treebank ------------------------------------------------------------------------------ */

/* 9,998 words and <unk>, a sentence a line with a space before and behind it. */
START_TEST(treebank)
{
    enum { WORDS = 9998 };
    sp_lm_data d;
    sp_status status = { 0 };
    FILE *f = fopen(path[0], "w");
    for (int i = 0; i < WORDS; i++)
        fprintf(f, " w%d <unk> w%d \n", i, i / 7);
    ck_assert(!fclose(f));
    ck_put_file(path[1], " w1 <unk> \n w2 \n", 16);
    ck_put_file(path[2], " w5 w2 never", 12);                         /* a last line without an end gets one */
    const sp_lm_source from = { .train = path[0], .valid = path[1], .test = path[2], .level = SP_LEVEL_WORD, .most = 10000 };
    ck_assert_msg(sp_lm_data_read(&d, &from, &status), "%s", status.message);
    ck_assert_int_eq(sp_vocabulary_size(d.vocabulary), 10000);
    ck_assert_int_eq(d.train.n, 4 * WORDS);             /* each line has an end */
    ck_assert_int_eq(d.train.unknown, 0);               /* that is what it says */
    ck_assert_int_eq(d.valid.unknown, 0);
    ck_symbols(d.vocabulary, &d.valid, "w1<unk>\nw2\n");
    ck_symbols(d.vocabulary, &d.test, "w5w2<unk>\n");
    ck_assert_int_eq(d.test.unknown, 1);
    ck_assert_int_eq(d.valid.id[1], SP_UNKNOWN);
    sp_ids again;
    ck_assert(sp_lm_data_encode(d.vocabulary, path[2], &again, NULL));
    ck_assert_int_eq(again.n, d.test.n);
    ck_assert_int_eq(again.unknown, 1);
    ck_assert_mem_eq(again.id, d.test.id, (size_t)again.n * sizeof *again.id);
    free(again.id);
    ck_assert(!sp_lm_data_encode(d.vocabulary, directory, &again, &status) && !again.id);
    sp_lm_data_free(&d);
}
END_TEST

/* Only the file to validate on is missing: it is split off. */
START_TEST(test_file_alone)
{
    sp_lm_data d;
    ck_put_file(path[0], "aaaaaaaaaaaaaaaaaaaabb", 22);
    ck_put_file(path[2], "baab", 4);
    ck_assert(sp_lm_data_read(&d, &(sp_lm_source){ .train = path[0], .test = path[2] }, NULL));
    ck_symbols(d.vocabulary, &d.train, "aaaaaaaaaaaaaaaaaaaa");
    ck_symbols(d.vocabulary, &d.valid, "<unk><unk>");
    ck_symbols(d.vocabulary, &d.test, "<unk>aa<unk>");
    sp_lm_data_free(&d);
}
END_TEST

/* ---- texts as they come ---------------------------------------------------------------------------------------- */

/* Lines that end in \r\n have the same words, and the same ends, as those that end in \n. */
START_TEST(carriage_returns)
{
    sp_lm_data unix_lines = read_text("one two\n\nthree one\ntwo two\none\n", SP_LEVEL_WORD, "50,50");
    sp_lm_data dos_lines = read_text("one two\r\n\r\nthree one\r\ntwo two\r\none\r\n", SP_LEVEL_WORD, "50,50");
    ck_assert_int_eq(unix_lines.train.n, dos_lines.train.n);
    ck_assert_mem_eq(unix_lines.train.id, dos_lines.train.id, (size_t)dos_lines.train.n * sizeof(int));
    ck_assert_mem_eq(unix_lines.valid.id, dos_lines.valid.id, (size_t)dos_lines.valid.n * sizeof(int));
    ck_assert_int_eq(sp_vocabulary_size(dos_lines.vocabulary), 5);
    sp_lm_data_free(&unix_lines);
    sp_lm_data_free(&dos_lines);
}
END_TEST

/* No byte is lost that is no UTF-8, at either level; a sentence may have 10,000 words. */
START_TEST(odd_texts)
{
    enum { WORDS = 10000 };
    sp_lm_data d = read_text("\xFF\xC3 a\xE2\x82 \xFF\xC3 a\xE2\x82", SP_LEVEL_CHAR, "50,50");
    ck_symbols(d.vocabulary, &d.train, "\xFF\xC3 a\xE2\x82 ");
    ck_symbols(d.vocabulary, &d.valid, "\xFF\xC3 a\xE2\x82");
    sp_lm_data_free(&d);
    d = read_text("x\xFF y \xC3 x\xFF", SP_LEVEL_WORD, "50,50");
    ck_symbols(d.vocabulary, &d.train, "x\xFFy\xC3");
    ck_symbols(d.vocabulary, &d.valid, "x\xFF<unk>");
    sp_lm_data_free(&d);
    char *text = malloc(3 * WORDS + 2);
    for (int i = 0; i < WORDS; i++)
        memcpy(text + 3 * i, "ab ", 3);
    memcpy(text + 3 * WORDS, "\n", 2);
    d = read_text(text, SP_LEVEL_WORD, NULL);
    ck_assert_int_eq(d.train.n + d.valid.n, WORDS + 1);
    sp_lm_data_free(&d);
    free(text);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static void ck_refused(const sp_lm_source *from, const char *error)
{
    sp_lm_data d;
    sp_status status = { 0 };
    ck_assert(!sp_lm_data_read(&d, from, &status));
    ck_assert_msg(strstr(status.message, error) != NULL, "'%s', not '%s'", status.message, error);
    ck_assert(!d.vocabulary && !d.train.id && !d.valid.id && !d.test.id);
}

START_TEST(wrong_splits)
{
    static const char *const wrong[] = { "", "90", "90,10,", "90,20", "80,30,10", "100,0", "90,10,0", "-10,90,20", "90;10", "50,50x",
                                         "40,20,20,20", "90.5,9.5", " 80,20", "80, 20", "+80,20", "80,20 ", "4294967376,20" };
    char error[90];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(error, sizeof error, "split %s: expected two or three whole percents", wrong[i]);
        ck_refused(&(sp_lm_source){ .text = "abcdefghijabcdefghij", .size = 20, .split = wrong[i] }, error);
    }
}
END_TEST

START_TEST(wrong_sources)
{
    ck_put_file(path[0], "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 42);
    ck_put_file(path[1], "", 0);
    ck_put_file(path[2], "a", 1);
    char error[PATH_ROOM + 100];
    ck_refused(&(sp_lm_source){ .most = 3 }, "there is neither file nor text to train on");
    ck_refused(&(sp_lm_source){ .train = path[0], .text = "a" }, "a file and a text to train on");
    ck_refused(&(sp_lm_source){ .train = path[0], .valid = path[0], .valid_text = "a" }, "a file and a text to validate on");
    snprintf(error, sizeof error, "split 90,10: but there is %s to validate on", path[2]);
    ck_refused(&(sp_lm_source){ .train = path[0], .valid = path[2], .split = "90,10" }, error);
    snprintf(error, sizeof error, "split 80,10,10: but there is %s to test on", path[2]);
    ck_refused(&(sp_lm_source){ .train = path[0], .test = path[2], .split = "80,10,10" }, error);
    snprintf(error, sizeof error, "%s: is empty", path[1]);
    ck_refused(&(sp_lm_source){ .train = path[0], .test = path[1] }, error);
    snprintf(error, sizeof error, "%s: 1 symbols to test on, expected 2 or more", path[2]);
    ck_refused(&(sp_lm_source){ .train = path[0], .test = path[2] }, error);
    ck_refused(&(sp_lm_source){ .train = path[0], .valid = path[2] }, "1 symbols to validate on, expected 2 or more");
    ck_refused(&(sp_lm_source){ .train = path[2], .valid = path[0] }, "1 symbols to train on, expected 2 or more");
    ck_refused(&(sp_lm_source){ .train = path[2] }, "symbols to ");
    ck_refused(&(sp_lm_source){ .train = directory }, "cannot be read: Is a directory");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("lm_data");
    TCase *c = tcase_create("lm_data");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, split, 0, sizeof splits / sizeof *splits);
    tcase_add_test(c, treebank);
    tcase_add_test(c, test_file_alone);
    tcase_add_test(c, carriage_returns);
    tcase_add_test(c, odd_texts);
    tcase_add_test(c, wrong_splits);
    tcase_add_test(c, wrong_sources);
    suite_add_tcase(all, c);
    return all;
}
