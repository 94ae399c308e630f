/* From one sequence to another, from the command line: translation, pronunciation, any pairs of texts.

       translate train --data fra.txt --out model.safetensors
       echo "Where is the cat?" | translate predict model.safetensors --beam 5
       translate eval model.safetensors --data fra.txt --part test --beam 5
       translate train --data cmudict.dict --format cmudict --out g2p.safetensors
       translate demo
*/
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* ---- what all commands share ----------------------------------------------------------------------------------- */

/* Where pairs come from: one file, or two whose lines belong together. */
struct corpus {
    const char *data, *format, *source, *target;
};

#define CORPUS_OPTIONS(c) \
    { "data", SP_OPTION_TEXT, &(c)->data, .argument = "FILE", .help = "pairs: a source, a tab, its target on each line" }, \
    { "format", SP_OPTION_CHOICE, &(c)->format, .argument = "pairs|cmudict", .help = "of --data; cmudict: letters to phones" }, \
    { "source", SP_OPTION_TEXT, &(c)->source, .argument = "FILE", .help = "or sources, one on each line," }, \
    { "target", SP_OPTION_TEXT, &(c)->target, .argument = "FILE", .help = "and their targets, on the same lines" }

static sp_sentences *read_corpus(const struct corpus *c, const char *data, const char *prefix, sp_status *status)
{
    if (c->data && !c->source && !c->target)
        return sp_sentences_read(c->data, sp_format_named(c->format), status);
    if (!c->data && c->source && c->target)
        return sp_sentences_read_parallel(c->source, c->target, SP_LEVEL_WORD, status);
    sp_fail(status, SP_ERR_VALUE, "expected --%s FILE, or --%ssource FILE and --%starget FILE", data, prefix, prefix);
    return NULL;
}

static void close_model(sp_seq2seq *m)
{
    program_profile_end(m ? m->profile : NULL);
    sp_seq2seq_free(m);
}

/* ---- train ----------------------------------------------------------------------------------------------------- */

struct settings {
    struct corpus corpus, valid;
    const char *split, *out, *graph;
    sp_seq2seq_config model;
    sp_seq2seq_teaching teaching;
    bool profile;
    sp_trainer_config trainer;
};

/* Which format the options ask for: what is the default depends on it. */
static const char *format_of(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *given = !strncmp(argv[i], "--format=", 9) ? argv[i] + 9
                            : !strcmp(argv[i], "--format") && i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(given, "cmudict"))
            return "cmudict";
    }
    return "pairs";
}

static struct settings defaults(const char *format)
{
    struct settings s = { .corpus.format = format, .valid.format = format, .split = "90,5,5", .out = "translate.safetensors",
                          .model = sp_seq2seq_defaults(), .teaching = sp_seq2seq_teaching_defaults(),
                          .trainer = sp_trainer_defaults() };
    s.model.dropout = 0.3;
    s.teaching.smoothing = 0.1;
    s.trainer.epochs = 15;
    s.trainer.schedule = "cosine";
    if (!strcmp(format, "cmudict")) {
        s.model.source_units = SP_UNITS_CHAR;
        s.model.target_units = SP_UNITS_WORD;
        s.model.embed = 128;
        s.model.layers = 2;
    }
    return s;
}

/* The pairs, the model, and what teaches it. */
struct run {
    struct settings *settings;
    sp_sentences *train, *valid;
    sp_seq2seq *model;
    sp_seq2seq_trainer *trainer;
};

static void close_run(struct run *r)
{
    sp_seq2seq_trainer_free(r->trainer);
    close_model(r->model);
    sp_sentences_free(r->train);
    sp_sentences_free(r->valid);
}

static bool check_files(const struct settings *s, sp_status *status)
{
    const struct named_file files[] = {
        { "data", s->corpus.data }, { "source", s->corpus.source }, { "target", s->corpus.target }, { "valid", s->valid.data },
        { "valid-source", s->valid.source }, { "valid-target", s->valid.target }, { "out", s->out }, { "log", s->trainer.log },
        { "graph", s->graph }, { "checkpoint", s->trainer.checkpoint }, { "plot", s->trainer.plot }
    };
    return program_check_files(files, sizeof files / sizeof *files, 6, status);
}

