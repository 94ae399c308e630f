#include "zoo/progress.h"

#include <math.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "autograd/timing.h"

char *sp_thousands(char text[32], long n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%ld", n), at = 0;
    for (int i = 0; i < length; i++) {
        text[at++] = digits[i];
        int left = length - 1 - i;
        if (left && left % 3 == 0 && digits[i] != '-')
            text[at++] = ',';
    }
    text[at] = '\0';
    return text;
}

void sp_progress_begin(sp_progress *p, FILE *out, const char *unit)
{
    *p = (sp_progress){ .out = out, .unit = unit, .terminal = out && isatty(fileno(out)), .began = sp_seconds() };
}

/* The width of a terminal: a longer line would wrap, and could not be drawn over. */
static int columns(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
}

void sp_progress_show(sp_progress *p, const char *title, double part, double loss, long units)
{
    enum { WIDTH = 20 };
    char bar[WIDTH + 1], rate[32], how[32] = "", line[192];
    double now = sp_seconds(), spent = now - p->began;
    if (!p->terminal || (now - p->drawn < 0.1 && part < 1))
        return;
    p->drawn = now;
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < (int)(part * WIDTH) ? '=' : i == (int)(part * WIDTH) ? '>' : ' ';
    bar[WIDTH] = '\0';
    long left = part > 0 ? (long)(spent / part - spent + 0.5) : 0;
    if (!isnan(loss))
        snprintf(how, sizeof how, "  loss %.3f", loss);
    snprintf(line, sizeof line, "%s [%s] %3.0f %%%s  %s %.32ss/s  %ld:%02ld left", title, bar, 100 * part, how,
             sp_thousands(rate, spent > 0 ? (long)((double)units / spent) : 0), p->unit, left / 60, left % 60);
    fprintf(p->out, "\r\033[K%.*s", columns(p->out) - 1, line);
    fflush(p->out);
}

void sp_progress_end(sp_progress *p)
{
    if (p->terminal) {
        fprintf(p->out, "\r\033[K");
        fflush(p->out);
    }
}
