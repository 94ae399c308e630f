#include "zoo/tagger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/init.h"
#include "zoo/tagger_inside.h"
#include "zoo/vectors.h"

static const char kind[] = "spindle.tagger 1";  /* the version of the file; a change that old models do not survive raises it */

/* What a file has, beside what the options say. */
#define FILE_ROWS(config, scheme) \
    SP_TAGGER_OPTIONS(config), { "scheme", SP_OPTION_INDEX, scheme, .argument = SP_TAG_SCHEMES }

sp_tagger_config sp_tagger_defaults(void)
{
    return (sp_tagger_config){ .embed = 100, .least = 2, .vectors = 100000, .letters = SP_TAGGER_LETTERS_RECURRENT,
                               .letter_embed = 25, .letter_hidden = 50, .cell = "lstm", .hidden = 200, .layers = 1,
                               .dropout = 0.4, .word_dropout = 0.05 };
}

/* ---- the model ------------------------------------------------------------------------------------------------- */

/* Have the vocabularies what they must? */
static bool check(const sp_tagger *m, sp_store *s)
{
    if (sp_vocabulary_size(m->tags) < 1 || sp_vocabulary_id(m->tags, "", 0) >= 0)
        return sp_store_fail(s, SP_ERR_VALUE, "tagger: %d tags, not 1 or more, or <unk> among them",
                             sp_vocabulary_size(m->tags));
    if (m->letters && sp_vocabulary_id(m->letters, SP_TAGGER_EDGE, strlen(SP_TAGGER_EDGE)) <= SP_UNKNOWN)
        return sp_store_fail(s, SP_ERR_VALUE, "tagger: the letters have no %s", SP_TAGGER_EDGE);
    return true;
}

/* Uniform in +-sqrt(3 / width): a variance of 1 / width. */
static sp_embed embed_make(sp_store *s, const char *name, const sp_vocabulary *v, long width)
{
    const sp_embed e = sp_embed_make(s, name, sp_vocabulary_size(v), width);
    const double a = sqrt(3 / (double)width);
    if (e.weight)
        sp_init_uniform(sp_store_at(s, e.weight->index), -a, a);
    return e;
}

/* Declares what reads the letters of a word; how wide its result is. */
static long make_letters(sp_tagger *m, sp_store *s)
{
    const sp_tagger_config *c = &m->config;
    if (!m->letters)
        return 0;
    m->letter_embed = embed_make(s, "letters", m->letters, c->letter_embed);
    if (c->letters == SP_TAGGER_LETTERS_CONV) {
        m->letter_filters = sp_linear_make(s, "letter_filters", 3 * c->letter_embed, c->letter_hidden);
        return c->letter_hidden;
    }
    m->letter_stack = sp_stack_make(s, "letter_rnn", &(sp_stack_config){ .cell = c->cell, .in = c->letter_embed,
                                    .hidden = c->letter_hidden, .layers = 1, .bidirectional = true });
    return sp_stack_out(&m->letter_stack);
}

static void forbid(const sp_tagger *m)
{
    const int n = sp_vocabulary_size(m->tags);
    size_t length;
    for (int i = SP_CRF_START; i < n; i++)
        for (int j = 0; j <= n; j++) {
            const char *from = i < 0 ? NULL : sp_vocabulary_symbol(m->tags, i, &length);
            const char *to = j == n ? NULL : sp_vocabulary_symbol(m->tags, j, &length);
            if ((from || to) && !sp_tag_may_follow(m->scheme, from, to))
                sp_crf_forbid(&m->crf, i, j == n ? SP_CRF_END : j);
        }
}

/* Declares the parameters in a store, which it takes over, as it does the rest of m even if this fails. */
static sp_tagger *make(sp_tagger *m, sp_store *s, sp_status *status)
{
    const sp_tagger_config *c = &m->config;
    m->store = s;
    m->found = -1;
    if (s && check(m, s)) {
        m->word_embed = embed_make(s, "words", m->words, c->embed);
        const long letters = make_letters(m, s), tags = sp_vocabulary_size(m->tags);
        m->stack = sp_stack_make(s, "rnn", &(sp_stack_config){ .cell = c->cell, .in = c->embed + letters, .hidden = c->hidden,
            .layers = (int)c->layers, .bidirectional = true, .dropout = c->dropout, .variational = true });
        m->out = sp_linear_make(s, "out", sp_stack_out(&m->stack), tags);
        if (c->crf) {
            m->crf = sp_crf_make(s, "crf", tags);
            if (sp_store_ok(s))
                forbid(m);
        }
    }
    if (sp_store_ok(s)) {
        m->config.cell = sp_cell_kind_named(c->cell);           /* the caller's text may be gone later */
        return m;
    }
    sp_fail_with(status, sp_store_status(s));
    sp_tagger_free(m);
    return NULL;
}

static long at_least_1(long x)
{
    return x > 1 ? x : 1;
}

