/* Text as symbols and back: no byte is lost, whatever it is. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/suite.h"
#include "zoo/text.h"

/* ---- symbols --------------------------------------------------------------------------------------------------- */

/* Each symbol between bars. */
static const struct {
    const char *name, *text, *symbols;
    sp_level level;
} cuts[] = {
    { "nothing", "", "", SP_LEVEL_CHAR },
    { "ASCII", "a \n\r\t", "a| |\n|\r|\t|", SP_LEVEL_CHAR },
    { "two bytes", "\xC2\x80\xDF\xBF", "\xC2\x80|\xDF\xBF|", SP_LEVEL_CHAR },
    { "three bytes", "\xE0\xA0\x80\xE8\xAA\x9E\xEF\xBF\xBF", "\xE0\xA0\x80|\xE8\xAA\x9E|\xEF\xBF\xBF|", SP_LEVEL_CHAR },
    { "four bytes", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80|\xF4\x8F\xBF\xBF|", SP_LEVEL_CHAR },
    { "beside surrogates", "\xED\x9F\xBF\xEE\x80\x80", "\xED\x9F\xBF|\xEE\x80\x80|", SP_LEVEL_CHAR },
    { "over-long in two bytes", "\xC0\x80\xC1\xBF", "\xC0|\x80|\xC1|\xBF|", SP_LEVEL_CHAR },
    { "over-long in three", "\xE0\x9F\xBF", "\xE0|\x9F|\xBF|", SP_LEVEL_CHAR },
    { "over-long in four", "\xF0\x8F\xBF\xBF", "\xF0|\x8F|\xBF|\xBF|", SP_LEVEL_CHAR },
    { "surrogates", "\xED\xA0\x80\xED\xBF\xBF", "\xED|\xA0|\x80|\xED|\xBF|\xBF|", SP_LEVEL_CHAR },
    { "beyond 10FFFF", "\xF4\x90\x80\x80\xF5\x80", "\xF4|\x90|\x80|\x80|\xF5|\x80|", SP_LEVEL_CHAR },
    { "no such byte", "\xFE\xFFz", "\xFE|\xFF|z|", SP_LEVEL_CHAR },
    { "lone continuation", "a\x80z", "a|\x80|z|", SP_LEVEL_CHAR },
    { "cut short by the end", "\xE8\xAA", "\xE8|\xAA|", SP_LEVEL_CHAR },
    { "cut short by a letter", "\xF0\x90\x80z", "\xF0|\x90|\x80|z|", SP_LEVEL_CHAR },
    { "cut short by another", "\xC3\xC3\xB6", "\xC3|\xC3\xB6|", SP_LEVEL_CHAR },
    { "words", "to be, or\nnot", "to|be,|or|\n|not|", SP_LEVEL_WORD },
    { "white space", " \t a\v\fb \r\n \n", "a|b|\n|\n|", SP_LEVEL_WORD },
    { "only white space", " \t ", "", SP_LEVEL_WORD },
    { "words that are no UTF-8", "caf\xE9 \xFF\xC3", "caf\xE9|\xFF\xC3|", SP_LEVEL_WORD },
    { "no-break space", "a\xC2\xA0z", "a\xC2\xA0z|", SP_LEVEL_WORD },
};

START_TEST(symbols)
{
    char found[128] = "";
    size_t at = 0, length, size = strlen(cuts[_i].text);
    for (const char *s; (s = sp_text_next(cuts[_i].text, size, cuts[_i].level, &at, &length)); ) {
        ck_assert(length > 0 && s + length <= cuts[_i].text + size && s + length == cuts[_i].text + at);
        strncat(found, s, length);
        strcat(found, "|");
    }
    ck_assert_msg(!strcmp(found, cuts[_i].symbols), "%s: '%s'", cuts[_i].name, found);
}
END_TEST

static char *noise(size_t size, uint64_t seed)
{
    static const unsigned char likely[] = { 0xC3, 0xB6, 0xE8, 0xAA, 0x9E, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xA0, ' ', '\n' };
    sp_random random = { .key = { .seed = seed } };
    char *text = malloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i % 3 ? likely[sp_random_below(&random, sizeof likely)] : (unsigned char)sp_random_below(&random, 256));
    return text;
}

