#include "nn/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where one parameter of ours, or a part of its rows, comes from. */
struct piece {
    const char *param;
    int tensor;                 /* of the layer's; ZEROS */
    const char *axes;           /* axis i of ours is axis axes[i] of theirs; NULL: as it is */
    const char *gates;          /* the order of the gates along our first axis in theirs; NULL: as ours */
    int half, halves;           /* of their first axis; 0 of 0: all of it */
    int part, parts;            /* of our first axis; 0 of 0: all of it */
    bool optional;              /* theirs need not be: then ours, if there is one, becomes `filling` */
    sp_real filling;
};

enum { ZEROS = -1, PIECES = 9 };

/* One kind of layer. */
struct layer {
    const char *library, *kind;
    bool directions;            /* the first axis of each of its tensors */
    const char *gates;          /* the order of ours, a letter each */
    struct piece piece[PIECES];
};

#define PIECE(param_, tensor_, ...) { .param = param_, .tensor = tensor_, __VA_ARGS__ }
#define OPTIONAL(param_, tensor_, ...) PIECE(param_, tensor_, .optional = true, __VA_ARGS__)
#define ONE_BIAS(order) OPTIONAL("bias_ih", 2, .gates = order), OPTIONAL("bias_hh", ZEROS, )
#define TWO_BIASES(order) OPTIONAL("bias_ih", 2, .gates = order, .half = 0, .halves = 2), \
                          OPTIONAL("bias_hh", 2, .gates = order, .half = 1, .halves = 2)
#define KERAS(order, biases) \
    { PIECE("weight_ih", 0, .axes = "10", .gates = order), PIECE("weight_hh", 1, .axes = "10", .gates = order), biases }
#define ONNX(order, ...) \
    { PIECE("weight_ih", 0, .gates = order), PIECE("weight_hh", 1, .gates = order), TWO_BIASES(order), __VA_ARGS__ }
#define SIMPLE(axes_) { PIECE("weight", 0, .axes = axes_), OPTIONAL("bias", 1, ) }
#define SCALED PIECE("weight", 0, .optional = true, .filling = 1), OPTIONAL("bias", 1, )
#define THIRD(i) PIECE("in_proj_weight", 2 * (i), .axes = "10", .part = (i), .parts = 3), \
                 OPTIONAL("in_proj_bias", 2 * (i) + 1, .part = (i), .parts = 3)

static const struct layer layers[] = {
    { "keras", "rnn",           false, NULL,   KERAS(NULL, ONE_BIAS(NULL)) },
    { "keras", "relu",          false, NULL,   KERAS(NULL, ONE_BIAS(NULL)) },
    { "keras", "lstm",          false, "ifgo", KERAS("ifgo", ONE_BIAS("ifgo")) },
    { "keras", "gru",           false, "rzn",  KERAS("zrn", TWO_BIASES("zrn")) },
    { "keras", "gru-before",    false, "rzn",  KERAS("zrn", ONE_BIAS("zrn")) },
    { "keras", "linear",        false, NULL,   SIMPLE("10") },
    { "keras", "embedding",     false, NULL,   { PIECE("weight", 0, ) } },
    { "keras", "conv1d",        false, NULL,   SIMPLE("210") },
    { "keras", "conv2d",        false, NULL,   SIMPLE("3201") },
    { "keras", "norm",          false, NULL,   { SCALED, PIECE("running_mean", 2, ), PIECE("running_var", 3, ) } },
    { "keras", "layer-norm",    false, NULL,   { SCALED } },
    { "keras", "multihead",     false, NULL,   { THIRD(0), THIRD(1), THIRD(2), PIECE("out_proj.weight", 6, .axes = "10"),
                                                 OPTIONAL("out_proj.bias", 7, ) } },
    { "onnx",  "rnn",           true,  NULL,   ONNX(NULL, ) },
    { "onnx",  "relu",          true,  NULL,   ONNX(NULL, ) },
    { "onnx",  "lstm",          true,  "ifgo", ONNX("iofg", ) },
    { "onnx",  "lstm-peephole", true,  "ifgo", ONNX("iofg", OPTIONAL("weight_ch", 3, .gates = "iof")) },
    { "onnx",  "gru",           true,  "rzn",  ONNX("zrn", ) },
    { "onnx",  "gru-before",    true,  "rzn",  ONNX("zrn", ) },
    { "onnx",  "linear",        false, NULL,   SIMPLE(NULL) },
    { "onnx",  "conv",          false, NULL,   SIMPLE(NULL) },
    { "onnx",  "norm",          false, NULL,   { PIECE("weight", 0, ), PIECE("bias", 1, ), PIECE("running_mean", 2, ),
                                                 PIECE("running_var", 3, ) } },
};

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