/* The parts of all that are trained and validated on; what is left over is for tests. */
static bool take_parts(struct run *r, const sp_sentences *all, sp_status *status)
{
    sp_shares split;
    char n[32], m[32], k[32];
    if (!sp_shares_parse(&split, r->settings->split, status)
        || !(r->train = sp_shares_part(&split, SP_PART_TRAIN, all, 0, status))
        || !(r->valid = sp_shares_part(&split, SP_PART_VALID, all, 0, status)))
        return false;
    fprintf(stderr, "%s pairs to train on, %s to validate on, %s left to test on: parts %s by a hash of the source\n",
            sp_thousands(n, r->train->n), sp_thousands(m, r->valid->n), sp_thousands(k, all->n - r->train->n - r->valid->n),
            r->settings->split);
    return true;
}

static bool read_pairs(struct run *r, sp_status *status)
{
    const struct settings *s = r->settings;
    const bool apart = s->valid.data || s->valid.source || s->valid.target;
    sp_sentences *all = read_corpus(&s->corpus, "data", "", status);
    if (all && apart) {
        r->train = all;
        return (r->valid = read_corpus(&s->valid, "valid", "valid-", status));
    }
    const bool ok = all && take_parts(r, all, status);
    sp_sentences_free(all);
    return ok;
}

static void tell(const struct run *r, bool training)
{
    const sp_seq2seq_counts c = sp_seq2seq_counted(r->trainer, training);
    char n[32], x[32], y[32], p[32];
    if (c.empty || c.longer)
        fprintf(stderr, "Left out of those to %s on: %ld that are empty on a side, %ld longer than --longest %ld\n",
                training ? "train" : "validate", c.empty, c.longer, r->settings->teaching.longest);
    if (!training && (c.unknown_source || c.unknown_target))
        fprintf(stderr, "%ld source and %ld target symbols to validate on are unknown\n", c.unknown_source, c.unknown_target);
    if (training)
        fprintf(stderr, "%s pairs of %.1f source and %.1f target symbols, %s and %s different ones, %s parameters, %s kernels\n",
                sp_thousands(n, c.pairs), (double)c.source_symbols / (double)c.pairs, (double)c.target_symbols / (double)c.pairs,
                sp_thousands(x, sp_coder_size(r->model->source)), sp_thousands(y, sp_coder_size(r->model->target)),
                sp_thousands(p, sp_model_parameters(r->model->store)), sp_blas_kernels());
}

/* Makes the model, once there are pairs. */
static bool open_run(struct run *r, sp_status *status)
{
    struct settings *s = r->settings;
    r->model = sp_seq2seq_new(&s->model, r->train, (uint64_t)s->trainer.seed, status);
    if (!r->model
        || !(r->trainer = sp_seq2seq_trainer_new(r->model, r->train, r->valid, &s->teaching, &s->trainer, s->out, status))
        || !program_profile_begin(&r->model->profile, s->profile, status))
        return false;
    tell(r, true);
    tell(r, false);
    return true;
}

/* The graph of two short pairs: enough to see everything, small enough to look at. */
static bool draw_graph(const sp_seq2seq *m, const char *path, sp_status *status)
{
    const int id[4] = { SP_SENTENCE_END, SP_SENTENCE_END, SP_SENTENCE_END, SP_SENTENCE_END };
    const long length[2] = { 2, 1 };
    sp_tape *t = sp_tape_new(m->store);
    sp_seq2seq_loss(t, m, &(sp_pairs){ 2, id, id, length, length }, 0, NULL, NULL);
    return program_save_graph(t, path, status);
}

static bool train_run(struct run *r, sp_training *result, sp_status *status)
{
    const struct settings *s = r->settings;
    const sp_task task = sp_seq2seq_task(r->trainer);
    sp_trainer_config config = s->trainer;
    config.profile = r->model->profile;
    return (!s->graph || draw_graph(r->model, s->graph, status)) && program_train(&task, &config, s->out, result, status);
}

