"""Nothing is lost, and nothing sent twice, when a trainer dies while it writes a checkpoint, an agent dies while it uploads one, and the way
to the coordinator flips bits."""

import random

from cluster import Cluster, run, until
from gangs import attempts, succeeded
from proxy import Proxy

# Checkpoints of 4 MB of weights, 12 with Adam's moments: several chunks each.
SPEC = """
experiment: {name}
task: {{kind: translation, dataset: tiny}}
model: {{dim: 128, ffn_dim: 512, heads: 2, dropout: 0.1}}
train: {{updates: 30, max_tokens: 256, learning_rate: 1e-3, warmup: 10, validate_every: 30, checkpoint_every: {every}}}
grid: {{scheme: [post_ln], depth: [2L-2L], seed: [1]}}
"""
CHUNK = 1 << 20


def submit(cluster, name, every=10):
    return cluster.submit(SPEC.format(name=name, every=every), "--force")


def on(cluster, worker):
    """Jobs go to this worker from now on."""
    cluster.await_workers(worker)
    for other in cluster.agents:
        cluster.strata("workers", "uncordon" if other == worker else "cordon", other)


def killed_while_writing(cluster, expected):
    experiment = submit(cluster, "writing")
    jobs = cluster.home / "w1" / "jobs"
    until(lambda: list(jobs.glob(f"{experiment}.*/out/checkpoints/update-*.partial")), 30, "a checkpoint in the making")
    for pid in cluster.trainer_pids():
        cluster.kill(pid)
    assert succeeded(cluster, experiment) == expected
    ends = [a[1:3] for a in attempts(cluster, experiment)]
    assert ends == [("failed", "crashed"), ("succeeded", "")], ends


def killed_while_uploading(cluster, expected):
    with Proxy(("127.0.0.1", cluster.port), bytes_per_second=8e6) as proxy:
        way = ["--coordinator", proxy.address]
        cluster.start_agent("slow", way)
        on(cluster, "slow")
        experiment = submit(cluster, "uploading", every=0)
        until(lambda: proxy.sent > 7 * CHUNK, 60, "the middle of an upload")
        cluster.kill_agent("slow")
        cluster.start_agent("slow", way)
        assert succeeded(cluster, experiment) == expected
        assert [a[1] for a in attempts(cluster, experiment)] == ["succeeded"], attempts(cluster, experiment)
        files = cluster.rows("SELECT kind, bytes FROM artifacts WHERE trial LIKE ?", f"experiments/{experiment}/%")
        total = sum(row[1] for row in files)
        print(f"{proxy.sent / CHUNK:.1f} MiB were sent of {total / CHUNK:.1f} MiB of {[kind for kind, _ in files]}")
        assert proxy.sent < total + 3 * CHUNK, "what had arrived was sent again"
        cluster.kill_agent("slow")


def damaged(cluster, expected):
    order, flipped = random.Random(5), {True: 0, False: 0}

    def flip(data, to_target):
        """Now and then a bit of what is long enough to be of a file."""
        if len(data) < 30000 or flipped[to_target] >= 3 or order.random() < 0.6:
            return data
        flipped[to_target] += 1
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 1 << order.randrange(8)
        return bytes(damaged)

    with Proxy(("127.0.0.1", cluster.port), damage=flip) as proxy:
        cluster.start_agent("damaged", ["--coordinator", proxy.address])
        on(cluster, "damaged")
        experiment = submit(cluster, "damaged")
        assert succeeded(cluster, experiment) == expected
        print(f"bits flipped: {flipped[True]} to the coordinator, {flipped[False]} from it; attempts {attempts(cluster, experiment)}")
        assert min(flipped.values()) >= 1, flipped


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        whole = submit(cluster, "whole")
        expected = succeeded(cluster, whole)
        killed_while_writing(cluster, expected)
        killed_while_uploading(cluster, expected)
        damaged(cluster, expected)


run(main)
