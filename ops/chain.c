/* The sums of ops/linear_chain.c over all paths through one sequence: see ops/chain_inside.h.

   Speed. With c_j = max_i A[i,j] and alpha_t relative to its largest, the sum over i is a product with a fixed matrix,
   sum_i e^alpha[i] e^(A[i,j] - c_j): K exponentials a step instead of K^2. And sum_t p(i,j) = e^(A[i,j] - c_j) sum_t u_t[i]
   v_t[j], one product for all steps. A sum that comes out below `tiny` may have lost terms that were too small for a number;
   that one is computed over again with its own largest term in front (log_sum), so no range of scores is too wide.

   Precision. A label that is far behind may catch up later, so what is carried from step to step, alpha and beta, is double,
   relative to its largest; the exponentials and logarithms of a step are sp_real: of float32, 2^-24 of numbers up to 64. */
#include <math.h>
#include <string.h>

#include "config.h"

#include "autograd/arena.h"
#include "autograd/blas.h"
#include "autograd/clones_inside.h"
#include "autograd/vmath.h"
#include "ops/chain_inside.h"
#include "ops/kernel.h"

enum { PAD = SP_ALIGN / sizeof(sp_real), WIDE = sizeof(double) / sizeof(sp_real) };

/* Terms below the smallest number, 1e-308 or 1e-38, change a sum above this by less than a rounding. */
static const sp_real tiny = sizeof(sp_real) == sizeof(double) ? (sp_real)1e-280 : (sp_real)1e-28f;

/* ---- the chain ------------------------------------------------------------------------------------------------- */

long sp_chain_wide(long labels)
{
    return (labels + PAD - 1) / PAD * PAD;
}

long sp_chain_size(long labels, long longest, long steps)
{
    return sp_chain_wide(labels) * (5 * labels + 4 + 2 * longest + WIDE * (6 + steps));
}

struct sp_chain sp_chain_in(sp_real *memory, long labels, long longest, long steps)
{
    const long wide = sp_chain_wide(labels), square = labels * wide;
    struct sp_chain c = { .labels = labels, .wide = wide, .term = (void *)memory };
    c.carry = c.term + 2 * wide;
    c.next = c.carry + wide;
    c.start = c.next + wide;
    c.end = c.start + wide;
    c.alpha = c.end + wide;
    c.transitions = memory + WIDE * (6 + steps) * wide;
    c.into = c.transitions + square;
    c.from = c.into + square;
    c.expected = c.from + square;
    c.paired = c.expected + square;
    c.u = c.paired + square;
    c.v = c.u + longest * wide;
    c.largest = c.v + longest * wide;
    for (int i = 0; i < 3; i++)
        c.row[i] = c.largest + (i + 1) * wide;
    return c;
}

void sp_chain_fill(struct sp_chain *c, const sp_view *start, const sp_view *transitions, const sp_view *end,
                   const bool *forbidden)
{
    const long k = c->labels, wide = c->wide;
    memset(c->transitions, 0, (size_t)(3 * k * wide) * sizeof *c->transitions);
    for (long j = 0; j < k; j++) {
        const sp_real none = -(sp_real)INFINITY;
        c->start[j] = (double)(forbidden && forbidden[k * (k + 1) + j] ? none : start->data[j * start->stride[0]]);
        c->end[j] = (double)(forbidden && forbidden[j * (k + 1) + k] ? none : end->data[j * end->stride[0]]);
        sp_real largest = none;
        for (long i = 0; i < k; i++) {
            sp_real a = transitions->data[i * transitions->stride[0] + j * transitions->stride[1]];
            a = forbidden && forbidden[i * (k + 1) + j] ? none : a;
            c->transitions[i * wide + j] = a;
            largest = a > largest ? a : largest;
        }
        c->largest[j] = largest == none ? 0 : largest;
        for (long i = 0; i < k; i++)
            c->into[i * wide + j] = c->from[j * wide + i]
                                  = (sp_real)exp((double)c->transitions[i * wide + j] - (double)c->largest[j]);
    }
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

/* y_j = sum_i x_i m[i,j] for `many` columns, known to the compiler. */
static inline __attribute__((always_inline)) void columns(long rows, const sp_real *x, const sp_real *m, long wide, sp_real *y,
                                                          const int many)
{
    sp_real sum[2][4 * PAD] = { { 0 } };
    long i = 0;
    for (; i + 2 <= rows; i += 2)
        for (int k = 0; k < many; k++) {
            sum[0][k] += x[i] * m[i * wide + k];
            sum[1][k] += x[i + 1] * m[(i + 1) * wide + k];
        }
    for (int k = 0; k < many; k++)
        y[k] = sum[0][k] + sum[1][k] + (i < rows ? x[i] * m[i * wide + k] : 0);
}

/* y = x m, m [rows,wide] */
SP_CLONES static void times(long rows, const sp_real *x, const sp_real *m, long wide, sp_real *y)
{
    long j = 0;
    for (; j + 4 * PAD <= wide; j += 4 * PAD)
        columns(rows, x, m + j, wide, y + j, 4 * PAD);
    for (; j < wide; j += PAD)
        columns(rows, x, m + j, wide, y + j, PAD);
}

/* y += x */
SP_CLONES static void add_score(long n, const sp_real *restrict x, double *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] += (double)x[i];
}

