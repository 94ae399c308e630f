#include "autograd/op.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/arena.h"
#include "autograd/blas.h"

/* A parameter as a tensor; one for each, for as long as the tape lives. */
struct leaf {
    sp_tensor tensor;
    struct sp_buffer buffer;
};

struct bookmark {
    struct bookmark *older;
    uint64_t serial;
    sp_arena_mark arena;
    struct sp_node *last;
    struct sp_scope *scope;
    long nodes, depth;
    uint64_t draws;
    uint32_t time;
    bool timed, swept;
};

struct sp_tape {
    sp_arena arena;
    sp_store *store;
    struct leaf *leaf;          /* [sp_store_count] */
    sp_real *gradients;         /* [sp_store_size], once a backward sweep asked for them */
    struct sp_node *last;
    long nodes, tensors;        /* how many so far */
    struct sp_scope *scope;
    long scopes, depth;
    uint64_t place, draws;      /* of the present scope: its hash, and the random operations in it so far */
    uint64_t seed;
    uint32_t step, time;
    bool timed;                 /* the present scope has set its time */
    struct bookmark *bookmark;  /* the newest; only those that can be rewound to are in the list */
    uint64_t serials;           /* marks made so far */
    bool paused, evaluating, swept;
    sp_tensor poison;
    struct sp_buffer nothing;   /* what poison is a view of */
    sp_status status;
};

static const sp_status no_tape = { SP_ERR_MEMORY, "tape: out of memory" };

/* ---- the tape -------------------------------------------------------------------------------------------------- */

static struct leaf *new_leaves(sp_tape *t)
{
    int n = sp_store_count(t->store);
    struct leaf *leaf = calloc((size_t)n + 1, sizeof *leaf);
    for (int i = 0; leaf && i < n; i++) {
        const sp_param *p = sp_store_at(t->store, i);
        leaf[i].buffer = (struct sp_buffer){
            .data = sp_param_values(p), .size = sp_shape_size(p->shape), .wants_grad = true
        };
        leaf[i].tensor = (sp_tensor){
            .tape = t, .view = sp_view_of(sp_param_values(p), p->shape), .buffer = &leaf[i].buffer, .param = p
        };
    }
    return leaf;
}

sp_tape *sp_tape_new(sp_store *store)
{
    sp_tape *t = sp_blas_ready() ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->store = store;
    t->poison = (sp_tensor){ .tape = t, .buffer = &t->nothing };
    t->leaf = new_leaves(t);
    if (!t->leaf) {
        free(t);
        return NULL;
    }
    sp_store_attach(store, 1);
    if (store && !sp_store_ok(store))
        t->status = *sp_store_status(store);
    return t;
}

void sp_tape_free(sp_tape *t)
{
    if (!t)
        return;
    sp_store_attach(t->store, -1);
    sp_arena_free(&t->arena);
    free(t->gradients);
    free(t->leaf);
    free(t);
}

static void forget_scopes(sp_tape *t)
{
    t->scope = NULL;
    t->scopes = t->depth = 0;
    t->place = t->draws = 0;
    t->time = 0;
    t->timed = false;
}

void sp_tape_reset(sp_tape *t)
{
    if (!t)
        return;
    sp_arena_reset(&t->arena);
    t->last = NULL;
    t->nodes = t->tensors = 0;
    forget_scopes(t);
    t->swept = false;
    t->step++;
    t->bookmark = NULL;
}

/* Writes down where the tape is, in the arena itself: a rewind to before it takes it away. */
sp_mark sp_tape_mark(sp_tape *t)
{
    struct bookmark *b = t ? sp_tape_take(t, sizeof *b) : NULL;
    if (!b)
        return (sp_mark){ 0 };
    *b = (struct bookmark){ .older = t->bookmark, .serial = ++t->serials, .arena = sp_arena_here(&t->arena), .last = t->last,
                            .nodes = t->nodes, .depth = t->depth, .scope = t->scope, .draws = t->draws, .time = t->time,
                            .timed = t->timed, .swept = t->swept };
    t->bookmark = b;
    return (sp_mark){ .serial = b->serial };
}

/* The scope that was open at a bookmark, or one that is no longer. */
static bool scope_open(const sp_tape *t, const struct sp_scope *scope)
{
    const struct sp_scope *s = t->scope;
    while (s && s != scope)
        s = s->parent;
    return s == scope;
}

