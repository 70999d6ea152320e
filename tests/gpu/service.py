#!/usr/bin/env python3
"""One job on a GPU through the service: a coordinator and an agent are started, a training of one rank is submitted, and what is
seen of it is checked: its state, the device that the attempt names, the slot that the worker offers, and the GPU's metrics on
the agent's /metrics. Prints one JSON object; `passed` says whether all was as it should be.

Use: tests/gpu/run --service [--build DIR] [--device gpu|cpu]      --device cpu: the same steps on a CPU slot
Needs the programs of one build (the cuda preset for a GPU): strata, strata-coordinator, strata-agent, strata-trainer, strata-data.
Exit status: 0 all as it should be, 1 something was not, 2 no GPU here, or a program is missing; says which.
"""

import argparse
import json
import pathlib
import re
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from cluster import SPEC, Cluster, Skipped, until  # noqa: E402

SERIES = ["utilisation_ratio", "memory_used_bytes", "memory_total_bytes", "temperature_celsius", "power_watts", "last_xid", "offered"]
NO_GPU = re.compile(r"--device gpu: (.*)")


class NoGpu(Exception):
    """The agent's sentence about why there is none."""


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def gpu_series(text):
    """{metric: {gpu's uuid: value}} of the worker's GPUs."""
    found = {}
    for name, uuid, value in re.findall(r'^strata_worker_gpu_(\w+)\{[^}]*uuid="([^"]*)"[^}]*\} (\S+)$', text, re.MULTILINE):
        found.setdefault(name, {})[uuid] = float(value)
    return found


def start(cluster, device):
    """Starts coordinator and agent; returns the worker's slots."""
    cluster.start_coordinator()
    cluster.start_agent("w1", extra=["--device", device])
    agent = cluster.agents["w1"]

    def listed():
        if agent.poll() is not None:
            no_gpu = NO_GPU.search(cluster.log_tail("agent-w1"))
            if no_gpu:
                raise NoGpu(no_gpu.group(1))
            raise AssertionError(f"the agent ended: {cluster.log_tail('agent-w1')}")
        workers = json.loads(cluster.strata("workers", "--output", "json").stdout)
        workers = workers.get("workers", []) if isinstance(workers, dict) else workers
        return workers and workers[0].get("slots")

    return until(listed, 30, "the worker to sign on")


def train(cluster, device, updates):
    """Submits one training and waits for it; returns what is known of it, with the GPU's metrics while it ran."""
    cluster.add_dataset()
    begun = time.monotonic()
    experiment = cluster.submit(SPEC.format(name="gpu", updates=updates, schemes="b2t", seeds=1))
    series = {}
    while time.monotonic() - begun < 300:
        for name, values in gpu_series(scrape(cluster.agent_metrics["w1"])).items():
            for uuid, value in values.items():
                series.setdefault(name, {}).setdefault(uuid, []).append(value)
        if cluster.rows("SELECT 1 FROM jobs WHERE kind = 'TRAIN' AND state IN ('SUCCEEDED', 'FAILED', 'DIVERGED', 'CANCELLED')"):
            break
        time.sleep(0.2)
    waited = cluster.wait(experiment)
    job = f"experiments/{experiment}/trials/%/jobs/%"
    state, cause, message = cluster.rows("SELECT state, cause, message FROM jobs WHERE name LIKE ? AND kind = 'TRAIN'", job)[0]
    evaluated = cluster.rows("SELECT state FROM jobs WHERE name LIKE ? AND kind = 'EVALUATE'", job)
    environments = cluster.rows("SELECT environment FROM attempts WHERE job LIKE ? ORDER BY number", job)
    devices = [json.loads(row[0]).get("device", "") for row in environments if row[0]]
    return {"state": state, "cause": cause, "message": message, "evaluation": evaluated[0][0] if evaluated else None,
            "wait_status": waited, "devices": devices, "seconds": round(time.monotonic() - begun, 2)}, series


def verdict(device, slots, job, series):
    """What is not as it should be, one sentence each."""
    wrong = []
    if job["state"] != "SUCCEEDED" or job["evaluation"] != "SUCCEEDED":
        wrong.append(f"The training ended {job['state']}, its evaluation {job['evaluation']}: {job['cause']} {job['message']}")
    prefix = "cuda: " if device == "gpu" else "cpu"
    if not job["devices"] or not all(name.startswith(prefix) for name in job["devices"]):
        wrong.append(f"The attempts ran on {job['devices']}, not on {prefix.strip(': ')}.")
    uuids = [slot.get("uuid", "") for slot in slots]
    if device == "cpu":
        if any(uuids) or series:
            wrong.append(f"A worker of CPU slots shows GPUs: {uuids} {sorted(series)}.")
        return wrong
    if not all(uuid.startswith("GPU-") for uuid in uuids) or not all(int(slot.get("memory_bytes", 0)) > 0 for slot in slots):
        wrong.append(f"A slot lacks its GPU's UUID or memory: {slots}.")
    for name in SERIES:
        if set(series.get(name, {})) != set(uuids):
            wrong.append(f"strata_worker_gpu_{name} is there for {sorted(series.get(name, {}))}, not for {sorted(uuids)}.")
    if not wrong and max(max(values) for values in series["memory_used_bytes"].values()) <= 0:
        wrong.append("No memory of any GPU was seen in use.")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--service", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", default=None, help="build folder (default: build/cuda, or build/release with --device cpu)")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--updates", type=int, default=60)
    arguments = parser.parse_args()
    build = arguments.build or str(ROOT / "build" / ("cuda" if arguments.device == "gpu" else "release"))
    cluster = Cluster(build, slots=1, lease_seconds=6)
    failed = None
    try:
        slots = start(cluster, arguments.device)
        job, series = train(cluster, arguments.device, arguments.updates)
        wrong = verdict(arguments.device, slots, job, series)
        peaks = {name: max(max(values) for values in by_uuid.values()) for name, by_uuid in sorted(series.items())}
        print(json.dumps({"name": "gpu_service", "passed": not wrong, "device": arguments.device, "slots": slots, "job": job,
                          "metrics": peaks, "wrong": wrong}))
        failed = Exception if wrong else None
    except (NoGpu, Skipped) as reason:
        failed = Skipped
        print(f"tests/gpu/run --service: {reason}", file=sys.stderr)
        return 2
    except BaseException:
        failed = Exception
        raise
    finally:
        cluster.__exit__(failed, None, None)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
