"""deploy/quickstart with stand-ins for the programs: what is called in which order, how it ends, what Ctrl-C does."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

STRATA = """#!/bin/sh
echo "strata $*" >>"$CALLS"
case $1 in
  workers) [ -e "$STRATA_HOME/up" ] ;;
  up) touch "$STRATA_HOME/up" ;;
  down) rm "$STRATA_HOME/up" ;;
  data) [ "$2" = add ] ;;
  submit) echo '{"experiment": {"name": "experiments/quickstart-7"}}' ;;
  watch) [ -z "$SLOW" ] || exec sleep 30 ;;
  wait) exit ${WAIT_STATUS:-0} ;;
  report) echo drawing; echo "$4/index.html" ;;
esac
"""
STRATA_DATA = """#!/bin/sh
echo "strata-data $1" >>"$CALLS"
[ "$1" != prepare ] || { mkdir -p "$STRATA_HOME/prepared/debian-en-de"; touch "$STRATA_HOME/prepared/debian-en-de/manifest.json"; }
"""
SILENT = "#!/bin/sh\necho \"${0##*/} $1\" >>\"$CALLS\"\n"


class QuickstartTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name) / "clone"
        self.home = pathlib.Path(folder.name) / "home"
        self.calls = pathlib.Path(folder.name) / "calls"
        self.home.mkdir()
        shutil.copytree(ROOT / "deploy", self.tree / "deploy")
        for path, content in {"build/release/client/strata": STRATA, "build/release/worker/strata-data": STRATA_DATA,
                              "deploy/setup": SILENT, "bin/cmake": SILENT}.items():
            file = self.tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            file.chmod(0o755)
        self.environment = os.environ | {"STRATA_HOME": str(self.home), "CALLS": str(self.calls), "SLOW": "",
                                         "PATH": f"{self.tree}/bin:{os.environ['PATH']}"}

    def start(self, *arguments, **environment):
        return subprocess.Popen([self.tree / "deploy/quickstart", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env=self.environment | environment, start_new_session=True)

    def run_it(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=30)
        return process.returncode, output

    def called(self):
        return self.calls.read_text().splitlines()

    def test_it_goes_the_whole_way_and_prints_the_reports_path_last(self):
        status, output = self.run_it()
        self.assertEqual(status, 0, output)
        self.assertEqual(output.splitlines()[-1], f"{self.home}/reports/quickstart-7/index.html")
        self.assertEqual(self.called(), [
            "setup ", "cmake --preset", "cmake --build", "strata-data fetch", "strata-data prepare", "strata workers",
            "strata up --slots 2", "strata data show debian-en-de", f"strata data add {self.home}/prepared/debian-en-de",
            "strata submit deploy/experiments/quickstart.yaml --output json", "strata watch experiments/quickstart-7",
            "strata wait experiments/quickstart-7",
            f"strata report experiments/quickstart-7 --output-dir {self.home}/reports/quickstart-7", "strata down"])
        self.assertFalse((self.home / "up").exists())

    def test_smoke_submits_the_small_experiment(self):
        self.run_it("--smoke")
        self.assertIn("strata submit deploy/experiments/smoke.yaml --output json", self.called())

    def test_data_that_stands_is_used_again(self):
        self.run_it()
        self.calls.unlink()
        self.run_it()
        self.assertFalse([c for c in self.called() if c.startswith("strata-data")])

    def test_a_trial_that_failed_shows_in_the_exit_status_and_the_report_is_drawn_all_the_same(self):
        status, output = self.run_it(WAIT_STATUS="1")
        self.assertEqual(status, 1)
        self.assertTrue(output.splitlines()[-1].endswith("index.html"))

    def test_a_cluster_that_ran_before_is_left_running(self):
        (self.home / "up").touch()
        self.run_it()
        self.assertNotIn("strata down", self.called())
        self.assertTrue((self.home / "up").exists())

    def test_interrupt_cancels_the_experiment_and_stops_the_cluster(self):
        process = self.start(SLOW="1")
        self.addCleanup(process.stdout.close)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (self.calls.exists() and any("watch" in c for c in self.called())):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the whole group
        process.wait(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.called()[-2:], ["strata cancel experiments/quickstart-7", "strata down"])

    def test_wrong_usage_is_refused(self):
        for arguments in [["--fast"], ["no-such.yaml"]]:
            status, output = self.run_it(*arguments)
            self.assertEqual(status, 2, output)
        self.assertFalse(self.calls.exists())


if __name__ == "__main__":
    unittest.main()
