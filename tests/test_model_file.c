/* Models as files: what is saved comes back as it was, what a file says wrongly is an error that leaves all as it was. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"
#include "zoo/model_file.h"

#define KIND "spindle.test 3"

typedef enum order { FORWARD, BACKWARD, BOTH } order;

typedef struct config {
    const char *name, *cell;
    long size;
    double rate;
    order order;
    bool tied;
} config;

#define OPTIONS(c)                                                                                                     \
    { "name", SP_OPTION_TEXT, &(c)->name, .argument = "TEXT", .help = "" },                                            \
    { "cell", SP_OPTION_CHOICE, &(c)->cell, .argument = "lstm|gru", .help = "" },                                      \
    { "size", SP_OPTION_WHOLE, &(c)->size, -5e15, 5e15, .help = "" },                                                  \
    { "rate", SP_OPTION_NUMBER, &(c)->rate, -1e300, 1e300, .help = "" },                                               \
    { "order", SP_OPTION_INDEX, &(c)->order, .argument = "forward|backward|both", .help = "" },                        \
    { "tied", SP_OPTION_FLAG, &(c)->tied, .help = "" }

static char directory[PATH_ROOM], path[PATH_ROOM + 8];
static sp_store *store;

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m.st", directory);
    store = sp_store_new(1);
    sp_param_values(sp_store_add(store, SP_SHAPE(2, 3), "a"))[4] = 7;
    sp_store_add(store, SP_SHAPE(4), "b");
}

static void end(void)
{
    sp_store_free(store);
    remove(path);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

static const config before = { "old", "gru", 12, 3, BACKWARD, true };

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same(const config *a, const config *b)
{
    return same_text(a->name, b->name) && same_text(a->cell, b->cell) && a->size == b->size && a->rate == b->rate
           && a->order == b->order && a->tied == b->tied;
}

/* Opens the file of a configuration into another one; it must fail with this behind the file's name, and change nothing. */
static void refused(const char *kind, const char *error)
{
    sp_status status = { 0 };
    config c = before;
    const sp_option rows[] = { OPTIONS(&c), { 0 } };
    ck_assert_ptr_null(sp_model_open(path, kind, rows, &status));
    ck_assert_msg(!strncmp(status.message, path, strlen(path)) && !strncmp(status.message + strlen(path), ": ", 2),
                  "%s", status.message);
    ck_assert_str_eq(status.message + strlen(path) + 2, error);
    ck_assert_int_eq(status.code, SP_ERR_FORMAT);
    ck_assert(same(&c, &before));
}

/* ---- there and back -------------------------------------------------------------------------------------------- */

static const config configs[] = {
    { "a name", "lstm", 1, 0.1, FORWARD, false },
    { NULL, "gru", -4503599627370497, 1 / 3.0, BOTH, true },
    { "\xC3\xB6\xE8\xAA\x9E \"x\" \\ \n\t\x01", "lstm", 4503599627370497, -0.0, BACKWARD, false },
    { "1", "gru", 0, 5e-324, FORWARD, true },
    { "null", "gru", 1000000, 1.7976931348623157e299, FORWARD, true },
    { "x", "gru", 7, 1e22, FORWARD, true },
};

START_TEST(back)
{
    sp_status status = { 0 };
    config saved = configs[_i], c = before;
    const sp_option rows[] = { OPTIONS(&saved), { 0 } }, others[] = { OPTIONS(&c), { 0 } };
    ck_assert_msg(sp_model_save(store, KIND, rows, 0, NULL, path, &status), "%s", status.message);
    sp_safetensors *f = sp_model_open(path, KIND, others, &status);
    ck_assert_msg(f != NULL, "%s", status.message);
    ck_assert_msg(same(&c, &saved) && signbit(c.rate) == signbit(saved.rate), "%s %s %ld %.17g %d %d", c.name, c.cell, c.size,
                  c.rate, c.order, c.tied);
    ck_assert_ptr_ne(c.name, c.name ? saved.name : "");          /* the file's own */
    sp_store *again = sp_model_store(f, &status);
    ck_assert(again && sp_store_add(again, SP_SHAPE(2, 3), "a") && sp_store_add(again, SP_SHAPE(4), "b"));
    ck_assert_int_eq(sp_model_parameters(again), 10);
    ck_assert_msg(sp_model_read(again, f, &status), "%s", status.message);
    ck_same(sp_store_values(again), sp_store_values(store), sp_store_size(store));
    sp_store_free(again);
    sp_safetensors_free(f);
}
END_TEST

