/* What a classifier makes of sentences, and how often it is right. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/op.h"
#include "ops/ops.h"
#include "zoo/batches_inside.h"
#include "zoo/classifier.h"

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

/* Sentences with words. */
static void predict_part(const struct sp_reading *r, const sp_classifier *m, const int *id, sp_real *logp, sp_real *weights)
{
    const long classes = sp_classifier_classes(m), n = r->n;
    struct sp_gathered p;
    sp_tensor *attention;
    if (!sp_gather(r->tape, id, r->first, r->index, n, &p))
        return;
    sp_tensor *y = sp_log_softmax(r->tape, sp_classifier_on(r->tape, m, p.id, p.length, n, weights ? &attention : NULL));
    sp_real *all = sp_tape_take(r->tape, (size_t)(n * classes) * sizeof *all);
    sp_real *each = weights ? sp_tape_take(r->tape, (size_t)p.sum * sizeof *each) : NULL;
    if (!all || !sp_read(y, all) || (weights && (!each || !sp_read(attention, each))))
        return;
    for (long k = 0, at = 0; k < n; at += p.length[k++]) {
        memcpy(logp + r->index[k] * classes, all + k * classes, (size_t)classes * sizeof *all);
        if (weights)
            memcpy(weights + r->first[r->index[k]], each + at, (size_t)p.length[k] * sizeof *each);
    }
}

bool sp_classifier_predict(const sp_classifier *m, const sp_sentences *s, sp_real *logp, sp_real *weights, sp_status *status)
{
    enum { SENTENCES = 64, WORDS = 8192 };
    struct sp_reading r;
    sp_ids ids;
    if (!m || !s || !logp)
        return sp_fail(status, SP_ERR_VALUE, "classifier: no %s", !m ? "model" : !s ? "sentences" : "room for the result");
    if (weights && (m->config.model != SP_CLASSIFIER_RECURRENT || m->config.pool != SP_CLASSIFIER_POOL_ATTENTION))
        return sp_fail(status, SP_ERR_VALUE,
                       "classifier: the model has no attention: only a recurrent one pooled by attention has");
    if (!sp_encode_field(m->words, s, 0, &ids, status))
        return false;
    const long classes = sp_classifier_classes(m);
    for (long i = 0; i < s->n; i++)
        for (long k = 0; !sp_sentence_length(s, 0, i) && k < classes; k++)
            logp[i * classes + k] = (sp_real)log((double)sp_param_read(m->prior)[k]);
    sp_reading_begin(&r, m->store, m->profile, s->field[0].first, s->n, SENTENCES, WORDS);
    while (sp_reading_next(&r))
        predict_part(&r, m, ids.id, logp, weights);
    free(ids.id);
    return sp_reading_end(&r, status);
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
