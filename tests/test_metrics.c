/* Metrics against plain definitions, and against figures that others printed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/metrics.h"

static long below(sp_random *r, long n)
{
    return sp_random_below(r, n);
}

/* What a writer writes. */
#define WRITTEN(text, size, call)                                                                                      \
    do {                                                                                                               \
        FILE *out = tmpfile();                                                                                         \
        ck_assert(out && (call));                                                                                      \
        rewind(out);                                                                                                   \
        (text)[fread((text), 1, (size) - 1, out)] = '\0';                                                              \
        fclose(out);                                                                                                   \
    } while (0)

/* ---- classes --------------------------------------------------------------------------------------------------- */

START_TEST(confusion)
{
    sp_random random = { .key = { .seed = 3 } };
    enum { N = 200, CLASSES = 5 };
    int truth[N], guess[N];
    sp_confusion *c = sp_confusion_new(CLASSES, NULL);
    long right = 0, outside = 0;
    for (int i = 0; i < N; i++) {
        truth[i] = (int)below(&random, CLASSES) - 1;            /* -1 .. 3: class 4 never occurs ... */
        guess[i] = i % 2 && truth[i] >= 0 ? truth[i] : (int)below(&random, CLASSES - 1);
        right += truth[i] == guess[i];
        outside += truth[i] < 0;
        ck_assert(sp_confusion_add(c, truth[i], guess[i], NULL));
    }
    ck_assert_int_eq(c->outside, outside);
    ck_assert_double_eq_tol(sp_confusion_accuracy(c), (double)right / N, 1e-15);
    double sum = 0;
    for (int k = 0; k < CLASSES; k++) {
        double t = 0, g = 0, r = 0;
        for (int i = 0; i < N; i++) {
            t += truth[i] == k;
            g += guess[i] == k;
            r += truth[i] == k && guess[i] == k;
        }
        const sp_score s = sp_confusion_class(c, k);
        ck_assert(s.truth == (long)t && s.guessed == (long)g && s.right == (long)r);
        ck_assert_double_eq_tol(s.precision, g > 0 ? r / g : 0, 1e-15);
        ck_assert_double_eq_tol(s.recall, t > 0 ? r / t : 0, 1e-15);
        ck_assert_double_eq_tol(s.f1, r > 0 ? 2 / (g / r + t / r) : 0, 1e-15);
        sum += s.f1;
    }
    ck_assert_double_eq_tol(sp_confusion_macro_f1(c), sum / 4, 1e-15);          /* ... and does not count */
    ck_assert(sp_confusion_class(c, 5).truth == 0 && sp_confusion_class(c, -1).truth == 0);
    sp_confusion_free(c);
}
END_TEST

/* Names are cut between letters, and one of no class is among those guessed. */
START_TEST(confusion_names)
{
    char text[1024];
    sp_counts *names = sp_counts_new(NULL);
    sp_confusion *c = sp_confusion_new(1, NULL);
    ck_assert(sp_counts_add(names, "abcdefg\xC3\xB6hijklm\xE8\xAA\x9E", 18, 1, NULL));
    sp_vocabulary *v = sp_vocabulary_new(names, &(sp_vocabulary_rule){ .closed = true }, NULL);
    ck_assert(sp_confusion_add(c, 0, 0, NULL) && sp_confusion_add(c, -1, 0, NULL));
    WRITTEN(text, sizeof text, sp_confusion_write(c, v, out));
    ck_assert_str_eq(text, "class               truth  guessed    prec  recall      F1  guesses:  abcdefg\n"
                           "abcdefg\xC3\xB6hijklm         1        2   50.00  100.00   66.67                  1\n"
                           "accuracy 50.00 %, macro F1 66.67 %\n");
    sp_confusion_free(c);
    sp_vocabulary_free(v);
    sp_counts_free(names);
}
END_TEST

