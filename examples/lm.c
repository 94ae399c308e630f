/* A language model from the command line: train it on a text, let it write, measure it.

       lm train --data shakespeare.txt --out model.safetensors
       lm sample model.safetensors --prime "To be" --length 200
       lm eval model.safetensors --data other.txt
       echo "the apple and pear salad" | lm score model.safetensors
       lm demo
*/
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* ---- what all commands share ----------------------------------------------------------------------------------- */

/* From here on what the model does is counted, if that was asked for. */
static bool begin_profile(sp_lm *m, bool wanted, sp_status *status)
{
    return program_profile_begin(&m->profile, wanted, status);
}

/* Shows what was counted, and frees the model. */
static void close_model(sp_lm *m)
{
    program_profile_end(m ? m->profile : NULL);
    sp_lm_free(m);
}

/* Symbols as text: words with spaces between them, except at line ends. */
static void print_symbols(const sp_vocabulary *v, const int *id, long n, FILE *out)
{
    bool word = sp_vocabulary_level(v) == SP_LEVEL_WORD, line_start = true;
    for (long i = 0; i < n; i++) {
        size_t length;
        const char *s = sp_vocabulary_symbol(v, id[i], &length);
        bool line_end = length == 1 && *s == '\n';
        if (word && !line_start && !line_end)
            fputc(' ', out);
        fwrite(s, 1, length, out);
        line_start = line_end;
    }
}

/* ---- train ----------------------------------------------------------------------------------------------------- */

struct settings {
    const char *data, *valid, *out, *level, *graph;
    sp_lm_config model;
    long batch, bptt, vocabulary, memory;
    bool profile;
    sp_trainer_config trainer;
};

static struct settings defaults(void)
{
    struct settings s = {
        .out = "lm.safetensors", .level = "char", .batch = 50, .bptt = 50, .vocabulary = 10000,
        .model = { .cell = "lstm", .embed = 128, .hidden = 128, .layers = 2 }, .trainer = sp_trainer_defaults(),
    };
    return s;
}

/* The texts as numbers, and the model that learns from them. */
struct run {
    const struct settings *settings;
    sp_ids train, valid;
    sp_lm *model;
    struct part {               /* some of the streams being read: a shard of the batch */
        sp_stream stream;
        sp_state *state;
        int *x, *y;             /* [bptt,batch] */
    } part[SP_MOST_SHARDS];
};

static void close_run(struct run *r)
{
    free(r->train.id);
    free(r->valid.id);
    for (int i = 0; i < SP_MOST_SHARDS; i++) {
        free(r->part[i].x);
        free(r->part[i].y);
        sp_state_free(r->part[i].state);
    }
    close_model(r->model);
}

static long begin(void *self, bool training, long epoch)
{
    struct run *r = self;
    (void)epoch;
    const sp_ids *ids = training ? &r->train : &r->valid;
    const sp_stream all = sp_stream_of(ids->id, ids->n, r->settings->batch, r->settings->bptt);
    for (int i = 0; i < sp_trainer_shards(r->settings->batch); i++) {
        r->part[i].stream = sp_stream_part(&all, i, sp_trainer_shards(r->settings->batch));
        sp_state_zero(r->part[i].state);
    }
    return all.windows;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const struct run *r = self;
    const struct part *p = &r->part[shard];
    (void)training;
    *count = sp_stream_read(&p->stream, batch, p->x, p->y);
    return sp_lm_loss(t, r->model, p->x, p->y, sp_stream_length(&p->stream, batch), p->stream.batch, p->state);
}

static bool save(void *self, sp_status *status)
{
    const struct run *r = self;
    return sp_lm_save(r->model, r->settings->out, status);
}

static sp_real *carried(void *self, int i, long *size)
{
    const struct run *r = self;
    return i < sp_trainer_shards(r->settings->batch) ? sp_state_values(r->part[i].state, size) : NULL;
}

static void describe(void *self, sp_report *r)
{
    const struct run *run = self;
    const struct settings *s = run->settings;
    const sp_option rows[] = { SP_LM_OPTIONS(&run->model->config), { 0 } };
    sp_report_text(r, "level", s->level);
    sp_options_report(rows, r);
    sp_report_count(r, "batch", s->batch);
    sp_report_count(r, "bptt", s->bptt);
    sp_report_count(r, "vocabulary", sp_vocabulary_size(run->model->vocabulary));
    sp_report_bytes(r, "training text", run->train.id, (size_t)run->train.n * sizeof *run->train.id);
    sp_report_bytes(r, "validation text", run->valid.id, (size_t)run->valid.n * sizeof *run->valid.id);
}

