/* A little English. Weights, not probabilities: each row and column below is divided by its sum. */
#include "zoo/hmm.h"

enum { DET, ADJ, NOUN, VERB, ADV, PREP, PRON, CONJ, PUNCT, STATES };

static const char *const state[STATES] = { "DET", "ADJ", "NOUN", "VERB", "ADV", "PREP", "PRON", "CONJ", "PUNCT" };

/* What a sentence begins with; what stands behind what. Behind PUNCT it ends. */
static const unsigned char start[STATES] = { [DET] = 45, [ADJ] = 8, [NOUN] = 7, [ADV] = 8, [PREP] = 7, [PRON] = 25 };

static const unsigned char move[STATES][STATES] = {
    [DET] = { [ADJ] = 35, [NOUN] = 65 },
    [ADJ] = { [ADJ] = 12, [NOUN] = 75, [PREP] = 5, [PUNCT] = 8 },
    [NOUN] = { [NOUN] = 6, [VERB] = 42, [ADV] = 6, [PREP] = 18, [CONJ] = 6, [PUNCT] = 22 },
    [VERB] = { [DET] = 38, [ADJ] = 8, [NOUN] = 10, [ADV] = 16, [PREP] = 14, [PRON] = 8, [PUNCT] = 6 },
    [ADV] = { [ADJ] = 10, [VERB] = 25, [ADV] = 5, [PREP] = 20, [PUNCT] = 40 },
    [PREP] = { [DET] = 60, [ADJ] = 12, [NOUN] = 18, [PRON] = 10 },
    [PRON] = { [VERB] = 70, [ADV] = 8, [CONJ] = 4, [PUNCT] = 18 },
    [CONJ] = { [DET] = 40, [ADJ] = 10, [NOUN] = 15, [PRON] = 35 },
    [PUNCT] = { 0 },
};

static const struct {
    const char *word;
    unsigned char weight[STATES];
} table[] = {
    { "the", { [DET] = 50 } }, { "a", { [DET] = 30 } }, { "every", { [DET] = 6 } }, { "this", { [DET] = 8 } },
    { "that", { [DET] = 7, [PRON] = 10, [CONJ] = 12 } }, { "her", { [DET] = 10, [PRON] = 8 } },
    { "old", { [ADJ] = 14 } }, { "small", { [ADJ] = 12 } }, { "green", { [ADJ] = 8 } }, { "quiet", { [ADJ] = 8 } },
    { "warm", { [ADJ] = 8 } }, { "tall", { [ADJ] = 6 } },
    { "light", { [ADJ] = 10, [NOUN] = 5, [VERB] = 3 } }, { "fast", { [ADJ] = 8, [ADV] = 10 } },
    { "long", { [ADJ] = 9, [ADV] = 4 } },
    { "still", { [ADJ] = 4, [ADV] = 10 } }, { "past", { [ADJ] = 3, [NOUN] = 3, [PREP] = 6 } },
    { "man", { [NOUN] = 10 } }, { "dog", { [NOUN] = 10 } }, { "river", { [NOUN] = 8 } }, { "house", { [NOUN] = 9 } },
    { "child", { [NOUN] = 8 } }, { "garden", { [NOUN] = 7 } }, { "street", { [NOUN] = 6 } }, { "boat", { [NOUN] = 6 } },
    { "tree", { [NOUN] = 6 } }, { "teacher", { [NOUN] = 6 } }, { "letter", { [NOUN] = 5 } }, { "window", { [NOUN] = 5 } },
    { "run", { [NOUN] = 4, [VERB] = 9 } }, { "walk", { [NOUN] = 5, [VERB] = 8 } }, { "watch", { [NOUN] = 4, [VERB] = 9 } },
    { "play", { [NOUN] = 4, [VERB] = 8 } }, { "water", { [NOUN] = 8, [VERB] = 3 } }, { "well", { [NOUN] = 3, [ADV] = 9 } },
    { "sees", { [VERB] = 10 } }, { "finds", { [VERB] = 8 } }, { "loves", { [VERB] = 7 } }, { "opens", { [VERB] = 6 } },
    { "paints", { [VERB] = 5 } }, { "sleeps", { [VERB] = 5 } }, { "waits", { [VERB] = 5 } },
    { "like", { [VERB] = 7, [PREP] = 7 } }, { "down", { [ADV] = 6, [PREP] = 6 } },
    { "often", { [ADV] = 9 } }, { "slowly", { [ADV] = 7 } }, { "never", { [ADV] = 6 } }, { "here", { [ADV] = 8 } },
    { "of", { [PREP] = 20 } }, { "in", { [PREP] = 18 } }, { "with", { [PREP] = 12 } }, { "near", { [PREP] = 6 } },
    { "under", { [PREP] = 5 } }, { "she", { [PRON] = 16 } }, { "he", { [PRON] = 14 } }, { "they", { [PRON] = 12 } },
    { "and", { [CONJ] = 40 } }, { "but", { [CONJ] = 14 } }, { ".", { [PUNCT] = 90 } }, { "!", { [PUNCT] = 10 } },
};

enum { WORDS = sizeof table / sizeof *table };

static void divide(double *row, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += row[i];
    for (int i = 0; i < n && sum > 0; i++)
        row[i] /= sum;
}

sp_hmm *sp_hmm_english(sp_status *status)
{
    double first[STATES], next[STATES][STATES], emit[STATES][WORDS];
    const char *word[WORDS];
    for (int s = 0; s < STATES; s++) {
        first[s] = start[s];
        for (int t = 0; t < STATES; t++)
            next[s][t] = move[s][t];
        for (int w = 0; w < WORDS; w++)
            emit[s][w] = table[w].weight[s];
        divide(next[s], STATES);
        divide(emit[s], WORDS);
    }
    for (int w = 0; w < WORDS; w++)
        word[w] = table[w].word;
    divide(first, STATES);
    return sp_hmm_new(STATES, WORDS, first, *next, *emit, state, word, status);
}
