/* What a model attends to, as a page of HTML: a line for each sentence, its label and probability beside, its words shaded by
   their weights. One file without scripts or anything from elsewhere; it is well-formed XML, too.

       sp_attention_html_begin(out, "reviews.txt");
       sp_attention_html_add(out, &(sp_attention_line){ .label = "pos", .probability = 0.93, .sentences = s, .i = i, .weight = w });
       sp_attention_html_end(out);

   Text is escaped; what is not UTF-8, and control characters, appear as U+FFFD. A write that fails shows in ferror(out). */
#ifndef SP_ZOO_ATTENTION_HTML_H
#define SP_ZOO_ATTENTION_HTML_H

#include <stdio.h>

#include "zoo/sentences.h"

SP_BEGIN

typedef struct sp_attention_line {
    const char *label;          /* what the model says, */
    double probability;         /* and how likely it is to it */
    const char *truth;          /* what is right; or NULL */
    const sp_sentences *sentences;
    long i;                     /* field 0 of this sentence */
    const sp_real *weight;      /* of each word; the shade is the weight over the largest of the sentence */
} sp_attention_line;

void sp_attention_html_begin(FILE *out, const char *title);
void sp_attention_html_add(FILE *out, const sp_attention_line *line);
void sp_attention_html_end(FILE *out);

/* A text as HTML shows it: &, <, > and quotes escaped. */
void sp_html_write(FILE *out, const char *text, size_t size);

SP_END
#endif
