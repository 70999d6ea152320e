"""The services of docker/compose.yaml as a project of the test's own: other ports, volumes and secrets than a user's."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import cluster
from engine import ROOT, Failed, answers, call, compose_program, docker, say

RUNNING = ["coordinator", "worker-1", "worker-2", "prometheus", "alertmanager"]


def until(condition, seconds, what):
    """As everywhere, at a pace for questions that start a process each."""
    return cluster.until(condition, seconds, what, every=0.2)


class Stack:
    """Use as a context; leaving it takes down containers, networks and volumes.

    `small` names volumes that shall have so many MB, in memory: what is on such a one goes when its container ends.
    """

    def __init__(self, small=None):
        self.project = f"strata-test-{os.getpid()}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="strata-compose-"))
        self.folder.chmod(0o755)
        self.secrets, self.files = self.folder / "secrets", self.folder / "files"
        self.files.mkdir()
        self.files.chmod(0o777)  # user 10001 writes a dataset there
        processors = sorted(os.sched_getaffinity(0))
        half = len(processors) // 2
        cpus = lambda some: ",".join(map(str, some))
        self.environment = dict(
            os.environ, COMPOSE_PROJECT_NAME=self.project, STRATA_SECRETS=str(self.secrets), STRATA_FILES=str(self.files), STRATA_SLOTS="1",
            STRATA_WORKER_1_CPUS=cpus(processors[:half] or processors), STRATA_WORKER_2_CPUS=cpus(processors[half:2 * half] or processors),
            **{f"STRATA_{name}LISTEN": "127.0.0.1:" for name in ("", "PROMETHEUS_", "ALERTMANAGER_", "GRAFANA_")})
        self.console = None
        self.small = self.folder / "small.yaml" if small else None
        if small:
            options = "driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: 'size=%dm,uid=10001,gid=10001,mode=0755'}"
            self.small.write_text('version: "3.8"\nvolumes:\n' + "".join(f"  {name}: {{{options % size}}}\n" for name, size in small.items()))

    def __enter__(self):
        call(ROOT / "docker/make-secrets", self.secrets, environment=self.environment)
        return self

    def __exit__(self, kind, *_):
        if kind:
            for service in RUNNING:
                log = subprocess.run([*self.command(), "logs", "--no-color", "--tail", "2000", service], env=self.environment, text=True, capture_output=True)
                (self.folder / f"{service}.log").write_text(log.stdout)
            say(f"kept for inspection: {self.folder}")
        subprocess.run([*self.command(), "--profile", "cli", "down", "--volumes", "--remove-orphans", "--timeout", "5"], env=self.environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        for container in docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}").split():
            subprocess.run(["docker", "rm", "--force", "--volumes", container], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not kind:
            shutil.rmtree(self.folder, ignore_errors=True)

    def command(self):
        return [*compose_program(), "--file", str(ROOT / "docker/compose.yaml"), *(["--file", str(self.small)] if self.small else [])]

    def compose(self, *arguments, timeout=300):
        return call(*self.command(), *arguments, environment=self.environment, timeout=timeout)

    # -- life ------------------------------------------------------------------------------------------------------------

    def up(self):
        """Seconds until all are healthy."""
        began = time.monotonic()
        self.compose("up", "--detach", "--no-build")
        try:
            until(lambda: all(self.health(service) == "healthy" for service in RUNNING), 90, "all services to be healthy")
        except AssertionError as vain:
            raise Failed(f"{vain}: " + ", ".join(f"{service} is {self.health(service)}" for service in RUNNING)) from None
        return time.monotonic() - began

    def down(self):
        self.console = None
        self.compose("--profile", "cli", "down", "--timeout", "150", timeout=400)

    def container(self, service):
        listed = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}",
                        "--filter", f"label=com.docker.compose.service={service}", "--filter", "label=com.docker.compose.oneoff=False").split()
        return listed[0] if listed else None

    def health(self, service):
        container = self.container(service)
        if not container:
            return "absent"
        state = json.loads(docker("inspect", "--format", "{{json .State}}", container))
        return state["Health"]["Status"] if state["Running"] else f"ended ({state['ExitCode']})"

    def kill(self, service):
        docker("kill", self.container(service))

    def start(self, service):
        docker("start", self.container(service))

    def restart(self, service):
        docker("restart", "--time", "15", self.container(service))

    # -- the command -----------------------------------------------------------------------------------------------------

    def run(self, *arguments, program=None, timeout=600):
        """As a person runs it: compose run --rm cli ..."""
        entry = ["--entrypoint", program] if program else []
        return self.compose("--profile", "cli", "run", "--rm", "-T", *entry, "cli", *arguments, timeout=timeout)

    def strata(self, *arguments, timeout=120):
        """The same in one container that stays, which is quicker."""
        if not self.console:
            self.console = self.compose("--profile", "cli", "run", "--detach", "--rm", "--entrypoint", "sleep", "cli", "infinity").split()[-1]
        return docker("exec", self.console, "strata", *arguments, timeout=timeout)

    def prepare(self, name, **sizes):
        """A dataset, made as a person makes one: the folder NAME among the files that `run` sees."""
        text = f"{name}-text"
        cluster.write_text(self.files / text, **sizes)
        self.run("prepare", "--input", text, "--output", name, "--name", name, "--source-language", "en", "--target-language", "de",
                 "--vocabulary", "120", program="strata-data")

    def add_dataset(self):
        self.prepare("tiny", pairs=800)
        self.run("data", "add", "tiny")

    def submit(self, spec, *more):
        """Submits a spec's text; returns the experiment's short name."""
        (self.files / "spec.yaml").write_text(spec)
        told = json.loads(self.run("submit", "spec.yaml", *more, "--output", "json"))
        return told["experiment"]["name"].removeprefix("experiments/")

    def json(self, *arguments):
        return json.loads(self.strata(*arguments, "--output", "json"))

    def trials(self, experiment):
        """Each trial in full."""
        count = self.json("describe", experiment)["trials"]
        count = len(count) if isinstance(count, list) else count
        return [self.json("describe", f"{experiment}/t{i}") for i in range(1, int(count) + 1)]

    def measurements(self, experiment, trials):
        """How many values are stored of the experiment's trainings."""
        series = [self.json("metrics", f"{experiment}/t{i}")["series"] for i in range(1, trials + 1)]
        return sum(int(each["points"]) for of_trial in series for each in of_trial)

    def curve(self, trial, name):
        return [(point["update"], point["value"]) for point in self.json("metrics", trial, "--series", name)["points"]]

    # -- what runs inside --------------------------------------------------------------------------------------------------

    def shell(self, service, script, timeout=120):
        return docker("exec", self.container(service), "sh", "-euc", script, timeout=timeout)

    def fill(self, service):
        """Leaves nothing free on the service's volume."""
        self.shell(service, "cat /dev/zero >/var/lib/strata/filler 2>/dev/null || true")

    def empty(self, service):
        self.shell(service, "rm /var/lib/strata/filler")

    def ranks(self, job):
        """Where each rank of a job runs: {0: worker-1, ...}."""
        found = {}
        for worker in ("worker-1", "worker-2"):
            container = self.container(worker)
            if not container or not answers("docker", "top", container):
                continue
            for line in docker("top", container, "-eo", "pid,args").splitlines():
                words = line.split()
                if "strata-trainer" in line and "--rank" in words and any(job in word for word in words):
                    found[int(words[words.index("--rank") + 1])] = worker
        return found

    def scrape(self, url, *more):
        """A page as Prometheus' container gets it, with its certificate."""
        return docker("exec", self.container("prometheus"), "curl", "--silent", "--show-error", "--max-time", "10", "--cacert", "/run/secrets/ca.crt",
                      *more, url)

    def prometheus(self, path):
        pages = docker("exec", self.container("prometheus"), "curl", "--silent", "--show-error", "--max-time", "10", "--cacert",
                       "/run/secrets/monitoring-ca.crt", "--cert", "/run/secrets/web.crt", "--key", "/run/secrets/web.key",
                       f"https://localhost:9090{path}")
        return json.loads(pages)["data"]