START_TEST(confusion_table)
{
    char text[1024];
    sp_status status = { 0 };
    sp_counts *names = sp_counts_new(NULL);
    sp_confusion *c = sp_confusion_new(2, NULL), *empty = sp_confusion_new(1, NULL);
    ck_assert(sp_counts_add_text(names, "N V N", 5, SP_LEVEL_WORD, NULL));
    sp_vocabulary *v = sp_vocabulary_new(names, &(sp_vocabulary_rule){ .closed = true }, NULL);
    for (int i = 0; i < 4; i++)
        ck_assert(sp_confusion_add(c, i % 2, i / 3, NULL));
    WRITTEN(text, sizeof text, sp_confusion_write(c, v, out));
    ck_assert_str_eq(text, "class               truth  guessed    prec  recall      F1  guesses:        N        V\n"
                           "N                       2        3   66.67  100.00   80.00                  2        0\n"
                           "V                       2        1  100.00   50.00   66.67                  1        1\n"
                           "accuracy 75.00 %, macro F1 73.33 %\n");
    WRITTEN(text, sizeof text, sp_confusion_write(empty, NULL, out));
    ck_assert(strstr(text, "accuracy 0.00 %"));
    ck_assert(!sp_confusion_add(c, 2, 0, &status));
    ck_assert_str_eq(status.message, "confusion: truth 2, guess 0, of 2 classes");
    ck_assert(!sp_confusion_add(c, 0, -1, NULL) && !sp_confusion_add(c, -2, 0, NULL) && !sp_confusion_add(NULL, 0, 0, NULL));
    status = (sp_status){ 0 };
    ck_assert(!sp_confusion_new(0, &status) && !sp_confusion_new(5000, NULL));
    ck_assert_str_eq(status.message, "confusion: 0 classes, expected 1 to 4096");
    sp_confusion_free(c);
    sp_confusion_free(empty);
    sp_confusion_free(NULL);
    sp_vocabulary_free(v);
    sp_counts_free(names);
}
END_TEST

/* ---- spans ----------------------------------------------------------------------------------------------------- */

/* Tags of a sentence, and its spans, each as its words and its type. */
static const struct {
    const char *tags, *spans;
} sentences[] = {
    { "O O", "" },
    { "B-x I-x O B-x", "01x 33x" },                     /* IOB2 */
    { "I-x I-x O I-x", "01x 33x" },                     /* IOB1 */
    { "I-x B-x I-x", "00x 12x" },
    { "B-x B-x", "00x 11x" },
    { "I-x I-y", "00x 11y" },
    { "B-x I-y I-y", "00x 12y" },                       /* I of another type begins a span */
    { "S-x S-x", "00x 11x" },                           /* IOBES */
    { "B-x I-x E-x S-y B-y E-y", "02x 33y 45y" },
    { "B-x E-x E-x I-x", "01x 22x 33x" },
    { "B-x E-x I-x", "01x 22x" },
    { "E-x I-x", "00x 11x" },
    { "I-x E-x", "01x" },
    { "S-x I-x E-x", "00x 12x" },
    { "B I O I", "01 33" },                             /* without types */
    { "B-a-b I-a-b I-a", "01a-b 22a" },                 /* types may have a hyphen */
    { "B- I", "01" },
    { "O-x O-y", "" },
    { "X-a X-a X-b", "01a 22b" },                       /* marks unknown: where the type changes */
    { "[-x ]-x", "00x 11x" },
    { ".-x .-y", "" }, { "B-x O .-y B-x", "00x 33x" },  /* a full stop is outside, as O */
};

/* Every span there can be is tried as the guess of a single tag sequence: right are those, and only those, that are listed. */
START_TEST(span_rules)
{
    char tags[64], list[64], span[40];
    const char *tag[8];
    int n = 0, spans = 0;
    strcpy(tags, sentences[_i].tags);
    strcpy(list, sentences[_i].spans);
    for (char *s = strtok(tags, " "); s; s = strtok(NULL, " "))
        tag[n++] = s;
    for (const char *s = list; *s; s += strcspn(s, " "), s += *s == ' ')
        spans++;
    static const char *const types[] = { "", "x", "y", "a", "b", "a-b" };
    for (int from = 0; from < n; from++)
        for (int to = from; to < n; to++)
            for (int t = 0; t < 6; t++) {
                sp_spans *s = sp_spans_new(NULL);
                for (int i = 0; i < n; i++) {
                    char guess[16];
                    snprintf(guess, sizeof guess, "%s-%s", i == from ? "B" : "I", types[t]);
                    ck_assert(sp_spans_add(s, tag[i], i < from || i > to ? "O" : guess, NULL));
                }
                ck_assert(sp_spans_end(s, NULL));
                const sp_score all = sp_spans_total(s);
                snprintf(span, sizeof span, "%d%d%s", from, to, types[t]);
                bool listed = false;
                for (const char *p = sentences[_i].spans; *p; p += strcspn(p, " "), p += *p == ' ')
                    listed = listed || (strcspn(p, " ") == strlen(span) && !strncmp(p, span, strlen(span)));
                ck_each(all.guessed == 1 && all.truth == spans && all.right == listed, "%s: %s: %ld of %ld spans, %ld right",
                        sentences[_i].tags, span, all.guessed, all.truth, all.right);
                sp_spans_free(s);
            }
}
END_TEST

