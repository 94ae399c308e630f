#include "autograd/parallel.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autograd/op.h"

struct shard {
    sp_tape *tape;
    sp_profile *profile;        /* of its own jobs; NULL: nothing is counted */
    sp_tensor *loss;
    double weight;
    bool recording, training;   /* before an evaluation */
};

struct sp_parallel {
    int shards;
    struct shard *shard;

    /* What is being done: the items of a job are handed out one by one. */
    void (*job)(sp_parallel *p, int item);
    int items;
    atomic_int next;
    sp_shard_loss *loss;
    void *self;
    double weight, divisor;     /* of all shards; what the gradients are divided by */
    sp_profile *profile;        /* the user's */

    /* The helpers, beside the caller's thread. */
    pid_t process;
    int helpers;
    pthread_t *helper;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    unsigned long jobs;         /* so far */
    int busy;                   /* helpers that have not finished the present one */
    bool quit;
};

/* ---- jobs ------------------------------------------------------------------------------------------------------ */

static void work(sp_parallel *p)
{
    for (int i; (i = atomic_fetch_add(&p->next, 1)) < p->items; )
        p->job(p, i);
}

static void *help(void *self)
{
    sp_parallel *p = self;
    unsigned long seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->jobs == seen && !p->quit)
            pthread_cond_wait(&p->begin, &p->lock);
        if (p->quit)
            break;
        seen = p->jobs;
        pthread_mutex_unlock(&p->lock);
        work(p);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Helpers do not survive a fork. */
static bool have_helpers(const sp_parallel *p)
{
    return p->helpers && p->process == getpid();
}

static void run(sp_parallel *p, void (*job)(sp_parallel *p, int item), int items)
{
    const bool helped = items > 1 && have_helpers(p);
    p->job = job;
    p->items = items;
    atomic_store(&p->next, 0);
    if (helped) {
        pthread_mutex_lock(&p->lock);
        p->busy = p->helpers;
        p->jobs++;
        pthread_cond_broadcast(&p->begin);
        pthread_mutex_unlock(&p->lock);
    }
    work(p);
    if (helped) {
        pthread_mutex_lock(&p->lock);
        while (p->busy)
            pthread_cond_wait(&p->end, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
}

/* ---- made and freed -------------------------------------------------------------------------------------------- */

/* Signals are for the caller's thread, but for those that a thread brings upon itself. */
static void start_helpers(sp_parallel *p, int helpers)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF };
    sigset_t others, before;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    while (p->helpers < helpers && !pthread_create(&p->helper[p->helpers], NULL, help, p))
        p->helpers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

sp_parallel *sp_parallel_new(sp_store *store, int shards, int threads)
{
    sp_parallel *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->shards = shards > 1 ? shards : 1;
    threads = threads < p->shards ? threads : p->shards;
    p->process = getpid();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    p->shard = calloc((size_t)p->shards, sizeof *p->shard);
    p->helper = calloc((size_t)(threads > 1 ? threads : 1), sizeof *p->helper);
    bool ok = p->shard && p->helper;
    for (int i = 0; ok && i < p->shards; i++)
        ok = (p->shard[i].tape = sp_tape_new(store)) != NULL;
    if (ok) {
        start_helpers(p, threads - 1);
        return p;
    }
    sp_parallel_free(p);
    return NULL;
}

void sp_parallel_free(sp_parallel *p)
{
    if (!p)
        return;
    if (p->shard)
        sp_parallel_set_profile(p, NULL);
    if (have_helpers(p)) {
        pthread_mutex_lock(&p->lock);
        p->quit = true;
        pthread_cond_broadcast(&p->begin);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < p->helpers; i++)
            pthread_join(p->helper[i], NULL);
        pthread_cond_destroy(&p->end);
        pthread_cond_destroy(&p->begin);
        pthread_mutex_destroy(&p->lock);
    }
    for (int i = 0; p->shard && i < p->shards; i++) {
        sp_tape_free(p->shard[i].tape);
        sp_profile_free(p->shard[i].profile);
    }
    free(p->shard);
    free(p->helper);
    free(p);
}

sp_tape *sp_parallel_tape(const sp_parallel *p, int shard)
{
    return p && shard >= 0 && shard < p->shards ? p->shard[shard].tape : NULL;
}

void sp_parallel_seed(sp_parallel *p, uint64_t seed, uint32_t step)
{
    step--;                                             /* the reset will add one */
    for (int i = 0; p && i < p->shards; i++)
        sp_tape_seed(p->shard[i].tape, i ? sp_hash(seed, (uint64_t)i) : seed, step);
}

