/* A tagger from the command line: train it on tagged sentences, let it tag others, measure it.

       tag train --data en_ewt-ud-train.conllu --valid en_ewt-ud-dev.conllu --out model.safetensors
       tag train --format columns --data wnut17train.conll --valid emerging.dev.conll --crf
       echo "the old man sees a boat ." | tag predict model.safetensors --lines
       tag eval model.safetensors --data en_ewt-ud-test.conllu
       tag demo
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* ---- what all commands share ----------------------------------------------------------------------------------- */

#define FORMATS "conllu|conll2003|columns"
#define OPTION_FORMAT(f) { "format", SP_OPTION_CHOICE, &(f)->name, .argument = FORMATS, \
                           .help = "of --data; word and tag are columns 2 and 4, 1 and the last, 1 and 2" }
#define OPTION_COLUMN(f) { "column", SP_OPTION_WHOLE, &(f)->column, 0, SP_MOST_COLUMNS, \
                           .help = "of the tags, from 1; 0: that of the format" }

struct file_format {
    const char *name;
    long column;
};

static sp_sentences *read_tagged(const char *path, const struct file_format *how, sp_status *status)
{
    sp_format format = *sp_format_named(how->name);
    if (how->column)
        format.field[1].column = (int)how->column;
    return sp_sentences_read(path, &format, status);
}

/* The words of a file, or of standard input where path is NULL. It may be empty. */
static sp_sentences *read_words(const char *path, const char *name, sp_status *status)
{
    size_t size;
    sp_format format = *sp_format_named(name);
    format.fields = 1;
    format.blanks = true;
    char *text = path ? sp_file_read(path, &size, status) : program_input(&size, status);
    sp_sentences *s = text ? sp_sentences_parse(path ? path : "standard input", text, size, &format, status) : NULL;
    free(text);
    return s;
}

static sp_tagger *open_model(struct program *p)
{
    sp_tagger *m = sp_tagger_load(p->model, &p->status);
    if (m)
        m->profile = p->profile;
    return m;
}

/* ---- train ----------------------------------------------------------------------------------------------------- */

struct settings {
    const char *data, *valid, *out, *vectors, *graph;
    struct file_format format;
    sp_tagger_config model;
    long batch;
    sp_trainer_config trainer;
};

static struct settings defaults(void)
{
    struct settings s = { .out = "tagger.safetensors", .format = { .name = "conllu" }, .batch = 32,
                          .model = sp_tagger_defaults(), .trainer = sp_trainer_defaults() };
    s.trainer.lr = 3e-3;
    s.trainer.schedule = "cosine";
    s.trainer.metrics = "loss|accuracy|f1";
    return s;
}

struct run {
    struct program *program;
    const struct settings *settings;
    sp_sentences *train, *valid;
    sp_tagger *model;
    sp_tagger_trainer *trainer;
};

static void close_run(struct run *r)
{
    sp_tagger_trainer_free(r->trainer);
    sp_tagger_free(r->model);
    sp_sentences_free(r->train);
    sp_sentences_free(r->valid);
}

/* Takes the last tenth of the sentences off, to validate on. */
static bool split(struct run *r)
{
    const char *data = r->settings->data;
    sp_status *status = &r->program->status;
    const long n = r->train->n, keep = n - n / 10;
    long *index = malloc((size_t)(n + 1) * sizeof *index);
    if (n < 10 || !index) {
        free(index);
        return sp_fail(status, n < 10 ? SP_ERR_VALUE : SP_ERR_MEMORY, "%s: %ld sentences: %s", data, n,
                       n < 10 ? "too few to take a tenth of them to validate on; give --valid" : "out of memory");
    }
    for (long i = 0; i < n; i++)
        index[i] = i;
    sp_sentences *train = sp_sentences_choose(r->train, index, keep, status);
    r->valid = train ? sp_sentences_choose(r->train, index + keep, n - keep, status) : NULL;
    free(index);
    sp_sentences_free(r->train);
    r->train = train;
    return r->valid;
}

/* The graph of two short sentences. */
static bool draw_graph(const struct run *r, const char *path, sp_status *status)
{
    long index[2] = { 0, 0 }, count;
    for (long i = 0; i < r->train->n; i++)
        for (int k = 0; k < 2; k++) {
            const long n = sp_sentence_length(r->train, 0, i), have = sp_sentence_length(r->train, 0, index[k]);
            if (n > 1 && (n < have || have < 2) && i != index[0]) {
                index[k] = i;
                break;
            }
        }
    sp_tagger_data *d = sp_tagger_data_new(r->model, r->train, status);
    if (!d)
        return false;
    sp_tape *t = sp_tape_new(r->model->store);
    sp_tagger_loss(t, r->model, sp_tagger_on(t, r->model, d, index, 2), d, index, 2, &count);
    sp_tagger_data_free(d);
    return program_save_graph(t, path, status);
}

