/* Files of sentences: what is read is what stands there, and what is wrong is said with its line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/readers.h"

/* A sentence as "a b|A B|", fields one behind the other; sentences on lines. */
static void list(const sp_sentences *s, char *out)
{
    *out = '\0';
    for (long i = 0; i < s->n; i++) {
        for (int f = 0; f < s->fields; f++) {
            for (long j = 0; j < sp_sentence_length(s, f, i); j++) {
                size_t length;
                const char *w = sp_sentence_word(s, f, i, j, &length);
                ck_assert(strlen(w) == length && length > 0);
                strcat(strcat(out, j ? " " : ""), w);
            }
            strcat(out, "|");
        }
        strcat(out, "\n");
    }
}

static const struct {
    const char *format, *text, *want;
    bool wrong;                 /* want is the message */
} files[] = {
    { "conllu", "# text = x y\n1\tx\t_\tNOUN\t_\n2\ty\t_\tVERB\n\n1\tz\t_\tX\n", "x y|NOUN VERB|\nz|X|\n", false },
    { "conllu", "1-2\tdu\t_\t_\n1\tde\t_\tADP\n2\tle\t_\tDET\n2.1\tnull\t_\tNOUN\n", "de le|ADP DET|\n", false },
    { "conllu", "1\t10 000\t_\tNUM\n", "10 000|NUM|\n", false },
    { "conllu", "1-2\tdu\t_\t_\n\n1\tde\t_\tADP\n", "de|ADP|\n", false },          /* no words: no sentence */
    { "conllu", "", "", false },
    { "conllu", "# only\n\n#comments\n", "", false },
    { "conllu", "\n\n1\ta\t_\tX\r\n\r\n \t\n\n1\tb\t_\tY", "a|X|\nb|Y|\n", false },
    { "conllu", "1\ta\t_\tX\n\n1\tb\tY\n", "f:3: 3 columns between tabs, expected 4", true },
    { "conllu", "word\ta\t_\tX\n", "f:1: 'word' is no word number of CoNLL-U, expected 1, 1-2 or 1.1", true },
    { "conllu", "1-\ta\t_\tX\n", "f:1: '1-' is no word number of CoNLL-U, expected 1, 1-2 or 1.1", true },
    { "conllu", "1.2.3\ta\t_\tX\n", "f:1: '1.2.3' is no word number of CoNLL-U, expected 1, 1-2 or 1.1", true },
    { "conllu", "\ta\t_\tX\n", "f:1: '' is no word number of CoNLL-U, expected 1, 1-2 or 1.1", true },
    { "conllu", "1\t\t_\tX\n", "f:1: column 2 is empty", true },
    { "conll2003", "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n-DOCSTART- -X- O O\nx y z w\n",
      "EU rejects|B-ORG O|\nPeter|B-PER|\nx|w|\n", false },
    { "conll2003", "  a \t  b  \nc\td \n", "a c|b d|\n", false },
    { "conll2003", "a x b\n\n\nc x\n", "f:4: 2 columns between blanks, line 1 has 3", true },
    { "conll2003", "-DOCSTART-x B\n", "-DOCSTART-x|B|\n", false },
    { "conll2003", "a B\nalone\n", "f:2: 1 column between blanks, expected 2", true },
    { "columns", "a\tB-x\nb\tO\n\nc\tO\n", "a b|B-x O|\nc|O|\n", false },
    { "columns", "\xEF\xBB\xBF" "a\tO\n\xEF\xBB\xBF\nb\tO\n", "a b|O O|\n", false },
    { "columns", "a\tO\n\n\xEF\xBB\xBF\n", "a|O|\n", false },
    { "columns", "a\tO\nb O\n", "f:2: 1 column between tabs, expected 2", true },
    { "columns", "a\t\n", "f:1: column 2 is empty", true },
    { "columns", "\tO\n", "f:1: column 1 is empty", true },
    { "columns", "a\tO\rb\tO\r", "f:1: column 2 has a carriage return, expected lines that end with LF or CR LF", true },
    { "labelled", "pos\ta\rb\r\r\n", "a b|pos|\n", false },
    { "columns", "\xFF\xFE\tO\xC3\n", "\xFF\xFE|O\xC3|\n", false },
    { "labelled", "pos\tgood  film \n\nneg\tnot good\nnone\t\n", "good film|pos|\nnot good|neg|\n|none|\n", false },
    { "labelled", " a label \tx\ty\n", "x|a label|\n", false },
    { "labelled", "pos good\n", "f:1: 1 column between tabs, expected 2", true },
    { "labelled", "\tgood\n", "f:1: column 1 is empty", true },
    { "pairs", "Go.\tVa !\tCC-BY\nHi.\tSalut !\n\t\n", "Go.|Va !|\nHi.|Salut !|\n", false },
    { "pairs", "Go.\t\n\tVa\n", "Go.||\n|Va|\n", false },
    { "lines", "a b\n\n c\td\r\n", "a b|\nc d|\n", false },
    { "cmudict", ";;; comment\nab(2) AE1 B # a comment\n'em  AH0 M\n", "a b|AE1 B|\n' e m|AH0 M|\n", false },
    { "cmudict", "(2) T UW1\nab() X\n(a) Y\na(b2) Z\n#hash HH\n",
      "( 2 )|T UW1|\na b ( )|X|\n( a )|Y|\na ( b 2 )|Z|\n# h a s h|HH|\n", false },
    { "cmudict", "(23) X\n(2345) Y\n", "( 2 3 )|X|\n( 2 3 4 5 )|Y|\n", false },
    { "cmudict", "a(12) X\n\xC3\xB6(2) OE\n", "a|X|\n\xC3\xB6|OE|\n", false },
    { "cmudict", "word\n", "f:1: 1 column between blanks, expected 2", true },
    { "cmudict", "a B\nword # W\n", "f:2: 1 column between blanks, expected 2", true },
};

