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
#include "autograd/file.h"

#include "ops/ops.h"

#include "nn/init.h"
#include "nn/linear.h"
#include "nn/embed.h"
#include "nn/cell.h"
#include "nn/stack.h"
#include "nn/loss.h"
#include "nn/optimizer.h"

#endif
