// The PROBE job: gradient norms by layer at initialisation. Trains nothing; takes seconds.
#pragma once

#include "worker/trainer/job.h"

namespace strata::trainer {

// One pass over the fixed validation batch; emits `started`, the measurements of update 0 (gradient_norm_output by
// stack, gradient_ratio) and `finished`.
void Probe(const Job& job);

}  // namespace strata::trainer
