/* From one sequence to another, from the command line: translation, pronunciation, any pairs of texts.

       translate train --data fra.txt --out model.safetensors
       echo "Where is the cat?" | translate predict model.safetensors --beam 5
       translate eval model.safetensors --data fra.txt --part test --beam 5
       translate train --data cmudict.dict --format cmudict --out g2p.safetensors
       translate demo
*/
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
    { "data", SP_OPTION_TEXT, &(c)->data, .argument = "FILE", .help = "pairs: a source, a tab, its target on each line", \
      .file = SP_OPTION_READS }, \
    { "format", SP_OPTION_CHOICE, &(c)->format, .argument = "pairs|cmudict", .help = "what they are; cmudict: letters to phones" }, \
    { "source", SP_OPTION_TEXT, &(c)->source, .argument = "FILE", .help = "or sources, one on each line,", \
      .file = SP_OPTION_READS }, \
    { "target", SP_OPTION_TEXT, &(c)->target, .argument = "FILE", .help = "and their targets, on the same lines", \
      .file = SP_OPTION_READS }

/* Does it name what can be read? */
static bool check_corpus(const struct corpus *c, const char *data, const char *prefix, sp_status *status)
{
    return (c->data ? !c->source && !c->target : c->source && c->target)
           || sp_fail(status, SP_ERR_VALUE, "expected --%s FILE, or --%ssource FILE and --%starget FILE", data, prefix, prefix);
}

static sp_sentences *read_corpus(const struct corpus *c, sp_status *status)
{
    return c->data ? sp_sentences_read(c->data, sp_format_named(c->format), status)
                   : sp_sentences_read_parallel(c->source, c->target, SP_LEVEL_WORD, status);
}

static sp_seq2seq *open_model(struct program *p)
{
    sp_seq2seq *m = sp_seq2seq_load(p->model, &p->status);
    if (m)
        m->profile = p->profile;
    return m;
}

/* ---- train ----------------------------------------------------------------------------------------------------- */

struct settings {
    struct corpus corpus, valid;
    const char *split, *out, *graph;
    sp_seq2seq_config model;
    sp_seq2seq_teaching teaching;
    sp_trainer_config trainer;
};

static struct settings defaults(const char *format)
{
    struct settings s = { .corpus.format = format, .valid.format = format, .split = "90,5,5", .out = "translate.safetensors",
                          .model = sp_seq2seq_defaults(), .teaching = sp_seq2seq_teaching_defaults(),
                          .trainer = sp_trainer_defaults() };
    s.model.dropout = 0.3;
    s.teaching.smoothing = 0.1;
    s.trainer.epochs = 15;
    s.trainer.schedule = "cosine";
    s.trainer.metrics = SP_SEQ2SEQ_METRICS;
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
    struct program *program;
    const struct settings *settings;
    sp_sentences *train, *valid;
    sp_seq2seq *model;
    sp_seq2seq_trainer *trainer;
};

static void close_run(struct run *r)
{
    sp_seq2seq_trainer_free(r->trainer);
    sp_seq2seq_free(r->model);
    sp_sentences_free(r->train);
    sp_sentences_free(r->valid);
}

static bool has_valid(const struct settings *s)
{
    return s->valid.data || s->valid.source || s->valid.target;
}

