/* Equations and sources stand in nn/attention.h. A kind is how parameters are declared and what keys and queries are made
   of; ops/attend.c does the rest:
                     key of m           query of q
       dot           m                  q
       scaled-dot    m / sqrt(memory)   q
       general       W m                q
       additive      U m + b            W q */
#include "nn/attention.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/init.h"
#include "nn/seq_inside.h"
#include "ops/ops.h"

/* ---- kinds ----------------------------------------------------------------------------------------------------- */

static sp_param *uniform(sp_store *s, sp_shape shape, long in, const char *name, const char *which)
{
    sp_param *p = sp_store_add(s, shape, "%s.%s", name, which);
    const double bound = 1 / sqrt((double)in);
    sp_init_uniform(p, -bound, bound);
    return p;
}

static void make_dot(sp_store *s, sp_attention *a, const char *name)
{
    a->units = a->query;
    if (a->query != a->memory)
        sp_store_fail(s, SP_ERR_VALUE, "%s: attention '%s' of a query %ld wide on a memory %ld wide: they must be equal", name,
                      a->kind, a->query, a->memory);
}

static void make_general(sp_store *s, sp_attention *a, const char *name)
{
    a->units = a->query;
    a->memory_map.weight = uniform(s, SP_SHAPE(a->query, a->memory), a->memory, name, "memory.weight");
}

static void make_additive(sp_store *s, sp_attention *a, const char *name)
{
    if (a->units < 1) {
        sp_store_fail(s, SP_ERR_VALUE, "%s: attention '%s' of %ld units", name, a->kind, a->units);
        return;
    }
    a->query_map.weight = uniform(s, SP_SHAPE(a->units, a->query), a->query, name, "query.weight");
    a->memory_map.weight = uniform(s, SP_SHAPE(a->units, a->memory), a->memory, name, "memory.weight");
    a->memory_map.bias = uniform(s, SP_SHAPE(a->units), a->memory, name, "memory.bias");
    a->score = uniform(s, SP_SHAPE(a->units), a->units, name, "score");
}

static void make_coverage(sp_store *s, sp_attention *a, const char *name)
{
    make_additive(s, a, name);
    if (sp_store_ok(s))
        a->coverage = uniform(s, SP_SHAPE(a->units), a->units, name, "coverage");
}

static sp_tensor *key_itself(sp_tape *t, const sp_attention *a, sp_tensor *rows)
{
    (void)t, (void)a;
    return rows;
}

static sp_tensor *key_scaled(sp_tape *t, const sp_attention *a, sp_tensor *rows)
{
    return sp_scale(t, rows, 1 / sqrt((double)a->memory));
}

static sp_tensor *key_mapped(sp_tape *t, const sp_attention *a, sp_tensor *rows)
{
    return sp_linear_on(t, &a->memory_map, rows);
}

