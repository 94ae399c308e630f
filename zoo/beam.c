#include "zoo/beam.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/beam_inside.h"

/* A row of some step. Its weights are where the model looked for what follows it. */
struct node {
    int parent, symbol;         /* the row before, -1; and what it was given */
};

/* One that ended; the node is the row that gave the last symbol. */
struct ended {
    double log_p, score;
    int node;
    long length;
};

struct search {
    const sp_beam_config *c;
    const sp_beam_model *m;
    long sentences, width, nbest, step;
    long rows, begin;           /* of this step; its first row's node */
    struct node *node;          /* [nodes] the rows of all steps, one step behind the other, but for those let go */
    sp_real *weights;           /* [nodes,places] */
    int *place;                 /* [nodes] where each goes when others are let go; -1: nowhere */
    long nodes, node_room;
    struct sp_candidate *live;  /* [sentences,width] the rows of the next step: the likeliest first */
    long *lives, *endings;      /* [sentences] how many live, and how many have ended */
    struct ended *best;         /* [sentences,nbest] the best first */
    long *bests;                /* [sentences] */
    struct sp_followers follow; /* of one sentence */
    double *seen;               /* [places] */
    int *sentence, *parent, *symbol;            /* [sentences * width] the rows */
    sp_real *logits;            /* [sentences * width, symbols] */
};

struct sp_beam {
    long sentences, nbest;
    long *count;                /* [sentences] */
    sp_hypothesis *best;        /* [sentences,nbest] */
    int *symbols;
    sp_real *weights;
};

/* ---- scores ---------------------------------------------------------------------------------------------------- */

/* ((5 + |y|) / 6)^alpha */
static double length_factor(const struct search *s, long factors)
{
    return s->c->length_penalty > 0 ? pow((5 + (double)factors) / 6, s->c->length_penalty) : 1;
}

static long longest(const struct search *s, long sentence)
{
    return s->c->longest ? s->c->longest[sentence] : s->c->most;
}

static long places_of(const struct search *s, long sentence)
{
    return s->m->used ? s->m->used[sentence] : s->m->places;
}

/* beta sum_s ln min(1, sum_j a_js) along the path to a node */
static double coverage(const struct search *s, long sentence, int node)
{
    const long places = places_of(s, sentence);
    double sum = 0;
    if (s->c->coverage_penalty <= 0)
        return 0;
    memset(s->seen, 0, (size_t)places * sizeof *s->seen);
    for (; node >= 0; node = s->node[node].parent)
        for (long i = 0; i < places; i++)
            s->seen[i] += (double)s->weights[node * s->m->places + i];
    for (long i = 0; i < places; i++)
        sum += log(fmin(1, fmax(1e-10, s->seen[i])));
    return s->c->coverage_penalty * sum;
}

/* A hypothesis more among the n best of its sentence, behind those that are equal. */
static void end(struct search *s, long sentence, const struct sp_candidate *x)
{
    struct ended *best = s->best + sentence * s->nbest;
    const double score = x->log_p / length_factor(s, s->step + 1) + coverage(s, sentence, x->node);
    const struct ended e = { x->log_p, score, x->node, s->step };
    long i = s->bests[sentence];
    s->endings[sentence]++;
    if (i == s->nbest && e.score <= best[i - 1].score)
        return;
    i = i == s->nbest ? i - 1 : s->bests[sentence]++;
    for (; i > 0 && best[i - 1].score < e.score; i--)
        best[i] = best[i - 1];
    best[i] = e;
}

/* Drops what cannot come among the n best any more. */
static void drop(struct search *s, long sentence)
{
    const struct sp_candidate *live = s->live + sentence * s->width;
    const double patience = s->c->patience > 0 ? s->c->patience : 1;
    if ((double)s->endings[sentence] >= patience * (double)s->width)
        s->lives[sentence] = 0;
    if (s->bests[sentence] < s->nbest)
        return;
    const double worst = s->best[(sentence + 1) * s->nbest - 1].score, most = length_factor(s, longest(s, sentence) + 1);
    while (s->lives[sentence] && live[s->lives[sentence] - 1].log_p / most <= worst)
        s->lives[sentence]--;
}

/* ---- one step of a sentence ------------------------------------------------------------------------------------ */

/* Where the logits of row r are no numbers below infinity. */
static bool wrong_logit(const struct search *s, long r, sp_status *status)
{
    const sp_real *x = s->logits + r * s->m->symbols;
    long i = 0;
    while (x[i] < (sp_real)INFINITY)
        i++;
    return sp_fail(status, SP_ERR_VALUE, "beam: in step %ld the logit of symbol %ld in row %ld is %g", s->step, i, r,
                   (double)x[i]);
}