START_TEST(reading)
{
    char found[512];
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_parse("f", files[_i].text, strlen(files[_i].text), sp_format_named(files[_i].format),
                                         &status);
    if (files[_i].wrong) {
        ck_assert_ptr_null(s);
        ck_assert_str_eq(status.message, files[_i].want);
        ck_assert_int_eq(status.code, SP_ERR_FORMAT);
        return;
    }
    ck_assert_msg(s != NULL, "%s", status.message);
    list(s, found);
    ck_assert_str_eq(found, files[_i].want);
    sp_sentences_free(s);
}
END_TEST

/* Columns of one's own, and formats that cannot be. */
START_TEST(own_format)
{
    char found[128];
    sp_status status = { 0 };
    sp_format f = *sp_format_named("conll2003");
    f.fields = 3;
    f.field[2].column = 2;
    sp_sentences *s = sp_sentences_parse("f", "EU NNP B-ORG\n", 13, &f, &status);
    ck_assert_msg(s != NULL, "%s", status.message);
    list(s, found);
    ck_assert_str_eq(found, "EU|B-ORG|NNP|\n");
    sp_sentences_free(s);
    f.field[1].column = 65;
    ck_assert(!sp_sentences_parse("f", "a", 1, &f, &status));
    ck_assert_str_eq(status.message, "format: field 1 is of column 65, expected 1 to 64 or the last");
    status = (sp_status){ 0 };
    f.fields = 5;
    ck_assert(!sp_sentences_parse("f", "a", 1, &f, &status));
    ck_assert_str_eq(status.message, "format: 5 fields, expected 1 to 4");
    status = (sp_status){ 0 };
    ck_assert(!sp_sentences_parse("f", "a\0b", 3, sp_format_named("lines"), &status));
    ck_assert_str_eq(status.message, "f: is not text: byte 1 is zero");
    status = (sp_status){ 0 };
    ck_assert(!sp_sentences_parse("f", NULL, 0, sp_format_named("lines"), &status) && status.code == SP_ERR_VALUE);
    ck_assert(!sp_sentences_parse("f", "a", 1, NULL, NULL) && !sp_sentences_read(NULL, sp_format_named("lines"), NULL));
    ck_assert(!sp_format_named("xml") && !sp_format_named(NULL) && !sp_format_at(-1));
    ck_assert_str_eq(sp_format_at(0)->name, "conllu");
}
END_TEST