static bool parse_train(struct settings *s, int argc, char **argv, int *code)
{
    const sp_option options[] = {
        CORPUS_OPTIONS(&s->corpus),
        { "valid", SP_OPTION_TEXT, &s->valid.data, .argument = "FILE", .help = "pairs to validate on; else a part of --data" },
        { "valid-source", SP_OPTION_TEXT, &s->valid.source, .argument = "FILE", .help = "or sources," },
        { "valid-target", SP_OPTION_TEXT, &s->valid.target, .argument = "FILE", .help = "and their targets" },
        { "split", SP_OPTION_TEXT, &s->split, .argument = "A,B,C", .help = "percent to train, validate, test on, by a hash of the source" },
        { "out", SP_OPTION_TEXT, &s->out, .argument = "MODEL", .help = "where the best model goes" },
        SP_SEQ2SEQ_OPTIONS(&s->model),
        SP_SEQ2SEQ_TEACHING(&s->teaching),
        SP_TRAINER_OPTIONS(&s->trainer),
        { "graph", SP_OPTION_TEXT, &s->graph, .argument = "FILE.dot", .help = "the graph of two short pairs, for Graphviz" },
        SP_OPTION_PROFILE(&s->profile),
        { 0 }
    };
    const sp_command command = { "translate train", "Trains a model on pairs. Ctrl-C ends it and saves. For --metric there are "
                                 SP_SEQ2SEQ_METRICS ".\nThe last line on standard output is a JSON object of the results, here as in "
                                 "all commands.", options, NULL };
    const bool ok = program_parse(&command, argc, argv, NULL, code);
    s->valid.format = s->corpus.format;
    return ok;
}

static int train(int argc, char **argv)
{
    struct settings s = defaults(format_of(argc, argv));
    struct run r = { .settings = &s };
    sp_status status = { 0 };
    sp_training result;
    int code;
    if (!parse_train(&s, argc, argv, &code))
        return code;
    const bool ok = check_files(&s, &status) && sp_file_writable(s.out, &status) && sp_trainer_check(&s.trainer, &status)
                    && read_pairs(&r, &status) && open_run(&r, &status) && train_run(&r, &result, &status);
    if (ok) {
        sp_report *j = sp_report_new();
        sp_report_text(j, "command", "train");
        program_report_training(j, &result, sp_seq2seq_task(r.trainer).metric, s.out);
        code = program_finish(j);
    } else {
        code = program_error(&status);
    }
    close_run(&r);
    return code;
}

/* ---- translations and pictures --------------------------------------------------------------------------------- */

/* The symbols of a translation as labels, in one piece of memory, to be freed. NULL without memory. */
static char **labels_of(const sp_coder *c, const int *id, long n)
{
    size_t bytes = 0, length;
    for (long i = 0; i < n; i++, bytes += length + 1)
        sp_coder_symbol(c, id[i], &length);
    char **label = malloc((size_t)n * sizeof *label + bytes), *to = label ? (char *)(label + n) : NULL;
    for (long i = 0; label && i < n; i++, to += length + 1) {
        const char *text = sp_coder_symbol(c, id[i], &length);
        label[i] = memcpy(to, text, length);
        to[length] = '\0';
    }
    return label;
}

/* Pictures of where the model looked, for the first n of these translations. */
static bool draw_maps(const sp_seq2seq *m, char *const *text, const sp_translations *found, long n, const char *path,
                      sp_status *status)
{
    sp_heatmap map[SP_MOST_MAPS];
    char **row[SP_MOST_MAPS] = { NULL }, **column[SP_MOST_MAPS] = { NULL };
    char note[SP_PLOT_NOTE] = "";
    long maps = 0;
    bool drawn = false, ok = true;
    for (long i = 0; ok && i < n && maps < SP_MOST_MAPS; i++) {
        const sp_translation *x = sp_translations_get(found, i, 0);
        if (!x->weights || !x->length || x->length > SP_MOST_HEAT || x->places > SP_MOST_HEAT)
            continue;
        row[maps] = labels_of(m->target, x->id, x->length);
        column[maps] = sp_seq2seq_symbols(m, text[i], status);
        map[maps] = (sp_heatmap){ x->weights, x->length, x->places, (const char *const *)row[maps],
                                  (const char *const *)column[maps], NULL };
        ok = (row[maps] && column[maps]) || sp_fail(status, SP_ERR_MEMORY, "out of memory for a picture");
        maps++;
    }
    ok = ok && (!maps || sp_heatmap_draw(map, maps, path, &drawn, note, status));
    if (ok && !drawn)
        fprintf(stderr, "%s is not drawn: %s\n", path, maps ? note : "no attention over 1 to 256 symbols");
    for (long i = 0; i < maps; i++) {
        free(row[i]);
        free(column[i]);
    }
    return ok;
}

