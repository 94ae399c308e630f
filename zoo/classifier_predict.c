/* What a classifier makes of sentences, and how often it is right. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "zoo/batches.h"
#include "zoo/classifier.h"

/* How much is computed at once: so many sentences, and no more words than this if there is more than one. */
enum { SENTENCES = 64, WORDS = 8192 };

struct prediction {
    const sp_classifier *m;
    const sp_sentences *s;
    sp_ids ids;                 /* of field 0 */
    sp_real *logp, *weights;    /* the results */
    int *word;                  /* [WORDS], or of a sentence that is longer: those of a batch, */
    sp_real *row;               /* the same size: their attention */
    long length[SENTENCES], index[SENTENCES];
};

int sp_classifier_best(const sp_classifier *m, const sp_real *score)
{
    int best = 0;
    for (int k = 1; k < sp_classifier_classes(m); k++)
        if (score[k] > score[best])
            best = k;
    return best;
}

int sp_classifier_truth(const sp_classifier *m, const sp_sentences *s, long i)
{
    size_t length;
    const char *label = sp_sentence_word(s, 1, i, 0, &length);
    return sp_vocabulary_id_in_text(m->labels, label, length);
}

/* n sentences with words. */
static bool predict_batch(sp_tape *t, struct prediction *r, long n)
{
    const long classes = sp_classifier_classes(r->m), *first = r->s->field[0].first;
    sp_tensor *weights = NULL;
    sp_real *all = NULL;
    long words = 0;
    for (long k = 0; k < n; words += r->length[k++])
        memcpy(r->word + words, r->ids.id + first[r->index[k]], (size_t)r->length[k] * sizeof *r->word);
    sp_tape_reset(t);
    sp_tensor *logp = sp_log_softmax(t, sp_classifier_on(t, r->m, r->word, r->length, n, r->weights ? &weights : NULL));
    if (!sp_ok(t) || !(all = sp_tape_take(t, (size_t)(n * classes) * sizeof *all)) || !sp_read(logp, all))
        return false;
    for (long k = 0; k < n; k++)
        memcpy(r->logp + r->index[k] * classes, all + k * classes, (size_t)classes * sizeof *all);
    if (!r->weights)
        return true;
    if (!sp_read(weights, r->row))
        return false;
    for (long k = 0, at = 0; k < n; at += r->length[k++])
        memcpy(r->weights + first[r->index[k]], r->row + at, (size_t)r->length[k] * sizeof *r->row);
    return true;
}

/* All sentences, those of one length together; the empty ones come first. */
static bool predict_all(sp_tape *t, struct prediction *r, const sp_batches *by_length)
{
    const long classes = sp_classifier_classes(r->m);
    long n = 0, words = 0, one;
    for (long i = 0; i < r->s->n; i++) {
        const long index = *sp_batches_part(by_length, i, 0, 1, &one), length = sp_sentence_length(r->s, 0, index);
        if (!length) {
            for (long k = 0; k < classes; k++)
                r->logp[index * classes + k] = (sp_real)log((double)sp_param_read(r->m->prior)[k]);
            continue;
        }
        if (n && (n == SENTENCES || words + length > WORDS)) {
            if (!predict_batch(t, r, n))
                return false;
            n = words = 0;
        }
        r->index[n] = index;
        r->length[n++] = length;
        words += length;
    }
    return !n || predict_batch(t, r, n);
}

bool sp_classifier_predict(const sp_classifier *m, const sp_sentences *s, sp_real *logp, sp_real *weights, sp_status *status)
{
    struct prediction r = { .m = m, .s = s, .logp = logp, .weights = weights };
    if (!m || !s || !logp)
        return sp_fail(status, SP_ERR_VALUE, "classifier: no %s", !m ? "model" : !s ? "sentences" : "room for the result");
    if (weights && (m->config.model != SP_CLASSIFIER_RECURRENT || m->config.pool != SP_CLASSIFIER_POOL_ATTENTION))
        return sp_fail(status, SP_ERR_VALUE,
                       "classifier: the model has no attention: only a recurrent one pooled by attention has");
    if (!s->n)
        return true;
    long longest = WORDS;
    long *length = malloc((size_t)s->n * sizeof *length);
    for (long i = 0; length && i < s->n; i++) {
        length[i] = sp_sentence_length(s, 0, i);
        longest = length[i] > longest ? length[i] : longest;
    }
    sp_batches *by_length = length ? sp_batches_new(length, s->n, 1, status) : NULL;
    sp_tape *t = sp_tape_new(m->store);
    r.word = malloc((size_t)longest * sizeof *r.word);
    r.row = malloc((size_t)longest * sizeof *r.row);
    sp_tape_set_recording(t, false);
    sp_tape_set_training(t, false);
    sp_tape_set_profile(t, m->profile);
    bool ok = (by_length && t && r.word && r.row)
              || sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory for %ld sentences", s->n);
    ok = ok && sp_encode_field(m->words, s, 0, &r.ids, status)
         && (predict_all(t, &r, by_length) || sp_fail_with(status, sp_tape_status(t)));
    sp_tape_free(t);
    sp_batches_free(by_length);
    free(length);
    free(r.word);
    free(r.row);
    free(r.ids.id);
    return ok;
}

sp_confusion *sp_classifier_confusion(const sp_classifier *m, const sp_sentences *s, const sp_real *logp, double *nats,
                                      sp_status *status)
{
    const int classes = sp_classifier_classes(m);
    sp_confusion *c = sp_confusion_new(classes, status);
    double sum = 0;
    bool ok = c;
    for (long i = 0; ok && i < s->n; i++) {
        const int truth = sp_classifier_truth(m, s, i);
        ok = sp_confusion_add(c, truth, sp_classifier_best(m, logp + i * classes), status);
        sum -= truth < 0 ? 0 : (double)logp[i * classes + truth];
    }
    if (!ok) {
        sp_confusion_free(c);
        return NULL;
    }
    if (nats)
        *nats = s->n > c->outside ? sum / (double)(s->n - c->outside) : NAN;
    return c;
}
