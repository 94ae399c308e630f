/* Texts as numbers, at three levels. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"
#include "zoo/coder.h"
#include "zoo/readers.h"

static const char pairs[] = "low lower lowest\ta\nnew newer\tb b\nl\xC3\xB6w low <s>\tc\n";

static sp_sentences *sentences;

static void begin(void)
{
    sentences = sp_sentences_parse("pairs", pairs, sizeof pairs - 1, sp_format_named("pairs"), NULL);
}

static void end(void)
{
    sp_sentences_free(sentences);
}

static sp_coder *coder(sp_units units, long most, long least)
{
    sp_status status = { 0 };
    sp_coder *c = sp_coder_new(units, sentences, 0, most, least, &status);
    ck_assert_msg(c != NULL, "%s", status.message);
    return c;
}

static sp_ids encode(const sp_coder *c, const char *text)
{
    sp_ids ids;
    ck_assert(sp_coder_encode(c, text, strlen(text), &ids, NULL));
    for (long i = 0; i < ids.n; i++)
        ck_assert(ids.id[i] != SP_SENTENCE_BEGIN && ids.id[i] != SP_SENTENCE_END && ids.id[i] < sp_coder_size(c));
    return ids;
}

/* text -> numbers -> expected, with so many unknown ones. */
static void round_trip(const sp_coder *c, const char *text, const char *expected, long unknown)
{
    size_t size;
    sp_ids ids = encode(c, text);
    char *back = sp_coder_decode(c, ids.id, ids.n, &size);
    ck_assert_str_eq(back, expected);
    ck_assert_uint_eq(size, strlen(expected));
    ck_assert_int_eq(ids.unknown, unknown);
    free(back);
    free(ids.id);
}

START_TEST(words)
{
    sp_coder *c = coder(SP_UNITS_WORD, 0, 0);
    ck_assert_int_eq(sp_coder_size(c), 3 + 6);          /* a text's own "<s>" is none of them */
    round_trip(c, " low  new\tl\xC3\xB6w ", "low new l\xC3\xB6w", 0);
    round_trip(c, "low\nnew\r\n", "low new", 0);
    round_trip(c, "low old <s> </s>", "low <unk> <unk> <unk>", 3);
    round_trip(c, "", "", 0);
    sp_coder_free(c);
    c = coder(SP_UNITS_WORD, 0, 2);
    ck_assert_int_eq(sp_coder_size(c), 4);
    round_trip(c, "low new", "low <unk>", 1);
    sp_coder_free(c);
    c = coder(SP_UNITS_WORD, 2, 0);
    ck_assert_int_eq(sp_coder_size(c), 5);
    sp_coder_free(c);
}
END_TEST

START_TEST(letters)
{
    sp_coder *c = coder(SP_UNITS_CHAR, 0, 0);
    round_trip(c, "l\xC3\xB6wer news", "l\xC3\xB6wer news", 0);
    round_trip(c, "x\xFFw", "<unk><unk>w", 2);
    round_trip(c, "<s>", "<s>", 0);             /* three letters */
    sp_coder_free(c);
}
END_TEST

START_TEST(pieces)
{
    sp_coder *c = coder(SP_UNITS_BPE, 270, 0);
    size_t length;
    ck_assert_int_le(sp_coder_size(c), 270);
    round_trip(c, "low  newest \xFF\xF0<s></s>", "low  newest \xFF\xF0<s></s>", 0);
    round_trip(c, "", "", 0);
    static const char *const first[] = { "<unk>", "<s>", "</s>" };
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(sp_coder_symbol(c, i, &length), first[i]);
        ck_assert_uint_eq(length, strlen(first[i]));
    }
    sp_coder_free(c);
}
END_TEST