static void describe_run(const struct run *r, const char *vectors)
{
    char a[32], b[32], c[32], word[SP_CHOICE_ROOM];
    const sp_tagger *m = r->model;
    fprintf(stderr, "%s words in %s sentences to train on, ", sp_thousands(a, r->train->field[0].strings),
            sp_thousands(b, r->train->n));
    fprintf(stderr, "%s in %s to validate on\n", sp_thousands(a, r->valid->field[0].strings), sp_thousands(b, r->valid->n));
    fprintf(stderr, "%d tags (scheme: %s), %s known words, %s parameters, %s kernels\n", sp_vocabulary_size(m->tags),
            sp_choice_word(SP_TAG_SCHEMES, (int)m->scheme, word), sp_thousands(a, sp_vocabulary_size(m->words)),
            sp_thousands(c, sp_model_parameters(m->store)), sp_blas_kernels());
    if (vectors)
        fprintf(stderr, "%s of these words have a vector in %s\n", sp_thousands(a, m->found), vectors);
}

/* Makes the model for the sentences, and trains it; it is measured by its metric unless another was asked for. */
static bool train_run(struct run *r, sp_training *result)
{
    const struct settings *s = r->settings;
    sp_status *status = &r->program->status;
    sp_trainer_config config = s->trainer;
    const uint64_t seed = (uint64_t)config.seed;
    if (!(r->model = sp_tagger_new(&s->model, r->train, s->vectors, seed, status))
        || !(r->trainer = sp_tagger_trainer_new(r->model, r->train, r->valid, s->batch, seed, s->out, status))
        || (s->graph && !draw_graph(r, s->graph, status)))
        return false;
    const sp_task task = sp_tagger_trainer_task(r->trainer);
    r->model->profile = r->program->profile;
    if (!config.metric)
        config.metric = task.metric;
    describe_run(r, s->vectors);
    return program_tell_unseen(r->program, r->model->tags, r->valid, "words", "tag", NULL)
           && program_train(r->program, &task, &config, s->out, result);
}

/* Settings that depend on each other, before data are read: with one word. */
static bool try_settings(const struct settings *s, sp_status *status)
{
    sp_sentences *word = sp_trainer_check(&s->trainer, status)
                         ? sp_sentences_parse("settings", "a\tO\n", 4, sp_format_named("columns"), status) : NULL;
    sp_tagger *m = word ? sp_tagger_new(&s->model, word, NULL, 1, status) : NULL;
    const bool ok = m;
    sp_sentences_free(word);
    sp_tagger_free(m);
    return ok;
}

static bool parse_train(struct program *p, struct settings *s)
{
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &s->data, .argument = "FILE", .required = true, .help = "tagged sentences to train on",
          .file = SP_OPTION_READS },
        { "valid", SP_OPTION_TEXT, &s->valid, .argument = "FILE", .help = "those to validate on; else the last tenth of --data",
          .file = SP_OPTION_READS },
        OPTION_FORMAT(&s->format),
        OPTION_COLUMN(&s->format),
        PROGRAM_OUT(&s->out),
        { "vectors", SP_OPTION_TEXT, &s->vectors, .argument = "FILE",
          .help = "word vectors, as text, to begin with: --embed numbers each", .file = SP_OPTION_READS },
        SP_TAGGER_OPTIONS(&s->model),
        { "batch", SP_OPTION_WHOLE, &s->batch, 1, 65536, .help = "sentences of a step" },
        SP_TRAINER_OPTIONS(&s->trainer),
        PROGRAM_SHOW(p, &s->graph),
        { 0 }
    };
    static const sp_need needs[] = {
        { "letter-embed", "letters", "recurrent|conv" }, { "letter-hidden", "letters", "recurrent|conv" },
        { "vector-words", "vectors", NULL }, { 0 }
    };
    return program_parse(p, options, needs) && program_settings(p, try_settings(s, &p->status));
}

static bool train(struct program *p)
{
    struct settings s = defaults();
    struct run r = { .program = p, .settings = &s };
    sp_training result;
    const bool ok = parse_train(p, &s) && (r.train = read_tagged(s.data, &s.format, &p->status))
                    && (s.valid ? (r.valid = read_tagged(s.valid, &s.format, &p->status)) != NULL : split(&r))
                    && train_run(&r, &result);
    close_run(&r);
    return ok;
}

/* ---- predict --------------------------------------------------------------------------------------------------- */

/* word<TAB>tag, a blank line behind each sentence */
static void write_tagged(const sp_sentences *s, FILE *out)
{
    for (long i = 0; i < s->n; i++) {
        for (long j = 0; j < sp_sentence_length(s, 0, i); j++)
            fprintf(out, "%s\t%s\n", sp_sentence_word(s, 0, i, j, NULL), sp_sentence_word(s, 1, i, j, NULL));
        fputc('\n', out);
    }
}

