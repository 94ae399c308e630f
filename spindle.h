/* Spindle: sequence models in C. This header includes all of it; each of these can be read, and included, alone. */
#ifndef SPINDLE_H
#define SPINDLE_H

#include "autograd/base.h"
#include "autograd/random.h"
#include "autograd/store.h"
#include "autograd/tape.h"
#include "autograd/blas.h"
#include "autograd/gradcheck.h"
#include "autograd/dot.h"

#include "ops/ops.h"

#endif
