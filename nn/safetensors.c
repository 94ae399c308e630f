#include "nn/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/file.h"
#include "nn/json_inside.h"

#define METADATA "__metadata__"
#define CHECKSUM "spindle.checksum"

static const uint64_t header_limit = 100000000;         /* the format's own */

struct sp_safetensors {
    char *path;
    char *bytes;                /* the file */
    const char *data;           /* behind the header */
    uint64_t size;              /* of data */
    json_t *header;
    bool sealed;
};

static uint64_t read_little_endian(const char *p, int bytes)
{
    uint64_t word = 0;
    for (int i = bytes; i--; )
        word = word << 8 | (unsigned char)p[i];
    return word;
}

/* ---- the checksum ---------------------------------------------------------------------------------------------- */

/* How a file of ours begins, behind its length; then there are the digits of the checksum of all its bytes, in which zeros
   stand for them. It is known before anything is parsed: what fails after that is for want of memory, not by damage. */
static const char beginning[] = "{\"" METADATA "\":{\"" CHECKSUM "\":\"", no_sum[] = "0000000000000000";

enum { DIGITS = sizeof no_sum - 1, SUM_AT = sizeof beginning - 1 };

struct sum {
    uint64_t hash;
    char word[8];               /* so far, n bytes of it */
    size_t n;
};

static void add(struct sum *s, const void *bytes, size_t size)
{
    for (const char *p = bytes, *end = p + size; p < end; ) {
        const size_t left = (size_t)(end - p), room = sizeof s->word - s->n, n = left < room ? left : room;
        memcpy(s->word + s->n, p, n);
        p += n;
        s->n += n;
        if (s->n == sizeof s->word) {
            s->hash = sp_hash(s->hash, read_little_endian(s->word, sizeof s->word));
            s->n = 0;
        }
    }
}