/* ---- two files ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *source, *target, *want;
    bool wrong;                 /* want is "N M": the numbers of lines */
} two[] = {
    { "a b\nc\n", "A\nB C\n", "a b|A|\nc|B C|\n", false },
    { "a b\nc", "A\r\nB C\r\n", "a b|A|\nc|B C|\n", false },
    { "a\n\nb\n", "A\n\n\n", "a|A|\n||\nb||\n", false },
    { "\xEF\xBB\xBF" "a\n", "A\n", "a|A|\n", false },
    { "a\nb\n", "A\n", "2 1", true },
    { "a\nb", "A\n\n\n", "2 3", true },
};

START_TEST(parallel)
{
    char path[2][PATH_ROOM], found[512], message[4 * PATH_ROOM];
    sp_status status = { 0 };
    ck_new_file(path[0]);
    ck_new_file(path[1]);
    ck_put_file(path[0], two[_i].source, strlen(two[_i].source));
    ck_put_file(path[1], two[_i].target, strlen(two[_i].target));
    sp_sentences *s = sp_sentences_read_parallel(path[0], path[1], SP_LEVEL_WORD, &status);
    if (two[_i].wrong) {
        ck_assert_ptr_null(s);
        snprintf(message, sizeof message, "%s has %c lines, %s has %c", path[0], two[_i].want[0], path[1], two[_i].want[2]);
        ck_assert_str_eq(status.message, message);
    } else {
        ck_assert_msg(s != NULL, "%s", status.message);
        list(s, found);
        ck_assert_str_eq(found, two[_i].want);
        sp_sentences_free(s);
        s = sp_sentences_read_parallel(path[0], path[1], SP_LEVEL_CHAR, NULL);
        ck_assert_int_eq(s->field[1].level, SP_LEVEL_CHAR);
        sp_sentences_free(s);
    }
    remove(path[0]);
    status = (sp_status){ 0 };
    ck_assert(!sp_sentences_read_parallel(path[0], path[1], SP_LEVEL_WORD, &status) && status.code == SP_ERR_FILE);
    ck_assert(!sp_sentences_read_parallel(NULL, path[1], SP_LEVEL_WORD, NULL));
    remove(path[1]);
}
END_TEST

START_TEST(from_file)
{
    char path[PATH_ROOM], want[PATH_ROOM + 64];
    sp_status status = { 0 };
    ck_new_file(path);
    ck_put_file(path, "a\tX\nb\n", strlen("a\tX\nb\n"));
    ck_assert(!sp_sentences_read(path, sp_format_named("columns"), &status));
    snprintf(want, sizeof want, "%s:2: 1 column between tabs, expected 2", path);
    ck_assert_str_eq(status.message, want);
    sp_sentences *s = sp_sentences_read(path, sp_format_named("lines"), NULL);
    ck_assert(s && s->n == 2);
    sp_sentences_free(s);
    remove(path);
}
END_TEST

/* ---- sentences ------------------------------------------------------------------------------------------------- */

/* A sentence of 10,000 words, and a word of 100,000 letters. */
START_TEST(long_ones)
{
    enum { WORDS = 10000, LETTERS = 100000 };
    char *text = malloc(LETTERS + 16 * WORDS), *at = text;
    for (int i = 0; i < WORDS; i++)
        at += sprintf(at, "w%d\tT%d\n", i, i % 7);
    memset(at, 'x', LETTERS);
    at += LETTERS + sprintf(at + LETTERS, "\tT\n");
    sp_sentences *s = sp_sentences_parse("f", text, (size_t)(at - text), sp_format_named("columns"), NULL);
    ck_assert(s && s->n == 1 && sp_sentence_length(s, 0, 0) == WORDS + 1 && sp_sentence_length(s, 1, 0) == WORDS + 1);
    for (int i = 0; i < WORDS; i++) {
        char word[16];
        sprintf(word, "w%d", i);
        ck_each(!strcmp(sp_sentence_word(s, 0, 0, i, NULL), word), "word %d", i);
    }
    size_t length;
    sp_sentence_word(s, 0, 0, WORDS, &length);
    ck_assert_uint_eq(length, LETTERS);
    sp_sentences_free(s);
    free(text);
}
END_TEST

