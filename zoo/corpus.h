/* A text that is always there: Spindle's own C sources. */
#ifndef SP_ZOO_CORPUS_H
#define SP_ZOO_CORPUS_H

#include "autograd/base.h"

SP_BEGIN

const char *sp_corpus(size_t *size);

SP_END
#endif
