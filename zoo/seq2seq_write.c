/* The decoder a symbol at a time. Between two steps the tape is rewound, so a long sentence takes no more memory than a short
   one; states are kept outside it. */
#include <string.h>

#include "zoo/seq2seq_inside.h"

/* Room for the states of so many rows. */
static bool take_states(struct writing *w)
{
    const sp_stack *cells = sp_seq2seq_attends(w->m) ? &w->m->decoder.cells : &w->m->plain;
    for (int l = 0; l < cells->layers; l++)
        for (int i = 0; i < cells->layer[l].cell.states; i++)
            w->width[w->states++] = cells->layer[l].cell.width[i];
    if (sp_seq2seq_attends(w->m)) {
        w->width[w->states++] = sp_decoder_width(&w->m->decoder);
        if (w->m->decoder.attention.coverage)
            w->width[w->states++] = w->encoded.places;
    }
    for (int i = 0; i < w->states; i++) {
        w->now[i] = sp_tape_take(w->t, (size_t)(w->most * w->width[i]) * sizeof(sp_real));
        w->next[i] = sp_tape_take(w->t, (size_t)(w->most * w->width[i]) * sizeof(sp_real));
        if (!w->now[i] || !w->next[i])
            return false;
        if (w->encoded.state[i])
            sp_read(w->encoded.state[i], w->now[i]);
        else
            memset(w->now[i], 0, (size_t)(w->rows * w->width[i]) * sizeof(sp_real));
    }
    return true;
}

bool sp_writing_begin(struct writing *w, sp_tape *t, const sp_seq2seq *m, const int *id, const long *length, long n, long most)
{
    *w = (struct writing){ .t = t, .m = m, .rows = n, .most = most };
    w->of = sp_tape_take(t, (size_t)most * sizeof *w->of);
    if (!w->of || !sp_seq2seq_encode(t, m, id, length, n, &w->encoded) || !take_states(w))
        return false;
    for (int i = 0; i < n; i++)
        w->of[i] = i;
    w->chosen = w->encoded.memory;
    w->base = w->step = sp_tape_mark(t);
    return sp_ok(t);
}

/* Rewinds to where the step begins; where rows are of other sources than before, their memories are chosen anew. */
static void choose_memory(struct writing *w, const int *of, long rows)
{
    const bool same = rows == w->rows && (!of || !memcmp(of, w->of, (size_t)rows * sizeof *of));
    sp_tape_rewind(w->t, same ? w->step : w->base);
    if (same)
        return;
    memcpy(w->of, of, (size_t)rows * sizeof *of);
    w->rows = rows;
    if (sp_seq2seq_attends(w->m))
        w->chosen = sp_memory_rows(w->t, &w->encoded.memory, w->of, rows);
    w->step = sp_tape_mark(w->t);
}

static void choose_states(struct writing *w, const int *parent, long rows)
{
    for (int i = 0; parent && i < w->states; i++) {
        sp_real *from = w->now[i];
        for (long r = 0; r < rows; r++)
            memcpy(w->next[i] + r * w->width[i], from + parent[r] * w->width[i], (size_t)w->width[i] * sizeof *from);
        w->now[i] = w->next[i];
        w->next[i] = from;
    }
}

bool sp_writing_step(struct writing *w, const int *of, const int *parent, const int *symbol, long rows, sp_real *logits,
                     sp_real *weights)
{
    sp_tape *t = w->t;
    const sp_seq2seq *m = w->m;
    const bool attends = sp_seq2seq_attends(m);
    sp_tensor *state[SP_MAX_STATES];
    choose_memory(w, of, rows);
    choose_states(w, parent, rows);
    for (int i = 0; i < w->states; i++)
        state[i] = sp_feed(t, w->now[i], SP_SHAPE(rows, w->width[i]));
    sp_tensor *x = sp_embed_on(t, &m->written, symbol, rows), *h;
    sp_scope_push(t, "decoder");
    if (attends) {
        const sp_cell cell = sp_decoder_cell(t, &m->decoder, &w->chosen, NULL);
        sp_tensor *y = sp_ok(t) ? cell.step(t, cell.self, x, state) : NULL;
        const long width = sp_decoder_width(&m->decoder);
        h = sp_slice(t, y, 1, 0, width);
        if (weights)
            sp_read(sp_slice(t, y, 1, width, width + w->encoded.places), weights);
    } else {
        h = sp_stack_step(t, &m->plain, x, state);
    }
    sp_scope_pop(t);
    sp_scope_push(t, "out");
    sp_read(sp_linear_on(t, &m->out, h), logits);
    sp_scope_pop(t);
    for (int i = 0; i < w->states; i++)
        sp_read(state[i], w->now[i]);
    return sp_ok(t);
}
