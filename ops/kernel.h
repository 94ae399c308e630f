/* What the files of operations share: shape rules, and loops over views. For those who write operations. */
#ifndef SP_OPS_KERNEL_H
#define SP_OPS_KERNEL_H

#include "autograd/op.h"
#include "ops/ops.h"

SP_BEGIN

#define SP_OP(name, prototype) extern const sp_op sp_op_##name;
#include "ops/table.h"
#undef SP_OP

/* ---- shape rules ----------------------------------------------------------------------------------------------- */

/* The output has the shape of the first input. */
bool sp_infer_same(sp_call *c, sp_status *s);

/* The output has the shape that all inputs broadcast to: aligned at the last axis, sizes equal or 1. */
bool sp_infer_broadcast(sp_call *c, sp_status *s);

/* An axis counted from the front (-1 is the last); one that x does not have, and SP_ALL, as it is. For constructors. */
int sp_axis_of(const sp_tensor *x, int axis);

/* Fails with the numbers if the shape does not have the axis. */
bool sp_check_axis(sp_shape shape, int axis, sp_status *s);

/* y.shape is x's without the axis, or a scalar for SP_ALL; and y seen in x's shape again, with stride 0 along that. */
bool sp_infer_reduced(sp_call *c, int axis, sp_status *s);
sp_view sp_broadcast_back(const sp_view *y, const sp_view *x, int axis);

/* v without an axis: the elements at its index 0. */
sp_view sp_without_axis(const sp_view *v, int axis);

/* For the constructor of a loss of x and a target, its input `number` from 1: they have one shape; and a target of which no
   gradient is wanted and whose values are known, so not a traced one, has the numbers that it should. Else false, and the tape
   has the error, with who, the shapes, or the number and its place, row-major. */
enum sp_target { SP_TARGET_FINITE, SP_TARGET_POSITIVE, SP_TARGET_UNIT };
bool sp_check_target(sp_tape *t, const char *who, const sp_tensor *x, const sp_tensor *target, int number, enum sp_target kind);

/* Sees x as another shape of as many elements. False if no strides can do that. */
bool sp_view_reshape(const sp_view *x, sp_shape shape, sp_view *y);

/* x as [rows, last axis] with unit stride along the row, copied only if strides cannot do that; and a result of that
   form, or one of a number for each row, given x's leading axes again. */
sp_tensor *sp_as_rows(sp_tape *t, sp_tensor *x);
sp_tensor *sp_like_rows(sp_tape *t, sp_tensor *y, const sp_tensor *x);
sp_tensor *sp_one_each_row(sp_tape *t, sp_tensor *y, const sp_tensor *x);

/* Checks sequences against the rows that they lie in, fails with the numbers (who in front), and copies their lists to the
   tape. *steps is the sum of their lengths, *longest the largest. */
bool sp_ragged_take(sp_tape *t, const char *who, const sp_tensor *rows, const sp_ragged *r, long shortest, sp_ragged *copy,
                    long *steps, long *longest);

/* ---- rows in segments ------------------------------------------------------------------------------------------ */

/* Which of n segments each of the rows of x [rows,...] is of, and the rows segment by segment, each in its own order. */
struct sp_segments {
    long n, rows;
    const int *of;              /* [rows] 0..n-1 */
    const int *row;             /* [rows] */
    const int *begin;           /* [n+1] in row */
};

/* For constructors; `of` is copied. False: the tape has the error, `who` in front. */
bool sp_segments_make(sp_tape *t, const char *who, const sp_tensor *x, const int *of, long n, struct sp_segments *s);

/* Fails with the numbers if x[0] is not [rows,w]. For infer, with attr a struct sp_segments. */
bool sp_check_segments(const sp_call *c, sp_status *status);

/* ---- windows (ops/slide.c) ------------------------------------------------------------------------------------- */

/* The settings for [B,C,H,W], given those for x of this rank: what is 0 has its value; of one axis the height is 1. */
sp_slide sp_slide_full(sp_slide how, int rank);

