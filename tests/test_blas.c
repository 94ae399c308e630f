/* Matrix products against three loops, and what BLIS must not do to the process. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/blas.h"
#include "autograd/random.h"
#include "tests/suite.h"

/* How a matrix [m,n] lies in memory. */
enum layout { ROWS, COLUMNS, GAPPED_ROWS, GAPPED_BOTH, LAYOUTS };

struct matrix {
    sp_view view;
    long room;
};

static struct matrix matrix(long m, long n, enum layout layout, uint64_t place)
{
    const long strides[LAYOUTS][2] = { { n, 1 }, { 1, m }, { n + 3, 1 }, { 3 * n + 2, 3 } };
    struct matrix a = { .view.shape = { 2, { m, n } }, .view.stride = { strides[layout][0], strides[layout][1] } };
    a.room = 3 * (m + 1) * (n + 3) + 2 * m;
    a.view.data = malloc((size_t)a.room * sizeof *a.view.data);
    sp_random_uniform((sp_key){ .place = place }, a.room, a.view.data, -1, 1);
    return a;
}

static sp_real *at(const sp_view *v, long i, long j)
{
    return v->data + i * v->stride[0] + j * v->stride[1];
}

/* The product is right, and nothing is written between the elements. Rounding: k additions of numbers below 1, each
   at most half an ulp of a partial sum below k. */
enum way { PLAIN, PACKED, BIASED, EACH_WAY };

static void check_one(enum way way, long m, long n, long k, const enum layout layout[3], double alpha, double beta)
{
    struct matrix a = matrix(m, k, layout[0], 1), b = matrix(k, n, layout[1], 2), c = matrix(m, n, layout[2], 3);
    sp_real *want = malloc((size_t)c.room * sizeof *want), *bias = malloc((size_t)(n + 1) * sizeof *bias);
    sp_random_uniform((sp_key){ .place = 4 }, n, bias, -1, 1);
    memcpy(want, c.view.data, (size_t)c.room * sizeof *want);
    sp_view w = c.view;
    w.data = want;
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++) {
            double sum = 0;
            for (long l = 0; l < k; l++)
                sum += (double)*at(&a.view, i, l) * (double)*at(&b.view, l, j);
            if (way == BIASED)
                *at(&w, i, j) = (sp_real)(sum + (double)bias[j]);
            else
                *at(&w, i, j) = (sp_real)(alpha * sum + (beta != 0 ? beta * (double)*at(&w, i, j) : 0));
            if (beta == 0)
                *at(&c.view, i, j) = (sp_real)NAN;
        }
    if (way == PLAIN)
        sp_gemm((sp_real)alpha, &a.view, &b.view, (sp_real)beta, &c.view);
    else if (way == PACKED)
        sp_gemm_packed((sp_real)alpha, &a.view, &b.view, NULL, (sp_real)beta, &c.view);
    else
        sp_gemm_bias(&a.view, &b.view, NULL, bias, &c.view);
    const double tolerance = WIDE(1.2e-16, 6e-8) * (1 + (double)k) * 2;
    for (long i = 0; i < c.room; i++)
        ck_each(fabs((double)c.view.data[i] - (double)want[i]) <= tolerance,
                "way %d, [%ld,%ld] x [%ld,%ld], layouts %d %d %d, alpha %g beta %g: %.9g, not %.9g", way, m, k, k, n,
                layout[0], layout[1], layout[2], alpha, beta, (double)c.view.data[i], (double)want[i]);
    free(a.view.data);
    free(b.view.data);
    free(c.view.data);
    free(want);
    free(bias);
}

/* Plainly, packed on the way, and with a bias instead of alpha and beta. */
static void check_product(long m, long n, long k, const enum layout layout[3], double alpha, double beta)
{
    for (enum way way = PLAIN; way < EACH_WAY; way++)
        check_one(way, m, n, k, layout, alpha, beta);
}

static const long sizes[] = { 0, 1, 2, 3, 5, 15, 16, 17, 31, 33, 64, 65, 100, 257 };
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Every size in each of three places beside small and odd others, layouts and factors taken in turn. */
START_TEST(products)
{
    const double factors[] = { 1, 0, -0.5 };
    const long others[] = { 1, 7, 33 };
    int turn = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int place = 0; place < 3; place++, turn++) {
                const enum layout layout[3] = { turn % LAYOUTS, turn / 2 % LAYOUTS, turn / 3 % LAYOUTS };
                long d[3] = { others[i], others[j], others[(i + j) % 3] };
                d[place] = sizes[_i];
                check_product(d[0], d[1], d[2], layout, factors[turn / 5 % 3], factors[(turn + turn / 3) % 3]);
            }
    check_product(sizes[_i], sizes[_i], sizes[_i], (const enum layout[]){ ROWS, ROWS, ROWS }, 1, 0);
}
END_TEST

