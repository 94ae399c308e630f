#include "zoo/bpe_inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- symbols --------------------------------------------------------------------------------------------------- */

void sp_bpe_free(sp_bpe *b)
{
    if (!b)
        return;
    free(b->at);
    free(b->text);
    free(b->join);
    sp_map_free(b->ids);
    sp_pairs_free(&b->rank);
    free(b);
}

static bool append(sp_bpe *b, const char *text, size_t length)
{
    if (b->size == b->room) {
        size_t *more = realloc(b->at, (2 * (size_t)b->room + 1) * sizeof *more);
        if (!more)
            return false;
        b->at = more;
        b->room *= 2;
    }
    if (length >= b->text_room - b->at[b->size]) {
        const size_t room = 2 * b->text_room + length;
        char *more = realloc(b->text, room);
        if (!more)
            return false;
        b->text = more;
        b->text_room = room;
    }
    memcpy(b->text + b->at[b->size], text, length);
    b->at[b->size + 1] = b->at[b->size] + length;
    b->size++;
    return true;
}

/* A symbol that is found by its bytes. */
static bool append_found(sp_bpe *b, const char *text, size_t length, sp_status *status)
{
    return (sp_map_put(b->ids, text, length, b->size) && append(b, text, length))
           || sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory for %d symbols", b->size + 1);
}

int sp_bpe_size(const sp_bpe *b)
{
    return b->size;
}

int sp_bpe_letters(const sp_bpe *b)
{
    return b->letters;
}

const char *sp_bpe_symbol(const sp_bpe *b, int id, size_t *length)
{
    if (id < 0 || id >= b->size) {
        *length = 0;
        return "";
    }
    *length = b->at[id + 1] - b->at[id];
    return b->text + b->at[id];
}

int sp_bpe_special(const sp_bpe *b, const char *symbol)
{
    size_t length;
    for (int i = 0; i < b->specials; i++) {
        const char *s = sp_bpe_symbol(b, i, &length);
        if (length == strlen(symbol) && !memcmp(s, symbol, length))
            return i;
    }
    return -1;
}

static bool add_special(sp_bpe *b, const char *symbol, sp_status *status)
{
    if (!*symbol || sp_bpe_special(b, symbol) >= 0)
        return sp_fail(status, SP_ERR_VALUE, "byte pairs: the special symbol '%s' is there already, or empty", symbol);
    return append(b, symbol, strlen(symbol)) && ++b->specials;
}

sp_bpe *sp_bpe_empty(const char *const *special, sp_status *status)
{
    sp_bpe *b = calloc(1, sizeof *b);
    bool ok = b;
    if (ok) {
        b->room = 512;
        b->text_room = 4096;
        b->at = calloc((size_t)b->room + 1, sizeof *b->at);
        b->text = malloc(b->text_room);
        b->ids = sp_map_new();
        ok = b->at && b->text && b->ids && add_special(b, "<unk>", status);
    }
    for (; ok && special && *special; special++)
        ok = add_special(b, *special, status);
    for (int i = 0; ok && i < SP_BPE_BYTES; i++) {
        const char byte = (char)i;
        ok = append_found(b, &byte, 1, status);
    }
    if (ok)
        return b;
    sp_bpe_free(b);
    sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory");
    return NULL;
}

bool sp_bpe_add_letter(sp_bpe *b, const char *text, size_t length, sp_status *status)
{
    if (b->joins || length < 2 || length > 4 || sp_map_get(b->ids, text, length) >= 0)
        return sp_fail(status, SP_ERR_FORMAT, "byte pairs: a letter of %zu bytes, or there twice", length);
    const bool ok = append_found(b, text, length, status);
    b->letters += ok;
    return ok;
}

