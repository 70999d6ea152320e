"""links.py finds each kind of dead end where one is planted, and none in the tree."""

import pathlib
import tempfile
import unittest

import links


class LinksTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)
        self.plant("docs/A.md", "# Head, with `code`\n\n## Twice\n\n## Twice\n")

    def plant(self, path, content):
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def test_dead_ends_are_found(self):
        for text, words in (
                ("[a](docs/B.md)", "links to docs/B.md: there is no such file"),
                ("[a](docs/A.md#tail)", "there is no such heading"),
                ("[a](#nowhere)", "there is no such heading"),
                ("see GONE.md", "names GONE.md"),
                ("see `docs/GONE.md`", "names docs/GONE.md"),
                ("`server/gone.cc` does it", "names server/gone.cc"),
                ("`tests/gone` does it", "names tests/gone")):
            self.plant("README.md", f"# T\n\n{text}\n")
            found = list(links.violations(self.tree))
            self.assertEqual(len(found), 1, (text, found))
            self.assertIn(words, found[0])
            self.assertTrue(found[0].startswith("README.md:3:"), found)

    def test_what_is_there_passes(self):
        self.plant("server/a.cc", "")
        for text in ("[a](docs/A.md)", "[a](docs/A.md#head-with-code)", "[a](docs/A.md#twice-1)", "[a](https://example.org/x#y)", "[a](#t)",
                     "A.md and `docs/A.md`", "`server/a.cc`", "`model/tasks/NAME.cc`", "```\n[a](nowhere.md)\n```"):
            self.plant("README.md", f"# T\n\n{text}\n")
            self.assertEqual(list(links.violations(self.tree)), [], text)

    def test_a_page_that_the_index_leaves_out_is_found(self):
        self.plant("docs/README.md", "[a](A.md)\n")
        self.assertEqual(list(links.violations(self.tree)), [])
        self.plant("docs/reference/B.md", "# B\n")
        self.assertEqual(list(links.violations(self.tree)), ["docs/README.md: names no reference/B.md: give it a line"])

    def test_the_tree_has_none(self):
        self.assertEqual(list(links.violations(pathlib.Path(__file__).resolve().parents[2])), [])


if __name__ == "__main__":
    unittest.main()
