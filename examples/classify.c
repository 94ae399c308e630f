/* Texts into classes from the command line: train a classifier, use it, measure it, look at what it attends to.

       classify train --data reviews.tsv --out model.safetensors            label<TAB>text on each line
       classify train --data pos=rt-polarity.pos,neg=rt-polarity.neg        a file for each label
       echo "a gorgeous , witty film" | classify predict model.safetensors --html attention.html
       classify eval model.safetensors --data test.tsv
       classify cv --data pos=rt-polarity.pos,neg=rt-polarity.neg --folds 10 --models recurrent,bag,conv
       classify demo
*/
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* ---- what all commands share ----------------------------------------------------------------------------------- */

struct settings {
    const char *data, *valid, *out, *graph, *vectors, *models;
    sp_classifier_config model;
    long batch, folds, only;
    bool profile;
    sp_trainer_config trainer;
};

static struct settings defaults(sp_classifier_kind kind)
{
    struct settings s = { .out = "classify.safetensors", .batch = 50, .folds = 10, .model = sp_classifier_defaults(kind),
                          .trainer = sp_trainer_defaults() };
    s.trainer.lr = 1e-3;
    s.trainer.epochs = 20;
    s.trainer.patience = 4;
    s.trainer.metric = "accuracy";
    return s;
}

/* The kind that --model names: defaults depend on it. Mistakes are left to the parser. */
static sp_classifier_kind kind_named(int argc, char **argv)
{
    int kind = SP_CLASSIFIER_RECURRENT;
    for (int i = 0; i < argc; i++) {
        const char *value = !strncmp(argv[i], "--model=", 8) ? argv[i] + 8
                            : !strcmp(argv[i], "--model") && i + 1 < argc ? argv[i + 1] : "";
        if (sp_choice_index(SP_CLASSIFIER_KINDS, value) >= 0)
            kind = sp_choice_index(SP_CLASSIFIER_KINDS, value);
    }
    return (sp_classifier_kind)kind;
}

static const char *kind_name(sp_classifier_kind kind, char word[SP_CHOICE_ROOM])
{
    return sp_choice_word(SP_CLASSIFIER_KINDS, (int)kind, word);
}

/* A model and what it learns from. */
struct run {
    const struct settings *settings;
    sp_sentences *train, *valid;
    sp_classifier *model;
    sp_classifier_trainer *trainer;
};

static void close_run(struct run *r)
{
    sp_classifier_trainer_free(r->trainer);
    program_profile_end(r->model ? r->model->profile : NULL);
    sp_classifier_free(r->model);
    sp_sentences_free(r->train);
    sp_sentences_free(r->valid);
}