bool sp_bpe_add_join(sp_bpe *b, int left, int right, sp_status *status)
{
    char text[SP_BPE_WORD];
    size_t n, m;
    const char *l = sp_bpe_symbol(b, left, &n), *r = sp_bpe_symbol(b, right, &m);
    if (left < b->specials || right < b->specials || !n || !m || n + m > sizeof text
        || sp_pairs_get(&b->rank, left, right) >= 0)
        return sp_fail(status, SP_ERR_FORMAT, "byte pairs: %d and %d cannot be joined", left, right);
    memcpy(text, l, n);
    memcpy(text + n, r, m);
    if (b->joins == b->join_room) {
        const int room = b->join_room ? 2 * b->join_room : 256;
        struct join *more = realloc(b->join, (size_t)room * sizeof *more);
        if (!more)
            return sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory for %d joins", room);
        b->join = more;
        b->join_room = room;
    }
    int result = sp_map_get(b->ids, text, n + m);
    if (result < 0) {
        result = b->size;
        if (!append_found(b, text, n + m, status))
            return false;
    }
    b->join[b->joins] = (struct join){ left, right, result };
    if (!sp_pairs_put(&b->rank, left, right, b->joins))
        return sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory for %d joins", b->joins + 1);
    b->joins++;
    return true;
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

enum kind { SPACE, LETTER, DIGIT, OTHER };

static enum kind kind_of(char c)
{
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return SPACE;
    if (c >= '0' && c <= '9')
        return DIGIT;
    return (unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? LETTER : OTHER;
}

const char *sp_bpe_next(const char *text, size_t size, size_t *at, size_t *length)
{
    const size_t begin = *at;
    size_t end = begin, n;
    if (begin >= size)
        return NULL;
    end += text[end] == ' ' && end + 1 < size && kind_of(text[end + 1]) != SPACE;
    const enum kind kind = kind_of(text[end]);
    for (size_t next = end; next < size && kind_of(text[next]) == kind; end = next) {
        if (!sp_text_next(text, size, SP_LEVEL_CHAR, &next, &n) || next - begin > SP_BPE_WORD)
            break;
        if (kind == SPACE) {
            end = next;
            break;
        }
    }
    *at = end;
    *length = end - begin;
    return text + begin;
}

int sp_bpe_spell(const sp_bpe *b, const char *word, size_t length, int *symbol)
{
    size_t at = 0, n;
    int count = 0;
    for (const char *c; (c = sp_text_next(word, length, SP_LEVEL_CHAR, &at, &n)); ) {
        const int id = n > 1 ? sp_map_get(b->ids, c, n) : -1;
        if (id >= 0 && id < b->specials + SP_BPE_BYTES + b->letters)
            symbol[count++] = id;
        else
            for (size_t i = 0; i < n; i++)
                symbol[count++] = b->specials + (unsigned char)c[i];
    }
    return count;
}

/* A text with the space before it. */
static char *with_space(const char *text, size_t size)
{
    char *all = malloc(size + 1);
    if (all) {
        *all = ' ';
        memcpy(all + 1, text, size);
    }
    return all;
}

bool sp_bpe_count(sp_counts *c, const char *text, size_t size, sp_status *status)
{
    char *all = size ? with_space(text, size) : NULL;
    if (size && !all)
        return sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory for a text of %zu bytes", size);
    bool ok = true;
    size_t at = 0, length;
    for (const char *w; ok && all && (w = sp_bpe_next(all, size + 1, &at, &length)); )
        ok = sp_counts_add(c, w, length, 1, status);
    free(all);
    return ok;
}

bool sp_bpe_count_field(sp_counts *c, const sp_sentences *s, int f, sp_status *status)
{
    bool ok = s && f >= 0 && f < s->fields;
    if (!ok)
        return sp_fail(status, SP_ERR_VALUE, "byte pairs: no field %d of %d", f, s ? s->fields : 0);
    for (long i = 0; ok && i < s->n; i++) {
        size_t size;
        char *text = sp_sentence_text(s, f, i, &size);
        ok = text ? sp_bpe_count(c, text, size, status) : sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory");
        free(text);
    }
    return ok;
}

/* ---- coding ---------------------------------------------------------------------------------------------------- */

/* Joins the pair learned first, wherever it stands, until there is no pair to join. How many symbols are left. */
static int join_all(const sp_bpe *b, int *symbol, int n)
{
    for (;;) {
        int best = -1, m = 0;
        for (int i = 0; i + 1 < n; i++) {
            const int rank = sp_pairs_get(&b->rank, symbol[i], symbol[i + 1]);
            if (rank >= 0 && (best < 0 || rank < best))
                best = rank;
        }
        if (best < 0)
            return n;
        const struct join j = b->join[best];
        for (int i = 0; i < n; m++) {
            const bool here = i + 1 < n && symbol[i] == j.left && symbol[i + 1] == j.right;
            symbol[m] = here ? j.result : symbol[i];
            i += 1 + here;
        }
        n = m;
    }
}

bool sp_bpe_encode(const sp_bpe *b, const char *text, size_t size, sp_ids *ids, sp_status *status)
{
    *ids = (sp_ids){ .id = malloc((size + 1) * sizeof *ids->id) };
    char *all = size ? with_space(text, size) : NULL;
    if (!ids->id || (size && !all)) {
        free(ids->id);
        free(all);
        *ids = (sp_ids){ 0 };
        return sp_fail(status, SP_ERR_MEMORY, "byte pairs: out of memory for a text of %zu bytes", size);
    }
    size_t at = 0, length;
    int symbol[SP_BPE_WORD];
    for (const char *w; all && (w = sp_bpe_next(all, size + 1, &at, &length)); ) {
        const int n = join_all(b, symbol, sp_bpe_spell(b, w, length, symbol));
        memcpy(ids->id + ids->n, symbol, (size_t)n * sizeof *symbol);
        ids->n += n;
    }
    free(all);
    return true;
}

char *sp_bpe_decode(const sp_bpe *b, const int *id, long n, size_t *size)
{
    size_t bytes = 0, length;
    for (long i = 0; i < n; i++) {
        sp_bpe_symbol(b, id[i], &length);
        bytes += id[i] < b->specials ? 0 : length;
    }
    char *text = malloc(bytes + 1), *at = text;
    if (!text)
        return NULL;
    for (long i = 0; i < n; i++) {
        const char *s = sp_bpe_symbol(b, id[i], &length);
        if (id[i] >= b->specials) {
            memcpy(at, s, length);
            at += length;
        }
    }
    *at = '\0';
    const bool space = bytes && *text == ' ';
    memmove(text, text + space, bytes + 1 - space);
    if (size)
        *size = bytes - space;
    return text;
}