START_TEST(parts)
{
    char found[128];
    static const long index[] = { 2, 0, 2 };
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_parse("f", "A\ta a a\nB\t\nC\tc\n", 15, sp_format_named("labelled"), NULL);
    sp_sentences *t = sp_sentences_choose(s, index, 3, NULL);
    list(t, found);
    ck_assert_str_eq(found, "c|C|\na a a|A|\nc|C|\n");
    sp_sentences_free(t);
    t = sp_sentences_within(s, 1, 2, NULL);
    list(t, found);
    ck_assert_str_eq(found, "c|C|\n");
    sp_sentences_free(t);
    t = sp_sentences_choose(s, NULL, 0, NULL);
    ck_assert(t && t->n == 0 && t->fields == 2);
    sp_sentences_free(t);
    ck_assert(!sp_sentences_choose(s, (const long[]){ 3 }, 1, &status));
    ck_assert_str_eq(status.message, "sentences: there is no 3 among 3");
    sp_sentences_free(s);
}
END_TEST

START_TEST(building)
{
    sp_status status = { 0 };
    size_t size = 99;
    sp_sentences *s = sp_sentences_new(2, NULL);
    ck_assert(sp_sentences_put(s, 0, "one", 3, NULL) && sp_sentences_put(s, 0, "two!", 3, NULL));
    ck_assert(sp_sentences_put_text(s, 1, " \xC3\xB6x\xFF", 5, SP_LEVEL_CHAR, NULL) && sp_sentences_end(s, NULL));
    char *words = sp_sentence_text(s, 0, 0, &size), *letters = sp_sentence_text(s, 1, 0, NULL);
    ck_assert_str_eq(words, "one two");
    ck_assert_uint_eq(size, 7);
    ck_assert_str_eq(letters, " \xC3\xB6x\xFF");
    ck_assert_int_eq(sp_sentence_length(s, 1, 0), 4);
    free(words);
    free(letters);
    letters = sp_sentence_text(s, 5, 7, &size);
    ck_assert(letters && !*letters && size == 0);
    free(letters);
    ck_assert(!sp_sentences_put(s, 2, "x", 1, &status));
    ck_assert_str_eq(status.message, "sentences: no field 2 of 2, or no string");
    status = (sp_status){ 0 };
    ck_assert(!sp_sentences_put(s, 0, "a\0b", 3, &status) && !sp_sentences_put(s, 0, "", 0, NULL));
    ck_assert_str_eq(status.message, "sentences: a string of 3 bytes with a zero");
    ck_assert(!sp_sentences_put(NULL, 0, "a", 1, NULL) && !sp_sentences_end(NULL, NULL));
    ck_assert(!sp_sentences_put_text(s, 1, "x y\0z", 5, SP_LEVEL_WORD, NULL));         /* nothing of it */
    ck_assert(s->field[1].strings == 4 && s->field[1].level == SP_LEVEL_CHAR);
    status = (sp_status){ 0 };
    ck_assert(!sp_sentences_put_text(s, 2, "", 0, SP_LEVEL_WORD, &status)
              && !sp_sentences_put_text(s, 0, NULL, 1, SP_LEVEL_WORD, NULL));
    ck_assert_str_eq(status.message, "sentences: no field 2 of 2, or no text");
    sp_sentences *other = sp_sentences_new(1, NULL);
    status = (sp_status){ 0 };
    ck_assert(sp_sentences_put(other, 0, "three", 5, NULL) && sp_sentences_put_field(other, 0, s, 0, 0, NULL)
              && sp_sentences_end(other, NULL));
    ck_assert(!sp_sentences_put_field(other, 1, s, 0, 0, &status) && !sp_sentences_put_field(NULL, 0, s, 0, 0, NULL));
    ck_assert_str_eq(status.message, "sentences: no field 1 of 1");
    const struct { const sp_sentences *from; int f; long i; const char *error; } wrong[] = {
        { s, 7, 0, "sentences: no field 7 of 2 in sentence 0 of 1" }, { s, -1, 0, "sentences: no field -1 of 2 in sentence 0 of 1" },
        { s, 0, 1, "sentences: no field 0 of 2 in sentence 1 of 1" }, { s, 0, -1, "sentences: no field 0 of 2 in sentence -1 of 1" },
        { NULL, 0, 0, "sentences: no field 0 of 0 in sentence 0 of 0" }, { other, 0, 0, "sentences: field 0 cannot be put into itself" },
    };
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        status = (sp_status){ 0 };
        ck_assert(!sp_sentences_put_field(other, 0, wrong[k].from, wrong[k].f, wrong[k].i, &status));
        ck_assert_str_eq(status.message, wrong[k].error);
        ck_assert_int_eq(other->field[0].strings, 3);
    }
    words = sp_sentence_text(other, 0, 0, NULL);
    ck_assert_str_eq(words, "three one two");
    free(words);
    sp_sentences_free(other);
    ck_assert_int_eq(sp_sentence_length(s, 0, -1) + sp_sentence_length(s, -1, 0) + sp_sentence_length(s, 0, 1), 0);
    ck_assert_str_eq(sp_sentence_word(s, 0, 0, 2, &size), "");
    ck_assert_str_eq(sp_sentence_word(s, 0, 0, -1, NULL), "");
    sp_sentences_free(s);
    sp_sentences_free(NULL);
    ck_assert(!sp_sentences_new(0, NULL) && !sp_sentences_new(5, NULL));
}
END_TEST