static bool save_tagged(const sp_sentences *s, const char *path, sp_status *status)
{
    sp_file f;
    if (!path) {
        write_tagged(s, stdout);
        return true;
    }
    if (!sp_file_begin(&f, path, status))
        return false;
    write_tagged(s, f.out);
    return sp_file_end(&f, true, status);
}

static bool predict(struct program *p)
{
    const char *data = NULL, *out = NULL, *format = "conllu";
    bool lines = false;
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .help = "sentences to tag; else standard input",
          .file = SP_OPTION_READS },
        { "format", SP_OPTION_CHOICE, &format, .argument = FORMATS,
          .help = "of --data, of which the words alone are read: column 2 (conllu), else 1" },
        { "lines", SP_OPTION_FLAG, &lines, .help = "plain text instead: a sentence on each line, words between blanks" },
        { "out", SP_OPTION_TEXT, &out, .argument = "FILE", .help = "where words and tags go; else to standard output",
          .file = SP_OPTION_WRITES },
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    static const sp_need needs[] = { { "format", "lines", "" }, { 0 } };
    if (!program_parse(p, options, needs))
        return false;
    sp_tagger *m = open_model(p);
    sp_sentences *s = m ? read_words(data, lines ? "lines" : format, &p->status) : NULL;
    sp_sentences *tagged = s ? sp_tagger_tag(m, s, &p->status) : NULL;
    const bool ok = tagged && save_tagged(tagged, out, &p->status);
    if (ok) {
        sp_report_count(p->result, "sentences", s->n);
        sp_report_count(p->result, "words", s->field[0].strings);
    }
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_sentences_free(tagged);
    return ok;
}

/* ---- eval ------------------------------------------------------------------------------------------------------ */

/* How many words the model does not know, and how many of these have the right tag. */
static void count_unknown(const sp_tagger *m, const sp_sentences *truth, const sp_sentences *guess, long *unknown, long *right)
{
    *unknown = *right = 0;
    for (long i = 0; i < truth->n; i++)
        for (long j = 0; j < sp_sentence_length(truth, 0, i); j++) {
            size_t length;
            const char *w = sp_sentence_word(truth, 0, i, j, &length);
            if (sp_vocabulary_id(m->words, w, length) == SP_UNKNOWN) {
                ++*unknown;
                *right += !strcmp(sp_sentence_word(truth, 1, i, j, NULL), sp_sentence_word(guess, 1, i, j, NULL));
            }
        }
}

/* What is known of a model's tags, printed and into a report. */
static bool report_tags(struct program *p, const sp_tagger *m, const sp_sentences *truth, const sp_sentences *guess)
{
    sp_report *j = p->result;
    long unseen, unknown, known_right, right, words;
    if (!program_tell_unseen(p, m->tags, truth, "words", "tag", &unseen))
        return false;
    const double accuracy = sp_tags_accuracy(truth, guess, &right, &words);
    count_unknown(m, truth, guess, &unknown, &known_right);
    const double of_unknown = unknown ? (double)known_right / (double)unknown : NAN;
    printf("accuracy %.2f %% of %ld words", 100 * accuracy, words);
    if (unknown)
        printf("; %.2f %% of the %ld that training did not know", 100 * of_unknown, unknown);
    putchar('\n');
    sp_report_count(j, "sentences", truth->n);
    sp_report_count(j, "words", words);
    sp_report_number(j, "accuracy", accuracy);
    sp_report_count(j, "unknown_words", unknown);
    sp_report_number(j, "accuracy_unknown", of_unknown);
    sp_report_count(j, "unseen_tags", unseen);
    if (!sp_tags_are_spans(m->tags))
        return true;
    sp_spans *spans = sp_tags_spans(truth, guess, &p->status);
    if (!spans)
        return false;
    const sp_score total = sp_spans_total(spans);
    const bool ok = sp_spans_write(spans, stdout) || sp_fail(&p->status, SP_ERR_FILE, "standard output: writing failed");
    sp_report_number(j, "precision", total.precision);
    sp_report_number(j, "recall", total.recall);
    sp_report_number(j, "f1", total.f1);
    sp_spans_free(spans);
    return ok;
}

static bool eval(struct program *p)
{
    const char *data = NULL;
    struct file_format format = { .name = "conllu" };
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .required = true, .help = "tagged sentences" },
        OPTION_FORMAT(&format),
        OPTION_COLUMN(&format),
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    if (!program_parse(p, options, NULL))
        return false;
    sp_tagger *m = open_model(p);
    sp_sentences *s = m ? read_tagged(data, &format, &p->status) : NULL, *tagged = NULL;
    const bool ok = s && (s->n || sp_fail(&p->status, SP_ERR_FORMAT, "%s: there are no sentences", data))
                    && (tagged = sp_tagger_tag(m, s, &p->status)) && report_tags(p, m, s, tagged);
    sp_tagger_free(m);
    sp_sentences_free(s);
    sp_sentences_free(tagged);
    return ok;
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

