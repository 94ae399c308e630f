/* Initial values of parameters. All are drawn from the parameter's own key, so they depend on the store's seed and the
   parameter's name alone. A NULL parameter (its declaration failed; its store has the error) is left alone.

   fan_in and fan_out of a weight [out,in] are its two sizes; of another shape, fan_out is the first size and fan_in the
   product of the rest. */
#ifndef SP_NN_INIT_H
#define SP_NN_INIT_H

#include "autograd/store.h"

SP_BEGIN

void sp_init_constant(sp_param *p, double value);
void sp_init_uniform(sp_param *p, double low, double high);
void sp_init_normal(sp_param *p, double mean, double deviation);

/* Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Glorot, Bengio, AISTATS 2010. */
void sp_init_xavier(sp_param *p, double gain);

/* Uniform in +-gain sqrt(3 / fan_in); gain sqrt(2) suits relu. He et al., ICCV 2015. */
void sp_init_kaiming(sp_param *p, double gain);

/* Rows (or columns, where there are fewer) orthogonal to each other and of length gain. Saxe et al., ICLR 2014.
   A parameter of rank 1 counts as one row. False without memory (the store then holds the error). */
bool sp_init_orthogonal(sp_param *p, double gain);

SP_END
#endif
