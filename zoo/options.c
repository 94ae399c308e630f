#include "zoo/options.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int sp_choice_index(const char *choices, const char *word)
{
    const size_t n = strlen(word);
    int i = 0;
    for (const char *c = choices; n && c; c = strchr(c, '|'), c = c ? c + 1 : NULL, i++)
        if (strcspn(c, "|") == n && !memcmp(c, word, n))
            return i;
    return -1;
}

const char *sp_choice_word(const char *choices, int i, char word[SP_CHOICE_ROOM])
{
    for (; i > 0 && *choices; i--) {
        choices += strcspn(choices, "|");
        choices += *choices == '|';
    }
    snprintf(word, SP_CHOICE_ROOM, "%.*s", i ? 0 : (int)strcspn(choices, "|"), choices);
    return word;
}

bool sp_option_check(const sp_option *o, const char *name, const char *given, sp_status *status)
{
    bool right = true;
    double x = 0;
    if (o->kind == SP_OPTION_CHOICE || o->kind == SP_OPTION_INDEX) {
        return sp_choice_index(o->argument, given) >= 0
               || sp_fail(status, SP_ERR_VALUE, "%s %s: expected one of %s", name, given, o->argument);
    } else if (o->kind == SP_OPTION_WHOLE || o->kind == SP_OPTION_NUMBER) {
        x = o->kind == SP_OPTION_WHOLE ? (double)*(const long *)o->value : *(const double *)o->value;
        right = x >= o->low && x <= o->high;
    } else if (o->kind == SP_OPTION_TEXT && !*given) {
        return sp_fail(status, SP_ERR_VALUE, "%s: expected %s, not an empty text", name, o->argument);
    }
    return right || sp_fail(status, SP_ERR_VALUE, "%s %s: expected a %snumber from %.10g to %.10g", name, given,
                            o->kind == SP_OPTION_WHOLE ? "whole " : "", o->low, o->high);
}

bool sp_options_check(const sp_option *options, sp_status *status)
{
    char room[SP_CHOICE_ROOM];
    bool ok = true;
    for (const sp_option *o = options; ok && o->name; o++) {
        const char *given = room;
        switch (o->kind) {
        case SP_OPTION_TEXT:
            if (!(given = *(const char *const *)o->value))
                continue;
            break;
        case SP_OPTION_CHOICE:
            given = *(const char *const *)o->value ? *(const char *const *)o->value : "NULL";
            break;
        case SP_OPTION_INDEX:
            if (!*sp_choice_word(o->argument, *(const int *)o->value, room))
                snprintf(room, sizeof room, "%d", *(const int *)o->value);
            break;
        case SP_OPTION_WHOLE:
            snprintf(room, sizeof room, "%ld", *(const long *)o->value);
            break;
        case SP_OPTION_NUMBER:
            snprintf(room, sizeof room, "%.10g", *(const double *)o->value);
            break;
        case SP_OPTION_FLAG:
            continue;
        }
        ok = sp_option_check(o, o->name, given, status);
    }
    return ok;
}

static bool set(const sp_option *o, const char *given, sp_status *status)
{
    char name[64];
    char *end;
    errno = 0;
    switch (o->kind) {
    case SP_OPTION_TEXT:
    case SP_OPTION_CHOICE:
        *(const char **)o->value = given;
        break;
    case SP_OPTION_INDEX:
        *(int *)o->value = sp_choice_index(o->argument, given);
        break;
    case SP_OPTION_WHOLE:
        *(long *)o->value = strtol(given, &end, 10);
        if (end == given || *end || errno)              /* no such number is within bounds */
            *(long *)o->value = LONG_MIN;
        break;
    case SP_OPTION_NUMBER:
        *(double *)o->value = strtod(given, &end);
        if (end == given || *end)
            *(double *)o->value = NAN;
        break;
    case SP_OPTION_FLAG:
        *(bool *)o->value = true;
        return true;
    }
    snprintf(name, sizeof name, "--%s", o->name);
    return sp_option_check(o, name, given, status);
}

