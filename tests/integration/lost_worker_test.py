"""A worker dies with its trainers: its jobs go on from their last checkpoint on a worker that never saw them, and end in the
bits of an undisturbed training. A crash of a trainer is that job's matter, never the agent's end."""

import time

from cluster import SPEC, Cluster, run, until

GRID = SPEC.format(name="lost", updates=300, schemes="post_ln, b2t", seeds="1")


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        undisturbed = cluster.submit(GRID)
        assert cluster.wait(undisturbed) == 0, cluster.trials(undisturbed)
        experiment = cluster.submit(GRID, "--force")

        def checkpointed():
            return cluster.rows("SELECT 1 FROM artifacts WHERE kind = 'checkpoint_resumable' AND trial LIKE ?", f"experiments/{experiment}/%")

        until(checkpointed, 60, "a checkpoint at the coordinator")
        for pid in cluster.trainer_pids():
            cluster.kill(pid)
        cluster.kill_agent("w1")
        for pid in cluster.trainer_pids():
            cluster.kill(pid)
        begin = time.monotonic()
        cluster.start_agent("w2")
        until(lambda: cluster.rows("SELECT 1 FROM attempts WHERE job LIKE ? AND number > 1", f"experiments/{experiment}/%"), 30,
              "the second attempt")
        print(f"second attempt after {time.monotonic() - begin:.1f} s, leases of {cluster.lease_seconds} s")
        assert cluster.wait(experiment) == 0, cluster.trials(experiment)
        assert [t[3] for t in cluster.trials(experiment)] == [t[3] for t in cluster.trials(undisturbed)]
        assert cluster.rows("SELECT 1 FROM attempts WHERE resumed_from > 0"), "no attempt went on from a checkpoint"
        assert cluster.agents["w2"].poll() is None


run(main)
