"""What the tests of jobs over several ranks share: their trial, and how its ranks and attempts are looked at."""

from cluster import until

SPEC = """
experiment: {name}
task: {{kind: translation, dataset: tiny}}
model: {{dim: 16, ffn_dim: 32, heads: 2, dropout: 0.1}}
train: {{updates: {updates}, update_frequency: {frequency}, max_tokens: 256, learning_rate: 1e-3, warmup: 10, validate_every: 50, checkpoint_every: 25, log_every: 5}}
resources: {{ranks: {ranks}, min_ranks: {least}, stall_seconds: {stall}}}
evaluate: [{evaluate}]
grid: {{scheme: [post_ln], depth: [2L-2L], seed: [1]}}
"""
BLEU = "{{metric: bleu, beam: 2, sentences: 8, max_length_b: 20, ranks: {ranks}}}"
UPDATES = 200


def submit(cluster, name, ranks=2, batches=2, least=0, updates=UPDATES, stall=0, evaluate="", more=()):
    """A training of so many ranks, `batches` an update over all of them: the same one whatever the ranks."""
    text = SPEC.format(name=name, ranks=ranks, least=least, frequency=batches // ranks, updates=updates, stall=stall,
                       evaluate=evaluate.format(ranks=ranks))
    return cluster.submit(text, "--force", *more)


def attempts(cluster, experiment, job="train"):
    """(number, outcome, cause, message) of each attempt, in order."""
    return cluster.rows("SELECT number, outcome, cause, message FROM attempts WHERE job LIKE ? ORDER BY number",
                        f"experiments/{experiment}/%/{job}")


def succeeded(cluster, experiment):
    assert cluster.wait(experiment) == 0, (attempts(cluster, experiment), cluster.strata("describe", experiment).stdout)
    return weights(cluster, experiment)


def weights(cluster, experiment):
    """Hash of the final weights."""
    found = cluster.trials(experiment)[0][3]
    assert len(found) == 64, found
    return found


def curve(cluster, experiment, name="valid_nll"):
    """(step, value) of a measurement of the training, in order."""
    return cluster.rows("SELECT step, value FROM measurement_scalars WHERE job LIKE ? AND name = ? ORDER BY step",
                        f"experiments/{experiment}/%/train", name)


def score(cluster, experiment, name="bleu"):
    return cluster.rows("SELECT value FROM measurement_scalars WHERE job LIKE ? AND name = ?", f"experiments/{experiment}/%", name)[0][0]


def trains(cluster, experiment, at_least=50):
    """Waits for so many updates."""
    until(lambda: cluster.rows("SELECT 1 FROM measurement_scalars WHERE job LIKE ? AND step >= ?", f"experiments/{experiment}/%", at_least),
          60, f"update {at_least}")


def rank_pids(cluster, experiment, ranks=2, job="train"):
    """Processes of the attempt's ranks, by rank, once so many run."""
    def look():
        found = {}
        for pid in cluster.trainer_pids():
            try:
                command = open(f"/proc/{pid}/cmdline").read().split("\0")
            except OSError:
                continue
            if any(experiment in part for part in command) and job in command:
                found[int(command[command.index("--rank") + 1])] = pid
        return found if len(found) == ranks else None
    return until(look, 30, f"{ranks} ranks")
