// The PROBE job: what can be seen of the layers at initialisation. Trains nothing; takes seconds.
#pragma once

#include "worker/trainer/job.h"

namespace strata::trainer {

// One forward and backward pass over the probe's batch (docs/DIAGNOSTICS.md), after a profile where the scheme asks for one. Emits
// `started`, the artifact `initialisation`, the measurements of update 0 and `finished`.
void Probe(const Job& job);

}  // namespace strata::trainer
