/* Parameters in files: what is written comes back bit for bit, what is broken is an error that leaves all as it was. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "autograd/file.h"
#include "nn/safetensors.h"
#include "tests/suite.h"

#define TYPE (sizeof(sp_real) == 8 ? "F64" : "F32")

/* ---- files and stores ------------------------------------------------------------------------------------------ */

static char directory[PATH_ROOM], path[PATH_ROOM + 2];

static void begin(void)
{
    ck_new_directory(directory);
    snprintf(path, sizeof path, "%s/m", directory);
}

static void end(void)
{
    remove(path);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

/* a [2,3] and b [4] with values that a careless copy would change. */
static sp_store *new_store(void)
{
    sp_store *s = sp_store_new(1);
    sp_real *a = sp_param_values(sp_store_add(s, SP_SHAPE(2, 3), "a"));
    sp_random_uniform((sp_key){ 0 }, 6, a, -1, 1);
    sp_random_uniform((sp_key){ .place = 1 }, 4, sp_param_values(sp_store_add(s, SP_SHAPE(4), "b")), -1, 1);
    a = sp_store_values(s);
    a[0] = NAN, a[1] = -INFINITY, a[2] = (sp_real)-0.0, a[3] = WIDE((sp_real)5e-324, (sp_real)1e-45);
    return s;
}

/* The same, filled with one value, to see whether loading changes it. */
static sp_store *blank_store(sp_real value)
{
    sp_store *s = new_store();
    for (long i = 0; i < sp_store_size(s); i++)
        sp_store_values(s)[i] = value;
    return s;
}

static bool load(sp_store *s, sp_status *status)
{
    memset(status, 0, sizeof *status);
    sp_safetensors *f = sp_safetensors_open(path, status);
    bool ok = f && sp_store_load(s, f, status);
    ck_assert(ok == (status->code == SP_OK));
    sp_safetensors_free(f);
    return ok;
}

/* Writes the eight bytes of a length, a header in which ' stands for ", and n bytes of data: 0, 1, 2, ... */
static void put_header(const char *header, size_t n)
{
    char bytes[2048] = { 0 };
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)length >> (8 * i));
    for (size_t i = 0; i < length; i++)
        bytes[8 + i] = header[i] == '\'' ? '"' : header[i];
    for (size_t i = 0; i < n; i++)
        bytes[8 + length + i] = (char)i;
    ck_put_file(path, bytes, 8 + length + n);
}

/* ---- there and back -------------------------------------------------------------------------------------------- */

START_TEST(round_trip)
{
    sp_status status;
    sp_store *s = new_store(), *back = blank_store(7);
    ck_assert(sp_store_save(s, path, 0, NULL, NULL));
    ck_assert_msg(load(back, &status), "%s", status.message);
    for (int i = 0; i < 2; i++) {
        const sp_param *p = sp_store_at(s, i);
        ck_same(sp_param_values(p), sp_param_values(sp_store_at(back, i)), sp_shape_size(p->shape));
    }
    sp_store_free(s);
    sp_store_free(back);
}
END_TEST

/* Where the digits of the checksum are in a file that the library wrote. */
enum { CHECKSUM_AT = 8 + sizeof "{'__metadata__':{'spindle.checksum':'" - 1 };

/* The bytes themselves, as the format has them. */
START_TEST(layout)
{
    char header[256];
    size_t size, width = sizeof(sp_real);
    const sp_metadata metadata = { "k", "v" };
    sp_store *s = new_store();
    ck_assert(sp_store_save(s, path, 1, &metadata, NULL));
    char *bytes = sp_file_read(path, &size, NULL);
    snprintf(header, sizeof header, "{\"__metadata__\":{\"spindle.checksum\":\"%.16s\",\"k\":\"v\"},\"a\":{\"dtype\":\"%s\",\"shape\":[2,3],\"data_offsets\":"
             "[0,%zu]},\"b\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[%zu,%zu]}}", bytes + CHECKSUM_AT, TYPE, 6 * width, TYPE,
             6 * width, 10 * width);
    size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    ck_assert_uint_eq(size, 8 + padded + 10 * width);
    ck_assert_uint_eq((unsigned char)bytes[0], padded & 255);
    ck_assert_uint_eq((unsigned char)bytes[1], padded >> 8);
    ck_assert_mem_eq(bytes + 2, "\0\0\0\0\0", 6);
    ck_assert_mem_eq(bytes + 8, header, length);
    for (size_t i = length; i < padded; i++)
        ck_assert_int_eq(bytes[8 + i], ' ');
    uint32_t last;              /* the low half of the last number, little-endian */
    float single = (float)sp_param_values(sp_store_at(s, 1))[3];
    double full = (double)sp_param_values(sp_store_at(s, 1))[3];
    const char *at = bytes + size - width;
    memcpy(&last, width == 4 ? (void *)&single : (void *)&full, 4);
    for (int i = 0; i < 4; i++) {
        const uint16_t one = 1;
        bool little = *(const char *)&one;
        ck_assert(!little || at[i] == ((const char *)&last)[i]);
    }
    free(bytes);
    sp_store_free(s);
}
END_TEST

