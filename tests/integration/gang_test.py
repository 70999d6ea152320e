"""One trial on several ranks: two agents of one slot and one of two give what one rank gives; a rank that is killed takes the others
with it and the job ends in the bits of an undisturbed one; a rank that hangs is found and named; a drained worker is left."""

import signal
import time

from cluster import Cluster, run, until

SPEC = """
experiment: {name}
task: {{kind: translation, dataset: tiny}}
model: {{dim: 16, ffn_dim: 32, heads: 2, dropout: 0.1}}
train: {{updates: {updates}, update_frequency: {frequency}, max_tokens: 256, learning_rate: 1e-3, warmup: 10, validate_every: 50, checkpoint_every: 25, log_every: 5}}
resources: {{ranks: {ranks}, stall_seconds: {stall}}}
evaluate: [{{metric: bleu, beam: 2, sentences: 8, max_length_b: 20, ranks: {ranks}}}]
grid: {{scheme: [post_ln], depth: [2L-2L], seed: [1]}}
"""
UPDATES = 300


def submit(cluster, name, ranks=2, updates=UPDATES, stall=0):
    text = SPEC.format(name=name, ranks=ranks, updates=updates, frequency=2 // ranks, stall=stall)
    return cluster.submit(text, "--force")


def ended(cluster, experiment):
    """Hash of the final weights, best NLL, BLEU."""
    assert cluster.wait(experiment) == 0, cluster.rows("SELECT * FROM attempts WHERE job LIKE ?", f"experiments/{experiment}/%")
    best = cluster.rows("SELECT weights_sha256, best_nll FROM trials WHERE experiment = ?", f"experiments/{experiment}")[0]
    bleu = cluster.rows("SELECT value FROM measurement_scalars WHERE job LIKE ? AND name = 'bleu'", f"experiments/{experiment}/%")[0]
    return (*best, *bleu)


def rank_pids(cluster, experiment):
    """Processes of the attempt's ranks, by rank, once all run."""
    def look():
        found = {}
        for pid in cluster.trainer_pids():
            try:
                command = open(f"/proc/{pid}/cmdline").read().split("\0")
            except OSError:
                continue
            if any(experiment in part for part in command) and "train" in command:
                found[int(command[command.index("--rank") + 1])] = pid
        return found if len(found) == 2 else None
    return until(look, 30, "two ranks")


def trains(cluster, experiment, at_least=50):
    until(lambda: cluster.rows("SELECT 1 FROM measurement_scalars WHERE job LIKE ? AND step >= ?", f"experiments/{experiment}/%", at_least),
          60, "updates")


def attempts(cluster, experiment):
    return cluster.rows("SELECT number, outcome, cause, message FROM attempts WHERE job LIKE ? ORDER BY number", f"experiments/{experiment}/%/train")


def killed(cluster, expected):
    experiment = submit(cluster, "killed")
    trains(cluster, experiment)
    pids = rank_pids(cluster, experiment)
    began = time.monotonic()
    cluster.kill(pids[1])
    until(lambda: not set(pids.values()) & set(cluster.trainer_pids()), 10, "the other rank's end")
    print(f"the other rank ended {time.monotonic() - began:.2f} s after the kill")
    assert ended(cluster, experiment)[0] == expected[0], "other weights after a kill"
    first = attempts(cluster, experiment)[0]
    assert first[1:3] == ("failed", "crashed"), first
    assert "SIGKILL" in first[3] and "rank 1" in first[3], first
    print("killed:", first[3].splitlines()[-1])


def hangs(cluster):
    experiment = submit(cluster, "hangs", updates=100000, stall=3)
    trains(cluster, experiment)
    pids = rank_pids(cluster, experiment)
    cluster.kill(pids[1], signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: not set(pids.values()) & set(cluster.trainer_pids()), 13, "the end of ranks that hang")
    print(f"hanging ranks ended {time.monotonic() - began:.2f} s after the stop, stall_seconds 3")
    end = until(lambda: [a for a in attempts(cluster, experiment) if a[1] == "failed" and "collective" in a[3]], 20, "the comparison")[0]
    print("stalled:", end[3])
    assert end[2] == "stalled" and ("Rank 1 is " in end[3] or "All ranks stood at" in end[3]), end
    cluster.strata("cancel", experiment)


def drained(cluster, worker):
    experiment = submit(cluster, "drained")
    trains(cluster, experiment, at_least=30)
    pids = rank_pids(cluster, experiment).values()
    for pid in pids:
        cluster.kill(pid, signal.SIGSTOP)  # so that the training does not end before
    cluster.strata("workers", "drain", worker)
    time.sleep(0.5)
    for pid in pids:
        cluster.kill(pid, signal.SIGCONT)
    assert cluster.agents[worker].wait(30) == 0, cluster.log_tail(f"agent-{worker}")
    return experiment


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        cluster.start_agent("w2")
        alone = ended(cluster, submit(cluster, "alone", ranks=1))
        apart = ended(cluster, submit(cluster, "apart"))
        assert abs(apart[1] - alone[1]) <= 1e-5 * abs(alone[1]), (alone, apart)
        killed(cluster, apart)
        hangs(cluster)
        cluster.slots = 2
        cluster.start_agent("wide")
        until(lambda: cluster.strata("workers").stdout.count("wide") > 0, 20, "the wide worker")
        together = ended(cluster, submit(cluster, "together"))  # on the wide one alone, as gangs are packed
        assert together == apart, (together, apart)
        experiment = drained(cluster, "wide")
        assert ended(cluster, experiment)[0] == apart[0], "other weights after a drain"
        assert [a[1] for a in attempts(cluster, experiment)] == ["stopped", "succeeded"], attempts(cluster, experiment)
        print(f"best NLL {alone[1]:.7f} of one rank, {apart[1]:.7f} of two; BLEU {alone[2]:.4f} and {apart[2]:.4f}")


run(main)
