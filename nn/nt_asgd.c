/* Averaged stochastic gradient descent with a non-monotonic trigger: plain descent until the validation loss l_t of check t
   is above the least of all but the last `nonmono` of those before it; from then on also the mean of the weights,
       l_t > min(l_0, ..., l_(t - nonmono - 1))    a = (x_T + ... + x_k) / (k - T + 1)
   T being the step of the trigger. The trigger and the mean are in nn/average.c.
   Source: Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models", ICLR 2018, algorithm 1, but for the
   trigger: it is that of the authors' code, val_loss > min(best_val_loss[:-nonmono]). */
#include "nn/rule_inside.h"

const struct sp_rule sp_rule_nt_asgd = { .name = "nt-asgd", .slot = { "momentum_buffer" }, .flops = 9, .epsilon = 1,
                                         .averages = true, .update = sp_sgd_update };
