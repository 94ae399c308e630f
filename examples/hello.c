/* The lecture's first recurrent network, on the tape. Vocabulary h e l o, one-hot columns:

       a' = sigmoid(Waa a + Wax x)      scores = Way a'      p = softmax(scores)

   First with given weights, one step on the input "h"; then a cell that learns "hello". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spindle/spindle.h>

static const char letters[] = "helo";

static const sp_real Waa[] = { 1, 1, -1, -1,   1, 0, 0, 0,   0, -1, 1, 0,    0, 0, -1, 0.5 };
static const sp_real Wax[] = { 0, 0, 1, -1,    1, 1, -1, 0,  -1, 0, 1, 0,    0, 0, 1, 0.5 };
static const sp_real Way[] = { 0, 1, 0, -1.5,  1, 0, 0, 0,   0, -0.5, 1, 0,  0, 0, -1, 1 };

static void show(const char *name, const sp_tensor *x)
{
    sp_real v[4] = { 0 };
    sp_read(x, v);
    printf("%-8s", name);
    for (int i = 0; i < 4; i++)
        printf(" %5.2f", v[i]);
    putchar('\n');
}

static bool worked_example(void)
{
    sp_tape *t = sp_tape_new(NULL);
    sp_shape matrix = SP_SHAPE(4, 4), column = SP_SHAPE(4, 1);
    sp_tensor *waa = sp_feed(t, Waa, matrix), *wax = sp_feed(t, Wax, matrix), *way = sp_feed(t, Way, matrix);
    sp_tensor *x = sp_feed(t, (const sp_real[]){ 1, 0, 0, 0 }, column);
    sp_tensor *a = sp_full(t, 0, column);

    a = sp_sigmoid(t, sp_add(t, sp_matmul(t, waa, a), sp_matmul(t, wax, x)));
    sp_tensor *scores = sp_matmul(t, way, a);
    sp_tensor *p = sp_softmax(t, sp_reshape(t, scores, SP_SHAPE(4)));

    printf("One step on \"h\":     h     e     l     o\n");
    show("state", a);
    show("scores", scores);
    show("softmax", p);
    bool ok = sp_ok(t);
    if (!ok)
        fprintf(stderr, "hello: %s\n", sp_error(t));
    sp_tape_free(t);
    return ok;
}

/* "hell" in, "ello" out: after each prefix the next letter. */
struct model {
    sp_embed embed;
    sp_cell cell;
    sp_linear out;
};

static sp_tensor *logits(sp_tape *t, const struct model *m)
{
    const int x[] = { 0, 1, 2, 2 };
    sp_tensor *xs = sp_reshape(t, sp_embed_on(t, &m->embed, x, 4), SP_SHAPE(4, 1, 4));
    return sp_linear_on(t, &m->out, sp_reshape(t, sp_unroll(t, &m->cell, xs, NULL), SP_SHAPE(4, 8)));
}

static int likeliest(const sp_real *row)
{
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

static bool learn(void)
{
    const int y[] = { 1, 2, 2, 3 };
    sp_real score[16];
    sp_status status = { 0 };
    sp_store *s = sp_store_new(1);
    struct model m = { sp_embed_make(s, "embed", 4, 4), sp_rnn_make(s, "rnn", 0, 4, 8), sp_linear_make(s, "out", 8, 4) };
    sp_tape *t = sp_tape_new(s);
    sp_optimizer *adam = sp_optimizer_new(s, "adam", 0.02, &status);

    printf("\nLearning \"hello\":\n");
    bool done = false;
    for (int step = 0; adam && sp_ok(t) && !done; step++) {
        sp_tape_reset(t);
        sp_tensor *scores = logits(t, &m);
        sp_tensor *loss = sp_cross_entropy_mean(t, scores, y, SP_IGNORE);
        sp_backward(t, loss);
        sp_step(adam, t);
        done = sp_read(scores, score);
        for (int i = 0; i < 4; i++)
            done = done && likeliest(score + 4 * i) == y[i];
        if (step % 4 == 0 || done)
            printf("step %2d  loss %.3f\n", step, sp_item(loss));
    }
    for (int i = 0; done && i < 4; i++)
        printf("%-4.*s -> %c\n", i + 1, "hell", letters[likeliest(score + 4 * i)]);
    if (!done)
        fprintf(stderr, "hello: %s\n", adam ? sp_error(t) : status.message);
    sp_optimizer_free(adam);
    sp_tape_free(t);
    sp_store_free(s);
    return done;
}

int main(void)
{
    return worked_example() && learn() ? EXIT_SUCCESS : EXIT_FAILURE;
}
