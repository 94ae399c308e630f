/* Word vectors from a text file: its lines, and whose vectors they become. */
#include "zoo/vectors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/map.h"

/* ---- a file line by line --------------------------------------------------------------------------------------- */

struct reading {
    const char *path;
    sp_status *status;
    FILE *in;
    char *line;
    size_t room;
    long number;                /* of the line, from 1 */
    long width;                 /* numbers on a line; 0: as many as the first has */
    long promised, vectors;     /* how many line 1 says there are (-1: it does not), and how many were met */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool begin(struct reading *r)
{
    if (!r->path)
        return sp_fail(r->status, SP_ERR_VALUE, "vectors: no path");
    r->promised = -1;
    r->in = fopen(r->path, "rb");
    return r->in || sp_fail(r->status, SP_ERR_FILE, "%s: cannot be read: %s", r->path, strerror(errno));
}

static void end(struct reading *r)
{
    if (r->in)
        fclose(r->in);
    free(r->line);
}

/* What stands between blanks in a line, counted. */
static long count_columns(const char *s)
{
    long n = 0;
    for (; *s; s++)
        n += !is_blank(*s) && (!s[1] || is_blank(s[1]));
    return n;
}

/* Line 1 of word2vec: two whole numbers. */
static bool is_header(const char *s, long *vectors, long *width)
{
    int used = 0;
    return s[strspn(s, "0123456789 \t")] == '\0' && count_columns(s) == 2
           && sscanf(s, "%18ld %18ld%n", vectors, width, &used) == 2 && !s[(size_t)used + strspn(s + used, " \t")];
}

/* The last `width` columns of a line, cut off from the word before them. NULL if there are not so many and a word. */
static const char *cut_numbers(char *line, size_t length, long width)
{
    size_t at = length;
    for (long i = 0; i < width; i++) {
        while (at && is_blank(line[at - 1]))
            at--;
        while (at && !is_blank(line[at - 1]))
            at--;
    }
    const char *numbers = line + at;
    while (at && is_blank(line[at - 1]))
        at--;
    if (!at)
        return NULL;
    line[at] = '\0';
    return numbers;
}

/* The next line, without its end; nobody else reads the file. 0 at the end of the file, -1 for an error. */
static int read_line(struct reading *r, size_t *length)
{
    size_t n = 0;
    int c;
    do {
        c = getc_unlocked(r->in);
        if (n + 1 >= r->room) {
            char *more = r->room < SIZE_MAX / 4 ? realloc(r->line, 2 * r->room + 256) : NULL;
            if (!more) {
                sp_fail(r->status, SP_ERR_MEMORY, "%s:%ld: out of memory for a line", r->path, r->number + 1);
                return -1;
            }
            r->line = more;
            r->room = 2 * r->room + 256;
        }
        r->line[n++] = (char)c;
    } while (c != EOF && c != '\n');
    if (ferror(r->in)) {
        sp_fail(r->status, SP_ERR_FILE, "%s: cannot be read: %s", r->path, strerror(errno));
        return -1;
    }
    r->line[--n] = '\0';
    *length = n;
    r->number++;
    return n || c != EOF;
}

/* The next line that is not blank, without blanks at its end, and line 1 without a byte-order mark. */
static int next_line(struct reading *r, size_t *length)
{
    int more;
    while ((more = read_line(r, length)) > 0) {
        const size_t n = strlen(r->line);
        if (n < *length) {
            sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: is not text: byte %zu is zero", r->path, r->number, n);
            return -1;
        }
        if (r->number == 1 && !strncmp(r->line, "\xEF\xBB\xBF", 3)) {
            *length -= 3;
            memmove(r->line, r->line + 3, *length + 1);
        }
        while (*length && (r->line[*length - 1] == '\r' || is_blank(r->line[*length - 1])))
            r->line[--*length] = '\0';
        if (*length)
            break;
    }
    return more;
}

static int refuse(const struct reading *r, long numbers)
{
    sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: %ld number%s, expected %ld", r->path, r->number, numbers, numbers == 1 ? "" : "s",
            r->width ? r->width : 1);
    return -1;
}

