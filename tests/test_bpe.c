/* Byte pairs: learned as by the plain algorithm, and every text comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/bpe.h"
#include "zoo/corpus.h"

static sp_bpe *learned(const char *text, size_t size, long symbols, long least)
{
    sp_status status = { 0 };
    sp_counts *c = sp_counts_new(&status);
    sp_bpe *b = sp_bpe_count(c, text, size, &status)
                ? sp_bpe_new(c, &(sp_bpe_rule){ .size = symbols, .least = least }, &status) : NULL;
    ck_assert_msg(b != NULL, "%s", status.message);
    sp_counts_free(c);
    return b;
}

/* ---- the example of the paper ---------------------------------------------------------------------------------- */

/* Algorithm 1 of Sennrich et al., without its marks of the ends of words: low 5, lower 2, newest 6, widest 3. e s and s t occur
   9 times, so e s, the lower numbers, is first; then es t, 9; l o and o w, 7; lo w, 7. */
START_TEST(paper)
{
    static const struct { const char *word; long times; } words[] = { { "low", 5 }, { "lower", 2 }, { "newest", 6 },
                                                                      { "widest", 3 } };
    static const char *const joined[] = { "es", "est", "lo", "low" };
    sp_counts *c = sp_counts_new(NULL);
    for (int i = 0; i < 4; i++)
        ck_assert(sp_counts_add(c, words[i].word, strlen(words[i].word), words[i].times, NULL));
    sp_bpe *b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 257 + 4 }, NULL);
    ck_assert_int_eq(sp_bpe_size(b), 261);
    size_t n;
    for (int i = 0; i < 4; i++) {
        const char *piece = sp_bpe_symbol(b, 257 + i, &n);
        ck_assert_msg(n == strlen(joined[i]) && !memcmp(piece, joined[i], n), "%.*s", (int)n, piece);
    }
    sp_bpe_free(b);
    sp_counts_free(c);
}
END_TEST

/* ---- the plain algorithm --------------------------------------------------------------------------------------- */

enum { MOST_WORDS = 64, LONGEST = 32, JOINS = 60 };

struct plain {
    int word[MOST_WORDS][LONGEST], n[MOST_WORDS];
    long count[MOST_WORDS];
    int words, symbols;
    char text[1024][LONGEST];   /* of the symbols, by number */
};

/* The most frequent pair of neighbours, all counted anew; of equal ones the lower numbers. */
static long best_pair(const struct plain *p, int *left, int *right)
{
    static long count[1024][1024];
    long most = 0;
    memset(count, 0, sizeof count);
    for (int w = 0; w < p->words; w++)
        for (int i = 0; i + 1 < p->n[w]; i++)
            count[p->word[w][i]][p->word[w][i + 1]] += p->count[w];
    for (int a = 0; a < p->symbols; a++)
        for (int b = 0; b < p->symbols; b++)
            if (count[a][b] > most) {
                most = count[a][b];
                *left = a;
                *right = b;
            }
    return most;
}

static int join_in(int *word, int n, int left, int right, int result)
{
    int m = 0;
    for (int i = 0; i < n; m++) {
        const bool here = i + 1 < n && word[i] == left && word[i + 1] == right;
        word[m] = here ? result : word[i];
        i += 1 + here;
    }
    return m;
}

/* Words over few letters, so that much occurs often, equally often, and overlapping ("aaaa"); short ones, and long ones in which a
   pair stands at many places and beside what is joined already. */
