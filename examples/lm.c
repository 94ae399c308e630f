/* A language model from the command line: train it on a text, let it write, measure it.

       lm train --data shakespeare.txt --out model.safetensors
       lm sample model.safetensors --prime "To be" --length 200
       lm eval model.safetensors --data other.txt --dynamic
       echo "the apple and pear salad" | lm score model.safetensors
       lm demo

   Words, in files of the form of the Penn Treebank, a sentence a line:

       lm train --level word --data train.txt --valid valid.txt --test test.txt --hidden 256 --embed 256 --tied --dropout 0.4 \
           --variational --batch 32 --bptt 35 --optimizer sgd --lr 40 --clip 0.25 --schedule cosine --epochs 25 --threads 2
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* ---- what all commands share ----------------------------------------------------------------------------------- */

static sp_lm *open_model(struct program *p)
{
    sp_lm *m = sp_lm_load(p->model, &p->status);
    if (m)
        m->profile = p->profile;
    return m;
}

/* Symbols as text: words with spaces between them, except at line ends. *line_start: here, and then behind them. */
static void print_symbols(const sp_vocabulary *v, const int *id, long n, bool *line_start)
{
    const bool word = sp_vocabulary_level(v) == SP_LEVEL_WORD;
    for (long i = 0; i < n; i++) {
        size_t length;
        const char *s = sp_vocabulary_symbol(v, id[i], &length);
        const bool line_end = length == 1 && *s == '\n';
        if (word && !*line_start && !line_end)
            putchar(' ');
        fwrite(s, 1, length, stdout);
        *line_start = line_end;
    }
}

enum { STREAMS = 10 };          /* a text that is only measured is read as so many */

/* ---- train ----------------------------------------------------------------------------------------------------- */

struct settings {
    sp_lm_source data;
    sp_lm_config model;
    const char *out, *graph;
    long batch, bptt, memory;
    sp_trainer_config trainer;
};

static struct settings defaults(void)
{
    struct settings s = {
        .data = { .most = 10000 }, .out = "lm.safetensors", .batch = 50, .bptt = 50,
        .model = { .cell = "lstm", .embed = 128, .hidden = 128, .layers = 2 }, .trainer = sp_trainer_defaults(),
    };
    s.trainer.metrics = "loss";
    return s;
}

/* The texts as numbers, and the model that learns from them. */
struct run {
    struct program *program;
    const struct settings *settings;
    sp_lm_data data;
    sp_lm *model;
    sp_lm_trainer *trainer;
    sp_training result;
};

static void close_run(struct run *r)
{
    sp_lm_trainer_free(r->trainer);
    sp_lm_data_free(&r->data);
    sp_lm_free(r->model);
}

/* Reads the texts and makes the model. */
static bool open_run(struct run *r)
{
    const struct settings *s = r->settings;
    sp_status *status = &r->program->status;
    if (!sp_lm_data_read(&r->data, &s->data, status))
        return false;
    r->model = sp_lm_new(&s->model, r->data.vocabulary, (uint64_t)s->trainer.seed, status);
    r->data.vocabulary = NULL;
    if (!r->model)
        return false;
    r->model->profile = r->program->profile;
    return (r->trainer = sp_lm_trainer_new(r->model, &r->data.train, &r->data.valid, s->batch, s->bptt, s->out, status));
}

/* Settings that depend on each other, before long texts are read: with a short one. */
static bool try_settings(const struct settings *s, sp_status *status)
{
    char text[4096];
    sp_lm_data d;
    sp_lm_config model = s->model;
    sp_lm_source short_text = { .text = text, .size = sizeof text, .level = s->data.level, .split = s->data.split };
    memset(text, '\n', sizeof text);
    if (!model.tied)
        model.adaptive = 0;             /* it depends on the text */
    if (!sp_trainer_check(&s->trainer, status) || !sp_lm_data_read(&d, &short_text, status))
        return false;
    const bool ok = !d.test.n || !s->data.test
                    || sp_fail(status, SP_ERR_VALUE, "split %s: but there is %s to test on", s->data.split, s->data.test);
    sp_lm *m = sp_lm_new(&model, d.vocabulary, 1, status);
    d.vocabulary = NULL;
    const bool made = m;
    sp_lm_data_free(&d);
    sp_lm_free(m);
    return ok && made;
}

