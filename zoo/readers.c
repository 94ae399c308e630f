#include "zoo/readers.h"

#include <stdlib.h>
#include <string.h>

static const sp_format formats[] = {
    { "conllu", SP_ON_LINE_WORD, '\t', .numbered = true, .comment = "#",
      .fields = 2, .field = { { 2, SP_CUT_NONE }, { 4, SP_CUT_NONE } } },
    { "conll2003", SP_ON_LINE_WORD, ' ', .document = "-DOCSTART-",
      .fields = 2, .field = { { 1, SP_CUT_NONE }, { SP_LAST_COLUMN, SP_CUT_NONE } } },
    { "columns", SP_ON_LINE_WORD, '\t',
      .fields = 2, .field = { { 1, SP_CUT_NONE }, { 2, SP_CUT_NONE } } },
    { "labelled", SP_ON_LINE_SENTENCE, '\t',
      .fields = 2, .field = { { 2, SP_CUT_WORDS }, { 1, SP_CUT_NONE } } },
    { "pairs", SP_ON_LINE_SENTENCE, '\t',
      .fields = 2, .field = { { 1, SP_CUT_WORDS }, { 2, SP_CUT_WORDS } } },
    { "lines", SP_ON_LINE_SENTENCE, 0,
      .fields = 1, .field = { { 1, SP_CUT_WORDS } } },
    { "cmudict", SP_ON_LINE_ENTRY, ' ', .comment = ";;;",
      .fields = 2, .field = { { 1, SP_CUT_LETTERS }, { 2, SP_CUT_WORDS } } },
};

const sp_format *sp_format_at(int i)
{
    return i >= 0 && i < (int)(sizeof formats / sizeof *formats) ? &formats[i] : NULL;
}

const sp_format *sp_format_named(const char *name)
{
    for (int i = 0; name && sp_format_at(i); i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

/* ---- lines and columns ----------------------------------------------------------------------------------------- */

struct piece {
    const char *text;
    size_t length;
};

struct lines {
    const char *name;
    struct piece rest;
    long number;                /* of the line read last, from 1 */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct piece trimmed(struct piece p)
{
    while (p.length && is_blank(*p.text)) {
        p.text++;
        p.length--;
    }
    while (p.length && is_blank(p.text[p.length - 1]))
        p.length--;
    return p;
}

/* The next line without its end, and without a byte-order mark, which *marked tells. */
static bool next_line(struct lines *l, struct piece *line, bool *marked)
{
    if (!l->rest.length)
        return false;
    const char *end = memchr(l->rest.text, '\n', l->rest.length);
    const size_t length = end ? (size_t)(end - l->rest.text) : l->rest.length, used = length + (end != NULL);
    *line = (struct piece){ l->rest.text, length };
    l->rest.text += used;
    l->rest.length -= used;
    l->number++;
    if (line->length && line->text[line->length - 1] == '\r')
        line->length--;
    if ((*marked = line->length >= 3 && !memcmp(line->text, "\xEF\xBB\xBF", 3))) {
        line->text += 3;
        line->length -= 3;
    }
    return true;
}

static bool begins(struct piece line, const char *with)
{
    return with && line.length >= strlen(with) && !memcmp(line.text, with, strlen(with));
}

/* Columns of a line; those behind SP_MOST_COLUMNS are counted only. */
struct columns {
    long n;
    struct piece column[SP_MOST_COLUMNS], last;
};

static void split(struct piece line, char separator, struct columns *c)
{
    size_t at = 0;
    c->n = 0;
    if (separator == ' ')
        line = trimmed(line);
    for (bool more = separator != ' ' || line.length; more; c->n++) {
        size_t end = at;
        while (end < line.length && !(separator == ' ' ? is_blank(line.text[end]) : separator && line.text[end] == separator))
            end++;
        c->last = (struct piece){ line.text + at, end - at };
        if (c->n < SP_MOST_COLUMNS)
            c->column[c->n] = c->last;
        more = end < line.length;
        at = end + 1;
        while (separator == ' ' && at < line.length && is_blank(line.text[at]))
            at++;
    }
}

/* ---- what is on a line ----------------------------------------------------------------------------------------- */

/* Where we are: line errors begin "file:line: ". */
struct reading {
    struct lines lines;
    const sp_format *format;
    sp_sentences *to;
    sp_status *status;
    long columns, first;        /* of the line that was the first to have any, and its number */
    bool open;                  /* a sentence has begun whose end was not yet seen */
};

static const char *between(const sp_format *f)
{
    return f->separator == '\t' ? " between tabs" : f->separator == ' ' ? " between blanks" : "";
}

/* Whether a line has all columns that are asked for; where one is the last, whether it is that of the other lines too. */
static bool enough(struct reading *r, const struct columns *c)
{
    long least = 1;
    bool last = false;
    for (int i = 0; i < r->format->fields; i++) {
        last = last || r->format->field[i].column == SP_LAST_COLUMN;
        least = r->format->field[i].column > least ? r->format->field[i].column : least;
    }
    least += last && r->format->fields > 1;
    if (c->n < least)
        return sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: %ld column%s%s, expected %ld", r->lines.name, r->lines.number, c->n,
                       c->n == 1 ? "" : "s", between(r->format), least);
    if (!r->first) {
        r->first = r->lines.number;
        r->columns = c->n;
    }
    return !last || c->n == r->columns
           || sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: %ld columns%s, line %ld has %ld", r->lines.name, r->lines.number, c->n,
                      between(r->format), r->first, r->columns);
}

static struct piece column(const struct reading *r, const struct columns *c, int field)
{
    const int number = r->format->field[field].column;
    return number == SP_LAST_COLUMN ? c->last : c->column[number - 1];
}

static bool put_whole(struct reading *r, int field, struct piece p)
{
    const int number = r->format->field[field].column;
    p = trimmed(p);
    if (!p.length)
        return sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: column %d is empty", r->lines.name, r->lines.number, number);
    if (memchr(p.text, '\r', p.length))                 /* lines of an old Macintosh, or ends written twice */
        return sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: column %d has a carriage return, expected lines that end with LF or CR LF",
                       r->lines.name, r->lines.number, number);
    return sp_sentences_put(r->to, field, p.text, p.length, r->status);
}