static void sum_text(const struct sum *s, char text[DIGITS + 1])
{
    snprintf(text, DIGITS + 1, "%016" PRIx64, sp_hash(s->hash, read_little_endian(s->word, (int)s->n)));
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

#ifdef SP_FLOAT64
static const char own_type[] = "F64";
#else
static const char own_type[] = "F32";
#endif

static bool little_endian(void)
{
    const uint16_t one = 1;
    return *(const unsigned char *)&one;
}

static uint64_t bytes_of(const sp_param *p)
{
    return (uint64_t)sp_shape_size(p->shape) * sizeof(sp_real);
}

/* Puts value into object and lets go of it, also if that fails. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static json_t *describe(const sp_param *p, uint64_t begin)
{
    json_t *entry = json_object(), *shape = json_array(), *offsets = json_array();
    bool ok = entry && shape && offsets;
    for (int i = 0; ok && i < p->shape.rank; i++)
        ok = !json_array_append_new(shape, json_integer(p->shape.dim[i]));
    ok = ok && !json_array_append_new(offsets, json_integer((json_int_t)begin))
         && !json_array_append_new(offsets, json_integer((json_int_t)(begin + bytes_of(p))))
         && put(entry, "dtype", json_string(own_type)) && put(entry, "shape", json_incref(shape))
         && put(entry, "data_offsets", json_incref(offsets));
    json_decref(shape);
    json_decref(offsets);
    if (ok)
        return entry;
    json_decref(entry);
    return NULL;
}

/* The header's text, padded with spaces so that the numbers begin at a multiple of 8; NULL without memory. */
static char *header_text(int count, const sp_store *const *stores, int n, const sp_metadata *metadata)
{
    json_t *header = json_object(), *meta = json_object();
    bool ok = header && meta && put(meta, CHECKSUM, json_string(no_sum));
    uint64_t at = 0;
    for (int i = 0; ok && i < n; i++)
        ok = put(meta, metadata[i].key, json_string(metadata[i].value));
    ok = ok && put(header, METADATA, json_incref(meta));
    for (int k = 0; k < count; k++)
        for (int i = 0; ok && i < sp_store_count(stores[k]); i++) {
            const sp_param *p = sp_store_at(stores[k], i);
            ok = put(header, p->name, describe(p, at));
            at += bytes_of(p);
        }
    /* Not json_dumps: where it gets no memory for a key it leaves the key out and goes on (Jansson 2.14). */
    size_t length = ok ? json_dumpb(header, NULL, 0, JSON_COMPACT) : 0, padded = (length + 7) / 8 * 8;
    char *text = length ? malloc(padded + 1) : NULL;
    ok = text && json_dumpb(header, text, length, JSON_COMPACT) == length;
    json_decref(meta);
    json_decref(header);
    if (!ok) {
        free(text);
        return NULL;
    }
    memset(text + length, ' ', padded - length);
    text[padded] = '\0';
    return text;
}

/* Where bytes go: into a file, or where that is NULL into a sum. */
struct sink {
    FILE *file;
    struct sum sum;
};

static void put_bytes(struct sink *to, const void *bytes, size_t size)
{
    if (to->file)
        fwrite(bytes, 1, size, to->file);
    else
        add(&to->sum, bytes, size);
}

static void put_little_endian(struct sink *to, uint64_t word, size_t bytes)
{
    char little[8];
    for (size_t i = 0; i < bytes; i++)
        little[i] = (char)(word >> (8 * i) & 255);
    put_bytes(to, little, bytes);
}

static void put_numbers(struct sink *to, const sp_real *x, long n)
{
    if (little_endian()) {
        put_bytes(to, x, (size_t)n * sizeof *x);
        return;
    }
    for (long i = 0; i < n; i++) {
        uint64_t word = 0;
        for (size_t k = 0; k < sizeof *x; k++)
            word = word << 8 | ((const unsigned char *)(x + i))[k];
        put_little_endian(to, word, sizeof *x);
    }
}

static void put_file(struct sink *to, const char *header, int count, const sp_store *const *stores)
{
    put_little_endian(to, strlen(header), 8);
    put_bytes(to, header, strlen(header));
    for (int k = 0; k < count; k++)
        for (int i = 0; i < sp_store_count(stores[k]); i++) {
            const sp_param *p = sp_store_at(stores[k], i);
            put_numbers(to, sp_param_read(p), sp_shape_size(p->shape));
        }
}

/* Whether it is text that JSON can have: no stray bytes, no code point written longer than it need be, none above the last
   or for half of a pair. */
static bool is_utf8(const char *text)
{
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        const int more = *p < 0x80 ? 0 : *p >> 5 == 6 ? 1 : *p >> 4 == 14 ? 2 : *p >> 3 == 30 ? 3 : -1;
        uint32_t code = *p & (more > 0 ? 63U >> more : 127U);
        for (int i = 0; i < more; i++) {
            if (*++p >> 6 != 2)
                return false;
            code = code << 6 | (*p & 63);
        }
        if (more < 0 || code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
            return false;
    }
    return true;
}

static bool check_metadata(const char *path, int n, const sp_metadata *metadata, sp_status *status)
{
    for (int i = 0; i < n; i++) {
        const char *key = metadata[i].key, *value = metadata[i].value;
        if (!key || !value)
            return sp_fail(status, SP_ERR_VALUE, "%s: the %s of metadata pair %d is NULL", path, key ? "value" : "key", i);
        if (!is_utf8(key) || !is_utf8(value))
            return sp_fail(status, SP_ERR_VALUE, "%s: the %s of metadata pair %d is not UTF-8", path,
                           is_utf8(key) ? "value" : "key", i);
        bool twice = !strcmp(key, CHECKSUM);
        for (int k = 0; k < i; k++)
            twice = twice || !strcmp(key, metadata[k].key);
        if (twice)
            return sp_fail(status, SP_ERR_VALUE, "%s: there are two metadata keys '%s'", path, key);
    }
    return true;
}

/* Whether one of the stores has a parameter of this name. */
static bool has(int count, const sp_store *const *stores, const char *name)
{
    for (int k = 0; k < count; k++)
        if (sp_store_find(stores[k], name))
            return true;
    return false;
}

/* Whether there is a list of stores, and none of them is NULL. */
static bool check_stores(const char *what, int count, const sp_store *const *stores, sp_status *status)
{
    if (count > 0 && !stores)
        return sp_fail(status, SP_ERR_VALUE, "%s: the list of stores is NULL", what);
    for (int k = 0; k < count; k++)
        if (!stores[k])
            return sp_fail(status, SP_ERR_VALUE, count > 1 ? "%s: store %d of %d is NULL" : "%s: the store is NULL", what, k,
                           count);
    return true;
}

bool sp_stores_save(int count, const sp_store *const *stores, const char *path, int n, const sp_metadata *metadata,
                    sp_status *status)
{
    sp_file f;
    struct sink to = { 0 };
    char sum[DIGITS + 1];
    if (!path || (n > 0 && !metadata))
        return sp_fail(status, SP_ERR_VALUE, "save: the %s is NULL", !path ? "path" : "metadata");
    if (!check_stores("save", count, stores, status) || !check_metadata(path, n, metadata, status))
        return false;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < sp_store_count(stores[k]); i++) {
            const char *name = sp_store_at(stores[k], i)->name;
            if (!is_utf8(name))
                return sp_fail(status, SP_ERR_VALUE, "%s: the name of tensor %d, '%s', is not UTF-8", path, i, name);
            if (has(k, stores, name))
                return sp_fail(status, SP_ERR_VALUE, "%s: there are two tensors named '%s'", path, name);
        }
    char *header = header_text(count, stores, n, metadata);
    if (!header)
        return sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the header", path);
    if (!sp_file_begin(&f, path, status)) {
        free(header);
        return false;
    }
    put_file(&to, header, count, stores);
    sum_text(&to.sum, sum);
    memcpy(header + SUM_AT, sum, DIGITS);
    to.file = f.out;
    put_file(&to, header, count, stores);
    free(header);
    return sp_file_end(&f, true, status);
}

