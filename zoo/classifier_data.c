/* Labelled texts: files of them, and their parts. */
#include <stdlib.h>
#include <string.h>

#include "zoo/classifier.h"
#include "zoo/readers.h"

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* All sentences of a file, with a label. */
static bool add_file(sp_sentences *to, const char *label, size_t length, const char *path, sp_status *status)
{
    sp_sentences *s = sp_sentences_read(path, sp_format_named("lines"), status);
    bool ok = s;
    for (long i = 0; ok && i < s->n; i++)
        ok = sp_sentences_put_field(to, 0, s, 0, i, status) && sp_sentences_put(to, 1, label, length, status)
             && sp_sentences_end(to, status);
    sp_sentences_free(s);
    return ok;
}

/* "label=FILE" of so many bytes. */
static bool add_part(sp_sentences *to, const char *part, size_t size, sp_status *status)
{
    const char *equals = memchr(part, '=', size);
    if (!equals || equals == part || (size_t)(equals - part) == size - 1)
        return sp_fail(status, SP_ERR_VALUE, "%.*s: expected label=FILE", (int)size, part);
    const size_t length = (size_t)(equals - part), rest = size - length - 1;
    char *path = malloc(rest + 1);
    if (!path)
        return sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory for the name of a file");
    memcpy(path, equals + 1, rest);
    path[rest] = '\0';
    const bool ok = add_file(to, part, length, path, status);
    free(path);
    return ok;
}

static bool is_there(const char *path)
{
    FILE *f = fopen(path, "rb");
    return f && !fclose(f);
}

sp_sentences *sp_classifier_read(const char *data, sp_status *status)
{
    if (!data || !strchr(data, '=') || is_there(data))
        return sp_sentences_read(data, sp_format_named("labelled"), status);
    sp_sentences *to = sp_sentences_new(2, status);
    bool ok = to;
    for (const char *part = data; ok && part; ) {
        const char *comma = strchr(part, ',');
        ok = add_part(to, part, comma ? (size_t)(comma - part) : strlen(part), status);
        part = comma ? comma + 1 : NULL;
    }
    if (ok)
        return to;
    sp_sentences_free(to);
    return NULL;
}

/* ---- parts ----------------------------------------------------------------------------------------------------- */

struct dealt {
    int label;
    long turn, index;
};

static int by_label(const void *a, const void *b)
{
    const struct dealt *x = a, *y = b;
    return x->label != y->label ? (x->label > y->label) - (x->label < y->label) : (x->turn > y->turn) - (x->turn < y->turn);
}

bool sp_classifier_deal(const sp_sentences *s, int parts, uint64_t seed, int *part, sp_status *status)
{
    if (!s || !part || s->fields < 2 || parts < 1 || s->n < parts)
        return sp_fail(status, SP_ERR_VALUE, "classifier: %ld labelled sentences for %d parts",
                       s && s->fields > 1 ? s->n : 0, parts);
    const sp_vocabulary_rule rule = { .level = SP_LEVEL_WORD, .closed = true };
    sp_vocabulary *labels = sp_vocabulary_of_field(s, 1, &rule, status);
    long *order = malloc((size_t)s->n * sizeof *order);
    struct dealt *all = malloc((size_t)s->n * sizeof *all);
    const bool ok = labels && ((order && all) || sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory for %d parts", parts));
    if (ok) {
        sp_trainer_shuffle(s->n, order, sp_hash_text(seed, "deal"), 0);
        for (long i = 0; i < s->n; i++) {
            size_t length;
            const char *label = sp_sentence_word(s, 1, order[i], 0, &length);
            all[i] = (struct dealt){ sp_vocabulary_id_in_text(labels, label, length), i, order[i] };
        }
        qsort(all, (size_t)s->n, sizeof *all, by_label);
        for (long i = 0; i < s->n; i++)
            part[all[i].index] = (int)(i % parts);
    }
    sp_vocabulary_free(labels);
    free(order);
    free(all);
    return ok;
}

sp_sentences *sp_classifier_part(const sp_sentences *s, const int *part, int which, bool others, sp_status *status)
{
    long n = 0;
    if (!s || !part) {
        sp_fail(status, SP_ERR_VALUE, "classifier: no %s", s ? "parts of the sentences" : "sentences");
        return NULL;
    }
    long *index = malloc((size_t)(s->n + 1) * sizeof *index);
    if (!index) {
        sp_fail(status, SP_ERR_MEMORY, "classifier: out of memory for a part");
        return NULL;
    }
    for (long i = 0; i < s->n; i++)
        if ((part[i] == which) != others)
            index[n++] = i;
    sp_sentences *to = sp_sentences_choose(s, index, n, status);
    free(index);
    return to;
}
