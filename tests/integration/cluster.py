"""A real cluster of one machine for the integration tests: coordinator, agents, trainers, a small dataset, the CLI.

Every process is started here and ended by pid; everything lies under one temporary folder. A test is a script:

    with Cluster.from_arguments() as cluster:
        experiment = cluster.submit(SPEC)
        cluster.wait(experiment)

Exit status of a test: 0 passed, 1 failed (an exception), 77 skipped with the reason printed.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

WORDS = {
    "the": "die", "a": "eine", "library": "bibliothek", "program": "programm", "file": "datei", "reads": "liest",
    "writes": "schreibt", "shows": "zeigt", "small": "kleine", "fast": "schnelle", "new": "neue", "old": "alte",
    "and": "und", "with": "mit", "network": "netz", "image": "bild", "text": "text", "user": "benutzer",
    "server": "server", "data": "daten",
}

# Small enough for seconds, large enough to have several batches, validations and checkpoints.
SPEC = """
experiment: {name}
task: {{kind: translation, dataset: tiny}}
model: {{dim: 16, ffn_dim: 32, heads: 2, dropout: 0.1}}
train: {{updates: {updates}, max_tokens: 256, learning_rate: 1e-3, warmup: 10, validate_every: 10, checkpoint_every: 10, log_every: 5}}
diagnostics: {{gradient_norms_every: 10}}
evaluate: [{{metric: bleu, beam: 2, sentences: 8, max_length_b: 20}}]
grid: {{scheme: [{schemes}], depth: [2L-2L], seed: [{seeds}]}}
"""


class Skipped(Exception):
    """The machine lacks what the test needs; the message says what."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds, what, every=0.05):
    """Asks `every` so many seconds until condition() is true and returns its value; AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(every)


def write_text(folder, seed=7, pairs=400, held_out=24):
    """Parallel text of `pairs` sentences and two held-out sets, the same for the same seed."""
    order = random.Random(seed)
    folder.mkdir(parents=True)
    for split, count in (("train", pairs), ("valid", held_out), ("test", held_out)):
        with open(folder / f"{split}.en", "w") as english, open(folder / f"{split}.de", "w") as german:
            for _ in range(count):
                words = [order.choice(list(WORDS)) for _ in range(order.randint(3, 9))]
                english.write(" ".join(words) + f" {split}\n")
                german.write(" ".join(WORDS[word] for word in words) + f" {split}\n")


class Cluster:
    """One coordinator and some agents. Use as a context; leaving it ends all of their processes.

    Of several `hosts` (hosts.py) the first is the coordinator's and the CLI's; an agent runs on the one of its name.
    """

    def __init__(self, build, slots=2, lease_seconds=2, hosts=None):
        self.build = pathlib.Path(build).resolve()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="strata-test-"))
        self.slots = slots
        self.lease_seconds = lease_seconds
        self.hosts = hosts
        self.port, self.metrics_port = free_port(), free_port()
        self.coordinator = None
        self.agents = {}
        self.agent_metrics = {}

    @classmethod
    def from_arguments(cls, **settings):
        parser = argparse.ArgumentParser()
        parser.add_argument("--build", required=True, help="build folder, e.g. build/release")
        cls.arguments = parser.parse_known_args()[0]
        return cls(cls.arguments.build, **settings)

    @property
    def address(self):
        return f"{self.hosts.address(self.hosts.names[0]) if self.hosts else '127.0.0.1'}:{self.port}"

    @property
    def database(self):
        return self.home / "coordinator" / "strata.db"

    def program(self, name):
        path = self.build / name
        if not path.exists():
            raise Skipped(f"{path} is not built")
        return str(path)

    # -- life ------------------------------------------------------------------------------------------------------------

    def __enter__(self):
        self.start_coordinator()
        self.start_agent("w1")
        return self

    def __exit__(self, kind, error, trace):
        for pid in self.trainer_pids():
            self.kill(pid)
        for process in [*self.agents.values(), self.coordinator]:
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        for pid in self.trainer_pids():
            self.kill(pid)
        if kind and kind is not Skipped:
            print(f"kept for inspection: {self.home}", file=sys.stderr)
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    def enter(self, host=None):
        return self.hosts.enter(host or self.hosts.names[0]) if self.hosts else []

    def start(self, name, command, host=None, environment=None):
        log = open(self.home / f"{name}.log", "ab")
        return subprocess.Popen([*self.enter(host), *command], stdout=log, stderr=log, start_new_session=True,
                                env={**os.environ, **(environment or {})})

    def start_coordinator(self, wait=True):
        folder = self.home / "coordinator"
        folder.mkdir(exist_ok=True)
        self.coordinator = self.start("coordinator", [
            self.program("server/strata-coordinator"), "--data-dir", str(folder), "--listen", self.address,
            "--metrics-listen", f"127.0.0.1:{self.metrics_port}", "--lease-seconds", str(self.lease_seconds),
            *(["--insecure"] if self.hosts else [])])
        if wait:
            until(self.answers, 20, "the coordinator to answer")

    def answers(self):
        assert self.coordinator.poll() is None, f"the coordinator ended: {self.log_tail('coordinator')}"
        return self.strata("workers", check=False).returncode == 0

    def start_agent(self, name, extra=(), environment=None):
        self.agent_metrics.setdefault(name, free_port())
        if self.hosts and "--advertise-address" not in extra:
            extra = ["--advertise-address", self.hosts.address(name), *extra]
        self.agents[name] = self.start(f"agent-{name}", [
            self.program("worker/strata-agent"), *([] if "--coordinator" in extra else ["--coordinator", self.address]), "--state-dir", str(self.home / name),
            "--name", name, "--slots", str(self.slots), "--metrics-listen", f"127.0.0.1:{self.agent_metrics[name]}", *extra],
            host=name, environment=environment)

    def await_workers(self, *names):
        """Until these have signed on."""
        listed = lambda: {line.split()[0] for line in self.strata("workers", check=False).stdout.splitlines() if " READY " in line + " "}
        until(lambda: set(names) <= listed(), 20, f"workers {', '.join(names)}")

    def kill(self, pid, sign=signal.SIGKILL):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            pass

    def kill_coordinator(self):
        self.coordinator.kill()
        self.coordinator.wait()

    def kill_agent(self, name):
        self.agents[name].kill()
        self.agents[name].wait()

    def trainer_pids(self):
        """Trainers of this cluster only: their command line names a path under its folder."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                    state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                except OSError:
                    continue
                if state != "Z" and command[0].endswith(b"strata-trainer") and any(str(self.home).encode() in part for part in command):
                    found.append(int(entry.name))
        return found

    def log_tail(self, name, lines=20):
        return "\n".join((self.home / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    # -- the CLI ---------------------------------------------------------------------------------------------------------

    def strata(self, *arguments, check=True, timeout=120):
        environment = dict(os.environ, STRATA_HOME=str(self.home), STRATA_ADDRESS=self.address, NO_COLOR="1")
        result = subprocess.run([*self.enter(), self.program("client/strata"), *arguments], env=environment, text=True,
                                capture_output=True, timeout=timeout)
        assert not check or result.returncode == 0, f"strata {' '.join(arguments)}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def add_dataset(self, **sizes):
        text, dataset = self.home / "text", self.home / "tiny"
        write_text(text, **sizes)
        subprocess.run([self.program("worker/strata-data"), "prepare", "--input", str(text), "--output", str(dataset), "--name",
                        "tiny", "--source-language", "en", "--target-language", "de", "--vocabulary", "120"],
                       check=True, capture_output=True)
        self.strata("data", "add", str(dataset))

    def submit(self, text, *arguments):
        """Submits a spec's text; returns the experiment's short name."""
        path = self.home / f"spec-{time.monotonic_ns()}.yaml"
        path.write_text(text)
        output = json.loads(self.strata("submit", str(path), "--output", "json", *arguments).stdout)
        name = output.get("experiment", output)
        if isinstance(name, dict):
            name = name["name"]
        return name.removeprefix("experiments/")

    def wait(self, experiment, seconds=300):
        return self.strata("wait", experiment, timeout=seconds, check=False).returncode

    # -- what is stored --------------------------------------------------------------------------------------------------

    def rows(self, query, *arguments):
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query, arguments).fetchall()
        finally:
            connection.close()

    def trials(self, experiment):
        """(name, state of TRAIN, attempts of TRAIN, hash of the final weights) of each trial, in order."""
        return self.rows("""SELECT t.name, j.state, j.attempts, t.weights_sha256 FROM trials t JOIN jobs j ON j.trial = t.name AND j.kind = 'TRAIN'
                            WHERE t.experiment = ? ORDER BY t.position""", f"experiments/{experiment}")

    def measurements(self, experiment):
        """Every stored measurement, keyed by trial, job, stack, name and step."""
        prefix = f"experiments/{experiment}/"
        scalars = self.rows("SELECT job, '', name, step, value FROM measurement_scalars WHERE job LIKE ?", prefix + "%")
        vectors = self.rows('SELECT job, stack, name, step, "values" FROM measurement_vectors WHERE job LIKE ?', prefix + "%")
        return {(row[0].removeprefix(prefix), *row[1:4]): row[4] for row in scalars + vectors}


def run(test):
    """Runs a test's main function and turns its end into an exit status."""
    try:
        test()
    except Skipped as reason:
        print(f"skipped: {reason}")
        sys.exit(77)
