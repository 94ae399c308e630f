#include "zoo/lm_data.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRAIN, VALID, TEST, PARTS };

struct part {
    const char *text;           /* NULL: there is none */
    size_t size;
};

/* "80,10,10": two or three numbers over 0 whose sum is 100. */
static bool read_split(const char *split, int percent[PARTS], sp_status *status)
{
    int used = 0;
    const int n = sscanf(split, "%2d,%2d%n,%2d%n", &percent[TRAIN], &percent[VALID], &used, &percent[TEST], &used);
    bool ok = n >= 2 && !split[used];
    int sum = 0;
    percent[TEST] = n == 3 ? percent[TEST] : 0;
    for (int i = 0; ok && i < PARTS; sum += percent[i++])
        ok = percent[i] > 0 || (i == TEST && n == 2);
    return (ok && sum == 100)
           || sp_fail(status, SP_ERR_VALUE, "split %s: expected two or three whole percents, to train, validate and test on, "
                      "whose sum is 100", split);
}

static void split_text(struct part part[PARTS], sp_level level, const int percent[PARTS])
{
    const struct part all = part[TRAIN];
    size_t at = 0, length;
    long n = 0, i = 0;
    while (sp_text_next(all.text, all.size, level, &at, &length))
        n++;
    const long end[PARTS] = { n - n * (percent[VALID] + percent[TEST]) / 100, n - n * percent[TEST] / 100, n };
    at = 0;
    for (int p = TRAIN; p < PARTS; p++) {
        if (p == TEST && !percent[TEST])
            break;
        const size_t from = at;
        for (; i < end[p]; i++)
            sp_text_next(all.text, all.size, level, &at, &length);
        part[p] = (struct part){ all.text + from, at - from };
    }
}

static bool encode(sp_lm_data *d, const sp_lm_source *from, const struct part part[PARTS], sp_status *status)
{
    static const char *const purpose[PARTS] = { "train", "validate", "test" };
    sp_ids *const ids[PARTS] = { &d->train, &d->valid, &d->test };
    if (!(d->vocabulary = sp_vocabulary_of(part[TRAIN].text, part[TRAIN].size, from->level, from->most, status)))
        return false;
    for (int i = 0; i < PARTS; i++) {
        if (part[i].text && !sp_encode(d->vocabulary, part[i].text, part[i].size, ids[i], status))
            return false;
        if (part[i].text && ids[i]->n < 2)
            return sp_fail(status, SP_ERR_VALUE, "%ld symbols to %s on, expected 2 or more", ids[i]->n, purpose[i]);
    }
    return true;
}

static bool check(const sp_lm_source *from, const char *split, const int percent[PARTS], sp_status *status)
{
    if (!from->train == !from->text)
        return sp_fail(status, SP_ERR_VALUE, "%s to train on",
                       from->train ? "a file and a text" : "there is neither file nor text");
    if (from->valid && from->valid_text)
        return sp_fail(status, SP_ERR_VALUE, "a file and a text to validate on");
    if (from->split && (from->valid || from->valid_text))
        return sp_fail(status, SP_ERR_VALUE, "split %s: but there is %s to validate on", split,
                       from->valid ? from->valid : "a text");
    if (percent[TEST] && from->test)
        return sp_fail(status, SP_ERR_VALUE, "split %s: but there is %s to test on", split, from->test);
    return true;
}

bool sp_lm_data_read(sp_lm_data *d, const sp_lm_source *from, sp_status *status)
{
    const char *split = from->split ? from->split : "90,10";
    const char *const file[PARTS] = { from->train, from->valid, from->test };
    char *owned[PARTS] = { NULL };
    struct part part[PARTS] = { { from->text, from->size }, { from->valid_text, from->valid_size } };
    int percent[PARTS];
    *d = (sp_lm_data){ 0 };
    bool ok = read_split(split, percent, status) && check(from, split, percent, status);
    for (int i = 0; ok && i < PARTS; i++)
        if (file[i]) {
            ok = (owned[i] = sp_text_read(file[i], &part[i].size, status));
            part[i].text = owned[i];
        }
    if (ok && !part[VALID].text) {
        const struct part test = part[TEST];
        split_text(part, from->level, percent);
        if (from->test)
            part[TEST] = test;
    }
    ok = ok && encode(d, from, part, status);
    for (int i = 0; i < PARTS; i++)
        free(owned[i]);
    if (!ok)
        sp_lm_data_free(d);
    return ok;
}

void sp_lm_data_free(sp_lm_data *d)
{
    sp_vocabulary_free(d->vocabulary);
    free(d->train.id);
    free(d->valid.id);
    free(d->test.id);
    *d = (sp_lm_data){ 0 };
}