/* What the symbols of a text are together: at word level without its white space. */
START_TEST(every_byte)
{
    enum { SIZE = 20000 };
    char *text = noise(SIZE, 1), *joined = malloc(SIZE);
    size_t at = 0, length, n = 0;
    for (const char *s; (s = sp_text_next(text, SIZE, SP_LEVEL_CHAR, &at, &length)); n += length)
        memcpy(joined + n, s, length);
    ck_assert_uint_eq(n, SIZE);
    ck_assert_mem_eq(joined, text, SIZE);
    size_t kept = 0, words = 0;
    for (size_t i = 0; i < SIZE; i++)
        if (!text[i] || !strchr(" \t\r\v\f", text[i]))
            text[kept++] = text[i];
    char *again = noise(SIZE, 1);
    for (at = 0; sp_text_next(again, SIZE, SP_LEVEL_WORD, &at, &length); words += length)
        memcpy(joined + words, again + at - length, length);
    ck_assert_uint_eq(words, kept);
    ck_assert_mem_eq(joined, text, kept);
    free(again);
    free(text);
    free(joined);
}
END_TEST

/* ---- vocabularies ---------------------------------------------------------------------------------------------- */

/* The symbols in order, each behind a bar. */
static char *list(const sp_vocabulary *v, char *out)
{
    *out = '\0';
    for (int i = 0; i < sp_vocabulary_size(v); i++) {
        size_t length;
        const char *s = sp_vocabulary_symbol(v, i, &length);
        strcat(strncat(out, s, length), "|");
    }
    return out;
}

static const struct {
    const char *text;
    sp_level level;
    long most;
    const char *symbols;
} orders[] = {
    { "", SP_LEVEL_CHAR, 0, "<unk>|" },
    { "banana", SP_LEVEL_CHAR, 0, "<unk>|a|n|b|" },
    { "zyx", SP_LEVEL_CHAR, 0, "<unk>|x|y|z|" },         /* equally frequent: by their bytes */
    { "banana", SP_LEVEL_CHAR, 2, "<unk>|a|n|" },
    { "banana", SP_LEVEL_CHAR, 3, "<unk>|a|n|b|" },
    { "banana", SP_LEVEL_CHAR, 100, "<unk>|a|n|b|" },
    { "b \xC3\xB6 \xFF \xFF", SP_LEVEL_CHAR, 0, "<unk>| |\xFF|b|\xC3\xB6|" },
    { "to be or\nnot to be", SP_LEVEL_WORD, 0, "<unk>|be|to|\n|not|or|" },
    { "a ab abc", SP_LEVEL_WORD, 0, "<unk>|a|ab|abc|" },
    { "<unk> x <unk> <unk>", SP_LEVEL_WORD, 0, "<unk>|x|" },
};

START_TEST(order)
{
    char found[128];
    sp_vocabulary *v = sp_vocabulary_of(orders[_i].text, strlen(orders[_i].text), orders[_i].level, orders[_i].most, NULL);
    ck_assert_str_eq(list(v, found), orders[_i].symbols);
    ck_assert_int_eq(sp_vocabulary_level(v), orders[_i].level);
    for (int i = 0; i < sp_vocabulary_size(v); i++) {
        size_t length;
        const char *s = sp_vocabulary_symbol(v, i, &length);
        ck_assert_int_eq(sp_vocabulary_id(v, s, length), i);
    }
    size_t length;
    ck_assert_str_eq(sp_vocabulary_symbol(v, -1, &length), "<unk>");
    ck_assert_str_eq(sp_vocabulary_symbol(v, 1000, &length), "<unk>");
    ck_assert_int_eq(sp_vocabulary_id(v, "absent", 6), SP_UNKNOWN);
    sp_vocabulary_free(v);
}
END_TEST

