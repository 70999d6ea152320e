"""docs/TROUBLESHOOTING.md quotes what our programs and scripts say: each message of its tables stands in one source file, '...' aside."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ("deploy/setup", "deploy/quickstart", "deploy/slurm/agent", "docker/make-secrets")
PAGE = ROOT / "docs" / "TROUBLESHOOTING.md"


def quotes(page):
    """(line, message) of the first cell of every row that is a message."""
    for number, line in enumerate(page.splitlines(), 1):
        if match := re.match(r"\| `(.+?)` \|", line):
            yield number, match[1]


def pieces(message):
    """What a message says in so many words: the text between places that vary."""
    return [piece for piece in (part.strip(" .,;:()") for part in message.split("...")) if len(piece) > 3]


def said(source):
    """The texts of a source, adjacent literals joined (C++, Python)."""
    joined = re.sub(r'"\s*\n\s*(?://.*\n\s*)*f?"', "", source)
    return joined.replace('\\"', '"')


def missing(page, sources):
    for number, message in quotes(page):
        parts = pieces(message)
        if not parts or not any(all(part in source for part in parts) for source in sources):
            yield f"TROUBLESHOOTING.md:{number}: no source says `{message}`"


class QuotesTest(unittest.TestCase):
    def test_every_quoted_message_is_said_by_a_source(self):
        paths = [path for folder in ("client", "server", "worker", "model") for path in sorted((ROOT / folder).rglob("*.cc"))
                 if not re.search(r"_test\.cc$|/fake_|testing", str(path))]
        paths += [*(ROOT / "client/python/strata").glob("*.py"), *(ROOT / script for script in SCRIPTS)]
        page = PAGE.read_text()
        self.assertGreater(len(list(quotes(page))), 30)
        self.assertEqual(list(missing(page, [said(path.read_text()) for path in paths])), [])

    def test_a_message_that_nobody_says_is_found(self):
        source = said('Error(StrCat("The disk ", path, " is "\n      "full. Make room."))')
        for message, there in (("The disk ... is full. Make room.", True), ("The disk ... is empty.", False), ("... is full.", True), ("...", False)):
            self.assertEqual(list(missing(f"| `{message}` | why | do |", [source])) == [], there, message)


if __name__ == "__main__":
    unittest.main()