/* What says nothing becomes what an option may be, for a file. */
static sp_tagger_config settled(sp_tagger_config c)
{
    c.least = at_least_1(c.least);
    c.vectors = c.vectors > 0 ? c.vectors : 0;
    if (c.letters == SP_TAGGER_LETTERS_NONE) {
        c.letter_embed = at_least_1(c.letter_embed);
        c.letter_hidden = at_least_1(c.letter_hidden);
    }
    return c;
}

/* The words of the sentences that are frequent enough, and the first ones of a file of vectors. */
static sp_vocabulary *words_of(const sp_tagger_config *config, const sp_sentences *train, const char *vectors, sp_status *status)
{
    const sp_vocabulary_rule rule = { .level = SP_LEVEL_WORD, .least = config->least, .lower = true };
    sp_counts *c = sp_counts_new(status);
    bool ok = c && sp_counts_add_field(c, train, 0, status);
    if (ok && vectors)
        ok = sp_vectors_count(c, vectors, config->vectors, config->least, status);
    sp_vocabulary *v = ok ? sp_vocabulary_new(c, &rule, status) : NULL;
    sp_counts_free(c);
    return v;
}

sp_tagger *sp_tagger_new(const sp_tagger_config *config, const sp_sentences *train, const char *vectors, uint64_t seed,
                         sp_status *status)
{
    static const char *const special[] = { SP_TAGGER_EDGE, NULL };
    if (!config || !train || train->fields < 2 || !train->n) {
        sp_fail(status, SP_ERR_VALUE, "tagger: no %s", config ? "sentences with tags to learn from" : "configuration");
        return NULL;
    }
    sp_tagger_config c = settled(*config);
    if (!sp_options_check((const sp_option[]){ SP_TAGGER_OPTIONS(&c), { 0 } }, status) || !sp_tagger_aligned(train, status))
        return NULL;
    const sp_vocabulary_rule letters = { .level = SP_LEVEL_CHAR, .least = c.least, .special = special };
    const sp_vocabulary_rule tags = { .level = SP_LEVEL_WORD, .closed = true };
    sp_tagger *m = calloc(1, sizeof *m);
    bool ok = m || sp_fail(status, SP_ERR_MEMORY, "tagger: out of memory");
    if (ok) {
        *m = (sp_tagger){ .config = c, .scheme = sp_tags_scheme(train) };
        ok = (m->words = words_of(&c, train, vectors, status)) && (m->tags = sp_vocabulary_of_field(train, 1, &tags, status))
             && (!c.letters || (m->letters = sp_vocabulary_of_letters(train, 0, &letters, status)));
    }
    if (!ok) {
        sp_tagger_free(m);
        return NULL;
    }
    m = make(m, sp_store_new(seed), status);
    if (m && vectors && (m->found = sp_vectors_read(&m->word_embed, m->words, vectors, status)) < 0) {
        sp_tagger_free(m);
        return NULL;
    }
    return m;
}

void sp_tagger_free(sp_tagger *m)
{
    if (m) {
        sp_store_free(m->store);
        sp_vocabulary_free(m->words);
        sp_vocabulary_free(m->letters);
        sp_vocabulary_free(m->tags);
        free(m);
    }
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

bool sp_tagger_save(const sp_tagger *m, const char *path, sp_status *status)
{
    sp_tagger_config config = m->config;
    sp_tag_scheme scheme = m->scheme;
    const sp_option rows[] = { FILE_ROWS(&config, &scheme), { 0 } };
    char *words = sp_vocabulary_write(m->words), *tags = sp_vocabulary_write(m->tags);
    char *letters = m->letters ? sp_vocabulary_write(m->letters) : NULL;
    const sp_metadata parts[] = { { "words", words }, { "tags", tags }, { "alphabet", letters } };
    const bool ok = words && tags && (letters || !m->letters) ? sp_model_save(m->store, kind, rows, 3, parts, path, status)
                    : sp_fail(status, SP_ERR_MEMORY, "%s: out of memory for the vocabularies", path);
    free(words);
    free(tags);
    free(letters);
    return ok;
}

sp_tagger *sp_tagger_load(const char *path, sp_status *status)
{
    sp_status inner = { 0 };
    sp_tagger *m = calloc(1, sizeof *m);
    if (!m) {
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", path);
        return NULL;
    }
    const sp_option rows[] = { FILE_ROWS(&m->config, &m->scheme), { 0 } };
    sp_safetensors *f = sp_model_open(path, kind, rows, status);
    bool ok = f && (m->words = sp_model_vocabulary(f, "words", status)) && (m->tags = sp_model_vocabulary(f, "tags", status))
              && (!m->config.letters || (m->letters = sp_model_vocabulary(f, "alphabet", status)));
    if (ok) {
        m = make(m, sp_model_store(f, &inner), &inner);
        if (!(ok = m))
            sp_model_refuse(f, &inner, status);
    }
    ok = ok && sp_model_read(m->store, f, status);
    sp_safetensors_free(f);
    if (ok)
        return m;
    sp_tagger_free(m);
    return NULL;
}