/* The next word, and its numbers as text. 0 at the end, -1 for an error. */
static int next_vector(struct reading *r, char **word, const char **numbers)
{
    size_t length;
    long width;
    int more = next_line(r, &length);
    if (more > 0 && r->number == 1 && is_header(r->line, &r->promised, &width)) {
        if (r->width && r->width != width) {
            sp_fail(r->status, SP_ERR_FORMAT, "%s:1: vectors of %ld numbers, expected %ld", r->path, width, r->width);
            return -1;
        }
        r->width = width;
        more = next_line(r, &length);
    }
    if (!more && r->promised > r->vectors) {
        sp_fail(r->status, SP_ERR_FORMAT, "%s: %ld vectors, but line 1 says %ld: is it cut short?", r->path, r->vectors,
                r->promised);
        return -1;
    }
    if (more > 0 && r->promised >= 0 && r->vectors == r->promised) {
        sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: a vector more than the %ld that line 1 says", r->path, r->number, r->promised);
        return -1;
    }
    if (!more && !r->vectors) {
        sp_fail(r->status, SP_ERR_FORMAT, "%s: there are no vectors", r->path);
        return -1;
    }
    if (more <= 0)
        return more;
    if (!r->vectors++ && r->promised < 0) {             /* here a word has no blanks */
        const long columns = count_columns(r->line) - 1;
        if (columns < 1 || (r->width && r->width != columns))
            return refuse(r, columns);
        r->width = columns;
    }
    *word = r->line + strspn(r->line, " \t");
    *numbers = cut_numbers(*word, length - (size_t)(*word - r->line), r->width);
    return *numbers ? 1 : refuse(r, count_columns(r->line) - 1);
}

/* A decimal number behind blanks, "-1.5e-3", in any locale: as near as can be for up to 15 digits and powers of ten within +-22,
   else to some 1e-15 of it. end: what follows it, or text where there is none. */
static double decimal(const char *text, const char **end)
{
    const char *s = text + strspn(text, " \t");
    const bool minus = *s == '-';
    unsigned long long digits = 0;
    long power = 0;
    bool any = false;
    s += minus || *s == '+';
    for (bool point = false; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        any = true;
        if (digits < 100000000000000000ULL) {
            digits = 10 * digits + (unsigned)(*s - '0');
            power -= point;
        } else {
            power += !point;
        }
    }
    if (any && (*s == 'e' || *s == 'E') && strspn(s + 1 + (s[1] == '-' || s[1] == '+'), "0123456789")) {
        char *rest;
        const long e = strtol(s + 1, &rest, 10);
        power += e > 9999 ? 9999 : e < -9999 ? -9999 : e;
        s = rest;
    }
    *end = any ? s : text;
    const double x = !digits ? 0 : power < 0 ? (double)digits / pow(10, (double)-power) : (double)digits * pow(10, (double)power);
    return minus ? -x : x;
}

static bool parse(const struct reading *r, const char *numbers, sp_real *out)
{
    for (long i = 0; i < r->width; i++) {
        const char *rest;
        const double x = decimal(numbers, &rest);
        if (rest == numbers || (*rest && !is_blank(*rest)) || !isfinite((double)(sp_real)x)) {
            numbers += strspn(numbers, " \t");
            const size_t length = strcspn(numbers, " \t");
            return sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: '%.*s' is no finite number", r->path, r->number,
                           length < 40 ? (int)length : 40, numbers);
        }
        out[i] = (sp_real)x;
        numbers = rest;
    }
    return true;
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* How a word of the vocabulary came to its vector; the larger is the better. */
enum { NOT_FOUND, LOWERED_IN_FILE, LOWERED, AS_IT_IS };

struct filling {
    const sp_vocabulary *v;
    sp_map *lower;              /* lower-cased symbol -> the first such symbol that is not itself lower-case */
    int *next;                  /* [ids] the next one with the same lower-cased form, or -1 */
    unsigned char *how;         /* [ids] */
    sp_real *row;               /* [ids,width] */
    long width;
};

