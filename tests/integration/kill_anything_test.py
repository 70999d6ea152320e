"""Kills coordinator, agent and trainers with -9 at 12 random moments of a grid: the final weights and every stored
measurement equal those of an undisturbed grid."""

import os
import random
import time

from cluster import SPEC, Cluster, run

GRID = SPEC.format(name="kill", updates=600, schemes="post_ln, pre_ln, b2t", seeds="1, 2")
KILLS = 12


def undisturbed(build):
    with Cluster(build) as cluster:
        cluster.add_dataset()
        experiment = cluster.submit(GRID)
        assert cluster.wait(experiment) == 0, cluster.trials(experiment)
        return cluster.trials(experiment), cluster.measurements(experiment)


def main():
    seed = int(os.environ.get("STRATA_SEED", random.randrange(10**6)))
    print(f"seed {seed} (again with STRATA_SEED={seed})", flush=True)
    chance = random.Random(seed)
    with Cluster.from_arguments() as cluster:
        expected, measured = undisturbed(cluster.build)
        assert all(len(trial[3]) == 64 for trial in expected), expected
        cluster.add_dataset()
        experiment = cluster.submit(GRID)
        kills = 0
        while kills < KILLS:
            time.sleep(chance.uniform(0.1, 1.2))
            states = {trial[1] for trial in cluster.trials(experiment)}
            assert states - {"SUCCEEDED"}, f"the grid ended after {kills} kills: make it longer"
            what = chance.choice(["coordinator", "agent", "trainer"])
            trainers = cluster.trainer_pids()
            if what == "trainer" and not trainers:
                continue
            if what == "coordinator":
                cluster.kill_coordinator()
                time.sleep(chance.uniform(0, 0.5))
                cluster.start_coordinator()
            elif what == "agent":
                cluster.kill_agent("w1")
                time.sleep(chance.uniform(0, 0.5))
                cluster.start_agent("w1")
            else:
                cluster.kill(chance.choice(trainers))
            kills += 1
            print(f"kill {kills}: {what}", flush=True)
        assert cluster.wait(experiment) == 0, cluster.trials(experiment)
        got = cluster.trials(experiment)
        print("attempts:", [trial[2] for trial in got])
        assert [(t[1], t[3]) for t in got] == [(t[1], t[3]) for t in expected], f"{got}\n{expected}"
        again = cluster.measurements(experiment)
        assert set(again) == set(measured), sorted(set(again) ^ set(measured))[:10]
        differing = [key for key in measured if again[key] != measured[key]]
        assert not differing, [(key, measured[key], again[key]) for key in differing[:5]]
        print(f"{len(measured)} measurements and {len(got)} hashes are equal")


run(main)
