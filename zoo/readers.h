/* Files of sentences -> sp_sentences. A format is a row of a table:

       name        on a line     between columns   fields (columns from 1)
       conllu      a word        tab               FORM 2, UPOS 4; "#..." lines, ranges (1-2) and empty nodes (1.1) skipped
       conll2003   a word        blanks            1, the last; "-DOCSTART-" lines end a sentence and are skipped
       columns     a word        tab               1, 2: WNUT-17 and others
       labelled    a sentence    tab               words of 2, the label 1
       pairs       a sentence    tab               words of 1, words of 2: Tatoeba; more columns may follow
       lines       a sentence    -                 words of the line
       cmudict     an entry      -                 letters of the word, phones; "(2)" behind a word, "# ..." at the end of a line
                                                   and lines beginning with ";;;" are skipped

   Another column is another row: a copy of one of these with its field[] changed.

   The same for all. A line ends with "\n" or "\r\n". A byte-order mark at the beginning of a line is skipped, and a line that
   is nothing else is as if it were not there. Where a word is on each line, one or more blank lines (spaces and tabs count
   as blank) end a sentence, so there are no empty ones. Where a sentence is on each line, blank lines are skipped, unless
   .blanks is set, but a sentence of which a field is empty ("label<TAB>") stays, with length 0. Words, tags and labels are never empty, nor has one a
   "\r" in it: these are errors. Between the words of a text a "\r" is white space. Bytes that are not UTF-8 are kept as they are
   (zoo/text.h); a zero byte is an error. No length is too long.
   An error says file:line, what is there and what was expected: "dev.conllu:17: 3 columns between tabs, expected 4". */
#ifndef SP_ZOO_READERS_H
#define SP_ZOO_READERS_H

#include "zoo/sentences.h"

SP_BEGIN

typedef enum sp_on_line { SP_ON_LINE_WORD, SP_ON_LINE_SENTENCE, SP_ON_LINE_ENTRY } sp_on_line;

/* A column as a field: whole, or cut. Where a word is on each line the columns are taken whole. */
typedef enum sp_cut { SP_CUT_NONE, SP_CUT_WORDS, SP_CUT_LETTERS } sp_cut;

enum { SP_LAST_COLUMN = -1, SP_MOST_COLUMNS = 64 };

typedef struct sp_format {
    const char *name;
    sp_on_line line;
    char separator;             /* '\t': each one separates; ' ': any number of spaces and tabs; 0: the line is one column */
    bool numbered;              /* column 1 is an id of CoNLL-U */
    bool blanks;                /* where a sentence is on each line: a blank line is one of length 0, not skipped */
    const char *comment;        /* lines that begin with it are skipped; or NULL */
    const char *document;       /* a line whose column 1 is this ends a sentence and is skipped; or NULL */
    int fields;
    struct {
        int column;             /* 1 to SP_MOST_COLUMNS; SP_LAST_COLUMN: then all lines must have as many columns */
        sp_cut cut;
    } field[SP_MOST_FIELDS];
} sp_format;

/* The format of a name, or of a number from 0; NULL if there is none. */
const sp_format *sp_format_named(const char *name);
const sp_format *sp_format_at(int i);

/* The sentences of a file, or of a text (`name` stands for the file in messages), to be freed; NULL with one line in
   status. */
sp_sentences *sp_sentences_read(const char *path, const sp_format *format, sp_status *status);
sp_sentences *sp_sentences_parse(const char *name, const char *text, size_t size, const sp_format *format, sp_status *status);

/* Two files whose lines belong together: fields 0 and 1. Here blank lines stay too, as sentences of length 0, so that line
   i is sentence i - 1. "a.en has 10 lines, a.fr has 9" is an error. */
sp_sentences *sp_sentences_read_parallel(const char *source, const char *target, sp_level level, sp_status *status);

SP_END
#endif