/* ---- as numbers ------------------------------------------------------------------------------------------------ */

START_TEST(numbers)
{
    static const char text[] = "the\tD\ncat\tN\n\nThe\tD\nx\tX\n";
    const sp_vocabulary_rule low = { .lower = true, .special = (const char *const[]){ "<s>", NULL } },
        tags = { .closed = true };
    sp_sentences *s = sp_sentences_parse("f", text, strlen(text), sp_format_named("columns"), NULL);
    sp_sentences *other = sp_sentences_parse("f", "THE\tD\ndog\tQ\n<s>\tD\n", 18, sp_format_named("columns"), NULL);
    sp_vocabulary *words = sp_vocabulary_of_field(s, 0, &low, NULL), *kinds = sp_vocabulary_of_field(s, 1, &tags, NULL);
    sp_vocabulary *letters = sp_vocabulary_of_letters(s, 0, NULL, NULL);
    sp_ids ids;
    sp_letters l;
    ck_assert_int_eq(sp_vocabulary_size(words), 5);             /* <unk> <s> the cat x */
    ck_assert_int_eq(sp_vocabulary_size(kinds), 3);             /* D N X */
    ck_assert_int_eq(sp_vocabulary_size(letters), 8);           /* <unk> e h t T a c x */
    ck_assert(sp_encode_field(words, other, 0, &ids, NULL) && ids.n == 3 && ids.unknown == 2);
    ck_assert(ids.id[0] == 2 && ids.id[1] == 0 && ids.id[2] == 0);
    free(ids.id);
    ck_assert(sp_encode_field(kinds, other, 1, &ids, NULL) && ids.n == 3 && ids.unknown == 1);
    ck_assert(ids.id[0] == 0 && ids.id[1] == -1 && ids.id[2] == 0);
    free(ids.id);
    ck_assert(sp_encode_letters(letters, other, 0, &l, NULL) && l.n == 3 && l.at[0] == 0 && l.at[1] == 3 && l.at[3] == 9);
    for (long k = 0, i = 0; k < l.n; k++)
        for (const char *w = sp_sentence_word(other, 0, 0, k, NULL); *w; w++, i++)
            ck_assert_int_eq(l.id[i], sp_vocabulary_id(letters, w, 1));
    ck_assert_int_eq(l.unknown, 8);                             /* H E d o g < s > */
    free(l.id);
    free(l.at);
    sp_status status = { 0 };
    ck_assert(!sp_encode_field(words, s, 2, &ids, &status) && !ids.id);
    ck_assert_str_eq(status.message, "sentences: no field 2 of 2");
    ck_assert(!sp_encode_letters(NULL, s, 0, &l, NULL) && !sp_vocabulary_of_field(s, -1, NULL, NULL));
    sp_vocabulary_free(words);
    sp_vocabulary_free(kinds);
    sp_vocabulary_free(letters);
    sp_sentences_free(s);
    sp_sentences_free(other);
}
END_TEST