START_TEST(encoding)
{
    static const int want[] = { 2, 1, 0, 0, 1, 0 };
    sp_ids ids;
    sp_vocabulary *v = sp_vocabulary_of("aab", 3, SP_LEVEL_CHAR, 0, NULL);
    ck_assert(sp_encode(v, "baxy\x61\xC3", 6, &ids, NULL));
    ck_assert_int_eq(ids.n, 6);
    ck_assert_mem_eq(ids.id, want, sizeof want);
    ck_assert_int_eq(ids.unknown, 3);
    free(ids.id);
    ck_assert(sp_encode(v, "", 0, &ids, NULL) && ids.n == 0 && ids.unknown == 0);
    free(ids.id);
    sp_vocabulary_free(v);
}
END_TEST

/* ---- rules ----------------------------------------------------------------------------------------------------- */

static const char *const ends[] = { "<s>", "</s>", NULL };

static const struct {
    const char *text;
    sp_vocabulary_rule rule;
    const char *symbols;
} rules[] = {
    { "b a a c c c", { .level = SP_LEVEL_WORD, .least = 2 }, "<unk>|c|a|" },
    { "b a a c c c", { .level = SP_LEVEL_WORD, .least = 2, .most = 1 }, "<unk>|c|" },
    { "b a a c c c", { .level = SP_LEVEL_WORD, .special = ends, .most = 2 }, "<unk>|<s>|</s>|c|a|" },
    { "N V N", { .level = SP_LEVEL_WORD, .closed = true }, "N|V|" },
    { "<unk> V", { .level = SP_LEVEL_WORD, .closed = true }, "<unk>|V|" },
    { "N V N", { .level = SP_LEVEL_WORD, .closed = true, .special = ends }, "<s>|</s>|N|V|" },
    { "The THE the cat Cat", { .level = SP_LEVEL_WORD, .lower = true }, "<unk>|the|cat|" },
    { "The THE the cat Cat", { .level = SP_LEVEL_WORD, .lower = true, .least = 3 }, "<unk>|the|" },
    { "\xC3\x89 \xC3\xA9", { .level = SP_LEVEL_CHAR, .lower = true }, "<unk>|\xC3\xA9| |" },
    { "<s> a <s> </s>", { .level = SP_LEVEL_WORD, .special = ends }, "<unk>|<s>|</s>|a|" },
    { "", { .level = SP_LEVEL_WORD, .special = ends }, "<unk>|<s>|</s>|" },
    { "", { .closed = true }, "" },
};

START_TEST(by_rule)
{
    char found[128], again[128];
    sp_status status = { 0 };
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_counts_add_text(c, rules[_i].text, strlen(rules[_i].text), rules[_i].rule.level, NULL));
    sp_vocabulary *v = sp_vocabulary_new(c, &rules[_i].rule, &status);
    ck_assert_msg(v != NULL, "%s", status.message);
    ck_assert_str_eq(list(v, found), rules[_i].symbols);
    char *json = sp_vocabulary_write(v);
    sp_vocabulary *back = sp_vocabulary_parse(json, &status);
    ck_assert_msg(back != NULL, "%s: %s", status.message, json);
    ck_assert_str_eq(list(back, again), found);
    for (int i = 0; i < 2; i++) {
        const sp_vocabulary *w = i ? back : v;
        const int none = rules[_i].rule.closed ? -1 : SP_UNKNOWN;
        ck_assert_int_eq(sp_vocabulary_id(w, "absent", 6), none);
        ck_assert_int_eq(sp_vocabulary_id_in_text(w, "<s>", 3), none);
        if (rules[_i].rule.special)
            ck_assert_int_eq(sp_vocabulary_id(w, "</s>", 4), 1 + !rules[_i].rule.closed);
        if (rules[_i].rule.lower && rules[_i].rule.level == SP_LEVEL_WORD)
            ck_assert_int_eq(sp_vocabulary_id_in_text(w, "tHE", 3), 1);
    }
    free(json);
    sp_vocabulary_free(v);
    sp_vocabulary_free(back);
    sp_counts_free(c);
}
END_TEST