/* No rows, no parts, no parameters: still a model of its kind. */
START_TEST(nothing)
{
    const sp_option none[] = { { 0 } };
    sp_status status = { 0 };
    sp_store *empty = sp_store_new(0);
    ck_assert(sp_model_save(empty, KIND, none, 0, NULL, path, &status));
    sp_safetensors *f = sp_model_open(path, KIND, none, &status);
    ck_assert_msg(f && sp_model_parameters(empty) == 0, "%s", status.message);
    sp_safetensors_free(f);
    sp_store_free(empty);
}
END_TEST

START_TEST(parts)
{
    static const char text[] = "the sea the shore \xFF";
    const sp_option none[] = { { 0 } };
    sp_status status = { 0 };
    sp_vocabulary *v = sp_vocabulary_of(text, strlen(text), SP_LEVEL_WORD, 0, NULL);
    sp_counts *c = sp_counts_new(NULL);
    ck_assert(sp_bpe_count(c, text, strlen(text), NULL));
    sp_bpe *b = sp_bpe_new(c, &(sp_bpe_rule){ .size = 262 }, NULL);
    char *words = sp_vocabulary_write(v), *pieces = sp_bpe_write(b), *again;
    const sp_metadata part[] = { { "words", words }, { "left out", NULL }, { "pieces", pieces }, { "note", "" } };
    ck_assert_msg(sp_model_save(store, KIND, none, 4, part, path, &status), "%s", status.message);
    sp_safetensors *f = sp_model_open(path, KIND, none, &status);
    ck_assert_msg(f != NULL, "%s", status.message);
    ck_assert(!sp_safetensors_get(f, "left out") && !*sp_safetensors_get(f, "note"));
    sp_vocabulary *w = sp_model_vocabulary(f, "words", &status);
    sp_bpe *d = sp_model_bpe(f, "pieces", &status);
    ck_assert_msg(w && d, "%s", status.message);
    ck_assert_str_eq(again = sp_vocabulary_write(w), words);
    free(again);
    ck_assert_str_eq(again = sp_bpe_write(d), pieces);
    free(again);
    static const struct { const char *part, *of_words, *of_pieces; } wrong[] = {
        { "words", NULL, "its words: the byte pairs cannot be read" },
        { "pieces", "its pieces: the vocabulary cannot be read", NULL },
        { "left out", "its left out: the vocabulary cannot be read: there is none",
          "its left out: the byte pairs cannot be read: there is none" },
        { "note", "its note: the vocabulary cannot be read: byte 0: '[' or '{' expected near end of file",
          "its note: the byte pairs cannot be read: byte 0: '[' or '{' expected near end of file" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sp_status one = { 0 }, two = { 0 };
        ck_assert(!wrong[i].of_words || !sp_model_vocabulary(f, wrong[i].part, &one));
        ck_assert(!wrong[i].of_pieces || !sp_model_bpe(f, wrong[i].part, &two));
        ck_assert_str_eq(one.code ? one.message + strlen(path) + 2 : "", wrong[i].of_words ? wrong[i].of_words : "");
        ck_assert_str_eq(two.code ? two.message + strlen(path) + 2 : "", wrong[i].of_pieces ? wrong[i].of_pieces : "");
        ck_assert(!one.code || (one.code == SP_ERR_FORMAT && !strncmp(one.message, path, strlen(path))));
    }
    sp_vocabulary_free(v);
    sp_vocabulary_free(w);
    sp_bpe_free(b);
    sp_bpe_free(d);
    sp_counts_free(c);
    sp_safetensors_free(f);
    free(words);
    free(pieces);
}
END_TEST

/* ---- what cannot be -------------------------------------------------------------------------------------------- */

/* A sound file in which one pair is another, or, NULL, is not there. */
static const struct {
    const char *key, *value, *error;
} wrongs[] = {
    { "kind", "spindle.lm 1", "is a model of the kind 'spindle.lm 1', not 'spindle.test 3'" },
    { "kind", "spindle.test 31", "is a model of the kind 'spindle.test 31', not 'spindle.test 3'" },
    { "kind", NULL, "is a model of the kind 'unknown', not 'spindle.test 3'" },
    { "cell", NULL, "its cell is missing" }, { "size", NULL, "its size is missing" }, { "rate", NULL, "its rate is missing" },
    { "order", NULL, "its order is missing" }, { "tied", NULL, "its tied is missing" },
    { "name", "", "its name is: expected TEXT, not an empty text" },
    { "cell", "rnn", "its cell is rnn: expected one of lstm|gru" }, { "cell", "", "its cell is : expected one of lstm|gru" },
    { "order", "2", "its order is 2: expected one of forward|backward|both" },
    { "order", "back", "its order is back: expected one of forward|backward|both" },
    { "size", "7x", "its size is 7x: expected a whole number from -5e+15 to 5e+15" },
    { "size", "1.5", "its size is 1.5: expected a whole number from -5e+15 to 5e+15" },
    { "size", "1e16", "its size is 1e16: expected a whole number from -5e+15 to 5e+15" },
    { "size", "99999999999999999999", "its size is 99999999999999999999: expected a whole number from -5e+15 to 5e+15" },
    { "size", "", "its size is : expected a whole number from -5e+15 to 5e+15" },
    { "rate", "nan", "its rate is nan: expected a number from -1e+300 to 1e+300" },
    { "rate", "1e999", "its rate is 1e999: expected a number from -1e+300 to 1e+300" },
    { "rate", "-1e301", "its rate is -1e301: expected a number from -1e+300 to 1e+300" },
    { "rate", "[1]", "its rate is [1]: expected a number from -1e+300 to 1e+300" },
    { "tied", "2", "its tied is 2: expected 0 or 1" }, { "tied", "true", "its tied is true: expected 0 or 1" },
    { "tied", "", "its tied is : expected 0 or 1" },
};

START_TEST(wrong)
{
    sp_metadata all[] = { { "kind", KIND }, { "name", "n" }, { "cell", "lstm" }, { "size", "5" }, { "rate", "0.5" },
                          { "order", "both" }, { "tied", "0" } };
    config c;
    const sp_option rows[] = { OPTIONS(&c), { 0 } };
    ck_assert(sp_store_save(store, path, 7, all, NULL));
    sp_safetensors *f = sp_model_open(path, KIND, rows, NULL);
    ck_assert(f && same(&c, &(config){ "n", "lstm", 5, 0.5, BOTH, false }));
    sp_safetensors_free(f);
    for (int i = 0; i < 7; i++)
        if (!strcmp(all[i].key, wrongs[_i].key))
            all[i] = wrongs[_i].value ? (sp_metadata){ wrongs[_i].key, wrongs[_i].value } : (sp_metadata){ "x", "" };
    ck_assert(sp_store_save(store, path, 7, all, NULL));
    refused(KIND, wrongs[_i].error);
}
END_TEST

/* What is no model, and what is none to be written: the file stays. */
START_TEST(files)
{
    sp_status status = { 0 };
    config c = configs[0];
    const sp_option rows[] = { OPTIONS(&c), { 0 } };
    ck_assert(!sp_model_open(path, KIND, rows, &status) && status.code == SP_ERR_FILE && strstr(status.message, path));
    ck_assert(sp_model_save(store, KIND, rows, 0, NULL, path, NULL));
    const struct { double rate; const char *name; const char *part; const char *error; } bad[] = {
        { NAN, "n", "words", "m.st: its rate is" }, { INFINITY, "n", "words", "m.st: its rate is inf, which no file can say" },
        { 1, "\xFF", "words", "m.st: the value of metadata pair 1 is not UTF-8" },
        { 1, "n", "kind", "m.st: there are two metadata keys 'kind'" },
        { 1, "n", "size", "m.st: there are two metadata keys 'size'" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c = configs[0];
        c.rate = bad[i].rate;
        c.name = bad[i].name;
        status = (sp_status){ 0 };
        ck_assert(!sp_model_save(store, KIND, rows, 1, &(sp_metadata){ bad[i].part, "x" }, path, &status));
        ck_assert_msg(strstr(status.message, bad[i].error) && status.code == SP_ERR_VALUE, "%s", status.message);
    }
    sp_safetensors *f = sp_model_open(path, KIND, rows, &status);
    ck_assert(f && same(&c, &configs[0]));
    sp_safetensors_free(f);
}
END_TEST

/* An error of what a file says is one of its format, but for memory; the first error stays. */
START_TEST(refusing)
{
    static const struct { sp_code code, want; } codes[] = { { SP_ERR_VALUE, SP_ERR_FORMAT }, { SP_ERR_SHAPE, SP_ERR_FORMAT },
                                                            { SP_ERR_MEMORY, SP_ERR_MEMORY }, { SP_ERR_FORMAT, SP_ERR_FORMAT } };
    const sp_option none[] = { { 0 } };
    char want[PATH_ROOM + 32];
    ck_assert(sp_model_save(store, KIND, none, 0, NULL, path, NULL));
    sp_safetensors *f = sp_model_open(path, KIND, none, NULL);
    snprintf(want, sizeof want, "%s: hidden is 7", path);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        sp_status status = { 0 }, why = { 0 };
        sp_fail(&why, codes[i].code, "hidden is %d", 7);
        sp_model_refuse(f, &why, &status);
        ck_assert_int_eq(status.code, codes[i].want);
        ck_assert_str_eq(status.message, want);
        sp_model_refuse(f, &(sp_status){ .code = SP_ERR_VALUE, .message = "later" }, &status);
        ck_assert_str_eq(status.message, want);
    }
    sp_safetensors_free(f);
}
END_TEST

/* Sizes that a small file claims take no memory. */
START_TEST(claims)
{
    const sp_option none[] = { { 0 } };
    ck_assert(sp_model_save(store, KIND, none, 0, NULL, path, NULL));
    sp_safetensors *f = sp_model_open(path, KIND, none, NULL);
    const long most = (long)sp_safetensors_bytes(f) / 2 + 1;
    sp_store *fits = sp_model_store(f, NULL), *much = sp_model_store(f, NULL);
    sp_store_add(fits, SP_SHAPE(most), "a");
    ck_assert(sp_store_ok(fits) && sp_model_parameters(fits) == most);
    sp_store_add(much, SP_SHAPE(most + 1), "a");
    ck_assert(!sp_store_ok(much));
    sp_store_free(fits);
    sp_store_free(much);
    sp_safetensors_free(f);
}
END_TEST

/* A model answers with numbers: a file of others is refused. */
START_TEST(not_finite)
{
    static const sp_real numbers[] = { NAN, INFINITY, -INFINITY };
    static const char *const says[] = { "nan", "inf", "-inf" };
    char message[PATH_ROOM + 64];
    sp_status status = { 0 };
    const sp_option none[] = { { 0 } };
    sp_store *s = sp_store_new(1), *again = sp_store_new(1);
    ck_assert(sp_store_add(s, SP_SHAPE(2), "a") && sp_store_add_statistic(s, SP_SHAPE(2, 2), "b"));
    ck_assert(sp_store_add(again, SP_SHAPE(2), "a") && sp_store_add_statistic(again, SP_SHAPE(2, 2), "b"));
    sp_param_values(sp_store_find(s, _i ? "b" : "a"))[1] = numbers[_i];
    ck_assert_msg(sp_model_save(s, KIND, none, 0, NULL, path, &status), "%s", status.message);
    sp_safetensors *f = sp_model_open(path, KIND, none, &status);
    ck_assert(!sp_model_read(again, f, &status));
    snprintf(message, sizeof message, "%s: number 1 of tensor '%s' is %s", path, _i ? "b" : "a", says[_i]);
    ck_assert_str_eq(status.message, message);
    ck_assert_int_eq(status.code, SP_ERR_FORMAT);
    sp_safetensors_free(f);
    sp_store_free(s);
    sp_store_free(again);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("model_file");
    TCase *c = tcase_create("model_file");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, back, 0, sizeof configs / sizeof *configs);
    tcase_add_test(c, nothing);
    tcase_add_test(c, parts);
    tcase_add_loop_test(c, wrong, 0, sizeof wrongs / sizeof *wrongs);
    tcase_add_test(c, files);
    tcase_add_test(c, refusing);
    tcase_add_test(c, claims);
    tcase_add_loop_test(c, not_finite, 0, 3);
    suite_add_tcase(all, c);
    return all;
}