bool sp_store_save(const sp_store *s, const char *path, int n, const sp_metadata *metadata, sp_status *status)
{
    return sp_stores_save(1, &s, path, n, metadata, status);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* One tensor of a file. */
struct tensor {
    const char *name, *type;
    size_t axes;
    sp_shape shape;             /* if there are no more than SP_MAX_RANK axes */
    uint64_t begin, end;
};

/* Bytes of a number of a type; 0 for one that is not known, as the format may get more. */
static int width_of(const char *type)
{
    static const struct { const char *type; int width; } types[] = {
        { "F64", 8 }, { "F32", 4 }, { "F16", 2 }, { "BF16", 2 }, { "I64", 8 }, { "I32", 4 }, { "I16", 2 }, { "I8", 1 },
        { "U64", 8 }, { "U32", 4 }, { "U16", 2 }, { "U8", 1 }, { "BOOL", 1 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 },
    };
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].type, type))
            return types[i].width;
    return 0;
}

/* How many numbers a shape has, -1 if it is none; *shape as far as there is room. */
static long parse_shape(const json_t *list, sp_shape *shape)
{
    long count = 1;
    *shape = SP_SCALAR;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *size = json_array_get(list, i);
        const json_int_t n = json_is_integer(size) ? json_integer_value(size) : -1;
        if (i < SP_MAX_RANK)
            shape->dim[shape->rank++] = (long)n;
        count = n < 0 || count < 0 ? -1 : sp_shape_size(SP_SHAPE(count, (long)n));
    }
    return count;
}

/* An entry of the header as a tensor. The format allows any rank and will get more types; only those who ask for such a
   tensor are told that it cannot be had. */
