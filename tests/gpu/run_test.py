"""tests/gpu/run refuses what it cannot do, in one sentence and with exit status 2."""
import ctypes
import os
import subprocess
import sys
import unittest

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")


def refusal(*arguments):
    ended = subprocess.run([sys.executable, "-B", RUN, *arguments], capture_output=True, text=True)
    return ended.returncode, ended.stdout, ended.stderr


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


class RunTest(unittest.TestCase):
    @unittest.skipIf(has_driver(), "this machine may have a GPU")
    def test_refuses_where_there_is_no_gpu(self):
        for which in ("--trainer", "--service"):
            status, out, err = refusal(which)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("no NVIDIA GPU answers on this machine", err)
            self.assertIn("--device cpu", err)
            self.assertEqual(err.count("\n"), 1, err)

    def test_wants_one_of_its_two_ways(self):
        for arguments in ((), ("--trainer", "--service")):
            status, out, err = refusal(*arguments)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("give one of --trainer and --service", err)


if __name__ == "__main__":
    unittest.main()
