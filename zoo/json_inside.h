/* JSON as text, and back. */
#ifndef SP_ZOO_JSON_INSIDE_H
#define SP_ZOO_JSON_INSIDE_H

#include <stdlib.h>

#include <jansson.h>

#include "autograd/base.h"

/* The text of a value, to be freed, and the value let go. NULL without memory, and for a NULL.
   Not json_dumps: where it gets no memory for a key it leaves the key out and goes on (Jansson 2.14). */
static inline char *sp_json_text(json_t *value)
{
    size_t size = value ? json_dumpb(value, NULL, 0, JSON_COMPACT) : 0;
    char *text = size ? calloc(1, size + 1) : NULL;
    if (text && json_dumpb(value, text, size, JSON_COMPACT) != size) {
        free(text);
        text = NULL;
    }
    json_decref(value);
    return text;
}

/* The value of a text, to be let go. NULL for a NULL, and with what is wrong in why: an error of the format, or of memory. The
   latter where Jansson says so, or says of nothing that it is wrong (2.14 does that). */
static inline json_t *sp_json_value(const char *text, size_t flags, sp_status *why)
{
    json_error_t error = { .line = 0 };
    json_t *value = text ? json_loads(text, flags, &error) : NULL;
    const bool memory = text && (json_error_code(&error) == json_error_out_of_memory || !*error.text);
    if (!value)
        sp_fail(why, memory ? SP_ERR_MEMORY : SP_ERR_FORMAT, "%s", memory ? "out of memory" : "is no JSON");
    return value;
}

/* Hands on why `what` could not be made of a text: "the vocabulary cannot be read", "the vocabulary: out of memory". */
static inline void sp_json_refuse(const char *what, const sp_status *why, sp_status *status)
{
    const bool memory = why->code == SP_ERR_MEMORY;
    sp_fail(status, memory ? SP_ERR_MEMORY : SP_ERR_FORMAT, "%s%s", what, memory ? ": out of memory" : " cannot be read");
}

#endif