/* The user's profile, which is attached to the first tape between steps: not if it was freed in the meantime. */
static sp_profile *users_profile(sp_parallel *p)
{
    if (p->profile != sp_tape_profile(p->shard->tape))
        p->profile = NULL;
    return p->profile;
}

void sp_parallel_set_profile(sp_parallel *p, sp_profile *profile)
{
    for (int i = 0; p && i < p->shards; i++) {
        struct shard *s = &p->shard[i];
        sp_profile_add(users_profile(p), s->profile);
        sp_profile_free(s->profile);
        s->profile = profile ? sp_profile_new() : NULL;
        if (profile && !s->profile)
            sp_tape_fail(p->shard->tape, SP_ERR_MEMORY, "parallel: out of memory for a profile");
    }
    if (p) {
        p->profile = profile;
        sp_tape_set_profile(p->shard->tape, profile);
    }
}

/* ---- a step ---------------------------------------------------------------------------------------------------- */

/* While a shard's job runs, its time goes to its own profile. */
static void count(const sp_parallel *p, const struct shard *s, bool on)
{
    if (p->profile)
        sp_tape_set_profile(s->tape, on ? s->profile : NULL);
}

static void forward(sp_parallel *p, int i)
{
    struct shard *s = &p->shard[i];
    char text[SP_SHAPE_TEXT];
    s->weight = 0;
    sp_tape_reset(s->tape);
    count(p, s, true);
    s->loss = p->loss(s->tape, p->self, i, &s->weight);
    if (!(s->weight >= 0 && isfinite(s->weight)))
        sp_tape_fail(s->tape, SP_ERR_VALUE, "parallel: shard %d has the weight %g", i, s->weight);
    else if (s->weight > 0 && !s->loss)
        sp_tape_fail(s->tape, SP_ERR_VALUE, "parallel: the loss of shard %d is NULL, its weight %g", i, s->weight);
    else if (s->weight > 0 && sp_sound(s->loss) && sp_shape_size(sp_shape_get(s->loss)) != 1)
        sp_tape_fail(s->tape, SP_ERR_SHAPE, "parallel: the loss of shard %d has the shape %s, not one element", i,
                     sp_shape_format(text, sp_shape_get(s->loss)));
    count(p, s, false);
}

static void backward(sp_parallel *p, int i)
{
    struct shard *s = &p->shard[i];
    count(p, s, true);
    if (s->weight > 0)
        sp_backward_scaled(s->tape, s->loss, s->weight / p->divisor);
    count(p, s, false);
}

/* Statistics of a shard go on from where those of the first tape are. */
static void hand_out_statistics(sp_parallel *p)
{
    sp_store *store = sp_tape_store(p->shard->tape);
    const sp_real *first = sp_store_has_statistics(store) ? sp_gradients(p->shard->tape) : NULL;
    for (int k = 1; first && k < p->shards; k++) {
        sp_real *g = p->shard[k].weight > 0 ? sp_gradients(p->shard[k].tape) : NULL;
        for (int i = 0; g && i < sp_store_count(store); i++) {
            const sp_param *s = sp_store_at(store, i);
            if (s->statistic)
                memcpy(g + s->offset, first + s->offset, (size_t)sp_shape_size(s->shape) * sizeof *g);
        }
    }
}

/* Those of the first tape are the weighted mean of the shards that moved them, in their order; the others' are 0. Where all
   agree, as they do on a count, so does the mean to the last bit. */
static void gather_statistics(sp_parallel *p)
{
    sp_store *store = sp_tape_store(p->shard->tape);
    for (int i = 0; sp_store_has_statistics(store) && i < sp_store_count(store); i++) {
        const sp_param *s = sp_store_at(store, i);
        for (long j = 0, n = s->statistic ? sp_shape_size(s->shape) : 0; j < n; j++) {
            double mean = 0, weight = 0;
            for (int k = 0; k < p->shards; k++) {
                const struct shard *h = &p->shard[k];
                sp_real *g = h->weight > 0 ? sp_gradients(h->tape) + s->offset + j : NULL;
                if (g && sp_tape_moved(h->tape, s)) {
                    weight += h->weight;
                    mean += h->weight / weight * ((double)*g - mean);
                }
                if (g && k)
                    *g = 0;
            }
            if (weight > 0)
                sp_gradients(p->shard->tape)[s->offset + j] = (sp_real)mean;
        }
    }
}

enum { PIECE = 1 << 14 };

