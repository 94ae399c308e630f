#include "zoo/lm_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIN, VALID, TEST, PARTS };

struct part {
    const char *text;           /* NULL: there is none */
    size_t size;
};

/* "80,10,10": two or three numbers over 0, of digits alone, whose sum is 100. */
static bool read_split(const char *split, int percent[PARTS], sp_status *status)
{
    const char *at = split;
    int sum = 0, n = 0;
    percent[TEST] = 0;
    for (bool more = true; more && n < PARTS; n++) {
        percent[n] = 0;
        while (*at >= '0' && *at <= '9' && percent[n] < 100)
            percent[n] = 10 * percent[n] + *at++ - '0';
        sum += percent[n] ? percent[n] : 100;           /* none is one too many */
        more = *at == ',' && n + 1 < PARTS;
        at += more;
    }
    return (n >= 2 && !*at && sum == 100)
           || sp_fail(status, SP_ERR_VALUE, "split %s: expected two or three whole percents, to train, validate and test on, "
                      "whose sum is 100", split);
}

/* At word level the last line has an end as the others have: if it has none, the part becomes a copy that does. */
static bool end_line(struct part *part, char **owned, sp_level level, sp_status *status)
{
    const size_t size = part->size;
    if (level != SP_LEVEL_WORD || !part->text || !size || part->text[size - 1] == '\n')
        return true;
    char *copy = malloc(size + 1);
    if (!copy)
        return sp_fail(status, SP_ERR_MEMORY, "text: out of memory for %zu bytes", size);
    memcpy(copy, part->text, size);
    copy[size] = '\n';
    free(*owned);
    *owned = copy;
    *part = (struct part){ copy, size + 1 };
    return true;
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

static bool encode(sp_lm_data *d, const sp_lm_source *from, const struct part part[PARTS], const char *const file[PARTS],
                   sp_status *status)
{
    static const char *const purpose[PARTS] = { "train", "validate", "test" };
    sp_ids *const ids[PARTS] = { &d->train, &d->valid, &d->test };
    if (!(d->vocabulary = sp_vocabulary_of(part[TRAIN].text, part[TRAIN].size, from->level, from->most, status)))
        return false;
    for (int i = 0; i < PARTS; i++) {
        if (part[i].text && !sp_encode(d->vocabulary, part[i].text, part[i].size, ids[i], status))
            return false;
        if (part[i].text && ids[i]->n < 2)
            return sp_fail(status, SP_ERR_VALUE, "%s: %ld symbols to %s on, expected 2 or more",
                           file[i] ? file[i] : file[TRAIN] ? file[TRAIN] : "text", ids[i]->n, purpose[i]);
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
    for (int i = 0; ok && i < PARTS; i++) {
        if (file[i])
            part[i].text = owned[i] = sp_text_read(file[i], &part[i].size, status);
        ok = (!file[i] || owned[i]) && end_line(&part[i], &owned[i], from->level, status);
    }
    if (ok && !part[VALID].text) {
        const struct part test = part[TEST];
        split_text(part, from->level, percent);
        if (from->test)
            part[TEST] = test;
    }
    ok = ok && encode(d, from, part, file, status);
    for (int i = 0; i < PARTS; i++)
        free(owned[i]);
    if (!ok)
        sp_lm_data_free(d);
    return ok;
}

bool sp_lm_data_encode(const sp_vocabulary *v, const char *path, sp_ids *ids, sp_status *status)
{
    size_t size;
    char *text = sp_text_read(path, &size, status);
    struct part part = { text, size };
    *ids = (sp_ids){ 0 };
    const bool ok = text && end_line(&part, &text, sp_vocabulary_level(v), status)
                    && sp_encode(v, part.text, part.size, ids, status);
    free(text);
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
