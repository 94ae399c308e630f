/* Equations and the source stand in nn/multihead.h. */
#include "nn/multihead.h"

#include <limits.h>
#include <math.h>

#include "autograd/op.h"
#include "nn/init.h"
#include "ops/ops.h"

static sp_param *xavier(sp_store *s, const char *name, const char *which, long out, long in)
{
    sp_param *p = sp_store_add(s, SP_SHAPE(out, in), "%s.%s", name, which);
    sp_init_xavier(p, 1);
    return p;
}

sp_multihead sp_multihead_make_of(sp_store *s, const char *name, long embed, long kdim, long vdim, int heads, double dropout)
{
    sp_multihead m = { .embed = embed, .kdim = kdim, .vdim = vdim, .heads = heads, .dropout = dropout };
    if (!name)
        sp_store_fail(s, SP_ERR_VALUE, "multihead: no name");
    else if (embed < 1 || heads < 1 || embed % heads)
        sp_store_fail(s, SP_ERR_VALUE, "%s: %d heads do not divide an embedding %ld wide", name, heads, embed);
    else if (embed > LONG_MAX / 3)
        sp_store_fail(s, SP_ERR_VALUE, "%s: an embedding %ld wide", name, embed);
    else if (kdim < 1 || vdim < 1)
        sp_store_fail(s, SP_ERR_VALUE, "%s: keys %ld wide, values %ld wide", name, kdim, vdim);
    else if (!(dropout >= 0 && dropout < 1))
        sp_store_fail(s, SP_ERR_VALUE, "%s: dropout %g, not in 0 <= p < 1", name, dropout);
    if (!sp_store_ok(s))
        return (sp_multihead){ 0 };
    if (kdim == embed && vdim == embed) {
        m.in_weight = xavier(s, name, "in_proj_weight", 3 * embed, embed);
    } else {
        m.q_weight = xavier(s, name, "q_proj_weight", embed, embed);
        m.k_weight = xavier(s, name, "k_proj_weight", embed, kdim);
        m.v_weight = xavier(s, name, "v_proj_weight", embed, vdim);
    }
    m.in_bias = sp_store_add(s, SP_SHAPE(3 * embed), "%s.in_proj_bias", name);
    sp_param *weight = sp_store_add(s, SP_SHAPE(embed, embed), "%s.out_proj.weight", name);
    sp_init_uniform(weight, -1 / sqrt((double)embed), 1 / sqrt((double)embed));
    m.out = (sp_linear){ weight, sp_store_add(s, SP_SHAPE(embed), "%s.out_proj.bias", name) };
    return sp_store_ok(s) ? m : (sp_multihead){ 0 };
}

sp_multihead sp_multihead_make(sp_store *s, const char *name, long embed, int heads, double dropout)
{
    return sp_multihead_make_of(s, name, embed, embed, embed, heads, dropout);
}

/* ---------------------------------------------------------------------------------------------------------------- */

/* Parts from .. to of the three of q, k, v: x [B,n,width] -> [B,n,(to - from) embed] */
static sp_tensor *project(sp_tape *t, const sp_multihead *m, sp_tensor *x, int from, int to)
{
    const sp_param *own[] = { m->q_weight, m->k_weight, m->v_weight };
    sp_tensor *w = m->in_weight ? sp_slice(t, sp_param_on(t, m->in_weight), 0, from * m->embed, to * m->embed)
                                : sp_param_on(t, own[from]);
    sp_tensor *b = sp_slice(t, sp_param_on(t, m->in_bias), 0, from * m->embed, to * m->embed);
    return sp_affine(t, x, sp_transpose(t, w, 0, 1), b);
}

/* [B,n,embed] -> [B,heads,n,d] */
static sp_tensor *heads_of(sp_tape *t, const sp_multihead *m, sp_tensor *x)
{
    return sp_transpose(t, sp_reshape(t, x, SP_SHAPE(sp_dim(x, 0), sp_dim(x, 1), m->heads, m->embed / m->heads)), 1, 2);
}

/* 1 where key j <= query i, [L,S] */
static sp_tensor *causal_mask(sp_tape *t, long queries, long keys)
{
    sp_tensor *mask = sp_full(t, 1, SP_SHAPE(queries, keys));
    for (long i = 0; sp_sound(mask) && i < queries; i++)
        for (long j = i + 1; j < keys; j++)
            mask->view.data[i * keys + j] = 0;
    return mask;
}

/* What may be seen, to be broadcast to [B,heads,L,S]; NULL: all. */
static sp_tensor *combined_mask(sp_tape *t, sp_tensor *mask, bool causal, long queries, long keys)
{
    if (mask)
        mask = sp_shape_get(mask).rank == 2 ? sp_reshape(t, mask, SP_SHAPE(sp_dim(mask, 0), 1, 1, keys))
                                            : sp_reshape(t, mask, SP_SHAPE(sp_dim(mask, 0), 1, queries, keys));
    if (!causal || queries < 1 || (!mask && keys < 2))
        return mask;
    sp_tensor *past = causal_mask(t, queries, keys);
    return mask ? sp_where(t, past, mask, sp_full(t, 0, SP_SCALAR)) : past;
}

/* softmax(q k') of what may be seen */
static sp_tensor *weigh(sp_tape *t, sp_tensor *q, sp_tensor *k, sp_tensor *mask)
{
    sp_tensor *scores = sp_matmul(t, q, sp_transpose(t, k, 2, 3));
    return mask ? sp_masked_softmax(t, scores, mask) : sp_softmax(t, scores);
}