static bool check_files(const struct settings *s, sp_status *status)
{
    const struct named_file files[] = {
        { "data", s->data }, { "valid", s->valid }, { "out", s->out }, { "log", s->trainer.log }, { "graph", s->graph },
        { "checkpoint", s->trainer.checkpoint }, { "plot", s->trainer.plot }
    };
    return program_check_files(files, sizeof files / sizeof *files, 2, status);
}

/* Cuts the last tenth of a text's symbols off. */
static size_t first_part(const char *text, size_t size, sp_level level)
{
    size_t at = 0, length;
    long n = 0, keep;
    while (sp_text_next(text, size, level, &at, &length))
        n++;
    keep = n - n / 10;
    for (at = 0; keep-- > 0; )
        sp_text_next(text, size, level, &at, &length);
    return at;
}

/* Encodes both texts and makes the model. */
static bool open_run(struct run *r, const char *text, size_t size, const char *valid, size_t valid_size, sp_status *status)
{
    const struct settings *s = r->settings;
    sp_level level = strcmp(s->level, "word") ? SP_LEVEL_CHAR : SP_LEVEL_WORD;
    if (!valid) {
        size_t part = first_part(text, size, level);
        valid = text + part;
        valid_size = size - part;
        size = part;
    }
    sp_vocabulary *v = sp_vocabulary_of(text, size, level, s->vocabulary, status);
    if (!v || !(r->model = sp_lm_new(&s->model, v, (uint64_t)s->trainer.seed, status)))
        return false;
    if (!sp_encode(v, text, size, &r->train, status) || !sp_encode(v, valid, valid_size, &r->valid, status))
        return false;
    if (r->train.n <= s->batch * s->bptt)
        return sp_fail(status, SP_ERR_VALUE, "%s: %ld symbols to train on, but one window of --batch %ld streams of --bptt "
                       "%ld steps needs %ld; lower them", s->data, r->train.n, s->batch, s->bptt, s->batch * s->bptt + 1);
    if (r->valid.n <= s->batch)
        return sp_fail(status, SP_ERR_VALUE, "%s: %ld symbols to validate on, but --batch %ld streams need %ld",
                       s->valid ? s->valid : s->data, r->valid.n, s->batch, s->batch + 1);
    const sp_stream all = sp_stream_of(r->train.id, r->train.n, s->batch, s->bptt);
    for (int i = 0; i < sp_trainer_shards(s->batch); i++) {
        struct part *p = &r->part[i];
        const long batch = sp_stream_part(&all, i, sp_trainer_shards(s->batch)).batch;
        p->x = malloc((size_t)(batch * s->bptt) * sizeof *p->x);
        p->y = malloc((size_t)(batch * s->bptt) * sizeof *p->y);
        p->state = sp_state_new(&r->model->stack, batch);
        if (!p->x || !p->y || !p->state)
            return sp_fail(status, SP_ERR_MEMORY, "out of memory for a window");
    }
    return begin_profile(r->model, s->profile, status);
}

/* The graph of two streams over three time steps: enough to see everything, small enough to look at. */
static bool draw_graph(const sp_lm *m, const char *path, sp_status *status)
{
    const int x[6] = { 0 };
    sp_tape *t = sp_tape_new(m->store);
    sp_lm_loss(t, m, x, x, 3, 2, NULL);
    return program_save_graph(t, path, status);
}

static bool train_run(struct run *r, sp_training *result, sp_status *status)
{
    const struct settings *s = r->settings;
    const sp_task task = { .self = r, .store = r->model->store, .shards = sp_trainer_shards(s->batch), .begin = begin, .loss = loss,
                           .save = save, .carried = carried, .describe = describe };
    char params[32], n[32], m[32];
    if (s->graph && !draw_graph(r->model, s->graph, status))
        return false;
    fprintf(stderr, "%s to train on, %s to validate on, %d symbols, %s parameters, %s kernels\n",
            sp_thousands(n, r->train.n), sp_thousands(m, r->valid.n), sp_vocabulary_size(r->model->vocabulary),
            sp_thousands(params, sp_model_parameters(r->model->store)), sp_blas_kernels());
    if (r->valid.unknown)
        fprintf(stderr, "%ld of the symbols to validate on are unknown\n", r->valid.unknown);
    sp_trainer_config config = s->trainer;
    config.profile = r->model->profile;
    const bool ok = program_train(&task, &config, s->out, result, status);
    if (!ok) {
        char *end = status->message + strlen(status->message);
        if (strstr(status->message, "a budget of"))
            snprintf(end, sizeof status->message - (size_t)(end - status->message),
                     " (--memory %ld is shared by layers x shards, %ld x %d)", s->memory, s->model.layers, task.shards);
    }
    return ok;
}

