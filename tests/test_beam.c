/* Beam search against all sequences that there are, and against the same search written as it is described. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/random.h"
#include "nn/decoder.h"
#include "nn/embed.h"
#include "nn/loss.h"
#include "nn/scan.h"
#include "ops/ops.h"
#include "tests/suite.h"
#include "zoo/beam.h"

enum { SYMBOLS = 4, LAST = 0, FIRST = 1, PLACES = 3, MOST = 4, ROOM = 400, SENTENCES = 7 };

/* A model that gives each prefix logits and weights of its own. */
struct toy {
    uint64_t seed;
    const int *id;              /* [sentences] which sentences these are; NULL: 0, 1, ... */
    const long *used;           /* [sentences] */
    double hurry;               /* is added to the logit of the last symbol */
    int banned;                 /* a symbol that must not be; -1 */
    const bool *no;             /* [symbols] those that must not follow though they have a logit */
    bool flat, blind;           /* all logits are equal; all weights are 0 */
    uint64_t prefix[ROOM];      /* of each row */
    int sentence[ROOM];
    long steps, rows, before;   /* met in all, and in the step before */
    int wrong;                  /* 1: a logit is NaN, 2: infinite, 3: a weight is NaN; in row 1 of step 1; 4, 5: it fails */
};

static uint64_t prefix_of(const struct toy *m, int id)
{
    return sp_hash(m->seed, (uint64_t)id);
}

static void logits_of(const struct toy *m, uint64_t prefix, sp_real *x)
{
    sp_random_uniform((sp_key){ .seed = prefix }, SYMBOLS, x, -2, 2);
    if (m->flat)
        memset(x, 0, SYMBOLS * sizeof *x);
    x[LAST] += (sp_real)m->hurry;
    if (m->banned >= 0)
        x[m->banned] = -(sp_real)INFINITY;
}

static void weights_of(uint64_t prefix, long used, sp_real *a)
{
    sp_real sum = 0;
    sp_random_uniform((sp_key){ .seed = prefix, .place = 1 }, used, a, 0, 1);
    for (long i = 0; i < used; i++)
        sum += a[i];
    for (long i = 0; i < used; i++)
        a[i] /= sum;
}

/* Follows the prefixes by what the rows say, and holds what the header says of these. */
static bool step(void *self, const sp_beam_rows *r, sp_real *logits, sp_real *weights, sp_status *status)
{
    struct toy *m = self;
    uint64_t old[ROOM];
    int old_sentence[ROOM];
    memcpy(old, m->prefix, sizeof old);
    memcpy(old_sentence, m->sentence, sizeof old_sentence);
    ck_assert(r->step == m->steps && r->n > 0 && r->n <= ROOM);
    for (long i = 0; i < r->n; i++) {
        const int s = r->sentence[i], parent = r->parent[i];
        ck_assert(!i || s >= r->sentence[i - 1]);
        ck_assert(r->step ? parent >= 0 && parent < m->before && old_sentence[parent] == s
                          : s == i && parent == i && r->symbol[i] == FIRST);
        m->prefix[i] = r->step ? sp_hash(old[parent], (uint64_t)r->symbol[i]) : prefix_of(m, m->id ? m->id[s] : s);
        m->sentence[i] = s;
        logits_of(m, m->prefix[i], logits + i * SYMBOLS);
        for (int k = 0; weights && k < PLACES; k++)
            ck_assert(weights[i * PLACES + k] == 0);
        if (weights && !m->blind)
            weights_of(m->prefix[i], m->used ? m->used[s] : PLACES, weights + i * PLACES);
    }
    m->steps++;
    m->before = r->n;
    m->rows += r->n;
    if (r->step == 1 && m->wrong == 3)
        weights[PLACES + 2] = (sp_real)NAN;
    else if (r->step == 1 && m->wrong && m->wrong < 3)
        logits[SYMBOLS + 3] = m->wrong == 1 ? (sp_real)NAN : (sp_real)INFINITY;
    return m->wrong < 4 || r->step < 1 || (m->wrong == 5 && sp_fail(status, SP_ERR_VALUE, "out of ideas"));
}