/* The graph of two streams over three time steps: enough to see everything, small enough to look at. */
static bool draw_graph(const sp_lm *m, const char *path, sp_status *status)
{
    const int x[6] = { 0 };
    sp_tape *t = sp_tape_new(m->store);
    sp_lm_loss(t, m, x, x, 3, 2, NULL);
    return program_save_graph(t, path, status);
}

static void tell_sizes(const struct run *r)
{
    char params[32], n[32], m[32];
    fprintf(stderr, "%s to train on, %s to validate on, %d symbols, %s parameters, %s kernels\n",
            sp_thousands(n, r->data.train.n), sp_thousands(m, r->data.valid.n), sp_vocabulary_size(r->model->vocabulary),
            sp_thousands(params, sp_model_parameters(r->model->store)), sp_blas_kernels());
    if (r->data.valid.unknown)
        fprintf(stderr, "%ld of the symbols to validate on are unknown\n", r->data.valid.unknown);
    if (r->data.test.unknown)
        fprintf(stderr, "%ld of the symbols to test on are unknown\n", r->data.test.unknown);
}

/* Words have a perplexity, characters have bits. */
static void report_loss(sp_report *j, const sp_lm *m, const char *text, double nats)
{
    char key[64];
    const bool word = sp_vocabulary_level(m->vocabulary) == SP_LEVEL_WORD;
    snprintf(key, sizeof key, "%s_%s", text, word ? "perplexity" : "bits");
    sp_report_number(j, key, word ? exp(nats) : nats / log(2));
}

/* Of the best model, which training leaves. */
static bool measure_test(struct run *r)
{
    sp_report *j = r->program->result;
    const double nats = sp_lm_evaluate(r->model, r->data.test.id, r->data.test.n, STREAMS, &r->program->status);
    sp_report_number(j, "test_loss", nats);
    report_loss(j, r->model, "test", nats);
    return !isnan(nats);
}

/* Trains; then the result has what it came to. */
static bool train_run(struct run *r)
{
    const struct settings *s = r->settings;
    struct program *p = r->program;
    const sp_task task = sp_lm_trainer_task(r->trainer);
    sp_trainer_config config = s->trainer;
    config.budget = ((size_t)s->memory << 20) / (size_t)(s->model.layers * task.shards);
    if (s->graph && !draw_graph(r->model, s->graph, &p->status))
        return false;
    tell_sizes(r);
    if (program_train(p, &task, &config, s->out, &r->result)) {
        report_loss(p->result, r->model, "best_valid", r->result.best_loss);
        return !r->data.test.n || measure_test(r);
    }
    char *end = p->status.message + strlen(p->status.message);
    if (p->status.code == SP_ERR_BUDGET)
        snprintf(end, sizeof p->status.message - (size_t)(end - p->status.message),
                 " (--memory %ld is shared by layers x shards, %ld x %d)", s->memory, s->model.layers, task.shards);
    return false;
}

