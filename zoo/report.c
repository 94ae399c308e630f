#include "zoo/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

struct sp_report {
    json_t *object;
    bool failed;
};

sp_report *sp_report_new(void)
{
    sp_report *r = calloc(1, sizeof *r);
    if (r)
        r->object = json_object();
    return r;
}

void sp_report_free(sp_report *r)
{
    if (r)
        json_decref(r->object);
    free(r);
}

static void put(sp_report *r, const char *key, json_t *value)
{
    if (!r)
        json_decref(value);
    else if (json_object_set_new(r->object, key, value))
        r->failed = true;
}

/* A text as JSON; bytes over 127 become '?' where they are not UTF-8. */
static json_t *any_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy = value ? NULL : strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p > 127)
            *p = '?';
    if (copy)
        value = json_string(copy);
    free(copy);
    return value;
}

void sp_report_text(sp_report *r, const char *key, const char *value)
{
    put(r, key, value ? any_text(value) : json_null());
}

void sp_report_count(sp_report *r, const char *key, long value)
{
    put(r, key, json_integer(value));
}

void sp_report_number(sp_report *r, const char *key, double value)
{
    put(r, key, isfinite(value) ? json_real(value) : json_null());
}

void sp_report_flag(sp_report *r, const char *key, bool value)
{
    put(r, key, json_boolean(value));
}

bool sp_report_write(const sp_report *r, FILE *out)
{
    if (!r || r->failed || json_dumpf(r->object, out, JSON_REAL_PRECISION(6)))
        return false;
    return fputc('\n', out) != EOF && !fflush(out);
}
