/* The options of a program as a table: parsing, checking, --help, all from the rows.

       const sp_option options[] = {
           { "hidden", SP_OPTION_WHOLE, &hidden, .low = 1, .high = 65536, .help = "size of each layer" },
           { "data",   SP_OPTION_TEXT,  &data,   .argument = "FILE", .required = true, .help = "text to train on" },
           { 0 }
       };
*/
#ifndef SP_ZOO_OPTIONS_H
#define SP_ZOO_OPTIONS_H

#include <stdio.h>

#include "zoo/report.h"

SP_BEGIN

typedef enum sp_option_kind {
    SP_OPTION_TEXT,             /* const char *: borrowed from argv */
    SP_OPTION_WHOLE,            /* long, low to high */
    SP_OPTION_NUMBER,           /* double, low to high */
    SP_OPTION_CHOICE,           /* const char *: one of the words of .argument, "char|word" */
    SP_OPTION_INDEX,            /* an enum, or int: which word of .argument, from 0 */
    SP_OPTION_FLAG              /* bool: takes no value */
} sp_option_kind;

/* A text that names files: one that is read, several ("label=FILE,label=FILE", or one of this whole name), one that is written,
   one that is written with FILE.old and FILE.new beside it. It changes nothing here: a program can see from its options which of
   its files must not be one. */
typedef enum sp_option_file {
    SP_OPTION_NO_FILE, SP_OPTION_READS, SP_OPTION_READS_EACH, SP_OPTION_WRITES, SP_OPTION_WRITES_CHECKPOINT
} sp_option_file;

typedef struct sp_option {
    const char *name;           /* without dashes; NULL ends the table */
    sp_option_kind kind;
    void *value;                /* holds the default, gets what is given */
    double low, high;           /* the bounds, both allowed */
    const char *argument;       /* what --help shows for the value ("FILE"), or the choices */
    bool required;              /* a text or a choice that is NULL still is missing; other kinds always have a value */
    const char *help;
    sp_option_file file;
} sp_option;

/* A row that programs share. */
#define SP_OPTION_PROFILE(flag) { "profile", SP_OPTION_FLAG, flag, .help = "on standard error, what the time went into" }

/* An option that has no effect but where another has a value of these words, "lstm|gru", all among its choices; NULL: any (a flag
   that is set, a text that is there, a number that is not 0); "": none of these. */
typedef struct sp_need {
    const char *option;         /* NULL ends a table */
    const char *other, *words;
} sp_need;

/* A command with its options, and arguments without a name ("MODEL"), which are all required. */
typedef struct sp_command {
    const char *name;           /* "lm train" */
    const char *about;          /* a sentence for --help */
    const sp_option *options;
    const char *arguments;      /* "MODEL", or NULL */
    const sp_need *needs;       /* an option that is given without what it needs is a mistake; or NULL; of options that are there */
} sp_command;

typedef enum sp_parsed { SP_PARSED, SP_PARSED_HELP, SP_PARSED_WRONG } sp_parsed;

/* Reads argv[0 .. argc-1]: "--name value", "--name=value", and arguments into argument[], in order, as many as the command
   names. "--help" anywhere: SP_PARSED_HELP. A mistake: SP_PARSED_WRONG, and status says which option, what was given and
   what was expected: SP_ERR_VALUE, or SP_ERR_STATE where the mistake is in the table of needs. */
sp_parsed sp_options_parse(const sp_command *command, int argc, char **argv, const char **argument, sp_status *status);

/* The value that argv gives an option, the last of several, "" for a flag; NULL: it is not given. Mistakes are passed over: for
   defaults that depend on it, which have to be there before it is parsed. */
const char *sp_option_given(const sp_option *options, int argc, char **argv, const char *name);

/* What --help prints, the present values as defaults. */
void sp_options_help(const sp_command *command, FILE *out);

/* ---- one row by itself ----------------------------------------------------------------------------------------------

   A configuration is a table too: what the command line sets, a model's file keeps (zoo/model_file.h) and a log tells. */

/* Is the value one that may be given? If not, status says what may: "<name> <given>: expected a number from 0 to 1". An index
   is checked as the word `given`. */
bool sp_option_check(const sp_option *o, const char *name, const char *given, sp_status *status);

/* Is every value of a table one that may be given? A text that is NULL says nothing; a choice that is NULL is none. */
bool sp_options_check(const sp_option *options, sp_status *status);

/* The place of a word among the choices of a row, "a|b|c", from 0; -1 if it is none. And the i-th word, copied, as much of it as
   has room; "" where there is none. */
enum { SP_CHOICE_ROOM = 64 };
int sp_choice_index(const char *choices, const char *word);
const char *sp_choice_word(const char *choices, int i, char word[SP_CHOICE_ROOM]);

/* All rows into a report, each by its name. */
void sp_options_report(const sp_option *options, sp_report *r);

SP_END
#endif
