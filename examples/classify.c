/* Texts into classes from the command line: train a classifier, use it, measure it, look at what it attends to.

       classify train --data reviews.tsv --out model.safetensors            label<TAB>text on each line
       classify train --data pos=rt-polarity.pos,neg=rt-polarity.neg        a file for each label
       echo "a gorgeous , witty film" | classify predict model.safetensors --html attention.html
       classify eval model.safetensors --data test.tsv
       classify cv --data pos=rt-polarity.pos,neg=rt-polarity.neg --folds 10 --models recurrent,bag,conv
       classify demo
*/
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
    s.trainer.metrics = "loss|accuracy";
    return s;
}

/* The kind that --model names: defaults depend on it. Mistakes are left to the parser. */
static sp_classifier_kind kind_given(const struct program *p, const sp_option *options)
{
    const char *word = sp_option_given(options, p->argc, p->argv, "model");
    const int kind = word ? sp_choice_index(SP_CLASSIFIER_KINDS, word) : -1;
    return kind < 0 ? SP_CLASSIFIER_RECURRENT : (sp_classifier_kind)kind;
}

/* A model and what it learns from. */
struct run {
    struct program *program;
    const struct settings *settings;
    sp_sentences *train, *valid;
    sp_classifier *model;
    sp_classifier_trainer *trainer;
    bool quiet;                         /* about word vectors */
};

static void close_run(struct run *r)
{
    sp_classifier_trainer_free(r->trainer);
    sp_classifier_free(r->model);
    sp_sentences_free(r->train);
    sp_sentences_free(r->valid);
}