static const struct {
    sp_metadata pair[2];
    const char *error;
} unwritable[] = {
    { { { "a", "b" }, { "k", "\xFF" } }, "the value of metadata pair 1 is not UTF-8" },
    { { { "k\xFF", "b" }, { "k", "c" } }, "the key of metadata pair 0 is not UTF-8" },
    { { { "a", "\xC0\x80" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "\xE0\x80\x80" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "\xED\xA0\x80" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "\xF4\x90\x80\x80" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "b\xE2\x82" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "\xC3(" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "\x80" }, { "k", "c" } }, "the value of metadata pair 0 is not UTF-8" },
    { { { "a", "b" }, { NULL, "c" } }, "the key of metadata pair 1 is NULL" },
    { { { "a", NULL }, { "k", "c" } }, "the value of metadata pair 0 is NULL" },
    { { { "k", "b" }, { "k", "c" } }, "there are two metadata keys 'k'" },
    { { { "spindle.checksum", "b" }, { "k", "c" } }, "there are two metadata keys 'spindle.checksum'" },
};

START_TEST(metadata)
{
    static const sp_metadata pairs[] = {
        { "plain", "text" }, { "empty", "" }, { "G\xC3\xB6\xC3\x9F" "e", "\xE8\xAA\x9E \xF0\x9F\x98\x80" },
        { "quote \" \\", "line\nend\ttab \x7F" }, { "a", "not the tensor" },
    };
    enum { PAIRS = sizeof pairs / sizeof *pairs };
    sp_status status = { 0 };
    sp_store *s = new_store();
    ck_assert(sp_store_save(s, path, PAIRS, pairs, NULL));
    sp_safetensors *f = sp_safetensors_open(path, NULL);
    for (int i = 0; i < PAIRS; i++)
        ck_assert_pstr_eq(sp_safetensors_get(f, pairs[i].key), pairs[i].value);
    ck_assert_ptr_null(sp_safetensors_get(f, "absent"));
    ck_assert(sp_store_load(s, f, &status));
    sp_safetensors_free(f);
    for (size_t i = 0; i < sizeof unwritable / sizeof *unwritable; i++) {
        status = (sp_status){ 0 };
        ck_assert(!sp_store_save(s, path, 2, unwritable[i].pair, &status));
        ck_assert_msg(strstr(status.message, unwritable[i].error) && status.code == SP_ERR_VALUE, "%s", status.message);
    }
    ck_assert(load(s, &status));                        /* the old file is still there */
    sp_store *odd = sp_store_new(0);
    sp_store_add(odd, SP_SCALAR, "w\xC3");
    status = (sp_status){ 0 };
    ck_assert(!sp_store_save(odd, path, 0, NULL, &status) && strstr(status.message, "the name of tensor 0, 'w\xC3', is not UTF-8"));
    sp_store_free(odd);
    sp_store_free(s);
}
END_TEST