/* Every combination of layouts and factors, on sizes with remainders. */
START_TEST(layouts)
{
    const enum layout layout[3] = { (enum layout)(_i % 4), (enum layout)(_i / 4 % 4), (enum layout)(_i / 16) };
    const double factors[] = { 0, 1, -0.5 };
    for (int k = 0; k < 9; k++)
        check_product(18, 35, 21, layout, factors[k % 3], factors[k / 3]);
}
END_TEST

/* The stride of an axis of size 1 may be anything; what BLIS accepts there differs between its releases. */
START_TEST(strides_of_one)
{
    const long odd[] = { 0, 1, 2, 1000000 };
    sp_real a[3] = { 1, 2, 3 }, b[3] = { 4, 5, 6 }, c[9];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            sp_view row = { a, { 2, { 1, 3 } }, { odd[i], 1 } }, column = { b, { 2, { 3, 1 } }, { 1, odd[j] } };
            sp_view one = { c, { 2, { 1, 1 } }, { odd[i], odd[j] } }, all = { c, { 2, { 3, 3 } }, { 3, 1 } };
            sp_gemm(1, &row, &column, 0, &one);
            ck_assert(c[0] == 32);
            sp_view down = sp_transposed(&row), across = sp_transposed(&column);
            sp_gemm(1, &down, &across, 0, &all);
            ck_same(c, REALS(4, 5, 6, 8, 10, 12, 12, 15, 18), 9);
        }
}
END_TEST

START_TEST(transposed)
{
    sp_real x[6];
    sp_view v = sp_view_of(x, SP_SHAPE(2, 3)), w = sp_transposed(&v), back = sp_transposed(&w);
    ck_assert(sp_shape_equal(w.shape, SP_SHAPE(3, 2)));
    ck_assert(at(&w, 2, 1) == at(&v, 1, 2) && at(&back, 1, 2) == at(&v, 1, 2));
}
END_TEST

