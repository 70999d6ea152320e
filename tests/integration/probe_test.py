"""A probe through the service: each trial is one PROBE job, measured by layer, shown by every command, not done twice, and
not exported to Prometheus."""

import urllib.request

from cluster import SPEC, Cluster, run

GRID = SPEC.format(name="probe", updates=20, schemes="post_ln, b2t", seeds="1")


def main():
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        experiment = cluster.submit(GRID, "--probe")
        assert cluster.wait(experiment) == 0, cluster.strata("describe", experiment).stdout
        jobs = cluster.rows("SELECT name, kind, state FROM jobs ORDER BY submit_order")
        assert [job[1:] for job in jobs] == [("PROBE", "SUCCEEDED")] * 2, jobs
        stored = cluster.measurements(experiment)
        names = {(stack, name) for _, stack, name, _ in stored}
        for wanted in [("decoder", "gradient_norm_output"), ("encoder", "similarity"), ("", "gradient_ratio")]:
            assert wanted in names, sorted(names)
        assert {step for *_, step in stored} == {0}
        # Whatever shows a trial shows a probed one.
        assert "probe" in cluster.strata("list").stdout
        described = cluster.strata("describe", f"{experiment}/t1").stdout
        assert "PROBE" in described and "SUCCEEDED" in described, described
        assert cluster.strata("watch", experiment).returncode == 0
        for stack in ["encoder", "decoder"]:
            points = cluster.strata("metrics", f"{experiment}/t1", "--series", "gradient_norm_output", "--stack", stack, "--output", "json")
            assert "values" in points.stdout, points.stdout
        assert cluster.strata("logs", f"{experiment}/t1", check=False).returncode == 0
        page = urllib.request.urlopen(f"http://127.0.0.1:{cluster.metrics_port}/metrics", timeout=10).read().decode()
        assert "strata_trial_gradient_norm" not in page
        # Done already, whatever the updates; a training of the same trial is another thing.
        again = cluster.submit(GRID, "--probe", "--set", "train.updates=30")
        assert cluster.wait(again) == 0
        assert cluster.rows("SELECT count(*) FROM jobs") == [(2,)]
        cluster.submit(GRID, "--probe", "--force")
        assert cluster.rows("SELECT count(*) FROM jobs") == [(4,)]
        refused = cluster.strata("submit", "--extend", experiment, "--set", "train.updates=30", check=False)
        assert refused.returncode == 2 and "a probe trains nothing" in refused.stderr, refused


run(main)
