"""deploy/kubernetes against the published schemas of Kubernetes (PyPI kubernetes-validate), and against itself: what names what, what
Pod Security's "restricted" asks for, and that the programs know every flag that they are given.

    kubernetes_test.py --build BUILD        (goes on inside an environment locked by kubernetes-requirements.txt)
"""

import copy
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MANIFESTS = SOURCE / "deploy" / "kubernetes"
LOCK = pathlib.Path(__file__).with_name("kubernetes-requirements.txt")
OLDEST, NEWEST = "1.29", "1.35"
PROGRAMS = {"strata-coordinator": "server/strata-coordinator", "strata-agent": "worker/strata-agent"}


def go_inside():
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]
    made = subprocess.run([SOURCE / "tests" / "python_environment", f"kubernetes-{digest}", "--require-hashes", "--no-deps",
                           f"--requirement={LOCK}"], text=True, capture_output=True)
    if made.returncode != 0:
        print(made.stderr.strip())
        sys.exit(made.returncode)
    python = pathlib.Path(made.stdout.strip()) / "bin" / "python"
    os.execve(python, [python, "-B", *sys.argv], dict(os.environ, STRATA_TEST_INSIDE="yes"))


def read(path):
    import yaml

    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def pods(documents):
    return {document["metadata"]["name"]: document["spec"]["template"]
            for document in documents if document["kind"] in ("StatefulSet", "Deployment")}


class KubernetesTest(unittest.TestCase):
    build = None

    def setUp(self):
        self.kustomization, = read(MANIFESTS / "kustomization.yaml")
        files = sorted(path for path in MANIFESTS.glob("*.yaml") if path.name != "kustomization.yaml")
        self.documents = [document for path in files for document in read(path)]
        self.named = {(document["kind"], document["metadata"]["name"]): document for document in self.documents}

    def test_each_manifest_is_what_the_schemas_say(self):
        import kubernetes_validate

        for document in self.documents:
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(document, version, strict=True)

    def test_the_schemas_refuse_what_is_wrong(self):
        import kubernetes_validate

        good = self.named["StatefulSet", "strata-coordinator"]
        for break_it in (lambda d: d["spec"].update(replicas="one"), lambda d: d["spec"].update(replica=1),
                         lambda d: d["spec"]["template"]["spec"]["containers"][0].pop("name")):
            bad = copy.deepcopy(good)
            break_it(bad)
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(bad, NEWEST, strict=True)

    def test_kustomize_finds_every_file_and_image(self):
        offered = set(re.findall(r"^ *(?:# )?- ([a-z-]+\.yaml)$", (MANIFESTS / "kustomization.yaml").read_text(), re.MULTILINE))
        self.assertEqual(offered | {"kustomization.yaml"}, {path.name for path in MANIFESTS.glob("*.yaml")})
        self.assertLessEqual(set(self.kustomization["resources"]), offered)
        used = {container["image"] for pod in pods(self.documents).values() for container in pod["spec"]["containers"]}
        self.assertEqual(used, {image["name"] for image in self.kustomization["images"]})
        self.assertIn(("Namespace", self.kustomization["namespace"]), self.named)
        version = re.search(r"project\(strata VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text())[1]
        self.assertEqual({image["newTag"] for image in self.kustomization["images"]}, {version}, "a version tag, never latest")

    def test_nothing_secret_is_contained(self):
        self.assertNotIn("Secret", {kind for kind, _ in self.named})
        for path in MANIFESTS.glob("*.yaml"):
            self.assertNotRegex(path.read_text(), r"-----BEGIN|stringData", path.name)

    def test_what_is_named_is_there(self):
        for name, pod in pods(self.documents).items():
            spec, labels = pod["spec"], pod["metadata"]["labels"]
            document = self.named["StatefulSet", name]
            self.assertEqual(document["spec"]["selector"]["matchLabels"].items() - labels.items(), set())
            service = self.named["Service", document["spec"]["serviceName"]]
            self.assertEqual(service["spec"]["selector"].items() - labels.items(), set(), name)
            ports = {port["name"] for container in spec["containers"] for port in container["ports"]}
            self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, ports)
            self.assertIn(("ServiceAccount", spec["serviceAccountName"]), self.named)
            volumes = [volume["name"] for volume in spec["volumes"]]
            volumes += [claim["metadata"]["name"] for claim in document["spec"]["volumeClaimTemplates"]]
            for container in spec["containers"]:
                self.assertEqual(sorted(mount["name"] for mount in container["volumeMounts"]), sorted(volumes), name)
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    if "tcpSocket" in container.get(probe, {}):
                        self.assertIn(container[probe]["tcpSocket"]["port"], ports)
        for (kind, name), document in self.named.items():
            if kind == "NetworkPolicy" and (wanted := document["spec"]["podSelector"].get("matchLabels", {})):
                known = [pod["metadata"]["labels"] for pod in pods(self.documents).values()] + [{"strata/client": "true"}]
                self.assertTrue(any(wanted.items() <= labels.items() for labels in known), f"{name} selects no pod")

    def test_pods_are_restricted(self):
        for name, pod in pods(self.documents).items():
            spec = pod["spec"]
            self.assertTrue(spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0, name)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIs(spec["automountServiceAccountToken"], False)
            self.assertFalse(spec.keys() & {"hostNetwork", "hostPID", "hostIPC"})
            for container in spec["containers"]:
                self.assertEqual(container["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                                "capabilities": {"drop": ["ALL"]}}, name)
                self.assertIn("memory", container["resources"]["limits"])
            for volume in spec["volumes"]:
                self.assertTrue(volume.keys() & {"secret", "emptyDir"}, volume)

    def test_pods_have_time_to_write_checkpoints(self):
        for name, pod in pods(self.documents).items():
            least = 130 if "worker" in name else 5
            self.assertGreater(pod["spec"]["terminationGracePeriodSeconds"], least, name)

    def test_the_programs_know_their_flags(self):
        for name, pod in pods(self.documents).items():
            for container in pod["spec"]["containers"]:
                program = self.build / PROGRAMS[container["command"][0]]
                if not program.exists():
                    self.skipTest(f"{program} is not built")
                help_text = subprocess.run([program, "--help"], text=True, capture_output=True, timeout=20).stdout
                known = set(re.findall(r"--[a-z][a-z-]*", help_text))
                probe = container.get("readinessProbe", {}).get("exec", {}).get("command", [])
                given = {word.partition("=")[0] for word in container["args"] + probe if word.startswith("--")}
                self.assertLessEqual(given, known, f"{name} is given what {program.name} does not know")


if __name__ == "__main__":
    if not os.environ.get("STRATA_TEST_INSIDE"):
        go_inside()
    KubernetesTest.build = pathlib.Path(sys.argv.pop(sys.argv.index("--build") + 1))
    sys.argv.remove("--build")
    unittest.main()
