"""What the figures of beam search share: shapes, the peer's environment, how outputs are compared."""
import os
import subprocess
import sys

from line_program import ROOT

SENTENCES, LENGTH, BEAM = 16, 25, 4
# dim, ffn, heads, layers, vocabulary
SHAPES = {"dim512_6L6L_v32k": (512, 2048, 8, 6, 32000), "dim128_18L18L_v8k": (128, 512, 4, 18, 8000)}


def peer_python():
    made = subprocess.run(
        [os.path.join(ROOT, "tests", "python_environment"), "ctranslate2-peer", "ctranslate2==4.8.5", "safetensors==0.6.2", "numpy==2.3.5"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if made.returncode != 0:
        sys.exit(made.returncode)
    return os.path.join(made.stdout.strip(), "bin", "python")


def matrix_flops(dim, ffn, _heads, layers, vocabulary):
    encoder = SENTENCES * LENGTH * layers * (4 * dim * dim + 2 * dim * ffn)
    memory = SENTENCES * LENGTH * layers * 2 * dim * dim
    steps = SENTENCES * BEAM * LENGTH * (layers * (6 * dim * dim + 2 * dim * ffn) + dim * vocabulary)
    return 2 * (encoder + memory + steps)


def sentences(line):
    return [line[i : i + LENGTH - 1] for i in range(0, len(line), LENGTH)]  # the last token is ours forced, the peer's free
