"""A machine that sleeps is no failure: all processes are stopped for three lease times and continued; no attempt is lost."""

import signal
import time

from cluster import SPEC, Cluster, run, until


def main():
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        experiment = cluster.submit(SPEC.format(name="sleep", updates=400, schemes="post_ln, b2t", seeds="1"))
        until(lambda: len(cluster.trainer_pids()) == 2, 30, "both trainers")
        time.sleep(1)
        pids = [cluster.coordinator.pid, cluster.agents["w1"].pid, *cluster.trainer_pids()]
        assert len(pids) == 4, "the trainings ended too soon for this test"
        for pid in pids:
            cluster.kill(pid, signal.SIGSTOP)
        time.sleep(3 * cluster.lease_seconds)
        for pid in pids:
            cluster.kill(pid, signal.SIGCONT)
        assert cluster.wait(experiment) == 0, cluster.trials(experiment)
        attempts = [trial[2] for trial in cluster.trials(experiment)]
        assert attempts == [1, 1], attempts


run(main)
