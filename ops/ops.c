#include "ops/kernel.h"

const sp_op *const sp_op_table[] = {
#define SP_OP(name, prototype) &sp_op_##name,
#include "ops/table.h"
#undef SP_OP
    NULL
};
