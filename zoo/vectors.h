/* Word vectors that were learned elsewhere, in the text formats of word2vec ("400000 100" as line 1) and GloVe (without): on a
   line a word and its numbers, blanks between them.

       long found = sp_vectors_read(&m->embed, m->words, "glove.6B.100d.txt", status);
       if (found < 0) ...

   Sources: Mikolov et al., "Distributed representations of words and phrases and their compositionality", NeurIPS 2013;
   Pennington, Socher, Manning, "GloVe: global vectors for word representation", EMNLP 2014. */
#ifndef SP_ZOO_VECTORS_H
#define SP_ZOO_VECTORS_H

#include "nn/embed.h"
#include "zoo/text.h"

SP_BEGIN

/* Sets the rows of an embedding [ids,width] whose word the file has, and returns how many these are; the other rows stay as
   they are. A word of the vocabulary takes the vector of the word as it is; else that of its lower-cased form (sp_text_lower);
   else that of the first word of which it is the lower-cased form. Of several lines for one word the first counts. A word may
   have blanks in it: the numbers are the last `width` of a line. The file is read line by line, and may be larger than memory;
   while it is read no tape may compute.
   A byte-order mark at its beginning is skipped, and no locale is asked.
   -1, with nothing changed: "glove.txt:7: 3 numbers, expected 300", something that is no number, more or fewer vectors than line
   1 says there are, a file without vectors, a zero byte, an embedding of another size than the vocabulary, or without memory. */
long sp_vectors_read(const sp_embed *e, const sp_vocabulary *v, const char *path, sp_status *status);

/* The first words of a file, at most `most` of them, each as met so many times more: such files have the frequent words first. So
   a vocabulary knows words that the training text has not. False for what is an error there. */
bool sp_vectors_count(sp_counts *c, const char *path, long most, long times, sp_status *status);

SP_END
#endif
