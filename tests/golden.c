#include "tests/golden.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/safetensors.h"
#include "tests/suite.h"

enum { TENSORS = 200, READERS = 100, NAME = 300 };

struct golden {
    const char *name;
    sp_safetensors *file;
    struct {
        const char *name;
        sp_real *numbers;
        int *ids;
        long *longs;
        bool read;
    } tensor[TENSORS];
    int tensors;
};

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void open_file(struct golden *g, const char *path, const char *name)
{
    sp_status status = { 0 };
    *g = (struct golden){ .name = name, .file = sp_safetensors_open(path, &status) };
    ck_assert_msg(g->file != NULL, "%s", status.message);
    for (const char *tensor; (tensor = sp_safetensors_name(g->file, g->tensors)); g->tensors++) {
        ck_assert_msg(g->tensors < TENSORS, "%s has more than %d tensors", path, TENSORS);
        g->tensor[g->tensors].name = tensor;
    }
}

static void close_file(struct golden *g)
{
    for (int i = 0; i < g->tensors; i++) {
        ck_assert_msg(g->tensor[i].read, "%s: nothing reads the tensor '%s'", g->name, g->tensor[i].name);
        free(g->tensor[i].numbers);
        free(g->tensor[i].ids);
        free(g->tensor[i].longs);
    }
    sp_safetensors_free(g->file);
}

/* The sources are beside the build or, under make, behind a link in it. */
static void folder_path(char path[NAME], const char *folder)
{
    const char *source = getenv("SPINDLE_SRC");
    if (!source)
        source = access("src/tests/golden", F_OK) ? "." : "src";
    ck_assert_int_lt(snprintf(path, NAME, "%s/tests/golden/%s", source, folder), NAME);
}

void golden_each(const char *folder, const struct golden_reader *readers)
{
    char path[NAME], file[2 * NAME];
    int files = 0, read[READERS] = { 0 };
    folder_path(path, folder);
    struct dirent **entries;
    const int n = scandir(path, &entries, NULL, alphasort);
    ck_assert_msg(n >= 0, "there is no %s", path);
    for (int i = 0; i < n; i++) {
        struct golden g;
        int k = 0;
        if (*entries[i]->d_name != '.') {
            snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
            open_file(&g, file, entries[i]->d_name);
            const char *kind = golden_text(&g, "kind");
            while (readers[k].kind && (!kind || strcmp(readers[k].kind, kind)))
                k++;
            ck_assert_int_lt(k, READERS);
            ck_assert_msg(readers[k].kind != NULL, "%s, of the kind %s: nothing reads it", file, kind ? kind : "(none)");
            readers[k].read(&g);
            read[k]++;
            files++;
            close_file(&g);
        }
        free(entries[i]);
    }
    free(entries);
    for (int k = 0; readers[k].kind; k++)
        ck_assert_msg(read[k], "no file of %s is of the kind %s", path, readers[k].kind);
    printf("golden/%s: %d files compared\n", folder, files);
}

/* ---- what is in one -------------------------------------------------------------------------------------------- */

const char *golden_name(const struct golden *g)
{
    return g->name;
}

const char *golden_text(const struct golden *g, const char *key)
{
    return sp_safetensors_get(g->file, key);
}

double golden_number(const struct golden *g, const char *key)
{
    const char *text = golden_text(g, key);
    ck_assert_msg(text != NULL, "%s does not say its %s", g->name, key);
    return strtod(text, NULL);
}

long golden_count(const struct golden *g, const char *key)
{
    return lround(golden_number(g, key));
}

static int place_of(const struct golden *g, const char *name)
{
    for (int i = 0; i < g->tensors; i++)
        if (!strcmp(g->tensor[i].name, name))
            return i;
    return -1;
}

bool golden_has(const struct golden *g, const char *name)
{
    return place_of(g, name) >= 0;
}

sp_shape golden_shape(const struct golden *g, const char *name)
{
    ck_assert_msg(golden_has(g, name), "%s has no tensor '%s'", g->name, name);
    return sp_safetensors_shape(g->file, name);
}

static long size_of(const struct golden *g, const char *name)
{
    return sp_shape_size(golden_shape(g, name));
}

const sp_real *golden_numbers(struct golden *g, const char *name)
{
    const long n = size_of(g, name);
    const int i = place_of(g, name);
    sp_status status = { 0 };
    if (!g->tensor[i].numbers) {
        g->tensor[i].numbers = calloc((size_t)n + 1, sizeof(sp_real));
        ck_assert_msg(sp_safetensors_read(g->file, name, g->tensor[i].numbers, &status), "%s", status.message);
    }
    g->tensor[i].read = true;
    return g->tensor[i].numbers;
}

