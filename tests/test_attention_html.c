/* The page of attention: what it escapes, and what it says of each word. */
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "zoo/attention_html.h"

static char *written;
static size_t size;

/* What sp_html_write makes of a text, to be freed. */
static char *escaped(const char *text, size_t n)
{
    FILE *out = open_memstream(&written, &size);
    sp_html_write(out, text, n);
    fclose(out);
    return written;
}

static const struct {
    const char *text, *html;
} texts[] = {
    { "plain words", "plain words" },
    { "<b>&\"'</b>", "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;" },
    { "gr\xC3\xBCn \xE2\x82\xAC \xF0\x9F\x98\x80", "gr\xC3\xBCn \xE2\x82\xAC \xF0\x9F\x98\x80" },
    { "caf\xE9!", "caf\xEF\xBF\xBD!" },
    { "\xC3", "\xEF\xBF\xBD" },
    { "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD" },                         /* an overlong "/" */
    { "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },         /* half a surrogate pair */
    { "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },     /* over U+10FFFF */
    { "\xF0\x8F\xBF\xBF", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "a\x01\x7F\xC2\x85z", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz" },
    { "\xC2\xA0\xED\x9F\xBF", "\xC2\xA0\xED\x9F\xBF" },
    { "\xEF\xBF\xBE\xEF\xBF\xBF", "\xEF\xBF\xBD\xEF\xBF\xBD" },         /* no characters */
};

START_TEST(escapes)
{
    char *html = escaped(texts[_i].text, strlen(texts[_i].text));
    ck_assert_str_eq(html, texts[_i].html);
    free(html);
}
END_TEST

START_TEST(page)
{
    const sp_real weight[] = { (sp_real)0.25, (sp_real)0.5, (sp_real)0.25 };
    sp_sentences *s = sp_sentences_new(1, NULL);
    ck_assert(sp_sentences_put_text(s, 0, "a <dull> film", 13, SP_LEVEL_WORD, NULL) && sp_sentences_end(s, NULL)
              && sp_sentences_end(s, NULL));
    FILE *out = open_memstream(&written, &size);
    sp_attention_html_begin(out, "R&D");
    sp_attention_html_add(out, &(sp_attention_line){ "<neg>", 0.75, NULL, s, 0, weight });
    sp_attention_html_add(out, &(sp_attention_line){ "pos", 0.5, "a&b", s, 1, weight });
    sp_attention_html_add(out, &(sp_attention_line){ "pos", 0.5, "pos", s, 1, weight });
    sp_attention_html_end(out);
    fclose(out);
    static const char *const parts[] = {
        "<!DOCTYPE html>", "<title>R&amp;D</title>", "<td>&lt;neg&gt;</td><td class=\"p\">0.750</td>",
        ("<span class=\"w\" title=\"0.2500\" style=\"background:rgba(255,140,0,0.500)\">a</span> "
        "<span class=\"w\" title=\"0.5000\" style=\"background:rgba(255,140,0,1.000)\">&lt;dull&gt;</span> "),
        "<td class=\"wrong\">pos (is a&amp;b)</td>", "<tr><td>pos</td>", "</html>\n",
    };
    const char *at = written;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *found = strstr(at, parts[i]);
        ck_assert_msg(found != NULL, "no '%s' behind '%s' in\n%s", parts[i], i ? parts[i - 1] : "", written);
        at = found;
    }
    free(written);
    sp_sentences_free(s);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("attention_html");
    TCase *c = tcase_create("attention_html");
    tcase_add_loop_test(c, escapes, 0, sizeof texts / sizeof *texts);
    tcase_add_test(c, page);
    suite_add_tcase(all, c);
    return all;
}
