"""deploy/systemd: systemd itself reads the units without complaint and rates their hardening; the programs know their flags.

    systemd_test.py --build BUILD
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

UNITS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "systemd"
PROGRAMS = {"strata-coordinator": "server/strata-coordinator", "strata-agent": "worker/strata-agent"}
# `systemd-analyze security`, in tenths: the less, the less a service may do. 92 is what a unit without any of it has.
EXPOSURE = {"strata-coordinator": 15, "strata-agent": 25}


def command_of(text):
    return next(line.partition("=")[2].split() for line in text.splitlines() if line.startswith("ExecStart="))


class SystemdTest(unittest.TestCase):
    build = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.units = {name: (UNITS / f"{name}.service").read_text() for name in PROGRAMS}

    def place(self, name, text):
        """The unit with a program that is there: verify looks for it."""
        path = self.folder / f"{name}.service"
        path.write_text(text.replace(f"ExecStart=/usr/local/bin/{name}", "ExecStart=/bin/true"))
        return path

    def analyze(self, *arguments):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not here: Debian's systemd")
        result = subprocess.run(["systemd-analyze", *arguments], text=True, capture_output=True, timeout=60)
        return result.returncode, result.stdout + result.stderr

    def test_systemd_reads_the_units_without_complaint(self):
        for name, text in self.units.items():
            self.assertEqual(self.analyze("verify", "--man=no", self.place(name, text)), (0, ""), name)
        _, complaint = self.analyze("verify", "--man=no", self.place("strata-agent", self.units["strata-agent"] + "KilMode=x\n"))
        self.assertIn("KilMode", complaint, "the check would not see a slip")

    def test_systemd_rates_them_as_hardened(self):
        for name, text in self.units.items():
            status, table = self.analyze("security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE[name]}", self.place(name, text))
            self.assertEqual(status, 0, table)

    def test_the_programs_know_their_flags(self):
        for name, text in self.units.items():
            program = self.build / PROGRAMS[name]
            if not program.exists():
                self.skipTest(f"{program} is not built")
            known = set(re.findall(r"--[a-z][a-z-]*", subprocess.run([program, "--help"], text=True, capture_output=True, timeout=20).stdout))
            settings = (UNITS / f"{name.removeprefix('strata-')}.env").read_text()
            options = " ".join(line for line in settings.splitlines() if "STRATA_OPTIONS=" in line)
            given = set(re.findall(r"--[a-z][a-z-]*", " ".join(command_of(text)) + " " + options))
            self.assertTrue(given)
            self.assertLessEqual(given, known, f"{name} is given what it does not know")

    def test_every_setting_has_a_default_and_stands_in_the_example(self):
        for name, text in self.units.items():
            used = set(re.findall(r"\$\{?(STRATA_[A-Z_]+)", " ".join(command_of(text))))
            defaults = set(re.findall(r"(STRATA_[A-Z_]+)=", next(line for line in text.splitlines() if line.startswith("Environment="))))
            example = (UNITS / f"{name.removeprefix('strata-')}.env").read_text()
            self.assertEqual(used, defaults, name)
            self.assertEqual(used, set(re.findall(r"^#(STRATA_[A-Z_]+)=", example, re.MULTILINE)), name)

    def test_trainers_outlive_the_agent(self):
        lines = self.units["strata-agent"].splitlines()
        for line in ("KillMode=process", "OOMPolicy=continue", "Restart=on-failure", "ReadWritePaths=/tmp"):
            self.assertIn(line, lines)
        self.assertFalse([line for line in lines if line.startswith(("PrivateTmp=", "PrivateUsers=", "MemoryDenyWriteExecute="))])


if __name__ == "__main__":
    SystemdTest.build = pathlib.Path(sys.argv.pop(sys.argv.index("--build") + 1))
    sys.argv.remove("--build")
    unittest.main()
