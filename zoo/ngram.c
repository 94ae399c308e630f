#include "zoo/ngram.h"

#include <math.h>
#include <stdlib.h>

static int by_number(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

/* How often a value stands in a sorted list. */
static long occurrences(const long *list, long n, long value)
{
    long bound[2];
    for (int upper = 0; upper < 2; upper++) {           /* the first place >= value, and the first > value */
        long low = 0, high = n;
        while (low < high) {
            long middle = low + (high - low) / 2;
            if (list[middle] < value + upper)
                low = middle + 1;
            else
                high = middle;
        }
        bound[upper] = low;
    }
    return bound[1] - bound[0];
}

bool sp_ngram_losses(const int *train, long n, const int *valid, long m, int symbols, double *unigram, double *bigram,
                     sp_status *status)
{
    long *count = calloc((size_t)symbols, sizeof *count), *pairs = malloc((size_t)(n + 1) * sizeof *pairs);
    long *seen = malloc((size_t)(m + 1) * sizeof *seen);
    bool ok = (count && pairs && seen) || sp_fail(status, SP_ERR_MEMORY, "bigrams: out of memory for %ld symbols", n);
    for (long i = 0; ok && i < n; i++) {
        count[train[i]]++;
        if (i)
            pairs[i - 1] = (long)train[i - 1] * symbols + train[i];
    }
    if (ok) {
        double least = INFINITY, sum = 0;
        qsort(pairs, (size_t)(n > 1 ? n - 1 : 0), sizeof *pairs, by_number);
        for (long i = 1; i < m; i++)
            seen[i] = occurrences(pairs, n - 1, (long)valid[i - 1] * symbols + valid[i]);
        for (long i = 1; i < m; i++)
            sum -= log((double)(count[valid[i]] + 1) / (double)(n + symbols));
        *unigram = sum / (double)(m - 1);
        for (double k = 1; k <= 1024; k *= 2) {
            sum = 0;
            for (long i = 1; i < m; i++) {
                double p = (double)(count[valid[i]] + 1) / (double)(n + symbols);
                sum -= log(((double)seen[i] + k * p) / ((double)count[valid[i - 1]] + k));
            }
            least = fmin(least, sum / (double)(m - 1));
        }
        *bigram = least;
    }
    free(count);
    free(pairs);
    free(seen);
    return ok;
}
