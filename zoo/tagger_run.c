/* What a tagger computes: from words to scores, and from these to a loss and to tags. */
#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "nn/locked_dropout.h"
#include "nn/loss.h"
#include "nn/pool.h"
#include "ops/ops.h"
#include "zoo/batches_inside.h"
#include "zoo/tagger_inside.h"

/* ---- from words to scores -------------------------------------------------------------------------------------- */

/* What each different word's letters say, [different,w]: the outputs of either direction where it has read all of them. */
static sp_tensor *recurrent_letters(sp_tape *t, const sp_tagger *m, const int *letter, const long *length, long count, long words)
{
    const long half = sp_stack_out(&m->letter_stack) / 2;
    const sp_seq xs = sp_seq_pack(t, sp_embed_on(t, &m->letter_embed, letter, count), length, words);
    const sp_seq ys = sp_stack_on_seq(t, &m->letter_stack, xs, NULL);
    sp_tensor *ends[] = { sp_slice(t, sp_pool_last(t, ys), 1, 0, half), sp_slice(t, sp_pool_first(t, ys), 1, half, 2 * half) };
    return sp_concat(t, 2, ends, 1);
}

/* relu(max over the letters of W [before, letter, behind] + b) */
static sp_tensor *convolved_letters(sp_tape *t, const sp_tagger *m, const int *letter, const long *length, long count, long words)
{
    const int edge = sp_vocabulary_id(m->letters, SP_TAGGER_EDGE, strlen(SP_TAGGER_EDGE));
    int *three = sp_tape_take(t, (size_t)(3 * count + 1) * sizeof *three);
    int *of = sp_tape_take(t, (size_t)(count + 1) * sizeof *of);
    if (!three || !of)
        return sp_tape_fail(t, SP_ERR_STATE, "tagger: failed");
    for (long k = 0, at = 0; k < words; k++)
        for (long j = 0; j < length[k]; j++, at++) {
            three[3 * at] = j ? letter[at - 1] : edge;
            three[3 * at + 1] = letter[at];
            three[3 * at + 2] = j + 1 < length[k] ? letter[at + 1] : edge;
            of[at] = (int)k;
        }
    sp_tensor *x = sp_reshape(t, sp_embed_on(t, &m->letter_embed, three, 3 * count), SP_SHAPE(count, 3 * m->config.letter_embed));
    return sp_relu(t, sp_segment_max(t, sp_linear_on(t, &m->letter_filters, x), of, words));
}

static sp_tensor *letters_on(sp_tape *t, const sp_tagger *m, const sp_tagger_data *d, const struct sp_tagger_batch *b)
{
    int *letter;
    long *length, count;
    sp_tensor *y;
    sp_scope_push(t, "letters");
    if (!sp_tagger_letters_of(t, d, b, &letter, &length, &count))
        y = sp_tape_fail(t, SP_ERR_STATE, "tagger: failed");
    else if (m->config.letters == SP_TAGGER_LETTERS_CONV)
        y = convolved_letters(t, m, letter, length, count, b->different);
    else
        y = recurrent_letters(t, m, letter, length, count, b->different);
    y = sp_embedding(t, y, b->place, b->rows);          /* each different word is encoded once */
    sp_scope_pop(t);
    return y;
}

/* In training a word is unknown now and then, which is how <unk> learns its vector. */
static sp_tensor *words_on(sp_tape *t, const sp_tagger *m, struct sp_tagger_batch *b)
{
    sp_scope_push(t, "words");
    if (sp_tape_training(t) && m->config.word_dropout > 0) {
        const sp_key key = sp_tape_key(t);
        sp_real *drop = sp_tape_take(t, (size_t)(b->rows + 1) * sizeof *drop);
        if (drop)
            sp_random_mask(&key, b->rows, 1, m->config.word_dropout, 1, 0, drop);
        for (long i = 0; drop && i < b->rows; i++)
            if (drop[i] > 0)
                b->word[i] = SP_UNKNOWN;
    }
    sp_tensor *y = sp_embed_on(t, &m->word_embed, b->word, b->rows);
    sp_scope_pop(t);
    return y;
}