void sp_options_report(const sp_option *options, sp_report *r)
{
    char word[SP_CHOICE_ROOM];
    for (const sp_option *o = options; o->name; o++)
        switch (o->kind) {
        case SP_OPTION_TEXT:
        case SP_OPTION_CHOICE:
            sp_report_text(r, o->name, *(const char *const *)o->value);
            break;
        case SP_OPTION_INDEX:
            sp_report_text(r, o->name, sp_choice_word(o->argument, *(const int *)o->value, word));
            break;
        case SP_OPTION_WHOLE:
            sp_report_count(r, o->name, *(const long *)o->value);
            break;
        case SP_OPTION_NUMBER:
            sp_report_number(r, o->name, *(const double *)o->value);
            break;
        case SP_OPTION_FLAG:
            sp_report_flag(r, o->name, *(const bool *)o->value);
            break;
        }
}

/* The option that "name" or "name=value" means; NULL if there is none. */
static const sp_option *find(const sp_option *options, const char *word)
{
    size_t n = strcspn(word, "=");
    for (const sp_option *o = options; o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, word, n))
            return o;
    return NULL;
}

const char *sp_option_given(const sp_option *options, int argc, char **argv, const char *name)
{
    const char *given = NULL;
    for (int i = 0; i < argc; i++) {
        const sp_option *o = strncmp(argv[i], "--", 2) ? NULL : find(options, argv[i] + 2);
        const char *value = strchr(argv[i], '=');
        if (!o)
            continue;
        value = o->kind == SP_OPTION_FLAG ? "" : value ? value + 1 : i + 1 < argc ? argv[++i] : "";
        if (!strcmp(o->name, name))
            given = value;
    }
    return given;
}

static bool is_set(const sp_option *o)
{
    switch (o->kind) {
    case SP_OPTION_FLAG:
        return *(const bool *)o->value;
    case SP_OPTION_WHOLE:
        return *(const long *)o->value != 0;
    case SP_OPTION_NUMBER:
        return *(const double *)o->value != 0;
    case SP_OPTION_INDEX:
        return true;
    default:
        return *(const char *const *)o->value;
    }
}

/* Is a need one of options that are there, and of words that the other may have? */
static bool check_need(const sp_command *c, const sp_need *need, sp_status *status)
{
    const sp_option *o = find(c->options, need->other);
    char word[SP_CHOICE_ROOM];
    bool right = o && find(c->options, need->option);
    if (right && need->words && *need->words) {
        right = o->kind == SP_OPTION_CHOICE || o->kind == SP_OPTION_INDEX;
        for (int i = 0; right && *sp_choice_word(need->words, i, word); i++)
            right = sp_choice_index(o->argument, word) >= 0;
    }
    return right || sp_fail(status, SP_ERR_STATE, "%s: options have no such need: '%s' of '%s' %s", c->name, need->option,
                            need->other, need->words ? need->words : "");
}

/* Has the option of a need what it needs? */
static bool has_need(const sp_command *c, const sp_need *need, sp_status *status)
{
    char room[SP_CHOICE_ROOM];
    const sp_option *o = find(c->options, need->other);
    const char *words = need->words, *word = "";
    if (!words || !*words)
        return is_set(o) == !words
               || sp_fail(status, SP_ERR_VALUE, "--%s: has an effect only with%s --%s (see %s --help)", need->option,
                          words ? "out" : "", o->name, c->name);
    if (o->kind == SP_OPTION_INDEX)
        word = sp_choice_word(o->argument, *(const int *)o->value, room);
    else if (*(const char *const *)o->value)
        word = *(const char *const *)o->value;
    return sp_choice_index(words, word) >= 0
           || sp_fail(status, SP_ERR_VALUE, "--%s: has an effect only with --%s %s%s%s (see %s --help)", need->option, o->name, words,
                      *word ? ", not " : "", word, c->name);
}

static int count_words(const char *text)
{
    int n = text && *text;
    for (; text && *text; text++)
        n += *text == ' ';
    return n;
}

/* The required options that were not given. */
static bool complete(const sp_command *c, int arguments, sp_status *status)
{
    if (arguments < count_words(c->arguments))
        return sp_fail(status, SP_ERR_VALUE, "expected %s (see %s --help)", c->arguments, c->name);
    for (const sp_option *o = c->options; o->name; o++)
        if (o->required && (o->kind == SP_OPTION_TEXT || o->kind == SP_OPTION_CHOICE) && !*(const char **)o->value)
            return sp_fail(status, SP_ERR_VALUE, "--%s %s is missing (see %s --help)", o->name, o->argument, c->name);
    return true;
}

