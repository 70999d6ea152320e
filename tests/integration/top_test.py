"""`strata top` through a pseudo-terminal against a real coordinator: the list of experiments, the board, a trial with its measurements,
its log, workers and slots, cancel and retry by key, a coordinator that is killed and comes back, a new size, and the terminal as it was
before at the end, however it ends. `--once` and what stands in for the screen where there is no terminal."""

import os
import re
import signal
import subprocess

from cluster import SPEC, Cluster, free_port, run, until
from terminal import Terminal


def by_keys(cluster, experiment):
    top = Terminal(cluster, "top")
    top.shows("experiments", experiment, "jk move", "q quit")
    top.keys("\r")
    board = top.shows("2L-2L", "b2t", "pre_ln", "bleu", "hjkl move", "0 of 1 slot used")
    assert "translation tiny" in board and board.count("\u2713 bleu") == 2, board
    top.keys("\r")
    trial = top.shows("train_loss", "gradient norm, layer by update", "encoder", "decoder", "learning rate", "attempt 1 on w1")
    assert re.search("[\u2801-\u28ff]", trial), trial  # the curve
    top.keys("l")
    top.shows("log of", "ttempt 1")  # of a short training it may be empty
    top.keys("\x1b")
    top.shows("train_loss")
    top.keys("w")
    top.shows("workers and slots", "w1", "READY", "0 of 1 used", "slot 0", "free")
    top.keys("?")
    top.shows("this help; quit")
    top.keys("?q")
    top.ends(0)


def steers(cluster):
    """Cancel asks, retry goes on, while a long training runs; the coordinator is killed and comes back."""
    running = cluster.submit(SPEC.format(name="long", updates=100000, schemes="b2t", seeds="1"))
    top = Terminal(cluster, "top", running, NO_COLOR="1")
    top.shows("\u25b6", "/100000", "1 of 1 slot used")
    assert not re.search(r"\x1b\[([0-9]+;)*[34][0-7](;[0-9]+)*m", top.raw), "colours in spite of NO_COLOR"
    cluster.kill_coordinator()
    top.shows("The coordinator does not answer since", "trying again", "/100000")
    cluster.start_coordinator()
    until(lambda: "does not answer" not in top.screen.text(), 20, "the coordinator's answer on the screen")
    top.resize(10, 40)
    top.shows("strata top needs 80x24, this is 40x10")
    top.resize(30, 100)
    top.shows("/100000", "hjkl move")
    top.keys("cn")
    top.shows("hjkl move")
    top.keys("c")
    top.shows(f"Cancel {running}/t1 (train, evaluate-1)? y/n")
    top.keys("y")
    top.shows("- cancelled", "1 trial: 1 CANCELLED")
    top.keys("r")
    top.shows("train is QUEUED again", "1 of 1 slot used")
    top.process.send_signal(signal.SIGTERM)
    top.ends(-signal.SIGTERM)
    cluster.strata("cancel", running)


def without_a_screen(cluster, experiment):
    once = cluster.strata("top", experiment, "--once").stdout
    assert "2L-2L" in once and once.count("bleu") == 2 and "\x1b" not in once, once
    lines = cluster.strata("top", experiment).stdout  # no terminal: as watch
    assert f"{experiment}/t1" in lines and "SUCCEEDED" in lines and "\x1b" not in lines, lines
    assert cluster.strata("top", "none-such-9", "--once", check=False).returncode == 2
    assert "Name an EXPERIMENT" in cluster.strata("top", check=False).stderr
    plain = Terminal(cluster, "top", experiment, LC_ALL="C")
    plain.shows("+ bleu")
    assert all(ord(character) < 128 for character in plain.raw), "a character that the locale does not have"
    plain.keys("\x03")  # ctrl-C reaches the program as a signal
    plain.process.send_signal(signal.SIGINT)
    plain.ends(130)


def refused_meanwhile(cluster):
    """Over TLS, by a token that is revoked while it looks: it says so on every page, keeps what it knows, and can be left."""
    certs, data, address = cluster.home / "certs", cluster.home / "secure", f"127.0.0.1:{free_port()}"
    for arguments in (["init"], ["coordinator", "--host", "127.0.0.1"]):
        cluster.strata("admin", "certs", *arguments, "--dir", str(certs))
    secure = cluster.start("secure", [cluster.program("server/strata-coordinator"), "--data-dir", str(data), "--listen", address, "--metrics-listen", "none",
                                      "--tls-ca", f"{certs}/ca.crt", "--tls-cert", f"{certs}/coordinator.crt", "--tls-key", f"{certs}/coordinator.key"])
    try:
        until((data / "admin-token").exists, 20, "the first admin's token")
        root = {"STRATA_ADDRESS": address, "STRATA_TLS_CA": f"{certs}/ca.crt", "STRATA_TOKEN": (data / "admin-token").read_text().strip()}
        admin = lambda *arguments: subprocess.run([cluster.program("client/strata"), *arguments], env=dict(os.environ, **root), capture_output=True, text=True)
        created = until(lambda: next((found for found in [admin("admin", "token", "create", "vera", "--role", "viewer")] if found.returncode == 0), None),
                        20, "the coordinator under TLS")
        top = Terminal(cluster, "top", **dict(root, STRATA_TOKEN=created.stdout.strip()))
        top.shows("experiments", "No experiments yet")
        admin("admin", "token", "revoke", "vera")
        top.shows("No experiments yet", "The coordinator lets you in no more since", "The token vera was revoked at")
        top.keys("w")
        top.shows("workers and slots", "The token vera was revoked at")
        top.keys("q")
        top.ends(0)
        assert "The token vera was revoked at" in Terminal(cluster, "top", **dict(root, STRATA_TOKEN=created.stdout.strip())).shows("revoked")
    finally:
        secure.kill()
        secure.wait()


def main():
    with Cluster.from_arguments(slots=1) as cluster:
        cluster.add_dataset()
        experiment = cluster.submit(SPEC.format(name="grid", updates=20, schemes="b2t, pre_ln", seeds="1"))
        assert cluster.wait(experiment) == 0
        by_keys(cluster, experiment)
        without_a_screen(cluster, experiment)
        steers(cluster)
        refused_meanwhile(cluster)


run(main)