/* Numbers as text: every bit comes back. */
START_TEST(numbers)
{
    const double x[] = { 0, -0.0, 1 / 3.0, -INFINITY, NAN, 5e-324 };
    enum { N = sizeof x / sizeof *x };
    double y[N];
    char text[SP_NUMBERS_TEXT(N)];
    sp_numbers_write(text, N, x);
    ck_assert(!strncmp(text, "0000000000000000 8000000000000000 3fd5555555555555 fff0000000000000 ", 68));
    ck_assert(sp_numbers_read(text, N, y));
    ck_assert_mem_eq(x, y, sizeof x);
    ck_assert(!sp_numbers_read(text, N - 1, y) && !sp_numbers_read(text + 17, N, y) && !sp_numbers_read(NULL, N, y));
    ck_assert(sp_numbers_read(text + 17, N - 1, y) && !sp_numbers_read("", 0, y));
    text[20] = 'x';
    ck_assert(!sp_numbers_read(text, N, y));
    text[20] = '0', text[16] = '0';
    ck_assert(!sp_numbers_read(text, N, y));
}
END_TEST

/* A file of either type into a store of either. */
START_TEST(both_types)
{
    static const double values[] = { 0.1, -3, 1e-3, 12345.678, 1 / 3.0, 0, -1, 2.5, 1e30, -1e-30 };
    char bytes[400], header[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[__,__]},"
                                "\"a\":{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":[0,48]}}";
    sp_status status;
    sp_store *s = blank_store(7);
    memcpy(strstr(header, "__,__"), "48,64", 5);
    size_t length = strlen(header);
    memcpy(bytes, "\0\0\0\0\0\0\0", 8);
    bytes[0] = (char)length;
    memcpy(bytes + 8, header, length);
    for (int i = 0; i < 10; i++) {                      /* a in double, then b in single, little-endian */
        int width = i < 6 ? 8 : 4;
        uint64_t word;
        uint32_t half;
        memcpy(&word, &values[i], 8);
        memcpy(&half, &(float){ (float)values[i] }, 4);
        for (int k = 0; k < width; k++)
            bytes[8 + length + (size_t)(i < 6 ? 8 * i : 48 + 4 * (i - 6)) + (size_t)k] =
                (char)((width == 8 ? word : half) >> (8 * k));
    }
    ck_put_file(path, bytes, 8 + length + 64);
    ck_assert_msg(load(s, &status), "%s", status.message);
    for (int i = 0; i < 10; i++) {
        sp_real want = (sp_real)(i < 6 ? values[i] : (double)(float)values[i]);
        ck_assert(sp_param_values(sp_store_at(s, i >= 6))[i < 6 ? i : i - 6] == want);
    }
    sp_store_free(s);
}
END_TEST

/* Half precision of both kinds, and the file read tensor by tensor. */
START_TEST(halves)
{
    static const char header[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[0,16]},"
                                 "\"w\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"
                                 "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[16,24]}}  ";
    static const unsigned short bits[] = { 0x3c00, 0xc000, 0x7bff, 0x0001, 0x8400, 0x3555, 0x7c00, 0x8000,
                                           0x3f80, 0xc040, 0x7f7f, 0xff80 };
    const double want[] = { 1, -2, 65504, 0x1p-24, -0x1p-14, 0x1.554p-2, (double)INFINITY, -0.0,
                            1, -3, 0x1.fep127, (double)-INFINITY };
    char bytes[400] = { (char)strlen(header) };
    sp_real have[12];
    sp_status status = { 0 };
    memcpy(bytes + 8, header, strlen(header));
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        bytes[8 + strlen(header) + 2 * i] = (char)(bits[i] & 255);
        bytes[8 + strlen(header) + 2 * i + 1] = (char)(bits[i] >> 8);
    }
    ck_put_file(path, bytes, 8 + strlen(header) + 32);
    sp_safetensors *f = sp_safetensors_open(path, &status);
    ck_assert_msg(f != NULL, "%s", status.message);
    ck_assert_str_eq(sp_safetensors_name(f, 0), "h");
    ck_assert_str_eq(sp_safetensors_name(f, 1), "w");
    ck_assert_str_eq(sp_safetensors_name(f, 2), "b");
    ck_assert(!sp_safetensors_name(f, 3) && !sp_safetensors_name(f, -1) && !sp_safetensors_name(NULL, 0));
    ck_assert(sp_shape_equal(sp_safetensors_shape(f, "h"), SP_SHAPE(2, 4)));
    ck_assert(sp_safetensors_shape(f, "none").dim[0] == -1 && sp_safetensors_shape(f, "__metadata__").dim[0] == -1);
    ck_assert(sp_safetensors_read(f, "h", have, &status) && sp_safetensors_read(f, "b", have + 8, &status));
    for (int i = 0; i < 12; i++)
        ck_assert_msg((double)have[i] == want[i] && !signbit(have[i]) == !signbit(want[i]), "%d: %g", i, (double)have[i]);
    ck_assert(!sp_safetensors_read(f, "w", have, &status) && strstr(status.message, "'w' has the type I64"));
    ck_assert(!sp_safetensors_read(f, "none", have, &(sp_status){ 0 }) && !sp_safetensors_read(NULL, "h", have, NULL));
    sp_safetensors_free(f);
}
END_TEST