START_TEST(rules_that_cannot_be)
{
    static const char *const bad[][3] = { { "<s>", "<s>", NULL }, { "<unk>", NULL }, { "", NULL } };
    sp_status status = { 0 };
    sp_counts *c = sp_counts_new(NULL);
    for (int i = 0; i < 3; i++)
        ck_assert(!sp_vocabulary_new(c, &(sp_vocabulary_rule){ .special = bad[i] }, &status));
    ck_assert_str_eq(status.message, "vocabulary: the special symbol '<s>' is there already, or empty");
    status = (sp_status){ 0 };
    ck_assert(!sp_counts_add(c, "", 0, 1, &status) && !sp_counts_add(c, NULL, 3, 1, NULL) && !sp_counts_add(NULL, "a", 1, 1, NULL));
    ck_assert_str_eq(status.message, "counts: a symbol of 0 bytes met 1 times");
    ck_assert(!sp_vocabulary_new(NULL, NULL, NULL) && !sp_counts_add(c, "a", 1, -1, NULL));
    status = (sp_status){ 0 };
    ck_assert(sp_counts_add(c, "a", 1, LONG_MAX - 1, NULL) && sp_counts_add(c, "a", 1, 1, NULL)
              && !sp_counts_add(c, "a", 1, 1, &status));
    ck_assert_ptr_nonnull(strstr(status.message, "times and 1 times more"));
    sp_counts_free(c);
    sp_counts_free(NULL);
}
END_TEST

START_TEST(counting)
{
    size_t length;
    long times;
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_counts_add_text(c, "b a b", 5, SP_LEVEL_WORD, NULL) && sp_counts_add(c, "a\0z", 3, 5, NULL));
    ck_assert_int_eq(sp_counts_size(c), 3);
    ck_assert_str_eq(sp_counts_symbol(c, 0, &length, &times), "b");
    ck_assert_int_eq(times, 2);
    ck_assert_mem_eq(sp_counts_symbol(c, 2, &length, &times), "a\0z", 4);
    ck_assert(length == 3 && times == 5 && !sp_counts_symbol(c, 3, &length, &times) && !sp_counts_symbol(c, -1, &length, &times));
    sp_counts_free(c);
}
END_TEST

static const char *const cases[][2] = {
    { "ABC xyz [@`{ 019", "abc xyz [@`{ 019" },
    { "\xC3\x80\xC3\x96\xC3\x97\xC3\x98\xC3\x9E\xC3\x9F", "\xC3\xA0\xC3\xB6\xC3\x97\xC3\xB8\xC3\xBE\xC3\x9F" },    /* Latin-1: x and ss stay */
    { "\xC4\x80\xC4\x81\xC4\xB0\xC4\xB9\xC5\x81\xC5\x92\xC5\xB8\xC5\xBD", "\xC4\x81\xC4\x81\xC4\xB0\xC4\xBA\xC5\x82\xC5\x93\xC3\xBF\xC5\xBE" },
    { "\xC4\xAE\xC4\xAF\xC4\xB2\xC4\xB6\xC4\xB7\xC5\x87\xC5\x8A\xC5\xB6", "\xC4\xAF\xC4\xAF\xC4\xB3\xC4\xB7\xC4\xB7\xC5\x88\xC5\x8B\xC5\xB7" },
    { "\xCE\x86\xCE\x8C\xCE\x8F\xCE\x91\xCE\xA9\xCE\xB1", "\xCE\xAC\xCF\x8C\xCF\x8E\xCE\xB1\xCF\x89\xCE\xB1" },
    { "\xD0\x81\xD0\x90\xD0\xA0\xD0\xAF\xD0\xB0", "\xD1\x91\xD0\xB0\xD1\x80\xD1\x8F\xD0\xB0" },
    { "\xC3\x41\xFF\xE2\x82\xACQ", "\xC3\x61\xFF\xE2\x82\xACq" },
};