static sp_beam *search(const sp_beam_config *c, struct toy *m, long sentences)
{
    sp_status status = { 0 };
    const sp_beam_model model = { m, SYMBOLS, PLACES, m->used, m->no, step };
    m->steps = m->rows = 0;
    sp_beam *b = sp_beam_search(c, &model, sentences, &status);
    ck_assert_msg(b && status.code == SP_OK, "%s", status.message);
    return b;
}

/* ---- slow twins ------------------------------------------------------------------------------------------------ */

struct sequence {
    int symbol[MOST + 1];
    long length;
    uint64_t prefix;
    double log_p, score, seen[PLACES];
    sp_real looked[MOST + 1][PLACES];
};

static struct sequence begin_sequence(const struct toy *m, int id)
{
    return (struct sequence){ .prefix = prefix_of(m, id) };
}

/* A symbol more; behind the last one there is a score. */
static struct sequence follow(const struct toy *m, const sp_beam_config *c, long used, struct sequence s, int symbol)
{
    sp_real x[SYMBOLS], a[PLACES] = { 0 };
    double sum = 0;
    logits_of(m, s.prefix, x);
    weights_of(s.prefix, used, a);
    for (int k = 0; k < SYMBOLS; k++)
        sum += exp((double)x[k]);
    s.log_p += (double)x[symbol] - log(sum);
    for (int k = 0; k < used; k++)
        s.seen[k] += (double)a[k];
    if (symbol == LAST) {
        s.score = s.log_p / pow((5.0 + (double)s.length + 1) / 6, c->length_penalty);
        for (int k = 0; k < used; k++)
            s.score += c->coverage_penalty * log(fmin(s.seen[k], 1));
        return s;
    }
    memcpy(s.looked[s.length], a, sizeof a);
    s.symbol[s.length++] = symbol;
    s.prefix = sp_hash(s.prefix, (uint64_t)symbol);
    return s;
}

static int by_score(const void *a, const void *b)
{
    const double x = ((const struct sequence *)a)->score, y = ((const struct sequence *)b)->score;
    return (x < y) - (x > y);
}

static int by_log_p(const void *a, const void *b)
{
    const double x = ((const struct sequence *)a)->log_p, y = ((const struct sequence *)b)->log_p;
    return (x < y) - (x > y);
}

/* All sequences that there are. Returns how many. */
static long all_sequences(const struct toy *m, const sp_beam_config *c, long used, struct sequence s, struct sequence *out)
{
    long n = 1;
    *out = follow(m, c, used, s, LAST);
    for (int k = 0; k < SYMBOLS && s.length < MOST; k++)
        if (k != LAST && !(m->no && m->no[k]))
            n += all_sequences(m, c, used, follow(m, c, used, s, k), out + n);
    return n;
}

/* The search for one sentence as the header describes it. Returns how many of the n best there are; adds to *rows those that a
   model was asked for. */
static long slow(const struct toy *m, const sp_beam_config *c, int id, long used, long longest, struct sequence *best, long *rows)
{
    struct sequence live[ROOM], next[ROOM], done[ROOM];
    long lives = 1, found = 0;
    live[0] = begin_sequence(m, id);
    for (long t = 0; lives; t++) {
        long n = 0, going = 0;
        *rows += lives;
        for (long i = 0; i < lives; i++)
            for (int k = 0; k < SYMBOLS; k++)
                if (k == LAST || t < longest)
                    next[n++] = follow(m, c, used, live[i], k);
        qsort(next, (size_t)n, sizeof *next, by_log_p);
        for (long i = 0; i < n; i++)
            if (next[i].length > t) {
                if (going < c->width)
                    live[going++] = next[i];
            } else if (i < c->width)
                done[found++] = next[i];
        qsort(done, (size_t)found, sizeof *done, by_score);
        lives = (double)found >= c->patience * (double)c->width ? 0 : going;
        while (lives && found >= c->nbest
               && live[lives - 1].log_p / pow((5 + (double)longest + 1) / 6, c->length_penalty) <= done[c->nbest - 1].score)
            lives--;
    }
    found = found < c->nbest ? found : c->nbest;
    memcpy(best, done, (size_t)found * sizeof *best);
    return found;
}