static bool parse_train(struct settings *s, int argc, char **argv, int *code)
{
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &s->data, .argument = "FILE", .required = true, .help = "text to train on" },
        { "valid", SP_OPTION_TEXT, &s->valid, .argument = "FILE", .help = "text to validate on; else the last tenth of --data" },
        { "out", SP_OPTION_TEXT, &s->out, .argument = "MODEL", .help = "where the best model goes" },
        { "level", SP_OPTION_CHOICE, &s->level, .argument = "char|word", .help = "what a symbol is" },
        { "vocab", SP_OPTION_WHOLE, &s->vocabulary, 1, 1e6, .help = "most symbols; rarer ones are <unk>" },
        SP_LM_OPTIONS(&s->model),
        { "batch", SP_OPTION_WHOLE, &s->batch, 1, 65536, .help = "streams read side by side" },
        { "bptt", SP_OPTION_WHOLE, &s->bptt, 1, 65536, .help = "time steps of a window" },
        SP_TRAINER_OPTIONS(&s->trainer),
        { "memory", SP_OPTION_WHOLE, &s->memory, 0, 1e6, .help = "most MB that layers keep for the way back, where they compute the rest twice; 0: no limit" },
        { "graph", SP_OPTION_TEXT, &s->graph, .argument = "FILE.dot", .help = "the graph of three time steps, for Graphviz" },
        SP_OPTION_PROFILE(&s->profile),
        { 0 }
    };
    const sp_command command = { "lm train", "Trains a language model on a text. Ctrl-C ends it and saves.\n"
                                 "The last line on standard output is a JSON object of the results, here as in all commands.", options, NULL };
    const bool ok = program_parse(&command, argc, argv, NULL, code);
    s->trainer.budget = ((size_t)s->memory << 20) / (size_t)(s->model.layers * sp_trainer_shards(s->batch));
    return ok;
}

static int train(int argc, char **argv)
{
    struct settings s = defaults();
    struct run r = { .settings = &s };
    sp_status status = { 0 };
    sp_training result;
    size_t size, valid_size = 0;
    int code;
    if (!parse_train(&s, argc, argv, &code))
        return code;
    char *text = check_files(&s, &status) ? sp_text_read(s.data, &size, &status) : NULL;
    char *valid = s.valid && text ? sp_text_read(s.valid, &valid_size, &status) : NULL;
    bool ok = text && (valid || !s.valid) && open_run(&r, text, size, valid, valid_size, &status)
              && sp_file_writable(s.out, &status) && sp_trainer_check(&s.trainer, &status) && train_run(&r, &result, &status);
    free(text);
    free(valid);
    if (ok) {
        sp_report *j = sp_report_new();
        sp_report_text(j, "command", "train");
        program_report_training(j, &result, NULL, s.out);
        ok = program_finish(j) == EXIT_SUCCESS;
    } else {
        program_error(&status);
    }
    close_run(&r);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
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
        if (sp_vocabulary_id(m->vocabulary, s, length) == SP_UNKNOWN)
            return sp_fail(status, SP_ERR_VALUE, "--prime: the model has never seen '%.*s'", (int)length, s);
    return true;
}

/* Writes the prime and what the model goes on with. */
static bool write_sample(const sp_lm *m, const char *prime, const sp_sampling *how, long length, double *log_p,
                         sp_status *status)
{
    sp_ids ids = { 0 };
    int *out = malloc((size_t)(length + 1) * sizeof *out);
    bool ok = (out || sp_fail(status, SP_ERR_MEMORY, "out of memory for %ld symbols", length))
              && encode_prime(m, prime, &ids, status)
              && sp_lm_sample(m, ids.id, ids.n, how, length, out, log_p, status);
    if (ok) {
        if (prime) {
            print_symbols(m->vocabulary, ids.id, ids.n, stdout);
            if (sp_vocabulary_level(m->vocabulary) == SP_LEVEL_WORD)
                fputc(' ', stdout);
        }
        print_symbols(m->vocabulary, out, length, stdout);
        fputc('\n', stdout);
    }
    free(ids.id);
    free(out);
    return ok;
}