/* Keeps a tenth of r->train to validate on. */
static bool keep_tenth(struct run *r, sp_status *status)
{
    sp_sentences *all = r->train, *rest = NULL;
    int *part = malloc((size_t)(all->n + 1) * sizeof *part);
    const bool ok = (part || sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld sentences", all->n))
                    && sp_classifier_deal(all, 10, (uint64_t)r->settings->trainer.seed, part, status)
                    && (r->valid = sp_classifier_part(all, part, 0, false, status))
                    && (rest = sp_classifier_part(all, part, 0, true, status));
    free(part);
    if (ok) {
        sp_sentences_free(all);
        r->train = rest;
    }
    return ok;
}

/* The model for r->train and r->valid, with what trains it. */
static bool make_model(struct run *r, const char *out, sp_status *status)
{
    const struct settings *s = r->settings;
    const uint64_t seed = (uint64_t)s->trainer.seed;
    r->model = sp_classifier_new(&s->model, r->train, seed, status);
    if (!r->model || !program_profile_begin(&r->model->profile, s->profile, status))
        return false;
    const long found = s->vectors ? sp_vectors_read(&r->model->embed, r->model->words, s->vectors, status) : 0;
    if (found < 0)
        return false;
    if (s->vectors)
        fprintf(stderr, "%ld of %d words have a vector in %s\n", found, sp_vocabulary_size(r->model->words), s->vectors);
    return (r->trainer = sp_classifier_trainer_new(r->model, r->train, r->valid, s->batch, seed, out, status));
}

/* Predicts labelled sentences and counts. NULL if it failed. */
static sp_confusion *measure(const sp_classifier *m, const sp_sentences *s, double *nats, sp_status *status)
{
    sp_real *logp = malloc((size_t)(s->n * sp_classifier_classes(m) + 1) * sizeof *logp);
    sp_confusion *c = NULL;
    if (!logp)
        sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld sentences", s->n);
    else if (sp_classifier_predict(m, s, logp, NULL, status))
        c = sp_classifier_confusion(m, s, logp, nats, status);
    free(logp);
    return c;
}

/* ---- train ----------------------------------------------------------------------------------------------------- */

/* The files that --data or --valid names, `text` cut into pieces: all of its name, or each behind a label. So many. */
static int add_files(struct named_file *files, int room, const char *option, char *text)
{
    int n = 0;
    if (!text || !strchr(text, '=') || !access(text, F_OK)) {
        files[n++] = (struct named_file){ option, text };
        return n;
    }
    for (char *part = text; part && n < room; ) {
        char *comma = strchr(part, ','), *equals = strchr(part, '=');
        if (comma)
            *comma++ = '\0';
        files[n++] = (struct named_file){ option, equals && (!comma || equals < comma) ? equals + 1 : NULL };
        part = comma;
    }
    return n;
}

static bool check_files(const struct settings *s, sp_status *status)
{
    enum { MOST = 256 };
    const struct named_file written[] = { { "out", s->out }, { "log", s->trainer.log }, { "graph", s->graph },
                                          { "checkpoint", s->trainer.checkpoint }, { "plot", s->trainer.plot } };
    struct named_file files[2 * MOST + 6] = { { "vectors", s->vectors } };
    char *data = strdup(s->data), *valid = s->valid ? strdup(s->valid) : NULL;
    bool ok = data && (valid || !s->valid);
    if (ok) {
        int n = 1 + add_files(files + 1, MOST, "data", data);
        n += add_files(files + n, MOST, "valid", valid);
        memcpy(files + n, written, sizeof written);
        ok = program_check_files(files, n + (int)(sizeof written / sizeof *written), n, status);
    } else {
        sp_fail(status, SP_ERR_MEMORY, "out of memory");
    }
    free(data);
    free(valid);
    return ok;
}

/* The graph for two sentences of three words and one: enough to see everything, small enough to look at. */
static bool draw_graph(const sp_classifier *m, const char *path, sp_status *status)
{
    sp_tape *t = sp_tape_new(m->store);
    sp_classifier_loss(t, m, (const int[4]){ 0 }, (const long[]){ 3, 1 }, (const int[2]){ 0 }, 2);
    return program_save_graph(t, path, status);
}

static bool train_run(struct run *r, sp_training *result, sp_status *status)
{
    const struct settings *s = r->settings;
    const sp_task task = sp_classifier_trainer_task(r->trainer);
    char params[32], n[32], m[32];
    if (s->graph && !draw_graph(r->model, s->graph, status))
        return false;
    fprintf(stderr, "%s sentences to train on, %s to validate on, %d words, %d labels, %s parameters, %s kernels\n",
            sp_thousands(n, r->train->n), sp_thousands(m, r->valid->n), sp_vocabulary_size(r->model->words),
            sp_classifier_classes(r->model), sp_thousands(params, sp_model_parameters(r->model->store)), sp_blas_kernels());
    if (!program_tell_unseen(r->model->labels, r->valid, "sentences", "label", NULL, status))
        return false;
    sp_trainer_config config = s->trainer;
    config.profile = r->model->profile;
    return program_train(&task, &config, s->out, result, status);
}

#define DATA_OPTION(data) \
    { "data", SP_OPTION_TEXT, data, .argument = "FILE", .required = true, .help = "label<TAB>text lines, or label=FILE,label=FILE" }

#define MODEL_OPTIONS(s) \
    SP_CLASSIFIER_OPTIONS(&(s)->model), \
    { "vectors", SP_OPTION_TEXT, &(s)->vectors, .argument = "FILE", \
      .help = "word vectors to begin with, as text: word2vec, GloVe" }, \
    { "batch", SP_OPTION_WHOLE, &(s)->batch, 1, 65536, .help = "sentences of a step" }

static bool parse_train(struct settings *s, int argc, char **argv, int *code)
{
    *s = defaults(kind_named(argc, argv));
    const sp_option options[] = {
        DATA_OPTION(&s->data),
        { "valid", SP_OPTION_TEXT, &s->valid, .argument = "FILE",
          .help = "the same to validate on; else a tenth of --data, by --seed" },
        { "out", SP_OPTION_TEXT, &s->out, .argument = "MODEL", .help = "where the best model goes" },
        MODEL_OPTIONS(s),
        SP_TRAINER_OPTIONS(&s->trainer),
        { "graph", SP_OPTION_TEXT, &s->graph, .argument = "FILE.dot", .help = "the graph of two short sentences, for Graphviz" },
        SP_OPTION_PROFILE(&s->profile),
        { 0 }
    };
    const sp_command command = { "classify train", "Trains a classifier. Ctrl-C ends it and saves.\n"
                                 "The last line on standard output is a JSON object of the results, here as in all commands.",
                                 options, NULL };
    return program_parse(&command, argc, argv, NULL, code);
}

static bool open_data(struct run *r, sp_status *status)
{
    const struct settings *s = r->settings;
    if (!(r->train = sp_classifier_read(s->data, status)))
        return false;
    if (s->valid)
        return (r->valid = sp_classifier_read(s->valid, status));
    if (r->train->n < 10)
        return sp_fail(status, SP_ERR_VALUE, "%s: %ld sentences, too few to validate on a tenth: give --valid", s->data,
                       r->train->n);
    if (!keep_tenth(r, status))
        return false;
    fprintf(stderr, "A tenth of the sentences of each label, drawn by --seed %ld, is kept to validate on.\n", s->trainer.seed);
    return true;
}

static int train(int argc, char **argv)
{
    struct settings s;
    struct run r = { .settings = &s };
    sp_status status = { 0 };
    sp_training result;
    int code;
    if (!parse_train(&s, argc, argv, &code))
        return code;
    const bool ok = check_files(&s, &status) && sp_trainer_check(&s.trainer, &status) && sp_file_writable(s.out, &status)
                    && (!s.graph || sp_file_writable(s.graph, &status)) && open_data(&r, &status)
                    && make_model(&r, s.out, &status) && train_run(&r, &result, &status);
    close_run(&r);
    if (!ok)
        return program_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "train");
    program_report_training(j, &result, "accuracy", s.out);
    return program_finish(j);
}