static void same(const sp_hypothesis *h, const struct sequence *s, long used)
{
    ck_assert_ptr_nonnull(h);
    ck_assert_int_eq(h->length, s->length);
    ck_assert_int_eq(h->places, used);
    for (long i = 0; i < h->length; i++) {
        ck_assert_int_eq(h->symbol[i], s->symbol[i]);
        ck_assert_mem_eq(h->weights + i * used, s->looked[i], (size_t)used * sizeof(sp_real));
    }
    /* float: exponentials and sums of weights */
    ck_assert_double_eq_tol(h->log_p, s->log_p, WIDE(1e-12, 2e-6));
    ck_assert_double_eq_tol(h->score, s->score, WIDE(1e-12, 2e-6));
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static const double penalties[][2] = { { 0, 0 }, { 0.6, 0 }, { 2, 0 }, { 0, 0.3 }, { 1, 0.2 }, { 5, 3 } };
enum { PENALTIES = sizeof penalties / sizeof *penalties };

/* Wide enough it finds the n best of all. */
START_TEST(all_there_are)
{
    enum { N = 6 };
    static struct sequence all[ROOM];
    sp_beam_config c = { .width = 81, .nbest = N, .most = MOST, .first = FIRST, .last = LAST, .patience = INFINITY,
                         .length_penalty = penalties[_i][0], .coverage_penalty = penalties[_i][1] };
    struct toy m = { .seed = (uint64_t)_i, .banned = -1 };
    sp_beam *b = search(&c, &m, 5);
    for (int i = 0; i < 5; i++) {
        const long n = all_sequences(&m, &c, PLACES, begin_sequence(&m, i), all);
        ck_assert_int_eq(n, 121);
        qsort(all, (size_t)n, sizeof *all, by_score);
        ck_assert_int_eq(sp_beam_count(b, i), N);
        for (int k = 0; k < N; k++)
            same(sp_beam_best(b, i, k), &all[k], PLACES);
        ck_assert_ptr_null(sp_beam_best(b, i, N));
    }
    sp_beam_free(b);
    /* more than there are, and with a sum of 1 */
    c.width = c.nbest = 130;
    b = search(&c, &m, 1);
    double sum = 0;
    ck_assert_int_eq(sp_beam_count(b, 0), 121);
    for (int k = 0; k < 121; k++)
        sum += sp_beam_best(b, 0, k)->length < MOST ? exp(sp_beam_best(b, 0, k)->log_p) : 0;
    ck_assert(sum < 1);
    sp_beam_free(b);
}
END_TEST

static const long longest[SENTENCES] = { 4, 0, 3, 4, 1, 4, 2 }, used[SENTENCES] = { 3, 2, 1, 3, 0, 2, 3 };

/* Narrow ones, in a batch of sentences with lengths and places of their own: what is found, and what the model was asked. */
START_TEST(as_described)
{
    static const struct { long width, nbest; double patience; } shapes[] = {
        { 1, 1, 1 }, { 2, 1, 1 }, { 2, 2, INFINITY }, { 3, 1, INFINITY }, { 3, 3, 1 }, { 5, 2, 1.5 }, { 8, 4, 2 },
    };
    static struct sequence best[ROOM];
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            const sp_beam_config c = { .width = shapes[k].width, .nbest = shapes[k].nbest, .longest = longest, .first = FIRST,
                                       .last = LAST, .patience = shapes[k].patience, .length_penalty = penalties[_i][0],
                                       .coverage_penalty = penalties[_i][1] };
            struct toy m = { .seed = 1000 + seed, .used = used, .banned = -1, .hurry = (double)(seed % 3) - 1 };
            sp_beam *b = search(&c, &m, SENTENCES);
            long rows = 0;
            for (int i = 0; i < SENTENCES; i++) {
                const long n = slow(&m, &c, i, used[i], longest[i], best, &rows);
                ck_assert_int_eq(sp_beam_count(b, i), n);
                for (long j = 0; j < n; j++)
                    same(sp_beam_best(b, i, j), &best[j], used[i]);
            }
            ck_assert_int_eq(m.rows, rows);
            sp_beam_free(b);
        }
}
END_TEST

