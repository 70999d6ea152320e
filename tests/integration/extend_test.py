"""20 updates and then 40 by `submit --extend` end in the weights of 40 at once; the extended trial shows the whole curve;
seeds are added beside it; fewer updates are refused."""

from cluster import SPEC, Cluster, run

SHORT = SPEC.format(name="grow", updates=20, schemes="b2t", seeds="1")
LONG = SPEC.format(name="whole", updates=40, schemes="b2t", seeds="1")


def main():
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        short = cluster.submit(SHORT)
        assert cluster.wait(short) == 0
        extended = cluster.strata("submit", "--extend", short, "--set", "train.updates=40", "--set", "seed=[1, 2]").stdout.strip()
        cluster.kill_coordinator()  # what is to be gone on from survives a restart
        cluster.start_coordinator()
        assert cluster.wait(extended) == 0, cluster.strata("describe", extended).stdout
        source = f"experiments/{short}/trials/t1"
        rows = cluster.rows("SELECT extended_from FROM trials WHERE experiment = ? ORDER BY position", f"experiments/{extended}")
        assert rows == [(source,), (None,)], rows
        resumed = cluster.rows("SELECT resumed_from FROM attempts WHERE job = ?", f"experiments/{extended}/trials/t1/jobs/train")
        assert resumed[-1] == (20,), resumed  # an attempt that the restart cut off before its start has none

        # At once, by force: the fingerprint of 40 updates is done already.
        assert cluster.wait(cluster.submit(LONG)) == 0
        assert len(cluster.rows("SELECT 1 FROM jobs WHERE kind = 'TRAIN'")) == 3
        whole = cluster.submit(LONG, "--force")
        assert cluster.wait(whole) == 0
        grown, once = cluster.trials(extended)[0], cluster.trials(whole)[0]
        assert grown[3] == once[3] and len(once[3]) == 64, (grown, once)
        # Steps and values of every measurement of trial 1 are the same.
        one = {key: value for key, value in cluster.measurements(extended).items() if key[0].startswith("trials/t1/")}
        other = cluster.measurements(whole)
        assert set(one) == set(other), sorted(set(one) ^ set(other))
        assert all(one[key] == other[key] for key in one), [key for key in one if one[key] != other[key]]
        assert "goes on from" in cluster.strata("describe", f"{extended}/t1").stdout

        refused = cluster.strata("submit", "--extend", extended, "--set", "train.updates=30", check=False)
        assert refused.returncode == 2 and "an extension adds updates" in refused.stderr + refused.stdout, refused


run(main)
