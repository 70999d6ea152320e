"""docker/ as files: versions agree, images run without rights, the Compose file keeps to what docker-compose 1.29 and `docker compose`
both read, every secret is made and mounted, and what stands twice says the same."""

import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DOCKER = SOURCE / "docker"


def read(path):
    return (SOURCE / path).read_text()


def instructions(path):
    """(keyword, rest) of each instruction of a Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", read(path), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def stages(path):
    """Name of each stage -> its instructions."""
    found = {}
    for keyword, rest in instructions(path):
        if keyword == "FROM":
            found[rest.split()[-1]] = current = []
        elif found:
            current.append((keyword, rest))
    return found


def without_comments(path):
    return re.sub(r"^\s*#.*\n", "", read(path), flags=re.MULTILINE)


class DockerTest(unittest.TestCase):
    def setUp(self):
        self.version = re.search(r"project\(strata VERSION ([0-9.]+)", read("CMakeLists.txt"))[1]
        self.compose = read("docker/compose.yaml")

    def test_all_say_the_version_of_the_project(self):
        for path in ("docker/Dockerfile", "docker/Dockerfile.cuda"):
            labels = re.findall(r'image\.version="([^"]*)"', read(path))
            self.assertEqual(set(labels), {self.version}, path)
        images = re.findall(r"^\s+image: (\S+)", self.compose, re.MULTILINE)
        ours = [image for image in images if image.startswith("strata-")]
        self.assertEqual({image.split(":")[1] for image in ours}, {self.version})
        for path in ("docker/make-secrets", "docker/Dockerfile.cuda", "tests/integration/compose/engine.py", "deploy/kubernetes/kustomization.yaml"):
            tags = re.findall(r"(?:strata-[a-z-]+:|VERSION = \"|newTag: )([0-9][0-9.]*[0-9])", read(path))
            self.assertTrue(tags, path)
            self.assertEqual(set(tags), {self.version}, path)

    def test_images_are_named_by_tag_and_never_by_a_registry(self):
        for image in re.findall(r"^\s+image: (\S+)", self.compose, re.MULTILINE):
            self.assertRegex(image, r"^[a-z0-9-]+(/[a-z0-9-]+)?:[0-9][0-9.]*$")
        for path in ("docker/Dockerfile", "docker/Dockerfile.cuda"):
            for keyword, rest in instructions(path):
                if keyword == "FROM":
                    self.assertNotRegex(rest.split()[0], r"[.:]\d*/|\.[a-z]+/", path)

    def test_the_classic_builder_reads_the_dockerfiles(self):
        for path in ("docker/Dockerfile", "docker/Dockerfile.cuda"):
            self.assertNotIn("# syntax=", read(path))
            for keyword, rest in instructions(path):
                self.assertIn(keyword, {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "ENV"})
                self.assertNotRegex(rest, r"^--(mount|link|chmod|network|security)|<<", (path, rest))

    def test_programs_run_without_rights_and_say_how_they_are(self):
        for path, names in (("docker/Dockerfile", {"coordinator", "agent", "cli", "prometheus", "alertmanager"}), ("docker/Dockerfile.cuda", {"agent"})):
            targets = {name: list_ for name, list_ in stages(path).items() if any(keyword == "ENTRYPOINT" for keyword, _ in list_)}
            self.assertEqual(set(targets), names)
            for name, list_ in targets.items():
                keywords = [keyword for keyword, _ in list_]
                self.assertIn(("USER", "10001:10001"), list_, name)
                self.assertLess(keywords.index("USER"), keywords.index("ENTRYPOINT"), name)
                self.assertEqual("HEALTHCHECK" in keywords, name != "cli", name)
                self.assertFalse(any(keyword == "RUN" for keyword in keywords[keywords.index("USER"):]), name)

    def test_the_compose_file_keeps_to_what_both_programs_read(self):
        keys = set(re.findall(r"^([a-z][a-z-]*):", self.compose, re.MULTILINE)) - set(re.findall(r"^(x-[a-z-]+):", self.compose, re.MULTILINE))
        self.assertEqual(keys, {"version", "services", "networks", "volumes", "secrets"})
        plain = without_comments("docker/compose.yaml")
        for newer in ("content:", "environment: \"", "start_interval", "include:", "extends:", "develop:"):
            self.assertNotIn(newer, plain)
        self.assertEqual(len(re.findall(r"<<: \*(?:confined|worker)$", plain, re.MULTILINE)), len(self.services()) + 1)

    def services(self):
        section = re.search(r"^services:\n(.*?)^\S", self.compose, re.MULTILINE | re.DOTALL)[1]
        return dict(re.findall(r"^  ([a-z0-9-]+):\n((?:(?:    .*|  *#.*)?\n)*)", section, re.MULTILINE))

    def test_every_secret_is_used_and_made(self):
        defined = dict(re.findall(r'^  ([a-z0-9-]+): \{file: "\$\{STRATA_SECRETS:-\./secrets\}/([^"]+)"\}', self.compose, re.MULTILINE))
        used = set(re.findall(r"source: ([a-z0-9-]+)", self.compose))
        self.assertEqual(set(defined), used)
        maker = read("docker/make-secrets")
        for file in defined.values():
            worker = re.fullmatch(r"(?:monitoring/)?worker-(.*)\.(?:crt|key)", file)
            self.assertIn(worker[1] if worker else file.replace(".key", ".crt"), maker, file)
        reads = {"prometheus": ["docker/prometheus.yml", "docker/web.yml"], "alertmanager": ["docker/web.yml"], "grafana": ["docker/grafana-datasource.yaml"]}
        for name, text in self.services().items():
            mounted = set(re.findall(r"source: [a-z0-9-]+, target: ([a-z.-]+)", text))
            files = set(re.findall(r"/run/secrets/([a-z.-]+)", text + "".join(map(read, reads.get(name, [])))))
            self.assertTrue(files, name)
            self.assertEqual(files, mounted, name)
        self.assertNotIn("ca.key", self.compose)

    def test_the_programs_know_the_flags(self):
        for name, source in (("coordinator", "server/main.cc"), ("worker-1", "worker/agent/main.cc"), ("worker-2", "worker/agent/main.cc")):
            flags = re.findall(r"^\s+- (--[a-z-]+)=", self.services()[name], re.MULTILINE)
            self.assertGreater(len(flags), 4)
            for flag in flags:
                self.assertIn(f'"{flag}"', read(source))

    def test_secrets_stay_out_of_git_and_out_of_images(self):
        self.assertIn("/docker/secrets/", read(".gitignore").splitlines())
        self.assertIn("docker/secrets", read(".dockerignore").splitlines())
        for name in ("ca.crt", "ca.key", "admin-token", "grafana-password"):
            ignored = subprocess.run(["git", "-C", SOURCE, "check-ignore", "-q", f"docker/secrets/{name}"], stderr=subprocess.DEVNULL)
            self.assertIn(ignored.returncode, (0, 128))  # 128: no git here

    def test_prometheus_scrapes_here_what_it_scrapes_elsewhere(self):
        def essence(path):
            """What is left without addresses, TLS, comments and the form of lists."""
            text = re.sub(r"^\s*(?:- )?(?:tls_config|scheme):.*\n", "", without_comments(path), flags=re.MULTILINE)
            text = re.sub(r"https?://[^/]*/", "/", re.sub(r"targets: \[.*\]", "targets: []", text))
            return [line.strip().removeprefix("- ") for line in text.splitlines() if line.strip()]

        self.assertEqual(essence("docker/prometheus.yml"), essence("deploy/prometheus/prometheus.yml"))

    def test_grafana_has_the_same_source_of_data(self):
        here, there = (re.findall(r"^\s*(?:- )?(name|uid|type|access|isDefault|editable|httpMethod|timeInterval): (.*)$", read(path), re.MULTILINE)
                       for path in ("docker/grafana-datasource.yaml", "deploy/grafana/provisioning/datasources/strata.yaml"))
        self.assertEqual(here, there)
        provider = read("deploy/grafana/provisioning/dashboards/strata.yaml")
        path = re.search(r"path: (\S+)", provider)[1]
        self.assertIn(f"../deploy/grafana/dashboards:{path}:ro", self.compose)

    def test_settings_of_env_are_those_of_the_compose_file(self):
        known = set(re.findall(r"\$\{(STRATA_[A-Z0-9_]+)", self.compose))
        told = set(re.findall(r"^#(STRATA_[A-Z0-9_]+)=", read("docker/.env"), re.MULTILINE))
        self.assertEqual(known, told)

    def test_docker_compose_reads_it(self):
        program = next((p for p in (["docker-compose"], ["docker", "compose"]) if shutil.which(p[0])), None)
        if program is None:
            self.skipTest("neither docker-compose nor docker is installed")
        result = subprocess.run([*program, "-f", DOCKER / "compose.yaml", "--profile", "grafana", "--profile", "cli", "config"], text=True, capture_output=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("worker-2", result.stdout)

    def test_scripts_are_clean(self):
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is not installed")
        result = subprocess.run(["shellcheck", "--severity=warning", DOCKER / "make-secrets", DOCKER / "install", DOCKER / "runtime-packages"],
                                text=True, capture_output=True)
        self.assertEqual(result.returncode, 0, result.stdout)


if __name__ == "__main__":
    unittest.main()
