"""Reads the --help of our programs (CLI11's form) into values, and writes them as Markdown."""

import dataclasses
import re
import subprocess

DULL = ("Print this help message", "Display program version")  # of every program
SECTIONS = {"Positionals:", "Options:", "TLS:", "Subcommands:"}  # what else looks like one is of the footer
WORDS = {"TEXT": "text", "INT": "whole number", "UINT": "whole number", "FLOAT": "number", "FILE": "file", "DIR": "folder",
         "POSITIVE": "above 0", "NONNEGATIVE": "from 0"}


@dataclasses.dataclass
class Entry:
    """An option, a positional or a subcommand: its names as --help writes them, what it takes, what it means."""
    names: str
    takes: str
    meaning: str


@dataclasses.dataclass
class Help:
    path: list  # program and subcommands
    what: str
    usage: str
    sections: dict  # title -> [Entry]
    footer: str
    commands: list  # [Help]


def _takes(kind):
    """What CLI11 writes behind an option's name, in words: 'INT:INT in [1 - 256]=4 REQUIRED' -> 'whole number, 1 to 256; default 4; required'."""
    required = " REQUIRED" in kind
    repeatable = kind.endswith(" ...") or " ... " in kind
    excludes = re.search(r" Excludes: (\S+)", kind)
    kind = re.sub(r" Excludes: \S+| REQUIRED| \.\.\.(?= |$)", "", kind)
    default = ""
    if found := re.fullmatch(r"((?:TEXT|U?INT|FLOAT)(?::.*?)?)=([^=\])}]*)", kind):
        kind, default = found.groups()
    base, _, rule = kind.partition(":")
    if rule.startswith("{"):
        text = rule[1:].partition("}")[0].replace(",", ", ")
    elif found := re.search(r"in \[(\S+) - (\S+)\]", rule):
        text = f"{WORDS.get(base, base)}, {found[1]} to {found[2]}"
    elif rule.startswith("SIZE"):
        text = "size, such as 8GiB"
    else:
        text = WORDS.get(base, base) + (f", {WORDS.get(rule, rule)}" if rule else "")
    for said, word in ((default, f"default {default}"), (required, "required"), (repeatable, "repeatable"),
                       (excludes, f"not with {excludes[1] if excludes else ''}")):
        if said:
            text += f"; {word}"
    return text


def parse(text, path):
    """Help of one command; its subcommands are named in sections["Subcommands"]."""
    lines = text.rstrip().splitlines()
    usage = next(i for i, line in enumerate(lines) if line.startswith("Usage:"))
    help_line = next(line for line in lines if "Print this help message" in line)
    column = help_line.index("Print this help message")
    sections, entries, footer = {}, None, []
    for line, following in zip(lines[usage + 1:], [*lines[usage + 2:], ""]):
        if line in SECTIONS and not footer:
            entries = sections.setdefault(line[:-1], [])
        elif entries is not None and re.match(r"  \S", line) and not footer:
            beside = len(line) > column and line[column - 1] == " " and not following.startswith(" " * column)
            left, meaning = (line[2:column].rstrip(), line[column:]) if beside else (line[2:].rstrip(), "")
            names, _, kind = left.partition(" ")
            entries.append(Entry(names, _takes(kind.strip()) if kind else "", meaning))
        elif entries and line.startswith(" " * column) and not footer:
            entries[-1].meaning = f"{entries[-1].meaning} {line.strip()}".strip()
        elif line.strip() or footer:
            footer.append(line)
    use = re.sub(r"^Usage: \S*" + path[0] + r"\b", path[0], lines[usage])
    return Help(path, " ".join(line for line in lines[:usage] if line), use, sections, "\n".join(footer).strip(), [])


def ask(binary, path):
    """Help of a program and of all its subcommands."""
    text = subprocess.run([binary, *path[1:], "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    found = parse(text, path)
    found.commands = [ask(binary, [*path, entry.names]) for entry in found.sections.get("Subcommands", [])]
    return found


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def table(heads, rows):
    """Lines of a Markdown table; columns that are empty in every row are left out."""
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    yield "| " + " | ".join(heads[i] for i in kept) + " |"
    yield "| " + " | ".join("---" for _ in kept) + " |"
    for row in rows:
        yield "| " + " | ".join(cell(row[i]) for i in kept) + " |"


def _code(names):
    return ", ".join(f"`{re.sub(r'{.*}', '', name)}`" for name in names.split(","))


def markdown(found, level):
    """A command's section, then those of its subcommands. What says nothing of its own (help, --address, exit status) is left out."""
    title = " ".join(found.path)
    yield f"{'#' * level} {title}"
    yield ""
    yield cell(found.what if found.what.endswith(".") else found.what + ".")
    rows = []
    for section, entries in found.sections.items():
        if section == "Subcommands":
            continue
        rows += [(_code(entry.names), entry.takes, re.sub(r": [a-z]+(,[a-z]+)+$", "", entry.meaning)) for entry in entries
                 if not (entry.names == "--address" and len(found.path) > 1) and not entry.meaning.startswith(DULL)]
    if len(found.path) > 1 or not found.commands:
        yield ""
        yield f"`{found.usage}`"
    if rows:
        yield ""
        yield from table(("option", "takes", "meaning"), rows)
    footer = re.sub(r"\n*Exit status: .*", "", found.footer).strip()
    if footer and not (found.path[0] == "strata" and found.commands):
        yield ""
        yield "```"
        yield footer
        yield "```"
    yield ""
    for command in found.commands:
        yield from markdown(command, min(level + 1, 4))