const long *golden_longs(struct golden *g, const char *name)
{
    const sp_real *x = golden_numbers(g, name);
    const long n = size_of(g, name);
    const int i = place_of(g, name);
    if (!g->tensor[i].longs)
        g->tensor[i].longs = calloc((size_t)n + 1, sizeof(long));
    for (long k = 0; k < n; k++)
        g->tensor[i].longs[k] = lround((double)x[k]);
    return g->tensor[i].longs;
}

const int *golden_ids(struct golden *g, const char *name)
{
    const long *x = golden_longs(g, name);
    const int i = place_of(g, name);
    if (!g->tensor[i].ids)
        g->tensor[i].ids = calloc((size_t)size_of(g, name) + 1, sizeof(int));
    for (long k = 0; k < size_of(g, name); k++)
        g->tensor[i].ids[k] = (int)x[k];
    return g->tensor[i].ids;
}

sp_tensor *golden_constant(struct golden *g, sp_tape *t, const char *name)
{
    return sp_feed(t, golden_numbers(g, name), golden_shape(g, name));
}

sp_tensor *golden_variable(struct golden *g, sp_tape *t, const char *name)
{
    return sp_variable(t, golden_numbers(g, name), golden_shape(g, name));
}

static const char *of_group(char text[NAME], const char *group, const sp_param *p)
{
    snprintf(text, NAME, "%s.%s", group, p->name);
    return text;
}

void golden_params(struct golden *g, sp_store *s)
{
    char name[NAME], have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    ck_assert_msg(sp_store_ok(s), "%s", sp_store_status(s)->message);
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i);
        const sp_shape shape = golden_shape(g, of_group(name, "param", p));
        ck_assert_msg(sp_shape_equal(shape, p->shape), "%s: %s is %s, not %s", g->name, name, sp_shape_format(have, shape),
                      sp_shape_format(want, p->shape));
        memcpy(sp_param_values(p), golden_numbers(g, name), (size_t)sp_shape_size(shape) * sizeof(sp_real));
    }
    for (int i = 0; i < g->tensors; i++)
        ck_assert_msg(strncmp(g->tensor[i].name, "param.", 6) || sp_store_find(s, g->tensor[i].name + 6),
                      "%s: there is no parameter for '%s'", g->name, g->tensor[i].name);
}

void golden_load(struct golden *g, sp_store *s)
{
    sp_status status = { 0 };
    ck_assert_msg(sp_store_load(s, g->file, &status), "%s", status.message);
    for (int i = 0; i < g->tensors; i++)
        g->tensor[i].read = true;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

void golden_same_numbers(struct golden *g, const char *name, const sp_real *x, sp_shape shape)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    ck_assert_msg(sp_shape_equal(shape, golden_shape(g, name)), "%s: %s is %s, not %s", g->name, name,
                  sp_shape_format(have, shape), sp_shape_format(want, golden_shape(g, name)));
    const sp_real *y = golden_numbers(g, name);
    const long n = sp_shape_size(shape);
    double most = 0;
    for (long i = 0; i < n; i++)
        if (isfinite(y[i]))
            most = fmax(most, fabs((double)y[i]));
    for (long i = 0; i < n; i++)
        ck_each(x[i] == y[i] || fabs((double)x[i] - (double)y[i]) <= WIDE(2e-7, 2e-5) * most,
                "%s: %s[%ld] is %.8g, not %.8g", g->name, name, i, (double)x[i], (double)y[i]);
}

static void same(struct golden *g, const char *name, const sp_tensor *x, bool (*read)(const sp_tensor *x, sp_real *out))
{
    const sp_shape shape = sp_shape_get(x);
    sp_real *values = calloc((size_t)sp_shape_size(shape) + 1, sizeof *values);
    ck_assert_msg(x && (!x->tape || sp_ok(x->tape)) && read(x, values), "%s: %s: %s", g->name, name,
                  x && x->tape ? sp_error(x->tape) : "no tensor");
    golden_same_numbers(g, name, values, shape);
    free(values);
}

void golden_same(struct golden *g, const char *name, const sp_tensor *x)
{
    same(g, name, x, sp_read);
}

void golden_same_gradient(struct golden *g, const char *name, const sp_tensor *x)
{
    same(g, name, x, sp_read_grad);
}

void golden_same_gradients(struct golden *g, sp_tape *t)
{
    char name[NAME];
    const sp_store *s = sp_tape_store(t);
    ck_tape_ok(t);
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i);
        if (!p->statistic)
            golden_same_numbers(g, of_group(name, "grad", p), sp_gradients(t) + p->offset, p->shape);
    }
}

void golden_same_values(struct golden *g, const char *group, sp_store *s)
{
    char name[NAME];
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i);
        golden_same_numbers(g, of_group(name, group, p), sp_param_read(p), p->shape);
    }
}
