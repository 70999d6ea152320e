#!/usr/bin/env python3
"""Installs LibTorch out of torch's wheel, as deploy/requirements-libtorch-FLAVOUR.txt locks it.

Only headers and libraries are kept. The folder appears under its final name when it is whole, with a stamp that names the
lock and every library's size; a folder whose stamp is missing or untrue is made anew. pip downloads and checks the hashes;
index, proxy and certificates are the machine's own settings of pip.

Environment: STRATA_DEPS  where to install (default $XDG_CACHE_HOME/strata or ~/.cache/strata)
             STRATA_WHEELS  a folder with the wheels, used instead of the network
"""

import argparse
import fcntl
import fnmatch
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
STAMP = "strata-stamp.json"

# What is unpacked, by flavour: patterns over the paths inside the wheels.
KEEP = {
    "cpu": ["torch/include/*", "torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp*",
            "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13", "*.dist-info/LICENSE*",
            "*.dist-info/NOTICE*", "*.dist-info/licenses/*"],
    "cuda": ["torch/include/*", "torch/lib/*.so*", "nvidia/*/include/*", "nvidia/*/lib/*.so*", "*.dist-info/LICENSE*",
             "*.dist-info/NOTICE*", "*.dist-info/licenses/*"],
}
DROP = ["torch/lib/libtorch_python.so", "torch/lib/libshm.so"]
# Bytes that the download and the installed folder take together, rounded up; bytes of the download.
ROOM = {"cpu": 1_500_000_000, "cuda": 8_000_000_000}
DOWNLOAD = {"cpu": "0.55 GB", "cuda": "2.4 GB"}


class SetupError(Exception):
    """A sentence for the person who runs this."""


def deps_folder():
    if os.environ.get("STRATA_DEPS"):
        return pathlib.Path(os.environ["STRATA_DEPS"])
    cache = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(cache) if cache else pathlib.Path.home() / ".cache") / "strata"


def libraries(folder):
    """Path below the folder -> bytes, of each shared library and of one header that stands for the rest."""
    paths = [p for p in folder.rglob("*.so*") if p.is_file()] + [folder / "torch/include/ATen/ATen.h"]
    return {str(p.relative_to(folder)): p.stat().st_size for p in paths}


def what_is_wrong(folder, lock):
    """None where `folder` holds what `lock` asks for, else why not."""
    if not folder.is_dir():
        return "it is not installed yet"
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return "it was installed only in part (no stamp)"
    if stamp.get("lock") != lock:
        return "another version is locked now"
    for path, size in stamp.get("files", {}).items():
        file = folder / path
        if not file.is_file():
            return f"{path} is missing"
        if file.stat().st_size != size:
            return f"{path} has {file.stat().st_size} bytes instead of {size}"
    return None


def download(requirements, wheels):
    """Fetches every locked wheel into the folder `wheels`."""
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-cache-dir",
               "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11",
               "--abi=cp311", "--abi=none", "--dest", str(wheels), "--requirement", str(requirements)]
    for minor in range(28, 4, -1):
        command.append(f"--platform=manylinux_2_{minor}_x86_64")
    for name in ("manylinux2014", "manylinux2010", "manylinux1"):
        command.append(f"--platform={name}_x86_64")
    source = os.environ.get("STRATA_WHEELS")
    if source:
        command += ["--no-index", "--find-links", str(pathlib.Path(source).resolve())]
    result = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SetupError(explain(result.stderr, f"the folder STRATA_WHEELS={source}" if source else "the package index"))


