/* JSON as text, and back. */
#ifndef SP_NN_JSON_INSIDE_H
#define SP_NN_JSON_INSIDE_H

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "autograd/base.h"

/* The text of a value, to be freed. NULL without memory, and for a NULL.
   Not json_dumps: where it gets no memory for a key it leaves the key out and goes on (Jansson 2.14). */
static inline char *sp_json_dump(const json_t *value, size_t flags)
{
    const size_t size = value ? json_dumpb(value, NULL, 0, flags) : 0;
    char *text = size ? calloc(1, size + 1) : NULL;
    if (text && json_dumpb(value, text, size, flags) == size)
        return text;
    free(text);
    return NULL;
}

/* The same, compact, and the value let go. */
static inline char *sp_json_text(json_t *value)
{
    char *text = sp_json_dump(value, JSON_COMPACT);
    json_decref(value);
    return text;
}

/* The value of so many bytes of text, to be let go. NULL with what is wrong in why: an error of the format, and at which byte, or
   of memory. The latter where Jansson says so, or says of nothing that it is wrong (2.14 does that). */
static inline json_t *sp_json_bytes(const char *text, size_t size, size_t flags, sp_status *why)
{
    json_error_t error = { .line = 0 };
    json_t *value = json_loadb(text, size, flags, &error);
    if (!value && (json_error_code(&error) == json_error_out_of_memory || !*error.text))
        sp_fail(why, SP_ERR_MEMORY, "out of memory");
    else if (!value)
        sp_fail(why, SP_ERR_FORMAT, "byte %d: %s", error.position, error.text);
    return value;
}

/* The same of a text with a 0 behind it, or of none. */
static inline json_t *sp_json_value(const char *text, size_t flags, sp_status *why)
{
    if (!text)
        sp_fail(why, SP_ERR_FORMAT, "there is none");
    return text ? sp_json_bytes(text, strlen(text), flags, why) : NULL;
}

/* Hands on why `what` could not be made of a text: "the vocabulary cannot be read", "the vocabulary: out of memory". */
static inline void sp_json_refuse(const char *what, const sp_status *why, sp_status *status)
{
    if (why->code == SP_ERR_MEMORY)
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", what);
    else
        sp_fail(status, SP_ERR_FORMAT, "%s cannot be read%s%s", what, *why->message ? ": " : "", why->message);
}

#endif