static bool parse_tensor(const sp_safetensors *f, const char *name, const json_t *entry, struct tensor *t,
                         sp_status *status)
{
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    *t = (struct tensor){ .name = name, .type = json_string_value(json_object_get(entry, "dtype")) };
    int width = width_of(t->type);
    if (!t->type || !json_is_array(shape))
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' has no %s", f->path, name, t->type ? "shape" : "type");
    t->axes = json_array_size(shape);
    long count = parse_shape(shape, &t->shape);
    if (count < 0)
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' has an impossible shape", f->path, name);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0
        || json_integer_value(end) < json_integer_value(begin))
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' has no valid data_offsets", f->path, name);
    t->begin = (uint64_t)json_integer_value(begin);
    t->end = (uint64_t)json_integer_value(end);
    if (t->end > f->size)
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' ends at byte %" PRIu64 " of %" PRIu64
                       ": the file is cut short", f->path, name, t->end, f->size);
    if (width && t->end - t->begin != (uint64_t)count * (uint64_t)width)
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' has %" PRIu64 " bytes for %ld numbers of type %s", f->path,
                       name, t->end - t->begin, count, t->type);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors must follow each other without gap or overlap, up to the end of the file. */
static bool check_places(const sp_safetensors *f, struct tensor *list, size_t n, sp_status *status)
{
    uint64_t at = 0;
    qsort(list, n, sizeof *list, by_place);
    for (size_t i = 0; i < n; i++) {
        if (list[i].begin != at)
            return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' begins at byte %" PRIu64 ", the one before ends at %" PRIu64
                           "%s", f->path, list[i].name, list[i].begin, at, list[i].begin < at ? ": they overlap" : "");
        at = list[i].end;
    }
    return at == f->size || sp_fail(status, SP_ERR_FORMAT, "%s: %" PRIu64 " bytes after the last tensor", f->path,
                                    f->size - at);
}

static bool check_tensors(const sp_safetensors *f, sp_status *status)
{
    const char *name;
    json_t *entry;
    size_t n = 0;
    bool ok = true;
    struct tensor *list = malloc((json_object_size(f->header) + 1) * sizeof *list);
    if (!list)
        return sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", f->path);
    json_object_foreach(f->header, name, entry)
        if (ok && strcmp(name, METADATA))
            ok = parse_tensor(f, name, entry, &list[n++], status);
    ok = ok && check_places(f, list, n, status);
    free(list);
    return ok;
}

/* Finds the checksum of a file that has one, and whether it is right. */
static bool check_sum(sp_safetensors *f, size_t size, uint64_t length, sp_status *status)
{
    char *digits = f->bytes + 8 + SUM_AT, said[DIGITS + 1] = "", is[DIGITS + 1];
    struct sum sum = { 0 };
    if (length < SUM_AT + DIGITS || memcmp(f->bytes + 8, beginning, SUM_AT))
        return true;
    memcpy(said, digits, DIGITS);
    memcpy(digits, no_sum, DIGITS);
    add(&sum, f->bytes, size);
    memcpy(digits, said, DIGITS);
    sum_text(&sum, is);
    f->sealed = !strcmp(said, is);
    return f->sealed || sp_fail(status, SP_ERR_FORMAT, "%s: is damaged: its checksum is %s, not %s", f->path, is, said);
}