static const unsigned short odd_halves[] = { 0xfc00, 0x7e00, 0xfe01, 0x03ff };

/* Infinities and what is no number, in half precision; and tensors that nobody asks for, of types and ranks that are not read. */
START_TEST(unasked)
{
    static const char header[] = "{\"n\":{\"dtype\":\"F8_E8M0\",\"shape\":[3],\"data_offsets\":[0,3]},"
                                 "\"r\":{\"dtype\":\"F32\",\"shape\":[1,1,2,1,1],\"data_offsets\":[3,11]},"
                                 "\"h\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[11,19]}}";
    char bytes[400] = { 0 };
    sp_real x[4];
    sp_status status = { 0 };
    bytes[0] = (char)(strlen(header) & 255);
    bytes[1] = (char)(strlen(header) >> 8);
    memcpy(bytes + 8, header, strlen(header));
    for (size_t i = 0; i < 4; i++) {
        bytes[8 + strlen(header) + 11 + 2 * i] = (char)(odd_halves[i] & 255);
        bytes[8 + strlen(header) + 12 + 2 * i] = (char)(odd_halves[i] >> 8);
    }
    ck_put_file(path, bytes, 8 + strlen(header) + 19);
    sp_safetensors *f = sp_safetensors_open(path, &status);
    ck_assert_msg(f != NULL, "%s", status.message);
    ck_assert_uint_eq(sp_safetensors_bytes(f), 19);
    ck_assert_msg(sp_safetensors_read(f, "h", x, &status), "%s", status.message);
    ck_assert(isinf(x[0]) && x[0] < 0 && isnan(x[1]) && isnan(x[2]));
    ck_assert((double)x[3] == 1023 * 0x1p-24);
    ck_assert(!sp_safetensors_read(f, "n", x, &status) && strstr(status.message, "'n' has the type F8_E8M0, not F64, "));
    status = (sp_status){ 0 };
    ck_assert(!sp_safetensors_read(f, "r", x, &status) && strstr(status.message, "'r' has 5 axes, more than 4"));
    ck_assert(sp_safetensors_shape(f, "r").dim[0] == -1);
    sp_safetensors_free(f);
}
END_TEST

/* Without memory a file that is sound is not called damaged, where Jansson lets one know: see parse_without_memory of test_text.c. */
static long left;

static void *few(size_t size)
{
    return left-- > 0 ? malloc(size) : NULL;
}

/* _i: 0: of another program; 1: with a checksum, so that what cannot be parsed is never a wrong format. */
START_TEST(open_without_memory)
{
    int memory = 0, format = 0;
    sp_safetensors *f = NULL;
    sp_store *s = new_store();
    put_header("{'__metadata__':{'k':'v'},'a':{'dtype':'F32','shape':[2,3],'data_offsets':[0,24]}}", 24);
    ck_assert(!_i || sp_store_save(s, path, 1, &(sp_metadata){ "k", "v" }, NULL));
    for (long n = 0; !f; n++) {
        sp_status status = { 0 };
        left = n;
        json_set_alloc_funcs(few, free);
        f = sp_safetensors_open(path, &status);
        json_set_alloc_funcs(malloc, free);
        memory += status.code == SP_ERR_MEMORY && strstr(status.message, ": out of memory for the header");
        format += status.code == SP_ERR_FORMAT;
        ck_assert_msg(f || n == memory + format - 1, "%s", status.message);
    }
    ck_assert(sp_safetensors_sealed(f) == _i && !sp_safetensors_sealed(NULL));
    sp_safetensors_free(f);
    sp_store_free(s);
    ck_assert_msg(memory > 2 * format && (!_i || !format), "%d and %d", memory, format);
}
END_TEST