static bool put_field(struct reading *r, int field, struct piece p)
{
    const sp_cut cut = r->format->field[field].cut;
    if (cut == SP_CUT_NONE)
        return put_whole(r, field, p);
    if (cut == SP_CUT_LETTERS)
        p = trimmed(p);
    return sp_sentences_put_text(r->to, field, p.text, p.length, cut == SP_CUT_WORDS ? SP_LEVEL_WORD : SP_LEVEL_CHAR, r->status);
}

/* All fields of a line; the words of a column stay whole where a word is on each line. */
static bool put_line(struct reading *r, const struct columns *c)
{
    bool ok = enough(r, c);
    for (int i = 0; ok && i < r->format->fields; i++)
        ok = (r->format->line == SP_ON_LINE_WORD ? put_whole : put_field)(r, i, column(r, c, i));
    return ok;
}

static bool end_sentence(struct reading *r)
{
    const bool open = r->open;
    r->open = false;
    return !open || sp_sentences_end(r->to, r->status);
}

/* An id of CoNLL-U: 7 is a word, 7-8 a range and 7.1 an empty node, which are none. -1: no id. */
static int is_word_id(struct piece id)
{
    size_t at = 0, digits = 0;
    while (at < id.length && id.text[at] >= '0' && id.text[at] <= '9')
        at++;
    if (!at || at == id.length)
        return at ? 1 : -1;
    if (id.text[at] != '-' && id.text[at] != '.')
        return -1;
    for (at++; at < id.length && id.text[at] >= '0' && id.text[at] <= '9'; at++)
        digits++;
    return digits && at == id.length ? 0 : -1;
}

static bool read_word(struct reading *r, struct piece line)
{
    const sp_format *f = r->format;
    struct columns c;
    split(line, f->separator, &c);
    if (f->document && c.n && c.column[0].length == strlen(f->document) && begins(c.column[0], f->document))
        return end_sentence(r);
    const int word = f->numbered ? is_word_id(trimmed(c.column[0])) : 1;
    if (word < 0)
        return sp_fail(r->status, SP_ERR_FORMAT, "%s:%ld: '%.*s' is no word number of CoNLL-U, expected 1, 1-2 or 1.1", r->lines.name,
                       r->lines.number, c.column[0].length < 40 ? (int)c.column[0].length : 40, c.column[0].text);
    if (word && !put_line(r, &c))
        return false;
    r->open = r->open || word;
    return true;
}

static bool read_sentence(struct reading *r, struct piece line)
{
    struct columns c;
    split(line, r->format->separator, &c);
    r->open = put_line(r, &c);
    return r->open && end_sentence(r);
}

/* "aalborg(2) AA1 L B AO0 R # place": the word to the first blank, the rest to a "#" of its own. */
static bool read_entry(struct reading *r, struct piece line)
{
    struct columns c = { .n = 1 };
    size_t at = 0, n;
    line = trimmed(line);
    while (at < line.length && !is_blank(line.text[at]))
        at++;
    n = at;
    if (n >= 4 && line.text[n - 1] == ')') {
        size_t open = n - 1;
        while (open > 2 && line.text[open - 1] >= '0' && line.text[open - 1] <= '9')
            open--;
        if (open < n - 1 && line.text[open - 1] == '(')
            n = open - 1;
    }
    c.column[0] = (struct piece){ line.text, n };
    struct piece rest = trimmed((struct piece){ line.text + at, line.length - at });
    for (size_t i = 0; i < rest.length; i++)
        if (rest.text[i] == '#' && (!i || is_blank(rest.text[i - 1])))
            rest.length = i;
    rest = trimmed(rest);
    c.n += rest.length > 0;
    c.column[1] = c.last = rest;
    r->open = put_line(r, &c);
    return r->open && end_sentence(r);
}

