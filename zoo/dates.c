#include "zoo/dates.h"

#include <stdio.h>
#include <string.h>

#include "autograd/random.h"

/* %d 3, %D 03, %o 3rd, %m 5, %M 05, %b May (Sep), %B May (September), %y 99, %Y 1999, %w Monday, %W Mon */
static const char *const formats[] = {
    "%d %B %Y", "%B %d, %Y", "%o %B %Y", "%B %o, %Y", "the %o of %B %Y", "the %o of %B, %Y", "%d %b %Y", "%b %d %Y", "%d-%b-%y",
    "%w, %B %o %Y", "%W %d %b %Y", "%w %d %B %Y", "%w the %o of %B %Y", "%M/%D/%Y", "%D.%M.%Y", "%d.%m.%y", "%Y%M%D",
    "%Y/%m/%d",
    "%b. %d, '%y", "%d/%b/%Y", "%Y %B %d", "%W, %D %b %y",
};

static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August", "September",
                                      "October", "November", "December" };
static const char *const weekdays[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

int sp_date_formats(void)
{
    return sizeof formats / sizeof *formats;
}

static int days_of(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* 0 Sunday to 6 Saturday (Sakamoto's formula for the Gregorian calendar). */
static int weekday(int year, int month, int day)
{
    static const int shift[] = { 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4 };
    const int y = year - (month < 3);
    return (y + y / 4 - y / 100 + y / 400 + shift[month - 1] + day) % 7;
}

static const char *ordinal(int day)
{
    return day / 10 == 1 ? "th" : day % 10 == 1 ? "st" : day % 10 == 2 ? "nd" : day % 10 == 3 ? "rd" : "th";
}

static int write_part(char *out, size_t room, char code, int year, int month, int day)
{
    switch (code) {
    case 'd': return snprintf(out, room, "%d", day);
    case 'D': return snprintf(out, room, "%02d", day);
    case 'o': return snprintf(out, room, "%d%s", day, ordinal(day));
    case 'm': return snprintf(out, room, "%d", month);
    case 'M': return snprintf(out, room, "%02d", month);
    case 'b': return snprintf(out, room, "%.3s", months[month - 1]);
    case 'B': return snprintf(out, room, "%s", months[month - 1]);
    case 'y': return snprintf(out, room, "%02d", year % 100);
    case 'Y': return snprintf(out, room, "%d", year);
    case 'w': return snprintf(out, room, "%s", weekdays[weekday(year, month, day)]);
    case 'W': return snprintf(out, room, "%.3s", weekdays[weekday(year, month, day)]);
    default: return 0;
    }
}

char *sp_date_write(char text[SP_DATE_ROOM], int format, int letters, int year, int month, int day)
{
    if (format < -1 || format >= sp_date_formats() || letters < 0 || letters > 2 || year < SP_DATE_FIRST || year > SP_DATE_LAST
        || month < 1 || month > 12 || day < 1 || day > days_of(year, month))
        return NULL;
    int n = 0;
    for (const char *f = format < 0 ? "%Y-%M-%D" : formats[format]; *f; f++)
        if (*f == '%')
            n += write_part(text + n, (size_t)(SP_DATE_ROOM - n), *++f, year, month, day);
        else
            text[n++] = *f;
    text[n] = '\0';
    for (char *c = text; *c; c++)
        if (letters == 1 && *c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 'a' - 'A');
        else if (letters == 2 && *c >= 'a' && *c <= 'z')
            *c = (char)(*c + 'A' - 'a');
    return text;
}

sp_sentences *sp_dates(long n, uint64_t seed, sp_status *status)
{
    if (n < 0) {
        sp_fail(status, SP_ERR_VALUE, "dates: %ld pairs", n);
        return NULL;
    }
    sp_sentences *s = sp_sentences_new(2, status);
    bool ok = s;
    for (long i = 0; ok && i < n; i++) {
        sp_random random = { .key = { .seed = seed, .place = sp_hash(sp_hash_text(0, "sp_dates"), (uint64_t)i) } };
        char source[SP_DATE_ROOM], target[SP_DATE_ROOM];
        int year = SP_DATE_FIRST, month = 1;
        long day = sp_random_below(&random, 36525);     /* of these 100 years */
        for (; day >= days_of(year, month); month = month % 12 + 1) {
            day -= days_of(year, month);
            year += month == 12;
        }
        sp_date_write(source, (int)sp_random_below(&random, sp_date_formats()), (int)sp_random_below(&random, 3), year,
                      month, (int)day + 1);
        sp_date_write(target, -1, 0, year, month, (int)day + 1);
        ok = sp_sentences_put_text(s, 0, source, strlen(source), SP_LEVEL_CHAR, status)
             && sp_sentences_put_text(s, 1, target, strlen(target), SP_LEVEL_CHAR, status) && sp_sentences_end(s, status);
    }
    if (ok)
        return s;
    sp_sentences_free(s);
    return NULL;
}
