"""Ranks that cannot meet end with one sentence that says why: an address that is not the machine's, one that others cannot reach, and a
rank 0 that dies before it opens the meeting, whose own end is told, not that the others waited in vain. One that is late is waited for."""

from cluster import Cluster, run, until
from gangs import attempts, submit, succeeded
from hosts import Hosts

# Ranks that try for less than the default's minute; rank 0 may be late, or ended before it begins.
TRAINER = """#!/bin/sh
case "$*" in *"--rank 0"*)
  if [ -e "{home}/kill-first" ]; then kill -KILL $$; fi
  if [ -e "{home}/late" ]; then sleep 4; fi
esac
exec {program} --rendezvous-seconds 3 "$@"
"""


def failed(cluster, name):
    """The message of the first attempt's end."""
    experiment = submit(cluster, name)
    end = until(lambda: [a for a in attempts(cluster, experiment) if a[1]], 25, "the attempt's end")[0]
    cluster.strata("cancel", experiment)
    cluster.wait(experiment)
    print(f"{name}: {end}")
    assert "\n" not in end[3], "not one sentence"
    return end


def restart(cluster, name, *extra):
    cluster.agents[name].terminate()  # so that it signs off and is awaited anew
    cluster.agents[name].wait(20)
    cluster.start_agent(name, extra)
    cluster.await_workers(name)


def main():
    with Hosts("home", "w1", "w2") as hosts, Cluster.from_arguments(slots=1, hosts=hosts) as cluster:
        cluster.add_dataset()
        trainer = cluster.home / "strata-trainer"
        trainer.write_text(TRAINER.format(home=cluster.home, program=cluster.program("worker/strata-trainer")))
        trainer.chmod(0o755)
        ours = ("--trainer", str(trainer))
        for host in ("w1", "w2"):
            hosts.ip(host, "addr", "add", "192.0.2.1/32", "dev", "lo")  # each reaches its own alone

        cluster.start_agent("w2", ours)
        cluster.await_workers("w1", "w2")
        restart(cluster, "w1", *ours, "--advertise-address", "198.51.100.9")
        restart(cluster, "w2", *ours, "--advertise-address", "198.51.100.9")
        end = failed(cluster, "not-ours")
        assert end[1:3] == ("failed", "rendezvous_failed") and "198.51.100.9" in end[3], end
        assert "must be this machine's" in end[3], end

        restart(cluster, "w1", *ours, "--advertise-address", "192.0.2.1")
        restart(cluster, "w2", *ours, "--advertise-address", "192.0.2.1")
        end = failed(cluster, "not-reached")
        assert end[1:3] == ("failed", "rendezvous_failed") and "192.0.2.1" in end[3], end

        restart(cluster, "w1", *ours)
        restart(cluster, "w2", *ours)
        (cluster.home / "late").touch()
        succeeded(cluster, submit(cluster, "late", updates=5))
        (cluster.home / "kill-first").touch()
        end = failed(cluster, "killed-before")
        assert end[1:3] == ("failed", "crashed") and "rank 0" in end[3] and "SIGKILL" in end[3], end


run(main)
