#include <stdlib.h>

#include "zoo/metrics.h"

sp_confusion *sp_confusion_new(int classes, sp_status *status)
{
    if (classes < 1 || classes > SP_MOST_CLASSES) {
        sp_fail(status, SP_ERR_VALUE, "confusion: %d classes, expected 1 to %d", classes, SP_MOST_CLASSES);
        return NULL;
    }
    sp_confusion *c = calloc(1, sizeof *c);
    if (c && (c->count = calloc(((size_t)classes + 1) * (size_t)classes, sizeof *c->count))) {
        c->classes = classes;
        return c;
    }
    free(c);
    sp_fail(status, SP_ERR_MEMORY, "confusion: out of memory for %d classes", classes);
    return NULL;
}

void sp_confusion_free(sp_confusion *c)
{
    if (c)
        free(c->count);
    free(c);
}

bool sp_confusion_add(sp_confusion *c, int truth, int guess, sp_status *status)
{
    if (!c || truth < -1 || truth >= c->classes || guess < 0 || guess >= c->classes)
        return sp_fail(status, SP_ERR_VALUE, "confusion: truth %d, guess %d, of %d classes", truth, guess, c ? c->classes : 0);
    c->count[(size_t)(truth < 0 ? c->classes : truth) * (size_t)c->classes + (size_t)guess]++;
    c->outside += truth < 0;
    return true;
}

static long at(const sp_confusion *c, int truth, int guess)
{
    return c->count[(size_t)truth * (size_t)c->classes + (size_t)guess];
}

double sp_confusion_accuracy(const sp_confusion *c)
{
    long right = 0, all = c->outside;
    for (int i = 0; i < c->classes; i++)
        for (int j = 0; j < c->classes; j++) {
            all += at(c, i, j);
            right += i == j ? at(c, i, j) : 0;
        }
    return all ? (double)right / (double)all : 0;
}

sp_score sp_confusion_class(const sp_confusion *c, int k)
{
    long truth = 0, guessed = 0;
    if (k < 0 || k >= c->classes)
        return (sp_score){ 0 };
    for (int i = 0; i < c->classes; i++) {
        truth += at(c, k, i);
        guessed += at(c, i, k);
    }
    return sp_score_of(truth, guessed + at(c, c->classes, k), at(c, k, k));
}

static bool occurs(sp_score s)
{
    return s.truth || s.guessed;
}

double sp_confusion_macro_f1(const sp_confusion *c)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < c->classes; i++) {
        const sp_score s = sp_confusion_class(c, i);
        sum += s.f1;
        n += occurs(s);
    }
    return n ? sum / n : 0;
}

enum { NAME = 16, SHORT_NAME = 8 };     /* bytes, so that columns stand below one another where names are ASCII */

/* The name of a class, or its number: as many of its letters as have room. */
static const char *name_of(const sp_vocabulary *names, int class, size_t room, char text[NAME + 1])
{
    size_t length = 0, at = 0, fits = 0, n;
    const char *name = names ? sp_vocabulary_symbol(names, class, &length) : NULL;
    while (name && sp_text_next(name, length, SP_LEVEL_CHAR, &at, &n) && at <= room)
        fits = at;
    if (name)
        snprintf(text, NAME + 1, "%.*s", (int)fits, name);
    else
        snprintf(text, NAME + 1, "%d", class);
    return text;
}

bool sp_confusion_write(const sp_confusion *c, const sp_vocabulary *names, FILE *out)
{
    enum { FEW = 12 };
    char name[NAME + 1];
    const int columns = c->classes <= FEW ? c->classes : 0;
    fprintf(out, "%-16s %8s %8s %7s %7s %7s%s", "class", "truth", "guessed", "prec", "recall", "F1", columns ? "  guesses:" : "");
    for (int j = 0; j < columns; j++)
        fprintf(out, " %8s", name_of(names, j, SHORT_NAME, name));
    fputc('\n', out);
    for (int i = 0; i < c->classes; i++) {
        const sp_score s = sp_confusion_class(c, i);
        if (!occurs(s))
            continue;
        fprintf(out, "%-16s %8ld %8ld %7.2f %7.2f %7.2f%s", name_of(names, i, NAME, name), s.truth, s.guessed, 100 * s.precision,
                100 * s.recall, 100 * s.f1, columns ? "          " : "");
        for (int j = 0; j < columns; j++)
            fprintf(out, " %8ld", at(c, i, j));
        fputc('\n', out);
    }
    fprintf(out, "accuracy %.2f %%, macro F1 %.2f %%\n", 100 * sp_confusion_accuracy(c), 100 * sp_confusion_macro_f1(c));
    return !fflush(out) && !ferror(out);
}
