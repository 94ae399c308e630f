/* For tests of memory: every allocation passes here, is counted, and can be refused. The method is that of Lua's memerr.lua:
   the first allocation fails, the second, the third, ... until all succeeds. Allocations inside BLIS and libc are not ours to
   fail. A test that includes this is linked with --wrap (Makefile.in, WRAPPED). */
#ifndef SPINDLE_TESTS_REFUSING_H
#define SPINDLE_TESTS_REFUSING_H

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "nn/linear.h"
#include "tests/suite.h"

static struct {
    long calls, frees, live;
    long refuse;                /* the number of the call that gets nothing; 0: none */
    bool for_good;              /* all after it get nothing either */
    long grown;                 /* calls of realloc, */
    size_t largest;             /* and what was asked for there at most */
} memory;

/* The linker sends all calls to __wrap_NAME; __real_NAME is libc's. Check's own may be among them, in every assertion: so
   what is to be compared is copied first. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static bool refused(void)
{
    memory.calls++;
    return memory.refuse && (memory.for_good ? memory.calls >= memory.refuse : memory.calls == memory.refuse);
}

static void *count(void *p)
{
    memory.live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
    if (refused())
        return NULL;
    memory.grown++;
    memory.largest = size > memory.largest ? size : memory.largest;
    memory.frees += p != NULL;          /* one taken, one given back */
    return p ? __real_realloc(p, size) : count(__real_malloc(size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return refused() ? NULL : count(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
    if (refused())
        return ENOMEM;
    int outcome = __real_posix_memalign(p, alignment, size);
    memory.live += !outcome;
    return outcome;
}

char *__wrap_strdup(const char *s)
{
    return refused() ? NULL : count(__real_strdup(s));
}

void __wrap_free(void *p)
{
    memory.frees += p != NULL;
    memory.live -= p != NULL;
    __real_free(p);
}

/* Jansson asks whom it is told to ask. For its text buffer, of 32, 64, 128, ... bytes, it gets what it wants: Jansson 2.14
   does not look whether it did, and loses a character or runs into an assertion. */
static void *jansson_malloc(size_t size)
{
    bool buffer = size >= 32 && (size & (size - 1)) == 0;
    return buffer ? count(__real_malloc(size)) : __wrap_malloc(size);
}

/* BLIS, and the library for each thread, take what they work in at the first product. */
static void begin(void)
{
    sp_store *s = sp_store_new(1);
    sp_linear l = sp_linear_make(s, "l", 600, 4);
    sp_tape *t = sp_tape_new(s);
    sp_linear_on(t, &l, sp_full(t, 1, SP_SHAPE(200, 600)));
    sp_tape_free(t);
    sp_store_free(s);
    json_set_alloc_funcs(jansson_malloc, __wrap_free);
    memset(&memory, 0, sizeof memory);
}

/* A life: all from nothing to a result, and all given back. */
struct life {
    bool (*live)(void *self, double *result, sp_status *status);
    void *self;
    void (*before)(void *self);                                 /* each time, or NULL */
    void (*after)(void *self, long n, bool ok, const sp_status *status);   /* looks at what is left, or NULL */
    double tolerance;                                           /* of the result of a life that went on without an allocation */
};

struct refusals {
    long all;                   /* allocations of a life */
    long errors, overlooked;    /* lives that failed; that went on */
};

/* Lives once for each allocation, without it, and without all after it where it is `for_good`: an outcome is the right result,
   or one line of error; nothing leaks. */
static struct refusals refuse_each(const struct life *l, bool for_good)
{
    struct refusals x = { 0 };
    double right = 0, result = 0;
    sp_status status = { 0 };
    for (int i = 0; i < 2; i++) {                               /* whoever takes memory once takes it the first time */
        begin();
        if (l->before)
            l->before(l->self);
        memory.calls = memory.live = 0;
        const bool ok = l->live(l->self, &right, &status);
        x.all = memory.calls;
        const long leak = memory.live;
        ck_assert_msg(ok && (!i || !leak), "%ld blocks leak: %s", leak, status.message);
    }
    long n = 0, calls = 1;
    for (bool ok = false; !ok || calls >= n; ) {
        memset(&status, 0, sizeof status);
        if (l->before)
            l->before(l->self);
        const long live = memory.live;
        memory.calls = 0;
        memory.for_good = for_good;
        memory.refuse = ++n;
        ok = l->live(l->self, &result, &status);
        memory.refuse = 0;
        calls = memory.calls;
        const long leaked = memory.live - live;
        x.errors += !ok;
        x.overlooked += ok && calls >= n;
        ck_assert_msg(ok == (status.code == SP_OK), "allocation %ld: %s, but the status is '%s'", n, ok ? "went on" : "failed",
                      status.message);
        ck_assert_msg(ok || status.code == SP_ERR_MEMORY || status.code == SP_ERR_FORMAT, "allocation %ld: %s", n, status.message);
        ck_assert_msg(ok || (*status.message && !strchr(status.message, '\n')), "allocation %ld: not a line: '%s'", n, status.message);
        ck_assert_msg(!ok || fabs(result - right) <= l->tolerance, "allocation %ld: went on with %.9g, not %.9g", n, result, right);
        ck_assert_msg(!leaked, "allocation %ld: %ld blocks leak: %s", n, leaked, status.message);
        if (l->after)
            l->after(l->self, n, ok, &status);
    }
    ck_assert_int_eq(n, x.all + 1);
    return x;
}

#endif
