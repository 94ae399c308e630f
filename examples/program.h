/* What the programs here have in common: commands, messages, Ctrl-C, files, the last line. It is what a program's main would
   otherwise hold, and so prints and ends where the library never does. */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H

#include <spindle/spindle.h>

/* A command of a program: "lm train ...". */
struct verb {
    const char *name;
    int (*run)(int argc, char **argv);      /* what follows the command; the exit status: 0, 1 (failed), 2 (wrong usage) */
    const char *about;
};

/* Runs the command that argv names; {0} ends the table. "--demo" is "demo". Answers --help and --version. */
int program_main(const char *name, const struct verb *verbs, int argc, char **argv);

/* Prints "name: message" on standard error; the exit status of a failure. */
int program_error(const sp_status *status);

/* Reads the options. False if the program is to end now, with *code: after --help, or a mistake. */
bool program_parse(const sp_command *command, int argc, char **argv, const char **argument, int *code);

/* The last line on standard output, and the exit status; r is freed. */
int program_finish(sp_report *r);

/* From now on the first Ctrl-C sets the flag, which a trainer looks at, and the second ends the program. */
const volatile sig_atomic_t *program_stop(void);

/* A profile, if one is wanted: false without memory. And what was counted, on standard error; frees it. */
bool program_profile_begin(sp_profile **p, bool wanted, sp_status *status);
void program_profile_end(sp_profile *p);

/* No file that is written may be one that is read, or another that is written; it need not be there yet. Files are named by
   their options, "MODEL" by the argument of that name; the first `reads` of n are read; a path may be NULL. What a checkpoint
   writes beside itself counts. */
struct named_file {
    const char *option, *path;
};
bool program_check_files(const struct named_file *files, int n, int reads, sp_status *status);

/* On standard error, which strings of field 1 a vocabulary does not know, the first few of them by name: "tag: 2 of 90 words have
   a tag that training had not, and count as wrong: 'NEW' 2". Nothing where it knows all. count: how many, unless NULL. False
   without memory. */
bool program_tell_unseen(const sp_vocabulary *known, const sp_sentences *s, const char *units, const char *what, long *count,
                         sp_status *status);

/* Trains by sp_train; Ctrl-C ends it and saves. On standard error, how it ended. */
bool program_train(const sp_task *task, const sp_trainer_config *config, const char *out, sp_training *result, sp_status *status);

/* What a training came to; metric is the task's, or NULL. */
void program_report_training(sp_report *r, const sp_training *x, const char *metric, const char *out);

/* All of standard input, to be freed; NULL if it cannot be read, or without memory. */
char *program_input(size_t *size, sp_status *status);

/* Makes a directory, or finds it; path[i] becomes DIR/names[i]. The n paths are freed by program_folder_free, also if this fails. */
bool program_folder(const char *directory, const char *const *names, int n, char **path, sp_status *status);
void program_folder_free(char **path, int n);

/* Saves the graph of a tape that has one, and frees the tape. */
bool program_save_graph(sp_tape *t, const char *path, sp_status *status);

/* Makes FILE.svg of FILE.dot where Graphviz is installed; false, and says nothing, where it is not. */
bool program_draw(const char *dot, const char *svg);

#endif
