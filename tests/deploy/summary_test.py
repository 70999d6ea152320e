"""tests/summary.py over what ctest writes."""

import contextlib
import importlib.util
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

PATH = pathlib.Path(__file__).resolve().parents[1] / "summary.py"
SPEC = importlib.util.spec_from_file_location("summary", PATH)
summary = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(summary)

RESULTS = """<?xml version="1.0"?><testsuite name="s" tests="5">
<testcase name="A.Good" status="run"><system-out>ok</system-out></testcase>
<testcase name="A.Bad" status="fail"><failure message=""/><system-out>no</system-out></testcase>
<testcase name="A.Gtest" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
<system-out>[ RUN      ] A.Gtest
/a/b.cc:3: Skipped
no network namespaces here

[  SKIPPED ] A.Gtest (0 ms)</system-out></testcase>
<testcase name="script" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>
<system-out>trying
script: skipped: no containers on this machine</system-out></testcase>
<testcase name="gone" status="notrun"><skipped message="Unable to find executable"/></testcase>
</testsuite>"""


class SummaryTest(unittest.TestCase):
    def summarise(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (pathlib.Path(folder) / name).write_text(content)
            out = io.StringIO()
            with contextlib.redirect_stdout(out), mock.patch.object(sys, "argv", ["summary.py", folder]):
                status = summary.main()
            return status, out.getvalue()

    def test_the_last_line_is_the_total_over_all_suites(self):
        status, out = self.summarise({"release.xml": RESULTS, "tsan.xml": RESULTS})
        self.assertEqual(out.splitlines()[-1], "2 passed, 4 failed, 4 skipped")
        self.assertEqual(status, 1)

    def test_what_was_skipped_is_listed_with_its_reason(self):
        _, out = self.summarise({"release.xml": RESULTS})
        self.assertIn("A.Gtest: no network namespaces here\n", out)
        self.assertIn("no containers on this machine\n", out)

    def test_a_test_whose_program_is_missing_has_failed(self):
        _, out = self.summarise({"release.xml": RESULTS})
        self.assertIn("FAILED   release: gone (Unable to find executable)", out)

    def test_a_build_that_failed_counts(self):
        status, out = self.summarise({"tsan.failed": "the preset tsan does not build\n"})
        self.assertEqual(out.splitlines()[-1], "0 passed, 1 failed, 0 skipped")
        self.assertEqual(status, 1)

    def test_results_cut_off_count_as_failed(self):
        status, _ = self.summarise({"release.xml": RESULTS[:100]})
        self.assertEqual(status, 1)

    def test_no_result_at_all_is_no_success(self):
        self.assertEqual(self.summarise({})[0], 1)


if __name__ == "__main__":
    unittest.main()