static bool parse_train(struct program *p, struct settings *s)
{
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &s->data.train, .argument = "FILE", .required = true, .help = "text to train on",
          .file = SP_OPTION_READS },
        { "valid", SP_OPTION_TEXT, &s->data.valid, .argument = "FILE", .help = "text to validate on; else --split",
          .file = SP_OPTION_READS },
        { "test", SP_OPTION_TEXT, &s->data.test, .argument = "FILE", .help = "text to measure the best model on in the end",
          .file = SP_OPTION_READS },
        { "split", SP_OPTION_TEXT, &s->data.split, .argument = "80,10,10",
          .help = "percents of --data to train, validate, test on; else 90,10" },
        PROGRAM_OUT(&s->out),
        { "level", SP_OPTION_INDEX, &s->data.level, .argument = SP_LEVEL_KINDS, .help = "what a symbol is; each line end is one" },
        { "vocab", SP_OPTION_WHOLE, &s->data.most, 1, 1e6, .help = "most symbols, <unk> not counted; rarer ones are <unk>" },
        SP_LM_OPTIONS(&s->model),
        { "batch", SP_OPTION_WHOLE, &s->batch, 1, 65536, .help = "streams read side by side" },
        { "bptt", SP_OPTION_WHOLE, &s->bptt, 1, 65536, .help = "time steps of a window" },
        SP_TRAINER_OPTIONS(&s->trainer),
        { "memory", SP_OPTION_WHOLE, &s->memory, 0, 1e6,
          .help = "most MB kept for the way back, more is computed twice; 0: all" },
        PROGRAM_SHOW(p, &s->graph),
        { 0 }
    };
    static const sp_need needs[] = { { "split", "valid", "" }, { 0 } };
    return program_parse(p, options, needs) && program_settings(p, try_settings(s, &p->status));
}

static bool train(struct program *p)
{
    struct settings s = defaults();
    struct run r = { .program = p, .settings = &s };
    const bool ok = parse_train(p, &s) && open_run(&r) && train_run(&r);
    close_run(&r);
    return ok;
}

/* ---- sample ---------------------------------------------------------------------------------------------------- */

/* The prime as numbers; without one a line end, or if there is none the most frequent symbol. */
static bool encode_prime(const sp_lm *m, const char *prime, sp_ids *ids, sp_status *status)
{
    size_t at = 0, length;
    sp_level level = sp_vocabulary_level(m->vocabulary);
    const char *text = prime ? prime : "\n";
    if (!sp_encode(m->vocabulary, text, strlen(text), ids, status))
        return false;
    if (!prime && ids->unknown)
        ids->id[0] = 1;
    if (!ids->n)
        return sp_fail(status, SP_ERR_VALUE, "--prime: there is no symbol in it");
    for (const char *s; prime && (s = sp_text_next(prime, strlen(prime), level, &at, &length)); )
        if (sp_vocabulary_id(m->vocabulary, s, length) == SP_UNKNOWN && !(length == 5 && !memcmp(s, "<unk>", 5)))
            return sp_fail(status, SP_ERR_VALUE, "--prime: the model has never seen '%.*s'", (int)length, s);
    return true;
}