static sp_shape without_first(sp_shape s)
{
    return sp_shape_of(s.rank - 1, s.dim + 1);
}

/* Is b a with two neighbouring axes as one? */
static bool merges(sp_shape a, sp_shape b)
{
    if (a.rank != b.rank + 1)
        return false;
    for (int at = 0; at < b.rank; at++) {
        sp_shape m = sp_shape_of(b.rank, a.dim);
        m.dim[at] = a.dim[at] * a.dim[at + 1];
        for (int i = at + 1; i < b.rank; i++)
            m.dim[i] = a.dim[i + 1];
        if (sp_shape_equal(m, b))
            return true;
    }
    return false;
}

/* The part of ours that a piece is of. */
static sp_shape part_of(const struct piece *p, sp_shape ours)
{
    if (p->parts)
        ours.dim[0] /= p->parts;
    return ours;
}

/* What their tensor must be for a part of ours, directions aside. */
static sp_shape theirs_for(const struct piece *p, sp_shape part)
{
    sp_shape s = part;
    for (int i = 0; p->axes && i < part.rank; i++)
        s.dim[p->axes[i] - '0'] = part.dim[i];
    if (p->halves)
        s.dim[0] *= p->halves;
    return s;
}

/* ---- one piece ------------------------------------------------------------------------------------------------- */

static int gates_of(const struct piece *p)
{
    return p->gates ? (int)strlen(p->gates) : 1;
}

/* Row i of n of ours as a row of theirs: the gates, blocks of rows, change places. */
static long their_row(const struct layer *l, const struct piece *p, long i, long n)
{
    const long block = n / gates_of(p);
    long gate = i / block;
    for (const char *ours = l->gates; p->gates && ours && *ours; ours++) {
        const char *theirs = strchr(p->gates, *ours);       /* peepholes have fewer gates than the cell */
        if (theirs && gate-- == 0)
            return (theirs - p->gates) * block + i % block;
    }
    return i;
}

/* Copies their numbers, from the place where the piece begins, to ours, row by row of ours. */
static void copy(const struct layer *l, const struct piece *p, sp_shape part, const sp_real *theirs, sp_real *ours)
{
    const sp_view v = sp_view_of(NULL, theirs_for(p, part));
    const sp_shape row = without_first(part);
    long stride[SP_MAX_RANK];
    for (int k = 0; k < part.rank; k++)
        stride[k] = v.stride[p->axes ? p->axes[k] - '0' : k];
    for (long r = 0, n = sp_shape_size(row); r < part.dim[0]; r++, ours += n) {
        const sp_real *from = theirs + their_row(l, p, r, part.dim[0]) * stride[0];
        long at[SP_MAX_RANK] = { 0 };
        for (long i = 0; i < n; i++) {
            ours[i] = *from;
            for (int k = row.rank - 1; k >= 0; k--) {       /* the next of theirs */
                from += stride[k + 1];
                if (++at[k] < row.dim[k])
                    break;
                from -= at[k] * stride[k + 1];
                at[k] = 0;
            }
        }
    }
}

/* What our parameter of a piece is called; "" if that is too long for any. */
static const char *name_of(char name[256], const char *params, const struct piece *p)
{
    const char *place = strstr(params, "%s");
    const int n = snprintf(name, 256, "%.*s%s%s", (int)(place - params), params, p->param, place + 2);
    return n < 256 ? name : "";
}

/* Checks their tensor for a piece of ours; its directions, 0 with an error. */
static long directions_of(const sp_foreign *from, const struct layer *l, const char *name, sp_shape expected,
                          const sp_safetensors *f, const char *ours, sp_status *status)
{
    char have[SP_SHAPE_TEXT], want[SP_SHAPE_TEXT];
    sp_shape given = sp_safetensors_shape(f, name);
    if (given.dim[0] < 0)
        return sp_fail(status, SP_ERR_FORMAT, "import: %s: there is no tensor '%s' of %d axes or fewer",
                       sp_safetensors_path(f), name, SP_MAX_RANK);
    const long directions = l->directions && given.rank ? given.dim[0] : 1;
    if (l->directions && given.rank)
        given = without_first(given);
    if (from->direction < 0 || from->direction >= directions)
        return sp_fail(status, SP_ERR_VALUE, "import: %s: tensor '%s' has %ld directions; direction %d (from 0) is wanted",
                       sp_safetensors_path(f), name, directions, from->direction);
    if (!sp_shape_equal(given, expected) && !merges(given, expected) && !merges(expected, given))
        return sp_fail(status, SP_ERR_SHAPE, "import: %s: tensor '%s' is %s%s, not %s, for '%s'", sp_safetensors_path(f),
                       name, sp_shape_format(have, given), l->directions ? " for each direction" : "",
                       sp_shape_format(want, expected), ours);
    return directions;
}