void sp_tape_rewind(sp_tape *t, sp_mark mark)
{
    struct bookmark *b = t ? t->bookmark : NULL;
    while (b && b->serial != mark.serial)
        b = b->older;
    if (!b || !scope_open(t, b->scope)) {
        sp_tape_fail(t, SP_ERR_STATE, "rewind: the mark is older than the last reset or rewind, or its scope was left");
        return;
    }
    if (t->swept != b->swept) {
        sp_tape_fail(t, SP_ERR_STATE, "rewind: backward ran since the mark; reset the tape instead");
        return;
    }
    while (t->depth > b->depth)
        sp_scope_pop(t);
    t->bookmark = b;
    t->draws = b->draws;
    t->time = b->time;
    t->timed = b->timed;
    t->last = b->last;
    t->nodes = b->nodes;
    sp_arena_rewind(&t->arena, b->arena);
}

void sp_tape_set_recording(sp_tape *t, bool on)
{
    if (t)
        t->paused = !on;
}

void sp_tape_set_training(sp_tape *t, bool on)
{
    if (t)
        t->evaluating = !on;
}

bool sp_tape_training(const sp_tape *t)
{
    return t && !t->evaluating;
}

void sp_tape_seed(sp_tape *t, uint64_t seed, uint32_t step)
{
    if (t) {
        t->seed = seed;
        t->step = step;
    }
}

long sp_tape_length(const sp_tape *t)
{
    return t ? t->nodes : 0;
}

size_t sp_tape_bytes(const sp_tape *t)
{
    return t ? t->arena.total : 0;
}

sp_store *sp_tape_store(const sp_tape *t)
{
    return t ? t->store : NULL;
}

const struct sp_node *sp_tape_last(const sp_tape *t)
{
    return t ? t->last : NULL;
}

void *sp_tape_take(sp_tape *t, size_t bytes)
{
    void *p = t ? sp_arena_take(&t->arena, bytes) : NULL;
    if (!p)
        sp_tape_fail(t, SP_ERR_MEMORY, "out of memory for %zu bytes", bytes);
    return p;
}

