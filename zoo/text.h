/* Text as symbols. At character level a symbol is a UTF-8 code point, and a byte that is not valid UTF-8 is a symbol of
   its own, so no text is lost. At word level it is what stands between white space, and each line end is the symbol "\n". */
#ifndef SP_ZOO_TEXT_H
#define SP_ZOO_TEXT_H

#include "autograd/base.h"

SP_BEGIN

typedef enum sp_level { SP_LEVEL_CHAR, SP_LEVEL_WORD } sp_level;

/* The next symbol at or after *at: returns its first byte and sets *length, and moves *at behind it. NULL at the end. */
const char *sp_text_next(const char *text, size_t size, sp_level level, size_t *at, size_t *length);

/* The bytes of a text file, to be freed. NULL, with one line in status, if it cannot be read, is empty, or is not text
   (a zero byte). */
char *sp_text_read(const char *path, size_t *size, sp_status *status);

/* ---- vocabularies ---------------------------------------------------------------------------------------------- */

/* Symbols and their numbers. Number 0 stands for every symbol that is not in it, and is written "<unk>". */
typedef struct sp_vocabulary sp_vocabulary;
enum { SP_UNKNOWN = 0 };

/* The symbols of a text, the most frequent first, at most `most` of them (0: all). NULL without memory. */
sp_vocabulary *sp_vocabulary_of(const char *text, size_t size, sp_level level, long most, sp_status *status);
void sp_vocabulary_free(sp_vocabulary *v);

int sp_vocabulary_size(const sp_vocabulary *v);                 /* with <unk> */
sp_level sp_vocabulary_level(const sp_vocabulary *v);
int sp_vocabulary_id(const sp_vocabulary *v, const char *symbol, size_t length);
const char *sp_vocabulary_symbol(const sp_vocabulary *v, int id, size_t *length);     /* borrowed */

/* A vocabulary as JSON text, to be freed; and back. NULL without memory or, back, for a text that is no vocabulary, or one of a
   later version. */
char *sp_vocabulary_write(const sp_vocabulary *v);
sp_vocabulary *sp_vocabulary_parse(const char *json, sp_status *status);

/* ---- encoding -------------------------------------------------------------------------------------------------- */

typedef struct sp_ids {
    int *id;                    /* [n], to be freed */
    long n;
    long unknown;               /* how many of them are SP_UNKNOWN */
} sp_ids;

/* A text as numbers. False without memory. */
bool sp_encode(const sp_vocabulary *v, const char *text, size_t size, sp_ids *ids, sp_status *status);

SP_END
#endif
