"""What the figures that run the whole service share: its programs, the quickstart's model, and data of the quickstart's vocabulary."""
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from cluster import Cluster  # noqa: E402,F401

PROGRAMS = ["strata", "strata-coordinator", "strata-agent", "strata-trainer", "strata-data"]

# deploy/experiments/quickstart.yaml's deep model, for as long as it takes.
QUICKSTART = """
experiment: {name}
task: {{kind: translation, dataset: words}}
model: {{dim: 64, ffn_dim: 256, heads: 4, share_embeddings: all, dropout: 0.1}}
train: {{updates: 1000000, max_tokens: {tokens}, learning_rate: 1e-3, warmup: 400, validate_every: 1000000, validation_sentences: 50,
        checkpoint_every: {every}, log_every: 1, on_divergence: continue}}
diagnostics: {{gradient_norms_every: 0}}
resources: {{ranks: {ranks}}}
grid: {{scheme: [b2t], depth: [18L-18L], seed: [1]}}
"""


def built():
    """The build folder, with the service's programs in it."""
    folder = os.environ.get("STRATA_BUILD", str(ROOT / "build" / "release"))
    subprocess.run(["cmake", "--build", folder, "--target", *PROGRAMS], check=True, stdout=sys.stderr)
    return folder


def add_words(cluster, vocabulary=4000):
    """A dataset of made-up words with so many pieces, the quickstart's number."""
    draw = random.Random(1)
    words = ["".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(3, 9))) for _ in range(6000)]
    text, dataset = cluster.home / "words-text", cluster.home / "words"
    text.mkdir()
    for split, lines in (("train", 4000), ("valid", 60), ("test", 20)):
        for language in ("en", "de"):
            with open(text / f"{split}.{language}", "w") as file:
                for _ in range(lines):
                    file.write(" ".join(draw.choice(words) for _ in range(draw.randint(5, 20))) + "\n")
    subprocess.run([cluster.program("worker/strata-data"), "prepare", "--input", str(text), "--output", str(dataset), "--name", "words",
                    "--source-language", "en", "--target-language", "de", "--vocabulary", str(vocabulary)],
                   check=True, stdout=sys.stderr, stderr=sys.stderr)
    cluster.strata("data", "add", str(dataset))