START_TEST(as_the_plain)
{
    static struct plain p;
    static int joins[JOINS * 4][3];
    sp_random random = { .key = { .seed = (uint64_t)_i, .place = 5 } };
    sp_counts *c = sp_counts_new(NULL);
    const long letters = 2 + _i % 3;
    p = (struct plain){ .symbols = 257 };
    for (int i = 0; i < 256; i++)
        p.text[1 + i][0] = (char)i;
    for (int w = 0; w < 40; w++) {
        char text[LONGEST] = "";
        const long n = 1 + sp_random_below(&random, _i % 2 ? 9 : LONGEST - 2);
        for (int i = 0; i < n; i++)
            text[i] = (char)('a' + sp_random_below(&random, letters));
        const long times = 1 + sp_random_below(&random, 4);
        ck_assert(sp_counts_add(c, text, (size_t)n, times, NULL));
        for (int i = 0; i < n; i++)
            p.word[p.words][i] = 1 + text[i];
        p.n[p.words] = (int)n;
        p.count[p.words++] = times;
    }
    int left = 0, right = 0, made = 0;
    while (p.symbols < 257 + JOINS && best_pair(&p, &left, &right) > 1) {
        char text[LONGEST * 2];
        snprintf(text, sizeof text, "%s%s", p.text[left], p.text[right]);
        int result = 1;
        while (result < p.symbols && strcmp(p.text[result], text))
            result++;
        if (result == p.symbols)
            strcpy(p.text[p.symbols++], text);
        for (int w = 0; w < p.words; w++)
            p.n[w] = join_in(p.word[w], p.n[w], left, right, result);
        joins[made][0] = left;
        joins[made][1] = right;
        joins[made++][2] = result;
    }
    sp_bpe *b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 257 + JOINS }, NULL);
    ck_assert_int_eq(sp_bpe_size(b), p.symbols);
    for (int i = 258; i < p.symbols; i++) {
        size_t n;
        const char *s = sp_bpe_symbol(b, i, &n);
        ck_each(n == strlen(p.text[i]) && !memcmp(s, p.text[i], n), "symbol %d: %.*s, not %s", i, (int)n, s, p.text[i]);
    }
    for (int k = 0; k < 50; k++) {                      /* coding: the pair learned first, wherever it is, until none is left */
        char text[LONGEST] = "";
        int symbol[LONGEST];
        const int n = 1 + (int)sp_random_below(&random, 12);
        symbol[0] = 1 + ' ';
        for (int i = 0; i < n; i++)
            symbol[1 + i] = 1 + (text[i] = (char)('a' + sp_random_below(&random, letters)));
        int m = n + 1;
        for (bool again = true; again; ) {
            again = false;
            for (int j = 0; j < made && !again; j++)
                for (int i = 0; i + 1 < m && !again; i++)
                    if (symbol[i] == joins[j][0] && symbol[i + 1] == joins[j][1]) {
                        m = join_in(symbol, m, joins[j][0], joins[j][1], joins[j][2]);
                        again = true;
                    }
        }
        sp_ids ids;
        ck_assert(sp_bpe_encode(b, text, (size_t)n, &ids, NULL));
        ck_each(ids.n == m && !memcmp(ids.id, symbol, (size_t)m * sizeof *symbol), "'%s' is %ld symbols, not %d", text,
                ids.n, m);
        free(ids.id);
    }
    sp_bpe_free(b);
    sp_counts_free(c);
}
END_TEST

/* ---- back and forth -------------------------------------------------------------------------------------------- */

static void check_back(const sp_bpe *b, const char *text, size_t size)
{
    sp_ids ids;
    size_t n = 99;
    ck_assert(sp_bpe_encode(b, text, size, &ids, NULL));
    char *back = sp_bpe_decode(b, ids.id, ids.n, &n);
    ck_assert_msg(back && n == size && !memcmp(back, text, size) && !back[n], "%zu bytes came back as %zu: %.60s", size,
                  n, text);
    for (long i = 0; i < ids.n; i++)
        ck_each(ids.id[i] > 0 && ids.id[i] < sp_bpe_size(b), "symbol %d of %d", ids.id[i], sp_bpe_size(b));
    ck_assert(ids.unknown == 0 && (size == 0) == (ids.n == 0));
    free(back);
    free(ids.id);
}

static const char *const texts[] = { "", " ", "  ", " a", "a ", "\n", " \n ", "a  b\t c\r\n", "it's 10,000.5 km/h",
                                     "\xC3\xB6\xE8\xAA\x9E\xF0\x9F\x98\x80",
                                     "\xC3", " \xFF\xFE \x80", "\xC3\xC3\xB6 \xE8\xAA", "<unk> <s>", "\x01\x7F" };

