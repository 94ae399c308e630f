#include "zoo/split.h"

#include <stdlib.h>

#include "autograd/random.h"

sp_sentences *sp_sentences_part(const sp_sentences *s, int field, double from, double to, sp_status *status)
{
    if (!s || field < 0 || field >= s->fields || !(from >= 0 && from <= to && to <= 1)) {
        sp_fail(status, SP_ERR_VALUE, "split: field %d of %d, from %g to %g of 0 to 1", field, s ? s->fields : 0, from, to);
        return NULL;
    }
    long *index = malloc((size_t)(s->n + 1) * sizeof *index), n = 0;
    bool ok = index;
    for (long i = 0; ok && i < s->n; i++) {
        char *text = sp_sentence_text(s, field, i, NULL);
        const double u = text ? (double)(sp_hash_text(0, text) >> 11) * 0x1p-53 : 0;
        if (u >= from && u < to)
            index[n++] = i;
        ok = text;
        free(text);
    }
    if (!ok)
        sp_fail(status, SP_ERR_MEMORY, "split: out of memory for %ld sentences", s->n);
    sp_sentences *part = ok ? sp_sentences_choose(s, index, n, status) : NULL;
    free(index);
    return part;
}

bool sp_shares_parse(sp_shares *shares, const char *text, sp_status *status)
{
    const char *at = text ? text : "";
    for (int i = 0; i < 3; i++) {
        char *end = (char *)at;
        shares->percent[i] = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : -1;
        if (end == at || shares->percent[i] > 100 || *end != (i < 2 ? ',' : '\0'))
            return sp_fail(status, SP_ERR_VALUE, "split: '%s', expected three whole percentages, as 90,5,5", text ? text : "");
        at = end + 1;
    }
    const long sum = shares->percent[0] + shares->percent[1] + shares->percent[2];
    return sum == 100 || sp_fail(status, SP_ERR_VALUE, "split: '%s' sums to %ld, expected 100", text, sum);
}

sp_sentences *sp_shares_part(const sp_shares *shares, sp_part part, const sp_sentences *s, int field, sp_status *status)
{
    const long *p = shares->percent;
    const double bound[] = { 0, (double)p[0] / 100, (double)(p[0] + p[1]) / 100, 1 };
    return part >= SP_PART_ALL ? sp_sentences_part(s, field, 0, 1, status)
                               : sp_sentences_part(s, field, bound[part], bound[part + 1], status);
}