sp_seq sp_tagger_on(sp_tape *t, const sp_tagger *m, const sp_tagger_data *d, const long *index, long n)
{
    struct sp_tagger_batch b;
    if (!sp_tagger_gather(t, d, index, n, &b))
        return (sp_seq){ sp_tape_fail(t, SP_ERR_STATE, "tagger: failed"), NULL };
    sp_tensor *x = words_on(t, m, &b);
    if (m->letters)
        x = sp_concat(t, 2, (sp_tensor *const[]){ x, letters_on(t, m, d, &b) }, 1);
    sp_scope_push(t, "rnn");
    sp_seq h = sp_locked_dropout_seq(t, sp_seq_pack(t, x, b.length, b.n), m->config.dropout);
    h = sp_stack_on_seq(t, &m->stack, h, NULL);
    sp_scope_pop(t);
    sp_scope_push(t, "out");
    h = sp_locked_dropout_seq(t, h, m->config.dropout);
    h = sp_seq_like(h, sp_linear_on(t, &m->out, h.rows));
    sp_scope_pop(t);
    return h;
}

/* ---- from scores to a loss, and to tags ------------------------------------------------------------------------ */

/* Are these the scores of the sentences' words? */
static bool of_these(sp_tape *t, const sp_tagger *m, sp_seq scores, const sp_tagger_data *d, const long *index, long n)
{
    if (!sp_ok(t) || !sp_tagger_there(t, d, index, n))
        return false;
    const long rows = sp_tagger_words(d, index, n), tags = sp_vocabulary_size(m->tags);
    const long have = scores.layout ? scores.layout->rows : 0, columns = scores.layout ? sp_dim(scores.rows, 1) : 0;
    if (have != rows || columns != tags)
        sp_tape_fail(t, SP_ERR_SHAPE, "tagger: scores of %ld tags for %ld words, not of %ld for %ld", columns, have, tags, rows);
    return sp_ok(t);
}

/* The tags of a batch; and, for a CRF, the rows of its sentences that count, and the lengths of these. */
struct targets {
    int *tag;                   /* [rows], SP_IGNORE where it does not count */
    int *row;                   /* [counted] */
    long *length;               /* [sentences] */
    long rows, counted, sentences;
};

static bool targets_of(sp_tape *t, const sp_tagger *m, const sp_tagger_data *d, const long *index, long n, struct targets *y)
{
    const long rows = sp_tagger_words(d, index, n);
    *y = (struct targets){ 0 };
    if (!d->tags.id)
        return sp_tape_fail(t, SP_ERR_VALUE, "tagger: these sentences have no tags"), false;
    y->tag = sp_tape_take(t, (size_t)(rows + 1) * sizeof *y->tag);
    y->row = sp_tape_take(t, (size_t)(rows + 1) * sizeof *y->row);
    y->length = sp_tape_take(t, (size_t)(n + 1) * sizeof *y->length);
    if (!y->tag || !y->row || !y->length)
        return false;
    for (long i = 0; i < n; i++) {
        const long length = sp_sentence_length(d->s, 0, index[i]);
        const bool counts = !m->config.crf || d->counts[index[i]];
        for (long j = 0; j < length; j++, y->rows++) {
            const int tag = d->tags.id[d->s->field[0].first[index[i]] + j];
            y->tag[y->rows] = counts && tag >= 0 ? tag : SP_IGNORE;
            if (y->tag[y->rows] != SP_IGNORE)
                y->row[y->counted++] = (int)y->rows;
        }
        if (length && counts)
            y->length[y->sentences++] = length;
    }
    return true;
}

sp_tensor *sp_tagger_loss(sp_tape *t, const sp_tagger *m, sp_seq scores, const sp_tagger_data *d, const long *index, long n,
                          long *count)
{
    struct targets y;
    *count = 0;
    if (!of_these(t, m, scores, d, index, n) || !targets_of(t, m, d, index, n, &y))
        return sp_tape_fail(t, SP_ERR_STATE, "tagger: failed");
    if (!(*count = y.counted))
        return NULL;
    if (!m->config.crf)
        return sp_cross_entropy_mean(t, sp_seq_unpack(t, scores), y.tag, SP_IGNORE);
    if (y.counted < y.rows) {
        scores = sp_seq_pack(t, sp_embedding(t, sp_seq_unpack(t, scores), y.row, y.counted), y.length, y.sentences);
        for (long k = 0; k < y.counted; k++)
            y.tag[k] = y.tag[y.row[k]];
    }
    return sp_crf_loss_mean(t, &m->crf, scores, y.tag);
}