static const struct kind {
    const char *name;
    void (*make)(sp_store *s, sp_attention *a, const char *name);
    sp_tensor *(*key)(sp_tape *t, const sp_attention *a, sp_tensor *rows);      /* [rows,memory] -> [rows,units] */
} kinds[] = {
    { "dot",        make_dot,      key_itself },
    { "scaled-dot", make_dot,      key_scaled },
    { "general",    make_general,  key_mapped },
    { "additive",   make_additive, key_mapped },
    { "coverage",   make_coverage, key_mapped },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(const char *name)
{
    for (int i = 0; name && i < KINDS; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

const char *sp_attention_kind(int index)
{
    return index >= 0 && index < KINDS ? kinds[index].name : NULL;
}

sp_attention sp_attention_make(sp_store *s, const char *kind, const char *name, long query, long memory, long units)
{
    const struct kind *k = kind_of(kind);
    char known[128] = "";
    if (!name)
        return sp_store_fail(s, SP_ERR_VALUE, "attention: no name"), (sp_attention){ 0 };
    for (int i = 0; !k && i < KINDS; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", kinds[i].name);
    if (!k)
        sp_store_fail(s, SP_ERR_VALUE, "%s: attention '%s' is none of:%s", name, kind ? kind : "NULL", known);
    else if (query < 1 || memory < 1)
        sp_store_fail(s, SP_ERR_VALUE, "%s: attention of a query %ld wide on a memory %ld wide", name, query, memory);
    if (!k || !sp_store_ok(s))
        return (sp_attention){ 0 };
    sp_attention a = { .kind = k->name, .query = query, .memory = memory, .units = units };
    k->make(s, &a, name);
    return sp_store_ok(s) ? a : (sp_attention){ 0 };
}

/* ---- memories -------------------------------------------------------------------------------------------------- */

static sp_memory no_memory(sp_tensor *poison)
{
    return (sp_memory){ poison, poison, poison };
}

/* Was it made? The tape has the error if not. */
static const struct kind *made(sp_tape *t, const sp_attention *a)
{
    const struct kind *k = a ? kind_of(a->kind) : NULL;
    if (!k)
        sp_tape_fail(t, SP_ERR_VALUE, "attention: it is NULL, or was not made");
    return k;
}

sp_memory sp_memory_of(sp_tape *t, const sp_attention *a, sp_seq encoded)
{
    char text[SP_SHAPE_TEXT];
    const struct kind *k = made(t, a);
    const sp_shape rows = sp_shape_get(encoded.rows);
    if (!k)
        return no_memory(sp_tape_fail(t, SP_ERR_STATE, "attention: failed"));
    if (!sp_sound(encoded.rows) || !encoded.layout)
        return no_memory(sp_tape_fail(t, SP_ERR_VALUE, "attention: no memory"));
    if (rows.rank != 2 || rows.dim[0] != encoded.layout->rows || rows.dim[1] != a->memory)
        return no_memory(sp_tape_fail(t, SP_ERR_SHAPE, "attention: a memory of %s, not [%ld,%ld]", sp_shape_format(text, rows),
                                      encoded.layout->rows, a->memory));
    sp_memory m = { .values = sp_seq_padded(t, encoded), .mask = sp_seq_mask(t, encoded.layout) };
    sp_tensor *keys = k->key(t, a, encoded.rows);
    m.keys = keys == encoded.rows ? m.values : sp_seq_padded(t, sp_seq_like(encoded, keys));
    return m;
}

sp_memory sp_memory_sorted(sp_tape *t, const sp_memory *m, const sp_layout *layout)
{
    if (!m)
        return no_memory(sp_tape_fail(t, SP_ERR_VALUE, "attention: no memory"));
    sp_memory s = { .values = sp_seq_sorted(t, layout, m->values), .mask = sp_seq_sorted(t, layout, m->mask) };
    s.keys = m->keys == m->values ? s.values : sp_seq_sorted(t, layout, m->keys);
    return s;
}

static sp_tensor *rows_of(sp_tape *t, sp_tensor *x, const int *row, long n)
{
    sp_shape s = sp_shape_get(x);
    if (!sp_sound(x) || s.rank < 2)
        return sp_tape_fail(t, SP_ERR_VALUE, "attention: no memory");
    const long width = s.dim[0] ? sp_shape_size(s) / s.dim[0] : 0;
    sp_tensor *rows = sp_embedding(t, sp_reshape(t, x, SP_SHAPE(s.dim[0], width)), row, n);
    s.dim[0] = n;
    return sp_reshape(t, rows, s);
}

sp_memory sp_memory_rows(sp_tape *t, const sp_memory *m, const int *row, long n)
{
    if (!m)
        return no_memory(sp_tape_fail(t, SP_ERR_VALUE, "attention: no memory"));
    sp_memory s = { .values = rows_of(t, m->values, row, n), .mask = rows_of(t, m->mask, row, n) };
    s.keys = m->keys == m->values ? s.values : rows_of(t, m->keys, row, n);
    return s;
}

/* What a call gives that fails; the tape has the error, or gets one. */
static sp_tensor *failed(sp_tape *t, sp_tensor **weights)
{
    sp_tensor *poison = sp_tape_fail(t, SP_ERR_STATE, "attention: failed");
    if (weights)
        *weights = poison;
    return poison;
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

static bool check(sp_tape *t, const sp_attention *a, const sp_memory *m, const sp_tensor *query)
{
    char q[SP_SHAPE_TEXT], k[SP_SHAPE_TEXT], v[SP_SHAPE_TEXT], seen[SP_SHAPE_TEXT];
    if (!made(t, a))
        return false;
    const char *missing = !m ? "memory" : !sp_sound(query) ? "query" : !sp_sound(m->keys) ? "keys in the memory"
                        : !sp_sound(m->values) ? "values in the memory" : !sp_sound(m->mask) ? "mask in the memory" : NULL;
    if (missing)
        return sp_tape_fail(t, SP_ERR_VALUE, "attention: no %s", missing), false;
    const sp_shape keys = sp_shape_get(m->keys), values = sp_shape_get(m->values), shape = sp_shape_get(query);
    const sp_shape mask = sp_shape_get(m->mask);
    if (shape.rank == 2 && shape.dim[1] == a->query && keys.rank == 3 && keys.dim[2] == a->units
        && values.rank == 3 && values.dim[2] == a->memory
        && sp_shape_equal(mask, SP_SHAPE(keys.dim[0], keys.dim[1])))
        return true;
    sp_tape_fail(t, SP_ERR_SHAPE, "attention '%s' of a query %ld wide on a memory %ld wide with keys %ld wide: "
                 "the query is %s, the memory %s, its keys %s, its mask %s", a->kind, a->query, a->memory, a->units, sp_shape_format(q, shape),
                 sp_shape_format(v, values), sp_shape_format(k, keys), sp_shape_format(seen, mask));
    return false;
}

/* The coverage is [B,S]; only its own kind must have one. */
static bool check_coverage(sp_tape *t, const sp_attention *a, const sp_memory *m, const sp_tensor *query, sp_tensor **coverage)
{
    char text[SP_SHAPE_TEXT];
    const sp_shape want = SP_SHAPE(sp_dim(query, 0), sp_dim(m->mask, 1));
    if (!coverage && !a->coverage)
        return true;
    if (!coverage || !sp_sound(*coverage))
        sp_tape_fail(t, SP_ERR_VALUE, "attention '%s': no coverage; see sp_attention_on", a->kind);
    else if (!sp_shape_equal(sp_shape_get(*coverage), want))
        sp_tape_fail(t, SP_ERR_SHAPE, "attention '%s': the coverage is %s, not [%ld,%ld]", a->kind,
                     sp_shape_format(text, sp_shape_get(*coverage)), want.dim[0], want.dim[1]);
    return sp_ok(t);
}

static sp_tensor *query_of(sp_tape *t, const sp_attention *a, sp_tensor *query)
{
    return a->query_map.weight ? sp_linear_on(t, &a->query_map, query) : query;
}

sp_tensor *sp_attention_on(sp_tape *t, const sp_attention *a, const sp_memory *m, sp_tensor *query, sp_tensor **coverage,
                           sp_tensor **weights)
{
    if (!check(t, a, m, query) || !check_coverage(t, a, m, query, coverage))
        return failed(t, weights);
    sp_tensor *keys = sp_seq_rows(t, m->keys, query), *mask = sp_seq_rows(t, m->mask, query);
    sp_tensor *values = m->values == m->keys ? keys : sp_seq_rows(t, m->values, query);
    sp_tensor *y = sp_attend(t, query_of(t, a, query), keys, values, mask, a->score ? sp_param_on(t, a->score) : NULL,
                             a->coverage ? *coverage : NULL, a->coverage ? sp_param_on(t, a->coverage) : NULL);
    sp_tensor *now = sp_slice(t, y, 1, a->memory, sp_dim(y, 1));
    if (coverage)
        *coverage = sp_add(t, *coverage, now);
    if (weights)
        *weights = now;
    return sp_slice(t, y, 1, 0, a->memory);
}

/* The contexts [B,T,memory] for queries [B,T,units], and the weights [B,T,S]: large products where scores are products. */
static sp_tensor *attend_all(sp_tape *t, const sp_attention *a, const sp_memory *m, sp_tensor *query, sp_tensor **weights)
{
    const long batch = sp_dim(m->mask, 0), places = sp_dim(m->mask, 1);
    if (a->score) {
        sp_tensor *y = sp_attend(t, query, m->keys, m->values, m->mask, sp_param_on(t, a->score), NULL, NULL);
        *weights = sp_slice(t, y, 2, a->memory, a->memory + places);
        return sp_slice(t, y, 2, 0, a->memory);
    }
    sp_tensor *scores = sp_matmul(t, query, sp_transpose(t, m->keys, 1, 2));
    *weights = sp_masked_softmax(t, scores, sp_reshape(t, m->mask, SP_SHAPE(batch, 1, places)));
    return sp_matmul(t, *weights, m->values);
}

sp_seq sp_attention_on_seq(sp_tape *t, const sp_attention *a, const sp_memory *m, sp_seq queries, sp_tensor **weights)
{
    sp_tensor *all;
    if (!sp_seq_check(t, "attention", queries) || !check(t, a, m, queries.rows))
        return sp_seq_like(queries, failed(t, weights));
    if (a->coverage)
        sp_tape_fail(t, SP_ERR_VALUE, "attention '%s': its queries come one after the other", a->kind);
    else if (queries.layout->batch != sp_dim(m->mask, 0))
        sp_tape_fail(t, SP_ERR_SHAPE, "attention: queries of %ld sequences, a memory of %ld", queries.layout->batch,
                     sp_dim(m->mask, 0));
    if (!sp_ok(t))
        return sp_seq_like(queries, failed(t, weights));
    sp_tensor *query = sp_seq_padded(t, sp_seq_like(queries, query_of(t, a, queries.rows)));
    sp_tensor *contexts = attend_all(t, a, m, query, &all);
    if (weights)
        *weights = sp_seq_of_padded(t, queries.layout, all).rows;
    return sp_seq_like(queries, sp_seq_of_padded(t, queries.layout, contexts).rows);
}

sp_tensor *sp_coverage_loss(sp_tape *t, sp_tensor *weights, sp_tensor *coverage)
{
    sp_tensor *least = sp_neg(t, sp_maximum(t, sp_neg(t, weights), sp_neg(t, coverage)));       /* min(a, c) */
    return sp_sum(t, least, -1);
}