/* A piece that was checked. */
struct found {
    const struct piece *piece;
    const sp_param *ours;
    const char *name;           /* of their tensor; NULL: there is none */
    sp_shape part;              /* of ours */
    long at, skip;              /* where the tensor goes in scratch memory, and the piece begins in it */
};

/* Checks a piece; *size grows by what its tensor needs. Without a parameter, and without need of one, out->ours is NULL. */
static bool check_piece(const sp_store *s, const char *params, const sp_foreign *from, const struct layer *l,
                        const struct piece *p, const sp_safetensors *f, struct found *out, long *size, sp_status *status)
{
    char text[SP_SHAPE_TEXT], ours_name[256];
    const char *name = p->tensor == ZEROS ? NULL : from->tensor[p->tensor];
    const char *called = name_of(ours_name, params, p);
    const sp_param *ours = sp_store_find(s, called);
    *out = (struct found){ p, ours, name, { 0 }, *size, 0 };
    if (!ours)
        return (p->optional && !name)
               || sp_fail(status, SP_ERR_VALUE, "import: the store has no parameter '%s'", *called ? called : params);
    if (ours->shape.rank < 1 || (p->axes && ours->shape.rank != (int)strlen(p->axes))
        || ours->shape.dim[0] % (gates_of(p) * (p->parts ? p->parts : 1)))
        return sp_fail(status, SP_ERR_SHAPE, "import: '%s' is %s, which no '%s' has", ours->name,
                       sp_shape_format(text, ours->shape), l->kind);
    if (!name && !p->optional)
        return sp_fail(status, SP_ERR_VALUE, "import: %s %s: tensor %d, for '%s', has no name", l->library, l->kind,
                       p->tensor, ours->name);
    out->part = part_of(p, ours->shape);
    const sp_shape expected = theirs_for(p, out->part);
    const long all = sp_shape_size(expected);
    const long directions = name ? directions_of(from, l, name, expected, f, ours->name, status) : 0;
    out->skip = from->direction * all + p->half * sp_shape_size(out->part);
    *size += directions * all;
    return !name || directions;
}

/* Puts a piece where ours is. */
static void write_piece(const struct layer *l, const struct found *p, const sp_real *theirs)
{
    const long n = sp_shape_size(p->part);
    sp_real *ours = p->ours ? sp_param_values(p->ours) + p->piece->part * n : NULL;
    if (p->name)
        copy(l, p->piece, p->part, theirs + p->at + p->skip, ours);
    for (long i = 0; ours && !p->name && i < n; i++)
        ours[i] = p->piece->filling;
}

static const struct layer *find(const sp_foreign *from, sp_status *status)
{
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (!strcmp(layers[i].library, from->library) && !strcmp(layers[i].kind, from->kind))
            return &layers[i];
    sp_fail(status, SP_ERR_VALUE, "import: there is no '%s' of '%s' in the table of nn/import.h", from->kind, from->library);
    return NULL;
}

bool sp_import(sp_store *s, const char *params, const sp_foreign *from, const sp_safetensors *f, sp_status *status)
{
    if (!s || !params || !from || !from->library || !from->kind || !f)
        return sp_fail(status, SP_ERR_VALUE, "import: the %s is NULL", !s ? "store" : !params ? "name of the parameters"
                       : !from ? "layer" : !from->library ? "library" : !from->kind ? "kind" : "file");
    if (!strstr(params, "%s"))
        return sp_fail(status, SP_ERR_VALUE, "import: the name of the parameters, '%s', has no %%s in it", params);
    struct found found[PIECES];
    int n = 0;
    long size = 0;
    const struct layer *l = find(from, status);
    for (; l && n < PIECES && l->piece[n].param; n++)
        if (!check_piece(s, params, from, l, &l->piece[n], f, &found[n], &size, status))
            return false;
    sp_real *theirs = l ? malloc((size_t)(size + 1) * sizeof *theirs) : NULL;
    bool ok = theirs || (l && sp_fail(status, SP_ERR_MEMORY, "import: out of memory for %ld numbers", size));
    for (int i = 0; ok && i < n; i++)
        ok = !found[i].name || sp_safetensors_read(f, found[i].name, theirs + found[i].at, status);
    for (int i = 0; ok && i < n; i++)
        write_piece(l, &found[i], theirs);
    free(theirs);
    return ok;
}