/* Bit for bit, whatever is beside it. */
START_TEST(one_at_a_time)
{
    sp_beam_config c = { .width = 4, .nbest = 3, .longest = longest, .first = FIRST, .last = LAST, .length_penalty = 0.7,
                         .coverage_penalty = 0.2 };
    struct toy m = { .seed = 5, .used = used, .banned = -1 };
    sp_beam *b = search(&c, &m, SENTENCES);
    for (int i = 0; i < SENTENCES; i++) {
        struct toy alone = { .seed = 5, .used = &used[i], .banned = -1, .id = &i };
        c.longest = &longest[i];
        sp_beam *one = search(&c, &alone, 1);
        ck_assert_int_eq(sp_beam_count(one, 0), sp_beam_count(b, i));
        for (long k = 0; k < sp_beam_count(b, i); k++) {
            const sp_hypothesis *x = sp_beam_best(b, i, k), *y = sp_beam_best(one, 0, k);
            ck_assert(x->length == y->length && x->places == y->places && x->score == y->score && x->log_p == y->log_p);
            if (x->length)
                ck_assert_mem_eq(x->symbol, y->symbol, (size_t)x->length * sizeof *x->symbol);
            if (x->length && x->places)
                ck_same(x->weights, y->weights, x->length * x->places);
        }
        sp_beam_free(one);
    }
    sp_beam_free(b);
}
END_TEST

/* Long ones, of which most rows are let go on the way: symbols, weights and ln p are still those of one another. */
START_TEST(lasting)
{
    enum { LONG = 700, SOME = 3 };
    static const long most[SOME] = { LONG, 300, LONG - 1 };
    const sp_beam_config c = { .width = 1 + 3 * _i, .nbest = 1 + _i, .longest = most, .first = FIRST, .last = LAST, .patience = INFINITY,
                               .length_penalty = 1, .coverage_penalty = 0.1 };
    struct toy m = { .seed = 5, .banned = -1, .hurry = -30 };
    sp_beam *b = search(&c, &m, SOME);
    for (long i = 0; i < SOME; i++)
        for (long k = 0; k < c.nbest; k++) {
            const sp_hypothesis *h = sp_beam_best(b, i, k);
            struct sequence s = begin_sequence(&m, (int)i);
            ck_assert(h && h->length == most[i]);
            for (long j = 0; j < h->length; j++) {
                s.length = 0;
                s = follow(&m, &c, PLACES, s, h->symbol[j]);
                ck_same(h->weights + j * PLACES, s.looked[0], PLACES);
            }
            s.length = h->length;
            s = follow(&m, &c, PLACES, s, LAST);
            ck_assert_double_eq_tol(h->log_p, s.log_p, WIDE(1e-9, 1e-3));
            ck_assert_double_eq_tol(h->score, s.score, WIDE(1e-9, 1e-3));
        }
    sp_beam_free(b);
}
END_TEST

/* Width 1 takes the likeliest symbol each time, with any penalty. */
START_TEST(greedy)
{
    const sp_beam_config c = { .width = 1, .most = MOST, .first = FIRST, .last = LAST, .length_penalty = penalties[_i][0],
                               .coverage_penalty = penalties[_i][1] };
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct toy m = { .seed = seed, .banned = -1 };
        sp_beam *b = search(&c, &m, 1);
        struct sequence s = begin_sequence(&m, 0);
        for (int symbol = FIRST; symbol != LAST; ) {
            sp_real x[SYMBOLS];
            logits_of(&m, s.prefix, x);
            symbol = LAST;
            for (int k = 0; k < SYMBOLS && s.length < MOST; k++)
                symbol = x[k] > x[symbol] ? k : symbol;
            s = follow(&m, &c, PLACES, s, symbol);
        }
        ck_assert_int_eq(sp_beam_count(b, 0), 1);
        ck_assert_int_eq(m.steps, s.length + 1);
        same(sp_beam_best(b, 0, 0), &s, PLACES);
        sp_beam_free(b);
    }
}
END_TEST

