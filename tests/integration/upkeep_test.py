"""Deleting, room, garbage, backup and restore on a real cluster: references hold a deletion back, a coordinator that dies in the
middle of one loses nothing else, a backup taken while a training runs is restored, and goes on with results and an extension."""

import json
import subprocess
import time

from cluster import SPEC, Cluster, run, until


def usage(cluster, *name):
    return json.loads(cluster.strata("du", *name, "--output", "json").stdout)


def stored(cluster):
    """All files but the database's, and how many rows there are."""
    folder = cluster.home / "coordinator"
    files = {(str(path), path.stat().st_size) for path in folder.rglob("*") if path.is_file() and not path.name.startswith("strata.db")}
    return files, [cluster.rows(f"SELECT count(*) FROM {table}") for table in ("trials", "jobs", "artifacts", "measurement_scalars", "datasets")]


def on_disk(cluster):
    return int(subprocess.run(["du", "-sb", str(cluster.home / "coordinator")], capture_output=True, text=True, check=True).stdout.split()[0])


def check(cluster, *arguments):
    result = cluster.strata("admin", "check", *arguments, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def delete_and_die(cluster, experiment, delay):
    """Deletes, and kills the coordinator after `delay` seconds; says whether the experiment's rows are gone."""
    deleting = subprocess.Popen([cluster.program("client/strata"), "--address", cluster.address, "delete", experiment, "--yes"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    cluster.kill_coordinator()
    deleting.kill()
    deleting.wait()
    cluster.start_coordinator()
    gone = not cluster.rows("SELECT 1 FROM experiments WHERE name = ?", f"experiments/{experiment}")
    left = [row for table, column in (("trials", "experiment"), ("jobs", "trial"), ("artifacts", "trial"), ("measurement_scalars", "job"))
            for row in cluster.rows(f"SELECT {column} FROM {table} WHERE {column} LIKE ?", f"experiments/{experiment}%")]
    assert bool(left) != gone, (gone, left[:3])
    return gone


def main():
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        spec = lambda name, updates=20, seed=1: SPEC.format(name=name, updates=updates, schemes="b2t", seeds=seed)
        short = cluster.submit(spec("short"))
        assert cluster.wait(short) == 0
        weights = cluster.trials(short)[0][3]
        again = cluster.submit(spec("again"))  # refers to it
        assert cluster.wait(again) == 0

        # What another refers to stays; a plan alone changes nothing.
        before = stored(cluster)
        refused = cluster.strata("delete", short, "--yes", check=False)
        assert refused.returncode == 1 and again in refused.stderr, refused
        asked = subprocess.run([cluster.program("client/strata"), "--address", cluster.address, "delete", again], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True)
        assert asked.returncode == 2 and "Nobody is here to confirm" in asked.stderr, asked
        assert "would go" in cluster.strata("gc", "--dry-run", "--retention", "resumable=0s,epochs=0s,logs=0s,vectors=0s").stdout
        assert "checkpoints" in cluster.strata("delete", short, again, "--dry-run").stdout
        assert usage(cluster, short)["items"][0]["name"] == f"experiments/{short}"
        check(cluster)
        assert before == stored(cluster)
        total = until(lambda: next((found for found in [usage(cluster)] if int(found["total_bytes"]) == on_disk(cluster)), None), 10, "du to agree")
        parts = sum(int(item["bytes"]) for item in total["items"]) + sum(int(amount["bytes"]) for amount in total["rest"])
        assert parts == int(total["total_bytes"]), (parts, total)

        # A backup while a training runs; the second one fetches little.
        live = cluster.submit(spec("live", updates=400, seed=2))
        until(lambda: cluster.rows("SELECT 1 FROM artifacts WHERE trial LIKE ?", f"experiments/{live}/%"), 60, "a checkpoint")
        refused = cluster.strata("delete", live, "--yes", check=False)
        assert refused.returncode == 1 and "not ended" in refused.stderr, refused
        backup = cluster.home / "backup"
        cluster.strata("admin", "backup", str(backup))
        check(cluster, str(backup))
        said = cluster.strata("admin", "backup", str(backup)).stdout
        assert "were there" in said and ", 0 (" not in said, said
        check(cluster, str(backup))
        assert not list((cluster.home / "coordinator" / "backups").iterdir())
        cluster.strata("cancel", live)
        cluster.wait(live)

        # The coordinator dies in the middle of deletions: all of it is there, or none but files that nobody names.
        for delay in (0.02, 0.05, 0.09):
            if delete_and_die(cluster, live, delay):
                break
        check(cluster)
        if cluster.rows("SELECT 1 FROM experiments WHERE name = ?", f"experiments/{live}"):
            cluster.strata("delete", live, "--yes")
        assert cluster.strata("describe", live, check=False).returncode == 2
        cluster.strata("delete", again, short, "--yes")
        assert cluster.rows("SELECT count(*) FROM jobs") == [(0,)]
        assert all(item["name"] == "datasets/tiny" for item in usage(cluster)["items"]), usage(cluster)
        refused = cluster.strata("submit", "--extend", short, "--set", "train.updates=40", check=False)
        assert refused.returncode == 2, refused

        # Restored, everything is there again, and goes on.
        cluster.kill_coordinator()
        new = cluster.home / "restored"
        (new).mkdir()
        (new / "x").write_text("x")
        assert "not empty" in cluster.strata("admin", "restore", str(backup), "--data-dir", str(new), check=False).stderr
        (new / "x").unlink()
        cluster.strata("admin", "restore", str(backup), "--data-dir", str(new))
        (cluster.home / "coordinator").rename(cluster.home / "lost")
        new.rename(cluster.home / "coordinator")
        cluster.start_coordinator()
        check(cluster)
        assert cluster.trials(short)[0][3] == weights
        cluster.strata("report", short)
        extended = cluster.strata("submit", "--extend", short, "--set", "train.updates=30").stdout.strip()
        cluster.strata("cancel", live)
        assert cluster.wait(extended) == 0, cluster.strata("describe", extended).stdout
        resumed = cluster.rows("SELECT resumed_from FROM attempts WHERE job = ?", f"experiments/{extended}/trials/t1/jobs/train")
        assert resumed[-1] == (20,), resumed


run(main)
