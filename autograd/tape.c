#include "autograd/tape_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/blas.h"

static const sp_status no_tape = { SP_ERR_MEMORY, "tape: out of memory" };

/* ---- the tape -------------------------------------------------------------------------------------------------- */

static struct leaf *new_leaves(sp_tape *t)
{
    int n = sp_store_count(t->store);
    struct leaf *leaf = calloc((size_t)n + 1, sizeof *leaf);
    for (int i = 0; leaf && i < n; i++) {
        const sp_param *p = sp_store_at(t->store, i);
        leaf[i].buffer = (struct sp_buffer){
            .data = (sp_real *)(uintptr_t)sp_param_read(p), .size = sp_shape_size(p->shape), .wants_grad = !p->statistic, .param = p
        };
        leaf[i].tensor = (sp_tensor){
            .tape = t, .view = sp_view_of(leaf[i].buffer.data, p->shape), .buffer = &leaf[i].buffer
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
    sp_tape_set_profile(t, NULL);
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
    t->replaced = NULL;
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
    for (int i = 0; sp_store_has_statistics(t->store) && i < sp_store_count(t->store); i++)
        t->leaf[i].moved = false;
}

bool sp_tape_moved(const sp_tape *t, const sp_param *p)
{
    return t->leaf[p->index].moved;
}

sp_mark sp_tape_mark(sp_tape *t)
{
    struct bookmark *b = t ? sp_tape_take(t, sizeof *b) : NULL;
    if (!b)
        return (sp_mark){ 0 };
    *b = (struct bookmark){ .older = t->bookmark, .serial = ++t->serials, .arena = sp_arena_here(&t->arena), .last = t->last,
                            .nodes = t->nodes, .depth = t->depth, .scope = t->scope, .replaced = t->replaced,
                            .draws = t->draws, .time = t->time, .timed = t->timed, .swept = t->swept };
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
    t->replaced = b->replaced;
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

bool sp_tape_recording(const sp_tape *t)
{
    return t && !t->paused;
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

void sp_tape_set_budget(sp_tape *t, size_t bytes)
{
    if (t)
        t->budget = bytes;
}

size_t sp_tape_budget(const sp_tape *t)
{
    return t ? t->budget : 0;
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

void sp_tape_trace(sp_tape *t, struct sp_trace *trace)
{
    t->trace = trace;
}

bool sp_tape_tracing(const sp_tape *t)
{
    return t && t->trace;
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
    if (!t)
        return;
    t->status = (sp_status){ 0 };
    sp_zero_grad(t);
}

char *sp_scope_path(const struct sp_scope *s, char *text, size_t room)
{
    const struct sp_scope *chain[16];
    int n = 0;
    for (; s && n < 16; s = s->parent)
        chain[n++] = s;
    text[0] = '\0';
    for (size_t at = 0; n-- > 0 && at < room; at = strlen(text))
        snprintf(text + at, room - at, "%s%s", chain[n]->name, n ? "." : "");
    return text;
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
        sp_scope_path(t->scope, path, sizeof path);
        sp_fail(&t->status, code, "%s%s%s", path, t->scope ? ": " : "", message);
    }
    return &t->poison;
}

bool sp_sound(const sp_tensor *x)
{
    return x && x != &x->tape->poison;
}

/* ---- scopes ---------------------------------------------------------------------------------------------------- */

void sp_scope_pushf(sp_tape *t, const char *format, ...)
{
    char name[64];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    sp_scope_push(t, name);
}

void sp_scope_push(sp_tape *t, const char *name)
{
    name = name ? name : "";
    struct sp_scope *s = t ? sp_tape_take(t, sizeof *s + strlen(name) + 1) : NULL;
    if (!s)
        return;
    *s = (struct sp_scope){ .parent = t->scope, .name = strcpy((char *)(s + 1), name), .id = ++t->scopes };
    s->outer.place = t->place;
    s->outer.draws = t->draws + 1;
    s->outer.time = t->time;
    s->outer.timed = t->timed;
    s->outer.replaced = t->replaced;
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
    t->replaced = s->outer.replaced;
    t->scope = s->parent;
    t->depth--;
}

void sp_scope_time(sp_tape *t, long time)
{
    if (!t)
        return;
    if (t->trace) {
        sp_tape_fail(t, SP_ERR_STATE, "scan: the step has a loop over time of its own; use sp_unroll");
        return;
    }
    if (!t->timed)                      /* a loop over time inside another's step: that step is part of the place */
        t->place = sp_hash(t->place, t->time);
    t->timed = true;
    t->time = (uint32_t)time;
    t->draws = 0;
}
