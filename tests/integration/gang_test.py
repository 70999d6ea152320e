"""One trial on several ranks: two agents of one slot and one of two give what one rank gives; a rank that is killed takes the others
with it and the job ends in the bits of an undisturbed one; a rank that hangs is found and named; a drained worker is left."""

import re
import signal
import time

from cluster import Cluster, run, until
from gangs import BLEU, attempts, curve, rank_pids, score, submit, succeeded, trains


def ended(cluster, experiment):
    """Hash of the final weights, validations, BLEU."""
    return succeeded(cluster, experiment), curve(cluster, experiment), score(cluster, experiment)


def killed(cluster, expected):
    experiment = submit(cluster, "killed")
    trains(cluster, experiment)
    pids = rank_pids(cluster, experiment)
    began = time.monotonic()
    cluster.kill(pids[1])
    until(lambda: not set(pids.values()) & set(cluster.trainer_pids()), 10, "the other rank's end")
    print(f"the other rank ended {time.monotonic() - began:.2f} s after the kill")
    assert succeeded(cluster, experiment) == expected, "other weights after a kill"
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
    assert end[2] == "stalled" and ("Rank 1 is " in end[3] or re.search(r"Rank 1 stood at .*, suspended\)", end[3])), end
    cluster.strata("cancel", experiment)


def drained(cluster, worker, expected):
    experiment = submit(cluster, "drained")
    trains(cluster, experiment, at_least=30)
    pids = rank_pids(cluster, experiment).values()
    for pid in pids:
        cluster.kill(pid, signal.SIGSTOP)  # so that the training does not end before
    cluster.strata("workers", "drain", worker, "--no-wait")
    time.sleep(0.5)
    for pid in pids:
        cluster.kill(pid, signal.SIGCONT)
    assert cluster.agents[worker].wait(30) == 0, cluster.log_tail(f"agent-{worker}")
    assert succeeded(cluster, experiment) == expected, "other weights after a drain"
    assert [a[1] for a in attempts(cluster, experiment)] == ["stopped", "succeeded"], attempts(cluster, experiment)


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        cluster.start_agent("w2")
        cluster.await_workers("w1", "w2")
        alone = ended(cluster, submit(cluster, "alone", ranks=1, evaluate=BLEU))
        apart = ended(cluster, submit(cluster, "apart", evaluate=BLEU))
        assert len(apart[1]) == len(alone[1]) > 3
        for (step, here), (there_step, there) in zip(apart[1], alone[1]):
            assert step == there_step and abs(here - there) <= 1e-5 * abs(there), (alone, apart)
        killed(cluster, apart[0])
        hangs(cluster)
        cluster.slots = 2
        cluster.start_agent("wide")
        cluster.await_workers("wide")
        together = ended(cluster, submit(cluster, "together", evaluate=BLEU))  # on the wide one alone, as gangs are packed
        assert together == apart, (together, apart)
        drained(cluster, "wide", apart[0])
        print(f"last NLL {alone[1][-1][1]:.7f} of one rank, {apart[1][-1][1]:.7f} of two; BLEU {alone[2]:.4f} and {apart[2]:.4f}")


run(main)