/* Writes `count` texts, each the prime and what the model goes on with. */
static bool write_samples(const sp_lm *m, const char *prime, const sp_sampling *how, long length, long count, double *log_p,
                          sp_status *status)
{
    sp_ids ids = { 0 };
    int *out = malloc((size_t)(length * count) * sizeof *out);
    double *each = malloc((size_t)count * sizeof *each);
    bool ok = ((out && each) || sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld x %ld symbols", count, length))
              && encode_prime(m, prime, &ids, status)
              && sp_lm_sample_batch(m, ids.id, ids.n, how, length, count, out, each, status);
    *log_p = 0;
    for (long i = 0; ok && i < count; i++) {
        if (count > 1)
            printf("---- %ld, ln p %.2f ----\n", i + 1, each[i]);
        bool line_start = true;
        if (prime)
            print_symbols(m->vocabulary, ids.id, ids.n, &line_start);
        print_symbols(m->vocabulary, out + i * length, length, &line_start);
        putchar('\n');
        *log_p += each[i];
    }
    free(ids.id);
    free(out);
    free(each);
    return ok;
}

static bool sample(struct program *p)
{
    const char *prime = NULL;
    long length = 400, seed = 1, count = 1;
    double log_p;
    sp_sampling how = { .temperature = 0.8, .top_p = 1 };
    const sp_option options[] = {
        { "prime", SP_OPTION_TEXT, &prime, .argument = "TEXT", .help = "what to go on from; else a new line" },
        { "length", SP_OPTION_WHOLE, &length, 1, 1e8, .help = "symbols to write" },
        { "count", SP_OPTION_WHOLE, &count, 1, 1e5, .help = "texts to write, side by side; more change none of them" },
        { "temperature", SP_OPTION_NUMBER, &how.temperature, 0, 100, .help = "below 1: safer; above: wilder; 0: the likeliest" },
        { "top-k", SP_OPTION_WHOLE, &how.top_k, 0, 1e6, .help = "only among the k likeliest; 0: all" },
        { "top-p", SP_OPTION_NUMBER, &how.top_p, 1e-6, 1, .help = "only among the likeliest of this much probability" },
        { "seed", SP_OPTION_WHOLE, &seed, 0, 2147483647, .help = "another seed, other texts" },
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    if (!program_parse(p, options, NULL))
        return false;
    how.seed = (uint64_t)seed;
    sp_lm *m = open_model(p);
    const bool ok = m && write_samples(m, prime, &how, length, count, &log_p, &p->status);
    sp_lm_free(m);
    if (!ok)
        return false;
    sp_report_count(p->result, "texts", count);
    sp_report_count(p->result, "symbols", count * length);
    sp_report_number(p->result, "log_probability", log_p);
    sp_report_count(p->result, "seed", seed);
    return true;
}

/* ---- eval ------------------------------------------------------------------------------------------------------ */

struct evaluation {
    const char *data, *train;
    long batch;
    bool dynamic;
    sp_lm_dynamic how;
};

static bool parse_eval(struct program *p, struct evaluation *e)
{
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &e->data, .argument = "FILE", .required = true, .help = "text to measure" },
        { "batch", SP_OPTION_WHOLE, &e->batch, 0, 65536, .help = "pieces read side by side; 0: 10, or 1 if dynamic" },
        { "dynamic", SP_OPTION_FLAG, &e->dynamic, .help = "learn on from what was read; the model's file stays" },
        { "rate", SP_OPTION_NUMBER, &e->how.rate, 0, 100, .help = "dynamic: learning rate; of words more, 0.3 or so" },
        { "decay", SP_OPTION_NUMBER, &e->how.decay, 0, 1, .help = "dynamic: back to the trained weights, each step" },
        { "window", SP_OPTION_WHOLE, &e->how.window, 1, 65536, .help = "dynamic: symbols between steps" },
        { "train", SP_OPTION_TEXT, &e->train, .argument = "FILE",
          .help = "dynamic: a text it learned, to scale steps; then --rate 0.0003" },
        SP_OPTION_PROFILE(&p->profiled),
        { 0 }
    };
    static const sp_need needs[] = {
        { "rate", "dynamic", NULL }, { "decay", "dynamic", NULL }, { "window", "dynamic", NULL }, { "train", "dynamic", NULL }, { 0 }
    };
    return program_parse(p, options, needs);
}

static double measure(sp_lm *m, struct evaluation *e, const sp_ids *ids, sp_status *status)
{
    sp_ids train = { 0 };
    double nats = NAN;
    const long batch = e->batch ? e->batch : e->dynamic ? 1 : STREAMS;
    if (!e->dynamic)
        return sp_lm_evaluate(m, ids->id, ids->n, batch, status);
    if (!e->train || sp_lm_data_encode(m->vocabulary, e->train, &train, status)) {
        e->how.train = train.id;
        e->how.n = train.n;
        nats = sp_lm_evaluate_dynamic(m, ids->id, ids->n, batch, &e->how, status);
    }
    free(train.id);
    return nats;
}