START_TEST(back_and_forth)
{
    size_t size;
    const char *corpus = sp_corpus(&size);
    sp_bpe *b = learned(corpus, 60000, 700, 0), *none = learned("", 0, 300, 0);
    ck_assert_int_eq(sp_bpe_size(b), 700);
    ck_assert_int_eq(sp_bpe_size(none), 257);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_back(b, texts[i], strlen(texts[i]));
        check_back(none, texts[i], strlen(texts[i]));
    }
    check_back(b, corpus, 100000);
    check_back(b, "a\0b", 3);
    sp_random random = { .key = { .seed = 8 } };
    for (int k = 0; k < 300; k++) {
        char text[600];
        const size_t n = (size_t)sp_random_below(&random, sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(k % 3 == 0 ? sp_random_below(&random, 256) : k % 3 == 1 ? 'a' + sp_random_below(&random, 2)
                             : "\xC3\xB6\xE8\xAA\x9E a"[sp_random_below(&random, 7)]);
        check_back(b, text, n);
    }
    sp_bpe_free(b);
    sp_bpe_free(none);
}
END_TEST

/* A piece of corpus is written in fewer symbols than bytes, and pieces do not cross words. */
START_TEST(pieces)
{
    size_t size, n;
    const char *corpus = sp_corpus(&size);
    sp_bpe *b = learned(corpus, 60000, 700, 0);
    sp_ids ids;
    ck_assert(sp_bpe_encode(b, corpus, 60000, &ids, NULL));
    ck_assert_int_lt(ids.n, 40000);
    free(ids.id);
    for (int i = 257; i < sp_bpe_size(b); i++) {
        const char *s = sp_bpe_symbol(b, i, &n);
        const bool letters = strspn(s + (*s == ' '), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") > 0;
        for (size_t k = 1; k < n; k++)
            ck_each(s[k] != ' ' && s[k] != '\n' && (!letters || (s[k] | 32) >= 'a'), "piece '%.*s'", (int)n, s);
    }
    sp_bpe_free(b);
}
END_TEST

/* Characters: those met twice are symbols, the others bytes; special symbols come first and leave nothing. */
START_TEST(letters)
{
    static const char text[] = "\xC3\xB6\xC3\xB6\xC3\xA9 \xE8\xAA\x9E\xE8\xAA\x9E\xE8\xAA\x9E";
    const char *const ends[] = { "<s>", "</s>", NULL };
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_bpe_count(c, text, strlen(text), NULL));
    sp_bpe *b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 261, .special = ends }, NULL);
    ck_assert_int_eq(sp_bpe_size(b), 261);
    ck_assert_int_eq(sp_bpe_special(b, "</s>"), 2);
    ck_assert_int_eq(sp_bpe_special(b, "<unk>"), 0);
    ck_assert_int_eq(sp_bpe_special(b, "a"), -1);
    sp_ids ids;
    ck_assert(sp_bpe_encode(b, "\xE8\xAA\x9E\xC3\xB6\xC3\xA9<s>", 10, &ids, NULL));
    const int want[] = { 3 + ' ', 259, 260, 3 + 0xC3, 3 + 0xA9, 3 + '<', 3 + 's', 3 + '>' };
    ck_assert_int_eq(ids.n, 8);
    ck_assert_mem_eq(ids.id, want, sizeof want);
    size_t n;
    char *back = sp_bpe_decode(b, (const int[]){ 1, 3 + ' ', 0, 3 + 'x', 2, -1, 261, 3 + ' ' }, 8, &n);
    ck_assert_str_eq(back, "x ");
    ck_assert_uint_eq(n, 2);
    free(back);
    free(ids.id);
    sp_bpe_free(b);
    b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 258, .least = 1 }, NULL);         /* room for one: the most frequent */
    ck_assert(sp_bpe_size(b) == 258 && !strncmp(sp_bpe_symbol(b, 257, &n), "\xE8\xAA\x9E", 3) && n == 3);
    sp_bpe_free(b);
    sp_counts_free(c);
}
END_TEST

/* A letter too rare to be a symbol is its bytes even where these have been joined to it since: "x" and the first byte are joined
   before. */
START_TEST(rare_letters)
{
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_counts_add(c, "x\xC3\xA9", 3, 10, NULL) && sp_counts_add(c, "x\xC3\xB6", 3, 10, NULL)
              && sp_counts_add(c, "\xC3\xA9", 2, 3, NULL));
    sp_bpe *b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 261, .least = 100 }, NULL);
    sp_ids ids;
    size_t n;
    ck_assert(sp_bpe_size(b) == 261 && sp_bpe_encode(b, "x\xC3\xA9", 3, &ids, NULL));
    ck_assert(ids.n == 2 && ids.id[0] == 1 + ' ' && !memcmp(sp_bpe_symbol(b, ids.id[1], &n), "x\xC3\xA9", 3) && n == 3);
    free(ids.id);
    ck_assert(sp_bpe_encode(b, "\xC3\xA9", 2, &ids, NULL) && ids.n == 2 && ids.id[1] == 260);
    free(ids.id);
    sp_bpe_free(b);
    sp_counts_free(c);
}
END_TEST

