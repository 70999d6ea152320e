"""Each check of check.py must find what it is there to find: planted in a tree, reported; the clean tree passes."""

import pathlib
import tempfile
import unittest

import check


class Planted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)

    def plant(self, path, content):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def violations(self, name):
        return list(check.CHECKS[name](self.tree, self.tree))

    def assert_found(self, name, words):
        found = self.violations(name)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])


class IncludesTest(Planted):
    def test_an_upward_or_sideways_include_is_found(self):
        for path, included, words in [
            ("server/core/a.h", '"server/store/store.h"', "may use only server/base"),
            ("server/base/a.h", '"server/core/job.h"', "may use only itself"),
            ("server/store/a.cc", '"server/service/x.h"', "server/store includes"),
            ("model/layers/a.cc", '"worker/trainer/x.h"', "model includes"),
            ("model/layers/a.cc", '"server/base/clock.h"', "model includes"),
            ("worker/agent/a.cc", '"server/core/job.h"', "worker/agent includes"),
            ("server/core/a.cc", '"server/base/spec/spec.h"', "server/core includes"),
            ("worker/data/a.cc", '"model/layers/x.h"', "worker/data includes"),
            ("client/a.cc", '"server/store/store.h"', "client includes"),
        ]:
            with self.subTest(path=path, included=included):
                self.plant(path, f"#include {included}\n")
                self.assert_found("includes", words)
                (self.tree / path).unlink()

    def test_a_foreign_header_is_found(self):
        for path, included, words in [
            ("server/core/a.cc", "<grpcpp/grpcpp.h>", "core is pure"),
            ("server/core/a.cc", "<sqlite3.h>", "core is pure"),
            ("server/service/a.cc", "<torch/torch.h>", "shares a process"),
            ("model/a.cc", "<absl/status/status.h>", "never share a process"),
            ("model/metrics/a.cc", "<ATen/ATen.h>", "plain C++"),
            ("worker/trainer/a.cc", "<google/protobuf/message.h>", "links LibTorch"),
            ("worker/data/a.cc", "<grpc/grpc.h>", "SentencePiece"),
        ]:
            with self.subTest(path=path, included=included):
                self.plant(path, f"#include {included}\n")
                self.assert_found("includes", words)
                (self.tree / path).unlink()

    def test_a_generated_header_in_core_is_found(self):
        self.plant("server/core/a.cc", '#include "strata/v1/trial_spec.pb.h"\n')
        self.assert_found("includes", "core is pure")

    def test_the_allowed_ways_pass(self):
        self.plant("server/core/a.cc", '#include "server/base/clock.h"\n#include "absl/time/time.h"\n#include <vector>\n')
        self.plant("server/service/a.cc", '#include "server/store/store.h"\n#include "strata/v1/x.pb.h"\n')
        self.plant("worker/trainer/a.cc", '#include "model/config.h"\n#include "model/metrics/bleu.h"\n')
        self.plant("model/tasks/a.cc", '#include "model/metrics/bleu.h"\n#include <ATen/ATen.h>\n')
        self.plant("worker/data/a.cc", '#include "model/data/shard.h"\n')
        self.plant("tests/sim/a.cc", '#include "server/core/job.h"\n')
        self.assertEqual(self.violations("includes"), [])


class LinksTest(Planted):
    def test_an_edge_against_the_order_is_found(self):
        self.plant("link_graph.txt", "strata_core server/core strata_store absl::time\nstrata_store server/store strata_core\n")
        self.assert_found("links", "strata_core links strata_store")

    def test_the_allowed_ways_pass(self):
        self.plant("link_graph.txt", "strata_proto proto gRPC::grpc++\nstrata_service server/service strata_proto strata_store\n"
                   "strata_store server/store\nstrata_model model strata_shard\nstrata_shard model/data\n")
        self.assertEqual(self.violations("links"), [])


class SchemesTest(Planted):
    def test_a_scheme_in_a_string_outside_model_is_found(self):
        self.plant("server/service/a.cc", 'if (scheme == "post_ln") {}\n')
        self.assert_found("schemes", "post_ln")

    def test_a_scheme_in_a_raw_string_is_found(self):
        self.plant("client/a.cc", 'x = R"(one of\nb2t)";\n')
        self.assert_found("schemes", "b2t")

    def test_comments_models_tests_and_examples_may_name_it(self):
        self.plant("server/core/a.h", '// for example "post_ln"\n')
        self.plant("model/residual/a.cc", 'REGISTER("post_ln");\n')
        self.plant("server/core/a_test.cc", '"post_ln";\n')
        self.plant("client/a.cc", '"exclude: [{scheme: post_ln}]"; "grid: {scheme: [pre_ln, b2t], seed: [1]}";\n')
        self.assertEqual(self.violations("schemes"), [])


class SizesTest(Planted):
    def test_long_files_are_found(self):
        self.plant("server/core/a.h", "\n" * 151)
        self.assert_found("sizes", "over 150")

    def test_long_sources_are_found(self):
        self.plant("server/core/a.cc", "\n" * 401)
        self.assert_found("sizes", "over 400")

    def test_long_functions_are_found(self):
        self.plant("server/core/a.cc", "namespace x {\nvoid F() {\n" + "  a();\n" * 80 + "}\n}  // namespace x\n")
        self.assert_found("sizes", "a.cc:2")

    def test_what_fits_passes(self):
        self.plant("server/core/a.h", "\n" * 150)
        self.plant("server/core/a.cc", "void F() {\n" + "  a();\n" * 60 + "}\n" + "\n" * 300)
        self.assertEqual(self.violations("sizes"), [])


class NamesTest(Planted):
    def test_empty_names_are_found(self):
        for path in ["server/core/string_utils.h", "model/common/a.cc", "client/helpers.cc", "worker/agent/job_manager.h"]:
            with self.subTest(path=path):
                self.plant(path, "")
                self.assert_found("names", path)
                (self.tree / path).unlink()

    def test_telling_names_pass(self):
        self.plant("server/core/schedule.h", "")
        self.plant("model/residual/b2t.cc", "")
        self.assertEqual(self.violations("names"), [])


if __name__ == "__main__":
    unittest.main()