/* ---- predict --------------------------------------------------------------------------------------------------- */

enum { LINES = 1024 };

/* Lines that are answered together. */
struct lines {
    const sp_classifier *m;
    sp_file page;               /* of attention, if out is not NULL; then */
    const volatile sig_atomic_t *stop;  /* Ctrl-C ends this program, which does not leave half a page */
    char *line[LINES];
    long n, read;               /* in line; of all before */
    bool ended;
};

/* The next lines, as many as there is room for; one where a person types. */
static bool read_lines(struct lines *l, FILE *in, const char *name, sp_sentences *s, sp_status *status)
{
    const int most = isatty(fileno(in)) ? 1 : LINES;
    for (l->n = 0; l->n < most && !l->ended; ) {
        size_t room = 0;
        ssize_t n = getline(&l->line[l->n], &room, in);
        if (n < 0) {
            l->ended = true;
            free(l->line[l->n]);
            l->line[l->n] = NULL;
            break;
        }
        char *line = l->line[l->n++];
        if (memchr(line, 0, (size_t)n))
            return sp_fail(status, SP_ERR_FORMAT, "%s:%ld: is not text: a byte is zero", name, l->read + l->n);
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (n >= 3 && !memcmp(line, "\xEF\xBB\xBF", 3))
            memmove(line, line + 3, (size_t)(n -= 3) + 1);      /* a byte-order mark */
        if (!sp_sentences_put_text(s, 0, line, (size_t)n, SP_LEVEL_WORD, status) || !sp_sentences_end(s, status))
            return false;
    }
    if (l->stop && *l->stop)
        return sp_fail(status, SP_ERR_STATE, "interrupted: %s is not written", l->page.path);
    return !l->ended || feof(in) || sp_fail(status, SP_ERR_FILE, "%s: cannot be read: %s", name, strerror(errno));
}

