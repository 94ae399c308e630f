#include "autograd/base.h"

#include <stdarg.h>
#include <stdio.h>

#include "config.h"

const char *sp_version(void)
{
    return SP_VERSION;
}

bool sp_fail(sp_status *s, sp_code code, const char *format, ...)
{
    if (s && s->code == SP_OK) {
        va_list args;
        va_start(args, format);
        s->code = code;
        vsnprintf(s->message, sizeof s->message, format, args);
        va_end(args);
        for (char *p = s->message; *p; p++)             /* names from files may hold anything */
            if ((unsigned char)*p < ' ' || *p == 0x7F)
                *p = '?';
    }
    return false;
}

bool sp_fail_with(sp_status *s, const sp_status *cause)
{
    return sp_fail(s, cause->code, "%s", cause->message);
}

sp_shape sp_shape_of(int rank, const long *dim)
{
    sp_shape s = { .rank = rank > 0 && !dim ? -1 : rank };
    for (int i = 0; i < s.rank && i < SP_MAX_RANK; i++)
        s.dim[i] = dim[i];
    return s;
}

long sp_shape_size(sp_shape s)
{
    const int64_t limit = (int64_t)1 << 40;
    int64_t size = 1;
    bool empty = false;
    if (s.rank < 0 || s.rank > SP_MAX_RANK)
        return -1;
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] < 0)
            return -1;
        if (s.dim[i] == 0)
            empty = true;
        else if (size > limit / s.dim[i])
            return -1;
        else
            size *= s.dim[i];
    }
    return empty ? 0 : (long)size;
}

bool sp_shape_equal(sp_shape a, sp_shape b)
{
    if (a.rank != b.rank)
        return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i])
            return false;
    return true;
}

char *sp_shape_format(char text[SP_SHAPE_TEXT], sp_shape s)
{
    int at = 0;
    text[at++] = '[';
    for (int i = 0; i < s.rank && i < SP_MAX_RANK; i++)
        at += snprintf(text + at, (size_t)(SP_SHAPE_TEXT - at), i ? ",%ld" : "%ld", s.dim[i]);
    if (s.rank > SP_MAX_RANK)
        at += snprintf(text + at, (size_t)(SP_SHAPE_TEXT - at), ",...");
    text[at++] = ']';
    text[at] = '\0';
    return text;
}

sp_view sp_view_of(sp_real *data, sp_shape shape)
{
    sp_view v = { .data = data, .shape = shape };
    long step = 1;
    for (int i = shape.rank - 1; i >= 0; i--) {
        v.stride[i] = step;
        step *= shape.dim[i];
    }
    return v;
}

bool sp_view_contiguous(const sp_view *v)
{
    long step = 1;
    for (int i = v->shape.rank - 1; i >= 0; i--) {
        if (v->shape.dim[i] != 1 && v->stride[i] != step)
            return false;
        step *= v->shape.dim[i];
    }
    return true;
}
