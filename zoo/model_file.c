#include "zoo/model_file.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/json_inside.h"

/* ---- writing --------------------------------------------------------------------------------------------------- */

enum { VALUE_ROOM = 64 };

static int count_rows(const sp_option *rows)
{
    int count = 0;
    while (rows[count].name)
        count++;
    return count;
}

/* The value of a row as text, its own or written into room; a text may be NULL. False without memory, or for what is no number.
   Jansson writes and reads a decimal point in any locale. */
static bool value_text(const sp_option *o, char room[VALUE_ROOM], const char **text, sp_status *status)
{
    size_t n = 1;
    *text = room;
    switch (o->kind) {
    case SP_OPTION_TEXT:
    case SP_OPTION_CHOICE:
        *text = *(const char *const *)o->value;
        break;
    case SP_OPTION_INDEX:
        sp_choice_word(o->argument, *(const int *)o->value, room);
        break;
    case SP_OPTION_FLAG:
        *text = *(const bool *)o->value ? "1" : "0";
        break;
    case SP_OPTION_WHOLE:
        snprintf(room, VALUE_ROOM, "%ld", *(const long *)o->value);
        break;
    case SP_OPTION_NUMBER: {
        const double x = *(const double *)o->value;
        json_t *number = json_real(x);
        if (!isfinite(x))
            return sp_fail(status, SP_ERR_VALUE, "its %s is %g, which no file can say", o->name, x);
        n = json_dumpb(number, room, VALUE_ROOM - 1, JSON_ENCODE_ANY);
        room[n < VALUE_ROOM ? n : 0] = '\0';
        json_decref(number);
        break;
    }
    }
    return n > 0 || sp_fail(status, SP_ERR_MEMORY, "out of memory for its %s", o->name);
}

