#include "zoo/lm_train.h"

#include <stdlib.h>
#include <string.h>

struct sp_lm_trainer {
    sp_lm *m;
    const sp_ids *train, *valid;
    long batch, bptt;
    const char *out;
    char *symbols;              /* the vocabulary as text */
    int shards;
    struct part {               /* some of the streams being read: a shard of the batch */
        sp_stream stream;
        sp_state *state;
        int *x, *y;             /* [bptt,batch] */
    } part[SP_MOST_SHARDS];
};

static long begin(void *self, bool training, long epoch)
{
    sp_lm_trainer *r = self;
    (void)epoch;
    const sp_ids *ids = training ? r->train : r->valid;
    const sp_stream all = sp_stream_of(ids->id, ids->n, r->batch, r->bptt);
    for (int i = 0; i < r->shards; i++) {
        r->part[i].stream = sp_stream_part(&all, i, r->shards);
        sp_state_zero(r->part[i].state);
    }
    return all.windows;
}

static sp_tensor *loss(sp_tape *t, void *self, bool training, long batch, int shard, long *count)
{
    const sp_lm_trainer *r = self;
    const struct part *p = &r->part[shard];
    (void)training;
    *count = sp_stream_read(&p->stream, batch, p->x, p->y);
    return sp_lm_loss(t, r->m, p->x, p->y, sp_stream_length(&p->stream, batch), p->stream.batch, p->state);
}

static bool save(void *self, sp_status *status)
{
    const sp_lm_trainer *r = self;
    return !r->out || sp_lm_save(r->m, r->out, status);
}

static sp_real *carried(void *self, int i, long *size)
{
    const sp_lm_trainer *r = self;
    return i < r->shards ? sp_state_values(r->part[i].state, size) : NULL;
}

static void describe(void *self, sp_report *report)
{
    const sp_lm_trainer *r = self;
    const sp_option rows[] = { SP_LM_OPTIONS(&r->m->config), { 0 } };
    sp_report_text(report, "task", "language model");
    sp_report_text(report, "level", sp_vocabulary_level(r->m->vocabulary) == SP_LEVEL_WORD ? "word" : "char");
    sp_options_report(rows, report);
    sp_report_count(report, "batch", r->batch);
    sp_report_count(report, "bptt", r->bptt);
    sp_report_bytes(report, "training text", r->train->id, (size_t)r->train->n * sizeof *r->train->id);
    sp_report_bytes(report, "validation text", r->valid->id, (size_t)r->valid->n * sizeof *r->valid->id);
    sp_report_bytes(report, "vocabulary", r->symbols, strlen(r->symbols));
}

static bool check(const sp_ids *train, const sp_ids *valid, long batch, long bptt, sp_status *status)
{
    enum { MOST = 1 << 24 };
    if (batch < 1 || bptt < 1 || batch > MOST || bptt > MOST)
        return sp_fail(status, SP_ERR_VALUE, "training: batch %ld, bptt %ld: expected 1 to %d", batch, bptt, MOST);
    if (train->n <= batch * bptt)
        return sp_fail(status, SP_ERR_VALUE, "%ld symbols to train on, but one window of a batch of %ld streams over bptt %ld "
                       "steps needs %ld; lower them", train->n, batch, bptt, batch * bptt + 1);
    if (valid->n <= batch)
        return sp_fail(status, SP_ERR_VALUE, "%ld symbols to validate on, but a batch of %ld streams needs %ld", valid->n, batch,
                       batch + 1);
    return true;
}

static bool open_part(const sp_lm_trainer *r, struct part *p, const sp_stream *all, int i)
{
    const long batch = sp_stream_part(all, i, r->shards).batch;
    p->x = malloc((size_t)(batch * r->bptt) * sizeof *p->x);
    p->y = malloc((size_t)(batch * r->bptt) * sizeof *p->y);
    p->state = sp_state_new(&r->m->stack, batch);
    return p->x && p->y && p->state;
}

sp_lm_trainer *sp_lm_trainer_new(sp_lm *m, const sp_ids *train, const sp_ids *valid, long batch, long bptt, const char *out,
                                 sp_status *status)
{
    if (!check(train, valid, batch, bptt, status))
        return NULL;
    sp_lm_trainer *r = malloc(sizeof *r);
    if (r)
        *r = (sp_lm_trainer){ m, train, valid, batch, bptt, out, sp_vocabulary_write(m->vocabulary), sp_trainer_shards(batch),
                              { { .x = NULL } } };
    const sp_stream all = sp_stream_of(train->id, train->n, batch, bptt);
    bool ok = r && r->symbols;
    for (int i = 0; ok && i < r->shards; i++)
        ok = open_part(r, &r->part[i], &all, i);
    if (ok)
        return r;
    sp_lm_trainer_free(r);
    sp_fail(status, SP_ERR_MEMORY, "training: out of memory for a window of %ld streams over %ld steps", batch, bptt);
    return NULL;
}

void sp_lm_trainer_free(sp_lm_trainer *r)
{
    for (int i = 0; r && i < r->shards; i++) {
        free(r->part[i].x);
        free(r->part[i].y);
        sp_state_free(r->part[i].state);
    }
    if (r)
        free(r->symbols);
    free(r);
}

sp_task sp_lm_trainer_task(sp_lm_trainer *r)
{
    if (!r)
        return (sp_task){ .self = NULL };
    return (sp_task){ .self = r, .store = r->m->store, .shards = r->shards, .begin = begin, .loss = loss, .save = save,
                      .carried = carried, .describe = describe };
}