/* ---- noise ----------------------------------------------------------------------------------------------------- */

/* Whatever the bytes, a reader gives sentences whose strings are parts of the text, or one line of error. */
START_TEST(noise)
{
    static const char *const likely[] = { "\t", "\n", "\r\n", " ", "1\ta\t_\tX\n", "1-2\t", "1.1", "-DOCSTART-", "#",
                                          "\xEF\xBB\xBF", "a",
                                          "(2)", "\xC3\xB6", "\xE2\x82", ";;;", "\tO\n", "word T UW\n", "\n\n", "a x b\n" };
    enum { LIKELY = sizeof likely / sizeof *likely, SIZE = 400 };
    sp_random random = { .key = { .seed = (uint64_t)_i, .place = 77 } };
    const sp_format *format = sp_format_at(_i);
    long read = 0, refused = 0;
    for (int n = 0; n < 3000; n++) {
        char text[SIZE + 16];
        size_t size = 0, length;
        const long most = sp_random_below(&random, SIZE);
        while (size < (size_t)most) {
            const long k = sp_random_below(&random, LIKELY + LIKELY / 4);
            if (k < LIKELY) {
                memcpy(text + size, likely[k], strlen(likely[k]));
                size += strlen(likely[k]);
            } else {
                text[size++] = (char)(1 + sp_random_below(&random, 255));
            }
        }
        char *exact = malloc(size ? size : 1);          /* so that a byte too far is seen */
        memcpy(exact, text, size);
        sp_status status = { 0 };
        sp_sentences *s = sp_sentences_parse("f", exact, size, format, &status);
        ck_each((s != NULL) == (status.code == SP_OK), "%s", status.message);
        text[size] = '\0';
        if (s) {
            for (int f = 0; f < s->fields; f++)
                for (long i = 0; i < s->n; i++)
                    for (long j = 0; j < sp_sentence_length(s, f, i); j++) {
                        const char *w = sp_sentence_word(s, f, i, j, &length);
                        ck_each(length > 0 && strlen(w) == length && strstr(text, w), "%s: '%s'", format->name, w);
                    }
        } else {
            ck_each(!strncmp(status.message, "f:", 2) && !strchr(status.message, '\n'), "%s", status.message);
        }
        read += s != NULL;
        refused += s == NULL;
        sp_sentences_free(s);
        free(exact);
    }
    ck_assert_msg(read > 20 && (refused > 5 || !format->separator), "%s: %ld read, %ld refused", format->name, read, refused);
}
END_TEST

/* Blank lines are sentences where a format says so; one that is nothing but a byte-order mark is none. */
START_TEST(kept_blanks)
{
    static const char text[] = "\xEF\xBB\xBF\na b\n\n \t\r\nc";
    for (int kept = 0; kept < 2; kept++) {
        sp_format format = *sp_format_named("lines");
        format.blanks = kept;
        sp_sentences *s = sp_sentences_parse("f", text, sizeof text - 1, &format, NULL);
        ck_assert(s && s->n == (kept ? 4 : 2));
        ck_assert(sp_sentence_length(s, 0, 0) == 2 && sp_sentence_length(s, 0, 1) == !kept && sp_sentence_length(s, 0, 3) == kept);
        sp_sentences_free(s);
    }
}
END_TEST

Suite *suite(void)
{
    int formats = 0;
    while (sp_format_at(formats))
        formats++;
    Suite *all = suite_create("readers");
    TCase *c = tcase_create("readers");
    tcase_add_loop_test(c, reading, 0, sizeof files / sizeof *files);
    tcase_add_test(c, own_format);
    tcase_add_loop_test(c, parallel, 0, sizeof two / sizeof *two);
    tcase_add_test(c, from_file);
    tcase_add_loop_test(c, noise, 0, formats);
    suite_add_tcase(all, c);
    c = tcase_create("sentences");
    tcase_add_test(c, long_ones);
    tcase_add_test(c, parts);
    tcase_add_test(c, building);
    tcase_add_test(c, numbers);
    tcase_add_test(c, kept_blanks);
    suite_add_tcase(all, c);
    return all;
}