/* g0 += g1 + g2 + ... over a piece of the block, which is then 0 in all but the first. */
static void gather(sp_parallel *p, int i)
{
    const long from = (long)i * PIECE, size = sp_store_size(sp_tape_store(p->shard->tape));
    const long n = size - from < PIECE ? size - from : PIECE;
    sp_real *restrict sum = sp_gradients(p->shard->tape) + from;
    for (int k = 1; k < p->shards; k++) {
        if (!(p->shard[k].weight > 0))
            continue;
        sp_real *restrict g = sp_gradients(p->shard[k].tape) + from;
        for (long j = 0; j < n; j++)
            sum[j] += g[j];
        memset(g, 0, (size_t)n * sizeof *g);
    }
}

static void gather_all(sp_parallel *p)
{
    const long size = sp_store_size(sp_tape_store(p->shard->tape));
    double others = 0;
    if (p->shards == 1)
        return;
    for (int i = 1; i < p->shards; i++)
        others += p->shard[i].weight > 0;
    const sp_span span = sp_profile_begin(p->profile);
    gather_statistics(p);
    run(p, gather, (int)((size + PIECE - 1) / PIECE));
    sp_profile_end(span, "gather", true, (sp_cost){ others * (double)size, 2 * (1 + others) * (double)size * sizeof(sp_real) });
}

/* A job with an item for each shard. The first tape counts for the user again when it is done. */
static void run_shards(sp_parallel *p, void (*job)(sp_parallel *p, int item))
{
    run(p, job, p->shards);
    if (p->profile)
        sp_tape_set_profile(p->shard->tape, p->profile);
}

/* The error of the lowest shard is the first tape's. The others forget theirs, and what they added to gradients. */
static bool all_ok(sp_parallel *p)
{
    for (int i = 1; i < p->shards; i++)
        if (!sp_ok(p->shard[i].tape))
            sp_tape_fail(p->shard->tape, sp_tape_status(p->shard[i].tape)->code, "shard %d: %s", i,
                         sp_error(p->shard[i].tape));
    for (int i = 1; i < p->shards && !sp_ok(p->shard->tape); i++)
        sp_tape_clear(p->shard[i].tape);
    return sp_ok(p->shard->tape);
}

/* Calls loss for all shards; their mean. */
static double mean_loss(sp_parallel *p, sp_shard_loss *loss, void *self)
{
    double sum = 0;
    if (p)
        p->weight = 0;
    if (!sp_ok(sp_parallel_tape(p, 0)))
        return NAN;
    if (!loss) {
        sp_tape_fail(p->shard->tape, SP_ERR_VALUE, "parallel: the loss is NULL");
        return NAN;
    }
    users_profile(p);
    p->loss = loss;
    p->self = self;
    run_shards(p, forward);
    if (!all_ok(p))
        return NAN;
    for (int i = 0; i < p->shards; i++)
        if (p->shard[i].weight > 0) {
            sum += p->shard[i].weight * (double)sp_item(p->shard[i].loss);
            p->weight += p->shard[i].weight;
        }
    if (!isfinite(p->weight))
        sp_tape_fail(p->shard->tape, SP_ERR_VALUE, "parallel: the weights of %d shards sum to %g", p->shards, p->weight);
    return sum / p->weight;
}

static double mean_and_gradient(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight, bool of_mean)
{
    double mean = mean_loss(p, loss, self);
    if (weight)
        *weight = p ? p->weight : 0;
    if (!sp_ok(sp_parallel_tape(p, 0)))
        return NAN;
    if (!(p->weight > 0)) {
        sp_tape_fail(p->shard->tape, SP_ERR_VALUE, "parallel: the weights of %d shards sum to 0", p->shards);
        return NAN;
    }
    hand_out_statistics(p);
    p->divisor = of_mean ? p->weight : 1;
    run_shards(p, backward);
    if (!all_ok(p) || !sp_gradients(p->shard->tape))
        return NAN;
    gather_all(p);
    return mean;
}

double sp_parallel_backward(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight)
{
    return mean_and_gradient(p, loss, self, weight, true);
}

double sp_parallel_backward_sum(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight)
{
    return mean_and_gradient(p, loss, self, weight, false);
}

double sp_parallel_evaluate(sp_parallel *p, sp_shard_loss *loss, void *self, double *weight)
{
    for (int i = 0; p && i < p->shards; i++) {
        struct shard *s = &p->shard[i];
        s->recording = sp_tape_recording(s->tape);
        s->training = sp_tape_training(s->tape);
        sp_tape_set_recording(s->tape, false);
        sp_tape_set_training(s->tape, false);
    }
    double mean = mean_loss(p, loss, self);
    for (int i = 0; p && i < p->shards; i++) {
        sp_tape_set_recording(p->shard[i].tape, p->shard[i].recording);
        sp_tape_set_training(p->shard[i].tape, p->shard[i].training);
    }
    if (weight)
        *weight = p ? p->weight : 0;
    return mean;
}