/* The order in which words were counted does not matter; a word that is too long is cut. */
START_TEST(order)
{
    sp_counts *a = sp_counts_new(NULL), *z = sp_counts_new(NULL);
    size_t size, n;
    long times;
    ck_assert(sp_bpe_count(a, sp_corpus(&size), 20000, NULL));
    char lengthy[1000];
    memset(lengthy, 'x', sizeof lengthy);
    ck_assert(sp_counts_add(a, lengthy, sizeof lengthy, 3, NULL));
    for (long i = sp_counts_size(a); i--; ) {
        const char *s = sp_counts_symbol(a, i, &n, &times);
        ck_assert(sp_counts_add(z, s, n, times, NULL));
    }
    sp_bpe *b = sp_bpe_new(a, &(sp_bpe_rule){ .size = 500 }, NULL), *d = sp_bpe_new(z, &(sp_bpe_rule){ .size = 500 }, NULL);
    char *one = sp_bpe_write(b), *two = sp_bpe_write(d);
    ck_assert_str_eq(one, two);
    free(one);
    free(two);
    sp_bpe_free(b);
    sp_bpe_free(d);
    sp_counts_free(a);
    sp_counts_free(z);
}
END_TEST

START_TEST(fields)
{
    sp_sentences *s = sp_sentences_new(2, NULL);
    ck_assert(sp_sentences_put_text(s, 0, "a b", 3, SP_LEVEL_WORD, NULL)
              && sp_sentences_put_text(s, 1, "c", 1, SP_LEVEL_WORD, NULL)
              && sp_sentences_end(s, NULL) && sp_sentences_end(s, NULL));
    sp_counts *c = sp_counts_new(NULL);
    size_t n;
    long times;
    ck_assert(sp_bpe_count_field(c, s, 0, NULL) && sp_bpe_count_field(c, s, 1, NULL) && sp_counts_size(c) == 3);
    ck_assert_str_eq(sp_counts_symbol(c, 2, &n, &times), " c");
    sp_status status = { 0 };
    ck_assert(!sp_bpe_count_field(c, s, 2, &status));
    ck_assert_str_eq(status.message, "byte pairs: no field 2 of 2");
    sp_counts_free(c);
    sp_sentences_free(s);
}
END_TEST

/* ---- as JSON --------------------------------------------------------------------------------------------------- */

START_TEST(json)
{
    size_t size;
    const char *const ends[] = { "<s>", NULL };
    const char *corpus = sp_corpus(&size);
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_bpe_count(c, corpus, 30000, NULL) && sp_bpe_count(c, "\xC3\xB6\xC3\xB6", 4, NULL));
    sp_bpe *b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 400, .special = ends }, NULL);
    char *text = sp_bpe_write(b), *again;
    sp_status status = { 0 };
    sp_bpe *back = sp_bpe_parse(text, &status);
    ck_assert_msg(back && sp_bpe_size(back) == 400, "%s", status.message);
    again = sp_bpe_write(back);
    ck_assert_str_eq(text, again);
    sp_ids x, y;
    ck_assert(sp_bpe_encode(b, corpus, 5000, &x, NULL) && sp_bpe_encode(back, corpus, 5000, &y, NULL) && x.n == y.n);
    ck_assert_mem_eq(x.id, y.id, (size_t)x.n * sizeof *x.id);
    free(x.id);
    free(y.id);
    free(text);
    free(again);
    sp_bpe_free(b);
    sp_bpe_free(back);
    sp_counts_free(c);
}
END_TEST

#define BPE(special, letters, joins) \
    "{\"kind\":\"byte pairs\",\"version\":1,\"special\":" special ",\"letters\":" letters ",\"joins\":" joins "}"