static bool eval(struct program *p)
{
    struct evaluation e = { .how = { .rate = 0.1, .decay = 0.001, .window = 20 } };
    sp_ids ids = { 0 };
    double nats = NAN;
    if (!parse_eval(p, &e))
        return false;
    sp_lm *m = open_model(p);
    if (m && sp_lm_data_encode(m->vocabulary, e.data, &ids, &p->status))
        nats = measure(m, &e, &ids, &p->status);
    const double guess = m ? log(sp_vocabulary_size(m->vocabulary)) : NAN;
    free(ids.id);
    sp_lm_free(m);
    if (p->status.code != SP_OK)
        return false;
    if (ids.unknown)
        fprintf(stderr, "%ld of %ld symbols are unknown\n", ids.unknown, ids.n);
    if (e.dynamic && nats > guess)
        fprintf(stderr, "%.4f nats are more than the %.4f of a guess: lower --rate\n", nats, guess);
    printf("%.4f nats, %.4f bits per symbol, perplexity %.3f\n", nats, nats / log(2), exp(nats));
    sp_report_flag(p->result, "dynamic", e.dynamic);
    sp_report_count(p->result, "symbols", ids.n);
    sp_report_count(p->result, "unknown", ids.unknown);
    sp_report_number(p->result, "nats", nats);
    sp_report_number(p->result, "bits", nats / log(2));
    sp_report_number(p->result, "perplexity", exp(nats));
    return true;
}

/* ---- score ----------------------------------------------------------------------------------------------------- */

struct scores {
    sp_lm *m;
    double sum;
};

/* ln p of a line and its end, after a line end. */
static bool score_line(const sp_lm *m, const char *line, double *log_p, long *unknown, sp_status *status)
{
    const size_t size = strlen(line);
    sp_ids ids = { 0 };
    char *text = malloc(size + 3);
    bool ok = text || sp_fail(status, SP_ERR_MEMORY, "out of memory for a line");
    if (ok) {
        snprintf(text, size + 3, "\n%s\n", line);
        ok = sp_encode(m->vocabulary, text, size + 2, &ids, status);
    }
    if (ok)
        *log_p = sp_lm_score(m, ids.id, ids.n, status);
    *unknown = ids.unknown;
    free(text);
    free(ids.id);
    return ok && status->code == SP_OK;
}

static bool answer(void *self, const struct program_lines *l, sp_status *status)
{
    struct scores *x = self;
    double log_p;
    long unknown;
    for (long i = 0; i < l->n; i++) {
        if (!score_line(x->m, l->text[i], &log_p, &unknown, status))
            return false;
        if (unknown)
            fprintf(stderr, "lm: line %ld: %ld symbol(s) that the model has never seen\n", l->before + i + 1, unknown);
        printf("%.3f\t%s\n", log_p, l->text[i]);
        x->sum += log_p;
    }
    return true;
}

