"""An elastic training that finds and loses workers, on 1, 4 and 2 ranks in turn, has the losses of a training on one rank to 1e-5."""

import contextlib
import json
import signal

from cluster import Cluster, run, until
from gangs import attempts, curve, rank_pids, submit, succeeded, trains

TOLERANCE = 1e-5  # relative


@contextlib.contextmanager
def held(cluster, experiment, ranks):
    """The training stands still meanwhile."""
    pids = rank_pids(cluster, experiment, ranks).values()
    for pid in pids:
        cluster.kill(pid, signal.SIGSTOP)
    yield list(pids)
    for pid in pids:
        cluster.kill(pid, signal.SIGCONT)


def sizes(cluster, experiment):
    """Ranks of each attempt, in order."""
    places = cluster.rows("SELECT places FROM attempts WHERE job LIKE ? ORDER BY number", f"experiments/{experiment}/%/train")
    return [len(json.loads(row[0])) for row in places]


def resized(cluster):
    """1 -> 4 by a move to a wide worker, 4 -> 2 by the wide worker's loss."""
    whole = submit(cluster, "whole", ranks=1, batches=4)
    succeeded(cluster, whole)
    elastic = submit(cluster, "elastic", ranks=4, batches=4, least=1)
    trains(cluster, elastic, at_least=25)
    with held(cluster, elastic, 1):
        cluster.slots = 4
        cluster.start_agent("wide")
        cluster.slots = 1
        cluster.start_agent("w2")
        cluster.await_workers("wide", "w2")
        cluster.strata("workers", "cordon", "w1")
    until(lambda: len(sizes(cluster, elastic)) == 2, 20, "the move")
    trains(cluster, elastic, at_least=100)
    with held(cluster, elastic, 4) as pids:
        cluster.strata("workers", "uncordon", "w1")
        cluster.kill_agent("wide")
        for pid in pids:
            cluster.kill(pid)
    succeeded(cluster, elastic)
    print(f"world sizes {sizes(cluster, elastic)}; {[a[1:3] for a in attempts(cluster, elastic)]}")
    assert sizes(cluster, elastic) == [1, 4, 2], attempts(cluster, elastic)
    worst = 0
    for name in ("valid_nll", "train_loss"):
        expected, actual = curve(cluster, whole, name), curve(cluster, elastic, name)
        assert len(expected) == len(actual) > 3
        for (step, there), (other, here) in zip(expected, actual):
            assert step == other
            worst = max(worst, abs(here - there) / abs(there))
    print(f"largest relative difference of losses {worst:.2e}; last validation {actual[-1]}")
    assert worst <= TOLERANCE, worst


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        resized(cluster)


run(main)
