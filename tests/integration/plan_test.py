"""`strata plan` of a dataset that is not registered, and of one that is beside one that is not: what is assumed is said, what is
known is used, and nothing is stored. To submit such a grid is refused by the dataset's name."""

import json

from cluster import SPEC, Cluster, run

GRID = SPEC.format(name="planned", updates=20, schemes="b2t", seeds="1")
BESIDE = GRID.replace("{kind: translation, dataset: tiny}", "{kind: translation}").replace(
    "grid: {", "grid: {task.dataset: [tiny, none-such], ")


def main():
    with Cluster.from_arguments() as cluster:
        spec = cluster.home / "grid.yaml"
        spec.write_text(GRID)

        def plan(*options):
            return json.loads(cluster.strata("plan", str(spec), "--output", "json", *options).stdout)

        nothing = plan()
        assert [trial["vocabulary"] for trial in nothing["trials"]] == [32000], nothing
        assert "Dataset tiny is not registered: 32000 pieces assumed (--vocabulary)." in nothing["basis"], nothing["basis"]
        assert "tiny is not registered" in cluster.strata("plan", str(spec)).stdout
        chosen = plan("--vocabulary", "500")
        assert chosen["trials"][0]["vocabulary"] == 500 and "assumed" not in chosen["basis"], chosen
        assert chosen["trials"][0]["parameters"] < nothing["trials"][0]["parameters"]

        cluster.add_dataset()
        known = plan()["trials"][0]["vocabulary"]
        assert known < 500 and "not registered" not in plan()["basis"], known
        spec.write_text(BESIDE)
        both = plan()
        assert [trial["vocabulary"] for trial in both["trials"]] == [known, 32000], both
        assert [trial["cell"]["task.dataset"] for trial in both["trials"]] == ["tiny", "none-such"], both
        assert "none-such is not registered: 32000 pieces" in both["basis"] and "tiny" not in both["basis"], both["basis"]
        refused = cluster.strata("submit", str(spec), check=False)
        assert refused.returncode != 0 and "none-such is not registered" in refused.stderr, refused
        assert cluster.rows("SELECT count(*) FROM experiments") == [(0,)]


run(main)
