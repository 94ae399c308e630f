#include "zoo/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/json_inside.h"

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

const char *sp_fingerprint(const void *bytes, size_t size, char text[SP_FINGERPRINT])
{
    uint64_t hash = 0xCBF29CE484222325u;               /* FNV-1a */
    for (const unsigned char *p = bytes, *end = p + size; p < end; p++)
        hash = (hash ^ *p) * 0x100000001B3u;
    snprintf(text, SP_FINGERPRINT, "%zu:%016" PRIx64, size, hash);
    return text;
}

void sp_report_bytes(sp_report *r, const char *key, const void *bytes, size_t size)
{
    char text[SP_FINGERPRINT];
    sp_report_text(r, key, sp_fingerprint(bytes, size, text));
}

static char *dump(const json_t *value, int digits)
{
    return sp_json_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION((size_t)digits));
}

char *sp_report_string(const sp_report *r, int digits)
{
    return r && !r->failed ? dump(r->object, digits) : NULL;
}

/* A key of either whose value is not the other's; NULL if there is none. */
static const char *key_that_differs(json_t *mine, json_t *other)
{
    const char *key;
    json_t *value;
    json_object_foreach(mine, key, value)
        if (!json_equal(value, json_object_get(other, key)))
            return key;
    json_object_foreach(other, key, value)
        if (!json_object_get(mine, key))
            return key;
    return NULL;
}

bool sp_report_equals(const sp_report *r, const char *json, sp_status *status)
{
    sp_status why = { 0 };
    json_t *other = sp_json_value(json, JSON_REJECT_DUPLICATES, &why);
    const char *key = NULL;
    char *theirs = NULL, *mine = NULL;
    bool ok = true;
    if (!r || r->failed || why.code == SP_ERR_MEMORY)
        ok = sp_fail(status, SP_ERR_MEMORY, "out of memory for what is to be compared");
    else if (!json_is_object(other))
        ok = sp_fail(status, SP_ERR_FORMAT, "is no JSON object");
    else if ((key = key_that_differs(r->object, other))) {
        const json_t *a = json_object_get(other, key), *b = json_object_get(r->object, key);
        theirs = dump(a, 6);
        mine = dump(b, 6);
        if (theirs && mine && !strcmp(theirs, mine)) {          /* what six digits do not tell, all do */
            free(theirs);
            free(mine);
            theirs = dump(a, 17);
            mine = dump(b, 17);
        }
        if ((a && !theirs) || (b && !mine))
            ok = sp_fail(status, SP_ERR_MEMORY, "out of memory for how %s differs", key);
        else
            ok = sp_fail(status, SP_ERR_VALUE, "%s is %s, not %s", key, a ? theirs : "missing", b ? mine : "missing");
    }
    free(theirs);
    free(mine);
    json_decref(other);
    return ok;
}

bool sp_report_write(const sp_report *r, FILE *out)
{
    char *text = sp_report_string(r, 6);
    const bool ok = text && fprintf(out, "%s\n", text) > 0 && !fflush(out) && !ferror(out);
    free(text);
    return ok;
}
