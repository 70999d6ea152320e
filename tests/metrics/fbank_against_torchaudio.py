"""Holds what `strata-data features` wrote against torchaudio: for every NAME.wav of a folder, NAME.none.npy and
NAME.utterance.npy. Writes JSON: {"files", "values", "over_1e-3", "largest", "worst", "beyond_over_1e-3", "beyond_largest",
"largest_cmvn"}.

torchaudio transforms in single precision, whose rounding (another one on another processor) shows where a filter bank holds
a ten-millionth of its window's energy. "beyond" is what a difference is beyond that: beyond the step from torchaudio's values to
those of the same windows and triangles under a transform in double precision.
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


def in_double(samples, rate):
    """compliance.kaldi.fbank of its own windows and triangles, the transform and what follows in double precision."""
    waveform, shift, size, padded = kaldi._get_waveform_and_window_properties(samples, -1, rate, 10.0, 25.0, True, 0.97)
    windows, _ = kaldi._get_window(waveform, padded, size, shift, "povey", 0.42, True, True, 1.0, 0.0, True, 0.97)
    triangles, _ = kaldi.get_mel_banks(80, padded, rate, 20.0, 0.0, 100.0, -500.0, 1.0)
    power = torch.fft.rfft(windows.double()).abs().pow(2)[:, :-1]
    return torch.clamp(power @ triangles.double().T, min=torch.finfo(torch.float).eps).log().numpy()


def main():
    result = {"files": 0, "values": 0, "over_1e-3": 0, "largest": 0.0, "worst": "", "beyond_over_1e-3": 0,
              "beyond_largest": 0.0, "largest_cmvn": 0.0}
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
        beyond = difference - np.abs(expected - in_double(waveform, rate))
        result["beyond_largest"] = max(result["beyond_largest"], float(beyond.max()))
        result["beyond_over_1e-3"] += int((beyond > 1e-3).sum())
        cmvn = np.abs(np.load(path.with_suffix(".utterance.npy")) - normalised(ours))
        result["largest_cmvn"] = max(result["largest_cmvn"], float(cmvn.max()))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(result, file)


main()