/* ---- broken files ---------------------------------------------------------------------------------------------- */

#define A    "'a':{'dtype':'F32','shape':[2,3],'data_offsets':[0,24]}"
#define B    "'b':{'dtype':'F32','shape':[4],'data_offsets':[24,40]}"
#define B_OF(type, shape, offsets) "{" A ",'b':{'dtype':" type ",'shape':" shape ",'data_offsets':" offsets "}}"

static const struct broken {
    const char *header;
    size_t data;
    const char *error;          /* NULL: it is sound */
} broken[] = {
    { "{" A "," B "}", 40, NULL },
    { "{" B "," A "}      ", 40, NULL },
    { "{'__metadata__':{'k':'v'}," A "," B "}", 40, NULL },
    { "", 0, "is no safetensors file: the header at byte" },
    { "{" A "," B, 40, "is no safetensors file: the header at byte" },
    { "{" A "," B "} x", 40, "end of file expected near 'x'" },
    { "no header", 40, "is no safetensors file" },
    { "[1,2]", 40, "the header is no object" },
    { "{" A "," A "," B "}", 40, "duplicate object key" },
    { "{'__metadata__':{'k':'v','k':'w'}," A "," B "}", 40, "duplicate object key" },
    { B_OF("'F33'", "[4]", "[24,40]"), 40, "tensor 'b' has the type F33, not F64, F32, F16 or BF16" },
    { B_OF("7", "[4]", "[24,40]"), 40, "tensor 'b' has no type" },
    { "{" A ",'b':1}", 40, "tensor 'b' has no type" },
    { B_OF("'I64'", "[4]", "[24,56]"), 56, "tensor 'b' has the type I64, not F64, F32, F16 or BF16" },
    { B_OF("'F32'", "4", "[24,40]"), 40, "tensor 'b' has no shape" },
    { B_OF("'F32'", "[-4]", "[24,40]"), 40, "tensor 'b' has an impossible shape" },
    { B_OF("'F32'", "['4']", "[24,40]"), 40, "tensor 'b' has an impossible shape" },
    { B_OF("'F32'", "[4.0]", "[24,40]"), 40, "tensor 'b' has an impossible shape" },
    { B_OF("'F32'", "[4294967296,4294967296]", "[24,24]"), 24, "tensor 'b' has an impossible shape" },
    { B_OF("'F32'", "[4611686018427387905,4]", "[24,40]"), 40, "tensor 'b' has an impossible shape" },
    { B_OF("'F32'", "[99999999999999999999]", "[24,40]"), 40, "too big integer" },
    { B_OF("'F32'", "[1,1,1,1,4]", "[24,40]"), 40, "tensor 'b' has 5 axes, more than 4" },
    { "{" A ",'b':{'dtype':'F32','shape':[4]}}", 40, "tensor 'b' has no valid data_offsets" },
    { B_OF("'F32'", "[4]", "[24]"), 40, "tensor 'b' has no valid data_offsets" },
    { B_OF("'F32'", "[4]", "[24,40,40]"), 40, "tensor 'b' has no valid data_offsets" },
    { B_OF("'F32'", "[4]", "[-16,0]"), 40, "tensor 'b' has no valid data_offsets" },
    { B_OF("'F32'", "[4]", "[40,24]"), 40, "tensor 'b' has no valid data_offsets" },
    { B_OF("'F32'", "[4]", "['24',40]"), 40, "tensor 'b' has no valid data_offsets" },
    { B_OF("'F32'", "[4]", "[24,41]"), 40, "tensor 'b' ends at byte 41 of 40: the file is cut short" },
    { B_OF("'F32'", "[4]", "[24,9223372036854775807]"), 40, "the file is cut short" },
    { B_OF("'F32'", "[4]", "[24,36]"), 36, "tensor 'b' has 12 bytes for 4 numbers of type F32" },
    { B_OF("'F64'", "[4]", "[24,40]"), 40, "tensor 'b' has 16 bytes for 4 numbers of type F64" },
    { B_OF("'F32'", "[4]", "[20,36]"), 36, "begins at byte 20, the one before ends at 24: they overlap" },
    { B_OF("'F32'", "[4]", "[28,44]"), 44, "begins at byte 28, the one before ends at 24" },
    { "{" A "," B "}", 41, "1 bytes after the last tensor" },
    { "{" A "}", 24, "there is no tensor 'b'" },
    { "{}", 0, "there is no tensor 'a'" },
    { "{" A "," B ",'c':{'dtype':'U8','shape':[],'data_offsets':[40,41]}}", 41, "tensor 'c' is no parameter of the model" },
    { B_OF("'F32'", "[2,2]", "[24,40]"), 40, "tensor 'b' is [2,2], not [4]" },
    { B_OF("'F32'", "[5]", "[24,44]"), 44, "tensor 'b' is [5], not [4]" },
};