/* Equal ones: shorter, then smaller symbols first. */
START_TEST(ties)
{
    static const int expected[][2] = { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 1, 1 }, { 1, 2 }, { 1, 3 }, { 2, 1 } };
    const sp_beam_config c = { .width = 9, .nbest = 8, .most = 2, .first = FIRST, .last = LAST, .patience = 2 };
    struct toy m = { .flat = true, .banned = -1 };
    sp_beam *b = search(&c, &m, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sp_beam_best(b, i, 0)->length, 0);
        for (int k = 0; k < 7; k++) {
            const sp_hypothesis *h = sp_beam_best(b, i, k + 1);
            ck_assert_int_eq(h->length, k < 3 ? 1 : 2);
            ck_assert_int_eq(h->symbol[0], expected[k][0]);
            if (k >= 3)
                ck_assert_int_eq(h->symbol[1], expected[k][1]);
        }
    }
    sp_beam_free(b);
}
END_TEST

/* Logits of minus infinity: what must not be is not; and nothing is found where nothing is left. */
START_TEST(banned)
{
    sp_beam_config c = { .width = 100, .nbest = 100, .most = 3, .first = FIRST, .last = LAST };
    struct toy m = { .seed = 3, .banned = 2 };
    sp_beam *b = search(&c, &m, 2);
    ck_assert_int_eq(sp_beam_count(b, 1), 1 + 2 + 4 + 8);
    for (long k = 0; k < sp_beam_count(b, 1); k++)
        for (long i = 0; i < sp_beam_best(b, 1, k)->length; i++)
            ck_assert_int_ne(sp_beam_best(b, 1, k)->symbol[i], 2);
    sp_beam_free(b);
    m.banned = LAST;
    b = search(&c, &m, 2);
    ck_assert_int_eq(m.steps, 4);
    ck_assert_int_eq(sp_beam_count(b, 0), 0);
    ck_assert_ptr_null(sp_beam_best(b, 0, 0));
    sp_beam_free(b);
}
END_TEST

/* What must not follow keeps its share of the probability: ln p is that of the model, and never one above. */
START_TEST(banned_symbols)
{
    static const bool no[SYMBOLS] = { [2] = true }, end[SYMBOLS] = { [LAST] = true };
    static struct sequence all[ROOM];
    sp_beam_config c = { .width = 100, .nbest = 31, .most = MOST, .first = FIRST, .last = LAST, .patience = INFINITY };
    struct toy m = { .seed = 3, .banned = -1, .no = no };
    sp_beam *b = search(&c, &m, 1);
    const long n = all_sequences(&m, &c, PLACES, begin_sequence(&m, 0), all);
    qsort(all, (size_t)n, sizeof *all, by_score);
    ck_assert(n == 31 && sp_beam_count(b, 0) == n);
    for (int k = 0; k < n; k++)
        same(sp_beam_best(b, 0, k), &all[k], PLACES);
    sp_beam_free(b);
    c.width = c.nbest = 1;                              /* its best symbol may be banned */
    b = search(&c, &m, 5);
    for (int i = 0; i < 5; i++)
        for (long j = 0; j < sp_beam_best(b, i, 0)->length; j++)
            ck_assert_int_ne(sp_beam_best(b, i, 0)->symbol[j], 2);
    sp_beam_free(b);
    m.no = end;
    b = search(&c, &m, 1);
    ck_assert_int_eq(sp_beam_count(b, 0), 0);
    sp_beam_free(b);
}
END_TEST

/* A model that looks nowhere has a score all the same. */
START_TEST(blind)
{
    const sp_beam_config c = { .width = 2, .most = 3, .first = FIRST, .last = LAST, .coverage_penalty = 0.5 };
    struct toy m = { .banned = -1, .blind = true };
    sp_beam *b = search(&c, &m, 1);
    const sp_hypothesis *h = sp_beam_best(b, 0, 0);
    ck_assert_double_eq_tol(h->score, h->log_p + 0.5 * PLACES * log(1e-10), 1e-9);
    sp_beam_free(b);
}
END_TEST