/* Keeps a tenth of r->train to validate on. */
static bool keep_tenth(struct run *r)
{
    sp_status *status = &r->program->status;
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
static bool make_model(struct run *r, const char *out)
{
    const struct settings *s = r->settings;
    sp_status *status = &r->program->status;
    const uint64_t seed = (uint64_t)s->trainer.seed;
    r->model = sp_classifier_new(&s->model, r->train, seed, status);
    if (!r->model)
        return false;
    r->model->profile = r->program->profile;
    const long found = s->vectors ? sp_vectors_read(&r->model->embed, r->model->words, s->vectors, status) : 0;
    if (found < 0)
        return false;
    if (s->vectors && !r->quiet)
        fprintf(stderr, "%ld of %d words have a vector in %s\n", found, sp_vocabulary_size(r->model->words), s->vectors);
    return (r->trainer = sp_classifier_trainer_new(r->model, r->train, r->valid, s->batch, seed, out, status));
}

static sp_classifier *open_model(struct program *p)
{
    sp_classifier *m = sp_classifier_load(p->model, &p->status);
    if (m)
        m->profile = p->profile;
    return m;
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

/* The graph for two sentences of three words and one: enough to see everything, small enough to look at. */
static bool draw_graph(const sp_classifier *m, const char *path, sp_status *status)
{
    sp_tape *t = sp_tape_new(m->store);
    sp_classifier_loss(t, m, (const int[4]){ 0 }, (const long[]){ 3, 1 }, (const int[2]){ 0 }, 2);
    return program_save_graph(t, path, status);
}

static bool train_run(struct run *r, sp_training *result)
{
    const struct settings *s = r->settings;
    struct program *p = r->program;
    const sp_task task = sp_classifier_trainer_task(r->trainer);
    char params[32], n[32], m[32];
    if (s->graph && !draw_graph(r->model, s->graph, &p->status))
        return false;
    fprintf(stderr, "%s sentences to train on, %s to validate on, %d words, %d labels, %s parameters, %s kernels\n",
            sp_thousands(n, r->train->n), sp_thousands(m, r->valid->n), sp_vocabulary_size(r->model->words),
            sp_classifier_classes(r->model), sp_thousands(params, sp_model_parameters(r->model->store)), sp_blas_kernels());
    return program_tell_unseen(p, r->model->labels, r->valid, "sentences", "label", NULL)
           && program_train(p, &task, &s->trainer, s->out, result);
}

#define DATA_OPTION(data) \
    { "data", SP_OPTION_TEXT, data, .argument = "FILE", .required = true, \
      .help = "label<TAB>text lines, or label=FILE,label=FILE", .file = SP_OPTION_READS_EACH }

#define MODEL_OPTIONS(s) \
    SP_CLASSIFIER_OPTIONS(&(s)->model), \
    { "vectors", SP_OPTION_TEXT, &(s)->vectors, .argument = "FILE", \
      .help = "word vectors to begin with, as text: word2vec, GloVe", .file = SP_OPTION_READS }, \
    { "batch", SP_OPTION_WHOLE, &(s)->batch, 1, 65536, .help = "sentences of a step" }

/* What belongs to one kind of model. */
static const sp_need needs[] = {
    { "cell", "model", "recurrent" }, { "directions", "model", "recurrent" }, { "pool", "model", "recurrent" },
    { "bag", "model", "bag" }, { "layers", "model", "recurrent|bag" }, { 0 }
};

/* Settings that depend on each other, before data are read: with two sentences. */
static bool try_settings(const struct settings *s, sp_status *status)
{
    static const char two[] = "good\ta\nbad\ta\n";
    sp_sentences *data = sp_trainer_check(&s->trainer, status)
                         ? sp_sentences_parse("settings", two, sizeof two - 1, sp_format_named("labelled"), status) : NULL;
    sp_classifier *m = data ? sp_classifier_new(&s->model, data, 1, status) : NULL;
    const bool ok = m;
    sp_sentences_free(data);
    sp_classifier_free(m);
    return ok;
}

static bool parse_train(struct program *p, struct settings *s)
{
    const sp_option options[] = {
        DATA_OPTION(&s->data),
        { "valid", SP_OPTION_TEXT, &s->valid, .argument = "FILE",
          .help = "the same to validate on; else a tenth of --data, by --seed", .file = SP_OPTION_READS_EACH },
        PROGRAM_OUT(&s->out),
        MODEL_OPTIONS(s),
        SP_TRAINER_OPTIONS(&s->trainer),
        PROGRAM_SHOW(p, &s->graph),
        { 0 }
    };
    *s = defaults(kind_given(p, options));      /* those of the kind, now that the table can be asked for it */
    return program_parse(p, options, needs) && program_settings(p, try_settings(s, &p->status));
}

static bool open_data(struct run *r)
{
    const struct settings *s = r->settings;
    sp_status *status = &r->program->status;
    if (!(r->train = sp_classifier_read(s->data, status)))
        return false;
    if (s->valid)
        return (r->valid = sp_classifier_read(s->valid, status));
    if (r->train->n < 10)
        return sp_fail(status, SP_ERR_VALUE, "%s: %ld sentences, too few to validate on a tenth: give --valid", s->data,
                       r->train->n);
    if (!keep_tenth(r))
        return false;
    fprintf(stderr, "A tenth of the sentences of each label, drawn by --seed %ld, is kept to validate on.\n", s->trainer.seed);
    return true;
}

static bool train(struct program *p)
{
    struct settings s = defaults(SP_CLASSIFIER_RECURRENT);      /* the table of options has words of it */
    struct run r = { .program = p, .settings = &s };
    sp_training result;
    const bool ok = parse_train(p, &s) && open_data(&r) && make_model(&r, s.out) && train_run(&r, &result);
    close_run(&r);
    return ok;
}

/* ---- predict --------------------------------------------------------------------------------------------------- */

enum { LINES = 1024 };          /* answered together */

/* What lines are answered with, and a page of it unless page.out is NULL. */
struct prediction {
    sp_classifier *m;
    sp_file page;
};

/* text: what is printed behind label and probability; NULL: nothing is printed. Sentences that have labels show them on the page. */
static bool answer_sentences(const struct prediction *x, const sp_sentences *s, char *const *text, sp_status *status)
{
    const int classes = sp_classifier_classes(x->m);
    sp_real *logp = malloc((size_t)(s->n * classes) * sizeof *logp);
    sp_real *weights = x->page.out ? malloc((size_t)(s->field[0].strings + 1) * sizeof *weights) : NULL;
    bool ok = (logp && (weights || !x->page.out)) || sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld sentences", s->n);
    ok = ok && sp_classifier_predict(x->m, s, logp, weights, status);
    for (long i = 0; ok && i < s->n; i++) {
        const int best = sp_classifier_best(x->m, logp + i * classes);
        const char *label = sp_classifier_label(x->m, best), *truth = s->fields > 1 ? sp_sentence_word(s, 1, i, 0, NULL) : NULL;
        const double probability = exp((double)logp[i * classes + best]);
        if (text)
            printf("%s\t%.4f\t%s\n", label, probability, text[i]);
        if (weights)
            sp_attention_html_add(x->page.out, &(sp_attention_line){ label, probability, truth, s, i,
                                                                     weights + s->field[0].first[i] });
    }
    free(logp);
    free(weights);
    return ok;
}

static bool answer(void *self, const struct program_lines *l, sp_status *status)
{
    sp_sentences *s = sp_sentences_new(1, status);
    bool ok = s;
    for (long i = 0; ok && i < l->n; i++)
        ok = sp_sentences_put_text(s, 0, l->text[i], strlen(l->text[i]), SP_LEVEL_WORD, status) && sp_sentences_end(s, status);
    ok = ok && answer_sentences(self, s, l->text, status);
    sp_sentences_free(s);
    return ok;
}

/* Ctrl-C leaves no page, not half of one. */
static bool answer_on_page(struct program *p, struct prediction *x, const char *data, const char *html)
{
    const volatile sig_atomic_t *stop = program_stop();
    if (!sp_file_begin(&x->page, html, &p->status))
        return false;
    sp_attention_html_begin(x->page.out, data ? data : "standard input");
    const bool ok = program_answer(p, data, LINES, answer, x);
    if (!ok && *stop)
        sp_fail(&p->status, SP_ERR_STATE, "interrupted: %s is not written", html);
    sp_attention_html_end(x->page.out);
    return sp_file_end(&x->page, ok, &p->status) && ok;
}

static bool predict(struct program *p)
{
    const char *data = NULL, *html = NULL;
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .help = "lines to label; else standard input",
          .file = SP_OPTION_READS },
        { "html", SP_OPTION_TEXT, &html, .argument = "FILE.html", .help = "a page of what a model with attention attends to",
          .file = SP_OPTION_WRITES },
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    if (!program_parse(p, options, NULL))
        return false;
    struct prediction x = { .m = open_model(p) };
    const bool ok = x.m && (html ? answer_on_page(p, &x, data, html) : program_answer(p, data, LINES, answer, &x));
    sp_classifier_free(x.m);
    sp_report_text(p->result, "page", html);
    return ok;
}

/* ---- eval ------------------------------------------------------------------------------------------------------ */

static bool eval(struct program *p)
{
    const char *data = NULL;
    double nats = NAN;
    const sp_option options[] = { DATA_OPTION(&data), SP_OPTION_PROFILE(&p->profiled), { 0 } };
    if (!program_parse(p, options, NULL))
        return false;
    sp_classifier *m = open_model(p);
    sp_sentences *s = m ? sp_classifier_read(data, &p->status) : NULL;
    if (s && !s->n)
        sp_fail(&p->status, SP_ERR_VALUE, "%s: no sentences", data);
    const bool told = s && s->n && program_tell_unseen(p, m->labels, s, "sentences", "label", NULL);
    sp_confusion *c = told ? measure(m, s, &nats, &p->status) : NULL;
    const bool ok = c;
    if (ok) {
        sp_confusion_write(c, m->labels, stdout);
        sp_report_count(p->result, "sentences", s->n);
        sp_report_number(p->result, "accuracy", sp_confusion_accuracy(c));
        sp_report_number(p->result, "macro_f1", sp_confusion_macro_f1(c));
        sp_report_number(p->result, "nats", nats);
        sp_report_count(p->result, "unseen_labels", c->outside);
    }
    sp_confusion_free(c);
    sp_sentences_free(s);
    sp_classifier_free(m);
    return ok;
}

/* ---- cv -------------------------------------------------------------------------------------------------------- */

enum { KINDS = SP_CLASSIFIER_CONV + 1 };

/* The kinds of --models, or else of --model. */
static bool kinds_of(const struct settings *s, sp_classifier_kind kind[KINDS], int *n, sp_status *status)
{
    char word[SP_CHOICE_ROOM];
    *n = 0;
    if (!s->models)
        kind[(*n)++] = s->model.model;
    for (const char *at = s->models; at; at = at[strcspn(at, ",")] ? strchr(at, ',') + 1 : NULL) {
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        const int found = sp_choice_index(SP_CLASSIFIER_KINDS, word);
        if (found < 0)
            return sp_fail(status, SP_ERR_VALUE, "--models %s: '%s' is none of %s", s->models, word, SP_CLASSIFIER_KINDS);
        for (int i = 0; i < *n; i++)
            if ((int)kind[i] == found)
                return sp_fail(status, SP_ERR_VALUE, "--models %s: %s stands there twice", s->models, word);
        kind[(*n)++] = (sp_classifier_kind)found;
    }
    return true;
}

/* Belongs each option that is given to one of these kinds? */
static bool check_needs(const struct program *p, const sp_option *options, const char *models, const sp_classifier_kind *kind, int n,
                        sp_status *status)
{
    char word[SP_CHOICE_ROOM];
    for (const sp_need *need = needs; need->option; need++) {
        bool met = !sp_option_given(options, p->argc, p->argv, need->option);
        for (int i = 0; i < n && !met; i++)
            met = sp_choice_index(need->words, sp_choice_word(SP_CLASSIFIER_KINDS, (int)kind[i], word)) >= 0;
        if (!met)
            return sp_fail(status, SP_ERR_VALUE, "--%s: has an effect only with %s, which is not in --models %s", need->option,
                           need->words, models);
    }
    return true;
}

/* The settings of each kind, which has defaults of its own: the options are read again for each. All are tried before data are
   read. */
static bool parse_cv(struct program *p, struct settings each[KINDS], int *n)
{
    struct settings s = defaults(SP_CLASSIFIER_RECURRENT);      /* the table has words of it */
    sp_classifier_kind kind[KINDS];
    const sp_option options[] = {
        DATA_OPTION(&s.data),
        { "folds", SP_OPTION_WHOLE, &s.folds, 2, 1000, .help = "parts, each of which is tested on once" },
        { "only", SP_OPTION_WHOLE, &s.only, 0, 1000, .help = "so many of the folds; 0: all" },
        { "models", SP_OPTION_TEXT, &s.models, .argument = "LIST", .help = "several, in place of --model: recurrent,bag,conv" },
        MODEL_OPTIONS(&s),
        SP_TRAINER_STEP_OPTIONS(&s.trainer),
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    static const sp_need list_needs[] = { { "model", "models", "" }, { 0 } };
    const bool list = sp_option_given(options, p->argc, p->argv, "models");
    s = defaults(kind_given(p, options));
    if (!program_parse(p, options, list ? list_needs : needs)
        || !program_settings(p, kinds_of(&s, kind, n, &p->status)
                                && (!list || check_needs(p, options, s.models, kind, *n, &p->status))))
        return false;
    for (int i = 0; i < *n; i++) {
        s = defaults(kind[i]);
        if (!program_parse(p, options, NULL))
            return false;
        s.model.model = kind[i];
        s.trainer.progress = isatty(STDERR_FILENO) ? stderr : NULL;
        s.trainer.stop = program_stop();
        s.trainer.profile = p->profile;
        if (!program_settings(p, try_settings(&s, &p->status)))
            return false;
        each[i] = s;
    }
    return true;
}

/* The accuracy on one fold of a model that learned from the others. */
static bool run_fold(struct program *p, const struct settings *s, const sp_sentences *all, const int *part, int fold,
                     double *accuracy, sp_training *result)
{
    struct run r = { .program = p, .settings = s, .quiet = fold > 0 };
    sp_confusion *c = NULL;
    sp_sentences *test = sp_classifier_part(all, part, fold, false, &p->status);
    r.train = test ? sp_classifier_part(all, part, fold, true, &p->status) : NULL;
    if (r.train && keep_tenth(&r) && make_model(&r, NULL)) {
        const sp_task task = sp_classifier_trainer_task(r.trainer);
        if (sp_train(&task, &s->trainer, result, &p->status))
            c = measure(r.model, test, NULL, &p->status);
    }
    const bool ok = c;
    if (ok)
        *accuracy = sp_confusion_accuracy(c);
    sp_confusion_free(c);
    sp_sentences_free(test);
    close_run(&r);
    return ok;
}

/* All folds of one kind of model; mean and standard deviation (of n - 1) into the report. */
static bool run_folds(struct program *p, const struct settings *s, const sp_sentences *all, const int *part)
{
    const int folds = (int)(s->only && s->only < s->folds ? s->only : s->folds);
    char word[SP_CHOICE_ROOM], key[96];
    const char *name = sp_choice_word(SP_CLASSIFIER_KINDS, (int)s->model.model, word);
    double accuracy, sum = 0, squares = 0, seconds = 0;
    sp_training result;
    int n = 0;
    while (n < folds) {
        if (!run_fold(p, s, all, part, n, &accuracy, &result))
            return false;
        if (result.interrupted)
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
    const struct { const char *what; double value; } numbers[] = {
        { "accuracy", mean }, { "deviation", deviation }, { "seconds", seconds }
    };
    snprintf(key, sizeof key, "%s_folds", name);
    sp_report_count(p->result, key, n);
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s_%s", name, numbers[i].what);
        sp_report_number(p->result, key, numbers[i].value);
    }
    return true;
}

static bool cv(struct program *p)
{
    struct settings each[KINDS];
    int n;
    if (!parse_cv(p, each, &n))
        return false;
    const struct settings *s = &each[0];        /* what all have in common */
    sp_sentences *all = sp_classifier_read(s->data, &p->status);
    int *part = all ? malloc((size_t)(all->n + 1) * sizeof *part) : NULL;
    bool ok = all && (part || sp_fail(&p->status, SP_ERR_MEMORY, "out of memory for %ld sentences", all->n))
              && sp_classifier_deal(all, (int)s->folds, (uint64_t)s->trainer.seed, part, &p->status);
    if (ok) {
        sp_report_text(p->result, "data", s->data);
        sp_report_count(p->result, "sentences", all->n);
        sp_report_count(p->result, "folds", s->folds);
        sp_report_count(p->result, "seed", s->trainer.seed);
    }
    for (int i = 0; ok && i < n && !*s->trainer.stop; i++)
        ok = run_folds(p, &each[i], all, part);
    if (ok && *s->trainer.stop)
        fprintf(stderr, "Interrupted. The result is of the folds before.\n");
    sp_report_flag(p->result, "interrupted", *s->trainer.stop);
    free(part);
    sp_sentences_free(all);
    return ok;
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

enum { DEMO_TRAIN = 20000, DEMO_VALID = 1000, DEMO_TEST = 4000 };

static const sp_valence_config demo_task = { .noise = 0.05 };

/* Trains a kind of model on the task, and measures the best one on the test sentences. */
static bool demo_model(struct run *r, const sp_sentences *test, sp_training *x, double *accuracy)
{
    sp_status *status = &r->program->status;
    if (!(r->train = sp_valence(&demo_task, DEMO_TRAIN, 1, status)) || !(r->valid = sp_valence(&demo_task, DEMO_VALID, 2, status))
        || !make_model(r, r->settings->out) || !train_run(r, x))
        return false;
    if (x->interrupted)
        return true;
    sp_confusion *c = measure(r->model, test, NULL, status);
    const bool ok = c;
    *accuracy = ok ? sp_confusion_accuracy(c) : 0;
    sp_confusion_free(c);
    return ok;
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
static bool write_page(sp_classifier *m, const sp_sentences *s, const char *path, sp_status *status)
{
    long index[50];
    struct prediction x = { .m = m };
    for (long i = 0; i < 50; i++)
        index[i] = i;
    sp_sentences *first = sp_sentences_choose(s, index, 50, status);
    bool ok = first && sp_file_begin(&x.page, path, status);
    if (ok) {
        sp_attention_html_begin(x.page.out, "What the classifier attends to");
        ok = answer_sentences(&x, first, NULL, status);
        sp_attention_html_end(x.page.out);
        ok = sp_file_end(&x.page, ok, status) && ok;
    }
    sp_sentences_free(first);
    return ok;
}

/* The bag of words goes first: the result is of the recurrent model, or of the last that was trained before Ctrl-C. */
static bool run_demo(struct program *p, const struct settings *recurrent, const struct settings *bag, const char *html)
{
    struct run r = { .program = p, .settings = recurrent }, other = { .program = p, .settings = bag };
    sp_training x = { 0 };
    double accuracy, baseline;
    const volatile sig_atomic_t *stop = program_stop();
    sp_sentences *test = sp_valence(&demo_task, DEMO_TEST, 3, &p->status);
    bool ok = test && demo_model(&other, test, &x, &baseline) && (*stop || demo_model(&r, test, &x, &accuracy));
    if (ok && *stop) {
        if (!x.interrupted)
            fprintf(stderr, "Interrupted.\n");
        sp_report_flag(p->result, "interrupted", true);
    } else if (ok && (ok = write_page(r.model, test, html, &p->status))) {
        const double best = by_rule(test);
        printf("Is a text more often good or bad? Negators turn words round, and a twentieth of the labels is wrong.\n"
               "Right on %d texts unseen in training:\n"
               "  bag of words       %5.1f %%\n  recurrent          %5.1f %%\n  the best possible  %5.1f %%\n",
               DEMO_TEST, 100 * baseline, 100 * accuracy, 100 * best);
        sp_report_number(p->result, "accuracy", accuracy);
        sp_report_number(p->result, "bag_accuracy", baseline);
        sp_report_number(p->result, "best_accuracy", best);
        sp_report_text(p->result, "page", html);
    }
    close_run(&r);
    close_run(&other);
    sp_sentences_free(test);
    return ok;
}

static bool demo(struct program *p)
{
    const char *directory = "demo-classify", *html;
    struct settings s = defaults(SP_CLASSIFIER_RECURRENT), bag = defaults(SP_CLASSIFIER_BAG);
    s.model.embed = s.model.hidden = 32;
    s.model.dropout = s.model.dropout_embed = s.model.word_dropout = 0;
    s.trainer.lr = 5e-3;
    const sp_option options[] = {
        PROGRAM_DEMO(p, &directory, &s.trainer),
        { 0 }
    };
    if (!program_parse(p, options, NULL))
        return false;
    bag.trainer.epochs = s.trainer.epochs;
    bag.trainer.threads = s.trainer.threads;
    return program_demo_files(p, directory, "recurrent.safetensors", &s.out, &s.trainer, NULL)
           && (bag.out = program_file(p, "bag of words", directory, "bag.safetensors"))
           && (html = program_file(p, "attention", directory, "attention.html")) && run_demo(p, &s, &bag, html);
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",   train,   "train a classifier on labelled texts", "Trains a classifier." PROGRAM_TRAIN_HELP, NULL },
        { "predict", predict, "label lines; show what the model attends to",
          "Prints label<TAB>probability<TAB>text for each line. For a blank line\n"
          "that is the most frequent label of the training data.", "MODEL" },
        { "eval",    eval,    "measure a model on labelled texts", "Measures how often a model is right.", "MODEL" },
        { "cv",      cv,      "measure a kind of model by cross-validation",
          "Cross-validation, stratified: a model for each fold learns from the others,\n"
          "of which a tenth chooses the best epoch. Folds and tenths depend on --seed alone.", NULL },
        { "demo",    demo,    "do all of this in a minute, without any data",
          "Learns to count with negation in a minute, beside a bag of words.", NULL },
        { 0 }
    };
    return program_main("classify", verbs, argc, argv);
}