def explain(words, source):
    """pip's error output as one sentence with a remedy."""
    if "DO NOT MATCH THE HASHES" in words:
        bad = re.findall(r"^\s+(\S.*) from .*:$", words, re.MULTILINE) or ["a wheel"]
        name = re.findall(r"([A-Za-z0-9_.+-]+\.whl)", words)
        return (f"{name[0] if name else bad[0]} from {source} is not what its checksum says: it was cut off or changed on the "
                "way. Nothing was installed. Run deploy/setup again; if it fails again, the source is at fault "
                "('pip config list' names it).")
    if re.search(r"NewConnectionError|Timeout|ProxyError|SSLError|name resolution|Max retries|"
                 r"Connection (reset|aborted|broken)|IncompleteRead|ProtocolError", words) or (
                     "from versions: none" in words and "STRATA_WHEELS" not in source):
        return (f"The download of LibTorch from {source} was cut off or never began. Nothing was installed. Look at the network "
                "and pip's settings ('pip config list'), then run deploy/setup again. "
                f"pip's last words: {last_line(words)}")
    if "No matching distribution" in words:
        return (f"{source[0].upper()}{source[1:]} does not hold what deploy/requirements-libtorch-*.txt asks for: "
                f"{last_line(words)}")
    if "BadZipFile" in words or "is invalid" in words:
        return f"A wheel from {source} is damaged: {last_line(words)} Run deploy/setup again."
    if "No module named pip" in words:
        return "Python has no pip. Install Debian's python3-pip, or run deploy/setup without --no-packages."
    return f"pip could not download LibTorch from {source}: {last_line(words)}"


def last_line(words):
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["(it said nothing)"])[-1]


def unpack(wheel, tree, flavour):
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                name = member.filename
                if any(fnmatch.fnmatchcase(name, p) for p in DROP) or member.is_dir():
                    continue
                if any(fnmatch.fnmatchcase(name, p) for p in KEEP[flavour]):
                    archive.extract(member, tree)
    except zipfile.BadZipFile as error:
        raise SetupError(f"{wheel.name} is damaged ({error}). Run deploy/setup again.") from error
    except OSError as error:
        raise SetupError(f"{wheel.name} could not be unpacked into {tree.parent.parent}: {error.strerror}.") from error


def install(flavour):
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        raise SetupError(f"The locked wheels are for Linux on x86_64; this is {platform.system()} on {platform.machine()}.")
    requirements = HERE / f"requirements-libtorch-{flavour}.txt"
    lock = hashlib.sha256(requirements.read_bytes()).hexdigest()
    version = re.search(r"^torch==(\S+)", requirements.read_text(), re.MULTILINE).group(1)
    deps = deps_folder()
    target = deps / f"libtorch-{version}-{flavour}"
    try:
        deps.mkdir(parents=True, exist_ok=True)
        lock_file = open(deps / f".libtorch-{flavour}.lock", "w")
    except OSError as error:
        raise SetupError(f"{deps} cannot be written: {error.strerror}. Name another folder by STRATA_DEPS.") from error
    with lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # a second set-up waits here, and then finds the first one's work
        wrong = what_is_wrong(target, lock)
        if wrong is None:
            print(f"LibTorch {version} ({flavour}) stands at {target}")
            return
        print(f"Installing LibTorch {version} ({flavour}, {DOWNLOAD[flavour]} to download) into {target}: {wrong}.",
              file=sys.stderr)
        free = shutil.disk_usage(deps).free
        if free < ROOM[flavour]:
            raise SetupError(f"{deps} has {free / 1e9:.1f} GB free; LibTorch needs {ROOM[flavour] / 1e9:.1f} GB while it is "
                             "installed. Make room, or name another folder by STRATA_DEPS.")
        for stale in deps.glob(f".libtorch-{flavour}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".libtorch-{flavour}-", dir=deps) as work:
            wheels, tree = pathlib.Path(work) / "wheels", pathlib.Path(work) / "tree"
            download(requirements, wheels)
            for wheel in sorted(wheels.glob("*.whl")):
                unpack(wheel, tree, flavour)
                wheel.unlink()
            (tree / STAMP).write_text(json.dumps({"lock": lock, "files": libraries(tree)}, indent=1) + "\n")
            os.sync()
            if target.exists():
                target.rename(pathlib.Path(work) / "old")
            tree.rename(target)
        print(f"LibTorch {version} ({flavour}) stands at {target}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flavour", choices=sorted(KEEP))
    try:
        install(parser.parse_args().flavour)
    except SetupError as error:
        print(f"deploy/setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("deploy/setup: interrupted; nothing was left half-installed.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