/* Without places, without sentences, and what is not there. */
START_TEST(little)
{
    const sp_beam_config c = { .width = 2, .most = 3, .first = FIRST, .last = LAST };
    struct toy m = { .banned = -1 };
    sp_beam *b = sp_beam_search(&c, &(sp_beam_model){ .self = &m, .step = step, .symbols = SYMBOLS }, 1, NULL);
    ck_assert(sp_beam_count(b, 0) == 1 && !sp_beam_best(b, 0, 0)->weights && sp_beam_best(b, 0, 0)->places == 0);
    ck_assert(!sp_beam_count(b, 1) && !sp_beam_count(b, -1) && !sp_beam_best(b, 0, -1) && !sp_beam_best(b, 1, 0));
    sp_beam_free(b);
    b = search(&c, &m, 0);
    ck_assert(m.steps == 0 && sp_beam_count(b, 0) == 0);
    sp_beam_free(b);
    sp_beam_free(NULL);
    ck_assert(!sp_beam_count(NULL, 0) && !sp_beam_best(NULL, 0, 0));
}
END_TEST

/* ---- with a decoder -------------------------------------------------------------------------------------------- */

enum { WORDS = 6, UNITS = 4, BATCH = 3, LONGEST = 5 };

static const long source_length[BATCH] = { 3, 1, 5 };

struct translator {
    sp_store *store;
    sp_embed words;
    sp_attention attention;
    sp_decoder decoder;
    sp_linear head;
    sp_tape *t;
    sp_memory memory;
    sp_tensor *state[SP_MAX_STATES];
};

static struct translator new_translator(const char *attention)
{
    sp_real encoded[9 * UNITS];
    sp_store *s = sp_store_new(3);
    struct translator m = { .store = s, .words = sp_embed_make(s, "words", WORDS, UNITS),
                            .attention = sp_attention_make(s, attention, "attention", UNITS, UNITS, UNITS) };
    m.decoder = sp_decoder_make(s, "decoder", &m.attention,
                                &(sp_stack_config){ .cell = "lstm", .in = UNITS, .hidden = UNITS, .layers = 1 });
    m.head = sp_linear_make(s, "head", UNITS, WORDS);
    sp_random_uniform((sp_key){ .seed = 4 }, sp_store_size(s), sp_store_values(s), -1.5, 1.5);
    sp_param_values((sp_param *)(uintptr_t)m.head.bias)[LAST] = -2;         /* so that some are long */
    sp_random_uniform((sp_key){ .seed = 5 }, 9 * UNITS, encoded, -1, 1);
    m.t = sp_tape_new(s);
    sp_tape_set_recording(m.t, false);
    m.memory = sp_memory_of(m.t, &m.attention, sp_seq_pack(m.t, sp_feed(m.t, encoded, SP_SHAPE(9, UNITS)), source_length, BATCH));
    return m;
}

static void free_translator(struct translator *m)
{
    sp_tape_free(m->t);
    sp_store_free(m->store);
}

static bool translate_step(void *self, const sp_beam_rows *r, sp_real *logits, sp_real *weights, sp_status *status)
{
    struct translator *m = self;
    sp_memory memory = sp_memory_rows(m->t, &m->memory, r->sentence, r->n);
    sp_cell cell = sp_decoder_cell(m->t, &m->decoder, &memory, NULL);
    for (int i = 0; r->step && i < sp_decoder_states(&m->decoder); i++)
        m->state[i] = sp_embedding(m->t, m->state[i], r->parent, r->n);
    sp_tensor *x = sp_reshape(m->t, sp_embed_on(m->t, &m->words, r->symbol, r->n), SP_SHAPE(1, r->n, UNITS));
    sp_decoded y = sp_decoder_split(m->t, &cell, sp_scan_seq(m->t, &cell, sp_seq_of(m->t, x), m->state, false));
    return (sp_read(sp_linear_on(m->t, &m->head, y.out.rows), logits) && sp_read(y.weights.rows, weights))
           || sp_fail_with(status, sp_tape_status(m->t));
}