/* Pieces learned from UTF-8 show what is none of it as U+FFFD, a byte a sign; others, words and letters show what they are. */
START_TEST(shown)
{
    static const struct {
        const char *learned, *text, *shown;
        sp_units units;
    } all[] = {
        { "\xC3\xB6 \xC3\xB6", "a\xC3\xB6\xE2\x82z\xFF", "a\xC3\xB6\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD", SP_UNITS_BPE },
        { "\xC3\xB6 \xC3\xB6", "\xE2\x82\xAC \xF0\x9F\x98\x80", "\xE2\x82\xAC \xF0\x9F\x98\x80", SP_UNITS_BPE },
        { "\xC3\xB6 \xC3\xB6", "", "", SP_UNITS_BPE },
        { "caf\xE9 caf\xE9", "caf\xE9 \xFF", "caf\xE9 \xFF", SP_UNITS_BPE },           /* Latin-1 */
        { "caf\xE9 \xC3\xB6", "f\xE9\xC3\xB6", "f\xE9\xC3\xB6", SP_UNITS_CHAR },
        { "caf\xE9 \xC3\xB6", "caf\xE9", "caf\xE9", SP_UNITS_WORD },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sp_sentences *s = sp_sentences_new(1, NULL);
        ck_assert(sp_sentences_put_text(s, 0, all[i].learned, strlen(all[i].learned), SP_LEVEL_WORD, NULL) && sp_sentences_end(s, NULL));
        sp_coder *c = sp_coder_new(all[i].units, s, 0, 0, 0, NULL);
        sp_ids ids = encode(c, all[i].text);
        size_t size;
        char *text = sp_coder_decode(c, ids.id, ids.n, &size);
        ck_assert_str_eq(text, all[i].text);
        free(text);
        text = sp_coder_show(c, ids.id, ids.n, &size);
        ck_assert_str_eq(text, all[i].shown);
        ck_assert_uint_eq(size, strlen(text));
        free(text);
        free(ids.id);
        sp_coder_free(c);
        sp_sentences_free(s);
    }
}
END_TEST

/* Ends of sentences leave nothing in a text. */
START_TEST(ends)
{
    static const int id[] = { 1, 3, 2, 4, 2 };
    for (int units = 0; units < 3; units++) {
        sp_coder *c = coder((sp_units)units, 0, 0);
        size_t size, other;
        char *text = sp_coder_decode(c, id, 5, &size), *same = sp_coder_decode(c, (const int[]){ 3, 4 }, 2, &other);
        ck_assert(size == other && !memcmp(text, same, size));
        free(text);
        free(same);
        sp_coder_free(c);
    }
}
END_TEST

START_TEST(files)
{
    char path[PATH_ROOM];
    ck_new_file(path);
    for (int units = 0; units < 3; units++) {
        sp_status status = { 0 };
        sp_coder *c = coder((sp_units)units, 0, 0);
        char *json = sp_coder_write(c);
        sp_store *s = sp_store_new(1);
        sp_store_add(s, SP_SHAPE(1), "x");
        ck_assert(sp_store_save(s, path, 1, &(sp_metadata){ "part", json }, NULL));
        sp_safetensors *f = sp_safetensors_open(path, NULL);
        sp_coder *back = sp_coder_read((sp_units)units, f, "part", &status);
        ck_assert_msg(back != NULL, "%s", status.message);
        ck_assert_int_eq(sp_coder_size(back), sp_coder_size(c));
        sp_ids x = encode(c, "low newest"), y = encode(back, "low newest");
        ck_assert(x.n == y.n && !memcmp(x.id, y.id, (size_t)x.n * sizeof *x.id));
        ck_assert_ptr_null(sp_coder_read((sp_units)((units + 1) % 3), f, "part", &status));
        ck_assert_msg(strstr(status.message, path) != NULL, "%s", status.message);
        ck_assert_ptr_null(sp_coder_read((sp_units)units, f, "other", NULL));
        free(x.id);
        free(y.id);
        free(json);
        sp_coder_free(c);
        sp_coder_free(back);
        sp_safetensors_free(f);
        sp_store_free(s);
    }
    remove(path);
}
END_TEST

START_TEST(wrong)
{
    sp_status status = { 0 };
    ck_assert_ptr_null(sp_coder_new(SP_UNITS_WORD, sentences, 2, 0, 0, &status));
    ck_assert_str_eq(status.message, "coder: there is no field 2 of 2");
    status = (sp_status){ 0 };
    ck_assert_ptr_null(sp_coder_new(SP_UNITS_BPE, sentences, 0, 258, 0, &status));
    ck_assert_msg(strstr(status.message, "258 symbols, expected 259") != NULL, "%s", status.message);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("coder");
    TCase *c = tcase_create("coder");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, words);
    tcase_add_test(c, letters);
    tcase_add_test(c, pieces);
    tcase_add_test(c, shown);
    tcase_add_test(c, ends);
    tcase_add_test(c, files);
    tcase_add_test(c, wrong);
    suite_add_tcase(all, c);
    return all;
}
