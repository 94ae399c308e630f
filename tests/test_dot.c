/* The picture of a tape, as DOT text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/dot.h"
#include "autograd/file.h"
#include "ops/ops.h"
#include "tests/suite.h"

static sp_store *store;
static sp_tape *t;
static char *text;

/* x W' + b in the scope encoder.l0, its first half outside. */
static void begin(void)
{
    size_t size;
    store = sp_store_new(1);
    const sp_param *w = sp_store_add(store, SP_SHAPE(6, 3), "l0.weight");
    const sp_param *b = sp_store_add(store, SP_SHAPE(6), "a \"b\" \\c");
    t = sp_tape_new(store);
    sp_tensor *x = sp_full(t, 1, SP_SHAPE(5, 3)), *half[2];
    sp_scope_push(t, "encoder");
    sp_scope_push(t, "say \"l0\" \\n {");
    x = sp_tanh(t, sp_affine(t, x, sp_transpose(t, sp_param_on(t, w), 0, 1), sp_param_on(t, b)));
    sp_scope_pop(t);
    sp_scope_pop(t);
    sp_split(t, x, 1, 2, half);
    sp_sum(t, sp_mul(t, half[0], half[1]), SP_ALL);
    ck_tape_ok(t);
    FILE *out = open_memstream(&text, &size);
    ck_assert(sp_dot_write(t, out));
    fclose(out);
}

/* Rows of a parameter, also of a view of it, are an embedding; rows of what was computed, or given, are rows. */
static void look_up(void)
{
    size_t size;
    const int id[2] = { 1, 0 };
    store = sp_store_new(1);
    const sp_param *w = sp_store_add(store, SP_SHAPE(6, 3), "embed.weight");
    t = sp_tape_new(store);
    sp_tensor *e = sp_embedding(t, sp_param_on(t, w), id, 2);
    sp_embedding(t, sp_transpose(t, sp_param_on(t, w), 0, 1), id, 1);
    sp_embedding(t, sp_tanh(t, e), id, 1);
    sp_embedding(t, sp_full(t, 1, SP_SHAPE(5, 4)), id, 2);
    ck_tape_ok(t);
    FILE *out = open_memstream(&text, &size);
    ck_assert(sp_dot_write(t, out));
    fclose(out);
}

static void end(void)
{
    free(text);
    sp_tape_free(t);
    sp_store_free(store);
}

static const struct {
    const char *part;
    int times;
} parts[] = {
    { "digraph tape {", 1 },
    { "label=\"l0.weight\\n[6,3]\"", 1 },
    { "label=\"a \\\"b\\\" \\\\c\\n[6]\"", 1 },
    { "label=\"input\\n[5,3]\"", 1 },
    { "label=\"affine\\n[5,6]\"];", 1 },
    { "label=\"tanh\\n[5,6]\"];", 1 },
    { "label=\"transpose\\n[3,6]\", style=dashed];", 1 },
    { "label=\"slice\\n[5,3]\", style=dashed];", 2 },
    { "label=\"mul\\n[5,3]\"];", 1 },
    { "label=\"sum\\n[]\"];", 1 },
    { "subgraph cluster_1 { label=\"encoder\"; subgraph cluster_2 { label=\"say \\\"l0\\\" \\\\n {\"; ", 3 },
    { " -> ", 10 },
    { " -> t", 10 },
    { "[style=dashed];", 3 },
    { "fillcolor=\"#ffd9a0\"", 2 },
};

static int count(const char *in, const char *part)
{
    int n = 0;
    for (const char *at = in; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

START_TEST(says)
{
    ck_assert_msg(count(text, parts[_i].part) == parts[_i].times, "'%s' not %d times in\n%s", parts[_i].part,
                  parts[_i].times, text);
}
END_TEST

START_TEST(braces_balance)
{
    int depth = 0, deepest = 0;
    bool quoted = false;
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && quoted)
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (*p == '{') - (*p == '}');
        deepest = depth > deepest ? depth : deepest;
        ck_assert_int_ge(depth, 0);
    }
    ck_assert(depth == 0 && deepest == 3 && !quoted);
}
END_TEST

START_TEST(dot_draws_it)
{
    if (system("command -v dot >/dev/null 2>&1"))
        return;
    FILE *dot = popen("dot -Tsvg >/dev/null 2>&1", "w");
    ck_assert_ptr_nonnull(dot);
    fputs(text, dot);
    ck_assert_msg(pclose(dot) == 0, "dot does not accept\n%s", text);
}
END_TEST

START_TEST(looks_up)
{
    ck_assert_int_eq(count(text, "label=\"embedding\\n["), 2);
    ck_assert_int_eq(count(text, "label=\"rows\\n["), 2);
}
END_TEST

START_TEST(files)
{
    char path[PATH_ROOM];
    size_t size;
    sp_status status = { 0 };
    ck_new_file(path);
    ck_assert_msg(sp_dot_save(t, path, &status), "%s", status.message);
    char *got = sp_file_read(path, &size, &status);
    remove(path);
    ck_assert_ptr_nonnull(got);
    ck_assert_str_eq(got, text);
    free(got);
    ck_assert(!sp_dot_save(t, "/no/such/folder/tape.dot", &status));
    ck_assert_int_eq(status.code, SP_ERR_FILE);
    ck_assert_msg(strstr(status.message, "/no/such/folder/tape.dot: "), "%s", status.message);
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        ck_assert_msg(!sp_dot_write(t, full), "a full disk goes unnoticed");
        fclose(full);
    }
}
END_TEST

START_TEST(empty)
{
    char *none;
    size_t size;
    sp_tape_reset(t);
    sp_full(t, 1, SP_SHAPE(2));
    for (int i = 0; i < 2; i++) {
        FILE *out = open_memstream(&none, &size);
        ck_assert(sp_dot_write(i ? NULL : t, out));
        fclose(out);
        ck_assert(count(none, "digraph tape {") == 1 && count(none, "->") == 0);
        free(none);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("dot");
    TCase *c = tcase_create("dot");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, says, 0, sizeof parts / sizeof *parts);
    tcase_add_test(c, braces_balance);
    tcase_add_test(c, dot_draws_it);
    tcase_add_test(c, files);
    tcase_add_test(c, empty);
    suite_add_tcase(s, c);
    TCase *of_rows = tcase_create("rows");
    tcase_add_checked_fixture(of_rows, look_up, end);
    tcase_add_test(of_rows, looks_up);
    suite_add_tcase(s, of_rows);
    return s;
}