/* The store that nothing was loaded into holds what it held. */
static void check_unchanged(sp_store *s)
{
    for (long i = 0; i < sp_store_size(s); i++)
        ck_assert(sp_store_values(s)[i] == 7);
    sp_store_free(s);
}

static void check_error(const char *error, sp_code code)
{
    sp_status status;
    sp_store *s = blank_store(7);
    ck_assert_msg(!load(s, &status), "loads, but should say: %s", error);
    ck_assert_msg(strstr(status.message, error) && !strncmp(status.message, path, strlen(path))
                  && !strchr(status.message, '\n'), "'%s', not '%s'", status.message, error);
    ck_assert_int_eq(status.code, code);
    check_unchanged(s);
}

START_TEST(broken_header)
{
    const struct broken *b = &broken[_i];
    sp_status status;
    put_header(b->header, b->data);
    if (b->error) {
        check_error(b->error, SP_ERR_FORMAT);
        return;
    }
    sp_store *s = blank_store(7);
    ck_assert_msg(load(s, &status), "%s", status.message);
    sp_store_free(s);
}
END_TEST

static const struct {
    const char *bytes;
    size_t n;
    const char *error;
} stumps[] = {
    { "", 0, "0 bytes are no safetensors file" },
    { "\2\0\0\0\0\0\0", 7, "7 bytes are no safetensors file" },
    { "\3\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes in a file of 10" },
    { "\0\0\0\0\0\0\0\x80{}", 10, "a header of 9223372036854775808 bytes in a file of 10" },
    { "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "a header of 18446744073709551615 bytes in a file of 10" },
};

START_TEST(stump)
{
    ck_put_file(path, stumps[_i].bytes, stumps[_i].n);
    check_error(stumps[_i].error, SP_ERR_FORMAT);
}
END_TEST

START_TEST(unreadable)
{
    check_error("cannot be read: No such file", SP_ERR_FILE);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    check_error("cannot be read: Is a directory", SP_ERR_FILE);
}
END_TEST

/* Header nested deeper than any sane one: an error, not a stack overflow. */
START_TEST(deep)
{
    enum { DEPTH = 100000 };
    char *bytes = malloc(8 + DEPTH);
    memset(bytes, '[', 8 + DEPTH);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)DEPTH >> (8 * i));
    ck_put_file(path, bytes, 8 + DEPTH);
    free(bytes);
    check_error("maximum parsing depth reached", SP_ERR_FORMAT);
}
END_TEST

/* Cut at any byte. */
START_TEST(truncated)
{
    size_t size;
    sp_status status;
    sp_store *s = blank_store(7);
    ck_assert(sp_store_save(s, path, 0, NULL, NULL));
    char *bytes = sp_file_read(path, &size, NULL);
    for (size_t n = 0; n < size; n++) {
        ck_put_file(path, bytes, n);
        ck_assert_msg(!load(s, &status) && *status.message, "the first %zu of %zu bytes load", n, size);
    }
    ck_put_file(path, bytes, size);
    ck_assert(load(s, &status));
    free(bytes);
    check_unchanged(s);
}
END_TEST

/* A wrong byte anywhere: no crash, and an error, which changes nothing; but for the key of the checksum: without it, no other
   byte is wrong. */