static bool answer_lines(struct lines *l, const sp_sentences *s, sp_status *status)
{
    const int classes = sp_classifier_classes(l->m);
    sp_real *logp = malloc((size_t)(l->n * classes + 1) * sizeof *logp), *weights = NULL;
    if (l->page.out)
        weights = malloc((size_t)(s->field[0].strings + 1) * sizeof *weights);
    bool ok = (logp && (weights || !l->page.out)) || sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld lines", l->n);
    ok = ok && sp_classifier_predict(l->m, s, logp, weights, status);
    for (long i = 0; ok && i < l->n; i++) {
        const int best = sp_classifier_best(l->m, logp + i * classes);
        const char *label = sp_classifier_label(l->m, best);
        const double probability = exp((double)logp[i * classes + best]);
        printf("%s\t%.4f\t%s\n", label, probability, l->line[i]);
        if (weights)
            sp_attention_html_add(l->page.out, &(sp_attention_line){ .label = label, .probability = probability, .sentences = s,
                                                                     .i = i, .weight = weights + s->field[0].first[i] });
    }
    fflush(stdout);
    free(logp);
    free(weights);
    return ok;
}

static bool answer(struct lines *l, FILE *in, const char *name, sp_status *status)
{
    bool ok = true;
    while (ok && !l->ended) {
        sp_sentences *s = sp_sentences_new(1, status);
        ok = s && read_lines(l, in, name, s, status) && answer_lines(l, s, status);
        sp_sentences_free(s);
        for (long i = 0; i < l->n; i++) {
            free(l->line[i]);
            l->line[i] = NULL;
        }
        l->read += l->n;
        l->n = 0;
    }
    return ok;
}

static int predict(int argc, char **argv)
{
    const char *model, *data = NULL, *html = NULL;
    struct lines l = { 0 };
    bool profile = false;
    int code;
    sp_status status = { 0 };
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .help = "lines to label; else standard input" },
        { "html", SP_OPTION_TEXT, &html, .argument = "FILE.html", .help = "a page of what a model with attention attends to" },
        SP_OPTION_PROFILE(&profile),
        { 0 }
    };
    const sp_command command = { "classify predict", "Prints label<TAB>probability<TAB>text for each line. For a blank line\n"
                                 "that is the most frequent label of the training data.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    const struct named_file files[] = { { "data", data }, { "MODEL", model }, { "html", html } };
    const char *name = data ? data : "standard input";
    FILE *in = stdin;
    sp_classifier *m = program_check_files(files, 3, 2, &status) ? sp_classifier_load(model, &status) : NULL;
    bool ok = m && program_profile_begin(&m->profile, profile, &status)
              && (!data || (in = fopen(data, "rb"))
                  || sp_fail(&status, SP_ERR_FILE, "%s: cannot be read: %s", data, strerror(errno)))
              && (!html || sp_file_begin(&l.page, html, &status));
    if (ok) {
        l.m = m;
        if (html) {
            l.stop = program_stop();
            sp_attention_html_begin(l.page.out, name);
        }
        ok = answer(&l, in, name, &status);
        if (html)
            sp_attention_html_end(l.page.out);
        ok = (!html || sp_file_end(&l.page, ok, &status)) && ok;
    }
    if (in && in != stdin)
        fclose(in);
    program_profile_end(m ? m->profile : NULL);
    sp_classifier_free(m);
    if (!ok)
        return program_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "predict");
    sp_report_count(j, "lines", l.read);
    sp_report_text(j, "page", html);
    return program_finish(j);
}

