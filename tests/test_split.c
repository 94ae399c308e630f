/* Fixed parts of data by a hash. */
#include <stdio.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/split.h"

/* 5000 sentences, of which each source is there twice. */
static sp_sentences *many(void)
{
    sp_sentences *s = sp_sentences_new(2, NULL);
    for (int i = 0; i < 5000; i++) {
        char text[32];
        snprintf(text, sizeof text, "source %d", i % 2500);
        ck_assert(sp_sentences_put_text(s, 0, text, strlen(text), SP_LEVEL_WORD, NULL));
        snprintf(text, sizeof text, "%d", i);
        ck_assert(sp_sentences_put(s, 1, text, strlen(text), NULL) && sp_sentences_end(s, NULL));
    }
    return s;
}

static bool has(const sp_sentences *s, int f, const char *word)
{
    for (long i = 0; i < s->n; i++)
        if (!strcmp(sp_sentence_word(s, f, i, sp_sentence_length(s, f, i) - 1, NULL), word))
            return true;
    return false;
}

/* Every sentence is in one part, both of a source are in the same, and parts are about as large as they should be. */
START_TEST(parts)
{
    sp_shares shares;
    sp_status status = { 0 };
    sp_sentences *s = many(), *part[4];
    ck_assert(sp_shares_parse(&shares, "80,15,5", &status));
    long sum = 0;
    for (int p = 0; p < 4; p++) {
        part[p] = sp_shares_part(&shares, (sp_part)p, s, 0, &status);
        ck_assert_msg(part[p] != NULL, "%s", status.message);
        sum += p < 3 ? part[p]->n : 0;
        const double wanted = p < 3 ? 50 * (double)shares.percent[p] : 5000;
        ck_assert_double_eq_tol((double)part[p]->n, wanted, 200);
        ck_assert_int_eq(part[p]->n % 2, 0);
    }
    ck_assert(sum == s->n && part[3]->n == s->n);
    for (long i = 0; i < part[2]->n; i++) {
        const char *source = sp_sentence_word(part[2], 0, i, 1, NULL), *target = sp_sentence_word(part[2], 1, i, 0, NULL);
        ck_assert(!has(part[0], 0, source) && !has(part[1], 0, source) && !has(part[0], 1, target));
    }
    for (int p = 0; p < 4; p++)
        sp_sentences_free(part[p]);
    sp_sentences_free(s);
}
END_TEST

/* The parts are the same for ever: a published figure stands on them. */
START_TEST(fixed)
{
    sp_sentences *s = many(), *part = sp_sentences_part(s, 0, 0.5, 0.502, NULL);
    ck_assert_int_eq(part->n, 10);
    ck_assert_str_eq(sp_sentence_word(part, 1, 0, 0, NULL), "671");
    sp_sentences_free(part);
    sp_sentences_free(s);
}
END_TEST

START_TEST(wrong)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        { "90,5", "split: '90,5', expected three whole percentages, as 90,5,5" },
        { "90,5,5,0", "split: '90,5,5,0', expected" },
        { "90,5,6", "split: '90,5,6' sums to 101, expected 100" },
        { "110,-5,-5", "split: '110,-5,-5', expected" },
        { "90, 5,5", "split: '90, 5,5', expected" },
        { "", "split: '', expected" },
        { "99999999999999999999,0,1", "expected" },
    };
    sp_shares shares;
    sp_sentences *s = many();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sp_status status = { 0 };
        ck_assert(!sp_shares_parse(&shares, bad[i].text, &status));
        ck_assert_msg(strstr(status.message, bad[i].error) != NULL, "%s", status.message);
    }
    ck_assert(!sp_shares_parse(&shares, NULL, NULL));
    sp_status status = { 0 };
    ck_assert_ptr_null(sp_sentences_part(s, 2, 0, 1, &status));
    ck_assert_str_eq(status.message, "split: field 2 of 2, from 0 to 1 of 0 to 1");
    ck_assert_ptr_null(sp_sentences_part(s, 0, 0.5, 0.4, NULL));
    ck_assert_ptr_null(sp_sentences_part(NULL, 0, 0, 1, NULL));
    sp_sentences_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("split");
    TCase *c = tcase_create("split");
    tcase_add_test(c, parts);
    tcase_add_test(c, fixed);
    tcase_add_test(c, wrong);
    suite_add_tcase(all, c);
    return all;
}
