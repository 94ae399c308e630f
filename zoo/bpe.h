/* Byte-pair encoding: words as sequences of frequent pieces, so that a vocabulary of a few thousand writes every text.
   Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", ACL 2016.

       learn:   write each word as its characters; then, again and again, make the most frequent pair of neighbours one piece
       encode:  write a word as its characters; join, of the pairs it has, the one learned first, until none is left

   Every text comes back byte for byte, whatever it is: no character is unknown, because all 256 bytes are pieces too, and
   one that was too rare to be a piece is written as its bytes (as SentencePiece does it). What differs from the paper:
   the space belongs to the word behind it (" of"; a text begins as if a space stood before it) where the paper marks ends
   of words; runs of letters, of digits and of other signs are words of their own, so text need not be cut into tokens
   before (all beyond ASCII counts as letters); a word is at most 256 bytes long, longer ones are cut.

   Numbers: the special symbols (0: "<unk>", which is never used, as in a vocabulary); 256 bytes; characters of more than one
   byte, the most frequent first; then the pieces in the order they were learned. With no joined pieces this is a vocabulary
   of characters without unknown ones. */
#ifndef SP_ZOO_BPE_H
#define SP_ZOO_BPE_H

#include "zoo/sentences.h"

SP_BEGIN

typedef struct sp_bpe sp_bpe;

/* What is learned. All zero: 4000 symbols, <unk> the only special one. */
typedef struct sp_bpe_rule {
    long size;                  /* symbols in all, special ones and bytes with them: learning ends there, or when no pair occurs
                                   twice; at least the special ones and the bytes. 0: 4000 */
    long least;                 /* a character of several bytes is a symbol if it was met so often (0: 2), while there is room */
    const char *const *special; /* { "<s>", "</s>", NULL }: numbers 1, 2, ...; or NULL */
} sp_bpe_rule;

/* Counts the words of a text, or of each sentence of a field, for learning: counts of several sources add up. */
bool sp_bpe_count(sp_counts *c, const char *text, size_t size, sp_status *status);
bool sp_bpe_count_field(sp_counts *c, const sp_sentences *s, int f, sp_status *status);

/* Learns from words counted; the same counts, in whatever order, give the same pieces: of pairs that are equally frequent
   the one with the lower first number, then second number, is joined. To be freed. NULL without memory, or for a size
   that cannot be. */
sp_bpe *sp_bpe_new(const sp_counts *c, const sp_bpe_rule *rule, sp_status *status);
void sp_bpe_free(sp_bpe *b);

int sp_bpe_size(const sp_bpe *b);

/* The bytes of a symbol, borrowed; "" with length 0 for numbers that are none. */
const char *sp_bpe_symbol(const sp_bpe *b, int id, size_t *length);

/* How many letters of several bytes are symbols: where there are some, UTF-8 is what was learned from. */
int sp_bpe_letters(const sp_bpe *b);

/* The number of a special symbol, or -1. */
int sp_bpe_special(const sp_bpe *b, const char *symbol);

/* A text as numbers; none for an empty text. False without memory. */
bool sp_bpe_encode(const sp_bpe *b, const char *text, size_t size, sp_ids *ids, sp_status *status);

/* Numbers as text, with a 0 behind it, to be freed; special symbols and numbers that are none leave nothing. What
   sp_bpe_encode wrote becomes the same text. NULL without memory. */
char *sp_bpe_decode(const sp_bpe *b, const int *id, long n, size_t *size);

/* As JSON text, to be freed; and back. NULL without memory or, back, an error of the format, for a text that is none,
   or of a version not known. */
char *sp_bpe_write(const sp_bpe *b);
sp_bpe *sp_bpe_parse(const char *json, sp_status *status);

SP_END
#endif