START_TEST(lower_case)
{
    char text[64];
    strcpy(text, cases[_i][0]);
    sp_text_lower(text, strlen(text));
    ck_assert_str_eq(text, cases[_i][1]);
}
END_TEST

/* ---- vocabularies as JSON -------------------------------------------------------------------------------------- */

static void check_round_trip(const char *text, size_t size, sp_level level)
{
    sp_vocabulary *v = sp_vocabulary_of(text, size, level, 0, NULL);
    sp_status status = { 0 };
    char *json = sp_vocabulary_write(v);
    ck_assert_ptr_nonnull(json);
    sp_vocabulary *back = sp_vocabulary_parse(json, &status);
    ck_assert_msg(back != NULL, "%s: %.200s", status.message, json);
    ck_assert_int_eq(sp_vocabulary_level(back), level);
    ck_assert_int_eq(sp_vocabulary_size(back), sp_vocabulary_size(v));
    bool same = true;
    for (int i = 0; i < sp_vocabulary_size(v); i++) {
        size_t n, m;
        const char *a = sp_vocabulary_symbol(v, i, &n), *b = sp_vocabulary_symbol(back, i, &m);
        same = same && n == m && !memcmp(a, b, n) && sp_vocabulary_id(back, a, n) == i;
    }
    ck_assert(same);
    free(json);
    sp_vocabulary_free(v);
    sp_vocabulary_free(back);
}

/* Whatever a text holds, as characters and as words, zero bytes included. */
START_TEST(write_and_parse)
{
    char *text = noise(5000, (uint64_t)_i);
    check_round_trip(text, 5000, SP_LEVEL_CHAR);
    check_round_trip(text, 5000, SP_LEVEL_WORD);
    check_round_trip("", 0, SP_LEVEL_CHAR);
    check_round_trip("\"quoted\" \\ / \b \x7F", 17, SP_LEVEL_WORD);
    free(text);
}
END_TEST

START_TEST(json_text)
{
    sp_vocabulary *v = sp_vocabulary_of("aaa\xFF\xFF\"", 6, SP_LEVEL_CHAR, 0, NULL);
    char *json = sp_vocabulary_write(v);
    ck_assert_str_eq(json, "{\"level\":\"char\",\"symbols\":[\"a\",[255],\"\\\"\"]}");
    free(json);
    sp_vocabulary_free(v);
}
END_TEST

static const char *const broken[] = {
    NULL, "", "{", "7", "[]", "{}", "{\"level\":\"char\"}", "{\"symbols\":[\"a\"]}", "{\"level\":1,\"symbols\":[]}",
    "{\"level\":\"line\",\"symbols\":[\"a\"]}", "{\"level\":\"char\",\"symbols\":{}}", "{\"level\":\"char\",\"symbols\":\"a\"}",
    "{\"level\":\"char\",\"symbols\":[null]}", "{\"level\":\"char\",\"symbols\":[\"a\",1.5]}",
    "{\"level\":\"char\",\"symbols\":[[256]]}", "{\"level\":\"char\",\"symbols\":[[-1]]}",
    "{\"level\":\"char\",\"symbols\":[[]]}", "{\"level\":\"char\",\"symbols\":[[\"a\"]]}",
    "{\"level\":\"char\",\"symbols\":[\"\"]}", "{\"level\":\"char\",\"symbols\":[\"a\",\"b\",\"a\"]}",
    "{\"level\":\"char\",\"symbols\":[\"<unk>\"]}", "{\"level\":\"char\",\"symbols\":[\"\xFF\"]}",
    "{\"level\":\"char\",\"symbols\":[]} x",
};

