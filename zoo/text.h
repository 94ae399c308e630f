/* Text as symbols. At character level a symbol is a UTF-8 code point, and a byte that is not valid UTF-8 is a symbol of
   its own, so no text is lost. At word level it is what stands between white space, and each line end is the symbol "\n";
   a carriage return is white space there, so lines may end in either way. */
#ifndef SP_ZOO_TEXT_H
#define SP_ZOO_TEXT_H

#include "autograd/base.h"

SP_BEGIN

typedef enum sp_level { SP_LEVEL_CHAR, SP_LEVEL_WORD } sp_level;
#define SP_LEVEL_KINDS "char|word"      /* as choices of zoo/options.h */

/* The next symbol at or after *at: returns its first byte and sets *length, and moves *at behind it. NULL at the end. */
const char *sp_text_next(const char *text, size_t size, sp_level level, size_t *at, size_t *length);

/* The bytes of a text file, to be freed, and a zero byte behind them; a byte order mark (EF BB BF) that it begins with is none
   of them, and line ends of Windows (CR LF) are those of Unix (LF). NULL, with one line in status, if it cannot be read, is
   empty, or is not text (a zero byte). */
char *sp_text_read(const char *path, size_t *size, sp_status *status);

/* Capitals to small letters, in place: ASCII, Latin-1, Latin Extended-A, Greek and Russian letters, each of which has a
   small letter of as many bytes. Whatever else there is stays, and no locale is asked. */
void sp_text_lower(char *text, size_t size);

/* ---- counts ---------------------------------------------------------------------------------------------------- */

/* How often each symbol was met, in the order of their first time. */
typedef struct sp_counts sp_counts;

sp_counts *sp_counts_new(sp_status *status);
void sp_counts_free(sp_counts *c);

/* A symbol (any bytes, at least one) met so many times more; or all symbols of a text. False without memory, or for a number
   below 0 or more than a long holds in all. */
bool sp_counts_add(sp_counts *c, const char *symbol, size_t length, long times, sp_status *status);
bool sp_counts_add_text(sp_counts *c, const char *text, size_t size, sp_level level, sp_status *status);

/* How many different ones there are, and the i-th: borrowed, with its bytes and times; NULL beyond the last. */
long sp_counts_size(const sp_counts *c);
const char *sp_counts_symbol(const sp_counts *c, long i, size_t *length, long *times);

/* ---- vocabularies ---------------------------------------------------------------------------------------------- */

/* Symbols and their numbers. Number 0 stands for every symbol that is not in it, and is written "<unk>". */
typedef struct sp_vocabulary sp_vocabulary;
enum { SP_UNKNOWN = 0 };

/* What of the counted symbols is taken. All zero: all of them. */
typedef struct sp_vocabulary_rule {
    sp_level level;             /* how sp_encode cuts a text */
    long least;                 /* a symbol met fewer times is left out */
    long most;                  /* so many symbols at most, <unk> and special ones not among them; 0: all */
    bool lower;                 /* symbols are lower-cased (sp_text_lower), then counted; and before they are looked up */
    bool closed;                /* without <unk>, for tags and labels: the numbers begin at 0, what is not there has -1 */
    const char *const *special; /* { "<s>", "</s>", NULL }: they come first, behind <unk>; or NULL. A text's own "<s>" is unknown */
} sp_vocabulary_rule;

/* The symbols counted, the most frequent first, equal ones in the order of their bytes. NULL without memory, or if special
   symbols are not distinct. */
sp_vocabulary *sp_vocabulary_new(const sp_counts *c, const sp_vocabulary_rule *rule, sp_status *status);

/* The symbols of a text, at most `most` of them (0: all), by the same order. NULL without memory. */
sp_vocabulary *sp_vocabulary_of(const char *text, size_t size, sp_level level, long most, sp_status *status);
void sp_vocabulary_free(sp_vocabulary *v);

int sp_vocabulary_size(const sp_vocabulary *v);                 /* with <unk> and special symbols */
sp_level sp_vocabulary_level(const sp_vocabulary *v);

/* The number of a symbol, or of a special symbol; SP_UNKNOWN, and -1 where the vocabulary is closed. Back: "<unk>" for
   numbers that are none. */
int sp_vocabulary_id(const sp_vocabulary *v, const char *symbol, size_t length);
const char *sp_vocabulary_symbol(const sp_vocabulary *v, int id, size_t *length);     /* borrowed */

/* As sp_vocabulary_id for what stands in a text: special symbols are unknown there. */
int sp_vocabulary_id_in_text(const sp_vocabulary *v, const char *symbol, size_t length);

/* A vocabulary as JSON text, to be freed; and back. NULL without memory or, back, an error of the format, for a text that is no
   vocabulary, or one of a version that is not known ("the vocabulary is of version 3, expected 1 or 2"). */
char *sp_vocabulary_write(const sp_vocabulary *v);
sp_vocabulary *sp_vocabulary_parse(const char *json, sp_status *status);

/* ---- encoding -------------------------------------------------------------------------------------------------- */

typedef struct sp_ids {
    int *id;                    /* [n], to be freed */
    long n;
    long unknown;               /* how many of them are SP_UNKNOWN, or -1; a word that is written "<unk>" does not count */
} sp_ids;

/* A text as numbers. False without memory. */
bool sp_encode(const sp_vocabulary *v, const char *text, size_t size, sp_ids *ids, sp_status *status);

SP_END
#endif