/* Where a full stop hides that the type changes, the spans are not the same all the same. */
START_TEST(hidden_change)
{
    static const char *const words[][2] = { { "B-x", "B-x" }, { ".-x", ".-x" }, { "I-x", "I-y" } };
    for (int n = 2; n <= 3; n++) {
        sp_spans *s = sp_spans_new(NULL);
        for (int i = 0; i < 3; i++)
            ck_assert(sp_spans_add(s, words[i][0], words[i][i / n], NULL));
        for (int i = 0; i < 3; i++)
            ck_assert(sp_spans_end(s, NULL) && sp_spans_total(s).right == (n == 3));
        sp_spans_free(s);
    }
}
END_TEST

/* Spans one by one, from a table of which marks part which: rows the mark before, columns the mark now, "OBIES". */
enum { LONGEST = 12 };

static int spans_of(const char (*tag)[8], int n, char (*span)[32])
{
    static const char marks[] = "OBIES", end[5][6] = { ".....", "11..1", "11..1", "11111", "11111" },
                      begin[5][6] = { ".1111", ".1..1", ".1..1", ".1111", ".1111" };
    int spans = 0, from = -1;
    for (int i = 0; i <= n; i++) {
        const char *now = i < n ? tag[i] : "O", *before = i ? tag[i - 1] : "O";
        const long row = strchr(marks, *before) - marks, column = strchr(marks, *now) - marks;
        const bool other = strcmp(*before == 'O' ? "" : before + 1, *now == 'O' ? "" : now + 1) != 0;
        if (from >= 0 && (end[row][column] == '1' || other)) {
            snprintf(span[spans++], 32, "%d-%d%s", from, i, before + 1);
            from = -1;
        }
        if (*now != 'O' && (begin[row][column] == '1' || other))
            from = i;
    }
    return spans;
}

START_TEST(spans)
{
    sp_random random = { .key = { .seed = 11, .place = (uint64_t)_i } };
    static const char *const schemes[] = { "OOBI", "OI", "OOBIES", "OBIE" };
    sp_spans *s = sp_spans_new(NULL);
    long truths = 0, guesses = 0, right = 0, words = 0, same = 0;
    for (int k = 0; k < 400; k++) {
        char tag[2][LONGEST][8], span[2][LONGEST + 1][32];
        const int n = (int)below(&random, LONGEST);
        for (int i = 0; i < n; i++)
            for (int f = 0; f < 2; f++) {
                const char mark = schemes[_i][below(&random, (long)strlen(schemes[_i]))];
                snprintf(tag[f][i], 8, mark == 'O' ? "%c" : "%c-%s", mark, below(&random, 3) ? "PER" : "LOC");
                if (f && below(&random, 3))
                    memcpy(tag[1][i], tag[0][i], sizeof tag[0][i]);
            }
        for (int i = 0; i < n; i++) {
            ck_assert(sp_spans_add(s, tag[0][i], tag[1][i], NULL));
            same += !strcmp(tag[0][i], tag[1][i]);
        }
        ck_assert(sp_spans_end(s, NULL));
        const int a = spans_of((const char (*)[8])tag[0], n, span[0]), b = spans_of((const char (*)[8])tag[1], n, span[1]);
        for (int i = 0; i < a; i++)
            for (int j = 0; j < b; j++)
                right += !strcmp(span[0][i], span[1][j]);
        truths += a;
        guesses += b;
        words += n;
    }
    const sp_score all = sp_spans_total(s);
    ck_assert_msg(all.truth == truths && all.guessed == guesses && all.right == right && right > 20,
                  "%ld %ld %ld, not %ld %ld %ld", all.truth, all.guessed, all.right, truths, guesses, right);
    ck_assert_double_eq_tol(sp_spans_accuracy(s), (double)same / (double)words, 1e-15);
    ck_assert_double_eq_tol(all.f1, 2 * (double)right / (double)(truths + guesses), 1e-15);
    const char *name;
    ck_assert_int_eq(sp_spans_types(s), 2);
    const sp_score first = sp_spans_type(s, 0, &name);
    ck_assert_str_eq(name, "LOC");
    const sp_score second = sp_spans_type(s, 1, &name);
    ck_assert_str_eq(name, "PER");
    ck_assert(first.right + second.right == right && first.truth + second.truth == truths && first.guessed < second.guessed);
    ck_assert(sp_spans_type(s, 2, &name).truth == 0 && !*name);
    sp_spans_free(s);
}
END_TEST

