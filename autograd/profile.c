#include "autograd/profile.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/blas.h"
#include "autograd/tape_inside.h"
#include "autograd/timing.h"

enum { ROWS = 128 };            /* all there are, so that counting never takes memory */

struct sp_profile {
    sp_tape *tape;              /* that it is attached to, or NULL */
    double since, before;       /* when that began; seconds attached before that */
    double counted;             /* seconds in all spans that ended, none twice: a span that encloses some leaves them out */
    int rows;
    sp_profile_row row[ROWS];
};

sp_profile *sp_profile_new(void)
{
    return calloc(1, sizeof(sp_profile));
}

void sp_profile_free(sp_profile *p)
{
    if (p && p->tape)
        sp_tape_set_profile(p->tape, NULL);
    free(p);
}

sp_profile *sp_tape_profile(const sp_tape *t)
{
    return t ? t->profile : NULL;
}

void sp_tape_set_profile(sp_tape *t, sp_profile *p)
{
    if (!t || t->profile == p)
        return;
    if (p && p->tape) {
        sp_tape_fail(t, SP_ERR_STATE, "profile: it is attached to another tape");
        return;
    }
    if (t->profile) {
        t->profile->before = sp_profile_seconds(t->profile);
        t->profile->tape = NULL;
    }
    t->profile = p;
    if (p) {
        p->tape = t;
        p->since = sp_seconds();
    }
}

/* ---- counting -------------------------------------------------------------------------------------------------- */

static sp_profile_row *row_of(sp_profile *p, const char *name, bool backward)
{
    static const char others[] = "others";
    for (sp_profile_row *r = p->row; r < p->row + p->rows; r++)
        if (r->backward == backward && (r->name == name || !strcmp(r->name, name)))
            return r;
    if (p->rows >= ROWS - 1 && name != others)
        return row_of(p, others, false);
    p->row[p->rows] = (sp_profile_row){ .name = name, .backward = backward };
    return &p->row[p->rows++];
}

static void add(sp_profile *p, const sp_profile_row *more)
{
    sp_profile_row *r = row_of(p, more->name, more->backward);
    r->calls += more->calls;
    r->seconds += more->seconds;
    r->flops += more->flops;
    r->bytes += more->bytes;
}

sp_span sp_profile_begin(sp_profile *p)
{
    return p && p->tape ? (sp_span){ p, sp_seconds(), p->counted } : (sp_span){ 0 };
}

void sp_profile_end(sp_span span, const char *name, bool backward, sp_cost cost)
{
    sp_profile *p = span.profile;
    if (!p || !p->tape)
        return;
    double seconds = sp_seconds() - span.began - (p->counted - span.counted);
    seconds = seconds > 0 ? seconds : 0;        /* rounding */
    p->counted += seconds;
    add(p, &(sp_profile_row){ name, backward, 1, seconds, cost.flops, cost.bytes });
}

void sp_profile_add(sp_profile *to, const sp_profile *from)
{
    if (!to || !from)
        return;
    to->before += sp_profile_seconds(from);
    for (int i = 0; i < from->rows; i++)
        add(to, &from->row[i]);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

double sp_profile_seconds(const sp_profile *p)
{
    return p ? p->before + (p->tape ? sp_seconds() - p->since : 0) : 0;
}

static int by_time(const void *a, const void *b)
{
    const sp_profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

const sp_profile_row *sp_profile_rows(sp_profile *p, int *n)
{
    *n = p ? p->rows : 0;
    if (*n)
        qsort(p->row, (size_t)*n, sizeof *p->row, by_time);
    return p ? p->row : NULL;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* A count per second, in units of 10^9; a dash if nothing was counted. */
static const char *rate(char text[24], double count, double seconds)
{
    strcpy(text, "-");
    if (count > 0 && seconds > 0)
        snprintf(text, 24, "%.1f", 1e-9 * count / seconds);
    return text;
}

static void write_row(FILE *out, int width, const sp_profile_row *r, double all)
{
    char calls[24] = "-", flops[24], bytes[24];
    if (r->calls)
        snprintf(calls, sizeof calls, "%ld", r->calls);
    fprintf(out, "%s%-*s%11s%11.4f%8.1f %%%10s%10s\n", r->name, width - (int)strlen(r->name), r->backward ? " backward" : "",
            calls, r->seconds, all > 0 ? 100 * r->seconds / all : 0, rate(flops, r->flops, r->seconds),
            rate(bytes, r->bytes, r->seconds));
}

bool sp_profile_write(sp_profile *p, double peak, FILE *out)
{
    if (!out)
        return false;
    const double all = sp_profile_seconds(p);
    int n, width = (int)strlen("operation backward");
    const sp_profile_row *row = sp_profile_rows(p, &n);
    sp_profile_row total = { .name = "total" };
    for (int i = 0; i < n; i++) {
        const int length = (int)strlen(row[i].name) + (row[i].backward ? (int)strlen(" backward") : 0);
        width = length > width ? length : width;
        total.calls += row[i].calls;
        total.seconds += row[i].seconds;
        total.flops += row[i].flops;
        total.bytes += row[i].bytes;
    }
    const sp_profile_row rest = { .name = "elsewhere", .seconds = all > total.seconds ? all - total.seconds : 0 };
    total.seconds = all;
    fprintf(out, "%-*s%11s%11s%10s%10s%10s\n", width, "operation", "calls", "seconds", "share", "GFLOP/s", "GB/s");
    for (int i = 0; i < n; i++)
        write_row(out, width, &row[i], all);
    write_row(out, width, &rest, all);
    write_row(out, width, &total, all);
    const double reached = all > 0 ? 1e-9 * total.flops / all : 0;
    fprintf(out, "%.1f GFLOP/s a thread", reached);
    if (peak > 0)
        fprintf(out, ", %.0f %% of the peak, the %.1f of a product of 1024^3", 100 * reached / peak, peak);
    fprintf(out, "; BLIS kernels: %s\n", sp_blas_kernels());
    return !fflush(out) && !ferror(out);
}
