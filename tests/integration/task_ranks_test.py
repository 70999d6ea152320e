"""Language modelling and speech on two ranks: the training of one rank, to rounding; one score, to the bit, of the same weights however
many ranks share the work."""

import math
import random
import subprocess
import wave

from cluster import WORDS, Cluster, run
from gangs import curve, succeeded

LANGUAGE_MODEL = """
experiment: lm-{ranks}
task: {{kind: language_model, dataset: stream}}
model: {{dim: 16, ffn_dim: 32, heads: 2, dropout: 0.1}}
train: {{updates: 40, update_frequency: {frequency}, max_tokens: 256, block_tokens: 32, learning_rate: 1e-3, warmup: 10, validate_every: 10, log_every: 5}}
resources: {{ranks: {ranks}}}
evaluate: [{{metric: perplexity, window_tokens: 16, context_tokens: 5}}, {{metric: perplexity, window_tokens: 16, context_tokens: 5, ranks: 2}}]
grid: {{scheme: [b2t], depth: [2L], seed: [1]}}
"""
SPEECH = """
experiment: speech-{ranks}
task: {{kind: speech, dataset: tones}}
model: {{dim: 16, ffn_dim: 32, heads: 2, dropout: 0.1, convolution_channels: 16, share_embeddings: decoder}}
train: {{updates: 20, update_frequency: {frequency}, max_tokens: 1000, learning_rate: 1e-3, warmup: 10, validate_every: 10, log_every: 5,
        frequency_masks: 1, time_masks: 1, time_mask_frames: 10}}
resources: {{ranks: {ranks}}}
evaluate: [{{metric: wer, beam: 2, max_length_b: 20}}, {{metric: wer, beam: 2, max_length_b: 20, ranks: 2}}]
grid: {{scheme: [post_ln], depth: [2L-2L], seed: [1]}}
"""


def write_stream(folder):
    order = random.Random(3)
    folder.mkdir()
    for split, lines in (("train", 300), ("valid", 30), ("test", 60)):
        text = "\n".join(" ".join(order.choice(list(WORDS)) for _ in range(order.randint(3, 12))) for _ in range(lines))
        (folder / f"{split}.text").write_text(text + "\n")


def write_tones(folder):
    """Clips of half a second to two, a tone a letter, and what is said."""
    order = random.Random(4)
    folder.mkdir()
    for split, clips in (("train", 40), ("valid", 8), ("test", 12)):
        with open(folder / f"{split}.tsv", "w") as lines:
            for clip in range(clips):
                letters = [order.choice("abcde") for _ in range(order.randint(3, 9))]
                samples = bytearray()
                for letter in letters:
                    for i in range(1200):
                        value = int(9000 * math.sin(i * (0.1 + 0.15 * "abcde".index(letter))) + order.randint(-300, 300))
                        samples += value.to_bytes(2, "little", signed=True)
                with wave.open(str(folder / f"{split}-{clip}.wav"), "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(2)
                    sound.setframerate(8000)
                    sound.writeframes(bytes(samples))
                lines.write(f"{split}-{clip}.wav\t{' '.join(letters)}\n")


def add(cluster, name, command, write):
    write(cluster.home / f"{name}-text")
    subprocess.run([cluster.program("worker/strata-data"), *command, "--input", str(cluster.home / f"{name}-text"), "--output",
                    str(cluster.home / name), "--name", name], check=True, capture_output=True)
    cluster.strata("data", "add", str(cluster.home / name))


def scores(cluster, experiment, metric):
    """Of each evaluation of the trial, in order: score, and hash of what was decoded or of each sentence's part."""
    values = cluster.rows("SELECT value FROM measurement_scalars WHERE job LIKE ? AND name = ? ORDER BY job",
                          f"experiments/{experiment}/%evaluate%", metric)
    hashes = cluster.rows("SELECT sha256 FROM artifacts WHERE trial LIKE ? AND kind = 'sentence_scores' ORDER BY job",
                          f"experiments/{experiment}/%")
    assert len(values) == len(hashes) == 2, (values, hashes)
    return [(value, digest) for (value,), (digest,) in zip(values, hashes)]


def same(cluster, spec, metric):
    curves = []
    for ranks in (1, 2):
        experiment = cluster.submit(spec.format(ranks=ranks, frequency=2 // ranks))
        succeeded(cluster, experiment)
        curves.append(curve(cluster, experiment) + curve(cluster, experiment, "train_loss"))
        one, two = scores(cluster, experiment, metric)
        assert one == two, f"{metric}: {one} of one rank, {two} of two"
        print(f"{experiment}: {metric} {one[0]:.6f}, last validation {curve(cluster, experiment)[-1]}")
    assert len(curves[0]) == len(curves[1]) >= 6
    for (step, alone), (other, together) in zip(*curves):
        assert step == other and abs(together - alone) <= 1e-5 * abs(alone), (step, alone, together)


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.start_agent("w2")
        cluster.await_workers("w1", "w2")
        add(cluster, "stream", ["prepare", "--task", "language_model", "--vocabulary", "60"], write_stream)
        add(cluster, "tones", ["prepare-speech", "--vocabulary-kind", "char"], write_tones)
        same(cluster, LANGUAGE_MODEL, "perplexity")
        same(cluster, SPEECH, "wer")


run(main)