bool sp_model_save(const sp_store *s, const char *kind, const sp_option *rows, int parts, const sp_metadata *part,
                   const char *path, sp_status *status)
{
    const int count = count_rows(rows);
    int n = 0;
    sp_status inner = { 0 };
    char (*room)[VALUE_ROOM] = malloc((size_t)(count + 1) * sizeof *room);
    sp_metadata *all = malloc((size_t)(count + parts + 1) * sizeof *all);
    bool ok = room && all;
    if (ok)
        all[n++] = (sp_metadata){ "kind", kind };
    for (int i = 0; ok && i < count; i++) {
        all[n].key = rows[i].name;
        ok = value_text(&rows[i], room[i], &all[n].value, &inner);
        n += all[n].value != NULL;
    }
    for (int i = 0; ok && i < parts; i++)
        if (part[i].value)
            all[n++] = part[i];
    if (ok)
        ok = sp_store_save(s, path, n, all, status);
    else if (inner.code)
        sp_fail(status, inner.code, "%s: %s", path, inner.message);
    else
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the configuration", path);
    free(room);
    free(all);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* A number as it stands in a file; NaN if it is none. False without memory. */
static bool number_of(const char *text, double *x)
{
    sp_status why = { 0 };
    json_t *value = sp_json_value(text, JSON_DECODE_ANY, &why);
    *x = json_is_number(value) ? json_number_value(value) : NAN;
    json_decref(value);
    return why.code != SP_ERR_MEMORY;
}

/* Sets a row from a file that may say anything. */
static bool take(const sp_safetensors *f, const sp_option *o, sp_status *status)
{
    char name[64];
    const char *text = sp_safetensors_get(f, o->name);
    double x = NAN;
    if (!text && o->kind != SP_OPTION_TEXT)
        return sp_fail(status, SP_ERR_FORMAT, "its %s is missing", o->name);
    switch (o->kind) {
    case SP_OPTION_TEXT:
    case SP_OPTION_CHOICE:
        *(const char **)o->value = text;
        break;
    case SP_OPTION_INDEX:
        *(int *)o->value = sp_choice_index(o->argument, text);
        break;
    default:
        if (!number_of(text, &x))
            return sp_fail(status, SP_ERR_MEMORY, "out of memory for its %s", o->name);
    }
    if (o->kind == SP_OPTION_FLAG) {
        *(bool *)o->value = x == 1;
        return x == 0 || x == 1 || sp_fail(status, SP_ERR_FORMAT, "its %s is %s: expected 0 or 1", o->name, text);
    }
    if (o->kind == SP_OPTION_WHOLE)
        *(long *)o->value = fabs(x) < 9e15 && x == floor(x) ? (long)x : LONG_MIN;
    if (o->kind == SP_OPTION_NUMBER)
        *(double *)o->value = x;
    snprintf(name, sizeof name, "its %s is", o->name);
    return !text || sp_option_check(o, name, text, status);
}

/* What a row holds, to be put back. */
union value {
    const char *text;
    long whole;
    double number;
    int index;
    bool flag;
};

static void copy_value(union value *kept, const sp_option *o, bool back)
{
    static const size_t size[] = { [SP_OPTION_TEXT] = sizeof kept->text, [SP_OPTION_CHOICE] = sizeof kept->text,
                                   [SP_OPTION_WHOLE] = sizeof kept->whole, [SP_OPTION_NUMBER] = sizeof kept->number,
                                   [SP_OPTION_INDEX] = sizeof kept->index, [SP_OPTION_FLAG] = sizeof kept->flag };
    memcpy(back ? o->value : kept, back ? (void *)kept : o->value, size[o->kind]);
}

/* Sets all rows, or none. */
static bool take_all(const sp_safetensors *f, const sp_option *rows, sp_status *status)
{
    const int count = count_rows(rows);
    union value *kept = malloc(((size_t)count + 1) * sizeof *kept);
    if (!kept)
        return sp_fail(status, SP_ERR_MEMORY, "out of memory for the configuration");
    bool ok = true;
    for (int i = 0; i < count; i++)
        copy_value(&kept[i], &rows[i], false);
    for (int i = 0; ok && i < count; i++)
        ok = take(f, &rows[i], status);
    for (int i = 0; !ok && i < count; i++)
        copy_value(&kept[i], &rows[i], true);
    free(kept);
    return ok;
}

void sp_model_refuse(const sp_safetensors *f, const sp_status *why, sp_status *status)
{
    sp_fail(status, why->code == SP_ERR_MEMORY ? why->code : SP_ERR_FORMAT, "%s: %s", sp_safetensors_path(f), why->message);
}

sp_safetensors *sp_model_open(const char *path, const char *kind, const sp_option *rows, sp_status *status)
{
    sp_status inner = { 0 };
    sp_safetensors *f = sp_safetensors_open(path, status);
    const char *found = sp_safetensors_get(f, "kind");
    bool ok = f != NULL;
    if (ok && (!found || strcmp(found, kind)))
        ok = sp_fail(&inner, SP_ERR_FORMAT, "is a model of the kind '%s', not '%s'", found ? found : "unknown", kind);
    ok = ok && take_all(f, rows, &inner);
    if (ok || !f)
        return f;
    sp_model_refuse(f, &inner, status);
    sp_safetensors_free(f);
    return NULL;
}

static void refuse_part(const sp_safetensors *f, const char *part, const sp_status *why, sp_status *status)
{
    sp_status of_part = { 0 };
    sp_fail(&of_part, why->code, "its %s: %s", part, why->message);
    sp_model_refuse(f, &of_part, status);
}

sp_vocabulary *sp_model_vocabulary(const sp_safetensors *f, const char *part, sp_status *status)
{
    sp_status inner = { 0 };
    sp_vocabulary *v = sp_vocabulary_parse(sp_safetensors_get(f, part), &inner);
    if (!v)
        refuse_part(f, part, &inner, status);
    return v;
}

sp_bpe *sp_model_bpe(const sp_safetensors *f, const char *part, sp_status *status)
{
    sp_status inner = { 0 };
    sp_bpe *b = sp_bpe_parse(sp_safetensors_get(f, part), &inner);
    if (!b)
        refuse_part(f, part, &inner, status);
    return b;
}

sp_store *sp_model_store(const sp_safetensors *f, sp_status *status)
{
    enum { SMALLEST = 2 };      /* bytes of a number */
    sp_store *s = sp_store_new(0);
    if (!s)
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", sp_safetensors_path(f));
    sp_store_set_limit(s, (long)(sp_safetensors_bytes(f) / SMALLEST) + 1);
    return s;
}

bool sp_model_read(sp_store *s, const sp_safetensors *f, sp_status *status)
{
    if (!sp_store_load(s, f, status))
        return false;
    for (int i = 0; i < sp_store_count(s); i++) {
        const sp_param *p = sp_store_at(s, i);
        const sp_real *x = sp_param_read(p);
        for (long k = 0, n = sp_shape_size(p->shape); k < n; k++)
            if (!isfinite(x[k]))
                return sp_fail(status, SP_ERR_FORMAT, "%s: number %ld of tensor '%s' is %g", sp_safetensors_path(f), k, p->name,
                               (double)x[k]);
    }
    return true;
}

const char *sp_model_fingerprint(const sp_param *p, char text[SP_FINGERPRINT])
{
    return sp_fingerprint(sp_param_read(p), (size_t)sp_shape_size(p->shape) * sizeof(sp_real), text);
}

long sp_model_parameters(const sp_store *s)
{
    long n = 0;
    for (int i = 0; i < sp_store_count(s); i++)
        n += sp_shape_size(sp_store_at(s, i)->shape);
    return n;
}
