"""What cannot work is refused with one sentence that names the field and the remedy: numbers of ranks that do not divide the global batch and
more ranks than there are slots, before anything is stored; a precision that a worker's processor lacks, before anything is trained."""

from cluster import Cluster, run
from gangs import attempts

SPEC = """
experiment: refused
task: {{kind: translation, dataset: tiny}}
model: {{dim: 16, ffn_dim: 32, heads: 2}}
train: {{updates: 10, max_tokens: 256, {train}}}
resources: {{{resources}}}
grid: {{scheme: [post_ln], depth: [2L-2L], seed: [1]}}
"""


def refused(cluster, *said, train="warmup: 5", resources="threads: 1"):
    path = cluster.home / "refused.yaml"
    path.write_text(SPEC.format(train=train, resources=resources))
    result = cluster.strata("submit", str(path), check=False)
    message = result.stderr.strip()
    print(f"{resources}: {result.returncode}: {message}")
    assert result.returncode != 0 and not cluster.rows("SELECT 1 FROM experiments"), message
    for part in said:
        assert part in message, (part, message)
    assert len(message.splitlines()) <= 2, message


def main():
    with Cluster.from_arguments(slots=2) as cluster:
        cluster.add_dataset()
        cluster.await_workers("w1")
        refused(cluster, "min_ranks", "3", "4", resources="ranks: {min: 3, max: 4}")
        refused(cluster, "min_ranks", "3", "2", resources="ranks: 2, min_ranks: 3")
        refused(cluster, "INFEASIBLE", "resources.ranks", "3", "2 slots", resources="ranks: 3")
        refused(cluster, "resources.ranks", "1024", resources="ranks: 2000")
        refused(cluster, "train.precision", "fp32", "bf16", train="precision: fp8")

        cluster.agents["w1"].terminate()
        cluster.agents["w1"].wait(20)
        cluster.start_agent("old", environment={"ATEN_CPU_CAPABILITY": "avx2"})  # as a processor without AVX512_BF16
        cluster.await_workers("old")
        experiment = cluster.submit(SPEC.format(train="precision: bf16", resources="ranks: 2"))
        assert cluster.wait(experiment) != 0
        ends = attempts(cluster, experiment)
        print(ends)
        assert [end[1:3] for end in ends] == [("failed", "bad_spec")], ends  # no other try would mend it
        for part in ("train.precision", "bf16", "precision: fp32"):
            assert part in ends[0][3], (part, ends)
        assert "\n" not in ends[0][3], ends


run(main)