static int sample(int argc, char **argv)
{
    const char *model, *prime = NULL;
    long length = 400, seed = 1;
    bool profile = false;
    double log_p;
    sp_sampling how = { .temperature = 0.8, .top_p = 1 };
    int code;
    sp_status status = { 0 };
    const sp_option options[] = {
        { "prime", SP_OPTION_TEXT, &prime, .argument = "TEXT", .help = "what to go on from; else a new line" },
        { "length", SP_OPTION_WHOLE, &length, 1, 1e8, .help = "symbols to write" },
        { "temperature", SP_OPTION_NUMBER, &how.temperature, 0, 100, .help = "below 1: safer; above: wilder; 0: the likeliest" },
        { "top-k", SP_OPTION_WHOLE, &how.top_k, 0, 1e6, .help = "only among the k likeliest; 0: all" },
        { "top-p", SP_OPTION_NUMBER, &how.top_p, 1e-6, 1, .help = "only among the likeliest of this much probability" },
        { "seed", SP_OPTION_WHOLE, &seed, 0, 2147483647, .help = "another seed, another text" },
        SP_OPTION_PROFILE(&profile),
        { 0 }
    };
    const sp_command command = { "lm sample", "Lets a model write.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    how.seed = (uint64_t)seed;
    sp_lm *m = sp_lm_load(model, &status);
    bool ok = m && begin_profile(m, profile, &status) && write_sample(m, prime, &how, length, &log_p, &status);
    close_model(m);
    if (!ok)
        return program_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "sample");
    sp_report_count(j, "symbols", length);
    sp_report_number(j, "log_probability", log_p);
    sp_report_count(j, "seed", seed);
    return program_finish(j);
}

/* ---- eval ------------------------------------------------------------------------------------------------------ */

static int eval(int argc, char **argv)
{
    const char *model, *data = NULL;
    long batch = 20;
    bool profile = false;
    int code;
    sp_status status = { 0 };
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &data, .argument = "FILE", .required = true, .help = "text to measure" },
        { "batch", SP_OPTION_WHOLE, &batch, 1, 65536, .help = "pieces of the text read side by side" },
        SP_OPTION_PROFILE(&profile),
        { 0 }
    };
    const sp_command command = { "lm eval", "Measures how well a model predicts a text.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    size_t size;
    sp_ids ids = { 0 };
    double nats = NAN;
    sp_lm *m = sp_lm_load(model, &status);
    char *text = m && begin_profile(m, profile, &status) ? sp_text_read(data, &size, &status) : NULL;
    if (text && sp_encode(m->vocabulary, text, size, &ids, &status))
        nats = sp_lm_evaluate(m, ids.id, ids.n, batch, &status);
    free(text);
    free(ids.id);
    close_model(m);
    if (status.code != SP_OK)
        return program_error(&status);
    printf("%.4f nats, %.4f bits per symbol, perplexity %.3f\n", nats, nats / log(2), exp(nats));
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "eval");
    sp_report_count(j, "symbols", ids.n);
    sp_report_count(j, "unknown", ids.unknown);
    sp_report_number(j, "nats", nats);
    sp_report_number(j, "bits", nats / log(2));
    sp_report_number(j, "perplexity", exp(nats));
    return program_finish(j);
}

/* ---- score ----------------------------------------------------------------------------------------------------- */

/* ln p of a line and its end, after a line end. */
static bool score_line(const sp_lm *m, const char *line, size_t size, double *log_p, long *unknown, sp_status *status)
{
    sp_ids ids = { 0 };
    char *text = malloc(size + 2);
    bool ok = text || sp_fail(status, SP_ERR_MEMORY, "out of memory for a line");
    if (ok) {
        text[0] = text[size + 1] = '\n';
        memcpy(text + 1, line, size);
        ok = sp_encode(m->vocabulary, text, size + 2, &ids, status);
    }
    if (ok)
        *log_p = sp_lm_score(m, ids.id, ids.n, status);
    *unknown = ids.unknown;
    free(text);
    free(ids.id);
    return ok && status->code == SP_OK;
}