static bool parse_one(const sp_command *c, int argc, char **argv, int *i, const char **argument, int *arguments,
                      sp_status *status)
{
    const char *word = argv[*i];
    if (strncmp(word, "--", 2)) {
        if (*arguments == count_words(c->arguments))
            return sp_fail(status, SP_ERR_VALUE, "'%s': unexpected (see %s --help)", word, c->name);
        argument[(*arguments)++] = word;
        return true;
    }
    const sp_option *o = find(c->options, word + 2);
    const char *value = strchr(word, '=');
    if (!o)
        return sp_fail(status, SP_ERR_VALUE, "%s: no such option (see %s --help)", word, c->name);
    if (o->kind == SP_OPTION_FLAG && value)
        return sp_fail(status, SP_ERR_VALUE, "%s: --%s takes no value", word, o->name);
    if (o->kind != SP_OPTION_FLAG && !value && *i + 1 == argc)
        return sp_fail(status, SP_ERR_VALUE, "%s: expected a value behind it", word);
    return set(o, o->kind == SP_OPTION_FLAG ? NULL : value ? value + 1 : argv[++*i], status);
}

sp_parsed sp_options_parse(const sp_command *c, int argc, char **argv, const char **argument, sp_status *status)
{
    int arguments = 0;
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return SP_PARSED_HELP;
    for (int i = 0; i < argc; i++)
        if (!parse_one(c, argc, argv, &i, argument, &arguments, status))
            return SP_PARSED_WRONG;
    bool right = complete(c, arguments, status);
    for (const sp_need *need = c->needs; right && need && need->option; need++)
        right = check_need(c, need, status);
    for (const sp_need *need = c->needs; right && need && need->option; need++)
        right = !sp_option_given(c->options, argc, argv, need->option) || has_need(c, need, status);
    return right ? SP_PARSED : SP_PARSED_WRONG;
}

static void show_default(const sp_option *o, FILE *out)
{
    char word[SP_CHOICE_ROOM];
    if (o->kind == SP_OPTION_WHOLE)
        fprintf(out, " [%ld]", *(const long *)o->value);
    else if (o->kind == SP_OPTION_NUMBER)
        fprintf(out, " [%g]", *(const double *)o->value);
    else if (o->kind == SP_OPTION_INDEX)
        fprintf(out, " [%s]", sp_choice_word(o->argument, *(const int *)o->value, word));
    else if (o->kind != SP_OPTION_FLAG && *(const char *const *)o->value)
        fprintf(out, " [%s]", *(const char *const *)o->value);
    else if (o->required)
        fprintf(out, " (required)");
}

enum { HELP_COLUMN = 30, HELP_WIDTH = 100 };

/* Choices that do not fit beside their option: below its help, as many to a line as fit. */
static void show_choices(const char *choices, FILE *out)
{
    int column = HELP_WIDTH;
    for (const char *word = choices; *word; ) {
        const int length = (int)strcspn(word, "|");
        if (column + 1 + length > HELP_WIDTH)
            column = fprintf(out, "\n%*s", HELP_COLUMN, "") - 1;
        else
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", length, word);
        word += length + (word[length] == '|');
    }
}

void sp_options_help(const sp_command *c, FILE *out)
{
    fprintf(out, "Usage: %s%s%s [--option value ...]\n%s\n\n", c->name, c->arguments ? " " : "",
            c->arguments ? c->arguments : "", c->about);
    for (const sp_option *o = c->options; o->name; o++) {
        const char *argument = o->argument ? o->argument : o->kind == SP_OPTION_WHOLE ? "N"
                             : o->kind == SP_OPTION_NUMBER ? "X" : "";
        const bool choices = o->kind == SP_OPTION_CHOICE || o->kind == SP_OPTION_INDEX;
        const bool below = choices && 6 + strlen(o->name) + strlen(argument) > HELP_COLUMN;
        int width = fprintf(out, "  --%s %s", o->name, below ? "NAME" : argument);
        fprintf(out, "%*s%s", width < HELP_COLUMN ? HELP_COLUMN - width : 1, "", o->help);
        show_default(o, out);
        if (below)
            show_choices(argument, out);
        fputc('\n', out);
    }
}