/* y's last two sizes for x [B,C,H,W], or [B,C,L] as [B,C,1,L]; fails with the numbers. */
bool sp_slide_shape(sp_shape *y, sp_shape x, const sp_slide *how, sp_status *s);

/* x as [B,C,H,W] with unit stride along W, copied only if it has another; and a result given x's rank again. The shape of
   such maps for one who sees [B,C] or [B,C,L]. */
sp_tensor *sp_as_maps(sp_tape *t, sp_tensor *x);
sp_tensor *sp_like_maps(sp_tape *t, sp_tensor *y, int rank);
sp_shape sp_maps_shape(sp_shape maps, int rank);

/* What pools share: infer; the way a constructor ends; and a walk over the lines of y, which is [B,C,H',W']. Their attr begins
   with an sp_slide. */
bool sp_pool_shape(sp_call *c, sp_status *s);
sp_tensor *sp_pool(sp_tape *t, const sp_op *op, sp_tensor *x, sp_slide how);

struct sp_pool_line {
    long number;                /* 0 before the first */
    long x, dx;                 /* the channel in x, and in its gradient */
    long top, bottom;           /* its window has the rows of x from top to that before bottom */
    long y, dy;                 /* the line in y, and in its gradient */
};
bool sp_pool_next(const sp_call *c, struct sp_pool_line *l);

/* The window of position q of a line has the columns of x from *from to that before *end. */
void sp_pool_columns(const sp_call *c, long q, long *from, long *end);

/* y = none, and then y = take(y, x), n of them, for each number of its window; those of x are `step` apart. */
void sp_pool_forward(const sp_call *c, sp_real none, void (*take)(long n, const sp_real *x, long step, sp_real *y));

/* ---- costs ----------------------------------------------------------------------------------------------------- */

/* Elements of a view, to count with. */
double sp_elements(const sp_view *v);

/* So many operations, and the bytes that move once: forward those of the inputs, y and what is saved; back those of dy, of
   the wanted dx there and back, and of so many other numbers that are read. */
sp_cost sp_cost_of(const sp_call *c, bool back, double flops, double read);

/* The same where every element costs alike: so many operations forward; back each[i] for every wanted dx[i]. Elements are
   those of y or, if it has more, of the first input. `reads` says what backward reads beside dy. */
enum { SP_READS_Y = 1, SP_READS_SAVED = 2, SP_READS_X = 4 };    /* SP_READS_X << i: input i */
sp_cost sp_cost_each(const sp_call *c, bool back, double flops, const double *each, unsigned reads);

/* A product of the inputs 0 and 1: 2 m n k forward, and for each of their wanted gradients. */
sp_cost sp_cost_product(const sp_call *c, bool back);

/* ---- loops ----------------------------------------------------------------------------------------------------- */

/* Walks up to four views together, broadcast to one shape, in runs along the longest inner axis they agree on. */
struct sp_walk {
    long n;                     /* elements of this run */
    sp_real *p[4];              /* where it begins in each view */
    long step[4];               /* from element to element */
    bool unit;                  /* all steps are 1 */
    int views, axes;
    long size[SP_MAX_RANK], index[SP_MAX_RANK], stride[4][SP_MAX_RANK];
    bool started;
};
void sp_walk_begin(struct sp_walk *w, sp_shape shape, int views, const sp_view *const *view);
bool sp_walk_next(struct sp_walk *w);

/* Takes an axis along which view 0 has stride 0 out of the walk, other than that of the runs: returns its size, 1 if there
   is none; w->stride[v][1] are its strides. For sums over rows. */
long sp_walk_rows(struct sp_walk *w);

/* Does BODY for each element of SHAPE, with y, a, ... pointing to the element in the views Y, A, ...
       SP_EACH3(c->y.shape, y, c->y, a, c->x[0], b, c->x[1], *y = *a * *b);
   Where all views are contiguous the compiler sees a plain loop and vectorises it. No view that is written to may
   overlap another. */