START_TEST(parse_broken)
{
    sp_status status = { 0 };
    ck_assert_msg(sp_vocabulary_parse(broken[_i], &status) == NULL, "%s", broken[_i]);
    ck_assert_msg(strstr(status.message, "the vocabulary cannot be read") == status.message, "%s", status.message);
    ck_assert_int_eq(status.code, SP_ERR_FORMAT);
}
END_TEST

START_TEST(parse_says)
{
    static const char *const said[][2] = {
        { NULL, "the vocabulary cannot be read: there is none" },
        { "{", "the vocabulary cannot be read: byte 1: string or '}' expected near end of file" },
        { "{}", "the vocabulary cannot be read" },
        { "{\"level\":\"char\",\"symbols\":[\"a\",\"b\",\"a\"]}", "the vocabulary cannot be read: a symbol is empty, or there twice" },
        { "{\"level\":\"char\",\"symbols\":[[256]]}", "the vocabulary cannot be read: a number of a symbol is no byte" },
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        sp_status status = { 0 };
        ck_assert(!sp_vocabulary_parse(said[i][0], &status));
        ck_assert_str_eq(status.message, said[i][1]);
    }
}
END_TEST

/* Without memory a vocabulary that is sound is not called damaged, where Jansson lets one know: a call for a token's text that gets
   nothing is for Jansson a token that is wrong, or shorter. */
static long left;

static void *few(size_t size)
{
    return left-- > 0 ? malloc(size) : NULL;
}

START_TEST(parse_without_memory)
{
    int memory = 0, format = 0;
    sp_vocabulary *v = NULL;
    json_set_alloc_funcs(few, free);
    for (long n = 0; !v; n++) {
        sp_status status = { 0 };
        left = n;
        v = sp_vocabulary_parse("{\"level\":\"char\",\"symbols\":[\"a\",[200]]}", &status);
        memory += !v && status.code == SP_ERR_MEMORY && !strcmp(status.message, "the vocabulary: out of memory");
        format += !v && status.code == SP_ERR_FORMAT;
        ck_assert_msg(v || n == memory + format - 1, "%s", status.message);
    }
    json_set_alloc_funcs(malloc, free);
    sp_vocabulary_free(v);
    ck_assert_msg(memory > 2 * format, "%d and %d", memory, format);
}
END_TEST

/* Files of other releases: without a version they are of the first, with a later one they are refused. */
START_TEST(versions)
{
    char found[64];
    sp_status status = { 0 };
    ck_assert(!sp_vocabulary_parse("{\"level\":\"char\",\"symbols\":[\"a\"],\"version\":3}", &status));
    ck_assert_str_eq(status.message, "the vocabulary is of version 3, expected 1 or 2");
    status = (sp_status){ 0 };
    ck_assert(!sp_vocabulary_parse("{\"level\":\"char\",\"symbols\":[\"a\"],\"version\":2,\"special\":2}", &status));
    ck_assert(!sp_vocabulary_parse("{\"level\":\"char\",\"symbols\":[\"a\"],\"version\":2,\"special\":-1}", NULL));
    ck_assert_str_eq(status.message, "the vocabulary cannot be read");
    sp_vocabulary *v = sp_vocabulary_parse("{\"level\":\"char\",\"symbols\":[\"a\"],\"version\":1}", NULL);
    ck_assert_str_eq(list(v, found), "<unk>|a|");
    sp_vocabulary_free(v);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *bytes;
    size_t n;
    const char *error;          /* NULL: it is text */
    size_t mark;                /* bytes that are not the text's */
} files[] = {
    { "text\n", 5, NULL, 0 },
    { "\xFF no UTF-8", 10, NULL, 0 },
    { "\xEF\xBB\xBF" "a\xEF\xBB\xBF", 7, NULL, 3 },
    { "\xEF\xBB\xBF", 3, ": is empty", 0 },
    { "\xEF\xBB\xBF" "a\0", 5, ": is not text: byte 4 is zero", 0 },
    { "", 0, ": is empty", 0 },
    { "\0", 1, ": is not text: byte 0 is zero", 0 },
    { "ab\0\0", 4, ": is not text: byte 2 is zero", 0 },
    { NULL, 0, ": cannot be read: No such file or directory", 0 },
};

