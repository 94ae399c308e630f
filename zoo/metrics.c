#include "zoo/metrics.h"

#include <math.h>

double sp_perplexity(double nats)
{
    return exp(nats);
}

double sp_bits(double nats)
{
    return nats / log(2);
}

static double share(double part, double of)
{
    return of > 0 ? part / of : 0;
}

sp_score sp_score_of(long truth, long guessed, long right)
{
    return (sp_score){ truth, guessed, right, share((double)right, (double)guessed), share((double)right, (double)truth),
                       share(2 * (double)right, (double)truth + (double)guessed) };
}