/* ---- eval ------------------------------------------------------------------------------------------------------ */

static int eval(int argc, char **argv)
{
    const char *model, *data = NULL;
    bool profile = false;
    double nats = NAN;
    int code;
    sp_status status = { 0 };
    const sp_option options[] = {
        DATA_OPTION(&data),
        SP_OPTION_PROFILE(&profile),
        { 0 }
    };
    const sp_command command = { "classify eval", "Measures how often a model is right.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    sp_classifier *m = sp_classifier_load(model, &status);
    sp_sentences *s = m && program_profile_begin(&m->profile, profile, &status) ? sp_classifier_read(data, &status) : NULL;
    if (s && !s->n)
        sp_fail(&status, SP_ERR_VALUE, "%s: no sentences", data);
    const bool told = s && s->n && program_tell_unseen(m->labels, s, "sentences", "label", NULL, &status);
    sp_confusion *c = told ? measure(m, s, &nats, &status) : NULL;
    sp_report *j = c ? sp_report_new() : NULL;
    if (c) {
        sp_confusion_write(c, m->labels, stdout);
        sp_report_text(j, "command", "eval");
        sp_report_count(j, "sentences", s->n);
        sp_report_number(j, "accuracy", sp_confusion_accuracy(c));
        sp_report_number(j, "macro_f1", sp_confusion_macro_f1(c));
        sp_report_number(j, "nats", nats);
        sp_report_count(j, "unseen_labels", c->outside);
    }
    const bool ok = c;
    sp_confusion_free(c);
    sp_sentences_free(s);
    program_profile_end(m ? m->profile : NULL);
    sp_classifier_free(m);
    return ok ? program_finish(j) : program_error(&status);
}

/* ---- cv -------------------------------------------------------------------------------------------------------- */

static bool parse_cv(struct settings *s, sp_classifier_kind kind, int argc, char **argv, int *code)
{
    *s = defaults(kind);
    const sp_option options[] = {
        DATA_OPTION(&s->data),
        { "folds", SP_OPTION_WHOLE, &s->folds, 2, 1000, .help = "parts, each of which is tested on once" },
        { "only", SP_OPTION_WHOLE, &s->only, 0, 1000, .help = "so many of the folds; 0: all" },
        { "models", SP_OPTION_TEXT, &s->models, .argument = "LIST", .help = "several, in place of --model: recurrent,bag,conv" },
        MODEL_OPTIONS(s),
        SP_TRAINER_STEP_OPTIONS(&s->trainer),
        SP_OPTION_PROFILE(&s->profile),
        { 0 }
    };
    const sp_command command = { "classify cv", "Cross-validation, stratified: a model for each fold learns from the others,\n"
                                 "of which a tenth chooses the best epoch. Folds and tenths depend on --seed alone.",
                                 options, NULL };
    if (!program_parse(&command, argc, argv, NULL, code))
        return false;
    s->model.model = kind;
    s->trainer.progress = isatty(STDERR_FILENO) ? stderr : NULL;
    s->trainer.stop = program_stop();
    return true;
}

/* The accuracy on one fold of a model that learned from the others. */
static bool run_fold(const struct settings *s, const sp_sentences *all, const int *part, int fold, double *accuracy,
                     sp_training *result, sp_status *status)
{
    struct run r = { .settings = s };
    sp_sentences *test = sp_classifier_part(all, part, fold, false, status);
    r.train = test ? sp_classifier_part(all, part, fold, true, status) : NULL;
    bool ok = r.train && keep_tenth(&r, status) && make_model(&r, NULL, status);
    if (ok) {
        const sp_task task = sp_classifier_trainer_task(r.trainer);
        sp_trainer_config config = s->trainer;
        config.profile = r.model->profile;
        ok = sp_train(&task, &config, result, status);
    }
    sp_confusion *c = ok ? measure(r.model, test, NULL, status) : NULL;
    if (c)
        *accuracy = sp_confusion_accuracy(c);
    ok = c;
    sp_confusion_free(c);
    sp_sentences_free(test);
    close_run(&r);
    return ok;
}

/* All folds of one kind of model; mean and standard deviation (of n - 1) into the report. */
static bool run_folds(const struct settings *s, const sp_sentences *all, const int *part, sp_report *j, sp_status *status)
{
    const int folds = (int)(s->only && s->only < s->folds ? s->only : s->folds);
    char word[SP_CHOICE_ROOM], key[96];
    const char *name = kind_name(s->model.model, word);
    double sum = 0, squares = 0, seconds = 0;
    int n = 0;
    for (bool stop = false; n < folds && !stop; ) {
        double accuracy;
        sp_training result;
        if (!run_fold(s, all, part, n, &accuracy, &result, status))
            return false;
        if ((stop = result.interrupted))
            break;
        sum += accuracy;
        squares += accuracy * accuracy;
        seconds += result.seconds;
        n++;
        printf("%-9s  fold %2d/%ld  accuracy %6.2f %%   best epoch %ld of %ld, %.0f s\n", name, n, s->folds, 100 * accuracy,
               result.best_epoch, result.epochs, result.seconds);
        fflush(stdout);
    }
    if (!n)
        return true;
    const double mean = sum / n, deviation = n > 1 ? sqrt(fmax(0, squares - n * mean * mean) / (n - 1)) : NAN;
    printf("%-9s  mean of %d fold%s: accuracy %.2f %%", name, n, n == 1 ? "" : "s", 100 * mean);
    if (n > 1)
        printf(", standard deviation %.2f", 100 * deviation);
    printf("\n\n");
    snprintf(key, sizeof key, "%s_folds", name);
    sp_report_count(j, key, n);
    snprintf(key, sizeof key, "%s_accuracy", name);
    sp_report_number(j, key, mean);
    snprintf(key, sizeof key, "%s_deviation", name);
    sp_report_number(j, key, deviation);
    snprintf(key, sizeof key, "%s_seconds", name);
    sp_report_number(j, key, seconds);
    return true;
}

/* The kinds of --models, or else of --model. */
static bool kinds_of(const struct settings *s, int *kind, int *n, sp_status *status)
{
    char word[SP_CHOICE_ROOM];
    *n = 0;
    kind[0] = (int)s->model.model;
    for (const char *at = s->models; at; ) {
        const size_t length = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), at);
        kind[*n] = sp_choice_index(SP_CLASSIFIER_KINDS, word);
        for (int i = 0; i < *n && kind[*n] >= 0; i++)
            if (kind[i] == kind[*n])
                return sp_fail(status, SP_ERR_VALUE, "--models %s: %s stands there twice", s->models, word);
        if (kind[*n] < 0)
            return sp_fail(status, SP_ERR_VALUE, "--models %s: '%s' is none of %s", s->models, word, SP_CLASSIFIER_KINDS);
        ++*n;
        at = at[length] ? at + length + 1 : NULL;
    }
    *n += !*n;
    return true;
}

