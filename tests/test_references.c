/* Several references for one source. */
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/readers.h"
#include "zoo/references.h"

static const char pairs[] = "the cat\tle chat\nread\tlis\nread\tlisez\nthe cat\tle chat noir ici\nread\tlis !\nso\t\n";

static sp_references *references(long most)
{
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_parse("pairs", pairs, sizeof pairs - 1, sp_format_named("pairs"), &status);
    sp_references *r = sp_references_new(s, most, &status);
    ck_assert_msg(r != NULL, "%s", status.message);
    sp_sentences_free(s);
    return r;
}

START_TEST(grouped)
{
    sp_references *r = references(0);
    ck_assert_int_eq(r->n, 3);
    ck_assert_str_eq(r->source[0], "the cat");
    ck_assert_str_eq(r->source[1], "read");
    ck_assert(r->first[0] == 0 && r->first[1] == 2 && r->first[2] == 5 && r->first[3] == 6);
    ck_assert_str_eq(r->target[1], "le chat noir ici");
    ck_assert_str_eq(r->target[4], "lis !");
    ck_assert_str_eq(r->target[5], "");
    sp_references_free(r);
    r = references(2);
    ck_assert(r->n == 2 && r->first[2] == 5);
    ck_assert_str_eq(r->target[4], "lis !");
    sp_references_free(r);
}
END_TEST

/* Some of many are evenly spread, each with all that is right for it. */
START_TEST(spread)
{
    static const char lines[] = "a\t1\nb\t2\nb\t3\nc\t4\nd\t5\ne\t6\nd\t7\nf\t8\ng\t9\n";
    sp_sentences *s = sp_sentences_parse("pairs", lines, sizeof lines - 1, sp_format_named("pairs"), NULL);
    sp_references *r = sp_references_new(s, 3, NULL);
    ck_assert_int_eq(r->n, 3);
    ck_assert(!strcmp(r->source[0], "a") && !strcmp(r->source[1], "c") && !strcmp(r->source[2], "e"));
    ck_assert(!strcmp(r->target[0], "1") && !strcmp(r->target[1], "4") && !strcmp(r->target[2], "6") && r->first[3] == 3);
    sp_references_free(r);
    r = sp_references_new(s, 4, NULL);
    ck_assert(r->n == 4 && !strcmp(r->source[1], "b") && !strcmp(r->source[2], "d") && !strcmp(r->source[3], "f"));
    ck_assert(r->first[2] - r->first[1] == 2 && !strcmp(r->target[2], "3") && !strcmp(r->target[4], "7") && r->first[4] == 6);
    sp_references_free(r);
    sp_sentences_free(s);
}
END_TEST

/* The closest reference counts: of "le chat noir" the second, with one word and four letters (and a space) left out. */
START_TEST(scored)
{
    static const char *const guess[] = { "le chat noir", "lisez", "x" };
    sp_translation_scores s;
    sp_references *r = references(2);
    ck_assert(sp_references_score(r, guess, &s, NULL));
    ck_assert(s.sentences == 2 && s.exact == 1 && s.sequence_error == 0.5);
    ck_assert_double_eq_tol(s.word_error, 1.0 / 3, 1e-12);              /* "le chat" is as near, and the first: 1 of 2 + 1 words */
    ck_assert_double_eq_tol(s.letter_error, 4.0 / (16 + 5), 1e-12);     /* " ici" */
    sp_bleu bleu = { 0 };
    ck_assert(sp_bleu_add(&bleu, guess[0], (const char *const[]){ "le chat", "le chat noir ici" }, 2, NULL));
    ck_assert(sp_bleu_add(&bleu, guess[1], (const char *const[]){ "lis", "lisez", "lis !" }, 3, NULL));
    ck_assert_double_eq_tol(s.bleu, sp_bleu_score(&bleu), 1e-12);
    sp_chrf chrf = { 0 };
    ck_assert(sp_chrf_add(&chrf, guess[0], (const char *const[]){ "le chat", "le chat noir ici" }, 2, NULL));
    ck_assert(sp_chrf_add(&chrf, guess[1], (const char *const[]){ "lis", "lisez", "lis !" }, 3, NULL));
    ck_assert_double_eq_tol(s.chrf, sp_chrf_score(&chrf), 1e-12);
    ck_assert(s.chrf > 50 && s.chrf < 100);
    sp_references_free(r);
}
END_TEST

START_TEST(wrong)
{
    sp_status status = { 0 };
    sp_sentences *s = sp_sentences_new(1, NULL);
    ck_assert_ptr_null(sp_references_new(s, 0, &status));
    ck_assert_str_eq(status.message, "references: 0 sentences of 1 fields");
    ck_assert_ptr_null(sp_references_new(NULL, 0, NULL));
    sp_sentences_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("references");
    TCase *c = tcase_create("references");
    tcase_add_test(c, grouped);
    tcase_add_test(c, spread);
    tcase_add_test(c, scored);
    tcase_add_test(c, wrong);
    suite_add_tcase(all, c);
    return all;
}
