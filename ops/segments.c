/* Rows in segments: a counting sort. */
#include <string.h>

#include "ops/kernel.h"

bool sp_segments_make(sp_tape *t, const char *who, const sp_tensor *x, const int *of, long n, struct sp_segments *s)
{
    if (!t || !sp_ok(t) || !sp_usable(t, x, who, "input", 1))
        return false;
    const long rows = sp_dim(x, 0);
    if (n < 0 || n >= INT32_MAX || rows > INT32_MAX || (rows && !of)) {
        sp_tape_fail(t, SP_ERR_VALUE, "%s: %ld segments of %ld rows%s", who, n, rows, of ? "" : ", and no list");
        return false;
    }
    for (long i = 0; i < rows; i++)
        if (of[i] < 0 || of[i] >= n) {
            sp_tape_fail(t, SP_ERR_VALUE, "%s: segment %d of row %ld is not in 0..%ld", who, of[i], i, n - 1);
            return false;
        }
    int *copy = sp_tape_copy(t, of, (size_t)rows * sizeof *copy), *row = sp_tape_take(t, (size_t)rows * sizeof *row);
    int *begin = sp_tape_take(t, (size_t)(n + 2) * sizeof *begin);
    if (!copy || !row || !begin)
        return false;
    memset(begin, 0, (size_t)(n + 2) * sizeof *begin);
    for (long i = 0; i < rows; i++)                     /* begin[s+2] = rows of s */
        begin[of[i] + 2]++;
    for (long i = 2; i <= n; i++)                       /* begin[s+1] = where those of s begin, */
        begin[i] += begin[i - 1];
    for (long i = 0; i < rows; i++)                     /* and when all are in place, where they end */
        row[begin[of[i] + 1]++] = (int)i;
    *s = (struct sp_segments){ .n = n, .rows = rows, .of = copy, .row = row, .begin = begin };
    return true;
}

bool sp_check_segments(const sp_call *c, sp_status *status)
{
    const struct sp_segments *s = c->attr;
    char text[SP_SHAPE_TEXT];
    const sp_shape x = c->x[0].shape;
    return (x.rank == 2 && x.dim[0] == s->rows)
           || sp_fail(status, SP_ERR_SHAPE, "%s is not [rows,w]", sp_shape_format(text, x));
}
