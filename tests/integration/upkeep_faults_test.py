"""What upkeep does when it is cut off, left alone or not allowed: a coordinator killed between the commit of a deletion and the
removal of the files, backups killed within a file, collection by itself, wrong folders and damaged backups, roles under TLS."""

import contextlib
import os
import subprocess
import time

from cluster import SPEC, Cluster, run, until
from proxy import Proxy

# Weights of 15 MB and a checkpoint of three times that, in a second.
LARGE = SPEC.replace("dim: 16, ffn_dim: 32", "dim: 256, ffn_dim: 1024").replace("beam: 2, sentences: 8", "beam: 1, sentences: 2")
RATE = 30e6  # bytes a second of a slow way


class FaultCluster(Cluster):
    """Its coordinator takes further flags."""

    flags = ()

    def start(self, name, command, host=None, environment=None):
        return super().start(name, [*command, *(self.flags if name == "coordinator" else ())], host, environment)

    def folder(self, *parts):
        return self.home.joinpath("coordinator", *parts)

    def restart(self, *flags):
        self.kill_coordinator()
        self.flags = flags
        self.start_coordinator()


def refused(result, *words, status=1):
    """One sentence, and that status."""
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    assert len(result.stderr.strip().splitlines()) == 1 and result.stderr.strip().endswith((".", "NAME", "viewer", "admin")), result.stderr
    for word in words:
        assert word in result.stderr, (word, result.stderr)


