"""The small twins of deploy/experiments/paper: their datasets out of real Debian packages, and their shortened settings."""

import fcntl
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
KIT = SOURCE / "deploy/experiments/paper"
sys.path.insert(0, str(SOURCE / "tests/integration"))

# Dataset -> how it is made of what `strata-data fetch DATASET` leaves; as in docs/PAPER.md.
PREPARE = {
    "debian-en-de": ["prepare", "--vocabulary", "4000", "--max-length", "40"],
    "debian-headline": ["prepare", "--vocabulary", "4000", "--max-length", "200"],
    "debian-text": ["prepare", "--vocabulary-kind", "words", "--vocabulary", "10000"],
    "debian-speech": ["prepare-speech", "--vocabulary-kind", "char"],
}


class NotMade(Exception):
    """A dataset could not be made; the message says why."""


def value_of(text, key):
    """The value of a scalar key that stands once in a spec, whether in a block or in braces."""
    for line in text.splitlines():
        for part in line.replace("{", ",").replace("}", ",").split(","):
            name, _, value = part.strip().partition(":")
            if name == key and value:
                return value.strip()
    raise KeyError(key)


def make_dataset(build, name):
    """The folder of a prepared dataset, made once below the build folder and kept for the next call."""
    folder = pathlib.Path(build).resolve() / "paper-data"
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepared, text = folder / name, folder / f"{name}-text"
        program = pathlib.Path(build).resolve() / "worker/strata-data"
        if not program.exists():
            raise NotMade(f"{program} is not built")
        if (prepared / "manifest.json").exists():
            return prepared
        command, *options = PREPARE[name]
        steps = [] if text.exists() else [["fetch", name, "--output", str(text)]]
        steps.append([command, "--input", str(text), "--output", str(prepared), "--name", name, *options])
        for step in steps:
            done = subprocess.run([str(program), *step], text=True, capture_output=True)
            if done.returncode != 0:
                raise NotMade(f"strata-data {' '.join(step)}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
        return prepared


def shortened(text):
    """--set options for 5 updates, 8 sentences, 20 tokens, one seed."""
    settings = ["train.updates=5", "train.validation_sentences=8", "seed=[1]"]
    if "\nevaluate:" in text:
        settings.append("evaluate[0].sentences=8")
        if "metric: perplexity" not in text:
            settings.append("evaluate[0].max_length_b=20")
    return [option for setting in settings for option in ("--set", setting)]


def paper_name(path):
    """The table or figure that a spec is of: table1-released is of table1; released has Table 1's columns."""
    stem = path.stem.removesuffix("-released")
    return "table1" if stem == "released" else stem