/* ln p and weights of what was found are those of the decoder that is given the whole sequence. */
START_TEST(decoder)
{
    static const char *const kinds[] = { "general", "coverage" };
    const sp_beam_config c = { .width = 4, .nbest = 3, .most = 8, .first = FIRST, .last = LAST, .patience = INFINITY };
    struct translator m = new_translator(kinds[_i]);
    const sp_beam_model model = { &m, WORDS, LONGEST, source_length, .step = translate_step };
    sp_status status = { 0 };
    long long_ones = 0;
    sp_beam *b = sp_beam_search(&c, &model, BATCH, &status);
    ck_assert_msg(b != NULL, "%s", status.message);
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < c.nbest; k++) {
            const sp_hypothesis *h = sp_beam_best(b, i, k);
            int before[9] = { FIRST }, after[9] = { 0 };
            sp_real looked[9 * LONGEST];
            memcpy(before + 1, h->symbol, (size_t)h->length * sizeof *before);
            memcpy(after, h->symbol, (size_t)h->length * sizeof *after);
            after[h->length] = LAST;
            const long steps = h->length + 1;
            sp_memory memory = sp_memory_rows(m.t, &m.memory, &i, 1);
            sp_seq in = sp_seq_pack(m.t, sp_embed_on(m.t, &m.words, before, steps), &steps, 1);
            sp_decoded y = sp_decoder_on(m.t, &m.decoder, &memory, in, NULL);
            sp_tensor *nats = sp_cross_entropy_mean(m.t, sp_linear_on(m.t, &m.head, sp_seq_unpack(m.t, y.out)), after, SP_IGNORE);
            sp_read(sp_seq_unpack(m.t, y.weights), looked);
            ck_tape_ok(m.t);
            ck_assert_double_eq_tol(h->log_p, -(double)sp_item(nats) * (double)steps, WIDE(1e-12, 1e-5));
            for (long j = 0; j < h->length; j++)
                for (long p = 0; p < source_length[i]; p++)
                    ck_assert_double_eq_tol((double)h->weights[j * h->places + p], (double)looked[j * LONGEST + p],
                                            WIDE(1e-12, 1e-5));
            long_ones += h->length > 2;
        }
    ck_assert_int_gt(long_ones, 5);
    sp_beam_free(b);
    free_translator(&m);
}
END_TEST

START_TEST(place)
{
    const sp_hypothesis h = { .length = 2, .places = 3, .weights = REALS(0, 2, 2, 1, 0, 3) };
    const sp_hypothesis without = { .length = 2 };
    ck_assert(sp_hypothesis_place(&h, 0, 3) == 1 && sp_hypothesis_place(&h, 1, 3) == 2 && sp_hypothesis_place(&h, 1, 9) == 2);
    ck_assert(sp_hypothesis_place(&h, 1, 2) == 0 && sp_hypothesis_place(&h, 1, 0) == -1);       /* the last is not asked for */
    ck_assert(sp_hypothesis_place(&h, 2, 3) == -1 && sp_hypothesis_place(&h, -1, 3) == -1);
    ck_assert(sp_hypothesis_place(&without, 0, 3) == -1 && sp_hypothesis_place(NULL, 0, 3) == -1);
}
END_TEST

START_TEST(wrong_steps)
{
    static const char *const messages[] = {
        "beam: in step 1 the logit of symbol 3 in row 1 is nan", "beam: in step 1 the logit of symbol 3 in row 1 is inf",
        "beam: in step 1 the weight of place 2 in row 1 is nan", "beam: step 1 failed", "out of ideas",
    };
    const sp_beam_config c = { .width = 3, .nbest = 3, .most = 3, .first = FIRST, .last = LAST };
    struct toy m = { .banned = -1, .wrong = _i + 1 };
    sp_status status = { 0 };
    ck_assert_ptr_null(sp_beam_search(&c, &(sp_beam_model){ &m, SYMBOLS, PLACES, .step = step }, 2, &status));
    ck_assert_str_eq(status.message, messages[_i]);
}
END_TEST

static const long minus[] = { 2, -1 }, four[] = { 4 };