START_TEST(flipped)
{
    static const char flips[] = { 1, 2, 0x20, (char)0x80, (char)0xFF };
    size_t size;
    sp_status status;
    sp_store *good = blank_store(8), *s = blank_store(7);
    ck_assert(sp_store_save(good, path, 1, &(sp_metadata){ "k", "v" }, NULL));
    char *bytes = sp_file_read(path, &size, NULL);
    for (size_t n = 0; n < size; n++)
        for (size_t k = 0; k < sizeof flips; k++) {
            bytes[n] = (char)(bytes[n] ^ flips[k]);
            ck_put_file(path, bytes, size);
            bytes[n] = (char)(bytes[n] ^ flips[k]);
            bool ok = load(s, &status);
            ck_assert_msg(!ok || (n >= 8 && n < CHECKSUM_AT), "byte %zu is wrong", n);
            for (int i = 0; i < 10; i++)
                ck_assert(sp_param_values(sp_store_at(s, i >= 6))[i < 6 ? i : i - 6] == (ok ? 8 : 7));
            for (long i = 0; ok && i < sp_store_size(s); i++)
                sp_store_values(s)[i] = 7;
        }
    free(bytes);
    sp_store_free(good);
    check_unchanged(s);
}
END_TEST

/* ---- writing that fails ---------------------------------------------------------------------------------------- */

static const struct {
    const char *at, *error;
} places[] = {
    { "/none/m", "none/m: cannot be written: No such file" },
    { "/m/below", "m/below: cannot be written: Not a directory" },
    { "", "cannot be written: Is a directory" },
};

START_TEST(bad_place)
{
    char at[PATH_ROOM + 64];
    sp_status status = { 0 };
    sp_store *s = new_store();
    ck_put_file(path, "old", 3);
    snprintf(at, sizeof at, "%s%s", directory, places[_i].at);
    ck_assert(!sp_store_save(s, at, 0, NULL, &status));
    ck_assert_msg(strstr(status.message, places[_i].error) != NULL, "%s", status.message);
    ck_assert_int_eq(status.code, SP_ERR_FILE);
    sp_store_free(s);
}
END_TEST

/* The disk is full after so many bytes. */
static bool save_within(rlim_t bytes, const sp_store *s, sp_status *status)
{
    struct rlimit before, now;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    now = before;
    now.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &now);
    bool ok = sp_store_save(s, path, 0, NULL, status);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    return ok;
}

/* Files in the directory beside the one written to. */
static int leftovers(void)
{
    int n = 0;
    DIR *d = opendir(directory);
    for (const struct dirent *e; (e = readdir(d)); )
        n += e->d_name[0] != '.' && strcmp(e->d_name, "m") != 0;
    closedir(d);
    return n;
}

START_TEST(full_disk)
{
    size_t size, n;
    sp_store *s = blank_store(8);
    sp_store_add(s, SP_SHAPE(3000), "c");               /* more than stdio keeps back */
    ck_assert(sp_store_save(s, path, 0, NULL, NULL));
    free(sp_file_read(path, &size, NULL));
    for (size_t limit = 0, last = 0; !last; limit += 199) {
        sp_status status = { 0 };
        if ((last = limit >= size))
            limit = size;
        ck_put_file(path, "old", 3);
        bool ok = save_within(limit, s, &status);
        char *found = sp_file_read(path, &n, NULL);
        ck_assert_msg(ok == (limit == size), "of %zu bytes %zu fit: %d", size, limit, ok);
        ck_assert(n == (ok ? size : 3) && (ok || !memcmp(found, "old", 3)));
        ck_assert_msg(ok || strstr(status.message, "writing failed: File too large; what was there before is unchanged"),
                      "%s", status.message);
        ck_assert(!leftovers());
        free(found);
    }
    sp_store_free(s);
}
END_TEST

/* A program that was killed while it wrote leaves a file, which the next to write there takes away; but not one that somebody
   is writing, nor a file of another name. */
START_TEST(killed)
{
    char other[PATH_ROOM + 40];
    sp_file f, mine;
    const pid_t child = fork();
    if (!child)
        _exit(!sp_file_begin(&f, path, NULL));
    ck_assert(child > 0 && waitpid(child, NULL, 0) == child);
    ck_assert_int_eq(leftovers(), 1);
    snprintf(other, sizeof other, "%s2.%ld-0.new", path, (long)child);
    ck_assert(sp_file_begin(&f, other, NULL) && sp_file_end(&f, true, NULL));
    ck_assert_int_eq(leftovers(), 2);
    ck_assert(sp_file_begin(&f, path, NULL));
    ck_assert_int_eq(leftovers(), 2);                   /* its own, and the other */
    ck_assert(sp_file_begin(&mine, path, NULL));
    ck_assert_int_eq(leftovers(), 3);
    ck_assert(sp_file_end(&f, true, NULL) && sp_file_end(&mine, true, NULL));
    ck_assert_int_eq(leftovers(), 1);
    ck_assert(!remove(other));
}
END_TEST