static int score(int argc, char **argv)
{
    const char *model;
    char *line = NULL;
    size_t room = 0;
    long lines = 0, unknown;
    double log_p, sum = 0;
    bool profile = false;
    int code;
    sp_status status = { 0 };
    const sp_option options[] = { SP_OPTION_PROFILE(&profile), { 0 } };
    const sp_command command = { "lm score", "Reads lines from standard input and prints before each its log-probability "
                                 "(nats) as a whole line.", options, "MODEL" };
    if (!program_parse(&command, argc, argv, &model, &code))
        return code;
    sp_lm *m = sp_lm_load(model, &status);
    bool ready = m && begin_profile(m, profile, &status);
    for (ssize_t n; ready && (n = getline(&line, &room, stdin)) >= 0; lines++) {
        n -= n && line[n - 1] == '\n';
        if (!score_line(m, line, (size_t)n, &log_p, &unknown, &status))
            break;
        if (unknown)
            fprintf(stderr, "lm: line %ld: %ld symbol(s) that the model has never seen\n", lines + 1, unknown);
        printf("%.3f\t%.*s\n", log_p, (int)n, line);
        sum += log_p;
    }
    if (m && ferror(stdin))
        sp_fail(&status, SP_ERR_FILE, "standard input: cannot be read: %s", strerror(errno));
    free(line);
    close_model(m);
    if (status.code != SP_OK)
        return program_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "score");
    sp_report_count(j, "lines", lines);
    sp_report_number(j, "log_probability", sum);
    return program_finish(j);
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

static bool run_demo(struct run *r, struct settings *s, const char *svg, sp_status *status)
{
    size_t size;
    sp_training x;
    double unigram, bigram, log_p;
    const sp_sampling how = { .temperature = 0.7, .top_p = 1, .seed = 1 };
    const char *text = sp_corpus(&size);
    if (!open_run(r, text, size, NULL, 0, status) || !sp_file_writable(s->out, status))
        return false;
    if (!sp_ngram_losses(r->train.id, r->train.n, r->valid.id, r->valid.n, sp_vocabulary_size(r->model->vocabulary), &unigram,
                         &bigram, status) || !train_run(r, &x, status))
        return false;
    printf("Validation loss in nats per character, the last tenth of Spindle's own source, unseen in training:\n"
           "  unigram model   %.3f\n  bigram model    %.3f\n  this model      %.3f\n\n400 characters it writes:\n\n",
           unigram, bigram, x.best_loss);
    if (!write_sample(r->model, NULL, &how, 400, &log_p, status))
        return false;
    bool drawn = program_draw(s->graph, svg);
    printf("\nModel %s, log %s, graph %s%s%s.\n", s->out, s->trainer.log, s->graph, drawn ? " and " : "", drawn ? svg : "");
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "demo");
    program_report_training(j, &x, NULL, s->out);
    sp_report_number(j, "unigram_loss", unigram);
    sp_report_number(j, "bigram_loss", bigram);
    sp_report_text(j, "graph", s->graph);
    sp_report_text(j, "picture", drawn ? svg : NULL);
    return program_finish(j) == EXIT_SUCCESS || sp_fail(status, SP_ERR_FILE, "standard output: writing failed");
}

static int demo(int argc, char **argv)
{
    const char *directory = "demo";
    struct settings s = defaults();
    struct run r = { .settings = &s };
    int code;
    sp_status status = { 0 };
    s.trainer.epochs = 6;
    const sp_option options[] = {
        { "out", SP_OPTION_TEXT, &directory, .argument = "DIR", .help = "where model, log and graph go" },
        { "epochs", SP_OPTION_WHOLE, &s.trainer.epochs, 1, 1e6, .help = "times through the text" },
        SP_OPTION_PROFILE(&s.profile),
        { 0 }
    };
    const sp_command command = { "lm demo", "Trains on Spindle's own source for about a minute, and shows what it learned.",
                                 options, NULL };
    if (!program_parse(&command, argc, argv, NULL, &code))
        return code;
    char *model = program_path(directory, "lm.safetensors"), *log = program_path(directory, "log.jsonl");
    char *graph = program_path(directory, "graph.dot"), *svg = program_path(directory, "graph.svg"), *curve = program_path(directory, "curve.svg");
    bool ok = model && log && graph && svg && curve;
    if (!ok)
        sp_fail(&status, SP_ERR_MEMORY, "out of memory");
    else
        ok = program_directory(directory, &status);
    s.data = "Spindle's source";
    s.out = model;
    s.trainer.log = log;
    s.trainer.plot = curve;
    s.graph = graph;
    ok = ok && run_demo(&r, &s, svg, &status);
    close_run(&r);
    free(model);
    free(log);
    free(graph);
    free(svg);
    free(curve);
    return ok ? EXIT_SUCCESS : program_error(&status);
}

/* ---------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        { "train",  train,  "train a model on a text" },
        { "sample", sample, "let a model write" },
        { "eval",   eval,   "measure how well a model predicts a text" },
        { "score",  score,  "print the log-probability of lines" },
        { "demo",   demo,   "do all of this in a minute, without any data" },
        { 0 }
    };
    return program_main("lm", verbs, argc, argv);
}