/* A sentence with the tags of the grammar below it, and the model's where these differ. */
static void show(const sp_sentences *truth, const sp_sentences *guess, long i)
{
    for (int row = 0; row < 3; row++) {
        for (long j = 0; j < sp_sentence_length(truth, 0, i); j++) {
            const char *word = sp_sentence_word(truth, 0, i, j, NULL), *tag = sp_sentence_word(truth, 1, i, j, NULL);
            const char *ours = sp_sentence_word(guess, 1, i, j, NULL);
            const int width = (int)(strlen(word) > 5 ? strlen(word) : 5) + 1;
            printf("%s%-*s", j ? "" : "  ", width, !row ? word : row == 1 ? tag : strcmp(tag, ours) != 0 ? ours : "");
        }
        putchar('\n');
    }
}

/* The best model beside the baseline and the optimum, printed and into the result. */
static bool compare(const struct run *r, const sp_sentences *test, const sp_hmm_optimum *best)
{
    struct program *p = r->program;
    sp_sentences *ours = sp_tagger_tag(r->model, test, &p->status);
    sp_sentences *plain = ours ? sp_tags_most_frequent(r->train, test, &p->status) : NULL;
    if (plain) {
        const double accuracy = sp_tags_accuracy(test, ours, NULL, NULL), baseline = sp_tags_accuracy(test, plain, NULL, NULL);
        printf("Share of right tags in 5,000 new sentences of a little grammar of English:\n"
               "  each word's most frequent tag   %.2f %%\n  this model                      %.2f %%\n"
               "  who knows the grammar           %.2f %%\n\nA sentence, its tags, and where the model has another:\n\n",
               100 * baseline, 100 * accuracy, 100 * best->accuracy);
        show(test, ours, 4);
        sp_report_number(p->result, "accuracy", accuracy);
        sp_report_number(p->result, "best_accuracy", best->accuracy);
        sp_report_number(p->result, "baseline_accuracy", baseline);
    }
    const bool ok = plain;
    sp_sentences_free(ours);
    sp_sentences_free(plain);
    return ok;
}

/* Trains and compares; where training is interrupted there is nothing to compare. */
static bool run_demo(struct run *r, long sentences, const char *directory)
{
    sp_status *status = &r->program->status;
    sp_hmm_optimum best;
    sp_training x;
    sp_hmm *grammar = sp_hmm_english(status);
    sp_sentences *test = grammar ? sp_hmm_sentences(grammar, 5000, 3, status) : NULL;
    bool ok = test && (r->train = sp_hmm_sentences(grammar, sentences, 1, status))
              && (r->valid = sp_hmm_sentences(grammar, 1000, 2, status)) && sp_hmm_best(grammar, test, &best, status)
              && train_run(r, &x);
    if (ok && !x.interrupted && (ok = compare(r, test, &best)))
        program_draw(r->program, directory, r->settings->graph);
    sp_sentences_free(test);
    sp_hmm_free(grammar);
    return ok;
}

static bool demo(struct program *p)
{
    const char *directory = "demo-tag";
    struct settings s = defaults();
    struct run r = { .program = p, .settings = &s };
    long sentences = 15000;
    s.trainer.epochs = 4;
    const sp_option options[] = {
        { "sentences", SP_OPTION_WHOLE, &sentences, 1, 1e6, .help = "to train on" },
        PROGRAM_DEMO(p, &directory, &s.trainer),
        { 0 }
    };
    const bool ok = program_parse(p, options, NULL)
                    && program_demo_files(p, directory, "tagger.safetensors", &s.out, &s.trainer, &s.graph)
                    && run_demo(&r, sentences, directory);
    close_run(&r);
    return ok;
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",   train,   "train a model on tagged sentences",
          "Trains a tagger on sentences whose words have tags.\n"
          "The best model is kept: by f1 where tags are of spans (B-LOC), else by accuracy, or by\n"
          "--metric." PROGRAM_TRAIN_HELP, NULL },
        { "predict", predict, "let a model tag sentences",
          "Writes the words of sentences with the tags that a model gives them, a tab\n"
          "between, a blank line behind each sentence.", "MODEL" },
        { "eval",    eval,    "measure how many tags are right",
          "Measures how many tags a model gives right; where tags are of spans (B-LOC),\n"
          "also the spans, as conlleval does.", "MODEL" },
        { "demo",    demo,    "do all of this in a minute, without any data",
          "Trains on sentences of a little grammar for about a minute, and compares what\n"
          "it learned with the best that can be.", NULL },
        { 0 }
    };
    return program_main("tag", verbs, argc, argv);
}
