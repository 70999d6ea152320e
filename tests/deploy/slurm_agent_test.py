"""deploy/slurm/agent with a stand-in for strata-agent: what it derives of an allocation, and what it refuses."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

SLURM = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "slurm"
STAND_IN = """#!/usr/bin/env python3
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid()}))
"""


class SlurmAgentTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.program = self.folder / "strata-agent"
        self.program.write_text(STAND_IN)
        self.program.chmod(0o755)
        self.job = {"SLURM_JOB_ID": "13", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "8",
                    "STRATA_AGENT": str(self.program), "STRATA_STATE_DIR": str(self.folder / "state")}

    def start(self, *arguments, script="agent", **environment):
        """The process and its id: the agent must be that process."""
        settings = {"PATH": os.environ["PATH"], **self.job, **environment}
        settings = {name: value for name, value in settings.items() if value is not None}
        process = subprocess.Popen([SLURM / script, *arguments], env=settings, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.folder)
        output, errors = process.communicate(timeout=20)
        return process, output, errors

    def started(self, *arguments, **settings):
        process, output, errors = self.start(*arguments, **settings)
        self.assertEqual(process.returncode, 0, errors)
        told = json.loads(output)
        self.assertEqual(told["pid"], process.pid, "Slurm's warning would not reach the agent")
        words = told["arguments"]
        return dict(zip(words[::2], words[1::2])), told["gpus"]

    def test_derives_what_it_can_of_the_allocation(self):
        flags, gpus = self.started("--coordinator", "127.0.0.1:7070")
        self.assertEqual(flags, {"--coordinator": "127.0.0.1:7070", "--name": "slurm-12-3", "--device": "cpu", "--slots": "8",
                                 "--state-dir": str(self.folder / "state" / "slurm-12-3"), "--advertise-address": "127.0.0.1"})
        self.assertEqual(gpus, "", "no GPU is ours, so none may be seen")
        self.assertEqual((self.folder / "state" / "slurm-12-3").stat().st_mode & 0o777, 0o700)

    def test_what_is_given_stands(self):
        flags, _ = self.started("--coordinator", "127.0.0.1:7070", "--name", "mine", "--slots", "2", "--advertise-address", "10.0.0.1",
                                "--state-dir", "elsewhere", "--device", "auto")
        self.assertEqual(flags, {"--coordinator": "127.0.0.1:7070", "--name": "mine", "--slots": "2", "--advertise-address": "10.0.0.1",
                                 "--state-dir": "elsewhere", "--device": "auto"})

    def test_slots_follow_the_allocation(self):
        for settings, slots in [({"STRATA_CPUS_PER_SLOT": "3"}, "2"), ({"SLURM_CPUS_PER_TASK": None, "SLURM_CPUS_ON_NODE": "5"}, "5"),
                                ({"SLURM_CPUS_PER_TASK": None}, "1"), ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, "8")]:
            flags, gpus = self.started("--coordinator", "127.0.0.1:7070", **settings)
            self.assertEqual((flags["--slots"], gpus), (slots, ""), settings)

    def test_gpus_of_the_allocation_are_the_slots(self):
        for settings, visible in [({"SLURM_JOB_GPUS": "2,5"}, "2,5"), ({"SLURM_JOB_GPUS": "2,5", "CUDA_VISIBLE_DEVICES": "0,1"}, "0,1"),
                                  ({"SLURM_STEP_GPUS": "1"}, "1")]:
            flags, gpus = self.started("--coordinator", "127.0.0.1:7070", **settings)
            self.assertEqual((flags["--device"], flags.get("--slots"), gpus), ("gpu", None, visible), settings)
        flags, _ = self.started("--coordinator", "127.0.0.1:7070", "--device", "cpu", SLURM_JOB_GPUS="2,5")
        self.assertEqual((flags["--device"], flags["--slots"]), ("cpu", "8"))

    def test_takes_the_coordinator_from_the_environment_or_a_file(self):
        flags, _ = self.started(STRATA_COORDINATOR="localhost:7070")
        self.assertEqual((flags["--coordinator"], flags["--advertise-address"]), ("localhost:7070", "127.0.0.1"))
        (self.folder / "address").write_text("127.0.0.1:7070\n")
        flags, _ = self.started("--address-file", str(self.folder / "address"))
        self.assertNotIn("--coordinator", flags)

    def test_a_requeued_task_is_another_worker(self):
        self.assertEqual(self.started("--coordinator=127.0.0.1:7070", SLURM_RESTART_COUNT="2")[0]["--name"], "slurm-12-3-r2")
        single = {"SLURM_ARRAY_JOB_ID": None, "SLURM_ARRAY_TASK_ID": None}
        self.assertEqual(self.started("--coordinator", "127.0.0.1:7070", **single)[0]["--name"], "slurm-13-0")

    def test_removes_what_ended_agents_left_and_nothing_else(self):
        held, left = self.folder / "state" / "slurm-9-0", self.folder / "state" / "slurm-9-1"
        for folder in (held, left):
            folder.mkdir(parents=True)
            (folder / "lock").touch()
        living = subprocess.Popen(["flock", held / "lock", "sleep", "30"], start_new_session=True)
        try:
            while subprocess.run(["flock", "--nonblock", held / "lock", "true"]).returncode == 0:
                pass
            self.started("--coordinator", "127.0.0.1:7070")
            self.assertTrue(held.exists())
            self.assertFalse(left.exists())
        finally:
            os.killpg(living.pid, 9)
            living.wait()

    def test_refuses_with_a_remedy(self):
        for arguments, settings, words in [
                ([], {}, "Give --coordinator HOST:PORT, or set STRATA_COORDINATOR."),
                (["--coordinator", "127.0.0.1:7070"], {"SLURM_JOB_ID": None}, "this is no Slurm job. Submit it: sbatch"),
                (["--coordinator", "127.0.0.1:7070"], {"STRATA_AGENT": "/nowhere/strata-agent"}, "is not found at /nowhere/strata-agent"),
                (["--coordinator", "127.0.0.1:7070"], {"STRATA_CPUS_PER_SLOT": "many"}, '"many" is no whole number from 1'),
                (["--coordinator", "127.0.0.1:7070"], {"STRATA_CPUS_PER_SLOT": "9"}, "but the allocation has 8 CPUs"),
                (["--coordinator", "127.0.0.1:7070"], {"STRATA_STATE_DIR": "/proc/none"}, "STRATA_STATE_DIR: /proc/none"),
                (["--coordinator", "no.such.host.invalid:7070"], {}, "no.such.host.invalid is not known here"),
        ]:
            process, output, errors = self.start(*arguments, **settings)
            self.assertEqual((process.returncode, output), (2, ""), words)
            self.assertIn(words, errors)

    def test_the_batch_script_finds_its_agent_or_says_where_to_submit(self):
        process, _, errors = self.start("--coordinator", "127.0.0.1:7070", script="agents.sbatch")
        self.assertEqual(process.returncode, 2)
        self.assertIn("Submit from the root of Strata, or name the folder", errors)
        flags, _ = self.started("--coordinator", "127.0.0.1:7070", script="agents.sbatch", SLURM_SUBMIT_DIR=str(SLURM.parents[1]))
        self.assertEqual(flags["--name"], "slurm-12-3")
        flags, _ = self.started("--coordinator", "127.0.0.1:7070", script="agents.sbatch", STRATA_SLURM=str(SLURM))
        self.assertEqual(flags["--slots"], "8")


if __name__ == "__main__":
    unittest.main()