static bool parse(sp_safetensors *f, size_t size, sp_status *status)
{
    sp_status why = { 0 };
    if (size < 8)
        return sp_fail(status, SP_ERR_FORMAT, "%s: %zu bytes are no safetensors file", f->path, size);
    uint64_t length = read_little_endian(f->bytes, 8);
    if (length > header_limit || length > size - 8)
        return sp_fail(status, SP_ERR_FORMAT, "%s: is no safetensors file, or cut short: a header of %" PRIu64
                       " bytes in a file of %zu", f->path, length, size);
    if (!check_sum(f, size, length, status))
        return false;
    f->header = sp_json_bytes(f->bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (!f->header && (f->sealed || why.code == SP_ERR_MEMORY))
        return sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the header", f->path);
    if (!f->header)
        return sp_fail(status, why.code, "%s: is no safetensors file: the header at %s", f->path, why.message);
    if (!json_is_object(f->header))
        return sp_fail(status, SP_ERR_FORMAT, "%s: is no safetensors file: the header is no object", f->path);
    f->data = f->bytes + 8 + length;
    f->size = size - 8 - length;
    return check_tensors(f, status);
}

/* ---- numbers as text ------------------------------------------------------------------------------------------- */

void sp_numbers_write(char *text, int n, const double *x)
{
    *text = '\0';
    for (int i = 0; i < n; i++) {
        uint64_t word;
        memcpy(&word, &x[i], sizeof word);
        text += sprintf(text, "%s%016" PRIx64, i ? " " : "", word);
    }
}

bool sp_numbers_read(const char *text, int n, double *x)
{
    if (!text || n < 1)
        return false;
    for (int i = 0; i < n; i++, text += DIGITS + 1) {
        if (strspn(text, "0123456789abcdef") != DIGITS || text[DIGITS] != (i < n - 1 ? ' ' : '\0'))
            return false;
        const uint64_t word = strtoull(text, NULL, 16);
        memcpy(&x[i], &word, sizeof word);
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

sp_safetensors *sp_safetensors_open(const char *path, sp_status *status)
{
    size_t size;
    sp_safetensors *f = path ? calloc(1, sizeof *f) : NULL;
    if (!path)
        sp_fail(status, SP_ERR_VALUE, "open: the path is NULL");
    if (f)
        f->path = malloc(strlen(path) + 1);
    if (!f || !f->path) {
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", path ? path : "");
    } else {
        strcpy(f->path, path);
        f->bytes = sp_file_read(path, &size, status);
        if (f->bytes && parse(f, size, status))
            return f;
    }
    sp_safetensors_free(f);
    return NULL;
}

void sp_safetensors_free(sp_safetensors *f)
{
    if (f) {
        json_decref(f->header);
        free(f->bytes);
        free(f->path);
        free(f);
    }
}

const char *sp_safetensors_get(const sp_safetensors *f, const char *key)
{
    return f ? json_string_value(json_object_get(json_object_get(f->header, METADATA), key)) : NULL;
}

bool sp_safetensors_sealed(const sp_safetensors *f)
{
    return f && f->sealed;
}

const char *sp_safetensors_path(const sp_safetensors *f)
{
    return f ? f->path : "";
}

uint64_t sp_safetensors_bytes(const sp_safetensors *f)
{
    return f ? f->size : 0;
}

const char *sp_safetensors_name(const sp_safetensors *f, int i)
{
    const char *name;
    json_t *entry;
    if (f)
        json_object_foreach(f->header, name, entry)
            if (strcmp(name, METADATA) && i-- == 0)
                return name;
    return NULL;
}

sp_shape sp_safetensors_shape(const sp_safetensors *f, const char *name)
{
    struct tensor t;
    const json_t *entry = f && name ? json_object_get(f->header, name) : NULL;
    if (entry && strcmp(name, METADATA) && parse_tensor(f, name, entry, &t, NULL) && t.axes <= SP_MAX_RANK)
        return t.shape;
    return (sp_shape){ .dim = { -1 } };
}

/* Half a float of the older kind: 1 bit of sign, 5 of exponent, 10 of fraction. */
static double from_half(unsigned bits)
{
    const int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static float from_single(uint64_t bits)
{
    const uint32_t word = (uint32_t)bits;
    float x;
    memcpy(&x, &word, sizeof x);
    return x;
}

static double from_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The tensor of that name, of numbers, or an error; of whole ones too where that is said. */
static bool find(const sp_safetensors *f, const char *name, bool whole, struct tensor *t, sp_status *status)
{
    const json_t *entry = json_object_get(f->header, name);
    if (!entry || !strcmp(name, METADATA))
        return sp_fail(status, SP_ERR_FORMAT, "%s: there is no tensor '%s'", f->path, name);
    if (!parse_tensor(f, name, entry, t, status))
        return false;
    if (t->axes > SP_MAX_RANK)
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' has %zu axes, more than %d", f->path, name, t->axes,
                       SP_MAX_RANK);
    if (!(whole && !strcmp(t->type, "I64")) && strcmp(t->type, "F64") && strcmp(t->type, "F32") && strcmp(t->type, "F16")
        && strcmp(t->type, "BF16"))
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' has the type %s, not %sF64, F32, F16 or BF16", f->path, name,
                       t->type, whole ? "I64, " : "");
    return true;
}

/* The tensor for a parameter, or an error. */
static bool match(const sp_safetensors *f, const sp_param *p, struct tensor *t, sp_status *status)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    if (!find(f, p->name, p->statistic, t, status))
        return false;
    if (!sp_shape_equal(t->shape, p->shape))
        return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' is %s, not %s", f->path, p->name,
                       sp_shape_format(have, t->shape), sp_shape_format(want, p->shape));
    return true;
}

