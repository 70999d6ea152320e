"""contract.py reads out of the sources what stands there, and notices what is left out."""

import pathlib
import tempfile
import unittest

import contract


class ContractTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)

    def plant(self, path, content):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def test_calls_with_their_statuses(self):
        self.plant("proto/strata/v1/a_service.proto", """// Not of a call.
service AService {
  // Does a thing that may
  // be CANCELLED. NOT_FOUND: none. Says more.
  rpc Do(DoRequest) returns (DoResponse);
  // Says it. Codes as Do.
  rpc Say(DoRequest) returns (stream DoResponse);

  rpc Bare(DoRequest) returns (DoResponse);
}
""")
        self.assertEqual(contract.calls(self.tree), [("AService", [
            ("Do", "Does a thing that may be CANCELLED.", "`NOT_FOUND`: none. Says more."),
            ("Say", "Says it.", "Codes as Do."),
            ("Bare", "", "")])])

    def test_roles(self):
        self.plant("server/service/access_table.cc", """
      For(kSubmitter, "strata.v1.A/Do", kChange), ForWorkersToo(kViewer, "strata.v1.A/Get"),
      ForWorkers("strata.v1.A/Tell"), ForAnyone("grpc.health.v1.Health/Check"),
""")
        self.assertEqual(contract.roles(self.tree), {"A/Do": "submitter", "A/Get": "viewer, worker", "A/Tell": "worker", "Health/Check": "anybody"})

    def test_a_cause_without_a_meaning_is_noticed(self):
        self.plant("server/core/job.cc", '    {"lost", true},  // it went\n    {"bare", false},\n')
        self.assertEqual(contract.causes(self.tree), [("lost", True, "it went")])
        self.assertEqual(contract.all_causes(self.tree), ["lost", "bare"])

    def test_this_tree_is_read(self):
        root = contract.repository()
        self.assertEqual(len(contract.causes(root)), len(contract.all_causes(root)))
        self.assertGreater(len(contract.causes(root)), 10)
        self.assertEqual(contract.exit_statuses(root)["UNAVAILABLE"], 3)
        calls = {f"{service}/{name}" for service, methods in contract.calls(root) for name, _, _ in methods}
        self.assertGreater(len(calls), 40)
        self.assertEqual(calls - set(contract.roles(root)), set())


if __name__ == "__main__":
    unittest.main()
