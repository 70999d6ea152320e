"""client/python, built as a user builds it, with the real grpcio and pandas against a real coordinator, agent and trainers.

The first process makes the environment (locked by hash) and the package, and goes on as a second one inside of them.
"""

import contextlib
import hashlib
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from cluster import SPEC, Cluster, Skipped, free_port, run, until

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = SOURCE / "client" / "python"
LOCK = PACKAGE / "tests" / "requirements.txt"


def environment():
    """The folder of the environment with what LOCK names."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]
    made = subprocess.run([SOURCE / "tests" / "python_environment", f"python-client-{digest}", "--require-hashes",
                           "--no-deps", f"--requirement={LOCK}"], text=True, capture_output=True)
    if made.returncode == 77:
        raise Skipped(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return pathlib.Path(made.stdout.strip())


def build(python, folder):
    """Builds wheel and source distribution as pip and setuptools do; the package is installed out of the source distribution,
    which so is shown to be whole. Returns where it lies."""
    tree = folder / "tree"
    shutil.copytree(PACKAGE, tree / "client" / "python", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SOURCE / "proto", tree / "proto")
    subprocess.run([python, "setup.py", "-q", "sdist", "--dist-dir", folder], cwd=tree / "client" / "python", check=True,
                   capture_output=True, text=True)
    archive, = folder.glob("strata-*.tar.gz")
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-build-isolation", "--no-deps",
                    "--no-index", "--target", folder / "site", archive], check=True)
    stubs = sorted(path.name for path in (folder / "site" / "strata" / "v1").glob("*_pb2.py"))
    assert "resources_pb2.py" in stubs and len(stubs) == len(list((SOURCE / "proto" / "strata" / "v1").glob("*.proto"))), stubs
    assert (folder / "site" / "strata" / "py.typed").exists()
    version = re.search(r"project\(strata VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text())[1]
    assert archive.name == f"strata-{version}.tar.gz", f"pyproject.toml and CMakeLists.txt differ: {archive.name}, {version}"
    assert not list(PACKAGE.rglob("*_pb2*")), "a stub was checked in, or made beside the sources"
    return folder / "site"


def go_inside():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="strata-python-client-"))
    try:
        made = environment()
        python = made / "bin" / "python"
        for check in (["check"], ["format", "--check"]):
            ruff = subprocess.run([made / "bin" / "ruff", *check, "--no-cache", "-q", PACKAGE], capture_output=True, text=True)
            assert ruff.returncode == 0, ruff.stdout + ruff.stderr
        paths = os.pathsep.join(map(str, [build(python, folder), PACKAGE / "tests"]))
        inside = subprocess.run([python, "-B", *sys.argv], env=dict(os.environ, STRATA_TEST_INSIDE="yes", PYTHONPATH=paths))
        if inside.returncode == 77:
            sys.exit(77)
        assert inside.returncode == 0, "the cases failed; see above"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- the cases, inside ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def refused(kind, *words, code=None):
    try:
        yield
    except kind as error:
        for word in words:
            assert word in str(error), f"{word!r} is not in {error}"
        assert code is None or error.code == code, error.code
    else:
        raise AssertionError(f"nothing was refused, but {words} was expected")


def command_line(cluster, path, sets, *further):
    """What `strata submit` says of the file: (True, JSON) or (False, its sentence)."""
    arguments = [word for setting in sets for word in ("--set", setting)]
    result = cluster.strata("submit", str(path), "--dry-run", "--output", "json", *arguments, *further, check=False)
    return result.returncode == 0, (result.stdout if result.returncode == 0 else result.stderr.strip())


def both_readers_say_the_same(cluster, strata):
    """Every spec that the command line refuses is refused by the same sentence; what it takes is read to the same message."""
    import specs
    from google.protobuf import json_format
    from strata.v1 import experiment_service_pb2, resources_pb2

    path = cluster.home / "grid.yaml"
    client = strata.Client(cluster.address)
    cases = [(text, []) for text in specs.REFUSED] + [(specs.GRID, [setting]) for setting in specs.REFUSED_SETTINGS]
    for text, sets in cases:
        path.write_text(text)
        taken, sentence = command_line(cluster, path, sets)
        assert not taken, text
        with refused(strata.InvalidSpec, code="INVALID_ARGUMENT"):
            try:
                client.estimate(path, set=sets)
            except strata.InvalidSpec as error:
                assert str(error) == sentence, f"{text}\ncommand line: {sentence}\nPython:       {error}"
                raise
    for text, word in specs.REFUSED_BY_THE_COORDINATOR:
        text = text.replace("dataset: d", "dataset: tiny")
        with refused(strata.InvalidSpec, "spec: ", word):
            client.estimate(text)
    for text, sets in specs.TAKEN:
        path.write_text(text.replace("dataset: d}", "dataset: tiny}"))
        taken, output = command_line(cluster, path, sets)
        assert taken, output
        theirs = json_format.Parse(output, experiment_service_pb2.CreateExperimentResponse()).experiment.spec
        ours = strata.spec.read_spec(path.read_text(), "grid.yaml", sets)
        assert isinstance(ours, resources_pb2.ExperimentSpec) and ours == theirs, f"{text}\n{ours}\n{theirs}"
    with refused(strata.InvalidSpec, "grid.yaml:3: This is not YAML"):
        path.write_text("experiment: x\na: [1\n")
        client.estimate(path)
    print(f"{len(cases)} bad specs refused by the same sentences, {len(specs.TAKEN)} read alike")


def submits_texts_paths_and_dicts(cluster, strata, client):
    import numpy

    text = SPEC.format(name="forms", updates=20, schemes="b2t", seeds="1")
    path = cluster.home / "forms.yaml"
    path.write_text(text)
    as_dict = {
        "experiment": "forms", "task": {"kind": "translation", "dataset": "tiny"},
        "model": {"dim": numpy.int64(16), "ffn_dim": 32, "heads": 2}, "train": {"updates": 20, "learning_rate": 1e-3},
        "grid": {"scheme": ("b2t", "pre_ln"), "depth": ["2L-2L"], "seed": range(1, 3)},
    }
    for form, trials in ((text, 1), (path, 1), (str(path), 1), (as_dict, 4)):
        assert client.estimate(form).trials == trials
    assert client.estimate(path, set={"seed": [1, 2, 3]}).trials == 3
    assert client.estimate(path, set={"train.updates": 7, "train.learning_rate": 1e-5, "depth": "3L-3L"}).updates == 7
    with refused(strata.InvalidSpec, "spec: model.dim", "is a text, because it is in quotes"):
        client.submit(as_dict | {"model": {"dim": "16"}})
    with refused(strata.InvalidSpec, 'spec: "modle" is no key of an experiment. Do you mean model?'):
        client.submit(as_dict | {"modle": {}})
    with refused(strata.InvalidSpec, "it holds what YAML cannot say"):
        client.submit(as_dict | {"model": {"dim": object()}})
    with refused(strata.InvalidSpec, "there is no such file"):
        client.submit("nowhere.yaml")
    with refused(strata.InvalidSpec, 'priority: "200"'):
        client.submit(text, priority=200)
    with refused(strata.StrataError, "elsewhere", code="FAILED_PRECONDITION"):
        client.submit(text, set={"task.dataset": "elsewhere"})
    assert client.experiments() == [], "nothing of this was stored"


def follows_an_experiment(cluster, strata, client):
    experiment = client.submit(SPEC.format(name="follow", updates=30, schemes="b2t, post_ln", seeds="1"))
    assert experiment.name == "follow-1" and not experiment.done
    with refused(strata.StrataError, "follow-1 is not done after 0.01 s", code="DEADLINE_EXCEEDED"):
        experiment.wait(timeout=0.01)
    seen, restarted = set(), threading.Event()
    for update in experiment.watch():
        seen |= {(trial.name, trial.state) for trial in update.trials}
        if not restarted.is_set():  # the coordinator restarts in the middle: the watch goes on by itself
            restarted.set()
            cluster.kill_coordinator()
            cluster.start_coordinator()
    assert {("follow-1/t1", "SUCCEEDED"), ("follow-1/t2", "SUCCEEDED")} <= seen, seen
    assert experiment.wait(timeout=5, check=True).ok and experiment.states == {"SUCCEEDED": 2}
    assert client.experiment("follow-1").done and [found.name for found in client.experiments()] == ["follow-1"]
    assert repr(experiment) == "<Experiment follow-1: 2 SUCCEEDED>"
    page = experiment._repr_html_()
    assert page.count("<tr>") == 3 and "<td>follow-1/t2</td><td>post_ln</td><td>2L-2L</td>" in page, page
    return experiment


def gives_results_as_frames(cluster, strata, client, experiment):
    frame = experiment.to_pandas()
    assert list(frame.index) == ["follow-1/t1", "follow-1/t2"] and list(frame["scheme"]) == ["b2t", "post_ln"]
    assert list(frame["state"]) == ["SUCCEEDED"] * 2 and list(frame["updates_done"]) == [30, 30]
    assert frame["best_nll"].between(0, 20).all() and frame["bleu"].between(0, 100).all(), frame
    trial = experiment.trials[0]
    assert "valid_nll" in trial.series() and repr(trial).startswith("<Trial follow-1/t1: b2t 2L-2L seed 1, SUCCEEDED 30/30")
    curves = experiment.measurements("valid_nll").to_pandas()
    assert list(curves.columns) == ["trial", "update", "value"] and set(curves["trial"]) == set(frame.index)
    wide = curves.pivot(index="update", columns="trial", values="value")
    assert wide.loc[30, "follow-1/t1"] == trial.message.final_nll, (wide, trial.message.final_nll)
    stored = cluster.rows("SELECT count(*) FROM measurement_scalars WHERE name = 'train_loss'")[0][0]
    assert len(experiment.measurements("train_loss")) == stored > 0
    norms = trial.measurements("gradient_norm_output", stack="decoder")
    assert norms.columns == ["trial", "update", "layer", "value"] and {row[2] for row in norms.rows} == {1, 2}
    with refused(strata.InvalidSpec, 'stack="decoder" or stack="encoder"'):
        trial.measurements("gradient_norm_output")
    with refused(strata.InvalidSpec, '"valid_nnl" is not measured by follow-1/t2. There is ', "valid_nll"):
        experiment.measurements("valid_nnl")
    again = client.submit(SPEC.format(name="again", updates=30, schemes="b2t", seeds="1")).wait(timeout=60)
    row, = again.results()
    assert row["reused_from"] == "follow-1/t1" and row["bleu"] == frame.loc["follow-1/t1", "bleu"], row
    assert again.trials[0].measurements("valid_nll").rows[-1][2] == trial.message.final_nll


def cancels(cluster, strata, client):
    experiment = client.submit(SPEC.format(name="long", updates=100000, schemes="b2t, pre_ln", seeds="1"))
    until(lambda: any(trial.state == "RUNNING" for trial in experiment.trials), 60, "a training")
    assert experiment.trials[0].cancel().state in ("CANCELLED", "CANCELLING")
    experiment.cancel()
    assert experiment.wait(timeout=60).states == {"CANCELLED": 2} and not experiment.ok
    with refused(strata.StrataError, "Not every trial has a result: 2 CANCELLED", code="ABORTED"):
        experiment.wait(check=True)
    assert all(row["cause"] and math.isnan(row["final_nll"]) for row in experiment.results()), experiment.results()


def probes(cluster, strata, client):
    experiment = client.submit(SPEC.format(name="probed", updates=30, schemes="b2t, post_ln", seeds="1"), probe=True)
    assert experiment.wait(timeout=120, check=True).ok
    trial = experiment.trials[0]
    name = next(series for series in trial.series() if series.startswith("gradient_norm"))
    assert len(trial.measurements(name, stack="decoder")) > 0 and trial.scores() == {}, trial.series()
    assert list(experiment.to_pandas()["updates_done"]) == [0, 0]


def says_what_is_wrong(cluster, strata, client):
    with refused(strata.StrataError, "nothing-7", code="NOT_FOUND"):
        client.experiment("nothing-7")
    with refused(strata.InvalidSpec, '"a b" is no name'):
        client.experiment("a b")
    with refused(strata.InvalidSpec, '"follow-1" names an experiment; this needs a trial, such as quickstart-1/t3.'):
        client.trial("follow-1")
    with refused(strata.StrataError, "No coordinator at 127.0.0.1:1. Start one with 'strata up'", code="UNAVAILABLE"):
        strata.Client("127.0.0.1:1").experiments()
    for arguments, word in [({"tls_cert": "x"}, "go together"), ({"tls_ca": "/nowhere/ca.pem"}, "/nowhere/ca.pem cannot be read"),
                            ({"tls_cert": "x", "tls_key": "y"}, "without tls_ca"), ({"token": "a", "token_file": "b"}, "Keep one"),
                            ({"token": "a"}, "The token would go to 127.0.0.1"), ({"token": "a\nb"}, "token holds no token: one word is expected")]:
        with refused(strata.InvalidSpec, word):
            strata.Client(cluster.address, **arguments)
    services = re.findall("^service (\\w+)", "".join(path.read_text() for path in (SOURCE / "proto" / "strata" / "v1").glob("*.proto")), re.M)
    assert len(vars(client.stubs)) == len(services), f"a stub for each of {services}"
    os.environ["STRATA_ADDRESS"] = cluster.address
    assert strata.Client().address == cluster.address and [w.name for w in strata.Client().workers()] == ["workers/w1"]


def over_tls(cluster, strata):
    """A coordinator under TLS lets in who shows a token or a certificate, and only them; the sentences are its own."""
    coordinator = cluster.program("server/strata-coordinator")
    certs, data, home = cluster.home / "certs", cluster.home / "secure", cluster.home / "other"
    for arguments in (["init"], ["coordinator", "--host", "127.0.0.1"], ["user", "reader", "--role", "viewer"]):
        cluster.strata("admin", "certs", *arguments, "--dir", str(certs))
    cluster.strata("admin", "certs", "init", "--dir", str(home))
    address = f"127.0.0.1:{free_port()}"
    process = cluster.start("secure", [coordinator, "--data-dir", str(data), "--listen", address, "--metrics-listen", "none",
                                       "--tls-ca", f"{certs}/ca.crt", "--tls-cert", f"{certs}/coordinator.crt",
                                       "--tls-key", f"{certs}/coordinator.key"])
    try:
        until((data / "admin-token").exists, 20, f"the first admin's token: {cluster.log_tail('secure')}")
        ca, spec = certs / "ca.crt", SPEC.format(name="tls", updates=5, schemes="b2t", seeds="1")
        with strata.Client(address, tls_ca=ca, token_file=data / "admin-token") as admin:
            until(lambda: answers(strata, admin), 20, "the coordinator under TLS")
            assert admin.experiments() == []
            with refused(strata.StrataError, "tiny", code="FAILED_PRECONDITION"):  # let in; the dataset is not there
                admin.submit(spec)
        with strata.Client(address, tls_ca=ca, tls_cert=certs / "user-reader.crt", tls_key=certs / "user-reader.key") as reader:
            assert reader.experiments() == []
            with refused(strata.StrataError, "reader", "viewer", code="PERMISSION_DENIED"):
                reader.submit(spec)
        with refused(strata.StrataError, "shows no token", code="UNAUTHENTICATED"):
            strata.Client(address, tls_ca=ca).experiments()
        with refused(strata.StrataError, "does not know the token", code="UNAUTHENTICATED"):
            strata.Client(address, tls_ca=ca, token="nonsense").experiments()
        with refused(strata.StrataError, "Is tls_ca (STRATA_TLS_CA) its authority", code="UNAVAILABLE"):
            strata.Client(address, tls_ca=home / "ca.crt", token="nonsense").experiments()
        with refused(strata.StrataError, "but not in the clear", "tls_ca or STRATA_TLS_CA", code="UNAVAILABLE"):
            strata.Client(address).experiments()
    finally:
        process.kill()
        process.wait()


def answers(strata, client):
    try:
        client.experiments()
    except strata.StrataError as error:
        assert error.code == "UNAVAILABLE", error
        return False
    return True


def cases():
    import strata

    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        with strata.Client(cluster.address) as client:
            submits_texts_paths_and_dicts(cluster, strata, client)
            both_readers_say_the_same(cluster, strata)
            experiment = follows_an_experiment(cluster, strata, client)
            gives_results_as_frames(cluster, strata, client, experiment)
            cancels(cluster, strata, client)
            probes(cluster, strata, client)
            says_what_is_wrong(cluster, strata, client)
        if "--tls-cert" in subprocess.run([cluster.program("server/strata-coordinator"), "--help"], capture_output=True, text=True).stdout:
            over_tls(cluster, strata)
        else:
            print("TLS left out: this coordinator knows none")


if __name__ == "__main__":
    run(cases if os.environ.get("STRATA_TEST_INSIDE") else go_inside)
