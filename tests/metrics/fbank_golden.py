#!/usr/bin/env python3
"""Writes fbank_golden.bin: audio and what torchaudio 2.11 makes of it, for worker/data/fbank_test.cc.

    fbank_golden.py OUT.bin        (a Python with torch==2.11.0, torchaudio==2.11.0 and numpy)

Little-endian, one case after another: i32 rate, i32 samples, i32 frames, i16 samples, then frames x 80 float32.
"""

import sys

import numpy as np
import torch
import torchaudio.compliance.kaldi as kaldi


def signals(rate, random):
    """Speech's likenesses: loud and soft, hoarse and clear, with an offset, next to nothing, nothing."""
    seconds = np.arange(int(0.2 * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 130 * k * seconds + k) / k for k in range(1, 25))
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 7 * seconds)
    noise = random.standard_normal(len(seconds))
    short = slice(0, int(0.06 * rate))
    yield 0.15 * voice * swell + 0.01 * noise
    yield (0.3 * noise * swell + 0.05)[short]
    yield (random.uniform(-1, 1, len(seconds)))[short]
    yield (random.integers(-1, 2, len(seconds)) / 32768)[short]
    yield np.zeros(len(seconds))[short]


def main():
    random = np.random.default_rng(2110)
    with open(sys.argv[1], "wb") as file:
        for rate in (8000, 11025, 16000, 22050, 44100, 48000):
            for signal in signals(rate, random):
                samples = np.clip(np.round(signal * 32768), -32768, 32767).astype("<i2")
                waveform = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
                features = kaldi.fbank(waveform * 32768, num_mel_bins=80, sample_frequency=rate)
                file.write(np.array([rate, len(samples), len(features)], "<i4").tobytes())
                file.write(samples.tobytes())
                file.write(features.numpy().astype("<f4").tobytes())


main()
