/* A language model from the command line: train it on a text, let it write, measure it.

       lm train --data shakespeare.txt --out model.safetensors
       lm sample model.safetensors --prime "To be" --length 200
       lm eval model.safetensors --data other.txt
       echo "the apple and pear salad" | lm score model.safetensors
       lm demo
*/
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <spindle/spindle.h>

extern char **environ;

/* ---- what all commands share ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The first Ctrl-C asks the training to end, the second ends the program. */
static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int report_error(const sp_status *status)
{
    fprintf(stderr, "lm: %s\n", status->message);
    return EXIT_FAILURE;
}

/* Reads the options. False if the program is to end now, with *code: after --help, or a mistake. */
static bool parse(const sp_command *command, int argc, char **argv, const char **argument, int *code)
{
    sp_status status = { 0 };
    sp_parsed parsed = sp_options_parse(command, argc, argv, argument, &status);
    if (parsed == SP_PARSED_HELP)
        sp_options_help(command, stdout);
    if (parsed == SP_PARSED_WRONG)
        report_error(&status);
    *code = parsed == SP_PARSED_WRONG ? 2 : EXIT_SUCCESS;
    return parsed == SP_PARSED;
}

/* The last line on standard output. */
static int finish(sp_report *r)
{
    bool ok = sp_report_write(r, stdout);
    sp_report_free(r);
    if (!ok)
        fprintf(stderr, "lm: the results could not be written\n");
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* From here on what the model does is counted, if that was asked for. */
static bool begin_profile(sp_lm *m, bool wanted, sp_status *status)
{
    if (wanted)
        m->profile = sp_profile_new();
    return !wanted || m->profile || sp_fail(status, SP_ERR_MEMORY, "out of memory for a profile");
}

/* Shows what was counted, and frees the model. */
static void close_model(sp_lm *m)
{
    sp_profile *p = m ? m->profile : NULL;
    if (sp_profile_seconds(p) > 0)
        sp_profile_write(p, sp_peak_rate(), stderr);
    sp_profile_free(p);
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
    long layers, batch, bptt, vocabulary, memory;
    bool profile;
    sp_trainer_config trainer;
};

static struct settings defaults(void)
{
    struct settings s = {
        .out = "lm.safetensors", .level = "char", .batch = 50, .bptt = 50, .vocabulary = 10000, .layers = 2,
        .model = { .cell = "lstm", .embed = 128, .hidden = 128 }, .trainer = sp_trainer_defaults(),
    };
    s.trainer.stop = &stop;
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
    const sp_lm_config *c = &run->model->config;
    sp_report_text(r, "cell", c->cell);
    sp_report_text(r, "level", s->level);
    sp_report_count(r, "embed", c->embed);
    sp_report_count(r, "hidden", c->hidden);
    sp_report_count(r, "layers", c->layers);
    sp_report_number(r, "dropout", c->dropout);
    sp_report_flag(r, "tied", c->tied);
    sp_report_count(r, "batch", s->batch);
    sp_report_count(r, "bptt", s->bptt);
    sp_report_count(r, "vocabulary", sp_vocabulary_size(run->model->vocabulary));
    sp_report_bytes(r, "training text", run->train.id, (size_t)run->train.n * sizeof *run->train.id);
    sp_report_bytes(r, "validation text", run->valid.id, (size_t)run->valid.n * sizeof *run->valid.id);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (!a || !b)
        return false;
    return !strcmp(a, b) || (!stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* No file that is written may be one that is read, or another that is written. */
static bool check_files(const struct settings *s, sp_status *status)
{
    const struct { const char *name, *path; } files[] = {
        { "data", s->data }, { "valid", s->valid }, { "out", s->out }, { "log", s->trainer.log }, { "graph", s->graph },
        { "checkpoint", s->trainer.checkpoint }, { "plot", s->trainer.plot }
    };
    for (int i = 2; i < (int)(sizeof files / sizeof *files); i++)
        for (int k = 0; k < i; k++)
            if (same_file(files[i].path, files[k].path))
                return sp_fail(status, SP_ERR_VALUE, "--%s %s is the file of --%s", files[i].name, files[i].path, files[k].name);
    return true;
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
    sp_lm_config config = s->model;
    config.layers = (int)s->layers;
    sp_vocabulary *v = sp_vocabulary_of(text, size, level, s->vocabulary, status);
    if (!v || !(r->model = sp_lm_new(&config, v, (uint64_t)s->trainer.seed, status)))
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
    bool ok = sp_ok(t) ? sp_dot_save(t, path, status) : sp_fail_with(status, sp_tape_status(t));
    sp_tape_free(t);
    return ok;
}

static bool train_run(struct run *r, sp_training *result, sp_status *status)
{
    const struct settings *s = r->settings;
    const sp_task task = { .self = r, .store = r->model->store, .shards = sp_trainer_shards(s->batch), .begin = begin, .loss = loss,
                           .save = save, .carried = carried, .describe = describe };
    char params[32], n[32], m[32];
    long count = 0;
    if (s->graph && !draw_graph(r->model, s->graph, status))
        return false;
    for (int i = 0; i < sp_store_count(r->model->store); i++)
        count += sp_shape_size(sp_store_at(r->model->store, i)->shape);
    fprintf(stderr, "%s to train on, %s to validate on, %d symbols, %s parameters, %s kernels\n",
            sp_thousands(n, r->train.n), sp_thousands(m, r->valid.n), sp_vocabulary_size(r->model->vocabulary),
            sp_thousands(params, count), sp_blas_kernels());
    if (s->trainer.threads > sp_trainer_shards(s->batch))
        fprintf(stderr, "%ld threads, but a batch of %ld has work for %d\n", s->trainer.threads, s->batch,
                sp_trainer_shards(s->batch));
    if (r->valid.unknown)
        fprintf(stderr, "%ld of the symbols to validate on are unknown\n", r->valid.unknown);
    sp_trainer_config config = s->trainer;
    config.profile = r->model->profile;
    catch_signals();
    if (!sp_train(&task, &config, result, status)) {
        char *end = status->message + strlen(status->message);
        if (strstr(status->message, "a budget of"))
            snprintf(end, sizeof status->message - (size_t)(end - status->message),
                     " (--memory %ld is shared by layers x shards, %ld x %d)", s->memory, s->layers, task.shards);
        return false;
    }
    if (result->interrupted)
        fprintf(stderr, "Interrupted in epoch %ld. %s holds the best model so far, valid %.3f nats per symbol, %s.%s\n",
                result->epochs + 1, s->out, result->best_loss,
                result->best_epoch ? "from the end of an earlier epoch" : "as it is now",
                s->trainer.checkpoint ? " --resume goes on." : "");
    if (result->patience_lost)
        fprintf(stderr, "No better in %ld epochs, so that was all. %s is the model of epoch %ld.\n", s->trainer.patience, s->out,
                result->best_epoch);
    return true;
}

static void report_training(sp_report *j, const sp_training *x, const struct settings *s)
{
    sp_report_text(j, "model", s->out);
    sp_report_count(j, "epochs", x->epochs);
    sp_report_number(j, "train_loss", x->train_loss);
    sp_report_number(j, "valid_loss", x->valid_loss);
    sp_report_number(j, "best_valid_loss", x->best_loss);
    sp_report_count(j, "best_epoch", x->best_epoch);
    sp_report_number(j, "tokens_per_s", x->tokens_per_s);
    sp_report_number(j, "seconds", x->seconds);
    sp_report_flag(j, "interrupted", x->interrupted);
}

static bool parse_train(struct settings *s, int argc, char **argv, int *code)
{
    char cells[SP_CELL_KINDS_TEXT];
    sp_cell_kinds(cells, '|');
    const sp_option options[] = {
        { "data", SP_OPTION_TEXT, &s->data, .argument = "FILE", .required = true, .help = "text to train on" },
        { "valid", SP_OPTION_TEXT, &s->valid, .argument = "FILE", .help = "text to validate on; else the last tenth of --data" },
        { "out", SP_OPTION_TEXT, &s->out, .argument = "MODEL", .help = "where the best model goes" },
        { "level", SP_OPTION_CHOICE, &s->level, .argument = "char|word", .help = "what a symbol is" },
        { "vocab", SP_OPTION_WHOLE, &s->vocabulary, 1, 1e6, .help = "most symbols; rarer ones are <unk>" },
        { "cell", SP_OPTION_CHOICE, &s->model.cell, .argument = cells, .help = "kind of recurrent cell" },
        { "hidden", SP_OPTION_WHOLE, &s->model.hidden, 1, 65536, .help = "size of each layer" },
        { "layers", SP_OPTION_WHOLE, &s->layers, 1, 1000, .help = "cells on top of each other" },
        { "embed", SP_OPTION_WHOLE, &s->model.embed, 1, 65536, .help = "size of a symbol's vector" },
        { "tied", SP_OPTION_FLAG, &s->model.tied, .help = "output weights are the embedding's; needs --embed as wide as the output" },
        { "dropout", SP_OPTION_NUMBER, &s->model.dropout, 0, 0.99, .help = "probability, on all but recurrent connections" },
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
    const bool ok = parse(&command, argc, argv, NULL, code);
    s->trainer.budget = ((size_t)s->memory << 20) / (size_t)(s->layers * sp_trainer_shards(s->batch));
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
        report_training(j, &result, &s);
        ok = finish(j) == EXIT_SUCCESS;
    } else {
        report_error(&status);
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
    if (!parse(&command, argc, argv, &model, &code))
        return code;
    how.seed = (uint64_t)seed;
    sp_lm *m = sp_lm_load(model, &status);
    bool ok = m && begin_profile(m, profile, &status) && write_sample(m, prime, &how, length, &log_p, &status);
    close_model(m);
    if (!ok)
        return report_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "sample");
    sp_report_count(j, "symbols", length);
    sp_report_number(j, "log_probability", log_p);
    sp_report_count(j, "seed", seed);
    return finish(j);
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
    if (!parse(&command, argc, argv, &model, &code))
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
        return report_error(&status);
    printf("%.4f nats, %.4f bits per symbol, perplexity %.3f\n", nats, nats / log(2), exp(nats));
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "eval");
    sp_report_count(j, "symbols", ids.n);
    sp_report_count(j, "unknown", ids.unknown);
    sp_report_number(j, "nats", nats);
    sp_report_number(j, "bits", nats / log(2));
    sp_report_number(j, "perplexity", exp(nats));
    return finish(j);
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
    if (!parse(&command, argc, argv, &model, &code))
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
        return report_error(&status);
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "score");
    sp_report_count(j, "lines", lines);
    sp_report_number(j, "log_probability", sum);
    return finish(j);
}

/* ---- demo ------------------------------------------------------------------------------------------------------ */

/* Makes FILE.svg of FILE.dot where Graphviz is installed; says nothing where it is not. */
static bool draw_svg(const char *dot, const char *svg)
{
    char *const command[] = { (char *)"dot", (char *)"-Tsvg", (char *)"-o", (char *)svg, (char *)dot, NULL };
    pid_t child;
    int outcome;
    return !posix_spawnp(&child, "dot", NULL, NULL, command, environ) && waitpid(child, &outcome, 0) == child
           && WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0;
}

/* DIR/name, to be freed. */
static char *join(const char *directory, const char *name)
{
    size_t n = strlen(directory) + strlen(name) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%s", directory, name);
    return path;
}

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
    bool drawn = draw_svg(s->graph, svg);
    printf("\nModel %s, log %s, graph %s%s%s.\n", s->out, s->trainer.log, s->graph, drawn ? " and " : "", drawn ? svg : "");
    sp_report *j = sp_report_new();
    sp_report_text(j, "command", "demo");
    report_training(j, &x, s);
    sp_report_number(j, "unigram_loss", unigram);
    sp_report_number(j, "bigram_loss", bigram);
    sp_report_text(j, "graph", s->graph);
    sp_report_text(j, "picture", drawn ? svg : NULL);
    return finish(j) == EXIT_SUCCESS || sp_fail(status, SP_ERR_FILE, "standard output: writing failed");
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
    if (!parse(&command, argc, argv, NULL, &code))
        return code;
    char *model = join(directory, "lm.safetensors"), *log = join(directory, "log.jsonl");
    char *graph = join(directory, "graph.dot"), *svg = join(directory, "graph.svg"), *curve = join(directory, "curve.svg");
    bool ok = model && log && graph && svg && curve;
    if (!ok)
        sp_fail(&status, SP_ERR_MEMORY, "out of memory");
    else if (mkdir(directory, 0777) && errno != EEXIST)
        ok = sp_fail(&status, SP_ERR_FILE, "%s: cannot be made: %s", directory, strerror(errno));
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
    return ok ? EXIT_SUCCESS : report_error(&status);
}

/* ---------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
    { "train",  train,  "train a model on a text" },
    { "sample", sample, "let a model write" },
    { "eval",   eval,   "measure how well a model predicts a text" },
    { "score",  score,  "print the log-probability of lines" },
    { "demo",   demo,   "do all of this in a minute, without any data" },
};

static void usage(void)
{
    printf("Usage: lm COMMAND ...    (lm COMMAND --help says more)\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        printf("  %-8s%s\n", commands[i].name, commands[i].about);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "lm: there is no command (see lm --help)\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 2, argv + 2);
    if (!strcmp(argv[1], "--version")) {
        printf("spindle %s, BLIS kernels: %s\n", sp_version(), sp_blas_kernels());
        return 0;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        usage();
        return 0;
    }
    fprintf(stderr, "lm: '%s' is no command (see lm --help)\n", argv[1]);
    return 2;
}
