"""A real Prometheus scrapes coordinator and agent during a real training; promtool finds nothing to say of either page."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request

from cluster import SPEC, Cluster, Skipped, free_port, run, until

QUERIES = ["strata_trial_loss", "strata_trial_learning_rate", "strata_trial_tokens_per_second",
           'strata_trial_gradient_norm{stack="encoder"}', 'strata_trial_gradient_norm{stack="decoder",layer="1"}',
           'strata_jobs{state="RUNNING"}', "strata_workers", "strata_slots"]


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read()


def main():
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            raise Skipped(f"{tool} is not installed (deploy/setup --test)")
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        port = free_port()
        config = cluster.home / "prometheus.yml"
        config.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: strata
    static_configs: [{{targets: ["127.0.0.1:{cluster.metrics_port}", "127.0.0.1:{cluster.agent_metrics['w1']}"]}}]
""")
        server = cluster.start("prometheus", ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={cluster.home}/tsdb",
                                              f"--web.listen-address=127.0.0.1:{port}"])
        try:
            experiment = cluster.submit(SPEC.format(name="scrape", updates=3000, schemes="b2t", seeds="1"))

            def answer(query):
                url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
                try:
                    with urllib.request.urlopen(url, timeout=5) as reply:
                        return json.load(reply)["data"]["result"]
                except OSError:
                    return []

            for query in QUERIES:
                result = until(lambda query=query: answer(query), 40, f"{query} in Prometheus")
                print(query, "->", len(result), "series, e.g.", result[0])
            assert all(result["value"][1] == "1" for result in answer("up")), answer("up")
            for exporter in (cluster.metrics_port, cluster.agent_metrics["w1"]):
                check = subprocess.run(["promtool", "check", "metrics"], input=page(exporter), capture_output=True)
                assert check.returncode == 0 and not check.stderr and not check.stdout, check
            cluster.strata("cancel", experiment)
        finally:
            server.kill()
            server.wait()


run(main)