@contextlib.contextmanager
def slow_backup(cluster, folder, at_least=8 << 20):
    """Begins a backup over a slow way and waits until it is within a file; the process, and the file."""
    def pause(data, to_target):
        if not to_target:
            time.sleep(len(data) / RATE)
        return data

    with Proxy(("127.0.0.1", cluster.port), damage=pause) as proxy:
        process = subprocess.Popen([cluster.program("client/strata"), "--address", proxy.address, "admin", "backup", str(folder)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        partial = until(lambda: next((path for path in folder.rglob("*.partial") if path.stat().st_size >= at_least), None), 30, "a file on its way")
        yield process, partial
        if process.poll() is None:
            process.kill()
        process.communicate()


def received(cluster, folder):
    """Finishes a backup; how many bytes came over for it."""
    count = [0]

    def look(data, to_target):
        count[0] += 0 if to_target else len(data)
        return data

    with Proxy(("127.0.0.1", cluster.port), damage=look) as proxy:
        cluster.strata("admin", "backup", str(folder), "--address", proxy.address)
    return count[0]


def is_whole(cluster, folder):
    checked = cluster.strata("admin", "check", str(folder), check=False)
    assert checked.returncode == 0 and checked.stdout == "", checked.stdout + checked.stderr
    assert not list(folder.rglob("*.partial"))


def backups_that_are_cut_off(cluster):
    """Killed within a file it goes on there; where what has come is not of the file, that file begins anew."""
    folder = cluster.home / "cut-off"
    with slow_backup(cluster, folder) as (process, partial):
        process.kill()
        process.wait()
        came = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    refused(cluster.strata("admin", "check", str(folder), check=False), "this is no whole backup", "makes one", status=2)
    everything = sum(path.stat().st_size for name in ("artifacts", "datasets", "logs") for path in cluster.folder(name).rglob("*") if path.is_file())
    rest = received(cluster, folder)
    assert rest < everything - came + (1 << 20), f"{came} of {everything} bytes were there, and {rest} came once more"
    is_whole(cluster, folder)

    folder = cluster.home / "damaged-partial"
    with slow_backup(cluster, folder) as (process, partial):
        process.kill()
        process.wait()
        with open(partial, "r+b") as file:
            file.seek(1 << 20)
            file.write(b"not of this file")
    cluster.strata("admin", "backup", str(folder))
    is_whole(cluster, folder)

    folder = cluster.home / "coordinator-died"
    with slow_backup(cluster, folder) as (process, partial):
        cluster.kill_coordinator()
        message = process.communicate()[1]
        assert process.returncode != 0 and "run the command again to go on" in message, message
    cluster.start_coordinator()
    assert not list(cluster.folder("backups").iterdir()), "what an earlier life held for a backup"
    cluster.strata("admin", "backup", str(folder))
    is_whole(cluster, folder)
    return folder


def killed_in_the_middle_of_a_deletion(cluster, experiment, other):
    """Its rows have gone and its files have not: the next coordinator removes them, and those of nobody else."""
    trial = cluster.folder("artifacts", experiment, "t1")
    for number in range(20000):  # what takes longer to remove than to kill
        (trial / f"extra-{number}").touch()
    others = {path: path.stat().st_size for path in cluster.folder("artifacts", other).rglob("*")}
    deleting = subprocess.Popen([cluster.program("client/strata"), "--address", cluster.address, "delete", experiment, "--yes"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while cluster.rows("SELECT 1 FROM experiments WHERE name = ?", f"experiments/{experiment}"):
        pass
    cluster.kill_coordinator()
    deleting.kill()
    deleting.wait()
    left = len(list(trial.iterdir()))
    assert left > 0, "all files had gone before it was killed: it shows nothing"
    print(f"killed with {left} files to remove")
    cluster.start_coordinator()
    until(lambda: not cluster.folder("artifacts", experiment).exists() and not cluster.folder("logs", experiment).exists(), 20, "its files to go")
    assert others == {path: path.stat().st_size for path in cluster.folder("artifacts", other).rglob("*")}
    cluster.strata("admin", "check")
    assert cluster.strata("describe", experiment, check=False).returncode == 2


def collected_by_itself(cluster, ended):
    """By its policy, in its own thread, with nobody asking; a training that lives keeps what it needs."""
    kinds = lambda name: {row[0] for row in cluster.rows("SELECT kind FROM artifacts WHERE trial LIKE ?", f"experiments/{name}/%")}
    live = cluster.submit(SPEC.format(name="live", updates=100000, schemes="b2t", seeds="5"))
    until(lambda: "checkpoint_resumable" in kinds(live), 60, "a checkpoint of the live training")
    assert "checkpoint_resumable" in kinds(ended)
    before = {path for path in cluster.folder("artifacts", ended).rglob("*") if path.is_file()}
    cluster.restart("--retention", "resumable=1s", "--collect-every", "1s")
    until(lambda: "checkpoint_resumable" not in kinds(ended), 20, "the checkpoint to go by itself")
    left = until(lambda: next((now for now in [{path for path in cluster.folder("artifacts", ended).rglob("*") if path.is_file()}] if now < before), None),
                 10, "its file to go")
    assert len(left) == len(cluster.rows("SELECT 1 FROM artifacts WHERE trial LIKE ?", f"experiments/{ended}/%"))
    assert "checkpoint_final" in kinds(ended) and "checkpoint_resumable" in kinds(live)
    audit = cluster.strata("admin", "audit").stdout
    assert [line for line in audit.splitlines() if "CollectGarbage" in line and "coordinator" in line], audit
    extended = cluster.strata("submit", "--extend", ended, "--set", "train.updates=9", "--dry-run")
    assert "0 trials go on from a checkpoint, 1 from the beginning" in extended.stdout + extended.stderr, extended
    cluster.strata("admin", "check")
    refused(cluster.strata("delete", live, "--yes", check=False), f"experiments/{live}/trials/t1/jobs/train", "have not ended", "Cancel them or wait")
    cluster.strata("cancel", live)
    result = subprocess.run([cluster.program("server/strata-coordinator"), "--data-dir", str(cluster.home / "new"), "--collect-every", "0s"],
                            capture_output=True, text=True, timeout=20)
    refused(result, "--collect-every", "600s or never")
    assert "There is nothing to delete." in cluster.strata("gc").stdout


def wrong_folders(cluster, backup):
    foreign = cluster.home / "thesis"
    (foreign / "objects" / "pack").mkdir(parents=True)
    (foreign / "objects" / "pack" / "pack-1.idx").write_text("of a repository")
    refused(cluster.strata("admin", "backup", str(foreign), check=False), "is no folder of a backup", "objects/pack")
    assert (foreign / "objects" / "pack" / "pack-1.idx").exists() and len(list(foreign.rglob("*"))) == 3
    refused(cluster.strata("admin", "restore", str(backup), "--data-dir", str(cluster.folder()), check=False), "is a coordinator's folder")
    refused(cluster.strata("admin", "restore", str(foreign), "--data-dir", str(cluster.home / "new"), check=False), "this is no whole backup", status=2)
    largest = max((path for path in backup.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:1000] + b"?" + content[1001:])
    damaged = cluster.strata("admin", "restore", str(backup), "--data-dir", str(cluster.home / "new"), check=False)
    assert damaged.returncode == 1 and "is damaged" in damaged.stderr and "nothing was restored" in damaged.stderr, damaged
    assert not (cluster.home / "new").exists()
    assert largest.name in cluster.strata("admin", "check", str(backup), check=False).stdout
    largest.unlink()
    cluster.strata("admin", "backup", str(backup))  # as the finding says
    is_whole(cluster, backup)


def under_tls(cluster, experiment):
    """All of it by an admin's token; a viewer may look at sizes and plans, and no more."""
    certificates = cluster.home / "certs"
    for arguments in (["init"], ["coordinator", "--host", "127.0.0.1"]):
        cluster.strata("admin", "certs", *arguments, "--dir", str(certificates))
    cluster.kill_agent("w1")
    cluster.kill_coordinator()
    cluster.flags = [word for end in (("ca", "ca.crt"), ("cert", "coordinator.crt"), ("key", "coordinator.key"))
                     for word in (f"--tls-{end[0]}", f"{certificates}/{end[1]}")]
    cluster.start_coordinator(wait=False)
    token = cluster.folder("admin-token")
    until(token.exists, 20, "the first admin's token")
    root = token.read_text().strip()
    os.environ.update(STRATA_TLS_CA=f"{certificates}/ca.crt", STRATA_TOKEN=root)
    until(cluster.answers, 20, "the coordinator under TLS")
    viewer = cluster.strata("admin", "token", "create", "vera", "--role", "viewer").stdout.strip()
    backup = cluster.home / "over-tls"
    os.environ["STRATA_TOKEN"] = viewer
    assert experiment in cluster.strata("du").stdout
    plan = cluster.strata("delete", experiment, "--dry-run").stdout
    assert "weights" in plan, plan
    for arguments, call in ((["delete", experiment, "--yes"], "Delete"), (["gc"], "CollectGarbage"), (["gc", "--dry-run"], "CollectGarbage"),
                            (["admin", "backup", str(backup)], "BeginBackup"), (["admin", "check"], "CheckStorage")):
        refused(cluster.strata(*arguments, check=False), f"vera is a viewer, and {call} is for an admin.")
    assert not backup.exists(), "a refused backup leaves a folder"
    del os.environ["STRATA_TOKEN"]
    for arguments in (["du"], ["delete", experiment, "--yes"], ["gc"], ["admin", "backup", str(backup)], ["admin", "check"]):
        refused(cluster.strata(*arguments, check=False), "shows no token")
    os.environ["STRATA_TOKEN"] = root
    assert experiment in cluster.strata("du").stdout
    cluster.strata("admin", "backup", str(backup))
    is_whole(cluster, backup)
    cluster.strata("gc")
    cluster.strata("delete", experiment, "--yes")
    cluster.strata("admin", "check")
    assert experiment not in cluster.strata("du").stdout


def main():
    with FaultCluster.from_arguments() as cluster:
        cluster.add_dataset()
        ended = cluster.submit(LARGE.format(name="ended", updates=2, schemes="b2t", seeds="1"))
        goes = cluster.submit(SPEC.format(name="goes", updates=10, schemes="b2t", seeds="1"))
        assert cluster.wait(ended) == 0 and cluster.wait(goes) == 0
        backup = backups_that_are_cut_off(cluster)
        killed_in_the_middle_of_a_deletion(cluster, goes, ended)
        wrong_folders(cluster, backup)
        collected_by_itself(cluster, ended)
        under_tls(cluster, ended)


run(main)
