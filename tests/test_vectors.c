/* Word vectors from text files: whose they become, and what is wrong with a file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/embed.h"
#include "tests/suite.h"
#include "zoo/vectors.h"

static char path[PATH_ROOM];
static sp_store *store;
static sp_vocabulary *words;
static sp_embed embed;

static void begin(void)
{
    static const char text[] = "the The THE London paris x";
    ck_new_file(path);
    words = sp_vocabulary_of(text, sizeof text - 1, SP_LEVEL_WORD, 0, NULL);
    store = sp_store_new(1);
    embed = sp_embed_make(store, "embed", sp_vocabulary_size(words), 2);
}

static void end(void)
{
    sp_store_free(store);
    sp_vocabulary_free(words);
    remove(path);
}

/* The two numbers of a word. */
static const sp_real *row(const char *word)
{
    return sp_param_read(embed.weight) + 2 * sp_vocabulary_id(words, word, strlen(word));
}

static const struct {
    const char *text;
    long found;
    const char *word;           /* whose row */
    double x, y;                /* becomes this; NaN: stays */
} files[] = {
    { "the 1 2\n", 3, "the", 1, 2 },
    { "the 1 2\n", 3, "THE", 1, 2 },                            /* for lack of its own: the lower-cased form's */
    { "the 1 2\nThe 3 4\n", 3, "The", 3, 4 },                   /* as it is, wherever it stands */
    { "The 3 4\nthe 1 2\n", 3, "The", 3, 4 },
    { "The 3 4\nthe 1 2\n", 3, "THE", 1, 2 },
    { "Paris 5 6\n", 1, "paris", 5, 6 },
    { "PARIS 7 8\nParis 5 6\n", 1, "paris", 7, 8 },
    { "Paris 5 6\nparis 7 8\n", 1, "paris", 7, 8 },
    { "Paris 5 6\n", 1, "x", NAN, NAN },
    { "LONDON 5 6\n", 0, "London", NAN, NAN },                  /* not the lower-cased form of either */
    { "x 1 2\nx 3 4\n", 1, "x", 1, 2 },
    { "2 2\nx -1.5e1 .25\nq 3 4\n", 1, "x", -15, .25 },         /* as word2vec writes it */
    { "1 2 \r\nx\t1 2 \r\n\r\n", 1, "x", 1, 2 },
    { "q 1 2\nx y 3 4\n", 0, "x", NAN, NAN },                   /* a word with a blank in it */
    { "q 1 2\n. . . 3 4\nx 5 6", 1, "x", 5, 6 },
    { "<unk> 3 4\n", 1, "<unk>", 3, 4 },
    { "q 1 zwei\n", 0, "x", NAN, NAN },                         /* of words that nobody wants only the columns count */
    { "\xEF\xBB\xBFx 1 2\n", 1, "x", 1, 2 },
    { "\xEF\xBB\xBF" "1 2\r\nx 1 2", 1, "x", 1, 2 },
    { "x 0.1 -0.000001234567\n", 1, "x", (double)(sp_real)0.1, (double)(sp_real)-0.000001234567 },
    { "x +1.e+2 1E-2\n", 1, "x", 100, (double)(sp_real)0.01 },
    { "x 123456789012345678901234567890e-29 0.00000000000000000000000000005e29\n", 1, "x", (double)(sp_real)1.2345678901234567, 5 },
    { "x 0e9999 1e-9999\n", 1, "x", 0, 0 },
};

START_TEST(rows)
{
    sp_status status = { 0 };
    sp_real before[2];
    memcpy(before, row(files[_i].word), sizeof before);
    ck_put_file(path, files[_i].text, strlen(files[_i].text));
    const long found = sp_vectors_read(&embed, words, path, &status);
    ck_assert_msg(found == files[_i].found, "%ld found: %s", found, status.message);
    if (isnan(files[_i].x))
        ck_same(row(files[_i].word), before, 2);
    else
        ck_assert((double)row(files[_i].word)[0] == files[_i].x && (double)row(files[_i].word)[1] == files[_i].y);
}
END_TEST

#define TEXT(t) t, sizeof t - 1
static const struct {
    const char *text;
    size_t size;
    const char *error;
} wrongs[] = {
    { TEXT("x 1 2\nq 1\n"), ":2: 1 number, expected 2" },
    { TEXT("x 1 2 3\n"), ":1: 3 numbers, expected 2" },
    { TEXT("x\n"), ":1: 0 numbers, expected 2" },
    { TEXT("x 1 2\n3 4\n"), ":2: 1 number, expected 2" },
    { TEXT("x 1 2\n\n\nx 3 4\nq\n"), ":5: 0 numbers, expected 2" },
    { TEXT("4 300\n"), ":1: vectors of 300 numbers, expected 2" },
    { TEXT("4 2\nx 1 2\nq 3 4\n"), ": 2 vectors, but line 1 says 4: is it cut short?" },
    { TEXT("1 2\nx 3\n"), ":2: 1 number, expected 2" },
    { TEXT("x 1 zwei\n"), ":1: 'zwei' is no finite number" },
    { TEXT("q 1 2\nx 1 2x 3\n"), NULL },                        /* the word "x 1" */
    { TEXT("q 1 2\nx 2x 3\n"), ":2: '2x' is no finite number" },
    { TEXT("x nan 1\n"), ":1: 'nan' is no finite number" },
    { TEXT("x 1 1e999\n"), ":1: '1e999' is no finite number" },
    { TEXT("x 1 1e99999999999999999999\n"), ":1: '1e99999999999999999999' is no finite number" },
    { TEXT("x 1 .\n"), ":1: '.' is no finite number" },
    { TEXT("x 1 1.2.3\n"), ":1: '1.2.3' is no finite number" },
    { TEXT("x 1 1e\n"), ":1: '1e' is no finite number" },
    { TEXT("x 1 --1\n"), ":1: '--1' is no finite number" },
    { TEXT("x 1 1,5\n"), ":1: '1,5' is no finite number" },
    { TEXT(""), ": there are no vectors" },
    { TEXT("\n \n"), ": there are no vectors" },
    { TEXT("\xEF\xBB\xBF"), ": there are no vectors" },
    { TEXT("0 2\n"), ": there are no vectors" },
    { TEXT("1 2\nx 1 2\nq 3 4\n"), ":3: a vector more than the 1 that line 1 says" },
    { TEXT("q 1 2\nx 1\0002\n"), ":2: is not text: byte 3 is zero" },
};

