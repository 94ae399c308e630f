#include "zoo/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool wrong(const sp_option *o, const char *given, sp_status *status)
{
    if (o->kind == SP_OPTION_CHOICE)
        return sp_fail(status, SP_ERR_VALUE, "--%s %s: expected one of %s", o->name, given, o->argument);
    return sp_fail(status, SP_ERR_VALUE, "--%s %s: expected a %snumber from %.10g to %.10g", o->name, given,
                   o->kind == SP_OPTION_WHOLE ? "whole " : "", o->low, o->high);
}

/* True if word is one of "a|b|c". */
static bool among(const char *word, const char *choices)
{
    size_t n = strcspn(word, "|");
    if (word[n])
        return false;
    for (const char *c = choices; c; c = strchr(c, '|'), c = c ? c + 1 : NULL)
        if (n && !strncmp(c, word, n) && (c[n] == '|' || !c[n]))
            return true;
    return false;
}

static bool set(const sp_option *o, const char *given, sp_status *status)
{
    char *end;
    errno = 0;
    switch (o->kind) {
    case SP_OPTION_TEXT:
        *(const char **)o->value = given;
        return *given || sp_fail(status, SP_ERR_VALUE, "--%s: expected %s, not an empty text", o->name, o->argument);
    case SP_OPTION_CHOICE:
        *(const char **)o->value = given;
        return among(given, o->argument) || wrong(o, given, status);
    case SP_OPTION_WHOLE: {
        long x = strtol(given, &end, 10);
        *(long *)o->value = x;
        return (end != given && !*end && !errno && (double)x >= o->low && (double)x <= o->high) || wrong(o, given, status);
    }
    case SP_OPTION_NUMBER: {
        double x = strtod(given, &end);
        *(double *)o->value = x;
        return (end != given && !*end && x >= o->low && x <= o->high) || wrong(o, given, status);
    }
    case SP_OPTION_FLAG:
        break;
    }
    *(bool *)o->value = true;
    return true;
}

/* The option that "--name" or "--name=value" means; NULL if there is none. */
static const sp_option *find(const sp_command *c, const char *word)
{
    size_t n = strcspn(word, "=");
    for (const sp_option *o = c->options; o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, word, n))
            return o;
    return NULL;
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
        if (o->required && !*(const char **)o->value)
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
    const sp_option *o = find(c, word + 2);
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
    return complete(c, arguments, status) ? SP_PARSED : SP_PARSED_WRONG;
}

static void show_default(const sp_option *o, FILE *out)
{
    if (o->kind == SP_OPTION_WHOLE)
        fprintf(out, " [%ld]", *(const long *)o->value);
    else if (o->kind == SP_OPTION_NUMBER)
        fprintf(out, " [%g]", *(const double *)o->value);
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
        const bool below = o->kind == SP_OPTION_CHOICE && strlen(argument) > HELP_COLUMN - 6 - strlen(o->name);
        int width = fprintf(out, "  --%s %s", o->name, below ? "NAME" : argument);
        fprintf(out, "%*s%s", width < HELP_COLUMN ? HELP_COLUMN - width : 1, "", o->help);
        show_default(o, out);
        if (below)
            show_choices(argument, out);
        fputc('\n', out);
    }
}