static const struct {
    sp_beam_config config;
    const long *used;
    long sentences, symbols;
    const char *message;
} wrong[] = {
    { { .width = 0 }, NULL, 2, 4, "beam: the 0 best of a beam of width 0" },
    { { .width = 4, .nbest = 5 }, NULL, 2, 4, "beam: the 5 best of a beam of width 4" },
    { { .width = 4, .nbest = -1 }, NULL, 2, 4, "beam: the -1 best of a beam of width 4" },
    { { .width = 4 }, NULL, -2, 4, "beam: -2 sentences, 4 symbols, 3 places" },
    { { .width = 4 }, NULL, 2, 0, "beam: 2 sentences, 0 symbols, 3 places" },
    { { .width = 1L << 30 }, NULL, 8, 4, "beam: 8 sentences, a beam of width 1073741824 and 4 symbols are too many" },
    { { .width = 1L << 20 }, NULL, 1000, 4000, "beam: 1000 sentences, a beam of width 1048576 and 4000 symbols are too many" },
    { { .width = 4, .first = 4 }, NULL, 2, 4, "beam: the first symbol 4 and the last 0 are not both in 0..3" },
    { { .width = 4, .last = -1 }, NULL, 2, 4, "beam: the first symbol 0 and the last -1 are not both in 0..3" },
    { { .width = 4, .length_penalty = -0.5 }, NULL, 2, 4,
      "beam: the length penalty -0.5 and the coverage penalty 0 are not both finite and 0 or more" },
    { { .width = 4, .coverage_penalty = NAN }, NULL, 2, 4,
      "beam: the length penalty 0 and the coverage penalty nan are not both finite and 0 or more" },
    { { .width = 4, .patience = 0.5 }, NULL, 2, 4, "beam: a patience of 0.5, it must be 1 or more, or 0" },
    { { .width = 4, .most = -3 }, NULL, 2, 4, "beam: at most -3 symbols for sentence 0" },
    { { .width = 4, .longest = minus }, NULL, 2, 4, "beam: at most -1 symbols for sentence 1" },
    { { .width = 4 }, minus, 2, 4, "beam: sentence 1 has -1 of 3 places" },
    { { .width = 4 }, four, 1, 4, "beam: sentence 0 has 4 of 3 places" },
};

START_TEST(wrong_settings)
{
    sp_status status = { 0 };
    struct toy m = { .banned = -1 };
    const sp_beam_model model = { &m, wrong[_i].symbols, PLACES, wrong[_i].used, .step = step };
    ck_assert_ptr_null(sp_beam_search(&wrong[_i].config, &model, wrong[_i].sentences, &status));
    ck_assert_str_eq(status.message, wrong[_i].message);
    ck_assert(m.steps == 0);
}
END_TEST

START_TEST(missing)
{
    const sp_beam_config c = { .width = 1, .coverage_penalty = 1 };
    const sp_beam_model model = { .symbols = 4 }, without = { .symbols = 4, .step = step };
    sp_status status[4] = { 0 };
    ck_assert(!sp_beam_search(NULL, &model, 1, &status[0]) && !sp_beam_search(&c, NULL, 1, &status[1]));
    ck_assert(!sp_beam_search(&c, &model, 1, &status[2]) && !sp_beam_search(&c, &without, 1, &status[3]));
    ck_assert_str_eq(status[0].message, "beam: there is no configuration");
    ck_assert_str_eq(status[1].message, "beam: there is no model");
    ck_assert_str_eq(status[2].message, "beam: there is no step");
    ck_assert_str_eq(status[3].message, "beam: a coverage penalty of 1 for a model without weights");
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("beam");
    TCase *c = tcase_create("beam");
    tcase_add_loop_test(c, all_there_are, 0, PENALTIES);
    tcase_add_loop_test(c, as_described, 0, PENALTIES);
    tcase_add_test(c, one_at_a_time);
    tcase_add_loop_test(c, lasting, 0, 3);
    tcase_add_loop_test(c, greedy, 0, PENALTIES);
    tcase_add_test(c, ties);
    tcase_add_test(c, banned);
    tcase_add_test(c, banned_symbols);
    tcase_add_test(c, blind);
    tcase_add_test(c, little);
    tcase_add_loop_test(c, decoder, 0, 2);
    tcase_add_test(c, place);
    tcase_add_loop_test(c, wrong_steps, 0, 5);
    tcase_add_loop_test(c, wrong_settings, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(c, missing);
    suite_add_tcase(all, c);
    return all;
}