/* ---- predict --------------------------------------------------------------------------------------------------- */

struct prediction {
    const char *input, *heatmap;
    long maps, lines, symbols;
    sp_translating how;
    sp_seq2seq *model;
};

/* Lines read and not yet translated. */
struct lines {
    char **text;
    long n, room, before;       /* before: lines that were there already */
};

/* Reads up to `most` lines; no line ends with "\n" or "\r\n". */
static bool read_lines(FILE *in, const char *name, struct lines *l, long most, sp_status *status)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n = 0;
    bool ok = true;
    while (ok && l->n < most && (n = getline(&line, &room, in)) >= 0) {
        n -= n && line[n - 1] == '\n';
        n -= n && line[n - 1] == '\r';
        line[n] = '\0';
        if (strlen(line) != (size_t)n)
            ok = sp_fail(status, SP_ERR_FORMAT, "%s:%ld: a zero byte", name, l->before + l->n + 1);
        else if (!(l->text[l->n] = strdup(line)))
            ok = sp_fail(status, SP_ERR_MEMORY, "%s:%ld: out of memory", name, l->before + l->n + 1);
        else
            l->n++;
    }
    free(line);
    if (ok && ferror(in))
        ok = sp_fail(status, SP_ERR_FILE, "%s: cannot be read: %s", name, strerror(errno));
    return ok;
}

static void write_best(const struct prediction *p, const sp_translations *found, const struct lines *l)
{
    for (long i = 0; i < l->n; i++)
        for (long k = 0; k < p->how.nbest; k++) {
            const sp_translation *x = sp_translations_get(found, i, k);
            if (x && p->how.nbest > 1)
                printf("%ld\t%.4f\t%s\n", l->before + i + 1, x->score, x->text);
            else if (x)
                printf("%s\n", x->text);
        }
    fflush(stdout);
}

/* Translates and prints lines; those of the first ones have pictures. */
static bool write_lines(struct prediction *p, const struct lines *l, sp_status *status)
{
    sp_translating how = p->how;
    how.weights = p->heatmap && !l->before;
    sp_translations *found = sp_seq2seq_translate(p->model, (const char *const *)l->text, l->n, &how, status);
    const long maps = p->maps < l->n ? p->maps : l->n;
    const bool ok = found && (!how.weights || draw_maps(p->model, l->text, found, maps, p->heatmap, status));
    if (found)
        write_best(p, found, l);
    for (long i = 0; found && i < l->n; i++)
        p->symbols += sp_translations_get(found, i, 0)->length;
    sp_translations_free(found);
    return ok;
}

/* What was read before an error is translated before it. */
static bool predict_lines(struct prediction *p, FILE *in, const char *name, sp_status *status)
{
    enum { CHUNK = 2000 };
    struct lines l = { .text = calloc(CHUNK, sizeof *l.text) };
    const long most = isatty(fileno(in)) ? 1 : CHUNK;
    bool ok = l.text || sp_fail(status, SP_ERR_MEMORY, "out of memory for %d lines", CHUNK);
    for (bool more = ok; more; l.n = 0) {
        sp_status later = { 0 };
        const bool read = read_lines(in, name, &l, most, &later);
        ok = (!l.n || write_lines(p, &l, status)) && (read || sp_fail_with(status, &later));
        more = ok && l.n > 0;
        for (long i = 0; i < l.n; i++)
            free(l.text[i]);
        l.before += l.n;
    }
    p->lines = l.before;
    if (ok && p->heatmap && !p->lines)
        fprintf(stderr, "%s is not drawn: there is no line\n", p->heatmap);
    free(l.text);
    return ok;
}

