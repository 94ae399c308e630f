/* JSON as text. */
#ifndef SP_ZOO_JSON_INSIDE_H
#define SP_ZOO_JSON_INSIDE_H

#include <stdlib.h>

#include <jansson.h>

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

#endif
