"""Commands that the pages show exist, with the flags that are shown: every `strata ...` of the pages against docs/reference/commands.md."""

import pathlib
import re
import shlex
import unittest

import links

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference" / "commands.md"
PROGRAM = r"strata(?:-coordinator|-agent|-trainer|-data)?"


def known_commands(reference):
    """'strata admin token' -> its flags, of the headings and tables of the reference."""
    found, current = {}, None
    for line in reference.splitlines():
        if match := re.match(rf"#{{2,4}} ({PROGRAM}(?: [\w-]+)*)$", line):
            current = found.setdefault(match[1], {"--help"})
        elif line.startswith("#"):
            current = None
        elif line.startswith("| `") and current is not None:
            current |= set(re.findall(r"`(--?[\w-]+)`", line.split(" | ")[0]))
    return found


def shown_commands(text):
    """(line, command line) of fenced blocks and backquotes; a backslash at the end joins lines."""
    fenced = False
    text = re.sub(r"\\\n\s*", lambda match: " " * len(match[0].split("\n")[0]), text)
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        pieces = re.split(r"&&|\|\||;|\|", line.split(" #")[0]) if fenced else re.findall(r"`([^`]+)`", line)
        for piece in pieces:
            if match := re.match(rf"\s*(?:[\w.\"$/()-]*/)?({PROGRAM}(?: .*)?)$", piece) if "-->" not in piece else None:
                yield number, match[1]


def wrong(command, known):
    """What is wrong with a shown command line, or None."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        return None  # a part of a line
    path, rest = words[0], words[1:]
    while rest and f"{path} {rest[0]}" in known:
        path, rest = f"{path} {rest[0]}", rest[1:]
    has_subcommands = any(name.startswith(path + " ") for name in known)
    if has_subcommands and rest and re.fullmatch(r"[a-z][a-z-]+", rest[0]) and path == words[0]:
        return f"'{path}' has no command {rest[0]}"
    flags = known[path] | (known["strata"] if words[0] == "strata" else set()) | {"--version"}
    for word in rest:
        flag = re.match(r"--[a-z][\w-]*", word)
        if flag and flag[0] not in flags:
            return f"'{path}' has no {flag[0]}"
    return None


class CommandsTest(unittest.TestCase):
    def test_every_command_that_is_shown_exists(self):
        known = known_commands(REFERENCE.read_text())
        self.assertIn("strata admin token create", known)
        found, seen = [], 0
        for page in links.pages(ROOT):
            if page.name in ("CHANGELOG.md", "commands.md"):
                continue
            for number, command in shown_commands(page.read_text()):
                seen += 1
                if why := wrong(command, known):
                    found.append(f"{page.relative_to(ROOT)}:{number}: {why}: {command}")
        self.assertEqual(found, [])
        self.assertGreater(seen, 100)

    def test_what_does_not_exist_is_found(self):
        known = {"strata": {"--address"}, "strata admin": set(), "strata admin token": set(), "strata list": {"--quiet"}, "strata-agent": {"--name"}}
        for command, words in (("strata list --quiet", None), ("strata --address A list", None), ("strata nonsense x", "no command nonsense"),
                               ("strata list --loud", "'strata list' has no --loud"), ("strata admin token", None),
                               ("strata-agent --name w1 --nme", "has no --nme"), ("strata", None)):
            why = wrong(command, known)
            self.assertTrue(why is None if words is None else why and words in why, (command, why))


if __name__ == "__main__":
    unittest.main()
