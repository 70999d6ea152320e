"""Ranks that are killed three times at random moments end in the bits and measurements of an undisturbed training."""

import os
import random
import time

from cluster import Cluster, run, until
from gangs import attempts, rank_pids, submit, succeeded


UPDATES = 1000


def killed(cluster, chance):
    whole = submit(cluster, "undisturbed", updates=UPDATES)
    expected = succeeded(cluster, whole)
    experiment = submit(cluster, "killed", updates=UPDATES)
    for kill in range(3):
        pids = rank_pids(cluster, experiment)
        time.sleep(chance.uniform(0.2, 1.3))
        rank = chance.choice([0, 1])
        cluster.kill(pids[rank])
        until(lambda: len([a for a in attempts(cluster, experiment) if a[1]]) > kill, 20, "the attempt's end")
        print(f"kill {kill + 1}, rank {rank}: {attempts(cluster, experiment)[kill][1:3]}", flush=True)
    assert succeeded(cluster, experiment) == expected, "other weights after kills"
    resumed = cluster.rows("SELECT resumed_from FROM attempts WHERE job LIKE ?", f"experiments/{experiment}/%/train")
    print("attempts went on from", [row[0] for row in resumed])
    assert cluster.measurements(experiment) == cluster.measurements(whole)


def main():
    seed = int(os.environ.get("STRATA_SEED", random.randrange(10**6)))
    print(f"seed {seed} (again with STRATA_SEED={seed})", flush=True)
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        cluster.start_agent("w2")
        cluster.await_workers("w1", "w2")
        killed(cluster, random.Random(seed))


run(main)
