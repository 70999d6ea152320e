"""Holds what `strata-data features` wrote against torchaudio: for every NAME.wav of a folder, NAME.none.npy and, where
there is one, NAME.utterance.npy. Writes JSON: {"files", "values", "over_1e-3", "largest", "worst", "normalised",
"largest_cmvn"}.
"""

import json
import pathlib
import sys
import wave

import numpy as np
import torch
import torchaudio.compliance.kaldi as kaldi


def samples_of(path):
    with wave.open(str(path), "rb") as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2, path
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def normalised(features):
    """Utterance CMVN: mean and deviation over the frames, the variance at least 1e-10."""
    x = features.astype(np.float64)
    variance = (x**2).mean(axis=0) - x.mean(axis=0) ** 2
    return (x - x.mean(axis=0)) / np.sqrt(np.maximum(variance, 1e-10))


def main():
    result = {"files": 0, "values": 0, "over_1e-3": 0, "largest": 0.0, "worst": "", "normalised": 0,
              "largest_cmvn": 0.0}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.wav")):
        rate, samples = samples_of(path)
        waveform = torch.from_numpy(samples)[None] * 32768
        expected = kaldi.fbank(waveform, num_mel_bins=80, sample_frequency=rate).numpy()
        ours = np.load(path.with_suffix(".none.npy"))
        assert ours.dtype == np.float32 and ours.shape == expected.shape, (path, ours.dtype, ours.shape, expected.shape)
        difference = np.abs(ours - expected)
        if difference.max() > result["largest"]:
            result["largest"], result["worst"] = float(difference.max()), path.name
        result["files"] += 1
        result["values"] += difference.size
        result["over_1e-3"] += int((difference > 1e-3).sum())
        if path.with_suffix(".utterance.npy").exists():
            cmvn = np.abs(np.load(path.with_suffix(".utterance.npy")) - normalised(ours))
            result["normalised"] += 1
            result["largest_cmvn"] = max(result["largest_cmvn"], float(cmvn.max()))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(result, file)


main()