/* One line with the place; and no row has changed. */
START_TEST(wrong_files)
{
    sp_status status = { 0 };
    sp_real before[16];
    const size_t bytes = (size_t)(2 * sp_vocabulary_size(words)) * sizeof *before;
    memcpy(before, sp_param_read(embed.weight), bytes);
    ck_put_file(path, wrongs[_i].text, wrongs[_i].size);
    const long found = sp_vectors_read(&embed, words, path, &status);
    ck_assert_int_eq(found, wrongs[_i].error ? -1 : 0);
    if (wrongs[_i].error)
        ck_assert_msg(strstr(status.message, wrongs[_i].error) && !strncmp(status.message, path, strlen(path)), "%s", status.message);
    ck_assert_mem_eq(sp_param_read(embed.weight), before, bytes);
}
END_TEST

START_TEST(bad_use)
{
    sp_status status = { 0 };
    const sp_embed narrow = sp_embed_make(store, "narrow", 3, 2);
    ck_assert(sp_vectors_read(&narrow, words, path, &status) == -1);
    ck_assert_str_eq(status.message, "vectors: an embedding of 3 rows for a vocabulary of 7");
    status = (sp_status){ 0 };
    ck_assert(sp_vectors_read(&embed, NULL, path, &status) == -1 && status.code == SP_ERR_VALUE);
    status = (sp_status){ 0 };
    ck_assert(sp_vectors_read(&embed, words, NULL, &status) == -1 && status.code == SP_ERR_VALUE);
    status = (sp_status){ 0 };
    ck_assert(sp_vectors_read(&embed, words, "/dev/null/none", &status) == -1);
    ck_assert_str_eq(status.message, "/dev/null/none: cannot be read: Not a directory");
}
END_TEST

/* A vocabulary that lower-cases takes the lower-case line, else the first that becomes it. */
START_TEST(lower_vocabulary)
{
    static const char text[] = "London is London";
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_counts_add_text(c, text, sizeof text - 1, SP_LEVEL_WORD, NULL));
    sp_vocabulary *v = sp_vocabulary_new(c, &(sp_vocabulary_rule){ .level = SP_LEVEL_WORD, .lower = true }, NULL);
    const sp_embed e = sp_embed_make(store, "lower", sp_vocabulary_size(v), 2);
    const int london = sp_vocabulary_id(v, "london", 6);
    ck_put_file(path, TEXT("LONDON 1 2\nLondon 3 4\nIS 5 6\n"));
    ck_assert_int_eq(sp_vectors_read(&e, v, path, NULL), 2);
    ck_assert((double)sp_param_read(e.weight)[2 * london] == 1);
    ck_put_file(path, TEXT("LONDON 1 2\nlondon 3 4\n"));
    ck_assert_int_eq(sp_vectors_read(&e, v, path, NULL), 1);
    ck_assert((double)sp_param_read(e.weight)[2 * london] == 3);
    sp_vocabulary_free(v);
    sp_counts_free(c);
}
END_TEST

START_TEST(counted)
{
    size_t length;
    long times;
    sp_status status = { 0 };
    sp_counts *c = sp_counts_new(NULL);
    ck_put_file(path, TEXT("4 2\nthe 1 2\nof 3 4\n. . 5 6\nx 7 8\n"));
    ck_assert(sp_counts_add(c, "of", 2, 5, NULL) && sp_vectors_count(c, path, 3, 2, &status));
    ck_assert_int_eq(sp_counts_size(c), 3);
    ck_assert_str_eq(sp_counts_symbol(c, 0, &length, &times), "of");
    ck_assert_int_eq(times, 7);
    ck_assert_str_eq(sp_counts_symbol(c, 2, &length, &times), ". .");
    ck_put_file(path, TEXT("the 1 2\nof 3\n"));
    ck_assert(!sp_vectors_count(c, path, 3, 1, &status));
    ck_assert_msg(strstr(status.message, ":2: 1 number, expected 2"), "%s", status.message);
    sp_counts_free(c);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("vectors");
    TCase *c = tcase_create("vectors");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, rows, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(c, wrong_files, 0, sizeof wrongs / sizeof *wrongs);
    tcase_add_test(c, bad_use);
    tcase_add_test(c, lower_vocabulary);
    tcase_add_test(c, counted);
    suite_add_tcase(all, c);
    return all;
}
