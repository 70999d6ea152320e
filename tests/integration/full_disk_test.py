"""A worker whose disk is full loses nothing: its job says so in one sentence and goes on elsewhere from its last checkpoint, to the bits of
an undisturbed one; the agent lives on and works again once there is room."""

import subprocess

from cluster import Cluster, Skipped, run, until
from gangs import attempts, succeeded

# A checkpoint of about 5 MB: on a disk of 9 there is room for one, not for the next beside it.
SPEC = """
experiment: {name}
task: {{kind: translation, dataset: tiny}}
model: {{dim: 80, ffn_dim: 320, heads: 2, dropout: 0.1}}
train: {{updates: 40, max_tokens: 256, learning_rate: 1e-3, warmup: 10, validate_every: 40, checkpoint_every: 10}}
grid: {{scheme: [post_ln], depth: [2L-2L], seed: [1]}}
"""
DISK = "9m"


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        whole = cluster.submit(SPEC.format(name="whole"))
        expected = succeeded(cluster, whole)
        folder = cluster.home / "small"
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Skipped(f"no small file system can be mounted here: {mounted.stderr.strip()}")
        try:
            cluster.start_agent("small")
            cluster.await_workers("small")
            cluster.strata("workers", "cordon", "w1")
            full = cluster.submit(SPEC.format(name="full"), "--force")
            end = until(lambda: [a for a in attempts(cluster, full) if a[1]], 30, "the end of the attempt whose disk is full")[0]
            print(end)
            assert end[1:3] == ("failed", "disk_full"), end
            assert "No space left" in end[3] and "Free some space" in end[3] and "\n" not in end[3], end
            cluster.strata("workers", "uncordon", "w1")
            cluster.strata("workers", "cordon", "small")
            assert succeeded(cluster, full) == expected, "other weights after a full disk"
            resumed = cluster.rows("SELECT resumed_from FROM attempts WHERE job LIKE ? ORDER BY number", f"experiments/{full}/%/train")
            assert resumed[-1][0], resumed
            assert cluster.agents["small"].poll() is None, cluster.log_tail("agent-small")
            cluster.strata("workers", "cordon", "w1")
            cluster.strata("workers", "uncordon", "small")
            little = cluster.submit(SPEC.format(name="little").replace("dim: 80", "dim: 16"))
            succeeded(cluster, little)
        finally:
            cluster.kill_agent("small")
            for pid in cluster.trainer_pids():
                cluster.kill(pid)
            subprocess.run(["umount", "-l", str(folder)], check=True)


run(main)