static bool score(struct program *p)
{
    const sp_option options[] = { SP_OPTION_PROFILE(&p->profiled), { 0 } };
    if (!program_parse(p, options, NULL))
        return false;
    struct scores x = { .m = open_model(p) };
    const bool ok = x.m && program_answer(p, NULL, 1000, answer, &x);
    sp_lm_free(x.m);
    sp_report_number(p->result, "log_probability", x.sum);
    return ok;
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

static const char *const demo_about[] = {
    "Validation loss in nats per character, the last tenth of Spindle's own source, unseen in training:",
    "Validation loss in nats per symbol (words and line ends), sentences of a grammar, unseen in training:",
};

static bool run_demo(struct run *r, const char *about, double best, const char *directory)
{
    struct program *p = r->program;
    double unigram, bigram, log_p;
    const sp_sampling how = { .temperature = 0.7, .top_p = 1, .seed = 1 };
    const long length = isnan(best) ? 400 : 100;
    if (!open_run(r))
        return false;
    const sp_ids *train = &r->data.train, *valid = &r->data.valid;
    if (!sp_ngram_losses(train->id, train->n, valid->id, valid->n, sp_vocabulary_size(r->model->vocabulary), &unigram, &bigram,
                         &p->status) || !train_run(r))
        return false;
    if (r->result.interrupted)
        return true;
    printf("%s\n  unigram model   %.3f\n  bigram model    %.3f\n  this model      %.3f\n", about, unigram, bigram,
           r->result.best_loss);
    if (!isnan(best))
        printf("  best possible   %.3f, so this model is %.1f %% above it\n", best, 100 * (r->result.best_loss / best - 1));
    printf("\n%ld symbols it writes:\n\n", length);
    if (!write_samples(r->model, NULL, &how, length, 1, &log_p, &p->status))
        return false;
    sp_report_number(p->result, "unigram_loss", unigram);
    sp_report_number(p->result, "bigram_loss", bigram);
    if (!isnan(best))
        sp_report_number(p->result, "best_possible_loss", best);
    program_draw(p, directory, r->settings->graph);
    return true;
}

static bool demo_source(struct run *r, struct settings *s, const char *directory)
{
    s->data.text = sp_corpus(&s->data.size);
    return run_demo(r, demo_about[0], NAN, directory);
}

/* Sentences to learn from, others to validate on, and what those are at best. */
static bool demo_grammar(struct run *r, struct settings *s, const char *directory)
{
    enum { SENTENCES = 50000, OTHERS = 5000 };
    sp_status *status = &r->program->status;
    sp_hmm_optimum best;
    sp_hmm *h = sp_hmm_english(status);
    sp_sentences *train = h ? sp_hmm_sentences(h, SENTENCES, 1, status) : NULL;
    sp_sentences *valid = train ? sp_hmm_sentences(h, OTHERS, 2, status) : NULL;
    char *text = valid ? sp_sentences_lines(train, 0, &s->data.size) : NULL;
    char *other = text ? sp_sentences_lines(valid, 0, &s->data.valid_size) : NULL;
    s->data.text = text;
    s->data.valid_text = other;
    s->data.level = SP_LEVEL_WORD;
    s->model = (sp_lm_config){ .cell = "lstm", .embed = 64, .hidden = 128, .layers = 1 };
    s->trainer.schedule = "cosine";
    s->bptt = 20;
    bool ok = (other || !valid || sp_fail(status, SP_ERR_MEMORY, "out of memory for %d sentences", SENTENCES + OTHERS))
              && other && sp_hmm_best(h, valid, &best, status) && run_demo(r, demo_about[1], best.nats, directory);
    free(text);
    free(other);
    sp_sentences_free(train);
    sp_sentences_free(valid);
    sp_hmm_free(h);
    return ok;
}

static bool demo(struct program *p)
{
    const char *directory = "demo-lm";
    int text = 0;
    struct settings s = defaults();
    struct run r = { .program = p, .settings = &s };
    s.trainer.epochs = 6;
    const sp_option options[] = {
        { "text", SP_OPTION_INDEX, &text, .argument = "source|grammar",
          .help = "Spindle's own source, by characters, or sentences of a grammar whose best possible loss is known" },
        PROGRAM_DEMO(p, &directory, &s.trainer),
        { 0 }
    };
    const bool ok = program_parse(p, options, NULL)
                    && program_demo_files(p, directory, "lm.safetensors", &s.out, &s.trainer, &s.graph)
                    && (text ? demo_grammar : demo_source)(&r, &s, directory);
    close_run(&r);
    return ok;
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",  train,  "train a model on a text", "Trains a language model on a text." PROGRAM_TRAIN_HELP, NULL },
        { "sample", sample, "let a model write", "Lets a model write.", "MODEL" },
        { "eval",   eval,   "measure how well a model predicts a text", "Measures how well a model predicts a text.", "MODEL" },
        { "score",  score,  "print the log-probability of lines",
          "Reads lines from standard input and prints before each its log-probability (nats) as a whole line.", "MODEL" },
        { "demo",   demo,   "do all of this in a minute, without any data",
          "Trains without any data for about a minute, and shows what it learned.", NULL },
        { 0 }
    };
    return program_main("lm", verbs, argc, argv);
}
