"""Help texts of CLI11 are read and written as they are meant."""

import unittest

import help_text

TEXT = """Makes things.
Usage: build/worker/strata-thing [OPTIONS] FILE SUBCOMMAND

Positionals:
  FILE TEXT REQUIRED          What to make it of

Options:
  -h,--help                   Print this help message and exit
  --slots UINT:INT in [1 - 9]=4
                              How many
  --priority INT:INT in [-100 - 100]
                              Which first
  --kind TEXT:{a,b} Excludes: --slots
                              One | the other
  --set TEXT ...              PATH=VALUE (repeatable)
  --pair NAME=COMMAND ...     A command
  --size INT:SIZE [b, kb(=1024b), ...]:NONNEGATIVE
                              How large
  --version                   Display program version information and exit

TLS:
  --tls-ca TEXT               Whom to trust

Subcommands:
  make                        Make one.

Parts:
  one: the first
"""


class HelpTextTest(unittest.TestCase):
    def setUp(self):
        self.help = help_text.parse(TEXT, ["strata-thing"])

    def test_options_are_read(self):
        said = {entry.names: (entry.takes, entry.meaning) for section in ("Positionals", "Options", "TLS") for entry in self.help.sections[section]}
        for names, takes, meaning in (
                ("FILE", "text; required", "What to make it of"),
                ("--slots", "whole number, 1 to 9; default 4", "How many"),
                ("--priority", "whole number, -100 to 100", "Which first"),
                ("--kind", "a, b; not with --slots", "One | the other"),
                ("--set", "text; repeatable", "PATH=VALUE (repeatable)"),
                ("--pair", "NAME=COMMAND; repeatable", "A command"),
                ("--size", "size, such as 8GiB", "How large"),
                ("--tls-ca", "text", "Whom to trust")):
            self.assertEqual(said[names], (takes, meaning), names)

    def test_what_surrounds_them_is_read(self):
        self.assertEqual(self.help.what, "Makes things.")
        self.assertEqual(self.help.usage, "strata-thing [OPTIONS] FILE SUBCOMMAND")
        self.assertEqual([entry.names for entry in self.help.sections["Subcommands"]], ["make"])
        self.assertEqual(self.help.footer, "Parts:\n  one: the first")

    def test_markdown_leaves_help_and_version_out_and_escapes(self):
        text = "\n".join(help_text.markdown(self.help, 2))
        self.assertNotIn("--help", text)
        self.assertNotIn("--version", text)
        self.assertIn("| `--kind` | a, b; not with --slots | One \\| the other |", text)
        self.assertIn("## strata-thing\n", text)


if __name__ == "__main__":
    unittest.main()
