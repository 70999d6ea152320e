"""Workers on different hosts (network namespaces): one training over both; a partition that heals is counted once, for a gang and for
a job that the lost worker runs to its end meanwhile; both end in the bits and measurements of undisturbed ones."""

import time

from cluster import Cluster, run, until
from gangs import attempts, rank_pids, submit, succeeded, trains
from hosts import Hosts


def gang(cluster, hosts):
    whole = submit(cluster, "whole")
    expected = succeeded(cluster, whole)
    met = cluster.rows("SELECT rendezvous FROM attempts WHERE job LIKE ?", f"experiments/{whole}/%/train")
    assert met[0][0].rsplit(":", 1)[0] in (hosts.address("w1"), hosts.address("w2")), met

    parted = submit(cluster, "parted")
    trains(cluster, parted)
    pids = rank_pids(cluster, parted)
    began = time.monotonic()
    hosts.cut("w2")
    until(lambda: [a for a in attempts(cluster, parted) if a[1]], 20, "the end of the attempt that lost a worker")
    until(lambda: len(set(pids.values()) & set(cluster.trainer_pids())) < 2, 20, "the end of the rank that is left")
    print(f"parted: {time.monotonic() - began:.1f} s to the attempt's and the other rank's end, leases of {cluster.lease_seconds} s")
    hosts.heal("w2")
    assert succeeded(cluster, parted) == expected, "other weights after a partition"
    assert not set(pids.values()) & set(cluster.trainer_pids()), "a rank of the fenced attempt is still there"
    assert [a[1] for a in attempts(cluster, parted)][1:] == ["succeeded"], attempts(cluster, parted)
    assert cluster.measurements(parted) == cluster.measurements(whole)
    print(f"parted: {attempts(cluster, parted)[0]}; went on after {time.monotonic() - began:.1f} s in all")


def alone(cluster, hosts):
    """The lost worker's trainer goes on by itself to the end, while another worker does the job again."""
    cluster.strata("workers", "cordon", "w1")
    whole = submit(cluster, "once", ranks=1)
    expected = succeeded(cluster, whole)
    twice = submit(cluster, "twice", ranks=1)
    trains(cluster, twice)
    lost = rank_pids(cluster, twice, ranks=1)[0]
    hosts.cut("w2")
    cluster.strata("workers", "uncordon", "w1")
    assert succeeded(cluster, twice) == expected
    until(lambda: lost not in cluster.trainer_pids(), 20, "the lost worker's trainer to come to its end")
    spools = list((cluster.home / "w2" / "attempts").glob("**/*"))
    assert any('"finished"' in file.read_text(errors="replace") for file in spools if file.is_file()), spools
    done = [a[:3] for a in attempts(cluster, twice)]
    assert [a[1] for a in done][1:] == ["succeeded"], done
    before = cluster.measurements(twice)
    hosts.heal("w2")
    until(lambda: not any((cluster.home / "w2" / "attempts").iterdir()), 30, "the lost worker to drop what it did")
    assert [a[:3] for a in attempts(cluster, twice)] == done, "the fenced attempt was counted"
    assert cluster.measurements(twice) == before == cluster.measurements(whole)


def main():
    with Hosts("home", "w1", "w2") as hosts, Cluster.from_arguments(slots=1, hosts=hosts) as cluster:
        cluster.add_dataset()
        cluster.start_agent("w2")
        cluster.await_workers("w1", "w2")
        gang(cluster, hosts)
        alone(cluster, hosts)


run(main)