START_TEST(span_table)
{
    static const char *const words[][2] = { { "B-PER", "B-PER" }, { "I-PER", "I-PER" }, { "O", "O" }, { "B-LOC", "O" } };
    char text[1024];
    sp_spans *s = sp_spans_new(NULL);
    for (int i = 0; i < 4; i++)
        ck_assert(sp_spans_add(s, words[i][0], words[i][1], NULL));
    ck_assert(sp_spans_end(s, NULL));
    WRITTEN(text, sizeof text, sp_spans_write(s, out));
    ck_assert_str_eq(text, "processed 4 tokens with 2 phrases; found: 1 phrases; correct: 1.\n"
                           "accuracy:  75.00%; precision: 100.00%; recall:  50.00%; FB1:  66.67\n"
                           "              LOC: precision:   0.00%; recall:   0.00%; FB1:   0.00  0\n"
                           "              PER: precision: 100.00%; recall: 100.00%; FB1: 100.00  1\n");
    ck_assert(!sp_spans_add(s, NULL, "O", NULL) && !sp_spans_add(NULL, "O", "O", NULL) && !sp_spans_end(NULL, NULL));
    sp_spans_free(s);
    s = sp_spans_new(NULL);
    ck_assert(sp_spans_end(s, NULL) && sp_spans_types(s) == 0 && sp_spans_total(s).f1 == 0 && sp_spans_accuracy(s) == 0);
    sp_spans_free(s);
    sp_spans_free(NULL);
}
END_TEST

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

static const char *const tokens[][2] = {
    { "", "" }, { "  \n ", "" }, { "a  b", "a b" },
    { "Hello, world.", "Hello , world ." },
    { "it's \"quoted\" (here)", "it's \" quoted \" ( here )" },
    { "1,000.5 and 3. or .5, a.b", "1,000.5 and 3 . or . 5 , a . b" },
    { "...", ". . ." }, { ",", "," }, { "5", "5" }, { "a..b", "a . . b" }, { "1.,2", "1 . , 2" },
    { "1990-95 well-known 3-x", "1990 - 95 well-known 3 - x" },
    { "&quot;A&amp;B&quot; &lt;x&gt; &amp;lt;", "\" A & B \" < x > <" },
    { "<skipped>a-\nb\nc", "ab c" },
    { "$5 100% a@b.c #x [y] {z} ~ ` ^ | \\ /", "$ 5 100 % a @ b . c # x [ y ] { z } ~ ` ^ | \\ /" },
    { "\xC2\xABoui\xC2\xA0!\xC2\xBB \xE2\x80\xAF?", "\xC2\xABoui ! \xC2\xBB ?" },           /* no-break spaces are spaces */
    { "caf\xC3\xA9.\xE2\x80\x94x", "caf\xC3\xA9 . \xE2\x80\x94x" },
    { "\xE3\x80\x80" "a\xE2\x80\x89" "b\xC2\x85", "a b" },
};

START_TEST(tokens_13a)
{
    char *found = sp_tokens_13a(tokens[_i][0]);
    ck_assert_str_eq(found, tokens[_i][1]);
    free(found);
}
END_TEST

/* ---- BLEU and chrF --------------------------------------------------------------------------------------------- */

/* The example of sacreBLEU's README (2.x): "BLEU = 48.53 82.4/50.0/45.5/37.5 (BP = 0.943 ratio = 0.944 hyp_len = 17 ref_len
   = 18)", "chrF2 = 59.73". */