static bool check(sp_tape *t, const sp_multihead *m, const sp_tensor *query, const sp_tensor *key, const sp_tensor *value,
                  const sp_tensor *mask)
{
    char q_text[SP_SHAPE_TEXT], k_text[SP_SHAPE_TEXT], v_text[SP_SHAPE_TEXT], m_text[SP_SHAPE_TEXT];
    const sp_shape q = sp_shape_get(query), k = sp_shape_get(key), v = sp_shape_get(value), seen = sp_shape_get(mask);
    const char *missing = !sp_sound(query) ? "query" : !sp_sound(key) ? "key" : !sp_sound(value) ? "value"
                        : mask && !sp_sound(mask) ? "mask" : NULL;
    if (!m || !m->out.weight)
        sp_tape_fail(t, SP_ERR_VALUE, "multihead: it is NULL, or was not made");
    else if (missing)
        sp_tape_fail(t, SP_ERR_VALUE, "multihead: no %s", missing);
    else if (q.rank != 3 || k.rank != 3 || v.rank != 3 || q.dim[2] != m->embed || k.dim[2] != m->kdim || v.dim[2] != m->vdim
             || k.dim[0] != v.dim[0] || k.dim[1] != v.dim[1])
        sp_tape_fail(t, SP_ERR_SHAPE, "multihead: query %s, key %s, value %s: needs [B,L,%ld], [B,S,%ld], [B,S,%ld]",
                     sp_shape_format(q_text, q), sp_shape_format(k_text, k), sp_shape_format(v_text, v), m->embed, m->kdim,
                     m->vdim);
    else if (k.dim[0] != q.dim[0] && !(k.dim[0] > q.dim[0] && key->order))
        sp_tape_fail(t, SP_ERR_SHAPE, "multihead: query %s of %ld sequences, key %s of %ld: inside a step, where there are fewer and "
                     "fewer, keys are sorted ones (sp_seq_sorted)", sp_shape_format(q_text, q), q.dim[0], sp_shape_format(k_text, k),
                     k.dim[0]);
    else if (mask && !sp_shape_equal(seen, SP_SHAPE(k.dim[0], k.dim[1]))
             && !sp_shape_equal(seen, SP_SHAPE(k.dim[0], q.dim[1], k.dim[1])))
        sp_tape_fail(t, SP_ERR_SHAPE, "multihead: mask %s for query %s and key %s: needs [B,S] or [B,L,S]",
                     sp_shape_format(m_text, seen), sp_shape_format(q_text, q), sp_shape_format(k_text, k));
    return sp_ok(t);
}

sp_tensor *sp_multihead_on(sp_tape *t, const sp_multihead *m, sp_tensor *query, sp_tensor *key, sp_tensor *value, sp_tensor *mask,
                           bool causal, sp_tensor **weights)
{
    sp_tensor *part[3];
    if (!check(t, m, query, key, value, mask)) {
        sp_tensor *poison = sp_tape_fail(t, SP_ERR_STATE, "multihead: failed");
        if (weights)
            *weights = poison;
        return poison;
    }
    if (m->in_weight && query == key && key == value) {
        sp_split(t, project(t, m, query, 0, 3), 2, 3, part);
    } else if (m->in_weight && key == value) {
        part[0] = project(t, m, query, 0, 1);
        sp_split(t, project(t, m, sp_seq_rows(t, key, query), 1, 3), 2, 2, part + 1);
    } else {
        part[0] = project(t, m, query, 0, 1);
        part[1] = project(t, m, sp_seq_rows(t, key, query), 1, 2);
        part[2] = project(t, m, sp_seq_rows(t, value, query), 2, 3);
    }
    const long batch = sp_dim(query, 0), queries = sp_dim(query, 1), keys = sp_dim(key, 1);
    sp_tensor *q = heads_of(t, m, sp_scale(t, part[0], sqrt((double)m->heads / (double)m->embed)));
    sp_tensor *seen = combined_mask(t, mask ? sp_seq_rows(t, mask, query) : NULL, causal, queries, keys);
    sp_tensor *a = weigh(t, q, heads_of(t, m, part[1]), seen);
    if (weights)
        *weights = a;
    sp_tensor *y = sp_matmul(t, sp_dropout(t, a, m->dropout), heads_of(t, m, part[2]));
    return sp_linear_on(t, &m->out, sp_reshape(t, sp_transpose(t, y, 1, 2), SP_SHAPE(batch, queries, m->embed)));
}

sp_seq sp_multihead_on_seq(sp_tape *t, const sp_multihead *m, sp_seq query, sp_seq memory, bool causal, sp_tensor **weights)
{
    sp_tensor *q = sp_seq_padded(t, query), *kv = q;
    if (memory.rows != query.rows || memory.layout != query.layout)
        kv = sp_seq_padded(t, memory);
    if (sp_ok(t) && query.layout->batch != memory.layout->batch)
        sp_tape_fail(t, SP_ERR_SHAPE, "multihead: queries of %ld sequences, a memory of %ld", query.layout->batch,
                     memory.layout->batch);
    sp_tensor *mask = sp_seq_mask(t, memory.layout);
    sp_tensor *y = sp_multihead_on(t, m, q, kv, kv, mask, causal, weights);
    return sp_seq_of_padded(t, query.layout, y);
}