/* The rows from r on that are of a sentence become what goes on and what ends. */
static bool advance(struct search *s, long sentence, long r, sp_status *status)
{
    struct sp_candidate *live = s->live + sentence * s->width;
    struct sp_followers *f = &s->follow;
    const long n = s->m->symbols;
    long before = 0;
    f->n = f->ends = 0;
    f->banned = s->m->banned;
    for (long i = 0; i < s->lives[sentence]; i++)
        if (!sp_follow(f, (int)(s->begin + r + i), live[i].log_p, n, s->logits + (r + i) * n, s->c->last,
                       s->step == longest(s, sentence)))
            return wrong_logit(s, r + i, status);
    sp_follow_sort(f);
    for (long i = 0; i < f->ends; i++) {
        while (before < f->n && sp_candidate_better(&f->heap[before], &f->ending[i]))
            before++;
        if (before + i < s->width)
            end(s, sentence, &f->ending[i]);
    }
    s->lives[sentence] = f->n;
    memcpy(live, f->heap, (size_t)f->n * sizeof *live);
    drop(s, sentence);
    return true;
}

/* ---- all sentences --------------------------------------------------------------------------------------------- */

/* A node stays, and with it all before it. */
static void stay(struct search *s, int node)
{
    for (; node >= 0 && s->place[node] < 0; node = s->node[node].parent)
        s->place[node] = 0;
}

/* The rows of steps before the last from which nothing that lives or is among the best came are let go; the others move up. */
static void let_go(struct search *s)
{
    const long places = s->m->places;
    long kept = 0;
    for (long n = 0; n < s->nodes; n++)
        s->place[n] = -1;
    for (long n = s->begin; n < s->nodes; n++)
        stay(s, (int)n);
    for (long i = 0; i < s->sentences; i++)
        for (long k = 0; k < s->bests[i]; k++)
            stay(s, s->best[i * s->nbest + k].node);
    for (long n = 0; n < s->nodes; n++) {
        const int parent = s->node[n].parent;
        if (s->place[n] < 0)
            continue;
        s->node[kept] = (struct node){ parent < 0 ? parent : s->place[parent], s->node[n].symbol };
        if (places && kept < n)
            memcpy(s->weights + kept * places, s->weights + n * places, (size_t)places * sizeof *s->weights);
        s->place[n] = (int)kept++;
    }
    for (long i = 0; i < s->sentences; i++) {
        for (long k = 0; s->nodes && k < s->lives[i]; k++)
            s->live[i * s->width + k].node = s->place[s->live[i * s->width + k].node];
        for (long k = 0; k < s->bests[i]; k++)
            s->best[i * s->nbest + k].node = s->place[s->best[i * s->nbest + k].node];
    }
    s->begin -= s->nodes - kept;                        /* all of the last step stay */
    s->nodes = kept;
}

/* Memory for the nodes of `rows` more; half of it is free whenever others were let go. */
static bool make_room(struct search *s, long rows, sp_status *status)
{
    if (s->nodes + rows <= s->node_room)
        return true;
    let_go(s);
    const long room = 2 * (s->nodes + rows);
    if (room > INT_MAX)
        return sp_fail(status, SP_ERR_MEMORY, "beam: more than %d hypotheses to be kept at a time", INT_MAX / 2);
    struct node *node = realloc(s->node, (size_t)room * sizeof *node);
    s->node = node ? node : s->node;
    int *place = node ? realloc(s->place, (size_t)room * sizeof *place) : NULL;
    s->place = place ? place : s->place;
    const size_t size = (size_t)room * (size_t)s->m->places * sizeof *s->weights;
    sp_real *weights = place && size ? realloc(s->weights, size) : NULL;
    s->weights = weights ? weights : s->weights;
    if (!place || (size && !weights))
        return sp_fail(status, SP_ERR_MEMORY, "beam: no memory for %ld hypotheses", room);
    s->node_room = room;
    return true;
}

/* The live hypotheses of all sentences become rows; none if all sentences are done. */
static bool lay_rows(struct search *s, sp_status *status)
{
    long rows = 0, r = 0;
    for (long i = 0; i < s->sentences; i++)
        rows += s->lives[i];
    if (!make_room(s, rows, status))
        return false;
    for (long i = 0; i < s->sentences; i++)
        for (long k = 0; k < s->lives[i]; k++, r++) {
            const struct sp_candidate *x = &s->live[i * s->width + k];
            s->sentence[r] = (int)i;
            s->parent[r] = s->step ? x->node - (int)s->begin : (int)r;
            s->symbol[r] = x->symbol;
            s->node[s->nodes + r] = (struct node){ x->node, x->symbol };
        }
    s->begin = s->nodes;
    s->nodes += s->rows = rows;
    return true;
}

