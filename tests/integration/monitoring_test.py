"""A real Prometheus and Alertmanager with the shipped configuration beside a real training: the workers are discovered, every panel's
and every rule's query returns data, a training that is made to diverge reaches Alertmanager, and docs/METRICS.md lists what there is.

    python3 tests/integration/monitoring_test.py --build build/release --write     writes the tables of docs/METRICS.md anew
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from cluster import SPEC, Cluster, Skipped, free_port, run, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "METRICS.md"

# Large steps from the beginning: the loss is far above its start within a few updates.
DIVERGES = SPEC.replace("learning_rate: 1e-3, warmup: 10, validate_every: 10", "learning_rate: 30, warmup: 1, validate_every: 5")

# Queries that return nothing when all is well, and why.
EMPTY_WHEN_WELL = {
    "strata_worker_up == 0": "no worker is lost",
}
GPU = "strata_worker_gpu_"


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.code} {error.read().decode()}") from None
    except OSError:
        return ""


class Monitoring:
    """Prometheus and Alertmanager as deploy/prometheus sets them up, on free ports, every 15 s made a second."""

    def __init__(self, cluster):
        for tool in ("prometheus", "prometheus-alertmanager", "promtool"):
            if not shutil.which(tool):
                raise Skipped(f"{tool} is not installed (deploy/setup --test)")
        self.port, self.alertmanager_port = free_port(), free_port()
        folder = cluster.home / "prometheus"
        shutil.copytree(ROOT / "deploy" / "prometheus", folder)
        config = folder / "prometheus.yml"
        text = config.read_text()
        for old, new in (("127.0.0.1:7071", f"127.0.0.1:{cluster.metrics_port}"), ("127.0.0.1:9093", f"127.0.0.1:{self.alertmanager_port}"),
                         (": 15s", ": 1s")):
            assert old in text, old
            text = text.replace(old, new)
        config.write_text(text)
        alertmanager = folder / "alertmanager.yml"
        alertmanager.write_text(alertmanager.read_text().replace("127.0.0.1:9095", f"127.0.0.1:{free_port()}"))
        self.processes = [
            cluster.start("alertmanager", ["prometheus-alertmanager", f"--config.file={alertmanager}", "--cluster.listen-address=",
                                           f"--storage.path={cluster.home}/alertmanager",
                                           f"--web.listen-address=127.0.0.1:{self.alertmanager_port}"]),
            cluster.start("prometheus", ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={cluster.home}/tsdb",
                                         f"--web.listen-address=127.0.0.1:{self.port}"])]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def query(self, expression):
        text = fetch(f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(expression)}")
        return json.loads(text)["data"]["result"] if text else []

    def rules(self):
        text = fetch(f"http://127.0.0.1:{self.port}/api/v1/rules")
        return [rule for group in json.loads(text)["data"]["groups"] for rule in group["rules"]] if text else []

    def alerts(self, name, **labels):
        """Alertmanager's of this name that have these labels."""
        found = json.loads(fetch(f"http://127.0.0.1:{self.alertmanager_port}/api/v2/alerts") or "[]")
        return [alert for alert in found if (labels | {"alertname": name}).items() <= alert["labels"].items()]


def panel_queries(experiment):
    """(dashboard and panel, query) with the dashboards' variables put in."""
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"]
                for name, value in (("experiment", experiment), ("trial", "t1"), ("stack", "encoder|decoder")):
                    query = query.replace(f"${name}", value)
                yield f"{path.stem}: {panel['title']}", query


def selectors(expression):
    """The series that a rule reads, without what it asks of their values."""
    return re.findall(r"(?<![\w:])(?:strata[a-z0-9_:]+|up)(?:\{[^}]*\})?", re.sub(r'"sign".*?\)|\bby \(.*?\)|\bon \(.*?\)', "", expression))


def start_gpu_worker(cluster):
    """A worker with two GPUs that a stand-in for NVIDIA's library makes up; one of them tells an XID."""
    library = cluster.program("tests/fake_nvml.so")
    gpu = {"name": "Model", "memory": 1 << 30, "used": 1 << 29, "utilisation": 50, "celsius": 60, "milliwatts": 300000}
    told = cluster.home / "gpus.json"
    told.write_text(json.dumps({"gpus": [gpu | {"uuid": f"GPU-{i}"} for i in (0, 1)], "xids": [[1, 31]]}))
    cluster.start_agent("w3", ["--device", "gpu", "--nvml-library", library], {"STRATA_FAKE_NVML": str(told)})


def check_queries(monitoring, experiment):
    wanted = {f"{where}: {query}": query for where, query in panel_queries(experiment)}
    rules = monitoring.rules()
    assert len(rules) > 20, rules
    for rule in rules:
        if rule["type"] == "recording":
            wanted[f"rule {rule['name']}"] = rule["query"]
        else:
            for selector in selectors(rule["query"]):
                wanted[f"alert {rule['name']}: {selector}"] = selector
    missing = dict(wanted)

    def answered():
        for where, query in list(missing.items()):
            if query in EMPTY_WHEN_WELL or monitoring.query(query):
                del missing[where]
        return not missing

    try:
        until(answered, 30, "data for every query")
    finally:
        for where, query in missing.items():
            print(f"no data: {where}: {query}", file=sys.stderr)
    bad = [rule for rule in monitoring.rules() if rule["health"] != "ok"]
    assert not bad, bad
    print(f"{len(wanted)} queries of panels and rules return data")