static int predict(int argc, char **argv)
{
    struct prediction p = { .maps = 1, .how = sp_translating_defaults() };
    const char *model;
    bool profile = false;
    int code;
    sp_status status = { 0 };
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &p.input, .argument = "FILE", .help = "lines to translate; else standard input" },
        { "nbest", SP_OPTION_WHOLE, &p.how.nbest, 1, 1000, .help = "of each line: its number, score and text; the beam is as wide at least" },
        SP_TRANSLATING_OPTIONS(&p.how),
        { "heatmap", SP_OPTION_TEXT, &p.heatmap, .argument = "FILE.svg", .help = "where it looked, by gnuplot" },
        { "maps", SP_OPTION_WHOLE, &p.maps, 1, SP_MOST_MAPS, .help = "of the first so many lines" },
        SP_OPTION_PROFILE(&profile),
        { 0 }
    };
    const sp_command command = { "translate predict", "Translates lines, one without words to an empty one.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    p.how.beam = p.how.beam > p.how.nbest ? p.how.beam : p.how.nbest;
    p.how.progress = isatty(STDOUT_FILENO) ? NULL : stderr;
    const struct named_file files[] = { { "MODEL", model }, { "data", p.input }, { "heatmap", p.heatmap } };
    bool ok = program_check_files(files, 3, 2, &status);
    FILE *in = ok && p.input ? fopen(p.input, "r") : stdin;
    ok = ok && (in || sp_fail(&status, SP_ERR_FILE, "%s: cannot be read: %s", p.input, strerror(errno)))
         && (p.model = sp_seq2seq_load(model, &status)) && program_profile_begin(&p.model->profile, profile, &status)
         && predict_lines(&p, in, p.input ? p.input : "standard input", &status);
    if (in && in != stdin)
        fclose(in);
    close_model(p.model);
    if (!ok)
        return program_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "predict");
    sp_report_count(j, "lines", p.lines);
    sp_report_count(j, "symbols", p.symbols);
    return program_finish(j);
}

/* ---- eval ------------------------------------------------------------------------------------------------------ */

/* Translates all sources; found is to be freed. */
static bool score(const sp_seq2seq *m, const sp_references *r, const sp_translating *how, sp_translations **found,
                  sp_translation_scores *scores, sp_status *status)
{
    *found = sp_seq2seq_translate(m, (const char *const *)r->source, r->n, how, status);
    const char **guess = *found ? malloc((size_t)r->n * sizeof *guess) : NULL;
    if (*found && !guess)
        sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld translations", r->n);
    for (long i = 0; guess && i < r->n; i++)
        guess[i] = sp_translations_get(*found, i, 0)->text;
    const bool ok = guess && sp_references_score(r, guess, scores, status);
    free(guess);
    return ok;
}

/* The words of a target are phones where the sources are words of a dictionary. */
static void print_scores(const sp_references *r, const sp_translation_scores *s, bool phones)
{
    char n[32], m[32];
    printf("%s sources, %s references\n  exact                 %6.2f %%\n  %s  %6.2f %%\n  %s  %6.2f %%\n",
           sp_thousands(n, r->n), sp_thousands(m, r->first[r->n]), 100 - 100 * s->sequence_error,
           phones ? "word error rate     " : "wrong               ", 100 * s->sequence_error,
           phones ? "phone error rate    " : "word error rate     ", 100 * s->word_error);
    if (!phones)
        printf("  letter error rate     %6.2f %%\n  BLEU (13a)            %6.2f\n  chrF2                 %6.2f\n",
               100 * s->letter_error, s->bleu, s->chrf);
}

/* On standard error, what is measured. True. */
static bool tell_part(sp_part part, long sources)
{
    char word[SP_CHOICE_ROOM], n[32];
    fprintf(stderr, "Measured on the part '%s' of the data: %s sources%s\n", sp_choice_word(SP_PART_CHOICES, (int)part, word),
            sp_thousands(n, sources), part == SP_PART_ALL ? ", which may include what was trained on" : "");
    return true;
}

