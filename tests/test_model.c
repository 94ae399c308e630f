/* A model of PyTorch's: its state dict by name, and what it gives. */
#include "nn/batch_norm.h"
#include "nn/embed.h"
#include "nn/stack.h"
#include "tests/golden.h"
#include "tests/suite.h"

enum { WORDS = 7, WIDTH = 3, HIDDEN = 2, TAGS = 4, LENGTH = 5, BATCH = 3 };

static struct tagger {
    sp_store *store;
    sp_embed embed;
    sp_stack rnn;
    sp_batch_norm_layer norm;
    sp_linear head;
} tagger;

static void load(struct golden *g)
{
    sp_store *s = tagger.store = sp_store_new(1);
    tagger.embed = sp_embed_make(s, "embed", WORDS, WIDTH);
    tagger.rnn = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = "lstm", .in = WIDTH, .hidden = HIDDEN, .layers = 2,
                                                             .bidirectional = true });
    tagger.norm = sp_batch_norm_make(s, "norm", 2 * HIDDEN);
    tagger.head = sp_linear_make(s, "head", 2 * HIDDEN, TAGS);
    golden_load(g, s);
    ck_assert(*sp_param_read(tagger.norm.num_batches_tracked) == 3);
}

/* Files come in the order of their names. */
static void run(struct golden *g)
{
    sp_tape *t = sp_tape_new(tagger.store);
    sp_tape_set_training(t, false);
    sp_tensor *x = sp_embed_on(t, &tagger.embed, golden_ids(g, "ids"), LENGTH * BATCH);
    sp_tensor *h = sp_stack_on(t, &tagger.rnn, sp_reshape(t, x, SP_SHAPE(LENGTH, BATCH, WIDTH)), NULL);
    h = sp_batch_norm_on(t, &tagger.norm, sp_reshape(t, h, SP_SHAPE(LENGTH * BATCH, 2 * HIDDEN)));
    golden_same(g, "y", sp_linear_on(t, &tagger.head, h));
    ck_tape_ok(t);
    sp_tape_free(t);
    sp_store_free(tagger.store);
}

START_TEST(state_dict)
{
    golden_each("model", (const struct golden_reader[]){ { "state dict", load }, { "run", run }, { 0 } });
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("model");
    TCase *c = tcase_create("model");
    tcase_add_test(c, state_dict);
    suite_add_tcase(all, c);
    return all;
}
