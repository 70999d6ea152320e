// Filter banks for another program: strata-data's are to hold what torchaudio's compliance.kaldi.fbank holds, the
// rounding of each of LibTorch's operations included, and strata-data links no LibTorch.
#pragma once

namespace strata::trainer {

// Answers requests from `in` on `out` (file descriptors), one after another, until `in` ends. Both ways the machine's
// byte order. Request: five i64: rate (Hz), window, shift, padded (a power of two, at least the window) and number of
// samples; then the samples x 32768, float32. Answer: frames x 80 float32, frames = 1 + (samples - window) / shift.
// Throws Failure where a request is cut off or makes no sense.
void ServeFilterBanks(int in, int out);

}  // namespace strata::trainer