static bool ask(struct search *s, sp_status *status)
{
    const sp_beam_rows rows = { s->step, s->rows, s->sentence, s->parent, s->symbol };
    const long n = s->rows * s->m->places;
    sp_real *weights = s->weights ? s->weights + s->begin * s->m->places : NULL;
    if (weights)
        memset(weights, 0, (size_t)n * sizeof *weights);
    if (!s->m->step(s->m->self, &rows, s->logits, weights, status))
        return sp_fail(status, SP_ERR_STATE, "beam: step %ld failed", s->step);
    for (long i = 0; i < n; i++)
        if (!isfinite(weights[i]))
            return sp_fail(status, SP_ERR_VALUE, "beam: in step %ld the weight of place %ld in row %ld is %g", s->step,
                           i % s->m->places, i / s->m->places, (double)weights[i]);
    return true;
}

static bool search(struct search *s, sp_status *status)
{
    for (long i = 0; i < s->sentences; i++) {
        s->lives[i] = 1;
        s->live[i * s->width] = (struct sp_candidate){ 0, -1, s->c->first };
    }
    for (;; s->step++) {
        if (!lay_rows(s, status) || (s->rows && !ask(s, status)))
            return false;
        if (!s->rows)
            return true;
        for (long i = 0, r = 0; i < s->sentences; i++) {
            const long rows = s->lives[i];
            if (rows && !advance(s, i, r, status))
                return false;
            r += rows;
        }
    }
}

static bool check(const sp_beam_config *c, const sp_beam_model *m, long sentences, sp_status *status)
{
    if (!c || !m || !m->step)
        return sp_fail(status, SP_ERR_VALUE, "beam: there is no %s", c ? m ? "step" : "model" : "configuration");
    if (sentences < 0 || m->symbols < 1 || m->symbols > INT_MAX || m->places < 0)
        return sp_fail(status, SP_ERR_VALUE, "beam: %ld sentences, %ld symbols, %ld places", sentences, m->symbols, m->places);
    if (c->width < 1 || c->nbest < 0 || c->nbest > c->width)
        return sp_fail(status, SP_ERR_VALUE, "beam: the %ld best of a beam of width %ld", c->nbest, c->width);
    const double rows = (double)sentences * (double)c->width;
    if (rows * (double)m->symbols > 0x1p40 || rows > INT_MAX / 2)
        return sp_fail(status, SP_ERR_VALUE, "beam: %ld sentences, a beam of width %ld and %ld symbols are too many", sentences,
                       c->width, m->symbols);
    if (c->first < 0 || c->first >= m->symbols || c->last < 0 || c->last >= m->symbols)
        return sp_fail(status, SP_ERR_VALUE, "beam: the first symbol %d and the last %d are not both in 0..%ld", c->first, c->last,
                       m->symbols - 1);
    if (!(c->length_penalty >= 0 && isfinite(c->length_penalty) && c->coverage_penalty >= 0 && isfinite(c->coverage_penalty)))
        return sp_fail(status, SP_ERR_VALUE, "beam: the length penalty %g and the coverage penalty %g are not both finite and 0 or "
                       "more", c->length_penalty, c->coverage_penalty);
    if (c->coverage_penalty > 0 && !m->places)
        return sp_fail(status, SP_ERR_VALUE, "beam: a coverage penalty of %g for a model without weights", c->coverage_penalty);
    if (c->patience != 0 && !(c->patience >= 1))
        return sp_fail(status, SP_ERR_VALUE, "beam: a patience of %g, it must be 1 or more, or 0", c->patience);
    for (long i = 0; i < sentences; i++) {
        const long most = c->longest ? c->longest[i] : c->most, used = m->used ? m->used[i] : 0;
        if (most < 0)
            return sp_fail(status, SP_ERR_VALUE, "beam: at most %ld symbols for sentence %ld", most, i);
        if (used < 0 || used > m->places)
            return sp_fail(status, SP_ERR_VALUE, "beam: sentence %ld has %ld of %ld places", i, used, m->places);
    }
    return true;
}

static bool begin(struct search *s)
{
    const size_t n = (size_t)s->sentences, rows = n * (size_t)s->width, width = (size_t)s->width;
    s->live = calloc(rows + 1, sizeof *s->live);
    s->lives = calloc(n + 1, sizeof *s->lives);
    s->endings = calloc(n + 1, sizeof *s->endings);
    s->best = calloc(n * (size_t)s->nbest + 1, sizeof *s->best);
    s->bests = calloc(n + 1, sizeof *s->bests);
    s->follow.heap = calloc(width, sizeof *s->follow.heap);
    s->follow.ending = calloc(width, sizeof *s->follow.ending);
    s->seen = calloc((size_t)s->m->places + 1, sizeof *s->seen);
    s->sentence = calloc(rows + 1, sizeof *s->sentence);
    s->parent = calloc(rows + 1, sizeof *s->parent);
    s->symbol = calloc(rows + 1, sizeof *s->symbol);
    s->logits = calloc(rows * (size_t)s->m->symbols + 1, sizeof *s->logits);
    return s->live && s->lives && s->endings && s->best && s->bests && s->follow.heap && s->follow.ending && s->seen && s->sentence
           && s->parent && s->symbol && s->logits;
}