START_TEST(a_child_may_multiply)
{
    const enum layout plain[3] = { ROWS, ROWS, ROWS };
    int status;
    check_product(100, 100, 100, plain, 1, 0);
    pid_t child = fork();
    if (child == 0) {
        struct matrix a = matrix(100, 100, ROWS, 1), c = matrix(100, 100, ROWS, 3);
        alarm(5);
        sp_gemm(1, &a.view, &a.view, 0, &c.view);
        _exit(isfinite(c.view.data[0]) ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", status);
}
END_TEST

START_TEST(kernels)
{
    bool chosen = getenv("BLIS_ARCH_TYPE");
    const char *name = sp_blas_kernels(), *wanted = getenv("SPINDLE_KERNELS");
    ck_assert_ptr_nonnull(name);
    ck_assert_msg(*name, "the kernels have no name");
    if (wanted)
        ck_assert_str_eq(name, wanted);
    ck_assert_msg(chosen || !getenv("BLIS_ARCH_TYPE"), "BLIS_ARCH_TYPE is left set");
#if defined(__x86_64__) && defined(__GNUC__)
    if (!chosen && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        ck_assert_str_ne(name, "generic");
#endif
}
END_TEST

/* ---- packed parameters ----------------------------------------------------------------------------------------- */

/* alpha x w + beta y for x [m,k] and a parameter as w [k,n], or (flipped) stored [n,k], against three loops. */
static void check_packed(long m, long k, long n, bool flipped, sp_real alpha, sp_real beta, bool gapped)
{
    sp_store *s = sp_store_new(3);
    sp_param *p = sp_store_add(s, flipped ? SP_SHAPE(n, k) : SP_SHAPE(k, n), "w");
    long line = n + (gapped ? 5 : 0), row = k + (gapped ? 3 : 0);
    sp_real *x = malloc((size_t)(m * row + 1) * sizeof *x), *y = malloc((size_t)(m * line + 1) * sizeof *y);
    sp_real *before = malloc((size_t)(m * line + 1) * sizeof *y);
    for (int round = 0; round < 2; round++) {           /* in the second the parameter has changed since it was packed */
        sp_real *w = sp_param_values(p);
        sp_random_uniform((sp_key){ .step = 1 + (uint32_t)round }, k * n, w, -1, 1);
        sp_random_uniform((sp_key){ .step = 3 }, m * row, x, -1, 1);
        sp_random_uniform((sp_key){ .step = 4 }, m * line, y, -1, 1);
        for (long i = 0; beta == 0 && i < m * line; i++)
            y[i] = (sp_real)NAN;
        memcpy(before, y, (size_t)(m * line) * sizeof *y);
        sp_view a = { x, SP_SHAPE(m, k), { row, 1 } }, c = { y, SP_SHAPE(m, n), { line, 1 } };
        sp_view b = { w, SP_SHAPE(k, n), { flipped ? 1 : n, flipped ? k : 1 } };
        sp_gemm_packed(alpha, &a, &b, p, beta, &c);
        for (long i = 0; i < m; i++)
            for (long j = 0; j < n; j++) {
                double sum = 0;
                for (long q = 0; q < k; q++)
                    sum += (double)x[i * row + q] * (double)w[q * b.stride[0] + j * b.stride[1]];
                sum = (double)alpha * sum + (beta == 0 ? 0 : (double)beta * (double)before[i * line + j]);
                /* sums of k products of numbers below 1, each rounded */
                ck_assert_msg(fabs((double)y[i * line + j] - sum) <= WIDE(1e-15, 4e-7) * (double)(k + 4),
                              "[%ld,%ld] x [%ld,%ld] %d at %ld,%ld: %g, not %g", m, k, k, n, flipped, i, j,
                              (double)y[i * line + j], sum);
            }
        for (long i = 0; gapped && i + 1 < m; i++)
            ck_assert(!memcmp(y + i * line + n, before + i * line + n, 5 * sizeof *y));
    }
    free(x);
    free(y);
    free(before);
    sp_store_free(s);
}

/* Sizes around those of tiles (6, 12, 16, 32), of blocks of rows (160 and a little more) and of panels' depth (256, 384). */
START_TEST(packed)
{
    static const long m[] = { 1, 2, 5, 6, 7, 11, 12, 13, 50, 159, 169, 175 };
    static const long n[] = { 1, 2, 15, 16, 17, 31, 32, 33, 65 };
    for (int j = 0; j < 9; j++)
        for (int flipped = 0; flipped < 2; flipped++)
            check_packed(m[_i], 19, n[j], flipped, 1, j % 2, j % 3 == 0);
    static const long k[] = { 1, 2, 3, 4, 5, 255, 256, 257, 383, 384, 385, 769 };
    check_packed(13, k[_i], 33, true, 1, 1, false);
    check_packed(13, k[_i], 33, false, (sp_real)-0.5, (sp_real)0.25, true);
    check_packed(3, k[_i], 7, true, 1, 0, true);
}
END_TEST

/* A view of a part of a parameter is not the parameter. */
START_TEST(part_of_a_parameter)
{
    sp_store *s = sp_store_new(3);
    sp_param *p = sp_store_add(s, SP_SHAPE(4, 3), "w");
    sp_real x[] = { 1, 2 }, y[3], *w = sp_param_values(p);
    for (int i = 0; i < 12; i++)
        w[i] = (sp_real)i;
    sp_view a = sp_view_of(x, SP_SHAPE(1, 2)), b = { w, SP_SHAPE(2, 3), { 3, 1 } }, c = sp_view_of(y, SP_SHAPE(1, 3));
    sp_gemm_packed(1, &a, &b, p, 0, &c);
    ck_assert(y[0] == 6 && y[1] == 9 && y[2] == 12);
    b.data += 6;
    sp_gemm_packed(1, &a, &b, p, 0, &c);
    ck_assert(y[0] == 24 && y[1] == 27 && y[2] == 30);
    sp_store_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("blas");
    TCase *c = tcase_create("blas");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, products, 0, SIZES);
    tcase_add_loop_test(c, layouts, 0, LAYOUTS * LAYOUTS * LAYOUTS);
    tcase_add_test(c, strides_of_one);
    tcase_add_test(c, transposed);
    tcase_add_test(c, a_child_may_multiply);
    tcase_add_test(c, kernels);
    tcase_add_loop_test(c, packed, 0, 12);
    tcase_add_test(c, part_of_a_parameter);
    suite_add_tcase(s, c);
    return s;
}