/* A device is written to, and not replaced. (By a link, so that a failure of this test costs no device.) */
START_TEST(device)
{
    struct stat found;
    sp_status status = { 0 };
    sp_store *s = new_store();
    ck_assert_int_eq(symlink("/dev/null", path), 0);
    ck_assert_msg(sp_store_save(s, path, 0, NULL, &status), "%s", status.message);
    ck_assert(lstat(path, &found) == 0 && S_ISLNK(found.st_mode));
    remove(path);
    if (access("/dev/full", W_OK) == 0) {
        ck_assert_int_eq(symlink("/dev/full", path), 0);
        ck_assert(!sp_store_save(s, path, 0, NULL, &status));
        ck_assert_msg(strstr(status.message, "writing failed: No space left") != NULL, "%s", status.message);
        ck_assert(lstat(path, &found) == 0 && S_ISLNK(found.st_mode));
    }
    sp_store_free(s);
}
END_TEST

/* NULLs are errors; a file that could not be opened may be handed on. */
START_TEST(nulls)
{
    sp_status status = { 0 }, second = { 0 }, third = { 0 };
    sp_store *s = blank_store(0);
    ck_assert(!sp_store_load(s, sp_safetensors_open("/no/such/file", &status), &status));
    ck_assert(strstr(status.message, "/no/such/file: cannot be read"));
    ck_assert(!sp_store_save(NULL, path, 0, NULL, &second) && !strcmp(second.message, "save: the store is NULL"));
    ck_assert(!sp_safetensors_open(NULL, &third) && !strcmp(third.message, "open: the path is NULL"));
    ck_assert_ptr_null(sp_safetensors_get(NULL, "kind"));
    ck_assert(sp_safetensors_bytes(NULL) == 0);
    status = (sp_status){ 0 };
    ck_assert(!sp_stores_save(2, NULL, path, 0, NULL, &status) && !strcmp(status.message, "save: the list of stores is NULL"));
    status = (sp_status){ 0 };
    ck_assert(!sp_stores_save(2, (const sp_store *[]){ s, NULL }, path, 0, NULL, &status));
    ck_assert_str_eq(status.message, "save: store 1 of 2 is NULL");
    ck_assert(sp_store_save(s, path, 0, NULL, NULL));
    sp_safetensors *f = sp_safetensors_open(path, NULL);
    status = (sp_status){ 0 };
    ck_assert(!sp_stores_load(2, (sp_store *[]){ s, NULL }, f, &status) && !strcmp(status.message, "load: store 1 of 2 is NULL"));
    status = (sp_status){ 0 };
    ck_assert(!sp_store_load(NULL, f, &status) && !strcmp(status.message, "load: the store is NULL"));
    ck_assert(!sp_stores_load(2, NULL, f, NULL));
    sp_safetensors_free(f);
    sp_store_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("safetensors");
    TCase *c = tcase_create("sound");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, round_trip);
    tcase_add_test(c, layout);
    tcase_add_test(c, metadata);
    tcase_add_test(c, numbers);
    tcase_add_test(c, both_types);
    tcase_add_test(c, halves);
    tcase_add_test(c, unasked);
    suite_add_tcase(all, c);
    c = tcase_create("broken");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, broken_header, 0, sizeof broken / sizeof *broken);
    tcase_add_loop_test(c, open_without_memory, 0, 2);
    tcase_add_loop_test(c, stump, 0, sizeof stumps / sizeof *stumps);
    tcase_add_test(c, unreadable);
    tcase_add_test(c, deep);
    tcase_add_test(c, truncated);
    tcase_add_test(c, flipped);
    suite_add_tcase(all, c);
    c = tcase_create("writing");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, bad_place, 0, sizeof places / sizeof *places);
    tcase_add_test(c, full_disk);
    tcase_add_test(c, killed);
    tcase_add_test(c, nulls);
    tcase_add_test(c, device);
    suite_add_tcase(all, c);
    return all;
}
