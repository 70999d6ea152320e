"""tests/run over a small project of its own: what it counts, and how it ends."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

PROJECT = """cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES NONE)
enable_testing()
add_custom_target(built ALL COMMAND ${BUILD_COMMAND})
foreach(folder server worker/agent tests/sim)
  add_subdirectory(${folder})
endforeach()
add_test(NAME good COMMAND true)
add_test(NAME bad COMMAND ${BAD_COMMAND})
add_test(NAME shy COMMAND sh -c "echo 'shy: skipped: no GPU here'; exit 77")
set_tests_properties(good bad shy PROPERTIES LABELS fast SKIP_RETURN_CODE 77)
add_test(NAME long COMMAND false)
set_tests_properties(long PROPERTIES LABELS slow)
"""
BELOW = "add_test(NAME core COMMAND true)\nset_tests_properties(core PROPERTIES LABELS fast)\n"
PRESETS = """{"version": 6, "configurePresets": [
 {"name": "release", "generator": "Ninja", "binaryDir": "${sourceDir}/build/release",
  "cacheVariables": {"BAD_COMMAND": "%(bad)s", "BUILD_COMMAND": "%(build)s"}},
 {"name": "tsan", "generator": "Ninja", "binaryDir": "${sourceDir}/build/tsan",
  "cacheVariables": {"BAD_COMMAND": "%(bad)s", "BUILD_COMMAND": "%(build)s"}}]}
"""


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)
        (self.tree / "deploy").mkdir()
        (self.tree / "tests").mkdir()
        for name in ["run", "summary.py"]:
            shutil.copy(ROOT / "tests" / name, self.tree / "tests" / name)
        self.plant("deploy/setup", "#!/bin/sh\necho \"set up $*\"\n").chmod(0o755)
        self.plant("CMakeLists.txt", PROJECT)
        for below in ["server", "worker/agent", "tests/sim"]:
            self.plant(f"{below}/CMakeLists.txt", BELOW)

    def plant(self, path, content):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def run_it(self, *arguments, bad="false", build="true"):
        self.plant("CMakePresets.json", PRESETS % {"bad": bad, "build": build})
        result = subprocess.run([self.tree / "tests/run", *arguments], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr, result.stdout.splitlines()[-1:]

    def test_the_last_line_is_the_total_over_both_builds(self):
        status, output, last = self.run_it()
        # release: good, three of core, bad, shy; tsan: three of core in its folders
        self.assertEqual(last, ["7 passed, 1 failed, 1 skipped"], output)
        self.assertEqual(status, 1)
        self.assertIn("tests passed", output)  # ctest's own summary is shown
        self.assertIn("shy: shy: skipped: no GPU here", output)
        self.assertIn("FAILED   release: bad", output)
        self.assertIn("set up --test", output)

    def test_all_good_is_status_0(self):
        status, output, last = self.run_it("--no-setup", bad="true")
        self.assertEqual((status, last), (0, ["8 passed, 0 failed, 1 skipped"]), output)
        self.assertNotIn("set up", output)

    def test_a_label_chooses_and_slow_ones_wait_to_be_asked_for(self):
        status, output, last = self.run_it("--label", "slow")
        self.assertEqual((status, last), (1, ["0 passed, 1 failed, 0 skipped"]), output)

    def test_a_build_that_fails_counts_as_failed(self):
        status, output, last = self.run_it("--label", "fast", build="false")
        self.assertEqual((status, last), (1, ["3 passed, 1 failed, 0 skipped"]), output)
        self.assertIn("FAILED   release: the preset release does not build", output)

    def test_wrong_usage_is_refused(self):
        for arguments in [["--fast"], ["--label"]]:
            self.assertEqual(self.run_it(*arguments)[0], 2)


if __name__ == "__main__":
    unittest.main()
