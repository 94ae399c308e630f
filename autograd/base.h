/* What every other header stands on: the number type, shapes, views, and the status that carries an error. */
#ifndef SP_AUTOGRAD_BASE_H
#define SP_AUTOGRAD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SP_BEGIN extern "C" {
#define SP_END }
#else
#define SP_BEGIN
#define SP_END
#endif

#if defined(__GNUC__)
#define SP_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define SP_PRINTF(at, first)
#endif

SP_BEGIN

/* The number type of every tensor. libspindle is built with float, libspindle64 with double; a program defines
   SP_FLOAT64 (pkg-config spindle64 does) to use the second. The functions by which numbers enter and leave have other
   names there, so a program that mixes the two up fails to link. */
#ifdef SP_FLOAT64
typedef double sp_real;
#define sp_tape_new            sp_tape_new_float64
#define sp_store_new           sp_store_new_float64
#define sp_view_of             sp_view_of_float64
#define sp_gemm                sp_gemm_float64
#define sp_random_uniform      sp_random_uniform_float64
#define sp_random_normal       sp_random_normal_float64
#define sp_safetensors_open    sp_safetensors_open_float64
#define sp_lm_load             sp_lm_load_float64
#define sp_tagger_load         sp_tagger_load_float64
#define sp_classifier_load     sp_classifier_load_float64
#define sp_classifier_predict  sp_classifier_predict_float64
#define sp_sample              sp_sample_float64
#define sp_beam_search         sp_beam_search_float64
#define sp_heatmap_draw        sp_heatmap_draw_float64
#else
typedef float sp_real;
#endif

/* The release, "0.1.0". */
const char *sp_version(void);

/* A NULL where an object, a path or a list is needed is an error like any other; a NULL where freeing is fine. */

/* ---- errors ---------------------------------------------------------------------------------------------------- */

typedef enum sp_code {
    SP_OK,
    SP_ERR_SHAPE,       /* ranks or sizes that do not fit together */
    SP_ERR_VALUE,       /* an argument out of its range */
    SP_ERR_STATE,       /* a call that is not possible now (backward twice, a parameter added under a live tape) */
    SP_ERR_MEMORY,      /* an allocation failed */
    SP_ERR_FILE,        /* a file could not be opened, read or written */
    SP_ERR_FORMAT,      /* a file was read and is not what was expected */
    SP_ERR_BUDGET       /* what has to be kept does not fit into sp_tape_set_budget */
} sp_code;

/* The first error, kept until somebody clears it: later errors are consequences and are dropped. */
typedef struct sp_status {
    sp_code code;
    char message[512];  /* one line without a newline; "" while code is SP_OK */
} sp_status;

/* Records an error unless one is recorded already. Returns false, so that `return sp_fail(s, ...)` reads well.
   s may be NULL: nothing is recorded. */
bool sp_fail(sp_status *s, sp_code code, const char *format, ...) SP_PRINTF(3, 4);

/* Hands an error on: as sp_fail, with the code and message of another status, which may be of a tape or a store. */
bool sp_fail_with(sp_status *s, const sp_status *cause);

/* ---- shapes and views ------------------------------------------------------------------------------------------ */

enum { SP_MAX_RANK = 4 };

typedef struct sp_shape {
    int rank;                   /* 0 (a scalar) to SP_MAX_RANK */
    long dim[SP_MAX_RANK];
} sp_shape;

/* SP_SHAPE(50, 20, 128) is the shape [50,20,128]. */
#define SP_SHAPE(...) \
    sp_shape_of((int)(sizeof((long[]){ __VA_ARGS__ }) / sizeof(long)), (const long[]){ __VA_ARGS__ })
#define SP_SCALAR sp_shape_of(0, NULL)
sp_shape sp_shape_of(int rank, const long *dim);        /* of rank -1, which nothing takes, if dim is missing */

/* Elements of a shape, or -1 if a size is negative, the rank is out of range, or the product is over 2^40. */
long sp_shape_size(sp_shape s);

bool sp_shape_equal(sp_shape a, sp_shape b);

/* Writes "[50,20,128]" into text and returns it. */
enum { SP_SHAPE_TEXT = 96 };
char *sp_shape_format(char text[SP_SHAPE_TEXT], sp_shape s);

/* Where elements lie: element (i,j,...) is data[i*stride[0] + j*stride[1] + ...]. Strides count elements. */
typedef struct sp_view {
    sp_real *data;
    sp_shape shape;
    long stride[SP_MAX_RANK];
} sp_view;

/* A row-major view without gaps of the given shape at data. */
sp_view sp_view_of(sp_real *data, sp_shape shape);

/* True if the elements lie in row-major order without gaps. */
bool sp_view_contiguous(const sp_view *v);

SP_END
#endif
