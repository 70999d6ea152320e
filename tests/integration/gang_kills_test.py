"""Ranks that are killed three times at random moments end in the bits and measurements of an undisturbed training."""

import os
import random
import time

from cluster import Cluster, run, until
from gangs import attempts, rank_pids, submit, succeeded


UPDATES = 500


def newest_checkpoint(cluster, experiment):
    return cluster.rows("SELECT MAX(step) FROM artifacts WHERE kind = 'checkpoint_resumable' AND trial LIKE ?",
                        f"experiments/{experiment}/%")[0][0] or 0


def killed(cluster, chance):
    whole = submit(cluster, "undisturbed", updates=UPDATES)
    expected = succeeded(cluster, whole)
    experiment = submit(cluster, "killed", updates=UPDATES)
    seen = -1  # the first at any moment, the start-up's too; each later one gets further than the one before
    for kill in range(3):
        pids = rank_pids(cluster, experiment)
        until(lambda: newest_checkpoint(cluster, experiment) > seen, 20, "a newer checkpoint")
        time.sleep(chance.uniform(0, 0.5))
        rank = chance.choice([0, 1])
        cluster.kill(pids[rank])
        until(lambda: len([a for a in attempts(cluster, experiment) if a[1]]) > kill, 20, "the attempt's end")
        seen = newest_checkpoint(cluster, experiment)
        print(f"kill {kill + 1}, rank {rank}, newest checkpoint {seen}: {attempts(cluster, experiment)[kill][1:3]}", flush=True)
    assert succeeded(cluster, experiment) == expected, "other weights after kills"
    resumed = cluster.rows("SELECT resumed_from FROM attempts WHERE job LIKE ? ORDER BY number", f"experiments/{experiment}/%/train")
    assert resumed[-1][0], resumed
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
