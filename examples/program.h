/* What the programs here have in common: commands, options, messages, Ctrl-C, files, the last line. It is what a program's main
   would otherwise hold, and so prints and ends where the library never does.

       static bool eval(struct program *p)
       {
           const char *data = NULL;
           const sp_option options[] = { { "data", SP_OPTION_TEXT, &data, ..., .file = SP_OPTION_READS }, { 0 } };
           if (!program_parse(p, options, NULL))
               return false;
           ...
           sp_report_number(p->result, "accuracy", accuracy);
           return true;
       }

       int main(int argc, char **argv)
       {
           static const struct verb verbs[] = { { "eval", eval, "measure a model", "Measures how ...", "MODEL" }, { 0 } };
           return program_main("tag", verbs, argc, argv);
       } */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H

#include <sys/stat.h>

#include <spindle/spindle.h>

struct program;

/* A command: "tag eval MODEL --data FILE". */
struct verb {
    const char *name;
    bool (*run)(struct program *p);     /* false: p->status says why, if there is something to say */
    const char *about, *help;           /* a line of the program's --help; the sentences of the command's own */
    const char *arguments;              /* "MODEL", or NULL */
};

/* Rows of options: where the trained model goes, and what else training shows; those of a demo. */
#define PROGRAM_OUT(out) \
    { "out", SP_OPTION_TEXT, out, .argument = "MODEL", .help = "where the best model goes", .file = SP_OPTION_WRITES }
#define PROGRAM_SHOW(p, graph) \
    { "graph", SP_OPTION_TEXT, graph, .argument = "FILE.dot", .help = "the graph of two or three short inputs, for Graphviz", \
      .file = SP_OPTION_WRITES }, \
    SP_OPTION_PROFILE(&(p)->profiled)
#define PROGRAM_DEMO(p, directory, trainer) \
    { "out", SP_OPTION_TEXT, directory, .argument = "DIR", .help = "where model, log and pictures go" }, \
    { "epochs", SP_OPTION_WHOLE, &(trainer)->epochs, 1, 1e6, .help = "times through the data" }, \
    { "threads", SP_OPTION_WHOLE, &(trainer)->threads, 1, 64, .help = "that share the work" }, \
    SP_OPTION_PROFILE(&(p)->profiled)

#define PROGRAM_TRAIN_HELP " Ctrl-C ends it and saves.\n" \
    "The last line on standard output is a JSON object of the results, here as in all commands."

enum { PROGRAM_FILES = 8 };

/* A command that runs. */
struct program {
    const char *model;          /* the argument MODEL */
    bool profiled;              /* --profile, for SP_OPTION_PROFILE; */
    sp_profile *profile;        /* then what a model's .profile is to be, else NULL */
    sp_report *result;          /* the last line on standard output */
    sp_status status;
    bool wrong, helped;         /* the error is one of usage: exit status 2, otherwise 1; --help was all */

    const struct verb *verb;
    int argc;                   /* what follows the command */
    char **argv;
    struct program_file {
        const char *what;
        char *path;
        struct stat before;     /* of no mode: it was not there */
    } file[PROGRAM_FILES];      /* of program_file */
    int files;
};

/* Runs the command that argv names; {0} ends the table. "--demo" is "demo". Answers --help and --version. The exit status: 0,
   1 (failed), 2 (wrong usage). */
int program_main(const char *name, const struct verb *verbs, int argc, char **argv);

/* Reads the options. No file that is written may be one that is read, or another that is written (what a checkpoint writes beside
   itself counts), and each that is written must be writable: known from .file of the options. False if the command is to end
   now. */
bool program_parse(struct program *p, const sp_option *options, const sp_need *needs);

/* Of what was looked at before any data were read: is it right? A value that may not be is one of usage. */
bool program_settings(struct program *p, bool right);

/* From now on the first Ctrl-C sets the flag, which a trainer looks at, and the second ends the program. A signal that is ignored
   stays so. */
const volatile sig_atomic_t *program_stop(void);

/* Trains by sp_train; Ctrl-C ends it and saves; after it Ctrl-C is what it was before. On standard error, how it ended; what it came to is in the result, too. out: the
   model's file. */
bool program_train(struct program *p, const sp_task *task, const sp_trainer_config *config, const char *out,
                   sp_training *training);

/* On standard error, which strings of field 1 a vocabulary does not know, the first few of them by name: "tag: 2 of 90 words have
   a tag that training had not, and count as wrong: 'NEW' 2". Nothing where it knows all. count: how many, unless NULL. False
   without memory. */
bool program_tell_unseen(struct program *p, const sp_vocabulary *known, const sp_sentences *s, const char *units, const char *what,
                         long *count);

/* All of standard input, to be freed; NULL if it cannot be read, or without memory. */
char *program_input(size_t *size, sp_status *status);

struct program_lines {
    char **text;                /* without their ends */
    long n, before;             /* before: lines that were answered */
};

/* Gives the lines of a file, or of standard input where path is NULL, to `answer`: so many at once, one where a person types. What
   was read before an error is answered before it. False without an error: interrupted after program_stop. How many lines there
   were is in the result. */
bool program_answer(struct program *p, const char *path, long at_once,
                    bool (*answer)(void *self, const struct program_lines *l, sp_status *status), void *self);

/* Saves the graph of a tape that has one, and frees the tape. */
bool program_save_graph(sp_tape *t, const char *path, sp_status *status);

/* ---- demos: what they write is in a folder of their own --------------------------------------------------------- */

/* DIR/name, which lives as long as p, and DIR is made. NULL if that failed, or no file can be written there. `what` is the file's
   part in the demo: "page". Which of these files have been written is told in the end, also where the demo fails: "Written: model
   demo-tag/tagger.safetensors, log ...". */
const char *program_file(struct program *p, const char *what, const char *directory, const char *name);

/* Those that the training of each demo writes; graph may be NULL. */
bool program_demo_files(struct program *p, const char *directory, const char *model, const char **out, sp_trainer_config *trainer,
                        const char **graph);

/* Makes graph.svg of the graph, where Graphviz is installed; into the result, both. */
void program_draw(struct program *p, const char *directory, const char *graph);

/* ---- what program.c needs of program_files.c --------------------------------------------------------------------- */

/* Are the files of the options, and MODEL, apart as program_parse says, and can those be written that are? */
bool program_check_files(const struct program *p, const sp_option *options, sp_status *status);

/* Which files of program_file have been written; nothing if none was. */
void program_tell_files(const struct program *p, FILE *out);

#endif