static void copy(const sp_safetensors *f, const struct tensor *t, sp_real *out)
{
    const char *p = f->data + t->begin;
    const long n = sp_shape_size(t->shape);
    if (!strcmp(t->type, own_type) && little_endian())
        memcpy(out, p, (size_t)n * sizeof *out);
    else if (!strcmp(t->type, "F64"))
        for (long i = 0; i < n; i++)
            out[i] = (sp_real)from_double(read_little_endian(p + 8 * i, 8));
    else if (!strcmp(t->type, "F32"))
        for (long i = 0; i < n; i++)
            out[i] = (sp_real)from_single(read_little_endian(p + 4 * i, 4));
    else if (!strcmp(t->type, "BF16"))
        for (long i = 0; i < n; i++)
            out[i] = (sp_real)from_single(read_little_endian(p + 2 * i, 2) << 16);
    else if (!strcmp(t->type, "F16"))
        for (long i = 0; i < n; i++)
            out[i] = (sp_real)from_half((unsigned)read_little_endian(p + 2 * i, 2));
    else                                                /* I64 */
        for (long i = 0; i < n; i++)
            out[i] = (sp_real)(int64_t)read_little_endian(p + 8 * i, 8);
}

bool sp_safetensors_read(const sp_safetensors *f, const char *name, sp_real *out, sp_status *status)
{
    struct tensor t;
    if (!f || !name || !out)
        return sp_fail(status, SP_ERR_VALUE, "read: the %s is NULL", !f ? "file" : !name ? "name" : "place");
    if (!find(f, name, false, &t, status))
        return false;
    copy(f, &t, out);
    return true;
}

bool sp_stores_load(int count, sp_store *const *stores, const sp_safetensors *f, sp_status *status)
{
    struct tensor t;
    const char *name;
    json_t *entry;
    if (!f)
        return sp_fail(status, SP_ERR_VALUE, "load: the file is NULL");
    if (!check_stores("load", count, (const sp_store *const *)stores, status))
        return false;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < sp_store_count(stores[k]); i++)
            if (!match(f, sp_store_at(stores[k], i), &t, status))
                return false;
    json_object_foreach(f->header, name, entry)
        if (strcmp(name, METADATA) && !has(count, (const sp_store *const *)stores, name))
            return sp_fail(status, SP_ERR_FORMAT, "%s: tensor '%s' is no parameter of the model", f->path, name);
    for (int k = 0; k < count; k++)
        for (int i = 0; i < sp_store_count(stores[k]); i++)
            if (match(f, sp_store_at(stores[k], i), &t, NULL))
                copy(f, &t, sp_param_values(sp_store_at(stores[k], i)));
    return true;
}

bool sp_store_load(sp_store *s, const sp_safetensors *f, sp_status *status)
{
    return sp_stores_load(1, &s, f, status);
}
