#include "nn/embed.h"

#include "nn/init.h"
#include "ops/ops.h"

sp_embed sp_embed_make(sp_store *s, const char *name, long ids, long width)
{
    sp_param *weight = sp_store_add(s, SP_SHAPE(ids, width), "%s.weight", name);
    sp_init_normal(weight, 0, 1);
    return (sp_embed){ weight };
}

sp_tensor *sp_embed_on(sp_tape *t, const sp_embed *e, const int *ids, long n)
{
    if (!e)
        return sp_tape_fail(t, SP_ERR_VALUE, "embed: the layer is NULL");
    return sp_embedding(t, sp_param_on(t, e->weight), ids, n);
}