START_TEST(printed_by_sacrebleu)
{
    static const char *const guess[] = { "The dog bit the man.", "It wasn't surprising.", "The man had just bitten him." };
    static const char *const truth[][2] = { { "The dog bit the man.", "The dog had bit the man." },
                                            { "It was not unexpected.", "No one was surprised." },
                                            { "The man bit him first.", "The man had bitten the dog." } };
    sp_bleu b = { 0 };
    sp_chrf c = { 0 };
    for (int i = 0; i < 3; i++)
        ck_assert(sp_bleu_add(&b, guess[i], truth[i], 2, NULL) && sp_chrf_add(&c, guess[i], truth[i], 2, NULL));
    ck_assert_double_eq_tol(sp_bleu_score(&b), 48.53, 0.005);
    ck_assert_double_eq_tol(sp_bleu_precision(&b, 1), 82.4, 0.05);
    ck_assert_double_eq_tol(sp_bleu_precision(&b, 2), 50.0, 0.05);
    ck_assert_double_eq_tol(sp_bleu_precision(&b, 3), 45.5, 0.05);
    ck_assert_double_eq_tol(sp_bleu_precision(&b, 4), 37.5, 0.05);
    ck_assert_double_eq_tol(sp_bleu_brevity(&b), 0.943, 0.0005);
    ck_assert(b.length == 17 && b.truth_length == 18);
    ck_assert_double_eq_tol(sp_chrf_score(&c), 59.73, 0.005);
}
END_TEST

/* Papineni et al., 2002, examples 1 and 2: of seven "the" two are right; candidate 1 has 17 of 18 words right, 10 of 17
   bigrams, candidate 2 has 8 of 14 and 1 of 13. */