static int eval(int argc, char **argv)
{
    struct corpus corpus = { .format = "pairs" };
    const char *model, *split_text = "90,5,5";
    sp_part part = SP_PART_ALL;
    long limit = 0;
    bool profile = false;
    int code;
    sp_shares split;
    sp_translation_scores scores;
    sp_translations *found = NULL;
    sp_references *r = NULL;
    sp_sentences *all = NULL, *chosen = NULL;
    sp_seq2seq *m = NULL;
    sp_status status = { 0 };
    sp_translating how = sp_translating_defaults();
    const sp_option options[] = {
        CORPUS_OPTIONS(&corpus),
        { "split", SP_OPTION_TEXT, &split_text, .argument = "A,B,C", .help = "the same as in training" },
        { "part", SP_OPTION_INDEX, &part, .argument = SP_PART_CHOICES, .help = "which part of it" },
        { "limit", SP_OPTION_WHOLE, &limit, 0, 1e9, .help = "only so many different sources, evenly spread; 0: all" },
        SP_TRANSLATING_OPTIONS(&how),
        SP_OPTION_PROFILE(&profile),
        { 0 }
    };
    const sp_command command = { "translate eval", "Measures translations. All targets that the data have for a source count as "
                                 "right.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    how.progress = stderr;
    const bool ok = sp_shares_parse(&split, split_text, &status) && (m = sp_seq2seq_load(model, &status))
                    && program_profile_begin(&m->profile, profile, &status) && (all = read_corpus(&corpus, "data", "", &status))
                    && (chosen = sp_shares_part(&split, part, all, 0, &status))
                    && (r = sp_references_new(chosen, limit, &status)) && tell_part(part, r->n) && score(m, r, &how, &found, &scores, &status);
    sp_report *j = ok ? sp_report_new() : NULL;
    if (ok) {
        const bool phones = !strcmp(corpus.format, "cmudict");
        print_scores(r, &scores, phones);
        sp_report_text(j, "command", "eval");
        sp_references_report(r, &scores, phones, j);
        code = program_finish(j);
    } else {
        code = program_error(&status);
    }
    sp_translations_free(found);
    sp_references_free(r);
    sp_sentences_free(chosen);
    sp_sentences_free(all);
    close_model(m);
    return code;
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

/* Files of the demo in a directory; names in the order of the enum. */
enum { MODEL, LOG, CURVE, GRAPH, PICTURE, HEATMAP, FILES };
static const char *const names[FILES] = {
    "dates.safetensors", "log.jsonl", "curve.svg", "graph.dot", "graph.svg", "attention.svg"
};

/* The first sources that the model has not seen, what it makes of them, and where it looked. */
static bool show_some(const sp_seq2seq *m, const sp_references *r, const char *heatmap, sp_status *status)
{
    sp_translating how = sp_translating_defaults();
    const long n = r->n < 8 ? r->n : 8;
    how.weights = true;
    sp_translations *found = sp_seq2seq_translate(m, (const char *const *)r->source, n, &how, status);
    for (long i = 0; found && i < n; i++)
        printf("  %-32s %s\n", r->source[i], sp_translations_get(found, i, 0)->text);
    const bool ok = found && draw_maps(m, r->source, found, n < 4 ? n : 4, heatmap, status);
    sp_translations_free(found);
    return ok;
}

static bool run_demo(struct run *r, const sp_sentences *all, const sp_sentences *test, char *const *file, sp_status *status)
{
    struct settings *s = r->settings;
    const sp_translating how = sp_translating_defaults();
    sp_training x;
    sp_translation_scores scores;
    sp_translations *found = NULL;
    sp_references *truth = sp_references_new(test, 0, status);
    bool ok = truth && sp_file_writable(s->out, status) && take_parts(r, all, status) && open_run(r, status)
              && train_run(r, &x, status);
    if (ok)
        printf("Dates that it has not seen:\n\n");
    ok = ok && show_some(r->model, truth, file[HEATMAP], status) && score(r->model, truth, &how, &found, &scores, status);
    if (ok) {
        printf("\nRight: %ld of %ld (best possible: all)\n", scores.exact, scores.sentences);
        const bool drawn = program_draw(s->graph, file[PICTURE]);
        printf("\nModel %s, log %s, curve %s, graph %s, attention %s.\n", s->out, s->trainer.log, s->trainer.plot,
               drawn ? file[PICTURE] : s->graph, file[HEATMAP]);
        sp_report *j = sp_report_new();
        sp_report_text(j, "command", "demo");
        program_report_training(j, &x, "exact", s->out);
        sp_references_report(truth, &scores, false, j);
        ok = program_finish(j) == EXIT_SUCCESS || sp_fail(status, SP_ERR_FILE, "standard output: writing failed");
    }
    sp_translations_free(found);
    sp_references_free(truth);
    return ok;
}

static struct settings demo_defaults(void)
{
    struct settings s = defaults("pairs");
    s.model.source_units = s.model.target_units = SP_UNITS_CHAR;
    s.model.embed = 32;
    s.model.hidden = 96;
    s.model.dropout = s.teaching.smoothing = 0;
    s.trainer.epochs = 10;
    s.trainer.lr = 4e-3;
    s.trainer.threads = 2;
    s.trainer.metric = "exact";
    return s;
}

static int demo(int argc, char **argv)
{
    enum { PAIRS = 22000 };
    const char *directory = "demo-translate";
    struct settings s = demo_defaults();
    struct run r = { .settings = &s };
    char *file[FILES] = { NULL };
    int code;
    long pairs = PAIRS;
    sp_status status = { 0 };
    const sp_option options[] = {
        { "out", SP_OPTION_TEXT, &directory, .argument = "DIR", .help = "where model, log and pictures go" },
        { "pairs", SP_OPTION_WHOLE, &pairs, 100, 1e7, .help = "dates, of which nine tenths are learned from" },
        { "hidden", SP_OPTION_WHOLE, &s.model.hidden, 1, 65536, .help = "size of each layer" },
        { "attention", SP_OPTION_CHOICE, &s.model.attention, .argument = SP_SEQ2SEQ_ATTENTIONS, .help = "how the decoder looks at the source" },
        { "epochs", SP_OPTION_WHOLE, &s.trainer.epochs, 1, 1e6, .help = "times through the dates" },
        { "lr", SP_OPTION_NUMBER, &s.trainer.lr, 1e-9, 100, .help = "learning rate" },
        { "seed", SP_OPTION_WHOLE, &s.trainer.seed, 0, 2147483647, .help = "of dates and initial values" },
        { "threads", SP_OPTION_WHOLE, &s.trainer.threads, 1, 64, .help = "that share the work" },
        SP_OPTION_PROFILE(&s.profile),
        { 0 }
    };
    const sp_command command = { "translate demo", "Learns in a minute to write dates as ISO 8601 does, and shows how well.",
                                 options, NULL };
    if (!program_parse(&command, argc, argv, NULL, &code))
        return code;
    bool ok = program_folder(directory, names, FILES, file, &status);
    s.out = file[MODEL];
    s.trainer.log = file[LOG];
    s.trainer.plot = file[CURVE];
    s.graph = file[GRAPH];
    sp_shares shares;
    sp_sentences *all = ok ? sp_dates(pairs, (uint64_t)s.trainer.seed, &status) : NULL;
    ok = all && sp_shares_parse(&shares, s.split, &status);
    sp_sentences *test = ok ? sp_shares_part(&shares, SP_PART_TEST, all, 0, &status) : NULL;
    ok = test && run_demo(&r, all, test, file, &status);
    sp_sentences_free(all);
    sp_sentences_free(test);
    close_run(&r);
    program_folder_free(file, FILES);
    return ok ? EXIT_SUCCESS : program_error(&status);
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",   train,   "train a model on pairs of texts" },
        { "predict", predict, "translate lines" },
        { "eval",    eval,    "measure how good translations are" },
        { "demo",    demo,    "do all of this in a minute, without any data" },
        { 0 }
    };
    return program_main("translate", verbs, argc, argv);
}
