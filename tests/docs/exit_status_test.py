"""Exit statuses are those of docs/reference/errors.md, wrong usage first of all."""

import argparse
import pathlib
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    build = parser.parse_args().build.resolve()
    programs = {name: build / folder / name for name, folder in (("strata", "client"), ("strata-coordinator", "server"), ("strata-agent", "worker"),
                                                                 ("strata-trainer", "worker"), ("strata-data", "worker"))}
    if missing := [str(path) for path in programs.values() if not path.exists()]:
        print("skipped: not built:", *missing)
        return 77
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "file").touch()
        for name, arguments, status in (
                *((name, ["--no-such-flag"], 2) for name in programs),
                *((name, ["--help"], 0) for name in programs),
                *((name, [], 2) for name in programs),
                ("strata", ["nonsense"], 2),
                ("strata", ["spec", "explain", "no.such.key"], 2),
                ("strata", ["submit", "nowhere.yaml"], 2),
                ("strata", ["list", "--address", "127.0.0.1:1"], 3),
                ("strata-coordinator", ["--data-dir", f"{folder}/none", "--health"], 1),
                ("strata-coordinator", ["--data-dir", f"{folder}/file/data", "--listen", "127.0.0.1:0", "--metrics-listen", "none"], 1),
                ("strata-coordinator", ["--data-dir", folder, "--listen", "0.0.0.0:0"], 1),
                ("strata-agent", ["--state-dir", f"{folder}/none", "--health"], 1),
                ("strata-agent", ["--state-dir", folder, "--coordinator", "127.0.0.1:1", "--name", "No Name"], 2),
                ("strata-data", ["inspect", f"{folder}/none"], 1)):
            result = subprocess.run([programs[name], *arguments], capture_output=True, text=True, timeout=60, check=False,
                                    env={"PATH": "/usr/bin:/bin", "HOME": folder})
            if result.returncode != status:
                wrong += 1
                print(f"{name} {' '.join(arguments)}: status {result.returncode}, not {status}. {result.stdout}{result.stderr}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
