/* Spindle: sequence models in C. This header includes what programs use; each of these can be read, and included, alone.
   For operations of your own there are autograd/op.h and ops/kernel.h besides. */
#ifndef SPINDLE_H
#define SPINDLE_H

#include "autograd/base.h"
#include "autograd/random.h"
#include "autograd/store.h"
#include "autograd/tape.h"
#include "autograd/blas.h"
#include "autograd/timing.h"
#include "autograd/parallel.h"
#include "autograd/profile.h"
#include "autograd/gradcheck.h"
#include "autograd/dot.h"
#include "autograd/file.h"

#include "ops/ops.h"

#include "nn/init.h"
#include "nn/linear.h"
#include "nn/embed.h"
#include "nn/seq.h"
#include "nn/cell.h"
#include "nn/scan.h"
#include "nn/stack.h"
#include "nn/loss.h"
#include "nn/safetensors.h"
#include "nn/import.h"
#include "nn/schedule.h"
#include "nn/optimizer.h"

#include "zoo/text.h"
#include "zoo/sentences.h"
#include "zoo/readers.h"
#include "zoo/bpe.h"
#include "zoo/metrics.h"
#include "zoo/hmm.h"
#include "zoo/dates.h"
#include "zoo/valence.h"
#include "zoo/stream.h"
#include "zoo/sampling.h"
#include "zoo/lm.h"
#include "zoo/ngram.h"
#include "zoo/corpus.h"
#include "zoo/trainer.h"
#include "zoo/progress.h"
#include "zoo/report.h"
#include "zoo/options.h"

#endif
