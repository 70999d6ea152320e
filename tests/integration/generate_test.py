"""strata generate: a trained trial's weights on a user's own file, by every way to choose weights, and its refusals."""

import json

from cluster import SPEC, Cluster, run


def test():
    with Cluster.from_arguments() as cluster:
        cluster.add_dataset()
        text = SPEC.format(name="letters", updates=40, schemes="post_ln", seeds="1")
        text = text.replace("train: {", "train: {keep_epoch_checkpoints: 2, ").replace("beam: 2,", "beam: 2, split: \"test,valid\",")
        experiment = cluster.submit(text)
        assert cluster.wait(experiment) == 0, cluster.strata("describe", f"{experiment}/t1").stdout
        trial = f"{experiment}/t1"

        letter = cluster.home / "letter.txt"
        letter.write_text("the small library\na new file shows the old image\n\nfast program\n")
        for checkpoint in ("final", "best", "average"):
            printed = cluster.strata("generate", trial, str(letter), "--checkpoint", checkpoint).stdout
            assert printed.count("\n") == 4, printed
        once = cluster.strata("generate", trial, str(letter))
        assert once.stdout == cluster.strata("generate", trial, str(letter), "--checkpoint", "final").stdout
        cached = sorted((cluster.home / "cache" / "weights").iterdir())
        assert len(cached) >= 2 and all(path.suffix == ".safetensors" for path in cached), cached

        output = cluster.home / "letter.de"
        cluster.strata("generate", trial, str(letter), "--beam", "3", "--n-best", "2", "--output", str(output))
        rows = [line.split("\t") for line in output.read_text().splitlines()]
        assert [row[0] for row in rows] == ["1", "1", "2", "2", "3", "3", "4", "4"], rows
        assert all(float(rows[i][1]) >= float(rows[i + 1][1]) for i in range(0, 8, 2)), rows

        # What the evaluation of the same sentences wrote is what generate writes.
        artifacts = json.loads(cluster.strata("checkpoints", trial, "--output", "json").stdout)["artifacts"]
        kinds = {artifact["kind"] for artifact in artifacts}
        assert {"hypotheses-test", "hypotheses-valid", "sentence_scores"} <= kinds, kinds
        kept = cluster.home / "test.hyp"
        cluster.strata("checkpoints", trial, "--download", "hypotheses-test", "--to", str(kept))
        source = cluster.home / "test.source"
        lines = (cluster.home / "tiny" / "text" / "test.source").read_text().splitlines(keepends=True)
        source.write_text("".join(lines[:8]))
        again = cluster.strata("generate", trial, str(source)).stdout
        assert again.count("\n") == 8 and kept.read_text().count("\n") == 8, again

        (cluster.home / "empty.txt").write_text("")
        (cluster.home / "latin1.txt").write_bytes(b"sch\xf6n\n")
        for arguments, status, why in (
                ((trial, str(cluster.home / "empty.txt")), 2, "is empty"),
                ((trial, str(cluster.home / "nowhere.txt")), 2, "no such file"),
                ((trial, str(cluster.home / "latin1.txt")), 2, "UTF-8"),
                ((f"{experiment}/t9", str(letter)), 2, "t9"),
                ((trial, str(letter), "--n-best", "5"), 2, "--n-best is 5, but the beam is 2"),
                ((trial, str(letter), "--precision", "fp16"), 2, "fp16"),
                ((trial, str(letter), "--checkpoint", "newest"), 2, "newest")):
            result = cluster.strata("generate", *arguments, check=False)
            assert result.returncode == status and why in result.stderr, (arguments, result.returncode, result.stderr)


run(test)
