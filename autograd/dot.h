/* The tape as a picture: Graphviz DOT, for `dot -Tsvg`. Parameters are coloured, operations carry their output shape,
   views (slices, transposes) are drawn dashed because they cost nothing, scopes are boxes around their operations. */
#ifndef SP_AUTOGRAD_DOT_H
#define SP_AUTOGRAD_DOT_H

#include <stdio.h>

#include "autograd/tape.h"

SP_BEGIN

/* Writes what was recorded since the last reset. False if writing fails. */
bool sp_dot_write(const sp_tape *t, FILE *out);

/* The same into a file. */
bool sp_dot_save(const sp_tape *t, const char *path, sp_status *status);

SP_END
#endif
