"""deploy/libtorch.py: what a broken download or a broken installation does. No network: wheels and index are made here."""

import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WHEEL = "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl"


class CutOffIndex(http.server.BaseHTTPRequestHandler):
    """A package index whose wheels end after 1000 of 100000 bytes."""

    def do_GET(self):
        self.send_response(200)
        if self.path.endswith(".whl"):
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.close_connection = True
        else:
            page = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    def log_message(self, *_):
        pass


class LibTorchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.deps = pathlib.Path(folder.name) / "deps"
        self.wheels = pathlib.Path(folder.name) / "wheels"
        self.wheels.mkdir()

    def install(self, **environment):
        return subprocess.run([sys.executable, ROOT / "deploy/libtorch.py", "cpu"], capture_output=True, text=True, check=False,
                              env=os.environ | {"STRATA_DEPS": str(self.deps)} | environment)

    def assert_nothing_left(self):
        self.assertEqual([p.name for p in self.deps.iterdir() if not p.name.endswith(".lock")], [])

    def plant_installation(self):
        target = self.deps / "libtorch-2.11.0-cpu"
        library = target / "torch/lib/libc10.so"
        library.parent.mkdir(parents=True)
        library.write_bytes(b"12345")
        lock = hashlib.sha256((ROOT / "deploy/requirements-libtorch-cpu.txt").read_bytes()).hexdigest()
        (target / "strata-stamp.json").write_text(json.dumps({"lock": lock, "files": {"torch/lib/libc10.so": 5}}))
        return target

    def test_a_wheel_that_is_not_what_its_checksum_says_is_named(self):
        (self.wheels / WHEEL).write_bytes(b"not a wheel")
        result = self.install(STRATA_WHEELS=str(self.wheels))
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"{WHEEL} from the folder STRATA_WHEELS={self.wheels} is not what its checksum says", result.stderr)
        self.assert_nothing_left()

    def test_a_download_that_is_cut_off_is_noticed(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), CutOffIndex)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        result = self.install(PIP_INDEX_URL=f"http://127.0.0.1:{server.server_port}/", PIP_RETRIES="0")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "deploy/setup: .*(cut off)")
        self.assertNotIn("Traceback", result.stderr)
        self.assert_nothing_left()

    def test_an_index_that_does_not_answer_is_one_sentence(self):
        result = self.install(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("was cut off or never began", result.stderr)
        self.assert_nothing_left()

    def test_an_empty_folder_of_wheels_is_named(self):
        result = self.install(STRATA_WHEELS=str(self.wheels))
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"STRATA_WHEELS={self.wheels} does not hold", result.stderr)

    def test_a_whole_installation_is_left_alone(self):
        self.plant_installation()
        result = self.install(STRATA_WHEELS=str(self.wheels))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_partial_installation_is_noticed(self):
        for case, (damage, words) in enumerate([
            (lambda target: (target / "strata-stamp.json").unlink(), "installed only in part"),
            (lambda target: (target / "torch/lib/libc10.so").unlink(), "torch/lib/libc10.so is missing"),
            (lambda target: (target / "torch/lib/libc10.so").write_bytes(b"1"), "has 1 bytes instead of 5"),
            (lambda target: (target / "strata-stamp.json").write_text("{"), "installed only in part"),
        ]):
            with self.subTest(words):
                self.deps = self.deps.with_name(f"deps{case}")
                damage(self.plant_installation())
                result = self.install(STRATA_WHEELS=str(self.wheels))
                self.assertEqual(result.returncode, 1)  # there is nothing to mend it with here
                self.assertIn(words, result.stderr)

    def test_a_folder_that_cannot_be_made_is_named(self):
        self.deps.write_text("a file")
        result = self.install(STRATA_WHEELS=str(self.wheels))
        self.assertEqual(result.returncode, 1)
        self.assertIn("Name another folder by STRATA_DEPS", result.stderr)


if __name__ == "__main__":
    unittest.main()