/* ---- a file ---------------------------------------------------------------------------------------------------- */

static bool sound(const sp_format *f, sp_status *status)
{
    if (!f)
        return sp_fail(status, SP_ERR_VALUE, "format: there is none (is its name right?)");
    if (f->fields < 1 || f->fields > SP_MOST_FIELDS)
        return sp_fail(status, SP_ERR_VALUE, "format: %d fields, expected 1 to %d", f->fields, SP_MOST_FIELDS);
    for (int i = 0; i < f->fields; i++)
        if (f->field[i].column != SP_LAST_COLUMN && (f->field[i].column < 1 || f->field[i].column > SP_MOST_COLUMNS))
            return sp_fail(status, SP_ERR_VALUE, "format: field %d is of column %d, expected 1 to %d or the last", i,
                           f->field[i].column, SP_MOST_COLUMNS);
    return true;
}

static bool read_all(struct reading *r)
{
    static bool (*const read[])(struct reading *, struct piece) = {
        [SP_ON_LINE_WORD] = read_word, [SP_ON_LINE_SENTENCE] = read_sentence, [SP_ON_LINE_ENTRY] = read_entry,
    };
    struct piece line;
    bool marked, words = r->format->line == SP_ON_LINE_WORD;
    while (next_line(&r->lines, &line, &marked)) {
        if (begins(line, r->format->comment) || (marked && !line.length))
            continue;
        if (!trimmed(line).length && words && !end_sentence(r))
            return false;
        if ((trimmed(line).length || (!words && r->format->blanks)) && !read[r->format->line](r, line))
            return false;
    }
    return end_sentence(r);
}

sp_sentences *sp_sentences_parse(const char *name, const char *text, size_t size, const sp_format *format, sp_status *status)
{
    if (!sound(format, status))
        return NULL;
    const char *zero = text ? memchr(text, 0, size) : NULL;
    if (!name || !text) {
        sp_fail(status, SP_ERR_VALUE, "sentences: no %s", name ? "text" : "name");
        return NULL;
    }
    if (zero) {
        sp_fail(status, SP_ERR_FORMAT, "%s: is not text: byte %zu is zero", name, (size_t)(zero - text));
        return NULL;
    }
    struct reading r = { .lines = { name, { text, size }, 0 }, .format = format, .status = status };
    r.to = sp_sentences_new(format->fields, status);
    if (r.to && read_all(&r))
        return r.to;
    sp_sentences_free(r.to);
    return NULL;
}

sp_sentences *sp_sentences_read(const char *path, const sp_format *format, sp_status *status)
{
    size_t size;
    char *text = path ? sp_text_read(path, &size, status) : NULL;
    if (!path)
        sp_fail(status, SP_ERR_VALUE, "sentences: no path");
    sp_sentences *s = text ? sp_sentences_parse(path, text, size, format, status) : NULL;
    free(text);
    return s;
}

static long count_lines(const char *text, size_t size)
{
    struct lines l = { .rest = { text, size } };
    struct piece line;
    bool marked;
    while (next_line(&l, &line, &marked))
        continue;
    return l.number;
}

sp_sentences *sp_sentences_read_parallel(const char *source, const char *target, sp_level level, sp_status *status)
{
    const char *path[2] = { source, target };
    char *text[2] = { NULL, NULL };
    size_t size[2] = { 0, 0 };
    long lines[2] = { 0, 0 };
    if (!source || !target)
        sp_fail(status, SP_ERR_VALUE, "sentences: no path");
    for (int f = 0; f < 2 && source && target; f++)
        if ((text[f] = sp_text_read(path[f], &size[f], status)))
            lines[f] = count_lines(text[f], size[f]);
    bool ok = text[0] && text[1];
    if (ok && lines[0] != lines[1])
        ok = sp_fail(status, SP_ERR_FORMAT, "%s has %ld lines, %s has %ld", source, lines[0], target, lines[1]);
    sp_sentences *s = ok ? sp_sentences_new(2, status) : NULL;
    struct lines l[2] = { { .rest = { text[0], size[0] } }, { .rest = { text[1], size[1] } } };
    struct piece line;
    ok = s;
    for (bool marked; ok && l[0].rest.length; ok = ok && sp_sentences_end(s, status))
        for (int f = 0; ok && f < 2; f++)
            ok = next_line(&l[f], &line, &marked) && sp_sentences_put_text(s, f, line.text, line.length, level, status);
    free(text[0]);
    free(text[1]);
    if (ok)
        return s;
    sp_sentences_free(s);
    return NULL;
}
