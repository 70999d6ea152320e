#!/usr/bin/env python3
"""Holds the source tree and the built programs to the order of docs/ARCHITECTURE.md.

Use: check.py CHECK [--source DIR] [--build DIR]     CHECK: includes links programs schemes sizes names
Prints each violation as FILE:LINE: what is wrong and what to do. Exit status: 0 clean, 1 violations, 77 nothing to check.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

TOP_FOLDERS = ["client", "cmake", "deploy", "docker", "docs", "model", "proto", "server", "tests", "worker"]

# Layer -> the layers that it may include and link besides itself. The longest layer that holds a file is the file's.
PROTO = "strata/v1"  # the generated headers; their target stands in proto/
MAY_USE = {
    "cmake": [],
    "proto": [],
    "model/metrics": [],
    "model/data": ["model"],
    "model": ["model/data", "model/metrics", "cmake"],
    "server/base": [],
    "server/base/rpc": ["server/base"],
    "server/base/spec": ["server/base", PROTO],
    "server/core": ["server/base"],
    "server/store": ["server/base", "server/core"],
    "server/service": ["server/base", "server/base/rpc", "server/base/spec", "server/core", "server/store", "cmake", PROTO],
    "server": ["server/base", "server/base/rpc", "server/base/spec", "server/core", "server/store", "server/service", "cmake", PROTO],
    "worker/agent": ["server/base", "server/base/rpc", "server/base/spec", "cmake", PROTO],
    "worker/trainer": ["model", "model/data", "model/metrics", "cmake"],
    "worker/data": ["model/data", "model/metrics", "cmake"],
    "client": ["server/base", "server/base/rpc", "server/base/spec", "model/metrics", "cmake", PROTO],
}

# Layer -> headers of others that it must not see, and why. Layers above model never see LibTorch (NOT_WITH_PROTOBUF).
GRPC = r"grpc(pp|\+\+)?/|google/protobuf/|strata/v1/"
TORCH = r"torch/|ATen/|c10/|caffe2/"
NOT_WITH_PROTOBUF = (TORCH + "|sentencepiece", "neither LibTorch nor SentencePiece shares a process with protobuf")
NO_SQLITE = (r"sqlite3", "only server/store knows SQLite")
BANNED_HEADERS = {
    "server/base": [(GRPC, "base stands below gRPC"), NO_SQLITE, NOT_WITH_PROTOBUF],
    "server/base/rpc": [NO_SQLITE, NOT_WITH_PROTOBUF],
    "server/base/spec": [NO_SQLITE, NOT_WITH_PROTOBUF],
    "server/core": [(GRPC + r"|sqlite3|prometheus/|spdlog/|unistd\.h|sys/|thread$|fstream$", "core is pure"), NOT_WITH_PROTOBUF],
    "server/store": [(GRPC, "the store stands below gRPC"), NOT_WITH_PROTOBUF],
    "server/service": [NO_SQLITE, NOT_WITH_PROTOBUF],
    "server": [NOT_WITH_PROTOBUF],
    "worker/agent": [NO_SQLITE, NOT_WITH_PROTOBUF],
    "worker/data": [(TORCH + "|" + GRPC, "SentencePiece shares no process with protobuf or LibTorch")],
    "worker/trainer": [(GRPC + r"|absl/|sentencepiece", "the trainer links LibTorch and none of these")],
    "model": [(GRPC + r"|absl/|sentencepiece", "LibTorch and protobuf never share a process")],
    "model/data": [(GRPC + r"|absl/|sentencepiece", "LibTorch and protobuf never share a process")],
    "model/metrics": [(TORCH + "|" + GRPC + "|absl/", "metrics are plain C++")],
    "client": [NO_SQLITE, NOT_WITH_PROTOBUF],
}

# Program (below the build folder) -> libraries that it must not load, and those that it must.
PROTOBUF_SIDE = ["libprotobuf", "libgrpc", "libabsl", "libsentencepiece"]
TORCH_SIDE = ["libtorch", "libc10"]
PROGRAMS = {
    "worker/strata-trainer": (PROTOBUF_SIDE, ["libtorch_cpu", "libc10"]),
    "worker/strata-data": (TORCH_SIDE + ["libprotobuf", "libgrpc"], ["libsentencepiece"]),
    "worker/strata-agent": (TORCH_SIDE + ["libsentencepiece"], ["libgrpc"]),
    "server/strata-coordinator": (TORCH_SIDE + ["libsentencepiece"], ["libgrpc", "libsqlite3"]),
    "client/strata": (TORCH_SIDE + ["libsentencepiece", "libsqlite3"], ["libgrpc"]),
}

SCHEME = re.compile(r"\b(post_ln|pre_ln|b2t(_all|_no_ln)?|dlcl|t_fixup|deepnet)\b")
# An example of a specification, shown to people, may name one; code that compares with a name or lists them may not.
EXAMPLE = re.compile(r"scheme[:=] *(\[[^\]]*\]|\w+)")
FOR_TESTS = re.compile(r"(_test\.cc|/testing\.(cc|h)|/fake_\w+\.(cc|h))$")
REFUSED_NAME = re.compile(r"(^|[_-])(utils?|helpers?|common|manager)([_.-]|$)", re.IGNORECASE)
HEADER_LINES, SOURCE_LINES, FUNCTION_LINES = 150, 400, 80
# Generated or copied whole from elsewhere.
NOT_OURS = re.compile(r"^tests/(golden|curves)/|^cmake/bundled/include/|^build/")


def files(source, endings):
    for top in TOP_FOLDERS:
        for folder, folders, names in os.walk(source / top):
            folders[:] = sorted(f for f in folders if f not in ("__pycache__", "build"))
            for name in sorted(names):
                path = pathlib.Path(folder, name).relative_to(source)
                if name.endswith(endings) and not NOT_OURS.match(str(path)):
                    yield path


def text(source, path):
    return (source / path).read_text(encoding="utf-8", errors="replace")


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def rule_of(table, path):
    """The longest key of `table` that holds `path`, or None."""
    return max((k for k in table if within(path, k)), key=len, default=None)


def allowed(owner, used):
    return used is None or used == owner or used in MAY_USE[owner]


def check_includes(source, _build):
    for path in files(source, (".h", ".cc")):
        name = str(path)
        owner = rule_of(MAY_USE, name)
        if owner is None:
            continue  # tests and their like may include what they test
        for number, line in enumerate(text(source, path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            included = match.group(2)
            used = PROTO if within(included, PROTO) else rule_of(MAY_USE, included)
            for pattern, why in BANNED_HEADERS.get(owner, []):
                if re.match(pattern, included):
                    yield f"{name}:{number}: {owner} includes <{included}>: {why}."
                    break
            else:
                if used is not None and not allowed(owner, used):
                    yield (f"{name}:{number}: {owner} includes {included}, but it may use only "
                           f"{', '.join(MAY_USE[owner]) or 'itself'}. Move what is needed down, or hand it in.")


def check_links(_source, build):
    graph = build / "link_graph.txt"
    if not graph.exists():
        print(f"{graph} is not there: configure the build first")
        sys.exit(77)
    folder_of, edges = {}, []
    for line in graph.read_text().splitlines():
        target, folder, *dependencies = line.split()
        folder_of[target] = os.path.normpath(folder)
        edges += [(target, d) for d in dependencies]
    for target, dependency in edges:
        folder, needed = folder_of[target], folder_of.get(dependency)
        owner = rule_of(MAY_USE, folder)
        if needed in (None, folder) or owner is None or target.endswith("_test"):
            continue
        if not allowed(owner, PROTO if needed == "proto" else rule_of(MAY_USE, needed)):
            yield (f"{folder}/CMakeLists.txt: {target} links {dependency} of {needed}, but {owner} may use only "
                   f"{', '.join(MAY_USE[owner]) or 'itself'}.")


def check_programs(_source, build):
    seen = 0
    for program, (banned, wanted) in PROGRAMS.items():
        path = build / program
        if not path.exists():
            continue
        seen += 1
        result = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
        loaded = re.findall(r"^\s*(\S+\.so\S*)", result.stdout, re.MULTILINE)
        if result.returncode != 0 or not loaded:
            yield f"{path}: ldd says nothing of it: {result.stderr.strip()}"
        for line in result.stdout.splitlines():
            if "not found" in line:
                yield f"{path}: {line.strip()}"
        for name in banned:
            for library in loaded:
                if library.startswith(name):
                    yield f"{path}: loads {library}, which this process must not hold (docs/ARCHITECTURE.md, processes)"
        for name in wanted:
            if not any(library.startswith(name) for library in loaded):
                yield f"{path}: does not load {name}: is this check looking at the right program?"
    if not seen:
        print(f"no program stands in {build}")
        sys.exit(77)


def string_literals(code):
    """(line number, literal) of C++ code, comments left out."""
    pattern = re.compile(r'R"(\w*)\((.*?)\)\1"|"((?:[^"\\\n]|\\.)*)"|//[^\n]*|/\*.*?\*/|\'(?:[^\'\\\n]|\\.)\'', re.DOTALL)
    for match in pattern.finditer(code):
        if match.group(0).startswith(("/", "'")):
            continue
        literal = match.group(2) if match.group(2) is not None else match.group(3)
        yield code.count("\n", 0, match.start()) + 1, literal


def check_schemes(source, _build):
    for path in files(source, (".h", ".cc")):
        name = str(path)
        if within(name, "model") or within(name, "tests") or FOR_TESTS.search(name):
            continue
        for number, literal in string_literals(text(source, path)):
            match = SCHEME.search(EXAMPLE.sub("", literal))
            if match:
                yield (f"{name}:{number}: names the scheme {match.group(0)}. Only model/ lists schemes; ask the registry "
                       "(strata-trainer --describe).")


def functions(code):
    """(first line, lines) of each block that opens and closes at the first column and is no namespace or type."""
    start = None
    for number, line in enumerate(code.splitlines(), 1):
        if re.match(r"\S.*\{$", line) and not re.match(r"(namespace|class|struct|enum|union|extern|constexpr|const |inline constexpr|#|//)", line):
            start = number
        elif re.match(r"\}", line) and start is not None:
            yield start, number - start + 1
            start = None


def check_sizes(source, _build):
    for path in files(source, (".h", ".cc")):
        code = text(source, path)
        lines = code.count("\n")
        limit = HEADER_LINES if path.suffix == ".h" else SOURCE_LINES
        if lines > limit:
            yield f"{path}: {lines} lines, over {limit}. Divide it by what its parts do."
        for start, length in functions(code):
            if length > FUNCTION_LINES:
                yield f"{path}:{start}: a function of {length} lines, over {FUNCTION_LINES}. Divide it."


def check_names(source, _build):
    for path in files(source, ("",)):
        for part in path.parts:
            if REFUSED_NAME.search(part):
                yield f"{path}: '{part}' says nothing. Give it the name that the field has for what is in it."
                break


CHECKS = {"includes": check_includes, "links": check_links, "programs": check_programs, "schemes": check_schemes,
          "sizes": check_sizes, "names": check_names}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--source", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    arguments = parser.parse_args()
    violations = list(CHECKS[arguments.check](arguments.source, arguments.build))
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
