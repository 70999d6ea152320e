"""An evaluation on two ranks that loses a rank in the middle, and one that is stopped there, are made again and score what an
undisturbed one scores, with the same hypotheses."""

import pathlib
import signal
import time

from cluster import Cluster, run, until
from gangs import attempts, rank_pids, submit, succeeded

BLEU = "{{metric: bleu, beam: 8, max_length_b: 40, ranks: 2}}"


def outcome(cluster, experiment):
    """Measurements of the evaluation and the hashes of what it left."""
    files = cluster.rows("SELECT kind, sha256 FROM artifacts WHERE job LIKE ? AND kind IN ('hypotheses', 'sentence_scores') ORDER BY kind",
                         f"experiments/{experiment}/%evaluate%")
    scores = {key: value for key, value in cluster.measurements(experiment).items() if "evaluate" in key[0]}
    assert len(files) == 2 and scores, (files, scores)
    return files, scores


def decoding(cluster, experiment):
    """The two ranks of the evaluation, held while they decode."""
    pids = list(rank_pids(cluster, experiment, job="evaluate").values())

    def begun(pid):
        command = open(f"/proc/{pid}/cmdline").read().split("\0")
        spool = pathlib.Path(command[command.index("--spool") + 1])
        return spool.exists() and '"started"' in spool.read_text()
    until(lambda: all(begun(pid) for pid in pids), 20, "both ranks of the evaluation to have their model")
    for pid in pids:
        cluster.kill(pid, signal.SIGSTOP)
    assert set(pids) <= set(cluster.trainer_pids()), "the evaluation has ended already: give it more to decode"
    return pids


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset(held_out=400)  # batches of at most 64: a stop is seen between them
        cluster.start_agent("w2")
        cluster.await_workers("w1", "w2")
        whole = submit(cluster, "whole", updates=1, evaluate=BLEU)
        succeeded(cluster, whole)
        expected = outcome(cluster, whole)

        killed = submit(cluster, "killed", updates=1, evaluate=BLEU)
        pids = decoding(cluster, killed)
        cluster.kill(pids[1])
        cluster.kill(pids[0], signal.SIGCONT)
        succeeded(cluster, killed)
        assert outcome(cluster, killed) == expected, (outcome(cluster, killed), expected)
        ends = attempts(cluster, killed, "evaluate%")
        assert [a[1:3] for a in ends] == [("failed", "crashed"), ("succeeded", "")], ends

        stopped = submit(cluster, "stopped", updates=1, evaluate=BLEU)
        pids = decoding(cluster, stopped)
        cluster.strata("workers", "drain", "w2", "--no-wait")
        time.sleep(0.5)
        for pid in pids:
            cluster.kill(pid, signal.SIGCONT)
        assert cluster.agents["w2"].wait(30) == 0, cluster.log_tail("agent-w2")
        cluster.strata("workers", "uncordon", "w2")
        cluster.start_agent("w2")
        succeeded(cluster, stopped)
        assert outcome(cluster, stopped) == expected, (outcome(cluster, stopped), expected)
        ends = attempts(cluster, stopped, "evaluate%")
        assert [a[1] for a in ends] == ["stopped", "succeeded"], ends
        print(f"of all three: {expected}")


run(main)