def check_discovery(cluster, monitoring):
    """A worker that begins to serve metrics is scraped, one that is lost is no longer listed."""
    listed = lambda: {entry["labels"]["worker"]: entry["targets"] for entry in
                      json.loads(fetch(f"http://127.0.0.1:{cluster.metrics_port}/sd/workers"))}
    cluster.start_agent("w2")
    until(lambda: "w2" in listed(), 10, "w2 in /sd/workers")
    assert listed()["w2"] == [f"127.0.0.1:{cluster.agent_metrics['w2']}"], listed()
    until(lambda: monitoring.query('up{job="strata-workers",worker="w2"} == 1'), 20, "w2 to be scraped")
    until(lambda: monitoring.query('strata_agent_slots{worker="w2",job="strata-workers"}'), 20, "metrics of w2")
    cluster.kill_agent("w2")
    until(lambda: "w2" not in listed(), 20, "w2 to leave /sd/workers")
    until(lambda: monitoring.query('strata_worker_up{worker="w2"} == 0'), 10, "w2 to be lost")
    assert "w1" in listed()


def check_divergence(cluster, monitoring):
    experiment = cluster.submit(DIVERGES.format(name="diverges", updates=2000, schemes="post_ln", seeds="1"))
    alert, = until(lambda: monitoring.alerts("StrataTrialDiverged", experiment=experiment), 40, "the divergence in Alertmanager")
    assert alert["labels"]["trial"] == "t1" and alert["labels"]["severity"] == "info", alert
    assert alert["annotations"]["runbook_url"] == "docs/RUNBOOK.md#stratatrialdiverged", alert
    assert alert["receivers"] == [{"name": "researchers"}], alert
    state = cluster.trials(experiment)[0][1]
    print(f"Alertmanager has: {alert['annotations']['summary']} (stored as {state})")
    assert until(lambda: cluster.trials(experiment)[0][1] == "DIVERGED", 20, "the trial to end"), state


# -- docs/METRICS.md -----------------------------------------------------------------------------------------------------

def families(text):
    """{name: (type, labels, help)} of an exposition."""
    found, labels = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help_text = line[7:].split(" ", 1)
            found[name] = help_text
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            found[name] = (kind, found.get(name, ""))
        elif line:
            name = re.match(r"[\w:]+", line).group(0)
            family = name if name in found else re.sub(r"_(bucket|sum|count)$", "", name)
            labels.setdefault(family, {}).update(dict.fromkeys(re.findall(r'(?:\{|,)(\w+)="', line)))
    return {name: (kind, [label for label in labels[name] if label not in ("le", "quantile")], help_text)
            for name, (kind, help_text) in found.items()}


def rows(found):
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for name, (kind, labels, help_text) in found.items():
        named = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {kind} | {named} | {help_text} |")
    return "\n".join(lines) + "\n"


def tables(cluster):
    coordinator = families(fetch(f"http://127.0.0.1:{cluster.metrics_port}/metrics"))
    agent = families(fetch(f"http://127.0.0.1:{cluster.agent_metrics['w3']}/metrics"))
    gpus = {name: family for name, family in agent.items() if name.startswith(GPU)}
    return {"coordinator": rows(coordinator), "agent": rows({n: f for n, f in agent.items() if n not in gpus}), "gpus": rows(gpus)}


def check_page(made, write):
    """Holds the tables between <!-- NAME --> and <!-- end --> of the page to what there is."""
    text = page = PAGE.read_text()
    for name, table in made.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(page), f"docs/METRICS.md has no table {name}"
        page = pattern.sub(lambda match, table=table: f"{match.group(1)}\n{table}\n{match.group(2)}", page)
    if write:
        PAGE.write_text(page)
    elif page != text:
        here, there = set(text.splitlines()), set(page.splitlines())
        raise AssertionError("docs/METRICS.md is not what is exported; --write mends it.\n" +
                             "\n".join(sorted(f"- {line}" for line in here - there) + sorted(f"+ {line}" for line in there - here)))


def check_expositions(cluster):
    for port in (cluster.metrics_port, cluster.agent_metrics["w3"]):
        check = subprocess.run(["promtool", "check", "metrics"], input=fetch(f"http://127.0.0.1:{port}/metrics"), capture_output=True, text=True)
        assert check.returncode == 0 and not check.stderr and not check.stdout, check


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write docs/METRICS.md's tables")
    write = parser.parse_known_args()[0].write
    begin = time.monotonic()
    with Cluster.from_arguments() as cluster, Monitoring(cluster) as monitoring:
        cluster.add_dataset()
        experiment = cluster.submit(SPEC.format(name="watched", updates=1000000, schemes="b2t", seeds="1"))
        cluster.strata("describe", "nothing-7", check=False)  # a call that is refused
        check_divergence(cluster, monitoring)
        start_gpu_worker(cluster)
        check_queries(monitoring, experiment)
        until(lambda: monitoring.alerts("StrataGpuXid", worker="w3", gpu="1", uuid="GPU-1"), 20, "the XID in Alertmanager")
        check_page(tables(cluster), write)
        check_expositions(cluster)
        check_discovery(cluster, monitoring)
        cluster.strata("cancel", experiment)
    print(f"{time.monotonic() - begin:.0f} s")


run(main)
