"""Whole trainings for figures: the real strata-trainer on random data, held and let go on in turns, so that two of them meet the
same machine."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

from line_program import ROOT, build


def trainer():
    """Builds strata-trainer in STRATA_BUILD and returns its path."""
    folder = os.environ.get("STRATA_BUILD", os.path.join(ROOT, "build", "release"))
    subprocess.run(["cmake", "--build", folder, "--target", "strata-trainer"], check=True, stdout=sys.stderr)
    return os.path.join(folder, "worker", "strata-trainer")


def write_dataset(folder, pairs, length, vocabulary):
    subprocess.run([build("strata-bench-dataset"), folder, str(pairs), str(length), str(vocabulary)], check=True)


def spec(dim, ffn, heads, depth, sentences, length, ranks, threads):
    """A long translation training without validations (but the first) or checkpoints; `sentences` of `length` subwords a batch."""
    return {
        "task": {"kind": "translation", "dataset": "random"},
        "model": {"scheme": "pre_ln", "depth": depth, "dim": dim, "ffn_dim": ffn, "heads": heads, "share_embeddings": "all",
                  "dropout": 0.1, "attention_dropout": 0, "activation_dropout": 0, "rescale_init": False, "depth_scaled_init": False,
                  "scheme_options": "", "word_dropout": 0, "adaptive_cutoffs": "", "adaptive_factor": 4,
                  "adaptive_softmax_dropout": 0, "convolution_channels": 1024},
        "train": {"updates": 1000000, "max_tokens": sentences * (length + 1), "max_sentences": 0, "update_frequency": 1,
                  "learning_rate": 1e-4, "warmup": 400, "warmup_init_learning_rate": 1e-7, "adam_beta1": 0.9, "adam_beta2": 0.98,
                  "adam_epsilon": 1e-8, "weight_decay": 0, "label_smoothing": 0.1, "clip_norm": 0.5, "seed": "1",
                  "validate_every": 100000, "validation_sentences": 0, "log_every": 1, "checkpoint_every": 0,
                  "checkpoint_seconds": 86400, "keep_checkpoints": 1, "on_divergence": "continue", "judge_after": 1000000,
                  "max_length": 0, "schedule": "inverse_sqrt", "decay_offset": 4000, "smooth_over": "vocabulary",
                  "validation_split": "valid", "keep_epoch_checkpoints": 0, "block_tokens": 512, "frequency_masks": 0,
                  "frequency_mask_bins": 27, "time_masks": 0, "time_mask_frames": 100, "precision": "fp32"},
        "evaluate": [],
        "diagnostics": {"gradient_norms_every": 0, "location_layers": "", "locations_every": 0, "similarity_every": 0,
                        "variances_every": 0},
        "resources": {"ranks": ranks, "threads": threads, "min_ranks": 0, "stall_seconds": 0},
    }


class Training:
    """Ranks of one training, stopped (SIGSTOP) but while `run` is in progress."""

    def __init__(self, folder, dataset, document, world_size, threads):
        os.makedirs(folder)
        self.folder = folder
        with open(os.path.join(folder, "spec.json"), "w") as file:
            json.dump(document, file)
        program = trainer()
        self.ranks = []
        for rank in range(world_size):
            self.ranks.append(subprocess.Popen(
                [program, "--spec", os.path.join(folder, "spec.json"), "--job", "train", "--dataset", dataset,
                 "--out", os.path.join(folder, f"out-{rank}"), "--spool", self.spool(rank), "--control", self.control(rank),
                 "--threads", str(threads), "--rank", str(rank), "--world-size", str(world_size),
                 "--advertise-address", "127.0.0.1"],
                env=dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))))
        if world_size > 1:
            met = self.wait(lambda: self.events("rendezvous"))[0]
            for rank in range(1, world_size):
                self.ask(rank, f"rendezvous {met['host']} {met['port']}")
        self.wait(lambda: self.updates() >= 2)
        self.hold()

    def spool(self, rank):
        return os.path.join(self.folder, f"events-{rank}")

    def control(self, rank):
        return os.path.join(self.folder, f"control-{rank}")

    def ask(self, rank, line):
        with socket.socket(socket.AF_UNIX) as connection:
            self.wait(lambda: os.path.exists(self.control(rank)) and connection.connect_ex(self.control(rank)) == 0)
            connection.sendall(line.encode() + b"\n")
            return connection.recv(1000).decode().strip()

    def events(self, kind):
        try:
            with open(self.spool(0)) as file:
                lines = file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [event for event in map(json.loads, lines) if event["type"] == kind]

    def updates(self):
        rows = self.events("measurements")
        return rows[-1]["update"] if rows else -1

    def wait(self, condition):
        while True:
            found = condition()
            if found:
                return found
            if any(rank.poll() is not None for rank in self.ranks):
                sys.exit(f"A trainer ended early; its log is above, its events in {self.folder}.")
            time.sleep(0.002)

    def hold(self):
        for rank in self.ranks:
            rank.send_signal(signal.SIGSTOP)

    def processor_seconds(self):
        """Of all ranks, all threads."""
        total = 0
        for rank in self.ranks:
            with open(f"/proc/{rank.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def run(self, updates, until=lambda: True, begin=lambda: None):
        """Goes on for so many updates, and until the condition holds; (updates, seconds, processor seconds)."""
        first, began, processor = self.updates(), time.monotonic(), self.processor_seconds()
        for rank in self.ranks:
            rank.send_signal(signal.SIGCONT)
        begin()
        self.wait(lambda: self.updates() >= first + updates and until())
        last = self.updates()
        self.hold()
        return last - first, time.monotonic() - began, self.processor_seconds() - processor

    def target_tokens(self):
        return self.events("measurements")[-1]["scalars"]["target_tokens"]

    def close(self):
        for rank in self.ranks:
            rank.kill()
            rank.wait()