static const char *const broken[] = {
    NULL, "", "{}", "[]", "{\"kind\":\"byte pairs\"}", "{\"kind\":\"byte pairs\",\"version\":1}",
    "{\"kind\":\"x\",\"version\":1}",
    BPE("[1]", "[]", "[]"), BPE("[\"<unk>\"]", "[]", "[]"), BPE("[\"a\",\"a\"]", "[]", "[]"), BPE("[\"\"]", "[]", "[]"),
    BPE("[]", "[\"a\"]", "[]"), BPE("[]", "[\"\"]", "[]"), BPE("[]", "[7]", "[]"), BPE("[]", "[\"\xC3\xB6x\"]", "[]"),
    BPE("[]", "[\"\xC3\xB6\",\"\xC3\xB6\"]", "[]"), BPE("[]", "{}", "[]"), BPE("{}", "[]", "[]"), BPE("[]", "[]", "{}"),
    BPE("[]", "[]", "[98]"), BPE("[]", "[]", "[98,257]"), BPE("[]", "[]", "[98,-1]"), BPE("[]", "[]", "[0,98]"),
    BPE("[]", "[]", "[98,98,98,98]"), BPE("[]", "[]", "[98,\"98\"]"), BPE("[]", "[]", "[98,1.5]"),
};

START_TEST(parse_broken)
{
    sp_status status = { 0 };
    ck_assert_msg(!sp_bpe_parse(broken[_i], &status), "%s", broken[_i]);
    ck_assert_msg(strstr(status.message, "the byte pairs cannot be read") == status.message, "%s", status.message);
}
END_TEST

START_TEST(parse_says)
{
    static const char *const said[][2] = {
        { NULL, "the byte pairs cannot be read: there is none" },
        { "[,", "the byte pairs cannot be read: byte 2: unexpected token near ','" },
        { BPE("[\"a\",\"a\"]", "[]", "[]"), "the byte pairs cannot be read: byte pairs: the special symbol 'a' is there already, or empty" },
        { BPE("[]", "[]", "[98,257]"), "the byte pairs cannot be read: byte pairs: 98 and -1 cannot be joined" },
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        sp_status status = { 0 };
        ck_assert(!sp_bpe_parse(said[i][0], &status));
        ck_assert_str_eq(status.message, said[i][1]);
        ck_assert_int_eq(status.code, SP_ERR_FORMAT);
    }
}
END_TEST

/* Pieces that double are refused before they are longer than a word can be. */
START_TEST(wrong)
{
    char text[512] = "{\"kind\":\"byte pairs\",\"version\":1,\"special\":[],\"letters\":[],\"joins\":[98,98";
    sp_status status = { 0 };
    for (int i = 257; i < 264; i++)
        sprintf(text + strlen(text), ",%d,%d", i, i);
    sp_bpe *b = sp_bpe_parse(strcat(text, "]}"), NULL);
    ck_assert(b && sp_bpe_size(b) == 265);
    sp_bpe_free(b);
    text[strlen(text) - 2] = '\0';
    ck_assert(!sp_bpe_parse(strcat(text, ",264,264]}"), NULL));
    ck_assert(!sp_bpe_parse("{\"kind\":\"byte pairs\",\"version\":2}", &status));
    ck_assert_str_eq(status.message, "the byte pairs are of version 2, expected 1");
    sp_counts *c = sp_counts_new(NULL);
    status = (sp_status){ 0 };
    ck_assert(!sp_bpe_new(c, &(sp_bpe_rule){ .size = 256 }, &status));
    ck_assert_str_eq(status.message, "byte pairs: 256 symbols, expected 257 (special ones and bytes) to 1073741824");
    status = (sp_status){ 0 };
    ck_assert(!sp_bpe_new(c, &(sp_bpe_rule){ .special = (const char *const[]){ "x", "x", NULL } }, &status));
    ck_assert_str_eq(status.message, "byte pairs: the special symbol 'x' is there already, or empty");
    ck_assert(!sp_bpe_new(NULL, NULL, NULL));
    sp_bpe_free(NULL);
    sp_counts_free(c);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("bpe");
    TCase *c = tcase_create("bpe");
    tcase_add_test(c, paper);
    tcase_add_loop_test(c, as_the_plain, 0, 6);
    tcase_add_test(c, back_and_forth);
    tcase_add_test(c, pieces);
    tcase_add_test(c, letters);
    tcase_add_test(c, rare_letters);
    tcase_add_test(c, order);
    tcase_add_test(c, fields);
    tcase_add_test(c, json);
    tcase_add_loop_test(c, parse_broken, 0, sizeof broken / sizeof *broken);
    tcase_add_test(c, parse_says);
    tcase_add_test(c, wrong);
    suite_add_tcase(all, c);
    return all;
}
