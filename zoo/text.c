#include "zoo/text.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/file.h"

/* ---- symbols --------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 code point at s, or 1 if there is none. Over-long forms, surrogates and numbers over 10FFFF are none;
   the second byte tells (Unicode standard, table 3-7). */
static size_t code_point_length(const unsigned char *s, size_t left)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t n = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : s[0] >= 0xE0 && s[0] <= 0xEF ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 1;
    if (n == 1 || n > left)
        return 1;
    if (s[0] == 0xE0)
        low = 0xA0;
    if (s[0] == 0xED)
        high = 0x9F;
    if (s[0] == 0xF0)
        low = 0x90;
    if (s[0] == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < n; i++) {
        if (s[i] < low || s[i] > high)
            return 1;
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

const char *sp_text_next(const char *text, size_t size, sp_level level, size_t *at, size_t *length)
{
    size_t begin = *at, end;
    if (level == SP_LEVEL_WORD)
        while (begin < size && blank(text[begin]))
            begin++;
    if (begin >= size)
        return NULL;
    if (level == SP_LEVEL_CHAR || text[begin] == '\n')
        end = begin + code_point_length((const unsigned char *)text + begin, size - begin);
    else
        for (end = begin; end < size && !blank(text[end]) && text[end] != '\n'; )
            end++;
    *at = end;
    *length = end - begin;
    return text + begin;
}

/* Line ends of Windows become those of Unix; the size then. A zero byte stays behind. */
static size_t end_lines(char *text, size_t size)
{
    const char *from = memchr(text, '\r', size);
    char *to = text + (from ? from - text : 0);
    if (!from)
        return size;
    for (; from <= text + size; from++)
        if (*from != '\r' || from[1] != '\n')
            *to++ = *from;
    return (size_t)(to - text) - 1;
}

char *sp_text_read(const char *path, size_t *size, sp_status *status)
{
    char *text = sp_file_read(path, size, status);
    const char *zero = text ? memchr(text, 0, *size) : NULL;
    const size_t at = zero ? (size_t)(zero - text) : 0;
    if (text && !zero)
        *size = end_lines(text, *size);
    if (text && *size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
        memmove(text, text + 3, (*size -= 3) + 1);
    if (text && !*size)
        sp_fail(status, SP_ERR_FORMAT, "%s: is empty", path);
    else if (zero)
        sp_fail(status, SP_ERR_FORMAT, "%s: is not text: byte %zu is zero", path, at);
    else
        return text;
    free(text);
    return NULL;
}

/* ---- lower case ------------------------------------------------------------------------------------------------ */

/* The small letter of a code point from 80 to 7FF, or itself. Rows of Unicode's tables: where capitals begin and end, how
   far apart they are (1: next to each other), and how far behind them the small letters stand. */
static unsigned small_letter(unsigned c)
{
    static const struct { unsigned short first, last, apart; short behind; } rows[] = {
        { 0x0C0, 0x0D6, 1, 32 }, { 0x0D8, 0x0DE, 1, 32 },                                        /* Latin-1 */
        { 0x100, 0x12E, 2, 1 }, { 0x132, 0x136, 2, 1 }, { 0x139, 0x147, 2, 1 },                  /* Latin Extended-A */
        { 0x14A, 0x176, 2, 1 }, { 0x178, 0x178, 1, -121 }, { 0x179, 0x17D, 2, 1 },
        { 0x386, 0x386, 1, 38 }, { 0x388, 0x38A, 1, 37 }, { 0x38C, 0x38C, 1, 64 }, { 0x38E, 0x38F, 1, 63 },  /* Greek */
        { 0x391, 0x3A1, 1, 32 }, { 0x3A3, 0x3AB, 1, 32 },
        { 0x400, 0x40F, 1, 80 }, { 0x410, 0x42F, 1, 32 },                                        /* Cyrillic */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (c >= rows[i].first && c <= rows[i].last && (c - rows[i].first) % rows[i].apart == 0)
            return (unsigned)((int)c + rows[i].behind);
    return c;
}

void sp_text_lower(char *text, size_t size)
{
    size_t at = 0, length;
    while (sp_text_next(text, size, SP_LEVEL_CHAR, &at, &length)) {
        unsigned char *s = (unsigned char *)text + at - length;
        if (length == 1 && *s >= 'A' && *s <= 'Z')
            *s = (unsigned char)(*s + 'a' - 'A');
        if (length == 2) {
            const unsigned c = small_letter((s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu));
            s[0] = (unsigned char)(0xC0u | c >> 6);
            s[1] = (unsigned char)(0x80u | (c & 0x3Fu));
        }
    }
}
