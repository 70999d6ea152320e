"""A container engine, and the images that docker/compose.yaml names: built of this checkout, on a machine whose network may need a
certificate of its own and whose compiler cache may help. Nothing of that reaches the images."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BASE = "debian:bookworm-slim"
VERSION = "0.1.0"
IMAGES = [f"strata-{part}:{VERSION}" for part in ("coordinator", "agent", "cli", "prometheus", "alertmanager")]
SERVICES = ["coordinator", "worker-1", "prometheus", "alertmanager", "cli"]  # one of each image that is ours


class Failed(AssertionError):
    """One sentence on what went wrong."""


class Absent(Failed):
    """The machine lacks what the test needs."""


def call(*command, timeout=600, environment=None, **settings):
    """What a command prints; Failed with its last words."""
    words = [str(word) for word in command]
    try:
        result = subprocess.run(words, text=True, capture_output=True, timeout=timeout, env=environment, **settings)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words[:6])}: no end after {timeout} s") from None
    if result.returncode != 0:
        said = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        raise Failed(f"{' '.join(words[:6])}: exit status {result.returncode}: {' | '.join(said[-3:])[-600:]}")
    return result.stdout


def docker(*arguments, **settings):
    return call("docker", *arguments, **settings)


def answers(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode == 0


def compose_program():
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if answers("docker", "compose", "version"):
        return ["docker", "compose"]
    raise Absent("neither docker-compose nor `docker compose` is installed")


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Engine:
    """The engine at the default socket; started here, and then ended, where none runs and this is root."""

    def __init__(self):
        self.process, self.log = None, None

    def __enter__(self):
        if not shutil.which("docker"):
            raise Absent("docker is not installed")
        if answers("docker", "version"):
            return self
        if os.geteuid() != 0 or not shutil.which("dockerd"):
            raise Absent("no container engine answers at the default socket, and none can be started: that takes root and dockerd")
        self.log = tempfile.NamedTemporaryFile(prefix="strata-dockerd-", suffix=".log", delete=False)
        say(f"starting dockerd; its log is {self.log.name}")
        self.process = subprocess.Popen(["dockerd"], stdout=self.log, stderr=self.log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not answers("docker", "version"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise Failed(f"dockerd does not come up; its log is {self.log.name}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def has_image(name):
    return answers("docker", "image", "inspect", name)


def debian_sources():
    """This machine's own sources of Debian 12: (site, suite, components) each."""
    found = {}
    listed = call("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    for site, suite, component in (line.split() for line in listed.splitlines() if len(line.split()) == 3):
        if suite.startswith("bookworm"):
            found.setdefault((site, suite), set()).add(component)
    if not any(suite == "bookworm" for _, suite in found):
        raise Failed(f"{BASE} is not there, and this machine's apt knows no Debian 12 (bookworm) to make it of")
    return found


def ensure_base():
    """Where no registry can be had, Debian's own tool makes the image that the Dockerfile names."""
    if has_image(BASE):
        return
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Failed(f"there is no image {BASE}: pull it, or run this as root with debootstrap installed")
    sources = debian_sources()
    mirror = next(site for site, suite in sources if suite == "bookworm")
    say(f"making {BASE} by debootstrap")
    with tempfile.TemporaryDirectory(prefix="strata-base-") as folder:
        call("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", folder, mirror, timeout=1200)
        tree = pathlib.Path(folder)
        (tree / "etc/apt/sources.list").write_text(
            "".join(f"deb {site} {suite} {' '.join(sorted(parts & {'main'}))}\n" for (site, suite), parts in sorted(sources.items())))
        for stale in [*tree.glob("var/cache/apt/archives/*.deb"), *(p for p in tree.glob("var/lib/apt/lists/*") if p.is_file())]:
            stale.unlink()
        with subprocess.Popen(["tar", "--numeric-owner", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
            call("docker", "import", "--change", 'CMD ["bash"]', "-", BASE, stdin=tar.stdout)
        if tar.returncode != 0:
            raise Failed(f"tar of {folder} failed")


def caches():
    """(file or folder here, where it belongs in the image that is built on) of what helps a build on this machine."""
    certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if certificates and pathlib.Path(certificates).is_file():
        yield certificates, "/root/build-certificates.pem"
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    deps = pathlib.Path(os.environ.get("STRATA_DEPS") or cache / "strata")
    for libtorch in deps.glob("libtorch-*-cpu"):
        yield libtorch, f"/root/.cache/strata/{libtorch.name}"
    if shutil.which("ccache"):
        ccache = pathlib.Path(call("ccache", "--get-config", "cache_dir").strip())
        if ccache.is_dir():
            yield ccache, "/root/.cache/ccache"


def package_index():
    """pip's index of this machine as environment variables, for where LibTorch has to be downloaded."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], text=True, capture_output=True).stdout
    for name, value in re.findall(r"^[^.\n]*\.?(index-url|extra-index-url|trusted-host)='(.*)'$", listed, re.MULTILINE):
        yield f"PIP_{name.upper().replace('-', '_')}", value


class BuildBase:
    """An image to build on: BASE, with this machine's certificates and caches. Gone on leaving, with all that was built on it."""

    def __init__(self):
        self.name = f"strata-build-base:test-{os.getpid()}"

    def __enter__(self):
        container = docker("create", BASE, "true").strip()
        try:
            docker("cp", "--archive", f"{self.folders()}/.", f"{container}:/")
            changes = [f"LABEL {self.label()}"]  # what is built on it has it too
            for source, target in caches():
                say(f"lending {source} to the build")
                docker("cp", f"{source}{'/.' if os.path.isdir(source) else ''}", f"{container}:{target}", timeout=1800)
                if target.endswith(".pem"):
                    changes += [f"ENV {name}={target}" for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
            changes += [f"ENV {name}={value}" for name, value in package_index()]
            docker("commit", *(word for change in changes for word in ("--change", change)), container, self.name, timeout=1800)
        finally:
            docker("rm", container)
            shutil.rmtree(self.made, ignore_errors=True)
        return self.name

    def label(self):
        return f"strata.build-base={self.name}"

    def folders(self):
        """`docker cp` makes no parents."""
        self.made = tempfile.mkdtemp(prefix="strata-build-base-")
        os.chmod(self.made, 0o755)
        for _, target in caches():
            folder = target if not target.endswith(".pem") else os.path.dirname(target)
            os.makedirs(self.made + folder, exist_ok=True)
        os.makedirs(self.made + "/root", exist_ok=True)
        os.chmod(self.made + "/root", 0o700)
        return self.made

    def __exit__(self, *_):
        for command in (["rmi", self.name], ["image", "prune", "--force", "--filter", f"label={self.label()}"]):
            subprocess.run(["docker", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def commit():
    result = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], text=True, capture_output=True)
    return result.stdout.strip()


def have_images():
    return all(map(has_image, IMAGES))


def build_images():
    """Builds what docker/compose.yaml builds, as it builds it."""
    ensure_base()
    with BuildBase() as base, tempfile.NamedTemporaryFile("w", prefix="strata-images-", suffix=".log", delete=False) as log:
        environment = dict(os.environ, STRATA_BUILD_BASE=base, STRATA_COMMIT=commit(), DOCKER_BUILDKIT="0", COMPOSE_DOCKER_CLI_BUILD="0")
        say(f"building the images; the log is {log.name}")
        began = time.monotonic()
        for service in SERVICES:
            result = subprocess.run([*compose_program(), "-f", ROOT / "docker/compose.yaml", "--profile", "cli", "build", service],
                                    stdout=log, stderr=log, env=environment, timeout=5400)
            if result.returncode != 0:
                tail = [line for line in pathlib.Path(log.name).read_text(errors="replace").splitlines() if line.strip()][-4:]
                raise Failed(f"the image of {service} is not built: {' | '.join(tail)[-600:]}. All of it: {log.name}")
        say(f"images built in {time.monotonic() - began:.0f} s")
    os.unlink(log.name)