#define SP_EACH2(SHAPE, y, Y, a, A, BODY)                                                                              \
    do {                                                                                                               \
        struct sp_walk walk_;                                                                                          \
        sp_walk_begin(&walk_, SHAPE, 2, (const sp_view *[]){ &(Y), &(A) });                                            \
        while (sp_walk_next(&walk_)) {                                                                                 \
            sp_real *restrict y##_ = walk_.p[0], *restrict a##_ = walk_.p[1];                                          \
            const long y##_s = walk_.step[0], a##_s = walk_.step[1], n_ = walk_.n;                                     \
            if (walk_.unit)                                                                                            \
                for (long i_ = 0; i_ < n_; i_++) {                                                                     \
                    sp_real *y = y##_ + i_, *a = a##_ + i_;                                                            \
                    BODY;                                                                                              \
                }                                                                                                      \
            else                                                                                                       \
                for (long i_ = 0; i_ < n_; i_++) {                                                                     \
                    sp_real *y = y##_ + i_ * y##_s, *a = a##_ + i_ * a##_s;                                            \
                    BODY;                                                                                              \
                }                                                                                                      \
        }                                                                                                              \
    } while (0)

#define SP_EACH3(SHAPE, y, Y, a, A, b, B, BODY)                                                                        \
    do {                                                                                                               \
        struct sp_walk walk_;                                                                                          \
        sp_walk_begin(&walk_, SHAPE, 3, (const sp_view *[]){ &(Y), &(A), &(B) });                                      \
        while (sp_walk_next(&walk_)) {                                                                                 \
            sp_real *restrict y##_ = walk_.p[0], *a##_ = walk_.p[1], *b##_ = walk_.p[2];                               \
            const long y##_s = walk_.step[0], a##_s = walk_.step[1], b##_s = walk_.step[2], n_ = walk_.n;              \
            if (walk_.unit)                                                                                            \
                for (long i_ = 0; i_ < n_; i_++) {                                                                     \
                    sp_real *y = y##_ + i_, *a = a##_ + i_, *b = b##_ + i_;                                            \
                    BODY;                                                                                              \
                }                                                                                                      \
            else                                                                                                       \
                for (long i_ = 0; i_ < n_; i_++) {                                                                     \
                    sp_real *y = y##_ + i_ * y##_s, *a = a##_ + i_ * a##_s, *b = b##_ + i_ * b##_s;                    \
                    BODY;                                                                                              \
                }                                                                                                      \
        }                                                                                                              \
    } while (0)

