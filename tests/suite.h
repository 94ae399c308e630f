/* What every suite has: tests/main.c runs it, tests/test_NAME.c makes it. */
#ifndef SP_TESTS_SUITE_H
#define SP_TESTS_SUITE_H

#include <check.h>

#include "autograd/tape.h"

Suite *suite(void);

/* A new directory, or an empty file, in $TMPDIR; or in /dev/shm, which is fast, where it is; or in /tmp. */
enum { PATH_ROOM = 1024 };
void ck_new_directory(char path[PATH_ROOM]);
void ck_new_file(char path[PATH_ROOM]);
void ck_put_file(const char *path, const char *bytes, size_t size);     /* all that the file holds then */

/* A number as precise as the build: WIDE(1e-12, 1e-5) is the first in float64. */
#define WIDE(in_double, in_float) (sizeof(sp_real) == sizeof(double) ? (in_double) : (in_float))

/* Numbers as an array. */
#define REALS(...) ((const sp_real[]){ __VA_ARGS__ })

#define ck_tape_ok(t) ck_assert_msg(sp_ok(t), "%s", sp_error(t))

/* For loops over very many: an assertion costs a microsecond even when it holds. */
#define ck_each(holds, ...)                                                                                            \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

/* Fails unless n numbers are bit for bit the same. */
#define ck_same(a, b, n) ck_assert_mem_eq((a), (b), (size_t)(n) * sizeof(sp_real))

#endif
