#include "zoo/corpus.h"

static const unsigned char bytes[] = {
#include "corpus.inc"
};

const char *sp_corpus(size_t *size)
{
    *size = sizeof bytes;
    return (const char *)bytes;
}
