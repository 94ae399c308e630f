#include "zoo/attention_html.h"

#include <string.h>

/* The bytes of the UTF-8 character at the beginning of a text, which is not empty; 0 if there is none. Overlong forms, surrogates
   and numbers over U+10FFFF are none. */
static size_t character(const unsigned char *s, size_t size)
{
    const size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    const bool wrong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90)
                       || (s[0] == 0xF4 && s[1] > 0x8F);
    return wrong ? 0 : n;
}

/* Controls, U+FFFE and U+FFFF, which HTML has no way to show. */
static bool is_hidden(const unsigned char *s, size_t n)
{
    return (n == 1 && (s[0] < 0x20 || s[0] == 0x7F)) || (n == 2 && s[0] == 0xC2 && s[1] < 0xA0)
           || (n == 3 && s[0] == 0xEF && s[1] == 0xBF && s[2] >= 0xBE);
}

void sp_html_write(FILE *out, const char *text, size_t size)
{
    static const struct {
        char c;
        const char *name;
    } escapes[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };
    for (size_t at = 0, n; at < size; at += n ? n : 1) {
        const unsigned char *s = (const unsigned char *)text + at;
        const char *name = NULL;
        n = character(s, size - at);
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
            if (text[at] == escapes[i].c)
                name = escapes[i].name;
        if (name)
            fputs(name, out);
        else if (!n || is_hidden(s, n))
            fputs("\xEF\xBF\xBD", out);
        else
            fwrite(s, 1, n, out);
    }
}

static void write_text(FILE *out, const char *text)
{
    sp_html_write(out, text, strlen(text));
}

void sp_attention_html_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"und\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>", out);
    write_text(out, title);
    fputs("</title>\n<style>\n"
          "body { font-family: sans-serif; color: #000; background: #fff; margin: 2em auto; max-width: 60em; line-height: 1.7 }\n"
          "table { border-collapse: collapse }\n"
          "th, td { text-align: left; vertical-align: top; padding: 0.2em 0.8em; border-top: 1px solid #ddd }\n"
          ".p { text-align: right; font-variant-numeric: tabular-nums }\n"
          ".wrong { color: #b00 }\n"
          ".w { padding: 0.1em 0.15em; border-radius: 0.2em; overflow-wrap: anywhere }\n"
          "</style>\n</head>\n<body>\n<h1>", out);
    write_text(out, title);
    fputs("</h1>\n<p>The darker a word, the more of the answer it makes; its weight shows where the mouse rests. The weights of a "
          "sentence sum to 1, and its heaviest word is the darkest.</p>\n"
          "<table>\n<tr><th>label</th><th>probability</th><th>text</th></tr>\n", out);
}

void sp_attention_html_add(FILE *out, const sp_attention_line *line)
{
    const long n = sp_sentence_length(line->sentences, 0, line->i);
    const bool wrong = line->truth && strcmp(line->truth, line->label) != 0;
    sp_real most = 0;
    for (long j = 0; j < n; j++)
        most = line->weight[j] > most ? line->weight[j] : most;
    fprintf(out, "<tr><td%s>", wrong ? " class=\"wrong\"" : "");
    write_text(out, line->label);
    if (wrong) {
        fputs(" (is ", out);
        write_text(out, line->truth);
        fputs(")", out);
    }
    fprintf(out, "</td><td class=\"p\">%.3f</td><td dir=\"auto\">", line->probability);
    for (long j = 0; j < n; j++) {
        size_t length;
        const char *word = sp_sentence_word(line->sentences, 0, line->i, j, &length);
        const double weight = (double)line->weight[j], shade = most > 0 ? weight / (double)most : 0;
        const int thousandths = shade > 0 ? (int)(1000 * shade + 0.5) : 0;          /* CSS wants a point in any locale */
        fprintf(out, "%s<span class=\"w\" title=\"%.4f\" style=\"background:rgba(255,140,0,%d.%03d)\">", j ? " " : "", weight,
                thousandths / 1000, thousandths % 1000);
        sp_html_write(out, word, length);
        fputs("</span>", out);
    }
    fputs("</td></tr>\n", out);
}

void sp_attention_html_end(FILE *out)
{
    fputs("</table>\n</body>\n</html>\n", out);
}