static bool add_lower(struct filling *f, int id)
{
    size_t length;
    const char *symbol = sp_vocabulary_symbol(f->v, id, &length);
    char *text = malloc(length + 1);
    f->next[id] = -1;
    if (!text)
        return false;
    memcpy(text, symbol, length);
    sp_text_lower(text, length);
    bool ok = true;
    if (memcmp(text, symbol, length) != 0) {
        f->next[id] = sp_map_get(f->lower, text, length);
        ok = sp_map_put(f->lower, text, length, id);
    }
    free(text);
    return ok;
}

static void end_filling(struct filling *f)
{
    sp_map_free(f->lower);
    free(f->next);
    free(f->how);
    free(f->row);
}

static bool begin_filling(struct filling *f, sp_status *status)
{
    const size_t ids = (size_t)sp_vocabulary_size(f->v);
    f->lower = sp_map_new();
    f->next = malloc((ids + 1) * sizeof *f->next);
    f->how = calloc(ids + 1, sizeof *f->how);
    f->row = malloc((ids * (size_t)f->width + 1) * sizeof *f->row);
    bool ok = f->lower && f->next && f->how && f->row;
    for (size_t i = 0; ok && i < ids; i++)
        ok = add_lower(f, (int)i);
    return ok || sp_fail(status, SP_ERR_MEMORY, "vectors: out of memory for %zu words", ids);
}

static bool take(struct filling *f, const struct reading *r, int id, int how, const char *numbers)
{
    if (f->how[id] >= how)
        return true;
    f->how[id] = (unsigned char)how;
    return parse(r, numbers, f->row + id * f->width);
}

/* Gives a vector to all words that it may be for. */
static bool offer(struct filling *f, const struct reading *r, char *word, const char *numbers)
{
    size_t length = strlen(word), found;
    bool ok = true;
    for (int id = sp_map_get(f->lower, word, length); ok && id >= 0; id = f->next[id])
        ok = take(f, r, id, LOWERED, numbers);
    for (int lowered = 0; ok && lowered < 2; lowered++) {
        const int id = sp_vocabulary_id_in_text(f->v, word, length);
        const char *symbol = id >= 0 ? sp_vocabulary_symbol(f->v, id, &found) : NULL;
        if (symbol && found == length && !memcmp(symbol, word, length))
            ok = take(f, r, id, lowered ? LOWERED_IN_FILE : AS_IT_IS, numbers);
        sp_text_lower(word, length);
    }
    return ok;
}

long sp_vectors_read(const sp_embed *e, const sp_vocabulary *v, const char *path, sp_status *status)
{
    const sp_param *p = e ? e->weight : NULL;
    const int ids = v ? sp_vocabulary_size(v) : 0;
    if (!p || !v || p->shape.dim[0] != ids) {
        sp_fail(status, SP_ERR_VALUE, "vectors: an embedding of %ld rows for a vocabulary of %d", p ? p->shape.dim[0] : 0L, ids);
        return -1;
    }
    struct filling f = { .v = v, .width = p->shape.dim[1] };
    struct reading r = { .path = path, .status = status, .width = f.width };
    char *word;
    const char *numbers;
    long n = 0;
    int more = begin_filling(&f, status) && begin(&r) ? 1 : -1;
    while (more > 0 && (more = next_vector(&r, &word, &numbers)) > 0)
        if (!offer(&f, &r, word, numbers))
            more = -1;
    sp_real *to = more < 0 ? NULL : sp_param_values(p);
    for (int id = 0; to && id < ids; id++)
        if (f.how[id]) {
            memcpy(to + id * f.width, f.row + id * f.width, (size_t)f.width * sizeof *to);
            n++;
        }
    end(&r);
    end_filling(&f);
    return more < 0 ? -1 : n;
}

bool sp_vectors_count(sp_counts *c, const char *path, long most, long times, sp_status *status)
{
    struct reading r = { .path = path, .status = status };
    char *word;
    const char *numbers;
    int more = begin(&r) ? 1 : -1;
    for (long i = 0; more > 0 && i < most && (more = next_vector(&r, &word, &numbers)) > 0; i++)
        if (!sp_counts_add(c, word, strlen(word), times, status))
            more = -1;
    end(&r);
    return more >= 0;
}