SP_CLONES static void rounded(long n, const double *restrict x, double m, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] = (sp_real)(x[i] - m);
}

SP_CLONES static void scale(long n, sp_real factor, sp_real *y)
{
    for (long i = 0; i < n; i++)
        y[i] *= factor;
}

SP_CLONES static void multiply(long n, const sp_real *restrict a, const sp_real *restrict b, sp_real *restrict y)
{
    for (long i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

/* x -= m, where m is returned: the largest of x. */
static double relative(long n, double *x)
{
    double m = -INFINITY;
    for (long i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    for (long i = 0; i < n; i++)
        x[i] -= m;
    return m;
}

/* ln sum_i e^x_i, whatever x is. */
static double log_sum(long n, const double *x, sp_real *room)
{
    double m = -INFINITY;
    for (long i = 0; i < n; i++)
        m = x[i] > m || isnan(x[i]) ? x[i] : m;
    if (m == -INFINITY)
        return m;
    rounded(n, x, m, room);
    sp_vexp(n, room, room);
    return m + log((double)sp_sum_run(n, room, 1));
}

/* y = ln sum */
static void log_into(long n, const sp_real *sum, sp_real *room, double *y)
{
    sp_vlog(n, sum, room);
    for (long i = 0; i < n; i++)
        y[i] = (double)room[i];
}

/* y_j = ln sum_i e^(x_i + A[i,j] - c_j) */
static void log_columns(const struct sp_chain *c, const double *x, double *y)
{
    const long k = c->labels;
    sp_real *u = c->row[0], *sum = c->row[1], *room = c->row[2];
    rounded(k, x, 0, u);
    sp_vexp(k, u, u);
    times(k, u, c->into, c->wide, sum);
    log_into(k, sum, room, y);
    for (long j = 0; j < k; j++)
        if (!(sum[j] >= tiny)) {
            for (long i = 0; i < k; i++)
                c->term[i] = x[i] + ((double)c->transitions[i * c->wide + j] - (double)c->largest[j]);
            y[j] = log_sum(k, c->term, room);
        }
}

/* y_i = ln sum_j e^(x_j + A[i,j] - c_j); leaves e^x in v and the sums, if they hold all terms, in sum */
static void log_rows(const struct sp_chain *c, const double *x, sp_real *v, sp_real *sum, double *y)
{
    const long k = c->labels;
    rounded(k, x, 0, v);
    sp_vexp(k, v, v);
    times(k, v, c->from, c->wide, sum);
    log_into(k, sum, c->row[2], y);
    for (long i = 0; i < k; i++)
        if (!(sum[i] >= tiny)) {
            for (long j = 0; j < k; j++)
                c->term[j] = x[j] + ((double)c->transitions[i * c->wide + j] - (double)c->largest[j]);
            y[i] = log_sum(k, c->term, c->row[2]);
        }
}

/* ---- there ----------------------------------------------------------------------------------------------------- */

double sp_chain_forward(const struct sp_chain *c, long n, const struct sp_steps *scores, double *alpha)
{
    const long k = c->labels;
    double log_z = 0;
    memcpy(alpha, c->start, (size_t)k * sizeof *alpha);
    for (long t = 0; t < n; t++, alpha += c->wide) {
        if (t) {
            log_columns(c, alpha - c->wide, alpha);
            add_score(k, c->largest, alpha);
        }
        add_score(k, sp_step(scores, t), alpha);
        log_z += relative(k, alpha);
    }
    for (long j = 0; j < k; j++)
        c->term[j] = alpha[j - c->wide] + c->end[j];
    return log_z + log_sum(k, c->term, c->row[2]);
}

/* ---- and back -------------------------------------------------------------------------------------------------- */

void sp_chain_expect(const struct sp_chain *c)
{
    memset(c->expected, 0, (size_t)(2 * c->labels * c->wide) * sizeof *c->expected);
}

void sp_chain_expected(const struct sp_chain *c, const sp_view *y)
{
    for (long i = 0; i < c->labels; i++)
        for (long j = 0; j < c->labels; j++) {
            const long at = i * c->wide + j;
            y->data[i * y->stride[0] + j * y->stride[1]] += c->paired[at] + c->into[at] * c->expected[at];
        }
}

/* The softmax of alpha + beta, into g, times weight. */
static void marginals_of(const struct sp_chain *c, const double *alpha, const double *beta, sp_real weight, sp_real *g)
{
    const long k = c->labels;
    for (long j = 0; j < k; j++)
        c->term[j] = alpha[j] + beta[j];
    relative(k, c->term);
    rounded(k, c->term, 0, g);
    sp_vexp(k, g, g);
    scale(k, weight / sp_sum_run(k, g, 1), g);
}

/* paired[i,j] += weight times the softmax over all i, j of alpha[i] + A[i,j] - c_j + x_j, term by term. */
static void add_pairs(const struct sp_chain *c, const double *alpha, const double *x, sp_real weight)
{
    const long k = c->labels;
    double *whole = c->term + c->wide, log_z = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (long i = 0; i < k; i++) {
            sp_real *to = c->paired + i * c->wide;
            for (long j = 0; j < k; j++) {
                c->term[j] = alpha[i] + x[j] + ((double)c->transitions[i * c->wide + j] - (double)c->largest[j]);
                if (pass)
                    to[j] += weight * (sp_real)exp(c->term[j] - log_z);
            }
            if (!pass)
                whole[i] = log_sum(k, c->term, c->row[2]);
        }
        log_z = pass ? 0 : log_sum(k, whole, c->row[2]);
    }
}

/* One step: beta at t - 1 from beta at t, and what the pair needs in row t of u and v. */
static void step_back(const struct sp_chain *c, long t, const sp_real *score, const double *alpha, sp_real weight, bool pairs)
{
    const long k = c->labels;
    double *x = c->next, *beta = c->carry;
    sp_real *sum = c->row[0], *u = c->u + t * c->wide, *v = c->v + t * c->wide;
    memcpy(x, beta, (size_t)k * sizeof *x);
    add_score(k, c->largest, x);
    add_score(k, score, x);
    relative(k, x);
    log_rows(c, x, v, sum, beta);
    if (pairs) {
        rounded(k, alpha, 0, u);
        sp_vexp(k, u, u);
        multiply(k, u, sum, c->row[1]);
        const sp_real norm = sp_sum_run(k, c->row[1], 1);
        if (!(norm >= tiny))
            add_pairs(c, alpha, x, weight);
        scale(k, norm >= tiny ? weight / norm : 0, v);
    }
}

static void add_row(long n, const sp_real *x, sp_real *y)
{
    if (y)
        sp_add_run(n, x, y);
}

void sp_chain_backward(const struct sp_chain *c, long n, const struct sp_steps *scores, const double *alpha, sp_real weight,
                       const struct sp_steps *marginals, sp_real *first, sp_real *last, bool pairs)
{
    const long k = c->labels, wide = c->wide;
    sp_real *g = c->row[1];
    memcpy(c->carry, c->end, (size_t)k * sizeof *c->carry);
    for (long t = n - 1; t >= 0; t--) {
        marginals_of(c, alpha + t * wide, c->carry, weight, g);
        add_row(k, g, marginals->data ? sp_step(marginals, t) : NULL);
        add_row(k, g, t == n - 1 ? last : NULL);
        add_row(k, g, t ? NULL : first);
        if (t)
            step_back(c, t, sp_step(scores, t), alpha + (t - 1) * wide, weight, pairs);
    }
    if (!pairs || n < 2)
        return;
    sp_view u = sp_view_of(c->u + wide, SP_SHAPE(n - 1, k)), v = u, to = sp_view_of(c->expected, SP_SHAPE(k, k));
    v.data = c->v + wide;
    u.stride[0] = v.stride[0] = to.stride[0] = wide;
    u = sp_transposed(&u);
    sp_gemm(1, &u, &v, 1, &to);
}