/* The parts of all that are trained and validated on; what is left over is for tests. */
static bool take_parts(struct run *r, const sp_sentences *all)
{
    sp_status *status = &r->program->status;
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

static bool read_pairs(struct run *r)
{
    const struct settings *s = r->settings;
    sp_status *status = &r->program->status;
    sp_sentences *all = read_corpus(&s->corpus, status);
    if (all && has_valid(s)) {
        r->train = all;
        return (r->valid = read_corpus(&s->valid, status));
    }
    const bool ok = all && take_parts(r, all);
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
static bool open_run(struct run *r)
{
    const struct settings *s = r->settings;
    sp_status *status = &r->program->status;
    if (!(r->model = sp_seq2seq_new(&s->model, r->train, (uint64_t)s->trainer.seed, status))
        || !(r->trainer = sp_seq2seq_trainer_new(r->model, r->train, r->valid, &s->teaching, &s->trainer, s->out, status)))
        return false;
    r->model->profile = r->program->profile;
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

static bool train_run(struct run *r, sp_training *result)
{
    const struct settings *s = r->settings;
    const sp_task task = sp_seq2seq_task(r->trainer);
    return (!s->graph || draw_graph(r->model, s->graph, &r->program->status))
           && program_train(r->program, &task, &s->trainer, s->out, result);
}

/* Settings that depend on each other, before data are read: with a pair of words. */
static bool try_settings(const struct settings *s, sp_status *status)
{
    sp_shares split;
    sp_seq2seq_config c = s->model;
    c.source_units = c.target_units = SP_UNITS_WORD;
    c.vocabulary = c.least = 0;
    if (!check_corpus(&s->corpus, "data", "", status) || (has_valid(s) && !check_corpus(&s->valid, "valid", "valid-", status))
        || !sp_shares_parse(&split, s->split, status) || !sp_trainer_check(&s->trainer, status))
        return false;
    sp_sentences *pair = sp_sentences_parse("settings", "a\tb\n", 4, sp_format_named("pairs"), status);
    sp_seq2seq *m = pair ? sp_seq2seq_new(&c, pair, 1, status) : NULL;
    const bool ok = m;
    sp_sentences_free(pair);
    sp_seq2seq_free(m);
    return ok;
}

static bool parse_train(struct program *p, struct settings *s)
{
    const sp_option options[] = {
        CORPUS_OPTIONS(&s->corpus),
        { "valid", SP_OPTION_TEXT, &s->valid.data, .argument = "FILE", .help = "pairs to validate on; else a part of --data",
          .file = SP_OPTION_READS },
        { "valid-source", SP_OPTION_TEXT, &s->valid.source, .argument = "FILE", .help = "or sources,", .file = SP_OPTION_READS },
        { "valid-target", SP_OPTION_TEXT, &s->valid.target, .argument = "FILE", .help = "and their targets",
          .file = SP_OPTION_READS },
        { "split", SP_OPTION_TEXT, &s->split, .argument = "A,B,C",
          .help = "percent to train, validate, test on, by a hash of the source" },
        PROGRAM_OUT(&s->out),
        SP_SEQ2SEQ_OPTIONS(&s->model),
        SP_SEQ2SEQ_TEACHING(&s->teaching),
        SP_TRAINER_OPTIONS(&s->trainer),
        PROGRAM_SHOW(p, &s->graph),
        { 0 }
    };
    static const sp_need needs[] = {
        { "split", "valid", "" }, { "split", "valid-source", "" }, { "rise", "sampling", NULL }, { "drawn", "sampling", NULL },
        { "judged", "metric", "exact|bleu|chrf|error|letter-error" }, { 0 }
    };
    const char *format = sp_option_given(options, p->argc, p->argv, "format");
    *s = defaults(format ? format : "pairs");   /* those of the format, now that the table can be asked for it */
    if (!program_parse(p, options, needs))
        return false;
    s->valid.format = s->corpus.format;
    return program_settings(p, try_settings(s, &p->status));
}

static bool train(struct program *p)
{
    struct settings s = defaults("pairs");      /* the table of options has words of it */
    struct run r = { .program = p, .settings = &s };
    sp_training result;
    const bool ok = parse_train(p, &s) && read_pairs(&r) && open_run(&r) && train_run(&r, &result);
    close_run(&r);
    return ok;
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
    const char *heatmap;
    long maps, lines, symbols;
    sp_translating how;
    sp_seq2seq *model;
};

static void write_best(const struct prediction *p, const sp_translations *found, const struct program_lines *l)
{
    for (long i = 0; i < l->n; i++)
        for (long k = 0; k < p->how.nbest; k++) {
            const sp_translation *x = sp_translations_get(found, i, k);
            if (x && p->how.nbest > 1)
                printf("%ld\t%.4f\t%s\n", l->before + i + 1, x->score, x->text);
            else if (x)
                printf("%s\n", x->text);
        }
}

/* Translates and prints lines; those of the first ones have pictures. */
static bool answer(void *self, const struct program_lines *l, sp_status *status)
{
    struct prediction *p = self;
    sp_translating how = p->how;
    how.weights = p->heatmap && !l->before;
    sp_translations *found = sp_seq2seq_translate(p->model, (const char *const *)l->text, l->n, &how, status);
    const long maps = p->maps < l->n ? p->maps : l->n;
    const bool ok = found && (!how.weights || draw_maps(p->model, l->text, found, maps, p->heatmap, status));
    if (found)
        write_best(p, found, l);
    p->lines += l->n;
    for (long i = 0; found && i < l->n; i++)
        p->symbols += sp_translations_get(found, i, 0)->length;
    sp_translations_free(found);
    return ok;
}

static bool predict(struct program *p)
{
    struct prediction x = { .maps = 1, .how = sp_translating_defaults() };
    const char *data = NULL;
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .help = "lines to translate; else standard input",
          .file = SP_OPTION_READS },
        { "nbest", SP_OPTION_WHOLE, &x.how.nbest, 1, 1000,
          .help = "of each line: its number, score and text; the beam is as wide at least" },
        SP_TRANSLATING_OPTIONS(&x.how),
        { "heatmap", SP_OPTION_TEXT, &x.heatmap, .argument = "FILE.svg", .help = "where it looked, by gnuplot",
          .file = SP_OPTION_WRITES },
        { "maps", SP_OPTION_WHOLE, &x.maps, 1, SP_MOST_MAPS, .help = "of the first so many lines" },
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    static const sp_need needs[] = { { "maps", "heatmap", NULL }, { 0 } };
    if (!program_parse(p, options, needs))
        return false;
    x.how.beam = x.how.beam > x.how.nbest ? x.how.beam : x.how.nbest;
    x.how.progress = isatty(STDOUT_FILENO) ? NULL : stderr;
    x.model = open_model(p);
    const bool ok = x.model && program_answer(p, data, 2000, answer, &x);
    if (ok && x.heatmap && !x.lines)
        fprintf(stderr, "%s is not drawn: there is no line\n", x.heatmap);
    sp_seq2seq_free(x.model);
    sp_report_count(p->result, "symbols", x.symbols);
    return ok;
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

/* What is measured, and on which part of it. */
struct evaluation {
    struct corpus corpus;
    const char *split;
    sp_shares shares;
    sp_part part;
    long limit;
    sp_translating how;
};

static bool parse_eval(struct program *p, struct evaluation *e)
{
    const sp_option options[] = {
        CORPUS_OPTIONS(&e->corpus),
        { "split", SP_OPTION_TEXT, &e->split, .argument = "A,B,C", .help = "the same as in training" },
        { "part", SP_OPTION_INDEX, &e->part, .argument = SP_PART_CHOICES, .help = "which part of it" },
        { "limit", SP_OPTION_WHOLE, &e->limit, 0, 1e9, .help = "only so many different sources, evenly spread; 0: all" },
        SP_TRANSLATING_OPTIONS(&e->how),
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    static const sp_need needs[] = { { "split", "part", "train|valid|test" }, { 0 } };
    return program_parse(p, options, needs)
           && program_settings(p, check_corpus(&e->corpus, "data", "", &p->status)
                                  && sp_shares_parse(&e->shares, e->split, &p->status));
}

static bool eval(struct program *p)
{
    struct evaluation e = { .corpus.format = "pairs", .split = "90,5,5", .part = SP_PART_ALL, .how = sp_translating_defaults() };
    if (!parse_eval(p, &e))
        return false;
    e.how.progress = stderr;
    sp_translation_scores scores;
    sp_translations *found = NULL;
    sp_seq2seq *m = open_model(p);
    sp_sentences *all = m ? read_corpus(&e.corpus, &p->status) : NULL;
    sp_sentences *chosen = all ? sp_shares_part(&e.shares, e.part, all, 0, &p->status) : NULL;
    sp_references *r = chosen ? sp_references_new(chosen, e.limit, &p->status) : NULL;
    const bool ok = r && tell_part(e.part, r->n) && score(m, r, &e.how, &found, &scores, &p->status);
    if (ok) {
        const bool phones = !strcmp(e.corpus.format, "cmudict");
        print_scores(r, &scores, phones);
        sp_references_report(r, &scores, phones, p->result);
    }
    sp_translations_free(found);
    sp_references_free(r);
    sp_sentences_free(chosen);
    sp_sentences_free(all);
    sp_seq2seq_free(m);
    return ok;
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

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

static bool run_demo(struct run *r, const sp_sentences *all, const sp_sentences *test, const char *directory, const char *heatmap)
{
    struct program *p = r->program;
    const sp_translating how = sp_translating_defaults();
    sp_training x;
    sp_translation_scores scores;
    sp_translations *found = NULL;
    sp_references *truth = sp_references_new(test, 0, &p->status);
    bool ok = truth && take_parts(r, all) && open_run(r) && train_run(r, &x);
    if (ok && !x.interrupted) {
        printf("Dates that it has not seen:\n\n");
        ok = show_some(r->model, truth, heatmap, &p->status) && score(r->model, truth, &how, &found, &scores, &p->status);
        if (ok) {
            printf("\nRight: %ld of %ld (best possible: all)\n", scores.exact, scores.sentences);
            sp_references_report(truth, &scores, false, p->result);
            program_draw(p, directory, r->settings->graph);
        }
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
    s.trainer.epochs = 6;
    s.trainer.lr = 4e-3;
    s.trainer.threads = 2;
    s.trainer.metric = "exact";
    return s;
}

static bool demo(struct program *p)
{
    const char *directory = "demo-translate", *heatmap;
    struct settings s = demo_defaults();
    struct run r = { .program = p, .settings = &s };
    long pairs = 22000;
    const sp_option options[] = {
        { "pairs", SP_OPTION_WHOLE, &pairs, 100, 1e7, .help = "dates, of which nine tenths are learned from" },
        { "hidden", SP_OPTION_WHOLE, &s.model.hidden, 1, 65536, .help = "size of each layer" },
        { "attention", SP_OPTION_CHOICE, &s.model.attention, .argument = SP_SEQ2SEQ_ATTENTIONS,
          .help = "how the decoder looks at the source" },
        { "lr", SP_OPTION_NUMBER, &s.trainer.lr, 1e-9, 100, .help = "learning rate" },
        { "seed", SP_OPTION_WHOLE, &s.trainer.seed, 0, 2147483647, .help = "of dates and initial values" },
        PROGRAM_DEMO(p, &directory, &s.trainer),
        { 0 }
    };
    s.corpus.data = "dates";            /* made here */
    if (!program_parse(p, options, NULL) || !program_settings(p, try_settings(&s, &p->status))
        || !program_demo_files(p, directory, "dates.safetensors", &s.out, &s.trainer, &s.graph)
        || !(heatmap = program_file(p, "attention", directory, "attention.svg")))
        return false;
    sp_shares shares;
    sp_sentences *all = sp_dates(pairs, (uint64_t)s.trainer.seed, &p->status);
    sp_sentences *test = all && sp_shares_parse(&shares, s.split, &p->status)
                         ? sp_shares_part(&shares, SP_PART_TEST, all, 0, &p->status) : NULL;
    const bool ok = test && run_demo(&r, all, test, directory, heatmap);
    sp_sentences_free(all);
    sp_sentences_free(test);
    close_run(&r);
    return ok;
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",   train,   "train a model on pairs of texts", "Trains a model on pairs." PROGRAM_TRAIN_HELP, NULL },
        { "predict", predict, "translate lines", "Translates lines, one without words to an empty one.", "MODEL" },
        { "eval",    eval,    "measure how good translations are",
          "Measures translations. All targets that the data have for a source count as right.", "MODEL" },
        { "demo",    demo,    "do all of this in a minute, without any data",
          "Learns in a minute to write dates as ISO 8601 does, and shows how well.", NULL },
        { 0 }
    };
    return program_main("translate", verbs, argc, argv);
}
