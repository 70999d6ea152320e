"""A tenth scheme is one file: the example of docs/ADD_A_SCHEME.md is written to a folder of its own, the programs are built with
it, and a probe of it goes through the service. Nothing else of the tree is touched.

The build stands beside this build's folder (NAME-tenth-scheme), with its settings, so that the compiler's cache has all but one
object, and is kept for the next time."""

import json
import os
import pathlib
import re
import subprocess

from cluster import Cluster, Skipped, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ["strata", "strata-coordinator", "strata-agent", "strata-trainer", "strata-data"]
KEPT = ("CMAKE_BUILD_TYPE", "CMAKE_C_COMPILER", "CMAKE_CXX_COMPILER", "CMAKE_CXX_FLAGS", "CMAKE_CXX_FLAGS_RELEASE",
        "CMAKE_CXX_FLAGS_DEBUG", "CMAKE_CXX_FLAGS_RELWITHDEBINFO", "STRATA_SANITIZE", "STRATA_TORCH", "STRATA_GRPC", "LIBTORCH_ROOT")
SPEC = """
experiment: tenth
task: {{kind: translation, dataset: tiny}}
model: {{dim: 16, ffn_dim: 32, heads: 2, scheme_options: "start=0.5"}}
train: {{updates: 2, max_tokens: 256, learning_rate: 1e-3, warmup: 1}}
probe_only: true
grid: {{scheme: [{scheme}], depth: [3L-3L], seed: [1]}}
"""


def example():
    """(file name, text) of the page's one C++ block."""
    page = (ROOT / "docs" / "ADD_A_SCHEME.md").read_text()
    blocks = re.findall(r"```cpp\n(// model/residual/(\w+\.cc)\n.*?)```", page, re.DOTALL)
    assert len(blocks) == 1, f"{len(blocks)} examples"
    return blocks[0][1], blocks[0][0]


def build_with(folder, original):
    cache = dict(re.findall(r"^(\w+):\w+=(.*)$", (original / "CMakeCache.txt").read_text(), re.MULTILINE))
    if cache.get("STRATA_TORCH") == "OFF" or cache.get("STRATA_GRPC") == "OFF":
        raise Skipped("this build has no service with a trainer")
    scratch = original.parent / (original.name + "-tenth-scheme")
    settings = [f"-D{key}={cache[key]}" for key in KEPT if cache.get(key)]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(scratch), "-DSTRATA_TESTS=OFF",
                    f"-DSTRATA_EXTRA_SCHEMES={folder}", *settings], **quiet)
    subprocess.run(["cmake", "--build", str(scratch), "--parallel", str(os.cpu_count()), "--target", *TARGETS], **quiet)
    return scratch


def main():
    here = Cluster.from_arguments()
    here.home.rmdir()
    name, text = example()
    scheme = re.search(r'REGISTER_SCHEME\(\s*"(\w+)"', text).group(1)
    assert scheme not in here.strata("spec", "explain", "model.scheme").stdout, f"this build has {scheme} already"
    folder = here.build.parent / (here.build.name + "-tenth-scheme-source")
    folder.mkdir(exist_ok=True)
    source = folder / name
    if not source.exists() or source.read_text() != text:
        source.write_text(text)
    scratch = build_with(folder, here.build)
    described = json.loads(subprocess.run([scratch / "worker" / "strata-trainer", "--describe"], check=True, capture_output=True).stdout)
    assert scheme in [entry["name"] for entry in described["schemes"]], described["schemes"]
    with Cluster(scratch) as cluster:
        cluster.add_dataset()
        explained = cluster.strata("spec", "explain", "model.scheme").stdout
        assert scheme in explained, explained
        experiment = cluster.submit(SPEC.format(scheme=scheme))
        assert cluster.wait(experiment) == 0, cluster.strata("describe", experiment).stdout
        jobs = cluster.rows("SELECT kind, state FROM jobs WHERE trial LIKE ?", f"experiments/{experiment}/%")
        assert jobs == [("PROBE", "SUCCEEDED")], jobs
        names = {key[2] for key in cluster.measurements(experiment)}
        print(f"{scheme} probed, measurements: {', '.join(sorted(names))}")
        assert any("gradient" in name for name in names), names


run(main)
