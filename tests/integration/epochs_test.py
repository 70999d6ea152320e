"""The mean of the last epochs' weights is evaluated; with trainers, agent and coordinator killed by -9 in the middle of the
experiment, hashes, scores and kept epochs are those of an undisturbed one, each epoch once."""

import time

from cluster import SPEC, Cluster, run, until

GRID = SPEC.format(name="epochs", updates=200, schemes="b2t", seeds="1, 2").replace(
    "log_every: 5", "log_every: 5, keep_epoch_checkpoints: 3").replace(
    "max_length_b: 20}", "max_length_b: 20, checkpoint: average, average_last: 2}")


def kept(cluster, experiment):
    """(trial, update, hash) of the epochs that are kept."""
    return cluster.rows("SELECT trial, step, sha256 FROM artifacts WHERE kind = 'checkpoint_epoch' AND trial LIKE ? ORDER BY 1, 2",
                        f"experiments/{experiment}/%")


def scores(cluster, experiment):
    return {key: value for key, value in cluster.measurements(experiment).items() if key[2] == "bleu"}


def main():
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        plain = cluster.submit(GRID)
        assert cluster.wait(plain) == 0, cluster.strata("describe", plain).stdout
        epochs = kept(cluster, plain)
        assert len(epochs) == 6, epochs
        assert len(scores(cluster, plain)) == 2

        killed = cluster.submit(GRID, "--force")
        experiment = f"experiments/{killed}"
        until(lambda: cluster.rows("SELECT 1 FROM artifacts WHERE kind = 'checkpoint_epoch' AND trial LIKE ?", experiment + "/%"),
              60, "an epoch's weights")
        for pid in cluster.trainer_pids():
            cluster.kill(pid)
        time.sleep(0.3)
        cluster.kill_agent("w1")
        cluster.kill_coordinator()
        cluster.start_coordinator()
        cluster.start_agent("w1")
        assert cluster.wait(killed) == 0, cluster.strata("describe", killed).stdout
        assert any(trial[2] > 1 for trial in cluster.trials(killed)), "nothing was killed: make it longer"
        assert [trial[3] for trial in cluster.trials(killed)] == [trial[3] for trial in cluster.trials(plain)]
        again = [(trial.replace(killed, plain), *rest) for trial, *rest in kept(cluster, killed)]
        assert again == epochs, (again, epochs)
        assert scores(cluster, killed) == scores(cluster, plain)


run(main)