/* The best tag of each word by itself. */
static bool best_tags(sp_tape *t, sp_seq scores, long rows, long tags, int *best)
{
    sp_real *x = sp_tape_take(t, (size_t)(rows * tags + 1) * sizeof *x);
    if (!x || !sp_read(sp_seq_unpack(t, scores), x))
        return false;
    for (long i = 0; i < rows; i++) {
        best[i] = 0;
        for (int k = 1; k < tags; k++)
            if (x[i * tags + k] > x[i * tags + best[i]])
                best[i] = k;
    }
    return true;
}

/* A CRF that forbids nothing, with the parameters of another. */
static sp_crf free_crf(sp_tape *t, sp_crf crf)
{
    const size_t n = (size_t)((crf.labels + 1) * (crf.labels + 1)) * sizeof *crf.forbidden;
    if ((crf.forbidden = sp_tape_take(t, n)))
        memset(crf.forbidden, 0, n);
    return crf;
}

/* The best paths; those of sentences that are too short, or of an odd length, for any that the scheme allows, without it. */
static bool best_paths(sp_tape *t, const sp_tagger *m, sp_seq scores, const sp_tagger_data *d, const long *index, long n, int *best)
{
    const long rows = scores.layout->rows;
    int *row = sp_tape_take(t, 2 * (size_t)(rows + 1) * sizeof *row), *part = row + rows + 1;
    long *length = sp_tape_take(t, (size_t)(n + 1) * sizeof *length);
    const sp_crf crf[] = { m->crf, free_crf(t, m->crf) };
    if (!row || !length || !crf[1].forbidden)
        return false;
    for (int free = 0; free < 2; free++) {
        long words = 0, sentences = 0;
        for (long i = 0, at = 0; i < n; at += sp_sentence_length(d->s, 0, index[i++])) {
            const long steps = sp_sentence_length(d->s, 0, index[i]);
            if (!steps || sp_crf_possible(t, &m->crf, steps) == (bool)free)
                continue;
            length[sentences++] = steps;
            for (long j = 0; j < steps; j++)
                row[words++] = (int)(at + j);
        }
        if (words == rows)
            return sp_crf_viterbi(t, &crf[free], scores, best, NULL);
        if (!words)
            continue;
        const sp_seq some = sp_seq_pack(t, sp_embedding(t, sp_seq_unpack(t, scores), row, words), length, sentences);
        if (!sp_crf_viterbi(t, &crf[free], some, part, NULL))
            return false;
        for (long k = 0; k < words; k++)
            best[row[k]] = part[k];
    }
    return sp_ok(t);
}

bool sp_tagger_decode(sp_tape *t, const sp_tagger *m, sp_seq scores, const sp_tagger_data *d, const long *index, long n,
                      int *tag)
{
    if (!of_these(t, m, scores, d, index, n))
        return false;
    const long rows = sp_tagger_words(d, index, n);
    int *best = sp_tape_take(t, (size_t)(rows + 1) * sizeof *best);
    if (!best || !(m->config.crf ? best_paths(t, m, scores, d, index, n, best)
                                 : best_tags(t, scores, rows, sp_vocabulary_size(m->tags), best)))
        return false;
    for (long i = 0, row = 0; i < n; i++) {
        const long length = sp_sentence_length(d->s, 0, index[i]);
        memcpy(tag + d->s->field[0].first[index[i]], best + row, (size_t)length * sizeof *tag);
        row += length;
    }
    return true;
}

/* Tags all sentences. */
static bool tag_all(const sp_tagger *m, const sp_tagger_data *d, int *tag, sp_status *status)
{
    enum { SENTENCES = 64, WORDS = 4096 };
    struct sp_reading r;
    sp_reading_begin(&r, m->store, m->profile, d->s->field[0].first, d->n, SENTENCES, WORDS);
    while (sp_reading_next(&r))
        sp_tagger_decode(r.tape, m, sp_tagger_on(r.tape, m, d, r.index, r.n), d, r.index, r.n, tag);
    return sp_reading_end(&r, status);
}

sp_sentences *sp_tagger_tag(const sp_tagger *m, const sp_sentences *s, sp_status *status)
{
    sp_tagger_data *d = sp_tagger_words_new(m, s, status);
    int *tag = d ? malloc((size_t)(d->strings + 1) * sizeof *tag) : NULL;
    if (d && !tag)
        sp_fail(status, SP_ERR_MEMORY, "tagger: out of memory for %ld words", d->strings);
    sp_sentences *out = tag && tag_all(m, d, tag, status) ? sp_tagger_tagged(s, m->tags, tag, status) : NULL;
    free(tag);
    sp_tagger_data_free(d);
    return out;
}
