/* A language model that writes. */
#include <stdlib.h>

#include "zoo/lm_inside.h"

/* So many texts at once, with rows to spare where there are fewer: how a product rounds a row may depend on how many rows there
   are and on its place among them, and a text must not depend on how many others are written. */
enum { SIDE_BY_SIDE = 8 };

struct writer {
    const sp_lm *m;
    struct sp_lm_session session;
    long symbols;
    sp_real *logits;            /* [SIDE_BY_SIDE,symbols] */
    struct sp_choice *room;     /* [symbols] */
};

/* Feeds x [SIDE_BY_SIDE]; the logits of what follows. */
static bool step(struct writer *w, const int *x)
{
    sp_tape_reset(w->session.tape);
    return sp_read(sp_lm_on(w->session.tape, w->m, x, 1, SIDE_BY_SIDE, w->session.state), w->logits);
}

/* Texts first .. first+n-1 into out [n,length], for n up to SIDE_BY_SIDE; rows that are left over read what they read last. */
static bool write_texts(struct writer *w, const int *prime, long primes, const sp_sampling *how, long length, long first, long n,
                        int *out, double *log_p, sp_status *status)
{
    int *x = w->session.x;
    sp_random random[SIDE_BY_SIDE];
    for (long b = 0; b < n; b++) {
        random[b] = (sp_random){ .key = { .seed = how->seed, .place = sp_hash_text((uint64_t)(first + b), "sample") } };
        if (log_p)
            log_p[b] = 0;
    }
    sp_state_zero(w->session.state);
    for (long i = 0; i < primes; i++) {
        for (long b = 0; b < SIDE_BY_SIDE; b++)
            x[b] = prime[i];
        if (!step(w, x))
            return false;
    }
    for (long i = 0; i < length; i++) {
        for (long b = 0; b < n; b++) {
            double one = 0;
            const sp_real *logits = w->logits + b * w->symbols;
            x[b] = out[b * length + i] = sp_sample(how, w->symbols, logits, SP_UNKNOWN, &random[b], w->room, &one);
            if (x[b] < 0)
                return sp_fail(status, SP_ERR_VALUE, "model: it has no symbols, or its logits are not finite");
            if (log_p)
                log_p[b] += one;
        }
        if (i + 1 < length && !step(w, x))
            return false;
    }
    return true;
}

bool sp_lm_sample_batch(const sp_lm *m, const int *prime, long n, const sp_sampling *how, long length, long count, int *out,
                        double *log_p, sp_status *status)
{
    struct writer w = { .m = m, .symbols = sp_vocabulary_size(m->vocabulary) };
    w.logits = malloc((size_t)(SIDE_BY_SIDE * w.symbols) * sizeof *w.logits);
    w.room = malloc((size_t)w.symbols * sizeof *w.room);
    bool ok = sp_lm_open(&w.session, m, SIDE_BY_SIDE, 1, false, status)
              && ((w.logits && w.room) || sp_fail(status, SP_ERR_MEMORY, "model: out of memory for %ld symbols", w.symbols))
              && (n > 0 || sp_fail(status, SP_ERR_VALUE, "sampling needs a prime of one symbol or more"))
              && (w.symbols > 1 || sp_fail(status, SP_ERR_VALUE, "sampling needs a symbol other than <unk>"))
              && ((length > 0 && count > 0) || sp_fail(status, SP_ERR_VALUE, "sampling %ld texts of %ld symbols", count, length));
    for (long first = 0; ok && first < count; first += SIDE_BY_SIDE) {
        const long left = count - first;
        ok = write_texts(&w, prime, n, how, length, first, left < SIDE_BY_SIDE ? left : SIDE_BY_SIDE, out + first * length,
                         log_p ? log_p + first : NULL, status);
    }
    free(w.logits);
    free(w.room);
    return sp_lm_close(&w.session, status) && ok;
}

bool sp_lm_sample(const sp_lm *m, const int *prime, long n, const sp_sampling *how, long length, int *out, double *log_p,
                  sp_status *status)
{
    return sp_lm_sample_batch(m, prime, n, how, length, 1, out, log_p, status);
}