static int cv(int argc, char **argv)
{
    struct settings s;
    sp_status status = { 0 };
    int kind[SP_CLASSIFIER_CONV + 2], n = 0, code;
    if (!parse_cv(&s, kind_named(argc, argv), argc, argv, &code))
        return code;
    if (!kinds_of(&s, kind, &n, &status)) {
        program_error(&status);
        return 2;
    }
    sp_sentences *all = sp_trainer_check(&s.trainer, &status) ? sp_classifier_read(s.data, &status) : NULL;
    int *part = all ? malloc((size_t)(all->n + 1) * sizeof *part) : NULL;
    bool ok = part && sp_classifier_deal(all, (int)s.folds, (uint64_t)s.trainer.seed, part, &status);
    sp_report *j = ok ? sp_report_new() : NULL;
    if (ok) {
        sp_report_text(j, "command", "cv");
        sp_report_text(j, "data", s.data);
        sp_report_count(j, "sentences", all->n);
        sp_report_count(j, "folds", s.folds);
        sp_report_count(j, "seed", s.trainer.seed);
    }
    for (int i = 0; ok && i < n && !*s.trainer.stop; i++)
        ok = parse_cv(&s, (sp_classifier_kind)kind[i], argc, argv, &code) && run_folds(&s, all, part, j, &status);
    if (ok)
        sp_report_flag(j, "interrupted", *s.trainer.stop);
    free(part);
    sp_sentences_free(all);
    if (ok)
        return program_finish(j);
    sp_report_free(j);
    return program_error(&status);
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

enum { DEMO_TRAIN = 20000, DEMO_VALID = 1000, DEMO_TEST = 4000 };

static const sp_valence_config demo_task = { .noise = 0.05 };

/* Trains a kind of model on the task, and measures it on the test sentences. */
static bool demo_model(struct run *r, struct settings *s, const sp_sentences *test, sp_training *x, double *accuracy,
                       sp_status *status)
{
    *r = (struct run){ .settings = s, .train = sp_valence(&demo_task, DEMO_TRAIN, 1, status) };
    r->valid = r->train ? sp_valence(&demo_task, DEMO_VALID, 2, status) : NULL;
    if (!r->valid || !make_model(r, s->out, status) || !train_run(r, x, status))
        return false;
    if (x->interrupted)
        return sp_fail(status, SP_ERR_STATE, "the demo was interrupted: there is nothing to compare");
    sp_confusion *c = measure(r->model, test, NULL, status);
    *accuracy = c ? sp_confusion_accuracy(c) : 0;
    sp_confusion_free(c);
    return c;
}

/* How often the rule that the labels come from is right: the best possible. */
static double by_rule(const sp_sentences *s)
{
    long right = 0;
    for (long i = 0; i < s->n; i++)
        right += (sp_valence_sum(s, i, true) > 0) == !strcmp(sp_sentence_word(s, 1, i, 0, NULL), "positive");
    return (double)right / (double)s->n;
}

/* The attention of a model for the first sentences, as a page. */
static bool write_page(const sp_classifier *m, const sp_sentences *s, const char *path, sp_status *status)
{
    const int classes = sp_classifier_classes(m);
    sp_real *logp = malloc((size_t)(s->n * classes) * sizeof *logp);
    sp_real *weights = malloc((size_t)s->field[0].strings * sizeof *weights);
    sp_file page = { 0 };
    bool ok = (logp && weights) || sp_fail(status, SP_ERR_MEMORY, "out of memory for a page");
    ok = ok && sp_classifier_predict(m, s, logp, weights, status) && sp_file_begin(&page, path, status);
    if (ok) {
        sp_attention_html_begin(page.out, "What the classifier attends to");
        for (long i = 0; i < s->n && i < 50; i++) {
            const int best = sp_classifier_best(m, logp + i * classes);
            sp_attention_html_add(page.out, &(sp_attention_line){
                sp_classifier_label(m, best), exp((double)logp[i * classes + best]), sp_sentence_word(s, 1, i, 0, NULL),
                s, i, weights + s->field[0].first[i] });
        }
        sp_attention_html_end(page.out);
        ok = sp_file_end(&page, true, status);
    }
    free(logp);
    free(weights);
    return ok;
}

static bool run_demo(struct settings *s, const char *bag_out, const char *html, sp_status *status)
{
    struct run r = { 0 }, other = { 0 };
    struct settings bag = defaults(SP_CLASSIFIER_BAG);
    sp_training x, y;
    double recurrent, baseline;
    bag.out = bag_out;
    bag.trainer.epochs = s->trainer.epochs;
    bag.trainer.threads = s->trainer.threads;
    sp_sentences *test = sp_valence(&demo_task, DEMO_TEST, 3, status);
    bool ok = test && demo_model(&r, s, test, &x, &recurrent, status) && write_page(r.model, test, html, status)
              && demo_model(&other, &bag, test, &y, &baseline, status);
    if (ok) {
        printf("Is a text more often good or bad? Negators turn words round, and a twentieth of the labels is wrong.\n"
               "Right on %d texts unseen in training:\n"
               "  bag of words       %5.1f %%\n  recurrent          %5.1f %%\n  the best possible  %5.1f %%\n\n"
               "Models %s and %s, log %s, curve %s, attention %s.\n", DEMO_TEST, 100 * baseline, 100 * recurrent,
               100 * by_rule(test), s->out, bag_out, s->trainer.log, s->trainer.plot, html);
        sp_report *j = sp_report_new();
        sp_report_text(j, "command", "demo");
        program_report_training(j, &x, "accuracy", s->out);
        sp_report_number(j, "accuracy", recurrent);
        sp_report_number(j, "bag_accuracy", baseline);
        sp_report_number(j, "best_accuracy", by_rule(test));
        sp_report_text(j, "page", html);
        ok = program_finish(j) == EXIT_SUCCESS || sp_fail(status, SP_ERR_FILE, "standard output: writing failed");
    }
    close_run(&r);
    close_run(&other);
    sp_sentences_free(test);
    return ok;
}

static int demo(int argc, char **argv)
{
    enum { RECURRENT, BAG, LOG, CURVE, PAGE, FILES };
    static const char *const names[FILES] = { "recurrent.safetensors", "bag.safetensors", "log.jsonl", "curve.svg", "attention.html" };
    const char *directory = "demo-classify";
    char *path[FILES];
    struct settings s = defaults(SP_CLASSIFIER_RECURRENT);
    int code;
    sp_status status = { 0 };
    s.model.embed = s.model.hidden = 32;
    s.model.dropout = s.model.dropout_embed = s.model.word_dropout = 0;
    s.trainer.lr = 5e-3;
    const sp_option options[] = {
        { "out", SP_OPTION_TEXT, &directory, .argument = "DIR", .help = "where model, log, curve and page go" },
        { "epochs", SP_OPTION_WHOLE, &s.trainer.epochs, 1, 1e6, .help = "times through the texts" },
        { "threads", SP_OPTION_WHOLE, &s.trainer.threads, 1, 64, .help = "that share the work" },
        SP_OPTION_PROFILE(&s.profile),
        { 0 }
    };
    const sp_command command = { "classify demo", "Learns to count with negation in a minute, beside a bag of words.",
                                 options, NULL };
    if (!program_parse(&command, argc, argv, NULL, &code))
        return code;
    bool ok = program_folder(directory, names, FILES, path, &status);
    s.out = path[RECURRENT];
    s.trainer.log = path[LOG];
    s.trainer.plot = path[CURVE];
    ok = ok && run_demo(&s, path[BAG], path[PAGE], &status);
    program_folder_free(path, FILES);
    return ok ? EXIT_SUCCESS : program_error(&status);
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",   train,   "train a classifier on labelled texts" },
        { "predict", predict, "label lines; show what the model attends to" },
        { "eval",    eval,    "measure a model on labelled texts" },
        { "cv",      cv,      "measure a kind of model by cross-validation" },
        { "demo",    demo,    "do all of this in a minute, without any data" },
        { 0 }
    };
    return program_main("classify", verbs, argc, argv);
}