void *sp_tape_copy(sp_tape *t, const void *data, size_t bytes)
{
    void *p = sp_tape_take(t, bytes);
    return p && bytes ? memcpy(p, data, bytes) : p;
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

bool sp_ok(const sp_tape *t)
{
    return t && t->status.code == SP_OK;
}

const char *sp_error(const sp_tape *t)
{
    return sp_tape_status(t)->message;
}

const sp_status *sp_tape_status(const sp_tape *t)
{
    return t ? &t->status : &no_tape;
}

void sp_tape_clear(sp_tape *t)
{
    if (t)
        t->status = (sp_status){ 0 };
}

/* Writes "encoder.l0: " in front of a message. */
static void scope_path(const struct sp_scope *s, char *text, size_t room)
{
    const struct sp_scope *chain[16];
    int n = 0;
    for (; s && n < 16; s = s->parent)
        chain[n++] = s;
    text[0] = '\0';
    for (size_t at = 0; n-- > 0 && at < room; at = strlen(text))
        snprintf(text + at, room - at, "%s%s", chain[n]->name, n ? "." : ": ");
}

sp_tensor *sp_tape_fail(sp_tape *t, sp_code code, const char *format, ...)
{
    char path[160], message[sizeof t->status.message];
    if (!t)
        return NULL;
    if (sp_ok(t)) {
        va_list args;
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        scope_path(t->scope, path, sizeof path);
        sp_fail(&t->status, code, "%s%s", path, message);
    }
    return &t->poison;
}

bool sp_sound(const sp_tensor *x)
{
    return x && x != &x->tape->poison;
}

/* ---- scopes ---------------------------------------------------------------------------------------------------- */

void sp_scope_push(sp_tape *t, const char *format, ...)
{
    char name[64];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    struct sp_scope *s = t ? sp_tape_take(t, sizeof *s + strlen(name) + 1) : NULL;
    if (!s)
        return;
    *s = (struct sp_scope){ .parent = t->scope, .name = strcpy((char *)(s + 1), name), .id = ++t->scopes };
    s->outer.place = t->place;
    s->outer.draws = t->draws + 1;
    s->outer.time = t->time;
    s->outer.timed = t->timed;
    t->scope = s;
    t->depth++;
    t->place = sp_hash(sp_hash_text(t->place, name), t->draws);
    t->draws = 0;
    t->timed = false;
}

void sp_scope_pop(sp_tape *t)
{
    if (!t || !t->scope)
        return;
    struct sp_scope *s = t->scope;
    t->place = s->outer.place;
    t->draws = s->outer.draws;
    t->time = s->outer.time;
    t->timed = s->outer.timed;
    t->scope = s->parent;
    t->depth--;
}

void sp_scope_time(sp_tape *t, long time)
{
    if (!t)
        return;
    if (!t->timed)                      /* a loop over time inside another's step: that step is part of the place */
        t->place = sp_hash(t->place, t->time);
    t->timed = true;
    t->time = (uint32_t)time;
    t->draws = 0;
}

/* ---- tensors from outside -------------------------------------------------------------------------------------- */

/* A tensor with a buffer of its own, its values not set. */
static sp_tensor *new_tensor(sp_tape *t, sp_shape shape)
{
    struct leaf *n = sp_tape_take(t, sizeof *n);
    long size = sp_shape_size(shape);
    sp_real *data = n ? sp_tape_take(t, (size_t)size * sizeof *data) : NULL;
    if (!data)
        return NULL;
    n->buffer = (struct sp_buffer){ .data = data, .size = size };
    n->tensor = (sp_tensor){ .tape = t, .view = sp_view_of(data, shape), .buffer = &n->buffer,
                             .id = ++t->tensors };
    return &n->tensor;
}

static sp_tensor *new_checked(sp_tape *t, const char *who, sp_shape shape)
{
    char text[SP_SHAPE_TEXT];
    if (!t)
        return NULL;
    if (!sp_ok(t))
        return &t->poison;
    if (sp_shape_size(shape) < 0)
        return sp_tape_fail(t, SP_ERR_SHAPE, "%s: %s is not a shape", who, sp_shape_format(text, shape));
    sp_tensor *x = new_tensor(t, shape);
    return x ? x : &t->poison;
}

sp_tensor *sp_feed(sp_tape *t, const sp_real *data, sp_shape shape)
{
    sp_tensor *x = new_checked(t, "feed", shape);
    if (sp_sound(x) && x->buffer->size) {
        if (!data)
            return sp_tape_fail(t, SP_ERR_VALUE, "feed: no data");
        memcpy(x->view.data, data, (size_t)x->buffer->size * sizeof *data);
    }
    return x;
}

sp_tensor *sp_variable(sp_tape *t, const sp_real *data, sp_shape shape)
{
    sp_tensor *x = sp_feed(t, data, shape);
    if (sp_sound(x))
        x->buffer->wants_grad = true;
    return x;
}

sp_tensor *sp_full(sp_tape *t, sp_real value, sp_shape shape)
{
    sp_tensor *x = new_checked(t, "full", shape);
    if (sp_sound(x))
        for (long i = 0; i < x->buffer->size; i++)
            x->view.data[i] = value;
    return x;
}

sp_tensor *sp_param_on(sp_tape *t, const sp_param *p)
{
    if (!t)
        return NULL;
    if (!p)
        return sp_tape_fail(t, SP_ERR_VALUE, "parameter: NULL (was its layer made?)");
    if (p->store != t->store)
        return sp_tape_fail(t, SP_ERR_VALUE, "parameter '%s' belongs to another store than the tape", p->name);
    return &t->leaf[p->index].tensor;
}

/* ---- reading tensors ------------------------------------------------------------------------------------------- */

sp_shape sp_shape_get(const sp_tensor *x)
{
    return x ? x->view.shape : SP_SCALAR;
}

long sp_dim(const sp_tensor *x, int axis)
{
    sp_shape s = sp_shape_get(x);
    if (axis < 0)
        axis += s.rank;
    return axis >= 0 && axis < s.rank ? s.dim[axis] : 0;
}

sp_real sp_item(const sp_tensor *x)
{
    return sp_sound(x) && sp_shape_size(x->view.shape) == 1 ? *x->view.data : (sp_real)NAN;
}

/* Copies a view row-major into out. */
static void read_view(sp_view v, sp_real *out)
{
    while (v.shape.rank < SP_MAX_RANK) {                /* [a,b] as [1,1,a,b] */
        memmove(v.shape.dim + 1, v.shape.dim, sizeof v.shape.dim - sizeof v.shape.dim[0]);
        memmove(v.stride + 1, v.stride, sizeof v.stride - sizeof v.stride[0]);
        v.shape.dim[0] = 1;
        v.stride[0] = 0;
        v.shape.rank++;
    }
    const long *n = v.shape.dim, *s = v.stride;
    for (long i = 0; i < n[0]; i++)
        for (long j = 0; j < n[1]; j++)
            for (long k = 0; k < n[2]; k++)
                for (long l = 0; l < n[3]; l++)
                    *out++ = v.data[i * s[0] + j * s[1] + k * s[2] + l * s[3]];
}

bool sp_read(const sp_tensor *x, sp_real *out)
{
    if (!sp_sound(x))
        return false;
    read_view(x->view, out);
    return true;
}

bool sp_read_grad(const sp_tensor *x, sp_real *out)
{
    if (!sp_sound(x))
        return false;
    sp_view g = sp_grad_view(x);
    if (g.data)
        read_view(g, out);
    else
        memset(out, 0, (size_t)sp_shape_size(g.shape) * sizeof *out);
    return true;
}

sp_view sp_grad_view(const sp_tensor *x)
{
    sp_view g = x->view;
    const struct sp_buffer *b = x->buffer;
    g.data = b->grad ? b->grad + (x->view.data - b->data) : NULL;
    return g;
}

/* ---- recording ------------------------------------------------------------------------------------------------- */

/* The inputs as views, and whether any wants a gradient. False if one cannot be used. */
static bool gather_inputs(sp_tape *t, const sp_op *op, struct sp_node *n, sp_tensor *const *input, bool *wants_grad)
{
    sp_call *c = &n->call;
    size_t k = (size_t)c->inputs;
    c->x = sp_tape_take(t, k * (2 * sizeof *c->x + sizeof *n->input));
    if (!c->x)
        return false;
    c->dx = c->x + k;
    n->input = (sp_tensor **)(c->dx + k);
    *wants_grad = false;
    for (size_t i = 0; i < k; i++) {
        sp_tensor *x = input[i];
        if (!sp_sound(x) || x->tape != t) {
            sp_tape_fail(t, SP_ERR_VALUE, "%s: input %zu %s", op->name, i + 1,
                         !x ? "is NULL" : x->tape != t ? "belongs to another tape" : "is of a call that failed");
            return false;
        }
        n->input[i] = x;
        c->x[i] = x->view;
        c->dx[i] = x->view;
        c->dx[i].data = NULL;
        *wants_grad |= x->buffer->wants_grad;
    }
    return true;
}

/* The shapes of the output and of what is saved, or an error with the operation's name in front. */
static bool infer_shapes(sp_tape *t, const sp_op *op, sp_call *c)
{
    sp_status s = { 0 };
    char text[SP_SHAPE_TEXT];
    if (!op->infer(c, &s))
        sp_tape_fail(t, s.code, "%s: %s", op->name, s.message);
    else if (sp_shape_size(c->y.shape) < 0 || sp_shape_size(c->saved.shape) < 0)
        sp_tape_fail(t, SP_ERR_SHAPE, "%s: the result %s is too large", op->name, sp_shape_format(text, c->y.shape));
    else
        return true;
    return false;
}

static sp_tensor *new_output(sp_tape *t, const sp_op *op, struct sp_node *n, bool wants_grad)
{
    sp_call *c = &n->call;
    sp_tensor *y;
    if (op->flags & SP_OP_VIEW) {
        y = sp_tape_take(t, sizeof *y);
        if (y)
            *y = (sp_tensor){ .tape = t, .view = c->y, .buffer = n->input[0]->buffer, .id = ++t->tensors };
        return y;
    }
    y = new_tensor(t, c->y.shape);
    if (!y)
        return NULL;
    y->buffer->wants_grad = wants_grad && !t->paused && op->backward;
    c->y = y->view;
    if (c->saved.shape.rank) {
        sp_real *saved = sp_tape_take(t, (size_t)sp_shape_size(c->saved.shape) * sizeof *saved);
        if (!saved)
            return NULL;
        c->saved = sp_view_of(saved, c->saved.shape);
    }
    return y;
}

sp_tensor *sp_record(sp_tape *t, const sp_op *op, int inputs, sp_tensor *const *input, const void *attr, size_t bytes)
{
    bool wants_grad;
    if (!t)
        return NULL;
    if (!sp_ok(t))
        return &t->poison;
    struct sp_node *n = sp_tape_take(t, sizeof *n);
    if (!n)
        return &t->poison;
    *n = (struct sp_node){ .op = op, .scope = t->scope, .call.inputs = inputs };
    if (bytes && !(n->call.attr = sp_tape_copy(t, attr, bytes)))
        return &t->poison;
    if (!gather_inputs(t, op, n, input, &wants_grad) || !infer_shapes(t, op, &n->call))
        return &t->poison;
    sp_tensor *y = new_output(t, op, n, wants_grad);
    if (!y)
        return &t->poison;
    if (op->flags & SP_OP_RANDOM)
        n->call.key = (sp_key){ t->seed, sp_hash(t->place, t->draws++), t->step, t->time };
    if (op->forward)
        op->forward(&n->call);
    if (!t->paused) {
        n->output = y;
        y->node = n;
        n->previous = t->last;
        t->last = n;
        t->nodes++;
    }
    return y;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

sp_real *sp_gradients(sp_tape *t)
{
    if (!t || t->gradients)
        return t ? t->gradients : NULL;
    t->gradients = sp_aligned_calloc((size_t)sp_store_size(t->store) * sizeof *t->gradients);
    if (!t->gradients)
        sp_tape_fail(t, SP_ERR_MEMORY, "backward: out of memory for %ld gradients", sp_store_size(t->store));
    else
        for (int i = 0; i < sp_store_count(t->store); i++)
            t->leaf[i].buffer.grad = t->gradients + sp_store_at(t->store, i)->offset;
    return t->gradients;
}

void sp_zero_grad(sp_tape *t)
{
    if (t && t->gradients)
        memset(t->gradients, 0, (size_t)sp_store_size(t->store) * sizeof *t->gradients);
}

static bool need_grad(sp_tape *t, struct sp_buffer *b)
{
    size_t bytes = (size_t)b->size * sizeof *b->grad;
    if (!b->grad && (b->grad = sp_tape_take(t, bytes)))
        memset(b->grad, 0, bytes);
    return b->grad;
}

static bool sweep_node(sp_tape *t, struct sp_node *n)
{
    sp_call *c = &n->call;
    for (int i = 0; i < c->inputs; i++) {
        sp_tensor *x = n->input[i];
        if (x->buffer->wants_grad) {
            if (!need_grad(t, x->buffer))
                return false;
            c->dx[i] = sp_grad_view(x);
        }
    }
    c->dy = sp_grad_view(n->output);
    n->op->backward(c);
    return true;
}

bool sp_backward(sp_tape *t, sp_tensor *loss)
{
    char text[SP_SHAPE_TEXT];
    if (!sp_ok(t))
        return false;
    if (!loss || loss->tape != t)
        sp_tape_fail(t, SP_ERR_VALUE, "backward: the loss %s", loss ? "belongs to another tape" : "is NULL");
    else if (sp_shape_size(loss->view.shape) != 1)
        sp_tape_fail(t, SP_ERR_SHAPE, "backward: the loss has the shape %s, not one element",
                     sp_shape_format(text, loss->view.shape));
    else if (t->swept)
        sp_tape_fail(t, SP_ERR_STATE, "backward: ran already on this recording; reset the tape first");
    else if (!loss->buffer->wants_grad)
        sp_tape_fail(t, SP_ERR_STATE, "backward: the loss depends on no parameter or variable, or recording was off");
    if (!sp_ok(t) || !sp_gradients(t) || !need_grad(t, loss->buffer))
        return false;
    t->swept = true;
    *sp_grad_view(loss).data += 1;
    for (struct sp_node *n = t->last; n; n = n->previous)
        if (n->op->backward && n->output->buffer->wants_grad && n->output->buffer->grad && !sweep_node(t, n))
            return false;
    return true;
}