static void finish(struct search *s)
{
    free(s->node);
    free(s->place);
    free(s->weights);
    free(s->live);
    free(s->lives);
    free(s->endings);
    free(s->best);
    free(s->bests);
    free(s->follow.heap);
    free(s->follow.ending);
    free(s->seen);
    free(s->sentence);
    free(s->parent);
    free(s->symbol);
    free(s->logits);
}

/* ---- what was found -------------------------------------------------------------------------------------------- */

/* Symbols and weights along the path to the node that gave the last symbol. A symbol's weights are those of the row before. */
static void read_path(const struct search *s, const struct ended *e, long places, int *symbol, sp_real *weights)
{
    const struct node *n = &s->node[e->node];
    for (long i = e->length - 1; i >= 0; i--, n = &s->node[n->parent]) {
        symbol[i] = n->symbol;
        if (weights)
            memcpy(weights + i * places, s->weights + n->parent * s->m->places, (size_t)places * sizeof *weights);
    }
}

static sp_beam *collect(const struct search *s)
{
    size_t symbols = 0, weights = 0;
    sp_beam *b = calloc(1, sizeof *b);
    for (long i = 0; i < s->sentences; i++)
        for (long k = 0; k < s->bests[i]; k++) {
            const long length = s->best[i * s->nbest + k].length;
            symbols += (size_t)length;
            weights += (size_t)length * (size_t)places_of(s, i);
        }
    if (!b)
        return NULL;
    *b = (sp_beam){ .sentences = s->sentences, .nbest = s->nbest, .count = calloc((size_t)s->sentences + 1, sizeof *b->count),
                    .best = calloc((size_t)(s->sentences * s->nbest) + 1, sizeof *b->best),
                    .symbols = calloc(symbols + 1, sizeof *b->symbols), .weights = calloc(weights + 1, sizeof *b->weights) };
    if (!b->count || !b->best || !b->symbols || !b->weights) {
        sp_beam_free(b);
        return NULL;
    }
    int *symbol = b->symbols;
    sp_real *weight = b->weights;
    for (long i = 0; i < s->sentences; i++) {
        const long places = places_of(s, i);
        b->count[i] = s->bests[i];
        for (long k = 0; k < s->bests[i]; k++) {
            const struct ended *e = &s->best[i * s->nbest + k];
            sp_hypothesis *h = &b->best[i * s->nbest + k];
            *h = (sp_hypothesis){ symbol, e->length, places, s->m->places ? weight : NULL, e->score, e->log_p };
            read_path(s, e, places, symbol, s->m->places ? weight : NULL);
            symbol += e->length;
            weight += e->length * places;
        }
    }
    return b;
}

sp_beam *sp_beam_search(const sp_beam_config *config, const sp_beam_model *model, long sentences, sp_status *status)
{
    sp_beam *found = NULL;
    if (!check(config, model, sentences, status))
        return NULL;
    struct search s = { .c = config, .m = model, .sentences = sentences, .width = config->width, .follow.width = config->width,
                        .nbest = config->nbest ? config->nbest : 1 };
    if (!begin(&s))
        sp_fail(status, SP_ERR_MEMORY, "beam: no memory for %ld sentences with %ld hypotheses of %ld symbols", sentences, s.width,
                model->symbols);
    else if (search(&s, status) && !(found = collect(&s)))
        sp_fail(status, SP_ERR_MEMORY, "beam: no memory for what was found");
    finish(&s);
    return found;
}

void sp_beam_free(sp_beam *b)
{
    if (!b)
        return;
    free(b->count);
    free(b->best);
    free(b->symbols);
    free(b->weights);
    free(b);
}

long sp_beam_count(const sp_beam *b, long sentence)
{
    return b && sentence >= 0 && sentence < b->sentences ? b->count[sentence] : 0;
}

const sp_hypothesis *sp_beam_best(const sp_beam *b, long sentence, long rank)
{
    return rank >= 0 && rank < sp_beam_count(b, sentence) ? &b->best[sentence * b->nbest + rank] : NULL;
}

long sp_hypothesis_place(const sp_hypothesis *h, long i, long places)
{
    long best = -1;
    if (h && h->weights && i >= 0 && i < h->length)
        for (long k = 0; k < places && k < h->places; k++)
            best = best < 0 || h->weights[i * h->places + k] > h->weights[i * h->places + best] ? k : best;
    return best;
}