#define SP_EACH4(SHAPE, y, Y, a, A, b, B, d, D, BODY)                                                                  \
    do {                                                                                                               \
        struct sp_walk walk_;                                                                                          \
        sp_walk_begin(&walk_, SHAPE, 4, (const sp_view *[]){ &(Y), &(A), &(B), &(D) });                                \
        while (sp_walk_next(&walk_)) {                                                                                 \
            sp_real *restrict y##_ = walk_.p[0], *a##_ = walk_.p[1], *b##_ = walk_.p[2], *d##_ = walk_.p[3];           \
            const long y##_s = walk_.step[0], a##_s = walk_.step[1], b##_s = walk_.step[2], d##_s = walk_.step[3];     \
            for (long i_ = 0, n_ = walk_.n; i_ < n_; i_++) {                                                           \
                sp_real *y = y##_ + i_ * y##_s, *a = a##_ + i_ * a##_s, *b = b##_ + i_ * b##_s, *d = d##_ + i_ * d##_s;\
                BODY;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* Adds the number EXPRESSION to the element of X for each element of SHAPE, a, b, d pointing into A, B, D; X may be
   broadcast. What is summed into one element is summed in double, a tile of elements at a time, and then rounded once. */
#define SP_ADD_EACH(SHAPE, X, a, A, b, B, d, D, EXPRESSION)                                                            \
    do {                                                                                                               \
        struct sp_walk walk_;                                                                                          \
        sp_walk_begin(&walk_, SHAPE, 4, (const sp_view *[]){ &(X), &(A), &(B), &(D) });                                \
        const long rows_ = sp_walk_rows(&walk_), xs_ = walk_.step[0];                                                  \
        const long as_ = walk_.step[1], bs_ = walk_.step[2], ds_ = walk_.step[3];                                      \
        const long ar_ = walk_.stride[1][1], br_ = walk_.stride[2][1], dr_ = walk_.stride[3][1];                       \
        while (sp_walk_next(&walk_)) {                                                                                 \
            sp_real *restrict x_ = walk_.p[0], *a_ = walk_.p[1], *b_ = walk_.p[2], *d_ = walk_.p[3];                   \
            const long n_ = walk_.n, tile_ = xs_ ? SP_TILE : 1, run_ = xs_ ? 1 : n_;                                   \
            if (rows_ == 1 && walk_.unit)                                                                              \
                for (long i_ = 0; i_ < n_; i_++) {                                                                     \
                    const sp_real *a = a_ + i_, *b = b_ + i_, *d = d_ + i_;                                            \
                    (void)a, (void)b, (void)d;                                                                         \
                    x_[i_] += EXPRESSION;                                                                              \
                }                                                                                                      \
            else                                                                                                       \
                for (long j_ = 0; j_ < (xs_ ? n_ : 1); j_ += tile_) {                                                  \
                    double sum_[SP_TILE] = { 0 };                                                                      \
                    const long most_ = (xs_ ? n_ : 1) - j_ < tile_ ? (xs_ ? n_ : 1) - j_ : tile_;                      \
                    for (long r_ = 0; r_ < rows_; r_++)                                                                \
                        for (long k_ = 0; k_ < most_; k_++)                                                            \
                            for (long i_ = 0; i_ < run_; i_++) {                                                       \
                                const long e_ = j_ + k_ + i_;                                                          \
                                const sp_real *a = a_ + e_ * as_ + r_ * ar_, *b = b_ + e_ * bs_ + r_ * br_;            \
                                const sp_real *d = d_ + e_ * ds_ + r_ * dr_;                                           \
                                (void)a, (void)b, (void)d;                                                             \
                                sum_[k_] += (double)(EXPRESSION);                                                      \
                            }                                                                                          \
                    for (long k_ = 0; k_ < most_; k_++)                                                                \
                        x_[(j_ + k_) * xs_] += (sp_real)sum_[k_];                                                      \
                }                                                                                                      \
        }                                                                                                              \
    } while (0)

enum { SP_TILE = 64 };

/* y = f(x) for a function over arrays (autograd/vmath.h); y contiguous, of x's shape. */
void sp_apply(const sp_view *y, const sp_view *x, void (*f)(long n, const sp_real *x, sp_real *y));

/* y = ln(1 + e^-|x|), which is 0 far from 0: what softplus(x) is above max(x, 0), and softplus(-x) above max(-x, 0). */
void sp_softplus_rest(long n, const sp_real *x, sp_real *y);

/* The sum of n numbers, by halves: a fixed tree, whose rounding error grows with log n. */
sp_real sp_sum_run(long n, const sp_real *x, long step);

/* y += x, n numbers */
void sp_add_run(long n, const sp_real *x, sp_real *y);

/* y += sums of x over the axes along which y has stride 0 or, broadcast, size 1. */
void sp_add_sums(const sp_view *y, const sp_view *x);

/* The largest of n numbers, NaN if one is; 0 of none. */
sp_real sp_row_max(long n, const sp_real *x);

/* a = softmax(a) among the places where the mask is not 0, and 0 elsewhere; false where none is left. */
bool sp_masked_softmax_row(long n, sp_real *a, const sp_real *mask, long step);

/* m = max x, y = e^(x - m); returns ln sum y. So ln p of element i is (x_i - m) - ln sum y, which neither overflows nor
   cancels. */
sp_real sp_log_sum(long n, const sp_real *x, sp_real *y, sp_real *m);

SP_END
#endif