START_TEST(printed_in_the_paper)
{
    static const char *const mat[] = { "the cat is on the mat .", "there is a cat on the mat ." };
    static const char *const guide[] = {
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party" };
    static const struct { const char *guess; const char *const *truth; int truths; long right[2], guessed[2]; } example[] = {
        { "the the the the the the the", mat, 2, { 2, 0 }, { 7, 6 } },
        { "It is a guide to action which ensures that the military always obeys the commands of the party", guide, 3,
          { 17, 10 }, { 18, 17 } },
        { "It is to insure the troops forever hearing the activity guidebook that party direct", guide, 3, { 8, 1 },
          { 14, 13 } } };
    for (int i = 0; i < 3; i++) {
        sp_bleu b = { .tokenised = true, .lower = true };
        ck_assert(sp_bleu_add(&b, example[i].guess, example[i].truth, example[i].truths, NULL));
        for (int n = 0; n < 2; n++)
            ck_assert_msg(b.right[n] == example[i].right[n] && b.guessed[n] == example[i].guessed[n],
                          "example %d: %ld of %ld", i, b.right[n], b.guessed[n]);
    }
}
END_TEST

/* Words are single letters here, so an n-gram is a string. */
static long occurrences(const char *text, const char *gram, size_t n)
{
    long count = 0;
    for (size_t i = 0; i + n <= strlen(text); i++)
        count += !strncmp(text + i, gram, n);
    return count;
}

static long clipped(const char *guess, const char *const *truth, int truths, size_t n)
{
    long sum = 0;
    for (size_t i = 0; i + n <= strlen(guess); i++) {
        bool first = true;
        for (size_t j = 0; j < i; j++)
            first = first && strncmp(guess + j, guess + i, n) != 0;
        long most = 0;
        for (int r = 0; r < truths; r++)
            most = occurrences(truth[r], guess + i, n) > most ? occurrences(truth[r], guess + i, n) : most;
        const long mine = occurrences(guess, guess + i, n);
        sum += !first ? 0 : mine < most ? mine : most;
    }
    return sum;
}

static void draw(sp_random *random, char *text, char *spaced)
{
    const long n = below(random, 14);
    for (long i = 0; i < n; i++) {
        spaced[2 * i] = text[i] = "abcA"[below(random, 4)];
        spaced[2 * i + 1] = ' ';
    }
    text[n] = spaced[2 * n] = '\0';
}

START_TEST(bleu)
{
    sp_random random = { .key = { .seed = 21, .place = (uint64_t)_i } };
    sp_bleu b = { 0 };
    long right[4] = { 0 }, guessed[4] = { 0 }, length = 0, truth_length = 0;
    for (int k = 0; k < 1 + _i * _i; k++) {
        char guess[16], truth[3][16], spaced[4][32];
        const int truths = 1 + (int)below(&random, 3);
        draw(&random, guess, spaced[3]);
        long best = 0;
        for (int r = 0; r < truths; r++) {
            draw(&random, truth[r], spaced[r]);
            const long n = (long)strlen(truth[r]), g = (long)strlen(guess);
            if (!r || labs(n - g) < labs(best - g) || (labs(n - g) == labs(best - g) && n < best))
                best = n;
        }
        const char *const t[] = { truth[0], truth[1], truth[2] }, *const u[] = { spaced[0], spaced[1], spaced[2] };
        for (size_t n = 1; n <= 4; n++) {
            right[n - 1] += clipped(guess, t, truths, n);
            guessed[n - 1] += strlen(guess) >= n ? (long)(strlen(guess) - n + 1) : 0;
        }
        length += (long)strlen(guess);
        truth_length += best;
        ck_assert(sp_bleu_add(&b, spaced[3], u, truths, NULL));
    }
    double product = 1, doubling = 1;
    for (int n = 0; n < 4; n++) {
        ck_assert(b.right[n] == right[n] && b.guessed[n] == guessed[n]);
        doubling *= right[n] ? 1 : 2;
        product *= !guessed[n] ? 0 : right[n] ? (double)right[n] / (double)guessed[n] : 1 / (doubling * (double)guessed[n]);
    }
    ck_assert(b.length == length && b.truth_length == truth_length);
    const double brevity = length < truth_length ? length ? exp(1 - (double)truth_length / (double)length) : 0 : 1;
    ck_assert_double_eq_tol(sp_bleu_score(&b), right[0] ? 100 * brevity * pow(product, 0.25) : 0, 1e-9);
}
END_TEST

START_TEST(chrf)
{
    sp_random random = { .key = { .seed = 22, .place = (uint64_t)_i } };
    sp_chrf c = { 0 };
    double right[6] = { 0 }, guessed[6] = { 0 }, truths[6] = { 0 };
    for (int k = 0; k < 1 + _i * _i; k++) {
        char guess[16], truth[16], spaced[2][32];
        draw(&random, guess, spaced[0]);
        draw(&random, truth, spaced[1]);
        const char *const t[] = { truth }, *const u[] = { spaced[1] };
        for (size_t n = 1; n <= 6; n++) {
            const bool some = strlen(truth) >= n;
            right[n - 1] += (double)clipped(guess, t, 1, n);
            guessed[n - 1] += some && strlen(guess) >= n ? (double)(strlen(guess) - n + 1) : 0;
            truths[n - 1] += some ? (double)(strlen(truth) - n + 1) : 0;
        }
        ck_assert(sp_chrf_add(&c, spaced[0], u, 1, NULL));
    }
    double p = 0, r = 0, orders = 0;
    for (int n = 0; n < 6; n++)
        if (guessed[n] > 0 && truths[n] > 0) {
            p += right[n] / guessed[n];
            r += right[n] / truths[n];
            orders++;
        }
    const double want = p + r > 0 ? 100 * 5 * (p / orders) * (r / orders) / (4 * p / orders + r / orders) : 0;
    ck_assert_double_eq_tol(sp_chrf_score(&c), want, 1e-9);
}
END_TEST

START_TEST(translations_edges)
{
    static const char *const truth[] = { "\xC3\x89t\xC3\xA9 \xE8\xAA\x9E", NULL };
    sp_bleu b = { 0 }, none = { 0 };
    sp_chrf c = { 0 }, low = { .lower = true };
    sp_status status = { 0 };
    ck_assert(sp_bleu_score(&b) == 0 && sp_chrf_score(&c) == 0 && sp_bleu_brevity(&b) == 1);
    ck_assert(sp_bleu_add(&none, "a b c d e", (const char *[]){ "f g h i j" }, 1, NULL) && sp_bleu_score(&none) == 0);
    ck_assert(sp_bleu_precision(&none, 1) == 0 && sp_bleu_precision(&none, 4) == 0 && none.guessed[3] == 2);
    ck_assert(sp_bleu_add(&b, "", truth, 1, NULL) && sp_bleu_score(&b) == 0 && sp_bleu_brevity(&b) == 0);
    ck_assert(sp_chrf_add(&c, "\xC3\x89t\xC3\xA9\xE8\xAA\x9E", truth, 1, NULL));
    ck_assert_double_eq_tol(sp_chrf_score(&c), 100, 1e-12);
    ck_assert(sp_chrf_add(&low, "\xC3\xA9T\xC3\x89\xE8\xAA\x9E", truth, 1, NULL));
    ck_assert_double_eq_tol(sp_chrf_score(&low), 100, 1e-12);
    ck_assert(!sp_bleu_add(&b, "a", truth, 0, &status) && !sp_bleu_add(&b, NULL, truth, 1, NULL)
              && !sp_chrf_add(&c, "a", NULL, 1, NULL));
    ck_assert_str_eq(status.message, "BLEU: 0 references, or no guess");
    status = (sp_status){ 0 };
    ck_assert(!sp_bleu_add(&b, "a", truth, 2, &status) && !sp_chrf_add(&c, "a", truth, 2, NULL));
    ck_assert_str_eq(status.message, "BLEU: reference 1 of 2 is missing");
    ck_assert(b.length == 0 && c.guessed[0] == 4);               /* what fails counts for nothing */
}
END_TEST

/* ---- edits ----------------------------------------------------------------------------------------------------- */

static long least(long a, long b)
{
    return a < b ? a : b;
}

/* All ways tried. */
static long distance(const int *a, long n, const int *b, long m)
{
    if (!n || !m)
        return n + m;
    return least(distance(a + 1, n - 1, b + 1, m - 1) + (*a != *b),
                 1 + least(distance(a + 1, n - 1, b, m), distance(a, n, b + 1, m - 1)));
}

START_TEST(edits)
{
    sp_random random = { .key = { .seed = 31 } };
    for (int k = 0; k < 400; k++) {
        int guess[6], truth[6];
        const long n = below(&random, 7), m = below(&random, 7);
        for (int i = 0; i < 6; i++) {
            guess[i] = (int)below(&random, 3);
            truth[i] = (int)below(&random, 3);
        }
        sp_edits e = { 0 };
        ck_assert(sp_edits_add(&e, guess, n, truth, m, NULL));
        const long cost = e.insertions + e.deletions + e.substitutions, want = distance(guess, n, truth, m);
        ck_each(cost == want && e.insertions - e.deletions == n - m && e.insertions >= 0 && e.deletions >= 0
                && e.substitutions >= 0,
                "%ld edits, not %ld", cost, want);
        ck_each(e.length == m && e.sequences == 1 && e.wrong == (want > 0), "%ld of %ld symbols", e.length, m);
    }
}
END_TEST

/* Of the ways that cost the least the one that is promised: the whole table, and a way back through it. */
static void count_edits(const int *guess, int n, const int *truth, int m, long *insertions, long *deletions, long *substitutions)
{
    long cost[9][9];
    for (int i = 0; i <= m; i++)
        for (int j = 0; j <= n; j++)
            cost[i][j] = !i || !j ? i + j : least(cost[i - 1][j - 1] + (guess[j - 1] != truth[i - 1]),
                                                  1 + least(cost[i - 1][j], cost[i][j - 1]));
    *insertions = *deletions = *substitutions = 0;
    while (n || m) {
        const bool both = n && m, other = both && guess[n - 1] != truth[m - 1];
        if (both && cost[m][n] == cost[m - 1][n - 1] + other) {
            *substitutions += other;
            m--, n--;
        } else if (m && cost[m][n] == cost[m - 1][n] + 1) {
            ++*deletions;
            m--;
        } else {
            ++*insertions;
            n--;
        }
    }
}

START_TEST(which_edits)
{
    sp_random random = { .key = { .seed = 32 } };
    for (int k = 0; k < 20000; k++) {
        int guess[8], truth[8];
        long insertions, deletions, substitutions;
        const long n = below(&random, 9), m = below(&random, 9);
        for (int i = 0; i < 8; i++) {
            guess[i] = (int)below(&random, 3);
            truth[i] = (int)below(&random, 3);
        }
        sp_edits e = { 0 };
        ck_each(sp_edits_add(&e, guess, n, truth, m, NULL), "%ld and %ld symbols", n, m);
        count_edits(guess, (int)n, truth, (int)m, &insertions, &deletions, &substitutions);
        ck_each(e.insertions == insertions && e.deletions == deletions && e.substitutions == substitutions,
                "%ld %ld %ld, not %ld %ld %ld", e.insertions, e.deletions, e.substitutions, insertions, deletions, substitutions);
    }
}
END_TEST

static const struct {
    const char *guess, *truth;
    sp_level level;
    long insertions, deletions, substitutions, length;
} edited[] = {
    { "sitting", "kitten", SP_LEVEL_CHAR, 1, 0, 2, 6 },
    { "kitten", "sitting", SP_LEVEL_CHAR, 0, 1, 2, 7 },
    { "the cat sat", "the fat cat sat", SP_LEVEL_WORD, 0, 1, 0, 4 },
    { " a b\n c ", "a  b c", SP_LEVEL_WORD, 0, 0, 0, 3 },
    { "\xC3\xB6x", "ox", SP_LEVEL_CHAR, 0, 0, 1, 2 },
    { "", "a b", SP_LEVEL_WORD, 0, 2, 0, 2 },
    { "a b", "", SP_LEVEL_WORD, 2, 0, 0, 0 },
    { "", "", SP_LEVEL_CHAR, 0, 0, 0, 0 },
    { " ab\n", "ab", SP_LEVEL_CHAR, 0, 0, 0, 2 },
};

START_TEST(edited_texts)
{
    sp_edits e = { 0 };
    ck_assert(sp_edits_add_text(&e, edited[_i].guess, edited[_i].truth, edited[_i].level, NULL));
    ck_assert_msg(e.insertions == edited[_i].insertions && e.deletions == edited[_i].deletions
                  && e.substitutions == edited[_i].substitutions && e.length == edited[_i].length, "%ld %ld %ld of %ld",
                  e.insertions, e.deletions, e.substitutions, e.length);
}
END_TEST

START_TEST(rates)
{
    sp_edits e = { 0 };
    sp_status status = { 0 };
    ck_assert(sp_error_rate(&e) == 0);
    ck_assert(sp_edits_add_text(&e, "a", "", SP_LEVEL_CHAR, NULL) && isinf(sp_error_rate(&e)));
    ck_assert(sp_edits_add_text(&e, "a b c", "a b d d", SP_LEVEL_WORD, NULL) && e.sequences == 2 && e.wrong == 2);
    ck_assert_double_eq_tol(sp_error_rate(&e), 3.0 / 4, 1e-15);
    ck_assert(!sp_edits_add(&e, NULL, 3, NULL, 0, &status) && !sp_edits_add_text(&e, NULL, "", SP_LEVEL_CHAR, NULL));
    ck_assert_str_eq(status.message, "edits: a guess of 3 and a truth of 0 symbols");
    ck_assert_double_eq_tol(sp_perplexity(log(7)), 7, 1e-12);
    ck_assert_double_eq_tol(sp_bits(log(8)), 3, 1e-12);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("metrics");
    TCase *c = tcase_create("classes");
    tcase_add_test(c, confusion);
    tcase_add_test(c, confusion_table);
    tcase_add_test(c, confusion_names);
    suite_add_tcase(all, c);
    c = tcase_create("spans");
    tcase_add_loop_test(c, span_rules, 0, sizeof sentences / sizeof *sentences);
    tcase_add_loop_test(c, spans, 0, 4);
    tcase_add_test(c, hidden_change);
    tcase_add_test(c, span_table);
    suite_add_tcase(all, c);
    c = tcase_create("translations");
    tcase_add_loop_test(c, tokens_13a, 0, sizeof tokens / sizeof *tokens);
    tcase_add_test(c, printed_by_sacrebleu);
    tcase_add_test(c, printed_in_the_paper);
    tcase_add_loop_test(c, bleu, 0, 12);
    tcase_add_loop_test(c, chrf, 0, 12);
    tcase_add_test(c, translations_edges);
    suite_add_tcase(all, c);
    c = tcase_create("edits");
    tcase_add_test(c, edits);
    tcase_add_test(c, which_edits);
    tcase_add_loop_test(c, edited_texts, 0, sizeof edited / sizeof *edited);
    tcase_add_test(c, rates);
    suite_add_tcase(all, c);
    return all;
}
