/* What the files of sequence to sequence share. */
#ifndef SP_ZOO_SEQ2SEQ_INSIDE_H
#define SP_ZOO_SEQ2SEQ_INSIDE_H

#include "ops/ops.h"
#include "zoo/seq2seq.h"

/* n sources as the decoder sees them. */
struct encoded {
    sp_memory memory;                   /* to attend to; empty without attention */
    long places;                        /* symbols of the longest, its </s> included */
    sp_tensor *state[SP_MAX_STATES];    /* of the decoder at first, NULL: zeros */
};

/* Sequences of numbers, one behind the other. */
struct sequences {
    long n, room;
    long *first;                        /* [n+1] where in id each begins; NULL as long as there is none */
    int *id;                            /* [first[n]] */
    long ids_room;
};

/* One more. False without memory. */
bool sp_sequences_add(struct sequences *s, const sp_ids *ids);
void sp_sequences_clear(struct sequences *s);

static inline long sp_sequences_length(const struct sequences *s, long i)
{
    return s->first[i + 1] - s->first[i];
}

static inline long sp_sequences_sum(const struct sequences *s)
{
    return s->n ? s->first[s->n] : 0;
}

/* A source as numbers, by its words with one space between. *joined, unless NULL, is that text, to be freed. */
bool sp_seq2seq_read(const sp_seq2seq *m, const char *text, size_t size, sp_ids *ids, char **joined, sp_status *status);

/* Sources as numbers, one behind the other, without </s>. False after an error of the tape. */
bool sp_seq2seq_encode(sp_tape *t, const sp_seq2seq *m, const int *id, const long *length, long n, struct encoded *e);

static inline bool sp_seq2seq_attends(const sp_seq2seq *m)
{
    return m->decoder.combine.weight;
}

/* The decoder a symbol at a time, over hypotheses that come and go; all numbers between steps are in memory of the tape. */
struct writing {
    sp_tape *t;
    const sp_seq2seq *m;
    struct encoded encoded;
    sp_mark base, step;                 /* behind what is encoded; behind the memory of the present rows */
    sp_memory chosen;
    long rows, most;                    /* at present; at most */
    int *of;                            /* [most] the source of each row */
    int states;
    long width[SP_MAX_STATES];
    sp_real *now[SP_MAX_STATES], *next[SP_MAX_STATES];      /* [most,width] */
};

/* Begins with a row for each of n sources, for at most `most` rows. */
bool sp_writing_begin(struct writing *w, sp_tape *t, const sp_seq2seq *m, const int *id, const long *length, long n, long most);

/* A step: row r, of source of[r] (NULL: as before), goes on from row parent[r] of the step before (NULL: from r) with a symbol.
   Logits [rows,symbols]; weights [rows,places], or NULL. False after an error of the tape. */
bool sp_writing_step(struct writing *w, const int *of, const int *parent, const int *symbol, long rows, sp_real *logits,
                     sp_real *weights);

#endif
