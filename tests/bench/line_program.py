"""A program that answers one line to each line, and figures in the form that tests/bench/run wants."""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class LineProgram:
    def __init__(self, *command):
        environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended with status {self.process.wait()} at \"{line}\".")
        return answer.split()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def build(target):
    """Builds `target` in STRATA_BUILD and returns the path of tests/TARGET there."""
    folder = os.environ.get("STRATA_BUILD", os.path.join(ROOT, "build", "release"))
    subprocess.run(["cmake", "--build", folder, "--target", target], check=True, stdout=sys.stderr)
    return os.path.join(folder, "tests", target)


def peer_python():
    """The interpreter of a throw-away environment with the peer's torch; ends with 77 where it cannot be had."""
    made = subprocess.run(
        [os.path.join(ROOT, "tests", "python_environment"), "torch-peer", "torch==2.11.0", "numpy==2.3.5"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if made.returncode != 0:
        sys.exit(made.returncode)
    return os.path.join(made.stdout.strip(), "bin", "python")


def figure(name, value, unit, peer=None, ratio=None, **more):
    print(json.dumps({"name": name, "value": value, "unit": unit, "peer": peer, "ratio": ratio, **more}), flush=True)