/* Of Windows or of Unix, an end of a line is the same; other carriage returns stay. */
START_TEST(line_ends)
{
    static const struct { const char *file, *text; } both[] = {
        { "a\r\nb\r\n", "a\nb\n" }, { "\r\n", "\n" }, { "a\r\r\nb", "a\r\nb" }, { "a\rb\r", "a\rb\r" },
        { "\xEF\xBB\xBF" "a\nb\r\n\r\n", "a\nb\n\n" },
    };
    char path[PATH_ROOM];
    size_t size;
    ck_new_file(path);
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        ck_put_file(path, both[i].file, strlen(both[i].file));
        char *text = sp_text_read(path, &size, NULL);
        ck_assert_str_eq(text, both[i].text);
        ck_assert_int_eq(size, strlen(both[i].text));
        free(text);
    }
    remove(path);
}
END_TEST

START_TEST(reading)
{
    char directory[PATH_ROOM], path[PATH_ROOM + 2];
    size_t size;
    sp_status status = { 0 };
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/t", directory);
    if (files[_i].bytes)
        ck_put_file(path, files[_i].bytes, files[_i].n);
    char *text = sp_text_read(path, &size, &status);
    if (files[_i].error) {
        ck_assert_ptr_null(text);
        ck_assert(!strncmp(status.message, path, strlen(path)));
        ck_assert_str_eq(status.message + strlen(path), files[_i].error);
    } else {
        ck_assert_msg(text && size == files[_i].n - files[_i].mark, "%s", status.message);
        ck_assert_mem_eq(text, files[_i].bytes + files[_i].mark, size);
        ck_assert_int_eq(text[size], 0);
    }
    free(text);
    remove(path);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* A file that is longer than any buffer, and just as long as one. */
START_TEST(long_file)
{
    static const size_t sizes[] = { 65534, 65535, 65536, 131071, 131072, 300001 };
    char path[PATH_ROOM];
    size_t size;
    ck_new_file(path);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        FILE *f = fopen(path, "wb");
        for (size_t k = 0; k < sizes[i]; k++)
            fputc('a' + (int)(k % 23), f);
        fclose(f);
        char *text = sp_text_read(path, &size, NULL);
        bool same = text && size == sizes[i];
        for (size_t k = 0; same && k < size; k++)
            same = text[k] == 'a' + (int)(k % 23);
        ck_assert_msg(same, "%zu bytes", sizes[i]);
        free(text);
    }
    remove(path);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("text");
    TCase *c = tcase_create("text");
    tcase_add_loop_test(c, symbols, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(c, every_byte);
    tcase_add_loop_test(c, order, 0, sizeof orders / sizeof *orders);
    tcase_add_test(c, encoding);
    tcase_add_loop_test(c, by_rule, 0, sizeof rules / sizeof *rules);
    tcase_add_test(c, rules_that_cannot_be);
    tcase_add_test(c, counting);
    tcase_add_loop_test(c, lower_case, 0, sizeof cases / sizeof *cases);
    tcase_add_test(c, versions);
    tcase_add_loop_test(c, write_and_parse, 0, 5);
    tcase_add_test(c, json_text);
    tcase_add_test(c, parse_without_memory);
    tcase_add_loop_test(c, parse_broken, 0, sizeof broken / sizeof *broken);
    tcase_add_test(c, line_ends);
    tcase_add_test(c, parse_says);
    tcase_add_loop_test(c, reading, 0, sizeof files / sizeof *files);
    tcase_add_test(c, long_file);
    suite_add_tcase(all, c);
    return all;
}
